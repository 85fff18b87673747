"""The tasks there are, by the role and the schedule that a training configuration names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

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
    ("archive", "ramps"): SequenceTask,
    ("archive", "wavefront"): WavefrontTask,
}
"""One for each of the `SCHEDULES` of a configuration."""


def task_of(settings: Settings, device: torch.device) -> Task[Any]:
    """Read the data of a training and make its task. Raises InputError for data or networks that cannot be."""
    return TASKS[settings.role, settings.schedule](settings, device)
