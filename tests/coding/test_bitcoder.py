"""Bits to bytes and back: hardly longer than the information in them, however little that is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding.bitcoder import TOTAL, BitDecoder, BitEncoder
from bfncodec.coding.mixing.bits import bit_frequencies, bit_intervals
from bfncodec.coding.rangecoder import information
from bfncodec.errors import DamagedError

Ints = NDArray[np.int64]


def coded(encoder: BitEncoder, ones: Ints, bits: Ints) -> bytes:
    encoder.append(bit_intervals(ones, bits))
    return encoder.finish()


def drawn(seed: int, count: int, kind: str) -> tuple[Ints, Ints]:
    """(frequencies of a 1, bits), of any kind: as likely as they say, never so, or all but certain."""
    rng = np.random.default_rng(seed)
    ones = rng.integers(0, TOTAL + 1, count)
    if kind == "sure":
        ones = np.where(rng.integers(0, 2, count), TOTAL - ones % 99, ones % 99)
    bits = (rng.integers(0, TOTAL, count) < ones).astype(np.int64)
    return ones, 1 - bits if kind == "unlikely" else bits


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    kind=st.sampled_from(["likely", "unlikely", "sure"]),
)
@example(seed=1, cuts=[400], kind="sure")
def test_bits_round_trip_in_any_portions(seed: int, cuts: list[int], kind: str) -> None:
    ones, bits = drawn(seed, sum(cuts), kind)
    encoder, edges = BitEncoder(), np.cumsum([0, *cuts])
    for a, b in itertools.pairwise(edges):
        encoder.append(bit_intervals(ones[a:b], bits[a:b]))
    code, decoder = encoder.finish(), BitDecoder(encoder.finish())
    found = [decoder.decode_rows(bit_frequencies(ones[a:b])) for a, b in itertools.pairwise(edges)]
    assert np.concatenate([np.zeros(0, np.int64), *found]).tolist() == bits.tolist()
    assert code == coded(BitEncoder(), ones, bits)
    ideal = information(bit_intervals(ones, bits).frequency).sum() if len(bits) else 0.0
    assert len(code) <= np.ceil((ideal + 3e-5 * len(bits)) / 8)


def test_what_is_all_but_certain_costs_what_it_says() -> None:
    """A million bits of 1/500 of a bit each: a coder of words of 32 bits takes 1.5% more."""
    ones = np.full(1 << 16, TOTAL // 700)
    bits = (np.random.default_rng(0).integers(0, 700, 1 << 16) == 0).astype(np.int64)
    ideal = information(bit_intervals(ones, bits).frequency).sum() / 8
    assert ideal < len(coded(BitEncoder(), ones, bits)) < ideal + 2


def test_a_carry_goes_through_many_words() -> None:
    """Bits whose intervals hold the middle, until the last is above it: of 0111... becomes 1000..."""
    lower, width, middle, ones, bits = 0, (1 << 64) - 1, 1 << 63, [], []
    for i in range(300):
        scale, one = width >> 24, 9_000_000 if i % 2 else 3_000_000
        left = scale * (TOTAL - one + 1)
        bits.append(int(lower + left <= middle))
        ones.append(one)
        lower, width = (lower + left, scale * (one + 1)) if bits[-1] else (lower, left)
        if width < 1 << 40:
            lower, width, middle = lower << 24, width << 24, middle << 24
    ones, bits = [*ones, *[1 << 23] * 20], [*bits, *[1] * 20]
    code = coded(BitEncoder(), np.array(ones), np.array(bits))
    assert code[:9] == b"\x80" + bytes(8)
    assert BitDecoder(code).decode_rows(bit_frequencies(np.array(ones))).tolist() == bits


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["likely", "unlikely", "sure"]))
def test_kernels_write_the_same(seed: int, kind: str) -> None:
    pytest.importorskip("numba")
    from bfncodec.coding.bitwriter import CompiledBitEncoder

    ones, bits = drawn(seed, 200, kind)
    assert coded(CompiledBitEncoder(), ones, bits) == coded(BitEncoder(), ones, bits)


def test_nothing_and_what_is_certain_are_no_byte() -> None:
    assert BitEncoder().finish() == b""
    assert coded(BitEncoder(), np.zeros(1000, np.int64), np.zeros(1000, np.int64)) == b""
    assert BitDecoder(b"").decode_rows(np.zeros((0, 2), np.float32)).tolist() == []


@settings(max_examples=40)
@given(payload=st.binary(max_size=80), seed=st.integers(0, 1000), kind=st.sampled_from(["likely", "sure"]))
@example(payload=b"\xff" * 80, seed=0, kind="likely")
def test_garbage_gives_bits_or_is_named(payload: bytes, seed: int, kind: str) -> None:
    try:
        found = BitDecoder(payload).decode_rows(bit_frequencies(drawn(seed, 100, kind)[0]))
    except DamagedError as error:
        assert "expected" in str(error)  # noqa: PT017 - other garbage gives bits
        return
    assert ((found == 0) | (found == 1)).all()
