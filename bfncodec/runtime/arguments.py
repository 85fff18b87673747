"""Checks of what callers of the library give: a wrong type is an InputError that names the argument."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from operator import index
from pathlib import Path

from bfncodec.errors import InputError

__all__ = [
    "bytes_of",
    "check_callables",
    "check_codecs",
    "check_flags",
    "check_machine",
    "check_methods",
    "check_model",
    "check_policy",
    "check_type",
    "path_of",
    "whole_number",
]


def bytes_of(blob: object, what: str = "the bytes of a compressed file") -> bytes:
    """The bytes of a buffer. InputError for anything else, with the call that takes it where there is one."""
    if isinstance(blob, (bytes, bytearray, memoryview)):
        try:
            return bytes(blob)
        except ValueError as error:  # a view that was released
            raise InputError(f"expected {what}, found a memoryview that cannot be read: {error}") from error
    if isinstance(blob, Path):
        raise InputError(f"expected {what}, found a path: pass path.read_bytes(), or call decompress_file(path)")
    if isinstance(blob, str):
        raise InputError(f"expected {what}, found str: text is no compressed file, and paths go to decompress_file")
    found = _plain_view(blob)
    if found is None:
        raise InputError(f"expected {what}, found {type(blob).__name__}: pass bytes")
    return found.tobytes()


def _plain_view(blob: object) -> memoryview | None:
    """Return the bytes of an object in one dimension that has nothing else, as mmap, pyarrow's buffers and arrays of
    uint8 do; None for others.
    """
    try:
        view = memoryview(blob)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return None
    return view if view.ndim == 1 and view.format in ("B", "<B", "b", "<b", "c") else None


def check_model(model: object) -> None:
    """Raise InputError for what cannot name a model."""
    if not isinstance(model, (str, Path)) or not str(model):
        raise InputError(f'expected the name of a model, "auto" or "none", found {model!r}')


def check_machine(device: object, threads: object) -> None:
    """Raise InputError for what is no device's name, and no number of threads."""
    torch = sys.modules.get("torch")
    if not isinstance(device, str) and not (torch is not None and isinstance(device, torch.device)):
        raise InputError(f"expected the name of a device, cpu or cuda, found {device!r}")
    if threads is not None and whole_number(threads, "threads") < 1:
        raise InputError(f"expected at least one thread, or None for all, found {threads!r}")


def whole_number(value: object, name: str) -> int:
    """The value as an int. InputError where it is no whole number; bool is none."""
    try:
        if not isinstance(value, bool):
            return index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise InputError(f"expected a whole number as {name}, found {value!r}")


def path_of(value: object, name: str = "a file's path") -> Path:
    """The value as a path. InputError for what is none."""
    with suppress(TypeError):  # of a __fspath__ that returns something else
        path = os.fspath(value)  # type: ignore[call-overload]
        if isinstance(path, str) and _is_name(path):
            return Path(path)
    raise InputError(f"expected {name}, str or Path, found {value!r}")


def _is_name(path: str) -> bool:
    """Return whether a file can be asked for by this text at all."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def check_callables(**given: object) -> None:
    """Raise InputError for arguments that are neither None nor functions."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise InputError(f"expected a function or None as {name}, found {type(value).__name__}")


def check_flags(**given: object) -> None:
    """Raise InputError for arguments that are neither True nor False, of Python or NumPy; a word may mean either."""
    for name, value in given.items():
        if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
            raise InputError(f"expected True or False as {name}, found {value!r}")


def check_type(value: object, kind: type, name: str) -> None:
    """Raise InputError for an argument that is neither None nor of its class."""
    if value is not None and not isinstance(value, kind):
        raise InputError(f"expected {kind.__name__} or None as {name}, found {type(value).__name__}: {value!r}")


def check_policy(value: object, kind: type) -> None:
    """Raise InputError for what is no policy. kind: its class, which is above this module."""
    if not isinstance(value, kind):
        raise InputError(f"expected a {kind.__name__} as policy, found {type(value).__name__}: leave it out")


def check_codecs(codecs: object) -> None:
    """Raise InputError for what is neither None nor a source of codecs."""
    check_methods(codecs, ("default", "named", "identified"), "codecs")


def check_methods(value: object, methods: Sequence[str], name: str) -> None:
    """Raise InputError for an argument that is neither None nor has the methods of its protocol."""
    missing = [method for method in methods if not callable(getattr(value, method, None))]
    if value is not None and missing:
        raise InputError(f"expected an object with {' and '.join(methods)} as {name}, found {type(value).__name__}")
