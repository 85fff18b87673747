"""BMP and PPM files, whose samples lie bare in the file: what is before and after them is kept.

They come back byte for byte, or are not taken for pictures.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from dataclasses import replace

import numpy as np
from PIL import Image

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Mode, Origin
from bfncodec.format.wire import Reader, varint
from bfncodec.images.formats.spans import Parsed, Role, UnfitError, check_size
from bfncodec.images.picture import Picture
from bfncodec.images.samples import from_image, from_samples, to_samples

__all__ = ["head_of", "parse_bmp", "parse_ppm", "write"]

_UP, _SWAP, _ALIGN, _INVERT = 1, 2, 4, 8
"""Layout of samples in a file, a sum of flags: rows bottom up; channels of a pixel (of 16 bits: the bytes of a sample)
in reverse, opacity last; rows of a multiple of 4 bytes; bits inverted."""
_BMP_LAYOUTS = (_UP | _SWAP | _ALIGN, _SWAP | _ALIGN)

_PPM_HEAD = re.compile(rb"P([456])" + 2 * rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,9})")
_PPM_LARGEST = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,5})")
_PPM_MODES = {
    (b"4", 1): Mode.BILEVEL,
    (b"5", 1): Mode.L,
    (b"6", 1): Mode.RGB,
    (b"5", 2): Mode.I16,
    (b"6", 2): Mode.RGB16,
}


def parse_bmp(data: bytes) -> Parsed:
    """Take a BMP file apart. Pillow says what its samples are, which must then be found in it as they are.

    UnfitError, or what Pillow raises, for any other file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file Pillow complains about is kept as bytes
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(data), formats=("BMP",))
        check_size(*image.size)
        image.load()
    mode = Mode.of(image.mode)
    if mode is None:
        raise UnfitError(f"mode {image.mode}")
    pixels = from_image(image, mode)
    bare = Picture(pixels, mode, Origin.BMP)
    for layout in _BMP_LAYOUTS:
        start = data.find(_lay_out(bare, layout))
        if start >= 0:
            return _parsed(data, bare, layout, start)
    raise UnfitError("samples that do not lie bare in the file")


def parse_ppm(data: bytes) -> Parsed:
    """Take a PBM, PGM or PPM file of bare samples apart. UnfitError for any other."""
    head = _PPM_HEAD.match(data)
    if head is None:
        raise UnfitError("not a head of bare samples")
    number, largest, stop = head[1], 255, head.end()
    if number != b"4":
        found = _PPM_LARGEST.match(data, stop)
        if found is None:
            raise UnfitError("no largest sample")
        largest, stop = int(found[1]), found.end()
    width, height = int(head[2]), int(head[3])
    check_size(width, height)
    if largest < 255 or largest > 0xFFFF or not data[stop : stop + 1].isspace():
        raise UnfitError(f"samples up to {largest}")
    mode = _PPM_MODES[number, 1 if largest == 255 else 2]
    row = (width + 7) // 8 if mode is Mode.BILEVEL else width * mode.channels * (2 if mode.is_wide else 1)
    pixels = from_samples(data[stop + 1 : stop + 1 + height * row], mode, height, width)
    if mode is Mode.BILEVEL:
        pixels = 1 - pixels
    pixels = pixels.byteswap() if mode.is_wide else pixels
    return _parsed(data, Picture(pixels, mode, Origin.PPM), _ppm_layout(mode), stop + 1)


def write(picture: Picture) -> bytes:
    """Return the file of a picture; without a layout, one with the least head."""
    packed = picture.header.extra(Tag.LAYOUT)
    if packed is None:
        if picture.origin is Origin.BMP and picture.mode not in (Mode.BILEVEL, Mode.L, Mode.RGB):
            raise DamagedError(f"a BMP file of mode {picture.mode.pil} without a layout")
        layout, head, tail = _plain(picture)
        return head + _lay_out(picture, layout) + tail
    layout, before, after = _unpacked(packed)
    return before + _lay_out(picture, layout) + after


def head_of(packed: bytes) -> bytes:
    """Return what stands before the samples of a file. packed: the value of Tag.LAYOUT."""
    return _unpacked(packed)[1]


def _unpacked(packed: bytes) -> tuple[int, bytes, bytes]:
    """Return the layout of samples, and what stands before and after them in the file.

    NewerVersionError for a layout that is not known.
    """
    reader = Reader(packed)
    layout = reader.byte("a layout")
    if layout > _UP + _SWAP + _ALIGN + _INVERT:
        raise NewerVersionError(f"a layout of samples {layout:#04x} is not known here: update bfncodec")
    return layout, reader.take(reader.varint("the size of a head"), "a head"), reader.rest()


def _parsed(data: bytes, bare: Picture, layout: int, start: int) -> Parsed:
    """Return the parts of a file of which samples begin at ``start``. UnfitError where they do not lie as laid out."""
    samples = _lay_out(bare, layout)
    stop = start + len(samples)
    if data[start:stop] != samples:
        raise UnfitError("bits that are no samples")
    parts = (Role.KEPT, data[:start]), (Role.PIXELS, samples), (Role.KEPT, data[stop:])
    if _plain(bare) == (layout, data[:start], data[stop:]):
        return Parsed.of(data, parts, bare)
    value = bytes([layout]) + varint(start) + data[:start] + data[stop:]
    return Parsed.of(data, parts, replace(bare, extras=(Extra(Tag.LAYOUT, value),)))


def _ppm_layout(mode: Mode) -> int:
    return _INVERT if mode is Mode.BILEVEL else _SWAP if mode.is_wide else 0


def _lay_out(picture: Picture, layout: int) -> bytes:
    """Return the samples of a picture as they lie in a file. layout: a sum of flags."""
    pixels = picture.pixels[::-1] if layout & _UP else picture.pixels
    if layout & _SWAP and picture.mode.is_wide:
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


def _plain(picture: Picture) -> tuple[int, bytes, bytes]:
    """Return layout, head and tail of a file that says no more than it must.

    KeyError for a mode that no PPM file has.
    """
    height, width = picture.pixels.shape[:2]
    if picture.origin is Origin.PPM:
        number = {Mode.BILEVEL: b"4", Mode.L: b"5", Mode.I16: b"5", Mode.RGB: b"6", Mode.RGB16: b"6"}[picture.mode]
        head = b"P" + number + b"\n%d %d\n" % (width, height)
        largest = b"" if picture.mode is Mode.BILEVEL else b"65535\n" if picture.mode.is_wide else b"255\n"
        return _ppm_layout(picture.mode), head + largest, b""
    bits, colours = {
        Mode.BILEVEL: (1, b"\0\0\0\0\xff\xff\xff\0"),
        Mode.L: (8, bytes(n for grey in range(256) for n in (grey, grey, grey, 0))),
        Mode.RGB: (24, b""),
    }.get(picture.mode, (0, b""))
    size, start = height * ((width * bits + 31) // 32 * 4), 54 + len(colours)
    entries = len(colours) // 4
    head = struct.pack("<2sIII", b"BM", start + size, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, size, 3780, 3780, entries, entries)
    return _BMP_LAYOUTS[0], head + colours, b""
