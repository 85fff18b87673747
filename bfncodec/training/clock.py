"""Progress of a training: in steps, or in minutes."""

from __future__ import annotations

import time

import torch

from bfncodec.training.config import TrainConfig
from bfncodec.training.processes import of_the_first

REPORTS = 20  # of a training of minutes
EARLY_REPORT = 10  # the step after which it is said how long the training will take


class Clock:
    """Measure of a training, from 0 to 1, that says what is due.

    Minutes are those of the wall, of all its runs, each from `began` (of time.monotonic) on; in a group the first
    process's clock is everybody's.
    """

    def __init__(self, config: TrainConfig, began: float, device: torch.device) -> None:
        self.config, self.began, self.device = config, began, device
        self.before = 0.0  # seconds of earlier runs

    def seconds(self) -> float:
        """Return the seconds trained so far, in all runs."""
        return self.before + time.monotonic() - self.began

    def progress(self, step: int) -> float:
        """Return the progress after `step` steps: 0 at the beginning; 1 or more at the end."""
        if self.config.minutes:
            return of_the_first(self.seconds() / (60 * self.config.minutes), self.device)
        return step / self.config.steps

    def factor(self, step: int, progress: float) -> float:
        """Return the factor of the learning rates: it rises from 0 to 1 over the warm-up, and falls over the decay."""
        left = (1 - progress) / max(self.config.decay, 1e-9)
        return max(0.0, min(1.0, (step + 1) / max(1, self.config.warmup), left))

    def reports(self, step: int, before: float, now: float) -> bool:
        """Return whether held-out bits are due after a step that led from progress `before` to `now`."""
        if now >= 1 or step == EARLY_REPORT:
            return True
        if self.config.minutes:
            return int(REPORTS * now) > int(REPORTS * before)
        return step % self.config.validate_every == 0

    def saves(self, step: int, before: float, now: float) -> bool:
        """Return whether a checkpoint is due after a step that led from progress `before` to `now`."""
        if self.config.minutes or now >= 1:
            return self.reports(step, before, now)
        return step % self.config.save_every == 0

    def left(self, step: int, pace: float) -> float:
        """Return the seconds to the end, at `pace` seconds a step."""
        if self.config.minutes:
            return max(0.0, 60 * self.config.minutes - self.seconds())
        return pace * (self.config.steps - step)

    @property
    def length(self) -> str:
        """Length of the whole training, for people."""
        return f"{self.config.minutes:g} minutes" if self.config.minutes else f"{self.config.steps} steps"

    def reached(self, step: int) -> str:
        """Return how far the training has come, for people."""
        if self.config.minutes:
            return f"step {step} after {self.seconds() / 60:.1f} of {self.config.minutes:g} minutes"
        return f"step {step} of {self.config.steps}"
