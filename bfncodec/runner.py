"""Many files, one call: which files, where each goes, and what happens when one of them fails."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bfncodec.errors import BfncodecError, InputError, OutputError

if TYPE_CHECKING:
    from bfncodec.api import Damage, Models
    from bfncodec.files import Made, Options, Result
    from bfncodec.terminal import Bar

__all__ = [
    "STDIN",
    "Call",
    "Direction",
    "Transform",
    "abandon_stdout",
    "complain",
    "expand",
    "no_place",
    "read_input",
    "write_stdout",
]

STDIN = Path("-")
_LOG = logging.getLogger("bfncodec")


class _Listener(logging.Handler):
    """Passes on what is logged."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


def complain(message: str) -> None:
    """One line on standard error."""
    with suppress(OSError):
        click.echo("bfncodec: " + " ".join(message.split("\n")), err=True)


def abandon_stdout() -> None:
    """Nothing more can be written there: keep Python from trying again, and complaining, when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass
class Call:
    """One call of a command over several files."""

    quiet: bool = False
    verbose: bool = False
    failed: bool = False
    _bars: list[Bar] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code so far."""
        return int(self.failed)

    def bar(self, name: str) -> Bar:
        """A progress bar for one file."""
        from bfncodec.terminal import Bar

        self._bars.append(Bar(name, shown=sys.stderr.isatty() and not self.quiet))
        return self._bars[-1]

    def say(self, line: str) -> None:
        """A line for people."""
        self._clear()
        if not self.quiet:
            click.echo(line, err=True)

    def fail(self, name: str, message: str) -> None:
        """Something went wrong with a file."""
        self._clear()
        self.failed = True
        complain(f"{name}: {message}")

    def skip(self, name: str, what: str) -> None:
        """Something in a folder cannot be kept."""
        self.fail(name, f"{what}: left out")

    @contextmanager
    def each(self, name: str) -> Iterator[None]:
        """What goes wrong with one file is said in one line, and the next one follows. What is logged is said, too."""
        listener = _Listener(self._note)
        _LOG.addHandler(listener)
        _LOG.setLevel(logging.INFO)
        try:
            yield
        except BfncodecError as error:
            self.fail(name, str(error))
        except MemoryError:
            self.fail(name, "not enough memory: try smaller files")
        except OSError as error:
            self.fail(name, error.strerror or str(error))
        except RuntimeError as error:
            if "out of memory" not in str(error):  # how torch says it, of a GPU and of the machine
                raise
            self.fail(name, "not enough memory on the device: use --device cpu")
        finally:
            _LOG.removeHandler(listener)
            self._clear()

    def _note(self, line: str) -> None:
        """A line for people while a file is at work."""
        for bar in self._bars:
            bar.clear()
        if not self.quiet:
            click.echo(line, err=True)

    def _clear(self) -> None:
        while self._bars:
            self._bars.pop().clear()


# ---- which files ------------------------------------------------------------------------------


def expand(
    paths: Sequence[Path], recursive: bool, wanted: Callable[[Path], bool], call: Call, folders: bool = False
) -> Iterator[tuple[Path, Path]]:
    """Every file with its place below an output folder; files in folders where ``recursive``, else an error each.

    folders: a folder is treated as a file is.
    """
    from bfncodec.files import own_name

    for path in paths:
        if path == STDIN or not path.is_dir():
            yield path, Path(path.name)
        elif folders and not recursive:
            yield path, Path(own_name(path).name)
        elif not recursive:
            call.fail(str(path), "is a folder; use -r to take the files in it")
        else:
            for inside in sorted(found for found in path.rglob("*") if found.is_file() and wanted(found)):
                yield inside, inside.relative_to(path)


def read_input(path: Path) -> bytes:
    """A file's bytes, or those of standard input."""
    from bfncodec.files import read

    if path != STDIN:
        return read(path)
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error


# ---- from file to file, or through a pipe -----------------------------------------------------


@dataclass(frozen=True)
class Direction:
    """Compressing or decompressing: a file's new name, a file to a file, and a file (or standard input) to bytes."""

    name: Callable[[Path], Path]
    file: Callable[[Path, Path, Options, Models, Bar], Result]
    data: Callable[[Path, Options, Models, Bar], Made]
    wanted: Callable[[Path], bool]
    binary: bool  # whether what comes out is never for a terminal
    folders: bool  # whether a folder may be one file


@dataclass(frozen=True)
class Transform:
    """A direction with everything that holds for all files of a call."""

    direction: Direction
    options: Options
    codecs: Models
    call: Call
    output: Path | None
    to_stdout: bool
    salvage: bool

    def run(self, paths: Sequence[Path], recursive: bool) -> int:
        """Treat every file; returns the exit code."""
        direction = self.direction
        for path, inside in expand(paths or (STDIN,), recursive, direction.wanted, self.call, direction.folders):
            name = "standard input" if path == STDIN else str(path)
            with self.call.each(name):
                self._one(path, inside, name)
        return self.call.code

    def _one(self, path: Path, inside: Path, name: str) -> None:
        bar = self.call.bar(name)
        options = self._telling(name)
        if not self.to_stdout and path != STDIN:
            target = self._target(path, inside)
            self._summarise(name, self.direction.file(path, target, options, self.codecs, bar))
            return
        if self.output is None:
            self._check_terminal()
        made = self.direction.data(path, options, self.codecs, bar)
        if self.output is None:
            write_stdout(made)
            return
        from bfncodec.files import place, place_folder

        if isinstance(made, dict):
            place_folder(self.output, made, force=options.force)
        else:
            place(self.output, made, force=options.force)

    def _target(self, path: Path, inside: Path) -> Path:
        if self.output is None:
            return self.direction.name(path)
        if not self.output.is_dir():
            return self.output
        target = self.direction.name(self.output / inside)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{target.parent} cannot be made: {error.strerror}") from error
        return target

    def _check_terminal(self) -> None:
        if self.direction.binary and not self.options.force and sys.stdout.isatty():
            raise OutputError("compressed data is not written to a terminal: use -o FILE, or -f to do it all the same")

    def _telling(self, name: str) -> Options:
        """The options, with lines for what is lost or left out."""
        told: set[str] = set()  # a large file may lie in several segments

        def lost(damage: Damage) -> None:
            where = ", ".join(f"{start}..{stop - 1}" for start, stop in damage.box)
            self.call.fail(name, f"segment {damage.segment + 1} of {damage.count} ({where}) is lost: {damage.reason}")
            for file in [file for file in damage.files if file not in told]:
                told.add(file)
                self.call.fail(name, f"{file if file.isprintable() else ascii(file)} is lost and left out")

        return replace(self.options, on_damage=lost if self.salvage else None, on_skip=self.call.skip)

    def _summarise(self, name: str, result: Result) -> None:
        from bfncodec.terminal import human_bytes, summary

        if self.options.part is not None:
            count = sum(result.coding.methods.values())
            read = f"read {human_bytes(result.read_bytes)} of {human_bytes(result.compressed_bytes)}"
            self.call.say(f"{name} : decoded {count} segment{'s' * (count != 1)}, {read}")
            return
        line = summary(name, result.plain_bytes, result.compressed_bytes, result.bits_per_dim)
        if self.call.verbose:
            coding = result.coding
            parts = ", ".join(f"{count} {method}" for method, count in coding.methods.items())
            line += f"  {coding.content} {coding.mode}".rstrip() + f", segments: {parts}"
            line += f", {coding.lines} lines" if coding.lines else ""
        self.call.say(line)


def no_place() -> OutputError:
    """A folder for standard output."""
    return OutputError("holds a folder, which standard output cannot: name a place for it with -o")


def write_stdout(data: Made) -> None:
    """Put the bytes of a file there. OutputError where that fails, or it is a folder."""
    if isinstance(data, dict):
        raise no_place()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        abandon_stdout()
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error
