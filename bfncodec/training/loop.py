"""Training: one loop for all networks.

The loss is the code length itself, in bits per dimension: with the erasure sender L^n is the sum of -log2 p_O over
the revealed dimensions (Graves et al. 2023, section 2; DESIGN of the flow in :mod:`bfncodec.flow.erasure`), whatever
the schedule. Runs on the CPU, on one GPU, or on several through ``torchrun``; stops and resumes at any step with the
same result.
"""

from __future__ import annotations

import io
import json
import math
import os
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.devices import device_named
from bfncodec.errors import InputError
from bfncodec.models import CONFIG, WEIGHTS, find, search_path
from bfncodec.networks.convnet import ConvNet, ConvNetConfig
from bfncodec.networks.denoiser import Denoiser, DenoiserConfig
from bfncodec.networks.sequence import SequenceConfig, SequenceDenoiser
from bfncodec.networks.tiles import FIRST, TiledConfig, TiledNet
from bfncodec.networks.transformer import COARSE, FINE, Transformer, TransformerConfig
from bfncodec.places import place
from bfncodec.training import gaussian, grids, sequence, tiles
from bfncodec.training.data import CropSampler, ImageSource, TextSource, WindowSampler, load_text
from bfncodec.training.muon import Muon, half_is_faster

Say = Callable[[str], None]
CODING_TEETH = ((0, 1),)
"""From which length of a text (bytes) its windows are coded with how many teeth, of the schedules a model was trained
for. Files of many lanes keep a machine busy without more teeth, and each tooth costs some bits at its beginning
(docs/training.md).
"""
CONTEXTS = {"least": 512}
"""Texts of how many bytes and more learn from themselves."""
VALIDATION_ITEMS = 256  # of an archive model
GRID_ITEMS = 64  # whose costs choose its step grids


@dataclass(frozen=True)
class Lanes:
    """The [lanes] table: texts are cut into lanes of at most `length` bytes, but not into more than `most`: enough to
    keep a machine busy, few because each begins without a past.
    """

    length: int = 3072
    most: int = 128


@dataclass(frozen=True)
class TrainConfig:
    """The [train] table of a training configuration."""

    steps: int = 10000
    batch: int = 8  # windows a step (text); images say theirs in each [[data]]
    warmup: int = 100
    decay: float = 0.5  # share of the steps, at the end, over which the learning rate falls to zero
    matrix_rate: float = 0.02  # Muon
    rate: float = 0.002  # AdamW: embeddings, biases, first and last layers
    ema: float = 0.998
    clip: float = 1.0
    validate_every: int = 500
    save_every: int = 200
    teeth: tuple[int, ...] = (1,)  # comb schedules trained for, drawn at random
    seed: int = 0
    start: str = ""  # model to begin with: its name or directory; the network may be wider and deeper


@dataclass(frozen=True)
class Task:
    """What the loop needs to know of a kind of data."""

    network: nn.Module
    matrices: tuple[str, ...]  # prefixes of the parameters whose matrices Muon trains
    sample: Callable[[np.random.Generator], list[Any]]
    loss: Callable[[nn.Module, Any], Tensor]  # bits per dimension of a batch
    validation: Sequence[Any]
    config: dict[str, Any]
    tables: Callable[[Any], dict[str, Tensor]] = lambda network: {}  # what is stored besides the weights
    findings: Callable[[Any], dict[str, Any]] = lambda network: {}  # what the config learns from the trained network
    weight: Callable[[Any], float] = lambda batch: 1.0  # of a batch among those of a step


def run(
    config_path: str | Path,
    out: str | Path | None = None,
    resume: bool = True,
    device: str = "cpu",
    steps: int | None = None,
    say: Say = print,
) -> Path:
    """Train from a TOML configuration and export the model directory; returns its path.

    Raises InputError for a configuration or data that cannot be used.
    """
    settings = read_config(config_path)
    out = Path(out or settings["name"])
    train = make(TrainConfig, {**settings.get("train", {}), **({"steps": steps} if steps else {})}, "train")
    rank = start_processes()
    if rank:
        say = silent
    torch.manual_seed(train.seed)  # before the network draws its weights
    task = {"image": image_task, "text": text_task, "archive": archive_task}[settings["role"]](settings, train)
    state = Trainer(task, train, device_named(device_of(device, rank)), rank)
    checkpoint = out / "checkpoint.pt"
    if rank == 0:
        out.mkdir(parents=True, exist_ok=True)
    if resume and checkpoint.exists():
        state.load(checkpoint)
        say(f"resuming at step {state.step} of {train.steps} (--no-resume starts over)")
    weights = sum(p.numel() for p in state.network.parameters())
    say(
        f"training {settings['name']}: {weights:,} weights, {train.steps} steps; "
        f"figures are bits per byte or subpixel, every {train.validate_every} steps"
    )
    state.fit(checkpoint, out / "curve.jsonl", say)
    if rank == 0:
        from bfncodec.training.quantise import export

        network = state.averaged()
        export(network, {**task.config, **task.findings(network)}, out, task.tables(network))
        named = os.path.join(out.parent, out.name)  # noqa: PTH118 - keeps ./, which tells a path from a name
        say(f"model written to {out}: bfncodec compress -m {named} FILE")
        say(
            f"decompressing needs {CONFIG} and {WEIGHTS} of it in {search_path()[-3]}/{settings['name']}, "
            f"or BFNCODEC_MODELS={out.parent}"
        )
    return out


def read_config(path: str | Path) -> dict[str, Any]:
    """A training configuration. Raises InputError for what is none."""
    try:
        settings = tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a training configuration in TOML ({error})") from error
    for key, allowed in (("name", None), ("role", ("image", "text", "archive")), ("data", None)):
        if key not in settings or (allowed and settings[key] not in allowed):
            raise InputError(
                f"{path}: expected {key}{' to be one of ' + ', '.join(allowed) if allowed else ''}, "
                f"found {settings.get(key)!r}"
            )
    return settings


def make(cls: type[Any], values: dict[str, Any], table: str) -> Any:
    """A configuration dataclass from a TOML table. Raises InputError that names the key."""
    known = {f.name: f for f in fields(cls)}
    if unknown := sorted(set(values) - set(known)):
        raise InputError(
            f"[{table}] of the training configuration: unknown {', '.join(unknown)}; "
            f"known are {', '.join(sorted(known))}"
        )
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise InputError(f"[{table}] of the training configuration: {name} is missing")
        kind = KINDS.get(str(field.type), object)
        if name in values and (not isinstance(values[name], kind) or isinstance(values[name], bool) != (kind is bool)):
            raise InputError(
                f"[{table}] of the training configuration: expected {name} of type {field.type}, found {values[name]!r}"
            )
    return cls(**{k: _frozen(v) for k, v in values.items()})


KINDS: dict[str, Any] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "tuple[str, ...]": list,
    "tuple[int, ...]": list,
}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def image_task(settings: dict[str, Any], train: TrainConfig) -> Task:
    """Training of an image model."""
    config = make(ConvNetConfig, settings.get("network", {}), "network")
    if config.bits not in (8, 16):
        raise InputError(f"training configuration: expected bits = 8 or 16, found {config.bits}")
    samplers = [CropSampler(make(ImageSource, dict(table), "data")) for table in settings["data"]]
    rng = np.random.default_rng(1)
    validation = [
        CropSampler(make(ImageSource, dict(table), "validation"))(rng) for table in settings.get("validation", [])
    ]

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
    )


def text_task(settings: dict[str, Any], train: TrainConfig) -> Task:
    """Training of a text model."""
    config = make(TransformerConfig, settings.get("network", {}), "network")
    check_text(config, train)
    sources = [make(TextSource, table, "data") for table in settings["data"]]
    data = np.concatenate([np.tile(load_text(source.paths), source.repeat) for source in sources])
    sampler = WindowSampler(data, config.window, train.batch)
    validation = []
    for table in settings.get("validation", []):
        source = make(TextSource, table, "validation")
        windows = WindowSampler(load_text(source.paths), config.window, 32)(np.random.default_rng(1))
        validation += [(windows, m) for m in train.teeth]

    def loss(network: nn.Module, batch: tuple[Tensor, int]) -> Tensor:
        x, teeth = batch
        target = x.view(len(x), teeth, -1).transpose(1, 2).flatten()
        return F.cross_entropy(network(x, teeth).flatten(0, 1).float(), target) / math.log(2)

    def sample(g: np.random.Generator) -> list[Any]:
        return [(sampler(g), int(g.choice(train.teeth)))]

    def tables(network: Transformer) -> dict[str, Tensor]:
        rng = np.random.default_rng(2)
        return network.stored_tables((sampler(rng), 1) for _ in range(8))

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
    return Task(Transformer(config), ("blocks.",), sample, loss, validation, description, tables)


def archive_task(settings: dict[str, Any], train: TrainConfig) -> Task:
    """Training of a model with a Gaussian sender."""
    if "tile" in settings.get("network", {}):
        return tile_task(settings, train)
    if "ramp" in settings.get("network", {}):
        return ramp_task(settings, train)
    config = gaussian.network_of(settings, make)
    sampler, validation = item_samples(settings, config, train.batch)

    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return gaussian.loss(network, batch, config)

    def findings(network: nn.Module) -> dict[str, Any]:
        source = (item_sources(settings, "validation") or item_sources(settings, "data"))[0]
        return {
            "steps": gaussian.STEPS,
            "grids": grids.grids(network, config, gaussian.ItemSampler(source, config, GRID_ITEMS)),
        }

    description = {"name": settings["name"], "role": "archive", "sender": "gaussian", "network": config.to_dict()}
    return Task(
        Denoiser(config), ("blocks.",), lambda g: [sampler(g)], loss, validation, description, findings=findings
    )


def item_sources(settings: dict[str, Any], table: str) -> list[gaussian.ItemSource]:
    """Where items come from: [[data]] or [[validation]]."""
    return [make(gaussian.ItemSource, values, table) for values in settings.get(table, [])]


def item_samples(
    settings: dict[str, Any], config: DenoiserConfig | SequenceConfig | TiledConfig, batch: int
) -> tuple[gaussian.ItemSampler, list[tuple[Tensor, ...]]]:
    """(what draws batches for training, batches to validate with)."""
    sampler = gaussian.ItemSampler(item_sources(settings, "data")[0], config, batch)
    held_out = item_sources(settings, "validation")
    return sampler, [gaussian.ItemSampler(s, config, VALIDATION_ITEMS)(np.random.default_rng(1)) for s in held_out]


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
    return Task(SequenceDenoiser(config), ("blocks.",), lambda g: [sampler(g)], loss, validation, description)


def tile_task(settings: dict[str, Any], train: TrainConfig) -> Task:
    """Training of a model whose Gaussian sender sends pixel after pixel."""
    config = tiles.network_of(settings["network"], make)
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
    return Task(TiledNet(config), matrices, lambda g: [sampler(g)], tiles.loss, validation, description)


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


class Trainer:
    """Network, optimisers and averages; everything that a checkpoint keeps."""

    def __init__(self, task: Task, config: TrainConfig, device: torch.device, rank: int) -> None:
        self.task, self.config, self.device, self.rank = task, config, device, rank
        if config.start:
            begin_from(config.start, task.network)
        self.network = task.network.to(device)
        self.optimisers = optimisers(self.network, task.matrices, config)
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.step = 0

    def fit(self, checkpoint: Path, curve: Path, say: Say) -> None:
        started, first, losses = time.monotonic(), self.step, []
        while self.step < self.config.steps:
            losses.append(self.advance())
            # 10: how long it will take
            if self.step % self.config.validate_every == 0 or self.step in (10, self.config.steps):
                report: dict[str, Any] = {
                    "step": self.step,
                    "train": float(np.mean(losses)),
                    "validation": self.validate(),
                }
                pace = (time.monotonic() - started) / (self.step - first)
                say(
                    f"step {self.step}/{self.config.steps}  train {report['train']:.4f}  held-out "
                    f"{' '.join(f'{v:.4f}' for v in report['validation'])}"
                    f"  {pace:.2f} s/step, {pace * (self.config.steps - self.step) / 60:.0f} min left"
                )
                losses = []
                if self.rank == 0:
                    with curve.open("a") as f:
                        f.write(json.dumps(report) + "\n")
            if self.rank == 0 and (self.step % self.config.save_every == 0 or self.step == self.config.steps):
                self.save(checkpoint)

    def advance(self) -> float:
        """One step; the data of a step depend on its number alone, so that a resumed run is the same run."""
        rng = np.random.default_rng((self.config.seed, self.step, self.rank))
        self.set_rates()
        for o in self.optimisers:
            o.zero_grad(set_to_none=True)
        batches = self.task.sample(rng)
        weights = [self.task.weight(batch) for batch in batches]
        losses = []
        for batch, weight in zip(batches, weights, strict=True):
            loss = self.loss(batch) * (weight / sum(weights))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(float(loss.detach()))
        average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        for o in self.optimisers:
            o.step()
        self.step += 1
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for k, v in self.network.state_dict().items():
                self.average[k].lerp_(v, 1 - decay) if v.is_floating_point() else self.average[k].copy_(v)
        return sum(losses)

    def loss(self, batch: Any) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half_is_faster(self.device)):
            return self.task.loss(self.network, to_device(batch, self.device))

    def validate(self) -> list[float]:
        """Held-out bits per dimension of the averaged network, one figure for each validation set."""
        own = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        with torch.no_grad():
            bits = [float(self.loss(batch)) for batch in self.task.validation]
        self.network.load_state_dict(own)
        return bits

    def set_rates(self) -> None:
        left = (self.config.steps - self.step) / max(1.0, self.config.decay * self.config.steps)
        factor = min(1.0, (self.step + 1) / max(1, self.config.warmup), left)
        for o, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(o.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def averaged(self) -> nn.Module:
        self.network.load_state_dict(self.average)
        return self.network.eval()

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
        }
        written = io.BytesIO()
        torch.save(state, written)
        place(path, written.getvalue(), force=True)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            self.network.load_state_dict(state["network"])
            for o, s in zip(self.optimisers, state["optimisers"], strict=True):
                o.load_state_dict(s)
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"{path} is of another network than the configuration's: start over with --no-resume, "
                "or name another folder with --out"
            ) from error
        self.step, self.average = state["step"], state["average"]


def begin_from(model: str, network: nn.Module) -> None:
    """Give the network the weights of a model, as far as they reach. Raises InputError where they do not fit."""
    from safetensors.torch import load_file

    from bfncodec.training.quantise import restored_state

    info = find(Path(model) if os.sep in model else model)
    try:
        network.load_state_dict(restored_state(network, load_file(info.weights)))
    except ValueError as error:
        raise InputError(f"{info.path}: cannot be the start of this network ({error}); give it larger sizes") from error


def optimisers(network: nn.Module, matrices: tuple[str, ...], config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for the rest."""
    named = list(network.named_parameters())
    hidden = [p for n, p in named if n.startswith(matrices) and p.ndim == 2]
    ids = {id(p) for p in hidden}
    rest = [p for _, p in named if id(p) not in ids]
    # fused: on a CPU an eighth of the time, which shows where tables of n-grams have most of the weights
    adam = torch.optim.AdamW(rest, lr=config.rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [Muon(hidden, lr=config.matrix_rate), adam]


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    return tuple(to_device(b, device) for b in batch) if isinstance(batch, tuple) else batch


def silent(line: str) -> None:
    """What the other processes of a group have to say: the first says it for all."""


def start_processes() -> int:
    """Join the group of processes that torchrun started; returns this one's rank (0 when alone)."""
    if "RANK" not in os.environ:
        return 0
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank()


def device_of(device: str, rank: int) -> str:
    """The device of this process: with several, each has a GPU of its own."""
    return f"cuda:{os.environ.get('LOCAL_RANK', rank)}" if device == "cuda" and dist.is_initialized() else device


def average_gradients(network: nn.Module) -> None:
    """The mean of the gradients of all processes, in each of them."""
    if dist.is_initialized():
        for p in network.parameters():
            if p.grad is not None:
                dist.all_reduce(p.grad)
                p.grad /= dist.get_world_size()
