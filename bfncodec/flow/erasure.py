"""The erasure sender: each dimension arrives exactly, or not at all.

p_S(y | x; alpha) delivers x_d with probability alpha_d and the sign `ERASED` otherwise. Then

    KL(p_S || p_R) = alpha * (-log2 p_O(x_d | theta))       per dimension,

because an erased dimension looks the same to sender and receiver. With a schedule of alpha in
{0, 1} there is no noise left: what a step costs is exactly the dimensions it reveals, coded under
p_O. Which those are does not depend on x. So a coder needs no bits-back and no initial bits, and
every single file is coded at its L^n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.flow.report import CodeLength
from bfncodec.flow.schedules.base import RevealSchedule

ERASED = -1
"""In y: this dimension was erased. In theta: this dimension is not known, p_I is the prior."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ErasureChannel:
    """p(y) = alpha p(x = y), and ERASED with probability 1 - alpha; y int64 [..., D].

    Both sides of the protocol are this channel: the sender feeds it the point mass on x, the receiver
    feeds it p_O.
    """

    log2_p: Floats  # [..., D, K]
    alpha: Floats  # [D]

    def sample(self, rng: np.random.Generator) -> Ints:
        """One draw per dimension, int64 [..., D]."""
        cdf = np.cumsum(np.exp2(self.log2_p), axis=-1)  # [..., D, K]
        shape = cdf.shape[:-1]
        below = cdf <= rng.random(shape)[..., None] * cdf[..., -1:]
        drawn = np.minimum(below.sum(axis=-1), cdf.shape[-1] - 1)
        return np.where(rng.random(shape) < self.alpha, drawn, ERASED)

    def log2_prob(self, y: Ints) -> Floats:
        """log2 p(y), float64 [..., D]; -inf for what cannot happen."""
        with np.errstate(divide="ignore"):
            kept, lost = np.log2(self.alpha), np.log2(1 - self.alpha)
        return np.where(y == ERASED, lost, kept + _pick(self.log2_p, np.maximum(y, 0)))


@dataclass(frozen=True)
class ErasureFlow:
    """The flow of an erasure sender over an alphabet of `classes` symbols.

    x is int64 [..., D] in 0 ... classes - 1; theta is the same with ERASED where nothing is known;
    a network's result and p_O are log2 probabilities, float64 [..., D, classes].

    >>> from bfncodec.flow.schedules.reveal import Comb
    >>> log2_p = np.log2([0.5, 0.25, 0.125])     # of each symbol of a text, at its own step
    >>> ErasureFlow(256).length(log2_p, Comb(length=3, teeth=2)).kl
    array([4., 2.])
    """

    classes: int

    def prior(self, shape: tuple[int, ...]) -> Ints:
        """theta_0: nothing is known."""
        return np.full(shape, ERASED, dtype=np.int64)

    def sender(self, x: Ints, alpha: Floats) -> ErasureChannel:
        """p_S(y | x; alpha)."""
        return ErasureChannel(self._point_mass(x), alpha)

    def output(self, theta: Ints, raw: Floats) -> Floats:
        """p_O: the network's word for what is unknown, a point mass for what is known."""
        known = theta != ERASED
        return np.where(known[..., None], self._point_mass(np.where(known, theta, 0)), raw)

    def receiver(self, p_O: Floats, alpha: Floats) -> ErasureChannel:
        """p_R(y | theta; alpha) = sum over x' of p_O(x') p_S(y | x'; alpha)."""
        return ErasureChannel(p_O, alpha)

    def update(self, theta: Ints, y: Ints, alpha: Floats) -> Ints:
        """Bayes' rule: what arrived is known, what was erased changes nothing, whatever alpha."""
        return np.where(y == ERASED, theta, y)

    def kl(self, x: Ints, p_O: Floats, alpha: Floats, rng: np.random.Generator | None = None) -> Floats:
        """KL(p_S || p_R) = -alpha log2 p_O(x) in bits, float64 [..., D]; exact, rng is unused."""
        cost = self.reconstruction(x, p_O)
        # An unsent dimension is free even where the network thinks it impossible (0 * inf).
        return np.multiply(alpha, cost, out=np.zeros_like(cost), where=np.asarray(alpha) > 0)

    def reconstruction(self, x: Ints, p_O: Floats) -> Floats:
        """-log2 p_O(x | theta_n) in bits, float64 [..., D]; 0 where x_d has been revealed."""
        return 0.0 - _pick(p_O, x)

    def length(self, log2_p: Floats, schedule: RevealSchedule) -> CodeLength:
        """L^n of one item whose network already saw all steps at once.

        Encoders know x, so one parallel pass gives every dimension its probability at its own step.

        Parameters
        ----------
        log2_p
            log2 p_O(x_d | theta at the step that reveals d), float [D] or [D, ...]; further axes
            are parts of a dimension, such as the channels of a pixel, and count in `dims`.
        schedule
            Which step reveals which dimension.

        Raises
        ------
        ValueError
            The first axis of log2_p is not the schedule's number of dimensions.
        """
        bits = -np.asarray(log2_p, dtype=np.float64)
        if bits.ndim < 1 or bits.shape[0] != schedule.dims:
            raise ValueError(f"log2_p: expected {schedule.dims} dimensions, found shape {bits.shape}")
        per_dim = bits.sum(axis=tuple(range(1, bits.ndim)))
        kl = np.bincount(schedule.step_of, weights=per_dim, minlength=schedule.n_steps)
        return CodeLength(kl.astype(np.float64), 0.0, bits.size)

    def _point_mass(self, x: Ints) -> Floats:
        return np.where(np.asarray(x)[..., None] == np.arange(self.classes), 0.0, -np.inf)


def _pick(log2_p: Floats, x: Ints) -> Floats:
    """log2_p[..., d, x[..., d]], shape [..., D]."""
    x = np.broadcast_to(x, log2_p.shape[:-1])
    return np.take_along_axis(log2_p, x[..., None], axis=-1)[..., 0]
