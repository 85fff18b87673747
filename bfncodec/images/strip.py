"""Pictures stripped of what is not seen: metadata, and of palettes unused entries, double ones and the order.

Codecs without palettes, WebP and JPEG XL among them, drop as much. What stays: every pixel's colour and opacity, and
the mode.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from bfncodec.errors import InputError
from bfncodec.format.kinds import Mode, Origin
from bfncodec.images.files import read_file
from bfncodec.images.formats import webp
from bfncodec.images.formats.png import file as png
from bfncodec.images.picture import Picture, check_frames

_SEEN = "transparency"  # of a picture's info
_OPAQUE = 255
_BARE = {Origin.PNG: png.bare, Origin.WEBP: webp.bare}


def stripped(image: Image.Image) -> Image.Image:
    """Return an image with its pixels and its mode alone. InputError for an image of several frames."""
    check_frames(image)
    if image.mode == "P":
        return _with_least_palette(image)
    bare = image.copy()
    bare.info = {name: value for name, value in image.info.items() if name == _SEEN}
    return bare


def stripped_file(data: bytes) -> bytes:
    """Return a PNG or WebP file with its pixels alone, and any other bytes as they are.

    Pixels are not coded again but for palettes. InputError where they depend on more than is kept.
    """
    picture = read_file(data)
    if picture is None or picture.origin not in _BARE:
        return data
    made = _with_least_palette_file(data) if picture.mode is Mode.P else _BARE[picture.origin](data)
    if not _looks_the_same(picture, data, made):
        raise InputError(
            "expected a picture that can be stripped, found one whose pixels depend on more",
            python="leave strip out",
            command="leave --strip out",
        )
    return made


def _looks_the_same(picture: Picture, data: bytes, made: bytes) -> bool:
    """Return whether a stripped file has a picture's pixels; of palettes, the colours and opacities they stand for.

    data: the file of the picture. made: the stripped one.
    """
    again = read_file(made)
    if again is None or again.mode is not picture.mode:
        return False
    if picture.mode is Mode.P:
        return _colours(data) == _colours(made)
    return again.pixels.shape == picture.pixels.shape and bool((again.pixels == picture.pixels).all())


def _colours(data: bytes) -> bytes:
    with _opened(data) as image:
        return image.convert("RGBA").tobytes()


def _with_least_palette_file(data: bytes) -> bytes:
    with _opened(data) as image:
        image.load()
        out = io.BytesIO()
        stripped(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data)) as image:
            yield image


def _with_least_palette(image: Image.Image) -> Image.Image:
    """Return an image of mode P with a palette of the colours it uses, sorted by opacity, red, green and blue."""
    seen = np.asarray(image.convert("RGBA"))
    keys = np.ascontiguousarray(seen[:, :, [3, 0, 1, 2]]).view(">u4")[:, :, 0]
    colours, numbers = np.unique(keys, return_inverse=True)
    entries = np.ascontiguousarray(colours).view(np.uint8).reshape(-1, 4)
    made = Image.fromarray(numbers.reshape(keys.shape).astype(np.uint8))
    made.putpalette(entries[:, 1:].tobytes())
    opacity = entries[:, 0]
    if opacity[0] < _OPAQUE:
        made.info[_SEEN] = opacity[opacity < _OPAQUE].tobytes()
    return made
