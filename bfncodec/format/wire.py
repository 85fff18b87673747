"""Bytes on the wire: variable-length integers, and a reader whose errors say where it stopped.

No numpy, no torch, no PIL: everything that only looks at a file's head stays fast.
"""

from __future__ import annotations

from typing import Protocol

from bfncodec.errors import DamagedError

__all__ = ["MAX_VARINT", "Reader", "Source", "varint"]

MAX_VARINT = (1 << 63) - 1  # nine bytes of seven bits


class Source(Protocol):
    """Bytes, or what gives the bytes of a file a slice at a time."""

    def __len__(self) -> int:
        """Return the number of bytes."""

    def __getitem__(self, span: slice, /) -> bytes:
        """Return the bytes of a slice."""


def varint(value: int) -> bytes:
    """Return a number as unsigned LEB128: seven bits a byte, least significant first, top bit on all but the last.

    Raises ValueError beyond 2^63 - 1.
    """
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"a varint holds 0 to 2^63 - 1, not {value}")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Reads ``data`` from ``offset`` on; whatever is not there is a :class:`DamagedError`."""

    def __init__(self, data: Source, offset: int = 0) -> None:
        self.data = data
        self.offset = offset

    def take(self, count: int, what: str) -> bytes:
        """Return the next ``count`` bytes; ``what`` names them in the error."""
        left = len(self.data) - self.offset
        if count > left:
            raise DamagedError(f"cut off: expected {count} bytes of {what} at byte {self.offset}, found {left}")
        self.offset += count
        return self.data[self.offset - count : self.offset]

    def byte(self, what: str) -> int:
        """Return the next byte as an integer."""
        return self.take(1, what)[0]

    def uint32(self, what: str) -> int:
        """Return the next four bytes as a little-endian integer."""
        return int.from_bytes(self.take(4, what), "little")

    def varint(self, what: str) -> int:
        """Return the next variable-length integer; only its shortest form is accepted."""
        start, value = self.offset, 0
        for shift in range(0, 63, 7):
            byte = self.byte(what)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    break
                return value
        raise DamagedError(f"expected {what} at byte {start}, found no valid variable-length integer")

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self.data) - self.offset, "payload")
