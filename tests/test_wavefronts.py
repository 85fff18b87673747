"""Pictures whose pixels the Gaussian sender sends line after line: the chain gives them back, and costs L^n."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import noise
from test_networks import CPU, conv_pair, pixels

from bfncodec import compiled
from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.codecs.wavefronts import BETA, LineReceiver, TiledConfig, TiledNetwork
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Part, draw_items, pop_items, push_items
from bfncodec.models import ModelInfo
from bfncodec.networks.convnet import CODING_ORDER, ConvNet
from bfncodec.training.quantise import quantised_tensors

SHAPE, TILE = (4, 6, 3), (2, 3)


def described(network: ConvNet, shape: tuple[int, ...] = SHAPE, tile: tuple[int, ...] = TILE) -> dict[str, Any]:
    return {"kind": "discretised", "shape": list(shape), "tile": list(tile), **network.config.to_dict()}


def tiny(head: float = 0.5) -> TiledNetwork:
    network, _ = conv_pair(head=head, width=8, hidden=8, blocks=1, mixtures=2)
    return TiledNetwork(TiledConfig.from_dict(described(network)), quantised_tensors(network), CPU)


def items(count: int) -> Any:
    return pixels(3, count, *SHAPE[:2]).astype(np.int64).reshape(-1)


def full_stack(words: int = 4000) -> AnsStack:
    return AnsStack(np.random.default_rng(1).integers(1, 1 << 32, words, dtype=np.uint32), borrowed=True)


def test_every_dimension_is_sent_once_and_lines_in_their_order() -> None:
    receiver = LineReceiver(tiny())
    assert sorted(receiver.order) == list(range(np.prod(SHAPE)))
    assert receiver.game.steps == TILE[1] + 2 * (TILE[0] - 1)
    step = np.zeros(SHAPE, int).reshape(-1)
    for i in range(receiver.game.steps):
        sent = receiver.game.of(Part(i, 0), receiver.order)[0]
        step[sent] = i
        assert list(sent[:: len(sent) // 3] % 3) == list(CODING_ORDER)
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wanted = column % TILE[1] + 2 * (row % TILE[0])
    assert (step.reshape(SHAPE) == wanted[:, :, None]).all()


@pytest.mark.parametrize("switch", ["always", "never"])
@pytest.mark.parametrize("count", [1, 5])
def test_the_chain_gives_back_data_and_stack(count: int, switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.SWITCH, switch)
    receiver, x, stack = LineReceiver(tiny()), items(count), full_stack()
    before = full_stack().returned()
    push_items(stack, x, len(x), receiver.game, receiver.begin())
    restored = AnsStack(stack.written())
    np.testing.assert_array_equal(pop_items(restored, len(x), receiver.game, receiver.begin()), x)
    np.testing.assert_array_equal(restored.returned(), before)


def test_extreme_levels_come_back() -> None:
    receiver = LineReceiver(tiny(head=20.0))
    x = np.where(noise(1, 4 * int(np.prod(SHAPE))) > 127, 255, 0).astype(np.int64)
    stack = full_stack()
    push_items(stack, x, len(x), receiver.game, receiver.begin())
    np.testing.assert_array_equal(pop_items(AnsStack(stack.written()), len(x), receiver.game, receiver.begin()), x)


def test_the_chain_costs_what_the_game_says() -> None:
    """Where the network is not so wrong that the coder's least probability is above its own."""
    receiver = LineReceiver(tiny(head=0.1))
    x = 100 + (noise(7, 60, *SHAPE) % 5).astype(np.int64).reshape(-1)
    ideal = receiver.play(x, np.random.default_rng(0))
    assert ideal.kl.shape == (receiver.game.steps,)
    assert ideal.dims == len(x)
    assert ideal.reconstruction == 0  # no level was missed
    stack = full_stack(40_000)
    begun = stack.bits
    push_items(stack, x, len(x), receiver.game, receiver.begin())
    assert stack.bits - begun == pytest.approx(ideal.bits, rel=0.003, abs=64)


def test_noise_decides_nothing() -> None:
    receiver, x = LineReceiver(tiny()), items(20)
    first, second = (receiver.play(x, np.random.default_rng(seed)).bits for seed in (1, 2))
    assert first == pytest.approx(second, rel=1e-6)


def test_sums_tell_levels_apart() -> None:
    receiver = LineReceiver(tiny())
    x = np.tile(np.arange(256), 9)[: 32 * int(np.prod(SHAPE))]
    x = x[: len(x) // 72 * 72]
    unit = receiver.game.units[1]
    sums = np.rint(receiver.target(x) * (BETA / unit)).astype(np.int64)
    for away in (-5, 0, 5):  # deviations
        np.testing.assert_array_equal(receiver.levels(sums + away), x.reshape(-1, 72)[:, receiver.order].reshape(-1))


def test_random_bits_decode_to_pictures() -> None:
    receiver = LineReceiver(tiny())
    drawn = draw_items(full_stack(), 2 * len(receiver.order), receiver.game, receiver.begin())
    assert drawn.shape == (2 * len(receiver.order),)
    assert ((drawn >= 0) & (drawn < 256)).all()


def test_an_archive_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = conv_pair(width=8, hidden=8, blocks=1, mixtures=2)
    info = ModelInfo(Path("tiny"), {"name": "tiny", "role": "archive", "network": described(network), "steps": 5})
    codec = ArchiveCodec(info, quantised_tensors(network), CPU)
    data = b"head" + items(30).astype(np.uint8).tobytes()
    monkeypatch.setenv(compiled.SWITCH, "never")
    payload = codec.encode(data)
    assert sum(codec.groups(payload)) > 3
    monkeypatch.setenv(compiled.SWITCH, "always")
    assert codec.encode(data) == payload
    assert codec.decode(payload) == data
    assert len(codec.draw(3, np.random.default_rng(0))) == 3 * int(np.prod(SHAPE))
    with pytest.raises(ValueError, match="grids of 5 steps"):
        codec.with_steps(32)


@pytest.mark.parametrize(
    ("shape", "tile"),
    [((4, 6, 3), (3, 3)), ((4, 6, 3), (2, 1)), ((4, 6, 1), (2, 3)), ((4, 6), (2, 3)), ((4, 6, 3), (2,))],
)
def test_tiles_that_cannot_be(shape: tuple[int, ...], tile: tuple[int, ...]) -> None:
    network, _ = conv_pair()
    with pytest.raises(ValueError, match="expected tiles"):
        TiledConfig.from_dict(described(network, shape, tile))
