"""Weights that a mixer begins with: those that many short texts came to.

They were learned from held-out texts of eight kinds (prose, code, data, markup, logs, chat, other languages), mostly of
500 to 6,000 bytes, by moving them a share of the way to what each text had made of them at its end (Nichol, Achiam and
Schulman 2018, "On First-Order Meta-Learning Algorithms": Reptile).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bfncodec.coding.mixing.places import DELIMITERS, PLACES
from bfncodec.runtime.arrays import Ints

FIRST_BITS = 7  # a weight of 1 is 2^7
KINDS = ((2, 0), (2, 1), (4, 0), (4, 1), (6, 0), (12, 0), (24, 0))
"""Contexts of bytes that there are weights for: how many, and whether each stream counts for itself."""

# fmt: off
FIRST_WEIGHTS = (
    (185, 13, 13, 13, 13, 13, 26, 26, 20, 15, 20, 0, -2, 10, 13, 6, 24, -10),
    (179, 30, 13, 13, 13, 13, 26, 26, 19, 13, 22, -3, -2, 8, 13, 7, 17, -6),
    (177, 26, 2, 13, 13, 13, 26, 26, 21, 15, 23, -4, 0, 5, 13, 6, 20, -6),
    (172, 25, -1, 29, 13, 13, 26, 26, 20, 12, 21, -4, -2, 10, 13, 8, 19, 4),
    (168, 26, -1, 25, 4, 13, 26, 26, 24, 11, 21, -4, -3, 9, 13, 9, 18, 12),
    (164, 25, -3, 24, 0, 19, 26, 26, 16, 11, 23, -5, -4, 10, 13, 9, 18, 19),
    (156, 19, -4, 26, -3, 4, 29, 26, 14, 12, 25, -6, -6, 8, 13, 7, 19, 43),
    (145, 13, -2, 20, 2, 9, 3, 33, 11, 7, 32, -5, -8, -1, 13, 7, 21, 25),
    (-29, -25, -9, -14, 3, 3, 7, 19, -35, -3, -17, 25, 7, -7, 0, -25, 5, 21),
    (-20, -32, -12, -11, -3, -9, 19, 17, -39, 4, -11, -20, 4, 3, 0, -17, -2, 12),
    (-22, -35, -10, -9, 1, -5, 5, 19, -37, -1, -12, -15, 1, 3, 0, -18, 0, 1),
    (-18, -36, -11, -13, -1, -6, 14, 15, -32, 3, -12, -20, 0, -9, 0, -17, 1, 13),
    (-21, -35, -8, -11, -1, -10, 10, 24, -33, 6, -13, -17, 0, -7, 0, -19, 1, 4),
    (-23, -35, -9, -9, 2, -5, 16, 17, -31, 6, -12, -20, 0, -7, 0, -16, 1, 5),
    (-23, -30, -9, -10, 1, -3, 20, 8, -30, 8, -12, -20, -1, -3, 0, -17, 3, 9),
    (-26, -32, -8, -3, -4, 2, 15, 5, -27, 6, -10, -17, -1, -5, 0, -20, 1, 0),
    (-48, 17, 10, -4, 1, 6, -17, -7, 20, -12, -10, 32, 8, 8, 0, 20, -18, -4),
    (-41, 10, 14, -4, 3, 7, -6, -1, 28, 8, -8, 21, 3, 14, 0, 13, -19, -1),
    (-51, 24, 15, 4, 3, 7, -3, -2, 34, 5, -4, 13, 2, 2, 0, 12, -14, 0),
    (-45, 17, 13, -1, 6, 1, -14, -20, 15, -20, 0, 16, 18, 9, 0, 17, -15, 6),
    (-36, 11, 12, -9, 0, 5, -14, -6, 15, -13, -4, 23, 2, 1, 0, 15, -16, -3),
    (-45, 10, 13, -7, 5, 1, -22, -16, 12, -12, -8, 30, 4, -3, 0, 14, -22, -12),
    (-63, 20, 19, 0, 6, 17, 0, -5, 38, 1, -11, 17, -7, -8, 0, 14, -18, -14),
    (-48, 18, 13, -11, 2, 6, -15, -21, 15, -17, -15, 21, 28, -2, 0, 26, -10, 1),
)
# fmt: on
"""Rows of weights of the network, of KINDS, of the places, and of the constant.

Rows are those of sets by the longest known context (none, then KINDS), by the number of known bits (0 to 7), and by the
class of the last byte, see :func:`last_classes`.
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


def first_weights(orders: Ints, own: Ints, places: Ints) -> Ints:
    """Return the weights that the first sets begin with, [B + 1 + 256 + 256, O + 2]; others begin with zeros.

    orders, own: of the B contexts of bytes, as :class:`bfncodec.coding.mixing.state.MixerState` has them; places:
    numbers of the O - B others. Contexts that are none of KINDS begin as the longest of these that are shorter.
    """
    kinds = [_kind(order, alone) for order, alone in zip(orders.tolist(), own.tolist(), strict=True)]
    count = len(KINDS) + 1
    node = [count + max(node.bit_length() - 1, 0) for node in range(256)]
    rows = [0, *(1 + kind for kind in kinds), *node, *(count + 8 + last_classes())]
    # Places that there are no weights for begin with those of the last column, zeros.
    last = np.where(places < PLACES, count + places, count + PLACES + 1)
    columns = [0, *(1 + kind for kind in kinds), *last, count + PLACES]
    return np.pad(np.array(FIRST_WEIGHTS, np.int64), ((0, 0), (0, 1)))[np.ix_(rows, columns)]


def _kind(order: int, own: int) -> int:
    """Return the number among KINDS."""
    alike = [(kind, least) for kind, (least, alone) in enumerate(KINDS) if alone == own]
    return max((kind for kind, least in alike if least <= order), default=alike[0][0])
