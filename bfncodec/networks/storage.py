"""The storage of networks: names and shapes of the tensors in model.safetensors.

Computed from a configuration alone: building the trainable network to ask it takes longer than coding a photo.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Shapes = dict[str, tuple[int, ...]]

CODEBOOK = "levels"  # the tensor of the 16 values that 4 bits stand for, int8


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


def folded(rows: Tensor, count: int) -> Tensor:
    """Fold a hashed table to `count` rows, if it has more: [rows, columns] -> [count, columns].

    The first bits of a hash name its row, so rows that now share a hash are neighbours; they give it their mean.
    """
    return rows.view(count, -1, rows.shape[1]).mean(1) if len(rows) > count else rows


def linear_shapes(name: str, outputs: int, inputs: int, *, bias: bool = True, fine: bool = False) -> Shapes:
    """The tensors :class:`bfncodec.networks.exact.ExactLinear` is loaded from; `fine`: with the second matrix."""
    shapes: Shapes = {f"{name}.q": (outputs, inputs), f"{name}.s": (outputs,)}
    if bias:
        shapes[f"{name}.b"] = (outputs,)
    if fine:
        shapes[f"{name}.r"] = (outputs, inputs)
    return shapes


def coarse_shapes(name: str, rows: int, columns: int) -> Shapes:
    """The tensors of a table of 4 bits, see `table_rows`. Raises ValueError for an odd number of columns."""
    if columns % 2:
        raise ValueError(f"{name}: tables of 4 bits have an even number of columns, found {columns}")
    return {f"{name}.q": (rows, columns // 2), f"{name}.s": (rows,), CODEBOOK: (16,)}


def packed(index: Tensor) -> Tensor:
    """Numbers below 16, [rows, 2 n], two in each byte, the first of a pair in its low bits: uint8 [rows, n]."""
    low, high = index.to(torch.uint8).view(len(index), -1, 2).unbind(2)
    return low | (high << 4)


def table_rows(tensors: dict[str, Tensor], name: str) -> Tensor:
    """Rows of a table, int8 [rows, columns], of the stored NAME.q: as they are, or where that is uint8, packed numbers
    of 4 bits, each of which stands for one of the `CODEBOOK`.
    """
    stored = tensors[f"{name}.q"]
    if stored.dtype != torch.uint8:
        return stored
    byte, levels = torch.arange(256), tensors[CODEBOOK]
    pairs = torch.stack([levels[byte % 16], levels[byte // 16]], 1)
    return pairs.index_select(0, stored.reshape(-1).int()).view(len(stored), -1)


def check_shapes(tensors: dict[str, Tensor], shapes: Shapes) -> None:
    """Refuse stored tensors that are not of these shapes. Raises ValueError with the first that does not fit."""
    for name, shape in shapes.items():
        found = list(tensors[name].shape) if name in tensors else "none"
        if found != list(shape):
            raise ValueError(f"expected {name} of shape {list(shape)}, found {found}")


def check_tensors(network: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Refuse what no network has, before one is built. Raises ValueError for numbers that are not finite, and for more
    blocks or layers than there are tensors: they would be counted one by one.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.double().isfinite().all()):
            raise ValueError(f"expected finite numbers in {name}, found others")
    for name in ("blocks", "layers"):
        if type(network.get(name, 0)) is not int or network.get(name, 0) > len(tensors):
            raise ValueError(f"expected at most {len(tensors)} {name}, found {network[name]}")
