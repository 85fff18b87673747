"""Training of an archive model whose Gaussian sender sends pixel after pixel, in tiles.

The loss of an item is that of all its steps, each with one sample of the sender's noise, so that its mean is L^n
(Graves et al. 2023, eq. 16).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.wavefront.model import CLASSES, FIRST, WavefrontConfig, WavefrontNet
from bfncodec.training.config import Settings, Table, make
from bfncodec.training.items import ItemBatch
from bfncodec.training.tasks.archive import ArchiveTask
from bfncodec.training.tasks.base import described


class WavefrontTask(ArchiveTask):
    """A causal network for the final steps of pixels, and another for their noisy ones where they have two steps."""

    matrices: ClassVar[tuple[str, ...]] = ("blocks.", f"{FIRST}blocks.")

    network: WavefrontNet

    def __init__(self, settings: Settings, device: torch.device) -> None:
        config = network_of(settings.network)
        super().__init__(settings, config)
        self.network = WavefrontNet(config)
        self.config = described(
            settings,
            sender="gaussian",
            schedule=settings.schedule,
            steps=config.steps,
            network=config.to_dict(),
        )

    def loss(self, network: nn.Module, batch: ItemBatch) -> Tensor:
        """Return an estimate of L^n from all steps of each item."""
        return loss(network, batch)

    def round_features(self, rounded: bool) -> None:
        """Round weights of 8 bits and features in the network's products, or do not."""
        self.network.rounded = rounded


def network_of(table: Table) -> WavefrontConfig:
    """Read the [network] table. Raises InputError for tiles, schedules or networks that cannot be."""
    own = {name: table[name] for name in WavefrontConfig.OWN if name in table}
    make(ConvNetConfig, {name: value for name, value in table.items() if name not in own}, "network")
    try:
        return WavefrontConfig.from_dict(table)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"[network] of the training configuration: {error}") from error


def loss(network: nn.Module, batch: ItemBatch) -> Tensor:
    """Return L^n in bits per dimension, averaged over the batch. Items fill [-1, 1]; the network reads levels."""
    x, _, noise, _ = batch
    levels = ((x + 1) * (CLASSES / 2) - 0.5).round()
    bits: Tensor = network(levels.permute(0, 3, 1, 2), noise.permute(0, 3, 1, 2)).mean()
    return bits
