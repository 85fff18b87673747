"""Lossless WebP streams (VP8L), without a RIFF head, as in WebP's own specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reader.errors import CutOffError, DamagedPayloadError

CODE_LENGTHS = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
NEAR = (  # of a distance code: how many columns to the left, how many rows up
    *((0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2), (0, 3)),
    *((3, 0), (1, 3), (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0), (1, 4), (-1, 4)),
    *((4, 1), (-4, 1), (3, 3), (-3, 3), (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4), (-3, 4), (4, 3), (-4, 3)),
    *((5, 0), (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5), (-2, 5), (5, 2), (-5, 2), (4, 4), (-4, 4), (3, 5), (-3, 5)),
    *((5, 3), (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1), (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5)),
    *((-4, 5), (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3), (0, 7), (7, 0), (1, 7), (-1, 7), (5, 5), (-5, 5)),
    *((7, 1), (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4), (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7), (7, 3)),
    *((-7, 3), (5, 6), (-5, 6), (6, 5), (-6, 5), (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6)),
    *((-6, 6), (8, 3), (5, 7), (-5, 7), (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7)),
    *((-7, 7), (8, 6), (8, 7)),
)
Pixels = list[int]
"""Numbers of 32 bits: opacity, red, green, blue."""


class Bits:
    """Bits of a stream, the lowest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.buffer, self.count = data, 0, 0, 0

    def peek(self, count: int) -> int:
        while self.count < count:
            if self.at < len(self.data):
                self.buffer |= self.data[self.at] << self.count
            self.at += 1
            self.count += 8
        return self.buffer & (1 << count) - 1

    def skip(self, count: int) -> None:
        self.buffer >>= count
        self.count -= count
        if 8 * self.at - self.count > 8 * len(self.data):
            raise CutOffError("a VP8L stream without its last bits")

    def take(self, count: int) -> int:
        value = self.peek(count)
        self.skip(count)
        return value


class Prefix:
    """A prefix code."""

    def __init__(self, lengths: list[int]) -> None:
        used = [(length, symbol) for symbol, length in enumerate(lengths) if length]
        self.only = used[0][1] if len(used) == 1 else 0
        self.longest = 0 if len(used) <= 1 else max(used)[0]
        self.codes: dict[tuple[int, int], int] = {}
        if not used:
            raise DamagedPayloadError("a prefix code without symbols")
        if len(used) > 1 and sum(1 << 15 - length for length, _ in used) != 1 << 15:
            raise DamagedPayloadError("a prefix code that is not complete")
        code, before = 0, 0
        for length, symbol in sorted(used):
            code <<= length - before
            self.codes[length, code] = symbol
            code, before = code + 1, length

    def read(self, bits: Bits) -> int:
        code, ahead = 0, bits.peek(self.longest)
        for length in range(1, self.longest + 1):
            code = code << 1 | ahead & 1
            ahead >>= 1
            symbol = self.codes.get((length, code))
            if symbol is not None:
                bits.skip(length)
                return symbol
        return self.only


def read_prefix(bits: Bits, size: int) -> Prefix:
    """A prefix code of an alphabet."""
    lengths = [0] * size
    if bits.take(1):
        number = bits.take(1) + 1
        symbols = [bits.take(8 if bits.take(1) else 1)]
        if number == 2:
            symbols.append(bits.take(8))
        for symbol in symbols:
            lengths[symbol : symbol + 1] = [1] * (symbol < size)  # libwebp leaves out those beyond the alphabet
        return Prefix(lengths)
    coded = [0] * 19
    for k in range(bits.take(4) + 4):
        coded[CODE_LENGTHS[k]] = bits.take(3)
    prefix, most = Prefix(coded), size
    if bits.take(1):
        most = bits.take(2 * bits.take(3) + 2) + 2
        if most > size:
            raise DamagedPayloadError("more code lengths than symbols")
    at, before = 0, 8
    while at < size and most:
        most -= 1
        length = prefix.read(bits)
        if length < 16:
            lengths[at] = length
            at, before = at + 1, length or before
            continue
        width, least = {16: (2, 3), 17: (3, 3), 18: (7, 11)}[length]
        repeat = bits.take(width) + least
        if at + repeat > size:
            raise DamagedPayloadError("code lengths beyond the alphabet")
        lengths[at : at + repeat] = [before if length == 16 else 0] * repeat
        at += repeat
    return Prefix(lengths)


@dataclass
class Cache:
    """Colours seen of late."""

    bits: int
    colours: dict[int, int] = field(default_factory=dict)

    def add(self, colour: int) -> None:
        if self.bits:
            self.colours[(0x1E35A7BD * colour & 0xFFFFFFFF) >> 32 - self.bits] = colour


def read_image(bits: Bits, width: int, height: int, *, top: bool = False) -> Pixels:
    """Pixels that are coded with prefix codes, distances and a cache."""
    cache = Cache(0)
    if bits.take(1):
        cache = Cache(bits.take(4))
        if not 1 <= cache.bits <= 11:
            raise DamagedPayloadError(f"a cache of {cache.bits} bits")
    meta, shift = [0], 0
    if top and bits.take(1):
        shift = bits.take(3) + 2
        meta = [pixel >> 8 & 0xFFFF for pixel in read_image(bits, _tiles(width, shift), _tiles(height, shift))]
    sizes = (256 + 24 + (1 << cache.bits if cache.bits else 0), 256, 256, 256, 40)
    groups = [[read_prefix(bits, size) for size in sizes] for _ in range(max(meta) + 1)]
    pixels: Pixels = []
    across = _tiles(width, shift)
    while len(pixels) < width * height:
        row, column = divmod(len(pixels), width)
        green, *others, distances = groups[meta[(row >> shift) * across + (column >> shift)] if shift else 0]
        symbol = green.read(bits)
        if symbol < 256:
            red, blue, alpha = (prefix.read(bits) for prefix in others)
            pixels.append(alpha << 24 | red << 16 | symbol << 8 | blue)
            cache.add(pixels[-1])
        elif symbol < 280:
            length, code = _number(bits, symbol - 256), _number(bits, distances.read(bits))
            copy(pixels, length, _distance(code, width), width * height, cache)
        else:
            pixels.append(cache.colours.get(symbol - 280, 0))
            cache.add(pixels[-1])
    return pixels


def _tiles(side: int, shift: int) -> int:
    return -(-side // (1 << shift))


def _number(bits: Bits, symbol: int) -> int:
    if symbol < 4:
        return symbol + 1
    extra = symbol - 2 >> 1
    return (2 + (symbol & 1) << extra) + bits.take(extra) + 1


def _distance(code: int, width: int) -> int:
    if code > 120:
        return code - 120
    left, up = NEAR[code - 1]
    return max(left + up * width, 1)


def copy(pixels: Pixels, length: int, distance: int, end: int, cache: Cache) -> None:
    if distance > len(pixels) or len(pixels) + length > end:
        raise DamagedPayloadError("a copy from before the beginning or beyond the end")
    for _ in range(length):
        pixels.append(pixels[-distance])
        cache.add(pixels[-1])


# ---- transforms ---------------------------------------------------------------------------------


def decode_vp8l(data: bytes, check: Callable[[int, int], None]) -> tuple[int, int, Pixels]:
    """(height, width, pixels) of a stream. check: of height and width."""
    bits = Bits(data)
    if bits.take(8) != 0x2F:
        raise DamagedPayloadError("expected 2F")
    width, height = bits.take(14) + 1, bits.take(14) + 1
    has_opacity = bits.take(1)
    if bits.take(3):
        raise DamagedPayloadError("a version of VP8L that is not 0")
    check(height, width)
    pixels = read_transformed(bits, width, height)
    return height, width, pixels if has_opacity else [pixel | 0xFF000000 for pixel in pixels]


def read_transformed(bits: Bits, width: int, height: int) -> Pixels:
    transforms: list[tuple[int, int, int, Pixels]] = []
    coded = width
    while bits.take(1):
        kind = bits.take(2)
        if kind in [t[0] for t in transforms]:
            raise DamagedPayloadError("a transform twice")
        if kind == 3:
            size = bits.take(8) + 1
            shift = 0 if size > 16 else 1 if size > 4 else 2 if size > 2 else 3
            transforms.append((kind, coded, shift, _summed(read_image(bits, size, 1))))
            coded = _tiles(coded, shift)
        elif kind == 2:
            transforms.append((kind, coded, 0, []))
        else:
            shift = bits.take(3) + 2
            transforms.append((kind, coded, shift, read_image(bits, _tiles(coded, shift), _tiles(height, shift))))
    pixels = read_image(bits, coded, height, top=True)
    for kind, across, shift, parameters in reversed(transforms):
        undo = (_unpredict, _uncross, _add_green, _unindex)[kind]
        pixels = undo(pixels, across, shift, parameters)
    return pixels


def _add(a: int, b: int) -> int:
    """The sums of two pixels' channels."""
    return (a & 0xFF00FF00) + (b & 0xFF00FF00) & 0xFF00FF00 | (a & 0x00FF00FF) + (b & 0x00FF00FF) & 0x00FF00FF


def _summed(colours: Pixels) -> Pixels:
    for k in range(1, len(colours)):
        colours[k] = _add(colours[k], colours[k - 1])
    return colours


def _unindex(pixels: Pixels, width: int, shift: int, colours: Pixels) -> Pixels:
    coded, depth = _tiles(width, shift), 8 >> shift
    found = []
    for k in range(len(pixels) // coded * width):
        row, column = divmod(k, width)
        packed = pixels[row * coded + (column >> shift)] >> 8 & 255
        index = packed >> (column & (1 << shift) - 1) * depth & (1 << depth) - 1
        found.append(colours[index] if index < len(colours) else 0)
    return found


def _add_green(pixels: Pixels, *_: object) -> Pixels:
    return [_add(pixel, (pixel >> 8 & 255) * 0x10001) for pixel in pixels]


def _signed(byte: int) -> int:
    return (byte & 255 ^ 128) - 128


def _uncross(pixels: Pixels, width: int, shift: int, elements: Pixels) -> Pixels:
    found = []
    for k, pixel in enumerate(pixels):
        element = elements[(k // width >> shift) * _tiles(width, shift) + (k % width >> shift)]
        green = _signed(pixel >> 8)
        red = (pixel >> 16) + (_signed(element) * green >> 5) & 255
        blue = pixel + (_signed(element >> 8) * green >> 5) + (_signed(element >> 16) * _signed(red) >> 5) & 255
        found.append(pixel & 0xFF00FF00 | red << 16 | blue)
    return found


def _unpredict(pixels: Pixels, width: int, shift: int, modes: Pixels) -> Pixels:
    found: Pixels = []
    for k, pixel in enumerate(pixels):
        row, column = divmod(k, width)
        if not row or not column:
            guess = found[k - 1] if column else found[k - width] if row else 0xFF000000
        else:
            mode = modes[(row >> shift) * _tiles(width, shift) + (column >> shift)] >> 8 & 15
            guess = predict(mode, found[k - 1], *found[k - width - 1 : k - width + 2])
        found.append(_add(pixel, guess))
    return found


def _channels(pixel: int) -> tuple[int, int, int, int]:
    return pixel >> 24, pixel >> 16 & 255, pixel >> 8 & 255, pixel & 255


def _average(a: int, b: int) -> int:
    return ((a ^ b) & 0xFEFEFEFE) // 2 + (a & b)


def _clamped(values: list[int]) -> int:
    return int.from_bytes(bytes(min(max(v, 0), 255) for v in values), "big")


def predict(mode: int, left: int, above_left: int, above: int, above_right: int) -> int:
    """A pixel predicted from those around it."""
    channels = list(zip(*map(_channels, (left, above, above_left)), strict=True))
    if mode == 11:
        nearer = sum(abs(a - c) for _, a, c in channels) < sum(abs(b - c) for b, _, c in channels)
        return left if nearer else above
    if mode == 12:
        return _clamped([a + b - c for a, b, c in channels])
    if mode == 13:
        average = [((a + b) // 2, c) for a, b, c in channels]
        return _clamped([m + int((m - c) / 2) for m, c in average])
    return (
        lambda: 0xFF000000,
        lambda: left,
        lambda: above,
        lambda: above_right,
        lambda: above_left,
        lambda: _average(_average(left, above_right), above),
        lambda: _average(left, above_left),
        lambda: _average(left, above),
        lambda: _average(above_left, above),
        lambda: _average(above, above_right),
        lambda: _average(_average(left, above_left), _average(above, above_right)),
        *[lambda: 0xFF000000] * 5,
    )[mode]()
