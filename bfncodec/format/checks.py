"""Checksums of the format: 16 bits where a frame has to stay small, 32 elsewhere.

docs/format.md, section 1, defines both. No numpy, torch or PIL.
"""

from __future__ import annotations

import binascii
import zlib

from bfncodec.format.wire import Source

__all__ = ["CRC16_START", "crc16", "crc16_of", "crc32"]

CRC16_START = 0xFFFF
_CHUNK = 1 << 20  # bytes that are read at once


def crc16(*parts: bytes, start: int = CRC16_START) -> int:
    """Return the CRC-16 of the parts, one after the other: polynomial x^16 + x^12 + x^5 + 1, not reflected."""
    for part in parts:
        start = binascii.crc_hqx(part, start)
    return start


def crc16_of(source: Source, start: int, stop: int, crc: int) -> int:
    """Return the CRC-16 of bytes of a source, never all of them in memory. crc: of what comes before them."""
    for place in range(start, stop, _CHUNK):
        crc = crc16(source[place : min(place + _CHUNK, stop)], start=crc)
    return crc


def crc32(*parts: bytes, start: int = 0) -> int:
    """Return the CRC-32 of zlib and PNG of the parts, one after the other."""
    for part in parts:
        start = zlib.crc32(part, start)
    return start
