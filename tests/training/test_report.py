"""Reports of a training on the way."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bfncodec.training.report import CURVE, TICK, Report


def test_a_report_within_a_tick_of_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    clock = SimpleNamespace(seconds=lambda: 0.0, left=lambda step, pace: pace)
    config, task = SimpleNamespace(minutes=0, steps=1), SimpleNamespace(names=["held-out"])
    state: Any = SimpleNamespace(step=0, seen=0, rank=0, config=config, task=task, clock=clock, validate=lambda: [2.0])
    report = Report(state, tmp_path, "a training", lambda line: None)
    report.losses.append(torch.tensor(3.0))
    state.step, state.seen = 1, 640
    report.now(progress=1)
    [row] = map(json.loads, (tmp_path / CURVE).read_text().splitlines())
    assert row["per_second"] == round(640 / TICK)
