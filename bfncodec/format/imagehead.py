"""The head of an image's payload: its size, and what is unusual about it.

It is mostly two varints, height and width. As no height is 0, a zero byte in front announces a byte of flags, and the
size follows, unless the flags hold it too: tiles and tiny pictures are mostly squares of 8, 16, 32, … 512 pixels a
side.
"""

from __future__ import annotations

from dataclasses import dataclass

from bfncodec.errors import DamagedError
from bfncodec.format.wire import Reader, varint

__all__ = ["ImageHead"]

_ORIENTATIONS, _GREY = 7, 8  # the flags
_SIDE_BITS, _SIDES = 4, (8, 16, 32, 64, 128, 256, 512)  # where their number is in the flags, counted from 1


@dataclass(frozen=True)
class ImageHead:
    """Size of an image as it is given, its number of channels (1 or 3), and how it is turned before it is coded.

    orientation: 0 … 7, a sum of 1 for columns reversed, 2 for rows reversed, 4 for rows and columns exchanged first.
    """

    height: int
    width: int
    channels: int = 3
    orientation: int = 0

    def write(self) -> bytes:
        """Return the bytes in front of the body."""
        flags = self.orientation | (_GREY if self.channels == 1 else 0)
        if flags and self.height == self.width in _SIDES:
            return bytes([0, flags | (_SIDES.index(self.height) + 1) << _SIDE_BITS])
        return (bytes([0, flags]) if flags else b"") + varint(self.height) + varint(self.width)

    @classmethod
    def read(cls, reader: Reader) -> ImageHead:
        """The inverse, which leaves the reader at the body. Raises DamagedError for what `write` never writes."""
        flags, height = 0, reader.varint("image height")
        if not height:
            byte = reader.byte("image flags")
            side, flags = byte >> _SIDE_BITS, byte & (_ORIENTATIONS | _GREY)
            if not flags or side > len(_SIDES):
                raise DamagedError(
                    f"expected image flags below 128 that are no multiple of 16, found {byte}: the payload is damaged"
                )
            height = _SIDES[side - 1] if side else reader.varint("image height")
            width = height if side else reader.varint("image width")
        else:
            width = reader.varint("image width")
        if not height or not width:
            raise DamagedError(
                f"expected an image of at least 1 x 1 pixels, found {height} x {width}: the payload is damaged"
            )
        return cls(height, width, 1 if flags & _GREY else 3, flags & _ORIENTATIONS)
