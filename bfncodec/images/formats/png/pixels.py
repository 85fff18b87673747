"""Pixels of a PNG file to the stream in its IDAT chunks and back (PNG, third edition, sections 7, 9 and 10)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bfncodec.format.kinds import Mode
from bfncodec.images.formats.png.container import Head, png_file
from bfncodec.images.formats.png.deflate import Deflate, level_told
from bfncodec.images.formats.png.packing import Filters, Packing, chunks_of
from bfncodec.images.formats.png.rows import costs, filtered, pack_rows, unfiltered, unpack_rows
from bfncodec.images.formats.spans import UnfitError
from bfncodec.images.samples import from_image, open_stream
from bfncodec.runtime.arrays import Bytes, Ints, Pixels
from bfncodec.runtime.threads import ahead, threads_here

__all__ = ["decode", "encode", "find_packing"]

_SMALL = 1 << 16  # subpixels up to which no thread is worth its start


def encode(head: Head, pixels: Pixels, packing: Packing) -> bytes:
    """Return pixels ``[H, W, C]`` as a zlib stream of filtered rows: some are filtered while others are deflated."""
    rows = _filtered_rows(head, pixels, packing.filters)
    return packing.deflate.encode(ahead(rows) if pixels.size > _SMALL and threads_here() > 1 else rows)


def _filtered_rows(head: Head, pixels: Pixels, filters: Filters) -> Iterator[bytes]:
    first = 0
    for part in head.passes:
        rows = pack_rows(pixels[part], head.depth)
        yield from (some.tobytes() for some in filters.apply(rows, first, head.step))
        first += len(rows)


def find_packing(head: Head, pixels: Pixels, chunks: Sequence[bytes]) -> Packing | None:
    """Return the packing that makes these contents of IDAT chunks, which :func:`decode` took, of their pixels.

    None where none is found.
    """
    stream = b"".join(chunks)
    content = _read(head, stream)
    found = _passes(head, content)
    plain, cut = Packing.plain(head), chunks_of(list(map(len, chunks)), len(content))

    def costs_of_all() -> Ints:
        return np.concatenate([costs(pack_rows(pixels[part], head.depth), head.step) for part in head.passes], axis=1)

    rules = plain.likely_rules(level_told(stream))
    filters = Filters.of(np.concatenate([rows[:, 0] for rows in found]), costs_of_all, rules)
    deflate = Deflate.find(content, stream, plain.deflate_for(filters))
    if cut is None or deflate is None:
        return None
    alike = Packing(filters, deflate, plain.chunks)
    is_short = plain.cut(stream) == list(chunks) and alike.short_byte(plain) is not None
    return alike if is_short else replace(alike, chunks=cut)


def decode(head: Head, stream: bytes) -> Pixels:
    """Return the pixels ``[H, W, C]`` of a stream. UnfitError unless every bit of it is what they make it."""
    content = _read(head, stream)
    found = _passes(head, content)
    if head.mode.is_wide and head.mode is not Mode.I16:
        pixels = _unfilter_passes(head, found)
    else:
        pixels = _decode_by_pillow(head, content)
    for part, rows in zip(head.passes, found, strict=True):
        made = filtered(pack_rows(pixels[part], head.depth), rows[:, 0], head.step)
        if not np.array_equal(made, rows[:, 1:]):
            raise UnfitError("pixels that are not what the file holds")
    return pixels


def _read(head: Head, stream: bytes) -> bytes:
    """Return the rows of all passes one after the other. UnfitError for a stream of anything else."""
    return _inflate(stream, sum(rows * size for rows, size in _sides(head)))


def _passes(head: Head, content: bytes) -> list[Bytes]:
    """Return the rows of each pass, uint8 ``[H, 1 + B]``, of which the first byte is the filter."""
    raw, at, passes = np.frombuffer(content, np.uint8), 0, []
    for rows, size in _sides(head):
        passes.append(raw[at : at + rows * size].reshape(rows, size))
        at += rows * size
    return passes


def _sides(head: Head) -> list[tuple[int, int]]:
    """Return the rows of each pass, and the bytes that each of them has with its filter."""
    return [(rows, 1 + head.row_bytes(columns)) for rows, columns in map(head.sides, head.passes)]


def _unfilter_passes(head: Head, passes: list[Bytes]) -> Pixels:
    """Return 16-bit pixels ``[H, W, C]`` of the rows of each pass."""
    pixels = np.zeros((head.height, head.width, head.mode.channels), np.uint16)
    for part, rows in zip(head.passes, passes, strict=True):
        plain = unfiltered(rows[:, 1:], rows[:, 0], head.step)
        pixels[part] = unpack_rows(plain, head.depth, head.sides(part)[1], head.mode.channels)
    return pixels


def _decode_by_pillow(head: Head, content: bytes) -> Pixels:
    """Return the pixels of filtered rows, in a stream that stores them, as they are inflated already."""
    stream = zlib.compress(content, 0)
    palette = [(b"PLTE", bytes(3 << head.depth))] if head.mode is Mode.P else []
    bare = png_file([(b"IHDR", head.write()), *palette, (b"IDAT", stream), (b"IEND", b"")])
    size = (head.width, head.height)
    image = open_stream(bare, "PNG", f"of {size}", lambda found: found == size)
    if image.mode != head.mode.pil:
        raise UnfitError(f"mode {image.mode} where {head.mode.pil} is expected")
    return from_image(image, head.mode)


def _inflate(stream: bytes, size: int) -> bytes:
    """Return the content of a zlib stream. UnfitError unless it is all of these bytes, and has that size."""
    coder = zlib.decompressobj()
    made = coder.decompress(stream, size + 1)
    made += coder.decompress(coder.unconsumed_tail, 1) if not coder.eof and len(made) == size else b""
    if len(made) != size or not coder.eof or coder.unused_data:
        raise UnfitError("a stream of another size, or something after it")
    return made
