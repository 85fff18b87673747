"""Where the command line writes, and what it removes: no two results in one place, nothing removed that is not safe."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import bfncodec
from bfncodec.errors import InputError, OutputError
from bfncodec.files import atomic, collisions, sources
from bfncodec.files import data as files_data
from bfncodec.files.collisions import Step
from bfncodec.files.options import Options
from bfncodec.files.sources import read_folder
from bfncodec.files.transfer import compress_file, decompress_file
from support.commands import ENVIRONMENT, TEXT, names, run
from support.doubles import FakeModels, noise

PROGRAM = [sys.executable, "-m", "bfncodec"]
PLAIN = Options(model="none")
REMOVE = Options(model="none", remove=True)


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bfncodec.api.Models", lambda device, threads: FakeModels())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("d1", "d2", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "d1" / "x").write_bytes(TEXT)
    (tmp_path / "d2" / "x").write_bytes(TEXT[::-1])
    return tmp_path


def kept(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


# ---- two sources, one target --------------------------------------------------------------------


@pytest.mark.parametrize("force", [[], ["-f"]])
@pytest.mark.parametrize(
    "args",
    [
        ["compress", "--rm", "-o", "out", "d1/x", "d2/x"],
        ["compress", "--rm", "-r", "-o", "out", "d1", "d2"],
        ["compress", "--rm", "-o", "out", "d1/x", "d1/../d1/x"],
        ["compress", "--rm", "-o", "out/", "d1/x", "linked/x"],
        ["decompress", "--rm", "-o", "out", "e1/x.bfn", "e2/x.bfn"],
        ["decompress", "--rm", "-r", "-o", "out", "e1", "e2"],
    ],
    ids=" ".join,
)
def test_two_sources_never_have_one_target(folder: Path, args: list[str], force: list[str]) -> None:
    (folder / "linked").symlink_to("d2")
    for number in (1, 2):
        (folder / f"e{number}").mkdir()
        (folder / f"e{number}" / "x.bfn").write_bytes(bfncodec.compress(TEXT * number, "none"))
    before = kept(folder)
    errors = run(*args, *force, code=1).stderr
    assert kept(folder) == before
    assert "would become out/x" in errors
    assert errors.count("\n") == 1


def test_links_to_one_target_are_one(folder: Path) -> None:
    (folder / "out" / "a.bfn").write_bytes(b"there")
    (folder / "out" / "b.bfn").symlink_to("a.bfn")
    for name in "ab":
        (folder / name).write_bytes(TEXT)
    before = kept(folder)
    assert "as a would" in run("compress", "--rm", "-f", "-o", "out", "a", "b", code=1).stderr
    assert kept(folder) == before


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_a_source_is_no_target_of_another(folder: Path, force: list[str]) -> None:
    blob = bfncodec.compress(TEXT, "none")
    (folder / "a").write_bytes(TEXT)
    (folder / "a.bfn").write_bytes(blob)
    (folder / "a.bfn.bfn").write_bytes(bfncodec.compress(blob, "none"))
    before = kept(folder)
    assert "a.bfn, which is to be read" in run("compress", *force, "a", "a.bfn", code=1).stderr
    assert "a.bfn, which is to be read" in run("decompress", *force, "a.bfn.bfn", "a.bfn", code=1).stderr
    assert kept(folder) == before


def test_a_source_is_not_in_the_target_of_another(folder: Path) -> None:
    blob = bfncodec.compress(TEXT, "none")
    (folder / "d1.bfn").write_bytes(blob)
    (folder / "d1" / "x.bfn").write_bytes(blob)
    before = kept(folder)
    assert "where d1/x.bfn has its place" in run("decompress", "-f", "d1.bfn", "d1/x.bfn", code=1).stderr
    assert kept(folder) == before


def test_names_are_compared_as_the_file_system_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("x", "X"), ("\u00e9", "e\u0301"), ("stra\u00dfe", "STRASSE"), ("\u00c9", "e\u0301")]
    for folds, count in ((True, 1), (False, 0)):
        monkeypatch.setattr(collisions, "_folds", lambda folder, folds=folds: folds)
        for one, other in pairs:
            steps = [Step(Path("a"), Path("out", one)), Step(Path("b"), Path("out", other))]
            assert len(collisions.clashes(steps)) == count
        assert not collisions.clashes([Step(Path("a"), Path("x")), Step(Path("b"), Path("y"))])
    several = [Step(Path(str(n)), Path("out", name)) for n, name in enumerate(["A", "a", "a"])]
    assert [source for source, _ in collisions.clashes(several)] == [Path("2")]


def test_whether_a_folder_tells_cases_apart_is_tried_out(folder: Path) -> None:
    (folder / "Case").touch()
    assert collisions._folds(folder / "out" / "not" / "there") == (folder / "cASE").exists()
    assert list((folder / "out").iterdir()) == []


# ---- --rm ---------------------------------------------------------------------------------------


def written_meanwhile(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replaced_meanwhile(path: Path) -> None:
    found = path.stat()
    other = path.with_name("other")
    other.write_bytes(bytes(found.st_size))
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)


def set_back_meanwhile(path: Path) -> None:
    found = path.stat()
    path.write_bytes(bytes(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("change", [written_meanwhile, replaced_meanwhile, set_back_meanwhile])
@pytest.mark.parametrize("direction", ["compress", "decompress"])
def test_a_source_that_changed_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, direction: str, change: object
) -> None:
    source = folder / ("x" if direction == "compress" else "x.bfn")
    source.write_bytes(TEXT if direction == "compress" else bfncodec.compress(TEXT, "none"))
    place = atomic.place

    def late(*args: object, **given: object) -> None:
        place(*args, **given)  # type: ignore[arg-type]
        change(source)  # type: ignore[operator]

    monkeypatch.setattr(atomic, "place", late)
    call = compress_file if direction == "compress" else decompress_file
    with pytest.raises(OutputError, match="was changed since it was read: it is kept"):
        call(source, options=REMOVE)
    assert source.exists()


def test_a_folder_that_changed_is_kept(folder: Path) -> None:
    known: dict[str, sources.Identity] = {}
    (folder / "d1" / "y").write_bytes(b"y")
    read_folder(folder / "d1", None, known)
    written_meanwhile(folder / "d1" / "y")
    with pytest.raises(OutputError, match="was changed"):
        sources.remove_folder(folder / "d1", known, [])
    assert names(folder / "d1") == {"x", "y"}
    known.clear()
    read_folder(folder / "d1", None, known)
    (folder / "d1" / "deep").mkdir()
    (folder / "d1" / "deep" / "z").write_bytes(b"z")
    with pytest.raises(OutputError, match="something has come into it"):
        sources.remove_folder(folder / "d1", known, [])
    assert names(folder / "d1") == {"x", "y", "deep/z"}
    (folder / "d1" / "deep" / "z").unlink()
    sources.remove_folder(folder / "d1", known, [])
    assert not [path for path in folder.iterdir() if path.name not in ("d2", "out")]


def test_of_a_folder_only_the_name_that_was_given_is_removed(folder: Path) -> None:
    known: dict[str, sources.Identity] = {}
    (folder / "link").symlink_to("d1")
    read_folder(folder / "link", None, known)
    sources.remove_folder(folder / "link", known, [])
    assert names(folder) == {"d1/x", "d2/x"}
    assert not (folder / "link").is_symlink()


def test_a_file_that_changes_while_it_is_read_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([Path("d1/x").stat(), Path("d2/x").stat()])
    monkeypatch.setattr(sources, "os", SimpleNamespace(fstat=lambda handle: next(found)))
    with pytest.raises(InputError, match="was changed while it was read"):
        sources.read(folder / "d1" / "x")


@pytest.mark.parametrize(
    ("args", "removed"),
    [(["--rm"], True), (["--rm", "-k"], False), (["-k", "--rm"], True), (["--rm", "--keep"], False)],
)
def test_the_last_of_rm_and_keep_counts(folder: Path, args: list[str], removed: bool) -> None:
    run("compress", *args, "d1/x")
    assert (folder / "d1" / "x").exists() != removed


def test_what_is_removed_is_verified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = files_data.encode_frame
    monkeypatch.setattr(files_data, "encode_frame", lambda *args, **more: encode(*args, **more)[:-1] + b"\1")
    assert "does not decode" in run("compress", "--rm", "--no-verify", "d1/x", code=1).stderr
    assert (folder / "d1" / "x").exists()


def test_what_is_decompressed_is_read_back_before_the_source_goes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "y.bfn").write_bytes(bfncodec.compress(TEXT, "none"))
    write = atomic._write_synced
    monkeypatch.setattr(atomic, "_write_synced", lambda path, data, like: write(path, data[:-1], like))
    assert "reads back as something else" in run("decompress", "--rm", "y.bfn", code=1).stderr
    assert (folder / "y.bfn").exists()
    assert not (folder / "y").exists()


def test_no_source_is_removed_for_a_device(folder: Path) -> None:
    assert "the source would be lost" in run("compress", "--rm", "d1/x", "-o", "/dev/null", code=1).stderr
    assert (folder / "d1" / "x").read_bytes() == TEXT


def test_no_pipe_is_removed(folder: Path, pipe: Path) -> None:
    """Other programs may be about to use a pipe, and what came out of it was never in it."""
    writer = subprocess.Popen([sys.executable, "-c", "open('pipe', 'w').write('to be or not to be')"])
    result = run("compress", "--rm", "-m", "none", "pipe", "-o", "x", code=1)
    writer.wait(20)
    assert "is a pipe or device: it is kept" in result.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert bfncodec.decompress((folder / "x").read_bytes()) == b"to be or not to be"


def test_no_source_is_removed_for_a_part_of_it(folder: Path) -> None:
    blob = folder / "x.bfn"
    blob.write_bytes(bfncodec.compress(TEXT, "none", lines=True))
    for options in (Options(remove=True, line=1), Options(remove=True, on_damage=print)):
        with pytest.raises(InputError, match="is not the whole"):
            decompress_file(blob, options=options)
    assert names(folder) == {"d1/x", "d2/x", "x.bfn"}


# ---- streams and folders ------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs names of open files")
def test_an_open_file_that_does_not_wait_gets_all() -> None:
    data, (read, write) = noise(5, 300_000).tobytes(), os.pipe()
    os.set_blocking(write, False)
    with ThreadPoolExecutor(1) as pool, os.fdopen(read, "rb") as pipe:
        placed = pool.submit(atomic.place, Path(f"/dev/fd/{write}"), data)
        placed.add_done_callback(lambda _: os.close(write))
        time.sleep(0.2)  # until it is full
        assert pipe.read() == data
        placed.result()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("force", [[], ["-f"]])
def test_what_the_shell_opened_is_not_replaced(folder: Path, name: str, force: list[str]) -> None:
    (folder / "link").symlink_to("/dev/stdout")
    with (folder / "result").open("wb") as result:
        result.write(b"before ")
        result.flush()
        subprocess.run(
            [*PROGRAM, "compress", "-m", "none", *force, "-o", name, "d1/x"], stdout=result, check=True, env=ENVIRONMENT
        )
        subprocess.run(["echo", "after"], stdout=result, check=True)
    found = (folder / "result").read_bytes()
    assert found.startswith(b"before \xbf\x4e")
    assert found.endswith(b"after\n")
    assert bfncodec.decompress(found[7:-6]) == TEXT


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
def test_other_open_files_are_written_to(folder: Path) -> None:
    with (folder / "result").open("w+b") as result:
        atomic.place(Path(f"/dev/fd/{result.fileno()}"), b"one ")
        atomic.place(Path(f"/proc/self/fd/{result.fileno()}"), b"two", force=True)
        assert (folder / "result").read_bytes() == b"one two"
    with pytest.raises(OutputError, match="another process has open"):
        atomic.place(Path(f"/proc/{os.getppid()}/fd/1"), b"x", force=True)


@pytest.fixture
def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def test_pipes_are_written_to(folder: Path, pipe: Path) -> None:
    (folder / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE)
        run("compress", "-m", "none", "-f", "-o", name, "d1/x")
        assert bfncodec.decompress(reader.communicate(timeout=120)[0]) == TEXT
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert (folder / "link").is_symlink()


def test_a_slash_at_the_end_says_folder(folder: Path) -> None:
    run("compress", "-m", "none", "d1/x", "-o", "new/deep/")
    assert names(folder / "new") == {"deep/x.bfn"}
    run("decompress", "new/deep/x.bfn", "-o", "back/")
    assert (folder / "back" / "x").read_bytes() == TEXT
    run("compress", "-m", "none", "-r", "d1", "-o", "several/")
    assert names(folder / "several") == {"x.bfn"}
    before = kept(folder)
    assert "is there and no folder" in run("compress", "d1/x", "-o", "d2/x/", code=1).stderr
    assert "name a file in it" in run("compress", "-o", "none/", stdin=TEXT, code=1).stderr
    for args in (["preview", "new/deep/x.bfn"], ["sample", "text"]):
        assert "name a file in it" in run(*args, "-o", "none/", code=2).stderr
    assert kept(folder) == before
    assert not (folder / "none").exists()


def test_what_is_passed_over_is_named(folder: Path, pipe: Path) -> None:
    there = folder / "d1"
    pipe.rename(there / "pipe")
    (there / "nothing").symlink_to("not there")
    (there / "loop").symlink_to(there)
    (there / "linked").symlink_to(folder / "d2" / "x")
    (there / "empty").mkdir()
    (there / ".0123456789ab.bfn.part").write_bytes(b"half")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("d1/socket")
    result = run("compress", "-m", "none", "-r", "d1", "-o", "out")
    assert sorted(line for line in result.stderr.splitlines() if " bpd " not in line) == [
        "d1/.0123456789ab.bfn.part : was left behind by a process that was killed: passed over",
        "d1/empty : is an empty folder: passed over",
        "d1/linked : is a symbolic link: passed over",
        "d1/loop : is a symbolic link: passed over",
        "d1/nothing : is a symbolic link to nothing: passed over",
        "d1/pipe : is neither a file nor a folder: passed over",
        "d1/socket : is neither a file nor a folder: passed over",
    ]
    assert names(folder / "out") == {"x.bfn"}
    assert run("compress", "-q", "-f", "-m", "none", "-r", "d1", "-o", "out").stderr == ""


def test_a_folder_that_cannot_be_read_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def denied(path: str | os.PathLike[str]) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    (folder / "d1" / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", denied)
    stderr = run("compress", "-m", "none", "-r", "d1", code=1).stderr
    assert "bfncodec: d1/locked: cannot be read: Permission denied" in stderr
    assert (folder / "d1" / "x.bfn").exists()


# ---- what appears, and when ---------------------------------------------------------------------


def test_what_appears_meanwhile_is_not_replaced_unasked(folder: Path) -> None:
    def other(written: bytes) -> None:
        (folder / "target").write_bytes(b"of another process")

    with pytest.raises(OutputError, match="target exists already"):
        atomic.place(folder / "target", b"ours", check=other)
    assert (folder / "target").read_bytes() == b"of another process"
    assert names(folder) == {"d1/x", "d2/x", "target"}
    atomic.place(folder / "target", b"ours", check=other, force=True)
    assert (folder / "target").read_bytes() == b"ours"


def test_without_hard_links_files_are_placed_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    atomic.place(folder / "target", b"ours")
    assert (folder / "target").read_bytes() == b"ours"
    with pytest.raises(OutputError, match="exists already"):
        atomic.place(folder / "target", b"other")


def test_all_is_on_the_disk_before_it_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file, then every folder in a folder, then the name, then the folder that holds the name; then removal."""
    done: list[str] = []
    fsync, rename, link, unlink = os.fsync, Path.rename, os.link, Path.unlink

    def synced(handle: int) -> None:
        done.append("sync " + str(Path(f"/proc/self/fd/{handle}").readlink()).replace(str(folder.resolve()), ""))
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"name {target.name}")
        return rename(path, target)

    def linked(path: Path, target: Path) -> None:
        done.append(f"name {target.name}")
        link(path, target)

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        done.append(f"remove {path.name}")
        unlink(path, missing_ok)

    for owner, name, value in (
        (os, "fsync", synced), (Path, "rename", renamed), (os, "link", linked), (Path, "unlink", unlinked),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, value)
    compress_file(folder / "d1" / "x", options=REMOVE)
    hidden, *rest = done
    assert atomic.is_leftover(Path(hidden.removeprefix("sync ")).name)
    assert rest[:2] == ["name x.bfn", "sync /d1"]
    assert rest[-1] == "remove x"
    done.clear()
    atomic.place_folder(folder / "made", {"a": b"1", "deep/b": b"2"})
    order = [step.split("/", 2)[-1] if step.startswith("sync /.") else step for step in done]
    assert set(order[:2]) == {"a", "deep/b"}
    assert len(order) == 6
    assert order[4:] == ["name made", "sync "]
    done.clear()
    atomic.make_folder(folder / "one" / "two")
    assert sorted(done) == ["sync ", "sync /one"]


def test_a_failing_disk_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(5, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail)
    assert "Input/output error" in run("compress", "--rm", "-m", "none", "d1/x", code=1).stderr
    assert (folder / "d1" / "x").exists()


@pytest.mark.parametrize(("swaps", "failing"), [(True, "fsync"), (False, "fsync"), (False, "rename")])
def test_a_folder_that_cannot_be_replaced_is_there_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool, failing: str
) -> None:
    fsync, rename = os.fsync, os.rename

    def synced(handle: int) -> None:
        if os.fstat(handle).st_ino == folder.stat().st_ino:
            raise OSError(5, "Input/output error")
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        if Path(target).name == "d1":
            renames.append(source)
            if len(renames) == 1:
                raise OSError(5, "Input/output error")
        rename(source, target)

    renames: list[Path] = []
    if not swaps:
        monkeypatch.setattr(atomic, "_swapped", lambda one, other: False)
    monkeypatch.setattr(os, failing, {"fsync": synced, "rename": renamed}[failing])
    with pytest.raises(OutputError, match="d1 cannot be written: Input/output error"):
        atomic.place_folder(Path("d1"), {"x": b"new"}, force=True)
    assert names(folder) == {"d1/x", "d2/x"}
    assert (folder / "d1" / "x").read_bytes() == TEXT
    assert {path.name for path in folder.iterdir()} == {"d1", "d2", "out"}


@pytest.mark.parametrize("swaps", [False, True])
def test_what_comes_into_a_folder_while_it_is_replaced_is_not_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    write = atomic._write_folder

    def written(place: Path, files: Mapping[str, bytes]) -> None:
        write(place, files)
        (folder / "d1" / "new").write_bytes(b"of another process")

    monkeypatch.setattr(atomic, "_write_folder", written)
    if not swaps:
        monkeypatch.setattr(atomic, "_swapped", lambda one, other: False)
    with pytest.raises(OutputError, match="holds 'new', which would be lost"):
        atomic.place_folder(Path("d1"), {"x": b"new"}, force=True)
    assert names(folder) == {"d1/x", "d1/new", "d2/x"}
    assert (folder / "d1" / "x").read_bytes() == TEXT
    assert {path.name for path in folder.iterdir()} == {"d1", "d2", "out"}


# ---- messages -----------------------------------------------------------------------------------


def test_python_and_the_command_line_are_told_in_their_own_words(folder: Path) -> None:
    compress_file("d1/x", options=PLAIN)
    with pytest.raises(OutputError, match=r"d1/x\.bfn exists already: force=True replaces it") as caught:
        compress_file("d1/x", options=PLAIN)
    assert caught.value.for_command() == "d1/x.bfn exists already: use -f to replace it"
    assert str(caught.value.within("here")) == "here: d1/x.bfn exists already: force=True replaces it"
    stderr = run("compress", "d1/x", code=1).stderr
    assert stderr == "bfncodec: d1/x: d1/x.bfn exists already: use -f to replace it\n"


def test_the_arrow_points_at_what_came_out(folder: Path) -> None:
    size = (compress_file("d1/x", options=PLAIN)).compressed_bytes
    (folder / "d1" / "x").unlink()
    stderr = run("decompress", "d1/x.bfn").stderr
    assert stderr.endswith(f" ({size} B => {len(TEXT)} B), identical file\n")


def test_names_are_one_line(folder: Path) -> None:
    (folder / "two\nlines").write_bytes(TEXT)
    run("compress", "-m", "none", "two\nlines")
    result = run("list", "two\nlines.bfn")
    assert len(result.stdout.splitlines()) == 2
    assert run("compress", "-m", "none", "two\nlines", code=1).stderr.count("\n") == 1
