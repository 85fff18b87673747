"""Compiled kernels of the layers of the masked convolutional network, up to the trunk.

Some pixels go through all layers together, so that their features stay in the processor's caches. Functions equal those
of :mod:`bfncodec.networks.convnet.exact` that they are named after, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bfncodec.networks.convnet.config import INPUT_TAPS, NEAREST, REACH
from bfncodec.networks.convnet.distributions import Trunk
from bfncodec.networks.convnet.front import WORD, StepPixels
from bfncodec.networks.kernels import COLUMNS, ProductKernel, aligned_copy, copy_row, store
from bfncodec.networks.products import (
    Linear,
    add_norm,
    finish_norm,
    finish_rows,
    linear_of,
    multiply_ready,
    prepare,
    rectify_norm,
    release,
)
from bfncodec.networks.stored import LARGEST, LinearWeights
from bfncodec.runtime.arrays import Array, Floats32, Ints, Ints32
from bfncodec.runtime.jit import compiled, inlined, written
from bfncodec.runtime.lines import aligned

TAPS = len(INPUT_TAPS)
FLAGS = 3 * REACH
MOST = np.int32(LARGEST)
WEST, NORTH, NORTH_EAST, NORTH_WEST = NEAREST
_neighbours = written("bfncodec.networks.convnet.instructions", "neighbours")
_differences = written("bfncodec.networks.convnet.instructions", "differences")


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
    taps: Ints  # distances from a pixel's cell to those that convolutions read, [dilations, 5]
    flags: Array  # int8 [n, FLAGS]

    @classmethod
    def of(cls, pixels: StepPixels, taps: Ints) -> Positions:
        """Return those of some steps."""
        return cls(pixels.value_cell, pixels.cell, pixels.beside.reshape(-1), taps, pixels.flags)


class Workspace(NamedTuple):
    """Buffers for the N pixels that the kernel has together; those without a dtype hold left factors of the kernel."""

    words: Ints32  # values of the pixels' neighbours, [N, as many as fill whole registers]
    h: Floats32  # residual stream, [N, C]
    inputs: Array  # [N, F']
    taps: Array  # [N, 5 C]
    hidden: Array  # [N, H]
    features: Array  # [N, C]
    unit: Floats32  # value of one unit of each row, [N]
    one: Floats32  # that of numbers that are multiplied by no scale, [N]
    sums: Ints32  # [N, the most columns]
    y: Floats32  # [N, the most columns]


def packed_blocks(linears: Sequence[LinearWeights], kernel: ProductKernel) -> PackedBlocks:
    """Return matrices of one shape packed for a kernel."""
    panels, start, scale, bias, fine = zip(*(linear_of(linear, kernel) for linear in linears), strict=True)
    return PackedBlocks(aligned_copy(np.stack(panels)), np.stack(start), np.stack(scale), np.stack(bias), fine[0])


def workspace(weights: Weights, width: int, kernel: ProductKernel) -> Workspace:
    """Return room for the layers of a network of some width."""
    layers, together = (weights.input, weights.convs, weights.outs, weights.trunk), kernel.together
    sizes = [layer.panels.size // layer.start.size for layer in layers]
    inputs, taps, hidden, features = (kernel.buffer(together, size) for size in sizes)
    columns = max(layer.start.shape[-1] for layer in layers)
    return Workspace(
        words=aligned((together, -(-TAPS * WORD // COLUMNS) * COLUMNS // WORD), np.int32),
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


@compiled
def advance(weights: Weights, cells: Cells, pixels: Positions, work: Workspace, out: Trunk) -> None:
    """`ConvNetState.predict`, some pixels after the other: each reads what those of earlier lines left in the cells."""
    clear(cells, pixels.beside)
    prepare(weights.input.panels)
    for start in range(0, len(pixels.cell), len(work.unit)):
        rows = min(len(work.unit), len(pixels.cell) - start)
        pass_through(weights, cells, pixels, start, work, Trunk(out.base[start:], out.hidden[start:]), rows)
    release(weights.input.panels)


@compiled
def clear(cells: Cells, beside: Ints) -> None:
    """Fill the features of some cells with zeros."""
    for i in range(len(cells.features)):
        for b in beside:
            cells.features[i, b] = 0


@compiled
def pass_through(
    weights: Weights, cells: Cells, pixels: Positions, start: int, work: Workspace, out: Trunk, rows: int
) -> None:
    """All layers of some pixels from a number on, as many as there is room for at most; their trunk goes to `out`.
    Between `prepare` and `release`.
    """
    _features(cells, pixels.value_cell[start:], pixels.flags[start:], work, out.base, rows)
    multiply_ready(work.inputs, weights.input, work.sums, rows)
    finish_norm(work.sums, work.one, weights.input, work.h, work.features, work.unit, rows)
    for i in range(len(cells.features)):
        _block(weights, i, cells.features[i], pixels.cell[start:], pixels.taps[weights.kinds[i]], rows, work)
    multiply_ready(work.features, weights.trunk, work.sums, rows)
    finish_rows(work.sums, work.one, weights.trunk, out.hidden, rows)


@compiled
def _features(cells: Cells, value_cell: Ints, flags: Array, work: Workspace, bases: Array, rows: int) -> None:
    """`RevealedPixels.features` of the first pixels: to rows of left factors and of bases, int16 [n, WORD]."""
    for n in range(rows):  # of all before any is read, as reading what was just written in parts takes long
        _neighbours(cells.words, value_cell[n], cells.distances, work.words, n)
    for n in range(rows):
        x = work.inputs[n]
        _differences(work.words, n, WEST, NORTH, NORTH_EAST, NORTH_WEST, TAPS, work.inputs, bases)
        for i in range(FLAGS):
            store(flags[n, i], x, (TAPS + 1) * WORD + i)


@inlined
def _around(cell: Any, count: Any) -> Any:
    """Return cell % count for what is less than `count` beside the cells, as divisions take long."""
    cell = cell + count if cell < 0 else cell
    return cell - count if cell >= count else cell


@compiled
def _block(weights: Weights, i: int, features: Array, cell: Ints, taps: Ints, rows: int, work: Workspace) -> None:
    """The i-th block: h of some pixels becomes h + out(relu(conv(features))), and its features those of the new h.

    features: the block's cells, int8 [cells, C]; cell: those of the pixels, [rows …]; taps: distances to others, [5].
    """
    width, conv, last = features.shape[1], _layer(weights.convs, i), _layer(weights.outs, i)
    for n in range(rows):
        copy_row(work.features, n, features, cell[n], 0, width)
    for n in range(rows):
        for t in range(len(taps)):
            copy_row(features, _around(cell[n] + taps[t], len(features)), work.taps, n, t * width, width)
    multiply_ready(work.taps, conv, work.sums, rows)
    rectify_norm(work.sums, work.one, conv, work.y, work.hidden, work.unit, rows)
    multiply_ready(work.hidden, last, work.sums, rows)
    add_norm(work.sums, work.unit, last, work.h, work.features, work.unit, rows)


@compiled
def _layer(blocks: PackedBlocks, i: int) -> Linear:
    return Linear(blocks.panels[i], blocks.start[i], blocks.scale[i], blocks.bias[i], blocks.fine)
