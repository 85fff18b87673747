"""Pictures whose pixels the Gaussian sender sends one after the other: each step begins a slanted line of every tile.

The network (:mod:`bfncodec.networks.wavefront.exact`) sees tiles as pictures of their own: pixel (r, c) of a tile is
begun at step c + 2r, and sent in one step or two, all its levels together. A dimension of this game is a pixel, and p_O
of a pixel that of its green, then of its red given the green, then of its blue given both.

The last step of a pixel has an accuracy that tells levels apart, so that

    p_R(y | theta) = sum over x of p_O(x | theta) N(y; x, 1/alpha)

has 256^3 terms, of which all but that of the levels nearest to y are next to nothing: with `tiles.DEVIATIONS` between
two levels, less than 2^-36 of it. The latent of bits-back coding is these levels, and takes no bits from the stack.

The first of two steps sends a sample that leaves levels open. There the receiver is a mixture of normals, one for each
component of p_O, whose latent is the component, paid for and given back; channels follow each other here too, each
given the samples of those before. In the last step the samples are evidence, which p_O takes in by Bayes' rule.

What the network has made of pixels whose levels are known depends on these levels alone. So who encodes, from the last
step to the first, can have it all before it draws the samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Game, Ints, Part
from bfncodec.coding.cdf import NIBBLE, byte_bits, softmax_frequencies
from bfncodec.coding.lattice import Normals
from bfncodec.coding.rangecoder import total
from bfncodec.flow import CodeLength
from bfncodec.networks.convnet.exact import ConvNetState, Front, Prediction, StepPixels
from bfncodec.networks.convnet.model import CODING_ORDER
from bfncodec.networks.wavefront.exact import BLOCK, ExactTiles, Normal
from bfncodec.networks.wavefront.model import LEVELS, TiledConfig

ALIKE = 1024  # samples that are coded together, those with the narrowest distributions first
CHANNELS = len(CODING_ORDER)


@dataclass(frozen=True)
class LineGame(Game):
    """A game in which sums of an item lie in the order of the lines that begin at each step.

    edges: where the sums of each line begin, and the end.
    """

    edges: tuple[int, ...] = (0, 1)

    def of(self, part: Part, sums: NDArray[Any]) -> NDArray[Any]:
        """A view of the sums of a line, [items, sums]: in each item green, red, blue."""
        return sums.reshape(-1, self.length)[:, self.edges[part.first] : self.edges[part.first + 1]]

    def _share(self, part: Part) -> float:
        return (self.edges[part.first + 1] - self.edges[part.first]) / self.length


class LineReceiver:
    """Levels 0 … 255, one sum each, in items [H, W, 3]. `begin` it anew for every group of items."""

    def __init__(self, network: ExactTiles) -> None:
        self.network, self.config = network, network.config
        lines = _lines(self.config)
        self.order = _order(self.config, lines)
        edges = np.cumsum([0, *(CHANNELS * len(pixels.place) for pixels in lines)])
        self.game = LineGame(self.config.ramp, tooth=len(lines), length=len(self.order), edges=tuple(edges.tolist()))

    def begin(self) -> LineReceiver:
        """The receiver of a group: what it remembers is what the network was told of it."""
        fresh = copy(self)
        fresh._foreseen, fresh._known = {}, False
        return fresh

    _known: bool  # whether all levels are
    _foreseen: dict[int, Prediction]  # of every line, where its levels are known
    _lines: Iterator[StepPixels]
    _pixels: dict[int, StepPixels]  # of the lines that are being sent
    _settling: ConvNetState
    _sampling: ConvNetState | None

    def target(self, x: NDArray[np.integer]) -> Floats:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`."""
        return _middle(x.reshape(-1, len(self.order))[:, self.order]).reshape(-1)

    def levels(self, phase: int, sums: NDArray[Any]) -> Ints:
        """The levels nearest to sums in units with so many steps behind them, of the same shape."""
        return np.rint(self.sample(phase, sums)).clip(0, LEVELS - 1).astype(np.int64)

    def sample(self, phase: int, sums: NDArray[Any]) -> Floats:
        """Sums in units with so many steps behind them as what they say of the levels."""
        middle = sums * (self.game.units[phase] / self.game.betas[phase])
        found: Floats = (middle + 1) * (LEVELS / 2) - 0.5
        return found

    def step(self, i: int, before: NDArray[Any]) -> LineStep:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`. Steps go upwards where items are not known yet."""
        return LineStep(self, i, before)

    def reconstruction(self, last: Ints) -> Nearest:
        """Implements :class:`bfncodec.coding.bitsback.Receiver`; all steps are asked about what is known here."""
        return Nearest(self, last)

    def raw(self, run: ConvNetState, pixels: StepPixels) -> Prediction:
        """Return what the network makes of the pixels of a line."""
        return run.predict(pixels)

    def head(self, prediction: Prediction, k: int) -> Any:
        """Return what it makes of their k-th channel in coding order, after those before it: a mixture."""
        return prediction.channel(k)

    def start(self, items: int, keep: bool = False) -> None:
        """Begin with items of which nothing is known; keep: so that what is foreseen can be asked for again."""
        self._settling, self._sampling = self.network.start(items, keep)
        self._lines, self._pixels = self._settling.blocks(), {}

    def foresee(self, sums: NDArray[Any]) -> None:
        """Return what the network makes of all levels, for who knows where they lead."""
        self.start(len(sums) // len(self.order), keep=self.game.phases > 1)
        self._known = True
        for line in range(self.game.tooth):
            pixels = self._line(line)
            self._foreseen[line] = self.raw(self._settling, pixels)
            self.reveal(line, self.levels(self.game.phases, self.game.of(Part(line, 0), sums)))

    def settling(self, line: int) -> Prediction:
        """p_O of a line's levels, which may be had once."""
        return self._foreseen.pop(line) if self._known else self.raw(self._settling, self._line(line))

    def sampling(self, line: int, before: NDArray[Any]) -> Prediction:
        """p_O of a line that begins. before: all sums [N], of which those of the line just before are samples."""
        assert self._sampling is not None
        if self._known and line:  # the network was told its levels, which are not known yet at this step
            self.reveal(line - 1, self.levels(1, self.game.of(Part(line - 1, 1), before)))
        return self.raw(self._sampling, self._line(line))

    def reveal(self, line: int, levels: Ints) -> None:
        """Levels of a line, [items, sums], are known, or samples that were rounded to levels."""
        values = by_channel(levels)[np.argsort(CODING_ORDER)].T.astype(np.uint8)
        self._settling.reveal(self._line(line), values)

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng; the coder has no part in it."""
        game, target = self.game, self.target(x)
        s = [np.zeros_like(target)]
        for alpha in np.diff(game.betas):
            s.append(s[-1] + alpha * target + np.sqrt(alpha) * rng.standard_normal(len(target)))
        return self.cost(target, [sums / unit for sums, unit in zip(s, game.units, strict=True)])

    def cost(self, target: Floats, s: list[NDArray[Any]]) -> CodeLength:
        """log2 p_S/p_R of a game, step by step, and its reconstruction, by densities. target: see `target`; s: sums
        after 0 … w of their phases, in units, [N] each.
        """
        own, game = self.begin(), self.game
        kl = np.zeros(game.steps)
        own.foresee(s[-1])
        for i in range(game.steps - 1, -1, -1):
            before, after = np.zeros_like(target), np.zeros_like(target)
            for part in game.parts(i):
                game.of(part, before)[:] = game.of(part, s[part.phase])
                game.of(part, after)[:] = game.of(part, s[part.phase + 1])
            kl[i] = LineStep(own, i, before).bits(after, target)
        missed = int((_middle(own.levels(game.phases, s[-1])) != target).sum())
        return CodeLength(kl, float(24 * missed), len(target))

    def _line(self, line: int) -> StepPixels:
        """The pixels of a line, which is the next to begin or one that has begun."""
        if line not in self._pixels:
            if not self._known:
                self._pixels.pop(line - self.game.phases, None)
            self._pixels[line] = next(self._lines)
        return self._pixels[line]


@dataclass(frozen=True)
class LineStep:
    """The receiver of the sums that a step sends: of the line that began before, and of the one that begins."""

    receiver: LineReceiver
    i: int
    before: NDArray[Any]

    def push(self, stack: AnsStack, after: Ints) -> None:
        for part in reversed(self._parts()):
            part.push(stack, after)

    def pop(self, stack: AnsStack) -> Ints:
        receiver, after = self.receiver, self.before.copy()
        if self.i == 0:
            receiver.start(len(after) // receiver.game.length)
        parts = self._parts()
        for part in parts:
            part.pop(stack, after)
        for part in parts:
            receiver.reveal(part.line, part.known(after))
        return after

    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """log2 p_S/p_R of sums, by densities; target: see `LineReceiver.target`."""
        return sum(part.bits(after, target) for part in self._parts())

    def _parts(self) -> list[LinePart]:
        """What the step moves, that which began first first. Both networks are asked before anything is moved."""
        receiver, game = self.receiver, self.receiver.game
        found: list[LinePart] = []
        for part in reversed(game.parts(self.i)):
            before, line = game.of(part, self.before), part.first
            if part.phase + 1 == game.phases:
                found.append(Settled(receiver, part, before, receiver.settling(line)))
            else:
                found.append(Sampled(receiver, part, before, receiver.sampling(line, self.before)))
        return found


@dataclass(frozen=True)
class LinePart(ABC):
    """What a step moves of a line. before: its sums, [items, sums]; prediction: what the network makes of what is known
    before the step. It is of use once: for one of `push`, `pop` and `bits`.
    """

    receiver: LineReceiver
    part: Part
    before: NDArray[Any]
    prediction: Prediction

    @property
    def line(self) -> int:
        """Number of the line."""
        return self.part.first

    def sent(self, sums: NDArray[Any]) -> NDArray[Any]:
        """A view of its sums among all, [items, sums]."""
        return self.receiver.game.of(self.part, sums)

    @abstractmethod
    def push(self, stack: AnsStack, after: Ints) -> None:
        """Pay for the line's sums."""

    @abstractmethod
    def pop(self, stack: AnsStack, after: Ints) -> None:
        """Draw the line's sums, into `after`."""

    @abstractmethod
    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """log2 p_S/p_R of the line's sums, by densities."""

    def known(self, after: NDArray[Any]) -> Ints:
        """The levels nearest to the line's sums."""
        return self.receiver.levels(self.part.phase + 1, self.sent(after))


class Settled(LinePart):
    """The step that settles the levels of a line."""

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
        """Those of the levels, and those of the sample under the nearest."""
        game, levels = self.receiver.game, self.known(after)
        alpha = game.betas[-1] - game.betas[-2]
        sample = self.sent(after) * game.units[-1] - self.before * game.units[-2]
        away, own = sample - alpha * _middle(levels), sample - alpha * self.sent(target)
        beyond = (away * away - own * own) / (2 * alpha * np.log(2))
        values = by_channel(levels)
        mixtures = self._mixtures(values)
        return float(beyond.sum()) + sum(
            float(byte_bits(m.below, v).sum()) for m, v in zip(mixtures, values, strict=True)
        )

    def _begin(self) -> Floats | None:
        """The network sees the pixels' own samples, [3, n], if there were any."""
        if not self.part.phase:
            return None
        samples = by_channel(self.receiver.sample(self.part.phase, self.before))
        self.prediction.condition_on_samples(samples.astype(np.float32))
        return samples

    def _mixtures(self, values: NDArray[np.integer]) -> list[Any]:
        """p_O of all channels, whose levels are known: [3, n]"""
        found, samples = [], self._begin()
        for k, value in enumerate(values):
            found.append(self._mixture(k, samples))
            self.prediction.condition(k, value)
        return found

    def _mixture(self, k: int, samples: Floats | None) -> Any:
        prior = self.receiver.head(self.prediction, k)
        return prior if samples is None else Normal(prior, self.receiver.config.noise).posterior(samples[k])

    @property
    def _noise(self) -> Any:
        return self.receiver.game.sample_kernel(self.receiver.game.phases)

    def _mean(self, levels: Ints) -> Floats:
        """Where samples of levels lead, in units."""
        game = self.receiver.game
        mean = _middle(levels) * (game.betas[-1] - game.betas[-2])
        mean += self.before * game.units[-2]
        mean /= game.units[-1]
        return mean.reshape(-1)


class Sampled(LinePart):
    """The step that sends a sample of each pixel of a line, from which p_O has the levels still open."""

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
        levels = by_channel((self.sent(target) + 1) * (LEVELS / 2) - 0.5)
        bits = 0.0
        for normal, sample, level in zip(self._normals(samples), samples, levels, strict=True):
            likely = normal.weight / normal.weight.sum(0) * noise / np.sqrt(normal.variance)
            exponent = ((sample - level) / noise) ** 2 - (sample - normal.mean) ** 2 / normal.variance
            top = exponent.max(0)
            bits -= float((np.log2((likely * np.exp((exponent - top) / 2)).sum(0)) + top / (2 * np.log(2))).sum())
        return bits

    def _normals(self, samples: Floats) -> list[Normal]:
        """Mixtures of all channels, whose samples are known: [3, n]"""
        found = []
        for k, sample in enumerate(samples):
            found.append(self._normal(k))
            self.prediction.condition(k, sample.astype(np.float32))
        return found

    def _normal(self, k: int) -> Normal:
        return Normal(self.receiver.head(self.prediction, k), self.receiver.config.noise)

    def _alike(self, normal: Normal, latent: NDArray[np.integer]) -> list[tuple[Ints, Normals]]:
        """Sums, by their places, whose distributions are about as wide as each other's, and these distributions."""
        game, own = self.receiver.game, np.arange(len(latent))
        # one level of the mean is so many units of the sum
        unit = game.betas[1] / game.units[1] * (2 / LEVELS)
        mean = (normal.mean[latent, own] - (LEVELS - 1) / 2) * unit
        variance = normal.variance[latent, own] * (unit * unit)
        order = np.argsort(variance, kind="stable")
        parts = [order[first : first + ALIKE] for first in range(0, len(order), ALIKE)]
        return [(at, Normals(mean[at], variance[at])) for at in parts]


@dataclass(frozen=True)
class Nearest:
    """p_O at the end: the levels nearest to the sums, for next to certain."""

    receiver: LineReceiver
    last: Ints

    def push(self, stack: AnsStack, x: Ints) -> None:
        self.receiver.foresee(self.last)
        away = x - self._near() + 1
        stack.push_rows(away, self._rows(len(away)))

    def pop(self, stack: AnsStack) -> Ints:
        near = self._near()
        return np.asarray((near + stack.pop_rows(self._rows(len(near))) - 1).clip(0, LEVELS - 1))

    def _near(self) -> Ints:
        """In the order of the data."""
        order = self.receiver.order
        near = np.empty((len(self.last) // len(order), len(order)), np.int64)
        near[:, order] = self.receiver.levels(self.receiver.game.phases, self.last).reshape(near.shape)
        return near.reshape(-1)

    def _rows(self, count: int) -> NDArray[np.float32]:
        return np.tile(np.array([0, total(3), 0], np.float32), (count, 1))


def by_channel(line: NDArray[Any]) -> NDArray[Any]:
    """Of the pixels of a line, [items, 3 n], each channel: [3, items n]"""
    return line.reshape(len(line), CHANNELS, -1).transpose(1, 0, 2).reshape(CHANNELS, -1)


def by_item(values: NDArray[Any], items: int) -> NDArray[Any]:
    """Inverse of `by_channel`."""
    return values.reshape(CHANNELS, items, -1).transpose(1, 0, 2).reshape(items, -1)


def _middle(levels: NDArray[np.integer]) -> Floats:
    """Of the bins of levels, over [-1, 1]."""
    return np.asarray((levels + 0.5) * (2 / LEVELS) - 1, np.float64)


def _lines(config: TiledConfig) -> list[StepPixels]:
    """The pixels of each line, of one item."""
    front = Front([config.tile] * config.tiles, BLOCK, True, [1])
    return [pixels for first, last in front.blocks for pixels in front.pixels(first, last).line_by_line()]


def _order(config: TiledConfig, lines: list[StepPixels]) -> Ints:
    """Place in an item, row by row, of its dimensions in the order in which they are sent: line by line, channel by
    channel, tile by tile.
    """
    (height, width, channels), (tall, wide) = config.shape, config.tile
    place = np.arange(height * width).reshape(height // tall, tall, width // wide, wide)
    pixel = place.transpose(0, 2, 1, 3).reshape(-1)  # of the tiles' pixels
    return np.concatenate([pixel[line.place] * channels + c for line in lines for c in CODING_ORDER])
