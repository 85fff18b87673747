"""Threads that read the lines of pictures together, see :mod:`bfncodec.networks.convnet.sharing`.

Two threads are faster where both run at once. On a busy machine the one that reads would wait for another that the
system has put aside; so the time of every call is taken, and what was slower lately is tried only now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from bfncodec.coding.rangecoder import Codes
from bfncodec.networks.convnet.reading import Lines, Reading, read_lines
from bfncodec.networks.convnet.sharing import TICKET, board_of
from bfncodec.runtime.arrays import Bytes
from bfncodec.runtime.jit import flat

Item = TypeVar("Item")
Made = TypeVar("Made")
EVERY, FIRST = 16, 3  # of so many calls one is made in the slower way, of the first ones this


class Pace:
    """The time that work took together and alone, and so the way that is to be taken next."""

    def __init__(self) -> None:
        self._seconds, self._calls = {True: 0.0, False: float("inf")}, 0

    def together(self) -> bool:
        """Return whether the next call is to be made together."""
        together = self._seconds[True] <= self._seconds[False]
        return together != (self._calls % EVERY == FIRST)

    def took(self, together: bool, seconds: float) -> None:
        """Remember what a unit of work took, the mean of it and what was remembered."""
        before = self._seconds[together]
        self._seconds[together] = (before + seconds) / 2 if 0 < before < float("inf") else seconds
        self._calls += 1


class Readers:
    """Threads that read pixels of some pictures, while it is entered; the one that enters it is the first.

    readings: all that each of them reads with, which are the same but for `work` and `room`.
    """

    def __init__(self, readings: Sequence[Reading], codes: Codes, values: Bytes) -> None:
        self._readings, self._target, self._pace = list(map(flat, readings)), (flat(codes), flat(values)), Pace()
        self._pool = ThreadPoolExecutor(len(readings) - 1) if len(readings) > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def ahead(self, make: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        """Yield what `make` makes of items, of which another thread makes the next one meanwhile."""
        if self._pool is None:
            yield from map(make, items)
            return
        following: list[Future[Made]] = []
        for k, item in enumerate(items):
            found = following.pop().result() if following and not following[0].cancel() else make(item)
            following = [self._pool.submit(make, after) for after in items[k + 1 : k + 2]]
            yield found

    def read(self, lines: Lines) -> bool:
        """Read some lines. Returns whether an encoder may have written the codes."""
        first, *others = self._readings
        together = bool(others) and self._pace.together()
        helpers = others if together else []
        board, begun, helping = board_of(1 + len(helpers)), time.perf_counter(), list[Future[bool]]()
        given: list[Any] = [flat(lines), *self._target, flat(board)]
        try:
            if self._pool is not None:
                helping += [self._pool.submit(read_lines, *(helper, *given, False)) for helper in helpers]
            fine: bool = read_lines(first, *given, True)
        finally:
            board[TICKET] = -1  # also where this thread was interrupted, so that nobody waits for it
            for future in helping:
                if not future.cancel():
                    future.result()
        self._pace.took(together, (time.perf_counter() - begun) / len(lines.place))
        return fine
