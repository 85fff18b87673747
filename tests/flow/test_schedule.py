"""The flow against derivations that share no code with it.

The erasure sender is checked by writing out whole joint distributions over tiny alphabets, the
interface by a small Gaussian flow whose L^n is known in closed form.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.flow import (
    ERASED,
    CodeLength,
    Comb,
    ErasureFlow,
    Flow,
    RevealSchedule,
    Schedule,
    Wavefront,
    play,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

wavefronts = st.builds(Wavefront, height=st.integers(1, 20), width=st.integers(1, 20))
combs = st.builds(Comb, length=st.integers(0, 200), teeth=st.integers(1, 30))


# --- schedules ---------------------------------------------------------------------------------


@given(st.one_of(wavefronts, combs))
def test_every_dimension_is_revealed_exactly_once(schedule: RevealSchedule) -> None:
    steps = [schedule.revealed(i) for i in range(schedule.n_steps)]
    order = np.concatenate([np.empty(0, np.int64), *steps])
    np.testing.assert_array_equal(order, schedule.order)
    np.testing.assert_array_equal(np.sort(order), np.arange(schedule.dims))
    assert order.dtype == schedule.offsets.dtype == schedule.step_of.dtype == np.int64
    for i, dims in enumerate(steps):
        assert (schedule.step_of[dims] == i).all()
        np.testing.assert_array_equal(np.flatnonzero(schedule.accuracy(i)), dims)


@given(st.one_of(wavefronts, combs), st.data())
def test_beta_is_the_accuracy_spent_before_a_step(schedule: RevealSchedule, data: st.DataObject) -> None:
    i = data.draw(st.integers(0, schedule.n_steps))
    np.testing.assert_array_equal(schedule.beta(i), Schedule.beta(schedule, i))
    assert (schedule.beta(schedule.n_steps) == 1).all()


@given(wavefronts)
def test_wavefront_goes_down_slanted_lines(schedule: Wavefront) -> None:
    assert schedule.dims == schedule.height * schedule.width
    assert schedule.n_steps == schedule.width + 2 * (schedule.height - 1)
    for i in range(schedule.n_steps):
        line = [(r, i - 2 * r) for r in range(schedule.height) if 0 <= i - 2 * r < schedule.width]
        assert schedule.revealed(i).tolist() == [r * schedule.width + c for r, c in line]


@given(wavefronts)
def test_the_rows_of_a_line_follow_each_other(schedule: Wavefront) -> None:
    assert schedule.counts.tolist() == np.diff(schedule.offsets).tolist()
    for i, (first, count) in enumerate(zip(schedule.first_row.tolist(), schedule.counts.tolist(), strict=True)):
        rows, columns = np.divmod(schedule.revealed(i), schedule.width)
        assert rows.tolist() == list(range(first, first + count))
        assert {Wavefront.lag(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)} <= {i}


@given(wavefronts, st.data())
def test_wavefront_context(schedule: Wavefront, data: st.DataObject) -> None:
    r = data.draw(st.integers(0, schedule.height - 1))
    c = data.draw(st.integers(0, schedule.width - 1))
    known = schedule.beta(c + 2 * r).reshape(schedule.height, schedule.width)
    for r2, c2 in itertools.product(range(schedule.height), range(schedule.width)):
        assert known[r2, c2] == (c2 + 2 * r2 < c + 2 * r)
    # Never the pixel itself, nothing below it, nothing to its right; above it, two columns a row.
    if schedule.width > 1:
        allowed = [(r, x) for x in range(c)]
        allowed += [(r - k, x) for k in range(1, r + 1) for x in range(c + 2 * k)]
        assert {(int(a), int(b)) for a, b in np.argwhere(known[: r + 1])} == {
            (a, b) for a, b in allowed if b < schedule.width
        }


@given(combs)
def test_comb_takes_one_symbol_of_every_tooth(comb: Comb) -> None:
    size = math.ceil(comb.length / comb.teeth)
    assert comb.n_steps == comb.tooth_length == size
    for i in range(comb.n_steps):
        expected = [j * size + i for j in range(comb.teeth) if j * size + i < comb.length]
        assert comb.revealed(i).tolist() == expected
        assert comb.tooth_of[expected].tolist() == [p // size for p in expected]


@given(st.integers(0, 50))
def test_one_tooth_is_left_to_right(length: int) -> None:
    assert Comb(length, 1).order.tolist() == list(range(length))


def test_long_schedules_sort_like_short_ones() -> None:
    comb = Comb(length=140_001, teeth=2)  # more steps than 16 bits can count
    np.testing.assert_array_equal(comb.revealed(70_000), [70_000])
    np.testing.assert_array_equal(comb.revealed(69_999), [69_999, 140_000])


@pytest.mark.parametrize("make", [lambda: Wavefront(0, 4), lambda: Comb(-1), lambda: Comb(4, 0)])
def test_impossible_schedules_are_refused(make: type[Schedule]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


# --- the erasure sender, written out -----------------------------------------------------------

PATTERNS = list(itertools.product([False, True], repeat=3))


@dataclass(frozen=True)
class Source:
    """A known joint distribution of D = 3 dimensions over K = 3 symbols, and its ideal network."""

    p: Floats  # [K, K, K]

    @property
    def dims(self) -> int:
        return self.p.ndim

    def conditional(self, theta: Ints, d: int) -> Floats:
        """p(x_d | known dimensions), by summing the joint table."""
        p = self.p
        for e, known in enumerate(theta):
            if known != ERASED:
                mask = np.arange(p.shape[e]) == known
                p = p * mask.reshape([-1 if a == e else 1 for a in range(self.dims)])
        marginal = p.sum(axis=tuple(a for a in range(self.dims) if a != d))
        return marginal / marginal.sum()

    def network(self, theta: Ints, i: int) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log2([self.conditional(theta, d) for d in range(self.dims)])


@st.composite
def sources(draw: st.DrawFn) -> Source:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Source(rng.dirichlet(np.full(27, 0.5)).reshape(3, 3, 3) * 0.999 + 0.001 / 27)


@dataclass(frozen=True)
class Matrix(Schedule):
    """Any accuracy matrix, as given."""

    alpha: Floats

    @property
    def n_steps(self) -> int:
        return self.alpha.shape[0]

    @property
    def dims(self) -> int:
        return self.alpha.shape[1]

    def accuracy(self, i: int) -> Floats:
        return self.alpha[i]


alphas = st.floats(0.01, 0.99)
symbols = st.tuples(*[st.integers(0, 2)] * 3).map(np.array)


@given(st.integers(0, 2**32 - 1), alphas, st.integers(0, 2))
def test_kl_is_that_of_the_enumerated_channel(seed: int, alpha: float, x: int) -> None:
    p_O = np.random.default_rng(seed).dirichlet(np.ones(3)) + 1e-6
    p_O /= p_O.sum()
    p_S = np.append(alpha * np.eye(3)[x], 1 - alpha)  # symbols 0, 1, 2, then "erased"
    p_R = np.append(alpha * p_O, 1 - alpha)
    kl = sum(s * math.log2(s / r) for s, r in zip(p_S, p_R, strict=True) if s > 0)

    flow, row = ErasureFlow(3), np.array([alpha])
    log2_p = np.log2(p_O)[None]
    assert flow.kl(np.array([x]), log2_p, row) == pytest.approx(kl, rel=1e-12)
    for y, s, r in zip([0, 1, 2, ERASED], p_S, p_R, strict=True):
        sent = flow.sender(np.array([x]), row).log2_prob(np.array([y]))
        received = flow.receiver(log2_p, row).log2_prob(np.array([y]))
        assert np.exp2(sent) == pytest.approx(s, abs=1e-12)
        assert np.exp2(received) == pytest.approx(r, rel=1e-12)


@given(alphas, st.integers(0, 2))
def test_update_is_bayes_rule(alpha: float, x: int) -> None:
    """Prior times likelihood of y, normalised, for every y: a point mass, or the prior."""
    prior = np.array([0.2, 0.3, 0.5])
    flow = ErasureFlow(3)
    for y in [x, ERASED]:
        likelihood = [1 - alpha if y == ERASED else alpha * (k == y) for k in range(3)]
        posterior = prior * likelihood / (prior @ likelihood)
        theta = flow.update(flow.prior((1,)), np.array([y]), np.array([alpha]))
        p_O = np.exp2(flow.output(theta, np.log2(prior)[None]))[0]
        np.testing.assert_allclose(p_O, posterior, atol=1e-12)


def test_what_is_known_stays_known() -> None:
    flow, alpha = ErasureFlow(3), np.full(2, 0.5)
    theta = flow.update(np.array([2, ERASED]), np.array([ERASED, 1]), alpha)
    assert theta.tolist() == [2, 1]
    p_O = flow.output(theta, np.full((2, 3), np.log2(1 / 3)))
    assert flow.kl(theta, p_O, alpha).tolist() == [0, 0]
    assert flow.reconstruction(theta, p_O).tolist() == [0, 0]


def test_an_unsent_dimension_is_free_even_if_thought_impossible() -> None:
    p_O = np.array([[-np.inf, 0.0], [-np.inf, 0.0]])
    kl = ErasureFlow(2).kl(np.array([0, 0]), p_O, np.array([0.0, 1.0]))
    assert kl.tolist() == [0.0, np.inf]


@settings(max_examples=25)
@given(sources(), symbols, st.permutations(range(3)))
def test_one_dimension_a_step_is_the_chain_rule(source: Source, x: Ints, order: list[int]) -> None:
    """Any order of single dimensions costs -log2 p(x), exactly."""
    report = play(ErasureFlow(3), Matrix(np.eye(3)[order]), source.network, x, _rng())
    assert report.bits == pytest.approx(-math.log2(source.p[tuple(x)]), rel=1e-9)
    assert (report.reconstruction, report.dims) == (0.0, 3)


@settings(max_examples=25)
@given(sources(), symbols, st.sampled_from([Comb(3, 1), Comb(3, 2), Comb(3, 3), Wavefront(1, 3)]))
def test_reveal_schedules_cost_what_they_reveal(source: Source, x: Ints, schedule: RevealSchedule) -> None:
    log2_p = np.empty(3)
    for i in range(schedule.n_steps):
        theta = np.where(schedule.beta(i) == 1, x, ERASED)
        for d in schedule.revealed(i):
            log2_p[d] = math.log2(source.conditional(theta, int(d))[x[d]])
    flow = ErasureFlow(3)
    at_once = flow.length(log2_p, schedule)
    step_by_step = play(flow, schedule, source.network, x, _rng())
    np.testing.assert_allclose(at_once.kl, step_by_step.kl, rtol=1e-12)
    assert at_once.bits == pytest.approx(-log2_p.sum())
    assert at_once.reconstruction == step_by_step.reconstruction == 0
    if (np.diff(schedule.offsets) <= 1).all():
        assert at_once.bits == pytest.approx(-math.log2(source.p[tuple(x)]), rel=1e-9)


def test_length_adds_the_parts_of_a_dimension() -> None:
    log2_p = -np.arange(18.0).reshape(6, 3)  # six pixels of three channels
    report = ErasureFlow(256).length(log2_p, Wavefront(2, 3))
    per_pixel = -log2_p.sum(axis=1)
    expected = [per_pixel[0], per_pixel[1], per_pixel[2] + per_pixel[3], per_pixel[4], per_pixel[5]]
    np.testing.assert_allclose(report.kl, expected)
    assert (report.dims, report.reconstruction) == (18, 0.0)


def test_length_of_nothing() -> None:
    report = ErasureFlow(256).length(np.empty(0), Comb(0))
    assert (report.bits, report.dims, report.bits_per_dim, report.kl.size) == (0.0, 0, 0.0, 0)


def test_length_refuses_another_schedules_data() -> None:
    with pytest.raises(ValueError, match="expected 4 dimensions"):
        ErasureFlow(256).length(np.zeros(3), Comb(4))


@settings(max_examples=15)
@given(sources(), symbols, st.lists(alphas, min_size=6, max_size=6))
def test_fractional_accuracy(source: Source, x: Ints, values: list[float]) -> None:
    """L^n from the joint distribution of all samples equals the flow's sum of terms.

    Two steps of D = 3 erasures make 64 trajectories. On the left, log p_S(y_1, y_2 | x) against the
    receiver's log p_R(y_1) p_R(y_2 | y_1), term by term over whole trajectories; on the right, the
    expectation of the flow's closed-form KL.
    """
    alpha, flow = np.array(values).reshape(2, 3), ErasureFlow(3)
    from_joint = from_flow = 0.0
    for kept in itertools.product(PATTERNS, repeat=2):
        theta, weight, log_ratio, bits = flow.prior((3,)), 1.0, 0.0, 0.0
        for i, mask in enumerate(kept):
            p_O = flow.output(theta, source.network(theta, i))
            for d in range(3):
                known = theta[d] != ERASED
                p_x = 1.0 if known else source.conditional(theta, d)[x[d]]
                s = alpha[i, d] if mask[d] else 1 - alpha[i, d]
                r = alpha[i, d] * p_x if mask[d] else 1 - alpha[i, d]
                weight *= s
                log_ratio += math.log2(s / r)
            bits += flow.kl(x, p_O, alpha[i]).sum()
            theta = flow.update(theta, np.where(mask, x, ERASED), alpha[i])
        p_O = flow.output(theta, source.network(theta, 2))
        left = -sum(math.log2(source.conditional(theta, d)[x[d]]) for d in range(3) if theta[d] == ERASED)
        from_joint += weight * (log_ratio + left)
        from_flow += weight * (bits + flow.reconstruction(x, p_O).sum())
    assert from_flow == pytest.approx(from_joint, rel=1e-9)


def test_playing_with_noise_is_unbiased() -> None:
    """One dimension, n steps of alpha: it is erased to the end with probability (1 - alpha)^n."""
    n, alpha, items = 3, 0.4, 20_000
    log2_p = np.log2([0.1, 0.9])
    x = np.zeros((items, 1), dtype=np.int64)
    network = lambda theta, i: np.broadcast_to(log2_p, (items, 1, 2))  # noqa: E731
    report = play(ErasureFlow(2), Matrix(np.full((n, 1), alpha)), network, x, _rng())
    unknown = (1 - alpha) ** np.arange(n + 1)
    expected = -log2_p[0] * np.append(alpha * unknown[:n], unknown[n]) * items
    measured = np.append(report.kl, report.reconstruction)
    np.testing.assert_allclose(measured, expected, rtol=0.05)
    assert report.bits == pytest.approx(-log2_p[0] * items, rel=0.02)  # any alpha: -log2 p(x)


def test_samples_follow_the_channel() -> None:
    p, alpha = np.array([0.5, 0.0, 0.3, 0.2]), np.array([0.25, 1.0])
    log2_p = np.log2(np.maximum(p, 1e-300))
    channel = ErasureFlow(4).receiver(np.broadcast_to(log2_p, (50_000, 2, 4)), alpha)
    y = channel.sample(_rng())
    for d in range(2):
        counts = np.bincount(y[:, d] + 1, minlength=5) / 50_000
        np.testing.assert_allclose(counts, [1 - alpha[d], *(alpha[d] * p)], atol=0.01)
    assert not (y == 1).any()


# --- the report --------------------------------------------------------------------------------


def test_code_lengths_add_step_by_step() -> None:
    a = CodeLength(np.array([1.0, 2.0, 3.0]), 0.5, 4)
    b = CodeLength(np.array([10.0]), 0.25, 2)
    total = a + b
    assert total.kl.tolist() == [11.0, 2.0, 3.0]
    assert (total.reconstruction, total.dims) == (0.75, 6)
    assert total.bits == a.bits + b.bits == 16.75
    assert total.bits_per_dim == 16.75 / 6
    joined = CodeLength.joined([b, a, b])
    assert joined.kl.tolist() == [21.0, 2.0, 3.0]
    assert CodeLength.joined([]).bits == 0
    with pytest.raises(TypeError):
        a + 1  # type: ignore[operator]


@pytest.mark.parametrize(("kl", "dims"), [(np.zeros((2, 2)), 1), (np.zeros(2), -1)])
def test_impossible_reports_are_refused(kl: Floats, dims: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        CodeLength(kl, 0.0, dims)


# --- the interface fits the paper's Gaussian sender -----------------------------------------------


@dataclass(frozen=True)
class Normal:
    mean: Floats
    variance: Floats

    def sample(self, rng: np.random.Generator) -> Floats:
        return self.mean + np.sqrt(self.variance) * rng.standard_normal(self.mean.shape)

    def log2_prob(self, y: Floats) -> Floats:
        nats = (y - self.mean) ** 2 / self.variance + np.log(2 * np.pi * self.variance)
        return -nats / (2 * math.log(2))


@dataclass(frozen=True)
class Natural:
    """Natural parameters of N(s / (1 + beta), 1 / (1 + beta))."""

    s: Floats
    beta: Floats


class GaussianFlow:
    """Continuous data: y ~ N(x, 1 / alpha), p_O a point mass on the network's estimate of x."""

    def prior(self, shape: tuple[int, ...]) -> Natural:
        return Natural(np.zeros(shape), np.zeros(shape[-1:]))

    def sender(self, x: Floats, alpha: Floats) -> Normal:
        return Normal(x, 1 / alpha)

    def output(self, theta: Natural, raw: Floats) -> Floats:
        return theta.s / (1 + theta.beta) + raw

    def receiver(self, p_O: Floats, alpha: Floats) -> Normal:
        return Normal(p_O, 1 / alpha)

    def update(self, theta: Natural, y: Floats, alpha: Floats) -> Natural:
        return Natural(theta.s + alpha * y, theta.beta + alpha)

    def kl(self, x: Floats, p_O: Floats, alpha: Floats, rng: np.random.Generator | None = None) -> Floats:
        return alpha * (x - p_O) ** 2 / (2 * math.log(2))

    def reconstruction(self, x: Floats, p_O: Floats) -> Floats:
        return np.zeros_like(x)

    def bridge(self, theta: Natural, beta: Floats, alpha: Floats) -> Normal:
        total = beta + alpha
        return Normal(beta / total * theta.s, np.broadcast_to(beta * alpha / total, theta.s.shape))


def test_a_gaussian_flow_plays_the_same_game() -> None:
    """x ~ N(0, 1): the best estimate is s / (1 + beta), its squared error 1 / (1 + beta)."""
    alpha = np.array([[0.5, 0.2], [1.0, 0.7], [3.0, 2.0]])
    schedule, items = Matrix(alpha), 40_000
    flow: Flow[Floats, Natural, Floats] = GaussianFlow()
    x = _rng().standard_normal((items, 2))
    report = play(flow, schedule, lambda theta, i: np.zeros_like(x), x, np.random.default_rng(1))
    beta = np.array([schedule.beta(i) for i in range(3)])
    expected = (alpha / (1 + beta) / (2 * math.log(2))).sum(axis=1)
    np.testing.assert_allclose(report.kl / items, expected, rtol=0.03)
    assert report.dims == 2 * items


def test_the_bridge_does_not_depend_on_x() -> None:
    """p(s_i | x) p(s_{i+1} | s_i, x) = p(s_{i+1} | x) bridge(s_i | s_{i+1}), at random points."""
    rng = _rng()
    x, s, s_next = rng.standard_normal((3, 100))
    beta, alpha = rng.uniform(0.1, 5, (2, 100))
    forward = Normal(beta * x, beta).log2_prob(s) + Normal(s + alpha * x, alpha).log2_prob(s_next)
    back = GaussianFlow().bridge(Natural(s_next, beta + alpha), beta, alpha)
    total = beta + alpha
    backward = Normal(total * x, total).log2_prob(s_next) + back.log2_prob(s)
    np.testing.assert_allclose(forward, backward, rtol=1e-9, atol=1e-9)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
