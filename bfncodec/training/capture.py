"""CUDA graphs: a training step that is captured once and replayed.

A step starts hundreds of operations, each of which costs the host some microseconds; of small batches a GPU is done
sooner than the host. Replayed, a step starts one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from bfncodec.training.agreement import LOSS_TOLERANCE, Say
from bfncodec.training.tasks.base import Batch

Step = Callable[[Sequence[Batch]], Tensor]
"""A training step: batches on the device in, their loss out."""
LEAST_COSINE = 0.9  # between where two runs of a step lead: a GPU may add in another order, and Muon magnifies it


class Replay(Generic[Batch]):
    """A step captured in a CUDA graph, for batches of the shapes of those that it was captured with."""

    def __init__(self, step: Step[Batch], batches: Sequence[Batch]) -> None:
        self.batches = [copied(batch) for batch in batches]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = step(self.batches)

    def __call__(self, batches: Sequence[Batch]) -> Tensor:
        """Train on batches; return their loss."""
        for own, new in zip(map(tensors_of, self.batches), map(tensors_of, batches), strict=True):
            for mine, other in zip(own, new, strict=True):
                mine.copy_(other)
        self.graph.replay()
        return self.loss.clone()


def replay_of(
    step: Step[Batch],
    batches: Sequence[Batch],
    changed: Sequence[Tensor],
    say: Say,
    capture: Callable[[Step[Batch], Sequence[Batch]], Replay[Batch]] = Replay,
) -> tuple[Tensor, Replay[Batch] | None]:
    """Train one step plainly and by a graph; return its loss and the graph, or None where it leads elsewhere.

    changed: all tensors that a step changes. What was trained is one step, whichever of the two it was.
    """
    before = values(changed)
    wanted = step(batches)
    plainly = values(changed)
    put(changed, before)
    try:
        replay = capture(step, batches)
        loss = replay(batches)
        fault = disagreement(before, plainly, changed, float(wanted), float(loss))
    except Exception as error:  # noqa: BLE001 - what cannot be captured may raise anything
        fault = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if not fault:
        return loss, replay
    say(f"training step by step, not by a CUDA graph: {fault}")
    put(changed, plainly)
    return wanted, None


@torch.no_grad()
def disagreement(
    before: Sequence[Tensor], plainly: Sequence[Tensor], found: Sequence[Tensor], wanted: float, loss: float
) -> str:
    """Return how a step that led from `before` to `found` differs from one that led to `plainly`, or "". Of directions
    those of the weights count, which are what has a gradient.
    """
    weights = [i for i, part in enumerate(found) if part.requires_grad]
    led, wanted_led = (torch.cat([(to[i] - before[i]).flatten().float() for i in weights]) for to in (found, plainly))
    cosine = float(F.cosine_similarity(led, wanted_led, dim=0))
    if abs(loss - wanted) <= LOSS_TOLERANCE * max(1.0, abs(wanted)) and cosine >= LEAST_COSINE:
        return ""
    return f"loss {loss:.4f} instead of {wanted:.4f}, cosine of the steps {cosine:.4f}"


def values(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies of tensors."""
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def put(tensors: Sequence[Tensor], copies: Sequence[Tensor]) -> None:
    """Give tensors other values, in place."""
    for tensor, value in zip(tensors, copies, strict=True):
        tensor.copy_(value)


def copied(batch: Batch) -> Batch:
    """Return a batch with tensors of its own."""
    if isinstance(batch, Tensor):
        return cast(Batch, batch.clone())
    return cast(Batch, tuple(part.clone() if isinstance(part, Tensor) else part for part in batch))


def tensors_of(batch: Tensor | tuple[Tensor | int, ...]) -> Iterator[Tensor]:
    """Yield the tensors of a batch."""
    yield from (part for part in ((batch,) if isinstance(batch, Tensor) else batch) if isinstance(part, Tensor))
