"""First weights: every set that has some begins with those of its row, whichever contexts there are."""

from __future__ import annotations

import numpy as np

from bfncodec.coding.mixing.first import FIRST_WEIGHTS, KINDS, first_weights, last_classes
from bfncodec.coding.mixing.places import MOST_NUMBER, NEXT, PLACE_SETS, PLACES
from bfncodec.coding.mixing.state import CONTEXTS, SYMBOLS, Contexts, new_state
from support.mixing import phrases


def test_all_contexts_have_the_whole_table() -> None:
    state = new_state(1000, 2, phrases=phrases({b"a": (b"b", 1)}))
    known = len(state.orders)
    assert list(zip(state.orders.tolist(), state.own.tolist(), strict=True)) == list(KINDS)
    first = state.weights[: known + 1 + 2 * SYMBOLS] / (1 << 13)
    np.testing.assert_array_equal(first[: known + 1], FIRST_WEIGHTS[:7])
    for node, row in ((1, 7), (2, 8), (3, 8), (128, 14), (255, 14)):
        np.testing.assert_array_equal(first[known + 1 + node], FIRST_WEIGHTS[row])
    for byte, row in ((0, 15), (ord("q"), 16), (ord("Q"), 17), (ord("7"), 18), (32, 19), (10, 20), (200, 21), (44, 22)):
        np.testing.assert_array_equal(first[known + 1 + SYMBOLS + byte], FIRST_WEIGHTS[row])
    first = state.weights[state.first_place : state.first_place + PLACE_SETS]
    place = first.reshape(MOST_NUMBER + 1, -1, NEXT, 8, 21) >> 13
    for lately, says, bit, row in ((0, 0, 1, 24), (0, 1, 0, 25), (1, 0, 3, 30), (3, 2, 0, 45), (3, 2, 7, 46)):
        np.testing.assert_array_equal(place[:, lately, says, bit], [FIRST_WEIGHTS[row]] * (MOST_NUMBER + 1))
    assert not state.weights[state.first_place + PLACE_SETS :].any()
    assert np.unique(last_classes()).tolist() == list(range(8))


def test_contexts_that_are_missing_have_no_column() -> None:
    whole = np.array(FIRST_WEIGHTS)
    alone = new_state(1000, 1).weights >> 13
    shared = [0, *(1 + kind for kind, (_, own) in enumerate(KINDS) if not own)]
    np.testing.assert_array_equal(alone[: len(shared)], whole[shared][:, [*shared, *range(7, 19), 20]])
    fewer = new_state(1000, 1, Contexts(shared=(6,), places=(3, 8), matches=(16,))).weights >> 13
    np.testing.assert_array_equal(fewer[:2], whole[[0, 5]][:, [0, 5, 7 + 3, 7 + 8, 17, 20]])


def test_other_lengths_begin_as_the_next_shorter_ones() -> None:
    def rows(order: int, own: int) -> list[int]:
        return first_weights(np.array([order]), np.array([own]), np.arange(PLACES), 2, phrases=False)[1].tolist()

    assert rows(1, 0) == rows(3, 0) == rows(2, 0) != rows(4, 0)
    assert rows(16, 0) == rows(12, 0)
    assert rows(24, 1) == rows(4, 1) != rows(2, 1)
    assert CONTEXTS.shared == (2, 4, 6, 12)
