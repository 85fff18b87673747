"""Compiled kernels of :mod:`bfncodec.coding.mixing.contexts`, on the arrays of the same state.

Functions equal the methods of `ContextMixer` that they are named after, to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.bitcoder import NARROW, TOTAL, WORD_BITS, BitDecoder, BitEncoder, CodeState
from bfncodec.coding.bitwriter import CompiledBitEncoder
from bfncodec.coding.mixing.contexts import ContextMixer, Read
from bfncodec.coding.mixing.following import expect, find, foretold, learn
from bfncodec.coding.mixing.matches import ERRORS, LEVELS
from bfncodec.coding.mixing.places import (
    AGREED,
    ENDS,
    FAR,
    FIELD,
    FIRST,
    KEY,
    LATEST,
    LESS,
    MORE,
    MOST_AGREED,
    MOST_COLUMN,
    MOST_NUMBER,
    MOST_WITHIN,
    NAMES,
    NEXT,
    NUMBER,
    OTHER,
    PASSED,
    PLACE_SETS,
    PLACES,
    POWER,
    SIDE,
    SKIPS,
    WIDTH,
    WITHIN,
    WORD,
    WORD_BEFORE,
    classes,
    letters,
)
from bfncodec.coding.mixing.reckoning import expect_numeral, read_numeral
from bfncodec.coding.mixing.state import (
    BIAS_RATES,
    BITS,
    CALM,
    CELL_BITS,
    CELLS,
    CONSTANT,
    CONTEXTS,
    EXPERT_LIMIT,
    FAST,
    FRACTION_BITS,
    GROUP,
    HASH,
    HASH_POWERS,
    LIMIT,
    LOG_2,
    LOG_UNIT,
    MANY,
    MOST_TRIALS,
    NEIGHBOURS,
    PAIR_BITS,
    REACH,
    SHORT_HASH,
    SLOW,
    STATES,
    SYMBOLS,
    TRIAL_BITS,
    WEIGHT_BITS,
    Contexts,
    MixerState,
    logarithms,
    logistic_values,
)
from bfncodec.coding.rangecoder import PRECISION, SymbolSource, damaged
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Bytes, Ints, Ints32, Words
from bfncodec.runtime.jit import Prepared, compiled, flat, inlined, written
from bfncodec.runtime.lines import aligned

_add_rows = written("bfncodec.coding.mixing.instructions", "add_rows")
_add_slope = written("bfncodec.coding.mixing.instructions", "add_slope")
_choose = written("bfncodec.coding.mixing.instructions", "choose")
_count_in = written("bfncodec.coding.mixing.instructions", "count_in")
_find_states = written("bfncodec.coding.mixing.instructions", "find_states")
_learn = written("bfncodec.coding.mixing.instructions", "learn")
_log_odds_of_group = written("bfncodec.coding.mixing.instructions", "log_odds")
_move = written("bfncodec.coding.mixing.instructions", "move")
_sum_of = written("bfncodec.coding.mixing.instructions", "sum_of")
_weigh = written("bfncodec.coding.mixing.instructions", "weigh")

LONG_HASH = np.uint64(HASH)
FRACTIONS = (1 << FRACTION_BITS) - 1
U32, U29, U24, U64, ONE = np.uint64(32), np.uint64(29), np.uint64(PRECISION), np.uint64(64), np.uint64(1)
U_WORD, U_NARROW = np.uint64(WORD_BITS), np.uint64(NARROW)  # of a code
TAG_BITS, TAGGED = np.uint64(0xFFFF), np.uint64(1 << 8)  # of a row's first word: Numba knows little-endian machines
NOTHING, FURTHEST, POWER_64 = np.uint64(0), np.uint64(MOST_WITHIN), np.uint64(POWER)
U8, U16, U48, BYTE = (np.uint64(n) for n in (8, 16, 48, 0xFF))
Words64 = NDArray[np.uint64]
Ids = NDArray[np.uint32]  # numbers of entries: Numba counts signed ones from the end, too, if they are negative


class Lookups(NamedTuple):
    """Tables, and the state's slots as words."""

    words: Words64  # [slots, 2]
    weights: Ints32  # the state's, and zeros behind each set, see `Workspace`. [S, W]
    logarithm: Ints  # `logarithms`
    logistic: Ints  # `logistic_values`
    letter: Ints  # `letters`
    kind: Ints  # `classes`


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
    expected: Ints  # [M, L]
    form: Ints  # [M, L]
    sums: Words64  # of the least bytes of each kind of match [M, L]
    match_slot: Ints  # of these bytes [L]
    place: Words64  # of one stream [PLACES + SKIPS]
    hash: Words64  # what the hashes of the contexts begin with; their tags [O, L]
    slot: Words64  # [O, L]
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
    match: Ints  # … of matches [BITS, L]
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


class PreparedMixer(NamedTuple):
    """The calls of a mixer's steps.

    Attributes
    ----------
    before
        Of each step, those that need not wait for the network.
    after
        Those that do; the result of the first is whether an encoder may have written what it read.
    end
        The one that follows the last step, after which the mixer has learned all.
    """

    before: list[Prepared]
    after: list[Prepared]
    end: Prepared


class CompiledMixer(ContextMixer):
    """A `ContextMixer` whose arrays are updated by kernels."""

    def __init__(self, size: int, streams: int, contexts: Contexts = CONTEXTS) -> None:
        super().__init__(size, streams, contexts)
        weights = _padded(self.state.weights)
        self.state = self.state._replace(weights=weights[:, : self.state.weights.shape[1]])
        words = self.state.table.view(np.uint64)
        lookups = Lookups(words, weights, logarithms(), logistic_values(), letters(), classes())
        self._work = _workspace(self.state, streams)
        self._arrays = flat(self.state), flat(lookups), flat(self._work)

    @staticmethod
    def encoder() -> BitEncoder:
        """Implements `ContextMixer.encoder`."""
        return CompiledBitEncoder()

    def encode(self, weight: Ints32, streams: Ints, symbols: Ints) -> Ints:
        """Implements `ContextMixer.encode`."""
        edges = np.array([0, len(streams)])
        return self.encode_steps(weight, streams, symbols, edges).reshape(BITS, -1)

    def encode_steps(self, weight: Ints32, streams: Ints, symbols: Ints, edges: Ints) -> Ints:
        """Implements `ContextMixer.encode_steps`."""
        ones = np.empty(BITS * len(streams), np.int64)
        _encode(*self._arrays, weight, streams, symbols, edges, ones)
        return ones

    def decode(self, weight: Ints32, streams: Ints, read: Read) -> Ints:
        """Implements `ContextMixer.decode`."""
        work, count = self._work, len(streams)
        _contexts(*self._arrays, weight, streams)
        for k in range(BITS):
            _predict(*self._arrays, weight, streams, k)
            _condition(work, read(work.probability[k, :count] << (PRECISION - LOGISTIC_BITS)))
        symbols: Ints = work.node[:count] - SYMBOLS
        _update(*self._arrays, streams, symbols)
        return symbols

    def decode_from(self, weight: Ints32, streams: Ints, source: SymbolSource) -> Ints:
        """Implements `ContextMixer.decode_from`; a decoder's bits are read by the kernels themselves."""
        if not isinstance(source, BitDecoder):
            return super().decode_from(weight, streams, source)
        symbols = np.empty(len(streams), np.int64)
        if not _decode(*self._arrays, weight, streams, source.code, symbols):
            raise damaged()
        return symbols

    def prepare(self, weight: Ints32, streams: Ints, source: BitDecoder, symbols: Bytes) -> PreparedMixer:
        """Return the calls that read steps as `decode_from` does and keep their symbols, uint8 [n, steps]. The number
        of the step differs. weight: of the step, read at each call.
        """
        found, known = np.empty(len(streams), np.int64), np.zeros(1, np.int64)
        read = _read_step.prepare(*self._arrays, weight, streams, source.code, found)
        begin = _begin.prepare(*self._arrays, streams, found, known)
        end = _end.prepare(*self._arrays, streams, found)
        return PreparedMixer([begin], [read, _keep.prepare(found, symbols, 0, turn=2)], end)


def _width(count: int) -> int:
    """Return how many numbers a row of so many has with those that fill its last group."""
    return -(-count // GROUP) * GROUP


def _padded(weights: Ints32) -> Ints32:
    """Return weight sets with zeros behind each."""
    found = aligned((len(weights), _width(weights.shape[1])), np.int32)
    found[:, : weights.shape[1]] = weights
    return found


def _workspace(state: MixerState, streams: int) -> Workspace:
    """Buffers for steps of at most so many streams."""
    count, matches = len(state.salt), len(state.matches.least)
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
        expected=ints(matches, streams),
        form=ints(matches, streams),
        sums=words(matches, streams),
        match_slot=ints(streams),
        place=words(PLACES + SKIPS),
        hash=words(count, streams),
        slot=words(count, streams),
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


@compiled
def _encode(
    state: MixerState,
    lookups: Lookups,
    work: Workspace,
    weight: Ints32,
    streams: Ints,
    symbols: Ints,
    edges: Ints,
    ones: Ints,
) -> None:
    """Take whole steps whose symbols are known, as one call: each call unpacks all arrays of its tuples."""
    for step in range(len(edges) - 1):
        first, last = edges[step], edges[step + 1]
        own = weight[first:last]
        _contexts(state, lookups, work, own, streams[first:last])
        for k in range(BITS):
            _predict(state, lookups, work, own, streams[first:last], k)
            for j in range(last - first):
                ones[BITS * first + k * (last - first) + j] = work.probability[k, j] << (PRECISION - LOGISTIC_BITS)
                _go_down(work, j, (symbols[first + j] >> (BITS - 1 - k)) & 1)
        _update(state, lookups, work, streams[first:last], symbols[first:last])


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
    _find_contexts(state, lookups, work, streams)
    right = _read_step(state, lookups, work, weight, streams, code, symbols)
    if right:
        _update(state, lookups, work, streams, symbols)
    return bool(right)


@compiled
def _begin(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints, known: Ints) -> None:
    """Do what a step can without the network: first learn the symbols of the step before, if they are known, [1]."""
    if known[0]:
        _update(state, lookups, work, streams, symbols)
    known[0] = 1
    _find_contexts(state, lookups, work, streams)


@compiled
def _end(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints) -> None:
    """Learn the symbols of the last step. Nothing is looked for: that would move matches once more."""
    _update(state, lookups, work, streams, symbols)


@compiled
def _read_step(
    state: MixerState,
    lookups: Lookups,
    work: Workspace,
    weight: Ints32,
    streams: Ints,
    code: CodeState,
    symbols: Ints,
) -> bool:
    """Read a step whose contexts are found. Returns whether an encoder may have written what it read."""
    _add_up(work, weight, len(streams))
    for k in range(BITS):
        _predict(state, lookups, work, weight, streams, k)
        for j in range(len(streams)):
            bit = _read(code.words, code.state, work.probability[k, j] << (PRECISION - LOGISTIC_BITS))
            if bit < 0:
                return False
            _go_down(work, j, bit)
    for j in range(len(streams)):
        symbols[j] = work.node[j] - SYMBOLS
    return True


@compiled
def _keep(found: Ints, symbols: Bytes, step: int) -> None:
    """Write the symbols of a step, [n], to those of all steps, [n, steps]."""
    for j in range(len(found)):
        symbols[j, step] = found[j]


@compiled
def _read(words: Words, state: Words64, ones: Any) -> Any:
    """Return the next bit of a code, as `BitDecoder.decode_rows` of `contexts.bit_frequencies` does; -1 for what no
    encoder writes. ones: frequency of a 1
    """
    lower, zeros = state[0], np.uint64(TOTAL - ones)
    scale = state[1] >> U24
    point = state[2] - lower
    if point >= scale << U24:
        return -1
    bit = 1 if point >= scale * (zeros + ONE) else 0
    if bit:
        lower += scale * (zeros + ONE)
    width = scale * ((np.uint64(ones) if bit else zeros) + ONE)
    if not width >> U_NARROW:
        at = np.int64(state[3])
        lower, width = lower << U_WORD, width << U_WORD
        state[2] = (state[2] << U_WORD) | np.uint64(words[at] if at < len(words) else 0)
        state[3] += ONE
    state[0], state[1] = lower, width
    return bit


# ---- before a step ------------------------------------------------------------------------------


@compiled
def _contexts(state: MixerState, lookups: Lookups, work: Workspace, weight: Ints32, streams: Ints) -> None:
    """`ContextMixer._contexts`"""
    _add_up(work, weight, len(streams))
    _find_contexts(state, lookups, work, streams)


@compiled
def _add_up(work: Workspace, weight: Ints32, streams: int) -> None:
    """Add up the network's weights of each stream."""
    for j in range(streams):
        work.whole[j] = _sum_of(weight, j, 0, SYMBOLS)


@compiled
def _find_contexts(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints) -> None:
    """Do what does not wait for the network."""
    for j in range(len(streams)):
        last, before = state.history[streams[j], REACH - 1], state.history[streams[j], REACH - 2]
        work.node[j], work.two[j] = 1, before % SYMBOLS * SYMBOLS + last % SYMBOLS
    _find_counterparts(state, work, streams)
    before = len(state.orders) + 1 + SYMBOLS
    for j in range(len(streams)):
        _add_rows(lookups.weights, before + work.two[j] % SYMBOLS, work.pair[j], work.base, j)
    _hash_bytes(state, work, streams)
    find(state.matches, work.sums, streams, work.match_slot)
    expect(state.matches, streams, work.expected, work.form)
    _hash_places(state, work, streams)
    _find_slots(state, work, streams)
    _look_up(lookups, work, streams)


@compiled
def _find_counterparts(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Implements `places.counterparts`."""
    base = len(state.orders) + 1 + 2 * SYMBOLS
    pairs = base + PLACE_SETS
    for j in range(len(streams)):
        mark = state.marks[streams[j]]
        number, lately = min(mark[NUMBER], np.uint64(MOST_NUMBER)), min(mark[AGREED], np.uint64(MOST_AGREED))
        work.counterpart[j] = state.lines[streams[j], 1, np.int64(mark[PASSED]) + 1]
        work.places[j] = base + (np.int64(number) * (MOST_AGREED + 1) + np.int64(lately)) * NEXT * BITS
        work.pair[j] = pairs + (((work.two[j] * SHORT_HASH) & 0xFFFFFFFF) >> (32 - PAIR_BITS))


@compiled
def _hash_bytes(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Begin the hashes of contexts of bytes, and those of matches."""
    least = state.matches.least
    for j in range(len(streams)):
        power, known, kind = NOTHING, 0, len(least) - 1
        for added in range(REACH):
            power += np.uint64(state.history[streams[j], REACH - 1 - added] + 1) * HASH_POWERS[added]
            while known < len(state.orders) and state.orders[known] == added + 1:  # rising
                work.hash[known, j] = power
                known += 1
            if kind >= 0 and least[kind] == added + 1:  # falling
                work.sums[kind, j] = power
                kind -= 1


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
        place[6] = marks[stream, NUMBER] * FAR[0] + marks[stream, WITHIN] * FAR[1]
        place[6] += np.uint64(work.counterpart[j]) * FAR[2] + marks[stream, SIDE] * FAR[3]
        passed, agreed = np.int64(marks[stream, PASSED]), marks[stream, AGREED]
        lately = min(agreed, np.uint64(MOST_AGREED))
        place[7] = _three(lines[stream, 1], passed) + before * FAR[3] + lately * FAR[4]
        place[8] = np.uint64(work.counterpart[j]) * FAR[0] + marks[stream, NUMBER] * FAR[1] + agreed * FAR[2]
        second, third = (np.uint64(state.history[stream, REACH - 2]), np.uint64(state.history[stream, REACH - 3]))
        place[9] = np.uint64(expect_numeral(state.numerals, np.int64(marks[stream, NUMBER]), stream)) * FAR[2]
        if place[9] == NOTHING:
            place[9] = foretold(work.expected, work.form, j) * FAR[0] + before * FAR[1]
        place[10] = second * FAR[0] + third * FAR[1]
        place[11] = before * FAR[0] + third * FAR[1]
        for k in range(len(state.places)):
            work.hash[len(state.orders) + k, j] = place[state.places[k]]


@inlined
def _three(line: Bytes, at: Any) -> Any:
    """Return the hash of three cells of a line."""
    return np.uint64(line[at]) * FAR[0] + np.uint64(line[at + 1]) * FAR[1] + np.uint64(line[at + 2]) * FAR[2]


@compiled
def _find_slots(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Finish the hashes: slots of all contexts, and their tags."""
    shift = ONE
    while (1 << np.int64(shift)) < len(state.table):
        shift += ONE
    shift = U64 - shift
    for o in range(len(state.salt)):
        for j in range(len(streams)):
            h = work.hash[o, j] + state.salt[o, streams[j]]
            h = (h ^ (h >> U32)) * LONG_HASH
            h ^= h >> U29
            work.slot[o, j] = (h * LONG_HASH) >> shift
            work.hash[o, j] = (h & TAG_BITS) | TAGGED


@compiled
def _look_up(lookups: Lookups, work: Workspace, streams: Ints) -> None:
    """Choose among the slots of the contexts, see `ContextMixer._find`, and read their rows, empty ones of those
    that are new.
    """
    # Lines of the table are far apart: all are asked for before any is looked at, so many are on their way at once.
    for o in range(len(work.slot)):
        for j in range(len(streams)):
            work.head[o, j] = lookups.words[work.slot[o, j], 0]
    for o in range(len(work.slot)):
        for j in range(len(streams)):
            slot = work.slot[o, j]
            own = slot & np.uint64(NEIGHBOURS - 1)
            way = _choose(lookups.words, np.int64(slot - own), np.int64(own), np.int64(work.hash[o, j]))
            best = slot ^ np.uint64(way)
            work.slot[o, j] = best
            work.head[o, j], work.tail[o, j] = lookups.words[best, 0], lookups.words[best, 1]
    for o in range(len(work.slot)):
        for j in range(len(streams)):
            work.symbols[j, o], work.counts[j, o] = _row(work, o, j)


@inlined
def _row(work: Workspace, o: int, j: int) -> Any:
    """Return the symbols and the counts of a context, zeros if it is new."""
    head, tail = work.head[o, j], work.tail[o, j]
    known = np.uint64((head & TAG_BITS) == work.hash[o, j])
    return ((head >> U16) | ((tail & BYTE) << U48)) * known, (tail >> U8) * known


# ---- one bit ------------------------------------------------------------------------------------


@compiled
def _predict(state: MixerState, lookups: Lookups, work: Workspace, weight: Ints32, streams: Ints, k: int) -> None:
    """`ContextMixer._predict` of the k-th bit of every stream: stage by stage, so that no stage waits for memory that
    the one before has just written.
    """
    _ask_network(lookups, work, weight, k)
    _ask_contexts(state, lookups, work, len(streams), k)
    _mix(state, lookups, work, streams, k)
    _refine(state, lookups, work, len(streams), k)


@compiled
def _ask_network(lookups: Lookups, work: Workspace, weight: Ints32, k: int) -> None:
    """Set the logits of the network, see `contexts._network_odds`."""
    half = 1 << (BITS - 1 - k)
    for j in range(len(weight)):
        work.upper[j] = _sum_of(weight, j, 2 * half * work.node[j] - SYMBOLS + half, half)
    for j in range(len(weight)):
        work.inputs[k * len(weight) + j, 0] = _log_odds(lookups.logarithm, work.upper[j], work.whole[j] - work.upper[j])


@inlined
def _log_odds(logarithms: Ints, ones: Any, zeros: Any) -> Any:
    """`state.log_odds`"""
    difference = _logarithm(logarithms, 2 * ones + 1) - _logarithm(logarithms, 2 * zeros + 1)
    return min(max((difference + LOG_UNIT // 2) // LOG_UNIT, -LIMIT), LIMIT)


@inlined
def _logarithm(logarithms: Ints, x: Any) -> Any:
    """`state.logarithm`"""
    digits = np.float64(x).view(np.int64)
    return ((digits >> 52) - 1023) * LOG_2 + logarithms[(digits >> (52 - FRACTION_BITS)) & FRACTIONS]


@compiled
def _ask_contexts(state: MixerState, lookups: Lookups, work: Workspace, streams: int, k: int) -> None:
    """Set the logits of the experts and the constant, and find the longest known contexts of bytes."""
    known, experts = len(state.orders), len(state.salt) + len(state.matches.least)
    for j in range(streams):
        work.longest[k, j] = _find_states(
            work.symbols, j, work.counts, j, work.state, k * streams + j, known, BITS - k, work.node[j]
        )
    _ask_matches(state, work, streams, k)
    for j in range(streams):
        for o in range(experts):
            work.inputs[k * streams + j, 1 + o] = state.predictions[work.state[k * streams + j, o]]
        work.inputs[k * streams + j, experts + 1] = CONSTANT


@compiled
def _ask_matches(state: MixerState, work: Workspace, streams: int, k: int) -> None:
    """Set the states of matches, behind those of contexts, and the weight sets of the first ones that expect a bit."""
    count, kinds = len(state.salt), len(state.matches.least)
    for j in range(streams):
        chosen = 0
        for kind in range(kinds - 1, -1, -1):
            byte, form, left = work.expected[kind, j], work.form[kind, j], BITS - k
            here = np.int64((byte + SYMBOLS) >> left == work.node[j])  # whether it has the known bits: without a branch
            says = (1 + ((byte >> (left - 1)) & 1)) * here
            work.state[k * streams + j, count + kind] = (count + kind) * STATES + 2 * (form * BITS + k) * here + says
            chosen = chosen * (1 - here) + 2 * (LEVELS * kind + form // ERRORS) * here + says
        work.match[k, j] = chosen


@compiled
def _mix(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, k: int) -> None:
    """Set the probabilities of the mixture."""
    known = len(state.orders)
    matches = known + 1 + 2 * SYMBOLS + PLACE_SETS + (1 << PAIR_BITS)
    for j in range(len(streams)):
        bias = (((work.two[j] * SYMBOLS + work.node[j]) * SHORT_HASH) & 0xFFFFFFFF) * len(state.bias_two) >> 32
        work.bias[k, j] = bias
        work.sum[j] = state.bias_one[(work.two[j] % SYMBOLS) * SYMBOLS + work.node[j]] + state.bias_two[bias]
    for j in range(len(streams)):
        node, longest = work.node[j], work.longest[k, j]
        place = work.places[j] + _next_bit(work.counterpart[j], BITS - k, node) * BITS + k
        match, row = matches + work.match[k, j], k * len(streams) + j
        x = work.sum[j] + _weigh(
            lookups.weights, longest, known + 1 + node, place, match, work.base, j, work.inputs, row
        )
        x = min(max(x >> WEIGHT_BITS, -LIMIT), LIMIT)
        work.nodes[k, j], work.set[k, j], work.match[k, j], work.sum[j] = node, place, match, x
        work.mixed[k, j] = lookups.logistic[x + LIMIT]


@compiled
def _refine(state: MixerState, lookups: Lookups, work: Workspace, streams: int, k: int) -> None:
    """`ContextMixer._refine`"""
    finals = (len(state.salt) + len(state.matches.least)) * STATES
    for j in range(streams):
        x = work.sum[j]
        cell = min((x + LIMIT) >> CELL_BITS, CELLS - 2)
        part = x + LIMIT - (cell << CELL_BITS)
        low = finals + (work.longest[k, j] * SYMBOLS + work.node[j]) * CELLS + cell
        said = (state.predictions[low] * ((1 << CELL_BITS) - part) + state.predictions[low + 1] * part) >> CELL_BITS
        work.final[k, j] = low + (1 if part > 1 << (CELL_BITS - 1) else 0)
        work.probability[k, j] = lookups.logistic[((5 * x + 3 * said) >> 3) + LIMIT]


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
        _go_down(work, j, bits[j])


@inlined
def _go_down(work: Workspace, j: int, bit: Any) -> None:
    """Go on behind the next bit of a stream."""
    work.node[j] = 2 * work.node[j] + bit
    work.whole[j] = work.upper[j] if bit else work.whole[j] - work.upper[j]


# ---- after a step -------------------------------------------------------------------------------


@compiled
def _update(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints) -> None:
    """`ContextMixer._update`"""
    used = _add_slopes(state, work, streams, symbols)
    _update_weights(state, lookups, work, used)
    touched = _count_bits(state, work, symbols)
    _update_maps(state, lookups, work, touched)
    _count(lookups, work, symbols)
    learn(state.matches, streams, symbols, work.expected)
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
        read_numeral(state.numerals, np.int64(marks[stream, NUMBER]), stream, symbol, kind)
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
    if kinds[symbol] != OTHER:
        mark[WITHIN], mark[SIDE] = NOTHING, NOTHING
    else:
        mark[WITHIN] = min(mark[WITHIN] + ONE, FURTHEST)
        if mark[SIDE] == NOTHING and counterpart != symbol:
            mark[SIDE] = np.uint64(LESS if symbol < counterpart else MORE)
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
    """`ContextMixer._update_weights`, of the gradients that `_add_slopes` left."""
    for seat in range(1, used + 1):
        which, many = work.sets[seat], work.decided[seat]
        work.seat[which] = 0
        state.decisions[which] += many
        rate = FAST * CALM // (CALM + state.decisions[which]) + SLOW
        part = max(many // MANY, 1)
        if part > 1:  # divisions are slow
            for i in range(work.gradient.shape[1]):
                work.gradient[seat, i] = work.gradient[seat, i] // part
        _learn(lookups.weights, np.int64(which), work.gradient, seat, rate)


@compiled
def _count_bits(state: MixerState, work: Workspace, symbols: Ints) -> Any:
    """Count the bits of a step in the states of the adaptive maps that predicted them. Returns how many states these
    are.
    """
    touched, experts = NOTHING, len(state.salt) + len(state.matches.least)
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
    """`ContextMixer._update_maps`, of the states that `_count_bits` touched."""
    experts = (len(state.salt) + len(state.matches.least)) * STATES
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
def _count(lookups: Lookups, work: Workspace, symbols: Ints) -> None:
    """`ContextMixer._count`"""
    for j in range(len(symbols)):
        _count_in(work.symbols, j, work.counts, j, work.new_head, j, work.new_tail, j, symbols[j])
    for o in range(len(work.slot)):
        for j in range(len(symbols)):
            slot = work.slot[o, j]
            # Counting changes a row: one that is as it was read is counted in for the first time.
            if lookups.words[slot, 0] == work.head[o, j] and lookups.words[slot, 1] == work.tail[o, j]:
                lookups.words[slot, 0] = work.hash[o, j] | work.new_head[j, o]
                lookups.words[slot, 1] = work.new_tail[j, o]
