"""The receivers of the Gaussian game: from a network's numbers to integer distributions of sums and of data.

A batch of items is one long array here: data [N] in item order, sums [N], or [N K] for the classes of discrete data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Distribution, Floats, Game, Ints
from bfncodec.coding.cdf import (
    NIBBLE,
    SUM_BITS,
    high_frequencies,
    low_frequencies,
    nibble_intervals,
    softmax_frequencies,
)
from bfncodec.coding.lattice import Kernel, Normals
from bfncodec.flow import AccuracySchedule, Atoms, CodeLength, Flow, GaussianFlow, SimplexFlow, Sums, play
from bfncodec.networks import tables
from bfncodec.networks.denoiser import SPREAD_RANGE, DenoiserConfig
from bfncodec.networks.exact_convnet import MEAN_LIMIT, MEAN_STEPS, WEIGHT_TOTAL, Mixture, mixture_weights
from bfncodec.networks.exact_denoiser import ExactDenoiser, Moment

LOGISTIC_VARIANCE = 3.289868133696453  # pi^2 / 3
LEVELS = 256


@dataclass(frozen=True)
class Grid:
    """The steps of a game: accuracies spent, and where each is on the network's clock."""

    betas: tuple[float, ...]
    clocks: tuple[float, ...]

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Grid:
        """From a model's config. Raises ValueError for what is no grid."""
        betas, clocks = (tuple(float(v) for v in values[key]) for key in ("betas", "clocks"))
        if len(betas) != len(clocks) or len(betas) < 2 or betas[0] != 0 or any(b <= a for a, b in pairwise(betas)):
            raise ValueError(
                f"expected accuracies that grow from 0, with a clock each, found {len(betas)} and {len(clocks)}"
            )
        return cls(betas, clocks)


class GaussianReceiver(ABC):
    """What all kinds of data share: the game, the network, and arrays in and out of it."""

    def __init__(self, network: ExactDenoiser, grid: Grid) -> None:
        self.network, self.config = network, network.config
        self.moments = [Moment(beta, clock) for beta, clock in zip(grid.betas, grid.clocks, strict=True)]
        self.game = Game(grid.betas, float(self.config.classes if self.config.kind == "discrete" else 1))

    @abstractmethod
    def target(self, x: Ints) -> Floats:
        """See :class:`bfncodec.coding.bitsback.Receiver`."""

    @abstractmethod
    def step(self, i: int, before: Ints) -> Distribution:
        """See :class:`bfncodec.coding.bitsback.Receiver`."""

    @abstractmethod
    def reconstruction(self, last: Ints) -> Distribution:
        """See :class:`bfncodec.coding.bitsback.Receiver`."""

    @abstractmethod
    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng; the coder has no part in it."""

    @property
    def schedule(self) -> AccuracySchedule:
        return AccuracySchedule(self.game.betas)

    def alpha(self, i: int) -> float:
        """Accuracy of step i, from s_i to s_{i+1}."""
        return self.game.betas[i + 1] - self.game.betas[i]

    def raw(self, i: int, s: Floats) -> NDArray[np.float32]:
        """The network's numbers for sums with i steps behind them, float32 [N, parameters]. s: float64 [sums]"""
        shape = (*self.config.shape, self.config.classes) if self.config.kind == "discrete" else self.config.shape
        batch = torch.from_numpy(s.astype(np.float32).reshape(-1, *shape)).to(self.network.device)
        out: NDArray[np.float32] = self.network(batch, self.moments[i]).cpu().numpy()
        return out.reshape(-1, self.config.parameters)

    def sums(self, i: int, integers: Ints) -> Floats:
        """Sums in their own measure."""
        return cast("Floats", integers * self.game.units[i])


# ---- levels: a logistic mixture for each ------------------------------------------------------------


@dataclass(frozen=True)
class LevelOutput:
    """p_O of levels as a logistic mixture over [-1, 1]: weights (integers that sum to 2^10), means, scales, [J, N]
    each.
    """

    weight: NDArray[np.int32]
    mean: Floats
    scale: Floats

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and variance [N]; component after component, so that the order of additions is fixed."""
        share = self.weight * (1.0 / WEIGHT_TOTAL)
        m = share[0] * self.mean[0]
        for w, mean in zip(share[1:], self.mean[1:], strict=True):
            m = m + w * mean
        v = np.zeros_like(m)
        for w, mean, scale in zip(share, self.mean, self.scale, strict=True):
            away = mean - m
            v = v + w * (scale * scale * LOGISTIC_VARIANCE + away * away)
        return m, v

    def levels(self) -> Mixture:
        """The same in levels, as integers."""
        half = LEVELS / 2
        mean = np.rint(((self.mean + 1) * half - 0.5) * MEAN_STEPS).clip(-MEAN_LIMIT, MEAN_LIMIT)
        inverse = tables.LOGISTIC_STEPS / (self.scale * (half * MEAN_STEPS))
        return Mixture(self.weight, mean.astype(np.float32), inverse.astype(np.float32))


def level_output(raw: NDArray[np.float32], s: Floats, beta: float) -> LevelOutput:
    """The integer twin of `training.gaussian.components`. raw: [N, 3 J]; s: [N]"""
    weight, shift, scale = np.split(raw.T, 3)
    exp2, count = tables.exp2_table(), len(weight)
    spread, mu = 1 / math.sqrt(1 + beta), s * (1 / (1 + beta))
    fan = np.array([j / (count - 1) - 0.5 for j in range(count)] if count > 1 else [0.0])
    low, high = SPREAD_RANGE
    level = np.rint((high - (scale.astype(np.float64) - 1).clip(low, high)) * tables.EXP2_STEPS).astype(np.int64)
    deviation = exp2.take(level) * (spread * 2.0 ** (high - tables.EXP2_BITS))
    return LevelOutput(mixture_weights(weight), mu + spread * (shift + fan[:, None]), deviation)


@dataclass(frozen=True)
class Levels:
    """Bytes under a mixture of logistics, as two nibbles."""

    mixture: Mixture

    def push(self, stack: AnsStack, x: Ints) -> None:
        high, low = nibble_intervals(self.mixture.below, x.astype(np.int32))
        for part in (low, high):
            stack.push_intervals(part.below, part.frequency, part.symbol, NIBBLE)

    def pop(self, stack: AnsStack) -> Ints:
        high = stack.pop_rows(high_frequencies(self.mixture.below))
        low = stack.pop_rows(low_frequencies(self.mixture.below, high))
        return (high * NIBBLE + low).astype(np.int64)

    def bits(self, x: Ints) -> Floats:
        """-log2 of the probabilities, without the coder's rounding."""
        edges = np.stack([x, x + 1], 1).astype(np.int32)
        below = self.mixture.below(edges).astype(np.float64)
        return SUM_BITS - np.log2(np.maximum(below[:, 1] - below[:, 0], 1))


@dataclass(frozen=True)
class LevelBelief:
    """p_O of levels as :class:`bfncodec.flow.gaussian.GaussianFlow` wants it."""

    p: LevelOutput

    @property
    def mean(self) -> Floats:
        return self.p.moments()[0]

    @property
    def variance(self) -> Floats:
        return self.p.moments()[1]

    def log2_prob(self, x: Floats) -> Floats:
        return -Levels(self.p.levels()).bits(np.rint((x + 1) * (LEVELS / 2) - 0.5).astype(np.int64))


class LevelReceiver(GaussianReceiver):
    """Discretised data: x in 0 … 255, one sum each; the receiver has the mean and variance of p_O."""

    def target(self, x: Ints) -> Floats:
        return cast("Floats", (x + 0.5) * (2 / LEVELS) - 1)

    def output(self, i: int, s: Floats) -> LevelOutput:
        """p_O with i steps behind."""
        return level_output(self.raw(i, s), s, self.game.betas[i])

    def step(self, i: int, before: Ints) -> Normals:
        s = self.sums(i, before)
        m, v = self.output(i, s).moments()
        alpha, unit = self.alpha(i), self.game.units[i + 1]
        return Normals((s + alpha * m) * (1 / unit), (alpha + alpha * alpha * v) * (1 / (unit * unit)))

    def reconstruction(self, last: Ints) -> Levels:
        return Levels(self.output(self.game.steps, self.sums(self.game.steps, last)).levels())

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        def network(theta: Sums, i: int) -> LevelBelief:
            return LevelBelief(self.output(i, theta.s))

        return play(GaussianFlow("moments"), self.schedule, network, self.target(x), rng)


# ---- classes: one of K, the receiver a mixture of K normals ----------------------------------------


@dataclass(frozen=True)
class Classes:
    """Symbols [N] under logits float32 [N, K]."""

    logits: NDArray[np.float32]

    def frequencies(self, evidence: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Integer frequencies, given evidence too: logarithms of likelihoods [N, K]."""
        logits = self.logits if evidence is None else self.logits + evidence
        steps = np.rint((logits.max(1, keepdims=True) - logits) * np.float32(tables.LOG2_E * tables.EXP2_STEPS))
        table = tables.exp2_table()
        return softmax_frequencies(table.take(np.minimum(steps, len(table) - 1).astype(np.int64)))

    def push(self, stack: AnsStack, x: Ints) -> None:
        stack.push_rows(x, self.frequencies())

    def pop(self, stack: AnsStack) -> Ints:
        return stack.pop_rows(self.frequencies()).astype(np.int64)

    def log2_p(self) -> Floats:
        """log2 of the probabilities, without the coder's rounding, float64 [N, K]."""
        exponent = self.logits.astype(np.float64) - self.logits.max(1, keepdims=True)
        normal: Floats = (exponent - np.log(np.exp(exponent).sum(1, keepdims=True))) * tables.LOG2_E
        return normal


@dataclass(frozen=True)
class ClassSample:
    """The exact receiver of classes: a mixture of K normals, its class a latent that is paid for and given back."""

    classes: Classes
    receiver: LatentReceiver
    i: int
    before: Ints
    noise: Kernel

    def push(self, stack: AnsStack, after: Ints) -> None:
        latent = stack.pop_rows(self.classes.frequencies(self._evidence(after))).astype(np.int64)
        self.noise.push(stack, after, self._mean(latent))
        self.classes.push(stack, latent)

    def pop(self, stack: AnsStack) -> Ints:
        latent = self.classes.pop(stack)
        after = self.noise.pop(stack, self._mean(latent))
        stack.push_rows(latent, self.classes.frequencies(self._evidence(after)))
        return after

    def _evidence(self, after: Ints) -> NDArray[np.float32]:
        sample = self.receiver.sums(self.i + 1, after) - self.receiver.sums(self.i, self.before)
        return self.receiver.evidence(sample).astype(np.float32)

    def _mean(self, latent: Ints) -> Floats:
        alpha, unit = self.receiver.alpha(self.i), self.receiver.game.units[self.i + 1]
        return (self.receiver.sums(self.i, self.before) + alpha * self.receiver.target(latent)) * (1 / unit)


class LatentReceiver(GaussianReceiver):
    """What receivers of classes share: a mixture of normals."""

    @abstractmethod
    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, [N, K]."""

    @abstractmethod
    def output(self, i: int, s: Floats) -> Classes:
        """p_O with i steps behind."""

    def step(self, i: int, before: Ints) -> ClassSample:
        p_O = self.output(i, self.sums(i, before))
        return ClassSample(p_O, self, i, before, self.game.sample_kernel(i + 1))

    def reconstruction(self, last: Ints) -> Classes:
        return self.output(self.game.steps, self.sums(self.game.steps, last))


class BinaryReceiver(LatentReceiver):
    """Two classes as x in {0, 1}, one sum each with target -1 or 1."""

    def target(self, x: Ints) -> Floats:
        return cast("Floats", 2.0 * x - 1)

    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, [N, 2]."""
        return np.stack([-sample, sample], 1)

    def output(self, i: int, s: Floats) -> Classes:
        """p_O with i steps behind."""
        logit = self.raw(i, s)[:, 0] + (2 * s).astype(np.float32)
        return Classes(np.stack([np.zeros_like(logit), logit], 1))

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        def network(theta: Sums, i: int) -> Atoms:
            return Atoms(np.array([-1.0, 1.0]), self.output(i, theta.s).log2_p())

        return play(GaussianFlow("mixture", samples=2), self.schedule, network, self.target(x), rng)


class ClassReceiver(LatentReceiver):
    """K classes, K sums for each symbol, with target K e_x - 1."""

    def target(self, x: Ints) -> Floats:
        k = self.config.classes
        return (np.eye(k)[x] * k - 1).reshape(-1)

    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, [N, K]."""
        return sample.reshape(-1, self.config.classes)

    def output(self, i: int, s: Floats) -> Classes:
        """p_O with i steps behind."""
        return Classes(self.raw(i, s) + s.reshape(-1, self.config.classes).astype(np.float32))

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        def network(theta: Sums, i: int) -> Floats:
            return self.output(i, theta.s.reshape(-1)).log2_p()

        flow: Flow[Any, Sums, Floats] = SimplexFlow(self.config.classes)  # its data are integers, its samples are not
        return play(flow, self.schedule, network, x, rng)


def receiver(network: ExactDenoiser, grid: Grid) -> LevelReceiver | BinaryReceiver | ClassReceiver:
    """The receiver of a network's kind of data."""
    kinds: dict[str, type[LevelReceiver | BinaryReceiver | ClassReceiver]]
    kinds = {"discretised": LevelReceiver, "binary": BinaryReceiver, "discrete": ClassReceiver}
    return kinds[network.config.kind](network, grid)


def sums_of(config: DenoiserConfig) -> int:
    """Sums of an item."""
    size = int(np.prod(config.shape))
    return size * config.classes if config.kind == "discrete" else size
