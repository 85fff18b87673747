"""Strips and tiles of TIFF files: samples to their bytes and back, each coded alone.

Every coder is deterministic and in this file, but for zlib. LZW and PackBits make what libtiff makes; for large strips
libtiff itself is asked first, as it is a hundred times faster, and not taken at its word.
"""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

from bfncodec.images.formats.spans import UnfitError
from bfncodec.runtime.arrays import Pixels

__all__ = ["DEFLATE", "LZW", "PACKBITS", "RAW", "decode", "encode", "integrate", "predict", "reversed_bits"]

RAW, LZW, PACKBITS, DEFLATE = 1, 5, 32773, (8, 32946)
"""Values of the tag Compression."""

_REVERSED = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))


def encode(rows: bytes, size: int, compression: int, level: int, quick: bool = False) -> bytes:
    """The bytes of a strip of rows of that size. level: zlib's, for DEFLATE. quick: by libtiff where that is faster."""
    if compression == RAW:
        return rows
    if quick and compression in _NAMES and len(rows) >= _LARGE:
        return _by_libtiff(rows, size, compression)
    if compression == LZW:
        return _encode_lzw(rows)
    if compression == PACKBITS:
        return b"".join(_encode_packbits(rows[at : at + size]) for at in range(0, len(rows), size))
    return zlib.compress(rows, level)


def decode(strip: bytes, size: int, compression: int, total: int) -> bytes:
    """The rows of that size in a strip, of which all bytes count. Raises UnfitError for another total size."""
    if compression == RAW:
        rows = strip
    elif (found := _quickly_decoded(strip, size, compression, total)) is not None:
        rows = found
    elif compression == LZW:
        rows = _decode_lzw(strip, total)
    elif compression == PACKBITS:
        rows = _decode_packbits(strip, total)
    else:
        coder = zlib.decompressobj()
        rows = coder.decompress(strip, total + 1) + (b"" if coder.eof else coder.decompress(coder.unconsumed_tail, 1))
        if not coder.eof or coder.unused_data:
            raise UnfitError("a strip that does not end with its samples")
    if len(rows) != total:
        raise UnfitError(f"a strip of {len(rows)} bytes where {total} are expected")
    return rows


def reversed_bits(strip: bytes) -> bytes:
    """Every byte from its lowest bit to its highest, as FillOrder 2 has them."""
    return strip.translate(_REVERSED)


def predict(samples: Pixels) -> Pixels:
    """Differences of samples ``[H, W, C]`` to the pixel on their left, as Predictor 2 has them."""
    out = samples.copy()
    out[:, 1:] -= samples[:, :-1]
    return out


def integrate(differences: Pixels) -> Pixels:
    """The inverse of :func:`predict`."""
    import numpy as np

    return np.cumsum(differences, axis=1, dtype=differences.dtype)


# ---- libtiff, by way of Pillow ----------------------------------------------------------------

_NAMES = {LZW: "tiff_lzw", PACKBITS: "packbits"}
_LARGE = 1 << 12  # bytes of rows from which on it is faster


def _by_libtiff(rows: bytes, size: int, compression: int) -> bytes:
    """A strip as the libtiff that is here makes it."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.frombytes("L", (size, len(rows) // size), rows)
    image.save(out, "TIFF", compression=_NAMES[compression], strip_size=len(rows))
    with Image.open(out, formats=("TIFF",)) as made:
        (start,), (count,) = made.tag_v2[273], made.tag_v2[279]  # type: ignore[attr-defined]
    return out.getvalue()[start : start + count]


def _quickly_decoded(strip: bytes, size: int, compression: int, total: int) -> bytes | None:
    """The rows in a strip that libtiff makes of just these rows; None where that cannot be said."""
    from PIL import Image

    if compression not in _NAMES or total < _LARGE:
        return None
    count = total // size
    tags = {256: size, 257: count, 258: 8, 259: compression, 262: 1, 273: 8, 278: count, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(strip))
    data = head + strip + struct.pack("<H", len(tags)) + entries + bytes(4)
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            rows = image.tobytes() if image.size == (size, count) and image.mode == "L" else b""
        return rows if len(rows) == total and _by_libtiff(rows, size, compression) == strip else None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever Pillow says of the strip, our own decoder has the last word
        return None


# ---- LZW --------------------------------------------------------------------------------------

_CLEAR, _END, _FIRST = 256, 257, 258
_FEWEST, _MOST = 9, 12  # bits of a code
_LAST = (1 << _MOST) - 2  # the table is given up when its next entry would have this number
_GAP = 10_000  # bytes between looks at how well it goes
_HUGE = 0x7FFFFF  # bytes from which on the ratio is rounded otherwise


def _encode_lzw(data: bytes) -> bytes:
    """Codes from the highest bit on; the table is cleared when it is full, or compression gets worse."""
    out, bits, held, width, limit = bytearray(), 0, 0, _FEWEST, (1 << _FEWEST) - 1
    table: dict[int, int] = {}
    follow, best, check, done, written = _FIRST, 0, _GAP, 0, 0

    def put(code: int) -> None:
        nonlocal bits, held, written
        bits, held = bits << width | code, held + width
        written += width
        while held >= 8:
            held -= 8
            out.append(bits >> held & 0xFF)
        bits &= (1 << held) - 1

    put(_CLEAR)
    prefix = data[0] if data else None
    done = len(data[:1])
    for byte in data[1:]:
        done += 1
        key = prefix << 8 | byte  # type: ignore[operator]
        found = table.get(key)
        if found is not None:
            prefix = found
            continue
        put(prefix)  # type: ignore[arg-type]
        prefix = byte
        table[key] = follow
        follow += 1
        clear = follow == _LAST
        if not clear and follow > limit:
            width, limit = width + 1, 2 * limit + 1
        elif not clear and done >= check:
            check = done + _GAP
            ratio = _ratio(done, written)
            clear, best = ratio <= best, max(ratio, best)
        if clear:
            table.clear()
            best = done = written = 0
            follow = _FIRST
            put(_CLEAR)
            width, limit = _FEWEST, (1 << _FEWEST) - 1
    if prefix is not None:
        put(prefix)
        follow += 1
        if follow == _LAST:
            put(_CLEAR)
            width = _FEWEST
        elif follow > limit:
            width += 1
    put(_END)
    if held:
        out.append(bits << 8 - held & 0xFF)
    return bytes(out)


def _ratio(done: int, written: int) -> int:
    """How many times 256 bits there are for each bit written, in whole numbers as libtiff has them."""
    if done <= _HUGE:
        return (done << 8) // written
    return done // (written >> 8) if written >> 8 else 0x7FFFFFFF


def _decode_lzw(strip: bytes, total: int) -> bytes:
    """The inverse. Raises UnfitError for codes that no encoder writes, or bytes after the last."""
    table = [bytes([byte]) for byte in range(256)] + [b"", b""]
    out: list[bytes] = []
    size, at, width, held, bits, before = 0, 0, _FEWEST, 0, 0, b""
    while size <= total:
        while held < width:
            if at == len(strip):
                raise UnfitError("LZW codes without an end")
            bits, held, at = bits << 8 | strip[at], held + 8, at + 1
        held -= width
        code, bits = bits >> held, bits & ((1 << held) - 1)
        if code == _END:
            if at != len(strip) or bits:
                raise UnfitError("bytes after LZW codes")
            return b"".join(out)
        if code == _CLEAR:
            del table[_FIRST:]
            width, before = _FEWEST, b""
            continue
        if code > len(table) or (not before and code >= _FIRST):
            raise UnfitError(f"LZW code {code} without a meaning")
        if before:
            table.append(before + (table[code] if code < len(table) else before)[:1])
        before = table[code]
        out.append(before)
        size += len(before)
        if len(table) + 1 >= 1 << width and width < _MOST:
            width += 1
    raise UnfitError("more LZW codes than samples")


# ---- PackBits ---------------------------------------------------------------------------------

_LONGEST = 128  # bytes of a run or of a literal
_PAIR = 0xFF  # count of a run of two


def _encode_packbits(row: bytes) -> bytes:
    """Runs and literals of one row. A run of two between literals becomes part of them."""
    import numpy as np

    values = np.frombuffer(row, np.uint8)
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(row)]
    out, literal, between = bytearray(), -1, False  # where the count of the last literal is, -1 for none to go on with
    for start, stop in pairwise(edges):
        byte, left = row[start : start + 1], stop - start
        if between and (left > 1 or out[-2] != _PAIR or out[literal] >= _LONGEST - 2):
            literal = -1
        elif between:
            out[literal], out[-2] = out[literal] + 2, out[-1]
            literal = _unless_full(out, literal)
        before, between = literal, False
        while left > 1:
            run = min(left, _LONGEST)
            out += bytes([257 - run]) + byte
            left, between, literal = left - run, before >= 0 and left == run, -1
            before = before if between else -1
        literal = before if between else literal
        if left and literal >= 0:
            out[literal] += 1
            out += byte
            literal = _unless_full(out, literal)
        elif left:
            literal = len(out)
            out += b"\0" + byte
    return bytes(out)


def _unless_full(out: bytearray, literal: int) -> int:
    return -1 if out[literal] == _LONGEST - 1 else literal


def _decode_packbits(strip: bytes, total: int) -> bytes:
    out, at = bytearray(), 0
    while at < len(strip) and len(out) <= total:
        count = strip[at]
        if count < _LONGEST:
            out += strip[at + 1 : at + 2 + count]
            at += 2 + count
        elif count > _LONGEST:
            out += strip[at + 1 : at + 2] * (257 - count)
            at += 2
        else:
            at += 1
    if at != len(strip):
        raise UnfitError("PackBits that end too early or too late")
    return bytes(out)
