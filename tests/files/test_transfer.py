from __future__ import annotations

import errno
import io
import os
import stat
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import bfncodec
from bfncodec.errors import DamagedError, InputError, OutputError
from bfncodec.files import data as files_data
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.format.kinds import Kind, Mode, Origin
from bfncodec.images.files import read_file, write_file
from bfncodec.images.picture import Picture
from support import picturefiles as made
from support.doubles import FakeModels, noise
from support.strategies import images

PLAIN = Options(model="none")
EXIF = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
ICC = b"a colour profile " * 30


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def photo(mode: str = "RGB") -> Image.Image:
    """Few colours, so that every format and mode is worth compressing."""
    grey = (np.indices((21, 37)).sum(0) * 4).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 250)
    if mode == "P":
        return Image.fromarray(np.dstack([grey, grey // 2, 255 - grey])).quantize(20)
    if mode == "LA":
        return Image.frombytes("LA", (37, 21), np.dstack([grey, 255 - grey]).tobytes())
    return Image.fromarray(np.dstack([grey, grey // 2, 255 - grey, grey // 3 * 2])).convert(mode)


# ---- picture files ------------------------------------------------------------------------------

LOSSLESS = {"lossless": True, "exact": True}


@pytest.mark.parametrize(
    ("origin", "mode", "options"),
    [("PNG", mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    + [("WEBP", mode, LOSSLESS) for mode in ("RGB", "RGBA")]
    + [("BMP", mode, {}) for mode in ("RGB", "L", "P", "1")]
    + [("PPM", mode, {}) for mode in ("RGB", "L", "1", "I;16")]
    + [("TIFF", mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    + [("TIFF", mode, {"compression": "tiff_lzw"}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    + [("TIFF", "RGB", {"compression": "tiff_adobe_deflate", "dpi": (300, 300), "icc_profile": ICC})]
    + [("TIFF", mode, {"compression": "packbits"}) for mode in ("RGB", "1")],
)
def test_picture_files_come_back_as_pictures(origin: str, mode: str, options: dict[str, Any]) -> None:
    data = saved(photo(mode), origin, **options)
    picture = read_file(data)
    assert picture is not None
    assert picture.origin is Origin[origin]
    assert picture.mode.pil == mode
    found, wanted = opened(write_file(picture)), opened(data)
    assert found == wanted
    if origin == "TIFF":
        assert found.info.get("icc_profile") == options.get("icc_profile")
        assert found.info["compression"] == options.get("compression", "raw")
    if origin in ("BMP", "PPM"):
        assert write_file(picture) == data


@settings(max_examples=60)
@given(images(), st.sampled_from(["PNG", "WEBP", "BMP", "PPM", "TIFF"]))
def test_any_picture_file_comes_back_or_is_left_as_bytes(image: Image.Image, origin: str) -> None:
    image.info.clear()
    try:
        data = saved(image, origin, **(LOSSLESS if origin == "WEBP" else {}))
    except (OSError, ValueError, SystemError):
        return  # Pillow cannot write that
    picture = read_file(data)
    if picture is not None:
        assert opened(write_file(picture)) == opened(data)
        assert picture.pixels.shape[:2] == (image.height, image.width)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(size: tuple[int, int], depth: int, colour: int, raw: bytes, extra: bytes = b"", interlace: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found[data[at + 4 : at + 8]] = data[at + 8 : at + 8 + size]
        at += 12 + size
    return found


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (png((2, 1), 8, 2, b"\0abcdef", chunk(b"gAMA", b"\0\0\xb1\x8f") + chunk(b"unKn", b"whatever")), Mode.RGB),
        (png((2, 1), 8, 2, b"\0abcdef", chunk(b"tRNS", b"\0a\0b\0c")), Mode.RGB),
        (png((4, 1), 2, 3, b"\0\x1b", chunk(b"PLTE", bytes(range(12))) + chunk(b"tRNS", b"\1\2")), Mode.P),
        (png((2, 1), 8, 3, b"\0\1\2", chunk(b"PLTE", bytes(range(9))) + chunk(b"bKGD", b"\1")), Mode.P),
        (png((2, 1), 16, 0, b"\0\1\2\3\4", chunk(b"sBIT", b"\x0c")), Mode.I16),
        (png((2, 1), 8, 2, b"\0abc\0def", interlace=1), Mode.RGB),
        (png((1, 1), 16, 2, b"\0abcdef"), Mode.RGB16),
        (png((1, 2), 16, 6, b"\1abcdefgh\4ABCDEFGH"), Mode.RGBA16),
        (png((2, 1), 16, 4, b"\3abcdABCD", chunk(b"bKGD", b"\1\2")), Mode.LA16),
    ],
    ids=[
        "gamma",
        "transparent colour",
        "two bits",
        "beyond the palette",
        "16 bits",
        "interlaced",
        "16-bit RGB",
        "16-bit RGBA",
        "16-bit grey and opacity",
    ],
)
def test_png_chunks_are_kept_as_they_are(data: bytes, mode: Mode) -> None:
    picture = read_file(data)
    assert picture is not None
    assert picture.mode is mode
    made = chunks_of(write_file(picture))
    wanted = chunks_of(data)
    for name in set(wanted) - {b"IDAT", b"IHDR"}:
        assert made[name] == wanted[name]
    assert made[b"IHDR"] == wanted[b"IHDR"]


def test_metadata_of_png_is_kept() -> None:
    info = PngInfo()
    info.add_text("Author", "somebody", zip=True)
    info.add_itxt("Title", "Über allen Gipfeln", lang="de")
    picture = read_file(saved(photo(), "PNG", dpi=(72, 72), pnginfo=info, icc_profile=ICC, exif=EXIF))
    assert picture is not None
    found = opened(write_file(picture))
    assert found.info["icc_profile"] == ICC
    assert found.info["exif"] == EXIF
    assert found.info["dpi"] == pytest.approx((72, 72), abs=0.01)
    assert found.text == {"Author": "somebody", "Title": "Über allen Gipfeln"}  # type: ignore[attr-defined]


def test_metadata_of_webp_is_kept() -> None:
    picture = read_file(saved(photo("RGBA"), "WEBP", icc_profile=ICC, exif=EXIF, xmp=b"<x/>", **LOSSLESS))
    assert picture is not None
    info = opened(write_file(picture)).info
    assert (info["icc_profile"], info["exif"], info["xmp"]) == (ICC, EXIF.removeprefix(b"Exif\0\0"), b"<x/>")


def two_frames(name: str) -> bytes:
    return saved(
        photo(), name, save_all=True, append_images=[photo().rotate(180)], **(LOSSLESS if name == "WEBP" else {})
    )


PNG = saved(photo(), "PNG")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no picture", id="text"),
        pytest.param(saved(photo(), "JPEG"), id="JPEG"),
        pytest.param(saved(photo(), "WEBP", quality=80), id="lossy WebP"),
        pytest.param(saved(photo(), "GIF"), id="GIF"),
        pytest.param(saved(photo(), "TIFF", compression="jpeg"), id="JPEG in TIFF"),
        pytest.param(saved(photo("1"), "TIFF", compression="group4"), id="fax in TIFF"),
        pytest.param(two_frames("PNG"), id="animated PNG"),
        pytest.param(two_frames("WEBP"), id="animated WebP"),
        pytest.param(two_frames("TIFF"), id="TIFF of two pages"),
        pytest.param(png((4, 1), 2, 0, b"\0\x1b"), id="2-bit grey PNG"),
        pytest.param(b"P6\n1 2\n100\nabcdef", id="PPM of 101 levels"),
        pytest.param(b"P3\n1 1\n255\n1 2 3\n", id="PPM of letters"),
        pytest.param(PNG[:-20], id="PNG cut off"),
        pytest.param(PNG + b"x", id="PNG with something after it"),
        pytest.param(PNG[:60] + b"\0" + PNG[61:], id="PNG damaged"),
        pytest.param(saved(photo(), "WEBP", **LOSSLESS)[:-4], id="WebP cut off"),
        pytest.param(saved(photo(), "WEBP", **LOSSLESS) + b"tail", id="WebP with something after it"),
        pytest.param(saved(photo(), "BMP")[:-9], id="BMP cut off"),
    ],
)
def test_what_cannot_be_made_again_is_kept_as_bytes(data: bytes) -> None:
    assert read_file(data) is None
    blob, _ = encode_data(data, PLAIN, FakeModels())
    assert bfncodec.decompress(blob) == data
    assert len(blob) <= len(data) + 7


@pytest.mark.parametrize(
    "data",
    [
        b"P6\n# a comment\n1 2\n255\nabcdef",
        b"P5 2 1 65535\n\1\2\3\4",
        saved(photo(), "BMP") + b"something after it",
        saved(photo(), "BMP", dpi=(300, 300)),
    ],
)
def test_bare_samples_come_back_byte_for_byte(data: bytes) -> None:
    picture = read_file(data)
    assert picture is not None
    assert write_file(picture) == data


def test_big_endian_tiff_comes_back_byte_for_byte() -> None:
    pixels = np.arange(12, dtype=">u2").tobytes()
    entries = [(256, 4, 4), (257, 4, 3), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16), (273, 4, 122),
               (277, 3, 1 << 16), (278, 4, 3), (279, 4, 24)]  # fmt: skip
    head = b"MM\0*" + struct.pack(">IH", 8, len(entries))
    data = head + b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries) + bytes(4)
    data += pixels
    picture = read_file(data)
    assert picture is not None
    assert picture.pixels[:, :, 0].tolist() == np.arange(12).reshape(3, 4).tolist()
    assert write_file(picture) == data


def test_metadata_that_cannot_be_is_damage() -> None:
    picture = read_file(PNG)
    assert picture is not None
    broken = Picture(picture.pixels, Mode.P, Origin.PNG, ())
    with pytest.raises(DamagedError):
        write_file(broken)


def test_a_picture_file_never_grows() -> None:
    data = saved(Image.fromarray(noise(55, 30, 30, 3)), "BMP")
    assert len(encode_data(data, PLAIN, FakeModels())[0]) <= len(data) + 7
    tiny = saved(Image.new("1", (1, 1)), "PPM")
    assert len(encode_data(tiny, PLAIN, FakeModels())[0]) <= len(tiny) + 7


def test_a_large_picture_file_is_finished_while_its_pixels_are_coded(monkeypatch: pytest.MonkeyPatch) -> None:
    data, models, finishing = saved(Image.fromarray(noise(3, 220, 240, 3)), "PNG", compress_level=1), FakeModels(), []
    finish = files_data.finish_file

    def told(*args: Any) -> Picture | None:
        finishing.append(threading.current_thread())
        return finish(*args)

    monkeypatch.setattr(files_data, "threads_here", lambda: 2)
    monkeypatch.setattr(files_data, "finish_file", told)
    blob, content = encode_data(data, Options(level=1), models)
    assert [thread is threading.main_thread() for thread in finishing] == [False]
    assert bfncodec.describe(blob).identical
    monkeypatch.setattr(files_data, "threads_here", lambda: 1)
    assert encode_data(data, Options(level=1), models)[0] == blob
    assert len(finishing) == 1
    monkeypatch.setattr(files_data, "threads_here", lambda: 2)
    monkeypatch.setattr(files_data, "finish_file", lambda *_: None)  # it would not come back
    blob, content = encode_data(data, Options("none", level=1), models)
    assert content.header.kind is Kind.BYTES
    assert bfncodec.decompress(blob) == data


def test_picture_files_are_left_as_bytes_where_that_is_asked_for() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in made.slope(60, 70))
    other = made.png((70, 60), 8, 2, rows, deflate=made.flushed_deflate)
    assert encode_data(other, Options("none"), FakeModels())[1].header.kind is Kind.IMAGE
    assert encode_data(other, Options("none", exact=True), FakeModels())[1].header.kind is Kind.BYTES
    assert encode_data(PNG, Options("text"), FakeModels())[1].header.kind is Kind.BYTES


# ---- files --------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(b"to be or not to be " * 30)
    return path


def test_a_file_comes_back_with_mode_and_time(source: Path) -> None:
    data = source.read_bytes()
    source.chmod(0o640)
    os.utime(source, ns=(10**18, 10**18 + 123456789))
    result = compress_file(source, options=Options("none", remove=True))
    target = source.with_name("text.txt.bfn")
    assert not source.exists()
    assert result.plain_bytes == len(data)
    assert result.compressed_bytes == target.stat().st_size
    decompress_file(target)
    assert source.read_bytes() == data
    for path in (source, target):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.stat().st_mtime_ns == 10**18 + 123456789


def test_rights_that_are_lent_are_not_lent_on(source: Path) -> None:
    source.chmod(0o6755)
    compress_file(source, options=PLAIN)
    decompress_file(source.with_name("text.txt.bfn"), source.with_name("again"))
    for name in ("text.txt.bfn", "again"):
        assert stat.S_IMODE(source.with_name(name).stat().st_mode) == 0o755


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to other groups")
@pytest.mark.parametrize(("mode", "other"), [(0o640, 0o600), (0o664, 0o644), (0o604, 0o604)])
def test_what_a_group_may_read_is_not_for_another_one(source: Path, mode: int, other: int) -> None:
    os.chown(source, -1, source.stat().st_gid + 1)
    source.chmod(mode)
    compress_file(source, options=PLAIN)
    assert stat.S_IMODE(source.with_name("text.txt.bfn").stat().st_mode) == other


@pytest.mark.parametrize("name", ["missing/x.bfn", "text.txt/x.bfn", "x" * 256])
def test_a_target_that_cannot_be_is_told_before_any_work(source: Path, name: str) -> None:
    models = FakeModels()
    with pytest.raises(OutputError, match="cannot be written"):
        compress_file(source, source.parent / name, codecs=models)
    assert models.level == 0  # none was asked for


def test_a_picture_file_comes_back_in_its_format(tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    source.write_bytes(PNG)
    result = compress_file(source, options=PLAIN)
    assert result.dims == 21 * 37 * 3
    assert result.coding.content == "PNG"
    source.unlink()
    decompress_file(tmp_path / "photo.png.bfn")
    assert opened(source.read_bytes()) == opened(PNG)


def test_objects_that_were_no_file_become_one(tmp_path: Path) -> None:
    array, text = np.arange(24, dtype=np.uint16).reshape(2, 3, 4), "grün"
    for name, value in (("a.npy", array), ("t.txt", text), ("rgb.npy", noise(1, 4, 5, 3)), ("i.png", photo("P"))):
        (tmp_path / f"{name}.bfn").write_bytes(bfncodec.compress(value, "none"))
        decompress_file(tmp_path / f"{name}.bfn")
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)
    assert np.array_equal(np.load(tmp_path / "rgb.npy"), noise(1, 4, 5, 3))
    assert (tmp_path / "t.txt").read_text("utf-8") == text
    assert opened((tmp_path / "i.png").read_bytes()).convert("RGB") == photo("P").convert("RGB")


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_nothing_is_left_behind_when_writing_fails(
    source: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(handle: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    target = source.with_name("text.txt.bfn")
    target.write_bytes(b"older")
    with pytest.raises(OutputError if isinstance(error, OSError) else type(error), match=r"No space|^$"):
        compress_file(source, options=Options("none", force=True, remove=True))
    assert left(source.parent) == {"text.txt", "text.txt.bfn"}
    assert target.read_bytes() == b"older"


def test_a_result_that_does_not_verify_is_not_kept(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = files_data.encode_frame
    monkeypatch.setattr(files_data, "encode_frame", lambda *args, **more: encode(*args, **more)[:-1] + b"\1")
    with pytest.raises(OutputError, match="does not decode"):
        compress_file(source, options=Options("none", remove=True))
    assert left(source.parent) == {"text.txt"}
    compress_file(source, options=Options("none", verify=False))


def test_another_content_does_not_verify(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_data, "encode_frame", lambda *args, **more: bfncodec.compress(b"something else", "none"))
    with pytest.raises(OutputError, match="same content"):
        compress_file(source, options=PLAIN)
    assert left(source.parent) == {"text.txt"}


def test_nothing_is_replaced_unasked(source: Path) -> None:
    compress_file(source, options=PLAIN)
    with pytest.raises(OutputError, match="exists already"):
        compress_file(source, options=PLAIN)
    with pytest.raises(OutputError, match="exists already"):
        decompress_file(source.with_name("text.txt.bfn"))
    compress_file(source, options=Options("none", force=True))


def test_a_source_is_never_its_own_target(source: Path) -> None:
    link = source.with_name("link")
    link.symlink_to(source)
    hard = source.with_name("hard")
    hard.hardlink_to(source)
    for target in (source, link, hard):
        with pytest.raises(OutputError, match="the source itself"):
            compress_file(source, target, Options("none", force=True))
    assert source.read_bytes().startswith(b"to be")


def test_a_link_is_followed_not_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    compress_file(source, tmp_path / "link", Options("none", force=True))
    assert (tmp_path / "link").is_symlink()
    assert bfncodec.decompress((tmp_path / "real").read_bytes()) == source.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_is_said_to_be_so(source: Path) -> None:
    with pytest.raises(OutputError, match="/dev/full cannot be written: No space left"):
        compress_file(source, "/dev/full", PLAIN)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_bad_names_and_places(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        compress_file(tmp_path / "missing", options=PLAIN)
    with pytest.raises(OutputError, match="cannot be written"):
        compress_file(source, tmp_path / "no folder" / "x", PLAIN)
    with pytest.raises(OutputError, match="is a folder"):
        compress_file(source, tmp_path, PLAIN)
    with pytest.raises(InputError, match=r"already ends in \.bfn"):
        compress_file(tmp_path / "x.bfn", options=PLAIN)
    for name in ("x.txt", ".bfn"):
        with pytest.raises(InputError, match=r"ending in \.bfn"):
            decompress_file(tmp_path / name)
