"""The integer implementation of :class:`bfncodec.networks.convnet.model.ConvNet`: line by line, every layer once per
pixel.

The network works on some lines of the wavefront at a time: one when decoding, many when encoding. What it still needs
of earlier lines, pixel values and the features of every layer, is kept in *cells*: one for each row of each image and
each of the last lines, which wrap around. A pixel's neighbours lie at fixed distances from its cell, so images of any
sizes go side by side, and memory does not grow with their width. Encoding and decoding run the same code on the same
integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.coding.cdf import SUM_BITS, Intervals, high_frequencies, low_frequencies, nibble_intervals
from bfncodec.flow.schedule import Wavefront
from bfncodec.networks.convnet.model import (
    BLOCK_TAPS,
    CODING_ORDER,
    INPUT_SCALE,
    INPUT_TAPS,
    LOG_SCALE_RANGE,
    MEAN_SCALE,
    OUTSIDE,
    REACH,
    ConvNetConfig,
)
from bfncodec.networks.exact import LARGEST, ExactLinear, Quantiser
from bfncodec.networks.storage import Shapes, linear_shapes
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32

MEAN_STEPS = 64  # fixed point of predicted means: units of 1/64 level
WEIGHT_TOTAL = 1 << (SUM_BITS - tables.LOGISTIC_BITS)  # mixture weights are integers that sum to this, 2^10
MEAN_LIMIT = 1 << 16
FAR = np.float32(1 << 40)  # beyond the ends of the table of the logistic distribution, at any scale
MOST_CELLS = 1 << 17  # cells of the lines a network sees at once, where that is more than one line
WORD = 4  # bytes of a pixel in its cell, so that it is read as one number: R, G, B and one without meaning
# west, north, north-east, north-west
NEAREST = tuple(INPUT_TAPS.index(t) for t in ((0, -1), (-1, 0), (-1, 1), (-1, -1)))
INPUT_LINES = 4 * REACH  # lines before and behind those at hand that `INPUT_TAPS` read and `reveal` writes
BLOCK_LINES = 3  # that `BLOCK_TAPS` look back, for a dilation of 1
_NEAR = np.arange(1, REACH + 1)


@dataclass(frozen=True)
class StepPixels:
    """The pixels that some steps reveal: step by step, in a step image by image, by increasing row. n of them.

    Attributes
    ----------
    counts
        Number of pixels, int64 [steps, images].
    line
        The step that reveals each pixel, int64 [n].
    place
        Number among the pixels of all images: image after image, row by row. int64 [n]
    ends
        True where a pixel is the first, the last of its row, bool [2, n].
    flags
        Distances to the borders (see `convnet.model.edge_flags`) times 127, int8 [n, 9].
    value_cell, cell
        Cells that keep the pixel's values, its features, int64 [n] each.
    beside
        Cells right of the images that convolutions read at these steps, and that are to hold zeros. int64 [steps, m]
    near
        Cells of the features that convolutions read, for every dilation, int64 [n, 5] each.
    """

    counts: Ints
    line: Ints
    place: Ints
    ends: NDArray[np.bool_]
    flags: Tensor
    value_cell: Ints
    cell: Ints
    beside: Ints
    near: tuple[Ints, ...]

    def line_by_line(self) -> Iterator[StepPixels]:
        """The pixels of each step on their own, for steps that have any."""
        start = 0
        for i, end in enumerate(self.counts.sum(1).cumsum().tolist()):
            if start < end:
                at = slice(start, end)
                yield StepPixels(
                    self.counts[i : i + 1],
                    self.line[at],
                    self.place[at],
                    self.ends[:, at],
                    self.flags[at],
                    self.value_cell[at],
                    self.cell[at],
                    self.beside[i : i + 1],
                    tuple(near[at] for near in self.near),
                )
            start = end


@dataclass(frozen=True)
class Lines:
    """The wavefronts of several images that go side by side: line i holds what step i reveals of each.

    width: of each image, int64 [images]; start: pixels of the images before, [images]; first: the row of the first
    pixel of each line, int64 [lines, images], and the height behind an image's last line; counts: the number of its
    pixels, [lines, images].
    """

    width: Ints
    start: Ints
    first: Ints
    counts: Ints

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]]) -> Lines:
        """The lines of images of these (height, width)."""
        schedules = {size: Wavefront(*size) for size in dict.fromkeys(sizes)}
        length = max(schedule.n_steps for schedule in schedules.values())
        first = np.tile(np.array([height for height, _ in schedules], np.int64), (length, 1))
        counts = np.zeros_like(first)
        for k, schedule in enumerate(schedules.values()):
            first[: schedule.n_steps, k], counts[: schedule.n_steps, k] = schedule.first_row, schedule.counts
        number = {size: k for k, size in enumerate(schedules)}
        column = [number[size] for size in sizes]
        area = np.array([height * width for height, width in sizes], np.int64)
        width = np.array([width for _, width in sizes], np.int64)
        return cls(width, np.cumsum(area) - area, first[:, column], counts[:, column])

    def ranges(self, block: int, most: int) -> list[tuple[int, int]]:
        """Ranges [first, last) of lines that hold about `block` pixels, of at most `most` lines or one."""
        ends = [0, *np.cumsum(self.counts.sum(1)).tolist()]
        found, first = [], 0
        for line in range(1, len(ends)):
            if line + 1 == len(ends) or line - first >= most or ends[line + 1] - ends[first] > block:
                if ends[line] > ends[first]:  # in an image one pixel wide every other line is empty
                    found.append((first, line))
                first = line
        return found


class Front:
    """The cells that the latest lines of images are kept in.

    A line has a cell for every row of every image, and the lines lie behind each other, the latest over the oldest::

        line (step)   cells of image 0        cells of image 1
                      ·  r0  r1  r2  ·        ·  r0  r1  ·       . . . . line i - 2
                      ·  r0  r1  r2  ·        ·  r0  r1  ·       . . . . line i - 1
                      ·  r0  r1  r2  ·        ·  r0  r1  ·       . . . . line i

    Pixel (r, c) is on line c + 2 r, see :class:`bfncodec.flow.schedule.Wavefront`. So the pixel to its left is in the
    cell above it in this table, the one above it one cell to the left and two lines up: each neighbour at a distance
    that is the same for all pixels of all images. Cells that are no row of an image (·) and those of pixels outside
    hold what convolutions are to read there.

    sizes: (height, width) of each image; block: pixels to be had at once; single: whether one line at a time is worked
    on, so that only those before need cells; dilations: of the convolutions; keep: the cells of all lines.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool,
        dilations: Sequence[int],
        keep: bool = False,
    ) -> None:
        self.lines, self.reach = Lines.of(sizes), max((REACH, *dilations))
        # Above each image there are rows that hold nothing; below it one that nobody reads, where `reveal` may write.
        height = np.array([height for height, _ in sizes], np.int64)
        ends = np.cumsum(height + self.reach + 1)
        self.rows, self.top = int(ends[-1]), ends - height - 1
        self.blocks = self.lines.ranges(block, MOST_CELLS // self.rows)
        every = len(self.lines.counts)
        together = every if keep else 1 if single else max(last - first for first, last in self.blocks)
        self.value_cells = (together + INPUT_LINES) * self.rows
        self.cells = (together + BLOCK_LINES * max(dilations, default=0)) * self.rows
        self.taps = [self.distances(BLOCK_TAPS, d) for d in dilations]

    def pixels(self, first: int, last: int) -> StepPixels:
        """The pixels of lines [first, last)."""
        counts, above = self.lines.counts[first:last], self.lines.first[first:last]
        lines = np.arange(first, last)[:, None]
        many = counts.reshape(-1)
        piece = np.repeat(np.arange(many.size), many)  # line and image of each pixel

        def own(of_piece: Ints) -> Ints:
            found: Ints = np.broadcast_to(of_piece, counts.shape).reshape(-1)[piece]
            return found

        row = np.arange(piece.size) + (above.reshape(-1) + many - many.cumsum())[piece]
        line, width = own(lines), own(self.lines.width)
        column = line - Wavefront.lag(1, 0) * row
        right = width - 1 - column
        flags = (np.stack([row, column, right], 1)[:, :, None] < _NEAR).reshape(-1, 3 * REACH)
        top = lines * self.rows % self.cells + self.top
        cell = own(top) + row
        return StepPixels(
            counts,
            line,
            place=own(self.lines.start) + row * width + column,
            ends=np.stack([column == 0, right == 0]),
            flags=torch.from_numpy(flags.astype(np.int8) * np.int8(LARGEST)),
            value_cell=own(lines * self.rows % self.value_cells + self.top) + row,
            cell=cell,
            beside=((top + above)[..., None] - np.arange(1, (self.reach + 1) // 2 + 1)).reshape(len(lines), -1),
            near=tuple((cell[:, None] + taps) % self.cells for taps in self.taps),
        )

    def distances(self, taps: Sequence[tuple[int, int]], dilation: int = 1) -> Ints:
        """Distances from a pixel's cell to those of its neighbours at (row, column) offsets, int64 [taps]; behind the
        last cell comes the first.
        """
        return np.array([(Wavefront.lag(row, column) * self.rows + row) * dilation for row, column in taps])


def stored_shapes(config: ConvNetConfig, slopes: int = 0) -> Shapes:
    """Names and shapes of the tensors a model of this shape is made of; slopes: that heads have besides."""
    width, hidden, fine = config.width, config.hidden, config.bits == 16
    shapes = linear_shapes("input", width, config.features, fine=True)
    shapes |= linear_shapes("trunk", 3 * width, width, fine=fine)
    for i in range(config.blocks):
        shapes |= linear_shapes(f"blocks.{i}.conv", hidden, len(BLOCK_TAPS) * width, fine=fine)
        shapes |= linear_shapes(f"blocks.{i}.out", width, hidden, fine=fine)
    for k in range(3):
        shapes |= linear_shapes(f"heads.{k}", config.outputs(k) + slopes, width, fine=True)
    return shapes | {"inside": (3, width)}


class ExactConvNet:
    """The network's integers on a device; any number of states share them."""

    def __init__(self, config: ConvNetConfig, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.config, self.device, self.quantise = config, device, Quantiser.on(device)
        unit = 1 / LARGEST

        def linear(name: str, scale: float = 1.0) -> ExactLinear:
            return ExactLinear.load(tensors, name, device, scale)

        words = {key: by_words(tensors[key]) for key in ("input.q", "input.r")}
        self.input = ExactLinear.load(tensors | words, "input", device, 1 / INPUT_SCALE)
        self.convs = [linear(f"blocks.{i}.conv", unit) for i in range(config.blocks)]
        self.outs = [linear(f"blocks.{i}.out") for i in range(config.blocks)]
        self.trunk = linear("trunk", unit)
        self.heads = [linear(f"heads.{k}") for k in range(3)]
        inside = tensors["inside"].to(device)
        # How the k-th coded channel enters those after it, which stand behind each other.
        self.entering = (inside[:2].reshape(-1), inside[2])
        # How samples of a pixel's channels enter all, [3, 3 C], where there are any.
        self.own = tensors["own"].to(device) if "own" in tensors else inside.new_zeros(0, 3 * config.width)

    def start(
        self, sizes: Sequence[tuple[int, int]], block: int, single: bool = False, keep: bool = False
    ) -> ConvNetState:
        """Return the state before the first pixel of images of these (height, width).

        block: pixels to be worked on at once, in whole lines; single: one line at a time, though places are computed
        for so many pixels at once; keep: the cells of all lines, so that any of them can be predicted again.
        """
        return ConvNetState(self, sizes, block, single, keep)


def by_words(weight: Tensor) -> Tensor:
    """Return the first matrix with its columns in the order of `RevealedPixels.features`, whose pixels are words of
    four bytes. int8 [out, F] -> int8 [out, F']
    """
    outputs, words = weight.shape[0], len(INPUT_TAPS) + 1  # the taps, and the simple prediction
    values = F.pad(weight[:, : 3 * words].reshape(outputs, words, 3), (0, WORD - 3))
    return torch.cat([values.reshape(outputs, -1), weight[:, 3 * words :]], 1)


def mixture(out: Floats32, base: Floats32, errors: Sequence[Floats32], mixtures: int) -> Mixture:
    """Integer mixture of logistics from the k-th head. out: float32 [3K + k, N]; base and each of the k errors:
    float32 [N].
    """
    k = mixtures
    logits, offset, log_scale, slopes = out[:k], out[k : 2 * k], out[2 * k : 3 * k], out[3 * k :]
    centre = base
    for slope, error in zip(slopes, errors, strict=True):
        centre = centre + slope * error
    mean = offset * np.float32(MEAN_SCALE)
    mean += centre
    mean *= np.float32(MEAN_STEPS)
    np.rint(mean, out=mean)
    np.maximum(mean, np.float32(-MEAN_LIMIT), out=mean)
    np.minimum(mean, np.float32(MEAN_LIMIT), out=mean)
    low, high = LOG_SCALE_RANGE
    level = np.minimum(log_scale, np.float32(high))
    level -= np.float32(low)
    level *= np.float32(tables.EXP2_STEPS)
    np.rint(level, out=level)
    # What is below the range counts as its lower end, too.
    return Mixture(mixture_weights(logits), mean, inverse_scales().take(level.astype(np.int64), mode="clip"))


@lru_cache(maxsize=1)
def inverse_scales() -> Floats32:
    """1/scale in table steps in 1/64 level, by the level of the scale: the table of exp2 holds 2^(20 - level/64) where
    1/scale is 2^(-low - level/64).
    """
    low, _ = LOG_SCALE_RANGE
    unit = np.float32(tables.LOGISTIC_STEPS / MEAN_STEPS * 2.0 ** (-low - tables.EXP2_BITS))
    return tables.exp2_table().astype(np.float32) * unit


def mixture_weights(logits: Floats32) -> Ints32:
    """Integers in proportion to exp(logits) that sum to WEIGHT_TOTAL. float32 [K, N] -> int32 [K, N]"""
    steps = np.maximum.reduce(logits) - logits
    steps *= np.float32(tables.LOG2_E * tables.EXP2_STEPS)
    np.rint(steps, out=steps)
    return in_proportion(tables.exp2_table().take(steps.astype(np.int64), mode="clip"))


def in_proportion(numbers: NDArray[np.integer]) -> Ints32:
    """Integers that sum to WEIGHT_TOTAL in proportion to others, which are not negative and sum to less than 2^36.
    [K, N] -> int32 [K, N]
    """
    share = np.add.accumulate(numbers, 0, dtype=np.float64)
    # The quotient of integers below 2^36 is never so close to the next integer that it is rounded to it.
    edge: Ints32 = (share * np.float64(WEIGHT_TOTAL) / share[-1]).astype(np.int32)
    edge[1:] -= edge[:-1].copy()
    return edge


@dataclass(frozen=True)
class Mixture:
    """Cumulative distribution of one channel in integers. weight: int32 [K, N], sums to 2^10; mean (1/64 levels) and
    inverse scale (table steps in 1/64 level): float32 [K, N].
    """

    weight: Ints32
    mean: Floats32
    inverse: Floats32

    def components(self) -> tuple[Ints32, Floats32, Floats32]:
        """Weights, means and inverse scales, [K, N] each."""
        return self.weight, self.mean, self.inverse

    def with_components(self, weight: Ints32, mean: Floats32, inverse: Floats32) -> Mixture:
        """Return a mixture of other components, of the same class. Shapes as of `components`."""
        return Mixture(weight, mean, inverse)

    def below(self, value: Ints32) -> Ints32:
        """2^30 P(x < value), monotone in value, see `cdf.Below`. value: int32 [N, B] or [1, B] in 0 … 256 -> int32
        [N, B]
        """
        table = tables.logistic_table()
        edge = byte_edges().take(value)  # [N, B]
        index = edge - self.mean[:, :, None]  # [K, N, B]
        index *= self.inverse[:, :, None]
        np.floor(index, out=index)
        index += np.float32((len(table) - 1) // 2)
        cumulative = table.take(index.astype(np.int64), mode="clip")
        cumulative *= self.weight[:, :, None]
        result: Ints32 = np.add.reduce(cumulative, 0, dtype=np.int32)
        return result

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Return the intervals of the high and of the low nibbles of bytes, int32 [N]."""
        return nibble_intervals(self.below, value)

    def high(self) -> Floats32:
        """Frequencies of the high nibbles, float32 [N, 16]."""
        return high_frequencies(self.below)

    def low(self, high: Ints32) -> Floats32:
        """Frequencies of the low nibbles behind these high ones, float32 [N, 16]."""
        return low_frequencies(self.below, high)


@lru_cache(maxsize=1)
def byte_edges() -> Floats32:
    """The lower edges of the values 0 … 256, in units of the mean: nothing is below 0, everything is below 256."""
    edges = np.arange(257, dtype=np.float32) * np.float32(MEAN_STEPS) - np.float32(MEAN_STEPS // 2)
    edges[0], edges[-1] = -FAR, FAR
    return edges


class RevealedPixels:
    """The values of some images that are revealed so far, in cells, and the inputs that a network has of them.

    sizes, block, single, dilations, keep: see `Front`.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool,
        dilations: Sequence[int] = (),
        keep: bool = False,
    ) -> None:
        self.single, self.front = single, Front(sizes, block, single, dilations, keep)
        self.values = np.full((self.front.value_cells, WORD), OUTSIDE, np.uint8).view(np.int32)[:, 0]
        self.inputs = self.front.distances(INPUT_TAPS)[:, None]

    def blocks(self) -> Iterator[StepPixels]:
        """All pixels, as many at a time as `start` was asked for, for `predict` and `reveal`."""
        for first, last in self.front.blocks:
            pixels = self.front.pixels(first, last)
            yield from pixels.line_by_line() if self.single else (pixels,)

    def reveal(self, pixels: StepPixels, values: Bytes) -> None:
        """Observe pixels: the receiver's update. values: uint8 [n, 3] RGB, or [n, 1] grey, which is three equal
        channels.

        With the pixels at their ends rows get their surroundings, see `convnet.model.pad_known`.
        """
        words = np.full((len(values), WORD), OUTSIDE, np.uint8)
        words[:, :3] = values
        word, rows = words.view(np.int32), self.front.rows
        self.values[pixels.value_cell] = word[:, 0]
        left_of_next, right = np.array([1 - rows, 1, 1 + rows]), np.array([rows, 2 * rows, 3 * rows])
        for ends, cells in zip(pixels.ends, (left_of_next, right), strict=True):
            end = ends.nonzero()[0]
            self.values[(pixels.value_cell[end, None] + cells) % self.front.value_cells] = word[end]

    def features(self, pixels: StepPixels, columns: int) -> tuple[Tensor, Tensor]:
        """Return features as `by_words` has them, int8 [n, columns], of which the last may be padding, and the simple
        prediction, int16 [n, 4], both on the CPU; see `convnet.model.features`.
        """
        found = self.values.take(pixels.value_cell + self.inputs, mode="wrap")  # [22, n]
        x = torch.from_numpy(found).view(torch.uint8).to(torch.int16)  # [22, 4 n]
        west, north, north_east, north_west = (x[i] for i in NEAREST)
        base = west.add(north).mul_(2).add_(north_east).sub_(north_west).add_(2).bitwise_right_shift_(2).clamp_(0, 255)
        taps = x.sub(base).clamp_(-LARGEST, LARGEST).to(torch.int8)
        rows = torch.zeros(found.shape[1], columns, dtype=torch.int8)
        words = rows.view(torch.int32)
        words[:, : len(INPUT_TAPS)] = taps.view(torch.int32).t()
        words[:, len(INPUT_TAPS)] = (base - 128).to(torch.int8).view(torch.int32)
        start = WORD * (len(INPUT_TAPS) + 1)
        rows[:, start : start + 3 * REACH] = pixels.flags
        return rows, base.view(-1, WORD)


class ConvNetState(RevealedPixels):
    """The inference state of some images: the values revealed so far and the features of every layer, in cells.

    It goes through the pixels once: `blocks`, and for each of them `predict` and `reveal`, in this order when decoding.
    """

    def __init__(
        self, network: ExactConvNet, sizes: Sequence[tuple[int, int]], block: int, single: bool, keep: bool = False
    ) -> None:
        config = network.config
        dilations = [config.dilation(i) for i in range(config.blocks)]
        kinds = sorted(set(dilations))
        super().__init__(sizes, block, single, kinds, keep)
        self.network = network
        # Outside the images there are zeros: where no pixel comes from the beginning, `beside` them again and again.
        shape = (config.blocks, self.front.cells, config.width)
        self.cells = torch.zeros(shape, dtype=torch.int8, device=network.device)
        self.layers = [(as_words(layer), kinds.index(d)) for layer, d in zip(self.cells, dilations, strict=True)]

    def shared_with(self, network: Any) -> Self:
        """Share this cache with another network of the same architecture and class: return the state through which that
        network predicts.
        """
        other = copy(self)
        other.network = network
        return other

    def predict(self, pixels: StepPixels) -> Prediction:
        """p_O of the pixels of one step given what was revealed, or of several steps that are all revealed."""
        network = self.network
        inputs, base = self.features(pixels, network.input.weight.shape[0])
        h = network.input(inputs.to(network.device))
        cell, beside, *near = (self._index(cells) for cells in (pixels.cell, pixels.beside, *pixels.near))
        for (layer, kind), conv, out in zip(self.layers, network.convs, network.outs, strict=True):
            layer.index_copy_(0, cell, as_words(network.quantise.max_norm(h)))
            layer.index_fill_(0, beside, 0)
            taps = layer.index_select(0, near[kind]).view(torch.int8).view(h.shape[0], -1)
            h += out(*network.quantise.positive(conv(taps).clamp_min_(0)))
        return Prediction(network, network.trunk(network.quantise.max_norm(h)), base)

    def _index(self, cells: Ints) -> Tensor:
        return torch.from_numpy(cells.reshape(-1)).to(self.network.device)


class Prediction:
    """p_O of some pixels, channel after channel: each channel needs the ones coded before it."""

    def __init__(self, network: ExactConvNet, trunk: Tensor, base: Tensor) -> None:
        self.network, self.trunk, self.width = network, trunk, network.config.width
        self.base: Floats32 = base.numpy().T.astype(np.float32)
        self.errors: list[Floats32] = []
        self.own: list[Floats32] = []

    def channel(self, k: int) -> Mixture:
        """Distribution of the k-th coded channel, once `condition` was called for those before it."""
        hidden = self.trunk[:, k * self.width : (k + 1) * self.width].clamp_min(0)
        out = self.network.heads[k](*self.network.quantise.positive(hidden)).t().contiguous().cpu().numpy()
        return mixture(out, self.base[CODING_ORDER[k]], [*self.errors, *self.own], self.network.config.mixtures)

    def condition_on_samples(self, value: Floats32) -> None:
        """Condition on noisy samples of the pixels themselves, in levels, channels in coding order: float32 [3, N]."""
        self.own = [own - self.base[c] for c, own in zip(CODING_ORDER, value, strict=True)]
        for error, entering in zip(self.own, self.network.own, strict=True):
            self.trunk += self._small(error) * entering

    def condition(self, k: int, value: Array) -> None:
        """Condition the channels after the k-th on its values, or on samples of them, [N]."""
        if k + 1 == len(CODING_ORDER):
            return
        error: Floats32 = value.astype(np.float32) - self.base[CODING_ORDER[k]]
        self.errors.append(error)
        self.trunk[:, (k + 1) * self.width :] += self._small(error) * self.network.entering[k]

    def _small(self, error: Floats32) -> Tensor:
        """Differences of pixel values as the network reads them, [N, 1]."""
        given = torch.from_numpy(error).to(self.network.device)
        return given.clamp(-LARGEST, LARGEST).div_(INPUT_SCALE).unsqueeze(1)


def as_words(rows: Tensor) -> Tensor:
    """A view of int8 [N, C] that is copied 8 bytes at a time, where C allows it."""
    return rows.view(torch.int64) if rows.shape[1] % 8 == 0 else rows
