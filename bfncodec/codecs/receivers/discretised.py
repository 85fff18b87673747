"""The receiver of discretised data: p_O is a mixture of logistics for each subpixel, p_R a normal of its moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.receivers.pairs import pair_weights
from bfncodec.codecs.receivers.parallel import ParallelReceiver
from bfncodec.coding import tables
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Ints
from bfncodec.coding.cdf import NIBBLE, SUM_BITS, byte_bits, high_frequencies, low_frequencies, nibble_intervals
from bfncodec.coding.lattice import Normals
from bfncodec.flow import GaussianFlow, Normal
from bfncodec.forks import cached_property
from bfncodec.networks.convnet.mixture import MEAN_LIMIT, MEAN_STEPS, WEIGHT_TOTAL, Mixture, mixture_weights
from bfncodec.networks.parallel.model import MOST_CLASSES, SPREAD_RANGE

TOGETHER = 8192  # numbers that are worked on at once: they stay in the processor's cache


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
