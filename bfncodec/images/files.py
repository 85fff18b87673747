"""Picture files: the bytes of a PNG, WebP, BMP, PPM or TIFF file to a picture and back.

:func:`read_file` takes only what :func:`write_file` brings back. Each format of :mod:`bfncodec.images.formats` takes a
file apart into spans that cover it: bytes that are stored, that code pixels, or that follow from the others. The file
made again must be the same, or have the same pixels, decoded by what did not write them, and the same stored bytes.
Everything else (lossy, animated, damaged, unknown) is not a picture, and its bytes are coded.

- PNG, WebP: every chunk but the pixels' own is kept as it is (colour profile, EXIF, resolution, text, palette, ...).
- BMP, PPM: what is before and after the samples is kept, and the file comes back byte for byte.
- TIFF: strips are coded again in the same way, all else is kept.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, reading
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Origin
from bfncodec.images.picture import Picture

if TYPE_CHECKING:
    from bfncodec.images.formats.spans import Parsed
    from bfncodec.images.formats.table import FileFormat

__all__ = [
    "FORMAT_NAMES",
    "finish_file",
    "is_picture_file",
    "parse_file",
    "read_file",
    "same_file",
    "unpromised",
    "with_check",
    "write_file",
]

FORMAT_NAMES = {
    Origin.PNG: "PNG",
    Origin.WEBP: "WEBP",
    Origin.BMP: "BMP",
    Origin.PPM: "PPM",
    Origin.TIFF: "TIFF",
}
"""Pillow's names of the formats."""
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": Origin.PNG,
    b"RIFF": Origin.WEBP,
    b"BM": Origin.BMP,
    b"P4": Origin.PPM,
    b"P5": Origin.PPM,
    b"P6": Origin.PPM,
    b"II*\0": Origin.TIFF,
    b"MM\0*": Origin.TIFF,
}
"""Formats by the bytes that their files begin with."""
_LITTLE, _SHARE = 16, 50
"""Bytes that a file may take more to come back byte for byte: so many, and of so many bytes one."""


def is_picture_file(head: bytes) -> bool:
    """Return whether a file that begins like this may be a picture."""
    return any(head.startswith(magic) for magic in _MAGIC)


def read_file(data: bytes, exact: bool = False) -> Picture | None:
    """Return the picture in a file's bytes, or None where they are better kept as bytes.

    exact: None unless the file comes back byte for byte. The picture has the checksum (Tag.SOURCE) of the file that it
    becomes, and promises it if that is the one given.
    """
    found = parse_file(data)
    return finish_file(data, found, exact) if found is not None else None


def finish_file(data: bytes, found: Parsed, exact: bool = False) -> Picture | None:
    """Return the picture of a file that :func:`parse_file` took apart, as :func:`read_file` returns it.

    Pixels and mode are those found; this adds what makes the file the one that was given, which may take longer.
    """
    restored = _format(found.picture.origin).restored(found)
    if exact or _cost(restored.picture) - _cost(found.picture) <= _LITTLE + len(data) // _SHARE:
        found = restored
    try:
        made = found.made or write_file(found.picture)
    except DamagedError:
        return None
    if made == data:
        return replace(_with_source(found.picture, made), promised=True)
    return _with_source(found.picture, made) if not exact and _comes_back(data, made, found) else None


def _cost(picture: Picture) -> int:
    return sum(len(extra.value) for extra in picture.extras)


def write_file(picture: Picture) -> bytes:
    """Return the file of a picture that :func:`read_file` made. DamagedError for metadata that cannot be."""
    with reading(f"the {FORMAT_NAMES.get(picture.origin, 'picture')} file cannot be made again"):
        return _format(picture.origin).write(picture)


def with_check(picture: Picture) -> Picture:
    """Return a picture file with a checksum of what it becomes, if it has none."""
    if not picture.header.is_file_of_pixels or picture.header.extra(Tag.SOURCE) is not None:
        return picture
    return replace(_with_source(picture, write_file(picture)), promised=False)


def unpromised(picture: Picture) -> Picture:
    """Return a picture whose file is not to be the one that was compressed, which it was made of."""
    of_files = (Tag.SOURCE, Tag.DEFLATED)
    extras = tuple(each for each in picture.extras if each.tag not in of_files)
    return with_check(replace(picture, extras=extras, promised=False))


def _with_source(picture: Picture, made: bytes) -> Picture:
    value = zlib.crc32(made).to_bytes(4, "little")
    return replace(picture, extras=(*picture.extras, Extra(Tag.SOURCE, value)))


def same_file(data: bytes, made: bytes) -> bool:
    """Return whether a file made again is the same, or has the same pixels and all that is beside them in the other."""
    if made == data:
        return True
    found = parse_file(data)
    return found is not None and _comes_back(data, made, found)


def _comes_back(data: bytes, made: bytes, found: Parsed) -> bool:
    if made == data:
        return True
    again = parse_file(made)
    return again is not None and found.picture.origin is again.picture.origin and found.same(again)


def parse_file(data: bytes) -> Parsed | None:
    """Take a picture file apart; None for any other, and for those of which something would not come back."""
    origin = next((origin for magic, origin in _MAGIC.items() if data.startswith(magic)), None)
    if origin is None:
        return None
    try:
        return _format(origin).parse(data)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - Pillow's decoders raise a dozen unrelated types; the bytes are kept instead
        return None


def _format(origin: Origin) -> FileFormat:
    from bfncodec.images.formats.table import FORMATS

    return FORMATS[origin]
