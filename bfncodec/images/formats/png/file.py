"""A still PNG file to a picture, and the picture to a file."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from bfncodec.errors import DamagedError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Mode, Origin
from bfncodec.images.formats.chunks import Chunk, chunks_extra, pack_chunks, unpack_chunks
from bfncodec.images.formats.png import pixels
from bfncodec.images.formats.png.container import Head, png_file, read_chunks, spans_of
from bfncodec.images.formats.png.packing import Packing
from bfncodec.images.formats.png.palette import read_chunks_of, split_depth, with_chunks
from bfncodec.images.formats.spans import Parsed, Role, UnfitError
from bfncodec.images.picture import Picture
from bfncodec.runtime.arrays import Pixels

__all__ = ["bare", "filter_chunks", "parse", "restored", "write"]

_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SEEN = (b"IHDR", b"tRNS", b"IDAT", b"IEND")  # that make the pixels of a picture without a palette
_ANIMATED = {b"acTL", b"fcTL", b"fdAT"}
_INTERLACED = (b"IHDR", b"\1")  # before all other chunks of an interlaced picture


def parse(data: bytes) -> Parsed:
    """Take a still PNG file apart. UnfitError, or what zlib and Pillow raise, for any other."""
    chunks = list(read_chunks(data))
    first, count = _check(chunks)
    head = Head.read(chunks[0][1])
    if head.mode is Mode.P and [name for name, _ in chunks[:first]].count(b"PLTE") != 1:
        raise UnfitError("no palette")
    found = pixels.decode(head, b"".join(body for name, body in chunks if name == b"IDAT"))
    flag = [_INTERLACED] if head.interlaced else []
    kept = [*flag, *chunks[1:first], (b"IDAT", b""), *chunks[first + count : -1]]
    picture = with_chunks(Picture(found, head.mode, Origin.PNG), kept, head.depth)
    return Parsed.of(data, spans_of(chunks), picture)


def _check(chunks: list[Chunk]) -> tuple[int, int]:
    """Return the number of the first IDAT chunk, and how many there are.

    UnfitError for chunks out of order, of an animation, or that are critical (a capital letter begins their names, PNG,
    third edition, section 5.4) and not known here.
    """
    names = [name for name, _ in chunks]
    if names[0] != b"IHDR" or names[-1] != b"IEND" or names.count(b"IHDR") + names.count(b"IEND") != 2:
        raise UnfitError("chunks out of order")
    first, count = names.index(b"IDAT"), names.count(b"IDAT")
    if names[first : first + count] != [b"IDAT"] * count or chunks[-1][1]:
        raise UnfitError("chunks out of order")
    unknown = [name for name in names if not name[0] & 0x20 and name not in _CRITICAL]
    if unknown or _ANIMATED & set(names):
        raise UnfitError("not a still picture of known chunks")
    return first, count


def write(picture: Picture) -> bytes:
    """Return the file of a picture: chunks in their order, pixels packed as Tag.DEFLATED says."""
    head, chunks = _head_of(picture)
    packing = _packing_of(picture, head)
    return _file(head, chunks, packing.cut(pixels.encode(head, _own_pixels(picture), packing)))


def _packing_of(picture: Picture, head: Head) -> Packing:
    value = picture.header.extra(Tag.DEFLATED)
    return Packing.plain(head) if value is None else Packing.read(value, head)


def _file(head: Head, chunks: list[Chunk], parts: list[bytes]) -> bytes:
    """Return a file of these chunks; parts: contents of the IDAT chunks that stand in the place of one."""
    bodies = [[(name, part) for part in parts] if name == b"IDAT" else [(name, body)] for name, body in chunks]
    return png_file([(b"IHDR", head.write()), *chain(*bodies), (b"IEND", b"")])


def restored(found: Parsed) -> Parsed:
    """Return the parts of a file, its picture with how its pixels were packed, where that is found and not the default.

    What is found makes the very stream of the file, so the file that the picture becomes is known without deflating
    again, unless a palette stands between them.
    """
    picture = found.picture
    (head, chunks), parts = _head_of(picture), [body for role, body in found.spans if role is Role.PIXELS]
    packing = pixels.find_packing(head, _own_pixels(picture), parts)
    if packing is None:
        return found
    plain = Packing.plain(head)
    if packing != plain:
        picture = replace(picture, extras=(*picture.extras, packing.write(plain)))
    known = picture.palette is None and _packing_of(picture, head) == packing
    return replace(found, picture=picture, made=_file(head, chunks, packing.cut(b"".join(parts))) if known else None)


def _head_of(picture: Picture) -> tuple[Head, list[Chunk]]:
    """Return the head of a picture's file, and the chunks between it and the end."""
    chunks, depth = read_chunks_of(picture)
    interlaced = bool(chunks) and chunks[0] == _INTERLACED
    chunks = chunks[1:] if interlaced else chunks
    if {b"IHDR", b"IEND"} & {name for name, _ in chunks}:
        raise DamagedError("IHDR or IEND among the other chunks of a PNG file")
    height, width = picture.pixels.shape[:2]
    if depth and int(_own_pixels(picture).max()) >> depth:
        raise DamagedError(f"pixels of more than {depth} bits")
    return Head.of(picture.mode, depth, height, width, interlaced), chunks


def _own_pixels(picture: Picture) -> Pixels:
    palette = picture.palette
    return palette.own_numbers(picture.pixels) if palette else picture.pixels


def bare(data: bytes) -> bytes:
    """Return a file without a palette with no other chunks than make its pixels."""
    return png_file(chunk for chunk in read_chunks(data) if chunk[0] in _SEEN)


# ---- regions ----------------------------------------------------------------------------------

_TRUE_OF_REGIONS = (
    *(b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD"),
    *(b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"IHDR", b"IDAT"),
)
"""Chunks that say nothing of a picture's size or of another picture."""


def filter_chunks(picture: Picture) -> tuple[Extra, ...]:
    """Return the extras of a picture that hold for a region of it too."""
    depth, packed = split_depth(picture)
    found = unpack_chunks(packed, b"IDAT")
    kept = [chunk for chunk in found if chunk[0] in _TRUE_OF_REGIONS and not _is_xmp(*chunk)]
    palette = tuple(extra for extra in picture.extras if extra.tag == Tag.COLOURS)
    return (*palette, *chunks_extra(depth + pack_chunks(kept, b"IDAT")))


def _is_xmp(name: bytes, body: bytes) -> bool:
    return name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0")
