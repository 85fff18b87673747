"""Assemblies: content of each type that is put together from segments, whole or in part, sound or damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bfncodec.content.arrays import Arrays, Place, read_places
from bfncodec.content.folder import FilePositions, FileTable, Folder, read_files
from bfncodec.content.items import Whole, joined, whole_of
from bfncodec.content.regions import LineRange, Part, with_true_extras
from bfncodec.content.types import Content, Plain
from bfncodec.errors import DamagedError, Salvaged
from bfncodec.format.cuts import Extent, Pieces
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Frame
from bfncodec.format.items import Row, check_plain, counts_of
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.lineindex import lines_of
from bfncodec.images.picture import Picture

RowDecoder = Callable[[Row, Limits], list[Content]]
"""Returns the contents of all items of a segment, within limits."""


class Assembly:
    """Bytes, or a part of them, that are put together from segments; zeros where there is none.

    extents: of all segments. wanted: numbers of those that the part lies in. salvaged: by their numbers, the extents
    that are lost of segments of which something could be had.
    """

    def __init__(self, frame: Frame, part: Part | None) -> None:
        self.header, self.extents, self.sides = frame.header, frame.cut.extents, frame.cut.sides
        self.lines = lines_of(frame.header, frame.cut) if isinstance(part, LineRange) else None
        self.part, self.wanted = part, frame.wanted
        self.extent = part.place(frame.header, frame.cut) if part else tuple((0, side) for side in self.sides)
        self.pieces: dict[int, Any] = {}
        self.salvaged: dict[int, tuple[Extent, ...]] = {}

    def put(self, number: int, content: Any) -> None:
        """Take the decoded content of a segment."""
        wanted = self.part if isinstance(self.part, LineRange) else None
        self.pieces[number] = wanted.of(content, self.lines, number) if wanted else content

    def put_salvaged(self, number: int, found: Salvaged) -> None:
        """Take what could be had of a segment: some of its bytes, or all of it."""
        self.put(number, found.content)
        start = self.extents[number][0][0]
        self.salvaged[number] = tuple(((start + first, start + last),) for first, last in found.lost)

    def lost_in(self, number: int) -> tuple[Extent, ...]:
        """Return the extents that are lost of a damaged segment; an empty one if nothing is."""
        extent = self.extents[number]
        return self.salvaged.get(number, (extent,)) or (tuple((start, start) for start, _ in extent),)

    def files_in(self, extent: Extent) -> tuple[str, ...]:
        """Return the paths of a folder's files that have bytes in an extent."""
        return ()

    def content(self) -> Content:
        """Return the content when every segment has been taken."""
        return Plain.of(self.header, self._data())

    def _data(self) -> bytes:
        return b"".join(self.pieces[n] if n in self.pieces else self._zeros(n) for n in self.wanted)

    def _zeros(self, number: int) -> bytes:
        ((start, stop),) = self.extents[number]
        return bytes(stop - start)


class _PictureAssembly(Assembly):
    """A picture, or a region of one, that is put together from tiles."""

    def __init__(self, frame: Frame, part: Part | None) -> None:
        import numpy as np

        super().__init__(frame, part)
        mode = frame.header.mode
        height, width = (stop - start for start, stop in self.extent)
        self.pixels = np.zeros((height, width, mode.channels), np.uint16 if mode.is_wide else np.uint8)
        self.found = 0

    def put(self, number: int, content: Any) -> None:
        self.found += 1
        here, there = [], []  # where it is in the whole, and in itself
        for (start, stop), (first, last) in zip(self.extent, self.extents[number], strict=True):
            low, high = max(start, first), min(stop, last)
            here.append(slice(low - start, high - start))
            there.append(slice(low - first, high - first))
        self.pixels[tuple(here)] = content[tuple(there)]

    def content(self) -> Content:
        """Return the picture; one that lacks tiles no longer promises to come back byte for byte."""
        dropped = {Tag.PREVIEW} if self.found == len(self.extents) else {Tag.PREVIEW, Tag.SOURCE}
        extras = tuple(extra for extra in self.header.extras if extra.tag not in dropped)
        picture = Picture(self.pixels, self.header.mode, self.header.origin, extras, self.header.promised)
        return with_true_extras(picture, (self.sides[0], self.sides[1])) if self.part else picture


class _FolderAssembly(Assembly):
    """The files of a folder."""

    def __init__(self, frame: Frame, table: FileTable) -> None:
        super().__init__(frame, None)
        self.table = table
        self.positions = FilePositions(table.entries)

    def files_in(self, extent: Extent) -> tuple[str, ...]:
        return self.positions.within(extent[0])

    def content(self) -> Content:
        damaged = {n for n in range(len(self.extents)) if n not in self.pieces} | set(self.salvaged)
        lost = tuple(extent[0] for number in sorted(damaged) for extent in self.lost_in(number))
        source = None if lost else self.header.extra(Tag.SOURCE)
        return Folder(self._data(), entries=self.table.entries, sides=self.table.sides, lost=lost, source=source)


class _ArraysAssembly(Assembly):
    """A file of arrays."""

    def __init__(self, frame: Frame, places: tuple[Place, ...]) -> None:
        super().__init__(frame, None)
        self.places = places

    def content(self) -> Content:
        return Arrays(self._data(), places=self.places)


class _ItemsAssembly(Assembly):
    """The items of an archive; those of damaged segments are left out."""

    def __init__(self, frame: Frame, whole: Whole, limits: Limits, decode: RowDecoder) -> None:
        super().__init__(frame, None)
        self.whole, self.limits, self.decode = whole, limits, decode
        check_plain(frame)

    def content(self) -> Content:
        rows = [Row.read(self.pieces[number]) for number in sorted(self.pieces)]
        if not rows:
            raise DamagedError("expected items, found none that is sound")
        if len({row.names is None for row in rows}) > 1:
            raise DamagedError("expected names of all items or of none")
        counts = counts_of(self.header, Pieces(tuple(stop - start for ((start, stop),) in self.extents)))
        for number, row in zip(sorted(self.pieces), rows, strict=True):
            row.check(counts[number] if counts else row.count)
        names = None if rows[0].names is None else [name for row in rows for name in row.names or ()]
        contents, room = list[Content](), self.limits
        for row in rows:  # together in memory, but never more at work than those of a segment
            found = self.decode(row, room)
            contents += found
            room = replace(room, memory=room.memory - sum(map(_memory_of, found)))
        return joined(self._data(), contents, names, self.whole)


def _memory_of(content: Content) -> int:
    """Return the bytes of memory that a decoded item keeps."""
    return content.pixels.nbytes if isinstance(content, Picture) else len(content.data)


def assembly_of(frame: Frame, part: Part | None, limits: Limits, decode: RowDecoder) -> Assembly:
    """Return the assembly for the type of content of a frame. decode: of the items of an archive

    Raises DamagedError for tables that cannot be, and what the part raises if it is not within the content.
    """
    if frame.header.kind is Kind.IMAGE:
        return _PictureAssembly(frame, part)
    size = frame.cut.sides[0]
    folder, places = read_files(frame.header, size), read_places(frame.header, size)
    if part is not None:  # lines, which neither a folder nor a file of arrays has
        return Assembly(frame, part)
    if folder is not None:
        return _FolderAssembly(frame, folder)
    if (items := whole_of(frame.header)) is not None:
        return _ItemsAssembly(frame, items, limits, decode)
    return _ArraysAssembly(frame, places) if places else Assembly(frame, None)
