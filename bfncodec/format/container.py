"""The container, version 1: coded segments to the bytes of a file and back.

docs/format.md is the byte-by-byte specification; this module follows its order. It knows sizes,
checksums and limits and nothing about how a payload is coded, so it imports neither numpy,
torch nor PIL. The encoder of each part stands above its decoder.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from bfncodec.errors import DamagedError, FormatError, LimitError, NewerVersionError, NotOursError
from bfncodec.format.axes import NOWHERE, Axes, Extent, extents, overlap
from bfncodec.format.header import Header, read_header, write_header
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import Limits
from bfncodec.format.sizes import check_axes, check_memory, check_payload, declared_sizes
from bfncodec.format.wire import Reader, Source, varint

__all__ = [
    "LONGEST_COMPACT",
    "MAGIC",
    "SUFFIX",
    "Coded",
    "Compact",
    "Frame",
    "Place",
    "Segment",
    "pack",
    "read_compact",
    "segmented_end",
    "unpack",
]

MAGIC = b"\xbf\x4e"
SUFFIX = ".bfn"
VERSION = 1
_END = MAGIC[::-1]
_FOOTER = 10  # index length, index checksum, end mark
_LEAST_ENTRY = 6  # head byte, one-byte length, checksum
_MAX_MODELS = 64

LONGEST_COMPACT = 1 << 16
"""Bytes of the longest payload of bytes or text in the compact form: what is longer can afford to say where it ends."""


@dataclass(frozen=True)
class Coded:
    """A coded segment.

    crc: CRC-32 of its content. model: four bytes of identity, or empty.
    """

    method: Method
    payload: bytes
    crc: int
    model: bytes = b""


@dataclass(frozen=True)
class Segment:
    """A segment as found in a file.

    crc: CRC-32 of content, prefix and payload. prefix: every other byte that decides what the payload means.
    """

    method: Method
    payload: bytes
    model: bytes
    crc: int
    prefix: bytes
    extent: Extent

    def check(self, content: bytes) -> None:
        """Raise :class:`DamagedError` unless ``content`` is what the encoder was given."""
        found = _crc(zlib.crc32(content), self.prefix, self.payload)
        if found != self.crc:
            raise DamagedError(f"checksum mismatch: expected {self.crc:08x}, found {found:08x}")


@dataclass(frozen=True)
class Frame:
    """A parsed file.

    segments: None for those that are not wanted, and for those of which salvage found nothing usable.
    """

    header: Header
    axes: Axes
    segments: tuple[Segment | None, ...]


Place = Callable[[Header, Axes], Extent]
"""Returns the extent that is wanted of content with that header and those axes."""


# ---- the whole file ---------------------------------------------------------------------------


def pack(header: Header, axes: Axes, coded: Sequence[Coded]) -> bytes:
    """Return the file of segments, which are in the order of :func:`extents`."""
    if len(coded) > 1 or (header.kind in (Kind.BYTES, Kind.STR) and len(coded[0].payload) > LONGEST_COMPACT):
        return _pack_segmented(header, axes, coded)
    return _pack_compact(header, coded[0])


def unpack(
    blob: Source,
    limits: Limits | None = None,
    salvage: bool = False,
    place: Place | None = None,
) -> Frame:
    """Return a parsed file; nothing is decoded yet.

    salvage: keep what a broken file still holds. place: the part of the content that is wanted; the payloads of other
    segments of a segmented file are not read. It may raise errors of its own.

    Raises a :class:`FormatError`: :class:`NotOursError`, :class:`NewerVersionError`, or
    :class:`DamagedError` (also for sizes beyond ``limits``).
    """
    limits = limits or Limits()
    flags = _read_start(blob)
    if flags & 2:
        return _unpack_segmented(blob, limits, salvage, place)
    return _unpack_compact(blob, limits, place)


def _read_start(blob: Source) -> int:
    if not len(blob):
        raise NotOursError("expected a bfncodec file, found an empty one")
    if blob[:2] != MAGIC[: len(blob)]:
        raise NotOursError(f"expected a bfncodec file (beginning {MAGIC.hex(' ')}), found {blob[:2].hex(' ')}")
    flags = Reader(blob, 2).byte("flags")
    if flags >> 6 > VERSION:
        raise NewerVersionError(
            f"format version {flags >> 6} where this release reads {VERSION}: update bfncodec, or the file is damaged"
        )
    if flags >> 6 < VERSION:
        raise DamagedError(f"format version {flags >> 6} at byte 2 never existed")
    return flags


def _flags(header: Header, method: Method, segmented: bool) -> int:
    return VERSION << 6 | header.kind << 4 | method << 2 | segmented << 1 | bool(header.extras)


def _crc(start: int, *parts: bytes) -> int:
    for part in parts:
        start = zlib.crc32(part, start)
    return start


# ---- compact: one segment ---------------------------------------------------------------------


def _pack_compact(header: Header, coded: Coded) -> bytes:
    before = MAGIC + bytes([_flags(header, coded.method, False)])
    after = coded.model + write_header(header)
    crc = _crc(coded.crc, before, after, coded.payload)
    return before + crc.to_bytes(4, "little") + after + coded.payload


@dataclass(frozen=True)
class Compact:
    """The head of a compact file, up to its payload.

    prefix: bytes that go into the checksum between content and payload.
    """

    header: Header
    method: Method
    model: bytes
    crc: int
    prefix: bytes
    payload_start: int


def read_compact(blob: Source, limits: Limits | None = None) -> Compact:
    """Return the head of a compact file. Raises the errors of :func:`unpack`."""
    flags = _read_start(blob)
    reader = Reader(blob, 3)
    crc = reader.uint32("checksum")
    method = Method(flags >> 2 & 3)
    model = reader.take(4, "model identity") if method is Method.MODEL else b""
    header = read_header(reader, flags, limits or Limits())
    return Compact(header, method, model, crc, blob[:3] + blob[7 : reader.offset], reader.offset)


def _unpack_compact(blob: Source, limits: Limits, place: Place | None) -> Frame:
    head = read_compact(blob, limits)
    header, method = head.header, head.method
    payload = blob[head.payload_start : len(blob)]
    axes = tuple((length, 1) for length in declared_sizes(header, method, payload))
    check_axes(header, axes, limits)
    wanted = place(header, axes) if place is not None else None
    check_memory(header, axes, NOWHERE if wanted == NOWHERE else None, limits)  # of a part all is decoded
    extent = next(extents(axes))
    check_payload(header, method, payload, extent, limits)
    return Frame(header, axes, (Segment(method, payload, head.model, head.crc, head.prefix, extent),))


# ---- segmented: several -----------------------------------------------------------------------


def _pack_segmented(header: Header, axes: Axes, coded: Sequence[Coded]) -> bytes:
    before = MAGIC + bytes([_flags(header, Method.STORED, True)])
    models = sorted({segment.model for segment in coded if segment.model})
    sizes = b"".join(varint(length) + varint(parts) for length, parts in axes)
    after = write_header(header) + sizes
    after += varint(len(models)) + b"".join(models)
    head = _crc(0, before, after).to_bytes(4, "little")
    out, index = [before, head, after], b""
    for number, segment in enumerate(coded):
        model = models.index(segment.model) if segment.model else 0
        entry = bytes([segment.method << 6 | model]) + varint(len(segment.payload))
        prefix = head + number.to_bytes(4, "little") + entry
        entry += _crc(segment.crc, prefix, segment.payload).to_bytes(4, "little")
        index += entry
        out += [entry, segment.payload]
    footer = len(index).to_bytes(4, "little")
    footer += _crc(0, head, index, footer).to_bytes(4, "little")
    return b"".join([*out, index, footer, _END])


def segmented_end(blob: Source, limits: Limits) -> int:
    """Return the end of a segmented file, found from its beginning. Raises a FormatError if that cannot be told."""
    _read_start(blob)
    head = _read_head(blob, limits)
    reader, index = Reader(blob, head.end), 0
    for _ in range(prod(parts for _, parts in head.axes)):
        entry = _read_entry(reader, reader.offset)
        index += len(entry.head) + 4
        reader.offset = min(entry.stop, len(blob))
    end = reader.offset + index + _FOOTER
    if end > len(blob) or blob[end - 2 : end] != _END:
        raise DamagedError(f"cut off: expected {_END.hex(' ')} before byte {end}")
    return end


def _unpack_segmented(blob: Source, limits: Limits, salvage: bool, place: Place | None) -> Frame:
    head = _read_head(blob, limits)
    count = prod(parts for _, parts in head.axes)
    wanted = place(head.header, head.axes) if place is not None else None
    check_memory(head.header, head.axes, wanted, limits)
    indexed = True
    try:
        entries = _read_index(blob, head, count)
    except DamagedError:
        if not salvage:
            raise
        entries, indexed = _walk(blob, head, count), False
    segments: list[Segment | None] = []
    for number, extent in enumerate(extents(head.axes, head.header.granularity)):
        if wanted is not None and not overlap(wanted, extent):
            segments.append(None)
            continue
        try:
            if number >= len(entries):
                raise DamagedError("not found")
            segments.append(_segment(blob, head, number, entries[number], extent, limits, salvage and indexed))
        except FormatError as error:
            if not salvage or isinstance(error, LimitError):
                raise error.within(f"segment {number + 1} of {count}") from error
            segments.append(None)
    return Frame(head.header, head.axes, tuple(segments))


@dataclass(frozen=True)
class _Head:
    """The head of a segmented file, up to its segments.

    crc: bytes of its checksum, which go into every other checksum and so bind segments to this head.
    """

    header: Header
    axes: Axes
    models: tuple[bytes, ...]
    crc: bytes
    end: int


def _read_head(blob: Source, limits: Limits) -> _Head:
    reader = Reader(blob, 3)
    crc = reader.take(4, "header checksum")
    header = read_header(reader, blob[2:3][0], limits)
    axes = _read_axes(reader, header.kind)
    models = _read_models(reader)
    found = _crc(0, blob[:3], blob[7 : reader.offset]).to_bytes(4, "little")
    if found != crc:
        raise DamagedError(f"header checksum mismatch: expected {crc[::-1].hex()}, found {found[::-1].hex()}")
    count = prod(parts for _, parts in axes)
    if count > len(blob) // _LEAST_ENTRY:
        raise DamagedError(f"cut off: {len(blob)} bytes cannot hold {count} segments")
    check_axes(header, axes, limits)
    return _Head(header, axes, models, crc, reader.offset)


def _read_axes(reader: Reader, kind: Kind) -> Axes:
    dimensions = 2 if kind is Kind.IMAGE else 1
    return tuple((reader.varint("a length"), reader.varint("a number of parts")) for _ in range(dimensions))


def _read_models(reader: Reader) -> tuple[bytes, ...]:
    count = reader.varint("the number of models")
    if count > _MAX_MODELS:
        raise DamagedError(f"{count} models where at most {_MAX_MODELS} can be")
    return tuple(reader.take(4, "a model identity") for _ in range(count))


@dataclass(frozen=True)
class _Entry:
    """An entry of the index, which also stands before the payload of its segment.

    head: method, model and length of the payload. start, stop: the payload in the file.
    """

    head: bytes
    crc: int
    start: int
    stop: int


def _read_entry(reader: Reader, at: int) -> _Entry:
    """Return the next entry, that of a segment which begins at byte ``at`` of the file."""
    start = reader.offset
    reader.byte("a segment's method")
    length = reader.varint("a segment's length")
    head = reader.data[start : reader.offset]
    crc = reader.uint32("a segment's checksum")
    at += len(head) + 4
    return _Entry(head, crc, at, at + length)


def _read_index(blob: Source, head: _Head, count: int) -> list[_Entry]:
    """Return the entries of all segments, from the index at the end of the file."""
    end = len(blob) - _FOOTER
    if end < head.end or blob[-2:] != _END:
        raise DamagedError(f"cut off: expected {_END.hex(' ')} at byte {len(blob) - 2}, its end")
    length, crc = (int.from_bytes(blob[end + at : end + at + 4], "little") for at in (0, 4))
    index = blob[max(head.end, end - length) : end]
    if len(index) != length or _crc(0, head.crc, index, blob[end : end + 4]) != crc:
        raise DamagedError(f"index checksum mismatch at byte {end}")
    reader, entries, at = Reader(index), [], head.end
    for _ in range(count):
        entries.append(_read_entry(reader, at))
        at = entries[-1].stop
    if reader.offset != length or at != end - length:
        raise DamagedError(f"the index at byte {end - length} does not fit the segments")
    return entries


def _walk(blob: Source, head: _Head, count: int) -> list[_Entry]:
    """Return the entries that can be found without the index: all before the first broken one."""
    reader, entries = Reader(blob, head.end), []
    try:
        for _ in range(count):
            entry = _read_entry(reader, reader.offset)
            reader.take(entry.stop - entry.start, "payload")
            entries.append(entry)
    except DamagedError:
        pass
    return entries


def _segment(
    blob: Source, head: _Head, number: int, entry: _Entry, extent: Extent, limits: Limits, trusted: bool
) -> Segment:
    """Return a segment of a file.

    trusted: whether the index, which has a checksum of its own, is believed where the entry differs from it.
    """
    start = entry.start - 4 - len(entry.head)
    if not trusted and _read_entry(Reader(blob, start), start) != entry:
        raise DamagedError(f"its head before byte {entry.start} differs from the index")
    method, which = Method(entry.head[0] >> 6), entry.head[0] & 63
    used = len(head.models) if method is Method.MODEL else 1
    if which >= used:
        raise DamagedError(f"model number {which} where there are {used}")
    payload = blob[entry.start : entry.stop]
    check_payload(head.header, method, payload, extent, limits)
    model = head.models[which] if method is Method.MODEL else b""
    prefix = head.crc + number.to_bytes(4, "little") + entry.head
    return Segment(method, payload, model, entry.crc, prefix, extent)
