"""Parity bytes: one damaged byte of every column is repaired, and a repair that is wrong is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfncodec.coding import parity
from support.doubles import noise

SIZES = st.integers(1, 2000) | st.sampled_from([252, 253, 254, 506, 507, 100_000])


def changed(block: bytes, *places: int) -> bytes:
    damaged = bytearray(block)
    for place in places:
        damaged[place] ^= 1 + place % 255
    return bytes(damaged)


@given(SIZES)
def test_blocks_come_back(size: int) -> None:
    block = noise(size, size).tobytes()
    protected = parity.protect(block)
    assert len(protected) == size + 2 * -(-size // 253) + 4
    found = parity.read(protected)
    assert found is not None
    assert (found.block, found.sound, found.damaged) == (block, True, 0)


@pytest.mark.slow
def test_lengths_that_no_writer_makes_are_told() -> None:
    lengths = {len(parity.protect(bytes(size))) for size in range(1, 1200)}
    for length in range(1200):
        assert (parity.read(bytes(length)) is not None) == (length in lengths)


@pytest.mark.parametrize("size", [1, 2, 100, 253, 254, 700])
def test_every_damaged_byte_is_repaired(size: int) -> None:
    block = noise(1, size).tobytes()
    protected = parity.protect(block)
    for place in range(len(protected)):
        found = parity.read(changed(protected, place))
        assert found is not None
        assert (found.block, found.sound, found.damaged) == (block, True, 1)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(5_000, 100_000))
def test_a_burst_as_long_as_there_are_columns_is_repaired(seed: int, size: int) -> None:
    block = noise(seed, size).tobytes()
    protected = parity.protect(block)
    columns = -(-size // 253)
    start = seed % (size - columns)
    found = parity.read(changed(protected, *range(start, start + columns)))
    assert found is not None
    assert (found.block, found.sound, found.damaged) == (block, True, columns)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_what_cannot_be_repaired_is_noticed(seed: int, many: int) -> None:
    """Several damaged bytes of a single column."""
    block = noise(seed, 253).tobytes()
    places = np.random.default_rng(seed).choice(253, many, replace=False).tolist()
    damaged = changed(parity.protect(block), *places)
    found = parity.read(damaged)
    assert found is not None
    assert not found.sound
    assert found.found == damaged[:253]
    assert found.damaged == 1  # columns


def test_damage_in_many_columns_is_repaired_at_once() -> None:
    block = noise(0, 60_000).tobytes()
    protected = parity.protect(block)
    columns = -(-len(block) // 253)
    rows = np.random.default_rng(1).integers(0, 253, columns)
    places = [int(row) * columns + column for column, row in enumerate(rows) if row * columns + column < len(block)]
    found = parity.read(changed(protected, *places))
    assert found is not None
    assert found.sound
    assert found.block == block
