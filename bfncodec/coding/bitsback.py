"""Bits-back coding of the Gaussian game: as many bits as L^n, borrowed and given back on one stack.

The sums of samples s_1 … s_n are a Brownian motion with the data as drift: s_i ~ N(beta_i x, beta_i kappa). Given
s_i, what came before it does not depend on x:

    s_{i-1} | s_i ~ N( (beta_{i-1} / beta_i) s_i ,  kappa beta_{i-1} alpha_i / beta_i )

so that the encoder, who draws from the sender by popping and pays the receiver by pushing, holds one s_i at a time. In
expectation each step leaves KL(p_S || p_R) bits more on the stack (Graves et al. 2023, eq. 16; interleaved as in
Kingma et al. 2019, "Bit-Swap").

Symbols need not be sent side by side. Where they begin one after the other (:class:`bfncodec.flow.schedule.Ramps`),
each goes through the same phases, and s_i above is that of its own phase; sums of a phase that is over wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.lattice import Kernel, kernel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


_CONTEXT = Context(prec=30)
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

    def begin(self) -> Receiver:
        """The receiver of one group of items: itself, or one that remembers what it is told of them."""

    def target(self, x: Any) -> Floats:
        """Return what the sender's samples are normal around, one for each sum, float64 [N]."""

    def step(self, i: int, before: Ints) -> Distribution:
        """p_R of s_{i+1} given s_i = before [N]; sums that step i does not move are those of s_i."""

    def reconstruction(self, last: Ints) -> Distribution:
        """p_O of x given s_n."""


@dataclass(frozen=True)
class Part:
    """Sums that go from one phase to the next at some step: of the symbols first, first + tooth, ... of each item."""

    first: int
    phase: int


@dataclass(frozen=True)
class Game:
    """Accuracies of a game and the lattices its sums live on.

    betas: accuracy spent on a sum after 0 … w of its phases, from 0 upwards. kappa: variance of a sample in units of
    the accuracy, 1, or K for classes. narrow: whether the sender draws from narrow windows, see `lattice.kernel`.

    tooth: symbols from one that begins at step 0 to the next; 1: all go side by side, phase i at step i. length and
    classes: symbols of an item, and sums of a symbol; of no matter where all go side by side.
    """

    betas: tuple[float, ...]
    kappa: float = 1.0
    narrow: bool = True
    tooth: int = 1
    length: int = 1
    classes: int = 1

    @property
    def phases(self) -> int:
        """Steps in which a sum is sent, w."""
        return len(self.betas) - 1

    @property
    def steps(self) -> int:
        return self.phases + self.tooth - 1

    def parts(self, i: int) -> list[Part]:
        """Return what step i moves, by phase."""
        phases = range(max(0, i - self.tooth + 1), min(i + 1, self.phases))
        return [Part(i - phase, phase) for phase in phases if i - phase < self.length]

    def of(self, part: Part, sums: NDArray[Any]) -> NDArray[Any]:
        """A view of the sums of a part, [items, symbols, classes]. sums: [N]"""
        return sums.reshape(-1, self.length, self.classes)[:, part.first :: self.tooth]

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
        return ratio, kernel(float(np.sqrt(self.kappa * self._bridge_variance(i)) / self.units[i]), True, self.narrow)

    def sample_kernel(self, i: int) -> Kernel:
        """The noise of the sample that leads to s_i, in units of s_i."""
        return kernel(float(np.sqrt(self.kappa * self._alpha(i)) / self.units[i]))

    def end(self) -> tuple[float, Kernel]:
        """(factor, kernel) of s_w given x: the mean is factor times the target."""
        w = self.phases
        deviation = float(np.sqrt(self.kappa * self.betas[w]) / self.units[w])
        return self.betas[w] / self.units[w], kernel(deviation, True, self.narrow)

    def need(self, sums: int) -> float:
        """Bits that the encoder borrows at most for an item of so many sums: what it has drawn from the sender when it
        was paid least for it; a little for the receiver's classes; and for chance, which is about a bit a sum.
        """
        drawn = most = sums * _entropy(self.kappa * self.betas[-1], self.units[-1])
        for i in range(self.steps - 1, -1, -1):
            parts = [(part.phase, self._share(part) * sums) for part in self.parts(i)]
            drawn += sum(
                count * _entropy(self.kappa * self._bridge_variance(phase), self.units[phase])
                for phase, count in parts
                if phase
            )
            most = max(most, drawn)
            drawn -= sum(
                count * _entropy(self.kappa * self._alpha(phase + 1), self.units[phase + 1]) for phase, count in parts
            )
        return CLASSES * most + DEVIATIONS * float(np.sqrt(sums))

    def _share(self, part: Part) -> float:
        """Of all sums, those of a part."""
        return len(range(part.first, self.length, self.tooth)) / self.length

    def _alpha(self, i: int) -> float:
        return self.betas[i] - self.betas[i - 1]

    def _bridge_variance(self, i: int) -> float:
        return self.betas[i] * self._alpha(i + 1) / self.betas[i + 1]


@lru_cache(maxsize=1024)
def _entropy(variance: float, unit: float) -> float:
    """Bits of a normal distribution on a lattice. Decimal's logarithm, as libraries' differ in the last bit."""
    cells = Decimal(2 * np.pi * np.e * variance / (unit * unit))
    return float(_CONTEXT.divide(_CONTEXT.ln(cells), _CONTEXT.ln(Decimal(4))))


def push_items(stack: AnsStack, x: Any, sums: int, game: Game, receiver: Receiver, mark: Mark = unmarked) -> None:
    """Push data x that have so many sums. Raises EmptyStackError if the stack does not hold enough to draw from.

    mark: told the bits on the stack after the reconstruction and after each step, the last step first.
    """
    factor, end = game.end()
    after = end.pop(stack, receiver.target(x) * factor)
    receiver.reconstruction(after).push(stack, x)
    mark(stack.bits)
    for i in range(game.steps - 1, -1, -1):
        before = _draw_before(stack, i, after, game)
        receiver.step(i, before).push(stack, after)
        mark(stack.bits)
        after = before


def _draw_before(stack: AnsStack, i: int, after: Ints, game: Game) -> Ints:
    """Pop s_i given s_{i+1}."""
    before = after.copy()
    for part in game.parts(i):
        moved = game.of(part, before)
        if part.phase:
            ratio, bridge = game.bridge(part.phase)
            moved[:] = bridge.pop(stack, (moved * ratio).reshape(-1)).reshape(moved.shape)
        else:
            moved[:] = 0
    return before


def _give_back(stack: AnsStack, i: int, before: Ints, after: Ints, game: Game) -> None:
    """Inverse of `_draw_before`."""
    for part in reversed(game.parts(i)):
        if part.phase:
            ratio, bridge = game.bridge(part.phase)
            bridge.push(stack, game.of(part, before).reshape(-1), (game.of(part, after) * ratio).reshape(-1))


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
        _give_back(stack, i, before, after, game)
        before = after
    x = receiver.reconstruction(before).pop(stack)
    factor, end = game.end()
    end.push(stack, before, receiver.target(x) * factor)
    return x
