"""What a file says about itself: byte contexts that are counted while coding, mixed with the network's prediction.

A byte is coded as eight decisions, high bit first. Lanes are coded side by side, one byte each a step. For every
context, the last few bytes of a lane, a table holds which bytes followed it so far and how often; those that agree
with the bits already known say how often the next bit was 0 and 1. An adaptive map turns such a pair of counts into a
probability, and a mixer adds up what all contexts and the network say, in the logistic domain,

    ln(p / (1 - p)) = sum_i w_i ln(p_i / (1 - p_i)) + b,

where w is the sum of three sets of weights: one for the longest context that is known, one for the bits already known
and one for the last byte. b belongs to the bits already known after one and after two bytes. All of it is learned
online, by gradient, and to begin with w says: trust the network. Half of the short contexts are a lane's own, the
others are shared: lanes are far apart in the file, and what is said nearby says more.

A step sees what was learned before it, and learns when all its bits are known: from sums over its lanes, but of lanes
in the same context the first alone is counted.

Exactness: everything is an integer, but for how an adaptive map begins, a few IEEE operations an element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.cdf import Intervals
from bfncodec.coding.direct import PRECISION, total
from bfncodec.networks.tables import LOGISTIC_BITS, LOGISTIC_LIMIT, LOGISTIC_STEPS, logistic_table

SHARED = (2, 3, 4, 6, 9, 12, 16, 24)  # bytes of context
OWN = (2, 3, 4, 6)  # of contexts that each lane counts for itself
LONG = 7  # bytes of a long context
REACH = max(SHARED)
BITS = 8  # of a symbol
SYMBOLS = 256
START = 256  # stands before the first symbol of a lane

SLOTS_PER_BYTE = 16
LEAST_BITS, MOST_BITS = 12, 23  # log2 of the slots
TAG, WAYS, ROW = 2, 7, 16  # bytes of a slot: its tag, symbols, how often each came
MOST_COUNT = 255
LEVELS = (0, 1, 2, 3, 4, 6, 9, 14, 24, 48, 100)  # counts from which an adaptive map tells apart
TYPICAL = (0, 1, 2, 3, 4, 7, 11, 18, 33, 70, 150)  # count of each level
STATES = len(LEVELS) ** 2
TRIAL_BITS = 16
FIRST_TRIALS, MOST_TRIALS = 20, 255  # that a map's probability is thought to have had, and remembers
OPINION_LIMIT = 8 * LOGISTIC_STEPS  # of a context
LIMIT = 12 * LOGISTIC_STEPS  # of the network, and of the result

WEIGHT_BITS = 20  # a weight of 1 is 2^20
FIRST_SHORT, FIRST_LONG = 104858, 209715  # weights of contexts to begin with: 0.1 and 0.2
CONSTANT = 154  # the mixer's last input: 0.3
# Learning rate of a set of weights that n decisions have had: FAST / (1 + n / CALM) + SLOW, in units of 2^-16
FAST, CALM, SLOW = 524, 600, 33
MANY = 64  # decisions of a step under one set: more do not make its change larger, lest it overshoots
NUDGES = (10, 26)  # rates of b, after one byte and after two: 0.02 and 0.05
NUDGE_BITS = 20  # log2 of the table of b after two bytes, at most

_HASH, _SHORT_HASH = 0x9E3779B97F4A7C15, 0x9E3779B1
_POWERS = np.array([pow(0xD6E8FEB86659FD93, k + 1, 1 << 64) for k in range(REACH)], np.uint64)
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Choose = Callable[[int, Ints], Ints]
"""Given which bit it is, 0 the highest, and the frequencies of a 1 among `total(2)`, int64 [L]: the bits [L], which
the encoder knows and the decoder reads."""


@dataclass(frozen=True)
class Found:
    """What is known of a step before its first bit. O contexts, L lanes."""

    tree: Ints  # the network's weights: node n holds the sum of 2n and 2n + 1, leaves are from 256. [L, 512]
    slot: Ints  # [O, L]
    row: Bytes  # of the table, zeros where the context is new. [O, L, ROW]
    last: Ints  # byte before [L]
    two: Ints  # last two bytes [L]


@dataclass(frozen=True)
class Guess:
    """What is thought of one bit of each lane."""

    node: Ints  # the bits before, behind a 1. [L]
    state: Ints  # of each context's adaptive map [O, L]
    input: Ints  # of the mixer [L, 1 + O + 1]
    sets: Ints  # of weights [3, L]
    nudge: Ints  # place of b after two bytes [L]
    chance: Ints  # of a 1, in units of 2^-20. [L]


def bit_frequencies(ones: Ints) -> NDArray[np.float32]:
    """Frequencies of bits for the decoder, float32 [L, 2]. ones: those of a 1, int64 [L]"""
    return np.stack([total(2) - ones, ones], 1).astype(np.float32)


def bit_intervals(ones: Ints, bit: Ints) -> Intervals:
    """The same for the encoder, who knows the bits. ones, bit: int64 [N]"""
    zeros = total(2) - ones
    return Intervals((zeros * bit).astype(np.int32), np.where(bit, ones, zeros).astype(np.int32), bit)


@lru_cache(maxsize=2)
def squashed(limit: int) -> Ints:
    """p in units of 2^-20 of ln(p / (1 - p)) = -limit … limit in units of 1 / LOGISTIC_STEPS."""
    middle = LOGISTIC_LIMIT * LOGISTIC_STEPS
    return logistic_table()[middle - limit : middle + limit + 1].astype(np.int64)


def stretch(chance: Ints, limit: int) -> Ints:
    """ln(p / (1 - p)) in units of 1 / LOGISTIC_STEPS, between -limit and limit, of p in units of 2^-20."""
    return np.searchsorted(squashed(limit)[:-1], chance) - limit


@lru_cache(maxsize=1)
def _levels() -> Ints:
    """Level of each count."""
    return np.searchsorted(LEVELS, np.arange(WAYS * MOST_COUNT + 1), side="right") - 1


def first_chances(order: int) -> NDArray[np.float64]:
    """Probability of a 1 to begin with, [STATES], after a context of so many bytes: longer ones are surer of what they
    saw.
    """
    n = np.array(TYPICAL, np.float64)
    zeros, ones = n[:, None], n[None, :]
    doubt = np.where((zeros > 0) & (ones > 0), max(3 / (1 + order), 0.4), 3 / (1 + order))
    return np.asarray((ones + doubt) / (zeros + ones + 2 * doubt)).ravel()


class ContextMixer:
    """What one file has said so far."""

    def __init__(self, size: int, lanes: int) -> None:
        """size: bytes of the file, which fixes how many contexts are kept."""
        # One lane's own contexts would be the shared ones again.
        contexts = [
            (order, own) for order in SHARED for own in (False, True) if not own or (order in OWN and lanes > 1)
        ]
        self.orders, self.own = np.array(contexts).T
        self.bits = min(max((SLOTS_PER_BYTE * size - 1).bit_length(), LEAST_BITS), MOST_BITS)
        self.table = np.zeros((1 << self.bits, ROW), np.uint8)
        self.history = np.full((lanes, REACH), START, np.int64)
        count = len(contexts)
        chances = np.stack([first_chances(order) for order in self.orders.tolist()])
        self.hits = np.floor(chances * float(FIRST_TRIALS << TRIAL_BITS)).astype(np.int64).ravel()
        self.trials = np.full(count * STATES, FIRST_TRIALS << TRIAL_BITS, np.int64)
        self.opinion = np.zeros(count * STATES, np.int64)
        self._judge(np.arange(count * STATES))
        self.weights = np.zeros((count + 1 + 2 * SYMBOLS, count + 2), np.int64)
        self.weights[: count + 1, 0] = 1 << WEIGHT_BITS
        self.weights[: count + 1, 1:-1] = np.where(self.orders >= LONG, FIRST_LONG, FIRST_SHORT)
        self.decisions = np.zeros(len(self.weights), np.int64)
        self.after_one = np.zeros(SYMBOLS * SYMBOLS, np.int64)
        self.after_two = np.zeros(1 << min(self.bits, NUDGE_BITS), np.int64)

    def code(self, weight: NDArray[np.int32], lanes: Ints, choose: Choose) -> Ints:
        """The next symbol of some lanes, [L], bit after bit as `choose` says, and learn from them.

        weight: the network's int32 [L, 256], sum below 2^29; lanes: which they are, [L].
        """
        found = self._find(weight, lanes)
        symbols = np.ascontiguousarray(found.row[:, :, TAG : TAG + WAYS].transpose(2, 0, 1))
        counts = found.row[:, :, TAG + WAYS :].transpose(2, 0, 1).astype(np.int16)
        guesses: list[Guess] = []
        node = np.ones(len(lanes), np.int64)
        seen = counts.sum(0, dtype=np.int16)
        for k in range(BITS):
            plane = (symbols >> (BITS - 1 - k)) & 1
            ones = (counts * plane).sum(0, dtype=np.int16)
            guess = self._guess(found, node, seen - ones, ones)
            bit = choose(k, guess.chance << (PRECISION - LOGISTIC_BITS))
            counts *= plane == bit.astype(np.uint8)
            seen = np.where(bit, ones, seen - ones)
            node = 2 * node + bit
            guesses.append(guess)
        symbol = node - SYMBOLS
        self._learn(found, guesses, symbol)
        self._count(found, symbol)
        self.history[lanes, :-1] = self.history[lanes, 1:]
        self.history[lanes, -1] = symbol
        return symbol

    def _find(self, weight: NDArray[np.int32], lanes: Ints) -> Found:
        tree = np.empty((len(lanes), 2 * SYMBOLS), np.int64)
        tree[:, SYMBOLS:] = weight
        for k in range(BITS - 1, -1, -1):
            children = tree[:, 2 << k : 4 << k]
            tree[:, 1 << k : 2 << k] = children[:, ::2] + children[:, 1::2]
        history = self.history[lanes]
        slot, tag = self._hash(history, lanes)
        row = self.table[slot]
        row *= (row[:, :, :TAG] == tag).all(2, keepdims=True)
        row[:, :, :TAG] = tag
        last = history[:, -1] % SYMBOLS
        return Found(tree, slot, row, last, history[:, -2] % SYMBOLS * SYMBOLS + last)

    def _hash(self, history: Ints, lanes: Ints) -> tuple[Ints, Bytes]:
        """(slot [O, L], tag [O, L, 2]) of each context; tags are not 0. Arithmetic modulo 2^64."""
        h = np.cumsum((history[:, ::-1] + 1).astype(np.uint64) * _POWERS, 1)[:, self.orders - 1].T
        h += (self.own[:, None] * (lanes + 1) * len(_POWERS) + self.orders[:, None]).astype(np.uint64) * np.uint64(
            _HASH
        )
        h = (h ^ (h >> np.uint64(32))) * np.uint64(_HASH)
        h ^= h >> np.uint64(29)
        tag = np.stack([h & np.uint64(255), h >> np.uint64(8) & np.uint64(255) | np.uint64(1)], 2).astype(np.uint8)
        return ((h * np.uint64(_HASH)) >> np.uint64(64 - self.bits)).astype(np.int64), tag

    def _guess(self, found: Found, node: Ints, zeros: NDArray[np.int16], ones: NDArray[np.int16]) -> Guess:
        """zeros, ones: how often each context was followed by either, [O, L]"""
        lane, count = np.arange(len(node)), len(self.orders)
        level = _levels()
        state = (np.arange(count) * STATES)[:, None] + level.take(zeros) * len(LEVELS) + level.take(ones)
        inputs = np.empty((len(node), count + 2), np.int64)
        both, one = found.tree[lane, node], found.tree[lane, 2 * node + 1]
        inputs[:, 0] = stretch(((2 * one + 1) << (LOGISTIC_BITS - 1)) // (both + 1), LIMIT)
        inputs[:, 1:-1] = self.opinion.take(state).T
        inputs[:, -1] = CONSTANT
        longest = ((zeros + ones > 0) * np.arange(1, count + 1)[:, None]).max(0)
        sets = np.stack([longest, count + 1 + node, count + 1 + SYMBOLS + found.last])
        nudge = ((found.two * SYMBOLS + node) * _SHORT_HASH & 0xFFFFFFFF) >> (32 - min(self.bits, NUDGE_BITS))
        weights = self.weights.take(sets, 0).sum(0)
        x = np.einsum("ln,ln->l", weights, inputs)
        x += self.after_one.take(found.last * SYMBOLS + node) + self.after_two.take(nudge)
        chance = squashed(LIMIT).take((x >> WEIGHT_BITS) + LIMIT, mode="clip")
        return Guess(node, state, inputs, sets, nudge, chance)

    def _learn(self, found: Found, guesses: list[Guess], symbol: Ints) -> None:
        bit = np.stack([(symbol >> (BITS - 1 - k)) & 1 for k in range(BITS)])
        error = (bit << LOGISTIC_BITS) - np.stack([guess.chance for guess in guesses])
        np.add.at(self.after_one, np.stack([found.last * SYMBOLS + guess.node for guess in guesses]), error * NUDGES[0])
        np.add.at(self.after_two, np.stack([guess.nudge for guess in guesses]), error * NUDGES[1])
        self._learn_weights(np.stack([guess.sets for guess in guesses], 1), guesses, error)
        self._learn_chances(np.stack([guess.state for guess in guesses]), bit)

    def _learn_weights(self, sets: Ints, guesses: list[Guess], error: Ints) -> None:
        """sets: [3, BITS, L]; error: [BITS, L], in units of 2^-20"""
        inputs = self.weights.shape[1]
        slope = (np.stack([guess.input for guess in guesses]) * error[:, :, None]).ravel().astype(np.float64)
        gradient = np.zeros(self.weights.size)
        for chosen in sets:  # sums of integers below 2^53: exact
            place = chosen[:, :, None] * inputs + np.arange(inputs)
            gradient += np.bincount(place.ravel(), slope, self.weights.size)
        decisions = np.bincount(sets.ravel(), minlength=len(self.weights))
        self.decisions += decisions
        rate = FAST * CALM // (CALM + self.decisions) + SLOW
        step = gradient.astype(np.int64).reshape(self.weights.shape) // np.maximum(decisions // MANY, 1)[:, None]
        # slopes are in units of 2^-20 and 1 / LOGISTIC_STEPS = 2^-9, rates of 2^-16, weights of 2^-20
        self.weights += (step * rate[:, None] + (1 << 24)) >> 25

    def _learn_chances(self, state: Ints, bit: Ints) -> None:
        """state: [BITS, O, L]; bit: [BITS, L]"""
        came = np.bincount((2 * state + bit[:, None]).ravel(), minlength=2 * len(self.trials)).reshape(-1, 2)
        came[::STATES] = 0  # of contexts that said nothing
        seen = np.flatnonzero(came.any(1))
        self.hits[seen] += came[seen, 1] << TRIAL_BITS
        self.trials[seen] += came[seen].sum(1) << TRIAL_BITS
        full = seen[self.trials[seen] > MOST_TRIALS << TRIAL_BITS]
        self.hits[full] >>= 1
        self.trials[full] >>= 1
        self._judge(seen)

    def _judge(self, state: Ints) -> None:
        """What the probabilities of some states amount to in the logistic domain; those of new contexts say nothing."""
        chance = (self.hits[state] << LOGISTIC_BITS) // self.trials[state]
        self.opinion[state] = stretch(chance, OPINION_LIMIT) * (state % STATES > 0)

    def _count(self, found: Found, symbol: Ints) -> None:
        """One more of each symbol in its contexts; of lanes that share a context in a step the first counts."""
        slot, first = np.unique(found.slot, return_index=True)
        rows = found.row.reshape(-1, ROW)[first]
        new = np.tile(symbol, len(self.orders))[first].astype(np.uint8)
        symbols, counts = rows[:, TAG : TAG + WAYS], rows[:, TAG + WAYS :]
        hit = (symbols == new[:, None]) & (counts > 0)
        known = hit.any(1)
        way = np.where(known, hit.argmax(1), counts.argmin(1))
        row = np.arange(len(slot))
        counts[counts[row, way] * known == MOST_COUNT] >>= 1
        counts[row, way] = np.where(known, counts[row, way] + 1, 1)
        symbols[row, way] = new
        self.table[slot] = rows
