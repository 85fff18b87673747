"""A TIFF file of one page to a picture, and the picture to a file."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from math import prod

from bfncodec.format.extras import Tag
from bfncodec.format.kinds import Origin
from bfncodec.images.formats.spans import Parsed, UnfitError
from bfncodec.images.formats.tiff.layout import Layout
from bfncodec.images.formats.tiff.skeleton import Skeleton
from bfncodec.images.formats.tiff.spans import check_places, spans_of
from bfncodec.images.formats.tiff.tags import Tags
from bfncodec.images.picture import Picture

__all__ = ["parse", "write"]

_LEVELS = (6, 9, 1, 5, 4, 7, 8, 3, 2)  # of zlib, the usual ones first
_SMALLEST = 9


def parse(data: bytes) -> Parsed:
    """Take a TIFF file of one page apart. UnfitError, or what struct and zlib raise, for any other."""
    tags = Tags(data)
    layout = Layout.of(tags)
    places, sizes = (tags.numbers(entry.tag) for entry in tags.tables)
    if not len(places) == len(sizes) == prod(layout.grid) or not all(sizes):
        raise UnfitError("strips that are missing, or too many")
    check_places(tags, places, sizes)
    coded = [data[place : place + size] for place, size in zip(places, sizes, strict=True)]
    rows = layout.decode(coded)
    pixels = layout.unpack(rows)
    edge = next((edge for edge in (False, True) if _equal(layout.pack(pixels, edge), rows)), None)
    if edge is None:
        raise UnfitError("tiles or rows with something beyond the picture")
    level, exact = _find_level(layout, rows, coded)
    spans = spans_of(tags, places, sizes, moving=not exact or layout.has_zlib)
    skeleton = Skeleton.of(tags, places, sizes, level, edge)
    return Parsed.of(data, spans, Picture(pixels, layout.mode, Origin.TIFF, (skeleton.write(),)))


def write(picture: Picture) -> bytes:
    """Return the file of a picture that :func:`parse` made.

    Strips are coded by libtiff where that is quicker, unless the checksum of the file (Tag.SOURCE) says that the
    libtiff which is here codes otherwise. ValueError, or what struct raises, for a skeleton of another picture.
    """
    made, promised = _write(picture, quick=True), picture.header.extra(Tag.SOURCE)
    if promised is not None and not zlib.crc32(made).to_bytes(4, "little").startswith(promised):
        return _write(picture, quick=False)
    return made


def _write(picture: Picture, quick: bool) -> bytes:
    skeleton = Skeleton.read(picture.header.extra(Tag.STRIPS) or b"")
    layout = Layout.of(Tags(skeleton.data))
    if (layout.height, layout.width, layout.mode) != (*picture.pixels.shape[:2], picture.mode):
        raise ValueError("tags of another picture")
    packed = layout.pack(picture.pixels, skeleton.edge)
    return skeleton.fill([layout.encode(rows, skeleton.level, quick) for rows in packed])


def _find_level(layout: Layout, rows: Sequence[bytes], coded: Sequence[bytes]) -> tuple[int, bool]:
    """Return the level of zlib at which strips are to be coded, and whether they are then what they were."""
    for level in _LEVELS if layout.has_zlib else (0,):
        for quick in (False,) if layout.has_zlib else (True, False):
            if _equal((layout.encode(given, level, quick) for given in rows), coded):
                return level, True
    return _SMALLEST if layout.has_zlib else 0, False


def _equal(made: Iterable[bytes], wanted: Sequence[bytes]) -> bool:
    """Return whether all are equal; makes no more than the first that differs."""
    return all(one == two for one, two in zip(made, wanted, strict=True))
