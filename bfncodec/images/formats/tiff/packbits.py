"""PackBits as TIFF has it (TIFF 6.0, section 9), coded exactly as libtiff codes it.

A count below 128 precedes so many bytes and one more, a *literal*; 257 less a count precedes a byte that is repeated so
often, a *run*; a count of 128 says nothing.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bfncodec.images.formats.spans import UnfitError

__all__ = ["decode", "encode_row"]

_LONGEST = 128  # bytes of a run or of a literal
_PAIR = 0xFF  # count of a run of two


def encode_row(row: bytes) -> bytes:
    """Return the runs and literals of one row. A run of two between literals becomes part of them."""
    values = np.frombuffer(row, np.uint8)
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(row)]
    out, literal, between = bytearray(), -1, False  # where the count of the last literal is, -1 for none to go on with
    for start, stop in pairwise(edges):
        byte, left = row[start : start + 1], stop - start
        if between and (left > 1 or out[-2] != _PAIR or out[literal] >= _LONGEST - 2):
            literal = -1
        elif between:
            out[literal], out[-2] = out[literal] + 2, out[-1]
            literal = _unless_full(out, literal)
        before, between = literal, False
        while left > 1:
            run = min(left, _LONGEST)
            out += bytes([257 - run]) + byte
            left, between, literal = left - run, before >= 0 and left == run, -1
            before = before if between else -1
        literal = before if between else literal
        if left and literal >= 0:
            out[literal] += 1
            out += byte
            literal = _unless_full(out, literal)
        elif left:
            literal = len(out)
            out += b"\0" + byte
    return bytes(out)


def _unless_full(out: bytearray, literal: int) -> int:
    return -1 if out[literal] == _LONGEST - 1 else literal


def decode(strip: bytes, total: int) -> bytes:
    """Return the bytes of runs and literals. UnfitError where the strip ends in one, or far too late."""
    out, at = bytearray(), 0
    while at < len(strip) and len(out) <= total:
        count = strip[at]
        if count < _LONGEST:
            out += strip[at + 1 : at + 2 + count]
            at += 2 + count
        elif count > _LONGEST:
            out += strip[at + 1 : at + 2] * (257 - count)
            at += 2
        else:
            at += 1
    if at != len(strip):
        raise UnfitError("PackBits that end too early or too late")
    return bytes(out)
