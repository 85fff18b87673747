"""Section 4 of the file format: TIFF files of samples and a skeleton (tag 83)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from reader.errors import DamagedError
from reader.methods import Mode, Samples, packed, unpacked
from reader.wire import Bytes

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value, by its type."""
WHOLE = (1, 3, 4)
"""Types of whole numbers."""
POINTERS = (34665, 34853, 40965)
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL, SAMPLES, ROWS = 256, 257, 258, 259, 262, 266, 277, 278
PLANAR, PREDICTOR, COLOURS, TILE_WIDTH, TILE_LENGTH, EXTRA, FORMAT = 284, 317, 320, 322, 323, 338, 339
TABLES = {273: 279, 324: 325}


@dataclass(frozen=True)
class Entry:
    """An entry of a directory. field: where its value, or the pointer to it, stands; at: where its value is."""

    tag: int
    kind: int
    count: int
    field: int
    at: int


class Skeleton:
    """A TIFF file without its strips."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = {b"II*\0": "little", b"MM\0*": "big"}.get(data[:4], "")
        if not self.order:
            raise DamagedError("expected a TIFF file")
        self.pointers = [4]
        """Where pointers stand."""
        entries = self.directory(self.number(4, 4))
        self.entries = {entry.tag: entry for entry in entries}
        others: list[Entry] = []
        for tag in POINTERS:
            for entry in [entry for entry in (*entries, *others) if entry.tag == tag]:
                if entry.count != 1 or entry.kind not in (4, 13):
                    raise DamagedError(f"tag {tag} that points to no directory")
                self.pointers.append(entry.field)
                others += self.directory(self.number(entry.field, 4))
        self.pointers += [entry.field for entry in (*entries, *others) if entry.at != entry.field]
        if len(self.entries) < len(entries):
            raise DamagedError("a tag twice in a TIFF file")

    def number(self, at: int, size: int) -> int:
        if at + size > len(self.data):
            raise DamagedError("a TIFF file that is cut off")
        return int.from_bytes(self.data[at : at + size], self.order)  # type: ignore[arg-type]

    def directory(self, at: int) -> list[Entry]:
        count = self.number(at, 2)
        if at < 8 or self.number(at + 2 + 12 * count, 4):
            raise DamagedError("a directory that is followed by another")
        return [self.entry(at + 2 + 12 * k) for k in range(count)]

    def entry(self, at: int) -> Entry:
        tag, kind, count, field = self.number(at, 2), self.number(at + 2, 2), self.number(at + 4, 4), at + 8
        if kind not in SIZES:
            raise DamagedError(f"type {kind} in a TIFF file")
        size = SIZES[kind] * count
        place = self.number(field, 4) if size > 4 else field
        if place < 8 or place + size > len(self.data):
            raise DamagedError("a value beyond the end of a TIFF file")
        return Entry(tag, kind, count, field, place)

    def values(self, tag: int, *otherwise: int) -> tuple[int, ...]:
        entry = self.entries.get(tag)
        if entry is None:
            return otherwise
        if entry.kind not in WHOLE:
            raise DamagedError(f"type {entry.kind} of tag {tag}")
        size = SIZES[entry.kind]
        return tuple(self.number(entry.at + k * size, size) for k in range(entry.count))

    def value(self, tag: int, default: int = -1) -> int:
        found = self.values(tag, default)
        if len(found) != 1:
            raise DamagedError(f"{len(found)} numbers of tag {tag}")
        return found[0]


def check_layout(skeleton: Skeleton, mode: Mode, samples: Samples) -> None:
    """Check that tags are those of the picture."""
    bits = 1 if mode.bilevel else 8 * mode.width
    photometric = {"P": (3,), "L": (0, 1), "1": (0, 1), "I;16": (0, 1)}.get(
        mode.name, (2,) if mode.channels > 2 else (1,)
    )
    is_known = (
        (skeleton.value(WIDTH), skeleton.value(LENGTH)) == (samples.width, samples.height)
        and skeleton.value(SAMPLES, 1) == mode.channels
        and skeleton.values(BITS, 1) == (bits,) * mode.channels
        and skeleton.value(PHOTOMETRIC) in photometric
        and len(skeleton.values(EXTRA)) == (mode.channels % 2 == 0)
        and set(skeleton.values(FORMAT, 1)) == {1}
        and skeleton.value(PLANAR, 1) == 1
        and skeleton.value(FILL, 1) in (1, 2)
        and (mode.name != "P" or len(skeleton.values(COLOURS)) == 768)
    )
    compression = skeleton.value(COMPRESSION, 1)
    predictors = (1, 2) if compression in (5, 8, 32946) and not mode.bilevel else (1,)
    if not is_known or compression not in (1, 5, 8, 32773, 32946) or skeleton.value(PREDICTOR, 1) not in predictors:
        raise DamagedError("a TIFF file of another picture")


def make_tiff(mode: Mode, samples: Samples, value: bytes | None) -> bytes:
    """The file of samples and tag 83."""
    if value is None:
        raise DamagedError("a TIFF file without its skeleton")
    reader = Bytes(value)
    level, cuts = reader.byte(), []
    place = 0
    for _ in range(reader.varint()):
        place += reader.varint()
        cuts.append((place, reader.varint()))
    skeleton = Skeleton(reader.rest())
    check_layout(skeleton, mode, samples)
    strips = [encode(skeleton, mode, strip, level & 15) for strip in strips_of(skeleton, mode, samples, level >> 4)]
    return joined(skeleton, cuts, strips)


def joined(skeleton: Skeleton, cuts: list[tuple[int, int]], strips: list[list[bytes] | bytes]) -> bytes:
    """The skeleton with the strips put in."""
    data, out, places, at, left = skeleton.data, bytearray(), [], 0, iter(strips)
    put: list[tuple[int, int]] = []
    for place, code in cuts:
        if not at <= place <= len(data):
            raise DamagedError("a cut beyond the skeleton")
        out += data[at:place]
        start, at = len(out), place
        for _ in range(code >> 1):
            places.append(len(out))
            out += next(left, b"")
        if (len(out) - start) % 2 != code % 2:
            out.append(0)
        put.append((place, len(out) - start))
    out += data[at:]
    if len(places) != len(strips):
        raise DamagedError(f"{len(strips)} strips, {len(places)} in cuts")

    def moved(place: int) -> int:
        return place + sum(size for cut, size in put if cut <= place)

    def fill(at: int, value: int, size: int) -> None:
        if value >> 8 * size:
            raise DamagedError("a number that is too large for its table")
        out[at : at + size] = value.to_bytes(size, skeleton.order)  # type: ignore[arg-type]

    for pointer in skeleton.pointers:
        fill(moved(pointer), moved(skeleton.number(pointer, 4)), 4)
    first = 324 if 324 in skeleton.entries else 273
    if first == 324 and 273 in skeleton.entries:
        raise DamagedError("both strips and tiles")
    for tag, numbers in ((first, places), (TABLES[first], list(map(len, strips)))):
        entry = skeleton.entries.get(tag)
        if entry is None or entry.count != len(strips) or entry.kind not in WHOLE:
            raise DamagedError(f"expected a table of {len(strips)} strips in tag {tag}")
        size = SIZES[entry.kind]
        for k, number in enumerate(numbers):
            fill(moved(entry.at) + k * size, number, size)
    return bytes(out)


# ---- strips -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """A strip or tile: rows of samples, a byte each or two."""

    width: int
    rows: list[bytes]


def strips_of(skeleton: Skeleton, mode: Mode, samples: Samples, repeated: int) -> Iterator[Strip]:
    """Strips or tiles, what tiles have beyond the picture included."""
    width, height, pixel = samples.width, samples.height, mode.channels * mode.width
    data = unpacked(samples.data, 1, width) if mode.bilevel else samples.data
    lines = [data[k : k + width * pixel] for k in range(0, len(data), width * pixel)]
    if 324 not in skeleton.entries:
        down = min(skeleton.value(ROWS, height), height)
        check_sides(down, width, samples)
        for top in range(0, height, down):
            yield Strip(width, lines[top : top + down])
        return
    across, down = skeleton.value(TILE_WIDTH), skeleton.value(TILE_LENGTH)
    check_sides(down, across, samples)
    for top in range(0, height, down):
        for left in range(0, width, across):
            rows = []
            for line in lines[top : top + down]:
                row = line[left * pixel : (left + across) * pixel]
                rows.append(row + (row[-pixel:] if repeated else bytes(pixel)) * (across - len(row) // pixel))
            rows += [rows[-1] if repeated else bytes(across * pixel)] * (down - len(rows))
            yield Strip(across, rows)


def check_sides(down: int, across: int, samples: Samples) -> None:
    if min(down, across) < 1 or down * across > 4 * samples.width * samples.height + (1 << 20):
        raise DamagedError(f"tiles of {across} x {down}")


def encode(skeleton: Skeleton, mode: Mode, strip: Strip, level: int) -> bytes:
    """The bytes of a strip."""
    rows, predictor = strip.rows, skeleton.value(PREDICTOR, 1)
    if not skeleton.value(PHOTOMETRIC):
        rows = [bytes(1 - v if mode.bilevel else 255 - v for v in row) for row in rows]
    if mode.bilevel:
        rows = [packed(row, 1, strip.width) for row in rows]
    if mode.width == 2 or predictor == 2:
        rows = [row_of_numbers(row, mode, skeleton.order, predictor) for row in rows]
    compression, whole = skeleton.value(COMPRESSION, 1), b"".join(rows)
    if compression == 5:
        whole = encode_lzw(whole)
    elif compression == 32773:
        whole = b"".join(map(encode_packbits, rows))
    elif compression in (8, 32946):
        whole = zlib.compress(whole, level)
    return whole.translate(MIRRORED) if skeleton.value(FILL, 1) == 2 else whole


MIRRORED = bytes(int(f"{v:08b}"[::-1], 2) for v in range(256))


def row_of_numbers(row: bytes, mode: Mode, order: str, predictor: int) -> bytes:
    """A row of samples in the file's byte order, or of their differences."""
    size, step = mode.width, mode.channels
    numbers = [int.from_bytes(row[k : k + size], "little") for k in range(0, len(row), size)]
    if predictor == 2:
        before = [0] * step + numbers
        numbers = [v - b & (1 << 8 * size) - 1 for v, b in zip(numbers, before, strict=False)]
    return b"".join(v.to_bytes(size, order) for v in numbers)  # type: ignore[arg-type]


CLEAR, STOP, FIRST, FULL = 256, 257, 258, 4094


class CodeWriter:
    """Codes of LZW, the highest bit first. written: their bits since the last clear code."""

    def __init__(self) -> None:
        self.total, self.bits, self.written, self.width = bytearray(), "", 0, 9

    def put(self, code: int) -> None:
        self.bits += f"{code:0{self.width}b}"
        self.written += self.width
        whole = len(self.bits) // 8 * 8
        self.total += bytes(int(self.bits[k : k + 8], 2) for k in range(0, whole, 8))
        self.bits = self.bits[whole:]

    def clear(self) -> None:
        """Begin anew."""
        self.put(CLEAR)
        self.width = 9

    def finish(self) -> bytes:
        self.put(STOP)
        return bytes(self.total) + (bytes([int(self.bits.ljust(8, "0"), 2)]) if self.bits else b"")


def encode_lzw(data: bytes) -> bytes:
    """LZW as libtiff writes it: the table is cleared when it is full, or when it no longer serves better."""
    out = CodeWriter()
    if not data:
        return out.finish()
    out.clear()
    codes: dict[tuple[int, int], int] = {}
    code, free, ratio, since, look = data[0], FIRST, 0, 1, 10_000
    for byte in data[1:]:
        since += 1
        if (code, byte) in codes:
            code = codes[code, byte]
            continue
        out.put(code)
        codes[code, byte] = free
        code, free = byte, free + 1
        drop = free == FULL
        if not drop and free > (1 << out.width) - 1:
            out.width += 1
        elif not drop and since >= look:
            look = since + 10_000
            now = (since << 8) // out.written
            drop, ratio = now <= ratio, now
        if drop:
            codes, free, ratio, since = {}, FIRST, 0, 0
            out.written = 0
            out.clear()
    out.put(code)
    free += 1
    if free == FULL:
        out.clear()
    elif free > (1 << out.width) - 1:
        out.width += 1
    return out.finish()


def encode_packbits(row: bytes) -> bytes:
    """PackBits as libtiff writes it: a run of two between literals becomes part of them."""
    out, literal, state, at = bytearray(), 0, "begin", 0
    while at < len(row):
        end = at
        while end < len(row) and row[end] == row[at]:
            end += 1
        count, byte, at = end - at, row[at], end
        while True:
            if state == "between":
                if count == 1 and out[-2] == 255 and out[literal] < 126:
                    out[literal] += 2
                    out[-2] = out[-1]
                    state = "begin" if out[literal] == 127 else "literal"
                else:
                    state = "run"
            if count > 1:
                state = "between" if state == "literal" else "run" if state == "begin" else state
                part = min(count, 128)
                out += bytes([257 - part, byte])
                count -= part
                if count:
                    continue
            elif state == "literal":
                out[literal] += 1
                out.append(byte)
                state = "begin" if out[literal] == 127 else state
            else:
                literal, state = len(out), "literal"
                out += bytes([0, byte])
            break
    return bytes(out)
