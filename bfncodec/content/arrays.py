"""Files of arrays as content: an .npz file with the items of all its arrays together, behind everything else.

A decoder moves the arrays back to their places, so it need not write a zip file. Writers stand above their readers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from bfncodec.content.types import Plain
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.wire import Reader, varint

if TYPE_CHECKING:
    import zipfile

__all__ = ["Arrays", "Place", "arrays_of", "is_npz", "npy_head", "read_places", "write_places"]

Place = tuple[int, int]
"""(start, size) in bytes of an array's data in its file."""

_LOCAL_HEADER = 30  # bytes of a zip member's local header before its name
_STORED = 0  # how zip files say that a member is not compressed


@dataclass(frozen=True)
class Arrays(Plain):
    """A file whose arrays were moved behind everything else in it.

    places: where in the file the data of each array were, in rising order.
    """

    places: tuple[Place, ...] = ()

    @property
    def first(self) -> int:
        """Byte of the content at which the data of the first array begin."""
        return len(self.data) - sum(size for _, size in self.places)

    @property
    def header(self) -> Header:
        """Header of a file with this content."""
        return Header(Kind.BYTES, extras=(write_places(self.places),))

    @property
    def file(self) -> bytes:
        """Bytes of the file as it was."""
        parts, other, moved, at = [], 0, self.first, 0
        for start, size in self.places:
            parts += [self.data[other : other + start - at], self.data[moved : moved + size]]
            other, moved, at = other + start - at, moved + size, start + size
        return b"".join([*parts, self.data[other : self.first]])


def is_npz(data: bytes) -> bool:
    """Return whether bytes are a zip file that begins with an array."""
    return data.startswith(b"PK\3\4") and data[_LOCAL_HEADER : _LOCAL_HEADER + _lengths(data, 0)[0]].endswith(b".npy")


def _lengths(data: bytes, at: int) -> tuple[int, int]:
    """Return the lengths of the name of the member at a byte, and of the extra field behind it."""
    name, extra = data[at + 26 : at + 28], data[at + 28 : at + _LOCAL_HEADER]
    return int.from_bytes(name, "little"), int.from_bytes(extra, "little")


def npy_head(data: bytes) -> int:
    """Return the size of the head of a .npy file, 0 for other bytes."""
    if not data.startswith(b"\x93NUMPY\x01") and not data.startswith(b"\x93NUMPY\x02"):
        return 0
    size = 2 if data[6] == 1 else 4
    return 8 + size + int.from_bytes(data[8 : 8 + size], "little")


def arrays_of(data: bytes, shape: tuple[int, ...]) -> Arrays:
    """Return the content of an .npz file for a model of items of that shape.

    Raises InputError for bytes that are no .npz file, and if none of its arrays consists of such items: uint8, in C
    order, not compressed.
    """
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = sorted(file.infolist(), key=lambda member: member.header_offset)
            places = [place for member in members for place in _items(data, member, prod(shape))]
        if any(start + size > later for (start, size), (later, _) in pairwise(places)):
            raise ValueError("arrays overlap")
    except Exception as error:  # zipfile, NumPy and the parser of its heads raise a dozen unrelated types
        raise InputError(f"cannot be read as an .npz file ({error}): -m auto takes it as bytes") from error
    if not places:
        raise InputError(
            f"found no array of bytes whose items have the shape {' x '.join(map(str, shape))} in the .npz file, in C "
            "order and not compressed: numpy.savez writes such files"
        )
    moved = b"".join(data[start : start + size] for start, size in places)
    return Arrays(b"".join(_others(data, places)) + moved, places=tuple(places))


def _items(data: bytes, member: zipfile.ZipInfo, item: int) -> Iterator[Place]:
    """Yield the place of a member's data if it is an array of items of that many bytes."""
    if member.compress_type != _STORED or not member.filename.endswith(".npy"):
        return
    start = member.header_offset + _LOCAL_HEADER + sum(_lengths(data, member.header_offset))
    head = npy_head(data[start : start + 12])
    if not head or not 0 < head < member.file_size or start + member.file_size > len(data):
        return
    import numpy as np

    stream = io.BytesIO(data[start : start + head])
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    size = member.file_size - head
    if dtype == np.uint8 and not fortran_order and prod(shape[1:]) == item and 0 < size == prod(shape):
        yield start + head, size


def _others(data: bytes, places: list[Place]) -> Iterator[bytes]:
    """Yield the bytes between the places."""
    at = 0
    for start, size in places:
        yield data[at:start]
        at = start + size
    yield data[at:]


# ---- the table of places ----------------------------------------------------------------------


def write_places(places: tuple[Place, ...]) -> Extra:
    """Return the extra that holds the places: how many bytes lie between an array and the one before, and its size."""
    numbers, at = [len(places)], 0
    for start, size in places:
        numbers += [start - at, size]
        at = start + size
    return Extra(Tag.MOVED, b"".join(map(varint, numbers)))


def read_places(header: Header, size: int) -> tuple[Place, ...]:
    """Return the places in a file of ``size`` bytes, none if nothing was moved.

    Raises DamagedError for a table that no writer writes.
    """
    value = header.extra(Tag.MOVED)
    if value is None:
        return ()
    reader, places, at = Reader(value), [], 0
    count = reader.varint("the number of arrays")
    if header.kind is not Kind.BYTES or header.extra(Tag.FILES) is not None or not 0 < count <= len(value):
        raise DamagedError(f"{count} arrays cannot be in content of kind {header.kind.name.lower()}")
    for _ in range(count):
        at += reader.varint("what lies before an array")
        places.append((at, reader.varint("the size of an array")))
        at += places[-1][1]
    if reader.rest() or at > size or not all(length for _, length in places):
        raise DamagedError(f"expected arrays within {size} bytes, found {at} taken by them")
    return tuple(places)
