"""Muon against what it is about: singular vectors, and torch's own where there is one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bfncodec.training.muon import Muon, orthogonalised

halves = pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])


@halves
@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5), (1, 7)])
def test_orthogonalised_keeps_singular_vectors_and_evens_singular_values(half: bool, shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.t() @ orthogonalised(matrix, half) @ v.t()
    lengths = found.diagonal()
    assert (lengths > 0.6).all()
    assert (lengths < 1.3).all()
    assert (found - torch.diag(lengths)).abs().max() < (0.05 if half else 1e-4)


@pytest.mark.slow
@halves
def test_muon_steps_matrices_of_one_shape_together_as_alone(half: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(9, 6), (4, 6), (9, 6), (9, 6)]
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    together, alone = ([nn.Parameter(weight.clone()) for weight in weights] for _ in range(2))
    steps = [Muon(together, 0.1, half), *(Muon([matrix], 0.1, half) for matrix in alone)]
    for _ in range(3):
        for a, b in zip(together, alone, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        together[1].grad = alone[1].grad = None  # a matrix that no loss has reached stays
        for optimiser in steps:
            optimiser.step()
    assert torch.equal(together[1], weights[1])
    for a, b, weight in zip(together, alone, weights, strict=True):
        assert (a - b).abs().max() < (0.02 if half else 1e-5)
        assert b is alone[1] or (b - weight).abs().max() > 0.1


@halves
def test_muon_steps_as_torchs_muon_does(half: bool) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    matrices = [nn.Parameter(torch.randn(9, 6, generator=torch.Generator().manual_seed(1))) for _ in range(2)]
    steps = [Muon(matrices[:1], 0.1, half), torch.optim.Muon(matrices[1:], lr=0.1, weight_decay=0.0)]
    for seed in range(4):
        gradient = torch.randn(9, 6, generator=torch.Generator().manual_seed(seed))
        for matrix, optimiser in zip(matrices, steps, strict=True):
            matrix.grad = gradient.clone()
            optimiser.step()
    assert (matrices[0] - matrices[1]).abs().max() < 0.02
