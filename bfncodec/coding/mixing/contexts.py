"""The contexts of a step: what a mixer does before the first bit. It hashes them, finds their slots in the table and
reads which symbols followed them so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing import matches, numerals, phrases
from bfncodec.coding.mixing.places import NUMBER, PLACE_SETS, counterparts, place_hashes
from bfncodec.coding.mixing.state import (
    HASH,
    HASH_POWERS,
    NEIGHBOURS,
    PAIR_BITS,
    SHORT_HASH,
    SYMBOLS,
    TAG,
    WAYS,
    MixerState,
)
from bfncodec.runtime.arrays import Bytes, Ints, Ints32

Counts = NDArray[np.int16]
Tags = NDArray[np.uint16]


@dataclass(frozen=True)
class StepContexts:
    """The contexts of a step, before its first bit. O contexts, L streams of this step."""

    streams: Ints  # numbers of the streams [L]
    history: Ints  # [L, REACH]
    expected: Ints  # byte that each match, and then the phrase, expects, -1 for none [K, L]
    form: Ints  # of each, see `matches.expected` and `phrases.recall` [K, L]
    below: Ints  # sum of the network's weights of the symbols before each [L, 257]
    slot: Ints  # of the table [O, L]
    row: Bytes  # in it, zeros where the context is new. [O, L, ROW]
    symbols: Bytes  # of the rows, the latest first [WAYS, O, L]
    counts: Counts  # of each [WAYS, O, L]
    last: Ints  # byte before [L]
    two: Ints  # last two bytes [L]
    counterpart: Ints  # see `places.counterparts` [L]
    place: Ints  # first weight set of the place [L]
    pair: Ints  # weight set of the last two bytes [L]
    digit: Ints  # that a numeral is expected to go on with, see `numerals.foreseen` [L]
    numeral: Ints  # first weight set of it, -1 for none [L]


def find_contexts(state: MixerState, weight: Ints32, streams: Ints) -> StepContexts:
    """Return the contexts of the next symbols of some streams; matches go on to what they follow from here.

    weight: the network's, of all symbols [L, 256]; streams: their numbers [L]
    """
    below = np.zeros((len(streams), SYMBOLS + 1), np.int64)
    weight.cumsum(1, out=below[:, 1:])
    history = state.history.take(streams, 0)
    sums = np.cumsum((history.T[::-1] + 1).astype(np.uint64) * HASH_POWERS[:, None], 0)
    matches.find(state.matches, sums.take(state.matches.least - 1, 0), streams)
    byte, form = matches.expected(state.matches, streams)
    numeral = numerals.expected(state.numerals, state.marks[streams, NUMBER].astype(np.int64), streams)
    places = begin_places(state, history, streams, matches.foretold(byte, form), numeral)
    word, tag = find_slots(state, sums, places, streams)
    if len(state.phrases.lengths):
        phrase = phrases.recall(state.phrases, sums)
        byte, form = np.vstack([byte, phrase[0]]), np.vstack([form, phrase[1]])
    slot, row = look_up(state.table, word, tag)
    if len(state.dictionary) > NEIGHBOURS:
        recall(state, word, tag, row)
    head = row.view(np.uint16)[:, :, 0]
    row.view(np.uint64)[...] *= (head == tag)[:, :, None]
    head[...] = tag
    ways = np.ascontiguousarray(row[:, :, TAG:].transpose(2, 0, 1))
    last = history[:, -1] % SYMBOLS
    two = history[:, -2] % SYMBOLS * SYMBOLS + last
    symbols, counts = ways[:WAYS], ways[WAYS:].astype(np.int16)
    above = counterparts(state.marks[streams], state.lines[streams])
    pair = state.first_place + PLACE_SETS + ((two * SHORT_HASH & 0xFFFFFFFF) >> (32 - PAIR_BITS))
    sets = *above, pair, *numerals.foreseen(numeral)
    return StepContexts(streams, history, byte, form, below, slot, row, symbols, counts, last, two, *sets)


def begin_places(
    state: MixerState, history: Ints, streams: Ints, foretold: NDArray[np.uint64], numeral: Ints
) -> NDArray[np.uint64]:
    """Return what the hashes of places begin with, see `places.place_hashes`, [O - B, L]."""
    where = state.marks[streams], state.lines[streams], state.column[streams]
    return place_hashes(*where, history, foretold, numeral).take(state.places, 0)


def find_slots(
    state: MixerState, sums: NDArray[np.uint64], places: NDArray[np.uint64], streams: Ints
) -> tuple[NDArray[np.uint64], Tags]:
    """(word that slots begin with, tag) of each context, [O, L]; tags are not 0. Arithmetic modulo 2^64.

    sums: over the latest bytes, the first alone, then two of them … [REACH, L]; places: see `begin_places`
    """
    h = np.concatenate([sums.take(state.orders - 1, 0), places])
    h += state.salt.take(streams, 1)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(HASH)
    h ^= h >> np.uint64(29)
    return h * np.uint64(HASH), h.astype(np.uint16) | np.uint16(1 << 8)


def look_up(table: Bytes, word: NDArray[np.uint64], tag: Tags) -> tuple[Ints, Bytes]:
    """(slot, row) of each context: of four slots side by side that which has the tag, else the one whose symbols came
    least often, the first of equal ones. word: its highest bits say which slot is its own
    """
    slot = (word >> np.uint64(65 - len(table).bit_length())).astype(np.int64)
    slots = slot ^ np.arange(NEIGHBOURS)[:, None, None]
    rows = table.take(slots, 0)
    came = rows[..., TAG + WAYS :].sum(-1, dtype=np.int64)
    slot = slot ^ np.where(rows.view(np.uint16)[..., 0] == tag, -1, came).argmin(0)
    return slot, table.take(slot, 0)


def recall(state: MixerState, word: NDArray[np.uint64], tag: Tags, row: Bytes) -> None:
    """Let contexts that the text's own table does not have begin with the rows of the dictionary's; those that a stream
    counts for itself begin with nothing.
    """
    new = row.view(np.uint16)[:, :, 0] != tag
    new[np.flatnonzero(state.own)] = False
    row[new] = look_up(state.dictionary, word, tag)[1][new]
