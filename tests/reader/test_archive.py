"""Payloads of archives, read by the second reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bfncodec.coding import parity
from bfncodec.errors import DamagedError
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.wavefront.model import BETA, WavefrontConfig, WavefrontNet
from bfncodec.training.export import export
from reader.archive import decode_archive
from reader.errors import DamagedPayloadError
from support.archives import archive
from support.cases import digest
from support.models import randomise
from support.places import GOLDEN
from support.tiny import CONFIGS, FEW, denoiser, export_archive, grid

TINY = GOLDEN / "tiny"
INDEX = json.loads((TINY / "index.json").read_text())
KINDS = ("binary", "letters", "grey", "levels", "staggered", "one-step", "two-steps")
Load = Callable[[Any], Any]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_golden_payloads(name: str) -> None:
    assert digest(decode_archive(TINY / name, (TINY / name / "payload").read_bytes())) == INDEX[name]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "letters", "staggered"])
def test_archives_with_a_part_of_an_item(kind: str, load: Load) -> None:
    """And without any item."""
    codec = load(TINY / kind)
    for size in (0, 3, 203):
        data = archive(kind, size)
        assert decode_archive(TINY / kind, codec.encode(data)) == data


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEW)
def test_archives_of_few_levels(kind: str, load: Load, tmp_path: Path) -> None:
    export_archive(tmp_path, kind)
    data = np.random.default_rng(0).integers(0, CONFIGS[kind].classes, 48 * 30, np.uint8).tobytes()
    assert decode_archive(tmp_path, load(tmp_path).encode(data)) == data


def test_a_network_of_one_step(load: Load, tmp_path: Path) -> None:
    """No bridge, and a clock at the end of the curve."""
    config = CONFIGS["letters"]
    values = {"name": "tiny", "role": "archive", "schedule": "parallel", "network": config.to_dict(), "steps": 1}
    export(denoiser("letters"), values | {"grids": {"1": grid(config, 1)}}, tmp_path)
    data = archive("letters", 240)
    assert decode_archive(tmp_path, load(tmp_path).encode(data)) == data


def exported_tiles(folder: Path, shape: tuple[int, int, int], tile: tuple[int, int], betas: tuple[float, ...]) -> Path:
    network = WavefrontNet(WavefrontConfig(shape, tile, ConvNetConfig(width=4, hidden=4, blocks=0, mixtures=2), betas))
    randomise(network, 0)
    config = {"name": "tiny", "role": "archive", "schedule": "wavefront", "network": network.tiled.to_dict()}
    export(network, config | {"steps": network.tiled.steps}, folder)
    return folder


@pytest.mark.slow
def test_samples_are_popped_in_lists(load: Load, tmp_path: Path) -> None:
    """A line of more than 1,024 pixels of all tiles and items."""
    folder = exported_tiles(tmp_path, (2, 2080, 3), (2, 2), (0.0, 4096.0, BETA))
    data = np.random.default_rng(0).integers(0, 256, 12480 * 2, np.uint8).tobytes()
    assert decode_archive(folder, load(folder).encode(data)) == data


@pytest.mark.parametrize("name", ["binary", "letters", "two-steps"])
def test_changed_payloads_are_damaged(name: str) -> None:
    payload = (TINY / name / "payload").read_bytes()
    for place in np.random.default_rng(0).integers(0, len(payload), 20).tolist():
        changed = payload[:place] + bytes([payload[place] ^ 16]) + payload[place + 1 :]
        for damaged in (changed, payload[:place], payload + b"\0"):
            with pytest.raises(DamagedPayloadError):
                decode_archive(TINY / name, damaged)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary", "letters"])
def test_blocks_that_were_changed_under_their_parity_have_the_same_verdict(name: str, load: Load) -> None:
    """Every part of a block counts: what it says, its checksums and its words. Some change nothing that is read."""
    found, codec = parity.read((TINY / name / "payload").read_bytes()), load(TINY / name)
    assert found is not None
    block = found.block
    for place in [*range(8), *np.random.default_rng(1).integers(8, len(block), 4).tolist()]:
        damaged = parity.protect(block[:place] + bytes([block[place] ^ 1]) + block[place + 1 :])
        try:
            expected = codec.decode(damaged)
        except DamagedError:
            with pytest.raises(DamagedPayloadError):
                decode_archive(TINY / name, damaged)
        else:
            assert decode_archive(TINY / name, damaged) == expected
