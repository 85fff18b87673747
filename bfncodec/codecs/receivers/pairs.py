"""Two logits: weights and exponentials of all differences that they can have, in tables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.coding.bitsback import Ints
from bfncodec.networks.convnet.mixture import WEIGHT_TOTAL


def pair_weights(logits: NDArray[np.float32]) -> NDArray[np.int32]:
    """`mixture_weights` of two: all there can be are in a table. float32 [2, N] -> int32 [2, N]"""
    first = _pairs().take(pair_steps(logits[0] - logits[1]), mode="clip")
    return np.stack([first, WEIGHT_TOTAL - first])


def pair_steps(more: NDArray[np.float32]) -> Ints:
    """Index of two that differ by a logit [N] in a table whose middle is for equals; it may lie beyond the ends."""
    steps = np.rint(more * np.float32(tables.LOG2_E * tables.EXP2_STEPS))
    steps += len(tables.exp2_table()) - 1
    place: Ints = steps.astype(np.int64)
    return place


@lru_cache(maxsize=1)
def _pairs() -> NDArray[np.int32]:
    """The first weight of two for every difference of their logits."""
    first, other = pair_exponentials()
    return (first * np.float64(WEIGHT_TOTAL) / (first + other)).astype(np.int32)


def pair_exponentials() -> tuple[Ints, Ints]:
    """Exponentials of two logits for every difference, that of the larger one 2^20, as `pair_steps` has them."""
    table = tables.exp2_table().astype(np.int64)
    rising, flat = table[:0:-1], np.full(len(table), table[0])
    return np.concatenate([rising, flat]), np.concatenate([flat[1:], table])
