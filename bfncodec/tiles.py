"""Tiles of pictures: pixels as samples, and the coders that need no model.

Pixels are ``[H, W, C]`` arrays of uint8, uint16 for mode I;16; mode 1 holds zeros and ones.
Samples are the same as bytes, exactly what Pillow's ``tobytes`` makes: rows of interleaved
channels, 16-bit little-endian, eight pixels a byte in mode 1.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from bfncodec import lzmaraw
from bfncodec.errors import DamagedError
from bfncodec.header import Method, Mode
from bfncodec.wire import Reader, varint

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Pixels = np.ndarray[Any, Any]

__all__ = [
    "decode_tile",
    "encode_tile",
    "estimate_tile",
    "from_image",
    "from_samples",
    "to_image",
    "to_samples",
]

_THOROUGH = 1 << 14  # pixels up to which WebP's twenty times slower search is worth its time
_SMALL = 1 << 16  # bytes up to which LZMA costs nothing
_QUICK, _FAIR, _CAREFUL, _SLOW = (1, 20), (4, 50), (6, 75), (6, 100)  # WebP's searches: method, quality
_TRIALS = ((_QUICK, 1.25), (_FAIR, 1.04))  # searches, and how many times the careful one's size theirs is at most


# ---- samples and Pillow images ----------------------------------------------------------------


def to_samples(pixels: Pixels, mode: Mode) -> bytes:
    """The pixels as bytes."""
    import numpy as np

    if mode is Mode.BILEVEL:
        return np.packbits(pixels[:, :, 0], axis=1).tobytes()
    return pixels.astype("<u2" if mode is Mode.I16 else "u1", copy=False).tobytes()


def from_samples(samples: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """The inverse of :func:`to_samples`; :class:`DamagedError` when the size is not right."""
    import numpy as np

    row = (width + 7) // 8 if mode is Mode.BILEVEL else width * mode.channels
    data = np.frombuffer(samples, "<u2" if mode is Mode.I16 and len(samples) % 2 == 0 else "u1")
    if data.size != height * row:
        raise DamagedError(f"{len(samples)} bytes cannot be {width} x {height} pixels {mode.pil}")
    if mode is Mode.BILEVEL:
        data = np.unpackbits(data.reshape(height, row), axis=1, count=width)
    if mode is Mode.I16:
        data = data.astype(np.uint16, copy=False)
    return data.reshape(height, width, mode.channels)


def to_image(pixels: Pixels, mode: Mode) -> Image.Image:
    """The pixels as a Pillow image of that mode (without its palette)."""
    from PIL import Image

    height, width = pixels.shape[:2]
    return Image.frombytes(mode.pil, (width, height), to_samples(pixels, mode))


def from_image(image: Image.Image, mode: Mode) -> Pixels:
    """The inverse of :func:`to_image`, for an image that is of that mode."""
    return from_samples(image.tobytes(), mode, image.height, image.width)


# ---- one tile without a model -----------------------------------------------------------------


def encode_tile(pixels: Pixels, mode: Mode, beat: int | None = None) -> tuple[Method, bytes]:
    """The smallest of stored, LZMA, and VP8L or PNG.

    ``beat``: a size in bytes already reached by other means; no time is spent on coders that a
    quick look says cannot be smaller.
    """
    sides = varint(pixels.shape[0]) + varint(pixels.shape[1])
    samples = to_samples(pixels, mode)
    choices = [(Method.STORED, sides + samples), (Method.PICTURE, _encode_vp8l(pixels, mode, beat))]
    if mode in (Mode.I16, Mode.BILEVEL):
        choices.append((Method.PICTURE, _encode_png(pixels, mode)))
    if beat is None or len(samples) <= _SMALL:
        choices.append((Method.LZMA, sides + lzmaraw.pack(samples)))
    return min((choice for choice in choices if choice[1]), key=lambda choice: len(choice[1]))


def estimate_tile(pixels: Pixels) -> int:
    """About the bytes :func:`encode_tile` makes of a small RGB tile, without its slow search."""
    samples = to_samples(pixels, Mode.RGB)
    return min(len(samples), len(lzmaraw.pack(samples)), len(_webp(to_image(pixels, Mode.RGB), *_FAIR)))


def decode_tile(method: Method, payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """The inverse of :func:`encode_tile` for a payload that declares these sides."""
    if method is Method.PICTURE:
        decode = _decode_vp8l if payload[0] == 0x2F else _decode_png
        return decode(payload, mode, height, width)
    reader = Reader(payload)
    reader.varint("a height"), reader.varint("a width")
    samples = reader.rest()
    if method is Method.LZMA:
        samples = lzmaraw.unpack(samples, limit=2 * height * width * mode.channels)
    return from_samples(samples, mode, height, width)


def _encode_vp8l(pixels: Pixels, mode: Mode, beat: int | None) -> bytes:
    """A bare VP8L stream (grey as three equal channels), empty where it cannot or will not be."""
    import numpy as np

    if mode is Mode.I16 or max(pixels.shape) > 16_383:
        return b""
    colour = pixels if mode in (Mode.RGB, Mode.RGBA) else np.repeat(pixels[:, :, :1], 3, axis=2)
    if mode is Mode.LA:
        colour = np.concatenate([colour, pixels[:, :, 1:]], axis=2)
    image = to_image(colour, Mode.RGBA if mode.has_alpha else Mode.RGB)
    if beat is not None and any(len(_webp(image, *search)) > slack * beat for search, slack in _TRIALS):
        return b""
    small = image.width * image.height <= _THOROUGH
    return _webp(image, *(_SLOW if small else _CAREFUL))


def _decode_vp8l(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    chunk = b"VP8L" + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) % 2)
    riff = b"RIFF" + (len(chunk) + 4).to_bytes(4, "little") + b"WEBP" + chunk
    image = _open(riff, "WEBP", height, width)
    if not mode.has_alpha:
        return from_image(image.convert("RGB"), Mode.RGB)[:, :, : mode.channels]
    pixels = from_image(image.convert("RGBA"), Mode.RGBA)
    return pixels if mode is Mode.RGBA else pixels[:, :, [0, 3]]


def _webp(image: Image.Image, method: int, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, exact=True, method=method, quality=quality)
    data = out.getvalue()
    size = int.from_bytes(data[16:20], "little")
    return data[20 : 20 + size] if data[12:16] == b"VP8L" else b""


def _encode_png(pixels: Pixels, mode: Mode) -> bytes:
    out = io.BytesIO()
    to_image(pixels, mode).save(out, "PNG", optimize=True)
    return out.getvalue()


def _decode_png(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    image = _open(payload, "PNG", height, width)
    if image.mode != mode.pil:
        raise DamagedError(f"a PNG stream of mode {image.mode} where {mode.pil} is expected")
    return from_image(image, mode)


def _open(data: bytes, name: str, height: int, width: int) -> Image.Image:
    """A picture stream decoded; whatever Pillow makes of a broken one is a DamagedError."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=(name,))
            if image.size != (width, height):
                raise DamagedError(f"a {name} stream of {image.size} where {(width, height)} is due")
            image.load()
    except (MemoryError, DamagedError):
        raise
    except Exception as error:  # Pillow's decoders raise a dozen unrelated types
        raise DamagedError(f"a {name} stream is damaged: {error}") from error
    return image
