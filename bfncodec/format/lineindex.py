"""The table of lines: content cut into blocks of whole lines, so that a line is found by its number.

The writer of the table stands above its reader; docs/format.md specifies it. No numpy, torch or PIL.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate, pairwise

from bfncodec.errors import DamagedError
from bfncodec.forks import cached_property
from bfncodec.format.cuts import Cut, Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.wire import Reader, varint

__all__ = ["LINE_BLOCK", "LineTable", "Lines", "lines_of", "split_lines"]

LINE_BLOCK = 1 << 12
"""Bytes a block of lines has at least, where the caller names no other number. Measured on messages of 50 to 150 bytes:
twice as many take 2% less and half as much time again for a line, half as many 3% more and a fifth less time."""


@dataclass(frozen=True)
class Lines:
    """Blocks of whole lines: the byte at which each starts, and how many lines it has.

    A line ends after its newline, the last one of all with the content.
    """

    starts: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, data: bytes, least: int) -> Lines:
        """Return blocks that end with the first line to end at or after ``least`` >= 1 bytes; at least one block."""
        starts, counts = [0], []
        while True:
            end = data.find(b"\n", starts[-1] + least - 1) + 1
            if not 0 < end < len(data):
                counts.append(_count(data, starts[-1], len(data)))
                return cls(tuple(starts), tuple(counts))
            counts.append(_count(data, starts[-1], end))
            starts.append(end)

    @property
    def total(self) -> int:
        """Number of lines in all blocks."""
        return self.before[-1]

    @cached_property
    def before(self) -> tuple[int, ...]:
        """Number of lines before each block, and of all."""
        return tuple(accumulate(self.counts, initial=0))

    def pieces(self, length: int) -> Pieces:
        """Return content of that length cut into the blocks."""
        return Pieces(tuple(stop - start for start, stop in pairwise((*self.starts, length))))

    def block_of(self, line: int) -> int:
        """Return the number, from 0, of the block that has a line; lines count from 1."""
        return bisect_right(self.before, line - 1) - 1

    def write(self) -> bytes:
        """Return the table: the number of lines of each block. Where blocks begin is how the content is cut."""
        return b"".join(map(varint, self.counts))

    @classmethod
    def read(cls, value: bytes, pieces: Pieces) -> Lines:
        """Return the table that :meth:`write` wrote for content in these pieces.

        Raises DamagedError for what it never writes.
        """
        counts = tuple(_varints(value))
        if len(counts) != pieces.count or not all(counts):
            raise DamagedError(f"expected a number of lines for each of {pieces.count} blocks, found {len(counts)}")
        return cls(pieces.edges[:-1], counts)


class LineTable:
    """Table of lines of content that grows by segments. It is lost where one begins within a line.

    counts: lines of each segment, the last of which ends with a line. block: bytes that a block of what is added has at
    least, None where each piece of it is one segment if it can be.
    """

    def __init__(self, counts: Sequence[int], block: int | None) -> None:
        self.block, self._counts, self._ended = block, list(counts), True

    def add(self, data: bytes, cut: Cut) -> bool:
        """Count the lines of further content; returns False where a segment of it begins within a line."""
        for ((start, stop),) in cut.extents:
            if not self._ended:
                return False
            self._counts.append(_count(data, start, stop))
            self._ended = data[stop - 1 : stop] == b"\n"
        return True

    def extras(self) -> list[Extra]:
        """Return what says how many lines the segments have."""
        return [Extra(Tag.LINES, b"".join(map(varint, self._counts)))] if self._counts else []


def lines_of(header: Header, cut: Cut) -> Lines | None:
    """Return the table of lines of content that is cut after lines, None for any other.

    Raises DamagedError for a table that does not fit the content.
    """
    value = header.extra(Tag.LINES)
    if value is None:
        return None
    if not isinstance(cut, Pieces) or header.kind not in (Kind.BYTES, Kind.STR):
        raise DamagedError(f"content of kind {header.kind.name.lower()} cannot be cut after lines")
    return Lines.read(value, cut)


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines, each with its newline."""
    return BytesIO(data).readlines()  # splitlines ends lines at other bytes, too


def _count(data: bytes, start: int, stop: int) -> int:
    """Return the number of lines between two bytes."""
    unended = start < stop and data[stop - 1 : stop] != b"\n"
    return data.count(b"\n", start, stop) + unended


def _varints(value: bytes) -> Iterator[int]:
    reader = Reader(value)
    while reader.offset < len(value):
        yield reader.varint("a number of the table of lines")
