"""Training: one loop for all networks.

The loss is the code length itself, in bits per dimension: L^n of the flow that files are coded with (Graves et al.
2023, eq. 16). With the erasure sender it is the sum of -log2 p_O over the revealed dimensions, whatever the schedule
(:mod:`bfncodec.flow.erasure`). Runs on the CPU, on one GPU, or on several through ``torchrun``; stops and resumes at
any step with the same result.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from bfncodec.errors import InputError
from bfncodec.models import CONFIG, WEIGHTS, user_folder
from bfncodec.training.agreement import Say
from bfncodec.training.clock import Clock
from bfncodec.training.config import TrainConfig, read_config
from bfncodec.training.export import export
from bfncodec.training.processes import device_of, start_processes
from bfncodec.training.report import Report
from bfncodec.training.tasks.base import Batch
from bfncodec.training.tasks.table import task_of
from bfncodec.training.trainer import Trainer

CHECKPOINT = "checkpoint.pt"


def run(
    config_path: str | Path,
    out: str | Path | None = None,
    resume: bool = True,
    device: str = "cpu",
    steps: int | None = None,
    minutes: float | None = None,
    say: Say = print,
) -> Path:
    """Train from a TOML configuration and export the model directory; return its path.

    out: the directory; unless given, the model's name. resume: go on from the checkpoint in it, if there is one. steps
    or minutes: to train for instead of the configuration's. say: takes each line of progress.

    Raises InputError for a configuration or data that cannot be used.
    """
    began = time.monotonic()
    settings = read_config(config_path)
    settings = replace(settings, train=lasting(settings.train, steps, minutes))
    out = Path(out or settings.name)
    rank = start_processes()
    if rank:
        say = _silent
    where = device_of(device, rank)
    torch.manual_seed(settings.train.seed)  # before the network draws its weights
    task = task_of(settings, where)
    state = Trainer(task, settings.train, where, rank, Clock(settings.train, began, where))
    if rank == 0:
        out.mkdir(parents=True, exist_ok=True)
    if resume and (out / CHECKPOINT).exists():
        state.load(out / CHECKPOINT)
        say(f"resuming at {state.clock.reached(state.step)} (--no-resume starts over)")
    weights = sum(p.numel() for p in state.network.parameters())
    say(f"training {settings.name}: {weights:,} weights, {state.clock.length}")
    say(f"figures are bits per byte or subpixel; held out: {'; '.join(task.names) or 'nothing'}")
    fit(state, out, settings.name, say)
    if rank == 0:
        finish(state, out, settings.name, say)
    return out


def lasting(config: TrainConfig, steps: int | None, minutes: float | None) -> TrainConfig:
    """Return the configuration with another length, where one is given. Raises InputError for one without a length."""
    if steps:
        config = replace(config, steps=steps, minutes=0.0)
    elif minutes:
        config = replace(config, minutes=minutes)
    if config.steps < 1 and config.minutes <= 0:
        raise InputError("[train] of the training configuration: expected steps or minutes above 0")
    return config


def _silent(line: str) -> None:
    """Say nothing: of several processes the first says it for all."""


def fit(state: Trainer[Batch], out: Path, title: str, say: Say) -> None:
    """Train to the end, saving and reporting on the way. Raises InputError where no time is left for a first step."""
    clock = state.clock
    progress = clock.progress(state.step)
    if progress >= 1:
        if not state.step:
            raise InputError(f"no time is left to train: reading the data took all of the {clock.length}")
        return
    state.choose_way(say)
    report = Report(state, out, title, say)
    while progress < 1:
        report.losses.append(state.advance(progress))
        if report.steps == 1 and state.rank == 0:
            rehearse_export(state)
        before, progress = progress, clock.progress(state.step)
        if clock.reports(state.step, before, progress):
            report.now(progress)
        if state.rank == 0 and clock.saves(state.step, before, progress):
            state.save(out / CHECKPOINT)


def rehearse_export(state: Trainer[Batch]) -> None:
    """Write the model once and forget it, so that what fails at the end fails at the beginning. The findings of archive
    models are left out: they take minutes.
    """
    with tempfile.TemporaryDirectory() as folder, state.averaged() as network:
        export(network, state.task.config, Path(folder), state.task.tables(network))


def finish(state: Trainer[Batch], out: Path, name: str, say: Say) -> None:
    """Export the averaged network, and say how it is used."""
    task = state.task
    with state.averaged() as network:
        kept = export(network, {**task.config, **task.findings(network)}, out, task.tables(network))
    if kept is not None:
        say(f"the model that was in {out} is kept as {kept}: files that it coded need it")
    named = os.path.join(out.parent, out.name)  # noqa: PTH118 - keeps ./, which tells a path from a name
    say(f"model written to {out}: bfncodec compress -m {named} FILE")
    say(f"decompressing needs {CONFIG} and {WEIGHTS} of it in {user_folder()}/{name}, or BFNCODEC_MODELS={out.parent}")
