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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.cdf import Intervals
from bfncodec.coding.rangecoder import PRECISION, total
from bfncodec.coding.tables import LOGISTIC_BITS, LOGISTIC_LIMIT, LOGISTIC_STEPS, logistic_table
from bfncodec.runtime.arrays import Bytes, Floats, Floats32, Ints, Ints32

SHARED = (2, 3, 4, 6, 9, 12, 16, 24)  # bytes of context
OWN = (2, 3, 4, 6)  # of contexts that each lane counts for itself
LONG = 7  # bytes of a long context
REACH = max(SHARED)
BITS = 8  # of a symbol
SYMBOLS = 256
START = 256  # stands before the first symbol of a lane

SLOTS_PER_BYTE = 16, 4  # of small files, of large ones
LEAST_BITS, SMALL_BITS, MOST_BITS = 12, 23, 25  # log2 of the slots: at least, of small files, of large ones at most
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
_LEFT = np.arange(BITS, 0, -1)[:, None]  # bits of a symbol that are not known before each
_ALIKE = ((1 << np.arange(BITS, -1, -1)) - 1).astype(np.uint8)  # largest difference of symbols with the same first bits
Counts = NDArray[np.int16]
Read = Callable[[Ints], Ints]
"""Given the frequencies of a 1 among `total(2)`, int64 [L]: the next bit of each lane, [L]."""


@dataclass(frozen=True)
class Found:
    """What is known of a step before its first bit. O contexts, L lanes."""

    lanes: Ints  # which they are [L]
    history: Ints  # [L, REACH]
    below: Ints  # sum of the network's weights of the symbols before each [L, 257]
    slot: Ints  # of the table [O, L]
    row: Bytes  # in it, zeros where the context is new. [O, L, ROW]
    symbols: Bytes  # of the rows [WAYS, O, L]
    counts: Counts  # of each [WAYS, O, L]
    last: Ints  # byte before [L]
    two: Ints  # last two bytes [L]


class Guess(NamedTuple):
    """What is thought of K bits of each lane."""

    node: Ints  # the bits before, behind a 1. [K, L]
    state: Ints  # of each context's adaptive map [K, O, L]
    longest: Ints  # context that says something, 0 for none. [K, L]
    input: Ints  # of the mixer [K, L, 1 + O + 1]
    nudge: Ints  # place of b after two bytes [K, L]
    chance: Ints  # of a 1, in units of 2^-20. [K, L]


def bits_of(symbols: Ints) -> Ints:
    """The bits of symbols [L], the high ones first, [BITS, L]."""
    return (symbols >> (_LEFT - 1)) & 1


def bit_frequencies(ones: Ints) -> Floats32:
    """Frequencies of bits for the decoder, float32 [L, 2]. ones: those of a 1, int64 [L]"""
    rows = np.empty((len(ones), 2), np.float32)
    np.subtract(total(2), ones, out=rows[:, 0], casting="unsafe")
    rows[:, 1] = ones
    return rows


def bit_intervals(ones: Ints, bit: Ints) -> Intervals:
    """The same for the encoder, who knows the bits. ones, bit: int64 [N]"""
    zeros = total(2) - ones
    return Intervals((zeros * bit).astype(np.int32), np.where(bit, ones, zeros).astype(np.int32), bit)


@lru_cache(maxsize=1)
def squashed() -> Ints:
    """p in units of 2^-20 of ln(p / (1 - p)) = -LIMIT … LIMIT in units of 1 / LOGISTIC_STEPS."""
    middle = LOGISTIC_LIMIT * LOGISTIC_STEPS
    return logistic_table()[middle - LIMIT : middle + LIMIT + 1].astype(np.int64)


@lru_cache(maxsize=1)
def _stretched() -> NDArray[np.int16]:
    """`stretch` of every p."""
    edges = squashed()[:-1]
    most = np.diff(np.concatenate([[-1], edges, [1 << LOGISTIC_BITS]]))
    return np.repeat(np.arange(-LIMIT, LIMIT + 1, dtype=np.int16), most)


def stretch(chance: Ints) -> NDArray[np.int16]:
    """ln(p / (1 - p)) in units of 1 / LOGISTIC_STEPS, between -LIMIT and LIMIT, of p in units of 2^-20."""
    return _stretched().take(chance)


@lru_cache(maxsize=1)
def _levels() -> Ints:
    """Level of each count."""
    return np.searchsorted(LEVELS, np.arange(WAYS * MOST_COUNT + 1), side="right") - 1


def first_chances(order: int) -> Floats:
    """Probability of a 1 to begin with, [STATES], after a context of so many bytes: longer ones are surer of what they
    saw.
    """
    n = np.array(TYPICAL, np.float64)
    zeros, ones = n[:, None], n[None, :]
    doubt = np.where((zeros > 0) & (ones > 0), max(3 / (1 + order), 0.4), 3 / (1 + order))
    return np.asarray((ones + doubt) / (zeros + ones + 2 * doubt)).ravel()


def table_bits(size: int) -> int:
    """log2 of the slots for a file of so many bytes."""
    small, large = ((slots * size - 1).bit_length() for slots in SLOTS_PER_BYTE)
    return max(LEAST_BITS, min(small, SMALL_BITS), min(large, MOST_BITS))


class ContextMixer:
    """What one file has said so far."""

    def __init__(self, size: int, lanes: int) -> None:
        """size: bytes of the file, which fixes how many contexts are kept."""
        # One lane's own contexts would be the shared ones again.
        contexts = [
            (order, own) for order in SHARED for own in (False, True) if not own or (order in OWN and lanes > 1)
        ]
        self.orders, self.own = np.array(contexts).T
        self.bits = table_bits(size)
        self.table = np.zeros((1 << self.bits, ROW), np.uint8)
        salt = self.own[:, None] * np.arange(1, lanes + 1) * REACH + self.orders[:, None]
        self.salt = salt.astype(np.uint64) * np.uint64(_HASH)
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

    def encode(self, weight: Ints32, lanes: Ints, symbols: Ints) -> Ints:
        """Learn the next symbols [L] of some lanes. Returns the frequencies of a 1 among `total(2)` that each of their
        bits had, int64 [BITS, L], the high bits first.

        weight: the network's int32 [L, 256], sum below 2^29; lanes: which they are, [L].
        """
        found = self._find(weight, lanes)
        alike = (found.symbols ^ symbols.astype(np.uint8)) <= _ALIKE[:, None, None, None]  # [BITS + 1, WAYS, O, L]
        same = np.einsum("wol,kwol->kol", found.counts, alike.astype(np.int16))  # how often so many bits came
        seen, right = same[:-1], same[1:]
        wrong = seen - right
        bits = bits_of(symbols)
        ones = np.where(bits[:, None], right, wrong)
        guess = self._guess(found, _LEFT, (symbols + SYMBOLS) >> _LEFT, seen - ones, ones)
        self._learn(found, guess, symbols)
        return guess.chance << (PRECISION - LOGISTIC_BITS)

    def decode(self, weight: Ints32, lanes: Ints, read: Read) -> Ints:
        """The inverse: the symbols [L] whose bits `read` gives, one call for each bit."""
        found = self._find(weight, lanes)
        counts, seen = found.counts, found.counts.sum(0, dtype=np.int16)
        node, guesses = np.ones(len(lanes), np.int64), []
        for k in range(BITS):
            plane = (found.symbols >> (BITS - 1 - k)) & 1
            ones = np.einsum("wol,wol->ol", counts, plane.astype(np.int16))
            guess = self._guess(found, _LEFT[k : k + 1], node[None], (seen - ones)[None], ones[None])
            guesses.append(guess)
            bit = read(guess.chance[0] << (PRECISION - LOGISTIC_BITS))
            counts = counts * (plane == bit.astype(np.uint8))
            seen = np.where(bit, ones, seen - ones)
            node = 2 * node + bit
        symbols = node - SYMBOLS
        self._learn(found, Guess(*map(np.concatenate, zip(*guesses, strict=True))), symbols)
        return symbols

    def _find(self, weight: Ints32, lanes: Ints) -> Found:
        below = np.zeros((len(lanes), SYMBOLS + 1), np.int64)
        weight.cumsum(1, out=below[:, 1:])
        history = self.history.take(lanes, 0)
        slot, tag = self._hash(history, lanes)
        row = self.table.take(slot, 0)
        head = row.view(np.uint16)[:, :, 0]
        row.view(np.uint64)[...] *= (head == tag)[:, :, None]
        head[...] = tag
        ways = np.ascontiguousarray(row[:, :, TAG:].transpose(2, 0, 1))
        last = history[:, -1] % SYMBOLS
        two = history[:, -2] % SYMBOLS * SYMBOLS + last
        return Found(lanes, history, below, slot, row, ways[:WAYS], ways[WAYS:].astype(np.int16), last, two)

    def _hash(self, history: Ints, lanes: Ints) -> tuple[Ints, NDArray[np.uint16]]:
        """(slot, tag) of each context, [O, L]; tags are not 0. Arithmetic modulo 2^64."""
        powers = np.cumsum((history.T[::-1] + 1).astype(np.uint64) * _POWERS[:, None], 0)
        h = powers.take(self.orders - 1, 0)
        h += self.salt.take(lanes, 1)
        h = (h ^ (h >> np.uint64(32))) * np.uint64(_HASH)
        h ^= h >> np.uint64(29)
        slot = (h * np.uint64(_HASH)) >> np.uint64(64 - self.bits)
        return slot.astype(np.int64), h.astype(np.uint16) | np.uint16(1 << 8)

    def _guess(self, found: Found, left: Ints, node: Ints, zeros: Counts, ones: Counts) -> Guess:
        """Of K bits. left: bits of the symbol that are not known [K, 1]; node: [K, L]; zeros, ones: how often each
        context was followed by either, [K, O, L]
        """
        count = len(self.orders)
        level = _levels()
        state = level.take(zeros)
        state *= len(LEVELS)
        state += level.take(ones)
        state += np.arange(0, count * STATES, STATES)[:, None]
        inputs = np.empty((*node.shape, count + 2), np.int64)
        inputs[..., 0] = stretch(_network_chance(found.below, left, node))
        inputs[..., 1:-1] = self.opinion.take(state).swapaxes(1, 2)
        inputs[..., -1] = CONSTANT
        said = (zeros + ones).astype(np.bool_)
        longest = (said * np.arange(1, count + 1, dtype=np.uint8)[:, None]).max(1).astype(np.int64)
        weights = self.weights.take(longest, 0)
        weights += self.weights.take(node + (count + 1), 0)
        weights += self.weights.take(found.last + (count + 1 + SYMBOLS), 0)
        nudge = ((found.two * SYMBOLS + node) * _SHORT_HASH & 0xFFFFFFFF) >> (32 - min(self.bits, NUDGE_BITS))
        x = np.einsum("kln,kln->kl", weights, inputs)
        x += self.after_one.take(found.last * SYMBOLS + node)
        x += self.after_two.take(nudge)
        x >>= WEIGHT_BITS
        chance = squashed().take(x + LIMIT, mode="clip")
        return Guess(node, state, longest, inputs, nudge, chance)

    def _learn(self, found: Found, guess: Guess, symbols: Ints) -> None:
        """From all bits of a step."""
        bits = bits_of(symbols)
        error = (bits << LOGISTIC_BITS) - guess.chance
        np.add.at(self.after_one, found.last * SYMBOLS + guess.node, error * NUDGES[0])
        np.add.at(self.after_two, guess.nudge, error * NUDGES[1])
        self._learn_weights(found.last, guess, error)
        self._learn_chances(guess.state, bits)
        self._count(found, symbols)
        self.history[found.lanes] = np.concatenate([found.history[:, 1:], symbols[:, None]], 1)

    def _learn_weights(self, last: Ints, guess: Guess, error: Ints) -> None:
        """error: [BITS, L], in units of 2^-20"""
        slope = guess.input * error[:, :, None]
        parts = (
            _sums(guess.longest, slope, len(self.orders) + 1),
            _sums(guess.node, slope, SYMBOLS),
            _sums(last, slope.sum(0), SYMBOLS),
        )
        gradient = np.concatenate([sums for sums, _ in parts])
        decisions = np.concatenate([parts[0][1], parts[1][1], parts[2][1] * BITS])
        used = np.flatnonzero(decisions)
        decisions = decisions[used]
        self.decisions[used] += decisions
        rate = FAST * CALM // (CALM + self.decisions[used]) + SLOW
        step = gradient[used] // np.maximum(decisions // MANY, 1)[:, None]
        # slopes are in units of 2^-20 and 1 / LOGISTIC_STEPS = 2^-9, rates of 2^-16, weights of 2^-20
        self.weights[used] += (step * rate[:, None] + (1 << 24)) >> 25

    def _learn_chances(self, state: Ints, bits: Ints) -> None:
        """state: [BITS, O, L]; bits: [BITS, L]"""
        came = np.bincount((2 * state + bits[:, None]).ravel(), minlength=2 * len(self.trials)).reshape(-1, 2)
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
        opinion = np.clip(stretch(chance), -OPINION_LIMIT, OPINION_LIMIT)
        self.opinion[state] = opinion * (state % STATES > 0)

    def _count(self, found: Found, symbols: Ints) -> None:
        """One more of each symbol in its contexts; of lanes that share a context in a step the first counts."""
        new = symbols.astype(np.uint8)
        hit = (found.symbols == new) & (found.counts > 0)
        rank = np.where(hit, 0, found.counts + 1) * WAYS + np.arange(WAYS)[:, None, None]
        way = rank.min(0) % WAYS  # the symbol's own, or that of the rarest
        slot, place = _firsts(found.slot.ravel())
        rows = found.row.reshape(-1, ROW).take(place, 0)
        at = np.arange(0, rows.size, ROW) + TAG + way.take(place)
        flat, known = rows.reshape(-1), hit.any(0).take(place)
        full = np.flatnonzero((flat.take(at + WAYS) == MOST_COUNT) & known)
        rows[full, TAG + WAYS :] >>= 1
        flat[at + WAYS] = flat.take(at + WAYS) * known + 1
        flat[at] = new.take(place % len(new))
        self.table[slot] = rows


def _network_chance(below: Ints, left: Ints, node: Ints) -> Ints:
    """The network's probability of a 1, in units of 2^-20. below: [L, 257]; left: [K, 1]; node: [K, L]"""
    start = (node << left) + np.arange(0, below.size, SYMBOLS + 1) - SYMBOLS
    none, half, both = (below.take(start + step) for step in (0, 1 << (left - 1), 1 << left))
    return ((2 * (both - half) + 1) << (LOGISTIC_BITS - 1)) // (both - none + 1)


def _sums(row: Ints, values: Ints, count: int) -> tuple[Ints, Ints]:
    """Sums of the values [..., n] that belong to each of `count` rows, [count, n], and how many these are, [count].
    row: [...]
    """
    width = values.shape[-1]
    place = row.reshape(-1, 1) * width + np.arange(width)
    # of integers below 2^53: exact
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
