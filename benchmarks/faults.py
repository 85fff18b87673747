"""Processes that are killed at random moments: is each source or its result whole afterwards?

    python -m benchmarks.faults --kills 200 --interrupts 50 --seed 1

Each kill is a SIGKILL to ``python -m bfncodec`` at work on small files of a folder made for it, half of them at any
moment of the run, half within milliseconds of the first file that appears. What is found is counted; anything lost,
half written or left behind under an undocumented name ends the run with an error. Trainings are killed again and again
until they are done, and their model must be that of an uninterrupted one, bit for bit. As root, results are also
written to a full and to a read-only file system.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import numpy as np

import bfncodec
from bfncodec.api import Models
from bfncodec.content.folder import folder_of
from bfncodec.files.atomic import is_leftover
from bfncodec.segments.encode import encode_frame

PROGRAM = [sys.executable, "-m", "bfncodec"]
OLDER = b"what was there before"
DIGITS = 6  # pictures in a folder
REPEATED = 4  # one call of so many is started again after it was killed
STEPS = ("open", "fsync", "link", "replace", "rename", "unlink", "rmdir", "mkdir", "chmod", "utime")
TRAINING = """
name = "tiny"
role = "text"
[network]
width = 16
heads = 2
layers = 1
window = 64
context = 32
ngrams = []
[[data]]
paths = ["{folder}/text"]
[train]
steps = 8
batch = 2
save_every = 1
validate_every = 4
"""


class Killer:
    """Patch that kills this process, a forked child, before its n-th change of the file system, counted from 0."""

    def __init__(self, step: int) -> None:
        self.left = step
        self._before = {name: getattr(os, name) for name in STEPS}

    def __enter__(self) -> None:
        for name, function in self._before.items():
            setattr(os, name, self._counted(name, function))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name, function in self._before.items():
            setattr(os, name, function)

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **given: Any) -> Any:
            if name != "open" or args[1] & os.O_CREAT:
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                self.left -= 1
            return function(*args, **given)

        return call


# ---- what there is to do ------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file in a folder by its path, without hidden ones that a killed process left."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder): path.read_bytes() for path in files}
    return {str(path): data for path, data in found.items() if not any(map(is_leftover, path.parts))}


def folder_file() -> tuple[bytes, dict[str, bytes]]:
    """Return a compressed folder, which needs no model, and the files in it."""
    digits = np.random.default_rng(1).integers(0, 2, (DIGITS, 28, 28), dtype=np.uint8) * 255
    files = {f"digits/{number}.pgm": b"P5\n28 28\n255\n" + digit.tobytes() for number, digit in enumerate(digits)}
    files["notes.txt"] = b"to be or not to be " * 40
    return encode_frame(folder_of(files, (28, 28, 1)), "none", Models()), files


@dataclass(frozen=True)
class Work:
    """A call that is to be killed: the files before it, by path, and the target of each source."""

    name: str
    command: tuple[str, ...]
    before: Mapping[str, bytes]
    results: Mapping[str, str]  # target by source; the same name stays as it is
    share: int = 4

    def prepare(self, folder: Path) -> None:
        """Write all files as they are before the call."""
        for name, data in self.before.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def check(self, folder: Path) -> str:
        """Return what was found of sources and targets. AssertionError for anything lost, half there or left behind."""
        found = tree(folder)
        states = []
        for source, target in self.results.items():
            data, made = _under(self.before, source), _under(found, target)
            is_there = _under(found, source) == data
            assert is_there or not _under(found, source) or len(data) > 1, f"{self.name}: half of {source} is left"
            whole = _restored(made, target) == _restored(data, source)
            older = made == _under(self.before, target)
            assert whole or older, f"{self.name}: {target} is neither whole nor as before"
            assert is_there or whole, f"{self.name}: {source} is lost"
            states.append("both" if is_there and whole else "source" if is_there else "result")
        return ", ".join(sorted(set(states)))


def _under(files: Mapping[str, bytes], place: str) -> dict[str, bytes]:
    """Return a file, by the empty name, or the files in a folder."""
    return {
        name.removeprefix(place).removeprefix("/"): data
        for name, data in files.items()
        if name == place or name.startswith(f"{place}/")
    }


def _restored(files: Mapping[str, bytes], place: str) -> Mapping[str, bytes]:
    """Files as they are when decompressed."""
    if not place.endswith(".bfn") or not files:
        return files
    try:
        made = bfncodec.decompress(files[""])
    except bfncodec.BfncodecError:
        return {"": b"broken"}
    return made if isinstance(made, dict) else {"": made}


def works() -> list[Work]:
    """Return all calls that are tried."""
    text = b"".join(b"%d to be or not to be, that is the question\n" % number**3 for number in range(400))
    blob = bfncodec.compress(text, "none")
    packed, _ = folder_file()
    compress, decompress = ("compress", "-m", "none"), ("decompress",)
    several = {f"{number}.txt": text + bytes([number]) for number in range(3)}
    return [
        Work("compress", (*compress, "x"), {"x": text}, {"x": "x.bfn"}),
        Work("compress --rm", (*compress, "--rm", "x"), {"x": text}, {"x": "x.bfn"}),
        Work("compress --rm -f", (*compress, "--rm", "-f", "x"), {"x": text, "x.bfn": OLDER}, {"x": "x.bfn"}),
        Work(
            "compress --rm, 3 files", (*compress, "--rm", *several), several, {name: f"{name}.bfn" for name in several}
        ),
        Work("decompress --rm", (*decompress, "--rm", "x.bfn"), {"x.bfn": blob}, {"x.bfn": "x"}),
        Work("decompress --rm -f", (*decompress, "--rm", "-f", "x.bfn"), {"x.bfn": blob, "x": OLDER}, {"x.bfn": "x"}),
        Work("decompress --rm, folder", (*decompress, "--rm", "d.bfn"), {"d.bfn": packed}, {"d.bfn": "d"}),
        Work(
            "decompress -f, folder",
            (*decompress, "-f", "d.bfn"),
            {"d.bfn": packed, "d/notes.txt": OLDER},
            {"d.bfn": "d"},
        ),
    ]


# ---- killing ------------------------------------------------------------------------------------


def start(
    command: Sequence[str], folder: Path, program: Sequence[str] = PROGRAM, output: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a call in a folder. output: where both its streams go."""
    path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*program, *command], cwd=folder, env=environment, stdout=output, stderr=output, preexec_fn=_listening
    )


def _listening() -> None:
    """Shells let what runs behind them ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait(process: subprocess.Popen[bytes], seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Wait until the time is over, the process is, or something has happened."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not until():
        time.sleep(0.0002)


def kill(work: Work, folder: Path, duration: float, late: bool, rng: random.Random) -> str:
    """Kill a call at a random moment, or soon after something has appeared; returns what was found then."""
    work.prepare(folder)
    before = set(folder.iterdir())
    process = start(work.command, folder)
    if late:
        wait(process, 60 + 10 * duration, lambda: set(folder.iterdir()) != before)
        wait(process, rng.uniform(0, 0.03))
    else:
        wait(process, rng.uniform(0, duration))
    process.kill()
    was_killed = process.wait() == -signal.SIGKILL
    found = work.check(folder)
    return f"{found} (done before)" if not was_killed else found


def run(work: Work, folder: Path) -> float:
    """Seconds of a call that nobody kills, which must come to an end as it should."""
    work.prepare(folder)
    began = time.monotonic()
    process = start(work.command, folder)
    assert process.wait() == 0, f"{work.name}: failed without being killed"
    work.check(folder)
    return time.monotonic() - began


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        yield Path(name)


def kill_calls(kills: int, rng: random.Random) -> Counter[tuple[str, str]]:
    """Kill calls of all kinds; returns how often each state was found."""
    found: Counter[tuple[str, str]] = Counter()
    todo = works()
    durations = {}
    for work in todo:
        with scratch() as folder:
            durations[work.name] = run(work, folder)
    for number in range(kills):
        work = rng.choices(todo, [work.share for work in todo])[0]
        with scratch() as folder:
            state = kill(work, folder, durations[work.name], number % 2 == 1, rng)
            found[work.name, state] += 1
            click.echo(f"{number + 1} of {kills}\r", nl=False, err=True)
            if number % REPEATED == 0:  # what was not done is, or there is nothing to do
                start([*work.command, "-f"], folder).wait()
                assert "source" not in work.check(folder), f"{work.name}: cannot be repeated"
    return found


def kill_trainings(kills: int, rng: random.Random) -> tuple[int, int]:
    """(kills, trainings): trainings that are killed until they are done, compared with one that was not."""
    done = trainings = 0
    with scratch() as folder:
        (folder / "text").write_bytes(b"to be or not to be, that is the question. " * 50)
        (folder / "tiny.toml").write_text(TRAINING.format(folder=folder))
        began = time.monotonic()
        assert start(["train", "tiny.toml", "-o", "whole"], folder).wait() == 0, "a training failed"
        duration = time.monotonic() - began
        while done < kills:
            shutil.rmtree(folder / "parts", ignore_errors=True)
            while True:
                process = start(["train", "tiny.toml", "-o", "parts"], folder)
                wait(process, rng.uniform(0.3, 1.2) * duration if done < kills else 1e9)
                process.kill()
                if (code := process.wait()) == 0:
                    break
                assert code == -signal.SIGKILL, "a training did not go on"
                done += 1
            trainings += 1
            for name in ("config.json", "model.safetensors"):
                same = (folder / "whole" / name).read_bytes() == (folder / "parts" / name).read_bytes()
                assert same, f"a training that was resumed made another {name}"
    return done, trainings


# ---- signals ----------------------------------------------------------------------------------------

BEGUN = "from bfncodec import __main__; print(flush=True); __main__.main()"  # Python itself needs a moment before


def interrupt(count: int, rng: random.Random) -> Counter[str]:
    """Interrupt calls, which load a model, at random moments from their first line on; returns what was found."""
    found: Counter[str] = Counter()
    text = b"to be or not to be"
    duration = 0.0
    for number in range(count + 1):
        with scratch() as folder:
            (folder / "x").write_bytes(text)
            process = start(["compress", "--rm", "x"], folder, [sys.executable, "-c", BEGUN], subprocess.PIPE)
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            began = time.monotonic()
            if number:
                time.sleep(rng.uniform(0, 0.2 if number % 2 else duration))
                process.send_signal(rng.choice([signal.SIGINT, signal.SIGTERM]))
            said, code = process.stderr.read(), process.wait()
            if not number:
                duration = time.monotonic() - began
                continue
            assert b"Traceback" not in said, said.decode()
            assert said.count(b"\n") <= 1, f"exit code {code}, more than a line: {said.decode()}"
            assert not [path for path in folder.iterdir() if is_leftover(path.name)], "something is left"
            left = tree(folder)
            whole = "x.bfn" in left and bfncodec.decompress(left["x.bfn"]) == text
            over = code in (0, -signal.SIGINT, -signal.SIGTERM) and whole  # all was done, Python was about to exit
            assert code in (130, 143) or over, f"exit code {code}: {said.decode()}"
            assert left.get("x") == text or whole, "lost"
            found[f"exit code {code}"] += 1
    return found


# ---- disks --------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(options: str) -> Iterator[Path | None]:
    """Yield a small file system in memory; None where that is not allowed."""
    with scratch() as folder:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if made.returncode:
            yield None
            return
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def fail_to_write(read_only: bool) -> str:
    """Return what is found after every call was run where its result has no place."""
    count = 0
    for work in works():
        with mounted("size=256k") as folder:
            if folder is None:
                return "not allowed to mount"
            work.prepare(folder)
            before = tree(folder)
            if read_only:
                subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            else:
                with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
                    while filler.write(bytes(512)):
                        pass
            code = start(work.command, folder).wait()
            found = {name: data for name, data in tree(folder).items() if name != "filler"}
            assert code == 1, f"{work.name}: exit code {code} where nothing can be written"
            assert found == before, f"{work.name}: something changed where nothing can be written"
            assert not [path for path in folder.rglob("*") if is_leftover(path.name)], f"{work.name}: something is left"
            count += 1
    return f"{count} calls, nothing changed, nothing left"


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=200, show_default=True, help="How many processes to kill, a tenth of them trainings.")
@click.option("--interrupts", default=50, show_default=True, help="How many to interrupt or terminate.")
@click.option("--seed", default=1, show_default=True)
def main(kills: int, interrupts: int, seed: int) -> None:
    rng = random.Random(seed)
    found = kill_calls(kills - kills // 10, rng)
    for (name, state), count in sorted(found.items()):
        click.echo(f"{name:26} {state:24} {count:4}")
    done, trainings = kill_trainings(kills // 10, rng)
    click.echo(f"{'train':26} {f'{trainings} done, bit-equal':24} {done:4}")
    click.echo(f"{sum(found.values()) + done} kills, seed {seed}: nothing lost, nothing half there")
    click.echo(f"full disk: {fail_to_write(read_only=False)}")
    click.echo(f"read-only: {fail_to_write(read_only=True)}")
    for state, count in sorted(interrupt(interrupts, rng).items()):
        click.echo(f"{'interrupted, terminated':26} {state:24} {count:4}")


if __name__ == "__main__":
    main()
