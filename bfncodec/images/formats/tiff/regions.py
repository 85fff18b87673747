"""The metadata of TIFF files apart from their pixels: palettes, and tags that hold for a region of a picture too."""

from __future__ import annotations

import struct

from bfncodec.format.extras import Extra, Tag
from bfncodec.images.formats.tiff import tags as names
from bfncodec.images.formats.tiff.skeleton import Cut, Skeleton
from bfncodec.images.formats.tiff.tags import LONG, Tags
from bfncodec.images.picture import Picture

__all__ = ["colours", "filter_tags"]

_TRUE_OF_REGIONS = {
    *(258, 259, 262, 266, 270, 271, 272, 274, 277, 282, 283, 284, 296, 305, 306, 315, 316, 317, 320, 332, 336, 337),
    *(338, 339, 33432, 34675),
}
"""Tags that say nothing of a picture's size, of places in the file, or of another picture."""


def colours(picture: Picture) -> bytes:
    """Return the palette of a TIFF file: red, green and blue of each number, eight bits of their sixteen."""
    high = [number >> 8 for number in Tags(_skeleton_of(picture).data).numbers(names.COLOUR_MAP)]
    return bytes(number for colour in zip(high[:256], high[256:512], high[512:], strict=True) for number in colour)


def filter_tags(picture: Picture) -> tuple[Extra, ...]:
    """Return the extras of a TIFF file of a region, in one strip, with the tags that hold for it too.

    picture: the region's pixels and the whole picture's extras.
    """
    whole = _skeleton_of(picture)
    tags = Tags(whole.data)
    height, width = picture.pixels.shape[:2]
    values = {
        entry.tag: (entry.field_type, entry.count, tags.value(entry))
        for entry in tags.entries
        if entry.tag in _TRUE_OF_REGIONS
    }
    sizes = {names.WIDTH: width, names.LENGTH: height, names.ROWS_PER_STRIP: height}
    sizes |= {names.STRIP_OFFSETS: 0, names.STRIP_BYTES: 0}
    values |= {tag: (LONG, 1, struct.pack(tags.order + "I", number)) for tag, number in sizes.items()}
    page = _write_page(tags.order, tags.data[:4], values)
    return (Skeleton(page, (Cut(len(page), count=1, odd=False),), whole.level).write(),)


def _skeleton_of(picture: Picture) -> Skeleton:
    return Skeleton.read(picture.header.extra(Tag.STRIPS) or b"")


def _write_page(order: str, magic: bytes, values: dict[int, tuple[int, int, bytes]]) -> bytes:
    """Return a file of one directory with these values: type, count and bytes by tag."""
    head = magic + struct.pack(order + "I", 8) + struct.pack(order + "H", len(values))
    at, apart = len(head) + 12 * len(values) + 4, b""
    for tag, (field_type, count, value) in sorted(values.items()):
        head += struct.pack(order + "HHI", tag, field_type, count)
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack(order + "I", at + len(apart))
            apart += value + bytes(len(value) % 2)
    return head + bytes(4) + apart
