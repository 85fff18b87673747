"""Instructions of exponentials: attention's weights, and those of p_O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.coding.tables import EXP2_STEPS
from bfncodec.networks.exponentials import FRACTION
from bfncodec.networks.instructions.vectors import gather, nearest, rounded
from bfncodec.networks.kernels import COLUMNS, LANES
from bfncodec.networks.stored import WEIGHT_TOTAL
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
    times,
    vector_of,
)

AHEAD = 3  # lines of values that memory is asked for with each block and turn: so many arrive meanwhile
FOUR = 4  # blocks whose weights fill a register of bytes
_INTS, _FLOATS = vector_of(INT, COLUMNS), vector_of(FLOAT, COLUMNS)
_NONE = ir.Constant(_FLOATS, None)
_HIDDEN = ir.Constant(_FLOATS, [float("-inf")] * COLUMNS)


def _all(value: int) -> ir.Constant:
    return ir.Constant(_INTS, [value] * COLUMNS)


def _larger(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the larger floats."""
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _later(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the larger integers."""
    return builder.select(builder.icmp_signed(">", x, y), x, y)


def _line(builder: ir.IRBuilder, array: Any, kind: ir.Type, first: Any = None) -> ir.Value:
    """Return the address of an array, or of a number in it, as one of vectors."""
    return pointer_to(builder, array.data, int32(0) if first is None else first, kind)


# ---- exponentials ----------------------------------------------------------------------------------


class _Powers:
    """A table of exponentials, sixteen places of which are looked up at a time: in the table, or where registers hold
    sixteen numbers, of which two can be looked up in at once, in its octave (`exponentials.Exponentials`).
    """

    def __init__(self, builder: ir.IRBuilder, table: Any, octave: Any) -> None:
        self.builder, self.table, self.whole = builder, table.data, LANES == COLUMNS
        last = builder.trunc(plus(builder, shape_of(builder, table)[0], -1), INT)
        self.last = broadcast(builder, builder.sitofp(last, FLOAT), COLUMNS)
        if self.whole:
            parts = _line(builder, octave, _INTS)
            self.parts = [load(builder, parts, int32(k), 4) for k in range(EXP2_STEPS // COLUMNS)]
            self.half = broadcast(builder, load(builder, octave.data, int32(EXP2_STEPS), 4), COLUMNS)

    def __call__(self, place: ir.Value) -> ir.Value:
        """Return the table's integers for places, floats that are not negative and cut here."""
        builder = self.builder
        place = builder.select(builder.fcmp_ordered("<", place, self.last), place, self.last)
        index = builder.fptosi(place, _INTS)
        if not self.whole:
            return gather(builder, self.table, index)
        first, second = (self._looked_up(self.parts[k], self.parts[k + 1], index) for k in (0, 2))
        upper = builder.icmp_signed("!=", builder.and_(index, _all(EXP2_STEPS // 2)), _all(0))
        number = builder.lshr(builder.select(upper, second, first), builder.lshr(index, _all(6)))
        return builder.lshr(builder.add(number, self.half), _all(FRACTION))

    def _looked_up(self, low: ir.Value, high: ir.Value, index: ir.Value) -> ir.Value:
        """Return the numbers of two registers that the low bits of an index say."""
        name, builder = "llvm.x86.avx512.vpermi2var.d.512", self.builder
        declared = builder.module.declare_intrinsic(name, (), ir.FunctionType(_INTS, [_INTS] * 3))
        return builder.call(declared, [low, index, high])


@intrinsic
def powers(typing: Any, x: Any, n: Any, count: Any, most: Any, unit: Any, table: Any, octave: Any, out: Any) -> Any:
    """Make integers of those first logits of a row that fill registers. In NumPy, for ``some = count // COLUMNS *
    COLUMNS``: ``out[n, :some] = table[np.clip(np.rint((most - x[n, :some]) * unit), 0, len(table) - 1).astype(int)]``.

    x: float32 [N, C], at most `most`; most, unit: float32; table, octave: see `exponentials.Exponentials`; out: int32
    [N, C].
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        given, whole, part, found = arrays_of(context, builder, signature, values, (0, 5, 6, 7))
        source, target = (
            _line(builder, array, kind, builder.mul(values[1], shape_of(builder, array)[1]))
            for array, kind in ((given, _FLOATS), (found, _INTS))
        )
        look_up = _Powers(builder, whole, part)
        highest, steps = (broadcast(builder, value, COLUMNS) for value in values[3:5])
        with cgutils.for_range(builder, builder.sdiv(values[2], ir.Constant(values[2].type, COLUMNS))) as loop:
            logit = load(builder, source, loop.index, 4)
            place = rounded(builder, builder.fmul(builder.fsub(highest, logit), steps))
            builder.store(look_up(_larger(builder, place, _NONE)), builder.gep(target, [loop.index])).align = 4
        return context.get_dummy_value()

    arguments = (x, types.int64, types.int64, types.float32, types.float32, table, octave, out)
    return types.void(*arguments), generate


@intrinsic
def highest(typing: Any, x: Any, n: Any, count: Any) -> Any:
    """Return the largest of those first numbers of a row that fill registers, -inf if there are none. In NumPy: ``x[n,
    : count // COLUMNS * COLUMNS].max()``. x: float32 [N, C], none of them NaN
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        [given] = arrays_of(context, builder, signature, values, (0,))
        source = _line(builder, given, _FLOATS, builder.mul(values[1], shape_of(builder, given)[1]))
        most = cgutils.alloca_once_value(builder, _HIDDEN)
        with cgutils.for_range(builder, builder.sdiv(values[2], ir.Constant(values[2].type, COLUMNS))) as loop:
            builder.store(_larger(builder, load(builder, source, loop.index, 4), builder.load(most)), most)
        return reduce(builder, builder.load(most), lambda a, b: _larger(builder, a, b))

    return types.float32(x, types.int64, types.int64), generate


# ---- attention's weights ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Softmax:
    """The instructions of `soft_weights`, sixteen slots at a time.

    count: blocks of a row; score: address of its scores; ahead: of what is to be read next, None for nothing.
    """

    builder: ir.IRBuilder
    count: ir.Value
    score: ir.Value
    ahead: ir.Value | None

    def logits(self, scale: ir.Value, place: ir.Value, size: ir.Value, seen: ir.Value) -> ir.Value:
        """Write scores times scales over the scores, -inf where a row sees no slot. Returns the largest."""
        builder = self.builder
        # Of all 32-bit numbers, taken round, a row sees some from `first` on, but none from `size` on.
        apart = builder.icmp_signed("<", place, plus(builder, seen, -1))
        inside = plus(builder, builder.sub(place, seen), 1)
        first = builder.select(apart, builder.add(inside, size), inside)
        more = builder.select(apart, builder.not_(builder.sub(size, seen)), plus(builder, seen, -1))
        first, more, size = (broadcast(builder, x, COLUMNS) for x in (first, more, size))

        def add(block: ir.Value, most: list[ir.Value]) -> list[ir.Value]:
            self._ask(0, block)
            slot = self._slots(block)
            near = builder.icmp_unsigned("<=", builder.sub(slot, first), more)
            visible = builder.and_(near, builder.icmp_unsigned("<", slot, size))
            sums = builder.sitofp(load(builder, self.score, block, 4), _FLOATS)
            value = builder.select(visible, builder.fmul(sums, load(builder, scale, block, 4)), _HIDDEN)
            self._put(builder.bitcast(value, _INTS), block)
            return [_larger(builder, value, most[0])]

        (most,) = accumulate(builder, self.count, [_HIDDEN], add)
        return reduce(builder, most, lambda x, y: _larger(builder, x, y))

    def powers(self, most: ir.Value, unit: ir.Value, look_up: _Powers) -> ir.Value:
        """Write exponentials over the logits. Returns their sum, as a float."""
        builder = self.builder
        most, unit = (broadcast(builder, x, COLUMNS) for x in (most, unit))

        def add(block: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            self._ask(1, block)
            logit = builder.bitcast(load(builder, self.score, block, 4), _FLOATS)
            power = look_up(builder.fmul(builder.fsub(most, logit), unit))
            self._put(power, block)
            return [builder.add(total[0], power)]

        (total,) = accumulate(builder, self.count, [_all(0)], add)
        return builder.sitofp(reduce(builder, total, builder.add), FLOAT)

    def words(self, factor: ir.Value, line: ir.Value, last: ir.Value) -> ir.Value:
        """Write the weights as words, which go round at 2^15. last: the largest power. Returns the first slot and 2^16
        times the last slot that has as much, or -1.
        """
        builder, half = self.builder, ir.Constant(_INTS, [(1 << 15) - 1] * COLUMNS)

        def add(block: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            self._ask(2, block)
            number = nearest(builder, self._weight(factor, block))
            builder.store(builder.trunc(number, vector_of(WORD, COLUMNS)), self._at(line, block)).align = 2
            return []

        def ends(block: ir.Value, found: list[ir.Value]) -> list[ir.Value]:
            much = builder.icmp_signed(">", nearest(builder, self._weight(factor, block)), half)
            first, latest = found
            slots = self._slots(block)
            earlier = builder.and_(much, builder.icmp_signed("<", slots, first))
            return [builder.select(earlier, slots, first), builder.select(much, slots, latest)]

        accumulate(builder, self.count, [], add)
        found = cgutils.alloca_once_value(builder, int32(-1))
        with builder.if_then(self._is_at_least(1 << 15, factor, last), likely=False):
            first, latest = accumulate(builder, self.count, [_all((1 << 31) - 1), _all(-1)], ends)
            first = reduce(builder, first, lambda x, y: builder.select(builder.icmp_signed("<", x, y), x, y))
            latest = reduce(builder, latest, lambda x, y: _later(builder, x, y))
            builder.store(builder.or_(first, builder.shl(latest, int32(16))), found)
        return builder.load(found)

    def _is_at_least(self, limit: int, factor: ir.Value, last: ir.Value) -> ir.Value:
        """Return whether the largest weight becomes a number, an even one, or more. last: the largest power"""
        builder = self.builder
        largest = builder.fmul(builder.sitofp(last, FLOAT), builder.extract_element(factor, int32(0)))
        return builder.fcmp_ordered(">=", largest, ir.Constant(FLOAT, limit - 0.5))  # halves become even numbers

    def bytes(self, factor: ir.Value, lines: Sequence[ir.Value], last: ir.Value) -> ir.Value:
        """Write the weights as high and low bytes. last: the largest power. Returns the slot that has 2^16, or -1."""
        builder = self.builder
        if LANES == COLUMNS:
            self._packed(factor, lines)
        else:
            self._one_by_one(factor, lines)
        found = cgutils.alloca_once_value(builder, int32(-1))
        with builder.if_then(self._is_at_least(WEIGHT_TOTAL, factor, last), likely=False):
            builder.store(self._slot_of(last), found)
        return builder.load(found)

    def _one_by_one(self, factor: ir.Value, lines: Sequence[ir.Value]) -> None:
        """Write the bytes of the weights block by block."""
        builder, full = self.builder, _all(0xFFFF)

        def add(block: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            self._ask(2, block)
            number = nearest(builder, self._weight(factor, block))
            number = builder.select(builder.icmp_signed(">", number, full), full, number)
            for line, part in zip(lines, (builder.lshr(number, _all(8)), number), strict=True):
                builder.store(builder.trunc(part, vector_of(BYTE, COLUMNS)), self._at(line, block)).align = 1
            return []

        accumulate(builder, self.count, [], add)

    def _packed(self, factor: ir.Value, lines: Sequence[ir.Value]) -> None:
        """Write the bytes of the weights four blocks at a time, with zeros for those that are missing in the last."""
        builder, words = self.builder, vector_of(WORD, 2 * COLUMNS)
        end = builder.and_(plus(builder, self.count, FOUR - 1), ir.Constant(self.count.type, -FOUR))
        with cgutils.for_range_slice(builder, self.count, end, ir.Constant(end.type, 1)) as (block, _):
            self._put(_all(0), block)
        # Packing works in quarters of registers: fours of one slot's neighbours lie a quarter apart in each.
        order = ir.Constant(_INTS, [FOUR * (k % FOUR) + k // FOUR for k in range(COLUMNS)])

        def add(number: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            first = times(builder, number, FOUR)
            for k in range(FOUR):
                self._ask(2, plus(builder, first, k))
            blocks = [nearest(builder, self._weight(factor, plus(builder, first, k))) for k in range(FOUR)]
            # 2^16 becomes 2^16 - 1.
            pairs = [self._pack("packusdw", blocks[k], blocks[k + 1], words) for k in (0, 2)]
            eight, low = (ir.Constant(words, [value] * words.count) for value in (8, 0xFF))
            high = [builder.lshr(pair, eight) for pair in pairs]
            for line, (x, y) in zip(lines, (high, [builder.and_(pair, low) for pair in pairs]), strict=True):
                narrow = self._pack("packuswb", x, y, vector_of(BYTE, FOUR * COLUMNS))
                narrow = builder.bitcast(narrow, _INTS)
                narrow = builder.shuffle_vector(narrow, narrow, order)
                target = builder.bitcast(line, _INTS.as_pointer())
                builder.store(narrow, builder.gep(target, [number])).align = 1
            return []

        accumulate(builder, builder.ashr(end, ir.Constant(end.type, 2)), [], add)

    def _slot_of(self, power: ir.Value) -> ir.Value:
        """Return the last slot that has a power."""
        builder, one = self.builder, broadcast(self.builder, power, COLUMNS)

        def add(block: ir.Value, found: list[ir.Value]) -> list[ir.Value]:
            same = builder.icmp_signed("==", load(builder, self.score, block, 4), one)
            return [builder.select(same, self._slots(block), found[0])]

        (found,) = accumulate(builder, self.count, [_all(-1)], add)
        return reduce(builder, found, lambda x, y: _later(builder, x, y))

    def _pack(self, name: str, x: ir.Value, y: ir.Value, kind: ir.Type) -> ir.Value:
        """Return the numbers of two registers in one, of half as many bits each, cut at their ends."""
        shape = ir.FunctionType(kind, [x.type, y.type])
        return self.builder.call(
            self.builder.module.declare_intrinsic(f"llvm.x86.avx512.{name}.512", (), shape), [x, y]
        )

    def _weight(self, factor: ir.Value, block: ir.Value) -> ir.Value:
        """Return a block's weights before they are rounded."""
        power = self.builder.sitofp(load(self.builder, self.score, block, 4), _FLOATS)
        return self.builder.fmul(power, factor)

    def _ask(self, turn: int, block: ir.Value) -> None:
        """Ask for what is read next while a block is at work in a turn: memory has nothing else to do, and at most some
        requests at once are taken.
        """
        if self.ahead is None:
            return
        first = times(self.builder, self.builder.add(times(self.builder, self.count, turn), block), AHEAD)
        for k in range(AHEAD):
            prefetch(self.builder, self.ahead, plus(self.builder, first, k))

    def _slots(self, block: ir.Value) -> ir.Value:
        """Return the numbers of a block's slots."""
        first = times(self.builder, self.builder.trunc(block, INT), COLUMNS)
        return self.builder.add(broadcast(self.builder, first, COLUMNS), ir.Constant(_INTS, list(range(COLUMNS))))

    def _put(self, value: ir.Value, block: ir.Value) -> None:
        """Write sixteen numbers over the scores."""
        self.builder.store(value, self._at(self.score, block)).align = 4

    def _at(self, data: ir.Value, block: ir.Value) -> ir.Value:
        return self.builder.gep(data, [block])


@intrinsic
def soft_weights(
    typing: Any, score: Any, row: Any, blocks: Any, scale: Any, unit: Any, seen: Any, exp2: Any, parts: Any, ahead: Any
) -> Any:
    """Make attention's weights of the scores of a row, and return the slot that has 2^16, -1 if none has, int32; for
    words the first slot and 2^16 times the last one that has 2^15 or more. Meanwhile the memory is asked for what they
    are for.

    seen: three integers: the slot of the row's own step, the slots in use, and how many, from its own back and around,
    it attends to. In NumPy, for s = 0 ... 16 blocks - 1 and table = exp2.table::

        visible = ((place - s) % slots < many) & (s < slots)
        logit = np.where(visible, score[row] * scale, -np.inf)
        power = table[np.clip((logit.max() - logit) * unit, 0, len(table) - 1).astype(int)]
        weight = np.rint(power * (np.float32(1 << 16) / np.float32(power.sum())))

    score: int32 [N, S], overwritten; scale: float32 [S]; unit: float32; exp2: `exponentials.Exponentials`, whose last
    entry is 0; parts: the weights, see `ProductKernel.parts`, whose row becomes the weights modulo 2^16, or their high
    and low bytes, of which 2^16 has those of 2^16 - 1; ahead: the values, of which nothing is used yet, None if they
    are near. Where registers hold sixteen numbers, scores and parts have a multiple of 64 slots.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        scores, scales, left = arrays_of(context, builder, signature, values, (0, 3, 7))
        table, octave = (
            context.make_array(kind)(context, builder, builder.extract_value(values[6], k))
            for k, kind in enumerate(exp2.types)
        )
        following = None
        if not isinstance(ahead, types.NoneType):
            following = _line(builder, arrays_of(context, builder, signature, values, (8,))[0], BYTE)
        score_at = _line(builder, scores, _INTS, builder.mul(values[1], shape_of(builder, scores)[1]))
        code = _Softmax(builder, values[2], score_at, following)
        place, size, many = (builder.trunc(builder.extract_value(values[5], k), INT) for k in range(3))
        most = code.logits(_line(builder, scales, _FLOATS), place, size, many)
        total = code.powers(most, values[4], _Powers(builder, table, octave))
        factor = broadcast(builder, builder.fdiv(ir.Constant(FLOAT, float(WEIGHT_TOTAL)), total), COLUMNS)
        each, slots = shape_of(builder, left)[1:]
        start = builder.mul(builder.mul(values[1], each), slots)
        last = load(builder, table.data, int32(0), 4)
        if parts.dtype == types.int16:
            return code.words(factor, _line(builder, left, vector_of(WORD, COLUMNS), start), last)
        lines = [_line(builder, left, vector_of(BYTE, COLUMNS), at) for at in (start, builder.add(start, slots))]
        return code.bytes(factor, lines, last)

    found = types.int32(score, types.int64, types.int64, scale, types.float32, seen, exp2, parts, ahead)
    return found, generate
