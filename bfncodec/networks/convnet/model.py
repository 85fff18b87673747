"""Causal masked-convolution network for the wavefront schedule: the trainable network.

Pixel (r, c) is revealed at step c + 2r. Everything the network computes at a pixel depends only on pixels of earlier
steps, because each 3x3 convolution reads the pixel itself, its left neighbour and the three above (`BLOCK_TAPS`), and
the first layer, which reads pixel values, leaves out the pixel itself (`INPUT_TAPS`). The integer implementation that
files are coded with is in :mod:`bfncodec.networks.convnet.exact`.

Inside a pixel the channels are predicted in the order green, red, blue, each given the ones before it, by mixtures of
discretised logistics whose means depend linearly on the channels before (PixelCNN++, Salimans et al. 2017, section 2).
The masks are those of PixelCNN (van den Oord et al. 2016), for the order of the wavefront.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.flow.schedules.reveal import Wavefront
from bfncodec.networks.convnet.config import (
    BLOCK_TAPS,
    CODING_ORDER,
    INPUT_SCALE,
    INPUT_TAPS,
    LOG_SCALE_RANGE,
    MEAN_SCALE,
    OUTSIDE,
    REACH,
    ConvNetConfig,
)
from bfncodec.networks.storage import Export, TrainableNetwork

FAR = 1 << 20  # lines that no image has
LOG_SCALE_BIAS = 2.0  # initial log2 of the logistic scale, in levels
UNITS = 127  # of int8 weights and features
FLOOR = 2.0**-20  # probability given to the uniform distribution, as the coder's integer frequencies do


def pad_known(x: Tensor) -> Tensor:
    """Surround an image by values that the receiver has. x: [B, 3, H, W] -> [B, 3, H + 3, W + 6].

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
    """Nine flags by which the network knows how near the borders are. float32 0/1 [9, H, W]."""
    r = torch.arange(height, device=device)[:, None].expand(height, width)
    c = torch.arange(width, device=device)[None].expand(height, width)
    near = [distance < k for distance in (r, c, width - 1 - c) for k in range(1, REACH + 1)]
    return torch.stack(near).float()


def features(x: Tensor, just_before: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Integer inputs of the network and the simple prediction. x: float [B, 3, H, W] with integer values 0..255.

    just_before: of the same shape, what the network sees of the pixels of the step just before, where that is not x.

    Returns (features [B, F, H, W], integers in [-128, 127]; base [B, 3, H, W], integers in [0, 255]).
    """
    seen = taps_of(x)
    if just_before is not None:
        late = (lags(x.shape[2], x.shape[3]) == 1).to(x.device)
        seen = torch.where(late[:, None, None], taps_of(just_before), seen)
    base = predictor(*(seen[INPUT_TAPS.index(t)] for t in ((0, -1), (-1, 0), (-1, 1), (-1, -1))))
    differences = (seen - base).clamp(-127, 127).transpose(0, 1).flatten(1, 2)
    flags = edge_flags(x.shape[2], x.shape[3], x.device) * 127
    return torch.cat([differences, base - 128, flags.expand(len(x), -1, -1, -1)], 1), base


def taps_of(x: Tensor) -> Tensor:
    """Return what stands at INPUT_TAPS of every pixel, [22, B, 3, H, W]."""
    height, width = x.shape[2:]
    p = pad_known(x)
    return torch.stack([p[:, :, REACH + r : REACH + r + height, REACH + c : REACH + c + width] for r, c in INPUT_TAPS])


def lags(height: int, width: int) -> Tensor:
    """Steps between a pixel and its neighbours at INPUT_TAPS, int64 [22, H, W]; FAR for neighbours above the image."""
    line = torch.from_numpy(Wavefront(height, width).step_of).view(height, width)
    known = taps_of((line - FAR).float().expand(1, 1, -1, -1))[:, 0, 0].long() + FAR
    return torch.where(known > FAR, FAR, line - known)


class MaxNorm(torch.autograd.Function):
    """x / max|x| over the last dimension: the norm whose integer implementation needs no scale, so that the five taps
    of a convolution share one, and whose reduction is exact in any order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Normalise rows. [..., C] -> [..., C]"""
        largest, where = x.abs().max(-1, keepdim=True)
        inverse = largest.clamp_min(1e-6).reciprocal()
        y = x * inverse
        ctx.save_for_backward(y, inverse, where)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Gradient of the rows: also through the largest element, which all others are divided by."""
        (g,) = grads
        y, inverse, where = ctx.saved_tensors
        through_max = (g * y).sum(-1, keepdim=True, dtype=torch.float32).to(g.dtype)
        # y is -1 or 1 where it is largest, so y itself is the sign. No scatter: compilers fuse this with what follows.
        largest = torch.arange(y.shape[-1], device=y.device) == where
        result: Tensor = (g - torch.where(largest, through_max * y, 0)) * inverse
        return result


def max_norm(x: Tensor) -> Tensor:
    """Implements `MaxNorm`."""
    return MaxNorm.apply(x)  # type: ignore[no-any-return,no-untyped-call]


def rounded_rows(weight: Tensor) -> Tensor:
    """A matrix rounded as files are coded with it: each row to integers up to 127 times a scale. Gradients pass as if
    it were not rounded (the straight-through estimator, Bengio et al. 2013).
    """
    scale = weight.detach().abs().amax(1, keepdim=True).clamp_min(1e-8) / UNITS
    return weight + ((weight.detach() / scale).round() * scale - weight.detach())


def rounded_features(x: Tensor) -> Tensor:
    """The features of each pixel in units of 1/127 of the largest. Gradients pass straight through."""
    fixed = x.detach().float()
    scale = fixed.abs().amax(-1, keepdim=True).clamp_min(1e-6) / UNITS
    return x + ((fixed / scale).round() * scale - fixed).to(x.dtype)


class CausalConv(nn.Module):
    """Masked 3x3 convolution over BLOCK_TAPS. [B, H, W, in] -> [B, H, W, out]; the weight is stored as the matrix
    [out, 5 in].
    """

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.randn(outputs, 5 * inputs) * (3 / math.sqrt(5 * inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, earlier: Tensor | None = None, rounded: bool = False) -> Tensor:
        """Convolve. earlier: what stands at the pixels before, where that is not x; rounded: see `ConvNet.rounded`."""
        weight = rounded_rows(self.weight) if rounded else self.weight
        if earlier is None and x.device.type == "cpu":
            return self._in_place(x, weight)
        return F.linear(neighbourhood(x, x if earlier is None else earlier, self.dilation), weight, self.bias)

    def _in_place(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve without gathering the taps first: three quarters of the time on a CPU. GPUs have no fast kernels for
        such a convolution in float, and compilers fuse the gathering with what is before it.
        """
        outputs, inputs = weight.shape[0], x.shape[-1]
        unknown = weight.new_zeros(outputs, 1, inputs)  # the pixel to the right
        kernel = torch.cat([weight.view(outputs, 5, inputs), unknown], 1)
        kernel = kernel.view(outputs, 2, 3, inputs).permute(0, 3, 1, 2)
        d = self.dilation
        padded = F.pad(x, (0, 0, d, d, d, 0)).permute(0, 3, 1, 2)
        return F.conv2d(padded, kernel, self.bias, dilation=d).permute(0, 2, 3, 1)


def neighbourhood(x: Tensor, earlier: Tensor, dilation: int) -> Tensor:
    """Gather what stands at BLOCK_TAPS of every pixel: `earlier` at the pixels before, x at the pixel itself.

    [B, H, W, C] -> [B, H, W, 5 C]
    """
    height, width = x.shape[1:3]
    d = dilation
    padded = F.pad(earlier, (0, 0, d, d, d, 0))
    before = [padded[:, d + d * r : d + d * r + height, d + d * c : d + d * c + width] for r, c in BLOCK_TAPS[:-1]]
    return torch.cat([*before, x], -1)


class ConvBlock(nn.Module):
    """A convolution, a rectifier and a matrix, added to what came in."""

    def __init__(self, config: ConvNetConfig, dilation: int) -> None:
        super().__init__()
        self.conv = CausalConv(config.width, config.hidden, dilation)
        self.out = nn.Linear(config.hidden, config.width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, earlier: Tensor | None = None, rounded: bool = False) -> tuple[Tensor, Tensor]:
        """(what comes out, the features that the convolution read). earlier, rounded: see `CausalConv`."""
        features = max_norm(h)
        if not rounded:
            return h + self.out(F.relu(self.conv(features, earlier))), features
        features = rounded_features(features)
        hidden = rounded_features(F.relu(self.conv(features, earlier, rounded)))
        return h + F.linear(hidden, rounded_rows(self.out.weight), self.out.bias), features


class ConvNet(TrainableNetwork):
    """The masked convolutional network: p_O of every pixel of an image in one forward pass."""

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__()
        self.config = config
        self.rounded = False  # whether weights and features of 8 bits are rounded as in the integer implementation
        w = config.width
        self.input = nn.Linear(config.features, w)
        self.blocks = nn.ModuleList(ConvBlock(config, config.dilation(i)) for i in range(config.blocks))
        self.trunk = nn.Linear(w, 3 * w)  # one hidden layer for each channel
        self.inside = nn.Parameter(torch.randn(3, w) * 0.5)  # how G enters R, G enters B, R enters B
        self.heads = nn.ModuleList(nn.Linear(w, config.outputs(k)) for k in range(3))
        for head in self.heads:
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            head.bias.data.copy_(self._initial_bias(head.out_features))  # type: ignore[operator,arg-type]

    @property
    def export_as(self) -> Export:
        """Matrices that touch pixel values have 16 bits, or all do: 8 cost 1% of the bits of smooth images."""
        fine = ("",) if self.config.bits == 16 else ("input", "heads.")
        return Export(fine=fine, grids={"trunk": (3, 1), "conv": (1, len(BLOCK_TAPS))})

    def _initial_bias(self, outputs: int) -> Tensor:
        k = self.config.mixtures
        slopes = torch.eye(1, outputs - 3 * k).flatten() if outputs > 3 * k else torch.zeros(0)
        spread = torch.linspace(-1, 1, k) / MEAN_SCALE
        return torch.cat([torch.zeros(k), spread, torch.full((k,), LOG_SCALE_BIAS), slopes])

    def forward(self, x: Tensor) -> Tensor:
        """Return -log2 p_O of each pixel and coded channel, float32, of the shape of x.

        x: float [B, 3, H, W] with integer values, or [B, 1, H, W] for grey images, which the network sees as three
        equal channels of which only the first coded one needs bits.
        """
        channels = x.shape[1]
        x = x.expand(-1, 3, -1, -1)
        h, base = self.first_of(x)
        return self.bits_of(self.trunk_of(h)[0], x, base, channels)

    def first_of(self, x: Tensor, just_before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(what enters the first block, [B, H, W, C]; the simple prediction). x, just_before: of `features`."""
        inputs, base = features(x, just_before)
        h: Tensor = self.input((inputs / INPUT_SCALE).permute(0, 2, 3, 1))
        return h, base

    def trunk_of(self, h: Tensor, earlier: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """(what all channels are made of, [B, H, W, 3 C], the features that every block read). h: of `first_of`;
        earlier: features of every block at the pixels before, where another network has them.
        """
        read = []
        for i, block in enumerate(self.blocks):
            h, features = block(h, earlier[i] if earlier else None, self.rounded)
            read.append(features)
        if not self.rounded:
            return self.trunk(max_norm(h)), read
        return F.linear(rounded_features(max_norm(h)), rounded_rows(self.trunk.weight), self.trunk.bias), read

    def bits_of(self, hidden: Tensor, x: Tensor, base: Tensor, channels: int) -> Tensor:
        """Return -log2 p_O of the first coded `channels` of x. hidden: of `trunk_of`; base: of `first_of`."""
        values, base = in_coding_order(x), in_coding_order(base)
        error = values - base
        outs = self.outputs_of(hidden, error, channels)
        bits = [logistic_bits(components(out, base[:, k], error[:, :k]), values[:, k]) for k, out in enumerate(outs)]
        return torch.stack(bits, 1)

    def outputs_of(self, hidden: Tensor, error: Tensor, channels: int = 3) -> Iterator[Tensor]:
        """The heads' outputs, which `components` takes, of each channel in coding order, float32 [B, 3K + ..., H, W].

        error: differences to the base of the values that later channels are conditioned on, [B, 3, H, W].
        """
        small = scaled(error).to(hidden.dtype).unsqueeze(-1)  # [B, 3, H, W, 1]
        inside = self.inside.to(hidden.dtype)
        entering = ((), ((0, inside[0]),), ((0, inside[1]), (1, inside[2])))
        for k, z in enumerate(hidden.chunk(3, -1)[:channels]):
            for j, row in entering[k]:
                z = z + small[:, j] * row
            z = F.relu(z)
            # Not in bfloat16, whose 8 bits are too few for the means of smooth pictures: files have 16 here.
            with torch.autocast(z.device.type, enabled=False):
                out = self.heads[k]((rounded_features(z) if self.rounded else z).float())
            yield out.permute(0, 3, 1, 2)

    def compile_parts(self) -> bool:
        """Compile the blocks, and what is before and after them: blocks that are alike are compiled once."""
        for block in self.blocks:
            block.compile(dynamic=False)
        for name in ("first_of", "bits_of"):
            setattr(self, name, torch.compile(getattr(self, name), dynamic=False))
        return True


class Components(NamedTuple):
    """A mixture of logistics: logarithms of the weights, means, and log2 of the scales, [B, K, H, W], in levels."""

    weight: Tensor
    mean: Tensor
    log_scale: Tensor


def components(out: Tensor, base: Tensor, errors: Tensor) -> Components:
    """Return the components of p_O.

    out: [B, 3K + E, H, W]; base: [B, H, W]; errors, one for each of the E slopes: [B, E, H, W].
    """
    k = (out.shape[1] - errors.shape[1]) // 3
    weight, offset, log_scale, slopes = out[:, :k], out[:, k : 2 * k], out[:, 2 * k : 3 * k], out[:, 3 * k :]
    centre = base + (slopes * errors).sum(1)
    return Components(weight, centre.unsqueeze(1) + offset * MEAN_SCALE, log_scale.clamp(*LOG_SCALE_RANGE))


def logistic_bits(p: Components, value: Tensor) -> Tensor:
    """-log2 of the probabilities of levels [B, H, W] under mixtures of discretised logistics (PixelCNN++, eq. 2), with
    FLOOR of a uniform distribution mixed in.
    """
    value, inverse = value.unsqueeze(1), torch.exp2(-p.log_scale)
    distance = value - p.mean
    upper = torch.where(value > 254.5, 60.0, inverse * (distance + 0.5))
    lower = torch.where(value < 0.5, -60.0, inverse * (distance - 0.5))
    found = (torch.softmax(p.weight, 1) * (torch.sigmoid(upper) - torch.sigmoid(lower))).sum(1)
    return -torch.log2(found.clamp_min(0) * (1 - FLOOR) + FLOOR / 256)


def in_coding_order(x: Tensor) -> Tensor:
    """Channels [B, 3, H, W] in the order in which they are coded."""
    return x[:, list(CODING_ORDER)]


def scaled(error: Tensor) -> Tensor:
    """Differences of pixel values as the network reads them."""
    return error.clamp(-127, 127) / INPUT_SCALE
