"""The compact form of a file: a single segment, behind as few bytes as possible.

Bytes and text of a long payload say in one byte how many blocks it begins, so that their end need not be looked for
but in its last block.

docs/format.md, section 1, is the specification. The encoder stands above its decoder. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.forks import cached_property
from bfncodec.format.checks import crc16, crc16_of
from bfncodec.format.cuts import NOWHERE, Cut, Extent, Grid, Pieces
from bfncodec.format.frame import COMPACT, LONG, MAGIC, MODEL_BYTES, Coded, Entry, Frame, Place, Segment, read_start
from bfncodec.format.header import Header, read_head, write_head
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import Limits
from bfncodec.format.sizes import check_cut, check_memory, check_payload, declared_sizes
from bfncodec.format.wire import Part, Reader, Source

__all__ = [
    "BLOCKS",
    "CODED_CHECK",
    "CONTENT_CHECK",
    "LONGEST_COMPACT",
    "LONGEST_LONG",
    "CompactHead",
    "ends_early",
    "fits_compact",
    "pack_compact",
    "payload_sizes",
    "read_blocks",
    "read_compact",
    "sound_ends",
    "unpack_compact",
]

LONGEST_COMPACT = 1 << 16
"""Bytes of a block, and of the longest payload of bytes or text that does not say how many it begins."""
LONGEST_LONG = 1 << 24
"""Bytes of the longest payload that does: as many as a segment has that is coded at once."""
CODED_CHECK, CONTENT_CHECK, BLOCKS = 3, 5, 7
"""Bytes at which the two checksums are, of which the first covers all bytes but its own, and the number of blocks."""
_CHECK_BITS = 16
_SIZED = (Kind.BYTES, Kind.STR)  # kinds that another file may follow


def fits_compact(header: Header, coded: Coded) -> bool:
    """Return whether a segment can be in a file of its own: of bytes and text it has to say where it ends."""
    return header.kind not in _SIZED or len(coded.payload) <= LONGEST_LONG


def pack_compact(header: Header, coded: Coded) -> bytes:
    """Return the file of a single segment that fits."""
    blocks = _blocks(len(coded.payload)) if header.kind in _SIZED else 0
    flags = (LONG if blocks else COMPACT) << 5 | header.kind << 3 | coded.method << 1 | bool(header.in_block)
    start = MAGIC + bytes([flags])
    check = (coded.crc & 0xFFFF).to_bytes(2, "little")
    rest = check + bytes([blocks] * bool(blocks)) + coded.model + write_head(header, segmented=False) + coded.payload
    return start + crc16(start, rest).to_bytes(2, "little") + rest


def ends_early(blob: bytes, header: Header, coded: Coded) -> bool:
    """Return whether a compact file may be taken to end before its last byte: by chance, or as it was made to."""
    if header.kind not in _SIZED:
        return False
    size = len(coded.payload)
    ends = payload_sizes(_blocks(size))[: size - payload_sizes(_blocks(size))[0]]
    start = len(blob) - size
    if not ends or MAGIC not in blob[start + ends[0] :]:
        return False
    check = int.from_bytes(blob[CODED_CHECK:CONTENT_CHECK], "little")
    return next(sound_ends(blob, check, range(start + ends[0], start + ends[-1] + 1)), None) is not None


def _blocks(size: int) -> int:
    """Return the number of whole blocks before the last byte of a payload."""
    return max(size - 1, 0) // LONGEST_COMPACT


def payload_sizes(blocks: int) -> range:
    """Return the sizes that a payload of bytes or text has with so many blocks before its last byte."""
    return range(blocks * LONGEST_COMPACT + (blocks > 0), (blocks + 1) * LONGEST_COMPACT + 1)


def read_blocks(reader: Reader, flags: int) -> int:
    """Return the number of blocks that a long file tells, 0 of another. Raises DamagedError for what cannot be."""
    if flags >> 5 != LONG:
        return 0
    blocks = reader.byte("a number of blocks")
    if not blocks or flags >> 3 & 3 not in _SIZED:
        raise DamagedError("a long compact file is of bytes or text, and of more than one block")
    return blocks


def sound_ends(blob: Source, check: int, ends: range) -> Iterator[int]:
    """Yield the places at which a compact file may end, because its checksum holds: a magic number follows, or nothing.

    blob: from the file's first byte on. check: CRC-16 of all its bytes but itself. ends: the places that are looked at.
    """
    first = ends[0]
    if len(blob) < first:
        return
    window = blob[first : min(len(blob), ends[-1] + len(MAGIC))]
    running = crc16_of(blob, CONTENT_CHECK, first, crc16(blob[0:CODED_CHECK]))
    place = before = 0
    while True:
        place = window.find(MAGIC, place)
        end = place if place >= 0 else len(window)
        if first + end not in ends:
            return
        running, before = crc16(window[before:end], start=running), end
        if running == check:
            yield first + end
        if place < 0:
            return
        place += 1


@dataclass(frozen=True)
class CompactHead:
    """The head of a compact file, up to its payload.

    coded: CRC-16 of all bytes but itself. content: the lower half of the CRC-32 of the content. blocks: before the last
    byte of the payload, as far as that is told.
    """

    header: Header
    method: Method
    model: bytes
    coded: int
    content: int
    blocks: int
    payload_start: int


def read_compact(blob: Source, limits: Limits | None = None) -> CompactHead:
    """Return the head of a compact file. Raises the errors of :func:`bfncodec.format.container.unpack`."""
    flags = read_start(blob)
    reader = Reader(blob, CODED_CHECK)
    coded, content = reader.uint16("a checksum"), reader.uint16("a checksum")
    blocks = read_blocks(reader, flags)
    method = Method(flags >> 1 & 3)
    model = reader.take(MODEL_BYTES, "model identity") if method is Method.MODEL else b""
    header = read_head(reader, Kind(flags >> 3 & 3), bool(flags & 1), False, limits or Limits())
    return CompactHead(header, method, model, coded, content, blocks, reader.offset)


def unpack_compact(blob: Source, limits: Limits, place: Place | None) -> Frame:
    """Return the frame of a compact file."""
    try:
        head = read_compact(blob, limits)
    except NewerVersionError:
        if not _is_sound(blob, int.from_bytes(blob[CODED_CHECK:CONTENT_CHECK], "little")):
            raise DamagedError("checksum mismatch of the coded bytes") from None
        raise
    header, method = head.header, head.method
    payload = Part(blob, head.payload_start, len(blob))
    cut = _cut_of(header, declared_sizes(header, method, payload))
    check_cut(header, cut, limits)
    wanted = place(header, cut) if place is not None else None
    check_memory(header, cut, NOWHERE if wanted == NOWHERE else None, limits)  # of a part all is decoded
    check_payload(header, method, payload, cut.extents[0], limits)

    entry = Entry(method, head.model, b"", head.payload_start, len(blob), len(blob))
    return Frame(header, cut, (entry,), () if wanted == NOWHERE else (0,), _Reading(blob, head, cut.extents[0]))


@dataclass(frozen=True)
class _Reading:
    """Reading of the segment of a compact file, whose checksum is compared once however often it is read."""

    blob: Source
    head: CompactHead
    extent: Extent

    def __call__(self, number: int) -> Segment:
        head, payload = self.head, self.blob[self.head.payload_start : len(self.blob)]
        return Segment(head.method, payload, head.model, self.extent, head.content, _CHECK_BITS, self._sound)

    @cached_property
    def _sound(self) -> bool:
        size = len(self.blob) - self.head.payload_start
        is_whole = self.head.header.kind not in _SIZED or size in payload_sizes(self.head.blocks)
        return is_whole and _is_sound(self.blob, self.head.coded)


def _is_sound(blob: Source, check: int) -> bool:
    return crc16_of(blob, CONTENT_CHECK, len(blob), crc16(blob[:CODED_CHECK])) == check


def _cut_of(header: Header, sides: tuple[int, ...]) -> Cut:
    return Grid(sides[0], 1, sides[1], 1) if header.kind is Kind.IMAGE else Pieces(sides)
