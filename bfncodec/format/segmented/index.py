"""The index of a file: methods and models of its segments by runs, their sizes, and extras that may be skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bfncodec.errors import DamagedError
from bfncodec.format.checks import crc32
from bfncodec.format.extras import Extra, read_extras, skim_tags, write_extras
from bfncodec.format.frame import MAGIC
from bfncodec.format.header import check_extras
from bfncodec.format.kinds import Method
from bfncodec.format.limits import Limits
from bfncodec.format.segmented.head import Head
from bfncodec.format.segmented.segment import INDEX, read_method, skim_method, write_method
from bfncodec.format.sizes import check_segments
from bfncodec.format.wire import Reader, varint

END = MAGIC[::-1]
MOST_RUNS = 31  # that its byte tells


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the index, which tells of a segment. size: bytes of payload. length: of content, 0 of a tile."""

    method: Method
    model: bytes
    size: int
    length: int


def write_index(rows: Sequence[Row], later: Sequence[Extra], sized: bool, link: bytes) -> bytes:
    """Return the index and what follows it. later: extras that a reader may skip. sized: lengths are told, as of
    anything but tiles. link: the four bytes before it
    """
    groups = groupby((row.method, row.model) for row in rows)
    runs = [(method, model, len(list(group))) for (method, model), group in groups]
    index = bytes([INDEX | (len(runs) if len(runs) <= MOST_RUNS else 0) << 1 | bool(later)])
    index += varint(len(runs)) if len(runs) > MOST_RUNS else b""
    index += _write_runs(runs)
    index += b"".join(varint(row.size) for row in rows)
    index += b"".join(varint(row.length) for row in rows) if sized else b""
    index += write_extras(later) if later else b""
    check = crc32(link, index).to_bytes(4, "little")
    return index + check + varint(len(index))[::-1] + END


def _write_runs(runs: Sequence[tuple[Method, bytes, int]]) -> bytes:
    out, last = b"", b""
    for method, model, count in runs:
        out += write_method(method, model, last) + varint(count)
        last = model or last
    return out


@dataclass(frozen=True)
class Index:
    """The index of a file: a row for each segment, and extras that a reader may skip."""

    rows: tuple[Row, ...]
    extras: tuple[Extra, ...]


def read_index(reader: Reader, byte: int, head: Head, link: bytes, most: int, limits: Limits) -> Index:
    """Return the index, from behind its first byte on, and read what follows it, to the end of the file.

    link: the four bytes before it. most: segments that there can be.
    """
    start = reader.offset - 1
    index = parse_index(reader, byte, head, most, limits)
    raw = reader.since(start)
    check, end = reader.take(4, "the index's checksum"), varint(len(raw))[::-1] + END
    if crc32(link, raw).to_bytes(4, "little") != check or reader.take(len(end), "an end") != end:
        raise DamagedError(f"index checksum mismatch before byte {reader.offset}")
    return index


def parse_index(reader: Reader, byte: int, head: Head, most: int, limits: Limits) -> Index:
    """Return the index, from behind its first byte up to its checksum. most: segments that there can be"""
    count = byte >> 1 & MOST_RUNS or reader.varint("a number of runs")
    runs, last, total = list[tuple[Method, bytes, int]](), b"", 0
    for _ in range(count):
        method, model, _ = read_method(reader, reader.byte("a method"), last)
        number = reader.varint("a number of segments")
        last, total = model or last, total + number
        if not number or total > most:
            raise DamagedError(f"an index of {total} segments cannot be in this file")
        runs.append((method, model, number))
    check_segments(total, limits)
    sizes = [reader.varint("the size of a payload") for _ in range(total)]
    lengths = [0] * total if head.grid else [reader.varint("the length of content") for _ in range(total)]
    kinds = [(method, model) for method, model, number in runs for _ in range(number)]
    rows = tuple(Row(*kind, size, length) for kind, size, length in zip(kinds, sizes, lengths, strict=True))
    extras = _read_later(reader, limits) if byte & 1 else ()
    check_extras(head.header, (*head.header.in_block, *extras), segmented=True)
    return Index(rows, extras)


def _read_later(reader: Reader, limits: Limits) -> tuple[Extra, ...]:
    """Return the extras of the index."""
    start = reader.offset
    if any(Extra(tag, b"").is_critical for tag in skim_tags(reader)):
        raise DamagedError("an extra that must be understood cannot be in the index")
    return read_extras(Reader(reader.since(start)), limits.memory)


def skim_index(reader: Reader, byte: int, each: int, most: int) -> None:
    """Read the index from behind its first byte, up to its checksum.

    each: numbers that it has of a segment. most: segments that there can be.
    """
    total = 0
    for _ in range(byte >> 1 & MOST_RUNS or reader.varint("a number of runs")):
        skim_method(reader)
        total += reader.varint("a number of segments")
    if total > most:
        raise DamagedError(f"an index of {total} segments cannot be in this file")
    for _ in range(each * total):
        reader.varint("a size")
    if byte & 1:
        reader.take(reader.varint("the size of the extras"), "extras")
