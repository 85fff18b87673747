"""The tables of a training configuration."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from bfncodec.errors import InputError


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
    minutes: float = 0.0  # of wall time, instead of steps, where not 0
    batch: int = 8  # windows a step (text); images say theirs in each [[data]]
    warmup: int = 100  # steps
    decay: float = 0.5  # share of the training, at the end, over which the learning rate falls to zero
    matrix_rate: float = 0.02  # Muon
    rate: float = 0.002  # AdamW: embeddings, biases, first and last layers
    ema: float = 0.998
    clip: float = 1.0
    rounded: float = 0.0  # share of the training, at the end, that sees rounded weights and features (image)
    validate_every: int = 500  # steps; a training of minutes is validated 20 times
    save_every: int = 200  # steps; a training of minutes is saved as often as it is validated
    teeth: tuple[int, ...] = (1,)  # comb schedules trained for, drawn at random
    seed: int = 0
    start: str = ""  # model to begin with: its name or directory; the network may be wider and deeper
    compile: bool = True  # torch.compile on a GPU, where it agrees with eager


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
