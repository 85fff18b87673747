"""Instructions of products in tile registers (AMX).

LLVM leaves the eight registers to whoever names them by their numbers. 0 to 3 hold the totals of two tiles of rows by
two panels; the next are the factors of one round. In attention they hold those of the rows by four blocks of keys, or
of high and low bytes of weights by two blocks of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload, register_jitable

from bfncodec.networks.kernels import BYTE_GROUP, COLUMNS, DEPTH, LEAST_ROWS, TILE, multiply_packed
from bfncodec.runtime.arrays import Array, Ints32
from bfncodec.runtime.kept import features
from bfncodec.runtime.llvm import (
    BYTE,
    accumulate,
    arrays_of,
    cgutils,
    int32,
    plus,
    pointer_to,
    shape_of,
    times,
    vector_of,
)

_ROWS, _PANELS, _REGISTERS = 4, 6, 8
_QUERIES, _KEYS, _WEIGHTS, _VALUES = 4, 5, 6, 7  # in attention, where 0 to 3 hold totals, too


def _in_tiles(builder: ir.IRBuilder, name: str, *values: Any) -> None:
    """Write an instruction of tile registers, which are given by their numbers."""
    found = [ir.Constant(BYTE, value) if isinstance(value, int) else value for value in values]
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in found])
    builder.call(builder.module.declare_intrinsic(f"llvm.x86.{name}", (), kind), found)


@dataclass(frozen=True)
class _RegistersCode:
    """The instructions of some tiles of rows by some neighbouring panels, see `_registers`."""

    rows: int
    panels: int

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_registers`."""
        left, right, begin, result = arrays_of(context, builder, signature, values, (0, 1, 2, 3))
        inner, steps, outer = (shape_of(builder, array)[1] for array in (left, right, result))
        rows = [plus(builder, values[4], TILE * i) for i in range(self.rows)]
        panels = [plus(builder, values[5], p) for p in range(self.panels)]
        size = times(builder, steps, DEPTH * COLUMNS)
        lines = [builder.gep(left.data, [builder.mul(row, inner)]) for row in rows]
        bases = [builder.gep(right.data, [builder.mul(panel, size)]) for panel in panels]
        columns = [times(builder, panel, COLUMNS) for panel in panels]

        def add(step: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for total, i, p in self._totals():  # factors are loaded just before they are multiplied
                if i == 0:
                    place = builder.gep(bases[p], [times(builder, step, DEPTH * COLUMNS)])
                    _in_tiles(builder, "tileloadd64", _PANELS + p, place, ir.Constant(inner.type, DEPTH))
                if p == 0:
                    place = builder.gep(lines[i], [times(builder, step, DEPTH)])
                    _in_tiles(builder, "tileloadd64", _ROWS + i, place, inner)
                _in_tiles(builder, "tdpbusd", total, _ROWS + i, _PANELS + p)
            return []

        for total, _, p in self._totals():  # all rows start with the same line
            place = pointer_to(builder, begin.data, columns[p], BYTE)
            _in_tiles(builder, "tileloadd64", total, place, ir.Constant(inner.type, 0))
        accumulate(builder, steps, [], add)
        for total, i, p in self._totals():
            place = pointer_to(builder, result.data, builder.add(builder.mul(rows[i], outer), columns[p]), BYTE)
            _in_tiles(builder, "tilestored64", total, place, times(builder, outer, 4))
        return context.get_dummy_value()

    def _totals(self) -> list[tuple[int, int, int]]:
        """Return the registers of totals, and which rows and panel each is of."""
        return [(2 * i + p, i, p) for i in range(self.rows) for p in range(self.panels)]


def _registers(rows: int, panels: int) -> Any:
    """Return an intrinsic that multiplies `rows` tiles of rows by `panels` neighbouring panels, as `_tile` does."""

    @intrinsic
    def registers(typing: Any, a: Any, matrix: Any, start: Any, out: Any, row: Any, panel: Any) -> Any:
        """a: uint8 [N, K]; matrix: [P, K / d, d / g, COLUMNS, g]; start: int32 [P COLUMNS]; out: int32 [N, M]."""
        return types.void(a, matrix, start, out, row, panel), _RegistersCode(rows, panels).generate

    return registers


def _by_all_panels(rows: int) -> Any:
    """Return a function that multiplies `rows` tiles of rows by a matrix."""
    pair, single = _registers(rows, 2), _registers(rows, 1)

    @register_jitable
    def multiply(a: Any, matrix: Any, start: Any, out: Any, row: Any) -> None:
        last = len(matrix) - 1
        for panel in range(0, last, 2):
            pair(a, matrix, start, out, row, panel)
        if last % 2 == 0:
            single(a, matrix, start, out, row, last)

    return multiply


_one, _two = _by_all_panels(1), _by_all_panels(2)


def _write_shapes(builder: ir.IRBuilder, lines: dict[int, ir.Value], widths: dict[int, ir.Value]) -> None:
    """Say how many lines some registers have, at least one, and how many bytes a line; all others are whole."""
    wide, tall = [DEPTH, 0] * _REGISTERS, [TILE] * _REGISTERS
    content = ir.Constant(vector_of(BYTE, 64), [1, *[0] * 15, *wide, *[0] * 16, *tall, *[0] * 8])
    for places, begin, step in ((widths, 16, 2), (lines, 48, 1)):
        for register, value in places.items():
            place = int32(begin + step * register)
            content = builder.insert_element(content, builder.trunc(value, BYTE), place)
    at = cgutils.alloca_once_value(builder, content)
    _in_tiles(builder, "ldtilecfg", builder.bitcast(at, BYTE.as_pointer()))


@intrinsic
def _configure_tiles(typing: Any, first: Any, second: Any) -> Any:
    """Say how many rows, at least one, the two tiles of rows have, and with them the registers."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        registers = {r: rows for i, rows in enumerate(values) for r in (2 * i, 2 * i + 1, _ROWS + i)}
        _write_shapes(builder, registers, {})
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _release_tiles(typing: Any) -> Any:
    """Leave the registers as they are where none is in use: the system need not save them."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        _in_tiles(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


_configure: Any = _configure_tiles
_release: Any = _release_tiles


def by_tiles(a: Array, matrix: Array, start: Ints32, out: Ints32, rows: int) -> int:
    """Multiply rows in tile registers, and return how many: none by a matrix that is not packed for that, nor the last
    one or two. For compiled functions only.
    """
    raise TypeError("expected a compiled function, found Python")


@overload(by_tiles, strict=False)
def _by_tiles_if_packed(a: Any, matrix: Any, start: Any, out: Any, rows: Any) -> Any:
    if matrix.ndim == 4:
        return lambda a, matrix, start, out, rows: 0

    def tile_after_tile(a: Any, matrix: Any, start: Any, out: Any, rows: Any) -> Any:
        row = 0
        while row + LEAST_ROWS <= rows:
            before = 2 * TILE if row else 0  # all but the last have so many
            first = min(rows - row, TILE)
            second = min(rows - row - first, TILE)
            if first + second != before:  # which takes as long as a small product
                _configure(first, max(second, 1))
            if second:
                _two(a, matrix, start, out, row)
            else:
                _one(a, matrix, start, out, row)
            row += first + second
        if row:
            _release()
        return row

    return tile_after_tile


# ---- many products -------------------------------------------------------------------------------
#
# To say how many rows tiles have takes as long as a small product. So who multiplies many says it once, has all of them
# whole, and releases the registers when all is done.


def prepare(matrix: Array) -> None:
    """Prepare the registers for `multiply_ready` by matrices packed as this one. For compiled functions only."""
    raise TypeError("expected a compiled function, found Python")


def release(matrix: Array) -> None:
    """Release what was prepared. For compiled functions only."""
    raise TypeError("expected a compiled function, found Python")


def multiply_ready(a: Array, linear: Any, out: Ints32, rows: int) -> None:
    """Multiply as `products.multiply` does, between `prepare` and `release`. Both arrays have room for whole tiles:
    numbers behind the last row are overwritten. For compiled functions only.
    """
    raise TypeError("expected a compiled function, found Python")


@overload(prepare, strict=False)
def _prepare_if_packed(matrix: Any) -> Any:
    return (lambda matrix: None) if matrix.ndim == 4 else lambda matrix: _configure(TILE, TILE)


@overload(release, strict=False)
def _release_if_packed(matrix: Any) -> Any:
    return (lambda matrix: None) if matrix.ndim == 4 else lambda matrix: _release()


@overload(multiply_ready, strict=False)
def _multiply_if_ready(a: Any, linear: Any, out: Any, rows: Any) -> Any:
    if linear.types[linear.fields.index("panels")].ndim == 4:
        return lambda a, linear, out, rows: multiply_packed(a, linear.panels, linear.start, out, rows)

    def whole_tiles(a: Any, linear: Any, out: Any, rows: Any) -> None:
        row = 0
        while row + TILE < rows:
            _two(a, linear.panels, linear.start, out, row)
            row += 2 * TILE
        if row < rows:
            _one(a, linear.panels, linear.start, out, row)

    return whole_tiles


# ---- attention -------------------------------------------------------------------------------------


@intrinsic
def _configure_attention(typing: Any, rows: Any, groups: Any) -> Any:
    """Say how many rows, at least one, and groups of a head's numbers there are."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        rows, groups = values
        lines = dict.fromkeys((*range(_QUERIES), _QUERIES, _WEIGHTS), rows)
        _write_shapes(builder, {**lines, _KEYS: groups}, {_QUERIES: times(builder, groups, BYTE_GROUP)})
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _four_scores(typing: Any, query: Any, keys: Any, start: Any, out: Any, block: Any) -> Any:
    """Multiply the queries by four blocks of keys, see `scores_in_tiles`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        left, right, begin, result = arrays_of(context, builder, signature, values, range(4))
        inner, groups, outer = (shape_of(builder, array)[1] for array in (left, right, result))
        line, first = ir.Constant(inner.type, DEPTH), pointer_to(builder, begin.data, int32(0), BYTE)
        place = times(builder, builder.mul(values[4], groups), DEPTH)
        _in_tiles(builder, "tileloadd64", _QUERIES, left.data, inner)
        for k in range(_QUERIES):
            _in_tiles(builder, "tileloadd64", k, first, line)
            panel = builder.gep(right.data, [builder.add(place, times(builder, groups, DEPTH * k))])
            _in_tiles(builder, "tileloadd64", _KEYS, panel, line)
            _in_tiles(builder, "tdpbsud", k, _QUERIES, _KEYS)
        for k in range(_QUERIES):
            column = times(builder, plus(builder, values[4], k), COLUMNS)
            target = pointer_to(builder, result.data, column, BYTE)
            _in_tiles(builder, "tilestored64", k, target, times(builder, outer, 4))
        return context.get_dummy_value()

    return types.void(query, keys, start, out, types.int64), generate


@intrinsic
def _two_sums(typing: Any, parts: Any, values: Any, steps: Any, column: Any, out: Any) -> Any:
    """Multiply weights by two blocks of columns of the values, see `sums_in_tiles`. steps: times DEPTH slots"""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> Any:
        left, right, result = arrays_of(context, builder, signature, arguments, (0, 1, 4))
        slots, columns, outer = shape_of(builder, left)[2], shape_of(builder, right)[1], shape_of(builder, result)[2]
        line = times(builder, columns, BYTE_GROUP)
        first = pointer_to(builder, right.data, times(builder, arguments[3], BYTE_GROUP), BYTE)
        for total in range(4):
            _in_tiles(builder, "tilezero", total)

        def add(step: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            high = builder.gep(left.data, [times(builder, step, DEPTH)])
            low, lines = builder.gep(high, [slots]), times(builder, slots, 2)
            group = builder.gep(first, [builder.mul(times(builder, step, DEPTH // BYTE_GROUP), line)])
            for block, order in enumerate(((high, low), (low, high))):
                place = builder.gep(group, [ir.Constant(slots.type, DEPTH * block)])
                _in_tiles(builder, "tileloadd64", _VALUES, place, line)
                for k, weights in enumerate(order):
                    if block == k == 0 or k == 1:  # the low bytes are still there for the second block
                        _in_tiles(builder, "tileloadd64", _WEIGHTS, weights, lines)
                    _in_tiles(builder, "tdpbusd", 2 * block + (weights is low), _WEIGHTS, _VALUES)
            return []

        accumulate(builder, arguments[2], [], add)
        for total in range(4):
            place = builder.add(times(builder, outer, total % 2), plus(builder, arguments[3], COLUMNS * (total // 2)))
            target = pointer_to(builder, result.data, place, BYTE)
            _in_tiles(builder, "tilestored64", total, target, times(builder, outer, 8))
        return context.get_dummy_value()

    return types.void(parts, values, types.int64, types.int64, out), generate


_has_tiles = {"+amx-tile", "+amx-int8"} <= features()


def scores_in_tiles(query: Array, rows: int, keys: Array, blocks: int, start: Ints32, out: Ints32) -> None:
    """Do what `kernels.key_scores` does, for up to TILE rows of at most DEPTH numbers, a multiple of four blocks of
    keys, and rows of `start` that have their number COLUMNS times; nothing for queries of other dtypes than int8, or
    without such registers. For compiled functions only.
    """


@overload(scores_in_tiles, strict=False)
def _scores_if_there(query: Any, rows: Any, keys: Any, blocks: Any, start: Any, out: Any) -> Any:
    if not _has_tiles or query.dtype != types.int8:
        return lambda query, rows, keys, blocks, start, out: None

    def four_by_four(query: Any, rows: Any, keys: Any, blocks: Any, start: Any, out: Any) -> None:
        _configure_keys(rows, keys.shape[1])
        for block in range(0, blocks, 4):
            _scores(query, keys, start, out, block)

    return four_by_four


def sums_in_tiles(parts: Array, values: Array, rows: int, steps: int, out: Ints32) -> None:
    """Multiply rows of weights by the first values of a cache, apart for their high and low bytes. In NumPy:
    ``out[:rows] = parts[:rows, :, :n].astype(int) @ values[:n]``, n = steps DEPTH. For compiled functions only.

    parts: uint8 [N, 2, S]; values: int8 [S / 4, C, 4], C a multiple of 2 COLUMNS; rows: at most TILE; out: int32 [N, 2,
    C]. The registers are as `scores_in_tiles` left them; without such, nothing happens.
    """


@overload(sums_in_tiles, strict=False)
def _sums_if_there(parts: Any, values: Any, rows: Any, steps: Any, out: Any) -> Any:
    if not _has_tiles or parts.dtype != types.uint8:
        return lambda parts, values, rows, steps, out: None

    def two_by_two(parts: Any, values: Any, rows: Any, steps: Any, out: Any) -> None:
        for column in range(0, values.shape[1], 2 * COLUMNS):
            _sums(parts, values, steps, column, out)
        _release()

    return two_by_two


_configure_keys: Any = _configure_attention
_scores: Any = _four_scores
_sums: Any = _two_sums
