"""Tiny denoisers with random weights, their games, and the model directories of archive codecs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bfncodec import models
from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.codecs.receivers.kinds import parallel_receiver
from bfncodec.codecs.receivers.parallel import Grid
from bfncodec.codecs.receivers.sequence import SequenceReceiver
from bfncodec.coding.ans import AnsStack
from bfncodec.networks.parallel.exact import ExactDenoiser
from bfncodec.networks.parallel.model import Denoiser, DenoiserConfig
from bfncodec.networks.sequence.exact import ExactSequence
from bfncodec.networks.sequence.model import SequenceConfig, SequenceDenoiser
from bfncodec.segments.policy import Policy
from bfncodec.training.export import export, quantised_tensors

Ints = NDArray[np.int64]
CPU = torch.device("cpu")
MODELS_WIN = Policy(model_credit=1 << 40)
"""Random weights are worse than LZMA, so the model is taken whatever it costs."""
_SMALL: dict[str, Any] = {"width": 8, "hidden": 16, "blocks": 2}
CONFIGS: dict[str, Any] = {
    "levels": DenoiserConfig("discretised", (4, 4, 3), beta=400.0, dilations=(1, 2), **_SMALL),
    "grey": DenoiserConfig("discretised", (4, 4, 1), beta=400.0, components=1, **_SMALL),
    "binary": DenoiserConfig("binary", (4, 4, 1), classes=2, beta=9.0, **_SMALL),
    "letters": DenoiserConfig("discrete", (8,), classes=27, beta=3.0, patch=1, taps=(1, 3), **_SMALL),
}
DENOISERS = tuple(CONFIGS)
CONFIGS["staggered"] = SequenceConfig(
    shape=(8,),
    betas=(0.0, 0.3, 0.8, 3.0),
    period=3,
    before=3,
    after=2,
    ngrams=((2, 0, 5), (1, 2, 4)),
    ngram_width=4,
    **_SMALL,
)
KINDS = tuple(CONFIGS)
FEW = {
    f"{k} levels": DenoiserConfig("discretised", (4, 4, 3), classes=k, beta=400.0, **_SMALL) for k in (2, 3, 16, 256)
}
CONFIGS |= FEW


def denoiser(kind: str, seed: int = 0) -> Denoiser | SequenceDenoiser:
    """Random weights, also what training begins with zeros; from integers, so that they are the same everywhere."""
    config = CONFIGS[kind]
    network = SequenceDenoiser(config) if isinstance(config, SequenceConfig) else Denoiser(config)
    rng = np.random.default_rng(seed)
    for name, p in network.named_parameters():
        random = torch.from_numpy(rng.integers(-127, 128, p.shape).astype(np.float32)) / 127
        last = {"input.weight": 2.0, "head.weight": 1.0}.get(name, 1.5)
        p.data = random * (last / p.shape[1] ** 0.5 if p.ndim == 2 else 0.3)
    return network


def exact(kind: str, seed: int = 0, device: torch.device = CPU) -> Any:
    make = ExactSequence if kind == "staggered" else ExactDenoiser
    return make(CONFIGS[kind], quantised_tensors(denoiser(kind, seed)), device)


def grid(config: DenoiserConfig, steps: int = 6) -> dict[str, list[float]]:
    """As a model's config holds it: the paper's schedules."""
    t = [i / steps for i in range(steps + 1)]
    if config.kind == "discretised":
        betas = [(1 + config.beta) ** u - 1 for u in t]
    else:
        betas = [config.beta * u * u for u in t]
    return {"betas": betas, "clocks": [config.clock(b) for b in betas]}


def tiny_receiver(kind: str, steps: int = 6, seed: int = 0) -> Any:
    network = exact(kind, seed)
    if kind == "staggered":
        return SequenceReceiver(network)
    return parallel_receiver(network, Grid.read(grid(network.config, steps)))


def export_archive(out: Path, kind: str, seed: int = 0) -> Path:
    network = denoiser(kind, seed)
    config = {
        "name": f"tiny-{kind}".replace(" ", "-"),
        "role": "archive",
        "sender": "gaussian",
        "schedule": "staggered" if kind == "staggered" else "parallel",
        "network": network.config.to_dict(),
    }
    if kind == "staggered":
        config["steps"] = CONFIGS[kind].schedule.n_steps
    else:
        config |= {"steps": 4, "grids": {"4": grid(CONFIGS[kind], 4)}}
    export(network, config, out)
    return out


def archive_codec(folder: Path, kind: str, device: torch.device = CPU) -> ArchiveCodec:
    info = models.read(folder)
    network = denoiser(kind)
    return ArchiveCodec(info, quantised_tensors(network), device)


def random_words(seed: int, count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)


def random_stack(seed: int, count: int) -> AnsStack:
    """A stack of borrowed random words."""
    return AnsStack(random_words(seed, count), borrowed=True)


def content(stack: AnsStack) -> float:
    """Bits on a stack, to a fraction of one: the logarithm of the number that it is."""
    number = int.from_bytes(stack.written().astype("<u4").tobytes(), "little")
    head = max(number.bit_length() - 60, 0)
    return head + float(np.log2(float(number >> head)))


def values(kind: str, items: int, seed: int) -> Ints:
    """Items that look like something, as values [N]."""
    config = CONFIGS[kind]
    rng = np.random.default_rng(seed)
    size = items * int(np.prod(config.shape))
    if config.kind == "discrete":
        return rng.integers(0, config.classes, size) * rng.integers(0, 2, size)
    if config.kind == "binary":
        return (rng.random(size) < 0.2).astype(np.int64)
    return np.clip(np.cumsum(rng.integers(-20, 21, size)) % 512 - 128, 0, 255)  # black and white too
