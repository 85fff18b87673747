"""The container: coded segments to the bytes of a file and back, in the form that suits them.

docs/format.md is the byte-by-byte specification. The container knows sizes, checksums and limits and nothing about how
a payload is coded. The encoder stands above its decoder. No numpy, torch or PIL.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from bfncodec.format.compact import LONGEST_COMPACT, pack_compact, unpack_compact
from bfncodec.format.cuts import Cut, Grid
from bfncodec.format.frame import COMPACT, Coded, Frame, Place, read_start
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.segmented import SegmentWriter, unpack_segmented
from bfncodec.format.wire import Source

__all__ = ["pack", "unpack"]


def pack(header: Header, cut: Cut, coded: Sequence[Coded]) -> bytes:
    """Return the file of segments, which are in the order of the cut's extents."""
    if len(coded) == 1 and (header.kind not in (Kind.BYTES, Kind.STR) or len(coded[0].payload) <= LONGEST_COMPACT):
        return pack_compact(header, coded[0])
    out, grid = io.BytesIO(), cut if isinstance(cut, Grid) else None
    writer = SegmentWriter(out.write, header, grid)
    for segment, extent in zip(coded, cut.extents, strict=True):
        writer.add(segment, 0 if grid else extent[0][1] - extent[0][0])
    writer.finish()
    return out.getvalue()


def unpack(
    blob: Source,
    limits: Limits | None = None,
    salvage: bool = False,
    place: Place | None = None,
) -> Frame:
    """Return a parsed file; nothing is decoded yet, and no payload read.

    salvage: keep what a broken file still holds. place: the part of the content that is wanted; it may raise errors of
    its own.

    Raises a :class:`FormatError`: :class:`NotOursError`, :class:`NewerVersionError`, or
    :class:`DamagedError` (also for sizes beyond ``limits``).
    """
    limits = limits or Limits()
    if read_start(blob) >> 5 == COMPACT:
        return unpack_compact(blob, limits, place)
    return unpack_segmented(blob, limits, salvage, place)
