"""Integer distributions to bits and back: exact, and hardly longer than the information in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bfncodec.coding import cdf
from bfncodec.coding.rangecoder import RangeDecoder, RangeEncoder, RangeEncoders, information, total
from bfncodec.coding.rangewriter import CompiledRangeEncoders
from bfncodec.errors import DamagedError
from support.frequencies import SHAPES, Ints, bits, draws, intervals, rows


def coded(frequencies: Ints, symbols: Ints) -> bytes:
    encoder = RangeEncoder()
    encoder.encode_rows(symbols, frequencies.astype(np.float32))
    return encoder.finish()


# --- range coder -------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 60),
    n=st.sampled_from([3, 16, 256]),
    shape=st.sampled_from(SHAPES),
    likely=st.booleans(),
)
@example(seed=0, count=3, n=3, shape="one", likely=False)
def test_symbols_round_trip(seed: int, count: int, n: int, shape: str, likely: bool) -> None:
    """Likely symbols, and any: those of frequency 0 too. Whole rows and intervals give the same bytes, no more of them
    than the information fills: a step of the coder loses at most 2^-8 of its range.
    """
    rng = np.random.default_rng(seed)
    frequencies = rows(rng, count, n, shape)
    symbols = draws(rng, frequencies) if likely else rng.integers(0, n, count).astype(np.int32)
    payload = coded(frequencies, symbols)
    np.testing.assert_array_equal(RangeDecoder(payload).decode_rows(frequencies.astype(np.float32)), symbols)

    encoder = RangeEncoder()
    encoder.encode_intervals(*intervals(frequencies, symbols))
    assert encoder.finish() == payload
    assert len(payload) <= np.ceil((bits(frequencies, symbols) - count * np.log2(1 - 2**-8)) / 8)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 40), max_size=4))
def test_pieces_are_the_whole(seed: int, cuts: list[int]) -> None:
    """Symbols may be appended and read back in any portions, of different alphabets."""
    rng = np.random.default_rng(seed)
    encoder, parts = RangeEncoder(), []
    for i, count in enumerate(cuts):
        frequencies = rows(rng, count, [3, 16, 256][i % 3], SHAPES[i % 5])
        parts.append((frequencies, rng.integers(0, frequencies.shape[1], count).astype(np.int32)))
        if i % 2:
            encoder.encode_rows(parts[-1][1], frequencies.astype(np.float32))
        else:
            encoder.encode_intervals(*intervals(*parts[-1]))
    decoder = RangeDecoder(encoder.finish())
    for frequencies, symbols in parts:
        found = [
            decoder.decode_rows(frequencies[:5].astype(np.float32)),
            decoder.decode_rows(frequencies[5:].astype(np.float32)),
        ]
        np.testing.assert_array_equal(np.concatenate(found), symbols)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    counts=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=5),
    shape=st.sampled_from(SHAPES),
    likely=st.booleans(),
)
@pytest.mark.parametrize("kind", ["one by one", "compiled"])
def test_encoders_write_line_by_line_what_each_writes_alone(
    kind: str, seed: int, counts: list[list[int]], shape: str, likely: bool
) -> None:
    """Each has some places in every line, with four symbols each: all the first ones of a line, all the second ones."""
    rng, alone = np.random.default_rng(seed), [RangeEncoder() for _ in range(3)]
    encoders = several(kind, 3)
    for line in np.array(counts):
        frequencies = rows(rng, 4 * sum(line), 16, shape)
        symbols = draws(rng, frequencies) if likely else rng.integers(0, 16, len(frequencies)).astype(np.int32)
        below, own, _, _ = intervals(frequencies, symbols)
        found = np.stack([symbols, below, own]).reshape(3, 4, -1)
        for i, (count, end) in enumerate(zip(line, line.cumsum(), strict=True)):
            symbol, below, own = found[:, :, end - count : end].reshape(3, -1)
            alone[i].encode_intervals(below, own, symbol, 16)
        encoders.append(line[None], found)
    assert encoders.finish() == [encoder.finish() for encoder in alone]


def several(kind: str, count: int) -> Any:
    """Return encoders that take turns."""
    if kind == "compiled":
        pytest.importorskip("numba")
        return CompiledRangeEncoders(count)
    return RangeEncoders(count, 16)


def test_a_carry_goes_through_many_words() -> None:
    """Symbols whose intervals hold the middle, until the last is above it: of 0111... becomes 1000..."""
    frequencies = np.array([3_000_000, 9_000_000, total(3) - 12_000_000])
    edges, lower, width, middle, symbols = (
        np.append(0, (frequencies + 1).cumsum()).tolist(),
        0,
        (1 << 64) - 1,
        1 << 63,
        [],
    )
    for _ in range(300):
        scale = width >> 24
        symbol = next(k for k in range(3) if lower + scale * edges[k + 1] > middle)
        symbols.append(symbol)
        lower, width = lower + scale * edges[symbol], scale * (edges[symbol + 1] - edges[symbol])
        if width < 1 << 32:
            lower, width, middle = lower << 32, width << 32, middle << 32
    rows_of = np.tile(frequencies, (301, 1)).astype(np.int32)
    found = np.array([*symbols, 2], np.int32)
    below, own, _, _ = intervals(rows_of, found)
    encoders = several("compiled", 1)
    encoders.append(np.array([[301]]), np.stack([found, below, own])[:, None])
    assert encoders.finish() == [coded(rows_of, found)]
    assert encoders.finish()[0][:20] == b"\x80" + bytes(19)


@pytest.mark.parametrize("n", [3, 16, 256])
@pytest.mark.parametrize("shape", SHAPES)
def test_long_payloads_are_as_long_as_their_information(n: int, shape: str) -> None:
    rng = np.random.default_rng(n)
    frequencies = np.tile(rows(rng, 500, n, shape), (40, 1))
    symbols = draws(rng, frequencies)
    symbols[::50] = rng.integers(0, n, len(symbols[::50]))
    ideal = bits(frequencies, symbols)
    assert ideal > 5_000
    payload = coded(frequencies, symbols)
    assert abs(8 * len(payload) - ideal) <= 0.0002 * ideal + 64
    np.testing.assert_array_equal(RangeDecoder(payload).decode_rows(frequencies.astype(np.float32)), symbols)


def test_the_coder_adds_one_to_every_frequency_and_nothing_else() -> None:
    """Frequencies become intervals of exactly (frequency + 1) / 2^24, so the first bytes of a payload are known."""
    frequencies = np.array([[1000, 0, total(3) - 1000]], np.float32)
    starts = [0, 1001, 1002]
    for symbol, start in enumerate(starts):
        end = [*starts[1:], 1 << 24][symbol]
        for point, expected in ((start, symbol), (end - 1, symbol), (end, symbol + 1)):
            if point < 1 << 24:
                found = RangeDecoder(point.to_bytes(3, "big") + b"\0\1").decode_rows(frequencies)
                assert found.tolist() == [expected]


def test_nothing_is_no_byte() -> None:
    encoder = RangeEncoder()
    encoder.encode_rows(np.zeros(0, np.int32), np.zeros((0, 16), np.float32))
    assert encoder.finish() == b""
    assert RangeDecoder(b"").decode_rows(np.zeros((0, 16), np.float32)).tolist() == []


def test_certain_symbols_cost_no_byte() -> None:
    """A thousand symbols that are all but certain: below half a bit together."""
    frequencies = np.tile(np.array([[total(3), 0, 0]], np.int32), (1000, 1))
    assert coded(frequencies, np.zeros(1000, np.int32)) == b""


@settings(max_examples=60)
@given(
    payload=st.binary(max_size=80),
    seed=st.integers(0, 1000),
    n=st.sampled_from([3, 16, 256]),
    shape=st.sampled_from(SHAPES),
)
@example(payload=b"\xff" * 80, seed=0, n=256, shape="even")
@example(payload=b"\xff" * 80, seed=0, n=3, shape="one")
def test_garbage_gives_symbols_or_is_named(payload: bytes, seed: int, n: int, shape: str) -> None:
    frequencies = rows(np.random.default_rng(seed), 100, n, shape).astype(np.float32)
    try:
        found = RangeDecoder(payload).decode_rows(frequencies)
    except DamagedError as error:
        assert "expected" in str(error)  # noqa: PT017 - other garbage gives symbols
        return
    assert found.shape == (100,)
    assert ((found >= 0) & (found < n)).all()


def test_information_is_the_coders_probability() -> None:
    assert information(np.array([total(16), 0, (1 << 23) - 1])).tolist() == [
        pytest.approx(15 / 2**24 / np.log(2), rel=1e-3),
        24,
        1,
    ]


# --- distributions -----------------------------------------------------------------------------


def edges(seed: int, count: int, kind: str) -> Ints:
    """Cumulative distributions of bytes, int32 [count, 257] in units of 2^-30: monotone, 0 and 2^30 at the ends."""
    rng = np.random.default_rng(seed)
    if kind == "steps":  # everything on a few values, whole nibbles impossible
        inner = np.sort(rng.choice([0, 1, 1 << 29, (1 << 30) - 1, 1 << 30], (count, 255)), 1)
    elif kind == "smooth":
        z = (np.arange(1, 256) - rng.uniform(0, 256, (count, 1))) / rng.uniform(0.1, 50, (count, 1))
        inner = np.floor(2.0**30 / (1 + np.exp(-z.clip(-40, 40)))).astype(np.int64)
    else:
        inner = np.sort(rng.integers(0, (1 << 30) + 1, (count, 255)), 1)
    return np.concatenate([np.zeros((count, 1)), inner, np.full((count, 1), 1 << 30)], 1).astype(np.int32)


def below_of(c: Ints) -> cdf.Below:
    """Reads a table, as a network's distribution would be asked."""

    def below(value: Ints) -> Ints:
        return np.take_along_axis(c, np.broadcast_to(value, (len(c), value.shape[1])), 1)

    return below


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["random", "smooth", "steps"]))
def test_nibbles_of_encoder_and_decoder_agree(seed: int, kind: str) -> None:
    """For every one of the 256 values: what the encoder computes from four edges is in the decoder's rows."""
    c = np.repeat(edges(seed, 1, kind), 256, 0)
    below, value = below_of(c), np.arange(256, dtype=np.int32)
    high, low = cdf.nibble_intervals(below, value)
    coarse, fine = cdf.high_frequencies(below), cdf.low_frequencies(below, value >> 4)
    for found, frequencies, symbol in ((high, coarse, value >> 4), (low, fine, value & 15)):
        assert frequencies.dtype == np.float32
        assert (frequencies >= 0).all()
        np.testing.assert_array_equal(frequencies.sum(1, dtype=np.float64), total(16))
        np.testing.assert_array_equal(found.symbol, symbol)
        row = np.arange(256)
        np.testing.assert_array_equal(found.frequency, frequencies[row, symbol])
        start = np.cumsum(frequencies, 1, dtype=np.float64)[row, symbol] - frequencies[row, symbol]
        np.testing.assert_array_equal(found.below, start)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_two_nibbles_cost_what_the_byte_costs(seed: int) -> None:
    c = np.repeat(edges(seed, 1, "smooth"), 256, 0)
    high, low = cdf.nibble_intervals(below_of(c), np.arange(256, dtype=np.int32))
    p = np.diff(c[0]) / 2.0**30
    assume((p > 1e-4).any())
    found = 2.0 ** -(information(high.frequency) + information(low.frequency))
    np.testing.assert_allclose(found[p > 1e-4], p[p > 1e-4], rtol=0.01)
    assert found.sum() == pytest.approx(1)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.sampled_from([2, 16, 256]), power=st.integers(1, 20), scale=st.floats(0, 40))
@example(seed=0, n=256, power=20, scale=0.0)
def test_softmax_frequencies_are_whole_shares(seed: int, n: int, power: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    weight = np.floor(2.0**power * 2.0 ** (-scale * rng.random((6, n)))).astype(np.int32)
    weight[np.arange(6), rng.integers(0, n, 6)] = 1 << power
    frequency = cdf.softmax_frequencies(weight)
    assert frequency.dtype == np.float32
    assert (frequency >= 0).all()
    np.testing.assert_array_equal(frequency.sum(1, dtype=np.float64), total(n))
    share = weight / weight.sum(1, keepdims=True) * total(n)
    off = frequency - share
    row = np.arange(6)
    assert (np.delete(off.ravel(), row * n + weight.argmax(1)) <= 0).all()  # rounded down, except the likeliest
    assert (off > -1.001).all()
    for symbol in (0, n - 1, 1):
        chosen = np.full(6, symbol, np.int32)
        found = cdf.softmax_intervals(weight, chosen)
        np.testing.assert_array_equal(found.frequency, frequency[:, symbol])
        np.testing.assert_array_equal(found.below, frequency[:, :symbol].sum(1, dtype=np.float64))
        np.testing.assert_array_equal(found.symbol, chosen)
