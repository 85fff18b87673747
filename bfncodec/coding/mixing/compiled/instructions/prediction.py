"""Instructions of :mod:`bfncodec.coding.mixing.compiled.prediction`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.coding.mixing.compiled.instructions.rows import (
    BYTE,
    BYTES,
    FLOATS,
    HALVES,
    INTS,
    WORD,
    WORDS,
    Row,
    filled,
    larger,
    on_rows,
    reduce,
    smaller,
    sums_of_bytes,
)
from bfncodec.coding.mixing.state import COUNT_LEVELS, GROUP, PAIRS, STATES
from bfncodec.runtime.llvm import broadcast, cgutils

HALF_BITS, HALF_ONE = 22, 2 * 127  # bits behind the first of a float's fraction; those before them of 1.0


def _find_states(
    builder: ir.IRBuilder, symbols: Row, counts: Row, states: Row, known: ir.Value, left: ir.Value, node: ir.Value
) -> ir.Value:
    agreeing = _agreeing(builder, left, node)
    limit, longest = broadcast(builder, known, GROUP), cgutils.alloca_once_value(builder, ir.Constant(WORD, 0))
    with cgutils.for_range(builder, symbols.groups) as loop:
        counted, ones = agreeing(symbols.load(loop.index), counts.load(loop.index))
        first = broadcast(builder, builder.mul(loop.index, ir.Constant(WORD, GROUP)), GROUP)
        own = builder.add(first, ir.Constant(WORDS, list(range(GROUP))))
        both, of_ones = sums_of_bytes(builder, counted), sums_of_bytes(builder, ones)
        level = _levels(builder, builder.or_(builder.sub(both, of_ones), builder.shl(of_ones, filled(32))))
        state = builder.mul(builder.and_(level, filled(255)), filled(len(COUNT_LEVELS)))
        for part in (
            builder.lshr(level, filled(32)),
            builder.mul(own, filled(STATES)),
            _latest(builder, counted, ones),
        ):
            state = builder.add(state, part)
        states.store(loop.index, builder.trunc(state, INTS))
        is_known = builder.and_(builder.icmp_unsigned("!=", both, filled(0)), builder.icmp_unsigned("<", own, limit))
        number = reduce(builder, "smax", builder.select(is_known, builder.add(own, filled(1)), filled(0)))
        builder.store(larger(builder, builder.load(longest), number), longest)
    return builder.load(longest)


def _agreeing(builder: ir.IRBuilder, left: ir.Value, node: ir.Value) -> Callable[..., tuple[ir.Value, ir.Value]]:
    """Return a function of ways and their counts, bytes in words: the counts of those that agree with the bits of a
    node, and of those of them whose next bit is a 1, as bytes.
    """

    def byte(value: ir.Value) -> ir.Value:
        return broadcast(builder, builder.trunc(value, BYTE), 8 * GROUP)

    one, nothing = ir.Constant(WORD, 1), filled(0, BYTES)
    alike, begin = byte(builder.shl(ir.Constant(WORD, 255), left)), byte(builder.shl(node, left))
    following = byte(builder.shl(one, builder.sub(left, one)))

    def counts_of(ways: ir.Value, counts: ir.Value) -> tuple[ir.Value, ir.Value]:
        ways, counts = builder.bitcast(ways, BYTES), builder.bitcast(counts, BYTES)
        agree = builder.icmp_unsigned("==", builder.and_(ways, alike), begin)
        counted = builder.select(agree, counts, nothing)
        is_one = builder.icmp_unsigned("!=", builder.and_(ways, following), nothing)
        return counted, builder.select(is_one, counted, nothing)

    return counts_of


def _latest(builder: ir.IRBuilder, counted: ir.Value, ones: ir.Value) -> ir.Value:
    """Return what the two latest symbols say, see `prediction.latest`, times PAIRS."""
    one = filled(1, BYTES)
    first, second = (builder.select(builder.icmp_unsigned("<", n, one), n, one) for n in (counted, ones))
    said = builder.bitcast(builder.add(first, second), WORDS)
    latest = builder.mul(builder.and_(said, filled(3)), filled(PAIRS))
    return builder.add(latest, builder.mul(builder.and_(builder.lshr(said, filled(8)), filled(3)), filled(3 * PAIRS)))


def _levels(builder: ir.IRBuilder, counts: ir.Value) -> ir.Value:
    """`state.count_levels` of both halves of each word: two levels for each power of two from 2 on, by the first two
    binary digits of a float.
    """
    count, two, most = (builder.bitcast(counts, HALVES), *(filled(n, HALVES) for n in (2, len(COUNT_LEVELS) - 1)))
    digits = builder.lshr(builder.bitcast(builder.sitofp(count, FLOATS), HALVES), filled(HALF_BITS, HALVES))
    level = larger(builder, builder.sub(digits, filled(HALF_ONE, HALVES)), smaller(builder, count, two))
    return builder.bitcast(smaller(builder, level, most), WORDS)


def _weigh(builder: ir.IRBuilder, first: Row, second: Row, third: Row, fourth: Row, base: Row, inputs: Row) -> ir.Value:
    total = cgutils.alloca_once_value(builder, filled(0))
    with cgutils.for_range(builder, inputs.groups) as loop:
        i = loop.index
        weight = builder.add(builder.add(first.load(i), second.load(i)), builder.add(third.load(i), fourth.load(i)))
        weight = builder.add(weight, base.load(i))
        product = builder.mul(builder.sext(weight, WORDS), builder.sext(inputs.load(i), WORDS))
        builder.store(builder.add(builder.load(total), product), total)
    return reduce(builder, "add", builder.load(total))


_FIND_STATES = on_rows(types.int64, "wrwrirnnn", _find_states)
_WEIGH = on_rows(types.int64, "irrrririr", _weigh)


@intrinsic
def find_states(
    typing: Any, ways: Any, j: Any, counts: Any, m: Any, states: Any, row: Any, known: Any, left: Any, node: Any
) -> Any:
    """Set the states of all contexts' maps: how often zeros and ones followed the bits of a node, and what the two
    latest symbols say. Returns the number of the longest known context of the first `known`.

    ways, counts: of each context, a byte for each way, that of the first the lowest. left: bits behind the node
    """
    return _FIND_STATES(ways, j, counts, m, states, row, known, left, node)


@intrinsic
def weigh(typing: Any, weights: Any, a: Any, b: Any, c: Any, d: Any, base: Any, j: Any, inputs: Any, row: Any) -> Any:
    """Return the sum of the inputs of a row, each times the sum of its weights in four sets and a row of `base`."""
    return _WEIGH(weights, a, b, c, d, base, j, inputs, row)
