"""Paths of the files of a folder: those that may be in a file, and those that may be written on this system.

A forged file would have paths that lead out of the folder, or to a device. No numpy, torch or PIL.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise

__all__ = ["bad_path", "unusable_path", "with_folders"]

_LONGEST = 1 << 15  # bytes: more than any system takes
_OF_WINDOWS = frozenset('<>:"|?*\\') | frozenset(map(chr, range(32)))
_DEVICES = frozenset(
    [*("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$")]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789\u00b9\u00b2\u00b3"]
)


def bad_path(paths: Sequence[str]) -> str | None:
    """Return the first path that is bad, or out of order in a sorted list without repetition; None if all are good.

    A good path has slashes between parts of which none is empty, . or .., no zero bytes or half surrogates, and is no
    folder of another. This takes time in proportion to the paths, whatever is in them.
    """
    for before, path in pairwise(["", *paths]):
        if path <= before or not _is_good(path):
            return path
    # A zero byte sorts before everything: what is in a folder follows it at once.
    inside = sorted(path.replace("/", "\0") for path in paths)
    return next((b.replace("\0", "/") for a, b in pairwise(inside) if b.startswith(a + "\0")), None)


def with_folders(paths: Iterable[str]) -> set[str]:
    """Return paths and all folders above them, by their names; of each folder it is asked once."""
    found = set[str]()
    for path in paths:
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def _is_good(path: str) -> bool:
    if len(path) > _LONGEST or "\0" in path or {"", ".", ".."} & set(path.split("/")):
        return False
    try:
        return len(path.encode()) <= _LONGEST
    except UnicodeEncodeError:  # half letters
        return False


def unusable_path(paths: Sequence[str], system: str = os.name) -> str | None:
    """Return the first path that means something else on this system, and so may not be written; None but on Windows.

    There, devices have names in every folder, dots and spaces at the end are dropped, colons name drives and streams,
    and backslashes are slashes.
    """
    if system != "nt":
        return None
    return next((path for path in paths if any(map(_is_strange, path.split("/")))), None)


def _is_strange(part: str) -> bool:
    stem = part.partition(".")[0].rstrip(" ").upper()
    return bool(_OF_WINDOWS & set(part)) or part.endswith((".", " ")) or stem in _DEVICES
