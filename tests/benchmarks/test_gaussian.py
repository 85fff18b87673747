"""What the benchmark of the Gaussian senders measures with: games by densities, and a chain that is told its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.gaussian import entropies
from bfncodec.codecs.receivers.kinds import sums_of
from bfncodec.codecs.receivers.realised import realised_path
from bfncodec.coding.bitsback import push_items
from support.doubles import noise
from support.tiny import CONFIGS, KINDS, content, random_stack, tiny_receiver, values
from support.wavefronts import SHAPE, TWO, full_stack, tiny


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_games_by_densities_cost_their_divergences_on_average(kind: str) -> None:
    receiver, x = tiny_receiver(kind), values(kind, 32, 2)
    rng = np.random.default_rng(0)
    found = np.array([(receiver.play(x, rng, realised=True).bits, receiver.play(x, rng).bits) for _ in range(16)])
    error = math.sqrt(float(found.var(0, ddof=1).sum()) / len(found))
    assert error < 0.02 * found.mean()
    assert abs(found[:, 0].mean() - found[:, 1].mean()) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_costs_what_its_own_path_says(kind: str) -> None:
    """Without the noise that the path has against other paths."""
    chain: Any = realised_path(tiny_receiver(kind))
    x, sums = values(kind, 32, 3), 32 * sums_of(CONFIGS[kind])
    stack = random_stack(1, 20 * sums)
    start = content(stack)
    push_items(stack, x, sums, chain)
    assert content(stack) - start == pytest.approx(chain.bits[0], rel=0.01)
    assert len(chain.bits) == 1


@pytest.mark.slow
def test_a_chain_of_lines_costs_what_its_own_path_says() -> None:
    x = 100 + (noise(7, 240, *SHAPE) % 5).astype(np.int64).reshape(-1)
    chain: Any = realised_path(tiny(0.1, TWO))
    stack = full_stack(160_000)
    start, marks = stack.bits, [stack.bits]
    push_items(stack, x, len(x), chain, marks.append)
    assert stack.bits - start == pytest.approx(chain.bits[0], rel=0.001)
    grown = np.diff(marks)[1:][::-1] - np.diff(len(x) * entropies(chain.flow))
    played = chain.unwatched.cost(chain.means, chain.s).kl
    np.testing.assert_allclose(grown, played, rtol=0.05, atol=100)  # a step's sender draws noise of its own


def test_entropies_grow_line_by_line() -> None:
    game = tiny(0.1, TWO).flow
    found = entropies(game)
    assert len(found) == game.n_steps + 1
    assert found[0] == 0
    assert (np.diff(found) >= 0).all()
