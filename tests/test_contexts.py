"""Byte contexts: what they hand on is always codable, they learn, and they cost next to nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from doubles import noise
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding import contexts
from bfncodec.coding.cdf import softmax_frequencies, softmax_intervals
from bfncodec.coding.contexts import BUCKETS, ORDERS, REACH, START, SYMBOLS, WAYS, ContextMixer, first_shares
from bfncodec.coding.direct import information, total

Ints = NDArray[np.int64]
FULL = 1 << 24
LANES = 3


def uniform(lanes: int) -> NDArray[np.int32]:
    return np.full((lanes, SYMBOLS), 1 << 16, np.int32)


def one_hot(*symbols: int) -> NDArray[np.int32]:
    weights = np.zeros((len(symbols), SYMBOLS), np.int32)
    weights[np.arange(len(symbols)), symbols] = 1 << 20
    return weights


def new(size: int, lanes: int) -> ContextMixer:
    return ContextMixer(size, lanes)


def begin_again(mixer: ContextMixer) -> None:
    """Its lanes forget what came before; its tables do not."""
    mixer.history[:] = START


def spend(mixer: ContextMixer, text: NDArray[Any], weights: NDArray[np.int32] | None = None) -> NDArray[np.float64]:
    """Bits of every symbol, [S, L], under the same weights at every step, uniform if not stated. text: [L, S]"""
    lanes = np.arange(len(text))
    weights = uniform(len(text)) if weights is None else weights
    bits = []
    for column in text.T.astype(np.int64):
        mixed, found = mixer.mix(weights, lanes)
        bits.append(information(softmax_intervals(mixed, column).frequency))
        mixer.learn(found, column, lanes)
    return np.array(bits)


def state(mixer: ContextMixer) -> list[bytes]:
    names = ("tags", "symbols", "counts", "hits", "trials", "history")
    return [getattr(mixer, name).tobytes() for name in names]


def check(mixed: NDArray[np.int32]) -> None:
    """Weights that `softmax_frequencies` turns into frequencies for the coder."""
    assert mixed.dtype == np.int32
    assert mixed.shape[1] == SYMBOLS
    assert (mixed >= 0).all()
    sums = mixed.sum(1, dtype=np.int64)
    assert (abs(sums - FULL) <= SYMBOLS + 1).all()  # each is rounded down; nothing near 2^29, nothing near 0
    frequency = softmax_frequencies(mixed)
    assert (frequency >= 0).all()
    assert (frequency.sum(1, dtype=np.float64) == total(SYMBOLS)).all()


@pytest.fixture(scope="module")
def saturated() -> ContextMixer:
    """Has seen one symbol until counts were halved, in all lanes at once and then alone, then something else."""
    mixer = new(3000, LANES)
    spend(mixer, np.zeros((LANES, 300)), one_hot(0, 1, 2))
    spend(mixer, np.concatenate([np.tile(noise(i, 1, 9), 4) for i in range(LANES)]))
    return mixer


rows = st.one_of(
    st.integers(0, 255).map(lambda k: one_hot(k)[0]),
    st.integers(0, 999).map(lambda seed: np.random.default_rng(seed).integers(0, 1 << 21, SYMBOLS)),  # sums near 2^28
    st.integers(0, 999).map(lambda seed: 1 << np.random.default_rng(seed).integers(0, 21, SYMBOLS)),
    st.integers(0, 255).map(lambda k: np.eye(SYMBOLS, dtype=int)[k]),  # the least that sums to something
    st.sampled_from([np.ones(SYMBOLS, int), np.full(SYMBOLS, (1 << 21) - 1)]),
)


@settings(max_examples=40)
@given(weights=st.lists(rows, min_size=LANES, max_size=LANES), history=st.sampled_from(["its own", "zeros", "new"]))
def test_what_is_handed_on_can_be_coded(saturated: ContextMixer, weights: list[Ints], history: str) -> None:
    kept = saturated.history
    if history != "its own":
        saturated.history = np.full_like(kept, 0 if history == "zeros" else START)
    before = state(saturated)
    mixed, found = saturated.mix(np.stack(weights).astype(np.int32), np.arange(LANES))
    assert state(saturated) == before  # to look is not to learn
    saturated.history = kept
    check(mixed)
    assert (found.share < 1).all()
    assert history == "new" or (found.total > 0).any()


@settings(max_examples=20)
@given(weights=st.lists(rows, min_size=1, max_size=4))
def test_new_tables_change_nothing_but_rounding(weights: list[Ints]) -> None:
    weight = np.stack(weights).astype(np.int32)
    mixed, found = new(100, len(weight)).mix(weight, np.arange(len(weight)))
    check(mixed)
    assert not found.share.any()
    exact = weight / weight.sum(1, keepdims=True) * FULL
    assert (abs(mixed - exact) <= 1).all()
    np.testing.assert_array_equal(mixed == 0, exact < 1)


def test_a_network_that_is_sure_and_wrong_keeps_everything_codable() -> None:
    """The hardest on the shares: p_O of what comes is 0 and only contexts know it, then they do not either."""
    mixer = new(5000, 1)
    text = np.concatenate([np.zeros(500), noise(0, 20), np.zeros(100), np.tile(noise(1, 30), 4)])[None]
    bits = spend(mixer, text, one_hot(255))
    assert np.isfinite(bits).all()
    assert bits.max() <= 24
    assert bits[400:500].max() < 0.01
    assert ((mixer.hits > 0) & (mixer.hits < mixer.trials)).all()
    check(mixer.mix(one_hot(255), np.arange(1))[0])


def test_lanes_without_a_symbol() -> None:
    """A step at which an item has none, though others of its batch do."""
    mixer = new(100, 2)
    spend(mixer, noise(0, 2, 10))
    before = state(mixer)
    nobody = np.zeros(0, np.int64)
    mixed, found = mixer.mix(uniform(0), nobody)
    assert mixed.shape == (0, SYMBOLS)
    mixer.learn(found, nobody, nobody)
    assert state(mixer) == before


# --- what it is worth --------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_string_that_comes_again_is_learned(lanes: int) -> None:
    text = np.tile(noise(3, 1, 100), (lanes, 5))
    bits = spend(new(text.size, lanes), text)
    assert bits[:100].mean() < 8.05
    assert bits[100:200].mean() < 0.7
    assert bits[300:].mean() < 0.2


def test_lanes_learn_from_each_other() -> None:
    """The second lane says what the first said, 60 steps later."""
    first = noise(3, 400)
    second = np.concatenate([noise(4, 60), first[:-60]])
    bits = spend(new(800, 2), np.stack([first, second]))
    assert bits[:, 0].mean() > 7.9
    assert bits[200:, 1].mean() < 0.2


@pytest.mark.parametrize(("lanes", "steps"), [(1, 800), (64, 150)])
def test_a_text_that_says_nothing_about_itself_loses_nothing(lanes: int, steps: int) -> None:
    text = noise(5, lanes, steps)
    mixer = new(text.size, lanes)
    assert 8 <= spend(mixer, text).mean() < 8.04
    check(mixer.mix(uniform(lanes), np.arange(lanes))[0])


def test_contexts_that_mislead_are_given_up() -> None:
    """Pairs of bytes that come again, each time with something else behind them, under a network that knows better."""
    text = noise(6, 600)
    text[0::3], text[1::3] = 7, 8
    mixer = new(len(text), 1)
    lane = np.arange(1)
    bits = []
    for i, symbol in enumerate(text.astype(np.int64)):
        mixed, found = mixer.mix(uniform(1) if i % 3 == 2 else one_hot(symbol), lane)
        bits.append(information(softmax_intervals(mixed, symbol[None]).frequency)[0])
        mixer.learn(found, symbol[None], lane)
    assert np.mean(bits[302::3]) < 8.1
    assert np.mean(bits) < 8 / 3 * 1.01


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "bits"),
    [(0, 12), (1, 12), (2048, 12), (2049, 13), (1 << 19, 20), ((1 << 19) + 1, 20), ((1 << 40) - 1, 20)],
)
def test_tables_hold_two_contexts_a_byte_within_bounds(size: int, bits: int) -> None:
    mixer = new(size, 50)
    assert mixer.bits == bits
    assert mixer.tags.shape == (len(ORDERS) << bits,)
    assert mixer.symbols.shape == mixer.counts.shape == (len(ORDERS) << bits, WAYS)
    for history in (noise(0, 50, REACH).astype(np.int64), np.full((50, REACH), 255), np.full((50, REACH), START)):
        mixer.history = history
        _, found = mixer.mix(uniform(50), np.arange(50))
        assert (found.slot >> bits == np.arange(len(ORDERS))[:, None]).all()  # orders never share slots
        assert (found.tag > 0).all()  # no context takes an empty slot for its own


def test_a_context_is_as_long_as_its_order() -> None:
    """Bytes beyond it change nothing; each byte within does. Slots and tags of random bytes are spread evenly."""
    history = np.tile(noise(1, 1, REACH).astype(np.int64), (REACH + 1, 1))
    history[np.arange(REACH), -1 - np.arange(REACH)] ^= 1  # row k: another byte k + 1 places back
    slot, tag = new(1 << 18, 1)._hash(history)
    other = (slot != slot[:, -1:]) | (tag != tag[:, -1:])
    np.testing.assert_array_equal(other[:, :-1], np.arange(REACH) < np.array(ORDERS)[:, None])

    slot, tag = new(1 << 18, 1)._hash(noise(2, 4000, REACH).astype(np.int64))
    distinct = np.array([len(np.unique(row)) for row in slot])
    assert (distinct[1:] > 3960).all()  # not of order 2, where some bytes come twice
    assert (abs(np.array([len(np.unique(row)) for row in tag]) - 32768 * (1 - np.exp(-4000 / 32768))) < 120)[1:].all()


def test_counts_are_halved_before_they_are_full() -> None:
    mixer = new(600, 1)
    slot = mixer._hash(np.zeros((1, REACH), np.int64))[0][0, 0]  # of two zeros
    lane = np.arange(1)
    counts = []
    for symbol in [0, 0, 1, 0, 0, 2, *[0] * 300]:
        _, found = mixer.mix(uniform(1), lane)
        mixer.learn(found, np.array([symbol]), lane)
        counts.append(mixer.counts[slot].tolist())
    most = np.array(counts).max(1)
    assert most.max() == contexts.MOST_COUNT == 255
    at = int(most.argmax())
    assert sorted(counts[at], reverse=True)[:3] == [255, 1, 1]
    assert sorted(counts[at + 1], reverse=True)[:3] == [128, 0, 0]


def test_the_rarest_symbol_makes_room() -> None:
    """Seven symbols after one context, of which it remembers six."""
    mixer = new(600, 1)
    lane = np.arange(1)
    for symbol in (1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7):  # 3 came once only
        begin_again(mixer)
        _, found = mixer.mix(uniform(1), lane)
        mixer.learn(found, np.array([symbol]), lane)
    begin_again(mixer)
    _, found = mixer.mix(uniform(1), lane)
    for symbols, counts in zip(found.symbols[:, 0], found.counts[:, 0], strict=True):
        assert dict(zip(symbols.tolist(), counts.tolist(), strict=True)) == {1: 2, 2: 2, 7: 1, 4: 2, 5: 2, 6: 2}


def test_lanes_in_the_same_context_count_once_a_step() -> None:
    mixer = new(600, 3)
    lanes = np.arange(3)
    for _ in range(2):
        begin_again(mixer)
        _, found = mixer.mix(uniform(3), lanes)
        mixer.learn(found, np.array([5, 5, 6]), lanes)
    begin_again(mixer)
    _, found = mixer.mix(uniform(3), lanes)
    assert (found.total == 2).all()
    assert (found.symbols[found.counts > 0] == 5).all()


def test_lanes_that_are_left_out_stay_where_they_are() -> None:
    mixer = new(600, 3)
    lanes = np.array([0, 2])
    _, found = mixer.mix(uniform(2), lanes)
    mixer.learn(found, np.array([7, 9]), lanes)
    assert mixer.history[:, -2:].tolist() == [[START, 7], [START, START], [START, 9]]


def test_the_same_text_leaves_the_same_tables() -> None:
    text = noise(4, 3, 60) % 5
    a, b = (new(text.size, 3) for _ in range(2))
    np.testing.assert_array_equal(spend(a, text), spend(b, text))
    assert state(a) == state(b)


# --- what it says it is ------------------------------------------------------------------------


class Reference:
    """The same in as many words: one lane of contexts that never collide."""

    def __init__(self) -> None:
        self.past = [START] * REACH
        self.followers: dict[tuple[int, ...], dict[int, int]] = {}  # in the order they came
        first = np.floor(first_shares() * (contexts.PRIOR_TRIALS << 16)).astype(int).tolist()
        self.shares = {
            (j, bucket): (hits, contexts.PRIOR_TRIALS << 16)
            for j, row in enumerate(first)
            for bucket, hits in enumerate(row)
        }

    def stages(self, own: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], float, NDArray[np.float64], int]]:
        """(p so far, lambda, what the context says, bucket) of each order that was seen, and the end."""
        result, p = [], own
        for order in ORDERS:
            counts = self.followers.get(tuple(self.past[-order:]), {})
            if not counts:
                result.append((p, 0.0, own * 0, -1))
                continue
            said = np.zeros(SYMBOLS)
            for symbol, count in counts.items():
                said[symbol] = count / sum(counts.values())
            seen = min(sum(counts.values()).bit_length(), 6)
            agree = max(counts.values()) * 4 // sum(counts.values())
            thought = own[max(counts, key=lambda s: counts[s])]
            opinion = sum(thought > edge for edge in (1 / 64, 1 / 8, 1 / 2, 3 / 4, 15 / 16))
            bucket = (seen * 5 + agree) * 6 + opinion
            hits, trials = self.shares[len(result), bucket]
            p = (1 - hits / trials) * p + hits / trials * said
            result.append((p, hits / trials, said, bucket))
        return result

    def learn(self, own: NDArray[np.float64], symbol: int) -> None:
        for j, (p, share, said, bucket) in enumerate(self.stages(own)):
            if bucket >= 0:
                hits, trials = self.shares[j, bucket]
                hits, trials = hits + int(share * said[symbol] / p[symbol] * 65536), trials + 65536
                self.shares[j, bucket] = (hits >> 1, trials >> 1) if trials > contexts.MEMORY << 16 else (hits, trials)
        for order in ORDERS:
            counts = self.followers.setdefault(tuple(self.past[-order:]), {})
            counts[symbol] = counts.get(symbol, 0) + 1
            assert len(counts) <= WAYS
            assert counts[symbol] <= 255
        self.past = [*self.past[1:], symbol]


def test_it_is_what_it_says_it_is() -> None:
    rng = np.random.default_rng(8)
    text = np.tile(rng.integers(0, 4, 40), 8)
    text[rng.integers(0, len(text), 8)] = 5
    weights = rng.integers(1, 1 << 12, (len(text), SYMBOLS)).astype(np.int32)
    weights[:, :6] *= 256
    lane = np.arange(1)
    mixer, reference = new(1 << 18, 1), Reference()
    for weight, symbol in zip(weights[:, None], text, strict=True):
        own = weight[0] / weight.sum()
        mixed, found = mixer.mix(weight, lane)
        np.testing.assert_allclose(mixed[0] / FULL, reference.stages(own)[-1][0], rtol=0, atol=3e-6)
        mixer.learn(found, symbol[None], lane)
        reference.learn(own, int(symbol))
    assert np.count_nonzero(mixer.tags) == len(reference.followers)  # no two share a slot
    found_shares = np.array([[reference.shares[j, b] for b in range(BUCKETS)] for j in range(len(ORDERS))])
    assert abs(found_shares[:, :, 0] - mixer.hits).max() < 64
    np.testing.assert_array_equal(found_shares[:, :, 1], mixer.trials)
