"""A captured step is taken only if it leads where the plain one does; here a plain callable stands for a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from bfncodec.training.capture import Step, copied, replay_of, tensors_of
from bfncodec.training.muon import Muon


class Training:
    """A tiny training: one matrix by Muon, one by AdamW, whose rates are tensors."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1))
        first, *rest = self.network.parameters()
        rate = torch.tensor(0.01)
        self.optimisers = [Muon([first], lr=rate), torch.optim.AdamW(rest, lr=rate, fused=True)]  # type: ignore[arg-type]

    def step(self, batches: Sequence[Tensor]) -> Tensor:
        for o in self.optimisers:
            o.zero_grad(set_to_none=True)
        loss = sum(self.network(x).square().mean() for x in batches)
        assert isinstance(loss, Tensor)
        loss.backward()  # type: ignore[no-untyped-call]
        for o in self.optimisers:
            o.step()
        return loss.detach()

    def changed(self) -> list[Tensor]:
        memory = [t for o in self.optimisers for state in o.state.values() for t in state.values()]
        return [*self.network.parameters(), *(t for t in memory if isinstance(t, Tensor))]


def batches(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 5, generator=generator) for size in (4, 7)]


def trained_once() -> Training:
    training = Training()
    training.step(batches(1))
    return training


def honest(step: Step[Tensor], batches: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    return step


def stuck(step: Step[Tensor], batches: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    """Train on other data than it is given."""
    kept = [torch.randn_like(x) for x in batches]
    return lambda batches: step(kept)


def elsewhere(step: Step[Tensor], batches: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return the right loss, but train another network."""
    return trained_once().step


def unable(step: Step[Tensor], batches: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    raise RuntimeError("operation not permitted when stream is capturing\nsecond line")


@pytest.mark.slow
@pytest.mark.parametrize("capture", [honest, stuck, elsewhere, unable])
def test_one_step_is_trained_whatever_becomes_of_the_capture(capture: Callable[..., Callable[..., Tensor]]) -> None:
    plain, other = trained_once(), trained_once()
    wanted = plain.step(batches(2))
    said: list[str] = []
    loss, replay = replay_of(other.step, batches(2), other.changed(), said.append, capture)  # type: ignore[arg-type]
    assert torch.equal(loss, wanted)
    for found, expected in zip(other.changed(), plain.changed(), strict=True):
        assert torch.equal(found, expected)
    assert (replay is not None) == (not said) == (capture is honest)
    assert all("training step by step" in line and "second line" not in line for line in said)


def test_copied_batches_share_no_memory() -> None:
    x = torch.arange(6.0)
    whole, count = copied((x, 3))
    assert isinstance(whole, Tensor)
    assert whole.data_ptr() != x.data_ptr()
    assert torch.equal(whole, x)
    assert count == 3
    assert [len(t) for t in tensors_of((x, 3))] == [6]
    assert [len(t) for t in tensors_of(copied(x))] == [6]
