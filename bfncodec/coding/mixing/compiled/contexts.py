"""Kernels of :mod:`bfncodec.coding.mixing.contexts`: hashes, slots and look-ups before the first bit of a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.mixing.compiled.matches import expect, find
from bfncodec.coding.mixing.compiled.phrases import recall
from bfncodec.coding.mixing.compiled.places import find_counterparts, hash_places
from bfncodec.coding.mixing.compiled.workspace import Lookups, Workspace
from bfncodec.coding.mixing.state import HASH, HASH_POWERS, NEIGHBOURS, REACH, SYMBOLS, MixerState
from bfncodec.runtime.arrays import Ints, Ints32
from bfncodec.runtime.jit import compiled, inlined, written

_add_rows = written("bfncodec.coding.mixing.compiled.instructions.contexts", "add_rows")
_choose = written("bfncodec.coding.mixing.compiled.instructions.contexts", "choose")
_sum_of = written("bfncodec.coding.mixing.compiled.instructions.contexts", "sum_of")

LONG_HASH, NOTHING, ONE = np.uint64(HASH), np.uint64(0), np.uint64(1)
U8, U16, U29, U32, U48, U64, BYTE = (np.uint64(n) for n in (8, 16, 29, 32, 48, 64, 0xFF))
TAG_BITS, TAGGED = np.uint64(0xFFFF), np.uint64(1 << 8)  # of a row's first word: Numba knows little-endian machines


@compiled
def add_up(work: Workspace, weight: Ints32, streams: int) -> None:
    """Add up the network's weights of each stream."""
    for j in range(streams):
        work.whole[j] = _sum_of(weight, j, 0, SYMBOLS)


@compiled
def find_contexts(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints) -> None:
    """Do what does not wait for the network."""
    for j in range(len(streams)):
        last, before = state.history[streams[j], REACH - 1], state.history[streams[j], REACH - 2]
        work.node[j], work.two[j] = 1, before % SYMBOLS * SYMBOLS + last % SYMBOLS
    find_counterparts(state, work, streams)
    before = len(state.orders) + 1 + SYMBOLS
    for j in range(len(streams)):
        _add_rows(lookups.weights, before + work.two[j] % SYMBOLS, work.pair[j], work.base, j)
    _hash_bytes(state, work, streams)
    find(state.matches, work.sums, streams, work.match_slot)
    expect(state.matches, streams, work.expected, work.form)
    if len(state.phrases.lengths):
        recall(state.phrases, work, len(streams))
    hash_places(state, work, streams)
    _find_slots(state, work, streams)
    _look_up(lookups, work, streams)
    if len(state.dictionary) > NEIGHBOURS:
        _recall(state, lookups, work, streams)


@compiled
def _hash_bytes(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Begin the hashes of contexts of bytes, and those of matches and phrases."""
    least, lengths = state.matches.least, state.phrases.lengths
    for j in range(len(streams)):
        power, known, kind, number = NOTHING, 0, len(least) - 1, 0
        for added in range(REACH):
            power += np.uint64(state.history[streams[j], REACH - 1 - added] + 1) * HASH_POWERS[added]
            while known < len(state.orders) and state.orders[known] == added + 1:  # rising
                work.hash[known, j] = power
                known += 1
            if kind >= 0 and least[kind] == added + 1:  # falling
                work.sums[kind, j] = power
                kind -= 1
            if number < len(lengths) and lengths[number] == added + 1:  # rising
                work.phrase[number, j] = power
                number += 1


@compiled
def _find_slots(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Finish the hashes: slots of all contexts, and their tags."""
    shift, behind = _shift(len(state.table)), _shift(len(state.dictionary))
    for o in range(len(state.salt)):
        for j in range(len(streams)):
            h = work.hash[o, j] + state.salt[o, streams[j]]
            h = (h ^ (h >> U32)) * LONG_HASH
            h ^= h >> U29
            work.slot[o, j], work.recalled[o, j] = (h * LONG_HASH) >> shift, (h * LONG_HASH) >> behind
            work.hash[o, j] = (h & TAG_BITS) | TAGGED


@inlined
def _shift(slots: int) -> Any:
    """Return how far hashes of 64 bits are moved down to be numbers of so many slots."""
    bits = ONE
    while (1 << np.int64(bits)) < slots:
        bits += ONE
    return U64 - bits


@compiled
def _look_up(lookups: Lookups, work: Workspace, streams: Ints) -> None:
    """Choose among the slots of the contexts, see `contexts.look_up`, and read their rows, empty ones of those
    that are new.
    """
    # Lines of the table are far apart: all are asked for before any is looked at, so many are on their way at once.
    for o in range(len(work.slot)):
        for j in range(len(streams)):
            work.head[o, j] = lookups.words[work.slot[o, j], 0]
    for o in range(len(work.slot)):
        for j in range(len(streams)):
            slot = work.slot[o, j]
            own = slot & np.uint64(NEIGHBOURS - 1)
            way = _choose(lookups.words, np.int64(slot - own), np.int64(own), np.int64(work.hash[o, j]))
            best = slot ^ np.uint64(way)
            work.slot[o, j] = best
            work.head[o, j], work.tail[o, j] = lookups.words[best, 0], lookups.words[best, 1]
    for o in range(len(work.slot)):
        for j in range(len(streams)):
            work.symbols[j, o], work.counts[j, o] = _row(work.head[o, j], work.tail[o, j], work.hash[o, j])


@compiled
def _recall(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints) -> None:
    """Let new contexts begin with the rows of a dictionary, see `contexts.recall`."""
    for o in range(len(work.slot)):
        if o < len(state.own) and state.own[o]:
            continue
        for j in range(len(streams)):
            tag = work.hash[o, j]
            if (work.head[o, j] & TAG_BITS) != tag:
                slot = work.recalled[o, j]
                own = slot & np.uint64(NEIGHBOURS - 1)
                way = _choose(lookups.recalled, np.int64(slot - own), np.int64(own), np.int64(tag))
                best = slot ^ np.uint64(way)
                head, tail = lookups.recalled[best, 0], lookups.recalled[best, 1]
                work.symbols[j, o], work.counts[j, o] = _row(head, tail, tag)


@inlined
def _row(head: Any, tail: Any, tag: Any) -> Any:
    """Return the symbols and the counts of a row, zeros if it is of another context than the one with this tag."""
    known = np.uint64((head & TAG_BITS) == tag)
    return ((head >> U16) | ((tail & BYTE) << U48)) * known, (tail >> U8) * known
