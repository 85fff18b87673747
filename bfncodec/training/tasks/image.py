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

Crops = tuple[Tensor, int]
"""Crops of one size, float32 [B, 3, H, W] of integers, and how many of them, the first ones, are in colour; the others
have three equal channels. Where all are grey, [B, 1, H, W].
"""


class ImageTask(Task[Crops]):
    """Random crops of images, a batch of each size a step.

    With the erasure sender L^n is the sum of -log2 p_O over all dimensions, whatever the schedule.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.network, network = network_of(settings)
        self.samplers = crop_samplers(settings.data, "data", device)
        held_out = Draws(1)
        validation = crop_samplers(settings.validation, "validation", "cpu")
        self.validation = [together([sampler(held_out)]) for sampler in validation]
        self.names = held_out_names(settings)
        self.config = described_erasure(
            settings,
            channels=sorted({1 if sampler.source.grey else 3 for sampler in self.samplers}),
            network=network,
        )

    def sample(self, draws: Draws) -> list[Crops]:
        """Draw crops of each source; those of one size are one batch."""
        alike: dict[torch.Size, list[Tensor]] = {}
        for sampler in self.samplers:
            crops = sampler(draws)
            alike.setdefault(crops.shape[2:], []).append(crops)
        return [together(crops) for crops in alike.values()]

    def size(self, batch: Crops) -> int:
        """Return the subpixels that are coded."""
        x, colour = batch
        return (3 * colour + len(x) - colour) * x.shape[2] * x.shape[3]

    def loss(self, network: nn.Module, batch: Crops) -> Tensor:
        """Return the mean of -log2 p_O over subpixels; of grey crops the first coded channel alone needs bits."""
        x, colour = batch
        bits = network(x)
        total: Tensor = bits[:colour].sum() + bits[colour:, 0].sum()
        return total / self.size(batch)

    def round_features(self, rounded: bool) -> None:
        """Round weights of 8 bits and features in the network's products, or do not."""
        if isinstance(self.network, ConvNet):
            self.network.rounded = rounded
        else:
            super().round_features(rounded)


def together(crops: Sequence[Tensor]) -> Crops:
    """Make one batch of crops of one size, each [N, 3, H, W] or, grey, [N, 1, H, W]."""
    colour, grey = ([part for part in crops if part.shape[1] == channels] for channels in (3, 1))
    if colour:
        grey = [part.expand(-1, 3, -1, -1) for part in grey]
    return torch.cat([*colour, *grey]), sum(map(len, colour))


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
