"""Kernels of :mod:`bfncodec.coding.mixing.numerals`, on the arrays of the same state.

Functions equal those that they are named after, to the bit.
"""

from __future__ import annotations

from typing import Any

from bfncodec.coding.mixing.numerals import (
    AHEAD,
    BEGUN,
    BEND,
    BINARY,
    BITS,
    BOUND,
    COUNT,
    DECIMAL,
    DECIMALS,
    DIGITS,
    DOUBLE,
    END,
    ENDED,
    ERROR,
    FIRST_FOLLOWED,
    FOLLOWS,
    HALVES,
    HIGHEST,
    INDEX,
    KEPT,
    KNOWN,
    LATELY,
    LEAST_DIGITS,
    LEVELS,
    LOWEST,
    MANTISSA,
    MOST_BINARY,
    MOST_DIGITS,
    MOST_FOLLOWED,
    MOST_INDEX,
    MOST_KNOWN,
    MOST_PLACES,
    NEW,
    NO,
    NONE,
    ORDERS,
    PASSED,
    POINT,
    REST,
    RIGHT,
    SIGN,
    SIGNED,
    STAGE,
    STEP,
    TENS,
    UNKNOWN,
    VALUE,
    WIDTH,
    YES,
    ZERO,
    NumeralState,
)
from bfncodec.coding.mixing.places import MOST_NUMBER, NEXT, OTHER
from bfncodec.runtime.arrays import Ints
from bfncodec.runtime.jit import compiled, inlined

NEAR = DOUBLE - MANTISSA + 1
NINE, MINUS, PLUS, DOT, NOUGHT = ord("9"), ord("-"), ord("+"), ord("."), ord("0")


@compiled
def read_numeral(own: NumeralState, field: Any, stream: Any, symbol: Any, kind: Any) -> None:
    """Implements `numerals.go_on` of one stream. kind: class of the symbol"""
    one = own.read[stream]
    if NOUGHT <= symbol <= NINE:
        _add_digit(one, symbol - NOUGHT)
    elif symbol == DOT and one[STAGE] == BEGUN and one[POINT] == 0:
        one[POINT] = 1
    else:
        if one[STAGE] == BEGUN:
            _end_follow(one)
            _next_column(own.columns[stream, _column(field, one[INDEX])], one)
            one[INDEX] += 1
        one[SIGN] = -1 if symbol == MINUS else 1 if symbol == PLUS else 0
        one[STAGE] = SIGNED if one[SIGN] != 0 else AHEAD if kind != OTHER else PASSED
        if kind != OTHER:
            one[INDEX] = 0


@inlined
def _column(field: Any, index: Any) -> Any:
    return min(field, MOST_NUMBER) * (MOST_INDEX + 1) + min(index, MOST_INDEX)


@compiled
def _add_digit(read: Ints, digit: Any) -> None:
    if read[STAGE] != BEGUN:
        read[STAGE], read[ZERO], read[FOLLOWS] = BEGUN, 1 if digit == 0 else 0, UNKNOWN
        read[DIGITS], read[COUNT], read[DECIMALS], read[POINT], read[RIGHT] = 0, 0, 0, 0, 0
    if read[FOLLOWS] == YES:
        _follow(read, digit)
    read[COUNT] += 1
    read[DECIMALS] += read[POINT]
    if read[COUNT] <= MOST_DIGITS:
        read[DIGITS] = 10 * read[DIGITS] + digit
        if read[FOLLOWS] == UNKNOWN and read[POINT] == 1 and read[COUNT] >= LEAST_DIGITS:
            _begin_follow(read)


@compiled
def _next_column(column: Ints, read: Ints) -> None:
    """`numerals._next_column`, in place."""
    decimals = read[DECIMALS] - max(read[COUNT] - MOST_DIGITS, 0)
    if decimals < 0:
        column[:] = 0
        return
    if column[KNOWN] > 0 and column[DECIMAL] != decimals:
        _scale(column, decimals)
    value, known = -read[DIGITS] if read[SIGN] < 0 else read[DIGITS], column[KNOWN]
    if known > 0:
        step = value - column[VALUE]
        missed = step
        for order in range(ORDERS):
            size, before = abs(missed), column[ERROR + order]
            column[ERROR + order] = before - (before >> 2) + size if known > order + 1 else 4 * size
            missed -= column[STEP + order]
        column[BEND] = step - column[STEP] if known > 1 else 0
        column[STEP] = step
    column[VALUE], column[DECIMAL] = value, decimals
    column[WIDTH] = read[COUNT] - read[DECIMALS] if read[ZERO] == 1 else 1
    column[KNOWN] = min(known + 1, MOST_KNOWN)


@compiled
def _scale(column: Ints, decimals: Any) -> None:
    """`numerals._scaled`, in place."""
    more = decimals - column[DECIMAL]
    for i in range(KEPT):
        if i <= BEND or i >= ERROR:
            if more <= 0:
                column[i] //= TENS[-more]
            elif abs(column[i]) < BOUND // TENS[more]:
                column[i] *= TENS[more]
            else:
                column[:] = 0
                return


@compiled
def _begin_follow(read: Ints) -> None:
    if read[DIGITS] == 0:
        return
    unit, binary = TENS[read[DECIMALS]] if read[DECIMALS] <= MOST_PLACES else 0, 0
    least = unit << (MANTISSA - 1)
    while binary < MOST_BINARY and read[DIGITS] << binary < least:
        binary += 1
    here = read[DIGITS] << binary
    if here < least or here >= 2 * least:
        read[FOLLOWS] = NO
    elif unit >= 1 << binary:
        read[REST], read[BINARY] = -here % unit, binary
        read[FOLLOWS] = YES if read[REST] < 1 << binary else NO


@compiled
def _follow(read: Ints, digit: Any) -> None:
    if digit == _said(read):
        read[REST] = 10 * read[REST] - (digit << read[BINARY])
        read[RIGHT] = min(read[RIGHT] + 1, MOST_FOLLOWED)
    else:
        read[FOLLOWS] = NO


@compiled
def _said(read: Ints) -> Any:
    rest, decimals, one = read[REST], read[DECIMALS], 1 << read[BINARY]
    if decimals > len(TENS) - 2 or rest <= TENS[decimals] >> NEAR:
        return END
    digit = (10 * rest) >> read[BINARY]
    rest = 10 * rest - (digit << read[BINARY])
    last = min(rest, one - rest) < TENS[decimals + 1] >> NEAR
    return digit + (1 if last and 2 * rest > one else 0)


@compiled
def _end_follow(read: Ints) -> None:
    if read[FOLLOWS] == YES and read[RIGHT] == MOST_FOLLOWED:
        read[LATELY] = min(read[LATELY] + 1, MOST_FOLLOWED)
    elif read[FOLLOWS] == NO:
        read[LATELY] = 0


@compiled
def expect_numeral(own: NumeralState, field: Any, stream: Any) -> Any:
    """Implements `numerals.expected` of one stream."""
    one = own.read[stream]
    begun = 1 if one[STAGE] == BEGUN else 0
    if begun == 1 and one[FOLLOWS] == YES:
        return FIRST_FOLLOWED + (_said(one) * (MOST_FOLLOWED + 1) + one[RIGHT]) * (MOST_FOLLOWED + 1) + one[LATELY]
    column = own.columns[stream, _column(field, one[INDEX])]
    value, error = column[VALUE], column[ERROR]
    if column[ERROR + 1] < error:
        value, error = column[VALUE] + column[STEP], column[ERROR + 1]
    if column[ERROR + 2] < error:
        value, error = column[VALUE] + column[STEP] + column[BEND], column[ERROR + 2]
    point = begun * one[POINT]
    if one[STAGE] == PASSED or column[KNOWN] == 0 or begun * one[COUNT] >= MOST_DIGITS:
        return 0
    if one[STAGE] == AHEAD and value < 0:
        return 0
    left = max(_length(abs(value) // TENS[column[DECIMAL]]), column[WIDTH]) - begun * one[COUNT]
    place = column[DECIMAL] - 1 + (-one[DECIMALS] if point == 1 else left)
    if place < 0 or (point == 0 and left <= 0):
        return 0
    unit = TENS[place]
    halves = HALVES * (-value if one[SIGN] < 0 else value) // unit - 10 * HALVES * begun * one[DIGITS]
    halves = min(max(halves, LOWEST), HIGHEST) - LOWEST
    level, rest = 0, 4 * error // unit
    while rest > 0 and level < LEVELS - 1:
        level, rest = level + 1, rest >> 1
    if column[KNOWN] == 1:
        level = NEW
    return 1 + (halves * (NEW + 1) + level) * 3 + begun * (1 + point)


@inlined
def foreseen(code: Any) -> Any:
    """`numerals.foreseen` of one stream."""
    if code == 0:
        return NONE, NONE
    if code >= FIRST_FOLLOWED:
        digit = (code - FIRST_FOLLOWED) // ((MOST_FOLLOWED + 1) * (MOST_FOLLOWED + 1))
        return (NONE, ENDED * NEXT * BITS) if digit == END else (digit + NOUGHT, 0)
    both = (code - 1) // 3
    halves = both // (NEW + 1)
    digit = min(max((halves + LOWEST) // HALVES, 0), 9)
    return digit + NOUGHT, (both - halves * (NEW + 1)) * NEXT * BITS


@inlined
def _length(value: Any) -> Any:
    """Return how many digits a number has."""
    length, rest = 1, value // 10
    while rest > 0:
        length, rest = length + 1, rest // 10
    return length
