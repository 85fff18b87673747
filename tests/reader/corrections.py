"""Section 5.5: corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul

from reader.mixing import POWERS, Phrases, odds, sigma

LEAST, MOST, WINDOW = 3, 15, 512


class Corrections:
    """The network's weights, as phrases and matches correct them."""

    def __init__(self, lines: Mapping[str, list[list[int]]], phrases: Phrases, lanes: int) -> None:
        self.phrases = phrases
        self.of_phrases, self.of_matches = (list(zip(*lines[key], strict=True)) for key in ("phrases", "matches"))
        self.texts: list[list[int]] = [[] for _ in range(lanes)]

    def learn(self, lane: int, byte: int) -> None:
        """Know the next byte of a lane."""
        self.texts[lane].append(byte)

    def correct(self, lane: int, weights: Sequence[int]) -> list[int]:
        """Return the weights of all symbols, corrected."""
        text, found = self.texts[lane], list(weights)
        history = ([256] * 24 + text)[:-25:-1]
        sums = list(accumulate(map(mul, POWERS[1:], [y + 1 for y in history]), initial=0))
        phrase, form = self.phrases.expected(sums)
        if phrase >= 0:
            _move(found, phrase, *self.of_phrases[form // 8 * len(self.phrases.lengths) + form % 8])
        match, length = _match(text)
        if match >= 0:
            relation = 0 if phrase < 0 else 1 if phrase == match else 2
            _move(found, match, *self.of_matches[3 * (length - LEAST) + relation])
        return found


def _match(text: Sequence[int]) -> tuple[int, int]:
    """(byte that the match expects, its length), or (-1, 0)."""
    best = (-1, 0)
    for back in range(1, min(len(text) - 1, WINDOW) + 1):
        length = 0
        while length < min(MOST, len(text) - back) and text[-1 - length] == text[-1 - back - length]:
            length += 1
        if length >= LEAST and length > best[1]:
            best = text[-back], length
    return best


def _move(weights: list[int], byte: int, slope: int, shift: int) -> None:
    rest = sum(weights) - weights[byte]
    if rest:
        p = sigma((slope * odds(weights[byte], rest) >> 7) + shift)
        weights[byte] = min(rest * p // ((1 << 20) - p), 1 << 28)
