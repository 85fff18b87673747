"""Machine code of kernels that a wheel brings, so that nobody has to compile: for Linux on x86-64.

Code needs no more of a machine than the instructions that it consists of. So there is a set of it for each of a few
*levels* of processors, made by ``share/kernels.py`` and found by the digest of all sources that it depends on: what was
made of other sources is as if it were not there. It lies in the package's folder ``_kernels``, which is absent in a
checkout, and is as trustworthy as the package's modules.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bfncodec.runtime import kept

FOLDER = kept.ROOT / "_kernels"


@dataclass(frozen=True)
class Level:
    """A kind of processors.

    Attributes
    ----------
    name
        Its folder.
    processor
        The one that LLVM arranges instructions for.
    features
        What a processor must have, in LLVM's words, the processor's own among them.
    """

    name: str
    processor: str
    features: frozenset[str]


_V3 = frozenset(
    ("avx", "avx2", "bmi", "bmi2", "crc32", "cx16", "f16c", "fma", "fxsr", "lzcnt", "movbe", "popcnt", "sahf", "sse4.2")
) | {"xsave"}
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
LEVELS = (
    Level("amx", "x86-64-v4", _V4 | {"avx512vnni", "amx-int8", "amx-tile"}),
    Level("avx512vnni", "x86-64-v4", _V4 | {"avx512vnni"}),
    Level("avxvnni", "x86-64-v3", _V3 | {"avxvnni"}),
    Level("avx2", "x86-64-v3", _V3),
)
"""The fastest first; what runs at one may need code of a later one, where tile registers are not to be used."""


def place(level: Level, function: Callable[..., Any], since: int) -> Path | None:
    """Return the folder for the code of a function at a level, None where its sources are not those that were read.

    since: when its module was imported, in nanoseconds since the epoch.
    """
    sources = kept.digest_of(function, since)
    return None if sources is None else FOLDER / level.name / sources.hex()


def load(function: Callable[..., Any], since: int, symbol: str) -> kept.MachineCode | None:
    """Return the code under a name, None where the wheel brought none that can be used here."""
    return next((code for each in _places(function, since) if (code := kept.read(each, symbol))), None)


def is_there(function: Callable[..., Any], since: int) -> bool:
    """Return whether the wheel brought code of a function that can be used here."""
    return any(kept.holds(each, function) for each in _places(function, since))


def _places(function: Callable[..., Any], since: int) -> Iterator[Path]:
    """Yield the folders that there are for the code of a function, the fastest first."""
    if not FOLDER.is_dir() or sys.platform != "linux" or platform.machine() != "x86_64":
        return
    if find_spec("numba") is None:  # what is not shipped could not be compiled
        return
    try:
        here = {feature[1:] for feature in kept.processor()[1].split(",") if feature.startswith("+")}
    except ImportError:  # without LLVM nothing can be loaded
        return
    for level in LEVELS:
        found = place(level, function, since) if level.features <= here else None
        if found is not None and found.is_dir():
            yield found
