"""The number of threads that torch may use, for the length of a block and for the calling thread alone.

torch keeps one number of threads for every thread of a program, and one that new threads begin with; setting the first
sets the second. The program around has a use for both, so here the second is put back at once, and the first when
the block ends.

A forked process has none of the threads that its parent's torch had started, and would wait for them for ever. So it
gets along with one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

import torch

__all__ = ["set_threads", "torch_threads"]


class _Process:
    """The process: whether it was forked, and a lock for setting its threads."""

    def __init__(self) -> None:
        self.lock, self.forked = Lock(), False

    def begin_anew(self) -> None:
        """Start over in a forked child: the lock may have been held by a thread that is not here."""
        self.lock, self.forked = Lock(), True


_PROCESS = _Process()
if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_PROCESS.begin_anew)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """A block in which torch has so many threads in the calling thread, None for as many as it has; in a forked process
    always one.
    """
    before = torch.get_num_threads()
    wanted = 1 if _PROCESS.forked else count or before
    if wanted == before:
        yield
        return
    set_threads(wanted)
    try:
        yield
    finally:
        set_threads(before)


def set_threads(count: int) -> None:
    """Set torch's threads for the calling thread; new threads begin with what they began with before."""
    torch.get_num_threads()  # a thread takes its first number when it first asks, also where it was set before
    with _PROCESS.lock, ThreadPoolExecutor(1) as new:
        default = new.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        new.submit(torch.set_num_threads, default).result()
