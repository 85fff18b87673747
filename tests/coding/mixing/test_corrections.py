"""Corrections: expected bytes get the chances that lines say, kernels say the same, and what is stated is checked."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bfncodec.coding.mixing.corrections import (
    CONFIDENCES,
    LEAST,
    MATCH_LINES,
    MOST,
    MOST_SHIFT,
    MOST_SLOPE,
    RELATIONS,
    WINDOW,
    Corrections,
    Corrector,
    corrections_of,
    move,
)
from bfncodec.coding.mixing.matches import NONE
from bfncodec.coding.mixing.phrases import MOST_LENGTHS
from bfncodec.errors import ModelError
from support.mixing import one_hot, phrases, uniform

KNOWN = phrases({b"ab": (b"c", 3), b"_ab": (b"d", 7), b"aa": (b"a", 0)})
LENGTHS = len(KNOWN.lengths)
AS_IT_IS = 128  # a slope of 1
STEPS = 24


def lines(seed: int) -> Corrections:
    """Return lines of any slopes and shifts."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> NDArray[np.int64]:
        ends = (MOST_SLOPE, MOST_SHIFT) if seed % 2 else (2 * AS_IT_IS, 1000)
        return np.stack([rng.integers(-end, end + 1, count) for end in ends])

    return Corrections(some(CONFIDENCES * LENGTHS), some(MATCH_LINES))


def corrected(
    text: NDArray[np.uint8], weights: NDArray[np.int32], own: Corrections, block: int, kind: type[Corrector] = Corrector
) -> NDArray[np.int32]:
    """Return corrected weights, so many steps at a time. text: [B, teeth, n]; weights: [B, n, teeth, 256]"""
    corrector, found = kind(text.shape[0] * text.shape[1], text.shape[2], KNOWN, own), weights.copy()
    for first in range(0, text.shape[2], block):
        corrector.reveal(max(first - 1, 0), text[:, :, max(first - 1, 0) : first + block - 1])
        part = found[:, first : first + block].copy()
        corrector.correct(first, part)
        found[:, first : first + block] = part
    return found


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 2)])
@pytest.mark.parametrize("seed", range(6))
def test_kernels_and_blocks_of_any_size_correct_the_same(seed: int, shape: tuple[int, int]) -> None:
    compiled = pytest.importorskip("bfncodec.coding.mixing.compiled.corrections")
    rng = np.random.default_rng(seed)
    text = rng.choice(np.frombuffer(b"ab_c", np.uint8), (*shape, STEPS), p=[0.4, 0.4, 0.1, 0.1])
    weights = np.concatenate([rng.integers(0, 1 << 21, (2, 256)), 1 << rng.integers(0, 21, (2, 256)), one_hot(97, 98)])
    weights = weights.astype(np.int32)[rng.integers(0, len(weights), (shape[0], STEPS, shape[1]))]
    own = lines(seed)
    whole = corrected(text, weights, own, STEPS)
    assert (whole >= 0).all()
    assert whole.sum(-1, dtype=np.int64).max() < 1 << 30
    for block in (1, 7):
        np.testing.assert_array_equal(corrected(text, weights, own, block), whole)
        np.testing.assert_array_equal(corrected(text, weights, own, block, compiled.CompiledCorrector), whole)


def test_a_match_is_the_longest_and_of_equal_ones_the_nearest() -> None:
    nothing = Corrections(np.zeros((2, CONFIDENCES * LENGTHS), np.int64), np.zeros((2, MATCH_LINES), np.int64))
    far = b"xyz1" + bytes(range(130, 250)) * 5 + b"xyz"
    for text, byte, length in (
        (b"xyz1wxyz2xyz", b"2", 3),
        (b"wxyz1xyz2wxyz", b"1", 4),
        (b"zzzz", b"z", 3),
        (b"q" * (MOST + 9), b"q", MOST),
        (far[-WINDOW:], b"", 0),
        (b"xyxy", b"", 0),
        (far, b"", 0),
    ):
        corrector = Corrector(1, len(text) + 1, KNOWN, nothing)
        corrector.reveal(0, np.frombuffer(text, np.uint8)[None, None])
        expected = corrector.expected(0, len(text) + 1)
        assert expected.match[-1] == (byte[0] if byte else NONE)
        assert expected.length[-1] == length or (not byte and expected.length[-1] < LEAST)


def test_lines_move_one_byte_and_keep_the_shares_of_others() -> None:
    weights = np.repeat(np.array([[6, 2, 0, 8, *[0] * 252]], np.int32) << 16, 4, 0)
    before = weights.copy()
    byte, slope = np.array([0, 1, NONE, 3]), np.array([AS_IT_IS, AS_IT_IS, 0, 0])
    move(weights, byte, slope, np.array([0, 512, 512, 0]))
    others = np.arange(256)[None] != byte[:, None]
    assert (weights[others] == before[others]).all()
    odds = weights[np.arange(4), byte] / (weights * others).sum(1)
    assert odds[0] == pytest.approx(0.6, rel=0.01)
    assert odds[1] == pytest.approx(np.e / 7, rel=0.01)
    assert odds[3] == pytest.approx(1, rel=0.01)
    assert (weights[2] == before[2]).all()


def test_what_is_certain_stays_and_nothing_grows_without_end() -> None:
    sure = one_hot(7, 7, 9)
    move(sure, np.array([7, 8, NONE]), np.full(3, AS_IT_IS), np.full(3, MOST_SHIFT))
    assert sure[0].sum() == 1 << 20
    assert sure[1, 7] == 1 << 20
    assert 1 << 20 < sure[1, 8] <= 1 << 28
    flat = uniform(1) << 4
    move(flat, np.array([3]), np.array([AS_IT_IS]), np.array([MOST_SHIFT]))
    assert flat[0, 3] == 1 << 28


def test_lines_of_phrases_and_of_matches_are_told_apart() -> None:
    text = np.frombuffer(b"1ab2ab", np.uint8)[None, None]
    corrector = Corrector(1, 7, KNOWN, lines(0))
    corrector.reveal(0, text)
    expected = corrector.expected(0, 7)
    assert expected.phrase.tolist() == [NONE, NONE, NONE, ord("c"), NONE, NONE, ord("c")]
    assert expected.form[-1] == 3 * MOST_LENGTHS
    assert (expected.match == NONE).all()
    assert (MOST - LEAST + 1) * RELATIONS == MATCH_LINES


def test_corrections_that_are_stated_are_checked() -> None:
    good = {"phrases": [[1] * 16, [2] * 16], "matches": [[3] * MATCH_LINES, [-4] * MATCH_LINES]}
    assert corrections_of(good, 2, "some").matches[1].tolist() == [-4] * MATCH_LINES
    bad = (
        None,
        [],
        {},
        {"phrases": good["phrases"]},
        good | {"matches": [[3] * MATCH_LINES]},
        good | {"matches": [[3] * MATCH_LINES, [3]]},
        good | {"phrases": [[1.0] * 16, [2] * 16]},
        good | {"phrases": [[True] * 16, [False] * 16]},
        good | {"phrases": [[1 << 11] * 16, [2] * 16]},
        good | {"phrases": [[1] * 16, [1 << 70] * 16]},
        good | {"phrases": "many"},
    )
    for stated in bad:
        with pytest.raises(ModelError, match=r"some: expected corrections of phrases and matches"):
            corrections_of(stated, 2, "some")
    for lengths in (0, 1):
        with pytest.raises(ModelError, match=r"some: expected corrections"):
            corrections_of(good, lengths, "some")
