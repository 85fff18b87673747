"""Rows of numbers as LLVM has them, GROUP side by side, and what instructions on rows are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from bfncodec.coding.mixing.state import GROUP
from bfncodec.runtime.kept import features
from bfncodec.runtime.llvm import cgutils

BIT, BYTE, INT, WORD = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
INTS, WORDS, DOUBLES = (ir.VectorType(kind, GROUP) for kind in (INT, WORD, ir.DoubleType()))
BYTES, HALVES, FLOATS = (ir.VectorType(kind, n * GROUP) for kind, n in ((BYTE, 8), (INT, 2), (ir.FloatType(), 2)))
SUMS_OF_BYTES = {"+avx512bw": (64, "llvm.x86.avx512.psad.bw.512"), "+avx2": (32, "llvm.x86.avx2.psad.bw")}
"""Bytes that an instruction takes, and its name, by the feature that has it."""


def filled(value: int, kind: ir.VectorType = WORDS) -> ir.Constant:
    """Return a vector with a number in every place."""
    return ir.Constant(kind, [value] * kind.count)


def larger(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    """Return the larger of two numbers in each place."""
    return builder.select(builder.icmp_signed(">", first, second), first, second)


def smaller(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    """Return the smaller of two numbers in each place."""
    return builder.select(builder.icmp_signed("<", first, second), first, second)


def reduce(builder: ir.IRBuilder, name: str, numbers: ir.Value) -> ir.Value:
    """Return the sum of all numbers (`add`), the least (`smin`) or the largest (`smax`)."""
    kind = numbers.type
    declared = builder.module.declare_intrinsic(
        f"llvm.vector.reduce.{name}.v{kind.count}i{kind.element.width}", (), ir.FunctionType(kind.element, [kind])
    )
    return builder.call(declared, [numbers])


def sums_of_bytes(builder: ir.IRBuilder, numbers: ir.Value) -> ir.Value:
    """Return the sums of the bytes of each word, below 2^16."""
    here = [found for name, found in SUMS_OF_BYTES.items() if name in features()]
    if not here:
        word, pair = builder.bitcast(numbers, WORDS), filled(0x00FF00FF00FF00FF)
        found = builder.add(builder.and_(word, pair), builder.and_(builder.lshr(word, filled(8)), pair))
        found = builder.add(found, builder.lshr(found, filled(32)))
        return builder.and_(builder.add(found, builder.lshr(found, filled(16))), filled(0xFFFF))
    count, name = here[0]
    kind = ir.VectorType(BYTE, count)
    shape = ir.FunctionType(ir.VectorType(WORD, count // 8), [kind, kind])
    declared, parts = builder.module.declare_intrinsic(name, (), shape), []
    for first in range(0, 8 * GROUP, count):
        places = ir.Constant(ir.VectorType(INT, count), list(range(first, first + count)))
        part = builder.shuffle_vector(numbers, numbers, places)
        parts.append(builder.call(declared, [part, filled(0, kind)]))
    return builder.shuffle_vector(parts[0], parts[-1], ir.Constant(INTS, list(range(GROUP))))


class Row:
    """A row of a matrix, whose length is a multiple of GROUP; or GROUP numbers of an array from a place on."""

    def __init__(self, builder: ir.IRBuilder, array: Any, row: ir.Value, kind: ir.VectorType) -> None:
        self.builder = builder
        *_, width = cgutils.unpack_tuple(builder, array.shape)
        step, *more = cgutils.unpack_tuple(builder, array.strides)
        self.groups = builder.udiv(width, ir.Constant(WORD, GROUP)) if more else ir.Constant(WORD, 1)
        self._bytes = builder.gep(builder.bitcast(array.data, BYTE.as_pointer()), [builder.mul(row, step)])
        self._at = builder.bitcast(self._bytes, kind.as_pointer())
        self._align = kind.element.width // 8

    def load(self, group: ir.Value) -> ir.Value:
        """Return the numbers of a group."""
        found = self.builder.load(self.builder.gep(self._at, [group]))
        found.align = self._align
        return found

    def store(self, group: ir.Value, value: ir.Value) -> None:
        """Set the numbers of a group."""
        self.builder.store(value, self.builder.gep(self._at, [group])).align = self._align

    def add(self, group: ir.Value, value: ir.Value) -> None:
        """Add to the numbers of a group."""
        self.store(group, self.builder.add(self.load(group), value))

    def entries(self, places: ir.Value) -> ir.Value:
        """Return int64 from places of the table that begins here."""
        builder = self.builder
        if "+avx512f" in features():
            mask, pointer = ir.VectorType(BIT, GROUP), BYTE.as_pointer()
            shape = ir.FunctionType(WORDS, [WORDS, pointer, WORDS, mask, INT])
            gather = builder.module.declare_intrinsic("llvm.x86.avx512.mask.gather.qpq.512", (), shape)
            return builder.call(gather, [filled(0), self._bytes, places, filled(1, mask), ir.Constant(INT, 8)])
        table, found = builder.bitcast(self._bytes, WORD.as_pointer()), ir.Constant(WORDS, ir.Undefined)
        for k in range(GROUP):
            lane = ir.Constant(INT, k)
            value = builder.load(builder.gep(table, [builder.extract_element(places, lane)]))
            found = builder.insert_element(found, value, lane)
        return found


def on_rows(result: Any, kinds: str, act: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Return what an intrinsic on rows and numbers does. kinds: of its arguments, `i` for a matrix of 32-bit numbers,
    `w` for one of words, `r` for a row of the matrix before it, `n` for a number.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        found, array, kind = [], None, INTS
        for letter, value, given in zip(kinds, values, signature.args, strict=True):
            if letter in "iw":
                array, kind = context.make_array(given)(context, builder, value), INTS if letter == "i" else WORDS
            else:
                found.append(Row(builder, array, value, kind) if letter == "r" else value)
        answer = act(builder, *found)
        return context.get_dummy_value() if answer is None else answer

    def typed(*arguments: Any) -> tuple[Any, Any]:
        wanted = [given if letter in "iw" else types.int64 for letter, given in zip(kinds, arguments, strict=True)]
        return result(*wanted), generate

    return typed
