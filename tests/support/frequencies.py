"""Rows of integer frequencies of many shapes, symbols drawn by them, and what those cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.rangecoder import PRECISION, information, total

Ints = NDArray[np.int32]
SHAPES = ("even", "random", "skewed", "sparse", "one")


def rows(rng: np.random.Generator, count: int, n: int, shape: str) -> Ints:
    """Frequencies int32 [count, n] that sum to total(n): even, random, skewed, mostly zeros, or all on one symbol."""
    share = rng.random((count, n)) + 1e-9
    if shape == "even":
        share[:] = 1
    elif shape == "skewed":
        share = share**30
    elif shape == "sparse":
        share *= rng.random((count, n)) < 2 / n
    elif shape == "one":
        share = np.zeros((count, n))
    share[np.arange(count), rng.integers(0, n, count)] += 1e-3 if shape != "one" else 1
    result = np.floor(share / share.sum(1, keepdims=True) * total(n)).astype(np.int64)
    result[np.arange(count), result.argmax(1)] += total(n) - result.sum(1)
    return result.astype(np.int32)


def draws(rng: np.random.Generator, frequencies: Ints) -> Ints:
    """A symbol of each row, by its frequencies plus one; the coder's own distribution."""
    edges = np.cumsum(frequencies + 1, 1)
    return (edges <= rng.integers(0, 1 << PRECISION, (len(edges), 1))).sum(1).astype(np.int32)


def intervals(frequencies: Ints, symbols: Ints) -> tuple[Ints, Ints, Ints, int]:
    """Return what `encode_intervals` wants of the same symbols."""
    row = np.arange(len(symbols))
    own = frequencies[row, symbols]
    return (np.cumsum(frequencies, 1)[row, symbols] - own).astype(np.int32), own, symbols, frequencies.shape[1]


def bits(frequencies: Ints, symbols: Ints) -> float:
    return float(information(frequencies[np.arange(len(symbols)), symbols]).sum())
