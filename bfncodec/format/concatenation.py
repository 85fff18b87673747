"""Files one after the other, as ``cat`` makes them: where each ends.

A segmented file says where it ends. A compact one has no length, which would be the largest part of its frame, but one
in blocks where it is long: it ends at the first place in its last block at which its checksum holds and a sound file
begins, or at the end of all. No model is run for it, and what a file can make us try is bounded. docs/format.md,
section 9, is the specification. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from bfncodec.errors import FormatError, InputError, NewerVersionError
from bfncodec.format.compact import BLOCKS, CODED_CHECK, LONGEST_COMPACT, payload_sizes, read_blocks, sound_ends
from bfncodec.format.container import unpack
from bfncodec.format.extras import Tag, skim_tags
from bfncodec.format.frame import COMPACT, LONG, MAGIC, MODEL_BYTES, SEGMENTED, read_start
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.format.segmented.head import read_head_of
from bfncodec.format.segmented.stream import segmented_end
from bfncodec.format.wire import Part, Reader, Source

__all__ = ["Ends", "Peek", "check_joinable", "follower", "is_joinable", "is_long_joinable", "split"]

_LONGEST_HEAD = 1 << 12  # bytes of a compact file of bytes or text before its payload
_MOST_ENDS = 16  # places at which a file's checksum holds that are looked at
_MOST_HEADS = 16  # places that are looked at for another file behind a damaged one
_MOST_VAIN = MappingProxyType({COMPACT: 4096, LONG: 16})  # files that are looked for in a row, and are none
_ALL = 1 << 62  # bytes: more than any source has
_APART = {Tag.FILES, Tag.MOVED, Tag.ITEMS}  # extras of bytes that stand alone


Peek = Callable[[int], Source]
"""Returns the next so many bytes, or all that are left."""


def split(blob: Source, limits: Limits | None = None) -> list[Source]:
    """Return the files that a file consists of, mostly one. Bytes that are no file stay with the file before them."""
    starts, ends = [0], Ends(limits or Limits())
    while (end := ends.first(_behind(lambda count: Part(blob, 0, min(count, len(blob))), starts[-1]))) is not None:
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
    first = payload_sizes(data[BLOCKS])[0] if data[2] >> 5 == LONG else BLOCKS
    place, looked = data.find(MAGIC, first), 0
    while place > 0 and looked < _MOST_HEADS:
        with suppress(FormatError):
            other = unpack(Part(data, place, len(data))).header
            if not (is_joinable(header) and is_joinable(other)):
                return place
        place, looked = data.find(MAGIC, place + 1), looked + 1
    return None


def is_long_joinable(window: bytes) -> bool:
    """Return whether a long compact file begins here that may stand beside others. window: its first bytes."""
    try:
        flags = read_start(window)
        return flags >> 5 == LONG and _joinable_head(lambda count: window[:count], flags) is not None
    except FormatError:
        return False


def _behind(peek: Peek, begin: int) -> Peek:
    """Return what gives the bytes from ``begin`` on."""

    def behind(count: int) -> Source:
        found = peek(begin + count)
        return Part(found, begin, len(found))

    return behind


@dataclass(frozen=True)
class _Start:
    """Head of a compact file, as far as its end depends on it.

    coded: CRC-16 of all bytes but itself. ends: the bytes at which it may end.
    """

    coded: int
    ends: range


class Ends:
    """Finder of the ends of the files in a row, from the first on, which looks at a bounded number of places.

    heads: bytes in which the head of a segmented file is looked for, that may follow a compact one; vain: files of each
    compact layout that are looked for in the row, and are none.
    """

    def __init__(self, limits: Limits, heads: int = _ALL, vain: Mapping[int, int] = _MOST_VAIN) -> None:
        self._limits, self._heads = limits, heads
        self._vain = dict(vain)  # that are left

    def first(self, peek: Peek) -> int | None:
        """Return the end of the file that begins here; None if that is the end of all, or cannot be told."""
        try:
            flags = read_start(peek(CODED_CHECK))
            if flags >> 5 == SEGMENTED:
                return segmented_end(peek(_ALL), self._limits)
            head = _joinable_head(peek, flags)
        except FormatError:
            return None
        if head is None:
            return None
        newer = None
        for number, end in enumerate(_sound_ends(peek, head)):
            if number >= _MOST_ENDS or len(peek(end + 1)) == end:
                return None
            try:
                if self._begins_soundly(_behind(peek, end)):
                    return end
            except NewerVersionError:
                newer = end if newer is None else newer
            except FormatError:
                pass
        return newer

    def _begins_soundly(self, peek: Peek) -> bool:
        """Return whether a file begins here whose checksum holds: that of a segmented one's head, or of a compact one.

        Raises FormatErrors where it does not, or is newer.
        """
        flags = read_start(peek(CODED_CHECK))
        layout = flags >> 5
        if layout == SEGMENTED:
            found = peek(self._heads)
            read_head_of(Reader(found, CODED_CHECK), found[2:3][0], self._limits)
            return True
        head = _joinable_head(peek, flags)
        if head is None or not self._vain[layout]:
            return False
        found_end = next(_sound_ends(peek, head), None) is not None
        self._vain[layout] -= not found_end
        return found_end


def _joinable_head(peek: Peek, flags: int) -> _Start | None:
    """Return the start of a compact file of these flags, None for one that may not stand beside others.

    Values of extras are not looked at: a file ends where it ends, whether it can be read here or not.
    """
    if flags >> 3 & 3 not in (Kind.BYTES, Kind.STR):
        return None
    reader = Reader(peek(LONGEST_COMPACT + _LONGEST_HEAD), CODED_CHECK)
    coded, _, blocks = reader.uint16("a checksum"), reader.uint16("a checksum"), read_blocks(reader, flags)
    if Method(flags >> 1 & 3) is Method.MODEL:
        reader.take(MODEL_BYTES, "model identity")
    tags = skim_tags(reader) if flags & 1 else set()
    if tags & _APART:
        return None
    sizes, start = payload_sizes(blocks), reader.offset
    return _Start(coded, range(start + sizes[0], start + sizes[-1] + 1))


def _sound_ends(peek: Peek, head: _Start) -> Iterator[int]:
    """Yield the places at which a compact file may end, because its checksum holds: a file follows, or nothing."""
    return sound_ends(peek(head.ends[-1] + len(MAGIC)), head.coded, head.ends)
