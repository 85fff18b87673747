"""Words that instructions of kernels are written in for LLVM: values, memory, loops.

This module imports Numba, so it is imported when kernels are compiled and never else, see :mod:`bfncodec.runtime.jit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils as untyped

from bfncodec.runtime.lines import LINE

cgutils: Any = untyped
BYTE, WORD, INT, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()


# ---- values ----------------------------------------------------------------------------------------


def vector_of(element: ir.Type, count: int) -> ir.VectorType:
    """Return the type of vectors of so many elements."""
    return ir.VectorType(element, count)


def int32(value: int) -> ir.Constant:
    """Return a constant of 32 bits."""
    return ir.Constant(INT, value)


def plus(builder: ir.IRBuilder, value: ir.Value, number: int) -> ir.Value:
    """Return value + number."""
    return builder.add(value, ir.Constant(value.type, number))


def times(builder: ir.IRBuilder, value: ir.Value, number: int) -> ir.Value:
    """Return value * number."""
    return builder.mul(value, ir.Constant(value.type, number))


def broadcast(builder: ir.IRBuilder, value: ir.Value, count: int) -> ir.Value:
    """Return a vector with the value in every place."""
    vector = vector_of(value.type, count)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, int32(0))
    return builder.shuffle_vector(first, first, ir.Constant(vector_of(INT, count), [0] * count))


# ---- memory ----------------------------------------------------------------------------------------


def load(builder: ir.IRBuilder, data: ir.Value, index: ir.Value, align: int = 1) -> ir.Value:
    """Return data[index]. align: bytes that its address is a multiple of."""
    value = builder.load(builder.gep(data, [index]))
    value.align = align
    return value


def pointer_to(builder: ir.IRBuilder, data: ir.Value, index: ir.Value, element: ir.Type) -> ir.Value:
    """Return the address of data[index] as a pointer to elements of another type."""
    return builder.bitcast(builder.gep(data, [index]), element.as_pointer())


def prefetch(builder: ir.IRBuilder, data: ir.Value, line: ir.Value) -> None:
    """Ask memory for a line of the cache, counted from an address on, whether or not it is mapped."""
    kinds = [data.type, INT, INT, INT]
    declared = builder.module.declare_intrinsic("llvm.prefetch", [data.type], ir.FunctionType(ir.VoidType(), kinds))
    place = builder.gep(data, [times(builder, line, LINE)])
    builder.call(declared, [place, int32(0), int32(3), int32(1)])  # to be read, near, data


def store_all(builder: ir.IRBuilder, values: Sequence[ir.Value], data: ir.Value, index: ir.Value) -> None:
    """Store vectors of int32 behind each other from data[index] on."""
    at = pointer_to(builder, data, index, values[0].type)
    for k, value in enumerate(values):
        builder.store(value, builder.gep(at, [int32(k)])).align = 4


def arrays_of(context: Any, builder: ir.IRBuilder, signature: Any, values: Any, places: Sequence[int]) -> list[Any]:
    """Return the arrays among the arguments of an intrinsic, by their places."""
    return [context.make_array(signature.args[k])(context, builder, values[k]) for k in places]


def shape_of(builder: ir.IRBuilder, array: Any) -> Any:
    """Return the sizes of an array."""
    return cgutils.unpack_tuple(builder, array.shape)


# ---- loops -----------------------------------------------------------------------------------------


def accumulate(
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
    following = plus(builder, number, 1)
    last = builder.block
    begin = [ir.Constant(count.type, 0), *first]
    for phi, before, after in zip([number, *totals], begin, [following, *new], strict=True):
        phi.add_incoming(before, entry)
        phi.add_incoming(after, last)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)
    builder.position_at_end(end)
    return new


def reduce(builder: ir.IRBuilder, vector: ir.Value, join: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """Return all places of a vector joined."""
    width = vector.type.count
    while width > 1:
        width //= 2
        halves = (ir.Constant(vector_of(INT, width), list(range(k * width, (k + 1) * width))) for k in range(2))
        vector = join(*(builder.shuffle_vector(vector, vector, half) for half in halves))
    return builder.extract_element(vector, int32(0))
