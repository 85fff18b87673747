"""The part of a training that archive models of all Gaussian senders share: items of one shape, and noise for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from bfncodec.training.config import Settings, Table, make
from bfncodec.training.draws import Draws
from bfncodec.training.items import ItemBatch, Items, ItemSampler, ItemSource
from bfncodec.training.tasks.base import Task, held_out_names

VALIDATION_ITEMS = 256


class ArchiveTask(Task[ItemBatch]):
    """Random items of the first [[data]]; L^n is estimated from one sample of the noise. A subclass has the loss."""

    def __init__(self, settings: Settings, config: Items) -> None:
        self.sampler = ItemSampler(item_sources(settings.data, "data")[0], config, settings.train.batch)
        self.validation = [
            ItemSampler(source, config, VALIDATION_ITEMS)(np.random.default_rng(1))
            for source in item_sources(settings.validation, "validation")
        ]
        self.names = held_out_names(settings)

    def sample(self, draws: Draws) -> list[ItemBatch]:
        """Draw a batch of items and noise."""
        return [self.sampler(draws.host)]

    @abstractmethod
    def loss(self, network: nn.Module, batch: ItemBatch) -> Tensor:
        """Return an estimate of L^n in bits per dimension."""


def item_sources(tables: Sequence[Table], name: str) -> list[ItemSource]:
    """Read [[data]] or [[validation]]."""
    return [make(ItemSource, table, name) for table in tables]
