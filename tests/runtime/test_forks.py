"""Forked children do not wait for what threads have at the moment of a fork."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

import bfncodec
from bfncodec.files.options import Options
from bfncodec.forks import ProcessLock, cached_property

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # of Python, that threads are here
]


class Slow:
    """Objects whose number takes as long as one is told."""

    def __init__(self, begun: Event, may_end: Event) -> None:
        self.begun, self.may_end = begun, may_end

    @cached_property
    def number(self) -> int:
        """A number."""
        self.begun.set()
        assert self.may_end.wait(20)
        return 7


def exit_code(work: Callable[[], object]) -> int:
    """The exit code of a forked child that does some work, and is ended where it takes five seconds."""
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        try:
            work()
        except BaseException:  # noqa: BLE001 - told by the exit code
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[None]:
    thread = Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_a_property_that_a_thread_computes_hinders_no_child() -> None:
    begun, may_end, free = Event(), Event(), Event()
    free.set()
    slow = Slow(begun, may_end)
    with in_thread(lambda: slow.number):
        assert begun.wait(20)
        code = exit_code(lambda: Slow(Event(), free).number)
        may_end.set()
    assert code == 0
    assert vars(slow)["number"] == 7 == slow.number
    assert (Slow.number.__doc__, type(Slow.number).__name__) == ("A number.", "cached_property")


def test_a_lock_that_a_thread_has_hinders_no_child(tmp_path: Path) -> None:
    bfncodec.write_archive(tmp_path / "x.bfn", ["to be"], Options(model="none"))
    archive, kept, lock = bfncodec.Archive(tmp_path / "x.bfn"), bfncodec.Models(), ProcessLock()
    has, may_end = Event(), Event()

    def hold() -> None:
        with archive._lock, kept._lock, lock:
            has.set()
            assert may_end.wait(20)

    def use() -> None:
        assert archive[0] == "to be"
        with kept._lock, lock:
            pass

    with in_thread(hold):
        assert has.wait(20)
        code = exit_code(use)
        may_end.set()
    assert code == 0
    use()
