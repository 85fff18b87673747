"""One network in training: its optimisers, its average, its checkpoints."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.files.atomic import place
from bfncodec.models import find
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.training.agreement import Computation, Way, chosen
from bfncodec.training.clock import Clock
from bfncodec.training.config import TrainConfig
from bfncodec.training.draws import Draws
from bfncodec.training.export import restored_state
from bfncodec.training.muon import Muon
from bfncodec.training.processes import average_gradients
from bfncodec.training.tasks.tasks import Task


class Trainer:
    """Everything that a checkpoint keeps, and how it changes in a step."""

    def __init__(self, task: Task, config: TrainConfig, device: torch.device, rank: int, clock: Clock) -> None:
        self.task, self.config, self.device, self.rank, self.clock = task, config, device, rank, clock
        if config.rounded and not hasattr(task.network, "rounded"):
            raise InputError("[train] of the training configuration: rounded is for image models alone")
        if config.start:
            begin_from(config.start, task.network)
        self.network = task.network.to(device)
        self.optimisers = optimisers(self.network, task.matrices, config)
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.own = {name: part for name, part in self.network.state_dict().items() if part.is_floating_point()}
        self.average = {name: part.detach().clone() for name, part in self.own.items()}
        self.step = 0
        self.loss = Computation(task.loss, self.network, device, Way())
        self.way: dict[str, Any] | None = None  # of an earlier run, which this one goes on with

    def choose_way(self, say: Any) -> None:
        """Find the fastest way that agrees with the plain one; a run that goes on on the same kind of device keeps its
        precision.
        """
        batches = [to_device(batch, self.device) for batch in self.task.sample(self.draws(0))]
        if self.way and self.way["device"] == self.device.type == "cpu":
            self.loss = Computation(self.task.loss, self.network, self.device, Way(half=self.way["half"]))
        else:
            self.loss = chosen(self.task.loss, self.network, self.device, batches, self.config.compile, say)

    def draws(self, step: int) -> Draws:
        """Random numbers of a step: they depend on its number alone, so that a resumed run is the same run."""
        return Draws(self.config.seed, step, self.rank, device=self.device)

    def advance(self, progress: float) -> Tensor:
        """One step, at this progress from 0 to 1; returns its loss."""
        self.set_rates(self.clock.factor(self.step, progress))
        if self.config.rounded:
            self.network.rounded = progress >= 1 - self.config.rounded  # type: ignore[assignment]
        for o in self.optimisers:
            o.zero_grad(set_to_none=True)
        batches = self.task.sample(self.draws(self.step))
        weights = [self.task.weight(batch) for batch in batches]
        total = torch.zeros((), device=self.device)
        for batch, weight in zip(batches, weights, strict=True):
            loss = self.loss(to_device(batch, self.device)) * (weight / sum(weights))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        for o in self.optimisers:
            o.step()
        self.step += 1
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_([*self.average.values()], [*self.own.values()], 1 - decay)
        return total

    def validate(self) -> list[float]:
        """Held-out bits per dimension of the averaged network, one figure for each validation set."""
        plain = Computation(self.task.loss, self.network, self.device, Way(half=self.loss.way.half))
        with self.averaged(), torch.no_grad():
            return [float(plain(to_device(batch, self.device))) for batch in self.task.validation]

    @contextmanager
    def averaged(self) -> Iterator[TrainableNetwork]:
        """The network with its average weights, for as long as this lasts."""
        kept = {name: part.clone() for name, part in self.own.items()}
        self.network.load_state_dict(self.average, strict=False)
        try:
            yield self.network
        finally:
            self.network.load_state_dict(kept, strict=False)

    def set_rates(self, factor: float) -> None:
        for o, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(o.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def save(self, path: Path) -> None:
        """Write a checkpoint; what was there stays until it is complete."""
        state = {
            "step": self.step,
            "seconds": self.clock.seconds(),
            "way": {"device": self.device.type, "half": self.loss.way.half},
            "network": self.network.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
        }
        written = io.BytesIO()
        torch.save(state, written)
        place(path, written.getvalue(), force=True)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises InputError for one of another network."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            self.network.load_state_dict(state["network"])
            for o, s in zip(self.optimisers, state["optimisers"], strict=True):
                o.load_state_dict(s)
            self.average = {name: state["average"][name] for name in self.own}
            self.step, self.clock.before, self.way = state["step"], state["seconds"], state["way"]
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is of another network than the configuration's: start over with --no-resume, "
                "or name another folder with --out"
            ) from error


def begin_from(model: str, network: TrainableNetwork) -> None:
    """Give the network the weights of a model, as far as they reach. Raises InputError where they do not fit."""
    from safetensors.torch import load_file

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
