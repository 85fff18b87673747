"""The commands that compare machines say what differs, and end accordingly."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bfncodec
from benchmarks import devices, matrix, samples

MODEL = "photo-fast"
PATIENT = ("--seconds", "3600")  # nothing is left out, however busy the machine


def run(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["-m", MODEL, *arguments])


def on_the_cpu(*arguments: str) -> Result:
    return run(devices.main, "--device", "cpu", *arguments)


@pytest.mark.slow
def test_a_device_that_computes_the_same() -> None:
    found = on_the_cpu("--no-speed", *PATIENT)
    assert found.exit_code == 0, found.output
    assert "golden file level_1_photo" in found.output
    assert "left out" not in found.output
    assert "0 wrong" in found.output


@pytest.mark.slow
def test_speeds_and_profiles_of_a_device() -> None:
    options = ["--no-checks", "--share", "0.1", "-m", "photo", "-m", "text", "--profile"]
    few = CliRunner().invoke(devices.main, ["--device", "cpu", *PATIENT, *options])
    assert few.exit_code == 0, few.output
    for what in ("a text", "texts of 500 bytes", "texts of 6,000 bytes", "a photo"):
        assert re.search(rf"cpu +(text|photo): {what}: [\d.,]+ KB/s encoding, [\d.,]+ decoding", few.output)
    assert "as fast" in few.output or "no compiled kernels" in few.output
    assert few.output.count("copies") == 4


def test_what_a_device_writes_otherwise_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = iter([b"one", b"another"])
    monkeypatch.setattr(devices, "coded", lambda codec: next(payloads))
    monkeypatch.setattr(devices.bfncodec, "decompress", lambda blob, device: np.zeros(3, np.uint8))
    found = on_the_cpu("--no-speed", *PATIENT)
    assert found.exit_code == 1
    wrong = found.output.splitlines()[-1]
    assert f"{MODEL}: a little" in wrong
    assert "golden file level_1_photo" in wrong


def test_what_there_is_no_time_for_is_left_out() -> None:
    found = on_the_cpu("--no-speed", "--seconds", "0")
    assert found.exit_code == 0
    assert found.output.count("left out") >= 2


def test_rows_of_the_matrix_are_compared_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(python: str, setting: matrix.Setting, models: Sequence[str]) -> tuple[dict[str, str], str]:
        return {MODEL: "b" if setting.name == "autocast" else "a"}, python

    monkeypatch.setattr(matrix, "_run", row)
    found = run(matrix.main, "--only", "plain", "--only", "autocast", "--python", "other")
    assert found.exit_code == 1
    lines = [line for line in found.output.splitlines() if line.startswith("|")][2:]
    assert lines == [
        f"| {python} | {setting} | 1 | {result} |"
        for python in (sys.executable, "other")
        for setting, result in (("plain", "same"), ("autocast", f"other: {MODEL} (b)"))
    ]


@pytest.mark.slow
def test_a_row_is_a_process_of_its_own() -> None:
    found = run(matrix.main, "--only", "plain", "--only", "denormals off")
    assert found.exit_code == 0, found.output
    assert found.output.count("| same |") == 2


@pytest.mark.slow
def test_every_setting_of_a_program_is_undone() -> None:
    import torch

    before = torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision()
    for setting in matrix.SETTINGS:
        with matrix.AROUND[setting.around]():
            pass
    assert before == (torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision())
    assert torch.tensor([2.0**-140]).mul(1.0).item() > 0


def test_a_little_of_a_model_is_the_same_each_time() -> None:
    codec = bfncodec.load(MODEL)
    assert samples.coded(codec, pixels=5) == samples.coded(codec, pixels=5)
    with pytest.raises(AssertionError, match="came back different"):
        samples.check(b"ab", b"ac")
