"""The ``bfncodec`` command.

Exit codes: 0 all is well; 1 something failed (the other files were done); 2 wrong usage; 129, 130
and 143 hung up, interrupted, terminated; 141 nobody reads standard output any more. Results go to
files or standard output, everything else to standard error.
"""

from __future__ import annotations

import errno
import gc
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from bfncodec import __version__
from bfncodec.cli.messages import complain, internal_error
from bfncodec.cli.signals import SIGNALS, SIGPIPE, Stopped
from bfncodec.cli.streams import abandon_stdout, open_closed_streams
from bfncodec.errors import BfncodecError

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "append": "Add the content of FILES to the end of TARGET, a compressed file of bytes or of an array.",
    "bench": "Compare sizes and times of FILES with those of PNG, WebP, JPEG XL, gzip, xz, zstd and others.",
    "compress": "Compress FILES, each to FILE.bfn; - or nothing is standard input.",
    "decompress": (
        "Decompress FILES, each FILE.bfn to FILE, or to a folder where it was one; - or nothing is standard input."
    ),
    "dictionary": "Make a dictionary of SAMPLES, files like those to come, for messages, rows and other short texts.",
    "doctor": "Say what this machine has for the program, what is missing, and what to do about it.",
    "list": "Say what compressed FILES hold, and whether their checksums hold, without decoding them.",
    "measure": "Compare the ideal bits of FILES, L^n term by term, with the bits they take.",
    "models": "List the models on this machine, and at which levels each is used unasked.",
    "preview": "Write a small picture of a compressed one: PNG, or what the name after -o ends in.",
    "sample": "Draw images or texts from MODEL: what it decodes random bits to.",
    "test": "Decode compressed FILES completely and say whether they are sound; nothing is written.",
    "train": "Train a model as the TOML file CONFIG says, on photos or text of your own.",
}
"""The help line of every command; the command itself is in the module of ``bfncodec.cli.commands`` of that name."""


# ---- commands -----------------------------------------------------------------------------------


class LazyGroup(click.Group):
    """A group that imports a command when it is called.

    Until then, for ``--help`` and completion, a command is no more than its name and its help line.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            command = import_module(f"bfncodec.cli.commands.{command.name}").command
        return name, command, rest


@click.group(
    cls=LazyGroup,
    commands={name: click.Command(name, help=line) for name, line in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="bfncodec")
def cli() -> None:
    """Lossless compression with Bayesian Flow Networks."""


@cli.result_callback()
def _exit(code: int) -> None:
    click.get_current_context().exit(code)


# ---- start and end ------------------------------------------------------------------------------


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit. Never a traceback for what a user or a machine can cause."""
    open_closed_streams()
    SIGNALS.listen()
    code = _run(args)
    gc.freeze()  # nothing that is left is looked through for garbage, which would take longer than to import Python
    sys.exit(code)


def _run(args: Sequence[str] | None) -> int:
    """Run a command and return its exit code; from then on a signal ends the process at once."""
    try:
        code = _guarded(args)
        SIGNALS.check()
        SIGNALS.leave_at_once()
        return code
    except Stopped as stopped:
        SIGNALS.leave_at_once()
        if stopped.number == SIGPIPE:
            abandon_stdout()
        else:
            complain("interrupted" if stopped.number == signal.SIGINT else "terminated")
        return 128 + stopped.number


def _guarded(args: Sequence[str] | None) -> int:
    """Run a command and return its exit code, with a line for what it raises. Raises Stopped if a signal has come."""
    try:
        code = cli.main(args, prog_name="bfncodec", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort) as error:
        raise Stopped(signal.SIGINT) from error
    except Exception as error:  # noqa: BLE001 - never a traceback
        SIGNALS.check()
        return _failed(error)


def _failed(error: Exception) -> int:
    """Say in one line what went wrong, and return the exit code."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        raise Stopped(SIGPIPE) from error
    if isinstance(error, BfncodecError):
        complain(error.for_command())
    elif isinstance(error, MemoryError):
        complain("not enough memory")
    elif isinstance(error, ImportError):
        complain(f"the installation is not complete ({error}): pip install --upgrade bfncodec")
    elif isinstance(error, OSError):
        nameless = "the folder you are in" if error.errno == errno.ENOENT else "standard output"
        complain(f"{error.filename or nameless}: {error.strerror or error}")
        abandon_stdout()
    else:
        complain(internal_error(error))
    return 1
