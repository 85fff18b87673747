"""Receiver of pictures under a staggered wavefront: each step begins a slanted line of every tile.

The networks (:mod:`bfncodec.networks.wavefront.exact`) see tiles as pictures of their own: pixel (r, c) of a tile
begins at step c + 2r, and is sent in one step or two, all its channels together. p_O of a pixel is that of its green,
then of its red given the green, then of its blue given both.

A step sends lines as :mod:`bfncodec.codecs.receivers.lines` says.

The network's output for pixels whose past is known depends on the past levels alone. So the encoder, who goes from the
last step to the first, can have it all before it draws the samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.receivers.lines import CHANNELS, FinalStep, LineStep, NoisyStep, Scale, by_channel, centres
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Ints, LatticeFlow
from bfncodec.coding.rangecoder import total
from bfncodec.flow import CodeLength, Group, StaggeredWavefront
from bfncodec.networks.convnet.config import CODING_ORDER
from bfncodec.networks.convnet.exact import ConvNetState, Prediction
from bfncodec.networks.convnet.front import Front, StepPixels
from bfncodec.networks.wavefront.exact import BLOCK, ExactWavefront
from bfncodec.networks.wavefront.model import CLASSES, WavefrontConfig


class WavefrontReceiver:
    """Receiver of pictures [H, W, 3] of levels 0 … 255, one sum for each subpixel, line after line.

    It remembers nothing itself: `encoding` and `decoding` give a session for one group of items, which holds the
    networks' inference state.
    """

    def __init__(self, network: ExactWavefront) -> None:
        self.network, self.config = network, network.config
        lines = _lines(self.config)
        self.order = _order(self.config, lines)
        edges = np.cumsum([0, *(CHANNELS * len(pixels.place) for pixels in lines)])
        self.schedule = StaggeredWavefront(tuple(edges.tolist()), self.config.betas)
        self.flow = LatticeFlow(self.schedule)
        self.scale = Scale(self.flow, self.config.noise)

    def encoding(self, sums: int) -> Encoding:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return Encoding(self, sums // len(self.order))

    def decoding(self, sums: int) -> Decoding:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return Decoding(self, sums // len(self.order))

    def target(self, x: NDArray[np.integer]) -> Floats:
        """Centres of the bins of [-1, 1] in the order of the schedule, float64 [N]."""
        return centres(x.reshape(-1, len(self.order))[:, self.order]).reshape(-1)

    def raw(self, state: ConvNetState, pixels: StepPixels) -> Prediction:
        """Output of a network for the pixels of a line."""
        return state.predict(pixels)

    def head(self, prediction: Prediction, k: int) -> Any:
        """p_O of their k-th channel in coding order, given those before it: a mixture."""
        return prediction.channel(k)

    def play(self, x: Ints, rng: np.random.Generator, realised: bool = True) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng; the coder has no part in it. Always by the
        samples that were drawn: there is no closed form of the KL.
        """
        flow, target = self.flow, self.target(x)
        s = [np.zeros_like(target)]
        for alpha in np.diff(flow.betas):
            s.append(s[-1] + alpha * target + np.sqrt(alpha) * rng.standard_normal(len(target)))
        return self.cost(target, [sums / unit for sums, unit in zip(s, flow.units, strict=True)])

    def cost(self, target: Floats, s: list[NDArray[Any]]) -> CodeLength:
        """log2 p_S/p_R of all samples, step by step, and the reconstruction, by densities.

        target: see `target`; s: sums after 0 … w of their phases, in units, [N] each.
        """
        flow, schedule = self.flow, self.schedule
        session, kl = self.encoding(len(target)), np.zeros(schedule.n_steps)
        session.observe(s[-1])
        for i in range(schedule.n_steps - 1, -1, -1):
            before, after = np.zeros_like(target), np.zeros_like(target)
            for group in schedule.groups(i):
                flow.of(group, before)[:] = flow.of(group, s[group.phase])
                flow.of(group, after)[:] = flow.of(group, s[group.phase + 1])
            kl[i] = session.step(i, before).bits(after, target)
        missed = int((centres(self.scale.levels(schedule.phases, s[-1])) != target).sum())
        return CodeLength(kl, float(24 * missed), len(target))


class Session(ABC):
    """State of the encoder or the decoder while it codes one group of items."""

    def __init__(self, receiver: WavefrontReceiver, items: int, keep: bool) -> None:
        self.receiver, self.flow, self.schedule = receiver, receiver.flow, receiver.schedule
        self._final, self._noisy = receiver.network.start(items, keep)
        self._lines = self._final.blocks()
        self._pixels: dict[int, StepPixels] = {}  # of the lines that may still be asked for

    def target(self, x: NDArray[np.integer]) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return self.receiver.target(x)

    def step(self, i: int, before: NDArray[Any]) -> WavefrontStep:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return WavefrontStep(self, i, before)

    @abstractmethod
    def final(self, line: int) -> Prediction:
        """p_O of a line's levels before their final step. It can be had once."""

    @abstractmethod
    def noisy(self, line: int, before: NDArray[Any]) -> Prediction:
        """p_O of a line that begins. before: all sums [N], of which those of the line just before are samples."""

    def observe_line(self, line: int, levels: Ints) -> None:
        """Tell the networks the levels of a line, [items, n, 1], or samples that were rounded to levels."""
        values = by_channel(levels)[np.argsort(CODING_ORDER)].T.astype(np.uint8)
        self._final.reveal(self._line(line), values)

    def _line(self, line: int) -> StepPixels:
        """The pixels of a line, which is the next to begin or one that has begun."""
        if line not in self._pixels:
            self._pixels[line] = next(self._lines)
        return self._pixels[line]


class Encoding(Session):
    """The side that knows the items. Steps go downwards, so the network runs over all lines before the first."""

    def __init__(self, receiver: WavefrontReceiver, items: int) -> None:
        super().__init__(receiver, items, keep=receiver.schedule.phases > 1)
        self._predictions: dict[int, Prediction] = {}

    def reconstruction(self, last: Ints) -> NearestLevels:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        self.observe(last)
        return NearestLevels(self.receiver, last)

    def observe(self, sums: NDArray[Any]) -> None:
        """Run the network once over all levels, which are those nearest to the last sums [N], in units."""
        for line in range(self.schedule.cohorts):
            self._predictions[line] = self.receiver.raw(self._final, self._line(line))
            last = self.flow.of(Group(line, 0), sums)
            self.observe_line(line, self.receiver.scale.levels(self.schedule.phases, last))

    def final(self, line: int) -> Prediction:
        return self._predictions.pop(line)

    def noisy(self, line: int, before: NDArray[Any]) -> Prediction:
        assert self._noisy is not None
        if line:  # the network has observed its levels, which are not known yet at this step
            samples = self.flow.of(Group(line - 1, 1), before)
            self.observe_line(line - 1, self.receiver.scale.levels(1, samples))
        return self.receiver.raw(self._noisy, self._line(line))


class Decoding(Session):
    """The side that learns the items line by line. Steps go upwards."""

    def __init__(self, receiver: WavefrontReceiver, items: int) -> None:
        super().__init__(receiver, items, keep=False)

    def reconstruction(self, last: Ints) -> NearestLevels:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return NearestLevels(self.receiver, last)

    def final(self, line: int) -> Prediction:
        return self.receiver.raw(self._final, self._line(line))

    def noisy(self, line: int, before: NDArray[Any]) -> Prediction:
        assert self._noisy is not None
        return self.receiver.raw(self._noisy, self._line(line))

    def _line(self, line: int) -> StepPixels:
        if line not in self._pixels:
            self._pixels.pop(line - self.schedule.phases, None)  # its final step is over
        return super()._line(line)


@dataclass(frozen=True)
class WavefrontStep:
    """The receiver of what a step sends: the final step of one line, and the noisy step of the line that begins."""

    session: Session
    i: int
    before: NDArray[Any]

    def push(self, stack: AnsStack, after: Ints) -> None:
        for line in reversed(self._sent()):
            line.push(stack, after)

    def pop(self, stack: AnsStack) -> Ints:
        after, sent = self.before.copy(), self._sent()
        for line in sent:
            line.pop(stack, after)
        for line in sent:
            self.session.observe_line(line.number, line.known(after))
        return after

    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """log2 p_S/p_R of sums, by densities; target: see `WavefrontReceiver.target`."""
        return sum(line.bits(after, target) for line in self._sent())

    def _sent(self) -> list[LineStep]:
        """The lines that the step sends, that which began first first. Both networks are asked before anything is
        coded.
        """
        session, found = self.session, list[LineStep]()
        asked = session.receiver.scale, session.receiver.head
        for group in reversed(session.schedule.groups(self.i)):
            before, number = session.flow.of(group, self.before), group.cohort
            if group.phase + 1 == session.schedule.phases:
                found.append(FinalStep(*asked, group, before, session.final(number)))
            else:
                found.append(NoisyStep(*asked, group, before, session.noisy(number, self.before)))
        return found


@dataclass(frozen=True)
class NearestLevels:
    """p_O at the end: the levels nearest to the sums are as good as certain."""

    receiver: WavefrontReceiver
    last: Ints

    def push(self, stack: AnsStack, x: Ints) -> None:
        away = x - self._near() + 1
        stack.push_rows(away, self._rows(len(away)))

    def pop(self, stack: AnsStack) -> Ints:
        near = self._near()
        return np.asarray((near + stack.pop_rows(self._rows(len(near))) - 1).clip(0, CLASSES - 1))

    def _near(self) -> Ints:
        """The nearest levels in the order of the data, [N]."""
        order = self.receiver.order
        near = np.empty((len(self.last) // len(order), len(order)), np.int64)
        near[:, order] = self.receiver.scale.levels(self.receiver.flow.phases, self.last).reshape(near.shape)
        return near.reshape(-1)

    def _rows(self, count: int) -> NDArray[np.float32]:
        return np.tile(np.array([0, total(3), 0], np.float32), (count, 1))


def _lines(config: WavefrontConfig) -> list[StepPixels]:
    """The pixels of each line, of one item."""
    front = Front([config.tile] * config.tiles, BLOCK, True, [1])
    return [pixels for first, last in front.blocks for pixels in front.pixels(first, last).line_by_line()]


def _order(config: WavefrontConfig, lines: list[StepPixels]) -> Ints:
    """Place in an item, row by row, of its dimensions in the order in which they are sent: line by line, channel by
    channel, tile by tile.
    """
    (height, width, channels), (tall, wide) = config.shape, config.tile
    place = np.arange(height * width).reshape(height // tall, tall, width // wide, wide)
    pixel = place.transpose(0, 2, 1, 3).reshape(-1)  # of the tiles' pixels
    return np.concatenate([pixel[line.place] * channels + c for line in lines for c in CODING_ORDER])
