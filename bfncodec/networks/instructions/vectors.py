"""Instructions on vectors that several of the others consist of."""

from __future__ import annotations

from llvmlite import ir

from bfncodec.networks.kernels import COLUMNS, LANES
from bfncodec.runtime.llvm import BYTE, FLOAT, INT, broadcast, int32, load, plus, vector_of


def rounded(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return sixteen floats rounded to integers, halves to even ones."""
    shape = ir.FunctionType(value.type, [value.type])
    return builder.call(builder.module.declare_intrinsic("llvm.rint.v16f32", (), shape), [value])


def floored(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return sixteen floats rounded down to integers."""
    shape = ir.FunctionType(value.type, [value.type])
    return builder.call(builder.module.declare_intrinsic("llvm.floor.v16f32", (), shape), [value])


def nearest(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return sixteen floats as the nearest integers, halves as even ones."""
    kind = vector_of(INT, COLUMNS)
    if LANES != COLUMNS:
        return builder.fptosi(rounded(builder, value), kind)
    mask = ir.IntType(COLUMNS)
    shape = ir.FunctionType(kind, [value.type, kind, mask, INT])
    declared = builder.module.declare_intrinsic("llvm.x86.avx512.mask.cvtps2dq.512", (), shape)
    return builder.call(declared, [value, ir.Constant(kind, None), ir.Constant(mask, -1), int32(4)])  # 4: as is set


def dot_bytes(builder: ir.IRBuilder, total: ir.Value, unsigned: ir.Value, signed: ir.Value) -> ir.Value:
    """Return total + sums of four products of bytes, in every place of a vector of 32-bit numbers."""
    name = f"llvm.x86.avx512.vpdpbusd.{32 * total.type.count}"
    declared = builder.module.declare_intrinsic(name, (), ir.FunctionType(total.type, [total.type] * 3))
    return builder.call(declared, [total, unsigned, signed])


def gather(builder: ir.IRBuilder, data: ir.Value, index: ir.Value) -> ir.Value:
    """Return int32 from the places of a table that a vector says."""
    kind = index.type
    if LANES == COLUMNS:
        mask, pointer = vector_of(ir.IntType(1), COLUMNS), BYTE.as_pointer()
        shape = ir.FunctionType(kind, [kind, pointer, kind, mask, INT])
        declared = builder.module.declare_intrinsic("llvm.x86.avx512.mask.gather.dpi.512", (), shape)
        everywhere = ir.Constant(mask, [1] * COLUMNS)
        base = builder.bitcast(data, pointer)
        return builder.call(declared, [ir.Constant(kind, None), base, index, everywhere, int32(4)])
    found = ir.Constant(kind, ir.Undefined)
    for k in range(COLUMNS):
        value = load(builder, data, builder.extract_element(index, int32(k)), 4)
        found = builder.insert_element(found, value, int32(k))
    return found


def bounded_to(builder: ir.IRBuilder, index: ir.Value, entries: ir.Value) -> ir.Value:
    """Return sixteen floats as places of a table of so many entries, those beyond its ends, or none, as the ends."""
    none = ir.Constant(index.type, None)
    last = broadcast(builder, builder.sitofp(plus(builder, entries, -1), FLOAT), COLUMNS)
    index = builder.select(builder.fcmp_ordered(">", index, none), index, none)
    index = builder.select(builder.fcmp_ordered("<", index, last), index, last)
    return builder.fptosi(index, vector_of(INT, COLUMNS))
