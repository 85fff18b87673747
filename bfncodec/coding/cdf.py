"""Integer distributions for the coder: from what a network computes to frequencies that sum to `rangecoder.total`.

A byte with a smooth distribution is coded as two nibbles, the high one and then the low one given the high one: 34
values of the cumulative distribution describe it instead of 257. The encoder knows the byte and needs only four.

Every operation is one correctly rounded IEEE or integer operation on each element, so both sides get the same
frequencies, and the maps are monotone, so no frequency is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.rangecoder import PRECISION, total
from bfncodec.runtime.arrays import Floats, Floats32, Ints32

NIBBLE = 16
SUM_BITS = 30  # cumulative distributions of bytes come in units of 2^-30
_STEPS = np.arange(NIBBLE + 1, dtype=np.int32)
_HIGH_EDGES = _STEPS * NIBBLE
_LOW_EDGES = _HIGH_EDGES[:NIBBLE, None] + _STEPS  # [high nibble, 17]
Below = Callable[[Ints32], Ints32]
"""2^30 P(x < value) for values int32 [N, B] or [1, B] in 0 … 256: int32 [N, B], 0 at 0 and 2^30 at 256."""


@dataclass(frozen=True)
class Intervals:
    """The coder's intervals of known symbols, for the encoder: int32 [N] each."""

    below: Ints32  # sum of the frequencies of the symbols before
    frequency: Ints32
    symbol: NDArray[np.integer]


def nibble_intervals(below: Below, value: Ints32) -> tuple[Intervals, Intervals]:
    """Return the intervals of the high and of the low nibbles of known bytes, for the encoder. value: int32 [N]"""
    high, low = value >> 4, value & 15
    start = high * NIBBLE
    edges = np.stack([start, start + NIBBLE, value, value + 1], 1)
    c = below(edges)
    coarse = _coarse(c[:, :2])
    fine = _fine(c[:, 2:] - c[:, :1], c[:, 1:2] - c[:, :1], np.stack([low, low + 1], 1))
    fine[low == NIBBLE - 1, 1] = total(NIBBLE)
    return _interval(coarse, high), _interval(fine, low)


def byte_bits(below: Below, value: NDArray[np.integer]) -> Floats:
    """-log2 of the probabilities of bytes [N], without the coder's rounding."""
    c = below(np.stack([value, value + 1], 1).astype(np.int32)).astype(np.float64)
    found: Floats = SUM_BITS - np.log2(np.maximum(c[:, 1] - c[:, 0], 1))
    return found


def high_frequencies(below: Below) -> Floats32:
    """Frequencies of the high nibble, float32 [N, 16]."""
    return _differences(_coarse(below(_HIGH_EDGES[None])))


def low_frequencies(below: Below, high: Ints32) -> Floats32:
    """Frequencies of the low nibble given the high one, float32 [N, 16]."""
    c = below(_LOW_EDGES.take(high, 0))
    c -= c[:, :1].copy()
    fine = _fine(c, c[:, -1:], _STEPS)
    fine[:, -1] = total(NIBBLE)
    return _differences(fine)


def softmax_frequencies(weight: Ints32) -> Floats32:
    """Frequencies in proportion to integer weights. weight: int32 [N, n], nonnegative, sum below 2^29 -> float32
    [N, n].

    What rounding down leaves over goes to the first of the likeliest symbols.
    """
    whole, ones = total(weight.shape[1]), np.ones(weight.shape[1])
    row, likeliest = np.arange(len(weight)), weight.argmax(1)
    frequency = weight.astype(np.float64)
    # Products with ones are sums of integers below 2^53, exact in any order, and far faster than sums of short rows.
    frequency *= (whole / (frequency @ ones))[:, None]
    np.floor(frequency, out=frequency)
    frequency[row, likeliest] += whole - frequency @ ones
    return frequency.astype(np.float32)


def softmax_intervals(weight: Ints32, symbol: NDArray[np.integer]) -> Intervals:
    """Return the intervals of known symbols under `softmax_frequencies`, for the encoder. symbol: int [N]"""
    return row_intervals(softmax_frequencies(weight), symbol)


def row_intervals(frequencies: Floats32, symbol: NDArray[np.integer]) -> Intervals:
    """Return the intervals of known symbols under frequencies, float32 [N, n] holding integers. symbol: int [N]"""
    frequency, row = frequencies.astype(np.int32), np.arange(len(symbol))
    own = frequency[row, symbol]
    return Intervals(np.cumsum(frequency, 1, dtype=np.int32)[row, symbol] - own, own, symbol)


def _differences(edges: Ints32) -> Floats32:
    return (edges[:, 1:] - edges[:, :-1]).astype(np.float32)


def _interval(edges: Ints32, symbol: Ints32) -> Intervals:
    return Intervals(edges[:, 0], edges[:, 1] - edges[:, 0], symbol)


def _coarse(c: Ints32) -> Ints32:
    """2^30 units to coder units: 2^30 goes to total(16) = 2^24 - 16, monotone."""
    c = c >> (SUM_BITS - PRECISION)
    return c - (c >> (PRECISION - 4))


def _fine(c: Ints32, width: Ints32, step: Ints32) -> Ints32:
    """Cumulative distribution inside a nibble, rescaled from `width` to total(16), which the caller sets at step 16.
    Each symbol gets one more unit of 2^-30 first, so that a nibble the network thinks impossible is still a
    distribution.
    """
    share = total(NIBBLE) / (width + NIBBLE).astype(np.float64)
    scaled: Ints32 = ((c + step) * share).astype(np.int32)  # rounds down
    return scaled
