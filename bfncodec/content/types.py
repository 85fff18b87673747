"""Types of content: what can be compressed, as the container sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from bfncodec.errors import NewerVersionError
from bfncodec.format.header import Extra, Header, Kind, Mode, Origin, Tag
from bfncodec.images.picture import Picture

__all__ = [
    "Arrays",
    "Content",
    "Entry",
    "Folder",
    "Place",
    "Plain",
    "Wrapper",
    "npy_head",
    "same_content",
]

Place = tuple[int, int]
"""Where a part begins, and its size."""


class Wrapper(IntEnum):
    """The type of Python in which bytes were given."""

    BYTES = 0
    BYTEARRAY = 1
    MEMORYVIEW = 2


@dataclass(frozen=True)
class Plain:
    """Bytes, and what they were: bytes, text, or an array that is no picture. wrapper: the type of bytes."""

    data: bytes
    kind: Kind = Kind.BYTES
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    wrapper: Wrapper = Wrapper.BYTES

    @property
    def header(self) -> Header:
        """Return what the file's header says of it."""
        extras = (Extra(Tag.WRAPPER, bytes([self.wrapper])),) if self.wrapper else ()
        return Header(self.kind, dtype=self.dtype, shape=self.shape, extras=extras)

    @classmethod
    def of(cls, header: Header, data: bytes) -> Plain:
        """The content of a file with that header. NewerVersionError for a wrapper that is not known here."""
        value = header.extra(Tag.WRAPPER) or b"\0"
        if value not in {bytes([wrapper]) for wrapper in Wrapper}:
            raise NewerVersionError(f"bytes wrapped as type {value.hex()} are not known here: update bfncodec")
        return cls(data, header.kind, header.dtype, header.shape, Wrapper(value[0]))


@dataclass(frozen=True)
class Entry:
    """A file of a folder: its path with slashes, its bytes in the content, and what it is beside its pixels.

    origin is OBJECT for a file that is kept as its bytes.
    """

    path: str
    size: int
    origin: Origin = Origin.OBJECT
    mode: Mode = Mode.RGB
    extras: tuple[Extra, ...] = ()

    @property
    def is_picture(self) -> bool:
        """Return whether its pixels are in the content."""
        return self.origin is not Origin.OBJECT


@dataclass(frozen=True)
class Folder(Plain):
    """The files of a folder as one content: files kept as bytes, then the pixels of all others.

    entries: by path. sides: height and width of the pictures. lost: where the content could not be decoded. source:
    CRC-32 of all files in their order, where they come back byte for byte.
    """

    entries: tuple[Entry, ...] = ()
    sides: tuple[int, int] = (0, 0)
    lost: tuple[tuple[int, int], ...] = ()
    source: bytes | None = None

    @property
    def first(self) -> int:
        """Where the first picture begins."""
        return sum(entry.size for entry in self.entries if not entry.is_picture)

    @property
    def header(self) -> Header:
        """Return what the file's header says of it."""
        from bfncodec.content.folder import write_files

        source = () if self.source is None else (Extra(Tag.SOURCE, self.source),)
        return Header(Kind.BYTES, extras=(write_files(self.entries, self.sides), *source))


@dataclass(frozen=True)
class Arrays(Plain):
    """A file of arrays, their data moved behind everything else.

    places: where in the file the data of each array were.
    """

    places: tuple[Place, ...] = ()

    @property
    def first(self) -> int:
        """Where the first array's data begin."""
        return len(self.data) - sum(size for _, size in self.places)

    @property
    def header(self) -> Header:
        """Return what the file's header says of it."""
        from bfncodec.content.arrays import write_places

        return Header(Kind.BYTES, extras=(write_places(self.places),))

    @property
    def file(self) -> bytes:
        """The bytes as they were."""
        parts, other, moved, at = [], 0, self.first, 0
        for start, size in self.places:
            parts += [self.data[other : other + start - at], self.data[moved : moved + size]]
            other, moved, at = other + start - at, moved + size, start + size
        return b"".join([*parts, self.data[other : self.first]])


Content = Plain | Picture


def same_content(one: Content, other: Content) -> bool:
    """Equality of everything a file keeps."""
    if isinstance(one, Picture) and isinstance(other, Picture):
        return one.same(other)
    return one == other


def npy_head(data: bytes) -> int:
    """Size of the head of a .npy file, 0 for other bytes."""
    if not data.startswith(b"\x93NUMPY\x01") and not data.startswith(b"\x93NUMPY\x02"):
        return 0
    size = 2 if data[6] == 1 else 4
    return 8 + size + int.from_bytes(data[8 : 8 + size], "little")
