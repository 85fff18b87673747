"""Folders as content: many files as one, so that a model of items of one shape codes their pictures as one archive.

A picture file whose pixels are one item of the model gives its pixels and comes back like a picture file that was
compressed alone: same pixels, metadata and format. Every other file gives its bytes. Bytes come first, so that the
items end with the content. Writers stand above their readers. No numpy or PIL before pixels are at hand.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from bfncodec.content.paths import bad_path, unusable_path
from bfncodec.content.types import Plain
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.extras import Extra, Tag, read_extras, write_extras
from bfncodec.format.header import Header, check_extras, read_origin_and_mode
from bfncodec.format.kinds import Kind, Mode, Origin
from bfncodec.format.wire import Reader, varint
from bfncodec.images.files import read_file, write_file
from bfncodec.images.picture import Picture

__all__ = [
    "FileEntry",
    "FilePositions",
    "FileTable",
    "Folder",
    "Shape",
    "checksum",
    "folder_of",
    "make_files",
    "picture_shape",
    "read_files",
    "write_files",
]

Shape = tuple[int, int, int]
"""Height, width and channels of an item."""

Range = tuple[int, int]
"""(start, stop) in the content."""

_MODES = {3: (Mode.RGB,), 1: (Mode.L, Mode.BILEVEL)}
_SHOWN = 200  # characters of a path in an error
_BYTES = 0  # in the place of a picture's format and mode


@dataclass(frozen=True)
class FileEntry:
    """A file of a folder.

    Parameters
    ----------
    path
        Relative path with slashes.
    size
        Bytes that the file has in the content.
    origin
        Format of a picture file; OBJECT for a file that is kept as its bytes.
    mode, extras
        Mode and metadata of a picture.
    """

    path: str
    size: int
    origin: Origin = Origin.OBJECT
    mode: Mode = Mode.RGB
    extras: tuple[Extra, ...] = ()

    @property
    def is_picture(self) -> bool:
        """The content has the pixels of the file instead of its bytes."""
        return self.origin is not Origin.OBJECT


@dataclass(frozen=True)
class Folder(Plain):
    """The files of a folder as one content: files kept as bytes, then the pixels of all others.

    Parameters
    ----------
    entries
        Files in the order of their paths.
    sides
        Height and width of all pictures.
    lost
        Ranges of the content that could not be decoded.
    source
        CRC-32 of all files in their order if they come back byte for byte, else its lowest byte, of what they become;
        None where some are lost.
    """

    entries: tuple[FileEntry, ...] = ()
    sides: tuple[int, int] = (0, 0)
    lost: tuple[Range, ...] = ()
    source: bytes | None = None

    @property
    def first(self) -> int:
        """Byte of the content at which the first picture begins."""
        return sum(entry.size for entry in self.entries if not entry.is_picture)

    @property
    def header(self) -> Header:
        """Header of a file with this content."""
        source = () if self.source is None else (Extra(Tag.SOURCE, self.source),)
        return Header(Kind.BYTES, extras=(write_files(self.entries, self.sides), *source))


class FilePositions:
    """Positions of the files in the content, those kept as bytes first.

    entries: the files in the order of the content. starts: the byte at which each begins.
    """

    def __init__(self, entries: Sequence[FileEntry]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.is_picture)
        self.starts = list(accumulate((entry.size for entry in self.entries), initial=0))[: len(self.entries)]
        self._ends = [start + entry.size for entry, start in zip(self.entries, self.starts, strict=True)]

    def within(self, span: Range) -> tuple[str, ...]:
        """Return the paths of the files that have bytes in a range of the content."""
        start, stop = span
        if start >= stop:
            return ()
        touched = self.entries[bisect_right(self._ends, start) : bisect_left(self.starts, stop)]
        return tuple(sorted(entry.path for entry in touched if entry.size))


# ---- files to content and back ----------------------------------------------------------------


def picture_shape(shape: tuple[int, ...], model: str) -> Shape:
    """Return the shape of a model's items as that of pictures.

    shape: ``()`` for a model of other things than archives. Raises InputError for what is no shape of a picture.
    """
    if len(shape) != 3 or shape[2] not in _MODES:
        raise InputError(
            f"model {model} codes no pictures of one shape, so no folder",
            python="compress the files in it",
            command="use -r to take the files in it",
        )
    return shape[0], shape[1], shape[2]


def folder_of(files: Mapping[str, bytes], shape: Shape, exact: bool = False) -> Folder:
    """Return the content of files by path.

    exact: keep a picture file as bytes unless it comes back byte for byte.

    Raises InputError for paths that lead elsewhere, and where no file is a picture of that shape.
    """
    paths = sorted(files)
    if (bad := bad_path(paths)) is not None or (bad := unusable_path(paths)) is not None:
        raise InputError(f"expected paths in UTF-8 that stay in the folder, found {bad!a}: rename it")
    entries, plain, pixels, identical = [], [], [], True
    for path in sorted(files):
        picture = _item(files[path], shape, exact)
        if picture is None:
            plain.append(files[path])
            entries.append(FileEntry(path, len(files[path])))
        else:
            pixels.append(_pixel_bytes(picture))
            identical = identical and picture.header.is_identical
            extras = tuple(extra for extra in picture.extras if extra.tag != Tag.SOURCE)  # the folder has one for all
            entries.append(FileEntry(path, len(pixels[-1]), picture.origin, picture.mode, extras))
    if not pixels:
        height, width, channels = shape
        kind = f"{'an RGB' if channels == 3 else 'a grey'} picture of {width} x {height} pixels"
        exactly = " that comes back byte for byte" if exact else ""
        raise InputError(
            f"found no file that is {kind}{exactly}",
            python="compress each file alone",
            command="use -r to compress each file alone",
        )
    folder = Folder(b"".join(plain + pixels), entries=tuple(entries), sides=shape[:2])
    return replace(folder, source=checksum(files) if identical else checksum(make_files(folder))[:1])


def checksum(files: Mapping[str, bytes]) -> bytes:
    """Return the CRC-32 of all files in the order of their paths, little-endian."""
    crc = 0
    for path in sorted(files):
        crc = zlib.crc32(files[path], crc)
    return crc.to_bytes(4, "little")


def make_files(folder: Folder) -> dict[str, bytes]:
    """Return the files by path, without those of which something is lost."""
    positions = FilePositions(folder.entries)
    lost = {path for span in folder.lost for path in positions.within(span)}
    found = {
        entry.path: _make_file(entry, folder.data[start : start + entry.size], folder.sides)
        for entry, start in zip(positions.entries, positions.starts, strict=True)
        if entry.path not in lost
    }
    return {path: found[path] for path in sorted(found)}


def _item(data: bytes, shape: Shape, exact: bool) -> Picture | None:
    """Return the picture of a file that is one item, None for any other file."""
    picture = read_file(data, exact)
    if picture is None or picture.mode not in _MODES[shape[2]] or picture.pixels.shape != shape:
        return None
    return picture


def _pixel_bytes(picture: Picture) -> bytes:
    """Return the samples of a picture; black and white are 0 and 255, as in a grey one."""
    white = 255 if picture.mode is Mode.BILEVEL else 1
    return (picture.pixels * white).astype("u1").tobytes()


def _make_file(entry: FileEntry, data: bytes, sides: tuple[int, int]) -> bytes:
    if not entry.is_picture:
        return data
    import numpy as np

    pixels = np.frombuffer(data, np.uint8).reshape(*sides, entry.mode.channels)
    if entry.mode is Mode.BILEVEL:
        pixels = pixels // 255
    try:
        return write_file(Picture(pixels, entry.mode, entry.origin, entry.extras))
    except DamagedError as error:
        raise DamagedError(f"{entry.path}: {error}") from error


# ---- the table of files -----------------------------------------------------------------------


def write_files(entries: Sequence[FileEntry], sides: tuple[int, int]) -> Extra:
    """Return the extra that holds the table of files, field by field, which suits LZMA."""
    paths = b"".join(entry.path.encode() + b"\0" for entry in entries)
    formats = bytes(entry.origin << 4 | entry.mode if entry.is_picture else _BYTES for entry in entries)
    sizes = b"".join(varint(entry.size) for entry in entries if not entry.is_picture)
    extras = b"".join(write_extras(entry.extras, squeeze=False) for entry in entries if entry.is_picture)
    head = b"".join(map(varint, [*sides, len(entries)]))
    return Extra(Tag.FILES, head + paths + formats + sizes + extras)


@dataclass(frozen=True)
class FileTable:
    """The files in the order of their paths, and height and width of the pictures among them."""

    entries: tuple[FileEntry, ...]
    sides: tuple[int, int]


def read_files(header: Header, size: int) -> FileTable | None:
    """Return the table of the files in content of ``size`` bytes; None for content that is no folder.

    Raises DamagedError for a table that no writer writes, above all for paths that lead out of the folder.
    """
    value = header.extra(Tag.FILES)
    if value is None:
        return None
    reader = Reader(value)
    sides = reader.varint("a height"), reader.varint("a width")
    count = reader.varint("the number of files")
    if header.kind is not Kind.BYTES or not 0 < count <= len(value):
        raise DamagedError(f"a folder of {count} files cannot be in content of kind {header.kind.name.lower()}")
    paths = _read_paths(reader, count)
    formats = [
        read_origin_and_mode(Reader(bytes([byte]))) if byte else None for byte in reader.take(count, "formats of files")
    ]
    sizes = [0 if found else reader.varint("the size of a file") for found in formats]
    entries = tuple(_read_entry(reader, *found, sides) for found in zip(paths, formats, sizes, strict=True))
    total = sum(entry.size for entry in entries)
    if reader.rest() or total != size:
        raise DamagedError(f"expected files of {size} bytes, found {total}")
    return FileTable(entries, sides)


def _read_paths(reader: Reader, count: int) -> list[str]:
    *paths, _ = reader.data[reader.offset :].split(b"\0", count)
    reader.take(sum(map(len, paths)) + count, "paths of files")
    try:
        names = [path.decode() for path in paths]
    except UnicodeDecodeError as error:
        raise DamagedError(f"expected paths in UTF-8, found {error.object[:_SHOWN]!r}") from error
    if len(names) != count or (bad := bad_path(names)) is not None:
        what = ascii(bad)[:_SHOWN] if len(names) == count else f"{len(names)} of {count}"
        raise DamagedError(f"expected sorted paths that stay in the folder, found {what}: do not trust this file")
    if (bad := unusable_path(names)) is not None:
        raise DamagedError(f"expected paths that can be files on Windows, found {bad!a}: decompress it elsewhere")
    return names


def _read_entry(
    reader: Reader, path: str, form: tuple[Origin, Mode] | None, size: int, sides: tuple[int, int]
) -> FileEntry:
    if form is None:
        return FileEntry(path, size)
    origin, mode = form
    no_file = origin is Origin.OBJECT or origin.is_array
    if no_file or not any(mode in modes for modes in _MODES.values()) or not min(sides):
        raise DamagedError(f"{path!a}: a picture of origin {origin}, mode {mode.pil} and sides {sides} cannot be")
    return FileEntry(path, sides[0] * sides[1] * mode.channels, origin, mode, _read_extras(reader, origin, mode))


def _read_extras(reader: Reader, origin: Origin, mode: Mode) -> tuple[Extra, ...]:
    """Return the extras of a picture, which are those of a file that holds it alone."""
    extras = read_extras(reader)
    check_extras(Header(Kind.IMAGE, origin, mode), extras, segmented=False)
    return extras
