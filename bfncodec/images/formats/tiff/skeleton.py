"""The skeleton of a TIFF file: all of it but the strips, which are cut out and put back.

What points to a place in the file points to that place in the skeleton while the strips are out. What the tables of
strips say follows from the strips; in the skeleton they are zeros.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from bfncodec.format.extras import Extra, Tag
from bfncodec.format.wire import Reader, varint
from bfncodec.images.formats.tiff.tags import NUMBER_FORMATS, Tags

__all__ = ["Cut", "Skeleton"]

_EDGE = 16  # added to the level


@dataclass(frozen=True)
class Cut:
    """A place in the skeleton where strips are missing.

    count: of strips. odd: the number of their bytes is odd.
    """

    place: int
    count: int
    odd: bool


@dataclass(frozen=True)
class Skeleton:
    """A file without its strips, and how they are made again: what the extra Tag.STRIPS holds.

    level: zlib's. edge: beyond the picture, tiles have its last row and column again; else zeros. cuts: from low places
    to high ones.
    """

    data: bytes
    cuts: tuple[Cut, ...]
    level: int
    edge: bool = False

    @classmethod
    def of(cls, tags: Tags, places: Sequence[int], sizes: Sequence[int], level: int, edge: bool) -> Skeleton:
        """Cut the strips out of a file: those at ``places``, in rising order, of ``sizes`` bytes."""
        return cls(_cut_out(tags, places, sizes), _cuts(places, sizes), level, edge)

    def write(self) -> Extra:
        """Return the extra: level, cuts, data."""
        before, out = 0, bytes([self.level + _EDGE * self.edge]) + varint(len(self.cuts))
        for cut in self.cuts:
            out += varint(cut.place - before) + varint(2 * cut.count + cut.odd)
            before = cut.place
        return Extra(Tag.STRIPS, out + self.data)

    @classmethod
    def read(cls, value: bytes) -> Skeleton:
        """Read the value of an extra that :meth:`write` wrote. DamagedError where it is cut off."""
        reader, cuts, place = Reader(value), [], 0
        level = reader.byte("a level")
        for _ in range(reader.varint("the number of cuts")):
            place += reader.varint("the place of strips")
            number = reader.varint("the number of strips")
            cuts.append(Cut(place, number // 2, bool(number % 2)))
        return cls(reader.rest(), tuple(cuts), level % _EDGE, level >= _EDGE)

    def fill(self, coded: Sequence[bytes]) -> bytes:
        """Return the file with these strips where they were cut out.

        A zero byte is behind the strips of a cut where they are odd as they were not, or the reverse. ValueError or
        struct.error for a skeleton of other strips.
        """
        if sum(cut.count for cut in self.cuts) != len(coded):
            raise ValueError(f"{len(coded)} strips where there were others")
        return _assemble(Tags(self.data), self.cuts, coded)


def _cuts(places: Sequence[int], sizes: Sequence[int]) -> tuple[Cut, ...]:
    """Return the cuts that strips leave; those that follow one another at once leave one."""
    cuts: dict[int, list[int]] = {}
    gone = 0
    for place, size in zip(places, sizes, strict=True):
        cuts.setdefault(place - gone, []).append(size)
        gone += size
    return tuple(Cut(place, len(found), sum(found) % 2 == 1) for place, found in cuts.items())


def _cut_out(tags: Tags, places: Sequence[int], sizes: Sequence[int]) -> bytes:
    """Return the file without its strips; what points to a place points to that place in what is left."""
    kept, at = [], 0
    for place, size in zip(places, sizes, strict=True):
        kept.append(tags.data[at:place])
        at = place + size
    skeleton = bytearray(b"".join([*kept, tags.data[at:]]))
    before = [0, *accumulate(sizes)]

    def inside(place: int) -> int:
        return place - before[bisect_right(places, place)]

    _move_pointers(tags, skeleton, inside)
    for entry in tags.tables:
        skeleton[inside(entry.at) : inside(entry.at) + entry.size] = bytes(entry.size)
    return bytes(skeleton)


def _assemble(tags: Tags, cuts: Sequence[Cut], coded: Sequence[bytes]) -> bytes:
    """Return the file with strips in it, its pointers moved and its tables filled."""
    pieces, starts, moves = _fill(tags.data, cuts, coded)
    made, places = bytearray(b"".join(pieces)), [cut.place for cut in cuts]

    def outside(place: int) -> int:
        return place + moves[bisect_right(places, place)]

    _move_pointers(tags, made, outside)
    for entry, numbers in zip(tags.tables, (starts, list(map(len, coded))), strict=True):
        if entry.count != len(coded):
            raise ValueError("a table of another number of strips")
        form = f"{tags.order}{entry.count}{NUMBER_FORMATS[entry.field_type]}"
        struct.pack_into(form, made, outside(entry.at), *numbers)
    return bytes(made)


def _fill(data: bytes, cuts: Sequence[Cut], coded: Sequence[bytes]) -> tuple[list[bytes], list[int], list[int]]:
    """Return the pieces of the file, where in it each strip begins, and how far what is behind each cut has moved."""
    pieces: list[bytes] = []
    starts: list[int] = []
    moves, at, done = [0], 0, 0
    for cut in cuts:
        if not at <= cut.place <= len(data):
            raise ValueError("strips out of order")
        strips = coded[done : done + cut.count]
        begin = cut.place + moves[-1]
        starts += [begin + before for before in accumulate(map(len, strips[:-1]), initial=0)] if strips else []
        size = sum(map(len, strips))
        padding = bytes(size % 2 != cut.odd)
        pieces += [data[at : cut.place], *strips, padding]
        moves.append(moves[-1] + size + len(padding))
        at, done = cut.place, done + cut.count
    return [*pieces, data[at:]], starts, moves


def _move_pointers(tags: Tags, made: bytearray, move: Callable[[int], int]) -> None:
    """Let every pointer of a file point to where things are in another; ``move``: a place there, for a place here."""
    for pointer in tags.pointers:
        target = struct.unpack_from(tags.order + "I", tags.data, pointer)[0]
        struct.pack_into(tags.order + "I", made, move(pointer), move(target))
