"""Kernels of :mod:`bfncodec.coding.mixing.matches`, on the arrays of the same state."""

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
            head = np.int64(own.heads[kind, slot[j]]) - 1
            if own.length[kind, stream] < least and head >= 0:
                other = head // room
                place = head - other * room
                length = _length(own.text[other], place, own.text[stream], own.known[stream])
                if length >= least:
                    own.stream[kind, stream], own.place[kind, stream] = other, place
                    own.length[kind, stream], own.wrong[kind, stream] = length, 0
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
    for kind in range(len(own.least)):
        for j in range(len(streams)):
            stream, place = own.stream[kind, streams[j]], own.place[kind, streams[j]]
            byte[kind, j] = np.int64(own.text[stream, place]) if place >= 0 else NONE
            rest, errors, length = own.wrong[kind, streams[j]], np.int64(0), own.length[kind, streams[j]]
            for _ in range(ERRORS - 1):
                errors += np.int64(rest > 0)
                rest &= rest - 1
            form[kind, j] = min(min(length >> 2, 7 + (length >> 5)), LEVELS - 1) * ERRORS + errors


@inlined
def foretold(byte: Ints, form: Ints, kinds: int, j: int) -> Any:
    """`matches.foretold` of so many kinds and one stream."""
    found = 0
    for kind in range(kinds - 1, -1, -1):
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
            stream, place, right = streams[j], own.place[kind, streams[j]], np.int64(byte[kind, j] == symbols[j])
            goes_on = np.int64((place >= 0) & (place + 1 < own.known[own.stream[kind, stream]]))
            own.wrong[kind, stream] = ((own.wrong[kind, stream] << 1) | (1 - right)) & 255
            own.place[kind, stream] = (place + 1) * goes_on + NONE * (1 - goes_on)
            own.length[kind, stream] = (own.length[kind, stream] + 1) * right * goes_on
