"""The compact form of a file: a single segment, behind as few bytes as possible.

docs/format.md, section 1, is the specification. The encoder stands above its decoder. No numpy, torch or PIL.
"""

from __future__ import annotations

from dataclasses import dataclass

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.checks import crc16
from bfncodec.format.cuts import NOWHERE, Cut, Grid, Pieces
from bfncodec.format.frame import COMPACT, MAGIC, MODEL_BYTES, Coded, Entry, Frame, Place, Segment, read_start
from bfncodec.format.header import Header, read_head, write_head
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import Limits
from bfncodec.format.sizes import check_cut, check_memory, check_payload, declared_sizes
from bfncodec.format.wire import Part, Reader, Source

__all__ = [
    "CODED_CHECK",
    "CONTENT_CHECK",
    "LONGEST_COMPACT",
    "CompactHead",
    "pack_compact",
    "read_compact",
    "unpack_compact",
]

LONGEST_COMPACT = 1 << 16
"""Bytes of the longest payload of bytes or text in the compact form: what is longer can afford to say where it ends."""
CODED_CHECK, CONTENT_CHECK = 3, 5
"""Bytes at which the two checksums are; the first covers all bytes but its own."""
_CHECK_BITS = 16


def pack_compact(header: Header, coded: Coded) -> bytes:
    """Return the file of a single segment."""
    flags = COMPACT << 5 | header.kind << 3 | coded.method << 1 | bool(header.in_block)
    start = MAGIC + bytes([flags])
    check = (coded.crc & 0xFFFF).to_bytes(2, "little")
    rest = check + coded.model + write_head(header, segmented=False) + coded.payload
    return start + crc16(start, rest).to_bytes(2, "little") + rest


@dataclass(frozen=True)
class CompactHead:
    """The head of a compact file, up to its payload.

    coded: CRC-16 of all bytes but itself. content: the lower half of the CRC-32 of the content.
    """

    header: Header
    method: Method
    model: bytes
    coded: int
    content: int
    payload_start: int


def read_compact(blob: Source, limits: Limits | None = None) -> CompactHead:
    """Return the head of a compact file. Raises the errors of :func:`bfncodec.format.container.unpack`."""
    flags = read_start(blob)
    reader = Reader(blob, CODED_CHECK)
    coded, content = reader.uint16("a checksum"), reader.uint16("a checksum")
    method = Method(flags >> 1 & 3)
    model = reader.take(MODEL_BYTES, "model identity") if method is Method.MODEL else b""
    header = read_head(reader, Kind(flags >> 3 & 3), bool(flags & 1), False, limits or Limits())
    return CompactHead(header, method, model, coded, content, reader.offset)


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
    if header.kind in (Kind.BYTES, Kind.STR) and len(payload) > LONGEST_COMPACT:
        raise DamagedError(f"a compact file of {header.kind.name.lower()} has no payload of {len(payload)} bytes")
    cut = _cut_of(header, declared_sizes(header, method, payload))
    check_cut(header, cut, limits)
    wanted = place(header, cut) if place is not None else None
    check_memory(header, cut, NOWHERE if wanted == NOWHERE else None, limits)  # of a part all is decoded
    check_payload(header, method, payload, cut.extents[0], limits)

    def read(number: int) -> Segment:
        sound = _is_sound(blob, head.coded)
        data = payload[0 : len(payload)]
        return Segment(method, data, head.model, cut.extents[0], head.content, _CHECK_BITS, sound)

    entry = Entry(method, head.model, b"", head.payload_start, len(blob), len(blob))
    return Frame(header, cut, (entry,), () if wanted == NOWHERE else (0,), read)


def _is_sound(blob: Source, check: int) -> bool:
    return crc16(blob[:CODED_CHECK], blob[CONTENT_CHECK : len(blob)]) == check


def _cut_of(header: Header, sides: tuple[int, ...]) -> Cut:
    return Grid(sides[0], 1, sides[1], 1) if header.kind is Kind.IMAGE else Pieces(sides)
