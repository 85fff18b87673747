"""Errors that this library raises on purpose.

::

    Exception
    └── BfncodecError            root: catch this one to catch them all
        ├── FormatError          the bytes given are not a file this release can decode
        │   ├── NotOursError         they do not begin like a bfncodec file
        │   ├── DamagedError         they do, but something in them was cut off or changed
        │   │   ├── LimitError           they ask for more of the machine than the limits given allow
        │   │   └── SalvageableError     and some of it can still be had
        │   └── NewerVersionError    they need a newer release than this one
        ├── ModelNotFoundError   the model asked for, or named by a file, is not on this machine
        ├── ModelError           a model directory is there but broken
        ├── InputError           what the caller gave cannot be used
        └── OutputError          the result cannot be written

A message says what was expected, what was found (with the offset, where there is one) and what
to do about it. It is one line without a file name: whoever knows the file puts its name in front.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

__all__ = [
    "BfncodecError",
    "DamagedError",
    "FormatError",
    "InputError",
    "LimitError",
    "ModelError",
    "ModelNotFoundError",
    "NewerVersionError",
    "NotOursError",
    "OutputError",
    "SalvageableError",
    "Salvaged",
    "reading",
]


class BfncodecError(Exception):
    """Root of every error that bfncodec raises on purpose.

    python, command: advice for callers from Python and for users of the command line, if one sentence does not serve
    both. ``str(error)`` ends in the first, :meth:`for_command` in the second.
    """

    def __init__(self, message: str = "", *, python: str = "", command: str = "") -> None:
        super().__init__(message)
        self.python, self.command = python, command

    def __str__(self) -> str:
        return self._ending_in(self.python)

    def for_command(self) -> str:
        """Return the message for users of the command line."""
        return self._ending_in(self.command)

    def within(self, place: str) -> Self:
        """Return an error of the same type that names where it happened."""
        return type(self)(f"{place}: {self.args[0]}", python=self.python, command=self.command)

    def _ending_in(self, hint: str) -> str:
        message = str(self.args[0])
        return f"{message}: {hint}" if hint else message


class FormatError(BfncodecError):
    """The bytes given cannot be decoded: not ours, damaged, or from a newer release."""


class NotOursError(FormatError):
    """The bytes do not begin with the magic number of a bfncodec file."""


class DamagedError(FormatError):
    """A bfncodec file that was cut off or changed after it was written."""


class LimitError(DamagedError):
    """A file that asks for more of the machine than :class:`bfncodec.Limits` allow: forged, or just large."""


@dataclass(frozen=True)
class Salvaged:
    """The rest of damaged bytes: the content, with zeros for what is lost, and the ranges of bytes that are."""

    content: bytes
    lost: tuple[tuple[int, int], ...]

    @property
    def gone(self) -> int:
        """Number of bytes that are lost."""
        return sum(stop - start for start, stop in self.lost)


class SalvageableError(DamagedError):
    """Damage that leaves something.

    salvage: decodes what is left, which may take as long as decoding everything.
    """

    def __init__(self, message: str, salvage: Callable[[], Salvaged]) -> None:
        super().__init__(message)
        self.salvage = salvage

    def __reduce__(self) -> tuple[type[DamagedError], tuple[str]]:
        """Return what is sent to another process, where nothing can be had of it: a plain DamagedError."""
        return DamagedError, (str(self),)

    def within(self, place: str) -> SalvageableError:
        return SalvageableError(f"{place}: {self.args[0]}", self.salvage)


class NewerVersionError(FormatError):
    """A bfncodec file that uses a version or a flag this release does not know."""


class ModelNotFoundError(BfncodecError):
    """No model of that name or identity is on this machine."""


class ModelError(BfncodecError):
    """A model directory that is there but cannot be used: a missing, unreadable or wrong file."""


class InputError(BfncodecError):
    """Input of the caller that cannot be used: a wrong type, shape, option, or an unreadable file."""


class OutputError(BfncodecError):
    """The result cannot be written: target exists, no permission, disk full."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Make a DamagedError of whatever a third party's decoder raises in the block, given bytes of a file.

    Pillow, NumPy and Python's own parsers raise a dozen unrelated types for broken or forged bytes. Errors of this
    library and a lack of memory stay what they are; warnings are not shown.

    what: the beginning of the message, what cannot be done.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (BfncodecError, MemoryError):
        raise
    except Exception as error:
        raise DamagedError(f"{what}: {error or type(error).__name__}") from error
