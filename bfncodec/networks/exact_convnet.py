"""The integer twin of :class:`bfncodec.networks.convnet.ConvNet`: line by line, every layer once per pixel.

Pixels are numbered by *rank*, their place in the wavefront order. The network works on a range of ranks at a time:
one line when decoding, many lines when encoding. Earlier features are kept in rings just long enough for the three
lines the convolutions look back, so memory does not grow with the image. Encoding and decoding run the same code on
the same integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.coding.cdf import SUM_BITS
from bfncodec.flow.schedule import Wavefront
from bfncodec.networks import tables
from bfncodec.networks.convnet import (
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
from bfncodec.networks.exact import LARGEST, ExactLinear, quantise_max_norm, quantise_rows
from bfncodec.networks.stored import Shapes, linear_shapes

MEAN_STEPS = 64  # fixed point of predicted means: units of 1/64 level
WEIGHT_TOTAL = 1 << (SUM_BITS - tables.LOGISTIC_BITS)  # mixture weights are integers that sum to this, 2^10
MEAN_LIMIT = 1 << 16
# west, north, north-east, north-west
NEAREST = tuple(INPUT_TAPS.index(t) for t in ((0, -1), (-1, 0), (-1, 1), (-1, -1)))
ENTERING = (((1, 0), (2, 1)), ((2, 2),), ())  # for each coded channel: (channel it enters, row of `inside`)
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Geometry:
    """Where each pixel of an H x W image finds its neighbours, by rank. All arrays are read-only."""

    height: int
    width: int
    order: NDArray[np.int64]  # [N] rank -> flat pixel index
    offsets: NDArray[np.int64]  # [n + 1] first rank of each line
    inputs: NDArray[np.int32]  # [N, 22] ranks of INPUT_TAPS; N stands for the grey above the image
    flags: NDArray[np.int8]  # [N, 9] border flags times 127

    @property
    def longest(self) -> int:
        return int(np.diff(self.offsets).max())


@lru_cache(maxsize=4)
def geometry(height: int, width: int) -> Geometry:
    """The geometry of images of one size."""
    schedule = Wavefront(height, width)
    order = schedule.order
    rank = _ranks(schedule)
    r, c = np.divmod(order, width)
    distances = (r, c, width - 1 - c)
    flags = np.stack([(d < k) for d in distances for k in range(1, REACH + 1)], 1).astype(np.int8) * LARGEST
    inputs = np.stack([_known(rank, r + dr, c + dc) for dr, dc in INPUT_TAPS], 1)
    return Geometry(height, width, order, schedule.offsets, inputs, flags)


@lru_cache(maxsize=8)
def block_taps(height: int, width: int, dilation: int) -> NDArray[np.int32]:
    """Ranks of the five taps of a block's convolution, int32 [N, 5], read-only; -1 outside the image."""
    schedule = Wavefront(height, width)
    rank = _ranks(schedule)
    r, c = np.divmod(schedule.order, width)
    return np.stack([_inside(rank, r + dilation * dr, c + dilation * dc) for dr, dc in BLOCK_TAPS], 1)


def _ranks(schedule: Wavefront) -> NDArray[np.int32]:
    """[H, W]"""
    rank: NDArray[np.int32] = np.empty(schedule.dims, np.int32)
    rank[schedule.order] = np.arange(schedule.dims, dtype=np.int32)
    return rank.reshape(schedule.height, schedule.width)


def _known(rank: NDArray[np.int32], r: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.int32]:
    """The pixel that stands for (r, c), as `convnet.pad_known` has it."""
    height, width = rank.shape
    r = np.where(c < 0, r - 1, r)
    return np.where(r < 0, height * width, rank[np.maximum(r, 0), np.clip(c, 0, width - 1)]).astype(np.int32)


def _inside(rank: NDArray[np.int32], r: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.int32]:
    _, width = rank.shape
    outside = (r < 0) | (c < 0) | (c >= width)
    return np.where(outside, -1, rank[np.maximum(r, 0), np.clip(c, 0, width - 1)]).astype(np.int32)


def stored_shapes(config: ConvNetConfig) -> Shapes:
    """Names and shapes of the tensors a model of this shape is made of."""
    width, hidden = config.width, config.hidden
    shapes = linear_shapes("input", width, config.features, fine=True) | linear_shapes("trunk", 3 * width, width)
    for i in range(config.blocks):
        shapes |= linear_shapes(f"blocks.{i}.conv", hidden, len(BLOCK_TAPS) * width) | linear_shapes(
            f"blocks.{i}.out", width, hidden
        )
    for k in range(3):
        shapes |= linear_shapes(f"heads.{k}", config.outputs(k), width, fine=True)
    return shapes | {"inside": (3, width)}


class ExactConvNet:
    """Weights on a device; shared by any number of `Pass`es."""

    def __init__(self, config: ConvNetConfig, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.config, self.device = config, device
        unit = 1 / LARGEST

        def linear(name: str, scale: float = 1.0) -> ExactLinear:
            return ExactLinear.load(tensors, name, device, scale)

        self.input = linear("input", 1 / INPUT_SCALE)
        self.convs = [linear(f"blocks.{i}.conv", unit) for i in range(config.blocks)]
        self.outs = [linear(f"blocks.{i}.out") for i in range(config.blocks)]
        self.trunk = linear("trunk", unit)
        self.heads = [linear(f"heads.{k}") for k in range(3)]
        self.inside = tensors["inside"].to(device)

    def start(self, height: int, width: int, count: int, block: int) -> Pass:
        """A pass over `count` images of one size, one line at a time or as many lines as hold `block` ranks."""
        return Pass(self, geometry(height, width), count, block)


def mixture(out: Floats, base: Floats, errors: Sequence[Floats], mixtures: int) -> Mixture:
    """Integer mixture of logistics from the k-th head. out: float32 [3K + k, N]; base and each of the k errors:
    float32 [N].
    """
    k = mixtures
    logits, offset, log_scale, slopes = out[:k], out[k : 2 * k], out[2 * k : 3 * k], out[3 * k :]
    exp2, weight = tables.exp2_table(), mixture_weights(logits)
    centre = base
    for slope, error in zip(slopes, errors, strict=True):
        centre = centre + slope * error
    mean = np.rint((offset * np.float32(MEAN_SCALE) + centre) * np.float32(MEAN_STEPS)).clip(-MEAN_LIMIT, MEAN_LIMIT)
    low, high = LOG_SCALE_RANGE
    level = np.rint((log_scale.clip(low, high) - np.float32(low)) * np.float32(tables.EXP2_STEPS)).astype(np.int64)
    # The table holds 2^(20 - level/64) where 1/scale is 2^(-low - level/64); distances come in 1/64 levels.
    unit = np.float32(tables.LOGISTIC_STEPS / MEAN_STEPS * 2.0 ** (-low - tables.EXP2_BITS))
    return Mixture(weight, mean, exp2.take(level).astype(np.float32) * unit)


def mixture_weights(logits: Floats) -> NDArray[np.int32]:
    """Integers in proportion to exp(logits) that sum to WEIGHT_TOTAL. float32 [K, N] -> int32 [K, N]"""
    steps = np.rint((logits.max(0) - logits) * np.float32(tables.LOG2_E * tables.EXP2_STEPS))
    share = tables.exp2_table().take(steps.astype(np.int64), mode="clip").cumsum(0, dtype=np.int64)
    weight: NDArray[np.int32] = (share * WEIGHT_TOTAL // share[-1]).astype(np.int32)
    weight[1:] -= weight[:-1].copy()
    return weight


@dataclass(frozen=True)
class Mixture:
    """Cumulative distribution of one channel in integers. weight: int32 [K, N], sums to 2^10; mean (1/64 levels) and
    inverse scale (table steps in 1/64 level): float32 [K, N].
    """

    weight: NDArray[np.int32]
    mean: Floats
    inverse: Floats

    def below(self, value: NDArray[np.int32]) -> NDArray[np.int32]:
        """2^30 P(x < value), monotone in value. value: int32 [N, B] or [1, B] in 1 … 255 -> int32 [N, B]"""
        table = tables.logistic_table()
        edge = value.astype(np.float32) * np.float32(MEAN_STEPS) - np.float32(MEAN_STEPS // 2)  # [N, B]
        index = edge - self.mean[:, :, None]  # [K, N, B]
        index *= self.inverse[:, :, None]
        np.floor(index, out=index)
        index += np.float32((len(table) - 1) // 2)
        cumulative = table.take(index.astype(np.int64), mode="clip")
        cumulative *= self.weight[:, :, None]
        result: NDArray[np.int32] = cumulative.sum(0, dtype=np.int32)
        return result


class Ring:
    """The features of one layer, kept as long as the taps of one dilation look back. The row behind the last holds
    zeros, for what lies outside the image.
    """

    def __init__(self, taps: NDArray[np.int32], size: int, count: int, width: int, device: torch.device) -> None:
        self.size = size
        self.rows = torch.zeros(count, size + 1, width, dtype=torch.int8, device=device)
        self.taps = torch.from_numpy(np.where(taps < 0, size, taps % size).astype(np.int32)).to(device)
        self.start = torch.arange(count, dtype=torch.int32, device=device).view(-1, 1, 1) * (size + 1)

    def store(self, first: int, rows: Tensor) -> None:
        """Write the features of ranks first …, in two pieces where they run over the end. rows: int8 [T n, C]"""
        rows = rows.view(len(self.rows), -1, rows.shape[1])
        start = first % self.size
        fit = min(rows.shape[1], self.size - start)
        self.rows[:, start : start + fit] = rows[:, :fit]
        if fit < rows.shape[1]:
            self.rows[:, : rows.shape[1] - fit] = rows[:, fit:]

    def neighbours(self, first: int, last: int) -> Tensor:
        """What the taps of ranks [first, last) find, side by side: int8 [T n, 5 C]."""
        return gather_rows(self.rows.view(-1, self.rows.shape[2]), (self.start + self.taps[first:last]).view(-1))


class Pass:
    """One pass over images of one size, in rank order. Holds the values known so far and the rings of features."""

    def __init__(self, network: ExactConvNet, geo: Geometry, count: int, block: int) -> None:
        self.network, self.geometry, self.count = network, geo, count
        self.rings = [self._ring(network.config.dilation(i), block) for i in range(network.config.blocks)]
        # Four bytes a pixel, the last unused, so that a pixel is read as one word.
        shape = (count, len(geo.order) + 1, 4)
        self.pixels = torch.full(shape, OUTSIDE, dtype=torch.uint8, device=network.device)
        self.inputs = torch.from_numpy(geo.inputs).to(network.device)
        self.flags = torch.from_numpy(geo.flags).to(network.device)

    def _ring(self, dilation: int, block: int) -> Ring:
        """The tap farthest back is BLOCK_TAPS[0], three lines for each unit of the dilation."""
        geo, network = self.geometry, self.network
        size = min(len(geo.order), max(block, geo.longest) + 3 * dilation * geo.longest)
        taps = block_taps(geo.height, geo.width, dilation)
        return Ring(taps, size, self.count, network.config.width, network.device)

    def reveal(self, first: int, values: Tensor) -> None:
        """The receiver's update: pixels of ranks first … are now known. values: int32 [T, n, 3] RGB, or [T, n, 1] grey,
        which is three equal channels.
        """
        self.pixels[:, first : first + values.shape[1], :3] = values

    def predict(self, first: int, last: int) -> Prediction:
        """p_O of the pixels of ranks [first, last), which may depend on each other only through what `reveal` was
        told.
        """
        network = self.network
        inputs, base = self._inputs(first, last)
        h = network.input(inputs)
        for conv, out, ring in zip(network.convs, network.outs, self.rings, strict=True):
            ring.store(first, quantise_max_norm(h))
            h += out(*quantise_rows(conv(ring.neighbours(first, last)).clamp_min_(0)))
        return Prediction(network, network.trunk(quantise_max_norm(h)), base)

    def _inputs(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Integer features int8 [T n, F], padded, and simple prediction int16 [T n, 3] (see `convnet.features`)."""
        index = self.inputs[first:last].reshape(-1)
        found = self.pixels.view(torch.int32).squeeze(2).index_select(1, index).view(-1, len(INPUT_TAPS), 1)
        x = found.view(torch.uint8)[..., :3].to(torch.int16)  # [T n, 22, 3]
        west, north, north_east, north_west = (x[:, i] for i in NEAREST)
        base = (((west + north) * 2 + north_east - north_west + 2) >> 2).clamp_(0, 255)
        differences, level, flags = 3 * len(INPUT_TAPS), 3, self.flags.shape[1]
        rows = x.new_zeros(len(x), self.network.input.weight.shape[0], dtype=torch.int8)
        rows[:, :differences] = (x - base.unsqueeze(1)).clamp_(-LARGEST, LARGEST).view(len(x), -1)
        rows[:, differences : differences + level] = base - 128
        start = differences + level
        rows.view(self.count, last - first, -1)[:, :, start : start + flags] = self.flags[first:last]
        return rows, base


class Prediction:
    """p_O of some pixels, channel after channel: each channel needs the ones coded before it."""

    def __init__(self, network: ExactConvNet, trunk: Tensor, base: Tensor) -> None:
        self.network = network
        self.hidden = list(trunk.chunk(3, 1))
        self.base: Floats = base.t().float().cpu().numpy()
        self.errors: list[Floats] = []

    def channel(self, k: int) -> Mixture:
        """Distribution of the k-th coded channel, after k calls of `tell`."""
        out = self.network.heads[k](*quantise_rows(self.hidden[k].clamp_min_(0)))
        return mixture(
            out.t().contiguous().cpu().numpy(), self.base[CODING_ORDER[k]], self.errors, self.network.config.mixtures
        )

    def tell(self, k: int, value: NDArray[np.int32]) -> None:
        """The k-th coded channel is now known. value: int32 [N]"""
        error = value.astype(np.float32) - self.base[CODING_ORDER[k]]
        self.errors.append(error)
        small = torch.from_numpy((error.clip(-LARGEST, LARGEST) / np.float32(INPUT_SCALE))[:, None]).to(
            self.network.device
        )
        for channel, row in ENTERING[k]:
            self.hidden[channel] = self.hidden[channel] + small * self.network.inside[row]


def gather_rows(rows: Tensor, index: Tensor) -> Tensor:
    """The five taps of each position side by side. rows: int8 [M, C]; index: [N 5] -> int8 [N, 5 C]. Copies 8 bytes
    at a time.
    """
    wide = rows.view(torch.int64) if rows.shape[1] % 8 == 0 else rows
    return wide.index_select(0, index).view(torch.int8).view(-1, len(BLOCK_TAPS) * rows.shape[1])
