"""Tiles of pictures without a model: the smallest of what several coders make.

A coded tile is a method and a payload. Method STORED and LZMA hold the sides and the samples; method PICTURE holds a
stream that says itself what it is: VP8L, PNG, or 16-bit *planes*, tiles of bytes that make up a tile of 16-bit samples
(:mod:`bfncodec.images.byteplanes`). As planes are tiles themselves, the two halves of this module call one another.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from bfncodec.errors import DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.header import Header
from bfncodec.format.kinds import PLANES, VP8L, Kind, Method, Mode
from bfncodec.format.sizes import declared_sizes
from bfncodec.format.wire import Reader, varint
from bfncodec.images.byteplanes import ALL_LOW, Used, join, low_planes, natural_shift, split
from bfncodec.images.samples import from_image, from_samples, open_stream, to_image, to_samples
from bfncodec.images.vp8l import CAREFUL, FAST, INDEXED, Search, decode_vp8l, encode_vp8l, fits_vp8l, quick_vp8l
from bfncodec.runtime.arrays import Pixels

__all__ = [
    "Block",
    "Planes",
    "decode_tile",
    "encode_tile",
    "estimate_tile",
    "joined",
    "least_size",
    "parted",
    "quick_size",
    "read_planes",
]

_SMALL = 1 << 16  # bytes of samples up to which LZMA costs nothing


# ---- tiles ------------------------------------------------------------------------------------


def encode_tile(
    pixels: Pixels, mode: Mode, beat: int | None = None, search: Search = CAREFUL, look: int | None = None
) -> tuple[Method, bytes]:
    """Return pixels ``[H, W, C]`` coded by the method that takes fewest bytes: method and payload.

    beat: a size in bytes already reached by other means; no time is spent on coders that a quick look says cannot be
    smaller. search: how long VP8L searches, FAST, CAREFUL or SLOWEST. look: the size of
    :func:`bfncodec.images.vp8l.quick_vp8l` where it is known.
    """
    sides = varint(pixels.shape[0]) + varint(pixels.shape[1])
    samples = to_samples(pixels, mode)
    if beat is not None and least_size(pixels, mode) >= beat:
        return Method.STORED, sides + samples
    try_lzma = len(samples) <= _SMALL or (beat is None and (search != FAST or mode in INDEXED))
    if try_lzma and beat is not None and not mode.is_wide:
        try_lzma = not lzmaraw.is_hopeless(samples, beat)
    squeezed = lzmaraw.pack(samples, beat=beat) if try_lzma else b""
    vp8l = encode_vp8l(pixels, mode, beat, search, noise=len(squeezed) > len(samples), look=look)
    choices = [(Method.STORED, sides + samples), (Method.PICTURE, vp8l)]
    if mode in (Mode.I16, Mode.BILEVEL) and (beat is None or len(samples) <= _SMALL):
        choices.append((Method.PICTURE, _encode_png(pixels, mode)))
    if mode.is_wide:
        choices.append((Method.PICTURE, _encode_planes(pixels, mode, beat)))
    if squeezed:
        choices.append((Method.LZMA, sides + squeezed))
    return min((choice for choice in choices if choice[1]), key=lambda choice: len(choice[1]))


def decode_tile(method: Method, payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """Return the pixels ``[H, W, C]`` that :func:`encode_tile` was given. DamagedError for a payload that holds others.

    The sides are those that the payload declares (:func:`bfncodec.format.sizes.declared_sizes`).
    """
    if method is Method.PICTURE:
        decode = {VP8L: decode_vp8l, PLANES: _decode_planes}.get(payload[0], _decode_png)
        return decode(payload, mode, height, width)
    reader = Reader(payload)
    reader.varint("a height"), reader.varint("a width")
    samples = reader.rest()
    if method is Method.LZMA:
        samples = lzmaraw.unpack(samples, limit=2 * height * width * mode.channels)
    return from_samples(samples, mode, height, width)


def estimate_tile(pixels: Pixels, mode: Mode | None = None) -> int:
    """Estimate the bytes that :func:`encode_tile` makes of a small tile of bytes without opacity, quickly.

    mode: None for grey or RGB, as there are channels.
    """
    mode = _plane_mode(pixels.shape[2]) if mode is None else mode
    samples = to_samples(pixels, mode)
    return min(len(samples), len(lzmaraw.pack(samples)), quick_vp8l(pixels, mode, FAST))


def least_size(pixels: Pixels, mode: Mode) -> int:
    """Return the bytes that :func:`encode_tile` makes at least, as an estimate; 0 where little can be said."""
    if mode is not Mode.RGB:
        return 0
    from bfncodec.images.residuals import least_bytes

    return least_bytes(pixels)


def quick_size(pixels: Pixels, mode: Mode) -> int:
    """Return the bytes that a quick coder makes of pixels, seldom fewer than :func:`encode_tile`."""
    return quick_vp8l(pixels, mode) if fits_vp8l(pixels, mode) else len(zlib.compress(to_samples(pixels, mode)))


def _encode_png(pixels: Pixels, mode: Mode) -> bytes:
    out = io.BytesIO()
    to_image(pixels, mode).save(out, "PNG", optimize=True)
    return out.getvalue()


_PNG_MODES = {
    Mode.RGB: {(8, 2)},
    Mode.RGBA: {(8, 6)},
    Mode.L: {(8, 0)},
    Mode.LA: {(8, 4)},
    Mode.P: {(depth, 3) for depth in (1, 2, 4, 8)},
    Mode.BILEVEL: {(1, 0)},
    Mode.I16: {(16, 0)},
}
"""Bit depths and colour types of PNG streams by mode."""


def _check_png(payload: bytes, mode: Mode) -> None:
    """Raise DamagedError for a stream that is not a plain PNG file of a mode, whatever decoders make of it."""
    reader, names = Reader(payload, 8), list[bytes]()
    while reader.offset < len(payload):
        size = int.from_bytes(reader.take(4, "a chunk's size"), "big")
        chunk = reader.take(4 + size, "a chunk")
        if zlib.crc32(chunk).to_bytes(4, "big") != reader.take(4, "a chunk's checksum"):
            raise DamagedError(f"a PNG stream with a damaged chunk before byte {reader.offset}")
        names.append(chunk[:4])
    head = payload[16:29]
    if names[:1] != [b"IHDR"] or names[-1] != b"IEND" or names.count(b"IHDR") + names.count(b"IEND") > 2:
        raise DamagedError("a PNG stream with chunks out of order")
    if payload[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 13 or any(head[10:13]):
        raise DamagedError("a PNG stream with an unknown or an interlaced head")
    if tuple(head[8:10]) not in _PNG_MODES.get(mode, ()):
        raise DamagedError(f"a PNG stream of {head[8]} bits and colour type {head[9]} is not of mode {mode.pil}")


def _decode_png(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    _check_png(payload, mode)
    image = open_stream(payload, "PNG", f"of {(width, height)}", lambda size: size == (width, height))
    if image.mode != mode.pil:
        raise DamagedError(f"a PNG stream of mode {image.mode} where {mode.pil} is expected")
    return from_image(image, mode)


def _encode_planes(pixels: Pixels, mode: Mode, beat: int | None) -> bytes:
    """Return 16-bit pixels as a stream of planes; cut where a model would cut them only if there is none to beat."""
    colour, opacity = parted(pixels, mode)
    return bytes([PLANES]) + _smallest_planes(colour, (None, ALL_LOW) if beat is None else (ALL_LOW,)) + opacity


def _decode_planes(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    colour, opacity = read_planes(payload[1:], mode)
    return joined(colour.decode(mode.channels - mode.has_alpha, height, width), opacity, height, width)


# ---- planes: tiles of bytes that make up a tile of 16-bit samples -----------------------------


@dataclass(frozen=True)
class Block:
    """A coded plane: a tile of bytes, of one or three channels.

    Method.MODEL is for callers that have a model at hand; here it cannot be decoded.
    """

    method: Method
    payload: bytes

    @classmethod
    def of(cls, plane: Pixels, beat: int | None = None) -> Block:
        """Return the smallest block of a plane, uint8 ``[H, W, 1 or 3]``; beat: as of :func:`encode_tile`."""
        return cls(*encode_tile(plane, _plane_mode(plane.shape[2]), beat))

    def write(self) -> bytes:
        """Return the bytes of the block, their number in front."""
        return varint(1 + len(self.payload)) + bytes([self.method]) + self.payload

    @classmethod
    def read(cls, reader: Reader) -> Block:
        """Read the next block that :meth:`write` wrote. DamagedError for one cut off, or of an unknown method."""
        block = Reader(reader.take(reader.varint("the size of a plane"), "a plane"))
        method = block.byte("a plane's method")
        if method > max(Method):
            raise DamagedError(f"a plane cannot be coded by method {method}")
        return cls(Method(method), block.rest())

    def check(self, height: int, width: int, channels: int) -> None:
        """Raise DamagedError unless the payload declares these sides."""
        header = Header(Kind.IMAGE, mode=_plane_mode(channels))
        if declared_sizes(header, self.method, self.payload) != (height, width):
            raise DamagedError("a plane is not of its tile's size")

    def decode(self, height: int, width: int, channels: int) -> Pixels:
        """Return the plane, uint8 ``[H, W, C]``. DamagedError where it is of other sides, or needs a model."""
        self.check(height, width, channels)
        if self.method is Method.MODEL:
            raise DamagedError("a plane that needs a model where there is none")
        return decode_tile(self.method, self.payload, _plane_mode(channels), height, width)


@dataclass(frozen=True)
class Planes:
    """A tile of 16-bit samples as coded planes: the high bits, if any, then those of the low bits.

    used: the numbers that occur. shift: how many low bits each number has, ALL_LOW for no high bits.
    """

    used: Used
    shift: int
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, pixels: Pixels, shift: int | None = None, code: Callable[[Pixels], Block] = Block.of) -> Planes:
        """Return pixels, uint16 ``[H, W, C]``, as planes.

        shift: None for high bits that just fill a byte. code: the coder of the high bits.
        """
        used = Used.by(pixels)
        numbers = used.numbers(pixels)
        shift = natural_shift(numbers) if shift is None else shift
        high, low = split(numbers, shift)
        first = () if high is None else (code(high),)
        return cls(used, shift, (*first, *map(Block.of, low)))

    def decode(self, channels: int, height: int, width: int, high: Pixels | None = None) -> Pixels:
        """Return the pixels, uint16 ``[H, W, C]``. high: the plane of the high bits where that is decoded already.

        DamagedError for planes of other sides, or that make no 16-bit samples.
        """
        planes = [
            high if high is not None and not number else block.decode(height, width, channels)
            for number, block in enumerate(self.blocks)
        ]
        first = None if self.shift == ALL_LOW else planes.pop(0)
        return self.used.samples(join(first, planes, self.shift))

    def write(self, height: int, width: int) -> bytes:
        """Return the bytes of a tile of these sides: sides, used numbers, shift, blocks."""
        head = varint(height) + varint(width) + self.used.write() + varint(self.shift)
        return head + b"".join(block.write() for block in self.blocks)

    @classmethod
    def read(cls, reader: Reader) -> Planes:
        """Read what :meth:`write` wrote; the sides are passed over. DamagedError for what it does not write."""
        reader.varint("a height"), reader.varint("a width")
        used, shift = Used.read(reader), reader.varint("a shift")
        count = low_planes(shift) + (shift != ALL_LOW)
        return cls(used, shift, tuple(Block.read(reader) for _ in range(count)))


def parted(pixels: Pixels, mode: Mode) -> tuple[Pixels, bytes]:
    """Part 16-bit pixels into colour and opacity.

    Returns the colour, uint16 ``[H, W, 1 or 3]``, and the bytes of the opacity's planes, none where there is none.
    """
    import numpy as np

    if not mode.has_alpha:
        return pixels, b""
    return np.ascontiguousarray(pixels[:, :, :-1]), _smallest_planes(pixels[:, :, -1:], (None, ALL_LOW))


def joined(colour: Pixels, opacity: Planes | None, height: int, width: int) -> Pixels:
    """Return colour and opacity as pixels, uint16 ``[H, W, C]``: the inverse of :func:`parted`."""
    import numpy as np

    return colour if opacity is None else np.concatenate([colour, opacity.decode(1, height, width)], axis=2)


def _sides_at(payload: bytes, start: int) -> tuple[int, int]:
    reader = Reader(payload, start)
    return reader.varint("a height"), reader.varint("a width")


def read_planes(payload: bytes, mode: Mode) -> tuple[Planes, Planes | None]:
    """Read the planes of colour, and those of opacity where the mode has any. DamagedError for anything else."""
    if not mode.is_wide:
        raise DamagedError(f"16-bit planes cannot be pixels of mode {mode.pil}")
    reader = Reader(payload)
    colour = Planes.read(reader)
    if mode.has_alpha and _sides_at(payload, reader.offset) != _sides_at(payload, 0):
        raise DamagedError("planes of colour and of opacity of different sizes")
    opacity = Planes.read(reader) if mode.has_alpha else None
    if reader.rest():
        raise DamagedError("bytes after the last plane")
    return colour, opacity


def _smallest_planes(pixels: Pixels, shifts: tuple[int | None, ...]) -> bytes:
    return min((Planes.of(pixels, shift).write(*pixels.shape[:2]) for shift in shifts), key=len)


def _plane_mode(channels: int) -> Mode:
    return Mode.L if channels == 1 else Mode.RGB
