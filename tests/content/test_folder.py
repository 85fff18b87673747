"""Folders as one file, through tiny archive models with random weights."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import bfncodec
from bfncodec import write_archive
from bfncodec.cli.main import cli
from bfncodec.content.folder import FileEntry, FileTable, folder_of, read_files, write_files
from bfncodec.errors import DamagedError, FormatError, InputError, NewerVersionError, OutputError
from bfncodec.files import atomic
from bfncodec.files import data as files_data
from bfncodec.files.data import encode_folder
from bfncodec.files.options import Options
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.format.compact import pack_compact
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method, Mode, Origin
from bfncodec.format.wire import varint
from bfncodec.images.files import read_file, write_file
from bfncodec.segments.policy import DEFAULT_POLICY, Policy
from support.doubles import FakeModels
from support.frames import segments_of, stored
from support.tiny import MODELS_WIN, archive_codec, export_archive

RGB, GREY, BINARY, LETTERS = "tiny-levels", "tiny-grey", "tiny-binary", "tiny-letters"
OTHERS = {"notes.txt", "empty", "deep/er/large.png", "photo.jpg", "ragged.png"}
TEXT = b"neither a picture nor of any size " * 9


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("levels", "grey", "binary", "letters"):
        export_archive(folder / kind, kind)
    return folder


@pytest.fixture(autouse=True)
def _here(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFNCODEC_MODELS", str(models))
    monkeypatch.chdir(tmp_path)


def items(models: Path, kind: str, count: int) -> np.ndarray[Any, Any]:
    """Return what a model believes in: [count, 4, 4, C]."""
    codec = archive_codec(models / kind, kind)
    data = b"".join(codec.draw(count, (), np.random.SeedSequence(5)))
    return np.frombuffer(data, np.uint8).reshape(count, *codec.config.shape)


def saved(pixels: Any, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels).squeeze()).save(out, name, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def png(pixels: Any, title: str) -> bytes:
    info = PngInfo()
    info.add_text("Title", title)
    return saved(pixels, "PNG", pnginfo=info, dpi=(72, 72), icc_profile=b"a colour profile " * 9)


def mixed(pixels: Any) -> dict[str, bytes]:
    """Pictures in all formats, and files that are no items."""
    formats: list[tuple[str, dict[str, Any]]] = [
        ("WEBP", {"lossless": True, "exact": True}),
        ("BMP", {}),
        ("PPM", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {}),
    ]
    files = {"notes.txt": TEXT, "empty": b"", "deep/er/large.png": saved(np.zeros((9, 9, 3), np.uint8), "PNG")}
    files["photo.jpg"] = saved(pixels[0], "JPEG")
    files["ragged.png"] = png(pixels[0], "cut off")[:-9]
    for n, item in enumerate(pixels):
        name, options = formats[n % 5]
        place = f"deep/{n:03}" if n % 2 else f"{n:03}"
        files[place] = png(item, f"number {n}") if n % 3 == 0 else saved(item, name, **options)
    return files


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def alone(data: bytes) -> bytes:
    """Return what a file becomes that is compressed by itself."""
    picture = read_file(data)
    return data if picture is None else write_file(picture)


def expected(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data if name in OTHERS else alone(data) for name, data in files.items()}


def run(*args: str, code: int = 0, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(cli, list(args), input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    return write(tmp_path / "set", mixed(items(models, "levels", 20)))


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---- there and back -----------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, MODELS_WIN], ids=["with LZMA", "without"])
def test_a_folder_comes_back(folder: Path, policy: Policy) -> None:
    before = found(folder)
    made = compress_file("set", options=Options(RGB, remove=True, policy=policy))
    assert not folder.exists()
    assert made.coding.methods.get("model", 0) == (policy is MODELS_WIN)
    decompress_file("set.bfn", options=Options(remove=True))
    assert listing(folder.parent) == {"set"}
    after = found(folder)
    assert after == expected(before)
    for name in before.keys() - OTHERS:
        assert opened(after[name]) == opened(before[name])
    assert opened(after["000"]).info["Title"] == "number 0"


def test_pictures_only_are_one_chain(models: Path, tmp_path: Path) -> None:
    pixels = items(models, "levels", 20)
    write(tmp_path / "set", {f"{n}.png": saved(item, "PNG") for n, item in enumerate(pixels)})
    compress_file("set", options=Options(RGB, policy=MODELS_WIN))
    assert [part.method for part in segments_of((tmp_path / "set.bfn").read_bytes())] == [Method.MODEL]
    decompress_file("set.bfn", "back")
    for n, item in enumerate(pixels):
        assert np.array_equal(opened((tmp_path / "back" / f"{n}.png").read_bytes()), item)


@pytest.mark.slow
def test_black_and_white_however_it_is_written(models: Path, tmp_path: Path) -> None:
    pixels = items(models, "binary", 40)
    files = {f"{n:03}.png": saved(item, "PNG") for n, item in enumerate(pixels)}
    files["some.png"] = saved(pixels[7, :, :, 0] == 255, "PNG")  # mode 1
    files["other.pbm"] = b"P4\n4 4\n" + bytes([0xF0, 0x10, 0x20, 0x30])
    files["notes"] = TEXT  # not among the items, which would no longer be of two values
    write(tmp_path / "set", files)
    compress_file("set", options=Options(BINARY, policy=MODELS_WIN))
    methods = [part.method for part in segments_of((tmp_path / "set.bfn").read_bytes())]
    assert methods == [Method.LZMA, Method.MODEL]
    run("decompress", "set.bfn", "-o", "back")
    after = found(tmp_path / "back")
    assert after == {name: alone(data) for name, data in files.items()}
    assert opened(after["some.png"]).mode == "1"


def test_grey_models_take_grey_pictures(models: Path) -> None:
    pixels = items(models, "grey", 3)
    files = {"b.png": saved(pixels[0], "PNG"), "a.png": saved(np.zeros((4, 4, 3), np.uint8), "PNG")}
    content = folder_of(files, (4, 4, 1))
    assert [(entry.path, entry.mode) for entry in content.entries if entry.is_picture] == [("b.png", Mode.L)]
    assert content.data == files["a.png"] + pixels[0].tobytes()


def test_through_the_api(models: Path) -> None:
    files = mixed(items(models, "levels", 7))
    blob = bfncodec.compress(files, RGB)
    assert bfncodec.decompress(blob) == expected(files)
    assert list(bfncodec.decompress(blob)) == sorted(files)
    for model in ("auto", "none"):
        with pytest.raises(InputError, match="name one"):
            bfncodec.compress(files, model)
    for path in ("../x", "/x", "a//b", "a/./b", "", "a\0b", "\udc80", "000/x"):
        with pytest.raises(InputError, match="stay in the folder"):
            bfncodec.compress({**files, path: b"x"}, RGB)


def test_byte_for_byte_where_that_is_asked_for(folder: Path) -> None:
    before = found(folder)
    run("compress", "-m", RGB, "--bytes", "--rm", "set")
    run("decompress", "set.bfn")
    assert found(folder) == before


@pytest.mark.slow
def test_large_other_files_are_cut(models: Path) -> None:
    files = mixed(items(models, "levels", 20))
    blob = bfncodec.compress(files, RGB, policy=replace(MODELS_WIN, plain_segment=100, archive_segment=48 * 7))
    content = folder_of(files, (4, 4, 3))
    parts = segments_of(blob)
    others = -(-content.first // 100)
    assert others > 3
    assert [part.extent[0][0] for part in parts[: others + 1]] == [
        content.first * k // others for k in range(others + 1)
    ]
    assert [part.extent[0][0] for part in parts[others:]] == [content.first + 48 * k for k in (0, 6, 13)]
    assert bfncodec.decompress(blob) == expected(files)


def test_pixels_like_the_head_of_an_array_file(models: Path) -> None:
    pixels = items(models, "levels", 9).copy()
    pixels[0].reshape(-1)[:10] = np.frombuffer(b"\x93NUMPY\x01\0\x10\0", np.uint8)
    files = {f"{n}.png": saved(item, "PNG") for n, item in enumerate(pixels)}
    for others in ({}, {"notes": TEXT}):
        blob = bfncodec.compress({**files, **others}, RGB)
        assert bfncodec.decompress(blob).keys() == {**files, **others}.keys()


# ---- what users see -----------------------------------------------------------------------------


def test_the_command_says_what_became_of_a_folder(folder: Path) -> None:
    *_, line = run("compress", "-m", RGB, "--rm", "-v", "set").stderr.splitlines()
    assert line.startswith("set : ")
    assert "segments: 2 lzma" in line
    assert run("decompress", "--rm", "set.bfn").stderr.startswith("set.bfn : ")
    assert listing(folder.parent) == {"set"}


def test_list_and_test(folder: Path) -> None:
    run("compress", "-m", RGB, "set")
    count = len(found(folder))
    assert f"folder  {count} files" in " ".join(run("list", "set.bfn").stdout.splitlines()[1].split(" ")).replace(
        "   ", "  "
    )
    (described,) = json.loads(run("list", "--json", "set.bfn").stdout)
    assert (described["content"], described["sides"]) == ("folder", [count])
    size = sum(map(len, expected(found(folder)).values()))
    assert run("test", "set.bfn").stderr == f"set.bfn : sound, {count} files, {size} bytes\n"
    assert listing(folder.parent) == {"set", "set.bfn"}


def test_pipes(folder: Path) -> None:
    blob = run("compress", "-m", RGB, "-c", "set").stdout_bytes
    (folder.parent / "x.bfn").write_bytes(blob)
    for args in (["x.bfn", "-c"], ["-"], ["-o", "-", "x.bfn"]):
        result = run("decompress", *args, stdin=blob, code=1)
        assert result.stdout == ""
        assert "holds a folder, which standard output cannot: name a place for it with -o" in result.stderr
    run("decompress", "-", "-o", "back", stdin=blob)
    assert found(folder.parent / "back").keys() == found(folder).keys()
    assert "exists already" in run("decompress", "-", "-o", "back", stdin=blob, code=1).stderr


@pytest.mark.slow
def test_where_results_go(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    run("compress", "-m", RGB, "set/", "-o", "out")
    run("decompress", "out/set.bfn", "-o", "out")
    assert listing(tmp_path / "out") == {"set", "set.bfn"}
    monkeypatch.chdir(folder)
    run("compress", "-m", RGB, ".")
    run("compress", "-m", RGB, ".", "-o", "../out/", "-f")
    assert (tmp_path / "set.bfn").read_bytes() == (tmp_path / "out" / "set.bfn").read_bytes()


def test_each_file_alone_with_r(folder: Path) -> None:
    count = len(found(folder))
    run("compress", "-m", "none", "-r", "set")
    assert len(found(folder)) == 2 * count


def test_measure(folder: Path) -> None:
    (measured,) = json.loads(run("measure", "--json", "-m", RGB, "set").stdout)
    blob, content = encode_folder(folder, Options(RGB), bfncodec.Models())
    assert (measured["dims"], measured["container_bytes"]) == (len(content.data), len(blob))


def test_what_is_there_is_replaced_only_when_asked(folder: Path, tmp_path: Path) -> None:
    run("compress", "-m", RGB, "set")
    assert "exists already: use -f" in run("compress", "-m", RGB, "set", code=1).stderr
    assert "exists already: use -f" in run("decompress", "set.bfn", code=1).stderr
    (folder / "later").write_bytes(b"x")
    before = found(folder)
    assert "set holds 'later', which would be lost" in run("decompress", "-f", "set.bfn", code=1).stderr
    assert found(folder) == before
    (folder / "later").unlink()
    (folder / "link").symlink_to(folder)
    assert "set holds 'link'" in run("decompress", "-f", "set.bfn", code=1).stderr
    (folder / "link").unlink()
    changed = min(path for path in folder.rglob("*") if path.is_file())
    changed.write_bytes(b"another")
    run("decompress", "-f", "set.bfn")
    assert changed.read_bytes() != b"another"
    (tmp_path / "a file").write_bytes(b"x")
    assert "exists already" in run("decompress", "set.bfn", "-o", "a file", code=1).stderr
    run("decompress", "-f", "set.bfn", "-o", "a file")
    assert found(tmp_path / "a file") == found(folder)
    assert listing(tmp_path) == {"set", "set.bfn", "a file"}


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize(("mode", "inside"), [(0o700, 0), (0o750, 0o050), (0o755, 0o055)])
def test_what_is_private_stays_so(folder: Path, tmp_path: Path, mode: int, inside: int) -> None:
    folder.chmod(mode)
    before = os.umask(0o022)
    try:
        run("compress", "-m", RGB, "set")
        blob = tmp_path / "set.bfn"
        assert stat.S_IMODE(blob.stat().st_mode) & 0o077 == inside & 0o044
        run("decompress", "set.bfn", "-o", "made")
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) & 0o077 == inside
        write_archive(tmp_path / "items.bfn", {"a": b"a", "b": b"b"}, Options("none"))
        (tmp_path / "items.bfn").chmod(mode & 0o644)
        run("decompress", "items.bfn", "-o", "all")
        run("decompress", "items.bfn", "--only", "a", "-o", "one")
        run("decompress", "items.bfn", "--only", "0:2", "-o", "two")
        for made in ("all", "two"):
            assert stat.S_IMODE((tmp_path / made).stat().st_mode) & 0o077 == inside
        assert stat.S_IMODE((tmp_path / "one").stat().st_mode) & 0o077 == inside & 0o044
    finally:
        os.umask(before)


def test_a_folder_in_use_is_not_replaced(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("compress", "-m", RGB, "set")
    blob = (tmp_path / "set.bfn").read_bytes()
    (folder / "set.bfn").write_bytes(blob)
    with pytest.raises(OutputError, match="is in the folder"):
        decompress_file(folder / "set.bfn", folder, Options(force=True))
    with pytest.raises(OutputError, match="is in the folder"):
        compress_file(folder, folder / "set.bfn", Options(RGB, force=True))
    monkeypatch.chdir(folder)
    assert "the folder you are in" in run("decompress", "-f", "-", "-o", "..", stdin=blob, code=1).stderr
    assert (folder / "set.bfn").exists()


def test_a_file_is_not_written_over_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.bfn").write_bytes(bfncodec.compress(b"a file", "none"))
    with pytest.raises(OutputError, match="is a folder"):
        decompress_file("x.bfn", "set", Options(force=True))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_never_half_a_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    run("compress", "-m", RGB, "set")
    left, sync, rename = [3], os.fsync, Path.rename

    def fail(handle: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise error
        sync(handle)

    def stay(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise error
        return rename(path, target)

    before = found(folder)
    for place, broken in ((os, ("fsync", fail)), (Path, ("rename", stay))):
        for target in ("new", "set"):
            with monkeypatch.context() as patch:
                patch.setattr(place, *broken)
                if place is Path:
                    patch.setattr(atomic, "_swapped", lambda one, other: False)
                left[0] = 3
                with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
                    decompress_file("set.bfn", target, Options(force=True))
            assert listing(tmp_path) == {"set", "set.bfn"}
            assert found(folder) == before


# ---- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "model", "error"),
    [
        ({}, RGB, "expected a folder with files, found none"),
        ({"a.txt": TEXT}, RGB, "found no file that is an RGB picture of 4 x 4 pixels: use -r"),
        ({"a.txt": TEXT}, BINARY, "found no file that is a grey picture"),
        ({"a.txt": TEXT}, LETTERS, "codes no pictures of one shape, so no folder: use -r"),
        ({"a.txt": TEXT}, "auto", "is a folder: use -r"),
        ({"a.txt": TEXT}, "missing", "missing is not on this machine"),
    ],
)
def test_folders_that_cannot_be_one_file(tmp_path: Path, files: dict[str, bytes], model: str, error: str) -> None:
    (tmp_path / "set" / "empty").mkdir(parents=True)
    write(tmp_path / "set", files)
    assert error in run("compress", "-m", model, "set", code=1).stderr
    assert listing(tmp_path) == {"set"}


def test_links_are_left_out_and_keep_the_folder(folder: Path, tmp_path: Path) -> None:
    before = found(folder)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to("000")
    (folder / "deep" / "out").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe")
    lines = run("compress", "-q", "-m", RGB, "--rm", "set", code=1).stderr.splitlines()
    assert lines == [
        "bfncodec: set/link: is a symbolic link: left out",
        "bfncodec: set/pipe: is neither a file nor a folder: left out",
        "bfncodec: set/deep/out: is a symbolic link: left out",
        "bfncodec: set: compressed, but not removed, as something in it was left out",
    ]
    run("decompress", "set.bfn", "-o", "back")
    assert found(tmp_path / "back").keys() == before.keys()
    with pytest.raises(InputError, match="symbolic link"):
        compress_file("set", "other.bfn", Options(RGB))


def test_only_what_was_compressed_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = atomic.place

    def slow(*args: Any, **options: Any) -> None:
        place(*args, **options)
        (folder / "deep" / "later").write_bytes(b"x")

    monkeypatch.setattr(atomic, "place", slow)
    before = found(folder)
    assert "something has come into it since" in run("compress", "-m", RGB, "--rm", "set", code=1).stderr
    assert found(folder) == before | {"deep/later": b"x"}


def test_removed_only_when_verified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = files_data.encode_frame
    monkeypatch.setattr(files_data, "encode_frame", lambda *args, **more: encode(*args, **more)[:-20] + bytes(20))
    assert "does not decode" in run("compress", "-m", RGB, "--rm", "--no-verify", "set", code=1).stderr
    assert listing(folder.parent) == {"set"}


def test_other_zip_files_are_bytes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as file:
        file.writestr("a.txt", "no array")
    run("compress", "-m", RGB, "y.zip")


# ---- damage and malice --------------------------------------------------------------------------


def damaged(blob: bytes, number: int) -> bytes:
    """Half of a segment's payload changed, which is more than can be repaired."""
    part = segments_of(blob)[number]
    at, size = blob.index(part.payload) + 8, len(part.payload) // 2
    return blob[:at] + bytes(byte ^ 0x5A for byte in blob[at : at + size]) + blob[at + size :]


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2, 4])
def test_salvage(folder: Path, tmp_path: Path, number: int) -> None:
    blob = bfncodec.compress(found(folder), RGB, policy=replace(MODELS_WIN, archive_segment=48 * 5))
    content = folder_of(found(folder), (4, 4, 3))
    assert len(segments_of(blob)) == 5  # the other files, and four times five pictures
    pictures = [entry.path for entry in content.entries if entry.is_picture]
    others = {entry.path for entry in content.entries if not entry.is_picture and entry.size}
    lost = set(pictures[5 * number - 5 : 5 * number]) if number else others
    (tmp_path / "bad.bfn").write_bytes(damaged(blob, number))
    assert f"segment {number + 1} of 5: " in run("decompress", "bad.bfn", code=1).stderr
    assert f"segment {number + 1} of 5: " in run("test", "bad.bfn", code=1).stderr
    assert listing(tmp_path) == {"set", "bad.bfn"}
    lines = run("decompress", "--salvage", "bad.bfn", code=1).stderr.splitlines()
    assert lines[0].startswith(f"bfncodec: bad.bfn: segment {number + 1} of 5 (")
    assert lines[1:-1] == [f"bfncodec: bad.bfn: {name} is lost and left out" for name in sorted(lost)]
    assert found(tmp_path / "bad").keys() == found(folder).keys() - lost


@pytest.mark.slow
def test_a_flipped_bit_loses_no_picture(folder: Path, tmp_path: Path) -> None:
    blob = bfncodec.compress(found(folder), RGB, policy=replace(MODELS_WIN, archive_segment=48 * 5))
    part = segments_of(blob)[2]
    at = blob.index(part.payload) + len(part.payload) // 2
    (tmp_path / "bad.bfn").write_bytes(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
    said = run("decompress", "bad.bfn", code=1).stderr  # nothing is decoded to find out how much is left
    assert "segment 3 of 5: checksum mismatch of the coded bytes: --salvage for what may be left" in said
    line, *_ = run("decompress", "--salvage", "bad.bfn", code=1).stderr.splitlines()
    assert line.startswith("bfncodec: bad.bfn: segment 3 of 5 was damaged and nothing of it is lost: ")
    assert found(tmp_path / "bad") == bfncodec.decompress(blob)


def test_any_flipped_bit_is_found(models: Path) -> None:
    blob = bfncodec.compress(mixed(items(models, "levels", 4)), RGB)
    for at in range(0, len(blob), 7):
        with pytest.raises(FormatError):
            bfncodec.decompress(blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :])


def crafted(value: bytes, data: bytes = b"x", kind: Kind = Kind.BYTES) -> bytes:
    """A sound file with any table of files."""
    header = Header(kind, extras=(Extra(Tag.FILES, value),))
    return pack_compact(header, stored(data))


def table(*paths: bytes, look: int = 0, sides: tuple[int, int] = (4, 4), size: int = 1, rest: bytes = b"") -> bytes:
    head = b"".join(map(varint, [*sides, len(paths)]))
    sizes = [varint(size if n == 0 else 0) for n in range(len(paths))] if not look else []
    return head + b"".join(path + b"\0" for path in paths) + bytes([look]) * len(paths) + b"".join(sizes) + rest


def test_a_crafted_file_that_is_good() -> None:
    assert bfncodec.decompress(crafted(table(b"a", b"b/c"))) == {"a": b"x", "b/c": b""}


BAD_PATHS = [b"../x", b"/x", b"a/../../x", b"..", b".", b"", b"a//b", b"a/", b"./a", b"a/.", b"\xff", b"\xed\xa0\x80"]


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize(
    "command", [["decompress"], ["decompress", "--salvage"], ["decompress", "-f"], ["test"], ["list"]]
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, path: bytes, command: list[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.bfn").write_bytes(crafted(table(path)))
    stderr = run(*command, "in/bad.bfn", code=1).stderr
    assert "do not trust this file" in stderr or "in UTF-8" in stderr
    assert listing(tmp_path / "in") == {"bad.bfn"}
    assert listing(tmp_path) == {"in"}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        table(),
        table(b"a", b"a"),
        table(b"b", b"a"),
        table(b"a", b"a-b", b"a/b"),
        table(b"a", size=2),
        table(b"a", rest=b"x"),
        table(b"a")[:-2],
        table(b"a")[:3] + b"no end",
        b"\4\4" + varint(1 << 60),
        table(b"a", look=Origin.PNG << 4 | Mode.RGBA),
        table(b"a", look=Origin.ARRAY << 4 | Mode.L, sides=(1, 1), rest=b"\0"),
        table(b"a", look=Origin.OBJECT << 4 | Mode.L, sides=(1, 1), rest=b"\0"),
        table(b"a", look=Origin.PNG << 4 | Mode.L, sides=(0, 1), rest=b"\0"),
        table(b"a", look=Origin.PNG << 4 | Mode.L, sides=(1 << 60, 1 << 60), rest=b"\0"),
        table(b"a", look=Origin.PNG << 4 | Mode.L, sides=(1, 1)),
    ],
)
def test_tables_that_cannot_be_are_damage(value: bytes) -> None:
    with pytest.raises(DamagedError):
        bfncodec.decompress(crafted(value))
    with pytest.raises(DamagedError):
        bfncodec.describe(crafted(value))


def test_tables_of_the_future() -> None:
    with pytest.raises(NewerVersionError):
        bfncodec.decompress(crafted(table(b"a", look=0xF0)))
    critical = bytes([0xBF, 0])
    with pytest.raises(NewerVersionError):
        bfncodec.decompress(
            crafted(table(b"a", look=Origin.PNG << 4 | Mode.L, sides=(1, 1), rest=varint(2) + critical))
        )


def test_folders_are_bytes() -> None:
    with pytest.raises(DamagedError, match=r"kind str"):
        bfncodec.decompress(crafted(table(b"a"), kind=Kind.STR))


def test_metadata_that_cannot_be_names_the_file() -> None:
    entry = FileEntry("a", 1, Origin.PNG, Mode.L, (Extra(Tag.CHUNKS, b"half"),))
    value = write_files([entry], (1, 1)).value
    with pytest.raises(DamagedError, match=r"^a: "):
        bfncodec.decompress(crafted(value))
    bad = FileEntry("a", 1, Origin.PNG, Mode.BILEVEL)
    assert bfncodec.decompress(crafted(write_files([bad], (1, 1)).value))["a"].startswith(b"\x89PNG")


part = st.text(st.characters(codec="utf-8", exclude_characters="/\0\\:"), min_size=1, max_size=6)
paths = st.lists(part.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map("/".join)
looks = st.sampled_from(
    [(Origin.PNG, Mode.RGB), (Origin.TIFF, Mode.BILEVEL), (Origin.PPM, Mode.L), (Origin.OBJECT, Mode.RGB)]
)
TAGS = {Origin.PNG: Tag.CHUNKS, Origin.TIFF: Tag.STRIPS, Origin.PPM: Tag.LAYOUT, Origin.OBJECT: Tag.INFO}
metadata = st.lists(st.binary(max_size=90), max_size=1)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.dictionaries(paths, st.tuples(looks, metadata, st.integers(0, 1 << 40)), min_size=1, max_size=9))
def test_tables_come_back(files: dict[str, Any]) -> None:
    entries = []
    for path, ((origin, mode), values, size) in sorted(files.items()):
        plain, extras = origin is Origin.OBJECT, tuple(Extra(int(TAGS[origin]), value) for value in values)
        entries.append(FileEntry(path, size) if plain else FileEntry(path, 4 * 5 * mode.channels, origin, mode, extras))
    header = Header(Kind.BYTES, extras=(write_files(entries, (4, 5)),))
    folders = {"/".join(path.split("/")[:n]) for path in files for n in range(1, path.count("/") + 1)}
    if folders & files.keys():
        with pytest.raises(DamagedError):
            read_files(header, sum(entry.size for entry in entries))
    else:
        assert read_files(header, sum(entry.size for entry in entries)) == FileTable(tuple(entries), (4, 5))


@pytest.mark.parametrize(
    ("origin", "extras", "message"),
    [
        (Origin.TIFF, [Tag.CHUNKS], "0x81 cannot stand in .* a picture of origin 6"),
        (Origin.PNG, [Tag.CHUNKS, Tag.CHUNKS], "0x81 is there twice"),
        (Origin.PNG, [Tag.SOURCE], "0x05 cannot stand"),
        (Origin.PPM, [Tag.FILES], "0x85 cannot stand"),
        (Origin.PNG, [Tag.INFO], "0x01 cannot stand"),
    ],
)
def test_pictures_have_the_extras_of_files_of_their_origin(origin: Origin, extras: list[Tag], message: str) -> None:
    entry = FileEntry("a", 60, origin, Mode.RGB, tuple(Extra(tag, b"x") for tag in extras))
    header = Header(Kind.BYTES, extras=(write_files([entry], (4, 5)),))
    with pytest.raises(DamagedError, match=message):
        read_files(header, 60)


def test_other_models_and_folders(folder: Path) -> None:
    for model in ("photo", "text"):
        with pytest.raises(InputError, match="is a folder: compress the files in it"):
            compress_file(folder, options=Options(model), codecs=FakeModels())
