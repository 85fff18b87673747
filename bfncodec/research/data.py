"""Kinds of data of the paper: what a network is given of theta, what it returns, and what p_O that is.

Each kind says with real numbers what `bfncodec.flow` says, and with integers what the coder takes. Items are integers
in here, N of them one after the other: classes, bins, or multiples of a step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch

from bfncodec.codecs.receivers.classes import Classes, class_targets
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Distribution, LatticeFlow
from bfncodec.coding.lattice import Kernel, Normals
from bfncodec.errors import InputError
from bfncodec.flow import Atoms, Flow, GaussianFlow, Normal, SimplexFlow, Sums, bin_centres, output_normal
from bfncodec.flow.gaussian import LN2
from bfncodec.forks import cached_property
from bfncodec.runtime.arrays import Array, Floats, Ints

__all__ = ["Continuous", "Data", "Discrete", "Discretised", "LatentStep", "MomentStep", "Step"]

MOST_BINS = 1 << 12
LEAST = 1e-300  # probability of a bin


class Step(Distribution, Protocol):
    """p_R of a step, which remembers the p_O that it is made of."""

    @property
    def p_O(self) -> Any:  # noqa: N802 - the paper's symbol
        """p_O as `theory` has it."""
        ...


class Data(ABC):
    """A kind of data.

    Attributes
    ----------
    theory
        The flow, which says what a step costs.
    sums
        Numbers of theta for each of an item.
    outputs
        Numbers that the network returns for each of an item.
    latent
        Classes that p_R has as latent variable, 1 where it has none.
    """

    theory: Flow[Any, Sums, Any]
    sums: int = 1
    outputs: int = 2
    latent: int = 1

    @abstractmethod
    def integers(self, items: Array) -> Ints:
        """Return items as integers [N]. Raises InputError for what this kind has not."""

    @abstractmethod
    def items(self, x: Ints) -> Array:
        """Return what `integers` was given, flat."""

    @abstractmethod
    def target(self, x: Ints) -> Floats:
        """Return the means of the sender's samples per unit of accuracy, [N sums]."""

    def observed(self, x: Ints) -> Any:
        """Return data [N] as `theory` has them."""
        return self.target(x)

    def theta(self, s: Floats, beta: float) -> Sums:
        """Return theta with so much accuracy spent. s: [N sums]"""
        return Sums(s, np.full(len(s), beta))

    def belief(self, theta: Sums) -> Floats:
        """Return what the network is given, [N] or [N, sums]: the mean mu of p_I, or its probabilities."""
        return theta.s / (1 + theta.beta)

    @abstractmethod
    def output(self, theta: Sums, raw: Floats) -> Any:
        """Return p_O of what the network returned, [N, outputs], as `theory` has it."""

    @abstractmethod
    def step(self, p_O: Any, s: Floats, i: int, flow: LatticeFlow) -> Step:
        """Return p_R of the sums after step i. s: those before it."""

    @abstractmethod
    def reconstruction(self, p_O: Any) -> Distribution:
        """Return p_O as the coder has it."""

    def sample(self, difference: Floats, alpha: float) -> Floats:
        """Return y of `theory` for a difference of sums."""
        return difference / alpha


# ---- steps --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MomentStep:
    """p_R as the normal with its mean and variance: exact for a normal p_O, near it for any other."""

    p_O: Any
    normals: Normals

    @classmethod
    def of(cls, p_O: Any, s: Floats, i: int, flow: LatticeFlow) -> MomentStep:
        """Return p_R of the sums after step i. p_O: has a mean and a variance [N]."""
        alpha, unit = flow.betas[i + 1] - flow.betas[i], flow.units[i + 1]
        return cls(p_O, Normals((s + alpha * p_O.mean) / unit, (alpha + alpha**2 * p_O.variance) / unit**2))

    def push(self, stack: AnsStack, after: Ints) -> None:
        self.normals.push(stack, after)

    def pop(self, stack: AnsStack) -> Ints:
        return self.normals.pop(stack)


@dataclass(frozen=True)
class LatentStep:
    """p_R as the exact mixture of K normals, with the class as latent variable.

    The encoder draws it from its posterior, given the sample, before it pays for the sample and the class.

    Parameters
    ----------
    p_O
        As `theory` has it.
    classes
        The same as the coder has it.
    evidence
        ln N(sample | class) but for a constant, float32 [N, K], of a difference of sums.
    drift
        Means of a sample's sums given classes [N].
    before, i, flow
        The sums before the step, the step, and the sender on lattices.
    """

    p_O: Any
    classes: Classes
    evidence: Callable[[Floats], Array]
    drift: Callable[[Ints], Floats]
    before: Floats
    i: int
    flow: LatticeFlow

    def push(self, stack: AnsStack, after: Ints) -> None:
        latent = stack.pop_rows(self._posterior(after)).astype(np.int64)
        self._noise.push(stack, after, self._mean(latent))
        self.classes.push(stack, latent)

    def pop(self, stack: AnsStack) -> Ints:
        latent = self.classes.pop(stack)
        after = self._noise.pop(stack, self._mean(latent))
        stack.push_rows(latent, self._posterior(after))
        return after

    @property
    def _noise(self) -> Kernel:
        return self.flow.sample_kernel(self.i + 1)

    @property
    def _unit(self) -> float:
        return self.flow.units[self.i + 1]

    def _mean(self, latent: Ints) -> Floats:
        return (self.before + self.drift(latent)) / self._unit

    def _posterior(self, after: Ints) -> Array:
        return self.classes.frequencies(self.evidence(after * self._unit - self.before))


def _classes(log2_p: Floats) -> Classes:
    return Classes((log2_p * LN2).astype(np.float32))


# ---- kinds --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Discrete(Data):
    """One of K classes: int 0 to K - 1. Binary data have two.

    The network is given the probabilities of p_I, [..., K], and returns logits of p_O, [..., K].
    """

    classes: int
    theory: SimplexFlow = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"expected 2 classes or more, found {self.classes}")
        object.__setattr__(self, "theory", SimplexFlow(self.classes))

    @property
    def sums(self) -> int:  # type: ignore[override]
        """Numbers of theta for each of an item, K."""
        return self.classes

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Logits for each of an item, K."""
        return self.classes

    @property
    def latent(self) -> int:  # type: ignore[override]
        """Classes of p_R, K."""
        return self.classes

    def integers(self, items: Array) -> Ints:
        return _levels(items, self.classes)

    def items(self, x: Ints) -> Array:
        return x

    def target(self, x: Ints) -> Floats:
        return class_targets(x, self.classes)

    def observed(self, x: Ints) -> Ints:
        return x

    def theta(self, s: Floats, beta: float) -> Sums:
        rows = s.reshape(-1, self.classes)
        return Sums(rows, np.full(len(rows), beta))

    def belief(self, theta: Sums) -> Floats:
        return self.theory.theta_probabilities(theta)

    def output(self, theta: Sums, raw: Floats) -> Floats:
        high = raw - raw.max(1, keepdims=True)
        return np.asarray((high - np.log(np.exp(high).sum(1, keepdims=True))) / LN2)

    def step(self, p_O: Floats, s: Floats, i: int, flow: LatticeFlow) -> LatentStep:
        alpha = flow.betas[i + 1] - flow.betas[i]

        def evidence(difference: Floats) -> Array:
            return difference.reshape(-1, self.classes).astype(np.float32)

        return LatentStep(p_O, _classes(p_O), evidence, lambda k: alpha * self.target(k), s, i, flow)

    def reconstruction(self, p_O: Floats) -> Classes:
        return _classes(p_O)

    def sample(self, difference: Floats, alpha: float) -> Floats:
        return difference.reshape(-1, self.classes)


@dataclass(frozen=True)
class Discretised(Data):
    """One of K bins of [-1, 1]: int 0 to K - 1, such as pixels of 256 levels, or of 16.

    The network is given mu, the mean of p_I, and returns an estimate of the noise in it and the logarithm of its
    deviation, [..., 2]: p_O is the discretised normal of the paper's section 5.

    receiver: "mixture", the paper's p_R over all bins, or "moments", the normal with its mean and variance, which costs
    a little more and takes far less time where bins are many.
    """

    bins: int
    receiver: Literal["mixture", "moments"] = "mixture"
    theory: GaussianFlow = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 2 <= self.bins <= MOST_BINS:
            raise InputError(f"expected 2 to {MOST_BINS} bins, found {self.bins}")
        if self.receiver not in ("mixture", "moments"):
            raise InputError(f"expected the receiver mixture or moments, found {self.receiver!r}")
        object.__setattr__(self, "theory", GaussianFlow(self.receiver))

    @property
    def latent(self) -> int:  # type: ignore[override]
        """Bins of p_R, K; none of its moments."""
        return self.bins if self.receiver == "mixture" else 1

    @cached_property
    def centres(self) -> Floats:
        """Centres of the bins, [K]."""
        return bin_centres(self.bins)

    def integers(self, items: Array) -> Ints:
        return _levels(items, self.bins)

    def items(self, x: Ints) -> Array:
        return x

    def target(self, x: Ints) -> Floats:
        return np.asarray(self.centres[x])

    def output(self, theta: Sums, raw: Floats) -> Atoms:
        normal = output_normal(theta, raw[:, 0], raw[:, 1])
        return Atoms(self.centres, _binned(normal, self.bins))

    def step(self, p_O: Atoms, s: Floats, i: int, flow: LatticeFlow) -> Step:
        if self.receiver == "moments":
            return MomentStep.of(p_O, s, i, flow)
        alpha, v = flow.betas[i + 1] - flow.betas[i], self.centres

        def evidence(difference: Floats) -> Array:
            return (difference[:, None] * v - alpha * v * v / 2).astype(np.float32)

        return LatentStep(p_O, _classes(p_O.log2_p), evidence, lambda k: alpha * v[k], s, i, flow)

    def reconstruction(self, p_O: Atoms) -> Classes:
        return _classes(p_O.log2_p)


@dataclass(frozen=True)
class Continuous(Data):
    """Numbers in [-1, 1] that are multiples of a step: to that precision they come back.

    The network is given mu and returns the noise and the logarithm of its deviation, as for `Discretised`; p_O is a
    normal. The step should not be larger than the deviation of p_O at the end. The reconstruction is that of the
    density times the step: what the paper leaves out for continuous data, as it has no end there.
    """

    step_size: float = 2.0**-8
    theory: GaussianFlow = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.step_size <= 1:
            raise InputError(f"expected a step between 0 and 1, found {self.step_size}")
        object.__setattr__(self, "theory", GaussianFlow("moments"))

    def integers(self, items: Array) -> Ints:
        found = np.nan_to_num(np.asarray(items, np.float64).ravel(), nan=2.0)
        x = np.rint(found.clip(-2, 2) / self.step_size).astype(np.int64)
        if not np.array_equal(x * self.step_size, found) or np.abs(found).max(initial=0) > 1:
            raise InputError(
                f"expected multiples of {self.step_size} between -1 and 1, found other numbers: round them with "
                "numpy.rint(x / step) * step"
            )
        return x

    def items(self, x: Ints) -> Array:
        return self.target(x)

    def target(self, x: Ints) -> Floats:
        return x.astype(np.float64) * self.step_size

    def output(self, theta: Sums, raw: Floats) -> _Cells:
        normal = output_normal(theta, raw[:, 0], raw[:, 1])
        return _Cells(normal.mean, normal.variance, self.step_size)

    def step(self, p_O: _Cells, s: Floats, i: int, flow: LatticeFlow) -> MomentStep:
        return MomentStep.of(p_O, s, i, flow)

    def reconstruction(self, p_O: _Cells) -> Normals:
        return Normals(p_O.mean / self.step_size, p_O.variance / self.step_size**2)


@dataclass(frozen=True, eq=False)
class _Cells:
    """A normal p_O of multiples of a step: the probability of one is its density times the step."""

    mean: Floats
    variance: Floats
    step_size: float

    def log2_prob(self, x: Floats) -> Floats:
        return np.asarray(Normal(self.mean, self.variance).log2_prob(x) + np.log2(self.step_size))


def _levels(items: Array, count: int) -> Ints:
    found = np.asarray(items)
    if found.dtype.kind not in "iu" or (found.size and not 0 <= found.min() <= found.max() < count):
        raise InputError(f"expected integers from 0 to {count - 1}, found {found.dtype} with others")
    return found.ravel().astype(np.int64)


def _binned(normal: Normal, bins: int) -> Floats:
    """Return log2 of the probabilities of bins, [N, K]: `bfncodec.flow.discretised_normal` in torch, which has erfc.

    Bins too far out for a float have the least there is.
    """
    edges = torch.linspace(-1, 1, bins + 1, dtype=torch.float64)
    edges[0], edges[-1] = -torch.inf, torch.inf
    z = (edges - torch.from_numpy(normal.mean)[:, None]) / torch.from_numpy(np.sqrt(normal.variance))[:, None]
    z /= math.sqrt(2)
    left, right = torch.special.erfc(-z).diff(dim=1) / 2, -torch.special.erfc(z).diff(dim=1) / 2
    chance = torch.where(z[:, 1:] + z[:, :-1] > 0, right, left)  # on that side Phi is small and keeps its digits
    return chance.clamp_min(LEAST).log2_().numpy()
