"""Instructions for LLVM that the mixer's kernels consist of: on rows of numbers, GROUP of them at a time.

This module imports Numba, so it is imported when kernels are compiled and never else, see :mod:`bfncodec.runtime.jit`.
What Numba makes of loops over short rows asks before each whether rows overlap, and takes what is left over one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bfncodec.coding.mixing.state import (
    COUNT_LEVELS,
    FRACTION_BITS,
    GROUP,
    LIMIT,
    LOG_2,
    LOG_UNIT,
    MOST_COUNT,
    MOST_WEIGHT,
    NEIGHBOURS,
    PAIRS,
    STATES,
    WAYS,
)
from bfncodec.runtime.kept import features
from bfncodec.runtime.llvm import broadcast, cgutils

_BIT, _BYTE, _INT, _WORD = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_INTS, _WORDS, _DOUBLES = (ir.VectorType(kind, GROUP) for kind in (_INT, _WORD, ir.DoubleType()))
_BYTES, _HALVES, _FLOATS = (ir.VectorType(kind, n * GROUP) for kind, n in ((_BYTE, 8), (_INT, 2), (ir.FloatType(), 2)))
DOUBLE_BITS = 52  # of a double's fraction
HALF_BITS, HALF_ONE = 22, 2 * 127  # bits behind the first of a float's fraction; those before them of 1.0
ROUND_BITS = 25  # that a gradient times a rate has more than a weight
EACH, LOWER, SEVEN = 0x0101010101010101, 0x7F7F7F7F7F7F7F7F, (1 << 8 * WAYS) - 1
SUMS_OF_BYTES = {"+avx512bw": (64, "llvm.x86.avx512.psad.bw.512"), "+avx2": (32, "llvm.x86.avx2.psad.bw")}
"""Bytes that an instruction takes, and its name, by the feature that has it."""


# ---- numbers side by side -----------------------------------------------------------------------


def _all(value: int, kind: ir.VectorType = _WORDS) -> ir.Constant:
    """Return a vector with a number in every place."""
    return ir.Constant(kind, [value] * kind.count)


def _larger(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed(">", first, second), first, second)


def _smaller(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed("<", first, second), first, second)


def _reduce(builder: ir.IRBuilder, name: str, numbers: ir.Value) -> ir.Value:
    """Return the sum of all numbers (`add`), the least (`smin`) or the largest (`smax`)."""
    kind = numbers.type
    declared = builder.module.declare_intrinsic(
        f"llvm.vector.reduce.{name}.v{kind.count}i{kind.element.width}", (), ir.FunctionType(kind.element, [kind])
    )
    return builder.call(declared, [numbers])


def _sums_of_bytes(builder: ir.IRBuilder, numbers: ir.Value) -> ir.Value:
    """Return the sums of the bytes of each word, below 2^16."""
    here = [found for name, found in SUMS_OF_BYTES.items() if name in features()]
    if not here:
        word, pair = builder.bitcast(numbers, _WORDS), _all(0x00FF00FF00FF00FF)
        found = builder.add(builder.and_(word, pair), builder.and_(builder.lshr(word, _all(8)), pair))
        found = builder.add(found, builder.lshr(found, _all(32)))
        return builder.and_(builder.add(found, builder.lshr(found, _all(16))), _all(0xFFFF))
    count, name = here[0]
    kind = ir.VectorType(_BYTE, count)
    shape = ir.FunctionType(ir.VectorType(_WORD, count // 8), [kind, kind])
    declared, parts = builder.module.declare_intrinsic(name, (), shape), []
    for first in range(0, 8 * GROUP, count):
        places = ir.Constant(ir.VectorType(_INT, count), list(range(first, first + count)))
        part = builder.shuffle_vector(numbers, numbers, places)
        parts.append(builder.call(declared, [part, _all(0, kind)]))
    return builder.shuffle_vector(parts[0], parts[-1], ir.Constant(_INTS, list(range(GROUP))))


class _Row:
    """A row of a matrix, whose length is a multiple of GROUP; or GROUP numbers of an array from a place on."""

    def __init__(self, builder: ir.IRBuilder, array: Any, row: ir.Value, kind: ir.VectorType) -> None:
        self.builder = builder
        *_, width = cgutils.unpack_tuple(builder, array.shape)
        step, *more = cgutils.unpack_tuple(builder, array.strides)
        self.groups = builder.udiv(width, ir.Constant(_WORD, GROUP)) if more else ir.Constant(_WORD, 1)
        self._bytes = builder.gep(builder.bitcast(array.data, _BYTE.as_pointer()), [builder.mul(row, step)])
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
            mask, pointer = ir.VectorType(_BIT, GROUP), _BYTE.as_pointer()
            shape = ir.FunctionType(_WORDS, [_WORDS, pointer, _WORDS, mask, _INT])
            gather = builder.module.declare_intrinsic("llvm.x86.avx512.mask.gather.qpq.512", (), shape)
            return builder.call(gather, [_all(0), self._bytes, places, _all(1, mask), ir.Constant(_INT, 8)])
        table, found = builder.bitcast(self._bytes, _WORD.as_pointer()), ir.Constant(_WORDS, ir.Undefined)
        for k in range(GROUP):
            lane = ir.Constant(_INT, k)
            value = builder.load(builder.gep(table, [builder.extract_element(places, lane)]))
            found = builder.insert_element(found, value, lane)
        return found


def _on_rows(result: Any, kinds: str, act: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Return what an intrinsic on rows and numbers does. kinds: of its arguments, `i` for a matrix of 32-bit numbers,
    `w` for one of words, `r` for a row of the matrix before it, `n` for a number.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
        found, array, kind = [], None, _INTS
        for letter, value, given in zip(kinds, values, signature.args, strict=True):
            if letter in "iw":
                array, kind = context.make_array(given)(context, builder, value), _INTS if letter == "i" else _WORDS
            else:
                found.append(_Row(builder, array, value, kind) if letter == "r" else value)
        answer = act(builder, *found)
        return context.get_dummy_value() if answer is None else answer

    def typed(*arguments: Any) -> tuple[Any, Any]:
        wanted = [given if letter in "iw" else types.int64 for letter, given in zip(kinds, arguments, strict=True)]
        return result(*wanted), generate

    return typed


# ---- before a step ------------------------------------------------------------------------------


def _choose(builder: ir.IRBuilder, slots: _Row, own: ir.Value, tag: ir.Value) -> ir.Value:
    words = slots.load(ir.Constant(_WORD, 0))  # head and tail of each by turns
    heads = builder.shuffle_vector(words, words, ir.Constant(_INTS, [k & ~1 for k in range(GROUP)]))
    counts = builder.lshr(builder.and_(words, ir.Constant(_WORDS, [0, -1] * NEIGHBOURS)), _all(8))
    sums = builder.add(_sums_of_bytes(builder, builder.bitcast(counts, _BYTES)), _all(1))
    is_own = builder.icmp_unsigned("==", builder.and_(heads, _all(0xFFFF)), broadcast(builder, tag, GROUP))
    worth = builder.select(is_own, _all(0), sums)
    ways = builder.xor(ir.Constant(_WORDS, [k >> 1 for k in range(GROUP)]), broadcast(builder, own, GROUP))
    key = builder.or_(builder.mul(worth, _all(NEIGHBOURS)), ways)
    key = builder.or_(key, ir.Constant(_WORDS, [1 << 32, 0] * NEIGHBOURS))
    return builder.and_(_reduce(builder, "smin", key), ir.Constant(_WORD, NEIGHBOURS - 1))


def _sum_of(builder: ir.IRBuilder, row: _Row, start: ir.Value, count: ir.Value) -> ir.Value:
    group, none = ir.Constant(_WORD, GROUP), _all(0, _INTS)
    first, before = builder.udiv(start, group), builder.trunc(builder.urem(start, group), _INT)
    lanes = builder.sub(ir.Constant(_INTS, list(range(GROUP))), broadcast(builder, before, GROUP))
    inside = builder.icmp_unsigned("<", lanes, broadcast(builder, builder.trunc(count, _INT), GROUP))
    groups = builder.udiv(builder.add(count, ir.Constant(_WORD, GROUP - 1)), group)
    total = cgutils.alloca_once_value(builder, none)
    with cgutils.for_range(builder, groups) as loop:
        part = builder.select(inside, row.load(builder.add(first, loop.index)), none)
        builder.store(builder.add(builder.load(total), part), total)
    return builder.zext(_reduce(builder, "add", builder.load(total)), _WORD)


def _add_rows(builder: ir.IRBuilder, first: _Row, second: _Row, found: _Row) -> None:
    with cgutils.for_range(builder, found.groups) as loop:
        found.store(loop.index, builder.add(first.load(loop.index), second.load(loop.index)))


# ---- one bit ------------------------------------------------------------------------------------


def _find_states(
    builder: ir.IRBuilder, symbols: _Row, counts: _Row, states: _Row, known: ir.Value, left: ir.Value, node: ir.Value
) -> ir.Value:
    agreeing = _agreeing(builder, left, node)
    limit, longest = broadcast(builder, known, GROUP), cgutils.alloca_once_value(builder, ir.Constant(_WORD, 0))
    with cgutils.for_range(builder, symbols.groups) as loop:
        counted, ones = agreeing(symbols.load(loop.index), counts.load(loop.index))
        first = broadcast(builder, builder.mul(loop.index, ir.Constant(_WORD, GROUP)), GROUP)
        own = builder.add(first, ir.Constant(_WORDS, list(range(GROUP))))
        both, of_ones = _sums_of_bytes(builder, counted), _sums_of_bytes(builder, ones)
        level = _levels(builder, builder.or_(builder.sub(both, of_ones), builder.shl(of_ones, _all(32))))
        state = builder.mul(builder.and_(level, _all(255)), _all(len(COUNT_LEVELS)))
        for part in (builder.lshr(level, _all(32)), builder.mul(own, _all(STATES)), _latest(builder, counted, ones)):
            state = builder.add(state, part)
        states.store(loop.index, builder.trunc(state, _INTS))
        is_known = builder.and_(builder.icmp_unsigned("!=", both, _all(0)), builder.icmp_unsigned("<", own, limit))
        number = _reduce(builder, "smax", builder.select(is_known, builder.add(own, _all(1)), _all(0)))
        builder.store(_larger(builder, builder.load(longest), number), longest)
    return builder.load(longest)


def _agreeing(builder: ir.IRBuilder, left: ir.Value, node: ir.Value) -> Callable[..., tuple[ir.Value, ir.Value]]:
    """Return a function of ways and their counts, bytes in words: the counts of those that agree with the bits of a
    node, and of those of them whose next bit is a 1, as bytes.
    """

    def byte(value: ir.Value) -> ir.Value:
        return broadcast(builder, builder.trunc(value, _BYTE), 8 * GROUP)

    one, nothing = ir.Constant(_WORD, 1), _all(0, _BYTES)
    alike, begin = byte(builder.shl(ir.Constant(_WORD, 255), left)), byte(builder.shl(node, left))
    following = byte(builder.shl(one, builder.sub(left, one)))

    def counts_of(ways: ir.Value, counts: ir.Value) -> tuple[ir.Value, ir.Value]:
        ways, counts = builder.bitcast(ways, _BYTES), builder.bitcast(counts, _BYTES)
        agree = builder.icmp_unsigned("==", builder.and_(ways, alike), begin)
        counted = builder.select(agree, counts, nothing)
        is_one = builder.icmp_unsigned("!=", builder.and_(ways, following), nothing)
        return counted, builder.select(is_one, counted, nothing)

    return counts_of


def _latest(builder: ir.IRBuilder, counted: ir.Value, ones: ir.Value) -> ir.Value:
    """Return what the two latest symbols say, see `contexts._latest`, times PAIRS."""
    one = _all(1, _BYTES)
    first, second = (builder.select(builder.icmp_unsigned("<", n, one), n, one) for n in (counted, ones))
    said = builder.bitcast(builder.add(first, second), _WORDS)
    latest = builder.mul(builder.and_(said, _all(3)), _all(PAIRS))
    return builder.add(latest, builder.mul(builder.and_(builder.lshr(said, _all(8)), _all(3)), _all(3 * PAIRS)))


def _levels(builder: ir.IRBuilder, counts: ir.Value) -> ir.Value:
    """`state.count_levels` of both halves of each word: two levels for each power of two from 2 on, by the first two
    binary digits of a float.
    """
    count, two, most = (builder.bitcast(counts, _HALVES), *(_all(n, _HALVES) for n in (2, len(COUNT_LEVELS) - 1)))
    digits = builder.lshr(builder.bitcast(builder.sitofp(count, _FLOATS), _HALVES), _all(HALF_BITS, _HALVES))
    level = _larger(builder, builder.sub(digits, _all(HALF_ONE, _HALVES)), _smaller(builder, count, two))
    return builder.bitcast(_smaller(builder, level, most), _WORDS)


def _weigh(
    builder: ir.IRBuilder, first: _Row, second: _Row, third: _Row, fourth: _Row, base: _Row, inputs: _Row
) -> ir.Value:
    total = cgutils.alloca_once_value(builder, _all(0))
    with cgutils.for_range(builder, inputs.groups) as loop:
        i = loop.index
        weight = builder.add(builder.add(first.load(i), second.load(i)), builder.add(third.load(i), fourth.load(i)))
        weight = builder.add(weight, base.load(i))
        product = builder.mul(builder.sext(weight, _WORDS), builder.sext(inputs.load(i), _WORDS))
        builder.store(builder.add(builder.load(total), product), total)
    return _reduce(builder, "add", builder.load(total))


# ---- after a step -------------------------------------------------------------------------------


def _add_slope(
    builder: ir.IRBuilder,
    first: _Row,
    second: _Row,
    third: _Row,
    fourth: _Row,
    both: _Row,
    inputs: _Row,
    error: ir.Value,
) -> None:
    short = builder.sext(builder.trunc(error, _INT), _WORD)  # products of 32-bit numbers are fast
    factor = broadcast(builder, short, GROUP)
    with cgutils.for_range(builder, inputs.groups) as loop:
        slope = builder.mul(builder.sext(inputs.load(loop.index), _WORDS), factor)
        for row in (first, second, third, fourth, both):
            row.add(loop.index, slope)


def _move(builder: ir.IRBuilder, both: _Row, first: _Row, second: _Row) -> None:
    with cgutils.for_range(builder, both.groups) as loop:
        value = both.load(loop.index)
        first.add(loop.index, value)
        second.add(loop.index, value)
        both.store(loop.index, _all(0))


def _learn(builder: ir.IRBuilder, weights: _Row, gradient: _Row, rate: ir.Value) -> None:
    factor = broadcast(builder, rate, GROUP)
    with cgutils.for_range(builder, weights.groups) as loop:
        step = builder.add(builder.mul(gradient.load(loop.index), factor), _all(1 << (ROUND_BITS - 1)))
        old = builder.sext(weights.load(loop.index), _WORDS)
        changed = builder.add(old, builder.ashr(step, _all(ROUND_BITS)))
        changed = _smaller(builder, _larger(builder, changed, _all(-MOST_WEIGHT)), _all(MOST_WEIGHT))
        weights.store(loop.index, builder.trunc(changed, _INTS))
        gradient.store(loop.index, _all(0))


def _log_odds(builder: ir.IRBuilder, ones: _Row, zeros: _Row, logarithms: _Row) -> None:
    def logarithm(count: ir.Value) -> tuple[ir.Value, ir.Value]:
        count = builder.or_(builder.shl(count, _all(1)), _all(1))
        digits = builder.bitcast(builder.sitofp(count, _DOUBLES), _WORDS)
        place = builder.and_(builder.lshr(digits, _all(DOUBLE_BITS - FRACTION_BITS)), _all((1 << FRACTION_BITS) - 1))
        return builder.lshr(digits, _all(DOUBLE_BITS)), logarithms.entries(place)

    first = ir.Constant(_WORD, 0)
    (exponent, fraction), (other, less) = logarithm(ones.load(first)), logarithm(zeros.load(first))
    found = builder.add(builder.mul(builder.sub(exponent, other), _all(LOG_2)), builder.sub(fraction, less))
    found = builder.ashr(builder.add(found, _all(LOG_UNIT // 2)), _all(LOG_UNIT.bit_length() - 1))
    ones.store(first, _smaller(builder, _larger(builder, found, _all(-LIMIT)), _all(LIMIT)))


def _count_in(builder: ir.IRBuilder, symbols: _Row, counts: _Row, heads: _Row, tails: _Row, symbol: ir.Value) -> None:
    new = broadcast(builder, builder.mul(symbol, ir.Constant(_WORD, EACH)), GROUP)
    with cgutils.for_range(builder, symbols.groups) as loop:
        ways, times = symbols.load(loop.index), counts.load(loop.index)
        is_known, upto = _way(builder, ways, times, new)
        own = builder.and_(times, builder.xor(upto, builder.lshr(upto, _all(8))))
        many = _sums_of_bytes(builder, builder.bitcast(own, _BYTES))
        full = builder.and_(is_known, builder.icmp_unsigned("==", many, _all(MOST_COUNT)))
        times = builder.select(full, builder.and_(builder.lshr(times, _all(1)), _all(LOWER)), times)
        many = builder.select(full, builder.lshr(many, _all(1)), many)
        many = builder.select(is_known, builder.add(many, _all(1)), _all(1))
        ways, times = (
            builder.or_(
                builder.and_(old, builder.xor(upto, _all(-1))),
                builder.or_(builder.and_(builder.shl(old, _all(8)), upto), first),
            )
            for old, first in ((ways, builder.and_(new, _all(255))), (times, many))
        )
        heads.store(loop.index, builder.shl(ways, _all(16)))
        tails.store(loop.index, builder.or_(builder.lshr(ways, _all(48)), builder.shl(times, _all(8))))


def _way(builder: ir.IRBuilder, ways: ir.Value, counts: ir.Value, new: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return whether rows have a symbol, and the bits of all ways up to its own, else to that of the rarest symbol."""
    same = builder.icmp_unsigned("==", builder.bitcast(ways, _BYTES), builder.bitcast(new, _BYTES))
    some = builder.icmp_unsigned("!=", builder.bitcast(counts, _BYTES), _all(0, _BYTES))
    found = builder.bitcast(builder.sext(builder.and_(same, some), _BYTES), _WORDS)  # one byte at most
    found = builder.and_(found, _all(SEVEN))
    is_known = builder.icmp_unsigned("!=", found, _all(0))
    return is_known, builder.select(is_known, builder.or_(found, builder.sub(found, _all(1))), _rarest(builder, counts))


def _rarest(builder: ir.IRBuilder, counts: ir.Value) -> ir.Value:
    """Return the bits of all ways up to that of the rarest symbol, the last of equal ones."""
    keys = []
    for way in range(WAYS):  # its count, and behind it the number of ways that follow
        count = builder.and_(builder.lshr(counts, _all(8 * way)), _all(255))
        keys.append(builder.or_(builder.shl(count, _all(3)), _all(WAYS - 1 - way)))
    least = keys[0]
    for key in keys[1:]:
        least = _smaller(builder, least, key)
    return builder.lshr(_all(SEVEN), builder.shl(builder.and_(least, _all(7)), _all(3)))


# ---- what kernels call --------------------------------------------------------------------------

_CHOOSE = _on_rows(types.int64, "wrnn", _choose)
_SUM_OF = _on_rows(types.int64, "irnn", _sum_of)
_ADD_ROWS = _on_rows(types.void, "irrir", _add_rows)
_FIND_STATES = _on_rows(types.int64, "wrwrirnnn", _find_states)
_WEIGH = _on_rows(types.int64, "irrrririr", _weigh)
_ADD_SLOPE = _on_rows(types.void, "wrrrrwrirn", _add_slope)
_MOVE = _on_rows(types.void, "wrwrr", _move)
_LEARN = _on_rows(types.void, "irwrn", _learn)
_LOG_ODDS = _on_rows(types.void, "wrwrwr", _log_odds)
_COUNT_IN = _on_rows(types.void, "wrwrwrwrn", _count_in)


@intrinsic
def choose(typing: Any, words: Any, first: Any, own: Any, tag: Any) -> Any:
    """Return by how much the slot that a context has differs from its own, as `ContextMixer._find` says.

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
def learn(typing: Any, weights: Any, which: Any, sums: Any, a: Any, rate: Any) -> Any:
    """Change a set of weights by a row of sums, which is set to zeros, times a rate."""
    return _LEARN(weights, which, sums, a, rate)


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
