"""The integer implementation of :class:`bfncodec.networks.convnet.model.ConvNet`: line by line, every layer once per
pixel.

What it needs of earlier lines is kept in cells (:mod:`bfncodec.networks.convnet.front`). Encoding and decoding run the
same code on the same integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from bfncodec.forks import cached_property
from bfncodec.networks.convnet.config import CODING_ORDER, INPUT_SCALE, INPUT_TAPS, NEAREST, REACH
from bfncodec.networks.convnet.devicemixture import DeviceMixture, DeviceTables
from bfncodec.networks.convnet.front import WORD, RevealedPixels, StepPixels, memory, parts_of
from bfncodec.networks.convnet.mixture import Mixture, mixture
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.exact import ExactLinear, Quantiser, tensor_of
from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.arrays import Array, Floats32, Ints

PIXELS_THERE = 1 << 9  # whose distributions a GPU works out sooner than NumPy


class ExactConvNet:
    """The network's integers on a device; any number of states share them."""

    reads = False

    def __init__(self, weights: ConvNetWeights, device: torch.device, there: int | None = None) -> None:
        """there: pixels from which on their features and distributions are worked out on the device, too; the default
        is what pays on a GPU, and never elsewhere.
        """
        self.weights, self.config, self.device = weights, weights.config, device
        self.there = PIXELS_THERE if there is None and device.type == "cuda" else there
        self.quantise = Quantiser.on(device)
        self.input, self.trunk = (ExactLinear.of(part, device) for part in (weights.input, weights.trunk))
        self.convs, self.outs, self.heads = (
            [ExactLinear.of(part, device) for part in parts] for parts in (weights.convs, weights.outs, weights.heads)
        )
        self.entering = [tensor_of(part, device) for part in weights.entering]
        self.own = tensor_of(weights.own, device)

    @cached_property
    def tables(self) -> DeviceTables:
        """Return the integer tables of distributions on the device."""
        return DeviceTables.on(self.device)

    def works_out(self, pixels: int) -> bool:
        """Return whether the device has more to do for so many pixels than the network alone."""
        return self.there is not None and pixels >= self.there

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
    ) -> ConvNetState:
        """Return the state before the first pixel of images of these (height, width).

        block: pixels to be worked on at once, in whole lines; single: one line at a time, though places are computed
        for so many pixels at once; keep: the cells of all lines, so that any of them can be predicted again; within:
        see `PixelNetwork.start`.
        """
        return ConvNetState(self, sizes, block, single, keep, within)


def features(
    state: RevealedPixels, pixels: StepPixels, columns: int, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Return features as `by_words` has them, int8 [n, columns], of which the last may be padding, and the simple
    prediction, int16 [n, 4]; see `convnet.model.features`. device: that works them out, None for the CPU.
    """
    found = state.values.take(pixels.value_cell + state.inputs, mode="wrap")  # [22, n]
    x = torch.from_numpy(found).to(device).view(torch.uint8).to(torch.int16)  # [22, 4 n]
    west, north, north_east, north_west = (x[i] for i in NEAREST)
    base = west.add(north).mul_(2).add_(north_east).sub_(north_west).add_(2).bitwise_right_shift_(2).clamp_(0, 255)
    taps = x.sub(base).clamp_(-LARGEST, LARGEST).to(torch.int8)
    rows = torch.zeros(found.shape[1], columns, dtype=torch.int8, device=device)
    words = rows.view(torch.int32)
    words[:, : len(INPUT_TAPS)] = taps.view(torch.int32).t()
    words[:, len(INPUT_TAPS)] = (base - 128).to(torch.int8).view(torch.int32)
    start = WORD * (len(INPUT_TAPS) + 1)
    rows[:, start : start + 3 * REACH] = torch.from_numpy(pixels.flags).to(device)
    return rows, base.view(-1, WORD)


class ConvNetState(RevealedPixels):
    """The inference state of some images: the values revealed so far and the features of every layer, in cells.

    It goes through the pixels once: `blocks`, and for each of them `predict` and `reveal`, in this order when decoding.
    """

    def __init__(
        self,
        network: ExactConvNet,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool,
        keep: bool = False,
        within: tuple[int, int] | None = None,
    ) -> None:
        config = network.config
        dilations = [config.dilation(i) for i in range(config.blocks)]
        super().__init__(sizes, block, single, kinds := config.kinds, keep, parts_of(config, within))
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
        there = network.device if network.works_out(len(pixels.cell)) else None
        inputs, base = features(self, pixels, network.input.weight.shape[0], there)
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
        self.base: Floats32 = base.cpu().numpy().T.astype(np.float32)
        self.errors: list[Floats32] = []
        self.own: list[Floats32] = []

    def channel(self, k: int) -> Mixture | DeviceMixture:
        """Distribution of the k-th coded channel, once `condition` was called for those before it."""
        hidden = self.trunk[:, k * self.width : (k + 1) * self.width].clamp_min(0)
        given = self.network.heads[k](*self.network.quantise.positive(hidden)).t().contiguous()
        mixtures = self.network.config.mixtures
        if self.network.works_out(len(self.trunk)):
            base, *errors = (self._there(x) for x in (self.base[CODING_ORDER[k]], *self.errors, *self.own))
            return DeviceMixture.of(given, base, errors, mixtures, self.network.tables)
        out = given.cpu().numpy()
        return mixture(out, self.base[CODING_ORDER[k]], [*self.errors, *self.own], mixtures)

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

    def _there(self, numbers: Floats32) -> Tensor:
        return torch.from_numpy(numbers).to(self.network.device)

    def _small(self, error: Floats32) -> Tensor:
        """Differences of pixel values as the network reads them, [N, 1]."""
        return self._there(error).clamp(-LARGEST, LARGEST).mul_(1 / INPUT_SCALE).unsqueeze(1)


def as_words(rows: Tensor) -> Tensor:
    """A view of int8 [N, C] that is copied 8 bytes at a time, where C allows it."""
    return rows.view(torch.int64) if rows.shape[1] % 8 == 0 else rows
