"""Section 4 of the file format, tag 8A: rows of items, each of which is a file."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass

from reader.errors import DamagedError, NewerError
from reader.files import check_paths
from reader.frame import COMPACT, MAGIC, PICTURE, Frame, read_fields, read_layout
from reader.lzma1 import decode_lzma
from reader.wire import Bytes

MOST_NAMES = 1 << 26


@dataclass(frozen=True)
class Row:
    """Items of a segment: their number and names; their parts with the sizes of these, one part if they are a stack."""

    count: int
    names: list[str] | None
    sizes: list[int]
    parts: bytes
    stacked: bool

    @property
    def files(self) -> list[bytes]:
        return files_of(Bytes(self.parts), self.sizes)


def read_row(content: bytes) -> Row:
    """Return the items in the content of a segment."""
    reader = Bytes(content)
    form = reader.byte()
    if form > 3:
        raise NewerError(f"items of form {form}")
    count = reader.varint()
    names = read_names(Bytes(reader.take(reader.varint())), count) if form & 2 else None
    number = 1 if form & 1 else count
    if not 1 <= number <= len(content):
        raise DamagedError(f"{count} items in {len(content)} bytes")
    sizes = [reader.varint() for _ in range(number)]
    if sum(size >> 1 for size in sizes) != len(content) - reader.at:
        raise DamagedError("sizes of items that do not fill their row")
    if not sizes[0] & 1:
        raise DamagedError("a first item without a head")
    return Row(count, names, sizes, reader.rest(), bool(form & 1))


def read_names(block: Bytes, count: int) -> list[str]:
    """Return the names of items."""
    method = block.byte()
    if method > 1:
        raise DamagedError(f"names by method {method}")
    value = decode_lzma(block.rest()) if method else block.rest()
    *names, end = value.split(b"\0")
    if end or len(names) != count or len(value) > MOST_NAMES:
        raise DamagedError(f"{len(names)} names of {count} items")
    try:
        return [name.decode() for name in names]
    except UnicodeDecodeError as error:
        raise DamagedError(f"a name that is not UTF-8: {error}") from None


def files_of(reader: Bytes, sizes: list[int]) -> list[bytes]:
    """Return the files of a row as they are when they stand alone."""
    found, head = [], b""
    for size in sizes:
        part = Bytes(reader.take(size >> 1))
        if size & 1:
            head = read_head(part)
        found.append(whole(head, part.rest()))
    return found


def read_head(part: Bytes) -> bytes:
    """Return what a file has in common with those behind it."""
    flags = part.byte()
    if read_layout(MAGIC + bytes([flags, 0, 0]), 0) == COMPACT:
        kind = flags >> 3 & 3
        part.take(4 if flags >> 1 & 3 == 3 else 0)
        if kind == PICTURE:
            part.byte()
        else:
            read_fields(part, kind, segmented=False)
    return part.data[: part.at]


def whole(head: bytes, rest: bytes) -> bytes:
    """Return a file with its magic number and, if it is compact and not long, its CRC-16."""
    if head[0] >> 5 != COMPACT:
        return MAGIC + head + rest
    if len(rest) < 2:
        raise DamagedError(f"an item of {len(rest)} bytes")
    covered = rest[:2] + head[1:] + rest[2:]
    check = crc_hqx(covered, crc_hqx(MAGIC + head[:1], 0xFFFF))
    return MAGIC + head[:1] + check.to_bytes(2, "little") + covered


def rows_of(frame: Frame, contents: list[bytes]) -> list[Row]:
    """Return the rows of all segments, and check what holds for all of them."""
    rows = [read_row(content) for content in contents]
    counts = frame.tags.get(0x09)
    if counts is not None:
        reader = Bytes(counts)
        told = []
        while reader.at < len(counts):
            told.append(reader.varint())
        if told != [row.count for row in rows]:
            raise DamagedError("other numbers of items than tag 09 says")
    if len({row.names is None for row in rows}) > 1:
        raise DamagedError("names of some items alone")
    if rows[0].names is not None:
        check_paths(sorted(name for row in rows for name in row.names or ()))
    return rows
