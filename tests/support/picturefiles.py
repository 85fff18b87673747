"""Small picture files for tests, written and read without the library and, mostly, without Pillow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = dict[int, tuple[int, bytes]]
"""Type and bytes by tag."""

SHORT, LONG, IFD = 3, 4, 13
_FORMS = {1: "B", 3: "H", 4: "I", 13: "I"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4}


def slope(height: int = 32, width: int = 40, channels: int = 3) -> np.ndarray[Any, Any]:
    """A picture worth compressing, uint8."""
    rows, columns, channel = np.indices((height, width, channels))
    return (rows * 5 + columns * 3 * (channel + 1) + (rows * columns) % 7).astype(np.uint8)


# ---- PNG --------------------------------------------------------------------------------------


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    size: tuple[int, int],
    depth: int,
    colour: int,
    raw: bytes,
    extra: bytes = b"",
    interlace: int = 0,
    deflate: Callable[[bytes], bytes] = zlib.compress,
) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", deflate(raw)) + chunk(b"IEND", b"")


def png_of(pixels: np.ndarray[Any, Any], extra: bytes = b"") -> bytes:
    """A PNG file of 8 or 16 bits a sample, not filtered."""
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2" if pixels.dtype == np.uint16 else "u1")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png((width, height), 8 * pixels.itemsize, colour, raw, extra)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def png_pixels(data: bytes) -> tuple[bytes, bytes]:
    """IHDR, and the bytes of all rows of a file that is not interlaced, byte by byte as the specification has it."""
    chunks = list(png_chunks(data))
    head = chunks[0][1]
    width, height, depth, colour = struct.unpack(">IIBB", head[:10])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    step, size = max(1, bits // 8), (width * bits + 7) // 8
    raw = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    assert len(raw) == height * (1 + size)
    above, out = bytearray(size), []
    for at in range(0, len(raw), 1 + size):
        row = bytearray(raw[at + 1 : at + 1 + size])
        for i in range(size):
            a, b, c = (row[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, nearest)[raw[at]]) & 0xFF
        out.append(bytes(row))
        above = row
    return head, b"".join(out)


# ---- TIFF -------------------------------------------------------------------------------------


def numbers(kind: int, *values: int, order: str = "<") -> tuple[int, bytes]:
    return kind, struct.pack(f"{order}{len(values)}{_FORMS[kind]}", *values)


@dataclass(frozen=True)
class Block:
    """The value of a tag that is the place of these bytes, of this type."""

    kind: int
    data: bytes


def tiff(
    strips: Sequence[bytes],
    size: tuple[int, int],
    tags: dict[int, tuple[int, bytes] | Block],
    *,
    order: str = "<",
    ghost: bytes = b"",
    tail: bytes = b"",
    first: bool = True,
    tile: tuple[int, int] | None = None,
    following: int = 0,
) -> bytes:
    """A TIFF file of RGB, unless the tags say otherwise. first: strips before the directory, as libtiff has them."""
    entries: dict[int, tuple[int, bytes] | Block] = {
        256: numbers(SHORT, size[0], order=order),
        257: numbers(SHORT, size[1], order=order),
        258: numbers(SHORT, 8, 8, 8, order=order),
        259: numbers(SHORT, 8, order=order),
        262: numbers(SHORT, 2, order=order),
        277: numbers(SHORT, 3, order=order),
    } | tags
    if tile:
        entries |= {322: numbers(SHORT, tile[0], order=order), 323: numbers(SHORT, tile[1], order=order)}
    else:
        entries.setdefault(278, numbers(SHORT, -(-size[1] // len(strips)), order=order))
    places, sizes = (324, 325) if tile else (273, 279)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body, starts = b"", []
    for strip in strips:
        starts.append(8 + len(ghost) + len(body))
        body += strip
    before = ghost + (body if first else b"")
    before += bytes((8 + len(before)) % 2)
    entries[sizes] = numbers(LONG, *map(len, strips), order=order)
    entries[places] = numbers(LONG, *starts, order=order)
    directory = 8 + len(before)
    apart_at = directory + 2 + 12 * len(entries) + 4
    apart, fields = b"", b""
    if not first:
        size_apart = sum(len(_value(v)) + len(_value(v)) % 2 for v in entries.values() if len(_value(v)) > 4)
        size_apart += sum(len(v.data) + len(v.data) % 2 for v in entries.values() if isinstance(v, Block))
        moved = [apart_at + size_apart + start - 8 - len(ghost) for start in starts]
        entries[places] = numbers(LONG, *moved, order=order)
    for tag, value in sorted(entries.items()):
        if isinstance(value, Block):
            kind, found = numbers(value.kind, apart_at + len(apart), order=order)
            apart += value.data + bytes(len(value.data) % 2)
        else:
            kind, found = value
        fields += struct.pack(order + "HHI", tag, kind, len(found) // _SIZES[kind])
        if len(found) > 4:
            fields += struct.pack(order + "I", apart_at + len(apart))
            apart += found + bytes(len(found) % 2)
        else:
            fields += found.ljust(4, b"\0")
    made = head + struct.pack(order + "I", directory) + before + struct.pack(order + "H", len(entries)) + fields
    return made + struct.pack(order + "I", following) + apart + (b"" if first else body) + tail


def _value(value: tuple[int, bytes] | Block) -> bytes:
    return b"1234" if isinstance(value, Block) else value[1]


def tiff_values(data: bytes) -> tuple[Values, list[bytes]]:
    """All tags of the first directory but those of places and sizes, and the strips or tiles."""
    order = "<" if data[:2] == b"II" else ">"
    at = struct.unpack_from(order + "I", data, 4)[0]
    found: Values = {}
    for number in range(struct.unpack_from(order + "H", data, at)[0]):
        place = at + 2 + 12 * number
        tag, kind, count = struct.unpack_from(order + "HHI", data, place)
        size = count * _SIZES[kind]
        place = place + 8 if size <= 4 else struct.unpack_from(order + "I", data, place + 8)[0]
        found[tag] = kind, data[place : place + size]
    where = [found.pop(tag) for tag in ((324, 325) if 324 in found else (273, 279))]
    starts, sizes = (struct.unpack(f"{order}{len(v) // _SIZES[k]}{_FORMS[k]}", v) for k, v in where)
    return found, [data[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def strips_of(
    pixels: np.ndarray[Any, Any], rows: int, code: Callable[[bytes], bytes], predictor: bool = False
) -> list[bytes]:
    out = []
    for top in range(0, len(pixels), rows):
        part = pixels[top : top + rows]
        if predictor:
            part = np.concatenate([part[:, :1], part[:, 1:] - part[:, :-1]], axis=1)
        out.append(code(part.tobytes()))
    return out


def tiles_of(
    pixels: np.ndarray[Any, Any], side: int, code: Callable[[bytes], bytes], predictor: bool = False, pad: str = "edge"
) -> list[bytes]:
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)), pad)  # type: ignore[call-overload]
    out = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            out += strips_of(padded[top : top + side, left : left + side], side, code, predictor)
    return out


def other_deflate(data: bytes) -> bytes:
    """Return what no level of zlib writes by default."""
    coder = zlib.compressobj(6, zlib.DEFLATED, 12, 8, zlib.Z_FIXED)
    return coder.compress(data) + coder.flush()


def flushed_deflate(data: bytes) -> bytes:
    """Return what zlib writes with no parameters unless it is told to end a block."""
    coder, middle = zlib.compressobj(6), len(data) // 3
    first = coder.compress(data[:middle]) + coder.flush(zlib.Z_SYNC_FLUSH)
    return first + coder.compress(data[middle:]) + coder.flush()
