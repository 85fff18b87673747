"""The integer implementation of `WavefrontNet`, and its mixtures given samples."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.forks import cached_property
from bfncodec.networks.acceleration import CONVNET_STEPS, kernels_pay
from bfncodec.networks.convnet.exact import ConvNetState, ExactConvNet
from bfncodec.networks.convnet.mixture import MEAN_LIMIT, MEAN_STEPS, in_proportion
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.stored import check_shapes
from bfncodec.networks.wavefront.model import FIRST, WavefrontConfig
from bfncodec.runtime.arrays import Floats, Ints32

BLOCK = 1 << 12  # pixels whose places are made ready at once
PIXEL_SECONDS = 4e-4  # that one takes without compiled kernels, roughly
UNIT = 2.0**-6  # of what components are likely by: 2^14 of weight, times 2^20 of the table
SHARES = 16  # of a mixture's unit of weight: what a component has that the network gives none


class ExactWavefront:
    """The networks of a model, and how they are used."""

    def __init__(self, config: WavefrontConfig, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.config, self.device = config, device
        two = bool(config.noise)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        if two:
            check_shapes(arrays, {"own": (3, 3 * config.network.width)})
        first = {name.removeprefix(FIRST): array for name, array in arrays.items() if name.startswith(FIRST)}
        self.final = ExactConvNet(ConvNetWeights.of(config.network, arrays, slopes=3 if two else 0), device)
        self.noisy = ExactConvNet(ConvNetWeights.of(config.network, first), device) if two else None

    def start(self, items: int, keep: bool = False) -> tuple[ConvNetState, ConvNetState | None]:
        """Return the inference states of the tiles of some items, for final steps and for noisy ones, which share their
        cells; with compiled kernels where they pay. keep: see `ExactConvNet.start`.
        """
        sizes = [self.config.tile] * (self.config.tiles * items)
        able = self.device.type == "cpu" and kernels_pay(
            PIXEL_SECONDS * items * prod(self.config.shape[:2]), CONVNET_STEPS
        )
        final, noisy = self._compiled if able else (self.final, self.noisy)
        run: ConvNetState = final.start(sizes, BLOCK, single=True, keep=keep)
        return run, None if noisy is None else run.shared_with(noisy)

    @cached_property
    def _compiled(self) -> tuple[Any, Any]:
        from bfncodec.networks.convnet.compiled import CompiledConvNet

        return CompiledConvNet(self.final.weights), self.noisy and CompiledConvNet(self.noisy.weights)


class NormalMixture:
    """A mixture of logistics as if its components were normal, in levels, and samples of it with noise of a deviation.

    Everything here is one correctly rounded operation of float64 on each number, or a table of integers: products,
    quotients, sums of two, square roots, and what is rounded to integers.
    """

    def __init__(self, mixture: Any, noise: float) -> None:
        weight, mean, inverse = mixture.components()
        self.mixture, self.noise = mixture, noise
        self.weight = weight.astype(np.int64) * SHARES + 1  # [K, N]
        self.mean: Floats = mean.astype(np.float64) / MEAN_STEPS
        self.inverse: Floats = inverse.astype(np.float64)
        scale = (tables.LOGISTIC_STEPS / MEAN_STEPS) / self.inverse
        self.own: Floats = scale * scale * tables.LOGISTIC_VARIANCE
        self.variance: Floats = self.own + noise * noise  # of samples

    def prior(self) -> Ints32:
        """Integers in proportion to the weights, [N, K]."""
        found: Ints32 = self.weight.T.astype(np.int32)
        return found

    def given(self, sample: Floats) -> Ints32:
        """Integers in proportion to the posterior weights given samples [N], [N, K]: weight times normal density, by
        table. That of the likeliest component is not 0, and all sum to less than 2^29.
        """
        away = sample - self.mean
        steps = away * away / self.variance * (tables.LOG2_E * tables.EXP2_STEPS / 2)
        steps -= np.minimum.reduce(steps)
        table = tables.exp2_table()
        near = table.take(np.rint(np.minimum(steps, len(table))).astype(np.int64), mode="clip")
        density = self.noise / np.sqrt(self.variance) * UNIT
        found: Ints32 = (self.weight * near * density).astype(np.int32)
        return found.T

    def posterior(self, sample: Floats) -> Any:
        """The mixture given samples [N], by Bayes' rule; components stay logistic.

        Variances v of a component and noise^2 of the sample give v / (v + noise^2) of the way to the sample.
        """
        mean = self.mean + self.own / self.variance * (sample - self.mean)
        mean = np.rint(mean * MEAN_STEPS).clip(-MEAN_LIMIT, MEAN_LIMIT)
        inverse = self.inverse * (np.sqrt(self.variance) / self.noise)
        weight = in_proportion(self.given(sample).T)
        return self.mixture.with_components(weight, mean.astype(np.float32), inverse.astype(np.float32))
