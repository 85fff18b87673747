"""Tiles of pictures: pixels as samples, and the coders that need no model.

Pixels are ``[H, W, C]`` arrays of uint8, uint16 in wide modes; mode 1 holds zeros and ones.
Samples are the same as bytes, exactly what Pillow's ``tobytes`` makes: rows of interleaved
channels, 16-bit little-endian, eight pixels a byte in mode 1.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, reading
from bfncodec.format import lzmaraw
from bfncodec.format.header import PLANES, VP8L, Header, Kind, Method, Mode, lengths
from bfncodec.format.wire import Reader, varint
from bfncodec.images.byteplanes import ALL_LOW, Used, join, low_planes, natural_shift, split
from bfncodec.runtime.arrays import Pixels

if TYPE_CHECKING:
    from PIL import Image


__all__ = [
    "CAREFUL",
    "FAST",
    "SLOWEST",
    "Block",
    "Planes",
    "Search",
    "decode_tile",
    "encode_tile",
    "estimate_tile",
    "from_image",
    "from_samples",
    "joined",
    "parted",
    "quick_size",
    "read_planes",
    "to_image",
    "to_samples",
]

Search = tuple[int, int]
"""How WebP searches: method and quality, as Pillow names them."""

FAST: Search = (4, 50)
CAREFUL: Search = (6, 75)
SLOWEST: Search = (6, 100)

_SMALL_PICTURE = 1 << 14  # pixels up to which WebP's slowest search, twenty times slower, is worth its time anyway
_MOST_VP8L = 16_383  # pixels of a side
_SMALL = 1 << 16  # bytes up to which LZMA costs nothing
_INDEXED = (Mode.P, Mode.BILEVEL)  # modes in which LZMA wins now and then
_TRIALS: tuple[Search, ...] = ((1, 20), FAST)
_ANY = float("inf")
_SLACK = {
    FAST: ((_ANY, (1.1,)),),
    CAREFUL: ((_ANY, (1.25, 1.04)),),
    SLOWEST: ((0.35, (3.0, 2.0)), (1.0, (2.0, 1.3)), (2.0, (1.9, 1.2)), (2.7, (1.35, 1.12)), (_ANY, (1.25, 1.06))),
}
"""How many times the size that a search makes the sizes of the trials are at most, one number for each trial, by the
bits a sample of the trial up to which that holds. Measured on 470 photographs, screenshots, icons and sprites."""


# ---- samples and Pillow images ----------------------------------------------------------------


def to_samples(pixels: Pixels, mode: Mode) -> bytes:
    """The pixels as bytes."""
    import numpy as np

    if mode is Mode.BILEVEL:
        return np.packbits(pixels[:, :, 0], axis=1).tobytes()
    return pixels.astype("<u2" if mode.is_wide else "u1", copy=False).tobytes()


def from_samples(samples: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """The inverse of :func:`to_samples`; :class:`DamagedError` when the size is not right."""
    import numpy as np

    row = (width + 7) // 8 if mode is Mode.BILEVEL else width * mode.channels
    data = np.frombuffer(samples, "<u2" if mode.is_wide and len(samples) % 2 == 0 else "u1")
    if data.size != height * row:
        raise DamagedError(f"{len(samples)} bytes cannot be {width} x {height} pixels {mode.pil}")
    if mode is Mode.BILEVEL:
        data = np.unpackbits(data.reshape(height, row), axis=1, count=width)
    if mode.is_wide:
        data = data.astype(np.uint16, copy=False)
    return data.reshape(height, width, mode.channels)


def to_image(pixels: Pixels, mode: Mode) -> Image.Image:
    """The pixels as a Pillow image of that mode (without its palette). DamagedError for a mode that Pillow has not."""
    from PIL import Image

    if mode.is_wide and mode is not Mode.I16:
        raise DamagedError(f"pixels of mode {mode.pil} cannot be a Pillow image")
    height, width = pixels.shape[:2]
    return Image.frombytes(mode.pil, (width, height), to_samples(pixels, mode))


def from_image(image: Image.Image, mode: Mode) -> Pixels:
    """The inverse of :func:`to_image`, for an image that is of that mode."""
    return from_samples(image.tobytes(), mode, image.height, image.width)


# ---- one tile without a model -----------------------------------------------------------------


def encode_tile(pixels: Pixels, mode: Mode, beat: int | None = None, search: Search = CAREFUL) -> tuple[Method, bytes]:
    """The smallest of stored, LZMA, and a picture stream: VP8L, PNG or 16-bit planes.

    ``beat``: a size in bytes already reached by other means; no time is spent on coders that a
    quick look says cannot be smaller. ``search``: FAST, CAREFUL or SLOWEST.
    """
    sides = varint(pixels.shape[0]) + varint(pixels.shape[1])
    samples = to_samples(pixels, mode)
    try_lzma = len(samples) <= _SMALL or (beat is None and (search != FAST or mode in _INDEXED))
    squeezed = lzmaraw.pack(samples) if try_lzma else b""
    picture = _encode_vp8l(pixels, mode, beat, search, noise=len(squeezed) > len(samples))
    choices = [(Method.STORED, sides + samples), (Method.PICTURE, picture)]
    if mode in (Mode.I16, Mode.BILEVEL) and (beat is None or len(samples) <= _SMALL):
        choices.append((Method.PICTURE, _encode_png(pixels, mode)))
    if mode.is_wide:
        choices.append((Method.PICTURE, _encode_planes(pixels, mode, beat)))
    if squeezed:
        choices.append((Method.LZMA, sides + squeezed))
    return min((choice for choice in choices if choice[1]), key=lambda choice: len(choice[1]))


def estimate_tile(pixels: Pixels, mode: Mode | None = None) -> int:
    """About the bytes :func:`encode_tile` makes of a small tile of bytes without opacity, without its slow search.

    mode: None for grey or RGB, as there are channels.
    """
    mode = _plane_mode(pixels.shape[2]) if mode is None else mode
    samples = to_samples(pixels, mode)
    return min(len(samples), len(lzmaraw.pack(samples)), len(_webp(_for_vp8l(pixels, mode), *FAST)))


def quick_size(pixels: Pixels, mode: Mode) -> int:
    """Bytes that a quick classical coder makes, seldom fewer than :func:`encode_tile`."""
    if mode.is_wide or max(pixels.shape) > _MOST_VP8L:
        return len(zlib.compress(to_samples(pixels, mode)))
    return len(_webp(_for_vp8l(pixels, mode), *_TRIALS[0]))


def decode_tile(method: Method, payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    """The inverse of :func:`encode_tile` for a payload that declares these sides."""
    if method is Method.PICTURE:
        decode = {VP8L: _decode_vp8l, PLANES: _decode_planes}.get(payload[0], _decode_png)
        return decode(payload, mode, height, width)
    reader = Reader(payload)
    reader.varint("a height"), reader.varint("a width")
    samples = reader.rest()
    if method is Method.LZMA:
        samples = lzmaraw.unpack(samples, limit=2 * height * width * mode.channels)
    return from_samples(samples, mode, height, width)


def _encode_vp8l(pixels: Pixels, mode: Mode, beat: int | None, search: Search, noise: bool) -> bytes:
    """A bare VP8L stream, empty where it cannot or will not be. noise: LZMA finds nothing in the pixels."""
    if mode.is_wide or max(pixels.shape) > _MOST_VP8L:
        return b""
    image = _for_vp8l(pixels, mode)
    if pixels.shape[0] * pixels.shape[1] <= _SMALL_PICTURE:
        search = SLOWEST
    elif noise and len(quick := _webp(image, *FAST)) >= pixels.size:
        return quick
    if beat is not None and _hopeless(image, pixels.size, beat, search):
        return b""
    return _webp(image, *search)


def _for_vp8l(pixels: Pixels, mode: Mode) -> Image.Image:
    """The pixels as VP8L has them: grey is three equal channels, a number is green."""
    import numpy as np

    if mode in _INDEXED:  # red and blue of zero cost nothing, even where they are in a palette of VP8L's own
        return to_image(np.pad(pixels, ((0, 0), (0, 0), (1, 1))), Mode.RGB)
    colour = pixels if mode in (Mode.RGB, Mode.RGBA) else np.repeat(pixels[:, :, :1], 3, axis=2)
    if mode is Mode.LA:
        colour = np.concatenate([colour, pixels[:, :, 1:]], axis=2)
    return to_image(colour, Mode.RGBA if mode.has_alpha else Mode.RGB)


def _hopeless(image: Image.Image, samples: int, beat: int, search: Search) -> bool:
    """Return whether a quicker search says that this one cannot be smaller than ``beat`` bytes."""
    bounds = _SLACK[search]
    for number, trial in enumerate(_TRIALS[: len(bounds[0][1])]):
        size = len(_webp(image, *trial))
        slack = next(slacks[number] for bits, slacks in bounds if 8 * size <= bits * samples)
        if size > slack * beat:
            return True
    return False


def _decode_vp8l(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    chunk = b"VP8L" + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) % 2)
    riff = b"RIFF" + (len(chunk) + 4).to_bytes(4, "little") + b"WEBP" + chunk
    image = _open(riff, "WEBP", height, width)
    if mode.is_wide:
        raise DamagedError(f"a VP8L stream cannot hold pixels of mode {mode.pil}")
    if not mode.has_alpha:
        colour = from_image(image.convert("RGB"), Mode.RGB)
        return colour[:, :, 1:2] if mode in _INDEXED else colour[:, :, : mode.channels]
    pixels = from_image(image.convert("RGBA"), Mode.RGBA)
    return pixels if mode is Mode.RGBA else pixels[:, :, [0, 3]]


def _webp(image: Image.Image, method: int, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, exact=True, method=method, quality=quality)
    data = out.getvalue()
    size = int.from_bytes(data[16:20], "little")
    return data[20 : 20 + size] if data[12:16] == b"VP8L" else b""


def _encode_png(pixels: Pixels, mode: Mode) -> bytes:
    out = io.BytesIO()
    to_image(pixels, mode).save(out, "PNG", optimize=True)
    return out.getvalue()


def _decode_png(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    image = _open(payload, "PNG", height, width)
    if image.mode != mode.pil:
        raise DamagedError(f"a PNG stream of mode {image.mode} where {mode.pil} is expected")
    return from_image(image, mode)


def _encode_planes(pixels: Pixels, mode: Mode, beat: int | None) -> bytes:
    """A stream of 16-bit planes; cut where a model would cut only if none has."""
    colour, opacity = parted(pixels, mode)
    return bytes([PLANES]) + _smallest_planes(colour, (None, ALL_LOW) if beat is None else (ALL_LOW,)) + opacity


def parted(pixels: Pixels, mode: Mode) -> tuple[Pixels, bytes]:
    """The colour of 16-bit samples, and the stream of planes of their opacity, empty where they have none."""
    import numpy as np

    if not mode.has_alpha:
        return pixels, b""
    return np.ascontiguousarray(pixels[:, :, :-1]), _smallest_planes(pixels[:, :, -1:], (None, ALL_LOW))


def _smallest_planes(pixels: Pixels, shifts: tuple[int | None, ...]) -> bytes:
    return min((Planes.of(pixels, shift).write(*pixels.shape[:2]) for shift in shifts), key=len)


def _decode_planes(payload: bytes, mode: Mode, height: int, width: int) -> Pixels:
    colour, opacity = read_planes(payload[1:], mode)
    return joined(colour.decode(mode.channels - mode.has_alpha, height, width), opacity, height, width)


def read_planes(payload: bytes, mode: Mode) -> tuple[Planes, Planes | None]:
    """The planes of colour and of opacity, where there is any, of a payload of 16-bit samples."""
    if not mode.is_wide:
        raise DamagedError(f"16-bit planes cannot be pixels of mode {mode.pil}")
    reader = Reader(payload)
    colour = Planes.read(reader)
    opacity = Planes.read(reader) if mode.has_alpha else None
    if reader.rest():
        raise DamagedError("bytes after the last plane")
    return colour, opacity


def joined(colour: Pixels, opacity: Planes | None, height: int, width: int) -> Pixels:
    """16-bit samples of a tile with their opacity."""
    import numpy as np

    return colour if opacity is None else np.concatenate([colour, opacity.decode(1, height, width)], axis=2)


def _open(data: bytes, name: str, height: int, width: int) -> Image.Image:
    return open_stream(data, name, f"of {(width, height)}", lambda size: size == (width, height))


def open_stream(data: bytes, name: str, due: str, fits: Callable[[tuple[int, int]], bool]) -> Image.Image:
    """A picture stream of the format `name` decoded, if its width and height fit; `due` says which do.

    Whatever Pillow makes of a broken one is a DamagedError.
    """
    from PIL import Image

    with reading(f"a {name} stream is damaged"):
        image = Image.open(io.BytesIO(data), formats=(name,))
        if not fits(image.size):
            raise DamagedError(f"a {name} stream of {image.size} where one {due} is due")
        image.load()
    return image


# ---- planes: tiles of bytes that make up another tile -----------------------------------------


@dataclass(frozen=True)
class Block:
    """A plane, coded. Method.MODEL is for those who have a model at hand."""

    method: Method
    payload: bytes

    @classmethod
    def of(cls, plane: Pixels, beat: int | None = None) -> Block:
        """The smallest for a plane of one or three channels, as :func:`encode_tile`."""
        return cls(*encode_tile(plane, _plane_mode(plane.shape[2]), beat))

    def write(self) -> bytes:
        """The bytes, their number in front."""
        return varint(1 + len(self.payload)) + bytes([self.method]) + self.payload

    @classmethod
    def read(cls, reader: Reader) -> Block:
        """The inverse of :meth:`write`."""
        block = Reader(reader.take(reader.varint("the size of a plane"), "a plane"))
        method = block.byte("a plane's method")
        if method > max(Method):
            raise DamagedError(f"a plane cannot be coded by method {method}")
        return cls(Method(method), block.rest())

    def check(self, height: int, width: int, channels: int) -> None:
        """Raise DamagedError unless the payload declares these sides."""
        header = Header(Kind.IMAGE, mode=_plane_mode(channels))
        if lengths(header, self.method, self.payload) != (height, width):
            raise DamagedError("a plane is not of its tile's size")

    def decode(self, height: int, width: int, channels: int) -> Pixels:
        """The plane; DamagedError where it needs a model."""
        self.check(height, width, channels)
        if self.method is Method.MODEL:
            raise DamagedError("a plane that needs a model where there is none")
        return decode_tile(self.method, self.payload, _plane_mode(channels), height, width)


@dataclass(frozen=True)
class Planes:
    """A tile of 16-bit samples as coded planes: the high bits, if any, then those of the low bits."""

    used: Used
    shift: int
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, pixels: Pixels, shift: int | None = None, code: Callable[[Pixels], Block] = Block.of) -> Planes:
        """Of uint16 ``[H, W, C]``. shift: None for high bits that just fill a byte. code: makes the block of these."""
        used = Used.by(pixels)
        numbers = used.numbers(pixels)
        shift = natural_shift(numbers) if shift is None else shift
        high, low = split(numbers, shift)
        first = () if high is None else (code(high),)
        return cls(used, shift, (*first, *map(Block.of, low)))

    def write(self, height: int, width: int) -> bytes:
        """The bytes of a tile of these sides."""
        head = varint(height) + varint(width) + self.used.write() + varint(self.shift)
        return head + b"".join(block.write() for block in self.blocks)

    @classmethod
    def read(cls, reader: Reader) -> Planes:
        """The inverse of :meth:`write`, without the sides."""
        reader.varint("a height"), reader.varint("a width")
        used, shift = Used.read(reader), reader.varint("a shift")
        count = low_planes(shift) + (shift != ALL_LOW)
        return cls(used, shift, tuple(Block.read(reader) for _ in range(count)))

    def decode(self, channels: int, height: int, width: int, high: Pixels | None = None) -> Pixels:
        """The tile. high: the plane of the high bits where that is decoded already."""
        planes = [
            high if high is not None and not number else block.decode(height, width, channels)
            for number, block in enumerate(self.blocks)
        ]
        first = None if self.shift == ALL_LOW else planes.pop(0)
        return self.used.samples(join(first, planes, self.shift))


def _plane_mode(channels: int) -> Mode:
    return Mode.L if channels == 1 else Mode.RGB
