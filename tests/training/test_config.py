"""Training configurations: each mistake is named, and config.json says what a model was trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bfncodec import models
from bfncodec.errors import InputError
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.training.config import make, read_config
from bfncodec.training.data import CropSampler, ImageSource, TextSource
from bfncodec.training.draws import Draws
from bfncodec.training.items import ItemSource
from bfncodec.training.loop import run
from bfncodec.training.tasks.table import TASKS
from support.places import ROOT
from support.trainings import CONFIGS, IMAGE, TEXT, bits, configure, silent


@pytest.mark.parametrize(
    ("role", "old", "new", "named"),
    [
        ("text", 'name = "tiny"', "", "name"),
        ("text", 'role = "text"', 'role = "unheard of"', "role.*image, text.*unheard of"),
        ("archive", 'schedule = "parallel"', 'schedule = "comb"', "schedule.*parallel, staggered, wavefront.*comb"),
        ("text", "[[data]]", "[[date]]", "expected data"),
        ("image", "width = 16", 'architecture = "resnet"', r"\[network\].*architecture convnet.*resnet"),
        ("text", "width = 32", "widht = 32", r"\[network\].*widht.*width"),
        ("text", "warmup = 1", "warmap = 1", r"\[train\].*warmap"),
        ("text", "ngrams = [[2, 6]]", "ngrams = [[2, 6]]\nngram_bits = 5", "ngram_bits = 5: expected 4 or 8"),
        ("text", "[[2, 6]]", "[[2, 6], [3, 6], [4, 6]]\nngram_bits = 4", "width = 32: expected a multiple of 12"),
        ("image", "hidden = 16", "depth = 16", r"\[network\].*depth"),
        ("image", "crop = 12", "corp = 12", r"\[data\].*corp"),
        ("image", "crop = 12", "crop = 21", "21 x 21.*data.paths or a smaller crop"),
        ("image", 'paths = ["{data}/*.png"]', 'paths = ["{data}/nothing"]', "nothing.*data.paths"),
        ("text", "window = 32", "window = 4096", "network.window"),
        ("text", "[network]", "[network", "TOML"),
        # keys that are there, with values that cannot be used
        ("text", 'paths = ["{data}/*.txt"]', 'path = ["{data}/*.txt"]', "paths"),
        ("text", "window = 32", "window = 31", "window|teeth"),
        ("text", "heads = 2", "heads = 3", "heads"),
        ("text", "heads = 2", "heads = 2\ncontext = [16, 32]", "each of 1 layers"),
        ("text", "heads = 2", "heads = 2\ncontext = 'long'", "context = 'long'"),
        ("text", "width = 32", 'width = "wide"', "width"),
        ("image", "crop = 12", "", "crop"),
    ],
)
def test_mistakes_in_a_configuration_are_named(
    tmp_path: Path, data: Path, role: str, old: str, new: str, named: str
) -> None:
    assert old in CONFIGS[role]
    config = configure(tmp_path, data, role, "steps = 1\n", CONFIGS[role].replace(old, new))
    with pytest.raises(InputError, match=named):
        run(config, tmp_path / "model", say=silent)
    assert not (tmp_path / "model" / models.WEIGHTS).exists()


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml"):
        run(tmp_path / "none.toml", say=silent)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_have_known_keys(path: Path) -> None:
    settings = read_config(path)
    kind: type[Any] = {"image": ImageSource, "text": TextSource, "archive": ItemSource}[settings.role]
    assert not settings.schedule or (settings.role, settings.schedule) in TASKS
    for name, tables in (("data", settings.data), ("validation", settings.validation)):
        assert [make(kind, values, name) for values in tables]


@pytest.mark.slow
def test_config_json_states_channels_and_levels(tmp_path: Path, data: Path) -> None:
    """One source in colour, one in grey: the model says that it codes both."""
    extra = '[[data]]\npaths = ["{data}/*.png"]\ncrop = 12\nbatch = 1\ngrey = true\n[train]'
    text = "levels = [2, 4]\n" + IMAGE.replace("[train]", extra)
    out = run(configure(tmp_path, data, "image", "steps = 3\n", text), tmp_path / "model", say=silent)
    assert (models.read(out).config["channels"], models.read(out).config["levels"]) == ([1, 3], [2, 4])
    sampler = CropSampler(ImageSource((f"{data}/*.png",), 12, 5, grey=True))
    batch = sampler(Draws(0))
    assert batch.shape == (5, 1, 12, 12)
    network = ConvNet(ConvNetConfig(width=16, hidden=16, blocks=1))
    coloured = batch.expand(-1, 3, -1, -1)
    assert bits(network, batch) == pytest.approx(float(network(coloured)[:, :1].detach().mean()))


def test_unknown_tables_are_refused(tmp_path: Path, data: Path) -> None:
    """A misspelt table would be left out in silence, and a night's training with it."""
    config = configure(tmp_path, data, "text", text=TEXT + "[lanes]\nmost = 3\n")
    with pytest.raises(InputError, match=r"unknown lanes; known are .*streams"):
        run(config, tmp_path / "out", steps=1, say=silent)


@pytest.mark.slow
def test_config_json_states_the_streams_of_a_text_model(tmp_path: Path, data: Path) -> None:
    config = configure(tmp_path, data, "text", text=TEXT + "[streams]\nmost = 3\n")
    out = run(config, tmp_path / "out", steps=1, say=silent)
    assert models.read(out).config["streams"] == {"length": 3072, "most": 3}
    with pytest.raises(InputError, match=r"\[streams\].*longest"):
        run(configure(tmp_path, data, "text", text=TEXT + "[streams]\nlongest = 3\n"), tmp_path / "out", say=silent)
