"""Segments of a file for tests to look at, and sources of codecs that none of them may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bfncodec.format.checks import crc32
from bfncodec.format.container import unpack
from bfncodec.format.frame import Coded, Segment
from bfncodec.format.kinds import Method
from bfncodec.format.wire import varint

MODEL, OTHER_MODEL = b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"


def stored(data: bytes, content: bytes | None = None) -> Coded:
    """A segment that is stored. content: what its samples are, where the payload is not that alone."""
    return Coded(Method.STORED, data, crc32(data if content is None else content))


def modelled(size: int, body: bytes = b"body", model: bytes = MODEL) -> Coded:
    """A segment of so many bytes by a model that nobody has."""
    return Coded(Method.MODEL, varint(size) + body, 77, model)


def segments_of(blob: bytes, salvage: bool = False) -> list[Segment]:
    """All segments of a file."""
    frame = unpack(blob, salvage=salvage)
    return [frame.segment(number, salvage) for number in range(len(frame.entries))]


class NoCodecs:
    """A source of codecs that is not to be asked."""

    def default(self, role: str, level: int = 5) -> Any:
        raise AssertionError("a codec was asked for")

    def named(self, name: str) -> Any:
        raise AssertionError("a codec was asked for")

    def identified(self, identity: bytes) -> Any:
        raise AssertionError("a codec was asked for")


def flips(blob: bytes) -> Iterator[bytes]:
    """The file with each of its bits flipped."""
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def dripping(blob: bytes, sizes: Callable[[], int]) -> Callable[[int], bytes]:
    """A function that reads a file as a pipe gives it: `sizes` bytes at most at a time."""
    place = 0

    def read(count: int) -> bytes:
        nonlocal place
        start, place = place, min(place + min(count, sizes()), len(blob))
        return blob[start:place]

    return read
