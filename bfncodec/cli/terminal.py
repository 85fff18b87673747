"""The look of what people read: sizes, times, tables, the summary line and the progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from bfncodec.cli.signals import SIGNALS

__all__ = ["Bar", "human_bytes", "human_time", "share", "summary", "table"]

_UNITS = ("KiB", "MiB", "GiB", "TiB")
_STEP = 0.1  # seconds between two pictures of the bar


def human_bytes(count: float) -> str:
    """Return a size in at most four digits: 831 B, 421 KiB, 1.13 MiB.

    >>> human_bytes(831), human_bytes(431_104), human_bytes(1_184_890)
    ('831 B', '421 KiB', '1.13 MiB')
    """
    if count < 1000:
        return f"{count:.0f} B"
    unit = -1
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    digits = 2 if count < 9.995 else 1 if count < 99.95 else 0
    return f"{count:.{digits}f} {_UNITS[unit]}"


def human_time(seconds: float) -> str:
    """Return minutes and seconds, with hours where there are any.

    >>> human_time(75), human_time(3_725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def summary(plain_bytes: int, compressed_bytes: int, bits_per_dim: float, compressed: bool = True) -> str:
    """Return what there is to say of a file that was compressed, or else decompressed.

    >>> summary(1_184_890, 431_104, 2.9236)
    '2.92 bpd  36.4% (1.13 MiB => 421 KiB)'
    """
    return f"{bits_per_dim:.2f} bpd  {share(plain_bytes, compressed_bytes, compressed)}"


def share(plain_bytes: int, compressed_bytes: int, compressed: bool = True) -> str:
    """Return the compressed size as a part of the other, and both, the one that came out behind the arrow.

    >>> share(1_184_890, 431_104, compressed=False)
    '36.4% (421 KiB => 1.13 MiB)'
    """
    sizes = [human_bytes(plain_bytes), human_bytes(compressed_bytes)]
    percent = 100 * compressed_bytes / plain_bytes if plain_bytes else 100.0
    return f"{percent:.1f}% ({' => '.join(sizes if compressed else sizes[::-1])})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns as wide as their widest cell, the first to the left, the others to the right.

    >>> print(table(["file", "bits"], [["a.txt", "7"]]))
    file   bits
    a.txt     7
    """
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in [head, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


class Bar:
    """A progress bar on one line of a terminal, with rate and time left; nothing where ``shown`` is false.

    It is a :class:`bfncodec.runtime.progress.Reporter`. Where it is told of progress it raises Stopped if a signal has
    come, in whatever thread that is.
    """

    def __init__(self, name: str, shown: bool, stream: TextIO | None = None) -> None:
        self.name, self.shown, self.stream = name, shown, stream or sys.stderr
        self.total = self.done = 0
        self._began = self._drawn = time.monotonic()
        self._width = 0

    def start(self, total: int) -> None:
        """Begin work of `total` bytes or subpixels."""
        SIGNALS.check()
        self.total, self.done = total, 0
        self._began = time.monotonic()

    def advance(self, done: int) -> None:
        """Count `done` further bytes or subpixels as done."""
        SIGNALS.check()
        self.done += done
        now = time.monotonic()
        if self.shown and now - self._drawn >= _STEP:
            self._drawn = now
            self._draw(self._line(now - self._began))

    def clear(self) -> None:
        """Leave the line empty."""
        if self._width:
            self._draw("")
            with suppress(OSError):
                self.stream.write("\r")
            self._width = 0

    def _line(self, seconds: float) -> str:
        share = min(1.0, self.done / self.total) if self.total else 0.0
        rate = self.done / max(seconds, 1e-9)
        left = human_time((self.total - self.done) / rate) if rate and self.total >= self.done else "-:--"
        bar = ("#" * round(20 * share)).ljust(20, ".")
        return f"{self.name} [{bar}] {100 * share:3.0f}%  {human_bytes(rate)}/s  {left} left"

    def _draw(self, line: str) -> None:
        with suppress(OSError):  # nobody may be looking any more
            self.stream.write("\r" + line.ljust(self._width))
            self.stream.flush()
        self._width = len(line)
