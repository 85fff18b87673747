"""Pillow images come back with all that they are, or are refused."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo, iTXt
from PIL.TiffImagePlugin import IFDRational

import bfncodec
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.extras import Extra, Tag
from bfncodec.images.info import filter_info, read_info, write_info
from support.places import CASES


def back(image: Image.Image, **options: Any) -> Image.Image:
    found = bfncodec.decompress(bfncodec.compress(image, "none", level=1, **options))
    assert isinstance(found, Image.Image)
    return found


def frames(name: str) -> bytes:
    first, out = Image.new("RGB", (8, 6), "red"), io.BytesIO()
    options = {"lossless": True} if name == "WEBP" else {}
    first.save(
        out, name, save_all=True, append_images=[Image.new("RGB", (8, 6), c) for c in ("green", "blue")], **options
    )
    return out.getvalue()


MOVING = {name: frames(name) for name in ("PNG", "GIF", "WEBP", "TIFF")} | {
    path.suffix: path.read_bytes() for path in CASES.glob("animated*")
}


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("strip", [False, True])
def test_no_frame_is_lost_in_silence(name: str, strip: bool) -> None:
    image = Image.open(io.BytesIO(MOVING[name]))
    with pytest.raises(InputError, match=r"expected one picture, found \d+ .*pass the bytes of its file"):
        bfncodec.compress(image, "none", strip=strip)
    image.seek(1)
    with pytest.raises(InputError, match="expected one picture"):
        bfncodec.compress(image, "none", strip=strip)
    shown = image.copy()
    assert back(shown).tobytes() == shown.tobytes()
    assert bfncodec.decompress(bfncodec.compress(MOVING[name], "none")) == MOVING[name]


def test_icons_of_several_sizes_are_refused() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (48, 48), "red").save(out, "ICO", sizes=[(16, 16), (48, 48)])
    with pytest.raises(InputError, match="expected one picture, found 2"):
        bfncodec.compress(Image.open(out), "none")


def test_text_with_its_language() -> None:
    image = Image.open(CASES / "png_itxt_as_PIL_object_loses_text.png")
    assert image.info
    assert back(image).info == image.info
    out, text = io.BytesIO(), PngInfo()
    text.add_itxt("Title", "Über allen Gipfeln", "de", "Titel")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    Image.new("L", (3, 3)).save(out, "PNG", pnginfo=text)
    image = Image.open(out)
    found = back(image).info
    assert found == image.info
    assert type(found["Title"]) is iTXt
    assert (found["Title"].lang, found["Title"].tkey) == (image.info["Title"].lang, image.info["Title"].tkey)  # type: ignore[union-attr]
    assert (found["Title"].lang, found["Title"].tkey) == ("de", "Titel")


@pytest.mark.parametrize("name", ["GIF", "JPEG", "TIFF", "WEBP", "PNG", "BMP"])
def test_whatever_pillow_says_of_a_file_is_kept(name: str) -> None:
    out = io.BytesIO()
    more: dict[str, Any] = {"dpi": (72.3, 300)}
    more |= {
        "GIF": {"comment": b"hm", "loop": 3, "duration": 70},
        "JPEG": {"comment": b"hm"},
        "WEBP": {"lossless": True},
    }.get(name, {})
    Image.new("L", (9, 7), 77).save(out, name, **more)
    image = Image.open(out)
    found = back(image).info
    assert found == image.info
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in image.info.items()}


ratios = st.builds(IFDRational, st.integers(0, 9), st.integers(1, 9)) | st.fractions()
numbers = st.booleans() | st.integers() | st.floats(allow_nan=False) | ratios
texts = st.text(st.characters(codec=None)) | st.builds(iTXt, st.text(), st.text(), st.text())
leaves = st.none() | numbers | texts | st.binary()
keys = st.text() | st.integers() | st.binary() | st.tuples(st.integers(), st.text())
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(keys)
        | st.frozensets(keys)
    ),
    max_leaves=8,
)


def types(value: Any) -> Any:
    """A value with the types of all that is in it."""
    if type(value) is dict:
        return dict, {key: (types(key), types(item)) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value), [types(item) for item in value]
    return type(value), value, getattr(value, "lang", None), getattr(value, "tkey", None)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.dictionaries(keys | st.just("dpi"), values, max_size=5))
def test_any_info_comes_back(info: dict[Any, Any]) -> None:
    found = read_info(write_info(info))
    assert types(found) == types(info)
    assert read_info(filter_info(write_info(info))) == info


def test_what_cannot_be_kept_is_named() -> None:
    deep: Any = []
    for _ in range(99):
        deep = [deep]

    class Own(str):
        pass

    for value in (
        object(),
        np.float32(2),
        Own("x"),
        deep,
        [Own("x")],
        1 << 9999,
        bytearray(b"x"),
        1j,
        {"a": {1: Own()}},
    ):
        image = Image.new("L", (2, 2))
        image.info["odd"] = value
        with pytest.raises(InputError, match=r"found .* as info\['odd'\], which is not kept: delete it"):
            bfncodec.compress(image, "none")
        image.info = {"fine": 1}
        assert back(image).info == {"fine": 1}
    assert back(Image.new("L", (1, 1))).info == {}
    assert read_info(write_info({"ratio": Fraction(1, 3), "dpi": (1, (2, 3))})) == {
        "ratio": Fraction(1, 3),
        "dpi": (1, (2, 3)),
    }


@pytest.mark.parametrize(
    "value",
    [b"", b"{}[", b"[1]", b"[[1,2,3]]", b"[" * 99999, b"\xff", b'[["a",["what",1]]]', b'[["a",["bytes","%"]]]',
     b'[[["list"],1]]', b'[["a",["iTXt"]]]', b'[["a",["dict",1]]]', b'[["a",["Fraction",1,0]]]', b'[["a",[]]]'],
)  # fmt: skip
def test_info_that_cannot_be(value: bytes) -> None:
    with pytest.raises(DamagedError, match="info cannot be read"):
        read_info((Extra(Tag.INFO_TREE, value),))
