"""Receiver of discrete data under a staggered schedule: symbols that begin one after the other.

Each symbol is one of K classes and has K sums, as in :mod:`bfncodec.codecs.receivers.classes`; a step sends only the
symbols whose turn it is, so that the network is asked for these alone. Those before them in their period are then known
but for the last w - 1, which is what makes few noisy steps as good as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec.codecs.receivers.classes import Classes, class_targets
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Ints, LatticeFlow
from bfncodec.flow import CodeLength, Group, SimplexFlow, Staggered, Sums, play
from bfncodec.networks.sequence.exact import ExactSequence


class SequenceReceiver:
    """Receiver of a sequence of symbols. p_O of a step is that of the symbols it sends, group after group, [A, K]."""

    def __init__(self, network: ExactSequence) -> None:
        config = network.config
        self.network, self.config = network, config
        self.schedule: Staggered = config.schedule
        self.flow = LatticeFlow(self.schedule, float(config.classes), config.classes)
        self.theory = SimplexFlow(config.classes)

    def encoding(self, sums: int) -> SequenceReceiver:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`. Nothing is remembered."""
        return self

    def decoding(self, sums: int) -> SequenceReceiver:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`. Nothing is remembered."""
        return self

    def target(self, x: NDArray[np.integer]) -> Floats:
        """K e_x - 1, float64 [N K]."""
        return class_targets(x, self.config.classes)

    def step(self, i: int, before: Ints) -> SequenceStep:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return SequenceStep(self, self.output(i, self.sums(i, before)), i, before)

    def reconstruction(self, last: Ints) -> Classes:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return self.output(self.flow.n_steps, self.sums(self.flow.n_steps, last))

    def output(self, i: int, s: Floats) -> Classes:
        """p_O with i steps behind. At the end symbols are as good as certain, and p_O is the input distribution."""
        if i == self.flow.n_steps:
            return Classes(s.reshape(-1, self.config.classes).astype(np.float32))
        return Classes(self.raw(i, s) + self.sent(i, s).astype(np.float32))

    def raw(self, i: int, s: Floats) -> NDArray[np.float32]:
        """Output of the network for the symbols that step i sends, float32 [A, K]. s: float64 [sums]"""
        batch = torch.from_numpy(s.astype(np.float32).reshape(-1, *self.config.shape, self.config.classes))
        out: NDArray[np.float32] = self.network(batch.to(self.network.device), i).cpu().numpy()
        return out

    def sums(self, i: int, integers: Ints) -> Floats:
        """Sums on their lattices with i steps behind as real numbers, float64 [sums]."""
        unit = np.array(self.flow.units)[self.schedule.phase(i)]
        found: Floats = (integers.reshape(-1, *self.config.shape, self.config.classes) * unit[:, None]).reshape(-1)
        return found

    def sent(self, i: int, sums: Floats) -> Floats:
        """The sums of the symbols that step i sends, out of all sums, float64 [A, K]."""
        groups = [self.flow.of(group, sums).reshape(-1, self.config.classes) for group in self.schedule.groups(i)]
        return np.concatenate(groups)

    def rows(self, i: int, items: int) -> Iterator[tuple[Group, slice]]:
        """The groups that step i sends, with the rows of their symbols in what `output` returns."""
        first = 0
        for group in self.schedule.groups(i):
            count = items * self.schedule.size(group.cohort)
            yield group, slice(first, first + count)
            first += count

    def play(self, x: Ints, rng: np.random.Generator, realised: bool = False) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng, see :func:`bfncodec.flow.play`. The coder has
        no part in it.
        """
        items = x.reshape(-1, *self.config.shape)

        def network(theta: Sums, i: int) -> Floats:
            p_O = self.output(i, theta.s.reshape(-1)).log2_p()
            if i == self.flow.n_steps:
                return p_O.reshape(theta.s.shape)
            every = np.full(theta.s.shape, -np.log2(self.config.classes))  # those that are not sent cost nothing
            for group, rows in self.rows(i, len(items)):
                sent = self.flow.of(group, every)
                sent[:] = p_O[rows].reshape(sent.shape)
            return every

        return play(self.theory, self.schedule, network, items, rng, realised)  # type: ignore[misc]

    def log_ratio(self, i: int, x: Ints, before: Ints, step: SequenceStep, after: Ints) -> float:
        """log2 p_S/p_R of the sample that leads from `before` to `after`, by densities."""
        y, p_O, bits = self.sums(i + 1, after) - self.sums(i, before), step.p_O.log2_p(), 0.0
        for group, rows in self.rows(i, len(x) // self.schedule.length):
            alpha = np.array([self.flow.betas[group.phase + 1] - self.flow.betas[group.phase]])
            sent, data = self.flow.of(group, y), self.schedule.of(group, x)[..., 0]
            p_S, p_R = self.theory.sender(data, alpha), self.theory.receiver(p_O[rows].reshape(sent.shape), alpha)
            bits += float((p_S.log2_prob(sent) - p_R.log2_prob(sent)).sum())
        return bits

    def surprise(self, x: Ints, p_O: Classes) -> float:
        """-log2 p_O(x) of what `reconstruction` returned, in bits, without the coder's rounding."""
        return -float(p_O.log2_p()[np.arange(len(x)), x].sum())


@dataclass(frozen=True)
class SequenceStep:
    """The exact receiver of the symbols that a step sends, a mixture as `MixtureStep` of the parallel receivers."""

    receiver: SequenceReceiver
    p_O: Classes
    i: int
    before: Ints

    def push(self, stack: AnsStack, after: Ints) -> None:
        latent = stack.pop_rows(self.p_O.frequencies(self._evidence(after)))
        flow = self.receiver.flow
        for group, rows in reversed(self._groups()):
            noise = flow.sample_kernel(group.phase + 1)
            noise.push(stack, flow.of(group, after).reshape(-1), self._mean(group, latent[rows]))
        self.p_O.push(stack, latent)

    def pop(self, stack: AnsStack) -> Ints:
        latent, after = self.p_O.pop(stack), self.before.copy()
        flow = self.receiver.flow
        for group, rows in self._groups():
            noise, sent = flow.sample_kernel(group.phase + 1), flow.of(group, after)
            sent[:] = noise.pop(stack, self._mean(group, latent[rows])).reshape(sent.shape)
        stack.push_rows(latent, self.p_O.frequencies(self._evidence(after)))
        return after

    def _groups(self) -> list[tuple[Group, slice]]:
        receiver = self.receiver
        return list(receiver.rows(self.i, len(self.before) // (receiver.schedule.length * receiver.config.classes)))

    def _evidence(self, after: Ints) -> NDArray[np.float32]:
        """ln N(sample | class) but for a constant, [A, K]."""
        flow = self.receiver.flow
        samples = [
            flow.of(group, after) * flow.units[group.phase + 1] - flow.of(group, self.before) * flow.units[group.phase]
            for group, _ in self._groups()
        ]
        sample = np.concatenate([found.reshape(-1) for found in samples])
        return sample.reshape(-1, self.receiver.config.classes).astype(np.float32)

    def _mean(self, group: Group, latent: NDArray[np.integer]) -> Floats:
        """Means of the sums after the step under classes [A], in units of the phase that follows."""
        flow = self.receiver.flow
        mean = self.receiver.target(latent)
        mean *= flow.betas[group.phase + 1] - flow.betas[group.phase]
        mean += flow.of(group, self.before).reshape(-1) * flow.units[group.phase]
        mean *= 1 / flow.units[group.phase + 1]
        return mean
