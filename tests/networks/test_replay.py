"""Ways that networks go on a GPU alone, gone by the CPU: the integers are those of the plain way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bfncodec
from bfncodec.codecs import grouping, streams
from bfncodec.coding.cdf import softmax_intervals
from bfncodec.networks import acceleration, replay
from bfncodec.networks.convnet.devicemixture import DeviceMixture, DeviceTables
from bfncodec.networks.convnet.mixture import mixture
from bfncodec.networks.convnet.replayed import ReplayedBytes, ReplayedConvNet
from bfncodec.networks.transformer.exact import REPLAYED
from bfncodec.networks.transformer.frequencies import symbol_intervals
from support.cases import CASES
from support.doubles import noise
from support.exactness import Elsewhere, Guard
from support.pairs import CPU, symbols, text_pair, text_weights

pytestmark = pytest.mark.slow  # networks at work

LENGTH = REPLAYED + 9


def as_on_a_gpu(folder: Path) -> Any:
    """A codec that goes the ways of a GPU, on the CPU."""
    codec = bfncodec.load(folder, threads=2)
    network, implementations = codec.network.exact, codec.network
    if codec.info.role == "text":
        network.record = plain
    else:
        network.there = 1
        implementations._exact = ReplayedConvNet(network, plain)
    codec.device = implementations.device = "cuda"
    return codec.with_sizes(streams.ON_A_GPU if codec.info.role == "text" else grouping.ON_A_GPU)


def plain(step: replay.Step) -> replay.Step:
    """A recorder that calls a step as often as one does that records."""
    for _ in range(3):
        step()
    return step


# --- steps that are replayed -------------------------------------------------------------------


@pytest.mark.parametrize("teeth", [1, 3])
def test_steps_that_are_replayed_predict_the_same(teeth: int) -> None:
    _, network = text_pair()
    x, steps = symbols(1, 2, teeth * LENGTH), []
    expected = text_weights(network, x, teeth, 1)

    def record(step: replay.Step) -> replay.Step:
        steps.append(step)
        return plain(step)

    network.record = record
    assert torch.equal(text_weights(network, x, teeth, 1), expected)
    assert len(steps) == 1  # recorded once for all steps
    text_weights(network, x, teeth, 7)  # an encoder's calls are of many steps
    text_weights(network, x[:, : teeth * (REPLAYED - 1)], teeth, 1)  # too few to pay
    assert len(steps) == 1


@pytest.mark.parametrize(("replayed", "used"), [(1, "replay"), (2, "step"), (None, "step")])
def test_a_graph_that_computes_something_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch, replayed: int | None, used: str
) -> None:
    def captured(step: replay.Step) -> tuple[replay.Step, Tensor]:
        if replayed is None:
            raise RuntimeError("operation not permitted when stream is capturing")
        return (lambda: torch.tensor([replayed])), step()

    def step() -> Tensor:
        return torch.tensor([1])

    monkeypatch.setattr(replay, "_captured", captured)
    assert (replay.recorded(step) is step) == (used == "step")


# --- intervals and distributions ---------------------------------------------------------------


def test_intervals_of_symbols_are_those_of_the_coder() -> None:
    weights = (noise(0, 60, 256).astype(np.int32) << (np.arange(60) % 12)[:, None]) * (noise(1, 60, 256) % 3 > 0)
    weights[0], weights[1, :250], weights[2] = 7, 0, 1 << 20  # alike, few, large
    known = noise(2, 60).astype(np.int64)
    known[:3] = 0, 255, 255
    with Guard() as guard:
        below, frequency = symbol_intervals(torch.from_numpy(weights), torch.from_numpy(known)).numpy()
    guard.check()
    expected = softmax_intervals(weights, known)
    np.testing.assert_array_equal(below, expected.below)
    np.testing.assert_array_equal(frequency, expected.frequency)


def test_a_state_tells_intervals_of_what_it_predicts() -> None:
    _, network = text_pair()
    x = symbols(1, 2, 21).view(2, 3, 7).to(torch.uint8).numpy()
    state, other = (network.start(2, 3, 7, 4) for _ in range(2))
    state.reveal(0, x)
    other.reveal(0, x)
    for first, last in ((0, 4), (4, 7)):
        expected = softmax_intervals(
            state.predict(first, last).reshape(-1, 256), x[:, :, first:last].swapaxes(1, 2).ravel().astype(np.int64)
        )
        found = other.intervals(first, last)
        np.testing.assert_array_equal(found.reshape(2, -1), [expected.below, expected.frequency])


def test_replayed_lines_tell_the_intervals_of_their_frequencies() -> None:
    out, base = np.random.RandomState(0).randn(9, 300).astype(np.float32) * 8, noise(3, 300).astype(np.float32)
    value, expected = noise(4, 300).astype(np.int32), mixture(out, base, [], 3)
    value[:2] = 0, 255
    lines: Any = SimpleNamespace(high=lambda k, count: expected.high(), low=expected.low)
    for found, wanted in zip(ReplayedBytes(lines, 0, 300).intervals(value), expected.intervals(value), strict=True):
        np.testing.assert_array_equal(found.below, wanted.below)
        np.testing.assert_array_equal(found.frequency, wanted.frequency)
        np.testing.assert_array_equal(found.symbol, wanted.symbol)


@pytest.mark.parametrize(("mixtures", "slopes", "scale"), [(3, 0, 1), (4, 2, 8), (5, 5, 60)])
def test_mixtures_are_the_same_on_a_device(mixtures: int, slopes: int, scale: float) -> None:
    random, count = np.random.RandomState(mixtures), 300
    out = (random.randn(3 * mixtures + slopes, count) * scale).astype(np.float32)
    base, *errors = noise(3, 1 + slopes, count).astype(np.float32)
    value = noise(4, count).astype(np.int32)
    value[:2] = 0, 255
    expected = mixture(out, base, errors, mixtures)
    with Guard() as guard:
        tensors = [torch.from_numpy(x) for x in (out, base, *errors)]
        found = DeviceMixture.of(tensors[0], tensors[1], tensors[2:], mixtures, DeviceTables.on(CPU))
        intervals = found.intervals(value)
        high, low = found.high(), found.low(value >> 4)
    guard.check()
    for own, other in zip(intervals, expected.intervals(value), strict=True):
        for part in ("below", "frequency", "symbol"):
            np.testing.assert_array_equal(getattr(own, part), getattr(other, part))
    np.testing.assert_array_equal(high, expected.high())
    np.testing.assert_array_equal(low, expected.low(value >> 4))
    for own, other in zip(found.components(), expected.components(), strict=True):
        np.testing.assert_array_equal(own, other)
    np.testing.assert_array_equal(found.below(value[:, None]), expected.below(value[:, None]))


# --- codecs ------------------------------------------------------------------------------------


def items(name: str) -> Sequence[Any]:
    """Items of several sizes, some of them mixed with context models."""
    if name == "picture":
        return [noise(k, 9 + k, 14, 3) for k in range(3)]
    return [noise(k, size).tobytes() for k, size in enumerate((70, 45, 1, 200, 44, 100))]


@pytest.mark.parametrize("machine", [nullcontext(), Guard(), Elsewhere(1 << 14)], ids=["here", "guarded", "elsewhere"])
@pytest.mark.parametrize("name", ["picture", "text of 100", "mixed text"])
def test_codecs_write_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, machine: AbstractContextManager[Any]
) -> None:
    monkeypatch.setenv(acceleration.SWITCH, "never")
    folder, xs = Path(CASES[name].make(tmp_path)), items(name)
    payloads = bfncodec.load(folder, threads=1).encode_batch(xs)
    with machine:
        codec = as_on_a_gpu(folder)
        assert codec.encode_batch(xs) == payloads
        for found, x in zip(codec.decode_batch(payloads), xs, strict=True):
            np.testing.assert_array_equal(found, x)
    if isinstance(machine, Guard):
        machine.check()


# --- CUDA --------------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize("teeth", [1, 3])
def test_graphs_predict_what_the_cpu_does(teeth: int) -> None:
    x = symbols(1, 2, teeth * LENGTH)
    _, here = text_pair()
    _, there = text_pair(device=torch.device("cuda"))
    assert torch.equal(text_weights(there, x, teeth, 1), text_weights(here, x, teeth, 1))
