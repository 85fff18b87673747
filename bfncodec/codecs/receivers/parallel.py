"""Receivers of the Gaussian senders when all dimensions are sent side by side, as in the paper: what they share.

They turn a network's output into integer distributions of sums (p_R) and of data (p_O), for discretised data in
:mod:`bfncodec.codecs.receivers.discretised`, for binary and discrete ones in :mod:`bfncodec.codecs.receivers.classes`.

A batch of items is one long array here: data [N] in item order, sums [N], or [N K] for the classes of discrete data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec.coding.bitsback import Distribution, Floats, Ints, LatticeFlow
from bfncodec.flow import AccuracySchedule, CodeLength, Flow, Sums, play
from bfncodec.networks.parallel.exact import ExactDenoiser, Moment


@dataclass(frozen=True)
class Grid:
    """The steps of a schedule: accuracies spent, and the time of each that the network is told."""

    betas: tuple[float, ...]
    clocks: tuple[float, ...]

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Grid:
        """Read a grid of a model's config. Raises ValueError for what is none."""
        betas, clocks = (tuple(float(v) for v in values[key]) for key in ("betas", "clocks"))
        if len(betas) != len(clocks) or len(betas) < 2 or betas[0] != 0 or any(b <= a for a, b in pairwise(betas)):
            raise ValueError(
                f"expected accuracies that grow from 0, with a clock each, found {len(betas)} and {len(clocks)}"
            )
        return cls(betas, clocks)


class ParallelReceiver(ABC):
    """Receiver of data of which all dimensions are sent side by side: what all kinds of data share.

    flow: the sender on lattices. theory: the same flow with real numbers, which says what a step costs.
    """

    theory: Flow[Any, Sums, Any]

    def __init__(self, network: ExactDenoiser, grid: Grid) -> None:
        self.network, self.config = network, network.config
        self.moments = [Moment(beta, clock) for beta, clock in zip(grid.betas, grid.clocks, strict=True)]
        self.schedule = AccuracySchedule(grid.betas)
        self.flow = LatticeFlow(self.schedule, float(self.config.classes if self.config.kind == "discrete" else 1))

    def encoding(self, sums: int) -> Self:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`. Nothing is remembered."""
        return self

    def decoding(self, sums: int) -> Self:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`. Nothing is remembered."""
        return self

    @abstractmethod
    def target(self, x: NDArray[np.integer]) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""

    @abstractmethod
    def step(self, i: int, before: Ints) -> Distribution:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""

    @abstractmethod
    def reconstruction(self, last: Ints) -> Distribution:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""

    @abstractmethod
    def observed(self, x: Ints) -> Any:
        """Data [N] as `theory` has them."""

    @abstractmethod
    def output(self, i: int, s: Floats) -> Any:
        """p_O with i steps behind. s: float64 [sums]"""

    def belief(self, p_O: Any) -> Any:
        """p_O that `output` returned as `theory` has it: itself, or its probabilities."""
        return p_O

    @abstractmethod
    def log_ratio(self, i: int, x: Ints, before: Ints, step: Any, after: Ints) -> float:
        """log2 p_S/p_R of the sample that leads from `before` to `after`, by densities. step: what `step` returned."""

    @abstractmethod
    def surprise(self, x: Ints, p_O: Any) -> float:
        """-log2 p_O(x) of what `reconstruction` returned, in bits, without the coder's rounding."""

    def play(self, x: Ints, rng: np.random.Generator, realised: bool = False) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng, see :func:`bfncodec.flow.play`. The coder has
        no part in it.
        """
        return play(
            self.theory,
            self.schedule,
            lambda theta, i: self.belief(self.output(i, theta.s.reshape(-1))),
            self.observed(x),
            rng,
            realised,
        )

    def alpha(self, i: int) -> float:
        """Accuracy of step i, from s_i to s_{i+1}."""
        return self.flow.betas[i + 1] - self.flow.betas[i]

    def raw(self, i: int, s: Floats) -> NDArray[np.float32]:
        """Output of the network for sums with i steps behind them, float32 [N, parameters]. s: float64 [sums]"""
        shape = (*self.config.shape, self.config.classes) if self.config.kind == "discrete" else self.config.shape
        batch = torch.from_numpy(s.astype(np.float32).reshape(-1, *shape)).to(self.network.device)
        out: NDArray[np.float32] = self.network(batch, self.moments[i]).cpu().numpy()
        return out.reshape(-1, self.config.parameters)

    def sums(self, i: int, integers: Ints) -> Floats:
        """Sums on the lattice of step i as real numbers, float64 [sums]."""
        return cast("Floats", integers * self.flow.units[i])
