"""Compiled kernels of the distributions of pixels: from the trunk of the network to frequencies.

Functions equal those of :mod:`bfncodec.networks.convnet.exact`, `mixture` and `cdf` that they are named after, to the
bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bfncodec.coding import tables
from bfncodec.coding.cdf import NIBBLE, SUM_BITS
from bfncodec.coding.rangecoder import PRECISION, total
from bfncodec.networks.convnet.config import CODING_ORDER, INPUT_SCALE, LOG_SCALE_RANGE, MEAN_SCALE
from bfncodec.networks.convnet.mixture import MEAN_LIMIT, MEAN_STEPS, WEIGHT_TOTAL
from bfncodec.networks.kernels import COLUMNS, ProductKernel
from bfncodec.networks.products import (
    MOST,
    Linear,
    add_scaled,
    finish_columns,
    multiply_ready,
    prepare,
    quantise_positive,
    release,
)
from bfncodec.runtime.arrays import Array, Floats, Floats32, Ints32
from bfncodec.runtime.jit import compiled, inlined, written
from bfncodec.runtime.lines import aligned

CONDITIONS = len(CODING_ORDER) - 1  # channels that others are conditioned on
LEAST_LOG, MOST_LOG = (np.float32(end) for end in LOG_SCALE_RANGE)
OFFSET, FIXED, FAR_MEAN = np.float32(MEAN_SCALE), np.float32(MEAN_STEPS), np.float32(MEAN_LIMIT)
LOG_STEPS, STEPS = np.float32(tables.EXP2_STEPS), np.float32(tables.LOG2_E * tables.EXP2_STEPS)
SMALL = np.float32(INPUT_SCALE)
TOTAL = total(NIBBLE)

take = written("bfncodec.networks.convnet.instructions", "take")
find_edges = written("bfncodec.networks.convnet.instructions", "find_edges")


class Tables(NamedTuple):
    """The integer tables of mixtures of logistics."""

    exp2: Ints32
    inverse: Floats32  # `exact.inverse_scales`
    edges: Floats32  # `exact.byte_edges`
    logistic: Ints32


class Head(NamedTuple):
    """The last layers of one channel."""

    linear: Linear
    entering: Floats32  # weights with which the channel enters those after it, [C times their number]
    tables: Tables


class Trunk(NamedTuple):
    """The network's output before the heads, n pixels."""

    base: Array  # prediction by the plain causal predictor, int16 [n, WORD]
    hidden: Floats32  # hidden layers of the three channels, [n, 3 C]


class Components(NamedTuple):
    """Mixtures of K logistics, components before pixels: [K, n] each, see `exact.Mixture`."""

    weight: Ints32
    mean: Floats32
    inverse: Floats32


class HeadWork(NamedTuple):
    """Buffers for the heads of the N pixels that the kernel has together, and as many more as fill registers."""

    buffer: Array  # left factors of the kernel, [N, C]
    unit: Floats32  # value of one unit of each row, [N]
    sums: Ints32  # [N, the most columns]
    out: Floats32  # [the most columns, N]
    centre: Floats32  # that means are told from, or the largest logits, [N]
    level: Floats32  # places in a table, [N]
    scale: Floats32  # what the table of scales has there, [N]
    power: Ints32  # what other tables have there, [K, N]
    whole: Floats  # sums of powers, [N]
    share: Floats  # of the first ones, [N]
    edge: Ints32  # of the components before in a weight's total, [N]
    symbol: Ints32  # nibbles, the high ones and the low ones, [2, N]
    edges: Ints32  # of their intervals: the lower and the upper ones of high nibbles, then of low ones, [4, N]


def components_of(count: int, mixtures: int) -> Components:
    """Room for the mixtures of so many pixels."""
    mean, inverse = (np.empty((mixtures, count), np.float32) for _ in range(2))
    return Components(np.empty((mixtures, count), np.int32), mean, inverse)


def head_work(heads: Sequence[Head], width: int, kernel: ProductKernel) -> HeadWork:
    """Room for the heads of a network of some width."""
    columns, together = COLUMNS * max(len(head.linear.panels) for head in heads), kernel.together
    room, mixtures = -(-together // COLUMNS) * COLUMNS, len(heads[0].linear.scale) // 3
    centre, level, scale = (aligned((room,), np.float32) for _ in range(3))
    whole, share = (aligned((room,), np.float64) for _ in range(2))
    return HeadWork(
        buffer=kernel.buffer(together, width),
        unit=np.empty(together, np.float32),
        sums=aligned((together, columns), np.int32),
        out=aligned((columns, room), np.float32),
        centre=centre,
        level=level,
        scale=scale,
        power=aligned((mixtures, room), np.int32),
        whole=whole,
        share=share,
        edge=aligned((room,), np.int32),
        symbol=aligned((2, room), np.int32),
        edges=aligned((4, room), np.int32),
    )


# ---- distributions ------------------------------------------------------------------------------


@compiled
def describe(
    head: Head, trunk: Floats32, k: int, base: Array, errors: Floats32, work: HeadWork, found: Components, first: int
) -> None:
    """`Prediction.channel` of the k-th channel. trunk: [n, 3 C]; base: [n]. From the first pixel on: errors, a line for
    each slope, [slopes or more, …]; the mixtures go to `found`. (Compilers know of these, which are whole, that numbers
    lie beside each other.) Between `prepare` and `release`.
    """
    count, width = len(trunk), trunk.shape[1] // 3
    for start in range(0, count, len(work.unit)):
        rows = min(len(work.unit), count - start)
        for n in range(rows):
            work.unit[n] = quantise_positive(trunk[start:], n, k * width, work.buffer, width)
        multiply_ready(work.buffer, head.linear, work.sums, rows)
        finish_columns(work.sums, work.unit, head.linear, work.out, rows)
        slopes = len(head.linear.scale) - 3 * len(found.weight)
        _components(head.tables, base[start:], slopes, errors, work, found, first + start, rows)
        _weights(head.tables.exp2, work, found.weight, first + start, rows)


@compiled
def describe_alone(
    head: Head, trunk: Floats32, k: int, base: Array, errors: Floats32, work: HeadWork, found: Components, first: int
) -> None:
    """`describe` for callers that prepare nothing."""
    prepare(head.linear.panels)
    describe(head, trunk, k, base, errors, work, found, first)
    release(head.linear.panels)


@compiled
def _components(
    tables: Tables,
    base: Array,
    slopes: int,
    errors: Floats32,
    work: HeadWork,
    found: Components,
    start: int,
    rows: int,
) -> None:
    """`exact.mixture` of some pixels: means and inverse scales of their K components, from what a head gives."""
    mixtures, out, centre, index = len(found.weight), work.out, work.centre, work.level
    for n in range(rows):
        centre[n] = np.float32(base[n])
    for j in range(slopes):
        slope, error = out[3 * mixtures + j], errors[j]
        for n in range(rows):
            centre[n] += slope[n] * error[start + n]
    for m in range(mixtures):
        offset, log_scale, mean, inverse = out[mixtures + m], out[2 * mixtures + m], found.mean[m], found.inverse[m]
        for n in range(rows):
            value = np.rint((offset[n] * OFFSET + centre[n]) * FIXED)
            mean[start + n] = min(max(value, -FAR_MEAN), FAR_MEAN)
        for n in range(rows):
            index[n] = np.rint((min(log_scale[n], MOST_LOG) - LEAST_LOG) * LOG_STEPS)
        take(tables.inverse, index, work.scale, rows)
        for n in range(rows):
            inverse[start + n] = work.scale[n]


@compiled
def _weights(exp2: Ints32, work: HeadWork, weight: Ints32, start: int, rows: int) -> None:
    """`exact.mixture_weights` of some pixels, whose logits come first in what a head gives."""
    most, whole, share, edge, logits = work.centre, work.whole, work.share, work.edge, work.out
    for n in range(rows):
        most[n], whole[n], share[n], edge[n] = logits[0, n], 0, 0, 0
    for m in range(1, len(weight)):
        for n in range(rows):
            most[n] = max(most[n], logits[m, n])
    for m in range(len(weight)):
        for n in range(rows):
            work.level[n] = np.rint((most[n] - logits[m, n]) * STEPS)
        take(exp2, work.level, work.power[m], rows)
        for n in range(rows):
            whole[n] += np.float64(work.power[m, n])
    for m in range(len(weight)):
        own, power = weight[m], work.power[m]
        for n in range(rows):
            share[n] += np.float64(power[n])
            end = np.int32(share[n] * np.float64(WEIGHT_TOTAL) / whole[n])
            own[start + n] = end - edge[n]
            edge[n] = end


@compiled
def enter(entering: Floats32, error: Floats32, hidden: Floats32, first: int) -> None:
    """`Prediction.condition`: hidden += small(error) entering, in the columns of hidden from the first one on.

    entering: [C']; error: [n]; hidden: [n, C' or more]
    """
    for n in range(len(error)):
        small = min(max(error[n], -MOST), MOST) / SMALL
        add_scaled(hidden, n, first, small, entering)


@compiled
def difference(value: Array, base: Array, error: Floats32) -> None:
    """Find differences as `Prediction.condition` does: ``error[:n] = value - base``. value: uint8 [n]; base: [n]"""
    for n in range(len(value)):
        error[n] = np.float32(value[n]) - np.float32(base[n])


@compiled
def below_of(parts: Components, n: int, tables: Tables, value: Any) -> Any:
    """`Mixture.below` of one value for the n-th pixel."""
    half, found = np.float32(len(tables.logistic) // 2), np.int64(0)
    for m in range(len(parts.mean)):
        index = np.floor((tables.edges[value] - parts.mean[m, n]) * parts.inverse[m, n]) + half
        found += np.int64(_entry(tables.logistic, index)) * parts.weight[m, n]
    return found


@inlined
def _entry(table: Array, index: Any) -> Any:
    """Return the entry at a whole number that is a float, or at the nearer end of the table."""
    place: Any = min(max(np.int64(index), 0), len(table) - 1)
    return table[place]


@compiled
def cumulative(parts: Components, tables: Tables, value: Ints32, found: Ints32) -> None:
    """`Mixture.below`. value, found: [n, B]"""
    for n in range(len(value)):
        for b in range(value.shape[1]):
            found[n, b] = below_of(parts, n, tables, value[n, b])


@compiled
def coarse(c: Any) -> Any:
    """`cdf._coarse` of one value."""
    c >>= SUM_BITS - PRECISION
    return c - (c >> (PRECISION - 4))


@compiled
def fine(c: Any, width: Any, step: Any) -> Any:
    """`cdf._fine` of one value, and total(16) at step 16."""
    if step == NIBBLE:
        return TOTAL
    return np.int64(np.float64(c + step) * (np.float64(TOTAL) / np.float64(width + NIBBLE)))


@compiled
def intervals(
    parts: Components, tables: Tables, value: Array, work: HeadWork, symbol: Ints32, below: Ints32, frequency: Ints32
) -> None:
    """`cdf.nibble_intervals`: of high nibbles, then of low ones. value: [n]; symbol, below, frequency: the first two
    lines are filled, [2 or more, n or more].
    """
    for start in range(0, len(value), len(work.unit)):
        rows = min(len(work.unit), len(value) - start)
        _find_edges(parts, tables, value[start:], start, rows, work)
        first, end, before, above = work.edges
        for n in range(rows):
            at = start + n
            for i in range(2):
                symbol[i, at] = work.symbol[i, n]
            below[0, at], frequency[0, at] = first[n], end[n] - first[n]
            below[1, at], frequency[1, at] = before[n], above[n] - before[n]


@compiled
def _find_edges(parts: Components, tables: Tables, value: Array, start: int, rows: int, work: HeadWork) -> None:
    """Find the nibbles of some pixels from a number on, and the edges of their intervals."""
    high, low = work.symbol
    first, end, before, above = work.edges
    for n in range(rows):
        known = np.int32(value[n])
        high[n], low[n] = known // NIBBLE, known % NIBBLE
    whole = rows // COLUMNS * COLUMNS
    find_edges(parts, start, whole, tables.logistic, work.symbol, work.edges)
    for n in range(whole, rows):
        begin, v = np.int64(NIBBLE) * high[n], np.int64(value[n])
        none = below_of(parts, start + n, tables, begin)
        width = below_of(parts, start + n, tables, begin + NIBBLE) - none
        lower, upper = below_of(parts, start + n, tables, v) - none, below_of(parts, start + n, tables, v + 1) - none
        before[n], above[n] = fine(lower, width, low[n]), fine(upper, width, low[n] + 1)
        first[n], end[n] = coarse(none), coarse(none + width)


@compiled
def high_rows(parts: Components, tables: Tables, rows: Floats32) -> None:
    """`cdf.high_frequencies`, to rows, [n, 16]."""
    for n in range(len(rows)):
        before = np.int64(0)
        for high in range(NIBBLE):
            edge = coarse(below_of(parts, n, tables, (high + 1) * NIBBLE))
            rows[n, high] = edge - before
            before = edge


@compiled
def low_rows(parts: Components, tables: Tables, highs: Ints32, rows: Floats32) -> None:
    """`cdf.low_frequencies` given the high nibbles [n], to rows, [n, 16]."""
    for n in range(len(rows)):
        start = np.int64(highs[n]) * NIBBLE
        first = below_of(parts, n, tables, start)
        width = below_of(parts, n, tables, start + NIBBLE) - first
        before = np.int64(0)
        for low in range(NIBBLE):
            edge = np.int64(TOTAL)
            if low + 1 < NIBBLE:
                edge = fine(below_of(parts, n, tables, start + low + 1) - first, width, low + 1)
            rows[n, low] = edge - before
            before = edge
