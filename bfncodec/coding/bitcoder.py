"""Range coding of bits that have been mixed: a coder whose rounding costs nothing where nearly every bit is foretold.

As :mod:`bfncodec.coding.rangecoder` for two symbols, but its words have 24 bits, as many as a probability, so that the
interval is never narrower than 2^40. What is rounded off at a bit is then less than 2^-16 of the interval, where words
of 32 bits leave 2^32 and lose up to 2^-8: 0.75% of a log whose bits say next to nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bfncodec.coding.cdf import Intervals
from bfncodec.coding.rangecoder import PRECISION, damaged, shortest, total
from bfncodec.forks import cached_property
from bfncodec.runtime.arrays import Array, Floats32, Ints, Ints32, Words

WORD_BITS, STATE_BITS = 24, 64
NARROW = STATE_BITS - WORD_BITS  # log2 of the interval below which a word is written
TOTAL = total(2)
_ALL = (1 << STATE_BITS) - 1
LOWER, WIDTH, POINT, COUNT = range(4)  # of a state; in an encoder nothing is the point


class BitEncoder:
    """An encoder that collects bits and gives their shortest code.

    words: those that were written, with all that was carried into them; state: lower and width of the interval,
    nothing, and the number of words, uint64 [4].
    """

    def __init__(self) -> None:
        self._words = np.empty(0, np.uint32)
        self._state = np.array([0, _ALL, 0, 0], np.uint64)

    def append(self, intervals: Intervals) -> None:
        """Append bits that are known by their intervals."""
        count, more = int(self._state[COUNT]), len(intervals.symbol)
        if count + more > len(self._words):  # a word for every bit at most
            self._words = np.concatenate([self._words[:count], np.empty(count + 2 * more, np.uint32)])
        left = intervals.below + intervals.symbol
        self._code(self._words, self._state, left.astype(np.int64), intervals.frequency.astype(np.int64) + 1)

    def finish(self) -> bytes:
        """The shortest bytes that decode to what was appended."""
        lower, width, _, count = self._state.tolist()
        words = self._words[:count].astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
        return shortest(int.from_bytes(words.tobytes(), "big"), count * WORD_BITS, lower, width)

    def _code(self, words: Words, state: Array, left: Ints, share: Ints) -> None:
        """Append bits [N] to words of which there are enough. left, share: begin and width of their intervals, in 2^-24
        of the whole.
        """
        lower, width, _, count = state.tolist()
        for begin, part in zip(left.tolist(), share.tolist(), strict=True):
            scale = width >> PRECISION
            lower, width = lower + scale * begin, scale * part
            if lower > _ALL:
                lower &= _ALL
                _carry(words, count)
            if not width >> NARROW:
                words[count] = lower >> NARROW
                lower, width, count = lower << WORD_BITS & _ALL, width << WORD_BITS, count + 1
        state[:] = lower, width, 0, count


def _carry(words: Words, count: int) -> None:
    """Add one to the number that the first words are. (A code is below 1, so there are enough of them.)"""
    count -= 1
    while words[count] == (1 << WORD_BITS) - 1:
        words[count] = 0
        count -= 1
    words[count] += 1


class CodeState(NamedTuple):
    """A decoder in numbers, for kernels that read bits.

    words: of the code behind its first 64 bits; behind their end are zeros. state: lower and width of the interval, the
    point that the code is, each below 2^64, and the number of words that were read, uint64 [4].
    """

    words: Words
    state: Array


class BitDecoder:
    """A decoder of what a BitEncoder wrote: by `decode_rows`, or by kernels on `code`, one after the other."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    @cached_property
    def code(self) -> CodeState:
        """The decoder's state, which all that read move."""
        first = self._payload[: STATE_BITS // 8].ljust(STATE_BITS // 8, b"\0")
        rest = self._payload[STATE_BITS // 8 :]
        triples = np.frombuffer(rest + bytes(-len(rest) % 3), np.uint8).reshape(-1, 3).astype(np.uint32)
        words = triples @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        return CodeState(words, np.array([0, _ALL, int.from_bytes(first, "big"), 0], np.uint64))

    def decode_rows(self, frequencies: Floats32) -> Ints32:
        """The next bits [N] under frequencies of both values, float32 [N, 2] holding integers, rows sum to TOTAL.

        Raises DamagedError for what no encoder writes.
        """
        words, state = self.code
        lower, width, point, count = state.tolist()
        found = np.empty(len(frequencies), np.int32)
        for i, zero in enumerate(frequencies[:, 0].astype(np.int64).tolist()):
            scale, zeros = width >> PRECISION, zero + 1
            ahead = point - lower & _ALL
            if ahead >= scale << PRECISION:
                raise damaged()
            bit = ahead >= scale * zeros
            if bit:
                lower = lower + scale * zeros & _ALL
            width = scale * ((1 << PRECISION) - zeros if bit else zeros)
            if not width >> NARROW:
                word = int(words[count]) if count < len(words) else 0
                lower, width, count = lower << WORD_BITS & _ALL, width << WORD_BITS, count + 1
                point = point << WORD_BITS & _ALL | word
            found[i] = bit
        state[:] = lower, width, point, count
        return found
