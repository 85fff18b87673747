"""PNG files: chunks as they are, and pixels in one IDAT chunk with filters by a fixed rule.

Pixels are decoded by Pillow from a file of nothing but them, then filtered as the file says and compared with what the
file holds, byte for byte; Pillow has no 16-bit colour, which is decoded here. So neither side is taken at its word.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Mode, Origin
from bfncodec.format.wire import Reader, varint
from bfncodec.images.formats.pngrows import best_filtered, filtered, pack_rows, unfiltered, unpack_rows
from bfncodec.images.formats.spans import Parsed, Role, Span, UnfitError, check_size
from bfncodec.images.palette import Palette
from bfncodec.images.picture import Picture, with_palette
from bfncodec.images.samples import from_image, open_stream
from bfncodec.runtime.arrays import Pixels

__all__ = ["MAGIC", "bare", "filter_chunks", "pack_chunks", "parse", "unpack_chunks", "write"]

Chunk = tuple[bytes, bytes]
"""Name and content."""

MAGIC = b"\x89PNG\r\n\x1a\n"
_TYPES = {
    (8, 2): Mode.RGB,
    (8, 6): Mode.RGBA,
    (8, 0): Mode.L,
    (8, 4): Mode.LA,
    (1, 3): Mode.P,
    (2, 3): Mode.P,
    (4, 3): Mode.P,
    (8, 3): Mode.P,
    (1, 0): Mode.BILEVEL,
    (16, 0): Mode.I16,
    (16, 2): Mode.RGB16,
    (16, 6): Mode.RGBA16,
    (16, 4): Mode.LA16,
}
"""Bit depth and colour type to the mode that holds all of it."""

_LEVEL = 6  # of zlib
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SEEN = (b"IHDR", b"tRNS", b"IDAT", b"IEND")  # that make the pixels of a picture without a palette
_ANIMATED = {b"acTL", b"fcTL", b"fdAT"}
_PALETTE_CHUNKS = (b"PLTE", b"tRNS")
_AFTER_PALETTE = (b"bKGD", b"hIST", b"IDAT")
_DEPTHS = (1, 2, 4, 8)  # of pixels, by the form of their palette
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_WHOLE = ((0, 0, 1, 1),)


@dataclass(frozen=True)
class _Head:
    """What IHDR says. The passes of an interlaced picture are (row, column, rows, columns): first, and steps."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool = False

    @classmethod
    def read(cls, body: bytes) -> _Head:
        if len(body) != 13 or body[10:12] != b"\0\0" or body[12] > 1:
            raise UnfitError("an IHDR chunk that is not known")
        width, height = (int.from_bytes(body[at : at + 4], "big") for at in (0, 4))
        check_size(width, height)
        return cls(width, height, body[8], body[9], body[12] == 1)

    def write(self) -> bytes:
        sides = self.width.to_bytes(4, "big") + self.height.to_bytes(4, "big")
        return sides + bytes([self.depth, self.colour, 0, 0, self.interlaced])

    @property
    def mode(self) -> Mode:
        mode = _TYPES.get((self.depth, self.colour))
        if mode is None:
            raise UnfitError(f"colour type {self.colour} of {self.depth} bits")
        return mode

    @property
    def step(self) -> int:
        """Bytes from a pixel to the next, at least 1."""
        return max(1, self.depth * self.mode.channels // 8)

    @property
    def parts(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each pass that has pixels."""
        passes = _ADAM7 if self.interlaced else _WHOLE
        fit = [(y, x, dy, dx) for y, x, dy, dx in passes if y < self.height and x < self.width]
        return [(slice(y, self.height, dy), slice(x, self.width, dx)) for y, x, dy, dx in fit]

    def sides(self, part: tuple[slice, slice]) -> tuple[int, int]:
        """Rows and columns of a pass."""
        rows, columns = part
        return len(range(*rows.indices(self.height))), len(range(*columns.indices(self.width)))

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row, without that of its filter."""
        return (columns * self.depth * self.mode.channels + 7) // 8


# ---- files ------------------------------------------------------------------------------------


def parse(data: bytes) -> Parsed:
    """A still PNG file taken apart; UnfitError and what zlib and Pillow raise for any other."""
    chunks = list(_chunks(data))
    names = [name for name, _ in chunks]
    if names[0] != b"IHDR" or names[-1] != b"IEND" or names.count(b"IHDR") + names.count(b"IEND") != 2:
        raise UnfitError("chunks out of order")
    first, count = names.index(b"IDAT"), names.count(b"IDAT")
    if names[first : first + count] != [b"IDAT"] * count or chunks[-1][1]:
        raise UnfitError("chunks out of order")
    unknown = [name for name in names if not name[0] & 0x20 and name not in _CRITICAL]
    if unknown or _ANIMATED & set(names):
        raise UnfitError("not a still picture of known chunks")
    head = _Head.read(chunks[0][1])
    if head.mode is Mode.P and names[:first].count(b"PLTE") != 1:
        raise UnfitError("no palette")
    pixels = _decode(head, b"".join(body for name, body in chunks if name == b"IDAT"))
    mark = [(b"IHDR", b"\1")] if head.interlaced else []
    kept = [*mark, *chunks[1:first], (b"IDAT", b""), *chunks[first + count : -1]]
    picture = _with_chunks(Picture(pixels, head.mode, Origin.PNG), kept, head.depth)
    return Parsed.of(data, _spans(chunks), picture)


def write(picture: Picture) -> bytes:
    """The file of a picture: chunks in their order, all pixels in one IDAT chunk."""
    packed, palette, depth = picture.header.extra(Tag.CHUNKS) or b"", picture.palette, 0
    if _has_depth(picture):
        depth, packed = Reader(packed).byte("a bit depth"), packed[1:]
    elif palette is not None:
        depth = _DEPTHS[palette.form]
    chunks = unpack_chunks(packed, b"IDAT")
    interlaced = bool(chunks) and chunks[0] == (b"IHDR", b"\1")
    chunks = chunks[1:] if interlaced else chunks
    if palette is not None:
        chunks = _with_palette_chunks(chunks, palette)
    height, width = picture.pixels.shape[:2]
    kinds = [kind for kind, mode in _TYPES.items() if mode is picture.mode and depth in (0, kind[0])]
    head = _Head(width, height, *kinds[-1], interlaced)
    stream = _encode(head, palette.own_numbers(picture.pixels) if palette else picture.pixels)
    kept = [(name, stream if name == b"IDAT" else body) for name, body in chunks]
    return MAGIC + b"".join(map(_chunk, [(b"IHDR", head.write()), *kept, (b"IEND", b"")]))


def _spans(chunks: list[Chunk]) -> Iterator[Span]:
    yield Role.KEPT, MAGIC
    for name, body in chunks:
        whole = _chunk((name, body))
        if name == b"IDAT":
            yield Role.DERIVED, whole[:8]
            yield Role.PIXELS, body
            yield Role.DERIVED, whole[-4:]
        else:
            yield Role.KEPT, whole


def _chunk(chunk: Chunk) -> bytes:
    name, body = chunk
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def bare(data: bytes) -> bytes:
    """The file with the chunks alone that make its pixels."""
    seen = [chunk for chunk in _chunks(data) if chunk[0] in _SEEN]
    return MAGIC + b"".join(map(_chunk, seen))


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Every chunk. Raises UnfitError for a checksum that is wrong, or bytes that are no chunk."""
    reader = Reader(data, len(MAGIC))
    while reader.offset < len(data):
        start = reader.offset
        size = int.from_bytes(reader.take(4, "a chunk's size"), "big")
        chunk = reader.take(4, "a chunk's name"), reader.take(size, "a chunk")
        reader.take(4, "a checksum")
        if data[start : reader.offset] != _chunk(chunk):
            raise UnfitError("a chunk is damaged")
        yield chunk


# ---- pixels -----------------------------------------------------------------------------------


def _encode(head: _Head, pixels: Pixels) -> bytes:
    """A zlib stream of filtered rows. Numbers of a palette and bits are not filtered."""
    import numpy as np

    coder, out = zlib.compressobj(_LEVEL), []
    for part in head.parts:
        rows = pack_rows(pixels[part], head.depth)
        if head.depth < 8 or head.mode is Mode.P:
            filters = np.zeros(len(rows), np.uint8)
        else:
            filters, rows = best_filtered(rows, head.step)
        out.append(coder.compress(np.concatenate([filters[:, None], rows], axis=1).tobytes()))
    return b"".join([*out, coder.flush()])


def _decode(head: _Head, stream: bytes) -> Pixels:
    """The pixels of a stream of which every bit is what the pixels make it."""
    import numpy as np

    mode, sides = head.mode, [head.sides(part) for part in head.parts]
    sizes = [rows * (1 + head.row_bytes(columns)) for rows, columns in sides]
    raw, at, parts = np.frombuffer(_inflate(stream, sum(sizes)), np.uint8), 0, []
    for (rows, columns), size in zip(sides, sizes, strict=True):
        parts.append(raw[at : at + size].reshape(rows, 1 + head.row_bytes(columns)))
        at += size
    if mode.is_wide and mode is not Mode.I16:
        pixels = np.zeros((head.height, head.width, mode.channels), np.uint16)
        for part, (_, columns), found in zip(head.parts, sides, parts, strict=True):
            plain = unfiltered(found[:, 1:], found[:, 0], head.step)
            pixels[part] = unpack_rows(plain, head.depth, columns, mode.channels)
    else:
        pixels = _by_pillow(head, stream)
    for part, found in zip(head.parts, parts, strict=True):
        made = filtered(pack_rows(pixels[part], head.depth), found[:, 0], head.step)
        if not np.array_equal(made, found[:, 1:]):
            raise UnfitError("pixels that are not what the file holds")
    return pixels


def _by_pillow(head: _Head, stream: bytes) -> Pixels:
    palette = [(b"PLTE", bytes(3 << head.depth))] if head.mode is Mode.P else []
    bare = MAGIC + b"".join(map(_chunk, [(b"IHDR", head.write()), *palette, (b"IDAT", stream), (b"IEND", b"")]))
    due = (head.width, head.height)
    image = open_stream(bare, "PNG", f"of {due}", lambda size: size == due)
    if image.mode != head.mode.pil:
        raise UnfitError(f"mode {image.mode} where {head.mode.pil} is expected")
    return from_image(image, head.mode)


def _inflate(stream: bytes, size: int) -> bytes:
    """The content of a zlib stream that is all of these bytes and has that size."""
    coder = zlib.decompressobj()
    made = coder.decompress(stream, size + 1)
    made += coder.decompress(coder.unconsumed_tail, 1) if not coder.eof and len(made) == size else b""
    if len(made) != size or not coder.eof or coder.unused_data:
        raise UnfitError("a stream of another size, or something after it")
    return made


# ---- chunks in an extra -----------------------------------------------------------------------


def pack_chunks(chunks: list[Chunk], pixels: bytes) -> bytes:
    """Names, sizes and contents; the chunk called ``pixels`` only marks its place, and not at the end."""
    if chunks and chunks[-1][0] == pixels:
        chunks = chunks[:-1]
    return b"".join(name + varint(len(body)) + body for name, body in chunks)


def unpack_chunks(packed: bytes, pixels: bytes) -> list[Chunk]:
    """The inverse of :func:`pack_chunks`."""
    reader, chunks = Reader(packed), []
    while reader.offset < len(packed):
        name = reader.take(4, "a chunk's name")
        chunks.append((name, reader.take(reader.varint("a chunk's size"), "a chunk")))
    return chunks if any(name == pixels for name, _ in chunks) else [*chunks, (pixels, b"")]


def _with_chunks(plain: Picture, chunks: list[Chunk], depth: int) -> Picture:
    """The picture with these chunks in its extras; a palette's bit depth goes in front of them."""
    if plain.mode is not Mode.P:
        return replace(plain, extras=_extras(pack_chunks(chunks, b"IDAT")))
    plain = replace(plain, extras=_extras(bytes([depth]) + pack_chunks(chunks, b"IDAT")))
    return _with_coded_palette(plain, chunks, depth)


def _extras(packed: bytes) -> tuple[Extra, ...]:
    return (Extra(Tag.CHUNKS, packed),) if packed else ()


def _with_coded_palette(plain: Picture, chunks: list[Chunk], depth: int) -> Picture:
    """A picture of these chunks with its palette coded, where that takes less."""
    bodies, names = dict(chunks), [name for name, _ in chunks if name in _PALETTE_CHUNKS]
    if len(set(names)) < len(names) or b"" in map(bodies.get, names):
        return plain
    palette = Palette(bodies.get(b"PLTE", b""), bodies.get(b"tRNS", b""), _DEPTHS.index(depth))
    others = [chunk for chunk in chunks if chunk[0] not in _PALETTE_CHUNKS]
    if _with_palette_chunks(others, palette) != chunks:
        others = [(name, b"" if name in _PALETTE_CHUNKS else body) for name, body in chunks]
    return with_palette(plain, palette, _extras(pack_chunks(others, b"IDAT")))


def _with_palette_chunks(chunks: list[Chunk], palette: Palette) -> list[Chunk]:
    """The palette's chunks in their places, or, where these are not marked, as late as may be."""
    bodies = {b"PLTE": palette.colours} | ({b"tRNS": palette.opacity} if palette.opacity else {})
    if any(name in bodies for name, _ in chunks):
        return [(name, bodies.get(name, body)) for name, body in chunks]
    place = next(place for place, (name, _) in enumerate(chunks) if name in _AFTER_PALETTE)
    return [*chunks[:place], *bodies.items(), *chunks[place:]]


def _has_depth(picture: Picture) -> bool:
    """Return whether the chunks begin with a bit depth."""
    return picture.mode is Mode.P and picture.palette is None


_TRUE_OF_REGIONS = (
    *(b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD"),
    *(b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"IHDR", b"IDAT"),
)
"""Chunks that say nothing of a picture's size or of another picture."""


def filter_chunks(picture: Picture) -> tuple[Extra, ...]:
    """The extras of a PNG file that hold for a region of it too."""
    packed, depth = picture.header.extra(Tag.CHUNKS) or b"", b""
    if _has_depth(picture):
        depth, packed = packed[:1], packed[1:]
    found = unpack_chunks(packed, b"IDAT")
    kept = [chunk for chunk in found if chunk[0] in _TRUE_OF_REGIONS and not _is_xmp(*chunk)]
    palette = tuple(extra for extra in picture.extras if extra.tag == Tag.COLOURS)
    return (*palette, *_extras(depth + pack_chunks(kept, b"IDAT")))


def _is_xmp(name: bytes, body: bytes) -> bool:
    return name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0")
