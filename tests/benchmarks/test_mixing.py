"""The benchmark of the context mixer: every context is left out once, and what is added up is bits."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.mixing import PLACES, Run, report, without_one
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.state import CONTEXTS
from support.mixing import one_hot, uniform


def test_each_context_is_left_out_once() -> None:
    found = dict(without_one())
    assert len(PLACES) == len(CONTEXTS.places)
    assert len(found) == sum(map(len, CONTEXTS))
    assert {sum(map(len, rest)) for rest in found.values()} == {len(found) - 1}


def test_bits_of_a_run_are_those_of_what_it_is_told() -> None:
    told, alone, blind = Run(ContextMixer(9, 1)), Run(None), Run(ContextMixer(9, 1), network=False)
    for run in (told, alone, blind):
        run.step(uniform(1), np.zeros(1, np.int64), np.array([7]))
        run.step(one_hot(7), np.zeros(1, np.int64), np.array([7]))
    assert alone.bits < 8.01
    assert told.bits < 9
    assert blind.bits > 12


@pytest.mark.parametrize("network", [True, False])
def test_where_nothing_was_seen_all_symbols_take_eight_bits_in_the_mean(network: bool) -> None:
    """No distribution takes less; first weights lean towards some symbols, but hardly."""
    run, symbols = Run(ContextMixer(9, 256), network=network), np.arange(256)
    run.step(uniform(256), symbols, symbols)
    assert 8 * 256 <= run.bits < 8.002 * 256


def test_report_has_a_row_a_mixer() -> None:
    found = {"a.txt": {"all": Run(None, bits=80.0), "without word": Run(None, bits=84.0)}}
    lines = report({"a.txt": b"x" * 20}, found, ()).splitlines()
    assert [line.split() for line in lines[1:]] == [["all", "4.000"], ["without", "word", "+5.00%"]]
