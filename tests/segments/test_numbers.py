"""Arrays of numbers as planes of bytes: what comes back, what it takes, and what no writer writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bfncodec
from bfncodec.errors import DamagedError, InputError
from bfncodec.format import lzmaraw
from bfncodec.format.kinds import ARRAY_TYPES, Method
from bfncodec.format.wire import varint
from bfncodec.segments.numbers import Form, PlaneKind, decode, encode, forms_of
from bfncodec.segments.policy import Policy
from support.doubles import noise
from support.frames import segments_of

TYPES = sorted(set(ARRAY_TYPES) - {"u1", "u2"})


def every_form(dtype: str, shape: tuple[int, ...]) -> list[Form]:
    """The forms of an array, and others that would do."""
    big, width = dtype.startswith(">"), int(dtype.lstrip(">")[1:])
    others = [Form(PlaneKind.ELEMENTS, width, big)]
    others += [Form(PlaneKind.DIFFERENCES, min(width, 8), big, lag) for lag in (1, 2, 7)]
    return [*forms_of(dtype, shape), *others]


@pytest.mark.slow
@settings(max_examples=150)
@given(st.sampled_from(TYPES), st.integers(8, 300), st.integers(0, 20), st.booleans())
def test_every_form_comes_back(dtype: str, count: int, seed: int, smooth: bool) -> None:
    width = int(dtype.lstrip(">")[1:])
    data = np.arange(count).astype(dtype).tobytes() if smooth else noise(seed, count * width).tobytes()
    for form in every_form(dtype, (count // 4, 4)):
        stream = encode(data, [form])
        assert not stream or decode(stream) == data
        assert stream or form.kind is PlaneKind.BITS


def slope(dtype: str, rows: int = 60, columns: int = 50) -> np.ndarray[Any, Any]:
    return np.add.outer(np.arange(rows) * 3, np.sin(np.arange(columns) / 9) * 40).astype(dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TYPES)
def test_no_array_is_larger_than_its_bytes_through_lzma(dtype: str) -> None:
    size = np.dtype(dtype).itemsize
    for array in (
        slope(dtype),
        np.zeros(300, dtype),
        noise(1, 900 * size).view(dtype),
        np.repeat(noise(2, 9 * size).view(dtype), 70),
        np.arange(70_000 // size).astype(dtype),
    ):
        raw, blob = array.tobytes(), bfncodec.compress(array)
        frame = 2 + 1 + 4 + 2 + sum(len(varint(side)) for side in array.shape)
        assert len(blob) - frame <= min(len(raw), len(lzmaraw.pack(raw)))


SHORT: dict[str, tuple[np.ndarray[Any, Any], float]] = {  # what it takes at most of its bytes through LZMA
    "floats": (np.sin(np.linspace(0, 50, 20_000)).astype("f4"), 0.4),
    "rows alike": (slope(">f4", 200, 100), 0.5),
    "counters": (np.arange(50_000, dtype="u4"), 0.1),
    "sorted": (np.cumsum(noise(1, 20_000), dtype="i8"), 0.8),
    "two channels": ((np.stack([slope("f4").ravel(), slope("f4").T.ravel()], 1) * 50).astype("<i2"), 0.8),
    "complex": (np.exp(1j * np.linspace(0, 9, 9000)), 0.8),
    "booleans": (noise(1, 9000) < 40, 0.95),
}


@pytest.mark.parametrize(("array", "share"), SHORT.values(), ids=SHORT)
def test_planes_are_smaller(array: np.ndarray[Any, Any], share: float) -> None:
    blob = bfncodec.compress(array)
    assert bfncodec.describe(blob).methods == {"planes": 1}
    assert len(blob) < share * len(lzmaraw.pack(array.tobytes()))


def test_large_arrays_are_cut_between_elements() -> None:
    array = slope("<f8", 37, 11)
    blob = bfncodec.compress(array, policy=Policy(plain_segment=1000))
    segments = segments_of(blob)
    assert len(segments) == 4
    assert all(part.extent[0][0] % 8 == 0 for part in segments)
    found = bfncodec.decompress(blob)
    assert found.tobytes() == array.tobytes()
    at = segments[0].payload
    lost: list[Any] = []
    bad = bfncodec.decompress(blob.replace(at[-9:], bytes(9)), on_damage=lost.append)
    assert len(lost) == 1
    ((start, stop),) = lost[0].extent
    good = np.ones(array.size, bool)
    good[start // 8 : stop // 8] = False
    assert np.array_equal(bad.ravel()[good], array.ravel()[good])
    assert not bad.ravel()[~good].any()


def test_bytes_of_numbers_may_go_through_a_named_model() -> None:
    """Arrays of elements of one byte only: others are refused."""
    from support.doubles import FakeModels

    models = FakeModels()
    for dtype in ("i1", "?"):
        array = noise(3, 900).view(dtype)
        blob = bfncodec.compress(array, "text", codecs=models)
        assert bfncodec.describe(blob).methods == {"model": 1}
        assert bfncodec.decompress(blob, codecs=models).tobytes() == array.tobytes()
    with pytest.raises(InputError, match="found an array of i2"):
        bfncodec.compress(np.zeros(9, "i2"), "text", codecs=models)


def test_a_sample_chooses_the_form_of_larger_arrays() -> None:
    policy = Policy(forms_tried=1000, form_sample=2000)
    for array in (slope("<f4"), np.arange(9000, dtype=">u4"), np.exp(1j * np.linspace(0, 9, 900))):
        data, forms = array.tobytes(), forms_of(array.dtype.str.lstrip("<"), array.shape)
        chosen = encode(data, forms, policy)
        assert decode(chosen) == data
        assert len(chosen) == min(len(encode(data, [form])) for form in forms)


BLOCK = varint(5) + b"\0" + b"abcd"


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        varint(4),
        varint(4) + b"\x30",  # a kind to come
        varint(4) + b"\x05" + BLOCK,  # a width to come
        varint(4) + b"\x01" + BLOCK,  # one plane of two
        varint(5) + b"\x01" + BLOCK * 2,  # half an element
        varint(4) + b"\x00" + BLOCK + b"x",
        varint(4) + b"\x00" + varint(4) + b"\0abc",
        varint(4) + b"\x00" + varint(5) + b"\2abcd",  # a method that planes have not
        varint(4) + b"\x00" + varint(9) + b"\0abcd",
        varint(4) + b"\x10\x00" + BLOCK,  # a lag of 0
        varint(4) + b"\x10\x05" + BLOCK,  # a lag beyond the end
        varint(32) + b"\x14\x01" + BLOCK * 16,  # differences of 16 bytes
        varint(4) + b"\x21" + varint(2) + b"\0\0",  # bits of two bytes
        varint(4) + b"\x20" + BLOCK,
        varint(1 << 40) + b"\x20" + varint(2) + b"\0\0",
        varint(1 << 40) + b"\x00" + varint(3) + b"\1" + varint(1 << 40),
    ],
    ids=lambda stream: stream.hex()[:24],
)
def test_impossible_streams_are_damage(stream: bytes) -> None:
    with pytest.raises(DamagedError):
        decode(stream)


def test_a_stream_is_of_arrays_only() -> None:
    from bfncodec.format.compact import pack_compact
    from bfncodec.format.frame import Coded
    from bfncodec.format.header import Header
    from bfncodec.format.kinds import Kind

    stream = varint(4) + b"\x00" + BLOCK
    blob = pack_compact(Header(Kind.BYTES), Coded(Method.PICTURE, stream, 0))
    with pytest.raises(DamagedError, match="cannot be bytes"):
        bfncodec.decompress(blob)
