"""The receivers of the Gaussian game: from a network's numbers to integer distributions of sums and of data.

A batch of items is one long array here: data [N] in item order, sums [N], or [N K] for the classes of discrete data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Distribution, Floats, Game, Ints
from bfncodec.coding.cdf import (
    NIBBLE,
    SUM_BITS,
    byte_bits,
    high_frequencies,
    low_frequencies,
    nibble_intervals,
    softmax_frequencies,
)
from bfncodec.coding.lattice import Kernel, Normals
from bfncodec.flow import AccuracySchedule, Atoms, CodeLength, Flow, GaussianFlow, SimplexFlow, Sums, play
from bfncodec.networks.convnet.exact import MEAN_LIMIT, MEAN_STEPS, WEIGHT_TOTAL, Mixture, mixture_weights
from bfncodec.networks.parallel.exact import ExactDenoiser, Moment
from bfncodec.networks.parallel.model import MOST_CLASSES, SPREAD_RANGE, DenoiserConfig
from bfncodec.networks.sequence.model import SequenceConfig
from bfncodec.networks.wavefront.model import TiledConfig

TOGETHER = 8192  # numbers that are worked on at once: they stay in the processor's cache


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

    def begin(self) -> Self:
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
    """p_O of so many levels as a logistic mixture over [-1, 1]: weights (integers that sum to 2^10) and means, [J, N]
    each; scales are those of a table, by `level` [J, N].
    """

    weight: NDArray[np.int32]
    mean: Floats
    level: Ints
    scales: Floats
    classes: int

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and variance [N]; component after component, so that the order of additions is fixed."""
        share = self.weight * (1.0 / WEIGHT_TOTAL)
        m = share[0] * self.mean[0]
        for w, mean in zip(share[1:], self.mean[1:], strict=True):
            m += w * mean
        v = np.zeros_like(m)
        variance = (self.scales * self.scales * tables.LOGISTIC_VARIANCE).take(self.level)
        for w, mean, own in zip(share, self.mean, variance, strict=True):
            away = mean - m
            away *= away
            away += own
            away *= w
            v += away
        return m, v

    def levels(self) -> Levels:
        """The same in levels, as integers."""
        half = self.classes / 2
        mean = np.rint(((self.mean + 1) * half - 0.5) * MEAN_STEPS).clip(-MEAN_LIMIT, MEAN_LIMIT)
        inverse = tables.LOGISTIC_STEPS / (self.scales * (half * MEAN_STEPS))
        mixture = Mixture(self.weight, mean.astype(np.float32), inverse.astype(np.float32).take(self.level))
        return Levels(mixture, self.classes)


def level_output(raw: NDArray[np.float32], s: Floats, beta: float, classes: int) -> LevelOutput:
    """The integer twin of `training.gaussian.components`. raw: [N, 3 J]; s: [N]"""
    weight, shift, scale = np.split(np.ascontiguousarray(raw.T), 3)
    count = len(weight)
    spread, mu = 1 / math.sqrt(1 + beta), s * (1 / (1 + beta))
    fan = np.array([j / (count - 1) - 0.5 for j in range(count)] if count > 1 else [0.0])
    low, high = SPREAD_RANGE
    level = scale.astype(np.float64)
    level -= 1
    np.subtract(high, level.clip(low, high, out=level), out=level)
    level *= tables.EXP2_STEPS
    np.rint(level, out=level)
    powers = tables.exp2_table()[: int(high - low) * tables.EXP2_STEPS + 1]
    mean = shift + fan[:, None]
    mean *= spread
    mean += mu
    weights = pair_weights(weight) if count == 2 else mixture_weights(weight)
    scales = powers * (spread * 2.0 ** (high - tables.EXP2_BITS))
    return LevelOutput(weights, mean, level.astype(np.int64), scales, classes)


def pair_weights(logits: NDArray[np.float32]) -> NDArray[np.int32]:
    """`mixture_weights` of two: all there can be are in a table. float32 [2, N] -> int32 [2, N]"""
    first = _pairs().take(pair_steps(logits[0] - logits[1]), mode="clip")
    return np.stack([first, WEIGHT_TOTAL - first])


def pair_steps(more: NDArray[np.float32]) -> Ints:
    """Where two that differ by a logit [N] are in a table whose middle is for equals, perhaps beyond its ends."""
    steps = np.rint(more * np.float32(tables.LOG2_E * tables.EXP2_STEPS))
    steps += len(tables.exp2_table()) - 1
    place: Ints = steps.astype(np.int64)
    return place


@lru_cache(maxsize=1)
def _pairs() -> NDArray[np.int32]:
    """The first weight of two for every difference of their logits."""
    first, other = pair_exponentials()
    return (first * np.float64(WEIGHT_TOTAL) / (first + other)).astype(np.int32)


def pair_exponentials() -> tuple[Ints, Ints]:
    """Exponentials of two logits for every difference, that of the larger one 2^20, as `pair_steps` has them."""
    table = tables.exp2_table().astype(np.int64)
    rising, flat = table[:0:-1], np.full(len(table), table[0])
    return np.concatenate([rising, flat]), np.concatenate([flat[1:], table])


@dataclass(frozen=True)
class Levels:
    """Bytes below `classes` under a mixture of logistics, as two nibbles. Larger bytes have no part of the mixture, and
    of the coder no more than the 2^-24 it gives to every symbol.
    """

    mixture: Mixture
    classes: int

    def push(self, stack: AnsStack, x: Ints) -> None:
        high, low = nibble_intervals(self._below, x.astype(np.int32))
        for part in (low, high):
            stack.push_intervals(part.below, part.frequency, part.symbol, NIBBLE)

    def pop(self, stack: AnsStack) -> Ints:
        parts = [slice(first, first + TOGETHER) for first in range(0, self.mixture.mean.shape[1], TOGETHER)]
        high = [stack.pop_rows(high_frequencies(self._part(at)._below)) for at in parts]
        low = [
            stack.pop_rows(low_frequencies(self._part(at)._below, part)) for at, part in zip(parts, high, strict=True)
        ]
        return (np.concatenate(high) * NIBBLE + np.concatenate(low)).astype(np.int64)

    def _part(self, at: slice) -> Levels:
        p = self.mixture
        return Levels(Mixture(p.weight[:, at], p.mean[:, at], p.inverse[:, at]), self.classes)

    def bits(self, x: Ints) -> Floats:
        """-log2 of the probabilities, without the coder's rounding."""
        return byte_bits(self._below, x)

    def _below(self, value: NDArray[np.int32]) -> NDArray[np.int32]:
        """`Mixture.below`, a column at a time: NumPy takes its time over rows of a few."""
        found = np.empty((self.mixture.mean.shape[1], value.shape[1]), np.int32)
        for column in range(value.shape[1]):
            found[:, column] = self.mixture.below(value[:, column : column + 1])[:, 0]
        if self.classes < MOST_CLASSES:
            found[np.broadcast_to(value >= self.classes, found.shape)] = 1 << SUM_BITS
        return found


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
        return -self.p.levels().bits(np.rint((x + 1) * (self.p.classes / 2) - 0.5).astype(np.int64))


class LevelReceiver(GaussianReceiver):
    """Discretised data: x in 0 … classes - 1, one sum each; the receiver has the mean and variance of p_O."""

    def target(self, x: NDArray[np.integer]) -> Floats:
        return cast("Floats", (x + 0.5) * (2 / self.config.classes) - 1)

    def output(self, i: int, s: Floats) -> LevelOutput:
        """p_O with i steps behind."""
        return level_output(self.raw(i, s), s, self.game.betas[i], self.config.classes)

    def step(self, i: int, before: Ints) -> Normals:
        s = self.sums(i, before)
        raw, alpha, unit = self.raw(i, s), self.alpha(i), self.game.units[i + 1]
        mean, variance = np.empty_like(s), np.empty_like(s)
        for first in range(0, len(s), TOGETHER):
            at = slice(first, first + TOGETHER)
            m, v = level_output(raw[at], s[at], self.game.betas[i], self.config.classes).moments()
            mean[at] = (s[at] + alpha * m) * (1 / unit)
            variance[at] = (alpha + alpha * alpha * v) * (1 / (unit * unit))
        return Normals(mean, variance)

    def reconstruction(self, last: Ints) -> Levels:
        return self.output(self.game.steps, self.sums(self.game.steps, last)).levels()

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
        steps = logits.max(1, keepdims=True) - logits
        steps *= np.float32(tables.LOG2_E * tables.EXP2_STEPS)
        np.rint(steps, out=steps)
        return softmax_frequencies(tables.exp2_table().take(steps.astype(np.int64), mode="clip"))

    def push(self, stack: AnsStack, x: NDArray[np.integer]) -> None:
        stack.push_rows(x, self.frequencies())

    def pop(self, stack: AnsStack) -> Ints:
        return stack.pop_rows(self.frequencies()).astype(np.int64)

    def log2_p(self) -> Floats:
        """log2 of the probabilities, without the coder's rounding, float64 [N, K]."""
        exponent = self.logits.astype(np.float64) - self.logits.max(1, keepdims=True)
        normal: Floats = (exponent - np.log(np.exp(exponent).sum(1, keepdims=True))) * tables.LOG2_E
        return normal


@dataclass(frozen=True)
class Bits:
    """Symbols 0 and 1 under the logit of 1, float32 [N]: `Classes` of logits 0 and this one."""

    logit: NDArray[np.float32]

    def frequencies(self, evidence: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Integer frequencies, given evidence too: the logarithm of the likelihood of 1, that of 0 being its negative,
        [N].
        """
        more = self.logit if evidence is None else (self.logit + evidence) + evidence
        return _bit_rows().take(pair_steps(more), 0, mode="clip")

    def push(self, stack: AnsStack, x: NDArray[np.integer]) -> None:
        stack.push_rows(x, self.frequencies())

    def pop(self, stack: AnsStack) -> Ints:
        return stack.pop_rows(self.frequencies()).astype(np.int64)

    def log2_p(self) -> Floats:
        """log2 of the probabilities, without the coder's rounding, float64 [N, 2]."""
        return Classes(np.stack([np.zeros_like(self.logit), self.logit], 1)).log2_p()


@lru_cache(maxsize=1)
def _bit_rows() -> NDArray[np.float32]:
    """Frequencies of 0 and 1 for every difference of their logits."""
    one, zero = pair_exponentials()
    return softmax_frequencies(np.stack([zero, one], 1).astype(np.int32))


@dataclass(frozen=True)
class LatentSample:
    """The exact receiver of classes: a mixture of K normals, its class a latent that is paid for and given back."""

    receiver: LatentReceiver
    classes: Bits | Classes
    i: int
    before: Floats  # the sums, in their own measure

    def push(self, stack: AnsStack, after: Ints) -> None:
        latent = stack.pop_rows(self.classes.frequencies(self._evidence(after)))
        self._noise.push(stack, after, self._mean(latent))
        self.classes.push(stack, latent)

    def pop(self, stack: AnsStack) -> Ints:
        latent = self.classes.pop(stack)
        after = self._noise.pop(stack, self._mean(latent))
        stack.push_rows(latent, self.classes.frequencies(self._evidence(after)))
        return after

    @property
    def _noise(self) -> Kernel:
        return self.receiver.game.sample_kernel(self.i + 1)

    def _evidence(self, after: Ints) -> NDArray[np.float32]:
        sample = self.receiver.sums(self.i + 1, after)
        sample -= self.before
        return self.receiver.evidence(sample).astype(np.float32)

    def _mean(self, latent: NDArray[np.integer]) -> Floats:
        mean = self.receiver.target(latent)
        mean *= self.receiver.alpha(self.i)
        mean += self.before
        mean *= 1 / self.receiver.game.units[self.i + 1]
        return mean


class LatentReceiver(GaussianReceiver):
    """What receivers of classes share: a mixture of normals."""

    @abstractmethod
    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, as the classes of `output` want it."""

    @abstractmethod
    def output(self, i: int, s: Floats) -> Bits | Classes:
        """p_O with i steps behind."""

    def step(self, i: int, before: Ints) -> LatentSample:
        s = self.sums(i, before)
        return LatentSample(self, self.output(i, s), i, s)

    def reconstruction(self, last: Ints) -> Bits | Classes:
        return self.output(self.game.steps, self.sums(self.game.steps, last))


class BinaryReceiver(LatentReceiver):
    """Two classes as x in {0, 1}, one sum each with target -1 or 1."""

    def target(self, x: NDArray[np.integer]) -> Floats:
        return cast("Floats", 2.0 * x - 1)

    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | 1) but for a constant, the negative of ln N(sample | 0), [N]."""
        return sample

    def output(self, i: int, s: Floats) -> Bits:
        """p_O with i steps behind."""
        return Bits(self.raw(i, s)[:, 0] + (2 * s).astype(np.float32))

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        def network(theta: Sums, i: int) -> Atoms:
            return Atoms(np.array([-1.0, 1.0]), self.output(i, theta.s).log2_p())

        return play(GaussianFlow("mixture", samples=2), self.schedule, network, self.target(x), rng)


class ClassReceiver(LatentReceiver):
    """K classes, K sums for each symbol, with target K e_x - 1."""

    def target(self, x: NDArray[np.integer]) -> Floats:
        return class_targets(x, self.config.classes)

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


def class_targets(x: NDArray[np.integer], k: int) -> Floats:
    """K e_x - 1 of classes [N], [N K]."""
    found = np.full(len(x) * k, -1.0)
    found[np.arange(0, len(found), k) + x] = k - 1
    return found


def receiver(network: ExactDenoiser, grid: Grid) -> LevelReceiver | BinaryReceiver | ClassReceiver:
    """The receiver of a network's kind of data."""
    kinds: dict[str, type[LevelReceiver | BinaryReceiver | ClassReceiver]]
    kinds = {"discretised": LevelReceiver, "binary": BinaryReceiver, "discrete": ClassReceiver}
    return kinds[network.config.kind](network, grid)


def sums_of(config: DenoiserConfig | SequenceConfig | TiledConfig) -> int:
    """Sums of an item."""
    size = int(np.prod(config.shape))
    return size * config.classes if config.kind == "discrete" else size
