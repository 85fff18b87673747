"""Values of items: the levels, classes or bits that a model codes, and the bytes that stand for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.bitsback import Ints

LETTERS = b" abcdefghijklmnopqrstuvwxyz"
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class ItemValues:
    """The values of a model's items.

    Parameters
    ----------
    kind
        Either `discretised`, levels that are bytes themselves; `binary`, 0 and one other byte, the *white* one, which
        stands for 1; or `discrete`, letters by their numbers.
    classes
        Number of values.
    item
        Bytes of an item.

    Raises ValueError for another number of letters than there are.
    """

    kind: str
    classes: int
    item: int

    def __post_init__(self) -> None:
        if self.kind == "discrete" and self.classes != len(LETTERS):
            raise ValueError(f"expected {len(LETTERS)} classes of letters, found {self.classes}")

    def white(self, data: Bytes) -> int | None:
        """Return the byte of a 1 in binary data, 0 for other kinds, None where the data are not of the kind."""
        if self.kind == "binary":
            found = np.flatnonzero(np.bincount(data[len(data) % self.item :], minlength=256)[1:]) + 1
            return int(found[0]) if len(found) == 1 else None
        if self.kind == "discretised" and data.max(initial=0) >= self.classes:
            return None
        if self.kind == "discrete" and not np.isin(data, np.frombuffer(LETTERS, np.uint8)).all():
            return None
        return 0

    def refusal(self, data: Bytes) -> str:
        """Say why data are not of the kind: nothing where they are."""
        if self.white(data) is not None:
            return ""
        if self.kind == "binary":
            return f"codes items of two values, 0 and one other, found {len(np.unique(data))} values"
        if self.kind == "discretised":
            return f"codes levels 0 to {self.classes - 1}, found {data.max()}"
        found = int(np.flatnonzero(~np.isin(data, np.frombuffer(LETTERS, np.uint8)))[0])
        return f"codes small letters and spaces only, found {data[found : found + 1].tobytes()!r} at byte {found}"

    def of_bytes(self, data: Bytes, white: int) -> Ints:
        """Return the values that bytes stand for, int64 [N]."""
        if self.kind == "binary":
            ones: NDArray[np.bool_] = data == white
            return ones.astype(np.int64)
        return _number_of_letter()[data] if self.kind == "discrete" else data.astype(np.int64)

    def to_bytes(self, values: Ints, white: int) -> Bytes:
        """Return the bytes that stand for values, uint8 [N]."""
        if self.kind == "binary":
            return (values * white).astype(np.uint8)
        return np.frombuffer(LETTERS, np.uint8)[values] if self.kind == "discrete" else values.astype(np.uint8)


def _number_of_letter() -> Ints:
    table = np.zeros(256, np.int64)
    table[np.frombuffer(LETTERS, np.uint8)] = np.arange(len(LETTERS))
    return table
