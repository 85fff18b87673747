"""The receiver of a float network: the protocol of :mod:`bfncodec.coding.bitsback` over any callable of (theta, t)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bfncodec.coding.bitsback import Distribution, LatticeFlow
from bfncodec.errors import InputError
from bfncodec.flow import AccuracySchedule, CodeLength, play
from bfncodec.research.data import Data, Step
from bfncodec.runtime.arrays import Floats, Ints

__all__ = ["FloatReceiver", "Network"]

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(theta, t) to parameters of p_O: float32 [B, *shape] or [B, *shape, K], and t [B], to [B, *shape, outputs]."""


class FloatReceiver:
    """A network in floats as the receiver of a kind of data. Implements :class:`bfncodec.coding.bitsback.Receiver`.

    Parameters
    ----------
    network
        See :data:`Network`; t is i / n after i of n steps, as in the paper.
    data, shape
        Kind of the data, and shape of an item.
    betas
        Accuracy spent after 0 to n steps.
    """

    def __init__(self, network: Network, data: Data, betas: tuple[float, ...], shape: tuple[int, ...]) -> None:
        self.network, self.data, self.shape = network, data, shape
        self.schedule = AccuracySchedule(betas)
        self.flow = LatticeFlow(self.schedule, float(data.sums))

    def begin(self) -> None:
        """Begin a file. Nothing is remembered."""

    def encoding(self, sums: int) -> FloatReceiver:
        """Nothing is remembered."""
        return self

    def decoding(self, sums: int) -> FloatReceiver:
        """Nothing is remembered."""
        return self

    def target(self, x: Ints) -> Floats:
        """Implements the receiver's method."""
        return self.data.target(x)

    def step(self, i: int, before: Ints) -> Step:
        """Implements the receiver's method."""
        s = self.real(i, before)
        return self.data.step(self.output(i, s), s, i, self.flow)

    def reconstruction(self, last: Ints) -> _Known:
        """Implements the receiver's method."""
        n = self.flow.n_steps
        p_O = self.output(n, self.real(n, last))
        return _Known(p_O, self.data.reconstruction(p_O))

    def real(self, i: int, integers: Ints) -> Floats:
        """Return sums on the lattice of step i as real numbers, [N sums]."""
        return integers.astype(np.float64) * self.flow.units[i]

    def output(self, i: int, s: Floats) -> Any:
        """Return p_O with i steps behind. s: the sums, float64 [N sums]

        Raises InputError for a network that returns what is no p_O.
        """
        theta = self.data.theta(s, self.flow.betas[i])
        belief = self.data.belief(theta)
        batch = torch.from_numpy(belief.astype(np.float32)).reshape(-1, *self.shape, *belief.shape[1:])
        t = torch.full((len(batch),), i / self.flow.n_steps)
        raw = self.network(batch, t)
        wanted = (len(batch), *self.shape, self.data.outputs)
        if tuple(raw.shape) != wanted or not bool(torch.isfinite(raw).all()):
            raise InputError(
                f"expected finite numbers of shape {list(wanted)} from the network, found "
                f"{'others' if tuple(raw.shape) == wanted else f'shape {list(raw.shape)}'}"
            )
        return self.data.output(theta, raw.detach().cpu().double().numpy().reshape(-1, self.data.outputs))

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        """Return L^n of data [N], played once with fresh noise: the coder has no part in it."""

        def network(theta: Any, i: int) -> Any:
            return self.output(i, theta.s.reshape(-1))

        return play(self.data.theory, self.schedule, network, self.data.observed(x), rng, realised=True)

    def log_ratio(self, i: int, x: Ints, before: Ints, step: Step, after: Ints) -> float:
        """Return log2 p_S/p_R of the sample that leads from `before` to `after`, by densities."""
        alpha = self.flow.betas[i + 1] - self.flow.betas[i]
        y, row = self.data.sample(self.real(i + 1, after) - self.real(i, before), alpha), np.array([alpha])
        p_S, p_R = self.data.theory.sender(self.data.observed(x), row), self.data.theory.receiver(step.p_O, row)
        return float((p_S.log2_prob(y) - p_R.log2_prob(y)).sum())

    def surprise(self, x: Ints, known: _Known) -> float:
        """Return -log2 p_O(x) of what `reconstruction` returned."""
        return float(self.data.theory.reconstruction(self.data.observed(x), known.p_O).sum())


class _Known:
    """p_O as the coder has it, beside p_O as the flow has it."""

    def __init__(self, p_O: Any, coded: Distribution) -> None:
        self.p_O, self.push, self.pop = p_O, coded.push, coded.pop
