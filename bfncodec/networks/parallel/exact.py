"""The integer implementation of :class:`bfncodec.networks.parallel.model.Denoiser`: the same numbers on every machine.

It has no order of positions and keeps nothing between steps: every call is one forward pass over all positions of a
batch of items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.networks.exact import ExactLinear, Quantiser, constant
from bfncodec.networks.parallel.model import (
    FEATURE_SCALE,
    KNOTS,
    NOISE_UNITS,
    STATE_UNITS,
    DenoiserConfig,
    arrange,
    binary_features,
    class_features,
    level_features,
    settings_at,
)
from bfncodec.networks.stored import LARGEST, Shapes, linear_shapes
from bfncodec.runtime.arrays import Ints


def stored_shapes(config: DenoiserConfig) -> Shapes:
    """Names and shapes of the tensors a model of this shape is made of."""
    fan = config.taps[0] * config.taps[1] * config.width
    shapes = linear_shapes("input", config.width, config.features, fine=True)
    for i in range(config.blocks):
        shapes |= linear_shapes(f"blocks.{i}.conv", config.hidden, fan, bias=False)
        shapes |= linear_shapes(f"blocks.{i}.out", config.width, config.hidden)
    shapes |= linear_shapes("head", config.outputs, config.width, fine=True)
    return shapes | {"clock": (KNOTS, config.blocks, 2, config.hidden)}


@dataclass(frozen=True)
class Moment:
    """The time of a step: the accuracy spent before it, and its place on the curve (`DenoiserConfig.clock`)."""

    beta: float
    clock: float


class ExactDenoiser:
    """The network's integers on a device."""

    def __init__(self, config: DenoiserConfig, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.config, self.device, self.quantise = config, device, Quantiser.on(device)
        unit = 1 / LARGEST
        self.input = ExactLinear.load(tensors, "input", device, 1 / FEATURE_SCALE)
        self.convs = [ExactLinear.load(tensors, f"blocks.{i}.conv", device, unit) for i in range(config.blocks)]
        self.outs = [ExactLinear.load(tensors, f"blocks.{i}.out", device) for i in range(config.blocks)]
        self.head = ExactLinear.load(tensors, "head", device, unit)
        self.clock = tensors["clock"].to(device)
        self.logistic = torch.from_numpy(tables.logistic_table()).to(device)
        self.exp2 = torch.from_numpy(tables.exp2_table()).to(device)

    def __call__(self, s: Tensor, moment: Moment) -> Tensor:
        """Raw parameters of p_O. s: sums of samples, float32 [B, *shape] ([B, L, K] of classes) -> float32
        [B, *shape, parameters].
        """
        config = self.config
        features = self.features(s, moment.beta)
        batch, (rows, columns) = len(s), config.grid
        settings = settings_at(self.clock, torch.tensor([moment.clock], dtype=torch.float32, device=self.device))[0]
        h = self.input(features.view(batch * rows * columns, -1).to(torch.int8))
        for i, (conv, out) in enumerate(zip(self.convs, self.outs, strict=True)):
            taps = neighbours(
                batch, rows, columns, config.taps, config.dilations[i % len(config.dilations)], self.device
            )
            z = conv(gather(self.quantise.max_norm(h), taps))
            z.mul_(settings[i, 0] + 1).add_(settings[i, 1]).clamp_min_(0)
            h.add_(out(*self.quantise.rows(z)))
        raw = self.head(self.quantise.max_norm(h))
        return arrange(raw.view(batch, rows, columns, -1), config)

    def features(self, s: Tensor, beta: float) -> Tensor:
        """Integers in float32 [B, rows, columns, F]. Products, quotients and roots of floats are correctly rounded,
        so the constants are the same everywhere.
        """
        config = self.config
        if config.kind == "discretised":
            unit = torch.full((1, 1, 1, 1), NOISE_UNITS * math.sqrt(1 + beta), device=self.device)
            return level_features(s * constant(1 / (1 + beta), self.device), unit, config)
        spread = beta if config.kind == "binary" else beta * config.classes
        unit = constant(STATE_UNITS / math.sqrt(1 + spread), self.device)
        if config.kind == "binary":
            return binary_features(s, self.belief(s), unit, config)
        return class_features(s, self.theta(s), unit)

    def belief(self, s: Tensor) -> Tensor:
        """2 sigma(2 s) - 1 by table."""
        half = tables.LOGISTIC_LIMIT * tables.LOGISTIC_STEPS
        index = (s * (2 * tables.LOGISTIC_STEPS)).round_().clamp_(-half, half).to(torch.int64) + half
        p = self.logistic[index].float()
        return p * 2.0 ** (1 - tables.LOGISTIC_BITS) - 1

    def theta(self, s: Tensor) -> Tensor:
        """softmax(s) over the last dimension by table."""
        weight = softmax_weights(s, self.exp2)
        total = weight.sum(-1, keepdim=True)  # int64: exact
        return weight.float() / total.float()


def softmax_weights(logits: Tensor, exp2: Tensor) -> Tensor:
    """Integers in proportion to exp(logits), the largest 2^20. float32 [..., K] -> int32 [..., K]"""
    steps = (logits.amax(-1, keepdim=True) - logits) * constant(tables.LOG2_E * tables.EXP2_STEPS, logits.device)
    return exp2[steps.round_().clamp_max_(len(exp2) - 1).to(torch.int64)]


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """The taps of each position side by side. rows: int8 [N, C]; index: int64 [N, T], N for outside -> int8 [N, T C]"""
    padded = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
    wide = padded.view(torch.int64) if rows.shape[1] % 8 == 0 else padded  # copies 8 bytes at a time
    return wide.index_select(0, index.view(-1)).view(torch.int8).view(len(index), -1)


@lru_cache(maxsize=16)
def neighbours(
    batch: int, rows: int, columns: int, taps: tuple[int, int], dilation: int, device: torch.device
) -> Tensor:
    """Flat position of each tap of each position, int64 [B rows columns, taps]; the number of positions stands for
    outside.
    """
    r, c = np.divmod(np.arange(rows * columns), columns)
    found = []
    for dr in _offsets(taps[0], dilation):
        for dc in _offsets(taps[1], dilation):
            inside = (r + dr >= 0) & (r + dr < rows) & (c + dc >= 0) & (c + dc < columns)
            found.append(np.where(inside, (r + dr) * columns + c + dc, -1))
    one = np.stack(found, 1)  # [positions, taps]
    item = np.arange(batch)[:, None, None] * (rows * columns)
    every: Ints = np.where(one < 0, batch * rows * columns, one + item)
    return torch.from_numpy(every.reshape(batch * rows * columns, -1)).to(device)


def _offsets(count: int, dilation: int) -> Sequence[int]:
    return range(-(count // 2) * dilation, (count // 2) * dilation + 1, dilation)
