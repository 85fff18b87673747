"""The segmented form of a file: segments one after the other, and an index at the end.

A file is written without going back and read without looking ahead; the index serves those who want a part. Segments
are chained: the checksum of each covers that of the one before, and so its place in its file, whatever is appended.
docs/format.md, section 2, is the specification. The encoder of each part stands above its decoder. No numpy, torch or
PIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod

from bfncodec.errors import DamagedError, FormatError, LimitError, NewerVersionError
from bfncodec.format.checks import crc16, crc32
from bfncodec.format.cuts import Cut, Extent, Grid, Pieces
from bfncodec.format.extras import Extra, read_extras, skim_tags, write_extras
from bfncodec.format.frame import (
    MAGIC,
    MODEL_BYTES,
    SEGMENTED,
    Coded,
    Entry,
    Frame,
    Place,
    Segment,
    read_start,
    wanted_of,
)
from bfncodec.format.header import Header, check_extras, read_fields, with_extras, write_head
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import Limits
from bfncodec.format.sizes import check_cut, check_memory, check_payload, check_segments, declared_sizes
from bfncodec.format.wire import Part, Reader, Source, last_varint, varint

__all__ = ["Head", "SegmentWriter", "read_head_of", "read_segments", "segmented_end", "unpack_segmented"]

_START, _COVERED = 3, 5  # bytes before the checksum of the head, and behind it
_END = MAGIC[::-1]
_CHECKS = 8  # bytes behind a payload: checksums of the content and of the coded bytes
_CHECK_BITS = 32
_LEAST_SEGMENT = 2 + _CHECKS  # head byte, size, checksums
_METHOD, _CONTINUED, _NAMED, _TYPE = 0x0F, 0x10, 0x20, 0xC0  # of the byte that begins a segment, or a run of them
_INDEX = 0xC0  # type of the byte that begins the index
_MOST_RUNS = 31  # that its byte tells
_LONGEST = 1 << 28  # bytes of the payload of any segment: nothing takes more than its content and some bytes


# ---- writing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """Row of the index, which tells of a segment. size: bytes of payload. length: of content, 0 of a tile."""

    method: Method
    model: bytes
    size: int
    length: int


class SegmentWriter:
    """Writer of the segments of a file as they come, then of the index.

    write: takes bytes that follow each other. header: its extras that a reader may skip go into the index. grid: of a
    picture.
    """

    def __init__(self, write: Callable[[bytes], object], header: Header, grid: Grid | None = None) -> None:
        header, self._later = header.split()
        self._write, self._rows, self._model = write, list[_Row](), b""
        self._sized = grid is None
        self._link = _write_head(header, grid)
        write(self._link)

    @classmethod
    def after(
        cls, write: Callable[[bytes], object], frame: Frame, link: bytes, later: Iterable[Extra]
    ) -> SegmentWriter:
        """Return a writer of what follows the last segment of a file.

        link: the last four bytes of that segment. later: extras for the index.
        """
        writer = cls.__new__(cls)
        writer._write, writer._link, writer._later = write, link, tuple(later)
        writer._sized = isinstance(frame.cut, Pieces)
        lengths = frame.cut.lengths if isinstance(frame.cut, Pieces) else [0] * len(frame.entries)
        writer._rows = [
            _Row(entry.method, entry.model, entry.stop - entry.start, length)
            for entry, length in zip(frame.entries, lengths, strict=True)
        ]
        writer._model = next((row.model for row in reversed(writer._rows) if row.model), b"")
        return writer

    @property
    def count(self) -> int:
        """Number of segments so far."""
        return len(self._rows)

    @property
    def models(self) -> set[bytes]:
        """Identities of the models of the segments so far."""
        return {row.model for row in self._rows if row.model}

    def add(self, coded: Coded, length: int = 0) -> None:
        """Write a segment. length: bytes of its content, 0 of a tile."""
        self._rows.append(_Row(coded.method, coded.model, len(coded.payload), length))
        head = _write_segment_head(coded.method, coded.model, len(coded.payload), self._model)
        self._model = coded.model or self._model
        content = coded.crc.to_bytes(4, "little")
        link = _next_link(self._link, head, coded.payload, content)
        for part in (head, coded.payload, content, link):
            self._write(part)
        self._link = link

    def finish(self, extras: Iterable[Extra] = ()) -> None:
        """Write the index. extras: further ones that a reader may skip."""
        later = [*self._later, *extras]
        groups = groupby((row.method, row.model) for row in self._rows)
        runs = [(method, model, len(list(group))) for (method, model), group in groups]
        index = bytes([_INDEX | (len(runs) if len(runs) <= _MOST_RUNS else 0) << 1 | bool(later)])
        index += varint(len(runs)) if len(runs) > _MOST_RUNS else b""
        index += _write_runs(runs)
        index += b"".join(varint(row.size) for row in self._rows)
        index += b"".join(varint(row.length) for row in self._rows) if self._sized else b""
        index += write_extras(later) if later else b""
        check = crc32(self._link, index).to_bytes(4, "little")
        self._write(index + check + varint(len(index))[::-1] + _END)


def _write_head(header: Header, grid: Grid | None) -> bytes:
    start = MAGIC + bytes([SEGMENTED << 5 | header.kind << 1 | bool(header.in_block)])
    rest = write_head(header, segmented=True)
    if grid is not None:
        rest += b"".join(map(varint, (grid.height, grid.rows, grid.width, grid.columns)))
    return start + crc16(start, rest).to_bytes(2, "little") + rest


def _next_link(link: bytes, head: bytes, payload: bytes, content: bytes) -> bytes:
    """Return the checksum that ends a segment. content: that of its content.

    It comes before the payload here, not behind as in the file: right behind bytes their own CRC-32 cancels them, and
    where the payload is the content the chain would not depend on it.
    """
    return crc32(link, content, head, payload).to_bytes(4, "little")


def _write_segment_head(method: Method, model: bytes, size: int, last: bytes) -> bytes:
    """Return what stands before a payload. last: the model that was named last."""
    return _write_method(method, model, last) + varint(size)


def _write_method(method: Method, model: bytes, last: bytes) -> bytes:
    named = model not in (b"", last)
    return bytes([method | _NAMED * named]) + (model if named else b"")


def _write_runs(runs: Sequence[tuple[Method, bytes, int]]) -> bytes:
    out, last = b"", b""
    for method, model, count in runs:
        out += _write_method(method, model, last) + varint(count)
        last = model or last
    return out


# ---- the head ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """The head of a segmented file. written: its bytes. grid: of a picture."""

    header: Header
    grid: Grid | None
    written: bytes


def read_head_of(reader: Reader, flags: int, limits: Limits, begin: int = 0) -> Head:
    """Return the head of a segmented file. flags: its third byte, which was read already. begin: where it begins."""
    check = reader.uint16("the head's checksum")
    number = flags >> 1 & 15
    if number > max(Kind):
        raise NewerVersionError(f"content of kind {number} is not known here: update bfncodec")
    header, start = read_fields(reader, Kind(number), segmented=True), reader.offset
    if flags & 1:
        reader.take(reader.varint("the size of the extras"), "extras")
    block, grid = reader.since(start), None
    if header.kind is Kind.IMAGE:
        grid = Grid(*(reader.varint(what) for what in ("a height", "rows of tiles", "a width", "columns of tiles")))
    written = reader.since(begin)
    found = crc16(written[:_START], written[_COVERED:])
    if found != check:
        raise DamagedError(f"head checksum mismatch: expected {check:04x}, found {found:04x}")
    if flags & 1:
        header = with_extras(header, Reader(block), True, limits)
    return Head(header, grid, written)


def _head_of(blob: Source, limits: Limits) -> Head:
    return read_head_of(Reader(blob, _START), read_start(blob), limits)


# ---- segments one after the other -------------------------------------------------------------


@dataclass(frozen=True)
class _SegmentHead:
    """Head of a segment, which stands before its payload. raw: the bytes."""

    method: Method
    model: bytes
    size: int
    raw: bytes


def _read_segment_head(reader: Reader, byte: int, last: bytes) -> _SegmentHead:
    """Return the rest of a segment's head. byte: its first. last: the model that was named last."""
    method, model, named = _read_method(reader, byte, last)
    size = reader.varint("the size of a payload")
    if size > _LONGEST:
        raise DamagedError(f"a payload of {size} bytes is longer than any can be")
    return _SegmentHead(method, model, size, bytes([byte]) + named + varint(size))


def _read_method(reader: Reader, byte: int, last: bytes) -> tuple[Method, bytes, bytes]:
    """Return the method, the model, and the bytes that name it, where they do.

    Raises NewerVersionError for what this release does not know.
    """
    if byte & _TYPE or byte & _METHOD > max(Method):
        raise NewerVersionError(f"a segment of type {byte:#04x} is not known here: update bfncodec")
    if byte & _CONTINUED:
        raise NewerVersionError(
            "a segment that goes on from the state of the one before is not read here: update bfncodec"
        )
    method = Method(byte & _METHOD)
    named = reader.take(MODEL_BYTES, "a model identity") if byte & _NAMED else b""
    if named and (method is not Method.MODEL or named == last):
        raise DamagedError(f"a segment at byte {reader.offset} names a model that it need not name")
    model = (named or last) if method is Method.MODEL else b""
    if method is Method.MODEL and not model:
        raise DamagedError(f"a segment at byte {reader.offset} names no model where it has one")
    return method, model, named


def read_segments(reader: Reader, head: Head, limits: Limits) -> Iterator[Segment]:
    """Yield the segments behind the head as they come; then read the index, and check that it fits them.

    Nothing is held of a segment once it was yielded. Raises FormatErrors.
    """
    start, link, last, rows = 0, head.written, b"", list[_Row]()
    reader.forget()
    while (byte := reader.byte("a segment or the index")) & _TYPE != _INDEX:
        try:
            found = _read_segment_head(reader, byte, last)
            payload = reader.take(found.size, "payload")
            segment, link = _read_checks(
                reader, found, payload, link, _next_extent(head, len(rows), start, found, payload)
            )
            check_payload(head.header, found.method, payload, segment.extent, limits)
        except FormatError as error:
            raise error.within(f"segment {len(rows) + 1}") from error
        length = 0 if head.grid else segment.extent[0][1] - start
        rows.append(_Row(found.method, found.model, found.size, length))
        check_segments(len(rows), limits)
        yield segment
        start, last = start + length, found.model or last
        reader.forget()
    _check_count(head, len(rows))
    if _read_index(reader, byte, head, link, len(rows), limits).rows != tuple(rows):
        raise DamagedError("the index does not fit the segments")


def _read_checks(
    reader: Reader, found: _SegmentHead, payload: bytes, link: bytes, extent: Extent
) -> tuple[Segment, bytes]:
    """Return the segment, and its last four bytes. link: the four bytes before it, or the head."""
    content, coded = reader.take(4, "a checksum"), reader.take(4, "a checksum")
    sound = _next_link(link, found.raw, payload, content) == coded
    check = int.from_bytes(content, "little")
    return Segment(found.method, payload, found.model, extent, check, _CHECK_BITS, sound), coded


def _next_extent(head: Head, number: int, start: int, found: _SegmentHead, payload: Source) -> Extent:
    if head.grid is not None:
        if number >= head.grid.count:
            raise DamagedError(f"expected {head.grid.count} segments, found more")
        return head.grid.extents[number]
    return ((start, start + declared_sizes(head.header, found.method, payload)[0]),)


def _check_count(head: Head, count: int) -> None:
    if not count or (head.grid is not None and count != head.grid.count):
        raise DamagedError(f"expected {head.grid.count if head.grid else 'some'} segments, found {count}")


# ---- the index --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Index:
    """The index of a file: a row for each segment, and extras that a reader may skip."""

    rows: tuple[_Row, ...]
    extras: tuple[Extra, ...]


def _read_index(reader: Reader, byte: int, head: Head, link: bytes, most: int, limits: Limits) -> _Index:
    """Return the index, from behind its first byte on, and read what follows it, to the end of the file.

    link: the four bytes before it. most: segments that there can be.
    """
    start = reader.offset - 1
    index = _parse_index(reader, byte, head, most, limits)
    raw = reader.since(start)
    check, end = reader.take(4, "the index's checksum"), varint(len(raw))[::-1] + _END
    if crc32(link, raw).to_bytes(4, "little") != check or reader.take(len(end), "an end") != end:
        raise DamagedError(f"index checksum mismatch before byte {reader.offset}")
    return index


def _parse_index(reader: Reader, byte: int, head: Head, most: int, limits: Limits) -> _Index:
    count = byte >> 1 & _MOST_RUNS or reader.varint("a number of runs")
    runs, last, total = list[tuple[Method, bytes, int]](), b"", 0
    for _ in range(count):
        method, model, _ = _read_method(reader, reader.byte("a method"), last)
        number = reader.varint("a number of segments")
        last, total = model or last, total + number
        if not number or total > most:
            raise DamagedError(f"an index of {total} segments cannot be in this file")
        runs.append((method, model, number))
    check_segments(total, limits)
    sizes = [reader.varint("the size of a payload") for _ in range(total)]
    lengths = [0] * total if head.grid else [reader.varint("the length of content") for _ in range(total)]
    kinds = [(method, model) for method, model, number in runs for _ in range(number)]
    rows = tuple(_Row(*kind, size, length) for kind, size, length in zip(kinds, sizes, lengths, strict=True))
    extras = _read_later(reader, limits) if byte & 1 else ()
    check_extras(head.header, (*head.header.in_block, *extras), segmented=True)
    return _Index(rows, extras)


def _read_later(reader: Reader, limits: Limits) -> tuple[Extra, ...]:
    """Return the extras of the index."""
    start = reader.offset
    if any(Extra(tag, b"").is_critical for tag in skim_tags(reader)):
        raise DamagedError("an extra that must be understood cannot be in the index")
    return read_extras(Reader(reader.since(start)), limits.memory)


# ---- the whole file ---------------------------------------------------------------------------


def segmented_end(blob: Source, limits: Limits) -> int:
    """Return the end of a segmented file, found from its beginning, whether its segments can be read here or not.

    Raises a FormatError if that cannot be told.
    """
    head = _head_of(blob, limits)
    reader = Reader(blob, len(head.written))
    while (byte := _skim_method(reader)) & _TYPE != _INDEX:
        size = reader.varint("the size of a payload")
        if reader.offset + size + _CHECKS > len(blob):
            raise DamagedError("cut off: expected an index")
        reader.offset += size + _CHECKS
    start = reader.offset - 1
    _skim_index(reader, byte, 1 if head.grid else 2, len(blob) // _LEAST_SEGMENT)
    digits = varint(reader.offset - start)[::-1]
    reader.take(4, "the index's checksum")
    if reader.take(len(digits) + 2, "an end") != digits + _END:
        raise DamagedError(f"cut off: expected {_END.hex(' ')} before byte {reader.offset}")
    return reader.offset


def _skim_method(reader: Reader) -> int:
    """Return the byte that begins a segment or a run, and read the model that it names."""
    byte = reader.byte("a segment or the index")
    if byte & _TYPE != _INDEX and byte & _NAMED:
        reader.take(MODEL_BYTES, "a model identity")
    return byte


def _skim_index(reader: Reader, byte: int, each: int, most: int) -> None:
    """Read the index from behind its first byte, up to its checksum.

    each: numbers that it has of a segment. most: segments that there can be.
    """
    total = 0
    for _ in range(byte >> 1 & _MOST_RUNS or reader.varint("a number of runs")):
        _skim_method(reader)
        total += reader.varint("a number of segments")
    if total > most:
        raise DamagedError(f"an index of {total} segments cannot be in this file")
    for _ in range(each * total):
        reader.varint("a size")
    if byte & 1:
        reader.take(reader.varint("the size of the extras"), "extras")


def unpack_segmented(blob: Source, limits: Limits, salvage: bool, place: Place | None) -> Frame:
    """Return the frame of a segmented file."""
    head = _head_of(blob, limits)
    if head.grid is not None:
        if head.grid.count > len(blob) // _LEAST_SEGMENT:
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
    if blob[-2 : len(blob)] != _END:
        raise DamagedError(f"cut off: expected {_END.hex(' ')} at byte {len(blob) - 2}, its end")
    size, digits = last_varint(blob[-12:-2])
    end = len(blob) - 2 - digits - 4
    start = end - size
    if start < len(head.written):
        raise DamagedError(f"the index of {size} bytes at its end is longer than the file")
    link = blob[start - 4 : start] if start > len(head.written) else head.written
    raw = blob[start:end]
    if crc32(link, raw) != int.from_bytes(blob[end : end + 4], "little") or raw[:1] < bytes([_INDEX]):
        raise DamagedError(f"index checksum mismatch at byte {end}")
    reader = Reader(raw, 1)
    index = _parse_index(reader, raw[0], head, len(blob) // _LEAST_SEGMENT, limits)
    entries = tuple(_placed(index.rows, len(head.written)))
    _check_count(head, len(entries))
    if reader.rest() or entries[-1].end != start:
        raise DamagedError(f"the index at byte {start} does not fit the segments")
    cut = head.grid or Pieces(tuple(row.length for row in index.rows))
    header = replace(head.header, extras=(*head.header.extras, *index.extras))
    return _shaped(header, cut), cut, entries


def _placed(rows: Sequence[_Row], begin: int) -> Iterator[Entry]:
    """Yield the entry of each row. begin: the byte at which the first segment begins."""
    last = b""
    for row in rows:
        head = _write_segment_head(row.method, row.model, row.size, last)
        last = row.model or last
        entry = _entry(row.method, row.model, head, begin + len(head), row.size)
        yield entry
        begin = entry.end


def _entry(method: Method, model: bytes, head: bytes, start: int, size: int) -> Entry:
    return Entry(method, model, head, start, start + size, start + size + _CHECKS)


def _found(blob: Source, head: Head, limits: Limits) -> tuple[Header, Cut, tuple[Entry, ...], bool]:
    """Return header, cut and entries without the index, up to a broken segment, and whether there is none."""
    _, _, entries, byte = _walked(blob, limits)
    if head.grid is not None:
        return head.header, head.grid, entries[: head.grid.count], byte is not None
    lengths = []
    for entry in entries:
        try:
            lengths.append(declared_sizes(head.header, entry.method, Part(blob, entry.start, entry.stop))[0])
        except DamagedError:
            break
    _check_count(head, len(lengths))
    complete = byte is not None and len(lengths) == len(entries)
    cut = Pieces((*lengths, *_missing(head.header, sum(lengths))))
    return _shaped(head.header, cut), cut, entries[: len(lengths)], complete


def _missing(header: Header, length: int) -> tuple[int, ...]:
    """Return the length of the piece that is missing for an array to be whole, if any is."""
    size = prod(header.shape[1:]) * header.item_bytes if header.kind is Kind.ARRAY else 1
    return (-length % size,) if size and length % size else ()


def _walked(blob: Source, limits: Limits) -> tuple[Reader, Head, tuple[Entry, ...], int | None]:
    """Return all entries up to the first that cannot be read, and the index's first byte, which was read, if it was."""
    head = _head_of(blob, limits)
    reader, entries, last = Reader(blob, len(head.written)), list[Entry](), b""
    try:
        while (byte := reader.byte("a segment or the index")) & _TYPE != _INDEX:
            found = _read_segment_head(reader, byte, last)
            entry = _entry(found.method, found.model, found.raw, reader.offset, found.size)
            if entry.end > len(blob):
                cut = [replace(entry, stop=min(entry.stop, len(blob)))] if found.method is Method.MODEL else []
                return reader, head, (*entries, *cut), None  # of an archive items may be had
            reader.offset, last = entry.end, found.model or last
            entries.append(entry)
            check_segments(len(entries), limits)
    except LimitError:
        raise
    except FormatError:
        return reader, head, tuple(entries), None
    return reader, head, tuple(entries), byte


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
        sound = raw == entry.head and _next_link(link, raw, payload, checks[:4]) == checks[4:]
        content = int.from_bytes(checks[:4], "little")  # of what was cut off any number, which is not its checksum
        return Segment(entry.method, payload, entry.model, extent, content, _CHECK_BITS, sound)
