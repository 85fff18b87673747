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
from bfncodec.coding.cdf import NIBBLE, SUM_BITS, Intervals
from bfncodec.coding.rangecoder import PRECISION, Codes, damaged, total
from bfncodec.networks.convnet.config import (
    CODING_ORDER,
    INPUT_SCALE,
    INPUT_TAPS,
    LOG_SCALE_RANGE,
    MEAN_SCALE,
    NEAREST,
    REACH,
)
from bfncodec.networks.convnet.front import WORD, RevealedPixels, StepPixels, memory, parts_of
from bfncodec.networks.convnet.mixture import MEAN_LIMIT, MEAN_STEPS, WEIGHT_TOTAL, byte_edges, inverse_scales
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.kernels import COLUMNS, ProductKernel, fastest, signed, store
from bfncodec.networks.products import MOST, Linear, finish, linear_of, most_of, multiply, quantise
from bfncodec.networks.protocol import Each
from bfncodec.networks.stored import LARGEST, LinearWeights
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import compiled

CONDITIONS = len(CODING_ORDER) - 1  # channels that others are conditioned on
TOGETHER = 24  # pixels that go through the network at once
LEAST_SHARED = 96  # pixels of a line that threads share: a turn of theirs takes as long as some dozens
TAPS = len(INPUT_TAPS)
FLAGS = 3 * REACH
WEST, NORTH, NORTH_EAST, NORTH_WEST = NEAREST
LEAST_LOG, MOST_LOG = (np.float32(end) for end in LOG_SCALE_RANGE)
OFFSET, FIXED, FAR_MEAN = np.float32(MEAN_SCALE), np.float32(MEAN_STEPS), np.float32(MEAN_LIMIT)
LOG_STEPS, STEPS = np.float32(tables.EXP2_STEPS), np.float32(tables.LOG2_E * tables.EXP2_STEPS)
SMALL = np.float32(INPUT_SCALE)
NONE = np.float32(0)
ONE = np.float32(1)
TOTAL = total(NIBBLE)


class PackedBlocks(NamedTuple):
    """The convolutions of all blocks or the layers after them: `Linear`s of one shape, behind each other."""

    panels: Array  # int8 [blocks, P, K / group, COLUMNS, group]
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


class Tables(NamedTuple):
    """The integer tables of mixtures of logistics."""

    exp2: Ints32
    inverse: Floats32  # `exact.inverse_scales`
    edges: Floats32  # `exact.byte_edges`
    logistic: Ints32


class Head(NamedTuple):
    """The last layers of one channel."""

    linear: Linear
    entering: Floats32  # weights with which the channel enters those after it, [C times their number]
    tables: Tables


class Cells(NamedTuple):
    """The inference state: what is kept of the latest lines, see `exact.Front`."""

    values: Bytes  # [cells, WORD]
    distances: Ints  # from a pixel's cell to those that INPUT_TAPS read, [TAPS]
    features: Array  # int8 [blocks, cells, C]


class Positions(NamedTuple):
    """The cells of some pixels, see `exact.StepPixels`."""

    value_cell: Ints  # [n]
    cell: Ints  # [n]
    beside: Ints  # [m]
    near: Ints  # [dilations, n, 5]
    flags: Array  # int8 [n, FLAGS]


class Trunk(NamedTuple):
    """The network's output before the heads, n pixels."""

    base: Array  # prediction by the plain causal predictor, int16 [n, WORD]
    hidden: Floats32  # hidden layers of the three channels, [n, 3 C]


class Workspace(NamedTuple):
    """Buffers for N = TOGETHER pixels; those without a dtype hold left factors of the kernel."""

    h: Floats32  # residual stream, [N, C]
    inputs: Array  # [N, F']
    taps: Array  # [N, 5 C]
    hidden: Array  # [N, H]
    features: Array  # [N, C]
    unit: Floats32  # value of one unit of each row, [N]
    sums: Ints32  # [N, the most columns]
    y: Floats32  # [the most columns]


class Components(NamedTuple):
    """Mixtures of K logistics, pixels before components: [n, K] each, see `exact.Mixture`."""

    weight: Ints32
    mean: Floats32
    inverse: Floats32


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
    return PackedBlocks(np.stack(panels), np.stack(start), np.stack(scale), np.stack(bias), fine[0])


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
        self.share(None, 1)

    def share(self, each: Each | None, parts: int, least: int = LEAST_SHARED) -> None:
        """Implements `SharedState.share`. least: pixels of a line that is shared."""
        own = self.compiled
        self.each, self.parts, self.least = each, parts, least
        self.workspaces = [_workspace(own.weights, own.config.width, own.kernel) for _ in range(parts)]

    def shared_with(self, network: CompiledConvNet) -> CompiledConvNetState:
        """Implements `exact.ConvNetState.shared_with`."""
        other = copy(self)
        other.compiled = network
        return other

    def predict(self, pixels: StepPixels) -> CompiledPrediction:
        """Implements `exact.ConvNetState.predict`."""
        count, width = len(pixels.cell), self.compiled.config.width
        trunk = Trunk(np.empty((count, WORD), np.int16), np.empty((count, 3 * width), np.float32))
        cells = Cells(self.values.view(np.uint8).reshape(-1, WORD), self.inputs[:, 0], self.cells)

        def advance(part: tuple[int, int, Workspace]) -> None:
            at = slice(part[0], part[1])
            near = np.stack([own[at] for own in pixels.near])
            beside = pixels.beside.reshape(-1)
            positions = Positions(pixels.value_cell[at], pixels.cell[at], beside, near, pixels.flags[at])
            _advance(self.compiled.weights, cells, positions, part[2], Trunk(trunk.base[at], trunk.hidden[at]))

        if self.each is None or count < self.least or not self.single:
            advance((0, count, self.workspaces[0]))
        else:  # the pixels of one line do not depend on each other
            edges = [count * k // self.parts for k in range(self.parts + 1)]
            self.each(advance, list(zip(edges, edges[1:], self.workspaces, strict=False)))
        return CompiledPrediction(self.compiled, trunk)


def _workspace(weights: Weights, width: int, kernel: ProductKernel) -> Workspace:
    layers = [layer.panels for layer in (weights.input, weights.convs, weights.outs, weights.trunk)]
    sizes = [kernel.group * panels.shape[-3] for panels in layers]
    inputs, taps, hidden, features = (kernel.buffer(TOGETHER, size) for size in sizes)
    columns = COLUMNS * max(panels.shape[-4] for panels in layers)
    return Workspace(
        h=np.zeros((TOGETHER, width), np.float32),
        inputs=inputs,
        taps=taps,
        hidden=hidden,
        features=features,
        unit=np.zeros(TOGETHER, np.float32),
        sums=np.zeros((TOGETHER, columns), np.int32),
        y=np.zeros(columns, np.float32),
    )


class CompiledPrediction:
    """p_O of some pixels, channel after channel, as `exact.Prediction` has it."""

    def __init__(self, compiled: CompiledConvNet, trunk: Trunk) -> None:
        self.compiled, self.trunk = compiled, trunk
        # Differences to `base` of the channels that were conditioned on, then of the samples of all channels.
        self.errors = np.zeros((CONDITIONS + len(CODING_ORDER), len(trunk.hidden)), np.float32)

    def channel(self, k: int) -> CompiledMixture:
        """Implements `exact.Prediction.channel`."""
        config, (count, columns) = self.compiled.config, self.trunk.hidden.shape
        found = _components_of(count, config.mixtures)
        head, buffer = self.compiled.heads[k], self.compiled.kernel.buffer(TOGETHER, columns // 3)
        base = self.trunk.base[:, CODING_ORDER[k]]
        _describe(head, self.trunk.hidden, k, base, self._conditions(k), buffer, found)
        return CompiledMixture(found, head.tables)

    def read_line(self, codes: Codes, counts: Ints, channels: Sequence[int]) -> Bytes:
        """Return the pixels of a line, uint8 [n, C], read from the codes of some images: what `channel`, `RangeDecoder`
        and `condition` do by turns, in one call.

        counts: pixels of each image; channels: in the order in which they are coded. Raises DamagedError for what no
        encoder writes.
        """
        from bfncodec.networks.convnet.reading import LineWork, read_line

        config, (count, columns) = self.compiled.config, self.trunk.hidden.shape
        buffer = self.compiled.kernel.buffer(TOGETHER, columns // 3)
        found = _components_of(count, config.mixtures)
        work = LineWork(self.errors[:CONDITIONS], buffer, found, np.array(channels, np.int64))
        line = np.empty((count, len(channels)), np.uint8)
        if not read_line(tuple(self.compiled.heads), self.trunk, codes, counts, work, line):
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
            _enter(entering, error, self.trunk.hidden)

    def condition(self, k: int, value: Array) -> None:
        """Implements `exact.Prediction.condition`."""
        if k < CONDITIONS:
            width = self.compiled.config.width
            self.errors[k] = value.astype(np.float32) - self.trunk.base[:, CODING_ORDER[k]].astype(np.float32)
            _enter(self.compiled.heads[k].entering, self.errors[k], self.trunk.hidden[:, (k + 1) * width :])


def _components_of(count: int, mixtures: int) -> Components:
    """Room for the mixtures of so many pixels."""
    mean, inverse = (np.empty((count, mixtures), np.float32) for _ in range(2))
    return Components(np.empty((count, mixtures), np.int32), mean, inverse)


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
        _cumulative(self.parts, self.tables, value, found)
        return found

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Implements `exact.Mixture.intervals`."""
        found = np.empty((4, len(value)), np.int32)
        _intervals(self.parts, self.tables, value, found)
        high, low = value >> 4, value & 15
        return Intervals(found[0], found[1], high), Intervals(found[2], found[3], low)

    def high(self) -> Floats32:
        """Implements `exact.Mixture.high`."""
        rows = np.empty((len(self.parts.mean), NIBBLE), np.float32)
        _high(self.parts, self.tables, rows)
        return rows

    def low(self, high: Ints32) -> Floats32:
        """Implements `exact.Mixture.low`."""
        rows = np.empty((len(self.parts.mean), NIBBLE), np.float32)
        _low(self.parts, self.tables, high, rows)
        return rows


# ---- the network --------------------------------------------------------------------------------


@compiled
def _advance(weights: Weights, cells: Cells, pixels: Positions, work: Workspace, out: Trunk) -> None:
    """`ConvNetState.predict`, some pixels after the other: each reads what those of earlier lines left in the cells."""
    for i in range(len(cells.features)):
        for b in pixels.beside:
            cells.features[i, b] = 0
    for start in range(0, len(pixels.cell), TOGETHER):
        rows = min(TOGETHER, len(pixels.cell) - start)
        for n in range(rows):
            _features(cells, pixels.value_cell[start + n], pixels.flags[start + n], work.inputs[n], out.base[start + n])
        multiply(work.inputs, weights.input, work.sums, rows)
        for n in range(rows):
            finish(work.sums[n], ONE, weights.input, work.h[n])
        for i in range(len(cells.features)):
            near = pixels.near[weights.kinds[i]]
            _block(weights, i, cells.features[i], pixels.cell[start:], near[start:], rows, work)
        for n in range(rows):
            quantise(work.h[n], work.features[n])
        multiply(work.features, weights.trunk, work.sums, rows)
        for n in range(rows):
            finish(work.sums[n], ONE, weights.trunk, out.hidden[start + n])


@compiled
def _features(cells: Cells, cell: int, flags: Array, x: Array, base: Array) -> None:
    """`RevealedPixels.features` of one pixel: to x, a row of left factors, and base, int16 [WORD]."""
    values, distances, count = cells.values, cells.distances, len(cells.values)
    for c in range(WORD):
        west = np.int64(values[(cell + distances[WEST]) % count, c])
        north = np.int64(values[(cell + distances[NORTH]) % count, c])
        east = np.int64(values[(cell + distances[NORTH_EAST]) % count, c])
        corner = np.int64(values[(cell + distances[NORTH_WEST]) % count, c])
        base[c] = min(max((2 * (west + north) + east - corner + 2) >> 2, 0), 255)
        store(base[c] - 128, x, TAPS * WORD + c)
    for t in range(TAPS):
        near = values[(cell + distances[t]) % count]
        for c in range(WORD):
            store(min(max(np.int64(near[c]) - base[c], -LARGEST), LARGEST), x, t * WORD + c)
    for i in range(FLAGS):
        store(flags[i], x, (TAPS + 1) * WORD + i)


@compiled
def _block(weights: Weights, i: int, features: Array, cell: Ints, near: Ints, rows: int, work: Workspace) -> None:
    """The i-th block: h of some pixels becomes h + out(relu(conv(features))).

    features: the block's cells, int8 [cells, C]; cell, near: those of the pixels, [rows …] and [rows …, 5].
    """
    width, conv, last = features.shape[1], _layer(weights.convs, i), _layer(weights.outs, i)
    for n in range(rows):
        quantise(work.h[n], work.features[n])
        own = features[cell[n]]
        for c in range(width):
            own[c] = signed(work.features[n, c])
    for n in range(rows):
        for t in range(near.shape[1]):
            found, taps = features[near[n, t]], work.taps[n, t * width : (t + 1) * width]
            for c in range(width):
                store(found[c], taps, c)
    multiply(work.taps, conv, work.sums, rows)
    hidden = work.y[: len(conv.scale)]
    for n in range(rows):
        finish(work.sums[n], ONE, conv, hidden)
        for c in range(len(hidden)):
            hidden[c] = max(hidden[c], NONE)
        work.unit[n] = quantise(hidden, work.hidden[n])
    multiply(work.hidden, last, work.sums, rows)
    for n in range(rows):
        finish(work.sums[n], work.unit[n], last, work.y)
        for c in range(width):
            work.h[n, c] += work.y[c]


@compiled
def _layer(blocks: PackedBlocks, i: int) -> Linear:
    return Linear(blocks.panels[i], blocks.start[i], blocks.scale[i], blocks.bias[i], blocks.fine)


# ---- distributions ------------------------------------------------------------------------------


@compiled
def _describe(
    head: Head, trunk: Floats32, k: int, base: Array, errors: Floats32, buffer: Array, found: Components
) -> None:
    """`Prediction.channel` of the k-th channel. trunk: [n, 3 C]; base: [n]; errors, one line for each slope: [slopes,
    n]; buffer: left factors, [TOGETHER, C]; the mixtures go to `found`.
    """
    count, width, mixtures = len(trunk), trunk.shape[1] // 3, found.weight.shape[1]
    hidden, out = np.empty(width, np.float32), np.empty(len(head.linear.scale), np.float32)
    sums = np.empty((TOGETHER, COLUMNS * len(head.linear.panels)), np.int32)
    unit = np.empty(TOGETHER, np.float32)
    for start in range(0, count, TOGETHER):
        rows = min(TOGETHER, count - start)
        for n in range(rows):
            for c in range(width):
                hidden[c] = max(trunk[start + n, k * width + c], NONE)
            unit[n] = quantise(hidden, buffer[n])
        multiply(buffer, head.linear, sums, rows)
        for n in range(rows):
            at = start + n
            finish(sums[n], unit[n], head.linear, out)
            centre = np.float32(base[at])
            for j in range(len(out) - 3 * mixtures):
                centre += out[3 * mixtures + j] * errors[j, at]
            _components(out, centre, head.tables, found.mean[at], found.inverse[at])
            _weights(out[:mixtures], head.tables.exp2, found.weight[at])


@compiled
def _components(out: Floats32, centre: Any, tables: Tables, mean: Floats32, inverse: Floats32) -> None:
    """`exact.mixture` of one pixel: means and inverse scales of its K components. out: what a head gives."""
    mixtures = len(mean)
    for m in range(mixtures):
        value = np.rint((out[mixtures + m] * OFFSET + centre) * FIXED)
        mean[m] = min(max(value, -FAR_MEAN), FAR_MEAN)
        level = np.rint((min(out[2 * mixtures + m], MOST_LOG) - LEAST_LOG) * LOG_STEPS)
        inverse[m] = _entry(tables.inverse, level)


@compiled
def _entry(table: Array, index: Any) -> Any:
    """Return the entry at a whole number that is a float, or at the nearer end of the table."""
    place: Any = min(max(np.int64(index), 0), len(table) - 1)
    return table[place]


@compiled
def _weights(logits: Floats32, exp2: Ints32, weight: Ints32) -> None:
    """`exact.mixture_weights` of one pixel, [K]."""
    most, total = most_of(logits), np.int64(0)
    for m in range(len(logits)):
        total += _entry(exp2, np.rint((most - logits[m]) * STEPS))
        weight[m] = 0
    whole, share, before = np.float64(total), np.int64(0), np.int64(0)
    for m in range(len(logits)):
        share += _entry(exp2, np.rint((most - logits[m]) * STEPS))
        edge = np.int64(np.float64(share) * np.float64(WEIGHT_TOTAL) / whole)
        weight[m] = edge - before
        before = edge


@compiled
def _enter(entering: Floats32, error: Floats32, hidden: Floats32) -> None:
    """`Prediction.condition`: hidden += small(error) entering. entering: [C']; error: [n]; hidden: [n, C']"""
    for n in range(len(error)):
        small = min(max(error[n], -MOST), MOST) / SMALL
        for c in range(len(entering)):
            hidden[n, c] += small * entering[c]


@compiled
def _below(parts: Components, n: int, tables: Tables, value: Any) -> Any:
    """`Mixture.below` of one value for the n-th pixel."""
    half, found = np.float32(len(tables.logistic) // 2), np.int64(0)
    for m in range(parts.mean.shape[1]):
        index = np.floor((tables.edges[value] - parts.mean[n, m]) * parts.inverse[n, m]) + half
        found += np.int64(_entry(tables.logistic, index)) * parts.weight[n, m]
    return found


@compiled
def _cumulative(parts: Components, tables: Tables, value: Ints32, found: Ints32) -> None:
    """`Mixture.below`. value, found: [n, B]"""
    for n in range(len(value)):
        for b in range(value.shape[1]):
            found[n, b] = _below(parts, n, tables, value[n, b])


@compiled
def _coarse(c: Any) -> Any:
    """`cdf._coarse` of one value."""
    c >>= SUM_BITS - PRECISION
    return c - (c >> (PRECISION - 4))


@compiled
def _fine(c: Any, width: Any, step: Any) -> Any:
    """`cdf._fine` of one value, and total(16) at step 16."""
    if step == NIBBLE:
        return TOTAL
    return np.int64(np.float64(c + step) * (np.float64(TOTAL) / np.float64(width + NIBBLE)))


@compiled
def _intervals(parts: Components, tables: Tables, value: Ints32, found: Ints32) -> None:
    """`cdf.nibble_intervals`: below and frequency of high nibbles, then of low ones, to found, [4, n]. value: [n]"""
    for n in range(len(value)):
        v = np.int64(value[n])
        start, low = v // NIBBLE * NIBBLE, v % NIBBLE
        first, end = _below(parts, n, tables, start), _below(parts, n, tables, start + NIBBLE)
        found[0, n] = _coarse(first)
        found[1, n] = _coarse(end) - found[0, n]
        below = _fine(_below(parts, n, tables, v) - first, end - first, low)
        above = _fine(_below(parts, n, tables, v + 1) - first, end - first, low + 1)
        found[2, n] = below
        found[3, n] = above - below


@compiled
def _high(parts: Components, tables: Tables, rows: Floats32) -> None:
    """`cdf.high_frequencies`, to rows, [n, 16]."""
    for n in range(len(rows)):
        before = np.int64(0)
        for high in range(NIBBLE):
            edge = _coarse(_below(parts, n, tables, (high + 1) * NIBBLE))
            rows[n, high] = edge - before
            before = edge


@compiled
def _low(parts: Components, tables: Tables, highs: Ints32, rows: Floats32) -> None:
    """`cdf.low_frequencies` given the high nibbles [n], to rows, [n, 16]."""
    for n in range(len(rows)):
        start = np.int64(highs[n]) * NIBBLE
        first = _below(parts, n, tables, start)
        width = _below(parts, n, tables, start + NIBBLE) - first
        before = np.int64(0)
        for low in range(NIBBLE):
            edge = np.int64(TOTAL)
            if low + 1 < NIBBLE:
                edge = _fine(_below(parts, n, tables, start + low + 1) - first, width, low + 1)
            rows[n, low] = edge - before
            before = edge
