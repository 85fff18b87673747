"""Lines of pixels that a GPU's decoder replays: the operations of `exact.ConvNetState.predict` and of
`devicemixture`, on tensors that stay where they are (:mod:`bfncodec.networks.replay`).

Every line is as long as the longest. What is left of a shorter one works on cells behind those of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bfncodec.coding.cdf import NIBBLE, Intervals, row_intervals
from bfncodec.flow.schedules.reveal import Wavefront
from bfncodec.networks.convnet.config import BLOCK_TAPS, CODING_ORDER, INPUT_SCALE
from bfncodec.networks.convnet.devicemixture import DeviceMixture
from bfncodec.networks.convnet.exact import ExactConvNet, as_words, features
from bfncodec.networks.convnet.front import Front, RevealedPixels, StepPixels
from bfncodec.networks.protocol import PixelState
from bfncodec.networks.replay import Record, Step, recorded
from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.arrays import Array, Floats32, Ints32

REPLAYED = 32  # lines that pay for recording one


class ReplayedConvNet:
    """A network of pictures whose decoders replay lines. record: what they are replayed with."""

    reads = False

    def __init__(self, network: ExactConvNet, record: Record = recorded) -> None:
        self.network, self.record = network, record

    @property
    def memory(self) -> int:
        """Implements `PixelNetwork.memory`."""
        return self.network.memory

    def start(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool = False,
        *,
        within: tuple[int, int] | None = None,
    ) -> PixelState:
        """Implements `PixelNetwork.start`."""
        if single and within is None and max(Wavefront(*size).n_steps for size in set(sizes)) >= REPLAYED:
            return ReplayedState(self, sizes, block)
        return self.network.start(sizes, block, single, within=within)


class ReplayedState(RevealedPixels):
    """The inference state of some images, `exact.ConvNetState`, that sees a line at a time."""

    def __init__(self, own: ReplayedConvNet, sizes: Sequence[tuple[int, int]], block: int) -> None:
        self.network = network = own.network
        super().__init__(sizes, block, True, network.config.kinds)
        self.lines = ReplayedLines(network, own.record, self.front)

    def predict(self, pixels: StepPixels) -> ReplayedPrediction:
        """Implements `PixelState.predict`."""
        inputs, base = features(self, pixels, self.network.input.weight.shape[0])
        return self.lines.enter(pixels, inputs, base.numpy().T.astype(np.float32))


class ReplayedLines:
    """The tensors that steps work on, and the steps: one for each channel that is coded, and one for low nibbles.

    network, record: see `ReplayedConvNet`; front: whose cells are followed by those that belong to no image.
    """

    def __init__(self, network: ExactConvNet, record: Record, front: Front) -> None:
        self.network, self.record = network, record
        config, device, taps = network.config, network.device, len(BLOCK_TAPS)
        self.most = most = int(front.lines.counts.sum(1).max())
        shape = (config.blocks, front.cells + most, config.width)
        self._cells = [as_words(layer) for layer in torch.zeros(shape, dtype=torch.int8, device=device)]
        count = most * (1 + taps * len(config.kinds)) + len(front.lines.width) * ((front.reach + 1) // 2)
        self._given = torch.empty(count, dtype=torch.int64, pin_memory=device.type == "cuda")
        self._nowhere = np.zeros(count, np.int64)
        cell, near, _ = self._parts(self._nowhere)
        cell[:] = front.cells + np.arange(most)
        near[:] = cell[:, None]
        self._places = torch.zeros(count, dtype=torch.int64, device=device)
        self._inputs = torch.zeros(most, network.input.weight.shape[0], dtype=torch.int8, device=device)
        self._trunk = torch.zeros(most, len(CODING_ORDER) * config.width, device=device)
        self._base, self._errors = (torch.zeros(len(CODING_ORDER), most, device=device) for _ in range(2))
        self._high = torch.zeros(most, dtype=torch.int32, device=device)
        components = (config.mixtures, most)
        self._mixture = DeviceMixture(
            torch.zeros(components, dtype=torch.int32, device=device),
            torch.zeros(components, device=device),
            torch.ones(components, device=device),
            network.tables,
        )
        self._steps: dict[int | None, Step] = {}

    def enter(self, pixels: StepPixels, inputs: Tensor, base: Floats32) -> ReplayedPrediction:
        """Return p_O of a line. inputs: its features, int8 [n, columns], on the CPU; base: [4, n]."""
        count = len(pixels.cell)
        given: Array = self._given.numpy()
        given[:] = self._nowhere
        cell, near, beside = self._parts(given)
        cell[:count], beside[:] = pixels.cell, pixels.beside.reshape(-1)
        for own, found in zip(near, pixels.near, strict=True):
            own[:count] = found
        self._places.copy_(self._given, non_blocking=True)
        self._inputs[:count] = inputs.to(self.network.device)
        ordered = base[list(CODING_ORDER)]
        self._base[:, :count] = torch.from_numpy(ordered).to(self.network.device)
        return ReplayedPrediction(self, ordered)

    @torch.inference_mode()
    def high(self, k: int, count: int) -> Floats32:
        """Frequencies of the high nibbles of the k-th channel of so many pixels, float32 [n, 16]."""
        return self._run(k, count)

    @torch.inference_mode()
    def low(self, high: Ints32) -> Floats32:
        """Frequencies of the low nibbles behind high ones, float32 [n, 16]."""
        self._high[: len(high)] = torch.from_numpy(high).to(self.network.device)
        return self._run(None, len(high))

    def condition(self, k: int, error: Floats32) -> None:
        """Condition the channels after the k-th on differences of its values."""
        self._errors[k, : len(error)] = torch.from_numpy(error).to(self.network.device)

    def _run(self, which: int | None, count: int) -> Floats32:
        """Frequencies that a step gives, which is recorded when it is first asked for."""
        if which not in self._steps:
            self._steps[which] = self.record(lambda: self._step(which))
        found: Floats32 = self._steps[which]()[:count].cpu().numpy()
        return found

    def _step(self, which: int | None) -> Tensor:
        """Frequencies of nibbles, float32 [most, 16]: of low ones, or of high ones of a channel."""
        if which is None:
            return self._mixture.low_rows(self._high)
        if which == 0:
            self._pass_through()
        return self._describe(which).high_rows()

    def _pass_through(self) -> None:
        """`ConvNetState.predict`, to the trunk."""
        network = self.network
        cell, near, beside = self._parts(self._places)
        h = network.input(self._inputs)
        for i, (layer, conv, out) in enumerate(zip(self._cells, network.convs, network.outs, strict=True)):
            kind = network.config.kinds.index(network.config.dilation(i))
            layer.index_copy_(0, cell, as_words(network.quantise.max_norm(h)))
            layer.index_fill_(0, beside, 0)
            taps = layer.index_select(0, near[kind].reshape(-1)).view(torch.int8).view(h.shape[0], -1)
            h += out(*network.quantise.positive(conv(taps).clamp_min_(0)))
        self._trunk.copy_(network.trunk(network.quantise.max_norm(h)))

    def _describe(self, k: int) -> DeviceMixture:
        """`Prediction.channel`, and `condition` of the channels before, to the mixture."""
        network, width = self.network, self.network.config.width
        hidden = self._trunk[:, k * width : (k + 1) * width]
        for j in range(k):
            small = self._errors[j].clamp(-LARGEST, LARGEST).mul_(1 / INPUT_SCALE).unsqueeze(1)
            hidden = hidden + small * network.entering[j][(k - 1 - j) * width : (k - j) * width]
        given = network.heads[k](*network.quantise.positive(hidden.clamp_min(0))).t().contiguous()
        found = DeviceMixture.of(given, self._base[k], list(self._errors[:k]), network.config.mixtures, network.tables)
        for own, part in zip(self._mixture.parts, found.parts, strict=True):
            own.copy_(part)
        return self._mixture

    def _parts(self, places: Any) -> tuple[Any, Any, Any]:
        """Views of places: the cells of pixels, [most], those around them, [kinds, most, taps], and those beside."""
        taps, kinds = len(BLOCK_TAPS), len(self.network.config.kinds)
        end = self.most * (1 + taps * kinds)
        return places[: self.most], places[self.most : end].reshape(kinds, self.most, taps), places[end:]


class ReplayedPrediction:
    """p_O of the pixels of a line, as decoders ask for it. base: [3, n], channels in coding order."""

    def __init__(self, lines: ReplayedLines, base: Floats32) -> None:
        self.lines, self.base = lines, base

    def channel(self, k: int) -> ReplayedBytes:
        """Implements `Prediction.channel`."""
        return ReplayedBytes(self.lines, k, self.base.shape[1])

    def condition(self, k: int, value: Array) -> None:
        """Implements `Prediction.condition`."""
        if k + 1 < len(CODING_ORDER):
            self.lines.condition(k, value.astype(np.float32) - self.base[k])


class ReplayedBytes:
    """The distribution of a channel: its high nibbles, then its low ones."""

    def __init__(self, lines: ReplayedLines, k: int, count: int) -> None:
        self.lines, self.k, self.count = lines, k, count

    def high(self) -> Floats32:
        """Implements `Mixture.high`."""
        return self.lines.high(self.k, self.count)

    def low(self, high: Ints32) -> Floats32:
        """Implements `Mixture.low`."""
        return self.lines.low(high)

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Implements `Mixture.intervals`."""
        high, low = value // NIBBLE, value % NIBBLE
        return row_intervals(self.high(), high), row_intervals(self.low(high), low)
