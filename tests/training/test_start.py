"""Trainings that start from a model: a larger network knows what the smaller one knew."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bfncodec import models
from bfncodec.errors import InputError
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.networks.transformer.config import TransformerConfig
from bfncodec.networks.transformer.model import Transformer, ngram_hash
from bfncodec.training.config import make
from bfncodec.training.data import CropSampler, ImageSource
from bfncodec.training.draws import Draws
from bfncodec.training.export import restored_state
from bfncodec.training.loop import run
from support.trainings import IMAGE, TEXT, bits, configure, curve, silent

pytestmark = pytest.mark.slow  # models at work: together they take minutes


@pytest.mark.parametrize("sizes", ["width = 16", "width = 16\nhidden = 24\nblocks = 3", "width = 24\nhidden = 24"])
def test_an_image_network_begins_with_the_predictions_of_a_smaller_one(tmp_path: Path, data: Path, sizes: str) -> None:
    """Also where the new network is larger: before its first step it predicts as the model does."""
    first = run(configure(tmp_path, data, "image", "steps = 30\n"), tmp_path / "first", say=silent)
    tensors = load_file(first / models.WEIGHTS)
    config = make(ConvNetConfig, {**models.read(first).config["network"], **tomllib.loads(sizes)}, "network")
    batch = CropSampler(ImageSource((f"{data}/*.png",), 12, 4))(Draws(0))
    known = ConvNet(make(ConvNetConfig, models.read(first).config["network"], "network"))
    known.load_state_dict(restored_state(known, tensors))
    grown = ConvNet(config)
    before = bits(grown, batch)
    grown.load_state_dict(restored_state(grown, tensors))
    after = bits(grown, batch)
    assert after < before - 0.3
    assert after == pytest.approx(bits(known, batch), rel=1e-5 if "width = 16" in sizes else 0.1)

    start = f"steps = 1\nstart = '{first.as_posix()}'\n"
    text = IMAGE.replace("width = 16\nhidden = 16\nblocks = 1", "width = 16\nhidden = 24\nblocks = 2")
    went_on = run(configure(tmp_path, data, "image", start, text), tmp_path / "grown", say=silent)
    assert curve(went_on)[0]["validation"][0] < curve(first)[0]["validation"][0] + 0.1
    smaller = configure(tmp_path, data, "image", start, text.replace("width = 16", "width = 8"))
    with pytest.raises(InputError, match="expected at most"):
        run(smaller, tmp_path / "smaller", say=silent)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_text_network_begins_deeper_and_with_smaller_tables(tmp_path: Path, data: Path, bits: int) -> None:
    text = TEXT.replace("window = 32", f"window = 32\nngram_bits = {bits}")
    first = run(configure(tmp_path, data, "text", text=text), tmp_path / "first", steps=40, say=silent)
    tensors = load_file(first / "model.safetensors")
    known = Transformer(TransformerConfig.from_dict(models.read(first).config["network"]))
    known.load_state_dict(restored_state(known, tensors))
    x = torch.from_numpy(np.random.default_rng(0).integers(97, 123, (3, 32)))

    deeper = Transformer(replace(known.config, layers=3))
    deeper.load_state_dict(restored_state(deeper, tensors))
    assert torch.allclose(deeper(x, 1), known(x, 1), atol=1e-5)

    smaller = Transformer(replace(known.config, ngrams=((2, 5),)))
    smaller.load_state_dict(restored_state(smaller, tensors))
    history = torch.tensor([[104, 105]])
    pair = int(ngram_hash(history, 2, 5))
    assert int(ngram_hash(history, 2, 6)) // 2 == pair
    table, old = smaller.ngram[0].weight, known.ngram[0].weight
    assert torch.allclose(table[pair], old[2 * pair : 2 * pair + 2].mean(0))
