"""Strips and tiles of a TIFF file, each coded alone: the bytes of rows of samples to the bytes in the file and back.

Every coder is deterministic and in this package, but for zlib. LZW and PackBits make what libtiff makes; for large
strips libtiff itself is asked first, as it is a hundred times faster, and not taken at its word.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from bfncodec.images.formats.spans import UnfitError
from bfncodec.images.formats.tiff import lzw, packbits
from bfncodec.runtime.arrays import Pixels

__all__ = ["DEFLATE", "LZW", "PACKBITS", "RAW", "decode", "encode", "integrate", "predict", "reversed_bits"]

RAW, LZW, PACKBITS, DEFLATE = 1, 5, 32773, (8, 32946)
"""Values of the tag Compression."""

_REVERSED = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))


def encode(rows: bytes, size: int, compression: int, level: int, quick: bool = False) -> bytes:
    """Return the bytes of a strip of these rows.

    size: bytes of a row. level: zlib's, for DEFLATE. quick: by libtiff where that is faster, which may code otherwise.
    """
    if compression == RAW:
        return rows
    if quick and compression in _NAMES and len(rows) >= _LARGE:
        return _by_libtiff(rows, size, compression)
    if compression == LZW:
        return lzw.encode(rows)
    if compression == PACKBITS:
        return b"".join(packbits.encode_row(rows[at : at + size]) for at in range(0, len(rows), size))
    return zlib.compress(rows, level)


def decode(strip: bytes, size: int, compression: int, total: int) -> bytes:
    """Return the rows in a strip. UnfitError unless all its bytes count, and make ``total`` bytes.

    size: bytes of a row.
    """
    if compression == RAW:
        rows = strip
    elif (found := _quickly_decoded(strip, size, compression, total)) is not None:
        rows = found
    elif compression == LZW:
        rows = lzw.decode(strip, total)
    elif compression == PACKBITS:
        rows = packbits.decode(strip, total)
    else:
        coder = zlib.decompressobj()
        rows = coder.decompress(strip, total + 1) + (b"" if coder.eof else coder.decompress(coder.unconsumed_tail, 1))
        if not coder.eof or coder.unused_data:
            raise UnfitError("a strip that does not end with its samples")
    if len(rows) != total:
        raise UnfitError(f"a strip of {len(rows)} bytes where {total} are expected")
    return rows


def reversed_bits(strip: bytes) -> bytes:
    """Return every byte from its lowest bit to its highest, as FillOrder 2 has them (TIFF 6.0, section 8)."""
    return strip.translate(_REVERSED)


def predict(samples: Pixels) -> Pixels:
    """Return differences of samples ``[H, W, C]`` to the pixel on their left: Predictor 2 (TIFF 6.0, section 14)."""
    out = samples.copy()
    out[:, 1:] -= samples[:, :-1]
    return out


def integrate(differences: Pixels) -> Pixels:
    """Return the samples ``[H, W, C]`` of which :func:`predict` made these differences."""
    return np.cumsum(differences, axis=1, dtype=differences.dtype)


# ---- libtiff, by way of Pillow ----------------------------------------------------------------

_NAMES = {LZW: "tiff_lzw", PACKBITS: "packbits"}
_LARGE = 1 << 12  # bytes of rows from which on it is faster


def _by_libtiff(rows: bytes, size: int, compression: int) -> bytes:
    """Return a strip as the libtiff that is here makes it."""
    out = io.BytesIO()
    image = Image.frombytes("L", (size, len(rows) // size), rows)
    image.save(out, "TIFF", compression=_NAMES[compression], strip_size=len(rows))
    with Image.open(out, formats=("TIFF",)) as made:
        (start,), (count,) = made.tag_v2[273], made.tag_v2[279]  # type: ignore[attr-defined]
    return out.getvalue()[start : start + count]


def _quickly_decoded(strip: bytes, size: int, compression: int, total: int) -> bytes | None:
    """Return the rows in a strip that libtiff makes of just these rows; None where that cannot be said."""
    if compression not in _NAMES or total < _LARGE:
        return None
    count = total // size
    tags = {256: size, 257: count, 258: 8, 259: compression, 262: 1, 273: 8, 278: count, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(strip))
    data = head + strip + struct.pack("<H", len(tags)) + entries + bytes(4)
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            rows = image.tobytes() if image.size == (size, count) and image.mode == "L" else b""
        return rows if len(rows) == total and _by_libtiff(rows, size, compression) == strip else None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever Pillow says of the strip, our own decoder has the last word
        return None
