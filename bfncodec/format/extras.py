"""Extras: metadata in the head of a file, each a tag and its bytes.

docs/format.md, section 4, is the specification. The writer stands above its reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format import lzmaraw
from bfncodec.format.limits import check_limit
from bfncodec.format.wire import Reader, varint

__all__ = ["Extra", "Tag", "read_extras", "skim_tags", "write_extras"]

_CRITICAL, _SQUEEZED = 0x80, 0x40
_WORTH_SQUEEZING = 64  # bytes


class Tag(IntEnum):
    """Meaning of an extra. A reader must understand those from 0x80 on, or refuse the file."""

    INFO = 0x01  # JSON object: a picture's info that is numbers and strings
    INFO_BYTES = 0x02  # name, zero byte, value: a picture's info that is bytes (ICC, EXIF); the only one of several
    PREVIEW = 0x03  # CRC-32 of the rest, which is a small lossy WebP file of the picture
    WRAPPER = 0x04  # bytes: the type of Python they were given in
    SOURCE = 0x05  # checksum of the file, or of all files of a folder, that is made: below
    INFO_TREE = 0x06  # JSON: a picture's info that is neither plain numbers and strings nor bytes
    LINES = 0x07  # bytes, text: segments are whole lines; how many each has
    MODELS = 0x08  # SHA-256 and name of models that code segments, for readers that lack them
    COUNTS = 0x09  # bytes that are items: how many each segment has
    PALETTE = 0x80  # channels of an entry (3 or 4), then the entries
    CHUNKS = 0x81  # PNG, WebP: the chunks around the pixels
    LAYOUT = 0x82  # raw samples: how they lie, and the bytes before and after them
    STRIPS = 0x83  # TIFF: how strips are coded and where they lie, and the file without them
    FILES = 0x85  # bytes: they are the files of a folder; their paths, and what makes them again
    COLOURS = 0x87  # a palette, coded: instead of PALETTE, or of the contents of PLTE and tRNS among CHUNKS
    MOVED = 0x88  # bytes: of an .npz file, its arrays behind everything else; where they were
    DEFLATED = 0x89  # PNG: how its pixels were packed: filters, parameters of zlib, sizes of chunks

    ITEMS = 0x8A  # bytes: they are coded items, or the coded rows of an array


@dataclass(frozen=True)
class Extra:
    """Metadata: a tag and its bytes.

    The value of SOURCE is the CRC-32 of what a picture file or the files of a folder become, or its lowest byte: of a
    folder that does not come back byte for byte, and of any picture file once it was in a compact or such a file.
    """

    tag: int
    value: bytes

    @property
    def is_critical(self) -> bool:
        """A reader must understand it, or refuse the file."""
        return self.tag >= _CRITICAL


def write_extras(extras: Sequence[Extra], squeeze: bool = True) -> bytes:
    """Return the bytes of extras, their size in front. squeeze: write large ones as LZMA if that is smaller."""
    out = b""
    for extra in extras:
        tag, value = extra.tag, extra.value
        if squeeze and len(value) >= _WORTH_SQUEEZING and len(squeezed := lzmaraw.pack(value)) < len(value):
            tag, value = tag | _SQUEEZED, squeezed
        out += bytes([tag]) + varint(len(value)) + value
    return varint(len(out)) + out


def skim_tags(reader: Reader) -> set[int]:
    """Return the tags of extras, known or not, without a look at their values. DamagedError for a broken block."""
    block, tags = Reader(reader.take(reader.varint("the size of the extras"), "extras")), set()
    while block.offset < len(block.data):
        tags.add(block.byte("an extra's tag") & ~_SQUEEZED)
        block.take(block.varint("an extra's size"), "an extra")
    return tags


def read_extras(reader: Reader, room: int = 0) -> tuple[Extra, ...]:
    """Return what :func:`write_extras` was given; unknown extras that a reader may skip are left out.

    room: bytes of memory for squeezed extras; 0 if none may be squeezed.

    Raises NewerVersionError for an unknown extra that must be understood, LimitError if they take more than ``room``.
    """
    start = reader.offset
    size = reader.varint("the size of the extras")
    block, extras, squeezed = Reader(reader.take(size, "extras")), list[Extra](), 0
    while block.offset < size:
        tag = block.byte("an extra's tag")
        value = block.take(block.varint("an extra's size"), "an extra")
        if tag & ~_SQUEEZED not in tuple(Tag):
            if tag & _CRITICAL:
                raise NewerVersionError(
                    f"extra {tag & ~_SQUEEZED:#04x} after byte {start} must be understood but is not known here: "
                    "update bfncodec"
                )
            continue
        if tag & _SQUEEZED:
            if not room:
                raise DamagedError("an extra within another cannot be squeezed")
            squeezed += Reader(value).varint("an LZMA content size")
            check_limit("bytes of memory for metadata", 2 * squeezed, room, "memory")
            tag, value = tag & ~_SQUEEZED, lzmaraw.unpack(value)
        extras.append(Extra(tag, value))
    return tuple(extras)
