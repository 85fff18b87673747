"""Pictures in tiles whose pixels the Gaussian sender sends one after the other: the trainable network.

Pixel (r, c) of a tile is begun at step c + 2r, and sent in one step or two, all its channels together. In two, the
first sends a sample of some accuracy, the second settles the levels; the pixels of one step before are then known by
their samples alone when a pixel begins. Two networks work together: one, as the erasure sender has it, on pixels whose
past is known; the other on those that begin, with the features that the first has of the past. The integer
implementation that files are coded with is in :mod:`bfncodec.networks.wavefront.exact`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bfncodec.coding import tables
from bfncodec.flow.schedules.reveal import Wavefront
from bfncodec.networks.convnet.config import LOG_SCALE_RANGE, ConvNetConfig
from bfncodec.networks.convnet.model import (
    Components,
    ConvNet,
    components,
    in_coding_order,
    logistic_bits,
    scaled,
)
from bfncodec.networks.storage import Export

CLASSES = 256
DEVIATIONS = 12  # of the sender's noise, from one level to the next, when all is sent
BETA = float((DEVIATIONS * CLASSES // 2) ** 2)
MOST_OPEN = BETA / CLASSES  # accuracy of a first step that leaves levels open
FIRST = "first."  # what the names of the second network's tensors begin with


@dataclass(frozen=True)
class WavefrontConfig:
    """Shape of items, [H, W, 3], of their tiles, and of the network; accuracies before the first step of a pixel, which
    is 0, and after each. Stored in a model's config.json.
    """

    shape: tuple[int, int, int]
    tile: tuple[int, int]
    network: ConvNetConfig
    betas: tuple[float, ...] = (0.0, BETA)
    kind: str = "discretised"
    classes: int = CLASSES

    OWN: ClassVar = ("kind", "classes", "shape", "tile", "betas")
    """What a config has beside the network's numbers."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WavefrontConfig:
        """Return the network's configuration.

        Raises ValueError for tiles that do not fill an item, or whose lines are not all of pixels, for accuracies of
        more than two steps, or that do not settle levels, and for other numbers of levels than 256.
        """
        if values.get("classes", CLASSES) != CLASSES or values.get("kind", cls.kind) != cls.kind:
            raise ValueError(
                f"expected discretised data of {CLASSES} levels, found {values.get('kind', cls.kind)} data of "
                f"{values.get('classes', CLASSES)}: pixels that are sent one after the other have bytes as values"
            )
        rest = {name: value for name, value in values.items() if name not in cls.OWN}
        shape, tile = tuple(values["shape"]), tuple(values["tile"])
        betas = tuple(float(beta) for beta in values.get("betas", (0.0, BETA)))
        if (
            len(shape) != 3
            or shape[2] != 3
            or len(tile) != 2
            or tile[1] < 2
            or shape[0] % tile[0]
            or shape[1] % tile[1]
        ):
            raise ValueError(f"expected tiles two pixels wide or more that fill items [H, W, 3], found {tile}, {shape}")
        if not _settles(betas):
            raise ValueError(
                f"expected betas [0, {BETA}], or of two steps, [0, at most {MOST_OPEN}, {BETA}], found {betas}"
            )
        return cls(shape, tile, ConvNetConfig.from_dict(rest), betas)

    def to_dict(self) -> dict[str, Any]:
        """Return the table that `from_dict` reads."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "tile": list(self.tile),
            "betas": list(self.betas),
            **self.network.to_dict(),
        }

    @property
    def tiles(self) -> int:
        """Number of tiles of an item."""
        return self.shape[0] // self.tile[0] * (self.shape[1] // self.tile[1])

    @property
    def lines(self) -> int:
        """Steps at which pixels are begun."""
        return Wavefront(*self.tile).n_steps

    @property
    def steps(self) -> int:
        return self.lines + len(self.betas) - 2

    @property
    def noise(self) -> float:
        """Standard deviation of a sample of two steps' first, in levels; 0 where there is but one."""
        return CLASSES / 2 / math.sqrt(self.betas[1]) if len(self.betas) == 3 else 0.0


def _settles(betas: tuple[float, ...]) -> bool:
    """Return whether accuracies begin with 0 and tell levels apart in the last step, the first or the second."""
    most = {2: BETA, 3: MOST_OPEN}.get(len(betas), 0.0)
    return betas[:1] == (0,) and betas[-1] == BETA and 0 < betas[1] <= most


class WavefrontNet(ConvNet):
    """The network under a staggered wavefront: code lengths of all pixels of items in one forward pass.

    The network of one step is a `ConvNet`. That of two has, besides: slopes for the three samples of a pixel, which
    come last in the heads' outputs; how they enter the hidden layers before the heads; and a `ConvNet` for the first
    step.
    """

    def __init__(self, config: WavefrontConfig) -> None:
        super().__init__(config.network)
        self.tiled = config
        if config.noise:
            width = config.network.width
            self.own = nn.Parameter(torch.zeros(3, 3 * width))
            self.heads = nn.ModuleList(_with_slopes(head) for head in self.heads)
            self.first = ConvNet(config.network)

    @property
    def export_as(self) -> Export:
        """The second network is stored as the first is, and begins a training as it does."""
        one = super().export_as
        return replace(one, fine=one.fine + tuple(FIRST + part for part in one.fine if part), copies={FIRST: ""})

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Bits of each pixel and coded channel, with one sample of the sender's noise: -log2 p_O of the step that
        settles it, and log2 p_S/p_R of the step before that. x: float [B, 3, H, W] with integer values; noise: standard
        normal, of the same shape, of no matter where there is one step -> [B tiles, 3, h, w]
        """
        x = self.cut(x)
        if not self.tiled.noise:
            return super().forward(x)
        assert noise is not None
        sample = x + self.tiled.noise * self.cut(noise)
        settled, earlier = self._settled(x, sample)
        return settled + self._sampled(x, sample, earlier)

    def cut(self, x: Tensor) -> Tensor:
        """Tiles of items. [B, 3, H, W] -> [B tiles, 3, h, w]"""
        (h, w), (batch, channels, height, width) = self.tiled.tile, x.shape
        pieces = x.reshape(batch, channels, height // h, h, width // w, w)
        return pieces.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, h, w)

    def _settled(self, x: Tensor, sample: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(-log2 p_O of the step that settles pixels, the network's features)."""
        h, base = self.first_of(x)
        hidden, read = self.trunk_of(h)
        values, samples, base = (in_coding_order(part) for part in (x, sample, base))
        error, own = values - base, samples - base
        hidden = hidden + scaled(own).permute(0, 2, 3, 1).to(hidden.dtype) @ self.own.to(hidden.dtype)
        bits = []
        for k, out in enumerate(self.outputs_of(hidden, error)):
            prior = components(out, base[:, k], torch.cat([error[:, :k], own], 1))
            bits.append(logistic_bits(posterior(prior, samples[:, k], self.tiled.noise), values[:, k]))
        return torch.stack(bits, 1), read

    def _sampled(self, x: Tensor, sample: Tensor, earlier: list[Tensor]) -> Tensor:
        """log2 p_S/p_R of the step that sends the sample."""
        network: ConvNet = self.first
        h, base = network.first_of(x, just_before=sample.round().clamp(0, 255))
        hidden, _ = network.trunk_of(h, [part.detach() for part in earlier])
        values, samples, base = (in_coding_order(part) for part in (x, sample, base))
        error, noise = samples - base, self.tiled.noise
        bits = []
        for k, out in enumerate(network.outputs_of(hidden, error)):
            receiver = log_density(components(out, base[:, k], error[:, :k]), samples[:, k], noise)
            sender = -0.5 * ((samples[:, k] - values[:, k]) / noise) ** 2 - math.log(noise)
            bits.append((sender - torch.logsumexp(receiver, 1)) / math.log(2))
        return torch.stack(bits, 1)


def _with_slopes(head: nn.Module) -> nn.Linear:
    """A head with three more outputs, which are 0."""
    assert isinstance(head, nn.Linear)
    wider = nn.Linear(head.in_features, head.out_features + 3)
    nn.init.zeros_(wider.weight)
    nn.init.zeros_(wider.bias)
    wider.bias.data[: head.out_features] = head.bias.data
    return wider


def _variances(p: Components, noise: float) -> tuple[Tensor, Tensor]:
    """(variances of a mixture's components, those of samples of them)."""
    own = torch.exp2(2 * p.log_scale) * tables.LOGISTIC_VARIANCE
    return own, own + noise**2


def log_density(p: Components, sample: Tensor, noise: float) -> Tensor:
    """ln of weight times density of a sample [B, H, W] of every component, as if they were normal, but for a constant
    that the sender's has, too: [B, K, H, W].
    """
    _, variance = _variances(p, noise)
    away = sample.unsqueeze(1) - p.mean
    return torch.log_softmax(p.weight, 1) - 0.5 * (away * away / variance + torch.log(variance))


def posterior(p: Components, sample: Tensor, noise: float) -> Components:
    """A mixture given a sample [B, H, W] with noise of this deviation: every component is updated as if it were normal,
    and stays logistic.
    """
    own, variance = _variances(p, noise)
    mean = p.mean + own / variance * (sample.unsqueeze(1) - p.mean)
    log_scale = p.log_scale + 0.5 * torch.log2(noise**2 / variance)
    return Components(log_density(p, sample, noise), mean, log_scale.clamp_min(LOG_SCALE_RANGE[0]))
