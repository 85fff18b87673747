"""What the benchmark of the Gaussian senders measures with: games by densities, and a chain that is told its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from test_bitsback import values
from tiny import CONFIGS, KINDS, content, random_stack, tiny_receiver

from benchmarks.gaussian import Chain, play
from bfncodec.codecs.gaussian import sums_of
from bfncodec.coding.bitsback import push_items


@pytest.mark.parametrize("kind", KINDS)
def test_games_by_densities_cost_their_divergences_on_average(kind: str) -> None:
    receiver, x = tiny_receiver(kind), values(kind, 32, 2)
    rng = np.random.default_rng(0)
    found = np.array([(play(receiver, x, rng), receiver.play(x, rng).bits) for _ in range(16)])
    error = math.sqrt(float(found.var(0, ddof=1).sum()) / len(found))
    assert error < 0.02 * found.mean()
    assert abs(found[:, 0].mean() - found[:, 1].mean()) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_costs_what_its_own_path_says(kind: str) -> None:
    """Without the noise that the path has against other paths."""
    chain: Any = Chain(tiny_receiver(kind))
    x, sums = values(kind, 32, 3), 32 * sums_of(CONFIGS[kind])
    stack = random_stack(1, 20 * sums)
    start = content(stack)
    push_items(stack, x, sums, chain.game, chain)
    assert content(stack) - start == pytest.approx(chain.bits[0], rel=0.01)
    assert len(chain.bits) == 1
