"""Directories of a TIFF file: tags, their values, and all places that something in the file points to.

TIFF 6.0, section 2: a file is a head, directories of entries of 12 bytes (tag, type, count, value or its place), and
values of more than four bytes, which lie anywhere.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from bfncodec.forks import cached_property
from bfncodec.images.formats.spans import UnfitError

__all__ = ["LONG", "NUMBER_FORMATS", "Entry", "Tags"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value by its type."""
NUMBER_FORMATS = {1: "B", 3: "H", 4: "I"}
"""Formats of :mod:`struct` for the types of whole numbers: BYTE, SHORT, LONG."""
LONG, _IFD = 4, 13

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
COLOUR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES = 320, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_MAKER_NOTE = 37500  # of EXIF, full of places that only its maker knows

_KNOWN = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 269, 270, 271, 272, 273, 274, 277, 278, 279, 280, 281),
    *(282, 283, 284, 285, 286, 287, 290, 291, 296, 297, 301, 305, 306, 315, 316, 317, 318, 319, 320, 321, 322, 323),
    *(324, 325, 332, 333, 334, 336, 337, 338, 339, 340, 341, 532, 559, 700, 33432, 33550, 33723, 33922, 34264, 34377),
    *(34675, 34735, 34736, 34737, 42112, 42113, 50838, 50839, *_DIRECTORIES),
}
"""Tags whose values say nothing of places in the file, but for strips, tiles and directories."""


@dataclass(frozen=True)
class Entry:
    """A tag in a directory.

    place: where the entry begins. field_type: the type of its value. at: where that begins, in the entry or elsewhere.
    """

    place: int
    tag: int
    field_type: int
    count: int
    at: int

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self.count * _SIZES[self.field_type]

    @property
    def is_apart(self) -> bool:
        """Return whether the value lies elsewhere, and the entry points to it."""
        return self.size > 4


class Tags:
    """The directories of a file of one page, as far as they are known.

    order: of bytes, "<" or ">" as :mod:`struct` has it. entries: of the page. others: of the directories that it points
    to. heads: place and size of each directory. pointers: places of all numbers that are places themselves, but for
    those in the tables. UnfitError, KeyError or struct.error for a file that is not like that.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
        self.heads: list[tuple[int, int]] = []
        self.pointers: list[int] = [4]
        self.entries = self._directory(self._number(4))
        self.others: list[Entry] = []
        for tag in _DIRECTORIES:
            for entry in [entry for entry in (*self.entries, *self.others) if entry.tag == tag]:
                if entry.count != 1 or entry.field_type not in (LONG, _IFD):
                    raise UnfitError("a directory of an unknown type")
                self.pointers.append(entry.at)
                self.others += self._directory(self._number(entry.at))
        self.pointers += [entry.place + 8 for entry in (*self.entries, *self.others) if entry.is_apart]
        if len({entry.tag for entry in self.entries}) < len(self.entries):
            raise UnfitError("a tag that is there twice")

    def _directory(self, place: int) -> list[Entry]:
        count = self._number(place, "H")
        self.heads.append((place, 2 + 12 * count + 4))
        if place < 8 or place + 2 + 12 * count + 4 > len(self.data) or self._number(place + 2 + 12 * count):
            raise UnfitError("more than one page, or a directory beyond the end")
        return [self._entry(place + 2 + 12 * number) for number in range(count)]

    def _entry(self, place: int) -> Entry:
        tag, field_type, count = struct.unpack_from(self.order + "HHI", self.data, place)
        if field_type not in _SIZES:
            raise UnfitError(f"a value of type {field_type}")
        entry = Entry(place, tag, field_type, count, place + 8)
        entry = replace(entry, at=self._number(place + 8)) if entry.is_apart else entry
        if entry.at < 8 or entry.at + entry.size > len(self.data):
            raise UnfitError("a value beyond the end")
        return entry

    def _number(self, place: int, form: str = "I") -> int:
        return int(struct.unpack_from(self.order + form, self.data, place)[0])

    def find(self, tag: int) -> Entry | None:
        """Return the page's entry of a tag, None where there is none."""
        return next((entry for entry in self.entries if entry.tag == tag), None)

    def numbers(self, tag: int, *otherwise: int) -> tuple[int, ...]:
        """Return the numbers of a tag, or ``otherwise`` where it is not there. UnfitError for a tag of other values."""
        entry = self.find(tag)
        if entry is None:
            return otherwise
        form = NUMBER_FORMATS.get(entry.field_type)
        if form is None:
            raise UnfitError(f"tag {tag} of type {entry.field_type}")
        return struct.unpack_from(f"{self.order}{entry.count}{form}", self.data, entry.at)

    def number(self, tag: int, otherwise: int = -1) -> int:
        """Return the one number of a tag, or ``otherwise``. ValueError where there are several."""
        (number,) = self.numbers(tag, otherwise)
        return number

    def value(self, entry: Entry) -> bytes:
        """Return the bytes of an entry's value."""
        return self.data[entry.at : entry.at + entry.size]

    @cached_property
    def tables(self) -> tuple[Entry, Entry]:
        """The entries of the places of strips or tiles, and of their sizes. UnfitError for none, or both."""
        tiled = self.find(TILE_OFFSETS) is not None
        places = self.find(TILE_OFFSETS if tiled else STRIP_OFFSETS)
        sizes = self.find(TILE_BYTES if tiled else STRIP_BYTES)
        if places is None or sizes is None or (tiled and self.find(STRIP_OFFSETS) is not None):
            raise UnfitError("no strips, or both strips and tiles")
        return places, sizes

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Place and size of every directory and of every value that lies apart."""
        apart = [(entry.at, entry.size) for entry in (*self.entries, *self.others) if entry.is_apart]
        return [*self.heads, *apart]

    @property
    def may_move(self) -> bool:
        """Return whether every place that a tag may say is known, so that what lies there can move."""
        known = all(entry.tag in _KNOWN and entry.field_type != _IFD for entry in self.entries)
        return known and all(entry.tag != _MAKER_NOTE and entry.field_type != _IFD for entry in self.others)
