"""Receiver of pictures under a staggered wavefront: each step begins a slanted line of every tile.

The networks (:mod:`bfncodec.networks.wavefront.exact`) see tiles as pictures of their own: pixel (r, c) of a tile
begins at step c + 2r, and is sent in one step or two, all its channels together. p_O of a pixel is that of its green,
then of its red given the green, then of its blue given both.

The final step of a pixel has an accuracy that tells levels apart, so that

    p_R(y | theta) = sum over x of p_O(x | theta) N(y; x, 1/alpha)

has 256^3 terms, of which all but that of the levels nearest to y are next to nothing: with `DEVIATIONS` between two
levels, less than 2^-36 of it. The latent variable of bits-back coding is these levels, and takes no bits from the
stack. Given its past, a pixel's levels are thus coded one after the other: this is autoregression over lines, with the
sender's noise around it.

The noisy step, where there is one, sends a sample that leaves levels open. There the receiver is a mixture of normals,
one for each component of p_O, and the component is the latent variable; channels follow each other here too, each given
the samples of those before. In the final step the samples are evidence, which p_O takes in by Bayes' rule.

The network's output for pixels whose past is known depends on the past levels alone. So the encoder, who goes from the
last step to the first, can have it all before it draws the samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Ints, LatticeFlow
from bfncodec.coding.cdf import NIBBLE, byte_bits, softmax_frequencies
from bfncodec.coding.lattice import Normals
from bfncodec.coding.rangecoder import total
from bfncodec.flow import CodeLength, Group, StaggeredWavefront
from bfncodec.networks.convnet.config import CODING_ORDER
from bfncodec.networks.convnet.exact import ConvNetState, Prediction
from bfncodec.networks.convnet.front import Front, StepPixels
from bfncodec.networks.wavefront.exact import BLOCK, ExactWavefront, NormalMixture
from bfncodec.networks.wavefront.model import CLASSES, WavefrontConfig

ALIKE = 1024  # samples that are coded together, those with the narrowest distributions first
CHANNELS = len(CODING_ORDER)


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

    def encoding(self, sums: int) -> Encoding:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return Encoding(self, sums // len(self.order))

    def decoding(self, sums: int) -> Decoding:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return Decoding(self, sums // len(self.order))

    def target(self, x: NDArray[np.integer]) -> Floats:
        """Centres of the bins of [-1, 1] in the order of the schedule, float64 [N]."""
        return _centre(x.reshape(-1, len(self.order))[:, self.order]).reshape(-1)

    def levels(self, phase: int, sums: NDArray[Any]) -> Ints:
        """The levels nearest to sums in units with so many steps behind them, of the same shape."""
        return np.rint(self.sample(phase, sums)).clip(0, CLASSES - 1).astype(np.int64)

    def sample(self, phase: int, sums: NDArray[Any]) -> Floats:
        """Sums in units with so many steps behind them as the noisy levels that they amount to."""
        mean = sums * (self.flow.units[phase] / self.flow.betas[phase])
        found: Floats = (mean + 1) * (CLASSES / 2) - 0.5
        return found

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
        missed = int((_centre(self.levels(schedule.phases, s[-1])) != target).sum())
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
            self.observe_line(line, self.receiver.levels(self.schedule.phases, last))

    def final(self, line: int) -> Prediction:
        return self._predictions.pop(line)

    def noisy(self, line: int, before: NDArray[Any]) -> Prediction:
        assert self._noisy is not None
        if line:  # the network has observed its levels, which are not known yet at this step
            samples = self.flow.of(Group(line - 1, 1), before)
            self.observe_line(line - 1, self.receiver.levels(1, samples))
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
        for group in reversed(session.schedule.groups(self.i)):
            before, number = session.flow.of(group, self.before), group.cohort
            if group.phase + 1 == session.schedule.phases:
                found.append(FinalStep(session.receiver, group, before, session.final(number)))
            else:
                found.append(NoisyStep(session.receiver, group, before, session.noisy(number, self.before)))
        return found


@dataclass(frozen=True)
class LineStep(ABC):
    """The part of a step that sends one line. before: its sums, [items, n, 1]; prediction: the network's output given
    all that is known before the step. It is of use once: for one of `push`, `pop` and `bits`.
    """

    receiver: WavefrontReceiver
    group: Group
    before: NDArray[Any]
    prediction: Prediction

    @property
    def number(self) -> int:
        """Number of the line."""
        return self.group.cohort

    def sent(self, sums: NDArray[Any]) -> NDArray[Any]:
        """A view of the line's sums among all, [items, n, 1]."""
        return self.receiver.flow.of(self.group, sums)

    @abstractmethod
    def push(self, stack: AnsStack, after: Ints) -> None:
        """Encode the line's sums."""

    @abstractmethod
    def pop(self, stack: AnsStack, after: Ints) -> None:
        """Decode the line's sums, into `after`."""

    @abstractmethod
    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """log2 p_S/p_R of the line's sums, by densities."""

    def known(self, after: NDArray[Any]) -> Ints:
        """The levels nearest to the line's sums."""
        return self.receiver.levels(self.group.phase + 1, self.sent(after))


class FinalStep(LineStep):
    """The final step of a line: its accuracy tells levels apart, so the latent variable of bits-back is the levels."""

    def push(self, stack: AnsStack, after: Ints) -> None:
        levels = self.known(after)
        self._noise.push(stack, self.sent(after).reshape(-1), self._mean(levels))
        values = by_channel(levels)
        for mixture, value in zip(reversed(self._mixtures(values)), values[::-1], strict=True):
            for part in reversed(mixture.intervals(value.astype(np.int32))):
                stack.push_intervals(part.below, part.frequency, part.symbol, NIBBLE)

    def pop(self, stack: AnsStack, after: Ints) -> None:
        sent, drawn = self.sent(after), []
        samples = self._begin()
        for k in range(CHANNELS):
            mixture = self._mixture(k, samples)
            high = stack.pop_rows(mixture.high())
            drawn.append(high * NIBBLE + stack.pop_rows(mixture.low(high)))
            self.prediction.condition(k, drawn[k])
        levels = by_item(np.stack(drawn).astype(np.int64), len(sent))
        sent[:] = self._noise.pop(stack, self._mean(levels)).reshape(sent.shape)

    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """Bits of the levels under p_O, and log2 p_S/p_R of the sample given the nearest levels."""
        flow, levels = self.receiver.flow, self.known(after)
        alpha = flow.betas[-1] - flow.betas[-2]
        sample = self.sent(after) * flow.units[-1] - self.before * flow.units[-2]
        away, own = sample - alpha * _centre(levels), sample - alpha * self.sent(target)
        beyond = (away * away - own * own) / (2 * alpha * np.log(2))
        values = by_channel(levels)
        mixtures = self._mixtures(values)
        return float(beyond.sum()) + sum(
            float(byte_bits(m.below, v).sum()) for m, v in zip(mixtures, values, strict=True)
        )

    def _begin(self) -> Floats | None:
        """Give the network the pixels' own samples, [3, n], if there was a noisy step; return them."""
        if not self.group.phase:
            return None
        samples = by_channel(self.receiver.sample(self.group.phase, self.before))
        self.prediction.condition_on_samples(samples.astype(np.float32))
        return samples

    def _mixtures(self, values: NDArray[np.integer]) -> list[Any]:
        """p_O of all channels given their levels, [3, n]."""
        found, samples = [], self._begin()
        for k, value in enumerate(values):
            found.append(self._mixture(k, samples))
            self.prediction.condition(k, value)
        return found

    def _mixture(self, k: int, samples: Floats | None) -> Any:
        prior = self.receiver.head(self.prediction, k)
        return prior if samples is None else NormalMixture(prior, self.receiver.config.noise).posterior(samples[k])

    @property
    def _noise(self) -> Any:
        return self.receiver.flow.sample_kernel(self.receiver.flow.phases)

    def _mean(self, levels: Ints) -> Floats:
        """Means of the sums after the step under levels, in units."""
        flow = self.receiver.flow
        mean = _centre(levels) * (flow.betas[-1] - flow.betas[-2])
        mean += self.before * flow.units[-2]
        mean /= flow.units[-1]
        return mean.reshape(-1)


class NoisyStep(LineStep):
    """The noisy step of a line: it sends a sample of each subpixel that leaves its level open.

    The receiver is a mixture of normals, one for each component of p_O, and the component is the latent variable.
    """

    def push(self, stack: AnsStack, after: Ints) -> None:
        sums = by_channel(self.sent(after))
        samples = self.receiver.sample(1, sums)
        for k, normal in reversed(list(enumerate(self._normals(samples)))):
            latent = stack.pop_rows(softmax_frequencies(normal.given(samples[k])))
            for at, chosen in reversed(self._alike(normal, latent)):
                chosen.push(stack, sums[k][at])
            stack.push_rows(latent, softmax_frequencies(normal.prior()))

    def pop(self, stack: AnsStack, after: Ints) -> None:
        sent = self.sent(after)
        sums = np.empty_like(by_channel(sent))
        for k in range(CHANNELS):
            normal = self._normal(k)
            latent = stack.pop_rows(softmax_frequencies(normal.prior()))
            for at, chosen in self._alike(normal, latent):
                sums[k][at] = chosen.pop(stack)
            sample = self.receiver.sample(1, sums[k])
            stack.push_rows(latent, softmax_frequencies(normal.given(sample)))
            self.prediction.condition(k, sample.astype(np.float32))
        sent[:] = by_item(sums, len(sent))

    def bits(self, after: NDArray[Any], target: Floats) -> float:
        noise = self.receiver.config.noise
        samples = self.receiver.sample(1, by_channel(self.sent(after)))
        levels = by_channel((self.sent(target) + 1) * (CLASSES / 2) - 0.5)
        bits = 0.0
        for normal, sample, level in zip(self._normals(samples), samples, levels, strict=True):
            likely = normal.weight / normal.weight.sum(0) * noise / np.sqrt(normal.variance)
            exponent = ((sample - level) / noise) ** 2 - (sample - normal.mean) ** 2 / normal.variance
            top = exponent.max(0)
            bits -= float((np.log2((likely * np.exp((exponent - top) / 2)).sum(0)) + top / (2 * np.log(2))).sum())
        return bits

    def _normals(self, samples: Floats) -> list[NormalMixture]:
        """Mixtures of all channels given their samples, [3, n]."""
        found = []
        for k, sample in enumerate(samples):
            found.append(self._normal(k))
            self.prediction.condition(k, sample.astype(np.float32))
        return found

    def _normal(self, k: int) -> NormalMixture:
        return NormalMixture(self.receiver.head(self.prediction, k), self.receiver.config.noise)

    def _alike(self, normal: NormalMixture, latent: NDArray[np.integer]) -> list[tuple[Ints, Normals]]:
        """Parts of the sums, by their places, with distributions of about one width, and these distributions."""
        flow, own = self.receiver.flow, np.arange(len(latent))
        # one level of the mean is so many units of the sum
        unit = flow.betas[1] / flow.units[1] * (2 / CLASSES)
        mean = (normal.mean[latent, own] - (CLASSES - 1) / 2) * unit
        variance = normal.variance[latent, own] * (unit * unit)
        order = np.argsort(variance, kind="stable")
        parts = [order[first : first + ALIKE] for first in range(0, len(order), ALIKE)]
        return [(at, Normals(mean[at], variance[at])) for at in parts]


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
        near[:, order] = self.receiver.levels(self.receiver.flow.phases, self.last).reshape(near.shape)
        return near.reshape(-1)

    def _rows(self, count: int) -> NDArray[np.float32]:
        return np.tile(np.array([0, total(3), 0], np.float32), (count, 1))


def by_channel(line: NDArray[Any]) -> NDArray[Any]:
    """The channels of a line, [items, 3 n, 1] -> [3, items n]."""
    return line.reshape(len(line), CHANNELS, -1).transpose(1, 0, 2).reshape(CHANNELS, -1)


def by_item(values: NDArray[Any], items: int) -> NDArray[Any]:
    """Inverse of `by_channel`."""
    return values.reshape(CHANNELS, items, -1).transpose(1, 0, 2).reshape(items, -1, 1)


def _centre(levels: NDArray[np.integer]) -> Floats:
    """Centres of the bins of levels over [-1, 1]."""
    return np.asarray((levels + 0.5) * (2 / CLASSES) - 1, np.float64)


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
