"""Bits of symbols: eight binary decisions of each, the high bit first, and what coders need of them."""

from __future__ import annotations

import numpy as np

from bfncodec.coding.cdf import Intervals
from bfncodec.coding.mixing.state import BITS
from bfncodec.coding.rangecoder import total
from bfncodec.runtime.arrays import Floats32, Ints

LEFT = np.arange(BITS, 0, -1)[:, None]
"""Bits of a symbol that are not known before each of them, [BITS, 1]."""


def bits_of(symbols: Ints) -> Ints:
    """The bits of symbols [L], the high ones first, [BITS, L]."""
    return (symbols >> (LEFT - 1)) & 1


def bits_in_order(symbols: Ints, edges: Ints) -> Ints:
    """The bits of the symbols of several steps in coding order: step after step, all first bits, then all second ones.

    edges: see `ContextMixer.encode_steps`. Returns int64 [BITS L].
    """
    counts = np.diff(edges)
    first, count = edges[:-1].repeat(counts), counts.repeat(counts)
    place = np.arange(len(symbols)) - first + BITS * first + count * (BITS - LEFT)
    found = np.empty(BITS * len(symbols), np.int64)
    found[place] = bits_of(symbols)
    return found


def bit_intervals(ones: Ints, bit: Ints) -> Intervals:
    """Intervals of known bits, for the encoder. ones: frequencies of a 1 among `total(2)`; both int64 [N]"""
    zeros = total(2) - ones
    return Intervals((zeros * bit).astype(np.int32), np.where(bit, ones, zeros).astype(np.int32), bit)


def bit_frequencies(ones: Ints) -> Floats32:
    """Frequencies of both values of bits, for the decoder, float32 [L, 2]. ones: those of a 1, int64 [L]"""
    rows = np.empty((len(ones), 2), np.float32)
    np.subtract(total(2), ones, out=rows[:, 0], casting="unsafe")
    rows[:, 1] = ones
    return rows
