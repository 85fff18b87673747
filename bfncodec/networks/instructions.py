"""Instructions for LLVM that kernels consist of, and what they choose by the types of their arguments.

This module imports Numba, so it is imported when kernels are compiled and never else, see
:mod:`bfncodec.runtime.jit`. Names without an underscore are for :mod:`bfncodec.networks.kernels` and
:mod:`bfncodec.networks.products`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils as untyped
from numba.core import types
from numba.extending import intrinsic, overload, register_jitable

from bfncodec.coding.cdf import NIBBLE, SUM_BITS
from bfncodec.coding.rangecoder import PRECISION
from bfncodec.coding.rangecoder import total as total_of
from bfncodec.networks.convnet.mixture import MEAN_STEPS
from bfncodec.networks.kernels import (
    COLUMNS,
    DEPTH,
    EIGHT,
    LANES,
    LEAST_ROWS,
    OFFSET,
    TILE,
    WIDE,
    weigh_bytes,
    weigh_floats,
)
from bfncodec.networks.stored import LARGEST, TINY, WEIGHT_TOTAL
from bfncodec.runtime.arrays import Array, Ints32
from bfncodec.runtime.lines import LINE

cgutils: Any = untyped

_BYTE, _WORD, _INT, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
EDGE = 4  # bytes of a pixel in a 32-bit word
NIBBLE_BITS = 4


# ---- writing instructions -----------------------------------------------------------------------


def _vector(element: ir.Type, count: int) -> ir.VectorType:
    return ir.VectorType(element, count)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_INT, value)


def _plus(builder: ir.IRBuilder, value: ir.Value, number: int) -> ir.Value:
    return builder.add(value, ir.Constant(value.type, number))


def _times(builder: ir.IRBuilder, value: ir.Value, number: int) -> ir.Value:
    return builder.mul(value, ir.Constant(value.type, number))


def _broadcast(builder: ir.IRBuilder, value: ir.Value, count: int) -> ir.Value:
    """Return a vector with the value in every place."""
    vector = _vector(value.type, count)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _int(0))
    return builder.shuffle_vector(first, first, ir.Constant(_vector(_INT, count), [0] * count))


def _load(builder: ir.IRBuilder, data: ir.Value, index: ir.Value, align: int = 1) -> ir.Value:
    value = builder.load(builder.gep(data, [index]))
    value.align = align
    return value


def _pointer(builder: ir.IRBuilder, data: ir.Value, index: ir.Value, element: ir.Type) -> ir.Value:
    """Return the address of data[index] as a pointer to elements of another type."""
    return builder.bitcast(builder.gep(data, [index]), element.as_pointer())


def _ask(builder: ir.IRBuilder, data: ir.Value, line: ir.Value) -> None:
    """Ask memory for a line of the cache, counted from an address on, whether or not it is mapped."""
    kinds = [data.type, _INT, _INT, _INT]
    declared = builder.module.declare_intrinsic("llvm.prefetch", [data.type], ir.FunctionType(ir.VoidType(), kinds))
    place = builder.gep(data, [_times(builder, line, LINE)])
    builder.call(declared, [place, _int(0), _int(3), _int(1)])  # to be read, near, data


def _store_all(builder: ir.IRBuilder, values: Sequence[ir.Value], data: ir.Value, index: ir.Value) -> None:
    """Store vectors of int32 behind each other from data[index] on."""
    at = _pointer(builder, data, index, values[0].type)
    for k, value in enumerate(values):
        builder.store(value, builder.gep(at, [_int(k)])).align = 4


def _arrays(context: Any, builder: ir.IRBuilder, signature: Any, values: Any, places: Sequence[int]) -> list[Any]:
    return [context.make_array(signature.args[k])(context, builder, values[k]) for k in places]


def _shape(builder: ir.IRBuilder, array: Any) -> Any:
    return cgutils.unpack_tuple(builder, array.shape)


def _groups(builder: ir.IRBuilder, matrix: Any) -> Any:
    """Return the groups of a panel, [P, K / g, COLUMNS, g] or [P, K / d, d / g, COLUMNS, g]."""
    first, *more = _shape(builder, matrix)[1:-2]
    return builder.mul(first, more[0]) if more else first


def _dot_words(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return total + sums of two products of words: compilers know this as one instruction where there is one."""
    wide = _vector(_INT, COLUMNS)
    product = builder.mul(builder.sext(x, wide), builder.sext(y, wide))
    half = _vector(_INT, EIGHT)
    even, odd = (
        builder.shuffle_vector(product, product, ir.Constant(half, list(range(k, COLUMNS, 2)))) for k in range(2)
    )
    return builder.add(total, builder.add(even, odd))


def _dot_bytes(builder: ir.IRBuilder, total: ir.Value, unsigned: ir.Value, signed: ir.Value) -> ir.Value:
    """Return total + sums of four products of bytes, in every place of a vector of 32-bit numbers."""
    name = f"llvm.x86.avx512.vpdpbusd.{32 * total.type.count}"
    declared = builder.module.declare_intrinsic(name, (), ir.FunctionType(total.type, [total.type] * 3))
    return builder.call(declared, [total, unsigned, signed])


def _accumulate(
    builder: ir.IRBuilder,
    count: ir.Value,
    first: Sequence[ir.Value],
    add: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Return the totals after `count` rounds, at least one, of ``totals = add(round, totals)``.

    The totals stay in registers: the loop has phi nodes rather than variables.
    """
    entry = builder.block
    body, end = builder.append_basic_block("round"), builder.append_basic_block("after")
    builder.branch(body)
    builder.position_at_end(body)
    number = builder.phi(count.type)
    totals = [builder.phi(value.type) for value in first]
    new = add(number, list(totals))
    following = _plus(builder, number, 1)
    last = builder.block
    begin = [ir.Constant(count.type, 0), *first]
    for phi, before, after in zip([number, *totals], begin, [following, *new], strict=True):
        phi.add_incoming(before, entry)
        phi.add_incoming(after, last)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)
    builder.position_at_end(end)
    return new


# ---- products with a packed matrix --------------------------------------------------------------


@dataclass(frozen=True)
class _Multiplier:
    """The instructions that multiply and add, for a left factor of some dtype: int16 for words, uint8 and int8 for
    bytes, where the other factor is of the other sign. lanes: sums in a register; register: a register's worth of a
    packed matrix.
    """

    dtype: types.Type
    lanes: int
    register: ir.VectorType

    @classmethod
    def of(cls, dtype: types.Type) -> _Multiplier:
        """Return the instructions for left factors of a dtype."""
        words = dtype == types.int16
        lanes = EIGHT if words else LANES
        return cls(dtype, lanes, _vector(_BYTE, 2 * lanes) if words else _vector(_INT, lanes))

    def column_factor(self, builder: ir.IRBuilder, loaded: ir.Value) -> ir.Value:
        """Return a register of the packed matrix as a factor."""
        return builder.sext(loaded, _vector(_WORD, 2 * self.lanes)) if self.dtype == types.int16 else loaded

    def row_factor(self, builder: ir.IRBuilder, group: ir.Value) -> ir.Value:
        """Return a group of a row, 32 bits, as a factor for all columns."""
        everywhere = _broadcast(builder, group, self.lanes)
        words = self.dtype == types.int16
        return builder.bitcast(everywhere, _vector(_WORD, 2 * self.lanes)) if words else everywhere

    def add(self, builder: ir.IRBuilder, total: ir.Value, row: ir.Value, column: ir.Value) -> ir.Value:
        """Return total + the products of the two factors, added group by group."""
        if self.dtype == types.int16:
            return _dot_words(builder, total, row, column)
        unsigned, signed = (row, column) if self.dtype == types.uint8 else (column, row)
        return _dot_bytes(builder, total, unsigned, signed)


@dataclass(frozen=True)
class _TileCode:
    """The instructions of a tile of some rows and some neighbouring panels, see `_tile`. by_row: sums start with a
    number of their row, else of their column.
    """

    rows: int
    panels: int
    multiplier: _Multiplier
    by_row: bool

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_tile`."""
        multiplier, parts = self.multiplier, self.panels * self._wide
        left, right, result = _arrays(context, builder, signature, values, (0, 1, 3))
        inner, outer = (_shape(builder, array)[1] for array in (left, result))
        rows = [_plus(builder, values[4], i) for i in range(self.rows)]
        lines = [_pointer(builder, left.data, builder.mul(row, inner), _INT) for row in rows]
        bases, groups = self._bases(builder, right, values[5]), _groups(builder, right)
        column = _times(builder, values[5], COLUMNS)

        def add(group: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = _times(builder, group, self._wide)
            found = [_load(builder, base, _plus(builder, place, k)) for base in bases for k in range(self._wide)]
            columns = [multiplier.column_factor(builder, loaded) for loaded in found]
            factors = [multiplier.row_factor(builder, _load(builder, line, group)) for line in lines]
            pairs = [(factor, weight) for factor in factors for weight in columns]
            return [multiplier.add(builder, t, x, y) for t, (x, y) in zip(totals, pairs, strict=True)]

        starts = self._starts(context, builder, signature, values, rows, column)
        totals = _accumulate(builder, groups, starts, add)
        for i, row in enumerate(rows):
            place = builder.add(builder.mul(row, outer), column)
            _store_all(builder, totals[i * parts : (i + 1) * parts], result.data, place)
        return context.get_dummy_value()

    @property
    def _wide(self) -> int:
        """Registers of one panel's group."""
        return COLUMNS // self.multiplier.lanes

    def _bases(self, builder: ir.IRBuilder, matrix: Any, panel: ir.Value) -> list[ir.Value]:
        """Return the addresses of the panels from a number on."""
        whole = _pointer(builder, matrix.data, _int(0), self.multiplier.register)
        size = _times(builder, _groups(builder, matrix), self._wide)
        return [builder.gep(whole, [builder.mul(_plus(builder, panel, p), size)]) for p in range(self.panels)]

    def _starts(
        self, context: Any, builder: ir.IRBuilder, signature: Any, values: Any, rows: Any, column: Any
    ) -> list[Any]:
        """Return the registers that the totals start with."""
        count, lanes = self.panels * self._wide, self.multiplier.lanes
        (begin,) = _arrays(context, builder, signature, values, (2,))
        if self.by_row:
            each = [_broadcast(builder, _load(builder, begin.data, row, 4), lanes) for row in rows]
            return [start for start in each for _ in range(count)]
        first = _pointer(builder, begin.data, column, _vector(_INT, lanes))
        return [_load(builder, first, _int(k), 4) for k in range(count)] * self.rows


def _tile(rows: int, panels: int) -> Any:
    """Return an intrinsic that multiplies `rows` rows by `panels` neighbouring panels. In NumPy, for `columns` those of
    these panels: ``out[row : row + rows, columns] = start[columns] + a[row : row + rows] @ matrix[:, columns]``.
    """

    @intrinsic
    def tile(typing: Any, a: Any, matrix: Any, start: Any, out: Any, row: Any, panel: Any) -> Any:
        """a: [N, K]; matrix: [P, K / g, COLUMNS, g]; start: int32 [P COLUMNS] or [N, 1]; out: int32 [N, M]."""
        code = _TileCode(rows, panels, _Multiplier.of(a.dtype), start.ndim == 2)
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


# ---- products in tile registers (AMX) ------------------------------------------------------------
#
# LLVM leaves the eight registers to whoever names them by their numbers. 0 to 3 hold the totals of two tiles of rows by
# two panels, and these are the factors of one round:

_ROWS, _PANELS, _REGISTERS = 4, 6, 8


def _in_tiles(builder: ir.IRBuilder, name: str, *values: Any) -> None:
    """Write an instruction of tile registers, which are given by their numbers."""
    found = [ir.Constant(_BYTE, value) if isinstance(value, int) else value for value in values]
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in found])
    builder.call(builder.module.declare_intrinsic(f"llvm.x86.{name}", (), kind), found)


@dataclass(frozen=True)
class _RegistersCode:
    """The instructions of some tiles of rows by some neighbouring panels, see `_registers`."""

    rows: int
    panels: int

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_registers`."""
        left, right, begin, result = _arrays(context, builder, signature, values, (0, 1, 2, 3))
        inner, steps, outer = (_shape(builder, array)[1] for array in (left, right, result))
        rows = [_plus(builder, values[4], TILE * i) for i in range(self.rows)]
        panels = [_plus(builder, values[5], p) for p in range(self.panels)]
        size = _times(builder, steps, DEPTH * COLUMNS)
        lines = [builder.gep(left.data, [builder.mul(row, inner)]) for row in rows]
        bases = [builder.gep(right.data, [builder.mul(panel, size)]) for panel in panels]
        columns = [_times(builder, panel, COLUMNS) for panel in panels]

        def add(step: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for p, base in enumerate(bases):
                place = builder.gep(base, [_times(builder, step, DEPTH * COLUMNS)])
                _in_tiles(builder, "tileloadd64", _PANELS + p, place, ir.Constant(inner.type, DEPTH))
            for i, line in enumerate(lines):
                _in_tiles(builder, "tileloadd64", _ROWS + i, builder.gep(line, [_times(builder, step, DEPTH)]), inner)
            for total, i, p in self._totals():
                _in_tiles(builder, "tdpbusd", total, _ROWS + i, _PANELS + p)
            return []

        for total, _, p in self._totals():  # all rows start with the same line
            place = _pointer(builder, begin.data, columns[p], _BYTE)
            _in_tiles(builder, "tileloadd64", total, place, ir.Constant(inner.type, 0))
        _accumulate(builder, steps, [], add)
        for total, i, p in self._totals():
            place = _pointer(builder, result.data, builder.add(builder.mul(rows[i], outer), columns[p]), _BYTE)
            _in_tiles(builder, "tilestored64", total, place, _times(builder, outer, 4))
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
        content = ir.Constant(_vector(_BYTE, 64), [1, *[0] * 15, *wide, *[0] * 16, *tall, *[0] * 8])
        for i, rows in enumerate(values):
            for register in (2 * i, 2 * i + 1, _ROWS + i):
                content = builder.insert_element(content, builder.trunc(rows, _BYTE), _int(48 + register))
        place = cgutils.alloca_once_value(builder, content)
        _in_tiles(builder, "ldtilecfg", builder.bitcast(place, _BYTE.as_pointer()))
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
            first = min(rows - row, TILE)
            second = min(rows - row - first, TILE)
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


# ---- numbers as kernels store them --------------------------------------------------------------


@intrinsic
def _as_unsigned(typing: Any, value: Any) -> Any:
    """Return uint8 that is 128 more than an integer of -128 to 127. In NumPy: ``np.uint8(value + 128)``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        narrow = values[0] if values[0].type == _BYTE else builder.trunc(values[0], _BYTE)
        return builder.xor(narrow, ir.Constant(_BYTE, OFFSET))

    return types.uint8(value), generate


_unsigned: Any = _as_unsigned


@intrinsic
def signed(typing: Any, stored: Any) -> Any:
    """Return int8, the number that a stored one stands for. In NumPy: ``np.int8(stored - offset)``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        if stored == types.uint8:
            return builder.xor(values[0], ir.Constant(_BYTE, OFFSET))
        return values[0] if values[0].type == _BYTE else builder.trunc(values[0], _BYTE)

    return types.int8(stored), generate


def store(value: Any, out: Any, i: Any) -> None:
    """Store an integer of -127 to 127 as the dtype of `out` has it. In NumPy: ``out[i] = value + offset``.

    For compiled functions only.
    """


@overload(store, strict=False, inline="always")
def _store_by_dtype(value: Any, out: Any, i: Any) -> Any:
    if out.dtype == types.uint8:
        return _store_unsigned
    return _store_signed if out.dtype == types.int8 else _store_word


def _store_unsigned(value: Any, out: Any, i: Any) -> None:
    out[i] = _unsigned(np.int32(value))


def _store_signed(value: Any, out: Any, i: Any) -> None:
    out[i] = np.int8(value)


def _store_word(value: Any, out: Any, i: Any) -> None:
    out[i] = np.int16(value)


@intrinsic
def copy_sixteen(typing: Any, source: Any, row: Any, start: Any, target: Any, to_row: Any, to_start: Any) -> Any:
    """Copy COLUMNS numbers of a row to one of another array, as its dtype has them. In NumPy, without offsets:
    ``target[to_row, to_start : to_start + COLUMNS] = source[row, start : start + COLUMNS]``.

    source, target: int8 [N, C], or left factors of a kernel [N, C].
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        data, places = [], ((0, values[1], values[2]), (3, values[4], values[5]))
        for k, at_row, column in places:
            [array] = _arrays(context, builder, signature, values, (k,))
            place = builder.add(builder.mul(at_row, _shape(builder, array)[1]), column)
            element = array.data.type.pointee
            data.append(_pointer(builder, array.data, place, _vector(element, COLUMNS)))
        numbers, kind = _load(builder, data[0], _int(0)), data[1].type.pointee
        if source.dtype != target.dtype and types.uint8 in (source.dtype, target.dtype):
            numbers = builder.xor(numbers, ir.Constant(kind, [OFFSET] * COLUMNS))
        elif kind != numbers.type:
            wider = kind.element.width > numbers.type.element.width
            numbers = builder.sext(numbers, kind) if wider else builder.trunc(numbers, kind)
        builder.store(numbers, data[1]).align = 1
        return context.get_dummy_value()

    return types.void(source, row, start, target, to_row, to_start), generate


@intrinsic
def differences(
    typing: Any, words: Any, row: Any, west: Any, north: Any, east: Any, corner: Any, taps: Any, out: Any, bases: Any
) -> Any:
    """Store what a network of pictures is told of a pixel's neighbours, and the simple prediction of the pixel.

    In NumPy, for ``x = words[row].view(np.uint8).reshape(-1, 4).astype(int)``::

        base = np.clip(2 * (x[west] + x[north]) + x[east] - x[corner] + 2 >> 2, 0, 255)
        out[row, : 4 * taps] = np.clip(x[:taps] - base, -127, 127).ravel() + offset
        out[row, 4 * taps : 4 * taps + 4] = base - 128 + offset
        bases[row] = base

    words: int32 [N, W] of whole registers; out: [N, F], as a kernel has it, of which as many more as fill a register
    may be overwritten; bases: int16 [N, 4]
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        near, target, simple = _arrays(context, builder, signature, values, (0, 7, 8))
        row, four, numbers = values[1], _vector(_INT, EDGE), _vector(_INT, COLUMNS)
        width = _shape(builder, near)[1]
        own = builder.mul(row, width)

        def word(tap: ir.Value) -> ir.Value:
            at = _pointer(builder, near.data, builder.add(own, tap), _vector(_BYTE, EDGE))
            return builder.zext(_load(builder, at, _int(0)), four)

        def bounded(x: ir.Value, least: int, most: int) -> ir.Value:
            low, high = (ir.Constant(x.type, [end] * x.type.count) for end in (least, most))
            x = builder.select(builder.icmp_signed(">", x, low), x, low)
            return builder.select(builder.icmp_signed("<", x, high), x, high)

        def put(x: ir.Value, at: ir.Value) -> None:
            kind = _vector(target.data.type.pointee, x.type.count)
            narrow = builder.trunc(x, kind)
            if signature.args[7].dtype == types.uint8:
                narrow = builder.xor(narrow, ir.Constant(kind, [OFFSET] * kind.count))
            builder.store(narrow, _pointer(builder, target.data, builder.add(first, at), kind)).align = 1

        first = builder.mul(row, _shape(builder, target)[1])
        west_word, north_word, east_word, corner_word = map(word, values[2:6])
        both = builder.add(west_word, north_word)
        sums = builder.add(builder.add(both, both), builder.sub(east_word, corner_word))
        two = ir.Constant(four, [2] * EDGE)
        base = bounded(builder.ashr(builder.add(sums, two), two), 0, 255)
        wide = builder.shuffle_vector(base, base, ir.Constant(numbers, [k % EDGE for k in range(COLUMNS)]))
        blocks = builder.sdiv(width, ir.Constant(width.type, COLUMNS // EDGE))
        rows_at = _pointer(builder, near.data, own, _vector(_BYTE, COLUMNS))
        with cgutils.for_range(builder, blocks) as loop:
            x = builder.zext(_load(builder, rows_at, loop.index), numbers)
            put(bounded(builder.sub(x, wide), -LARGEST, LARGEST), _times(builder, loop.index, COLUMNS))
        put(builder.sub(base, ir.Constant(four, [OFFSET] * EDGE)), _times(builder, values[6], EDGE))
        place = _pointer(builder, simple.data, _times(builder, row, EDGE), _vector(_WORD, EDGE))
        builder.store(builder.trunc(base, _vector(_WORD, EDGE)), place).align = 2
        return context.get_dummy_value()

    many = (types.int64,) * 5
    return types.void(words, types.int64, *many, out, bases), generate


# ---- sums of values ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SumCode:
    """The instructions of sums of values, for some rows of weights and `parts` registers of columns, see `_weigh`.

    floats: weights are.
    """

    rows: int
    parts: int
    floats: bool

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_weigh`."""
        element, loaded, lanes = (_FLOAT, _BYTE, EIGHT) if self.floats else (_INT, _INT, LANES)
        kind, parts = _vector(element, lanes), self.parts
        left, matrix, result = _arrays(context, builder, signature, values, (0, 1, 5))
        width, outer = _shape(builder, matrix)[1], _shape(builder, result)[1]
        rows = [_plus(builder, values[3], i) for i in range(self.rows)]
        lines = self._lines(builder, left, rows, element)
        whole = _pointer(builder, matrix.data, _int(0), loaded)

        def add(number: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = builder.add(builder.mul(number, width), values[4])
            start = _pointer(builder, whole, place, _vector(loaded, lanes))
            found = [_load(builder, start, _int(k)) for k in range(parts)]
            found = [builder.sitofp(x, kind) for x in found] if self.floats else found
            factors = [_broadcast(builder, _load(builder, line, number), lanes) for line in lines]
            pairs = [(factor, x) for factor in factors for x in found]
            if self.floats:
                return [builder.fadd(t, builder.fmul(x, w)) for t, (w, x) in zip(totals, pairs, strict=True)]
            return [_dot_bytes(builder, t, w, x) for t, (w, x) in zip(totals, pairs, strict=True)]

        totals = _accumulate(builder, values[2], [ir.Constant(kind, None)] * (len(lines) * parts), add)
        for i, row in enumerate(rows):
            own = totals[i * len(lines) // self.rows * parts : (i + 1) * len(lines) // self.rows * parts]
            place = builder.add(builder.mul(row, outer), values[4])
            _store_all(builder, self._sums(builder, own), result.data, place)
        return context.get_dummy_value()

    def _lines(self, builder: ir.IRBuilder, left: Any, rows: Sequence[Any], element: ir.Type) -> list[ir.Value]:
        """Return the addresses of the weights of the rows, of the high bytes of each and then the low ones."""
        each, slots = _shape(builder, left)[1:]
        starts = [builder.mul(builder.mul(row, each), slots) for row in rows]
        if not self.floats:
            starts = [place for start in starts for place in (start, builder.add(start, slots))]
        return [_pointer(builder, left.data, start, element) for start in starts]

    def _sums(self, builder: ir.IRBuilder, totals: Sequence[ir.Value]) -> list[ir.Value]:
        """Return a row's sums as integers."""
        kind = _vector(_INT, totals[0].type.count)
        if self.floats:
            return [builder.fptosi(total, kind) for total in totals]
        eight = ir.Constant(kind, [8] * kind.count)
        high, low = totals[: self.parts], totals[self.parts :]
        return [builder.add(builder.shl(x, eight), y) for x, y in zip(high, low, strict=True)]


def _weigh(rows: int, parts: int) -> Any:
    """Return an intrinsic that adds up values with `rows` rows of weights, for `parts` registers of columns.

    In NumPy, where the registers hold `columns`: ``out[row : row + rows, columns] = weights[row : row + rows, :count] @
    values[:count, columns]``. Weights are floats (sums below 2^24: exact), or integers as two lines of bytes, their
    high and their low ones.
    """

    @intrinsic
    def weigh(typing: Any, weights: Any, values: Any, count: Any, row: Any, column: Any, out: Any) -> Any:
        """weights: float32 [N, 1, S] or uint8 [N, 2, S]; values: int8 [S / g, C, g], the first `count` groups, at
        least one; out: int32 [N, C].
        """
        code = _SumCode(rows, parts, weights.dtype == types.float32)
        return types.void(weights, values, count, row, column, out), code.generate

    return weigh


def weigh(weights: Array, values: Array, count: int, row: int, rows: int, out: Ints32) -> None:
    """Add up all columns for `rows` rows, a literal, from `row` on, as many registers at a time as there are."""


@overload(weigh, strict=False, prefer_literal=True)
def _weigh_by_registers(weights: Any, values: Any, count: Any, row: Any, rows: Any, out: Any) -> Any:
    number, lanes = rows.literal_value, EIGHT if weights.dtype == types.float32 else LANES
    many = 1 if number > 1 and lanes < COLUMNS else WIDE
    wide, two, one = (_weigh(number, parts) for parts in (many, min(many, 2), 1))

    def by_registers(weights: Any, values: Any, count: Any, row: Any, rows: Any, out: Any) -> None:
        column, columns = 0, values.shape[1]
        while column + many * lanes <= columns:
            wide(weights, values, count, row, column, out)
            column += many * lanes
        while column + 2 * lanes <= columns and many > 2:
            two(weights, values, count, row, column, out)
            column += 2 * lanes
        while column < columns:
            one(weights, values, count, row, column, out)
            column += lanes

    return by_registers


def weighted_sums(parts: Array, whole: Ints32, values: Array, rows: int, count: int, out: Ints32) -> None:
    """Add up the first values of a cache with rows of integer weights. In NumPy: ``out[:rows] = weight[:rows, :count] @
    values[:count]``.

    parts, whole: the weights as `soft_weights` leaves them, whose sums with the values stay below 2^24; values: int8
    [S / g, C, g], g values of a column beside each other, C a multiple of COLUMNS; count: a multiple of g; out: int32
    [N, C]. For compiled functions only.
    """


@overload(weighted_sums, strict=False)
def _sums_by_dtype(parts: Any, whole: Any, values: Any, rows: Any, count: Any, out: Any) -> Any:
    if parts.dtype == types.float32:
        return lambda parts, whole, values, rows, count, out: weigh_floats(parts, values, rows, count, out)
    return lambda parts, whole, values, rows, count, out: weigh_bytes(parts, whole, values, rows, count, out)


# ---- attention's weights -------------------------------------------------------------------------

AHEAD = 3  # lines of values that memory is asked for with each block and turn: so many arrive meanwhile


def _reduced(builder: ir.IRBuilder, vector: ir.Value, join: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """Return all places of a vector joined."""
    width = vector.type.count
    while width > 1:
        width //= 2
        halves = (ir.Constant(_vector(_INT, width), list(range(k * width, (k + 1) * width))) for k in range(2))
        vector = join(*(builder.shuffle_vector(vector, vector, half) for half in halves))
    return builder.extract_element(vector, _int(0))


def _rounded(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return sixteen floats rounded to integers, halves to even ones."""
    shape = ir.FunctionType(value.type, [value.type])
    return builder.call(builder.module.declare_intrinsic("llvm.rint.v16f32", (), shape), [value])


def _floored(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return sixteen floats rounded down to integers."""
    shape = ir.FunctionType(value.type, [value.type])
    return builder.call(builder.module.declare_intrinsic("llvm.floor.v16f32", (), shape), [value])


def _gather(builder: ir.IRBuilder, data: ir.Value, index: ir.Value) -> ir.Value:
    """Return int32 from the places of a table that a vector says."""
    kind = index.type
    if LANES == COLUMNS:
        mask, pointer = _vector(ir.IntType(1), COLUMNS), _BYTE.as_pointer()
        shape = ir.FunctionType(kind, [kind, pointer, kind, mask, _INT])
        declared = builder.module.declare_intrinsic("llvm.x86.avx512.mask.gather.dpi.512", (), shape)
        everywhere = ir.Constant(mask, [1] * COLUMNS)
        base = builder.bitcast(data, pointer)
        return builder.call(declared, [ir.Constant(kind, None), base, index, everywhere, _int(4)])
    found = ir.Constant(kind, ir.Undefined)
    for k in range(COLUMNS):
        value = _load(builder, data, builder.extract_element(index, _int(k)), 4)
        found = builder.insert_element(found, value, _int(k))
    return found


def _bounded(builder: ir.IRBuilder, index: ir.Value, entries: ir.Value) -> ir.Value:
    """Return sixteen floats as places of a table of so many entries, those beyond its ends, or none, as the ends."""
    none = ir.Constant(index.type, None)
    last = _broadcast(builder, builder.sitofp(_plus(builder, entries, -1), _FLOAT), COLUMNS)
    index = builder.select(builder.fcmp_ordered(">", index, none), index, none)
    index = builder.select(builder.fcmp_ordered("<", index, last), index, last)
    return builder.fptosi(index, _vector(_INT, COLUMNS))


@intrinsic
def take(typing: Any, table: Any, index: Any, found: Any, count: Any) -> Any:
    """Take entries of a table from the places that whole numbers say, or from its nearer end. In NumPy:
    ``found[:count] = table[np.clip(index[:count], 0, len(table) - 1).astype(int)]``.

    table: int32 or float32; index: float32 [N]; found: [N], as the table, N as large as the next multiple of COLUMNS
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        entries, places, target = _arrays(context, builder, signature, values, range(3))
        kind, size = _vector(target.data.type.pointee, COLUMNS), _shape(builder, entries)[0]
        blocks = builder.sdiv(_plus(builder, values[3], COLUMNS - 1), ir.Constant(values[3].type, COLUMNS))
        place_at = _pointer(builder, places.data, _int(0), _vector(_FLOAT, COLUMNS))
        target_at = _pointer(builder, target.data, _int(0), kind)
        data = builder.bitcast(entries.data, _INT.as_pointer())
        with cgutils.for_range(builder, blocks) as loop:
            place = _bounded(builder, _load(builder, place_at, loop.index, 4), size)
            value = builder.bitcast(_gather(builder, data, place), kind)
            builder.store(value, builder.gep(target_at, [loop.index])).align = 4
        return context.get_dummy_value()

    return types.void(table, index, found, types.int64), generate


@dataclass(frozen=True)
class _Search:
    """The instructions of `read_high` and `read_low`, for sixteen codes.

    weight, mean, inverse: addresses of vectors, `lanes` of whose numbers lie between those of two components.
    """

    builder: ir.IRBuilder
    components: ir.Value
    lanes: ir.Value
    weight: ir.Value
    mean: ir.Value
    inverse: ir.Value
    logistic: ir.Value
    entries: ir.Value
    ints = _vector(_INT, COLUMNS)
    reals = _vector(_FLOAT, COLUMNS)
    wide = _vector(ir.IntType(64), COLUMNS)
    doubles = _vector(ir.DoubleType(), COLUMNS)

    def all(self, kind: ir.VectorType, value: float) -> ir.Constant:
        """Return a vector with a number in every place."""
        return ir.Constant(kind, [value] * COLUMNS)

    def quantile(self, ahead: ir.Value, scale: ir.Value) -> ir.Value:
        """Return ahead // scale: the quotient of doubles is off by one at most where it is below 2^PRECISION."""
        builder, one, none = self.builder, self.all(self.wide, 1), self.all(self.wide, 0)
        ratio = builder.fdiv(builder.uitofp(ahead, self.doubles), builder.uitofp(scale, self.doubles))
        found = builder.fptosi(ratio, self.wide)
        rest = builder.sub(ahead, builder.mul(found, scale))
        found = builder.sub(found, builder.select(builder.icmp_signed("<", rest, none), one, none))
        return builder.add(found, builder.select(builder.icmp_signed(">=", rest, scale), one, none))

    def below(self, value: ir.Value) -> ir.Value:
        """Return 2^30 P(x < value), as `Mixture.below`, for values from 1 to 255."""
        builder = self.builder
        scaled = builder.fmul(builder.sitofp(value, self.reals), self.all(self.reals, MEAN_STEPS))
        edge = builder.fsub(scaled, self.all(self.reals, MEAN_STEPS // 2))
        half = builder.sdiv(self.entries, ir.Constant(self.entries.type, 2))
        middle = _broadcast(builder, builder.sitofp(half, _FLOAT), COLUMNS)

        def add(m: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            at = builder.mul(m, self.lanes)
            weight, mean, inverse = (self._vector_at(data, at) for data in (self.weight, self.mean, self.inverse))
            index = _floored(builder, builder.fmul(builder.fsub(edge, mean), inverse))
            place = _bounded(builder, builder.fadd(index, middle), self.entries)
            return [builder.add(total[0], builder.mul(_gather(builder, self.logistic, place), weight))]

        (found,) = _accumulate(builder, self.components, [self.all(self.ints, 0)], add)
        return found

    def _vector_at(self, data: ir.Value, at: ir.Value) -> ir.Value:
        kind = _vector(data.type.pointee, COLUMNS)
        return _load(self.builder, _pointer(self.builder, data, at, kind), _int(0), 4)

    def coarse(self, c: ir.Value) -> ir.Value:
        """Return `cdf._coarse`."""
        c = self.builder.ashr(c, self.all(self.ints, SUM_BITS - PRECISION))
        return self.builder.sub(c, self.builder.ashr(c, self.all(self.ints, PRECISION - NIBBLE_BITS)))

    def fine(self, none: ir.Value, some: ir.Value) -> Callable[[ir.Value, ir.Value], ir.Value]:
        """Return `cdf._fine` of sums and steps, where `none` lies below the nibble and `some` in it."""
        builder = self.builder
        width = builder.sitofp(builder.add(some, self.all(self.ints, NIBBLE)), self.doubles)
        share = builder.fdiv(self.all(self.doubles, total_of(NIBBLE)), width)

        def scaled(c: ir.Value, step: ir.Value) -> ir.Value:
            inside = builder.add(builder.sub(c, none), step)
            return builder.fptosi(builder.fmul(builder.sitofp(inside, self.doubles), share), self.ints)

        return scaled

    def bisect(
        self, quantile: ir.Value, begin: ir.Value, step: int, scaled: Callable[[ir.Value, ir.Value], ir.Value]
    ) -> tuple[ir.Value, ...]:
        """Return the nibbles that quantiles fall on; the edges of their intervals, and the distribution there."""
        builder, first = self.builder, self.all(self.ints, 0)
        before, behind = first, self.all(self.ints, 1 << PRECISION)
        least, most = first, self.all(self.ints, 1 << SUM_BITS)
        for half in (8, 4, 2, 1):
            middle = builder.add(first, self.all(self.ints, half))
            c = self.below(builder.add(begin, builder.mul(middle, self.all(self.ints, step))))
            edge = builder.add(middle, scaled(c, middle))
            above = builder.icmp_signed("<=", edge, quantile)
            first = builder.select(above, middle, first)
            before, behind = builder.select(above, edge, before), builder.select(above, behind, edge)
            least, most = builder.select(above, c, least), builder.select(above, most, c)
        return first, before, behind, least, most


def _reader(step: int) -> Any:
    """Return `read_high`, for steps of sixteen values, or `read_low`, for steps of one."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        fields = enumerate(signature.args[0].types)
        parts = [context.make_array(kind)(context, builder, builder.extract_value(values[0], k)) for k, kind in fields]
        state, counts, weight, mean, inverse, symbol, edges = parts
        s, j, [table] = values[1], values[2], _arrays(context, builder, signature, values, (3,))
        pixels, components, lanes = _shape(builder, weight)
        own = builder.add(builder.mul(builder.mul(s, components), lanes), j)
        own_weight, own_mean, own_inverse = (builder.gep(part.data, [own]) for part in (weight, mean, inverse))
        mixture = {"weight": own_weight, "mean": own_mean, "inverse": own_inverse}
        code = _Search(builder, components, lanes, **mixture, logistic=table.data, entries=_shape(builder, table)[0])

        def at(array: Any, line: Any, kind: ir.Type) -> ir.Value:
            place = builder.add(builder.mul(line, lanes), j)
            return _pointer(builder, array.data, place, kind)

        def vector(place: ir.Value) -> ir.Value:
            return _load(builder, place, _int(0), 4)

        def put(value: ir.Value, place: ir.Value) -> None:
            builder.store(value, place).align = 4

        number = s.type
        lower_at, width_at, point_at = (at(state, ir.Constant(number, k), code.wide) for k in range(3))
        symbol_at, least_at = at(symbol, s, code.ints), at(edges, s, code.ints)
        most_at = at(edges, builder.add(pixels, s), code.ints)
        lower, width, point = map(vector, (lower_at, width_at, point_at))
        many = vector(at(counts, ir.Constant(number, 0), code.ints))
        live = builder.icmp_signed("<", _broadcast(builder, builder.trunc(s, _INT), COLUMNS), many)

        scale = builder.lshr(width, code.all(code.wide, PRECISION))
        read = code.quantile(builder.sub(point, lower), scale)
        beyond = builder.icmp_unsigned(">", read, code.all(code.wide, (1 << PRECISION) - 1))
        quantile = builder.trunc(read, code.ints)
        begin = code.all(code.ints, 0)
        if step == NIBBLE:
            first, before, behind, least, most = code.bisect(quantile, begin, step, lambda c, _: code.coarse(c))
            put(least, least_at)
            put(most, most_at)
        else:
            begin, none = builder.mul(vector(symbol_at), code.all(code.ints, NIBBLE)), vector(least_at)
            scaled = code.fine(none, builder.sub(vector(most_at), none))
            first, before, behind, _, _ = code.bisect(quantile, begin, step, scaled)
        put(builder.add(begin, first), symbol_at)

        sized = [builder.zext(x, code.wide) for x in (before, builder.sub(behind, before))]
        lower = builder.select(live, builder.add(lower, builder.mul(scale, sized[0])), lower)
        width = builder.select(live, builder.mul(scale, sized[1]), width)
        put(lower, lower_at)
        put(width, width_at)
        narrow = builder.icmp_unsigned("<", width, code.all(code.wide, 1 << 32))
        told = [builder.zext(builder.bitcast(builder.and_(live, x), _WORD), _INT) for x in (narrow, beyond)]
        return builder.or_(told[0], builder.shl(told[1], _int(COLUMNS)))

    @intrinsic
    def read(typing: Any, lanes: Any, s: Any, j: Any, logistic: Any) -> Any:
        return types.uint32(lanes, types.int64, types.int64, logistic), generate

    return read


read_high, read_low = map(_reader, (NIBBLE, 1))
"""Read a nibble of the s-th pixel of sixteen images, from lane j of some `convnet.reading.Lanes` on, as
`convnet.reading._read` does for one code. `read_low` reads the low nibbles behind those that `read_high` has read, and
leaves both as symbols.

Returns bits, uint32: the first sixteen say which codes need another word, the others which no encoder has written.
"""


@dataclass(frozen=True)
class _Softmax:
    """The instructions of `soft_weights`, sixteen slots at a time. floats: weights are; ahead: address of what is to be
    read next.
    """

    builder: ir.IRBuilder
    floats: bool
    ahead: ir.Value
    ints = _vector(_INT, COLUMNS)
    reals = _vector(_FLOAT, COLUMNS)

    def ask(self, turn: int, count: Any, block: ir.Value) -> None:
        """Ask for what is read next while a block is at work in a turn: memory has nothing else to do, and at most some
        requests at once are taken.
        """
        first = _times(self.builder, self.builder.add(_times(self.builder, count, turn), block), AHEAD)
        for k in range(AHEAD):
            _ask(self.builder, self.ahead, _plus(self.builder, first, k))

    def larger(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return the larger floats."""
        return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)

    def smaller(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return the smaller floats."""
        return self.builder.select(self.builder.fcmp_ordered("<", x, y), x, y)

    def slots(self, block: ir.Value) -> ir.Value:
        """Return the numbers of a block's slots."""
        first = _times(self.builder, self.builder.trunc(block, _INT), COLUMNS)
        return self.builder.add(_broadcast(self.builder, first, COLUMNS), ir.Constant(self.ints, list(range(COLUMNS))))

    def logits(self, count: Any, score: Any, scale: Any, place: Any, size: Any, seen: Any) -> ir.Value:
        """Write scores times scales over the scores, -inf where a row sees no slot. Returns the largest."""
        builder, hidden = self.builder, ir.Constant(self.reals, [float("-inf")] * COLUMNS)
        place, size, seen = (_broadcast(builder, x, COLUMNS) for x in (place, size, seen))

        def add(block: ir.Value, most: list[ir.Value]) -> list[ir.Value]:
            self.ask(0, count, block)
            slot = self.slots(block)
            age = builder.sub(place, slot)
            before = builder.icmp_signed("<", age, ir.Constant(self.ints, None))
            age = builder.select(before, builder.add(age, size), age)
            visible = builder.and_(builder.icmp_unsigned("<", age, seen), builder.icmp_unsigned("<", slot, size))
            sums = builder.sitofp(_load(builder, score, block, 4), self.reals)
            value = builder.fmul(sums, _load(builder, scale, block, 4))
            value = builder.select(visible, value, hidden)
            builder.store(builder.bitcast(value, self.ints), builder.gep(score, [block])).align = 4
            return [self.larger(value, most[0])]

        (most,) = _accumulate(builder, count, [hidden], add)
        return _reduced(builder, most, self.larger)

    def powers(self, count: Any, score: Any, most: Any, unit: Any, table: Any, last: Any) -> ir.Value:
        """Write exponentials over the logits. Returns their sum, as a float."""
        builder, none = self.builder, ir.Constant(self.reals, None)
        most, unit, limit = (_broadcast(builder, x, COLUMNS) for x in (most, unit, builder.sitofp(last, _FLOAT)))

        def add(block: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            self.ask(1, count, block)
            logit = builder.bitcast(_load(builder, score, block, 4), self.reals)
            steps = self.smaller(builder.fmul(builder.fsub(most, logit), unit), limit)
            power = _gather(builder, table, builder.fptosi(self.larger(steps, none), self.ints))
            builder.store(power, builder.gep(score, [block])).align = 4
            return [builder.add(total[0], power)]

        (total,) = _accumulate(builder, count, [ir.Constant(self.ints, None)], add)
        return builder.sitofp(_reduced(builder, total, builder.add), _FLOAT)

    def weights(self, count: Any, score: Any, factor: Any, lines: Sequence[Any]) -> ir.Value:
        """Write the powers times a factor, rounded, as weights. Returns the slot that has 2^16, or -1."""
        builder, full = self.builder, ir.Constant(self.ints, [0xFFFF] * COLUMNS)
        factor, eight = _broadcast(builder, factor, COLUMNS), ir.Constant(self.ints, [8] * COLUMNS)

        def add(block: ir.Value, whole: list[ir.Value]) -> list[ir.Value]:
            self.ask(2, count, block)
            power = builder.sitofp(_load(builder, score, block, 4), self.reals)
            weight = _rounded(builder, builder.fmul(power, factor))
            if self.floats:
                builder.store(weight, builder.gep(lines[0], [block])).align = 4
                return whole
            number = builder.fptosi(weight, self.ints)
            beyond = builder.icmp_signed(">", number, full)
            number = builder.select(beyond, full, number)
            for line, part in zip(lines, (builder.lshr(number, eight), number), strict=True):
                narrow = builder.trunc(part, _vector(_BYTE, COLUMNS))
                builder.store(narrow, builder.gep(line, [block])).align = 1
            return [builder.select(beyond, self.slots(block), whole[0])]

        (whole,) = _accumulate(builder, count, [ir.Constant(self.ints, [-1] * COLUMNS)], add)
        return _reduced(builder, whole, self._later)

    def _later(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed(">", x, y), x, y)


@intrinsic
def soft_weights(
    typing: Any, score: Any, row: Any, blocks: Any, scale: Any, unit: Any, seen: Any, exp2: Any, parts: Any, ahead: Any
) -> Any:
    """Make attention's weights of the scores of a row, and return the slot that has 2^16, -1 if none has, int32.
    Meanwhile the memory is asked for what they are for.

    seen: three integers: the slot of the row's own step, the slots in use, and how many, from its own back and around,
    it attends to. In NumPy, for s = 0 ... 16 blocks - 1 ::

        visible = ((place - s) % slots < many) & (s < slots)
        logit = np.where(visible, score[row] * scale, -np.inf)
        power = exp2[np.clip((logit.max() - logit) * unit, 0, len(exp2) - 1).astype(int)]
        weight = np.rint(power * (np.float32(1 << 16) / np.float32(power.sum())))

    score: int32 [N, S], overwritten; scale: float32 [S]; unit: float32; exp2: int32, whose last entry is 0; parts: the
    weights, see `ProductKernel.parts`, whose row becomes the weights, or their high and low bytes, of which 2^16 has
    those of 2^16 - 1; ahead: the values, of which nothing is used yet.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        scores, scales, table, left, following = _arrays(context, builder, signature, values, (0, 3, 6, 7, 8))
        next_at = _pointer(builder, following.data, _int(0), _BYTE)
        code, count, at = _Softmax(builder, parts.dtype == types.float32, next_at), values[2], values[1]
        own = builder.mul(at, _shape(builder, scores)[1])
        score_at = _pointer(builder, scores.data, own, code.ints)
        scale_at = _pointer(builder, scales.data, _int(0), code.reals)
        place, size, many = (builder.trunc(builder.extract_value(values[5], k), _INT) for k in range(3))
        most = code.logits(count, score_at, scale_at, place, size, many)
        last = builder.trunc(_plus(builder, _shape(builder, table)[0], -1), _INT)
        total = code.powers(count, score_at, most, values[4], table.data, last)
        factor = builder.fdiv(ir.Constant(_FLOAT, float(WEIGHT_TOTAL)), total)
        each, slots = _shape(builder, left)[1:]
        kind = code.reals if code.floats else _vector(_BYTE, COLUMNS)
        start = builder.mul(builder.mul(at, each), slots)
        places = [start] if code.floats else [start, builder.add(start, slots)]
        return code.weights(count, score_at, factor, [_pointer(builder, left.data, k, kind) for k in places])

    found = types.int32(score, types.int64, types.int64, scale, types.float32, seen, exp2, parts, ahead)
    return found, generate


@intrinsic
def ask(typing: Any, array: Any, line: Any) -> Any:
    """Ask the memory for a line of the cache, counted from the beginning of an array on. In NumPy: nothing."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        [found] = _arrays(context, builder, signature, values, (0,))
        _ask(builder, _pointer(builder, found.data, _int(0), _BYTE), values[1])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


# ---- attention's queries and keys -----------------------------------------------------------------


@dataclass(frozen=True)
class _Rotation:
    """The instructions of `rotate`, sixteen numbers at a time. unsigned: the target has an offset."""

    builder: ir.IRBuilder
    unsigned: bool
    ints = _vector(_INT, COLUMNS)
    reals = _vector(_FLOAT, COLUMNS)

    def turn(self, blocks: Any, halves: Sequence[Any], cos: Any, sin: Any, turned: Sequence[Any]) -> ir.Value:
        """Write both halves turned. Returns the largest magnitude, a float."""
        builder = self.builder

        def add(block: ir.Value, most: list[ir.Value]) -> list[ir.Value]:
            a, b, c, s = (_load(builder, at, block, 4) for at in (*halves, cos, sin))
            low = builder.fadd(builder.fmul(a, c), builder.fmul(b, builder.fneg(s)))
            high = builder.fadd(builder.fmul(b, c), builder.fmul(a, s))
            for value, at in zip((low, high), turned, strict=True):
                builder.store(value, builder.gep(at, [block])).align = 4
            return [self._later(self._later(most[0], self._magnitude(low)), self._magnitude(high))]

        (most,) = _accumulate(builder, blocks, [ir.Constant(self.ints, None)], add)
        return builder.bitcast(_reduced(builder, most, self._later), _FLOAT)

    def quantise(self, blocks: Any, turned: Any, most: Any, target: Any) -> ir.Value:
        """Write integers in proportion to what was turned. Returns the sum of their squares."""
        builder, kind = self.builder, target.type.pointee
        least = ir.Constant(_FLOAT, TINY)
        most = builder.select(builder.fcmp_ordered(">", most, least), most, least)
        factor = _broadcast(builder, builder.fdiv(ir.Constant(_FLOAT, float(LARGEST)), most), COLUMNS)

        def add(block: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            scaled = builder.fmul(_load(builder, turned, block, 4), factor)
            number = builder.fptosi(_rounded(builder, scaled), self.ints)
            narrow = builder.trunc(number, kind)
            if self.unsigned:
                narrow = builder.xor(narrow, ir.Constant(kind, [OFFSET] * COLUMNS))
            builder.store(narrow, builder.gep(target, [block])).align = 1
            return [builder.add(total[0], builder.mul(number, number))]

        (total,) = _accumulate(builder, blocks, [ir.Constant(self.ints, None)], add)
        return _reduced(builder, total, builder.add)

    def _magnitude(self, value: ir.Value) -> ir.Value:
        """Return the bits of magnitudes, which have their order."""
        return self.builder.and_(self.builder.bitcast(value, self.ints), ir.Constant(self.ints, [0x7FFFFFFF] * COLUMNS))

    def _later(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed(">", x, y), x, y)


@intrinsic
def rotate(typing: Any, x: Any, cos: Any, sin: Any, turned: Any, target: Any) -> Any:
    """Turn the two halves of a vector and quantise it, and return the sum of the squares of the integers, int32.

    In NumPy, for the halves a and b of x ::

        turned[:] = np.concatenate([a * cos + b * -sin, b * cos + a * sin])
        q = np.rint(turned * (127 / max(abs(turned).max(), TINY)))
        target[:] = q + offset

    x, turned: float32 [hd]; cos, sin: float32 [hd / 2], of whole COLUMNS; target: [hd], as a kernel has it.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        arrays = _arrays(context, builder, signature, values, range(5))
        code, half = _Rotation(builder, target.dtype == types.uint8), _shape(builder, arrays[1])[0]
        blocks = builder.sdiv(half, ir.Constant(half.type, COLUMNS))
        halves, turned_halves = (
            [_pointer(builder, arrays[k].data, place, code.reals) for place in (_int(0), half)] for k in (0, 3)
        )
        angles = [_pointer(builder, arrays[k].data, _int(0), code.reals) for k in (1, 2)]
        most = code.turn(blocks, halves, angles[0], angles[1], turned_halves)
        kind = _vector(arrays[4].data.type.pointee, COLUMNS)
        place = _pointer(builder, arrays[4].data, _int(0), kind)
        return code.quantise(_times(builder, blocks, 2), turned_halves[0], most, place)

    return types.int32(x, cos, sin, turned, target), generate


# ---- bits of floats -----------------------------------------------------------------------------


@intrinsic
def larger(typing: Any, most: Any, x: Any) -> Any:
    """The larger of the bits of a float32, int32, and those of |x|."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        bits = builder.and_(builder.bitcast(values[1], _INT), ir.Constant(_INT, 0x7FFFFFFF))
        return builder.select(builder.icmp_signed(">", bits, values[0]), bits, values[0])

    return types.int32(types.int32, types.float32), generate


@intrinsic
def as_float(typing: Any, bits: Any) -> Any:
    """The float32 of these bits."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def higher(typing: Any, most: Any, x: Any) -> Any:
    """The larger of a rank, int32, and that of a float32; `of_rank` is the float again."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        rank = _flip(builder, builder.bitcast(values[1], _INT))
        return builder.select(builder.icmp_signed(">", rank, values[0]), rank, values[0])

    return types.int32(types.int32, types.float32), generate


@intrinsic
def of_rank(typing: Any, rank: Any) -> Any:
    """The float32 of this rank."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        return builder.bitcast(_flip(builder, values[0]), ir.FloatType())

    return types.float32(types.int32), generate


def _flip(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """The bits of floats in the order of the floats; its own inverse."""
    sign = builder.ashr(bits, ir.Constant(_INT, 31))
    return builder.xor(bits, builder.lshr(sign, ir.Constant(_INT, 1)))


@intrinsic
def add_square(typing: Any, total: Any, x: Any) -> Any:
    """total + x^2, int32 of int32 and int8."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        wide = builder.sext(values[1], _INT)
        return builder.add(values[0], builder.mul(wide, wide))

    return types.int32(types.int32, types.int8), generate
