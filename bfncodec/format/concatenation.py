"""Files one after the other, as ``cat`` makes them: where each ends.

A segmented file says where it ends. A compact one has no length, which would be the largest part of its frame: it ends
at the first place at which its checksum holds and a sound file begins, or at the end of all. No model is run for it,
and what a file can make us try is bounded. docs/format.md, section 9, is the specification. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from bfncodec.errors import FormatError, InputError, NewerVersionError
from bfncodec.format.checks import crc16
from bfncodec.format.compact import CODED_CHECK, CONTENT_CHECK, LONGEST_COMPACT
from bfncodec.format.container import unpack
from bfncodec.format.extras import Tag, skim_tags
from bfncodec.format.frame import COMPACT, MAGIC, MODEL_BYTES, read_start
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.format.segmented import read_head_of, segmented_end
from bfncodec.format.wire import Part, Reader, Source

__all__ = ["check_joinable", "first_end", "follower", "is_joinable", "split"]

_LONGEST_HEAD = 1 << 12  # bytes of a compact file of bytes or text before its payload
_MOST_ENDS = 16  # places at which a file's checksum holds that are looked at
_MOST_HEADS = 16  # places that are looked at for another file behind a damaged one
_APART = {Tag.FILES, Tag.MOVED, Tag.ITEMS}  # extras of bytes that stand alone


def split(blob: Source, limits: Limits | None = None) -> list[Source]:
    """Return the files that a file consists of, mostly one. Bytes that are no file stay with the file before them."""
    starts, limits = [0], limits or Limits()
    while (end := first_end(Part(blob, starts[-1], len(blob)), limits)) is not None:
        if blob[starts[-1] + end : starts[-1] + end + 2] != MAGIC:
            break
        starts.append(starts[-1] + end)
    if len(starts) == 1:
        return [blob]
    return [Part(blob, start, stop) for start, stop in zip(starts, [*starts[1:], len(blob)], strict=True)]


def is_joinable(header: Header) -> bool:
    """Return whether content of that header may stand beside other: plain bytes and text."""
    apart = any(extra.tag in _APART for extra in header.extras)
    return header.kind in (Kind.BYTES, Kind.STR) and not apart


def check_joinable(blob: bytes) -> None:
    """Raise InputError for a compressed file that may not stand beside others."""
    if not is_joinable(unpack(blob, OF_WRITERS).header):
        raise InputError(
            "is kept as a picture, a folder or arrays, and only bytes and text can be read again where several files "
            "are one",
            python="give each a file of its own",
            command="use -o FOLDER/, or --bytes --lines to take a picture file as bytes",
        )


def follower(blob: Source, header: Header) -> int | None:
    """Return the byte at which a file begins that may not stand behind this one, whose checksum does not hold.

    None if there is none. Pictures are not cut apart; this tells why several of them, one after the other, cannot be
    read.
    """
    data = blob[0 : len(blob)]
    place, looked = data.find(MAGIC, 7), 0
    while place > 0 and looked < _MOST_HEADS:
        with suppress(FormatError):
            other = unpack(Part(data, place, len(data))).header
            if not (is_joinable(header) and is_joinable(other)):
                return place
        place, looked = data.find(MAGIC, place + 1), looked + 1
    return None


def first_end(rest: Source, limits: Limits) -> int | None:
    """Return the end of the file that ``rest`` begins with; None if that is the end of all, or cannot be told."""
    try:
        if read_start(rest) >> 5 != COMPACT:
            return segmented_end(rest, limits)
        head = _joinable_head(rest)
    except FormatError:
        return None
    if head is None:
        return None
    newer = None
    for number, end in enumerate(_sound_ends(rest, head)):
        if number >= _MOST_ENDS or end == len(rest):
            return None
        try:
            if _begins_soundly(Part(rest, end, len(rest)), limits):
                return end
        except NewerVersionError:
            newer = end if newer is None else newer
        except FormatError:
            pass
    return newer


@dataclass(frozen=True)
class _Start:
    """Head of a compact file, as far as its end depends on it. coded: CRC-16 of all bytes but itself."""

    coded: int
    payload_start: int


def _joinable_head(rest: Source) -> _Start | None:
    """Return the start of a compact file, None for one that may not stand beside others.

    Values of extras are not looked at: a file ends where it ends, whether it can be read here or not.
    """
    reader = Reader(Part(rest, 0, min(len(rest), LONGEST_COMPACT + _LONGEST_HEAD)), CODED_CHECK)
    flags, coded, _ = read_start(rest), reader.uint16("a checksum"), reader.uint16("a checksum")
    if Method(flags >> 1 & 3) is Method.MODEL:
        reader.take(MODEL_BYTES, "model identity")
    tags = skim_tags(reader) if flags & 1 else set()
    if flags >> 3 & 3 not in (Kind.BYTES, Kind.STR) or tags & _APART:
        return None
    return _Start(coded, reader.offset)


def _sound_ends(rest: Source, head: _Start) -> Iterator[int]:
    """Yield the places at which a compact file may end, because its checksum holds: a file follows, or nothing."""
    longest = head.payload_start + LONGEST_COMPACT
    window = rest[0 : longest + len(MAGIC)]
    running, before = crc16(window[:CODED_CHECK]), CONTENT_CHECK
    place = head.payload_start
    while True:
        place = window.find(MAGIC, place)
        end = place if place >= 0 else len(rest)
        if not 0 <= end <= longest:
            return
        running, before = crc16(window[before:end], start=running), end
        if running == head.coded:
            yield end
        if place < 0:
            return
        place += 1


def _begins_soundly(rest: Source, limits: Limits) -> bool:
    """Return whether a file begins here whose checksum holds: that of a segmented one's head, or of a compact one.

    Raises FormatErrors where it does not, or is newer.
    """
    flags = read_start(rest)
    if flags >> 5 != COMPACT:
        read_head_of(Reader(rest, 3), flags, limits)
        return True
    head = _joinable_head(rest)
    return head is not None and next(_sound_ends(rest, head), None) is not None
