"""Stripped pictures show what they showed, and hold nothing else."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

import bfncodec
from bfncodec.api import Models
from bfncodec.cli.main import cli
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.format.kinds import Kind
from bfncodec.images.files import read_file
from bfncodec.images.strip import stripped, stripped_file
from support.doubles import noise


def shown(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGBA"))


def indexed(numbers: list[int], colours: bytes, opacity: bytes | int | None) -> Image.Image:
    image = Image.fromarray(np.array([numbers], np.uint8))
    image.putpalette(colours)
    image.info["comment"] = "not seen"
    if opacity is not None:
        image.info["transparency"] = opacity
    return image


@pytest.mark.slow
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=30),
    st.binary(min_size=24, max_size=24),
    st.none() | st.integers(0, 7) | st.binary(max_size=8),
)
@example([3, 3, 1], bytes(24), b"\0\xff\0")  # one colour, twice
@example([0], bytes(range(24)), None)
def test_the_least_palette_shows_the_same(numbers: list[int], colours: bytes, opacity: bytes | int | None) -> None:
    image = indexed(numbers, colours, opacity)
    bare = stripped(image)
    assert bare.mode == "P"
    assert np.array_equal(shown(bare), shown(image))
    assert set(bare.info) <= {"transparency"}
    entries = len(bare.getpalette() or []) // 3
    assert entries == len({tuple(pixel) for pixel in shown(image).reshape(-1, 4).tolist()})
    assert stripped(bare) == bare
    again = bfncodec.decompress(bfncodec.compress(image, strip=True, model="none"))
    assert again == bare


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "I;16"])
def test_other_modes_lose_their_info_alone(mode: str) -> None:
    pixels = noise(1, 6, 5, 4)
    image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200) if mode == "I;16" else None
    image = image or Image.fromarray(pixels, "RGBA").convert(mode)
    image.info = {"icc_profile": b"not seen", "dpi": (72, 72)}
    bare = stripped(image)
    assert bare.tobytes() == image.tobytes()
    assert (bare.mode, bare.info) == (image.mode, {})
    assert image.info["dpi"] == (72, 72)


def test_a_colour_that_is_not_seen_stays_unseen() -> None:
    image = Image.fromarray(noise(1, 6, 5, 3))
    image.info = {"transparency": tuple(noise(1, 6, 5, 3)[0, 0].tolist()), "gamma": 0.45}
    assert stripped(image).info == {"transparency": image.info["transparency"]}
    assert np.array_equal(shown(stripped(image)), shown(image))


def png(image: Image.Image) -> bytes:
    out, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Comment", "a secret")
    image.save(out, "PNG", pnginfo=text)
    return out.getvalue()


def test_files_are_stripped_from_the_command_line(tmp_path: Path) -> None:
    image = indexed([1, 2, 1, 5], noise(0, 60).tobytes(), b"\x80\xff\x40")
    source, packed, back = (tmp_path / name for name in ("a.png", "a.png.bfn", "back.png"))
    source.write_bytes(png(image))
    run = CliRunner()
    assert run.invoke(cli, ["compress", "--strip", "-m", "none", str(source)]).exit_code == 0
    assert run.invoke(cli, ["decompress", "-o", str(back), str(packed)]).exit_code == 0
    found = Image.open(back)
    assert np.array_equal(shown(found), shown(image))
    assert "Comment" not in found.info
    assert b"secret" in source.read_bytes()
    assert b"secret" not in back.read_bytes()
    assert run.invoke(cli, ["compress", "--strip", "--bytes", str(source)]).exit_code == 2


def test_webp_files_keep_the_colours_of_what_is_transparent() -> None:
    image, out = Image.fromarray(noise(2, 9, 8, 4)), io.BytesIO()
    image.save(out, "WEBP", lossless=True, exact=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    found = Image.open(io.BytesIO(stripped_file(out.getvalue())))
    assert found.tobytes() == image.tobytes()
    assert "exif" not in found.info


def chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_16_bits_stay_16_bits(colour: int, tmp_path: Path) -> None:
    """Pillow reads 16-bit colour as 8 bits, so files are not to go through it."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    rows = b"".join(b"\0" + noise(row, 1, 7, 2 * channels).tobytes() for row in range(5))
    head = (7).to_bytes(4, "big") + (5).to_bytes(4, "big") + bytes([16, colour, 0, 0, 0])
    parts = [(b"IHDR", head), (b"tEXt", b"Comment\0secret"), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    source, packed, back = (tmp_path / name for name in ("a.png", "a.bfn", "back.png"))
    source.write_bytes(data)
    compress_file(source, packed, Options("none", strip=True))
    decompress_file(packed, back)
    wanted, found = read_file(data), read_file(back.read_bytes())
    assert wanted is not None
    assert found is not None
    assert found.mode is wanted.mode
    assert np.array_equal(found.pixels, wanted.pixels)
    assert b"secret" not in back.read_bytes()


def test_a_picture_that_is_kept_as_bytes_is_stripped_too() -> None:
    data = png(Image.new("L", (64, 64), 7))
    blob, content = encode_data(data, Options("none", strip=True, exact=True, block=50), Models())
    assert content.header.kind is Kind.BYTES
    assert bfncodec.decompress(blob) == stripped_file(data)
    assert b"secret" not in bfncodec.decompress(blob)


@pytest.mark.parametrize("data", [b"", b"text", png(Image.new("L", (3, 3)))[:-20]])
def test_what_is_no_picture_stays_as_it_is(data: bytes) -> None:
    assert stripped_file(data) == data
