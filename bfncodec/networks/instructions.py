"""Instructions for LLVM that kernels consist of, and what they choose by the types of their arguments.

This module imports Numba, so it is imported when kernels are compiled and never else, see
:mod:`bfncodec.runtime.jit`. Names without an underscore are for :mod:`bfncodec.networks.kernels` and
:mod:`bfncodec.networks.products`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils as untyped
from numba.core import types
from numba.extending import intrinsic, overload

from bfncodec.networks.kernels import COLUMNS, EIGHT, LANES, OFFSET, WIDE, weigh_bytes, weigh_columns
from bfncodec.records import dataclass
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints32

cgutils: Any = untyped

_BYTE, _WORD, _INT, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()


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


def _store_all(builder: ir.IRBuilder, values: Sequence[ir.Value], data: ir.Value, index: ir.Value) -> None:
    """Store vectors of int32 behind each other from data[index] on."""
    at = _pointer(builder, data, index, values[0].type)
    for k, value in enumerate(values):
        builder.store(value, builder.gep(at, [_int(k)])).align = 4


def _arrays(context: Any, builder: ir.IRBuilder, signature: Any, values: Any, places: Sequence[int]) -> list[Any]:
    return [context.make_array(signature.args[k])(context, builder, values[k]) for k in places]


def _shape(builder: ir.IRBuilder, array: Any) -> Any:
    return cgutils.unpack_tuple(builder, array.shape)


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
    """The instructions of a tile of some rows and some neighbouring panels, see `_tile`. scalar: all sums start with
    one number.
    """

    rows: int
    panels: int
    multiplier: _Multiplier
    scalar: bool

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_tile`."""
        multiplier, parts = self.multiplier, self.panels * self._wide
        left, right, result = _arrays(context, builder, signature, values, (0, 1, 3))
        inner, outer = (_shape(builder, array)[1] for array in (left, result))
        rows = [_plus(builder, values[4], i) for i in range(self.rows)]
        lines = [_pointer(builder, left.data, builder.mul(row, inner), _INT) for row in rows]
        bases, groups = self._bases(builder, right, values[5]), _shape(builder, right)[1]
        column = _times(builder, values[5], COLUMNS)

        def add(group: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = _times(builder, group, self._wide)
            found = [_load(builder, base, _plus(builder, place, k)) for base in bases for k in range(self._wide)]
            columns = [multiplier.column_factor(builder, loaded) for loaded in found]
            factors = [multiplier.row_factor(builder, _load(builder, line, group)) for line in lines]
            pairs = [(factor, weight) for factor in factors for weight in columns]
            return [multiplier.add(builder, t, x, y) for t, (x, y) in zip(totals, pairs, strict=True)]

        starts = self._starts(context, builder, signature, values, column)
        totals = _accumulate(builder, groups, starts * self.rows, add)
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
        size = _times(builder, _shape(builder, matrix)[1], self._wide)
        return [builder.gep(whole, [builder.mul(_plus(builder, panel, p), size)]) for p in range(self.panels)]

    def _starts(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Any, column: Any) -> list[Any]:
        """Return the registers that the totals of a row start with."""
        count, lanes = self.panels * self._wide, self.multiplier.lanes
        if self.scalar:
            return [_broadcast(builder, values[2], lanes)] * count
        (begin,) = _arrays(context, builder, signature, values, (2,))
        first = _pointer(builder, begin.data, column, _vector(_INT, lanes))
        return [_load(builder, first, _int(k), 4) for k in range(count)]


def _tile(rows: int, panels: int) -> Any:
    """Return an intrinsic that multiplies `rows` rows by `panels` neighbouring panels. In NumPy, for `columns` those of
    these panels: ``out[row : row + rows, columns] = start[columns] + a[row : row + rows] @ matrix[:, columns]``.
    """

    @intrinsic
    def tile(typing: Any, a: Any, matrix: Any, start: Any, out: Any, row: Any, panel: Any) -> Any:
        """a: [N, K]; matrix: [P, K / g, COLUMNS, g]; start: int32 [P COLUMNS] or an integer; out: int32 [N, M]."""
        scalar = isinstance(start, types.Integer)
        code = _TileCode(rows, panels, _Multiplier.of(a.dtype), scalar)
        return types.void(a, matrix, types.int32 if scalar else start, out, row, panel), code.generate

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


# ---- sums of values ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SumCode:
    """The instructions of a sum of rows, for `parts` registers of columns, see `_weigh`. floats: weights are."""

    parts: int
    floats: bool

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_weigh`."""
        element, loaded, lanes = (_FLOAT, _BYTE, EIGHT) if self.floats else (_INT, _INT, LANES)
        kind, parts = _vector(element, lanes), self.parts
        left, matrix, result = _arrays(context, builder, signature, values, (0, 1, 4))
        width, slots = _shape(builder, matrix)[1], _shape(builder, left)[-1]
        lines = [_pointer(builder, left.data, _int(0), element)]
        lines += [] if self.floats else [_pointer(builder, left.data, slots, element)]
        whole = _pointer(builder, matrix.data, _int(0), loaded)

        def add(number: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = builder.add(builder.mul(number, width), values[3])
            start = _pointer(builder, whole, place, _vector(loaded, lanes))
            found = [_load(builder, start, _int(k)) for k in range(parts)]
            found = [builder.sitofp(x, kind) for x in found] if self.floats else found
            factors = [_broadcast(builder, _load(builder, line, number), lanes) for line in lines]
            pairs = [(factor, x) for factor in factors for x in found]
            if self.floats:
                return [builder.fadd(t, builder.fmul(x, w)) for t, (w, x) in zip(totals, pairs, strict=True)]
            return [_dot_bytes(builder, t, w, x) for t, (w, x) in zip(totals, pairs, strict=True)]

        totals = _accumulate(builder, values[2], [ir.Constant(kind, None)] * (len(lines) * parts), add)
        if self.floats:
            sums = [builder.fptosi(total, _vector(_INT, lanes)) for total in totals]
        else:
            eight = ir.Constant(kind, [8] * lanes)
            sums = [builder.add(builder.shl(totals[k], eight), totals[parts + k]) for k in range(parts)]
        _store_all(builder, sums, result.data, values[3])
        return context.get_dummy_value()


def _weigh(parts: int) -> Any:
    """Return an intrinsic that adds up rows of int8 with weights, for `parts` registers of columns.

    In NumPy, where the registers hold `columns`: ``out[columns] = weights[:count] @ rows[:count, columns]``. Weights
    are floats (sums below 2^24: exact), or integers as two lines of bytes, their high and their low ones.
    """

    @intrinsic
    def weigh(typing: Any, weights: Any, rows: Any, count: Any, column: Any, out: Any) -> Any:
        """weights: float32 [S] or uint8 [2, S]; rows: int8 [S / g, C, g], the first `count` groups, at least one."""
        code = _SumCode(parts, weights.dtype == types.float32)
        return types.void(weights, rows, count, column, out), code.generate

    return weigh


weigh_four, weigh_one = _weigh(4), _weigh(1)


def weighted_sum(keys: Array, weight: Floats32, rows: Array, count: int, parts: Bytes, out: Ints32) -> None:
    """Add up the first rows of a cache with integer weights. In NumPy: ``out[:] = weight[:count] @ rows[:count]``.

    keys: an array of the kernel's keys, whose dtype tells the kernel; weight: float32 [S], integers of at most 2^16
    whose sums with the rows stay below 2^24; rows: int8 [S / g, C, g], g values of a column beside each other, C a
    multiple of COLUMNS; parts: room for the weights' bytes, uint8 [2, S]; out: int32 [C]. For compiled functions only.
    """


@overload(weighted_sum, strict=False)
def _sum_by_dtype(keys: Any, weight: Any, rows: Any, count: Any, parts: Any, out: Any) -> Any:
    if keys.dtype == types.int8:
        return lambda keys, weight, rows, count, parts, out: weigh_columns(weight, rows, count, EIGHT, out)
    return lambda keys, weight, rows, count, parts, out: weigh_bytes(weight, rows, count, parts, out)


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
