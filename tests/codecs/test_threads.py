"""Work in threads: order, errors, and torch's threads afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import pytest
import torch

from bfncodec.codecs.threads import Team, in_order, in_threads
from bfncodec.errors import DamagedError


@pytest.mark.parametrize("threads", [1, 3])
def test_a_team_keeps_order_and_gives_the_threads_back(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with Team(threads) as team:
            assert team.each(lambda k: (k, torch.get_num_threads()), range(7)) == [(k, 1) for k in range(7)]
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), Team(threads) as team:
            team.each(lambda k: 1 // (3 - k), range(7))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_team_works_ahead_of_who_began_it(threads: int) -> None:
    with Team(threads) as team:
        first = Event()
        finish = team.begin(lambda k: (first.set(), k)[1], range(9))
        assert first.wait(20 if threads > 1 else 0) == (threads > 1)
        assert finish() == list(range(9))
        broken = team.begin(lambda k: 1 // (8 - k), range(9))
        with pytest.raises(ZeroDivisionError):
            broken()


@pytest.mark.parametrize("bad", [0, 1])
def test_one_failure_among_threads_ends_all(bad: int) -> None:
    """The error comes out, the other threads stop at their next report, and torch has its threads again."""
    before, reports, waiting = torch.get_num_threads(), [], Event()

    def work(group: int, report: Callable[[int], None]) -> int:
        if group == bad:
            raise DamagedError("the bad group")
        for _ in range(1000):
            report(1)
            reports.append(group)
            waiting.wait(0.01)
        return group

    with pytest.raises(DamagedError, match="the bad group"):
        in_threads(work, [0, 1], lambda done: None, 2)
    assert len(reports) < 1000
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_groups_yield_comes_in_their_order(threads: int) -> None:
    before, running = torch.get_num_threads(), list[int]()

    def work(group: int) -> Iterator[int]:
        running.append(group)
        yield from range(10 * group, 10 * group + group)

    found = in_order(work, range(7), threads)
    assert next(found) == 10  # group 0 yields nothing
    assert len(running) <= threads + 2  # no more than that are ahead
    assert [10, *found] == [10 * k + i for k in range(7) for i in range(k)]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_groups_are_taken_when_there_is_a_thread_for_them(threads: int) -> None:
    taken: list[int] = []

    def groups() -> Iterator[int]:
        for group in range(9):
            taken.append(group)
            yield group

    for number, result in enumerate(in_order(lambda group: [group], groups(), threads)):
        assert result == number
        assert len(taken) <= number + (1 if threads == 1 else threads + 1)


def test_groups_stop_when_one_fails_or_nobody_takes_more() -> None:
    yielded: list[int] = []

    def work(group: int) -> Iterator[int]:
        for _ in range(1000):
            if group == 1:
                raise DamagedError("the bad group")
            Event().wait(0.01)
            yielded.append(group)
            yield group

    with pytest.raises(DamagedError, match="the bad group"):
        list(in_order(work, [1, 0, 0], 2))
    before = len(yielded)
    assert before < 1000
    Event().wait(0.05)
    assert len(yielded) == before  # its threads have ended


def test_threads_give_results_in_order_and_report_everything() -> None:
    done: list[int] = []

    def work(group: int, report: Callable[[int], None]) -> tuple[int, int]:
        for _ in range(group):
            report(2)
        return group, torch.get_num_threads()

    assert in_threads(work, [3, 1, 2], done.append, 2) == [(3, 1), (1, 1), (2, 1)]
    assert sum(done) == 12
    assert in_threads(work, [], done.append, 2) == []
