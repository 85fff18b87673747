"""Receivers of binary and discrete data: p_O has a probability for each of K classes, p_R is a mixture of K normals."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.receivers.pairs import pair_exponentials, pair_steps
from bfncodec.codecs.receivers.parallel import Grid, ParallelReceiver
from bfncodec.coding import tables
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Ints
from bfncodec.coding.cdf import softmax_frequencies
from bfncodec.coding.lattice import Kernel
from bfncodec.flow import Atoms, GaussianFlow, SimplexFlow
from bfncodec.networks.parallel.exact import ExactDenoiser


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
