"""Every byte of a picture file is accounted for: it comes back, or the pixels and everything beside them do."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

import bfncodec
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.format.kinds import Mode
from bfncodec.images.files import read_file, write_file
from bfncodec.images.formats.png import rows as pngrows
from bfncodec.images.formats.tiff import lzw, packbits, strips
from support import picturefiles as made
from support.doubles import FakeModels, noise
from support.picturefiles import IFD, LONG, SHORT, Block, chunk, numbers, png, png_of, slope, strips_of, tiff, tiles_of
from support.places import CASES

PLAIN = Options("none", level=1)


def again(data: bytes) -> bytes:
    """Return what comes back, by the way of a compressed file."""
    blob, _ = encode_data(data, PLAIN, FakeModels())
    return bytes(bfncodec.decompress(blob))


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


# ---- TIFF ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CASES.glob("*.tif")), ids=lambda path: path.stem)
def test_tiff_files_of_which_something_was_lost(path: Path) -> None:
    assert again(path.read_bytes()) == path.read_bytes()


CODERS = {1: bytes, 5: lzw.encode, 8: zlib.compress, 32946: lambda rows: zlib.compress(rows, 9)}
ODD = bytes(range(33))


@pytest.mark.parametrize("compression", CODERS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("first", [True, False])
def test_tiff_comes_back_as_it_was(compression: int, order: str, first: bool) -> None:
    """Orientation, subfile type, resolution, profile, strips of any number before or after the directory."""
    for rows, predictor in ((32, False), (5, True)):
        coded = strips_of(slope(), rows, CODERS[compression], predictor and compression != 1)
        tags: Any = {
            254: numbers(LONG, 0, order=order),
            259: numbers(SHORT, compression, order=order),
            274: numbers(SHORT, 1 + rows % 8, order=order),
            278: numbers(SHORT, rows, order=order),
            282: (5, struct.pack(order + "II", 300, 1)),
            34675: (7, ODD),
            317: numbers(SHORT, 2 if predictor and compression != 1 else 1, order=order),
        }
        data = tiff(coded, (40, 32), tags, order=order, first=first)
        picture = read_file(data)
        assert picture is not None
        assert np.array_equal(picture.pixels, slope())
        assert write_file(picture) == data
        assert again(data) == data


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_tiff_stays_as_it_is(orientation: int) -> None:
    for code, compression in ((zlib.compress, 8), (made.other_deflate, 8), (lzw.encode, 5), (bytes, 1)):
        tags: Any = {259: numbers(SHORT, compression), 274: numbers(SHORT, orientation)}
        data = tiff(strips_of(slope(), 32, code), (40, 32), tags)
        found, wanted = again(data), Image.open(io.BytesIO(data))
        assert made.tiff_values(found)[0] == made.tiff_values(data)[0]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(found))), np.asarray(wanted))


UNKNOWN = {
    "trailing data": {"tail": b"more than the tags say"},
    "ghost head": {"ghost": b"GDAL_STRUCTURAL_METADATA_SIZE=000012 bytes"},
    "private block": {"tags": {34412: Block(LONG, b"a block of bytes")}},
    "private place": {"tags": {51234: numbers(LONG, 9)}},
    "directory type": {"tags": {50000: Block(IFD, bytes(6))}},
    "subdirectories": {"tags": {330: Block(LONG, bytes(6))}},
    "maker's note": {"tags": {34665: Block(LONG, struct.pack("<HHHIII", 1, 37500, 7, 4, 9, 0))}},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("code", [zlib.compress, made.other_deflate, lzw.encode, bytes])
def test_what_tags_do_not_tell_of_comes_back(kind: str, code: Any) -> None:
    compression = {bytes: 1, lzw.encode: 5}.get(code, 8)
    given: Any = {"tags": {}} | UNKNOWN[kind]
    given["tags"] = given["tags"] | {259: numbers(SHORT, compression)}
    for first in (True, False):
        data = tiff(strips_of(slope(), 7, code), (40, 32), first=first, **given)
        assert again(data) == data
        picture = read_file(data)
        assert (picture is None) == (compression == 8)  # the only ones that another zlib may write otherwise


PRIVATE = {"LSM": 34412, "GDAL": 33424, "FEI": 34954, "private": 51234, "directory": 50000}
ORDINARY = {**{f"orientation {value}": {274: value} for value in range(2, 9)}, "preview": {254: 1}, "strips": {278: 7}}


def of_pillow(tags: dict[int, int], compression: str, tail: bytes = b"") -> bytes:
    """Return a file that Pillow writes, private tags as places in the file, and what stands behind it."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        if tag in PRIVATE.values():
            directory.tagtype[tag] = IFD if tag == PRIVATE["directory"] else LONG
        directory[tag] = value
    return saved(Image.fromarray(slope()), "TIFF", compression=compression, tiffinfo=directory) + tail


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("kind", [*ORDINARY, *PRIVATE, "tail"])
def test_what_pillow_writes_comes_back(kind: str, compression: str) -> None:
    """Pillow drops or changes all of these when it writes what it has read."""
    if kind in ORDINARY:
        data = of_pillow(ORDINARY[kind], compression)
        found = again(data)
        assert made.tiff_values(found)[0] == made.tiff_values(data)[0]
        assert len(made.tiff_values(found)[1]) == len(made.tiff_values(data)[1])
        assert found == data or compression == "tiff_adobe_deflate"  # its zlib may be another
    else:
        tag = PRIVATE.get(kind)
        place = len(of_pillow({tag: 1} if tag else {}, compression))
        tail = bytes(place % 2) + b"a block, of which one tag alone knows, if any does"
        data = of_pillow({tag: place + place % 2} if tag else {}, compression, tail)
        assert again(data) == data


@pytest.mark.slow
@pytest.mark.parametrize("pad", ["edge", "constant", "reflect"])
@pytest.mark.parametrize("sides", [(40, 32), (32, 32), (16, 40)])
def test_tiles_stay_tiles(pad: str, sides: tuple[int, int]) -> None:
    pixels = slope(sides[1], sides[0])
    for code, compression in ((zlib.compress, 8), (made.other_deflate, 8), (lzw.encode, 5), (bytes, 1)):
        predictor = compression != 1
        tags: Any = {259: numbers(SHORT, compression), 317: numbers(SHORT, 1 + predictor)}
        data = tiff(tiles_of(pixels, 16, code, predictor, pad), sides, tags, tile=(16, 16))
        found = again(data)
        assert made.tiff_values(found)[0] == made.tiff_values(data)[0]
        assert len(made.tiff_values(found)[1]) == len(made.tiff_values(data)[1])
        assert found == data or code is made.other_deflate
        picture = read_file(data)
        assert (picture is None) == (pad == "reflect" and bool(sides[0] % 16 or sides[1] % 16))
        assert picture is None or np.array_equal(picture.pixels, pixels)


def test_strips_that_cannot_be_coded_as_they_were_keep_every_tag() -> None:
    """The file differs; tags, their types and values, strips and their rows do not. What is behind them moves."""
    exif = struct.pack("<HHHIIHHI4sI", 2, 34855, 3, 1, 100, 36864, 7, 4, b"0320", 0)
    tags: Any = {274: numbers(SHORT, 6), 278: numbers(SHORT, 3), 34675: (7, ODD), 34665: Block(LONG, exif)}
    for first in (True, False):
        data = tiff(strips_of(slope(), 3, made.other_deflate), (40, 32), tags, first=first)
        picture = read_file(data)
        assert picture is not None
        found = write_file(picture)
        assert found != data
        values, coded = made.tiff_values(found)
        wanted, before = made.tiff_values(data)
        place = values.pop(34665)[1], wanted.pop(34665)[1]
        assert values == wanted
        assert list(map(zlib.decompress, coded)) == list(map(zlib.decompress, before))
        assert [struct.unpack("<I", at)[0] % 2 for at in place] == [0, 0]
        for file, (at,) in zip((found, data), (struct.unpack("<I", at) for at in place), strict=True):
            assert file[at : at + 2] == b"\2\0"
        assert Image.open(io.BytesIO(found)).getexif().get_ifd(34665)[36864] == b"0320"


@pytest.mark.parametrize(
    ("tags", "pixels"),
    [
        ({258: (SHORT, 8), 262: (SHORT, 0), 277: (SHORT, 1)}, slope(channels=1)),
        ({258: (SHORT, 16), 262: (SHORT, 1), 277: (SHORT, 1)}, slope(channels=1).astype(np.uint16) * 200),
        ({262: (SHORT, 2), 277: (SHORT, 3)}, slope().astype(np.uint16) * 200),
        ({262: (SHORT, 2), 277: (SHORT, 4), 338: (SHORT, 2)}, slope(channels=4).astype(np.uint16) * 200),
        ({262: (SHORT, 2), 277: (SHORT, 4), 338: (SHORT, 1)}, slope(channels=4)),
        ({262: (SHORT, 1), 277: (SHORT, 2), 338: (SHORT, 2)}, slope(channels=2)),
    ],
)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("predictor", [False, True])
def test_samples_of_every_kind(tags: Any, pixels: np.ndarray[Any, Any], order: str, predictor: bool) -> None:
    channels, bits = pixels.shape[2], 8 * pixels.itemsize
    given: Any = {tag: numbers(kind, value, order=order) for tag, (kind, value) in tags.items()}
    given[258] = numbers(SHORT, *[bits] * channels, order=order)
    given |= {259: numbers(SHORT, 8, order=order), 317: numbers(SHORT, 1 + predictor, order=order)}
    plain = pixels if not predictor else np.concatenate([pixels[:, :1], pixels[:, 1:] - pixels[:, :-1]], axis=1)
    data = tiff([zlib.compress(plain.astype(f"{order}u{bits // 8}").tobytes())], (40, 32), given, order=order)
    picture = read_file(data)
    assert picture is not None
    assert np.array_equal(picture.pixels, ~pixels if tags[262][1] == 0 else pixels)
    assert write_file(picture) == data


def test_bits_in_the_other_order() -> None:
    for code, compression in ((zlib.compress, 8), (lzw.encode, 5), (bytes, 1)):
        coded = [strips.reversed_bits(strip) for strip in strips_of(slope(), 9, code)]
        tags: Any = {259: numbers(SHORT, compression), 266: numbers(SHORT, 2), 278: numbers(SHORT, 9)}
        picture = read_file(data := tiff(coded, (40, 32), tags))
        assert picture is not None
        assert np.array_equal(picture.pixels, slope())
        assert write_file(picture) == data


@pytest.mark.parametrize(
    "change",
    [
        {"following": 8},
        {"tags": {284: numbers(SHORT, 2)}},
        {"tags": {339: numbers(SHORT, 2, 2, 2)}},
        {"tags": {259: numbers(SHORT, 7)}},
        {"tags": {262: numbers(SHORT, 6)}},
        {"tags": {278: numbers(SHORT, 0)}},
        {"tags": {258: numbers(SHORT, 8, 8, 4)}},
        {"tags": {256: numbers(SHORT, 41)}},
        {"tags": {257: numbers(LONG, 1 << 31)}},
        {"tags": {34665: numbers(LONG, 8)}},
    ],
)
def test_tiff_that_is_kept_as_bytes(change: Any) -> None:
    given: Any = {"tags": {}} | change
    data = tiff(strips_of(slope(), 32, zlib.compress), (40, 32), **given)
    assert read_file(data) is None
    assert again(data) == data


def test_a_skeleton_of_another_picture_is_damage() -> None:
    picture = read_file(tiff(strips_of(slope(), 7, zlib.compress), (40, 32), {}))
    assert picture is not None
    for pixels, value in (
        (picture.pixels[:9], picture.extras[0].value),
        (picture.pixels, b""),
        *((picture.pixels, picture.extras[0].value[:size]) for size in range(0, len(picture.extras[0].value), 7)),
    ):
        broken = type(picture)(pixels, picture.mode, picture.origin, (type(picture.extras[0])(0x83, value),))
        with pytest.raises(bfncodec.DamagedError):
            write_file(broken)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
@pytest.mark.parametrize("kind", range(6))
def test_coders_write_what_libtiff_writes(compression: str, kind: int) -> None:
    """And read it. Larger than what LZW's table holds, and than the gap between its looks at the ratio."""
    code = {"tiff_lzw": 5, "packbits": 32773}[compression]
    random = np.random.default_rng(kind)
    pixels = (
        noise(kind, 90, 300),
        noise(kind, 90, 300) % 2 * np.uint8(255),
        np.repeat(noise(kind, 90, 100), 3, axis=1),
        np.where(random.random((90, 300)) < 0.4, noise(kind, 90, 300), 7).astype(np.uint8),
        np.where(np.arange(90)[:, None] < 50, 7, noise(kind, 90, 300)).astype(np.uint8),
        np.cumsum(random.integers(-1, 2, (90, 300)), axis=1).astype(np.uint8),
    )[kind]
    for part in (pixels, pixels[:1, :1], pixels[:3, :129], pixels[:2, :128]):
        rows = np.ascontiguousarray(part)
        data = saved(Image.fromarray(rows), "TIFF", compression=compression)
        _, (strip,) = made.tiff_values(data)
        assert strips.encode(rows.tobytes(), rows.shape[1], code, 0) == strip
        assert strips.decode(strip, rows.shape[1], code, rows.size) == rows.tobytes()
        own = {5: lzw.decode, 32773: packbits.decode}[code]
        assert own(strip, rows.size) == rows.tobytes()
        assert strips.encode(rows.tobytes(), rows.shape[1], code, 0, quick=True) == strip


# ---- PNG ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_rows_are_filtered_and_back(channels: int) -> None:
    for seed in range(4):
        for height, width in ((1, 1), (7, 5), (3, 40)):
            step = channels * (1 + seed % 2)
            rows = noise(seed, height, width * step) if seed else slope(height, width * step, 1)[:, :, 0]
            filters = noise(seed + 9, height) % 5
            differences = pngrows.filtered(rows, filters, step)
            assert np.array_equal(pngrows.unfiltered(differences, filters, step), rows)
            costs = pngrows.costs(rows, step)
            for number in range(5):
                made = pngrows.filtered(rows, np.full(height, number, np.uint8), step)
                assert np.array_equal(costs[number], np.abs(made.view(np.int8).astype(int)).sum(1))


@pytest.mark.parametrize(("channels", "mode"), [(1, Mode.I16), (2, Mode.LA16), (3, Mode.RGB16), (4, Mode.RGBA16)])
def test_deep_png_is_a_picture(channels: int, mode: Mode) -> None:
    """As its array is, in about as many bytes."""
    pixels = slope(20, 24, channels).astype(np.uint16) * 200 + noise(3, 20, 24, channels) % 16
    data = png_of(pixels, chunk(b"tEXt", b"Title\0deep"))
    blob, content = encode_data(data, PLAIN, FakeModels())
    assert content.header.mode is mode
    assert abs(len(blob) - len(bfncodec.compress(pixels[:, :, 0] if channels == 1 else pixels, "none", level=1))) < 40
    found = bfncodec.decompress(blob)
    assert made.png_pixels(found) == made.png_pixels(data)
    assert [c for c in made.png_chunks(found) if c[0] != b"IDAT"] == [
        c for c in made.png_chunks(data) if c[0] != b"IDAT"
    ]


def test_deep_files_of_other_writers() -> None:
    """All filters, and interlaced."""
    pixels = slope(9, 11, 3).astype(np.uint16) * 250
    rows = pixels.astype(">u2").view(np.uint8).reshape(9, -1)
    filters = (np.arange(9) % 5).astype(np.uint8)
    raw = np.concatenate([filters[:, None], pngrows.filtered(rows, filters, 6)], axis=1).tobytes()
    picture = read_file(png((11, 9), 16, 2, raw))
    assert picture is not None
    assert np.array_equal(picture.pixels, pixels)
    ppm = b"P6 11 9 65535\n" + pixels.astype(">u2").tobytes()
    picture = read_file(ppm)
    assert picture is not None
    assert np.array_equal(picture.pixels, pixels)
    assert write_file(picture) == ppm


@pytest.mark.parametrize("depth", [8, 16])
def test_interlaced_png_stays_so(depth: int) -> None:
    for height, width in ((1, 1), (3, 2), (9, 13)):
        dtype = ">u2" if depth == 16 else "u1"
        pixels = (slope(height, width).astype(np.uint16) * (200 if depth == 16 else 1)).astype(dtype)
        raw = b"".join(
            b"\0" + row.tobytes()
            for y, x, dy, dx in (
                (0, 0, 8, 8),
                (0, 4, 8, 8),
                (4, 0, 8, 4),
                (0, 2, 4, 4),
                (2, 0, 4, 2),
                (0, 1, 2, 2),
                (1, 0, 2, 1),
            )
            for row in pixels[y::dy, x::dx]
            if row.size
        )
        data = png((width, height), depth, 2, raw, interlace=1)
        picture = read_file(data)
        assert picture is not None
        assert np.array_equal(picture.pixels, pixels)
        found = write_file(picture)
        assert next(made.png_chunks(found)) == next(made.png_chunks(data))
        assert np.array_equal(read_file(found).pixels, pixels)  # type: ignore[union-attr]
        if depth == 8:
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(found))), pixels)


def split(data: bytes, *parts: bytes) -> bytes:
    """A PNG file with these IDAT chunks."""
    chunks = list(made.png_chunks(data))
    rest = [chunk(*found) for found in chunks if found[0] != b"IDAT"]
    return data[:8] + rest[0] + b"".join(chunk(b"IDAT", part) for part in parts) + b"".join(rest[1:])


ROWS = b"\0abcdef\1ghijkl"
STREAM = zlib.compress(ROWS)
SMALL = png((2, 2), 8, 2, ROWS)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SMALL + b"after the end", id="after the end"),
        pytest.param(SMALL + SMALL, id="two files"),
        pytest.param(SMALL[:-1] + b"x", id="a wrong checksum"),
        pytest.param(SMALL[:-12] + chunk(b"IEND", b"hidden"), id="content at the end"),
        pytest.param(split(SMALL, STREAM + b"hidden"), id="after the stream"),
        pytest.param(split(SMALL, zlib.compress(ROWS + b"hidden")), id="after the rows"),
        pytest.param(split(SMALL, STREAM[:-1] + b"x"), id="a wrong checksum of the stream"),
        pytest.param(png((2, 2), 8, 2, ROWS, chunk(b"CgBI", b"1234")), id="an unknown critical chunk"),
        pytest.param(png((2, 2), 8, 2, ROWS, chunk(b"acTL", bytes(8))), id="animated"),
        pytest.param(png((2, 2), 8, 2, b"\5abcdef\1ghijkl"), id="an unknown filter"),
        pytest.param(png((3, 1), 1, 0, b"\0\xbf"), id="bits beyond the row"),
        pytest.param(png((3, 1), 1, 3, b"\0\xa0"), id="no palette"),
        pytest.param(png((3, 1), 2, 0, b"\0\xa0"), id="2-bit grey"),
    ],
)
def test_png_of_which_something_would_be_lost(data: bytes) -> None:
    assert read_file(data) is None
    assert again(data) == data


def test_png_in_several_parts() -> None:
    picture = read_file(split(SMALL, STREAM[:3], b"", STREAM[3:]))
    assert picture is not None
    assert made.png_pixels(write_file(picture)) == made.png_pixels(SMALL)


# ---- WebP, BMP, PPM -----------------------------------------------------------------------------


def riff(*chunks: tuple[bytes, bytes], tail: bytes = b"") -> bytes:
    body = b"WEBP" + b"".join(
        struct.pack("<4sI", name, len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body + tail


def test_webp_of_which_something_would_be_lost() -> None:
    whole = saved(Image.fromarray(slope()), "WEBP", lossless=True)
    stream = whole[20 : 20 + int.from_bytes(whole[16:20], "little")]
    assert read_file(riff((b"VP8L", stream))) is not None
    kept = riff((b"VP8L", stream), (b"hush", b"odd"))
    picture = read_file(kept)
    assert picture is not None
    assert write_file(picture).endswith(kept[-12:])
    for data in (
        riff((b"VP8L", stream + b"hidden")),
        riff((b"VP8L", stream + bytes(9))),
        riff((b"VP8L", stream), (b"VP8L", stream)),
        riff((b"VP8L", stream), tail=b"tail"),
        kept[:-1] + b"x",
    ):
        assert read_file(data) is None
        assert again(data) == data


def test_bare_samples_that_are_not_all() -> None:
    bmp = saved(Image.fromarray(slope(5, 7)), "BMP")
    for data in (
        bmp[:-1] + b"x",  # not padding but something
        b"P4 3 1\n\xbf",
        b"P6 2 1 255\nabcdefP6 2 1 255\nghijkl",
        b"P6#comment\r2 #another\n1\n65535 abcdefghijkl and more",
        b"P5 2 2 1023\n\0\1\2\3\0\1\2\3",
    ):
        assert again(data) == data
        picture = read_file(data)
        assert (picture is None) == (data[-1:] in (b"x", b"\xbf"))


def test_heads_do_not_depend_on_pillow() -> None:
    for mode in ("1", "L", "RGB"):
        for name in ("BMP", "PPM"):
            data = saved(Image.fromarray(slope()).convert(mode), name)
            picture = read_file(data)
            assert picture is not None
            assert [extra.tag for extra in picture.extras] == [0x05]
            assert write_file(picture) == data


# ---- any change ---------------------------------------------------------------------------------


def small_files() -> dict[str, bytes]:
    pixels = slope(6, 7)
    image = Image.fromarray(pixels)
    return {
        "png": saved(image, "PNG", dpi=(72, 72)),
        "palette": saved(image.quantize(9), "PNG", transparency=3),
        "deep": png_of(pixels.astype(np.uint16) * 257),
        "webp": saved(image, "WEBP", lossless=True, xmp=b"<x/>"),
        "bmp": saved(image, "BMP"),
        "ppm": b"P6\n# a comment\n7 6\n255\n" + pixels.tobytes(),
        "raw": tiff(strips_of(pixels, 4, bytes), (7, 6), {259: numbers(SHORT, 1)}),
        "lzw": tiff(strips_of(pixels, 4, lzw.encode, True), (7, 6), {259: numbers(SHORT, 5), 317: numbers(SHORT, 2)}),
        "deflate": tiff(strips_of(pixels, 4, zlib.compress), (7, 6), {34675: (7, ODD)}),
        "other deflate": tiff(tiles_of(pixels, 16, made.other_deflate), (7, 6), {34675: (7, ODD)}, tile=(16, 16)),
    }


@pytest.mark.parametrize("kind", small_files())
def test_nothing_is_lost_wherever_a_file_is_changed(kind: str) -> None:
    """A byte changed, put in, or left out anywhere: what comes back is the same, or decodes and reads the same."""
    data = small_files()[kind]
    random = np.random.default_rng(7)
    for at in range(len(data)):
        byte = bytes([data[at] ^ 1 << int(random.integers(8))])
        for changed in (data[:at] + byte + data[at + 1 :], data[:at] + byte + data[at:], data[:at] + data[at + 1 :]):
            picture = read_file(changed)
            if picture is None:
                continue
            found = write_file(picture)
            assert found == changed or beside(found) == beside(changed), at


def beside(data: bytes) -> Any:
    """Return what a file holds, by readers of our own, pixels by Pillow but for what it cannot read."""
    if data.startswith(b"\x89PNG"):
        head, rows = made.png_pixels(data)
        return head, rows, [found for found in made.png_chunks(data) if found[0] != b"IDAT"]
    if data.startswith(b"RIFF"):
        image = Image.open(io.BytesIO(data))
        return image.mode, image.tobytes(), data[data.index(b"VP8L") + 8 :][:5], sorted(image.info.items())
    assert data[:2] in (b"II", b"MM")
    values, coded = made.tiff_values(data)
    return values, [zlib.decompress(strip) for strip in coded]
