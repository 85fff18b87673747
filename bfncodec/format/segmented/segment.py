"""A segment of a file: what stands before its payload and behind it."""

from __future__ import annotations

from dataclasses import dataclass

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.checks import crc32
from bfncodec.format.frame import MODEL_BYTES, Entry
from bfncodec.format.kinds import Method
from bfncodec.format.wire import Reader, varint

CHECKS = 8  # bytes behind a payload: checksums of the content and of the coded bytes
CHECK_BITS = 32
LEAST_SEGMENT = 2 + CHECKS  # head byte, size, checksums
METHOD, CONTINUED, NAMED, TYPE = 0x0F, 0x10, 0x20, 0xC0  # of the byte that begins a segment, or a run of them
INDEX = 0xC0  # type of the byte that begins the index
LONGEST = 1 << 28  # bytes of the payload of any segment: nothing takes more than its content and some bytes


def next_link(link: bytes, head: bytes, payload: bytes, content: bytes) -> bytes:
    """Return the checksum that ends a segment. content: that of its content.

    It comes before the payload here, not behind as in the file: right behind bytes their own CRC-32 cancels them, and
    where the payload is the content the chain would not depend on it.
    """
    return crc32(link, content, head, payload).to_bytes(4, "little")


def write_segment_head(method: Method, model: bytes, size: int, last: bytes) -> bytes:
    """Return what stands before a payload. last: the model that was named last."""
    return write_method(method, model, last) + varint(size)


def write_method(method: Method, model: bytes, last: bytes) -> bytes:
    """Return the byte that names a method, and the model where it is not the one that was named last."""
    named = model not in (b"", last)
    return bytes([method | NAMED * named]) + (model if named else b"")


@dataclass(frozen=True)
class SegmentHead:
    """Head of a segment, which stands before its payload. raw: the bytes."""

    method: Method
    model: bytes
    size: int
    raw: bytes


def read_segment_head(reader: Reader, byte: int, last: bytes) -> SegmentHead:
    """Return the rest of a segment's head. byte: its first. last: the model that was named last."""
    method, model, named = read_method(reader, byte, last)
    size = reader.varint("the size of a payload")
    if size > LONGEST:
        raise DamagedError(f"a payload of {size} bytes is longer than any can be")
    return SegmentHead(method, model, size, bytes([byte]) + named + varint(size))


def read_method(reader: Reader, byte: int, last: bytes) -> tuple[Method, bytes, bytes]:
    """Return the method, the model, and the bytes that name it, where they do.

    Raises NewerVersionError for what this release does not know.
    """
    if byte & TYPE or byte & METHOD > max(Method):
        raise NewerVersionError(f"a segment of type {byte:#04x} is not known here: update bfncodec")
    if byte & CONTINUED:
        raise NewerVersionError(
            "a segment that goes on from the state of the one before is not read here: update bfncodec"
        )
    method = Method(byte & METHOD)
    named = reader.take(MODEL_BYTES, "a model identity") if byte & NAMED else b""
    if named and (method is not Method.MODEL or named == last):
        raise DamagedError(f"a segment at byte {reader.offset} names a model that it need not name")
    model = (named or last) if method is Method.MODEL else b""
    if method is Method.MODEL and not model:
        raise DamagedError(f"a segment at byte {reader.offset} names no model where it has one")
    return method, model, named


def skim_method(reader: Reader) -> int:
    """Return the byte that begins a segment or a run, and read the model that it names."""
    byte = reader.byte("a segment or the index")
    if byte & TYPE != INDEX and byte & NAMED:
        reader.take(MODEL_BYTES, "a model identity")
    return byte


def entry_of(method: Method, model: bytes, head: bytes, start: int, size: int) -> Entry:
    """Return the entry of a segment. head: what stands before its payload. start, size: of the payload"""
    return Entry(method, model, head, start, start + size, start + size + CHECKS)
