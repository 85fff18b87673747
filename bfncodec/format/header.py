"""The head of a file: what the content is, in as few bytes as possible.

docs/format.md, section 3, is the specification. The writer stands above its reader. No numpy, torch or PIL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.axes import FINEST, Granularity, Items
from bfncodec.format.extras import Extra, Tag, read_extras, write_extras
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Mode, Origin
from bfncodec.format.limits import Limits
from bfncodec.format.lineindex import Lines
from bfncodec.format.wire import Reader, varint

__all__ = ["Header", "read_header", "read_origin_and_mode", "write_granularity", "write_header"]

_SHORT_TYPES = ("u1", "u2")  # named by the upper half of the byte that holds the number of dimensions
_LONG_TYPE = 15  # stands there if another byte names the type


@dataclass(frozen=True)
class Header:
    """Nature of the content: ``origin`` and ``mode`` of a picture, ``dtype`` and ``shape`` of an array, metadata."""

    kind: Kind
    origin: Origin = Origin.OBJECT
    mode: Mode = Mode.RGB
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    extras: tuple[Extra, ...] = ()

    @cached_property
    def granularity(self) -> Granularity:
        """Granularity of bytes. Raises DamagedError for tables that no writer writes."""
        lines, items = self.extra(Tag.LINES), self.extra(Tag.ITEMS)
        if lines is None:
            return FINEST if items is None else self._items(items)
        if items is not None or self.kind not in (Kind.BYTES, Kind.STR):
            raise DamagedError(f"content of kind {self.kind.name.lower()} and items cannot be cut after lines")
        return Lines.read(lines)

    @property
    def is_file_of_pixels(self) -> bool:
        """The content is the picture in a file, which is made of it again."""
        return self.kind is Kind.IMAGE and self.origin is not Origin.OBJECT and not self.origin.is_array

    @property
    def lines(self) -> Lines | None:
        """Table of lines, None unless the content is cut after lines."""
        return self.granularity if isinstance(self.granularity, Lines) else None

    def _items(self, value: bytes) -> Items:
        if self.kind is Kind.IMAGE:
            raise DamagedError("a picture cannot be cut between items")
        return Items.read(value)

    @property
    def item_bytes(self) -> int:
        """Bytes of an element of an array."""
        return int(self.dtype.lstrip(">")[1:])

    def extra(self, tag: Tag) -> bytes | None:
        """Return the value of the first extra of a tag, None if there is none."""
        return next((extra.value for extra in self.extras if extra.tag == tag), None)


def write_header(header: Header) -> bytes:
    """Return the bytes that follow the checksum (and the model, if any), up to sizes or payload."""
    return _write_fields(header) + (write_extras(header.extras) if header.extras else b"")


def read_header(reader: Reader, flags: int, limits: Limits) -> Header:
    """Return what :func:`write_header` was given. flags: the third byte of the file.

    Raises DamagedError, NewerVersionError for an unknown array type, origin or mode, LimitError for large extras.
    """
    kind = Kind(flags >> 4 & 3)
    header = _read_fields(reader, kind)
    return replace(header, extras=read_extras(reader, limits.memory)) if flags & 1 else header


def _write_fields(header: Header) -> bytes:
    if header.kind is Kind.IMAGE:
        return bytes([header.origin << 4 | header.mode])
    if header.kind is Kind.ARRAY:
        is_short = header.dtype in _SHORT_TYPES
        number = _SHORT_TYPES.index(header.dtype) if is_short else _LONG_TYPE
        name = b"" if is_short else bytes([ARRAY_TYPES[header.dtype]])
        return bytes([number << 4 | len(header.shape)]) + name + b"".join(map(varint, header.shape))
    return b""


def _read_fields(reader: Reader, kind: Kind) -> Header:
    if kind is Kind.IMAGE:
        return Header(kind, *read_origin_and_mode(reader))
    if kind is Kind.ARRAY:
        byte = reader.byte("type and dimensions")
        dtype = _read_type(reader, byte >> 4)
        shape = tuple(reader.varint("an array dimension") for _ in range(byte & 15))
        return Header(kind, dtype=dtype, shape=shape)
    return Header(kind)


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
    """Return the origin and mode of a picture from their byte. Raises NewerVersionError for unknown ones."""
    byte = reader.byte("format and mode")
    if byte >> 4 > max(Origin) or byte & 15 > max(Mode):
        raise NewerVersionError(f"picture format and mode {byte:#04x} are not known here")
    return Origin(byte >> 4), Mode(byte & 15)


def write_granularity(granularity: Granularity) -> Extra:
    """Return the extra that says where bytes may be cut."""
    return Extra(Tag.LINES if isinstance(granularity, Lines) else Tag.ITEMS, granularity.write())
