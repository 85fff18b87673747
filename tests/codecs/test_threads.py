"""Work in threads: order, errors, and torch's threads afterwards."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest
import torch

from bfncodec.codecs.threads import Team, in_threads
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


def test_threads_give_results_in_order_and_report_everything() -> None:
    done: list[int] = []

    def work(group: int, report: Callable[[int], None]) -> tuple[int, int]:
        for _ in range(group):
            report(2)
        return group, torch.get_num_threads()

    assert in_threads(work, [3, 1, 2], done.append, 2) == [(3, 1), (1, 1), (2, 1)]
    assert sum(done) == 12
    assert in_threads(work, [], done.append, 2) == []
