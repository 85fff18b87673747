"""Learning: what a mixer does after a step. It moves weights and biases down the gradient of the code length, counts
bits in adaptive maps, counts symbols in the table's rows, and moves on to the next place.
"""

from __future__ import annotations

import numpy as np

from bfncodec.coding.mixing import matches, numerals
from bfncodec.coding.mixing.bits import bits_of
from bfncodec.coding.mixing.contexts import StepContexts
from bfncodec.coding.mixing.places import NUMBER, PLACE_SETS, go_on
from bfncodec.coding.mixing.prediction import BitPredictions
from bfncodec.coding.mixing.state import (
    BIAS_RATES,
    BITS,
    CALM,
    FAST,
    MANY,
    MOST_COUNT,
    MOST_TRIALS,
    MOST_WEIGHT,
    PACE_BITS,
    PAIR_BITS,
    ROW,
    SLOW,
    STATES,
    SYMBOLS,
    TAG,
    TRIAL_BITS,
    WAYS,
    MixerState,
    map_logits,
)
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Ints


def update(state: MixerState, contexts: StepContexts, predicted: BitPredictions, symbols: Ints) -> None:
    """Learn from all bits of a step."""
    bits = bits_of(symbols)
    error = (bits << LOGISTIC_BITS) - predicted.mixed
    np.add.at(state.bias_one, contexts.last * SYMBOLS + predicted.node, error * BIAS_RATES[0])
    np.add.at(state.bias_two, predicted.bias, error * BIAS_RATES[1])
    update_weights(state, contexts, predicted, error)
    update_maps(state, predicted, bits)
    count_symbols(state, contexts, symbols)
    state.history[contexts.streams] = np.concatenate([contexts.history[:, 1:], symbols[:, None]], 1)
    fields = state.marks[contexts.streams, NUMBER].astype(np.int64)
    numerals.go_on(state.numerals, fields, contexts.streams, symbols)
    go_on(state.marks, state.lines, state.column, contexts.streams, symbols)
    matches.learn(state.matches, contexts.streams, symbols)


def update_weights(state: MixerState, contexts: StepContexts, predicted: BitPredictions, error: Ints) -> None:
    """Gradient step of the weight sets that were used. error: bit - p, [BITS, L], in units of 2^-20"""
    slope = predicted.inputs * error[:, :, None]
    parts = (
        _sums(predicted.longest, slope, len(state.orders) + 1),
        _sums(predicted.node, slope, SYMBOLS),
        _sums(contexts.last, slope.sum(0), SYMBOLS),
        _sums(predicted.place, slope, PLACE_SETS),
        _sums(contexts.pair - state.first_place - PLACE_SETS, slope.sum(0), 1 << PAIR_BITS),
        _sums(predicted.match, slope, matches.set_count(state.kinds) + numerals.DIGIT_SETS),
    )
    gradient = np.concatenate([sums for sums, _ in parts])
    bits = 1, 1, BITS, 1, BITS, 1  # of a byte under one set
    decisions = np.concatenate([own * many for own, (_, many) in zip(bits, parts, strict=True)])
    used = np.flatnonzero(decisions)
    decisions = decisions[used]
    state.decisions[used] += decisions
    rate = FAST * CALM // (CALM + state.decisions[used]) + SLOW
    step = gradient[used] // np.maximum(decisions // MANY, 1)[:, None]
    # slopes are in units of 2^-20 and 1 / LOGISTIC_STEPS = 2^-9, rates of 2^-16, weights of 2^-20
    step *= rate[:, None] * state.pace
    changed = state.weights[used] + ((step + (1 << (24 + PACE_BITS))) >> (25 + PACE_BITS))
    state.weights[used] = changed.clip(-MOST_WEIGHT, MOST_WEIGHT)


def update_maps(state: MixerState, predicted: BitPredictions, bits: Ints) -> None:
    """Count bits in the states of the adaptive maps. bits: [BITS, L]"""
    which = np.concatenate([predicted.state, predicted.final[:, None]], 1)
    came = np.bincount((2 * which + bits[:, None]).ravel(), minlength=2 * len(state.trials)).reshape(-1, 2)
    came[: state.first_final : STATES] = 0  # of experts that know nothing
    seen = np.flatnonzero(came.any(1))
    state.hits[seen] += came[seen, 1] << TRIAL_BITS
    state.trials[seen] += came[seen].sum(1) << TRIAL_BITS
    full = seen[state.trials[seen] > MOST_TRIALS << TRIAL_BITS]
    state.hits[full] >>= 1
    state.trials[full] >>= 1
    state.predictions[seen] = map_logits(state.hits[seen], state.trials[seen], seen, state.first_final)


def count_symbols(state: MixerState, contexts: StepContexts, symbols: Ints) -> None:
    """Count each symbol in its contexts, and put it first. If streams share a context in this step, the first one's
    symbol counts.
    """
    new = symbols.astype(np.uint8)
    hit = (contexts.symbols == new) & (contexts.counts > 0)
    rank = np.where(hit, 0, contexts.counts + 1) * WAYS + np.arange(WAYS - 1, -1, -1)[:, None, None]
    way = WAYS - 1 - rank.min(0) % WAYS  # the symbol's own, or that of the rarest, the last of equal ones
    slot, place = _firsts(contexts.slot.ravel())
    rows = contexts.row.reshape(-1, ROW).take(place, 0)
    known, way = hit.any(0).take(place), way.take(place)
    times = rows[np.arange(len(rows)), TAG + WAYS + way]
    full = np.flatnonzero((times == MOST_COUNT) & known)
    rows[full, TAG + WAYS :] >>= 1
    times[full] >>= 1
    before = np.arange(WAYS) - (np.arange(WAYS) <= way[:, None])  # ways move back by one to where it was
    for first in (TAG, TAG + WAYS):
        rows[:, first : first + WAYS] = np.take_along_axis(rows[:, first : first + WAYS], before.clip(0), 1)
    rows[:, TAG], rows[:, TAG + WAYS] = new.take(place % len(new)), times * known + 1
    state.table[slot] = rows


def _sums(row: Ints, values: Ints, count: int) -> tuple[Ints, Ints]:
    """Sums of the values [..., n] that belong to each of `count` rows, [count, n], and how many these are, [count].
    row: [...]
    """
    width = values.shape[-1]
    place = row.reshape(-1, 1) * width + np.arange(width)
    # Sums of integers below 2^53 are exact.
    sums = np.bincount(place.ravel(), values.ravel().astype(np.float64), count * width).astype(np.int64)
    return sums.reshape(count, width), np.bincount(row.ravel(), minlength=count)


def _firsts(values: Ints) -> tuple[Ints, Ints]:
    """(values, place of the first of each): `np.unique`, but faster. int64 [N], less than 2^32 each."""
    shift = len(values).bit_length()
    key = (values << shift) + np.arange(len(values))
    key.sort()
    value = key >> shift
    first = np.flatnonzero(np.diff(value, prepend=-1))
    return value.take(first), key.take(first) & ((1 << shift) - 1)
