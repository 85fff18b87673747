"""Step grids of the Gaussian sender: where to spend the accuracy, by dynamic programming on measured KL.

A trained network is asked for p_O at many accuracies. The cost of a step from one of them to another follows from p_O
at its start alone, so the best n steps, and the best end, are a shortest path (Watson et al. 2021, "Learning to
efficiently sample from diffusion probabilistic models", do it for diffusion's bound; here each edge is a term of L^n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from bfncodec.networks.parallel.model import DenoiserConfig
from bfncodec.runtime.arrays import Floats, Ints
from bfncodec.training.gaussian import LN2, TERMS, Output, Terms, accuracy_at, sum_of_samples
from bfncodec.training.items import ItemBatch

SIZES = (8, 16, 32, 64, 128)  # steps of the grids that are stored
CANDIDATES = 160  # accuracies a step may begin or end at


class Grid(TypedDict):
    """A step grid as config.json stores it."""

    betas: list[float]
    """Accuracies before each step and after the last."""
    clocks: list[float]
    """`DenoiserConfig.clock` of each of them."""
    bits: float
    """L^n on the items it was chosen on, bits per dimension."""


@dataclass(frozen=True)
class Costs:
    """Costs in bits per dimension of steps between candidates, and of the end after each."""

    betas: Floats
    """Candidates, [C]."""
    step: Floats
    """Cost of a step from candidate i to j, [C, C]; inf for j <= i."""
    end: Floats
    """Cost of the reconstruction after each candidate, [C]."""


def grids(network: nn.Module, config: DenoiserConfig, batch: ItemBatch) -> dict[str, Grid]:
    """Return the best grids of a network on some items, by their number of steps in decimal, for its config.json."""
    costs = measure(network, config, batch)
    result: dict[str, Grid] = {}
    for n in SIZES:
        path, bits = shortest(costs, n)
        betas = [float(b) for b in costs.betas[path]]
        result[str(n)] = {"betas": betas, "clocks": [config.clock(b) for b in betas], "bits": round(bits, 5)}
    return result


def candidates(config: DenoiserConfig) -> Floats:
    """Return accuracies from 0 to the network's last, evenly on its clock: closer at the beginning. [C]"""
    t = torch.linspace(0, 1, CANDIDATES, dtype=torch.float64)
    betas: Floats = accuracy_at(config, t).numpy()
    betas[0], betas[-1] = 0.0, config.beta
    return betas


@torch.no_grad()
def measure(network: nn.Module, config: DenoiserConfig, batch: ItemBatch) -> Costs:
    """Measure what every step between two candidates costs on a batch of items."""
    betas = candidates(config)
    step = np.full((len(betas), len(betas)), np.inf)
    end = np.zeros(len(betas))
    for i, beta in enumerate(betas):
        step[i, i + 1 :], end[i] = _costs_from(network, config, batch, beta, betas[i + 1 :])
    return Costs(betas, step, end)


def _costs_from(
    network: nn.Module, config: DenoiserConfig, batch: ItemBatch, beta: float, later: Floats
) -> tuple[Floats, float]:
    """Return (costs of steps from accuracy `beta` to each of `later`, cost of the end at `beta`)."""
    x, _, noise, fresh = batch
    shape = (-1, *[1] * (noise.ndim - 1))
    accuracy = torch.full((len(x),), beta, device=x.device).view(shape)
    s = sum_of_samples(x, accuracy, noise, config)
    terms = TERMS[config.kind]
    p = terms.output(network, s, accuracy, torch.full((len(x),), config.clock(beta), device=x.device), config)
    kl = [_antithetic(terms, x, p, torch.tensor(b - beta, dtype=torch.float32), fresh) for b in later]
    return np.array(kl) / LN2, float(terms.end(x, p, config.classes).mean()) / LN2


def _antithetic(terms: Terms[Output], x: Tensor, p: Output, alpha: Tensor, noise: Tensor) -> float:
    """Return the mean cost of a step over a noise and its opposite: their errors cancel in part."""
    return float(terms.step(x, p, alpha, noise).mean() + terms.step(x, p, alpha, -noise).mean()) / 2


def shortest(costs: Costs, n: int) -> tuple[Ints, float]:
    """Return (candidates of the best grid of n steps [n + 1], its bits per dimension).

    Raises ValueError where there are fewer candidates than such a grid needs.
    """
    count = len(costs.betas)
    best = np.full(count, np.inf)
    best[0] = 0.0
    came: list[Ints] = []
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
