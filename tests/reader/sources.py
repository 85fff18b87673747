"""Files to change: a small one of every kind, and of everything that a payload or an extra may be."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache
from struct import pack

import numpy as np
from PIL import Image

import bfncodec
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from reader.forge import Parts, put_together
from reader.frame import BLOCK, MAGIC, Segment, varint
from reader.methods import MODES, packed
from reader.png import SIGNATURE
from support.doubles import noise
from support.specimens import CODECS, picture, saved, specimens

LOOKS = {"L": (8, 0), "LA": (8, 4), "RGB": (8, 2), "RGBA": (8, 6), "P": (4, 3), "1": (1, 0), "I;16": (16, 0)}


def png_stream(mode: str) -> bytes:
    """A compact picture that is coded as a PNG file."""
    number = next(k for k, found in enumerate(MODES) if found.name == mode)
    (bits, colour), row = LOOKS[mode], MODES[number].size(1, 5)
    samples = (picture(4, row) % 12).astype(np.uint8).tobytes()
    if mode == "1":
        samples = packed(bytes(v & 1 for v in (picture(4, 5) % 7).tobytes()), 1, 5)
    rows = samples
    if mode == "P":
        rows, row = packed(samples, 4, 5), 3
    if mode == "I;16":
        rows = b"".join(samples[k : k + 2][::-1] for k in range(0, len(samples), 2))
    filtered = b"".join(b"\0" + rows[k : k + row] for k in range(0, len(rows), row))
    palette = [(b"PLTE", bytes(range(48)))] if mode == "P" else []
    head = (b"IHDR", pack(">IIBBBBB", 5, 4, bits, colour, 0, 0, 0))
    chunks = [head, *palette, (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    stream = SIGNATURE + b"".join(
        pack(">I", len(body)) + name + body + pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    check = zlib.crc32(samples).to_bytes(4, "little")
    return put_together(Parts(2, False, bytes([number]), [], [Segment(2, b"", stream, check)]))


def files() -> Iterator[bytes]:
    """Picture files of all formats."""
    rgb, grey = Image.fromarray(picture(9, 7, 3)), Image.fromarray(picture(9, 7))
    wide, bilevel = Image.fromarray(picture(9, 7).astype(np.uint16) * 251), grey.convert("1")
    paletted = rgb.quantize(12)
    for image in (rgb, grey, wide, bilevel, paletted, rgb.convert("RGBA"), grey.convert("LA")):
        yield saved(image, "PNG")
        for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"):
            yield saved(image, "TIFF", compression=compression)
    for image in (rgb, grey, bilevel, paletted):
        yield saved(image, "BMP")
    for image in (rgb, grey, bilevel, wide):
        yield saved(image, "PPM")
    for image in (rgb, grey, paletted):
        yield saved(image, "PNG", optimize=True)
    yield saved(rgb, "WEBP", lossless=True, exact=True)
    yield interlaced()
    yield saved(paletted, "PNG", transparency=bytes([0, 128]), bits=4)


def interlaced() -> bytes:
    """An interlaced PNG file of grey."""
    pixels, rows = picture(9, 7), b""
    for top, down, left, right in ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2)):
        rows += b"".join(b"\0" + line.tobytes() for line in pixels[top::down, left::right])
    rows += b"".join(b"\0" + line.tobytes() for line in pixels[1::2])
    chunks = [(b"IHDR", pack(">IIBBBBB", 7, 9, 8, 0, 0, 0, 1)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        pack(">I", len(body)) + name + body + pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def objects() -> Iterator[object]:
    """Objects of all kinds."""
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        image = Image.fromarray(picture(16, 19, 3)).convert(mode)
        image.info["gamma"] = {"a": [1, (2.5, None)], "b": {b"x"}}
        yield image
    for channels in ((), (2,), (3,), (4,)):
        yield noise(7, 5, 6, *channels).astype(np.uint16) * 3
        yield (picture(5, 6, *channels).astype(np.uint16) * 257).astype(">u2")
    for dtype in ("?", "i1", ">i2", "u4", "f2", ">f8", "c8", "c16"):
        yield np.cumsum(picture(6, 5), axis=None).astype(dtype).reshape(5, 6)
    yield memoryview(b"a view " * 30)


@lru_cache(maxsize=1)
def sources() -> list[bytes]:
    """All of them, compressed."""
    made = [encode_data(data, Options("none", verify=False), CODECS)[0] for data in files()]
    made += [bfncodec.compress(value, "none", codecs=CODECS) for value in objects()]
    return [*specimens().values(), *made, *map(png_stream, LOOKS), put_stored(), *longs()]


def longs() -> Iterator[bytes]:
    """Long compact files, stored, which look in their last block as if another file followed."""
    for kind, size, extras in ((0, BLOCK + 1, []), (1, BLOCK + 900, [(0x2A, b"?")]), (0, 2 * BLOCK + 99, [(4, b"\1")])):
        payload = bytes(size - 90) + 20 * (b"\xc2" + MAGIC) + bytes(30)
        segment = Segment(0, b"", payload, zlib.crc32(payload).to_bytes(4, "little"))
        yield put_together(Parts(kind, False, b"", extras, [segment]))


def put_stored() -> bytes:
    """A stored picture of mode 1 in tiles."""
    tiles = [b"\xa0\x40", b"\x80\xc0", b"\xe0\x20", b"\x30\xf0"]
    segments = [
        Segment(0, b"", varint(2) + varint(width) + tile, zlib.crc32(tile).to_bytes(4, "little"))
        for width, tile in zip((3, 4, 3, 4), tiles, strict=True)
    ]
    return put_together(Parts(2, True, b"\x05", [], segments, [4, 2, 7, 2]))
