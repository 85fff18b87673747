"""First weights: a table costs what the mixer takes that begins with it, and its gradient is that of this cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.firstweights import Descent, Piece, bits_and_gradient, cut, learn, lines, record
from bfncodec.coding.mixing import first
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.first import FIRST_BITS, FIRST_WEIGHTS
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.rangecoder import information
from support.mixing import uniform

TABLE = np.array(FIRST_WEIGHTS) / (1 << FIRST_BITS)
TEXT = b"one, 1\ntwo, 2\nthree, 3\nTwo, 22\n" * 2


def steps() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A text in two streams, of which no network knows anything."""
    symbols = np.frombuffer(TEXT, np.uint8).astype(np.int64).reshape(2, -1)
    return [(uniform(2), np.arange(2), symbols[:, k]) for k in range(symbols.shape[1])]


@pytest.fixture(scope="module")
def piece() -> Piece:
    pytest.importorskip("numba")
    return record(steps(), len(TEXT), 2)


@pytest.mark.slow
def test_bits_are_those_of_the_mixer(piece: Piece) -> None:
    mixer, bits = ContextMixer(len(TEXT), 2), 0.0
    for weights, streams, symbols in steps():
        ones = mixer.encode(weights, streams, symbols).ravel()
        bits += float(information(bit_intervals(ones, bits_of(symbols).ravel()).frequency).sum())
    assert bits_and_gradient(piece, TABLE)[0] == pytest.approx(bits, rel=2e-3)


@pytest.mark.slow
def test_gradient_is_what_a_small_change_makes(piece: Piece) -> None:
    gradient = bits_and_gradient(piece, TABLE)[1]
    largest = np.argsort(np.abs(gradient), axis=None)[-12:]
    for place in zip(*np.unravel_index(largest, TABLE.shape), strict=True):
        change = np.zeros_like(TABLE)
        change[place] = 1e-5
        more, less = (bits_and_gradient(piece, TABLE + sign * change)[0] for sign in (1, -1))
        assert (more - less) / 2e-5 == pytest.approx(gradient[place], rel=0.02)


@pytest.mark.slow
def test_learned_table_takes_fewer_bits(piece: Piece) -> None:
    learned = learn([piece], TABLE, epochs=20)
    assert bits_and_gradient(piece, learned)[0] < 0.99 * bits_and_gradient(piece, TABLE)[0]


def test_steps_end_where_gradient_and_pull_are_even() -> None:
    descent = Descent(np.zeros((1, 2)), rate=0.01)
    for k in range(1000):
        descent.step(descent.table - np.array([[1.0, 0.0]]), k / 1000)
    assert 0.3 < descent.mean[0, 0] <= 1
    assert descent.mean[0, 1] == 0


def test_pieces_are_spread_over_a_text() -> None:
    text = b"".join(b"%05d\n" % n for n in range(20_000))
    found = list(cut(text, 10, 0))
    starts = [text.find(piece) for piece in found]
    assert starts == sorted(starts)
    assert starts[0] < 12_000
    assert starts[-1] > 90_000
    assert [len(piece) > 2200 for piece in found] == [k == 4 for k in range(10)]
    assert all(len(piece.split(b"\n")[0]) == 5 for piece in found[1::2])


def test_lines_are_those_of_the_module() -> None:
    assert lines(TABLE) in Path(first.__file__).read_text(encoding="utf-8")
