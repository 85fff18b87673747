"""The prediction of a bit: what the network and the experts say of it, mixed and refined, see
:mod:`bfncodec.coding.mixing.mixer`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing import matches
from bfncodec.coding.mixing.bits import LEFT, bits_of
from bfncodec.coding.mixing.contexts import Counts, StepContexts
from bfncodec.coding.mixing.state import (
    BITS,
    CELL_BITS,
    CELLS,
    CONSTANT,
    COUNT_LEVELS,
    LIMIT,
    PAIRS,
    SHORT_HASH,
    STATES,
    SYMBOLS,
    WEIGHT_BITS,
    MixerState,
    count_levels,
    log_odds,
    logistic_values,
)
from bfncodec.runtime.arrays import Ints, Ints32

_ALIKE = ((1 << np.arange(BITS, -1, -1)) - 1).astype(np.uint8)  # largest difference of symbols with the same first bits


class BitPredictions(NamedTuple):
    """The mixture's prediction of K bits of each stream, and what it was made of."""

    node: Ints  # the bits before, behind a 1. [K, L]
    state: Ints  # of each expert's adaptive map [K, E, L]
    longest: Ints  # number of the longest known context of bytes, from 1 on, 0 for none. [K, L]
    place: Ints  # number of the weight set of the place [K, L]
    match: Ints  # … of matches and numerals [K, L]
    inputs: Ints  # logits: of the network, the experts, and a constant. [K, L, 1 + E + 1]
    bias: Ints  # place of the bias after two bytes [K, L]
    mixed: Ints  # the mixture's probability of a 1, in units of 2^-20. [K, L]
    final: Ints  # state of the final map [K, L]
    probability: Ints  # of a 1, likewise, by mixture and final map. [K, L]


class Seen(NamedTuple):
    """Counts of K bits of each stream, as contexts have seen them."""

    zeros: Counts  # how often one followed the known bits [K, O, L]
    ones: Counts  # likewise
    latest: Ints  # see `latest` [K, O, L]


def predict_known(state: MixerState, contexts: StepContexts, symbols: Ints) -> BitPredictions:
    """Predict all bits of symbols that are known, [L], each from those before it."""
    alike = (contexts.symbols ^ symbols.astype(np.uint8)) <= _ALIKE[:, None, None, None]  # [BITS + 1, WAYS, O, L]
    same = np.einsum("wol,kwol->kol", contexts.counts, alike.astype(np.int16))  # how often so many bits came
    came, right = same[:-1], same[1:]
    ones = np.where(bits_of(symbols)[:, None], right, came - right)
    bits = bits_of(contexts.symbols[:2].ravel().astype(np.int64)).reshape(BITS, 2, *came.shape[1:])
    seen = Seen(came - ones, ones, latest(bits, alike[:-1, :2] & (contexts.counts[:2] > 0)))
    return predict(state, contexts, LEFT, (symbols + SYMBOLS) >> LEFT, seen)


def predict(state: MixerState, contexts: StepContexts, left: Ints, node: Ints, seen: Seen) -> BitPredictions:
    """Predict K bits of each stream. left: bits of the symbol that are not known [K, 1]; node: [K, L]"""
    says = _next_bit(contexts.expected[:, None], left, node)
    maps = ask_contexts(state, seen, matches.states(contexts.form[:, None], BITS - left, says))
    inputs = np.empty((*node.shape, state.experts + 2), np.int64)
    inputs[..., 0] = ask_network(contexts.below, left, node)
    inputs[..., 1:-1] = state.predictions.take(maps).swapaxes(1, 2)
    inputs[..., -1] = CONSTANT
    known = len(state.orders)
    came = (seen.zeros + seen.ones)[:, :known].astype(np.bool_)
    longest = (came * np.arange(1, known + 1, dtype=np.uint8)[:, None]).max(1).astype(np.int64)
    place = contexts.place + _next_bit(contexts.counterpart, left, node) * BITS + BITS - left
    match = foreseen_sets(contexts, len(state.matches.least), left, node, says)
    bias = ((contexts.two * SYMBOLS + node) * SHORT_HASH & 0xFFFFFFFF) >> (32 - state.bias_bits)
    x = np.einsum("kln,kln->kl", _weights(state, contexts, node, longest, place, match), inputs)
    x += state.bias_one.take(contexts.last * SYMBOLS + node)
    x += state.bias_two.take(bias)
    x = (x >> WEIGHT_BITS).clip(-LIMIT, LIMIT)
    mixed = logistic_values().take(x + LIMIT)
    return BitPredictions(node, maps, longest, place, match, inputs, bias, mixed, *refine(state, x, longest, node))


def foreseen_sets(contexts: StepContexts, kinds: int, left: Ints, node: Ints, says: Ints) -> Ints:
    """Return the numbers of weight sets by matches and phrases, behind them those by numerals where one is expected,
    unless a match of one of the first kinds is sure, [K, L]. says: what all of them say of the bits [., K, L]
    """
    match = matches.chosen_sets(contexts.form[:, None], says)
    numeral = contexts.numeral + _next_bit(contexts.digit, left, node) * BITS + BITS - left
    asked = (contexts.numeral >= 0) & ~matches.are_sure(match, kinds)
    return np.where(asked, matches.set_count(len(says)) + numeral, match)


def ask_network(below: Ints, left: Ints, node: Ints) -> Ints:
    """The network's logit of a 1. below: [L, 257]; left: [K, 1]; node: [K, L]"""
    start = (node << left) + np.arange(0, below.size, SYMBOLS + 1) - SYMBOLS
    none, half, both = (below.take(start + step) for step in (0, 1 << (left - 1), 1 << left))
    return log_odds(both - half, half - none)


def ask_contexts(state: MixerState, seen: Seen, matched: Ints) -> Ints:
    """Return the states of all experts' maps, [K, E, L]. matched: those of matches, each in its own map [M, K, L]"""
    level = count_levels()
    found = level.take(seen.zeros)
    found *= len(COUNT_LEVELS)
    found += level.take(seen.ones)
    found += PAIRS * seen.latest
    found = np.concatenate([found, matched.swapaxes(0, 1)], 1)
    found += np.arange(0, state.first_final, STATES)[:, None]
    return found


def _weights(state: MixerState, contexts: StepContexts, node: Ints, longest: Ints, place: Ints, match: Ints) -> Ints32:
    """Return the sums of the six weight sets of each bit, int32 [K, L, E + 2]."""
    known = len(state.orders)
    weights = state.weights.take(longest, 0)
    weights += state.weights.take(node + (known + 1), 0)
    weights += state.weights.take(contexts.last + (known + 1 + SYMBOLS), 0)
    weights += state.weights.take(place + state.first_place, 0)
    weights += state.weights.take(contexts.pair, 0)
    weights += state.weights.take(match + state.first_match, 0)
    return weights


def refine(state: MixerState, x: Ints, longest: Ints, node: Ints) -> tuple[Ints, Ints]:
    """(state of the final map, probability of a 1) of bits of which the mixture has a logit, all [K, L]."""
    cell = ((x + LIMIT) >> CELL_BITS).clip(0, CELLS - 2)
    part = x + LIMIT - (cell << CELL_BITS)
    low = state.first_final + (longest * SYMBOLS + node) * CELLS + cell
    left, right = state.predictions.take(low).astype(np.int64), state.predictions.take(low + 1).astype(np.int64)
    said = (left * ((1 << CELL_BITS) - part) + right * part) >> CELL_BITS
    x = (5 * x + 3 * said) >> 3
    return low + (part > 1 << (CELL_BITS - 1)), logistic_values().take(x + LIMIT)


def latest(bits: Ints, agree: NDArray[np.bool_]) -> Ints:
    """Return what the two latest symbols of contexts say about a bit: 0 if the symbol disagrees with the known bits,
    else 1 and its bit, times 1 for the latest and 3 for the other one, [K, O, L]. Both [K, 2, O, L]
    """
    said = (1 + bits) * agree
    found: Ints = said[:, 0] + 3 * said[:, 1]
    return found


def _next_bit(counterpart: Ints, left: Ints, node: Ints) -> Ints:
    """Return what bytes say about bits: 0 if they disagree with the known bits, or are none, else 1 and their bit,
    [..., K, L]. counterpart: [..., L]; left: [K, 1]; node: [K, L]
    """
    found: Ints = (1 + ((counterpart >> (left - 1)) & 1)) * ((counterpart + SYMBOLS) >> left == node)
    return found
