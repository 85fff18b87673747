"""Many files, one call: which files, where each goes, and what happens when one of them fails."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from bfncodec.cli.signals import SIGNALS, SIGPIPE, Stopped
from bfncodec.errors import BfncodecError, InputError, OutputError

if TYPE_CHECKING:
    from bfncodec.api import Damage, Models
    from bfncodec.cli.terminal import Bar
    from bfncodec.files.options import Made, Options, Result

__all__ = [
    "STDIN",
    "Call",
    "Direction",
    "Output",
    "Transform",
    "abandon_stdout",
    "complain",
    "expand",
    "internal_error",
    "is_stdout",
    "no_place",
    "open_closed_streams",
    "print_line",
    "read_input",
    "report",
    "shown",
    "write_stdout",
]

STDIN = Path("-")
_EXPANSION, _LEAST_OUTPUT = 1000, 1 << 34
_LOG = logging.getLogger("bfncodec")


class _Listener(logging.Handler):
    """Passes on what is logged."""

    def __init__(self, tell: Callable[[str], None], level: int) -> None:
        super().__init__(level)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


def shown(name: str) -> str:
    r"""A file's name as one line of a terminal can show it.

    >>> shown("a.txt"), shown("two\nlines")
    ('a.txt', "'two\\nlines'")
    """
    return name if name.isprintable() else ascii(name)


def complain(message: str) -> None:
    """One line on standard error, where names cannot do more than be read."""
    line = " ".join(message.split("\n"))
    tell("bfncodec: " + "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line))


def tell(line: str) -> None:
    """Something for people, which may have left."""
    with suppress(OSError):
        click.echo(line, err=True)


def report(line: str) -> None:
    """Return what a long work has to say on standard output; it goes on where nobody reads that any more."""
    SIGNALS.check()
    with suppress(OSError):
        click.echo(line)


def print_line(text: str) -> None:
    """Results on standard output. OutputError where it is closed, Stopped where nobody reads it any more."""
    write_stdout((text + "\n").encode(errors="backslashreplace"))


def abandon_stdout() -> None:
    """Nothing more can be written there: keep Python from trying again, and complaining, when it exits."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_closed_streams() -> None:
    """Where a standard stream is closed, the next file to be opened would take its number, and whatever libraries say
    would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


@dataclass
class Call:
    """One call of a command over several files."""

    quiet: bool = False
    verbose: bool = False
    failed: bool = False
    room: int = 0  # bytes that results may still have
    _bars: list[Bar] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code so far."""
        return int(self.failed)

    def bar(self, name: str) -> Bar:
        """A progress bar for one file."""
        from bfncodec.cli.terminal import Bar

        self._bars.append(Bar(name, shown=not self.quiet and sys.stderr is not None and sys.stderr.isatty()))
        return self._bars[-1]

    def say(self, line: str) -> None:
        """A line for people."""
        self._clear()
        if not self.quiet:
            tell(line)

    def fail(self, name: str, message: str) -> None:
        """Something went wrong with a file. Stopped where a signal has come, which may be what is behind it."""
        self._clear()
        SIGNALS.check()
        self.failed = True
        complain(f"{shown(name)}: {message}")

    def skip(self, name: str, what: str) -> None:
        """Something in a folder cannot be kept."""
        self.fail(name, f"{what}: left out")

    def pass_over(self, name: str, what: str) -> None:
        """Something in a folder is not taken, which is no failure."""
        self.say(f"{shown(name)} : {what}: passed over")

    @contextmanager
    def each(self, name: str) -> Iterator[None]:
        """What goes wrong with one file is said in one line, and the next one follows. What is logged is said, too."""
        SIGNALS.check()
        level = logging.DEBUG if self.verbose else logging.INFO
        listener, before = _Listener(self._note, level), _LOG.level
        _LOG.addHandler(listener)
        _LOG.setLevel(level)
        try:
            yield
            SIGNALS.check()
        except BfncodecError as error:
            self.fail(name, error.for_command())
        except MemoryError:
            self.fail(name, "not enough memory: try smaller files")
        except OSError as error:
            self.fail(name, error.strerror or str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one file, the others are done
            self.fail(name, _unexpected(error))
        finally:
            _LOG.removeHandler(listener)
            _LOG.setLevel(before)  # the program around may be no command line
            self._clear()

    def _note(self, line: str) -> None:
        """A line for people while a file is at work."""
        for bar in self._bars:
            bar.clear()
        if not self.quiet:
            tell(line)

    def _clear(self) -> None:
        while self._bars:
            self._bars.pop().clear()


def _unexpected(error: Exception) -> str:
    """Return what to say of an exception that nothing should raise."""
    if isinstance(error, RuntimeError) and "out of memory" in str(error):  # how torch says it, of a GPU and the machine
        return "not enough memory on the device: use --device cpu"
    return internal_error(error)


def internal_error(error: Exception) -> str:
    """One line for a fault of this program: what was raised, and where."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame is not None else ""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"internal error ({what}{where}): please report this, with the file if you can"


# ---- which files ------------------------------------------------------------------------------


def expand(
    paths: Sequence[Path], recursive: bool, wanted: Callable[[Path], bool], call: Call, folders: bool = False
) -> Iterator[tuple[Path, Path]]:
    """Every file with its place below an output folder; files in folders where ``recursive``, else an error each.

    folders: a folder is treated as a file is.
    """
    from bfncodec.files.names import own_name

    for path in paths:
        if path == STDIN or not path.is_dir():
            yield path, Path(path.name)
        elif folders and not recursive:
            yield path, Path(own_name(path).name)
        elif not recursive:
            call.fail(str(path), "is a folder: use -r to take the files in it")
        else:
            for inside in _files_in(path, wanted, call):
                yield inside, inside.relative_to(path)


def _files_in(folder: Path, wanted: Callable[[Path], bool], call: Call) -> list[Path]:
    """The wanted files in a folder and those in it. What is passed over is named, and no failure; links, which may
    lead out of the folder and back into it, are not followed. A folder that cannot be read is a failure.
    """
    from bfncodec.files.atomic import is_leftover

    def fail(error: OSError) -> None:
        call.fail(str(error.filename), f"cannot be read: {error.strerror or error}")

    found: list[Path] = []
    for top, inner, names in os.walk(folder, onerror=fail):
        inner.sort()
        if not inner and not names:
            call.pass_over(top, "is an empty folder")
        for path in (Path(top, name) for name in sorted([*inner, *names])):
            if path.is_symlink():
                call.pass_over(str(path), "is a symbolic link" if path.exists() else "is a symbolic link to nothing")
            elif path.is_dir():
                continue
            elif not path.is_file():
                call.pass_over(str(path), "is neither a file nor a folder")
            elif is_leftover(path.name):
                call.pass_over(str(path), "was left behind by a process that was killed")
            elif wanted(path):
                found.append(path)
    return sorted(found)


def is_stdout(path: Path) -> bool:
    """Whether it is another name of standard output. What a shell's redirection points at is not replaced then."""
    from bfncodec.files.atomic import descriptor

    return path == STDIN or descriptor(path) == 1


def read_input(path: Path) -> bytes:
    """A file's bytes, or those of standard input."""
    from bfncodec.files.sources import read

    if path != STDIN:
        return read(path)
    if sys.stdin is None:
        raise InputError("standard input is closed")
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
    compresses: bool  # what comes out is never for a terminal
    folders: bool  # whether a folder may be one file


@dataclass(frozen=True)
class Output:
    """What was given as -o. is_folder: it ends in a slash, so it is a folder, which is made where it is not there."""

    path: Path
    is_folder: bool = False

    @property
    def holds_files(self) -> bool:
        """Return whether targets go into it."""
        return self.is_folder or self.path.is_dir()


@dataclass(frozen=True)
class Transform:
    """A direction with everything that holds for all files of a call."""

    direction: Direction
    options: Options
    codecs: Models
    call: Call
    output: Output | None
    to_stdout: bool
    salvage: bool

    def run(self, paths: Sequence[Path], recursive: bool) -> int:
        """Treat every file; returns the exit code."""
        direction = self.direction
        found = list(expand(paths or (STDIN,), recursive, direction.wanted, self.call, direction.folders))
        if not self.to_stdout and self._clash(found):
            return self.call.code
        done: list[Result] = []
        self.call.room = self._room([path for path, _ in found])
        for path, inside in found:
            name = "standard input" if path == STDIN else str(path)
            with self.call.each(name):
                result = self._one(path, inside, name, several=len(found) > 1)
                done += [result] if result is not None else []
        if len(done) > 1:
            self._total(done)
        return self.call.code

    def _room(self, paths: Sequence[Path]) -> int:
        """Bytes that all results together may have: what the caller says, else far more than honest files expand to."""
        from bfncodec.format.limits import NO_LIMITS, Limits

        limits = self.options.limits or Limits()
        if limits is NO_LIMITS or limits.output < NO_LIMITS.output:
            return limits.output
        return max(_LEAST_OUTPUT, _EXPANSION * sum(path.stat().st_size for path in paths if path.is_file()))

    def _clash(self, found: Sequence[tuple[Path, Path]]) -> bool:
        """Return whether results would take each other's place, or that of a source; each that would is named."""
        from bfncodec.files.collisions import Step, clashes

        steps = [Step(path, self._named(path, inside)) for path, inside in found if path != STDIN]
        told = clashes(steps)
        for source, message in told:
            self.call.fail(str(source), f"{message}: nothing was done")
        return bool(told)

    def _named(self, path: Path, inside: Path) -> Path | None:
        """Where the result goes; None where there is no name for it, which is said later."""
        try:
            return self._target(path, inside)
        except BfncodecError:
            return None

    def _one(self, path: Path, inside: Path, name: str, several: bool) -> Result | None:
        bar = self.call.bar(shown(name))
        options = self._telling(name)
        if not self.to_stdout and path != STDIN:
            target = self._target(path, inside)
            if self.output is not None and self.output.holds_files:
                from bfncodec.files.atomic import make_folder

                make_folder(target.parent)
            result = self.direction.file(path, target, options, self.codecs, bar)
            self.call.room -= 0 if self.direction.compresses else result.plain_bytes
            self._summarise(name, result)
            return result
        if self.output is None:
            self._check_terminal()
        elif self.output.is_folder:
            raise OutputError(f"{self.output.path} is a folder and standard input has no name: name a file in it")
        from bfncodec.files.options import size_of

        made = self.direction.data(path, options, self.codecs, bar)
        self.call.room -= 0 if self.direction.compresses else size_of(made)
        if self.output is None:
            if several and self.direction.compresses and isinstance(made, bytes):
                from bfncodec.format.concatenation import check_joinable

                check_joinable(made)
            write_stdout(made)
            return None
        from bfncodec.files.atomic import place, place_folder

        if isinstance(made, dict):
            place_folder(self.output.path, made, force=options.force)
        else:
            place(self.output.path, made, force=options.force)
        return None

    def _target(self, path: Path, inside: Path) -> Path:
        if self.output is None:
            return self.direction.name(path)
        if not self.output.holds_files:
            return self.output.path
        return self.direction.name(self.output.path / inside)

    def _check_terminal(self) -> None:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        if self.direction.compresses and not self.options.force and terminal:
            raise OutputError("compressed data is not written to a terminal: use -o FILE, or -f to do it all the same")

    def _telling(self, name: str) -> Options:
        """The options, with lines for what is lost or left out."""
        told: set[str] = set()  # a large file may lie in several segments

        def lost(damage: Damage) -> None:
            which = f"segment {damage.segment + 1} of {damage.count}"
            if damage.repaired:
                self.call.fail(name, f"{which} was damaged and nothing of it is lost: {damage.reason}")
                return
            where = ", ".join(f"{start}..{stop - 1}" for start, stop in damage.extent)
            self.call.fail(name, f"{which} ({where}) is lost: {damage.reason}")
            for file in [file for file in damage.files if file not in told]:
                told.add(file)
                self.call.fail(name, f"{shown(file)} is lost and left out")

        limits = self.options.limits and replace(self.options.limits, output=max(self.call.room, 0))
        return replace(self.options, on_damage=lost if self.salvage else None, on_skip=self.call.skip, limits=limits)

    def _summarise(self, name: str, result: Result) -> None:
        from bfncodec.cli.terminal import human_bytes, summary

        if self.options.part is not None:
            count = sum(result.coding.methods.values())
            read = f"read {human_bytes(result.read_bytes)} of {human_bytes(result.compressed_bytes)}"
            self.call.say(f"{shown(name)} : decoded {count} segment{'s' * (count != 1)}, {read}")
            return
        sizes = result.plain_bytes, result.compressed_bytes
        line = summary(shown(name), *sizes, result.bits_per_dim, self.direction.compresses)
        line += f", {result.comes_back}" if result.comes_back else ""
        if self.call.verbose:
            coding = result.coding
            parts = ", ".join(f"{count} {method}" for method, count in coding.methods.items())
            line += f"  {coding.content} {coding.mode}".rstrip() + f", segments: {parts}"
            line += f", {coding.lines} lines" if coding.lines else ""
        self.call.say(line)

    def _total(self, done: Sequence[Result]) -> None:
        from bfncodec.cli.terminal import share

        plain, compressed = sum(r.plain_bytes for r in done), sum(r.compressed_bytes for r in done)
        self.call.say(f"{len(done)} files : {share(plain, compressed, self.direction.compresses)}")


def no_place() -> OutputError:
    """A folder for standard output."""
    return OutputError("holds a folder, which standard output cannot: name a place for it with -o")


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of it: a stream without a buffer, as with PYTHONUNBUFFERED, may take a part and say only so."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    file.flush()


def write_stdout(data: Made) -> None:
    """Put the bytes of a file there. OutputError where that fails, or it is a folder."""
    if isinstance(data, dict):
        raise no_place()
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        _write_all(sys.stdout.buffer, data)
    except BrokenPipeError as error:
        raise Stopped(SIGPIPE) from error
    except OSError as error:
        abandon_stdout()
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error
