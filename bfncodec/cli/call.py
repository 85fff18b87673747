"""One call over several files: what is said of each of them, and what follows when one fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from bfncodec.cli.messages import Listener, complain, failure, shown, tell
from bfncodec.cli.signals import SIGNALS
from bfncodec.cli.terminal import Bar

__all__ = ["Call"]

_LOG = logging.getLogger("bfncodec")


@dataclass
class Call:
    """One call of a command over several files: what it says of each, and whether one failed."""

    quiet: bool = False
    verbose: bool = False
    failed: bool = False
    _bars: list[Bar] = field(default_factory=list)

    @property
    def code(self) -> int:
        """Exit code so far: 1 if a file failed, else 0."""
        return int(self.failed)

    def bar(self, name: str) -> Bar:
        """Return a progress bar for one file; it shows nothing but at a terminal."""
        self._bars.append(Bar(shown(name), shown=not self.quiet and sys.stderr is not None and sys.stderr.isatty()))
        return self._bars[-1]

    def say(self, line: str) -> None:
        """Say a line to people, unless the call is to be quiet."""
        self._clear()
        if not self.quiet:
            tell(line)

    def fail(self, name: str, message: str) -> None:
        """Say that something went wrong with a file. Raises Stopped if a signal has come: it may be the reason."""
        self._clear()
        SIGNALS.check()
        self.failed = True
        complain(f"{shown(name)}: {message}")

    def skip(self, name: str, what: str) -> None:
        """Say that something in a folder cannot be kept, which is a failure."""
        self.fail(name, f"{what}: left out")

    def pass_over(self, name: str, what: str) -> None:
        """Say that something in a folder is not taken, which is no failure."""
        self.say(f"{shown(name)} : {what}: passed over")

    @contextmanager
    def each(self, name: str) -> Iterator[None]:
        """Say what goes wrong with one file in one line and go on, so that the next one follows.

        What is logged meanwhile is said, too; a warning is a failure. Raises Stopped if a signal has come, before and
        after.
        """
        SIGNALS.check()
        try:
            with self.listening(partial(self.fail, name)):
                yield
            SIGNALS.check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one file, the others are done
            self.fail(name, failure(error))
        finally:
            self._clear()

    @contextmanager
    def listening(self, warn: Callable[[str], None]) -> Iterator[None]:
        """Say what is logged; warn: called with warnings instead."""
        level = logging.DEBUG if self.verbose else logging.INFO
        listener, before = Listener(self._note, warn, level), _LOG.level
        _LOG.addHandler(listener)
        _LOG.setLevel(level)
        try:
            yield
        finally:
            _LOG.removeHandler(listener)
            _LOG.setLevel(before)  # the program around may be no command line

    def _note(self, line: str) -> None:
        """Say a line to people while a file is at work."""
        for bar in self._bars:
            bar.clear()
        if not self.quiet:
            tell(line)

    def _clear(self) -> None:
        while self._bars:
            self._bars.pop().clear()
