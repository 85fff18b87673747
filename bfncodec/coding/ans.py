"""A stack of bits: asymmetric numeral systems (Duda 2013), which bits-back coding needs.

Pushing a symbol and popping it under the same distribution leave the stack as it was, to the bit, and popping from any
bits draws from the distribution. Frequencies are integers as in :mod:`bfncodec.coding.rangecoder`.
"""

from __future__ import annotations

import constriction
import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.rangecoder import summarise
from bfncodec.errors import DamagedError
from bfncodec.runtime.arrays import Floats32, Ints32, Words

_WORD = 32
_MOST_BITS = 24  # that one symbol takes from a stack
_LEAST_WORDS = 3  # below, the coder's 64-bit state is no longer full and what is popped is no longer free of bias


class EmptyStackError(DamagedError):
    """More was popped than there was. For an encoder: begin with more bits. For a decoder: the payload is damaged."""


class AnsStack:
    """Last in, first out. Arrays are pushed so that popping gives them in their own order."""

    def __init__(self, words: Words, borrowed: bool = False) -> None:
        """Begin with a stack as `written` gave it, uint32 [M]; or, borrowed, with any initial bits, which `returned`
        gives back.

        Raises DamagedError for words that no stack can be.
        """
        try:
            self._coder = constriction.stream.stack.AnsCoder(
                np.ascontiguousarray(words, dtype=np.uint32), seal=borrowed
            )
        except ValueError as error:
            raise DamagedError(f"expected a stack of bits, found others ({error}): the payload is damaged") from error
        self._family = constriction.stream.model.Categorical(perfect=False)
        self.lowest = self.bits

    @property
    def bits(self) -> int:
        """Bits on the stack."""
        return int(self._coder.num_words()) * _WORD

    @property
    def valid_bits(self) -> int:
        """Bits on the stack without those that its last words do not fill yet: for measuring single steps."""
        return int(self._coder.num_valid_bits())

    def written(self) -> Words:
        """Everything on the stack, uint32 [M]."""
        return np.asarray(self._coder.get_compressed(), dtype=np.uint32)

    def returned(self) -> Words:
        """The borrowed bits, when everything has been popped, uint32 [M]. Raises DamagedError if these cannot be
        they.
        """
        try:
            return np.asarray(self._coder.get_compressed(unseal=True), dtype=np.uint32)
        except (AssertionError, ValueError) as error:
            raise DamagedError(
                "expected a stack of whole words after the last symbol, found parts of one: the payload is damaged"
            ) from error

    def push_rows(self, symbols: NDArray[np.integer], frequencies: Floats32) -> None:
        """Push symbols [N] under frequencies [N, n], float32 holding integers, rows sum to total(n)."""
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), self._family, np.ascontiguousarray(frequencies))

    def push_intervals(
        self, below: NDArray[np.integer], frequency: NDArray[np.integer], symbol: NDArray[np.integer], symbols: int
    ) -> None:
        """Push symbols given by their own frequency and the sum of those below, all int [N]: the same bits as
        `push_rows` writes for whole rows of so many symbols.
        """
        if len(symbol):
            rows, middle = summarise(below.astype(np.int64), frequency.astype(np.int64), symbol, symbols)
            self._coder.encode_reverse(middle, self._family, rows)

    def pop_rows(self, frequencies: Floats32) -> Ints32:
        """Symbols [N] under frequencies [N, n]. Raises EmptyStackError."""
        if not len(frequencies):
            return np.zeros(0, np.int32)
        self._reserve(len(frequencies))
        symbols: Ints32 = self._coder.decode(self._family, np.ascontiguousarray(frequencies))
        self._check()
        return symbols

    def pop_inner_rows(self, frequencies: Floats32) -> Ints32 | None:
        """Pop symbols as `pop_rows` does; if any of them is the first or the last of its row, pop nothing and return
        None.

        Raises EmptyStackError.
        """
        self._reserve(len(frequencies))
        symbols: Ints32 = self._coder.decode(self._family, frequencies)
        if symbols.min() == 0 or symbols.max() == frequencies.shape[1] - 1:
            # Exact even where there was nothing left to pop: the coder's state then shrinks, and grows again.
            self._coder.encode_reverse(symbols, self._family, frequencies)
            return None
        self._check()
        return symbols

    def push_bits(self, value: int, bits: int) -> None:
        """Push an integer in [0, 2^bits) whose values are all as likely; bits at most 24."""
        if bits:
            self._coder.encode_reverse(np.array([value], np.int32), constriction.stream.model.Uniform(1 << bits))

    def pop_bits(self, bits: int) -> int:
        """Pop an integer in [0, 2^bits): inverse of `push_bits`. Raises EmptyStackError."""
        if not bits:
            return 0
        self._reserve(1)
        value = int(self._coder.decode(constriction.stream.model.Uniform(1 << bits)))
        self._check()
        return value

    def _reserve(self, symbols: int) -> None:
        """Make ready to pop so many symbols. Does nothing: a stack holds what was put on it."""

    def _check(self) -> None:
        words = int(self._coder.num_words())
        self.lowest = min(self.lowest, words * _WORD)
        if words < _LEAST_WORDS:
            raise EmptyStackError("expected more bits on the stack: the payload is damaged")


class RandomStack(AnsStack):
    """Random bits without end, which decode to samples of whatever distributions they are popped under.

    Every sequence of bits is what some symbols leave on a stack, so popping never fails. A range decoder is no such
    source: its intervals leave a gap of about 1e-4 of the whole at every symbol, where no encoder's bits lie.

    seed: the same seed gives the same bits on every machine and with every release of NumPy, which promises that for
    its bit generators and seed sequences, but not for the distributions drawn with them.
    """

    def __init__(self, seed: np.random.SeedSequence) -> None:
        self._bits = np.random.PCG64(seed)
        super().__init__(self._words(_LEAST_WORDS), borrowed=True)

    def decode_rows(self, frequencies: Floats32) -> Ints32:
        """`pop_rows`: see :class:`bfncodec.coding.rangecoder.SymbolSource`."""
        return self.pop_rows(frequencies)

    def _reserve(self, symbols: int) -> None:
        """Put as many random words under the stack as the symbols may take, or as there are, if that is more."""
        held, needed = self._coder.num_words(), _LEAST_WORDS + -(-symbols * _MOST_BITS // _WORD)
        if held < needed:
            words = np.concatenate([self._words(max(needed, held)), self.written()])
            self._coder = constriction.stream.stack.AnsCoder(words)

    def _words(self, count: int) -> Words:
        drawn = np.asarray(self._bits.random_raw(-(-count // 2)), dtype="<u8")
        return drawn.view("<u4").astype(np.uint32)
