"""Compiled kernels of :mod:`bfncodec.coding.mixing.contexts`: they work on the arrays of a `ContextMixer`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.contexts import (
    _HASH,
    _POWERS,
    _SHORT_HASH,
    BITS,
    CALM,
    CONSTANT,
    FAST,
    LEVELS,
    LIMIT,
    MANY,
    MOST_COUNT,
    MOST_TRIALS,
    NUDGES,
    OPINION_LIMIT,
    REACH,
    ROW,
    SLOW,
    STATES,
    SYMBOLS,
    TAG,
    TRIAL_BITS,
    WAYS,
    WEIGHT_BITS,
    ContextMixer,
    Read,
    _levels,
    _stretched,
    bits_of,
    squashed,
)
from bfncodec.coding.rangecoder import PRECISION
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Bytes, Ints, Ints32
from bfncodec.runtime.jit import compiled

HASH, SHORT_HASH = np.uint64(_HASH), _SHORT_HASH
POWERS = _POWERS
GRADES = len(LEVELS)
U32, U29, U64, ONE = np.uint64(32), np.uint64(29), np.uint64(64), np.uint64(1)
TAGGED = np.uint64(1 << 8)
NOTHING = np.uint64(0)
WORDS = ROW // 8
LEAST_SET = 1 << 8  # places of the set of slots that a step has counted in


class Mixer(NamedTuple):
    """The arrays of a `ContextMixer`, which the loops change, and tables."""

    table: Bytes
    words: NDArray[np.uint64]  # the same
    history: Ints
    salt: NDArray[np.uint64]
    orders: Ints
    hits: Ints
    trials: Ints
    opinion: Ints
    weights: Ints
    decisions: Ints
    after_one: Ints
    after_two: Ints
    level: Ints
    stretched: NDArray[np.int16]
    squashed: Ints


class Step(NamedTuple):
    """What is known and thought of one step, as `Found` and `Guess` have it, but lanes before contexts."""

    below: Ints  # [L, SYMBOLS + 1]
    slot: Ints  # [O, L]
    row: Bytes  # [O, L, ROW]
    words: NDArray[np.uint64]  # the same
    ways: Ints  # [O, L]: in use, or some more
    node: Ints  # [L]
    history: Ints  # [L, BITS]: the node before each bit
    state: Ints  # [BITS, L, O]
    longest: Ints  # [BITS, L]
    input: Ints  # [BITS, L, O + 2]
    nudge: Ints  # [BITS, L]
    chance: Ints  # [BITS, L]
    gradient: Ints  # as the mixer's weights
    decided: Ints  # as the mixer's decisions, zeros
    judged: Bytes  # as the mixer's states, zeros
    counted: Ints  # a set of slots, zeros where nothing is


class CompiledMixer(ContextMixer):
    """The same as its parent, on its arrays."""

    def __init__(self, size: int, lanes: int) -> None:
        super().__init__(size, lanes)
        self._mixer = Mixer(
            self.table,
            self.table.view(np.uint64),
            self.history,
            self.salt,
            self.orders,
            self.hits,
            self.trials,
            self.opinion,
            self.weights,
            self.decisions,
            self.after_one,
            self.after_two,
            _levels(),
            _stretched(),
            squashed(),
        )
        self._step = _room(self, lanes)

    def encode(self, weight: Ints32, lanes: Ints, symbols: Ints) -> Ints:
        """Implements `ContextMixer.encode`."""
        mixer, step, bits = self._mixer, self._step, bits_of(symbols)
        _find(mixer, step, weight, lanes)
        for k in range(BITS):
            _guess(mixer, step, lanes, k)
            _tell(step, k, bits[k])
        _learn(mixer, step, lanes, symbols)
        return step.chance[:, : len(lanes)] << (PRECISION - LOGISTIC_BITS)

    def decode(self, weight: Ints32, lanes: Ints, read: Read) -> Ints:
        """Implements `ContextMixer.decode`."""
        mixer, step, count = self._mixer, self._step, len(lanes)
        _find(mixer, step, weight, lanes)
        for k in range(BITS):
            _guess(mixer, step, lanes, k)
            _tell(step, k, read(step.chance[k, :count] << (PRECISION - LOGISTIC_BITS)))
        symbols: Ints = step.node[:count] - SYMBOLS
        _learn(mixer, step, lanes, symbols)
        return symbols


def _room(mixer: ContextMixer, lanes: int) -> Step:
    """For a step of at most so many lanes."""
    count = len(mixer.orders)
    row = np.zeros((count, lanes, ROW), np.uint8)

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    return Step(
        below=ints(lanes, SYMBOLS + 1),
        slot=ints(count, lanes),
        row=row,
        words=row.view(np.uint64),
        ways=ints(count, lanes),
        node=ints(lanes),
        history=ints(lanes, BITS),
        state=ints(BITS, lanes, count),
        longest=ints(BITS, lanes),
        input=ints(BITS, lanes, count + 2),
        nudge=ints(BITS, lanes),
        chance=ints(BITS, lanes),
        gradient=ints(*mixer.weights.shape),
        decided=ints(len(mixer.decisions)),
        judged=np.zeros(len(mixer.trials), np.uint8),
        counted=ints(max(LEAST_SET, 1 << (2 * count * lanes).bit_length())),
    )


@compiled
def _tell(step: Any, k: Any, bits: Any) -> None:
    for j in range(len(bits)):
        step.node[j] = 2 * step.node[j] + bits[j]


@compiled
def _find(mixer: Any, step: Any, weight: Any, lanes: Any) -> None:
    """`ContextMixer._find`"""
    shift = ONE
    while (1 << np.int64(shift)) < len(mixer.table):
        shift += ONE
    shift = U64 - shift
    for j in range(len(lanes)):
        lane, below = lanes[j], np.int64(0)
        step.node[j] = 1
        for symbol in range(SYMBOLS):
            step.below[j, symbol] = below
            below += weight[j, symbol]
        step.below[j, SYMBOLS] = below
        power, added = np.uint64(0), 0
        for o in range(len(mixer.orders)):  # by increasing order
            while added < mixer.orders[o]:
                power += np.uint64(mixer.history[lane, REACH - 1 - added] + 1) * POWERS[added]
                added += 1
            h = power + mixer.salt[o, lane]
            h = (h ^ (h >> U32)) * HASH
            h ^= h >> U29
            slot = np.int64((h * HASH) >> shift)
            tag = (h & np.uint64(0xFFFF)) | TAGGED
            low, high = np.uint8(tag & np.uint64(0xFF)), np.uint8(tag >> np.uint64(8))
            step.slot[o, j] = slot
            known = mixer.table[slot, 0] == low and mixer.table[slot, 1] == high
            ways = 0
            for i in range(WORDS):
                step.words[o, j, i] = mixer.words[slot, i] if known else NOTHING
            if known:
                for way in range(WAYS):
                    if step.row[o, j, TAG + WAYS + way]:
                        ways = way + 1
            step.row[o, j, 0], step.row[o, j, 1] = low, high
            step.ways[o, j] = ways


@compiled
def _guess(mixer: Any, step: Any, lanes: Any, k: Any) -> None:
    """`ContextMixer._guess` of the k-th bit of every lane."""
    count, left = len(mixer.orders), BITS - k
    nudged = len(mixer.after_two)
    for j in range(len(lanes)):
        lane, node = lanes[j], step.node[j]
        step.history[j, k] = node
        longest = 0
        start = (node << left) - SYMBOLS
        none, half, both = (
            step.below[j, start],
            step.below[j, start + (1 << (left - 1))],
            step.below[j, start + (1 << left)],
        )
        own = ((2 * (both - half) + 1) << (LOGISTIC_BITS - 1)) // (both - none + 1)
        step.input[k, j, 0] = mixer.stretched[own]
        for o in range(count):
            zeros, ones = np.int64(0), np.int64(0)
            for way in range(step.ways[o, j]):
                symbol = np.int64(step.row[o, j, TAG + way])
                if (symbol + SYMBOLS) >> left == node:
                    times = np.int64(step.row[o, j, TAG + WAYS + way])
                    if (symbol >> (left - 1)) & 1:
                        ones += times
                    else:
                        zeros += times
            if zeros + ones > 0:
                longest = o + 1
            state = o * STATES + mixer.level[zeros] * GRADES + mixer.level[ones]
            step.state[k, j, o] = state
            step.input[k, j, 1 + o] = mixer.opinion[state]
        step.input[k, j, count + 1] = CONSTANT
        last = mixer.history[lane, REACH - 1] % SYMBOLS
        two = mixer.history[lane, REACH - 2] % SYMBOLS * SYMBOLS + last
        nudge = (((two * SYMBOLS + node) * SHORT_HASH) & 0xFFFFFFFF) * nudged >> 32
        x = mixer.after_one[last * SYMBOLS + node] + mixer.after_two[nudge]
        second, third = count + 1 + node, count + 1 + SYMBOLS + last
        for i in range(count + 2):
            w = mixer.weights[longest, i] + mixer.weights[second, i] + mixer.weights[third, i]
            x += w * step.input[k, j, i]
        x = min(max(x >> WEIGHT_BITS, -LIMIT), LIMIT)
        step.longest[k, j], step.nudge[k, j], step.chance[k, j] = longest, nudge, mixer.squashed[x + LIMIT]


@compiled
def _learn(mixer: Any, step: Any, lanes: Any, symbols: Any) -> None:
    """`ContextMixer._learn`"""
    _learn_weights(mixer, step, lanes, symbols)
    _learn_chances(mixer, step, symbols)
    _count(mixer, step, symbols)
    for j in range(len(lanes)):
        for k in range(REACH - 1):
            mixer.history[lanes[j], k] = mixer.history[lanes[j], k + 1]
        mixer.history[lanes[j], REACH - 1] = symbols[j]


@compiled
def _learn_weights(mixer: Any, step: Any, lanes: Any, symbols: Any) -> None:
    inputs = len(mixer.orders) + 2
    first, second = inputs - 1, inputs - 1 + SYMBOLS
    for k in range(BITS):
        for j in range(len(lanes)):
            node = step.history[j, k]
            last = mixer.history[lanes[j], REACH - 1] % SYMBOLS
            error = (((symbols[j] >> (BITS - 1 - k)) & 1) << LOGISTIC_BITS) - step.chance[k, j]
            mixer.after_one[last * SYMBOLS + node] += error * NUDGES[0]
            mixer.after_two[step.nudge[k, j]] += error * NUDGES[1]
            for row in (step.longest[k, j], first + node, second + last):
                if step.decided[row] == 0:
                    step.gradient[row] = 0
                step.decided[row] += 1
                for i in range(inputs):
                    step.gradient[row, i] += step.input[k, j, i] * error
    for row in range(len(step.decided)):
        many = step.decided[row]
        if many:
            step.decided[row] = 0
            mixer.decisions[row] += many
            rate = FAST * CALM // (CALM + mixer.decisions[row]) + SLOW
            part = max(many // MANY, 1)
            for i in range(inputs):
                mixer.weights[row, i] += (step.gradient[row, i] // part * rate + (1 << 24)) >> 25


@compiled
def _learn_chances(mixer: Any, step: Any, symbols: Any) -> None:
    count = len(mixer.orders)
    for k in range(BITS):
        for j in range(len(symbols)):
            bit = ((symbols[j] >> (BITS - 1 - k)) & 1) << TRIAL_BITS
            for o in range(count):
                state = step.state[k, j, o]
                if state != o * STATES:  # which says nothing
                    mixer.hits[state] += bit
                    mixer.trials[state] += 1 << TRIAL_BITS
                    step.judged[state] = 1
    for state in range(len(step.judged)):
        if step.judged[state]:
            step.judged[state] = 0
            if mixer.trials[state] > MOST_TRIALS << TRIAL_BITS:
                mixer.hits[state] >>= 1
                mixer.trials[state] >>= 1
            chance = (mixer.hits[state] << LOGISTIC_BITS) // mixer.trials[state]
            mixer.opinion[state] = min(max(np.int64(mixer.stretched[chance]), -OPINION_LIMIT), OPINION_LIMIT)


@compiled
def _count(mixer: Any, step: Any, symbols: Any) -> None:
    """`ContextMixer._count`. Slots are kept in a set by open addressing, plus 1."""
    step.counted[:] = 0
    most = len(step.counted) - 1
    for o in range(len(mixer.orders)):
        for j in range(len(symbols)):
            slot = step.slot[o, j]
            place = (slot * SHORT_HASH >> 7) & most
            while step.counted[place] and step.counted[place] != slot + 1:
                place = (place + 1) & most
            if step.counted[place]:
                continue
            step.counted[place] = slot + 1
            row, way, known, least = step.row[o, j], 0, False, np.int64(MOST_COUNT + 1)
            for i in range(WAYS):
                times = np.int64(row[TAG + WAYS + i])
                if times and row[TAG + i] == symbols[j]:
                    way, known = i, True
                    break
                if times < least:
                    way, least = i, times
            if known and row[TAG + WAYS + way] == MOST_COUNT:
                for i in range(WAYS):
                    row[TAG + WAYS + i] >>= 1
            row[TAG + WAYS + way] = row[TAG + WAYS + way] + 1 if known else 1
            row[TAG + way] = symbols[j]
            for i in range(WORDS):
                mixer.words[slot, i] = step.words[o, j, i]
