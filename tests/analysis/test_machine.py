"""Report on the machine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from bfncodec import models
from bfncodec.analysis.machine import Finding, _compiled, examine
from bfncodec.networks.acceleration import CONVNET
from support.commands import run

TINY = Path(__file__).parents[1] / "golden" / "tiny" / "text-of-200"


def found(subject: str) -> Finding:
    return next(finding for finding in examine() if finding.subject == subject)


@pytest.mark.slow
def test_what_is_here_is_said() -> None:
    assert found("python").found.startswith("3.")
    assert found("torch").found[0].isdigit()
    assert found("models").found.startswith(f"{len(models.published())} sound")
    assert not found("models").advice


def test_what_is_missing_comes_with_advice() -> None:
    last = examine({"no-such-package": "nothing: pip install it"})[-1]
    assert last == Finding("no-such-package", "not here", "for nothing: pip install it")


def test_a_damaged_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TINY, tmp_path / "tiny")
    (tmp_path / "tiny" / models.STATED).write_text("0" * 64 + "\n")
    monkeypatch.setenv("BFNCODEC_MODELS", str(tmp_path))
    name = models.read(TINY).name
    assert found(f"model {name}").found == "damaged"
    assert "export it again" in found(f"model {name}").advice


def test_a_model_that_is_not_whole_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TINY, tmp_path / "tiny")
    (tmp_path / "tiny" / models.WEIGHTS).unlink()
    monkeypatch.setenv("BFNCODEC_MODELS", str(tmp_path))
    assert found("model tiny").found == "cannot be used"
    assert "is missing" in found("model tiny").advice


def test_kernels_that_are_switched_off_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("BFNCODEC_AMX", "never")
    assert "BFNCODEC_AMX=never" in found("kernels").found


def test_the_command_prints_it() -> None:
    assert "kernels" in run("doctor").stdout
    assert {"subject", "found", "advice"} == set(json.loads(run("doctor", "--json").stdout)[0])


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
def test_a_folder_of_kernels_that_others_may_write_to_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = CONVNET.place()
    assert place is not None
    place.mkdir(parents=True)
    place.chmod(0o777)
    finding = _compiled("kernels of pictures", CONVNET)
    assert str(place) in finding.found
    assert "delete that folder" in finding.advice
