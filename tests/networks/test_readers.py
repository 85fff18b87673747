"""The threads that read a picture: whether they work together."""

from __future__ import annotations

import pytest

from bfncodec.networks.convnet.readers import EVERY, Pace


def pace(together: float, alone: float, calls: int) -> list[bool]:
    """Return which of so many calls are made together, where each way takes a time of its own."""
    found, made = Pace(), []
    for _ in range(calls):
        made.append(found.together())
        found.took(made[-1], together if made[-1] else alone)
    return made


@pytest.mark.parametrize(("together", "alone"), [(1.0, 2.0), (2.0, 1.0)])
def test_the_slower_way_is_taken_now_and_then(together: float, alone: float) -> None:
    made = pace(together, alone, 4 * EVERY)[EVERY:]
    assert made.count(together > alone) == 3


def test_threads_begin_together() -> None:
    assert pace(1.0, 2.0, 1) == [True]


def test_a_machine_that_has_become_busy_is_noticed() -> None:
    found = Pace()
    for calls, together in ((40, 1.0), (40, 9.0), (200, 1.0)):
        made = []
        for _ in range(calls):
            made.append(found.together())
            found.took(made[-1], together if made[-1] else 2.0)
        assert made[-EVERY:].count(together < 2.0) == EVERY - 1
