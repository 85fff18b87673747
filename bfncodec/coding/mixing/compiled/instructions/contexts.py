"""Instructions of :mod:`bfncodec.coding.mixing.compiled.contexts`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.coding.mixing.compiled.instructions.rows import (
    BYTES,
    INT,
    INTS,
    WORD,
    WORDS,
    Row,
    filled,
    on_rows,
    reduce,
    sums_of_bytes,
)
from bfncodec.coding.mixing.state import GROUP, NEIGHBOURS
from bfncodec.runtime.llvm import broadcast, cgutils


def _choose(builder: ir.IRBuilder, slots: Row, own: ir.Value, tag: ir.Value) -> ir.Value:
    words = slots.load(ir.Constant(WORD, 0))  # head and tail of each by turns
    heads = builder.shuffle_vector(words, words, ir.Constant(INTS, [k & ~1 for k in range(GROUP)]))
    counts = builder.lshr(builder.and_(words, ir.Constant(WORDS, [0, -1] * NEIGHBOURS)), filled(8))
    sums = builder.add(sums_of_bytes(builder, builder.bitcast(counts, BYTES)), filled(1))
    is_own = builder.icmp_unsigned("==", builder.and_(heads, filled(0xFFFF)), broadcast(builder, tag, GROUP))
    worth = builder.select(is_own, filled(0), sums)
    ways = builder.xor(ir.Constant(WORDS, [k >> 1 for k in range(GROUP)]), broadcast(builder, own, GROUP))
    key = builder.or_(builder.mul(worth, filled(NEIGHBOURS)), ways)
    key = builder.or_(key, ir.Constant(WORDS, [1 << 32, 0] * NEIGHBOURS))
    return builder.and_(reduce(builder, "smin", key), ir.Constant(WORD, NEIGHBOURS - 1))


def _sum_of(builder: ir.IRBuilder, row: Row, start: ir.Value, count: ir.Value) -> ir.Value:
    group, none = ir.Constant(WORD, GROUP), filled(0, INTS)
    first, before = builder.udiv(start, group), builder.trunc(builder.urem(start, group), INT)
    lanes = builder.sub(ir.Constant(INTS, list(range(GROUP))), broadcast(builder, before, GROUP))
    inside = builder.icmp_unsigned("<", lanes, broadcast(builder, builder.trunc(count, INT), GROUP))
    groups = builder.udiv(builder.add(count, ir.Constant(WORD, GROUP - 1)), group)
    total = cgutils.alloca_once_value(builder, none)
    with cgutils.for_range(builder, groups) as loop:
        part = builder.select(inside, row.load(builder.add(first, loop.index)), none)
        builder.store(builder.add(builder.load(total), part), total)
    return builder.zext(reduce(builder, "add", builder.load(total)), WORD)


def _add_rows(builder: ir.IRBuilder, first: Row, second: Row, found: Row) -> None:
    with cgutils.for_range(builder, found.groups) as loop:
        found.store(loop.index, builder.add(first.load(loop.index), second.load(loop.index)))


_CHOOSE = on_rows(types.int64, "wrnn", _choose)
_SUM_OF = on_rows(types.int64, "irnn", _sum_of)
_ADD_ROWS = on_rows(types.void, "irrir", _add_rows)


@intrinsic
def choose(typing: Any, words: Any, first: Any, own: Any, tag: Any) -> Any:
    """Return by how much the slot that a context has differs from its own, as `contexts.look_up` says.

    first, own: number of the first of NEIGHBOURS slots, and that of its own among them; NEIGHBOURS is half of GROUP
    """
    return _CHOOSE(words, first, own, tag)


@intrinsic
def sum_of(typing: Any, weights: Any, j: Any, start: Any, count: Any) -> Any:
    """Return the sum of some weights of a row, below 2^31: whole groups of them, or some of one group."""
    return _SUM_OF(weights, j, start, count)


@intrinsic
def add_rows(typing: Any, weights: Any, a: Any, b: Any, sums: Any, j: Any) -> Any:
    """Set a row to the sum of two."""
    return _ADD_ROWS(weights, a, b, sums, j)
