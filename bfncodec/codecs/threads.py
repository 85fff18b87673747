"""Groups of items coded side by side, one in each thread.

Networks on short lines spend much of their time between operations, where torch's own threads have nothing to share
and burn what others could use while they wait. Whole groups in threads of Python's, each with one of torch's, keep all
processors busy. What is computed does not depend on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import chain, pairwise
from threading import Event, Lock
from typing import Protocol, TypeVar

from bfncodec.runtime.progress import Progress
from bfncodec.runtime.threads import set_threads, torch_threads

Group = TypeVar("Group")
Result = TypeVar("Result")


class _StoppedError(Exception):
    """Raised inside a thread whose work nobody wants any more."""


class Team:
    """Threads of Python's with one of torch's each, for as long as it is entered; the thread that enters is one."""

    def __init__(self, threads: int) -> None:
        self.threads, self._inside = threads, ExitStack()

    def __enter__(self) -> Team:
        self._inside.enter_context(torch_threads(1))
        self._pool = self._inside.enter_context(_pool(self.threads - 1)) if self.threads > 1 else None
        return self

    def __exit__(self, *_: object) -> None:
        self._inside.close()

    def each(self, work: Callable[[Group], Result], groups: Sequence[Group]) -> list[Result]:
        """`work` of every group, in their order."""
        if len(groups) == 1:
            return [work(groups[0])]
        finish = self.begin(work, groups[:-1])
        last = work(groups[-1])
        return [*finish(), last]

    def begin(self, work: Callable[[Group], Result], groups: Sequence[Group]) -> Callable[[], list[Result]]:
        """Let the other threads begin with `work` of every group. Returns what waits for the results, in the order of
        the groups, and takes part: the calling thread, which may do something else before, takes the last that nobody
        has begun with.
        """
        if self._pool is None:
            return lambda: [work(group) for group in groups]
        futures = [self._pool.submit(work, group) for group in groups]

        def finish() -> list[Result]:
            own = {k: work(groups[k]) for k in reversed(range(len(groups))) if futures[k].cancel()}
            return [own[k] if k in own else futures[k].result() for k in range(len(groups))]

        return finish


class Each(Protocol):
    """`work` of every group, in their order."""

    def __call__(self, work: Callable[[Group], Result], groups: Sequence[Group], /) -> Iterable[Result]: ...


@contextmanager
def side_by_side(threads: int) -> Iterator[Each]:
    """A block in which so many threads share groups, each taking some that lie behind each other."""
    if threads <= 1:
        yield map
        return
    with _pool(threads) as pool:

        def each(work: Callable[[Group], Result], groups: Sequence[Group]) -> Iterable[Result]:
            edges = [len(groups) * k // threads for k in range(threads + 1)]
            shares = [groups[a:b] for a, b in pairwise(edges) if a < b]
            return chain.from_iterable(pool.map(lambda share: [work(group) for group in share], shares))

        yield each


def in_threads(
    work: Callable[[Group, Progress], Result], groups: Sequence[Group], progress: Progress, threads: int
) -> list[Result]:
    """`work` of every group, in at most so many threads. The first error ends all, as soon as they report progress."""
    workers = min(threads, len(groups))
    if workers <= 1:
        with torch_threads(1):
            return [work(group, progress) for group in groups]
    lock, stopped = Lock(), Event()

    def report(done: int) -> None:
        with lock:
            if stopped.is_set():
                raise _StoppedError
            progress(done)

    with _pool(workers) as pool:
        try:
            futures = [pool.submit(work, group, report) for group in groups]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()  # raises what went wrong
            return [future.result() for future in futures]
        finally:
            stopped.set()


def in_order(work: Callable[[Group], Iterable[Result]], groups: Iterable[Group], threads: int) -> Iterator[Result]:
    """Yield what `work` of every group yields, in their order: some groups side by side in at most so many threads, and
    of one more the results wait. The first error ends all; so does whoever takes no more.

    groups: no more of them are taken ahead of the results than are worked on, and one.
    """
    workers = min(threads, len(groups)) if isinstance(groups, Sized) else threads
    if workers <= 1:
        for group in groups:
            yield from work(group)
        return
    stopped = Event()

    def all_of(group: Group) -> deque[Result]:
        found: deque[Result] = deque()
        for result in work(group):
            if stopped.is_set():
                raise _StoppedError
            found.append(result)
        return found

    with _pool(workers) as pool:
        ahead: deque[Future[deque[Result]]] = deque()
        try:
            for group in groups:
                ahead.append(pool.submit(all_of, group))
                if len(ahead) > workers:
                    yield from _taken(ahead.popleft().result())
            while ahead:
                yield from _taken(ahead.popleft().result())
        finally:
            stopped.set()


def _taken(results: deque[Result]) -> Iterator[Result]:
    """Yield results, of which those that were taken need no room any more."""
    while results:
        yield results.popleft()


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads of Python's with one of torch's each. What has not begun when the block ends never does."""
    with ThreadPoolExecutor(workers, initializer=set_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
