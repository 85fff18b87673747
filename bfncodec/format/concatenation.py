"""Files one after the other, as ``cat`` makes them: where each ends.

A segmented file says from its beginning where it ends. A compact one has no length, which would be the largest part of
its frame, so its end is where its content ends (LZMA has an end mark), or the first place at which its checksum holds
(stored), or, where a model coded it, the next place at which a file begins that holds good by itself: its checksum, or
its model's identity, says so. Each of these is right but for one in some 2^32 by chance. No model is run for it, and
what a file can make us try is bounded: a few places in the 64 KiB behind a compact file's head, as writers make no
longer ones of bytes and text. docs/format.md, section 9, is the specification. No numpy, torch or PIL.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from bfncodec.errors import FormatError, InputError
from bfncodec.format import lzmaraw
from bfncodec.format.container import LONGEST_COMPACT, MAGIC, Compact, read_compact, segmented_end, unpack
from bfncodec.format.extras import Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.format.wire import Source

__all__ = ["Known", "check_joinable", "is_joinable", "split"]

Known = Callable[[bytes], bool]
"""Tells whether four bytes are the identity of a model on this machine."""

_MOST_BYTES = 1 << 26  # of a segment's content
_MOST_ENDS = 256  # places that are tried as the end of a stored file, each by a checksum
_MOST_HEADS = 16  # places that are looked at for a head after a file that a model coded


def split(blob: bytes, known: Known) -> list[bytes]:
    """Return the files that a file consists of, mostly one. Bytes that are no file stay with the file before them."""
    starts = [0]
    while (end := _end(blob, starts[-1], known)) is not None and blob[end : end + 2] == MAGIC:
        starts.append(end)
    if len(starts) == 1:
        return [blob]
    return [blob[start:stop] for start, stop in zip(starts, [*starts[1:], len(blob)], strict=True)]


def is_joinable(header: Header) -> bool:
    """Return whether content of that header may stand beside other: plain bytes and text."""
    apart = header.extra(Tag.FILES) or header.extra(Tag.MOVED)
    return header.kind in (Kind.BYTES, Kind.STR) and apart is None


def check_joinable(blob: bytes) -> None:
    """Raise InputError for a compressed file that may not stand beside others."""
    if not is_joinable(unpack(blob, OF_WRITERS).header):
        raise InputError(
            "is kept as a picture, a folder or arrays, and only bytes and text can be read again where several files "
            "are one",
            python="give each a file of its own",
            command="use -o FOLDER/, or --bytes to take a picture file as bytes",
        )


def follower(blob: Source) -> int | None:
    """Return the byte at which another file may begin in one whose checksum does not hold; None if there is none.

    Pictures are not cut apart; this tells why several of them, one after the other, cannot be read.
    """
    data = blob[0 : len(blob)]
    place, looked = data.find(MAGIC, 7), 0
    while place > 0 and looked < _MOST_HEADS:
        with suppress(FormatError):
            unpack(_Rest(data, place))
            return place
        place, looked = data.find(MAGIC, place + 1), looked + 1
    return None


@dataclass(frozen=True)
class _Rest:
    """A view of the bytes from a place on; nothing is copied before it is asked for."""

    blob: bytes
    start: int

    def __len__(self) -> int:
        return len(self.blob) - self.start

    def __getitem__(self, span: slice, /) -> bytes:
        start, stop, _ = span.indices(len(self))
        return self.blob[self.start + start : self.start + stop]


def _end(blob: bytes, start: int, known: Known) -> int | None:
    """Return the end of the file that begins at ``start``; None if that is the end of all, or cannot be told."""
    if blob.find(MAGIC, start + 7) < 0:
        return None
    rest = _Rest(blob, start)
    try:
        if _is_segmented(rest):
            return start + segmented_end(rest, Limits())
        compact = read_compact(rest)
    except FormatError:
        return None
    if not is_joinable(compact.header):
        return None
    if compact.method is Method.STORED:
        return _stored_end(blob, start, compact)
    if compact.method is Method.LZMA:
        return _lzma_end(blob, start, compact)
    return _model_end(blob, start, compact, known)


def _is_segmented(rest: Source) -> bool:
    return bool(rest[2:3]) and bool(rest[2:3][0] & 2)


def _heads(blob: bytes, start: int) -> Iterator[int]:
    """Yield the places at which a file may begin, behind the head of a compact one."""
    place = blob.find(MAGIC, start)
    while 0 <= place <= start + LONGEST_COMPACT:
        yield place
        place = blob.find(MAGIC, place + 1)


def _stored_end(blob: bytes, start: int, compact: Compact) -> int | None:
    """Return the first end with which the checksum of a stored file holds, None if there is none."""
    begin = start + compact.payload_start
    running, before = 0, begin
    for number, end in enumerate([*_heads(blob, begin), len(blob)]):
        if number > _MOST_ENDS or end - begin > LONGEST_COMPACT:
            break
        running, before = zlib.crc32(blob[before:end], running), end
        if zlib.crc32(blob[begin:end], zlib.crc32(compact.prefix, running)) == compact.crc:
            return end
    return None


def _lzma_end(blob: bytes, start: int, compact: Compact) -> int | None:
    """Return the end of an LZMA stream, None unless the checksum holds."""
    begin = start + compact.payload_start
    try:
        data, size = lzmaraw.unpack_first(_Rest(blob, begin), _MOST_BYTES)
    except FormatError:
        return None
    crc = zlib.crc32(blob[begin : begin + size], zlib.crc32(compact.prefix, zlib.crc32(data)))
    return begin + size if crc == compact.crc else None


def _model_end(blob: bytes, start: int, compact: Compact, known: Known) -> int | None:
    """Return the next place at which a file begins that holds good by itself, None if there is none."""
    for number, place in enumerate(_heads(blob, start + compact.payload_start)):
        if number >= _MOST_HEADS:
            break
        if _holds_good(blob, place, lambda identity: identity == compact.model or known(identity)):
            return place
    return None


def _holds_good(blob: bytes, place: int, known: Known) -> bool:
    """Return whether the file that begins at a place has a right checksum, or the identity of a known model."""
    rest = _Rest(blob, place)
    try:
        if _is_segmented(rest):
            segmented_end(rest, Limits())
            return True
        compact = read_compact(rest)
    except FormatError:
        return False
    if compact.method is Method.MODEL:
        return known(compact.model)
    if not is_joinable(compact.header):
        return False
    ends = {Method.STORED: _stored_end, Method.LZMA: _lzma_end}
    return ends[compact.method](blob, place, compact) is not None
