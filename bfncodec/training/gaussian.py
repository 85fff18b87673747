"""Terms of L^n for the Gaussian senders, as losses in nats (Graves et al. 2023, eqs. 16 to 18).

Data fill [-1, 1] (discretised), are -1 or 1 (binary) or classes (discrete). The receiver's state is s, the sum of the
sender's samples, each times its accuracy: s ~ N(beta x, beta), the natural parameters of what it knows. For every kind
of data there are p_O given s, what a step costs, n KL(p_S || p_R), and what the reconstruction costs at the end.

Shapes: x and costs [B, *shape]; s too, but [B, L, K] for discrete data; beta and alpha of a shape that broadcasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.networks.parallel.model import (
    KNOTS,
    NOISE_UNITS,
    SPREAD_RANGE,
    STATE_UNITS,
    DenoiserConfig,
    binary_features,
    class_features,
    level_features,
)

LN2 = math.log(2)
FLOOR = 2.0**-24  # that every level has of probability besides, as in the coder


class Mixture(NamedTuple):
    """p_O of discretised data: logarithms of the weights, means, and log2 of the scales of logistics, [..., J] each."""

    log_weight: Tensor
    mean: Tensor
    log_scale: Tensor


# --- the sender ----------------------------------------------------------------------------------


class Classes(Protocol):
    """The part of a network's configuration that the sender needs."""

    @property
    def kind(self) -> str:
        """Kind of data: "discretised", "binary" or "discrete"."""

    @property
    def classes(self) -> int:
        """Classes K of discrete data."""


def sum_of_samples(x: Tensor, beta: Tensor, noise: Tensor, config: Classes) -> Tensor:
    """Draw s ~ N(beta x, beta), for classes N(beta (K e_x - 1), beta K), from standard normal noise."""
    if config.kind == "discrete":
        target = F.one_hot(x, config.classes).float() * config.classes - 1
        return beta * target + (beta * config.classes).sqrt() * noise
    return beta * x + beta.sqrt() * noise


def accuracy_at(config: DenoiserConfig, time: Tensor) -> Tensor:
    """Return beta(t) of the paper's schedules, float64: eq. 72 for levels, eq. 182 for classes and binary data."""
    return (1 + config.beta) ** time - 1 if config.kind == "discretised" else config.beta * time**2


def clocks(config: DenoiserConfig, beta: Tensor) -> Tensor:
    """Return `DenoiserConfig.clock` of many accuracies, float64 -> float32."""
    share = torch.log1p(beta) / math.log1p(config.beta) if config.kind == "discretised" else (beta / config.beta).sqrt()
    return (share.clamp_max(1.0) * (KNOTS - 1)).float()


# --- discretised data ----------------------------------------------------------------------------


def level_output(network: nn.Module, s: Tensor, beta: Tensor, clock: Tensor, config: DenoiserConfig) -> Mixture:
    """Return p_O of levels, of the network on mu and the standard deviation of p_I."""
    mean, spread = s / (1 + beta), (1 + beta).rsqrt()
    raw = network(level_features(mean, NOISE_UNITS / spread, config), clock)
    return components(raw, mean.unsqueeze(-1), spread.unsqueeze(-1))


def components(raw: Tensor, mean: Tensor, spread: Tensor) -> Mixture:
    """Place a logistic mixture around mu of p_I: raw [..., 3 J]; mean and standard deviation of p_I [..., 1]."""
    weight, shift, scale = raw.chunk(3, -1)
    count = weight.shape[-1]
    fan = torch.linspace(-0.5, 0.5, count, device=raw.device) if count > 1 else torch.zeros(1, device=raw.device)
    return Mixture(
        F.log_softmax(weight, -1),
        mean + spread * (shift + fan),
        torch.log2(spread) + (scale - 1).clamp(*SPREAD_RANGE),
    )


def moments(p: Mixture) -> tuple[Tensor, Tensor]:
    """Return mean and variance of logistic mixtures."""
    weight, mean, scale = p[0].exp(), p[1], torch.exp2(p[2])
    m = (weight * mean).sum(-1)
    return m, (weight * (scale**2 * (math.pi**2 / 3) + (mean - m.unsqueeze(-1)) ** 2)).sum(-1)


def level_step(x: Tensor, p: Mixture, alpha: Tensor, noise: Tensor) -> Tensor:
    """Return KL of N(alpha x, alpha) against the moment-matched receiver N(alpha m, alpha + alpha^2 v); no noise."""
    m, v = moments(p)
    ratio = alpha * v
    return 0.5 * (torch.log1p(ratio) + (1 + alpha * (x - m) ** 2) / (1 + ratio) - 1)


def level_end(x: Tensor, p: Mixture, classes: int) -> Tensor:
    """Return -ln p_O(x) of so many levels, each 2 / classes wide; the outer ones take the tails."""
    weight, mean, scale = p
    inverse = torch.exp2(-scale)
    distance = x.unsqueeze(-1) - mean
    half = 1 / classes
    upper = torch.where(x.unsqueeze(-1) > 1 - 1.5 * half, 60.0, inverse * (distance + half))
    lower = torch.where(x.unsqueeze(-1) < 1.5 * half - 1, -60.0, inverse * (distance - half))
    probability = (weight.exp() * (torch.sigmoid(upper) - torch.sigmoid(lower))).sum(-1)
    return -torch.log(probability.clamp_min(0) + FLOOR)


# --- binary data ---------------------------------------------------------------------------------


def binary_output(network: nn.Module, s: Tensor, beta: Tensor, clock: Tensor, config: DenoiserConfig) -> Tensor:
    """Return p_O of binary data, as the logit of 1 against -1."""
    features = binary_features(s, torch.tanh(s), STATE_UNITS * (1 + beta).rsqrt(), config)
    logit: Tensor = network(features, clock)[..., 0] + 2 * s
    return logit


def binary_step(x: Tensor, logit: Tensor, alpha: Tensor, noise: Tensor) -> Tensor:
    """Return ln of the sender's density over the receiver's, a mixture of two Gaussians, at one sample of the sender,
    d ~ N(alpha x, alpha).
    """
    d = alpha * x + alpha.sqrt() * noise
    return d * x - torch.logaddexp(F.logsigmoid(logit) + d, F.logsigmoid(-logit) - d)


def binary_end(x: Tensor, logit: Tensor, classes: int) -> Tensor:
    """Return -ln p_O(x) of binary data."""
    return -F.logsigmoid(logit * x)


# --- discrete data -------------------------------------------------------------------------------


def class_output(network: nn.Module, s: Tensor, beta: Tensor, clock: Tensor, config: DenoiserConfig) -> Tensor:
    """Return p_O of classes, as log-probabilities [B, L, K]."""
    features = class_features(s, torch.softmax(s, -1), STATE_UNITS * (1 + beta * config.classes).rsqrt())
    return F.log_softmax(network(features, clock) + s, -1)


def class_step(x: Tensor, log_p: Tensor, alpha: Tensor, noise: Tensor) -> Tensor:
    """Return ln of the sender's density over the receiver's, a mixture of K Gaussians, at one sample y of the sender:
    the density of class k is to that of x as exp(y_k) to exp(y_x).
    """
    classes = log_p.shape[-1]
    y = (F.one_hot(x, classes).float() * classes - 1) * alpha + (alpha * classes).sqrt() * noise
    return y.gather(-1, x.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(log_p + y, -1)


def class_end(x: Tensor, log_p: Tensor, classes: int) -> Tensor:
    """Return -ln p_O(x) of classes."""
    return -log_p.gather(-1, x.unsqueeze(-1)).squeeze(-1)


Output = TypeVar("Output", Mixture, Tensor)


@dataclass(frozen=True)
class Terms(Generic[Output]):
    """The terms of one kind of data."""

    output: Callable[[nn.Module, Tensor, Tensor, Tensor, DenoiserConfig], Output]
    """p_O, of (network, s, beta, clock, config)."""
    step: Callable[[Tensor, Output, Tensor, Tensor], Tensor]
    """Nats of a step, of (x, p_O, alpha, noise)."""
    end: Callable[[Tensor, Output, int], Tensor]
    """Nats of the reconstruction, of (x, p_O, classes)."""


TERMS: Mapping[str, Terms[Any]] = {
    "discretised": Terms(level_output, level_step, level_end),
    "binary": Terms(binary_output, binary_step, binary_end),
    "discrete": Terms(class_output, class_step, class_end),
}
"""Terms of L^n by the kind of data."""
