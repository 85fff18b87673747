"""Causal masked-convolution network for the wavefront schedule: the trainable network.

Pixel (r, c) is revealed at step c + 2r. Everything the network computes at a pixel depends only on pixels of earlier
steps, because each 3x3 convolution reads the pixel itself, its left neighbour and the three above (`BLOCK_TAPS`), and
the first layer, which reads pixel values, leaves out the pixel itself (`INPUT_TAPS`). The integer twin that files are
coded with is in :mod:`bfncodec.networks.exact_convnet`.

Inside a pixel the channels are predicted in the order green, red, blue, each given the ones before it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (row, column) offsets with column + 2 row < 0: revealed at an earlier step.
INPUT_TAPS = tuple((-r, c) for r in range(4) for c in range(-3, min(3, 2 * r - 1) + 1))
BLOCK_TAPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0))
CODING_ORDER = (1, 0, 2)  # green, red, blue
REACH = 3  # rows and columns that INPUT_TAPS look back
OUTSIDE = 128  # value of the pixels above the image
INPUT_SCALE = 32.0  # divides differences of pixel values
MEAN_SCALE = 16.0  # unit of the network's offsets to the predicted mean, in levels
LOG_SCALE_BIAS = 2.0  # initial log2 of the logistic scale, in levels
LOG_SCALE_RANGE = (-5.0, 7.0)  # log2 of the logistic scale, in levels
FLOOR = 2.0**-20  # probability given to the uniform distribution, as the coder's integer frequencies do


@dataclass(frozen=True)
class ConvNetConfig:
    """Shape of the network; stored in a model's config.json."""

    width: int = 64
    hidden: int = 128
    blocks: int = 6
    mixtures: int = 4
    dilations: tuple[int, ...] = (1,)  # distance of the taps of the blocks' convolutions, in turn
    bits: int = 8  # of the integer twin's weights, 8 or 16, but for the first and last layers, which have 16

    @property
    def features(self) -> int:
        return 3 * len(INPUT_TAPS) + 3 + 3 * REACH

    def outputs(self, k: int) -> int:
        """Numbers that describe the k-th coded channel: weight, mean, scale of each component, one slope per earlier
        channel.
        """
        return 3 * self.mixtures + k

    def dilation(self, block: int) -> int:
        """Distance of the taps of a block's convolution: a multiple of BLOCK_TAPS is revealed earlier if these are."""
        return self.dilations[block % len(self.dilations)]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ConvNetConfig:
        return cls(**{**values, "dilations": tuple(values.get("dilations", (1,)))})


def pad_known(x: Tensor) -> Tensor:
    """Surround an image by values the receiver knows. x: [B, 3, H, W] -> [B, 3, H + 3, W + 6].

    Above: grey. Left of row r: the first pixel of row r - 1; right of it: the last pixel of row r, which is read only
    from lower rows, when it is known.
    """
    height = x.shape[2]
    y = F.pad(x, (0, 0, REACH, 0), value=OUTSIDE)
    left = F.pad(y[..., :1], (0, 0, 1, 0), value=OUTSIDE)[:, :, : height + REACH]
    return torch.cat([left.expand(-1, -1, -1, REACH), y, y[..., -1:].expand(-1, -1, -1, REACH)], 3)


def predictor(west: Tensor, north: Tensor, north_east: Tensor, north_west: Tensor) -> Tensor:
    """The simple causal predictor the network corrects: integers in, integers in [0, 255] out, exact in float32."""
    total = west * 2 + north * 2 + north_east - north_west + 2
    return torch.floor(total * 0.25).clamp(0, 255)


def edge_flags(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Nine flags that tell the network how near the borders are. float32 0/1 [9, H, W]."""
    r = torch.arange(height, device=device)[:, None].expand(height, width)
    c = torch.arange(width, device=device)[None].expand(height, width)
    near = [distance < k for distance in (r, c, width - 1 - c) for k in range(1, REACH + 1)]
    return torch.stack(near).float()


def features(x: Tensor) -> tuple[Tensor, Tensor]:
    """Integer inputs of the network and the simple prediction. x: float [B, 3, H, W] with integer values 0..255.

    Returns (features [B, F, H, W], integers in [-128, 127]; base [B, 3, H, W], integers in [0, 255]).
    """
    height, width = x.shape[2:]
    p = pad_known(x)

    def tap(dr: int, dc: int) -> Tensor:
        return p[:, :, REACH + dr : REACH + dr + height, REACH + dc : REACH + dc + width]

    base = predictor(tap(0, -1), tap(-1, 0), tap(-1, 1), tap(-1, -1))
    differences = [(tap(*t) - base).clamp(-127, 127) for t in INPUT_TAPS]
    flags = edge_flags(height, width, x.device) * 127
    return torch.cat([*differences, base - 128, flags.expand(len(x), -1, -1, -1)], 1), base


class MaxNorm(torch.autograd.Function):
    """x / max|x| over the last dimension: the norm whose integer twin needs no scale, so that the five taps of a
    convolution share one, and whose reduction is exact in any order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        largest, where = x.abs().max(-1, keepdim=True)
        inverse = largest.clamp_min(1e-6).reciprocal()
        y = x * inverse
        ctx.save_for_backward(y, inverse, where)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (g,) = grads
        y, inverse, where = ctx.saved_tensors
        through_max = (g * y).sum(-1, keepdim=True, dtype=torch.float32).to(g.dtype) * inverse
        result: Tensor = (g * inverse).scatter_add_(-1, where, -through_max * torch.sign(y.gather(-1, where)))
        return result


def max_norm(x: Tensor) -> Tensor:
    """See `MaxNorm`."""
    return MaxNorm.apply(x)  # type: ignore[no-any-return,no-untyped-call]


class CausalConv(nn.Module):
    """Masked 3x3 convolution over BLOCK_TAPS. [B, H, W, in] -> [B, H, W, out]; the weight is stored as the matrix
    [out, 5 in].
    """

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.randn(outputs, 5 * inputs) * (3 / math.sqrt(5 * inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        outputs, inputs = self.weight.shape[0], x.shape[-1]
        taps = self.weight.view(outputs, 5, inputs)
        kernel = torch.cat([taps, torch.zeros_like(taps[:, :1])], 1).view(outputs, 2, 3, inputs).permute(0, 3, 1, 2)
        d = self.dilation
        y = F.conv2d(F.pad(x, (0, 0, d, d, d, 0)).permute(0, 3, 1, 2), kernel, self.bias, dilation=d)
        return y.permute(0, 2, 3, 1)


class Block(nn.Module):
    """A convolution, a rectifier and a matrix, added to what came in."""

    def __init__(self, config: ConvNetConfig, dilation: int) -> None:
        super().__init__()
        self.conv = CausalConv(config.width, config.hidden, dilation)
        self.out = nn.Linear(config.hidden, config.width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor) -> Tensor:
        result: Tensor = h + self.out(F.relu(self.conv(max_norm(h))))
        return result


class ConvNet(nn.Module):
    """Parameters of p_O for every pixel of an image, in one pass."""

    PARTS: ClassVar = {"trunk": (3, 1), "conv": (1, len(BLOCK_TAPS))}
    """Matrices made of several: how many below and beside each other."""

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.input = nn.Linear(config.features, w)
        self.blocks = nn.ModuleList(Block(config, config.dilation(i)) for i in range(config.blocks))
        self.trunk = nn.Linear(w, 3 * w)  # one hidden layer for each channel
        self.inside = nn.Parameter(torch.randn(3, w) * 0.5)  # how G enters R, G enters B, R enters B
        self.heads = nn.ModuleList(nn.Linear(w, config.outputs(k)) for k in range(3))
        for head in self.heads:
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            head.bias.data.copy_(self._initial_bias(head.out_features))  # type: ignore[operator,arg-type]

    @property
    def fine(self) -> tuple[str, ...]:
        """Matrices whose integer twins get 16 bits: those that touch pixel values, where 8 cost 1% of the bits of
        smooth images, or all.
        """
        return ("",) if self.config.bits == 16 else ("input", "heads.")

    def _initial_bias(self, outputs: int) -> Tensor:
        k = self.config.mixtures
        slopes = torch.eye(1, outputs - 3 * k).flatten() if outputs > 3 * k else torch.zeros(0)
        spread = torch.linspace(-1, 1, k) / MEAN_SCALE
        return torch.cat([torch.zeros(k), spread, torch.full((k,), LOG_SCALE_BIAS), slopes])

    def forward(self, x: Tensor) -> Tensor:
        """x: float [B, 3, H, W] with integer values, or [B, 1, H, W] for grey images, which the network sees as three
        equal channels of which only the first coded one needs bits. Returns -log2 p_O of each pixel and coded channel,
        float32, of the shape of x.
        """
        channels = x.shape[1]
        x = x.expand(-1, 3, -1, -1)
        inputs, base = features(x)
        h = self.input((inputs / INPUT_SCALE).permute(0, 2, 3, 1))
        for block in self.blocks:
            h = block(h)
        hidden = self.trunk(max_norm(h)).chunk(3, -1)
        order = list(CODING_ORDER)
        values, base = x[:, order], base[:, order]
        error = values - base
        small = (error.clamp(-127, 127) / INPUT_SCALE).to(h.dtype).unsqueeze(-1)  # [B, 3, H, W, 1]
        inside = self.inside.to(h.dtype)
        entering = ((), ((0, inside[0]),), ((0, inside[1]), (1, inside[2])))
        bits = []
        for k in range(channels):
            z = hidden[k]
            for j, row in entering[k]:
                z = z + small[:, j] * row
            out = self.heads[k](F.relu(z)).permute(0, 3, 1, 2).float()
            bits.append(self._bits(out, values[:, k], base[:, k], error[:, :k]))
        return torch.stack(bits, 1)

    def _bits(self, out: Tensor, value: Tensor, base: Tensor, earlier: Tensor) -> Tensor:
        """-log2 of a discretised logistic mixture. out: [B, 3K + k, H, W]; value, base: [B, H, W]; earlier:
        [B, k, H, W].
        """
        k = self.config.mixtures
        weight, mean, log_scale = out[:, :k], out[:, k : 2 * k] * MEAN_SCALE, out[:, 2 * k : 3 * k]
        centre = base + (out[:, 3 * k :] * earlier).sum(1)
        inverse = torch.exp2(-log_scale.clamp(*LOG_SCALE_RANGE))
        distance = (value - centre).unsqueeze(1) - mean
        value = value.unsqueeze(1)
        upper = torch.where(value > 254.5, 60.0, inverse * (distance + 0.5))
        lower = torch.where(value < 0.5, -60.0, inverse * (distance - 0.5))
        p = (torch.softmax(weight, 1) * (torch.sigmoid(upper) - torch.sigmoid(lower))).sum(1)
        return -torch.log2(p.clamp_min(0) * (1 - FLOOR) + FLOOR / 256)
