"""Files of several arrays (.npz) as one content: the items of all their arrays lie together, behind everything else.

Nothing of a zip file has to be made again: who decodes moves the arrays back to their places. Writers stand above their
readers.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from math import prod

from bfncodec.content.types import Arrays, Place, npy_head
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.header import Extra, Header, Kind, Tag
from bfncodec.format.wire import Reader, varint

__all__ = ["arrays_of", "is_npz", "read_places", "write_places"]

_HEAD = 30  # bytes of a member's local head before its name


def is_npz(data: bytes) -> bool:
    """Return whether it is a zip file that begins with an array."""
    return data.startswith(b"PK\3\4") and data[_HEAD : _HEAD + _lengths(data, 0)[0]].endswith(b".npy")


def _lengths(data: bytes, at: int) -> tuple[int, int]:
    """Of a member's name, and of what stands between it and the content."""
    return int.from_bytes(data[at + 26 : at + 28], "little"), int.from_bytes(data[at + 28 : at + _HEAD], "little")


def arrays_of(data: bytes, shape: tuple[int, ...]) -> Arrays:
    """The content of an .npz file for a model of items of that shape. InputError where no array is of such items."""
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
    """Where the items of a member are and how many bytes they take, if it is an array of such items."""
    if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
        return
    start = member.header_offset + _HEAD + sum(_lengths(data, member.header_offset))
    head = npy_head(data[start : start + 12])
    if not head or not 0 < head < member.file_size or start + member.file_size > len(data):
        return
    import numpy as np

    said = io.BytesIO(data[start : start + head])
    version = np.lib.format.read_magic(said)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(said)
    size = member.file_size - head
    if dtype == np.uint8 and not fortran_order and prod(shape[1:]) == item and 0 < size == prod(shape):
        yield start + head, size


def _others(data: bytes, places: list[Place]) -> Iterator[bytes]:
    """Return what is between the places."""
    at = 0
    for start, size in places:
        yield data[at:start]
        at = start + size
    yield data[at:]


# ---- the table of places ----------------------------------------------------------------------


def write_places(places: tuple[Place, ...]) -> Extra:
    """The extra that says from where the arrays were moved: what lies before each, and its size."""
    numbers, at = [len(places)], 0
    for start, size in places:
        numbers += [start - at, size]
        at = start + size
    return Extra(Tag.MOVED, b"".join(map(varint, numbers)))


def read_places(header: Header, size: int) -> tuple[Place, ...]:
    """The places in a file of that many bytes, none where nothing was moved. DamagedError for what no writer writes."""
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
