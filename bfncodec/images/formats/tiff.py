"""TIFF files: the file without its strips or tiles, which are coded again as they were and put back.

The *skeleton* is the file with the strips cut out. All that points to a place is known (the head, the values of tags
that lie elsewhere, the directories of EXIF, GPS and interoperability) and points to the place in the skeleton; the
tables of places and sizes of the strips are zeros there. To make the file again, strips are coded from the pixels, put
where they were cut out, and the pointers moved.

Strips that come out as they were, by coders that are all in this library, give the same file whatever else is in it:
there, unknown tags and bytes that nothing points to are welcome. Otherwise every byte must be accounted for, since
what is behind a strip may move.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod

from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Mode, Origin
from bfncodec.format.wire import Reader, varint
from bfncodec.images.formats import strips
from bfncodec.images.formats.pngrows import pack_rows, unpack_rows
from bfncodec.images.formats.spans import Parsed, Role, UnfitError, check_size
from bfncodec.images.picture import Picture
from bfncodec.runtime.arrays import Pixels

__all__ = ["colours", "filter_tags", "parse", "write"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value by its type."""
_NUMBERS = {1: "B", 3: "H", 4: "I"}
_SHORT, _LONG, _IFD = 3, 4, 13

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL = 256, 257, 258, 259, 262, 266
_STRIPS, _CHANNELS, _ROWS, _STRIP_SIZES, _PLANES, _PREDICTOR = 273, 277, 278, 279, 284, 317
_COLOURS, _TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_SIZES, _EXTRA, _FORMAT = 320, 322, 323, 324, 325, 338, 339
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_MAKER_NOTE = 37500  # of EXIF, full of places that only its maker knows

_KNOWN = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 269, 270, 271, 272, 273, 274, 277, 278, 279, 280, 281),
    *(282, 283, 284, 285, 286, 287, 290, 291, 296, 297, 301, 305, 306, 315, 316, 317, 318, 319, 320, 321, 322, 323),
    *(324, 325, 332, 333, 334, 336, 337, 338, 339, 340, 341, 532, 559, 700, 33432, 33550, 33723, 33922, 34264, 34377),
    *(34675, 34735, 34736, 34737, 42112, 42113, 50838, 50839, *_DIRECTORIES),
}
"""Tags whose values say nothing of places in the file, but for strips, tiles and directories."""

_TRUE_OF_REGIONS = {
    *(258, 259, 262, 266, 270, 271, 272, 274, 277, 282, 283, 284, 296, 305, 306, 315, 316, 317, 320, 332, 336, 337),
    *(338, 339, 33432, 34675),
}
_MODES = {
    (1, (1,), 0): Mode.BILEVEL,
    (1, (1,), 1): Mode.BILEVEL,
    (1, (8,), 0): Mode.L,
    (1, (8,), 1): Mode.L,
    (1, (8,), 3): Mode.P,
    (1, (16,), 0): Mode.I16,
    (1, (16,), 1): Mode.I16,
    (2, (8, 8), 1): Mode.LA,
    (2, (16, 16), 1): Mode.LA16,
    (3, (8, 8, 8), 2): Mode.RGB,
    (3, (16, 16, 16), 2): Mode.RGB16,
    (4, (8, 8, 8, 8), 2): Mode.RGBA,
    (4, (16, 16, 16, 16), 2): Mode.RGBA16,
}
"""Samples of a pixel, their bits, and the photometric interpretation (0 white is 0, 1 black is 0, 2 RGB, 3 palette)."""

_LEVELS = (6, 9, 1, 5, 4, 7, 8, 3, 2)  # of zlib, the usual ones first
_SMALLEST = 9
_EDGE = 16  # added to the level: what a tile has beyond the picture repeats its last row and column, else it is zeros


# ---- directories ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A tag in a directory: where the entry is, and where its value is."""

    place: int
    tag: int
    kind: int
    count: int
    at: int

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self.count * _SIZES[self.kind]

    @property
    def is_apart(self) -> bool:
        """Return whether the value lies elsewhere, and the entry points to it."""
        return self.size > 4


class _Tags:
    """The directories of a file of one page, as far as they are known.

    entries: of the page. others: of the directories that it points to.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
        self.heads: list[tuple[int, int]] = []  # (place, size) of each directory
        self.pointers: list[int] = [4]
        self.entries = self._directory(self._number(4))
        self.others: list[_Entry] = []
        for tag in _DIRECTORIES:
            for entry in [entry for entry in (*self.entries, *self.others) if entry.tag == tag]:
                if entry.count != 1 or entry.kind not in (_LONG, _IFD):
                    raise UnfitError("a directory of an unknown kind")
                self.pointers.append(entry.at)
                self.others += self._directory(self._number(entry.at))
        self.pointers += [entry.place + 8 for entry in (*self.entries, *self.others) if entry.is_apart]
        if len({entry.tag for entry in self.entries}) < len(self.entries):
            raise UnfitError("a tag that is there twice")

    def _directory(self, place: int) -> list[_Entry]:
        count = self._number(place, "H")
        self.heads.append((place, 2 + 12 * count + 4))
        if place < 8 or place + 2 + 12 * count + 4 > len(self.data) or self._number(place + 2 + 12 * count):
            raise UnfitError("more than one page, or a directory beyond the end")
        return [self._entry(place + 2 + 12 * number) for number in range(count)]

    def _entry(self, place: int) -> _Entry:
        tag, kind, count = struct.unpack_from(self.order + "HHI", self.data, place)
        if kind not in _SIZES:
            raise UnfitError(f"a value of type {kind}")
        entry = _Entry(place, tag, kind, count, place + 8)
        entry = replace(entry, at=self._number(place + 8)) if entry.is_apart else entry
        if entry.at < 8 or entry.at + entry.size > len(self.data):
            raise UnfitError("a value beyond the end")
        return entry

    def _number(self, place: int, kind: str = "I") -> int:
        return int(struct.unpack_from(self.order + kind, self.data, place)[0])

    def find(self, tag: int) -> _Entry | None:
        """The entry of a tag of the page."""
        return next((entry for entry in self.entries if entry.tag == tag), None)

    def numbers(self, tag: int, *otherwise: int) -> tuple[int, ...]:
        """The numbers that a tag says, or these where it is not there."""
        entry = self.find(tag)
        if entry is None:
            return otherwise
        kind = _NUMBERS.get(entry.kind)
        if kind is None:
            raise UnfitError(f"tag {tag} of type {entry.kind}")
        return struct.unpack_from(f"{self.order}{entry.count}{kind}", self.data, entry.at)

    def number(self, tag: int, otherwise: int = -1) -> int:
        """The one number that a tag says."""
        (number,) = self.numbers(tag, otherwise)
        return number

    @cached_property
    def tables(self) -> tuple[_Entry, _Entry]:
        """The entries that say where strips or tiles are, and how large."""
        tiled = self.find(_TILES) is not None
        places, sizes = self.find(_TILES if tiled else _STRIPS), self.find(_TILE_SIZES if tiled else _STRIP_SIZES)
        if places is None or sizes is None or (tiled and self.find(_STRIPS) is not None):
            raise UnfitError("no strips, or both strips and tiles")
        return places, sizes

    @property
    def may_move(self) -> bool:
        """Return whether no tag may say where something is that is not known here."""
        known = all(entry.tag in _KNOWN and entry.kind != _IFD for entry in self.entries)
        return known and all(entry.tag != _MAKER_NOTE and entry.kind != _IFD for entry in self.others)


# ---- how pixels lie in strips -----------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How pixels are cut and coded. tile: rows and columns of a strip or tile."""

    order: str
    mode: Mode
    height: int
    width: int
    tile: tuple[int, int]
    tiled: bool
    compression: int
    predictor: bool
    reverse: bool
    invert: bool

    @classmethod
    def of(cls, tags: _Tags) -> _Layout:
        """The layout of a page. Raises UnfitError for one that is not known here."""
        width, height, channels = tags.number(_WIDTH), tags.number(_LENGTH), tags.number(_CHANNELS, 1)
        check_size(width, height)
        photometric, bits = tags.number(_PHOTOMETRIC), tags.numbers(_BITS, 1)
        mode = _MODES.get((channels, bits, photometric))
        extra, compression = tags.numbers(_EXTRA), tags.number(_COMPRESSION, 1)
        predictor, fill = tags.number(_PREDICTOR, 1), tags.number(_FILL, 1)
        if mode is None or len(extra) != mode.has_alpha or set(tags.numbers(_FORMAT, 1)) != {1}:
            raise UnfitError("samples of an unknown kind")
        if compression not in (strips.RAW, strips.LZW, strips.PACKBITS, *strips.DEFLATE):
            raise UnfitError(f"compression {compression}")
        usable = compression not in (strips.RAW, strips.PACKBITS) and mode is not Mode.BILEVEL
        if tags.number(_PLANES, 1) != 1 or fill not in (1, 2) or not (predictor == 1 or (predictor == 2 and usable)):
            raise UnfitError("planes, or an unknown predictor or order of bits")
        if mode is Mode.P and len(tags.numbers(_COLOURS)) != 3 * 256:
            raise UnfitError("no palette")
        tiled = tags.find(_TILES) is not None
        if tiled:
            tile = tags.number(_TILE_LENGTH), tags.number(_TILE_WIDTH)
        else:
            tile = min(tags.number(_ROWS, height), height), width
        if min(tile) < 1 or prod(tile) > 4 * width * height + (1 << 20):
            raise UnfitError(f"tiles of {tile[1]} x {tile[0]}")
        coding = compression, predictor == 2, fill == 2, photometric == 0
        return cls(tags.order, mode, height, width, tile, tiled, *coding)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile[0]), -(-self.width // self.tile[1])

    @property
    def depth(self) -> int:
        """Bits of a sample."""
        return 1 if self.mode is Mode.BILEVEL else 16 if self.mode.is_wide else 8

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a tile."""
        return (self.tile[1] * self.depth * self.mode.channels + 7) // 8

    @property
    def has_zlib(self) -> bool:
        """Return whether strips depend on another library."""
        return self.compression in strips.DEFLATE

    @property
    def places(self) -> Iterator[tuple[slice, slice, int, int]]:
        """Rows and columns of each tile that are in the picture, and how many it has; strips end with the picture."""
        rows, columns = self.tile
        for top in range(0, self.height, rows):
            height = rows if self.tiled else min(rows, self.height - top)
            for left in range(0, self.width, columns):
                yield slice(top, min(top + rows, self.height)), slice(left, left + columns), height, columns

    def pack(self, pixels: Pixels, edge: bool) -> Iterator[bytes]:
        """The rows of each strip. Beyond the picture tiles have its last row and column again (edge), or zeros."""
        import numpy as np

        for down, across, height, width in self.places:
            tile = pixels[down, across]
            beyond = ((0, height - tile.shape[0]), (0, width - tile.shape[1]), (0, 0))
            yield self._pack(np.pad(tile, beyond, "edge" if edge else "constant"))

    def unpack(self, rows: Sequence[bytes]) -> Pixels:
        """The inverse; what tiles have beyond the picture is dropped."""
        import numpy as np

        pixels = np.zeros((self.height, self.width, self.mode.channels), "u2" if self.mode.is_wide else "u1")
        for given, (down, across, height, width) in zip(rows, self.places, strict=True):
            place = pixels[down, across]
            place[:] = self._unpack(given, height, width)[: place.shape[0], : place.shape[1]]
        return pixels

    def encode(self, rows: bytes, level: int, quick: bool) -> bytes:
        """A strip of these rows. quick: as libtiff makes it, where it is large."""
        strip = strips.encode(rows, self.row_bytes, self.compression, level, quick)
        return strips.reversed_bits(strip) if self.reverse else strip

    def decode(self, coded: Sequence[bytes]) -> list[bytes]:
        """The rows of each strip."""
        sizes = [height * self.row_bytes for _, _, height, _ in self.places]
        given = map(strips.reversed_bits, coded) if self.reverse else coded
        coding = self.row_bytes, self.compression
        return [strips.decode(strip, *coding, size) for strip, size in zip(given, sizes, strict=True)]

    def _pack(self, tile: Pixels) -> bytes:
        import numpy as np

        tile = self._inverted(tile)
        tile = strips.predict(tile) if self.predictor else tile
        if self.mode.is_wide:
            return np.ascontiguousarray(tile, self.order + "u2").tobytes()
        return pack_rows(tile, self.depth).tobytes()

    def _unpack(self, rows: bytes, height: int, width: int) -> Pixels:
        import numpy as np

        if self.mode.is_wide:
            tile = np.frombuffer(rows, self.order + "u2").astype(np.uint16).reshape(height, width, -1)
        else:
            packed = np.frombuffer(rows, np.uint8).reshape(height, -1)
            tile = unpack_rows(packed, self.depth, width, self.mode.channels)
        return self._inverted(strips.integrate(tile) if self.predictor else tile)

    def _inverted(self, tile: Pixels) -> Pixels:
        if not self.invert:
            return tile
        return 1 - tile if self.mode is Mode.BILEVEL else ~tile


# ---- files ------------------------------------------------------------------------------------


def parse(data: bytes) -> Parsed:
    """A TIFF file of one page taken apart. UnfitError, or what struct and zlib raise, for any other."""
    tags = _Tags(data)
    layout = _Layout.of(tags)
    places, sizes = (tags.numbers(entry.tag) for entry in tags.tables)
    if not len(places) == len(sizes) == prod(layout.grid) or not all(sizes):
        raise UnfitError("strips that are missing, or too many")
    _check_places(tags, places, sizes)
    coded = [data[place : place + size] for place, size in zip(places, sizes, strict=True)]
    rows = layout.decode(coded)
    pixels = layout.unpack(rows)
    edge = next((edge for edge in (False, True) if _equal(layout.pack(pixels, edge), rows)), None)
    if edge is None:
        raise UnfitError("tiles or rows with something beyond the picture")
    level, exact = _find_level(layout, rows, coded)
    spans = _spans(tags, places, sizes)
    if not exact or layout.has_zlib:
        _check_loose(tags, spans)
    value = bytes([level + _EDGE * edge]) + _write_cuts(places, sizes) + _skeleton(tags, places, sizes)
    parts = [(role, body) for role, _, body in spans]
    return Parsed.of(data, parts, Picture(pixels, layout.mode, Origin.TIFF, (Extra(Tag.STRIPS, value),)))


def write(picture: Picture) -> bytes:
    """The file of a picture. ValueError, or what struct raises, for a skeleton that is of another.

    By libtiff where that is quicker, unless the checksum says that the one which is here codes otherwise.
    """
    made, promised = _write(picture, quick=True), picture.header.extra(Tag.SOURCE)
    if promised is not None and promised != zlib.crc32(made).to_bytes(4, "little"):
        return _write(picture, quick=False)
    return made


def _write(picture: Picture, quick: bool) -> bytes:
    reader = Reader(picture.header.extra(Tag.STRIPS) or b"")
    level, cuts = reader.byte("a level"), _read_cuts(reader)
    tags = _Tags(reader.rest())
    layout = _Layout.of(tags)
    if (layout.height, layout.width, layout.mode) != (*picture.pixels.shape[:2], picture.mode):
        raise ValueError("tags of another picture")
    packed = layout.pack(picture.pixels, level >= _EDGE)
    coded = [layout.encode(rows, level % _EDGE, quick) for rows in packed]
    if sum(count for _, count, _ in cuts) != len(coded):
        raise ValueError(f"{len(coded)} strips where there were others")
    return _assemble(tags, cuts, coded)


def _check_places(tags: _Tags, places: Sequence[int], sizes: Sequence[int]) -> None:
    """Raise UnfitError unless strips follow one another, and nothing else lies in them."""
    ends = [place + size for place, size in zip(places, sizes, strict=True)]
    if any(place < end for place, end in zip(places, [8, *ends[:-1]], strict=True)) or ends[-1] > len(tags.data):
        raise UnfitError("strips in another order, or beyond the end")
    for start, size in _parts(tags):
        number = bisect_right(places, start + size - 1)
        if number and ends[number - 1] > start:
            raise UnfitError("something in a strip")


def _parts(tags: _Tags) -> list[tuple[int, int]]:
    """Place and size of every directory and of every value that lies apart."""
    values = [(entry.at, entry.size) for entry in (*tags.entries, *tags.others) if entry.is_apart]
    return [*tags.heads, *values]


def _find_level(layout: _Layout, rows: Sequence[bytes], coded: Sequence[bytes]) -> tuple[int, bool]:
    """The level at which strips are to be coded, and whether they are then what they were."""
    for level in _LEVELS if layout.has_zlib else (0,):
        for quick in (False,) if layout.has_zlib else (True, False):
            if _equal((layout.encode(given, level, quick) for given in rows), coded):
                return level, True
    return _SMALLEST if layout.has_zlib else 0, False


def _equal(made: Iterable[bytes], wanted: Sequence[bytes]) -> bool:
    """Equality of each, found out no further than the first that differs."""
    return all(one == two for one, two in zip(made, wanted, strict=True))


# ---- skeletons --------------------------------------------------------------------------------

Cut = tuple[int, int, int]
"""Where in the skeleton strips are missing, how many, and whether the number of their bytes is odd."""


def _skeleton(tags: _Tags, places: Sequence[int], sizes: Sequence[int]) -> bytes:
    """The file without strips; what points to a place points to that place in what is left."""
    kept, at = [], 0
    for place, size in zip(places, sizes, strict=True):
        kept.append(tags.data[at:place])
        at = place + size
    made = bytearray(b"".join([*kept, tags.data[at:]]))
    before = [0, *accumulate(sizes)]

    def inside(place: int) -> int:
        return place - before[bisect_right(places, place)]

    for pointer in tags.pointers:
        target = struct.unpack_from(tags.order + "I", tags.data, pointer)[0]
        struct.pack_into(tags.order + "I", made, inside(pointer), inside(target))
    for entry in tags.tables:
        made[inside(entry.at) : inside(entry.at) + entry.size] = bytes(entry.size)
    return bytes(made)


def _write_cuts(places: Sequence[int], sizes: Sequence[int]) -> bytes:
    cuts: dict[int, list[int]] = {}
    gone = 0
    for place, size in zip(places, sizes, strict=True):
        cuts.setdefault(place - gone, []).append(size)
        gone += size
    before, out = 0, varint(len(cuts))
    for place, found in cuts.items():
        out += varint(place - before) + varint(2 * len(found) + sum(found) % 2)
        before = place
    return out


def _read_cuts(reader: Reader) -> list[Cut]:
    cuts, place = [], 0
    for _ in range(reader.varint("the number of cuts")):
        place += reader.varint("the place of strips")
        number = reader.varint("the number of strips")
        cuts.append((place, number // 2, number % 2))
    return cuts


def _assemble(tags: _Tags, cuts: Sequence[Cut], coded: Sequence[bytes]) -> bytes:
    """The skeleton with strips in it. A zero byte after them where they are odd as they were not, or the reverse."""
    pieces, starts, at, done, size = [], [], 0, 0, 0
    places, moves = [], [0]
    for place, count, odd in cuts:
        if not at <= place <= len(tags.data):
            raise ValueError("strips out of order")
        pieces.append(tags.data[at:place])
        size += place - at
        begin = size
        for strip in coded[done : done + count]:
            starts.append(size)
            pieces.append(strip)
            size += len(strip)
        if (size - begin) % 2 != odd:
            pieces.append(b"\0")
            size += 1
        places.append(place)
        moves.append(moves[-1] + size - begin)
        at, done = place, done + count
    made = bytearray(b"".join([*pieces, tags.data[at:]]))

    def outside(place: int) -> int:
        return place + moves[bisect_right(places, place)]

    for pointer in tags.pointers:
        target = struct.unpack_from(tags.order + "I", tags.data, pointer)[0]
        struct.pack_into(tags.order + "I", made, outside(pointer), outside(target))
    for entry, numbers in zip(tags.tables, (starts, list(map(len, coded))), strict=True):
        if entry.count != len(coded):
            raise ValueError("a table of another number of strips")
        struct.pack_into(f"{tags.order}{entry.count}{_NUMBERS[entry.kind]}", made, outside(entry.at), *numbers)
    return bytes(made)


# ---- spans ------------------------------------------------------------------------------------

_Placed = tuple[Role, int, bytes]
_UNKNOWN, _KEPT, _POINTER, _TABLE, _STRIP = range(5)
_ROLES = {_STRIP: Role.PIXELS, _POINTER: Role.DERIVED, _TABLE: Role.DERIVED}


def _spans(tags: _Tags, places: Sequence[int], sizes: Sequence[int]) -> list[_Placed]:
    """All bytes of the file in order, with what they are. Zeros that nothing tells of are but padding."""
    import numpy as np

    data, looks = tags.data, np.zeros(len(tags.data), np.uint8)
    looks[:8] = _KEPT
    for start, size in _parts(tags):
        looks[start : start + size] = _KEPT
    for pointer in tags.pointers:
        looks[pointer : pointer + 4] = _POINTER
    for entry in tags.tables:
        looks[entry.at : entry.at + entry.size] = _TABLE
    for place, size in zip(places, sizes, strict=True):
        looks[place : place + size] = _STRIP
    out = []
    for start, stop in pairwise([0, *(np.flatnonzero(np.diff(looks)) + 1).tolist(), len(data)]):
        look, body = int(looks[start]), data[start:stop]
        padding = look == _UNKNOWN and not body.strip(b"\0")
        out.append((Role.DERIVED if padding else _ROLES.get(look, Role.KEPT), look, body))
    return out


def _check_loose(tags: _Tags, spans: Sequence[_Placed]) -> None:
    """Raise UnfitError for a file whose parts cannot move, as something may point to one that is not known."""
    if not tags.may_move:
        raise UnfitError("tags that may point to a place in the file")
    if any(look == _UNKNOWN and role is Role.KEPT for role, look, _ in spans):
        raise UnfitError("bytes that no tag tells of")


# ---- regions ----------------------------------------------------------------------------------


def colours(picture: Picture) -> bytes:
    """The palette of a TIFF file: red, green and blue of each number, eight bits of their sixteen."""
    reader = Reader(picture.header.extra(Tag.STRIPS) or b"")
    reader.byte("a level")
    _read_cuts(reader)
    high = [number >> 8 for number in _Tags(reader.rest()).numbers(_COLOURS)]
    return bytes(number for colour in zip(high[:256], high[256:512], high[512:], strict=True) for number in colour)


def filter_tags(picture: Picture) -> tuple[Extra, ...]:
    """The extras of a TIFF file of a region in one strip, with the tags that hold for it too."""
    reader = Reader(picture.header.extra(Tag.STRIPS) or b"")
    level = reader.byte("a level") % _EDGE
    _read_cuts(reader)
    tags = _Tags(reader.rest())
    height, width = picture.pixels.shape[:2]
    values = {
        entry.tag: (entry.kind, entry.count, tags.data[entry.at : entry.at + entry.size])
        for entry in tags.entries
        if entry.tag in _TRUE_OF_REGIONS
    }
    sizes = {_WIDTH: width, _LENGTH: height, _ROWS: height, _STRIPS: 0, _STRIP_SIZES: 0}
    values |= {tag: (_LONG, 1, struct.pack(tags.order + "I", number)) for tag, number in sizes.items()}
    skeleton = _write_page(tags.order, tags.data[:4], values)
    return (Extra(Tag.STRIPS, bytes([level]) + _write_cuts([len(skeleton)], [0]) + skeleton),)


def _write_page(order: str, magic: bytes, values: dict[int, tuple[int, int, bytes]]) -> bytes:
    """A file of one directory with these values: type, count, bytes."""
    head = magic + struct.pack(order + "I", 8) + struct.pack(order + "H", len(values))
    at, apart = len(head) + 12 * len(values) + 4, b""
    for tag, (kind, count, value) in sorted(values.items()):
        head += struct.pack(order + "HHI", tag, kind, count)
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack(order + "I", at + len(apart))
            apart += value + bytes(len(value) % 2)
    return head + bytes(4) + apart
