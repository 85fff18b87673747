from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.errors import DamagedError
from bfncodec.format.kinds import PLANES, Method, Mode
from bfncodec.format.wire import Reader
from bfncodec.images.byteplanes import ALL_LOW, Used, join, low_planes, natural_shift, split
from bfncodec.images.classical import Block, Planes, decode_tile, encode_tile
from bfncodec.runtime.arrays import Pixels
from support.doubles import noise

MODES = {1: Mode.I16, 2: Mode.LA16, 3: Mode.RGB16, 4: Mode.RGBA16}


@st.composite
def wide(draw: st.DrawFn) -> Pixels:
    """uint16 [H, W, 1 to 4]: any numbers, few of them, multiples, scaled ones, slopes."""
    height, width, channels = draw(st.integers(1, 20)), draw(st.integers(1, 20)), draw(st.integers(1, 4))
    shape = (height, width, channels)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(
        0, draw(st.sampled_from([1, 5, 256, 65536])), shape
    )
    kind = draw(st.sampled_from(["plain", "multiples", "scaled", "slope", "top"]))
    if kind == "multiples":
        values = values % 200 * draw(st.integers(1, 300))
    elif kind == "scaled":
        values = np.rint(values % 900 * 70.3).astype(int)
    elif kind == "slope":
        values = values % 3 + 700 * np.arange(height)[:, None, None] + 900 * np.arange(width)[:, None]
    elif kind == "top":
        values = 65535 - values % 300
    return values.astype(np.uint16)


@given(wide())
def test_used_numbers_come_back(values: Pixels) -> None:
    used = Used.by(values)
    reader = Reader(used.write() + b"rest")
    assert Used.read(reader) == used
    assert reader.rest() == b"rest"
    numbers = used.numbers(values)
    assert numbers.dtype == np.uint16
    assert np.array_equal(used.samples(numbers), values)


@given(wide(), st.sampled_from([None, 8, ALL_LOW]))
def test_planes_come_back(values: Pixels, shift: int | None) -> None:
    shift = natural_shift(values) if shift is None else shift
    high, low = split(values, shift)
    assert len(low) == low_planes(shift)
    assert all(plane.dtype == np.uint8 for plane in low)
    assert np.array_equal(join(high, low, shift), values)


@pytest.mark.slow
@given(wide())
def test_tiles_come_back(values: Pixels) -> None:
    mode = MODES[values.shape[2]]
    for beat in (None, values.size):
        method, payload = encode_tile(values, mode, beat)
        assert np.array_equal(decode_tile(method, payload, mode, *values.shape[:2]), values)
    for shift in (None, ALL_LOW):
        colour = values[:, :, : mode.channels - mode.has_alpha]
        payload = Planes.of(colour, shift).write(*values.shape[:2])
        assert np.array_equal(Planes.read(Reader(payload)).decode(colour.shape[2], *values.shape[:2]), colour)


def test_the_predictor_is_the_median_of_three() -> None:
    """Byte for byte what the format says: a pixel beyond the edge is 0."""
    values = np.array([[[10], [30]], [[20], [35]]], np.uint16)
    high, low = split(values, ALL_LOW)
    assert high is None
    differences = low[0].astype(int) + 256 * low[1].astype(int)
    assert differences[:, :, 0].tolist() == [[10 + 128, 20 + 128], [10 + 128, 5 + 128]]  # 30 is between 20 and 30


def test_scaled_samples_become_ranks_where_that_pays() -> None:
    values = np.rint(noise(1, 100, 100, 1) * 257.3 % 60000).astype(np.uint16)
    used = Used.by(values)
    assert used.factor == 0
    assert int(used.numbers(values).max()) < 256
    assert Used.by(noise(1, 9, 9, 1) * np.uint16(200)).factor == 200  # too few samples to pay for a list


@pytest.mark.parametrize(
    "head",
    [
        Used(65536, 1).write() + b"\0",
        Used(0, 65536).write() + b"\0",
        Used(0, 0, b"\x03\x5dabc").write() + b"\0",
        Used(0, 1).write() + b"\x09",
        Used(0, 1).write() + b"\x10",
        Used(0, 1).write() + b"\0" + b"\x02\x07x",
        Used(0, 1).write() + b"\0" + Block.of(noise(1, 3, 3, 1)).write(),  # of another size
        Used(0, 1).write() + b"\0" + Block.of(noise(1, 2, 2, 1)).write() + b"more",
        Used(65535, 1).write() + b"\0" + Block.of(noise(1, 2, 2, 1)).write(),
        Used(0, 300).write() + b"\0" + Block.of(np.full((2, 2, 1), 255, np.uint8)).write(),
    ],
)
def test_impossible_planes_are_damaged(head: bytes) -> None:
    with pytest.raises(DamagedError):
        decode_tile(Method.PICTURE, bytes([PLANES]) + b"\2\2" + head, Mode.I16, 2, 2)


def pictures() -> list[tuple[str, Pixels]]:
    """16-bit pictures of the kinds there are: sums of 8-bit ones, scaled, with noise, depth maps."""
    rows, columns = np.indices((96, 128))
    rng = np.random.default_rng(0)
    scene = 90 + 60 * np.sin(rows / 17) * np.cos(columns / 11) + 40 * ((rows // 24 + columns // 32) % 2)
    grain = np.stack([scene + rng.normal(0, 2, scene.shape) for _ in range(16)]).round().clip(0, 255)
    summed = grain.sum(0)
    depth = 20000 + 90 * columns + 9000 * np.sin(rows / 30) * np.cos(columns / 40)
    return [
        ("12 bits", summed.astype(np.uint16)),
        ("12 bits scaled", np.rint(summed * (65535 / 4080)).astype(np.uint16)),
        ("shifted", summed.astype(np.uint16) << 4),
        ("noisy", (summed * 12 + rng.normal(0, 40, scene.shape)).clip(0, 65535).astype(np.uint16)),
        ("depth", depth.astype(np.uint16)),
        ("noisy depth", (depth + rng.normal(0, 3, depth.shape)).astype(np.uint16)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "picture"), pictures())
def test_16_bit_pictures_are_smaller_than_their_png(name: str, picture: Pixels) -> None:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    assert len(bfncodec.compress(picture, "none")) < 0.9 * len(out.getvalue())
