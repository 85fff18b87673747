"""Messages of the command on standard error: one line each, one voice for all errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from bfncodec.cli.signals import SIGNALS
from bfncodec.errors import BfncodecError

__all__ = ["Listener", "complain", "failure", "internal_error", "report", "shown", "tell"]


def shown(name: str) -> str:
    r"""Return the name of a file as one line of a terminal can show it.

    >>> shown("a.txt"), shown("two\nlines")
    ('a.txt', "'two\\nlines'")
    """
    return name if name.isprintable() else ascii(name)


def complain(message: str) -> None:
    """Say that something went wrong, in one line, where names cannot do more than be read."""
    line = " ".join(message.split("\n"))
    tell("bfncodec: " + "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line))


def tell(line: str) -> None:
    """Say something to people, who may have left."""
    with suppress(OSError):
        click.echo(line, err=True)


def report(line: str) -> None:
    """Say on standard output how far a long work has come; it goes on where nobody reads that any more.

    Raises Stopped if a signal has come.
    """
    SIGNALS.check()
    with suppress(OSError):
        click.echo(line)


def failure(error: Exception) -> str:
    """Return what to say of an error that ended the work on one file."""
    if isinstance(error, BfncodecError):
        return error.for_command()
    if isinstance(error, MemoryError):
        return "not enough memory: try smaller files"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):  # how Python says it
        return "not enough memory, or processes, for a thread: use -T 1"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, RuntimeError) and "out of memory" in str(error):  # how torch says it, of a GPU and the machine
        return "not enough memory on the device: use --device cpu"
    return internal_error(error)


def internal_error(error: Exception) -> str:
    """Return what to say of a fault of this program: what was raised, and where."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame is not None else ""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"internal error ({what}{where}): please report this, with the file if you can"


class Listener(logging.Handler):
    """Listener that hands on the messages which the package logs.

    tell: called with each message but warnings. warn: called with these. level: the least that is handed on.
    """

    def __init__(self, tell: Callable[[str], None], warn: Callable[[str], None], level: int) -> None:
        super().__init__(level)
        self._tell, self._warn = tell, warn

    def emit(self, record: logging.LogRecord) -> None:
        hand_on = self._warn if record.levelno >= logging.WARNING else self._tell
        hand_on(record.getMessage())
