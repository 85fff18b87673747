"""Step grids of the Gaussian game: where to spend the accuracy, by dynamic programming on measured KL.

A trained network is asked for p_O at many accuracies. What a step from one of them to another costs follows from
p_O at its start alone, so the best n steps, and the best end, are a shortest path (Watson et al. 2021 do the same for
diffusion's bound; here each edge is a term of L^n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bfncodec.networks.parallel.model import DenoiserConfig
from bfncodec.training.tasks import parallel

SIZES = (8, 16, 32, 64, 128)  # steps of the grids that are stored
CANDIDATES = 160  # accuracies a step may begin or end at
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Bits per dimension: of a step from candidate i to j, [C, C] (inf for j ≤ i), and of the reconstruction after
    each, [C].
    """

    betas: Floats
    step: Floats
    end: Floats


def grids(
    network: nn.Module,
    config: DenoiserConfig,
    sampler: Callable[[np.random.Generator], tuple[Tensor, ...]],
    batches: int = 1,
) -> dict[str, Any]:
    """The best grids of a network as a model's config stores them: {"32": {"betas", "clocks", "bits"}, …}."""
    costs = measure(network, config, sampler, batches)
    result = {}
    for n in SIZES:
        path, bits = shortest(costs, n)
        betas = [float(b) for b in costs.betas[path]]
        result[str(n)] = {"betas": betas, "clocks": [config.clock(b) for b in betas], "bits": round(bits, 5)}
    return result


def candidates(config: DenoiserConfig) -> Floats:
    """Accuracies from 0 to the network's last, evenly on its clock, and closer at the beginning."""
    t = torch.linspace(0, 1, CANDIDATES, dtype=torch.float64)
    betas: Floats = parallel.step_accuracy(config, t).numpy()
    betas[0], betas[-1] = 0.0, config.beta
    return betas


@torch.no_grad()
def measure(
    network: nn.Module,
    config: DenoiserConfig,
    sampler: Callable[[np.random.Generator], tuple[Tensor, ...]],
    batches: int,
) -> Costs:
    """Return what every step between two candidates costs on some held-out data."""
    betas = candidates(config)
    step = np.full((len(betas), len(betas)), np.inf)
    end = np.zeros(len(betas))
    rng = np.random.default_rng(3)
    drawn = [sampler(rng) for _ in range(batches)]
    for i, beta in enumerate(betas):
        parts = [_costs_from(network, config, batch, beta, betas[i + 1 :]) for batch in drawn]
        step[i, i + 1 :] = np.mean([p[0] for p in parts], 0)
        end[i] = np.mean([p[1] for p in parts])
    return Costs(betas, step, end)


def _costs_from(
    network: nn.Module, config: DenoiserConfig, batch: tuple[Tensor, ...], beta: float, later: Floats
) -> tuple[Floats, float]:
    x, _, noise, fresh = batch
    shape = (-1, *[1] * (noise.ndim - 1))
    accuracy = torch.full((len(x),), beta, device=x.device).view(shape)
    s = parallel.sum_of_samples(x, accuracy, noise, config)
    p = parallel.output(network, s, accuracy, torch.full((len(x),), config.clock(beta), device=x.device), config)
    step, end = parallel.TERMS[config.kind]
    kl = [_pairs(step, x, p, torch.tensor(b - beta, dtype=torch.float32), fresh) for b in later]
    return np.array(kl) / parallel.LN2, float(end(x, p, config.classes).mean()) / parallel.LN2


def _pairs(step: Callable[..., Tensor], x: Tensor, p: Any, alpha: Tensor, fresh: Tensor) -> float:
    """Mean cost of a step, over a noise and its opposite."""
    return float(step(x, p, alpha, fresh).mean() + step(x, p, alpha, -fresh).mean()) / 2


def shortest(costs: Costs, n: int) -> tuple[NDArray[np.int64], float]:
    """(candidates of the best grid of n steps, its bits per dimension)"""
    count = len(costs.betas)
    best = np.full(count, np.inf)
    best[0] = 0.0
    came: list[NDArray[np.int64]] = []
    for _ in range(n):
        total = best[:, None] + costs.step
        came.append(total.argmin(0))
        best = total.min(0)
    whole = best + costs.end
    last = int(whole.argmin())
    path = [last]
    for previous in reversed(came):
        path.append(int(previous[path[-1]]))
    if not math.isfinite(whole[last]):
        raise ValueError(f"expected at most {count - 1} steps, found {n}")
    return np.array(path[::-1]), float(whole[last])
