"""Previews: small lossy pictures of large ones, made or found in the head of a file."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, reading
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Mode
from bfncodec.format.wire import Reader
from bfncodec.images.metadata import blank_like
from bfncodec.images.picture import bare_image
from bfncodec.images.samples import open_stream, to_image

if TYPE_CHECKING:
    from PIL import Image

    from bfncodec.images.picture import Picture

__all__ = ["find", "preview_extra", "scaled_down"]

_LARGEST = 320  # side
_SIZES = (
    (320, 50),
    (320, 25),
    (256, 20),
    (192, 15),
    (160, 12),
    (128, 10),
    (112, 8),
    (96, 6),
    (80, 5),
    (64, 5),
    (48, 5),
)
"""Sides and WebP's qualities."""
_MOST = 1024  # side of one that is accepted
_NARROW = {Mode.I16: Mode.L, Mode.LA16: Mode.LA, Mode.RGB16: Mode.RGB, Mode.RGBA16: Mode.RGBA}
_WEBP_HEAD = 30  # bytes that hold the size of any kind of WebP file
_FRAME = 9  # bytes: tag, sizes and checksum


def preview_extra(picture: Picture, most: int | None = None) -> Extra | None:
    """Return the extra of a picture's preview, None if even the smallest takes more than ``most`` bytes of the file.

    most: None for any size.
    """
    image = scaled_down(picture)
    if image.has_transparency_data and image.getchannel("A").getextrema()[0] == 255:
        image = image.convert("RGB")
    for side, quality in _SIZES:
        image.thumbnail((side, side))
        value = _webp(image, quality)
        if most is None or len(value) + _FRAME <= most:
            return Extra(Tag.PREVIEW, zlib.crc32(value).to_bytes(4, "little") + value)
    return None


def find(header: Header) -> Image.Image | None:
    """Return the preview in a file with this header, None where there is none. DamagedError where it cannot be read."""
    value = header.extra(Tag.PREVIEW)
    if value is None:
        return None
    if zlib.crc32(value[4:]).to_bytes(4, "little") != value[:4]:
        raise DamagedError("the preview's checksum does not match: decompress the picture itself")
    if max(_sides(value[4:])) > _MOST:  # the decoder takes memory for all of it when it opens it
        raise DamagedError(f"the preview has more than {_MOST} pixels a side: decompress the picture itself")
    return open_stream(value[4:], "WEBP", f"of at most {_MOST} pixels a side", lambda size: max(size) <= _MOST)


def _sides(data: bytes) -> tuple[int, int]:
    """Return width and height that a WebP file declares (RFC 9649, sections 2.5 to 2.7)."""
    head, chunk = Reader(data).take(_WEBP_HEAD, "a WebP file"), data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def scaled_down(picture: Picture, side: int = _LARGEST) -> Image.Image:
    """Return a picture scaled down to so many pixels a side at most, in mode L, LA, RGB or RGBA.

    DamagedError for metadata that cannot be.
    """
    with reading("the picture cannot be shown"):
        image = _shown(picture)
        image.thumbnail((side, side), reducing_gap=3.0)
    return image


def _shown(picture: Picture) -> Image.Image:
    """Return a picture as a Pillow image of 8 bits a sample, without a palette."""
    pixels, mode = picture.pixels, picture.mode
    if mode.is_wide:
        shift = max(0, int(pixels.max()).bit_length() - 8)
        return to_image((pixels >> shift).astype("u1"), _NARROW[mode])
    image = bare_image(picture)
    if mode is Mode.P:
        like = blank_like(picture, pixels.shape[:2])
        image.putpalette(like.getpalette("RGBA") or [], "RGBA")
        return image.convert("RGBA" if "transparency" in like.info or like.has_transparency_data else "RGB")
    return image.convert("L") if mode is Mode.BILEVEL else image


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, alpha_quality=quality // 2, method=6)
    return out.getvalue()
