"""Normal distributions of integers: what the sums of a Gaussian sender's samples are coded with.

A sum s is held as an integer number of units, its own unit at each step, about one standard deviation of the noise.
That is fine enough: a normal distribution sampled on a lattice of step sigma behaves as a continuous one but for
exp(-2 pi^2) = 3e-9. Frequencies are differences of a table of the normal distribution function, so that they are
integers and the same everywhere. The cell of a lattice point adds 1/12 to the variance (Sheppard), which is taken off
first.

Means are not rounded away: a mean that is off by e costs e^2 / (2 sigma^2) nats, at every step and in every dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.direct import total
from bfncodec.errors import DamagedError
from bfncodec.networks.tables import NORMAL_BITS, NORMAL_LIMIT, NORMAL_STEPS, normal_table

FRACTIONS = 256  # of a unit: how finely a fixed kernel knows its mean
HALF = 16  # units on either side of the mean in a window
MOST_HALF = 256
WIDE = 5  # standard deviations that a window of many different ones holds on either side
REACH = 8  # standard deviations on either side that a window holds at least
CELL = 1 / 12  # variance of a cell, in units squared
LEAST_VARIANCE = 0.25  # of what a window is made for, in units squared
_OFFSET = NORMAL_LIMIT * NORMAL_STEPS
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """Normal distribution of one standard deviation around means that are known to 1/256 unit."""

    half: int
    rows: NDArray[np.float32]  # frequencies [FRACTIONS, 2 half]
    below: Ints  # their sums [FRACTIONS, 2 half + 1]
    bounded: bool  # nothing outside the window is ever drawn, or pushed back

    def push(self, stack: AnsStack, value: Ints, mean: Floats) -> None:
        """Push integers [N] around means [N]."""
        base, fraction = _place(mean)
        offset = value - base + self.half
        symbol = _inside(offset, 2 * self.half) if self.bounded else _push_excess(stack, offset, 2 * self.half)
        below = self.below[fraction, symbol]
        stack.push_intervals(below, self.below[fraction, symbol + 1] - below, symbol, 2 * self.half)

    def pop(self, stack: AnsStack, mean: Floats) -> Ints:
        """Inverse of `push`."""
        base, fraction = _place(mean)
        symbol = stack.pop_rows(self.rows[fraction])
        return base - self.half + (symbol if self.bounded else _pop_excess(stack, symbol, 2 * self.half))


@lru_cache(maxsize=1024)
def kernel(deviation: float, bounded: bool = False) -> Kernel:
    """The kernel of a standard deviation in units, at least 1/2."""
    half = max(HALF, int(np.ceil(REACH * deviation)))
    fraction = (np.arange(FRACTIONS) + 0.5) / FRACTIONS - 0.5
    edges = np.arange(2 * half + 1) - (half + 0.5)
    scale = NORMAL_STEPS / np.sqrt(np.float64(max(deviation * deviation - CELL, LEAST_VARIANCE)))
    below = _cumulative((edges - fraction[:, None]) * scale, 2 * half)
    below[:, 0], below[:, -1] = 0, total(2 * half)
    return Kernel(half, np.diff(below, axis=1).astype(np.float32), below, bounded)


@dataclass(frozen=True)
class Normals:
    """Normal distributions of integers with a mean and a variance each, float64 [N], in units."""

    mean: Floats
    variance: Floats

    def push(self, stack: AnsStack, value: Ints) -> None:
        """Push integers [N]."""
        base, offset, scale, half = self._window()
        symbol = _push_excess(stack, value - base + half, 2 * half)
        edges = (np.stack([symbol, symbol + 1], 1) - (half + np.float32(0.5)) - offset) * scale
        below = _cumulative(edges, 2 * half)
        below[symbol == 0, 0] = 0
        below[symbol == 2 * half - 1, 1] = total(2 * half)
        stack.push_intervals(below[:, 0], below[:, 1] - below[:, 0], symbol, 2 * half)

    def pop(self, stack: AnsStack) -> Ints:
        """Inverse of `push`."""
        base, offset, scale, half = self._window()
        below = np.empty((len(base), 2 * half + 1), np.int64)
        inner = np.arange(1, 2 * half, dtype=np.int64) - (half + np.float32(0.5))
        below[:, 1:-1] = _cumulative((inner - offset) * scale, 2 * half)
        below[:, 0], below[:, -1] = 0, total(2 * half)
        symbol = stack.pop_rows(np.diff(below, axis=1).astype(np.float32))
        return base - half + _pop_excess(stack, symbol, 2 * half)

    def _window(self) -> tuple[Ints, NDArray[np.float32], NDArray[np.float32], int]:
        """(integer next to each mean [N], what is left of the mean [N, 1], table steps a unit [N, 1], half the
        window)
        """
        base = np.rint(self.mean)
        scale = NORMAL_STEPS / np.sqrt(np.maximum(self.variance - CELL, LEAST_VARIANCE))
        return (
            base.astype(np.int64),
            (self.mean - base).astype(np.float32)[:, None],
            scale.astype(np.float32)[:, None],
            self._half(),
        )

    def _half(self) -> int:
        """Units on either side, for the widest of all."""
        widest = float(self.variance.max(initial=0.0))
        half = HALF
        while half < MOST_HALF and half * half < WIDE * WIDE * widest:
            half *= 2
        return half


def _place(mean: Floats) -> tuple[Ints, Ints]:
    """The integer next to each mean, and which fraction of a unit is left."""
    base = np.rint(mean)
    fraction = np.floor((mean - base + 0.5) * FRACTIONS).astype(np.int64)
    return base.astype(np.int64), np.minimum(fraction, FRACTIONS - 1)


def _cumulative(steps: NDArray[np.floating], symbols: int) -> Ints:
    """Sum of the coder's frequencies below edges given in steps of the normal table; monotone."""
    index = np.rint(steps).clip(-_OFFSET, _OFFSET).astype(np.int64) + _OFFSET
    result: Ints = (normal_table().take(index).astype(np.int64) * total(symbols)) >> NORMAL_BITS
    return result


def _inside(offset: Ints, symbols: int) -> Ints:
    if ((offset < 0) | (offset >= symbols)).any():
        raise DamagedError("expected sums within the window they are drawn from, found others: the payload is damaged")
    return offset


def _push_excess(stack: AnsStack, offset: Ints, symbols: int) -> Ints:
    """Offsets as symbols of the window; how far those at its ends are beyond them is pushed apart, which hardly ever
    happens.
    """
    symbol = offset.clip(0, symbols - 1)
    at_end = np.flatnonzero((symbol == 0) | (symbol == symbols - 1))
    excess = [abs(int(offset[k]) - int(symbol[k])) for k in at_end]
    for value in reversed(excess):
        _push_integer(stack, value)
    return symbol


def _pop_excess(stack: AnsStack, symbol: NDArray[np.int32], symbols: int) -> Ints:
    offset = symbol.astype(np.int64)
    for k in np.flatnonzero((symbol == 0) | (symbol == symbols - 1)):
        excess = _pop_integer(stack)
        offset[k] += excess if symbol[k] else -excess
    return offset


def _push_integer(stack: AnsStack, value: int) -> None:
    """Its length, of which 0 is by far the likeliest, and the bits after the first. Who pops from random bits, as an
    encoder does, must nearly always find 0: a sum that is out by any more would upset the game.
    """
    length = value.bit_length()
    if length >= _LENGTHS.shape[1]:
        raise DamagedError(
            f"expected sums less than 2^{_LENGTHS.shape[1] - 1} units from where they are predicted, "
            f"found {value}: the payload is damaged"
        )
    rest, bits = value - (1 << length >> 1), max(length - 1, 0)
    stack.push_bits(rest & 0xFFFF, min(bits, 16))
    stack.push_bits(rest >> 16, max(bits - 16, 0))
    stack.push_rows(np.array([length]), _LENGTHS)


def _pop_integer(stack: AnsStack) -> int:
    length = int(stack.pop_rows(_LENGTHS)[0])
    bits = max(length - 1, 0)
    high = stack.pop_bits(max(bits - 16, 0))
    return (1 << length >> 1) + (high << 16) + stack.pop_bits(min(bits, 16))


def _length_frequencies(count: int) -> NDArray[np.float32]:
    """Lengths of integers, 64 times less likely with every bit. float32 [1, count]"""
    row = np.array([0] + [(1 << 24) >> 6 * k for k in range(1, count)], np.int64)
    row[0] = total(count) - row.sum()
    return row.astype(np.float32)[None]


_LENGTHS = _length_frequencies(33)
