"""Metadata of picture files apart from their pixels: what of it holds for a region, and an image that has it alone."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from bfncodec.errors import reading
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Mode, Origin
from bfncodec.images.files import FORMAT_NAMES, read_file, write_file
from bfncodec.images.formats import raw, webp
from bfncodec.images.formats.png import file as png
from bfncodec.images.formats.tiff import regions as tiff
from bfncodec.images.formats.tiff.skeleton import Skeleton
from bfncodec.images.picture import Picture, image_of_picture
from bfncodec.images.samples import open_stream, to_image

__all__ = ["blank_like", "filter_file", "image_without_pixels"]


def filter_file(part: Picture, whole: tuple[int, int]) -> tuple[Extra, ...]:
    """Return the extras of a picture file that hold for a region of it too.

    part: the region's pixels, the whole picture's extras. whole: height and width of that. DamagedError for extras that
    cannot be.
    """
    if part.origin is Origin.PNG:
        return png.filter_chunks(part)
    if part.origin is Origin.WEBP:
        return webp.filter_chunks(part)
    with reading("the picture's metadata cannot be read"):
        return tiff.filter_tags(part) if part.origin is Origin.TIFF else _filter_by_pillow(part, whole)


def _filter_by_pillow(part: Picture, whole: tuple[int, int]) -> tuple[Extra, ...]:
    """Return the extras of a BMP or PPM file that Pillow writes with the palette and the resolution of the whole."""
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
    """Return a Pillow image with the palette and info of a picture, its pixels zeros, and its size of no meaning.

    whole: height and width of the picture that its extras are of. DamagedError for extras that cannot be.
    """
    height, width = whole if picture.header.extra(Tag.LAYOUT) is not None else (1, 1)
    blank = np.zeros((height, width, picture.mode.channels), picture.pixels.dtype)
    extras = tuple(extra for extra in picture.extras if extra.tag != Tag.DEFLATED)  # which is of the whole picture
    like = replace(picture, pixels=blank, extras=extras)
    if picture.origin not in FORMAT_NAMES:
        return image_of_picture(like)
    with reading("the picture's metadata cannot be read"):
        if picture.origin is not Origin.TIFF:
            size, name = (width, height), FORMAT_NAMES[picture.origin]
            return open_stream(write_file(like), name, f"of {size}", lambda found: found == size)
        image = to_image(blank, picture.mode)
        if picture.mode is Mode.P:
            image.putpalette(tiff.colours(picture))
        return image


def image_without_pixels(header: Header, sides: tuple[int, ...]) -> Image.Image:
    """Return a Pillow image with the mode, the palette and the info of a picture, not loaded, and of any size.

    sides: height and width of the picture. Of a file they are what Pillow makes of that file. DamagedError for extras
    that cannot be, and for a mode that Pillow lacks.
    """
    layout, strips = header.extra(Tag.LAYOUT), header.extra(Tag.STRIPS)
    if layout is not None or strips is not None:
        with reading("the picture's metadata cannot be read"):
            data = raw.head_of(layout) if layout is not None else Skeleton.read(strips or b"").data
            return Image.open(io.BytesIO(data), formats=(FORMAT_NAMES[header.origin],))
    pixels, extras = np.zeros((1, 1, header.mode.channels), "u2" if header.mode.is_wide else "u1"), header.extras
    if header.origin is Origin.WEBP:
        extras = tuple(
            replace(each, value=webp.of_one_pixel(each.value)) if each.tag == Tag.CHUNKS else each for each in extras
        )
    return blank_like(Picture(pixels, header.mode, header.origin, extras), (sides[0], sides[1]))
