"""Packing of a PNG file's pixels: filters, the parameters of Deflate and the sizes of IDAT chunks (Tag.DEFLATED)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, pairwise

import numpy as np

from bfncodec.errors import DamagedError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Mode
from bfncodec.format.wire import Reader, varint
from bfncodec.images.formats.png.container import Head
from bfncodec.images.formats.png.deflate import LARGEST_BLOCK, SMALLEST_BLOCK, Deflate
from bfncodec.images.formats.png.rows import FILTERS, bands, costs, filtered, least
from bfncodec.runtime.arrays import Bytes, Ints

__all__ = ["ORDERS", "Filters", "Packing", "chunks_of"]

_FOUR, _FIVE = FILTERS + 1, FILTERS + 2  # Pillow's rules, without and with `optimize`
ORDERS = {FILTERS: (0, 1, 2, 3, 4), _FOUR: (0, 2, 1, 4), _FIVE: (0, 2, 1, 3, 4)}
"""Rules in the place of a filter: of those in an order, the first whose differences have the least sum."""
_RULES = FILTERS + len(ORDERS)
_SHORT, _KINDS = 0x80, (1, 0, 2)  # bit of the short form, its kinds, the first that fits first
_OPTIMIZED, _UNFILTERED = 1, 2  # the kinds of `optimize` and without filters
_LARGEST_CHUNK, _PIXEL = 1 << 16, 4  # bytes of a chunk without a tag; for each pixel of a row, where that is more
_STRATEGIES, _MEMORIES, _WINDOWS, _LEVELS = 5, 9, 7, 9
_LEVEL = 6  # without a tag
_BYTE = 8  # bits of a number whose rows have no filter then
_ONE, _EVEN, _LISTED, _LEAST_POWER, _MOST_POWER = 0, 1, 2, 8, 30
_SMALLEST = 1 << _LEAST_POWER  # chunk of a size that all have
_FEW, _EACH = 1024, 256  # listed chunks: at most so many, and one for so many bytes of rows


@dataclass(frozen=True)
class Filters:
    """Filters of all rows, counted through all passes.

    rule: 0 to 4, or one of ORDERS. others: rows with another filter, rising, and their filters.
    """

    rule: int
    others: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, found: Bytes, costs_of: Callable[[], Ints], likely: Sequence[int]) -> Filters:
        """Return filters by the rule that has the fewest exceptions, the first likely one if no other has fewer.

        costs_of: returns the costs of every filter in every row; called where rule or exceptions need them.
        """
        known = cache(costs_of)
        best: tuple[int, Ints] | None = None
        for rule in dict.fromkeys((*likely, *range(_RULES))):
            wrong = np.flatnonzero(found != (least(known(), ORDERS[rule]) if rule in ORDERS else rule))
            if best is None or len(wrong) < len(best[1]):
                best = rule, wrong
            if not len(wrong):
                break
        assert best is not None
        return cls(best[0], tuple((int(row), int(found[row])) for row in best[1]))

    def apply(self, rows: Bytes, first: int, step: int) -> Iterator[Bytes]:
        """Yield some rows after the other with their filter in front, uint8 ``[h, 1 + B]`` of ``[H, B]``.

        first: number of the first of them.
        """
        others = dict(self.others)
        for band in bands(rows):
            part, above = rows[band], rows[band.start - 1] if band.start else None
            if self.rule in ORDERS:
                filters = least(costs(part, step, above), ORDERS[self.rule])
            else:
                filters = np.full(len(part), self.rule, np.uint8)
            for row in range(len(part)):
                filters[row] = others.get(first + band.start + row, filters[row])
            yield np.concatenate([filters[:, None], filtered(part, filters, step, above)], axis=1)

    def write(self) -> bytes:
        """Return the exceptions: of each a varint, five times the rows since the one before, and the filter."""
        gaps = (row - before - 1 for before, row in pairwise([-1, *(row for row, _ in self.others)]))
        pairs = zip(gaps, self.others, strict=True)
        return b"".join(varint(FILTERS * gap + number) for gap, (_, number) in pairs)

    @classmethod
    def read(cls, rule: int, reader: Reader, rows: int) -> Filters:
        """Read what :meth:`write` wrote. DamagedError for rows that are not there."""
        others, row = [], -1
        while reader.offset < len(reader.data):
            gap, number = divmod(reader.varint("a filter"), FILTERS)
            row += gap + 1
            if row >= rows:
                raise DamagedError(f"a filter of row {row} of a picture of {rows}")
            others.append((row, number))
        return cls(rule, tuple(others))


@dataclass(frozen=True)
class Packing:
    """Packing of pixels in a file.

    chunks: sizes of IDAT chunks, but for the last; a single number for that of all. Nothing for one chunk.
    """

    filters: Filters
    deflate: Deflate
    chunks: int | tuple[int, ...]

    @classmethod
    def plain(cls, head: Head) -> Packing:
        """Return the packing of a file of which nothing is known: that of Pillow, asked for nothing."""
        bare = head.mode is Mode.P and head.depth == _BYTE
        strategy = zlib.Z_DEFAULT_STRATEGY if bare else zlib.Z_FILTERED
        chunk = max(_LARGEST_CHUNK, _PIXEL * head.width)
        return cls(Filters(0 if bare else _FOUR), Deflate.of_level(_LEVEL, strategy), chunk)

    def likely_rules(self, level: int) -> tuple[int, int]:
        """Return the rules of filters that Pillow has with a level, of a file that is packed like this without one."""
        optimized = self._short(level, _OPTIMIZED).filters.rule
        return (optimized, self.filters.rule) if level > _LEVEL else (self.filters.rule, optimized)

    def deflate_for(self, filters: Filters) -> Deflate:
        """Return what most likely made a stream of rows with these filters."""
        return self._short(_LEVEL, _UNFILTERED if filters == Filters(0) else 0).deflate

    def cut(self, stream: bytes) -> list[bytes]:
        """Return the contents of IDAT chunks; what is left of a stream of another size is in the last."""
        if isinstance(self.chunks, int):
            cuts = list(range(0, len(stream), self.chunks))
        else:
            cuts = [cut for cut in accumulate(self.chunks, initial=0) if cut < len(stream)]
        return [stream[start:stop] for start, stop in pairwise([*cuts, len(stream)])]

    def write(self, plain: Packing) -> Extra:
        """Return the extra that holds it. plain: the packing without one, of which the short form differs in little."""
        coder, short = self.deflate, self.short_byte(plain)
        if short is not None:
            return Extra(Tag.DEFLATED, bytes([short]))
        fields = (
            coder.strategy << 4 | coder.level,
            coder.window - 8 << 4 | coder.memory,
            self.filters.rule << 5 | coder.told_level << 3 | coder.told_window,
        )
        block = b"" if coder.level else varint(coder.block)
        return Extra(Tag.DEFLATED, bytes(fields) + block + self._write_chunks() + self.filters.write())

    def short_byte(self, plain: Packing) -> int | None:
        """Return the byte that says all of it, None where it differs in more from the packing without a tag."""
        level = self.deflate.level
        kind = next((kind for kind in _KINDS if level and self == plain._short(level, kind)), None)
        return None if kind is None else _SHORT | kind << 4 | level

    def _short(self, level: int, kind: int) -> Packing:
        """Return the packing with another level, and of kind 1 with rule _FIVE for _FOUR, of kind 2 as a palette's."""
        optimized = Filters(_FIVE) if self.filters.rule == _FOUR else self.filters
        filters = (self.filters, optimized, Filters(0))[kind]
        strategy = zlib.Z_DEFAULT_STRATEGY if kind == _UNFILTERED else self.deflate.strategy
        return replace(self, filters=filters, deflate=Deflate.of_level(level, strategy))

    @classmethod
    def read(cls, value: bytes, head: Head) -> Packing:
        """Read what :meth:`write` wrote, of a picture with that head. DamagedError for what it does not write."""
        if value and value[0] & _SHORT:
            return cls._read_short(value, cls.plain(head))
        reader = Reader(value)
        first, second, third = reader.take(3, "how a stream was deflated")
        strategy, level, window, memory = first >> 4, first & 15, second >> 4, second & 15
        known = strategy < _STRATEGIES and level <= _LEVELS and 1 <= window <= _WINDOWS and 1 <= memory <= _MEMORIES
        if not known:
            raise DamagedError(f"a stream cannot be deflated as {value[:3].hex()} says")
        block = LARGEST_BLOCK if level else reader.varint("the size of stored blocks")
        if not SMALLEST_BLOCK <= block <= LARGEST_BLOCK:
            raise DamagedError(f"stored blocks of {block} bytes cannot be")
        deflate = Deflate(level, strategy, memory, window + 8, third & 7, third >> 3 & 3, block)
        sides = [head.sides(part) for part in head.passes]
        size = sum(rows * (1 + head.row_bytes(columns)) for rows, columns in sides)
        chunks = _read_chunks(reader, _FEW + size // _EACH)
        return cls(Filters.read(third >> 5, reader, sum(rows for rows, _ in sides)), deflate, chunks)

    @classmethod
    def _read_short(cls, value: bytes, plain: Packing) -> Packing:
        level, kind = value[0] & 15, (value[0] & ~_SHORT) >> 4
        if len(value) > 1 or not 1 <= level <= _LEVELS or kind not in _KINDS:
            raise DamagedError(f"a stream cannot be deflated as {value[:3].hex()} says")
        return plain._short(level, kind)

    def _write_chunks(self) -> bytes:
        if not isinstance(self.chunks, int):
            return bytes([_LISTED]) + b"".join(map(varint, (len(self.chunks), *self.chunks))) if self.chunks else b"\0"
        power = self.chunks.bit_length() - 1
        return bytes([power]) if self.chunks == 1 << power else bytes([_EVEN]) + varint(self.chunks)


def chunks_of(sizes: Sequence[int], content: int) -> int | tuple[int, ...] | None:
    """Return the sizes of IDAT chunks as :class:`Packing` has them, None for what it cannot have.

    content: bytes that the stream in them makes.
    """
    first, last = sizes[0], sizes[-1]
    if len(sizes) == 1:
        return ()
    if set(sizes[:-1]) == {first} and 0 < last <= first and _SMALLEST <= first < 1 << _MOST_POWER + 1:
        return first
    return tuple(sizes[:-1]) if 0 not in sizes and len(sizes) <= _FEW + content // _EACH else None


def _read_chunks(reader: Reader, most: int) -> int | tuple[int, ...]:
    form = reader.byte("sizes of chunks")
    if _LEAST_POWER <= form <= _MOST_POWER:
        return 1 << form
    if form == _EVEN and (size := reader.varint("the size of chunks")) >= _SMALLEST:
        return size
    if form == _LISTED and (count := reader.varint("the number of chunks")) <= most:
        sizes = tuple(reader.varint("the size of a chunk") for _ in range(count))
        if 0 not in sizes:
            return sizes
    if form == _ONE:
        return ()
    raise DamagedError(f"chunks cannot be cut by form {form} of their sizes")
