"""Many files, one call: where the result of each goes, and what is said of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from bfncodec.api import Damage, Models
from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.options import Output
from bfncodec.cli.selection import expand
from bfncodec.cli.streams import STDIN, check_apart, is_stdout, open_input, write_stdout
from bfncodec.cli.terminal import Bar, human_bytes, share, summary
from bfncodec.errors import BfncodecError, OutputError
from bfncodec.files.atomic import check_target, make_folder, place, place_folder
from bfncodec.files.collisions import Step, clashes
from bfncodec.files.options import Made, Options, Result, size_of
from bfncodec.files.places import file_at, folder_at
from bfncodec.files.streaming import Hashed
from bfncodec.files.together import MOST, placed_together
from bfncodec.format.concatenation import check_joinable
from bfncodec.format.limits import NO_LIMITS, Limits
from bfncodec.format.wire import StreamReader
from bfncodec.runtime.heaps import limit_heaps

__all__ = ["Direction", "Expansion", "Transform", "transform"]


HEAPS = 2  # of all threads, so that many files take no more memory than a few
Place = tuple[Path, Path]
"""A file and its target, or its place below an output folder."""


@dataclass(frozen=True)
class Expansion:
    """Output of a call that is accepted unasked: times its input, or so many bytes if that is more."""

    times: int = 1000
    least: int = 1 << 34


@dataclass(frozen=True)
class Direction:
    """Compressing or decompressing.

    Attributes
    ----------
    name
        A file's name after the work.
    file
        Does the work from a file to another.
    data
        Does it from a file or folder, or the bytes of a file that were read already, to bytes.
    chunks
        Does it from what is read to chunks of bytes, while it is read; None where that cannot be, and nothing is read.
    wanted
        Whether a file that is found in a folder is to be worked on.
    compresses
        Whether compressed bytes come out, which are never for a terminal.
    folders
        Whether a folder may be worked on as a file is.
    together
        Works on small files at once, given with their targets, and returns what puts each of them in its place.
    """

    name: Callable[[Path], Path]
    file: Callable[[Path, Path, Options, Models, Bar], Result]
    data: Callable[[Path | bytes, Options, Models, Bar], Made]
    chunks: Callable[[StreamReader, Options, Models, Bar], Iterator[bytes] | None]
    wanted: Callable[[Path], bool]
    compresses: bool
    folders: bool
    together: Callable[[Sequence[Place], Options, Models], Mapping[Path, Callable[[], Result]]]


def transform(files: Sequence[Path], given: Mapping[str, Any], direction: Direction, options: Options) -> int:
    """Compress or decompress files as the options of the command say; returns the exit code.

    Raises UsageError for options that contradict each other.
    """
    output: Output | None = given["output"]
    to_stdout = given["to_stdout"]
    if output is not None and to_stdout:
        raise click.UsageError("-c and -o exclude each other")
    if output is not None and is_stdout(output.path):
        output, to_stdout = None, True
    several = len(files) > 1 or given["recursive"]
    if output is not None and several and not output.holds_files:
        raise click.UsageError(
            f"-o {output.path}: for several files this must be a folder; {output.path}{os.sep} is made"
        )
    if given["remove"] and (to_stdout or not files or STDIN in files):
        raise click.UsageError("--rm needs a file on both sides: leave out -c and -")
    if several:
        limit_heaps(HEAPS)
    call = Call(given["quiet"], given["verbose"])
    salvage = given.get("salvage", False)
    return Transform(direction, options, models_of(given), call, output, to_stdout, salvage).run(
        files, given["recursive"]
    )


@dataclass
class Transform:
    """Work in one direction on all files of a call.

    salvage: say what is damaged, and keep what is left. expansion: output that is accepted where the caller set no
    limit. room: bytes that results may still have.
    """

    direction: Direction
    options: Options
    codecs: Models
    call: Call
    output: Output | None
    to_stdout: bool
    salvage: bool
    expansion: Expansion = Expansion()
    room: int = 0

    def run(self, paths: Sequence[Path], recursive: bool) -> int:
        """Work on every file, nothing if results would take each other's place; returns the exit code."""
        direction = self.direction
        found = list(expand(paths or (STDIN,), recursive, direction.wanted, self.call, direction.folders))
        if not self.to_stdout and self._clash(found):
            return self.call.code
        done = plain = compressed = 0
        self.room = self._all_room([path for path, _ in found])
        with closing(self._ahead(found)) as ahead:
            for path, inside, placed in ahead:
                name = "standard input" if path == STDIN else str(path)
                with self.call.each(name):
                    if self.to_stdout or path == STDIN:
                        self._to_stream(path, name, several=len(found) > 1)
                        continue
                    result = self._to_file(path, self._target(path, inside), name, placed)
                    done, plain, compressed = (
                        done + 1,
                        plain + result.plain_bytes,
                        compressed + result.compressed_bytes,
                    )
        if done > 1:
            self.call.say(f"{done} files : {share(plain, compressed, direction.compresses)}")
        return self.call.code

    # -- before the work --

    def _all_room(self, paths: Sequence[Path]) -> int:
        """Return the bytes that all results may have: as the caller says, else far more than honest files expand to."""
        limits = self.options.limits or Limits()
        if limits is NO_LIMITS or limits.output < NO_LIMITS.output:
            return limits.output
        given = sum(path.stat().st_size for path in paths if file_at(path))
        return max(self.expansion.least, self.expansion.times * given)

    def _clash(self, found: Sequence[tuple[Path, Path]]) -> bool:
        """Return whether results would take each other's place, or that of a source, and say which would."""
        steps = [Step(path, self._target_if_any(path, inside)) for path, inside in found if path != STDIN]
        clashing = clashes(steps)
        for source, message in clashing:
            self.call.fail(str(source), f"{message}: nothing was done")
        return bool(clashing)

    def _target_if_any(self, path: Path, inside: Path) -> Path | None:
        """Return where the result goes; None where there is no name for it, which is said later."""
        try:
            return self._target(path, inside)
        except BfncodecError:
            return None

    def _target(self, path: Path, inside: Path) -> Path:
        """Return where the result goes. inside: the place of the file below an output folder."""
        if self.output is None:
            return self.direction.name(path)
        if not self.output.holds_files:
            return self.output.path
        return self.direction.name(self.output.path / inside)

    # -- small files together --

    def _ahead(self, found: Sequence[Place]) -> Generator[tuple[Path, Path, Callable[[], Result] | None]]:
        """Yield every file with its place and, where the work on it has been done, what waits for its result to be put
        in its place.

        It is done on some small files together, a little ahead.
        """
        for first in range(0, len(found), MOST):
            some = found[first : first + MOST]
            made = {} if self.to_stdout or self.salvage or len(some) == 1 else self._together(some)
            if self.output is not None and self.output.holds_files:
                made = {path: partial(self._place, path, inside, made[path]) for path, inside in some if path in made}
            with placed_together(made) as placed:
                for path, inside in some:
                    yield path, inside, placed.get(path)

    def _place(self, path: Path, inside: Path, made: Callable[[], Result]) -> Result:
        """Put a result in its place in the output folder."""
        make_folder(self._target(path, inside).parent)
        return made()

    def _together(self, some: Sequence[Place]) -> Mapping[Path, Callable[[], Result]]:
        """Return what puts small files in their places; nothing where something is wrong, which is told when each of
        them is worked on alone.
        """
        targets = [(path, self._target_if_any(path, inside)) for path, inside in some if path != STDIN]
        places = [(path, target) for path, target in targets if target is not None]
        warned: list[str] = []
        try:
            with self.call.listening(warned.append):
                made = self.direction.together(places, self._options(""), self.codecs)
        except Exception:  # noqa: BLE001 - whatever it is comes again
            return {}
        return {} if warned else made

    # -- one file --

    def _to_file(self, path: Path, target: Path, name: str, placed: Callable[[], Result] | None) -> Result:
        """Work from a file to a file, or wait for what was made of it to be put in its place."""
        if placed is not None:
            result = placed()
        else:
            if self.output is not None and self.output.holds_files:
                make_folder(target.parent)
            result = self.direction.file(path, target, self._options(name), self.codecs, self.call.bar(name))
        self._use(result.plain_bytes)
        self.call.say(f"{shown(name)} : {self._summary(result)}")
        return result

    def _to_stream(self, path: Path, name: str, several: bool) -> None:
        """Work from standard input, or to standard output, or both. several: results follow one another there."""
        if self.output is None:
            self._check_terminal()
            check_apart(path)
        elif self.output.is_folder:
            raise OutputError(f"{self.output.path} is a folder and standard input has no name: name a file in it")
        elif not folder_at(self.output.path):  # else what comes may be a folder, too, and its target is looked at then
            check_target(self.output.path, Path(os.devnull), self.options.force)
        options, bar = self._options(name), self.call.bar(name)
        source: Path | bytes = path
        if path == STDIN or (options.part is None and not folder_at(path)):
            with open_input(path) as read:
                reader = StreamReader(read)
                chunks = self.direction.chunks(reader, options, self.codecs, bar)
                if chunks is not None:
                    self._pour(Hashed(chunks))
                    return
                source = reader.rest()
        made = self.direction.data(source, options, self.codecs, bar)
        self._use(size_of(made))
        if self.output is None:
            if several and self.direction.compresses and isinstance(made, bytes):
                check_joinable(made)
            write_stdout(made)
        elif isinstance(made, dict):
            place_folder(self.output.path, made, force=self.options.force)
        else:
            place(self.output.path, made, force=self.options.force)

    def _pour(self, chunks: Hashed) -> None:
        """Write chunks as they come."""
        if self.output is None:
            for chunk in chunks:
                write_stdout(chunk)
        else:
            place(self.output.path, chunks, force=self.options.force)
        self._use(chunks.size)

    def _use(self, size: int) -> None:
        """Count what came out, if it may be out of proportion to what went in."""
        if not self.direction.compresses:
            self.room -= size

    def _check_terminal(self) -> None:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        if self.direction.compresses and not self.options.force and terminal:
            raise OutputError("compressed data is not written to a terminal: use -o FILE, or -f to do it all the same")

    # -- what is said of it --

    def _options(self, name: str) -> Options:
        """Return the options for one file: what is lost or left out is said of it, and it may take the room left."""
        limits = self.options.limits and replace(self.options.limits, output=max(self.room, 0))
        on_damage = self._on_damage(name) if self.salvage else None
        return replace(self.options, on_damage=on_damage, on_skip=self.call.skip, limits=limits)

    def _on_damage(self, name: str) -> Callable[[Damage], None]:
        """Return the callback that says what of a file is damaged."""
        named: set[str] = set()  # a large file may lie in several segments

        def say(damage: Damage) -> None:
            which = f"segment {damage.segment + 1} of {damage.count}"
            if damage.segment == damage.count:
                self.call.fail(name, f"the index is damaged: {damage.reason}")
                return
            if damage.repaired:
                self.call.fail(name, f"{which} was damaged and nothing of it is lost: {damage.reason}")
                return
            where = ", ".join(f"{start}..{stop - 1}" for start, stop in damage.extent)
            self.call.fail(name, f"{which} ({where}) is lost: {damage.reason}")
            for file in [file for file in damage.files if file not in named]:
                named.add(file)
                self.call.fail(name, f"{shown(file)} is lost and left out")

        return say

    def _summary(self, result: Result) -> str:
        """Return what is said of a file that is done."""
        coding = result.coding
        if self.options.part is not None:
            count = sum(coding.methods.values())
            read = f"read {human_bytes(result.read_bytes)} of {human_bytes(result.compressed_bytes)}"
            return f"decoded {count} segment{'s' * (count != 1)}, {read}"
        line = summary(result.plain_bytes, result.compressed_bytes, result.bits_per_dim, self.direction.compresses)
        line += f", {result.comes_back}" if result.comes_back else ""
        if self.call.verbose:
            parts = ", ".join(f"{count} {method}" for method, count in coding.methods.items())
            line += f"  {coding.content} {coding.mode}".rstrip() + f", segments: {parts}"
            line += f", {coding.lines} lines" if coding.lines else ""
        return line
