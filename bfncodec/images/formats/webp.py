"""WebP files: chunks as they are, and lossless pixels coded anew by libwebp.

There is one decoder of VP8L here, libwebp's. It is given the stream alone, without the file around it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from bfncodec.errors import DamagedError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import VP8L, Mode, Origin
from bfncodec.format.wire import Reader
from bfncodec.images.formats.png import pack_chunks, unpack_chunks
from bfncodec.images.formats.spans import Parsed, Role, Span, UnfitError, check_size
from bfncodec.images.picture import Picture
from bfncodec.images.samples import from_image, open_stream, to_image
from bfncodec.runtime.arrays import Pixels

__all__ = ["bare", "filter_chunks", "parse", "write"]

Chunk = tuple[bytes, bytes]
"""Name and content."""

_HEAD = 5  # bytes of a VP8L stream before pixels: signature, sides, whether there is opacity, version
_PADDING = 4  # zero bytes after the last that is not
_LOSSY_OR_MOVING = {b"VP8 ", b"ALPH", b"ANIM", b"ANMF"}


def parse(data: bytes) -> Parsed:
    """A lossless still WebP file taken apart; UnfitError and what Pillow raises for any other."""
    chunks = list(_chunks(data))
    names = [name for name, _ in chunks]
    if names.count(b"VP8L") != 1 or _LOSSY_OR_MOVING & set(names):
        raise UnfitError("not lossless, or not one still picture")
    pixels, mode = _decode(dict(chunks)[b"VP8L"])
    packed = pack_chunks([(name, b"" if name == b"VP8L" else body) for name, body in chunks], b"VP8L")
    extras = (Extra(Tag.CHUNKS, packed),) if packed else ()
    return Parsed.of(data, _spans(data), Picture(pixels, mode, Origin.WEBP, extras))


def write(picture: Picture) -> bytes:
    """The file of a picture: chunks in their order."""
    packed = picture.header.extra(Tag.CHUNKS) or b""
    stream = _encode(picture)
    return _file([(name, stream if name == b"VP8L" else body) for name, body in unpack_chunks(packed, b"VP8L")])


def _spans(data: bytes) -> Iterator[Span]:
    yield Role.KEPT, data[:4]
    yield Role.DERIVED, data[4:8]
    yield Role.KEPT, data[8:12]
    for name, body in _chunks(data):
        size, padding = len(body).to_bytes(4, "little"), bytes(len(body) % 2)
        yield Role.KEPT, name
        if name != b"VP8L":
            yield Role.KEPT, size + body + padding
            continue
        yield Role.DERIVED, size
        yield Role.KEPT, body[:_HEAD]
        yield Role.PIXELS, body[_HEAD:]
        yield Role.DERIVED, padding


def _file(chunks: list[Chunk]) -> bytes:
    body = b"WEBP" + b"".join(
        name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2) for name, body in chunks
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def bare(data: bytes) -> bytes:
    """The file with the chunk alone that makes its pixels."""
    return _file([chunk for chunk in _chunks(data) if chunk[0] == b"VP8L"])


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Every chunk of a file with nothing after it."""
    reader = Reader(data)
    head = reader.take(12, "a RIFF head")
    if head != b"RIFF" + (len(data) - 8).to_bytes(4, "little") + b"WEBP":
        raise UnfitError("not a whole WebP file")
    while reader.offset < len(data):
        name = reader.take(4, "a chunk's name")
        body = reader.take(reader.uint32("a chunk's size"), "a chunk")
        if reader.take(len(body) % 2, "padding").strip(b"\0"):
            raise UnfitError("padding that is not zero")
        yield name, body


# ---- pixels -----------------------------------------------------------------------------------


def _encode(picture: Picture) -> bytes:
    plain, image = io.BytesIO(), to_image(picture.pixels, picture.mode)
    image.save(plain, "WEBP", lossless=True, exact=True, method=4, quality=75)
    return dict(_chunks(plain.getvalue()))[b"VP8L"]


def _decode(stream: bytes) -> tuple[Pixels, Mode]:
    """The pixels of a stream. Raises UnfitError where it has bytes that decoders do not need."""
    reader = Reader(stream)
    if reader.byte("a VP8L stream") != VP8L:
        raise UnfitError("not a VP8L stream")
    bits = reader.uint32("a VP8L size")
    sides = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    check_size(*sides)
    image = _open(stream, sides)
    mode = Mode.of(image.mode)
    if mode not in (Mode.RGB, Mode.RGBA):
        raise UnfitError(f"mode {image.mode}")
    pixels = from_image(image, mode)
    if not _needs_all(stream, sides, pixels):
        raise UnfitError("bytes after the pixels")
    return pixels, mode


def _needs_all(stream: bytes, sides: tuple[int, int], pixels: Pixels) -> bool:
    """Whether other pixels, or none, are decoded without the last byte that is not zero, or with another in its place.

    Missing bits count as zeros in libwebp's decoder. A few zero bytes at the end may be just that.
    """
    import numpy as np

    used = stream.rstrip(b"\0")
    if len(stream) - len(used) > _PADDING:
        return False
    for other in (b"", bytes([used[-1] ^ 0xFF]), bytes([used[-1] ^ 1])):
        try:
            image = _open(used[:-1] + other, sides)
        except DamagedError:
            return True
        mode = Mode.of(image.mode)
        if mode is None or not np.array_equal(from_image(image, mode), pixels):
            return True
    return False


def _open(stream: bytes, sides: tuple[int, int]) -> Any:
    return open_stream(_file([(b"VP8L", stream)]), "WEBP", f"of {sides}", lambda size: size == sides)


# ---- regions ----------------------------------------------------------------------------------


def filter_chunks(picture: Picture) -> tuple[Extra, ...]:
    """The extras of a WebP file that hold for a region of it too, given that region's pixels."""
    found = unpack_chunks(picture.header.extra(Tag.CHUNKS) or b"", b"VP8L")
    kept = [chunk for chunk in found if chunk[0] in (b"ICCP", b"VP8L")]
    if len(kept) > 1:
        kept.insert(0, (b"VP8X", _canvas(picture)))
    packed = pack_chunks(kept, b"VP8L")
    return (Extra(Tag.CHUNKS, packed),) if packed else ()


def _canvas(picture: Picture) -> bytes:
    """The head of a picture with a colour profile: flags, three unused bytes, sides less one of three bytes each."""
    height, width = picture.pixels.shape[:2]
    flags = 0x20 | (0x10 if picture.mode is Mode.RGBA else 0)
    return b"".join([bytes([flags, 0, 0, 0]), *((side - 1).to_bytes(3, "little") for side in (width, height))])
