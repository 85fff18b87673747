"""Compiled kernels that read the pixels of a line from range codes, under what a network predicts of them.

In one call they do what `CompiledPrediction.channel`, `high` and `low` of its mixture, `RangeDecoder.decode_rows` and
`condition` do by turns, and give the same values. A nibble is found among the edges of its distribution by bisection,
so that four of sixteen are computed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bfncodec.coding.cdf import NIBBLE
from bfncodec.coding.rangecoder import PRECISION, Codes
from bfncodec.networks.convnet.compiled import (
    CONDITIONS,
    Components,
    Head,
    Tables,
    Trunk,
    _below,
    _coarse,
    _describe,
    _enter,
    _fine,
)
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints
from bfncodec.runtime.jit import compiled

U24, U32 = np.uint64(PRECISION), np.uint64(32)


class LineWork(NamedTuple):
    """Buffers for a line of n pixels of C channels."""

    errors: Floats32  # differences of channels that others are conditioned on, [CONDITIONS, n]
    buffer: Array  # left factors, see `_describe`
    found: Components
    order: Ints  # the channel that is coded k-th, [C]


@compiled
def read_line(heads: tuple[Head, ...], trunk: Trunk, codes: Codes, counts: Ints, work: LineWork, line: Bytes) -> bool:
    """Read the pixels of some images that one step reveals. Returns whether an encoder may have written the codes.

    counts: pixels of each image, which stand behind each other; line: uint8 [n, C], is filled.
    """
    width = trunk.hidden.shape[1] // len(heads)
    for k in range(len(work.order)):
        channel, head = work.order[k], heads[k]
        values = line[:, channel]
        _describe(head, trunk.hidden, k, trunk.base[:, channel], work.errors[:k], work.buffer, work.found)
        start = 0
        for i in range(len(counts)):
            end = start + counts[i]
            for step in (NIBBLE, 1):
                if not _read(work.found, head.tables, codes, i, step, values, start, end):
                    return False
            start = end
        if k < CONDITIONS and k + 1 < len(work.order):
            for n in range(len(line)):
                work.errors[k, n] = np.float32(values[n]) - np.float32(trunk.base[n, channel])
            _enter(head.entering, work.errors[k], trunk.hidden[:, (k + 1) * width :])
    return True


@compiled
def _read(
    parts: Components, tables: Tables, codes: Codes, i: int, step: int, values: Bytes, start: int, end: int
) -> bool:
    """Read a nibble of the pixels [start, end) from the i-th code. Returns whether an encoder may have written it.

    step: NIBBLE for the high nibbles, under `cdf.high_frequencies`, 1 for the low ones behind these, under
    `cdf.low_frequencies`; values: the pixels, of which the high nibbles are known behind them.
    """
    state = codes.state[i]
    lower, width, point, at = state[0], state[1], state[2], np.int64(state[3])
    for n in range(start, end):
        scale = width >> U24
        found = (point - lower) // scale
        if found >> U24:
            return False
        quantile, begin, none, some = np.int64(found), np.int64(0), np.int64(0), np.int64(0)
        if step == 1:
            begin = NIBBLE * np.int64(values[n])
            none = _below(parts, n, tables, begin)
            some = _below(parts, n, tables, begin + NIBBLE) - none
        first, last, before, behind = 0, NIBBLE, np.int64(0), np.int64(1) << PRECISION
        while last - first > 1:  # the symbol is one of [first, last), whose intervals are those of [before, behind)
            middle = (first + last) >> 1
            below = _below(parts, n, tables, begin + middle * step)
            edge = middle + (_coarse(below) if step > 1 else _fine(below - none, some, middle))
            if edge <= quantile:
                first, before = middle, edge
            else:
                last, behind = middle, edge
        values[n] = begin + first
        lower, width = lower + scale * np.uint64(before), scale * np.uint64(behind - before)
        if not width >> U32:
            lower, width = lower << U32, width << U32
            point = (point << U32) | np.uint64(codes.words[at] if at < codes.ends[i] else 0)
            at += 1
    state[0], state[1], state[2], state[3] = lower, width, point, np.uint64(at)
    return True
