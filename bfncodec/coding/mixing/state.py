"""The state of a context mixer: what one file has taught it so far, as arrays that NumPy and compiled kernels share.

All numbers are integers in fixed units: probabilities of 2^-20, logits ln(p / (1 - p)) of 1 / LOGISTIC_STEPS = 2^-9,
weights of 2^-20. Only the probabilities that an adaptive map begins with are computed with a few IEEE operations each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.dictionary import Dictionary, Learned
from bfncodec.coding.mixing.first import FIRST_BITS, first_weights
from bfncodec.coding.mixing.matches import ERRORS, FORMS, LEVELS, MatchState, behind, new_matches, set_count
from bfncodec.coding.mixing.numerals import DIGIT_SETS, NumeralState, new_numerals
from bfncodec.coding.mixing.phrases import Phrases, no_phrases
from bfncodec.coding.mixing.places import DOUBT_ORDER, MARKS, PLACE_SETS, PLACES, POWER, SALT, SKIPS, WIDTH
from bfncodec.coding.tables import LOGISTIC_BITS, LOGISTIC_LIMIT, LOGISTIC_STEPS, logarithm_table, logistic_table
from bfncodec.runtime.arrays import Bytes, Floats, Ints, Ints32
from bfncodec.runtime.lines import aligned


class Contexts(NamedTuple):
    """The contexts of a mixer, at least one of them shared.

    shared: bytes of those that all streams count together; own: of those that each stream counts for itself, which are
    among the others; places: numbers of those in :func:`bfncodec.coding.mixing.places.place_hashes`; matches: least
    bytes of the matches that predict beside them, falling, see :mod:`bfncodec.coding.mixing.matches`.
    """

    shared: tuple[int, ...] = (2, 4, 6, 12)
    own: tuple[int, ...] = (2, 4)
    places: tuple[int, ...] = tuple(range(PLACES))
    matches: tuple[int, ...] = (20, 8)


CONTEXTS = Contexts()
"""Contexts that texts are written with."""
MACHINE_CONTEXTS = Contexts(places=tuple(range(PLACES + SKIPS)))
"""Contexts that machine code is written with."""

VERSION = 2
"""Version of the mixer: a text model says with which one it writes, as all that is here decides over a text's bytes."""

REACH = 24  # bytes of the longest context, and least bytes of a match, at most
BITS = 8  # of a symbol
SYMBOLS = 256
START = 256  # stands before the first symbol of a stream

SLOTS_PER_BYTE = 16, 4  # of small files, of large ones
LEAST_BITS, SMALL_BITS, MOST_BITS = 12, 23, 25  # log2 of the slots: at least, of small files, of large ones at most
NEIGHBOURS = 4  # slots that a context may have, those of one line of a processor's cache
TAG, WAYS, ROW = 2, 7, 16  # bytes of a slot: its tag, symbols, how often each came
MOST_COUNT = 255
COUNT_LEVELS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)  # counts that adaptive maps distinguish: the lowest of each
TYPICAL_COUNTS = (0, 1, 2, 3, 4, 7, 10, 14, 20, 28, 40, 75)  # count that stands for each level
PAIRS = len(COUNT_LEVELS) ** 2  # levels of the zeros, times levels of the ones
STATES = (
    9 * PAIRS
)  # of an adaptive map: whether each of the two latest symbols agrees with the known bits, its next bit
TRIAL_BITS = 16  # fractional bits of hits and trials
FIRST_TRIALS, MOST_TRIALS = 20, 400  # that a map's probability begins with, and remembers
FINAL_TRIALS = 60  # that one of the final map begins with
EXPERT_LIMIT = 8 * LOGISTIC_STEPS  # largest logit of an expert
LIMIT = 12 * LOGISTIC_STEPS  # largest logit of the network, and of the mixture
CELL_BITS = 10  # of a final map: its probabilities stand for logits that are 2^10 apart, 2
CELLS = 2 * (LIMIT >> CELL_BITS) + 1
FRACTION_BITS = 10  # of a number whose logarithm is looked up
LOG_BITS = 16  # logarithms are in units of 2^-16
LOG_2, LOG_UNIT = 45426, (1 << LOG_BITS) // LOGISTIC_STEPS  # ln 2 and 1 / LOGISTIC_STEPS in these units

GROUP = 8  # numbers of weight sets that kernels take at a time
WEIGHT_BITS = 20  # a weight of 1 is 2^20
MOST_WEIGHT = 1 << 28  # so that a sum of six takes 32 bits
PAIR_BITS = 12  # log2 of the weight sets by the last two bytes
CONSTANT = 154  # the mixer's last input: 0.3
# Learning rate of a set of weights that has had n decisions: FAST / (1 + n / CALM) + SLOW, in units of 2^-16.
FAST, CALM, SLOW = 300, 600, 25
LEARNED_DECISIONS = 200  # that a set has had at most when a text begins behind a dictionary
BYTE_PACE, PLACE_PACE, MATCH_PACE, FULL_PACE = 10, 14, 8, 16
"""Paces at which the weights of contexts of bytes, places and matches learn, and those of the network and the constant.
Experts say much the same of a bit, so that their weights would go too far together."""
PACE_BITS = 4  # log2 of FULL_PACE
MANY = 42  # decisions of one step under one set: more do not make its change larger, lest it overshoots
BIAS_RATES = (10, 26)  # learning rates of the biases, after one byte and after two: 0.02 and 0.05
BIAS_BITS = 16  # log2 of the table of biases after two bytes, at most
HASH, SHORT_HASH = 0x9E3779B97F4A7C15, 0x9E3779B1  # 2^64 and 2^32 over the golden ratio: Knuth's multiplicative hash
HASH_POWERS = np.array([pow(POWER, k + 1, 1 << 64) for k in range(REACH)], np.uint64)


class MixerState(NamedTuple):
    """Arrays of a mixer of O contexts, B of them of bytes, of K kinds of what expects a byte, and L streams. They are
    updated in place. The kinds are those of matches, and phrases if there are any; contexts and they are its E = O + K
    experts, in this order.

    A weight set is one of six kinds, behind each other: by the longest known context of bytes (0 for none, … B), by
    the bits of the byte that are known (the node), by the last byte, by the place (see `places.PLACE_SETS`), by a hash
    of the last two bytes, and by what is expected here: the first match or phrase that expects the bit, by its kind,
    its level, and the bit, 0 for none; behind these, where a numeral is expected, see `numerals.DIGIT_SETS`. There are
    S = B + 1 + 2 SYMBOLS + PLACE_SETS + 2^PAIR_BITS + 1 + 2 K LEVELS + DIGIT_SETS.

    The states of maps are E times STATES, then those of the final map: by the number of the longest known context of
    bytes, by the node, and by the nearest of CELLS logits of the mixture. Together they are A.
    """

    table: Bytes  # slots of all contexts: tag, symbols, the latest first, counts. [2^bits, ROW]
    dictionary: Bytes  # slots of a dictionary's contexts, which never change; NEIGHBOURS empty ones without. [., ROW]
    history: Ints  # latest symbols of each stream [L, REACH]
    marks: NDArray[np.uint64]  # where each stream stands, see `places` [L, MARKS]
    lines: Bytes  # its current line, and the one above [L, 2, WIDTH]
    column: Ints  # in its line [L]
    orders: Ints  # bytes of each context of bytes, rising [B]
    own: Ints  # 1 for contexts that each stream counts for itself [B]
    places: Ints  # numbers of the other contexts [O - B]
    matches: MatchState
    phrases: Phrases
    numerals: NumeralState
    salt: NDArray[np.uint64]  # of the hashes of each context, for streams' own ones another for each stream [O, L]
    hits: Ints  # ones that came in each state of each expert's adaptive map, and of the final one [A]
    trials: Ints  # bits that came in it [A]
    predictions: NDArray[np.int16]  # what hits / trials amount to as logits, 0 where an expert knows nothing [A]
    weights: Ints32  # of the network, the experts and a constant, in each set [S, E + 2]
    pace: Ints  # how fast the weights of each input learn [E + 2]
    decisions: Ints  # bits that each set was used for [S]
    bias_one: Ints  # by last byte and node [SYMBOLS SYMBOLS]
    bias_two: Ints  # by a hash of the last two bytes and the node [2^…]

    @property
    def first_final(self) -> int:
        """Number of the first state of the final map."""
        return self.experts * STATES

    @property
    def experts(self) -> int:
        """Number of contexts and of kinds of what expects a byte."""
        return len(self.salt) + self.kinds

    @property
    def kinds(self) -> int:
        """Number of kinds of what expects a byte: matches and phrases."""
        return len(self.matches.least) + (len(self.phrases.lengths) > 0)

    @property
    def first_match(self) -> int:
        """Number of the first weight set of matches."""
        return self.first_place + PLACE_SETS + (1 << PAIR_BITS)

    @property
    def first_place(self) -> int:
        """Number of the first weight set of places."""
        return len(self.orders) + 1 + 2 * SYMBOLS

    @property
    def bits(self) -> int:
        """log2 of the slots."""
        return len(self.table).bit_length() - 1

    @property
    def bias_bits(self) -> int:
        """log2 of the biases after two bytes."""
        return len(self.bias_two).bit_length() - 1


def new_state(
    size: int,
    streams: int,
    contexts: Contexts = CONTEXTS,
    phrases: Phrases | None = None,
    dictionary: Dictionary | None = None,
) -> MixerState:
    """Return the state before the first symbol. size: bytes of the file, which fixes how many slots there are; phrases,
    dictionary: of the model, if it has any
    """
    phrases = phrases or no_phrases()
    # One stream's own contexts would be the shared ones again, unless these begin with what a dictionary says.
    alone = contexts.own if streams > 1 or dictionary else ()
    kinds = [(order, own) for order in contexts.shared for own in (False, True) if not own or order in alone]
    (orders, own), places, bits = np.array(kinds, np.int64).T, np.array(contexts.places, np.int64), table_bits(size)
    salt = own[:, None] * np.arange(1, streams + 1) * REACH + orders[:, None]
    right = phrases.right.tobytes() if len(phrases.lengths) else b""
    learned = dictionary.learned if dictionary else None
    first = learned or beginning(tuple(kinds), contexts.places, len(contexts.matches), right)
    sets, biases = len(first.weights), 1 << min(bits, BIAS_BITS)
    found = new_matches(contexts.matches, size, streams)
    return MixerState(
        table=aligned((1 << bits, ROW), np.uint8),
        dictionary=learned.table if learned else aligned((NEIGHBOURS, ROW), np.uint8),
        history=np.full((streams, REACH), START, np.int64),
        marks=np.zeros((streams, MARKS), np.uint64),
        lines=np.zeros((streams, 2, WIDTH), np.uint8),
        column=np.zeros(streams, np.int64),
        orders=orders,
        own=own,
        places=places,
        matches=behind(found, dictionary.text, size) if dictionary and learned else found,
        phrases=phrases,
        numerals=new_numerals(streams),
        salt=np.concatenate([salt, np.repeat(SALT + places[:, None], streams, 1)]).astype(np.uint64) * np.uint64(HASH),
        hits=first.hits.copy(),
        trials=first.trials.copy(),
        predictions=first.predictions.copy(),
        weights=first.weights.copy(),
        pace=paces(len(orders), len(places), len(contexts.matches), len(right) > 0),
        decisions=np.minimum(learned.decisions, LEARNED_DECISIONS) if learned else np.zeros(sets, np.int64),
        bias_one=learned.bias_one.copy() if learned else np.zeros(SYMBOLS * SYMBOLS, np.int64),
        bias_two=learned.bias_two.copy() if learned else np.zeros(biases, np.int64),
    )


def learned_in(state: MixerState, text: bytes) -> Dictionary:
    """Return the dictionary of this text, which the state has been taught as a text of its own."""
    arrays = {name: getattr(state, name) for name in Learned._fields}
    return Dictionary(text, Learned(**arrays))


class Beginning(NamedTuple):
    """Arrays of a state as every file begins with them, see :class:`MixerState`; they are copied."""

    hits: Ints
    trials: Ints
    predictions: NDArray[np.int16]
    weights: Ints32


@lru_cache(maxsize=4)
def beginning(kinds: tuple[tuple[int, bool], ...], places: tuple[int, ...], matches: int, right: bytes) -> Beginning:
    """Return what maps and weights begin with: of several small files each would take milliseconds to make.

    kinds: bytes of each context of bytes, and whether each stream has its own; places: numbers of the other contexts;
    matches: how many kinds there are; right: bytes of what phrases have of that name, none without phrases
    """
    orders, own = np.array(kinds, np.int64).T
    phrases = [phrase_hits(np.frombuffer(right, np.uint16))] if right else []
    expecting = [match_hits()] * matches + phrases
    hits, trials = first_trials([*orders.tolist(), *[DOUBT_ORDER] * len(places)], expecting, (len(kinds) + 1) * SYMBOLS)
    first = first_weights(orders, own, np.array(places, np.int64), matches, len(right) > 0)
    others = (1 << PAIR_BITS) + set_count(len(expecting)) + DIGIT_SETS
    weights = np.zeros((len(first) + others, first.shape[1]), np.int32)
    weights[: len(first)] = first << (WEIGHT_BITS - FIRST_BITS)
    experts = (len(kinds) + len(places) + len(expecting)) * STATES
    return Beginning(hits, trials, map_logits(hits, trials, np.arange(len(hits)), experts).astype(np.int16), weights)


def paces(orders: int, places: int, matches: int, phrases: int) -> Ints:
    """Return how fast the weights of so many contexts of bytes, places, matches and kinds of phrases learn, between
    those of the network and the constant.
    """
    experts = np.repeat([BYTE_PACE, PLACE_PACE, MATCH_PACE, FULL_PACE], [orders, places, matches, phrases])
    return np.concatenate([[FULL_PACE], experts, [FULL_PACE]])


def map_logits(hits: Ints, trials: Ints, which: Ints, first_final: int) -> Ints:
    """Return the logits that some states of adaptive maps say, by their hits and trials, 0 where an expert knows
    nothing; the final map is behind them.
    """
    odds = log_odds(hits, trials - hits)
    expert = odds.clip(-EXPERT_LIMIT, EXPERT_LIMIT) * (which % STATES > 0)
    return np.where(which >= first_final, odds, expert)


def first_trials(orders: Sequence[int], expecting: Sequence[Ints], rows: int) -> tuple[Ints, Ints]:
    """(hits, trials) that all maps begin with: those of contexts of so many bytes, those of what expects a byte, with
    hits given for each kind, and rows of the final map, whose probabilities are those of their logits.
    """
    context = np.concatenate([first_probabilities(order) for order in orders]) * float(FIRST_TRIALS << TRIAL_BITS)
    expert = np.concatenate([np.floor(context).astype(np.int64), *expecting])
    final = (logistic_values()[:: 1 << CELL_BITS] * (FINAL_TRIALS << TRIAL_BITS)) >> LOGISTIC_BITS
    hits = np.concatenate([expert, np.tile(final, rows)])
    trials = np.full(len(hits), FINAL_TRIALS << TRIAL_BITS, np.int64)
    trials[: len(expert)] = FIRST_TRIALS << TRIAL_BITS
    return hits, trials


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


def match_hits() -> Ints:
    """Hits that the adaptive map of a kind of matches begins with, [STATES], see `matches.states`: the longer a match
    is, the less often it errs.
    """
    whole = FIRST_TRIALS << TRIAL_BITS
    wrong = whole // (5 + 10 * np.arange(LEVELS))
    found = np.full(STATES, whole // 2)
    found[1 : 1 + 2 * FORMS * BITS] = np.stack([wrong, whole - wrong], -1).repeat(ERRORS * BITS, 0).ravel()
    return found


def phrase_hits(right: NDArray[np.uint16]) -> Ints:
    """Hits that the adaptive map of phrases begins with, [STATES]: they were right so often in other texts.

    right: see :class:`bfncodec.coding.mixing.phrases.Phrases`, in a row
    """
    hits, whole = right.astype(np.int64) * FIRST_TRIALS, FIRST_TRIALS << TRIAL_BITS
    found = np.full(STATES, whole // 2)
    found[1 : 1 + 2 * FORMS * BITS] = np.stack([whole - hits, hits], -1).ravel()
    return found


# ---- tables -------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def logistic_values() -> Ints:
    """The logistic function: p in units of 2^-20 at logits of -LIMIT … LIMIT, int64 [2 LIMIT + 1]."""
    middle = LOGISTIC_LIMIT * LOGISTIC_STEPS
    return logistic_table()[middle - LIMIT : middle + LIMIT + 1].astype(np.int64)


@lru_cache(maxsize=1)
def logarithms() -> Ints:
    """ln(1 + (i + 1/2) / 2^FRACTION_BITS) in units of 2^-16, rounded, int64 [2^FRACTION_BITS]."""
    return logarithm_table(FRACTION_BITS, LOG_BITS).astype(np.int64)


def logarithm(x: Ints) -> Ints:
    """ln x in units of 2^-16, of 0 < x < 2^53 whose lower binary digits, behind the first 1 + FRACTION_BITS, are not
    looked at.
    """
    digits = x.astype(np.float64).view(np.int64)
    fraction = (digits >> (52 - FRACTION_BITS)) & ((1 << FRACTION_BITS) - 1)
    found: Ints = ((digits >> 52) - 1023) * LOG_2 + logarithms().take(fraction)
    return found


def log_odds(ones: Ints, zeros: Ints) -> Ints:
    """Return ln((ones + 1/2) / (zeros + 1/2)) in units of 1 / LOGISTIC_STEPS, between -LIMIT and LIMIT: the logit of a
    1. Both at least 0.
    """
    difference = logarithm(2 * ones + 1) - logarithm(2 * zeros + 1)
    return ((difference + LOG_UNIT // 2) // LOG_UNIT).clip(-LIMIT, LIMIT)


@lru_cache(maxsize=1)
def count_levels() -> Ints:
    """The number in COUNT_LEVELS of every count, int64 [WAYS MOST_COUNT + 1]."""
    return np.searchsorted(COUNT_LEVELS, np.arange(WAYS * MOST_COUNT + 1), side="right") - 1
