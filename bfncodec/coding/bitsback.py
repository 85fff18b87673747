"""Bits-back coding of the Gaussian flow: as many bits as L^n, borrowed and given back on one stack.

The sums of samples s_1 … s_n are a Brownian motion with the data as drift: s_i ~ N(beta_i x, beta_i kappa). Given
s_i, what came before it does not depend on x:

    s_{i-1} | s_i ~ N( (beta_{i-1} / beta_i) s_i ,  kappa beta_{i-1} alpha_i / beta_i )

so that the encoder, who draws from the sender by popping and pays the receiver by pushing, holds one s_i at a time. In
expectation each step leaves KL(p_S || p_R) bits more on the stack (Graves et al. 2023, eq. 16; interleaved as in
Kingma et al. 2019, "Bit-Swap").

Dimensions need not be sent side by side. Under a staggered schedule each goes through the same phases when its turn
comes, and s_i above is that of its own phase; sums that are not being sent wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.lattice import Kernel, kernel
from bfncodec.flow.schedules.base import GradualSchedule, Group
from bfncodec.forks import cached_property

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


_CONTEXT = Context(prec=30)
CLASSES, DEVIATIONS = 1.04, 8  # margins of the initial bits: for latent classes, and deviations for chance
Mark = Callable[[int], None]


def unmarked(bits: int) -> None:
    """A `Mark` for callers who do not watch the stack."""


class Distribution(Protocol):
    """A distribution of integers [N] that an ANS stack codes."""

    def push(self, stack: AnsStack, value: Any) -> None:
        """Encode values: the stack grows by what they cost."""

    def pop(self, stack: AnsStack) -> Any:
        """Decode values, which is to draw them from the stack's bits."""


class Receiver(Protocol):
    """The receiver's side: a network's output as distributions. Sums are integers in the units of `LatticeFlow.units`.

    Steps are asked for from the last to the first by the encoder, who knows the data, and from the first to the last by
    the decoder. A receiver that remembers something gives a new one for each group of items.
    """

    @property
    def flow(self) -> LatticeFlow:
        """The sender and Bayes' rule, on lattices."""
        ...

    def encoding(self, sums: int) -> Receiver:
        """A receiver for one group of known items of so many sums; itself, if nothing is remembered."""
        ...

    def decoding(self, sums: int) -> Receiver:
        """A receiver for one group of items that are not known yet; itself, if nothing is remembered."""
        ...

    def target(self, x: Any) -> Floats:
        """Means of the sender's samples per unit of accuracy, one for each sum, float64 [N]."""
        ...

    def step(self, i: int, before: Ints) -> Distribution:
        """p_R of s_{i+1} given s_i = before [N]; sums that step i does not send stay those of s_i."""
        ...

    def reconstruction(self, last: Ints) -> Distribution:
        """p_O of x given s_n."""
        ...


@dataclass(frozen=True)
class LatticeFlow:
    """The Gaussian flow in integers: a schedule, and the lattices on which the sums of samples lie.

    It holds what :class:`bfncodec.flow.GaussianFlow` says with real numbers: the sender's sample (`sample_kernel`), the
    Brownian bridge (`bridge`) and the sum of all samples given the data (`end`), as distributions over integers that an
    ANS coder pushes and pops. Bayes' rule is the addition of a sample, so the state theta is the sum itself.

    Parameters
    ----------
    schedule
        When which sums are sent, and with which accuracy.
    kappa
        Variance of a sample in units of its accuracy: 1, or K for the K sums of a symbol of discrete data.
    channels
        Sums of a dimension of the schedule: 1, or K.
    """

    schedule: GradualSchedule
    kappa: float = 1.0
    channels: int = 1

    @property
    def betas(self) -> tuple[float, ...]:
        """Accuracy spent on a sum after 0 … w of its phases."""
        return self.schedule.betas

    @property
    def phases(self) -> int:
        """Steps in which a sum is sent, w."""
        return self.schedule.phases

    @property
    def n_steps(self) -> int:
        """Number of steps n."""
        return self.schedule.n_steps

    def of(self, group: Group, sums: NDArray[Any]) -> NDArray[Any]:
        """A view of the sums of a group, [items, symbols, channels]. sums: [N]"""
        return self.schedule.of(group, sums, self.channels)

    @cached_property
    def units(self) -> tuple[float, ...]:
        """Value of one unit of s after 0 … w phases: the smaller of the deviations with which the bridge and the
        receiver know it.
        """
        units = [1.0]
        for i in range(1, self.phases + 1):
            variances = [self._alpha(i)] + ([self._bridge_variance(i)] if i < self.phases else [])
            units.append(float(np.sqrt(self.kappa * min(variances))))
        return tuple(units)

    def bridge(self, i: int) -> tuple[float, Kernel]:
        """(ratio, kernel) of s_i given s_{i+1}, for 1 ≤ i < w: the mean is ratio times s_{i+1}, all in units."""
        ratio = self.betas[i] / self.betas[i + 1] * (self.units[i + 1] / self.units[i])
        deviation = float(np.sqrt(self.kappa * self._bridge_variance(i)) / self.units[i])
        return ratio, kernel(deviation, truncated=True)

    def sample_kernel(self, i: int) -> Kernel:
        """Distribution of the sender's noise in the sample that leads to s_i, in units of s_i."""
        return kernel(float(np.sqrt(self.kappa * self._alpha(i)) / self.units[i]))

    def end(self) -> tuple[float, Kernel]:
        """(factor, kernel) of s_w given x: the mean is factor times the target."""
        w = self.phases
        deviation = float(np.sqrt(self.kappa * self.betas[w]) / self.units[w])
        return self.betas[w] / self.units[w], kernel(deviation, truncated=True)

    def initial_bits(self, sums: int) -> float:
        """Upper estimate of the initial bits: the largest net debt while one item of so many sums is encoded.

        Before step i is encoded, the encoder has drawn s_w … s_{i+1} from the sender and was paid for the steps after
        i. It owes

            H(s_w | x) + sum over j ≥ i of H(s_j | s_{j+1}) - sum over j > i of H(s_{j+1} | s_j, receiver),

        at its largest for some i; entropies are those of normal distributions on lattices, the receiver's at least that
        of the sender's noise. To that comes a little for the receiver's latent classes, and a bit a sum for chance.
        """
        drawn = most = sums * _entropy(self.kappa * self.betas[-1], self.units[-1])
        for i in range(self.n_steps - 1, -1, -1):
            groups = [(group.phase, self._share(group) * sums) for group in self.schedule.groups(i)]
            drawn += sum(
                count * _entropy(self.kappa * self._bridge_variance(phase), self.units[phase])
                for phase, count in groups
                if phase
            )
            most = max(most, drawn)
            drawn -= sum(
                count * _entropy(self.kappa * self._alpha(phase + 1), self.units[phase + 1]) for phase, count in groups
            )
        return CLASSES * most + DEVIATIONS * float(np.sqrt(sums))

    def _share(self, group: Group) -> float:
        """Share of all sums that belong to a group."""
        return self.schedule.size(group.cohort) / self.schedule.dims

    def _alpha(self, i: int) -> float:
        return self.betas[i] - self.betas[i - 1]

    def _bridge_variance(self, i: int) -> float:
        return self.betas[i] * self._alpha(i + 1) / self.betas[i + 1]


@lru_cache(maxsize=1024)
def _entropy(variance: float, unit: float) -> float:
    """Entropy of a normal distribution on a lattice, in bits. Logarithms are Decimal's: libraries' differ in a bit."""
    cells = Decimal(2 * np.pi * np.e * variance / (unit * unit))
    return float(_CONTEXT.divide(_CONTEXT.ln(cells), _CONTEXT.ln(Decimal(4))))


def push_items(stack: AnsStack, x: Any, sums: int, receiver: Receiver, mark: Mark = unmarked) -> None:
    """Encode data x that have so many sums. Raises EmptyStackError if the stack does not hold enough to draw from.

    mark: called with the bits on the stack after the reconstruction and after each step, the last step first.
    """
    own, flow = receiver.encoding(sums), receiver.flow
    factor, end = flow.end()
    after = end.pop(stack, own.target(x) * factor)  # s_n ~ p_S(s_n | x): the sender's noise is drawn from the stack
    own.reconstruction(after).push(stack, x)  # - log2 p_O(x | s_n)
    mark(stack.bits)
    for i in range(flow.n_steps - 1, -1, -1):
        before = _pop_bridge(stack, i, after, flow)  # s_i ~ p_S(s_i | s_{i+1})
        own.step(i, before).push(stack, after)  # - log2 p_R(s_{i+1} | s_i)
        mark(stack.bits)
        after = before


def pop_items(stack: AnsStack, sums: int, receiver: Receiver) -> Any:
    """Inverse of `push_items`: the data, and the stack as it was before."""
    own, flow = receiver.decoding(sums), receiver.flow
    before = np.zeros(sums, np.int64)
    for i in range(flow.n_steps):
        after = own.step(i, before).pop(stack)
        _push_bridge(stack, i, before, after, flow)
        before = after
    x = own.reconstruction(before).pop(stack)
    factor, end = flow.end()
    end.push(stack, before, own.target(x) * factor)
    return x


def draw_items(stack: AnsStack, sums: int, receiver: Receiver) -> Any:
    """Samples of the model: the data that the bits of a stack decode to; the sender's bits are not given back."""
    own = receiver.decoding(sums)
    s = np.zeros(sums, np.int64)
    for i in range(receiver.flow.n_steps):
        s = own.step(i, s).pop(stack)
    return own.reconstruction(s).pop(stack)


def _pop_bridge(stack: AnsStack, i: int, after: Ints, flow: LatticeFlow) -> Ints:
    """Draw s_i given s_{i+1}; before its first step a sum is 0."""
    before = after.copy()
    for group in flow.schedule.groups(i):
        sent = flow.of(group, before)
        if group.phase:
            ratio, bridge = flow.bridge(group.phase)
            sent[:] = bridge.pop(stack, (sent * ratio).reshape(-1)).reshape(sent.shape)
        else:
            sent[:] = 0
    return before


def _push_bridge(stack: AnsStack, i: int, before: Ints, after: Ints, flow: LatticeFlow) -> None:
    """Inverse of `_pop_bridge`."""
    for group in reversed(flow.schedule.groups(i)):
        if group.phase:
            ratio, bridge = flow.bridge(group.phase)
            bridge.push(stack, flow.of(group, before).reshape(-1), (flow.of(group, after) * ratio).reshape(-1))
