"""A compiled kernel that finds the intervals of known pixels: for encoders, many lines in a call.

Values are those of `CompiledPrediction.channel`, `intervals` of its mixture and `condition`, called by turns. The few
pixels that go through the layers together go through the heads, too, while what they need is in the caches.
"""

from __future__ import annotations

from typing import NamedTuple

from bfncodec.networks.convnet.distributions import (
    CONDITIONS,
    Components,
    Head,
    HeadWork,
    Trunk,
    describe,
    difference,
    enter,
    intervals,
)
from bfncodec.networks.convnet.layers import Cells, Positions, Weights, Workspace, clear, pass_through
from bfncodec.networks.products import prepare, release
from bfncodec.runtime.arrays import Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import compiled


class Writing(NamedTuple):
    """All that intervals of pixels are found with. Room is for the N pixels that the kernel has together."""

    weights: Weights
    heads: tuple[Head, ...]
    cells: Cells
    trunk: Trunk
    errors: Floats32  # differences of channels that others are conditioned on, [CONDITIONS, N]
    parts: Components
    work: Workspace
    room: HeadWork


@compiled
def find_intervals(writing: Writing, order: Ints, pixels: Positions, values: Bytes, found: Ints32) -> None:
    """Find the intervals of the nibbles of some pixels, the high ones of a channel and then its low ones.

    order: the channels in the order in which they are coded, [C], none where the pixels are only to be gone through;
    values: uint8 [n, any]; found: symbols, the sums of the frequencies below them and their own, int32 [3, 2 C, n].
    """
    clear(writing.cells, pixels.beside)
    together = len(writing.errors[0])
    prepare(writing.weights.input.panels)
    for start in range(0, len(values), together):
        rows = min(together, len(values) - start)
        pass_through(writing.weights, writing.cells, pixels, start, writing.work, writing.trunk, rows)
        for k in range(len(order)):
            own, more = values[start : start + rows, order[k]], k < min(CONDITIONS, len(order) - 1)
            _channel(writing, k, order[k], own, more, found[:, 2 * k :, start:])
    release(writing.weights.input.panels)


@compiled
def _channel(writing: Writing, k: int, c: int, values: Bytes, more: bool, found: Ints32) -> None:
    """Find the intervals of the k-th channel, which is c, of some pixels; condition those after it if any."""
    rows, heads, errors = len(values), writing.heads, writing.errors
    base, hidden = writing.trunk.base[:rows, c], writing.trunk.hidden[:rows]
    describe(heads[k], hidden, k, base, errors, writing.room, writing.parts, 0)
    intervals(writing.parts, heads[k].tables, values, writing.room, found[0], found[1], found[2])
    if more:
        difference(values, base, errors[k])
        enter(heads[k].entering, errors[k, :rows], hidden, (k + 1) * (hidden.shape[1] // len(heads)))
