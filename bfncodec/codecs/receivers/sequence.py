"""The receiver of letters that are sent one after the other: the Gaussian game under a schedule of ramps.

A step moves the sums of some symbols, those of each phase at their own accuracy; all others wait. Symbols that a step
moves are always in the order of :meth:`bfncodec.coding.bitsback.Game.parts`: phase after phase, in each item after
item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec.codecs.receivers.parallel import Classes, class_targets
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Game, Ints, Part
from bfncodec.flow import CodeLength, Flow, Ramps, SimplexFlow, Sums, play
from bfncodec.networks.sequence.exact import ExactSequence


class RampReceiver:
    """K classes, K sums for each symbol; p_O of a step is that of the symbols it sends."""

    def __init__(self, network: ExactSequence) -> None:
        config = network.config
        self.network, self.config = network, config
        self.game = Game(
            config.ramp,
            float(config.classes),
            tooth=config.tooth,
            length=config.shape[0],
            classes=config.classes,
        )

    def begin(self) -> RampReceiver:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`. Nothing is remembered."""
        return self

    def target(self, x: NDArray[np.integer]) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return class_targets(x, self.config.classes)

    def evidence(self, sample: Floats) -> Floats:
        """ln N(sample | class) but for a constant, [N, K]."""
        return sample.reshape(-1, self.config.classes)

    @property
    def schedule(self) -> Ramps:
        """Accuracies of the game."""
        return self.config.schedule

    def raw(self, i: int, s: Floats) -> NDArray[np.float32]:
        """The network's numbers for the symbols that step i sends, float32 [A, K]. s: float64 [sums]"""
        batch = torch.from_numpy(s.astype(np.float32).reshape(-1, *self.config.shape, self.config.classes))
        out: NDArray[np.float32] = self.network(batch.to(self.network.device), i).cpu().numpy()
        return out

    def sums(self, i: int, integers: Ints) -> Floats:
        """Sums with i steps behind them in their own measure."""
        unit = np.array(self.game.units)[self.schedule.phase(i)]
        found: Floats = (integers.reshape(-1, *self.config.shape, self.config.classes) * unit[:, None]).reshape(-1)
        return found

    def alpha(self, i: int) -> Floats:
        """Accuracy of step i of each sum of an item, 0 of those it does not move, [L K]."""
        return self.schedule.accuracy(i).repeat(self.config.classes)

    def moved(self, i: int, sums: NDArray[np.float64]) -> Floats:
        """Of all sums those that step i moves, [A, K]."""
        parts = [self.game.of(part, sums).reshape(-1, self.config.classes) for part in self.game.parts(i)]
        return np.concatenate(parts)

    def sent(self, i: int, x: Ints) -> Ints:
        """Of all symbols [N] those that step i sends, [A]."""
        return np.concatenate(
            [
                x.reshape(-1, self.game.length)[:, part.first :: self.game.tooth].reshape(-1)
                for part in self.game.parts(i)
            ]
        )

    def output(self, i: int, s: Floats) -> Classes:
        """p_O with i steps behind. At the end letters are as good as certain, and p_O is the input distribution."""
        if i == self.game.steps:
            return Classes(s.reshape(-1, self.config.classes).astype(np.float32))
        return Classes(self.raw(i, s) + self.moved(i, s).astype(np.float32))

    def step(self, i: int, before: Ints) -> RampSample:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return RampSample(self, self.output(i, self.sums(i, before)), i, before)

    def reconstruction(self, last: Ints) -> Classes:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return self.output(self.game.steps, self.sums(self.game.steps, last))

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng; the coder has no part in it."""
        items = x.reshape(-1, *self.config.shape)

        def network(theta: Sums, i: int) -> Floats:
            p_O = self.output(i, theta.s.reshape(-1)).log2_p()
            if i == self.game.steps:
                return p_O.reshape(theta.s.shape)
            every = np.full(
                theta.s.shape, -np.log2(self.config.classes)
            )  # of those that are not sent it does not matter
            for part, rows in self.rows(i, len(items)):
                self.game.of(part, every)[:] = p_O[rows].reshape(self.game.of(part, every).shape)
            return every

        flow: Flow[Any, Sums, Floats] = SimplexFlow(self.config.classes)  # its data are integers, its samples are not
        return play(flow, self.schedule, network, items, rng)

    def rows(self, i: int, items: int) -> Iterator[tuple[Part, slice]]:
        """Parts of step i, with their symbols' rows in what `output` returns."""
        first = 0
        for part in self.game.parts(i):
            count = items * len(range(part.first, self.game.length, self.game.tooth))
            yield part, slice(first, first + count)
            first += count


@dataclass(frozen=True)
class RampSample:
    """The exact receiver of the symbols that a step sends, see `LatentSample` of the parallel receivers."""

    receiver: RampReceiver
    classes: Classes
    i: int
    before: Ints

    def push(self, stack: AnsStack, after: Ints) -> None:
        latent = stack.pop_rows(self.classes.frequencies(self._evidence(after)))
        for part, rows in reversed(self._parts()):
            kernel = self.receiver.game.sample_kernel(part.phase + 1)
            kernel.push(stack, self.receiver.game.of(part, after).reshape(-1), self._mean(part, latent[rows]))
        self.classes.push(stack, latent)

    def pop(self, stack: AnsStack) -> Ints:
        latent, after = self.classes.pop(stack), self.before.copy()
        for part, rows in self._parts():
            moved = self.receiver.game.of(part, after)
            kernel = self.receiver.game.sample_kernel(part.phase + 1)
            moved[:] = kernel.pop(stack, self._mean(part, latent[rows])).reshape(moved.shape)
        stack.push_rows(latent, self.classes.frequencies(self._evidence(after)))
        return after

    def _parts(self) -> list[tuple[Part, slice]]:
        game = self.receiver.game
        return list(self.receiver.rows(self.i, len(self.before) // (game.length * game.classes)))

    def _evidence(self, after: Ints) -> NDArray[np.float32]:
        game = self.receiver.game
        samples = [
            game.of(part, after) * game.units[part.phase + 1] - game.of(part, self.before) * game.units[part.phase]
            for part, _ in self._parts()
        ]
        sample = np.concatenate([found.reshape(-1) for found in samples])
        return self.receiver.evidence(sample).astype(np.float32)

    def _mean(self, part: Part, latent: NDArray[np.integer]) -> Floats:
        """Where the samples of classes lead, in units of the phase they lead to."""
        game = self.receiver.game
        mean = self.receiver.target(latent)
        mean *= game.betas[part.phase + 1] - game.betas[part.phase]
        mean += game.of(part, self.before).reshape(-1) * game.units[part.phase]
        mean *= 1 / game.units[part.phase + 1]
        return mean
