"""Instructions of products with a packed matrix, in vector registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from bfncodec.networks.instructions.vectors import dot_bytes
from bfncodec.networks.kernels import COLUMNS, EIGHT, LANES, WIDE
from bfncodec.runtime.arrays import Array, Ints32
from bfncodec.runtime.llvm import (
    BYTE,
    INT,
    WORD,
    accumulate,
    arrays_of,
    broadcast,
    int32,
    load,
    plus,
    pointer_to,
    shape_of,
    store_all,
    times,
    vector_of,
)


def _groups(builder: ir.IRBuilder, matrix: Any) -> Any:
    """Return the groups of a panel, [P, K / g, COLUMNS, g] or [P, K / d, d / g, COLUMNS, g]."""
    first, *more = shape_of(builder, matrix)[1:-2]
    return builder.mul(first, more[0]) if more else first


def _dot_words(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return total + sums of two products of words: compilers know this as one instruction where there is one."""
    wide = vector_of(INT, COLUMNS)
    product = builder.mul(builder.sext(x, wide), builder.sext(y, wide))
    half = vector_of(INT, EIGHT)
    even, odd = (
        builder.shuffle_vector(product, product, ir.Constant(half, list(range(k, COLUMNS, 2)))) for k in range(2)
    )
    return builder.add(total, builder.add(even, odd))


@dataclass(frozen=True)
class Multiplier:
    """The instructions that multiply and add, for a left factor of some dtype: int16 for words, uint8 and int8 for
    bytes, where the other factor is of the other sign. lanes: sums in a register; register: a register's worth of a
    packed matrix.
    """

    dtype: types.Type
    lanes: int
    register: ir.VectorType

    @classmethod
    def of(cls, dtype: types.Type) -> Multiplier:
        """Return the instructions for left factors of a dtype."""
        words = dtype == types.int16
        lanes = EIGHT if words else LANES
        return cls(dtype, lanes, vector_of(BYTE, 2 * lanes) if words else vector_of(INT, lanes))

    @property
    def words(self) -> bool:
        """Return whether factors are words."""
        return bool(self.dtype == types.int16)

    def column_factor(self, builder: ir.IRBuilder, loaded: ir.Value) -> ir.Value:
        """Return a register of the packed matrix as a factor."""
        return builder.sext(loaded, vector_of(WORD, 2 * self.lanes)) if self.words else loaded

    def row_factor(self, builder: ir.IRBuilder, group: ir.Value) -> ir.Value:
        """Return a group of a row, 32 bits, as a factor for all columns."""
        everywhere = broadcast(builder, group, self.lanes)
        return builder.bitcast(everywhere, vector_of(WORD, 2 * self.lanes)) if self.words else everywhere

    def add(self, builder: ir.IRBuilder, total: ir.Value, row: ir.Value, column: ir.Value) -> ir.Value:
        """Return total + the products of the two factors, added group by group."""
        if self.words:
            return _dot_words(builder, total, row, column)
        unsigned, signed = (row, column) if self.dtype == types.uint8 else (column, row)
        return dot_bytes(builder, total, unsigned, signed)


@dataclass(frozen=True)
class _TileCode:
    """The instructions of a tile of some rows and some neighbouring panels, see `_tile`. by_row: sums start with a
    number of their row, else of their column.
    """

    rows: int
    panels: int
    multiplier: Multiplier
    by_row: bool

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_tile`."""
        multiplier, parts = self.multiplier, self.panels * self._wide
        left, right, result = arrays_of(context, builder, signature, values, (0, 1, 3))
        inner, outer = (shape_of(builder, array)[1] for array in (left, result))
        rows = [plus(builder, values[4], i) for i in range(self.rows)]
        lines = [pointer_to(builder, left.data, builder.mul(row, inner), INT) for row in rows]
        bases, groups = self._bases(builder, right, values[5]), _groups(builder, right)
        column = times(builder, values[5], COLUMNS)

        def add(group: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = times(builder, group, self._wide)
            found = [load(builder, base, plus(builder, place, k)) for base in bases for k in range(self._wide)]
            columns = [multiplier.column_factor(builder, loaded) for loaded in found]
            factors = [multiplier.row_factor(builder, load(builder, line, group)) for line in lines]
            pairs = [(factor, weight) for factor in factors for weight in columns]
            return [multiplier.add(builder, t, x, y) for t, (x, y) in zip(totals, pairs, strict=True)]

        starts = self._starts(context, builder, signature, values, rows, column)
        totals = accumulate(builder, groups, starts, add)
        for i, row in enumerate(rows):
            place = builder.add(builder.mul(row, outer), column)
            store_all(builder, totals[i * parts : (i + 1) * parts], result.data, place)
        return context.get_dummy_value()

    @property
    def _wide(self) -> int:
        """Registers of one panel's group."""
        return COLUMNS // self.multiplier.lanes

    def _bases(self, builder: ir.IRBuilder, matrix: Any, panel: ir.Value) -> list[ir.Value]:
        """Return the addresses of the panels from a number on."""
        whole = pointer_to(builder, matrix.data, int32(0), self.multiplier.register)
        size = times(builder, _groups(builder, matrix), self._wide)
        return [builder.gep(whole, [builder.mul(plus(builder, panel, p), size)]) for p in range(self.panels)]

    def _starts(
        self, context: Any, builder: ir.IRBuilder, signature: Any, values: Any, rows: Any, column: Any
    ) -> list[Any]:
        """Return the registers that the totals start with."""
        count, lanes = self.panels * self._wide, self.multiplier.lanes
        (begin,) = arrays_of(context, builder, signature, values, (2,))
        if self.by_row:
            places = [builder.mul(row, shape_of(builder, begin)[1]) for row in rows]
            each = [broadcast(builder, load(builder, begin.data, place, 4), lanes) for place in places]
            return [start for start in each for _ in range(count)]
        first = pointer_to(builder, begin.data, column, vector_of(INT, lanes))
        return [load(builder, first, int32(k), 4) for k in range(count)] * self.rows


def _tile(rows: int, panels: int) -> Any:
    """Return an intrinsic that multiplies `rows` rows by `panels` neighbouring panels. In NumPy, for `columns` those of
    these panels: ``out[row : row + rows, columns] = start[columns] + a[row : row + rows] @ matrix[:, columns]``.
    """

    @intrinsic
    def tile(typing: Any, a: Any, matrix: Any, start: Any, out: Any, row: Any, panel: Any) -> Any:
        """a: [N, K]; matrix: [P, K / g, COLUMNS, g]; start: int32 [P COLUMNS] or [N, 1 or more]; out: int32 [N, M]."""
        code = _TileCode(rows, panels, Multiplier.of(a.dtype), start.ndim == 2)
        return types.void(a, matrix, start, out, row, panel), code.generate

    return tile


def band(a: Array, matrix: Array, start: Any, out: Ints32, row: int, first: int, last: int, rows: int) -> None:
    """Multiply `rows` rows, a literal, by the panels `first` … `last` - 1, as many panels at once as registers hold."""


@overload(band, strict=False, prefer_literal=True)
def _band_of_tiles(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> Any:
    count = rows.literal_value
    many = 1 if a.dtype == types.int16 or (count > 1 and LANES < COLUMNS) else WIDE
    wide, narrow = _tile(count, many), _tile(count, 1)

    def by_tiles(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> None:
        panel = first
        while panel + many <= last:
            wide(a, matrix, start, out, row, panel)
            panel += many
        while panel < last:
            narrow(a, matrix, start, out, row, panel)
            panel += 1

    return by_tiles


def rest(a: Array, matrix: Array, start: Any, out: Ints32, row: int, first: int, last: int, rows: int) -> None:
    """Multiply the rows from a number on, fewer than TILE_ROWS, by the panels `first` … `last` - 1."""


@overload(rest, strict=False, inline="always")
def _rest_of_band(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> Any:
    return _all_at_once if a.dtype == types.int16 else _in_pairs


def _in_pairs(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> None:
    while row + 2 <= rows:
        band(a, matrix, start, out, row, first, last, 2)
        row += 2
    if row < rows:
        band(a, matrix, start, out, row, first, last, 1)


def _all_at_once(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> None:
    left = rows - row
    if left == 5:
        band(a, matrix, start, out, row, first, last, 5)
    elif left == 4:
        band(a, matrix, start, out, row, first, last, 4)
    elif left == 3:
        band(a, matrix, start, out, row, first, last, 3)
    elif left == 2:
        band(a, matrix, start, out, row, first, last, 2)
    elif left == 1:
        band(a, matrix, start, out, row, first, last, 1)
