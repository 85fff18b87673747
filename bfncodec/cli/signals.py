"""Signals: how the program ends when it is asked to.

A signal raises :class:`Stopped` in the main thread, so that files are cleaned up on the way out. But an exception that
comes out of nowhere may get lost: extension modules clear it while they are imported, Python drops it in finalisers,
and what comes out instead, if anything, is another error of a program that is half loaded. So the number is noted, too,
and whoever is about to turn an error into a message, to report progress, or to begin with the next file calls
:meth:`Signals.check`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

__all__ = ["SIGNALS", "SIGPIPE", "Signals", "Stopped"]

SIGPIPE = 13  # its number everywhere; Windows has no name for it

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SAME = 1.0  # seconds: terminals and the programs between them and us may both hand on the same interrupt


class Stopped(BaseException):
    """A signal asked the program to end, or would have; files are cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """The signals that this process was sent, of which the first decides how it ends."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._noted = 0.0

    def listen(self) -> None:
        """Raise Stopped for the signals that end a program, but for those that whoever started it lets it ignore."""
        sys.unraisablehook = partial(self._lost, sys.unraisablehook)
        self._handle(self._stop)

    def check(self) -> None:
        """Raise Stopped if a signal has come, whatever has become of what it raised."""
        if self.number is not None:
            raise Stopped(self.number)

    def leave_at_once(self) -> None:
        """Let signals end the process without a word from now on: everything is done, written and said."""
        self._handle(self._leave)

    def _handle(self, handler: Callable[[int, object], None]) -> None:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if self.number is not None and now - self._noted < _SAME:
            return  # it must not break off the cleaning up that the first one began
        self.number = self.number or number
        self._noted = now
        raise Stopped(self.number)

    def _leave(self, number: int, frame: object) -> NoReturn:
        os._exit(128 + (self.number or number))

    def _lost(self, otherwise: Callable[[Any], object], found: Any) -> None:
        """Python drops an exception, as in a finaliser. Of ours the number is noted, and nothing is to be said."""
        if not isinstance(found.exc_value, Stopped):
            otherwise(found)


SIGNALS = Signals()
"""The signals of this process, which has one handler for each."""
