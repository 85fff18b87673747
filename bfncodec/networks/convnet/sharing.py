"""A board by which threads share the pixels of a line, all of them in one kernel at the same time.

One thread, the *leader*, begins with jobs: a channel of a line. It publishes parts of them, some pixels each, as soon
as what these need is known, and every thread takes parts. One number says what there is to take::

    job << 40 | parts that are published << 20 | parts that are taken

so that nobody takes a part of another job than it sees. A thread that finds nothing looks again and again, and lets
others run when that has taken some microseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.runtime.arrays import Ints
from bfncodec.runtime.jit import compiled, written

# Places on the board. What threads look at again and again has a line of the cache of its own.
TICKET, DONE, THREADS, LINE, CHANNEL, EACH, PARTS = 0, 8, 16, 17, 18, 19, 20
SIZE = 24
JOB, PUBLISHED = 40, 20  # bits below them
PART = (1 << PUBLISHED) - 1
FEWEST, MOST = 8, 32  # pixels of a part where threads share a line, the fewest unless the whole line has fewer
PATIENCE = 1000  # looks before others may run: some 50 µs

_read = written("bfncodec.runtime.atomics", "read")
_write = written("bfncodec.runtime.atomics", "write")
_add = written("bfncodec.runtime.atomics", "add")
_exchange = written("bfncodec.runtime.atomics", "exchange")
_pause = written("bfncodec.runtime.atomics", "pause")
_give_way = written("bfncodec.runtime.atomics", "give_way")


def board_of(threads: int) -> Ints:
    """Return a board for so many threads."""
    board = np.zeros(SIZE, np.int64)
    board[THREADS] = threads
    return board


@compiled
def begin(board: Ints, line: int, channel: int, count: int, together: int) -> Any:
    """Begin with a job of so many pixels, of which no part is published yet. Returns the pixels of a part.

    together: pixels that go through the network at once.
    """
    each: Any = np.int64(together)
    threads = board[THREADS]
    if threads > 1:  # as many parts for everyone, of about one size
        rounds = max(-(-count // (min(each, MOST) * threads)), 1)
        each = max(-(-count // (rounds * threads)), FEWEST)
    board[LINE], board[CHANNEL], board[EACH], board[PARTS] = line, channel, each, -(-count // each)
    _write(board, DONE, 0)
    _write(board, TICKET, ((_read(board, TICKET) >> JOB) + 1) << JOB)
    return each


@compiled
def publish(board: Ints, parts: int) -> None:
    """Publish so many parts more."""
    _add(board, TICKET, parts << PUBLISHED)


@compiled
def take(board: Ints) -> Any:
    """Take a part, and return its number, -1 where there is none."""
    ticket = _read(board, TICKET)
    while ticket >= 0 and ticket & PART < (ticket >> PUBLISHED) & PART:
        if _exchange(board, TICKET, ticket, ticket + 1):
            return ticket & PART
        ticket = _read(board, TICKET)
    return np.int64(-1)


@compiled
def finish(board: Ints) -> None:
    """Say that a part that was taken is done."""
    _add(board, DONE, 1)


@compiled
def is_done(board: Ints) -> bool:
    """Return whether all parts of the job are done."""
    return bool(_read(board, DONE) >= board[PARTS])


@compiled
def dismiss(board: Ints) -> None:
    """Let all who wait for parts go."""
    _write(board, TICKET, -1)


@compiled
def dismissed(board: Ints) -> bool:
    """Return whether there will be no more parts."""
    return bool(_read(board, TICKET) < 0)


@compiled
def wait(looks: int) -> Any:
    """Wait a moment for what was looked for so many times. Returns the number of the next look."""
    if looks >= PATIENCE:
        _give_way()
        return np.int64(looks)
    _pause()
    return np.int64(looks + 1)
