"""A file to content: opening it, decoding its segments and putting them together, whole or in part, sound or damaged.

:func:`decode_frame` is the decoder of everything; its encoder is :func:`bfncodec.segments.encode.encode_frame`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from bfncodec.codecs.sources import CodecSource
from bfncodec.content.arrays import Arrays, Place, read_places
from bfncodec.content.folder import FilePositions, FileTable, Folder, read_files
from bfncodec.content.items import Whole, joined, rows_of, whole_of
from bfncodec.content.regions import LineRange, Part, with_true_extras
from bfncodec.content.types import Content, Plain
from bfncodec.errors import DamagedError, FormatError, InputError, SalvageableError, Salvaged
from bfncodec.format.concatenation import follower, is_joinable, split
from bfncodec.format.container import unpack
from bfncodec.format.cuts import Extent, Pieces
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Frame
from bfncodec.format.header import Header
from bfncodec.format.items import Row, check_plain, counts_of
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.lineindex import lines_of
from bfncodec.format.sizes import check_together
from bfncodec.format.wire import Source
from bfncodec.images.picture import Picture
from bfncodec.runtime.progress import Progress, silent
from bfncodec.segments.decode import decode
from bfncodec.segments.together import run_together

__all__ = ["Damage", "Decoding", "Opened", "decode_content", "decode_frame", "decode_items", "open_file"]


@dataclass(frozen=True)
class Damage:
    """A segment that was lost, wholly or in part, or the index behind all segments.

    Parameters
    ----------
    segment, count
        Number of the segment, from 0, and number of all segments; both are the same for the index.
    extent
        Place of what is lost: a range of bytes, or of rows and columns. It is empty if the segment was damaged, but
        nothing of it is lost.
    reason
        Error that the segment ended in.
    files
        Paths of the files of a folder that are lost with it.
    unknown
        The end of the file is missing: nobody can tell how much was there, behind an extent that is empty.
    """

    segment: int
    count: int
    extent: Extent
    reason: str
    files: tuple[str, ...] = ()
    unknown: bool = False

    @property
    def repaired(self) -> bool:
        """The segment was damaged, but nothing of it is lost."""
        return not self.unknown and any(start == stop for start, stop in self.extent)


OnDamage = Callable[[Damage], None]
"""Called for each damaged segment of a file that is to be salvaged."""


@dataclass(frozen=True)
class Opened:
    """A file that was opened: one frame, or several if files of bytes or text were put one after the other."""

    frames: tuple[Frame, ...]
    blob: Source
    limits: Limits = field(default_factory=Limits)

    @property
    def header(self) -> Header:
        """First header. It holds for the whole, but that bytes and text together are bytes."""
        return self.frames[0].header


def decode_frame(
    blob: bytes,
    codecs: CodecSource,
    progress: Progress | None = None,
    limits: Limits | None = None,
    on_damage: OnDamage | None = None,
    part: Part | None = None,
) -> Content:
    """Return the content of a file. Arguments and errors as for :func:`bfncodec.decompress`."""
    return decode_content(open_file(blob, limits, on_damage, part), codecs, progress, on_damage, part)


# ---- opening ----------------------------------------------------------------------------------


def open_file(
    blob: Source,
    limits: Limits | None = None,
    on_damage: OnDamage | None = None,
    part: Part | None = None,
) -> Opened:
    """Return an opened file, of which nothing is decoded yet, but unless it is to be salvaged all checksums of coded
    bytes hold.

    part: the part of the content that is wanted; other segments are not read.

    Raises a FormatError, and InputError for a part that cannot be had or files that cannot stand together.
    """
    salvage, limits = on_damage is not None, limits or Limits()
    if part is not None:
        try:
            return _verified(Opened((unpack(blob, limits, salvage, part.place),), blob, limits), salvage)
        except DamagedError:
            if len(split(blob, limits)) > 1:
                raise InputError("several files one after the other: a part can be had of one alone") from None
            raise
    pieces = split(blob, limits)
    frames = tuple(unpack(piece, limits, salvage) for piece in pieces)
    if len(frames) > 1 and not all(is_joinable(frame.header) for frame in frames):
        raise _not_joinable(len(pieces[0]))
    check_together([(frame.header, frame.cut) for frame in frames], limits)
    return _verified(Opened(frames, blob, limits), salvage)


def _verified(opened: Opened, salvage: bool) -> Opened:
    """Return an opened file. Raises DamagedError, before a network runs, for damage unless it is to be salvaged."""
    if not salvage:
        for frame in opened.frames:
            try:
                frame.verify()
            except DamagedError as error:
                place = follower(opened.blob, frame.header)
                if place is None:
                    raise
                raise _not_joinable(place) from error
    return opened


def _not_joinable(place: int) -> InputError:
    return InputError(
        f"several files one after the other, the second from byte {place} on: only files of bytes and text are read so"
    )


@dataclass(frozen=True)
class Decoding:
    """A task of :func:`run_together` that returns the content of a file, which is opened once, in its first run.

    Arguments and errors as for :func:`decode_frame`.
    """

    blob: Source
    limits: Limits | None = None
    part: Part | None = None

    def __call__(self, *, codecs: CodecSource) -> Content:
        return decode_content(self._opened, codecs, part=self.part)

    @cached_property
    def _opened(self) -> Opened:
        return open_file(self.blob, self.limits, part=self.part)


# ---- decoding ---------------------------------------------------------------------------------


def decode_content(
    opened: Opened,
    codecs: CodecSource,
    progress: Progress | None = None,
    on_damage: OnDamage | None = None,
    part: Part | None = None,
) -> Content:
    """Return the content of a file that :func:`open_file` opened with the same arguments."""
    if len(opened.frames) > 1:
        contents = [_decode_frame(opened, frame, codecs, progress, on_damage, part) for frame in opened.frames]
        kinds = {frame.header.kind for frame in opened.frames}
        return Plain(b"".join(content.data for content in contents if isinstance(content, Plain)), min(kinds))
    return _decode_frame(opened, opened.frames[0], codecs, progress, on_damage, part)


def _decode_frame(
    opened: Opened,
    frame: Frame,
    codecs: CodecSource,
    progress: Progress | None,
    on_damage: OnDamage | None,
    part: Part | None,
) -> Content:
    whole = _assembly_of(frame, part, codecs, opened.limits)
    reasons = {}
    for number, content in decode(frame, codecs, progress or silent, on_damage is not None):
        if not isinstance(content, FormatError):
            whole.put(number, content)
            continue
        if on_damage is None:
            raise frame.placed(content, number) from content
        reasons[number] = content
        if isinstance(content, SalvageableError):
            whole.put_salvaged(number, content.salvage())
    if on_damage is not None:
        _tell(frame, whole, reasons, on_damage)
    return whole.content()


def _tell(frame: Frame, whole: _Assembly, reasons: Mapping[int, FormatError], on_damage: OnDamage) -> None:
    """Tell of all damaged segments. Raises the error of one that is all there is and of which nothing could be had."""
    count = frame.cut.count
    for number, error in sorted(reasons.items()):
        if count == 1 and number not in whole.salvaged:
            raise error
        for extent in whole.lost_in(number):
            on_damage(Damage(number, count, extent, str(error), whole.files_in(extent)))
    if frame.indexed:
        return
    end, unknown = frame.cut.sides[0], not frame.complete and frame.header.kind is not Kind.IMAGE
    reason = "cut off: the end of the file is missing" if unknown else "what it tells beside the content is lost"
    on_damage(Damage(count, count, ((end, end),), reason, unknown=unknown))


# ---- putting together -------------------------------------------------------------------------


class _Assembly:
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


class _PictureAssembly(_Assembly):
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


class _FolderAssembly(_Assembly):
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


class _ArraysAssembly(_Assembly):
    """A file of arrays."""

    def __init__(self, frame: Frame, places: tuple[Place, ...]) -> None:
        super().__init__(frame, None)
        self.places = places

    def content(self) -> Content:
        return Arrays(self._data(), places=self.places)


class _ItemsAssembly(_Assembly):
    """The items of an archive; those of damaged segments are left out."""

    def __init__(self, frame: Frame, whole: Whole, codecs: CodecSource, limits: Limits) -> None:
        super().__init__(frame, None)
        self.whole, self.codecs, self.limits = whole, codecs, limits
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
            found = decode_items([(row, range(row.count))], self.codecs, room)
            contents += found
            room = replace(room, memory=room.memory - sum(map(_memory_of, found)))
        return joined(self._data(), contents, names, self.whole)


def decode_items(wanted: Sequence[tuple[Row, Sequence[int]]], codecs: CodecSource, limits: Limits) -> list[Content]:
    """Return the contents of items, decoded together.

    wanted: segments, and numbers of items in each, from 0. Raises FormatErrors and what models raise.
    """
    files = [row.file(k) for row, numbers in wanted for k in ([0] if row.is_stack else numbers)]
    frames = [_frame_of_item(file, limits) for file in files]
    check_together([(frame.header, frame.cut) for frame in frames], limits)
    made = iter(run_together([partial(_decode_item, frame, limits) for frame in frames], codecs))
    contents = list[Content]()
    for row, numbers in wanted:
        if row.is_stack:
            rows = rows_of(next(made), row.count)
            contents += [rows[number] for number in numbers]
        else:
            contents += [next(made) for _ in numbers]
    return contents


def _frame_of_item(file: bytes, limits: Limits) -> Frame:
    frame = unpack(file, limits)
    if any(frame.header.extra(tag) is not None for tag in (Tag.ITEMS, Tag.FILES)):
        raise DamagedError("expected an item, found an archive or a folder in its place")
    frame.verify()
    return frame


def _decode_item(frame: Frame, limits: Limits, *, codecs: CodecSource) -> Content:
    return _decode_frame(Opened((frame,), b"", limits), frame, codecs, None, None, None)


def _memory_of(content: Content) -> int:
    """Return the bytes of memory that a decoded item keeps."""
    return content.pixels.nbytes if isinstance(content, Picture) else len(content.data)


def _assembly_of(frame: Frame, part: Part | None, codecs: CodecSource, limits: Limits) -> _Assembly:
    """Return the assembly for the type of content of a frame.

    Raises DamagedError for tables that cannot be, and what the part raises if it is not within the content.
    """
    if frame.header.kind is Kind.IMAGE:
        return _PictureAssembly(frame, part)
    size = frame.cut.sides[0]
    folder, places = read_files(frame.header, size), read_places(frame.header, size)
    if part is not None:  # lines, which neither a folder nor a file of arrays has
        return _Assembly(frame, part)
    if folder is not None:
        return _FolderAssembly(frame, folder)
    if (items := whole_of(frame.header)) is not None:
        return _ItemsAssembly(frame, items, codecs, limits)
    return _ArraysAssembly(frame, places) if places else _Assembly(frame, None)
