"""Directories of tiny image and text models with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bfncodec.coding.mixing.state import VERSION
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.networks.transformer.config import TransformerConfig
from bfncodec.networks.transformer.model import Transformer, rope_tables
from bfncodec.training.export import export

WINDOW, CONTEXT = 32, 20
LENGTH, MOST = 48, 6  # of a lane, of lanes; more symbols than the context has
TEETH = ((0, 1), (40, 2), (150, 4), (400, 1))  # lengths below have one, two and four teeth, in one lane and in many
IMAGE = ConvNetConfig(width=16, hidden=24, blocks=2, mixtures=3)
TEXT = TransformerConfig(
    width=32, layers=2, heads=2, expansion=2, window=WINDOW, context=CONTEXT, ngrams=((2, 6), (3, 7))
)
LEAST_MIXED = 16  # of the model whose texts learn from themselves
MIXING = {"from_length": LEAST_MIXED, "version": VERSION}


def randomise(network: nn.Module, seed: int) -> None:
    """Give everything random weights, also what training begins with zeros; the heads keep their biases."""
    rng = np.random.default_rng(seed)
    for name, p in network.named_parameters():
        random = torch.from_numpy(rng.integers(-127, 128, p.shape).astype(np.float32)) / 127
        if p.ndim == 2:
            p.data = random * ((0.3 if name.startswith("heads.") else 1.5) / p.shape[1] ** 0.5)
        elif name.endswith(".bias") and not name.startswith("heads."):
            p.data = random * 0.1


def export_image(out: Path, seed: int = 0, name: str = "tiny-image") -> Path:
    network = ConvNet(IMAGE)
    randomise(network, seed)
    export(network, {"name": name, "role": "image", "network": IMAGE.to_dict()}, out)
    return out


def export_text(
    out: Path, seed: int = 0, name: str = "tiny-text", shape: TransformerConfig = TEXT, **more: object
) -> Path:
    network = Transformer(shape)
    randomise(network, seed)
    near, far = rope_tables(shape)
    tables = {"rope": near, "far": far, "value_cap": torch.full((shape.layers, shape.heads), 3.0)}
    lanes = {"length": LENGTH, "most": MOST}
    config = {
        "name": name,
        "role": "text",
        "teeth_by_length": TEETH,
        "streams": lanes,
        **more,
        "network": shape.to_dict(),
    }
    export(network, config, out, tables)
    return out
