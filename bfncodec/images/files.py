"""Picture files: the bytes of a PNG, WebP, BMP, PPM or TIFF file to a picture and back.

:func:`read_file` takes only what :func:`write_file` brings back. Each module of :mod:`bfncodec.images.formats` takes a
file apart into spans that cover it: bytes that are stored, that code pixels, or that follow from the others. The file
made again must be the same, or have the same pixels, decoded by what did not write them, and the same stored bytes.
Everything else (lossy, animated, damaged, unknown) is not a picture, and its bytes are coded.

- PNG, WebP: every chunk but the pixels' own is kept as it is (colour profile, EXIF, resolution, text, palette, ...).
- BMP, PPM: what is before and after the samples is kept, and the file comes back byte for byte.
- TIFF: strips are coded again in the same way, all else is kept.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, reading
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Mode, Origin
from bfncodec.images.formats import png, raw, tiff, webp
from bfncodec.images.formats.spans import Parsed
from bfncodec.images.picture import Picture, image_of_picture
from bfncodec.images.samples import open_stream, to_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMAT_NAMES", "blank_like", "filter_file", "read_file", "same_file", "write_file"]

FORMAT_NAMES = {
    Origin.PNG: "PNG",
    Origin.WEBP: "WEBP",
    Origin.BMP: "BMP",
    Origin.PPM: "PPM",
    Origin.TIFF: "TIFF",
}
_MAGIC = {
    png.MAGIC: Origin.PNG,
    b"RIFF": Origin.WEBP,
    b"BM": Origin.BMP,
    b"P4": Origin.PPM,
    b"P5": Origin.PPM,
    b"P6": Origin.PPM,
    b"II*\0": Origin.TIFF,
    b"MM\0*": Origin.TIFF,
}


@dataclass(frozen=True)
class _Format:
    """A file taken apart, and a picture's file."""

    parse: Callable[[bytes], Parsed]
    write: Callable[[Picture], bytes]


_FORMATS = {
    Origin.PNG: _Format(png.parse, png.write),
    Origin.WEBP: _Format(webp.parse, webp.write),
    Origin.BMP: _Format(raw.parse_bmp, raw.write),
    Origin.PPM: _Format(raw.parse_ppm, raw.write),
    Origin.TIFF: _Format(tiff.parse, tiff.write),
}


def read_file(data: bytes, exact: bool = False) -> Picture | None:
    """The picture in a file's bytes, or None where they are better kept as bytes.

    exact: they are unless the file comes back byte for byte. A picture whose file does has its checksum (Tag.SOURCE).
    """
    found = _parsed(data)
    if found is None:
        return None
    try:
        made = write_file(found.picture)
    except DamagedError:
        return None
    if made == data:
        return _with_source(found.picture, zlib.crc32(data))
    return found.picture if not exact and _comes_back(data, made, found) else None


def write_file(picture: Picture) -> bytes:
    """The file of a picture that :func:`read_file` made. Raises DamagedError for metadata that cannot be."""
    with reading(f"the {FORMAT_NAMES.get(picture.origin, 'picture')} file cannot be made again"):
        return _FORMATS[picture.origin].write(picture)


def _with_source(picture: Picture, crc: int) -> Picture:
    return replace(picture, extras=(*picture.extras, Extra(Tag.SOURCE, crc.to_bytes(4, "little"))))


def same_file(data: bytes, made: bytes) -> bool:
    """Return whether a file made again is the same, or has the same pixels and the same of everything beside them."""
    if made == data:
        return True
    found = _parsed(data)
    return found is not None and _comes_back(data, made, found)


def _comes_back(data: bytes, made: bytes, found: Parsed) -> bool:
    if made == data:
        return True
    again = _parsed(made)
    return again is not None and found.picture.origin is again.picture.origin and found.same(again)


def _parsed(data: bytes) -> Parsed | None:
    """A picture file taken apart; None for any other, and for those of which something would not come back."""
    origin = next((origin for magic, origin in _MAGIC.items() if data.startswith(magic)), None)
    if origin is None:
        return None
    try:
        return _FORMATS[origin].parse(data)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - Pillow's decoders raise a dozen unrelated types; the bytes are kept instead
        return None


# ---- parts ------------------------------------------------------------------------------------


def filter_file(part: Picture, whole: tuple[int, int]) -> tuple[Extra, ...]:
    """The extras that hold for a region of a picture file too, given that region's pixels. DamagedError if none can be.

    whole: height and width of the picture that its extras are of.
    """
    if part.origin is Origin.PNG:
        return png.filter_chunks(part)
    if part.origin is Origin.WEBP:
        return webp.filter_chunks(part)
    with reading("the picture's metadata cannot be read"):
        return tiff.filter_tags(part) if part.origin is Origin.TIFF else _of_file_like(part, whole)


def _of_file_like(part: Picture, whole: tuple[int, int]) -> tuple[Extra, ...]:
    """Those of a file that Pillow writes with the palette and the resolution it finds in the other."""
    if part.header.extra(Tag.LAYOUT) is None or (part.mode.is_wide and part.mode is not Mode.I16):
        return ()
    image, like = to_image(part.pixels, part.mode), blank_like(part, whole)
    if part.mode is Mode.P:
        image.putpalette(like.getpalette() or [])
    plain = {"dpi": like.info["dpi"]} if "dpi" in like.info else {}
    out = io.BytesIO()
    image.save(out, FORMAT_NAMES[part.origin], **plain)
    made = read_file(out.getvalue())
    return made.extras if made is not None and made.mode is part.mode else ()


def blank_like(picture: Picture, whole: tuple[int, int]) -> Image.Image:
    """A Pillow image with the palette and info of a picture, its pixels zeros. DamagedError where that cannot be.

    whole: height and width of the picture that its extras are of.
    """
    import numpy as np

    height, width = whole if picture.header.extra(Tag.LAYOUT) is not None else (1, 1)
    blank = np.zeros((height, width, picture.mode.channels), picture.pixels.dtype)
    like = replace(picture, pixels=blank)
    if picture.origin not in FORMAT_NAMES:
        return image_of_picture(like)
    with reading("the picture's metadata cannot be read"):
        if picture.origin is not Origin.TIFF:
            sides = width, height
            name = FORMAT_NAMES[picture.origin]
            return open_stream(write_file(like), name, f"of {sides}", lambda size: size == sides)
        image = to_image(blank, picture.mode)
        if picture.mode is Mode.P:
            image.putpalette(tiff.colours(picture))
        return image
