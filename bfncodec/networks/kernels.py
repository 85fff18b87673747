"""Kernels: the inner loops of integer products, written in LLVM's instructions and compiled by Numba.

A matrix of int8 is packed in *panels* of sixteen columns. Of each *group* of its rows the values of a column lie beside
each other, because processors multiply a group of narrow numbers and add the products in one instruction:

- *words*: groups of two 16-bit numbers (``pmaddwd`` and its like; LLVM finds other instructions where there is none).
  What is multiplied is int16.
- *bytes*: groups of four 8-bit numbers, of which one factor must be unsigned (VNNI, ``vpdpbusd``). What is multiplied
  is uint8, 128 more than the number it stands for, and sums start at -128 times the sum of their column.

Both give the same integers: sums of fewer than 2^16 products of int8 stay below 2^31, and additions of integers are
exact in any order. :func:`fastest` says which one this processor has, after it has tried it on the worst case.
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

from bfncodec.networks.exact import LARGEST
from bfncodec.runtime.jit import compiled, intrinsic

cgutils: Any = untyped

COLUMNS = 16  # of a panel
OFFSET = 128  # of what is stored unsigned
WORD_ROWS = 6  # of a tile of words: twelve sums of eight columns, and what is multiplied, fill sixteen registers
BYTE_ROWS, BYTE_PANELS = 6, 4  # of a tile of bytes: 24 sums of sixteen columns, and what is multiplied: 32 registers
_BYTE, _WORD, _INT, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
_EIGHT = 8


@dataclass(frozen=True)
class Kernel:
    """How matrices are packed and multiplied here. group: numbers multiplied and added at once; dtype: of what is
    multiplied with a matrix; offset: how much more is stored of it; query, keys: dtypes of these in attention;
    beside: slots whose values lie beside each other there.
    """

    name: str
    group: int
    dtype: type[np.generic]
    offset: int
    query: type[np.generic]
    keys: type[np.generic]
    beside: int

    def pack(self, weight: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        """int8 [K, M] as panels, [panels, K / group, COLUMNS, group] with zeros where there is nothing, and what the
        sum of each column starts with, int32 [panels COLUMNS].
        """
        rows, columns = weight.shape
        padded = np.zeros((-(-rows // self.group) * self.group, -(-columns // COLUMNS) * COLUMNS), np.int8)
        padded[:rows, :columns] = weight
        panels = padded.reshape(len(padded) // self.group, self.group, -1, COLUMNS).transpose(2, 0, 3, 1)
        start = -self.offset * padded.sum(0, dtype=np.int32)
        return np.ascontiguousarray(panels), start.astype(np.int32)

    def room(self, rows: int, columns: int) -> NDArray[Any]:
        """Room for numbers to be multiplied, [rows, columns] and what a group lacks, all of them zero."""
        return np.full((rows, -(-columns // self.group) * self.group), self.offset, self.dtype)


WORDS = Kernel("pairs of 16-bit words", 2, np.int16, 0, np.int16, np.int8, 1)
BYTES = Kernel("fours of bytes (VNNI)", 4, np.uint8, OFFSET, np.int8, np.uint8, 4)


def _lanes() -> int:
    """32-bit numbers in the widest register in which fours of bytes are multiplied by what Numba compiles for; 0 for
    none.
    """
    find: Any = get_host_cpu_features
    asked = getattr(config, "CPU_FEATURES", None)  # the variable NUMBA_CPU_FEATURES
    features = set((str(find()) if asked is None else asked).split(","))
    if {"+avx512vnni", "+avx512vl", "+avx512bw"} <= features:
        return 16
    return 8 if "+avxvnni" in features else 0


LANES = _lanes()


@lru_cache(maxsize=1)
def fastest() -> Kernel:
    """The fastest kernel of this processor that gives the integers it should."""
    return BYTES if LANES and _is_right(BYTES) else WORDS


def _is_right(candidate: Kernel) -> bool:
    """Tries the largest sums, of both signs, and some others, against NumPy's integers."""
    rng = np.random.default_rng(0)
    for inner in (1040, 37):
        a, b = (rng.integers(-LARGEST, LARGEST + 1, shape).astype(np.int8) for shape in ((13, inner), (inner, 83)))
        a[0], a[1], b[:, 0], b[:, 1] = LARGEST, -LARGEST, LARGEST, -LARGEST
        panels, start = candidate.pack(b)
        left = candidate.room(len(a), inner)
        left[:, :inner] = a.astype(np.int16) + candidate.offset
        out = np.zeros((len(a), len(start)), np.int32)
        multiply_packed(left, panels, start, out, len(a))
        if not np.array_equal(out[:, :83], a.astype(np.int32) @ b.astype(np.int32)):
            return False
    return True


# ---- writing instructions -----------------------------------------------------------------------


def _vector(kind: Any, count: int) -> Any:
    return ir.VectorType(kind, count)


def _int(value: int) -> Any:
    return ir.Constant(_INT, value)


def _everywhere(builder: Any, value: Any, count: int) -> Any:
    """A value in every place of a vector."""
    kind = _vector(value.type, count)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _int(0))
    return builder.shuffle_vector(first, first, ir.Constant(_vector(_INT, count), [0] * count))


def _load(builder: Any, data: Any, index: Any, align: int = 1) -> Any:
    value = builder.load(builder.gep(data, [index]))
    value.align = align
    return value


def _arrays(context: Any, builder: Any, signature: Any, values: Any, places: Sequence[int]) -> list[Any]:
    return [context.make_array(signature.args[k])(context, builder, values[k]) for k in places]


def _dot(builder: Any, total: Any, unsigned: Any, signed: Any, lanes: int) -> Any:
    """total + sums of four products of bytes, in every place of a vector of 32-bit numbers."""
    kind = _vector(_INT, lanes)
    name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
    return builder.call(
        builder.module.declare_intrinsic(name, (), ir.FunctionType(kind, [kind] * 3)), [total, unsigned, signed]
    )


def _accumulate(
    builder: Any, count: Any, first: Sequence[Any], add: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """Totals after `count` rounds, at least one, of ``add(round, totals)``. They stay in registers: a loop with phi
    nodes rather than variables.
    """
    entry = builder.block
    body, end = builder.append_basic_block("round"), builder.append_basic_block("after")
    builder.branch(body)
    builder.position_at_end(body)
    number = builder.phi(count.type)
    totals = [builder.phi(value.type) for value in first]
    new = add(number, list(totals))
    following = builder.add(number, ir.Constant(count.type, 1))
    last = builder.block
    begin = [ir.Constant(count.type, 0), *first]
    for phi, before, after in zip([number, *totals], begin, [following, *new], strict=True):
        phi.add_incoming(before, entry)
        phi.add_incoming(after, last)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)
    builder.position_at_end(end)
    return new


# ---- products with a packed matrix --------------------------------------------------------------


def _word_tile(rows: int) -> Any:
    """An intrinsic: `rows` rows of one panel of a product of words."""

    @intrinsic
    def tile(typing: Any, a: Any, panel: Any, start: Any, out: Any, row: Any, column: Any) -> Any:
        """a: int16 [N, K]; panel: int8 [K / 2, COLUMNS, 2]; start: int32 [M]; out: int32 [N, M], from (row, column)."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            left, right, begin, result = _arrays(context, builder, signature, values, range(4))
            inner, outer = (cgutils.unpack_tuple(builder, array.shape)[1] for array in (left, result))
            groups = cgutils.unpack_tuple(builder, right.shape)[0]
            sums = _vector(_INT, _EIGHT)
            numbers = [builder.add(values[4], ir.Constant(values[4].type, i)) for i in range(rows)]
            lines = [
                builder.bitcast(builder.gep(left.data, [builder.mul(i, inner)]), _INT.as_pointer()) for i in numbers
            ]
            matrix = builder.bitcast(right.data, _vector(_BYTE, COLUMNS).as_pointer())
            first = builder.bitcast(builder.gep(begin.data, [values[5]]), sums.as_pointer())
            halves = [_load(builder, first, _int(k), 4) for k in range(2)]

            def add(number: Any, totals: list[Any]) -> list[Any]:
                place = builder.mul(number, ir.Constant(number.type, 2))
                bytes_ = [_load(builder, matrix, builder.add(place, ir.Constant(place.type, k))) for k in range(2)]
                words = [builder.sext(half, _vector(_WORD, COLUMNS)) for half in bytes_]
                pairs = [_everywhere(builder, _load(builder, line, number, 2), _EIGHT) for line in lines]
                pairs = [builder.bitcast(pair, _vector(_WORD, COLUMNS)) for pair in pairs]
                products = [_products_of_words(builder, pair, word) for pair in pairs for word in words]
                return [builder.add(total, product) for total, product in zip(totals, products, strict=True)]

            totals = _accumulate(builder, groups, halves * rows, add)
            for i, number in enumerate(numbers):
                at = builder.gep(result.data, [builder.add(builder.mul(number, outer), values[5])])
                at = builder.bitcast(at, sums.as_pointer())
                for k in range(2):
                    builder.store(totals[2 * i + k], builder.gep(at, [_int(k)])).align = 4
            return context.get_dummy_value()

        return types.void(a, panel, start, out, row, column), generate

    return tile


def _products_of_words(builder: Any, x: Any, y: Any) -> Any:
    """Products of words, added in pairs: what compilers know as one instruction where there is one."""
    wide = _vector(_INT, COLUMNS)
    product = builder.mul(builder.sext(x, wide), builder.sext(y, wide))
    kind = _vector(_INT, _EIGHT)
    even, odd = (
        builder.shuffle_vector(product, product, ir.Constant(kind, list(range(k, COLUMNS, 2)))) for k in range(2)
    )
    return builder.add(even, odd)


def _byte_tile(rows: int, panels: int) -> Any:
    """An intrinsic: `rows` rows of some neighbouring panels of a product of bytes."""
    lanes = LANES or _EIGHT
    parts = panels * COLUMNS // lanes  # registers that hold one row of the tile

    @intrinsic
    def tile(typing: Any, a: Any, matrix: Any, start: Any, out: Any, row: Any, panel: Any) -> Any:
        """a: uint8 [N, K]; matrix: int8 [panels, K / 4, COLUMNS, 4]; start: int32 [M]; out: int32 [N, M]."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            left, right, begin, result = _arrays(context, builder, signature, values, range(4))
            inner, outer = (cgutils.unpack_tuple(builder, array.shape)[1] for array in (left, result))
            groups = cgutils.unpack_tuple(builder, right.shape)[1]
            sums = _vector(_INT, lanes)
            numbers = [builder.add(values[4], ir.Constant(values[4].type, i)) for i in range(rows)]
            lines = [
                builder.bitcast(builder.gep(left.data, [builder.mul(i, inner)]), _INT.as_pointer()) for i in numbers
            ]
            whole = builder.bitcast(right.data, sums.as_pointer())
            wide = COLUMNS // lanes  # registers of one panel's group
            size = builder.mul(groups, ir.Constant(groups.type, wide))
            bases = [
                builder.gep(whole, [builder.mul(builder.add(values[5], ir.Constant(values[5].type, p)), size)])
                for p in range(panels)
            ]
            column = builder.mul(values[5], ir.Constant(values[5].type, COLUMNS))
            first = builder.bitcast(builder.gep(begin.data, [column]), sums.as_pointer())
            starts = [_load(builder, first, _int(k), 4) for k in range(parts)]

            def add(number: Any, totals: list[Any]) -> list[Any]:
                place = builder.mul(number, ir.Constant(number.type, wide))
                weights = [
                    _load(builder, base, builder.add(place, ir.Constant(place.type, k)))
                    for base in bases
                    for k in range(wide)
                ]
                new = []
                for i, line in enumerate(lines):
                    four = _everywhere(builder, _load(builder, line, number), lanes)
                    own = totals[i * parts : (i + 1) * parts]
                    new += [_dot(builder, total, four, w, lanes) for total, w in zip(own, weights, strict=True)]
                return new

            totals = _accumulate(builder, groups, starts * rows, add)
            for i, number in enumerate(numbers):
                at = builder.gep(result.data, [builder.add(builder.mul(number, outer), column)])
                at = builder.bitcast(at, sums.as_pointer())
                for k in range(parts):
                    builder.store(totals[i * parts + k], builder.gep(at, [_int(k)])).align = 4
            return context.get_dummy_value()

        return types.void(a, matrix, start, out, row, panel), generate

    return tile


_six_words, _two_words, _one_word = _word_tile(WORD_ROWS), _word_tile(2), _word_tile(1)
_many = BYTE_PANELS if LANES == COLUMNS else 1  # sixteen registers of eight numbers hold no more
_six_bytes, _two_bytes, _one_byte = (_byte_tile(rows, _many) for rows in (BYTE_ROWS, 2, 1))
_six_last, _two_last, _one_last = (_byte_tile(rows, 1) for rows in (BYTE_ROWS, 2, 1))


@compiled
def _multiply_words(a: Any, panels: Any, start: Any, out: Any, rows: Any) -> None:
    for panel in range(len(panels)):
        right, column = panels[panel], panel * COLUMNS
        row = 0
        while row + WORD_ROWS <= rows:
            _six_words(a, right, start, out, row, column)
            row += WORD_ROWS
        while row + 2 <= rows:
            _two_words(a, right, start, out, row, column)
            row += 2
        if row < rows:
            _one_word(a, right, start, out, row, column)


@compiled
def _multiply_bytes(a: Any, panels: Any, start: Any, out: Any, rows: Any) -> None:
    row = 0
    while row < rows:
        if row + BYTE_ROWS <= rows:
            _tiles_of_six(a, panels, start, out, row)
            row += BYTE_ROWS
        elif row + 2 <= rows:
            _tiles_of_two(a, panels, start, out, row)
            row += 2
        else:
            _tiles_of_one(a, panels, start, out, row)
            row += 1


@compiled
def _tiles_of_six(a: Any, panels: Any, start: Any, out: Any, row: Any) -> None:
    panel = 0
    while panel + _many <= len(panels):
        _six_bytes(a, panels, start, out, row, panel)
        panel += _many
    for last in range(panel, len(panels)):
        _six_last(a, panels, start, out, row, last)


@compiled
def _tiles_of_two(a: Any, panels: Any, start: Any, out: Any, row: Any) -> None:
    panel = 0
    while panel + _many <= len(panels):
        _two_bytes(a, panels, start, out, row, panel)
        panel += _many
    for last in range(panel, len(panels)):
        _two_last(a, panels, start, out, row, last)


@compiled
def _tiles_of_one(a: Any, panels: Any, start: Any, out: Any, row: Any) -> None:
    panel = 0
    while panel + _many <= len(panels):
        _one_byte(a, panels, start, out, row, panel)
        panel += _many
    for last in range(panel, len(panels)):
        _one_last(a, panels, start, out, row, last)


def packed_product(a: Any, panels: Any, start: Any, out: Any, rows: Any) -> None:
    """a: [N, K] in the kernel's dtype; panels, start: see `Kernel.pack`; the first rows of the product go to out, int32
    [N, panels COLUMNS]. In NumPy: out[:rows] = (a[:rows] - offset) @ weight. For compiled functions only.
    """


@overload(packed_product, strict=False)
def _product_by_dtype(a: Any, panels: Any, start: Any, out: Any, rows: Any) -> Any:
    if a.dtype == types.int16:
        return lambda a, panels, start, out, rows: _multiply_words(a, panels, start, out, rows)
    return lambda a, panels, start, out, rows: _multiply_bytes(a, panels, start, out, rows)


@compiled
def multiply_packed(a: Any, panels: Any, start: Any, out: Any, rows: Any) -> None:
    """Implements `packed_product`; for Python, too."""
    packed_product(a, panels, start, out, rows)


# ---- numbers as kernels store them --------------------------------------------------------------


@intrinsic
def _as_unsigned(typing: Any, value: Any) -> Any:
    """uint8 that is 128 more than an integer of -128 to 127."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        narrow = values[0] if values[0].type == _BYTE else builder.trunc(values[0], _BYTE)
        return builder.xor(narrow, ir.Constant(_BYTE, OFFSET))

    return types.uint8(value), generate


@intrinsic
def signed(typing: Any, stored: Any) -> Any:
    """int8: the number that a kernel's dtype stands for."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if stored == types.uint8:
            return builder.xor(values[0], ir.Constant(_BYTE, OFFSET))
        return values[0] if values[0].type == _BYTE else builder.trunc(values[0], _BYTE)

    return types.int8(stored), generate


def store(value: Any, out: Any, i: Any) -> None:
    """Put an integer of -127 to 127 at out[i] as its dtype has it. For compiled functions only."""


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

KEY_BLOCKS = 4  # of COLUMNS keys that are multiplied side by side


def _byte_scores(blocks: int) -> Any:
    """An intrinsic: products of a query with some blocks of keys."""
    lanes = LANES or _EIGHT
    wide = COLUMNS // lanes

    @intrinsic
    def scores(typing: Any, query: Any, keys: Any, start: Any, block: Any, out: Any) -> Any:
        """query: int8 [K]; keys: uint8 [blocks, K / 4, COLUMNS, 4]; start: int32; out: int32 [blocks COLUMNS]."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            left, right, result = _arrays(context, builder, signature, values, (0, 1, 4))
            groups = cgutils.unpack_tuple(builder, right.shape)[1]
            sums = _vector(_INT, lanes)
            line = builder.bitcast(left.data, _INT.as_pointer())
            whole = builder.bitcast(right.data, sums.as_pointer())
            size = builder.mul(groups, ir.Constant(groups.type, wide))
            places = [builder.add(values[3], ir.Constant(values[3].type, b)) for b in range(blocks)]
            bases = [builder.gep(whole, [builder.mul(place, size)]) for place in places]
            first = _everywhere(builder, values[2], lanes)

            def add(number: Any, totals: list[Any]) -> list[Any]:
                four = _everywhere(builder, _load(builder, line, number), lanes)
                at = builder.mul(number, ir.Constant(number.type, wide))
                keys = [_load(builder, b, builder.add(at, ir.Constant(at.type, k))) for b in bases for k in range(wide)]
                return [_dot(builder, total, key, four, lanes) for total, key in zip(totals, keys, strict=True)]

            totals = _accumulate(builder, groups, [first] * (blocks * wide), add)
            at = builder.gep(result.data, [builder.mul(values[3], ir.Constant(values[3].type, COLUMNS))])
            at = builder.bitcast(at, sums.as_pointer())
            for k, total in enumerate(totals):
                builder.store(total, builder.gep(at, [_int(k)])).align = 4
            return context.get_dummy_value()

        return types.void(query, keys, types.int32, block, out), generate

    return scores


def _byte_weigh(parts: int) -> Any:
    """An intrinsic: a sum of rows of bytes with weights of two bytes, for `parts` registers of columns."""
    lanes = LANES or _EIGHT

    @intrinsic
    def weigh(typing: Any, high: Any, low: Any, rows: Any, groups: Any, column: Any, out: Any) -> Any:
        """high, low: uint8 [S]; rows: int8 [S / 4, C, 4], the first `groups`; out: int32 [C], from this column."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            upper, lower, matrix, result = _arrays(context, builder, signature, values, (0, 1, 2, 5))
            width = cgutils.unpack_tuple(builder, matrix.shape)[1]
            sums = _vector(_INT, lanes)
            lines = [builder.bitcast(part.data, _INT.as_pointer()) for part in (upper, lower)]
            four = builder.bitcast(matrix.data, _INT.as_pointer())

            def add(number: Any, totals: list[Any]) -> list[Any]:
                start = builder.gep(four, [builder.add(builder.mul(number, width), values[4])])
                start = builder.bitcast(start, sums.as_pointer())
                found = [_load(builder, start, _int(k)) for k in range(parts)]
                new = []
                for part, line in enumerate(lines):
                    weights = _everywhere(builder, _load(builder, line, number), lanes)
                    own = totals[part * parts : (part + 1) * parts]
                    new += [_dot(builder, total, weights, x, lanes) for total, x in zip(own, found, strict=True)]
                return new

            totals = _accumulate(builder, values[3], [ir.Constant(sums, None)] * (2 * parts), add)
            at = builder.bitcast(builder.gep(result.data, [values[4]]), sums.as_pointer())
            for k in range(parts):
                wide = builder.shl(totals[k], ir.Constant(sums, [8] * lanes))
                builder.store(builder.add(wide, totals[parts + k]), builder.gep(at, [_int(k)])).align = 4
            return context.get_dummy_value()

        return types.void(high, low, rows, groups, column, out), generate

    return weigh


def _float_weigh(parts: int) -> Any:
    """An intrinsic: a sum of rows of bytes with weights, for some eights of columns."""

    @intrinsic
    def weigh(typing: Any, weight: Any, rows: Any, count: Any, column: Any, out: Any) -> Any:
        """weight: float32 [S]; rows: int8 [S, C, 1], the first `count`, one at least; out: int32 [C]."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            weights, matrix, result = _arrays(context, builder, signature, values, (0, 1, 4))
            width = cgutils.unpack_tuple(builder, matrix.shape)[1]
            kind, few = _vector(_FLOAT, _EIGHT), _vector(_BYTE, _EIGHT)

            def add(number: Any, totals: list[Any]) -> list[Any]:
                factor = _everywhere(builder, _load(builder, weights.data, number, 4), _EIGHT)
                start = builder.gep(matrix.data, [builder.add(builder.mul(number, width), values[3])])
                start = builder.bitcast(start, few.as_pointer())
                found = [builder.sitofp(_load(builder, start, _int(k)), kind) for k in range(parts)]
                return [builder.fadd(total, builder.fmul(x, factor)) for total, x in zip(totals, found, strict=True)]

            totals = _accumulate(builder, values[2], [ir.Constant(kind, None)] * parts, add)
            sums = _vector(_INT, _EIGHT)
            at = builder.bitcast(builder.gep(result.data, [values[3]]), sums.as_pointer())
            for k, total in enumerate(totals):
                builder.store(builder.fptosi(total, sums), builder.gep(at, [_int(k)])).align = 4
            return context.get_dummy_value()

        return types.void(weight, rows, count, column, out), generate

    return weigh


_some_scores, _last_scores = _byte_scores(KEY_BLOCKS), _byte_scores(1)
_weigh_row, _weigh_part = _byte_weigh(4), _byte_weigh(1)
_float_row, _float_part = _float_weigh(4), _float_weigh(1)
_PART = LANES or _EIGHT


@compiled
def _scores_of_words(query: Any, keys: Any, blocks: Any, start: Any, out: Any) -> None:
    for b in range(blocks):
        _one_word(query, keys[b], start, out, 0, b * COLUMNS)


@compiled
def _scores_of_bytes(query: Any, keys: Any, blocks: Any, start: Any, out: Any) -> None:
    first, block = np.int32(0), 0
    for i in range(query.shape[1]):
        first = np.int32(first + np.int32(query[0, i]))
    first = np.int32(-OFFSET * first)
    while block + KEY_BLOCKS <= blocks:
        _some_scores(query[0], keys, first, block, out[0])
        block += KEY_BLOCKS
    while block < blocks:
        _last_scores(query[0], keys, first, block, out[0])
        block += 1


def key_scores(query: Any, keys: Any, blocks: Any, start: Any, out: Any) -> None:
    """Products of a query [1, hd] with the keys of the first blocks of a ring, [blocks, hd / group, COLUMNS, group]: to
    out, int32 [1, blocks COLUMNS]. query int16 and keys int8, or query int8 and keys uint8, 128 more than they stand
    for. start: int32 [blocks COLUMNS] of zeros. For compiled functions only.
    """


@overload(key_scores, strict=False)
def _scores_by_dtype(query: Any, keys: Any, blocks: Any, start: Any, out: Any) -> Any:
    if query.dtype == types.int16:
        return lambda query, keys, blocks, start, out: _scores_of_words(query, keys, blocks, start, out)
    return lambda query, keys, blocks, start, out: _scores_of_bytes(query, keys, blocks, start, out)


@compiled
def _weigh_floats(weight: Any, rows: Any, count: Any, parts: Any, out: Any) -> None:
    """Implements `weighted_sum`."""
    column, columns = 0, rows.shape[1]
    while column + 4 * _EIGHT <= columns:
        _float_row(weight, rows, count, column, out)
        column += 4 * _EIGHT
    while column < columns:
        _float_part(weight, rows, count, column, out)
        column += _EIGHT


@compiled
def _weigh_bytes(weight: Any, rows: Any, count: Any, parts: Any, out: Any) -> None:
    """Implements `weighted_sum`. 2^16, which no two bytes hold, counts as 2^16 - 1 and its row is added once more."""
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
    column, columns = 0, rows.shape[1]
    while column + 4 * _PART <= columns:
        _weigh_row(high, low, rows, groups, column, out)
        column += 4 * _PART
    while column < columns:
        _weigh_part(high, low, rows, groups, column, out)
        column += _PART
    if whole >= 0:
        for i in range(columns):
            out[i] += np.int32(rows[whole // 4, i, whole % 4])


def weighted_sum(keys: Any, weight: Any, rows: Any, count: Any, parts: Any, out: Any) -> None:
    """The sum of the first rows of a ring, int8 [S / group, C, group], with integer weights, float32 [S], that are at
    most 2^16 and whose sums with the rows stay below 2^24: to out, int32 [C]. C is a multiple of COLUMNS; parts: room
    for the weights' bytes, uint8 [2, S]; the dtype of the keys tells the kernel. For compiled functions only.
    """


@overload(weighted_sum, strict=False)
def _sum_by_dtype(keys: Any, weight: Any, rows: Any, count: Any, parts: Any, out: Any) -> Any:
    if keys.dtype == types.int8:
        return lambda keys, weight, rows, count, parts, out: _weigh_floats(weight, rows, count, parts, out)
    return lambda keys, weight, rows, count, parts, out: _weigh_bytes(weight, rows, count, parts, out)
