"""Rows of items: the content of each segment of an archive, in which every item is a file of its own, less its frame.

What an archive says already is left out of its items: the magic number and the checksum of coded bytes, which that of
the segment covers, and the beginning of the head where it is that of the item before. So an item takes four bytes more
than its payload. docs/format.md, section 4, is the specification. Writers stand above their readers. No numpy, torch
or PIL.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format import lzmaraw
from bfncodec.format.checks import crc16
from bfncodec.format.compact import CODED_CHECK, CONTENT_CHECK
from bfncodec.format.cuts import Cut, Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.frame import COMPACT, LONG, MAGIC, MODEL_BYTES, SEGMENTED, Frame, check_layout
from bfncodec.format.header import Header, read_fields
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.wire import Part, Reader, Source, varint

__all__ = [
    "MOST_BYTES",
    "Row",
    "check_plain",
    "counts_of",
    "model_of",
    "read_row",
    "skim_names",
    "write_counts",
    "write_row",
]

MOST_BYTES = (1 << 26) - (1 << 10)
"""Bytes of the largest compressed file that is an item: a segment has at most 2^26."""
_MOST_NAMES = 1 << 26  # bytes of the names in a segment
_STACK, _NAMED = 1, 2  # bits of the form of a row
_CHECK = CONTENT_CHECK - CODED_CHECK  # bytes of a checksum of the compact form


# ---- writing ----------------------------------------------------------------------------------


def write_row(files: Sequence[bytes], names: Sequence[str] | None = None, stack: int = 0) -> bytes:
    """Return the content of a segment of items.

    files: the compressed file of each item, or of the one array whose rows they are. names: of all items, None where
    they have none. stack: number of rows of that array, 0 if each item has a file.
    """
    form = _STACK * bool(stack) | _NAMED * (names is not None)
    sizes, parts, last = b"", [], b""
    for file in files:
        head, rest = _take_apart(file)
        part = rest if head == last else head + rest
        sizes += varint(2 * len(part) + (head != last))
        parts.append(part)
        last = head
    listed = b"" if names is None else _write_names(names)
    return bytes([form]) + varint(stack or len(files)) + listed + sizes + b"".join(parts)


def _write_names(names: Sequence[str]) -> bytes:
    plain = b"".join(name.encode() + b"\0" for name in names)
    squeezed = lzmaraw.pack(plain)
    method, payload = min((Method.STORED, plain), (Method.LZMA, squeezed), key=lambda pair: len(pair[1]))
    return varint(1 + len(payload)) + bytes([method]) + payload


def _take_apart(file: bytes) -> tuple[bytes, bytes]:
    """Return head and rest of a compressed file, as they are in a row."""
    flags = file[len(MAGIC) : CODED_CHECK]
    if flags[0] >> 5 != COMPACT:
        return flags, file[CODED_CHECK:]
    head = _read_head(Reader(flags + file[CONTENT_CHECK + _CHECK :]))
    return head, file[CONTENT_CHECK : CONTENT_CHECK + _CHECK] + file[CONTENT_CHECK + _CHECK + len(head) - 1 :]


def write_counts(counts: Sequence[int]) -> Extra:
    """Return the extra that tells of how many items each segment has."""
    return Extra(Tag.COUNTS, b"".join(map(varint, counts)))


# ---- reading ----------------------------------------------------------------------------------


def _read_head(reader: Reader) -> bytes:
    """Return what stands before the rest of a file in a row: flags, and of a compact file model and fields."""
    start = reader.offset
    flags = reader.byte("flags of an item")
    check_layout(flags)
    if flags >> 5 == COMPACT:
        kind = Kind(flags >> 3 & 3)
        if Method(flags >> 1 & 3) is Method.MODEL:
            reader.take(MODEL_BYTES, "a model identity")
        if kind is Kind.IMAGE:
            reader.byte("format and mode")
        else:
            read_fields(reader, kind, segmented=False)
    return reader.since(start)


@dataclass(frozen=True)
class Row:
    """The items of a segment.

    Parameters
    ----------
    content
        Content of the segment, or what gives slices of it.
    count
        Number of items.
    names
        Their names, None where they have none.
    is_stack
        They are the rows of the array in the one file that is there.
    edges
        Bytes of the content at which files begin, and the end of all.
    headed
        Numbers of the files that have a head.
    heads
        Those that were read, by these numbers.
    """

    content: Source
    count: int
    names: tuple[str, ...] | None
    is_stack: bool
    edges: array[int]
    headed: array[int]
    heads: dict[int, bytes] = field(default_factory=dict, compare=False)

    @classmethod
    def read(cls, content: bytes) -> Row:
        """Return what :func:`write_row` was given, no file put together yet. Raises DamagedError, NewerVersionError."""
        reader = Reader(content)
        form, count, names = _read_start(reader)
        files = 1 if form & _STACK else count
        if count < 1 or files > len(content):
            raise DamagedError(f"a segment of {len(content)} bytes cannot hold {count} items")
        sizes = [reader.varint("the size of an item") for _ in range(files)]
        end = reader.offset + sum(size >> 1 for size in sizes)
        if end != len(content):
            raise DamagedError(f"expected items of {end} bytes, found {len(content)}")
        edges = array("I", accumulate((size >> 1 for size in sizes), initial=reader.offset))
        headed = array("I", (number for number, size in enumerate(sizes) if size & 1))
        if not headed or headed[0]:
            raise DamagedError("expected a head of the first item, found none")
        return cls(content, count, names, bool(form & _STACK), edges, headed)

    def check(self, count: int) -> None:
        """Raise DamagedError unless there are as many items as the index says."""
        if self.count != count:
            raise DamagedError(f"expected {count} items, as the index says, found {self.count}")

    def file(self, number: int) -> bytes:
        """Return a compressed file, from 0, as if it were alone. Raises DamagedError."""
        headed = self.headed[bisect_right(self.headed, number) - 1]
        if headed not in self.heads:
            self.heads[headed] = _read_head(Reader(self.content[self.edges[headed] : self.edges[headed + 1]]))
        head = self.heads[headed]
        start = self.edges[number] + (len(head) if number == headed else 0)
        rest = self.content[start : self.edges[number + 1]]
        if head[0] >> 5 != COMPACT:
            return MAGIC + head + rest
        if len(rest) < _CHECK:
            raise DamagedError(f"an item of {len(rest)} bytes cannot be")
        covered = rest[:_CHECK] + head[1:] + rest[_CHECK:]
        return MAGIC + head[:1] + crc16(MAGIC, head[:1], covered).to_bytes(_CHECK, "little") + covered


def _read_start(reader: Reader) -> tuple[int, int, tuple[str, ...] | None]:
    """Return form, number and names of items."""
    form = reader.byte("the form of items")
    if form & ~(_STACK | _NAMED):
        raise NewerVersionError(f"items of form {form:#04x} are not known here: update bfncodec")
    count = reader.varint("a number of items")
    return form, count, _read_names(reader, count) if form & _NAMED else None


def skim_names(blob: Source, frame: Frame, number: int) -> tuple[str, ...] | None:
    """Return the names in a segment, of which no more is read, and no checksum checked, where it is stored.

    Raises FormatErrors.
    """
    entry = frame.entries[number]
    if entry.method is not Method.STORED:
        return read_row(frame, number).names
    return _read_start(Reader(Part(blob, entry.start, entry.stop)))[2]


def _read_names(reader: Reader, count: int) -> tuple[str, ...]:
    block = Reader(reader.take(reader.varint("the size of names"), "names of items"))
    method = block.byte("a method of names")
    if method > Method.LZMA:
        raise DamagedError(f"names of items cannot be coded by method {method}")
    plain = block.rest() if method == Method.STORED else lzmaraw.unpack(block.rest(), _MOST_NAMES)
    *names, end = plain.split(b"\0")
    if len(names) != count or end:
        raise DamagedError(f"expected the names of {count} items, found {len(names)}")
    try:
        return tuple(name.decode() for name in names)
    except UnicodeDecodeError as error:
        raise DamagedError(f"expected names in UTF-8, found {error.object[:99]!r}") from error


def check_plain(frame: Frame) -> None:
    """Raise DamagedError for an archive with a segment of items that is neither stored nor LZMA."""
    if any(entry.method > Method.LZMA for entry in frame.entries):
        raise DamagedError("expected segments of items stored or as LZMA, found others")


def read_row(frame: Frame, number: int) -> Row:
    """Return a segment of an archive. Raises FormatErrors."""
    segment = frame.segment(number)
    content = lzmaraw.unpack(segment.payload) if segment.method is Method.LZMA else segment.payload
    segment.verify(content)
    return Row.read(content)


def model_of(file: bytes) -> bytes:
    """Return the identity of the model of a compact file, b"" where it names none or is segmented."""
    layout, start = file[2] >> 5, CONTENT_CHECK + _CHECK
    if layout == SEGMENTED or file[2] >> 1 & 3 != Method.MODEL:
        return b""
    start += layout == LONG
    return file[start : start + MODEL_BYTES]


def counts_of(header: Header, cut: Cut) -> tuple[int, ...] | None:
    """Return the number of items of each segment; None for content that is no archive, or whose index is lost.

    Raises DamagedError for numbers that cannot be.
    """
    value = header.extra(Tag.COUNTS)
    if value is None or not isinstance(cut, Pieces):
        return None
    reader, counts = Reader(value), list[int]()
    while reader.offset < len(value):
        counts.append(reader.varint("a number of items"))
    if len(counts) != cut.count or not all(counts):
        raise DamagedError(f"expected the numbers of items of {cut.count} segments, found {len(counts)}")
    return tuple(counts)
