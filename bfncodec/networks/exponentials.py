"""Tables of exponentials as kernels have them: whole, and as one octave from which vector registers make the rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bfncodec.coding.tables import EXP2_STEPS
from bfncodec.runtime.arrays import Ints32

FRACTION = 10  # bits after the point of an octave's numbers


class Exponentials(NamedTuple):
    """A table of exponentials, `coding.tables.exp2_table` with fewer bits or as many.

    Attributes
    ----------
    table
        The integers, int32 [octaves EXP2_STEPS + 1].
    octave
        Numbers T of EXP2_STEPS places, and behind them one B, with ``table[i] = (T[i % EXP2_STEPS] >> i // EXP2_STEPS)
        + B >> FRACTION``, int32 [EXP2_STEPS + 1].
    """

    table: Ints32
    octave: Ints32


def exponentials(table: Ints32) -> Exponentials:
    """Return a table that halves with every EXP2_STEPS places, rounded to b bits and then to as few as it has."""
    ones = int(table[0]).bit_length() - 1
    dropped = (len(table) - 1) // EXP2_STEPS - 1 - ones
    # What was rounded to b bits is floor(x + 1/2); what then loses d of them is floor(x / 2^d + 1/2 + 1/2^(d + 1)).
    half = (1 << FRACTION) + ((1 << FRACTION >> dropped) if dropped else 0) >> 1
    rows = table[:-1].reshape(-1, EXP2_STEPS).astype(np.int64)
    octave = ((rows << FRACTION) - half << np.arange(len(rows))[:, None]).max(0)
    return Exponentials(table, np.append(octave, half).astype(np.int32))
