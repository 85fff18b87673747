"""Palettes: every kind comes back, in its order, in few bytes; what is damaged is an error of ours."""

from __future__ import annotations

import contextlib
import io
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.api import Models
from bfncodec.errors import BfncodecError, DamagedError, FormatError, NewerVersionError
from bfncodec.format.extras import Tag
from bfncodec.images.files import read_file, write_file
from bfncodec.images.palette import Palette
from bfncodec.images.picture import Picture, image_of_picture, picture_of_image
from bfncodec.segments.encode import encode_frame
from support.doubles import noise


def as_rising(numbers: bytes, size: int) -> bytes:
    return b"".join(sorted(numbers[k : k + size] for k in range(0, len(numbers), size)))


@st.composite
def colours(draw: st.DrawFn, most: int = 256) -> bytes:
    """Of 1 to 256 entries: noise, few values and so duplicates, slopes, one colour; in any order, rising or falling."""
    count = draw(st.integers(1, most))
    kind = draw(st.sampled_from(["noise", "few", "slope", "one"]))
    numbers = {
        "noise": noise(draw(st.integers(0, 99)), count, 3),
        "few": noise(draw(st.integers(0, 99)), count, 3) % 3 * 100,
        "slope": np.add.outer(np.arange(count) * draw(st.integers(1, 9)), [0, 40, 90]) % 256,
        "one": np.full((count, 3), draw(st.integers(0, 255))),
    }[kind]
    found = numbers.astype(np.uint8).tobytes()
    order = draw(st.sampled_from(["own", "rising", "falling"]))
    rising = as_rising(found, 3)
    return {"own": found, "rising": rising, "falling": rising[::-1]}[order]


@st.composite
def palettes(draw: st.DrawFn) -> Palette:
    found = draw(colours())
    opacity = draw(st.binary(max_size=len(found) // 3) | st.sampled_from([b"\0", b"\xff" * (len(found) // 3)]))
    return Palette(found, opacity[: len(found) // 3], draw(st.integers(0, 7)), draw(st.booleans()))


@pytest.mark.slow
@given(palettes())
@example(Palette(bytes(3)))
@example(Palette(bytes(768), bytes(256)))
@example(Palette(bytes([255]) * 768, bytes([255]) * 256, 7, chained=True))
@example(Palette(bytes(range(256)) * 3))
def test_palettes_come_back(palette: Palette) -> None:
    assert palette.can_be_coded
    value = palette.write()
    assert Palette.read(value) == palette
    assert len(value) <= 1.1 * (len(palette.colours) + len(palette.opacity)) + 8


@pytest.mark.slow
@given(palettes(), st.integers(0, 99))
def test_numbers_along_the_chain_are_taken_back(palette: Palette, seed: int) -> None:
    pixels = noise(seed, 16, 16, 1)
    chained, numbers = palette.along_chain(pixels)
    assert np.array_equal(chained.own_numbers(numbers), pixels)
    assert sorted(chained.own_numbers(np.arange(256))) == list(range(256))


@pytest.mark.parametrize("found", [b"", b"12", b"1234", bytes(257 * 3)])
def test_what_is_no_palette_is_not_coded(found: bytes) -> None:
    assert not Palette(found).can_be_coded
    assert not Palette(bytes(3), b"12").can_be_coded


def test_palettes_in_order_take_few_bytes() -> None:
    slope = np.add.outer(np.arange(128) * 2, [0, 0, 0]).astype(np.uint8).tobytes()
    assert len(Palette(slope).write()) < 60
    numbers = noise(1, 256, 3).tobytes()
    assert len(Palette(as_rising(numbers, 3)).write()) < len(Palette(numbers).write()) - 150


def test_large_palettes_are_fast() -> None:
    palette = Palette(noise(1, 256, 3).tobytes(), noise(2, 256).tobytes())
    value = palette.write()
    start = time.process_time()
    assert Palette.read(value) == palette
    assert time.process_time() - start < 1  # a twentieth of that where nothing else runs


# ---- damage -----------------------------------------------------------------------------------


def test_palettes_of_the_future_are_refused() -> None:
    value = Palette(bytes(range(30))).write()
    for bit in (0x20, 0x40, 0x80):
        with pytest.raises(NewerVersionError, match="update"):
            Palette.read(bytes([value[0] | bit]) + value[1:])


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0", b"\0\0\x80", b"\0\0\x02", b"\0\x04\x07abc"])
def test_heads_that_cannot_be_are_damage(value: bytes) -> None:
    with pytest.raises(DamagedError):
        Palette.read(value)


@pytest.mark.slow
@given(palettes(), st.data())
def test_damaged_palettes_are_palettes_or_errors_of_ours(palette: Palette, data: st.DataObject) -> None:
    value = bytearray(palette.write())
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(value)))
    for damaged in (bytes(value), bytes(value[:cut])):
        with contextlib.suppress(FormatError):
            assert Palette.read(damaged).can_be_coded


@given(st.data())
def test_damaged_files_are_errors_of_ours(data: st.DataObject) -> None:
    blob = data.draw(st.sampled_from(BLOBS))
    changed = bytearray(blob)
    changed[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(changed), blob[: data.draw(st.integers(0, len(blob) - 1))]):
        with pytest.raises(BfncodecError):
            bfncodec.decompress(damaged)


# ---- Pillow images ----------------------------------------------------------------------------


@st.composite
def images(draw: st.DrawFn) -> Image.Image:
    """Of mode P: entries of three or four channels, some of them unused; transparency of every kind, or none."""
    found = draw(colours())
    count = len(found) // 3
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    used = draw(st.integers(1, count))
    image = Image.frombytes(
        "P", (width, height), (noise(3, height, width).astype(int) % used).astype(np.uint8).tobytes()
    )
    opacity = draw(st.binary(max_size=count))[:count]
    one = draw(st.integers(0, count - 1))
    told = draw(st.sampled_from([None, b"", opacity, one, 300, True, "text"]))
    if draw(st.booleans()):
        image.putpalette(found, "RGB")
    else:
        held = draw(st.sampled_from([opacity, b"\xff" * one + b"\0"])).ljust(count, b"\xff")
        entries = [bytes([*found[3 * k : 3 * k + 3], held[k]]) for k in range(count)]
        image.putpalette(b"".join(entries), "RGBA")
    if told is not None:
        image.info["transparency"] = told
    if draw(st.booleans()):
        image.info |= {"dpi": (72.0, 71.5), "gamma": 0.45, "icc_profile": b"123"}
    return image


def state(image: Image.Image) -> tuple[Any, ...]:
    kinds = {name: (type(value), value) for name, value in image.info.items()}
    return image.mode, image.size, image.tobytes(), image.im.getpalettemode(), image.getpalette(rawmode=None), kinds


@pytest.mark.slow
@given(images())
def test_images_come_back_with_their_palettes(image: Image.Image) -> None:
    picture = picture_of_image(image)
    assert state(image_of_picture(picture)) == state(image)
    assert picture.palette is None or picture.header.extra(Tag.PALETTE) is None


@pytest.mark.slow
@given(images())
def test_images_come_back_out_of_files(image: Image.Image) -> None:
    back = bfncodec.decompress(bfncodec.compress(image, "none", level=1))
    assert isinstance(back, Image.Image)
    assert state(back) == state(image)


def of_a_png(told: int | bytes | None) -> Image.Image:
    """An image as Pillow opens it, with the opacity in its info."""
    image = Image.frombytes("P", (16, 16), bytes(range(32)) * 8)
    image.putpalette(bytes(range(100, 196)))
    out = io.BytesIO()
    image.save(out, "PNG", **({} if told is None else {"transparency": told}))
    return Image.open(io.BytesIO(out.getvalue()))


@pytest.mark.parametrize("told", [None, 7, bytes([3, 9]), bytes(range(100, 132))])
@pytest.mark.parametrize("converted", [False, True])
def test_opacity_is_said_once(told: int | bytes | None, converted: bool) -> None:
    image = of_a_png(told)
    if converted:
        image.convert("RGBA")  # after which the palette has it, too
    picture = picture_of_image(image)
    assert state(image_of_picture(picture)) == state(image)
    assert [extra.tag for extra in picture.extras] == [Tag.COLOURS]


def test_regions_have_the_palette_too() -> None:
    image = Image.frombytes("P", (64, 64), (np.add.outer(np.arange(64), np.arange(64)) * 7 % 64).astype(np.uint8))
    image.putpalette(bytes(range(192))[::-1])
    image.info["transparency"] = 5
    back = bfncodec.decompress(bfncodec.compress(image, "none"), crop=(10, 20, 30, 25))
    assert isinstance(back, Image.Image)
    assert state(back) == state(image.crop((10, 20, 40, 45)))


# ---- PNG files --------------------------------------------------------------------------------


def png_file(bits: int, found: bytes, opacity: bytes, used: int) -> bytes:
    image = Image.frombytes("P", (24, 24), (noise(6, 24, 24).astype(int) % used).astype(np.uint8).tobytes())
    image.putpalette(found)
    out = io.BytesIO()
    image.save(out, "PNG", bits=bits, dpi=(72, 72), **({"transparency": opacity} if opacity else {}))
    return out.getvalue()


@st.composite
def png_files(draw: st.DrawFn) -> bytes:
    bits = draw(st.sampled_from([1, 2, 4, 8]))
    found = draw(colours(1 << bits))
    count = len(found) // 3
    return png_file(bits, found, draw(st.binary(max_size=count))[:count], draw(st.integers(1, count)))


def chunks(data: bytes) -> list[bytes]:
    """Return what is between the chunks' sizes, but for the pixels, which may be packed otherwise."""
    found, place = [], 8
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        found.append(data[place + 4 : place + 8 + size])
        place += 12 + size
    return [chunk[:4] if chunk.startswith(b"IDAT") else chunk for chunk in found]


@pytest.mark.slow
@given(png_files())
@example(png_file(8, noise(7, 256, 3).tobytes(), noise(8, 256).tobytes(), 256))
@example(png_file(1, bytes(3), b"", 1))
def test_png_files_come_back_with_their_palettes(data: bytes) -> None:
    picture = read_file(data)
    assert picture is not None
    back = write_file(picture)
    assert chunks(back) == chunks(data)
    assert Image.open(io.BytesIO(back)) == Image.open(io.BytesIO(data))


def moved(data: bytes, name: bytes, before: bytes) -> bytes:
    """The file with a chunk somewhere else."""
    start = data.index(name) - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    rest = data.replace(chunk, b"")
    place = rest.index(before) - 4
    return rest[:place] + chunk + rest[place:]


def test_palettes_in_other_places_stay_there() -> None:
    data = moved(png_file(8, bytes(range(200, 50, -1)), b"\0", 50), b"PLTE", b"pHYs")
    picture = read_file(data)
    assert picture is not None
    assert picture.palette is not None
    assert chunks(write_file(picture)) == chunks(data)


def blobs() -> list[bytes]:
    """Files with a coded palette: of an image, and of a PNG file."""
    image = of_a_png(bytes([3, 9]))
    picture = read_file(png_file(4, bytes(range(5, 245, 5)), b"\0", 16))
    assert isinstance(picture, Picture)
    assert picture.palette is not None
    return [bfncodec.compress(image, "none"), encode_frame(picture, "none", Models())]


BLOBS = blobs()


@pytest.mark.parametrize("told", [-1, 0, 3, 15, 16, 255, 256, True, 2.5, b"", b"\x07", "no"])
def test_any_transparency_in_the_info_comes_back(told: object) -> None:
    image = Image.frombytes("P", (8, 2), bytes(range(16)))
    image.putpalette(bytes(range(48)))
    image.info["transparency"] = told
    back = bfncodec.decompress(bfncodec.compress(image, "none"))
    assert back.info == image.info
    assert type(back.info["transparency"]) is type(told)
    assert (back.tobytes(), back.getpalette()) == (image.tobytes(), image.getpalette())
