"""The Gaussian sender on the simplex, the paper's for discrete data.

x is int64 [..., D] in 0 ... K - 1, and y ~ N(alpha (K e_x - 1), alpha K I), [..., D, K] (Graves et al.
2023, section 6). Bayes' rule multiplies the input distribution by exp(y) and normalises, so

    p_I(x | theta) = softmax(s),    s = sum of y_i,

and theta is kept as s, the sum itself: exponentials would overflow long before s does. Given x, s is a
Brownian motion in K dimensions, s ~ N(beta (K e_x - 1), beta K I); its bridge does not depend on x.

Two densities of one y differ by ln N(y | k) - ln N(y | x) = y_k - y_x, everything else cancels: that
is why likelihoods, receivers and responsibilities are all softmaxes of a sum.

Two classes are one dimension. With d = (y_1 - y_0) / 2, d ~ N(alpha, alpha) for class 1 and
N(-alpha, alpha) for class 0, which is alpha times the sample of `GaussianFlow` for x = 1 and -1, and
p_I(class 1) = 1 / (1 + exp(-2 (sum of d))). What is left, (y_1 + y_0) / 2 ~ N(0, alpha), is noise that
sender and receiver agree about. So both protocols cost the same, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.flow.gaussian import LN2, Normal, Sums, antithetic, brownian_bridge, draw, log2_sum, pick

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NormalVectors(Normal):
    """N(mean, diagonal variance) of vectors of K coordinates, [..., D, K]; log2_prob is [..., D]."""

    def log2_prob(self, y: Floats) -> Floats:
        """log2 of the density of all K coordinates together, [..., D]."""
        return np.asarray(super().log2_prob(y).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class SimplexMixture:
    """p_R(y) = sum over k of p_O(k) N(y; alpha (K e_k - 1), alpha K I), y float64 [..., D, K]."""

    log2_p: Floats  # [..., D, K]
    alpha: Floats  # [D]

    def sample(self, rng: np.random.Generator) -> Floats:
        """One vector per dimension, [..., D, K]: a class under p_O, then the sender's noise."""
        return _noisy(draw(self.log2_p, rng), self.alpha, self.log2_p.shape[-1]).sample(rng)

    def log2_prob(self, y: Floats) -> Floats:
        """log2 of the density of y, [..., D]."""
        alpha, K = self.alpha[..., None], self.log2_p.shape[-1]
        blank = NormalVectors(-alpha, alpha * K)  # no class at all: mean -alpha in every coordinate
        nats = y + alpha - alpha * K / 2  # ln N(y | k) - ln N(y | blank), [..., D, K]
        return blank.log2_prob(y) + log2_sum(self.log2_p + nats / LN2)


@dataclass(frozen=True)
class SimplexFlow:
    """The flow of the Gaussian sender over an alphabet of `classes` symbols.

    x is int64 [..., D] in 0 ... classes - 1; a network's result and p_O are log2 probabilities, float64
    [..., D, classes]; y and s are float64 [..., D, classes]. The receiver is the exact mixture.

    Parameters
    ----------
    classes
        Size of the alphabet, K.
    samples
        Pairs of draws (z and -z) per dimension in the estimate of KL.

    >>> flow = SimplexFlow(3)
    >>> theta = flow.update(flow.prior((1,)), np.array([[1000.0, 1000.0, 0.0]]), np.array([2.0]))
    >>> flow.theta_probabilities(theta).tolist(), theta.beta.tolist()
    ([[0.5, 0.5, 0.0]], [2.0])
    """

    classes: int
    samples: int = 1

    def __post_init__(self) -> None:
        if self.classes < 2 or self.samples < 1:
            raise ValueError(f"expected classes >= 2 and samples >= 1, found {self.classes} and {self.samples}")

    def prior(self, shape: tuple[int, ...]) -> Sums:
        """theta_0 for data of that shape, [..., D]: all classes alike."""
        return Sums(np.zeros((*shape, self.classes)), np.zeros(shape[-1:]))

    def theta_probabilities(self, theta: Sums) -> Floats:
        """p_I(x | theta) = softmax(s), [..., D, K]: what the paper calls theta, and networks read."""
        return _softmax(theta.s)

    def sender(self, x: Ints, alpha: Floats) -> NormalVectors:
        """p_S(y | x; alpha) = N(alpha (K e_x - 1), alpha K I)."""
        return _noisy(x, alpha, self.classes)

    def output(self, theta: Sums, raw: Floats) -> Floats:
        """p_O: the network's log2 probabilities; s never settles a class for certain."""
        return raw

    def receiver(self, p_O: Floats, alpha: Floats) -> SimplexMixture:
        """p_R(y | theta; alpha) = sum over k of p_O(k) p_S(y | k; alpha)."""
        return SimplexMixture(p_O, alpha)

    def responsibilities(self, p_O: Floats, y: Floats) -> Floats:
        """p(k | y), [..., D, K]: the class behind a received y, drawn in bits-back coding of a mixture."""
        return _softmax(p_O * LN2 + y)

    def update(self, theta: Sums, y: Floats, alpha: Floats) -> Sums:
        """Bayes' rule: p_I is multiplied by exp(y), so s grows by y, whatever alpha."""
        return Sums(theta.s + y, theta.beta + alpha)

    def kl(self, x: Ints, p_O: Floats, alpha: Floats, rng: np.random.Generator | None = None) -> Floats:
        """KL(p_S || p_R) in bits, [..., D].

        An unbiased estimate from rng, which may be negative where the KL is small.
        """
        sent = self.sender(x, alpha)
        bits = np.zeros(np.broadcast_shapes(np.shape(x), p_O.shape[:-1]))
        for z in antithetic(rng, (*bits.shape, self.classes), self.samples):
            y = sent.mean + np.sqrt(sent.variance) * z
            bits -= log2_sum(p_O + (y - pick(y, x)[..., None]) / LN2)
        return bits / (2 * self.samples)

    def reconstruction(self, x: Ints, p_O: Floats) -> Floats:
        """-log2 p_O(x | theta_n) in bits, [..., D]."""
        return 0.0 - pick(p_O, x)

    def bridge(self, theta: Sums, beta: Floats, alpha: Floats) -> NormalVectors:
        """p(s_i | s_{i+1}), with beta [D] spent before step i and alpha [D] at step i."""
        unit = brownian_bridge(theta.s, beta[..., None], alpha[..., None])
        return NormalVectors(unit.mean, unit.variance * self.classes)

    def continuous_time_loss(self, x: Ints, p_O: Floats, t: Floats, beta_1: float) -> Floats:
        """K beta(1) t |e_x - e_hat|^2 in bits, [..., D]; its mean over t is L^inf (eq. 205).

        The limit of L^n without its reconstruction for n to infinity, under the accuracies of
        `AccuracySchedule.quadratic`, from p_O at times t [...] uniform in [0, 1].
        """
        rate = self.classes * beta_1 * t / LN2
        return np.asarray(rate[..., None] * ((_one_hot(x, self.classes) - np.exp2(p_O)) ** 2).sum(axis=-1))


def _noisy(x: Ints, alpha: Floats, K: int) -> NormalVectors:
    """N(alpha (K e_x - 1), alpha K I); where alpha is 0 nothing is sent, y is 0."""
    mean = alpha[..., None] * (K * _one_hot(x, K) - 1)
    return NormalVectors(mean, np.broadcast_to(alpha[..., None] * K, mean.shape))


def _one_hot(x: Ints, K: int) -> Floats:
    """e_x, float64 [..., D, K]."""
    return np.equal(np.asarray(x)[..., None], np.arange(K)).astype(np.float64)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
