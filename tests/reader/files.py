"""Section 4 of the file format: files that are made of samples and extras, folders, and parts that were moved."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import pack

from reader.errors import DamagedError, NewerError
from reader.frame import MODES_OF, read_extras
from reader.methods import MODES, Mode, Samples, packed, unpacked
from reader.packing import Packing, read_packing, short_packing
from reader.palettes import Palette, read_palette
from reader.png import SIGNATURE, filtered
from reader.tiff import make_tiff
from reader.webp import encode_vp8l
from reader.wire import Bytes

PNG, WEBP, BMP, PPM, TIFF = range(2, 7)
Tags = dict[int, bytes]


def rebuild(origin: int, mode: Mode, samples: Samples, tags: Tags) -> bytes:
    """The picture file of samples and extras."""
    if origin == PNG:
        return make_png(mode, samples, tags)
    if origin == WEBP:
        return make_webp(mode, samples, tags)
    if origin == TIFF:
        return make_tiff(mode, samples, tags.get(0x83))
    layout, head, tail = read_layout(tags[0x82]) if 0x82 in tags else default_layout(origin, mode, samples)
    return head + laid_out(layout, mode, samples) + tail


@dataclass(frozen=True)
class File:
    """A file made again. same: whether it is the one that the checksum tells of."""

    data: bytes
    same: bool


def checked(file: bytes, check: bytes) -> File:
    return File(file, zlib.crc32(file).to_bytes(4, "little").startswith(check))


# ---- PNG and WebP -------------------------------------------------------------------------------


def chunks_of(reader: Bytes) -> list[tuple[bytes, bytes]]:
    """Chunks of tag 81."""
    found = []
    while reader.at < len(reader.data):
        name = reader.take(4)
        found.append((name, reader.take(reader.varint())))
    return found


def with_pixels(chunks: list[tuple[bytes, bytes]], name: bytes, parts: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Chunks with those of the pixels in their place."""
    places = [k for k, chunk in enumerate(chunks) if chunk[0] == name] or [len(chunks)]
    if len(places) > 1 or chunks[places[0] : places[0] + 1] not in ([], [(name, b"")]):
        raise DamagedError("two places of the pixels, or one with content")
    return [*chunks[: places[0]], *((name, part) for part in parts), *chunks[places[0] + 1 :]]


COLOUR_TYPES = {"RGB": 2, "RGBA": 6, "L": 0, "LA": 4, "P": 3, "1": 0, "I;16": 0}


def make_png(mode: Mode, samples: Samples, tags: Tags) -> bytes:
    reader, palette = Bytes(tags.get(0x81, b"")), read_palette(tags[0x87]) if 0x87 in tags else None
    bits = 1 if mode.bilevel else 8 * mode.width
    if palette:
        samples = Samples(samples.height, samples.width, palette.unchained(samples.data))
        if palette.form > 3:
            raise DamagedError(f"form {palette.form} of a PNG file")
        bits = 1 << palette.form
    elif mode.name == "P":
        bits = reader.byte()
    if mode.name == "P" and bits not in (1, 2, 4, 8):
        raise DamagedError(f"{bits} bits")
    if mode.name == "P" and max(samples.data) >> bits:
        raise DamagedError(f"samples of more than {bits} bits")
    chunks = chunks_of(reader)
    interlaced = chunks[:1] == [(b"IHDR", b"\1")]
    chunks = chunks[interlaced:]
    if any(name in (b"IHDR", b"IEND") for name, _ in chunks):
        raise DamagedError("IHDR or IEND among the chunks")
    if palette:
        chunks = with_palette(chunks, palette)
    bare = mode.name == "P" and bits == 8
    if 0x89 in tags:
        packing = read_packing(tags[0x89], samples.width, bare=bare)
    else:
        packing = short_packing(6, 0, samples.width, bare=bare)
    rows = b"".join(png_rows(mode, bits, samples, packing, interlaced=interlaced))
    colour = COLOUR_TYPES[mode.name.removesuffix(";16") if mode.channels > 1 else mode.name]
    head = pack(">IIBBBBB", samples.width, samples.height, bits, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", head), *with_pixels(chunks, b"IDAT", packing.parts(packing.deflated(rows))), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        pack(">I", len(content)) + name + content + pack(">I", zlib.crc32(name + content)) for name, content in chunks
    )


def with_palette(chunks: list[tuple[bytes, bytes]], palette: Palette) -> list[tuple[bytes, bytes]]:
    """Chunks with those of the palette."""
    contents = {b"PLTE": palette.colours(), b"tRNS": palette.opacity()}
    if not any(name in contents for name, _ in chunks):
        at = next((k for k, (name, _) in enumerate(chunks) if name in (b"bKGD", b"hIST", b"IDAT")), len(chunks))
        chunks = [*chunks[:at], (b"PLTE", b""), *([(b"tRNS", b"")] if palette.opacities else []), *chunks[at:]]
    return [(name, contents.get(name, content)) for name, content in chunks]


PASSES = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
"""First row, step of rows, first column, step of columns of interlaced pictures."""


def png_rows(mode: Mode, bits: int, samples: Samples, packing: Packing, *, interlaced: bool) -> Iterator[bytes]:
    """Rows with their filters."""
    data, pixel, width, done = samples.data, mode.channels * mode.width, samples.width, 0
    if mode.bilevel:
        data = unpacked(data, 1, width)
    if mode.width == 2:
        data = b"".join(data[k : k + 2][::-1] for k in range(0, len(data), 2))
    for top, down, left, right in PASSES if interlaced else ((0, 1, 0, 1),):
        across = len(range(left, width, right))
        rows = [data[r * width * pixel : (r + 1) * width * pixel] for r in range(top, samples.height, down)]
        chosen = b"".join(row[c * pixel : (c + 1) * pixel] for row in rows for c in range(left, width, right))
        if not chosen:
            continue
        if bits < 8:
            chosen = packed(chosen, bits, across)
        kinds = [packing.others.get(done + k, packing.filter) for k in range(len(rows))]
        yield filtered(chosen, (across * pixel * min(bits, 8) + 7) // 8, pixel, kinds)
        done += len(rows)
    if packing.others and max(packing.others) >= done:
        raise DamagedError("a filter of a row that is not there")


def make_webp(mode: Mode, samples: Samples, tags: Tags) -> bytes:
    """A file whose pixels are coded without any compression, so that it is not the one that was compressed."""
    stream = encode_vp8l(mode, samples)
    chunks = with_pixels(chunks_of(Bytes(tags.get(0x81, b""))), b"VP8L", [stream])
    body = b"WEBP" + b"".join(
        name + pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + pack("<I", len(body)) + body


# ---- BMP and PPM --------------------------------------------------------------------------------


def read_layout(value: bytes) -> tuple[int, bytes, bytes]:
    """(layout, head, tail) of tag 82."""
    reader = Bytes(value)
    layout = reader.byte()
    if layout > 15:
        raise NewerError(f"layout {layout}")
    return layout, reader.take(reader.varint()), reader.rest()


def default_layout(origin: int, mode: Mode, samples: Samples) -> tuple[int, bytes, bytes]:
    height, width = samples.height, samples.width
    if origin == PPM:
        number = 4 if mode.bilevel else 6 if mode.channels == 3 else 5
        most = b"" if mode.bilevel else b"255\n" if mode.width == 1 else b"65535\n"
        return 8 if mode.bilevel else 2 if mode.width == 2 else 0, b"P%d\n%d %d\n" % (number, width, height) + most, b""
    bits, colours = {"RGB": (24, 0), "L": (8, 256), "1": (1, 2)}.get(mode.name, (0, 0))
    if not bits:
        raise DamagedError(f"a BMP file of mode {mode.name} without a layout")
    table = b"".join(bytes([v, v, v, 0]) for v in (range(256) if colours == 256 else (0, 255)[:colours]))
    size, start = (width * bits + 31) // 32 * 4 * height, 54 + len(table)
    head = pack("<2sIII", b"BM", start + size, 0, start)
    head += pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, size, 3780, 3780, colours, colours)
    return 5 | 2 * (mode.channels > 1), head + table, b""


def laid_out(layout: int, mode: Mode, samples: Samples) -> bytes:
    """Samples in a layout."""
    size, pixel, data = mode.size(1, samples.width), mode.channels, samples.data
    if layout & 8 and mode.bilevel:
        data = inverted(data, samples.width)
    if layout & 2 and mode.width == 2:
        data = b"".join(data[k : k + 2][::-1] for k in range(0, len(data), 2))
    elif layout & 2 and pixel > 2:
        data = b"".join(data[k : k + 3][::-1] + data[k + 3 : k + pixel] for k in range(0, len(data), pixel))
    rows = [data[k : k + size] for k in range(0, len(data), size)]
    if layout & 4:
        rows = [row + bytes(-size % 4) for row in rows]
    return b"".join(reversed(rows) if layout & 1 else rows)


def inverted(data: bytes, width: int) -> bytes:
    return packed(bytes(1 - v for v in unpacked(data, 1, width)), 1, width)


# ---- folders and arrays -------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A file of a folder. picture: origin, mode, and sides of one that is a picture."""

    path: str
    size: int
    picture: tuple[int, Mode, int, int] | None
    tags: Tags


@dataclass(frozen=True)
class Folder:
    """Files by their paths. same: whether they are those that the checksum tells of."""

    files: dict[str, bytes]
    same: bool


def read_folder(value: bytes, content: bytes, check: bytes | None) -> Folder:
    members, found, at = read_members(value, len(content)), {}, 0
    for member in sorted(members, key=lambda m: m.picture is not None):
        found[member.path] = make_member(member, content[at : at + member.size])
        at += member.size
    found = {member.path: found[member.path] for member in members}
    if check is not None and len(check) not in (1, 4):
        raise DamagedError("a checksum of neither one byte nor four")
    return Folder(found, checked(b"".join(found.values()), check or b"").same)


def read_members(value: bytes, total: int) -> list[Member]:
    """The files of a folder. total: bytes of the content."""
    reader = Bytes(value)
    height, width, count = reader.varint(), reader.varint(), reader.varint()
    if not 1 <= count <= len(value):
        raise DamagedError(f"{count} files")
    paths = [read_path(reader) for _ in range(count)]
    check_paths(paths)
    looks = [read_look(byte) for byte in reader.take(count)]
    if any(look and not PNG <= look[0] <= TIFF for look in looks):
        raise DamagedError("pictures in a folder that are no files")
    sizes = [0 if look else reader.varint() for look in looks]
    found = []
    for path, look, size in zip(paths, looks, sizes, strict=True):
        if not look:
            found.append(Member(path, size, None, {}))
            continue
        origin, mode = look
        if mode.name not in ("RGB", "L", "1") or not height or not width:
            raise DamagedError(f"a picture file of mode {mode.name} in a folder")
        extras = read_extras(reader.take(reader.varint()))
        found.append(Member(path, height * width * mode.channels, (origin, mode, height, width), dict(extras)))
    if reader.at < len(value) or sum(member.size for member in found) != total:
        raise DamagedError("bytes behind a folder's list, or sizes that do not add up to the content")
    return found


def read_look(byte: int) -> tuple[int, Mode] | None:
    """Origin and mode of a picture file, None for a file kept as bytes."""
    origin, number = byte >> 4, byte & 15
    if byte and (origin > 7 or number not in MODES_OF[origin]):
        raise NewerError(f"mode {number} of origin {origin} in a folder")
    return (origin, MODES[number]) if byte else None


def read_path(reader: Bytes) -> str:
    end = reader.data.find(0, reader.at)
    if end < 0:
        raise DamagedError("a path without an end")
    try:
        return reader.take(end + 1 - reader.at)[:-1].decode()
    except UnicodeDecodeError:
        raise DamagedError("a path that is not UTF-8") from None


def check_paths(paths: list[str]) -> None:
    if any(not part or part in (".", "..") for path in paths for part in path.split("/")):
        raise DamagedError("a path with a part that is empty, . or ..")
    if any(a >= b for a, b in pairwise(paths)):
        raise DamagedError("paths that do not increase")
    folders = {path[:k] for path in paths for k, letter in enumerate(path) if letter == "/"}
    if folders & set(paths):
        raise DamagedError("a file that is a folder")


def make_member(member: Member, content: bytes) -> bytes:
    if member.picture is None:
        return content
    origin, mode, height, width = member.picture
    if mode.bilevel:
        if set(content) - {0, 255}:
            raise DamagedError("a sample of mode 1 that is neither 0 nor 255")
        content = packed(bytes(v & 1 for v in content), 1, width)
    return rebuild(origin, mode, Samples(height, width, content), member.tags)


def read_parts(value: bytes, total: int) -> list[tuple[int, int]]:
    """Gaps and sizes of tag 88. total: bytes of the content."""
    reader = Bytes(value)
    count = reader.varint()
    if not 1 <= count <= len(value):
        raise DamagedError(f"{count} parts")
    parts = [(reader.varint(), reader.varint()) for _ in range(count)]
    if reader.at < len(value) or not all(size for _, size in parts) or sum(map(sum, parts)) > total:
        raise DamagedError("parts that are not in the content")
    return parts


def moved_back(value: bytes, content: bytes) -> bytes:
    """A file whose parts are in their places again (tag 88)."""
    parts = read_parts(value, len(content))
    at = moved = len(content) - sum(size for _, size in parts)
    found, rest = b"", 0
    for gap, size in parts:
        found += content[rest : rest + gap] + content[at : at + size]
        rest, at = rest + gap, at + size
    return found + content[rest:moved]
