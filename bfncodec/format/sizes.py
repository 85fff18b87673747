"""Sizes that a file declares, and refusal of impossible or too large ones before anything is allocated.

docs/format.md, section 6, is the specification. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import prod

from bfncodec.errors import DamagedError
from bfncodec.format.cuts import Cut, Extent, Grid
from bfncodec.format.extras import Tag
from bfncodec.format.header import Header
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.kinds import PLANES, PNG, VP8L, Kind, Method, Mode
from bfncodec.format.limits import Limits, check_limit, plausible
from bfncodec.format.wire import MAX_VARINT, Reader, Source

__all__ = [
    "MAX_SIDE",
    "check_cut",
    "check_memory",
    "check_payload",
    "check_segments",
    "check_together",
    "content_bytes",
    "declared_sizes",
]

MAX_SIDE = 16_383  # pixels of a segment's side, as in WebP
_MAX_TILE = 1 << 24  # pixels of a segment
_MAX_SEGMENT = 1 << 26  # bytes of a segment that is not a picture's

# Bytes of memory that decoding takes at most, measured: for each byte of content, of text, of samples; for a pixel of
# the largest segment, which WebP holds in other forms too; for a segment, a file of a folder, a moved array; and for a
# symbol of a segment that a model codes, beside the model's weights.
_PER_BYTE, _PER_TEXT, _PER_SAMPLE, _PER_TILE = 3, 6, 5, 24
_PER_SEGMENT, _PER_FILE, _PER_ARRAY = 2048, 1024, 256
_PER_PIXEL, _PER_LETTER = 128, 256


def content_bytes(header: Header, sides: Sequence[int]) -> int:
    """Return the bytes of samples in content, or in a segment of it.

    sides: (bytes,), or (height, width) of a picture.
    """
    if header.kind is not Kind.IMAGE:
        return sides[0]
    height, width = sides
    if header.mode is Mode.BILEVEL:
        return height * ((width + 7) // 8)
    return height * width * header.mode.channels * (2 if header.mode.is_wide else 1)


def declared_sizes(header: Header, method: Method, payload: Source) -> tuple[int, ...]:
    """Return the size that a payload declares, (bytes,) or (height, width). Raises DamagedError if it has none."""
    reader = Reader(payload)
    if header.kind is not Kind.IMAGE:
        return (len(payload),) if method is Method.STORED else (reader.varint("a size"),)
    if method is Method.PICTURE:
        return _picture_sizes(payload)
    if method is Method.MODEL and header.mode.has_alpha and not header.mode.is_wide:
        reader.take(reader.varint("the size of the opacity"), "opacity")
    if method is Method.MODEL and not header.mode.is_wide:
        head = ImageHead.read(reader)
        return head.height, head.width
    return reader.varint("a height"), reader.varint("a width")


def _picture_sizes(payload: Source) -> tuple[int, int]:
    """Return (height, width) from the head of a VP8L or PNG stream or of 16-bit planes."""
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


def check_cut(header: Header, cut: Cut, limits: Limits) -> None:
    """Refuse content that cannot be, or is larger than the limits. Raises DamagedError, LimitError."""
    if isinstance(cut, Grid):
        if not (1 <= cut.rows <= cut.height and 1 <= cut.columns <= cut.width):
            raise DamagedError(f"{cut.count} segments do not fit a picture of {cut.width} x {cut.height} pixels")
        check_limit(f"pixels ({cut.width} x {cut.height})", cut.height * cut.width, limits.pixels, "pixels")
        return
    if not cut.count or (cut.count > 1 and not all(cut.lengths)):
        raise DamagedError(f"{cut.count} segments do not fit the content")
    if header.kind is Kind.ARRAY:
        size = prod(header.shape) * header.item_bytes
        if prod(max(side, 1) for side in header.shape) * header.item_bytes > MAX_VARINT:
            raise DamagedError(f"an array of shape {header.shape} cannot be")  # not even of no elements
        if size != cut.sides[0]:
            raise DamagedError(f"an array of {size} bytes cannot be in {cut.sides[0]} bytes")


def check_segments(count: int, limits: Limits) -> None:
    """Refuse more segments than there is memory to tell of. Raises LimitError."""
    check_limit("bytes of memory", count * _PER_SEGMENT, limits.memory, "memory")


def check_memory(header: Header, cut: Cut, wanted: Extent | None, limits: Limits) -> None:
    """Refuse content that takes more memory, or more of a disk, than the limits. Raises LimitError.

    wanted: the part of it that is to be decoded, None for all.
    """
    sides = cut.sides
    if wanted is not None:
        sides = tuple(min(stop - start, side) for (start, stop), side in zip(wanted, sides, strict=False)) or (0, 0)
    size = content_bytes(header, sides)
    if header.kind is not Kind.IMAGE and header.extra(Tag.FILES) is None:
        check_limit("bytes of output", size, limits.output, "output", "a larger --max-output")
    need = cut.count * _PER_SEGMENT + _table_bytes(header)
    if header.kind is Kind.IMAGE:
        need += size * _PER_SAMPLE + min(prod(sides), _MAX_TILE) * _PER_TILE
    else:
        need += size * (_PER_TEXT if header.kind is Kind.STR else _PER_BYTE)
    check_limit("bytes of memory", need, limits.memory, "memory")


def check_together(parts: Sequence[tuple[Header, Cut]], limits: Limits) -> None:
    """Refuse contents, one after the other in a file, that are too large together. Raises LimitError."""
    sizes = [content_bytes(header, cut.sides) for header, cut in parts]
    if len(sizes) > 1:
        check_limit("bytes of output", sum(sizes), limits.output, "output", "a larger --max-output")
        check_limit("bytes of memory", sum(sizes) * _PER_BYTE + len(sizes) * _PER_SEGMENT, limits.memory, "memory")


def _table_bytes(header: Header) -> int:
    """Return the bytes of memory that metadata and the tables in it take."""
    need = 2 * sum(len(extra.value) for extra in header.extras)
    for tag, before, each in ((Tag.FILES, 2, _PER_FILE), (Tag.MOVED, 0, _PER_ARRAY)):
        table = header.extra(tag)
        if table is not None:
            with suppress(DamagedError):  # raised where the table is read
                *_, count = map(Reader(table).varint, ["a number"] * (before + 1))
                need += min(count, len(table)) * each
    return need


def check_payload(header: Header, method: Method, payload: Source, extent: Extent, limits: Limits) -> None:
    """Refuse a segment that does not fit its extent, or asks for more work than the limits.

    Raises DamagedError, LimitError.
    """
    if method is Method.PICTURE and header.kind not in (Kind.IMAGE, Kind.ARRAY):
        raise DamagedError(f"a picture stream cannot be {header.kind.name.lower()}")
    if method is Method.MODEL and header.kind is Kind.IMAGE and header.mode in (Mode.P, Mode.BILEVEL):
        raise DamagedError("a model codes no pictures of modes P and 1")
    sides = tuple(stop - start for start, stop in extent)
    declared = declared_sizes(header, method, payload)
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
