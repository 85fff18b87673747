"""Context mixing: a network's prediction of a byte mixed with what the same file has shown before.

A byte is coded as eight binary decisions, high bit first; streams are coded side by side, one byte each a step. There
is one *expert* for each context: the last few bytes of a stream, or the place where it stands
(:mod:`bfncodec.coding.mixing.places`). A table holds which bytes followed the context so far and how often; those that
agree with the bits already known give the counts of zeros and ones that the next bit had. An adaptive map of such pairs
of counts, and of the two symbols that came last, gives the expert's prediction. More experts are matches
(:mod:`bfncodec.coding.mixing.matches`), whose maps know how long each is and how often it was wrong lately. A mixer
combines all predictions and the network's in the logistic domain, as PAQ does (Mahoney 2005, "Adaptive Weighing of
Context Models for Lossless Data Compression"):

    logit(p) = sum_i w_i logit(p_i) + b,    logit(p) = ln(p / (1 - p)),

where w is the sum of six sets of weights: one for the longest context of bytes that is known, one for the bits already
known, one for the last byte, one for the last two, one for the place, which says what the line above has here, and one
for the match that expects a bit. The bias b is the sum of one for the bits already known after the last byte and one
for them after the last two. A final adaptive map refines this: it counts what came where the mixture said nearly the
same logit, and its own logit makes 3/8 of the prediction (secondary symbol estimation in PAQ). All of it is learned
online; the weights by gradient descent on the code length of the mixture, dL/dw_i = (p - bit) logit(p_i), from weights
that other texts came to (:mod:`bfncodec.coding.mixing.first`). The shortest contexts are also counted for each stream
alone, beside all streams together: streams lie far apart in the file, and what is near says more.

A step sees the state before it and updates it when all its bits are known, with sums over its streams. If several
streams share a context in one step, only the first updates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.bitcoder import BitEncoder
from bfncodec.coding.cdf import Intervals
from bfncodec.coding.mixing import matches, numerals
from bfncodec.coding.mixing.places import NUMBER, PLACE_SETS, counterparts, go_on, place_hashes
from bfncodec.coding.mixing.state import (
    BIAS_RATES,
    BITS,
    CALM,
    CELL_BITS,
    CELLS,
    CONSTANT,
    CONTEXTS,
    COUNT_LEVELS,
    FAST,
    HASH,
    HASH_POWERS,
    LIMIT,
    MANY,
    MOST_COUNT,
    MOST_TRIALS,
    MOST_WEIGHT,
    NEIGHBOURS,
    PAIR_BITS,
    PAIRS,
    ROW,
    SHORT_HASH,
    SLOW,
    STATES,
    SYMBOLS,
    TAG,
    TRIAL_BITS,
    WAYS,
    WEIGHT_BITS,
    Contexts,
    count_levels,
    log_odds,
    logistic_values,
    new_state,
    update_predictions,
)
from bfncodec.coding.rangecoder import PRECISION, SymbolSource, total
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Bytes, Floats32, Ints, Ints32

_LEFT = np.arange(BITS, 0, -1)[:, None]  # bits of a symbol that are not known before each
_ALIKE = ((1 << np.arange(BITS, -1, -1)) - 1).astype(np.uint8)  # largest difference of symbols with the same first bits
Counts = NDArray[np.int16]
Read = Callable[[Ints], Ints]
"""Given the frequencies of a 1 among `total(2)`, int64 [L]: the next bit of each stream, [L]."""


@dataclass(frozen=True)
class StepContexts:
    """The contexts of a step, before its first bit. O contexts, L streams of this step."""

    streams: Ints  # numbers of the streams [L]
    history: Ints  # [L, REACH]
    expected: Ints  # byte that each match expects, -1 for none [M, L]
    form: Ints  # of each match, see `matches.expected` [M, L]
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


class BitPredictions(NamedTuple):
    """The mixture's prediction of K bits of each stream, and what it was made of."""

    node: Ints  # the bits before, behind a 1. [K, L]
    state: Ints  # of each expert's adaptive map [K, E, L]
    longest: Ints  # number of the longest known context of bytes, from 1 on, 0 for none. [K, L]
    place: Ints  # number of the weight set of the place [K, L]
    match: Ints  # … of matches [K, L]
    inputs: Ints  # logits: of the network, the experts, and a constant. [K, L, 1 + E + 1]
    bias: Ints  # place of the bias after two bytes [K, L]
    mixed: Ints  # the mixture's probability of a 1, in units of 2^-20. [K, L]
    final: Ints  # state of the final map [K, L]
    probability: Ints  # of a 1, likewise, by mixture and final map. [K, L]


def bits_of(symbols: Ints) -> Ints:
    """The bits of symbols [L], the high ones first, [BITS, L]."""
    return (symbols >> (_LEFT - 1)) & 1


def bits_in_order(symbols: Ints, edges: Ints) -> Ints:
    """The bits of the symbols of several steps in coding order: step after step, all first bits, then all second ones.

    edges: see `ContextMixer.encode_steps`. Returns int64 [BITS L].
    """
    counts = np.diff(edges)
    first, count = edges[:-1].repeat(counts), counts.repeat(counts)
    place = np.arange(len(symbols)) - first + BITS * first + count * (BITS - _LEFT)
    found = np.empty(BITS * len(symbols), np.int64)
    found[place] = bits_of(symbols)
    return found


def bit_intervals(ones: Ints, bit: Ints) -> Intervals:
    """Intervals of known bits, for the encoder. ones: frequencies of a 1 among `total(2)`; both int64 [N]"""
    zeros = total(2) - ones
    return Intervals((zeros * bit).astype(np.int32), np.where(bit, ones, zeros).astype(np.int32), bit)


def bit_frequencies(ones: Ints) -> Floats32:
    """Frequencies of both values of bits, for the decoder, float32 [L, 2]. ones: those of a 1, int64 [L]"""
    rows = np.empty((len(ones), 2), np.float32)
    np.subtract(total(2), ones, out=rows[:, 0], casting="unsafe")
    rows[:, 1] = ones
    return rows


class ContextMixer:
    """A mixer for one file of `size` bytes that is coded in so many streams.

    state: what it has learned, see :class:`bfncodec.coding.mixing.state.MixerState`.
    """

    def __init__(self, size: int, streams: int, contexts: Contexts = CONTEXTS) -> None:
        self.state = new_state(size, streams, contexts)

    @staticmethod
    def encoder() -> BitEncoder:
        """Return an encoder for the bits, of which nothing was written yet."""
        return BitEncoder()

    def encode(self, weight: Ints32, streams: Ints, symbols: Ints) -> Ints:
        """Learn the next symbols of some streams.

        Parameters
        ----------
        weight
            The network's weights of all symbols, int32 [L, 256], sums below 2^29.
        streams
            Numbers of the streams, [L].
        symbols
            Their next symbols, [L].

        Returns
        -------
        Frequencies of a 1 among `total(2)` for each bit of the symbols, the high bits first, int64 [BITS, L].
        """
        contexts = self._contexts(weight, streams)
        alike = (contexts.symbols ^ symbols.astype(np.uint8)) <= _ALIKE[:, None, None, None]  # [BITS + 1, WAYS, O, L]
        same = np.einsum("wol,kwol->kol", contexts.counts, alike.astype(np.int16))  # how often so many bits came
        seen, right = same[:-1], same[1:]
        ones = np.where(bits_of(symbols)[:, None], right, seen - right)
        bits = bits_of(contexts.symbols[:2].ravel().astype(np.int64)).reshape(BITS, 2, *seen.shape[1:])
        latest = _latest(bits, alike[:-1, :2] & (contexts.counts[:2] > 0))
        predicted = self._predict(contexts, _LEFT, (symbols + SYMBOLS) >> _LEFT, seen - ones, ones, latest)
        self._update(contexts, predicted, symbols)
        return predicted.probability << (PRECISION - LOGISTIC_BITS)

    def encode_steps(self, weight: Ints32, streams: Ints, symbols: Ints, edges: Ints) -> Ints:
        """Learn the symbols of several steps, behind each other, as `encode` does.

        edges: where each step begins, and where the last one ends, int64 [steps + 1]. Returns the frequencies of all
        steps behind each other, of each one those of all its first bits, then the second ones, int64 [BITS L].
        """
        found = [self.encode(weight[a:b], streams[a:b], symbols[a:b]).ravel() for a, b in pairwise(edges.tolist())]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def decode(self, weight: Ints32, streams: Ints, read: Read) -> Ints:
        """Inverse of `encode`: the symbols [L] whose bits `read` gives, one call for each bit."""
        contexts = self._contexts(weight, streams)
        counts, seen = contexts.counts, contexts.counts.sum(0, dtype=np.int16)
        node, predicted = np.ones(len(streams), np.int64), []
        for k in range(BITS):
            plane = (contexts.symbols >> (BITS - 1 - k)) & 1
            ones = np.einsum("wol,wol->ol", counts, plane.astype(np.int16))
            latest = _latest(plane[None, :2].astype(np.int64), counts[None, :2] > 0)
            own = self._predict(contexts, _LEFT[k : k + 1], node[None], (seen - ones)[None], ones[None], latest)
            predicted.append(own)
            bit = read(own.probability[0] << (PRECISION - LOGISTIC_BITS))
            counts = counts * (plane == bit.astype(np.uint8))
            seen = np.where(bit, ones, seen - ones)
            node = 2 * node + bit
        symbols = node - SYMBOLS
        self._update(contexts, BitPredictions(*map(np.concatenate, zip(*predicted, strict=True))), symbols)
        return symbols

    def decode_from(self, weight: Ints32, streams: Ints, source: SymbolSource) -> Ints:
        """Return the symbols [L] of the bits that a source of symbols gives, see `decode`."""
        return self.decode(weight, streams, lambda ones: source.decode_rows(bit_frequencies(ones)).astype(np.int64))

    def _contexts(self, weight: Ints32, streams: Ints) -> StepContexts:
        below = np.zeros((len(streams), SYMBOLS + 1), np.int64)
        weight.cumsum(1, out=below[:, 1:])
        history = self.state.history.take(streams, 0)
        sums = np.cumsum((history.T[::-1] + 1).astype(np.uint64) * HASH_POWERS[:, None], 0)
        matches.find(self.state.matches, sums.take(self.state.matches.least - 1, 0), streams)
        byte, form = matches.expected(self.state.matches, streams)
        slot, tag, row = self._find(*self._hash(sums, history, streams, matches.foretold(byte, form)))
        head = row.view(np.uint16)[:, :, 0]
        row.view(np.uint64)[...] *= (head == tag)[:, :, None]
        head[...] = tag
        ways = np.ascontiguousarray(row[:, :, TAG:].transpose(2, 0, 1))
        last = history[:, -1] % SYMBOLS
        two = history[:, -2] % SYMBOLS * SYMBOLS + last
        symbols, counts = ways[:WAYS], ways[WAYS:].astype(np.int16)
        above = counterparts(self.state.marks[streams], self.state.lines[streams])
        pair = self.state.first_place + PLACE_SETS + ((two * SHORT_HASH & 0xFFFFFFFF) >> (32 - PAIR_BITS))
        return StepContexts(streams, history, byte, form, below, slot, row, symbols, counts, last, two, *above, pair)

    def _hash(
        self, sums: NDArray[np.uint64], history: Ints, streams: Ints, found: NDArray[np.uint64]
    ) -> tuple[Ints, NDArray[np.uint16]]:
        """(slot, tag) of each context, [O, L]; tags are not 0. Arithmetic modulo 2^64.

        sums: over the latest bytes, the first alone, then two of them … [REACH, L]; found: what matches foretell [L]
        """
        own = self.state
        marks = own.marks[streams]
        numeral = numerals.expected(own.numerals, marks[:, NUMBER].astype(np.int64), streams)
        places = place_hashes(marks, own.lines[streams], own.column[streams], history, found, numeral)
        h = np.concatenate([sums.take(own.orders - 1, 0), places.take(own.places, 0)])
        h += own.salt.take(streams, 1)
        h = (h ^ (h >> np.uint64(32))) * np.uint64(HASH)
        h ^= h >> np.uint64(29)
        slot = (h * np.uint64(HASH)) >> np.uint64(64 - self.state.bits)
        return slot.astype(np.int64), h.astype(np.uint16) | np.uint16(1 << 8)

    def _find(self, slot: Ints, tag: NDArray[np.uint16]) -> tuple[Ints, NDArray[np.uint16], Bytes]:
        """(slot, tag, row) of each context: of four slots side by side that which has the tag, else the one whose
        symbols came least often, the first of equal ones.
        """
        slots = slot ^ np.arange(NEIGHBOURS)[:, None, None]
        rows = self.state.table.take(slots, 0)
        came = rows[..., TAG + WAYS :].sum(-1, dtype=np.int64)
        slot = slot ^ np.where(rows.view(np.uint16)[..., 0] == tag, -1, came).argmin(0)
        return slot, tag, self.state.table.take(slot, 0)

    def _predict(
        self, contexts: StepContexts, left: Ints, node: Ints, zeros: Counts, ones: Counts, latest: Ints
    ) -> BitPredictions:
        """Predict K bits of each stream.

        left: bits of the symbol that are not known [K, 1]; node: [K, L]; zeros, ones: how often either followed each
        context, latest: see `_latest`, all [K, O, L].
        """
        own, known, bit = self.state, len(self.state.orders), BITS - left
        says = _next_bit(contexts.expected[:, None], left, node)
        matched = matches.states(contexts.form[:, None], bit, says).swapaxes(0, 1)
        level = count_levels()
        state = level.take(zeros)
        state *= len(COUNT_LEVELS)
        state += level.take(ones)
        state += PAIRS * latest
        state = np.concatenate([state, matched], 1)
        state += np.arange(0, own.first_final, STATES)[:, None]
        inputs = np.empty((*node.shape, own.experts + 2), np.int64)
        inputs[..., 0] = _network_odds(contexts.below, left, node)
        inputs[..., 1:-1] = own.predictions.take(state).swapaxes(1, 2)
        inputs[..., -1] = CONSTANT
        came = (zeros + ones)[:, :known].astype(np.bool_)
        longest = (came * np.arange(1, known + 1, dtype=np.uint8)[:, None]).max(1).astype(np.int64)
        weights = own.weights.take(longest, 0)
        weights += own.weights.take(node + (known + 1), 0)
        weights += own.weights.take(contexts.last + (known + 1 + SYMBOLS), 0)
        place = contexts.place + _next_bit(contexts.counterpart, left, node) * BITS + bit
        weights += own.weights.take(place + own.first_place, 0)
        weights += own.weights.take(contexts.pair, 0)
        match = matches.chosen_sets(contexts.form[:, None], says)
        weights += own.weights.take(match + own.first_match, 0)
        bias = ((contexts.two * SYMBOLS + node) * SHORT_HASH & 0xFFFFFFFF) >> (32 - own.bias_bits)
        x = np.einsum("kln,kln->kl", weights, inputs)
        x += own.bias_one.take(contexts.last * SYMBOLS + node)
        x += own.bias_two.take(bias)
        x = (x >> WEIGHT_BITS).clip(-LIMIT, LIMIT)
        mixed = logistic_values().take(x + LIMIT)
        return BitPredictions(node, state, longest, place, match, inputs, bias, mixed, *self._refine(x, longest, node))

    def _refine(self, x: Ints, longest: Ints, node: Ints) -> tuple[Ints, Ints]:
        """(state of the final map, probability of a 1) of bits of which the mixture has a logit, all [K, L]."""
        own, cell = self.state, ((x + LIMIT) >> CELL_BITS).clip(0, CELLS - 2)
        part = x + LIMIT - (cell << CELL_BITS)
        low = own.first_final + (longest * SYMBOLS + node) * CELLS + cell
        left, right = own.predictions.take(low).astype(np.int64), own.predictions.take(low + 1).astype(np.int64)
        said = (left * ((1 << CELL_BITS) - part) + right * part) >> CELL_BITS
        x = (5 * x + 3 * said) >> 3
        return low + (part > 1 << (CELL_BITS - 1)), logistic_values().take(x + LIMIT)

    def _update(self, contexts: StepContexts, predicted: BitPredictions, symbols: Ints) -> None:
        """Learn from all bits of a step."""
        state, bits = self.state, bits_of(symbols)
        error = (bits << LOGISTIC_BITS) - predicted.mixed
        np.add.at(state.bias_one, contexts.last * SYMBOLS + predicted.node, error * BIAS_RATES[0])
        np.add.at(state.bias_two, predicted.bias, error * BIAS_RATES[1])
        self._update_weights(contexts, predicted, error)
        self._update_maps(predicted, bits)
        self._count(contexts, symbols)
        state.history[contexts.streams] = np.concatenate([contexts.history[:, 1:], symbols[:, None]], 1)
        fields = state.marks[contexts.streams, NUMBER].astype(np.int64)
        numerals.go_on(state.numerals, fields, contexts.streams, symbols)
        go_on(state.marks, state.lines, state.column, contexts.streams, symbols)
        matches.learn(state.matches, contexts.streams, symbols)

    def _update_weights(self, contexts: StepContexts, predicted: BitPredictions, error: Ints) -> None:
        """Gradient step of the weight sets that were used. error: bit - p, [BITS, L], in units of 2^-20"""
        state = self.state
        slope = predicted.inputs * error[:, :, None]
        parts = (
            _sums(predicted.longest, slope, len(state.orders) + 1),
            _sums(predicted.node, slope, SYMBOLS),
            _sums(contexts.last, slope.sum(0), SYMBOLS),
            _sums(predicted.place, slope, PLACE_SETS),
            _sums(contexts.pair - state.first_place - PLACE_SETS, slope.sum(0), 1 << PAIR_BITS),
            _sums(predicted.match, slope, matches.set_count(len(state.matches.least))),
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
        changed = state.weights[used] + ((step * rate[:, None] + (1 << 24)) >> 25)
        state.weights[used] = changed.clip(-MOST_WEIGHT, MOST_WEIGHT)

    def _update_maps(self, predicted: BitPredictions, bits: Ints) -> None:
        """Count bits in the states of the adaptive maps. bits: [BITS, L]"""
        state, which = self.state, np.concatenate([predicted.state, predicted.final[:, None]], 1)
        came = np.bincount((2 * which + bits[:, None]).ravel(), minlength=2 * len(state.trials)).reshape(-1, 2)
        came[: state.first_final : STATES] = 0  # of experts that know nothing
        seen = np.flatnonzero(came.any(1))
        state.hits[seen] += came[seen, 1] << TRIAL_BITS
        state.trials[seen] += came[seen].sum(1) << TRIAL_BITS
        full = seen[state.trials[seen] > MOST_TRIALS << TRIAL_BITS]
        state.hits[full] >>= 1
        state.trials[full] >>= 1
        update_predictions(state, seen)

    def _count(self, contexts: StepContexts, symbols: Ints) -> None:
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
        self.state.table[slot] = rows


def _network_odds(below: Ints, left: Ints, node: Ints) -> Ints:
    """The network's logit of a 1. below: [L, 257]; left: [K, 1]; node: [K, L]"""
    start = (node << left) + np.arange(0, below.size, SYMBOLS + 1) - SYMBOLS
    none, half, both = (below.take(start + step) for step in (0, 1 << (left - 1), 1 << left))
    return log_odds(both - half, half - none)


def _latest(bits: Ints, agree: NDArray[np.bool_]) -> Ints:
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
