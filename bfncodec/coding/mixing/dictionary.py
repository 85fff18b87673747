"""Dictionaries: texts of the kind to come, which a mixer has read before each text.

A message of a few hundred bytes is over before a mixer has learned anything from it. So a model may have a dictionary,
as zstd has them: rows, messages or files like those to come. It is mixed once as a text of its own would be, and what
that leaves every text of the model begins with: maps, weights and biases as copies that the text moves on; the table of
contexts as it is, for what the text's own table does not have; and its bytes, for matches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.runtime.arrays import Bytes, Ints, Ints32


class Learned(NamedTuple):
    """Arrays of a mixer that has read a dictionary, by their names in `MixerState`."""

    table: Bytes
    hits: Ints
    trials: Ints
    predictions: NDArray[np.int16]
    weights: Ints32
    decisions: Ints
    bias_one: Ints
    bias_two: Ints


class Dictionary(NamedTuple):
    """The bytes of a dictionary, and what they have taught; nothing while they are learned."""

    text: bytes
    learned: Learned | None = None
