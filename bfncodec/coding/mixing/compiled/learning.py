"""Kernels of :mod:`bfncodec.coding.mixing.learning`: weights, maps, counts and places after a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.mixing.compiled.matches import learn
from bfncodec.coding.mixing.compiled.places import go_on
from bfncodec.coding.mixing.compiled.workspace import Lookups, Workspace
from bfncodec.coding.mixing.state import (
    BIAS_RATES,
    BITS,
    CALM,
    EXPERT_LIMIT,
    FAST,
    GROUP,
    LIMIT,
    MANY,
    MOST_TRIALS,
    REACH,
    SLOW,
    STATES,
    SYMBOLS,
    TRIAL_BITS,
    MixerState,
)
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Ints
from bfncodec.runtime.jit import compiled, inlined, written

_add_slope = written("bfncodec.coding.mixing.compiled.instructions.learning", "add_slope")
_count_in = written("bfncodec.coding.mixing.compiled.instructions.learning", "count_in")
_learn = written("bfncodec.coding.mixing.compiled.instructions.learning", "learn")
_log_odds_of_group = written("bfncodec.coding.mixing.compiled.instructions.learning", "log_odds")
_move = written("bfncodec.coding.mixing.compiled.instructions.learning", "move")

NOTHING = np.uint64(0)


@compiled
def update(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints) -> None:
    """Learn from all bits of a step, as `learning.update` does."""
    used = _add_slopes(state, work, streams, symbols)
    _update_weights(state, lookups, work, used)
    touched = _count_bits(state, work, symbols)
    _update_maps(state, lookups, work, touched)
    _count_symbols(lookups, work, symbols)
    learn(state.matches, streams, symbols, work.expected)
    go_on(state, lookups, streams, symbols)
    for j in range(len(streams)):
        for k in range(REACH - 1):
            state.history[streams[j], k] = state.history[streams[j], k + 1]
        state.history[streams[j], REACH - 1] = symbols[j]


@compiled
def _add_slopes(state: MixerState, work: Workspace, streams: Ints, symbols: Ints) -> Any:
    """Add up the gradients of all weight sets that were used, and move the biases. Returns how many sets these are."""
    used = 0
    first, second = len(state.orders) + 1, len(state.orders) + 1 + SYMBOLS
    for j in range(len(streams)):
        last = work.two[j] % SYMBOLS
        for k in range(BITS):
            node, row = work.nodes[k, j], k * len(streams) + j
            error = (((symbols[j] >> (BITS - 1 - k)) & 1) << LOGISTIC_BITS) - work.mixed[k, j]
            state.bias_one[last * SYMBOLS + node] += error * BIAS_RATES[0]
            state.bias_two[work.bias[k, j]] += error * BIAS_RATES[1]
            longest, used = _seat(work, work.longest[k, j], 1, used)
            known, used = _seat(work, first + node, 1, used)
            place, used = _seat(work, work.set[k, j], 1, used)
            match, used = _seat(work, work.match[k, j], 1, used)
            _add_slope(work.gradient, longest, known, place, match, work.both, 0, work.inputs, row, error)
        before, used = _seat(work, second + last, BITS, used)
        pair, used = _seat(work, work.pair[j], BITS, used)
        _move(work.both, 0, work.gradient, before, pair)
    return used


@inlined
def _seat(work: Workspace, which: Any, bits: int, used: Any) -> Any:
    """Return the row of a weight set that is used for some bits, and how many rows are taken then."""
    place = np.uint64(which)
    seat = np.int64(work.seat[place])
    if seat == 0:
        used += 1
        seat = used
        work.seat[place], work.sets[seat], work.decided[seat] = seat, place, 0
    work.decided[seat] += bits
    return seat, used


@compiled
def _update_weights(state: MixerState, lookups: Lookups, work: Workspace, used: Any) -> None:
    """Move the weights, as `learning.update_weights` does, by the gradients that `_add_slopes` left."""
    for seat in range(1, used + 1):
        which, many = work.sets[seat], work.decided[seat]
        work.seat[which] = 0
        state.decisions[which] += many
        rate = FAST * CALM // (CALM + state.decisions[which]) + SLOW
        part = max(many // MANY, 1)
        if part > 1:  # divisions are slow
            for i in range(work.gradient.shape[1]):
                work.gradient[seat, i] = work.gradient[seat, i] // part
        _learn(lookups.weights, np.int64(which), work.gradient, seat, lookups.pace, 0, rate)


@compiled
def _count_bits(state: MixerState, work: Workspace, symbols: Ints) -> Any:
    """Count the bits of a step in the states of the adaptive maps that predicted them. Returns how many states these
    are.
    """
    touched, experts = NOTHING, len(state.salt) + len(work.expected)
    for k in range(BITS):
        for j in range(len(symbols)):
            one = (((symbols[j] >> (BITS - 1 - k)) & 1) << 32) + 1
            for o in range(experts):
                touched = _count_bit(work, touched, work.state[k * len(symbols) + j, o], one)
            touched = _count_bit(work, touched, np.uint64(work.final[k, j]), one)
    return np.int64(touched)


@inlined
def _count_bit(work: Workspace, touched: Any, which: Any, one: Any) -> Any:
    """Count a bit in a state. Returns how many states have been counted in."""
    came = work.came[which]
    work.states[touched] = which  # the next one overwrites it if it has been counted in before
    work.came[which] = came + one
    return touched + np.uint64(came == 0)


@compiled
def _update_maps(state: MixerState, lookups: Lookups, work: Workspace, touched: Any) -> None:
    """Update the maps, as `learning.update_maps` does, in the states that `_count_bits` touched."""
    experts = (len(state.salt) + len(work.expected)) * STATES
    for new in range(0, experts, STATES):  # states of experts that know nothing
        work.came[new] = 0
    for i in range(touched):
        which = work.states[i]
        came = work.came[which]
        work.came[which] = 0
        ones = state.hits[which] + ((came >> 32) << TRIAL_BITS)
        trials = state.trials[which] + ((came & 0xFFFFFFFF) << TRIAL_BITS)
        full = np.int64(trials > MOST_TRIALS << TRIAL_BITS)
        ones, trials = ones >> full, trials >> full
        state.hits[which], state.trials[which] = ones, trials
        work.ones[i], work.zeros[i] = ones, trials - ones
    for i in range(0, touched, GROUP):
        _log_odds_of_group(work.ones, i, work.zeros, i, lookups.logarithm, 0)
    for i in range(touched):
        which = work.states[i]
        limit = EXPERT_LIMIT if which < experts else LIMIT
        state.predictions[which] = min(max(work.ones[i], -limit), limit)
    for new in range(0, experts, STATES):
        state.predictions[new] = 0


@compiled
def _count_symbols(lookups: Lookups, work: Workspace, symbols: Ints) -> None:
    """Count the symbols in their contexts, as `learning.count_symbols` does."""
    for j in range(len(symbols)):
        _count_in(work.symbols, j, work.counts, j, work.new_head, j, work.new_tail, j, symbols[j])
    for o in range(len(work.slot)):
        for j in range(len(symbols)):
            slot = work.slot[o, j]
            # Counting changes a row: one that is as it was read is counted in for the first time.
            if lookups.words[slot, 0] == work.head[o, j] and lookups.words[slot, 1] == work.tail[o, j]:
                lookups.words[slot, 0] = work.hash[o, j] | work.new_head[j, o]
                lookups.words[slot, 1] = work.new_tail[j, o]
