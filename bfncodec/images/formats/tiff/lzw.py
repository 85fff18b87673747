"""LZW as TIFF has it (TIFF 6.0, section 13), coded exactly as libtiff codes it.

Codes are of 9 to 12 bits, written from the highest bit on, and grow one entry before the table needs it. libtiff clears
the table when it is full, or when compression gets worse.
"""

from __future__ import annotations

from bfncodec.images.formats.spans import UnfitError

__all__ = ["decode", "encode"]

_CLEAR, _END, _FIRST = 256, 257, 258
_FEWEST, _MOST = 9, 12  # bits of a code
_LAST = (1 << _MOST) - 2  # the table is given up when its next entry would have this number
_GAP = 10_000  # bytes between looks at how well it goes
_HUGE = 0x7FFFFF  # bytes from which on the ratio is rounded otherwise


def encode(data: bytes) -> bytes:
    """Return the codes of data, with one that clears the table at the start and one that ends them."""
    writer = _CodeWriter()
    writer.clear()
    if not data:
        return writer.finish()
    table: dict[int, int] = {}  # (code << 8 | byte) to code
    prefix, done, best, check = data[0], 1, 0, _GAP
    for byte in data[1:]:
        done += 1
        key = prefix << 8 | byte
        found = table.get(key)
        if found is not None:
            prefix = found
            continue
        writer.put(prefix)
        prefix = byte
        table[key] = _FIRST + len(table)
        follow = _FIRST + len(table)
        clear = follow == _LAST
        if not clear and follow >> writer.width:
            writer.width += 1
        elif not clear and done >= check:
            check = done + _GAP
            ratio = _ratio(done, writer.written)
            clear, best = ratio <= best, max(ratio, best)
        if clear:
            table.clear()
            best = done = 0
            writer.clear()
    writer.put(prefix)
    follow = _FIRST + len(table) + 1
    if follow == _LAST:
        writer.clear()
    elif follow >> writer.width:
        writer.width += 1
    return writer.finish()


class _CodeWriter:
    """Codes as bits. width: of the next code. written: bits since the table was cleared, that code's among them."""

    def __init__(self) -> None:
        self.width, self.written = _FEWEST, 0
        self._out, self._bits, self._held = bytearray(), 0, 0

    def put(self, code: int) -> None:
        bits, held = self._bits << self.width | code, self._held + self.width
        self.written += self.width
        while held >= 8:
            held -= 8
            self._out.append(bits >> held & 0xFF)
        self._bits, self._held = bits & ((1 << held) - 1), held

    def clear(self) -> None:
        """Write the code that clears the table; codes are narrow again."""
        self.written = 0
        self.put(_CLEAR)
        self.width = _FEWEST

    def finish(self) -> bytes:
        """Return all codes, an end behind them."""
        self.put(_END)
        if self._held:
            self._out.append(self._bits << 8 - self._held & 0xFF)
        return bytes(self._out)


def _ratio(done: int, written: int) -> int:
    """Return how many times 256 bits there are for each bit written, in whole numbers as libtiff has them."""
    if done <= _HUGE:
        return (done << 8) // written
    return done // (written >> 8) if written >> 8 else 0x7FFFFFFF


def decode(strip: bytes, total: int) -> bytes:
    """Return the bytes of which :func:`encode` made the codes, ``total`` of them at most if they are right.

    UnfitError for codes that no encoder writes, for more than ``total`` bytes, or bytes after the end.
    """
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
