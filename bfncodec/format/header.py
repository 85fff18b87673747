"""The head of a file: what the content is, in as few bytes as possible.

docs/format.md, section 3, is the specification. The writer stands above its reader. No numpy, torch or PIL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.extras import Extra, Tag, read_extras, write_extras
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Mode, Origin
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Reader, varint

__all__ = ["Header", "read_head", "read_origin_and_mode", "write_head"]

_SHORT_TYPES = ("u1", "u2")  # named by the upper half of the byte that holds the number of dimensions
_LONG_TYPE = 15  # stands there if another byte names the type
_IDENTICAL = 0x80  # in the byte of origin and mode: the file comes back byte for byte
_SHORT_CHECK, _LONG_CHECK = 1, 4  # bytes of the checksum of a picture's file: as it is made, as it was


@dataclass(frozen=True)
class Header:
    """Nature of the content: ``origin`` and ``mode`` of a picture, ``dtype`` and ``shape`` of an array, metadata."""

    kind: Kind
    origin: Origin = Origin.OBJECT
    mode: Mode = Mode.RGB
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    extras: tuple[Extra, ...] = ()

    @property
    def is_file_of_pixels(self) -> bool:
        """The content is the picture in a file, which is made of it again."""
        return self.kind is Kind.IMAGE and self.origin.is_file

    @property
    def is_identical(self) -> bool:
        """The files that were compressed come back byte for byte, as the checksum of them says."""
        return len(self.extra(Tag.SOURCE) or b"") == _LONG_CHECK

    @property
    def item_bytes(self) -> int:
        """Bytes of an element of an array."""
        return int(self.dtype.lstrip(">")[1:])

    def extra(self, tag: Tag) -> bytes | None:
        """Return the value of the first extra of a tag, None if there is none."""
        return next((extra.value for extra in self.extras if extra.tag == tag), None)

    def without(self, *tags: Tag) -> Header:
        """Return the header without the extras of some tags."""
        return replace(self, extras=tuple(extra for extra in self.extras if extra.tag not in tags))

    def split(self) -> tuple[Header, tuple[Extra, ...]]:
        """Return the header with what a reader must understand, and the extras that it may skip."""
        kept = tuple(extra for extra in self.extras if extra.is_critical or self._is_field(extra))
        return replace(self, extras=kept), tuple(extra for extra in self.extras if extra not in kept)

    def _is_field(self, extra: Extra) -> bool:
        """Return whether an extra is written as a field: the checksum of a picture's file."""
        return extra.tag == Tag.SOURCE and self.is_file_of_pixels


def write_head(header: Header, segmented: bool) -> bytes:
    """Return the bytes of the head behind its checksum (and the model, if any), up to the cut or the payload.

    segmented: the first side of an array is left out, as the sum of its segments tells it.
    """
    extras = tuple(extra for extra in header.extras if not header._is_field(extra))
    return _write_fields(header, segmented) + (write_extras(extras) if extras else b"")


def read_head(reader: Reader, kind: Kind, extras: bool, segmented: bool, limits: Limits) -> Header:
    """Return what :func:`write_head` was given; in the segmented form an array's first side is 0.

    extras: whether there are any.

    Raises DamagedError, NewerVersionError for an unknown array type, origin or mode, LimitError for large extras.
    """
    header = _read_fields(reader, kind, segmented)
    if not extras:
        return header
    found = read_extras(reader, limits.memory)
    if header.is_file_of_pixels and any(extra.tag == Tag.SOURCE for extra in found):
        raise DamagedError("the checksum of a picture's file cannot be an extra")
    return replace(header, extras=(*header.extras, *found))


def has_extras(header: Header) -> bool:
    """Return whether the head of a file has a block of extras."""
    return any(not header._is_field(extra) for extra in header.extras)


def _write_fields(header: Header, segmented: bool) -> bytes:
    if header.kind is Kind.IMAGE:
        byte = header.origin << 4 | header.mode
        return bytes([byte | _IDENTICAL * header.is_identical]) + _write_check(header)
    if header.kind is Kind.ARRAY:
        is_short = header.dtype in _SHORT_TYPES
        number = _SHORT_TYPES.index(header.dtype) if is_short else _LONG_TYPE
        name = b"" if is_short else bytes([ARRAY_TYPES[header.dtype]])
        shape = header.shape[segmented:]
        return bytes([number << 4 | len(header.shape)]) + name + b"".join(map(varint, shape))
    return b""


def _write_check(header: Header) -> bytes:
    """Return the checksum of the file that a picture becomes, nothing for a picture that is no file."""
    if not header.is_file_of_pixels:
        return b""
    value = header.extra(Tag.SOURCE)
    assert value is not None, "a picture file has the checksum of what it becomes"
    return value


def _read_fields(reader: Reader, kind: Kind, segmented: bool) -> Header:
    if kind is Kind.IMAGE:
        return _read_picture(reader)
    if kind is Kind.ARRAY:
        byte = reader.byte("type and dimensions")
        dtype = _read_type(reader, byte >> 4)
        if segmented and not byte & 15:
            raise DamagedError("an array of no dimensions cannot be cut")
        first = (0,) if segmented else ()
        shape = tuple(reader.varint("an array dimension") for _ in range((byte & 15) - segmented))
        return Header(kind, dtype=dtype, shape=first + shape)
    return Header(kind)


def _read_picture(reader: Reader) -> Header:
    byte = reader.byte("format and mode")
    origin, mode = _origin_and_mode(byte & ~_IDENTICAL)
    identical = bool(byte & _IDENTICAL)
    if not origin.is_file:
        if identical:
            raise DamagedError(f"picture format and mode {byte:#04x}: an object is no file that comes back")
        return Header(Kind.IMAGE, origin, mode)
    value = reader.take(_LONG_CHECK if identical else _SHORT_CHECK, "the checksum of the file")
    return Header(Kind.IMAGE, origin, mode, extras=(Extra(Tag.SOURCE, value),))


def _read_type(reader: Reader, number: int) -> str:
    if number < len(_SHORT_TYPES):
        return _SHORT_TYPES[number]
    byte = reader.byte("an array type") if number == _LONG_TYPE else None
    found = next((name for name, known in ARRAY_TYPES.items() if known == byte and name not in _SHORT_TYPES), None)
    if found is None:
        raise NewerVersionError(
            f"array type {number if byte is None else byte:#04x} is not known here: update bfncodec"
        )
    return found


def read_origin_and_mode(reader: Reader) -> tuple[Origin, Mode]:
    """Return origin and mode of a picture in a folder from their byte. Raises NewerVersionError for unknown ones."""
    return _origin_and_mode(reader.byte("format and mode"))


def _origin_and_mode(byte: int) -> tuple[Origin, Mode]:
    if byte >> 4 > max(Origin) or byte & 15 > max(Mode):
        raise NewerVersionError(f"picture format and mode {byte:#04x} are not known here: update bfncodec")
    return Origin(byte >> 4), Mode(byte & 15)
