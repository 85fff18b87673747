"""What games of the Gaussian senders cost by densities: with fresh noise, and with the noise that a file drew.

L^n is an average over the sender's noise. Played with fresh noise (`game`) it is a Monte-Carlo estimate that the coder
has no part in. What is averaged is log2 p_S/p_R of what was sent, whose mean is KL(p_S || p_R), and not the KL itself:
where noise leads the receiver astray, the next samples are dear, but this one was cheap, and the sum varies far less.

A chain draws its noise once, from the bits on its stack, and its length varies with it. log2 p_S/p_R added up along
these draws (`realised_path`) has no noise against the payload: what is between the two is the coder's loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.receivers.parallel import LevelOutput, Levels
from bfncodec.codecs.receivers.sequence import RampReceiver
from bfncodec.codecs.receivers.wavefront import LineReceiver
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.lattice import Normals
from bfncodec.flow.report import CodeLength

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def game(receiver: Any, x: Ints, rng: np.random.Generator) -> CodeLength:
    """Bits of a game for data [N] with noise from rng, by densities: one sample of L^n."""
    if isinstance(receiver, LineReceiver):
        return receiver.play(x, rng)
    means, kl = receiver.target(x), np.zeros(receiver.game.steps)
    s = np.zeros_like(means)
    for i in range(receiver.game.steps):
        alpha, p_O = np.resize(receiver.alpha(i), len(s)), receiver.output(i, s)
        sample = alpha * means + np.sqrt(alpha * receiver.game.kappa) * rng.standard_normal(len(s))
        if isinstance(p_O, LevelOutput):
            m, v = p_O.moments()
            kl[i] = _beyond_normal(receiver, i, x, sample, alpha * m, alpha + alpha**2 * v)
        else:
            kl[i] = _beyond_mixture(receiver, *_moved(receiver, i, x, sample), p_O)
        s += sample
    p_O = receiver.output(receiver.game.steps, s)
    return CodeLength(kl, _surprise(p_O.levels() if isinstance(p_O, LevelOutput) else p_O, x), len(x))


def realised_path(receiver: Any) -> RealisedPath | RealisedLines:
    """A receiver that encodes as the given one does and adds up what that costs by densities."""
    return RealisedLines(receiver) if isinstance(receiver, LineReceiver) else RealisedPath(receiver)


@dataclass(frozen=True)
class Watched:
    """A distribution of a chain that is being written: tells what is pushed."""

    distribution: Any
    told: Callable[[Any], None]

    def push(self, stack: AnsStack, value: Ints) -> None:
        """Implements :class:`bfncodec.coding.bitsback.Distribution`."""
        self.distribution.push(stack, value)
        self.told(value)


class RealisedPath:
    """A receiver that adds up log2 p_S/p_R of every step, group after group.

    bits: of each group that was pushed. seconds: what the adding up took.
    """

    def __init__(self, receiver: Any) -> None:
        self.receiver, self.game = receiver, receiver.game
        self.bits: list[float] = []
        self.seconds = 0.0

    def begin(self) -> RealisedPath:
        """Itself: groups begin with `target`."""
        return self

    def target(self, x: Ints) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`; what a group begins with."""
        self.bits.append(0.0)
        self.x = x
        means: Floats = self.receiver.target(x)
        return means

    def step(self, i: int, before: Ints) -> Watched:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        step = self.receiver.step(i, before)

        def told(after: Ints) -> None:
            started = time.perf_counter()
            sums = self.receiver.sums
            x, sample = _moved(self.receiver, i, self.x, sums(i + 1, after) - sums(i, before))
            if isinstance(step, Normals):
                unit = self.game.units[i + 1]
                mean, variance = step.mean * unit - sums(i, before), step.variance * unit**2
                self.bits[-1] += _beyond_normal(self.receiver, i, x, sample, mean, variance)
            else:
                self.bits[-1] += _beyond_mixture(self.receiver, x, sample, step.classes)
            self.seconds += time.perf_counter() - started

        return Watched(step, told)

    def reconstruction(self, last: Ints) -> Watched:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        p_O = self.receiver.reconstruction(last)

        def told(x: Ints) -> None:
            self.bits[-1] += _surprise(p_O, x)

        return Watched(p_O, told)


class RealisedLines:
    """`RealisedPath` for a receiver that sends line after line: steps are added up when a group is through."""

    def __init__(self, receiver: LineReceiver) -> None:
        self.receiver, self.game = receiver, receiver.game
        self.unwatched = receiver.begin()
        self.bits: list[float] = []
        self.seconds = 0.0

    def begin(self) -> RealisedLines:
        """Itself: groups begin with `target`."""
        return self

    def target(self, x: Ints) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`; what a group begins with."""
        self.group, self.means = self.receiver.begin(), self.receiver.target(x)
        self.s = [np.zeros_like(self.means) for _ in self.game.betas]
        return self.means

    def step(self, i: int, before: Ints) -> Watched:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""

        def told(after: Ints) -> None:
            started = time.perf_counter()
            for part in self.game.parts(i):
                self.game.of(part, self.s[part.phase + 1])[:] = self.game.of(part, after)
            if i == 0:
                self.bits.append(self.unwatched.cost(self.means, self.s).bits)
            self.seconds += time.perf_counter() - started

        return Watched(self.group.step(i, before), told)

    def reconstruction(self, last: Ints) -> Any:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return self.group.reconstruction(last)


def _moved(receiver: Any, i: int, x: Ints, sample: Floats) -> tuple[Ints, Floats]:
    """Data and samples of what step i sends, as the receiver's p_O has them: of everything, but under ramps."""
    if not isinstance(receiver, RampReceiver):
        return x, sample
    return receiver.sent(i, x), receiver.moved(i, sample).reshape(-1)


def _beyond_normal(receiver: Any, i: int, x: Ints, sample: Floats, mean: Floats, variance: Floats) -> float:
    """log2 p_S/p_R of samples of step i under normal distributions."""
    alpha = receiver.alpha(i)
    nats = (
        np.log(variance / alpha) + (sample - mean) ** 2 / variance - (sample - alpha * receiver.target(x)) ** 2 / alpha
    )
    return float(nats.sum()) / 2 / log(2)


def _beyond_mixture(receiver: Any, x: Ints, sample: Floats, p_O: Any) -> float:
    """log2 p_S/p_R of samples under mixtures."""
    evidence = receiver.evidence(sample)
    evidence = np.stack([-evidence, evidence], 1) if evidence.ndim == 1 else evidence
    exponent = evidence + p_O.log2_p() * log(2)
    exponent -= evidence[np.arange(len(x)), x][:, None]
    top = exponent.max(1)
    return -float((top + np.log(np.exp(exponent - top[:, None]).sum(1))).sum()) / log(2)


def _surprise(p_O: Any, x: Ints) -> float:
    """-log2 p_O(x)."""
    return float(p_O.bits(x).sum() if isinstance(p_O, Levels) else -p_O.log2_p()[np.arange(len(x)), x].sum())
