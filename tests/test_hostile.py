"""Hostile files: forged with right checksums, damaged in every bit, or made to take all of a machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

import bfncodec
from bfncodec import models
from bfncodec.cli.batch import Direction, Expansion, Transform
from bfncodec.cli.call import Call
from bfncodec.cli.main import _run, cli
from bfncodec.content.arrays import arrays_of
from bfncodec.content.folder import FilePositions
from bfncodec.content.paths import bad_path, unusable_path
from bfncodec.errors import BfncodecError, DamagedError, InputError, LimitError, ModelError
from bfncodec.files.data import decode_data
from bfncodec.files.names import decompressed_name, has_suffix
from bfncodec.files.options import Made, Options
from bfncodec.files.streaming import decompressed_chunks
from bfncodec.files.together import decompress_together
from bfncodec.files.transfer import decompress_file
from bfncodec.format import lzmaraw
from bfncodec.format.extras import Extra, Tag, write_extras
from bfncodec.format.frame import SEGMENTED
from bfncodec.format.kinds import Method, Mode, Origin
from bfncodec.format.limits import Limits
from bfncodec.format.wire import varint
from bfncodec.images.byteplanes import join, split
from bfncodec.segments.opening import open_file
from support import fuzz
from support.commands import ENVIRONMENT
from support.doubles import noise
from support.forge import Piece, put_together, sealed, take_apart
from support.frames import NoCodecs, flips
from support.fuzz_models import model_folders, use_model
from support.places import TESTS
from support.specimens import CODECS, LINES, MAKERS, TEXT, specimens

pytestmark = pytest.mark.slow  # many processes and many files: together they take a minute

KINDS = [name for name in MAKERS if name != "joined"]  # which, cut between its files, is sound


def decompress(blob: bytes, **options: Any) -> Any:
    return bfncodec.decompress(blob, codecs=CODECS, **options)


def forged(name: str, **changes: Any) -> bytes:
    """A file of some kind with other parts, and right checksums."""
    file = take_apart(specimens()[name])
    for part, value in changes.items():
        setattr(file, part, value)
    file.marked = bool(file.extras)
    return sealed(put_together(file), decompress)


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, (result.output, result.exception)
    return result.stderr


# ---- forged files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
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
    (piece,) = take_apart(specimens()[name]).segments
    identity = CODECS.named(model).info.id
    blob = forged(name, segments=[replace(piece, model=identity)])
    with pytest.raises(DamagedError, match=f"model {identity.hex()} cannot code"):
        decompress(blob)


def test_an_array_has_no_metadata_of_a_file() -> None:
    layout = take_apart(specimens()["ppm"]).extras
    blob = forged("rgb", look=Origin.ARRAY << 4 | Mode.RGB, extras=layout)
    for options in ({}, {"crop": (1, 1, 2, 3)}):
        with pytest.raises(DamagedError, match="0x82 cannot stand"):
            decompress(blob, **options)


def test_a_bit_depth_that_no_palette_has_is_damage() -> None:
    file = take_apart(specimens()["png_palette"])
    file.extras = [(Tag.CHUNKS, b"\x21")]  # 3 << 33 zeros were made of it
    with pytest.raises(DamagedError, match="PNG file cannot be made again"):
        decompress(sealed(put_together(file), decompress))


def test_a_file_around_pixels_says_their_size() -> None:
    """A preview opens the file that the picture was with zeros for pixels: what that says of itself decides nothing."""
    head = b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    head += (13_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24)
    blob = forged("bmp", extras=[(Tag.LAYOUT, b"\0" + varint(len(head)) + head)])
    palette = forged("bmp", look=Origin.BMP << 4 | Mode.P, extras=[(Tag.LAYOUT, b"\0" + varint(len(head)) + head)])
    with pytest.raises(DamagedError, match=r"\(13000, 13000\) where one of \(5, 6\) is due"):
        decompress(blob, crop=(0, 0, 2, 2))
    with pytest.raises(DamagedError):
        bfncodec.preview(palette, codecs=CODECS)


# ---- bombs ------------------------------------------------------------------------------------


def bomb(name: str, megabytes: int) -> bytes:
    """A file of as many MiB of zeros, of which each segment of a MiB takes 162 bytes."""
    file = take_apart(specimens()[name])
    file.layout, file.extras, file.marked = SEGMENTED, [], False
    file.segments = [Piece(Method.LZMA, lzmaraw.pack(bytes(1 << 20)), length=1 << 20)] * megabytes
    return put_together(file)


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that Python had allocated at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(blob: bytes, limits: Limits, most: int = 1 << 20, **options: Any) -> str:
    """The error of a file that asks for too much, which costs next to nothing to find out."""
    messages = []

    def work() -> None:
        for salvage in (None, lambda damage: None):
            with pytest.raises(LimitError) as caught:
                decompress(blob, limits=limits, on_damage=salvage, **options)
            messages.append(caught.value.for_command())

    assert peak_of(work) < most
    assert len(set(messages)) == 1
    return messages[0]


@pytest.mark.parametrize("name", ["lzma", "text"])
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    blob = bomb(name, 1 << 13)  # 8 GiB
    assert len(blob) < 1 << 21
    said = refused(blob, Limits(memory=1 << 30), most=2 * len(blob) + (1 << 20))  # what tells of 8192 segments
    assert "bytes of memory where 1073741824 are accepted: pass --max-memory" in said


def test_output_has_a_limit_of_its_own() -> None:
    blob = bomb("lzma", 64)
    assert "67108864 bytes of output where 9 are accepted: pass a larger --max-output" in refused(
        blob, Limits(output=9)
    )
    assert decompress(specimens()["lzma"], limits=Limits(output=len(TEXT))) == TEXT
    with pytest.raises(LimitError, match="of output"):
        decompress(specimens()["lzma"], limits=Limits(output=len(TEXT) - 1))


def test_files_one_after_the_other_have_one_limit() -> None:
    blob = specimens()["lzma"] * 3
    assert decompress(blob, limits=Limits(output=3 * len(TEXT))) == 3 * TEXT
    with pytest.raises(LimitError, match="of output"):
        decompress(blob, limits=Limits(output=3 * len(TEXT) - 1))
    with pytest.raises(LimitError, match="of memory"):
        decompress(blob, limits=Limits(memory=3 * (2048 + 3 * len(TEXT)) - 1))


def test_pixels_have_a_limit() -> None:
    sides = varint(1 << 15) + varint(1 << 15)
    blob = forged("rgb", segments=[Piece(Method.LZMA, sides + lzmaraw.pack(b""))])
    assert "1073741824 pixels (32768 x 32768) where 268435456 are accepted: pass --max-pixels" in refused(
        blob, Limits()
    )


def test_metadata_that_unpack_to_more_than_memory_are_refused() -> None:
    file = take_apart(specimens()["info"])
    file.extras = [(0x40 | Tag.INFO_BYTES, bytes(1 << 20))] * 9
    blob = put_together(file)
    assert len(blob) < 1 << 12
    assert "bytes of memory for metadata" in refused(blob, Limits(memory=1 << 22), most=5 << 20)


def test_metadata_within_metadata_are_not_unpacked() -> None:
    """A table of files, itself unpacked from a 7000th of it, must not hold what unpacks to 7000 times as much again."""
    table = varint(4) * 2 + varint(1) + b"a.png\0" + b"\x20"
    table += write_extras((Extra(Tag.CHUNKS, bytes(1 << 12)),))
    file = take_apart(specimens()["folder"])
    file.extras = [(tag, table if tag & 0xBF == Tag.FILES else value) for tag, value in file.extras]
    with pytest.raises(DamagedError, match="within another cannot be squeezed"):
        decompress(put_together(file))


def test_tables_count_as_memory() -> None:
    paths = b"".join(b"%x\0" % n for n in range(1 << 16, 1 << 17))
    table = varint(1) * 2 + varint(1 << 16) + paths + bytes(1 << 16) + b"\0" * (1 << 16)
    blob = forged("lzma", extras=[(Tag.FILES, table)])
    assert "--max-memory" in refused(blob, Limits(memory=1 << 25), most=1 << 21)


def test_so_do_segments() -> None:
    file = take_apart(specimens()["many_bytes"])
    file.segments = [Piece(Method.STORED, b"x", length=1)] * 1500
    blob = sealed(put_together(file), decompress)
    assert "--max-memory" in refused(blob, Limits(memory=1 << 21))
    assert decompress(blob) == b"x" * 1500
    assert peak_of(lambda: decompress(blob)) < 1500 * 2048


def test_a_part_takes_the_memory_of_a_part() -> None:
    limits = Limits(memory=1 << 20)
    refused(in_lines := bfncodec.compress(LINES * 9000, "none", lines=True, block=1 << 16), limits)
    assert decompress(in_lines, line=3, limits=limits) == LINES.splitlines(keepends=True)[2]


def test_the_estimate_of_memory_is_an_upper_bound() -> None:
    for data in (bytes(1 << 22), "a" * (1 << 21) + "\U0001f600", np.zeros(1 << 22, np.uint8), np.zeros(1 << 19)):
        blob = bfncodec.compress(data, "none", level=1)
        limits = Limits(memory=1)
        with pytest.raises(LimitError) as caught:
            bfncodec.decompress(blob, limits=limits)
        need = int(str(caught.value).split()[2])
        found = peak_of(lambda blob=blob: bfncodec.decompress(blob))  # type: ignore[misc]
        assert found < need + (1 << 20) < 4 * found


def test_what_is_compressed_here_is_verified_whatever_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bfncodec.format.limits.machine_memory", lambda: 1000)
    assert Limits().memory == 750
    blob = bfncodec.compress(TEXT, "none")
    (tmp_path / "text").write_bytes(TEXT)
    run("compress", "-q", str(tmp_path / "text"), "-m", "none")
    assert (tmp_path / "text.bfn").exists()
    with pytest.raises(LimitError):
        bfncodec.decompress(blob)


def test_limits_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "zeros.bfn"
    path.write_bytes(sealed(bomb("lzma", 32), decompress))
    for option, size in (("--max-memory", "64M"), ("--max-output", "31M")):
        assert f"{option}" in run("decompress", "-q", str(path), option, size, code=1)
    for command in ("test", "list"):
        assert "--max-memory" in run(command, str(path), "--max-memory", "64m", code=1)
    assert [found.name for found in tmp_path.iterdir()] == ["zeros.bfn"]
    run("decompress", "-q", str(path), "--max-output", "32MiB", "--max-memory", "1G")
    run("decompress", "-qf", str(path), "--no-limits")
    assert (tmp_path / "zeros").stat().st_size == 32 << 20
    (tmp_path / "picture.bfn").write_bytes(specimens()["rgb"])
    said = run("decompress", "-q", str(tmp_path / "picture.bfn"), "--max-pixels", "29", code=1)
    assert "30 pixels (5 x 6) where 29 are accepted: pass --max-pixels 30" in said
    assert "expected a number" in run("test", str(path), "--max-memory", "many", code=2)


def test_output_is_counted_over_all_files_of_a_call(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.bfn").write_bytes(specimens()["lzma"])
    paths = [str(tmp_path / f"{name}.bfn") for name in ("a", "b", "c")]
    said = run("decompress", "-q", *paths, "--max-output", str(2 * len(TEXT) + 1), code=1)
    assert said.count("\n") == 1
    assert "c.bfn: asks for" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.bfn", "b", "b.bfn", "c.bfn"]


@pytest.mark.parametrize("to_stdout", [False, True])
def test_files_that_expand_without_measure_are_not_written(
    tmp_path: Path, to_stdout: bool, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "zeros.bfn"
    path.write_bytes(sealed(bomb("lzma", 32), decompress))

    def data(path: Path, options: Options, codecs: bfncodec.Models, bar: Any) -> Made:
        return decode_data(path.read_bytes(), options, codecs, bar)[0]

    def code(limits: Limits, least: int) -> int:
        direction = Direction(
            decompressed_name,
            decompress_file,
            data,
            decompressed_chunks,
            has_suffix,
            compresses=False,
            folders=False,
            together=decompress_together,
        )
        options, call = Options(limits=limits), Call(quiet=True, verbose=False)
        work = Transform(direction, options, bfncodec.Models(), call, None, to_stdout, False, Expansion(1000, least))
        return work.run([path], recursive=False)

    assert code(Limits(), 1 << 20) == 1
    out, said = capsysbinary.readouterr()
    most = max(1000 * path.stat().st_size, 1 << 20) if to_stdout else 0  # a stream has begun by then
    assert len(out) <= most < 32 << 20
    assert b"--max-output" in said
    assert [found.name for found in tmp_path.iterdir()] == ["zeros.bfn"]
    assert code(Limits(output=32 << 20), 1 << 20) == 0


# ---- paths ------------------------------------------------------------------------------------

LEAD_AWAY = [
    *("../x", "..", ".", "a/../b", "/etc/passwd", "a//b", "a/", "", "a\0b", "a/./b", "\ud800"),
    *("x" * 40_000, "/".join(["x"] * 20_000)),
]
OF_WINDOWS = [
    "CON",
    "nul.txt",
    "a/Com1",
    "lpt9.tar.gz",
    "aux .c",
    "COM¹",
    "a.",
    "a ",
    "C:x",
    "a\\b",
    "a:b",
    "a?",
    "a\n",
]


def table_of(paths: list[str]) -> bytes:
    """The file of a folder with files of these paths."""
    names = b"".join(path.encode("utf-8", "surrogatepass") + b"\0" for path in paths)
    head = varint(4) * 2 + varint(len(paths)) + names + bytes(len(paths))
    extra = (0x40 | Tag.FILES, head + varint(len(TEXT)) + bytes(len(paths) - 1))
    return forged("lzma", extras=[extra])


@pytest.mark.parametrize("path", LEAD_AWAY, ids=range(len(LEAD_AWAY)))
def test_paths_that_lead_elsewhere_are_never_written(path: str, tmp_path: Path) -> None:
    (tmp_path / "bad.bfn").write_bytes(table_of([path]))
    said = run("decompress", "-q", str(tmp_path / "bad.bfn"), "-o", str(tmp_path / "out" / "in"), code=1)
    assert "paths" in said
    assert len(said) < 1000
    assert [found.name for found in tmp_path.iterdir()] == ["bad.bfn"]


@pytest.mark.parametrize("paths", [["a", "a"], ["b", "a"], ["a", "a-b", "a/c"], ["a/b", "a/b/c"]])
def test_no_path_is_twice_or_the_folder_of_another(paths: list[str]) -> None:
    with pytest.raises(DamagedError, match="sorted paths"):
        decompress(table_of(paths))


@given(st.lists(st.lists(st.sampled_from(["a", "a-", "b", "A", "é"]), min_size=1, max_size=4).map("/".join)))
def test_folders_of_others_are_found(paths: list[str]) -> None:
    known = sorted(set(paths))
    inside = {path for path in known for other in known if path.startswith(other + "/")}
    bad = bad_path(known)
    assert (bad in inside) if inside else bad is None


@pytest.mark.parametrize("path", OF_WINDOWS)
def test_paths_that_mean_more_on_windows_are_not_written_there(path: str) -> None:
    assert unusable_path([path], "nt") == path
    assert unusable_path([path], "posix") is None
    assert unusable_path(["CONSOLE", "com", "auxiliary.c", ".bashrc", "a.b c", "lpt10"], "nt") is None
    assert list(decompress(table_of(["a/" + path]))) == ["a/" + path]


def test_many_deep_paths_take_time_in_proportion(tmp_path: Path) -> None:
    """Each had all its parents written down: 512 MB for one path of 32 KB, and as many again for the next."""
    deep = ["/".join(["x"] * 16_000 + [f"{n:03}"]) for n in range(40)]
    blob = table_of(deep)
    assert len(blob) < 1 << 12
    assert peak_of(lambda: decompress(blob)) < 60 * sum(map(len, deep))


def test_two_names_that_are_one_here_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems that do not tell small letters from capitals: neither takes the other's place."""
    real = os.open
    monkeypatch.setattr(
        "os.open",
        lambda path, *args, **more: real(Path(path).with_name(Path(path).name.lower()), *args, **more),
    )
    (tmp_path / "two.bfn").write_bytes(table_of(["A", "a"]))
    said = run("decompress", "-q", str(tmp_path / "two.bfn"), code=1)
    assert "two" in said
    assert [found.name for found in tmp_path.iterdir()] == ["two.bfn"]


def test_what_is_lost_of_a_folder_of_many_files_is_found_in_time() -> None:
    count = 3000
    paths = [f"{n:05}" for n in range(count)]
    names = b"".join(path.encode() + b"\0" for path in paths)
    table = varint(4) * 2 + varint(count) + names + bytes(count) + b"\1" * count
    file = take_apart(specimens()["many_bytes"])
    file.marked, file.extras = True, [(Tag.FILES, table)]
    file.segments = [Piece(Method.LZMA, b"\1x", length=1)] * count
    lost: list[str] = []
    with patch.object(FilePositions, "within", autospec=True, side_effect=FilePositions.within) as asked:
        found = decompress(put_together(file), on_damage=lambda damage: lost.extend(damage.files))
    assert lost == paths
    assert found == {}
    assert asked.call_count == 2 * count


# ---- slow ones --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, 40, 1), (40, 1, 3), (3, 30, 3), (9, 2, 1), (63, 70, 1), (64, 70, 1), (70, 21, 3), (70, 22, 3)]
)
@pytest.mark.parametrize("shift", [3, 8, 16])
def test_planes_are_joined_sample_by_sample_or_by_slanted_lines(shape: tuple[int, ...], shift: int) -> None:
    """Planes of 64 samples a line and more are joined by lines."""
    numbers = noise(7, *shape).astype(np.uint16) * (257 if shift == 16 else 1)
    planes = split(numbers, shift)
    assert np.array_equal(join(*planes, shift), numbers)


def test_no_side_of_a_segment_is_longer_than_any_can_be() -> None:
    pixels = np.zeros((1, 16_384), np.uint8)
    assert np.array_equal(decompress(bfncodec.compress(pixels, "none", level=1)), pixels)
    file = take_apart(specimens()["grey"])
    file.segments = [Piece(Method.STORED, varint(1) + varint(16_384) + bytes(16_384))]
    with pytest.raises(DamagedError, match="larger than any can be"):
        decompress(put_together(file))


def test_a_preview_says_its_size_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoder takes 2 GB for a canvas of 16384 pixels a side before anybody is asked."""
    value = take_apart(specimens()["preview"]).extras[0][1][4:]
    monkeypatch.setattr("bfncodec.images.preview.open_stream", lambda *args: pytest.fail("opened"))
    canvas = b"RIFF" + (len(value) + 10).to_bytes(4, "little") + b"WEBPVP8X" + (10).to_bytes(4, "little")
    canvas += bytes(4) + b"\xff\x3f\0" * 2 + value[12:]
    for forged_value in (canvas, value[:26] + b"\xff\x3f\xff\x3f" + value[30:], value[:20]):
        crc = zlib.crc32(forged_value).to_bytes(4, "little")
        blob = forged("preview", extras=[(Tag.PREVIEW, crc + forged_value)])
        with pytest.raises(DamagedError, match=r"pixels a side|cut off"):
            bfncodec.preview(blob, codecs=CODECS)


# ---- files to compress, and models ------------------------------------------------------------


@pytest.mark.parametrize("descr", ["-" * 5000 + "1", "(" * 150, "{'a':" * 90, "[" * 190 + "]" * 190])
def test_array_files_with_heads_that_no_parser_likes(descr: str) -> None:
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {descr}, }}".encode()
    array = b"\x93NUMPY\2\0" + len(head).to_bytes(4, "little") + head + bytes(48)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.npy", array)
    with pytest.raises(InputError, match="-m auto takes it as bytes"):
        arrays_of(out.getvalue(), (4, 4, 3))


def model(folder: Path, kind: str, **changes: Any) -> Path:
    """A small model with other values in its configuration, or in its network's."""
    config, tensors = model_folders()[kind]
    network = config["network"] | changes.pop("network", {})
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config | {"network": network} | changes))
    (folder / "model.safetensors").write_bytes(save(tensors))
    return folder


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("levels", {"steps": float("inf")}),
        ("levels", {"network": {"blocks": 10**9}}),
        ("levels", {"network": {"shape": [4, 4, 0]}}),
        ("levels", {"network": {"beta": float("nan")}}),
        ("levels", {"network": {"beta": 10**400}}),
        ("staggered", {"network": {"betas": []}}),
        ("letters", {"network": {"shape": []}}),
        ("text", {"teeth_by_length": [[500, 1]]}),
        ("text", {"streams": {"length": 0, "most": 6}}),
        ("text", {"name": "\x1b[2J"}),
        ("image", {"network": {"dilations": [[1]]}}),
        ("image", {"network": {"blocks": -1}}),
    ],
)
def test_a_model_whose_configuration_makes_no_sense(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        use_model(model(tmp_path / "model", kind, **changes))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, '{"name": "x"}', "\ud800"])
def test_a_configuration_that_is_none(tmp_path: Path, text: str) -> None:
    path = model(tmp_path / "model", "image")
    (path / "config.json").write_text(text, "utf-8", "surrogatepass")
    with pytest.raises(ModelError):
        use_model(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, number: float) -> None:
    path = model(tmp_path / "model", "image")
    tensors = {name: t.clone() for name, t in model_folders()["image"][1].items()}
    name = next(name for name, t in tensors.items() if t.is_floating_point())
    tensors[name][0] = number
    (path / "model.safetensors").write_bytes(save(tensors))
    with pytest.raises(ModelError, match="finite numbers"):
        use_model(path)


def test_a_broken_model_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = models.read(model(tmp_path / "good", "image", name="good"))
    bad = model(tmp_path / "bad", "image", name="bad")
    (model(tmp_path / "deep", "image") / "config.json").write_text("[" * 100_000)
    monkeypatch.setattr(models, "search_path", lambda: [tmp_path])
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.parent == bad:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert models.find(good.id) == good
    assert {info.name for info in models.available()} == {"good", "bad"}
    with pytest.raises(ModelError, match="cannot be read"):
        _ = models.find("bad").id


# ---- fuzzing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_forged_files_and_models(cases: int) -> None:
    """A process of its own, as its memory is bounded. A million cases are for a night."""
    command = [sys.executable, "-m", "support.fuzz", "--cases", str(cases), "--seed", "1"]
    done = subprocess.run(command, cwd=TESTS, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{cases} cases, seed 1: 0 faults" in done.stdout


def test_the_fuzzer_sees_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that could not fail would say nothing."""
    specimens()  # which are made before anything is broken
    monkeypatch.setattr("bfncodec.format.segmented.whole.check_cut", lambda *args: 1 // 0)
    report = fuzz.fuzz(60, 3, models=False)
    assert report.ends["ZeroDivisionError"]
    assert any("ZeroDivisionError" in fault for fault in report.faults)


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

    monkeypatch.setattr("bfncodec.cli.commands.test.decode_data", fails)
    said = run("test", str(tmp_path / "first.bfn"), *paths, code=1)
    assert "first.bfn: internal error (ZeroDivisionError" in said
    assert "at test_hostile.py:" in said
    assert "please report" in said
    assert "sound.bfn : sound" in said


def test_the_command_never_ends_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bfncodec.cli.main.cli.main", lambda *args, **more: [].pop())
    assert _run(["models"]) == 1
    assert "internal error (IndexError: pop from empty list at test_hostile.py:" in capsys.readouterr().err


# ---- damage -----------------------------------------------------------------------------------


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, np.ndarray):
        return bool(found.dtype == wanted.dtype and np.array_equal(found, wanted))
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and same([*found.values()], [*wanted.values()])
    return bool(found == wanted and getattr(found, "info", None) == getattr(wanted, "info", None))


def check_refused(blob: bytes) -> None:
    """Damage is found before anything is decoded: no file is opened, and no model asked for."""
    with pytest.raises(BfncodecError):
        open_file(blob)
    with pytest.raises(BfncodecError):
        bfncodec.decompress(blob, codecs=NoCodecs())


SOME = ("lzma", "folder", "lines", "palette", "text_model", "many_models")


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in KINDS])
def test_every_flipped_bit_and_every_cut_is_found_before_anything_is_decoded(name: str) -> None:
    blob = specimens()[name]
    assert same(decompress(blob), decompress(blob))
    for bad in (*flips(blob), *(blob[:length] for length in range(len(blob))), blob + b"\0"):
        check_refused(bad)


def test_a_file_in_parts_knows_its_kind() -> None:
    file = take_apart(specimens()["rgb"])
    assert (file.kind, file.is_segmented) == (2, False)
    assert take_apart(specimens()["many_rgb"]).is_segmented
