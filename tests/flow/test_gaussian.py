"""The Gaussian senders against derivations that share no code with them.

Densities are written out here and integrated on grids, Bayes' rule is prior times likelihood, the
bridge is checked by simulating the forward Brownian motion, and L^n by sources whose entropy is known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.flow import (
    AccuracySchedule,
    Atoms,
    Bridge,
    Flow,
    GaussianFlow,
    Normal,
    OutputDistribution,
    Schedule,
    SimplexFlow,
    Sums,
    bin_centres,
    discretised_normal,
    output_normal,
    output_point,
    play,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

seeds = st.integers(0, 2**32 - 1)
accuracies = st.floats(0.05, 20)


# --- written out once more, simply --------------------------------------------------------------


def density(y: Any, mean: Any, variance: Any) -> Floats:
    return np.asarray(np.exp(-((y - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))


def integral(f: Floats, grid: Floats) -> float:
    """Simpson's rule over an even grid of an odd number of points."""
    return float((f[:-2:2] + 4 * f[1:-1:2] + f[2::2]).sum() * (grid[1] - grid[0]) / 3)


def kl_bits(p: Floats, q: Floats, grid: Floats) -> float:
    ratio = np.where(p > 1e-300, np.log2(np.maximum(p, 1e-300) / np.maximum(q, 1e-300)), 0)
    return integral(p * ratio, grid)


def wide_grid(alpha: float, spread: float = 1.0) -> Floats:
    reach = spread + 12 / math.sqrt(alpha) + 12 * (spread - 1)
    return np.linspace(-reach, reach, 40_001)


def rows(seed: int, *shape: int) -> Floats:
    """Random probabilities over the last axis."""
    p = np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1]) + 1e-9
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def assert_mean(samples: Floats, expected: float, sigmas: float = 4) -> None:
    """The mean of independent samples is `expected`, within `sigmas` standard errors."""
    error = samples.std(ddof=1) / math.sqrt(samples.size)
    assert abs(samples.mean() - expected) < sigmas * error, (samples.mean(), expected, error)


@dataclass(frozen=True)
class Matrix(Schedule):
    """Any accuracy matrix, as given."""

    alpha: Floats

    @property
    def n_steps(self) -> int:
        return len(self.alpha)

    @property
    def dims(self) -> int:
        return int(self.alpha.shape[1])

    def accuracy(self, i: int) -> Floats:
        return np.asarray(self.alpha[i])


# --- schedules ----------------------------------------------------------------------------------


@given(st.floats(1e-4, 0.99), st.integers(1, 200), st.integers(0, 5))
def test_geometric_accuracies(sigma_1: float, n: int, dims: int) -> None:
    """beta(t) = sigma_1^{-2 t} - 1: the input distribution's entropy falls by the same amount a step."""
    schedule = AccuracySchedule.geometric(sigma_1, n, dims)
    assert (schedule.n_steps, schedule.dims) == (n, dims)
    rho = 1 + np.array([schedule.beta(i) for i in range(n + 1)])  # [n + 1, D]
    assert rho.shape == (n + 1, dims)
    np.testing.assert_allclose(np.diff(np.log(rho), axis=0), -2 * math.log(sigma_1) / n, rtol=1e-6)
    np.testing.assert_allclose(rho[-1] ** -0.5, sigma_1, rtol=1e-9)


@given(st.floats(0.1, 100), st.integers(1, 200))
def test_quadratic_accuracies(beta_1: float, n: int) -> None:
    """beta(t) = t^2 beta(1): step i is worth 2 i + 1 times the first one."""
    schedule = AccuracySchedule.quadratic(beta_1, n, 3)
    alpha = np.array([schedule.accuracy(i) for i in range(n)])
    np.testing.assert_allclose(alpha / alpha[0], np.outer(2 * np.arange(n) + 1, np.ones(3)), rtol=1e-9)
    np.testing.assert_allclose(alpha.sum(axis=0), beta_1, rtol=1e-9)


@given(st.lists(st.floats(0.01, 10), max_size=20), st.data())
def test_beta_is_the_accuracy_spent(steps: list[float], data: st.DataObject) -> None:
    schedule = AccuracySchedule(tuple(np.cumsum([0.0, *steps]).tolist()), 2)
    i = data.draw(st.integers(0, schedule.n_steps))
    np.testing.assert_allclose(schedule.beta(i), Schedule.beta(schedule, i), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AccuracySchedule(()),
        lambda: AccuracySchedule((1.0, 2.0)),
        lambda: AccuracySchedule((0.0, 2.0, 2.0)),
        lambda: AccuracySchedule((0.0, math.inf)),
        lambda: AccuracySchedule((0.0, math.nan)),
        lambda: AccuracySchedule((0.0, 1.0), -1),
        lambda: AccuracySchedule.geometric(1.0, 3, 1),
        lambda: AccuracySchedule.geometric(0.5, 0, 1),
        lambda: AccuracySchedule.quadratic(0.0, 3, 1),
        lambda: AccuracySchedule.quadratic(3.0, 0, 1),
        lambda: GaussianFlow(samples=0),
        lambda: GaussianFlow("median"),  # type: ignore[arg-type]
        lambda: SimplexFlow(1),
        lambda: SimplexFlow(3, samples=0),
        lambda: Atoms(np.array([1.0, -1.0]), np.zeros((1, 2))),
        lambda: Atoms(np.array([-1.0, 1.0]), np.zeros((1, 3))),
        lambda: discretised_normal(np.zeros(1), np.ones(1), 1),
        lambda: SimplexFlow(2).kl(np.zeros(1, np.int64), np.log2([[0.5, 0.5]]), np.ones(1)),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


# --- distributions over x -----------------------------------------------------------------------


@pytest.mark.slow
@given(seeds, st.integers(2, 40))
def test_atoms_have_the_moments_of_their_table(seed: int, K: int) -> None:
    p = rows(seed, 3, K)
    atoms = Atoms(bin_centres(K), np.log2(p))
    for d in range(3):
        mean = sum(p[d, k] * v for k, v in enumerate(atoms.values))
        second = sum(p[d, k] * v * v for k, v in enumerate(atoms.values))
        assert atoms.mean[d] == pytest.approx(mean, abs=1e-12)
        assert atoms.variance[d] == pytest.approx(second - mean**2, abs=1e-12)


@given(seeds, st.integers(2, 300), st.floats(-0.49, 0.49))
def test_the_probability_of_x_is_that_of_its_bin(seed: int, K: int, off_centre: float) -> None:
    rng = np.random.default_rng(seed)
    p, k = rows(seed, 4, K), rng.integers(K, size=(5, 4))
    x = -1 + (k + 0.5 + off_centre) * 2 / K
    bits = GaussianFlow().reconstruction(x, Atoms(bin_centres(K), np.log2(p)))
    np.testing.assert_allclose(bits, -np.log2(p[np.arange(4), k]), rtol=1e-9)


def test_atoms_are_drawn_in_proportion() -> None:
    p = np.array([0.5, 0.0, 0.3, 0.2])
    log2_p = np.log2(p, where=p > 0, out=np.full(4, -np.inf))
    x = Atoms(bin_centres(4), np.broadcast_to(log2_p, (50_000, 1, 4))).sample(_rng())
    share = [(x == v).mean() for v in (-0.75, -0.25, 0.25, 0.75)]
    np.testing.assert_allclose(share, p, atol=4 * 0.5 / math.sqrt(50_000))
    assert share[1] == 0


@given(st.floats(-2, 2), st.floats(0.02, 3), st.integers(2, 12))
def test_discretised_normal_integrates_the_density(mean: float, std: float, K: int) -> None:
    atoms = discretised_normal(np.array([mean]), np.array([std]), K)
    edges = np.linspace(-1, 1, K + 1)
    edges[[0, -1]] = [min(-1, mean - 12 * std), max(1, mean + 12 * std)]  # the tails are in the outer bins
    p = np.exp2(atoms.log2_p[0])
    for k in range(K):
        grid = np.linspace(edges[k], edges[k + 1], 4001)
        assert p[k] == pytest.approx(integral(density(grid, mean, std**2), grid), abs=1e-8)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(atoms.values, bin_centres(K))


def test_bin_centres_lie_between_the_edges() -> None:
    for K in (2, 3, 16, 256):
        edges = np.linspace(-1, 1, K + 1)
        np.testing.assert_allclose(bin_centres(K), (edges[1:] + edges[:-1]) / 2, atol=1e-15)


@pytest.mark.parametrize("z", [3.0, 12.0, 29.0, 31.0, 200.0, 5000.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_far_bins_keep_their_digits(z: float, side: int) -> None:
    """Two bins split at 0: the far one has phi(z) R with Mills' ratio R between two simple bounds."""
    std = 0.9 / z
    atoms = discretised_normal(np.array([0.9 * side]), np.array([std]), 2)
    ln_far = atoms.log2_p[0, (1 - side) // 2] * math.log(2)
    ln_phi = -(z**2) / 2 - math.log(2 * math.pi) / 2
    low, high = math.log(2 / (z + math.sqrt(z**2 + 4))), math.log(4 / (3 * z + math.sqrt(z**2 + 8)))
    rounding = 1e-15 * abs(ln_phi) + 1e-9
    assert low - rounding < ln_far - ln_phi < high + rounding
    assert high - low < 0.02 if z < 10 else high - low < 1e-4  # narrow enough to mean something
    assert -1e-2 < atoms.log2_p[0, (1 + side) // 2] <= 0


def test_the_papers_output_from_predicted_noise() -> None:
    """With gamma and mu as the paper writes them, and where the noise is known x is found exactly."""
    rng = _rng()
    beta = np.array([0.3, 4.0, 900.0, 0.0])
    x, z = rng.uniform(-1, 1, (2, 7, 4))
    theta = Sums(beta * x + np.sqrt(beta) * z, beta)
    ln_sigma = rng.standard_normal((7, 4))
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma, mu = beta / (1 + beta), theta.s / (1 + beta)
        noisy = (1 - gamma) / gamma
        mean = mu / gamma - np.sqrt(noisy) * (z + 3)
        variance = noisy * np.exp(ln_sigma) ** 2
    p = output_normal(theta, z + 3, ln_sigma)
    np.testing.assert_allclose(p.mean[:, :3], mean[:, :3], rtol=1e-9)
    np.testing.assert_allclose(p.variance[:, :3], variance[:, :3], rtol=1e-9)
    assert (p.mean[:, 3] == 0).all()
    assert (p.variance[:, 3] == 1).all()

    exact = output_point(theta, z)
    np.testing.assert_allclose(exact.mean[:, :3], x[:, :3], atol=1e-9)
    assert (exact.variance == 0).all()
    assert np.abs(output_point(theta, z + 3).mean).max() == 1  # clipped


# --- the Gaussian flow --------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.floats(-1, 1), accuracies)
def test_the_sender_is_the_papers(x: float, alpha: float) -> None:
    y = np.linspace(-3, 3, 50)
    sent = GaussianFlow().sender(np.full(50, x), np.full(50, alpha))
    np.testing.assert_allclose(np.exp2(sent.log2_prob(y)), density(y, x, 1 / alpha), rtol=1e-9)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0.1, 10)), min_size=1, max_size=5))
def test_update_is_bayes_rule(received: list[tuple[float, float]]) -> None:
    """Prior times likelihoods on a grid has the mean and variance of the input distribution."""
    flow, theta = GaussianFlow(), GaussianFlow().prior((1,))
    grid = np.linspace(-12, 12, 100_001)
    posterior = density(grid, 0, 1)
    for y, alpha in received:
        posterior = posterior * density(grid, y, 1 / alpha)
        theta = flow.update(theta, np.array([y]), np.array([alpha]))
    posterior /= integral(posterior, grid)
    mean = integral(grid * posterior, grid)
    p_I = flow.input_distribution(theta)
    assert p_I.mean[0] == pytest.approx(mean, abs=1e-8)
    assert p_I.variance[0] == pytest.approx(integral((grid - mean) ** 2 * posterior, grid), rel=1e-7)


@settings(max_examples=40)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), accuracies, st.sampled_from(["moments", "mixture"]))
def test_moment_kl_by_quadrature(x: float, mean: float, variance: float, alpha: float, kind: Any) -> None:
    """A Normal p_O convolved with the sender's noise, whichever the receiver: its moments are all of it."""
    grid = wide_grid(alpha, 2)
    p = density(grid, x, 1 / alpha)
    q = density(grid, mean, 1 / alpha + variance)
    flow, p_O, row = GaussianFlow(kind), Normal(np.array([mean]), np.array([variance])), np.array([alpha])
    assert flow.kl(np.array([x]), p_O, row)[0] == pytest.approx(kl_bits(p, q, grid), abs=1e-7)
    here = flow.receiver(p_O, row).log2_prob(grid[::1000])
    np.testing.assert_allclose(np.exp2(here), q[::1000], rtol=1e-9, atol=1e-300)


@settings(max_examples=25)
@given(seeds, st.integers(2, 9), accuracies)
def test_the_mixture_receiver_is_the_sum_over_bins(seed: int, K: int, alpha: float) -> None:
    """Density by definition; and the moments receiver has exactly its mean and variance."""
    p, grid, row = rows(seed, K), wide_grid(alpha), np.array([alpha])
    centres = [-1 + (2 * k + 1) / K for k in range(K)]
    q = sum((p[k] * density(grid, centres[k], 1 / alpha) for k in range(K)), np.zeros(grid.size))
    p_O = Atoms(bin_centres(K), np.log2(p)[None])
    here = GaussianFlow("mixture").receiver(p_O, row).log2_prob(grid[:, None])[:, 0]
    np.testing.assert_allclose(np.exp2(here), q, rtol=1e-9, atol=1e-280)

    matched = GaussianFlow("moments").receiver(p_O, row)
    assert isinstance(matched, Normal)
    mean = integral(grid * q, grid)
    assert matched.mean[0] == pytest.approx(mean, abs=1e-6)
    assert matched.variance[0] == pytest.approx(integral((grid - mean) ** 2 * q, grid), rel=1e-5)


@pytest.mark.parametrize(("K", "alpha"), [(2, 0.3), (2, 6.0), (5, 2.0), (16, 40.0)])
def test_mixture_kl_by_quadrature(K: int, alpha: float) -> None:
    items, p, grid = 4000, rows(K, K), wide_grid(alpha)
    centres = bin_centres(K)
    q = sum((p[k] * density(grid, centres[k], 1 / alpha) for k in range(K)), np.zeros(grid.size))
    p_O = Atoms(centres, np.broadcast_to(np.log2(p), (items, 1, K)))
    for samples, k in [(1, 0), (3, K - 1)]:
        flow = GaussianFlow(samples=samples)
        estimates = flow.kl(np.full((items, 1), centres[k]), p_O, np.array([alpha]), _rng())
        assert_mean(estimates[:, 0], kl_bits(density(grid, centres[k], 1 / alpha), q, grid))


def test_more_samples_mean_less_variance() -> None:
    x, p_O = np.ones((2000, 1)), Atoms(np.array([-1.0, 1.0]), np.full((2000, 1, 2), -1.0))
    one, eight = (GaussianFlow(samples=s).kl(x, p_O, np.array([1.0]), _rng()).var() for s in (1, 8))
    assert one / eight == pytest.approx(8, rel=0.25)


def test_pairs_of_draws_cancel_the_first_order() -> None:
    """At small alpha the log ratio is sqrt(alpha) times odd noise; its KL, of order alpha, must not drown."""
    alpha, log2_p = np.array([1e-4]), np.full((2000, 1, 2), -1.0)
    for kl in (
        GaussianFlow().kl(np.ones((2000, 1)), Atoms(np.array([-1.0, 1.0]), log2_p), alpha, _rng()),
        SimplexFlow(2).kl(np.ones((2000, 1), np.int64), log2_p, alpha, _rng()),
    ):
        assert kl.std() < 5e-4  # without pairs 1e-2
        assert kl.mean() == pytest.approx(alpha[0] / (2 * math.log(2)), rel=0.1)


def test_receiver_samples_follow_their_density() -> None:
    """Shares of samples between some points, against the integral of the density written out."""
    p, alpha, count = np.array([0.2, 0.7, 0.1]), 9.0, 40_000
    p_O = Atoms(bin_centres(3), np.broadcast_to(np.log2(p), (count, 1, 3)))
    y = GaussianFlow().receiver(p_O, np.array([alpha])).sample(_rng())
    cuts = [-3.0, -0.8, -0.4, 0.1, 0.5, 3.0]
    for low, high in itertools.pairwise(cuts):
        grid = np.linspace(low, high, 2001)
        share = integral(sum((p[k] * density(grid, bin_centres(3)[k], 1 / alpha) for k in range(3)), 0 * grid), grid)
        assert ((y > low) & (y <= high)).mean() == pytest.approx(share, abs=4 * 0.5 / math.sqrt(count))


def test_only_known_distributions_have_an_exact_receiver() -> None:
    class Laplace:
        mean, variance = np.zeros(1), np.ones(1)

        def log2_prob(self, x: Floats) -> Floats:
            return -np.abs(x)

    p_O: OutputDistribution = Laplace()
    assert GaussianFlow("moments").receiver(p_O, np.array([2.0])).log2_prob(np.zeros(1)) == pytest.approx(
        math.log2(density(0, 0, 1.5))
    )
    with pytest.raises(TypeError, match="found Laplace"):
        GaussianFlow("mixture").receiver(p_O, np.array([2.0]))


# --- dimensions that are not sent ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mixture", "moments"])
def test_a_dimension_without_accuracy_gets_and_costs_nothing(kind: Any) -> None:
    alpha, rng = np.array([2.0, 0.0]), _rng()
    x, p_O = np.array([[0.5, -0.5]]), Atoms(bin_centres(2), np.log2(rows(1, 1, 2, 2)))
    flow = GaussianFlow(kind)
    theta = Sums(np.array([[3.0, 7.0]]), np.array([1.0, 4.0]))
    for y in (flow.sender(x, alpha).sample(rng), flow.receiver(p_O, alpha).sample(rng)):
        after = flow.update(theta, y, alpha)
        assert after.s[0, 1] == 7
        assert after.s[0, 0] == pytest.approx(3 + 2 * y[0, 0])
        assert after.beta.tolist() == [3, 4]
        assert flow.sender(x, alpha).log2_prob(y)[0, 1] == 0
        assert flow.receiver(p_O, alpha).log2_prob(y)[0, 1] == pytest.approx(0, abs=1e-12)
    kl = flow.kl(x, p_O, alpha, rng)
    assert kl[0, 1] == pytest.approx(0, abs=1e-12)
    assert abs(kl[0, 0]) > 1e-3
    other = np.full((1, 2), 0.25)  # not what was sent: possible where there is noise only
    assert np.isfinite(flow.receiver(p_O, alpha).log2_prob(other)).tolist() == [[True, False]]


def test_a_class_without_accuracy_gets_and_costs_nothing() -> None:
    alpha, rng, flow = np.array([2.0, 0.0]), _rng(), SimplexFlow(3)
    x, p_O = np.array([[2, 1]]), np.log2(rows(1, 1, 2, 3))
    theta = Sums(rng.standard_normal((1, 2, 3)), np.array([1.0, 4.0]))
    for y in (flow.sender(x, alpha).sample(rng), flow.receiver(p_O, alpha).sample(rng)):
        after = flow.update(theta, y, alpha)
        np.testing.assert_array_equal(after.s[:, 1], theta.s[:, 1])
        assert (after.s[:, 0] != theta.s[:, 0]).all()
        assert flow.sender(x, alpha).log2_prob(y)[0, 1] == 0
        assert flow.receiver(p_O, alpha).log2_prob(y)[0, 1] == pytest.approx(0, abs=1e-12)
    kl = flow.kl(x, p_O, alpha, rng)
    assert kl[0, 1] == pytest.approx(0, abs=1e-12)
    assert abs(kl[0, 0]) > 1e-3
    other = np.full((1, 2, 3), 0.25)
    assert np.isfinite(flow.receiver(p_O, alpha).log2_prob(other)).tolist() == [[True, False]]


# --- the simplex flow ---------------------------------------------------------------------------


def class_density(y: Floats, k: int, alpha: float) -> Floats:
    """N(y; alpha (K e_k - 1), alpha K I), coordinate by coordinate; y [..., K]."""
    K = y.shape[-1]
    mean = np.array([alpha * (K * (j == k) - 1) for j in range(K)])
    return np.asarray(density(y, mean, alpha * K).prod(axis=-1))


@settings(max_examples=40)
@given(seeds, st.integers(2, 6), st.floats(0.05, 3))
def test_class_channels_are_written_out(seed: int, K: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    p, y, flow, row = rows(seed, K), rng.normal(0, 2, (1, K)), SimplexFlow(K), np.array([alpha])
    by_class = np.array([class_density(y[0], k, alpha) for k in range(K)])
    for k in range(K):
        sent = flow.sender(np.array([k]), row).log2_prob(y)
        assert sent[0] == pytest.approx(math.log2(by_class[k]), rel=1e-9, abs=1e-9)
    received = flow.receiver(np.log2(p)[None], row).log2_prob(y)
    assert received[0] == pytest.approx(math.log2(p @ by_class), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(flow.responsibilities(np.log2(p)[None], y)[0], p * by_class / (p @ by_class), rtol=1e-8)


@settings(max_examples=25)
@given(seeds, st.integers(2, 6), st.integers(1, 5))
def test_class_update_is_bayes_rule(seed: int, K: int, n: int) -> None:
    """A uniform prior times the likelihood of every sample, normalised."""
    rng = np.random.default_rng(seed)
    flow, theta, posterior = SimplexFlow(K), SimplexFlow(K).prior((1,)), np.full(K, 1 / K)
    for _ in range(n):
        alpha = rng.uniform(0.1, 1)
        y = flow.sender(rng.integers(K, size=1), np.array([alpha])).sample(rng)
        posterior = posterior * [class_density(y[0], k, alpha) for k in range(K)]
        theta = flow.update(theta, y, np.array([alpha]))
    np.testing.assert_allclose(flow.theta_probabilities(theta)[0], posterior / posterior.sum(), rtol=1e-8, atol=1e-12)


def test_theta_survives_any_accuracy() -> None:
    """exp(s) overflows at 710; s itself does not care."""
    flow, alpha, x = SimplexFlow(27), np.full(50, 400.0), np.arange(50) % 27
    theta = flow.prior((50,))
    for _ in range(5):
        theta = flow.update(theta, flow.sender(x, alpha).sample(_rng()), alpha)
    assert theta.s.max() > 1e4
    np.testing.assert_allclose(flow.theta_probabilities(theta), np.eye(27)[x], atol=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 1.5])
def test_class_kl_by_quadrature(alpha: float) -> None:
    """K = 2 and K = 3 on grids of all coordinates."""
    for K, points in [(2, 401), (3, 71)]:
        p, items = rows(K, K), 4000
        reach = 7 * math.sqrt(alpha * K) + alpha * K
        axis = np.linspace(-reach, reach, points)
        y = np.stack(np.meshgrid(*[axis] * K, indexing="ij"), axis=-1)
        by_class = [class_density(y, k, alpha) for k in range(K)]
        receiver = sum((p[k] * by_class[k] for k in range(K)), np.zeros(y.shape[:-1]))
        for x in range(K):
            ratio = np.log2(np.maximum(by_class[x], 1e-300) / np.maximum(receiver, 1e-300))
            kl = float((by_class[x] * ratio).sum() * (axis[1] - axis[0]) ** K)
            log2_p = np.broadcast_to(np.log2(p), (items, 1, K))
            estimates = SimplexFlow(K, 2).kl(np.full((items, 1), x), log2_p, np.array([alpha]), _rng())
            assert_mean(estimates[:, 0], kl)


def test_class_samples_have_the_papers_moments() -> None:
    K, alpha, count = 4, 0.7, 40_000
    p = np.array([0.1, 0.2, 0.3, 0.4])
    x = np.full((count, 1), 2)
    error = 4 * math.sqrt(alpha * K / count)
    sent = SimplexFlow(K).sender(x, np.array([alpha])).sample(_rng())[:, 0]
    np.testing.assert_allclose(sent.mean(axis=0), alpha * (K * np.eye(K)[2] - 1), atol=error)
    np.testing.assert_allclose(np.cov(sent.T), alpha * K * np.eye(K), atol=6 * alpha * K / math.sqrt(count))

    log2_p = np.broadcast_to(np.log2(p), (count, 1, K))
    received = SimplexFlow(K).receiver(log2_p, np.array([alpha])).sample(_rng())[:, 0]
    spread = (alpha * K) ** 2 * (np.diag(p) - np.outer(p, p)) + alpha * K * np.eye(K)
    np.testing.assert_allclose(received.mean(axis=0), alpha * (K * p - 1), atol=2 * error)
    np.testing.assert_allclose(np.cov(received.T), spread, atol=10 * alpha * K / math.sqrt(count))


@given(seeds, accuracies)
def test_two_classes_are_one_dimension(seed: int, alpha: float) -> None:
    """d = (y_1 - y_0) / 2 is alpha times the Gaussian flow's sample of x = -1 or 1, with the same bits.

    The sender's log ratio to the receiver is compared, sample by sample; so is Bayes' posterior.
    """
    rng, row, D = np.random.default_rng(seed), np.full(5, alpha), 5
    simplex, gaussian = SimplexFlow(2), GaussianFlow("mixture")
    x, log2_p = rng.integers(2, size=(3, D)), np.log2(rows(seed, 3, D, 2))
    p_O = Atoms(np.array([-1.0, 1.0]), log2_p)

    y2 = simplex.sender(x, row).sample(rng)  # [3, D, 2]
    y1 = (y2[..., 1] - y2[..., 0]) / 2 / alpha
    ratio2 = simplex.sender(x, row).log2_prob(y2) - simplex.receiver(log2_p, row).log2_prob(y2)
    ratio1 = gaussian.sender(2.0 * x - 1, row).log2_prob(y1) - gaussian.receiver(p_O, row).log2_prob(y1)
    np.testing.assert_allclose(ratio2, ratio1, rtol=1e-7, atol=1e-7)

    theta2 = simplex.update(simplex.prior(x.shape), y2, row)
    theta1 = gaussian.update(gaussian.prior(x.shape), y1, row)
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-2 * theta1.s))
    np.testing.assert_allclose(simplex.theta_probabilities(theta2)[..., 1], sigmoid, rtol=1e-7, atol=1e-300)
    np.testing.assert_allclose(simplex.reconstruction(x, log2_p), gaussian.reconstruction(2.0 * x - 1, p_O), rtol=1e-12)


# --- the bridge ---------------------------------------------------------------------------------


def flow_points(seed: int) -> Iterator[tuple[Any, Any, Any, Any, Floats, Floats]]:
    """For both flows: (flow, x, drift, variance a unit of accuracy, beta, alpha)."""
    rng = np.random.default_rng(seed)
    beta, alpha = rng.uniform(0.1, 5, (2, 4))
    x = rng.uniform(-1, 1, (6, 4))
    yield GaussianFlow(), x, x, 1.0, beta, alpha
    classes = rng.integers(3, size=(6, 4))
    yield SimplexFlow(3), classes, 3 * np.eye(3)[classes] - 1, 3.0, beta, alpha


@given(seeds)
def test_the_bridge_is_bayes_rule_for_any_x(seed: int) -> None:
    """q(s_i | x) q(s_{i+1} | s_i, x) = q(s_{i+1} | x) bridge(s_i | s_{i+1}), at random points."""
    for flow, _, drift, unit, beta, alpha in flow_points(seed):
        rng = np.random.default_rng(seed)
        s, step = rng.normal(0, 1, (2, *drift.shape))
        s_next, ones = s + step, (1,) * (drift.ndim - 2)
        b, a = beta.reshape(4, *ones), alpha.reshape(4, *ones)
        forward = np.log(density(s, b * drift, b * unit)) + np.log(density(s_next, s + a * drift, a * unit))
        backward = forward - np.log(density(s_next, (b + a) * drift, (b + a) * unit))
        if drift.ndim == 3:
            backward = backward.sum(axis=-1)
        measured = flow.bridge(Sums(s_next, beta + alpha), beta, alpha).log2_prob(s) * math.log(2)
        np.testing.assert_allclose(measured, backward, rtol=1e-8, atol=1e-8)


def test_the_bridge_undoes_forward_noise() -> None:
    """Forward sums from the sender; the regression of s_i on s_{i+1} has the bridge's slope and residual."""
    count, row = 60_000, np.array([1.5])
    flows: list[tuple[Any, int]] = [(GaussianFlow(), 0), (SimplexFlow(3), 3)]
    for flow, classes in flows:
        rng = _rng()
        x = rng.integers(3, size=(count, 1)) if classes else rng.uniform(-1, 1, (count, 1))
        before = flow.update(flow.prior(x.shape), flow.sender(x, 2 * row).sample(rng), 2 * row)
        after = flow.update(before, flow.sender(x, row).sample(rng), row)
        bridge = flow.bridge(after, before.beta, row)
        residual = (before.s - bridge.mean).reshape(count, -1)[:, 0]
        known = np.stack(
            [after.s.reshape(count, -1)[:, 0], np.ones(count), np.equal(x, 2)[:, 0] if classes else x[:, 0]]
        )
        variance = np.unique(bridge.variance)
        assert variance.size == 1
        # What is left is uncorrelated with s_{i+1} and with x, and has the bridge's variance.
        slopes = np.linalg.lstsq(known.T, residual, rcond=None)[0]
        errors = np.sqrt(variance * np.diag(np.linalg.inv(known @ known.T)))
        assert (np.abs(slopes) < 4 * errors).all()
        assert residual.var() == pytest.approx(variance[0], rel=4 * math.sqrt(2 / count))
        drawn = (bridge.sample(rng) - bridge.mean).reshape(count, -1)[:, 0]
        assert drawn.var() == pytest.approx(variance[0], rel=4 * math.sqrt(2 / count))


@pytest.mark.parametrize("flow", [GaussianFlow(), SimplexFlow(3)])
def test_bridges_without_noise(flow: Any) -> None:
    """Before the first step s is 0; over a step that sends nothing s stays; before and after nothing, 0."""
    beta, alpha = np.array([0.0, 2.0, 0.0]), np.array([1.0, 0.0, 0.0])
    s = flow.prior((1, 3)).s + 5.0
    s[:, 2] = 0
    bridge = flow.bridge(Sums(s, beta + alpha), beta, alpha)
    expected = np.array([0.0, 5.0, 0.0]).reshape(3, *[1] * (s.ndim - 2)) + np.zeros_like(s)
    np.testing.assert_array_equal(bridge.sample(_rng()), expected)
    np.testing.assert_array_equal(bridge.log2_prob(expected), np.zeros((1, 3)))


# --- L^n of sources with a known entropy --------------------------------------------------------


def code_lengths(
    flow: Flow[Any, Sums, Any], schedule: Schedule, network: Callable[[Sums, int], Any], x: Any, groups: int
) -> Floats:
    """L^n in bits per item of every group of items, [groups]."""
    rng = np.random.default_rng(7)
    parts = np.split(x, groups)
    return np.array([play(flow, schedule, network, part, rng).bits / len(part) for part in parts])


def binary_posterior(prior: float) -> Callable[[Sums, int], Atoms]:
    """p(x | s) of x = -1 and 1: exp(s x) times the prior, whatever the steps were."""

    def network(theta: Sums, i: int) -> Atoms:
        logits = np.stack([math.log(1 - prior) - theta.s, math.log(prior) + theta.s], axis=-1)
        return Atoms(
            np.array([-1.0, 1.0]), (logits - np.logaddexp(*np.moveaxis(logits, -1, 0))[..., None]) / math.log(2)
        )

    return network


BINARY_STEPS = [(0.3,), (1.0,), (0.5, 0.5, 3.0), tuple([0.4] * 10)]


@pytest.mark.parametrize("alphas", BINARY_STEPS)
@pytest.mark.parametrize("prior", [0.5, 0.1])
def test_one_fair_bit_costs_one_bit(alphas: tuple[float, ...], prior: float) -> None:
    """An exact receiver loses nothing: L^n is the entropy of x for any number of steps, in expectation."""
    x = np.where(_rng().permutation(40_000)[:, None] < 40_000 * prior, 1.0, -1.0)
    schedule = AccuracySchedule(tuple(np.cumsum([0.0, *alphas]).tolist()))
    lengths = code_lengths(GaussianFlow("mixture"), schedule, binary_posterior(prior), x, groups=100)
    entropy = -prior * math.log2(prior) - (1 - prior) * math.log2(1 - prior)
    assert_mean(lengths, entropy)
    assert lengths.std() / 10 < 0.01  # so four standard errors are a real test


def test_matched_moments_cost_extra_at_coarse_steps() -> None:
    """Return what the Gaussian receiver loses on one step is its KL from the exact mixture, and falls with alpha."""
    x = np.where(np.arange(40_000)[:, None] % 2 == 0, 1.0, -1.0)
    extra = []
    for alpha in (4.0, 0.2):
        grid = wide_grid(alpha)
        mixture = (density(grid, -1, 1 / alpha) + density(grid, 1, 1 / alpha)) / 2
        extra.append(kl_bits(mixture, density(grid, 0, 1 + 1 / alpha), grid))
        lengths = code_lengths(GaussianFlow("moments"), AccuracySchedule((0.0, alpha)), binary_posterior(0.5), x, 100)
        assert_mean(lengths, 1 + extra[-1])
    assert extra[0] > 0.05 > 0.01 > extra[1] > 0


@pytest.mark.parametrize("n", [1, 3, 8])
def test_classes_cost_their_entropy(n: int) -> None:
    p = np.array([0.6, 0.3, 0.1])
    x = np.repeat([0, 1, 2], [24_000, 12_000, 4_000])
    x = _rng().permutation(x)[:, None]

    def network(theta: Sums, i: int) -> Floats:
        weight = p * np.exp(theta.s)
        return np.log2(weight / weight.sum(axis=-1, keepdims=True))

    lengths = code_lengths(SimplexFlow(3), AccuracySchedule.quadratic(1.5, n, 1), network, x, groups=100)
    assert_mean(lengths, -float(p @ np.log2(p)))


@pytest.mark.parametrize("n", [1, 4])
def test_discretised_data_cost_their_entropy(n: int) -> None:
    """Two dimensions of five bins, the second sent twice as accurately and not at all in the first step."""
    p, K, items = rows(3, 5), 5, 20_000
    x = bin_centres(K)[_rng().choice(K, p=p, size=(items, 2))]
    alpha = np.outer(np.linspace(1, 3, n), [1.0, 2.0])
    alpha[0, 1] = 0

    def network(theta: Sums, i: int) -> Atoms:
        centres = np.arange(-0.8, 0.81, 0.4)
        # Likelihood of s ~ N(beta v, beta), as a function of v: exp(s v - beta v^2 / 2).
        weight = p * np.exp(theta.s[..., None] * centres - theta.beta[:, None] * centres**2 / 2)
        return Atoms(bin_centres(K), np.log2(weight / weight.sum(axis=-1, keepdims=True)))

    lengths = code_lengths(GaussianFlow("mixture"), Matrix(alpha), network, x, groups=100)
    cross = -np.log2(p)[np.rint((x + 0.8) / 0.4).astype(int)].sum(axis=1).reshape(100, -1).mean(axis=1)
    assert_mean(lengths - cross, 0)  # against the very symbols drawn: less noise than the entropy


@pytest.mark.parametrize("n", [1, 5])
def test_a_gaussian_source_costs_its_differential_entropy(n: int) -> None:
    """x ~ N(0, 1): p_I is the posterior, and p_O = p_I makes Gaussian receivers exact."""
    flow, x = GaussianFlow("moments"), _rng().standard_normal((40_000, 2))
    network = lambda theta, i: Normal(theta.s / (1 + theta.beta), 1 / (1 + theta.beta))  # noqa: E731
    lengths = code_lengths(flow, AccuracySchedule.geometric(0.2, n, 2), network, x, groups=100)
    assert_mean(lengths, math.log2(2 * math.pi * math.e))


# --- continuous time ----------------------------------------------------------------------------


@pytest.mark.slow
def test_continuous_time_is_the_limit_of_many_steps() -> None:
    """For one (x, x_hat) at each time, n steps of the discrete KL add up to the integral of the rate."""
    sigma_1, n = 0.05, 4000
    t = (np.arange(n) + 0.5) / n
    x, x_hat = np.sin(5 * t)[:, None], np.cos(3 * t)[:, None]
    p_O, flow = Normal(x_hat, np.full((n, 1), 0.3)), GaussianFlow("moments")
    rate = flow.continuous_time_loss(x, p_O, t, sigma_1)
    beta = sigma_1 ** (-2 * np.arange(n + 1) / n)
    steps = np.diff(beta)[:, None] * (x - x_hat) ** 2 / (2 * math.log(2))
    assert rate.mean() == pytest.approx(steps.sum(), rel=1e-5)
    schedule = AccuracySchedule.geometric(sigma_1, n, 1)
    exact = [flow.kl(x[i], Normal(x_hat[i], np.zeros(1)), schedule.accuracy(i))[0] for i in range(n)]
    assert rate.mean() == pytest.approx(sum(exact), rel=1e-5)


def test_continuous_time_loss_of_a_fair_bit() -> None:
    """Up to time 1 the rate integrates to the information s carries: 1 bit less what is left of it.

    Over the posterior mean tanh(s), both in one dimension and as two classes.
    """
    beta_1, sigma_1, z = 3.0, 0.5, np.linspace(-9, 9, 601)
    assert sigma_1**-2 - 1 == beta_1
    weight = density(z, 0, 1)
    t = (np.arange(400) + 0.5) / 400
    gaussian, simplex = np.empty(400), np.empty(400)
    for i in range(400):
        for beta, totals in [(sigma_1 ** (-2 * t[i]) - 1, gaussian), (beta_1 * t[i] ** 2, simplex)]:
            s = (beta + math.sqrt(beta) * z)[:, None]  # x = 1, [points, D = 1]
            log2_p = -np.logaddexp2(0, np.stack([2 * s, -2 * s], axis=-1) / math.log(2))
            times = np.full(z.size, t[i])
            if totals is gaussian:
                p_O = Atoms(np.array([-1.0, 1.0]), log2_p)
                loss = GaussianFlow().continuous_time_loss(np.ones_like(s), p_O, times, sigma_1)
            else:
                loss = SimplexFlow(2).continuous_time_loss(np.ones(s.shape, np.int64), log2_p, times, beta_1)
            totals[i] = integral(weight * loss[:, 0], z)
    left = integral(weight * np.logaddexp2(0, -2 * (beta_1 + math.sqrt(beta_1) * z) / math.log(2)), z)
    assert gaussian.mean() == pytest.approx(1 - left, rel=1e-4)
    assert simplex.mean() == pytest.approx(1 - left, rel=1e-4)


# --- shapes -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), max_size=2), st.integers(0, 4), st.integers(2, 4), seeds)
def test_shapes(batch: list[int], D: int, K: int, seed: int) -> None:
    """[..., D] in, [..., D] out, empty axes and dimensions that are not sent among them."""
    shape, rng = (*batch, D), np.random.default_rng(seed)
    alpha = rng.uniform(0.1, 2, (3, D)) * (rng.random((3, D)) < 0.7)
    beta = alpha[:2].sum(axis=0)
    k, log2_p = rng.integers(K, size=shape), np.full((*shape, K), -math.log2(K))
    values = bin_centres(K)
    flows: list[tuple[Any, Any, Any]] = [
        (GaussianFlow("mixture"), values[k], Atoms(values, log2_p)),
        (GaussianFlow("moments"), values[k], Atoms(values, log2_p)),
        (GaussianFlow(), values[k], Normal(np.zeros(shape), np.full(shape, 0.2))),
        (SimplexFlow(K), k, log2_p),
    ]
    for flow, x, p_O in flows:
        report = play(flow, Matrix(alpha), lambda theta, i, p=p_O: p, x, rng)  # type: ignore[misc]
        assert report.dims == x.size
        assert np.isfinite(report.bits)
        y_shape = (*shape, K) if isinstance(flow, SimplexFlow) else shape
        sent, received = flow.sender(x, alpha[0]), flow.receiver(p_O, alpha[0])
        assert sent.sample(rng).shape == received.sample(rng).shape == y_shape
        y = sent.sample(rng)
        assert sent.log2_prob(y).shape == received.log2_prob(y).shape == shape
        assert flow.kl(x, p_O, alpha[0], rng).shape == flow.reconstruction(x, p_O).shape == shape
        theta = flow.update(flow.prior(shape), y, alpha[0])
        assert theta.s.shape == y_shape
        assert theta.beta.shape == (D,)
        bridge = flow.bridge(Sums(theta.s, beta + alpha[2]), beta, alpha[2])
        assert bridge.sample(rng).shape == bridge.mean.shape == bridge.variance.shape == y_shape
        assert bridge.log2_prob(theta.s).shape == shape


def test_both_flows_fit_the_interface() -> None:
    """For mypy as much as for the eye: data and samples of classes differ in type, so Any there."""
    continuous: Flow[Floats, Sums, OutputDistribution] = GaussianFlow()
    discrete: Flow[NDArray[Any], Sums, Floats] = SimplexFlow(2)
    back: list[Bridge[Floats, Sums]] = [GaussianFlow(), SimplexFlow(2)]
    assert continuous.prior((2, 3)).s.shape == (2, 3)
    assert discrete.prior((2, 3)).s.shape == (2, 3, 2)
    assert all(flow.bridge(Sums(np.zeros((1, 2)), np.ones(1)), np.zeros(1), np.ones(1)) for flow in back)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
