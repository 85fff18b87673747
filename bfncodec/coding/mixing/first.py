"""Weights that a mixer begins with: those that many short texts came to.

They were learned from held-out texts of eight kinds (prose, code, data, markup, logs, chat, other languages), mostly of
500 to 2,200 bytes, first by moving them a share of the way to what each text had made of them at its end (Nichol,
Achiam and Schulman 2018, "On First-Order Meta-Learning Algorithms": Reptile), then down the gradient of the bits of all
texts, through what a mixer learns within each (`benchmarks/firstweights.py`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bfncodec.coding.mixing.places import DELIMITERS, MOST_AGREED, MOST_NUMBER, NEXT, PLACE_SETS, PLACES
from bfncodec.runtime.arrays import Ints

FIRST_BITS = 7  # a weight of 1 is 2^7
KINDS = ((2, 0), (2, 1), (4, 0), (4, 1), (6, 0), (12, 0))
"""Contexts of bytes that there are weights for: how many, and whether each stream counts for itself."""
MATCHES = 2
"""Kinds of matches that there are weights for, the longest first; phrases are behind them."""
PLACE_SHAPE = MOST_AGREED + 1, NEXT, 8  # of the sets of weights of a place in one field

# fmt: off
FIRST_WEIGHTS = (
    (181, 13, 13, 13, 13, 13, 26, 18, 15, 23, -2, -3, 7, 12, 9, 21, 0, 8, 5, 30, -10),
    (175, 28, 13, 13, 13, 13, 26, 19, 14, 23, -4, -3, 6, 12, 7, 21, 0, 8, 5, 30, -2),
    (171, 27, 2, 13, 13, 13, 26, 18, 14, 24, -3, -4, 7, 13, 8, 22, 0, 8, 5, 30, -6),
    (168, 25, 1, 27, 13, 13, 26, 21, 11, 23, -4, -2, 10, 11, 5, 19, 0, 8, 5, 30, 5),
    (162, 26, -2, 25, 5, 13, 26, 20, 12, 25, -3, -2, 10, 13, 5, 19, 0, 8, 5, 30, 5),
    (161, 23, -2, 23, 1, 18, 26, 18, 13, 22, -5, -3, 8, 13, 7, 20, 0, 8, 5, 30, 17),
    (154, 20, -5, 23, -2, 4, 23, 13, 12, 25, -4, -4, 9, 12, 11, 19, 0, 8, 5, 30, 33),
    (-25, -30, -9, -14, 2, -2, 10, -35, 4, -17, 12, 2, -7, -2, -24, 3, 0, 0, 0, 0, 15),
    (-18, -34, -13, -11, -2, -9, 19, -37, 6, -10, -21, 5, 0, -3, -20, -1, 0, 0, 0, 0, 4),
    (-21, -34, -11, -10, -1, -6, 7, -38, -1, -11, -15, 1, 1, -1, -14, 3, 0, 0, 0, 0, 0),
    (-18, -36, -10, -11, -2, -7, 11, -33, 1, -11, -21, 0, -10, -2, -16, 1, 0, 0, 0, 0, 13),
    (-19, -37, -11, -11, -2, -9, 12, -34, 6, -12, -18, 2, -6, -2, -16, 2, 0, 0, 0, 0, 1),
    (-22, -34, -10, -11, -1, -5, 12, -31, 7, -12, -21, 1, -4, -2, -16, 2, 0, 0, 0, 0, 4),
    (-24, -30, -8, -8, 1, -4, 14, -30, 7, -9, -22, -1, -2, 3, -18, -1, 0, 0, 0, 0, 11),
    (-26, -30, -6, -9, 0, 0, 17, -24, 9, -14, -21, 0, -7, 1, -16, -1, 0, 0, 0, 0, 1),
    (-45, 15, 13, -5, 2, 3, -14, 21, -11, -7, 24, 10, 6, -3, 17, -20, 0, 0, 0, 0, -1),
    (-44, 12, 16, -2, 3, 6, -10, 28, 11, -8, 20, 4, 14, -4, 15, -18, 0, 0, 0, 0, -1),
    (-51, 25, 15, 5, 2, 6, -4, 32, 2, -4, 11, 1, 3, -1, 17, -12, 0, 0, 0, 0, -1),
    (-44, 15, 11, -4, 6, 1, -14, 15, -21, -1, 14, 19, 7, 6, 11, -15, 0, 0, 0, 0, 4),
    (-42, 10, 12, -12, -1, 6, -12, 14, -13, -5, 24, 5, 1, -4, 15, -16, 0, 0, 0, 0, -4),
    (-43, 10, 11, -9, 2, 4, -24, 14, -15, -9, 25, 4, 0, -4, 22, -27, 0, 0, 0, 0, -5),
    (-52, 20, 15, -3, 6, 11, -6, 38, 2, -8, 22, -4, -6, -1, 19, -14, 0, 0, 0, 0, -10),
    (-45, 17, 12, -9, 3, 4, -14, 17, -18, -11, 23, 20, 1, -3, 22, -18, 0, 0, 0, 0, -4),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (1, 1, 0, 2, 0, 1, 2, 1, 0, -2, -1, 0, 4, -4, -8, -5, 0, 0, 0, 0, -2),
    (5, -2, 1, 2, 0, -2, 1, 0, 11, 1, -7, 4, -1, -2, 1, -4, 0, 0, 0, 0, -9),
    (-1, -2, -1, -1, 2, -2, 1, -3, -1, -1, 3, -1, 2, 3, 2, -1, 0, 0, 0, 0, -20),
    (2, -4, -5, 8, -2, 8, 11, -5, 6, -4, -6, -9, -1, 5, 21, 9, 0, 0, 0, 0, 8),
    (-1, 0, 1, -2, 0, -1, 0, -3, 4, 2, 0, 0, -1, 0, 0, 2, 0, 0, 0, 0, 14),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (1, 3, 2, 1, 2, 1, -5, -1, 4, 7, -1, 0, 0, 2, 5, 5, 0, 0, 0, 0, -9),
    (3, -3, -4, 14, -3, 10, 15, 10, 4, 11, -10, -1, 8, 2, 17, 4, 0, 0, 0, 0, -12),
    (-3, -3, 1, -2, -1, -2, 3, 1, 2, -3, -2, -2, -2, 0, 13, 2, 0, 0, 0, 0, -15),
    (7, 14, 15, 9, 15, 2, 16, -5, -8, 3, 1, 6, -6, 16, 14, 15, 0, 0, 0, 0, 22),
    (-4, 1, -1, -2, 1, -2, 1, 0, 7, -10, 0, 2, -2, 1, 6, 13, 0, 0, 0, 0, 18),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (2, 2, 0, 2, -1, 4, -4, 2, -1, 5, -2, 7, -6, 2, 6, 5, 0, 0, 0, 0, -6),
    (2, -1, 5, -2, 6, 7, 38, 1, -13, -4, -4, -2, 3, 2, -1, 13, 0, 0, 0, 0, 3),
    (4, -3, -3, -7, 0, 0, 0, -1, -2, 2, -5, -6, 3, 4, 3, 2, 0, 0, 0, 0, -2),
    (-5, -2, 6, -3, -6, -4, 18, -4, -6, -2, -7, -7, 0, -1, 5, -1, 0, 0, 0, 0, 0),
    (1, 0, 2, -1, -4, 3, 3, 1, 2, 1, -4, -1, 7, -4, 2, -8, 0, 0, 0, 0, 15),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (1, 0, 3, -5, -2, -2, -8, 5, 4, 2, -3, 10, 10, -1, 15, -4, 0, 0, 0, 0, -16),
    (6, -6, 4, -4, 2, -1, 3, 3, -3, 14, -9, -8, 22, 24, -5, 25, 0, 0, 0, 0, 3),
    (5, -2, 0, -4, 2, -5, -4, -1, 2, 3, -3, -3, -5, -7, 11, -4, 0, 0, 0, 0, 4),
    (-12, 1, -2, 6, 6, 0, 17, -1, 4, -5, 7, -4, 10, -1, 4, -1, 0, 0, 0, 0, 2),
    (8, -4, -3, -4, -3, -2, -2, 0, -11, 3, 4, 1, -5, -1, 5, 16, 0, 0, 0, 0, 38),
)
# fmt: on
"""Rows of weights of the network, of KINDS, of the places, of MATCHES, of phrases, and of the constant.

Rows are those of sets by the longest known context (none, then KINDS), by the number of known bits (0 to 7), by the
class of the last byte, see :func:`last_classes`; and by the place: how many of the latest bytes equalled their
counterparts (0 to 3), for each of them what the counterpart says about the next bit (nothing, 0, 1), for each of these
whether it is another bit than the first.
"""


@lru_cache(maxsize=1)
def last_classes() -> Ints:
    """The class of each byte, int64 [256]: 1 small letters, 2 capital ones, 3 digits, 4 space, 5 newline, 6 bytes from
    128 on, 7 other delimiters, 0 all others.
    """
    found = np.zeros(256, np.int64)
    found[list(DELIMITERS)] = 7
    for number, members in enumerate((range(97, 123), range(65, 91), range(48, 58), (32,), (10,), range(128, 256))):
        found[list(members)] = 1 + number
    return found


def first_weights(orders: Ints, own: Ints, places: Ints, matches: int, phrases: bool) -> Ints:
    """Return the weights that the first sets begin with, [B + 1 + 256 + 256 + PLACE_SETS, E + 2]; others begin with
    zeros.

    orders, own: of the B contexts of bytes, as :class:`bfncodec.coding.mixing.state.MixerState` has them; places:
    numbers of the other contexts; matches: how many kinds there are; phrases: whether there are any
    """
    kinds = first_kinds(orders, own)
    # What there are no weights for has a column of zeros behind the last one.
    table = np.pad(np.array(FIRST_WEIGHTS, np.int64), ((0, 0), (0, 1)))
    return table[np.ix_(first_rows(kinds), first_columns(kinds, places, matches, phrases))]


def first_kinds(orders: Ints, own: Ints) -> list[int]:
    """Numbers among KINDS that contexts of bytes begin as. orders, own: of contexts of bytes, as
    :class:`bfncodec.coding.mixing.state.MixerState` has them. Those that are none of KINDS begin as the longest of
    these that are shorter.
    """
    return [_kind(order, alone) for order, alone in zip(orders.tolist(), own.tolist(), strict=True)]


def first_rows(kinds: list[int]) -> Ints:
    """Number of the row in FIRST_WEIGHTS of each set of weights but those by the last two bytes. kinds: of the
    contexts of bytes
    """
    longest = [0, *(1 + kind for kind in kinds)]
    known = [max(node.bit_length() - 1, 0) for node in range(256)]
    lately, says, bit = np.unravel_index(np.arange(PLACE_SETS) % (PLACE_SETS // (MOST_NUMBER + 1)), PLACE_SHAPE)
    place = (lately * NEXT + says) * 2 + (bit > 0)
    starts = np.cumsum([0, len(KINDS) + 1, 8, 8]).tolist()
    parts = zip(starts, (longest, known, last_classes(), place), strict=True)
    return np.concatenate([start + np.asarray(part) for start, part in parts])


def first_columns(kinds: list[int], places: Ints, matches: int, phrases: bool) -> Ints:
    """Number of the column in FIRST_WEIGHTS of each weight of a set, that behind the last one for none.

    kinds: of contexts of bytes; places: numbers of the other contexts; matches: how many kinds there are; phrases:
    whether there are any
    """
    count = len(KINDS) + 1
    expecting = count + PLACES
    behind = expecting + MATCHES + 1
    last = np.where(places < PLACES, count + places, behind + 1)
    matched = [*range(expecting, expecting + MATCHES)][:matches]
    return np.array([0, *(1 + kind for kind in kinds), *last, *matched, *[behind - 1] * phrases, behind])


def _kind(order: int, own: int) -> int:
    """Return the number among KINDS."""
    alike = [(kind, least) for kind, (least, alone) in enumerate(KINDS) if alone == own]
    return max((kind for kind, least in alike if least <= order), default=alike[0][0])
