"""The state of a context mixer: what one file has taught it so far, as arrays that NumPy and compiled kernels share.

All numbers are integers in fixed units: probabilities of 2^-20, logits ln(p / (1 - p)) of 1 / LOGISTIC_STEPS = 2^-9,
weights of 2^-20. Only the probabilities that an adaptive map begins with are computed with a few IEEE operations each.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.first import FIRST_BITS, first_weights
from bfncodec.coding.mixing.places import DOUBT_ORDER, MARKS, PLACE_SETS, PLACES, POWER, SALT, WIDTH
from bfncodec.coding.tables import LOGISTIC_BITS, LOGISTIC_LIMIT, LOGISTIC_STEPS, logistic_table
from bfncodec.runtime.arrays import Bytes, Floats, Ints


class Contexts(NamedTuple):
    """The contexts of a mixer, at least one of them shared.

    shared: bytes of those that all streams count together; own: of those that each stream counts for itself, which are
    among the others; places: numbers of those in :func:`bfncodec.coding.mixing.places.place_hashes`.
    """

    shared: tuple[int, ...] = (2, 4, 6, 12, 24)
    own: tuple[int, ...] = (2, 4)
    places: tuple[int, ...] = tuple(range(PLACES))


CONTEXTS = Contexts()
"""Contexts that files are written with."""

REACH = 24  # bytes of the longest context, at most
BITS = 8  # of a symbol
SYMBOLS = 256
START = 256  # stands before the first symbol of a stream

SLOTS_PER_BYTE = 16, 4  # of small files, of large ones
LEAST_BITS, SMALL_BITS, MOST_BITS = 12, 23, 25  # log2 of the slots: at least, of small files, of large ones at most
TAG, WAYS, ROW = 2, 7, 16  # bytes of a slot: its tag, symbols, how often each came
MOST_COUNT = 255
COUNT_LEVELS = (0, 1, 2, 3, 4, 6, 9, 14, 24, 48, 100)  # counts that adaptive maps distinguish: the lowest of each level
TYPICAL_COUNTS = (0, 1, 2, 3, 4, 7, 11, 18, 33, 70, 150)  # count that stands for each level
PAIRS = len(COUNT_LEVELS) ** 2  # levels of the zeros, times levels of the ones
STATES = (
    9 * PAIRS
)  # of an adaptive map: whether each of the two latest symbols agrees with the known bits, its next bit
TRIAL_BITS = 16  # fractional bits of hits and trials
FIRST_TRIALS, MOST_TRIALS = 20, 400  # that a map's probability begins with, and remembers
EXPERT_LIMIT = 8 * LOGISTIC_STEPS  # largest logit of an expert
LIMIT = 12 * LOGISTIC_STEPS  # largest logit of the network, and of the mixture

WEIGHT_BITS = 20  # a weight of 1 is 2^20
CONSTANT = 154  # the mixer's last input: 0.3
# Learning rate of a set of weights that has had n decisions: FAST / (1 + n / CALM) + SLOW, in units of 2^-16.
FAST, CALM, SLOW = 300, 600, 25
MANY = 42  # decisions of one step under one set: more do not make its change larger, lest it overshoots
BIAS_RATES = (10, 26)  # learning rates of the biases, after one byte and after two: 0.02 and 0.05
BIAS_BITS = 20  # log2 of the table of biases after two bytes, at most
HASH, SHORT_HASH = 0x9E3779B97F4A7C15, 0x9E3779B1  # 2^64 and 2^32 over the golden ratio: Knuth's multiplicative hash
HASH_POWERS = np.array([pow(POWER, k + 1, 1 << 64) for k in range(REACH)], np.uint64)


class MixerState(NamedTuple):
    """Arrays of a mixer of O contexts, B of them of bytes, and L streams. They are updated in place.

    A weight set is one of four kinds, behind each other: by the longest known context of bytes (0 for none, … B), by
    the bits of the byte that are known (the node), by the last byte, and by the place (see `places.PLACE_SETS`).
    """

    table: Bytes  # slots of all contexts: tag, symbols, the latest first, counts. [2^bits, ROW]
    history: Ints  # latest symbols of each stream [L, REACH]
    marks: NDArray[np.uint64]  # where each stream stands, see `places` [L, MARKS]
    lines: Bytes  # its current line, and the one above [L, 2, WIDTH]
    column: Ints  # in its line [L]
    orders: Ints  # bytes of each context of bytes, rising [B]
    own: Ints  # 1 for contexts that each stream counts for itself [B]
    places: Ints  # numbers of the other contexts [O - B]
    salt: NDArray[np.uint64]  # of the hashes of each context, for streams' own ones another for each stream [O, L]
    hits: Ints  # ones that came in each state of each context's adaptive map [O STATES]
    trials: Ints  # bits that came in it [O STATES]
    predictions: NDArray[np.int16]  # what hits / trials amount to as logits, 0 where a context is new [O STATES]
    weights: Ints  # of the network, the contexts and a constant, in each set [B + 1 + 2 SYMBOLS + PLACE_SETS, O + 2]
    decisions: Ints  # bits that each set was used for [B + 1 + 2 SYMBOLS + PLACE_SETS]
    bias_one: Ints  # by last byte and node [SYMBOLS SYMBOLS]
    bias_two: Ints  # by a hash of the last two bytes and the node [2^…]

    @property
    def bits(self) -> int:
        """log2 of the slots."""
        return len(self.table).bit_length() - 1

    @property
    def bias_bits(self) -> int:
        """log2 of the biases after two bytes."""
        return len(self.bias_two).bit_length() - 1


def new_state(size: int, streams: int, contexts: Contexts = CONTEXTS) -> MixerState:
    """Return the state before the first symbol. size: bytes of the file, which fixes how many slots there are."""
    # One stream's own contexts would be the shared ones again.
    alone = contexts.own if streams > 1 else ()
    kinds = [(order, own) for order in contexts.shared for own in (False, True) if not own or order in alone]
    (orders, own), places = np.array(kinds, np.int64).T, np.array(contexts.places, np.int64)
    bits, known, count = table_bits(size), len(orders), len(orders) + len(places)
    salt = own[:, None] * np.arange(1, streams + 1) * REACH + orders[:, None]
    alike = [*orders.tolist(), *[DOUBT_ORDER] * len(places)]
    first = np.stack([first_probabilities(order) for order in alike])
    weights = np.zeros((known + 1 + 2 * SYMBOLS + PLACE_SETS, count + 2), np.int64)
    weights[: known + 1 + 2 * SYMBOLS] = first_weights(orders, own, places) << (WEIGHT_BITS - FIRST_BITS)
    state = MixerState(
        table=np.zeros((1 << bits, ROW), np.uint8),
        history=np.full((streams, REACH), START, np.int64),
        marks=np.zeros((streams, MARKS), np.uint64),
        lines=np.zeros((streams, 2, WIDTH), np.uint8),
        column=np.zeros(streams, np.int64),
        orders=orders,
        own=own,
        places=places,
        salt=np.concatenate([salt, np.repeat(SALT + places[:, None], streams, 1)]).astype(np.uint64) * np.uint64(HASH),
        hits=np.floor(first * float(FIRST_TRIALS << TRIAL_BITS)).astype(np.int64).ravel(),
        trials=np.full(count * STATES, FIRST_TRIALS << TRIAL_BITS, np.int64),
        predictions=np.zeros(count * STATES, np.int16),
        weights=weights,
        decisions=np.zeros(len(weights), np.int64),
        bias_one=np.zeros(SYMBOLS * SYMBOLS, np.int64),
        bias_two=np.zeros(1 << min(bits, BIAS_BITS), np.int64),
    )
    update_predictions(state, np.arange(count * STATES))
    return state


def update_predictions(state: MixerState, which: Ints) -> None:
    """Set the experts' predictions in some states of their adaptive maps to the logits of hits / trials."""
    probability = (state.hits[which] << LOGISTIC_BITS) // state.trials[which]
    prediction = np.clip(logit(probability), -EXPERT_LIMIT, EXPERT_LIMIT)
    state.predictions[which] = prediction * (which % STATES > 0)


def table_bits(size: int) -> int:
    """Return log2 of the slots for a file of so many bytes."""
    small, large = ((slots * size - 1).bit_length() for slots in SLOTS_PER_BYTE)
    return max(LEAST_BITS, min(small, SMALL_BITS), min(large, MOST_BITS))


def first_probabilities(order: int) -> Floats:
    """Probabilities of a 1 that an adaptive map begins with, [STATES], after a context of so many bytes: after n0 zeros
    and n1 ones (n1 + d) / (n0 + n1 + 2 d), with less doubt d after longer contexts. What came last counts half more.
    """
    n = np.array(TYPICAL_COUNTS, np.float64)
    zeros, ones = n[:, None], n[None, :]
    doubt = np.where((zeros > 0) & (ones > 0), max(3 / (1 + order), 0.4), 3 / (1 + order))
    latest = ((zeros, ones), (zeros + 0.5, ones), (zeros, ones + 0.5))
    return np.tile(np.concatenate([((n1 + doubt) / (n0 + n1 + 2 * doubt)).ravel() for n0, n1 in latest]), 3)


# ---- tables -------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def logistic_values() -> Ints:
    """The logistic function: p in units of 2^-20 at logits of -LIMIT … LIMIT, int64 [2 LIMIT + 1]."""
    middle = LOGISTIC_LIMIT * LOGISTIC_STEPS
    return logistic_table()[middle - LIMIT : middle + LIMIT + 1].astype(np.int64)


@lru_cache(maxsize=1)
def logit_values() -> NDArray[np.int16]:
    """The logit of every p in units of 2^-20, between -LIMIT and LIMIT, int16 [2^20 + 1]."""
    edges = logistic_values()[:-1]
    most = np.diff(np.concatenate([[-1], edges, [1 << LOGISTIC_BITS]]))
    return np.repeat(np.arange(-LIMIT, LIMIT + 1, dtype=np.int16), most)


def logit(probability: Ints) -> NDArray[np.int16]:
    """Return ln(p / (1 - p)) in units of 1 / LOGISTIC_STEPS, between -LIMIT and LIMIT. p: in units of 2^-20"""
    return logit_values().take(probability)


@lru_cache(maxsize=1)
def count_levels() -> Ints:
    """The number in COUNT_LEVELS of every count, int64 [WAYS MOST_COUNT + 1]."""
    return np.searchsorted(COUNT_LEVELS, np.arange(WAYS * MOST_COUNT + 1), side="right") - 1
