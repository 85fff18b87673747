"""Exact networks ask torch for nothing that machines do differently, and do not mind a machine that does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bfncodec
from benchmarks.samples import coded, names
from bfncodec.networks import acceleration
from bfncodec.runtime.isolation import undisturbed
from support import exactness
from support.cases import ARCHIVES, CASES
from support.exactness import Elsewhere, Guard, no_inexact_numpy
from support.places import ROOT

pytestmark = pytest.mark.slow  # models at work: together they take minutes

DOCS = ROOT / "docs" / "exactness.md"


@pytest.fixture(autouse=True)
def torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without compiled kernels, which the guard cannot see."""
    monkeypatch.setenv(acceleration.SWITCH, "never")


# --- every kind of codec, with random weights --------------------------------------------------


cases = pytest.mark.parametrize("name", list(CASES))
times = pytest.mark.parametrize("times", [1, 1 << 14], ids=["as it is", "exaggerated"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a case's model."""

    @cache
    def made(name: str) -> Path:
        return Path(CASES[name].make(tmp_path_factory.mktemp("model")))

    return made


@cases
def test_networks_ask_for_exact_operators_only(model: Callable[[str], Path], name: str) -> None:
    folder, x = model(name), CASES[name].data
    with Guard() as guard, no_inexact_numpy():
        codec = bfncodec.load(folder, threads=1)
        payload = codec.encode(x)
        found = codec.decode(payload)
    guard.check()
    assert CASES[name].operators <= guard.seen  # it saw the network
    np.testing.assert_array_equal(found, x)
    if name in ARCHIVES:
        assert codec.groups(payload)


@times
@cases
def test_payloads_are_the_same_elsewhere(model: Callable[[str], Path], name: str, times: float) -> None:
    folder, x = model(name), CASES[name].data
    here = bfncodec.load(folder, threads=1)
    payload = here.encode(x)
    with Elsewhere(times):
        there = bfncodec.load(folder, threads=1)
        assert there.encode(x) == payload
        np.testing.assert_array_equal(there.decode(payload), x)


# --- the models that ship ----------------------------------------------------------------------


LONG = ("cifar10-gaussian", "cifar10-two-steps")  # a minute each; others that ship are of their kinds
models_that_ship = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in names()]
)


@pytest.mark.slow
@models_that_ship
def test_models_that_ship_are_exact(name: str) -> None:
    here = coded(bfncodec.load(name, threads=1), letters=40)
    with Elsewhere(1 << 14), Guard() as guard, no_inexact_numpy():
        there = coded(bfncodec.load(name, threads=1), letters=40)
    guard.check()
    assert {"mul", "round", "amax"} <= guard.seen
    assert there == here


# --- the guard and the other machine themselves ------------------------------------------------

X = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 30)).astype(np.float32))
BAD: dict[str, Callable[[], Any]] = {
    "division by the number 127": lambda: X / 127,
    "division by the number 254": lambda: X.div(torch.tensor(254.0)),
    "division by the number 384": lambda: X.clone().div_(384),
    "which torch.float32 does not hold": lambda: X * 0.1,
    "alpha=0.5, which is fused": lambda: X.add(X, alpha=0.5),
    "addcmul.default: not on the list": lambda: torch.addcmul(X, X, X),
    "lerp.Scalar: not on the list": lambda: X.lerp(X, 0.25),
    "exp.default: not on the list": lambda: X.exp(),
    "_softmax.default: not on the list": lambda: X.softmax(-1),
    "rsqrt.default: not on the list": lambda: X.abs().rsqrt(),
    "mean.dim: not on the list": lambda: X.mean(-1),
    "cumsum.default: floats": lambda: X.cumsum(-1),
    "a square root of torch.float32": lambda: X.abs().sqrt(),
    "a sum of floats that are no integers": lambda: X.sum(-1),
    "beyond the integers of torch.float32": lambda: (X * 2.0**24).round().sum(-1),
    "a product of floats outside `undisturbed`": lambda: X @ X.t(),
    "tensors of {'torch.bfloat16'}": lambda: X.bfloat16(),
    "tensors of {'torch.float16'}": lambda: X.half() + 1,
    "floats beyond torch.int8": lambda: (X * 1000.0).to(torch.int8),
    "a place written twice": lambda: X.clone().index_copy_(0, torch.zeros(2, dtype=torch.int64), X[:2]),
    "sums in place": lambda: X.clone().index_put_((torch.zeros(2, dtype=torch.int64),), X[:2], accumulate=True),
    "index_add.default: not on the list": lambda: X.index_add(0, torch.tensor([0]), X[:1]),
    "sums of products": lambda: undisturbed(lambda: X @ X.t())(),
}


@pytest.mark.parametrize("fault", list(BAD))
def test_the_guard_finds(fault: str) -> None:
    """Also the three that were in the code when no text decoded on CUDA: division by 127, 254 and a row's width."""
    with Guard(inside=Path(__file__)) as guard:
        BAD[fault]()
    (where,) = list(guard.faults)[:1]
    assert where.startswith(f"{__file__}:")
    assert "lambda: " in where
    wanted = "a sum of floats" if fault == "sums of products" else fault
    assert any(wanted in found for found in guard.faults.values()), guard.faults
    with pytest.raises(AssertionError):
        guard.check()


@pytest.mark.parametrize(
    "compute",
    [
        lambda: X / 127,
        lambda: X / torch.tensor(254.0),
        lambda: X.clone().div_(384),
        lambda: X.sum(-1),
        lambda: X @ X.t(),
        lambda: X.abs().sqrt(),
        lambda: X.exp(),
        lambda: X.softmax(-1),
        lambda: X * 0.1,
        lambda: torch.addcmul(X, X, X),
        lambda: X.add(X[:1], alpha=0.3),
        lambda: (X * 1e10).to(torch.int32),
        lambda: torch.zeros(3, 3).max(-1).indices,
        lambda: X.sum(),
    ],
)
def test_elsewhere_is_another_machine(compute: Callable[[], torch.Tensor]) -> None:
    here = compute()
    with Elsewhere():
        there = compute()
    assert here.dtype == there.dtype
    assert here.shape == there.shape
    assert not torch.equal(here, there)
    if here.is_floating_point():
        torch.testing.assert_close(here, there)


@pytest.mark.parametrize(
    "compute",
    [
        lambda: X / 128,
        lambda: X / torch.full((1,), 127.0),
        lambda: 127 / X,
        lambda: X.abs().double().sqrt().float(),
        lambda: (X * 16).round().sum(-1),
        lambda: (X * 16).round() @ (X * 16).round().t(),
        lambda: X.amax(-1),
        lambda: X * 0.5 + 3,
    ],
)
def test_elsewhere_is_no_worse_than_a_machine(compute: Callable[[], torch.Tensor]) -> None:
    here = compute()
    with Elsewhere():
        assert torch.equal(compute(), here)


def test_the_list_in_the_documentation_is_the_one_that_is_checked() -> None:
    assert exactness.table() in DOCS.read_text(encoding="utf-8")
