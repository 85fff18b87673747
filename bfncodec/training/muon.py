"""Muon, an optimiser for matrices: momentum whose steps are orthogonalised.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". A step along the momentum U S V^T would
follow its largest singular values and neglect the others; Muon steps along U V^T, which turns all directions alike.

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

MOMENTUM = 0.95  # decay of the average of gradients
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""a, b, c of a x + b x^3 + c x^5: five rounds bring singular values between 0.002 and 1 to between 0.7 and 1.2."""
ROUNDS = 5
TINY = 1e-7  # the least norm that a matrix is divided by


class Muon(torch.optim.Optimizer):
    """Optimiser that steps along orthogonalised momentum; matrices of one shape are stepped together.

    matrices: parameters [M, N]. lr: learning rate, which may be a scalar on their device; the step of a tall matrix is
    larger by sqrt(M / N), so that what it adds to its outputs has the same root mean square whatever its shape. half:
    as for :func:`orthogonalised`.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, half: bool | None = None) -> None:
        super().__init__(matrices, {"lr": lr})
        self.half = half

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient. closure: of torch's interface; it is not called."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(matrix.shape, []).append(matrix)
            for matrices in alike.values():
                self._move(matrices, group["lr"])

    def _move(self, matrices: list[nn.Parameter], rate: float | Tensor) -> None:
        """Move matrices of one shape, [M, N] each, by one step at a learning rate."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        momenta = [self.state[matrix]["momentum"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        ahead = torch.stack(torch._foreach_lerp(gradients, momenta, MOMENTUM))  # Nesterov's
        rows, columns = matrices[0].shape
        turned = orthogonalised(ahead, self.half) * (rate * -math.sqrt(max(1.0, rows / columns)))
        torch._foreach_add_([*matrices], [*turned])


def orthogonalised(matrices: Tensor, half: bool | None = None) -> Tensor:
    """Return about U V^T for each matrix U S V^T, by the Newton-Schulz iteration. [..., M, N] -> [..., M, N]

    half: whether to multiply in bfloat16; None where that is faster.
    """
    half = half_is_faster(matrices.device) if half is None else half
    x = matrices.bfloat16() if half else matrices.float()
    rows, columns = matrices.shape[-2:]
    wide = x if rows <= columns else x.mT
    wide = wide / torch.linalg.matrix_norm(wide.float(), keepdim=True).clamp_min(TINY).to(wide.dtype)
    a, b, c = POLYNOMIAL
    for _ in range(ROUNDS):
        square = wide @ wide.mT
        wide = a * wide + (b * square + c * (square @ square)) @ wide
    found: Tensor = wide if rows <= columns else wide.mT
    return found.to(matrices.dtype)


def half_is_faster(device: torch.device) -> bool:
    """Return whether products of bfloat16 are faster on a device than those of float32."""
    return device.type != "cpu" or has_avx512()
