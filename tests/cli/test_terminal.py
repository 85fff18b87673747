"""Numbers and bars for people."""

from __future__ import annotations

import io

import pytest

from bfncodec.cli.terminal import Bar, human_bytes, human_time, share


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.98 KiB"), (10_200, "9.96 KiB"), (10_240, "10.0 KiB"), (1 << 20, "1.00 MiB")],
)
def test_sizes_have_four_digits_at_most(count: int, said: str) -> None:
    assert human_bytes(count) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")])
def test_times_have_hours_only_where_there_are_any(seconds: float, said: str) -> None:
    assert human_time(seconds) == said


def test_shares_of_nothing() -> None:
    assert share(0, 7) == "100.0% (0 B => 7 B)"


def test_a_bar_leaves_an_empty_line() -> None:
    out = io.StringIO()
    bar = Bar("a.txt", shown=True, stream=out)
    bar.start(1000)
    bar._drawn -= 1  # a second ago
    bar.advance(250)
    drawn = out.getvalue()
    assert drawn.startswith("\ra.txt [#####...............]  25%")
    assert "left" in drawn
    bar.clear()
    assert out.getvalue() == drawn + "\r" + " " * (len(drawn) - 1) + "\r"
    bar.clear()
    assert out.getvalue().count("\r") == 3


def test_a_bar_that_nobody_sees_counts() -> None:
    out = io.StringIO()
    bar = Bar("a.txt", shown=False, stream=out)
    bar.start(10)
    bar._drawn -= 1
    bar.advance(4)
    bar.advance(6)
    bar.clear()
    assert (bar.done, bar.total, out.getvalue()) == (10, 10, "")
