"""Workspace: the tables that the mixer's kernels look into, and room for all that a step computes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.places import PLACES, SKIPS, classes, letters, tokens
from bfncodec.coding.mixing.state import BITS, GROUP, MixerState, logarithms, logistic_values
from bfncodec.runtime.arrays import Ints, Ints32
from bfncodec.runtime.lines import aligned

Words64 = NDArray[np.uint64]
Ids = NDArray[np.uint32]  # numbers of entries: Numba counts signed ones from the end, too, if they are negative


class Lookups(NamedTuple):
    """Tables, and the state's slots as words."""

    words: Words64  # [slots, 2]
    recalled: Words64  # the dictionary's slots as words [., 2]
    weights: Ints32  # the state's, and zeros behind each set, see `Workspace`. [S, W]
    pace: Ints  # the state's, and zeros behind it [1, W]
    logarithm: Ints  # `logarithms`
    logistic: Ints  # `logistic_values`
    letter: Ints  # `letters`
    kind: Ints  # `classes`
    token: Ints  # `tokens`


class Workspace(NamedTuple):
    """One step of at most L streams, as `StepContexts` and `BitPredictions` have it, but streams before contexts.

    P, Q, W: the numbers of contexts, of experts and of inputs, rounded up to multiples of GROUP; inputs and weights
    behind are 0.
    """

    whole: Ints  # sum of the network's weights of all symbols behind the node [L]
    upper: Ints  # of those of them that go on with a 1 [L]
    counterpart: Ints  # [L]
    places: Ints  # first weight set of the place [L]
    pair: Ints  # weight set of the last two bytes [L]
    expected: Ints  # [K, L]
    form: Ints  # [K, L]
    sums: Words64  # of the least bytes of each kind of match [M, L]
    match_slot: Ints  # of these bytes [L]
    digit: Ints  # [L]
    numeral: Ints  # [L]
    phrase: Words64  # sums of the bytes of each length of phrases, then their marks [R, L]
    bucket: Words64  # of these bytes [R, L]
    entries: Words64  # first half of those of the bucket [R, L]
    place: Words64  # of one stream [PLACES + SKIPS]
    hash: Words64  # what the hashes of the contexts begin with; their tags [O, L]
    slot: Words64  # [O, L]
    recalled: Words64  # slot of the dictionary, if there is one [O, L]
    head: Words64  # the two words of the slots, whatever their tags are [O, L]
    tail: Words64  # [O, L]
    symbols: Words64  # of the rows, a byte for each way, that of the first the lowest. [L, P]
    counts: Words64  # in the same order [L, P]
    new_head: Words64  # the words of the rows in which a symbol is counted, without tags [L, P]
    new_tail: Words64  # [L, P]
    node: Ints  # [L]
    nodes: Ints  # the node before each bit [BITS, L]
    two: Ints  # the last two bytes [L]
    sum: Ints  # of the biases, then the mixture's logit [L]
    state: Ids  # [BITS L, Q]
    longest: Ints  # [BITS, L]
    set: Ints  # of the place [BITS, L]
    match: Ints  # … of matches and numerals [BITS, L]
    inputs: Ints32  # [BITS L, W]
    base: Ints32  # sums of the two weight sets that all bits of a stream share [L, W]
    bias: Ints  # [BITS, L]
    mixed: Ints  # [BITS, L]
    final: Ints  # [BITS, L]
    probability: Ints  # [BITS, L]
    gradient: Ints  # of the sets that were used, zeros between steps [., W]
    both: Ints  # of the two that all bits of a stream share, zeros between streams [1, W]
    seat: Ids  # row of each set among these, from 1 on, zeros between steps [S]
    decided: Ints  # bits that the set of each row was used for
    sets: Ids  # its number
    came: Ints  # bits in each state of a map, and in the upper half ones, zeros between steps
    states: Ids  # those that came, as far as `_count_bits` says
    ones: Ints  # hits of these, then their logits
    zeros: Ints  # trials of these that were none


def new_lookups(state: MixerState, weights: Ints32) -> Lookups:
    """Return the tables of a state. weights: the state's, see `padded`"""
    words, recalled = state.table.view(np.uint64), state.dictionary.view(np.uint64)
    pace = aligned((1, weights.shape[1]), np.int64)
    pace[0, : len(state.pace)] = state.pace
    return Lookups(words, recalled, weights, pace, logarithms(), logistic_values(), letters(), classes(), tokens())


def _width(count: int) -> int:
    """Return how many numbers a row of so many has with those that fill its last group."""
    return -(-count // GROUP) * GROUP


def padded(weights: Ints32) -> Ints32:
    """Return weight sets with zeros behind each."""
    found = aligned((len(weights), _width(weights.shape[1])), np.int32)
    found[:, : weights.shape[1]] = weights
    return found


def new_workspace(state: MixerState, streams: int) -> Workspace:
    """Return buffers for steps of at most so many streams."""
    count, matches, lengths = len(state.salt), len(state.matches.least), len(state.phrases.lengths)
    width, places = _width(state.experts + 2), _width(count)
    sets = 1 + min(len(state.decisions), (4 * BITS + 2) * streams)
    states = min(len(state.predictions), BITS * streams * (state.experts + 1))

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    def words(*shape: int) -> Words64:
        return np.zeros(shape, np.uint64)

    return Workspace(
        whole=ints(streams),
        upper=ints(streams),
        counterpart=ints(streams),
        places=ints(streams),
        pair=ints(streams),
        expected=ints(state.kinds, streams),
        form=ints(state.kinds, streams),
        sums=words(matches, streams),
        match_slot=ints(streams),
        digit=ints(streams),
        numeral=ints(streams),
        phrase=words(lengths, streams),
        bucket=words(lengths, streams),
        entries=words(lengths, streams),
        place=words(PLACES + SKIPS),
        hash=words(count, streams),
        slot=words(count, streams),
        recalled=words(count, streams),
        head=words(count, streams),
        tail=words(count, streams),
        symbols=aligned((streams, places), np.uint64),
        counts=aligned((streams, places), np.uint64),
        new_head=aligned((streams, places), np.uint64),
        new_tail=aligned((streams, places), np.uint64),
        node=ints(streams),
        nodes=ints(BITS, streams),
        two=ints(streams),
        sum=ints(streams),
        state=aligned((BITS * streams, _width(state.experts)), np.uint32),
        longest=ints(BITS, streams),
        set=ints(BITS, streams),
        match=ints(BITS, streams),
        inputs=aligned((BITS * streams, width), np.int32),
        base=aligned((streams, width), np.int32),
        bias=ints(BITS, streams),
        mixed=ints(BITS, streams),
        final=ints(BITS, streams),
        probability=ints(BITS, streams),
        gradient=aligned((sets, width), np.int64),
        both=aligned((1, width), np.int64),
        seat=np.zeros(len(state.decisions), np.uint32),
        decided=ints(sets),
        sets=np.zeros(sets, np.uint32),
        came=ints(len(state.predictions)),
        states=np.zeros(states + 1, np.uint32),
        ones=aligned((states + GROUP,), np.int64),
        zeros=aligned((states + GROUP,), np.int64),
    )
