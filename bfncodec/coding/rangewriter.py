"""Several range encoders in numbers, whose symbols a compiled kernel appends: they write what `RangeEncoders` do.

The interval of a code is lower and width, below 2^64; what lies above are its words. Where lower grows beyond 2^64 the
number that the words are grows by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bfncodec.coding.rangecoder import PRECISION, shortest
from bfncodec.runtime.arrays import Array, Ints, Ints32, Words
from bfncodec.runtime.jit import compiled

U24, U32 = np.uint64(PRECISION), np.uint64(32)
LOWER, WIDTH, COUNT = range(3)  # columns of a state


class Codes(NamedTuple):
    """Codes that are being written."""

    words: Words  # of all codes, each in a part of its own
    start: Ints  # first word of each part
    state: Array  # lower, width and number of words of each code, uint64 [codes, 3]


class CompiledRangeEncoders:
    """Encoders as `RangeEncoders`, compiled. count: their number."""

    def __init__(self, count: int) -> None:
        state = np.zeros((count, 3), np.uint64)
        state[:, WIDTH] = (1 << 64) - 1
        self._codes = Codes(np.empty(0, np.uint32), np.zeros(count, np.int64), state)
        self._room = np.zeros(count, np.int64)

    def append(self, counts: Ints, found: Ints32) -> None:
        """Implements `RangeEncoders.append`."""
        self._reserve(counts.sum(0) * found.shape[1])
        append_lines(self._codes, counts, found)

    def finish(self) -> list[bytes]:
        """Implements `RangeEncoders.finish`."""
        words, starts, state = self._codes
        found = []
        for start, (lower, width, count) in zip(starts.tolist(), state.tolist(), strict=True):
            prefix = int.from_bytes(words[start : start + count].astype(">u4").tobytes(), "big")
            found.append(shortest(prefix, 32 * count, lower, width))
        return found

    def _reserve(self, more: Ints) -> None:
        """Make room for so many words more of each code, one for every symbol at most."""
        words, starts, state = self._codes
        used = state[:, COUNT].astype(np.int64)
        if (used + more <= self._room).all():
            return
        room = np.where(used + more > self._room, 2 * (used + more), self._room)
        new = np.cumsum(room) - room
        moved = np.empty(room.sum(), np.uint32)
        for i in used.nonzero()[0]:
            moved[new[i] : new[i] + used[i]] = words[starts[i] : starts[i] + used[i]]
        self._codes, self._room = Codes(moved, new, state), room


@compiled
def append_lines(codes: Codes, counts: Ints, found: Ints32) -> None:
    """Append symbols of some lines, as `RangeEncoders.append`. In a line each code has its own behind each other."""
    end = np.int64(0)
    for t in range(len(counts)):
        for i in range(counts.shape[1]):
            begin = end
            end = begin + counts[t, i]
            if begin < end:
                _append(codes, i, found, begin, end)


@compiled
def _append(codes: Codes, i: int, found: Ints32, begin: int, end: int) -> None:
    """Append the symbols of columns [begin, end), line after line of `found`, to the i-th code."""
    words, state = codes.words, codes.state[i]
    lower, width, at = state[LOWER], state[WIDTH], codes.start[i] + np.int64(state[COUNT])
    for s in range(found.shape[1]):
        for n in range(begin, end):
            scale = width >> U24
            step = scale * np.uint64(found[1, s, n] + found[0, s, n])
            lower += step
            if lower < step:
                _carry(words, at)
            width = scale * np.uint64(found[2, s, n] + 1)
            if not width >> U32:
                words[at] = lower >> U32
                lower, width, at = lower << U32, width << U32, at + 1
    state[LOWER], state[WIDTH], state[COUNT] = lower, width, np.uint64(at - codes.start[i])


@compiled
def _carry(words: Words, at: Any) -> None:
    """Add one to the number whose words end before a place. (A code is below 1, so there are enough of them.)"""
    at -= 1
    words[at] += np.uint32(1)
    while words[at] == 0:
        at -= 1
        words[at] += np.uint32(1)
