"""Parts of a content: some lines of a text, and a region of a picture as a picture of its own.

Each says where in the content it lies, and so which segments it takes. Of a region's metadata palette, transparency,
colour profile and the like, resolution and text are kept. EXIF and XMP, which tell of another size and may hold another
picture, and chunks of unknown meaning are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, InputError
from bfncodec.format.concatenation import is_joinable
from bfncodec.format.cuts import Cut, Extent, Grid
from bfncodec.format.header import Header
from bfncodec.format.kinds import Origin
from bfncodec.format.lineindex import Lines, lines_of, split_lines
from bfncodec.images.files import FORMAT_NAMES
from bfncodec.images.info import filter_info

if TYPE_CHECKING:
    from bfncodec.images.picture import Picture

__all__ = ["LineRange", "Part", "Region", "part_of", "with_true_extras"]


@dataclass(frozen=True)
class Region:
    """Columns from x, rows from y on, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def extent(self) -> Extent:
        """Rows and columns of the region."""
        return (self.y, self.y + self.height), (self.x, self.x + self.width)

    def place(self, header: Header, cut: Cut) -> Extent:
        """Return rows and columns. Raises InputError unless the content is a picture and the region within it."""
        if not isinstance(cut, Grid):
            raise InputError("expected a picture to take a region of, found none: leave the region out")
        height, width = cut.sides
        if not (0 <= self.x < self.x + self.width <= width and 0 <= self.y < self.y + self.height <= height):
            raise InputError(
                f"expected a region within {width} x {height} pixels, "
                f"found {self.width} x {self.height} at {self.x}, {self.y}"
            )
        return self.extent


@dataclass(frozen=True)
class LineRange:
    """Lines from the first to the last, counted from 1."""

    first: int
    last: int

    def place(self, header: Header, cut: Cut) -> Extent:
        """Return the range of the blocks that have these lines; all bytes of a file of one segment.

        Raises InputError for content that is not cut after lines, or has fewer of them.
        """
        if not is_joinable(header):
            raise InputError("expected bytes or text to take lines of, found none: leave the lines out")
        lines = lines_of(header, cut)
        if lines is None:
            if cut.count > 1:
                raise InputError(
                    "expected a file compressed with --lines (lines=True), found one without, "
                    "or one that was added to within a long line: take all"
                )
            return ((0, cut.sides[0]),)
        self._check(lines.total)
        first, last = (cut.extents[lines.block_of(line)] for line in (self.first, self.last))
        return ((first[0][0], last[0][1]),)

    def of(self, block: bytes, lines: Lines | None, number: int) -> bytes:
        """Return the requested lines that lie in block ``number``. lines: the table of all, None for a single block.

        Raises InputError if the block is all of a file and has fewer lines, DamagedError if the table is wrong.
        """
        found = split_lines(block)
        before = lines.before[number] if lines else 0
        if lines is None:
            self._check(len(found))
        elif len(found) != lines.counts[number]:
            raise DamagedError(f"expected {lines.counts[number]} lines in block {number + 1}, found {len(found)}")
        return b"".join(found[max(self.first - 1 - before, 0) : self.last - before])

    def _check(self, total: int) -> None:
        if not 1 <= self.first <= self.last <= total:
            raise InputError(f"expected lines within the {total} there are, found {self.first} to {self.last}")


Part = Region | LineRange


def part_of(crop: tuple[int, int, int, int] | None, line: int | tuple[int, int] | None) -> Part | None:
    """Return the part of a content that :func:`bfncodec.decompress` is asked for, None for all.

    Raises InputError for values that are no part.
    """
    if crop is not None and line is not None:
        raise InputError("expected a region of a picture or lines of a text, found both: leave one out")
    try:
        if crop is not None:
            x, y, width, height = (index(number) for number in crop)
            return Region(x, y, width, height)
        if line is not None:
            first, last = (line, line) if isinstance(line, int) else (index(number) for number in line)
            return LineRange(first, last)
    except (TypeError, ValueError) as error:
        wanted = "a region x, y, width, height" if crop is not None else "a line, or the first and the last of several"
        raise InputError(f"expected {wanted}, found {line if crop is None else crop!r}") from error
    return None


def with_true_extras(part: Picture, whole: tuple[int, int]) -> Picture:
    """Return a region of a picture with the extras that hold for it.

    part: the region, which still has the extras of the picture. whole: height and width of the picture.
    """
    if part.pixels.shape[:2] == whole:
        return part
    if part.origin is Origin.OBJECT:
        return replace(part, extras=filter_info(part.extras))
    if part.origin not in FORMAT_NAMES:
        return part
    from bfncodec.images.metadata import filter_file

    return replace(part, extras=filter_file(part, whole))
