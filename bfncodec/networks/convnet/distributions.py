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
from bfncodec.networks.kernels import COLUMNS, ProductKernel, aligned
from bfncodec.networks.products import MOST, Linear, finish_rows, most_of, multiply, quantise
from bfncodec.runtime.arrays import Array, Floats32, Ints32
from bfncodec.runtime.jit import compiled

CONDITIONS = len(CODING_ORDER) - 1  # channels that others are conditioned on
LEAST_LOG, MOST_LOG = (np.float32(end) for end in LOG_SCALE_RANGE)
OFFSET, FIXED, FAR_MEAN = np.float32(MEAN_SCALE), np.float32(MEAN_STEPS), np.float32(MEAN_LIMIT)
LOG_STEPS, STEPS = np.float32(tables.EXP2_STEPS), np.float32(tables.LOG2_E * tables.EXP2_STEPS)
SMALL = np.float32(INPUT_SCALE)
NONE = np.float32(0)
TOTAL = total(NIBBLE)


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
    """Mixtures of K logistics, pixels before components: [n, K] each, see `exact.Mixture`."""

    weight: Ints32
    mean: Floats32
    inverse: Floats32


class HeadWork(NamedTuple):
    """Buffers for the heads of the N pixels that the kernel has together."""

    buffer: Array  # left factors of the kernel, [N, C]
    unit: Floats32  # value of one unit of each row, [N]
    hidden: Floats32  # [C]
    sums: Ints32  # [N, the most columns]
    out: Floats32  # [N, the most columns]


def components_of(count: int, mixtures: int) -> Components:
    """Room for the mixtures of so many pixels."""
    mean, inverse = (np.empty((count, mixtures), np.float32) for _ in range(2))
    return Components(np.empty((count, mixtures), np.int32), mean, inverse)


def head_work(heads: Sequence[Head], width: int, kernel: ProductKernel) -> HeadWork:
    """Room for the heads of a network of some width."""
    columns, together = COLUMNS * max(len(head.linear.panels) for head in heads), kernel.together
    return HeadWork(
        buffer=kernel.buffer(together, width),
        unit=np.empty(together, np.float32),
        hidden=np.empty(width, np.float32),
        sums=aligned((together, columns), np.int32),
        out=np.empty((together, columns), np.float32),
    )


# ---- distributions ------------------------------------------------------------------------------


@compiled
def describe(
    head: Head, trunk: Floats32, k: int, base: Array, errors: Floats32, work: HeadWork, found: Components
) -> None:
    """`Prediction.channel` of the k-th channel. trunk: [n, 3 C]; base: [n]; errors, one line for each slope: [slopes,
    n]; the mixtures go to `found`.
    """
    count, width, mixtures = len(trunk), trunk.shape[1] // 3, found.weight.shape[1]
    hidden, slopes = work.hidden, len(head.linear.scale) - 3 * mixtures
    for start in range(0, count, len(work.unit)):
        rows = min(len(work.unit), count - start)
        for n in range(rows):
            for c in range(width):
                hidden[c] = max(trunk[start + n, k * width + c], NONE)
            work.unit[n] = quantise(hidden, work.buffer[n])
        multiply(work.buffer, head.linear, work.sums, rows)
        finish_rows(work.sums, work.unit, head.linear, work.out, rows)
        for n in range(rows):
            at = start + n
            out = work.out[n]
            centre = np.float32(base[at])
            for j in range(slopes):
                centre += out[3 * mixtures + j] * errors[j, at]
            _components(out, centre, head.tables, found.mean[at], found.inverse[at])
            _weights(out[:mixtures], head.tables.exp2, found.weight[at])


@compiled
def _components(out: Floats32, centre: Any, tables: Tables, mean: Floats32, inverse: Floats32) -> None:
    """`exact.mixture` of one pixel: means and inverse scales of its K components. out: what a head gives."""
    mixtures = len(mean)
    for m in range(mixtures):
        value = np.rint((out[mixtures + m] * OFFSET + centre) * FIXED)
        mean[m] = min(max(value, -FAR_MEAN), FAR_MEAN)
        level = np.rint((min(out[2 * mixtures + m], MOST_LOG) - LEAST_LOG) * LOG_STEPS)
        inverse[m] = _entry(tables.inverse, level)


@compiled
def _entry(table: Array, index: Any) -> Any:
    """Return the entry at a whole number that is a float, or at the nearer end of the table."""
    place: Any = min(max(np.int64(index), 0), len(table) - 1)
    return table[place]


@compiled
def _weights(logits: Floats32, exp2: Ints32, weight: Ints32) -> None:
    """`exact.mixture_weights` of one pixel, [K]."""
    most, total = most_of(logits), np.int64(0)
    for m in range(len(logits)):
        total += _entry(exp2, np.rint((most - logits[m]) * STEPS))
        weight[m] = 0
    whole, share, before = np.float64(total), np.int64(0), np.int64(0)
    for m in range(len(logits)):
        share += _entry(exp2, np.rint((most - logits[m]) * STEPS))
        edge = np.int64(np.float64(share) * np.float64(WEIGHT_TOTAL) / whole)
        weight[m] = edge - before
        before = edge


@compiled
def enter(entering: Floats32, error: Floats32, hidden: Floats32) -> None:
    """`Prediction.condition`: hidden += small(error) entering. entering: [C']; error: [n]; hidden: [n, C']"""
    for n in range(len(error)):
        small = min(max(error[n], -MOST), MOST) / SMALL
        for c in range(len(entering)):
            hidden[n, c] += small * entering[c]


@compiled
def difference(value: Array, base: Array, error: Floats32) -> None:
    """Find differences as `Prediction.condition` does: ``error[:n] = value - base``. value: uint8 [n]; base: [n]"""
    for n in range(len(value)):
        error[n] = np.float32(value[n]) - np.float32(base[n])


@compiled
def below_of(parts: Components, n: int, tables: Tables, value: Any) -> Any:
    """`Mixture.below` of one value for the n-th pixel."""
    half, found = np.float32(len(tables.logistic) // 2), np.int64(0)
    for m in range(parts.mean.shape[1]):
        index = np.floor((tables.edges[value] - parts.mean[n, m]) * parts.inverse[n, m]) + half
        found += np.int64(_entry(tables.logistic, index)) * parts.weight[n, m]
    return found


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
    parts: Components, tables: Tables, value: Array, symbol: Ints32, below: Ints32, frequency: Ints32
) -> None:
    """`cdf.nibble_intervals`: of high nibbles, then of low ones. value: [n]; symbol, below, frequency: the first two
    lines are filled, [2 or more, n or more].
    """
    for n in range(len(value)):
        v = np.int64(value[n])
        high, low = v // NIBBLE, v % NIBBLE
        start = high * NIBBLE
        first, end = below_of(parts, n, tables, start), below_of(parts, n, tables, start + NIBBLE)
        symbol[0, n], below[0, n] = high, coarse(first)
        frequency[0, n] = coarse(end) - coarse(first)
        before = fine(below_of(parts, n, tables, v) - first, end - first, low)
        above = fine(below_of(parts, n, tables, v + 1) - first, end - first, low + 1)
        symbol[1, n], below[1, n] = low, before
        frequency[1, n] = above - before


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
