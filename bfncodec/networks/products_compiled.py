"""Matrix products of int8 and what goes between them, compiled.

Processors multiply pairs of 16-bit words and add the two products in one instruction, so the columns of a matrix are
packed in *panels*: of each pair of rows the two values of sixteen columns. A tile of the result, some rows of one
panel, stays in registers. Sums of fewer than 2^17 products stay below 2^31: exact in any order.

What goes between products is what :mod:`bfncodec.networks.exact` does, operation by operation. Largest values are
found among the bits of floats, which have the order of the floats where these are not negative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils as untyped
from numba.core import types
from numpy.typing import NDArray

from bfncodec.compiled import compiled, intrinsic
from bfncodec.networks.exact import LARGEST, LEAST_SQUARE, TINY, ExactLinear

cgutils: Any = untyped

COLUMNS = 16  # of a panel
PAIR = 2
ROWS = 6  # of a tile: twelve sums of eight columns, and what is multiplied, fill sixteen registers
MOST = np.float32(LARGEST)
FINE = np.float32(2 * LARGEST)
LEAST = np.float32(TINY)
LEAST_MEAN = np.float32(LEAST_SQUARE)
ONE = np.float32(1)
LOWEST = np.int32(-(1 << 31))
_HALF = EIGHT = COLUMNS // 2
_BYTE, _WORD, _SUM = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_BYTES, _WORDS, _SUMS = ir.VectorType(_BYTE, COLUMNS), ir.VectorType(_WORD, COLUMNS), ir.VectorType(_SUM, _HALF)
Panels = NDArray[np.int8]
Floats = NDArray[np.float32]


class Linear(NamedTuple):
    """An `ExactLinear`, packed. Where it is fine, the columns of its second matrix follow those of the first."""

    panels: Panels
    scale: Floats  # [out]
    bias: Floats  # [out]
    fine: bool


def linear_of(linear: ExactLinear) -> Linear:
    """Zeros stand for no bias: adding them changes no value, but for the sign of a zero."""
    scale = linear.scale.numpy()
    bias = np.zeros_like(scale) if linear.bias is None else linear.bias.numpy()
    return Linear(pack(linear.weight.numpy()), scale, bias, linear.weight.shape[1] > len(scale))


def pack(weight: NDArray[np.int8]) -> Panels:
    """int8 [K, M] -> [panels, K / 2, COLUMNS, 2], zeros where there is nothing."""
    rows, columns = weight.shape
    padded = np.zeros((-(-rows // PAIR) * PAIR, -(-columns // COLUMNS) * COLUMNS), np.int8)
    padded[:rows, :columns] = weight
    panels = padded.reshape(len(padded) // PAIR, PAIR, -1, COLUMNS).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(panels)


# ---- what vectors are added with ----------------------------------------------------------------


def _tile(rows: int) -> Any:
    """An intrinsic: `rows` rows of one panel of the product."""

    @intrinsic
    def tile(typing: Any, a: Any, panel: Any, out: Any, row: Any, column: Any) -> Any:
        """a: int16 [N, K]; panel: int8 [K / 2, COLUMNS, 2]; out: int32 [N, M], from (row, column)."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            arrays = [
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], values[:3], strict=True)
            ]
            inner, outer = (cgutils.unpack_tuple(builder, array.shape)[1] for array in (arrays[0], arrays[2]))
            pairs = cgutils.unpack_tuple(builder, arrays[1].shape)[0]
            numbers = [builder.add(values[3], ir.Constant(values[3].type, i)) for i in range(rows)]
            left = [
                builder.bitcast(builder.gep(arrays[0].data, [builder.mul(i, inner)]), _SUM.as_pointer())
                for i in numbers
            ]
            right = builder.bitcast(arrays[1].data, _BYTES.as_pointer())
            sums = [[cgutils.alloca_once_value(builder, ir.Constant(_SUMS, None)) for _ in range(2)] for _ in numbers]
            with cgutils.for_range(builder, pairs) as loop:
                first = builder.mul(loop.index, ir.Constant(loop.index.type, 2))
                halves = [_words(builder, right, builder.add(first, ir.Constant(first.type, k))) for k in range(2)]
                for i in range(rows):
                    pair = _everywhere(builder, builder.load(builder.gep(left[i], [loop.index])))
                    for total, half in zip(sums[i], halves, strict=True):
                        builder.store(builder.add(builder.load(total), _add_products(builder, pair, half)), total)
            for i in range(rows):
                start = builder.gep(arrays[2].data, [builder.add(builder.mul(numbers[i], outer), values[4])])
                start = builder.bitcast(start, _SUMS.as_pointer())
                for k, total in enumerate(sums[i]):
                    place = builder.gep(start, [ir.Constant(_SUM, k)])
                    builder.store(builder.load(total), place).align = 4
            return context.get_dummy_value()

        return types.void(a, panel, out, row, column), generate

    return tile


def _words(builder: Any, data: Any, index: Any) -> Any:
    value = builder.load(builder.gep(data, [index]))
    value.align = 1
    return builder.sext(value, _WORDS)


def _everywhere(builder: Any, pair: Any) -> Any:
    """A pair of words, beside each other in 32 bits, in every place of a vector."""
    vector = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), pair, ir.Constant(_SUM, 0))
    spread = builder.shuffle_vector(vector, vector, ir.Constant(_SUMS, [0] * _HALF))
    return builder.bitcast(spread, _WORDS)


def _add_products(builder: Any, x: Any, y: Any) -> Any:
    """Products of words, added in pairs: what compilers know as one instruction where there is one."""
    wide = ir.VectorType(_SUM, COLUMNS)
    product = builder.mul(builder.sext(x, wide), builder.sext(y, wide))
    even, odd = (
        builder.shuffle_vector(product, product, ir.Constant(_SUMS, list(range(k, COLUMNS, PAIR)))) for k in range(2)
    )
    return builder.add(even, odd)


_six, _two, one_row = _tile(ROWS), _tile(2), _tile(1)


def _weigh(vectors: int) -> Any:
    """An intrinsic: a sum of rows of bytes with weights, for some columns."""

    @intrinsic
    def weigh(typing: Any, weight: Any, rows: Any, count: Any, column: Any, out: Any) -> Any:
        """weight: float32 [S]; rows: int8 [S, C], the first `count`; out: float32 [C], from this column."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            weights, bytes_, result = (
                context.make_array(signature.args[k])(context, builder, values[k]) for k in (0, 1, 4)
            )
            _, width = cgutils.unpack_tuple(builder, bytes_.shape)
            kind = ir.VectorType(ir.FloatType(), _HALF)
            few = ir.VectorType(_BYTE, _HALF).as_pointer()
            sums = [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in range(vectors)]
            with cgutils.for_range(builder, values[2]) as loop:
                factor = builder.load(builder.gep(weights.data, [loop.index]))
                factor = builder.insert_element(ir.Constant(kind, ir.Undefined), factor, ir.Constant(_SUM, 0))
                factor = builder.shuffle_vector(factor, factor, ir.Constant(_SUMS, [0] * _HALF))
                start = builder.add(builder.mul(loop.index, width), values[3])
                start = builder.bitcast(builder.gep(bytes_.data, [start]), few)
                for k, total in enumerate(sums):
                    value = builder.load(builder.gep(start, [ir.Constant(_SUM, k)]))
                    value.align = 1
                    product = builder.fmul(builder.sitofp(value, kind), factor)
                    builder.store(builder.fadd(builder.load(total), product), total)
            start = builder.bitcast(builder.gep(result.data, [values[3]]), kind.as_pointer())
            for k, total in enumerate(sums):
                builder.store(builder.load(total), builder.gep(start, [ir.Constant(_SUM, k)])).align = 4
            return context.get_dummy_value()

        return types.void(weight, rows, count, column, out), generate

    return weigh


_weigh_many, _weigh_few = _weigh(4), _weigh(1)


@intrinsic
def _larger(typing: Any, most: Any, x: Any) -> Any:
    """The larger of the bits of a float32, int32, and those of |x|."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        bits = builder.and_(builder.bitcast(values[1], _SUM), ir.Constant(_SUM, 0x7FFFFFFF))
        return builder.select(builder.icmp_signed(">", bits, values[0]), bits, values[0])

    return types.int32(types.int32, types.float32), generate


@intrinsic
def as_float(typing: Any, bits: Any) -> Any:
    """The float32 of these bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def higher(typing: Any, most: Any, x: Any) -> Any:
    """The larger of a rank, int32, and that of a float32; `of_rank` is the float again."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rank = _flip(builder, builder.bitcast(values[1], _SUM))
        return builder.select(builder.icmp_signed(">", rank, values[0]), rank, values[0])

    return types.int32(types.int32, types.float32), generate


@intrinsic
def of_rank(typing: Any, rank: Any) -> Any:
    """The float32 of this rank."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(_flip(builder, values[0]), ir.FloatType())

    return types.float32(types.int32), generate


def _flip(builder: Any, bits: Any) -> Any:
    """The bits of floats in the order of the floats; its own inverse."""
    sign = builder.ashr(bits, ir.Constant(_SUM, 31))
    return builder.xor(bits, builder.lshr(sign, ir.Constant(_SUM, 1)))


@intrinsic
def _add_square(typing: Any, total: Any, x: Any) -> Any:
    """total + x^2, int32 of int32 and int16."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        wide = builder.sext(values[1], _SUM)
        return builder.add(values[0], builder.mul(wide, wide))

    return types.int32(types.int32, types.int16), generate


# ---- what networks are made of ------------------------------------------------------------------


@compiled
def multiply(a: Any, panels: Any, out: Any, rows: Any) -> None:
    """a: int16 [N, K]; panels: see `pack`; the first rows of the product go to out, int32 [N, panels COLUMNS]."""
    for panel in range(len(panels)):
        right, column = panels[panel], panel * COLUMNS
        row = 0
        while row + ROWS <= rows:
            _six(a, right, out, row, column)
            row += ROWS
        while row + 2 <= rows:
            _two(a, right, out, row, column)
            row += 2
        if row < rows:
            one_row(a, right, out, row, column)


@compiled
def weigh(weight: Any, rows: Any, count: Any, out: Any) -> None:
    """The sum of the first rows, int8 [S, C], with weights, float32 [S], whose sums are exact: to out, float32 [C]."""
    column, columns = 0, len(out)
    while column + 4 * EIGHT <= columns:
        _weigh_many(weight, rows, count, column, out)
        column += 4 * EIGHT
    while column + EIGHT <= columns:
        _weigh_few(weight, rows, count, column, out)
        column += EIGHT
    for i in range(column, columns):
        out[i] = 0
        for s in range(count):
            out[i] += weight[s] * np.float32(rows[s, i])


@compiled
def most_of(x: Any) -> Any:
    """The largest of one row, float32 [C]."""
    most = LOWEST
    for i in range(len(x)):
        most = higher(most, x[i])
    return of_rank(most)


@compiled
def finish(sums: Any, unit: Any, linear: Any, y: Any) -> None:
    """What `ExactLinear` makes of one row of sums, int32 [panels COLUMNS], whose unit is this: float32 [out], to y."""
    outputs = len(linear.scale)
    if linear.fine:
        for i in range(outputs):
            total = np.float32(sums[outputs + i]) / FINE + np.float32(sums[i])
            y[i] = total * unit * linear.scale[i] + linear.bias[i]
    else:
        for i in range(outputs):
            y[i] = np.float32(sums[i]) * unit * linear.scale[i] + linear.bias[i]


@compiled
def largest(x: Any) -> Any:
    """`exact.largest` of one row, float32 [C]"""
    most = np.int32(0)
    for i in range(len(x)):
        most = _larger(most, x[i])
    return max(as_float(most), LEAST)


@compiled
def quantise(x: Any, q: Any) -> Any:
    """`exact.Quantiser.rows` of one row, float32 [C], to q, int16 [C]. Returns the value of one unit."""
    m = largest(x)
    factor = MOST / m
    for i in range(len(x)):
        q[i] = np.int16(np.rint(x[i] * factor))
    return m / MOST


@compiled
def quantise_rms_norm(x: Any, q: Any) -> Any:
    """`exact.RmsNorm` of one row, float32 [C], to q, int16 [C]. Returns the value of one unit."""
    quantise(x, q)
    total = np.int32(0)
    for i in range(len(x)):
        total = _add_square(total, q[i])
    mean = max(np.float32(total) / np.float32(len(x)), LEAST_MEAN)
    return ONE / np.sqrt(mean)
