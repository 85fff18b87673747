"""Pictures whose pixels the Gaussian sender sends line after line: the chain gives them back, and costs L^n."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import bfncodec
from bfncodec import models
from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.codecs.receivers.wavefront import WavefrontReceiver
from bfncodec.coding import tables
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import draw_items, pop_items, push_items
from bfncodec.errors import InputError
from bfncodec.flow import Group
from bfncodec.models import ModelInfo
from bfncodec.networks import acceleration
from bfncodec.networks.convnet.config import CODING_ORDER
from bfncodec.networks.convnet.mixture import MEAN_STEPS, Mixture, mixture_weights
from bfncodec.networks.wavefront.exact import NormalMixture
from bfncodec.networks.wavefront.model import BETA, FIRST, WavefrontConfig, WavefrontNet
from bfncodec.training.export import quantised_tensors, restored_state
from bfncodec.training.loop import run
from support.archives import decode_damaged
from support.doubles import noise
from support.pairs import CPU
from support.wavefronts import ONE, SHAPE, TILE, TWO, exact, full_stack, items, network, tiny

pytestmark = pytest.mark.slow  # models at work: together they take minutes

ramps = pytest.mark.parametrize("betas", [ONE, TWO], ids=["one step", "two steps"])


@ramps
def test_every_dimension_is_sent_once_and_lines_in_their_order(betas: tuple[float, ...]) -> None:
    receiver = tiny(betas=betas)
    assert sorted(receiver.order) == list(range(np.prod(SHAPE)))
    assert receiver.schedule.cohorts == TILE[1] + 2 * (TILE[0] - 1)
    assert receiver.flow.n_steps == receiver.config.steps == receiver.schedule.cohorts + len(betas) - 2
    step = np.zeros(SHAPE, int).reshape(-1)
    for i in range(receiver.schedule.cohorts):
        sent = receiver.flow.of(Group(i, 0), receiver.order)[0]
        step[sent] = i
        assert list(sent[:: len(sent) // 3] % 3) == list(CODING_ORDER)
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wanted = column % TILE[1] + 2 * (row % TILE[0])
    assert (step.reshape(SHAPE) == wanted[:, :, None]).all()


@ramps
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("dilations", [(1,), (1, 2)])
def test_the_chain_gives_back_data_and_stack(
    count: int, dilations: tuple[int, ...], betas: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With compiled kernels as without, which write the same."""
    receiver, x = WavefrontReceiver(exact(network(0.5, betas, dilations))), items(count)
    before, stacks = full_stack().returned(), [full_stack(), full_stack()]
    for stack, switch in zip(stacks, ["always", "never"], strict=True):
        monkeypatch.setenv(acceleration.SWITCH, switch)
        push_items(stack, x, len(x), receiver)
    np.testing.assert_array_equal(stacks[0].written(), stacks[1].written())
    monkeypatch.setenv(acceleration.SWITCH, ["always", "never"][count % 2])
    restored = AnsStack(stacks[0].written())
    np.testing.assert_array_equal(pop_items(restored, len(x), receiver), x)
    np.testing.assert_array_equal(restored.returned(), before)


@ramps
def test_extreme_levels_come_back(betas: tuple[float, ...]) -> None:
    receiver = tiny(20.0, betas)
    x = np.where(noise(1, 4 * int(np.prod(SHAPE))) > 127, 255, 0).astype(np.int64)
    stack = full_stack()
    push_items(stack, x, len(x), receiver)
    np.testing.assert_array_equal(pop_items(AnsStack(stack.written()), len(x), receiver), x)


@ramps
def test_the_chain_costs_what_the_game_says(betas: tuple[float, ...]) -> None:
    """Where the network is not so wrong that the coder's least probability is above its own."""
    receiver = tiny(0.1, betas)
    x = 100 + (noise(7, 240, *SHAPE) % 5).astype(np.int64).reshape(-1)
    ideal = receiver.play(x, np.random.default_rng(0))
    assert ideal.kl.shape == (receiver.flow.n_steps,)
    assert ideal.dims == len(x)
    assert ideal.reconstruction == 0  # no level was missed
    stack = full_stack(160_000)
    begun = stack.bits
    push_items(stack, x, len(x), receiver)
    assert stack.bits - begun == pytest.approx(ideal.bits, rel=0.005 if len(betas) == 3 else 0.003, abs=64)


def test_noise_decides_nothing_in_one_step() -> None:
    receiver, x = tiny(), items(20)
    first, second = (receiver.play(x, np.random.default_rng(seed)).bits for seed in (1, 2))
    assert first == pytest.approx(second, rel=1e-6)


@pytest.mark.slow
@ramps
def test_the_float_network_costs_what_the_integers_do(betas: tuple[float, ...]) -> None:
    """Step by step: what a first step costs is what the mixture of normals says, whatever comes after."""
    net = network(0.1, betas, (1, 2))
    x = 100 + (noise(7, 300, *SHAPE) % 9).astype(np.int64)
    levels, rng = torch.from_numpy(x).float().permute(0, 3, 1, 2), np.random.default_rng(3)
    with torch.no_grad():
        bits = net(levels, torch.from_numpy(rng.standard_normal(levels.shape)).float())
    played = WavefrontReceiver(exact(net)).play(x.reshape(-1), rng)
    assert float(bits.mean()) == pytest.approx(played.bits_per_dim, rel=0.01)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.floats(60, 200), st.floats(-3, 6), st.floats(-8, 8))
def test_a_mixture_given_a_sample_is_that_of_bayes(
    logits: list[float], mean: float, log_scale: float, away: float
) -> None:
    """Every component against products of normal densities on a fine lattice."""
    scale, sigma, step = 2.0**log_scale, 2.0, 1 / 64
    means = np.array([mean - 3, mean, mean + 5])
    inverse = np.full((3, 1), tables.LOGISTIC_STEPS / MEAN_STEPS / scale, np.float32)
    weight = mixture_weights(np.array(logits, np.float32)[:, None])
    middle = np.rint(means * MEAN_STEPS)[:, None].astype(np.float32)
    normal = NormalMixture(Mixture(weight, middle, inverse), sigma)
    sample = mean + away
    variance = scale * scale * np.pi**2 / 3
    x = np.arange(mean - 60 - 60 * scale, mean + 60 + 60 * scale, step * max(1, scale))
    prior = np.exp(-((x - middle / MEAN_STEPS) ** 2) / (2 * variance)) / np.sqrt(variance)
    joint = prior * np.exp(-((x - sample) ** 2) / (2 * sigma**2))
    shares = weight[:, 0] * joint.sum(1)
    given_sample = normal.given(np.array([sample]))[0]
    np.testing.assert_allclose(given_sample / given_sample.sum(), shares / shares.sum(), atol=0.015)
    found = normal.posterior(np.array([sample])).components()
    np.testing.assert_allclose(found[1][:, 0] / MEAN_STEPS, (joint * x).sum(1) / joint.sum(1), atol=0.02)
    spread = tables.LOGISTIC_STEPS / MEAN_STEPS / found[2][:, 0] * np.pi / np.sqrt(3)
    np.testing.assert_allclose(spread, 1 / np.sqrt(1 / variance + 1 / sigma**2), rtol=1e-4)


def test_sums_tell_levels_apart() -> None:
    receiver = tiny()
    x = np.tile(np.arange(256), 9)[: 32 * int(np.prod(SHAPE))]
    x = x[: len(x) // 72 * 72]
    unit = receiver.flow.units[1]
    sums = np.rint(receiver.target(x) * (BETA / unit)).astype(np.int64)
    for away in (-5, 0, 5):  # deviations
        np.testing.assert_array_equal(
            receiver.scale.levels(1, sums + away), x.reshape(-1, 72)[:, receiver.order].reshape(-1)
        )


@ramps
def test_random_bits_decode_to_pictures(betas: tuple[float, ...]) -> None:
    receiver = tiny(betas=betas)
    drawn = draw_items(full_stack(), 2 * len(receiver.order), receiver)
    assert drawn.shape == (2 * len(receiver.order),)
    assert ((drawn >= 0) & (drawn < 256)).all()


@ramps
def test_an_archive_of_pictures(betas: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(betas=betas)
    steps = net.tiled.steps
    config = {
        "name": "tiny",
        "role": "archive",
        "schedule": "wavefront",
        "network": net.tiled.to_dict(),
        "steps": steps,
    }
    codec = ArchiveCodec(ModelInfo(Path("tiny"), config), quantised_tensors(net), CPU)
    data = b"head" + items(30).astype(np.uint8).tobytes()
    monkeypatch.setenv(acceleration.SWITCH, "never")
    payload = codec.encode(data)
    assert sum(codec.groups(payload)) > 3
    monkeypatch.setenv(acceleration.SWITCH, "always")
    assert codec.encode(data) == payload
    assert codec.decode(payload) == data
    assert list(map(len, codec.draw(3, (), np.random.SeedSequence(0)))) == 3 * [int(np.prod(SHAPE))]
    with pytest.raises(ValueError, match=f"grids of {steps} steps"):
        codec.with_steps(32)


@ramps
def test_damage_is_told_or_decodes_to_something(betas: tuple[float, ...]) -> None:
    """Without what a container adds to find out: no other error comes, and no warning."""
    net = network(betas=betas)
    config = {
        "name": "tiny",
        "role": "archive",
        "schedule": "wavefront",
        "network": net.tiled.to_dict(),
        "steps": net.tiled.steps,
    }
    codec = ArchiveCodec(ModelInfo(Path("tiny"), config), quantised_tensors(net), CPU)
    data = items(12).astype(np.uint8).tobytes()
    payload, rng = codec.encode(data), np.random.default_rng(0)
    with warnings.catch_warnings(action="error"):
        for _ in range(25):
            damaged = bytearray(payload)
            damaged[rng.integers(len(payload))] ^= 1 << rng.integers(8)
            decode_damaged(codec, bytes(damaged), len(data))


def test_a_model_of_one_step_may_have_no_ramp_in_its_config() -> None:
    values = network().tiled.to_dict()
    del values["betas"]
    assert WavefrontConfig.from_dict(values) == network().tiled


TRAINING = """
name = "tiny"
role = "archive"
schedule = "wavefront"
[network]
shape = [4, 6, 3]
tile = [2, 3]
betas = {betas}
width = 8
hidden = 8
blocks = 1
mixtures = 2
[[data]]
paths = ["{data}"]
[[validation]]
paths = ["{data}"]
[train]
steps = 40
batch = 14
warmup = 1
rate = 0.01
validate_every = 20
{more}
"""


@pytest.mark.slow
@ramps
def test_a_model_is_trained(betas: tuple[float, ...], tmp_path: Path) -> None:
    pictures = (items(60).reshape(60, *SHAPE) // 8).astype(np.uint8)
    np.save(tmp_path / "pictures.npy", pictures)
    text = TRAINING.format(data=(tmp_path / "pictures.npy").as_posix(), betas=list(betas), more="")
    (tmp_path / "config.toml").write_text(text)
    out = run(tmp_path / "config.toml", tmp_path / "model", say=lambda line: None)
    report = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    assert report[-1]["validation"][0] < report[0]["validation"][0] - 0.1
    assert models.read(out).config["schedule"] == "wavefront"
    codec = bfncodec.load(out)
    assert codec.decode(codec.encode(pictures.tobytes())) == pictures.tobytes()
    played = codec.ideal(codec.values(pictures.reshape(-1)))
    assert played.bits_per_dim == pytest.approx(report[-1]["validation"][0], rel=0.1)


def test_two_steps_begin_with_the_network_of_one() -> None:
    """Both networks with its weights; what a first step says is then of no use to the second, but that of itself."""
    one, two = network(betas=ONE), WavefrontNet(WavefrontConfig(SHAPE, TILE, network().tiled.network, TWO))
    two.load_state_dict(restored_state(two, quantised_tensors(one)))
    begun, known = two.state_dict(), restored_state(one, quantised_tensors(one))
    for name, tensor in known.items():
        np.testing.assert_array_equal(begun[FIRST + name], tensor)
        np.testing.assert_array_equal(begun[name][: len(tensor)], tensor)
    for k in range(3):
        assert not begun[f"heads.{k}.weight"][-3:].any()
    assert not begun["own"].any()


def test_a_training_that_cannot_be(tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", items(6).reshape(6, *SHAPE).astype(np.uint8))
    data = (tmp_path / "pictures.npy").as_posix()
    (tmp_path / "config.toml").write_text(TRAINING.format(data=data, betas=[0.0, 1.0], more=""))
    with pytest.raises(InputError, match="expected betas"):
        run(tmp_path / "config.toml", tmp_path / "model", say=lambda line: None)


@pytest.mark.parametrize(
    ("shape", "tile"),
    [((4, 6, 3), (3, 3)), ((4, 6, 3), (2, 1)), ((4, 6, 1), (2, 3)), ((4, 6), (2, 3)), ((4, 6, 3), (2,))],
)
def test_tiles_that_cannot_be(shape: tuple[int, ...], tile: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected tiles"):
        WavefrontConfig.from_dict(network().tiled.to_dict() | {"shape": list(shape), "tile": list(tile)})


@pytest.mark.parametrize("betas", [(), (0,), (0, 1.0), (1.0, BETA), (0, 0, BETA), (0, BETA, BETA), (0, 1, 2, BETA)])
def test_ramps_that_cannot_be(betas: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected betas"):
        WavefrontConfig.from_dict(network().tiled.to_dict() | {"betas": list(betas)})
