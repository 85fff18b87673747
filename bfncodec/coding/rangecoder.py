"""Range coding (Martin 1979) of symbols whose integer frequencies both sides compute, which the erasure sender needs.

Frequencies are integers that sum to ``TOTAL(n) = 2^24 - n`` over the n symbols of an alphabet, zeros allowed; the
coder adds one to each, so that every symbol stays codable. constriction does the coding: handed rows that sum to
exactly that total it scales them by exactly 1, and no rounding happens between these integers and the bits (tested in
tests/coding/test_rangecoder.py).

A range coder ends with whole 32-bit words. `RangeEncoder.finish` instead writes the shortest byte string inside the
final interval, which saves 4 to 7 bytes a file; the decoder reads zeros after the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from bfncodec.errors import DamagedError
from bfncodec.forks import cached_property
from bfncodec.runtime.arrays import Floats, Floats32, Ints, Ints32, Words

PRECISION = 24
_WORD, _STATE = 32, 64


def total(symbols: int) -> int:
    """Return what the frequencies of an alphabet sum to before the coder adds one to each."""
    return (1 << PRECISION) - symbols


def information(frequency: NDArray[np.integer]) -> Floats:
    """Bits that a symbol of this frequency costs: -log2((frequency + 1) / 2^24)."""
    result: Floats = PRECISION - np.log2(frequency.astype(np.float64) + 1)
    return result


class SymbolSource(Protocol):
    """A source of symbols, one call after the other: those of a payload (`RangeDecoder`), or of random bits."""

    def decode_rows(self, frequencies: Floats32) -> Ints32:
        """The next symbols [N] under frequencies [N, n], float32 holding integers, rows sum to total(n)."""


class RangeEncoder:
    """An encoder that collects symbols and gives their shortest code."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()
        self._family = constriction.stream.model.Categorical(perfect=False)

    def encode_rows(self, symbols: NDArray[np.integer], frequencies: Floats32) -> None:
        """Append symbols [N] under frequencies [N, n], float32 holding integers, rows sum to total(n)."""
        if len(symbols):
            self._coder.encode(symbols.astype(np.int32), self._family, np.ascontiguousarray(frequencies))

    def encode_intervals(
        self, below: NDArray[np.integer], frequency: NDArray[np.integer], symbol: NDArray[np.integer], symbols: int
    ) -> None:
        """Append symbols known by their own frequency and the sum of those below them, all int [N]. Cheaper than
        whole rows and the same bits: the row [f_0 … f_n-1] is summarised by three classes in which the symbol has the
        same interval.
        """
        self.encode_classes(*summarise(below.astype(np.int64), frequency.astype(np.int64), symbol, symbols))

    def encode_classes(self, rows: Floats32, place: Ints32) -> None:
        """Append symbols that `summarise` has summarised: three classes of each, [N, 3], and its place, [N]."""
        if len(place):
            self._coder.encode(place, self._family, rows)

    def finish(self) -> bytes:
        """The shortest bytes that decode to what was appended."""
        position, (lower, width) = self._coder.pos()
        words = np.asarray(self._coder.get_compressed(), dtype=">u4")
        prefix = int.from_bytes(words[:position].tobytes(), "big")
        # constriction closes at the first word boundary after `lower` and has carried into the prefix if that wraps.
        return shortest(prefix - ((lower + (1 << _WORD) - 1) >> _STATE), position * _WORD, lower, width)


def shortest(prefix: int, bits: int, lower: int, width: int) -> bytes:
    """Return the shortest bytes in the interval [lower, lower + width) of 2^-64 behind a number of so many bits."""
    for count in range(_STATE // 8 + 1):
        shift = _STATE - 8 * count
        point = -(-lower >> shift) << shift
        if point < lower + width:
            break
    prefix += point >> _STATE
    tail = (point & ((1 << _STATE) - 1)).to_bytes(_STATE // 8, "big")
    return (prefix.to_bytes(bits // 8, "big") + tail).rstrip(b"\0")


class RangeEncoders:
    """Several encoders that take turns, line after line. count: their number; symbols: of their alphabet."""

    def __init__(self, count: int, symbols: int) -> None:
        self._encoders, self._symbols = [RangeEncoder() for _ in range(count)], symbols

    def append(self, counts: Ints, found: Ints32) -> None:
        """Append the symbols of some lines: of each line, each encoder's first symbols, then its second ones, ...

        counts: places of each encoder in each line, int64 [lines, encoders], behind each other; found: of the S symbols
        of each place, these, the frequencies below them and their own, int32 [3, S, places].
        """
        place, sizes = _coding_order(counts, found.shape[1])
        symbol, below, frequency = np.empty((3, place.size), np.int32)
        for line, values in zip((symbol, below, frequency), found, strict=True):
            line[place] = values
        # Summarised in one call, as a call takes as long as hundreds of symbols.
        rows, middle = summarise(below.astype(np.int64), frequency.astype(np.int64), symbol, self._symbols)
        edges = accumulate(sizes.tolist(), initial=0)
        for encoder, (start, end) in zip(self._encoders, pairwise(edges), strict=True):
            encoder.encode_classes(rows[start:end], middle[start:end])

    def finish(self) -> list[bytes]:
        """Return the shortest bytes of each that decode to what was appended."""
        return [encoder.finish() for encoder in self._encoders]


def _coding_order(counts: Ints, symbols: int) -> tuple[Ints, Ints]:
    """Return the place of each symbol of some lines, [symbols, n], when each encoder has its own together, line by
    line, in a line symbol by symbol; and the number that each encoder has. counts: [lines, encoders]
    """
    by_encoder = counts.T
    ends = np.cumsum(by_encoder).reshape(by_encoder.shape).T
    piece = np.repeat(np.arange(counts.size), counts.reshape(-1))
    many, start = counts.reshape(-1), (ends - counts).reshape(-1)
    inside = np.arange(piece.size) - (many.cumsum() - many)[piece]
    place = (symbols * start)[piece] + inside + np.arange(symbols)[:, None] * many[piece]
    return place, symbols * counts.sum(0)


class CodeState(NamedTuple):
    """A range decoder in numbers, for kernels that read bits.

    words: of the code, after whose end there are zeros; state: lower and width of the interval, the point in it that
    the code is, each below 2^64, and the number of words that were read, uint64 [4].
    """

    words: Words
    state: NDArray[np.uint64]


class RangeDecoder:
    """A decoder of what a RangeEncoder wrote, in the same order: by `decode_rows`, or by a kernel on `code` alone."""

    def __init__(self, payload: bytes) -> None:
        padded = payload + bytes(-len(payload) % 4 + 12)
        self._words = np.frombuffer(padded, dtype=">u4").astype(np.uint32)
        self._family = constriction.stream.model.Categorical(perfect=False)

    @cached_property
    def _coder(self) -> Any:
        return constriction.stream.queue.RangeDecoder(self._words)

    @cached_property
    def code(self) -> CodeState:
        """The decoder's state before the first symbol, which the kernels that read move."""
        first, second = self._words[:2].tolist()
        point = first << _WORD | second
        return CodeState(self._words, np.array([0, (1 << _STATE) - 1, point, 2], np.uint64))

    def decode_rows(self, frequencies: Floats32) -> Ints32:
        """The next symbols [N] under frequencies [N, n], float32 holding integers, rows sum to total(n)."""
        if not len(frequencies):
            return np.zeros(0, np.int32)
        try:
            symbols: Ints32 = self._coder.decode(self._family, np.ascontiguousarray(frequencies))
        except AssertionError as error:
            raise damaged() from error
        return symbols


class Codes(NamedTuple):
    """Several range decoders in numbers, for kernels that read from all: their words behind each other.

    ends: the end of each one's words; state: of each, as `CodeState` has it, the words counted from the first of all,
    uint64 [decoders, 4].
    """

    words: Words
    ends: Ints
    state: NDArray[np.uint64]

    @classmethod
    def of(cls, decoders: Sequence[RangeDecoder]) -> Codes:
        """Return decoders of which no symbol was read."""
        codes = [decoder.code for decoder in decoders]
        ends = np.cumsum([len(code.words) for code in codes])
        state = np.stack([code.state for code in codes])
        state[:, 3] += (ends - [len(code.words) for code in codes]).astype(np.uint64)
        return cls(np.concatenate([code.words for code in codes]), ends, state)


def damaged() -> DamagedError:
    """Return the error of a code that no encoder writes."""
    return DamagedError("expected a range-coded payload, found bits no encoder writes: the payload is damaged")


def summarise(below: Ints, frequency: Ints, symbol: NDArray[np.integer], symbols: int) -> tuple[Floats32, Ints32]:
    """Three frequencies [N, 3] and the symbol's place among them, with the interval that the whole row would give it.

    The coder's interval of class j starts at (sum of frequencies before j) + j, so the classes that stand for `symbol`
    others hold symbol - 1 (middle class) or symbol - 2 (last class) more than their frequencies.
    """
    last = symbol == symbols - 1
    first = symbol == 0
    middle = np.where(first, 0, np.where(last, 2, 1)).astype(np.int32)
    before = np.where(last & ~first, below + symbol - 2, below + symbol - 1)
    rest = total(3) - frequency
    rows = np.empty((len(symbol), 3), np.float32)
    rows[:, 0] = np.where(first, frequency, before)
    rows[:, 1] = np.where(first, rest, np.where(last, 0, frequency))
    rows[:, 2] = np.where(first, 0, np.where(last, frequency, rest - before))
    return rows, middle
