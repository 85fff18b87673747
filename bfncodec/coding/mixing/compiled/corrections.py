"""Kernel of :mod:`bfncodec.coding.mixing.corrections`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bfncodec.coding.mixing.compiled.phrases import find_way
from bfncodec.coding.mixing.compiled.prediction import log_odds
from bfncodec.coding.mixing.compiled.workspace import Words64
from bfncodec.coding.mixing.corrections import (
    LEAST,
    MOST,
    MOST_WEIGHT,
    RELATIONS,
    SLOPE_BITS,
    WINDOW,
    Corrections,
    Corrector,
    LaneState,
)
from bfncodec.coding.mixing.matches import HASH, NONE
from bfncodec.coding.mixing.phrases import ENTRIES, MARK_BITS, MOST_LENGTHS, Phrases
from bfncodec.coding.mixing.state import HASH_POWERS, LIMIT, SYMBOLS, logarithms, logistic_values
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Array, Ints, Ints32
from bfncodec.runtime.jit import compiled, flat, inlined

LONG_HASH, ONE, U64_0 = np.uint64(HASH), np.uint64(1), np.uint64(0)
U8, U16, U29, U32 = (np.uint64(n) for n in (8, 16, 29, 32))
MARK, BYTE, ENTRY = np.uint64((1 << MARK_BITS) - 1), np.uint64(0xFF), np.uint64(0xFFFF)
FAR = 1 << 16  # more than bytes of a window


class Tables(NamedTuple):
    """Tables that the kernel looks into, and room for what it finds of the phrases of a place."""

    power: Words64  # HASH_POWERS
    logarithm: Ints
    logistic: Ints
    bucket: Words64  # of each length [MOST_LENGTHS]
    mark: Words64
    entries: Words64  # first half of those of the bucket


class CompiledCorrector(Corrector):
    """A `Corrector` that runs in a kernel."""

    def __init__(self, lanes: int, steps: int, phrases: Phrases, corrections: Corrections) -> None:
        super().__init__(lanes, steps, phrases, corrections)
        room = (np.zeros(MOST_LENGTHS, np.uint64) for _ in range(3))
        tables = Tables(HASH_POWERS, logarithms(), logistic_values(), *room)
        self._arrays = flat(phrases), flat(corrections), flat(self.state), flat(tables)

    def correct(self, first: int, weights: Ints32) -> None:
        """Implements `Corrector.correct`."""
        correct(*self._arrays, first, weights)


@compiled
def correct(own: Phrases, lines: Corrections, state: LaneState, tables: Tables, first: int, weights: Ints32) -> None:
    """`Corrector.correct`"""
    streams, count, teeth, _ = weights.shape
    for lane in range(streams * teeth):
        for i in range(count):
            row, at = weights[lane // teeth, i, lane % teeth], WINDOW + first + i
            phrase, line = _recall(own, state.text[lane], tables, at)
            match, length = _next_match(state.text[lane], state.equal[lane], at)
            whole = np.int64(0)
            for k in range(SYMBOLS):
                whole += row[k]
            whole = _move(row, whole, phrase, lines.phrases, line, tables)
            relation = 0 if phrase == NONE else 1 if phrase == match else 2
            _move(row, whole, match, lines.matches, max(length - LEAST, 0) * RELATIONS + relation, tables)


@inlined
def _recall(own: Phrases, text: Array, tables: Tables, at: Any) -> Any:
    """(byte that phrases expect or NONE, number of the line), see `phrases.recall`."""
    sums, known, count = U64_0, 0, np.uint64(len(own.words))
    for number in range(len(own.lengths)):
        while known < own.lengths[number]:
            sums += np.uint64(text[at - 1 - known] + 1) * tables.power[known]
            known += 1
        h = sums + np.uint64(known) * LONG_HASH
        h = (h ^ (h >> U32)) * LONG_HASH
        h ^= h >> U29
        bucket = (((h * LONG_HASH) >> U32) * count) >> U32
        # All buckets are asked for before any is looked at.
        tables.bucket[number], tables.entries[number] = bucket, own.words[bucket, 0]
        tables.mark[number] = max(h & MARK, ONE)
    byte: Any = np.int64(NONE)
    line: Any = np.int64(0)
    for number in range(len(own.lengths) - 1, -1, -1):
        bucket = tables.bucket[number]
        way = find_way(tables.entries[number], own.words[bucket, 1], tables.mark[number])
        if way < ENTRIES:
            entries = tables.entries[number] if way < ENTRIES // 2 else own.words[bucket, 1]
            entry = (entries >> (U16 * np.uint64(way & (ENTRIES // 2 - 1)))) & ENTRY
            byte = np.int64((own.words[bucket, 2] >> (U8 * np.uint64(way))) & BYTE)
            line = np.int64(entry >> np.uint64(MARK_BITS)) * len(own.lengths) + number
            break
    return byte, line


@inlined
def _next_match(text: Array, equal: Array, at: Any) -> Any:
    """(byte behind the longest match or NONE, its length), see `corrections._next_match`."""
    best = FAR - 1
    if at > WINDOW:
        latest = text[at - 1]
        for d in range(min(len(equal), at - 1 - WINDOW)):
            length = min(equal[d] + 1, MOST) if text[at - 2 - d] == latest else 0
            equal[d] = length
            best = max(best, length * FAR + FAR - 1 - d)
    length, nearest = best // FAR, FAR - 1 - best % FAR
    return (np.int64(text[at - 1 - nearest]) if length >= LEAST else np.int64(NONE)), length


@inlined
def _move(row: Any, whole: Any, byte: Any, lines: Ints, line: Any, tables: Tables) -> Any:
    """Give a byte of a row another weight, see `corrections.move`. Returns the sum of the row after it."""
    if byte < 0 or whole == row[byte]:
        return whole
    rest = whole - row[byte]
    x = ((lines[0, line] * log_odds(tables.logarithm, np.int64(row[byte]), rest)) >> SLOPE_BITS) + lines[1, line]
    chance = tables.logistic[min(max(x, -LIMIT), LIMIT) + LIMIT]
    row[byte] = min(rest * chance // ((1 << LOGISTIC_BITS) - chance), MOST_WEIGHT)
    return rest + row[byte]
