"""Training: one loop for all networks.

The loss is the code length itself, in bits per dimension: with the erasure sender L^n is the sum of -log2 p_O over
the revealed dimensions (Graves et al. 2023, section 2; DESIGN of the flow in :mod:`bfncodec.flow.erasure`), whatever
the schedule. Runs on the CPU, on one GPU, or on several through ``torchrun``; stops and resumes at any step with the
same result.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bfncodec.errors import InputError
from bfncodec.models import CONFIG, WEIGHTS, search_path
from bfncodec.training import plot
from bfncodec.training.clock import Clock
from bfncodec.training.config import TrainConfig, make, read_config
from bfncodec.training.export import export
from bfncodec.training.processes import device_of, start_processes
from bfncodec.training.tasks.tasks import TASKS
from bfncodec.training.trainer import Trainer

Say = Callable[[str], None]
CHECKPOINT = "checkpoint.pt"
PLOTTED = 0.01  # of the time at most goes into pictures of the curve


def run(
    config_path: str | Path,
    out: str | Path | None = None,
    resume: bool = True,
    device: str = "cpu",
    steps: int | None = None,
    minutes: float | None = None,
    say: Say = print,
) -> Path:
    """Train from a TOML configuration and export the model directory; returns its path. steps or minutes: to train for
    instead of the configuration's.

    Raises InputError for a configuration or data that cannot be used.
    """
    began = time.monotonic()
    settings = read_config(config_path)
    out = Path(out or settings["name"])
    train = lasting(make(TrainConfig, settings.get("train", {}), "train"), steps, minutes)
    if train.steps < 1 and train.minutes <= 0:
        raise InputError("[train] of the training configuration: expected steps or minutes above 0")
    rank = start_processes()
    where = device_of(device, rank)
    if rank:
        say = silent
    torch.manual_seed(train.seed)  # before the network draws its weights
    task = TASKS[settings["role"]](settings, train, where)
    state = Trainer(task, train, where, rank, Clock(train, began, where))
    if rank == 0:
        out.mkdir(parents=True, exist_ok=True)
    if resume and (out / CHECKPOINT).exists():
        state.load(out / CHECKPOINT)
        say(f"resuming at {state.clock.reached(state.step)} (--no-resume starts over)")
    weights = sum(p.numel() for p in state.network.parameters())
    say(f"training {settings['name']}: {weights:,} weights, {state.clock.length}")
    say(f"figures are bits per byte or subpixel; held out: {'; '.join(task.names) or 'nothing'}")
    fit(state, out, settings["name"], say)
    if rank == 0:
        with state.averaged() as network:
            export(network, {**task.config, **task.findings(network)}, out, task.tables(network))
        named = os.path.join(out.parent, out.name)  # noqa: PTH118 - keeps ./, which tells a path from a name
        say(f"model written to {out}: bfncodec compress -m {named} FILE")
        say(
            f"decompressing needs {CONFIG} and {WEIGHTS} of it in {search_path()[-3]}/{settings['name']}, "
            f"or BFNCODEC_MODELS={out.parent}"
        )
    return out


def lasting(config: TrainConfig, steps: int | None, minutes: float | None) -> TrainConfig:
    """The configuration with another length, where one is given."""
    if steps:
        return replace(config, steps=steps, minutes=0.0)
    return replace(config, minutes=minutes) if minutes else config


def silent(line: str) -> None:
    """Return what the other processes of a group have to say: the first says it for all."""


def fit(state: Trainer, out: Path, title: str, say: Say) -> None:
    """Train to the end, saving and reporting on the way."""
    clock, report = state.clock, Report(state, out, title, say)
    progress = clock.progress(state.step)
    if progress >= 1:
        if not state.step:
            raise InputError(f"no time is left to train: reading the data took all of the {clock.length}")
        return
    state.choose_way(say)
    report.begin()
    while progress < 1:
        report.losses.append(state.advance(progress))
        if report.steps == 1 and state.rank == 0:
            rehearse_export(state)
        before, progress = progress, clock.progress(state.step)
        if clock.reports(state.step, before, progress):
            report.now(progress)
        if state.rank == 0 and clock.saves(state.step, before, progress):
            state.save(out / CHECKPOINT)


def rehearse_export(state: Trainer) -> None:
    """Write the model once and forget it, so that what fails at the end fails at the beginning. The findings of archive
    models are left out: they take minutes.
    """
    with tempfile.TemporaryDirectory() as folder, state.averaged() as network:
        export(network, state.task.config, Path(folder), state.task.tables(network))


@dataclass
class Report:
    """What a training says of itself: lines, curve.jsonl and curve.png."""

    state: Trainer
    out: Path
    title: str
    say: Say
    losses: list[Tensor] = field(default_factory=list)  # of the steps since the last report

    def begin(self) -> None:
        self.first, self.started = self.state.step, time.monotonic()
        self.drawing = 0.0  # seconds spent on pictures

    @property
    def steps(self) -> int:
        """Trained in this run."""
        return self.state.step - self.first

    def now(self, progress: float) -> None:
        """Measure held-out bits and tell them."""
        state = self.state
        row: dict[str, Any] = {
            "step": state.step,
            "train": float(torch.stack(self.losses).mean()),
            "validation": state.validate(),
            "seconds": round(state.clock.seconds(), 1),
        }
        self.losses.clear()
        pace = (time.monotonic() - self.started) / self.steps
        left = state.clock.left(state.step, pace)
        self.say(
            f"step {state.step}{'' if state.config.minutes else f'/{state.config.steps}'}  train {row['train']:.4f}  "
            f"held-out {' '.join(f'{v:.4f}' for v in row['validation'])}  {pace:.2f} s/step, "
            f"{left / 60:.0f} min left, until {time.strftime('%H:%M', time.localtime(time.time() + left))}"
        )
        if state.rank == 0:
            with (self.out / "curve.jsonl").open("a") as f:
                f.write(json.dumps(row) + "\n")
            self.draw(at_any_cost=progress >= 1)

    def draw(self, at_any_cost: bool) -> None:
        """Draw the curve, as often as it costs little; not without matplotlib."""
        began = time.monotonic()
        if self.drawing > PLOTTED * (began - self.started) and not at_any_cost:
            return
        try:
            plot.draw(self.out / "curve.jsonl", self.out / "curve.png", self.title, self.state.task.names)
        except ImportError:
            self.drawing = float("inf")
        self.drawing += time.monotonic() - began
