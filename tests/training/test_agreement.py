"""Faster ways to compute a loss are taken only where they agree with the plain one."""

from __future__ import annotations

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
