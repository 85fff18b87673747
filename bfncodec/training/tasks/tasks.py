"""What a training does for each kind of model: its network, its data, its loss, and what its config.json says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.convnet.model import ConvNet, ConvNetConfig
from bfncodec.networks.parallel.model import Denoiser, DenoiserConfig
from bfncodec.networks.sequence.model import SequenceConfig, SequenceDenoiser
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.networks.transformer.model import COARSE, FINE, Transformer, TransformerConfig
from bfncodec.networks.wavefront.model import FIRST, TiledConfig, TiledNet
from bfncodec.training import grids
from bfncodec.training.config import Lanes, TrainConfig, make
from bfncodec.training.data import CropSampler, ImageSource, Pictures, TextSource, WindowSampler, load_images, load_text
from bfncodec.training.draws import Draws
from bfncodec.training.tasks import parallel, sequence, wavefront

CODING_TEETH = ((0, 1),)
"""From which length of a text (bytes) its windows are coded with how many teeth, of the schedules a model was trained
for. Files of many lanes keep a machine busy without more teeth, and each tooth costs some bits at its beginning
(docs/guide/training.md).
"""
CONTEXTS = {"least": 512}
"""Texts of how many bytes and more learn from themselves."""
VALIDATION_ITEMS = 256  # of an archive model
GRID_ITEMS = 64  # whose costs choose its step grids


@dataclass(frozen=True)
class Task:
    """What the loop needs to know of a kind of data."""

    network: TrainableNetwork
    matrices: tuple[str, ...]  # prefixes of the parameters whose matrices Muon trains
    sample: Callable[[Draws], list[Any]]
    loss: Callable[[nn.Module, Any], Tensor]  # bits per dimension of a batch
    validation: Sequence[Any]
    config: dict[str, Any]
    tables: Callable[[Any], dict[str, Tensor]] = lambda network: {}  # what is stored besides the weights
    findings: Callable[[Any], dict[str, Any]] = lambda network: {}  # what the config learns from the trained network
    weight: Callable[[Any], float] = lambda batch: 1.0  # of a batch among those of a step
    names: Sequence[str] = ()  # of the validation sets


def image_task(settings: dict[str, Any], train: TrainConfig, device: torch.device) -> Task:
    """Training of an image model."""
    config = make(ConvNetConfig, settings.get("network", {}), "network")
    if config.bits not in (8, 16):
        raise InputError(f"training configuration: expected bits = 8 or 16, found {config.bits}")
    if train.rounded and config.bits != 8:
        raise InputError("training configuration: rounded is for networks of bits = 8")
    samplers = crop_samplers(settings["data"], "data", device)
    held_out = Draws(1)
    validation = [sampler(held_out) for sampler in crop_samplers(settings.get("validation", []), "validation", "cpu")]

    def loss(network: nn.Module, x: Tensor) -> Tensor:
        bits: Tensor = network(x).mean()
        return bits

    channels = sorted({1 if sampler.source.grey else 3 for sampler in samplers})
    return Task(
        ConvNet(config),
        ("blocks.",),
        lambda g: [s(g) for s in samplers],
        loss,
        validation,
        exported(settings, config.to_dict(), channels=channels),
        weight=torch.numel,
        names=names_of(settings),
    )


def crop_samplers(tables: list[dict[str, Any]], name: str, device: torch.device | str) -> list[CropSampler]:
    """Samplers of [[data]] or [[validation]]; what several read alike is held once."""
    loaded: dict[ImageSource, Pictures] = {}
    samplers = []
    for table in tables:
        source: ImageSource = make(ImageSource, dict(table), name)
        files = replace(source, crop=0, batch=0, grey=False, vary=False)
        loaded[files] = loaded.get(files) or Pictures(load_images(source), device)
        samplers.append(CropSampler(source, loaded[files]))
    return samplers


def text_task(settings: dict[str, Any], train: TrainConfig, device: torch.device) -> Task:
    """Training of a text model."""
    config = make(TransformerConfig, settings.get("network", {}), "network")
    check_text(config, train)
    sources = [make(TextSource, table, "data") for table in settings["data"]]
    if len({bool(source.share) for source in sources}) > 1:
        raise InputError("[data] of the training configuration: expected a share of every source, or of none")
    texts = [load_text(source.paths) for source in sources]
    shares = [source.share or len(text) * source.repeat for source, text in zip(sources, texts, strict=True)]
    sampler = WindowSampler(texts, config.window, train.batch, shares, at_lines=True, device=device)
    validation = []
    for table in settings.get("validation", []):
        source = make(TextSource, table, "validation")
        windows = WindowSampler([load_text(source.paths)], config.window, 32)(Draws(1))
        validation += [(windows, m) for m in train.teeth]

    def loss(network: nn.Module, batch: tuple[Tensor, int]) -> Tensor:
        x, teeth = batch
        target = x.view(len(x), teeth, -1).transpose(1, 2).flatten()
        return F.cross_entropy(network(x, teeth).flatten(0, 1).float(), target) / math.log(2)

    def sample(g: Draws) -> list[Any]:
        return [(sampler(g), int(g.host.choice(train.teeth)))]

    def tables(network: Transformer) -> dict[str, Tensor]:
        draws = Draws(2)
        return network.stored_tables((sampler(draws), 1) for _ in range(8))

    teeth = sorted(set(train.teeth))
    coding = [(size, m) for size, m in CODING_TEETH if m in teeth] or [(0, teeth[0])]
    description = exported(
        settings,
        config.to_dict(),
        teeth=teeth,
        coding_teeth=coding,
        lanes=asdict(make(Lanes, settings.get("lanes", {}), "lanes")),
        contexts=CONTEXTS,
    )
    names = [
        f"{name}{f', {m} teeth' if len(train.teeth) > 1 else ''}" for name in names_of(settings) for m in train.teeth
    ]
    return Task(Transformer(config), ("blocks.",), sample, loss, validation, description, tables, names=names)


def names_of(settings: dict[str, Any]) -> list[str]:
    """Return what the validation sets are called: their paths, and what is special about them."""
    return [
        ", ".join([*map(str, table.get("paths", [])), *(key for key, value in table.items() if value is True)])
        for table in settings.get("validation", [])
    ]


def archive_task(settings: dict[str, Any], train: TrainConfig, device: torch.device) -> Task:
    """Training of a model with a Gaussian sender."""
    if "tile" in settings.get("network", {}):
        return tile_task(settings, train)
    if "ramp" in settings.get("network", {}):
        return ramp_task(settings, train)
    config = parallel.network_of(settings, make)
    sampler, validation = item_samples(settings, config, train.batch)

    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return parallel.loss(network, batch, config)

    def findings(network: nn.Module) -> dict[str, Any]:
        source = (item_sources(settings, "validation") or item_sources(settings, "data"))[0]
        items = parallel.ItemSampler(source, config, GRID_ITEMS)
        return {
            "steps": parallel.STEPS,
            "grids": grids.grids(network, config, lambda rng: tuple(part.to(device) for part in items(rng))),
        }

    description = {"name": settings["name"], "role": "archive", "sender": "gaussian", "network": config.to_dict()}
    return Task(
        Denoiser(config),
        ("blocks.",),
        lambda g: [sampler(g.host)],
        loss,
        validation,
        description,
        findings=findings,
        names=names_of(settings),
    )


def item_sources(settings: dict[str, Any], table: str) -> list[parallel.ItemSource]:
    """Where items come from: [[data]] or [[validation]]."""
    return [make(parallel.ItemSource, values, table) for values in settings.get(table, [])]


def item_samples(
    settings: dict[str, Any], config: DenoiserConfig | SequenceConfig | TiledConfig, batch: int
) -> tuple[parallel.ItemSampler, list[tuple[Tensor, ...]]]:
    """(what draws batches for training, batches to validate with)."""
    sampler = parallel.ItemSampler(item_sources(settings, "data")[0], config, batch)
    held_out = item_sources(settings, "validation")
    return sampler, [parallel.ItemSampler(s, config, VALIDATION_ITEMS)(np.random.default_rng(1)) for s in held_out]


def ramp_task(settings: dict[str, Any], train: TrainConfig) -> Task:
    """Training of a model whose Gaussian sender sends symbol after symbol."""
    config = make(SequenceConfig, settings["network"], "network")
    sequence.check(config)
    sampler, validation = item_samples(settings, config, train.batch)

    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return sequence.loss(network, batch, config)

    description = {
        "name": settings["name"],
        "role": "archive",
        "sender": "gaussian",
        "schedule": "ramps",
        "steps": config.schedule.n_steps,
        "network": config.to_dict(),
    }
    return Task(
        SequenceDenoiser(config),
        ("blocks.",),
        lambda g: [sampler(g.host)],
        loss,
        validation,
        description,
        names=names_of(settings),
    )


def tile_task(settings: dict[str, Any], train: TrainConfig) -> Task:
    """Training of a model whose Gaussian sender sends pixel after pixel."""
    config = wavefront.network_of(settings["network"], make)
    sampler, validation = item_samples(settings, config, train.batch)
    description = {
        "name": settings["name"],
        "role": "archive",
        "sender": "gaussian",
        "schedule": "wavefront",
        "steps": config.steps,
        "network": config.to_dict(),
    }
    matrices = ("blocks.", f"{FIRST}blocks.")
    return Task(
        TiledNet(config),
        matrices,
        lambda g: [sampler(g.host)],
        wavefront.loss,
        validation,
        description,
        names=names_of(settings),
    )


def check_text(config: TransformerConfig, train: TrainConfig) -> None:
    """Refuse shapes that would fail in the middle of a training."""
    tables = max(1, len(config.ngrams)) * (2 if config.ngram_bits == COARSE else 1)
    parts = math.lcm(2 * config.heads, tables)
    contexts = config.context if isinstance(config.context, tuple) else (config.context,) * config.layers
    problems = {
        f"window = {config.window}: expected 16 or more": config.window < 16,
        f"ngram_bits = {config.ngram_bits!r}: expected {COARSE} or {FINE}": config.ngram_bits not in (COARSE, FINE),
        (
            f"width = {config.width}: expected a multiple of {parts} (twice the heads, and the number of ngrams, or "
            "twice it for 4 bits)"
        ): config.width % parts != 0,
        f"context = {config.context!r}: expected a number of bytes, or one for each of {config.layers} layers": (
            len(contexts) != config.layers or any(not isinstance(context, int) or context < 0 for context in contexts)
        ),
        f"teeth = {list(train.teeth)}: expected divisors of window = {config.window}": any(
            m < 1 or config.window % m for m in train.teeth
        ),
    }
    if found := [text for text, wrong in problems.items() if wrong]:
        raise InputError(f"training configuration: {found[0]}")


def exported(settings: dict[str, Any], network: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """The config.json of a model with the erasure sender."""
    sender = {"image": ("erasure", "wavefront"), "text": ("erasure", "comb")}[settings["role"]]
    return {
        "name": settings["name"],
        "role": settings["role"],
        "sender": sender[0],
        "schedule": sender[1],
        **({"levels": settings["levels"]} if "levels" in settings else {}),
        **extra,
        "network": network,
    }


TASKS: dict[str, Callable[[dict[str, Any], TrainConfig, torch.device], Task]] = {
    "image": image_task,
    "text": text_task,
    "archive": archive_task,
}
"""By the role of the model."""
