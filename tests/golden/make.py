"""How the golden files were made. They are written once and then only ever decoded: files that exist are kept.

    python tests/golden/make.py

What each of them becomes is in index.json, which `tests/support/goldens.py` explains. Where one is made of an object
or of a file, it is compared with that before it is written.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import bfncodec  # noqa: E402
from bfncodec.api import Models  # noqa: E402
from bfncodec.content.arrays import arrays_of  # noqa: E402
from bfncodec.content.folder import folder_of  # noqa: E402
from bfncodec.content.items import Whole  # noqa: E402
from bfncodec.content.types import Content  # noqa: E402
from bfncodec.format.checks import crc32  # noqa: E402
from bfncodec.format.compact import LONGEST_COMPACT as BLOCK  # noqa: E402
from bfncodec.format.container import pack  # noqa: E402
from bfncodec.format.cuts import Grid, Pieces  # noqa: E402
from bfncodec.format.extras import Extra, Tag  # noqa: E402
from bfncodec.format.frame import COMPACT, LONG, SEGMENTED, Coded  # noqa: E402
from bfncodec.format.header import Header  # noqa: E402
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Method, Mode, Origin  # noqa: E402
from bfncodec.format.segmented.writer import SegmentWriter  # noqa: E402
from bfncodec.format.wire import varint  # noqa: E402
from bfncodec.images.files import read_file, unpromised  # noqa: E402
from bfncodec.segments.archiving import ItemWriter  # noqa: E402
from bfncodec.segments.bytes import encode_bytes  # noqa: E402
from bfncodec.segments.encode import encode_frame  # noqa: E402
from bfncodec.segments.plan import Choice  # noqa: E402
from bfncodec.segments.policy import DEFAULT_POLICY, Policy  # noqa: E402
from reader.png import filtered  # noqa: E402
from support.forge import Piece, put_together, take_apart  # noqa: E402
from support.frames import MODEL, modelled, stored  # noqa: E402
from support.goldens import becomes, digest  # noqa: E402
from support.picturefiles import chunk, other_deflate, png, png_of, strips_of, tiff  # noqa: E402

ALL_ROADS = "Alle Wege führen nach Rom, alle Wege führen weiter. \ud800" * 9
NUMBERS = b"".join(b"line %d\n" % k**3 for k in range(40))
SMALL = Policy(plain_segment=40, plain_tile=16)
Golden = tuple[str, bytes, Any]
"""Name, bytes of the file, and what it becomes: an object, or the name of an error."""


def picture(height: int, width: int, channels: int) -> np.ndarray[Any, Any]:
    """A little landscape of slopes and circles, the same everywhere."""
    rows, columns, channel = np.indices((height, width, channels))
    circle = (rows - height // 2) ** 2 + (columns - width // 3) ** 2 < height * width // 9
    return (rows * 5 + columns * 3 * (channel + 1) + 90 * circle).astype(np.uint8)


def noise(*shape: int) -> np.ndarray[Any, Any]:
    """Bytes that no coder makes smaller."""
    return np.random.RandomState(len(shape)).randint(0, 256, shape).astype(np.uint8)


def saved(image: Any, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()


# ---- objects ----------------------------------------------------------------------------------


def objects() -> Iterator[tuple[str, Any]]:
    """Name and object."""
    yield "stored_bytes", bytes(range(9))
    yield "empty_bytes", b""
    yield "empty_text", ""
    yield "lzma_bytes", NUMBERS
    yield "lzma_text", ALL_ROADS
    yield "short_text", "Ende"
    yield "bytearray", bytearray(b"may be changed")
    yield "memoryview", memoryview(b"is looked at")
    yield from arrays()
    yield from array_pictures()
    yield from images()


def arrays() -> Iterator[tuple[str, Any]]:
    """Arrays that are no pictures, of every type."""
    yield "array_u8_4d", np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    yield "array_u8_stored", noise(30)
    yield "array_u16", np.arange(3000, dtype=np.uint16)
    yield "array_empty", np.zeros((3, 0, 2), np.float32)
    yield "array_scalar", np.array(-1.5)
    for name in ARRAY_TYPES:
        if name in ("u1", "u2"):
            continue
        dtype = np.dtype(("" if name.startswith(">") else "<") + name)
        values = np.cumsum(picture(8, 9, 1).ravel() % 7).reshape(2, 4, 9)
        array = values % 2 > 0 if dtype.kind == "b" else values * (1 + 0.25j) if dtype.kind == "c" else values * 0.5
        yield f"array_{name.replace('>', 'big_')}", array.astype(dtype)


def array_pictures() -> Iterator[tuple[str, Any]]:
    """Arrays that are pictures, some of big-endian samples."""
    yield "array_rgb", picture(24, 31, 3)
    yield "array_grey", picture(24, 31, 1)[:, :, 0]
    yield "array_la", picture(24, 31, 2)
    yield "array_rgba", picture(24, 31, 4)
    yield "array_rgb_stored", noise(2, 3, 3)
    yield "array_grey16", picture(20, 20, 1)[:, :, 0].astype(np.uint16) * 201
    yield "array_grey16_big", (picture(20, 20, 1)[:, :, 0].astype(np.uint16) * 201).astype(">u2")
    slope = np.add.outer(np.arange(40) * 173, np.arange(50) * 211)
    yield "planes_grey16", (slope + picture(40, 50, 1)[:, :, 0] % 7).astype(np.uint16)
    yield "planes_la16", picture(24, 31, 2).astype(np.uint16) * 3 + 77
    yield "planes_rgb16", picture(24, 31, 3).astype(np.uint16) * 3 + 77
    yield "planes_rgba16_big", (picture(24, 31, 4).astype(np.uint16) * 3 + 77).astype(">u2")
    yield "planes_gaps", np.rint(picture(60, 70, 1)[:, :, 0] * 250.3).astype(np.uint16)


def images() -> Iterator[tuple[str, Any]]:
    """Pillow images of every mode, and with metadata of every sort."""
    yield "image_rgb", Image.fromarray(picture(24, 31, 3))
    yield "image_rgba", Image.fromarray(picture(24, 31, 4))
    yield "image_l", Image.fromarray(picture(24, 31, 1)[:, :, 0])
    yield "image_la", Image.frombytes("LA", (24, 31), picture(31, 24, 2).tobytes())
    yield "image_1", Image.fromarray(picture(24, 31, 1)[:, :, 0]).convert("1")
    yield "image_i16", Image.fromarray(picture(24, 31, 1)[:, :, 0].astype(np.uint16) * 201)
    paletted = Image.frombytes("P", (30, 20), (picture(20, 30, 1) % 16).tobytes())
    paletted.putpalette(picture(16, 1, 4).tobytes(), "RGBA")
    paletted.info |= {"transparency": 3, "dpi": (72.0, 72.0), "icc_profile": bytes(range(200))}
    yield "image_p", paletted
    rising = Image.frombytes("P", (30, 20), (picture(20, 30, 1) // 4).tobytes())
    rising.putpalette(bytes(value for k in range(64) for value in (3 * k, 4 * k, 255 - k, min(5 * k, 255))), "RGBA")
    rising.info["transparency"] = bytes(min(5 * k, 255) for k in range(64))
    yield "image_p_coded", rising
    told = Image.fromarray(picture(5, 7, 3))
    told.info |= {"Title": "grün", "dpi": (72.0, 71.5), "icc_profile": b"a colour profile " * 6, "exif": b"Exif\0\0"}
    told.info |= {"list": [1, None, {"a": b"b"}, float("inf")], "set": {3}, "half": "\ud800", "flag": True}
    yield "image_info", told


def contents() -> Iterator[Golden]:
    """Objects as they are compressed; those of some kinds in segments, too."""
    for name, value in objects():
        yield name, bfncodec.compress(value, "none"), value
    yield "preview_rgb", bfncodec.compress(picture(60, 80, 3), "none", preview=True), picture(60, 80, 3)
    yield "lines_bytes", bfncodec.compress(NUMBERS, "none", lines=True, block=64), NUMBERS
    verse = ALL_ROADS.replace(",", "\n")
    yield "lines_text", bfncodec.compress(verse, "none", lines=True, block=64), verse
    image = Image.fromarray(picture(40, 50, 3))
    image.info |= {"dpi": (72.0, 72.0), "icc_profile": bytes(range(200))}
    paletted = Image.frombytes("P", (50, 40), (picture(40, 50, 1) % 16).tobytes())
    paletted.putpalette(noise(48).tobytes())
    for name, value in {
        "segmented_bytes": bytes(range(100)) + bytes(100),
        "segmented_bytearray": bytearray(bytes(range(100)) + bytes(100)),
        "segmented_text": ALL_ROADS[:200],
        "segmented_rgb": picture(40, 50, 3),
        "segmented_grey16": picture(40, 50, 1)[:, :, 0].astype(np.uint16) * 201,
        "segmented_image": image,
        "segmented_palette": paletted,
        "segmented_u8": np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5),
        "segmented_f4": np.cumsum(picture(8, 9, 1), dtype=np.float32).reshape(8, 9),
    }.items():
        yield name, bfncodec.compress(value, "none", policy=SMALL), value


# ---- files ------------------------------------------------------------------------------------


def files() -> Iterator[Golden]:
    """Picture files of every format: such as come back byte for byte, and such as do not."""
    noise = np.random.RandomState(1).randint(0, 60, (24, 31, 3)).astype(np.uint8)
    rgb, grey = Image.fromarray(picture(24, 31, 3)), Image.fromarray(picture(24, 31, 1)[:, :, 0])
    text = PngInfo()
    text.add_text("Title", "golden")
    colours = Image.frombytes("P", (30, 20), (picture(20, 30, 1) % 16).tobytes())
    colours.putpalette(bytes(k * k * 37 % 251 for k in range(48)))
    few = colours.copy()
    few.putpalette(bytes([9, 200, 7] * 3))
    made = {
        "png": saved(rgb, "PNG", pnginfo=text, dpi=(300, 300)),
        "png_coded": saved(colours, "PNG", transparency=bytes([0, 255, 77])),
        "png_palette": saved(few.point(lambda n: n % 3), "PNG", bits=2),
        "png_plain": png_of(picture(24, 31, 4)),
        "png_other": png((31, 24), 8, 2, b"".join(b"\1" + row.tobytes() for row in noise), deflate=other_deflate),
        "png_bilevel": saved(grey.convert("1"), "PNG"),
        "png_grey16": saved(picture(20, 20, 1)[:, :, 0].astype(np.uint16) * 201, "PNG"),
        "png_packed": png_stored(),
        "png_level": saved(rgb, "PNG", compress_level=8),
        "png_optimize": saved(ties(), "PNG", optimize=True),
        "png_optimize_palette": saved(colours, "PNG", optimize=True),
        "png_optimize_grey16": saved(picture(20, 20, 1)[:, :, 0].astype(np.uint16) * 201, "PNG", optimize=True),
        "png_bare": png((30, 20), 4, 3, bytes(20 * 16), chunk(b"PLTE", bytes(range(48))), deflate=best_deflate),
        "png_least": png((5, 200), 8, 0, filtered(ties().tobytes(), 5, 1, [5] * 200)),
        "webp": saved(rgb, "WEBP", lossless=True, exact=True, icc_profile=b"a colour profile"),
        "bmp": saved(rgb, "BMP"),
        "bmp_palette": saved(colours, "BMP"),
        "bmp_bilevel": saved(grey.convert("1"), "BMP"),
        "ppm": b"P6 # a comment\n31 24 255\n" + picture(24, 31, 3).tobytes() + b"tail",
        "pgm": saved(grey, "PPM"),
        "pbm": saved(grey.convert("1"), "PPM"),
        "tiff": saved(rgb, "TIFF", dpi=(72, 72)),
        "tiff_lzw": saved(rgb, "TIFF", compression="tiff_lzw"),
        "tiff_packbits": saved(grey, "TIFF", compression="packbits"),
        "tiff_deflate": saved(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "tiff_other": tiff(strips_of(picture(24, 31, 3), 24, other_deflate), (31, 24), {}),
    }
    for name, data in made.items():
        content = read_file(data)
        assert content is not None, name
        yield f"file_{name}", frame_of(content), data
        if content.header.is_identical:
            yield f"other_{name}", frame_of(unpromised(content)), data
    content = read_file(made["png"])
    assert content is not None
    yield "segmented_png", frame_of(content, SMALL), made["png"]
    content = read_file(made["bmp"])
    assert content is not None
    yield "segmented_bmp", frame_of(content, SMALL), made["bmp"]


def ties() -> np.ndarray[Any, Any]:
    """A grey picture with rows of which several filters make equal sums."""
    return noise(200, 5) % 8


def best_deflate(rows: bytes) -> bytes:
    """The stream of zlib with all its memory."""
    coder = zlib.compressobj(9, memLevel=9)
    return coder.compress(rows) + coder.flush()


def png_stored() -> bytes:
    """A PNG file that no zlib need make: stored blocks of 300 bytes, filters by no rule, chunks of several sizes."""
    content = b"".join(bytes([row * row % 5]) + line.tobytes() for row, line in enumerate(picture(20, 30, 1)))
    blocks = [content[at : at + 300] for at in range(0, len(content), 300)]
    heads = [struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) for block in blocks]
    body = b"".join(head + block for head, block in zip(heads, blocks, strict=True))
    stream = b"\x78\x01" + body + zlib.adler32(content).to_bytes(4, "big")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 0, 0, 0, 0))
    parts = [chunk(b"IDAT", part) for part in (stream[:9], stream[9:100], stream[100:])]
    return b"".join([b"\x89PNG\r\n\x1a\n", head, *parts, chunk(b"IEND", b"")])


def frame_of(content: Content, policy: Policy = DEFAULT_POLICY) -> bytes:
    """A content's file, without a model."""
    return encode_frame(content, "none", Models(), policy=policy)


def many_files() -> Iterator[Golden]:
    """Folders and files of arrays."""
    items = picture(12, 4, 3).reshape(3, 4, 4, 3)
    same = {"a/one.bmp": saved(items[0], "BMP"), "two.ppm": saved(items[1], "PPM"), "notes": NUMBERS, "empty": b""}
    for name, found in (("folder", same), ("folder_other", {**same, "a/three.png": png_of(items[2])})):
        content = folder_of(found, (4, 4, 3))
        if name == "folder_other":
            content = replace(content, source=None if content.source is None else content.source[:1])
        yield name, frame_of(content), found
    out = io.BytesIO()
    np.savez(out, numbers=np.arange(9), some=picture(8, 4, 3).reshape(2, 4, 4, 3), more=picture(4, 4, 3)[None])
    yield "arrays_npz", frame_of(arrays_of(out.getvalue(), (4, 4, 3))), out.getvalue()


def archives() -> Iterator[Golden]:
    """Items of every kind, in rows of every form."""
    pixels, later = picture(24, 5, 3).reshape(4, 6, 5, 3), Policy(items_segment=300)
    named = {
        "a/one.png": saved(pixels[0], "PNG"),
        "a/two.png": saved(pixels[1], "PNG"),
        "notes": NUMBERS,
        "labels": np.arange(4),
        "a/text": "Ende",
        "picture": Image.fromarray(pixels[2]),
    }
    coded = [
        coded_file(item) if isinstance(item, bytes) else bfncodec.compress(item, "none") for item in named.values()
    ]
    coded[2] = bfncodec.compress(NUMBERS, "none", policy=SMALL)  # in segments
    yield "items_named", archive(coded, list(named)), named
    yield "items_many", archive(coded * 3, [], policy=later), [*named.values()] * 3
    rows = [bfncodec.compress(item, "none") for item in pixels]
    yield "items_rows", archive(rows, [], Whole.ROWS, policy=later), pixels
    yield "items_stack", archive(rows[:1], [], Whole.ROWS, bfncodec.compress(pixels[1:], "none")), pixels
    labels = {f"label/{k}": str(k % 10) for k in range(99)}
    coded = [bfncodec.compress(label, "none") for label in labels.values()]
    yield "items_squeezed", archive(coded, list(labels)), labels


def coded_file(data: bytes) -> bytes:
    """A file's compressed one, without a model."""
    content = read_file(data)
    return bfncodec.compress(data, "none") if content is None else frame_of(content)


def archive(
    files: list[bytes], names: list[str], whole: Whole = Whole.EACH, stack: bytes = b"", policy: Policy = DEFAULT_POLICY
) -> bytes:
    """An archive of compressed files. stack: of three further items."""
    out = io.BytesIO()
    writer = ItemWriter(out.write, whole, Models(), policy)
    for number, file in enumerate(files):
        writer.add(file, names[number] if names else None)
    if stack:
        writer.add_stack(stack, 3, set())
    writer.finish()
    return out.getvalue()


# ---- frames -----------------------------------------------------------------------------------


def lzma(data: bytes) -> Coded:
    """A segment by LZMA."""
    coded = encode_bytes(data, Choice.none(), lambda done: None).coded[0]
    assert coded.method is Method.LZMA
    return coded


def row(header: Header, parts: list[tuple[Coded, int]], later: tuple[Extra, ...] = ()) -> bytes:
    """A segmented file of these segments with the lengths of their contents."""
    out = io.BytesIO()
    writer = SegmentWriter(out.write, header)
    for coded, length in parts:
        writer.add(coded, length)
    writer.finish(later)
    return out.getvalue()


def frames() -> Iterator[Golden]:
    """Files that differ in their frame: runs, extras of both places, files one after the other."""
    models = Extra(Tag.MODELS, b"".join(varint(36) + bytes([k] * 32) + b"name" for k in (1, 2)))
    plain = Header(Kind.BYTES)
    yield "segmented_single", row(plain, [(stored(b"alone"), 5)]), b"alone"
    parts = [(lzma(bytes(99)), 99) if k % 2 else (stored(b"%02d" % k), 2) for k in range(70)]
    many = b"".join(bytes(99) if k % 2 else b"%02d" % k for k in range(70))
    yield "segmented_70_runs", row(plain, parts), many
    yield "segmented_31_runs", row(plain, parts[:31]), many[: 16 * 2 + 15 * 99]
    yield "models_compact", pack(replace(plain, extras=(models,)), Pieces((4,)), [stored(b"abcd")]), b"abcd"
    yield "models_index", row(replace(plain, extras=(models,)), [(stored(b"ab"), 2), (stored(b"cd"), 2)]), b"abcd"
    skipped = take_apart(pack(plain, Pieces((2, 2)), [stored(b"ab"), stored(b"cd")]))
    skipped.marked, skipped.extras, skipped.later = True, [(0x3E, b"?")], [(0x2A, b"??")]
    yield "unknown_extras", put_together(skipped), b"abcd"
    yield "large_extra", put_together(replace(skipped, extras=[(0x7E, bytes(200))], later=[])), b"abcd"
    texts = {"": "empty_text", ALL_ROADS: "lzma_text", "Ende": "short_text"}
    yield "joined_text", b"".join(bfncodec.compress(text, "none") for text in texts), ALL_ROADS + "Ende"
    lines = bfncodec.compress(NUMBERS, "none", lines=True, block=64)
    text, nine = bfncodec.compress(ALL_ROADS, "none"), bfncodec.compress(bytes(range(9)), "none")
    whole = bytes(range(9)) + NUMBERS + ALL_ROADS.encode("utf-8", "surrogatepass") + bytes(range(9))
    yield "joined_bytes", nine + lines + text + nine, whole
    yield "joined_inner", bfncodec.compress(nine * 3, "none") + nine, nine * 3 + bytes(range(9))
    yield from longs(nine)


def long_of(kind: Kind, data: bytes, extras: tuple[Extra, ...] = ()) -> bytes:
    """A long compact file, stored."""
    return pack(Header(kind, extras=extras), Pieces((len(data),)), [stored(data)])


def longs(nine: bytes) -> Iterator[Golden]:
    """Long compact files, and such as hold others or stand beside them. nine: a short file."""
    for size in (BLOCK + 1, 2 * BLOCK + 1):
        yield f"long_bytes_{size}", long_of(Kind.BYTES, bytes(size)), bytes(size)
    text = "¿Numbers? " * 6000  # holds the magic number
    blob = long_of(Kind.STR, text.encode())
    yield "long_text", blob, text
    wrapped = long_of(Kind.BYTES, bytes(BLOCK + 9), (Extra(Tag.WRAPPER, b"\1"),))
    yield "long_bytearray", wrapped, bytearray(BLOCK + 9)
    yield "long_joined", nine + blob + nine + blob, (bytes(range(9)) + text.encode()) * 2
    yield "long_inner", long_of(Kind.BYTES, bytes(BLOCK) + nine * 9), bytes(BLOCK) + nine * 9
    named = Coded(Method.MODEL, varint(1 << 20) + bytes(BLOCK), 77, MODEL)
    yield "missing_model_long", pack(Header(Kind.STR), Pieces((1 << 20,)), [named]), "ModelNotFoundError"


def streams() -> Iterator[Golden]:
    """Pictures by methods and streams that today's writers choose seldom, or never any more."""
    grey, wide = picture(24, 31, 1)[:, :, 0], picture(20, 20, 1)[:, :, 0].astype(np.uint16) * 201
    equal = Image.fromarray(np.repeat(grey[:, :, None] // 128, 3, 2))  # earlier writers: all channels are the number
    bits = Image.fromarray(grey // 128 * 255).convert("1")
    made = {
        "stream_png_rgb": (Mode.RGB, saved(picture(24, 31, 3), "PNG"), picture(24, 31, 3)),
        "stream_png_grey16": (Mode.I16, saved(wide, "PNG"), wide),
        "stream_png_la": (Mode.LA, saved(Image.frombytes("LA", (31, 24), picture(24, 31, 2).tobytes()), "PNG"), None),
        "stream_webp_rgba": (Mode.RGBA, vp8l(Image.fromarray(picture(24, 31, 4))), picture(24, 31, 4)),
        "stream_webp_1": (Mode.BILEVEL, vp8l(equal), bits),
        "stream_stored": (Mode.L, varint(24) + varint(31) + grey.tobytes(), grey),
    }
    for name, (mode, payload, value) in made.items():
        value = picture(24, 31, 2) if value is None else value
        origin = Origin.OBJECT if isinstance(value, Image.Image) else Origin.ARRAY
        samples = np.packbits(grey // 128, axis=1).tobytes() if mode is Mode.BILEVEL else value.tobytes()
        method = Method.STORED if name == "stream_stored" else Method.PICTURE
        yield (
            name,
            pack(Header(Kind.IMAGE, origin, mode), Grid(0, 1, 0, 1), [Coded(method, payload, crc32(samples))]),
            value,
        )


def vp8l(image: Image.Image) -> bytes:
    """The stream of a lossless WebP file without its RIFF head."""
    data = saved(image, "WEBP", lossless=True, exact=True)
    start = data.index(b"VP8L") + 8
    return data[start : start + int.from_bytes(data[start - 4 : start], "little")]


# ---- damaged ----------------------------------------------------------------------------------


def flipped(blob: bytes, place: int) -> bytes:
    """The file with a bit flipped, counted in bytes from its end where that is negative."""
    changed = bytearray(blob)
    changed[place] ^= 4
    return bytes(changed)


def damaged() -> Iterator[Golden]:
    """Every kind of damage, in both forms."""
    short = bfncodec.compress(bytes(range(9)), "none")
    squeezed = bfncodec.compress(NUMBERS, "none")
    photo = bfncodec.compress(picture(24, 31, 3), "none")
    parts = [(stored(b"abcdef"), 6), (stored(b"ghijkl"), 6), (stored(b"mn"), 2)]
    long = row(Header(Kind.BYTES), parts)
    tiles = bfncodec.compress(picture(40, 50, 3), "none", policy=SMALL)
    block = long_of(Kind.BYTES, bytes(BLOCK + 99))
    found = {
        "payload": flipped(short, -3),
        "payload_lzma": flipped(squeezed, len(squeezed) // 2),
        "payload_picture": flipped(photo, len(photo) // 2),
        "coded_check": flipped(short, 3),
        "content_check": flipped(short, 5),
        "flags": flipped(short, 2),
        "fields": flipped(photo, 7),
        "cut": short[:-3],
        "cut_head": short[:6],
        "cut_magic": short[:1],
        "tail": photo + b"x",
        "empty_rows": short + b"\xbf\x4e",
        "segment_first": long.replace(b"abcdef", b"abcdeg"),
        "segment_last": long.replace(b"mn", b"nm"),
        "segment_head": flipped(long, long.index(b"ghijkl") - 1),
        "segment_content_check": flipped(long, long.index(b"ghijkl") + 6),
        "segment_coded_check": flipped(long, long.index(b"ghijkl") + 10),
        "segment_tile": flipped(tiles, len(tiles) // 3),
        "segmented_head": flipped(long, 3),
        "segmented_fields": flipped(tiles, 7),
        "index": flipped(long, -9),
        "index_check": flipped(long, -5),
        "index_size": flipped(long, -3),
        "end": flipped(long, -1),
        "cut_index": long[:-12],
        "cut_end": long[:-1],
        "cut_segment": long[: long.index(b"mn") + 1],
        "cut_segment_head": long[: long.index(b"mn") - 1],
        "cut_first_segment": long[: long.index(b"abcdef") + 2],
        "cut_tiles": tiles[: len(tiles) * 2 // 3],
        "segmented_tail": long + b"x",
        "swapped": long.replace(b"abcdef", b"......").replace(b"ghijkl", b"abcdef").replace(b"......", b"ghijkl"),
        "swapped_whole": swapped(long, b"abcdef", b"ghijkl"),
        "long_blocks": flipped(block, 7),
        "long_payload": flipped(block, -3),
        "long_cut": block[:-1],
        "long_joined": flipped(block, -3) + short,
    }
    for name, blob in found.items():
        yield f"damaged_{name}", blob, "DamagedError"
    for layout in range(4):
        yield f"damaged_layout_{layout}", short[:2] + bytes([layout << 5 | short[2] & 31]) + short[3:], "DamagedError"


def swapped(blob: bytes, one: bytes, other: bytes) -> bytes:
    """The file with two segments of one size in each other's place, heads and checksums included."""
    first, second = ((blob.index(part) - 2, blob.index(part) + len(part) + 8) for part in (one, other))
    between = blob[first[1] : second[0]]
    return blob[: first[0]] + blob[slice(*second)] + between + blob[slice(*first)] + blob[second[1] :]


def impossible() -> Iterator[Golden]:
    """Files with right checksums that no writer writes."""
    two = pack(Header(Kind.BYTES), Pieces((2, 2)), [stored(b"ab"), stored(b"cd")])
    short, photo = bfncodec.compress(b"abcd", "none"), bfncodec.compress(picture(24, 31, 3), "none")

    def of(blob: bytes, contents: dict[int, bytes] | None = None, **changes: Any) -> bytes:
        file = take_apart(blob)
        for part, value in changes.items():
            setattr(file, part, value)
        file.marked = bool(file.extras)
        return put_together(file, contents)

    twice = [(int(Tag.WRAPPER), b"\1")] * 2
    pair = [Piece(0, b"ab", length=2), Piece(0, b"cd", length=2)]
    found = {
        "content": of(short, {0: b"abce"}),
        "segment_content": of(two, {0: b"ab", 1: b"ce"}),
        "tag_twice": of(short, extras=twice),
        "tag_head_and_index": of(two, extras=twice[:1], later=twice[:1]),
        "tag_place": of(short, extras=[(int(Tag.PREVIEW), b"x")]),
        "tag_palette": of(photo, extras=[(int(Tag.PALETTE), b"\3abc")]),
        "tag_lines_compact": of(short, extras=[(int(Tag.LINES), b"\1")]),
        "tags_together": of(short, extras=[(int(Tag.FILES), b"x"), (int(Tag.MOVED), b"\1\0\1")]),
        "tag_source_alone": of(short, extras=[(int(Tag.SOURCE), b"crc!")]),
        "tag_critical_in_index": of(two, later=[(int(Tag.MOVED), b"\1\0\1")]),
        "identical_object": of(photo, look=0x80),
        "length": of(two, segments=[replace(pair[0], length=3), replace(pair[1], length=1)]),
        "length_0": of(two, segments=[*pair, Piece(0, b"")]),
        "no_segments": of(two, segments=[]),
        "model_unnamed": of(two, segments=[Piece(3, b"\2ab", length=2, model=b"")]),
        "model_named_twice": of(two, segments=[pair[0], Piece(0, b"ef", length=2, model=MODEL)]),
        "tiles": put_together(replace(take_apart(photo), layout=SEGMENTED, sides=[24, 25, 31, 1])),
        "tiles_too_many": put_together(replace(take_apart(photo), layout=SEGMENTED, sides=[24, 1, 31, 2])),
        "varint": of(two, spoil=lambda index: index[:-1] + bytes([index[-1] | 0x80, 0])),
        "index_rest": of(two, spoil=lambda index: index + b"\0"),
        "index_runs": of(two, spoil=lambda index: index[:2] + b"\3" + index[3:]),
        "long_blocks": of(long_of(Kind.BYTES, bytes(BLOCK + 9)), blocks=2),
        "long_blocks_0": of(short, layout=LONG),
        "long_short": of(short, layout=LONG, blocks=1),
        "long_compact": of(long_of(Kind.BYTES, bytes(BLOCK + 9)), layout=COMPACT),
        "long_picture": of(photo, layout=LONG, blocks=1),
        "long_array": of(bfncodec.compress(np.arange(9.0), "none"), layout=LONG, blocks=1),
        "packed_twice": of(photo, look=0x70, extras=[(int(Tag.DEFLATED), b"\x99")]),
        "packed_object": of(photo, look=0xF6),
        "method_text": put_together(replace(take_apart(short), segments=[Piece(2, b"\4abcd")])),
    }
    for name, blob in found.items():
        yield f"impossible_{name}", blob, "DamagedError"


def newer() -> Iterator[Golden]:
    """Files that a later release may write, and some that are none of ours."""
    text, photo = bfncodec.compress("Ende", "none"), bfncodec.compress(picture(24, 31, 3), "none")
    array = take_apart(bfncodec.compress(np.arange(9.0), "none"))
    two = take_apart(pack(Header(Kind.BYTES), Pieces((2, 2)), [stored(b"ab"), stored(b"cd")]))
    coded = Coded(Method.STORED, b"\1\1xyz", 0)
    tiles = take_apart(pack(Header(Kind.IMAGE, Origin.ARRAY, Mode.RGB), Grid(2, 2, 1, 1), [coded, coded]))
    found = {
        "layout_7": put_together(replace(take_apart(text), layout=7)),
        "mode": put_together(replace(take_apart(photo), look=0x1A)),
        "mode_15": put_together(replace(take_apart(photo), look=0x1F)),
        "mode_segmented": put_together(replace(tiles, look=0x0C)),
        "array_type": put_together(replace(array, dtype=0x35)),
        "array_type_short": put_together(replace(array, look=0x21)),
        "kind": put_together(replace(two, kind=4)),
        "kind_15": put_together(replace(two, kind=15)),
        "method": put_together(replace(two, segments=[replace(two.segments[0], method=4)])),
        "continued": put_together(replace(two, segments=[two.segments[0], replace(two.segments[1], odd=0x10)])),
        "type": put_together(replace(two, segments=[two.segments[0], replace(two.segments[1], odd=0x40)])),
        "extra": put_together(replace(take_apart(photo), marked=True, extras=[(0x8F, b"x")])),
        "extra_squeezed": put_together(replace(take_apart(photo), marked=True, extras=[(0xFE, bytes(99))])),
        "wrapper": put_together(replace(take_apart(text), kind=0, marked=True, extras=[(int(Tag.WRAPPER), b"\3")])),
    }
    for name, blob in found.items():
        yield f"newer_{name}", blob, "NewerVersionError"
    yield "impossible_extra_index", put_together(replace(two, later=[(0xBF, b"x")])), "DamagedError"
    yield "newer_joined", text + found["layout_7"], "NewerVersionError"
    yield "foreign_empty", b"", "NotOursError"
    yield "foreign", b"\x89PNG\r\n\x1a\n", "NotOursError"
    yield "foreign_magic", b"\x4e\xbf\x80", "NotOursError"
    missing = [pack(Header(Kind.STR), Pieces((18,)), [modelled(18)])]
    missing += [pack(Header(Kind.STR), Pieces((18, 2)), [modelled(18), stored(b"ab")])]
    for name, blob in zip(("missing_model", "missing_model_segmented"), missing, strict=True):
        yield name, blob, "ModelNotFoundError"
    yield "joined_pictures", photo * 2, "InputError"


# ---- writing ----------------------------------------------------------------------------------


def main() -> None:
    """Write those that are not there yet, and what becomes of them."""
    index = {entry["file"]: entry for entry in json.loads((HERE / "index.json").read_text())}
    for makers in (contents, files, many_files, archives, frames, streams, damaged, impossible, newer):
        for name, blob, wanted in makers():
            path = HERE / f"{name}.bfn"
            if path.exists():
                continue
            index[path.name] = {"file": path.name} | checked(name, blob, wanted)
            path.write_bytes(blob)
    (HERE / "index.json").write_text(json.dumps(list(index.values()), indent=1) + "\n")


def checked(name: str, blob: bytes, wanted: Any) -> dict[str, Any]:
    """Return what becomes of a file, if that is what is wanted: an error by its name, or an object."""
    found = becomes(blob)
    if isinstance(wanted, str) and wanted.endswith("Error"):
        assert found.get("error") == wanted, (name, found)
    else:
        assert "error" not in found, (name, found)
        assert (found["type"], found["sha256"]) == (type(wanted).__name__, digest(wanted)), name
    return found


if __name__ == "__main__":
    main()
