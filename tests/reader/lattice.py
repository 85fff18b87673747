"""Sections 7.3 to 7.5: the schedule, the lattice, and normal distributions of integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil, sqrt

from reader.ans import Stack
from reader.arithmetic import at, normal_table, rint, single
from reader.errors import DamagedPayloadError
from reader.frequencies import total

Row = Sequence[float]
CELL = 1 / 12
LENGTHS = [(1 << 24) >> 6 * k for k in range(33)]
LENGTHS[0] = total(33) - sum(LENGTHS[1:])


@dataclass(frozen=True)
class Group:
    """A cohort in a phase."""

    cohort: int
    phase: int


@dataclass(frozen=True)
class Lattice:
    """A schedule and the lattices of its sums. cohorts: the dimensions of each; channels: sums of a dimension."""

    betas: tuple[float, ...]
    cohorts: tuple[tuple[int, ...], ...]
    kappa: float = 1.0
    channels: int = 1

    @property
    def phases(self) -> int:
        return len(self.betas) - 1

    @property
    def steps(self) -> int:
        return len(self.cohorts) + self.phases - 1

    @property
    def sums(self) -> int:
        """Sums of an item."""
        return sum(map(len, self.cohorts)) * self.channels

    def groups(self, i: int) -> list[Group]:
        """Groups of a step."""
        found = [Group(i - phase, phase) for phase in range(self.phases) if 0 <= i - phase < len(self.cohorts)]
        return [group for group in found if self.cohorts[group.cohort]]

    def places(self, group: Group, items: int) -> list[int]:
        """Places of the sums of a group among all."""
        k, size = self.channels, self.sums
        members = self.cohorts[group.cohort]
        return [item * size + p * k + c for item in range(items) for p in members for c in range(k)]

    def alpha(self, f: int) -> float:
        return self.betas[f] - self.betas[f - 1]

    def nu(self, f: int) -> float:
        return self.betas[f] * self.alpha(f + 1) / self.betas[f + 1]

    @cached_property
    def units(self) -> list[float]:
        """Units of sums after so many phases."""
        w = self.phases
        inner = [sqrt(self.kappa * min(self.alpha(f), self.nu(f))) for f in range(1, w)]
        return [1.0, *inner, sqrt(self.kappa * self.alpha(w))]

    def bridge(self, f: int) -> tuple[float, Kernel]:
        """(factor of the mean, kernel) of the bridge of a phase."""
        ratio = self.betas[f] / self.betas[f + 1] * (self.units[f + 1] / self.units[f])
        return ratio, kernel(sqrt(self.kappa * self.nu(f)) / self.units[f], True)

    def noise(self, f: int) -> Kernel:
        """Kernel of the noise of a phase."""
        return kernel(sqrt(self.kappa * self.alpha(f)) / self.units[f], False)

    def end(self) -> tuple[float, Kernel]:
        """(factor of the target, kernel) of the end."""
        w = self.phases
        return self.betas[w] / self.units[w], kernel(sqrt(self.kappa * self.betas[w]) / self.units[w], True)


def window(half: int, offset: float, scale: float) -> list[int]:
    """Frequencies of the symbols of a window."""
    table, whole, edges = normal_table(), total(2 * half), [0]
    for j in range(1, 2 * half):
        index = rint((j - (half + 0.5) - offset) * scale) + 4096
        edges.append((at(table, index) * whole) >> 30)
    edges.append(whole)
    return [b - a for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Kernel:
    """A kernel."""

    half: int
    scale: float
    truncated: bool

    def pop(self, stack: Stack, means: Row) -> list[int]:
        places = [self._place(mean) for mean in means]
        symbols = [stack.pop(self._frequencies(phi)) for _, phi in places]
        away = [0] * len(symbols) if self.truncated else pop_excess(stack, symbols, 2 * self.half)
        return [base + symbol + more for (base, _), symbol, more in zip(places, symbols, away, strict=True)]

    def push(self, stack: Stack, values: Sequence[int], means: Row) -> None:
        places = [self._place(mean) for mean in means]
        symbols = [value - base for value, (base, _) in zip(values, places, strict=True)]
        if not self.truncated:
            symbols = push_excess(stack, symbols, 2 * self.half)
        for symbol, (_, phi) in zip(reversed(symbols), reversed(places), strict=True):
            if not 0 <= symbol < 2 * self.half:
                raise DamagedPayloadError("a sum outside a truncated kernel")
            stack.push(symbol, self._frequencies(phi))

    def _place(self, mean: float) -> tuple[int, int]:
        """(value of the first symbol, 256ths of the mean)"""
        near = rint(mean)
        return near - self.half, min(int((mean - near + 0.5) * 256), 255)

    def _frequencies(self, phi: int) -> list[int]:
        if phi not in self._known:
            self._known[phi] = window(self.half, (phi + 0.5) / 256 - 0.5, self.scale)
        return self._known[phi]

    @cached_property
    def _known(self) -> dict[int, list[int]]:
        return {}


@lru_cache(maxsize=1024)
def kernel(deviation: float, truncated: bool) -> Kernel:
    """The kernel of a deviation in units."""
    half = max(4, ceil(5.3 * deviation)) if truncated else max(16, ceil(8 * deviation))
    return Kernel(half, 512 / sqrt(max(deviation * deviation - CELL, 0.25)), truncated)


def pop_normals(stack: Stack, means: Row, variances: Row) -> list[int]:
    """A list of sums under Normals."""
    half, widest = 16, max(variances)
    while half < 256 and half * half < 25 * widest:
        half *= 2
    nears = [rint(mean) for mean in means]
    symbols = []
    for mean, near, variance in zip(means, nears, variances, strict=True):
        scale = single(512 / sqrt(max(variance - CELL, 0.25)))
        symbols.append(stack.pop(window(half, single(mean - near), scale)))
    away = pop_excess(stack, symbols, 2 * half)
    return [near - half + symbol + more for near, symbol, more in zip(nears, symbols, away, strict=True)]


def pop_excess(stack: Stack, symbols: Sequence[int], count: int) -> list[int]:
    """How far each value is beyond its window."""
    found = []
    for symbol in symbols:
        if symbol in (0, count - 1):
            found.append(_pop_integer(stack) * (1 if symbol else -1))
        else:
            found.append(0)
    return found


def push_excess(stack: Stack, offsets: Sequence[int], count: int) -> list[int]:
    """Symbols of offsets in a window; what is beyond is pushed."""
    symbols = [min(max(offset, 0), count - 1) for offset in offsets]
    for offset, symbol in zip(reversed(offsets), reversed(symbols), strict=True):
        if symbol in (0, count - 1):
            _push_integer(stack, abs(offset - symbol))
    return symbols


def _pop_integer(stack: Stack) -> int:
    digits = stack.pop(LENGTHS)
    low = max(digits - 1, 0)
    high = stack.pop_bits(max(low - 16, 0))
    return (1 << digits >> 1) + (high << 16) + stack.pop_bits(min(low, 16))


def _push_integer(stack: Stack, value: int) -> None:
    digits = value.bit_length()
    if digits > 32:
        raise DamagedPayloadError("a sum far outside its window")
    low, rest = max(digits - 1, 0), value - (1 << digits >> 1)
    stack.push_bits(rest & 0xFFFF if low else 0, min(low, 16))
    stack.push_bits(rest >> 16, max(low - 16, 0))
    stack.push(digits, LENGTHS)


def pop_list(stack: Stack, rows: Sequence[list[int]]) -> list[int]:
    """Symbols of a list, each under its frequencies."""
    return [stack.pop(row) for row in rows]


def push_list(stack: Stack, symbols: Sequence[int], rows: Sequence[list[int]]) -> None:
    """Push symbols of a list."""
    for symbol, row in zip(reversed(symbols), reversed(rows), strict=True):
        stack.push(symbol, row)
