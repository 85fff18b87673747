"""Normal distributions of integers, against those of the package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfncodec.coding import lattice as theirs
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import LatticeFlow
from bfncodec.flow import Staggered
from reader.ans import Stack
from reader.lattice import Lattice, kernel, pop_normals
from support.tiny import random_words

MEANS = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30)
DEVIATIONS = st.floats(0.5, 40)


def stacks(seed: int) -> tuple[Stack, AnsStack]:
    words = random_words(seed, 400)
    return Stack([*words.tolist(), 1]), AnsStack(words, borrowed=True)


@settings(max_examples=25, deadline=None)
@given(MEANS, DEVIATIONS, st.booleans(), st.integers(0, 99))
def test_kernels_pop_and_push_alike(means: list[float], deviation: float, truncated: bool, seed: int) -> None:
    (ours, other), expected = stacks(seed), theirs.kernel(deviation, truncated)
    values = kernel(deviation, truncated).pop(ours, means)
    assert values == expected.pop(other, np.array(means)).tolist()
    assert ours.written() == other.written().tolist()
    kernel(deviation, truncated).push(ours, values, means)
    assert ours.borrowed() == random_words(seed, 400).tolist()


@settings(max_examples=25, deadline=None)
@given(MEANS, st.integers(0, 99), st.floats(0.01, 1e4))
def test_normals_pop_what_was_pushed(means: list[float], seed: int, widest: float) -> None:
    """Values far outside their windows, too: their excess is coded."""
    rng, (_, other) = np.random.default_rng(seed), stacks(seed)
    variances = rng.random(len(means)) * widest
    values = np.rint(means + rng.standard_cauchy(len(means)) * np.sqrt(widest) * 3).astype(np.int64)
    theirs.Normals(np.array(means), variances).push(other, values)
    ours = Stack(other.written().tolist())
    assert pop_normals(ours, means, variances.tolist()) == values.tolist()
    assert ours.borrowed() == random_words(seed, 400).tolist()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("excess", [0, 1, 2, 3, 1 << 16, (1 << 17) - 1, (1 << 31) + 5])
def test_excess_of_kernels(sign: int, excess: int) -> None:
    means, value = [0.25, 7.0], 16 + excess if sign > 0 else -16 - excess
    ours, other = stacks(0)
    theirs.kernel(1.0).push(other, np.array([value, 8]), np.array(means))
    kernel(1.0, False).push(ours, [value, 8], means)
    assert ours.written() == other.written().tolist()
    assert kernel(1.0, False).pop(ours, means) == [value, 8]


@pytest.mark.parametrize("betas", [(0.0, 2.0), (0.0, 0.3, 0.8, 3.0)])
@pytest.mark.parametrize("period", [1, 3, 9])
def test_lattices_and_groups(betas: tuple[float, ...], period: int) -> None:
    """A period of more symbols than there are has cohorts without symbols."""
    flow = LatticeFlow(Staggered(7, period, betas), 5.0, 5)
    own = Lattice(betas, tuple(tuple(range(c, 7, period)) for c in range(period)), 5.0, 5)
    assert own.units == list(flow.units)
    assert own.steps == flow.n_steps
    for i in range(own.steps):
        groups = flow.schedule.groups(i)
        assert [(g.cohort, g.phase) for g in own.groups(i)] == [(g.cohort, g.phase) for g in groups]
        for mine, their in zip(own.groups(i), groups, strict=True):
            assert own.places(mine, 2) == flow.of(their, np.arange(70)).ravel().tolist()
