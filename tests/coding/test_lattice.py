"""Normal distributions of integers: the table behind them, exact inverses anywhere, and costs that theory gives."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.lattice import CELL, FRACTIONS, HALF, LEAST_VARIANCE, Kernel, Normals, kernel
from bfncodec.coding.rangecoder import total
from bfncodec.coding.tables import NORMAL_BITS, NORMAL_LIMIT, NORMAL_STEPS, normal_table
from support.tiny import content, random_stack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BITS_OF_E = math.log2(math.e)

# --- the table ---------------------------------------------------------------------------------


def test_the_normal_table_is_rounded_correctly() -> None:
    table = normal_table()
    z = np.arange(-NORMAL_LIMIT * NORMAL_STEPS, NORMAL_LIMIT * NORMAL_STEPS + 1) / NORMAL_STEPS
    expected = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z]) * 2.0**NORMAL_BITS
    assert np.abs(table - expected).max() <= 0.51


def test_the_normal_table_is_symmetric_and_monotone() -> None:
    table = normal_table().astype(np.int64)
    assert len(table) == 2 * NORMAL_LIMIT * NORMAL_STEPS + 1
    assert (table[0], table[-1]) == (0, 1 << NORMAL_BITS)
    assert (np.diff(table) >= 0).all()
    np.testing.assert_array_equal(table + table[::-1], 1 << NORMAL_BITS)


@pytest.mark.parametrize("name", ["normal_table", "logistic_table", "exp2_table"])
@pytest.mark.parametrize("precision", [3, 60])
def test_tables_do_not_depend_on_the_decimals_of_the_caller(name: str, precision: int) -> None:
    """An application may have set its own precision and rounding before the first file is coded."""
    function = getattr(tables, name)
    with decimal.localcontext(decimal.Context(prec=precision, rounding=decimal.ROUND_UP)):
        found = function.__wrapped__()
    np.testing.assert_array_equal(found, function())


# --- inverses ----------------------------------------------------------------------------------

deviations = st.sampled_from([0.5, 0.51, 1.0, 1.37, 4.0, 30.0])
offsets = st.one_of(
    st.integers(-40, 40),
    st.integers(-(2**31), 2**31),
    st.sampled_from([-(2**31), 2**31, -(2**32) + 20, 2**32 - 20, -16, -17, 15, 16]),
)
means = st.one_of(
    st.floats(-3, 3),
    st.floats(-(2.0**45), 2.0**45),
    st.integers(-(2**40), 2**40).map(lambda k: k / 2),  # halves round to even
    st.sampled_from([-0.5, 0.5, 1.5, -0.0, 2.0**40 + 0.5, np.nextafter(0.5, 0), np.nextafter(-0.5, 0)]),
)
places = st.lists(st.tuples(means, offsets), min_size=1, max_size=12)


def separate(drawn: list[tuple[float, int]]) -> tuple[Floats, Ints]:
    """(means, values)"""
    mean = np.array([m for m, _ in drawn], np.float64)
    return mean, np.array([round(m) + k for m, k in drawn], np.int64)


def both_ways(push: Callable[[AnsStack], None], pop: Callable[[AnsStack], Ints], value: Ints) -> None:
    """Pushing and popping values, and popping and pushing what random bits give, leave the stack as it was."""
    stack = random_stack(0, 2)
    before = stack.written()
    push(stack)
    found = pop(stack)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, value)
    np.testing.assert_array_equal(stack.written(), before)


@settings(max_examples=80)
@given(deviation=deviations, drawn=places)
@example(deviation=1.0, drawn=[(0.0, 2**31), (0.0, -(2**31)), (0.0, 2**32 - 20)])
def test_kernels_pop_what_was_pushed(deviation: float, drawn: list[tuple[float, int]]) -> None:
    mean, value = separate(drawn)
    one = kernel(deviation)
    both_ways(lambda stack: one.push(stack, value, mean), lambda stack: one.pop(stack, mean), value)


@settings(max_examples=80)
@given(drawn=places, variance=st.lists(st.floats(0, 5) | st.floats(0, 1e12), min_size=12, max_size=12))
@example(drawn=[(0.3, 2**31), (1e9, -(2**31)), (-0.5, 0)], variance=[0.0, 1e-300, 1e300, *[1.0] * 9])
def test_normals_pop_what_was_pushed(drawn: list[tuple[float, int]], variance: list[float]) -> None:
    mean, value = separate(drawn)
    normals = Normals(mean, np.array(variance[: len(mean)]))
    both_ways(lambda stack: normals.push(stack, value), normals.pop, value)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), drawn=places, variance=st.floats(0, 50), deviation=deviations)
def test_pushing_gives_back_what_was_drawn(
    seed: int, drawn: list[tuple[float, int]], variance: float, deviation: float
) -> None:
    mean, _ = separate(drawn)
    normals, one = Normals(mean, np.full(len(mean), variance)), kernel(deviation)
    stack = random_stack(seed, 60)
    before = stack.written()
    value = normals.pop(stack)
    between = stack.written()
    other = one.pop(stack, mean)
    one.push(stack, other, mean)
    np.testing.assert_array_equal(stack.written(), between)
    normals.push(stack, value)
    np.testing.assert_array_equal(stack.written(), before)


@pytest.mark.parametrize("variance", [0.0, 0.25, 0.34, 1.0, 1.7, 4.0, 30.0, 1e4, 1e9])
@pytest.mark.parametrize("mean", [0.0, 0.5, -0.5, 0.499, -123456789.37, 2.0**38 + 0.25])
def test_pushes_and_pops_of_normals_agree_on_every_interval(variance: float, mean: float) -> None:
    """Every symbol of the window and some beyond, each on its own: what is popped and what is left."""
    values = np.rint(mean).astype(np.int64) + np.arange(-HALF - 4, HALF + 4)
    one = Normals(np.array([mean]), np.array([variance]))
    for value in values[:, None]:
        stack = random_stack(int(abs(value[0])) % 1000, 3)
        before = stack.written()
        one.push(stack, value)
        assert one.pop(stack) == value
        np.testing.assert_array_equal(stack.written(), before)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 1.3, 2.0, 2.1, 5.0])
def test_rows_of_kernels_are_distributions(deviation: float) -> None:
    one = kernel(deviation)
    rows = whole_rows(one)
    assert rows.shape == (FRACTIONS, 2 * one.half)
    assert one.half >= max(HALF, 8 * deviation)
    assert (rows >= 0).all()
    np.testing.assert_array_equal(rows.sum(1, dtype=np.float64), total(2 * one.half))
    np.testing.assert_array_equal(np.diff(one.below, axis=1), rows)
    assert (one.below[:, 0] == 0).all()
    assert (rows == np.rint(rows)).all()


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.1, 5.0])
@given(first=st.integers(1, 40), count=st.integers(1, 60))
@settings(max_examples=30)
def test_rows_of_some_symbols_have_the_intervals_of_the_whole(deviation: float, first: int, count: int) -> None:
    """Where the coder, which adds one to each frequency, has them begin; and the others together are all others."""
    one = kernel(deviation)
    first = min(first, 2 * one.half - 2)
    last = min(first + count, 2 * one.half - 1)
    rows = one.rows(first, last).astype(np.int64) + 1
    assert rows.shape == (FRACTIONS, last - first + 2)
    assert (rows > 0).all()
    start = np.cumsum(rows, 1)
    np.testing.assert_array_equal(start[:, :-1], one.below[:, first : last + 1] + np.arange(first, last + 1))
    np.testing.assert_array_equal(start[:, -1], 1 << 24)


@pytest.mark.parametrize("outlier", [None, 3, -3, 6, -7, 8, -15, 15, -16, 40])
@pytest.mark.parametrize("where", [0, 10_000, 19_999])
def test_a_symbol_far_out_among_many_is_popped(outlier: int | None, where: int) -> None:
    """Far from what is tried first: in the first, a middle and the last part of an array."""
    rng = np.random.default_rng(7)
    mean = rng.uniform(-50, 50, 20_000)
    value = np.rint(mean + rng.standard_normal(len(mean))).astype(np.int64)
    if outlier is not None:
        value[where] = np.rint(mean[where]) + outlier
    normals, one = Normals(mean, np.full(len(mean), 1.2)), kernel(1.0)
    both_ways(lambda stack: normals.push(stack, value), normals.pop, value)
    both_ways(lambda stack: one.push(stack, value, mean), lambda stack: one.pop(stack, mean), value)


def whole_rows(one: Kernel) -> NDArray[np.float32]:
    return one.rows(1, 2 * one.half - 1)


# --- what they are -----------------------------------------------------------------------------


def moments_of(one: Kernel, fraction: int) -> tuple[float, float, float]:
    """(mean less the centre, variance, entropy in bits) of a row as the coder has it, exactly."""
    p = (whole_rows(one)[fraction].astype(np.float64) + 1) / 2**24
    value = np.arange(2 * one.half) - one.half
    inside = slice(1, -1)  # the ends stand for all that is beyond
    mean = float((p * value)[inside].sum())
    variance = float((p * (value - mean) ** 2)[inside].sum())
    return mean, variance, float(-(p * np.log2(p)).sum())


@pytest.mark.parametrize("deviation", [0.8, 1.0, 1.2, 2.0, 3.7, 7.9])
@pytest.mark.parametrize("fraction", [0, 100, 128, 255])
def test_kernels_have_their_moments_and_entropy(deviation: float, fraction: int) -> None:
    """Differential entropy of the normal distribution: the unit is 1 here."""
    mean, variance, entropy = moments_of(kernel(deviation), fraction)
    assert mean == pytest.approx((fraction + 0.5) / FRACTIONS - 0.5, abs=0.003 * deviation)
    assert variance == pytest.approx(deviation**2, rel=0.01)
    assert entropy == pytest.approx(0.5 * math.log2(2 * math.pi * math.e * deviation**2), abs=0.002)


def density_bits(value: Ints, mean: Floats, variance: Floats) -> Floats:
    """-log2 of the normal density at values."""
    bits: Floats = 0.5 * np.log2(2 * np.pi * variance) + (value - mean) ** 2 / (2 * variance) * BITS_OF_E
    return bits


def check_draws(value: Ints, mean: Floats, variance: Floats, taken: float) -> None:
    """Mean and variance within 4.5 standard errors, skewness and kurtosis too; the bits that drawing took."""
    z = (value - mean) / np.sqrt(variance)
    error = 4.5 / math.sqrt(len(z))
    assert abs(z.mean()) < error
    assert abs((z**2).mean() - 1) < error * math.sqrt(2)
    assert abs((z**3).mean()) < error * math.sqrt(15)
    assert abs((z**4).mean() - 3) < error * math.sqrt(96)
    ideal = density_bits(value, mean, variance).mean()
    assert taken / len(value) == pytest.approx(ideal, abs=0.001)


def many_means(rng: np.random.Generator, count: int) -> Floats:
    return rng.uniform(-50, 50, count) * 10.0 ** rng.integers(0, 7, count)


@pytest.mark.parametrize("deviation", [1.0, 1.6, 6.0])
def test_kernels_draw_and_charge_as_normal_distributions(deviation: float) -> None:
    rng = np.random.default_rng(1)
    mean = many_means(rng, 20_000)
    stack = random_stack(1, 4000)
    start = content(stack)
    value = kernel(deviation).pop(stack, mean)
    check_draws(value, mean, np.full(len(mean), deviation**2), start - content(stack))


@pytest.mark.parametrize("largest", [1.0, 3.0, 9.0])
def test_normals_draw_and_charge_as_normal_distributions(largest: float) -> None:
    rng = np.random.default_rng(2)
    mean = many_means(rng, 20_000)
    variance = rng.uniform(0.9, 1, len(mean)) * largest
    stack = random_stack(2, 4000)
    start = content(stack)
    value = Normals(mean, variance).pop(stack)
    check_draws(value, mean, variance, start - content(stack))


def test_continuous_values_cost_their_entropy() -> None:
    """Values that were not drawn from the coder but from NumPy, rounded: the cell's variance comes on top, which
    the coder was told."""
    rng = np.random.default_rng(3)
    deviation = np.repeat([1.0, 2.0, 3.0], 20_000)
    mean = rng.uniform(-9, 9, len(deviation))
    value = np.rint(mean + deviation * rng.standard_normal(len(mean))).astype(np.int64)
    variance = deviation**2 + CELL
    stack = random_stack(3, 2)
    start = content(stack)
    Normals(mean, variance).push(stack, value)
    cost = (content(stack) - start) / len(value)
    assert cost == pytest.approx(
        0.5 * np.log2(2 * math.pi * math.e * variance).mean(), abs=4 * 1.02 / math.sqrt(len(value))
    )
    assert cost == pytest.approx(density_bits(value, mean, variance).mean(), abs=0.001)


def test_a_mean_that_is_off_costs_its_divergence() -> None:
    """Nothing of a mean is lost: e^2 / (2 sigma^2) nats for an error e, also where e is far below a unit."""
    rng = np.random.default_rng(4)
    mean = rng.uniform(-9, 9, 20_000)
    variance = np.ones(len(mean))
    value = Normals(mean, variance).pop(random_stack(4, 4000))
    for error in (0.0, 0.05, 0.2):
        stack = random_stack(5, 2)
        start = content(stack)
        Normals(mean + error, variance).push(stack, value)
        cost = (content(stack) - start) / len(mean)
        assert cost == pytest.approx(density_bits(value, mean + error, variance).mean(), abs=0.001)


def test_variances_have_a_floor() -> None:
    """Below it a unit would be too coarse; what is drawn then varies by the floor and the cell."""
    mean = np.random.default_rng(5).uniform(-9, 9, 20_000)
    value = Normals(mean, np.full(len(mean), 1e-3)).pop(random_stack(6, 4000))
    assert (value - mean).var() == pytest.approx(LEAST_VARIANCE + CELL, rel=0.05)


# --- far outside -------------------------------------------------------------------------------


def cost_of(push: Callable[[AnsStack], None]) -> float:
    stack = random_stack(8, 2)
    start = content(stack)
    push(stack)
    return content(stack) - start


@pytest.mark.parametrize("excess", [1, 2, 3, 7, 8, 100, 65535, 65536, 10**6, 2**31, 2**32 - 1])
@pytest.mark.parametrize("side", [-1, 1])
def test_an_excess_costs_six_bits_a_doubling_and_its_own(excess: int, side: int) -> None:
    """Against the symbol at the end of the window: L lengths of six bits, at most 24 in all, and L - 1 bits."""
    end = HALF - 1 if side > 0 else -HALF
    mean, variance = np.zeros(50), np.ones(50)

    def push(value: int) -> Callable[[AnsStack], Any]:
        return lambda stack: Normals(mean, variance).push(stack, np.full(50, value, np.int64))

    length = excess.bit_length()
    none = -math.log2(1 - sum((math.floor(2**24 / 64**k) + 1) / 2**24 for k in range(1, 33)))  # of the length 0
    expected = -math.log2((math.floor(2**24 / 64**length) + 1) / 2**24) + length - 1 - none
    found = (cost_of(push(end + side * excess)) - cost_of(push(end))) / 50
    assert found == pytest.approx(expected, abs=0.02)
    assert none < 0.03


def test_no_excess_is_ever_drawn_from_random_bits_by_a_kernel() -> None:
    """The sender draws its noise by popping: eight deviations are never exceeded."""
    mean = np.random.default_rng(6).uniform(-9, 9, 60_000)
    for deviation in (1.0, 2.0):
        value = kernel(deviation).pop(random_stack(9, 10_000), mean)
        assert np.abs(value - mean).max() < 6 * deviation
