"""Section 2.1: the range coder. The encoder is here for vectors."""

from __future__ import annotations

from collections.abc import Sequence

from reader.errors import DamagedPayloadError

_MASK = (1 << 64) - 1


class RangeDecoder:
    """A decoder of a code. word: bytes of a word, 3 in codes of bits."""

    def __init__(self, code: bytes, word: int = 4) -> None:
        self._code, self._at, self._word = code, 8, word
        self._lower, self._range = 0, _MASK
        self._point = self._number(0, 8)

    def symbol(self, frequencies: Sequence[int]) -> int:
        """The next symbol."""
        scale = self._range >> 24
        quantile = ((self._point - self._lower) & _MASK) // scale
        if quantile >> 24:
            raise DamagedPayloadError("a code that no encoder writes")
        symbol, left = find(frequencies, quantile)
        self._lower = (self._lower + scale * left) & _MASK
        self._range = scale * (frequencies[symbol] + 1)
        bits = 8 * self._word
        if not self._range >> 64 - bits:
            self._lower = self._lower << bits & _MASK
            self._range <<= bits
            self._point = (self._point << bits & _MASK) | self._number(self._at, self._word)
            self._at += self._word
        return symbol

    def _number(self, at: int, count: int) -> int:
        return int.from_bytes(self._code[at : at + count].ljust(count, b"\0"), "big")


class RangeEncoder:
    """An encoder. word: bytes of a word."""

    def __init__(self, word: int = 4) -> None:
        self._prefix, self._words, self._word = 0, 0, word  # what was written, as one number, with all carries
        self._lower, self._range = 0, _MASK

    def symbol(self, symbol: int, frequencies: Sequence[int]) -> None:
        """Append a symbol."""
        scale = self._range >> 24
        lower = self._lower + scale * (sum(frequencies[:symbol]) + symbol)
        self._prefix += lower >> 64
        self._lower = lower & _MASK
        self._range = scale * (frequencies[symbol] + 1)
        bits = 8 * self._word
        if not self._range >> 64 - bits:
            self._prefix = self._prefix << bits | self._lower >> 64 - bits
            self._words += 1
            self._lower = self._lower << bits & _MASK
            self._range <<= bits

    def finish(self) -> bytes:
        """The shortest code."""
        for count in range(9):
            shift = 64 - 8 * count
            point = -(-self._lower >> shift) << shift
            if point < self._lower + self._range:
                break
        return ((self._prefix << 64) + point).to_bytes(self._word * self._words + 8, "big").rstrip(b"\0")


def find(frequencies: Sequence[int], quantile: int) -> tuple[int, int]:
    """(the symbol that a quantile belongs to, its left)"""
    left = 0
    for symbol, frequency in enumerate(frequencies):
        if quantile <= left + frequency:
            return symbol, left
        left += frequency + 1
    raise AssertionError("frequencies that do not sum to T(n)")
