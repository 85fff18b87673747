"""Section 4: parts of networks, in single."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, sqrt
from operator import mul

from reader.arithmetic import STEPS, at, exp2_table, logistic_table, rint, single, singles
from reader.model import Model, Tensor

Row = Sequence[float]
LEAST_LARGEST, LEAST_SQUARE = single(1e-6), single(1e-3)
STEPS_SINGLE = single(STEPS)


def quantised(x: Row) -> tuple[list[int], float]:
    """(integers of a quantised row, their unit)"""
    m = max(max(map(abs, x)), LEAST_LARGEST)
    t = single(127 / m)
    return [rint(q) for q in singles([v * t for v in x])], single(m / 127)


def rms(x: Row) -> tuple[list[int], float]:
    """(integers of an RMS row, their unit)"""
    q, _ = quantised(x)
    g = max(single(sum(map(mul, q, q)) / len(q)), LEAST_SQUARE)
    return q, single(1 / single(sqrt(g)))


def added(x: Row, y: Row) -> list[float]:
    """x + y, in single."""
    return singles(map(float.__add__, x, y))


@dataclass(frozen=True)
class Linear:
    """A linear layer. scale: with the input scale; fine: the second matrix, if there is one."""

    weight: list[tuple[float, ...]]
    fine: list[tuple[float, ...]]
    scale: Row
    bias: Row

    @classmethod
    def load(
        cls, model: Model, name: str, outputs: int, inputs: int, *, bias: bool = True, fine: bool = False, c: float = 1
    ) -> Linear:
        weight = model.tensor(f"{name}.q", outputs, inputs).rows()
        second = model.tensor(f"{name}.r", outputs, inputs).rows() if fine else []
        scale = [s * single(c) for s in model.tensor(f"{name}.s", outputs).values]
        return cls(weight, second, singles(scale), model.tensor(f"{name}.b", outputs).values if bias else ())

    def __call__(self, q: Sequence[int], unit: float | None = None) -> list[float]:
        y = singles([sum(map(mul, q, row)) for row in self.weight])
        if self.fine:
            second = singles([sum(map(mul, q, row)) for row in self.fine])
            y = added(singles([v / 254 for v in second]), y)
        if unit is not None:
            y = singles([v * unit for v in y])
        y = singles(map(mul, y, self.scale))
        return added(y, self.bias) if self.bias else y


@dataclass(frozen=True)
class Table:
    """A table of rows. levels: what its numbers of 4 bits stand for, if it has such."""

    stored: Tensor
    levels: Row
    scale: Tensor

    @classmethod
    def load(cls, model: Model, name: str, rows: int, columns: int, *, coarse: bool = False) -> Table:
        stored = model.tensor(f"{name}.q", rows, columns // 2 if coarse else columns)
        return cls(stored, model.tensor("levels", 16).values if coarse else (), model.tensor(f"{name}.s", rows))

    def __call__(self, k: int) -> list[float]:
        (scale,), row = self.scale.row(k), self.stored.row(k)
        if self.levels:
            row = tuple(self.levels[v] for b in map(int, row) for v in (b & 15, b >> 4))
        return singles([q * scale for q in row])


def hashed(symbols: Sequence[int], bits: int) -> int:
    """The row of some symbols, oldest first, in a table of 2^bits."""
    h = 0
    for symbol in symbols:
        h = (h + symbol + 1) * 0x9E3779B1 & 0xFFFFFFFF
        h ^= h >> 15
    return (h * 0x9E3779B1 & 0xFFFFFFFF) >> (32 - bits)


def exponentials(logits: Row) -> list[int]:
    """EXP2 of how far each logit is below the largest."""
    most, table = max(logits), exp2_table()
    apart = singles([most - v for v in logits])
    return [at(table, rint(s)) for s in singles([v * STEPS_SINGLE for v in apart])]


def mixture_weights(logits: Row) -> list[int]:
    """Weights of a mixture."""
    return shares(exponentials(logits))


def shares(numbers: Sequence[int]) -> list[int]:
    """Integers in proportion to others that sum to 1024."""
    whole, edges, running = sum(numbers), [0], 0
    for number in numbers:
        running += number
        edges.append(int(running * 1024.0 / whole))
    return [b - a for a, b in pairwise(edges)]


def logistics(weights: Sequence[int], means: Row, inverses: Row) -> Callable[[int], int]:
    """The cumulative function of a mixture of logistics."""
    table = logistic_table()

    def below(value: int) -> int:
        if value in (0, 256):
            return value << 22
        found, edge = 0, 64 * value - 32
        for weight, mean, inverse in zip(weights, means, inverses, strict=True):
            found += weight * at(table, floor(single(single(edge - mean) * inverse)) + 7168)
        return found

    return below
