"""Phrases: how many texts go on behind the same bytes, learned once and kept with a model.

A network of a few million weights knows how texts go on in general; it has no room for what stands behind one rare word
and the next. A table has: behind the hash of some bytes, the byte that most training texts go on with there, and how
many of them do. Of all contexts it keeps those that spare most beyond the network (`benchmarks/phrases.py`). As a match
does, a phrase expects a byte, and an adaptive map learns what that is worth in the file at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.matches import BITS, FORMS, HASH, NONE
from bfncodec.errors import ModelError
from bfncodec.runtime.arrays import Ints

ENTRIES = 8  # of a bucket
MARK_BITS = 13  # of an entry's 16: the rest is how sure it is
MOST_LENGTHS = 8  # of contexts
MOST_LENGTH = 24  # bytes of the longest context, at most
ROW = 3 * ENTRIES  # bytes of a bucket: the entries, then their symbols
Words = NDArray[np.uint64]


class Phrases(NamedTuple):
    """Phrases in N buckets, which never change; none where there are no lengths."""

    words: Words  # of each bucket eight entries of 16 bits, mark and confidence; then their symbols. [N, 3]
    lengths: Ints  # bytes of the contexts, rising [R]
    right: NDArray[np.uint16]  # share of the bits that were foretold rightly, in units of 2^-16. [FORMS, BITS]


def no_phrases() -> Phrases:
    """Return the table of a model that has none."""
    return Phrases(np.zeros((1, ROW // 8), np.uint64), np.zeros(0, np.int64), np.zeros((FORMS, BITS), np.uint16))


def phrases_of(tensors: Mapping[str, NDArray[np.generic]], name: str) -> Phrases:
    """Return the phrases of a file of tensors.

    Parameters
    ----------
    tensors
        `entries`, uint8 [N, ROW]; `lengths`, int64 [R]; `right`, uint16 [FORMS, BITS].
    name
        The file's, for errors.

    Raises
    ------
    ModelError
        Where one is missing or of another shape, or lengths do not rise from 1 to MOST_LENGTH at most.
    """
    entries, lengths, right = (tensors.get(key) for key in ("entries", "lengths", "right"))
    if entries is None or lengths is None or right is None:
        raise ModelError(f"{name}: expected the tensors entries, lengths and right, found {sorted(tensors)}")
    found = (entries.dtype, entries.shape[1:], right.dtype, right.shape, lengths.dtype, lengths.ndim)
    wanted = (np.dtype(np.uint8), (ROW,), np.dtype(np.uint16), (FORMS, BITS), np.dtype(np.int64), 1)
    edges = [0, *lengths.ravel().tolist()]
    if found != wanted or not 0 < len(entries) < 1 << 32:
        raise ModelError(f"{name}: expected tensors of phrases {wanted}, found {found} and {len(entries)} buckets")
    if len(lengths) > MOST_LENGTHS or edges != sorted(set(edges)) or edges[-1] > MOST_LENGTH:
        raise ModelError(f"{name}: expected lengths that rise up to {MOST_LENGTH}, found {edges[1:]}")
    words = np.require(np.ascontiguousarray(entries).view(np.uint64), requirements=["C", "A"])  # as kernels have arrays
    return Phrases(words, lengths.astype(np.int64), right.astype(np.uint16))


def buckets(count: int, sums: Words, length: int) -> tuple[Ints, NDArray[np.uint16]]:
    """(bucket, mark) of contexts of so many bytes, [L]; marks are not 0. Arithmetic modulo 2^64.

    count: of all buckets; sums: over the bytes of each context, as hashes of contexts of bytes begin [L]
    """
    h = sums + np.uint64(length * HASH % (1 << 64))
    h = (h ^ (h >> np.uint64(32))) * np.uint64(HASH)
    h ^= h >> np.uint64(29)
    bucket = (((h * np.uint64(HASH)) >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32)
    return bucket.astype(np.int64), np.maximum(h & np.uint64((1 << MARK_BITS) - 1), 1).astype(np.uint16)


def recall(own: Phrases, sums: Words) -> tuple[Ints, Ints]:
    """(byte that the phrase of the longest context expects, or NONE; its form: its confidence times MOST_LENGTHS, and
    the number of the length), [L]. sums: over the latest bytes, the first alone, then two of them … [REACH, L]
    """
    byte, form = np.full(sums.shape[1], NONE), np.zeros(sums.shape[1], np.int64)
    for number, length in enumerate(own.lengths.tolist()):
        bucket, mark = buckets(len(own.words), sums[length - 1], length)
        words = own.words.take(bucket, 0)
        entries = np.ascontiguousarray(words[:, :2]).view(np.uint16)
        same = (entries & ((1 << MARK_BITS) - 1)) == mark[:, None]
        known, way = same.any(1), same.argmax(1)[:, None]
        symbol = np.take_along_axis(np.ascontiguousarray(words[:, 2:]).view(np.uint8), way, 1)[:, 0]
        sure = np.take_along_axis(entries, way, 1)[:, 0].astype(np.int64) >> MARK_BITS
        byte = np.where(known, symbol, byte)
        form = np.where(known, sure * MOST_LENGTHS + number, form)
    return byte, form
