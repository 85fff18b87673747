"""Basic types of content: plain bytes, text and arrays, beside pictures (:mod:`bfncodec.images.picture`).

Content that needs a table of its own derives from :class:`Plain` in a module beside this one: folders of files in
:mod:`bfncodec.content.folder`, files of arrays in :mod:`bfncodec.content.arrays`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from bfncodec.errors import NewerVersionError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.images.picture import Picture

__all__ = ["Content", "Plain", "Wrapper", "same_content"]


class Wrapper(IntEnum):
    """Python type in which bytes were given."""

    BYTES = 0
    BYTEARRAY = 1
    MEMORYVIEW = 2


@dataclass(frozen=True)
class Plain:
    """Bytes and what they stand for.

    Parameters
    ----------
    data
        The bytes: UTF-8 of text, the elements of an array in C order.
    kind
        Bytes, text, or an array that is no picture.
    dtype, shape
        Element type, as headers name it, and shape of an array.
    wrapper
        Python type of bytes.
    """

    data: bytes
    kind: Kind = Kind.BYTES
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    wrapper: Wrapper = Wrapper.BYTES

    @property
    def header(self) -> Header:
        """Header of a file with this content, without what depends on how it is coded."""
        extras = (Extra(Tag.WRAPPER, bytes([self.wrapper])),) if self.wrapper else ()
        return Header(self.kind, dtype=self.dtype, shape=self.shape, extras=extras)

    @classmethod
    def of(cls, header: Header, data: bytes) -> Plain:
        """Return the content of a file with that header. Raises NewerVersionError for an unknown wrapper."""
        value = header.extra(Tag.WRAPPER) or b"\0"
        if value not in {bytes([wrapper]) for wrapper in Wrapper}:
            raise NewerVersionError(f"bytes wrapped as type {value.hex()} are not known here: update bfncodec")
        return cls(data, header.kind, header.dtype, header.shape, Wrapper(value[0]))


Content = Plain | Picture


def same_content(one: Content, other: Content) -> bool:
    """Return whether two contents agree in everything that a file keeps."""
    if isinstance(one, Picture) and isinstance(other, Picture):
        return one.same(other)
    return one == other
