"""Compiled kernels of :mod:`bfncodec.coding.mixing.matches`, on the arrays of the same state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.matches import ERRORS, HASH, LEVELS, MOST_COMPARED, NONE, MatchState
from bfncodec.runtime.arrays import Bytes, Ints
from bfncodec.runtime.jit import compiled, inlined

LONG_HASH, U32, U64, ONE = np.uint64(HASH), np.uint64(32), np.uint64(64), np.uint64(1)


@compiled
def find(own: MatchState, sums: NDArray[np.uint64], streams: Ints, slot: Ints) -> None:
    """Implements `matches.find`. slot: of each stream, room for it. [L]"""
    room, shift = own.text.shape[1], U64
    while (1 << np.int64(U64 - shift)) < own.heads.shape[1]:
        shift -= ONE
    for kind in range(len(own.least)):
        least = own.least[kind]
        for j in range(len(streams)):
            h = (sums[kind, j] ^ (sums[kind, j] >> U32)) * LONG_HASH
            slot[j] = np.int64(h >> shift)
        for j in range(len(streams)):
            stream = streams[j]
            place = np.int64(own.heads[kind, slot[j]]) - 1
            if own.length[kind, stream] < least and place >= 0:
                length = _length(own.text[place // room], place % room, own.text[stream], own.known[stream])
                if length >= least:
                    own.place[kind, stream], own.length[kind, stream], own.wrong[kind, stream] = place, length, 0
        for j in range(len(streams)):
            own.heads[kind, slot[j]] = streams[j] * room + own.known[streams[j]] + 1


@inlined
def _length(text: Bytes, place: Any, other: Bytes, here: Any) -> Any:
    """`matches._length` of a place of a text and of one of another."""
    length, most = 0, min(min(place, here), MOST_COMPARED)
    while length < most and text[place - 1 - length] == other[here - 1 - length]:
        length += 1
    return length


@compiled
def expect(own: MatchState, streams: Ints, byte: Ints, form: Ints) -> None:
    """Implements `matches.expected`: sets bytes and forms."""
    room = own.text.shape[1]
    for kind in range(len(own.least)):
        for j in range(len(streams)):
            place, rest, errors = own.place[kind, streams[j]], own.wrong[kind, streams[j]], 0
            byte[kind, j] = np.int64(own.text[place // room, place % room]) if place >= 0 else NONE
            for _ in range(ERRORS - 1):
                errors += 1 if rest > 0 else 0
                rest &= rest - 1
            length = own.length[kind, streams[j]]
            form[kind, j] = min(min(length >> 2, 7 + (length >> 5)), LEVELS - 1) * ERRORS + errors


@inlined
def foretold(byte: Ints, form: Ints, j: int) -> Any:
    """`matches.foretold` of one stream."""
    found = 0
    for kind in range(len(byte) - 1, -1, -1):
        if byte[kind, j] >= 0:
            found = 1 + byte[kind, j] + 256 * form[kind, j]
    return np.uint64(found)


@compiled
def learn(own: MatchState, streams: Ints, symbols: Ints, byte: Ints) -> None:
    """Implements `matches.learn`. byte: see `expect`"""
    room = own.text.shape[1]
    for j in range(len(streams)):
        known = own.known[streams[j]]
        if known < room:
            own.text[streams[j], known], own.known[streams[j]] = symbols[j], known + 1
    for kind in range(len(own.least)):
        for j in range(len(streams)):
            stream, after, right = streams[j], own.place[kind, streams[j]] + 1, byte[kind, j] == symbols[j]
            own.wrong[kind, stream] = ((own.wrong[kind, stream] << 1) | (0 if right else 1)) & 255
            if after % room > 0 and after % room < own.known[after // room]:  # place NONE is followed by 0
                own.place[kind, stream] = after
                own.length[kind, stream] = own.length[kind, stream] + 1 if right else 0
            else:
                own.place[kind, stream], own.length[kind, stream] = NONE, 0
