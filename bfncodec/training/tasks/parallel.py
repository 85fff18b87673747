"""Training of an archive model whose Gaussian sender sends all dimensions at once, a little at each step.

The loss of an item is n KL(p_S || p_R) at one random step of a protocol of `STEPS` steps, or the reconstruction term
at its end (Graves et al. 2023, eqs. 16 to 18).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.parallel.model import Denoiser, DenoiserConfig
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.training import grids
from bfncodec.training.config import Settings, Table, make
from bfncodec.training.gaussian import LN2, TERMS, accuracy_at, clocks, sum_of_samples
from bfncodec.training.items import ItemBatch, ItemSampler
from bfncodec.training.tasks.archive import ArchiveTask, item_sources
from bfncodec.training.tasks.base import described

CLASSES = 27  # of text, see `to_letters`
STEPS = 32  # of the protocol whose steps are trained on
RECONSTRUCTED = 8  # one item in this many trains the reconstruction instead of a step
LEAST_END = 0.3  # the reconstruction is trained for ends between this share of beta and beta
GRID_ITEMS = 64  # whose costs choose the step grids
GRID_SEED = 3


class ParallelTask(ArchiveTask):
    """A denoiser that reads all dimensions at every step."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.denoiser = network_of(settings.network)
        super().__init__(settings, self.denoiser)
        self.settings, self.device = settings, device
        self.network = Denoiser(self.denoiser)
        self.config = described(
            settings, sender="gaussian", schedule=settings.schedule, network=self.denoiser.to_dict()
        )

    def loss(self, network: nn.Module, batch: ItemBatch) -> Tensor:
        """Return an estimate of L^n from one step of each item, or its end."""
        return loss(network, batch, self.denoiser)

    def findings(self, network: TrainableNetwork) -> dict[str, Any]:
        """Return the step grids of least L^n on held-out items, or on those of the training where there are none."""
        source = (item_sources(self.settings.validation, "validation") or item_sources(self.settings.data, "data"))[0]
        batch = ItemSampler(source, self.denoiser, GRID_ITEMS)(np.random.default_rng(GRID_SEED))
        x, time, noise, fresh = (part.to(self.device) for part in batch)
        return {"steps": STEPS, "grids": grids.grids(network, self.denoiser, (x, time, noise, fresh))}


def network_of(table: Table) -> DenoiserConfig:
    """Read the [network] table. Raises InputError for a kind of data or a number of classes that cannot be."""
    try:
        config = make(DenoiserConfig, table, "network")
    except ValueError as error:
        raise InputError(f"[network] of the training configuration: {error}") from error
    if config.kind == "discrete" and config.classes != CLASSES:
        raise InputError(
            f"[network] of the training configuration: expected {CLASSES} classes, a space and the letters a to z, "
            f"found {config.classes}"
        )
    if config.kind not in TERMS:
        raise InputError(
            "[network] of the training configuration: expected kind discretised, binary or discrete, "
            f"found {config.kind!r}"
        )
    return config


def loss(network: nn.Module, batch: ItemBatch, config: DenoiserConfig) -> Tensor:
    """Return L^n in bits per dimension, averaged over the batch, from one step of each item or its end."""
    x, time, noise, fresh = batch
    ends = torch.arange(len(x), device=x.device) % RECONSTRUCTED == 0
    beta, alpha = accuracies(config, time.double(), ends)
    clock = clocks(config, beta)
    shape = (-1, *[1] * (noise.ndim - 1))
    beta, alpha = beta.float().view(shape), alpha.float().view(shape)
    terms = TERMS[config.kind]
    s = sum_of_samples(x, beta, noise, config)
    p = terms.output(network, s, beta, clock, config)
    step = terms.step(x, p, alpha, fresh)[[i for i in range(len(x)) if i % RECONSTRUCTED]] * STEPS
    end = terms.end(x, p, config.classes)[::RECONSTRUCTED]
    return (step.flatten(1).mean(1).mean() + end.flatten(1).mean(1).mean()) / LN2


def accuracies(config: DenoiserConfig, time: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Return (beta before a step, alpha of the step) for random times [B]; where the protocol ends, beta is its end and
    alpha of no use.
    """
    start = time * (1 - 1 / STEPS)
    beta = accuracy_at(config, start)
    alpha = accuracy_at(config, start + 1 / STEPS) - beta
    return torch.where(ends, config.beta * LEAST_END ** (1 - time), beta), alpha
