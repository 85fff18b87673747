"""Instructions of :mod:`bfncodec.coding.mixing.compiled.learning`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.coding.mixing.compiled.instructions.rows import (
    BYTES,
    DOUBLES,
    INT,
    INTS,
    WORD,
    WORDS,
    Row,
    filled,
    larger,
    on_rows,
    smaller,
    sums_of_bytes,
)
from bfncodec.coding.mixing.state import (
    FRACTION_BITS,
    GROUP,
    LIMIT,
    LOG_2,
    LOG_UNIT,
    MOST_COUNT,
    MOST_WEIGHT,
    PACE_BITS,
    WAYS,
)
from bfncodec.runtime.llvm import broadcast, cgutils

DOUBLE_BITS = 52  # of a double's fraction
ROUND_BITS = 25 + PACE_BITS  # that a gradient times a rate and a pace has more than a weight
EACH, LOWER, SEVEN = 0x0101010101010101, 0x7F7F7F7F7F7F7F7F, (1 << 8 * WAYS) - 1


def _add_slope(
    builder: ir.IRBuilder,
    first: Row,
    second: Row,
    third: Row,
    fourth: Row,
    both: Row,
    inputs: Row,
    error: ir.Value,
) -> None:
    short = builder.sext(builder.trunc(error, INT), WORD)  # products of 32-bit numbers are fast
    factor = broadcast(builder, short, GROUP)
    with cgutils.for_range(builder, inputs.groups) as loop:
        slope = builder.mul(builder.sext(inputs.load(loop.index), WORDS), factor)
        for row in (first, second, third, fourth, both):
            row.add(loop.index, slope)


def _move(builder: ir.IRBuilder, both: Row, first: Row, second: Row) -> None:
    with cgutils.for_range(builder, both.groups) as loop:
        value = both.load(loop.index)
        first.add(loop.index, value)
        second.add(loop.index, value)
        both.store(loop.index, filled(0))


def _learn(builder: ir.IRBuilder, weights: Row, gradient: Row, pace: Row, rate: ir.Value) -> None:
    factor = broadcast(builder, rate, GROUP)
    with cgutils.for_range(builder, weights.groups) as loop:
        own = builder.mul(factor, pace.load(loop.index))
        step = builder.add(builder.mul(gradient.load(loop.index), own), filled(1 << (ROUND_BITS - 1)))
        old = builder.sext(weights.load(loop.index), WORDS)
        changed = builder.add(old, builder.ashr(step, filled(ROUND_BITS)))
        changed = smaller(builder, larger(builder, changed, filled(-MOST_WEIGHT)), filled(MOST_WEIGHT))
        weights.store(loop.index, builder.trunc(changed, INTS))
        gradient.store(loop.index, filled(0))


def _log_odds(builder: ir.IRBuilder, ones: Row, zeros: Row, logarithms: Row) -> None:
    def logarithm(count: ir.Value) -> tuple[ir.Value, ir.Value]:
        count = builder.or_(builder.shl(count, filled(1)), filled(1))
        digits = builder.bitcast(builder.sitofp(count, DOUBLES), WORDS)
        place = builder.and_(
            builder.lshr(digits, filled(DOUBLE_BITS - FRACTION_BITS)), filled((1 << FRACTION_BITS) - 1)
        )
        return builder.lshr(digits, filled(DOUBLE_BITS)), logarithms.entries(place)

    first = ir.Constant(WORD, 0)
    (exponent, fraction), (other, less) = logarithm(ones.load(first)), logarithm(zeros.load(first))
    found = builder.add(builder.mul(builder.sub(exponent, other), filled(LOG_2)), builder.sub(fraction, less))
    found = builder.ashr(builder.add(found, filled(LOG_UNIT // 2)), filled(LOG_UNIT.bit_length() - 1))
    ones.store(first, smaller(builder, larger(builder, found, filled(-LIMIT)), filled(LIMIT)))


def _count_in(builder: ir.IRBuilder, symbols: Row, counts: Row, heads: Row, tails: Row, symbol: ir.Value) -> None:
    new = broadcast(builder, builder.mul(symbol, ir.Constant(WORD, EACH)), GROUP)
    with cgutils.for_range(builder, symbols.groups) as loop:
        ways, times = symbols.load(loop.index), counts.load(loop.index)
        is_known, upto = _way(builder, ways, times, new)
        own = builder.and_(times, builder.xor(upto, builder.lshr(upto, filled(8))))
        many = sums_of_bytes(builder, builder.bitcast(own, BYTES))
        full = builder.and_(is_known, builder.icmp_unsigned("==", many, filled(MOST_COUNT)))
        times = builder.select(full, builder.and_(builder.lshr(times, filled(1)), filled(LOWER)), times)
        many = builder.select(full, builder.lshr(many, filled(1)), many)
        many = builder.select(is_known, builder.add(many, filled(1)), filled(1))
        ways, times = (
            builder.or_(
                builder.and_(old, builder.xor(upto, filled(-1))),
                builder.or_(builder.and_(builder.shl(old, filled(8)), upto), first),
            )
            for old, first in ((ways, builder.and_(new, filled(255))), (times, many))
        )
        heads.store(loop.index, builder.shl(ways, filled(16)))
        tails.store(loop.index, builder.or_(builder.lshr(ways, filled(48)), builder.shl(times, filled(8))))


def _way(builder: ir.IRBuilder, ways: ir.Value, counts: ir.Value, new: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return whether rows have a symbol, and the bits of all ways up to its own, else to that of the rarest symbol."""
    same = builder.icmp_unsigned("==", builder.bitcast(ways, BYTES), builder.bitcast(new, BYTES))
    some = builder.icmp_unsigned("!=", builder.bitcast(counts, BYTES), filled(0, BYTES))
    found = builder.bitcast(builder.sext(builder.and_(same, some), BYTES), WORDS)  # one byte at most
    found = builder.and_(found, filled(SEVEN))
    is_known = builder.icmp_unsigned("!=", found, filled(0))
    return is_known, builder.select(
        is_known, builder.or_(found, builder.sub(found, filled(1))), _rarest(builder, counts)
    )


def _rarest(builder: ir.IRBuilder, counts: ir.Value) -> ir.Value:
    """Return the bits of all ways up to that of the rarest symbol, the last of equal ones."""
    keys = []
    for way in range(WAYS):  # its count, and behind it the number of ways that follow
        count = builder.and_(builder.lshr(counts, filled(8 * way)), filled(255))
        keys.append(builder.or_(builder.shl(count, filled(3)), filled(WAYS - 1 - way)))
    least = keys[0]
    for key in keys[1:]:
        least = smaller(builder, least, key)
    return builder.lshr(filled(SEVEN), builder.shl(builder.and_(least, filled(7)), filled(3)))


_ADD_SLOPE = on_rows(types.void, "wrrrrwrirn", _add_slope)
_MOVE = on_rows(types.void, "wrwrr", _move)
_LEARN = on_rows(types.void, "irwrwrn", _learn)
_LOG_ODDS = on_rows(types.void, "wrwrwr", _log_odds)
_COUNT_IN = on_rows(types.void, "wrwrwrwrn", _count_in)


@intrinsic
def add_slope(
    typing: Any, sums: Any, a: Any, b: Any, c: Any, d: Any, both: Any, first: Any, inputs: Any, row: Any, error: Any
) -> Any:
    """Add a row of inputs, times an error, to four rows of sums and a row of `both`."""
    return _ADD_SLOPE(sums, a, b, c, d, both, first, inputs, row, error)


@intrinsic
def move(typing: Any, both: Any, first: Any, sums: Any, a: Any, b: Any) -> Any:
    """Add a row to two rows of sums, and set it to zeros."""
    return _MOVE(both, first, sums, a, b)


@intrinsic
def learn(typing: Any, weights: Any, which: Any, sums: Any, a: Any, pace: Any, row: Any, rate: Any) -> Any:
    """Change a set of weights by a row of sums, which is set to zeros, times a rate and a row of paces."""
    return _LEARN(weights, which, sums, a, pace, row, rate)


@intrinsic
def log_odds(typing: Any, ones: Any, i: Any, zeros: Any, j: Any, logarithms: Any, first: Any) -> Any:
    """Put GROUP results of `state.log_odds` in the place of their ones."""
    return _LOG_ODDS(ones, i, zeros, j, logarithms, first)


@intrinsic
def count_in(
    typing: Any, ways: Any, j: Any, counts: Any, m: Any, heads: Any, k: Any, tails: Any, n: Any, symbol: Any
) -> Any:
    """Set heads and tails to the words of rows, without their tags, in which a symbol is counted and comes first; a new
    one takes the place of the rarest.
    """
    return _COUNT_IN(ways, j, counts, m, heads, k, tails, n, symbol)
