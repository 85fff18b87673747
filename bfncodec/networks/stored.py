"""The tensors of model.safetensors as NumPy arrays: their shapes, checks, and the integer layers that they are.

Both implementations of a network, of torch and of compiled kernels, are made from what is here, so that what is
computed of stored numbers is written once. Every operation on floats is one IEEE operation an element, see
docs/exactness.md. Shapes are computed from a configuration alone: building the trainable network to ask it takes
longer than coding a photo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.forks import cached_property
from bfncodec.runtime.arrays import Array, Bytes, Floats32

Shapes = dict[str, tuple[int, ...]]
Tensors = Mapping[str, Array]

CODEBOOK = "levels"  # the tensor of the 16 values that 4 bits stand for, int8
LARGEST = 127  # of an int8 weight or activation; -128 is never used
TINY = float(np.float32(1e-6))  # rows whose largest value is below this count as this large
LEAST_SQUARE = float(np.float32(1e-3))  # the mean of a row's squares counts as at least this
WEIGHT_TOTAL = 1 << 16  # attention weights are integers that sum to about this
MULTIPLE = 8  # of rows that matrices are filled up to


def linear_shapes(name: str, outputs: int, inputs: int, *, bias: bool = True, fine: bool = False) -> Shapes:
    """The tensors that `LinearWeights` are read from; `fine`: with the second matrix."""
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


def check_shapes(tensors: Mapping[str, Any], shapes: Shapes) -> None:
    """Refuse stored tensors that are not of these shapes. Raises ValueError with the first that does not fit."""
    for name, shape in shapes.items():
        found = list(tensors[name].shape) if name in tensors else "none"
        if found != list(shape):
            raise ValueError(f"expected {name} of shape {list(shape)}, found {found}")


def check_tensors(network: Mapping[str, Any], tensors: Tensors) -> None:
    """Refuse what no network has, before one is built. Raises ValueError for numbers that are not finite, and for more
    blocks or layers than there are tensors: they would be counted one by one.
    """
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ValueError(f"expected finite numbers in {name}, found others")
    for name in ("blocks", "layers"):
        if type(network.get(name, 0)) is not int or network.get(name, 0) > len(tensors):
            raise ValueError(f"expected at most {len(tensors)} {name}, found {network[name]}")


def integers(tensors: Tensors, name: str) -> NDArray[np.int8]:
    """Return a stored tensor of int8. Raises ValueError for one of another type."""
    found = tensors[name]
    if found.dtype != np.int8:
        raise ValueError(f"expected {name} of type int8, found {found.dtype}")
    return found


def floats(tensors: Tensors, name: str) -> Floats32:
    """Return a stored tensor of float32 or float16, as float32. Raises ValueError for one of another type."""
    found = tensors[name]
    if found.dtype not in (np.float32, np.float16):
        raise ValueError(f"expected {name} of type float32, found {found.dtype}")
    return found.astype(np.float32, copy=False)


def table_rows(tensors: Tensors, name: str) -> NDArray[np.int8]:
    """Rows of a table, int8 [rows, columns], of the stored NAME.q: as they are, or where that is uint8, packed numbers
    of 4 bits, each of which stands for one of the `CODEBOOK`.
    """
    stored = tensors[f"{name}.q"]
    if stored.dtype != np.uint8:
        return integers(tensors, f"{name}.q")
    return _unpacked(stored, integers(tensors, CODEBOOK))


def _unpacked(stored: Bytes, levels: NDArray[np.int8]) -> NDArray[np.int8]:
    byte = np.arange(256)
    pairs = np.stack([levels[byte % 16], levels[byte // 16]], 1).view(np.int16)[:, 0]  # copied as one number
    return pairs[stored].view(np.int8).reshape(len(stored), -1)


@dataclass(frozen=True)
class LinearWeights:
    """y = x W^T + b with int8 x and W. weight: int8 [in, out] (transposed, filled up with rows of zeros to a `MULTIPLE`
    of them; columns lie beside each other in memory, as they are stored); scale, bias: float32 [out].

    Where 8 bits of weight are too few there is a second matrix beside the first, int8 [in, 2 out], in units of 1/254
    of it.
    """

    weight: NDArray[np.int8]
    scale: Floats32
    bias: Floats32 | None

    @classmethod
    def of(cls, tensors: Tensors, name: str, input_scale: float = 1.0) -> LinearWeights:
        """Return the layer of the stored tensors NAME.q int8 [out, in], NAME.s float32 [out] and perhaps NAME.b and
        NAME.r, the second matrix; `input_scale` is the value of one unit of the int8 input, where that is a constant.
        """
        parts = [integers(tensors, key) for key in (f"{name}.q", f"{name}.r") if key in tensors]
        columns = np.concatenate(parts) if len(parts) > 1 else parts[0]
        missing = -columns.shape[1] % MULTIPLE
        if missing:
            columns = np.concatenate([columns, np.zeros((len(columns), missing), np.int8)], axis=1)
        bias = floats(tensors, f"{name}.b") if f"{name}.b" in tensors else None
        return cls(columns.T, floats(tensors, f"{name}.s") * np.float32(input_scale), bias)


@dataclass(frozen=True)
class TableWeights:
    """Rows with a scale each, of one table or of several of the same width.

    They are looked up and never multiplied with one another, so that tables may be stored in 4 bits (`table_rows`).

    Attributes
    ----------
    stored
        The rows as they are stored: int8 [rows, d], or uint8 [rows, d / 2], two numbers of 4 bits in a byte.
    scale
        float32 [rows].
    levels
        What these numbers stand for, int8 [16]; unused where there are none.
    """

    stored: Array
    scale: Floats32
    levels: NDArray[np.int8]

    @classmethod
    def of(cls, tensors: Tensors, names: Sequence[str]) -> TableWeights:
        """Return the stored tables NAME.q and NAME.s of all names, behind each other. Raises ValueError for tables of
        another type than the first.
        """
        coarse = tensors[f"{names[0]}.q"].dtype == np.uint8
        found = [tensors[f"{name}.q"] if coarse else integers(tensors, f"{name}.q") for name in names]
        if any(table.dtype != found[0].dtype for table in found):
            raise ValueError(f"expected {names[0]}.q and those behind it of one type")
        levels = integers(tensors, CODEBOOK) if coarse else np.zeros(16, np.int8)
        return cls(np.concatenate(found), np.concatenate([floats(tensors, f"{name}.s") for name in names]), levels)

    @property
    def coarse(self) -> bool:
        """Return whether the rows are stored in 4 bits."""
        return self.stored.dtype == np.uint8

    @cached_property
    def rows(self) -> NDArray[np.int8]:
        """The rows as numbers, int8 [rows, d]."""
        return _unpacked(self.stored, self.levels) if self.coarse else self.stored
