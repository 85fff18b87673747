"""Training of an image model: the erasure sender under the wavefront schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.training.config import Settings, Table, make
from bfncodec.training.data import CropSampler, ImageSource, Pictures, load_images
from bfncodec.training.draws import Draws
from bfncodec.training.tasks.base import Task, described_erasure, held_out_names


class ImageTask(Task[Tensor]):
    """Random crops of images; a batch is float32 [B, 3, H, W] or [B, 1, H, W] of integers, one of each shape a step.

    With the erasure sender L^n is the sum of -log2 p_O over all dimensions, whatever the schedule.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.network, network = network_of(settings)
        self.samplers = crop_samplers(settings.data, "data", device)
        held_out = Draws(1)
        self.validation = [sampler(held_out) for sampler in crop_samplers(settings.validation, "validation", "cpu")]
        self.names = held_out_names(settings)
        self.config = described_erasure(
            settings,
            channels=sorted({1 if sampler.source.grey else 3 for sampler in self.samplers}),
            network=network,
        )

    def sample(self, draws: Draws) -> list[Tensor]:
        """Draw a batch of each source; those of one shape are one."""
        alike: dict[torch.Size, list[Tensor]] = {}
        for sampler in self.samplers:
            crops = sampler(draws)
            alike.setdefault(crops.shape[1:], []).append(crops)
        return [torch.cat(batches) for batches in alike.values()]

    def loss(self, network: nn.Module, batch: Tensor) -> Tensor:
        """Return the mean of -log2 p_O over subpixels."""
        bits: Tensor = network(batch).mean()
        return bits

    def round_features(self, rounded: bool) -> None:
        """Round weights of 8 bits and features in the network's products, or do not."""
        if isinstance(self.network, ConvNet):
            self.network.rounded = rounded
        else:
            super().round_features(rounded)


Made = tuple[TrainableNetwork, dict[str, Any]]
"""A network with its first random weights, and the table `network` of its config.json."""


def network_of(settings: Settings) -> Made:
    """Make the network that [network] describes. Raises InputError for an architecture that is not known."""
    name = settings.network.get("architecture", next(iter(NETWORKS)))
    if name not in NETWORKS:
        raise InputError(
            f"[network] of the training configuration: expected the architecture {' or '.join(NETWORKS)}, "
            f"found {name!r}"
        )
    return NETWORKS[name](settings)


def convnet(settings: Settings) -> Made:
    """Make the masked convolutional network. Raises InputError for numbers of bits that it cannot have."""
    config = make(ConvNetConfig, settings.network, "network")
    if config.bits not in (8, 16):
        raise InputError(f"training configuration: expected bits = 8 or 16, found {config.bits}")
    if settings.train.rounded and config.bits != 8:
        raise InputError("training configuration: rounded is for networks of bits = 8")
    return ConvNet(config), config.to_dict()


NETWORKS: Mapping[str, Callable[[Settings], Made]] = {"convnet": convnet}
"""Networks of pictures by the name of their architecture, as in :mod:`bfncodec.codecs.image`; the first is that of a
configuration that names none.
"""


def crop_samplers(tables: Sequence[Table], name: str, device: torch.device | str) -> list[CropSampler]:
    """Make the samplers of [[data]] or [[validation]]; images that several read are held once."""
    loaded: dict[ImageSource, Pictures] = {}
    samplers = []
    for table in tables:
        source = make(ImageSource, table, name)
        files = replace(source, crop=0, batch=0, grey=False, vary=False)
        loaded[files] = loaded.get(files) or Pictures(load_images(source), device)
        samplers.append(CropSampler(source, loaded[files]))
    return samplers
