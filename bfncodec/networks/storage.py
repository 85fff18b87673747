"""The storage of trainable networks: how their tensors are written to model.safetensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Export:
    """The storage of a trainable network, as far as it is not one int8 matrix with one scale for each row.

    Every entry names tensors by how their names begin, but `grids`, which has the last part of the name.

    fine: matrices of 16 bits: they touch data, where 8 bits cost too much.
    by_column: tables with one scale for each column.
    coarse: tables of 4 bits.
    grids: matrices that are several in one, as (how many below, how many beside each other).
    copies: parts that begin a training as another part does, where the model it starts from has none of their own.
    """

    fine: tuple[str, ...] = ()
    by_column: tuple[str, ...] = ()
    coarse: tuple[str, ...] = ()
    grids: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)


class TrainableNetwork(nn.Module, ABC):
    """A network that declares how it is exported to model.safetensors, and how it begins with stored tensors."""

    @property
    @abstractmethod
    def export_as(self) -> Export:
        """The storage of this network's tensors."""

    def fitted(self, name: str, stored: Tensor) -> Tensor:
        """Adapt a float tensor of another network, stored as `name`, as far as it holds in this one."""
        return stored

    def compile_parts(self) -> bool:
        """Compile the parts that repeat, in place, which takes a fraction of the time for the whole; return whether
        this network has such parts.
        """
        return False


def folded(rows: Tensor, count: int) -> Tensor:
    """Fold a hashed table to `count` rows, if it has more: [rows, columns] -> [count, columns].

    The first bits of a hash name its row, so rows that now share a hash are neighbours; they give it their mean.
    """
    return rows.view(count, -1, rows.shape[1]).mean(1) if len(rows) > count else rows


def packed(index: Tensor) -> Tensor:
    """Numbers below 16, [rows, 2 n], two in each byte, the first of a pair in its low bits: uint8 [rows, n]."""
    low, high = index.to(torch.uint8).view(len(index), -1, 2).unbind(2)
    return low | (high << 4)
