"""The tasks there are, by the role and the schedule that a training configuration names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from bfncodec.errors import InputError
from bfncodec.training.config import Settings
from bfncodec.training.tasks.base import Task
from bfncodec.training.tasks.image import ImageTask
from bfncodec.training.tasks.parallel import ParallelTask
from bfncodec.training.tasks.sequence import SequenceTask
from bfncodec.training.tasks.text import TextTask
from bfncodec.training.tasks.wavefront import WavefrontTask

TASKS: Mapping[tuple[str, str], Callable[[Settings, torch.device], Task[Any]]] = {
    ("image", "wavefront"): ImageTask,
    ("text", "comb"): TextTask,
    ("archive", "parallel"): ParallelTask,
    ("archive", "staggered"): SequenceTask,
    ("archive", "wavefront"): WavefrontTask,
}
"""Tasks by role and schedule; the first schedule of a role is taken where a configuration names none."""


def task_of(settings: Settings, device: torch.device) -> Task[Any]:
    """Read the data of a training and make its task.

    Raises InputError for roles and schedules that there are not, and for data or networks that cannot be.
    """
    schedules = [schedule for role, schedule in TASKS if role == settings.role]
    _check("role", settings.role, list(dict.fromkeys(role for role, _ in TASKS)))
    schedule = settings.schedule or schedules[0]
    _check("schedule", schedule, schedules)
    return TASKS[settings.role, schedule](replace(settings, schedule=schedule), device)


def _check(key: str, value: str, known: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of those known."""
    if value not in known:
        raise InputError(f"{key} of the training configuration: expected one of {', '.join(known)}, found {value!r}")
