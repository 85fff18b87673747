"""Progress of long work: a callback for what was done, a reporter that also hears how much there is.

Both count in bytes of text or subpixels of pictures. They may be called from any thread, and what they raise ends the
work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["SILENT", "Progress", "Reporter", "silent"]

Progress = Callable[[int], None]
"""Called now and then with the number of further bytes or subpixels done."""


def silent(done: int) -> None:
    """Show no progress."""


class Reporter(Protocol):
    """Display of the progress of one piece of work after the other."""

    def start(self, total: int) -> None:
        """Begin work of `total` bytes or subpixels."""

    def advance(self, done: int) -> None:
        """Count `done` further bytes or subpixels as done; a :data:`Progress`."""


class _Silent:
    """A reporter that shows nothing."""

    def start(self, total: int) -> None:
        """Show nothing."""

    def advance(self, done: int) -> None:
        """Show nothing."""


SILENT: Reporter = _Silent()
"""The reporter of calls that nobody watches."""
