"""The palette of a PNG file: its PLTE and tRNS chunks, coded or as they are (PNG, third edition, section 11)."""

from __future__ import annotations

from dataclasses import replace

from bfncodec.format.extras import Tag
from bfncodec.format.kinds import Mode
from bfncodec.format.wire import Reader
from bfncodec.images.formats.chunks import Chunk, chunks_extra, pack_chunks, unpack_chunks
from bfncodec.images.palette import Palette
from bfncodec.images.picture import Picture, with_palette

__all__ = ["read_chunks_of", "split_depth", "with_chunks"]

_CHUNKS = (b"PLTE", b"tRNS")
_FOLLOWERS = (b"bKGD", b"hIST", b"IDAT")  # chunks before which a palette must be
_DEPTHS = (1, 2, 4, 8)  # bits of a pixel, by the form of its palette


def with_chunks(plain: Picture, chunks: list[Chunk], depth: int) -> Picture:
    """Return a picture with chunks in its extras, and of mode P with the bits of a pixel.

    A palette is coded, and its form tells the depth, or its chunks are kept and follow a byte of the depth, whichever
    takes less.
    """
    if plain.mode is not Mode.P:
        return replace(plain, extras=chunks_extra(pack_chunks(chunks, b"IDAT")))
    plain = replace(plain, extras=chunks_extra(bytes([depth]) + pack_chunks(chunks, b"IDAT")))
    bodies, names = dict(chunks), [name for name, _ in chunks if name in _CHUNKS]
    if len(set(names)) < len(names) or b"" in map(bodies.get, names):
        return plain
    palette = Palette(bodies.get(b"PLTE", b""), bodies.get(b"tRNS", b""), _DEPTHS.index(depth))
    others = [chunk for chunk in chunks if chunk[0] not in _CHUNKS]
    if _with_palette_chunks(others, palette) != chunks:
        others = [(name, b"" if name in _CHUNKS else body) for name, body in chunks]
    return with_palette(plain, palette, chunks_extra(pack_chunks(others, b"IDAT")))


def read_chunks_of(picture: Picture) -> tuple[list[Chunk], int]:
    """Return the chunks and the depth that :func:`with_chunks` was given, the depth 0 for a mode other than P.

    DamagedError where they are cut off.
    """
    (depth, packed), palette = split_depth(picture), picture.palette
    chunks = unpack_chunks(packed, b"IDAT")
    if palette is not None:
        return _with_palette_chunks(chunks, palette), _DEPTHS[palette.form]
    return chunks, Reader(depth).byte("a bit depth") if picture.mode is Mode.P else 0


def split_depth(picture: Picture) -> tuple[bytes, bytes]:
    """Return the byte of the depth, none where the chunks of a picture do not follow one, and these chunks, packed."""
    packed = picture.header.extra(Tag.CHUNKS) or b""
    if picture.mode is not Mode.P or picture.palette is not None:
        return b"", packed
    return packed[:1], packed[1:]


def _with_palette_chunks(chunks: list[Chunk], palette: Palette) -> list[Chunk]:
    """Return chunks with those of a palette in their places, or, where these are not marked, as late as may be."""
    bodies = {b"PLTE": palette.colours} | ({b"tRNS": palette.opacity} if palette.opacity else {})
    if any(name in bodies for name, _ in chunks):
        return [(name, bodies.get(name, body)) for name, body in chunks]
    place = next(place for place, (name, _) in enumerate(chunks) if name in _FOLLOWERS)
    return [*chunks[:place], *bodies.items(), *chunks[place:]]
