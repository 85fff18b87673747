"""Ray: files by a cluster of two workers, one of which is killed; columns; what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.clusters import starts_ray
from support.commands import ENVIRONMENT

pytest.importorskip("ray.data", reason="Ray is not installed")

import bfncodec
from bfncodec.cli.spreading import url_of
from bfncodec.content.objects import same_object
from bfncodec.errors import InputError
from bfncodec.files.atomic import is_leftover
from bfncodec.files.data import encode_source
from bfncodec.files.options import Options
from bfncodec.integrations import ray
from bfncodec.integrations.ray import Compress, Decompress, _Files, _Job, _jobs, compress_files, decompress_files

QUIET = """
import json, logging, os, signal, sys, threading, time
from pathlib import Path
import ray
ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
from bfncodec.files.options import Options
from bfncodec.integrations.ray import compress_files, decompress_files
"""

KILLED = """
def kill_one():
    while len(list(Path("out").rglob("*.bfn"))) < 4:
        time.sleep(0.02)
    processes = [p for p in Path("/proc").iterdir() if p.name.isdigit()]
    pids = [int(p.name) for p in processes if command(p).startswith(b"ray::MapWorker")]
    state["before"] = {str(p): p.stat().st_ino for p in Path("out").rglob("*.bfn")}
    os.kill(pids[0], signal.SIGKILL)
    state["killed"] = pids[0]

def command(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""

state = {}
thread = threading.Thread(target=kill_one, daemon=True)
thread.start()
rows = list(compress_files(["in"], "out", Options(model="text-fast"), workers=2))
thread.join(10)
state["after"] = {str(p): p.stat().st_ino for p in Path("out").rglob("*.bfn")}
state["rows"] = [[r.source, r.state, r.worker] for r in rows]
list(decompress_files(["out"], "back", workers=2))
print(json.dumps(state))
"""


def run(script: str, folder: Path) -> Any:
    """Run a script in a process of its own, whose cluster ends with it; returns what it printed, JSON."""
    if not starts_ray():
        pytest.skip("no cluster of Ray starts here")
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", QUIET + script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]  # Ray says things there, too
    return json.loads(line)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")
def test_a_worker_is_killed_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    names = [f"{n}.txt" if n % 2 else f"deep/{n}.txt" for n in range(24)]
    for n, name in enumerate(names):
        (tmp_path / "in" / name).write_text(f"Line {n} of a text, which is not long but takes a moment. " * 60)
    found = run(KILLED, tmp_path)
    assert found["killed"]
    assert sorted(Path(source).name for source, _, _ in found["rows"]) == sorted(Path(name).name for name in names)
    assert {state for _, state, _ in found["rows"]} <= {"done", "kept"}
    for name in names:
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    for path, number in found["before"].items():
        assert found["after"][path] == number, "done twice"
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and not is_leftover(path.name)]
    assert {path.suffix for path in written} == {".bfn"}


FOLDERS = """
def there_and_back(begin):
    found = list(compress_files([begin + "/in"], begin + "/out", Options(model="none"), workers=1))
    again = list(compress_files([begin + "/in"], begin + "/out", Options(model="none"), workers=1))
    back = list(decompress_files([begin + "/out"], begin + "/back", workers=1))
    return [[r.source.removeprefix(begin), r.state] for r in found + again + back]

rows = there_and_back("local://" + os.getcwd())
print(json.dumps({"rows": sorted(rows)}))
"""


@pytest.mark.slow
def test_urls_that_fsspec_opens(tmp_path: Path) -> None:
    """Where pyarrow knows none; with names that are no part of a URL."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    names = ["50%25 a?.txt", "deep/b.txt"]
    for name in names:
        (tmp_path / "in" / name).write_text(name)
    found = run(FOLDERS, tmp_path)
    states = [["/in/" + name, state] for name in names for state in ("done", "kept")]
    assert found["rows"] == sorted([*states, *(["/out/" + name + ".bfn", "done"] for name in names)])
    assert {name: (tmp_path / "back" / name).read_text() for name in names} == {name: name for name in names}
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["50%25 a?.txt.bfn", "b.txt.bfn"]


def test_actors_code_columns() -> None:
    """As Ray calls them: batches of the format "numpy"."""
    tiles = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    small = Compress("tile", into="bytes", model="none")({"tile": tiles, "name": np.array(["a", "b"])})
    assert list(small) == ["tile", "name", "bytes"]
    back = Decompress("bytes", into="tile")(small)
    assert np.array_equal(back["tile"], tiles)
    texts = Compress("text", model="none")({"text": np.array(["to be", "or not"], dtype=object)})
    assert list(Decompress("text")(texts)["text"]) == ["to be", "or not"]
    with pytest.raises(InputError, match="expected a column other, found text"):
        Compress("other", model="none")(texts)


def test_what_cannot_be_is_said_before_anything_is_done(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_bytes(b"x")
    a, b, out = (str(tmp_path / name) for name in ("a", "b", "out"))
    with pytest.raises(InputError, match="would both become"):
        compress_files([a, b], out)
    with pytest.raises(InputError, match="found nothing at"):
        compress_files([str(tmp_path / "none")], out)
    with pytest.raises(InputError, match="a folder to put files in, found a file"):
        compress_files([a], str(tmp_path / "a" / "x.txt"))
    with pytest.raises(InputError, match="found nowhere://x"):
        compress_files(["nowhere://x"], out)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def job(tmp_path: Path) -> _Job:
    (tmp_path / "x").write_bytes(b"one")
    return _Job(str(tmp_path / "x"), "", str(tmp_path / "out"), "x.bfn")


def done(job: _Job, **options: Any) -> tuple[str, str]:
    """Return what becomes of a file, as a worker does it."""
    found = _Files(Options(model="none", **options), True, "cpu", 1)(
        {name: [value] for name, value in asdict(job).items()}
    )
    return found["state"][0], found["message"][0]


def test_a_file_that_changes_is_done_again(job: _Job, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = Path(job.source), Path(job.target)

    def changing(data: bytes, *args: Any) -> Any:
        source.write_bytes(b"another")
        return encode_source(data, *args)

    with monkeypatch.context() as patched:
        patched.setattr(ray, "encode_source", changing)
        state, message = done(job)
    assert (state, target.exists()) == ("failed", False)
    assert "was changed while it was read" in message
    assert done(job) == ("done", "")
    assert bfncodec.decompress(target.read_bytes()) == b"another"


def test_files_have_the_permissions_and_time_of_their_source(job: _Job) -> None:
    source, target = Path(job.source), Path(job.target)
    source.chmod(0o600)
    os.utime(source, ns=(10**18, 10**18))
    assert done(job) == ("done", "")
    assert (target.stat().st_mode & 0o777, target.stat().st_mtime_ns) == (0o600, 10**18)
    assert done(job) == ("kept", "")


def test_an_older_file_is_replaced_only_when_asked(job: _Job) -> None:
    target = Path(job.target)
    target.parent.mkdir()
    target.write_bytes(b"only copy")
    os.utime(target, ns=(10**18, 10**18))
    state, message = done(job)
    assert state == "failed"
    assert "exists already" in message
    assert target.read_bytes() == b"only copy"
    assert done(job, force=True) == ("done", "")


def test_a_file_that_is_named_and_cannot_be_done_is_told(tmp_path: Path) -> None:
    for name in ("x.bfn", "x"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="already ends in"):
        compress_files([str(tmp_path / "x.bfn")], str(tmp_path / "out"))
    with pytest.raises(InputError, match="a name ending in"):
        decompress_files([str(tmp_path / "x")], str(tmp_path / "out"))


def test_what_is_passed_over_is_told_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, said = tmp_path / "in", list[tuple[str, str]]()
    folder.mkdir()
    for name in ("a", "b.bfn", "c.bfn", ".0123456789ab.bfn.part"):
        (folder / name).write_bytes(b"x")
    for name, target in (("loop", "."), ("out", "/etc/passwd"), ("nothing", "gone")):
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    jobs = _jobs([str(folder)], str(tmp_path / "out"), True, lambda path, what: said.append((Path(path).name, what)))
    assert [job.inside for job in jobs] == ["a"]
    assert sorted(name for name, _ in said) == [".0123456789ab.bfn.part", "in", "loop", "nothing", "out", "pipe"]
    assert ("in", "2 files that end in .bfn already") in said


def test_an_empty_file_is_replaced_only_when_asked(job: _Job, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Path(job.target)
    target.parent.mkdir()
    target.touch()
    assert done(job) == ("kept", "")
    assert target.read_bytes() == b""
    target.unlink()

    def coming(data: bytes, *args: Any) -> Any:
        target.write_bytes(b"only copy")
        return encode_source(data, *args)

    monkeypatch.setattr(ray, "encode_source", coming)
    assert done(job)[0] == "failed"
    assert target.read_bytes() == b"only copy"


def test_arrays_of_one_shape_and_other_types_are_a_column() -> None:
    arrays = [np.arange(2, dtype="i1"), np.arange(2, dtype="f4"), np.array(3, "i2")]
    made = Decompress("x")({"x": [bfncodec.compress(array, "none") for array in arrays]})["x"]
    assert all(same_object(found, array) for found, array in zip(made, arrays, strict=True))


def test_urls_are_as_they_were_typed() -> None:
    assert url_of(Path("s3://bucket/a b/c")) == "s3://bucket/a b/c"
    assert url_of(Path("/a/s3:/b")) == "/a/s3:/b"
    assert url_of(Path("c:/b")) == "c:/b"
