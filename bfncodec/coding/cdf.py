"""Integer distributions for the coder: from what a network computes to frequencies that sum to `direct.total`.

A byte with a smooth distribution is coded as two nibbles, the high one and then the low one given the high one: 34 values of
the cumulative distribution describe it instead of 257. Who encodes knows the byte and needs only four.

Every operation is one correctly rounded IEEE or integer operation on each element, so both sides get the same frequencies, and
the maps are monotone, so no frequency is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.direct import PRECISION, total

NIBBLE = 16
SUM_BITS = 30  # cumulative distributions of bytes come in units of 2^-30
Ints = NDArray[np.int32]
Below = Callable[[Ints], Ints]
"""2^30 P(x < value) for values int32 [N, B] in 0 … 256: int32 [N, B], 0 at 0 and 2^30 at 256."""


@dataclass(frozen=True)
class Intervals:
    """What the encoder needs of some symbols: int32 [N] each."""

    below: Ints  # sum of the frequencies of the symbols before
    frequency: Ints
    symbol: Ints


def nibble_intervals(below: Below, value: Ints) -> tuple[Intervals, Intervals]:
    """High and low nibble of bytes the encoder knows. value: int32 [N]"""
    high, low = value >> 4, value & 15
    start = high * NIBBLE
    c = below(np.stack([start, start + NIBBLE, value, value + 1], 1))
    coarse = _coarse(c[:, :2])
    fine = _fine(c[:, 2:] - c[:, :1], c[:, 1:2] - c[:, :1], np.stack([low, low + 1], 1))
    return _interval(coarse, high), _interval(fine, low)


def high_frequencies(below: Below, count: int) -> tuple[NDArray[np.float32], Ints]:
    """Frequencies of the high nibble, float32 [N, 16], and the cumulative distribution at its edges, int32 [N, 17]."""
    inner = np.arange(NIBBLE, 256, NIBBLE, dtype=np.int32)
    edges = np.zeros((count, NIBBLE + 1), np.int32)
    edges[:, 1:-1] = below(np.broadcast_to(inner, (count, NIBBLE - 1)))
    edges[:, -1] = 1 << SUM_BITS
    return np.diff(_coarse(edges), axis=1).astype(np.float32), edges


def low_frequencies(below: Below, high: Ints, edges: Ints) -> NDArray[np.float32]:
    """Frequencies of the low nibble given the high one, float32 [N, 16]. edges: from `high_frequencies`."""
    steps = np.arange(NIBBLE + 1, dtype=np.int32)
    row = np.arange(len(high))
    start, end = edges[row, high], edges[row, high + 1]
    c = np.empty((len(high), NIBBLE + 1), np.int32)
    c[:, 0] = 0
    c[:, 1:-1] = below((high * NIBBLE)[:, None] + steps[1:-1])
    c[:, 1:-1] -= start[:, None]
    width = (end - start)[:, None]
    c[:, -1:] = width
    return np.diff(_fine(c, width, steps), axis=1).astype(np.float32)


def softmax_frequencies(weight: Ints) -> NDArray[np.float32]:
    """Frequencies in proportion to integer weights. weight: int32 [N, n], nonnegative, sum below 2^29 -> float32 [N, n].

    What rounding down leaves over goes to the first of the likeliest symbols.
    """
    whole = total(weight.shape[1])
    share = whole / weight.sum(1, keepdims=True, dtype=np.int64).astype(np.float64)
    frequency = np.floor(weight * share)
    row = np.arange(len(weight))
    frequency[row, weight.argmax(1)] += whole - frequency.sum(1)
    return frequency.astype(np.float32)


def softmax_intervals(weight: Ints, symbol: Ints) -> Intervals:
    """Symbols the encoder knows, under the frequencies of `softmax_frequencies`. symbol: int32 [N]"""
    frequency = softmax_frequencies(weight).astype(np.int32)
    row = np.arange(len(symbol))
    own = frequency[row, symbol]
    return Intervals(np.cumsum(frequency, 1, dtype=np.int32)[row, symbol] - own, own, symbol)


def _interval(edges: Ints, symbol: Ints) -> Intervals:
    return Intervals(edges[:, 0], edges[:, 1] - edges[:, 0], symbol)


def _coarse(c: Ints) -> Ints:
    """2^30 units to coder units: 2^30 goes to total(16) = 2^24 - 16, monotone."""
    c = c >> (SUM_BITS - PRECISION)
    return c - (c >> (PRECISION - 4))


def _fine(c: Ints, width: Ints, step: Ints) -> Ints:
    """Cumulative distribution inside a nibble, rescaled from `width` to total(16). Each symbol gets one more unit of 2^-30
    first, so that a nibble the network thinks impossible is still a distribution."""
    scaled = (c + step) * (total(NIBBLE) / (width + NIBBLE).astype(np.float64))
    np.floor(scaled, out=scaled)
    return np.where(step == NIBBLE, total(NIBBLE), np.minimum(scaled, total(NIBBLE))).astype(np.int32)
