"""Parity bytes: a Reed-Solomon code (Reed and Solomon 1960) over GF(2^8) that repairs a damaged byte of every 255,
interleaved.

The bytes d_0, d_1, ... of a block are dealt to I columns in turn: byte k is in row k // I of column k % I. Each column
of at most 253 bytes gets two more,

    p = sum of d_r      and      q = sum of alpha^r d_r      in GF(2^8), alpha a primitive element, r the row.

If byte r of a column was changed by e, the recomputed sums differ from p by e and from q by alpha^r e: so e and r are
known. Neighbours are in different columns, so that damage to I consecutive bytes, 0.39% of the block, is repaired as
that to a single one is. Two damaged bytes in a column cannot be told from another damaged byte; a CRC-32 of the block
says whether the repair was right.

Two bytes of 255 are 0.78%.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from bfncodec.runtime.arrays import Bytes, Ints

ROWS = 253  # data bytes of a column
_POLYNOMIAL = 0x11D  # x^8 + x^4 + x^3 + x^2 + 1, for which alpha = x is primitive
_CRC = 4


def _powers() -> Ints:
    """alpha^k for k = 0 ... 254."""
    found = [1]
    for _ in range(254):
        double = found[-1] << 1
        found.append(double ^ _POLYNOMIAL if double > 0xFF else double)
    return np.array(found)


_POWER = _powers()
_LOG = np.zeros(256, np.int64)
_LOG[_POWER] = np.arange(255)
_DOUBLE = np.array([b << 1 ^ (_POLYNOMIAL if b & 0x80 else 0) for b in range(256)]).astype(np.uint8)  # alpha b


@dataclass(frozen=True)
class Read:
    """A block that was read back.

    block: repaired, if need be; found: as it was found. sound: its CRC-32 is right, so that nothing is wrong with it.
    damaged: bytes that were changed, at least, those of parity and CRC included.
    """

    block: bytes
    found: bytes
    sound: bool
    damaged: int


def protect(block: bytes) -> bytes:
    """The block, p of every column, q of every column, and the block's CRC-32."""
    return block + b"".join(part.tobytes() for part in _sums(block)) + _crc(block)


def read(protected: bytes) -> Read | None:
    """Read a block back, repaired if need be: inverse of `protect`. None for a length that no protected block has."""
    length = len(protected) - _CRC
    columns = _columns(length, ROWS + 2)
    size = length - 2 * columns
    if size < 1 or columns != _columns(size, ROWS):
        return None
    block, sums, crc = protected[:size], protected[size:length], protected[length:]
    if _crc(block) == crc and b"".join(part.tobytes() for part in _sums(block)) == sums:
        return Read(block, block, True, 0)
    repaired, damaged = _repaired(block, np.frombuffer(sums, np.uint8).reshape(2, -1))
    # A damaged CRC-32 is the one damage that leaves the block and all its sums in agreement.
    sound = _crc(repaired) == crc or damaged == 0
    return Read(repaired, block, sound, max(damaged, 1))


def _repaired(block: bytes, sums: Bytes) -> tuple[bytes, int]:
    """The block with what its sums say was changed put right, and how many columns do not agree with them."""
    p, q = (own ^ stored for own, stored in zip(_sums(block), sums, strict=True))
    column = np.flatnonzero((p != 0) & (q != 0))  # if only one differs, it is the sum that is damaged
    row = (_LOG[q[column]] - _LOG[p[column]]) % 255
    place = row * len(p) + column
    inside = place < len(block)
    data = np.frombuffer(block, np.uint8).copy()
    data[place[inside]] ^= p[column[inside]]
    return data.tobytes(), int(np.count_nonzero(p | q))


def _sums(block: bytes) -> tuple[Bytes, Bytes]:
    """p and q of every column."""
    columns = _columns(len(block), ROWS)
    rows = -(-len(block) // columns)
    data = np.frombuffer(block + bytes(rows * columns - len(block)), np.uint8).reshape(rows, columns)
    q = np.zeros(columns, np.uint8)
    for row in data[::-1]:  # Horner's rule
        q = _DOUBLE.take(q) ^ row
    return np.bitwise_xor.reduce(data, 0), q


def _columns(length: int, rows: int) -> int:
    return -(-length // rows)


def _crc(block: bytes) -> bytes:
    return zlib.crc32(block).to_bytes(4, "little")
