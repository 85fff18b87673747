"""Instructions of attention: sums of values, queries and keys. Its weights are made in :mod:`.softmax`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from bfncodec.networks.instructions.matrices import Multiplier
from bfncodec.networks.instructions.vectors import nearest
from bfncodec.networks.kernels import COLUMNS, EIGHT, LANES, OFFSET, WIDE, weigh_bytes, weigh_words
from bfncodec.networks.stored import LARGEST, TINY
from bfncodec.runtime.arrays import Array, Ints32
from bfncodec.runtime.llvm import (
    BYTE,
    FLOAT,
    INT,
    WORD,
    accumulate,
    arrays_of,
    broadcast,
    cgutils,
    int32,
    load,
    plus,
    pointer_to,
    prefetch,
    reduce,
    shape_of,
    store_all,
    times,
    vector_of,
)

# ---- sums of values --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SumCode:
    """The instructions of sums of values, for some rows of weights and `parts` registers of columns, see `_weigh`.

    multiplier: of weights, which are words, or bytes in two lines a row, by values.
    """

    rows: int
    parts: int
    multiplier: Multiplier

    def generate(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        """Write the instructions. values: the arguments of `_weigh`."""
        multiplier, parts = self.multiplier, self.parts
        kind, group = vector_of(INT, multiplier.lanes), WORD if multiplier.words else INT
        left, matrix, result = arrays_of(context, builder, signature, values, (0, 1, 5))
        width, outer = shape_of(builder, matrix)[1], shape_of(builder, result)[1]
        rows = [plus(builder, values[3], i) for i in range(self.rows)]
        lines = self._lines(builder, left, rows)
        whole = pointer_to(builder, matrix.data, int32(0), group)

        def add(number: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = builder.add(builder.mul(number, width), values[4])
            start = pointer_to(builder, whole, place, multiplier.register)
            found = [multiplier.column_factor(builder, load(builder, start, int32(k))) for k in range(parts)]
            factors = [multiplier.row_factor(builder, load(builder, line, number)) for line in lines]
            pairs = [(factor, x) for factor in factors for x in found]
            return [multiplier.add(builder, t, w, x) for t, (w, x) in zip(totals, pairs, strict=True)]

        totals = accumulate(builder, values[2], [ir.Constant(kind, None)] * (len(lines) * parts), add)
        for i, row in enumerate(rows):
            own = totals[i * len(lines) // self.rows * parts : (i + 1) * len(lines) // self.rows * parts]
            place = builder.add(builder.mul(row, outer), values[4])
            store_all(builder, self._sums(builder, own), result.data, place)
        return context.get_dummy_value()

    def _lines(self, builder: ir.IRBuilder, left: Any, rows: Sequence[Any]) -> list[ir.Value]:
        """Return the addresses of the weights of the rows, of the high bytes of each and then the low ones."""
        each, slots = shape_of(builder, left)[1:]
        starts = [builder.mul(builder.mul(row, each), slots) for row in rows]
        if not self.multiplier.words:
            starts = [place for start in starts for place in (start, builder.add(start, slots))]
        return [pointer_to(builder, left.data, start, INT) for start in starts]

    def _sums(self, builder: ir.IRBuilder, totals: Sequence[ir.Value]) -> list[ir.Value]:
        """Return a row's sums, of which those of high and of low bytes are joined."""
        if self.multiplier.words:
            return list(totals)
        kind = totals[0].type
        eight = ir.Constant(kind, [8] * kind.count)
        high, low = totals[: self.parts], totals[self.parts :]
        return [builder.add(builder.shl(x, eight), y) for x, y in zip(high, low, strict=True)]


def _weigh(rows: int, parts: int) -> Any:
    """Return an intrinsic that adds up values with `rows` rows of weights, for `parts` registers of columns.

    In NumPy, where the registers hold `columns`: ``out[row : row + rows, columns] = weights[row : row + rows, :count] @
    values[:count, columns]``. Weights are words, or integers as two lines of bytes, their high and their low ones.
    """

    @intrinsic
    def weigh(typing: Any, weights: Any, values: Any, count: Any, row: Any, column: Any, out: Any) -> Any:
        """weights: int16 [N, 1, S] or uint8 [N, 2, S]; values: int8 [S / g, C, g], the first `count` groups, at
        least one; out: int32 [N, C].
        """
        code = _SumCode(rows, parts, Multiplier.of(weights.dtype))
        return types.void(weights, values, count, row, column, out), code.generate

    return weigh


def weigh(weights: Array, values: Array, count: int, row: int, rows: int, out: Ints32) -> None:
    """Add up all columns for `rows` rows, a literal, from `row` on, as many registers at a time as there are."""


@overload(weigh, strict=False, prefer_literal=True)
def _weigh_by_registers(weights: Any, values: Any, count: Any, row: Any, rows: Any, out: Any) -> Any:
    number, words = rows.literal_value, weights.dtype == types.int16
    lanes = EIGHT if words else LANES
    few = 2 if words else 1  # of the totals of several rows: bytes have two for each
    many = few if number > 1 and lanes < COLUMNS else WIDE
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
    if parts.dtype == types.int16:
        return lambda parts, whole, values, rows, count, out: weigh_words(parts, whole, values, rows, count, out)
    return lambda parts, whole, values, rows, count, out: weigh_bytes(parts, whole, values, rows, count, out)


# ---- memory -----------------------------------------------------------------------------------------


@intrinsic
def ask(typing: Any, array: Any, line: Any) -> Any:
    """Ask the memory for a line of the cache, counted from the beginning of an array on. In NumPy: nothing."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        [found] = arrays_of(context, builder, signature, values, (0,))
        prefetch(builder, pointer_to(builder, found.data, int32(0), BYTE), values[1])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


# ---- queries and keys ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rotation:
    """The instructions of `rotate`, sixteen numbers at a time. unsigned: the target has an offset."""

    builder: ir.IRBuilder
    unsigned: bool
    ints = vector_of(INT, COLUMNS)
    reals = vector_of(FLOAT, COLUMNS)

    def turn(self, blocks: Any, halves: Sequence[Any], cos: Any, sin: Any, turned: Sequence[Any]) -> ir.Value:
        """Write both halves turned. Returns the largest magnitude, a float."""
        builder = self.builder

        def add(block: ir.Value, most: list[ir.Value]) -> list[ir.Value]:
            a, b, c, s = (load(builder, at, block, 4) for at in (*halves, cos, sin))
            low = builder.fadd(builder.fmul(a, c), builder.fmul(b, builder.fneg(s)))
            high = builder.fadd(builder.fmul(b, c), builder.fmul(a, s))
            for value, at in zip((low, high), turned, strict=True):
                builder.store(value, builder.gep(at, [block])).align = 4
            return [self._later(self._later(most[0], self._magnitude(low)), self._magnitude(high))]

        (most,) = accumulate(builder, blocks, [ir.Constant(self.ints, None)], add)
        return builder.bitcast(reduce(builder, most, self._later), FLOAT)

    def quantise(self, blocks: Any, turned: Any, most: Any, target: Any) -> ir.Value:
        """Write integers in proportion to what was turned. Returns the sum of their squares."""
        builder, kind = self.builder, target.type.pointee
        least = ir.Constant(FLOAT, TINY)
        most = builder.select(builder.fcmp_ordered(">", most, least), most, least)
        factor = broadcast(builder, builder.fdiv(ir.Constant(FLOAT, float(LARGEST)), most), COLUMNS)

        def add(block: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            scaled = builder.fmul(load(builder, turned, block, 4), factor)
            number = nearest(builder, scaled)
            narrow = builder.trunc(number, kind)
            if self.unsigned:
                narrow = builder.xor(narrow, ir.Constant(kind, [OFFSET] * COLUMNS))
            builder.store(narrow, builder.gep(target, [block])).align = 1
            return [builder.add(total[0], builder.mul(number, number))]

        (total,) = accumulate(builder, blocks, [ir.Constant(self.ints, None)], add)
        return reduce(builder, total, builder.add)

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
        arrays = arrays_of(context, builder, signature, values, range(5))
        code, half = _Rotation(builder, target.dtype == types.uint8), shape_of(builder, arrays[1])[0]
        blocks = builder.sdiv(half, ir.Constant(half.type, COLUMNS))
        halves, turned_halves = (
            [pointer_to(builder, arrays[k].data, place, code.reals) for place in (int32(0), half)] for k in (0, 3)
        )
        angles = [pointer_to(builder, arrays[k].data, int32(0), code.reals) for k in (1, 2)]
        most = code.turn(blocks, halves, angles[0], angles[1], turned_halves)
        kind = vector_of(arrays[4].data.type.pointee, COLUMNS)
        place = pointer_to(builder, arrays[4].data, int32(0), kind)
        return code.quantise(times(builder, blocks, 2), turned_halves[0], most, place)

    return types.int32(x, cos, sin, turned, target), generate


@intrinsic
def insert(typing: Any, x: Any, steps: Any, groups: Any, place: Any) -> Any:
    """Quantise those numbers that fill registers, each of which becomes a byte of a group. In NumPy, for groups as int8
    [C, g] and ``some = len(x) // COLUMNS * COLUMNS``: ``groups[:some, place] = np.clip(np.rint(x[:some] * steps), -127,
    127)``.

    x: float32 [hd]; steps: float32; groups: integers of g bytes [C]; place: int64, below g.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        given, found = arrays_of(context, builder, signature, values, (0, 2))
        kind, reals = vector_of(found.data.type.pointee, COLUMNS), vector_of(FLOAT, COLUMNS)
        source, target = (pointer_to(builder, a.data, int32(0), k) for a, k in ((given, reals), (found, kind)))
        factor, size = broadcast(builder, values[1], COLUMNS), kind.element.width
        least, most = (ir.Constant(reals, [limit] * COLUMNS) for limit in (-float(LARGEST), float(LARGEST)))
        shift = times(builder, values[3], 8)
        shift = builder.trunc(shift, kind.element) if size < shift.type.width else shift
        shift, own = broadcast(builder, shift, COLUMNS), ir.Constant(kind, [0xFF if size > 8 else -1] * COLUMNS)
        others = builder.not_(builder.shl(own, shift))
        (count,) = shape_of(builder, given)
        with cgutils.for_range(builder, builder.sdiv(count, ir.Constant(count.type, COLUMNS))) as loop:
            value = builder.fmul(load(builder, source, loop.index, 4), factor)
            value = builder.select(builder.fcmp_ordered(">", value, least), value, least)
            value = builder.select(builder.fcmp_ordered("<", value, most), value, most)
            number = nearest(builder, value)
            number = builder.trunc(number, kind) if size < 32 else number
            number = builder.shl(builder.and_(number, own), shift)
            kept = builder.and_(load(builder, target, loop.index), others)
            builder.store(builder.or_(kept, number), builder.gep(target, [loop.index])).align = 1
        return context.get_dummy_value()

    return types.void(x, types.float32, groups, types.int64), generate
