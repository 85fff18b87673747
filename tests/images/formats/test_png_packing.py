"""PNG files come back byte for byte where zlib made their pixels, whatever its parameters."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bfncodec
from bfncodec.cli.main import cli
from bfncodec.content.folder import folder_of
from bfncodec.errors import DamagedError
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.format.container import unpack
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Origin
from bfncodec.images.files import read_file, same_file, write_file
from bfncodec.images.formats.table import FORMATS
from bfncodec.images.picture import Picture
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.policy import DEFAULT_POLICY
from support.doubles import FakeModels, noise
from support.picturefiles import chunk, flushed_deflate, png_chunks, slope

PLAIN = Options("none", level=1)
COLOURS = {1: (0, 3), 2: (3,), 4: (3,), 8: (0, 2, 3, 4, 6), 16: (0, 2, 4, 6)}
"""Colour types by the bits of a sample."""
PILLOW_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def coded(raw: bytes, level: int, strategy: int = 0, memory: int = 8, window: int = 15) -> bytes:
    coder = zlib.compressobj(level, zlib.DEFLATED, window, memory, strategy)
    return coder.compress(raw) + coder.flush()


def png_in(streams: Sequence[bytes], size: tuple[int, int], depth: int = 8, colour: int = 2, adam7: int = 0) -> bytes:
    """A PNG file with these IDAT chunks."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, adam7))
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 and depth == 8 else b""
    if colour == 3 and depth < 8:
        palette = chunk(b"PLTE", bytes(range(3 << depth)))
    idat = b"".join(chunk(b"IDAT", stream) for stream in streams)
    return b"\x89PNG\r\n\x1a\n" + head + palette + idat + chunk(b"IEND", b"")


def raw_rows(rng: np.random.Generator, size: tuple[int, int], bits: int, adam7: bool) -> bytes:
    """Rows with any filters, of few values, so that Deflate has something to find; bits beyond a row are zeros."""
    out = b""
    for y, x, dy, dx in ADAM7 if adam7 else ((0, 0, 1, 1),):
        height, width = len(range(y, size[1], dy)), len(range(x, size[0], dx))
        if not height or not width:
            continue
        beyond = -width * bits % 8
        filters = rng.integers(0, 5, height) if bits >= 8 else [0] * height
        for number in filters:
            row = bytearray(rng.integers(0, 4, (width * bits + 7) // 8, dtype=np.uint8).tobytes())
            row[-1] &= 0xFF << beyond & 0xFF
            out += bytes([number]) + bytes(row)
    return out


def cut(rng: np.random.Generator, stream: bytes) -> list[bytes]:
    """Return a stream in a few parts of any size."""
    places = sorted({0, len(stream), *rng.integers(1, len(stream), rng.integers(0, 5)).tolist()})
    return [stream[start:stop] for start, stop in pairwise(places)]


def small_files() -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield files of every level, strategy and memory, of any window and kind of picture."""
    rng = np.random.default_rng(1)
    for number, (level, strategy) in enumerate((level, strategy) for level in range(1, 10) for strategy in range(5)):
        for memory in (1 + number % 9, 8, 9):
            window, depth = int(rng.integers(9, 16)), int(rng.choice(list(COLOURS)))
            colour, adam7 = int(rng.choice(COLOURS[depth])), bool(rng.integers(0, 2))
            size = int(rng.integers(1, 30)), int(rng.integers(1, 20))
            raw = raw_rows(rng, size, depth * CHANNELS[colour], adam7)
            streams = cut(rng, coded(raw, level, strategy, memory, window))
            yield (level, strategy, memory, window, depth, colour), png_in(streams, size, depth, colour, adam7)


CASES = [pytest.param(data, id="-".join(map(str, what))) for what, data in small_files()]


@pytest.mark.parametrize("data", CASES)
def test_whatever_zlib_made_comes_back(data: bytes) -> None:
    picture = restored(data, exact=True)
    assert picture.header.extra(Tag.SOURCE) == zlib.crc32(data).to_bytes(4, "little")
    assert write_file(picture) == data


@pytest.mark.parametrize("adam7", [False, True])
def test_the_file_of_known_packing_is_known_without_writing_it(adam7: bool) -> None:
    """Also of more rows than are filtered at once, of which some have another filter than the rule says."""
    size = (400, 260)
    rows = raw_rows(np.random.default_rng(5), size, 24, adam7)
    data = png_in([coded(rows, 6)], size, adam7=int(adam7))
    found = FORMATS[Origin.PNG].restored(FORMATS[Origin.PNG].parse(data))
    assert found.made == write_file(found.picture) == data


def restored(data: bytes, exact: bool = False) -> Picture:
    picture = read_file(data, exact)
    assert picture is not None
    return picture


@pytest.mark.slow
@pytest.mark.parametrize("level", [1, 4, 6, 7, 9])
@pytest.mark.parametrize("memory", [8, 9])
@pytest.mark.parametrize("strategy", [0, 1])
def test_streams_of_several_blocks_come_back(level: int, memory: int, strategy: int) -> None:
    rows = noise(3, 170, 511, 1)[:, :, 0] % 23  # no filter: smooth are neither the rows nor their differences
    rows[:, 0] = 0
    stream = coded(rows.tobytes(), level, strategy, memory)
    data = png_in([stream[at : at + 8192] for at in range(0, len(stream), 8192)], (170, 170))
    assert len(value_of(data)) == 4
    blob, content = encode_data(data, PLAIN, FakeModels())
    assert isinstance(content, Picture)
    assert bfncodec.describe(blob).identical
    assert bfncodec.decompress(blob) == data


def of_pillow(**options: Any) -> bytes:
    return saved(Image.fromarray(slope(60, 70) % 251), **options)


def saved(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def value_of(data: bytes) -> bytes:
    picture = restored(data)
    assert picture.header.is_identical
    return picture.header.extra(Tag.DEFLATED) or b""


def test_the_common_case_takes_four_bytes() -> None:
    rows = noise(1, 300, 301, 1)[:, :, 0] % 50
    rows[:, 0] = 0
    assert value_of(png_in([coded(rows.tobytes(), 9)], (100, 300))).hex() == "09781f00"
    assert value_of(png_in([coded(rows.tobytes(), 6, 1, 9)], (100, 300))).hex() == "16791700"
    stream = coded(rows.tobytes(), 6)
    for size, form in ((8192, "0d"), (32768, "0f"), (1000, "01e807")):
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert value_of(png_in(parts, (100, 300))).hex() == "067817" + form


PICTURES: dict[str, Image.Image] = {mode: Image.fromarray(slope(60, 70)).convert(mode) for mode in PILLOW_MODES}
PICTURES |= {
    "I;16": Image.fromarray(slope(60, 70, 1)[:, :, 0].astype(np.uint16) * 201),
    "four bits": Image.fromarray(slope(60, 70)).quantize(9),
    "noise": Image.fromarray(noise(1, 60, 70, 3)),
    "several chunks": Image.fromarray(noise(1, 170, 200, 3)),
    "wide": Image.fromarray(noise(1, 2, 20_000, 3)),
    "bits of noise": Image.fromarray(noise(1, 60, 70)).convert("1"),
    "ties": Image.fromarray(noise(1, 200, 5) % 8),
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_pillow_saves_takes_nothing(name: str) -> None:
    data = saved(PICTURES[name])
    assert value_of(data) == b""
    assert write_file(restored(data)) == data


@pytest.mark.parametrize("mode", [*PILLOW_MODES, "I;16"])
def test_what_optimize_packs_takes_not_a_byte(mode: str) -> None:
    """But of 16-bit samples. A field says it, which stands for a tag that is in the list of a folder."""
    image = Image.fromarray(slope(40, 31)).convert("L" if mode == "I;16" else mode)
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 77) if mode == "I;16" else image
    plain, tight = io.BytesIO(), io.BytesIO()
    image.save(plain, "PNG")
    image.save(tight, "PNG", optimize=True)
    blobs = [encode_data(file.getvalue(), PLAIN, FakeModels())[0] for file in (plain, tight)]
    assert len(blobs[1]) - len(blobs[0]) <= (4 if mode == "I;16" else 0)
    assert bfncodec.decompress(blobs[1]) == tight.getvalue()
    found = unpack(blobs[1]).header
    assert (found.origin, found.mode.pil, found.extra(Tag.DEFLATED)) == (Origin.PNG, mode, b"\x99")
    assert found.is_optimized is (mode != "I;16")


def test_of_the_list_of_a_folder_the_tag_remains() -> None:
    out = io.BytesIO()
    Image.fromarray(slope(40, 31)).save(out, "PNG", optimize=True)
    files = {"a.png": out.getvalue()}
    found = bfncodec.decompress(encode_frame(folder_of(files, (40, 31, 3)), "none", FakeModels()))
    assert found == files


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("options", [{"optimize": True}, {"compress_level": 1}, {"compress_level": 9}])
def test_what_pillow_saves_at_other_levels_takes_a_byte(name: str, options: dict[str, Any]) -> None:
    data = saved(PICTURES[name], **options)
    value = value_of(data)
    assert len(value) <= 1
    assert write_file(restored(data)) == data
    level = options.get("compress_level", 9)
    assert name not in ("RGB", "ties") or value[0] & 15 == level


@pytest.mark.slow
def test_rows_without_a_filter_and_all_the_memory_of_zlib_take_a_byte() -> None:
    """As versions of Pillow before 12 pack palettes of up to 16 colours."""
    rows = noise(1, 300, 151, 1)[:, :, 0] % 50
    rows[:, 0] = 0
    for level in range(1, 10):
        data = png_in([coded(rows.tobytes(), level, 0, 9)], (300, 300), 4, 3)
        value = value_of(data)
        assert (len(value), value[0] >> 4) == (1, 0xA)  # another level may make the same
        assert write_file(restored(data)) == data


@pytest.mark.parametrize(("rule", "order"), [(5, (0, 1, 2, 3, 4)), (6, (0, 2, 1, 4)), (7, (0, 2, 1, 3, 4))])
def test_rules_take_the_first_of_equal_sums(rule: int, order: tuple[int, ...]) -> None:
    pixels, above, raw = noise(1, 200, 5) % 8, [0] * 5, b""
    for row in pixels.tolist():
        around = list(zip([0, *row], above, [0, *above], strict=False))
        guesses = [[guess(number, *near) for near in around] for number in range(5)]
        lines = {number: bytes(v - g & 255 for v, g in zip(row, guesses[number], strict=True)) for number in order}
        best = min(order, key=lambda number: sum(min(v, 256 - v) for v in lines[number]))
        raw, above = raw + bytes([best]) + lines[best], row
    data = png_in([coded(raw, 6, 2, 3)], (5, 200), 8, 0)
    assert value_of(data).hex() == f"2173{rule << 5 | 7:02x}00"  # at any level: Huffman codes alone
    assert write_file(restored(data)) == data


def guess(number: int, left: int, above: int, corner: int) -> int:
    p = left + above - corner
    paeth = min((left, above, corner), key=lambda v: abs(p - v))
    return (0, left, above, (left + above) // 2, paeth)[number]


def test_stored_blocks_come_back() -> None:
    raw = b"".join(b"\0" + row.tobytes() for row in slope(60, 70))
    for size in (1 << 16, 4096, 257):
        blocks = [raw[at : at + size] for at in range(0, len(raw), size)]
        body = b"".join(
            bytes([block is blocks[-1]]) + struct.pack("<HH", len(block), len(block) ^ 0xFFFF) + block
            for block in blocks
        )
        data = png_in([b"\x78\x01" + body + zlib.adler32(raw).to_bytes(4, "big")], (70, 60))
        assert 5 <= len(value_of(data)) <= 7
        assert write_file(restored(data)) == data


def test_a_head_that_tells_of_a_smaller_window_comes_back() -> None:
    """libpng tells of the least window for a small picture, and may have had another."""
    raw = b"".join(b"\0" + row.tobytes() for row in noise(1, 20, 20, 3) % 5)
    stream = bytearray(coded(raw, 9, 0, 8, 11))
    stream[:2] = b"\x28" + bytes([0xC0 + -(0x28 << 8 | 0xC0) % 31])
    assert zlib.decompressobj().decompress(bytes(stream)) == raw
    data = png_in([bytes(stream)], (20, 20))
    assert write_file(restored(data)) == data


def test_what_another_encoder_made_is_the_same_picture() -> None:
    raw = b"".join(b"\0" + row.tobytes() for row in slope(60, 70))
    data = png_in([flushed_deflate(raw)], (70, 60))
    picture = restored(data)
    assert [extra.tag for extra in picture.extras] == [Tag.SOURCE]
    assert not picture.header.is_identical
    assert same_file(data, write_file(picture))
    assert read_file(data, exact=True) is None


def test_what_would_cost_much_is_taken_only_where_it_is_asked_for() -> None:
    rng = np.random.default_rng(5)
    raw = b"".join(bytes([number]) + bytes([row % 251]) * 6 for row, number in enumerate(rng.integers(0, 5, 3000)))
    data = png_in([coded(raw, 9)], (2, 3000))
    picture, exact = read_file(data), read_file(data, exact=True)
    assert picture is not None
    assert exact is not None
    assert not picture.header.is_identical
    assert picture.header.extra(Tag.DEFLATED) is None
    assert write_file(exact) == data
    assert len(exact.header.extra(Tag.DEFLATED) or b"") > len(data) // 50


# ---- promises and forgeries ---------------------------------------------------------------------


def otherwise(data: bytes) -> tuple[Picture, bytes]:
    """A picture, and its compressed file with a promise that only another zlib keeps: other parameters stand for it."""
    picture = restored(data)
    extras = tuple(Extra(e.tag, b"\x81") if e.tag == Tag.DEFLATED else e for e in picture.extras)
    forged = replace(picture, extras=extras)
    return forged, encode_frame(forged, "none", FakeModels(), level=1, policy=DEFAULT_POLICY)


def test_another_zlib_does_not_pretend(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = of_pillow(compress_level=9)
    _, blob = otherwise(data)
    with caplog.at_level(logging.WARNING, "bfncodec"):
        found = bfncodec.decompress(blob)
    assert found != data
    assert same_file(data, found)
    assert "not byte for byte" in caplog.text
    path = tmp_path / "a.png.bfn"
    path.write_bytes(blob)
    for args in (["decompress", str(path)], ["decompress", "-c", str(path)], ["decompress", "-f", "-q", str(path)]):
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == 1
        assert "not byte for byte" in result.stderr
    assert same_file(data, (tmp_path / "a.png").read_bytes())
    assert "it is kept" in CliRunner().invoke(cli, ["decompress", "-f", "--rm", str(path)]).stderr
    assert path.exists()


def test_regions_are_packed_anew() -> None:
    data = of_pillow(compress_level=9)
    found = bfncodec.decompress(encode_data(data, PLAIN, FakeModels())[0], crop=(3, 4, 20, 10))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(found))), slope(60, 70)[4:14, 3:23] % 251)


@pytest.mark.parametrize(
    "value",
    [
        *("", "09", "0978", "09781f"),  # cut off
        *("0a781f00", "59781f00", "f9781f00"),  # level, strategy
        *("09701f00", "097a1f00", "09081f00", "09f81f00"),  # memory, window
        *("80", "8a", "8f", "b9", "f9", "8900", "99781f00"),  # the short form: level, kind, something behind
        *("09781f03", "09781f07", "09781f1f", "09781fff"),  # chunks
        *("09781f01", "09781f0101", "09781f01ff01", "09781f02", "09781f020200", "09781f02010080"),
        "09781f02ffffffff7f",  # more chunks than there can be
        *("00781f0000", "00781f80808000", "00781fff0100"),  # stored blocks
        *("09781f0080", "09781f00ac02", "09781f0005ff02"),  # filters of rows that are not there
    ],
)
def test_forged_packing_is_damage(value: str) -> None:
    picture = restored(of_pillow(compress_level=9))
    extras = tuple(Extra(e.tag, bytes.fromhex(value)) if e.tag == Tag.DEFLATED else e for e in picture.extras)
    with pytest.raises(DamagedError):
        write_file(replace(picture, extras=extras))


def test_any_bytes_make_a_file_or_are_damage() -> None:
    picture = restored(of_pillow(compress_level=9))
    rng, made = np.random.default_rng(7), 0
    for number in range(400):
        value = bytearray.fromhex("09781f00")
        value += rng.integers(0, 200, number % 5, dtype=np.uint8).tobytes()
        value[rng.integers(0, len(value))] = rng.integers(0, 256)
        try:
            data = write_file(replace(picture, extras=(Extra(Tag.DEFLATED, bytes(value)),)))
        except DamagedError:
            continue
        made += 1
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), slope(60, 70) % 251)
        assert len(data) < 5 * slope(60, 70).size
        assert all(body for name, body in png_chunks(data) if name == b"IDAT")
    assert made > 50
