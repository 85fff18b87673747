"""Normal distributions of integers: what the sums of a Gaussian sender's samples are coded with.

A sum s is held as an integer number of units, its own unit at each step, about one standard deviation of the noise.
That is fine enough: a normal distribution sampled on a lattice of step sigma behaves as a continuous one but for
exp(-2 pi^2) = 3e-9. Frequencies are differences of a table of the normal distribution function, so that they are
integers and the same everywhere. The cell of a lattice point adds 1/12 to the variance (Sheppard), which is taken off
first.

Means are not rounded away: a mean that is off by e costs e^2 / (2 sigma^2) nats, at every step and in every dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.rangecoder import summarise, total
from bfncodec.coding.tables import NORMAL_BITS, NORMAL_LIMIT, NORMAL_STEPS, normal_table
from bfncodec.errors import DamagedError
from bfncodec.forks import cached_property

FRACTIONS = 256  # of a unit: how finely a fixed kernel knows its mean
HALF = 16  # units on either side of the mean in a window
LEAST_TRUNCATED = 4  # the same where nothing is beyond
MOST_HALF = 256
WIDE = 5  # standard deviations that a window of many different ones holds on either side
REACH = 8  # standard deviations on either side that a window holds at least
TRUNCATED_REACH = 5.3  # the same where nothing is beyond: the coder gives every symbol of a window 2^-24 at least
NEAR = 4.25  # standard deviations on either side beyond which hardly one symbol in 100,000 is
CELL = 1 / 12  # variance of a cell, in units squared
LEAST_VARIANCE = 0.25  # of what a window is made for, in units squared
_OFFSET = NORMAL_LIMIT * NORMAL_STEPS
_ROUNDED = 1.5 * 2.0**52  # added to a float64, it leaves the integer next to it in the lower bits
_ROUNDED_BITS = np.float64(_ROUNDED).view(np.int64)
_TOGETHER = 8192  # symbols whose frequencies are made at once: they stay in the processor's cache
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Kernel:
    """Normal distribution of one standard deviation around means that are known to 1/256 unit."""

    half: int
    near: int  # units on either side of the mean where nearly all values are
    below: NDArray[np.int32]  # sums of frequencies [FRACTIONS, 2 half + 1]
    truncated: bool  # nothing outside the window is ever drawn, or pushed back
    deviation: float  # the standard deviation, in units

    def push(self, stack: AnsStack, value: Ints, mean: Floats) -> None:
        """Push integers [N] around means [N]."""
        base, fraction = _place(mean)
        base -= self.half
        offset = value - base
        symbol = _inside(offset, 2 * self.half) if self.truncated else _push_excess(stack, offset, 2 * self.half)
        fraction *= 2 * self.half
        fraction += symbol
        rows, middle = self._summaries
        for at in reversed(_parts(len(value))):
            stack.push_rows(middle.take(fraction[at]), rows.take(fraction[at], 0))

    def pop(self, stack: AnsStack, mean: Floats) -> Ints:
        """Inverse of `push`."""
        base, fraction = _place(mean)
        symbol = np.empty(len(mean), np.int64)
        for at in _parts(len(mean)):
            here = fraction[at]

            def rows(first: int, last: int, here: Ints = here) -> Rows:
                return self.rows(first, last).take(here, 0)

            symbol[at] = _pop_window(stack, rows, self.half, self.near)
        base -= self.half
        base += symbol if self.truncated else _pop_excess(stack, symbol, 2 * self.half)
        return base

    def rows(self, first: int, last: int) -> Rows:
        """Frequencies of the symbols first … last - 1 and of all before and behind them, see `_rows`. float32
        [FRACTIONS, last - first + 2]
        """
        if (first, last) not in self._known:
            self._known[first, last] = _rows(self.below[:, first : last + 1].T.astype(np.float32), first)
        return self._known[first, last]

    @cached_property
    def _known(self) -> dict[tuple[int, int], Rows]:
        return {}

    @cached_property
    def _summaries(self) -> tuple[Rows, NDArray[np.int32]]:
        """`direct.summarise` of every symbol of every fraction."""
        symbol = np.tile(np.arange(2 * self.half), FRACTIONS)
        below = self.below.astype(np.int64)
        return summarise(below[:, :-1].reshape(-1), np.diff(below).reshape(-1), symbol, 2 * self.half)


@lru_cache(maxsize=1024)
def kernel(deviation: float, truncated: bool = False) -> Kernel:
    """The kernel of a standard deviation in units, at least 1/2.

    truncated: values end 5.3 deviations out, which is what the sender's own distributions do. From a wider window far
    too many values would be drawn from beyond six deviations, one in 750,000, and each misleads the receiver.
    """
    half = max(HALF, int(np.ceil(REACH * deviation)))
    if truncated:
        half = max(LEAST_TRUNCATED, int(np.ceil(TRUNCATED_REACH * deviation)))
    fraction = (np.arange(FRACTIONS) + 0.5) / FRACTIONS - 0.5
    edges = np.arange(2 * half + 1) - (half + 0.5)
    scale = NORMAL_STEPS / np.sqrt(np.float64(max(deviation * deviation - CELL, LEAST_VARIANCE)))
    below = _cumulative((edges - fraction[:, None]) * scale, 2 * half).astype(np.int32)
    below[:, 0], below[:, -1] = 0, total(2 * half)
    return Kernel(half, _near(deviation), below, truncated, deviation)


@dataclass(frozen=True)
class Normals:
    """Normal distributions of integers with a mean and a variance each, float64 [N], in units."""

    mean: Floats
    variance: Floats

    def push(self, stack: AnsStack, value: Ints) -> None:
        """Push integers [N]."""
        half = self._half()
        symbol = _push_excess(stack, value - self._start(half), 2 * half)
        for at in reversed(_parts(len(value))):
            self._push_part(stack, symbol[at], at, half)

    def pop(self, stack: AnsStack) -> Ints:
        """Inverse of `push`."""
        half = self._half()
        symbol = np.empty(len(self.mean), np.int64)
        for at in _parts(len(symbol)):
            symbol[at] = self._pop_part(stack, at, half)
        return self._start(half) + _pop_excess(stack, symbol, 2 * half)

    def _push_part(self, stack: AnsStack, symbol: Ints, at: slice, half: int) -> None:
        offset, scale = self._places(at)
        edge = symbol - (half + 0.5)
        below = _cumulative((edge - offset) * scale, 2 * half)
        above = _cumulative((edge + 1 - offset) * scale, 2 * half)
        below[symbol == 0], above[symbol == 2 * half - 1] = 0, total(2 * half)
        above -= below
        stack.push_intervals(below.astype(np.int64), above.astype(np.int64), symbol, 2 * half)

    def _pop_part(self, stack: AnsStack, at: slice, half: int) -> Ints:
        offset, scale = self._places(at)

        def rows(first: int, last: int) -> Rows:
            steps = np.subtract.outer(np.arange(first, last + 1) - (half + 0.5), offset)
            steps *= scale
            return _rows(_cumulative(steps, 2 * half), first)

        return _pop_window(stack, rows, half, _near(float(np.sqrt(self.variance[at].max()))))

    def _start(self, half: int) -> Ints:
        """First value of each window [N]."""
        return np.rint(self.mean).astype(np.int64) - half

    def _places(self, at: slice) -> tuple[Floats, Floats]:
        """(how far the mean is from the integer next to it, table steps a unit), with the precision of float32."""
        mean = self.mean[at]
        scale = NORMAL_STEPS / np.sqrt(np.maximum(self.variance[at] - CELL, LEAST_VARIANCE))
        return (mean - np.rint(mean)).astype(np.float32).astype(np.float64), scale.astype(np.float32).astype(np.float64)

    def _half(self) -> int:
        """Units on either side, for the widest of all."""
        widest = float(self.variance.max(initial=0.0))
        half = HALF
        while half < MOST_HALF and half * half < WIDE * WIDE * widest:
            half *= 2
        return half


def _near(deviation: float) -> int:
    """Units on either side of the one next to the mean where nearly all values are."""
    return int(np.ceil(NEAR * deviation))


def _parts(count: int) -> list[slice]:
    """Ranges of so many symbols, some at a time."""
    return [slice(first, first + _TOGETHER) for first in range(0, count, _TOGETHER)]


def _pop_window(stack: AnsStack, rows: Callable[[int, int], Rows], half: int, near: int) -> Ints:
    """Symbols [N] of windows. The coder is faster the fewer symbols it is told of, so it is told of those near the mean
    first, and of all if another comes.

    rows: frequencies of the symbols from … to, see `_rows`.
    """
    first, last = half - near, half + near + 1
    symbol = stack.pop_inner_rows(rows(first, last)) if near < half - 1 else None
    if symbol is not None:
        return symbol + np.int64(first - 1)
    return stack.pop_rows(rows(1, 2 * half - 1)).astype(np.int64)


def _rows(below: Rows, first: int) -> Rows:
    """Frequencies float32 [N, M + 2] of M symbols and of all before and behind them together, with the same intervals
    as in a row of all. below: sums of frequencies below the edges of the M symbols, [M + 1, N]; first: the first one.
    """
    count, others = len(below) + 1, first - 1  # the coder adds one to each frequency: of symbols put together to one
    rows = np.empty((count, below.shape[1]), np.float32)
    np.add(below[0], others, out=rows[0])
    np.subtract(below[1:], below[:-1], out=rows[1:-1])
    np.subtract(total(count) - others, below[-1], out=rows[-1])
    return np.ascontiguousarray(rows.T)


def _place(mean: Floats) -> tuple[Ints, Ints]:
    """The integer next to each mean, and which fraction of a unit is left."""
    base = np.rint(mean)
    left = mean - base
    left += 0.5
    left *= FRACTIONS
    fraction = left.astype(np.int64)  # rounds down
    return base.astype(np.int64), np.minimum(fraction, FRACTIONS - 1, out=fraction)


def _cumulative(steps: Floats, symbols: int) -> Rows:
    """Sum of the coder's frequencies below edges given in steps of the normal table: integers, monotone."""
    shifted = steps + (_ROUNDED + _OFFSET)
    index = shifted.view(np.int64)
    index -= _ROUNDED_BITS
    return _scaled_table(symbols).take(index, mode="clip")


@lru_cache(maxsize=16)
def _scaled_table(symbols: int) -> Rows:
    """The normal table in the coder's units; float32 holds them all."""
    return ((normal_table().astype(np.int64) * total(symbols)) >> NORMAL_BITS).astype(np.float32)


def _inside(offset: Ints, symbols: int) -> Ints:
    if offset.min(initial=0) < 0 or offset.max(initial=0) >= symbols:
        raise DamagedError("expected sums within the window they are drawn from, found others: the payload is damaged")
    return offset


def _any_at_ends(offset: Ints, symbols: int) -> bool:
    """Return whether any offset is the first or the last of a window, or beyond."""
    return bool(offset.min(initial=1) < 1 or offset.max(initial=0) > symbols - 2)


def _push_excess(stack: AnsStack, offset: Ints, symbols: int) -> Ints:
    """Offsets as symbols of the window; how far those at its ends are beyond them is pushed apart, which hardly ever
    happens.
    """
    if not _any_at_ends(offset, symbols):
        return offset
    symbol = offset.clip(0, symbols - 1)
    at_end = np.flatnonzero((symbol == 0) | (symbol == symbols - 1))
    excess = [abs(int(offset[k]) - int(symbol[k])) for k in at_end]
    for value in reversed(excess):
        _push_integer(stack, value)
    return symbol


def _pop_excess(stack: AnsStack, symbol: Ints, symbols: int) -> Ints:
    """Inverse of `_push_excess`, in place."""
    if not _any_at_ends(symbol, symbols):
        return symbol
    for k in np.flatnonzero((symbol == 0) | (symbol == symbols - 1)):
        excess = _pop_integer(stack)
        symbol[k] += excess if symbol[k] else -excess
    return symbol


def _push_integer(stack: AnsStack, value: int) -> None:
    """Push an integer: its length, of which 0 is by far the likeliest, and the bits after the first. Who pops from
    random bits, as an encoder does, must nearly always find 0: a sum that is out by more would mislead the receiver.
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
