"""Axes and extents: the parts into which content is cut, and where in the content each of them lies.

docs/format.md, section 2, is the specification. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bfncodec.errors import DamagedError
from bfncodec.format.lineindex import Lines
from bfncodec.format.wire import Reader, varint

__all__ = ["FINEST", "NOWHERE", "Axes", "Extent", "Granularity", "Items", "check_granularity", "extents", "overlap"]

Axes = tuple[tuple[int, int], ...]
"""(length, parts) of each dimension: of the bytes, or of the rows and the columns of a picture."""

Extent = tuple[tuple[int, int], ...]
"""(start, stop) in each dimension: where a segment lies in the content."""

NOWHERE: Extent = ()
"""Extent that overlaps no segment."""


@dataclass(frozen=True)
class Items:
    """Granularity of bytes that are cut between items of one size.

    Parameters
    ----------
    size
        Bytes of an item.
    first
        Byte at which the first item begins.
    parts_before
        Number of parts of what is before the first item; with 0, all of that belongs to the part of the first item.
    """

    size: int
    first: int = 0
    parts_before: int = 0

    def write(self) -> bytes:
        """Return the bytes of the table: size and first, and the number of parts if there are any."""
        apart = varint(self.parts_before) if self.parts_before else b""
        return varint(self.size) + varint(self.first) + apart

    @classmethod
    def read(cls, value: bytes) -> Items:
        """Return what :meth:`write` wrote. Raises DamagedError for what it never writes."""
        reader = Reader(value)
        size, first = reader.varint("the size of an item"), reader.varint("the first item's place")
        apart = reader.varint("parts before the first item") if reader.offset < len(value) else None
        if not size or reader.rest() or apart == 0:
            raise DamagedError(f"items of {size} bytes from byte {first} cannot be")
        return cls(size, first, apart or 0)


Granularity = Items | Lines
"""Places at which bytes may be cut: between items, so that parts have equal numbers of them, or after lines."""

FINEST = Items(1)
"""Bytes are cut anywhere."""


def extents(axes: Axes, granularity: Granularity = FINEST) -> Iterator[Extent]:
    """Yield the extents of all segments in order: each axis cut into parts that differ by one item at most."""
    if not axes:
        yield ()
        return
    (length, parts), *others = axes
    for cut in pairwise(_edges(length, parts, granularity)):
        for rest in extents(tuple(others), granularity):
            yield (cut, *rest)


def overlap(one: Extent, other: Extent) -> bool:
    """Return whether two extents have something in common."""
    return len(one) == len(other) > 0 and all(a < d and c < b for (a, b), (c, d) in zip(one, other, strict=True))


def _edges(length: int, parts: int, granularity: Granularity) -> Sequence[int]:
    """Return the bytes at which the parts of an axis begin, and its length."""
    if isinstance(granularity, Lines):
        return granularity.edges(length)
    return [_edge(part, parts, length, granularity) for part in range(parts + 1)]


def _edge(part: int, parts: int, length: int, items: Items) -> int:
    if part in (0, parts):
        return length if part else 0
    before = items.parts_before
    if part < before:
        return part * items.first // before
    count = (length - items.first) // items.size
    return items.first + (part - before) * count // (parts - before) * items.size


def check_granularity(axis: tuple[int, int], granularity: Granularity) -> None:
    """Raise DamagedError if a part of the axis would have no item or line, or no bytes."""
    length, parts = axis
    if isinstance(granularity, Lines):
        granularity.check(length, parts)
        return
    size, first, before = granularity.size, granularity.first, granularity.parts_before
    if not before < parts or before > first or first + (parts - before) * size > length:
        raise DamagedError(f"{parts} segments of items of {size} bytes do not fit the content")
