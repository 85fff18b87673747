"""Compiled kernels of :mod:`bfncodec.coding.mixing.contexts`, on the arrays of the same state.

Functions equal the methods of `ContextMixer` that they are named after, to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.contexts import ContextMixer, Read, bits_of
from bfncodec.coding.mixing.places import (
    AGREED,
    ENDS,
    FAR,
    FIELD,
    FIRST,
    KEY,
    LATEST,
    MOST_AGREED,
    MOST_COLUMN,
    MOST_NUMBER,
    NAMES,
    NEXT,
    NUMBER,
    OTHER,
    PASSED,
    PLACES,
    POWER,
    WIDTH,
    WORD,
    WORD_BEFORE,
    classes,
    letters,
)
from bfncodec.coding.mixing.state import (
    BIAS_RATES,
    BITS,
    CALM,
    CONSTANT,
    CONTEXTS,
    COUNT_LEVELS,
    EXPERT_LIMIT,
    FAST,
    HASH,
    HASH_POWERS,
    LIMIT,
    MANY,
    MOST_COUNT,
    MOST_TRIALS,
    PAIRS,
    REACH,
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
    MixerState,
    count_levels,
    logistic_values,
    logit_values,
)
from bfncodec.coding.rangecoder import PRECISION, CodeState, RangeDecoder, SymbolSource, damaged, total
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Bytes, Ints, Ints32, Words
from bfncodec.runtime.jit import compiled, flat, inlined

LONG_HASH = np.uint64(HASH)
GRADES = len(COUNT_LEVELS)
U32, U29, U24, U64, ONE = np.uint64(32), np.uint64(29), np.uint64(PRECISION), np.uint64(64), np.uint64(1)
TOTAL = total(2)
TAG_BITS, TAGGED = np.uint64(0xFFFF), np.uint64(1 << 8)  # of a row's first word: Numba knows little-endian machines
NOTHING, POWER_64 = np.uint64(0), np.uint64(POWER)
WORDS = ROW // 8
# Numbers of eight bytes: 1 in each, the lower seven bits of each, all of every second. ALL: the bits of one byte.
EACH, LOWER, ALL = np.uint64(0x0101010101010101), np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0xFF)
PAIR, U7, U8, U16 = np.uint64(0x00FF00FF00FF00FF), np.uint64(7), np.uint64(8), np.uint64(16)
LEAST_SET = 1 << 8  # places of the set of slots that a step has counted in
Words64 = NDArray[np.uint64]


class Lookups(NamedTuple):
    """Tables, and the state's slots as words."""

    words: Words64  # [slots, WORDS]
    level: Ints  # `count_levels`
    logit: NDArray[np.int16]  # `logit_values`
    logistic: Ints  # `logistic_values`
    letter: Ints  # `letters`
    kind: Ints  # `classes`


class Workspace(NamedTuple):
    """One step of at most L streams, as `StepContexts` and `BitPredictions` have it, but streams before contexts."""

    below: Ints  # [L, SYMBOLS + 1]
    counterpart: Ints  # [L]
    first: Ints  # weight set of the place [L]
    place: Words64  # of one stream [PLACES]
    hash: Words64  # what the hashes of the contexts begin with [O, L]
    slot: Ints  # [O, L]
    row: Bytes  # [O, L, ROW]
    words: Words64  # the same numbers [O, L, WORDS]
    symbols: Words64  # of the rows, a byte for each way, that of the first the lowest. [L, O]
    counts: Words64  # in the same order [L, O]
    zeros: Ints  # of one stream: how often zeros followed the known bits [O]
    ones: Ints  # likewise
    latest: Ints  # what the two latest symbols say
    node: Ints  # [L]
    nodes: Ints  # the node before each bit [L, BITS]
    state: Ints  # [BITS, L, O]
    longest: Ints  # [BITS, L]
    set: Ints  # of the place [BITS, L]
    inputs: Ints  # [BITS, L, O + 2]
    bias: Ints  # [BITS, L]
    probability: Ints  # [BITS, L]
    gradient: Ints  # as the state's weights
    decided: Ints  # as the state's decisions, zeros between steps
    sets: Ints  # those that were used, as far as `_add_slopes` says
    touched: Bytes  # as the state's predictions, zeros between steps
    states: Ints  # those that were, as far as `_count_bits` says
    counted: Ints  # a set of slots, zeros where nothing is


class CompiledMixer(ContextMixer):
    """A `ContextMixer` whose arrays are updated by kernels."""

    def __init__(self, size: int, streams: int, contexts: Contexts = CONTEXTS) -> None:
        super().__init__(size, streams, contexts)
        words = self.state.table.view(np.uint64)
        lookups = Lookups(words, count_levels(), logit_values(), logistic_values(), letters(), classes())
        self._work = _workspace(self.state, streams)
        self._arrays = flat(self.state), flat(lookups), flat(self._work)

    def encode(self, weight: Ints32, streams: Ints, symbols: Ints) -> Ints:
        """Implements `ContextMixer.encode`."""
        _encode(*self._arrays, weight, streams, symbols, bits_of(symbols))
        return self._work.probability[:, : len(streams)] << (PRECISION - LOGISTIC_BITS)

    def decode(self, weight: Ints32, streams: Ints, read: Read) -> Ints:
        """Implements `ContextMixer.decode`."""
        work, count = self._work, len(streams)
        _contexts(*self._arrays, weight, streams)
        for k in range(BITS):
            _predict(*self._arrays, streams, k)
            _condition(work, read(work.probability[k, :count] << (PRECISION - LOGISTIC_BITS)))
        symbols: Ints = work.node[:count] - SYMBOLS
        _update(*self._arrays, streams, symbols)
        return symbols

    def decode_from(self, weight: Ints32, streams: Ints, source: SymbolSource) -> Ints:
        """Implements `ContextMixer.decode_from`; a range decoder's bits are read by the kernels themselves."""
        if not isinstance(source, RangeDecoder):
            return super().decode_from(weight, streams, source)
        symbols = np.empty(len(streams), np.int64)
        if not _decode(*self._arrays, weight, streams, source.code, symbols):
            raise damaged()
        return symbols


def _workspace(state: MixerState, streams: int) -> Workspace:
    """Buffers for steps of at most so many streams."""
    count = len(state.salt)
    row = np.zeros((count, streams, ROW), np.uint8)

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    return Workspace(
        below=ints(streams, SYMBOLS + 1),
        counterpart=ints(streams),
        first=ints(streams),
        place=np.zeros(PLACES, np.uint64),
        hash=np.zeros((count, streams), np.uint64),
        slot=ints(count, streams),
        row=row,
        words=row.view(np.uint64),
        symbols=np.zeros((streams, count), np.uint64),
        counts=np.zeros((streams, count), np.uint64),
        zeros=ints(count),
        ones=ints(count),
        latest=ints(count),
        node=ints(streams),
        nodes=ints(streams, BITS),
        state=ints(BITS, streams, count),
        longest=ints(BITS, streams),
        set=ints(BITS, streams),
        inputs=ints(BITS, streams, count + 2),
        bias=ints(BITS, streams),
        probability=ints(BITS, streams),
        gradient=ints(*state.weights.shape),
        decided=ints(len(state.decisions)),
        sets=ints(len(state.decisions)),
        touched=np.zeros(len(state.predictions), np.uint8),
        states=ints(len(state.predictions)),
        counted=ints(max(LEAST_SET, 1 << (2 * count * streams).bit_length())),
    )


@compiled
def _encode(
    state: MixerState, lookups: Lookups, work: Workspace, weight: Ints32, streams: Ints, symbols: Ints, bits: Ints
) -> None:
    """Take a whole step whose symbols are known, as one call: each call unpacks all arrays of its tuples."""
    _contexts(state, lookups, work, weight, streams)
    for k in range(BITS):
        _predict(state, lookups, work, streams, k)
        _condition(work, bits[k])
    _update(state, lookups, work, streams, symbols)


@compiled
def _decode(
    state: MixerState,
    lookups: Lookups,
    work: Workspace,
    weight: Ints32,
    streams: Ints,
    code: CodeState,
    symbols: Ints,
) -> bool:
    """Take a whole step whose bits are read from a code. Returns whether an encoder may have written them."""
    _contexts(state, lookups, work, weight, streams)
    for k in range(BITS):
        _predict(state, lookups, work, streams, k)
        for j in range(len(streams)):
            bit = _read(code.words, code.state, work.probability[k, j] << (PRECISION - LOGISTIC_BITS))
            if bit < 0:
                return False
            work.node[j] = 2 * work.node[j] + bit
    for j in range(len(streams)):
        symbols[j] = work.node[j] - SYMBOLS
    _update(state, lookups, work, streams, symbols)
    return True


@compiled
def _read(words: Words, state: Words64, ones: Any) -> Any:
    """Return the next bit of a code, as `RangeDecoder.decode_rows` of `contexts.bit_frequencies` does; -1 for what no
    encoder writes. ones: frequency of a 1
    """
    lower, zeros = state[0], np.uint64(TOTAL - ones)
    scale = state[1] >> U24
    quantile = (state[2] - lower) // scale
    if quantile >> U24:
        return -1
    bit = 1 if quantile > zeros else 0
    if bit:
        lower += scale * (zeros + ONE)
    width = scale * ((np.uint64(ones) if bit else zeros) + ONE)
    if not width >> U32:
        at = np.int64(state[3])
        lower, width = lower << U32, width << U32
        state[2] = (state[2] << U32) | np.uint64(words[at] if at < len(words) else 0)
        state[3] += ONE
    state[0], state[1] = lower, width
    return bit


# ---- before a step ------------------------------------------------------------------------------


@compiled
def _contexts(state: MixerState, lookups: Lookups, work: Workspace, weight: Ints32, streams: Ints) -> None:
    """`ContextMixer._contexts`"""
    for j in range(len(streams)):
        below = np.int64(0)
        work.node[j] = 1
        for symbol in range(SYMBOLS):
            work.below[j, symbol] = below
            below += weight[j, symbol]
        work.below[j, SYMBOLS] = below
    _find_counterparts(state, work, streams)
    _hash_bytes(state, work, streams)
    _hash_places(state, work, streams)
    _look_up(state, lookups, work, streams)


@compiled
def _find_counterparts(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Implements `places.counterparts`."""
    base = len(state.orders) + 1 + 2 * SYMBOLS
    for j in range(len(streams)):
        mark = state.marks[streams[j]]
        number, lately = min(mark[NUMBER], np.uint64(MOST_NUMBER)), min(mark[AGREED], np.uint64(MOST_AGREED))
        work.counterpart[j] = state.lines[streams[j], 1, np.int64(mark[PASSED]) + 1]
        work.first[j] = base + (np.int64(number) * (MOST_AGREED + 1) + np.int64(lately)) * NEXT * BITS


@compiled
def _hash_bytes(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Begin the hashes of contexts of bytes."""
    for j in range(len(streams)):
        power, added = NOTHING, 0
        for o in range(len(state.orders)):  # by increasing order
            while added < state.orders[o]:
                power += np.uint64(state.history[streams[j], REACH - 1 - added] + 1) * HASH_POWERS[added]
                added += 1
            work.hash[o, j] = power


@compiled
def _hash_places(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Begin the hashes of the other contexts, as `places.place_hashes` does."""
    marks, lines, place = state.marks, state.lines, work.place
    for j in range(len(streams)):
        stream = streams[j]
        column, before = state.column[stream], np.uint64(state.history[stream, REACH - 1])
        at = min(column, MOST_COLUMN)
        over = np.uint64(lines[stream, 1, at + 1])
        first = marks[stream, FIELD] + marks[stream, FIRST] * FAR[0]
        key = marks[stream, FIELD] + marks[stream, KEY] * FAR[0]
        place[0] = marks[stream, WORD] + before * FAR[1]
        place[1] = marks[stream, WORD] + marks[stream, WORD_BEFORE] * FAR[0]
        place[2] = over * FAR[0] + np.uint64(min(column, WIDTH - 1)) * FAR[1]
        place[3] = first + before * FAR[1]
        place[4] = key + marks[stream, NUMBER] * FAR[1]
        place[5] = first + marks[stream, NUMBER] * FAR[1]
        place[6] = _three(lines[stream, 1], at) + before * FAR[3]
        passed, agreed = np.int64(marks[stream, PASSED]), marks[stream, AGREED]
        lately = min(agreed, np.uint64(MOST_AGREED))
        place[7] = _three(lines[stream, 1], passed) + before * FAR[3] + lately * FAR[4]
        place[8] = np.uint64(work.counterpart[j]) * FAR[0] + marks[stream, NUMBER] * FAR[1] + agreed * FAR[2]
        for k in range(len(state.places)):
            work.hash[len(state.orders) + k, j] = place[state.places[k]]


@inlined
def _three(line: Bytes, at: Any) -> Any:
    """Return the hash of three cells of a line."""
    return np.uint64(line[at]) * FAR[0] + np.uint64(line[at + 1]) * FAR[1] + np.uint64(line[at + 2]) * FAR[2]


@compiled
def _look_up(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints) -> None:
    """Finish the hashes, and read the rows of the contexts, empty ones of those that are new."""
    shift = ONE
    while (1 << np.int64(shift)) < len(state.table):
        shift += ONE
    shift = U64 - shift
    for o in range(len(state.salt)):
        for j in range(len(streams)):
            h = work.hash[o, j] + state.salt[o, streams[j]]
            h = (h ^ (h >> U32)) * LONG_HASH
            h ^= h >> U29
            slot = np.int64((h * LONG_HASH) >> shift)
            work.slot[o, j] = slot
            tag = (h & TAG_BITS) | TAGGED
            # No branch waits for the table: slots are far apart in memory, and read while others are on their way.
            first, second = lookups.words[slot, 0], lookups.words[slot, 1]
            known = np.uint64((first & TAG_BITS) == tag)
            first, second = (first & ~TAG_BITS) * known, second * known
            work.words[o, j, 0], work.words[o, j, 1] = first | tag, second
            work.symbols[j, o] = (first >> np.uint64(16)) | ((second & ALL) << np.uint64(48))
            work.counts[j, o] = second >> np.uint64(8)


# ---- one bit ------------------------------------------------------------------------------------


@compiled
def _predict(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, k: int) -> None:
    """`ContextMixer._predict` of the k-th bit of every stream."""
    count, known, left = len(state.salt), len(state.orders), BITS - k
    for j in range(len(streams)):
        node, longest = work.node[j], 0
        work.nodes[j, k] = node
        _count_ways(work.symbols, work.counts, work.zeros, work.ones, work.latest, j, left, node)
        work.inputs[k, j, 0] = lookups.logit[_network_probability(work.below, j, left, node)]
        for o in range(count):
            zeros, ones = work.zeros[o], work.ones[o]
            longest = o + 1 if zeros + ones > 0 and o < known else longest
            which = o * STATES + PAIRS * work.latest[o] + lookups.level[zeros] * GRADES + lookups.level[ones]
            work.state[k, j, o] = which
            work.inputs[k, j, 1 + o] = state.predictions[which]
        work.inputs[k, j, count + 1] = CONSTANT
        last = state.history[streams[j], REACH - 1] % SYMBOLS
        two = state.history[streams[j], REACH - 2] % SYMBOLS * SYMBOLS + last
        bias = (((two * SYMBOLS + node) * SHORT_HASH) & 0xFFFFFFFF) * len(state.bias_two) >> 32
        x = state.bias_one[last * SYMBOLS + node] + state.bias_two[bias]
        second, third = known + 1 + node, known + 1 + SYMBOLS + last
        fourth = work.first[j] + _next_bit(work.counterpart[j], left, node) * BITS + k
        for i in range(count + 2):
            w = state.weights[longest, i] + state.weights[second, i]
            w += state.weights[third, i] + state.weights[fourth, i]
            x += w * work.inputs[k, j, i]
        x = min(max(x >> WEIGHT_BITS, -LIMIT), LIMIT)
        work.longest[k, j], work.set[k, j], work.bias[k, j] = longest, fourth, bias
        work.probability[k, j] = lookups.logistic[x + LIMIT]


@inlined
def _network_probability(below: Ints, j: int, left: int, node: Any) -> Any:
    """`contexts._network_probability` of one bit of one stream."""
    start = (node << left) - SYMBOLS
    none, half, both = below[j, start], below[j, start + (1 << (left - 1))], below[j, start + (1 << left)]
    return ((2 * (both - half) + 1) << (LOGISTIC_BITS - 1)) // (both - none + 1)


@inlined
def _count_ways(
    symbols: Words64, counts: Words64, zeros: Ints, ones: Ints, latest: Ints, j: int, left: int, node: Any
) -> None:
    """Add up how often zeros and ones followed the bits of a node in each context of a stream, and what the two latest
    symbols say: 0 if one disagrees with the node, else 1 and its bit, times 1 and 3. Nothing branches in it.
    """
    alike, begin, place = np.uint64((0xFF << left) & 0xFF) * EACH, np.uint64((node << left) & 0xFF) * EACH, left - 1
    for o in range(symbols.shape[1]):
        differ = (symbols[j, o] ^ begin) & alike
        differ = ((((differ & LOWER) + LOWER) | differ) & ~LOWER) >> U7  # 1 in the byte of each symbol that disagrees
        bits = (symbols[j, o] >> np.uint64(place)) & EACH
        counted = counts[j, o] & ~((differ << U8) - differ)
        some = _sum(counted & ((bits << U8) - bits))
        zeros[o], ones[o] = _sum(counted) - some, some
        first, second = np.int64(ONE + (bits & ONE)), np.int64(ONE + ((bits >> U8) & ONE))
        said = first if (counted & ALL) != NOTHING else np.int64(0)
        latest[o] = said + (3 * second if ((counted >> U8) & ALL) != NOTHING else np.int64(0))


@inlined
def _sum(counts: Any) -> Any:
    """Return the sum of the bytes of a number."""
    pairs = (counts & PAIR) + ((counts >> U8) & PAIR)
    pairs += pairs >> U32
    return np.int64((pairs + (pairs >> U16)) & TAG_BITS)


@inlined
def _next_bit(symbol: Any, left: int, node: Any) -> Any:
    """Return 1 and the bit of a symbol behind a node, 0 if the symbol has other bits before it."""
    if (symbol + SYMBOLS) >> left == node:
        return 1 + ((symbol >> (left - 1)) & 1)
    return np.int64(0)


@compiled
def _condition(work: Workspace, bits: Ints) -> None:
    """Go on with the next bits of all streams known."""
    for j in range(len(bits)):
        work.node[j] = 2 * work.node[j] + bits[j]


# ---- after a step -------------------------------------------------------------------------------


@compiled
def _update(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints) -> None:
    """`ContextMixer._update`"""
    used = _add_slopes(state, work, streams, symbols)
    _update_weights(state, work, used)
    touched = _count_bits(state, work, symbols)
    _update_maps(state, lookups, work, touched)
    _count(state, lookups, work, symbols)
    _go_on(state, lookups, streams, symbols)
    for j in range(len(streams)):
        for k in range(REACH - 1):
            state.history[streams[j], k] = state.history[streams[j], k + 1]
        state.history[streams[j], REACH - 1] = symbols[j]


@compiled
def _go_on(state: MixerState, lookups: Lookups, streams: Ints, symbols: Ints) -> None:
    """Implements `places.go_on`."""
    marks, lines = state.marks, state.lines
    for j in range(len(streams)):
        stream, symbol, kind, column = streams[j], symbols[j], lookups.kind[symbols[j]], state.column[streams[j]]
        letter = lookups.letter[symbol]
        _align(marks[stream], lines[stream, 1], lookups.kind, symbol)
        if letter == 0 and marks[stream, WORD]:
            marks[stream, WORD_BEFORE] = marks[stream, WORD]
        marks[stream, WORD] = (marks[stream, WORD] + np.uint64(letter)) * POWER_64 if letter else NOTHING
        if kind == OTHER:
            marks[stream, FIELD] = (marks[stream, FIELD] + np.uint64(symbol) + ONE) * POWER_64
        else:
            if marks[stream, FIELD]:
                marks[stream, LATEST] = marks[stream, FIELD]
            if marks[stream, FIRST] == NOTHING:
                marks[stream, FIRST] = marks[stream, FIELD]
            marks[stream, FIELD] = NOTHING
            marks[stream, NUMBER] += ONE
        if kind == NAMES:
            marks[stream, KEY] = marks[stream, LATEST]
        if column < MOST_COLUMN:
            lines[stream, 0, column + 1] = symbol
        state.column[stream] = column + 1
        if kind == ENDS:
            marks[stream, NUMBER], marks[stream, FIRST], state.column[stream] = NOTHING, NOTHING, 0
            for i in range(WIDTH):
                lines[stream, 1, i], lines[stream, 0, i] = lines[stream, 0, i], 0


@inlined
def _align(mark: Words64, above: Bytes, kinds: Ints, symbol: Any) -> None:
    """`places._align` of one stream."""
    passed = np.int64(mark[PASSED])
    counterpart = np.int64(above[passed + 1])
    mark[AGREED] = mark[AGREED] + ONE if counterpart == symbol else NOTHING
    if kinds[symbol] == ENDS:
        mark[PASSED], mark[AGREED] = NOTHING, NOTHING
    elif kinds[symbol] != OTHER:
        at = passed + 1
        while at < WIDTH and above[at] != symbol:
            at += 1
        if at < WIDTH:
            mark[PASSED] = np.uint64(at)
    elif kinds[counterpart] == OTHER and passed < MOST_COLUMN:
        mark[PASSED] += ONE


@compiled
def _add_slopes(state: MixerState, work: Workspace, streams: Ints, symbols: Ints) -> Any:
    """Add up the gradients of all weight sets that were used, and move the biases. Returns how many sets these are."""
    used = 0
    inputs = len(state.salt) + 2
    first, second = len(state.orders) + 1, len(state.orders) + 1 + SYMBOLS
    for k in range(BITS):
        for j in range(len(streams)):
            node, last = work.nodes[j, k], state.history[streams[j], REACH - 1] % SYMBOLS
            error = (((symbols[j] >> (BITS - 1 - k)) & 1) << LOGISTIC_BITS) - work.probability[k, j]
            state.bias_one[last * SYMBOLS + node] += error * BIAS_RATES[0]
            state.bias_two[work.bias[k, j]] += error * BIAS_RATES[1]
            longest, known, before, place = work.longest[k, j], first + node, second + last, work.set[k, j]
            for which in (longest, known, before, place):
                if work.decided[which] == 0:
                    work.sets[used] = which
                    used += 1
                    for i in range(inputs):
                        work.gradient[which, i] = 0
                work.decided[which] += 1
            for i in range(inputs):
                slope = work.inputs[k, j, i] * error
                work.gradient[longest, i] += slope
                work.gradient[known, i] += slope
                work.gradient[before, i] += slope
                work.gradient[place, i] += slope
    return used


@compiled
def _update_weights(state: MixerState, work: Workspace, used: Any) -> None:
    """`ContextMixer._update_weights`, of the gradients that `_add_slopes` left."""
    for place in range(used):
        which = work.sets[place]
        many = work.decided[which]
        work.decided[which] = 0
        state.decisions[which] += many
        rate = FAST * CALM // (CALM + state.decisions[which]) + SLOW
        part = max(many // MANY, 1)
        for i in range(state.weights.shape[1]):
            step = work.gradient[which, i] if part == 1 else work.gradient[which, i] // part  # divisions are slow
            state.weights[which, i] += (step * rate + (1 << 24)) >> 25


@compiled
def _count_bits(state: MixerState, work: Workspace, symbols: Ints) -> Any:
    """Count the bits of a step in the states of the adaptive maps that predicted them. Returns how many states these
    are.
    """
    touched = 0
    for k in range(BITS):
        for j in range(len(symbols)):
            bit = ((symbols[j] >> (BITS - 1 - k)) & 1) << TRIAL_BITS
            for o in range(len(state.salt)):
                which = work.state[k, j, o]
                if which != o * STATES:  # else the context is new
                    state.hits[which] += bit
                    state.trials[which] += 1 << TRIAL_BITS
                    if not work.touched[which]:
                        work.touched[which] = 1
                        work.states[touched] = which
                        touched += 1
    return touched


@compiled
def _update_maps(state: MixerState, lookups: Lookups, work: Workspace, touched: Any) -> None:
    """`ContextMixer._update_maps`, of the states that `_count_bits` touched."""
    for place in range(touched):
        which = work.states[place]
        work.touched[which] = 0
        if state.trials[which] > MOST_TRIALS << TRIAL_BITS:
            state.hits[which] >>= 1
            state.trials[which] >>= 1
        probability = (state.hits[which] << LOGISTIC_BITS) // state.trials[which]
        prediction: Any = min(max(np.int64(lookups.logit[probability]), -EXPERT_LIMIT), EXPERT_LIMIT)
        state.predictions[which] = prediction


@compiled
def _count(state: MixerState, lookups: Lookups, work: Workspace, symbols: Ints) -> None:
    """`ContextMixer._count`"""
    work.counted[:] = 0
    for o in range(len(state.salt)):
        for j in range(len(symbols)):
            slot = work.slot[o, j]
            if _is_first(work.counted, slot):
                _count_symbol(work.row[o, j], symbols[j])
                for i in range(WORDS):
                    lookups.words[slot, i] = work.words[o, j, i]


@inlined
def _is_first(counted: Ints, slot: Any) -> Any:
    """Add a slot to a set, by open addressing, as the number plus 1. Returns whether it was not there."""
    most = len(counted) - 1
    place = (slot * SHORT_HASH >> 7) & most
    while counted[place] and counted[place] != slot + 1:
        place = (place + 1) & most
    if counted[place]:
        return False
    counted[place] = slot + 1
    return True


@inlined
def _count_symbol(row: Bytes, symbol: Any) -> None:
    """Count a symbol in the row of a context, and put it first; a new one takes the place of the rarest, the last of
    equal ones.
    """
    way, known, least = 0, False, np.int64(MOST_COUNT + 1)
    for i in range(WAYS):
        times = np.int64(row[TAG + WAYS + i])
        if times and row[TAG + i] == symbol:
            way, known = i, True
            break
        if times <= least:
            way, least = i, times
    if known and row[TAG + WAYS + way] == MOST_COUNT:
        for i in range(WAYS):
            row[TAG + WAYS + i] >>= 1
    times = np.int64(row[TAG + WAYS + way]) + 1 if known else np.int64(1)
    for i in range(way, 0, -1):
        row[TAG + i] = row[TAG + i - 1]
        row[TAG + WAYS + i] = row[TAG + WAYS + i - 1]
    row[TAG], row[TAG + WAYS] = symbol, times
