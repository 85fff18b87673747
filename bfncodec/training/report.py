"""Reports of a training on the way: lines, curve.jsonl and curve.png."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Generic, TypedDict

import torch
from torch import Tensor

from bfncodec.training import plot
from bfncodec.training.agreement import Say
from bfncodec.training.tasks.base import Batch
from bfncodec.training.trainer import Trainer

CURVE, PICTURE = "curve.jsonl", "curve.png"
PLOTTED = 0.01  # of the time at most goes into pictures of the curve
TICK = 1 / 64  # seconds that no pace is measured below: Windows' clock stands still for as long


class Row(TypedDict):
    """A line of curve.jsonl; bits per dimension."""

    step: int
    train: float
    """Mean loss of the steps since the last report."""
    per_second: int
    """Bytes or subpixels trained on a second since then, in this process."""
    validation: list[float]
    """Held-out bits of each validation set."""
    seconds: float
    """Time trained so far."""


class Report(Generic[Batch]):
    """Held-out bits of a training, measured when they are due, said, written and drawn."""

    def __init__(self, state: Trainer[Batch], out: Path, title: str, say: Say) -> None:
        self.state, self.out, self.title, self.say = state, out, title, say
        self.losses: list[Tensor] = []  # of the steps since the last report
        self.first, self.started = state.step, time.monotonic()
        self.last, self.seen = self.started, 0  # when the last report ended, and what had been seen until then
        self.drawing = 0.0  # seconds spent on pictures

    @property
    def steps(self) -> int:
        """Steps trained in this run."""
        return self.state.step - self.first

    def now(self, progress: float) -> None:
        """Measure held-out bits and tell them; at progress 1 the curve is drawn whatever it costs."""
        state = self.state
        train = float(torch.stack(self.losses).mean())  # waits for a GPU to have done what it was asked
        pace = (state.seen - self.seen) / max(time.monotonic() - self.last, TICK)
        row: Row = {
            "step": state.step,
            "train": train,
            "per_second": round(pace),
            "validation": state.validate(),
            "seconds": round(state.clock.seconds(), 1),
        }
        self.losses.clear()
        self.say(self._line(row))
        if state.rank == 0:
            with (self.out / CURVE).open("a") as f:
                f.write(json.dumps(row) + "\n")
            self._draw(at_any_cost=progress >= 1)
        self.last, self.seen = time.monotonic(), state.seen

    def _line(self, row: Row) -> str:
        """Return a row as a line for people, with the time that is left."""
        step, config = row["step"], self.state.config
        pace = (time.monotonic() - self.started) / self.steps
        left = self.state.clock.left(step, pace)
        return (
            f"step {step}{'' if config.minutes else f'/{config.steps}'}  train {row['train']:.4f}  "
            f"held-out {' '.join(f'{v:.4f}' for v in row['validation'])}  {pace:.3g} s/step, "
            f"{row['per_second'] / 1e6:.2g} million/s, {left / 60:.0f} min left, "
            f"until {time.strftime('%H:%M', time.localtime(time.time() + left))}"
        )

    def _draw(self, at_any_cost: bool) -> None:
        """Draw the curve, as often as it costs little; not without matplotlib."""
        began = time.monotonic()
        if self.drawing > PLOTTED * (began - self.started) and not at_any_cost:
            return
        try:
            plot.draw(self.out / CURVE, self.out / PICTURE, self.title, self.state.task.names)
        except ImportError:
            self.drawing = float("inf")
        self.drawing += time.monotonic() - began
