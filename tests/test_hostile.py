"""Hostile files: forged with right checksums, damaged in every bit, or made to take all of a machine."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from forge import File, put_together, sealed, take_apart
from specimens import CODECS, MAKERS, specimens

import bfncodec
from bfncodec import cli
from bfncodec.errors import BfncodecError, DamagedError
from bfncodec.files import Options, decode_data
from bfncodec.header import Mode, Origin, Tag
from bfncodec.wire import varint


def decompress(blob: bytes, **options: Any) -> Any:
    return bfncodec.decompress(blob, codecs=CODECS, **options)


def forged(name: str, **changes: Any) -> bytes:
    """A file of some kind with other parts, and right checksums."""
    file = take_apart(specimens()[name])
    for part, value in changes.items():
        setattr(file, part, value)
    if file.extras:
        file.flags |= 1
    return sealed(put_together(file), decompress)


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.cli, list(args))
    assert result.exit_code == code, (result.output, result.exception)
    return result.stderr


# ---- forged files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_files_come_apart_and_together_again(name: str) -> None:
    blob = specimens()[name]
    assert sealed(blob, decompress) == blob


DEEP = b'{"dpi":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HUGE_ARRAYS = [(0, 1 << 62, 1 << 62), (1 << 62, 0, 4), (0, (1 << 63) - 1, 2), (0,) + (1 << 62,) * 14]


@pytest.mark.parametrize("shape", HUGE_ARRAYS)
def test_an_array_of_no_elements_has_a_shape_that_can_be(shape: tuple[int, ...]) -> None:
    with pytest.raises(DamagedError, match=r"shape .* cannot be"):
        decompress(forged("array_empty", shape=list(shape)))


@pytest.mark.parametrize(
    "info",
    [
        DEEP,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"dpi":' + b"9" * 5000 + b"}",
        b"[1,2]",
        b'"dpi"',
        b"\xff",
        b"",
    ],
)
def test_info_that_no_writer_writes_is_damage(info: bytes) -> None:
    with pytest.raises(DamagedError, match="info cannot be read"):
        decompress(forged("rgb", look=Origin.OBJECT << 4 | Mode.RGB, extras=[(Tag.INFO, info)]))


def test_a_palette_without_bytes_is_damage() -> None:
    with pytest.raises(DamagedError, match="palette cannot be read"):
        decompress(forged("palette", extras=[(Tag.PALETTE, b"")]))
    for value in (b"\x03" + bytes(3 * 257), b"\x05abcdef"):
        with suppress(DamagedError):
            decompress(forged("palette", extras=[(Tag.PALETTE, value)]))


@pytest.mark.parametrize("info", [b'{"transparency":"red"}', b'{"dpi":"many"}', b'{"icc_profile":7}', b'{"exif":[1]}'])
def test_info_that_no_png_file_can_hold(info: bytes) -> None:
    """As an object it comes back as it was given; as a file it may be refused, but in order."""
    blob = forged("palette", extras=[*take_apart(specimens()["palette"]).extras, (Tag.INFO, info)])
    assert decompress(blob).info | json.loads(info)
    for use in (lambda: decode_data(blob, Options(), CODECS), lambda: bfncodec.preview(blob, codecs=CODECS)):
        with suppress(DamagedError):
            use()


@pytest.mark.parametrize(("name", "model"), [("rgb_model", "text"), ("text_model", "photo"), ("rgb_model", "archive")])
def test_a_model_of_another_kind_of_data_is_damage(name: str, model: str) -> None:
    with pytest.raises(DamagedError, match=f"model {model} cannot code"):
        decompress(forged(name, models=[CODECS.named(model).info.id]))


def test_a_region_of_an_array_with_the_metadata_of_a_file() -> None:
    layout = take_apart(specimens()["ppm"]).extras
    blob = forged("rgb", look=Origin.ARRAY << 4 | Mode.RGB, extras=layout)
    assert decompress(blob, crop=(1, 1, 2, 3)).shape == (3, 2, 3)


def test_a_bit_depth_that_no_palette_has_is_damage() -> None:
    file = take_apart(specimens()["png_palette"])
    file.extras = [(Tag.CHUNKS, b"\x21")]  # 3 << 33 zeros were made of it
    with pytest.raises(DamagedError, match="33 bits"):
        decompress(sealed(put_together(file), decompress))


def test_a_file_around_pixels_says_their_size() -> None:
    """A preview opens the file that the picture was with zeros for pixels: what that says of itself decides nothing."""
    head = b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    head += (13_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24)
    blob = forged("bmp", extras=[(Tag.LAYOUT, b"\0" + varint(len(head)) + head)])
    palette = forged("bmp", look=Origin.BMP << 4 | Mode.P, extras=[(Tag.LAYOUT, b"\0" + varint(len(head)) + head)])
    with pytest.raises(DamagedError, match="a head of 13000 x 13000 pixels around 5 x 6"):
        decompress(blob, crop=(0, 0, 2, 2))
    with pytest.raises(DamagedError):
        bfncodec.preview(palette, codecs=CODECS)


# ---- one bad file among others ----------------------------------------------------------------


def bad_files(folder: Path) -> list[str]:
    """Forged files that raised what nobody caught, and a good one."""
    files = {
        "dims.bfn": forged("array_empty", shape=[0, 1 << 62, 1 << 62]),
        "json.bfn": forged("rgb", look=Origin.OBJECT << 4, extras=[(Tag.INFO, DEEP)]),
        "palette.bfn": forged("palette", extras=[(Tag.PALETTE, b"")]),
        "sound.bfn": specimens()["lzma"],
    }
    for name, blob in files.items():
        (folder / name).write_bytes(blob)
    return [str(folder / name) for name in files]


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    paths = bad_files(tmp_path)
    said = run("decompress", "-q", *paths, code=1).splitlines()
    assert [line.split(":")[0] for line in said] == ["bfncodec"] * 3
    assert (tmp_path / "sound").read_bytes() == decompress(specimens()["lzma"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *sorted(["dims.bfn", "json.bfn", "palette.bfn", "sound", "sound.bfn"])
    ]
    assert "sound.bfn : sound" in run("test", *paths, code=1)


def test_not_even_a_fault_of_ours_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = bad_files(tmp_path)[-1:]
    (tmp_path / "first.bfn").write_bytes(specimens()["stored"])
    real = decode_data

    def fails(blob: bytes, *args: Any, **more: Any) -> Any:
        return 1 // 0 if blob == specimens()["stored"] else real(blob, *args, **more)

    monkeypatch.setattr("bfncodec.files.decode_data", fails)
    said = run("test", str(tmp_path / "first.bfn"), *paths, code=1)
    assert "first.bfn: internal error (ZeroDivisionError" in said
    assert "at test_hostile.py:" in said
    assert "please report" in said
    assert "sound.bfn : sound" in said


def test_the_command_never_ends_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bfncodec.cli.cli.main", lambda *args, **more: [].pop())
    assert cli._run(["models"]) == 1
    assert "internal error (IndexError: pop from empty list at test_hostile.py:" in capsys.readouterr().err


# ---- damage -----------------------------------------------------------------------------------


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, np.ndarray):
        return bool(found.dtype == wanted.dtype and np.array_equal(found, wanted))
    return bool(found == wanted and getattr(found, "info", None) == getattr(wanted, "info", None))


def survives(blob: bytes, wanted: Any) -> bool:
    """Whether damage is taken for the truth: nothing but an error of ours, or the content as it was, may come."""
    try:
        found = decompress(blob)
    except BfncodecError:
        return False
    return not same(found, wanted)


SOME = ("lzma", "folder", "lines", "palette", "many_models")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in MAKERS]
)
def test_no_flipped_bit_and_no_cut_gives_another_content(name: str) -> None:
    blob = specimens()[name]
    wanted = decompress(blob)
    assert same(decompress(blob), wanted)
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not survives(bytes(flipped), wanted), bit
    for length in range(len(blob)):
        assert not survives(blob[:length], wanted), length
    assert not survives(blob + b"\0", wanted)


def test_a_file_in_parts_knows_its_kind() -> None:
    assert File(0x61).kind == 2
    assert not File(0x61).is_segmented
