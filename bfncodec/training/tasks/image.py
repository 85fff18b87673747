"""Training of an image model: the erasure sender under the wavefront schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.convnet.model import ConvNet, ConvNetConfig
from bfncodec.training.config import Settings, Table, make
from bfncodec.training.data import CropSampler, ImageSource, Pictures, load_images
from bfncodec.training.draws import Draws
from bfncodec.training.tasks.base import Task, described_erasure, held_out_names


class ImageTask(Task[Tensor]):
    """Random crops of images; a batch is float32 [B, 3, H, W] or [B, 1, H, W] of integers, one of each source a step.

    With the erasure sender L^n is the sum of -log2 p_O over all dimensions, whatever the schedule.
    """

    network: ConvNet

    def __init__(self, settings: Settings, device: torch.device) -> None:
        config = make(ConvNetConfig, settings.network, "network")
        if config.bits not in (8, 16):
            raise InputError(f"training configuration: expected bits = 8 or 16, found {config.bits}")
        if settings.train.rounded and config.bits != 8:
            raise InputError("training configuration: rounded is for networks of bits = 8")
        self.samplers = crop_samplers(settings.data, "data", device)
        held_out = Draws(1)
        self.validation = [sampler(held_out) for sampler in crop_samplers(settings.validation, "validation", "cpu")]
        self.names = held_out_names(settings)
        self.network = ConvNet(config)
        self.config = described_erasure(
            settings,
            channels=sorted({1 if sampler.source.grey else 3 for sampler in self.samplers}),
            network=config.to_dict(),
        )

    def sample(self, draws: Draws) -> list[Tensor]:
        """Draw a batch of each source."""
        return [sampler(draws) for sampler in self.samplers]

    def loss(self, network: nn.Module, batch: Tensor) -> Tensor:
        """Return the mean of -log2 p_O over subpixels."""
        bits: Tensor = network(batch).mean()
        return bits

    def weight(self, batch: Tensor) -> float:
        """Return the number of subpixels: all count alike, of whatever source."""
        return batch.numel()

    def round_features(self, rounded: bool) -> None:
        """Round weights of 8 bits and features in the network's products, or do not."""
        self.network.rounded = rounded


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
