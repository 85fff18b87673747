"""Bytes in their order: numbers of variable length."""

from __future__ import annotations

from reader.errors import DamagedPayloadError


class Bytes:
    """Bytes that are read from the first to the last."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise DamagedPayloadError(f"expected {count} bytes at byte {self.at}, found {len(found)}")
        self.at += count
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                if shift and not byte:
                    break
                return value
        raise DamagedPayloadError(f"expected a varint in its shortest form before byte {self.at}")

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)
