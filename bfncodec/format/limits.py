"""Limits of what a file may ask of the machine, checked before anything is allocated or run.

No numpy, torch or PIL.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from bfncodec.errors import InputError, LimitError

__all__ = ["NO_LIMITS", "OF_WRITERS", "Limits", "check_limit", "least_payload", "plausible"]

_NONE = 1 << 62
_FREE_SYMBOLS = 4096  # accepted however short the payload
_UNKNOWN = 1 << 33  # bytes of memory where the system does not tell
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@lru_cache(maxsize=1)
def machine_memory() -> int:
    """Return the bytes of memory that this process may have: of the machine, its container or the limit it runs in."""
    found = [_NONE]
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _CGROUPS:
        with suppress(OSError, ValueError):  # "max" is no number
            found.append(int(Path(path).read_text()))
    with suppress(ImportError, OSError):
        import resource

        found.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    least = min(size for size in found if size > 0)
    return _UNKNOWN if least == _NONE else least


def _most_memory() -> int:
    """Return three quarters of the memory; the program itself, models and other programs have the rest."""
    return machine_memory() // 4 * 3


@dataclass(frozen=True)
class Limits:
    """Limits of what a file may ask of the machine, checked before anything is allocated or run.

    A file that asks for more is refused with a LimitError that names the option to pass.

    Parameters
    ----------
    pixels
        Of the largest picture that is accepted.
    memory
        Bytes that decoding may take, by an estimate from what the head of the file says: content, the file made of it,
        tables of files and segments, metadata, and what a model needs beside its weights. Three quarters of the
        machine's, or of the container's, where nothing is given.
    output
        Bytes that the content may have, or the file or the files of a folder made of it. On the command line, those of
        all files of a call.
    symbols_per_byte
        Symbols (bytes of text, subpixels) a model may have to decode per byte of payload, so that no small file
        schedules hours of work. Encoders stay within the default.

    Raises InputError for what is no whole number, and for negative ones.
    """

    pixels: int = 1 << 28
    symbols_per_byte: int = 256
    memory: int = field(default_factory=_most_memory)
    output: int = _NONE

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
                raise InputError(f"expected a whole number of 0 or more as {name}, found {value!r}")


NO_LIMITS = Limits(pixels=_NONE, symbols_per_byte=_NONE, memory=_NONE, output=_NONE)
OF_WRITERS = Limits(memory=_NONE, output=_NONE)
"""Limits for a file that was just compressed here: readers may have to accept its size, but not its kind."""


def plausible(symbols: int, payload_bytes: int, limits: Limits) -> bool:
    """Return whether a model may have to decode that many symbols from that many bytes."""
    return symbols <= _FREE_SYMBOLS + limits.symbols_per_byte * payload_bytes


def least_payload(symbols: int) -> int:
    """Return the bytes below which no reader takes a model's payload of that many symbols, unless told to."""
    return max(0, -(-(symbols - _FREE_SYMBOLS) // Limits.symbols_per_byte))


def check_limit(what: str, found: int, most: int, option: str, command: str = "") -> None:
    """Raise LimitError if more is asked for than may be.

    option: the field of :class:`Limits` that allows more. command: the option of the command line, where that is not
    called likewise.
    """
    if found > most:
        raise LimitError(
            f"asks for {found} {what} where {most} are accepted",
            python=f"pass limits=Limits({option}={found}), or more, if you trust the file",
            command=f"pass {command or f'--max-{option} {found}'}, or more, if you trust the file",
        )
