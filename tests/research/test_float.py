"""The float mode: every kind of data comes back, real bits are the network's L^n, and other machines are refused."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import bfncodec
from bfncodec.errors import DamagedError, FormatError, InputError, ModelNotFoundError, NotOursError, OutputError
from bfncodec.flow import AccuracySchedule, discretised_normal
from bfncodec.flow.gaussian import Normal
from bfncodec.research import Continuous, Data, Discrete, Discretised, FloatCodec
from bfncodec.research import codec as module
from bfncodec.research.data import _binned

SHAPE = (2, 3)
GEOMETRIC, QUADRATIC = AccuracySchedule.geometric(0.1, 5, 1), AccuracySchedule.quadratic(3.0, 5, 1)


class Network(torch.nn.Module):
    """Two layers over theta and t."""

    def __init__(self, data: Data, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.outputs = data.outputs
        size = int(np.prod(SHAPE))
        self.first = torch.nn.Linear(size * data.sums + 1, 16)
        self.second = torch.nn.Linear(16, size * data.outputs)

    def forward(self, theta: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(torch.cat([theta.flatten(1), t[:, None]], 1)))
        return self.second(hidden).reshape(len(theta), *SHAPE, self.outputs)


def integers(count: int, classes: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, classes, (count, *SHAPE))


def numbers(count: int) -> np.ndarray[Any, Any]:
    return np.rint(np.random.default_rng(1).uniform(-1, 1, (count, *SHAPE)) * 32) / 32


CASES: dict[str, tuple[Data, AccuracySchedule, Callable[[int], np.ndarray[Any, Any]]]] = {
    "binary": (Discrete(2), QUADRATIC, lambda n: integers(n, 2)),
    "letters": (Discrete(5), QUADRATIC, lambda n: integers(n, 5)),
    "bins": (Discretised(16), GEOMETRIC, lambda n: integers(n, 16)),
    "levels": (Discretised(64, "moments"), GEOMETRIC, lambda n: integers(n, 64)),
    "numbers": (Continuous(1 / 32), GEOMETRIC, numbers),
}


def made(case: str, count: int) -> tuple[FloatCodec, np.ndarray[Any, Any]]:
    data, schedule, items = CASES[case]
    return FloatCodec(Network(data), data, schedule, SHAPE), items(count)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [0, 1, 9])
def test_items_come_back(case: str, count: int) -> None:
    codec, items = made(case, count)
    back = codec.decompress(codec.compress(items, verify=False))
    assert back.shape == items.shape
    assert np.array_equal(back, items)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_real_bits_are_the_ideal_term_by_term(case: str) -> None:
    codec, items = made(case, 200)
    found = codec.measure(items, draws=8)
    assert found.coded_bits == pytest.approx(found.path_bits, rel=0.003, abs=64)
    assert found.path_bits == pytest.approx(found.ideal.bits, abs=12 * found.ideal.error)
    assert found.steps.sum() == pytest.approx(found.coded_bits)
    np.testing.assert_allclose(found.steps, found.path_steps, rtol=0.02, atol=80)  # posteriors drawn are not densities
    assert len(found.steps) == len(found.ideal.kl) + 1
    assert found.file_bytes == len(codec.compress(items, verify=False))
    assert 8 * found.file_bytes > found.initial_bits + found.coded_bits


def test_a_file_names_its_machine_and_is_refused_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, items = made("binary", 3)
    blob = codec.compress(items)
    assert module.machine()["torch"].encode() in blob
    other = module.machine() | {"processor": "another"}
    monkeypatch.setattr(module, "machine", lambda: other)
    with pytest.raises(FormatError, match="processor another"):
        codec.decompress(blob)


def test_a_file_is_refused_by_other_networks_data_and_schedules() -> None:
    codec, items = made("binary", 3)
    blob = codec.compress(items)
    data = Discrete(2)
    with pytest.raises(ModelNotFoundError, match="expected the network"):
        FloatCodec(Network(data, seed=1), data, QUADRATIC, SHAPE).decompress(blob)
    finer = AccuracySchedule.quadratic(3.0, 6, 1)
    with pytest.raises(FormatError, match="expected the betas"):
        FloatCodec(codec.network, data, finer, SHAPE).decompress(blob)
    with pytest.raises(FormatError, match="expected the threads"):
        FloatCodec(codec.network, data, QUADRATIC, SHAPE, threads=2).decompress(blob)


def test_damage_is_found() -> None:
    codec, items = made("bins", 3)
    blob = codec.compress(items)
    for at in (len(module.MAGIC) + 1, len(blob) // 2, len(blob) - 1):
        changed = bytearray(blob)
        changed[at] ^= 4
        with pytest.raises(DamagedError, match="checksum"):
            codec.decompress(bytes(changed))
    with pytest.raises(DamagedError):
        codec.decompress(blob[:-1])
    with pytest.raises(DamagedError):
        codec.decompress(module.MAGIC)
    with pytest.raises(NotOursError):
        codec.decompress(b"something else")
    with pytest.raises(NotOursError):
        bfncodec.decompress(blob)


def test_a_stack_that_is_too_short_is_damage() -> None:
    codec, items = made("letters", 9)
    blob = codec.compress(items, verify=False)
    at = len(module.MAGIC) + 4
    end = at + int.from_bytes(blob[at - 4 : at], "little")
    head = json.loads(blob[at:end]) | {"groups": [64]}
    text = json.dumps(head).encode()
    body = module.MAGIC + len(text).to_bytes(4, "little") + text + blob[-20:-4]
    with pytest.raises(DamagedError, match="more bits"):
        codec.decompress(body + zlib.crc32(body).to_bytes(4, "little"))


def test_a_chain_that_needs_more_bits_begins_with_more(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, items = made("bins", 5)
    plain = codec.measure(items, draws=2)
    needed = codec._borrowed
    monkeypatch.setattr(codec, "_borrowed", lambda count: needed(count) / 5)
    assert np.array_equal(codec.decompress(codec.compress(items)), items)
    found = codec.measure(items, draws=2)
    assert found.coded_bits == pytest.approx(plain.coded_bits, rel=0.2)  # other bits, other noise
    assert found.steps.sum() == pytest.approx(found.coded_bits, abs=1e-6)


def test_data_that_no_bits_are_enough_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, items = made("binary", 2)

    def empty(*given: Any) -> None:
        raise module.EmptyStackError("expected more bits")

    monkeypatch.setattr(module, "push_items", empty)
    with pytest.raises(InputError, match="no bits are enough"):
        codec.compress(items)


def test_a_network_that_draws_random_numbers_is_found_out() -> None:
    data = Discrete(2)

    def restless(theta: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.randn(len(theta), *SHAPE, 2)

    with pytest.raises(OutputError, match="compute the same twice"):
        FloatCodec(restless, data, QUADRATIC, SHAPE).compress(integers(9, 2))


@pytest.mark.parametrize("wrong", [lambda theta, t: theta[..., :1], lambda theta, t: theta * float("nan")])
def test_a_network_that_returns_something_else_is_an_error(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"from the network, found"):
        FloatCodec(wrong, Discrete(2), QUADRATIC, SHAPE).compress(integers(2, 2))


@pytest.mark.parametrize(
    ("case", "items"),
    [
        ("binary", integers(3, 3)),
        ("bins", integers(3, 16) - 1),
        ("bins", integers(3, 16) / 16),
        ("numbers", numbers(3) + 0.001),
        ("numbers", numbers(3) + 2),
        ("numbers", np.full((1, *SHAPE), np.nan)),
        ("binary", np.zeros((3, 7), int)),
    ],
)
def test_what_is_no_item_is_an_error(case: str, items: Any) -> None:
    codec, _ = made(case, 0)
    with pytest.raises(InputError, match="expected"):
        codec.compress(items)


def test_arguments_that_cannot_be() -> None:
    codec, _ = made("binary", 0)
    for call in (
        lambda: codec.decompress(None),  # type: ignore[arg-type]
        lambda: codec.measure(integers(3, 2), draws=0),
        lambda: Discrete(1),
        lambda: Discretised(1),
        lambda: Discretised(16, "other"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match="expected"):
            call()


def test_bins_are_those_of_the_flow() -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.uniform(-1.5, 1.5, 50), rng.uniform(0.02, 1.0, 50)
    flow = discretised_normal(mean, std, 16).log2_p
    here = _binned(Normal(mean, std**2), 16)
    near = flow > -900  # further out than floats reach all bins are alike here
    np.testing.assert_allclose(here[near], flow[near], rtol=1e-6, atol=1e-9)
    assert np.isfinite(here).all()


def test_a_module_is_left_as_it_was() -> None:
    codec, items = made("binary", 2)
    assert isinstance(codec.network, torch.nn.Module)
    codec.network.train()
    threads = torch.get_num_threads()
    codec.compress(items)
    assert codec.network.training
    assert torch.get_num_threads() == threads
