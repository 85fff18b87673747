"""The container: coded segments to the bytes of a file and back, in the form that suits them.

docs/format.md is the byte-by-byte specification. The container knows sizes, checksums and limits and nothing about how
a payload is coded. The encoder stands above its decoder. No numpy, torch or PIL.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bfncodec.format.compact import ends_early, fits_compact, pack_compact, unpack_compact
from bfncodec.format.cuts import Cut, Grid
from bfncodec.format.extras import Extra
from bfncodec.format.frame import SEGMENTED, Coded, Frame, Place, read_start
from bfncodec.format.header import Header
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.format.segmented.whole import unpack_segmented
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.format.wire import Source

__all__ = ["copied", "pack", "relabelled", "unpack"]

_CHUNK = 1 << 20  # bytes of a file that are copied at once


def pack(header: Header, cut: Cut, coded: Sequence[Coded]) -> bytes:
    """Return the file of segments, which are in the order of the cut's extents."""
    if len(coded) == 1 and fits_compact(header, coded[0]):
        blob = pack_compact(header, coded[0])
        if not ends_early(blob, header, coded[0]):
            return blob
    out, grid = io.BytesIO(), cut if isinstance(cut, Grid) else None
    writer = SegmentWriter(out.write, header, grid)
    for segment, extent in zip(coded, cut.extents, strict=True):
        writer.add(segment, 0 if grid else extent[0][1] - extent[0][0])
    writer.finish()
    return out.getvalue()


def relabelled(blob: Source, extras: Iterable[Extra]) -> Iterator[bytes]:
    """Yield the bytes of a file with other metadata, in chunks: in the segmented form only the index is another.

    extras: all that a reader may skip, instead of those in the file. Raises FormatErrors.
    """
    frame = unpack(blob, OF_WRITERS)
    header, last = frame.header.split()[0], frame.entries[-1]
    if not last.head:
        segment = frame.segment(0)
        coded = Coded(segment.method, segment.payload, segment.check, segment.model)
        yield pack_compact(replace(header, extras=(*header.extras, *extras)), coded)
        return
    yield from copied(blob, last.end)
    out = io.BytesIO()
    SegmentWriter.after(out.write, frame, blob[last.end - 4 : last.end], extras).finish()
    yield out.getvalue()


def copied(blob: Source, end: int) -> Iterator[bytes]:
    """Yield the bytes of a file up to its byte ``end``, in chunks."""
    yield from (blob[start : min(start + _CHUNK, end)] for start in range(0, end, _CHUNK))


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
    if read_start(blob) >> 5 == SEGMENTED:
        return unpack_segmented(blob, limits, salvage, place)
    return unpack_compact(blob, limits, place)
