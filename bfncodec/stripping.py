"""Pictures stripped of what is not seen: metadata, and of palettes unused entries, double ones and the order.

Codecs without palettes, WebP and JPEG XL among them, drop as much. What stays: every pixel's colour and opacity, and
the mode.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from bfncodec.imagefiles import read_file
from bfncodec.pictures import check_frames

if TYPE_CHECKING:
    from PIL import Image

_SEEN = "transparency"  # of a picture's info
_OPAQUE = 255
_FILES: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 1},
    "WEBP": {"lossless": True, "exact": True, "method": 0},
}


def stripped(image: Image.Image) -> Image.Image:
    """The same pixels in the same mode, and nothing else. InputError for an image of several."""
    check_frames(image)
    if image.mode == "P":
        return _with_least_palette(image)
    bare = image.copy()
    bare.info = {name: value for name, value in image.info.items() if name == _SEEN}
    return bare


def stripped_file(data: bytes) -> bytes:
    """A PNG or WebP file of the same pixels; any other bytes as they are."""
    from PIL import Image

    if read_file(data) is None:
        return data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data)) as image:
            if image.format not in _FILES:
                return data
            image.load()
            bare, out = stripped(image), io.BytesIO()
            bare.save(out, image.format, **_FILES[image.format])
    return out.getvalue()


def _with_least_palette(image: Image.Image) -> Image.Image:
    """The colours that are used, by opacity, red, green and blue."""
    import numpy as np
    from PIL import Image

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
