"""Places of bytes: in a word, in a field, in its line, and below the line before.

A context of bytes knows a column of a table, or the key of a record, only where the same bytes stand before it. What is
kept here says it at once: hashes of the letters of a word, of the bytes of a field and of the field that names it, and
the line above. All of it follows from the bytes of the stream so far. Arithmetic of hashes is modulo 2^64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.runtime.arrays import Bytes, Ints

POWER = 0xD6E8FEB86659FD93
PLACES = 8  # contexts, as `place_hashes` has them
SALT = 32  # of the first kind, then one more each
FIRST_PLACE = 60000  # first weight of these contexts: 0.06
DOUBT_ORDER = 2  # their adaptive maps begin as those of contexts of so many bytes

MARKS = 7  # hashes and numbers that are kept of each stream
WORD, WORD_BEFORE, FIELD, NUMBER, LATEST, FIRST, KEY = range(MARKS)
"""Hash of the letters of the current word; of those of the one before; of the bytes of the current field; number of the
field in its line; hash of the latest field that was not empty; of the first such one of the line; of the one before the
latest byte of NAMING."""

WIDTH = 256  # cells of a line: a zero, its bytes, and zeros
MOST_COLUMN = 253  # bytes of a line that are kept
DELIMITERS, NAMING, NEWLINE = b'\n,; \t:|=/"<>', b":=>", 10

FAR = np.array([pow(POWER, k, 1 << 64) for k in range(21, 25)], np.uint64)
"""Powers beside which those of words and fields, which are short, have no place."""

OTHER, DELIMITING, NAMES, ENDS = range(4)
"""Classes of bytes that are no letters: part of a field, its end, the end of a name, the end of a line."""


@lru_cache(maxsize=1)
def letters() -> Ints:
    """Numbers that bytes add to the hash of a word, int64 [256]: 0 ends it; capital letters are as small ones."""
    codes = np.arange(256)
    small = np.where((codes >= ord("A")) & (codes <= ord("Z")), codes + 32, codes)
    return np.where(((small >= ord("a")) & (small <= ord("z"))) | (codes >= 128), small + 1, 0)


@lru_cache(maxsize=1)
def classes() -> Ints:
    """The class of each byte, int64 [256]."""
    found = np.full(256, OTHER)
    found[list(DELIMITERS)], found[list(NAMING)], found[NEWLINE] = DELIMITING, NAMES, ENDS
    return found


def place_hashes(marks: NDArray[np.uint64], lines: Bytes, column: Ints, last: Ints) -> NDArray[np.uint64]:
    """Return what the hashes of these contexts begin with, [PLACES, L].

    They are: the word and the last symbol; the word and the one before; the byte above and the column; the field, the
    first one of the line, and the last symbol; the field and its key; these and the number of the field; the field, its
    number, and the first one of the line; the three bytes above, and the last symbol.

    marks: [L, MARKS]; lines: the current line and the one above [L, 2, WIDTH]; column: in it [L]; last: symbol [L].
    """
    q1, q2, q3, q4 = FAR
    at = np.minimum(column, MOST_COLUMN)
    left, over, right = (lines[np.arange(len(at)), 1, at + k].astype(np.uint64) for k in range(3))
    word, word_before, field, number, _, first, key = marks.T
    before = last.astype(np.uint64)
    return np.stack(
        [
            word + before * q2,
            word + word_before * q1,
            over * q1 + np.minimum(column, WIDTH - 1).astype(np.uint64) * q2,
            field + first * q1 + before * q2,
            field + key * q1,
            field + key * q1 + number * q2,
            field + first * q1 + number * q2,
            left * q1 + over * q2 + right * q3 + before * q4,
        ]
    )


def go_on(marks: NDArray[np.uint64], lines: Bytes, column: Ints, streams: Ints, symbols: Ints) -> None:
    """Go on behind the next symbols of some streams."""
    power, letter, kind = np.uint64(POWER), letters().take(symbols).astype(np.uint64), classes().take(symbols)
    word, word_before, field, number, latest, first, key = marks[streams].T
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
