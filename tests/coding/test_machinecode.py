"""Machine code: whatever bytes there are come back, and distances to one place become one address."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bfncodec.coding.machinecode import LEAST, MEMORY, absolute, is_machine_code, relative

PARTS = st.sampled_from([b"\xe8", b"\xe9", b"\0", b"\xff", b"\x01", b"\x48\x8b\x05", b"\x4c\x8d\x3d", b"\x8b\x0d"])


def call(place: int, target: int) -> bytes:
    """A call from a place to another."""
    return b"\xe8" + (target - place).to_bytes(4, "little", signed=True)


@settings(max_examples=200)
@given(st.lists(st.one_of(PARTS, st.binary(max_size=6)), max_size=60).map(b"".join))
@example(b"\xe8" * 40)
@example(b"\xe9\xff" * 40)
@example(b"\xe8\0\0\0\xff")
def test_any_bytes_come_back(data: bytes) -> None:
    found = absolute(data)
    assert len(found) == len(data)
    assert relative(found) == data


@pytest.mark.parametrize("size", [20_000, 1 << 17])
def test_many_random_instructions_come_back(size: int) -> None:
    data = np.random.default_rng(size).choice([0xE8, 0xE9, 0, 255, 1, 0x48, 0x8B, 0x05], size).astype(np.uint8)
    assert relative(absolute(data.tobytes())) == data.tobytes()


def test_calls_of_one_function_become_alike() -> None:
    data = b"".join(call(9 * k + 1, 700) + b"\x90" * 4 for k in range(100))
    assert {absolute(data)[9 * k + 1 : 9 * k + 4] for k in range(100)} == {(700).to_bytes(3, "little")}


@pytest.mark.parametrize("code", MEMORY)
def test_memory_beside_an_instruction_has_an_address(code: int) -> None:
    data = bytes(50) + bytes([0x48, code, 0x05]) + (1000).to_bytes(4, "little") + b"\x90"
    assert absolute(data)[53:56] == (1053).to_bytes(3, "little")
    assert absolute(data)[:53] == data[:53]


def test_what_looks_like_machine_code() -> None:
    code = b"".join(call(50 * k + 1, 700) + b"\x90" * 45 for k in range(200))
    assert is_machine_code(code)
    assert not is_machine_code(code[: LEAST - 1])
    assert not is_machine_code(b"What is this? " * 1000)
    assert not is_machine_code("言語、文字。".encode() * 1000)
    assert not is_machine_code(np.random.default_rng(0).bytes(1 << 16))
