"""The codec of numcodecs, by the checks that numcodecs has for codecs of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

numcodecs = pytest.importorskip("numcodecs", reason="numcodecs is not installed")

import bfncodec  # noqa: E402
from bfncodec.errors import InputError, NotOursError  # noqa: E402
from bfncodec.integrations.numcodecs import Bfncodec  # noqa: E402

CODEC = Bfncodec("none")
RNG = np.random.default_rng(1)
ARRAYS = [
    np.arange(1000, dtype="i4"),
    np.linspace(1000, 1001, 1000, dtype="f8"),
    RNG.normal(loc=1000, scale=1, size=(100, 10)),
    RNG.integers(0, 2, size=1000, dtype=bool).reshape(100, 10, order="F"),
    RNG.choice([b"a", b"bb", b"ccc"], size=1000).reshape(10, 10, 10),
    RNG.integers(0, 2**60, size=1000, dtype="u8").view("M8[ns]"),
    RNG.integers(0, 2**60, size=1000, dtype="u8").view("m8[ns]").reshape(10, 100, order="F"),
    RNG.integers(0, 256, (20, 30, 3), dtype="u1"),
    np.asfortranarray(RNG.integers(0, 2**16, (20, 30, 3)).astype(">u2")),
    np.zeros((0, 3), "u1"),
    np.array(7, "u2"),
    np.zeros(3, [("a", "u1"), ("b", "f4")]),
    np.arange(5).astype(np.longdouble),
    np.arange(5, dtype=np.dtype("i4", metadata={"unit": "m"})),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_arrays_come_back_in_the_order_of_memory(array: np.ndarray) -> None:
    blob = CODEC.encode(array)
    bfncodec.describe(blob)
    wanted = array.tobytes(order="A")
    assert CODEC.decode(blob) == wanted
    assert CODEC.decode(np.frombuffer(blob, np.uint8)) == wanted
    out = np.empty_like(array)
    CODEC.decode(blob, out=out)
    assert out.tobytes(order="A") == wanted
    if array.nbytes:
        buffer = bytearray(array.nbytes)
        CODEC.decode(memoryview(blob), out=buffer)
        assert buffer == wanted


def test_masks_are_not_lost() -> None:
    with pytest.raises(InputError, match="mask"):
        CODEC.encode(np.ma.masked_array([1, 2], [0, 1]))


@pytest.mark.parametrize("buffer", [b"abc", bytearray(b"abc"), memoryview(b"abc"), b""])
def test_buffers_come_back(buffer: bytes | bytearray | memoryview) -> None:
    assert CODEC.decode(CODEC.encode(buffer)) == bytes(buffer)
    assert bfncodec.describe(CODEC.encode(buffer)).content == "bytes"


def test_pictures_are_pictures() -> None:
    blob = CODEC.encode(np.zeros((4, 20, 30, 3), "u1"))
    assert (bfncodec.describe(blob).mode, bfncodec.describe(blob).sides) == ("RGB", (80, 30))


def test_what_cannot_be_coded() -> None:
    with pytest.raises(TypeError):
        CODEC.encode(np.array(["a", None], object))
    with pytest.raises(ValueError, match="contiguous"):
        CODEC.encode(np.zeros((9, 9))[::2, ::2])
    with pytest.raises(InputError):
        Bfncodec(level=11)
    with pytest.raises(NotOursError):
        CODEC.decode(b"something else")
    with pytest.raises(ValueError, match=r"broadcast|reshape|size"):
        CODEC.decode(CODEC.encode(b"abc"), out=bytearray(2))


def test_configurations() -> None:
    config = CODEC.get_config()
    assert config == {"id": "bfncodec", "model": "none", "level": 5, "verify": True}
    assert numcodecs.get_codec(json.loads(json.dumps(config))) == CODEC
    assert eval(repr(CODEC)) == CODEC
    assert Bfncodec("none", 1) != CODEC


def test_zarr_of_format_2(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    data = RNG.integers(0, 9, (10, 20, 30, 3), dtype="u1")
    shape = {"shape": data.shape, "chunks": (4, 20, 30, 3), "dtype": data.dtype}
    zarr.create_array(tmp_path / "a.zarr", zarr_format=2, compressors=CODEC, filters=None, **shape)[:] = data
    assert np.array_equal(zarr.open_array(tmp_path / "a.zarr")[:], data)
