"""Spans: every byte of a picture file, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bfncodec.format.limits import Limits
from bfncodec.images.picture import Picture

__all__ = ["Parsed", "Role", "Span", "UnfitError", "check_size"]


class UnfitError(ValueError):
    """A file is better kept as bytes: something in it would not come back."""


class Role(Enum):
    """Reason why a byte of a file comes back.

    KEPT: it is stored. PIXELS: it codes pixels, which are coded anew. DERIVED: it follows from the others, as sizes,
    places, checksums of what codes pixels and zeros between them do.
    """

    KEPT = "kept"
    PIXELS = "pixels"
    DERIVED = "derived"


Span = tuple[Role, bytes]


@dataclass(frozen=True)
class Parsed:
    """A file taken apart: its bytes as spans, in order, and the picture that is made of them.

    made: the file that the picture becomes, where that is known without writing it.
    """

    spans: tuple[Span, ...]
    picture: Picture
    made: bytes | None = None

    @classmethod
    def of(cls, data: bytes, spans: Iterable[Span], picture: Picture) -> Parsed:
        """Return the parts of a file. UnfitError unless the spans are all of its bytes."""
        found = tuple(spans)
        if b"".join(body for _, body in found) != data:
            raise UnfitError("not every byte is accounted for")
        return cls(found, picture)

    @property
    def kept(self) -> bytes:
        """The bytes that any file of the same content has, one after the other."""
        return b"".join(body for role, body in self.spans if role is Role.KEPT)

    def same(self, other: Parsed) -> bool:
        """Return whether pixels, their mode, and everything beside them are equal."""
        one, two = self.picture, other.picture
        return one.mode is two.mode and self.kept == other.kept and np.array_equal(one.pixels, two.pixels)


def check_size(width: int, height: int) -> None:
    """Raise UnfitError for a picture without pixels, or with more than are decoded."""
    if not 0 < width * height <= Limits().pixels:
        raise UnfitError(f"{width} x {height} pixels")
