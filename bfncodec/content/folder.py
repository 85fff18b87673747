"""Folders: many files as one content, so that a model of items of one shape codes their pictures as one archive.

A picture file whose pixels are one item of the model gives its pixels, and comes back as a picture file that was
compressed alone does: same pixels and metadata, same format. Every other file gives its bytes. Bytes come first, so
that the items end with the content. Writers stand above their readers. No numpy or PIL before pixels are at hand.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from bfncodec.content.paths import bad_path, unusable_path
from bfncodec.content.types import Entry, Folder
from bfncodec.errors import DamagedError, InputError
from bfncodec.files.sources import Identity, read_known
from bfncodec.format.header import Extra, Header, Kind, Mode, Origin, Tag, read_extras, read_look, write_extras
from bfncodec.format.wire import Reader, varint
from bfncodec.images.picture import Picture

__all__ = [
    "Places",
    "Shape",
    "checksum",
    "folder_of",
    "make_files",
    "picture_shape",
    "read_files",
    "read_folder",
    "write_files",
]

Shape = tuple[int, int, int]
"""Height, width and channels of an item."""

Range = tuple[int, int]
"""(start, stop) in the content."""

_MODES = {3: (Mode.RGB,), 1: (Mode.L, Mode.BILEVEL)}
_SHOWN = 200  # characters of a path in an error
_BYTES = 0  # in the place of a picture's format and mode


# ---- files on disk ----------------------------------------------------------------------------


def read_folder(
    folder: Path, on_skip: Callable[[str, str], None] | None = None, known: dict[str, Identity] | None = None
) -> dict[str, bytes]:
    """Every file in a folder and the folders in it, by its path with slashes.

    on_skip: given the path of what is neither file nor folder (a symbolic link, a pipe), and what it is; without it
    that is an error. known: takes the identity of each file as it was read. Raises InputError, also where something
    cannot be read and where there are no files.
    """
    found = {}
    for path in _walk(folder, on_skip or _refuse):
        name = path.relative_to(folder).as_posix()
        try:
            found[name], identity = read_known(path)
        except InputError as error:
            raise InputError(f"{name} {error}") from error
        if known is not None:
            known[name] = identity
    if not found:
        raise InputError("expected a folder with files, found none in it")
    return found


def _walk(folder: Path, skip: Callable[[str, str], None]) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise InputError(f"cannot be read: {error.filename}: {error.strerror or error}") from error

    for top, inner, names in os.walk(folder, onerror=fail):
        inner.sort()  # the order in which they are entered
        for path in (Path(top, name) for name in sorted([*inner, *names])):
            if path.is_symlink():
                skip(str(path), "is a symbolic link")
            elif path.is_file():
                yield path
            elif not path.is_dir():
                skip(str(path), "is neither a file nor a folder")


def _refuse(path: str, what: str) -> None:
    raise InputError(f"{path} {what}, which is not kept: remove it first")


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
    """The content of files by path. exact: no file is taken for a picture that would not come back byte for byte.

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
            entries.append(Entry(path, len(files[path])))
        else:
            pixels.append(_pixel_bytes(picture))
            identical = identical and picture.header.extra(Tag.SOURCE) is not None
            extras = tuple(extra for extra in picture.extras if extra.tag != Tag.SOURCE)  # the folder has one for all
            entries.append(Entry(path, len(pixels[-1]), picture.origin, picture.mode, extras))
    if not pixels:
        height, width, channels = shape
        kind = f"{'an RGB' if channels == 3 else 'a grey'} picture of {width} x {height} pixels"
        exactly = " that comes back byte for byte" if exact else ""
        raise InputError(
            f"found no file that is {kind}{exactly}",
            python="compress each file alone",
            command="use -r to compress each file alone",
        )
    source = checksum(files) if identical else None
    return Folder(b"".join(plain + pixels), entries=tuple(entries), sides=shape[:2], source=source)


def checksum(files: Mapping[str, bytes]) -> bytes:
    """The CRC-32 of all files by their paths, little-endian."""
    crc = 0
    for path in sorted(files):
        crc = zlib.crc32(files[path], crc)
    return crc.to_bytes(4, "little")


def make_files(folder: Folder) -> dict[str, bytes]:
    """The files by path; without those of which something is lost."""
    places = Places(folder.entries)
    lost = {path for box in folder.lost for path in places.within(box)}
    found = {
        entry.path: _make_file(entry, folder.data[start : start + entry.size], folder.sides)
        for entry, start in zip(places.entries, places.starts, strict=True)
        if entry.path not in lost
    }
    return {path: found[path] for path in sorted(found)}


class Places:
    """Where in the content each file is: files kept as bytes come first."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.is_picture)
        self.starts = list(accumulate((entry.size for entry in self.entries), initial=0))[: len(self.entries)]
        self._ends = [start + entry.size for entry, start in zip(self.entries, self.starts, strict=True)]

    def within(self, box: Range) -> tuple[str, ...]:
        """The paths of the files that have bytes in a part of the content."""
        start, stop = box
        if start >= stop:
            return ()
        touched = self.entries[bisect_right(self._ends, start) : bisect_left(self.starts, stop)]
        return tuple(sorted(entry.path for entry in touched if entry.size))


def _item(data: bytes, shape: Shape, exact: bool) -> Picture | None:
    """The picture of a file that is an item; None for any other."""
    from bfncodec.images.files import read_file

    picture = read_file(data, exact)
    if picture is None or picture.mode not in _MODES[shape[2]] or picture.pixels.shape != shape:
        return None
    return picture


def _pixel_bytes(picture: Picture) -> bytes:
    """Black and white are 0 and 255, as in a grey picture."""
    white = 255 if picture.mode is Mode.BILEVEL else 1
    return (picture.pixels * white).astype("u1").tobytes()


def _make_file(entry: Entry, data: bytes, sides: tuple[int, int]) -> bytes:
    if not entry.is_picture:
        return data
    import numpy as np

    from bfncodec.images.files import write_file

    pixels = np.frombuffer(data, np.uint8).reshape(*sides, entry.mode.channels)
    if entry.mode is Mode.BILEVEL:
        pixels = pixels // 255
    try:
        return write_file(Picture(pixels, entry.mode, entry.origin, entry.extras))
    except DamagedError as error:
        raise DamagedError(f"{entry.path}: {error}") from error


# ---- the table of files -----------------------------------------------------------------------


def write_files(entries: Sequence[Entry], sides: tuple[int, int]) -> Extra:
    """The extra that says which files a content is: like beside like, as LZMA likes it."""
    paths = b"".join(entry.path.encode() + b"\0" for entry in entries)
    looks = bytes(entry.origin << 4 | entry.mode if entry.is_picture else _BYTES for entry in entries)
    sizes = b"".join(varint(entry.size) for entry in entries if not entry.is_picture)
    extras = b"".join(write_extras(entry.extras, squeeze=False) for entry in entries if entry.is_picture)
    head = b"".join(map(varint, [*sides, len(entries)]))
    return Extra(Tag.FILES, head + paths + looks + sizes + extras)


def read_files(header: Header, size: int) -> tuple[tuple[Entry, ...], tuple[int, int]] | None:
    """The files that content of that many bytes is and the sides of its pictures; None for content that is no folder.

    Raises DamagedError for what no writer writes, above all for paths that lead out of the folder.
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
    looks = [read_look(Reader(bytes([byte]))) if byte else None for byte in reader.take(count, "formats of files")]
    sizes = [0 if look else reader.varint("the size of a file") for look in looks]
    entries = tuple(_read_entry(reader, *found, sides) for found in zip(paths, looks, sizes, strict=True))
    total = sum(entry.size for entry in entries)
    if reader.rest() or total != size:
        raise DamagedError(f"expected files of {size} bytes, found {total}")
    return entries, sides


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
    reader: Reader, path: str, look: tuple[Origin, Mode] | None, size: int, sides: tuple[int, int]
) -> Entry:
    if look is None:
        return Entry(path, size)
    origin, mode = look
    no_file = origin is Origin.OBJECT or origin.is_array
    if no_file or not any(mode in modes for modes in _MODES.values()) or not min(sides):
        raise DamagedError(f"{path!a}: a picture of origin {origin}, mode {mode.pil} and sides {sides} cannot be")
    return Entry(path, sides[0] * sides[1] * mode.channels, origin, mode, read_extras(reader))
