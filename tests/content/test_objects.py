"""Objects: what comes back equal and of its type, what is refused and with which advice, and verification."""

from __future__ import annotations

import array
import ctypes
import io
import mmap
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec import api
from bfncodec.content import objects
from bfncodec.content.types import Plain
from bfncodec.errors import InputError, NewerVersionError, OutputError
from bfncodec.files.options import Options
from bfncodec.format.header import Header
from bfncodec.format.kinds import ARRAY_TYPES, Kind
from bfncodec.segments import encode
from support.doubles import FakeModels, noise
from support.strategies import arrays, number_arrays


def back(data: Any, **options: Any) -> Any:
    return bfncodec.decompress(bfncodec.compress(data, "none", **options))


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert (one.dtype.str, one.shape) == (other.dtype.str, other.shape)
        assert one.tobytes() == other.tobytes()
    else:
        assert one == other


# ---- what comes back ----------------------------------------------------------------------------


@pytest.mark.slow
@given(number_arrays())
def test_arrays_of_numbers_come_back_to_the_bit(data: np.ndarray[Any, Any]) -> None:
    found = back(data)
    assert_same(found, data)
    assert found.flags.writeable
    assert found.flags.c_contiguous


@pytest.mark.slow
@given(arrays())
def test_arrays_of_bytes_come_back_in_their_byte_order(data: np.ndarray[Any, Any]) -> None:
    assert_same(back(data), data)


def test_nan_payloads_and_negative_zeros_come_back() -> None:
    bits = np.array([0x7FF8_0000_0000_0001, 0xFFF0_0000_0000_0001, 1 << 63, 1, 0x7FF0_0000_0000_0000], np.uint64)
    assert_same(back(bits.view("<f8")), bits.view("<f8"))
    assert_same(back(bits.view("<f4")), bits.view("<f4"))
    assert_same(back(bits.byteswap().view(">c16" if bits.size % 2 == 0 else ">f8")), bits.byteswap().view(">f8"))
    assert_same(back(np.array([0, 1, 2, 255], np.uint8).view(bool)), np.array([0, 1, 2, 255], np.uint8).view(bool))


@pytest.mark.parametrize(
    "view",
    [
        lambda a: np.asfortranarray(a),
        lambda a: a[::-1, ::2],
        lambda a: a.T,
        lambda a: np.broadcast_to(a[:1], (5, *a.shape[1:])),
        lambda a: a[:0],
        lambda a: a[2, 1, 0, ...].reshape(()),
        lambda a: np.lib.stride_tricks.as_strided(a, (3, 2), (1, 7)) if a.itemsize == 1 else a,
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">i8", "?"])
def test_layout_in_memory_does_not_matter(view: Any, dtype: str) -> None:
    data = noise(3, 4, 6, 3).astype(dtype)
    data.flags.writeable = False
    assert_same(back(view(data)), np.array(view(data), order="C"))


@pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a-b-c")[::2], bytearray()])
def test_buffers_come_back_as_what_they_were(data: Any) -> None:
    assert_same(back(data), data)
    assert bytes(back(data, lines=True)) == bytes(data)
    assert back(data) == bytes(data)


def test_a_wrapper_of_a_later_release_is_refused() -> None:
    header = Plain(b"").header
    assert header.extras == ()
    with pytest.raises(NewerVersionError, match="wrapped"):
        Plain.of(Header(Kind.BYTES, extras=(bfncodec.format.header.Extra(4, b"\7"),)), b"")


def test_array_types_are_told_apart() -> None:
    assert len(set(ARRAY_TYPES.values())) == len(ARRAY_TYPES) == 25
    assert all(np.dtype(name).itemsize == int(name.lstrip(">")[1:]) for name in ARRAY_TYPES)


# ---- what is refused ----------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"


class Ink(IntEnum):
    RED = 1


class Text(str):
    """A text with more to it."""


class Data(bytes):
    """Bytes with more to them."""


class Measured(np.ndarray[Any, Any]):
    """An array with more to it."""


def anonymous_map() -> mmap.mmap:
    return mmap.mmap(-1, 10)


MASKED = np.ma.masked_greater(np.arange(16, dtype=np.uint8).reshape(4, 4), 9)
STRUCTURED = np.zeros(3, [("x", "<f4"), ("y", "u1")])
ODD: list[tuple[Any, str]] = [
    (MASKED, "getmaskarray"),
    (np.ma.masked_array(np.zeros(3)), "getmaskarray"),
    (np.eye(3, dtype=np.uint8).view(np.matrix), "numpy.asarray"),
    (noise(1, 3, 3).view(Measured), "numpy.asarray"),
    (np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "numpy.asarray"),
    (STRUCTURED, r"array\[name\]"),
    (np.array(["2020-01-01"], "M8[D]"), r"array.view\('<i8'\)"),
    (np.array([1], ">m8[s]"), r"array.view\('>i8'\)"),
    (np.array([object()]), "arrays of numbers"),
    (np.array(["a"]), "array.tobytes"),
    (np.array([b"a"]), "array.tobytes"),
    (np.zeros(2, "V3"), "array.tobytes"),
    (np.zeros(2, np.longdouble), "float64"),
    (np.zeros(2, np.clongdouble), "complex128"),
    (np.zeros(2, np.dtype("u1", metadata={"unit": "m"})), "metadata"),
    (np.zeros((1,) * 16, np.uint8), "reshape it"),
    (np.float32(1), "numpy.asarray"),
    (np.bool_(True), "numpy.asarray"),
    (np.str_("a"), "str"),
    (np.bytes_(b"a"), "bytes"),
    (Colour.RED, "value"),
    (Text("a"), "str"),
    (Data(b"a"), "bytes"),
    (memoryview(np.zeros(3, np.uint16)), "tobytes"),
    (memoryview(np.zeros((3, 3), np.uint8)), "tobytes"),
    (memoryview(array.array("b", [1])), "tobytes"),
    (array.array("f", [1.0]), "numpy.asarray"),
    (array.array("B", [1]), "numpy.asarray"),
    (anonymous_map(), r"data\[:\]"),
    (io.BytesIO(b"a"), "read"),
    (Path("file.txt"), "compress_file"),
    ([1, 2], "numpy.asarray"),
    ((1.0,), "numpy.asarray"),
    (range(3), "bytes"),
    ({"a.png": b""}, "name one"),
    (None, "bytes"),
    (7, "bytes"),
    (1.5, "bytes"),
    (True, "bytes"),
    (Ink.RED, "bytes"),
    (Image, "bytes"),
]


@pytest.mark.parametrize(("data", "advice"), ODD, ids=[f"{n}-{type(x).__name__}" for n, (x, _) in enumerate(ODD)])
def test_what_would_not_come_back_is_refused_with_advice(data: Any, advice: str) -> None:
    with pytest.raises(InputError, match=rf"expected .* found[\s\S]*{advice}"):
        bfncodec.compress(data)
    with pytest.raises(InputError, match="expected"):
        bfncodec.measure(data)


def test_released_views_are_refused() -> None:
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(InputError, match="released"):
        bfncodec.compress(view)


def test_tensors_are_refused_with_the_right_call() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"torch.Tensor: pass tensor.numpy\(\)"):
        bfncodec.compress(torch.zeros(3))


def test_masked_arrays_as_advised_come_back() -> None:
    for part in (np.asarray(MASKED.data), np.ma.getmaskarray(MASKED)):
        assert_same(back(part), part)


# ---- wrong types of other arguments -------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"model": None},
        {"model": 5},
        {"model": ""},
        {"model": b"text"},
        {"level": "5"},
        {"level": None},
        {"device": None},
        {"device": 0},
        {"threads": "2"},
        {"threads": 0},
        {"threads": True},
        {"progress": 3},
        {"policy": None},
        {"codecs": {}},
        {"codecs": "text"},
        {"lines": True, "block": "big"},
        {"lines": True, "block": None},
        {"lines": True, "block": 1.5},
        {"lines": "no"},
        {"verify": "no"},
        {"verify": None},
        {"verify": 0},
        {"strip": "no"},
        {"preview": "no"},
    ],
    ids=str,
)
def test_wrong_options_of_compress(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        bfncodec.compress(b"a\nb\n", **options)


@pytest.mark.parametrize(
    "blob", [None, "text", 5, Path("a.bfn"), [1], np.zeros(3), np.zeros((3, 3), np.uint8), 1.5], ids=repr
)
def test_what_is_no_file_is_no_type_error(blob: Any) -> None:
    for call in (bfncodec.decompress, bfncodec.describe, bfncodec.preview):
        with pytest.raises(InputError, match="expected the bytes of a compressed file"):
            call(blob)


def test_buffers_of_bytes_are_files(tmp_path: Path) -> None:
    blob = bfncodec.compress(b"text", "none")
    (tmp_path / "x.bfn").write_bytes(blob)
    with (tmp_path / "x.bfn").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert bfncodec.decompress(mapped) == b"text"
    given = np.frombuffer(b"".join(bytes([byte, 0]) for byte in blob), np.uint8)[::2]
    for buffer in (np.frombuffer(blob, np.uint8), given, array.array("B", blob), (ctypes.c_ubyte * len(blob))(*blob)):
        assert bfncodec.decompress(buffer) == b"text"
        assert bfncodec.describe(buffer).content == "bytes"
        assert bfncodec.decompress_many([buffer]) == [b"text"]


def test_words_are_no_flags_of_options() -> None:
    for name in ("exact", "force", "remove", "verify", "strip", "preview"):
        with pytest.raises(InputError, match=f"True or False as {name}"):
            Options(**{name: "no"})
    assert Options(force=np.bool_(True)).force


def test_a_view_that_was_released_is_no_file() -> None:
    view = memoryview(bfncodec.compress(b"text", "none"))
    view.release()
    with pytest.raises(InputError, match="cannot be read"):
        bfncodec.decompress(view)


@pytest.mark.parametrize(
    "options",
    [
        {"limits": 5},
        {"on_damage": 5},
        {"progress": "bar"},
        {"codecs": 5},
        {"device": 5},
        {"threads": 1.5},
        {"crop": 5},
        {"crop": "1234"},
        {"crop": (0, 0, 1.5, 1)},
        {"crop": (1, 2)},
        {"line": "1"},
        {"line": 1.5},
        {"line": (1, 2, 3)},
        {"line": (1.5, 2)},
    ],
    ids=str,
)
def test_wrong_options_of_decompress(options: dict[str, Any]) -> None:
    blob = bfncodec.compress(noise(1, 4, 4, 3) if "crop" in options else b"a\nb\n", "none")
    with pytest.raises(InputError, match="expected"):
        bfncodec.decompress(blob, **options)


def test_wrong_types_elsewhere() -> None:
    for call in (
        lambda: bfncodec.measure(b"text", None),  # type: ignore[arg-type]
        lambda: bfncodec.load(None),  # type: ignore[arg-type]
        lambda: bfncodec.load("text", device=3),  # type: ignore[arg-type]
        lambda: bfncodec.load("text", threads="1"),  # type: ignore[arg-type]
        lambda: bfncodec.Models(device=None),  # type: ignore[arg-type]
        lambda: bfncodec.compress_file(None),  # type: ignore[arg-type]
        lambda: bfncodec.compress_file(b"name"),  # type: ignore[arg-type]
        lambda: bfncodec.decompress_file(5),  # type: ignore[arg-type]
        lambda: bfncodec.decompress_file("a.bfn", options="none"),  # type: ignore[arg-type]
        lambda: bfncodec.compress_file("a", 5),  # type: ignore[arg-type]
        lambda: bfncodec.compress_file("a", codecs=5),  # type: ignore[arg-type]
        lambda: bfncodec.measure(b"text", codecs=5),  # type: ignore[arg-type]
        lambda: bfncodec.measure(b"text", draws=0),
        lambda: bfncodec.measure(b"text", draws="3"),  # type: ignore[arg-type]
        lambda: Options(model=None),  # type: ignore[arg-type]
        lambda: Options(level="5"),  # type: ignore[arg-type]
        lambda: Options(limits=5),  # type: ignore[arg-type]
        lambda: Options(on_damage=5),  # type: ignore[arg-type]
        lambda: Options(block="5"),  # type: ignore[arg-type]
        lambda: Options(policy=None),  # type: ignore[arg-type]
        lambda: bfncodec.Limits(memory="4G"),  # type: ignore[arg-type]
        lambda: bfncodec.Limits(pixels=-1),
        lambda: bfncodec.Models().named(None),  # type: ignore[arg-type]
        lambda: bfncodec.decompress_many([], crops=5),  # type: ignore[arg-type]
        lambda: bfncodec.compress_file("a\0b"),
        lambda: bfncodec.decompress_file("a.bfn", "\ud800"),
        lambda: bfncodec.Archive("a\0b"),
        lambda: bfncodec.open("a\0b"),
    ):
        with pytest.raises(InputError, match="expected"):
            call()


# ---- verification -------------------------------------------------------------------------------


OBJECTS = [b"abc", "text", bytearray(b"a"), noise(1, 5, 5, 3), np.linspace(0, 1, 9), Image.new("RGB", (4, 4), "red")]


@pytest.mark.parametrize("data", OBJECTS, ids=lambda data: type(data).__name__)
def test_results_are_compared_with_the_object(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault between object and content is found, too: that both sides agree on the content says nothing of it."""
    other = api.content_of(b"something else")
    monkeypatch.setattr(api, "content_of", lambda data: other)
    assert bfncodec.compress(data, "none", verify=False)
    with pytest.raises(OutputError, match="not decode to what was given"):
        bfncodec.compress(data, "none")


def test_results_that_do_not_decode_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = encode.pack
    monkeypatch.setattr(encode, "pack", lambda *args: pack(*args)[:-1] + b"\1")
    with pytest.raises(OutputError, match="does not decode"):
        bfncodec.compress(b"to be or not to be", "none")


def test_verification_uses_the_given_models() -> None:
    models = FakeModels()
    bfncodec.compress(noise(3, 900).tobytes(), codecs=models)
    assert models.codecs["text"].decoded == 1
    bfncodec.compress(noise(3, 900).tobytes(), codecs=models, verify=False)
    assert models.codecs["text"].decoded == 1


def test_every_difference_counts() -> None:
    a = np.array([1.0, np.nan])
    assert objects.same_object(a, a.copy())
    for other in (a.astype("f4"), a.astype(">f8"), a.reshape(2, 1), np.array([1.0, -np.nan]), list(a), a.tobytes()):
        assert not objects.same_object(a, other)
    image = Image.new("P", (2, 2))
    image.info["dpi"] = (72, float("nan"))
    assert objects.same_object(image, image.copy())
    for change in (lambda i: i.putpalette([1, 2, 3]), lambda i: i.putpixel((0, 0), 1), lambda i: i.info.clear()):
        other = image.copy()
        change(other)
        assert not objects.same_object(image, other)
    assert not objects.same_object(b"a", bytearray(b"a"))
    assert not objects.same_object("a", b"a")
    assert not objects.same_object({"a": b"1"}, {"a": b"2"})
    assert not objects.same_object({"a": b"1"}, {})


@given(st.sampled_from([b"abc", "abc"]))
def test_stripped_pictures_verify(data: bytes | str) -> None:
    image = Image.new("P", (3, 3), 5)
    image.info["comment"] = data
    found = bfncodec.decompress(bfncodec.compress(image, "none", strip=True))
    assert found.convert("RGB").tobytes() == image.convert("RGB").tobytes()
    assert not found.info
