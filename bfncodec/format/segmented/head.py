"""The head of a segmented file, which says what its content is."""

from __future__ import annotations

from dataclasses import dataclass

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.checks import crc16
from bfncodec.format.cuts import Grid
from bfncodec.format.frame import MAGIC, SEGMENTED, read_start
from bfncodec.format.header import Header, read_fields, with_extras, write_head
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Reader, Source, varint

START, COVERED = 3, 5  # bytes before the checksum of the head, and behind it


def write_start(header: Header, grid: Grid | None) -> bytes:
    """Return the head of a segmented file. grid: of a picture"""
    start = MAGIC + bytes([SEGMENTED << 5 | header.kind << 1 | bool(header.in_block)])
    rest = write_head(header, segmented=True)
    if grid is not None:
        rest += b"".join(map(varint, (grid.height, grid.rows, grid.width, grid.columns)))
    return start + crc16(start, rest).to_bytes(2, "little") + rest


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
    found = crc16(written[:START], written[COVERED:])
    if found != check:
        raise DamagedError(f"head checksum mismatch: expected {check:04x}, found {found:04x}")
    if flags & 1:
        header = with_extras(header, Reader(block), True, limits)
    return Head(header, grid, written)


def head_of(blob: Source, limits: Limits) -> Head:
    """Return the head of a segmented file of which all bytes are here."""
    return read_head_of(Reader(blob, START), read_start(blob), limits)


def check_count(head: Head, count: int) -> None:
    """Raise DamagedError unless a file with this head can have so many segments."""
    if not count or (head.grid is not None and count != head.grid.count):
        raise DamagedError(f"expected {head.grid.count if head.grid else 'some'} segments, found {count}")
