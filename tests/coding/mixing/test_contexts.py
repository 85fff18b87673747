"""Byte contexts: whatever they say can be coded, they learn, and what a text does not say costs next to nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding.bitcoder import BitDecoder, BitEncoder
from bfncodec.coding.mixing.bits import bit_frequencies, bit_intervals, bits_in_order, bits_of
from bfncodec.coding.mixing.contexts import begin_places, find_slots, look_up
from bfncodec.coding.mixing.first import FIRST_BITS, PLACE_SHAPE, first_weights
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.state import (
    BITS,
    CONTEXTS,
    COUNT_LEVELS,
    HASH_POWERS,
    LIMIT,
    MOST_COUNT,
    MOST_TRIALS,
    NEIGHBOURS,
    PAIRS,
    REACH,
    ROW,
    START,
    STATES,
    SYMBOLS,
    TAG,
    TYPICAL_COUNTS,
    WAYS,
    Contexts,
    count_levels,
    first_probabilities,
    log_odds,
    logistic_values,
    table_bits,
)
from bfncodec.coding.rangecoder import information, total
from bfncodec.errors import DamagedError
from support.doubles import noise
from support.mixing import arrays, one_hot, reader, rows, state, texts, uniform

Ints = NDArray[np.int64]
Weights = NDArray[np.int32] | Callable[[int], NDArray[np.int32]]
STREAMS = 3
SHARED = CONTEXTS.shared
FULL = 1 << 20


def spend(mixer: ContextMixer, text: NDArray[Any], weights: Weights | None = None) -> NDArray[np.float64]:
    """Bits of every symbol, [S, L], under the same weights at every step or those of each, uniform if not stated.
    text: [L, S]
    """
    streams = np.arange(len(text))
    bits = np.zeros(text.T.shape)
    for i, column in enumerate(text.T.astype(np.int64)):
        weight = uniform(len(text)) if weights is None else weights(i) if callable(weights) else weights
        ones = mixer.encode(weight, streams, column)
        part = bit_intervals(ones.ravel(), bits_of(column).ravel())
        bits[i] = information(part.frequency).reshape(ones.shape).sum(0)
    return bits


def hashed(mixer: ContextMixer, history: Ints, streams: Ints) -> tuple[Ints, NDArray[np.uint16]]:
    """(slot, tag) of each context behind these symbols, where nothing is foretold."""
    sums = np.cumsum((history.T[::-1] + 1).astype(np.uint64) * HASH_POWERS[:, None], 0)
    nothing = np.zeros(len(streams), np.int64)
    places = begin_places(mixer.state, history, streams, nothing.astype(np.uint64), nothing)
    word, tag = find_slots(mixer.state, sums, places, streams)
    return (word >> np.uint64(64 - mixer.state.bits)).astype(np.int64), tag


def counts(mixer: ContextMixer, past: list[int], stream: int = 0) -> list[dict[int, int]]:
    """Return what each context of bytes holds behind these symbols: how often which came."""
    history = np.array([([START] * REACH + past)[-REACH:]])
    slot, tag = hashed(mixer, history, np.array([stream]))
    slot, _ = look_up(mixer.state.table, slot.astype(np.uint64) << np.uint64(64 - mixer.state.bits), tag)
    result, known = [], len(mixer.state.orders)
    for row, own in zip(mixer.state.table[slot[:known, 0]], tag[:known, 0], strict=True):
        seen = row[TAG + WAYS :] * (row[:TAG].view(np.uint16) == own)
        result.append({int(s): int(n) for s, n in zip(row[TAG : TAG + WAYS], seen, strict=True) if n})
    return result


# --- what is said can be coded ------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(text=texts(4), weights=st.lists(rows, min_size=3, max_size=3))
@example(text=[b"ab", b"cd"] * 50, weights=[one_hot(255)[0]] * 3)  # sure and wrong
def test_what_is_encoded_is_decoded(text: list[bytes], weights: list[Ints]) -> None:
    symbols = np.array([list(column) for column in text], np.int64).reshape(len(text), -1)
    streams = np.arange(symbols.shape[1])
    own = [np.tile(weights[i % 3], (len(streams), 1)).astype(np.int32) for i in range(len(text))]
    encoder = BitEncoder()
    first, second = (ContextMixer(symbols.size, max(len(streams), 1)) for _ in range(2))
    for weight, column in zip(own, symbols, strict=True):
        ones = first.encode(weight, streams, column).ravel()
        part = bit_intervals(ones, bits_of(column).ravel())
        assert (bit_frequencies(ones).sum(1, dtype=np.float64) == total(2)).all()
        assert ((part.frequency > 0) & (part.frequency < total(2))).all()
        encoder.append(part)
    decoder = BitDecoder(encoder.finish())
    for weight, column in zip(own, symbols, strict=True):
        np.testing.assert_array_equal(second.decode(weight, streams, reader(decoder)), column)
    assert state(first) == state(second)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(payload=st.binary(max_size=60), weights=st.lists(rows, min_size=STREAMS, max_size=STREAMS))
def test_any_bits_decode_to_symbols(payload: bytes, weights: list[Ints]) -> None:
    mixer, decoder = ContextMixer(500, STREAMS), BitDecoder(payload)
    weight = np.stack(weights).astype(np.int32)
    try:
        for _ in range(30):
            read = mixer.decode(weight, np.arange(STREAMS), reader(decoder))
            assert ((read >= 0) & (read < SYMBOLS)).all()
    except DamagedError:
        pass


@pytest.mark.slow
def test_what_a_bit_may_cost() -> None:
    """A frequency for the coder at both ends, and one symbol that neither side expected."""
    ends = logistic_values()[[0, -1]] << 4
    assert (ends > 0).all()
    assert (ends < total(2)).all()
    text = np.concatenate([np.zeros(500), [255], np.zeros(100)])[None]
    bits = spend(ContextMixer(601, 1), text, one_hot(0))
    assert bits[:500].max() < 0.002
    assert bits.max() == bits[500] <= 8 * 18
    assert bits[501:].mean() < 0.1


def test_logit_and_logistic_function_are_inverse() -> None:
    x = np.arange(-LIMIT, LIMIT + 1)
    p = logistic_values()
    np.testing.assert_allclose(p / FULL, 1 / (1 + np.exp(-x / 512)), atol=0.51 / FULL)
    near = abs(x) < 512 * 6  # farther out the same probability has several
    assert abs(log_odds(p, FULL - p)[near] - x[near]).max() <= 1


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
@example(0, 0)
@example(0, (1 << 40) - 1)
@example((1 << 26) - 1, 1 << 26)
def test_log_odds_are_nearly_those_of_real_numbers(ones: int, zeros: int) -> None:
    found, other = (int(log_odds(np.array(a), np.array(b))) for a, b in ((ones, zeros), (zeros, ones)))
    exact = 512 * math.log((ones + 0.5) / (zeros + 0.5))
    assert abs(found - max(min(exact, LIMIT), -LIMIT)) < 1.1
    assert abs(found + other) <= 1


def test_levels_of_counts() -> None:
    found = count_levels()
    assert found[list(COUNT_LEVELS)].tolist() == list(range(len(COUNT_LEVELS)))
    assert (np.diff(found) >= 0).all()


def test_streams_without_a_symbol() -> None:
    """A step at which an item has none, though others of its batch do."""
    mixer = ContextMixer(100, 2)
    spend(mixer, noise(0, 2, 10))
    before = state(mixer)
    nobody = np.zeros(0, np.int64)
    assert mixer.decode(uniform(0), nobody, lambda ones: ones).shape == (0,)
    assert mixer.encode(uniform(0), nobody, nobody).shape == (BITS, 0)
    assert state(mixer) == before


def test_steps_behind_each_other_are_those_one_by_one() -> None:
    """Steps of which some have other streams, and one none."""
    alive = [np.array(found, np.int64) for found in ([0, 1, 2], [2, 0], [], [1], [0, 1, 2])]
    edges = np.cumsum([0, *map(len, alive)])
    rng, streams = np.random.default_rng(0), np.concatenate(alive)
    symbols, weight = rng.integers(0, 256, len(streams)), rng.integers(1, 1 << 21, (len(streams), 256)).astype(np.int32)
    first, second = ContextMixer(100, 3), ContextMixer(100, 3)
    ones, bits = [], []
    for a, b in pairwise(edges.tolist()):
        ones += first.encode(weight[a:b], streams[a:b], symbols[a:b]).ravel().tolist()
        bits += bits_of(symbols[a:b]).ravel().tolist()
    assert second.encode_steps(weight, streams, symbols, edges).tolist() == ones
    assert state(second) == state(first)
    assert bits_in_order(symbols, edges).tolist() == bits


# --- what it is worth ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("streams", [1, 4])
def test_a_string_that_comes_again_is_learned(streams: int) -> None:
    text = np.tile(noise(3, 1, 100), (streams, 5))
    bits = spend(ContextMixer(text.size, streams), text)
    assert bits[:100].mean() < 8.1
    assert bits[100:200].mean() < 4
    assert bits[300:].mean() < 0.15


@pytest.mark.slow
def test_streams_learn_from_each_other() -> None:
    """The second stream says what the first said, 60 steps later."""
    first = noise(3, 400)
    second = np.concatenate([noise(4, 60), first[:-60]])
    bits = spend(ContextMixer(800, 2), np.stack([first, second]))
    assert bits[:, 0].mean() > 7.9
    assert bits[200:, 1].mean() < 0.5


def test_streams_have_contexts_of_their_own() -> None:
    """The same two bytes come again in all streams; what follows them is another byte in each."""
    streams = 16
    text = noise(4, streams, 150)
    text[:, 0::3], text[:, 1::3], text[:, 2::3] = 7, 8, np.arange(streams)[:, None]
    bits = spend(ContextMixer(text.size, streams), text)[2::3]
    assert bits[25:].mean() < 1  # 4 bits to one who knows the two bytes only


@pytest.mark.slow
@pytest.mark.parametrize(("streams", "steps"), [(1, 700), (64, 60), (128, 40)])
@pytest.mark.parametrize("sharpness", [0, 4, 12])
def test_a_text_that_says_nothing_about_itself_loses_next_to_nothing(streams: int, steps: int, sharpness: int) -> None:
    """Symbols are drawn from what the network says, which is different at every step."""
    rng = np.random.default_rng(sharpness)
    weights = np.exp2(np.maximum(20 - sharpness * rng.exponential(1, (steps, streams, SYMBOLS)), 0)).astype(np.int32)
    share = weights / weights.sum(2, keepdims=True)
    text = (rng.random((steps, streams, 1)) > share.cumsum(2)[:, :, :-1]).sum(2).T
    ideal = -np.log2(np.take_along_axis(share, text.T[:, :, None], 2)).mean()
    assert spend(ContextMixer(text.size, streams), text, lambda i: weights[i]).mean() < 1.005 * ideal


@pytest.mark.slow
def test_contexts_that_mislead_are_given_up() -> None:
    """Pairs of bytes that come again, each time with something else behind them, under a network that knows better."""
    text = noise(6, 600)
    text[0::3], text[1::3] = 7, 8
    bits = spend(ContextMixer(600, 1), text[None], lambda i: uniform(1) if i % 3 == 2 else one_hot(text[i]))[:, 0]
    assert bits[302::3].mean() < 8.2
    assert bits.mean() < 8 / 3 * 1.02


@pytest.mark.slow
@pytest.mark.parametrize("streams", [1, 8, 128])
def test_a_network_that_is_sure_and_wrong_is_given_up(streams: int) -> None:
    """The hardest on the weights: all streams are far off, again and again, and change the same ones."""
    text = noise(7, streams, 120)
    wrong = [one_hot(*noise(i, streams)) for i in range(120)]
    for weights in (one_hot(*[255] * streams), wrong.__getitem__):
        assert spend(ContextMixer(text.size, streams), text, weights)[60:].mean() < 9.5  # 24 to begin with
    bits = spend(ContextMixer(text.size, streams), np.tile([0, 255], (streams, 60)), one_hot(*[85] * streams))
    assert bits[80:].mean() < 0.1


# --- tables -------------------------------------------------------------------------------------


SIZES = [(0, 12), (1, 12), (256, 12), (257, 13), (1 << 19, 23), ((1 << 19) + 1, 23), (1 << 21, 23)]
LARGE = [((1 << 21) + 1, 24), (1 << 22, 24), ((1 << 22) + 1, 25), ((1 << 40) - 1, 25)]


@pytest.mark.parametrize(("size", "bits"), SIZES + LARGE)
def test_tables_hold_enough_contexts_a_byte_within_bounds(size: int, bits: int) -> None:
    assert table_bits(size) == bits
    assert 16 << bits >= min(4 * 16 * size, 512 << 20)  # slots of 16 bytes, at least four a byte while there is room


@pytest.mark.parametrize(("size", "bits"), SIZES)
def test_contexts_fit_their_table(size: int, bits: int) -> None:
    mixer = ContextMixer(size, 50)
    assert mixer.state.table.shape == (1 << bits, ROW)
    assert sum(value.nbytes for value in arrays(mixer).values()) < 175e6
    for history in (noise(0, 50, REACH).astype(np.int64), np.full((50, REACH), 255), np.full((50, REACH), START)):
        slot, tag = hashed(mixer, history, np.arange(50))
        assert ((slot >= 0) & (slot < 1 << bits)).all()
        assert tag.all()  # no context takes an empty slot for its own


def test_a_context_is_as_long_as_its_order() -> None:
    """Bytes beyond it change nothing; each byte within does, and the stream where it is the stream's own."""
    mixer = ContextMixer(1 << 18, 2)
    assert mixer.state.orders.tolist() == [2, 2, 4, 4, 6, 12]
    assert mixer.state.orders[mixer.state.own > 0].tolist() == list(CONTEXTS.own)
    known = len(mixer.state.orders)
    history = np.tile(noise(1, 1, REACH).astype(np.int64), (REACH + 1, 1))
    history[np.arange(REACH), -1 - np.arange(REACH)] ^= 1  # row k: another byte k + 1 places back
    slot, tag = hashed(mixer, history, np.zeros(REACH + 1, np.int64))
    other = ((slot != slot[:, -1:]) | (tag != tag[:, -1:]))[:known]
    np.testing.assert_array_equal(other[:, :-1], np.arange(REACH) < mixer.state.orders[:, None])
    elsewhere = hashed(mixer, history, np.ones(REACH + 1, np.int64))
    differs = ((elsewhere[0] != slot) | (elsewhere[1] != tag)).T
    np.testing.assert_array_equal(differs[:, :known], [mixer.state.own > 0] * 25)
    assert not differs[:, known:].any()


def test_contexts_spread_over_slots_and_tags() -> None:
    mixer = ContextMixer(1 << 18, 2)
    known = len(mixer.state.orders)
    slot, tag = (
        found[:known] for found in hashed(mixer, noise(2, 4000, REACH).astype(np.int64), np.zeros(4000, np.int64))
    )
    assert len(np.unique(slot[1:])) > 0.99 * slot[1:].size * (1 - slot.size / (2 << 22))
    for row in tag[2:]:
        assert abs(len(np.unique(row)) - 32768 * (1 - np.exp(-4000 / 32768))) < 120


def test_one_stream_has_no_contexts_of_its_own() -> None:
    mixer = ContextMixer(1000, 1)
    assert mixer.state.orders.tolist() == list(SHARED)
    assert not mixer.state.own.any()


@pytest.mark.slow
def test_counts_are_halved_before_they_are_full() -> None:
    mixer = ContextMixer(600, 1)
    seen = []
    for symbol in [0, 0, 1, 0, 0, 2, *[0] * 300]:
        spend(mixer, np.array([[symbol]]))
        seen.append(counts(mixer, [0, 0])[0])
    most = [max(found.values(), default=0) for found in seen]
    assert max(most) == MOST_COUNT == 255
    at = most.index(255)
    assert seen[at] == {0: 255, 1: 1, 2: 1}
    assert seen[at + 1] == {0: 128}


@pytest.mark.parametrize(("counts", "expected"), [((5, 3, 2, 4), 2), ((5, 2, 2, 4), 1), ((5, 0, 2, 4), 1)])
def test_the_least_common_neighbour_makes_room_unless_one_is_the_context(
    counts: tuple[int, ...], expected: int
) -> None:
    table, tag = ContextMixer(100, 1).state.table, np.array([[0x1FF]], np.uint16)
    word = np.array([[6 << (65 - len(table).bit_length())]], np.uint64)
    for way, count in enumerate(counts):
        table[6 ^ way, :TAG], table[6 ^ way, TAG + WAYS] = (0xFE, 1), count
    assert look_up(table, word, tag)[0] == 6 ^ expected
    table[6 ^ 3, :TAG] = 0xFF, 1
    assert look_up(table, word, tag)[0] == 6 ^ 3


def test_neighbours_share_a_line_of_the_cache() -> None:
    assert ContextMixer(100, 1).state.table.ctypes.data % (NEIGHBOURS * ROW) == 0


def test_the_rarest_symbol_makes_room() -> None:
    """Eight symbols after one context, of which it remembers seven."""
    mixer = ContextMixer(600, 1)
    for symbol in (1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 8, 8, 7):  # 3 came once only
        mixer.state.history[:] = START
        spend(mixer, np.array([[symbol]]))
    assert counts(mixer, []) == [{1: 2, 2: 2, 7: 1, 4: 2, 5: 2, 6: 2, 8: 2}] * len(SHARED)


def test_streams_in_the_same_context_count_once_a_step() -> None:
    mixer = ContextMixer(600, 3)
    for _ in range(2):
        mixer.state.history[:] = START
        spend(mixer, np.array([[5], [5], [6]]))
    for stream, symbol in enumerate((5, 5, 6)):
        found = counts(mixer, [], stream)
        assert found == [{symbol: 2} if own else {5: 2} for own in mixer.state.own]


def test_streams_that_are_left_out_stay_where_they_are() -> None:
    mixer = ContextMixer(600, 3)
    symbols = np.array([7, 9])
    mixer.encode(uniform(2), np.array([0, 2]), symbols)
    assert mixer.state.history[:, -2:].tolist() == [[START, 7], [START, START], [START, 9]]


def test_first_probabilities_are_symmetric_and_grow_with_what_was_seen() -> None:
    for order in SHARED:
        every = first_probabilities(order).reshape(3, 3, len(COUNT_LEVELS), len(COUNT_LEVELS))
        p, zero, one = every[0]
        assert (every == every[0]).all()  # whatever the other symbol is
        np.testing.assert_allclose(p, 1 - p.T, rtol=1e-12)
        np.testing.assert_allclose(zero, 1 - one.T, rtol=1e-12)
        assert (np.diff(p, axis=1) > 0).all()
        assert (zero < p).all()
        assert (p < one).all()
    sure = [first_probabilities(order)[1] for order in SHARED]  # after a single 1
    assert sure == sorted(sure)


# --- what it says it is -------------------------------------------------------------------------


class Reference:
    """The same in as many words and real numbers: one stream, contexts that never collide."""

    def __init__(self) -> None:
        self.past = [START] * REACH
        self.followers: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        self.latest: dict[tuple[int, ...], list[int]] = defaultdict(list)
        self.agreed = 0  # there is no line above: its bytes are zeros
        self.chances = {(j, s): [p, 20.0] for j, o in enumerate(SHARED) for s, p in enumerate(first_probabilities(o))}
        none = np.zeros(0, np.int64)
        first = first_weights(np.array(SHARED), np.zeros(len(SHARED), np.int64), none, 0, phrases=False) / (
            1 << FIRST_BITS
        )
        names = [("longest", range(len(SHARED) + 1)), ("known", range(SYMBOLS)), ("last", range(SYMBOLS))]
        sets = [(name, number) for name, numbers in names for number in numbers]
        sets += [("above", *key) for key in np.ndindex(PLACE_SHAPE)]  # of the first field
        self.weights: dict[Any, list[float]] = dict(zip(sets, first.tolist(), strict=False))
        self.decisions: dict[Any, int] = defaultdict(int)
        self.b: dict[Any, float] = defaultdict(float)
        self.final: dict[tuple[int, int, int], list[float]] = {}

    def code(self, own: NDArray[np.float64], symbol: int) -> float:
        """Bits of a symbol under the network's probabilities."""
        predictions = [self.predict(own, symbol, k) for k in range(BITS)]
        gradients: dict[Any, list[float]] = {}
        for k, (states, inputs, sets, places, final, p, _) in enumerate(predictions):
            bit = symbol >> (BITS - 1 - k) & 1
            for j in sets:
                sums = gradients.setdefault(j, [0.0] * len(inputs))
                gradients[j] = [g + (bit - p) * x for g, x in zip(sums, inputs, strict=True)]
                self.decisions[j] += 1
            for place, rate in zip(places, (0.02, 0.05), strict=True):
                self.b[place] += (bit - p) * rate
            for chance in (*(self.chances[key] for key in states), self.final[final]):
                chance[:] = (chance[0] * chance[1] + bit) / (chance[1] + 1), chance[1] + 1
        for chance in (*self.chances.values(), *self.final.values()):
            chance[1] /= 2 if chance[1] > MOST_TRIALS else 1
        for j, sums in gradients.items():
            rate = (300 / (1 + self.decisions[j] / 600) + 25) / 65536
            before = self.weights.setdefault(j, [0.0] * len(sums))
            paces = [1, *[10 / 16] * len(SHARED), 1]
            self.weights[j] = [w + rate * v * g for w, v, g in zip(before, paces, sums, strict=True)]
        for order in SHARED:
            seen = self.followers[tuple(self.past[-order:])]
            seen[symbol] = seen.get(symbol, 0) + 1
            latest = self.latest[tuple(self.past[-order:])]
            latest[:] = [symbol, *(other for other in latest if other != symbol)]
            assert len(seen) <= WAYS
        self.past, self.agreed = [*self.past[1:], symbol], 0 if symbol else self.agreed + 1
        bits = (symbol >> (BITS - 1 - k) & 1 for k in range(BITS))
        return sum(-math.log2(own[-1] if bit else 1 - own[-1]) for own, bit in zip(predictions, bits, strict=True))

    def predict(self, own: NDArray[np.float64], symbol: int, k: int) -> tuple[Any, ...]:
        """(states of maps that say something, inputs, sets of weights, places of b, state of the final map, the
        mixture's p, p) of a bit.
        """
        shift = BITS - k
        known = symbol >> shift
        node = (1 << k) + known
        one = own[(2 * known + 1) << (shift - 1) : (known + 1) << shift].sum()
        both = own[known << shift : (known + 1) << shift].sum()
        inputs, states, longest = [bounded_logit(one / both, 12)], [], 0
        for j, order in enumerate(SHARED):
            seen = self.followers[tuple(self.past[-order:])]
            zeros, ones = (sum(n for s, n in seen.items() if s >> (shift - 1) == 2 * known + bit) for bit in range(2))
            low, high = (sum(edge <= count for edge in COUNT_LEVELS[1:]) for count in (zeros, ones))
            state = low * len(COUNT_LEVELS) + high
            for latest, weight in zip(self.latest[tuple(self.past[-order:])], (1, 3), strict=False):
                if latest >> shift == known:
                    state += PAIRS * weight * (1 + (latest >> (shift - 1) & 1))
            inputs.append(bounded_logit(self.chances[j, state][0], 8) if state else 0.0)
            if state:
                states.append((j, state))
                longest = j + 1
        inputs.append(0.3)
        above = ("above", min(self.agreed, 3), known == 0, k)
        sets = [("longest", longest), ("known", node), ("last", self.past[-1] % 256), above, ("pair", *self.past[-2:])]
        sets.append(("no match",))
        places = [(self.past[-1] % 256, node), (self.past[-2] % 256, self.past[-1] % 256, node)]
        x = sum(self.b[place] for place in places)
        for j in sets:
            x += sum(w * v for w, v in zip(self.weights.get(j, [0.0] * len(inputs)), inputs, strict=True))
        x = max(min(x, 12), -12)
        cell = min(int(x + 12) // 2, 11)
        part = (x + 12) / 2 - cell
        ends = [(longest, node, cell + k) for k in range(2)]
        left, right = (self.final.setdefault(end, [logistic(2 * end[2] - 12), 60.0]) for end in ends)
        said = bounded_logit(left[0], 12) * (1 - part) + bounded_logit(right[0], 12) * part
        return states, inputs, sets, places, ends[part > 0.5], logistic(x), logistic((5 * x + 3 * said) / 8)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def bounded_logit(p: float, limit: float) -> float:
    return max(min(math.log(p / (1 - p)), limit), -limit)


@pytest.mark.slow
def test_it_is_what_it_says_it_is() -> None:
    rng = np.random.default_rng(8)
    text = np.tile(rng.integers(0, 4, 40), 8)
    text[rng.integers(0, len(text), 8)] = 5
    weights = rng.integers(1, 1 << 12, (len(text), SYMBOLS)).astype(np.int32)
    weights[:, :6] *= 256
    mixer, reference = ContextMixer(1 << 18, 1, Contexts(places=(), matches=())), Reference()
    bits = spend(mixer, text[None], lambda i: weights[i : i + 1])[:, 0]
    expected = [reference.code(weight / weight.sum(), int(s)) for weight, s in zip(weights, text, strict=True)]
    np.testing.assert_allclose(bits, expected, atol=0.02)
    assert abs(bits.sum() - sum(expected)) < 0.002 * bits.sum()
    assert bits[200:].mean() < 0.5 * bits[:40].mean()
    assert np.count_nonzero(mixer.state.table[:, TAG + WAYS :].any(1)) == len(
        [1 for seen in reference.followers.values() if seen]
    )
    found = (mixer.state.hits / mixer.state.trials)[: len(SHARED) * STATES]
    expected_chances = [reference.chances[j, s][0] for j in range(len(SHARED)) for s in range(STATES)]
    np.testing.assert_allclose(found, expected_chances, atol=1e-4)
    assert len(TYPICAL_COUNTS) == len(COUNT_LEVELS)
