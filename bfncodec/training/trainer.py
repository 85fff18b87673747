"""One network in training: its optimisers, its average, its checkpoints."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.files.atomic import place
from bfncodec.models import find
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.training.agreement import Computation, Say, Way, chosen
from bfncodec.training.capture import Replay, replay_of
from bfncodec.training.clock import Clock
from bfncodec.training.config import TrainConfig
from bfncodec.training.draws import Draws
from bfncodec.training.export import restored_state
from bfncodec.training.muon import Muon
from bfncodec.training.processes import average_gradients, is_alone
from bfncodec.training.tasks.base import Batch, Task

ADAM_BETAS = (0.9, 0.98)
STEPS_BEFORE_CAPTURE = 3  # of a run: in the first ones optimisers make their state, and compilers compile


class EarlierWay(NamedTuple):
    """The precision of an earlier run, from its checkpoint."""

    device: str  # type of the device
    half: bool


class Trainer(Generic[Batch]):
    """The state of a training, all of which a checkpoint keeps, and how it changes in a step."""

    def __init__(self, task: Task[Batch], config: TrainConfig, device: torch.device, rank: int, clock: Clock) -> None:
        self.task, self.config, self.device, self.rank, self.clock = task, config, device, rank, clock
        if config.rounded:
            task.round_features(False)  # raises for networks that cannot
        if config.start:
            begin_from(config.start, task.network)
        self.network = task.network.to(device)
        self.optimisers = optimisers(self.network, task.matrices, config)
        self.rates = [group["lr"] for group in self.groups()]
        self._let_capture()
        self.own = {name: part for name, part in self.network.state_dict().items() if part.is_floating_point()}
        self.average = {name: part.detach().clone() for name, part in self.own.items()}
        self.step = 0
        self.seen = 0  # bytes or subpixels trained on in this run, by this process
        self.loss = Computation(task.loss, self.network, device, Way())
        self.earlier: EarlierWay | None = None  # of a run that this one resumes
        self.replay: Replay[Batch] | None = None
        self.until_capture = STEPS_BEFORE_CAPTURE
        self.say: Say = print

    def choose_way(self, say: Say) -> None:
        """Find the fastest way that agrees with the plain one; a run that is resumed on a CPU keeps its precision."""
        batches = [to_device(batch, self.device) for batch in self.task.sample(self.draws(0))]
        plain = Computation(self.task.loss, self.network, self.device, Way())
        if self.earlier and self.earlier.device == self.device.type == "cpu":
            self.loss = Computation(plain.loss, plain.network, plain.device, Way(half=self.earlier.half))
        else:
            self.loss = chosen(plain, batches, self.config.compile, say)
        self.say = say

    def draws(self, step: int) -> Draws:
        """Return the random numbers of a step: they depend on its number alone, so that a resumed run is the same."""
        return Draws(self.config.seed, step, self.rank, device=self.device)

    def advance(self, progress: float) -> Tensor:
        """Train one step, at this progress from 0 to 1; return its loss in bits per dimension, a scalar."""
        self.set_rates(self.clock.factor(self.step, progress))
        rounded = bool(self.config.rounded) and progress >= 1 - self.config.rounded
        if self.config.rounded:
            self.task.round_features(rounded)
        batches = [to_device(batch, self.device) for batch in self.task.sample(self.draws(self.step))]
        loss = self._replayed(batches) if self.can_capture and not rounded else self.train_on(batches)
        self.seen += sum(map(self.task.size, batches))
        self.step += 1
        self._update_average()
        return loss

    @property
    def can_capture(self) -> bool:
        """Return whether steps may be replayed from a CUDA graph."""
        return self.config.compile and self.device.type == "cuda" and is_alone()

    def _replayed(self, batches: Sequence[Batch]) -> Tensor:
        """Train on batches by the graph, which is captured once the first steps are over; return the loss."""
        self.until_capture -= 1
        if self.until_capture == 0:
            loss, self.replay = replay_of(self.train_on, batches, self.changed(), self.say)
            return loss
        return self.replay(batches) if self.replay else self.train_on(batches)

    def train_on(self, batches: Sequence[Batch]) -> Tensor:
        """Train on batches that are on the device; return their loss. Nothing here waits for the device."""
        for o in self.optimisers:
            o.zero_grad(set_to_none=True)
        loss = self._accumulate_gradients(batches)
        average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        for o in self.optimisers:
            o.step()
        return loss

    def changed(self) -> list[Tensor]:
        """Tensors that a step changes: weights first, then what the optimisers remember."""
        memory = [part for o in self.optimisers for state in o.state.values() for part in state.values()]
        return [*self.network.parameters(), *(part for part in memory if isinstance(part, Tensor))]

    def _accumulate_gradients(self, batches: Sequence[Batch]) -> Tensor:
        """Add the gradients of the weighted mean of the batches' losses; return that mean."""
        sizes = [self.task.size(batch) for batch in batches]
        total = torch.zeros((), device=self.device)
        for batch, size in zip(batches, sizes, strict=True):
            loss = self.loss(batch) * (size / sum(sizes))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _update_average(self) -> None:
        """Move the exponential moving average (EMA) to the weights; its decay rises over the first steps."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_([*self.average.values()], [*self.own.values()], 1 - decay)

    def validate(self) -> list[float]:
        """Return held-out bits per dimension of the averaged network, one figure for each validation set."""
        plain = Computation(self.task.loss, self.network, self.device, Way(half=self.loss.way.half))
        with self.averaged(), torch.no_grad():
            return [float(plain(to_device(batch, self.device))) for batch in self.task.validation]

    @contextmanager
    def averaged(self) -> Iterator[TrainableNetwork]:
        """Give the network its average weights for as long as this lasts."""
        kept = {name: part.clone() for name, part in self.own.items()}
        self.network.load_state_dict(self.average, strict=False)
        try:
            yield self.network
        finally:
            self.network.load_state_dict(kept, strict=False)

    def set_rates(self, factor: float) -> None:
        """Set the learning rates of all parameters to `factor` times the configuration's."""
        for group, rate in zip(self.groups(), self.rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor

    def groups(self) -> list[dict[str, Any]]:
        """Groups of parameters that are trained alike, those of all optimisers."""
        return [group for o in self.optimisers for group in o.param_groups]

    def _let_capture(self) -> None:
        """Hold learning rates on the device where steps are replayed: a graph keeps the numbers of the host."""
        for group, rate in zip(self.groups(), self.rates, strict=True):
            group["lr"] = torch.tensor(rate, device=self.device) if self.can_capture else rate
            if "capturable" in group:
                group["capturable"] = self.can_capture

    def save(self, path: Path) -> None:
        """Write a checkpoint; the file that was there stays until it is complete."""
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
            self._let_capture()
            self.average = {name: state["average"][name] for name in self.own}
            self.step, self.clock.before = state["step"], state["seconds"]
            self.earlier = EarlierWay(**state["way"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is of another network than the configuration's: start over with --no-resume, "
                "or name another folder with --out"
            ) from error


def begin_from(model: str, network: TrainableNetwork) -> None:
    """Give the network the weights of a model, as far as they reach. Raises InputError where they do not fit."""
    info = find(Path(model) if os.sep in model else model)
    try:
        network.load_state_dict(restored_state(network, load_file(info.weights)))
    except ValueError as error:
        raise InputError(f"{info.path}: cannot be the start of this network ({error}); give it larger sizes") from error


def optimisers(network: nn.Module, matrices: tuple[str, ...], config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices, whose names begin with one of `matrices`, where there are any, and AdamW for
    the rest.
    """
    named = list(network.named_parameters())
    hidden = [p for n, p in named if n.startswith(matrices) and p.ndim == 2]
    ids = {id(p) for p in hidden}
    rest = [p for _, p in named if id(p) not in ids]
    # fused: on a CPU an eighth of the time, which shows where tables of n-grams have most of the weights
    adam = torch.optim.AdamW(rest, lr=config.rate, betas=ADAM_BETAS, weight_decay=0.0, fused=True)
    return [Muon(hidden, lr=config.matrix_rate), adam] if hidden else [adam]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch with its tensors on a device."""
    if isinstance(batch, Tensor):
        return cast(Batch, batch.to(device))
    return cast(Batch, tuple(part.to(device) if isinstance(part, Tensor) else part for part in batch))
