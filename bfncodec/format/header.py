"""The head of a file: what the content is, in as few bytes as possible, and what of the machine that asks for.

docs/format.md is the specification. Writers stand above their readers. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from math import prod

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format import lzmaraw
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.limits import NO_LIMITS, Limits, check_limit, plausible
from bfncodec.format.lineindex import Lines
from bfncodec.format.wire import MAX_VARINT, Reader, varint

__all__ = [
    "ARRAY_TYPES",
    "FINEST",
    "MAX_DIMENSIONS",
    "NOWHERE",
    "NO_LIMITS",
    "PLANES",
    "PNG",
    "VP8L",
    "Axes",
    "Box",
    "Extra",
    "Grain",
    "Header",
    "Items",
    "Kind",
    "Limits",
    "Method",
    "Mode",
    "Origin",
    "Tag",
    "boxes",
    "check_axes",
    "check_memory",
    "check_payload",
    "check_together",
    "content_bytes",
    "lengths",
    "overlap",
    "plausible",
    "read_extras",
    "read_header",
    "read_look",
    "write_extras",
    "write_grain",
    "write_header",
]

Axes = tuple[tuple[int, int], ...]
"""One (length, parts) a dimension: (bytes, parts) for bytes, rows then columns for a picture."""

Items = tuple[int, ...]
"""(size of an item, where the first begins): bytes are cut between items only. A third number says into how many parts
what is before the first item is cut; without it, all of that belongs to the part of the first item."""

Grain = Items | Lines
"""Where bytes are cut: into equal numbers of items, or after lines."""

FINEST: Items = (1, 0)

Box = tuple[tuple[int, int], ...]
"""One (start, stop) a dimension: where a segment lies in the content."""

NOWHERE: Box = ()
"""What no segment has anything of."""


class Kind(IntEnum):
    """What was given and comes back."""

    BYTES = 0
    STR = 1
    IMAGE = 2
    ARRAY = 3


class Method(IntEnum):
    """How a segment is coded. PICTURE is a VP8L or PNG stream, or 16-bit planes, told apart by its first byte; in an
    array planes of its elements' bytes.
    """

    STORED = 0
    LZMA = 1
    PICTURE = 2
    MODEL = 3


VP8L, PNG, PLANES = 0x2F, 0x89, 0x16
"""First bytes of the streams of Method.PICTURE."""


class Origin(IntEnum):
    """Where a picture came from, and so what it becomes again."""

    OBJECT = 0
    ARRAY = 1
    PNG = 2
    WEBP = 3
    BMP = 4
    PPM = 5
    TIFF = 6
    BIG_ENDIAN_ARRAY = 7

    @property
    def is_array(self) -> bool:
        """Return whether it was an array."""
        return self in (Origin.ARRAY, Origin.BIG_ENDIAN_ARRAY)


class Mode(IntEnum):
    """What a pixel is: Pillow's modes, and 16-bit colour and opacity, which Pillow has not."""

    RGB = 0
    RGBA = 1
    L = 2
    LA = 3
    P = 4
    BILEVEL = 5
    I16 = 6
    RGB16 = 7
    RGBA16 = 8
    LA16 = 9

    @property
    def pil(self) -> str:
        """The name Pillow uses, or would."""
        wide = {Mode.I16: "I;16", Mode.RGB16: "RGB;16", Mode.RGBA16: "RGBA;16", Mode.LA16: "LA;16"}
        return (wide | {Mode.BILEVEL: "1"}).get(self, self.name)

    @property
    def channels(self) -> int:
        """Samples a pixel."""
        colours = {Mode.RGB: 3, Mode.RGB16: 3, Mode.RGBA: 4, Mode.RGBA16: 4, Mode.LA: 2, Mode.LA16: 2}
        return colours.get(self, 1)

    @property
    def is_wide(self) -> bool:
        """Return whether samples have 16 bits."""
        return self in (Mode.I16, Mode.RGB16, Mode.RGBA16, Mode.LA16)

    @property
    def has_alpha(self) -> bool:
        """Return whether the last channel is opacity."""
        return self in (Mode.RGBA, Mode.LA, Mode.RGBA16, Mode.LA16)

    @classmethod
    def of(cls, pil: str) -> Mode | None:
        """The mode of that Pillow name, None when there is none."""
        return next((mode for mode in cls if mode.pil == pil), None)


class Tag(IntEnum):
    """What an extra holds. From 0x80 on a reader must understand it or refuse the file."""

    INFO = 0x01  # JSON object: a picture's info that is numbers and strings
    INFO_BYTES = 0x02  # name, zero byte, value: a picture's info that is bytes (ICC, EXIF)
    PREVIEW = 0x03  # CRC-32 of the rest, which is a small lossy WebP file of the picture
    WRAPPER = 0x04  # bytes: the type of Python they were given in
    SOURCE = 0x05  # CRC-32 of the file, or of all files of a folder, that come back byte for byte
    INFO_TREE = 0x06  # JSON: a picture's info that is neither plain numbers and strings nor bytes
    PALETTE = 0x80  # channels of an entry (3 or 4), then the entries
    CHUNKS = 0x81  # PNG, WebP: the chunks around the pixels
    LAYOUT = 0x82  # raw samples: how they lie, and the bytes before and after them
    STRIPS = 0x83  # TIFF: how strips are coded and where they lie, and the file without them
    GRAIN = 0x84  # bytes: items may not be cut; their size, where the first begins, parts before it
    FILES = 0x85  # bytes: they are the files of a folder; their paths, and what makes them again
    LINES = 0x86  # bytes, text: segments are whole lines; how large each is, and how many lines it has
    COLOURS = 0x87  # a palette, coded: instead of PALETTE, or of the contents of PLTE and tRNS among CHUNKS
    MOVED = 0x88  # bytes: of an .npz file, its arrays behind everything else; where they were


_CRITICAL, _SQUEEZED = 0x80, 0x40
_WORTH_SQUEEZING = 64  # bytes
MAX_DIMENSIONS = 15
_SHORT_TYPES = ("u1", "u2")  # named by the upper half of the byte that holds the number of dimensions
_LONG_TYPE = 15  # there, if another byte names the type
_SIZES = {"b": (1,), "u": (1, 2, 4, 8), "i": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}  # of elements, in bytes


def _array_types() -> Iterator[tuple[str, int]]:
    """Every type of array elements with its byte: kind, binary logarithm of the size, and order in the top bit."""
    for number, (kind, sizes) in enumerate(_SIZES.items()):
        for size in sizes:
            yield f"{kind}{size}", number << 4 | size.bit_length() - 1
            if size > 1:
                yield f">{kind}{size}", 0x80 | number << 4 | size.bit_length() - 1


ARRAY_TYPES = dict(_array_types())
"""Types of array elements as numpy writes them, without a sign in front for little-endian ones, with their bytes."""


@dataclass(frozen=True)
class Extra:
    """Metadata: a tag and its bytes."""

    tag: int
    value: bytes


@dataclass(frozen=True)
class Header:
    """What the content is: ``origin``, ``mode`` of pictures, ``dtype``, ``shape`` of arrays."""

    kind: Kind
    origin: Origin = Origin.OBJECT
    mode: Mode = Mode.RGB
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    extras: tuple[Extra, ...] = ()

    @cached_property
    def grain(self) -> Grain:
        """Where bytes may be cut. Raises DamagedError for what no writer writes."""
        lines, items = self.extra(Tag.LINES), self.extra(Tag.GRAIN)
        if lines is None:
            return FINEST if items is None else self._items(items)
        if items is not None or self.kind not in (Kind.BYTES, Kind.STR):
            raise DamagedError(f"content of kind {self.kind.name.lower()} and items cannot be cut after lines")
        return Lines.read(lines)

    @property
    def is_file_of_pixels(self) -> bool:
        """Return whether the content is the picture in a file, which is made again of it."""
        return self.kind is Kind.IMAGE and self.origin is not Origin.OBJECT and not self.origin.is_array

    @property
    def lines(self) -> Lines | None:
        """The table of lines, where content is cut after lines."""
        return self.grain if isinstance(self.grain, Lines) else None

    def _items(self, value: bytes) -> Items:
        reader = Reader(value)
        size, first = reader.varint("the size of an item"), reader.varint("the first item's place")
        apart = (reader.varint("parts before the first item"),) if reader.offset < len(value) else ()
        if not size or reader.rest() or self.kind is Kind.IMAGE or apart == (0,):
            raise DamagedError(f"items of {size} bytes from byte {first} cannot be")
        return size, first, *apart

    @property
    def item_bytes(self) -> int:
        """Bytes of an array's element."""
        return int(self.dtype.lstrip(">")[1:])

    def extra(self, tag: Tag) -> bytes | None:
        """The value of the first extra of that tag, None when there is none."""
        return next((extra.value for extra in self.extras if extra.tag == tag), None)


# ---- fields -----------------------------------------------------------------------------------


def write_header(header: Header) -> bytes:
    """The bytes that follow the checksum (and the model, if any), up to sizes or payload."""
    return _write_fields(header) + (write_extras(header.extras) if header.extras else b"")


def read_header(reader: Reader, flags: int, limits: Limits) -> Header:
    """The inverse of :func:`write_header`; ``flags`` is the file's third byte."""
    kind = Kind(flags >> 4 & 3)
    header = _read_fields(reader, kind)
    return replace(header, extras=read_extras(reader, limits.memory)) if flags & 1 else header


def _write_fields(header: Header) -> bytes:
    if header.kind is Kind.IMAGE:
        return bytes([header.origin << 4 | header.mode])
    if header.kind is Kind.ARRAY:
        is_short = header.dtype in _SHORT_TYPES
        number = _SHORT_TYPES.index(header.dtype) if is_short else _LONG_TYPE
        name = b"" if is_short else bytes([ARRAY_TYPES[header.dtype]])
        return bytes([number << 4 | len(header.shape)]) + name + b"".join(map(varint, header.shape))
    return b""


def _read_fields(reader: Reader, kind: Kind) -> Header:
    if kind is Kind.IMAGE:
        return Header(kind, *read_look(reader))
    if kind is Kind.ARRAY:
        byte = reader.byte("type and dimensions")
        dtype = _read_type(reader, byte >> 4)
        shape = tuple(reader.varint("an array dimension") for _ in range(byte & 15))
        return Header(kind, dtype=dtype, shape=shape)
    return Header(kind)


def _read_type(reader: Reader, number: int) -> str:
    if number < len(_SHORT_TYPES):
        return _SHORT_TYPES[number]
    byte = reader.byte("an array type") if number == _LONG_TYPE else None
    found = next((name for name, known in ARRAY_TYPES.items() if known == byte and name not in _SHORT_TYPES), None)
    if found is None:
        raise NewerVersionError(
            f"array type {number if byte is None else byte:#04x} is not known here: update bfncodec"
        )
    return found


def read_look(reader: Reader) -> tuple[Origin, Mode]:
    """Where a picture came from and what its pixels are, from one byte."""
    byte = reader.byte("format and mode")
    if byte >> 4 > max(Origin) or byte & 15 > max(Mode):
        raise NewerVersionError(f"picture format and mode {byte:#04x} are not known here")
    return Origin(byte >> 4), Mode(byte & 15)


def write_extras(extras: Sequence[Extra], squeeze: bool = True) -> bytes:
    """The extras with their size in front. squeeze: large ones as LZMA, where nothing else will."""
    out = b""
    for extra in extras:
        tag, value = extra.tag, extra.value
        if squeeze and len(value) >= _WORTH_SQUEEZING and len(squeezed := lzmaraw.pack(value)) < len(value):
            tag, value = tag | _SQUEEZED, squeezed
        out += bytes([tag]) + varint(len(value)) + value
    return varint(len(out)) + out


def read_extras(reader: Reader, room: int = 0) -> tuple[Extra, ...]:
    """The inverse of :func:`write_extras`; NewerVersionError for one that must be understood and is not known.

    room: memory for those that were squeezed, which are a part of the file's: more is a LimitError. Without any, none
    may be.
    """
    start = reader.offset
    size = reader.varint("the size of the extras")
    block, extras, squeezed = Reader(reader.take(size, "extras")), [], 0
    while block.offset < size:
        tag = block.byte("an extra's tag")
        value = block.take(block.varint("an extra's size"), "an extra")
        if tag & _SQUEEZED:
            if not room:
                raise DamagedError("an extra within another cannot be squeezed")
            squeezed += Reader(value).varint("an LZMA content size")
            check_limit("bytes of memory for metadata", 2 * squeezed, room, "memory")
            tag, value = tag & ~_SQUEEZED, lzmaraw.unpack(value)
        if tag in tuple(Tag):
            extras.append(Extra(tag, value))
        elif tag & _CRITICAL:
            raise NewerVersionError(
                f"extra {tag:#04x} after byte {start} must be understood but is not known here: update bfncodec"
            )
    return tuple(extras)


# ---- sizes and limits -------------------------------------------------------------------------


MAX_SIDE = 16_383  # pixels of a segment's side, as in WebP
_MAX_TILE = 1 << 24  # pixels of a segment
_MAX_SEGMENT = 1 << 26  # bytes of a segment that is not a picture's
_LONGEST_LINES = 18  # bytes that the table of lines has for a segment, two varints

# Bytes of memory that decoding takes at most, measured: for a byte of content, of text, of pixels; for a pixel of the
# largest segment, which WebP has in other forms, too; for a segment, a file of a folder, a moved array; and of a model,
# beside its weights, for a symbol of a segment.
_PER_BYTE, _PER_TEXT, _PER_SAMPLE, _PER_TILE = 3, 6, 5, 24
_PER_SEGMENT, _PER_FILE, _PER_ARRAY = 2048, 1024, 256
_PER_PIXEL, _PER_LETTER = 128, 256


def content_bytes(header: Header, sides: Sequence[int]) -> int:
    """Bytes of samples in content, or a segment of it, with these sides."""
    if header.kind is not Kind.IMAGE:
        return sides[0]
    height, width = sides
    if header.mode is Mode.BILEVEL:
        return height * ((width + 7) // 8)
    return height * width * header.mode.channels * (2 if header.mode.is_wide else 1)


def boxes(axes: Axes, grain: Grain = FINEST) -> Iterator[Box]:
    """The segments' places in order: every axis cut into parts that differ by one item at most, or after lines."""
    if not axes:
        yield ()
        return
    (length, parts), *others = axes
    for cut in pairwise(_edges(length, parts, grain)):
        for rest in boxes(tuple(others), grain):
            yield (cut, *rest)


def overlap(box: Box, other: Box) -> bool:
    """Return whether two places have something in common."""
    return len(box) == len(other) > 0 and all(a < d and c < b for (a, b), (c, d) in zip(box, other, strict=True))


def _edges(length: int, parts: int, grain: Grain) -> Sequence[int]:
    if isinstance(grain, Lines):
        return grain.edges(length)
    return [_edge(part, parts, length, grain) for part in range(parts + 1)]


def _edge(part: int, parts: int, length: int, items: Items) -> int:
    if part in (0, parts):
        return length if part else 0
    size, first, apart = _with_apart(items)
    if part < apart:
        return part * first // apart
    return first + (part - apart) * ((length - first) // size) // (parts - apart) * size


def _with_apart(items: Items) -> tuple[int, int, int]:
    size, first, *apart = items
    return size, first, apart[0] if apart else 0


def write_grain(grain: Grain) -> Extra:
    """The extra that says where bytes may be cut."""
    if isinstance(grain, Lines):
        return Extra(Tag.LINES, grain.write())
    return Extra(Tag.GRAIN, b"".join(map(varint, grain)))


def lengths(header: Header, method: Method, payload: bytes) -> tuple[int, ...]:
    """The size a payload declares: (bytes,) or (height, width)."""
    reader = Reader(payload)
    if header.kind is not Kind.IMAGE:
        return (len(payload),) if method is Method.STORED else (reader.varint("a size"),)
    if method is Method.PICTURE:
        return _picture_lengths(payload)
    if method is Method.MODEL and header.mode.has_alpha and not header.mode.is_wide:
        reader.take(reader.varint("the size of the opacity"), "opacity")
    if method is Method.MODEL and not header.mode.is_wide:
        head = ImageHead.read(reader)
        return head.height, head.width
    return reader.varint("a height"), reader.varint("a width")


def _picture_lengths(payload: bytes) -> tuple[int, int]:
    """Height and width from the head of a VP8L or PNG stream or of 16-bit planes."""
    reader = Reader(payload)
    first = reader.byte("a picture stream")
    if first == VP8L:
        bits = reader.uint32("a VP8L size")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if first == PNG:
        reader.take(15, "a PNG head")
        width, height = (int.from_bytes(reader.take(4, "a PNG size"), "big") for _ in range(2))
        return height, width
    if first == PLANES:
        return reader.varint("a height"), reader.varint("a width")
    raise DamagedError(f"expected a VP8L or PNG stream or planes, found one beginning {first:#04x}")


def check_axes(header: Header, axes: Axes, limits: Limits) -> None:
    """Refuse content that is impossible or larger than ``limits``."""
    if any(not 1 <= parts <= max(length, 1) for length, parts in axes):
        raise DamagedError(f"{prod(parts for _, parts in axes)} segments do not fit the content")
    if len(header.extra(Tag.LINES) or b"") > _LONGEST_LINES * axes[0][1]:  # before it is read
        raise DamagedError(f"a table of lines is longer than one of {axes[0][1]} segments can be")
    if header.grain != FINEST:
        _check_grain(axes[0], header.grain)
    if header.kind is Kind.IMAGE:
        height, width = (length for length, _ in axes)
        if not height * width:
            raise DamagedError(f"a picture of {width} x {height} pixels cannot be")
        check_limit(f"pixels ({width} x {height})", height * width, limits.pixels, "pixels")
    elif header.kind is Kind.ARRAY:
        size = prod(header.shape) * header.item_bytes
        if prod(max(side, 1) for side in header.shape) * header.item_bytes > MAX_VARINT:
            raise DamagedError(f"an array of shape {header.shape} cannot be")  # not even of no elements
        if size != axes[0][0]:
            raise DamagedError(f"an array of {size} bytes cannot be in {axes[0][0]} bytes")


def check_memory(header: Header, axes: Axes, wanted: Box | None, limits: Limits) -> None:
    """Refuse content, or the part of it that is wanted, that takes more memory or more of a disk than ``limits``."""
    sides = tuple(length for length, _ in axes)
    if wanted is not None:
        sides = tuple(min(stop - start, side) for (start, stop), side in zip(wanted, sides, strict=False)) or (0, 0)
    size = content_bytes(header, sides)
    if header.kind is not Kind.IMAGE and header.extra(Tag.FILES) is None:
        check_limit("bytes of output", size, limits.output, "output", "a larger --max-output")
    need = prod(parts for _, parts in axes) * _PER_SEGMENT + _table_bytes(header)
    if header.kind is Kind.IMAGE:
        need += size * _PER_SAMPLE + min(prod(sides), _MAX_TILE) * _PER_TILE
    else:
        need += size * (_PER_TEXT if header.kind is Kind.STR else _PER_BYTE)
    check_limit("bytes of memory", need, limits.memory, "memory")


def check_together(parts: Sequence[tuple[Header, Axes]], limits: Limits) -> None:
    """Refuse contents, one after the other in a file, that together take more memory or more of a disk than limits."""
    sizes = [content_bytes(header, [length for length, _ in axes]) for header, axes in parts]
    if len(sizes) > 1:
        check_limit("bytes of output", sum(sizes), limits.output, "output", "a larger --max-output")
        check_limit("bytes of memory", sum(sizes) * _PER_BYTE + len(sizes) * _PER_SEGMENT, limits.memory, "memory")


def _table_bytes(header: Header) -> int:
    """Memory that metadata and the tables in it take."""
    need = 2 * sum(len(extra.value) for extra in header.extras)
    for tag, before, each in ((Tag.FILES, 2, _PER_FILE), (Tag.MOVED, 0, _PER_ARRAY)):
        table = header.extra(tag)
        if table is not None:
            with suppress(DamagedError):  # which is said where the table is read
                *_, count = map(Reader(table).varint, ["a number"] * (before + 1))
                need += min(count, len(table)) * each
    return need


def _check_grain(axis: tuple[int, int], grain: Grain) -> None:
    """Refuse cuts that would leave a segment without an item or a line, or without bytes."""
    length, parts = axis
    if isinstance(grain, Lines):
        grain.check(length, parts)
        return
    size, first, apart = _with_apart(grain)
    if not apart < parts or apart > first or first + (parts - apart) * size > length:
        raise DamagedError(f"{parts} segments of items of {size} bytes do not fit the content")


def check_payload(header: Header, method: Method, payload: bytes, box: Box, limits: Limits) -> None:
    """Refuse a segment that cannot be of its place, or asks for more work than ``limits``."""
    if method is Method.PICTURE and header.kind not in (Kind.IMAGE, Kind.ARRAY):
        raise DamagedError(f"a picture stream cannot be {header.kind.name.lower()}")
    sides = tuple(stop - start for start, stop in box)
    declared = lengths(header, method, payload)
    if declared != sides:
        raise DamagedError(f"its payload declares the size {declared} where {sides} is expected")
    is_picture = header.kind is Kind.IMAGE
    if prod(sides) > (_MAX_TILE if is_picture else _MAX_SEGMENT) or (is_picture and max(sides) > MAX_SIDE):
        raise DamagedError(f"a segment of size {sides} is larger than any can be")
    symbols = content_bytes(header, sides)
    if method is not Method.MODEL:
        return
    if not plausible(symbols, len(payload), limits):
        each = -(-symbols // max(len(payload), 1))
        what = f"symbols a byte ({symbols} in {len(payload)} bytes)"
        check_limit(what, each, limits.symbols_per_byte, "symbols_per_byte", "--no-limits")
    per_symbol = _PER_PIXEL if header.kind is Kind.IMAGE else _PER_LETTER
    check_limit("bytes of memory for a model", per_symbol * prod(sides), limits.memory, "memory")
