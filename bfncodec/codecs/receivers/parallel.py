"""Receivers of the Gaussian senders when all dimensions are sent side by side, as in the paper.

They turn a network's output into integer distributions of sums (p_R) and of data (p_O).

A batch of items is one long array here: data [N] in item order, sums [N], or [N K] for the classes of discrete data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Distribution, Floats, Ints, LatticeFlow
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
from bfncodec.flow import AccuracySchedule, Atoms, CodeLength, Flow, GaussianFlow, Normal, SimplexFlow, Sums, play
from bfncodec.networks.convnet.mixture import MEAN_LIMIT, MEAN_STEPS, WEIGHT_TOTAL, Mixture, mixture_weights
from bfncodec.networks.parallel.exact import ExactDenoiser, Moment
from bfncodec.networks.parallel.model import MOST_CLASSES, SPREAD_RANGE, DenoiserConfig
from bfncodec.networks.sequence.model import SequenceConfig
from bfncodec.networks.wavefront.model import WavefrontConfig

TOGETHER = 8192  # numbers that are worked on at once: they stay in the processor's cache


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


# ---- discretised data: a logistic mixture for each subpixel -----------------------------------------


@dataclass(frozen=True)
class LogisticMixture:
    """p_O of discretised data as a mixture of J logistics over [-1, 1], an `OutputDistribution` of the flow.

    weight: integers that sum to 2^10, centre: means of the components, level: row of `scales` for each, [J, N] each.
    """

    weight: NDArray[np.int32]
    centre: Floats
    level: Ints
    scales: Floats
    classes: int

    @property
    def mean(self) -> Floats:
        """E x, [N]."""
        return self._moments[0]

    @property
    def variance(self) -> Floats:
        """Var x, [N]."""
        return self._moments[1]

    def log2_prob(self, x: Floats) -> Floats:
        """log2 of the probability of the bins whose centres x are, [N]."""
        return -self.discretised().bits(np.rint((x + 1) * (self.classes / 2) - 0.5).astype(np.int64))

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        return self.moments()

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and variance [N]; component after component, so that the order of additions is fixed."""
        share = self.weight * (1.0 / WEIGHT_TOTAL)
        m = share[0] * self.centre[0]
        for w, mean in zip(share[1:], self.centre[1:], strict=True):
            m += w * mean
        v = np.zeros_like(m)
        variance = (self.scales * self.scales * tables.LOGISTIC_VARIANCE).take(self.level)
        for w, mean, own in zip(share, self.centre, variance, strict=True):
            away = mean - m
            away *= away
            away += own
            away *= w
            v += away
        return m, v

    def discretised(self) -> Discretised:
        """The distribution of levels 0 … classes - 1, in integers."""
        half = self.classes / 2
        mean = np.rint(((self.centre + 1) * half - 0.5) * MEAN_STEPS).clip(-MEAN_LIMIT, MEAN_LIMIT)
        inverse = tables.LOGISTIC_STEPS / (self.scales * (half * MEAN_STEPS))
        mixture = Mixture(self.weight, mean.astype(np.float32), inverse.astype(np.float32).take(self.level))
        return Discretised(mixture, self.classes)


def logistic_mixture(raw: NDArray[np.float32], s: Floats, beta: float, classes: int) -> LogisticMixture:
    """p_O from the network's output [N, 3 J] and the sums s [N]; training has it as `tasks.parallel.components`."""
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
    return LogisticMixture(weights, mean, level.astype(np.int64), scales, classes)


def pair_weights(logits: NDArray[np.float32]) -> NDArray[np.int32]:
    """`mixture_weights` of two: all there can be are in a table. float32 [2, N] -> int32 [2, N]"""
    first = _pairs().take(pair_steps(logits[0] - logits[1]), mode="clip")
    return np.stack([first, WEIGHT_TOTAL - first])


def pair_steps(more: NDArray[np.float32]) -> Ints:
    """Index of two that differ by a logit [N] in a table whose middle is for equals; it may lie beyond the ends."""
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
class Discretised:
    """Distribution of bytes below `classes`, coded as two nibbles. Larger bytes have no part of the mixture, and of the
    coder no more than the 2^-24 it gives to every symbol.
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

    def _part(self, at: slice) -> Discretised:
        p = self.mixture
        return Discretised(Mixture(p.weight[:, at], p.mean[:, at], p.inverse[:, at]), self.classes)

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


class DiscretisedReceiver(ParallelReceiver):
    """Receiver of discretised data: x in 0 … classes - 1, one sum each. p_R has the mean and variance of p_O."""

    theory = GaussianFlow("moments")

    def target(self, x: NDArray[np.integer]) -> Floats:
        """Centres of the bins of [-1, 1], float64 [N]."""
        return cast("Floats", (x + 0.5) * (2 / self.config.classes) - 1)

    def observed(self, x: Ints) -> Floats:
        return self.target(x)

    def output(self, i: int, s: Floats) -> LogisticMixture:
        return logistic_mixture(self.raw(i, s), s, self.flow.betas[i], self.config.classes)

    def step(self, i: int, before: Ints) -> Normals:
        s = self.sums(i, before)
        raw, alpha, unit = self.raw(i, s), self.alpha(i), self.flow.units[i + 1]
        mean, variance = np.empty_like(s), np.empty_like(s)
        for first in range(0, len(s), TOGETHER):
            at = slice(first, first + TOGETHER)
            m, v = logistic_mixture(raw[at], s[at], self.flow.betas[i], self.config.classes).moments()
            mean[at] = (s[at] + alpha * m) * (1 / unit)
            variance[at] = (alpha + alpha * alpha * v) * (1 / (unit * unit))
        return Normals(mean, variance)

    def reconstruction(self, last: Ints) -> Discretised:
        n = self.flow.n_steps
        return self.output(n, self.sums(n, last)).discretised()

    def log_ratio(self, i: int, x: Ints, before: Ints, step: Normals, after: Ints) -> float:
        alpha, unit, s = np.array([self.alpha(i)]), self.flow.units[i + 1], self.sums(i, before)
        y = (self.sums(i + 1, after) - s) / alpha
        p_R = Normal((step.mean * unit - s) / alpha, step.variance * (unit / alpha) ** 2)
        p_S = self.theory.sender(self.observed(x), alpha)
        return float((p_S.log2_prob(y) - p_R.log2_prob(y)).sum())

    def surprise(self, x: Ints, p_O: Discretised) -> float:
        return float(p_O.bits(x).sum())


# ---- discrete data: one of K, the receiver a mixture of K normals -----------------------------------


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
class MixtureStep:
    """The exact receiver of a step of discrete data: a mixture of K normals, with the class as latent variable.

    Its bits are given back: the encoder draws the class from its posterior, given the sample, before it pays for the
    sample and the class.
    """

    receiver: MixtureReceiver
    p_O: Bits | Classes
    i: int
    before: Floats  # the sums as real numbers

    def push(self, stack: AnsStack, after: Ints) -> None:
        latent = stack.pop_rows(self.p_O.frequencies(self._evidence(after)))
        self._noise.push(stack, after, self._mean(latent))
        self.p_O.push(stack, latent)

    def pop(self, stack: AnsStack) -> Ints:
        latent = self.p_O.pop(stack)
        after = self._noise.pop(stack, self._mean(latent))
        stack.push_rows(latent, self.p_O.frequencies(self._evidence(after)))
        return after

    @property
    def _noise(self) -> Kernel:
        return self.receiver.flow.sample_kernel(self.i + 1)

    def _evidence(self, after: Ints) -> NDArray[np.float32]:
        sample = self.receiver.sums(self.i + 1, after)
        sample -= self.before
        return self.receiver.evidence(sample).astype(np.float32)

    def _mean(self, latent: NDArray[np.integer]) -> Floats:
        mean = self.receiver.target(latent)
        mean *= self.receiver.alpha(self.i)
        mean += self.before
        mean *= 1 / self.receiver.flow.units[self.i + 1]
        return mean


class MixtureReceiver(ParallelReceiver):
    """Receiver of classes: what binary and discrete data share."""

    @abstractmethod
    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, as the classes of `output` want it."""

    @abstractmethod
    def sample_of(self, s: Floats, i: int) -> Floats:
        """y of `theory` for a difference s of sums that step i made."""

    @abstractmethod
    def output(self, i: int, s: Floats) -> Bits | Classes:
        """p_O with i steps behind, in integers. s: float64 [sums]"""

    def step(self, i: int, before: Ints) -> MixtureStep:
        s = self.sums(i, before)
        return MixtureStep(self, self.output(i, s), i, s)

    def reconstruction(self, last: Ints) -> Bits | Classes:
        return self.output(self.flow.n_steps, self.sums(self.flow.n_steps, last))

    def log_ratio(self, i: int, x: Ints, before: Ints, step: MixtureStep, after: Ints) -> float:
        alpha, data = np.array([self.alpha(i)]), self.observed(x)
        y = self.sample_of(self.sums(i + 1, after) - self.sums(i, before), i)
        p_S, p_R = self.theory.sender(data, alpha), self.theory.receiver(self.belief(step.p_O), alpha)
        return float((p_S.log2_prob(y) - p_R.log2_prob(y)).sum())

    def surprise(self, x: Ints, p_O: Bits | Classes) -> float:
        return -float(p_O.log2_p()[np.arange(len(x)), x].sum())


class BinaryReceiver(MixtureReceiver):
    """Receiver of binary data: x in {0, 1}, one sum each with target -1 or 1."""

    theory = GaussianFlow("mixture", samples=2)

    def target(self, x: NDArray[np.integer]) -> Floats:
        """-1 and 1, float64 [N]."""
        return cast("Floats", 2.0 * x - 1)

    def observed(self, x: Ints) -> Floats:
        return self.target(x)

    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | 1) but for a constant, the negative of ln N(sample | 0), [N]."""
        return sample

    def sample_of(self, s: Floats, i: int) -> Floats:
        return s / self.alpha(i)

    def output(self, i: int, s: Floats) -> Bits:
        return Bits(self.raw(i, s)[:, 0] + (2 * s).astype(np.float32))

    def belief(self, p_O: Bits | Classes) -> Atoms:
        return Atoms(np.array([-1.0, 1.0]), p_O.log2_p())


class DiscreteReceiver(MixtureReceiver):
    """Receiver of discrete data: K classes, K sums for each symbol, with target K e_x - 1."""

    def __init__(self, network: ExactDenoiser, grid: Grid) -> None:
        super().__init__(network, grid)
        self.theory = SimplexFlow(self.config.classes)

    def target(self, x: NDArray[np.integer]) -> Floats:
        """K e_x - 1, float64 [N K]."""
        return class_targets(x, self.config.classes)

    def observed(self, x: Ints) -> Ints:
        return x

    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, [N, K]."""
        return sample.reshape(-1, self.config.classes)

    def sample_of(self, s: Floats, i: int) -> Floats:
        return self.evidence(s)

    def output(self, i: int, s: Floats) -> Classes:
        return Classes(self.raw(i, s) + s.reshape(-1, self.config.classes).astype(np.float32))

    def belief(self, p_O: Bits | Classes) -> Floats:
        return p_O.log2_p()


def class_targets(x: NDArray[np.integer], k: int) -> Floats:
    """K e_x - 1 of classes [N], [N K]."""
    found = np.full(len(x) * k, -1.0)
    found[np.arange(0, len(found), k) + x] = k - 1
    return found


def parallel_receiver(network: ExactDenoiser, grid: Grid) -> DiscretisedReceiver | BinaryReceiver | DiscreteReceiver:
    """The receiver of a network's kind of data."""
    kinds: dict[str, type[DiscretisedReceiver | BinaryReceiver | DiscreteReceiver]]
    kinds = {"discretised": DiscretisedReceiver, "binary": BinaryReceiver, "discrete": DiscreteReceiver}
    return kinds[network.config.kind](network, grid)


def sums_of(config: DenoiserConfig | SequenceConfig | WavefrontConfig) -> int:
    """Sums of an item."""
    size = int(np.prod(config.shape))
    return size * config.classes if config.kind == "discrete" else size
