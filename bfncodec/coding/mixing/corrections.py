"""Corrections: what phrases and matches make of a network's prediction in texts too short for a mixer to learn from.

Two bytes may be expected behind what a lane of a text has: the one that phrases know
(:mod:`bfncodec.coding.mixing.phrases`), and the one behind the longest place of the lane whose bytes equal its latest
ones. The network's logit of an expected byte becomes a line of it, slope and shift by how sure that is; all other
bytes keep their shares of what remains. Lines are learned once for each network (`benchmarks/corrections.py`) and kept
in the model's configuration: nothing is learned of the text, so a message takes little more time than with the network
alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.matches import NONE
from bfncodec.coding.mixing.phrases import MOST_LENGTHS, Phrases, recall
from bfncodec.coding.mixing.state import HASH_POWERS, LIMIT, REACH, START, log_odds, logistic_values
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.errors import ModelError
from bfncodec.runtime.arrays import Bytes, Ints, Ints32

VERSION = 3
"""Version of mixing that a model with corrections states: readers of the one before would not correct."""
LEAST, MOST = 3, 15  # bytes of a match: fewer expect nothing, more are not told apart
WINDOW = 512  # bytes behind which no match begins
SLOPE_BITS = 7  # a slope of 1 is 2^7
MOST_SLOPE, MOST_SHIFT = 1 << 10, 1 << 14
MOST_WEIGHT = 1 << 28  # of a byte: the sum of all stays below 2^30
CONFIDENCES = 8  # of phrases
RELATIONS = 3  # of a match to phrases: these expect nothing, the same byte, another one
MATCH_LINES = RELATIONS * (MOST - LEAST + 1)


class Corrections(NamedTuple):
    """Slopes in units of 2^-SLOPE_BITS and shifts in those of logits, of R lengths of phrases."""

    phrases: Ints  # by confidence, then by the number of the length [2, CONFIDENCES R]
    matches: Ints  # by bytes from LEAST on, then by the relation to phrases [2, MATCH_LINES]


class LaneState(NamedTuple):
    """Known bytes of L lanes of at most N, as arrays that are updated in place."""

    text: NDArray[np.int16]  # with START before the first [L, WINDOW + N]
    equal: Bytes  # how many of the latest bytes equal those 1, 2 … bytes before, MOST at most [L, W]


class Expected(NamedTuple):
    """Bytes that are expected at L places, or NONE, and what is known of them, [L] each."""

    phrase: Ints
    form: Ints  # see `phrases.recall`
    match: Ints
    length: Ints  # bytes of the match


def corrections_of(stated: object, lengths: int, name: str) -> Corrections:
    """Return the corrections that a configuration states, {"phrases": [slopes, shifts], "matches": [slopes, shifts]}.

    lengths: of phrases; name: the file's, for errors. Raises ModelError for something else.
    """
    known = stated if isinstance(stated, dict) else {}
    of_phrases, of_matches = _lines(known.get("phrases")), _lines(known.get("matches"))
    if not lengths or of_phrases.shape[1] != CONFIDENCES * lengths or of_matches.shape[1] != MATCH_LINES:
        raise ModelError(
            f"{name}: expected corrections of phrases and matches, slopes and shifts for each of "
            f"{CONFIDENCES * lengths} and {MATCH_LINES} kinds, found something else; export the model again"
        )
    return Corrections(of_phrases, of_matches)


def _lines(stated: object) -> Ints:
    """Return slopes and shifts as an array, an empty one where they are none or too large."""
    nothing = np.zeros((2, 0), np.int64)
    try:
        found = np.array(stated)
    except ValueError:  # of rows that differ
        return nothing
    if found.dtype != np.int64 or found.ndim != 2 or len(found) != 2:
        return nothing
    return found if (abs(found) <= [[MOST_SLOPE], [MOST_SHIFT]]).all() else nothing


class Corrector:
    """Corrections of the predictions for some lanes of at most so many bytes, step after step."""

    def __init__(self, lanes: int, steps: int, phrases: Phrases, corrections: Corrections) -> None:
        self.phrases, self.corrections = phrases, corrections
        self.state = LaneState(
            np.full((lanes, WINDOW + steps), START, np.int16), np.zeros((lanes, min(WINDOW, steps)), np.uint8)
        )

    def reveal(self, first: int, symbols: Bytes) -> None:
        """Know the bytes of the steps from `first` on: uint8 [B, teeth, k]."""
        count = symbols.shape[2]
        self.state.text[:, WINDOW + first : WINDOW + first + count] = symbols.reshape(len(self.state.text), count)

    def correct(self, first: int, weights: Ints32) -> None:
        """Correct p_O of the steps from `first` on, in place; all steps before each are known. Every step once.

        weights: int32 [B, k, teeth, 256], sums below 2^29
        """
        streams, count, teeth, symbols = weights.shape
        rows = weights.transpose(0, 2, 1, 3).reshape(-1, symbols)  # lane by lane
        expected = self.expected(first, count)
        correct_rows(rows, expected, self.corrections, len(self.phrases.lengths))
        weights[...] = rows.reshape(streams, teeth, count, symbols).transpose(0, 2, 1, 3)

    def expected(self, first: int, count: int) -> Expected:
        """Return what is expected at so many steps from `first` on, lane by lane; all steps before are known."""
        phrase, form = recall(self.phrases, self._sums(first, count))
        steps = [_next_match(self.state, WINDOW + i) for i in range(first, first + count)]
        match, length = (np.stack(parts, 1).ravel() for parts in zip(*steps, strict=True))
        return Expected(phrase, form, match, length)

    def _sums(self, first: int, count: int) -> NDArray[np.uint64]:
        """Return what `recall` takes, of places lane by lane, [REACH, L count]."""
        start = WINDOW + first - REACH
        known = self.state.text[:, start : start + REACH + count - 1]
        history = np.lib.stride_tricks.sliding_window_view(known, REACH, 1).reshape(-1, REACH).astype(np.int64)
        return np.cumsum((history.T[::-1] + 1).astype(np.uint64) * HASH_POWERS[:, None], 0)


def _next_match(state: LaneState, at: int) -> tuple[Ints, Ints]:
    """(byte behind the longest match of each lane, of equal ones the nearest, or NONE; its length), [L], when the bytes
    up to a place of the text are known, and counted up to the one before.
    """
    text, equal = state
    latest, window = text[:, at - 1], text[:, at - 1 - equal.shape[1] : at - 1][:, ::-1]
    if at > WINDOW:
        equal += equal < MOST
        equal *= window == latest[:, None]
    nearest = equal.argmax(1)
    length = np.take_along_axis(equal, nearest[:, None], 1)[:, 0].astype(np.int64)
    byte = np.take_along_axis(text, at - 1 - nearest[:, None], 1)[:, 0].astype(np.int64)
    return np.where(length >= LEAST, byte, NONE), length


def correct_rows(weights: Ints32, expected: Expected, own: Corrections, lengths: int) -> None:
    """Correct rows of weights, int32 [L, 256], in place. lengths: of phrases"""
    form = expected.form // MOST_LENGTHS * lengths + expected.form % MOST_LENGTHS
    move(weights, expected.phrase, *own.phrases.take(form, 1))
    relation = np.where(expected.phrase == NONE, 0, np.where(expected.phrase == expected.match, 1, 2))
    kind = np.maximum(expected.length - LEAST, 0) * RELATIONS + relation
    move(weights, expected.match, *own.matches.take(kind, 1))


def move(weights: Ints32, byte: Ints, slope: Ints, shift: Ints) -> None:
    """Give a byte of each row, or NONE, another weight: its logit becomes a line of it. All but weights [L]"""
    row = np.flatnonzero(byte >= 0)
    byte = byte[row]
    own, whole = weights[row, byte].astype(np.int64), weights.sum(1, dtype=np.int64)[row]
    rest = whole - own
    x = ((slope[row] * log_odds(own, rest)) >> SLOPE_BITS) + shift[row]
    chance = logistic_values().take(x.clip(-LIMIT, LIMIT) + LIMIT)
    found = np.minimum(rest * chance // ((1 << LOGISTIC_BITS) - chance), MOST_WEIGHT)
    # Where nothing else has a weight, there is nothing that a chance could be measured by.
    weights[row, byte] = np.where(rest > 0, found, own)
