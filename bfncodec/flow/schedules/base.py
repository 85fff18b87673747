"""Schedules in general: the accuracy matrix, and what all of it has where dimensions are sent in phases or at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.forks import cached_property


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
