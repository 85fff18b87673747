"""Numerals: the digit that a number in a column of a table would have next.

A context of bytes does not know that 4.02 is near to 3.97. What is kept here does: of each column, which is a field
and a number within it, the numerals of the last lines as integers, and the differences of them. The next numeral is
*expected* to be the last one, to differ from it as that did from the one before, or to go on with the second
difference, too: whichever erred least lately, as the fixed predictors of FLAC (Coalson 2001) are chosen. Then what a
digit has to be is the expected numeral less the digits that were read, in units of the digit's place; and the mean
error, in the same units, says what this is worth. So all digits of all columns share their contexts.

Many files hold numbers of single precision that were written as if they were of double precision:
0.10000000149011612 for 0.1. Its first eight or nine digits determine the others, and where they end. So behind enough
digits a numeral *follows* the number of 24 binary digits that it began as, if there is one.

All of it is exact, in integers below 2^63: numerals have 16 digits at most, others are not expected.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bfncodec.coding.mixing.places import MOST_NUMBER, NEXT, OTHER, classes
from bfncodec.runtime.arrays import Ints

BITS = 8  # of a byte
NONE = -1  # stands for a digit, or a weight set, where nothing is expected

READ = 13  # numbers that are kept of the numeral that each stream reads
STAGE, SIGN, INDEX, DIGITS, COUNT, DECIMALS, POINT, ZERO, FOLLOWS, REST, BINARY, RIGHT, LATELY = range(READ)
"""AHEAD, SIGNED, BEGUN or PASSED; 1 or -1, 0 if it has no sign; how many numerals the field has before it; its first
MOST_DIGITS digits as an integer; how many digits it has; how many of them behind the point; whether there is one;
whether it begins with a zero; whether it follows a binary number: UNKNOWN, YES or NO; what that exceeds the digits by,
in units of 2^-BINARY of the last one's place; its binary digits behind the point; how many digits were those that it
said; how many numerals lately followed theirs; the last two at most MOST_FOLLOWED."""
AHEAD, SIGNED, BEGUN, PASSED = range(4)
"""A field begins; a sign was read; a digit was read; the field has other bytes."""
UNKNOWN, YES, NO = range(3)

KEPT = 9  # numbers that are kept of each column
VALUE, STEP, BEND, DECIMAL, WIDTH, KNOWN, ERROR = range(7)
"""The last numeral, in units of its last digit; what it exceeds the one before by; what this exceeds the difference
before by; digits behind the point; least digits before it; numerals so far, MOST_KNOWN at most; then four times the
mean error of the numerals expected without differences, with the first, and with the second, too."""
ORDERS, MOST_KNOWN = 3, 4
MOST_INDEX = 3  # of the numerals of one field that have columns of their own
COLUMNS = (MOST_NUMBER + 1) * (MOST_INDEX + 1)

MOST_DIGITS = 16
BOUND = 10**17  # of what is kept of a column
TENS = 10 ** np.arange(19, dtype=np.int64)
MANTISSA = 24  # binary digits of single precision
DOUBLE = 53  # of double precision
LEAST_DIGITS, MOST_PLACES, MOST_BINARY = 7, 11, 36  # behind which a numeral may follow; behind the point at most
MOST_FOLLOWED = 3  # as REMAINS is written with 17 digits at most
END = 10  # stands for the digit behind the last one

HALVES = 2  # of a digit that are told apart
LOWEST, HIGHEST = -4, 24  # halves that a digit may be below 0, or above it, at most
LEVELS, NEW = 12, 12  # mean errors that are told apart, and that of a column with one numeral
FIRST_FOLLOWED = 1 << 16  # the first code of numerals that follow


ENDED = NEW + 1  # stands for the level of an error where a numeral that follows has to end
DIGIT_SETS = (ENDED + 1) * NEXT * BITS
"""Weight sets by the level of the mean error, what the digit that is expected says about the next bit, and which bit it
is."""


class NumeralState(NamedTuple):
    """Numerals of L streams, as arrays that are updated in place."""

    read: Ints  # [L, READ]
    columns: Ints  # [L, COLUMNS, KEPT]


def new_numerals(streams: int) -> NumeralState:
    """Return the state before the first symbol."""
    return NumeralState(np.zeros((streams, READ), np.int64), np.zeros((streams, COLUMNS, KEPT), np.int64))


def go_on(own: NumeralState, fields: Ints, streams: Ints, symbols: Ints) -> None:
    """Go on behind the next symbols of some streams. fields: numbers of the fields that they stand in [L]"""
    ends = classes().take(symbols) != OTHER
    parts = zip(streams.tolist(), fields.tolist(), symbols.tolist(), ends.tolist(), strict=True)
    for stream, field, symbol, end in parts:
        read = own.read[stream].tolist()
        column = own.columns[stream, _column(field, read[INDEX])]
        _go_on(read, column, symbol, end)
        own.read[stream] = read


def expected(own: NumeralState, fields: Ints, streams: Ints) -> Ints:
    """Return a code of what the numerals of some streams go on with, [L], 0 where nothing is expected. For those that
    follow a binary number, it tells the digit, how many were right, and how many numerals were; for others what the
    digit would have to be, in units of 1 / HALVES, the level of the mean error in units of its place, and whether it
    is a numeral's first digit, one before the point, or one behind it. fields: see :func:`go_on`
    """
    found = np.zeros(len(streams), np.int64)
    for j, (stream, field) in enumerate(zip(streams.tolist(), fields.tolist(), strict=True)):
        read = own.read[stream].tolist()
        found[j] = _expected(read, own.columns[stream, _column(field, read[INDEX])].tolist())
    return found


def foreseen(code: Ints) -> tuple[Ints, Ints]:
    """(the digit that is expected, as a byte, or NONE; the first of its weight sets, NONE where nothing is expected),
    both [L]. code: see :func:`expected`
    """
    halves, level = np.divmod((code - 1) // 3, NEW + 1)
    digit, follows = ((halves + LOWEST) // HALVES).clip(0, 9), code >= FIRST_FOLLOWED
    digit = np.where(follows, (code - FIRST_FOLLOWED) // (MOST_FOLLOWED + 1) ** 2, digit)
    ends = follows & (digit == END)
    level = np.where(ends, ENDED, np.where(follows, 0, level))
    byte = np.where(ends | (code == 0), NONE, digit + ord("0"))
    return byte, np.where(code == 0, NONE, level * NEXT * BITS)


def _column(field: int, index: int) -> int:
    return min(field, MOST_NUMBER) * (MOST_INDEX + 1) + min(index, MOST_INDEX)


# ---- reading ------------------------------------------------------------------------------------


def _go_on(read: list[int], column: Ints, symbol: int, end: bool) -> None:
    """Go on behind a symbol. end: whether the field ends with it"""
    if 0 <= symbol - ord("0") < 10:
        _add_digit(read, symbol - ord("0"))
    elif symbol == ord(".") and read[STAGE] == BEGUN and not read[POINT]:
        read[POINT] = 1
    else:
        if read[STAGE] == BEGUN:
            _end_follow(read)
            column[:] = _next_column(column.tolist(), read)
            read[INDEX] += 1
        read[SIGN] = {ord("-"): -1, ord("+"): 1}.get(symbol, 0)
        read[STAGE] = SIGNED if read[SIGN] else AHEAD if end else PASSED
        read[INDEX] *= not end


def _add_digit(read: list[int], digit: int) -> None:
    if read[STAGE] != BEGUN:
        read[STAGE], read[ZERO], read[FOLLOWS] = BEGUN, int(digit == 0), UNKNOWN
        read[DIGITS] = read[COUNT] = read[DECIMALS] = read[POINT] = read[RIGHT] = 0
    if read[FOLLOWS] == YES:
        _follow(read, digit)
    read[COUNT] += 1
    read[DECIMALS] += read[POINT]
    if read[COUNT] <= MOST_DIGITS:
        read[DIGITS] = 10 * read[DIGITS] + digit
        if read[FOLLOWS] == UNKNOWN and read[POINT] and read[COUNT] >= LEAST_DIGITS:
            _begin_follow(read)


def _next_column(column: list[int], read: list[int]) -> list[int]:
    """Return a column behind the numeral that ends."""
    decimals = read[DECIMALS] - max(read[COUNT] - MOST_DIGITS, 0)
    if decimals < 0:  # there are more before the point
        return [0] * KEPT
    value, known = -read[DIGITS] if read[SIGN] < 0 else read[DIGITS], column[KNOWN]
    if known and column[DECIMAL] != decimals:
        column = _scaled(column, decimals)
    known, width = column[KNOWN], read[COUNT] - read[DECIMALS] if read[ZERO] else 1
    if not known:
        return [value, 0, 0, decimals, width, 1, 0, 0, 0]
    step = value - column[VALUE]
    bend = step - column[STEP] if known > 1 else 0
    errors = []
    for order, missed in enumerate((step, step - column[STEP], step - column[STEP] - column[BEND])):
        before = column[ERROR + order]
        errors.append(before - (before >> 2) + abs(missed) if known > order + 1 else 4 * abs(missed))
    return [value, step, bend, decimals, width, min(known + 1, MOST_KNOWN), *errors]


def _scaled(column: list[int], decimals: int) -> list[int]:
    """Return a column in units of another number of digits behind the point, an empty one if it would be too large."""
    found, more = list(column), decimals - column[DECIMAL]
    for i in (VALUE, STEP, BEND, *range(ERROR, KEPT)):
        if more > 0:
            if abs(column[i]) >= BOUND // int(TENS[more]):
                return [0] * KEPT
            found[i] = column[i] * int(TENS[more])
        else:
            found[i] = column[i] // int(TENS[-more])
    return found


# ---- following binary numbers -------------------------------------------------------------------


def _begin_follow(read: list[int]) -> None:
    """Find the binary number that begins with the digits so far, as soon as there is one at most."""
    if read[DIGITS] == 0:
        return
    unit, binary = int(TENS[read[DECIMALS]]) if read[DECIMALS] <= MOST_PLACES else 0, 0
    least = unit << (MANTISSA - 1)
    while binary < MOST_BINARY and read[DIGITS] << binary < least:
        binary += 1
    here = read[DIGITS] << binary
    if not least <= here < 2 * least:
        read[FOLLOWS] = NO
    elif unit >= 1 << binary:
        read[REST], read[BINARY] = -here % unit, binary
        read[FOLLOWS] = YES if read[REST] < 1 << binary else NO


def _follow(read: list[int], digit: int) -> None:
    """Compare a digit with what the binary number says."""
    if digit == _said(read):
        read[REST] = 10 * read[REST] - (digit << read[BINARY])
        read[RIGHT] = min(read[RIGHT] + 1, MOST_FOLLOWED)
    else:
        read[FOLLOWS] = NO


def _said(read: list[int]) -> int:
    """Return the next digit of a binary number, END behind the last one: where what is left is no more than half the
    distance of numbers of double precision. The last digit is the nearest.
    """
    rest, decimals, one, near = read[REST], read[DECIMALS], 1 << read[BINARY], DOUBLE - MANTISSA + 1
    if decimals > len(TENS) - 2 or rest <= int(TENS[decimals]) >> near:
        return END
    digit, rest = divmod(10 * rest, one)
    last = min(rest, one - rest) < int(TENS[decimals + 1]) >> near
    return digit + int(last and 2 * rest > one)


def _end_follow(read: list[int]) -> None:
    """Count the numeral if it was what it followed."""
    if read[FOLLOWS] == YES and read[RIGHT] == MOST_FOLLOWED:
        read[LATELY] = min(read[LATELY] + 1, MOST_FOLLOWED)
    elif read[FOLLOWS] == NO:
        read[LATELY] = 0


# ---- expecting ----------------------------------------------------------------------------------


def _expected(read: list[int], column: list[int]) -> int:
    if read[STAGE] == BEGUN and read[FOLLOWS] == YES:
        return FIRST_FOLLOWED + (_said(read) * (MOST_FOLLOWED + 1) + read[RIGHT]) * (MOST_FOLLOWED + 1) + read[LATELY]
    value, error = _best(column)
    begun = read[STAGE] == BEGUN
    digits, count, decimals, point = (read[i] if begun else 0 for i in (DIGITS, COUNT, DECIMALS, POINT))
    if read[STAGE] == PASSED or not column[KNOWN] or count >= MOST_DIGITS or (read[STAGE] == AHEAD and value < 0):
        return 0
    left = max(len(str(abs(value) // int(TENS[column[DECIMAL]]))), column[WIDTH]) - count
    place = column[DECIMAL] - 1 + (-decimals if point else left)
    if place < 0 or not (point or left > 0):
        return 0
    unit = int(TENS[place])
    halves = HALVES * (-value if read[SIGN] < 0 else value) // unit - 10 * HALVES * digits
    halves = min(max(halves, LOWEST), HIGHEST) - LOWEST
    level = NEW if column[KNOWN] == 1 else min((4 * error // unit).bit_length(), LEVELS - 1)
    return 1 + (halves * (NEW + 1) + level) * 3 + begun * (1 + point)


def _best(column: list[int]) -> tuple[int, int]:
    """(the numeral that is expected, four times its mean error)"""
    value, error = column[VALUE], column[ERROR]
    for order, differences in (1, (STEP,)), (2, (STEP, BEND)):
        if column[ERROR + order] < error:
            value, error = column[VALUE] + sum(column[i] for i in differences), column[ERROR + order]
    return value, error
