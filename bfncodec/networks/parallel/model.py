"""Convolutional denoiser for the Gaussian senders: the trainable network.

At every step it reads all of the receiver's parameters theta and gives p_O of all dimensions at once, so its
convolutions look both ways. Positions are patches of an image or symbols of a text. The integer implementation that
files are coded with is in :mod:`bfncodec.networks.parallel.exact`.

Every feature is an integer in [-127, 127]. Images of many levels enter as differences to the mean of their patch, in
units of the noise that is still on them: what there is to do is then nearly the same at every accuracy, and small
structures stay visible in 8 bits.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.networks.convnet.model import max_norm
from bfncodec.networks.storage import Export, TrainableNetwork

LARGEST = 127
FEATURE_SCALE = 32.0  # divides integer features on their way into the network
NOISE_UNITS = 24.0  # units of a difference feature in one standard deviation of the noise
LEVEL_UNITS = 100.0  # units of a value feature in a data range of 1 (data fill [-1, 1])
STATE_UNITS = 24.0  # units of a scaled sum of a discrete symbol's samples
SPREAD_RANGE = (-5.0, 4.0)  # log2 of a component's scale against the noise
MOST_CLASSES = 256  # values that fit a byte
KNOTS = 32  # of the curve that conditions the blocks on the accuracy


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the network and kind of data; stored in a model's config.json.

    kind: "discretised" (levels of an image), "binary" (K = 2, one dimension each) or "discrete" (K classes, K
    dimensions each). shape: of one item, [H, W, C] for images, [L] for text. classes: levels (2 to 256) or letters K,
    of no matter for binary data. beta: accuracy at the end of the game.

    Raises ValueError for a number of levels or letters that cannot be.
    """

    kind: str = "discretised"
    shape: tuple[int, ...] = (32, 32, 3)
    classes: int = 256
    beta: float = 10000.0
    patch: int = 2
    width: int = 96
    hidden: int = 192
    blocks: int = 8
    taps: tuple[int, int] = (3, 3)
    dilations: tuple[int, ...] = (1,)
    components: int = 2  # of p_O, discretised data

    def __post_init__(self) -> None:
        if self.kind != "binary" and not 2 <= self.classes <= MOST_CLASSES:
            raise ValueError(f"expected 2 to {MOST_CLASSES} classes (levels or letters), found {self.classes}")

    @property
    def channels(self) -> int:
        """Channels of an image, 1 for a text."""
        return self.shape[2] if len(self.shape) == 3 else 1

    @property
    def grid(self) -> tuple[int, int]:
        """Positions: rows and columns."""
        return (
            (self.shape[0] // self.patch, self.shape[1] // self.patch) if len(self.shape) == 3 else (1, self.shape[0])
        )

    @property
    def features(self) -> int:
        """Integers that enter at each position."""
        window = (self.patch + 2) ** 2 * self.channels
        values = self.patch**2 * self.channels
        return {
            "discretised": window + values + values // self.channels * (self.channels - 1),
            "binary": 2 * window,
            "discrete": 2 * self.classes,
        }[self.kind]

    @property
    def parameters(self) -> int:
        """Numbers that describe p_O of one dimension."""
        return {"discretised": 3 * self.components, "binary": 1, "discrete": self.classes}[self.kind]

    @property
    def outputs(self) -> int:
        """Numbers that leave at each position."""
        return self.parameters * (self.patch**2 * self.channels if len(self.shape) == 3 else 1)

    def clock(self, beta: float) -> float:
        """Return the place of an accuracy on the curve of knots, in [0, KNOTS - 1]."""
        share = math.log1p(beta) / math.log1p(self.beta) if self.kind == "discretised" else math.sqrt(beta / self.beta)
        return min(1.0, share) * (KNOTS - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the table that `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DenoiserConfig:
        """Read the table `network` of a model's config. Raises ValueError as the class, TypeError for other keys."""
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)


def windows(x: Tensor, patch: int) -> Tensor:
    """Each patch of an image with the pixels around it. [B, H, W, C] -> [B, H/p, W/p, (p+2)^2 C]; edges
    repeat.
    """
    p = F.pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)
    height, width = x.shape[1], x.shape[2]
    parts = [p[:, i : i + height : patch, j : j + width : patch] for i in range(patch + 2) for j in range(patch + 2)]
    return torch.cat(parts, -1)


def integer(x: Tensor) -> Tensor:
    """The nearest integers an int8 feature can hold."""
    return x.round().clamp(-LARGEST, LARGEST)


def level_features(mean: Tensor, unit: Tensor, config: DenoiserConfig) -> Tensor:
    """Features of discretised data. mean: mu of p_I, [B, H, W, C]; unit: NOISE_UNITS over the noise, [B, 1, 1, 1] ->
    [B, h, w, F].
    """
    patch, channels = config.patch, config.channels
    inside = torch.cat([mean[:, i::patch, j::patch] for i in range(patch) for j in range(patch)], -1)
    total = inside[..., :channels]
    for k in range(1, patch * patch):
        total = total + inside[..., k * channels : (k + 1) * channels]
    base = total * torch.full((1,), 1.0 / patch**2, dtype=total.dtype, device=total.device)
    around = windows(mean, patch)
    parts = [(around - base.repeat(1, 1, 1, (patch + 2) ** 2)) * unit, inside * LEVEL_UNITS]
    if channels > 1:
        colours = inside.view(*inside.shape[:3], patch**2, channels)
        parts.append(((colours[..., 1:] - colours[..., :1]) * unit.unsqueeze(-1)).flatten(3))
    return integer(torch.cat(parts, -1))


def binary_features(s: Tensor, belief: Tensor, unit: Tensor, config: DenoiserConfig) -> Tensor:
    """Features of binary data. s: sum of samples; belief: 2 theta - 1; both [B, H, W, C]; unit: STATE_UNITS over
    sqrt(1 + beta).
    """
    return integer(torch.cat([windows(belief * LARGEST, config.patch), windows(s * unit, config.patch)], -1))


def class_features(s: Tensor, theta: Tensor, unit: Tensor) -> Tensor:
    """Features of discrete data. s, theta: [B, L, K]; unit: STATE_UNITS over sqrt(1 + beta K) [B, 1, 1] ->
    [B, 1, L, 2 K].
    """
    return integer(torch.cat([theta * LARGEST, s * unit], -1)).unsqueeze(1)


class DenoiserBlock(nn.Module):
    """A convolution, the clock's gain and bias, a rectifier and a matrix, added to what came in."""

    def __init__(self, config: DenoiserConfig, dilation: int) -> None:
        super().__init__()
        self.taps, self.dilation = config.taps, dilation
        fan = config.taps[0] * config.taps[1] * config.width
        self.conv = nn.Linear(fan, config.hidden, bias=False)
        self.out = nn.Linear(config.hidden, config.width)
        nn.init.normal_(self.conv.weight, std=3 / math.sqrt(fan))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """Return h and what the block adds. h: [B, rows, columns, width]; gain, bias: [B, hidden]"""
        kernel = self.conv.weight.view(-1, *self.taps, h.shape[-1]).permute(0, 3, 1, 2)
        pad = tuple(t // 2 * self.dilation if t > 1 else 0 for t in self.taps)
        z = F.conv2d(max_norm(h).permute(0, 3, 1, 2), kernel, padding=pad, dilation=self.dilation).permute(0, 2, 3, 1)
        z = F.relu(z * (1 + gain[:, None, None]) + bias[:, None, None])
        result: Tensor = h + self.out(z)
        return result


class Denoiser(TrainableNetwork):
    """Raw parameters of p_O for every dimension of an item."""

    export_as = Export(fine=("input", "head"))

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(config.features, config.width)
        self.blocks = nn.ModuleList(
            DenoiserBlock(config, config.dilations[i % len(config.dilations)]) for i in range(config.blocks)
        )
        self.head = nn.Linear(config.width, config.outputs)
        self.clock = nn.Parameter(torch.zeros(KNOTS, config.blocks, 2, config.hidden))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor, clock: Tensor) -> Tensor:
        """Return the raw parameters, float [B, *shape, parameters].

        features: integers [B, rows, columns, F]; clock: `DenoiserConfig.clock` of each item [B].
        """
        settings = settings_at(self.clock, clock)  # [B, blocks, 2, hidden]
        h = self.input(features / FEATURE_SCALE)
        for i, block in enumerate(self.blocks):
            h = block(h, settings[:, i, 0].to(h.dtype), settings[:, i, 1].to(h.dtype))
        return arrange(self.head(max_norm(h)).float(), self.config)


def settings_at(curve: Tensor, clock: Tensor) -> Tensor:
    """The curve between its knots. curve: [KNOTS, ...]; clock: [B] -> [B, ...]"""
    low = clock.floor().clamp(0, KNOTS - 2)
    share = (clock - low).view(-1, *[1] * (curve.ndim - 1))
    first, second = curve[low.long()], curve[low.long() + 1]
    return first + (second - first) * share


def arrange(raw: Tensor, config: DenoiserConfig) -> Tensor:
    """Arrange what the positions give by dimensions: [B, rows, columns, outputs] -> [B, *shape, parameters]."""
    if len(config.shape) == 1:
        return raw.squeeze(1)
    batch, rows, columns, _ = raw.shape
    p = config.patch
    x = raw.view(batch, rows, columns, p, p, config.channels, config.parameters)
    return x.permute(0, 1, 3, 2, 4, 5, 6).reshape(batch, rows * p, columns * p, config.channels, config.parameters)
