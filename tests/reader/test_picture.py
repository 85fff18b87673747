"""Payloads of pictures, read by the second reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bfncodec.codecs.orientations import turn
from bfncodec.errors import DamagedError
from bfncodec.format.imagehead import ImageHead
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.training.export import export
from reader.errors import ReaderError
from reader.picture import decode_picture
from support.cases import digest
from support.models import randomise
from support.places import GOLDEN, ROOT

TINY = GOLDEN / "tiny"
INDEX = json.loads((TINY / "index.json").read_text())
Load = Callable[[Any], Any]
Image = np.ndarray[Any, np.dtype[np.uint8]]


def smooth(height: int, width: int, channels: int = 3) -> Image:
    """A picture with black and white in it."""
    steps = np.random.default_rng(height * width).integers(-40, 41, (height, width, channels))
    return np.clip(128 + steps.cumsum(1), 0, 255).astype(np.uint8)


def read(folder: Path, payload: bytes, channels: int = 3) -> Image:
    height, width, samples = decode_picture(folder, payload)
    return np.frombuffer(samples, np.uint8).reshape(height, width, channels)


def exported(folder: Path, channels: list[int], **shape: Any) -> Path:
    config = ConvNetConfig(width=8, hidden=16, **{"blocks": 2, "mixtures": 2, **shape})
    network = ConvNet(config)
    randomise(network, 0)
    settings = {"name": "tiny", "role": "image", "channels": channels, "network": config.to_dict()}
    export(network, settings, folder)
    return folder


def test_golden_payload() -> None:
    assert digest(read(TINY / "picture", (TINY / "picture" / "payload").read_bytes())) == INDEX["picture"]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 4), (8, 8)], ids=str)
def test_pictures_of_all_sizes(size: tuple[int, int], load: Load) -> None:
    x = smooth(*size)
    assert (read(TINY / "picture", load(TINY / "picture").encode(x)) == x).all()


@pytest.mark.parametrize("orientation", range(1, 8))
def test_pictures_that_were_turned(orientation: int, load: Load) -> None:
    x, codec = smooth(3, 4), load(TINY / "picture")
    body = codec.encode(np.ascontiguousarray(turn(x, orientation)))[2:]
    assert (read(TINY / "picture", ImageHead(3, 4, 3, orientation).write() + body) == x).all()


@pytest.mark.parametrize("shape", [{"bits": 16}, {"dilations": (1, 3)}, {"blocks": 0, "mixtures": 1}], ids=str)
def test_networks_of_other_shapes(shape: dict[str, Any], load: Load, tmp_path: Path) -> None:
    folder, x, grey = exported(tmp_path, [1, 3], **shape), smooth(6, 7), smooth(6, 5, 1)
    assert (read(folder, load(folder).encode(x)) == x).all()
    assert (read(folder, load(folder).encode(grey), 1) == grey).all()


@pytest.mark.slow
def test_changed_payloads_have_the_same_verdict(load: Load) -> None:
    codec, folder = load(TINY / "picture"), TINY / "picture"
    payload, rng = codec.encode(smooth(3, 2)), np.random.default_rng(0)
    for place in rng.integers(0, len(payload), 5).tolist():
        changed = bytes([payload[place] ^ int(rng.integers(1, 8))])
        for damaged in (payload[:place] + changed + payload[place + 1 :], payload[:place], b"\0" + changed + payload):
            try:
                expected = codec.decode(damaged)
            except DamagedError:
                with pytest.raises(ReaderError):
                    decode_picture(folder, damaged)
            else:
                assert (read(folder, damaged) == expected).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["photo-fast", "photo", "photo-varied", "photo-max"])
def test_small_pictures_of_models_that_ship(name: str, load: Load) -> None:
    x = smooth(4, 5)
    assert (read(ROOT / "models" / name, load(ROOT / "models" / name).encode(x)) == x).all()
