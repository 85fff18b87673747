"""Cuts: how content is cut into segments, and where in the content each of them lies.

Bytes, text and arrays are cut into pieces of any length, pictures into the tiles of a grid. docs/format.md, section 2,
is the specification. No numpy, torch or PIL.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise, product

from bfncodec.forks import cached_property

__all__ = ["NOWHERE", "Cut", "Extent", "Grid", "Pieces", "overlap"]

Extent = tuple[tuple[int, int], ...]
"""(start, stop) in each dimension: where a segment lies in the content."""

NOWHERE: Extent = ()
"""Extent that overlaps no segment."""


@dataclass(frozen=True)
class Pieces:
    """Cut of bytes, of text or of the elements of an array: the length of each piece in bytes."""

    lengths: tuple[int, ...]

    @classmethod
    def equal(cls, length: int, parts: int, item: int = 1, first: int = 0) -> Pieces:
        """Return pieces that differ by one item at most.

        item: bytes of an item, between which is cut. first: the byte at which the first item begins; what is before
        it belongs to the first piece.
        """
        count = (length - first) // item
        edges = [0, *(first + part * count // parts * item for part in range(1, parts)), length]
        return cls(tuple(stop - start for start, stop in pairwise(edges)))

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """Bytes at which pieces begin, and the length of all."""
        return tuple(accumulate(self.lengths, initial=0))

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.lengths)

    @property
    def sides(self) -> tuple[int, ...]:
        """Length of all, in a tuple of one."""
        return (self.edges[-1],)

    @cached_property
    def extents(self) -> tuple[Extent, ...]:
        """Extents of all segments, in order."""
        return tuple((edge,) for edge in pairwise(self.edges))


@dataclass(frozen=True)
class Grid:
    """Cut of a picture into tiles: height and number of rows of tiles, width and number of columns."""

    height: int
    rows: int
    width: int
    columns: int

    @property
    def count(self) -> int:
        """Number of segments."""
        return self.rows * self.columns

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width."""
        return self.height, self.width

    @cached_property
    def extents(self) -> tuple[Extent, ...]:
        """Extents of all segments: the tiles row by row."""
        rows = [self.height * row // self.rows for row in range(self.rows + 1)]
        columns = [self.width * column // self.columns for column in range(self.columns + 1)]
        return tuple(product(pairwise(rows), pairwise(columns)))


Cut = Pieces | Grid


def overlap(one: Extent, other: Extent) -> bool:
    """Return whether two extents have something in common."""
    return len(one) == len(other) > 0 and all(a < d and c < b for (a, b), (c, d) in zip(one, other, strict=True))
