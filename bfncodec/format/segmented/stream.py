"""Readers of a segmented file from its beginning on, which do not have its end yet or do not need its segments."""

from __future__ import annotations

from collections.abc import Iterator

from bfncodec.errors import DamagedError, FormatError
from bfncodec.format.cuts import Extent
from bfncodec.format.frame import Segment
from bfncodec.format.limits import Limits
from bfncodec.format.segmented.head import Head, check_count, head_of
from bfncodec.format.segmented.index import END, Row, read_index, skim_index
from bfncodec.format.segmented.segment import (
    CHECK_BITS,
    CHECKS,
    INDEX,
    LEAST_SEGMENT,
    TYPE,
    SegmentHead,
    next_link,
    read_segment_head,
    skim_method,
)
from bfncodec.format.sizes import check_payload, check_segments, declared_sizes
from bfncodec.format.wire import Reader, Source, varint


def read_segments(reader: Reader, head: Head, limits: Limits) -> Iterator[Segment]:
    """Yield the segments behind the head as they come; then read the index, and check that it fits them.

    Nothing is held of a segment once it was yielded. Raises FormatErrors.
    """
    start, link, last, rows = 0, head.written, b"", list[Row]()
    reader.forget()
    while (byte := reader.byte("a segment or the index")) & TYPE != INDEX:
        try:
            found = read_segment_head(reader, byte, last)
            payload = reader.take(found.size, "payload")
            segment, link = _read_checks(
                reader, found, payload, link, _next_extent(head, len(rows), start, found, payload)
            )
            check_payload(head.header, found.method, payload, segment.extent, limits)
        except FormatError as error:
            raise error.within(f"segment {len(rows) + 1}") from error
        length = 0 if head.grid else segment.extent[0][1] - start
        rows.append(Row(found.method, found.model, found.size, length))
        check_segments(len(rows), limits)
        yield segment
        start, last = start + length, found.model or last
        reader.forget()
    check_count(head, len(rows))
    if read_index(reader, byte, head, link, len(rows), limits).rows != tuple(rows):
        raise DamagedError("the index does not fit the segments")


def _read_checks(
    reader: Reader, found: SegmentHead, payload: bytes, link: bytes, extent: Extent
) -> tuple[Segment, bytes]:
    """Return the segment, and its last four bytes. link: the four bytes before it, or the head."""
    content, coded = reader.take(4, "a checksum"), reader.take(4, "a checksum")
    sound = next_link(link, found.raw, payload, content) == coded
    check = int.from_bytes(content, "little")
    return Segment(found.method, payload, found.model, extent, check, CHECK_BITS, sound), coded


def _next_extent(head: Head, number: int, start: int, found: SegmentHead, payload: Source) -> Extent:
    if head.grid is not None:
        if number >= head.grid.count:
            raise DamagedError(f"expected {head.grid.count} segments, found more")
        return head.grid.extents[number]
    return ((start, start + declared_sizes(head.header, found.method, payload)[0]),)


def segmented_end(blob: Source, limits: Limits) -> int:
    """Return the end of a segmented file, found from its beginning, whether its segments can be read here or not.

    Raises a FormatError if that cannot be told.
    """
    head = head_of(blob, limits)
    reader = Reader(blob, len(head.written))
    while (byte := skim_method(reader)) & TYPE != INDEX:
        size = reader.varint("the size of a payload")
        if reader.offset + size + CHECKS > len(blob):
            raise DamagedError("cut off: expected an index")
        reader.offset += size + CHECKS
    start = reader.offset - 1
    skim_index(reader, byte, 1 if head.grid else 2, len(blob) // LEAST_SEGMENT)
    digits = varint(reader.offset - start)[::-1]
    reader.take(4, "the index's checksum")
    if reader.take(len(digits) + 2, "an end") != digits + END:
        raise DamagedError(f"cut off: expected {END.hex(' ')} before byte {reader.offset}")
    return reader.offset
