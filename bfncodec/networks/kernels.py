"""Compiled kernels of integer products: the inner loops of the networks, in LLVM instructions compiled by Numba.

Every kernel's docstring has its equivalent in NumPy, which it equals to the bit: sums of fewer than 2^16 products of
int8 stay below 2^31, and additions of integers are exact in any order.

A matrix of int8 [K, M] is packed in *panels* of sixteen columns. Of each *group* of its rows the values of one column
lie beside each other, because processors multiply a group of narrow numbers and add the products in one instruction:

- *words*: groups of two 16-bit numbers (``pmaddwd`` and its like; LLVM finds other instructions where there is none).
  The left factor is int16. So are attention's weights, which go round at 2^15.
- *bytes*: groups of four 8-bit numbers, of which one factor must be unsigned (VNNI, ``vpdpbusd``). The left factor is
  uint8, 128 more than the number it stands for, and sums start at -128 times the sum of their column.
- *tiles*: the same, for processors that multiply a tile register of sixteen rows by one of sixteen columns, 64 numbers
  deep (AMX, ``tdpbusd``). Panels lie that way already, but for zeros that fill the last 64. Products of one or two rows
  and attention are those of bytes.

:func:`fastest` says which one this processor has, after it has tried it on the worst case.

One *tile*, some rows of the result times the columns of some panels, is summed in registers at a time::

                          panel 0      panel 1          the four bytes (or two words) of one row of `a`
                        +--16 col--+ +--16 col--+       are broadcast to all places of a register, multiplied
      group of 4 rows   | register | | register |       with those of every panel and added to the row's
      of the matrix     +----------+ +----------+       totals; then the next group.
      row 0 of a  [4] x   totals       totals
      row 1 of a  [4] x   totals       totals
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.arrays import Array, Bytes, Ints32
from bfncodec.runtime.jit import compiled, inlined, written
from bfncodec.runtime.kept import features
from bfncodec.runtime.lines import LINE, aligned
from bfncodec.runtime.tiles import may_use_tiles

COLUMNS = 16  # of a panel
WORD_GROUP, BYTE_GROUP = 2, 4  # numbers that one instruction multiplies and adds
OFFSET = 128  # between a number and its unsigned form
TILE_ROWS = 6  # with the totals of a tile and its factors they fill the registers, of words and of bytes
EIGHT = 8  # 32-bit numbers in a register of 256 bits
TILE, DEPTH = 16, 64  # rows of a tile register, and bytes of each
LEAST_ROWS = 3  # that tile registers are faster for
SWITCH = "BFNCODEC_AMX"  # environment variable: "never" leaves tile registers alone


def side_by_side(kinds: Sequence[tuple[tuple[int, ...], Any]]) -> list[Array]:
    """Return `aligned` zeros of some shapes and dtypes that lie behind each other. Together they may be so large that
    NumPy asks for large pages, of which a processor has far fewer to look up.
    """
    sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in kinds]
    starts = [0, *itertools.accumulate(-(-size // LINE) * LINE for size in sizes)]
    room = aligned((starts[-1],), np.uint8)
    parts = [room[start : start + size] for start, size in zip(starts[:-1], sizes, strict=True)]
    return [part.view(dtype).reshape(shape) for part, (shape, dtype) in zip(parts, kinds, strict=True)]


def aligned_copy(array: Array) -> Array:
    """Return a copy that begins with a line of the processor's cache."""
    found = aligned(array.shape, array.dtype)
    found[...] = array
    return found


@dataclass(frozen=True)
class ProductKernel:
    """The way in which matrices are packed and multiplied.

    Attributes
    ----------
    name
        Name for people.
    group
        Numbers that are multiplied and added by one instruction, g.
    dtype
        Dtype of the left factor of a product with a packed matrix.
    offset
        Difference between a stored left factor (and a stored key) and the number it stands for.
    query, keys
        Dtypes of these in attention; keys are stored with the offset.
    beside
        Slots whose attention values lie beside each other.
    weights
        Dtype of attention weights in products: words, or bytes, of which each weight has two.
    depth
        Numbers of which a row of left factors has a multiple, d.
    together
        Rows that networks multiply at once, N: more share what is loaded of a matrix, fewer stay in the first cache.
    """

    name: str
    group: int
    dtype: type[np.generic]
    offset: int
    query: type[np.generic]
    keys: type[np.generic]
    beside: int
    weights: type[np.generic]
    depth: int
    together: int = 24

    def pack(self, weight: NDArray[np.int8]) -> tuple[NDArray[np.int8], Ints32]:
        """Return int8 [K, M] as panels, int8 [P, K / g, COLUMNS, g] or, for tiles, [P, K / d, d / g, COLUMNS, g],
        padded with zeros, and the number that the sum of each column starts with, int32 [P COLUMNS].
        """
        rows, columns = weight.shape
        padded = np.zeros((-(-columns // COLUMNS) * COLUMNS, -(-rows // self.depth) * self.depth), np.int8)
        padded[:columns, :rows] = weight.T
        groups = padded.view(f"i{self.group}").reshape(-1, COLUMNS, padded.shape[1] // self.group)
        panels = aligned_copy(groups.transpose(0, 2, 1)).view(np.int8)  # a group is copied as one number
        deep = (-1, self.depth // self.group) if self.depth > self.group else (-1,)
        start = -self.offset * padded.sum(1, dtype=np.int32)
        return panels.reshape(len(groups), *deep, COLUMNS, self.group), start.astype(np.int32)

    def buffer(self, rows: int, columns: int) -> Array:
        """Return zeros as left factors, [rows, columns rounded up to a multiple of d] in the kernel's dtype."""
        found = aligned((rows, -(-columns // self.depth) * self.depth), self.dtype)
        found[:] = self.offset
        return found

    def parts(self, rows: int, slots: int) -> Array:
        """Return zeros as rows of attention weights: int16 [rows, 1, S], or their high and low bytes, uint8 [rows, 2,
        S], S slots rounded up to a multiple of DEPTH.
        """
        return aligned((rows, 2 if self.weights is np.uint8 else 1, -(-slots // DEPTH) * DEPTH), self.weights)

    def in_tiles(self, head_width: int) -> bool:
        """Return whether tile registers hold queries and keys of some rows, and their values in pairs of panels."""
        return self.depth == DEPTH >= head_width and -(-head_width // COLUMNS) % 2 == 0


WORDS = ProductKernel(
    "pairs of 16-bit words", WORD_GROUP, np.int16, 0, np.int16, np.int8, WORD_GROUP, np.int16, WORD_GROUP
)
BYTES = ProductKernel(
    "fours of bytes (VNNI)", BYTE_GROUP, np.uint8, OFFSET, np.int8, np.uint8, BYTE_GROUP, np.uint8, BYTE_GROUP
)
TILES = replace(BYTES, name="tiles of bytes (AMX)", depth=DEPTH, together=64)


def _simd_lanes() -> int:
    """Return how many 32-bit numbers the widest register holds in which fours of bytes are multiplied, on the processor
    that Numba compiles for; 0 where there is no such instruction.
    """
    found = features()
    if {"+avx512vnni", "+avx512vl", "+avx512bw"} <= found:
        return 16
    return 8 if "+avxvnni" in found else 0


SIMD_LANES = _simd_lanes()
LANES = SIMD_LANES or EIGHT
# Panels of a tile of bytes. In 32 registers of sixteen numbers there is room for 24 totals; sixteen registers of eight
# numbers hold six rows of one panel, or one row of four.
WIDE = 4


@lru_cache(maxsize=1)
def fastest() -> ProductKernel:
    """Return the fastest kernel of this processor that gives the integers it should."""
    return next(kernel for kernel in available() if kernel is WORDS or _is_right(kernel))


def available() -> tuple[ProductKernel, ...]:
    """Return the kernels that this process can run, the fastest first."""
    return (*[TILES] * _has_tiles(), *[BYTES] * bool(SIMD_LANES), WORDS)


def _has_tiles() -> bool:
    """Return whether the processor has tile registers for bytes, and this process may use them and is to."""
    there = SIMD_LANES == COLUMNS and {"+amx-tile", "+amx-int8"} <= features()
    return there and os.environ.get(SWITCH) != "never" and may_use_tiles()


def _is_right(candidate: ProductKernel) -> bool:
    """Return whether the largest sums, of both signs, and some others are those of NumPy's integers."""
    for rows, inner in ((19, 1040), (13, 37)):
        a, b = _scattered(rows, inner), _scattered(inner, 67)
        a[0], a[1], b[:, 0], b[:, 1] = LARGEST, -LARGEST, LARGEST, -LARGEST
        panels, start = candidate.pack(b)
        left = candidate.buffer(len(a), inner)
        left[:, :inner] = a.astype(np.int16) + candidate.offset
        out = np.zeros((len(a), len(start)), np.int32)
        multiply_packed(left, panels, start, out, len(a))
        if not np.array_equal(out[:, :67], a.astype(np.int32) @ b.astype(np.int32)):
            return False
    return True


def _scattered(rows: int, columns: int) -> NDArray[np.int8]:
    """Return numbers of all sizes in no order. (Importing NumPy's generators takes as long as reading a model.)"""
    place = np.arange(rows * columns, dtype=np.uint32)
    hashed = place * place * np.uint32(0x9E3779B1) >> np.uint32(16)
    return ((hashed % (2 * LARGEST + 1)).astype(np.int16) - LARGEST).astype(np.int8).reshape(rows, columns)


# ---- products with a packed matrix --------------------------------------------------------------

_by_tiles = written("bfncodec.networks.instructions.tiles", "by_tiles")
_band = written("bfncodec.networks.instructions.matrices", "band")
_rest = written("bfncodec.networks.instructions.matrices", "rest")
store = written("bfncodec.networks.instructions.numbers", "store")
signed = written("bfncodec.networks.instructions.numbers", "signed")
_copy_sixteen = written("bfncodec.networks.instructions.numbers", "copy_sixteen")
_copy_pair = written("bfncodec.networks.instructions.numbers", "copy_pair")


@compiled
def multiply_packed(a: Array, panels: Array, start: Ints32, out: Ints32, rows: int) -> None:
    """Multiply the first rows of `a` by a packed matrix. In NumPy: ``out[:rows] = (a[:rows] - offset) @ weight``.

    a: [N, K] in the kernel's dtype; panels, start: see `ProductKernel.pack`; out: int32 [N, P COLUMNS].
    """
    # Words: one panel, which stays in the first cache, by all rows. Bytes: some rows by all panels.
    step = 1 if panels.shape[3] == WORD_GROUP else max(len(panels), 1)
    done = _by_tiles(a, panels, start, out, rows)
    for first in range(0, len(panels), step):
        row = done
        while row + TILE_ROWS <= rows:
            _band(a, panels, start, out, row, first, first + step, TILE_ROWS)
            row += TILE_ROWS
        _rest(a, panels, start, out, row, first, first + step, rows)


@inlined
def copy_row(source: Array, row: int, target: Array, to_row: int, to_start: int, count: int) -> None:
    """Copy the first numbers of a row to another array, as its dtype has them. In NumPy, without offsets:
    ``target[to_row, to_start : to_start + count] = source[row, :count]``.

    source: [N, C]; target: [M, D]; one of them int8, the other left factors of a kernel.
    """
    pairs, whole = count // (2 * COLUMNS) * 2 * COLUMNS, count // COLUMNS * COLUMNS
    for start in range(0, pairs, 2 * COLUMNS):
        _copy_pair(source, row, start, target, to_row, to_start + start)
    for start in range(pairs, whole, COLUMNS):
        _copy_sixteen(source, row, start, target, to_row, to_start + start)
    for i in range(whole, count):
        store(signed(source[row, i]), target[to_row], to_start + i)


# ---- attention ----------------------------------------------------------------------------------

TILE_SUMS = 3  # rows of weights, each of two lines of bytes, with whose totals the registers are full
_weigh = written("bfncodec.networks.instructions.attention", "weigh")
weighted_sums = written("bfncodec.networks.instructions.attention", "weighted_sums")
rotate = written("bfncodec.networks.instructions.attention", "rotate")
insert = written("bfncodec.networks.instructions.attention", "insert")
soft_weights = written("bfncodec.networks.instructions.softmax", "soft_weights")
_scores_in_tiles = written("bfncodec.networks.instructions.tiles", "scores_in_tiles")
_join_halves = written("bfncodec.networks.instructions.rows", "join_halves")
write_scaled = written("bfncodec.networks.instructions.rows", "write_scaled")
_sums_in_tiles = written("bfncodec.networks.instructions.tiles", "sums_in_tiles")
_ask = written("bfncodec.networks.instructions.attention", "ask")


@inlined
def ask(array: Array, first: int, count: int) -> None:
    """Ask the memory for some lines of an array that is read soon. In NumPy: nothing."""
    for line in range(first, first + count):
        _ask(array, line)


@inlined
def _set_starts(query: Array, rows: int, keys: Array, start: Ints32) -> None:
    """Write what the sums of each row start with, in all columns: what the keys' offset adds to them, less than 0."""
    for n in range(rows):
        first = np.int32(0)
        if keys.shape[3] == BYTE_GROUP:
            for i in range(query.shape[1]):
                first = np.int32(first + np.int32(query[n, i]))
        start[n, :] = np.int32(-OFFSET * first)


@inlined
def scores_in_tiles(query: Array, rows: int, keys: Array, blocks: int, start: Ints32, out: Ints32) -> None:
    """Implement `key_scores` in tile registers, for up to TILE rows and some blocks more, up to a multiple of four.

    start: int32 [N, COLUMNS]
    """
    _set_starts(query, rows, keys, start)
    _scores_in_tiles(query, rows, keys, blocks, start, out)


@inlined
def sums_in_tiles(
    parts: Bytes, whole: Ints32, values: Array, rows: int, count: int, halves: Ints32, out: Ints32
) -> None:
    """Implement `weighted_sums` in tile registers, as `scores_in_tiles` leaves them, for what else is zeros up to a
    multiple of DEPTH. halves: room for sums of high and low bytes, int32 [N, 2, C]
    """
    _sums_in_tiles(parts, values, rows, -(-count // DEPTH), halves)
    for n in range(rows):
        _join_halves(halves, n, out)
    _add_whole(whole, values, rows, out)


@inlined
def key_scores(query: Array, rows: int, keys: Array, blocks: int, start: Ints32, out: Ints32) -> None:
    """Multiply queries by the keys of the first blocks of a cache. In NumPy: ``out[:rows, :n] = query[:rows] @
    (keys[:n] - offset).T``, n = blocks COLUMNS.

    query: [N, hd] int16 and keys int8, or int8 and uint8; keys: [B, hd / g, COLUMNS, g], as a matrix whose columns are
    slots; start: room for what sums start with, int32 [N, 1 or more]; out: int32 [N, B COLUMNS].
    """
    _set_starts(query, rows, keys, start)
    row = 0
    while row + TILE_ROWS <= rows:
        _band(query, keys, start, out, row, 0, blocks, TILE_ROWS)
        row += TILE_ROWS
    while row < rows:
        _band(query, keys, start, out, row, 0, blocks, 1)
        row += 1


@inlined
def weigh_words(parts: Array, whole: Ints32, values: Array, rows: int, count: int, out: Ints32) -> None:
    """Implement `weighted_sums` with words. A weight of 2^15 or more counts as 2^16 less, and 2^16 times its row is
    added: there are two at most, as all sum to 2^16 or hardly more.
    """
    row = 0
    while row + TILE_ROWS <= rows:
        _weigh(parts, values, count // WORD_GROUP, row, TILE_ROWS, out)
        row += TILE_ROWS
    while row < rows:
        _weigh(parts, values, count // WORD_GROUP, row, 1, out)
        row += 1
    for n in range(rows):
        if whole[n] >= 0:
            first, last = whole[n] & 0xFFFF, whole[n] >> 16
            _add_values(values, first, 16, n, out)
            if first != last:
                _add_values(values, last, 16, n, out)


@inlined
def weigh_bytes(parts: Bytes, whole: Ints32, values: Array, rows: int, count: int, out: Ints32) -> None:
    """Implement `weighted_sums` with bytes. 2^16, which no two bytes hold, counts as 2^16 - 1 and its row is added once
    more.
    """
    row = 0
    while row + TILE_SUMS <= rows:
        _weigh(parts, values, count // BYTE_GROUP, row, TILE_SUMS, out)
        row += TILE_SUMS
    while row < rows:
        _weigh(parts, values, count // BYTE_GROUP, row, 1, out)
        row += 1
    _add_whole(whole, values, rows, out)


@inlined
def _add_whole(whole: Ints32, values: Array, rows: int, out: Ints32) -> None:
    """Add the values of slots that have 2^16, once more to rows that have such a slot."""
    for n in range(rows):
        if whole[n] >= 0:
            _add_values(values, whole[n], 0, n, out)


@inlined
def _add_values(values: Array, slot: int, shift: int, n: int, out: Ints32) -> None:
    """Add the values of a slot to a row of sums. In NumPy: ``out[n] += values[slot] << shift``."""
    beside = values.shape[2]
    for i in range(out.shape[1]):
        out[n, i] += np.int32(values[slot // beside, i, slot % beside]) << shift
