"""Kernel of :mod:`bfncodec.coding.mixing.phrases`: what they expect behind the latest bytes of every stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.mixing.compiled.workspace import Workspace
from bfncodec.coding.mixing.matches import HASH, NONE
from bfncodec.coding.mixing.phrases import ENTRIES, MARK_BITS, MOST_LENGTHS, Phrases
from bfncodec.runtime.jit import compiled, inlined

LONG_HASH, NOTHING, ONE = np.uint64(HASH), np.uint64(0), np.uint64(1)
U8, U16, U29, U32 = (np.uint64(n) for n in (8, 16, 29, 32))
MARK, BYTE, ENTRY = np.uint64((1 << MARK_BITS) - 1), np.uint64(0xFF), np.uint64(0xFFFF)


@compiled
def recall(own: Phrases, work: Workspace, streams: int) -> None:
    """Implements `phrases.recall` for the last kind of what expects a byte; sums are those of `work.phrase`."""
    kind, count = len(work.expected) - 1, np.uint64(len(own.words))
    for number in range(len(own.lengths)):
        for j in range(streams):
            h = work.phrase[number, j] + np.uint64(own.lengths[number]) * LONG_HASH
            h = (h ^ (h >> U32)) * LONG_HASH
            h ^= h >> U29
            bucket = (((h * LONG_HASH) >> U32) * count) >> U32
            # Buckets are far apart: all are asked for before any is looked at, so many are on their way at once.
            work.bucket[number, j], work.entries[number, j] = bucket, own.words[bucket, 0]
            work.phrase[number, j] = max(h & MARK, ONE)
    for j in range(streams):
        byte: Any = NONE
        form: Any = 0
        for number in range(len(own.lengths) - 1, -1, -1):
            bucket, mark = work.bucket[number, j], work.phrase[number, j]
            way = find_way(work.entries[number, j], own.words[bucket, 1], mark)
            if way < ENTRIES:
                entries = work.entries[number, j] if way < ENTRIES // 2 else own.words[bucket, 1]
                sure = np.int64(
                    ((entries >> (U16 * np.uint64(way & (ENTRIES // 2 - 1)))) & ENTRY) >> np.uint64(MARK_BITS)
                )
                byte = np.int64((own.words[bucket, 2] >> (U8 * np.uint64(way))) & BYTE)
                form = sure * MOST_LENGTHS + number
                break
        work.expected[kind, j], work.form[kind, j] = byte, form


@inlined
def find_way(low: Any, high: Any, mark: Any) -> Any:
    """Return the first of a bucket's eight entries that has a mark, ENTRIES if none has."""
    found: Any = np.int64(ENTRIES)
    for way in range(ENTRIES // 2 - 1, -1, -1):
        found = ENTRIES // 2 + way if (high >> (U16 * np.uint64(way))) & MARK == mark else found
    for way in range(ENTRIES // 2 - 1, -1, -1):
        found = way if (low >> (U16 * np.uint64(way))) & MARK == mark else found
    return found
