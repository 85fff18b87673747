"""Section 2.2: the stack."""

from __future__ import annotations

from collections.abc import Sequence

from reader.errors import DamagedPayloadError
from reader.rangecoder import find

_LEAST_WORDS = 3


class Stack:
    """A stack of words, the top last."""

    def __init__(self, words: Sequence[int]) -> None:
        if words and not words[-1]:
            raise DamagedPayloadError("a stack with a zero word on top")
        self._words, self._state = list(words), 0
        while self._words and not self._state >> 32:
            self._state = self._state << 32 | self._words.pop()

    def written(self) -> list[int]:
        """All words."""
        words = [*self._words, self._state & 0xFFFFFFFF, self._state >> 32]
        while words and not words[-1] and len(words) > len(self._words):
            words.pop()
        return words

    def borrowed(self) -> list[int]:
        """The words that were borrowed, when everything else was popped."""
        *words, top = self.written() or [0]
        if top != 1:
            raise DamagedPayloadError("a stack that does not end with whole words")
        return words

    def pop(self, frequencies: Sequence[int]) -> int:
        quantile = self._state & 0xFFFFFF
        symbol, left = find(frequencies, quantile)
        self._pop(quantile, left, frequencies[symbol] + 1)
        return symbol

    def push(self, symbol: int, frequencies: Sequence[int]) -> None:
        self._push(sum(frequencies[:symbol]) + symbol, frequencies[symbol] + 1)

    def push_interval(self, left: int, probability: int) -> None:
        self._push(left, probability)

    def pop_bits(self, bits: int) -> int:
        """So many even bits."""
        if not bits:
            return 0
        quantile, width = self._state & 0xFFFFFF, 1 << 24 - bits
        self._pop(quantile, quantile // width * width, width)
        return quantile // width

    def push_bits(self, value: int, bits: int) -> None:
        if bits:
            self._push(value << 24 - bits, 1 << 24 - bits)

    def _pop(self, quantile: int, left: int, probability: int) -> None:
        self._state = (self._state >> 24) * probability + quantile - left
        if not self._state >> 32 and self._words:
            self._state = self._state << 32 | self._words.pop()
        if len(self._words) < _LEAST_WORDS and len(self.written()) < _LEAST_WORDS:
            raise DamagedPayloadError("more was popped than there is")

    def _push(self, left: int, probability: int) -> None:
        if self._state >> 40 >= probability:
            self._words.append(self._state & 0xFFFFFFFF)
            self._state >>= 32
        prefix, remainder = divmod(self._state, probability)
        self._state = prefix << 24 | left + remainder
