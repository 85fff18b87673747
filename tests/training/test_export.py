"""Storage of networks: bytes that stay, each rule of the specification, and networks begun with others' weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bfncodec import models
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.networks.storage import Export, TrainableNetwork, folded
from bfncodec.networks.stored import CODEBOOK
from bfncodec.networks.transformer.config import TransformerConfig
from bfncodec.networks.transformer.model import Transformer
from bfncodec.networks.wavefront.model import BETA, WavefrontConfig, WavefrontNet
from bfncodec.training.export import SPECIFICATION, export, quantised_tensors, restored_state, rule_of
from support.cases import export_phrased
from support.models import IMAGE, MIXING, TEXT, export_text, randomise
from support.tiny import denoiser

EXPORTED = {
    "image": "843b8e1af3e510ea",
    "image, 16 bits": "bb19f8108d78e61f",
    "text": "2b7d4847b36a06c0",
    "text, 4 bits": "18d18d779f20b964",
    "wavefront": "84724f0c0ca18250",
    "levels": "4897fac05cf72818",
    "grey": "393cfa9280ca6e70",
    "binary": "b318c283ab04b07a",
    "letters": "6f842811cb4e4e73",
    "staggered": "92f0a037bc16033b",
}
"""Digests of tiny networks, as `digest` has them."""


def network_of(kind: str) -> TrainableNetwork:
    """A tiny network with random weights that are the same everywhere."""
    networks = {
        "image": lambda: ConvNet(IMAGE),
        "image, 16 bits": lambda: ConvNet(ConvNetConfig(width=8, hidden=8, blocks=1, mixtures=2, bits=16)),
        "text": lambda: Transformer(TEXT),
        "text, 4 bits": lambda: Transformer(
            TransformerConfig(width=32, layers=1, heads=2, ngrams=((2, 6),), ngram_bits=4)
        ),
        "wavefront": lambda: WavefrontNet(WavefrontConfig((4, 6, 3), (2, 3), IMAGE, (0.0, 4096.0, BETA))),
    }
    if kind not in networks:
        return denoiser(kind)
    network: TrainableNetwork = networks[kind]()
    randomise(network, 0)
    return network


def digest(tensors: dict[str, Tensor]) -> str:
    """Digest of types, shapes and bytes of tensors in any order; their names may change."""
    parts = (f"{t.dtype} {list(t.shape)}".encode() + t.numpy().tobytes() for t in tensors.values())
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(part).digest() for part in parts))).hexdigest()[:16]


@pytest.mark.parametrize("kind", EXPORTED)
def test_exported_bytes_stay(kind: str) -> None:
    assert digest(quantised_tensors(network_of(kind))) == EXPORTED[kind]


@pytest.mark.parametrize(
    ("name", "declared", "stored", "error"),
    [
        (
            "table.weight",
            Export(by_column=("table",), fine=("",)),
            {"table.q": torch.int8, "table.s": torch.float32},
            0.5,
        ),
        (
            "table.weight",
            Export(coarse=("table",), fine=("",)),
            {"table.q": torch.uint8, "table.s": torch.float16, CODEBOOK: torch.int8},
            20,
        ),
        (
            "in.weight",
            Export(fine=("in",)),
            {"in.q": torch.int8, "in.s": torch.float32, "in.r": torch.int8},
            0.003,
        ),
        ("out.weight", Export(fine=("in",)), {"out.q": torch.int8, "out.s": torch.float32}, 0.5),
        ("out.bias", Export(fine=("",)), {"out.b": torch.float32}, 0),
        ("gain", Export(fine=("",)), {"gain": torch.float32}, 0),
    ],
)
def test_every_rule_restores_what_it_stores(
    name: str, declared: Export, stored: dict[str, torch.dtype], error: float
) -> None:
    """Up to `error` units of the largest weight / 127."""
    shape = (6, 8) if name.endswith("weight") else (6,)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rule = rule_of(name, declared)
    found = rule.store(name, tensor)
    assert {key: value.dtype for key, value in found.items()} == stored
    restored = rule.restore(name, found)
    assert restored is not None
    assert (restored - tensor).abs().max() <= error * tensor.abs().max() / 127 * 1.01
    assert rule.restore(name, {}) is None


def test_some_rule_is_for_every_tensor() -> None:
    assert [rule.applies("any", Export()) for rule in SPECIFICATION] == [False] * 5 + [True]


def test_hashed_rows_are_folded_to_their_means() -> None:
    rows = torch.arange(16.0).view(8, 2)
    assert folded(rows, 2).tolist() == [[3, 4], [11, 12]]
    assert folded(rows, 16) is rows


class Grown(TrainableNetwork):
    """Two matrices in one, and a part that begins as another does."""

    export_as = Export(grids={"both": (1, 2)}, copies={"second.": "first."})

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.both = nn.Linear(2 * width, 1)
        self.first = nn.Linear(1, 1)
        if parts == 2:
            self.second = nn.Linear(1, 1)


def test_parts_of_a_matrix_grow_each_and_copies_begin_as_their_originals() -> None:
    small, large = Grown(1, 1), Grown(2, 2)
    state = restored_state(large, quantised_tensors(small))
    known = restored_state(small, quantised_tensors(small))
    assert state["both.weight"].tolist() == [[known["both.weight"][0, 0], 0, known["both.weight"][0, 1], 0]]
    for part in ("weight", "bias"):
        assert torch.equal(state[f"second.{part}"], known[f"first.{part}"])
    with pytest.raises(ValueError, match=r"both\.weight: expected at most \[1, 2\], found \[1, 4\]"):
        restored_state(small, quantised_tensors(large))


def test_a_model_that_files_may_need_is_kept(tmp_path: Path) -> None:
    networks, folder = [denoiser("grey", seed) for seed in (0, 1)], tmp_path / "mine"
    assert export(networks[0], {"name": "mine"}, folder) is None
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert export(networks[0], {"name": "mine"}, folder) is None  # the same once more
    kept = export(networks[1], {"name": "mine"}, folder)
    assert kept == tmp_path / f"mine-{before['model.sha256'][:8].decode()}"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert export(networks[0], {"name": "mine"}, folder) != kept
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_model_with_phrases_is_kept_with_them(tmp_path: Path) -> None:
    folder = export_phrased(tmp_path / "phrased")
    info = models.read(folder)
    info.check()
    export_text(folder, seed=1)
    aside = models.read(tmp_path / f"phrased-{info.sha256[:8]}")
    aside.check()
    assert aside.sha256 == info.sha256


def test_a_model_that_has_its_weights_from_another_is_kept_and_those_beside_it_are_found(tmp_path: Path) -> None:
    """Also where the other one is trained anew, and another model after that."""
    base = export_text(tmp_path / "text", mixing=MIXING)
    path = tmp_path / "rows"
    path.mkdir()
    config = json.loads((base / models.CONFIG).read_text())
    config |= {"name": "rows", "weights": "text", "mixing": MIXING | {"dictionary": True}}
    (path / models.CONFIG).write_text(json.dumps(config))
    (path / models.DICTIONARY).write_bytes(b"to be or not to be")
    (path / models.STATED).write_text(models.read(path).sha256 + "\n")
    wanted = models.read(path)
    assert wanted.weights.parent == base
    export_text(base, seed=1)
    found = models.read(path)
    found.check()
    assert found.sha256 == wanted.sha256
    export_text(path, seed=2)
    assert models.read(path).sha256 != wanted.sha256
    kept = models.read(tmp_path / f"rows-{wanted.sha256[:8]}")
    kept.check()
    assert kept.sha256 == wanted.sha256
    assert kept.read_dictionary() == b"to be or not to be"


def test_a_model_that_cannot_be_read_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.mkdir()
    (path / models.CONFIG).write_text('{"name": "rows", "weights": "text"}')
    (path / models.DICTIONARY).write_bytes(b"to be or not to be")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    kept = export(denoiser("grey", 0), {"name": "mine"}, path)
    assert kept is not None
    assert before.items() <= {file.name: file.read_bytes() for file in kept.iterdir()}.items()
