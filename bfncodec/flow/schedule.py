"""Accuracy schedules: how precisely each dimension is sent at each step.

A schedule owns the accuracy matrix alpha[i, d]. The paper sends every dimension with the same
accuracy at step i; here each dimension has its own, and one matrix describes the whole spectrum:

    all dimensions a little at a time     the paper, diffusion: `AccuracySchedule`
    some dimensions a little at a time    `Staggered` (text), `StaggeredWavefront` (images)
    some dimensions fully at a time       `Comb` (text), `Wavefront` (images)
    one dimension at a time               autoregression, for example `Comb(length, 1)`

Steps are counted from 0: step i takes theta_i to theta_{i+1} with accuracy alpha[i], and theta_0 is
the prior. (The paper counts from 1 and writes theta_{i-1} to theta_i with alpha_i.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Schedule(ABC):
    """The accuracy matrix alpha[i, d] of a Bayesian flow, 0 <= i < n_steps, 0 <= d < dims."""

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Number of steps n."""

    @property
    @abstractmethod
    def dims(self) -> int:
        """Number of dimensions D."""

    @abstractmethod
    def accuracy(self, i: int) -> NDArray[np.float64]:
        """Row alpha[i] of the matrix, float64 [D]: the accuracy of step i."""

    def beta(self, i: int) -> NDArray[np.float64]:
        """Accuracy spent before step i, float64 [D]: beta_i = sum of alpha[j] over j < i.

        beta(0) is zero everywhere, beta(n_steps) is what all steps spend.
        """
        return sum((self.accuracy(j) for j in range(i)), np.zeros(self.dims))


@dataclass(frozen=True)
class Group:
    """Dimensions that one step takes from one phase to the next: those of a cohort, with `phase` of its steps done."""

    cohort: int
    phase: int


class GradualSchedule(Schedule):
    """A schedule that sends every dimension in w noisy steps, its phases, with the same accuracies for all.

    Dimensions fall into cohorts; cohort c begins at step c, and so is in phase i - c at step i. A single cohort is the
    paper's schedule; many are a staggered one, in which most dimensions are either known or not begun when a dimension
    is sent. Subclasses say which dimensions are a cohort (`members`); everything else follows.

    betas: accuracy spent on a dimension before its first step, 0, and after each of its steps, w + 1 increasing
    numbers.
    """

    betas: tuple[float, ...]

    @property
    @abstractmethod
    def cohorts(self) -> int:
        """Number of cohorts."""

    @abstractmethod
    def members(self, cohort: int) -> slice:
        """The dimensions of a cohort, as a slice of all; empty where there are none."""

    @property
    def phases(self) -> int:
        """Steps in which a dimension is sent, w."""
        return len(self.betas) - 1

    @property
    def n_steps(self) -> int:
        return self.cohorts + self.phases - 1

    @cached_property
    def cohort_of(self) -> NDArray[np.int64]:
        """The cohort of each dimension, which is the step at which it begins, int64 [D]."""
        found = np.zeros(self.dims, np.int64)
        for cohort in range(self.cohorts):
            found[self.members(cohort)] = cohort
        return found

    def phase(self, i: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """Steps that each dimension has behind it before step i, 0 to w: int64 [D], or [B, D] for steps [B, 1]."""
        return np.clip(i - self.cohort_of, 0, self.phases)

    def active(self, i: int) -> NDArray[np.int64]:
        """The dimensions that step i sends, in increasing order."""
        return np.flatnonzero((self.cohort_of <= i) & (i < self.cohort_of + self.phases))

    def groups(self, i: int) -> list[Group]:
        """Groups that step i sends, by increasing phase: the cohort that began last comes first."""
        phases = range(max(0, i - self.cohorts + 1), min(i + 1, self.phases))
        return [Group(i - phase, phase) for phase in phases if self.size(i - phase)]

    def size(self, cohort: int) -> int:
        """Number of dimensions of a cohort."""
        return len(range(self.dims)[self.members(cohort)])

    def of(self, group: Group, values: NDArray[Any], channels: int = 1) -> NDArray[Any]:
        """A view of what belongs to a group, [items, d, channels].

        values: [N] numbers of any number of items, `channels` for each dimension.
        """
        return values.reshape(-1, self.dims, channels)[:, self.members(group.cohort)]

    def accuracy(self, i: int) -> NDArray[np.float64]:
        return self.beta(i + 1) - self.beta(i)

    def beta(self, i: int) -> NDArray[np.float64]:
        return np.array(self.betas)[self.phase(i)]


def _check_betas(betas: tuple[float, ...]) -> None:
    """Raise ValueError for accuracies that do not rise from 0."""
    steps = np.diff(betas)
    if betas[:1] != (0,) or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"betas: expected increasing finite numbers from 0 on, found {betas}")


@dataclass(frozen=True)
class AccuracySchedule(GradualSchedule):
    """All dimensions a little at a time, at the same accuracy: the paper's schedules, and any other grid.

    Parameters
    ----------
    betas
        Accuracy spent before each step and after the last, n + 1 increasing numbers that start at 0.
    dims
        Number of dimensions D.

    >>> schedule = AccuracySchedule(betas=(0.0, 1.0, 4.0), dims=2)
    >>> schedule.n_steps, schedule.accuracy(1), schedule.beta(2)
    (2, array([3., 3.]), array([4., 4.]))
    """

    betas: tuple[float, ...]
    dims: int = 1  # a default of its own, or dataclass would take the base class's property for one

    def __post_init__(self) -> None:
        _check_betas(self.betas)
        if self.dims < 0:
            raise ValueError(f"dims: expected 0 or more, found {self.dims}")

    @classmethod
    def geometric(cls, sigma_1: float, n: int, dims: int) -> AccuracySchedule:
        """beta(t) = sigma_1^{-2 t} - 1 at t = i / n: the paper's for continuous and discretised data (eq. 72).

        sigma_1 is the standard deviation of the input distribution after the last step.

        >>> AccuracySchedule.geometric(sigma_1=0.25, n=2, dims=1).betas
        (0.0, 3.0, 15.0)
        """
        if not 0 < sigma_1 < 1 or n < 1:
            raise ValueError(f"expected 0 < sigma_1 < 1 and n >= 1, found {sigma_1} and {n}")
        return cls(tuple(sigma_1 ** (-2 * i / n) - 1 for i in range(n + 1)), dims)

    @classmethod
    def quadratic(cls, beta_1: float, n: int, dims: int) -> AccuracySchedule:
        """beta(t) = t^2 beta(1) at t = i / n: the paper's for discrete data (eq. 182).

        >>> AccuracySchedule.quadratic(beta_1=8.0, n=2, dims=1).betas
        (0.0, 2.0, 8.0)
        """
        if beta_1 <= 0 or n < 1:
            raise ValueError(f"expected beta_1 > 0 and n >= 1, found {beta_1} and {n}")
        return cls(tuple(beta_1 * (i / n) ** 2 for i in range(n + 1)), dims)

    @property
    def cohorts(self) -> int:
        return 1

    def members(self, cohort: int) -> slice:
        return slice(None)


class RevealSchedule(Schedule):
    """A schedule with alpha in {0, 1} that sends every dimension once, completely.

    A subclass says at which step each dimension is revealed (`step_of`); everything else follows.
    Dimensions revealed at one step are coded in increasing order of their number. The arrays are
    computed once per schedule and shared: read them, do not write into them.
    """

    @property
    @abstractmethod
    def step_of(self) -> NDArray[np.int64]:
        """The step that reveals each dimension, int64 [D]."""

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """All dimensions in coding order, int64 [D]: those of step 0, then of step 1, ..."""
        # NumPy sorts 16-bit integers by radix, which is an order of magnitude faster.
        keys = self.step_of.astype(np.uint16) if self.n_steps <= 1 << 16 else self.step_of
        return np.argsort(keys, kind="stable").astype(np.int64, copy=False)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """int64 [n + 1]: step i reveals order[offsets[i]:offsets[i + 1]]."""
        counts = np.bincount(self.step_of, minlength=self.n_steps)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64, copy=False)

    def revealed(self, i: int) -> NDArray[np.int64]:
        """The dimensions step i reveals, int64 [k] in coding order; k may be 0."""
        return self.order[self.offsets[i] : self.offsets[i + 1]]

    def accuracy(self, i: int) -> NDArray[np.float64]:
        return np.equal(self.step_of, i).astype(np.float64)

    def beta(self, i: int) -> NDArray[np.float64]:
        return np.less(self.step_of, i).astype(np.float64)


@dataclass(frozen=True)
class Wavefront(RevealSchedule):
    """Pixels of an image, revealed along slanted lines: pixel (r, c) at step c + 2 r.

    Dimension d is pixel (d // width, d % width). There are width + 2 (height - 1) steps of at most
    min(height, (width + 1) // 2) pixels. Before its step a pixel sees every (r', c') with
    c' + 2 r' < c + 2 r: to its left, one row up as far as one column ahead, two rows up as far as
    three ahead. That is a raster-scan context, at a few thousand steps instead of one per pixel.

    Where the image is one column wide every second step is empty; an empty step costs nothing.

    >>> Wavefront(height=3, width=4).step_of.reshape(3, 4)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5],
           [4, 5, 6, 7]])
    >>> Wavefront(height=3, width=4).revealed(2)
    array([2, 4])
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"wavefront: expected at least 1x1 pixels, found {self.height}x{self.width}")

    @property
    def n_steps(self) -> int:
        return self.width + 2 * (self.height - 1)

    @property
    def dims(self) -> int:
        return self.height * self.width

    @cached_property
    def step_of(self) -> NDArray[np.int64]:
        rows = np.arange(self.height, dtype=np.int64)[:, None]
        columns = np.arange(self.width, dtype=np.int64)[None, :]
        return (columns + 2 * rows).reshape(-1)

    @cached_property
    def first_row(self) -> NDArray[np.int64]:
        """The row of the first pixel that each step reveals, int64 [n_steps]; a step reveals one pixel in each of some
        consecutive rows.
        """
        return np.clip((np.arange(self.n_steps, dtype=np.int64) - self.width + 2) // 2, 0, self.height)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Pixels that each step reveals, int64 [n_steps]."""
        last = np.minimum(np.arange(self.n_steps, dtype=np.int64) // 2, self.height - 1)
        return np.maximum(last + 1 - self.first_row, 0)

    @staticmethod
    def lag(row: int, column: int) -> int:
        """Return how many steps after a pixel its neighbour at a (row, column) offset is revealed; negative: before.

        >>> Wavefront.lag(-1, 1)
        -1
        """
        return column + 2 * row


@dataclass(frozen=True)
class Comb(RevealSchedule):
    """Symbols of a sequence, cut into streams of nearly equal length, each cut into teeth; all advance side by side.

    Stream k begins at symbol length k // streams and knows nothing of the others. Its teeth are S symbols long, and see
    what the others have revealed; the last one may be shorter, or missing where the stream is. Step i reveals the
    symbols of index i of all teeth of all streams, so there are S steps: those of the longest stream. A single tooth of
    a single stream is left-to-right autoregression; many streams of one tooth each are as many autoregressions side by
    side, which is what text files are.

    The place of a symbol is a *slot* (stream, tooth, index).

    >>> comb = Comb(length=7, teeth=3)
    >>> comb.n_steps, [comb.revealed(i).tolist() for i in range(comb.n_steps)]
    (3, [[0, 3, 6], [1, 4], [2, 5]])
    >>> Comb(length=7, streams=2).cut(bytes([1, 2, 3, 4, 5, 6, 7])).tolist()
    [[[1, 2, 3, 0]], [[4, 5, 6, 7]]]
    """

    length: int
    teeth: int = 1
    streams: int = 1

    def __post_init__(self) -> None:
        if self.length < 0 or self.teeth < 1 or self.streams < 1:
            raise ValueError(
                f"comb: expected length >= 0, teeth >= 1 and streams >= 1, "
                f"found {self.length}, {self.teeth} and {self.streams}"
            )

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """The first symbol of each stream, and the length, int64 [streams + 1]."""
        return np.array([self.length * k // self.streams for k in range(self.streams + 1)], np.int64)

    @cached_property
    def tooth_length(self) -> int:
        """Symbols of a full tooth, S."""
        return -(-int(np.diff(self.edges).max()) // self.teeth)

    @property
    def n_steps(self) -> int:
        return self.tooth_length

    @property
    def dims(self) -> int:
        return self.length

    @cached_property
    def step_of(self) -> NDArray[np.int64]:
        offset = np.arange(self.length, dtype=np.int64) - np.repeat(self.edges[:-1], np.diff(self.edges))
        return offset % max(self.tooth_length, 1)

    @cached_property
    def tooth_of(self) -> NDArray[np.int64]:
        """The tooth of each symbol in its stream, int64 [length]."""
        offset = np.arange(self.length, dtype=np.int64) - np.repeat(self.edges[:-1], np.diff(self.edges))
        return offset // max(self.tooth_length, 1)

    def exists(self, steps: int) -> NDArray[np.bool_]:
        """Slots of the first `steps` steps that hold a symbol, bool [streams, teeth, steps]."""
        place = np.arange(self.teeth)[:, None] * self.n_steps + np.arange(steps)
        inside = (place < np.diff(self.edges)[:, None, None]) & (np.arange(steps) < self.n_steps)
        return np.asarray(inside)

    def cut(self, symbols: bytes, steps: int = 0) -> NDArray[np.uint8]:
        """The symbols by slots, uint8 [streams, teeth, S or `steps`]; zeros where there is none."""
        found = np.zeros((self.streams, self.teeth, max(steps, self.n_steps)), np.uint8)
        for stream, start, end in zip(found, self.edges, self.edges[1:], strict=False):
            padded = np.zeros(self.teeth * self.n_steps, np.uint8)
            padded[: end - start] = np.frombuffer(symbols, np.uint8, end - start, start)
            stream[:, : self.n_steps] = padded.reshape(self.teeth, self.n_steps)
        return found

    def join(self, slots: NDArray[np.uint8]) -> bytes:
        """Inverse of `cut`. slots: uint8 [streams, teeth, S or more]"""
        parts = slots[:, :, : self.n_steps].reshape(len(slots), -1)
        return b"".join(part[:count].tobytes() for part, count in zip(parts, np.diff(self.edges), strict=True))


@dataclass(frozen=True)
class Staggered(GradualSchedule):
    """Symbols of a sequence that begin one after the other, each sent in a few noisy steps.

    Symbol p begins at step p % period, so there are period + w - 1 steps; when a symbol begins, those before it in its
    period are known, but for the last w - 1. With one step a symbol (w = 1) this is a noisy `Comb`; with a period of
    one it is `AccuracySchedule`.

    Parameters
    ----------
    length
        Number of symbols.
    period
        Symbols from one that begins at step 0 to the next.
    betas
        Accuracy spent on a symbol before its first step, which is 0, and after each, w + 1 increasing numbers.

    >>> schedule = Staggered(length=5, period=3, betas=(0.0, 1.0, 4.0))
    >>> schedule.n_steps, [schedule.accuracy(i).tolist() for i in range(schedule.n_steps)]
    (4, [[1.0, 0.0, 0.0, 1.0, 0.0], [3.0, 1.0, 0.0, 3.0, 1.0], [0.0, 3.0, 1.0, 0.0, 3.0], [0.0, 0.0, 3.0, 0.0, 0.0]])
    """

    length: int
    period: int
    betas: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_betas(self.betas)
        if self.length < 0 or self.period < 1 or len(self.betas) < 2:
            raise ValueError(
                f"staggered: expected length >= 0, period >= 1 and a step or more, "
                f"found {self.length}, {self.period} and {self.betas}"
            )

    @property
    def cohorts(self) -> int:
        return self.period

    @property
    def dims(self) -> int:
        return self.length

    def members(self, cohort: int) -> slice:
        return slice(cohort, None, self.period)


@dataclass(frozen=True)
class StaggeredWavefront(GradualSchedule):
    """Pixels of pictures whose slanted lines (see `Wavefront`) begin one after the other, each sent in a few noisy
    steps.

    Dimensions are numbered in the order in which they begin: all subpixels of line 0, then those of line 1, ... So a
    cohort is a line, and a range.

    Parameters
    ----------
    edges
        The first dimension of each line, and the number of dimensions.
    betas
        Accuracy spent on a pixel before its first step, which is 0, and after each, w + 1 increasing numbers.

    >>> schedule = StaggeredWavefront(edges=(0, 1, 3, 4), betas=(0.0, 1.0, 4.0))
    >>> schedule.n_steps, [schedule.accuracy(i).tolist() for i in range(schedule.n_steps)]
    (4, [[1.0, 0.0, 0.0, 0.0], [3.0, 1.0, 1.0, 0.0], [0.0, 3.0, 3.0, 1.0], [0.0, 0.0, 0.0, 3.0]])
    """

    edges: tuple[int, ...]
    betas: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_betas(self.betas)
        if self.edges[:1] != (0,) or any(low > high for low, high in pairwise(self.edges)):
            raise ValueError(f"edges: expected numbers that do not fall, from 0 on, found {self.edges}")

    @property
    def cohorts(self) -> int:
        return len(self.edges) - 1

    @property
    def dims(self) -> int:
        return self.edges[-1]

    def members(self, cohort: int) -> slice:
        return slice(self.edges[cohort], self.edges[cohort + 1])
