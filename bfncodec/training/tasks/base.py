"""The interface between the training loop and a kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.training.config import Settings
from bfncodec.training.draws import Draws

Batch = TypeVar("Batch", bound=Tensor | tuple[Tensor | int, ...])
"""Data that a loss takes besides the network: a tensor, or several of them and numbers."""


class Task(ABC, Generic[Batch]):
    """One kind of model in training: its network, its data, its loss, and what is exported.

    A task is made from the settings of a training and the device that it runs on; making it reads the data. Losses are
    code lengths, in bits per dimension. A new kind of model is a subclass in a file of its own, and a line in
    :mod:`bfncodec.training.tasks.table`.
    """

    matrices: ClassVar[tuple[str, ...]] = ("blocks.",)
    """Beginnings of the names of the parameters whose matrices Muon trains."""

    network: TrainableNetwork
    """Network that is trained, with its first random weights."""
    validation: Sequence[Batch]
    """Held-out batches, one for each figure that is reported."""
    names: Sequence[str]
    """Names of the held-out batches, for people."""
    config: Mapping[str, Any]
    """The model's config.json, as far as it is known before the training."""

    @abstractmethod
    def sample(self, draws: Draws) -> Sequence[Batch]:
        """Draw the batches of one step."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the code length of a batch in bits per dimension, a scalar. network: this task's, or it compiled."""

    def size(self, batch: Batch) -> int:
        """Return the bytes or subpixels of a batch: each counts alike among those of a step."""
        data = batch if isinstance(batch, Tensor) else next(part for part in batch if isinstance(part, Tensor))
        return data.numel()

    def round_features(self, rounded: bool) -> None:
        """Train with weights and features rounded as the integer implementation rounds them, or without.

        Raises InputError for networks that cannot.
        """
        raise InputError("[train] of the training configuration: rounded is for image models alone")

    def tables(self, network: TrainableNetwork) -> Mapping[str, Tensor]:
        """Return what is stored besides the weights of a trained network."""
        return {}

    def findings(self, network: TrainableNetwork) -> Mapping[str, Any]:
        """Return what config.json learns from a trained network. May take minutes."""
        return {}


def described(settings: Settings, **more: Any) -> dict[str, Any]:
    """Return the config.json of a model: its name, its role and more."""
    return {"name": settings.name, "role": settings.role, **more}


def described_erasure(settings: Settings, **more: Any) -> dict[str, Any]:
    """Return the config.json of a model with the erasure sender, with when it serves unasked if the settings say so."""
    serves = {key: getattr(settings, key) for key in ("levels", "beside") if getattr(settings, key) is not None}
    return described(settings, sender="erasure", schedule=settings.schedule, **serves, **more)


def held_out_names(settings: Settings) -> list[str]:
    """Return a name for each [[validation]]: its paths, and the keys that are set to true."""
    return [
        ", ".join([*map(str, table.get("paths", [])), *(key for key, value in table.items() if value is True)])
        for table in settings.validation
    ]
