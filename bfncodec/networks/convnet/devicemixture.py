"""Mixtures of logistics on the device of a network: what :mod:`bfncodec.networks.convnet.mixture` and
:mod:`bfncodec.coding.cdf` compute with NumPy, to the bit.

Of many pixels the coder's intervals come back from a GPU, 16 bytes a channel, instead of what a head gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.coding.cdf import NIBBLE, SUM_BITS, Intervals
from bfncodec.coding.rangecoder import PRECISION, total
from bfncodec.networks.convnet.config import LOG_SCALE_RANGE, MEAN_SCALE
from bfncodec.networks.convnet.mixture import (
    MEAN_LIMIT,
    MEAN_STEPS,
    WEIGHT_TOTAL,
    Mixture,
    byte_edges,
    inverse_scales,
)
from bfncodec.networks.exact import tensor_of
from bfncodec.runtime.arrays import Floats32, Ints32


@dataclass(frozen=True)
class DeviceTables:
    """The integer tables of mixtures of logistics on a device.

    steps: table steps of exp2 for a logit of 1, float32 [1]; share: what the frequencies of nibbles sum to, float64
    [1, 1]; edge: 0 … 16, int32 [17].
    """

    exp2: Tensor
    inverse: Tensor
    edges: Tensor
    logistic: Tensor
    steps: Tensor
    share: Tensor
    edge: Tensor

    @classmethod
    def on(cls, device: torch.device) -> DeviceTables:
        """Return the tables on a device."""
        arrays = tables.exp2_table(), inverse_scales(), byte_edges(), tables.logistic_table()
        steps = np.array([tables.LOG2_E * tables.EXP2_STEPS], np.float32)
        share, edge = np.array([[total(NIBBLE)]], np.float64), np.arange(NIBBLE + 1, dtype=np.int32)
        return cls(*(tensor_of(np.array(array), device) for array in (*arrays, steps, share, edge)))


@dataclass(frozen=True)
class DeviceMixture:
    """`Mixture` on a device: weight int32, mean and inverse float32, [K, N] each."""

    weight: Tensor
    mean: Tensor
    inverse: Tensor
    tables: DeviceTables

    @classmethod
    def of(
        cls, out: Tensor, base: Tensor, errors: Sequence[Tensor], mixtures: int, known: DeviceTables
    ) -> DeviceMixture:
        """Return `mixture.mixture` of the same numbers. out: float32 [3K + k, N]; base, errors: float32 [N]."""
        k = mixtures
        logits, offset, log_scale, slopes = out[:k], out[k : 2 * k], out[2 * k : 3 * k], out[3 * k :]
        centre = base
        for slope, error in zip(slopes, errors, strict=True):
            centre = centre + slope * error
        mean = (offset * MEAN_SCALE).add_(centre).mul_(MEAN_STEPS).round_().clamp_(-MEAN_LIMIT, MEAN_LIMIT)
        low, high = LOG_SCALE_RANGE
        level = log_scale.clamp_max(high).sub_(low).mul_(tables.EXP2_STEPS).round_()
        return cls(_weights(logits, known), mean, _take(known.inverse, level), known)

    def components(self) -> tuple[Ints32, Floats32, Floats32]:
        """Implements `Mixture.components`."""
        return self._host.components()

    def with_components(self, weight: Ints32, mean: Floats32, inverse: Floats32) -> Mixture:
        """Implements `Mixture.with_components`."""
        return Mixture(weight, mean, inverse)

    def below(self, value: Ints32) -> Ints32:
        """Implements `Mixture.below`."""
        return self._host.below(value)

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Implements `Mixture.intervals`."""
        known = tensor_of(value, self.weight.device)
        high, low = known >> 4, known & (NIBBLE - 1)
        start = high * NIBBLE
        c = self._below(torch.stack([start, start + NIBBLE, known, known + 1], 1))
        coarse = _coarse(c[:, :2])
        fine = self._fine(c[:, 2:] - c[:, :1], c[:, 1:2] - c[:, :1], torch.stack([low, low + 1], 1))
        found = torch.stack([coarse[:, 0], coarse[:, 1] - coarse[:, 0], fine[:, 0], fine[:, 1] - fine[:, 0]])
        below, frequency, below_low, frequency_low = found.cpu().numpy()
        return Intervals(below, frequency, value >> 4), Intervals(below_low, frequency_low, value & (NIBBLE - 1))

    def high(self) -> Floats32:
        """Implements `Mixture.high`."""
        found: Floats32 = self.high_rows().cpu().numpy()
        return found

    def low(self, high: Ints32) -> Floats32:
        """Implements `Mixture.low`."""
        found: Floats32 = self.low_rows(tensor_of(high, self.weight.device)).cpu().numpy()
        return found

    def high_rows(self) -> Tensor:
        """Return `high` on the device."""
        return _differences(_coarse(self._below(self.tables.edge[None] * NIBBLE)))

    def low_rows(self, high: Tensor) -> Tensor:
        """Return `low` on the device."""
        edge = self.tables.edge[None]
        c = self._below(high[:, None] * NIBBLE + edge)
        c = c - c[:, :1]
        return _differences(self._fine(c, c[:, -1:], edge))

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and inverse scales."""
        return self.weight, self.mean, self.inverse

    @property
    def _host(self) -> Mixture:
        return Mixture(*(part.cpu().numpy() for part in self.parts))

    def _below(self, value: Tensor) -> Tensor:
        """2^30 P(x < value), one component after the other. value: int32 [N, B] or [1, B] -> int32 [N, B]"""
        known, total_below = self.tables, torch.zeros(1, 1, dtype=torch.int32, device=value.device)
        edge = known.edges.index_select(0, value.reshape(-1)).view(value.shape)
        for weight, mean, inverse in zip(self.weight, self.mean, self.inverse, strict=True):
            index = (edge - mean[:, None]).mul_(inverse[:, None]).floor_().add_((len(known.logistic) - 1) // 2)
            total_below = total_below + _take(known.logistic, index).mul_(weight[:, None])
        return total_below

    def _fine(self, c: Tensor, width: Tensor, step: Tensor) -> Tensor:
        """`cdf._fine`, and total(16) at step 16."""
        share = self.tables.share / (width + NIBBLE).double()
        scaled = ((c + step).double() * share).to(torch.int32)
        return scaled.masked_fill_(step == NIBBLE, total(NIBBLE))


def _weights(logits: Tensor, known: DeviceTables) -> Tensor:
    """`mixture.mixture_weights`. float32 [K, N] -> int32 [K, N]"""
    steps = (logits.amax(0) - logits).mul_(known.steps).round_()
    share = _take(known.exp2, steps).cumsum(0).double()
    edge = (share * WEIGHT_TOTAL).div_(share[-1:]).to(torch.int32)
    return torch.cat([edge[:1], edge[1:] - edge[:-1]])


def _take(table: Tensor, index: Tensor) -> Tensor:
    """Entries at whole numbers that are floats, or at the nearer end. float32 [...] -> [...]"""
    place = index.clamp(0, len(table) - 1).int()
    return table.index_select(0, place.view(-1)).view(index.shape)


def _coarse(c: Tensor) -> Tensor:
    """`cdf._coarse`."""
    c = c >> (SUM_BITS - PRECISION)
    return c - (c >> (PRECISION - 4))


def _differences(edges: Tensor) -> Tensor:
    return (edges[:, 1:] - edges[:, :-1]).float()
