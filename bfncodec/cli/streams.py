"""Standard input and output: bytes in, bytes, tables and JSON out, wherever they lead."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bfncodec.cli.signals import SIGPIPE, Stopped
from bfncodec.cli.terminal import table
from bfncodec.errors import InputError, OutputError
from bfncodec.files.atomic import descriptor
from bfncodec.files.places import folder_at
from bfncodec.files.streaming import reading
from bfncodec.format.wire import StreamReader
from bfncodec.runtime.streams import flush, read_some, write_all

if TYPE_CHECKING:
    from bfncodec.files.options import Made

__all__ = [
    "STDIN",
    "abandon_stdout",
    "check_apart",
    "is_stdout",
    "no_place",
    "open_closed_streams",
    "open_input",
    "print_json",
    "print_line",
    "print_table",
    "read_input",
    "read_source",
    "write_stdout",
]

STDIN = Path("-")


@contextmanager
def open_input(path: Path) -> Iterator[Callable[[int], bytes]]:
    """Yield what reads a file, or standard input for ``-``. Raises InputError where it cannot be read, or changes."""
    if path != STDIN:
        with reading(path) as (read, identity):
            yield read
            identity()
        return
    if sys.stdin is None:
        raise InputError("standard input is closed")

    def read_stdin(count: int) -> bytes:
        try:
            return read_some(sys.stdin.buffer, count)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}") from error

    yield read_stdin


def read_input(path: Path) -> bytes:
    """Return the bytes of a file, or those of standard input for ``-``. Raises InputError where they cannot be read."""
    with open_input(path) as read:
        return StreamReader(read).rest()


def read_source(source: Path | bytes) -> bytes | Path:
    """Return the bytes of a file or of standard input; a folder and bytes as they are. Errors as :func:`read_input`."""
    if isinstance(source, bytes) or (source != STDIN and folder_at(source)):
        return source
    return read_input(source)


def is_stdout(path: Path) -> bool:
    """Return whether a path is another name of standard output.

    It is written to then, never replaced: it may be a file that a shell's redirection has opened.
    """
    return path == STDIN or descriptor(path) == 1


def check_apart(source: Path) -> None:
    """Raise OutputError where standard output is the file that is to be read, as in ``-c FILE >> FILE``."""
    with suppress(OSError, ValueError, AttributeError):  # what cannot be read or written is told then
        out = os.fstat(sys.stdout.fileno())
        found = os.fstat(sys.stdin.fileno()) if source == STDIN else source.stat()
        if stat.S_ISREG(out.st_mode) and os.path.samestat(out, found):
            raise OutputError("standard output is the file itself, which would be damaged: name another")


def write_stdout(data: Made) -> None:
    """Write the bytes of a file to standard output.

    Raises OutputError where that fails, and for a folder; Stopped where nobody reads any more.
    """
    if isinstance(data, dict):
        raise no_place()
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        write_all(sys.stdout.buffer, data)
        flush(sys.stdout.buffer)
    except BrokenPipeError as error:
        raise Stopped(SIGPIPE) from error
    except OSError as error:
        abandon_stdout()
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error


def abandon_stdout() -> None:
    """Write nothing more to standard output, so that Python does not try again, and complain, when it exits."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_closed_streams() -> None:
    """Open the null device in the place of standard streams that are closed.

    The next file to be opened would take the number of a closed one, and whatever libraries say would be written there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def no_place() -> OutputError:
    """Return the error of a folder that is to go to standard output."""
    return OutputError("holds a folder, which standard output cannot: name a place for it with -o")


def print_line(text: str) -> None:
    """Write results for people to standard output. Errors as :func:`write_stdout`."""
    write_stdout((text + "\n").encode(errors="backslashreplace"))


def print_json(value: object) -> None:
    """Write results for programs to standard output. Errors as :func:`write_stdout`."""
    print_line(json.dumps(value, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows under a head to standard output. Errors as :func:`write_stdout`."""
    print_line(table(head, rows))
