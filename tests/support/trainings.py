"""Configurations of tiny trainings, and what is learnt in a few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bfncodec.networks.convnet.model import ConvNet

TEXT = """
name = "tiny"
role = "text"
[network]
width = 32
layers = 1
heads = 2
expansion = 2
window = 32
ngrams = [[2, 6]]
[[data]]
paths = ["{data}/*.txt"]
[[validation]]
paths = ["{data}/*.txt"]
[train]
batch = 4
warmup = 1
teeth = [1, 2]
"""
IMAGE = """
name = "tiny"
role = "image"
[network]
width = 16
hidden = 16
blocks = 1
mixtures = 2
[[data]]
paths = ["{data}/*.png"]
crop = 12
batch = 3
[[validation]]
paths = ["{data}/*.png"]
crop = 12
batch = 2
[train]
warmup = 1
"""
ARCHIVE = """
name = "tiny"
role = "archive"
schedule = "parallel"
[network]
kind = "binary"
shape = [8, 8, 1]
classes = 2
beta = 9.0
width = 8
hidden = 16
blocks = 1
[[data]]
paths = ["{data}/halves.npy"]
skip_last = 16
warp = 0.1
[[validation]]
paths = ["{data}/halves.npy"]
only_last = 16
[train]
batch = 16
warmup = 1
"""
CONFIGS = {"text": TEXT, "image": IMAGE, "archive": ARCHIVE}


def write_data(folder: Path) -> None:
    """Write one sentence over and over, one slope as pictures, and halves."""
    (folder / "a.txt").write_bytes(b"abcabcabd" * 40)
    ramp = (np.add.outer(np.arange(20) * 3, np.arange(24) * 2)[..., None] + np.arange(3) * 40).astype(np.uint8)
    for i in range(2):
        Image.fromarray(ramp + np.uint8(i * 30)).save(folder / f"{i}.png")
    np.save(folder / "halves.npy", halves(80))


def halves(count: int) -> NDArray[np.uint8]:
    """Pictures of 8 by 8 whose left or upper half is white."""
    left = np.zeros((8, 8), np.uint8)
    left[:, :4] = 255
    return np.stack([left, left.T] * (count // 2))


def configure(tmp_path: Path, data: Path, role: str, extra: str = "", text: str | None = None) -> Path:
    """A configuration file; `extra` goes to its [train] table."""
    path = tmp_path / "config.toml"
    path.write_text((text or CONFIGS[role]).format(data=data.as_posix()) + extra)
    return path


def silent(line: str) -> None:
    """Training says nothing here."""


@torch.no_grad()
def bits(network: ConvNet, batch: torch.Tensor) -> float:
    return float(network(batch).mean())


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
