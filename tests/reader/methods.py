"""Section 5 of the file format: payloads, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from reader.errors import DamagedError, LimitError
from reader.frame import MOST_PIXELS
from reader.lzma1 import decode_lzma
from reader.png import SIGNATURE, decode_png
from reader.vp8l import decode_vp8l
from reader.wire import Bytes

LARGEST_TILE, LONGEST_SIDE, LARGEST_SEGMENT = 1 << 24, 16_383, 1 << 26
SYMBOLS, SYMBOLS_PER_BYTE = 4096, 256


@dataclass(frozen=True)
class Mode:
    """A mode. width: bytes a sample."""

    name: str
    channels: int
    width: int = 1
    bilevel: bool = False

    def size(self, height: int, width: int) -> int:
        row = (width + 7) // 8 if self.bilevel else width * self.channels * self.width
        return height * row


MODES = (
    *(Mode("RGB", 3), Mode("RGBA", 4), Mode("L", 1), Mode("LA", 2), Mode("P", 1), Mode("1", 1, 1, True)),
    *(Mode("I;16", 1, 2), Mode("RGB;16", 3, 2), Mode("RGBA;16", 4, 2), Mode("LA;16", 2, 2)),
)
L, RGB = MODES[2], MODES[0]


@dataclass(frozen=True)
class Samples:
    """A picture or a tile of one."""

    height: int
    width: int
    data: bytes


class Model(Protocol):
    """Decoder of payloads. role: `text`, `image` or `archive`."""

    role: str
    sha256: bytes

    def decode_text(self, payload: bytes) -> bytes: ...

    def decode_picture(self, payload: bytes) -> tuple[int, int, bytes]: ...


@dataclass(frozen=True)
class Limits:
    """Limits that the caller allows."""

    pixels: int = MOST_PIXELS

    def check(self, height: int, width: int) -> None:
        """Check the sides of a segment of a picture."""
        if not height or not width:
            raise DamagedError(f"a picture of {height} x {width}")
        if height * width > min(LARGEST_TILE, self.pixels) or max(height, width) > LONGEST_SIDE:
            raise LimitError(f"a segment of {height} x {width}")


# ---- bytes, text, arrays ------------------------------------------------------------------------


def decode_bytes(method: int, payload: bytes, model: Model | None, *, is_array: bool) -> bytes:
    """Content of a segment of anything but a picture."""
    content = _decode_bytes(method, payload, model, is_array)
    if len(content) > LARGEST_SEGMENT:
        raise LimitError(f"a segment of {len(content)} bytes")
    return content


def _decode_bytes(method: int, payload: bytes, model: Model | None, is_array: bool) -> bytes:
    if method == 0:
        return payload
    if method == 1:
        return decode_lzma(payload)
    if method == 2 and is_array:
        return decode_array_planes(payload)
    if method == 3 and model:
        if model.role == "image":
            raise DamagedError("a model of pictures for bytes")
        return model.decode_text(payload)
    raise DamagedError(f"method {method} here")


def check_modelled(mode: Mode | None, payload: bytes, limits: Limits) -> tuple[int, ...]:
    """The size that the payload of a model declares, checked without the model. mode: None of bytes and text."""
    reader = Bytes(payload)
    if mode is None:
        declared: tuple[int, ...] = (reader.varint(),)
        count = declared[0]
    else:
        if mode.name in ("P", "1"):
            raise DamagedError(f"mode {mode.name} of a model")
        if mode.name in ("RGBA", "LA"):
            reader.take(reader.varint())
        declared = (reader.varint(), reader.varint()) if mode.width == 2 else read_image_head(reader)[:2]
        limits.check(*declared)
        count = mode.size(*declared)
    if count > SYMBOLS + SYMBOLS_PER_BYTE * len(payload):
        raise LimitError(f"{count} symbols of {len(payload)} bytes")
    return declared


def decode_array_planes(payload: bytes) -> bytes:
    reader = Bytes(payload)
    size, form = reader.varint(), reader.byte()
    kind, big, width = form >> 4, form >> 3 & 1, 1 << (form & 7)
    if kind > 2 or width > 16 or (kind == 1 and width > 8) or (kind == 2 and width > 1) or size % width:
        raise DamagedError(f"planes of form {form:02X}")
    if size > LARGEST_SEGMENT:
        raise LimitError(f"a segment of {size} bytes")
    count = size // width
    lag = reader.varint() if kind == 1 else 0
    if kind == 1 and not 1 <= lag <= max(count, 1):
        raise DamagedError(f"a lag of {lag}")
    planes = []
    for _ in range(width):
        block = Bytes(reader.take(reader.varint()))
        planes.append(decode_bytes(min(block.byte(), 9), block.rest(), None, is_array=False))
        if len(planes[-1]) != ((size + 7) // 8 if kind == 2 else count):
            raise DamagedError(f"a plane of {len(planes[-1])} bytes")
    if reader.at < len(payload):
        raise DamagedError("bytes behind planes")
    if kind == 2:
        return _bits(planes[0], size)
    elements = list(zip(*planes, strict=True))
    if kind == 0:
        return b"".join(map(bytes, elements))
    return _undo_differences(elements, lag, width, "big" if big else "little")


def _bits(plane: bytes, size: int) -> bytes:
    return bytes([byte >> 7 - k & 1 for byte in plane for k in range(8)][:size])


def _undo_differences(elements: list[tuple[int, ...]], lag: int, width: int, order: str) -> bytes:
    values: list[int] = []
    for k, element in enumerate(elements):
        folded = int.from_bytes(bytes(element), "little")
        d = -(folded + 1) // 2 if folded & 1 else folded // 2
        values.append(d + (values[k - lag] if k >= lag else 0) & (1 << 8 * width) - 1)
    return b"".join(v.to_bytes(width, order) for v in values)  # type: ignore[arg-type]


# ---- pictures -----------------------------------------------------------------------------------


def decode_picture(mode: Mode, method: int, payload: bytes, model: Model | None, limits: Limits) -> Samples:
    """Samples of a segment of a picture."""
    if method in (0, 1):
        return _decode_plain(mode, method, payload, limits)
    if method == 2:
        if payload[:1] == b"\x16" and mode.width == 2:
            return decode_wide(mode, payload[1:], None, limits)
        return _decode_stream(mode, payload, limits)
    if method == 3 and model:
        return _decode_modelled(mode, payload, model, limits)
    raise DamagedError(f"method {method} here")


def _decode_plain(mode: Mode, method: int, payload: bytes, limits: Limits) -> Samples:
    reader = Bytes(payload)
    height, width = reader.varint(), reader.varint()
    limits.check(height, width)
    size = mode.size(height, width)
    rest = reader.rest()
    if method == 1 and Bytes(rest).varint() != size:
        raise DamagedError("an LZMA payload of another size than the picture")
    data = decode_lzma(rest) if method else rest
    if len(data) != size:
        raise DamagedError(f"expected {size} bytes of samples, found {len(data)}")
    return Samples(height, width, packed(unpacked(data, 1, width), 1, width) if mode.bilevel else data)


def _decode_stream(mode: Mode, payload: bytes, limits: Limits) -> Samples:
    if payload[:1] == b"\x2f" and mode.width == 1:
        height, width, pixels = decode_vp8l(payload, limits.check)
        return Samples(height, width, _of_pixels(mode, width, pixels))
    if payload[:1] == SIGNATURE[:1] and mode.name in PNG_MODES:
        height, width, bits, colour, rows = decode_png(payload, limits.check)
        if (bits, colour) not in PNG_MODES[mode.name]:
            raise DamagedError(f"a PNG file of {bits} bits and colour type {colour} for mode {mode.name}")
        return Samples(height, width, _of_rows(mode, bits, width, rows))
    raise DamagedError("expected a picture stream")


PNG_MODES = {
    "RGB": [(8, 2)],
    "RGBA": [(8, 6)],
    "L": [(8, 0)],
    "LA": [(8, 4)],
    "1": [(1, 0)],
    "I;16": [(16, 0)],
    "P": [(bits, 3) for bits in (1, 2, 4, 8)],
}


def _of_rows(mode: Mode, bits: int, width: int, rows: bytes) -> bytes:
    if bits == 16:
        return b"".join(rows[k : k + 2][::-1] for k in range(0, len(rows), 2))
    return unpacked(rows, bits, width) if mode.name == "P" else rows


def unpacked(rows: bytes, bits: int, width: int) -> bytes:
    """Samples of one byte each. rows: of samples of fewer bits, the first in the highest bits."""
    size = (width * bits + 7) // 8
    every = [byte >> 8 - bits - k & (1 << bits) - 1 for byte in rows for k in range(0, 8, bits)]
    line = size * 8 // bits
    return bytes(v for k in range(0, len(every), line) for v in every[k : k + width])


def packed(samples: bytes, bits: int, width: int) -> bytes:
    """The reverse."""
    found = bytearray()
    for start in range(0, len(samples), width):
        row = samples[start : start + width]
        total = 0
        for v in row:
            total = total << bits | v
        size = (width * bits + 7) // 8
        found += (total << 8 * size - width * bits).to_bytes(size, "big")
    return bytes(found)


def _of_pixels(mode: Mode, width: int, pixels: Sequence[int]) -> bytes:
    if mode.bilevel:
        return packed(bytes((pixel >> 8 & 255) > 0 for pixel in pixels), 1, width)
    shifts = {"RGB": (16, 8, 0), "RGBA": (16, 8, 0, 24), "L": (16,), "LA": (16, 24), "P": (8,)}[mode.name]
    return bytes(pixel >> shift & 255 for pixel in pixels for shift in shifts)


# ---- payloads of models -------------------------------------------------------------------------


def _decode_modelled(mode: Mode, payload: bytes, model: Model, limits: Limits) -> Samples:
    if mode.width == 2:
        return decode_wide(mode, payload, model, limits)
    if mode.name in ("RGB", "L"):
        return decode_image(mode, payload, model, limits)
    if mode.name not in ("RGBA", "LA"):
        raise DamagedError(f"mode {mode.name} of a model")
    reader = Bytes(payload)
    opacity = decode_block(reader, L, model, limits)
    colour = decode_image(RGB if mode.channels == 4 else L, reader.rest(), model, limits)
    return _with_opacity(colour, opacity, mode.channels - 1, 1)


def _with_opacity(colour: Samples, opacity: Samples, channels: int, width: int) -> Samples:
    if (colour.height, colour.width) != (opacity.height, opacity.width):
        raise DamagedError("opacity of another size than the colour")
    step, found = channels * width, bytearray()
    for k in range(colour.height * colour.width):
        found += colour.data[k * step : (k + 1) * step] + opacity.data[k * width : (k + 1) * width]
    return replace(colour, data=bytes(found))


def decode_image(mode: Mode, payload: bytes, model: Model, limits: Limits) -> Samples:
    """Samples of an image payload, RGB or L."""
    if model.role != "image":
        raise DamagedError(f"a model of {model.role} for a picture")
    height, width, grey = read_image_head(Bytes(payload))
    limits.check(height, width)
    if mode is L and not grey:
        raise DamagedError("colour in a mode of grey")
    height, width, data = model.decode_picture(payload)
    if grey and mode is RGB:
        data = bytes(v for v in data for _ in range(3))
    return Samples(height, width, data)


def read_image_head(reader: Bytes) -> tuple[int, int, bool]:
    """(height, width, whether it is grey)"""
    height, flags = reader.varint(), 0
    if not height:
        flags = reader.byte()
        if flags >> 7 or not flags & 15:
            raise DamagedError(f"flags {flags} of an image payload")
        if flags >> 4:
            return 4 << (flags >> 4), 4 << (flags >> 4), bool(flags & 8)
        height = reader.varint()
    return height, reader.varint(), bool(flags & 8)


def first_method(reader: Bytes) -> int:
    """The method of the block that follows."""
    ahead = Bytes(reader.data)
    ahead.at = reader.at
    return Bytes(ahead.take(ahead.varint())).byte()


def decode_block(reader: Bytes, mode: Mode, model: Model | None, limits: Limits) -> Samples:
    block = Bytes(reader.take(reader.varint()))
    method, payload = block.byte(), block.rest()
    if method == 3 and model:
        return decode_image(mode, payload, model, limits)
    if method > 2:
        raise DamagedError(f"method {method} of a block")
    return decode_picture(mode, method, payload, None, limits)


# ---- planes -------------------------------------------------------------------------------------


def decode_wide(mode: Mode, payload: bytes, model: Model | None, limits: Limits) -> Samples:
    reader = Bytes(payload)
    opaque = mode.channels % 2
    colour = decode_planes(reader, mode.channels if opaque else mode.channels - 1, model, limits)
    if not opaque:
        colour = _with_opacity(colour, decode_planes(reader, 1, None, limits), mode.channels - 1, 2)
    if reader.at < len(payload):
        raise DamagedError("bytes behind planes")
    return colour


def decode_planes(reader: Bytes, channels: int, model: Model | None, limits: Limits) -> Samples:
    """16-bit samples, little-endian, of one or three channels."""
    height, width = reader.varint(), reader.varint()
    limits.check(height, width)
    sample_of = read_levels(reader)
    shift, mode = reader.varint(), L if channels == 1 else RGB
    if shift > 8 and shift != 16:
        raise DamagedError(f"a shift of {shift}")
    blocks = []
    for k in range(1 if shift == 0 else 2):
        if model and not k and first_method(reader) != 3:
            raise DamagedError("planes of which no model codes the first")
        blocks.append(decode_block(reader, mode, None if k else model, limits))
        if (blocks[-1].height, blocks[-1].width) != (height, width):
            raise DamagedError("a plane of another size")
    if shift == 16:
        highs, lows = (
            bytes(len(blocks[0].data)),
            [a | b << 8 for a, b in zip(blocks[0].data, blocks[1].data, strict=True)],
        )
    else:
        highs, lows = blocks[0].data, blocks[1].data if shift else bytes(len(blocks[0].data))
    numbers = join_planes(highs, lows, shift, width * channels, channels)
    return Samples(height, width, b"".join(sample_of(n).to_bytes(2, "little") for n in numbers))


def read_levels(reader: Bytes) -> Callable[[int], int]:
    """Table of the samples that numbers stand for."""
    offset, factor = reader.varint(), reader.varint()
    if max(offset, factor) > 65_535:
        raise DamagedError(f"offset {offset}, factor {factor}")
    gaps = b"" if factor else decode_lzma(reader.take(reader.varint()))
    if len(gaps) % 2:
        raise DamagedError("an odd number of bytes of gaps")
    table = [offset]
    for k in range(0, len(gaps), 2):
        table.append(table[-1] + int.from_bytes(gaps[k : k + 2], "little"))
    if table[-1] > 65_535 or len(gaps) > 2 * 65_535:
        raise DamagedError("gaps beyond 16 bits")

    def sample_of(number: int) -> int:
        sample = offset + factor * number if factor else table[number] if number < len(table) else 65_536
        if sample > 65_535:
            raise DamagedError(f"number {number} stands for no sample")
        return sample

    return sample_of


def join_planes(highs: Sequence[int], lows: Sequence[int], shift: int, row: int, channels: int) -> list[int]:
    """Numbers of high and low bits. row: samples in a row."""
    numbers: list[int] = []
    offset, mask = 128 if shift == 16 else 0, (1 << shift) - 1
    for k, (high, low) in enumerate(zip(highs, lows, strict=True)):
        inside = k % row >= channels
        a = numbers[k - channels] if inside else 0
        b = numbers[k - row] if k >= row else 0
        d = numbers[k - row - channels] if inside and k >= row else 0
        p = sorted((a, b, a + b - d))[1]
        numbers.append(high << shift | low + p - offset & mask)
    return numbers
