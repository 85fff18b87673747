"""Contents: what can be compressed, as the container sees it. Objects to contents and back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from bfncodec.errors import DamagedError, InputError
from bfncodec.header import Extra, Header, Kind, Limits, Mode, Origin
from bfncodec.pictures import (
    Picture,
    array_of_picture,
    image_of_picture,
    picture_of_array,
    picture_of_image,
)

__all__ = [
    "Arrays",
    "Content",
    "Entry",
    "Folder",
    "Place",
    "Plain",
    "content_of",
    "npy_head",
    "object_of",
    "same_content",
]

_MAX_DIMENSIONS = 15

Place = tuple[int, int]
"""Where a part begins, and its size."""


@dataclass(frozen=True)
class Plain:
    """Bytes, and what they were: bytes, text, or an array that is no picture."""

    data: bytes
    kind: Kind = Kind.BYTES
    dtype: str = "u1"
    shape: tuple[int, ...] = ()

    @property
    def header(self) -> Header:
        """What the file's header says of it."""
        return Header(self.kind, dtype=self.dtype, shape=self.shape)

    @classmethod
    def of(cls, header: Header, data: bytes) -> Plain:
        """The content of a file with that header."""
        return cls(data, header.kind, header.dtype, header.shape)


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
        """Whether its pixels are in the content."""
        return self.origin is not Origin.OBJECT


@dataclass(frozen=True)
class Folder(Plain):
    """The files of a folder as one content: files kept as bytes, then the pixels of all others.

    entries: by path. sides: height and width of the pictures. lost: where the content could not be decoded.
    """

    entries: tuple[Entry, ...] = ()
    sides: tuple[int, int] = (0, 0)
    lost: tuple[tuple[int, int], ...] = ()

    @property
    def first(self) -> int:
        """Where the first picture begins."""
        return sum(entry.size for entry in self.entries if not entry.is_picture)

    @property
    def header(self) -> Header:
        """What the file's header says of it."""
        from bfncodec.folders import write_files

        return Header(Kind.BYTES, extras=(write_files(self.entries, self.sides),))


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
        """What the file's header says of it."""
        from bfncodec.arrays import write_places

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


def content_of(data: Any) -> Content:
    """bytes, str, a uint8 or uint16 array, or a Pillow image; InputError for anything else."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return Plain(bytes(data))
    if isinstance(data, str):
        return Plain(data.encode("utf-8", "surrogatepass"), Kind.STR)
    numpy, pillow = sys.modules.get("numpy"), sys.modules.get("PIL.Image")  # there, if data is of them
    if numpy is not None and isinstance(data, numpy.ndarray):
        return _of_array(data)
    if pillow is not None and isinstance(data, pillow.Image):
        if data.width * data.height > Limits().pixels:
            raise InputError(f"expected at most {Limits().pixels} pixels, found {data.width} x {data.height}: cut it")
        return picture_of_image(data)
    raise InputError(f"expected bytes, str, a uint8 or uint16 array or a Pillow image, found {type(data).__name__}")


def object_of(content: Content) -> Any:
    """The inverse of :func:`content_of`; the bytes of a picture that was a file, and of each file of a folder."""
    if isinstance(content, Folder):
        from bfncodec.folders import make_files

        return make_files(content)
    if isinstance(content, Arrays):
        return content.file
    if isinstance(content, Plain):
        return _plain_object(content)
    if content.origin is Origin.ARRAY:
        return array_of_picture(content)
    if content.origin is Origin.OBJECT:
        return image_of_picture(content)
    from bfncodec.imagefiles import write_file

    return write_file(content)


def _of_array(array: Any) -> Content:
    if array.dtype.name not in ("uint8", "uint16") or array.ndim > _MAX_DIMENSIONS:
        raise InputError(
            f"expected a uint8 or uint16 array of at most {_MAX_DIMENSIONS} dimensions, "
            f"found {array.dtype} with {array.ndim}: use array.view or array.tobytes()"
        )
    picture = picture_of_array(array)
    if picture is not None and picture.pixels.shape[0] * picture.pixels.shape[1] <= Limits().pixels:
        return picture
    dtype = f"u{array.itemsize}"
    return Plain(array.astype("<" + dtype).tobytes(), Kind.ARRAY, dtype, tuple(map(int, array.shape)))


def _plain_object(content: Plain) -> Any:
    if content.kind is Kind.BYTES:
        return content.data
    if content.kind is Kind.STR:
        try:
            return content.data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise DamagedError(f"expected UTF-8 text, found {error.reason} at byte {error.start}") from error
    import numpy as np

    flat = np.frombuffer(content.data, "<" + content.dtype)
    return flat.astype(content.dtype).reshape(content.shape)


def npy_head(data: bytes) -> int:
    """Size of the head of a .npy file, 0 for other bytes."""
    if not data.startswith(b"\x93NUMPY\x01") and not data.startswith(b"\x93NUMPY\x02"):
        return 0
    size = 2 if data[6] == 1 else 4
    return 8 + size + int.from_bytes(data[8 : 8 + size], "little")
