"""Forged model directories: a small one of every kind, with some of its configuration or of its tensors changed."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

import bfncodec
from bfncodec import models
from bfncodec.training.export import export
from support.doubles import noise
from support.forge import scrambled
from support.models import MIXING, export_image, export_text
from support.tiny import KINDS, export_archive
from support.wavefronts import network

VALUES: tuple[Any, ...] = (
    *(0, 1, 2, 3, 5, 7, 8, 16, 27, 64, 255, 256, 257, -1, -8, 1 << 20, 10**9, 1 << 31, 1 << 63, 10**30),
    *(0.0, 0.5, 1.5, -2.5, 1e-300, 1e300, float("nan"), float("inf"), "", "x", "1", None, True, False),
    *([], {}, [[]], [0], [1, 2, 3], [-1, 0], [1.5], ["x"], [[1, 2]], {"1": 2}, "rounded", "discrete", "binary"),
)
_TYPES = (torch.int8, torch.int32, torch.float64, torch.float16, torch.uint8, torch.bool)


@lru_cache(maxsize=1)
def model_folders() -> dict[str, tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """Configuration and tensors of each kind of model."""
    root = Path(mkdtemp())
    export_image(root / "image")
    export_text(root / "text")
    export_text(root / "mixed", mixing=MIXING)
    for kind in KINDS:
        export_archive(root / kind, kind)
    tiles = network()
    config = {
        "name": "tiles",
        "role": "archive",
        "schedule": "wavefront",
        "network": tiles.tiled.to_dict(),
        "steps": tiles.tiled.steps,
    }
    export(tiles, config, root / "tiles")
    return {
        path.name: (json.loads((path / models.CONFIG).read_text()), load_file(path / models.WEIGHTS))
        for path in sorted(root.iterdir())
    }


def forge_model(rng: Random, folder: Path) -> None:
    """Write a model that is broken, or might be."""
    config, tensors = rng.choice(sorted(model_folders().items()))[1]
    config, tensors = copy.deepcopy(config), dict(tensors)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if rng.random() < 0.7:
            _change_config(config, rng)
        else:
            _change_tensors(tensors, rng)
    text, weights = json.dumps(config).encode(), save({name: value.clone() for name, value in tensors.items()})
    if rng.random() < 0.1:
        text = rng.choice(
            (b"[" * 100_000, scrambled(text, rng, []), text.replace(b": 4", b": " + b"9" * 5000), b"\xff")
        )
    if rng.random() < 0.1:
        weights = scrambled(weights[:4000], rng, []) + weights[4000:]
    (folder / models.CONFIG).write_bytes(text)
    (folder / models.WEIGHTS).write_bytes(weights)


def _change_config(config: Any, rng: Random) -> None:
    """Another value somewhere in a tree of dicts and lists."""
    places = list(_places(config))
    part, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0 and isinstance(part, dict):
        del part[key]
    elif kind == 1:
        other, there = rng.choice(places)
        part[key] = copy.deepcopy(other[there])
    elif kind == 2 and type(part[key]) in (int, float):
        part[key] = rng.choice((part[key] + 1, part[key] - 1, part[key] * 2, -part[key], part[key] / 2))
    elif kind == 3 and isinstance(part, dict):
        part[rng.choice(("tile", "betas", "kind", "new", "taps", "shape", "bits"))] = rng.choice(VALUES)
    else:
        part[key] = rng.choice(VALUES)


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def _change_tensors(tensors: dict[str, torch.Tensor], rng: Random) -> None:
    name = rng.choice(sorted(tensors))
    value = tensors[name]
    kind = rng.randrange(7)
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors[rng.choice(sorted(tensors))] = value
    elif kind == 2:
        tensors[name] = value.to(
            rng.choice((torch.int8, torch.int32, torch.float64, torch.float16, torch.uint8, torch.bool))
        )
    elif kind == 3:
        tensors[name] = rng.choice(
            (value[:0], value[:1], value[None], value.flatten(), value.repeat(2, *[1] * (value.ndim - 1)))
        )
    elif kind == 4:
        tensors[name] = torch.full_like(
            value, rng.choice((0, -128, 127)) if value.dtype == torch.int8 else rng.choice((0, -1, 1000))
        )
    elif kind == 5 and value.dtype.is_floating_point:
        tensors[name] = torch.full_like(value, rng.choice((float("nan"), float("inf"), 1e30, -1e30, 1e-40)))
    else:
        tensors["new"] = value


def use_model(folder: Path) -> None:
    """Load a model, let it code something, and decode that and other bits."""
    codec = bfncodec.load(folder)
    if codec.info.role == "image":
        x: Any = noise(1, 5, 6, 3)
        payload = codec.encode(x)
        assert np.array_equal(codec.decode(payload), x)
    else:
        x = b"abc de" * 30
        payload = codec.encode(x)
        assert codec.decode(payload) == x
    codec.decode(payload[:-6] + bytes(3))
