"""The roofline counts what networks multiply, and its shares are those of all time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import peaks, roofline, stages
from benchmarks.roofline import Peak
from bfncodec.codecs.loading import load

pytest.importorskip("numba")


def test_multiplications_of_a_text_are_those_of_its_layers() -> None:
    width, layers, symbols, span = 128, 2, 256, 128
    products, attention = peaks.multiplications(load("text-fast").network.weights, steps=2 * span)
    assert products == layers * 12 * width**2 + width * symbols
    slots = (sum(range(1, span + 1)) + span * span) / (2 * span)
    assert attention == round(2 * layers * width * slots)


def test_multiplications_of_a_pixel_have_no_attention() -> None:
    width, hidden, blocks, mixtures = 32, 64, 3, 2
    features = 104  # 24 taps and a prediction of four bytes each, and 9 flags, filled up to eights; two matrices
    heads = sum(2 * width * (3 * mixtures + k) for k in range(3))
    expected = 2 * features * width + blocks * (5 * width * hidden + hidden * width) + 3 * width**2 + heads
    assert peaks.multiplications(load("photo-fast").network.weights) == (expected, 0)


def test_of_two_peaks_the_larger_figures_count() -> None:
    first = Peak(2, "lanes", {"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 1.0}, {"a": 1.0, "b": 1.5}, {}, 10.0)
    second = Peak(2, "lanes", {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 4.0}, {"a": 0.5, "b": 2.0}, {}, 8.0)
    both = first.or_more(second)
    assert both == second.or_more(first)
    assert both == Peak(2, "lanes", {"a": 3.0, "b": 2.0}, {"a": 2.0, "b": 4.0}, {"a": 1.0, "b": 2.0}, {}, 10.0)
    assert (both.multiplications, both.with_all) == (4.0, 4.0)


def test_shares_are_of_the_time_of_all_threads() -> None:
    watch = stages.Stopwatch()
    watch.seconds.update({stages.MIXER: 1.0, stages.CODER: 2.0, "other": 9.0})
    found = stages.shares(watch, seconds=5.0, threads=2, stages=(stages.MIXER, stages.CODER, stages.NETWORK))
    assert found == pytest.approx({stages.MIXER: 0.1, stages.CODER: 0.2, stages.REST: 0.7})


def test_a_timed_object_counts_its_own_calls_and_those_of_what_they_return() -> None:
    watch = stages.Stopwatch()
    timed = stages.Timed([[1]], watch, {"index": "outer"}, {"copy": {"copy": "inner"}})
    assert timed.index([1]) == 0
    assert set(watch.seconds) == {"outer"}
    assert timed.copy().copy().count([1]) == 1
    assert set(watch.seconds) == {"outer", "inner"}


@pytest.mark.slow
def test_a_quick_run_writes_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "roofline.json"
    found = CliRunner().invoke(roofline.main, ["--quick", "--level", "1", "--threads", "1", "--json", str(path)])
    assert found.exit_code == 0, found.output
    figures = json.loads(path.read_text())
    rows = figures["reached"]
    assert [(row["kind"], row["direction"]) for row in rows] == [
        (kind, way) for kind in ("text", "photo") for way in ("encode", "decode")
    ]
    assert all(sum(row["stages"].values()) == pytest.approx(1, abs=0.2) for row in rows)
    assert all(0 < row["of_peak"] < 1 for row in rows)
    assert set(figures["peak"]["ours"]) == set(figures["peak"]["torch"])
