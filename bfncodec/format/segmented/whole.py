"""The reader of a whole segmented file, by its index, or where that is lost by what stands before each payload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod

from bfncodec.errors import DamagedError, FormatError, LimitError
from bfncodec.format.checks import crc32
from bfncodec.format.cuts import Cut, Pieces
from bfncodec.format.frame import Entry, Frame, Place, Segment, wanted_of
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import Limits
from bfncodec.format.segmented.head import Head, check_count, head_of
from bfncodec.format.segmented.index import END, Row, parse_index
from bfncodec.format.segmented.segment import (
    CHECK_BITS,
    INDEX,
    LEAST_SEGMENT,
    TYPE,
    entry_of,
    next_link,
    read_segment_head,
    write_segment_head,
)
from bfncodec.format.segmented.stream import segmented_end
from bfncodec.format.sizes import check_cut, check_memory, check_payload, check_segments, declared_sizes
from bfncodec.format.wire import Part, Reader, Source, last_varint


def unpack_segmented(blob: Source, limits: Limits, salvage: bool, place: Place | None) -> Frame:
    """Return the frame of a segmented file."""
    head = head_of(blob, limits)
    if head.grid is not None:
        if head.grid.count > len(blob) // LEAST_SEGMENT:
            raise DamagedError(f"cut off: {len(blob)} bytes cannot hold {head.grid.count} segments")
        check_cut(head.header, head.grid, limits)
    complete = indexed = True
    try:
        header, cut, entries = _indexed(blob, head, limits)
    except DamagedError as error:
        if not salvage or isinstance(error, LimitError):
            raise
        header, cut, entries, complete = _found(blob, head, limits)
        indexed = False
    wanted = place(header, cut) if place is not None else None
    check_cut(header, cut, limits)
    check_memory(header, cut, wanted, limits)
    reading = _Reading(blob, head, header, cut, entries, limits)
    return Frame(header, cut, entries, wanted_of(cut, wanted), reading.segment, complete, indexed)


def _indexed(blob: Source, head: Head, limits: Limits) -> tuple[Header, Cut, tuple[Entry, ...]]:
    """Return header, cut and entries as the index at the end of the file tells."""
    if blob[-2 : len(blob)] != END:
        raise _without_end(blob, limits)
    size, digits = last_varint(blob[-12:-2])
    end = len(blob) - 2 - digits - 4
    start = end - size
    if start < len(head.written):
        raise DamagedError(f"the index of {size} bytes at its end is longer than the file")
    link = blob[start - 4 : start] if start > len(head.written) else head.written
    raw = blob[start:end]
    if crc32(link, raw) != int.from_bytes(blob[end : end + 4], "little") or raw[:1] < bytes([INDEX]):
        raise DamagedError(f"index checksum mismatch at byte {end}")
    reader = Reader(raw, 1)
    index = parse_index(reader, raw[0], head, len(blob) // LEAST_SEGMENT, limits)
    entries = tuple(_placed(index.rows, len(head.written)))
    check_count(head, len(entries))
    if reader.rest() or entries[-1].end != start:
        raise DamagedError(f"the index at byte {start} does not fit the segments")
    cut = head.grid or Pieces(tuple(row.length for row in index.rows))
    header = replace(head.header, extras=(*head.header.extras, *index.extras))
    return _shaped(header, cut), cut, entries


def _without_end(blob: Source, limits: Limits) -> DamagedError:
    """Return the error of a file that does not end as it should: it was cut off, or something stands behind it."""
    with suppress(FormatError):
        end = segmented_end(blob, limits)
        if end < len(blob):
            return DamagedError(
                f"expected the end at byte {end}, found {len(blob) - end} bytes behind it: cut them off"
            )
    return DamagedError(f"cut off: expected {END.hex(' ')} at byte {len(blob) - 2}, its end")


def _placed(rows: Sequence[Row], begin: int) -> Iterator[Entry]:
    """Yield the entry of each row. begin: the byte at which the first segment begins."""
    last = b""
    for row in rows:
        head = write_segment_head(row.method, row.model, row.size, last)
        last = row.model or last
        entry = entry_of(row.method, row.model, head, begin + len(head), row.size)
        yield entry
        begin = entry.end


def _found(blob: Source, head: Head, limits: Limits) -> tuple[Header, Cut, tuple[Entry, ...], bool]:
    """Return header, cut and entries without the index, up to a broken segment, and whether there is none."""
    entries, whole = _walked(blob, head, limits)
    if head.grid is not None:
        return head.header, head.grid, entries[: head.grid.count], whole
    lengths = []
    for entry in entries:
        try:
            lengths.append(declared_sizes(head.header, entry.method, Part(blob, entry.start, entry.stop))[0])
        except DamagedError:
            break
    check_count(head, len(lengths))
    complete = whole and len(lengths) == len(entries)
    cut = Pieces((*lengths, *_missing(head.header, sum(lengths))))
    return _shaped(head.header, cut), cut, entries[: len(lengths)], complete


def _missing(header: Header, length: int) -> tuple[int, ...]:
    """Return the length of the piece that is missing for an array to be whole, if any is."""
    size = prod(header.shape[1:]) * header.item_bytes if header.kind is Kind.ARRAY else 1
    return (-length % size,) if size and length % size else ()


def _walked(blob: Source, head: Head, limits: Limits) -> tuple[tuple[Entry, ...], bool]:
    """Return all entries up to the first that cannot be read, and whether the index was met."""
    reader, entries, last = Reader(blob, len(head.written)), list[Entry](), b""
    try:
        while (byte := reader.byte("a segment or the index")) & TYPE != INDEX:
            found = read_segment_head(reader, byte, last)
            entry = entry_of(found.method, found.model, found.raw, reader.offset, found.size)
            if entry.end > len(blob):
                cut = [replace(entry, stop=min(entry.stop, len(blob)))] if found.method is Method.MODEL else []
                return (*entries, *cut), False  # of an archive items may be had
            reader.offset, last = entry.end, found.model or last
            entries.append(entry)
            check_segments(len(entries), limits)
    except LimitError:
        raise
    except FormatError:
        return tuple(entries), False
    return tuple(entries), True


def _shaped(header: Header, cut: Cut) -> Header:
    """Return the header with the first side of an array, which the length of its content tells."""
    if header.kind is not Kind.ARRAY:
        return header
    rest, size = header.shape[1:], prod(header.shape[1:]) * header.item_bytes
    if not size or cut.sides[0] % size:
        raise DamagedError(f"an array of {cut.sides[0]} bytes cannot have the sides {rest}")
    return replace(header, shape=(cut.sides[0] // size, *rest))


@dataclass(frozen=True)
class _Reading:
    """Reader of the segments of a file by their numbers."""

    blob: Source
    head: Head
    header: Header
    cut: Cut
    entries: tuple[Entry, ...]
    limits: Limits

    def segment(self, number: int) -> Segment:
        """Return a segment. Raises a DamagedError for one that cannot be."""
        entry, extent, blob = self.entries[number], self.cut.extents[number], self.blob
        raw = blob[entry.begin : entry.start]
        link = blob[entry.begin - 4 : entry.begin] if number else self.head.written
        payload, checks = blob[entry.start : entry.stop], blob[entry.stop : entry.end]
        check_payload(self.header, entry.method, payload, extent, self.limits)
        sound = raw == entry.head and next_link(link, raw, payload, checks[:4]) == checks[4:]
        content = int.from_bytes(checks[:4], "little")  # of what was cut off any number, which is not its checksum
        return Segment(entry.method, payload, entry.model, extent, content, CHECK_BITS, sound)
