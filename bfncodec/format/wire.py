"""Bytes on the wire: variable-length integers, and a reader whose errors say where it stopped.

No numpy, no torch, no PIL: everything that only looks at a file's head stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bfncodec.errors import DamagedError, InputError

__all__ = ["MAX_VARINT", "Part", "Reader", "Source", "StreamReader", "last_varint", "varint"]

MAX_VARINT = (1 << 63) - 1  # nine bytes of seven bits
_CHUNK = 1 << 20  # bytes asked of a pipe at once


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


def last_varint(data: bytes) -> tuple[int, int]:
    """Return the number at the end of the data, a :func:`varint` with its bytes in reverse order, and its size.

    Raises DamagedError if there is none.
    """
    reader = Reader(data[:-10:-1])
    value = reader.varint("a number from its end")
    return value, reader.offset


@dataclass(frozen=True)
class Part:
    """A part of a source as a source; nothing is copied before it is asked for."""

    source: Source
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, span: slice, /) -> bytes:
        start, stop, _ = span.indices(len(self))
        return self.source[self.start + start : self.start + max(start, stop)]


class Reader:
    """Reader of ``data`` from ``offset`` on; whatever is not there is a :class:`DamagedError`."""

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

    def uint16(self, what: str) -> int:
        """Return the next two bytes as a little-endian integer."""
        return int.from_bytes(self.take(2, what), "little")

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

    def since(self, start: int) -> bytes:
        """Return what was read from an offset on."""
        return self.data[start : self.offset]

    def forget(self) -> None:
        """Allow what was read so far to be dropped; it is not asked for with :meth:`since`."""

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self.data) - self.offset, "payload")


@dataclass(frozen=True)
class _Ahead:
    """Bytes that were read ahead, as a source."""

    data: bytearray

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, span: slice, /) -> bytes:
        with memoryview(self.data) as view:
            return bytes(view[span])


class StreamReader(Reader):
    """Reader of what comes from a pipe. read: returns at most so many bytes, none at the end of all."""

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        super().__init__(b"")
        self._read, self._ahead, self._kept, self._forgotten = read, bytearray(), bytearray(), 0

    def peek(self, count: int) -> bytes:
        """Return the next ``count`` bytes, or all that are left, without reading past them."""
        return self.ahead(count)[0:count]

    def ahead(self, count: int) -> Source:
        """Return what :meth:`peek` returns as a source, which holds until more is read."""
        while len(self._ahead) < count and (found := self._some(min(count - len(self._ahead), _CHUNK))):
            self._ahead += found
        return Part(_Ahead(self._ahead), 0, min(count, len(self._ahead)))

    def take(self, count: int, what: str) -> bytes:
        found = self.peek(count)
        if len(found) < count:
            raise DamagedError(f"cut off: expected {count} bytes of {what} at byte {self.offset}, found {len(found)}")
        del self._ahead[:count]
        self._kept += found
        self.offset += count
        return found

    def since(self, start: int) -> bytes:
        return bytes(self._kept[start - self._forgotten :])

    def forget(self) -> None:
        self._kept.clear()
        self._forgotten = self.offset

    def rest(self) -> bytes:
        found = bytearray(self._ahead)
        while chunk := self._some(_CHUNK):
            found += chunk
        self._ahead.clear()
        self.offset += len(found)
        return bytes(found)

    def _some(self, count: int) -> bytes:
        """Return at most so many bytes, none at the end alone. Raises InputError where that cannot be known."""
        found = self._read(count)
        if found is None:  # as streams return that do not wait: what is to come would be lost
            raise InputError("expected bytes or an end, found a stream that has nothing yet: let it wait for them")
        return found
