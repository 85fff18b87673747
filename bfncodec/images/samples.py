"""Pixels as arrays, as bytes, and as Pillow images.

*Pixels* are arrays ``[H, W, C]`` of uint8, or of uint16 in wide modes; mode 1 holds zeros and ones. *Samples* are the
same as bytes, exactly what Pillow's ``tobytes`` makes: rows of interleaved channels, 16-bit little-endian, eight pixels
a byte in mode 1, from the highest bit on.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, reading
from bfncodec.format.kinds import Mode
from bfncodec.runtime.arrays import Pixels

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["from_image", "from_samples", "open_stream", "to_image", "to_samples"]


def to_samples(pixels: Pixels, mode: Mode) -> bytes:
    """Return pixels ``[H, W, C]`` of a mode as bytes."""
    import numpy as np

    if mode is Mode.BILEVEL:
        return np.packbits(pixels[:, :, 0], axis=1).tobytes()
    return pixels.astype("<u2" if mode.is_wide else "u1", copy=False).tobytes()


def from_samples(samples: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """Return the pixels ``[H, W, C]`` of which :func:`to_samples` made these bytes.

    DamagedError where there are more or fewer bytes than such a picture has.
    """
    import numpy as np

    row = (width + 7) // 8 if mode is Mode.BILEVEL else width * mode.channels
    data = np.frombuffer(samples, "<u2" if mode.is_wide and len(samples) % 2 == 0 else "u1")
    if data.size != height * row:
        raise DamagedError(f"{len(samples)} bytes cannot be {width} x {height} pixels {mode.pil}")
    if mode is Mode.BILEVEL:
        data = np.unpackbits(data.reshape(height, row), axis=1, count=width)
    if mode.is_wide:
        data = data.astype(np.uint16, copy=False)
    return data.reshape(height, width, mode.channels)


def to_image(pixels: Pixels, mode: Mode) -> Image.Image:
    """Return pixels as a Pillow image of their mode, without its palette. DamagedError for a mode that Pillow lacks."""
    from PIL import Image

    if mode.is_wide and mode is not Mode.I16:
        raise DamagedError(f"pixels of mode {mode.pil} cannot be a Pillow image")
    height, width = pixels.shape[:2]
    return Image.frombytes(mode.pil, (width, height), to_samples(pixels, mode))


def from_image(image: Image.Image, mode: Mode) -> Pixels:
    """Return the pixels ``[H, W, C]`` of a Pillow image, which is of that mode."""
    return from_samples(image.tobytes(), mode, image.height, image.width)


def open_stream(data: bytes, name: str, due: str, fits: Callable[[tuple[int, int]], bool]) -> Image.Image:
    """Decode a picture stream with Pillow, and with no other decoder than that of one format.

    name: Pillow's name of the format. fits: given width and height, tells whether they are the ones that are due; asked
    before pixels are decoded. due: these sides in words, for the error. DamagedError where they are others, and for
    whatever Pillow makes of a broken stream.
    """
    from PIL import Image

    with reading(f"a {name} stream is damaged"):
        image = Image.open(io.BytesIO(data), formats=(name,))
        if not fits(image.size):
            raise DamagedError(f"a {name} stream of {image.size} where one {due} is due")
        image.load()
    return image
