"""The Gaussian sender, the paper's, for continuous, discretised and binary data.

x is float64 [..., D] in [-1, 1], and y ~ N(x, 1 / alpha) (Graves et al. 2023, sections 4 and 5). With
s = sum of alpha_i y_i and beta = sum of alpha_i the input distribution, whose prior is N(0, 1), is

    p_I(x | theta) = N(s / (1 + beta), 1 / (1 + beta)),

so theta is kept as the natural parameters (s, beta) and Bayes' rule is an addition. Given x, s is a
Brownian motion with drift x run for the time beta, s ~ N(beta x, beta); pinned at a later point it no
longer depends on x. That is the bridge, and why bits-back coding can give the sender's noise back.

A dimension whose alpha is 0 is not sent: y is 0 with certainty, which costs nothing and adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

LN2 = math.log(2)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sums:
    """theta in natural parameters: the sum of what was received, and the accuracy spent on it."""

    s: Floats  # [..., D]; of classes [..., D, K]
    beta: Floats  # [D]


class OutputDistribution(Protocol):
    """p_O(x | theta), factorised: what a flow of x in [-1, 1] needs to know of it."""

    @property
    def mean(self) -> Floats:
        """E x, [..., D]: the paper's x_hat, or k_hat of discretised data."""
        ...

    @property
    def variance(self) -> Floats:
        """Var x, [..., D]."""
        ...

    def log2_prob(self, x: Floats) -> Floats:
        """log2 of the probability (discretised data) or density (continuous data) of x, [..., D]."""
        ...


@dataclass(frozen=True, eq=False)
class Normal:
    """N(mean, variance), elementwise. Variance 0 is a point mass: log2_prob is then 0 or -inf.

    Both what a flow samples from (`Distribution`) and an `OutputDistribution` of continuous data; a
    point mass there is the paper's p_O(x) = delta(x - x_hat).

    >>> Normal(np.array([1.0, 1.0]), np.array([0.125 / np.pi, 0.0])).log2_prob(np.array([1.0, 2.0]))
    array([  1., -inf])
    """

    mean: Floats  # [..., D]
    variance: Floats  # [..., D] or what broadcasts to it

    def sample(self, rng: np.random.Generator) -> Floats:
        """One draw per element."""
        shape = np.broadcast_shapes(self.mean.shape, self.variance.shape)
        return self.mean + np.sqrt(self.variance) * rng.standard_normal(shape)

    def log2_prob(self, y: Floats) -> Floats:
        """log2 of the density of y; of its probability where the variance is 0."""
        spread = np.where(self.variance > 0, self.variance, 1.0)
        nats = -((y - self.mean) ** 2 / spread + np.log(2 * np.pi * spread)) / 2
        return np.where(self.variance > 0, nats / LN2, np.where(y == self.mean, 0.0, -np.inf))


@dataclass(frozen=True, eq=False)
class Atoms:
    """p_O of data that takes K values: `bin_centres(K)` of discretised data, [-1, 1] of binary data.

    >>> coin = Atoms(np.array([-1.0, 1.0]), np.log2([[0.25, 0.75]]))
    >>> coin.mean.tolist(), coin.variance.tolist(), coin.log2_prob(np.array([-1.0])).tolist()
    ([0.5], [0.75], [-2.0])
    """

    values: Floats  # [K], increasing
    log2_p: Floats  # [..., D, K], normalised over the last axis

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or not (np.diff(self.values) > 0).all():
            raise ValueError(f"values: expected one increasing axis, found shape {self.values.shape}")
        if self.log2_p.shape[-1:] != self.values.shape:
            raise ValueError(f"log2_p: expected [..., {self.values.size}], found shape {self.log2_p.shape}")

    @property
    def mean(self) -> Floats:
        """E x, [..., D]."""
        return np.exp2(self.log2_p) @ self.values

    @property
    def variance(self) -> Floats:
        """Var x, [..., D]."""
        # Centred first: E x^2 - (E x)^2 would cancel where p_O is nearly certain.
        return np.asarray((np.exp2(self.log2_p) * (self.values - self.mean[..., None]) ** 2).sum(axis=-1))

    def log2_prob(self, x: Floats) -> Floats:
        """log2 of the probability of the bin that x lies in, that is of the value next to x, [..., D]."""
        middles = (self.values[1:] + self.values[:-1]) / 2
        return pick(self.log2_p, np.searchsorted(middles, x))

    def sample(self, rng: np.random.Generator) -> Floats:
        """One of the values per dimension, [..., D]."""
        return self.values[draw(self.log2_p, rng)]


@dataclass(frozen=True, eq=False)
class NoisyAtoms:
    """p_R(y) = sum over k of p_O(k) N(y; value_k, 1 / alpha): the exact receiver of `Atoms`."""

    atoms: Atoms
    alpha: Floats  # [D]

    def sample(self, rng: np.random.Generator) -> Floats:
        """One draw per dimension, [..., D]: a value under p_O, then the sender's noise."""
        return _noisy(self.atoms.sample(rng), self.alpha).sample(rng)

    def log2_prob(self, y: Floats) -> Floats:
        """log2 of the density of y, [..., D]."""
        given_k = _noisy(self.atoms.values, self.alpha[..., None])  # [D, K]
        return log2_sum(self.atoms.log2_p + given_k.log2_prob(y[..., None]))


@dataclass(frozen=True)
class GaussianFlow:
    """The flow of the Gaussian sender over x in [-1, 1].

    Parameters
    ----------
    receiver_kind
        "mixture": p_R is the exact sum over x' of p_O(x') p_S(y | x'; alpha), known for `Atoms` and
        `Normal`. "moments": the Gaussian with that mean and variance, N(mean, 1 / alpha + variance),
        for any p_O. Both are the same for `Normal`, and for `Atoms` ever closer as alpha falls.
    samples
        Pairs of draws (z and -z) per dimension in the estimate of KL against a mixture of `Atoms`.

    x = +-1 is binary data: p_I(x = 1) under equal priors is then 1 / (1 + exp(-2 s)), and p_O `Atoms`
    of the values -1 and 1. `SimplexFlow(2)` is the same protocol, see there.
    """

    receiver_kind: Literal["mixture", "moments"] = "mixture"
    samples: int = 1

    def __post_init__(self) -> None:
        if self.receiver_kind not in ("mixture", "moments"):
            raise ValueError(f"receiver_kind: expected 'mixture' or 'moments', found {self.receiver_kind!r}")
        if self.samples < 1:
            raise ValueError(f"samples: expected 1 or more, found {self.samples}")

    def prior(self, shape: tuple[int, ...]) -> Sums:
        """theta_0 for data of that shape, [..., D]: p_I = N(0, 1)."""
        return Sums(np.zeros(shape), np.zeros(shape[-1:]))

    def input_distribution(self, theta: Sums) -> Normal:
        """p_I(x | theta) = N(mu, 1 / rho) with mu = s / (1 + beta) and rho = 1 + beta, [..., D]."""
        rho = 1 + theta.beta
        return Normal(theta.s / rho, np.broadcast_to(1 / rho, theta.s.shape))

    def sender(self, x: Floats, alpha: Floats) -> Normal:
        """p_S(y | x; alpha) = N(x, 1 / alpha)."""
        return _noisy(x, alpha)

    def output(self, theta: Sums, raw: OutputDistribution) -> OutputDistribution:
        """p_O: the network's word, which is a distribution already; see `output_normal`."""
        return raw

    def receiver(self, p_O: OutputDistribution, alpha: Floats) -> Normal | NoisyAtoms:
        """p_R(y | theta; alpha), exact or with its moments only."""
        if self._is_mixture(p_O):
            return NoisyAtoms(p_O, alpha)
        return _noisy(p_O.mean, alpha, p_O.variance)

    def update(self, theta: Sums, y: Floats, alpha: Floats) -> Sums:
        """Bayes' rule for a Gaussian of known accuracy: both natural parameters add up."""
        return Sums(theta.s + alpha * y, theta.beta + alpha)

    def kl(self, x: Floats, p_O: OutputDistribution, alpha: Floats, rng: np.random.Generator | None = None) -> Floats:
        """KL(p_S || p_R) in bits, [..., D].

        A closed form between two Gaussians; against a mixture an unbiased estimate from rng, which
        may be negative where the KL is small.
        """
        if self._is_mixture(p_O):
            return self._mixture_kl(x, p_O, alpha, rng)
        ratio = alpha * p_O.variance  # of the variances, less 1
        return (np.log1p(ratio) + (alpha * (x - p_O.mean) ** 2 - ratio) / (1 + ratio)) / (2 * LN2)

    def reconstruction(self, x: Floats, p_O: OutputDistribution) -> Floats:
        """-log2 p_O(x | theta_n) in bits, [..., D].

        Of continuous data it is a density's. A point mass has none: give p_O a variance in the last
        call, or do as the paper does for continuous data and report the other terms only.
        """
        return 0.0 - p_O.log2_prob(x)

    def bridge(self, theta: Sums, beta: Floats, alpha: Floats) -> Normal:
        """p(s_i | s_{i+1}), with beta [D] spent before step i and alpha [D] at step i."""
        return brownian_bridge(theta.s, beta, alpha)

    def continuous_time_loss(self, x: Floats, p_O: OutputDistribution, t: Floats, sigma_1: float) -> Floats:
        """-ln sigma_1 (x - x_hat)^2 / sigma_1^{2 t} in bits, [..., D]; its mean over t is L^inf.

        The limit of L^n without its reconstruction for n to infinity (sections 4 and 5), under the
        accuracies of `AccuracySchedule.geometric`, from p_O at times t [...] uniform in [0, 1].
        """
        rate = -math.log2(sigma_1) * sigma_1 ** (-2 * t)
        return rate[..., None] * (x - p_O.mean) ** 2

    def _is_mixture(self, p_O: OutputDistribution) -> TypeGuard[Atoms]:
        if self.receiver_kind == "moments" or isinstance(p_O, Normal):
            return False
        if isinstance(p_O, Atoms):
            return True
        raise TypeError(f"the exact receiver: expected p_O to be Atoms or Normal, found {type(p_O).__name__}")

    def _mixture_kl(self, x: Floats, p_O: Atoms, alpha: Floats, rng: np.random.Generator | None) -> Floats:
        # With y = x + z / sqrt(alpha), of which only the ratio of densities matters:
        # ln N(y; v, 1 / alpha) - ln N(y; x, 1 / alpha) = sqrt(alpha) (v - x) z - alpha (v - x)^2 / 2.
        scaled = np.sqrt(alpha)[..., None] * (p_O.values - x[..., None])  # [..., D, K]
        base = p_O.log2_p - scaled**2 / (2 * LN2)
        bits = np.zeros(base.shape[:-1])
        for z in antithetic(rng, bits.shape, self.samples):
            bits -= log2_sum(base + scaled * (z[..., None] / LN2))
        return bits / (2 * self.samples)


# --- p_O from a network that predicts the noise in theta (sections 4 and 5) ---------------------


def output_normal(theta: Sums, mu_eps: Floats, ln_sigma_eps: Floats, beta_min: float = 1e-5) -> Normal:
    """The paper's estimate of x from an estimate N(mu_eps, sigma_eps^2) of the noise, [..., D].

    The paper writes gamma = beta / (1 + beta) and

        mu_x = mu / gamma - sqrt((1 - gamma) / gamma) mu_eps,    sigma_x = sqrt((1 - gamma) / gamma) sigma_eps.

    Where next to nothing was sent (beta < beta_min, the paper's t < t_min) it is N(0, 1).
    """
    sent = theta.beta >= beta_min
    beta = np.where(sent, theta.beta, 1.0)
    mean = theta.s / beta - mu_eps / np.sqrt(beta)  # mu / gamma is s / beta, (1 - gamma) / gamma is 1 / beta
    return Normal(np.where(sent, mean, 0.0), np.where(sent, np.exp(2 * ln_sigma_eps) / beta, 1.0))


def output_point(theta: Sums, mu_eps: Floats, beta_min: float = 1e-5) -> Normal:
    """The paper's p_O of continuous data: a point mass on mu_x clipped to [-1, 1], [..., D]."""
    mean = output_normal(theta, mu_eps, np.zeros_like(mu_eps), beta_min).mean
    return Normal(np.clip(mean, -1.0, 1.0), np.zeros_like(mean))


def bin_centres(K: int) -> Floats:
    """Centres of K equal bins of [-1, 1], float64 [K].

    >>> bin_centres(4)
    array([-0.75, -0.25,  0.25,  0.75])
    """
    return (2 * np.arange(K) + 1) / K - 1


def discretised_normal(mean: Floats, std: Floats, K: int) -> Atoms:
    """N(mean, std^2), [..., D], discretised into K bins; the outer bins take the tails (section 5).

    Every bin has a finite log2 probability, however far out it is.
    """
    if K < 2:
        raise ValueError(f"K: expected 2 bins or more, found {K}")
    inner = np.linspace(-1, 1, K + 1)[1:-1]
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    z = (edges - mean[..., None]) / std[..., None]  # [..., D, K + 1]
    lower, upper = z[..., :-1], z[..., 1:]
    # Phi(b) - Phi(a) = Phi(-a) - Phi(-b): the side on which Phi is small keeps all its digits.
    flip = lower + upper > 0
    lower, upper = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_upper = _ln_phi(upper)
    nats = log_upper + np.log1p(-np.exp(_ln_phi(lower) - log_upper))
    return Atoms(bin_centres(K), nats / LN2)


def _ln_phi(z: Floats) -> Floats:
    """ln of the standard normal CDF."""
    erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none
    near = np.clip(z, -30.0, None)
    tail = np.asarray(erfc(np.abs(near) / math.sqrt(2)), dtype=np.float64) / 2
    with np.errstate(divide="ignore"):
        ln_near = np.where(near < 0, np.log(tail), np.log1p(-tail))
    # Further out erfc underflows; there phi(z) / |z| (1 - 1 / z^2 + 3 / z^4 - 15 / z^6) is exact to 1e-9.
    far = np.minimum(z, -30.0)
    series = np.log1p(-1 / far**2 + 3 / far**4 - 15 / far**6)
    ln_far = -(far**2) / 2 - np.log(-far) - math.log(2 * math.pi) / 2 + series
    return np.where(z < -30, ln_far, ln_near)


# --- shared by the Gaussian senders -------------------------------------------------------------


def brownian_bridge(s: Floats, beta: Floats, alpha: Floats) -> Normal:
    """p(s_i | s_{i+1} = s) = N((beta / (beta + alpha)) s, beta alpha / (beta + alpha)), elementwise.

    beta was spent before step i and alpha at step i. A point mass where either is 0: nothing was
    known before, or nothing was sent.
    """
    total = beta + alpha
    kept = np.divide(beta, total, out=np.ones(np.shape(total)), where=total > 0)
    return Normal(kept * s, np.broadcast_to(kept * alpha, s.shape))


def log2_sum(log2_p: Floats) -> Floats:
    """log2 of the sum of exp2 over the last axis."""
    total: Floats = np.logaddexp2.reduce(log2_p, axis=-1)
    return total


def pick(log2_p: Floats, k: Ints) -> Floats:
    """log2_p[..., d, k[..., d]], [..., D], whichever of the two has more leading axes."""
    shape = np.broadcast_shapes(log2_p.shape[:-1], k.shape)
    rows = np.broadcast_to(log2_p, (*shape, log2_p.shape[-1]))
    return np.take_along_axis(rows, np.broadcast_to(k, shape)[..., None], axis=-1)[..., 0]


def draw(log2_p: Floats, rng: np.random.Generator) -> Ints:
    """One class per dimension under [..., D, K], int64 [..., D]."""
    cdf = np.cumsum(np.exp2(log2_p), axis=-1)
    below = cdf <= rng.random(cdf.shape[:-1])[..., None] * cdf[..., -1:]
    return np.asarray(np.minimum(below.sum(axis=-1), cdf.shape[-1] - 1))


def antithetic(rng: np.random.Generator | None, shape: tuple[int, ...], samples: int) -> Iterator[Floats]:
    """Standard normal noise z and -z, `samples` times: what is odd in z cancels in their mean."""
    if rng is None:
        raise ValueError("rng: expected a generator, this KL is estimated by sampling")
    for _ in range(samples):
        z = rng.standard_normal(shape)
        yield z
        yield -z


def _noisy(mean: Floats, alpha: Floats, variance: Floats | float = 0.0) -> Normal:
    """N(mean, 1 / alpha + variance); where alpha is 0 nothing is sent, y is 0."""
    sent = alpha > 0
    noise = np.divide(1.0, alpha, out=np.zeros(np.shape(alpha)), where=sent)
    return Normal(np.where(sent, mean, 0.0), np.where(sent, noise + variance, 0.0))
