"""Integer distributions for the coder: from what a network computes to frequencies that sum to `direct.total`.

A byte with a smooth distribution is coded as two nibbles, the high one and then the low one given the high one: 34 values of
the cumulative distribution describe it instead of 257. Who encodes knows the byte and needs only four.

All integers below 2^53 are exact in float64 and every operation is one IEEE operation, so both sides get the same frequencies; the maps
are monotone, so no frequency is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bfncodec.coding.direct import PRECISION, total

NIBBLE = 16
SUM_BITS = 30  # cumulative distributions of bytes come in units of 2^-30
Below = Callable[[Tensor], Tensor]
"""2^30 P(x < value) for values int32 [N, B] in 0 … 256: int32 [N, B]."""


@dataclass(frozen=True)
class Intervals:
    """What the encoder needs of one symbol: int32 [N] each."""

    below: Tensor
    frequency: Tensor
    symbol: Tensor


def nibble_intervals(below: Below, value: Tensor) -> tuple[Intervals, Intervals]:
    """High and low nibble of bytes the encoder knows. value: int32 [N]"""
    high, low = value >> 4, value & 15
    edges = torch.stack([high * NIBBLE, high * NIBBLE + NIBBLE, value, value + 1], 1)
    c = below(edges)
    coarse = _coarse(c[:, :2])
    fine = _fine(c[:, 2:] - c[:, :1], c[:, 1:2] - c[:, :1], torch.stack([low, low + 1], 1))
    return Intervals(coarse[:, 0], coarse[:, 1] - coarse[:, 0], high), Intervals(fine[:, 0], fine[:, 1] - fine[:, 0], low)


def high_frequencies(below: Below, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frequencies of the high nibble, float32 [N, 16], and the cumulative distribution at its edges, int32 [N, 17]."""
    edges = (torch.arange(NIBBLE + 1, dtype=torch.int32, device=device) * NIBBLE).expand(count, -1)
    c = below(edges)
    return torch.diff(_coarse(c), dim=1).float(), c


def low_frequencies(below: Below, high: Tensor, edges: Tensor) -> Tensor:
    """Frequencies of the low nibble given the high one, float32 [N, 16]. high: int64 [N]; edges: from `high_frequencies`."""
    steps = torch.arange(NIBBLE + 1, dtype=torch.int32, device=edges.device).expand(len(high), -1)
    start, end = edges.gather(1, high[:, None]), edges.gather(1, high[:, None] + 1)
    inner = below((high.int() * NIBBLE)[:, None] + steps[:, 1:-1])
    c = torch.cat([start, inner, end], 1) - start
    return torch.diff(_fine(c, end - start, steps), dim=1).float()


def _coarse(c: Tensor) -> Tensor:
    """2^30 units to coder units: 2^30 goes to total(16) = 2^24 - 16, monotone."""
    c = c >> (SUM_BITS - PRECISION)
    return c - (c >> (PRECISION - 4))


def _fine(c: Tensor, width: Tensor, step: Tensor) -> Tensor:
    """Cumulative distribution inside a nibble, rescaled from `width` to total(16). Each symbol gets one more unit of 2^-30
    first, so that a nibble the network thinks impossible is still a distribution."""
    scaled = torch.floor((c + step).double() * float(total(NIBBLE)) / (width + NIBBLE).double())
    return torch.where(step == NIBBLE, float(total(NIBBLE)), scaled).int()


def softmax_frequencies(weight: Tensor) -> Tensor:
    """Frequencies in proportion to integer weights. weight: int32 [N, n], nonnegative, sum below 2^29 -> float32 [N, n].

    What rounding down leaves over goes to the likeliest symbol.
    """
    symbols = weight.shape[1]
    w = weight.double()
    frequency = torch.floor(w * (float(total(symbols)) / w.sum(1, keepdim=True)))
    left = float(total(symbols)) - frequency.sum(1, keepdim=True)
    # max() may name any of several equal maxima; the first is found by counting, the same everywhere.
    first = (weight == weight.amax(1, keepdim=True)).int().cumsum(1).eq(1).int().argmax(1, keepdim=True)
    return frequency.scatter_add_(1, first, left).float()
