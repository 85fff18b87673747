"""Kernels of :mod:`bfncodec.coding.mixing.places`, on the arrays of the same state."""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.mixing.compiled.matches import foretold
from bfncodec.coding.mixing.compiled.numerals import expect_numeral, foreseen, read_numeral
from bfncodec.coding.mixing.compiled.workspace import Lookups, Words64, Workspace
from bfncodec.coding.mixing.places import (
    AGREED,
    BLANK,
    DIGIT_TOKEN,
    ENDS,
    FAR,
    FIELD,
    FIRST,
    KEY,
    LATEST,
    LESS,
    MORE,
    MOST_AGREED,
    MOST_COLUMN,
    MOST_NUMBER,
    MOST_WITHIN,
    NAME,
    NAME_TOKEN,
    NAMES,
    NEXT,
    NUMBER,
    OTHER,
    PASSED,
    PLACE_SETS,
    POWER,
    SHAPE,
    SIDE,
    WIDTH,
    WITHIN,
    WORD,
    WORD_BEFORE,
)
from bfncodec.coding.mixing.state import BITS, PAIR_BITS, REACH, SHORT_HASH, SYMBOLS, MixerState
from bfncodec.runtime.arrays import Bytes, Ints
from bfncodec.runtime.jit import compiled, inlined

NOTHING, ONE, FURTHEST, POWER_64 = np.uint64(0), np.uint64(1), np.uint64(MOST_WITHIN), np.uint64(POWER)
U8 = np.uint64(8)


@compiled
def find_counterparts(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Implements `places.counterparts`."""
    base = len(state.orders) + 1 + 2 * SYMBOLS
    pairs = base + PLACE_SETS
    for j in range(len(streams)):
        mark = state.marks[streams[j]]
        number, lately = min(mark[NUMBER], np.uint64(MOST_NUMBER)), min(mark[AGREED], np.uint64(MOST_AGREED))
        work.counterpart[j] = state.lines[streams[j], 1, np.int64(mark[PASSED]) + 1]
        work.places[j] = base + (np.int64(number) * (MOST_AGREED + 1) + np.int64(lately)) * NEXT * BITS
        work.pair[j] = pairs + (((work.two[j] * SHORT_HASH) & 0xFFFFFFFF) >> (32 - PAIR_BITS))


@compiled
def hash_places(state: MixerState, work: Workspace, streams: Ints) -> None:
    """Begin the hashes of the other contexts, as `places.place_hashes` does."""
    marks, lines, place = state.marks, state.lines, work.place
    for j in range(len(streams)):
        stream = streams[j]
        column, before = state.column[stream], np.uint64(state.history[stream, REACH - 1])
        at = min(column, MOST_COLUMN)
        over = np.uint64(lines[stream, 1, at + 1])
        first = marks[stream, FIELD] + marks[stream, FIRST] * FAR[0]
        key = marks[stream, FIELD] + marks[stream, KEY] * FAR[0]
        place[0] = marks[stream, WORD] + before * FAR[1]
        place[1] = marks[stream, WORD] + marks[stream, WORD_BEFORE] * FAR[0]
        place[2] = over * FAR[0] + np.uint64(min(column, WIDTH - 1)) * FAR[1]
        place[3] = marks[stream, NAME] + marks[stream, SHAPE] * FAR[0]
        place[4] = key + marks[stream, NUMBER] * FAR[1]
        place[5] = first + marks[stream, NUMBER] * FAR[1]
        place[6] = marks[stream, NUMBER] * FAR[0] + marks[stream, WITHIN] * FAR[1]
        place[6] += np.uint64(work.counterpart[j]) * FAR[2] + marks[stream, SIDE] * FAR[3]
        passed, agreed = np.int64(marks[stream, PASSED]), marks[stream, AGREED]
        lately = min(agreed, np.uint64(MOST_AGREED))
        place[7] = _three(lines[stream, 1], passed) + before * FAR[3] + lately * FAR[4]
        place[8] = np.uint64(work.counterpart[j]) * FAR[0] + marks[stream, NUMBER] * FAR[1] + agreed * FAR[2]
        second, third = (np.uint64(state.history[stream, REACH - 2]), np.uint64(state.history[stream, REACH - 3]))
        numeral = expect_numeral(state.numerals, np.int64(marks[stream, NUMBER]), stream)
        work.digit[j], work.numeral[j] = foreseen(numeral)
        place[9] = np.uint64(numeral) * FAR[2]
        if place[9] == NOTHING:
            place[9] = foretold(work.expected, work.form, len(state.matches.least), j) * FAR[0] + before * FAR[1]
        place[10] = second * FAR[0] + third * FAR[1]
        place[11] = before * FAR[0] + third * FAR[1]
        for k in range(len(state.places)):
            work.hash[len(state.orders) + k, j] = place[state.places[k]]


@inlined
def _three(line: Bytes, at: Any) -> Any:
    """Return the hash of three cells of a line."""
    return np.uint64(line[at]) * FAR[0] + np.uint64(line[at + 1]) * FAR[1] + np.uint64(line[at + 2]) * FAR[2]


@compiled
def go_on(state: MixerState, lookups: Lookups, streams: Ints, symbols: Ints) -> None:
    """Implements `places.go_on`."""
    marks, lines = state.marks, state.lines
    for j in range(len(streams)):
        stream, symbol, kind, column = streams[j], symbols[j], lookups.kind[symbols[j]], state.column[streams[j]]
        letter = lookups.letter[symbol]
        read_numeral(state.numerals, np.int64(marks[stream, NUMBER]), stream, symbol, kind)
        _align(marks[stream], lines[stream, 1], lookups.kind, symbol)
        _shape(marks[stream], lookups.token[symbol], symbol)
        if letter == 0 and marks[stream, WORD]:
            marks[stream, WORD_BEFORE] = marks[stream, WORD]
        marks[stream, WORD] = (marks[stream, WORD] + np.uint64(letter)) * POWER_64 if letter else NOTHING
        if kind == OTHER:
            marks[stream, FIELD] = (marks[stream, FIELD] + np.uint64(symbol) + ONE) * POWER_64
        else:
            if marks[stream, FIELD]:
                marks[stream, LATEST] = marks[stream, FIELD]
            if marks[stream, FIRST] == NOTHING:
                marks[stream, FIRST] = marks[stream, FIELD]
            marks[stream, FIELD] = NOTHING
            marks[stream, NUMBER] += ONE
        if kind == NAMES:
            marks[stream, KEY] = marks[stream, LATEST]
        if column < MOST_COLUMN:
            lines[stream, 0, column + 1] = symbol
        state.column[stream] = column + 1
        if kind == ENDS:
            marks[stream, NUMBER], marks[stream, FIRST], state.column[stream] = NOTHING, NOTHING, 0
            for i in range(WIDTH):
                lines[stream, 1, i], lines[stream, 0, i] = lines[stream, 0, i], 0


@inlined
def _shape(mark: Words64, token: Any, symbol: Any) -> None:
    """`places._shape` of one stream."""
    if NAME_TOKEN <= token <= DIGIT_TOKEN:
        if mark[NAME] == NOTHING:
            mark[SHAPE] = (mark[SHAPE] << U8) | np.uint64(token)
        mark[NAME] = (mark[NAME] + np.uint64(symbol) + ONE) * POWER_64
    else:
        mark[NAME] = NOTHING
        if token != BLANK:
            mark[SHAPE] = (mark[SHAPE] << U8) | np.uint64(token)


@inlined
def _align(mark: Words64, above: Bytes, kinds: Ints, symbol: Any) -> None:
    """`places._align` of one stream."""
    passed = np.int64(mark[PASSED])
    counterpart = np.int64(above[passed + 1])
    mark[AGREED] = mark[AGREED] + ONE if counterpart == symbol else NOTHING
    if kinds[symbol] != OTHER:
        mark[WITHIN], mark[SIDE] = NOTHING, NOTHING
    else:
        mark[WITHIN] = min(mark[WITHIN] + ONE, FURTHEST)
        if mark[SIDE] == NOTHING and counterpart != symbol:
            mark[SIDE] = np.uint64(LESS if symbol < counterpart else MORE)
    if kinds[symbol] == ENDS:
        mark[PASSED], mark[AGREED] = NOTHING, NOTHING
    elif kinds[symbol] != OTHER:
        at = passed + 1
        while at < WIDTH and above[at] != symbol:
            at += 1
        if at < WIDTH:
            mark[PASSED] = np.uint64(at)
    elif kinds[counterpart] == OTHER and passed < MOST_COLUMN:
        mark[PASSED] += ONE
