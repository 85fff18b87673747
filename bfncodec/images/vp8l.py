"""Pixels as bare VP8L streams: what a lossless WebP file holds, without the file around it.

libwebp codes them, by way of Pillow. The stream is that of the "WebP Lossless Bitstream Specification" (RFC 9649,
section 3), and begins with its signature byte 0x2F.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError
from bfncodec.format.kinds import Mode
from bfncodec.images.samples import from_image, open_stream, to_image
from bfncodec.runtime.arrays import Pixels

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "CAREFUL",
    "FAST",
    "INDEXED",
    "SLOWEST",
    "Search",
    "decode_vp8l",
    "encode_vp8l",
    "fits_vp8l",
    "is_hopeless",
    "quick_vp8l",
    "webp_chunk",
    "webp_file",
]

Search = tuple[int, int]
"""Effort of libwebp's search: method (0 to 6) and quality (0 to 100), as in Pillow. Higher is slower and smaller."""

FAST: Search = (4, 50)
CAREFUL: Search = (6, 75)
SLOWEST: Search = (6, 100)

INDEXED = (Mode.P, Mode.BILEVEL)
"""Modes whose pixels are numbers of colours, not colours."""

_MOST = 16_383  # pixels of a side
_SMALL_PICTURE = 1 << 14  # pixels up to which the slowest search, twenty times slower, is worth its time anyway
_TRIALS: tuple[Search, ...] = ((1, 20), FAST)
_ANY = float("inf")
_SLACK = {
    FAST: ((_ANY, (1.1,)),),
    CAREFUL: ((_ANY, (1.25, 1.04)),),
    SLOWEST: ((0.35, (3.0, 2.0)), (1.0, (2.0, 1.3)), (2.0, (1.9, 1.2)), (2.7, (1.35, 1.12)), (_ANY, (1.25, 1.06))),
}
"""Largest ratio of a trial's size to the size that a search makes, one number for each trial, by the bits a sample of
the trial up to which that holds. Measured on 470 photographs, screenshots, icons and sprites."""


def encode_vp8l(
    pixels: Pixels, mode: Mode, beat: int | None, search: Search, noise: bool, look: int | None = None
) -> bytes:
    """Return pixels ``[H, W, C]`` as a VP8L stream; no bytes where VP8L cannot hold them or will not win.

    beat: a size in bytes to be undercut, None for any. noise: LZMA finds nothing in the pixels. look: the size of
    :func:`quick_vp8l` where it is known.
    """
    if not fits_vp8l(pixels, mode):
        return b""
    image = _to_colour(pixels, mode)
    if pixels.shape[0] * pixels.shape[1] <= _SMALL_PICTURE:
        search = SLOWEST
    elif noise and len(quick := _stream(image, FAST)) >= pixels.size:
        return quick
    if beat is not None and _tried_in_vain(image, pixels.size, beat, search, look):
        return b""
    return _stream(image, search)


def decode_vp8l(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """Return the pixels ``[H, W, C]`` of a stream of :func:`encode_vp8l`. DamagedError for one of other sides."""
    size = (width, height)
    image = open_stream(webp_file(webp_chunk(b"VP8L", payload)), "WEBP", f"of {size}", lambda found: found == size)
    if mode.is_wide:
        raise DamagedError(f"a VP8L stream cannot hold pixels of mode {mode.pil}")
    if not mode.has_alpha:
        colour = from_image(image.convert("RGB"), Mode.RGB)
        if mode is Mode.BILEVEL:
            return (colour[:, :, 1:2] > 0).astype(colour.dtype)
        return colour[:, :, 1:2] if mode in INDEXED else colour[:, :, : mode.channels]
    pixels = from_image(image.convert("RGBA"), Mode.RGBA)
    return pixels if mode is Mode.RGBA else pixels[:, :, [0, 3]]


def fits_vp8l(pixels: Pixels, mode: Mode) -> bool:
    """Return whether VP8L can hold these pixels: 8-bit samples, 16,383 pixels a side at most."""
    return not mode.is_wide and max(pixels.shape) <= _MOST


def quick_vp8l(pixels: Pixels, mode: Mode, search: Search = _TRIALS[0]) -> int:
    """Return the bytes that pixels take after a quick search."""
    return len(_stream(_to_colour(pixels, mode), search))


def _to_colour(pixels: Pixels, mode: Mode) -> Image.Image:
    """Return pixels as VP8L holds them: grey is three equal channels, the number of a colour is green."""
    import numpy as np

    if mode in INDEXED:  # red and blue of zero cost nothing, even where they are in a palette of VP8L's own
        return to_image(np.pad(pixels, ((0, 0), (0, 0), (1, 1))), Mode.RGB)
    colour = pixels if mode in (Mode.RGB, Mode.RGBA) else np.repeat(pixels[:, :, :1], 3, axis=2)
    if mode is Mode.LA:
        colour = np.concatenate([colour, pixels[:, :, 1:]], axis=2)
    return to_image(colour, Mode.RGBA if mode.has_alpha else Mode.RGB)


def is_hopeless(look: float, samples: int, beat: int, search: Search) -> bool:
    """Return whether a quick look says that a search will not make fewer than ``beat`` bytes of so many samples.

    look: the size of :func:`quick_vp8l`.
    """
    return _says_so(0, look, samples, beat, search)


def _tried_in_vain(image: Image.Image, samples: int, beat: int, search: Search, look: int | None) -> bool:
    """Return whether quicker searches say that this one will not make fewer than ``beat`` bytes."""
    trials = range(len(_SLACK[search][0][1]))
    sizes = (look if look is not None and not number else len(_stream(image, _TRIALS[number])) for number in trials)
    return any(_says_so(number, size, samples, beat, search) for number, size in enumerate(sizes))


def _says_so(number: int, size: float, samples: int, beat: int, search: Search) -> bool:
    """Return whether the size that a trial makes says that a search will not make fewer than ``beat`` bytes."""
    slack = next(slacks[number] for bits, slacks in _SLACK[search] if 8 * size <= bits * samples)
    return size > slack * beat


def _stream(image: Image.Image, search: Search) -> bytes:
    """Return an image as a VP8L stream, taken out of the WebP file that Pillow writes."""
    out, (method, quality) = io.BytesIO(), search
    image.save(out, "WEBP", lossless=True, exact=True, method=method, quality=quality)
    data = out.getvalue()
    size = int.from_bytes(data[16:20], "little")
    return data[20 : 20 + size] if data[12:16] == b"VP8L" else b""


# ---- WebP files -------------------------------------------------------------------------------


def webp_chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of RIFF: name, size, content, and a zero byte after content of odd size."""
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def webp_file(chunks: bytes) -> bytes:
    """Return a WebP file of these chunks."""
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks
