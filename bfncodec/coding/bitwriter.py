"""The encoder of :mod:`bfncodec.coding.bitcoder`, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.bitcoder import COUNT, LOWER, NARROW, WIDTH, WORD_BITS, BitEncoder
from bfncodec.coding.rangecoder import PRECISION
from bfncodec.runtime.arrays import Array, Ints, Words
from bfncodec.runtime.jit import compiled

U24, U_WORD, U_NARROW = np.uint64(PRECISION), np.uint64(WORD_BITS), np.uint64(NARROW)
FULL = np.uint32((1 << WORD_BITS) - 1)


class CompiledBitEncoder(BitEncoder):
    """A `BitEncoder` whose bits a kernel appends."""

    def _code(self, words: Words, state: Array, left: Ints, share: Ints) -> None:
        append_bits(words, state, left, share)


@compiled
def append_bits(words: Words, state: Array, left: Ints, share: Ints) -> None:
    """Implements `BitEncoder._code`."""
    lower, width, count = state[LOWER], state[WIDTH], np.int64(state[COUNT])
    for i in range(len(left)):
        scale = width >> U24
        step = scale * np.uint64(left[i])
        lower += step
        if lower < step:
            _carry(words, count)
        width = scale * np.uint64(share[i])
        if not width >> U_NARROW:
            words[count] = lower >> U_NARROW
            lower, width, count = lower << U_WORD, width << U_WORD, count + 1
    state[LOWER], state[WIDTH], state[COUNT] = lower, width, np.uint64(count)


@compiled
def _carry(words: Words, count: Any) -> None:
    """`bitcoder._carry`"""
    count -= 1
    while words[count] == FULL:
        words[count] = 0
        count -= 1
    words[count] += np.uint32(1)
