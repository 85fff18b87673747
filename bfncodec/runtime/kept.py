"""Machine code of kernels, kept on disk: the folder, and how code is loaded without Numba.

Code is kept in the folder ``bfncodec/kernels`` of the user's cache (``$XDG_CACHE_HOME``, or ``~/.cache``), which may be
deleted at any time. In it there is a folder for everything that the code depends on: the sources of the kernel and of
what its module imports, the versions of Python, NumPy, Numba and llvmlite, Numba's settings, and the processor. A file
begins with a checksum, so that what is broken is compiled again; one that belongs to another user is not loaded.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).resolve().parents[1]
CHECKSUM_BYTES = 32
MOST_FOLDERS = 64
"""Folders that are left when code is kept: the latest. A release has a few."""
_IMPORTED = re.compile(rf"^(?:from|import) ({PACKAGE}[.\w]*)|written\(\"({PACKAGE}[.\w]*)\"", re.MULTILINE)


@dataclass(frozen=True)
class MachineCode:
    """A compiled kernel in memory.

    Attributes
    ----------
    image
        The object file.
    result
        Type of its result, in Numba's words.
    address
        Where the function lies that takes its arguments as words.
    owner
        What keeps it there.
    """

    image: bytes
    result: str
    address: int
    owner: Any


def folder() -> Path:
    """Return the folder of all kernels."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / PACKAGE / "kernels"


def place(function: Callable[..., Any], since: int) -> Path | None:
    """Return the folder for the code of a function, None where it cannot be kept: without Numba, for functions that
    were made inside of others, whose code may depend on what these had, and where sources are not those that were read.

    since: when its module was imported, in nanoseconds since the epoch.
    """
    source, numba = sys.modules[function.__module__].__file__, find_spec("numba")
    if source is None or numba is None or numba.origin is None or function.__closure__ is not None:
        return None
    try:
        name, changed = _digest(Path(source), _changed(Path(source)), Path(numba.origin), _settings())
        return folder() / name if changed <= since else None
    except (ImportError, OSError, RuntimeError):  # RuntimeError: there is no home
        return None


def _changed(path: Path) -> int:
    """Return when a file was last changed or put there, in nanoseconds since the epoch."""
    stat = path.stat()
    return max(stat.st_mtime_ns, stat.st_ctime_ns)


def symbol(function: Callable[..., Any], kinds: Sequence[str]) -> str:
    """Return the name of the code of a function for arguments of some kinds."""
    return f"{_name(function)}-{blake2b(';'.join(kinds).encode(), digest_size=12).hexdigest()}"


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"


def is_there(place: Path | None, function: Callable[..., Any]) -> bool:
    """Return whether any code of a function is kept."""
    return place is not None and _is_own(place) and any(place.glob(f"{_name(function)}-*"))


def load(place: Path | None, symbol: str) -> MachineCode | None:
    """Return the code that is kept under a name, None where there is none that can be used."""
    if place is None or not _is_own(place):
        return None
    try:
        content = (place / symbol).read_bytes()
    except OSError:
        return None
    checksum, body = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if checksum != blake2b(body, digest_size=CHECKSUM_BYTES).digest():
        return None
    result, _, image = body.partition(b"\n")
    try:
        return _linker().link(image, symbol, result.decode())
    except RuntimeError:  # LLVM cannot link it here
        return None


def save(place: Path | None, symbol: str, code: MachineCode) -> None:
    """Keep code under a name, where that is possible."""
    if place is None:
        return
    body = code.result.encode() + b"\n" + code.image
    with suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = place / f".{symbol}.{os.getpid()}"
        beside.write_bytes(blake2b(body, digest_size=CHECKSUM_BYTES).digest() + body)
        beside.replace(place / symbol)
        os.utime(place)
        for old in sorted(place.parent.iterdir(), key=lambda each: each.stat().st_mtime)[:-MOST_FOLDERS]:
            shutil.rmtree(old, ignore_errors=True)


def _is_own(place: Path) -> bool:
    """Return whether a folder exists and belongs to whoever runs this process."""
    try:
        return not hasattr(os, "geteuid") or place.stat().st_uid == os.geteuid()
    except OSError:
        return False


# ---- what code depends on -----------------------------------------------------------------------


def _settings() -> str:
    """Return the environment variables that Numba minds."""
    return repr(sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_")))


@lru_cache(maxsize=64)
def _digest(source: Path, _: int, numba: Path, settings: str) -> tuple[str, int]:
    """Return the name of the folder for the kernels of a source file, and when the latest of all sources was changed.
    The source's own time is given so that what is remembered of it is forgotten when it changes.
    """
    import llvmlite

    parts = [sys.version, sys.platform, np.__version__, llvmlite.__version__, settings, *processor()]
    found, sources = blake2b(repr(parts).encode(), digest_size=16), _sources(source)
    for path in (numba.parent / "_version.py", *sources):
        found.update(path.read_bytes())
    return found.hexdigest(), max(map(_changed, sources))


def processor() -> tuple[str, str]:
    """Return name and features of the processor that Numba compiles for. Raises ImportError without llvmlite."""
    import llvmlite.binding as llvm

    name = os.environ.get("NUMBA_CPU_NAME") or str(llvm.get_host_cpu_name())
    asked = os.environ.get("NUMBA_CPU_FEATURES")
    if asked is None:
        asked = "" if name.lower() == "generic" else str(llvm.get_host_cpu_features().flatten())
    return name, asked


def _sources(first: Path) -> list[Path]:
    """Return a source file, and those of this package that it imports, directly or not, or names to `written`."""
    found, queue = {first}, [first]
    while queue:
        for names in _IMPORTED.findall(queue.pop().read_text(encoding="utf-8")):
            path = ROOT.parent.joinpath(*"".join(names).split("."))
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if path not in found:
                found.add(path)
                queue.append(path)
    return sorted(found)


# ---- linking ------------------------------------------------------------------------------------


class _Linker:
    """LLVM's linker for code in memory."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.jit, self.count = llvm.create_lljit_compiler(), 0

    def link(self, image: bytes, symbol: str, result: str) -> MachineCode:
        """Load an object file. Raises RuntimeError where it needs what is not here."""
        import llvmlite.binding as llvm

        self.count += 1  # names of libraries are not used twice
        builder = llvm.JITLibraryBuilder().add_object_img(image).add_current_process().export_symbol(symbol)
        owner = builder.link(self.jit, f"{symbol}.{self.count}")
        return MachineCode(image, result, owner[symbol], owner)


@lru_cache(maxsize=1)
def _linker() -> _Linker:
    return _Linker()
