"""Instructions of products in tile registers (AMX).

LLVM leaves the eight registers to whoever names them by their numbers. 0 to 3 hold the totals of two tiles of rows by
two panels; the next are the factors of one round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload, register_jitable

from bfncodec.networks.kernels import COLUMNS, DEPTH, LEAST_ROWS, TILE
from bfncodec.runtime.arrays import Array, Ints32
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
            for p, base in enumerate(bases):
                place = builder.gep(base, [times(builder, step, DEPTH * COLUMNS)])
                _in_tiles(builder, "tileloadd64", _PANELS + p, place, ir.Constant(inner.type, DEPTH))
            for i, line in enumerate(lines):
                _in_tiles(builder, "tileloadd64", _ROWS + i, builder.gep(line, [times(builder, step, DEPTH)]), inner)
            for total, i, p in self._totals():
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


@intrinsic
def _configure_tiles(typing: Any, first: Any, second: Any) -> Any:
    """Say how many rows, at least one, the two tiles of rows have, and with them the registers."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        wide, tall = [DEPTH, 0] * _REGISTERS, [TILE] * _REGISTERS  # bytes of a line, lines
        content = ir.Constant(vector_of(BYTE, 64), [1, *[0] * 15, *wide, *[0] * 16, *tall, *[0] * 8])
        for i, rows in enumerate(values):
            for register in (2 * i, 2 * i + 1, _ROWS + i):
                content = builder.insert_element(content, builder.trunc(rows, BYTE), int32(48 + register))
        place = cgutils.alloca_once_value(builder, content)
        _in_tiles(builder, "ldtilecfg", builder.bitcast(place, BYTE.as_pointer()))
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
