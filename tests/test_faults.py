"""Faults: processes that are killed at any step, signals, disks that are full, other processes."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

import bfncodec
from benchmarks.faults import Killer, folder_file, tree
from bfncodec.cli import streams
from bfncodec.errors import BfncodecError
from bfncodec.files import atomic
from bfncodec.files.options import Options
from bfncodec.files.sources import Identity, read_folder, remove_folder
from bfncodec.files.transfer import compress_file, decompress_file
from support.commands import ENVIRONMENT, TEXT
from support.doubles import noise

pytestmark = pytest.mark.slow  # many processes and many files: together they take a minute

PROGRAM = [sys.executable, "-m", "bfncodec"]
REMOVE = Options(model="none", remove=True, force=True)
OLDER = b"what was there before"
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def heard() -> None:
    """Shells let what runs behind them ignore interrupts; a test's process hears them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def fork() -> int:
    """Python warns that threads of the parent do not go on in a child. Ours does not ask anything of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


# ---- kill -9 at every step ----------------------------------------------------------------------


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Do it in a child that is killed before its n-th change of the file system; whether there were so many."""
    child = fork()
    if child == 0:
        with Killer(step):
            try:
                work()
            except BaseException:  # noqa: BLE001 - a child of a test has nobody to tell
                os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def check_left(folder: Path, before: set[str]) -> None:
    """Beside what was there and what is made only hidden files that are documented."""
    assert all(atomic.is_leftover(name) for name in {path.name for path in folder.iterdir()} - before)


@posix
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("direction", ["compress", "decompress"])
def test_killed_at_any_step_the_source_or_the_target_is_whole(tmp_path: Path, direction: str, older: bool) -> None:
    blob = bfncodec.compress(TEXT, "none")
    made = {"compress": ("x", TEXT, "x.bfn", blob), "decompress": ("x.bfn", blob, "x", TEXT)}[direction]
    name, data, target, result = made
    call = compress_file if direction == "compress" else decompress_file
    step, states = 0, set()
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / name).write_bytes(data)
        if older:
            (folder / target).write_bytes(OLDER)
        more = killed_at(step, lambda folder=folder: call(folder / name, options=REMOVE))
        source, there = (folder / name).exists(), (folder / target).exists()
        assert not source or (folder / name).read_bytes() == data
        assert not there or (folder / target).read_bytes() in ([OLDER, result] if older and source else [result])
        assert source or there
        assert there or not older
        check_left(folder, {name, target})
        states.add((source, there))
        if not more:
            break
        step += 1
    assert step >= 4
    assert states == {(True, True), (False, True)} | (set() if older else {(True, False)})


@posix
@pytest.mark.parametrize(("older", "swaps"), [(False, True), (True, True), (True, False)])
def test_a_folder_is_whole_or_absent_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool, swaps: bool
) -> None:
    if not swaps or sys.platform != "linux":  # a system, or a file system, that cannot exchange names
        swaps = False
        monkeypatch.setattr(atomic, "_swapped", lambda one, other: False)
    blob, inside = folder_file()
    before = {"notes.txt": OLDER}
    step = 0
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "d.bfn").write_bytes(blob)
        if older:
            (folder / "d").mkdir()
            (folder / "d" / "notes.txt").write_bytes(OLDER)
        more = killed_at(step, lambda folder=folder: decompress_file(folder / "d.bfn", options=REMOVE))
        source = (folder / "d.bfn").exists()
        if (folder / "d").exists():
            assert tree(folder / "d") in ([before, inside] if older and source else [inside])
        else:
            assert source
            assert not older or (not swaps and before in map(tree, folder.glob(".*.bfn.old")))
        check_left(folder, {"d", "d.bfn"})
        if not more:
            break
        step += 1
    assert step >= 8


@posix
def test_a_source_folder_is_whole_or_absent_at_any_step(tmp_path: Path) -> None:
    """A part of it would replace the whole when it is compressed once more."""
    files_in = {"a": b"1", "b": b"2", "deep/c": b"3"}

    def remove(folder: Path) -> None:
        known: dict[str, Identity] = {}
        read_folder(folder, None, known)
        remove_folder(folder, known, [])

    step, more = 0, True
    while more:
        folder = tmp_path / str(step) / "d"
        (folder / "deep").mkdir(parents=True)
        for name, data in files_in.items():
            (folder / name).write_bytes(data)
        more = killed_at(step, lambda folder=folder: remove(folder))
        assert not folder.exists() or tree(folder) == files_in
        check_left(folder.parent, {"d"})
        step += 1
    assert not any(folder.parent.iterdir())
    assert step > 5


@posix
def test_a_killed_call_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(TEXT)
    for step in range(4):
        assert killed_at(step, lambda: compress_file(tmp_path / "x", options=REMOVE))
    compress_file(tmp_path / "x", options=REMOVE)
    assert bfncodec.decompress((tmp_path / "x.bfn").read_bytes()) == TEXT


@posix
@pytest.mark.parametrize("older", [False, True])
def test_a_model_is_never_half_exported(tmp_path: Path, older: bool) -> None:
    """Weights of one training with the configuration of another would code, but for nobody else."""
    from bfncodec.training.export import export
    from support.tiny import denoiser

    networks = [denoiser("grey", seed) for seed in (0, 1)]
    wholes = []
    for number, network in enumerate(networks):
        export(network, {"number": number}, tmp_path / f"whole{number}")
        wholes.append(tree(tmp_path / f"whole{number}"))
    assert wholes[0]["model.safetensors"] != wholes[1]["model.safetensors"]
    step, more = 0, True
    while more:
        folder = tmp_path / str(step)
        if older:
            export(networks[0], {"number": 0}, folder)
        more = killed_at(step, lambda folder=folder: export(networks[1], {"number": 1}, folder))
        found = tree(folder)
        assert "config.json" not in found or found in wholes
        step += 1
    assert found == wholes[1]
    assert step > 6


# ---- disks and folders ----------------------------------------------------------------------------


def limited() -> None:
    """Nothing larger than 4 KiB can be written: how a full disk looks to one process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.parametrize(
    "args", [["compress", "--rm"], ["compress", "-f"], ["decompress", "--rm"], ["decompress", "-f"]]
)
def test_a_disk_that_fills_up(tmp_path: Path, args: list[str]) -> None:
    data = noise(30, 9000).tobytes()
    (tmp_path / "x").write_bytes(data if args[0] == "compress" else OLDER)
    (tmp_path / "x.bfn").write_bytes(OLDER if args[0] == "compress" else bfncodec.compress(data, "none"))
    if args[1] == "--rm":
        (tmp_path / ("x.bfn" if args[0] == "compress" else "x")).unlink()
    before = tree(tmp_path)
    model = ["-m", "none"] if args[0] == "compress" else []
    source = "x" if args[0] == "compress" else "x.bfn"
    done = subprocess.run(
        [*PROGRAM, *args, *model, source], capture_output=True, check=False, env=ENVIRONMENT, cwd=tmp_path,
        preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"cannot be written: File too large" in done.stderr
    assert tree(tmp_path) == before


def test_a_folder_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def denied(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", str(path))
        return opened(path, flags, mode)

    (tmp_path / "x").write_bytes(TEXT)
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(BfncodecError, match=r"x\.bfn cannot be written: Read-only file system"):
        compress_file(tmp_path / "x", options=REMOVE)
    assert tree(tmp_path) == {"x": TEXT}


def test_a_source_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(TEXT)
    place = atomic.place

    def late(*args: Any, **given: Any) -> None:
        place(*args, **given)
        (tmp_path / "x").unlink()

    monkeypatch.setattr(atomic, "place", late)
    with pytest.raises(BfncodecError, match="the result is written, but the source cannot be removed: No such file"):
        compress_file(tmp_path / "x", options=REMOVE)
    assert bfncodec.decompress((tmp_path / "x.bfn").read_bytes()) == TEXT


@posix
def test_two_processes_on_one_target(tmp_path: Path) -> None:
    """Each wants to write its own source to one place: one does, the other says that it exists."""
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        children = []
        for name in "ab":
            (folder / name).write_bytes(name.encode() * 9999)
            child = fork()
            if child == 0:
                try:
                    compress_file(folder / name, folder / "target", Options(model="none", remove=True))
                except BfncodecError as error:
                    os._exit(1 if "exists already" in str(error) else 3)
                except BaseException:  # noqa: BLE001 - a child of a test has nobody to tell
                    os._exit(3)
                os._exit(0)
            children.append(child)
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        assert codes == [0, 1]
        left = tree(folder)
        written = bfncodec.decompress(left.pop("target"))
        assert sorted([written, *left.values()]) == [b"a" * 9999, b"b" * 9999]


# ---- signals and pipes ----------------------------------------------------------------------------


STARTING = """
import os, signal, sys
from bfncodec import __main__

class Counter:
    number = 0

    def find_spec(self, name, path=None, target=None):
        Counter.number += 1
        if Counter.number == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGINT)

last = int(sys.argv[1]) == 0
sys.meta_path.insert(0, Counter())
sys.argv[1:] = ["compress", "--help" if last else "x"]
try:
    __main__.main()
finally:
    if last:
        print(Counter.number, file=sys.stderr)
"""
"""The program, interrupted before the n-th module that it imports; with 0 it says how many it imports for its help."""


@posix
def test_an_interrupt_while_the_program_starts(tmp_path: Path) -> None:
    """No traceback, nothing written, whichever module is about to be imported."""

    def start(number: int) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", STARTING.replace("sys.argv[1]", f"{str(number)!r}")]
        return subprocess.run(
            command, capture_output=True, check=False, cwd=tmp_path, env=ENVIRONMENT, preexec_fn=heard
        )

    (tmp_path / "x").write_bytes(TEXT)
    modules = int(start(0).stderr)
    assert modules > 50
    for number in (1, 2, *range(3, modules, modules // 10), modules):
        done = start(number)
        assert done.returncode == 130
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") <= 1
        assert tree(tmp_path) == {"x": TEXT}


@posix
@pytest.mark.parametrize("name", ["signal", "enum"])
def test_an_interrupt_before_the_program_listens(name: str) -> None:
    """Python's own handler is at work while the module is imported by which ours is set."""
    script = f"""
import os, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), 2)

sys.meta_path.insert(0, Interrupt())
import bfncodec.__main__
"""
    command = [sys.executable, "-S", "-c", script]  # what site loads would be there already
    done = subprocess.run(command, capture_output=True, check=False, env=ENVIRONMENT, preexec_fn=heard)
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(tmp_path: Path, closed: str) -> None:
    """A file that is opened then has the number of a standard stream; what is said there must not end up in it."""
    (tmp_path / "x").write_bytes(TEXT)
    done = subprocess.run(
        f"{sys.executable} -m bfncodec compress -v -m none x {closed}", shell=True, capture_output=True, check=False,
        env=ENVIRONMENT, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout == b""
    assert bfncodec.decompress((tmp_path / "x.bfn").read_bytes()) == TEXT


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("compress -m none -c x >&-", "standard output is closed"),
        ("list x.bfn >&-", "standard output is closed"),
        ("compress -m none -o y <&-", "standard input is closed"),
    ],
)
def test_what_needs_a_closed_stream_says_so(tmp_path: Path, command: str, message: str) -> None:
    (tmp_path / "x").write_bytes(TEXT)
    (tmp_path / "x.bfn").write_bytes(bfncodec.compress(TEXT, "none"))
    done = subprocess.run(
        f"{sys.executable} -m bfncodec {command}", shell=True, capture_output=True, text=True, check=False,
        env=ENVIRONMENT, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["compress -m none -c x", "decompress -c x.bfn", "list " + "x.bfn " * 999, "--help"]
)
def test_a_reader_that_goes_away(tmp_path: Path, command: str) -> None:
    """As with other tools there is nothing to say then."""
    data = noise(31, 200_000).tobytes()
    (tmp_path / "x").write_bytes(data)
    (tmp_path / "x.bfn").write_bytes(bfncodec.compress(data, "none"))
    script = f"{sys.executable} -m bfncodec {command} | head -c 1 >&2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env=ENVIRONMENT, cwd=tmp_path)
    assert len(done.stderr) == 1
    assert int(done.stdout) in ([0, 1, 141] if command == "--help" else [141])


@pytest.mark.parametrize("buffered", ["", "1"])
def test_streams_that_take_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch, buffered: str) -> None:
    """As those without a buffer do when a disk is nearly full."""

    class Part(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            taken.append(bytes(data[:1000]))
            return len(taken[-1])

    taken: list[bytes] = []
    stream = io.BufferedWriter(Part()) if buffered else Part()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=stream))
    data = noise(32, 30_500).tobytes()
    streams.write_stdout(data)
    assert b"".join(taken) == data


@posix
def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = "import os, sys; os.rmdir('../gone'); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", script, *PROGRAM, "compress", "x"]
    done = subprocess.run(command, cwd=tmp_path / "gone", capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 1
    assert "standard output" not in done.stderr
    assert done.stderr.count("\n") == 1


@posix
def test_standard_streams_that_do_not_wait(tmp_path: Path) -> None:
    """Another program that shares a pipe may have set it so; what is not there yet is no end."""
    data = noise(33, 300_000).tobytes()
    script = "import os, sys; os.set_blocking(0, False); os.set_blocking(1, False); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", script, *PROGRAM]
    for args, given, wanted in [
        ("compress -m none", data, bfncodec.compress(data, "none")),
        ("decompress", bfncodec.compress(data, "none"), data),
    ]:
        with subprocess.Popen(
            [*command, *args.split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd=tmp_path
        ) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            writer = Thread(target=_drip, args=(program.stdin, given))
            writer.start()
            time.sleep(1)  # until the pipe for what comes out is full
            made = program.stdout.read()
            writer.join()
        assert program.returncode == 0
        assert made == wanted


def _drip(pipe: Any, data: bytes) -> None:
    """Write to a program that waits for it, as it began before there was anything."""
    with pipe:
        for start in range(0, len(data), 60_000):
            time.sleep(0.2)
            pipe.write(data[start : start + 60_000])
            pipe.flush()


def test_messages_that_nobody_reads_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(TEXT)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, "compress", "-m", "none", "--rm", "x"], stderr=write, check=False, env=ENVIRONMENT, cwd=tmp_path
    )
    os.close(write)
    assert done.returncode == 0
    assert bfncodec.decompress((tmp_path / "x.bfn").read_bytes()) == TEXT


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\x1b[31m"
    Path(os.fsdecode(name)).write_bytes(TEXT)
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([*PROGRAM, "compress", "-m", "none", name], capture_output=True, check=False, env=environment)
    again = subprocess.run(
        [*PROGRAM, "compress", "-m", "none", name], capture_output=True, check=False, env=environment
    )
    listed = subprocess.run([*PROGRAM, "list", name + b".bfn"], capture_output=True, check=False, env=environment)
    assert (done.returncode, again.returncode, listed.returncode) == (0, 1, 0)
    for out in (done.stderr, again.stderr, listed.stdout):
        assert b"\x1b" not in out
        assert b"Traceback" not in out
