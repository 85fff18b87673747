"""Groups of items coded side by side, one in each thread.

Networks on short lines spend much of their time between operations, where torch's own threads have nothing to share
and burn what others could use while they wait. Whole groups in threads of Python's, each with one of torch's, keep all
processors busy. What is computed does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import TypeVar

import torch

from bfncodec.codecs.base import Progress

Group = TypeVar("Group")
Result = TypeVar("Result")


class _StoppedError(Exception):
    """Raised inside a thread whose work nobody wants any more."""


class Team:
    """Threads of Python's with one of torch's each, for as long as it is entered."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> Team:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._before)  # those threads changed it for all that are to come

    def each(self, work: Callable[[Group], Result], groups: Sequence[Group]) -> list[Result]:
        """`work` of every group, in their order."""
        alone = self.threads == 1 or len(groups) == 1
        return [work(group) for group in groups] if alone else list(self._pool.map(work, groups))


def in_threads(
    work: Callable[[Group, Progress], Result], groups: Sequence[Group], progress: Progress, threads: int
) -> list[Result]:
    """`work` of every group, in at most so many threads. The first error ends all, as soon as they report progress."""
    lock, stopped, before = Lock(), Event(), torch.get_num_threads()

    def report(done: int) -> None:
        with lock:
            if stopped.is_set():
                raise _StoppedError
            progress(done)

    workers = max(1, min(threads, len(groups)))
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            futures = [pool.submit(work, group, report) for group in groups]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()  # raises what went wrong
            return [future.result() for future in futures]
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)  # those threads changed it for all that are to come
