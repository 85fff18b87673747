"""Pictures in .bfn files, as Pillow opens and saves them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

import bfncodec
from bfncodec.content.objects import same_object
from bfncodec.files.options import Options
from bfncodec.integrations.pillow import BfnImageFile
from bfncodec.segments.policy import Policy
from support.doubles import FakeModels, noise
from support.picturefiles import slope
from support.places import GOLDEN
from support.strategies import images

PLAIN = {"model": "none", "level": 1}


def saved(image: Image.Image, name: str = "BFN", **options: Any) -> io.BytesIO:
    out = io.BytesIO()
    image.save(out, name, **(PLAIN if name == "BFN" else {}), **options)
    return out


def same(one: Image.Image, other: Image.Image) -> bool:
    """Two images are equal as Pillow's: mode, pixels, palette and info, whatever their classes."""
    return same_object(one.copy(), other.copy())


class Counting(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found


@pytest.mark.slow
@given(image=images())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_images_come_back(image: Image.Image) -> None:
    found = Image.open(saved(image))
    assert isinstance(found, BfnImageFile)
    assert (found.format, found.mode, found.size) == ("BFN", image.mode, image.size)
    assert found.get_format_mimetype() == "image/x-bfn"
    assert same(found, image)
    assert found.format == "BFN"


def test_files_by_their_suffix(tmp_path: Path) -> None:
    image = Image.fromarray(slope())
    image.save(tmp_path / "x.bfn", **PLAIN)
    with Image.open(tmp_path / "x.bfn") as found:
        assert np.array_equal(np.asarray(found), slope())
    assert same_object(bfncodec.decompress((tmp_path / "x.bfn").read_bytes()), image)


PICTURES = {
    path.stem: path
    for path in sorted(GOLDEN.glob("*.bfn"))
    if path.stem.startswith(("file_", "other_", "segmented_bmp", "segmented_png"))
}


@pytest.mark.parametrize("path", PICTURES.values(), ids=PICTURES)
def test_picture_files_are_read_as_pillow_reads_them(path: Path) -> None:
    """Before and after they are loaded."""
    made = bfncodec.decompress(path.read_bytes(), codecs=FakeModels())
    expected, found = Image.open(io.BytesIO(made)), Image.open(path)
    assert (found.mode, found.size) == (expected.mode, expected.size)
    assert set(expected.info) <= set(found.info)
    expected.load()
    assert same(found, expected)
    assert (found.mode, found.size) == (expected.mode, expected.size)


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("PNG", Image.fromarray(slope()), {"dpi": (300, 300), "icc_profile": b"profile", "exif": Image.Exif()}),
        ("PNG", Image.fromarray(slope(channels=1)[:, :, 0]).convert("P"), {"transparency": 3}),
        ("PNG", Image.fromarray(slope(channels=1)[:, :, 0]).convert("1"), {}),
        ("WEBP", Image.fromarray(slope()), {"lossless": True, "xmp": b"<x/>"}),
        ("TIFF", Image.fromarray(slope()), {"dpi": (72, 72), "compression": "tiff_lzw"}),
        ("BMP", Image.fromarray(slope()).convert("P"), {}),
        ("PPM", Image.fromarray(slope()), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metadata_of_picture_files(name: str, image: Image.Image, options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(saved(image, name, **options).getvalue())
    bfncodec.compress_file(tmp_path / "x", tmp_path / "x.bfn", Options(model="none", level=1, preview=True))
    assert bfncodec.describe((tmp_path / "x.bfn").read_bytes()).content == name
    expected, found = Image.open(tmp_path / "x"), Image.open(tmp_path / "x.bfn")
    assert found.mode == expected.mode
    assert same(found, expected)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<u2"])
@pytest.mark.parametrize("channels", [0, 2, 3, 4])
def test_arrays_are_pictures_where_pillow_has_the_mode(dtype: str, channels: int) -> None:
    array = noise(1, 9, 7, *(channels,) * bool(channels)).astype(dtype)
    blob = io.BytesIO(bfncodec.compress(array, **PLAIN))
    if array.itemsize == 2 and channels:
        with pytest.raises(UnidentifiedImageError):
            Image.open(blob)
        return
    np.testing.assert_array_equal(np.asarray(Image.open(blob)), array)


@pytest.mark.slow
def test_opening_reads_the_head_alone() -> None:
    pixels = noise(1, 90, 90, 3)
    for policy in (Policy(plain_tile=40, plain_pixels=1600), Policy()):
        data = saved(Image.fromarray(pixels), policy=policy).getvalue()
        file = Counting(data)
        image = Image.open(file)
        assert file.count < len(data) // 8  # with the heads that other plugins read, where Pillow asks them first
        image.load()
        assert file.count > len(data)


def test_the_file_is_closed_when_it_is_loaded(tmp_path: Path) -> None:
    Image.fromarray(slope()).save(tmp_path / "x.bfn", **PLAIN)
    image = Image.open(tmp_path / "x.bfn")
    file = image.fp
    image.load()
    assert file is not None
    assert file.closed
    image.putpixel((0, 0), (1, 2, 3))
    assert image.getpixel((0, 0)) == (1, 2, 3)
    late = Image.open(tmp_path / "x.bfn")
    late.close()
    with pytest.raises(Exception, match="closed"):
        late.load()


def test_images_are_copied_and_pickled() -> None:
    image = Image.open(saved(Image.fromarray(slope())))
    again = pickle.loads(pickle.dumps(image))
    assert same(again, image)
    assert same(again.crop((1, 2, 9, 9)), Image.fromarray(slope()[2:9, 1:9]))


# ---- previews ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_thumbnails_come_from_the_preview() -> None:
    blob = saved(Image.fromarray(slope(600, 900)), preview=True).getvalue()
    image = Image.open(io.BytesIO(blob))
    file = image.fp
    image.thumbnail((150, 150))
    assert image.size == (150, 100)
    expected = bfncodec.preview(blob)
    expected.thumbnail((150, 150))
    assert same(image, expected.convert("RGB"))
    assert not file.closed
    exact = Image.open(io.BytesIO(blob))
    exact.thumbnail((150, 150), reducing_gap=None)
    other = Image.fromarray(slope(600, 900))
    other.thumbnail((150, 150), reducing_gap=None)
    assert same(exact, other)


@pytest.mark.slow
def test_drafts_are_at_least_as_large_as_asked_for() -> None:
    blob = saved(Image.fromarray(slope(600, 900)), preview=True)
    image = Image.open(blob)
    assert image.draft("RGB", (300, 300)) is None
    assert image.size == (900, 600)
    assert image.draft("L", (300, 200)) == ("RGB", (0, 0, 320, 213))
    assert (image.size, np.asarray(image).shape) == ((320, 213), (213, 320, 3))
    assert image.draft(None, (10, 10)) is None
    assert Image.open(saved(Image.fromarray(slope()))).draft("RGB", (8, 8)) is None
    grey = Image.fromarray(np.zeros((600, 600), np.uint16))
    assert Image.open(saved(grey, preview=True)).draft(None, (8, 8)) is None


# ---- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize("other", [b"bytes", "text", np.arange(9.0)], ids=["bytes", "text", "array"])
def test_other_content_is_no_image(other: Any) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(bfncodec.compress(other, "none")))


def test_damage_is_no_image_or_an_oserror() -> None:
    blob = saved(Image.fromarray(noise(1, 6, 9, 3))).getvalue()
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 0x10
        with pytest.raises((OSError, UnidentifiedImageError)):  # noqa: PT012
            image = Image.open(io.BytesIO(damaged))
            image.load()
    for length in range(len(blob)):
        with pytest.raises((OSError, UnidentifiedImageError)):  # noqa: PT012
            image = Image.open(io.BytesIO(blob[:length]))
            image.load()


def test_verifying_needs_no_decoding() -> None:
    blob = bytearray(saved(Image.fromarray(noise(1, 40, 40, 3))).getvalue())
    Image.open(io.BytesIO(blob)).verify()
    blob[len(blob) // 2] ^= 1
    image = Image.open(io.BytesIO(blob))
    with pytest.raises(OSError, match="checksum"):
        image.verify()
    parser = ImageFile.Parser()
    parser.feed(saved(Image.fromarray(slope())).getvalue())
    assert same(parser.close(), Image.fromarray(slope()))


@pytest.mark.parametrize("mode", ["CMYK", "F", "HSV"])
def test_modes_that_are_not_kept_are_refused(mode: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"found {mode}: convert it first"):
        Image.new(mode, (4, 4)).save(tmp_path / "x.bfn")
    assert not list(tmp_path.iterdir())


def test_arguments_of_save() -> None:
    image = Image.fromarray(slope())
    with pytest.raises(OSError, match="level"):
        image.save(io.BytesIO(), "BFN", level=0)
    exif = Image.Exif()
    exif[274] = 6
    found = Image.open(saved(image, dpi=(300, 300), exif=exif, icc_profile=b"p", quality=3))
    assert found.info == {"dpi": (300, 300), "exif": exif.tobytes(), "icc_profile": b"p"}
    assert found.getexif()[274] == 6
    assert image.info == {}
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b")
    text = Image.open(saved(Image.open(saved(image, "PNG", pnginfo=info))))
    assert text.info == {"a": "b"}


def test_several_frames(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(n, 8, 8)) for n in range(3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "x.gif") as moving:
        with pytest.raises(OSError, match="holds one picture, found 3: save each"):
            moving.save(tmp_path / "x.bfn", save_all=True)
        with pytest.raises(OSError, match="holds one picture, found 2: save each"):
            frames[0].save(tmp_path / "x.bfn", append_images=iter(frames[1:2]))
        assert not (tmp_path / "x.bfn").exists()
        moving.seek(2)
        moving.save(tmp_path / "x.bfn", **PLAIN)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.bfn").convert("L")), noise(2, 8, 8))
    frames[0].save(tmp_path / "y.bfn", save_all=True, **PLAIN)
    assert same(Image.open(tmp_path / "y.bfn"), frames[0])


def test_what_other_formats_save_beside_pixels_is_kept() -> None:
    image = Image.fromarray(slope(channels=1)[:, :, 0]).convert("P")
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a lighthouse at dawn")
    texts.add_itxt("Titel", "Zürich", lang="de", zip=True)
    found = Image.open(saved(image, transparency=3, comment=b"made by hand", pnginfo=texts))
    as_png = Image.open(saved(image, "PNG", transparency=3, pnginfo=texts))
    as_png.load()
    assert found.info == as_png.info | {"comment": b"made by hand"}
    assert found.convert("RGBA").tobytes() == as_png.convert("RGBA").tobytes()
    assert "parameters" not in image.info
    texts.add(b"prIv", b"chunk", after_idat=True)
    with pytest.raises(OSError, match="chunks of another kind"):
        saved(image, pnginfo=texts)


def test_nothing_that_cannot_be_done_is_advised() -> None:
    blob = bytearray(saved(Image.fromarray(slope())).getvalue())
    blob[-3] ^= 1
    with pytest.raises(OSError, match="checksum") as caught:
        Image.open(io.BytesIO(blob)).load()
    assert "pass on_damage" not in str(caught.value)
