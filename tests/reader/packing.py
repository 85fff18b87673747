"""Section 4 of the file format: how the pixels of a PNG file were packed (tag 89)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from reader.errors import DamagedError
from reader.wire import Bytes

FOUR, FIVE = 6, 7
RULES = {5: (0, 1, 2, 3, 4), FOUR: (0, 2, 1, 4), FIVE: (0, 2, 1, 3, 4)}
"""In the place of a filter: of those in this order the first with the least sum."""


@dataclass(frozen=True)
class Packing:
    """Parameters of zlib, filters and chunks. filter: of all rows but the others. sizes: of all chunks but the last."""

    level: int
    strategy: int
    memory: int
    window: int
    head: int
    stored: int
    filter: int
    size: int
    sizes: tuple[int, ...] = ()
    others: dict[int, int] = field(default_factory=dict)

    def deflated(self, rows: bytes) -> bytes:
        """The zlib stream of filtered rows."""
        cmf, flags = (self.head & 7) << 4 | 8, (self.head >> 3) << 6
        flags += -(cmf << 8 | flags) % 31
        if self.level:
            coder = zlib.compressobj(self.level, zlib.DEFLATED, -self.window, self.memory, self.strategy)
            blocks = coder.compress(rows) + coder.flush()
        else:
            parts = [rows[k : k + self.stored] for k in range(0, len(rows), self.stored)]
            blocks = b"".join(stored_block(part, k == len(parts) - 1) for k, part in enumerate(parts))
        return bytes([cmf, flags]) + blocks + zlib.adler32(rows).to_bytes(4, "big")

    def parts(self, stream: bytes) -> list[bytes]:
        """The contents of the IDAT chunks."""
        sizes = self.sizes or [self.size] * ((len(stream) - 1) // self.size if self.size else 0)
        found = []
        for size in sizes:
            if len(stream) > size:
                found.append(stream[:size])
                stream = stream[size:]
        return [*found, stream]


def short_packing(level: int, kind: int, width: int, *, bare: bool) -> Packing:
    """The packing of a short tag 89, or of level 6 and kind 0 without one. bare: mode P of 8 bits."""
    bare = bare or kind == 2
    flevel = (0, 0, 1, 1, 1, 1, 2, 3, 3, 3)[level]
    rule = 0 if bare else FIVE if kind == 1 else FOUR
    return Packing(level, 0 if bare else 1, 9, 15, flevel << 3 | 7, 0, rule, max(1 << 16, 4 * width))


def stored_block(part: bytes, is_last: bool) -> bytes:
    size = len(part).to_bytes(2, "little")
    return bytes([is_last]) + size + bytes(v ^ 255 for v in size) + part


def read_packing(value: bytes, width: int, *, bare: bool) -> Packing:
    """The packing of tag 89."""
    if value and value[0] >> 7:
        level, kind = value[0] & 15, value[0] >> 4 & 7
        if len(value) > 1 or not 1 <= level <= 9 or kind > 2:
            raise DamagedError(f"a packing {value[:3].hex()}")
        return short_packing(level, kind, width, bare=bare)
    reader = Bytes(value)
    first, second, third = reader.take(3)
    level, strategy, memory, window = first & 15, first >> 4, second & 15, (second >> 4) + 8
    kind = third >> 5
    if level > 9 or strategy > 4 or not 1 <= memory <= 9 or not 9 <= window <= 15:
        raise DamagedError(f"a packing that begins with {value[:3].hex()}")
    stored = reader.varint() if not level else 0
    if not level and not 256 <= stored <= 65_535:
        raise DamagedError(f"stored blocks of {stored} bytes")
    size, sizes = read_sizes(reader)
    others: dict[int, int] = {}
    row = -1
    while reader.at < len(value):
        gap, found = divmod(reader.varint(), 5)
        row += gap + 1
        others[row] = found
    return Packing(level, strategy, memory, window, third & 31, stored, kind, size, sizes, others)


def read_sizes(reader: Bytes) -> tuple[int, tuple[int, ...]]:
    """(the size of all chunks but the last, or 0; or the size of each)"""
    form = reader.byte()
    if form == 0:
        return 0, ()
    if form == 1:
        size = reader.varint()
        if size < 256:
            raise DamagedError(f"chunks of {size} bytes")
        return size, ()
    if form == 2:
        sizes = tuple(reader.varint() for _ in range(reader.varint()))
        if 0 in sizes:
            raise DamagedError("an empty chunk")
        return 0, sizes
    if not 8 <= form <= 30:
        raise DamagedError(f"chunks of form {form}")
    return 1 << form, ()
