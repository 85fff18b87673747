"""Faster ways to compute a loss, each taken only where it agrees with the plain one: float32, operation by operation.

bfloat16 has 8 bits of precision, and a compiler may make other gradients than it was asked for: NaN, in one network on
one GPU. So each run compares first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.networks.storage import TrainableNetwork
from bfncodec.training.muon import half_is_faster
from bfncodec.training.processes import in_all
from bfncodec.training.tasks.base import Batch

Say = Callable[[str], None]
LOSS_TOLERANCE = 0.02  # of the loss
LEAST_COSINE = 0.7  # between two gradients of the network; of one trained already, both small, it was 0.89
DISTURBANCE = 0.02  # standard deviation of the numbers that matrices of zeros are filled with


@dataclass(frozen=True)
class Way:
    """A way to compute a loss."""

    half: bool = False  # products of bfloat16
    compiled: bool = False

    def __str__(self) -> str:
        return f"{'bfloat16' if self.half else 'float32'}{', compiled' if self.compiled else ''}"


class Computation(Generic[Batch]):
    """The loss of a network on a device, computed in some way."""

    def __init__(
        self, loss: Callable[[nn.Module, Batch], Tensor], network: nn.Module, device: torch.device, way: Way
    ) -> None:
        self.loss, self.network, self.device, self.way = loss, network, device, way
        self.run: Callable[[nn.Module, Batch], Tensor] = loss
        if way.compiled and not (isinstance(network, TrainableNetwork) and network.compile_parts()):
            self.run = torch.compile(loss, dynamic=False)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the loss of a batch on this device, a scalar."""
        half = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.way.half)
        # Compiled in place, parts of the network serve plain computations, too.
        with half, torch.compiler.set_stance("default" if self.way.compiled else "force_eager"):
            return self.run(self.network, batch)


def chosen(plain: Computation[Batch], batches: Sequence[Batch], compiling: bool, say: Say) -> Computation[Batch]:
    """Return the fastest way that agrees with the plain one on these batches of a step, in all processes."""
    half = Way(half=half_is_faster(plain.device))
    ways = [half] if half.half else []
    if compiling and plain.device.type != "cpu":
        ways.append(replace(half, compiled=True))
    return taken(plain, ways, batches, say)


def taken(best: Computation[Batch], ways: Sequence[Way], batches: Sequence[Batch], say: Say) -> Computation[Batch]:
    """Return the last of these ways that agrees with the one taken before it, the first being `best`."""
    with disturbed(best.network), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\._inductor")  # advice to those who write compilers
        for way in ways:
            fault, fast = disagreement(best, way, batches)
            if in_all(not fault, best.device):
                best = fast or best
            else:
                say(f"training in {best.way}, not in {way}: {fault or 'another process found a fault'}")
    return best


def disagreement(
    plain: Computation[Batch], way: Way, batches: Sequence[Batch]
) -> tuple[str, Computation[Batch] | None]:
    """Return (how the gradients of a way differ, or "", and the way, or None).

    Compiled, it is tried on all batches, whose shapes differ; else on the first.
    """
    try:
        fast = Computation(plain.loss, plain.network, plain.device, way)
        for batch in batches if way.compiled else batches[:1]:
            wanted, direction = gradient(plain, batch)
            found, own = gradient(fast, batch)
            cosine = float(F.cosine_similarity(direction, own, dim=0))
            if not (abs(found - wanted) <= LOSS_TOLERANCE * max(1.0, abs(wanted)) and cosine >= LEAST_COSINE):
                return f"loss {found:.4f} instead of {wanted:.4f}, cosine of the gradients {cosine:.3f}", None
    except Exception as error:  # noqa: BLE001 - a compiler may raise anything
        plain.network.zero_grad(set_to_none=True)
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", None
    return "", fast


def gradient(computation: Computation[Batch], batch: Batch) -> tuple[float, Tensor]:
    """Return (loss of a batch, its gradient, float32 [weights])."""
    computation.network.zero_grad(set_to_none=True)
    loss = computation(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    parts = [p.grad.flatten().float() for p in computation.network.parameters() if p.grad is not None]
    computation.network.zero_grad(set_to_none=True)
    return float(loss.detach()), torch.cat(parts)


@contextmanager
def disturbed(network: nn.Module) -> Iterator[None]:
    """Fill matrices of zeros with small numbers for as long as this lasts.

    A new network has such matrices at the end of each block, and nothing that is wrong before them would be felt.
    """
    generator = torch.Generator().manual_seed(0)
    zeros = [p for p in network.parameters() if p.ndim == 2 and not p.detach().any()]
    with torch.no_grad():
        for p in zeros:
            p.copy_(torch.randn(p.shape, generator=generator) * DISTURBANCE)
    try:
        yield
    finally:
        with torch.no_grad():
            for p in zeros:
                p.zero_()
