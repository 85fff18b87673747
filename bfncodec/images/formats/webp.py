"""WebP files: chunks as they are, and lossless pixels coded anew by libwebp (RFC 9649).

There is one decoder of VP8L here, libwebp's. It is given the stream alone, without the file around it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from bfncodec.errors import DamagedError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import VP8L, Mode, Origin
from bfncodec.format.wire import Reader
from bfncodec.images.formats.chunks import Chunk, chunks_extra, pack_chunks, unpack_chunks
from bfncodec.images.formats.spans import Parsed, Role, Span, UnfitError, check_size
from bfncodec.images.picture import Picture
from bfncodec.images.samples import from_image, open_stream, to_image
from bfncodec.images.vp8l import webp_chunk, webp_file
from bfncodec.runtime.arrays import Pixels

__all__ = ["bare", "filter_chunks", "of_one_pixel", "parse", "write"]

_HEAD = 5  # bytes of a VP8L stream before pixels: signature, sides, whether there is opacity, version
_PADDING = 4  # zero bytes after the last that is not
_LOSSY_OR_MOVING = {b"VP8 ", b"ALPH", b"ANIM", b"ANMF"}


def parse(data: bytes) -> Parsed:
    """Take a lossless still WebP file apart. UnfitError, or what Pillow raises, for any other."""
    chunks = list(_read_chunks(data))
    names = [name for name, _ in chunks]
    if names.count(b"VP8L") != 1 or _LOSSY_OR_MOVING & set(names):
        raise UnfitError("not lossless, or not one still picture")
    pixels, mode = _decode(dict(chunks)[b"VP8L"])
    packed = pack_chunks([(name, b"" if name == b"VP8L" else body) for name, body in chunks], b"VP8L")
    return Parsed.of(data, _spans(data, chunks), Picture(pixels, mode, Origin.WEBP, chunks_extra(packed)))


def write(picture: Picture) -> bytes:
    """Return the file of a picture: chunks in their order, all pixels in one VP8L chunk."""
    packed = picture.header.extra(Tag.CHUNKS) or b""
    stream = _encode(picture)
    return _file((name, stream if name == b"VP8L" else body) for name, body in unpack_chunks(packed, b"VP8L"))


def bare(data: bytes) -> bytes:
    """Return a file with no other chunk than makes its pixels."""
    return _file(chunk for chunk in _read_chunks(data) if chunk[0] == b"VP8L")


def _file(chunks: Iterable[Chunk]) -> bytes:
    return webp_file(b"".join(webp_chunk(*chunk) for chunk in chunks))


def _read_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield every chunk of a file. UnfitError for a file with something after it, or padding that is not zero."""
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


def _spans(data: bytes, chunks: Iterable[Chunk]) -> Iterator[Span]:
    """Yield all bytes of a file of these chunks, with their roles."""
    yield Role.KEPT, data[:4]
    yield Role.DERIVED, data[4:8]
    yield Role.KEPT, data[8:12]
    for name, body in chunks:
        size, padding = len(body).to_bytes(4, "little"), bytes(len(body) % 2)
        yield Role.KEPT, name
        if name != b"VP8L":
            yield Role.KEPT, size + body + padding
            continue
        yield Role.DERIVED, size
        yield Role.KEPT, body[:_HEAD]
        yield Role.PIXELS, body[_HEAD:]
        yield Role.DERIVED, padding


# ---- pixels -----------------------------------------------------------------------------------


def _encode(picture: Picture) -> bytes:
    """Return a picture's pixels as a VP8L stream."""
    plain, image = io.BytesIO(), to_image(picture.pixels, picture.mode)
    image.save(plain, "WEBP", lossless=True, exact=True, method=4, quality=75)
    return dict(_read_chunks(plain.getvalue()))[b"VP8L"]


def _decode(stream: bytes) -> tuple[Pixels, Mode]:
    """Return the pixels ``[H, W, 3 or 4]`` of a stream. UnfitError where it has bytes that decoders do not need."""
    reader = Reader(stream)
    if reader.byte("a VP8L stream") != VP8L:
        raise UnfitError("not a VP8L stream")
    bits = reader.uint32("a VP8L size")  # RFC 9649, section 3.3: 14 bits of the width less one, then of the height
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
    """Return whether a stream is no longer than its pixels need.

    It is not if the same pixels are decoded without the last byte that is not zero, or with another in its place.
    Missing bits count as zeros in libwebp's decoder. A few zero bytes at the end may be just that.
    """
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


def _open(stream: bytes, sides: tuple[int, int]) -> Image.Image:
    return open_stream(_file([(b"VP8L", stream)]), "WEBP", f"of {sides}", lambda size: size == sides)


def of_one_pixel(packed: bytes) -> bytes:
    """Return the chunks of a picture as those of one of a single pixel. packed: the value of Tag.CHUNKS."""
    found = unpack_chunks(packed, b"VP8L")
    sided = [(name, body[:4] + bytes(6) if name == b"VP8X" else body) for name, body in found]
    return pack_chunks(sided, b"VP8L")


# ---- regions ----------------------------------------------------------------------------------


def filter_chunks(picture: Picture) -> tuple[Extra, ...]:
    """Return the extras of a picture that hold for a region of it too, given that region's pixels: a colour profile."""
    found = unpack_chunks(picture.header.extra(Tag.CHUNKS) or b"", b"VP8L")
    kept = [chunk for chunk in found if chunk[0] in (b"ICCP", b"VP8L")]
    if len(kept) > 1:
        kept.insert(0, (b"VP8X", _canvas(picture)))
    return chunks_extra(pack_chunks(kept, b"VP8L"))


def _canvas(picture: Picture) -> bytes:
    """Return the VP8X chunk of a picture with a colour profile (RFC 9649, section 2.7).

    It holds flags, three unused bytes, and sides less one of three bytes each.
    """
    height, width = picture.pixels.shape[:2]
    flags = 0x20 | (0x10 if picture.mode is Mode.RGBA else 0)
    return b"".join([bytes([flags, 0, 0, 0]), *((side - 1).to_bytes(3, "little") for side in (width, height))])
