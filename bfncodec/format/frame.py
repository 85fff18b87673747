"""Frames: what is common to both forms of a file, coded segments and the files that hold them.

docs/format.md is the byte-by-byte specification. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bfncodec.errors import DamagedError, FormatError, NewerVersionError, NotOursError
from bfncodec.format.checks import crc32
from bfncodec.format.cuts import Cut, Extent, overlap
from bfncodec.format.header import Header
from bfncodec.format.kinds import Method
from bfncodec.format.wire import Reader, Source

__all__ = [
    "COMPACT",
    "LONG",
    "MAGIC",
    "MODEL_BYTES",
    "SEGMENTED",
    "SUFFIX",
    "Coded",
    "Entry",
    "Frame",
    "Place",
    "Segment",
    "check_layout",
    "read_start",
    "wanted_of",
]

MAGIC = b"\xbf\x4e"
SUFFIX = ".bfn"
MODEL_BYTES = 4
"""Bytes of a model's identity."""
COMPACT, SEGMENTED, LONG = 4, 5, 6
"""Layouts: the highest three bits of the third byte of a file. The last is the compact form of what is long."""
_BEFORE = 3  # the last layout of files from before 1.0

Place = Callable[[Header, Cut], Extent]
"""Returns the extent that is wanted of content with that header and that cut."""


@dataclass(frozen=True)
class Coded:
    """A coded segment.

    crc: CRC-32 of its content. model: four bytes of identity, or empty.
    """

    method: Method
    payload: bytes
    crc: int
    model: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment as the head or the index of a file tells of it.

    head: the bytes before its payload, from the one at which it begins; none in the compact form. start, stop: its
    payload. end: the byte behind it and its checksums.
    """

    method: Method
    model: bytes
    head: bytes
    start: int
    stop: int
    end: int

    @property
    def begin(self) -> int:
        """Byte at which the segment begins."""
        return self.start - len(self.head)


@dataclass(frozen=True)
class Segment:
    """A segment as found in a file.

    check, bits: the lowest bits of the CRC-32 of its content. sound: the coded bytes match their checksum; a payload
    that does not may still decode to content that does.
    """

    method: Method
    payload: bytes
    model: bytes
    extent: Extent
    check: int
    bits: int
    sound: bool = True

    def verify(self, content: bytes) -> None:
        """Raise :class:`DamagedError` unless ``content`` is what the encoder was given."""
        found = crc32(content) & (1 << self.bits) - 1
        if found != self.check:
            digits = self.bits // 4
            raise DamagedError(f"checksum mismatch: expected {self.check:0{digits}x}, found {found:0{digits}x}")


@dataclass(frozen=True)
class Frame:
    """A parsed file, of which nothing is decoded yet.

    Parameters
    ----------
    header, cut
        Nature of the content, and how it is cut.
    entries
        All segments in order; fewer than there should be where salvage found no more.
    wanted
        Numbers of the segments that the part in question lies in; all if there is none.
    read
        Returns a segment by its number. Raises FormatErrors.
    complete
        Whether the end of the file was found: all that is missing is known to be missing.
    indexed
        Whether the index holds; without it the header lacks what a reader may skip.
    """

    header: Header
    cut: Cut
    entries: tuple[Entry, ...]
    wanted: Sequence[int]
    read: Callable[[int], Segment]
    complete: bool = True
    indexed: bool = True

    def segment(self, number: int, salvage: bool = False) -> Segment:
        """Return a segment, from 0. Raises FormatErrors, without ``salvage`` also for damaged coded bytes."""
        if number >= len(self.entries):
            raise DamagedError("not found")
        found = self.read(number)
        if not found.sound and not salvage:
            raise DamagedError(
                "checksum mismatch of the coded bytes",
                python="bfncodec.decompress(its bytes, on_damage=…) gives what may be left",
                command="--salvage for what may be left",
            )
        return found

    def verify(self) -> None:
        """Raise a FormatError unless the checksums of the coded bytes of all wanted segments hold; needs no model."""
        for number in self.wanted:
            try:
                self.segment(number)
            except FormatError as error:
                raise self.placed(error, number) from error

    def placed(self, error: FormatError, number: int) -> FormatError:
        """Return an error that names the segment, if there are several."""
        count = max(self.cut.count, len(self.entries))
        return error if count == 1 else error.within(f"segment {number + 1} of {count}")


def wanted_of(cut: Cut, extent: Extent | None) -> Sequence[int]:
    """Return the numbers of the segments that an extent lies in; of all for None."""
    if extent is None:
        return range(cut.count)
    return [number for number, other in enumerate(cut.extents) if overlap(extent, other)]


def read_start(blob: Source) -> int:
    """Return the third byte of a file. Raises NotOursError, and what :func:`check_layout` raises."""
    if not len(blob):
        raise NotOursError("expected a bfncodec file, found an empty one")
    if blob[:2] != MAGIC[: len(blob)]:
        raise NotOursError(f"expected a bfncodec file (beginning {MAGIC.hex(' ')}), found {blob[:2].hex(' ')}")
    flags = Reader(blob, 2).byte("flags")
    check_layout(flags)
    return flags


def check_layout(flags: int) -> None:
    """Raise NewerVersionError or DamagedError for a layout that this release does not read."""
    layout = flags >> 5
    if layout > LONG:
        raise NewerVersionError(
            f"layout {layout} where this release reads {COMPACT} to {LONG}: update bfncodec, or the file is damaged"
        )
    if layout <= _BEFORE:
        raise DamagedError(
            f"layout {layout} at byte 2 is none of a release: the file is damaged, or of a version before 0.2"
        )
