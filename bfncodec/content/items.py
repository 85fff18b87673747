"""Items as content: several contents of any kind that are one archive, each of which is coded alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bfncodec.content.paths import bad_path
from bfncodec.content.types import Content, Plain
from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.extras import Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.images.picture import Picture, array_of_picture

__all__ = ["Items", "Whole", "check_names", "joined", "rows_of", "whole_of"]

_SHOWN = 200  # characters of a name in an error


class Whole(IntEnum):
    """Nature of the items of an archive as a whole, as the value of its extra says."""

    EACH = 0
    ROWS = 1  # of one array, along its first side: all of one type and shape


@dataclass(frozen=True)
class Items(Plain):
    """The items of an archive that are no rows of an array.

    Parameters
    ----------
    contents
        Content of each.
    names
        Their names, None where they have none.
    """

    contents: tuple[Content, ...] = ()
    names: tuple[str, ...] | None = None


def whole_of(header: Header) -> Whole | None:
    """Return what the items of a file are as a whole, None for one that has none. Raises NewerVersionError."""
    value = header.extra(Tag.ITEMS)
    if value is None:
        return None
    if value not in (b"", b"\1"):
        raise NewerVersionError(f"items that are {value[:9].hex()} as a whole are not known here: update bfncodec")
    return Whole.ROWS if value else Whole.EACH


def rows_of(content: Content, count: int) -> list[Content]:
    """Return the rows of an array along its first side. Raises DamagedError unless there are as many as expected."""
    if not isinstance(content, Plain) or content.kind is not Kind.ARRAY or content.shape[:1] != (count,):
        raise DamagedError(f"expected an array of {count} rows, found other content")
    size = len(content.data) // count
    if not size:
        raise DamagedError("expected rows of at least a byte, found empty ones")
    starts = range(0, len(content.data), size)
    return [Plain(content.data[k : k + size], Kind.ARRAY, content.dtype, content.shape[1:]) for k in starts]


def joined(data: bytes, contents: Sequence[Content], names: Sequence[str] | None, whole: Whole) -> Content:
    """Return items as one content.

    data: their rows, coded. Raises DamagedError for names, or rows of an array, that cannot be together.
    """
    if names is not None:
        check_names(names)
    if whole is Whole.EACH:
        return Items(data, contents=tuple(contents), names=None if names is None else tuple(names))
    arrays = [_as_array(content) for content in contents]
    kinds = {(array.dtype, array.shape) for array in arrays}
    if names is not None or len(kinds) != 1:
        raise DamagedError(f"expected rows of one type and shape and without names, found {len(kinds)} sorts")
    ((dtype, shape),) = kinds
    return Plain(b"".join(array.data for array in arrays), Kind.ARRAY, dtype, (len(arrays), *shape))


def check_names(names: Sequence[str]) -> None:
    """Raise DamagedError for names that are no paths, two of which are equal, or one of which is a folder of another.

    names: in any order.
    """
    if (bad := bad_path(sorted(names))) is not None:
        shown = ascii(bad)[:_SHOWN]
        raise DamagedError(f"expected names that are paths, each there once, found {shown}: do not trust this file")


def _as_array(content: Content) -> Plain:
    """Return an item as an array. Raises DamagedError for one that is none."""
    if isinstance(content, Picture) and content.origin.is_array:
        array = array_of_picture(content)
        dtype = array.dtype.str.lstrip("<|")
        return Plain(array.tobytes(), Kind.ARRAY, dtype, array.shape)
    if isinstance(content, Plain) and content.kind is Kind.ARRAY:
        return content
    raise DamagedError("expected an item that is an array, found another")
