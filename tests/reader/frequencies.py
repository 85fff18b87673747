"""Section 2.3: from weights and cumulative functions to frequencies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import floor

TOTAL_BITS = 24


def total(symbols: int) -> int:
    """T(n): the sum of the frequencies of n symbols."""
    return (1 << TOTAL_BITS) - symbols


def in_proportion(weights: Sequence[int]) -> list[int]:
    """Frequencies in proportion to weights."""
    whole = total(len(weights))
    ratio = whole / sum(weights)
    found = [floor(w * ratio) for w in weights]
    found[weights.index(max(weights))] += whole - sum(found)
    return found


def high_nibble(below: Callable[[int], int]) -> list[int]:
    """Frequencies of the high nibble of a byte with a cumulative function."""
    coarse = [below(16 * j) >> 6 for j in range(17)]
    edges = [c - (c >> 20) for c in coarse]
    return [b - a for a, b in pairwise(edges)]


def low_nibble(below: Callable[[int], int], high: int) -> list[int]:
    """Frequencies of the low nibble behind a high one."""
    inside = [below(16 * high + j) for j in range(17)]
    fine = [e - inside[0] for e in inside]
    ratio = total(16) / (fine[16] + 16)
    edges = [*(int((fine[j] + j) * ratio) for j in range(16)), total(16)]
    return [b - a for a, b in pairwise(edges)]
