"""PNG files without interlacing: their samples, as PNG's own specification has them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from reader.errors import DamagedPayloadError
from reader.packing import RULES
from reader.wire import Bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of chunks, up to the last."""
    reader = Bytes(data)
    if reader.take(8) != SIGNATURE:
        raise DamagedPayloadError("expected a PNG file")
    name = b""
    while name != b"IEND":
        size = int.from_bytes(reader.take(4), "big")
        name = reader.take(4)
        content = reader.take(size)
        if zlib.crc32(name + content) != int.from_bytes(reader.take(4), "big"):
            raise DamagedPayloadError(f"CRC-32 of the chunk {name!r}")
        yield name, content
    if reader.at < len(data):
        raise DamagedPayloadError("bytes behind a PNG file")


def decode_png(data: bytes, check: Callable[[int, int], None]) -> tuple[int, int, int, int, bytes]:
    """(height, width, bits, colour type, rows without filters). check: of height and width."""
    chunks = list(chunks_of(data))
    name, head = chunks[0]
    if [found for found, _ in chunks].count(b"IHDR") > 1:
        raise DamagedPayloadError("IHDR twice")
    if name != b"IHDR" or len(head) != 13 or head[10:] != bytes(3):
        raise DamagedPayloadError("expected IHDR of a PNG file that is not interlaced")
    width, height = (int.from_bytes(head[k : k + 4], "big") for k in (0, 4))
    bits, colour = head[8:10]
    if colour not in CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise DamagedPayloadError(f"a PNG file of {width} x {height}, {bits} bits, colour type {colour}")
    check(height, width)
    step = CHANNELS[colour] * bits
    row = (width * step + 7) // 8
    decoder, size = zlib.decompressobj(), height * (row + 1)
    try:
        filtered = decoder.decompress(b"".join(c for n, c in chunks if n == b"IDAT"), size + 1)
    except zlib.error as error:
        raise DamagedPayloadError(f"pixels of a PNG file: {error}") from None
    if len(filtered) != size or not decoder.eof or decoder.unused_data:
        raise DamagedPayloadError(f"expected {size} bytes of rows, found {len(filtered)}")
    return height, width, bits, colour, unfilter(filtered, row, max(step // 8, 1))


def unfilter(data: bytes, size: int, step: int) -> bytes:
    """Rows of `size` bytes. data: each with the number of its filter before it; step: bytes from pixel to pixel."""
    above, rows = bytes(size), []
    for start in range(0, len(data), size + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + size + 1])
        if kind > 4:
            raise DamagedPayloadError(f"filter {kind}")
        for k in range(size if kind else 0):
            a, d = (row[k - step], above[k - step]) if k >= step else (0, 0)
            row[k] = row[k] + guess(kind, a, above[k], d) & 255
        rows.append(bytes(row))
        above = rows[-1]
    return b"".join(rows)


def guess(kind: int, a: int, b: int, d: int) -> int:
    """Return what a filter predicts from the bytes left, above and above left."""
    if kind == 4:
        p = a + b - d
        return min((a, b, d), key=lambda v: abs(p - v))
    return (0, a, b, (a + b) // 2)[kind]


def filtered(rows: bytes, size: int, step: int, kinds: list[int]) -> bytes:
    """Rows of `size` bytes with the number of their filter before each. kinds: filters, or rules as in tag 89."""
    above, found = bytes(size), []
    for start, kind in zip(range(0, len(rows), size), kinds, strict=True):
        row = rows[start : start + size]
        a, d = (bytes(step) + row)[:size], (bytes(step) + above)[:size]
        lines = [
            bytes([k, *(v - guess(k, *near) & 255 for v, *near in zip(row, a, above, d, strict=True))])
            for k in RULES.get(kind, (kind,))
        ]
        found.append(min(lines, key=lambda line: sum(min(v, 256 - v) for v in line[1:])))
        above = row
    return b"".join(found)
