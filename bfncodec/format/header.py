"""The head of a file: what the content is, in as few bytes as possible.

docs/format.md, section 3, is the specification. The writer stands above its reader. No numpy, torch or PIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.extras import Extra, Tag, read_extras, write_extras
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Mode, Origin
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Reader, varint

__all__ = [
    "Header",
    "check_extras",
    "read_fields",
    "read_head",
    "read_origin_and_mode",
    "with_extras",
    "write_head",
]

_SHORT_TYPES = ("u1", "u2")  # named by the upper half of the byte that holds the number of dimensions
_LONG_TYPE = 15  # stands there if another byte names the type
_IDENTICAL = 0x80  # in the byte of origin and mode: the file comes back byte for byte
_OPTIMIZED = Extra(Tag.DEFLATED, b"\x99")  # of a PNG file with 8 bits a sample or fewer that byte says it: origin 7
_SHORT_CHECK, _LONG_CHECK = 1, 4  # bytes of the checksum of files that is kept: the lowest, or all
_PICTURES = {origin << 4 | mode: (origin, mode) for origin in Origin for mode in origin.modes}  # by their byte


@dataclass(frozen=True)
class Header:
    """Nature of the content: ``origin`` and ``mode`` of a picture, ``dtype`` and ``shape`` of an array, metadata.

    promised: of a picture file, that the one which was compressed comes back, as long as the checksum of it is there
    (Tag.SOURCE), of which the compact form keeps the lowest byte alone.
    """

    kind: Kind
    origin: Origin = Origin.OBJECT
    mode: Mode = Mode.RGB
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    extras: tuple[Extra, ...] = ()
    promised: bool = False

    @property
    def is_file_of_pixels(self) -> bool:
        """The content is the picture in a file, which is made of it again."""
        return self.kind is Kind.IMAGE and self.origin.is_file

    @property
    def is_identical(self) -> bool:
        """The files that were compressed come back byte for byte, as the checksum of them says."""
        source = self.extra(Tag.SOURCE) or b""
        return self.promised and bool(source) if self.kind is Kind.IMAGE else len(source) == _LONG_CHECK

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

    def agrees(self, other: Header) -> bool:
        """Return whether all is the same but the order of the tags, and how much of a picture file's checksum there is.

        Extras of one tag have the same order.
        """
        return self._compared(other) == other._compared(self)

    def _compared(self, other: Header) -> Header:
        extras = sorted(self.extras, key=lambda extra: extra.tag)
        if self.is_file_of_pixels:
            size = min(len(each.extra(Tag.SOURCE) or b"") for each in (self, other))
            extras = [replace(each, value=each.value[:size]) if each.tag == Tag.SOURCE else each for each in extras]
        return replace(self, extras=tuple(extras))

    @property
    def in_block(self) -> tuple[Extra, ...]:
        """Extras that are written as such: all but a picture file's checksum, and its packing if a field says it."""
        told = {Tag.SOURCE} if self.is_file_of_pixels else set()
        told |= {Tag.DEFLATED} if self.is_optimized else set()
        return tuple(extra for extra in self.extras if extra.tag not in told)

    @property
    def is_optimized(self) -> bool:
        """A PNG file of which fields say how its pixels are packed: as Pillow's ``optimize`` does."""
        return self.origin is Origin.PNG and not self.mode.is_wide and _OPTIMIZED in self.extras

    def split(self) -> tuple[Header, tuple[Extra, ...]]:
        """Return the header with what a reader must understand, and the extras that it may skip."""
        later = tuple(extra for extra in self.in_block if not extra.is_critical)
        return replace(self, extras=tuple(extra for extra in self.extras if extra not in later)), later


def write_head(header: Header, segmented: bool) -> bytes:
    """Return the bytes of the head behind its checksum (and the model, if any), up to the cut or the payload.

    segmented: the first side of an array is left out, as the sum of its segments tells it.
    """
    extras = header.in_block
    return _write_fields(header, segmented) + (write_extras(extras) if extras else b"")


def read_head(reader: Reader, kind: Kind, extras: bool, segmented: bool, limits: Limits) -> Header:
    """Return what :func:`write_head` was given; in the segmented form an array's first side is 0.

    extras: whether there are any.

    Raises DamagedError, NewerVersionError for an unknown array type, origin or mode, LimitError for large extras.
    """
    header = read_fields(reader, kind, segmented)
    return with_extras(header, reader, segmented, limits) if extras else header


def with_extras(header: Header, reader: Reader, segmented: bool, limits: Limits) -> Header:
    """Return a header with the extras that follow. Raises as :func:`read_head`."""
    found = read_extras(reader, limits.memory)
    check_extras(header, found, segmented)
    return replace(header, extras=(*header.extras, *found))


# ---- where extras stand -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Files that a tag stands in.

    origins, modes: of pictures, any where none are named. needs, excludes: tags that must and must not be there, too.
    segmented: in the segmented form alone.
    """

    kinds: tuple[Kind, ...] = (Kind.IMAGE,)
    origins: tuple[Origin, ...] = ()
    modes: tuple[Mode, ...] = ()
    needs: tuple[Tag, ...] = ()
    excludes: tuple[Tag, ...] = ()
    segmented: bool = False

    def holds(self, header: Header, segmented: bool) -> bool:
        """Return whether a file of that header and form may have the tag, whatever others it has."""
        is_picture = header.kind is Kind.IMAGE
        fits = header.kind in self.kinds and (segmented or not self.segmented)
        fits = fits and not (is_picture and self.origins and header.origin not in self.origins)
        return fits and not (is_picture and self.modes and header.mode not in self.modes)


_PLACES = {
    Tag.INFO: _Place(origins=(Origin.OBJECT,)),
    Tag.INFO_BYTES: _Place(origins=(Origin.OBJECT,)),
    Tag.INFO_TREE: _Place(origins=(Origin.OBJECT,)),
    Tag.PREVIEW: _Place(),
    Tag.WRAPPER: _Place((Kind.BYTES,), excludes=(Tag.ITEMS,)),
    Tag.SOURCE: _Place((Kind.BYTES,), needs=(Tag.FILES,)),
    Tag.LINES: _Place((Kind.BYTES, Kind.STR), excludes=(Tag.FILES, Tag.MOVED, Tag.ITEMS), segmented=True),
    Tag.MODELS: _Place(tuple(Kind)),
    Tag.COUNTS: _Place((Kind.BYTES,), needs=(Tag.ITEMS,), segmented=True),
    Tag.PALETTE: _Place(origins=(Origin.OBJECT,), modes=(Mode.P,), excludes=(Tag.COLOURS,)),
    Tag.CHUNKS: _Place(origins=(Origin.PNG, Origin.WEBP)),
    Tag.LAYOUT: _Place(origins=(Origin.BMP, Origin.PPM)),
    Tag.STRIPS: _Place(origins=(Origin.TIFF,)),
    Tag.FILES: _Place((Kind.BYTES,), excludes=(Tag.LINES, Tag.MOVED, Tag.ITEMS)),
    Tag.COLOURS: _Place(origins=(Origin.OBJECT, Origin.PNG), modes=(Mode.P,), excludes=(Tag.PALETTE,)),
    Tag.MOVED: _Place((Kind.BYTES,), excludes=(Tag.LINES, Tag.FILES, Tag.ITEMS)),
    Tag.DEFLATED: _Place(origins=(Origin.PNG,)),
    Tag.ITEMS: _Place((Kind.BYTES,), excludes=(Tag.WRAPPER, Tag.LINES, Tag.FILES, Tag.MOVED), segmented=True),
}
"""The table at the end of section 4 of docs/format.md."""


def check_extras(header: Header, extras: Sequence[Extra], segmented: bool) -> None:
    """Raise DamagedError for extras that are there twice, or where they cannot stand.

    extras: all that are written as such in a file of that header.
    """
    tags = [Tag(extra.tag) for extra in extras]
    for number, tag in enumerate(tags):
        place = _PLACES[tag]
        if tag is not Tag.INFO_BYTES and tag in tags[:number]:
            raise DamagedError(f"extra {tag:#04x} is there twice")
        if not place.holds(header, segmented):
            raise DamagedError(f"extra {tag:#04x} cannot stand in {_words(header, segmented)}")
        for other in place.needs:
            if other not in tags:
                raise DamagedError(f"extra {tag:#04x} cannot stand without {other:#04x}")
        for other in place.excludes:
            if other in tags:
                raise DamagedError(f"extras {tag:#04x} and {other:#04x} cannot stand together")
    if header.is_optimized and Tag.DEFLATED in tags:
        raise DamagedError(f"extra {Tag.DEFLATED:#04x} stands beside a field that says it")
    source = next((extra.value for extra in extras if extra.tag == Tag.SOURCE), None)
    if source is not None and len(source) not in (_SHORT_CHECK, _LONG_CHECK):
        raise DamagedError("the checksum of the files of a folder has neither one byte nor four")


def _words(header: Header, segmented: bool) -> str:
    form = "segmented" if segmented else "compact"
    if header.kind is not Kind.IMAGE:
        return f"a {form} file of kind {header.kind.name.lower()}"
    return f"a {form} file of a picture of origin {header.origin} and mode {header.mode.pil}"


# ---- fields -----------------------------------------------------------------------------------


def _write_fields(header: Header, segmented: bool) -> bytes:
    if header.kind is Kind.IMAGE:
        origin = Origin.BIG_ENDIAN_ARRAY if header.is_optimized else header.origin
        byte = origin << 4 | header.mode
        return bytes([byte | _IDENTICAL * header.is_identical]) + _write_check(header, segmented)
    if header.kind is Kind.ARRAY:
        is_short = header.dtype in _SHORT_TYPES
        number = _SHORT_TYPES.index(header.dtype) if is_short else _LONG_TYPE
        name = b"" if is_short else bytes([ARRAY_TYPES[header.dtype]])
        shape = header.shape[segmented:]
        return bytes([number << 4 | len(header.shape)]) + name + b"".join(map(varint, shape))
    return b""


def _write_check(header: Header, segmented: bool) -> bytes:
    """Return the checksum of the file that a picture becomes, nothing for a picture that is no file."""
    if not header.is_file_of_pixels:
        return b""
    value = header.extra(Tag.SOURCE)
    size = _check_size(header.is_identical, segmented)
    assert len(value or b"") >= size, "a picture file has the checksum of what it becomes"
    return (value or b"")[:size]


def _check_size(identical: bool, segmented: bool) -> int:
    """Return the bytes of a picture file's checksum."""
    return _LONG_CHECK if identical and segmented else _SHORT_CHECK


def read_fields(reader: Reader, kind: Kind, segmented: bool) -> Header:
    """Return the header of a file without its extras. Raises as :func:`read_head`."""
    if kind is Kind.IMAGE:
        return _read_picture(reader, segmented)
    if kind is Kind.ARRAY:
        byte = reader.byte("type and dimensions")
        dtype = _read_type(reader, byte >> 4)
        if segmented and not byte & 15:
            raise DamagedError("an array of no dimensions cannot be cut")
        first = (0,) if segmented else ()
        shape = tuple(reader.varint("an array dimension") for _ in range((byte & 15) - segmented))
        return Header(kind, dtype=dtype, shape=first + shape)
    return Header(kind)


def _read_picture(reader: Reader, segmented: bool) -> Header:
    byte = reader.byte("format and mode")
    identical, optimized = bool(byte & _IDENTICAL), _is_optimized(byte & ~_IDENTICAL)
    origin, mode = (Origin.PNG, Mode(byte & 15)) if optimized else _origin_and_mode(byte & ~_IDENTICAL)
    if not origin.is_file:
        if identical:
            raise DamagedError(f"picture format and mode {byte:#04x}: an object is no file that comes back")
        return Header(Kind.IMAGE, origin, mode)
    value = reader.take(_check_size(identical, segmented), "the checksum of the file")
    extras = (Extra(Tag.SOURCE, value), *[_OPTIMIZED] * optimized)
    return Header(Kind.IMAGE, origin, mode, extras=extras, promised=identical)


def _is_optimized(byte: int) -> bool:
    """Return whether the byte of origin and mode, of an array that is not 16-bit, stands for a PNG file instead."""
    return byte >> 4 == Origin.BIG_ENDIAN_ARRAY and byte & 15 in Origin.PNG.modes - Origin.BIG_ENDIAN_ARRAY.modes


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
    if (found := _PICTURES.get(byte)) is not None:
        return found
    if byte >> 4 > max(Origin) or byte & 15 > max(Mode):
        raise NewerVersionError(f"picture format and mode {byte:#04x} are not known here: update bfncodec")
    origin, mode = Origin(byte >> 4), Mode(byte & 15)
    raise NewerVersionError(f"picture format {origin.name} of mode {mode.pil} is not known here: update bfncodec")
