"""Machine code of x86: addresses that count from where they stand, as addresses in the file and back.

A function that is called from many places has another distance from each, but one address. So where a call or a jump
(E8, E9), or an instruction of 64 bits that reads or writes memory relative to the next one, is followed by a distance
of 32 bits whose upper byte is 00 or FF, its place is added to the lower three bytes, modulo 2^24. Whether it really is
an instruction does not matter: what the bytes before a distance and its upper byte say is known on both sides.
"""

from __future__ import annotations

import re

import numpy as np

from bfncodec.runtime.arrays import Ints

MEMORY = (0x03, 0x2B, 0x39, 0x3B, 0x89, 0x8B, 0x8D)  # add, sub, cmp, cmp, mov, mov, lea
LEAST = 1 << 12  # bytes of a file that is looked at
RARE = 1 << 8  # a distance for so many bytes makes machine code
_NEAR = b"\0\xff"  # upper bytes of distances
_DISTANCE = re.compile(
    rb"(?:(?<=[\xe8\xe9])|(?<=[\x48-\x4f][%s][\x05\x0d\x15\x1d\x25\x2d\x35\x3d]))...[\x00\xff]"
    % re.escape(bytes(MEMORY)),
    re.DOTALL,
)


def is_machine_code(data: bytes) -> bool:
    """Return whether there are so many distances in a file that it likely is machine code."""
    if len(data) < LEAST:
        return False
    values, places = np.frombuffer(data, np.uint8), _behind(data)
    return int(np.isin(values[places + 3], list(_NEAR)).sum()) * RARE >= len(data)


def absolute(data: bytes) -> bytes:
    """Replace distances by addresses, from the end to the beginning."""
    found = bytearray(data)
    for place in _behind(data)[::-1].tolist():
        if found[place + 3] in _NEAR:
            _move(found, place, place)
    return bytes(found)


def relative(data: bytes) -> bytes:
    """Inverse of `absolute`."""
    found, place = bytearray(data), 0
    while match := _DISTANCE.search(found, place):
        _move(found, match.start(), -match.start())
        place = match.start() + 1
    return bytes(found)


def _behind(data: bytes) -> Ints:
    """Return places behind the beginnings of such instructions, rising, int64."""
    x = np.frombuffer(data, np.uint8)
    found = np.zeros(len(x), np.bool_)
    found[1:] = (x[:-1] & 0xFE) == 0xE8
    found[3:] |= ((x[:-3] & 0xF8) == 0x48) & np.isin(x[1:-2], MEMORY) & ((x[2:-1] & 0xC7) == 0x05)
    return np.flatnonzero(found[:-3])


def _move(data: bytearray, place: int, by: int) -> None:
    """Add a number to three bytes, modulo 2^24."""
    value = int.from_bytes(data[place : place + 3], "little") + by & 0xFFFFFF
    data[place : place + 3] = value.to_bytes(3, "little")
