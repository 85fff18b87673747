"""The loops of :mod:`bfncodec.networks.convnet.exact`.

Some pixels go through the whole network together, so that what they make stays in the processor's caches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.coding.cdf import NIBBLE, SUM_BITS, Intervals
from bfncodec.coding.rangecoder import PRECISION, total
from bfncodec.networks.convnet.exact import (
    MEAN_LIMIT,
    MEAN_STEPS,
    NEAREST,
    WEIGHT_TOTAL,
    WORD,
    ConvNetState,
    ExactConvNet,
    Floats,
    Longs,
    StepPixels,
    _edges,
    _inverse_table,
)
from bfncodec.networks.convnet.model import (
    CODING_ORDER,
    INPUT_SCALE,
    INPUT_TAPS,
    LOG_SCALE_RANGE,
    MEAN_SCALE,
    REACH,
)
from bfncodec.networks.exact import LARGEST
from bfncodec.networks.kernels import COLUMNS, Kernel, fastest, signed, store
from bfncodec.networks.products import (
    MOST,
    Linear,
    finish,
    linear_of,
    most_of,
    multiply,
    quantise,
)
from bfncodec.runtime.jit import compiled

TOLD = len(CODING_ORDER) - 1  # channels that others are told
TOGETHER = 24  # pixels that go through the network at once
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
Ints = NDArray[np.int32]


class PackedBlocks(NamedTuple):
    """The blocks' convolutions or the layers after them: `Linear`s of one shape, behind each other."""

    panels: NDArray[np.int8]  # [blocks, panels, K / group, COLUMNS, group]
    start: Ints  # [blocks, panels COLUMNS]
    scale: Floats  # [blocks, out]
    bias: Floats  # [blocks, out]
    fine: bool


class Weights(NamedTuple):
    """An `ExactConvNet`."""

    input: Linear
    convs: PackedBlocks
    outs: PackedBlocks
    trunk: Linear
    kinds: Longs  # which of the dilations each block has


class Tables(NamedTuple):
    """Implements `exact_convnet.mixture`."""

    exp2: Ints
    inverse: Floats
    edges: Floats
    logistic: Ints


class Head(NamedTuple):
    """What makes the distribution of one channel out of the trunk."""

    linear: Linear
    entering: Floats  # how the channel enters those after it, [C times these]
    tables: Tables


class Room(NamedTuple):
    """Where pixels are worked on."""

    h: Floats  # [N, C]
    inputs: NDArray[Any]  # [N, F'], as the kernel has them, like the three below
    taps: NDArray[Any]  # [N, 5 C]
    hidden: NDArray[Any]  # [N, H]
    features: NDArray[Any]  # [N, C]
    unit: Floats  # [N]
    sums: Ints  # [N, the most columns]
    y: Floats  # [the most columns]


class CompiledConvNet:
    """Weights packed for loops; `start` begins a pass."""

    def __init__(self, network: ExactConvNet, kernel: Kernel | None = None) -> None:
        """kernel: None for the fastest of this processor."""
        self.network = network
        self.kernel = kernel = kernel or fastest()
        config = network.config
        dilations = [config.dilation(i) for i in range(config.blocks)]
        found = sorted(set(dilations))
        kinds = np.array([found.index(d) for d in dilations], np.int64)
        convs, outs = (
            _blocks([linear_of(linear, kernel) for linear in part]) for part in (network.convs, network.outs)
        )
        first, trunk = linear_of(network.input, kernel), linear_of(network.trunk, kernel)
        self.weights = Weights(first, convs, outs, trunk, kinds)
        self.own = network.own.numpy()
        parts = tables.exp2_table(), _inverse_table(), _edges(), tables.logistic_table()
        entering = [*(part.numpy() for part in network.entering), np.zeros(0, np.float32)]
        self.heads = [
            Head(linear_of(linear, kernel), part, Tables(*parts))
            for linear, part in zip(network.heads, entering, strict=True)
        ]

    def start(self, sizes: Any, block: int, single: bool = False, keep: bool = False) -> CompiledConvNetState:
        """Implements `ExactConvNet.start`."""
        return CompiledConvNetState(self, sizes, block, single, keep)


def _blocks(linears: list[Linear]) -> PackedBlocks:
    panels, start, scale, bias, fine = zip(*linears, strict=True)
    return PackedBlocks(np.stack(panels), np.stack(start), np.stack(scale), np.stack(bias), fine[0])


class CompiledConvNetState(ConvNetState):
    """The same as its parent, on its cells."""

    def __init__(self, compiled: CompiledConvNet, sizes: Any, block: int, single: bool, keep: bool = False) -> None:
        super().__init__(compiled.network, sizes, block, single, keep)
        self.compiled = compiled
        self.room = _room(compiled.weights, compiled.network.config.width, compiled.kernel)

    def shared_with(self, network: CompiledConvNet) -> CompiledConvNetState:
        """Implements `ConvNetState.shared_with`."""
        other = super().shared_with(network.network)
        other.compiled = network
        return other

    def predict(self, pixels: StepPixels) -> CompiledPrediction:  # type: ignore[override]
        """Implements `ConvNetState.predict`."""
        count, width = len(pixels.cell), self.network.config.width
        base, trunk = np.empty((count, WORD), np.int16), np.empty((count, 3 * width), np.float32)
        _advance(
            self.compiled.weights,
            self.values.view(np.uint8).reshape(-1, WORD),
            self.inputs[:, 0],
            self.cells.numpy(),
            pixels.value_cell,
            pixels.cell,
            pixels.beside.reshape(-1),
            np.stack(pixels.near),
            pixels.flags.numpy(),
            self.room,
            base,
            trunk,
        )
        return CompiledPrediction(self.compiled, trunk, base)


def _room(weights: Weights, width: int, kernel: Kernel) -> Room:
    layers = [layer.panels for layer in (weights.input, weights.convs, weights.outs, weights.trunk)]
    sizes = [kernel.group * panels.shape[-3] for panels in layers]
    inputs, taps, hidden, features = (kernel.buffer(TOGETHER, size) for size in sizes)
    columns = COLUMNS * max(panels.shape[-4] for panels in layers)
    return Room(
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
    """The same as `exact_convnet.Prediction`."""

    def __init__(self, compiled: CompiledConvNet, trunk: Floats, base: NDArray[np.int16]) -> None:
        self.compiled, self.trunk, self.base = compiled, trunk, base
        # Of the channels told, of the samples of all.
        self.errors = np.zeros((TOLD + len(CODING_ORDER), len(trunk)), np.float32)

    def channel(self, k: int) -> CompiledMixture:
        """Distribution of the k-th coded channel, after k calls of `condition`."""
        config, count = self.compiled.network.config, len(self.trunk)
        found = CompiledMixture(
            np.empty((count, config.mixtures), np.int32),
            np.empty((count, config.mixtures), np.float32),
            np.empty((count, config.mixtures), np.float32),
            self.compiled.heads[k].tables,
        )
        head, base = self.compiled.heads[k], self.base[:, CODING_ORDER[k]]
        q = self.compiled.kernel.buffer(TOGETHER, self.trunk.shape[1] // 3)
        _describe(head, self.trunk, k, base, self.errors, q, found.weight, found.mean, found.inverse)
        return found

    def condition_on_samples(self, value: Floats) -> None:
        """Implements `exact_convnet.Prediction.condition_on_samples`."""
        own = self.errors[TOLD:]
        own[:] = value - self.base[:, CODING_ORDER].T.astype(np.float32)
        for error, entering in zip(own, self.compiled.own, strict=True):
            _enter(entering, error, self.trunk)

    def condition(self, k: int, value: NDArray[Any]) -> None:
        """Implements `exact_convnet.Prediction.condition`."""
        if k < TOLD:
            self.errors[k] = value.astype(np.float32) - self.base[:, CODING_ORDER[k]].astype(np.float32)
            _enter(
                self.compiled.heads[k].entering,
                self.errors[k],
                self.trunk[:, (k + 1) * self.compiled.network.config.width :],
            )


class CompiledMixture(NamedTuple):
    """The same as `exact_convnet.Mixture`, with pixels before components."""

    weight: Ints  # [N, K]
    mean: Floats
    inverse: Floats
    tables: Tables

    def components(self) -> tuple[Ints, Floats, Floats]:
        """Implements `Mixture.components`."""
        return self.weight.T, self.mean.T, self.inverse.T

    def with_components(self, weight: Ints, mean: Floats, inverse: Floats) -> CompiledMixture:
        """Implements `Mixture.with_components`."""
        flat = np.ascontiguousarray
        return CompiledMixture(flat(weight.T), flat(mean.T), flat(inverse.T), self.tables)

    def below(self, value: Ints) -> Ints:
        """Implements `Mixture.below`. value: int32 [N, B]"""
        found = np.empty_like(value)
        _cumulative(self.weight, self.mean, self.inverse, self.tables, value, found)
        return found

    def intervals(self, value: Ints) -> tuple[Intervals, Intervals]:
        """Implements `Mixture.intervals`."""
        found = np.empty((4, len(value)), np.int32)
        _intervals(self.weight, self.mean, self.inverse, self.tables, value, found)
        high, low = value >> 4, value & 15
        return Intervals(found[0], found[1], high), Intervals(found[2], found[3], low)

    def high(self) -> Floats:
        """Implements `Mixture.high`."""
        rows = np.empty((len(self.mean), NIBBLE), np.float32)
        _high(self.weight, self.mean, self.inverse, self.tables, rows)
        return rows

    def low(self, high: Ints) -> Floats:
        """Implements `Mixture.low`."""
        rows = np.empty((len(self.mean), NIBBLE), np.float32)
        _low(self.weight, self.mean, self.inverse, self.tables, high, rows)
        return rows


# ---- the network --------------------------------------------------------------------------------


@compiled
def _advance(
    weights: Any,
    values: Any,
    inputs: Any,
    cells: Any,
    value_cell: Any,
    cell: Any,
    beside: Any,
    near: Any,
    flags: Any,
    room: Any,
    base: Any,
    trunk: Any,
) -> None:
    """`ConvNetState.predict`, some pixels after the other: each needs what those of earlier lines left in the cells."""
    for i in range(len(cells)):
        for b in beside:
            cells[i, b] = 0
    for start in range(0, len(cell), TOGETHER):
        rows = min(TOGETHER, len(cell) - start)
        for n in range(rows):
            _features(values, inputs, value_cell[start + n], flags[start + n], room.inputs[n], base[start + n])
        multiply(room.inputs, weights.input, room.sums, rows)
        for n in range(rows):
            finish(room.sums[n], ONE, weights.input, room.h[n])
        for i in range(len(cells)):
            _block(weights, i, cells[i], cell, near[weights.kinds[i]], start, rows, room)
        for n in range(rows):
            quantise(room.h[n], room.features[n])
        multiply(room.features, weights.trunk, room.sums, rows)
        for n in range(rows):
            finish(room.sums[n], ONE, weights.trunk, trunk[start + n])


@compiled
def _features(values: Any, inputs: Any, cell: Any, flags: Any, x: Any, base: Any) -> None:
    """`ConvNetState._inputs` of one pixel. values: uint8 [cells, WORD]"""
    count = len(values)
    for c in range(WORD):
        west, north = (
            np.int64(values[(cell + inputs[WEST]) % count, c]),
            np.int64(values[(cell + inputs[NORTH]) % count, c]),
        )
        east = np.int64(values[(cell + inputs[NORTH_EAST]) % count, c])
        corner = np.int64(values[(cell + inputs[NORTH_WEST]) % count, c])
        base[c] = min(max((2 * (west + north) + east - corner + 2) >> 2, 0), 255)
        store(base[c] - 128, x, TAPS * WORD + c)
    for t in range(TAPS):
        near = values[(cell + inputs[t]) % count]
        for c in range(WORD):
            store(min(max(np.int64(near[c]) - base[c], -LARGEST), LARGEST), x, t * WORD + c)
    for i in range(FLAGS):
        store(flags[i], x, (TAPS + 1) * WORD + i)


@compiled
def _block(weights: Any, i: Any, cells: Any, cell: Any, near: Any, start: Any, rows: Any, room: Any) -> None:
    """h of some pixels through the i-th block."""
    width = cells.shape[1]
    for n in range(rows):
        quantise(room.h[n], room.features[n])
        own = cells[cell[start + n]]
        for c in range(width):
            own[c] = signed(room.features[n, c])
    for n in range(rows):
        for t in range(near.shape[1]):
            found, taps = cells[near[start + n, t]], room.taps[n, t * width : (t + 1) * width]
            for c in range(width):
                store(found[c], taps, c)
    multiply(room.taps, _one_of(weights.convs, i), room.sums, rows)
    hidden = room.y[: weights.convs.scale.shape[1]]
    for n in range(rows):
        finish(room.sums[n], ONE, _one_of(weights.convs, i), hidden)
        for c in range(len(hidden)):
            hidden[c] = max(hidden[c], NONE)
        room.unit[n] = quantise(hidden, room.hidden[n])
    multiply(room.hidden, _one_of(weights.outs, i), room.sums, rows)
    for n in range(rows):
        finish(room.sums[n], room.unit[n], _one_of(weights.outs, i), room.y)
        for c in range(width):
            room.h[n, c] += room.y[c]


@compiled
def _one_of(blocks: Any, i: Any) -> Any:
    return Linear(blocks.panels[i], blocks.start[i], blocks.scale[i], blocks.bias[i], blocks.fine)


# ---- distributions ------------------------------------------------------------------------------


@compiled
def _describe(
    head: Any, trunk: Any, k: Any, base: Any, errors: Any, q: Any, weight: Any, mean: Any, inverse: Any
) -> None:
    """`Prediction.channel`. q: room for TOGETHER rows of the trunk, as the kernel has them."""
    count, width, mixtures = len(trunk), trunk.shape[1] // 3, weight.shape[1]
    outputs = len(head.linear.scale)
    hidden = np.empty(width, np.float32)
    sums = np.empty((TOGETHER, COLUMNS * len(head.linear.panels)), np.int32)
    unit, out = np.empty(TOGETHER, np.float32), np.empty(outputs, np.float32)
    last = np.int64(len(head.tables.inverse) - 1)
    for start in range(0, count, TOGETHER):
        rows = min(TOGETHER, count - start)
        for n in range(rows):
            for c in range(width):
                hidden[c] = max(trunk[start + n, k * width + c], NONE)
            unit[n] = quantise(hidden, q[n])
        multiply(q, head.linear, sums, rows)
        for n in range(rows):
            at = start + n
            finish(sums[n], unit[n], head.linear, out)
            centre = np.float32(base[at])
            for j in range(outputs - 3 * mixtures):
                centre += out[3 * mixtures + j] * errors[j if j < k else TOLD + j - k, at]
            for m in range(mixtures):
                value = np.rint((out[mixtures + m] * OFFSET + centre) * FIXED)
                mean[at, m] = min(max(value, -FAR_MEAN), FAR_MEAN)
                level = np.rint((min(out[2 * mixtures + m], MOST_LOG) - LEAST_LOG) * LOG_STEPS)
                inverse[at, m] = head.tables.inverse[min(max(np.int64(level), 0), last)]
            _share(out[:mixtures], head.tables.exp2, weight[at])


@compiled
def _step(less: Any, last: Any) -> Any:
    return min(max(np.int64(np.rint(less * STEPS)), 0), last)


@compiled
def _share(logits: Any, exp2: Any, weight: Any) -> None:
    """`exact_convnet.mixture_weights` of one pixel."""
    most, total, last = most_of(logits), np.int64(0), np.int64(len(exp2) - 1)
    for m in range(len(logits)):
        total += exp2[_step(most - logits[m], last)]
        weight[m] = 0
    whole, share, before = np.float64(total), np.int64(0), np.int64(0)
    for m in range(len(logits)):
        share += exp2[_step(most - logits[m], last)]
        edge = np.int64(np.float64(share) * np.float64(WEIGHT_TOTAL) / whole)
        weight[m] = edge - before
        before = edge


@compiled
def _enter(entering: Any, error: Any, trunk: Any) -> None:
    """`Prediction.condition`. entering: float32 [C']; error: float32 [N]; trunk: [N, C']"""
    for n in range(len(error)):
        small = min(max(error[n], -MOST), MOST) / SMALL
        for c in range(len(entering)):
            trunk[n, c] += small * entering[c]


@compiled
def _below(weight: Any, mean: Any, inverse: Any, tables: Any, value: Any) -> Any:
    """`Mixture.below` of one value for one pixel."""
    last = np.int64(len(tables.logistic) - 1)
    half, found = np.float32(last // 2), np.int64(0)
    for m in range(len(mean)):
        index = np.floor((tables.edges[value] - mean[m]) * inverse[m]) + half
        found += np.int64(tables.logistic[min(max(np.int64(index), 0), last)]) * weight[m]
    return found


@compiled
def _cumulative(weight: Any, mean: Any, inverse: Any, tables: Any, value: Any, found: Any) -> None:
    for n in range(len(value)):
        for b in range(value.shape[1]):
            found[n, b] = _below(weight[n], mean[n], inverse[n], tables, value[n, b])


@compiled
def _coarse(c: Any) -> Any:
    """`cdf._coarse`"""
    c >>= SUM_BITS - PRECISION
    return c - (c >> (PRECISION - 4))


@compiled
def _fine(c: Any, width: Any, step: Any) -> Any:
    """`cdf._fine`"""
    if step == NIBBLE:
        return TOTAL
    return np.int64(np.float64(c + step) * (np.float64(TOTAL) / np.float64(width + NIBBLE)))


@compiled
def _intervals(weight: Any, mean: Any, inverse: Any, tables: Any, value: Any, found: Any) -> None:
    """`cdf.nibble_intervals`: below and frequency of high nibbles, then of low ones, [4, N]."""
    for n in range(len(value)):
        w, m, i = weight[n], mean[n], inverse[n]
        v = np.int64(value[n])
        start, low = v // NIBBLE * NIBBLE, v % NIBBLE
        first, end = _below(w, m, i, tables, start), _below(w, m, i, tables, start + NIBBLE)
        found[0, n] = _coarse(first)
        found[1, n] = _coarse(end) - found[0, n]
        below = _fine(_below(w, m, i, tables, v) - first, end - first, low)
        above = _fine(_below(w, m, i, tables, v + 1) - first, end - first, low + 1)
        found[2, n] = below
        found[3, n] = above - below


@compiled
def _high(weight: Any, mean: Any, inverse: Any, tables: Any, rows: Any) -> None:
    """`cdf.high_frequencies`"""
    for n in range(len(rows)):
        before = np.int64(0)
        for high in range(NIBBLE):
            edge = _coarse(_below(weight[n], mean[n], inverse[n], tables, (high + 1) * NIBBLE))
            rows[n, high] = edge - before
            before = edge


@compiled
def _low(weight: Any, mean: Any, inverse: Any, tables: Any, highs: Any, rows: Any) -> None:
    """`cdf.low_frequencies`"""
    for n in range(len(rows)):
        start = np.int64(highs[n]) * NIBBLE
        first = _below(weight[n], mean[n], inverse[n], tables, start)
        width = _below(weight[n], mean[n], inverse[n], tables, start + NIBBLE) - first
        before = np.int64(0)
        for low in range(NIBBLE):
            edge = np.int64(TOTAL)
            if low + 1 < NIBBLE:
                edge = _fine(_below(weight[n], mean[n], inverse[n], tables, start + low + 1) - first, width, low + 1)
            rows[n, low] = edge - before
            before = edge
