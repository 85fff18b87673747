"""Compiled kernels of the masked convolutional network :mod:`bfncodec.networks.convnet.exact`.

Some pixels go through all layers together, so that their features stay in the processor's caches. All classes and
functions equal those of `exact` that they are named after, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from bfncodec.coding import tables
from bfncodec.coding.cdf import NIBBLE, Intervals
from bfncodec.coding.rangecoder import Codes, damaged
from bfncodec.networks.convnet.config import (
    CODING_ORDER,
    INPUT_TAPS,
    NEAREST,
    REACH,
)
from bfncodec.networks.convnet.distributions import (
    CONDITIONS,
    Components,
    Head,
    LineWork,
    Tables,
    Trunk,
    components_of,
    cumulative,
    describe,
    enter,
    head_work,
    high_rows,
    intervals,
    low_rows,
    read_line,
)
from bfncodec.networks.convnet.front import WORD, RevealedPixels, StepPixels, memory, parts_of
from bfncodec.networks.convnet.mixture import byte_edges, inverse_scales
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.kernels import COLUMNS, ProductKernel, aligned, aligned_copy, copy_row, fastest, store
from bfncodec.networks.products import Linear, add_norm, finish_norm, finish_rows, linear_of, multiply, rectify_norm
from bfncodec.networks.stored import LARGEST, LinearWeights
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import Flat, compiled, flat, inlined

TAPS = len(INPUT_TAPS)
FLAGS = 3 * REACH
MOST = np.int32(LARGEST)
WEST, NORTH, NORTH_EAST, NORTH_WEST = NEAREST


class PackedBlocks(NamedTuple):
    """The convolutions of all blocks or the layers after them: `Linear`s of one shape, behind each other."""

    panels: Array  # int8 [blocks, …], see `ProductKernel.pack`
    start: Ints32  # [blocks, P COLUMNS]
    scale: Floats32  # [blocks, out]
    bias: Floats32  # [blocks, out]
    fine: bool


class Weights(NamedTuple):
    """The layers of `ConvNetWeights` up to the trunk."""

    input: Linear
    convs: PackedBlocks
    outs: PackedBlocks
    trunk: Linear
    kinds: Ints  # number of each block's dilation


class Cells(NamedTuple):
    """The inference state: what is kept of the latest lines, see `exact.Front`."""

    words: Ints32  # values, a pixel's as one number [cells]
    distances: Ints  # from a pixel's cell to those that INPUT_TAPS read, [TAPS]
    features: Array  # int8 [blocks, cells, C]


class Positions(NamedTuple):
    """The cells of some pixels, see `exact.StepPixels`."""

    value_cell: Ints  # [n]
    cell: Ints  # [n]
    beside: Ints  # [m]
    near: Ints  # [dilations, n, 5]
    flags: Array  # int8 [n, FLAGS]


class Workspace(NamedTuple):
    """Buffers for the N pixels that the kernel has together; those without a dtype hold left factors of the kernel."""

    words: Ints32  # values of one pixel's neighbours
    near: Bytes  # the same as bytes, as many as fill whole registers
    wide: Ints32  # the simple prediction of a pixel, over and over [COLUMNS]
    h: Floats32  # residual stream, [N, C]
    inputs: Array  # [N, F']
    taps: Array  # [N, 5 C]
    hidden: Array  # [N, H]
    features: Array  # [N, C]
    unit: Floats32  # value of one unit of each row, [N]
    one: Floats32  # that of numbers that are multiplied by no scale, [N]
    sums: Ints32  # [N, the most columns]
    y: Floats32  # [N, the most columns]


class CompiledConvNet:
    """Weights packed for a kernel, None for the fastest of this processor."""

    reads = True

    def __init__(self, weights: ConvNetWeights, kernel: ProductKernel | None = None) -> None:
        self.config = config = weights.config
        self.kernel = kernel = kernel or fastest()
        kinds = np.array([config.kinds.index(config.dilation(i)) for i in range(config.blocks)], np.int64)
        convs, outs = (_packed_blocks(part, kernel) for part in (weights.convs, weights.outs))
        first, trunk = linear_of(weights.input, kernel), linear_of(weights.trunk, kernel)
        self.weights = Weights(first, convs, outs, trunk, kinds)
        self.own = weights.own
        own_tables = Tables(tables.exp2_table(), inverse_scales(), byte_edges(), tables.logistic_table())
        self.heads = [
            Head(linear_of(linear, kernel), part, own_tables)
            for linear, part in zip(weights.heads, [*weights.entering, np.zeros(0, np.float32)], strict=True)
        ]
        self.flat_weights, self.flat_heads = flat(self.weights), flat(tuple(self.heads))

    @property
    def memory(self) -> int:
        """Implements `PixelNetwork.memory`."""
        return memory(self.config)

    def start(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool = False,
        keep: bool = False,
        within: tuple[int, int] | None = None,
    ) -> CompiledConvNetState:
        """Implements `ExactConvNet.start`."""
        return CompiledConvNetState(self, sizes, block, single, keep, within)


def _packed_blocks(linears: Sequence[LinearWeights], kernel: ProductKernel) -> PackedBlocks:
    panels, start, scale, bias, fine = zip(*(linear_of(linear, kernel) for linear in linears), strict=True)
    return PackedBlocks(aligned_copy(np.stack(panels)), np.stack(start), np.stack(scale), np.stack(bias), fine[0])


class CompiledConvNetState(RevealedPixels):
    """The inference state, as `exact.ConvNetState` has it, for kernels."""

    def __init__(
        self,
        compiled: CompiledConvNet,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool,
        keep: bool = False,
        within: tuple[int, int] | None = None,
    ) -> None:
        config = compiled.config
        super().__init__(sizes, block, single, config.kinds, keep, parts_of(config, within))
        self.compiled = compiled
        self.cells = np.zeros((config.blocks, self.front.cells, config.width), np.int8)
        self.flat_cells = flat(Cells(self.values, self.inputs[:, 0], self.cells))
        self.flat_work = flat(_workspace(compiled.weights, config.width, compiled.kernel))
        self.reader = Reader(compiled)

    def shared_with(self, network: CompiledConvNet) -> CompiledConvNetState:
        """Implements `exact.ConvNetState.shared_with`."""
        other = copy(self)
        other.compiled = network
        return other

    def predict(self, pixels: StepPixels) -> CompiledPrediction:
        """Implements `exact.ConvNetState.predict`."""
        count, width = len(pixels.cell), self.compiled.config.width
        trunk = Trunk(np.empty((count, WORD), np.int16), np.empty((count, 3 * width), np.float32))
        positions = Positions(
            pixels.value_cell, pixels.cell, pixels.beside.reshape(-1), np.stack(pixels.near), pixels.flags
        )
        _advance(self.compiled.flat_weights, self.flat_cells, positions, self.flat_work, trunk)
        return CompiledPrediction(self.compiled, trunk, self.reader)


def _workspace(weights: Weights, width: int, kernel: ProductKernel) -> Workspace:
    layers, together = (weights.input, weights.convs, weights.outs, weights.trunk), kernel.together
    sizes = [layer.panels.size // layer.start.size for layer in layers]
    inputs, taps, hidden, features = (kernel.buffer(together, size) for size in sizes)
    columns = max(layer.start.shape[-1] for layer in layers)
    near = np.zeros(-(-TAPS * WORD // COLUMNS) * COLUMNS, np.uint8)
    return Workspace(
        words=near.view(np.int32),
        near=near,
        wide=np.zeros(COLUMNS, np.int32),
        h=np.zeros((together, width), np.float32),
        inputs=inputs,
        taps=taps,
        hidden=hidden,
        features=features,
        unit=np.zeros(together, np.float32),
        one=np.ones(together, np.float32),
        sums=aligned((together, columns), np.int32),
        y=np.zeros((together, columns), np.float32),
    )


class Reader:
    """Common parts of the predictions of a state: buffers for the heads, and codes that lines are read from."""

    def __init__(self, compiled: CompiledConvNet) -> None:
        self.work = flat(head_work(compiled.heads, compiled.config.width, compiled.kernel))
        self.codes: Flat | None = None

    def flat_codes(self, codes: Codes) -> Flat:
        """Return codes as kernels take them: mostly the same as before."""
        if self.codes is None or self.codes.value is not codes:
            self.codes = flat(codes)
        return self.codes


class CompiledPrediction:
    """p_O of some pixels, channel after channel, as `exact.Prediction` has it."""

    def __init__(self, compiled: CompiledConvNet, trunk: Trunk, reader: Reader) -> None:
        self.compiled, self.trunk, self.reader = compiled, trunk, reader
        # Differences to `base` of the channels that were conditioned on, then of the samples of all channels.
        self.errors = np.zeros((CONDITIONS + len(CODING_ORDER), len(trunk.hidden)), np.float32)

    def channel(self, k: int) -> CompiledMixture:
        """Implements `exact.Prediction.channel`."""
        config, head = self.compiled.config, self.compiled.heads[k]
        found = components_of(len(self.trunk.hidden), config.mixtures)
        base = self.trunk.base[:, CODING_ORDER[k]]
        describe(head, self.trunk.hidden, k, base, self._conditions(k), self.reader.work, found)
        return CompiledMixture(found, head.tables)

    def read_line(self, codes: Codes, counts: Ints, channels: Sequence[int]) -> Bytes:
        """Return the pixels of a line, uint8 [n, C], read from the codes of some images: what `channel`, `RangeDecoder`
        and `condition` do by turns, in one call.

        counts: pixels of each image; channels: in the order in which they are coded. Raises DamagedError for what no
        encoder writes.
        """
        own, count = self.compiled, len(self.trunk.hidden)
        found = components_of(count, own.config.mixtures)
        work = LineWork(self.errors[:CONDITIONS], found, np.array(channels, np.int64))
        line = np.empty((count, len(channels)), np.uint8)
        if not read_line(
            own.flat_heads, self.trunk, self.reader.flat_codes(codes), counts, self.reader.work, work, line
        ):
            raise damaged()
        return line

    def _conditions(self, k: int) -> Floats32:
        """Return the differences that the slopes of the k-th channel belong to, [slopes, n]."""
        return np.concatenate([self.errors[:k], self.errors[CONDITIONS:]])

    def condition_on_samples(self, value: Floats32) -> None:
        """Implements `exact.Prediction.condition_on_samples`."""
        own = self.errors[CONDITIONS:]
        own[:] = value - self.trunk.base[:, CODING_ORDER].T.astype(np.float32)
        for error, entering in zip(own, self.compiled.own, strict=True):
            enter(entering, error, self.trunk.hidden)

    def condition(self, k: int, value: Array) -> None:
        """Implements `exact.Prediction.condition`."""
        if k < CONDITIONS:
            width = self.compiled.config.width
            self.errors[k] = value.astype(np.float32) - self.trunk.base[:, CODING_ORDER[k]].astype(np.float32)
            enter(self.compiled.heads[k].entering, self.errors[k], self.trunk.hidden[:, (k + 1) * width :])


class CompiledMixture(NamedTuple):
    """Mixtures of logistics in integers, as `exact.Mixture` has them."""

    parts: Components
    tables: Tables

    def components(self) -> tuple[Ints32, Floats32, Floats32]:
        """Implements `exact.Mixture.components`."""
        return self.parts.weight.T, self.parts.mean.T, self.parts.inverse.T

    def with_components(self, weight: Ints32, mean: Floats32, inverse: Floats32) -> CompiledMixture:
        """Implements `exact.Mixture.with_components`."""
        flat = np.ascontiguousarray
        return CompiledMixture(Components(flat(weight.T), flat(mean.T), flat(inverse.T)), self.tables)

    def below(self, value: Ints32) -> Ints32:
        """Implements `exact.Mixture.below`, for int32 [N, B] alone."""
        found = np.empty_like(value)
        cumulative(self.parts, self.tables, value, found)
        return found

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Implements `exact.Mixture.intervals`."""
        found = np.empty((4, len(value)), np.int32)
        intervals(self.parts, self.tables, value, found)
        high, low = value >> 4, value & 15
        return Intervals(found[0], found[1], high), Intervals(found[2], found[3], low)

    def high(self) -> Floats32:
        """Implements `exact.Mixture.high`."""
        rows = np.empty((len(self.parts.mean), NIBBLE), np.float32)
        high_rows(self.parts, self.tables, rows)
        return rows

    def low(self, high: Ints32) -> Floats32:
        """Implements `exact.Mixture.low`."""
        rows = np.empty((len(self.parts.mean), NIBBLE), np.float32)
        low_rows(self.parts, self.tables, high, rows)
        return rows


# ---- the network --------------------------------------------------------------------------------


@compiled
def _advance(weights: Weights, cells: Cells, pixels: Positions, work: Workspace, out: Trunk) -> None:
    """`ConvNetState.predict`, some pixels after the other: each reads what those of earlier lines left in the cells."""
    for i in range(len(cells.features)):
        for b in pixels.beside:
            cells.features[i, b] = 0
    for start in range(0, len(pixels.cell), len(work.unit)):
        rows = min(len(work.unit), len(pixels.cell) - start)
        for n in range(rows):
            at = start + n
            _features(cells, pixels.value_cell[at], pixels.flags[at], work.inputs[n], out.base[at], work)
        multiply(work.inputs, weights.input, work.sums, rows)
        finish_norm(work.sums, work.one, weights.input, work.h, work.features, work.unit, rows)
        for i in range(len(cells.features)):
            near = pixels.near[weights.kinds[i]]
            _block(weights, i, cells.features[i], pixels.cell[start:], near[start:], rows, work)
        multiply(work.features, weights.trunk, work.sums, rows)
        finish_rows(work.sums, work.one, weights.trunk, out.hidden[start:], rows)


@compiled
def _features(cells: Cells, cell: int, flags: Array, x: Array, base: Array, work: Workspace) -> None:
    """`RevealedPixels.features` of one pixel: to x, a row of left factors, and base, int16 [WORD]."""
    distances, count, near, wide = cells.distances, len(cells.words), work.near, work.wide
    for t in range(TAPS):
        work.words[t] = cells.words[_around(cell + distances[t], count)]
    for c in range(WORD):
        west, north = np.int64(near[WEST * WORD + c]), np.int64(near[NORTH * WORD + c])
        east, corner = np.int64(near[NORTH_EAST * WORD + c]), np.int64(near[NORTH_WEST * WORD + c])
        base[c] = min(max((2 * (west + north) + east - corner + 2) >> 2, 0), 255)
    for c in range(COLUMNS):
        wide[c] = base[c % WORD]
    for start in range(0, len(near), COLUMNS):  # a register at a time
        for c in range(COLUMNS):
            store(min(max(np.int32(near[start + c]) - wide[c], -MOST), MOST), x, start + c)
    for c in range(WORD):
        store(base[c] - 128, x, TAPS * WORD + c)
    for i in range(FLAGS):
        store(flags[i], x, (TAPS + 1) * WORD + i)


@inlined
def _around(cell: Any, count: Any) -> Any:
    """Return cell % count: few are not below it, and divisions take long."""
    return cell if 0 <= cell < count else cell % count


@compiled
def _block(weights: Weights, i: int, features: Array, cell: Ints, near: Ints, rows: int, work: Workspace) -> None:
    """The i-th block: h of some pixels becomes h + out(relu(conv(features))), and its features those of the new h.

    features: the block's cells, int8 [cells, C]; cell, near: those of the pixels, [rows …] and [rows …, 5].
    """
    width, conv, last = features.shape[1], _layer(weights.convs, i), _layer(weights.outs, i)
    for n in range(rows):
        copy_row(work.features, n, features, cell[n], 0, width)
    for n in range(rows):
        for t in range(near.shape[1]):
            copy_row(features, near[n, t], work.taps, n, t * width, width)
    multiply(work.taps, conv, work.sums, rows)
    rectify_norm(work.sums, work.one, conv, work.y, work.hidden, work.unit, rows)
    multiply(work.hidden, last, work.sums, rows)
    add_norm(work.sums, work.unit, last, work.h, work.features, work.unit, rows)


@compiled
def _layer(blocks: PackedBlocks, i: int) -> Linear:
    return Linear(blocks.panels[i], blocks.start[i], blocks.scale[i], blocks.bias[i], blocks.fine)
