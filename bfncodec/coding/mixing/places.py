"""Places of bytes: in a word, in a field, in its line, and below the line before.

A context of bytes knows a column of a table, or the key of a record, only where the same bytes stand before it. What is
kept here says it at once: hashes of the letters of a word, of the bytes of a field and of the field that names it, and
the line above. In that line a byte has a *counterpart*: the byte at the same place of the same field, where fields may
be longer or shorter than those above them. And the *shape* of what stands before says what JSON, code and tables go on
with, whatever their names are: its latest tokens, a name being as good as another. All of it follows from the bytes of
the stream so far. Arithmetic of hashes is modulo 2^64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.runtime.arrays import Bytes, Ints

POWER = 0xD6E8FEB86659FD93
PLACES = 10  # contexts, as `place_hashes` has them
SKIPS = 2  # more, of bytes behind which one is skipped
SALT = 32  # of the first kind, then one more each
DOUBT_ORDER = 2  # their adaptive maps begin as those of contexts of so many bytes

MARKS = 13  # hashes and numbers that are kept of each stream
WORD, WORD_BEFORE, FIELD, NUMBER, LATEST, FIRST, KEY, PASSED, AGREED, WITHIN, SIDE, NAME, SHAPE = range(MARKS)
"""Hash of the letters of the current word; of those of the one before; of the bytes of the current field; number of the
field in its line; hash of the latest field that was not empty; of the first such one of the line; of the one before
the latest byte of NAMING; bytes of the line above that stand before the counterpart of the next byte; how many of
the latest bytes equalled their counterparts; bytes of the current field, MOST_WITHIN at most; whether the first of
them that differed from its counterpart was LESS or MORE, 0 if none did; hash of the bytes of the current name; the
latest eight tokens, a byte for each, the last one the lowest."""
LESS, MORE = 1, 2
MOST_WITHIN = 31  # so that a text without delimiters has a context here that comes again

WIDTH = 256  # cells of a line: a zero, its bytes, and zeros
MOST_COLUMN = 253  # bytes of a line that are kept
DELIMITERS, NAMING, NEWLINE = b'\n,; \t:|=/"<>', b":=>", 10

FAR = np.array([pow(POWER, k, 1 << 64) for k in range(21, 26)], np.uint64)
"""Powers beside which those of words and fields, which are short, have no place."""

MOST_NUMBER, MOST_AGREED = 31, 3  # that weight sets distinguish
NEXT = 3  # what is known of the next bit by the counterpart: nothing, 0, 1
PLACE_SETS = (MOST_NUMBER + 1) * (MOST_AGREED + 1) * NEXT * 8
"""Weight sets by the number of the field, how many of the latest bytes equalled their counterparts, what the
counterpart of this one says about the next bit, and which bit it is."""

OTHER, DELIMITING, NAMES, ENDS = range(4)
"""Classes of bytes that are no letters: part of a field, its end, the end of a name, the end of a line."""


BLANK, NAME_TOKEN, DIGIT_TOKEN, OTHER_TOKEN = range(4)
"""Tokens that bytes are; those from OTHER_TOKEN on stand for themselves."""


@lru_cache(maxsize=1)
def letters() -> Ints:
    """Numbers that bytes add to the hash of a word, int64 [256]: 0 ends it; capital letters are as small ones."""
    codes = np.arange(256)
    small = np.where((codes >= ord("A")) & (codes <= ord("Z")), codes + 32, codes)
    return np.where(((small >= ord("a")) & (small <= ord("z"))) | (codes >= 128), small + 1, 0)


@lru_cache(maxsize=1)
def tokens() -> Ints:
    """Return what each byte is as a token, int64 [256]: BLANK is none; names begin with a NAME_TOKEN or a DIGIT_TOKEN,
    and go on with both; every other byte is a token for itself.
    """
    found = np.maximum(np.arange(256), OTHER_TOKEN)
    found[list(b" \t")] = BLANK
    for first, last in (b"az", b"AZ", b"__", b"\x80\xff"):
        found[first : last + 1] = NAME_TOKEN
    found[ord("0") : ord("9") + 1] = DIGIT_TOKEN
    return found


@lru_cache(maxsize=1)
def classes() -> Ints:
    """The class of each byte, int64 [256]."""
    found = np.full(256, OTHER)
    found[list(DELIMITERS)], found[list(NAMING)], found[NEWLINE] = DELIMITING, NAMES, ENDS
    return found


def place_hashes(
    marks: NDArray[np.uint64], lines: Bytes, column: Ints, history: Ints, foretold: NDArray[np.uint64], numeral: Ints
) -> NDArray[np.uint64]:
    """Return what the hashes of these contexts begin with, [PLACES + SKIPS, L].

    They are: the word and the last symbol; the word and the one before; the byte above and the column; the name
    and the shape before it; the field, its key and its number; the field, its number, and the first
    one of the line; the counterpart, the number of the field, the bytes it has so far, and whether it is less or more
    than the one above, which numerals in a column ask for; the counterpart, the bytes beside it, the last symbol, and
    whether the latest equalled theirs; the counterpart, the number of the field, and how many of the latest equalled
    theirs; what a numeral is expected to go on with, or where nothing is, what a match foretells and the last symbol;
    then the symbols before the last and before that; the last and the third last.

    marks: [L, MARKS]; lines: the current line and the one above [L, 2, WIDTH]; column: in it [L]; history: latest
    symbols, the last one at the end [L, at least 3]; foretold: see `matches.foretold` [L]; numeral: see
    `numerals.expected` [L].
    """
    q1, q2, q3, q4, q5 = FAR
    last, second, third = history[:, :-4:-1].astype(np.uint64).T
    at = np.minimum(column, MOST_COLUMN)
    over = lines[np.arange(len(at)), 1, at + 1].astype(np.uint64)
    word, word_before, field, number, _, first, key, passed, agreed, within, side, name, shape = marks.T
    behind, counterpart, ahead = (
        lines[np.arange(len(at)), 1, passed.astype(np.int64) + k].astype(np.uint64) for k in range(3)
    )
    before, lately = last, np.minimum(agreed, np.uint64(MOST_AGREED))
    return np.stack(
        [
            word + before * q2,
            word + word_before * q1,
            over * q1 + np.minimum(column, WIDTH - 1).astype(np.uint64) * q2,
            name + shape * q1,
            field + key * q1 + number * q2,
            field + first * q1 + number * q2,
            number * q1 + within * q2 + counterpart * q3 + side * q4,
            behind * q1 + counterpart * q2 + ahead * q3 + before * q4 + lately * q5,
            counterpart * q1 + number * q2 + agreed * q3,
            np.where(numeral, numeral.astype(np.uint64) * q3, foretold * q1 + last * q2),
            second * q1 + third * q2,
            last * q1 + third * q2,
        ]
    )


def counterparts(marks: NDArray[np.uint64], lines: Bytes) -> tuple[Ints, Ints]:
    """(the counterpart of the next byte, 0 if there is none; the first of the weight sets of its place), both [L].
    Shapes as of :func:`place_hashes`.
    """
    number = np.minimum(marks[:, NUMBER], np.uint64(MOST_NUMBER)).astype(np.int64)
    lately = np.minimum(marks[:, AGREED], np.uint64(MOST_AGREED)).astype(np.int64)
    found = lines[np.arange(len(marks)), 1, marks[:, PASSED].astype(np.int64) + 1].astype(np.int64)
    return found, (number * (MOST_AGREED + 1) + lately) * NEXT * 8


def go_on(marks: NDArray[np.uint64], lines: Bytes, column: Ints, streams: Ints, symbols: Ints) -> None:
    """Go on behind the next symbols of some streams."""
    power, letter, kind = np.uint64(POWER), letters().take(symbols).astype(np.uint64), classes().take(symbols)
    _align(marks, lines, streams, symbols)
    _shape(marks, streams, symbols)
    word, word_before, field, number, latest, first, key, *_ = marks[streams].T
    ends, line = kind != OTHER, kind == ENDS
    latest = np.where(ends & (field > 0), field, latest)
    first = np.where(ends & (first == 0), field, first)
    marks[streams, WORD_BEFORE] = np.where((letter == 0) & (word > 0), word, word_before)
    marks[streams, WORD] = np.where(letter, (word + letter) * power, 0)
    marks[streams, FIELD] = np.where(ends, 0, (field + symbols.astype(np.uint64) + np.uint64(1)) * power)
    marks[streams, NUMBER] = np.where(line, 0, number + ends.astype(np.uint64))
    marks[streams, LATEST] = latest
    marks[streams, FIRST] = np.where(line, 0, first)
    marks[streams, KEY] = np.where(kind == NAMES, latest, key)
    inside = column[streams] < MOST_COLUMN
    lines[streams[inside], 0, column[streams[inside]] + 1] = symbols[inside]
    column[streams] = np.where(line, 0, column[streams] + 1)
    done = streams[line]
    lines[done, 1], lines[done, 0] = lines[done, 0], 0


def _shape(marks: NDArray[np.uint64], streams: Ints, symbols: Ints) -> None:
    """Go on in a name, or begin another token."""
    token = tokens().take(symbols)
    is_name, name, shape = (token == NAME_TOKEN) | (token == DIGIT_TOKEN), marks[streams, NAME], marks[streams, SHAPE]
    begins = np.where(is_name, name == 0, token != BLANK)
    marks[streams, SHAPE] = np.where(begins, (shape << np.uint64(8)) | token.astype(np.uint64), shape)
    longer = (name + symbols.astype(np.uint64) + np.uint64(1)) * np.uint64(POWER)
    marks[streams, NAME] = np.where(is_name, longer, 0)


def _align(marks: NDArray[np.uint64], lines: Bytes, streams: Ints, symbols: Ints) -> None:
    """Find the counterparts of the bytes behind the next symbols: a delimiter leads behind the next one like it,
    another byte to the next cell, unless a delimiter stands in this one.
    """
    passed, above, kind = marks[streams, PASSED].astype(np.int64), lines[streams, 1], classes().take(symbols)
    counterpart = above[np.arange(len(streams)), passed + 1]
    like = (above == symbols[:, None]) & (np.arange(WIDTH) > passed[:, None])
    goes_on = (kind == OTHER) & (classes().take(counterpart) == OTHER) & (passed < MOST_COLUMN)
    leads = (kind != OTHER) & like.any(1)
    agreed = np.where(counterpart == symbols, marks[streams, AGREED] + np.uint64(1), 0)
    side = np.where(symbols < counterpart, LESS, np.where(symbols > counterpart, MORE, 0)).astype(np.uint64)
    side = np.where(marks[streams, SIDE], marks[streams, SIDE], side)
    within = np.minimum(marks[streams, WITHIN] + np.uint64(1), np.uint64(MOST_WITHIN))
    marks[streams, WITHIN] = np.where(kind == OTHER, within, 0)
    marks[streams, SIDE] = np.where(kind == OTHER, side, 0)
    marks[streams, PASSED] = np.where(kind == ENDS, 0, np.where(leads, like.argmax(1), passed + goes_on))
    marks[streams, AGREED] = np.where(kind == ENDS, 0, agreed)
