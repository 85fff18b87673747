"""A training configuration: a TOML file, its tables and what is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bfncodec.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = TypeVar("Config", bound=DataclassInstance)

Table = Mapping[str, Any]
"""A table of a TOML file, not yet read as what it is to be."""


@dataclass(frozen=True)
class Streams:
    """The [streams] table: texts are cut into streams of at most `length` bytes, but not into more than `most`.

    Many streams keep a machine busy; each begins without a past, which costs bits.
    """

    length: int = 3072
    most: int = 128


@dataclass(frozen=True)
class TrainConfig:
    """The [train] table: how long a model is trained, and how."""

    steps: int = 10000
    minutes: float = 0.0  # of wall time, instead of steps, where not 0
    batch: int = 8  # windows or items a step; image sources say theirs in each [[data]]
    warmup: int = 100  # steps over which the learning rates rise from 0
    decay: float = 0.5  # share of the training, at the end, over which the learning rates fall to 0
    matrix_rate: float = 0.02  # learning rate of Muon: hidden matrices
    rate: float = 0.002  # learning rate of AdamW: embeddings, biases, first and last layers
    ema: float = 0.998  # decay of the exponential moving average of the weights, which is what is exported
    clip: float = 1.0  # largest norm of a gradient
    rounded: float = 0.0  # share of the training, at the end, that sees rounded weights and features (image)
    validate_every: int = 500  # steps; a training of minutes is validated 20 times
    save_every: int = 200  # steps; a training of minutes is saved as often as it is validated
    teeth: tuple[int, ...] = (1,)  # comb schedules trained for, drawn at random
    seed: int = 0
    start: str = ""  # model to begin with: its name or directory; the network may be wider and deeper
    compile: bool = True  # torch.compile and CUDA graphs on a GPU, where they agree with eager


@dataclass(frozen=True)
class Settings:
    """A whole training configuration; the task of its role and schedule reads the tables that depend on these."""

    name: str
    role: str
    schedule: str  # "" where the configuration names none
    network: Table
    data: Sequence[Table]
    validation: Sequence[Table]
    streams: Streams
    train: TrainConfig
    levels: Sequence[int] | None = None  # first and last level at which the model serves its kind of data unasked
    beside: str | None = None  # name of the model beside which an encoder may try it unasked


def read_config(path: str | Path) -> Settings:
    """Read a training configuration. Raises InputError for what is none, with the key that is wrong."""
    try:
        tables = tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a training configuration in TOML ({error})") from error
    for key in ("name", "role", "data"):
        if key not in tables:
            raise InputError(f"{path}: expected {key}, found none")
    known = {field.name for field in fields(Settings)}
    if unknown := sorted(set(tables) - known):
        raise InputError(f"{path}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return Settings(
        name=tables["name"],
        role=tables["role"],
        schedule=tables.get("schedule", ""),
        network=tables.get("network", {}),
        data=tables["data"],
        validation=tables.get("validation", []),
        streams=make(Streams, tables.get("streams", {}), "streams"),
        train=make(TrainConfig, tables.get("train", {}), "train"),
        levels=tables.get("levels"),
        beside=tables.get("beside"),
    )


def make(cls: type[Config], values: Table, table: str) -> Config:
    """Make a configuration dataclass from the TOML table [`table`]. Raises InputError that names the key."""
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


KINDS: Mapping[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "tuple[str, ...]": list,
    "tuple[int, ...]": list,
}
"""Types of TOML values by the types of the fields they are for; other fields are checked by their dataclass."""


def _frozen(value: Any) -> Any:
    """Turn lists into tuples, at every depth."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
