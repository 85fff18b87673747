"""Chunks as pictures: their shapes, and the regions that selections lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bfncodec
from bfncodec.errors import DamagedError, InputError
from bfncodec.integrations.chunks import Coder, Stack, decode_chunks

U1, U2, F4 = np.dtype("u1"), np.dtype("u2"), np.dtype("f4")


@pytest.mark.parametrize(
    ("shape", "dtype", "picture"),
    [
        ((5, 7), U1, (5, 7)),
        ((5, 7, 3), U1, (5, 7, 3)),
        ((5, 7, 1), U1, (5, 7)),
        ((5, 7, 9), U2, (35, 9)),
        ((2, 3, 5, 7, 4), U2, (30, 7, 4)),
        ((2, 3, 5, 7), U1, (30, 7)),
        ((7,), U1, None),
        ((0, 7), U1, None),
        ((5, 7), F4, None),
        ((1 << 20, 1 << 20), U1, None),  # more than readers take
    ],
)
def test_shapes(shape: tuple[int, ...], dtype: np.dtype[np.generic], picture: tuple[int, ...] | None) -> None:
    stack = Stack.of(shape, dtype)
    assert (stack and stack.picture) == picture


def chosen(side: int) -> st.SearchStrategy[object]:
    places = st.integers(0, side - 1)
    return st.one_of(places, st.slices(side), st.lists(places, min_size=1, max_size=3).map(np.array))


@given(st.data(), st.lists(st.integers(1, 4), min_size=2, max_size=5))
def test_a_region_holds_what_is_selected(data: st.DataObject, sides: list[int]) -> None:
    """One array of numbers at most, as more of them would have to have one length."""
    selection = tuple(data.draw(st.one_of(st.integers(0, side - 1), st.slices(side))) for side in sides)
    place = data.draw(st.integers(0, len(sides) - 1))
    selection = (*selection[:place], data.draw(chosen(sides[place])), *selection[place + 1 :])
    chunk = np.arange(1, 1 + np.prod(sides), dtype="u2").reshape(sides)
    stack = Stack.of(chunk.shape, chunk.dtype)
    assert stack is not None
    crop = stack.crop(selection)
    if crop is not None:
        x, y, width, height = crop
        region = chunk.reshape(stack.picture)[y : y + height, x : x + width]
        assert np.array_equal(stack.placed(region, crop)[selection], chunk[selection])


def test_a_region_is_no_larger_than_needed() -> None:
    stack = Stack.of((4, 100, 80, 3), U1)
    assert stack is not None
    assert stack.crop((2, slice(10, 20), slice(5, 8))) == (5, 210, 3, 10)
    assert stack.crop((slice(1, 3), slice(10, 20), slice(5, 8))) == (5, 100, 3, 200)
    assert stack.crop(()) is None
    assert stack.crop((..., 0)) is None


def test_chunks_come_back_whole_and_in_part() -> None:
    pictures = np.random.default_rng(0).integers(0, 9, (3, 20, 30, 3), dtype=np.uint8)
    floats = np.random.default_rng(0).normal(size=(20, 5))
    blobs = Coder("none").encode_chunks([pictures, floats])
    shapes, dtypes = [pictures.shape, floats.shape], [pictures.dtype, floats.dtype]
    assert bfncodec.describe(blobs[0]).sides == (60, 30)
    for made, given_ in zip(decode_chunks(blobs, shapes, dtypes), [pictures, floats], strict=True):
        assert np.array_equal(made, given_)
    parts = decode_chunks(blobs, shapes, dtypes, [(1, slice(3, 9)), (slice(2, 4),)])
    assert np.array_equal(parts[0], pictures[1, 3:9])
    assert np.array_equal(parts[1], floats[2:4])


@pytest.mark.parametrize("shape", [(4, 4), (6, 6), (2, 8, 4), (5, 5, 3)])
@pytest.mark.parametrize("selection", [(), (1, slice(1, 3))])
def test_chunks_of_another_array_are_refused(shape: tuple[int, ...], selection: tuple[object, ...]) -> None:
    [blob] = Coder("none").encode_chunks([np.zeros((5, 5), np.uint8)])
    with pytest.raises(DamagedError, match=r"expected a chunk of uint8 \[.*\], found uint8 \["):
        decode_chunks([blob], [shape], [U1], [selection])
    with pytest.raises(DamagedError, match="found bytes"):
        decode_chunks([bfncodec.compress(b"abc", "none")], [(3,)], [U1])


@pytest.mark.parametrize("settings", [{"model": ""}, {"model": 3}, {"level": 0}, {"level": "5"}])
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Coder(**settings)  # type: ignore[arg-type]


def test_a_chunk_of_another_shape_is_no_chunk() -> None:
    [blob] = Coder("none").encode_chunks([np.arange(100, dtype="u1").reshape(20, 5)])
    for shape in ((10, 10), (100,), (5, 20), (2, 5, 10)):
        with pytest.raises(DamagedError, match="written for another array"):
            decode_chunks([blob], [shape], [U1])
    [numbers] = Coder("none").encode_chunks([np.arange(6, dtype="f4").reshape(2, 3)])
    with pytest.raises(DamagedError, match="written for another array"):
        decode_chunks([numbers], [(3, 2)], [F4])
    (found,) = decode_chunks([blob], [(4, 5, 5)], [U1])  # the same picture, which is of four that are stacked
    assert found.shape == (4, 5, 5)


def test_settings_can_stand_in_metadata() -> None:
    assert type(Coder(Path("none")).model) is str  # type: ignore[arg-type]
    for wrong in ("no", None, 1):
        with pytest.raises(InputError, match="True or False as verify"):
            Coder(verify=wrong)  # type: ignore[arg-type]


def test_damage_of_a_chunk_says_what_can_be_done() -> None:
    [blob] = Coder("none").encode_chunks([np.random.default_rng(0).integers(0, 255, (20, 30), "u1")])
    damaged = blob[:-4] + bytes([blob[-4] ^ 1]) + blob[-3:]
    with pytest.raises(DamagedError, match=r"bfncodec\.decompress\(its bytes, on_damage="):
        decode_chunks([damaged], [(20, 30)], [U1])
