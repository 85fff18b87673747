"""Schedules of several noisy steps a dimension: the paper's, and staggered ones of texts and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bfncodec.flow.schedules.base import GradualSchedule


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


def _check_betas(betas: tuple[float, ...]) -> None:
    """Raise ValueError for accuracies that do not rise from 0."""
    steps = np.diff(betas)
    if betas[:1] != (0,) or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"betas: expected increasing finite numbers from 0 on, found {betas}")
