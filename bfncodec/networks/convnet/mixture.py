"""Mixtures of logistics in integers: p_O of a channel, from what a head of the network gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.coding.cdf import SUM_BITS, Intervals, high_frequencies, low_frequencies, nibble_intervals
from bfncodec.networks.convnet.config import LOG_SCALE_RANGE, MEAN_SCALE
from bfncodec.runtime.arrays import Floats32, Ints32

MEAN_STEPS = 64  # fixed point of predicted means: units of 1/64 level
WEIGHT_TOTAL = 1 << (SUM_BITS - tables.LOGISTIC_BITS)  # mixture weights are integers that sum to this, 2^10
MEAN_LIMIT = 1 << 16
FAR = np.float32(1 << 40)  # beyond the ends of the table of the logistic distribution, at any scale


def mixture(out: Floats32, base: Floats32, errors: Sequence[Floats32], mixtures: int) -> Mixture:
    """Integer mixture of logistics from the k-th head. out: float32 [3K + k, N]; base and each of the k errors:
    float32 [N].
    """
    k = mixtures
    logits, offset, log_scale, slopes = out[:k], out[k : 2 * k], out[2 * k : 3 * k], out[3 * k :]
    centre = base
    for slope, error in zip(slopes, errors, strict=True):
        centre = centre + slope * error
    mean = offset * np.float32(MEAN_SCALE)
    mean += centre
    mean *= np.float32(MEAN_STEPS)
    np.rint(mean, out=mean)
    np.maximum(mean, np.float32(-MEAN_LIMIT), out=mean)
    np.minimum(mean, np.float32(MEAN_LIMIT), out=mean)
    low, high = LOG_SCALE_RANGE
    level = np.minimum(log_scale, np.float32(high))
    level -= np.float32(low)
    level *= np.float32(tables.EXP2_STEPS)
    np.rint(level, out=level)
    # What is below the range counts as its lower end, too.
    return Mixture(mixture_weights(logits), mean, inverse_scales().take(level.astype(np.int64), mode="clip"))


@lru_cache(maxsize=1)
def inverse_scales() -> Floats32:
    """1/scale in table steps in 1/64 level, by the level of the scale: the table of exp2 holds 2^(20 - level/64) where
    1/scale is 2^(-low - level/64).
    """
    low, _ = LOG_SCALE_RANGE
    unit = np.float32(tables.LOGISTIC_STEPS / MEAN_STEPS * 2.0 ** (-low - tables.EXP2_BITS))
    return tables.exp2_table().astype(np.float32) * unit


def mixture_weights(logits: Floats32) -> Ints32:
    """Integers in proportion to exp(logits) that sum to WEIGHT_TOTAL. float32 [K, N] -> int32 [K, N]"""
    steps = np.maximum.reduce(logits) - logits
    steps *= np.float32(tables.LOG2_E * tables.EXP2_STEPS)
    np.rint(steps, out=steps)
    return in_proportion(tables.exp2_table().take(steps.astype(np.int64), mode="clip"))


def in_proportion(numbers: NDArray[np.integer]) -> Ints32:
    """Integers that sum to WEIGHT_TOTAL in proportion to others, which are not negative and sum to less than 2^36.
    [K, N] -> int32 [K, N]
    """
    share = np.add.accumulate(numbers, 0, dtype=np.float64)
    # The quotient of integers below 2^36 is never so close to the next integer that it is rounded to it.
    edge: Ints32 = (share * np.float64(WEIGHT_TOTAL) / share[-1]).astype(np.int32)
    edge[1:] -= edge[:-1].copy()
    return edge


@dataclass(frozen=True)
class Mixture:
    """Cumulative distribution of one channel in integers. weight: int32 [K, N], sums to 2^10; mean (1/64 levels) and
    inverse scale (table steps in 1/64 level): float32 [K, N].
    """

    weight: Ints32
    mean: Floats32
    inverse: Floats32

    def components(self) -> tuple[Ints32, Floats32, Floats32]:
        """Weights, means and inverse scales, [K, N] each."""
        return self.weight, self.mean, self.inverse

    def with_components(self, weight: Ints32, mean: Floats32, inverse: Floats32) -> Mixture:
        """Return a mixture of other components, of the same class. Shapes as of `components`."""
        return Mixture(weight, mean, inverse)

    def below(self, value: Ints32) -> Ints32:
        """2^30 P(x < value), monotone in value, see `cdf.Below`. value: int32 [N, B] or [1, B] in 0 … 256 -> int32
        [N, B]
        """
        table = tables.logistic_table()
        edge = byte_edges().take(value)  # [N, B]
        index = edge - self.mean[:, :, None]  # [K, N, B]
        index *= self.inverse[:, :, None]
        np.floor(index, out=index)
        index += np.float32((len(table) - 1) // 2)
        cumulative = table.take(index.astype(np.int64), mode="clip")
        cumulative *= self.weight[:, :, None]
        result: Ints32 = np.add.reduce(cumulative, 0, dtype=np.int32)
        return result

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Return the intervals of the high and of the low nibbles of bytes, int32 [N]."""
        return nibble_intervals(self.below, value)

    def high(self) -> Floats32:
        """Frequencies of the high nibbles, float32 [N, 16]."""
        return high_frequencies(self.below)

    def low(self, high: Ints32) -> Floats32:
        """Frequencies of the low nibbles behind these high ones, float32 [N, 16]."""
        return low_frequencies(self.below, high)


@lru_cache(maxsize=1)
def byte_edges() -> Floats32:
    """The lower edges of the values 0 … 256, in units of the mean: nothing is below 0, everything is below 256."""
    edges = np.arange(257, dtype=np.float32) * np.float32(MEAN_STEPS) - np.float32(MEAN_STEPS // 2)
    edges[0], edges[-1] = -FAR, FAR
    return edges
