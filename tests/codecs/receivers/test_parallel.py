"""Discretised data of any number of levels, 2 to 256: the loss that is trained, L^n, and the coder."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import bfncodec
from bfncodec.codecs.receivers.discretised import DiscretisedReceiver
from bfncodec.errors import InputError, ModelError
from bfncodec.flow.gaussian import bin_centres
from bfncodec.models import STATED
from bfncodec.networks.convnet.mixture import WEIGHT_TOTAL
from bfncodec.networks.parallel.model import Denoiser, DenoiserConfig
from bfncodec.networks.wavefront.model import WavefrontConfig
from bfncodec.training.gaussian import TERMS, level_end
from bfncodec.training.items import ItemSampler, ItemSource, load_arrays
from bfncodec.training.tasks import parallel
from bfncodec.training.tasks.parallel import network_of
from support.tiny import CONFIGS, FEW, archive_codec, export_archive, tiny_receiver


def some_levels(kind: str, items: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, CONFIGS[kind].classes, items * 48)


@pytest.mark.parametrize("classes", [2, 3, 16, 255, 256])
@pytest.mark.parametrize("spread", [0.01, 0.3, 4.0])
def test_the_trained_p_o_sums_to_one(classes: int, spread: float) -> None:
    """Logistic mixtures that lie inside, at an edge, and outside of the data's range."""
    mean = torch.tensor([[0.0, 0.4], [-1.0, -0.9], [0.9, 1.5], [-3.0, 5.0]])
    p = (torch.log(torch.tensor([[0.3, 0.7]])).expand(4, 2), mean, torch.full((4, 2), math.log2(spread)))
    x = torch.from_numpy(bin_centres(classes)).float()
    total = sum(torch.exp(-level_end(v.expand(4), p, classes)) for v in x)
    np.testing.assert_allclose(total, 1 + classes * 2.0**-24, atol=1e-4)


@pytest.mark.parametrize("kind", FEW)
def test_the_coded_p_o_sums_to_one(kind: str) -> None:
    receiver = tiny_receiver(kind)
    last = np.random.default_rng(1).integers(-2000, 2000, 96)
    p_O = receiver.reconstruction(last)
    total = sum(np.exp2(-p_O.bits(np.full(96, k))) for k in range(CONFIGS[kind].classes))
    np.testing.assert_allclose(total, 1, atol=1e-6)


def papers_loss(receiver: DiscretisedReceiver, k: NDArray[np.int64], rng: np.random.Generator) -> float:
    """L^n by the paper's equations (section 5) in float64, from mixtures of logistic functions: y_i ~ N(x, 1/alpha);
    the receiver is a normal distribution of the mean and variance of p_O.
    """
    K = receiver.config.classes
    x, s, bits = bin_centres(K)[k], np.zeros(len(k)), 0.0
    for i in range(receiver.flow.n_steps):
        alpha, p = receiver.alpha(i), receiver.output(i, s)
        share, scale = p.weight / WEIGHT_TOTAL, p.scales[p.level]
        m = (share * p.centre).sum(0)
        v = 1 / alpha + (share * (scale**2 * math.pi**2 / 3 + p.centre**2)).sum(0) - m**2
        bits += float(((np.log(v * alpha) + (1 / alpha + (x - m) ** 2) / v - 1) / 2).sum()) / math.log(2)
        s += alpha * (x + rng.standard_normal(len(k)) / math.sqrt(alpha))
    p = receiver.output(receiver.flow.n_steps, s)
    edges = np.concatenate([[-np.inf], np.linspace(-1, 1, K + 1)[1:-1], [np.inf]])
    cdf = [1 / (1 + np.exp(-((e - p.centre) / p.scales[p.level]).clip(-700, 700))) for e in (edges[k], edges[k + 1])]
    return bits - float(np.log2(((cdf[1] - cdf[0]) * p.weight / WEIGHT_TOTAL).sum(0)).sum())


@pytest.mark.parametrize("kind", FEW)
def test_l_n_is_the_papers(kind: str) -> None:
    receiver, k = tiny_receiver(kind), some_levels(kind, 8)
    found = receiver.play(k, np.random.default_rng(4)).bits
    assert found == pytest.approx(papers_loss(receiver, k, np.random.default_rng(4)), rel=1e-3)


@pytest.mark.parametrize("kind", FEW)
def test_what_is_trained_is_what_is_coded(kind: str) -> None:
    """-ln p_O at the end of the game, by the trainable network's formula and in the coder's integers."""
    receiver, k = tiny_receiver(kind), some_levels(kind, 4)
    x = receiver.target(k)
    s = receiver.flow.betas[-1] * x + np.random.default_rng(0).standard_normal(len(x)) * 20
    p: Any = receiver.output(receiver.flow.n_steps, s)
    trained = level_end(
        torch.from_numpy(x).float(),
        (
            torch.log(torch.from_numpy(p.weight.T / WEIGHT_TOTAL).float()),
            torch.from_numpy(p.centre.T).float(),
            torch.log2(torch.from_numpy(p.scales[p.level].T)).float(),
        ),
        receiver.config.classes,
    )
    coded = p.discretised().bits(k) * math.log(2)
    np.testing.assert_allclose(trained.numpy()[coded < 8], coded[coded < 8], atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEW)
def test_items_come_back(tmp_path: Path, kind: str) -> None:
    folder = export_archive(tmp_path / "model", kind)
    codec = archive_codec(folder, kind)
    data = some_levels(kind, 24).astype(np.uint8).tobytes()
    payload = codec.encode(data)
    assert codec.head_size(payload) < len(data)
    assert codec.decode(payload) == data
    assert max(map(max, codec.draw(5, (), np.random.SeedSequence(1)))) < CONFIGS[kind].classes


@pytest.mark.parametrize("kind", ["2 levels", "16 levels"])
def test_more_levels_than_the_models_are_kept_without_it(tmp_path: Path, kind: str) -> None:
    codec = archive_codec(export_archive(tmp_path / "model", kind), kind)
    data = bytes(range(48)) * 30
    payload = codec.encode(data)
    assert codec.head_size(payload) == len(data)
    assert f"levels 0 to {CONFIGS[kind].classes - 1}, found 47" in codec.refusal(data)
    assert codec.decode(payload) == data


@pytest.mark.parametrize("classes", [2, 3, 16, 256])
def test_training_takes_any_number_of_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int) -> None:
    table = {"kind": "discretised", "shape": [4, 4, 3], "classes": classes, "width": 8, "hidden": 16, "blocks": 1}
    config = network_of(table)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, classes, (9, 4, 4, 3), np.uint8))
    sampler = ItemSampler(ItemSource((str(tmp_path / "x.npy"),)), config, 16)
    told: list[int] = []

    def end(x: torch.Tensor, p: Any, levels: int) -> torch.Tensor:
        told.append(levels)
        return level_end(x, p, levels)

    monkeypatch.setitem(TERMS, "discretised", replace(TERMS["discretised"], end=end))
    batch = sampler(np.random.default_rng(1))
    levels = (batch[0].numpy() + 1) * classes / 2 - 0.5
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    assert math.isfinite(float(parallel.loss(Denoiser(config), batch, config).detach()))
    assert told == [classes]
    np.save(tmp_path / "more.npy", np.full((9, 4, 4, 3), min(classes, 255), np.uint8))
    if classes < 256:
        with pytest.raises(InputError, match=f"levels 0 to {classes - 1}"):
            load_arrays(ItemSource((str(tmp_path / "more.npy"),)), config)


@pytest.mark.parametrize("classes", [-1, 0, 1, 257])
def test_impossible_numbers_of_levels_are_refused(classes: int) -> None:
    with pytest.raises(InputError, match="2 to 256"):
        network_of({"kind": "discretised", "classes": classes})
    with pytest.raises(ValueError, match="2 to 256"):
        DenoiserConfig.from_dict({"kind": "discretised", "classes": classes})


def test_what_has_bytes_or_letters_as_values_refuses_others(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="27"):
        network_of({"kind": "discrete", "classes": 20})
    with pytest.raises(ValueError, match="256 levels"):
        WavefrontConfig.from_dict({"shape": [8, 8, 3], "tile": [4, 4], "classes": 16})


def test_a_model_with_too_many_levels_is_no_model(tmp_path: Path) -> None:
    folder = export_archive(tmp_path / "model", "16 levels")
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"classes": 16', '"classes": 300'))
    (folder / STATED).unlink()
    with pytest.raises(ModelError, match="2 to 256"):
        bfncodec.load(folder)
