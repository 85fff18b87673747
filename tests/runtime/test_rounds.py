"""Rounds of kernels do what the same calls do one after the other, in any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from bfncodec.runtime.jit import compiled
from bfncodec.runtime.rounds import Rounds

UNITS, LAST = 3, 400


@compiled
def work(shared: Any, own: Any, number: int) -> None:
    """Do the work of a unit: what it makes depends on all units of the round before."""
    for i in range(len(shared)):
        own[0] = (own[0] * 31 + shared[i] + number) % 1_000_003


@compiled
def join(parts: Any, shared: Any, number: int, end: int) -> bool:
    """Do what follows a round. Returns whether it is not the end."""
    for i in range(len(shared)):
        shared[i] = (shared[i] + parts[i % len(parts), 0] * (i + 1) + number) % 1_000_003
    return number != end


@compiled
def give_up(number: int) -> None:
    if number == 2:
        raise ValueError


def plain(first: int, last: int) -> list[int]:
    """Return what rounds make, one call after the other."""
    shared, parts = np.arange(5), np.zeros((UNITS, 1), np.int64)
    for number in range(first, last):
        for k in range(UNITS):
            for _ in range(k + 1):
                work.function(shared, parts[k], number)
        join.function(parts, shared, number, -1)
    return [int(x) for x in shared]


def rounds_of(shared: Any, first: int, end: int = -1) -> Rounds:
    parts = np.zeros((UNITS, 1), np.int64)
    units = [[work.prepare(shared, parts[k], 0, turn=2)] * (k + 1) for k in range(UNITS)]
    return Rounds(units, [join.prepare(parts, shared, 0, end, turn=2)], first)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_rounds_make_their_calls_in_order(threads: int) -> None:
    shared = np.arange(5)
    rounds = rounds_of(shared, first=7)
    with ThreadPoolExecutor(threads) as pool:
        helpers = [pool.submit(rounds.help) for _ in range(threads - 1)]
        assert rounds.run(100)
        assert shared.tolist() == plain(7, 100)
        assert rounds.run(LAST)
        rounds.stop()
        for helper in helpers:
            helper.result()
    assert shared.tolist() == plain(7, LAST)


def test_the_round_in_which_a_call_says_so_is_the_last() -> None:
    shared = np.arange(5)
    assert not rounds_of(shared, first=0, end=5).run(LAST)
    assert shared.tolist() == plain(0, 6)


def test_a_kernel_that_gives_up_ends_all() -> None:
    call, harmless = give_up.prepare(0, turn=0), give_up.prepare(9)
    for rounds in (Rounds([[harmless], [call]], [], 0), Rounds([[harmless]], [call], 0)):
        with pytest.raises(RuntimeError, match="gave up"):
            rounds.run(LAST)
