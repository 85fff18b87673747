"""Faster ways to compute a loss are taken only where they agree with the plain one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.training import agreement
from bfncodec.training.agreement import Computation, Way


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "nan", "other", "raises"])
def test_a_faster_way_is_taken_only_if_it_agrees(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here compiling stands for what a compiler may make of a loss; the network is as it was afterwards."""

    def compiled(loss: Any, **options: Any) -> Any:
        if fault == "raises":
            raise RuntimeError("cannot")
        wrong = {"": 1.0, "nan": float("nan"), "other": 1.1}[fault]
        return lambda network, batch: loss(network, batch) * wrong

    monkeypatch.setattr(agreement.torch, "compile", compiled)
    monkeypatch.setattr(ConvNet, "compile_parts", lambda network: False)
    network = ConvNet(ConvNetConfig(width=16, hidden=16, blocks=1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = torch.randint(0, 256, (2, 3, 12, 12), generator=torch.Generator().manual_seed(0)).float()
    said: list[str] = []
    plain = Computation(lambda network, x: network(x).mean(), network, torch.device("cpu"), Way())
    found = agreement.taken(plain, [Way(compiled=True)], [x], said.append)
    assert found.way == Way(compiled=not fault)
    assert len(said) == bool(fault)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_parts_compiled_in_place_serve_only_the_compiled_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced, not fused: a compiler of machine code takes minutes. Blocks that are alike share what was made of one."""
    from torch._dynamo.testing import CompileCounterWithBackend  # which takes a second to import

    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    network = ConvNet(ConvNetConfig(width=8, hidden=16, blocks=3, mixtures=2))
    batch = torch.randint(0, 256, (2, 3, 9, 11), generator=torch.Generator().manual_seed(0)).float()
    plain = Computation(lambda network, x: network(x).mean(), network, torch.device("cpu"), Way())
    with agreement.disturbed(network):
        before = agreement.gradient(plain, batch)
        fast = Computation(plain.loss, network, plain.device, Way(compiled=True))
        found = agreement.gradient(fast, batch)
        compiled = counter.frame_count
        after = agreement.gradient(plain, batch)
    assert compiled == counter.frame_count == 3  # what is before the blocks, one block, what is after them
    assert before[0] == after[0]
    assert torch.equal(before[1], after[1])
    assert found[0] == pytest.approx(before[0], rel=1e-6)
    torch.testing.assert_close(found[1], before[1])
