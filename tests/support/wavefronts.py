"""Tiny networks of the Gaussian sender for pixels line after line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bfncodec.codecs.receivers.wavefront import WavefrontReceiver
from bfncodec.coding.ans import AnsStack
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.networks.wavefront.exact import ExactWavefront
from bfncodec.networks.wavefront.model import BETA, WavefrontConfig, WavefrontNet
from bfncodec.training.export import quantised_tensors
from support.pairs import CPU, pixels, randomise

SHAPE, TILE = (4, 6, 3), (2, 3)
ONE, TWO = (0.0, BETA), (0.0, 4096.0, BETA)


def network(head: float = 0.5, betas: tuple[float, ...] = ONE, dilations: tuple[int, ...] = (1,)) -> WavefrontNet:
    shape = ConvNetConfig(width=8, hidden=8, blocks=len(dilations), mixtures=2, dilations=dilations)
    found = WavefrontNet(WavefrontConfig(SHAPE, TILE, shape, betas)).eval()
    randomise(found, 0, head)
    if found.tiled.noise:
        found.first = ConvNet(shape).eval()
        randomise(found.first, 1, head)
        found.own.data *= head
    return found


def exact(of: WavefrontNet) -> ExactWavefront:
    """The twin, by way of what is stored."""
    config = WavefrontConfig.from_dict(json.loads(json.dumps(of.tiled.to_dict())))
    assert config == of.tiled
    return ExactWavefront(config, quantised_tensors(of), CPU)


def tiny(head: float = 0.5, betas: tuple[float, ...] = ONE) -> WavefrontReceiver:
    return WavefrontReceiver(exact(network(head, betas)))


def items(count: int) -> Any:
    return pixels(3, count, *SHAPE[:2]).astype(np.int64).reshape(-1)


def full_stack(words: int = 4000) -> AnsStack:
    return AnsStack(np.random.default_rng(1).integers(1, 1 << 32, words, dtype=np.uint32), borrowed=True)
