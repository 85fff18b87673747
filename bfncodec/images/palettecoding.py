"""Entries of palettes in few bytes, in their order.

An entry is opacity, red, green, blue. Each of these numbers is range coded with the mixture of several predictors: the
same number of the entry before; the channel before; the entry before or the most similar colour so far, moved as far as
the channel before was; a colour as bright as the entry before; or one in line with red and green. A predictor is
spread over the values near its guess at several widths, and each such distribution has a weight, which is learned from
entry to entry by Bayes' rule, for each channel alone.

Exactness: everything is an integer, even where floats hold it; so encoder and decoder compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from bfncodec.coding.rangecoder import RangeDecoder, RangeEncoder, total
from bfncodec.runtime.arrays import Bytes, Floats, Floats32, Ints

__all__ = ["Entry", "chain", "decode", "encode"]

Entry = tuple[int, ...]
"""Opacity, red, green, blue: 0 to 255 each."""

_VALUES = 256  # of a number
_OPAQUE = 255
_BLACK = (0, 0, 0, 0)
_DECAYS = (0, 8, 16, 22, 26, 29, 31, 32)  # of 32: odds of a number next to another, one further from the guess
_PEAK = 1 << 30  # odds of the guess itself, before they are scaled
_UNIT = 1 << 16  # sum of odds, and of weights, but for rounding
_SHARE = 1 << 12  # of the weights, spread evenly: a floor, so that a bad predictor can recover


def encode(entries: list[Entry], translucent: int, rising: bool) -> bytes:
    """Return the code of up to 256 entries.

    translucent: from this number on all entries are opaque. rising: no entry is less than the one before.
    """
    coder = RangeEncoder()
    numbers = iter([number for place, entry in enumerate(entries) for number in entry[place >= translucent :]])

    def code(frequencies: Floats32) -> int:
        number = next(numbers)
        coder.encode_rows(np.array([number]), frequencies)
        return number

    _Model(len(entries), rising, code).entries(translucent)
    return coder.finish()


def decode(code: bytes, count: int, translucent: int, rising: bool) -> list[Entry]:
    """Return the ``count`` entries of a code of :func:`encode`. DamagedError for bits that it does not write."""
    coder = RangeDecoder(code)
    return _Model(count, rising, lambda frequencies: int(coder.decode_rows(frequencies)[0])).entries(translucent)


def chain(entries: list[Entry]) -> Bytes:
    """Return the numbers of entries along a chain of similar colours, uint8 [256].

    It begins with entry 0; each time the most similar of those left follows. A number without an entry stays where it
    is.
    """
    numbers, colours = np.arange(_VALUES, dtype=np.uint8), np.array(entries)
    left = np.arange(1, len(colours))
    for place in range(1, len(colours)):
        nearest = np.abs(colours[left] - colours[numbers[place - 1]]).sum(1).argmin()
        numbers[place] = left[nearest]
        left = np.delete(left, nearest)
    return numbers


class _Model:
    """An adaptive model of entries, one after the other, which encoder and decoder share.

    code: given the frequencies of a number's values, float32 [1, 256], codes the number and returns it.
    """

    def __init__(self, count: int, rising: bool, code: Callable[[Floats32], int]) -> None:
        self.count, self.rising, self.code = count, rising, code
        self.known: list[Entry] = [_BLACK]
        self.table = np.zeros((len(_BLACK), count + 1), np.int64)  # [4, N + 1]: those known, from its end on
        self.weights: dict[tuple[int, bool], Ints] = {}  # of the distributions, by channel and whether it is tied

    def entries(self, translucent: int) -> list[Entry]:
        """Code all entries and return them."""
        for place in range(self.count):
            entry = self._entry(() if place < translucent else (_OPAQUE,))
            self.known.append(entry)
            self.table[:, self.count - 1 - place] = entry
        return self.known[1:]

    def _entry(self, entry: Entry) -> Entry:
        """Code the rest of an entry, of which some numbers may be known, and return all of it."""
        seen, apart, like = self.table[:, -len(self.known) :], 0, self.known[-1]
        while (size := len(entry)) < len(_BLACK):
            if size > 1:  # red or more is known
                apart = apart + np.abs(seen[size - 1] - entry[-1])
                like = self.known[-1 - int(apart.argmin())]
            entry += (self._number(entry, like),)
        return entry

    def _number(self, entry: Entry, like: Entry) -> int:
        """Code the next number of an entry and return it. like: the most similar entry that is known."""
        last, size = self.known[-1], len(entry)
        tied = entry == last[:size]
        odds = np.concatenate([_odds(guess) for guess in _guesses(last, like, entry)])
        weights = self.weights[size, tied] if (size, tied) in self.weights else _even(len(odds))
        mixed = (weights @ odds).astype(np.int64)
        if self.rising and tied:
            mixed[: last[size]] = 0
        number = self.code(_frequencies(mixed, last[size]))
        self.weights[size, tied] = _learned(weights, odds[:, number])
        return number


def _guesses(last: Entry, like: Entry, entry: Entry) -> list[int]:
    """Return the guesses of all predictors, 0 to 255, for the next number of an entry."""
    size = len(entry)
    if size < 2:
        return [last[size], 0]
    before = entry[-1]
    moved = [other[size] + before - other[size - 1] for other in (last, like)]
    as_bright, straight = last[2] - (entry[1] - last[1]) // 2, 2 * before - entry[-2]
    guesses = (*moved, as_bright if size == 2 else straight)
    return [last[size], before, *(min(max(value, 0), _VALUES - 1) for value in guesses)]


@lru_cache(maxsize=_VALUES)
def _odds(guess: int) -> Floats:
    """Return the odds of all values around a guess, integers, [decays, 256]."""
    odds = _around()[:, _VALUES - 1 - guess : 2 * _VALUES - 1 - guess]
    rows: Floats = (odds * _UNIT // odds.sum(1, keepdims=True)).astype(np.float64)
    return rows


@lru_cache(maxsize=1)
def _around() -> Ints:
    """Return the odds of values from 255 below a guess to 255 above it, [decays, 511]."""
    sides = [[_PEAK] for _ in _DECAYS]
    for side, decay in zip(sides, _DECAYS, strict=True):
        while len(side) < _VALUES:
            side.append(side[-1] * decay // 32)
    return np.array([(*side[:0:-1], *side) for side in sides], np.int64)


def _even(count: int) -> Ints:
    return np.full(count, _UNIT // count, np.int64)


def _learned(weights: Ints, odds: Floats) -> Ints:
    """Return the weights, [K], after distributions gave a number these odds, [K]: Bayes' rule, and a floor."""
    right = weights * (odds.astype(np.int64) + 1)
    learned: Ints = right * (_UNIT - _SHARE) // right.sum() + _SHARE // len(right)
    return learned


def _frequencies(mixed: Ints, guess: int) -> Floats32:
    """Return mixed odds, [256], as the coder wants them, float32 [1, 256]; the rest of rounding is the guess's."""
    frequencies = mixed * total(_VALUES) // mixed.sum()
    frequencies[guess] += total(_VALUES) - frequencies.sum()
    row: Floats32 = frequencies[None].astype(np.float32)
    return row
