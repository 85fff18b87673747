"""Every byte of a TIFF file, and whether its parts may move."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from bfncodec.images.formats.spans import Role, Span, UnfitError
from bfncodec.images.formats.tiff.tags import Tags

__all__ = ["check_places", "spans_of"]

_UNKNOWN, _KEPT, _POINTER, _TABLE, _STRIP = range(5)
"""Uses of a byte: none that a tag tells of, directories and values, places of them, the tables, strips."""
_ROLES = {_STRIP: Role.PIXELS, _POINTER: Role.DERIVED, _TABLE: Role.DERIVED}


def check_places(tags: Tags, places: Sequence[int], sizes: Sequence[int]) -> None:
    """Raise UnfitError unless strips follow one another, and nothing else lies in them."""
    ends = [place + size for place, size in zip(places, sizes, strict=True)]
    if any(place < end for place, end in zip(places, [8, *ends[:-1]], strict=True)) or ends[-1] > len(tags.data):
        raise UnfitError("strips in another order, or beyond the end")
    for start, size in tags.parts:
        number = bisect_right(places, start + size - 1)
        if number and ends[number - 1] > start:
            raise UnfitError("something in a strip")


def spans_of(tags: Tags, places: Sequence[int], sizes: Sequence[int], moving: bool) -> list[Span]:
    """Return all bytes of a file in order, with their roles. Zeros that nothing tells of are but padding.

    moving: strips may come back with other sizes, so that what is behind them moves; then UnfitError for a file in
    which something may point to a place that is not known.
    """
    if moving and not tags.may_move:
        raise UnfitError("tags that may point to a place in the file")
    spans = []
    for use, body in _used(tags, places, sizes):
        padding = use == _UNKNOWN and not body.strip(b"\0")
        if moving and use == _UNKNOWN and not padding:
            raise UnfitError("bytes that no tag tells of")
        spans.append((Role.DERIVED if padding else _ROLES.get(use, Role.KEPT), body))
    return spans


def _used(tags: Tags, places: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the longest pieces of the file of which all bytes have one use, in order, and that use."""
    uses = np.zeros(len(tags.data), np.uint8)
    uses[:8] = _KEPT
    for start, size in tags.parts:
        uses[start : start + size] = _KEPT
    for pointer in tags.pointers:
        uses[pointer : pointer + 4] = _POINTER
    for entry in tags.tables:
        uses[entry.at : entry.at + entry.size] = _TABLE
    for place, size in zip(places, sizes, strict=True):
        uses[place : place + size] = _STRIP
    edges = (np.flatnonzero(np.diff(uses)) + 1).tolist()
    for start, stop in pairwise([0, *edges, len(tags.data)]):
        yield int(uses[start]), tags.data[start:stop]
