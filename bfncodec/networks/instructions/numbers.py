"""Instructions for numbers as kernels store them, and for the bits of floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from bfncodec.networks.kernels import COLUMNS, OFFSET
from bfncodec.runtime.llvm import BYTE, INT, arrays_of, int32, load, pointer_to, shape_of, vector_of

# ---- as kernels store them -------------------------------------------------------------------------


@intrinsic
def _as_unsigned(typing: Any, value: Any) -> Any:
    """Return uint8 that is 128 more than an integer of -128 to 127. In NumPy: ``np.uint8(value + 128)``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        narrow = values[0] if values[0].type == BYTE else builder.trunc(values[0], BYTE)
        return builder.xor(narrow, ir.Constant(BYTE, OFFSET))

    return types.uint8(value), generate


_unsigned: Any = _as_unsigned


@intrinsic
def signed(typing: Any, stored: Any) -> Any:
    """Return int8, the number that a stored one stands for. In NumPy: ``np.int8(stored - offset)``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        if stored == types.uint8:
            return builder.xor(values[0], ir.Constant(BYTE, OFFSET))
        return values[0] if values[0].type == BYTE else builder.trunc(values[0], BYTE)

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


def _copier(count: int) -> Any:
    """Return an intrinsic that copies so many numbers."""

    @intrinsic
    def copy(typing: Any, source: Any, row: Any, start: Any, target: Any, to_row: Any, to_start: Any) -> Any:
        """source, target: int8 [N, C], or left factors of a kernel [N, C]."""

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
            data, places = [], ((0, values[1], values[2]), (3, values[4], values[5]))
            for k, at_row, column in places:
                [array] = arrays_of(context, builder, signature, values, (k,))
                place = builder.add(builder.mul(at_row, shape_of(builder, array)[1]), column)
                element = array.data.type.pointee
                data.append(pointer_to(builder, array.data, place, vector_of(element, count)))
            numbers, kind = load(builder, data[0], int32(0)), data[1].type.pointee
            if source.dtype != target.dtype and types.uint8 in (source.dtype, target.dtype):
                numbers = builder.xor(numbers, ir.Constant(kind, [OFFSET] * count))
            elif kind != numbers.type:
                wider = kind.element.width > numbers.type.element.width
                numbers = builder.sext(numbers, kind) if wider else builder.trunc(numbers, kind)
            builder.store(numbers, data[1]).align = 1
            return context.get_dummy_value()

        return types.void(source, row, start, target, to_row, to_start), generate

    return copy


copy_sixteen, copy_pair = _copier(COLUMNS), _copier(2 * COLUMNS)
"""Copy COLUMNS numbers of a row, or twice as many, to one of another array, as its dtype has them. In NumPy, without
offsets: ``target[to_row, to_start : to_start + COLUMNS] = source[row, start : start + COLUMNS]``.
"""


# ---- bits of floats --------------------------------------------------------------------------------


@intrinsic
def larger(typing: Any, most: Any, x: Any) -> Any:
    """The larger of the bits of a float32, int32, and those of |x|."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        bits = builder.and_(builder.bitcast(values[1], INT), ir.Constant(INT, 0x7FFFFFFF))
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
        rank = _flip(builder, builder.bitcast(values[1], INT))
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
    sign = builder.ashr(bits, ir.Constant(INT, 31))
    return builder.xor(bits, builder.lshr(sign, ir.Constant(INT, 1)))


@intrinsic
def add_square(typing: Any, total: Any, x: Any) -> Any:
    """total + x^2, int32 of int32 and int8."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        wide = builder.sext(values[1], INT)
        return builder.add(values[0], builder.mul(wide, wide))

    return types.int32(types.int32, types.int8), generate
