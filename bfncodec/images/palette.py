"""Palettes with their order, as the extra Tag.COLOURS holds them.

A palette in rising order, as many programs write them, says so, and takes fewer bytes. The numbers that stand for the
entries in the picture may be others than the palette's own: those along a chain of similar colours. The picture is
smoother so, where a palette is in an order of its own. The entries are coded by :mod:`bfncodec.images.palettecoding`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.wire import Reader, varint
from bfncodec.runtime.arrays import Bytes

if TYPE_CHECKING:
    from bfncodec.images.palettecoding import Entry

__all__ = ["Palette"]

_MOST = 256  # entries
_OPAQUE = 255
_RISING, _CHAINED, _FORM, _UNKNOWN = 1, 2, 4, 0xE0  # flags; a form is three bits


@dataclass(frozen=True)
class Palette:
    """Up to 256 colours.

    colours: red, green, blue of each. opacity: of the first of them; the others are opaque. form: 0 to 7, a note of
    whoever made the palette. chained: pixels are numbers along the chain, not the palette's own.
    """

    colours: bytes
    opacity: bytes = b""
    form: int = 0
    chained: bool = False

    @property
    def can_be_coded(self) -> bool:
        """Return whether there are colours, whole ones, not too many, and no more opacities."""
        count, rest = divmod(len(self.colours), 3)
        return not rest and 1 <= count <= _MOST and len(self.opacity) <= count

    @property
    def entries(self) -> list[Entry]:
        """Opacity, red, green and blue of every colour."""
        opacity = self.opacity + bytes([_OPAQUE]) * (len(self.colours) // 3 - len(self.opacity))
        return list(zip(opacity, *(self.colours[c::3] for c in range(3)), strict=True))

    def write(self) -> bytes:
        """Return the palette, which can be coded, as bytes: flags, colours less one, opacities, coded entries."""
        from bfncodec.images.palettecoding import encode

        entries, translucent = self.entries, len(self.opacity)
        rising = entries == sorted(entries)
        flags = _RISING * rising + _CHAINED * self.chained + _FORM * self.form
        return bytes([flags, len(entries) - 1]) + varint(translucent) + encode(entries, translucent, rising)

    @classmethod
    def read(cls, value: bytes) -> Palette:
        """Read what :meth:`write` wrote. NewerVersionError for flags that are not known, DamagedError for the rest."""
        from bfncodec.images.palettecoding import decode

        reader = Reader(value)
        flags, count = reader.byte("flags of a palette"), reader.byte("the size of a palette") + 1
        if flags & _UNKNOWN:
            raise NewerVersionError(f"a palette with flags {flags:#04x} is not known here: update bfncodec")
        translucent = reader.varint("how many colours have an opacity")
        if translucent > count:
            raise DamagedError(f"a palette of {count} colours has {translucent} opacities")
        entries = decode(reader.rest(), count, translucent, bool(flags & _RISING))
        colours = bytes(number for entry in entries for number in entry[1:])
        opacity = bytes(entry[0] for entry in entries[:translucent])
        return cls(colours, opacity, flags // _FORM, bool(flags & _CHAINED))

    def along_chain(self, pixels: Bytes) -> tuple[Palette, Bytes]:
        """Return the palette for numbers along the chain, and pixels ``[H, W, 1]`` with these instead of its own."""
        import numpy as np

        return replace(self, chained=True), np.argsort(self._chain()).astype(np.uint8)[pixels]

    def own_numbers(self, pixels: Bytes) -> Bytes:
        """Return pixels ``[H, W, 1]`` with the palette's own numbers."""
        return self._chain()[pixels] if self.chained else pixels

    def _chain(self) -> Bytes:
        from bfncodec.images.palettecoding import chain

        return chain(self.entries)
