"""Symbols that are sent one after the other: the schedule, the network that reads what is known, its integer twin."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import bfncodec
from bfncodec import models
from bfncodec.coding.bitsback import LatticeFlow
from bfncodec.errors import InputError
from bfncodec.flow import AccuracySchedule, Comb, Staggered
from bfncodec.networks.parallel.model import STATE_UNITS
from bfncodec.networks.sequence.exact import stored_shapes, symbols_of_step
from bfncodec.networks.sequence.model import SequenceConfig, SequenceDenoiser, known_symbols, near_features
from bfncodec.networks.stored import check_shapes
from bfncodec.training.export import quantised_tensors, restored_state
from bfncodec.training.loop import run
from bfncodec.training.tasks import sequence
from support.tiny import CONFIGS, CPU, archive_codec, denoiser, exact, export_archive, tiny_receiver, values

CONFIG: SequenceConfig = CONFIGS["staggered"]
STEPS = range(CONFIG.schedule.n_steps)
ramps = st.builds(
    Staggered,
    length=st.integers(0, 40),
    period=st.integers(1, 12),
    betas=st.lists(st.floats(0.01, 9), min_size=1, max_size=6).map(lambda a: (0.0, *np.cumsum(a).tolist())),
)


def sums(i: int, items: int = 6, seed: int = 0) -> Tensor:
    """Sums of samples before step i, float32 [items, L, K]."""
    rng = np.random.default_rng(seed)
    K, beta = CONFIG.classes, CONFIG.schedule.beta(i)[:, None]
    x = np.eye(K)[rng.integers(0, K, (items, *CONFIG.shape))] * K - 1
    return torch.from_numpy((beta * x + np.sqrt(beta * K) * rng.standard_normal(x.shape)).astype(np.float32))


# --- the schedule --------------------------------------------------------------------------------


@given(ramps)
def test_every_symbol_goes_up_its_ramp_once(schedule: Staggered) -> None:
    steps = np.array([schedule.accuracy(i) for i in range(schedule.n_steps)])
    for p in range(schedule.length):
        begins = p % schedule.period
        assert not steps[:begins, p].any()
        own = steps[begins : begins + len(schedule.betas) - 1, p]
        np.testing.assert_allclose(own.cumsum(), schedule.betas[1:])
        assert not steps[begins + len(own) :, p].any()
    for i in range(schedule.n_steps):
        np.testing.assert_array_equal(np.flatnonzero(steps[i]), schedule.active(i))
        np.testing.assert_allclose(steps[:i].sum(0), schedule.beta(i))


@given(ramps, st.integers(1, 3))
def test_games_move_what_their_schedule_sends(schedule: Staggered, items: int) -> None:
    flow = LatticeFlow(schedule, channels=2)
    assert flow.n_steps == schedule.n_steps
    if not schedule.length:
        return
    symbols = np.arange(items * schedule.length).repeat(2)
    for i in range(flow.n_steps):
        for part in schedule.groups(i):
            moved = flow.of(part, symbols)[..., 0] % schedule.length
            assert (schedule.phase(i)[moved] == part.phase).all()
        moved = np.concatenate(
            [flow.of(part, symbols).reshape(-1) for part in schedule.groups(i)] or [np.empty(0, int)]
        )
        assert sorted(moved % schedule.length) == sorted(np.tile(schedule.active(i), 2 * items))


def test_ramps_span_combs_and_the_papers_schedules() -> None:
    comb, steep = Comb(10, 3), Staggered(10, 4, (0.0, 1.0))
    assert [steep.active(i).tolist() for i in range(4)] == [comb.revealed(i).tolist() for i in range(4)]
    paper, flat = (
        AccuracySchedule.quadratic(3.0, 5, dims=10),
        Staggered(10, 1, AccuracySchedule.quadratic(3.0, 5, 1).betas),
    )
    for i in range(6):
        np.testing.assert_array_equal(flat.beta(i), paper.beta(i))


@pytest.mark.parametrize("given", [(-1, 4, (0.0, 1.0)), (4, 0, (0.0, 1.0)), (4, 4, (0.0,)), (4, 4, (0.0, 2.0, 1.0))])
def test_what_is_no_ramp_is_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Staggered(*given)


# --- the network ---------------------------------------------------------------------------------


def test_two_steps_begin_with_the_network_of_one() -> None:
    """Which knows a symbol's neighbours as well, and nothing of what is half sent."""
    one = SequenceDenoiser(dataclasses.replace(CONFIG, betas=(0.0, 3.0), period=8))
    two = SequenceDenoiser(dataclasses.replace(CONFIG, betas=(0.0, 1.0, 3.0), period=7))
    for network in (one, two):
        for tensor in network.parameters():
            nn.init.normal_(tensor)
    two.load_state_dict(restored_state(two, quantised_tensors(one)))
    begun, known = two.state_dict(), restored_state(one, quantised_tensors(one))
    for name in set(known) - {"place", "phase", "near.weight"}:
        np.testing.assert_array_equal(begun[name], known[name])
    np.testing.assert_array_equal(begun["place"], known["place"][:7])
    np.testing.assert_array_equal(begun["phase"], known["phase"].expand(2, -1))
    assert not begun["near.weight"].any()


def dequantised() -> SequenceDenoiser:
    """The float network with the weights that are stored."""
    network = SequenceDenoiser(CONFIG)
    network.load_state_dict(restored_state(network, quantised_tensors(denoiser("staggered"))))
    return network


def test_weights_come_back_from_what_is_stored() -> None:
    """Within half a step of 8 bits, of the row's or the table's column's."""
    network, found = denoiser("staggered"), dequantised().state_dict()
    for name, tensor in network.state_dict().items():
        by = 0 if name.startswith(SequenceDenoiser.export_as.by_column) else -1
        step = tensor.abs().amax(by, keepdim=True) / 127
        assert ((found[name] - tensor).abs() <= 0.501 * step).all()


@pytest.mark.parametrize("i", STEPS)
def test_the_exact_network_is_the_trained_one(i: int) -> None:
    """Within what rounding activations to 8 bits may do."""
    s, network = sums(i, 12), exact("staggered")
    beta = torch.from_numpy(CONFIG.schedule.beta(i)).float()[None, :, None]
    unit = (STATE_UNITS * (1 + beta * CONFIG.classes).rsqrt()).expand(12, -1, -1)
    with torch.no_grad():
        expected = dequantised()(torch.softmax(s, -1), s, unit, symbols_of_step(CONFIG, 12, i, CPU))
    found = network(s, i)
    assert found.dtype == torch.float32
    assert found.shape == expected.shape == (12 * len(CONFIG.schedule.active(i)), CONFIG.classes)
    error = (found - expected).abs()
    assert expected.std() > 0.1  # or there would be nothing to compare
    assert error.square().mean().sqrt() < 0.02 * expected.std()


@pytest.mark.parametrize("i", STEPS)
def test_items_do_not_see_each_other(i: int) -> None:
    s, network = sums(i), exact("staggered")
    together = network(s, i)
    schedule, phase = CONFIG.schedule, CONFIG.schedule.phase(i)
    counts = [int((phase[schedule.active(i)] == own).sum()) for own in range(CONFIG.phases)]
    parts = [part.reshape(len(s), -1, CONFIG.classes) for part in together.split([len(s) * c for c in counts])]
    for item in range(len(s)):
        alone = network(s[item : item + 1], i)
        assert torch.equal(alone, torch.cat([part[item] for part in parts]))


def test_known_symbols_are_those_theta_is_sure_of() -> None:
    theta = torch.full((1, *CONFIG.shape, CONFIG.classes), 0.01)
    theta[0, 0, 5], theta[0, 1, 7], theta[0, 2, [3, 4]] = 0.74, 0.49, 0.5
    known, outside = known_symbols(theta, CONFIG)[0].tolist(), CONFIG.unknown + 1
    inside = known[CONFIG.margin : -CONFIG.margin]
    assert inside == [5, *[CONFIG.unknown] * 7]
    assert known[: CONFIG.margin] == known[-CONFIG.margin :] == [outside] * CONFIG.margin


def test_features_of_what_is_outside_are_zeros() -> None:
    i = 3
    asked = symbols_of_step(CONFIG, 2, i, CPU)
    s = sums(i, 2)
    found = near_features(torch.softmax(s, -1), s, torch.ones(2, 8, 1), asked, CONFIG).view(len(asked.item), 5, -1)
    for row, item, position in zip(found, asked.item.tolist(), asked.position.tolist(), strict=True):
        for offset, features in zip(CONFIG.near, row, strict=True):
            if 0 <= position + offset < CONFIG.shape[0]:
                own = s[item, position + offset].round().clamp(-127, 127)
                assert torch.equal(features[CONFIG.classes :], own)
            else:
                assert not features.any()


def test_configurations_come_back_from_json() -> None:
    assert SequenceConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG


def test_stored_tensors_are_of_the_shapes_that_are_expected() -> None:
    tensors = quantised_tensors(denoiser("staggered"))
    check_shapes(tensors, stored_shapes(CONFIG))
    assert sorted(tensors) == sorted(stored_shapes(CONFIG))


# --- the codec and training ----------------------------------------------------------------------


def test_other_numbers_of_steps_are_refused(tmp_path: Path) -> None:
    codec = archive_codec(export_archive(tmp_path / "tiny", "staggered"), "staggered")
    assert codec.with_steps(CONFIG.schedule.n_steps).receiver.flow == codec.receiver.flow
    with pytest.raises(ValueError, match="found 99"):
        codec.with_steps(99)


@pytest.mark.slow
def test_the_loss_is_the_games() -> None:
    """Averaged over steps and noise: what is trained is what is played, within 4 standard errors."""
    network, receiver = denoiser("staggered"), tiny_receiver("staggered")
    x, rng = values("staggered", 60, 1), np.random.default_rng(0)
    items = torch.from_numpy(x.reshape(60, -1))
    time = torch.from_numpy(((np.arange(60) + 0.5) / 60).astype(np.float32))
    trained, played = [], []
    for _ in range(30):
        order = torch.from_numpy(rng.permutation(60))
        noise = [torch.from_numpy(rng.standard_normal((60, *CONFIG.shape, 27), dtype=np.float32)) for _ in range(2)]
        with torch.no_grad():
            trained.append(float(sequence.loss(network, (items[order], time, *noise), CONFIG)))
        played.append(receiver.play(x, rng).bits_per_dim)
    error = math.sqrt((np.var(trained, ddof=1) + np.var(played, ddof=1)) / 30)
    assert error < 0.02 * np.mean(played)
    assert abs(np.mean(trained) - np.mean(played)) < 4 * error


TRAINING = """
name = "tiny"
role = "archive"
schedule = "staggered"
[network]
kind = "discrete"
shape = [24]
betas = [0, 0.4, 2.5]
period = 6
before = 4
after = 3
ngrams = [[2, 0, 6]]
ngram_width = 4
width = 16
hidden = 32
blocks = 1
[[data]]
paths = ["{data}"]
[[validation]]
paths = ["{data}"]
[train]
steps = 60
batch = 14
warmup = 1
rate = 0.02
validate_every = 20
"""


@pytest.mark.slow
def test_a_model_is_trained(tmp_path: Path) -> None:
    text = b"an old man sat on a red mat and ate an apple " * 60
    (tmp_path / "text.txt").write_bytes(text)
    (tmp_path / "config.toml").write_text(TRAINING.format(data=(tmp_path / "text.txt").as_posix()))
    out = run(tmp_path / "config.toml", tmp_path / "model", say=lambda line: None)
    report = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    assert report[-1]["validation"][0] < report[0]["validation"][0] - 0.5
    assert models.read(out).config["schedule"] == "staggered"
    codec = bfncodec.load(out)
    assert codec.decode(codec.encode(text)) == text
    played = codec.ideal(codec.values(np.frombuffer(text, np.uint8)[: 24 * 100]))
    assert played.bits_per_dim == pytest.approx(report[-1]["validation"][0], rel=0.2)


@pytest.mark.parametrize(
    ("key", "value"), [("betas", (0.0, 2.0, 1.0)), ("period", 0), ("kind", "binary"), ("shape", (4, 4, 1))]
)
def test_configurations_that_are_none_are_named(key: str, value: Any) -> None:
    with pytest.raises(InputError, match="training configuration"):
        sequence.check(dataclasses.replace(CONFIG, **{key: value}))
