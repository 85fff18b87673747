"""Instructions for LLVM by which kernels call others by their addresses, and share numbers with those in other threads.

This module imports Numba, so it is imported when kernels are compiled and never else, see :mod:`bfncodec.runtime.jit`.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.runtime.llvm import cgutils

_STATUS, _WORD = ir.IntType(32), ir.IntType(64)
_BYTES = 8  # of a word
_HAS_PAUSE = platform.machine() in ("x86_64", "AMD64")


@intrinsic
def call(typing: Any, address: Any, words: Any) -> Any:
    """Call machine code, as :mod:`bfncodec.runtime.compiling` makes it, with arguments at an address. Returns the bool
    that is its result, or -1 if it gave up.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        kind = ir.FunctionType(_STATUS, [_WORD.as_pointer()] * 2)
        code = builder.inttoptr(values[0], kind.as_pointer())
        result = cgutils.alloca_once(builder, _WORD)
        builder.store(ir.Constant(_WORD, 0), result)
        status = builder.call(code, [builder.inttoptr(values[1], _WORD.as_pointer()), result])
        fine = builder.icmp_signed("==", status, ir.Constant(_STATUS, 0))
        said = builder.and_(builder.load(result), ir.Constant(_WORD, 1))
        return builder.select(fine, said, ir.Constant(_WORD, -1))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put(typing: Any, words: Any, place: Any, value: Any) -> Any:
    """Write a word, the one at a place from an address on."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        at = builder.gep(builder.inttoptr(values[0], _WORD.as_pointer()), [values[1]])
        builder.store(values[2], at)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def pause(typing: Any) -> Any:
    """Let the processor know that this thread waits for another."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        if _HAS_PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def give_way(typing: Any) -> Any:
    """Let other threads have the processor, where the system can be asked to."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        if sys.platform != "win32":
            name, known = "sched_yield", builder.module.globals
            builder.call(known.get(name) or ir.Function(builder.module, ir.FunctionType(_STATUS, []), name), [])
        return context.get_dummy_value()

    return types.void(), generate


def _shared(result: types.Type, numbers: int, act: Callable[..., Any]) -> Any:
    """Return an intrinsic on an entry of an int64 array [n], by its place, and on some integers."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return act(context, builder, builder.gep(array.data, [values[1]]), *values[2:])

    if numbers == 0:

        @intrinsic
        def alone(typing: Any, array: Any, place: Any) -> Any:
            return result(array, types.int64), generate

        return alone
    if numbers == 1:

        @intrinsic
        def with_one(typing: Any, array: Any, place: Any, x: Any) -> Any:
            return result(array, types.int64, types.int64), generate

        return with_one

    @intrinsic
    def with_two(typing: Any, array: Any, place: Any, x: Any, y: Any) -> Any:
        return result(array, types.int64, types.int64, types.int64), generate

    return with_two


def _read(context: Any, builder: ir.IRBuilder, at: ir.Value) -> Any:
    return builder.load_atomic(at, "acquire", _BYTES)


def _write(context: Any, builder: ir.IRBuilder, at: ir.Value, value: ir.Value) -> Any:
    builder.store_atomic(value, at, "release", _BYTES)
    return context.get_dummy_value()


def _exchange(context: Any, builder: ir.IRBuilder, at: ir.Value, known: ir.Value, new: ir.Value) -> Any:
    return builder.extract_value(builder.cmpxchg(at, known, new, "acq_rel", "acquire"), 1)


def _add(context: Any, builder: ir.IRBuilder, at: ir.Value, value: ir.Value) -> Any:
    return builder.atomic_rmw("add", at, value, "acq_rel")


# What a thread wrote before `write`, `add` or `exchange`, others see that have read what it wrote by them.
read = _shared(types.int64, 0, _read)
write = _shared(types.void, 1, _write)
add = _shared(types.int64, 1, _add)  # returns what was there
exchange = _shared(types.boolean, 2, _exchange)  # the second number for the first; returns whether that was there
