"""Picture files: the bytes of a PNG, WebP, BMP, PPM or TIFF file to a picture and back.

:func:`read_file` takes only what :func:`write_file` brings back: it decodes the file made again
and compares. Everything else (lossy, animated, deeper than Pillow reads, damaged, unknown) is not a
picture here, and its bytes are coded.

- PNG, WebP: every chunk but the pixels' own is kept as it is (colour profile, EXIF, resolution,
  text, palette, ...).
- BMP, PPM, TIFF whose samples lie bare in the file: what is before and after them is kept, and the
  file comes back byte for byte.
- Other TIFF: compressed again in the same way, with the same tags.
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bfncodec.errors import DamagedError, reading
from bfncodec.header import Extra, Mode, Origin, Tag
from bfncodec.palettes import Palette
from bfncodec.pictures import Picture, bare_image, image_of_picture, with_palette
from bfncodec.tiles import from_image, to_image, to_samples
from bfncodec.wire import Reader, varint

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Pixels = np.ndarray[Any, Any]

__all__ = ["FORMAT_NAMES", "blank_like", "filter_chunks", "read_file", "write_file"]

FORMAT_NAMES = {
    Origin.PNG: "PNG",
    Origin.WEBP: "WEBP",
    Origin.BMP: "BMP",
    Origin.PPM: "PPM",
    Origin.TIFF: "TIFF",
}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": Origin.PNG,
    b"RIFF": Origin.WEBP,
    b"BM": Origin.BMP,
    b"P4": Origin.PPM,
    b"P5": Origin.PPM,
    b"P6": Origin.PPM,
    b"II*\0": Origin.TIFF,
    b"MM\0*": Origin.TIFF,
}
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def read_file(data: bytes) -> Picture | None:
    """The picture in a file's bytes, or None where they are better kept as bytes."""
    origin = next((origin for magic, origin in _MAGIC.items() if data.startswith(magic)), None)
    if origin is None:
        return None
    try:
        return _read(data, origin)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - Pillow's decoders raise a dozen unrelated types; the bytes are kept instead
        return None


def write_file(picture: Picture) -> bytes:
    """The file of a picture that :func:`read_file` made. Raises DamagedError for metadata that cannot be."""
    with reading(f"the {FORMAT_NAMES.get(picture.origin, 'picture')} file cannot be made again"):
        return _write(picture)


def blank_like(picture: Picture, whole: tuple[int, int]) -> Image.Image:
    """A Pillow image with the palette and info of a picture, its pixels zeros. DamagedError where that cannot be.

    whole: height and width of the picture that its extras are of.
    """
    import numpy as np

    height, width = whole if picture.header.extra(Tag.LAYOUT) is not None else (1, 1)
    blank = np.zeros((height, width, picture.mode.channels), picture.pixels.dtype)
    like = replace(picture, pixels=blank)
    if picture.origin not in FORMAT_NAMES:
        return image_of_picture(like)
    with reading("the picture's metadata cannot be read"):
        return _open(write_file(like), picture.origin, (like.pixels.shape[1], like.pixels.shape[0]))


def _read(data: bytes, origin: Origin) -> Picture | None:
    image = _open(data, origin)
    mode = Mode.of(image.mode)
    if mode is None:
        mode, pixels = Mode.I16, _wide_grey(image)
    else:
        pixels = from_image(image, mode)
    picture = Picture(pixels, mode, origin)
    if origin is Origin.PNG:
        picture = _read_png(data, picture)
    elif origin is Origin.WEBP:
        picture = _with(picture, Tag.CHUNKS, _read_webp(data))
    elif (layout := _find_layout(data, picture)) is not None:
        return _with(picture, Tag.LAYOUT, layout)  # back byte for byte
    elif origin is Origin.TIFF and image.mode == picture.mode.pil:
        picture = _with(picture, Tag.TAGS, _read_tags(image))
    else:
        return None
    return picture if _same(_open(_write(picture, quick=True), origin), image, origin) else None


def _write(picture: Picture, quick: bool = False) -> bytes:
    if picture.origin is Origin.PNG:
        return _write_png(picture, quick)
    if picture.origin is Origin.WEBP:
        return _write_webp(picture, quick)
    if picture.header.extra(Tag.TAGS) is not None:
        return _write_tags(picture)
    return _write_layout(picture)


def _open(data: bytes, origin: Origin, size: tuple[int, int] | None = None) -> Image.Image:
    """The one image in the file, decoded, or an error. size: its width and height, where they are known."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file Pillow complains about is kept as bytes
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(data), formats=(FORMAT_NAMES[origin],))
        if getattr(image, "n_frames", 1) != 1:
            raise ValueError("more than one frame")
        if size is not None and image.size != size:
            raise ValueError(f"a head of {image.width} x {image.height} pixels around {size[0]} x {size[1]}")
        image.load()
    return image


def _with(picture: Picture, tag: Tag, value: bytes) -> Picture:
    """The picture with that metadata, if there is any."""
    return replace(picture, extras=(Extra(tag, value),) if value else ())


def _same(found: Image.Image, wanted: Image.Image, origin: Origin) -> bool:
    """Same mode, size, palette, pixels and, as far as Pillow reads it, metadata."""
    if origin is not Origin.TIFF:
        wanted.info.pop("interlace", None)  # an order of rows, not a property of the picture
        return bool(found == wanted)
    return bool(_tags(found) == _tags(wanted) and found.mode == wanted.mode and found.tobytes() == wanted.tobytes())


# ---- chunks: PNG and WebP ---------------------------------------------------------------------


def _pack_chunks(chunks: list[tuple[bytes, bytes]], pixels: bytes) -> bytes:
    """Names, sizes and contents; the chunk called ``pixels`` only marks its place, and not at the end."""
    if chunks and chunks[-1][0] == pixels:
        chunks = chunks[:-1]
    return b"".join(name + varint(len(body)) + body for name, body in chunks)


def _unpack_chunks(packed: bytes, pixels: bytes) -> list[tuple[bytes, bytes]]:
    reader, chunks = Reader(packed), []
    while reader.offset < len(packed):
        name = reader.take(4, "a chunk's name")
        chunks.append((name, reader.take(reader.varint("a chunk's size"), "a chunk")))
    return chunks if any(name == pixels for name, _ in chunks) else [*chunks, (pixels, b"")]


_TRUE_OF_REGIONS = (
    *(b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD"),
    *(b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME"),
    b"ICCP",  # WebP's
)
"""Chunks that say nothing of a picture's size or of another picture."""


def filter_chunks(picture: Picture) -> tuple[Extra, ...]:
    """The extras of a PNG or WebP file that hold for a region of it too, given that region's pixels."""
    packed = picture.header.extra(Tag.CHUNKS) or b""
    pixels = {Origin.PNG: b"IDAT", Origin.WEBP: b"VP8L"}[picture.origin]
    depth = b""
    if _has_depth(picture):
        depth, packed = packed[:1], packed[1:]
    found = _unpack_chunks(packed, pixels)
    kept = [chunk for chunk in found if chunk[0] in (*_TRUE_OF_REGIONS, pixels) and not _is_xmp(*chunk)]
    if picture.origin is Origin.WEBP and len(kept) > 1:
        kept.insert(0, (b"VP8X", _canvas(picture)))
    palette = tuple(extra for extra in picture.extras if extra.tag == Tag.COLOURS)
    return (*palette, *_with(picture, Tag.CHUNKS, depth + _pack_chunks(kept, pixels)).extras)


def _is_xmp(name: bytes, body: bytes) -> bool:
    return name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0")


def _canvas(picture: Picture) -> bytes:
    """WebP's head of a picture with a colour profile: flags, three unused bytes, sides less one of three bytes each."""
    height, width = picture.pixels.shape[:2]
    flags = 0x20 | (0x10 if picture.mode is Mode.RGBA else 0)
    return b"".join([bytes([flags, 0, 0, 0]), *((side - 1).to_bytes(3, "little") for side in (width, height))])


_PNG_TYPES = {
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
}
"""Bit depth and colour type to the mode that holds all of it: 16-bit colour is not here."""

_PALETTE_CHUNKS = (b"PLTE", b"tRNS")
_AFTER_PALETTE = (b"bKGD", b"hIST", b"IDAT")
_DEPTHS = (1, 2, 4, 8)  # of pixels, by the form of their palette


def _read_png(data: bytes, picture: Picture) -> Picture:
    """The picture with everything but head, pixels and end; a palette's bit depth goes in front of it."""
    chunks = list(_png_chunks(data))
    names = [name for name, _ in chunks]
    first = names.index(b"IDAT")
    count = names.count(b"IDAT")
    depth, colour = chunks[0][1][8:10]
    if names[0] != b"IHDR" or names[-1] != b"IEND" or names[first : first + count] != [b"IDAT"] * count:
        raise ValueError("chunks out of order")
    if _PNG_TYPES.get((depth, colour)) is not picture.mode or {b"acTL", b"fcTL", b"fdAT"} & set(names):
        raise ValueError("not a still picture of a mode that holds all of it")
    kept = [*chunks[1:first], (b"IDAT", b""), *chunks[first + count : -1]]
    if picture.mode is not Mode.P:
        return _with(picture, Tag.CHUNKS, _pack_chunks(kept, b"IDAT"))
    return _with_coded_palette(_with(picture, Tag.CHUNKS, bytes([depth]) + _pack_chunks(kept, b"IDAT")), kept, depth)


def _with_coded_palette(plain: Picture, chunks: list[tuple[bytes, bytes]], depth: int) -> Picture:
    """A picture of these chunks with its palette coded, where that takes less."""
    bodies, names = dict(chunks), [name for name, _ in chunks if name in _PALETTE_CHUNKS]
    if len(set(names)) < len(names) or b"" in map(bodies.get, names):
        return plain
    palette = Palette(bodies.get(b"PLTE", b""), bodies.get(b"tRNS", b""), _DEPTHS.index(depth))
    others = [chunk for chunk in chunks if chunk[0] not in _PALETTE_CHUNKS]
    if _with_palette_chunks(others, palette) != chunks:
        others = [(name, b"" if name in _PALETTE_CHUNKS else body) for name, body in chunks]
    return with_palette(plain, palette, _with(plain, Tag.CHUNKS, _pack_chunks(others, b"IDAT")).extras)


def _with_palette_chunks(chunks: list[tuple[bytes, bytes]], palette: Palette) -> list[tuple[bytes, bytes]]:
    """The palette's chunks in their places, or, where these are not marked, as late as may be."""
    bodies = {b"PLTE": palette.colours} | ({b"tRNS": palette.opacity} if palette.opacity else {})
    if any(name in bodies for name, _ in chunks):
        return [(name, bodies.get(name, body)) for name, body in chunks]
    place = next(place for place, (name, _) in enumerate(chunks) if name in _AFTER_PALETTE)
    return [*chunks[:place], *bodies.items(), *chunks[place:]]


def _write_png(picture: Picture, quick: bool) -> bytes:
    packed, options = picture.header.extra(Tag.CHUNKS) or b"", {}
    image, palette = bare_image(picture), picture.palette
    if _has_depth(picture):
        options["bits"], packed = Reader(packed).byte("a bit depth"), packed[1:]
        if options["bits"] not in _DEPTHS:
            raise DamagedError(f"a palette's pixels cannot have {options['bits']} bits")
    elif palette is not None:
        options["bits"] = _DEPTHS[palette.form]
    if options:
        image.putpalette(bytes(3 << options["bits"]))  # the real one is among the chunks
    plain = io.BytesIO()
    image.save(plain, "PNG", compress_level=1 if quick else 6, **options)
    made = list(_png_chunks(plain.getvalue()))
    pixels = b"".join(body for name, body in made if name == b"IDAT")
    chunks = _unpack_chunks(packed, b"IDAT")
    chunks = chunks if palette is None else _with_palette_chunks(chunks, palette)
    kept = [(name, pixels if name == b"IDAT" else body) for name, body in chunks]
    return _PNG_MAGIC + b"".join(map(_png_chunk, [made[0], *kept, (b"IEND", b"")]))


def _has_depth(picture: Picture) -> bool:
    """Whether the chunks begin with a bit depth."""
    return picture.origin is Origin.PNG and picture.mode is Mode.P and picture.palette is None


def _png_chunk(chunk: tuple[bytes, bytes]) -> bytes:
    name, body = chunk
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk of a whole file with nothing after it and sound checksums."""
    reader = Reader(data, len(_PNG_MAGIC))
    while reader.offset < len(data):
        start = reader.offset
        size = int.from_bytes(reader.take(4, "a chunk's size"), "big")
        chunk = reader.take(4, "a chunk's name"), reader.take(size, "a chunk")
        reader.take(4, "a checksum")
        if data[start : reader.offset] != _png_chunk(chunk):
            raise ValueError("a chunk is damaged")
        yield chunk


def _read_webp(data: bytes) -> bytes:
    """Everything but the pixels of a lossless still picture."""
    chunks = list(_riff_chunks(data))
    names = [name for name, _ in chunks]
    if names.count(b"VP8L") != 1 or {b"VP8 ", b"ALPH", b"ANIM", b"ANMF"} & set(names):
        raise ValueError("not lossless, or not one still picture")
    return _pack_chunks([(name, b"" if name == b"VP8L" else body) for name, body in chunks], b"VP8L")


def _write_webp(picture: Picture, quick: bool) -> bytes:
    plain = io.BytesIO()
    effort = {"method": 0, "quality": 0} if quick else {"method": 4, "quality": 75}
    to_image(picture.pixels, picture.mode).save(plain, "WEBP", lossless=True, exact=True, **effort)
    pixels = dict(_riff_chunks(plain.getvalue()))[b"VP8L"]
    packed = picture.header.extra(Tag.CHUNKS) or b""
    kept = [(name, pixels if name == b"VP8L" else body) for name, body in _unpack_chunks(packed, b"VP8L")]
    body = b"WEBP" + b"".join(
        name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2) for name, body in kept
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk of a whole WebP file with nothing after it."""
    reader = Reader(data)
    head = reader.take(12, "a RIFF head")
    if head != b"RIFF" + (len(data) - 8).to_bytes(4, "little") + b"WEBP":
        raise ValueError("not a whole WebP file")
    while reader.offset < len(data):
        name = reader.take(4, "a chunk's name")
        body = reader.take(reader.uint32("a chunk's size"), "a chunk")
        if reader.take(len(body) % 2, "padding").strip(b"\0"):
            raise ValueError("padding that is not zero")
        yield name, body


# ---- bare samples: BMP, PPM, uncompressed TIFF ------------------------------------------------

_UP, _SWAP, _ALIGN, _INVERT = 1, 2, 4, 8
_LAYOUTS = {
    Origin.BMP: (_UP | _SWAP | _ALIGN, _SWAP | _ALIGN),
    Origin.PPM: (0, _INVERT, _SWAP),
    Origin.TIFF: (0, _SWAP, _INVERT),
}
"""How samples may lie in a file, a sum of: rows bottom up; channels of a pixel (of 16-bit: its bytes) in
reverse, opacity last; rows of a multiple of 4 bytes; bits inverted."""


def _lay_out(picture: Picture, layout: int) -> bytes:
    import numpy as np

    pixels = picture.pixels[::-1] if layout & _UP else picture.pixels
    if layout & _SWAP and picture.mode is Mode.I16:
        pixels = pixels.byteswap()
    elif layout & _SWAP and picture.mode in (Mode.RGB, Mode.RGBA):
        pixels = pixels[:, :, [2, 1, 0, 3][: picture.mode.channels]]
    if layout & _INVERT and picture.mode is Mode.BILEVEL:
        pixels = 1 - pixels
    samples = to_samples(np.ascontiguousarray(pixels), picture.mode)
    if not layout & _ALIGN:
        return samples
    rows = np.frombuffer(samples, np.uint8).reshape(len(pixels), -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()


def _find_layout(data: bytes, picture: Picture) -> bytes | None:
    """Layout and the bytes around the samples; empty for a file as this library would write it; None if not found."""
    if data == _write_layout(picture):
        return b""
    for layout in _LAYOUTS[picture.origin]:
        samples = _lay_out(picture, layout)
        start = data.find(samples)
        if start >= 0:
            return bytes([layout]) + varint(start) + data[:start] + data[start + len(samples) :]
    return None


def _write_layout(picture: Picture) -> bytes:
    packed = picture.header.extra(Tag.LAYOUT)
    if packed is None:
        plain = io.BytesIO()
        to_image(picture.pixels, picture.mode).save(plain, FORMAT_NAMES[picture.origin])
        return plain.getvalue()
    reader = Reader(packed)
    layout = reader.byte("a layout")
    before = reader.take(reader.varint("the size of a head"), "a head")
    return before + _lay_out(picture, layout) + reader.rest()


def _wide_grey(image: Image.Image) -> Pixels:
    """16-bit grey that Pillow hands out in another mode."""
    import numpy as np

    wide = np.asarray(image)
    if image.mode not in ("I", "I;16B", "I;16L") or wide.min() < 0 or wide.max() > 0xFFFF:
        raise ValueError(f"mode {image.mode} cannot be kept")
    return wide.astype(np.uint16)[:, :, None]


# ---- compressed TIFF --------------------------------------------------------------------------

_TIFF_LOSSLESS = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "group4", "raw")
_TIFF_PLACES = {256, 257, 273, 278, 279, 322, 323, 324, 325, 317, 254, 266}
"""Tags that say where and how the samples lie: sizes, strips, tiles, predictor, bit order."""


def _tags(image: Image.Image) -> dict[int, Any]:
    tags = image.tag_v2  # type: ignore[attr-defined]
    return {tag: value for tag, value in tags.items() if tag not in _TIFF_PLACES}


def _read_tags(image: Image.Image) -> bytes:
    """One pixel saved with the file's tags."""
    if image.info.get("compression") not in _TIFF_LOSSLESS:
        raise ValueError("not compressed in a way that can be made again")
    if {330, 34665, 34853, 40965} & set(_tags(image)):
        raise ValueError("tags that point elsewhere in the file")
    return _save_tiff(image.crop((0, 0, 1, 1)), image)


def _write_tags(picture: Picture) -> bytes:
    from PIL import Image

    tags = Image.open(io.BytesIO(picture.header.extra(Tag.TAGS) or b""), formats=("TIFF",))
    if tags.size != (1, 1):
        raise DamagedError(f"expected tags around one pixel, found {tags.width} x {tags.height}")
    image = to_image(picture.pixels, picture.mode)
    if picture.mode is Mode.P:
        image.putpalette(tags.getpalette() or [])
    return _save_tiff(image, tags)


def _save_tiff(image: Image.Image, like: Image.Image) -> bytes:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    source = like.tag_v2  # type: ignore[attr-defined]
    for tag in _tags(like):
        tags.tagtype[tag] = source.tagtype[tag]
        tags[tag] = source[tag]
    image.info.clear()
    out = io.BytesIO()
    image.save(out, "TIFF", compression=like.info["compression"], tiffinfo=tags)
    return out.getvalue()
