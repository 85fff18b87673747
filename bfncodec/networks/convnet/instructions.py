"""Instructions of networks of pictures: what they are told of a pixel's neighbours, the edges of a pixel's nibbles, and
nibbles read from sixteen range codes side by side.

This module imports Numba, so it is imported when kernels are compiled and never else, see :mod:`bfncodec.runtime.jit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.coding.cdf import NIBBLE, SUM_BITS
from bfncodec.coding.rangecoder import PRECISION
from bfncodec.coding.rangecoder import total as total_of
from bfncodec.networks.convnet.config import INPUT_TAPS
from bfncodec.networks.convnet.mixture import MEAN_STEPS
from bfncodec.networks.instructions.vectors import bounded_to, floored, gather
from bfncodec.networks.kernels import COLUMNS, OFFSET
from bfncodec.networks.stored import LARGEST
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
    shape_of,
    times,
    vector_of,
)

TAPS = len(INPUT_TAPS)
WIDE = ir.IntType(64)
EDGE = 4  # bytes of a pixel in a 32-bit word
NIBBLE_BITS = 4


# ---- what a network is told ------------------------------------------------------------------------


@intrinsic
def neighbours(typing: Any, words: Any, cell: Any, distances: Any, out: Any, row: Any) -> Any:
    """Store the values of a pixel's neighbours. In NumPy: ``out[row, :T] = words[(cell + distances) % len(words)]``.

    words: int32 [cells]; cell: fewer than one round away from all of them with any distance; distances: int64 [T], of
    TAPS; out: int32 [N, W].
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        given, apart, found = arrays_of(context, builder, signature, values, (0, 2, 3))
        count = broadcast(builder, builder.trunc(shape_of(builder, given)[0], INT), COLUMNS)
        own = broadcast(builder, builder.trunc(values[1], INT), COLUMNS)
        line = builder.mul(values[4], shape_of(builder, found)[1])
        for first in sorted({*range(0, TAPS - COLUMNS, COLUMNS), TAPS - COLUMNS}):  # the last sixteen overlap others
            begin = ir.Constant(values[1].type, first)
            wide = load(builder, pointer_to(builder, apart.data, begin, vector_of(WIDE, COLUMNS)), int32(0), 8)
            place = builder.add(own, builder.trunc(wide, own.type))
            around = builder.select(builder.icmp_signed("<", place, _none(place)), count, _none(place))
            place = builder.add(place, around)
            around = builder.select(builder.icmp_signed(">=", place, count), count, _none(place))
            value = gather(builder, given.data, builder.sub(place, around))
            target = pointer_to(builder, found.data, builder.add(line, begin), value.type)
            builder.store(value, target).align = 4
        return context.get_dummy_value()

    return types.void(words, types.int64, distances, out, types.int64), generate


def _none(value: ir.Value) -> ir.Constant:
    return ir.Constant(value.type, None)


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
        near, target, simple = arrays_of(context, builder, signature, values, (0, 7, 8))
        row, four, numbers = values[1], vector_of(INT, EDGE), vector_of(INT, COLUMNS)
        width = shape_of(builder, near)[1]
        own = builder.mul(row, width)

        def word(tap: ir.Value) -> ir.Value:
            at = pointer_to(builder, near.data, builder.add(own, tap), vector_of(BYTE, EDGE))
            return builder.zext(load(builder, at, int32(0)), four)

        def bounded(x: ir.Value, least: int, most: int) -> ir.Value:
            low, high = (ir.Constant(x.type, [end] * x.type.count) for end in (least, most))
            x = builder.select(builder.icmp_signed(">", x, low), x, low)
            return builder.select(builder.icmp_signed("<", x, high), x, high)

        def put(x: ir.Value, at: ir.Value) -> None:
            kind = vector_of(target.data.type.pointee, x.type.count)
            narrow = builder.trunc(x, kind)
            if signature.args[7].dtype == types.uint8:
                narrow = builder.xor(narrow, ir.Constant(kind, [OFFSET] * kind.count))
            builder.store(narrow, pointer_to(builder, target.data, builder.add(first, at), kind)).align = 1

        first = builder.mul(row, shape_of(builder, target)[1])
        west_word, north_word, east_word, corner_word = map(word, values[2:6])
        both = builder.add(west_word, north_word)
        sums = builder.add(builder.add(both, both), builder.sub(east_word, corner_word))
        two = ir.Constant(four, [2] * EDGE)
        base = bounded(builder.ashr(builder.add(sums, two), two), 0, 255)
        wide = builder.shuffle_vector(base, base, ir.Constant(numbers, [k % EDGE for k in range(COLUMNS)]))
        blocks = builder.sdiv(width, ir.Constant(width.type, COLUMNS // EDGE))
        rows_at = pointer_to(builder, near.data, own, vector_of(BYTE, COLUMNS))
        with cgutils.for_range(builder, blocks) as loop:
            x = builder.zext(load(builder, rows_at, loop.index), numbers)
            put(bounded(builder.sub(x, wide), -LARGEST, LARGEST), times(builder, loop.index, COLUMNS))
        put(builder.sub(base, ir.Constant(four, [OFFSET] * EDGE)), times(builder, values[6], EDGE))
        place = pointer_to(builder, simple.data, times(builder, row, EDGE), vector_of(WORD, EDGE))
        builder.store(builder.trunc(base, vector_of(WORD, EDGE)), place).align = 2
        return context.get_dummy_value()

    many = (types.int64,) * 5
    return types.void(words, types.int64, *many, out, bases), generate


# ---- distributions ---------------------------------------------------------------------------------


@intrinsic
def take(typing: Any, table: Any, index: Any, found: Any, count: Any) -> Any:
    """Take entries of a table from the places that whole numbers say, or from its nearer end. In NumPy:
    ``found[:count] = table[np.clip(index[:count], 0, len(table) - 1).astype(int)]``.

    table: int32 or float32; index: float32 [N]; found: [N], as the table, N as large as the next multiple of COLUMNS
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        entries, places, target = arrays_of(context, builder, signature, values, range(3))
        kind, size = vector_of(target.data.type.pointee, COLUMNS), shape_of(builder, entries)[0]
        blocks = builder.sdiv(plus(builder, values[3], COLUMNS - 1), ir.Constant(values[3].type, COLUMNS))
        place_at = pointer_to(builder, places.data, int32(0), vector_of(FLOAT, COLUMNS))
        target_at = pointer_to(builder, target.data, int32(0), kind)
        data = builder.bitcast(entries.data, INT.as_pointer())
        with cgutils.for_range(builder, blocks) as loop:
            place = bounded_to(builder, load(builder, place_at, loop.index, 4), size)
            value = builder.bitcast(gather(builder, data, place), kind)
            builder.store(value, builder.gep(target_at, [loop.index])).align = 4
        return context.get_dummy_value()

    return types.void(table, index, found, types.int64), generate


# ---- nibbles of sixteen codes ----------------------------------------------------------------------


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
    ints = vector_of(INT, COLUMNS)
    reals = vector_of(FLOAT, COLUMNS)
    wide = vector_of(ir.IntType(64), COLUMNS)
    doubles = vector_of(ir.DoubleType(), COLUMNS)

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
        middle = broadcast(builder, builder.sitofp(half, FLOAT), COLUMNS)

        def add(m: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            at = builder.mul(m, self.lanes)
            weight, mean, inverse = (self._vector_at(data, at) for data in (self.weight, self.mean, self.inverse))
            index = floored(builder, builder.fmul(builder.fsub(edge, mean), inverse))
            place = bounded_to(builder, builder.fadd(index, middle), self.entries)
            return [builder.add(total[0], builder.mul(gather(builder, self.logistic, place), weight))]

        (found,) = accumulate(builder, self.components, [self.all(self.ints, 0)], add)
        return found

    def _vector_at(self, data: ir.Value, at: ir.Value) -> ir.Value:
        kind = vector_of(data.type.pointee, COLUMNS)
        return load(self.builder, pointer_to(self.builder, data, at, kind), int32(0), 4)

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

    def edges_of(self, high: ir.Value, low: ir.Value) -> tuple[ir.Value, ...]:
        """Return the edges of the intervals of nibbles: the lower and the upper ones of high nibbles, then of low ones,
        as `cdf.nibble_intervals`.
        """
        builder, one, last = self.builder, self.all(self.ints, 1), self.all(self.ints, NIBBLE - 1)
        is_first, is_last = (builder.icmp_signed("==", high, end) for end in (self.all(self.ints, 0), last))
        begin = builder.mul(high, self.all(self.ints, NIBBLE))
        none = builder.select(is_first, self.all(self.ints, 0), self.below(begin))
        behind = self.below(builder.add(begin, self.all(self.ints, NIBBLE)))
        behind = builder.select(is_last, self.all(self.ints, 1 << SUM_BITS), behind)
        scaled, value = self.fine(none, builder.sub(behind, none)), builder.add(begin, low)
        lower = self.below(value)
        lower = builder.select(builder.icmp_signed("==", value, self.all(self.ints, 0)), none, lower)
        upper = scaled(self.below(builder.add(value, one)), builder.add(low, one))
        upper = builder.select(builder.icmp_signed("==", low, last), self.all(self.ints, total_of(NIBBLE)), upper)
        return self.coarse(none), self.coarse(behind), scaled(lower, low), upper

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


@intrinsic
def find_edges(typing: Any, parts: Any, start: Any, count: Any, logistic: Any, symbol: Any, edges: Any) -> Any:
    """Find the edges of the nibbles of known pixels, sixteen at a time, as `cdf.nibble_intervals`.

    parts: `Components`, of which the first pixel is the one at `start`; count: of pixels, a multiple of COLUMNS;
    symbol: their nibbles, the high ones and the low ones, int32 [2, N]; edges: lower and upper ones of the intervals
    of high nibbles, then of low ones, int32 [4, N].
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        fields = enumerate(signature.args[0].types)
        mixture = [
            context.make_array(kind)(context, builder, builder.extract_value(values[0], k)) for k, kind in fields
        ]
        table, nibbles, found = arrays_of(context, builder, signature, values, (3, 4, 5))
        (components, pixels), entries = shape_of(builder, mixture[0]), shape_of(builder, table)[0]
        blocks = builder.sdiv(values[2], ir.Constant(values[2].type, COLUMNS))
        with cgutils.for_range(builder, blocks) as loop:
            n = times(builder, loop.index, COLUMNS)
            weight, mean, inverse = (builder.gep(part.data, [builder.add(values[1], n)]) for part in mixture)
            code = _Search(builder, components, pixels, weight, mean, inverse, table.data, entries)

            def at(array: Any, line: int, n: ir.Value = n, kind: ir.Type = code.ints) -> ir.Value:
                width = shape_of(builder, array)[1]
                return pointer_to(builder, array.data, builder.add(n, times(builder, width, line)), kind)

            high, low = (load(builder, at(nibbles, line), int32(0), 4) for line in range(2))
            for line, value in enumerate(code.edges_of(high, low)):
                builder.store(value, at(found, line)).align = 4
        return context.get_dummy_value()

    return types.void(parts, types.int64, types.int64, logistic, symbol, edges), generate


@intrinsic
def fill(typing: Any, lanes: Any, parts: Any, s: Any, j: Any) -> Any:
    """Copy what the s-th pixel of sixteen images is read with to lanes from the j-th on. In NumPy, for `weight`, `mean`
    and `inverse`: ``lanes[s, :, j : j + COLUMNS] = parts[:, minimum(lanes.first[j : j + COLUMNS] + s, last)]``.

    lanes: `convnet.reading.Lanes`; parts: `Components`
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        made = [
            [
                context.make_array(kind)(context, builder, builder.extract_value(value, k))
                for k, kind in enumerate(kinds)
            ]
            for value, kinds in zip(values, (lanes.types, parts.types), strict=False)
        ]
        target, source, first = made[0][2:5], made[1], made[0][-1]
        (components, pixels), count = shape_of(builder, source[0]), shape_of(builder, target[0])[2]
        vector = vector_of(INT, COLUMNS)
        begin = load(builder, pointer_to(builder, first.data, values[3], vector), int32(0), 4)
        place = builder.add(begin, broadcast(builder, builder.trunc(values[2], INT), COLUMNS))
        last = broadcast(builder, builder.trunc(plus(builder, pixels, -1), INT), COLUMNS)
        place = builder.select(builder.icmp_signed("<", place, last), place, last)
        with cgutils.for_range(builder, components) as loop:
            line = builder.add(builder.mul(values[2], components), loop.index)
            to = builder.add(builder.mul(line, count), values[3])
            for own, given in zip(target, source, strict=True):
                data = builder.gep(given.data, [builder.mul(loop.index, pixels)])
                value = gather(builder, builder.bitcast(data, INT.as_pointer()), place)
                builder.store(value, pointer_to(builder, own.data, to, vector)).align = 4
        return context.get_dummy_value()

    return types.void(lanes, parts, types.int64, types.int64), generate


def _reader(step: int) -> Any:
    """Return `read_high`, for steps of sixteen values, or `read_low`, for steps of one."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        fields = enumerate(signature.args[0].types)
        parts = [context.make_array(kind)(context, builder, builder.extract_value(values[0], k)) for k, kind in fields]
        state, counts, weight, mean, inverse, symbol, edges, _ = parts
        s, j, [table] = values[1], values[2], arrays_of(context, builder, signature, values, (3,))
        pixels, components, lanes = shape_of(builder, weight)
        own = builder.add(builder.mul(builder.mul(s, components), lanes), j)
        own_weight, own_mean, own_inverse = (builder.gep(part.data, [own]) for part in (weight, mean, inverse))
        mixture = {"weight": own_weight, "mean": own_mean, "inverse": own_inverse}
        code = _Search(builder, components, lanes, **mixture, logistic=table.data, entries=shape_of(builder, table)[0])

        def at(array: Any, line: Any, kind: ir.Type) -> ir.Value:
            place = builder.add(builder.mul(line, lanes), j)
            return pointer_to(builder, array.data, place, kind)

        def vector(place: ir.Value) -> ir.Value:
            return load(builder, place, int32(0), 4)

        def put(value: ir.Value, place: ir.Value) -> None:
            builder.store(value, place).align = 4

        number = s.type
        lower_at, width_at, point_at = (at(state, ir.Constant(number, k), code.wide) for k in range(3))
        symbol_at, least_at = at(symbol, s, code.ints), at(edges, s, code.ints)
        most_at = at(edges, builder.add(pixels, s), code.ints)
        lower, width, point = map(vector, (lower_at, width_at, point_at))
        many = vector(at(counts, ir.Constant(number, 0), code.ints))
        live = builder.icmp_signed("<", broadcast(builder, builder.trunc(s, INT), COLUMNS), many)

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
        told = [builder.zext(builder.bitcast(builder.and_(live, x), WORD), INT) for x in (narrow, beyond)]
        return builder.or_(told[0], builder.shl(told[1], int32(COLUMNS)))

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


# ---- all edges of a nibble -------------------------------------------------------------------------


class _Pixel(_Search):
    """The instructions of a single pixel: its components are the same in all places of a vector."""

    def _vector_at(self, data: ir.Value, at: ir.Value) -> ir.Value:
        return broadcast(self.builder, load(self.builder, data, at, 4), COLUMNS)


def _edges(step: int) -> Any:
    """Return `high_edges`, for steps of sixteen values, or `low_edges`, for steps of one."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        fields = enumerate(signature.args[0].types)
        parts = [context.make_array(kind)(context, builder, builder.extract_value(values[0], k)) for k, kind in fields]
        n, [table, target] = values[1], arrays_of(context, builder, signature, values, (2, 3))
        components, count = shape_of(builder, parts[0])
        weight, mean, inverse = (builder.gep(part.data, [n]) for part in parts)
        entries = shape_of(builder, table)[0]
        code = _Pixel(builder, components, count, weight, mean, inverse, table.data, entries)
        steps = ir.Constant(code.ints, list(range(1, NIBBLE + 1)))
        if step == NIBBLE:
            found, most = code.below(builder.mul(steps, code.all(code.ints, NIBBLE))), 1 << SUM_BITS
        else:
            begin, none, some = (builder.trunc(value, INT) for value in values[4:])
            c = code.below(builder.add(broadcast(builder, begin, COLUMNS), steps))
            width = builder.sitofp(plus(builder, some, NIBBLE), ir.DoubleType())
            share = builder.fdiv(ir.Constant(ir.DoubleType(), total_of(NIBBLE)), width)
            inside = builder.add(builder.sub(c, broadcast(builder, none, COLUMNS)), steps)
            scaled = builder.fmul(builder.sitofp(inside, code.doubles), broadcast(builder, share, COLUMNS))
            found, most = builder.add(builder.fptosi(scaled, code.ints), steps), 1 << PRECISION
        found = builder.insert_element(found, int32(most), int32(NIBBLE - 1))
        builder.store(found, _row(builder, target, n)).align = 4
        return context.get_dummy_value()

    if step == NIBBLE:

        @intrinsic
        def high(typing: Any, parts: Any, n: Any, logistic: Any, out: Any) -> Any:
            return types.void(parts, types.int64, logistic, out), generate

        return high

    @intrinsic
    def low(typing: Any, parts: Any, n: Any, logistic: Any, out: Any, begin: Any, none: Any, some: Any) -> Any:
        return types.void(parts, types.int64, logistic, out, *(types.int64,) * 3), generate

    return low


def _row(builder: ir.IRBuilder, array: Any, n: ir.Value) -> ir.Value:
    """Return the address of the n-th row of int32 [N, NIBBLE] as a vector."""
    return pointer_to(builder, array.data, times(builder, n, NIBBLE), vector_of(INT, COLUMNS))


def _nibble(step: int) -> Any:
    """Return `high_nibble`, for steps of sixteen values, or `low_nibble`, for steps of one."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        [edges] = arrays_of(context, builder, signature, values, (0,))
        found = load(builder, _row(builder, edges, values[1]), int32(0), 4)
        if step == NIBBLE:
            units, least = SUM_BITS - PRECISION, PRECISION - NIBBLE_BITS  # as `_Search.coarse`
            found = builder.ashr(found, ir.Constant(found.type, [units] * NIBBLE))
            found = builder.sub(found, builder.ashr(found, ir.Constant(found.type, [least] * NIBBLE)))
            found = builder.add(found, ir.Constant(found.type, list(range(1, NIBBLE + 1))))
        quantile = broadcast(builder, builder.trunc(values[2], INT), COLUMNS)
        bits = builder.bitcast(builder.icmp_signed("<=", found, quantile), WORD)
        return builder.zext(builder.ctpop(bits), values[1].type)

    @intrinsic
    def nibble(typing: Any, edges: Any, n: Any, quantile: Any) -> Any:
        return types.int64(edges, types.int64, types.int64), generate

    return nibble


high_edges, low_edges = map(_edges, (NIBBLE, 1))
"""Find the upper edges of all nibbles of the n-th pixel to ``out[n]``, int32 [N, NIBBLE]. parts: its `Components`.

`high_edges`: the distribution there, in units of 2^-SUM_BITS. `low_edges`: of the low nibbles behind a high one, where
the coder's intervals end; begin: the value at which they begin; none, some: the distribution below it and in it.
"""

high_nibble, low_nibble = map(_nibble, (NIBBLE, 1))
"""Return the nibble whose interval a quantile lies in, by the edges that `high_edges` or `low_edges` left in a row."""
