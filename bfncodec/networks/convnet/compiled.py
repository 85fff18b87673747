"""Compiled kernels of the masked convolutional network :mod:`bfncodec.networks.convnet.exact`.

All classes equal those of `exact` that they are named after, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np

from bfncodec.coding import tables
from bfncodec.coding.cdf import NIBBLE, Intervals
from bfncodec.coding.rangecoder import Codes, damaged
from bfncodec.forks import cached_property
from bfncodec.networks.convnet.config import CODING_ORDER
from bfncodec.networks.convnet.distributions import (
    CONDITIONS,
    Components,
    Head,
    HeadWork,
    Tables,
    Trunk,
    components_of,
    cumulative,
    describe_alone,
    enter,
    head_work,
    high_rows,
    intervals,
    low_rows,
)
from bfncodec.networks.convnet.front import WORD, RevealedPixels, StepPixels, memory, parts_of
from bfncodec.networks.convnet.layers import Cells, Positions, Weights, advance, packed_blocks, workspace
from bfncodec.networks.convnet.mixture import byte_edges, inverse_scales
from bfncodec.networks.convnet.places import CompiledFront
from bfncodec.networks.convnet.readers import Readers
from bfncodec.networks.convnet.reading import Lines, Reading, lanes_of, line_of
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.convnet.writing import Writing, find_intervals
from bfncodec.networks.kernels import ProductKernel, fastest
from bfncodec.networks.products import linear_of
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints32
from bfncodec.runtime.jit import Flat, flat


class CompiledConvNet:
    """Weights packed for a kernel, None for the fastest of this processor."""

    reads = True

    def __init__(self, weights: ConvNetWeights, kernel: ProductKernel | None = None) -> None:
        self.config = config = weights.config
        self.kernel = kernel = kernel or fastest()
        kinds = np.array([config.kinds.index(config.dilation(i)) for i in range(config.blocks)], np.int64)
        convs, outs = (packed_blocks(part, kernel) for part in (weights.convs, weights.outs))
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


class CompiledConvNetState(RevealedPixels):
    """The inference state, as `exact.ConvNetState` has it, for kernels."""

    kind = CompiledFront

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
        self.taps = np.stack(self.front.taps)
        self.cells = np.zeros((config.blocks, self.front.cells, config.width), np.int8)
        self.flat_cells = flat(Cells(self.values, self.inputs[:, 0], self.cells))
        self.flat_work = flat(workspace(compiled.weights, config.width, compiled.kernel))
        self.flat_room = flat(head_work(compiled.heads, config.width, compiled.kernel))

    def shared_with(self, network: CompiledConvNet) -> CompiledConvNetState:
        """Implements `exact.ConvNetState.shared_with`."""
        other = copy(self)
        other.compiled = network
        return other

    def predict(self, pixels: StepPixels) -> CompiledPrediction:
        """Implements `exact.ConvNetState.predict`."""
        count, width = len(pixels.cell), self.compiled.config.width
        trunk = Trunk(np.empty((count, WORD), np.int16), np.empty((count, 3 * width), np.float32))
        advance(self.compiled.flat_weights, self.flat_cells, self._positions(pixels), self.flat_work, trunk)
        return CompiledPrediction(self.compiled, trunk, self.flat_room)

    def intervals(self, pixels: StepPixels, values: Bytes) -> Ints32:
        """Implements `ReadingState.intervals`."""
        order = np.array(_order(values.shape[1]), np.int64)
        found = np.empty((3, 2 * len(order), len(values)), np.int32)
        find_intervals(self._flat_writing, order, self._positions(pixels), values, found)
        return found

    @cached_property
    def _flat_writing(self) -> Flat:
        own, together = self.compiled, self.compiled.kernel.together
        line = line_of(together, own.config.width, own.config.mixtures, 0)
        return flat(
            Writing(
                weights=own.weights,
                heads=tuple(own.heads),
                cells=self.flat_cells.value,
                trunk=line.trunk,
                errors=line.errors,
                parts=line.found,
                work=self.flat_work.value,
                room=self.flat_room.value,
            )
        )

    def read(self, codes: Codes, values: Bytes, threads: int = 1) -> Iterator[int]:
        """Implements `ReadingState.read`."""
        own = self._reading(values.shape[1])
        with Readers([own, *(self._with_room(own) for _ in range(threads - 1))], codes, values) as readers:
            for lines in readers.ahead(self._lines, self.front.blocks):
                if not readers.read(lines):
                    raise damaged()
                yield len(lines.place)

    def _lines(self, block: tuple[int, int]) -> Lines:
        pixels = self.front.pixels(*block)
        return Lines.of(pixels, self._positions(pixels))

    def _positions(self, pixels: StepPixels) -> Positions:
        return Positions.of(pixels, self.taps)

    def _with_room(self, reading: Reading) -> Reading:
        """Return what another thread reads with."""
        own, width = self.compiled, self.compiled.config.width
        work, room = workspace(own.weights, width, own.kernel), head_work(own.heads, width, own.kernel)
        return reading._replace(work=work, room=room)

    def _reading(self, channels: int) -> Reading:
        own, config = self.compiled, self.compiled.config
        counts = self.front.lines.counts
        most = int(counts.sum(1).max())
        return Reading(
            weights=own.weights,
            heads=tuple(own.heads),
            cells=self.flat_cells.value,
            known=self.values.view(np.uint8).reshape(-1, WORD),
            rows=self.front.rows,
            order=np.array(_order(channels)),
            line=line_of(most, config.width, config.mixtures, channels),
            lanes=lanes_of(counts.shape[1], int(counts.max()), config.mixtures),
            work=self.flat_work.value,
            room=self.flat_room.value,
        )


def _order(channels: int) -> Sequence[int]:
    """Return the channels in the order in which they are coded."""
    return CODING_ORDER if channels == len(CODING_ORDER) else range(channels)


class CompiledPrediction:
    """p_O of some pixels, channel after channel, as `exact.Prediction` has it."""

    def __init__(self, compiled: CompiledConvNet, trunk: Trunk, flat_room: Flat) -> None:
        self.compiled, self.trunk, self.flat_room = compiled, trunk, flat_room
        # Differences to `base` of the channels that were conditioned on, then of the samples of all channels.
        self.errors = np.zeros((CONDITIONS + len(CODING_ORDER), len(trunk.hidden)), np.float32)

    def channel(self, k: int) -> CompiledMixture:
        """Implements `exact.Prediction.channel`."""
        config, head = self.compiled.config, self.compiled.heads[k]
        found = components_of(len(self.trunk.hidden), config.mixtures)
        base = self.trunk.base[:, CODING_ORDER[k]]
        describe_alone(head, self.trunk.hidden, k, base, self._conditions(k), self.flat_room, found, 0)
        return CompiledMixture(found, head.tables, self.flat_room.value)

    def _conditions(self, k: int) -> Floats32:
        """Return the differences that the slopes of the k-th channel belong to, [slopes, n]."""
        return np.concatenate([self.errors[:k], self.errors[CONDITIONS:]])

    def condition_on_samples(self, value: Floats32) -> None:
        """Implements `exact.Prediction.condition_on_samples`."""
        own = self.errors[CONDITIONS:]
        own[:] = value - self.trunk.base[:, CODING_ORDER].T.astype(np.float32)
        for error, entering in zip(own, self.compiled.own, strict=True):
            enter(entering, error, self.trunk.hidden, 0)

    def condition(self, k: int, value: Array) -> None:
        """Implements `exact.Prediction.condition`."""
        if k < CONDITIONS:
            width = self.compiled.config.width
            self.errors[k] = value.astype(np.float32) - self.trunk.base[:, CODING_ORDER[k]].astype(np.float32)
            enter(self.compiled.heads[k].entering, self.errors[k], self.trunk.hidden, (k + 1) * width)


class CompiledMixture(NamedTuple):
    """Mixtures of logistics in integers, as `exact.Mixture` has them."""

    parts: Components
    tables: Tables
    room: HeadWork

    def components(self) -> tuple[Ints32, Floats32, Floats32]:
        """Implements `exact.Mixture.components`."""
        return self.parts

    def with_components(self, weight: Ints32, mean: Floats32, inverse: Floats32) -> CompiledMixture:
        """Implements `exact.Mixture.with_components`."""
        flat = np.ascontiguousarray
        return self._replace(parts=Components(flat(weight), flat(mean), flat(inverse)))

    def below(self, value: Ints32) -> Ints32:
        """Implements `exact.Mixture.below`, for int32 [N, B] alone."""
        found = np.empty_like(value)
        cumulative(self.parts, self.tables, value, found)
        return found

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Implements `exact.Mixture.intervals`."""
        symbol, below, frequency = (np.empty((2, len(value)), np.int32) for _ in range(3))
        intervals(self.parts, self.tables, value, self.room, symbol, below, frequency)
        high, low = map(Intervals, below, frequency, symbol)
        return high, low

    def high(self) -> Floats32:
        """Implements `exact.Mixture.high`."""
        rows = np.empty((self.parts.mean.shape[1], NIBBLE), np.float32)
        high_rows(self.parts, self.tables, rows)
        return rows

    def low(self, high: Ints32) -> Floats32:
        """Implements `exact.Mixture.low`."""
        rows = np.empty((self.parts.mean.shape[1], NIBBLE), np.float32)
        low_rows(self.parts, self.tables, high, rows)
        return rows
