"""The number of threads that work may use, for the length of a block and for the calling thread alone.

Where torch has been imported it is torch's number; otherwise it is kept here, and becomes torch's when that is
(:func:`settle`). torch keeps one number of threads for every thread of a program, and one that new threads begin with;
setting the first sets the second. The program around has a use for both, so here the second is put back at once, and
the first when the block ends.

A forked process has none of the threads that its parent's torch had started, and would wait for them for ever. So it
gets along with one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition, Lock
from typing import TypeVar, cast

from bfncodec.runtime.lazytorch import imported_torch

__all__ = ["ahead", "has_a_turn", "in_turn", "set_threads", "settle", "threads_here", "torch_threads"]


Result = TypeVar("Result")


class _Process:
    """The process: whether it was forked, a lock for setting its threads, and turns, of which `busy` are taken."""

    def __init__(self) -> None:
        self.lock, self.turns, self.busy, self.forked = Lock(), Condition(), 0, False

    def begin_anew(self) -> None:
        """Start over in a forked child: locks and turns may have been had by threads that are not here."""
        self.lock, self.turns, self.busy, self.forked = Lock(), Condition(), 0, True


class _Here(threading.local):
    """The calling thread. count: threads that it may use, as long as there is no torch, None for the program's.
    has_turn: it is inside a block of `in_turn`.
    """

    count: int | None = None
    has_turn: bool = False


_PROCESS, _HERE = _Process(), _Here()
if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_PROCESS.begin_anew)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """A block in which the calling thread may use so many threads, None for as many as it may; in a forked process
    always one.
    """
    now = threads_here()
    before = now if imported_torch() else _HERE.count
    wanted = 1 if _PROCESS.forked else count or now
    if wanted == now:
        yield
        return
    set_threads(wanted)
    try:
        yield
    finally:
        set_threads(before)


@contextmanager
def in_turn(threads: int) -> Iterator[None]:
    """A block whose work keeps one thread busy: it waits until fewer than so many others of the program are inside such
    blocks, as more at once would take the caches from each other.
    """
    with _PROCESS.turns:
        _PROCESS.turns.wait_for(lambda: _PROCESS.busy < threads)
        _PROCESS.busy += 1
    _HERE.has_turn = True
    try:
        yield
    finally:
        _HERE.has_turn = False
        with _PROCESS.turns:
            _PROCESS.busy -= 1
            _PROCESS.turns.notify_all()


def has_a_turn() -> bool:
    """Return whether the calling thread is inside a block of :func:`in_turn`, and would wait for itself in another."""
    return _HERE.has_turn


def threads_here() -> int:
    """Return how many threads the calling thread may use: as many as torch has for it, or would have."""
    torch = imported_torch()
    return int(torch.get_num_threads()) if torch else _HERE.count or _processors()


def set_threads(count: int | None) -> None:
    """Set the threads of the calling thread, None for the program's number; new threads begin with what they began with
    before.
    """
    torch = imported_torch()
    _HERE.count = None if torch else count
    if torch is None:
        return
    torch.get_num_threads()  # a thread takes its first number when it first asks, also where it was set before
    with _PROCESS.lock, ThreadPoolExecutor(1) as new:
        default = new.submit(torch.get_num_threads).result()
        torch.set_num_threads(count or default)
        new.submit(torch.set_num_threads, default).result()


def ahead(results: Iterator[Result]) -> Iterator[Result]:
    """Yield results, of which a thread makes the next while the caller has the last."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, results, end)
        while (result := following.result()) is not end:
            following = pool.submit(next, results, end)
            yield cast(Result, result)


def settle() -> None:
    """Give torch, which has been imported since, the number of threads that the calling thread may use."""
    if _HERE.count is not None:
        set_threads(_HERE.count)


def _processors() -> int:
    """Return how many threads torch would begin with."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    stated = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(int(stated), here) if stated.isdecimal() and int(stated) else here
