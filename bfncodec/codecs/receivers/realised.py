"""The realised path of a chain: log2 p_S/p_R of the noise that a file drew.

L^n is an average over the sender's noise, and `play` of a receiver estimates it with fresh noise. A chain draws its
noise once, from the bits on its stack, and its length varies with it. log2 p_S/p_R added up along these draws has no
noise against the payload: what is between the two is the coder's loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.receivers.parallel import ParallelReceiver
from bfncodec.codecs.receivers.sequence import SequenceReceiver
from bfncodec.codecs.receivers.wavefront import WavefrontReceiver
from bfncodec.coding.ans import AnsStack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def realised_path(receiver: Any) -> RealisedPath | RealisedLines:
    """A receiver that encodes as the given one does and adds up what that costs by densities."""
    return RealisedLines(receiver) if isinstance(receiver, WavefrontReceiver) else RealisedPath(receiver)


@dataclass(frozen=True)
class Watched:
    """A distribution of a chain that is being written: passes on what is pushed."""

    distribution: Any
    pushed: Callable[[Any], None]

    def push(self, stack: AnsStack, value: Ints) -> None:
        """Implements :class:`bfncodec.coding.bitsback.Distribution`."""
        self.distribution.push(stack, value)
        self.pushed(value)


class RealisedPath:
    """A receiver that adds up log2 p_S/p_R of every step, group after group, as the flow says it with real numbers.

    bits: of each group that was encoded. seconds: what the adding up took.
    """

    def __init__(self, receiver: ParallelReceiver | SequenceReceiver) -> None:
        self.receiver, self.flow = receiver, receiver.flow
        self.bits: list[float] = []
        self.seconds = 0.0

    def encoding(self, sums: int) -> RealisedPath:
        """Itself: groups begin with `target`."""
        return self

    def target(self, x: Ints) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`; what a group begins with."""
        self.bits.append(0.0)
        self.x = x
        return self.receiver.target(x)

    def step(self, i: int, before: Ints) -> Watched:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        step: Any = self.receiver.step(i, before)

        def pushed(after: Ints) -> None:
            started = time.perf_counter()
            self.bits[-1] += self.receiver.log_ratio(i, self.x, before, step, after)
            self.seconds += time.perf_counter() - started

        return Watched(step, pushed)

    def reconstruction(self, last: Ints) -> Watched:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        p_O: Any = self.receiver.reconstruction(last)

        def pushed(x: Ints) -> None:
            self.bits[-1] += self.receiver.surprise(x, p_O)

        return Watched(p_O, pushed)


class RealisedLines:
    """`RealisedPath` for a receiver that sends line after line: steps are added up when a group is through."""

    def __init__(self, receiver: WavefrontReceiver) -> None:
        self.receiver, self.flow = receiver, receiver.flow
        self.unwatched = copy(receiver)  # whoever counts calls of the receiver does not count those made here
        self.bits: list[float] = []
        self.seconds = 0.0

    def encoding(self, sums: int) -> RealisedLines:
        """Itself, with a session of its own for a group."""
        self.session = self.receiver.encoding(sums)
        return self

    def target(self, x: Ints) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        self.means = self.receiver.target(x)
        self.s = [np.zeros_like(self.means) for _ in self.flow.betas]
        return self.means

    def step(self, i: int, before: Ints) -> Watched:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""

        def pushed(after: Ints) -> None:
            started = time.perf_counter()
            for group in self.flow.schedule.groups(i):
                self.flow.of(group, self.s[group.phase + 1])[:] = self.flow.of(group, after)
            if i == 0:
                self.bits.append(self.unwatched.cost(self.means, self.s).bits)
            self.seconds += time.perf_counter() - started

        return Watched(self.session.step(i, before), pushed)

    def reconstruction(self, last: Ints) -> Any:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return self.session.reconstruction(last)
