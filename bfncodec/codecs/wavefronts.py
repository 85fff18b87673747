"""Pictures whose pixels the Gaussian sender sends one after the other: a slanted line of every tile at each step.

The network is that of the wavefront schedule (:mod:`bfncodec.networks.exact_convnet`), which has seen tiles as pictures
of their own: pixel (r, c) of a tile is sent at step c + 2r, all its levels together, at an accuracy that tells them
apart. A dimension of this game is a pixel, and p_O of a pixel that of its green, then of its red given the green, then
of its blue given both, so that

    p_R(y | theta) = sum over x of p_O(x | theta) N(y; x, 1/beta)

has 256^3 terms, of which all but that of the levels nearest to y are next to nothing: with these DEVIATIONS between
two levels, less than 2^-36 of it. The latent of bits-back coding is these levels, and takes no bits from the stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Game, Ints, Part
from bfncodec.coding.cdf import NIBBLE, SUM_BITS
from bfncodec.coding.direct import total
from bfncodec.compiled import pays
from bfncodec.flow import CodeLength
from bfncodec.networks.convnet import CODING_ORDER, ConvNetConfig
from bfncodec.networks.exact_convnet import ExactConvNet, Front, Mixture, Pass, Pixels, Prediction, stored_shapes
from bfncodec.networks.stored import check_shapes

if TYPE_CHECKING:
    from bfncodec.networks.convnet_compiled import CompiledConvNet

LEVELS = 256
DEVIATIONS = 12  # of the sender's noise, from one level to the next
BETA = float((DEVIATIONS * LEVELS // 2) ** 2)
BLOCK = 1 << 12  # pixels whose places are made ready at once
PIXEL_SECONDS = 4e-4  # that one takes without compiled loops, roughly


@dataclass(frozen=True)
class TiledConfig:
    """Shape of items, [H, W, 3], of their tiles, and of the network; stored in a model's config.json."""

    shape: tuple[int, int, int]
    tile: tuple[int, int]
    network: ConvNetConfig
    kind: str = "discretised"
    classes: int = LEVELS

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TiledConfig:
        """Raises ValueError for tiles that do not fill an item, or whose lines are not all of pixels."""
        rest = {name: value for name, value in values.items() if name not in ("kind", "shape", "tile")}
        shape, tile = tuple(values["shape"]), tuple(values["tile"])
        if (
            len(shape) != 3
            or shape[2] != 3
            or len(tile) != 2
            or tile[1] < 2
            or shape[0] % tile[0]
            or shape[1] % tile[1]
        ):
            raise ValueError(f"expected tiles two pixels wide or more that fill items [H, W, 3], found {tile}, {shape}")
        return cls(shape, tile, ConvNetConfig.from_dict(rest))

    @property
    def tiles(self) -> int:
        """Of an item."""
        return self.shape[0] // self.tile[0] * (self.shape[1] // self.tile[1])

    @cached_property
    def lines(self) -> list[Pixels]:
        """The pixels of each step, of one item."""
        front = Front([self.tile] * self.tiles, BLOCK, True, [1])
        return [pixels for first, last in front.blocks for pixels in front.pixels(first, last).line_by_line()]


class TiledNetwork:
    """The network of a wavefront, and how it is used."""

    def __init__(self, config: TiledConfig, tensors: dict[str, Tensor], device: torch.device) -> None:
        check_shapes(tensors, stored_shapes(config.network))
        self.config, self.device = config, device
        self.exact = ExactConvNet(config.network, tensors, device)

    def start(self, items: int) -> Pass:
        """A pass over the tiles of some items, line by line; with compiled loops where they pay."""
        sizes = [self.config.tile] * (self.config.tiles * items)
        able = self.device.type == "cpu" and pays(PIXEL_SECONDS * items * prod(self.config.shape[:2]))
        return (self._compiled if able else self.exact).start(sizes, BLOCK, single=True)

    @cached_property
    def _compiled(self) -> CompiledConvNet:
        from bfncodec.networks.convnet_compiled import CompiledConvNet

        return CompiledConvNet(self.exact)


@dataclass(frozen=True)
class LineGame(Game):
    """A game in which each sum is sent in one step, and sums of an item lie in the order of the steps.

    edges: where each step's sums begin, and the end.
    """

    edges: tuple[int, ...] = (0, 1)

    @property
    def steps(self) -> int:
        return len(self.edges) - 1

    def parts(self, i: int) -> list[Part]:
        return [Part(i, 0)]

    def of(self, part: Part, sums: NDArray[Any]) -> NDArray[Any]:
        return sums.reshape(-1, self.length)[:, self.edges[part.first] : self.edges[part.first + 1]]

    def _share(self, part: Part) -> float:
        return (self.edges[part.first + 1] - self.edges[part.first]) / self.length


class LineReceiver:
    """Levels 0 … 255, one sum each, in items [H, W, 3]. `begin` it anew for every group of items."""

    def __init__(self, network: TiledNetwork) -> None:
        self.network, self.config = network, network.config
        counts = [3 * len(pixels.place) for pixels in self.config.lines]
        self.order = _order(self.config)
        self.game = LineGame((0.0, BETA), length=len(self.order), edges=tuple(np.cumsum([0, *counts]).tolist()))

    def begin(self) -> LineReceiver:
        """The receiver of a group: what it remembers is what the network was told of it."""
        fresh = copy(self)
        fresh._known, fresh._run = [], None
        return fresh

    _known: list[list[Mixture]]  # of every step, where all is known
    _run: Iterator[Pixels] | None
    _pass: Pass

    def target(self, x: NDArray[np.integer]) -> Floats:
        """See :class:`bfncodec.coding.bitsback.Receiver`."""
        return _middle(x.reshape(-1, len(self.order))[:, self.order]).reshape(-1)

    def levels(self, sums: NDArray[Any]) -> Ints:
        """The levels nearest to sums in units, of the same shape."""
        middle = sums * (self.game.units[1] / BETA)
        found = np.rint((middle + 1) * (LEVELS / 2) - 0.5)
        return found.clip(0, LEVELS - 1).astype(np.int64)

    def step(self, i: int, before: Ints) -> LineSample:
        """See :class:`bfncodec.coding.bitsback.Receiver`. Steps go upwards where items are not known yet."""
        return LineSample(self, i, before)

    def reconstruction(self, last: Ints) -> Nearest:
        """See :class:`bfncodec.coding.bitsback.Receiver`. What is known here is what all steps will be asked about."""
        return Nearest(self, last)

    def raw(self, run: Pass, pixels: Pixels) -> Prediction:
        """What the network makes of the pixels that a step sends."""
        return run.predict(pixels)

    def foresee(self, sums: NDArray[Any]) -> None:
        """The distributions of all steps, for who knows where they lead."""
        self._start(len(sums) // len(self.order))
        for i, pixels in enumerate(self._pass.blocks()):
            known = self.levels(self.game.of(Part(i, 0), sums)).reshape(-1, len(CODING_ORDER), self._per_item(i))
            values = known.transpose(1, 0, 2).reshape(len(CODING_ORDER), -1)
            self._known.append(self._describe(pixels, values))

    def draw(self, i: int, stack: AnsStack, items: int) -> Ints:
        """Pop the levels of a step, [items, 3 n]: in each item green, red, blue."""
        if i == 0:
            self._start(items)
            self._run = self._pass.blocks()
        assert self._run is not None
        pixels = next(self._run)
        prediction, drawn = self.raw(self._pass, pixels), []
        for k in range(len(CODING_ORDER)):
            mixture = prediction.channel(k)
            high = stack.pop_rows(mixture.high())
            drawn.append(high * NIBBLE + stack.pop_rows(mixture.low(high)))
            prediction.tell(k, drawn[k])
        self._reveal(pixels, np.stack(drawn))
        found: Ints = np.stack(drawn).astype(np.int64).reshape(len(CODING_ORDER), items, -1).transpose(1, 0, 2)
        return found.reshape(items, -1)

    def pay(self, i: int, stack: AnsStack, levels: Ints) -> None:
        """Inverse of `draw`, after `foresee`."""
        values = levels.reshape(len(levels), len(CODING_ORDER), -1).transpose(1, 0, 2).reshape(len(CODING_ORDER), -1)
        for mixture, value in zip(reversed(self._known[i]), values[::-1], strict=True):
            for part in reversed(mixture.intervals(value.astype(np.int32))):
                stack.push_intervals(part.below, part.frequency, part.symbol, NIBBLE)

    def play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        """L^n of data [N], by a Monte-Carlo estimate with noise from rng; the coder has no part in it."""
        own, target, unit = self.begin(), self.target(x), self.game.units[1]
        s = BETA * target + np.sqrt(BETA) * rng.standard_normal(len(target))
        near: Floats = _middle(own.levels(s / unit))
        own.foresee(s / unit)
        # log2 of N(y; x, 1 / beta) over N(y; nearest, 1 / beta)
        beyond = ((s - BETA * near) ** 2 - (s - BETA * target) ** 2) / (2 * BETA * np.log(2))
        kl = np.zeros(self.game.steps)
        for i, mixtures in enumerate(own._known):
            part = Part(i, 0)
            levels = own.levels(self.game.of(part, s / unit)).reshape(-1, len(CODING_ORDER), self._per_item(i))
            kl[i] = self.game.of(part, beyond).sum()
            for k, mixture in enumerate(mixtures):
                kl[i] += _bits(mixture, levels[:, k].reshape(-1)).sum()
        missed = int((near != target).sum())
        return CodeLength(kl, float(24 * missed), len(target))

    def _start(self, items: int) -> None:
        self._pass, self._known = self.network.start(items), []

    def _describe(self, pixels: Pixels, values: Ints) -> list[Mixture]:
        """The distributions of known levels [3, n], in coding order; they are revealed."""
        prediction, found = self.raw(self._pass, pixels), []
        for k, value in enumerate(values):
            found.append(prediction.channel(k))
            prediction.tell(k, value)
        self._reveal(pixels, values)
        return found

    def _reveal(self, pixels: Pixels, values: NDArray[np.integer]) -> None:
        self._pass.reveal(pixels, values[np.argsort(CODING_ORDER)].T.astype(np.uint8))

    def _per_item(self, i: int) -> int:
        """Pixels of an item that a step sends."""
        return (self.game.edges[i + 1] - self.game.edges[i]) // len(CODING_ORDER)


@dataclass(frozen=True)
class LineSample:
    """The receiver of the sums that a step sends."""

    receiver: LineReceiver
    i: int
    before: Ints

    def push(self, stack: AnsStack, after: Ints) -> None:
        receiver, game = self.receiver, self.receiver.game
        sent = game.of(Part(self.i, 0), after)
        levels = receiver.levels(sent)
        game.sample_kernel(1).push(stack, sent.reshape(-1), self._mean(levels))
        receiver.pay(self.i, stack, levels)

    def pop(self, stack: AnsStack) -> Ints:
        receiver, game, after = self.receiver, self.receiver.game, self.before.copy()
        sent = game.of(Part(self.i, 0), after)
        levels = receiver.draw(self.i, stack, len(sent))
        sent[:] = game.sample_kernel(1).pop(stack, self._mean(levels)).reshape(sent.shape)
        return after

    def _mean(self, levels: Ints) -> Floats:
        found: Floats = _middle(levels).reshape(-1) * (BETA / self.receiver.game.units[1])
        return found


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
        near[:, order] = self.receiver.levels(self.last).reshape(near.shape)
        return near.reshape(-1)

    def _rows(self, count: int) -> NDArray[np.float32]:
        return np.tile(np.array([0, total(3), 0], np.float32), (count, 1))


def _middle(levels: NDArray[np.integer]) -> Floats:
    """Of the bins of levels, over [-1, 1]."""
    return np.asarray((levels + 0.5) * (2 / LEVELS) - 1, np.float64)


def _bits(mixture: Mixture, value: Ints) -> Floats:
    """-log2 of the probabilities of levels, without the coder's rounding."""
    below = mixture.below(np.stack([value, value + 1], 1).astype(np.int32)).astype(np.float64)
    return np.asarray(SUM_BITS - np.log2(np.maximum(below[:, 1] - below[:, 0], 1)))


def _order(config: TiledConfig) -> Ints:
    """Place in an item, row by row, of its dimensions in the order in which they are sent: step by step, channel by
    channel, tile by tile.
    """
    (height, width, channels), (tall, wide) = config.shape, config.tile
    place = np.arange(height * width).reshape(height // tall, tall, width // wide, wide)
    pixel = place.transpose(0, 2, 1, 3).reshape(-1)  # of the tiles' pixels
    steps = [pixel[line.place] * channels + c for line in config.lines for c in CODING_ORDER]
    return np.concatenate(steps)
