"""Instructions on rows of numbers, sixteen at a time: scaled, added, quantised.

Loops that Numba writes for rows so short begin by asking whether their arrays overlap, which takes as long as the rows
themselves. Here they never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.networks.instructions.vectors import gather, nearest
from bfncodec.networks.kernels import COLUMNS, OFFSET
from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.llvm import (
    FLOAT,
    INT,
    arrays_of,
    broadcast,
    cgutils,
    load,
    pointer_to,
    reduce,
    shape_of,
    times,
    vector_of,
)

_INTS, _FLOATS = vector_of(INT, COLUMNS), vector_of(FLOAT, COLUMNS)
_NOTHING = ir.Constant(_INTS, None)


def _all(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [value] * COLUMNS)


def _row(builder: ir.IRBuilder, array: Any, n: ir.Value, first: ir.Value | None = None) -> ir.Value:
    """Return the address of a row of an array, or of a number in it, as one of vectors."""
    place = builder.mul(n, shape_of(builder, array)[1])
    place = place if first is None else builder.add(place, first)
    return pointer_to(builder, array.data, place, vector_of(array.data.type.pointee, COLUMNS))


def _line(builder: ir.IRBuilder, array: Any) -> ir.Value:
    """Return the address of an array of one dimension as one of vectors."""
    return builder.bitcast(array.data, vector_of(array.data.type.pointee, COLUMNS).as_pointer())


def _put(builder: ir.IRBuilder, value: ir.Value, data: ir.Value, block: ir.Value) -> None:
    size = value.type.element.width // 8 if isinstance(value.type.element, ir.IntType) else 4
    builder.store(value, builder.gep(data, [block])).align = size


@contextmanager
def _blocks(builder: ir.IRBuilder, count: ir.Value) -> Iterator[ir.Value]:
    """A loop over the blocks of so many numbers that are whole."""
    with cgutils.for_range(builder, builder.sdiv(count, ir.Constant(count.type, COLUMNS))) as loop:
        yield loop.index


def _highest(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def _rectified(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered(">", x, _all(0)), x, _all(0))


# ---- sums to numbers -------------------------------------------------------------------------------


def _finisher(change: str) -> Any:
    """Return an intrinsic that finishes sums. change: what becomes of the numbers, "written", "rectified", "squared"
    once they are rectified, or "added" to what is there.
    """

    @intrinsic
    def finish(typing: Any, sums: Any, n: Any, unit: Any, linear: Any, y: Any) -> Any:
        """sums: int32 [N, P COLUMNS]; unit: float32; linear: `products.Linear`; y: float32 [N, out or more]."""

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
            given, found = arrays_of(context, builder, signature, values, (0, 4))
            parts = {name: builder.extract_value(values[3], k) for k, name in enumerate(linear.fields)}
            scale, bias = (
                context.make_array(kind)(context, builder, parts[name])
                for kind, name in zip(linear.types, linear.fields, strict=True)
                if name in ("scale", "bias")
            )
            outputs = shape_of(builder, scale)[0]
            first, second = _row(builder, given, values[1]), _row(builder, given, values[1], outputs)
            scales, biases, target = _line(builder, scale), _line(builder, bias), _row(builder, found, values[1])
            one, most = broadcast(builder, values[2], COLUMNS), cgutils.alloca_once_value(builder, _NOTHING)

            def number(data: ir.Value, block: ir.Value) -> ir.Value:
                return builder.sitofp(load(builder, data, block, 4), _FLOATS)

            def all_blocks(fine: bool) -> None:
                with _blocks(builder, outputs) as block:
                    x = number(first, block)
                    if fine:
                        x = builder.fadd(builder.fdiv(number(second, block), _all(2 * LARGEST)), x)
                    x = builder.fmul(builder.fmul(x, one), load(builder, scales, block, 4))
                    x = builder.fadd(x, load(builder, biases, block, 4))
                    x = _rectified(builder, x) if change in ("rectified", "squared") else x
                    x = builder.fmul(x, x) if change == "squared" else x
                    x = builder.fadd(load(builder, target, block, 4), x) if change == "added" else x
                    _put(builder, x, target, block)
                    bits = builder.and_(builder.bitcast(x, _INTS), ir.Constant(_INTS, [0x7FFFFFFF] * COLUMNS))
                    builder.store(_highest(builder, bits, builder.load(most)), most)

            with builder.if_else(builder.trunc(parts["fine"], ir.IntType(1))) as (then, otherwise):
                with then:
                    all_blocks(True)
                with otherwise:
                    all_blocks(False)
            return reduce(builder, builder.load(most), lambda a, b: _highest(builder, a, b))

        return types.int32(sums, types.int64, types.float32, linear, y), generate

    return finish


write, write_rectified, write_square, write_sum = map(_finisher, ("written", "rectified", "squared", "added"))
"""Finish the numbers of the n-th row that fill registers. In NumPy, for ``x = sums[n] * unit * scale + bias``, as
`products.finish` has it with a second matrix: ``y[n] = x``, ``maximum(x, 0)``, ``maximum(x, 0) ** 2`` or ``y[n] + x``.

Returns the bits of their largest magnitude, int32, 0 if there are none.
"""


@intrinsic
def write_column(typing: Any, sums: Any, n: Any, i: Any, unit: Any, linear: Any, y: Any) -> Any:
    """Finish the i-th number of sixteen rows from the n-th on, to a line of `y`. In NumPy, for x as `write` has it and
    ``own = slice(n, n + COLUMNS)``: ``y[i, own] = x[own, i]``.

    sums: int32 [N, P COLUMNS]; unit: float32 [N]; linear: `products.Linear`; y: float32 [out or more, N or more]
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        given, units, found = arrays_of(context, builder, signature, values, (0, 3, 5))
        parts = {name: builder.extract_value(values[4], k) for k, name in enumerate(linear.fields)}
        kinds = dict(zip(linear.fields, linear.types, strict=True))
        scale, bias = (context.make_array(kinds[name])(context, builder, parts[name]) for name in ("scale", "bias"))
        n, i, width, outputs = values[1], values[2], shape_of(builder, given)[1], shape_of(builder, scale)[0]
        first = builder.gep(given.data, [builder.add(builder.mul(n, width), i)])
        rows = broadcast(builder, builder.trunc(width, INT), COLUMNS)
        rows = builder.mul(rows, ir.Constant(_INTS, list(range(COLUMNS))))
        target = pointer_to(builder, found.data, builder.add(builder.mul(i, shape_of(builder, found)[1]), n), _FLOATS)

        def put(fine: bool) -> None:
            x = builder.sitofp(gather(builder, first, rows), _FLOATS)
            if fine:
                second = builder.sitofp(gather(builder, builder.gep(first, [outputs]), rows), _FLOATS)
                x = builder.fadd(builder.fdiv(second, _all(2 * LARGEST)), x)
            x = builder.fmul(x, load(builder, pointer_to(builder, units.data, n, _FLOATS), n.type(0), 4))
            x = builder.fmul(x, broadcast(builder, load(builder, scale.data, i, 4), COLUMNS))
            _put(
                builder, builder.fadd(x, broadcast(builder, load(builder, bias.data, i, 4), COLUMNS)), target, n.type(0)
            )

        with builder.if_else(builder.trunc(parts["fine"], ir.IntType(1))) as (then, otherwise):
            with then:
                put(True)
            with otherwise:
                put(False)
        return context.get_dummy_value()

    return types.void(sums, types.int64, types.int64, unit, linear, y), generate


# ---- numbers to integers ---------------------------------------------------------------------------


def _finder(mask: int) -> Any:
    """Return an intrinsic that finds the largest of numbers by the bits of a mask."""

    @intrinsic
    def find(typing: Any, x: Any, n: Any, first: Any, count: Any) -> Any:
        """x: float32 [N, C]"""

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
            [given] = arrays_of(context, builder, signature, values, (0,))
            source, most = _row(builder, given, values[1], values[2]), cgutils.alloca_once_value(builder, _NOTHING)
            with _blocks(builder, values[3]) as block:
                bits = builder.bitcast(load(builder, source, block, 4), _INTS)
                bits = builder.and_(bits, ir.Constant(_INTS, [mask] * COLUMNS))
                builder.store(_highest(builder, bits, builder.load(most)), most)
            return reduce(builder, builder.load(most), lambda a, b: _highest(builder, a, b))

        return types.int32(x, types.int64, types.int64, types.int64), generate

    return find


largest, largest_positive = map(_finder, (0x7FFFFFFF, -1))  # the bits of negative numbers are negative
"""Return the bits of the largest magnitude, or of the largest, of some numbers of a row that fill registers, int32, 0
if there is none or none is positive. In NumPy, for ``some = x[n, first : first + count // COLUMNS * COLUMNS]``:
``abs(some).max()``, ``max(some.max(), 0)``.
"""


def _quantiser(positive: bool) -> Any:
    @intrinsic
    def quantise(typing: Any, x: Any, n: Any, first: Any, factor: Any, q: Any, count: Any) -> Any:
        """x: float32 [N, C]; factor: float32; q: [N, C'] as a kernel has it."""

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
            given, found = arrays_of(context, builder, signature, values, (0, 4))
            source, target = _row(builder, given, values[1], values[2]), _row(builder, found, values[1])
            kind, one = target.type.pointee, broadcast(builder, values[3], COLUMNS)
            total = cgutils.alloca_once_value(builder, _NOTHING)
            with _blocks(builder, values[5]) as block:
                value = load(builder, source, block, 4)
                value = _rectified(builder, value) if positive else value
                whole = nearest(builder, builder.fmul(value, one))
                builder.store(builder.add(builder.load(total), builder.mul(whole, whole)), total)
                narrow = builder.trunc(whole, kind)
                if signature.args[4].dtype == types.uint8:
                    narrow = builder.xor(narrow, ir.Constant(kind, [OFFSET] * COLUMNS))
                _put(builder, narrow, target, block)
            return reduce(builder, builder.load(total), builder.add)

        return types.int32(x, types.int64, types.int64, types.float32, q, types.int64), generate

    return quantise


quantise, quantise_positive = _quantiser(False), _quantiser(True)
"""Quantise the first of so many numbers of a row that fill registers. In NumPy, for ``whole = count // COLUMNS *
COLUMNS``: ``q[n, :whole] = rint(factor * x[n, first : first + whole]) + offset``; `quantise_positive` takes 0 for what
is negative. Returns the sum of the squares of the integers, without the offset, int32.
"""


@intrinsic
def join_halves(typing: Any, halves: Any, n: Any, out: Any) -> Any:
    """Join sums of high and of low bytes of a row. In NumPy: ``out[n] = (halves[n, 0] << 8) + halves[n, 1]``.

    halves: int32 [N, 2, C]; out: int32 [N, C], C a multiple of COLUMNS.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        given, found = arrays_of(context, builder, signature, values, (0, 2))
        count, eight = shape_of(builder, found)[1], ir.Constant(_INTS, [8] * COLUMNS)
        target, first = _row(builder, found, values[1]), builder.mul(times(builder, count, 2), values[1])
        high, low = (pointer_to(builder, given.data, at, _INTS) for at in (first, builder.add(first, count)))
        with _blocks(builder, count) as block:
            x, y = (load(builder, data, block, 4) for data in (high, low))
            _put(builder, builder.add(builder.shl(x, eight), y), target, block)
        return context.get_dummy_value()

    return types.void(halves, types.int64, out), generate


@intrinsic
def write_scaled(typing: Any, x: Any, n: Any, factor: Any, y: Any) -> Any:
    """Scale those numbers of a row that fill registers. In NumPy, for ``whole = len(y) // COLUMNS * COLUMNS``:
    ``y[:whole] = x[n, :whole] * factor``. x: int32 [N, C]; factor: float32; y: float32 [C']
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        given, found = arrays_of(context, builder, signature, values, (0, 3))
        source, target = _row(builder, given, values[1]), _line(builder, found)
        one = broadcast(builder, values[2], COLUMNS)
        with _blocks(builder, shape_of(builder, found)[0]) as block:
            number = builder.sitofp(load(builder, source, block, 4), _FLOATS)
            _put(builder, builder.fmul(number, one), target, block)
        return context.get_dummy_value()

    return types.void(x, types.int64, types.float32, y), generate


@intrinsic
def add_scaled(typing: Any, y: Any, n: Any, first: Any, factor: Any, x: Any) -> Any:
    """Add to those numbers of a row that fill registers. In NumPy, for ``whole = len(x) // COLUMNS * COLUMNS``:
    ``y[n, first : first + whole] += factor * x[:whole]``. y: float32 [N, C]; factor: float32; x: float32 [C']
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        found, given = arrays_of(context, builder, signature, values, (0, 4))
        target, source = _row(builder, found, values[1], values[2]), _line(builder, given)
        one = broadcast(builder, values[3], COLUMNS)
        with _blocks(builder, shape_of(builder, given)[0]) as block:
            product = builder.fmul(one, load(builder, source, block, 4))
            _put(builder, builder.fadd(load(builder, target, block, 4), product), target, block)
        return context.get_dummy_value()

    return types.void(y, types.int64, types.int64, types.float32, x), generate
