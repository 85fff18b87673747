"""Streams that take or have a part of the data at a time, as those without a buffer do, and those that never wait.

A stream may be set not to wait by another program that shares it. What it does not take, or has not yet, is no end.
"""

from __future__ import annotations

import io
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bfncodec.errors import InputError, OutputError

__all__ = ["flush", "read_some", "write_all"]


def write_all(file: Any, data: bytes) -> None:
    """Write all of the data. OSError where that cannot be.

    file: what has a method `write`. Only what is a raw stream of Python's may take a part and say so. Of others that
    would be no more than a number, which may count something else: OutputError where one says that it took less.
    InputError for a file of text.
    """
    raw = isinstance(file, io.RawIOBase)
    left = memoryview(data) if raw else data
    while left:
        try:
            with _of_bytes(file):
                taken = file.write(left)
        except BlockingIOError as error:
            left = memoryview(left)[error.characters_written :]
            _wait(file, error, writes=True)
            continue
        if not raw:
            _check_taken(file, taken, len(left))
            return
        if taken is None:
            _wait(file, BlockingIOError("takes nothing more now"), writes=True)
        left = left[taken or 0 :]


@contextmanager
def _of_bytes(file: Any) -> Iterator[None]:
    """A block that writes bytes. Raises InputError where a file of text refuses them, which may have any class."""
    try:
        yield
    except TypeError as error:
        if getattr(file, "encoding", None) is None:
            raise
        raise InputError("expected a file of bytes, found one of text: open it with mode wb") from error


def _check_taken(file: Any, taken: object, count: int) -> None:
    """Raise OutputError where a file that is no raw stream of Python's has taken less than it was given."""
    if isinstance(taken, int) and not isinstance(taken, bool) and 0 <= taken < count:
        raise OutputError(
            f"{type(file).__name__} took {taken} of {count} bytes: give a file with a buffer, open(path, 'wb'), "
            "or bytes by bfncodec.compress"
        )


def flush(file: Any) -> None:
    """Write what a stream has kept back. OSError where that cannot be."""
    while True:
        try:
            file.flush()
            return
        except BlockingIOError as error:
            _wait(file, error, writes=True)


def read_some(file: Any, count: int) -> bytes:
    """Return at most so many bytes of a stream, none at its end alone. OSError where it cannot be read."""
    while True:
        found: bytes | None = file.read(count)
        if found is not None:
            return found
        _wait(file, BlockingIOError("has nothing yet"))


def _wait(file: Any, error: BlockingIOError, writes: bool = False) -> None:
    """Wait until a stream has something to read, or takes something. Raises the error where that cannot be known."""
    try:
        number = file.fileno()
    except (AttributeError, OSError):
        raise error from None
    select.select([] if writes else [number], [number] if writes else [], [])
