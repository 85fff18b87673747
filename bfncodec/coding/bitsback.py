"""Bits-back coding of the Gaussian game: as many bits as L^n, borrowed and given back on one stack.

The sums of samples s_1 … s_n are a Brownian motion with the data as drift: s_i ~ N(beta_i x, beta_i kappa). Given
s_i, what came before it does not depend on x:

    s_{i-1} | s_i ~ N( (beta_{i-1} / beta_i) s_i ,  kappa beta_{i-1} alpha_i / beta_i )

so that the encoder, who draws from the sender by popping and pays the receiver by pushing, holds one s_i at a time. In
expectation each step leaves KL(p_S || p_R) bits more on the stack (Graves et al. 2023, eq. 16; interleaved as in
Kingma et al. 2019, "Bit-Swap").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.lattice import Kernel, kernel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


CLASSES, DEVIATIONS = 1.04, 8  # how much more an item may borrow than the sender's draws take, see `Game.need`
Mark = Callable[[int], None]


def unmarked(bits: int) -> None:
    """Nobody wants to know."""


class Distribution(Protocol):
    """Integers [N] on a stack."""

    def push(self, stack: AnsStack, value: Any) -> None:
        """Pay for values."""

    def pop(self, stack: AnsStack) -> Any:
        """Draw values."""


class Receiver(Protocol):
    """What the network makes of the sums, as distributions. Sums are integers in the units of `Game.units`."""

    def target(self, x: Any) -> Floats:
        """What the sender's samples are normal around, one for each sum, float64 [N]."""

    def step(self, i: int, before: Ints) -> Distribution:
        """p_R of s_{i+1} given s_i = before [N]."""

    def reconstruction(self, last: Ints) -> Distribution:
        """p_O of x given s_n."""


@dataclass(frozen=True)
class Game:
    """Accuracies of a game and the lattices its sums live on.

    betas: accuracy spent after 0 … n steps, from 0 upwards. kappa: variance of a sample in units of the accuracy, 1,
    or K for classes. narrow: whether the sender draws from narrow windows, see `lattice.kernel`.
    """

    betas: tuple[float, ...]
    kappa: float = 1.0
    narrow: bool = True

    @property
    def steps(self) -> int:
        return len(self.betas) - 1

    @cached_property
    def units(self) -> tuple[float, ...]:
        """Value of one unit of s_i, i = 0 … n: the smaller of the deviations with which the bridge and the receiver
        know it.
        """
        units = [1.0]
        for i in range(1, self.steps + 1):
            variances = [self._alpha(i)] + ([self._bridge_variance(i)] if i < self.steps else [])
            units.append(float(np.sqrt(self.kappa * min(variances))))
        return tuple(units)

    def bridge(self, i: int) -> tuple[float, Kernel]:
        """(ratio, kernel) of s_i given s_{i+1}, for 1 ≤ i < n: the mean is ratio times s_{i+1}, all in units."""
        ratio = self.betas[i] / self.betas[i + 1] * (self.units[i + 1] / self.units[i])
        return ratio, kernel(float(np.sqrt(self.kappa * self._bridge_variance(i)) / self.units[i]), True, self.narrow)

    def sample_kernel(self, i: int) -> Kernel:
        """The noise of the sample that leads to s_i, in units of s_i."""
        return kernel(float(np.sqrt(self.kappa * self._alpha(i)) / self.units[i]))

    def end(self) -> tuple[float, Kernel]:
        """(factor, kernel) of s_n given x: the mean is factor times the target."""
        n = self.steps
        deviation = float(np.sqrt(self.kappa * self.betas[n]) / self.units[n])
        return self.betas[n] / self.units[n], kernel(deviation, True, self.narrow)

    def need(self, sums: int) -> float:
        """Bits that the encoder borrows at most for an item of so many sums: what it has drawn from the sender when it
        was paid least for it; a little for the receiver's classes; and for chance, which is about a bit a sum.
        """
        drawn = most = _entropy(self.kappa * self.betas[-1], self.units[-1])
        for i in range(self.steps - 1, 0, -1):
            drawn += _entropy(self.kappa * self._bridge_variance(i), self.units[i])
            most = max(most, drawn)
            drawn -= _entropy(self.kappa * self._alpha(i + 1), self.units[i + 1])
        return CLASSES * most * sums + DEVIATIONS * float(np.sqrt(sums))

    def _alpha(self, i: int) -> float:
        return self.betas[i] - self.betas[i - 1]

    def _bridge_variance(self, i: int) -> float:
        return self.betas[i] * self._alpha(i + 1) / self.betas[i + 1]


def _entropy(variance: float, unit: float) -> float:
    """Bits of a normal distribution on a lattice."""
    return float(np.log2(2 * np.pi * np.e * variance / (unit * unit)) / 2)


def push_items(stack: AnsStack, x: Any, sums: int, game: Game, receiver: Receiver, mark: Mark = unmarked) -> None:
    """Push data x that have so many sums. Raises EmptyStackError if the stack does not hold enough to draw from.

    mark: told the bits on the stack after the reconstruction and after each step, the last step first.
    """
    factor, end = game.end()
    after = end.pop(stack, receiver.target(x) * factor)
    receiver.reconstruction(after).push(stack, x)
    mark(stack.bits)
    for i in range(game.steps - 1, -1, -1):
        before = np.zeros(sums, np.int64)
        if i:
            ratio, bridge = game.bridge(i)
            before = bridge.pop(stack, cast("Floats", after * ratio))
        receiver.step(i, before).push(stack, after)
        mark(stack.bits)
        after = before


def draw_items(stack: AnsStack, sums: int, game: Game, receiver: Receiver) -> Any:
    """Data that the bits of a stack decode to, without giving back the sender's: samples of the model."""
    s = np.zeros(sums, np.int64)
    for i in range(game.steps):
        s = receiver.step(i, s).pop(stack)
    return receiver.reconstruction(s).pop(stack)


def pop_items(stack: AnsStack, sums: int, game: Game, receiver: Receiver) -> Any:
    """Inverse of `push_items`: the data, and the stack as it was before."""
    before = np.zeros(sums, np.int64)
    for i in range(game.steps):
        after = receiver.step(i, before).pop(stack)
        if i:
            ratio, bridge = game.bridge(i)
            bridge.push(stack, before, after * ratio)
        before = after
    x = receiver.reconstruction(before).pop(stack)
    factor, end = game.end()
    end.push(stack, before, receiver.target(x) * factor)
    return x
