"""Pictures as cameras, film, video and the web make them, out of photographs that were scaled down.

Scaling down hides what a camera does: one colour a pixel with noise, the others interpolated; lenses, grain; colour at
half the resolution; the blocks of JPEG. A model that has seen scaled pictures alone codes others badly. Every function
takes and returns float [B, 3, H, W] of levels 0 ... 255, not rounded, on any device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bfncodec.training.draws import Draws

MARGIN = 16
"""Pixels that a crop has to be larger before it is varied: filters reach beyond it, and a mosaic or a block of JPEG
begins anywhere."""
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
JPEG_SHARE = 1 / 8  # of all pictures, whatever else was done to them
JPEG_QUALITY = (50, 97)  # from, to
TABLES = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99",
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    + " ".join(["99"] * 32),
)
"""Steps of the coefficients of luma and chroma at quality 50 (ITU-T T.81, annex K)."""


def varied(x: Tensor, draws: Draws) -> Tensor:
    """Change every other crop of integer levels; cut each to MARGIN pixels less at a random place.

    float [B, 3, S + MARGIN, S + MARGIN] -> [B, 3, S, S] of integer levels, in another order.
    """
    ways = np.sort(draws.host.choice(len(WAYS), size=len(x), p=[share for _, share in WAYS]))
    counts = np.bincount(ways, minlength=len(WAYS)).tolist()
    groups = torch.split(x, counts)
    parts = [way(part, draws) for (way, _), part in zip(WAYS, groups, strict=True) if len(part)]
    x = torch.cat(parts).round().clamp(0, 255)
    again = int((draws.host.random(len(x)) < JPEG_SHARE).sum())
    order = torch.from_numpy(draws.host.permutation(len(x))).to(x.device, non_blocking=True)
    x = x[order]
    if again:
        x = torch.cat([as_jpeg(x[:again], draws), x[again:]])
    return cut_anywhere(x, x.shape[-1] - MARGIN, draws)


def cut_anywhere(x: Tensor, size: int, draws: Draws) -> Tensor:
    """Cut each picture to size x size at a random place."""
    places = draws.host.integers(x.shape[-1] - size + 1, size=(2, len(x), 1))
    rows, columns = torch.from_numpy(places).to(x.device, non_blocking=True) + torch.arange(size, device=x.device)
    one = torch.arange(len(x), device=x.device)[:, None, None]
    return x[one, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def unchanged(x: Tensor, draws: Draws) -> Tensor:
    """Return x itself."""
    return x


def camera(x: Tensor, draws: Draws) -> Tensor:
    """Keep one colour a pixel (Bayer's mosaic), with noise, and interpolate the others: linearly, or with the gradients
    of the colour that is known, as most cameras do (after Malvar, He and Cutler 2004).
    """
    x = grainy(x, 5.0, draws)
    line = torch.arange(x.shape[2], device=x.device)[:, None] % 2
    column = torch.arange(x.shape[3], device=x.device) % 2
    known = torch.stack([(line + column == 0), (line + column) % 2 == 1, (line + column == 2)]).to(x.dtype)
    mosaic = x * known
    means, gradient = mosaic_kernels(x.device)
    linear = F.conv2d(F.pad(mosaic, (1, 1, 1, 1), mode="reflect"), means, groups=3)
    edges = F.conv2d(F.pad(mosaic.sum(1, keepdim=True), (2, 2, 2, 2), mode="reflect"), gradient)
    strength = (draws.uniform(len(x), 1, 1, 1) < 0.7).to(x.dtype)
    return linear + strength * edges * (1 - known)


@lru_cache
def mosaic_kernels(device: torch.device) -> tuple[Tensor, Tensor]:
    """(kernels that interpolate red, green, blue in a mosaic, [3, 1, 3, 3]; the one that says how far the known colour
    stands above its own neighbours, [1, 1, 5, 5]: the others are likely to stand as far above theirs).
    """
    ramp = torch.tensor([1.0, 2.0, 1.0])
    quarters = ramp.outer(ramp) / 4
    cross = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    gradient = torch.zeros(1, 1, 5, 5)
    gradient[0, 0, 2] = torch.tensor([-1.0, 0, 4, 0, -1]) / 8
    gradient[0, 0, :, 2] += torch.tensor([-1.0, 0, 0, 0, -1]) / 8
    return torch.stack([quarters, cross, quarters])[:, None].to(device), gradient.to(device)


def soft(x: Tensor, draws: Draws) -> Tensor:
    """Blur as a lens does, then add grain as film does."""
    return grainy(blurred(x, 0.4 + 0.8 * draws.uniform(len(x))), 4.0, draws)


def video(x: Tensor, draws: Draws) -> Tensor:
    """Halve the resolution of the colour, then add a little grain."""
    return grainy(half_chroma(x, draws), 2.0, draws)


def enlarged(x: Tensor, draws: Draws) -> Tensor:
    """Enlarge 1.2 to 2 times and add grain; every other time halve the resolution of the colour, too."""
    side = int(x.shape[-1] / (1.2 + 0.8 * draws.host.random()))
    x = F.interpolate(x[:, :, :side, :side], size=x.shape[2:], mode="bicubic", align_corners=False)
    x = grainy(x, 3.0, draws)
    return half_chroma(x, draws) if draws.host.random() < 0.5 else x


WAYS: tuple[tuple[Callable[[Tensor, Draws], Tensor], float], ...] = (
    (unchanged, 0.50),
    (camera, 0.18),
    (soft, 0.12),
    (video, 0.10),
    (enlarged, 0.10),
)
"""Changes, and the share of the pictures that each is for."""


def grainy(x: Tensor, most: float, draws: Draws) -> Tensor:
    """Add noise of a standard deviation of up to `most` levels, small more often than large, less of it in the dark;
    the channels share a random part of it.
    """
    size = most * draws.uniform(len(x), 1, 1, 1).square()
    size = size * (0.5 + (x.mean(1, keepdim=True) / 255).clamp(0, 1).sqrt())
    shared = draws.uniform(len(x), 1, 1, 1)
    noise = draws.normal(*x.shape) * (1 - shared).sqrt() + draws.normal(len(x), 1, *x.shape[2:]) * shared.sqrt()
    return x + size * noise


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur with Gaussians of standard deviations `sigma` [B] in pixels, seven taps each way."""
    batch, channels, height, width = x.shape
    taps = torch.exp(-0.5 * (torch.arange(-3.0, 4.0, device=x.device) / sigma[:, None]).square())
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    y = F.pad(x, (3, 3, 3, 3), mode="replicate").reshape(1, batch * channels, height + 6, width + 6)
    y = F.conv2d(y, taps[..., None], groups=batch * channels)
    return F.conv2d(y, taps[:, :, None], groups=batch * channels).view_as(x)


def half_chroma(x: Tensor, draws: Draws) -> Tensor:
    """Halve the resolution of the colour differences; interpolate them linearly, or repeat them."""
    height, width = x.shape[2:]
    x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    luma = luma_of(x)
    half = F.avg_pool2d(x - luma, 2)
    if draws.host.random() < 0.7:
        full = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    else:
        full = F.interpolate(half, scale_factor=2, mode="nearest")
    return (luma + full)[:, :, :height, :width]


def luma_of(x: Tensor) -> Tensor:
    """Return the luma of pictures, float [B, 1, H, W]."""
    return sum(share * x[:, k : k + 1] for k, share in enumerate(LUMA))  # type: ignore[return-value]


def as_jpeg(x: Tensor, draws: Draws) -> Tensor:
    """Return levels after JPEG of a random quality, every other picture with chroma at half the resolution."""
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate")
    luma = luma_of(x)
    blue = (x[:, 2:] - luma) / (2 - 2 * LUMA[2])
    red = (x[:, :1] - luma) / (2 - 2 * LUMA[0])
    quality = JPEG_QUALITY[0] + (JPEG_QUALITY[1] - JPEG_QUALITY[0]) * draws.uniform(len(x), 1, 1, 1)
    luma = through_blocks(luma - 128, 0, quality) + 128
    chroma = torch.cat([blue, red], 1)
    small = F.interpolate(through_blocks(F.avg_pool2d(chroma, 2), 1, quality), scale_factor=2, mode="bilinear")
    halves = draws.uniform(len(x), 1, 1, 1) < 0.5
    blue, red = torch.where(halves, small, through_blocks(chroma, 1, quality)).chunk(2, 1)
    r, b = luma + (2 - 2 * LUMA[0]) * red, luma + (2 - 2 * LUMA[2]) * blue
    g = (luma - LUMA[0] * r - LUMA[2] * b) / LUMA[1]
    return torch.cat([r, g, b], 1).round().clamp(0, 255)[:, :, :height, :width]


def through_blocks(x: Tensor, table: int, quality: Tensor) -> Tensor:
    """Round the cosine coefficients of blocks of 8 by 8, as JPEG does (ITU-T T.81, A.3.3 and A.3.4).

    x: float [B, C, H, W], H and W multiples of 8. table: 0 for luma, 1 for chroma. quality: from 50 on, [B, 1, 1, 1].
    """
    steps = (steps_at_half(table, x.device) * (2 - quality / 50)).round().clamp_min(1)
    steps = steps[:, :, None, None]  # [B, 1, 1, 1, 8, 8]
    cosines = dct(x.device)
    batch, channels, height, width = x.shape
    blocks = x.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)  # [B, C, H / 8, W / 8, 8, 8]
    coefficients = ((cosines @ blocks @ cosines.T) / steps).round() * steps
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(x.shape)


@lru_cache
def steps_at_half(table: int, device: torch.device) -> Tensor:
    """Steps of the coefficients at quality 50, float [8, 8]."""
    return torch.tensor([float(v) for v in TABLES[table].split()]).view(8, 8).to(device)


@lru_cache
def dct(device: torch.device) -> Tensor:
    """Return the matrix of the orthogonal cosine transform (type II) of 8 numbers, float [8, 8]."""
    k, n = torch.arange(8.0, device=device)[:, None], torch.arange(8.0, device=device)
    rows = torch.cos(math.pi / 8 * (n + 0.5) * k) / 2
    rows[0] /= math.sqrt(2)
    return rows
