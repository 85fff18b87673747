"""What the training loop needs for the Gaussian senders: data, noise, and L^n as a loss in bits per dimension.

The loss of an item is n KL(p_S || p_R) at one random step of the game in `STEPS` steps, plus the reconstruction term
at its end (Graves et al. 2023, eqs. 16 to 18). Data fill [-1, 1] (discretised), are -1 or 1 (binary) or letters
(discrete). s is the sum of the sender's samples, each times its accuracy: s ~ N(beta x, beta).
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bfncodec.errors import InputError
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
from bfncodec.networks.sequence.model import SequenceConfig
from bfncodec.networks.wavefront.model import TiledConfig
from bfncodec.training.data import expand, load_text

CLASSES = 27  # of text, see `to_letters`
STEPS = 32  # of the game whose steps are trained on
RECONSTRUCTED = 8  # one item in this many trains the reconstruction instead of a step
LN2 = math.log(2)
LEAST_END = 0.3  # the reconstruction is trained for ends between this share of beta and beta


@dataclass(frozen=True)
class ItemSource:
    """Items of one shape: .npy or .npy.xz arrays, or text. The last `skip_last` are kept for validation, `only_last`
    picks them.
    """

    paths: tuple[str, ...]
    skip_last: int = 0
    only_last: int = 0
    binarise: bool = False  # grey levels are probabilities of a white pixel, drawn anew each time
    warp: float = 0.0  # by how much every other picture is turned, sheared and scaled: 0.1 is 10% or 6 degrees


class ItemSampler:
    """Random items as a network's flow sees them."""

    def __init__(self, source: ItemSource, config: DenoiserConfig | SequenceConfig | TiledConfig, batch: int) -> None:
        self.source, self.config, self.batch = source, config, batch
        self.items = load_letters(source.paths) if config.kind == "discrete" else load_arrays(source, config)

    def __call__(self, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """(x, time in [0, 1), noise of s, noise of the next sample), all drawn from rng."""
        x = torch.from_numpy(self._draw(rng))
        noise_shape = (*x.shape, self.config.classes) if self.config.kind == "discrete" else tuple(x.shape)
        time = (rng.random() + np.arange(self.batch) / self.batch) % 1
        noise = [torch.from_numpy(rng.standard_normal(noise_shape, dtype=np.float32)) for _ in range(2)]
        return x, torch.from_numpy(time.astype(np.float32)), *noise

    def _draw(self, rng: np.random.Generator) -> NDArray[Any]:
        if self.config.kind == "discrete":
            length = self.config.shape[0]
            starts = rng.integers(len(self.items) - length, size=self.batch)
            return np.stack([self.items[s : s + length] for s in starts]).astype(np.int64)
        items = self.items[rng.integers(len(self.items), size=self.batch)]
        if self.source.warp:
            items = np.concatenate([items[::2], warped(items[1::2], self.source.warp, rng)])
        if self.config.kind == "binary":
            threshold = rng.random(items.shape) * 255 if self.source.binarise else 127.5
            return np.where(items > threshold, 1, -1).astype(np.float32)
        items = np.where(rng.random((self.batch, 1, 1, 1)) < 0.5, items, items[:, :, ::-1])
        return ((items.astype(np.float32) + 0.5) * (2 / self.config.classes) - 1).astype(np.float32)


def warped(items: NDArray[np.uint8], size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures [N, H, W, C] under random linear maps around their middles, each entry `size` from the identity's."""
    turn = np.eye(2, 3, dtype=np.float32) + rng.normal(0, [size, size, 0], (len(items), 2, 3)).astype(np.float32)
    pixels = torch.from_numpy(items).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(turn), list(pixels.shape), align_corners=False)
    found = F.grid_sample(pixels, grid, mode="bicubic", align_corners=False).round_().clamp_(0, 255)
    moved: NDArray[np.uint8] = found.permute(0, 2, 3, 1).byte().numpy()
    return moved


def load_arrays(source: ItemSource, config: DenoiserConfig | SequenceConfig | TiledConfig) -> NDArray[np.uint8]:
    """uint8 [N, *shape]"""
    parts = []
    for path in expand(source.paths, (".npy", ".xz")):
        if path.suffix == ".xz":
            with lzma.open(path) as file:
                array = np.load(file)
        else:
            array = np.load(path)
        array = array[: len(array) - source.skip_last][-source.only_last :]
        if array[0].size != math.prod(config.shape) or array.dtype != np.uint8:
            raise InputError(
                f"{path}: expected uint8 items of shape {list(config.shape)}, "
                f"found {array.dtype} {list(array.shape[1:])}"
            )
        if config.kind == "discretised" and array.max(initial=0) >= config.classes:
            raise InputError(
                f"{path}: expected levels 0 to {config.classes - 1}, as many as the network has classes, "
                f"found {array.max()}"
            )
        parts.append(array.reshape(len(array), *config.shape))
    return np.concatenate(parts)


def load_letters(paths: Sequence[str]) -> NDArray[np.uint8]:
    """Text as 27 letters: 0 for runs of anything else, 1 to 26 for a to z."""
    return to_letters(load_text(paths))


def to_letters(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 bytes -> uint8 letters; case is dropped, what is no letter becomes one space."""
    lower = text | 32
    letters = np.where((lower >= 97) & (lower <= 122), lower - 96, 0).astype(np.uint8)
    keep: NDArray[np.bool_] = letters != 0
    keep[1:] |= letters[:-1] != 0
    return letters[keep]


def network_of(settings: dict[str, Any], make: Any) -> DenoiserConfig:
    """The [network] table of a training configuration, read by `config.make`."""
    try:
        config: DenoiserConfig = make(DenoiserConfig, settings.get("network", {}), "network")
    except ValueError as error:
        raise InputError(f"[network] of the training configuration: {error}") from error
    if config.kind == "discrete" and config.classes != CLASSES:
        raise InputError(
            f"[network] of the training configuration: expected {CLASSES} classes, a space and the letters a to z, "
            f"found {config.classes}"
        )
    if config.kind not in ("discretised", "binary", "discrete"):
        raise InputError(
            "[network] of the training configuration: expected kind discretised, binary or discrete, "
            f"found {config.kind!r}"
        )
    return config


def accuracies(config: DenoiserConfig, time: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """(beta before a step, alpha of the step) for random times; where the game ends, beta is its end and alpha of no
    use.
    """
    start = time * (1 - 1 / STEPS)
    beta = step_accuracy(config, start)
    alpha = step_accuracy(config, start + 1 / STEPS) - beta
    return torch.where(ends, config.beta * LEAST_END ** (1 - time), beta), alpha


def step_accuracy(config: DenoiserConfig, time: Tensor) -> Tensor:
    """beta(t) of the paper's schedules, float64. Eq. 72 for levels, eq. 182 for classes."""
    return (1 + config.beta) ** time - 1 if config.kind == "discretised" else config.beta * time**2


def clocks(config: DenoiserConfig, beta: Tensor) -> Tensor:
    """`DenoiserConfig.clock` of many accuracies, float64 -> float32."""
    share = torch.log1p(beta) / math.log1p(config.beta) if config.kind == "discretised" else (beta / config.beta).sqrt()
    return (share.clamp_max(1.0) * (KNOTS - 1)).float()


def loss(network: nn.Module, batch: tuple[Tensor, ...], config: DenoiserConfig) -> Tensor:
    """L^n in bits per dimension, averaged over the batch, from one step of each item or its end."""
    x, time, noise, fresh = batch
    ends = torch.arange(len(x), device=x.device) % RECONSTRUCTED == 0
    beta, alpha = accuracies(config, time.double(), ends)
    clock = clocks(config, beta)
    shape = (-1, *[1] * (noise.ndim - 1))
    beta, alpha = beta.float().view(shape), alpha.float().view(shape)
    step, end = TERMS[config.kind]
    s = sum_of_samples(x, beta, noise, config)
    p = output(network, s, beta, clock, config)
    kl = step(x, p, alpha, fresh)[[i for i in range(len(x)) if i % RECONSTRUCTED]] * STEPS
    return (kl.flatten(1).mean(1).mean() + end(x, p, config.classes)[::RECONSTRUCTED].flatten(1).mean(1).mean()) / LN2


def sum_of_samples(x: Tensor, beta: Tensor, noise: Tensor, config: DenoiserConfig | SequenceConfig) -> Tensor:
    """s ~ N(beta x, beta); of classes, N(beta (K e_x - 1), beta K)."""
    if config.kind == "discrete":
        target = F.one_hot(x, config.classes).float() * config.classes - 1
        return beta * target + (beta * config.classes).sqrt() * noise
    return beta * x + beta.sqrt() * noise


def output(network: nn.Module, s: Tensor, beta: Tensor, clock: Tensor, config: DenoiserConfig) -> Any:
    """p_O: (log weights, means, log2 scales) [..., J]; logit of 1 against -1; or log probabilities [..., K]."""
    if config.kind == "discretised":
        mean, spread = s / (1 + beta), (1 + beta).rsqrt()
        raw = network(level_features(mean, NOISE_UNITS / spread, config), clock)
        return components(raw, mean.unsqueeze(-1), spread.unsqueeze(-1))
    if config.kind == "binary":
        features = binary_features(s, torch.tanh(s), STATE_UNITS * (1 + beta).rsqrt(), config)
        return network(features, clock)[..., 0] + 2 * s
    features = class_features(s, torch.softmax(s, -1), STATE_UNITS * (1 + beta * config.classes).rsqrt())
    return F.log_softmax(network(features, clock) + s, -1)


def components(raw: Tensor, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logistic mixture around mu of p_I. raw: [..., 3 J]; mean, spread: [..., 1] -> (log weights, means, log2
    scales).
    """
    weight, shift, scale = raw.chunk(3, -1)
    count = weight.shape[-1]
    fan = torch.linspace(-0.5, 0.5, count, device=raw.device) if count > 1 else torch.zeros(1, device=raw.device)
    return (
        F.log_softmax(weight, -1),
        mean + spread * (shift + fan),
        torch.log2(spread) + (scale - 1).clamp(*SPREAD_RANGE),
    )


def moments(p: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of a logistic mixture."""
    weight, mean, scale = p[0].exp(), p[1], torch.exp2(p[2])
    m = (weight * mean).sum(-1)
    return m, (weight * (scale**2 * (math.pi**2 / 3) + (mean - m.unsqueeze(-1)) ** 2)).sum(-1)


def level_step(x: Tensor, p: tuple[Tensor, Tensor, Tensor], alpha: Tensor, fresh: Tensor) -> Tensor:
    """KL of N(alpha x, alpha) against the moment-matched receiver N(alpha m, alpha + alpha^2 v), nats."""
    m, v = moments(p)
    ratio = alpha * v
    return 0.5 * (torch.log1p(ratio) + (1 + alpha * (x - m) ** 2) / (1 + ratio) - 1)


def level_end(x: Tensor, p: tuple[Tensor, Tensor, Tensor], classes: int) -> Tensor:
    """-ln p_O(x) of so many levels, each 2 / classes wide; the outer ones take the tails. Every level has 2^-24 more,
    as in the coder.
    """
    weight, mean, scale = p
    inverse = torch.exp2(-scale)
    distance = x.unsqueeze(-1) - mean
    half = 1 / classes
    upper = torch.where(x.unsqueeze(-1) > 1 - 1.5 * half, 60.0, inverse * (distance + half))
    lower = torch.where(x.unsqueeze(-1) < 1.5 * half - 1, -60.0, inverse * (distance - half))
    probability = (weight.exp() * (torch.sigmoid(upper) - torch.sigmoid(lower))).sum(-1)
    return -torch.log(probability.clamp_min(0) + 2.0**-24)


def binary_step(x: Tensor, logit: Tensor, alpha: Tensor, fresh: Tensor) -> Tensor:
    """-ln of the receiver's density over the sender's at one sample d ~ N(alpha x, alpha): a mixture of two
    Gaussians.
    """
    d = alpha * x + alpha.sqrt() * fresh
    return d * x - torch.logaddexp(F.logsigmoid(logit) + d, F.logsigmoid(-logit) - d)


def binary_end(x: Tensor, logit: Tensor, classes: int) -> Tensor:
    """-ln p_O(x) of binary data."""
    return -F.logsigmoid(logit * x)


def class_step(x: Tensor, log_p: Tensor, alpha: Tensor, fresh: Tensor) -> Tensor:
    """The same with K classes: ln N(y | k) - ln N(y | x) = y_k - y_x."""
    classes = log_p.shape[-1]
    y = (F.one_hot(x, classes).float() * classes - 1) * alpha + (alpha * classes).sqrt() * fresh
    return y.gather(-1, x.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(log_p + y, -1)


def class_end(x: Tensor, log_p: Tensor, classes: int) -> Tensor:
    """-ln p_O(x) of classes."""
    return -log_p.gather(-1, x.unsqueeze(-1)).squeeze(-1)


TERMS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "discretised": (level_step, level_end),
    "binary": (binary_step, binary_end),
    "discrete": (class_step, class_end),
}
"""For each kind of data: nats of a step's KL, of (x, p_O, alpha, noise), and of the reconstruction, of (x, p_O,
classes), [B, …].
"""
