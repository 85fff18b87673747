"""The scripts of examples/: each runs as it stands, in a process of its own, and is short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.clusters import starts_ray
from support.places import ROOT

pytestmark = pytest.mark.slow  # models at work: together they take minutes

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
SLOW = {"archive_of_pictures.py", "crop.py", "train_tiny.py"}
NEEDS = {  # an extra
    "numcodecs_buffers.py": "numcodecs",
    "ray_files.py": "ray.data",
    "webdataset_shards.py": "webdataset",
    "zarr_store.py": "zarr",
}
CLUSTERS = {"ray_files.py"}  # and Ray uses itself what it calls deprecated
LONGEST = 40  # lines


def example(script: Path) -> object:
    return pytest.param(script, id=script.stem, marks=[pytest.mark.slow] if script.name in SLOW else [])


@pytest.mark.parametrize("script", [example(script) for script in SCRIPTS])
def test_it_runs(script: Path, tmp_path: Path) -> None:
    if script.name in NEEDS:
        pytest.importorskip(NEEDS[script.name], reason=f"{NEEDS[script.name]} is not installed")
    if script.name in CLUSTERS and not starts_ray():
        pytest.skip("no cluster of Ray starts here")
    # One thread: several of these run at once, and threads that wait for a processor take it from each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    warnings = [] if script.name in CLUSTERS else ["-W", "error"]
    command = [sys.executable, *warnings, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_is_short(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) < LONGEST


def test_those_that_are_named_exist() -> None:
    assert {script.name for script in SCRIPTS} >= SLOW | set(NEEDS) | CLUSTERS
