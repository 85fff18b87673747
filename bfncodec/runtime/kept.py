"""Machine code of kernels, kept on disk: the folder, and how code is loaded without Numba.

Code is kept in the folder ``bfncodec/kernels`` of the user's cache (``$XDG_CACHE_HOME``, or ``~/.cache``), which may be
deleted at any time. In it there is a folder for everything that the code depends on: the sources of the kernel and of
what its module imports, the versions of Python, NumPy, Numba and llvmlite, Numba's settings, and the processor. A file
begins with a checksum, so that what is broken or stands in another's place is compiled again. Folders that another user
owns or may write to are neither read nor written.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
import sys
import tempfile
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
# Each begins with letters, which are found faster than the beginning of a line.
_FROM = re.compile(rf"\nfrom ({PACKAGE}[.\w]*) import (\([^)]*\)|.*)")
_WHOLE = re.compile(rf"\nimport ({PACKAGE}[.\w]*)()")
_WRITTEN = re.compile(rf"written\(\"({PACKAGE}[.\w]*)\"()")
COMPILER = Path(__file__).with_name("compiling.py")
"""Source file that all code depends on, and that no kernel's module imports by name."""


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
    """Return the folder for the code of a function, None where it cannot be kept: without Numba, for functions without
    a name in their module, whose code may depend on what those had that made them, and where sources are not those that
    were read.

    since: when its module was imported, in nanoseconds since the epoch.
    """
    source, numba = sys.modules[function.__module__].__file__, find_spec("numba")
    if source is None or numba is None or numba.origin is None or "<" in function.__qualname__:
        return None
    try:
        name, changed = _digest(Path(source), _changed(Path(source)), Path(numba.origin), _settings())
        return folder() / name if changed <= since else None
    except (ImportError, OSError, RuntimeError):  # RuntimeError: there is no home
        return None


def is_unchanged(function: Callable[..., Any], since: int) -> bool:
    """Return whether the sources that a function's code depends on are those of a time, also those imported since."""
    try:
        return max(map(_changed, _sources(Path(str(sys.modules[function.__module__].__file__))))) <= since
    except OSError:
        return False


def _changed(path: Path) -> int:
    """Return when a file was last changed or put there, in nanoseconds since the epoch."""
    found = path.stat()
    return max(found.st_mtime_ns, found.st_ctime_ns)


def symbol(function: Callable[..., Any], kinds: Sequence[str]) -> str:
    """Return the name of the code of a function for arguments of some kinds."""
    which = f"{function.__code__.co_firstlineno};{';'.join(kinds)}"  # a module may define one name twice
    return f"{_name(function)}-{blake2b(which.encode(), digest_size=12).hexdigest()}"


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"


def is_there(place: Path | None, function: Callable[..., Any]) -> bool:
    """Return whether any code of a function is kept."""
    return place is not None and is_own(place) and holds(place, function)


def holds(place: Path, function: Callable[..., Any]) -> bool:
    """Return whether any code of a function is in a folder, whoever owns it."""
    return any(place.glob(f"{_name(function)}-*"))


def load(place: Path | None, symbol: str) -> MachineCode | None:
    """Return the code that is kept under a name, None where there is none that can be used."""
    return read(place, symbol) if place is not None and is_own(place) else None


def read(place: Path, symbol: str) -> MachineCode | None:
    """Return the code under a name in a folder, whoever owns it, None where there is none that can be used."""
    try:
        content = (place / symbol).read_bytes()
    except OSError:
        return None
    checksum, body = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if checksum != _checksum(place, symbol, body):
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
    with suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_own(place):
            return
        write(place, symbol, code)
        os.utime(place)
        for old in sorted(place.parent.iterdir(), key=lambda each: each.stat().st_mtime)[:-MOST_FOLDERS]:
            shutil.rmtree(old, ignore_errors=True)


def write(place: Path, symbol: str, code: MachineCode) -> None:
    """Write code under a name in a folder. Raises OSError."""
    body = code.result.encode() + b"\n" + code.image
    _write(place / symbol, _checksum(place, symbol, body) + body)


def _checksum(place: Path, symbol: str, body: bytes) -> bytes:
    """Return the checksum of code that belongs in one place alone."""
    return blake2b(f"{place.name}/{symbol}\n".encode() + body, digest_size=CHECKSUM_BYTES).digest()


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all. Raises OSError."""
    with tempfile.NamedTemporaryFile(prefix=".", dir=path.parent, delete=False) as file:
        beside = Path(file.name)
        try:
            file.write(content)
            file.close()
            beside.replace(path)
        except OSError:  # such as a full disk
            beside.unlink()
            raise


def is_own(place: Path) -> bool:
    """Return whether a folder exists that whoever runs this process owns, and alone may write to. (Windows keeps the
    folders of users apart itself.)
    """
    try:
        found = place.lstat()
    except OSError:
        return False
    if not hasattr(os, "geteuid"):
        return True
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not shared


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
    content, changed = _digest_sources(source, _)
    found = blake2b(repr(parts).encode() + (numba.parent / "_version.py").read_bytes() + content, digest_size=16)
    return found.hexdigest(), changed


def digest_of(function: Callable[..., Any], since: int) -> bytes | None:
    """Return the digest of all sources that a function's code depends on, None where they are not those of a time."""
    source = Path(str(sys.modules[function.__module__].__file__))
    try:
        content, changed = _digest_sources(source, _changed(source))
    except OSError:
        return None
    return content if changed <= since else None


@lru_cache(maxsize=64)
def _digest_sources(source: Path, _: int) -> tuple[bytes, int]:
    """Return the digest of a source file and those it depends on, and when the latest of them was changed."""
    sources, found = _sources(source), blake2b(digest_size=16)
    for path in sources:
        found.update(path.read_bytes())
    return found.digest(), max(map(_changed, sources))


def processor() -> tuple[str, str]:
    """Return name and features of the processor that Numba compiles for. Raises ImportError without llvmlite."""
    return _processor(os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES"))


@lru_cache(maxsize=8)
def _processor(name: str | None, asked: str | None) -> tuple[str, str]:
    """Return what LLVM is asked for once: a child that is forked while a thread asks it would wait for ever."""
    import llvmlite.binding as llvm

    name = name or str(llvm.get_host_cpu_name())
    if asked is None:
        asked = "" if name.lower() == "generic" else str(llvm.get_host_cpu_features().flatten())
    return name, asked


def features() -> set[str]:
    """Return the features of the processor that Numba compiles for, each with a + before it or a -."""
    return set(processor()[1].split(",")) if os.environ.get("NUMBA_ENABLE_AVX") != "0" else set()


def _sources(first: Path) -> list[Path]:
    """Return a source file, the compiler's, and those of this package that they import, directly or not, or name to
    `written`.
    """
    queue = [first, COMPILER]
    found = set(queue)
    while queue:
        path = queue.pop()
        new = _imported(path, _changed(path)) - found
        found |= new
        queue += new
    return sorted(found)


@lru_cache(maxsize=256)
def _imported(source: Path, _: int) -> frozenset[Path]:
    """Return the source files of the modules of this package that a file imports at its left margin, or names."""
    found, text = set(), "\n" + source.read_text(encoding="utf-8")
    for name, names in itertools.chain(*(each.findall(text) for each in (_FROM, _WHOLE, _WRITTEN))):
        module = ROOT.parent.joinpath(*name.split("."))
        found.add(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"))
        if module.is_dir():
            found.update(filter(Path.is_file, (module / f"{part}.py" for part in re.findall(r"\w+", names))))
    return frozenset(found)


# ---- linking ------------------------------------------------------------------------------------


class _Linker:
    """LLVM's linker for code in memory."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.jit, self.numbers = llvm.create_lljit_compiler(), itertools.count()

    def link(self, image: bytes, symbol: str, result: str) -> MachineCode:
        """Load an object file. Raises RuntimeError where it needs what is not here."""
        import llvmlite.binding as llvm

        builder = llvm.JITLibraryBuilder().add_object_img(image).add_current_process().export_symbol(symbol)
        code = builder.link(self.jit, f"{symbol}.{next(self.numbers)}")  # of libraries no name is used twice
        return MachineCode(image, result, code[symbol], (self.jit, code))  # the last is let go of first


@lru_cache(maxsize=1)
def _linker() -> _Linker:
    """Return the linker; threads that are first at the same time may have one each."""
    return _Linker()
