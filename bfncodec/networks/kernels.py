"""Compiled kernels of integer products: the inner loops of the networks, in LLVM instructions compiled by Numba.

Every kernel's docstring has its equivalent in NumPy, which it equals to the bit: sums of fewer than 2^16 products of
int8 stay below 2^31, and additions of integers are exact in any order.

A matrix of int8 [K, M] is packed in *panels* of sixteen columns. Of each *group* of its rows the values of one column
lie beside each other, because processors multiply a group of narrow numbers and add the products in one instruction:

- *words*: groups of two 16-bit numbers (``pmaddwd`` and its like; LLVM finds other instructions where there is none).
  The left factor is int16.
- *bytes*: groups of four 8-bit numbers, of which one factor must be unsigned (VNNI, ``vpdpbusd``). The left factor is
  uint8, 128 more than the number it stands for, and sums start at -128 times the sum of their column.

:func:`fastest` says which one this processor has, after it has tried it on the worst case.

One *tile*, some rows of the result times the columns of some panels, is summed in registers at a time::

                          panel 0      panel 1          the four bytes (or two words) of one row of `a`
                        +--16 col--+ +--16 col--+       are broadcast to all places of a register, multiplied
      group of 4 rows   | register | | register |       with those of every panel and added to the row's
      of the matrix     +----------+ +----------+       totals; then the next group.
      row 0 of a  [4] x   totals       totals
      row 1 of a  [4] x   totals       totals
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils as untyped
from numba.core import config, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import overload
from numpy.typing import NDArray

from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints32
from bfncodec.runtime.jit import compiled, intrinsic

cgutils: Any = untyped

COLUMNS = 16  # of a panel
WORD_GROUP, BYTE_GROUP = 2, 4  # numbers that one instruction multiplies and adds
OFFSET = 128  # between a number and its unsigned form
TILE_ROWS = 6  # with the totals of a tile and its factors they fill the registers, of either kernel
_BYTE, _WORD, _INT, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
_EIGHT = 8  # 32-bit numbers in a register of 256 bits


@dataclass(frozen=True)
class ProductKernel:
    """The way in which matrices are packed and multiplied.

    Attributes
    ----------
    name
        Name for people.
    group
        Numbers that are multiplied and added by one instruction, g.
    dtype
        Dtype of the left factor of a product with a packed matrix.
    offset
        Difference between a stored left factor (and a stored key) and the number it stands for.
    query, keys
        Dtypes of these in attention; keys are stored with the offset.
    beside
        Slots whose attention values lie beside each other.
    """

    name: str
    group: int
    dtype: type[np.generic]
    offset: int
    query: type[np.generic]
    keys: type[np.generic]
    beside: int

    def pack(self, weight: NDArray[np.int8]) -> tuple[NDArray[np.int8], Ints32]:
        """Return int8 [K, M] as panels, int8 [P, K / g, COLUMNS, g] padded with zeros, and the number that the sum of
        each column starts with, int32 [P COLUMNS].
        """
        rows, columns = weight.shape
        padded = np.zeros((-(-rows // self.group) * self.group, -(-columns // COLUMNS) * COLUMNS), np.int8)
        padded[:rows, :columns] = weight
        panels = padded.reshape(len(padded) // self.group, self.group, -1, COLUMNS).transpose(2, 0, 3, 1)
        start = -self.offset * padded.sum(0, dtype=np.int32)
        return np.ascontiguousarray(panels), start.astype(np.int32)

    def buffer(self, rows: int, columns: int) -> Array:
        """Return zeros as left factors, [rows, columns rounded up to whole groups] in the kernel's dtype."""
        return np.full((rows, -(-columns // self.group) * self.group), self.offset, self.dtype)


WORDS = ProductKernel("pairs of 16-bit words", WORD_GROUP, np.int16, 0, np.int16, np.int8, 1)
BYTES = ProductKernel("fours of bytes (VNNI)", BYTE_GROUP, np.uint8, OFFSET, np.int8, np.uint8, BYTE_GROUP)


def _simd_lanes() -> int:
    """Return how many 32-bit numbers the widest register holds in which fours of bytes are multiplied, on the processor
    that Numba compiles for; 0 where there is no such instruction.
    """
    find: Any = get_host_cpu_features
    asked = getattr(config, "CPU_FEATURES", None)  # environment variable NUMBA_CPU_FEATURES
    features = set((str(find()) if asked is None else asked).split(","))
    if {"+avx512vnni", "+avx512vl", "+avx512bw"} <= features:
        return 16
    return 8 if "+avxvnni" in features else 0


SIMD_LANES = _simd_lanes()
_BYTE_LANES = SIMD_LANES or _EIGHT
# Panels of a tile of bytes. In 32 registers of sixteen numbers there is room for 24 totals; sixteen registers of eight
# numbers hold six rows of one panel, or one row of four.
_WIDE = 4


@lru_cache(maxsize=1)
def fastest() -> ProductKernel:
    """Return the fastest kernel of this processor that gives the integers it should."""
    return BYTES if SIMD_LANES and _is_right(BYTES) else WORDS


def _is_right(candidate: ProductKernel) -> bool:
    """Return whether the largest sums, of both signs, and some others are those of NumPy's integers."""
    rng = np.random.default_rng(0)
    for inner in (1040, 37):
        a, b = (rng.integers(-LARGEST, LARGEST + 1, shape).astype(np.int8) for shape in ((13, inner), (inner, 83)))
        a[0], a[1], b[:, 0], b[:, 1] = LARGEST, -LARGEST, LARGEST, -LARGEST
        panels, start = candidate.pack(b)
        left = candidate.buffer(len(a), inner)
        left[:, :inner] = a.astype(np.int16) + candidate.offset
        out = np.zeros((len(a), len(start)), np.int32)
        multiply_packed(left, panels, start, out, len(a))
        if not np.array_equal(out[:, :83], a.astype(np.int32) @ b.astype(np.int32)):
            return False
    return True


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
    half = _vector(_INT, _EIGHT)
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
        lanes = _EIGHT if words else _BYTE_LANES
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


def _band(a: Array, matrix: Array, start: Any, out: Ints32, row: int, first: int, last: int, rows: int) -> None:
    """Multiply `rows` rows, a literal, by the panels `first` … `last` - 1, as many panels at once as registers hold."""


@overload(_band, strict=False, prefer_literal=True)
def _band_of_tiles(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> Any:
    count = rows.literal_value
    many = 1 if a.dtype == types.int16 or (count > 1 and _BYTE_LANES < COLUMNS) else _WIDE
    wide, narrow = _tile(count, many), _tile(count, 1)

    def band(a: Any, matrix: Any, start: Any, out: Any, row: Any, first: Any, last: Any, rows: Any) -> None:
        panel = first
        while panel + many <= last:
            wide(a, matrix, start, out, row, panel)
            panel += many
        while panel < last:
            narrow(a, matrix, start, out, row, panel)
            panel += 1

    return band


@compiled
def multiply_packed(a: Array, panels: Array, start: Ints32, out: Ints32, rows: int) -> None:
    """Multiply the first rows of `a` by a packed matrix. In NumPy: ``out[:rows] = (a[:rows] - offset) @ weight``.

    a: [N, K] in the kernel's dtype; panels, start: see `ProductKernel.pack`; out: int32 [N, P COLUMNS].
    """
    # Words: one panel, which stays in the first cache, by all rows. Bytes: some rows by all panels.
    step = 1 if panels.shape[3] == WORD_GROUP else max(len(panels), 1)
    for first in range(0, len(panels), step):
        row = 0
        while row + TILE_ROWS <= rows:
            _band(a, panels, start, out, row, first, first + step, TILE_ROWS)
            row += TILE_ROWS
        while row + 2 <= rows:
            _band(a, panels, start, out, row, first, first + step, 2)
            row += 2
        if row < rows:
            _band(a, panels, start, out, row, first, first + step, 1)


# ---- numbers as kernels store them --------------------------------------------------------------


@intrinsic
def _as_unsigned(typing: Any, value: Any) -> Any:
    """Return uint8 that is 128 more than an integer of -128 to 127. In NumPy: ``np.uint8(value + 128)``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        narrow = values[0] if values[0].type == _BYTE else builder.trunc(values[0], _BYTE)
        return builder.xor(narrow, ir.Constant(_BYTE, OFFSET))

    return types.uint8(value), generate


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
    out[i] = _as_unsigned(np.int32(value))


def _store_signed(value: Any, out: Any, i: Any) -> None:
    out[i] = np.int8(value)


def _store_word(value: Any, out: Any, i: Any) -> None:
    out[i] = np.int16(value)


# ---- attention ----------------------------------------------------------------------------------


@compiled
def key_scores(query: Array, keys: Array, blocks: int, out: Ints32) -> None:
    """Multiply a query by the keys of the first blocks of a cache. In NumPy: ``out[0, :n] = (keys[:n] - offset) @
    query[0]``, n = blocks COLUMNS.

    query: [1, hd] int16 and keys int8, or int8 and uint8; keys: [B, hd / g, COLUMNS, g], as a matrix whose columns are
    slots; out: int32 [1, B COLUMNS].
    """
    first = np.int32(0)
    if keys.shape[3] == BYTE_GROUP:
        for i in range(query.shape[1]):
            first = np.int32(first + np.int32(query[0, i]))
        first = np.int32(-OFFSET * first)
    _band(query, keys, first, out, 0, 0, blocks, 1)


@dataclass(frozen=True)
class _SumCode:
    """The instructions of a sum of rows, for `parts` registers of columns, see `_weigh`. floats: weights are."""

    parts: int
    floats: bool

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_weigh`."""
        element, loaded, lanes = (_FLOAT, _BYTE, _EIGHT) if self.floats else (_INT, _INT, _BYTE_LANES)
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


_weigh_four, _weigh_one = _weigh(4), _weigh(1)


@compiled
def _weigh_columns(weights: Array, rows: Array, count: int, lanes: int, out: Ints32) -> None:
    """Add up all columns: four registers of `lanes` at a time, then one."""
    column, columns = 0, rows.shape[1]
    while column + 4 * lanes <= columns:
        _weigh_four(weights, rows, count, column, out)
        column += 4 * lanes
    while column < columns:
        _weigh_one(weights, rows, count, column, out)
        column += lanes


@compiled
def _weigh_bytes(weight: Floats32, rows: Array, count: int, parts: Bytes, out: Ints32) -> None:
    """Implement `weighted_sum`. 2^16, which no two bytes hold, counts as 2^16 - 1 and its row is added once more."""
    groups, high, low, whole = (count + 3) // 4, parts[0], parts[1], -1
    for s in range(count):
        w = np.int32(weight[s])
        if w > 0xFFFF:
            whole = s
        least = min(w, np.int32(0xFFFF))
        high[s] = np.uint8(least >> 8)
        low[s] = np.uint8(least & 255)
    for s in range(count, 4 * groups):
        high[s] = low[s] = 0
    _weigh_columns(parts, rows, groups, _BYTE_LANES, out)
    if whole >= 0:
        for i in range(rows.shape[1]):
            out[i] += np.int32(rows[whole // 4, i, whole % 4])


def weighted_sum(keys: Array, weight: Floats32, rows: Array, count: int, parts: Bytes, out: Ints32) -> None:
    """Add up the first rows of a cache with integer weights. In NumPy: ``out[:] = weight[:count] @ rows[:count]``.

    keys: an array of the kernel's keys, whose dtype tells the kernel; weight: float32 [S], integers of at most 2^16
    whose sums with the rows stay below 2^24; rows: int8 [S / g, C, g], g values of a column beside each other, C a
    multiple of COLUMNS; parts: room for the weights' bytes, uint8 [2, S]; out: int32 [C]. For compiled functions only.
    """


@overload(weighted_sum, strict=False)
def _sum_by_dtype(keys: Any, weight: Any, rows: Any, count: Any, parts: Any, out: Any) -> Any:
    if keys.dtype == types.int8:
        return lambda keys, weight, rows, count, parts, out: _weigh_columns(weight, rows, count, _EIGHT, out)
    return lambda keys, weight, rows, count, parts, out: _weigh_bytes(weight, rows, count, parts, out)
