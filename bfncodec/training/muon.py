"""Muon (Jordan et al. 2024): momentum whose steps turn all directions of a matrix alike.

torch has one since 2.9, which works in bfloat16 alone: on processors without kernels for that, AVX2 among them, its
steps take ten times as long as all the rest of a training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bfncodec.networks.exact import has_avx512

__all__ = ["Muon", "half_is_faster", "orthogonalised"]

MOMENTUM = 0.95
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""a, b, c of a x + b x^3 + c x^5: five rounds bring singular values between 0.002 and 1 to between 0.7 and 1.2."""
ROUNDS = 5
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Steps along orthogonalised momentum, for matrices."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient. closure: must be None, the loss is known already."""
        for group in self.param_groups:
            for matrix in (p for p in group["params"] if p.grad is not None):
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                momentum = state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
                ahead = matrix.grad.lerp(momentum, MOMENTUM)  # Nesterov's
                rows, columns = matrix.shape
                matrix.sub_(orthogonalised(ahead), alpha=group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U V^T of the matrix U S V^T, by Newton and Schulz's iteration. [M, N] -> [M, N]"""
    x = matrix.bfloat16() if half_is_faster(matrix.device) else matrix.float()
    wide = x if matrix.shape[0] <= matrix.shape[1] else x.t()
    wide = wide / wide.norm().clamp_min(TINY)
    a, b, c = POLYNOMIAL
    for _ in range(ROUNDS):
        square = wide @ wide.t()
        wide = a * wide + (b * square + c * (square @ square)) @ wide
    found: Tensor = wide if matrix.shape[0] <= matrix.shape[1] else wide.t()
    return found.to(matrix.dtype)


def half_is_faster(device: torch.device) -> bool:
    """Whether products of bfloat16 are faster than those of float32."""
    return device.type != "cpu" or has_avx512()
