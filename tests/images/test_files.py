"""What comes back of a picture file, the same bytes or the same picture, is said, and is true."""

from __future__ import annotations

import io
import json
import logging
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bfncodec
from bfncodec.cli.main import cli
from bfncodec.content import objects
from bfncodec.errors import OutputError
from bfncodec.files import data as files_data
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.files.verify import verify
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Kind
from bfncodec.images.files import read_file, same_file, write_file
from bfncodec.images.formats.tiff import strips
from bfncodec.images.picture import Picture
from bfncodec.segments.policy import Policy
from support import picturefiles as made
from support.doubles import FakeModels, noise
from support.frames import segments_of
from support.picturefiles import png, slope, strips_of, tiff

PLAIN = Options("none", level=1)
IDENTICAL, SAME = "identical file", "same picture, file bytes differ"


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


PICTURE = Image.fromarray(slope(60, 70))
OTHER_ROWS = b"".join(b"\0" + row.tobytes() for row in slope(60, 70))
ROUGH = Image.fromarray((slope(120, 130) // 2 + noise(1, 120, 130, 3) % 9).astype(np.uint8))
FILES = {
    "text.txt": (b"to be or not to be", IDENTICAL),
    "a.bmp": (saved(PICTURE, "BMP"), IDENTICAL),
    "a.ppm": (saved(PICTURE, "PPM"), IDENTICAL),
    "raw.tif": (saved(PICTURE, "TIFF"), IDENTICAL),
    "lzw.tif": (saved(PICTURE, "TIFF", compression="tiff_lzw"), IDENTICAL),
    "deflate.tif": (tiff(strips_of(slope(60, 70), 9, zlib.compress), (70, 60), {278: (3, b"\x09\0")}), IDENTICAL),
    "other.tif": (tiff(strips_of(slope(60, 70), 60, made.other_deflate), (70, 60), {}), SAME),
    "a.png": (saved(PICTURE, "PNG", compress_level=1), IDENTICAL),
    "other.png": (png((70, 60), 8, 2, OTHER_ROWS, deflate=made.flushed_deflate), SAME),
    "a.webp": (saved(ROUGH, "WEBP", lossless=True, method=0, quality=0), SAME),
    "jpeg.jpg": (saved(PICTURE, "JPEG"), IDENTICAL),
}


def run(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_it_is_said_and_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, what = FILES[name]
    Path(name).write_bytes(data)
    assert run("compress", "-1", "-m", "none", "--rm", name).stderr.endswith(f", {what}\n")
    described = json.loads(run("list", "--json", f"{name}.bfn").stdout)[0]
    assert described["identical"] == (what == IDENTICAL)
    assert bfncodec.describe(Path(f"{name}.bfn").read_bytes()).comes_back == what
    assert run("decompress", f"{name}.bfn").stderr.endswith(f", {what}\n")
    assert (Path(name).read_bytes() == data) == (what == IDENTICAL)
    assert same_file(data, Path(name).read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_exact_is_exact(name: str, tmp_path: Path) -> None:
    data, what = FILES[name]
    source = tmp_path / name
    source.write_bytes(data)
    result = compress_file(source, options=replace(PLAIN, exact=True, remove=True))
    assert result.identical
    assert result.comes_back == IDENTICAL
    assert (result.coding.content == "bytes") == (what == SAME or name in ("text.txt", "jpeg.jpg"))
    assert decompress_file(tmp_path / f"{name}.bfn").comes_back == IDENTICAL
    assert source.read_bytes() == data


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    source = tmp_path / "a.bmp"
    source.write_bytes(FILES["a.bmp"][0])
    assert run("compress", "--exact", "--strip", str(source), code=2)
    run("compress", "--exact", "--lines", "-m", "none", str(source))
    assert bfncodec.describe((tmp_path / "a.bmp.bfn").read_bytes()).content == "bytes"
    run("compress", "-f", "--bytes", "-m", "none", str(source))
    assert bfncodec.describe((tmp_path / "a.bmp.bfn").read_bytes()).content == "BMP"


def test_objects_are_no_files(tmp_path: Path) -> None:
    for value in ("text", np.zeros((3, 3), np.uint8), np.zeros(3, np.int64), PICTURE):
        found = bfncodec.describe(bfncodec.compress(value, "none", level=1))
        assert (found.comes_back, found.identical) == ("", True)


# ---- promises -----------------------------------------------------------------------------------


def deflated() -> tuple[bytes, bytes]:
    data = FILES["deflate.tif"][0]
    return data, encode_data(data, PLAIN, FakeModels())[0]


def other_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose zlib codes otherwise."""
    monkeypatch.setattr(strips.zlib, "compress", lambda rows, level=6: made.other_deflate(rows))


def test_another_zlib_does_not_pretend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, blob = deflated()
    assert bfncodec.decompress(blob) == data
    other_zlib(monkeypatch)
    with caplog.at_level(logging.WARNING, "bfncodec"):
        found = bfncodec.decompress(blob)
    assert found != data
    assert same_file(data, found)
    assert "not byte for byte" in caplog.text
    (tmp_path / "a.tif.bfn").write_bytes(blob)
    result = run("decompress", str(tmp_path / "a.tif.bfn"), code=1)
    assert SAME in result.stderr
    assert "not byte for byte" in result.stderr
    (tmp_path / "a.tif").unlink()
    assert "it is kept" in run("decompress", "--rm", str(tmp_path / "a.tif.bfn"), code=1).stderr
    assert (tmp_path / "a.tif.bfn").exists()
    assert same_file(data, (tmp_path / "a.tif").read_bytes())


def test_a_promise_that_is_not_kept_does_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    data, content = encode_data(FILES["deflate.tif"][0], PLAIN, FakeModels())
    verify(data, content, FakeModels(), source=FILES["deflate.tif"][0])
    other_zlib(monkeypatch)
    with pytest.raises(OutputError, match="same content"):
        verify(data, content, FakeModels(), source=FILES["deflate.tif"][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["other.png", "a.png", "a.webp", "other.tif", "a.bmp"])
def test_verification_sees_what_is_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that changes a pixel, or something beside them, is found out by readers that did not write it."""
    data = FILES[name][0]
    blob, content = encode_data(data, PLAIN, FakeModels())
    assert isinstance(content, Picture)
    for change in (darker, barer):
        with monkeypatch.context() as patch:
            patch.setattr(objects, "object_of", lambda content, change=change: write_file(change(content)))
            patch.setattr(files_data, "object_of", objects.object_of)
            if write_file(change(content)) == write_file(content):
                continue
            with pytest.raises(OutputError, match="same content"):
                verify(blob, content, FakeModels(), source=data)
    verify(blob, content, FakeModels(), source=data)


def darker(picture: Picture) -> Picture:
    pixels = picture.pixels.copy()
    pixels[3, 4, 0] ^= 1
    return replace(picture, pixels=pixels)


def barer(picture: Picture) -> Picture:
    return (
        replace(picture, extras=(*picture.extras, Extra(Tag.CHUNKS, b"tEXt\3a\0b"))[-1:])
        if (picture.origin.name == "PNG")
        else picture
    )


def test_a_file_that_pillow_would_read_otherwise() -> None:
    """Return what Pillow reads as the same is not: 16 bits of colour, a profile, what is after the end."""
    deep = png((2, 1), 16, 2, b"\0abcdefghijkl")
    other = png((2, 1), 16, 2, b"\0abcdefghijkx")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(deep))), np.asarray(Image.open(io.BytesIO(other))))
    assert not same_file(deep, other)
    assert not same_file(FILES["a.png"][0], FILES["a.png"][0] + b"tail")
    assert not same_file(FILES["a.png"][0], FILES["a.bmp"][0])


def test_salvaged_pictures_promise_nothing(caplog: pytest.LogCaptureFixture) -> None:
    options = replace(PLAIN, policy=Policy(plain_tile=35, plain_pixels=35 * 35))
    blob = bytearray(encode_data(FILES["a.bmp"][0], options, FakeModels())[0])
    segment = segments_of(bytes(blob))[1]
    place = bytes(blob).index(segment.payload) + len(segment.payload) // 2
    blob[place : place + 4] = bytes(byte ^ 0x5A for byte in blob[place : place + 4])
    lost: list[Any] = []
    with caplog.at_level(logging.WARNING, "bfncodec"):
        found = bfncodec.decompress(bytes(blob), on_damage=lost.append)
    assert lost
    assert not caplog.text
    assert len(found) == len(FILES["a.bmp"][0])
    whole = encode_data(FILES["a.bmp"][0], options, FakeModels())[0]
    part = bfncodec.decompress(whole, crop=(1, 2, 30, 20))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(part))), slope(60, 70)[2:22, 1:31])
    assert not caplog.text


def test_the_checksum_is_small() -> None:
    picture = read_file(FILES["a.ppm"][0])
    assert picture is not None
    assert [len(extra.value) for extra in picture.extras] == [4]
    assert picture.header.kind is Kind.IMAGE


def test_a_picture_never_takes_more_than_its_bytes() -> None:
    """Rows that repeat far apart: LZMA sees that, and WebP in a hurry does not."""
    pixels = np.tile(noise(5, 1, 400, 3), (200, 1, 1))
    pixels[::2] ^= 1
    for name in ("BMP", "PPM", "TIFF"):
        data = saved(Image.fromarray(pixels), name)
        assert len(encode_data(data, PLAIN, FakeModels())[0]) <= len(bfncodec.compress(data, "none"))


@pytest.mark.slow
def test_roundtrips_are_counted(tmp_path: Path) -> None:
    from benchmarks.roundtrips import main

    for name, (data, _) in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "broken.png").write_bytes(FILES["a.png"][0][:-5])
    lines = CliRunner().invoke(main, [str(tmp_path)]).stdout.splitlines()
    assert lines[0].startswith("kind | files | identical | same picture | as bytes | lost | larger | bytes")
    rows = [line.rsplit(" | ", 4)[0] for line in lines]
    assert "png | 3 | 1 | 1 | 1 | 0 | 0" in rows
    assert "tif | 4 | 3 | 1 | 0 | 0 | 0" in rows
