"""Chunks of PNG and WebP files as an extra of a picture (Tag.CHUNKS)."""

from __future__ import annotations

from collections.abc import Sequence

from bfncodec.format.extras import Extra, Tag
from bfncodec.format.wire import Reader, varint

__all__ = ["Chunk", "chunks_extra", "pack_chunks", "unpack_chunks"]

Chunk = tuple[bytes, bytes]
"""Name, of four bytes, and content."""


def pack_chunks(chunks: Sequence[Chunk], pixels: bytes) -> bytes:
    """Return names, sizes and contents of chunks.

    pixels: the name of the chunk that only marks the place of pixels, which it need not do at the end.
    """
    if chunks and chunks[-1][0] == pixels:
        chunks = chunks[:-1]
    return b"".join(name + varint(len(body)) + body for name, body in chunks)


def unpack_chunks(packed: bytes, pixels: bytes) -> list[Chunk]:
    """Return the chunks that :func:`pack_chunks` was given. DamagedError where they are cut off."""
    reader, chunks = Reader(packed), []
    while reader.offset < len(packed):
        name = reader.take(4, "a chunk's name")
        chunks.append((name, reader.take(reader.varint("a chunk's size"), "a chunk")))
    return chunks if any(name == pixels for name, _ in chunks) else [*chunks, (pixels, b"")]


def chunks_extra(packed: bytes) -> tuple[Extra, ...]:
    """Return the extra that holds packed chunks; none where there are none."""
    return (Extra(Tag.CHUNKS, packed),) if packed else ()
