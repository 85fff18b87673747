"""The chain of bits-back coding: everything comes back, and it costs L^n.

Receivers whose answers are the true posteriors make the cost known for every single item: whatever noise is drawn,

    log q(s_1 … s_n | x) - log p(s_1 … s_n) - log p(x | s_n) = -log p(x),

so a chain must be as long as the information in its data, not only on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.codecs.receivers.classes import BinaryReceiver, Bits, Classes, DiscreteReceiver
from bfncodec.codecs.receivers.discretised import TOGETHER
from bfncodec.codecs.receivers.kinds import parallel_receiver as receiver_of
from bfncodec.codecs.receivers.kinds import sums_of
from bfncodec.codecs.receivers.pairs import pair_weights
from bfncodec.codecs.receivers.parallel import Grid
from bfncodec.coding.ans import AnsStack, EmptyStackError
from bfncodec.coding.bitsback import LatticeFlow, pop_items, push_items
from bfncodec.coding.lattice import CELL, Normals, kernel
from bfncodec.errors import DamagedError
from bfncodec.flow import AccuracySchedule
from bfncodec.networks.convnet.mixture import mixture_weights
from bfncodec.networks.parallel.exact import ExactDenoiser
from bfncodec.training.export import quantised_tensors
from support.tiny import (
    CONFIGS,
    CPU,
    KINDS,
    Ints,
    content,
    denoiser,
    grid,
    random_stack,
    random_words,
    tiny_receiver,
    values,
)

Floats = NDArray[np.float64]

grids = st.lists(st.floats(0.01, 50), min_size=1, max_size=8).map(lambda a: (0.0, *np.cumsum(a).tolist()))
kappas = st.sampled_from([1.0, 2.0, 27.0])


def geometric(end: float, steps: int) -> tuple[float, ...]:
    return tuple((1 + end) ** (i / steps) - 1 for i in range(steps + 1))


def quadratic(end: float, steps: int) -> tuple[float, ...]:
    return tuple(end * (i / steps) ** 2 for i in range(steps + 1))


# --- the game ----------------------------------------------------------------------------------


def log_normal(y: float, mean: float, variance: float) -> float:
    return -0.5 * (math.log(2 * math.pi * variance) + (y - mean) ** 2 / variance)


@settings(max_examples=60)
@given(betas=grids, kappa=kappas)
def test_units_are_the_smaller_deviation(betas: tuple[float, ...], kappa: float) -> None:
    game = LatticeFlow(AccuracySchedule(betas), kappa)
    assert game.n_steps == len(betas) - 1 == len(game.units) - 1
    for i in range(1, game.n_steps + 1):
        noise = kappa * (betas[i] - betas[i - 1])
        known = [noise]
        if i < game.n_steps:  # 1 / variance of s_i given s_{i+1}: what came before and what comes after, added up
            known.append(kappa / (1 / betas[i] + 1 / (betas[i + 1] - betas[i])))
        assert game.units[i] == pytest.approx(math.sqrt(min(known)))


@pytest.mark.parametrize("kappa", [1.0, 27.0])
@pytest.mark.parametrize("betas", [geometric(400.0, 5), quadratic(9.0, 5), (0.0, 3.0, 3.01, 70.0, 71.0, 71.5)])
def test_bridges_turn_the_motion_round(betas: tuple[float, ...], kappa: float) -> None:
    """q(s_i | s_{i+1}) q(s_{i+1} | x) = q(s_{i+1} | s_i, x) q(s_i | x), whatever x and the sums."""
    game, rng = LatticeFlow(AccuracySchedule(betas), kappa), np.random.default_rng(0)
    units: Any = game.units
    for i in range(1, game.n_steps):
        ratio, bridge = game.bridge(i)
        noise = game.sample_kernel(i + 1).deviation
        for _ in range(20):
            x = rng.uniform(-1, 1)
            before, after = rng.normal(0, 3, 2) * np.sqrt(kappa * np.array(betas[i : i + 2])) / units[i : i + 2]
            # In units of their own lattices; densities change by the units, the same on both sides.
            backward = log_normal(before, ratio * after, bridge.deviation**2) - math.log(units[i])
            backward += log_normal(after * units[i + 1], betas[i + 1] * x, kappa * betas[i + 1])
            mean = (before * units[i] + (betas[i + 1] - betas[i]) * x) / units[i + 1]
            forward = log_normal(after, mean, noise**2) - math.log(units[i + 1])
            forward += log_normal(before * units[i], betas[i] * x, kappa * betas[i])
            assert backward == pytest.approx(forward, rel=1e-9, abs=1e-9)


@settings(max_examples=40)
@given(betas=grids, kappa=kappas)
def test_the_end_of_the_game_is_the_whole_motion(betas: tuple[float, ...], kappa: float) -> None:
    game = LatticeFlow(AccuracySchedule(betas), kappa)
    factor, whole = game.end()
    assert factor * game.units[-1] == pytest.approx(betas[-1])
    assert whole.deviation * game.units[-1] == pytest.approx(math.sqrt(kappa * betas[-1]))
    for i in range(1, game.n_steps + 1):
        noise = game.sample_kernel(i).deviation
        assert noise * game.units[i] == pytest.approx(math.sqrt(kappa * (betas[i] - betas[i - 1])))
        assert noise > 0.999  # the lattice is fine enough: a unit is never more than a deviation


# --- everything comes back ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), items=st.integers(1, 5), steps=st.sampled_from([1, 2, 7]))
def test_items_and_the_stack_below_come_back(kind: str, seed: int, items: int, steps: int) -> None:
    receiver = tiny_receiver(kind, steps, seed % 3)
    x, sums = values(kind, items, seed), items * sums_of(CONFIGS[kind])
    below = random_words(seed, 40 + sums)
    stack = AnsStack(below, borrowed=True)
    push_items(stack, x, sums, receiver)
    assert stack.bits > 0
    other = AnsStack(stack.written())
    found = pop_items(other, sums, receiver)
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(other.returned(), below)


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_borrows_no_more_than_it_says(kind: str) -> None:
    """These networks know nothing, so that the reconstruction gives much back before the first bridge."""
    receiver = tiny_receiver(kind)
    sums = 20 * sums_of(CONFIGS[kind])
    stack = random_stack(1, 20 * sums)
    start = stack.bits
    push_items(stack, values(kind, 20, 1), sums, receiver)
    assert 0.3 < (start - stack.lowest) / receiver.flow.initial_bits(sums) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_bits_to_borrow_are_named(kind: str) -> None:
    receiver = tiny_receiver(kind)
    with pytest.raises(EmptyStackError):
        push_items(random_stack(1, 5), values(kind, 3, 1), 3 * sums_of(CONFIGS[kind]), receiver)
    with pytest.raises(EmptyStackError):
        pop_items(random_stack(1, 5), 3 * sums_of(CONFIGS[kind]), receiver)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_that_no_encoder_draws_are_damage(kind: str) -> None:
    """A payload that was made up: s_1 and s_2 further apart than the bridge between them can be pushed."""
    receiver = tiny_receiver(kind, 2)
    sums = sums_of(CONFIGS[kind])
    far = 2**32 - 100
    first = np.full(sums, far)
    step = receiver.step(1, first)
    if isinstance(step, Normals):  # both up: s_2 is then too far from all data
        second = np.rint(step.mean).astype(np.int64) + far
    else:  # up and down
        second = np.full(sums, int(far * receiver.flow.units[1] / receiver.flow.units[2]) - far)
    stack = random_stack(3, 100 + sums)
    step.push(stack, second)
    receiver.step(0, np.zeros(sums, np.int64)).push(stack, first)
    with pytest.raises(DamagedError):
        pop_items(AnsStack(stack.written()), sums, receiver)


@pytest.mark.parametrize("seed", range(4))
def test_data_the_model_rules_out_come_back(seed: int) -> None:
    """Impossible symbols leave bits on the stack that are not random at all, from which the next noise is drawn."""
    config = CONFIGS["grey"]
    network = denoiser("grey")
    with torch.no_grad():  # one narrow logistic, far above
        network.head.weight.mul_(0.01)
        network.head.bias.copy_(torch.tensor([0.0, 25.0, -10.0]).repeat(len(network.head.bias) // 3))
    exact = ExactDenoiser(config, quantised_tensors(network), CPU)
    one = receiver_of(exact, Grid.read(grid(config)))
    x = np.random.default_rng(seed).integers(0, 256, 8 * 16)
    stack = random_stack(seed, 3000)
    push_items(stack, x, len(x), one)
    np.testing.assert_array_equal(pop_items(stack, len(x), one), x)
    np.testing.assert_array_equal(stack.returned(), random_words(seed, 3000))


# --- real bits against L^n ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_real_bits_are_the_games(kind: str) -> None:
    """Means over repetitions, each with fresh noise on both sides, within 4 standard errors of both together; and these
    are below 1% of the bits, or the test would say little."""
    receiver = tiny_receiver(kind)
    x = values(kind, 64, 2)
    sums = 64 * sums_of(CONFIGS[kind])
    rng = np.random.default_rng(0)
    real, ideal = [], []
    for repetition in range(16):
        stack = random_stack(repetition, 2 * sums)
        start = content(stack)
        push_items(stack, x, sums, receiver)
        real.append(content(stack) - start)
        ideal.append(receiver.play(x, rng).bits)
    error = math.sqrt((np.var(real, ddof=1) + np.var(ideal, ddof=1)) / len(real))
    assert error < 0.01 * np.mean(ideal)
    assert abs(np.mean(real) - np.mean(ideal)) < 4 * error


# --- receivers that know the answer ------------------------------------------------------------


class KnownBits(BinaryReceiver):
    """Independent bits, 1 with probability p: p_O is Bayes' posterior."""

    def __init__(self, p: float, betas: tuple[float, ...]) -> None:
        self.prior, self.flow = math.log(p / (1 - p)), LatticeFlow(AccuracySchedule(betas))

    def output(self, i: int, s: Floats) -> Bits:
        return Bits((self.prior + 2 * s).astype(np.float32))


@dataclass
class Alphabet:
    classes: int


class KnownLetters(DiscreteReceiver):
    """Independent letters of known frequencies."""

    def __init__(self, p: Floats, betas: tuple[float, ...]) -> None:
        self.config: Any = Alphabet(len(p))
        self.prior, self.flow = np.log(p), LatticeFlow(AccuracySchedule(betas), float(len(p)))

    def output(self, i: int, s: Floats) -> Classes:
        return Classes((self.prior + s.reshape(-1, self.config.classes)).astype(np.float32))


class KnownNormal:
    """x = unit * k + mean for integers k, normal: sums and data are normal given whatever is known."""

    def __init__(self, unit: float, mean: float, variance: float, betas: tuple[float, ...]) -> None:
        self.unit, self.mean, self.variance, self.flow = unit, mean, variance, LatticeFlow(AccuracySchedule(betas))

    def target(self, x: Ints) -> Floats:
        return x * self.unit

    def encoding(self, sums: int) -> KnownNormal:
        return self

    decoding = encoding

    def posterior(self, i: int, s: Floats) -> tuple[Floats, float]:
        accuracy = self.flow.betas[i] + 1 / self.variance
        return (s + self.mean / self.variance) / accuracy, 1 / accuracy

    def step(self, i: int, before: Ints) -> Normals:
        s = before * self.flow.units[i]
        m, v = self.posterior(i, s)
        alpha, unit = self.flow.betas[i + 1] - self.flow.betas[i], self.flow.units[i + 1]
        return Normals((s + alpha * m) / unit, np.full(len(s), alpha + alpha**2 * v) / unit**2)

    def reconstruction(self, last: Ints) -> Normals:
        m, v = self.posterior(self.flow.n_steps, last * self.flow.units[-1])
        return Normals(m / self.unit, np.full(len(m), v / self.unit**2 + CELL))


def chain_bits(receiver: Any, x: Ints, sums: int, seed: int = 0) -> float:
    """Net bits of a chain of data [N] in one go; also checks that it comes back."""
    stack = random_stack(seed, sums // 2 + 100)
    start = content(stack)
    push_items(stack, x, sums, receiver)
    net = content(stack) - start
    np.testing.assert_array_equal(pop_items(stack, sums, receiver), x)
    return net


@pytest.mark.parametrize(
    "betas", [quadratic(9.0, 8), quadratic(9.0, 1), quadratic(2.0, 30), geometric(40.0, 4), (0.0, 0.001, 20.0)]
)
def test_independent_bits_cost_their_entropy(betas: tuple[float, ...]) -> None:
    """p = 0.9: 0.469 bits each; every step and every grid, the last accuracies next to nothing or next to all."""
    x = (np.arange(5000) % 10 != 0).astype(np.int64)
    entropy = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    assert chain_bits(KnownBits(0.9, betas), x, len(x)) / len(x) == pytest.approx(entropy, abs=0.002)


def test_unlikely_bits_cost_their_information() -> None:
    """Not only on average: the same chain with other data costs what they cost."""
    for share in (0, 5, 10):
        x = (np.arange(3000) % 10 < share).astype(np.int64)
        information = -(share * math.log2(0.9) + (10 - share) * math.log2(0.1)) / 10
        found = chain_bits(KnownBits(0.9, quadratic(6.0, 10)), x, len(x)) / len(x)
        assert found == pytest.approx(information, rel=0.003)


@pytest.mark.parametrize("betas", [quadratic(3.0, 6), quadratic(0.5, 12), (0.0, 0.02, 4.0)])
@pytest.mark.parametrize("p", [[0.7, 0.2, 0.1], [0.5, 0.3, 0.1, 0.05, 0.05]])
def test_independent_letters_cost_their_entropy(p: list[float], betas: tuple[float, ...]) -> None:
    x = np.repeat(np.arange(len(p)), np.rint(np.array(p) * 2000).astype(int))
    entropy = -sum(q * math.log2(q) for q in p)
    found = chain_bits(KnownLetters(np.array(p), betas), x, len(x) * len(p)) / len(x)
    assert found == pytest.approx(entropy, abs=0.004)


@pytest.mark.parametrize("betas", [geometric(1e4, 8), geometric(1e4, 40), geometric(30.0, 1), (0.0, 0.01, 3.0, 20.0)])
def test_normal_data_cost_their_entropy(betas: tuple[float, ...]) -> None:
    """Data normal and finely quantised: each item costs what its density times the unit says."""
    rng = np.random.default_rng(0)
    mean, variance = 0.2, 0.09
    unit = 0.6 / math.sqrt(betas[-1] + 1 / variance)  # of what is not known yet at the end
    x = np.rint((mean + math.sqrt(variance) * rng.standard_normal(4000)) / unit).astype(np.int64)
    information = 0.5 * np.log2(2 * math.pi * variance) + (x * unit - mean) ** 2 / (2 * variance) / math.log(2)
    expected = float(information.mean()) - math.log2(unit)  # of a density that does not change within a unit
    found = chain_bits(KnownNormal(unit, mean, variance, betas), x, len(x)) / len(x)
    assert found == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("which", ["bits", "letters", "normal"])
def test_random_bits_are_data_too(which: str) -> None:
    """Decoding anything and coding it again gives the same bits: the code is complete. And the data are as believed."""
    count = 3000
    one: Any = {
        "bits": KnownBits(0.9, quadratic(9.0, 8)),
        "letters": KnownLetters(np.array([0.1, 0.2, 0.7]), quadratic(3.0, 6)),
        "normal": KnownNormal(0.03, 0.2, 0.09, geometric(400.0, 8)),
    }[which]
    sums = count * (3 if which == "letters" else 1)
    stack = random_stack(5, 2 * sums)
    x = pop_items(stack, sums, one)
    mean, deviation = {"bits": (0.9, 0.3), "letters": (1.6, 0.67), "normal": (0.2 / 0.03, 10.0)}[which]
    assert abs(x.mean() - mean) < 4 * deviation / math.sqrt(count)
    assert x.std() == pytest.approx(deviation, rel=0.08)
    push_items(stack, x, sums, one)
    np.testing.assert_array_equal(stack.returned(), random_words(5, 2 * sums))


def test_a_chain_of_what_is_known_borrows_what_it_says() -> None:
    x = np.ones(3000, np.int64)
    for betas in (quadratic(9.0, 8), quadratic(9.0, 30)):
        receiver = KnownBits(0.9, betas)
        stack = random_stack(1, 3000)
        start = stack.bits
        push_items(stack, x, len(x), receiver)
        assert (start - stack.lowest) / receiver.flow.initial_bits(len(x)) == pytest.approx(1, abs=0.12)


def test_grids_that_are_none_are_refused() -> None:
    for betas, clocks in (
        ([0.0], [0.0]),
        ([0.0, 1.0], [0.0]),
        ([0.1, 1.0], [0.0, 1.0]),
        ([0.0, 1.0, 1.0], [0.0, 1.0, 2.0]),
    ):
        with pytest.raises(ValueError, match="expected accuracies"):
            Grid.read({"betas": betas, "clocks": clocks})


# --- two of a kind by tables -------------------------------------------------------------------

logits = st.floats(-400, 400, width=32) | st.floats(-3, 3, width=32) | st.sampled_from([0.0, 1e-9, 88.0])


@settings(max_examples=100)
@given(drawn=st.lists(st.tuples(logits, logits), min_size=1, max_size=30))
def test_weights_of_two_are_those_of_any(drawn: list[tuple[float, float]]) -> None:
    pair = np.array(drawn, np.float32).T
    np.testing.assert_array_equal(pair_weights(pair), mixture_weights(pair))


@settings(max_examples=100)
@given(drawn=st.lists(st.tuples(logits, logits), min_size=1, max_size=30), told=st.booleans())
def test_bits_are_two_classes(drawn: list[tuple[float, float]], told: bool) -> None:
    logit, evidence = np.array(drawn, np.float32).T
    two = Classes(np.stack([np.zeros_like(logit), logit], 1))
    found = Bits(logit).frequencies(evidence if told else None)
    np.testing.assert_array_equal(found, two.frequencies(np.stack([-evidence, evidence], 1) if told else None))
    np.testing.assert_array_equal(Bits(logit).log2_p(), two.log2_p())


@pytest.mark.parametrize("part", [700, 9000, 20_000])
def test_sums_in_parts_take_the_bits_of_all_at_once(part: int) -> None:
    """How many are worked on at once, some thousands, changes nothing."""
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(0, 40, 20_000), rng.uniform(0.3, 4, 20_000)
    value = np.rint(mean + rng.uniform(-2, 2, 20_000)).astype(np.int64)  # none beyond a window, which goes apart
    fixed, whole, pieces = kernel(1.5, truncated=True), random_stack(1, 9), random_stack(1, 9)
    parts = [slice(first, first + part) for first in range(0, len(mean), part)]
    fixed.push(whole, value, mean)
    Normals(mean, variance).push(whole, value)
    for at in reversed(parts):
        fixed.push(pieces, value[at], mean[at])
    for at in reversed(parts):
        Normals(mean[at], variance[at]).push(pieces, value[at])
    np.testing.assert_array_equal(whole.written(), pieces.written())
    np.testing.assert_array_equal(np.concatenate([Normals(mean[at], variance[at]).pop(whole) for at in parts]), value)
    np.testing.assert_array_equal(np.concatenate([fixed.pop(whole, mean[at]) for at in parts]), value)


@pytest.mark.slow
def test_many_levels_come_back() -> None:
    """More than are worked on at once."""
    receiver = tiny_receiver("levels", 2)
    x, sums = values("levels", 200, 1), 200 * sums_of(CONFIGS["levels"])
    assert sums > TOGETHER
    stack = random_stack(1, 20 * sums)
    push_items(stack, x, sums, receiver)
    np.testing.assert_array_equal(pop_items(stack, sums, receiver), x)
