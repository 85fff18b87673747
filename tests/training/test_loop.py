"""Training from a configuration file to a model that codes, for both kinds of data; and the models that are shipped."""

from __future__ import annotations

import io
import json
import lzma
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

import bfncodec
from bfncodec import models
from bfncodec.cli.main import cli
from bfncodec.errors import InputError
from bfncodec.networks.convnet.model import ConvNet, ConvNetConfig
from bfncodec.networks.transformer.model import Transformer, TransformerConfig, ngram_hash
from bfncodec.training import agreement, loop, plot
from bfncodec.training.agreement import Computation, Way
from bfncodec.training.config import SCHEDULES, make, read_config
from bfncodec.training.data import CropSampler, ImageSource, TextSource, WindowSampler
from bfncodec.training.draws import Draws
from bfncodec.training.export import restored_state
from bfncodec.training.items import ItemSource, warped
from bfncodec.training.loop import run
from bfncodec.training.tasks.table import TASKS
from bfncodec.training.trainer import Trainer
from support.places import ROOT

TEXT = """
name = "tiny"
role = "text"
[network]
width = 32
layers = 1
heads = 2
expansion = 2
window = 32
ngrams = [[2, 6]]
[[data]]
paths = ["{data}/*.txt"]
[[validation]]
paths = ["{data}/*.txt"]
[train]
batch = 4
warmup = 1
teeth = [1, 2]
"""
IMAGE = """
name = "tiny"
role = "image"
[network]
width = 16
hidden = 16
blocks = 1
mixtures = 2
[[data]]
paths = ["{data}/*.png"]
crop = 12
batch = 3
[[validation]]
paths = ["{data}/*.png"]
crop = 12
batch = 2
[train]
warmup = 1
"""
ARCHIVE = """
name = "tiny"
role = "archive"
schedule = "parallel"
[network]
kind = "binary"
shape = [8, 8, 1]
classes = 2
beta = 9.0
width = 8
hidden = 16
blocks = 1
[[data]]
paths = ["{data}/halves.npy"]
skip_last = 16
warp = 0.1
[[validation]]
paths = ["{data}/halves.npy"]
only_last = 16
[train]
batch = 16
warmup = 1
"""
CONFIGS = {"text": TEXT, "image": IMAGE, "archive": ARCHIVE}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what is learnt in a few steps: one sentence over and over, one slope."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.txt").write_bytes(b"abcabcabd" * 40)
    ramp = (np.add.outer(np.arange(20) * 3, np.arange(24) * 2)[..., None] + np.arange(3) * 40).astype(np.uint8)
    for i in range(2):
        Image.fromarray(ramp + np.uint8(i * 30)).save(folder / f"{i}.png")
    np.save(folder / "halves.npy", halves(80))
    return folder


def halves(count: int) -> NDArray[np.uint8]:
    """Pictures of 8 by 8 whose left or upper half is white."""
    left = np.zeros((8, 8), np.uint8)
    left[:, :4] = 255
    return np.stack([left, left.T] * (count // 2))


def configure(tmp_path: Path, data: Path, role: str, extra: str = "", text: str | None = None) -> Path:
    """A configuration file; `extra` goes to its [train] table."""
    path = tmp_path / "config.toml"
    path.write_text((text or CONFIGS[role]).format(data=data.as_posix()) + extra)
    return path


def silent(line: str) -> None:
    """Training says nothing here."""


@torch.no_grad()
def bits(network: ConvNet, batch: torch.Tensor) -> float:
    return float(network(batch).mean())


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("role", "steps"), [("text", 40), ("image", 50)])
def test_training_learns_and_its_model_codes(tmp_path: Path, data: Path, role: str, steps: int) -> None:
    said: list[str] = []
    config = configure(tmp_path, data, role, f"steps = {steps}\nvalidate_every = 10\n")
    out = run(config, tmp_path / "model", say=said.append)
    report = curve(out)
    assert [r["step"] for r in report] == list(range(10, steps + 1, 10))
    assert report[-1]["train"] < report[0]["train"] - 0.3
    assert len(report[0]["validation"]) == {"text": 2, "image": 1}[role]  # the text is validated with each comb
    assert all(last < first for first, last in zip(report[0]["validation"], report[-1]["validation"], strict=True))
    assert any(f"step {steps}/{steps}" in line for line in said)

    info = models.read(out)
    assert (info.name, info.role) == ("tiny", role)
    codec = bfncodec.load(out)
    if role == "text":
        x = (data / "a.txt").read_bytes()[:200]
        assert codec.decode(codec.encode(x)) == x
        bits = codec.codelength(x).bits_per_dim
    else:
        image = np.asarray(Image.open(data / "0.png"))
        np.testing.assert_array_equal(codec.decode(codec.encode(image)), image)
        bits = codec.codelength(image).bits_per_dim
    # The file is coded by the averaged network, which is what validation measures.
    assert bits == pytest.approx(report[-1]["validation"][0], rel=0.5)


def test_an_archive_model_is_trained(tmp_path: Path, data: Path) -> None:
    """Network and step grids: it learns, and what it codes comes back in fewer bits than pixels."""
    config = configure(tmp_path, data, "archive", "steps = 60\nvalidate_every = 20\nrate = 0.02\n")
    out = run(config, tmp_path / "model", say=silent)
    report = curve(out)
    assert report[-1]["validation"][0] < report[0]["validation"][0] - 0.2
    codec = bfncodec.load(out)
    x = halves(80).tobytes()
    payload = codec.encode(x)
    assert codec.decode(payload) == x
    assert 8 * len(payload) < 0.9 * len(x)


def test_pictures_are_warped_about_their_middles() -> None:
    x = np.zeros((40, 21, 21, 1), np.uint8)
    x[:, 8:13, 8:13] = 255
    assert np.array_equal(warped(x, 0.0, np.random.default_rng(0)), x)
    found = warped(x, 0.2, np.random.default_rng(0)).astype(float)
    assert all(not np.array_equal(one, x[0]) for one in found)
    share = found.sum((1, 2, 3)) / x[0].sum()
    assert 0.5 < share.min() < 0.9 < 1.1 < share.max() < 5
    rows = (found.sum(2)[..., 0] * np.arange(21)).sum(1) / found.sum((1, 2, 3))
    assert np.abs(rows - 10).max() < 0.1


@pytest.mark.parametrize("role", ["text", "image", "archive"])
def test_a_resumed_run_is_the_uninterrupted_run(tmp_path: Path, data: Path, role: str) -> None:
    """Stopped after step 4 of 6, as if killed, and started again: every bit of the model and of the optimisers'
    state.
    """
    config = configure(tmp_path, data, role, "steps = 6\nsave_every = 4\nvalidate_every = 3\n")
    run(config, tmp_path / "whole", say=silent)

    def killed(line: str) -> None:
        if line.startswith("step 6"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "parts", say=killed)
    assert not (tmp_path / "parts" / models.WEIGHTS).exists()
    said: list[str] = []
    run(config, tmp_path / "parts", say=said.append)
    assert said[0] == "resuming at step 4 of 6 (--no-resume starts over)"
    for part in (models.CONFIG, models.WEIGHTS):
        assert (tmp_path / "whole" / part).read_bytes() == (tmp_path / "parts" / part).read_bytes()
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    for kept in ("network", "average"):
        for name, tensor in whole[kept].items():
            assert torch.equal(tensor, parts[kept][name]), name
    assert [r["step"] for r in curve(tmp_path / "parts")][-1] == 6


def test_starting_over_is_possible(tmp_path: Path, data: Path) -> None:
    config = configure(tmp_path, data, "text", "steps = 2\n")
    run(config, tmp_path / "model", say=silent)
    said: list[str] = []
    run(config, tmp_path / "model", resume=False, say=said.append)
    assert not any("resuming" in line for line in said)


def test_steps_on_the_command_line_win(tmp_path: Path, data: Path) -> None:
    out = run(configure(tmp_path, data, "text", "steps = 50\n"), tmp_path / "model", steps=1, say=silent)
    assert [r["step"] for r in curve(out)] == [1]


def test_what_a_model_serves_is_told(tmp_path: Path, data: Path) -> None:
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


def test_a_source_may_be_varied(tmp_path: Path, data: Path) -> None:
    """For training and for held-out bits, which are told apart; seeded, so that two runs are one."""
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(100, 140, (40, 44, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "0.png")
    text = IMAGE.replace('paths = ["{data}/*.png"]', f'paths = ["{photos.as_posix()}"]')
    varied_too = f'[[validation]]\npaths = ["{photos.as_posix()}"]\ncrop = 12\nbatch = 2\nvary = true\n[train]'
    text = text.replace("batch = 3", "batch = 3\nvary = true").replace("[train]", varied_too)
    config = configure(tmp_path, data, "image", "steps = 3\n", text)
    said: list[str] = []
    first, second = (run(config, tmp_path / name, say=said.append) for name in ("first", "second"))
    assert any(line.endswith(f"held out: {photos.as_posix()}; {photos.as_posix()}, vary") for line in said)
    plain, other = curve(first)[-1]["validation"]
    assert plain != other
    assert curve(first)[-1]["validation"] == curve(second)[-1]["validation"]
    assert (first / models.WEIGHTS).read_bytes() == (second / models.WEIGHTS).read_bytes()
    with pytest.raises(InputError, match="28 x 28"):  # 12 and what the filters need around them
        CropSampler(ImageSource((f"{data}/*.png",), 12, 1, vary=True))


def test_texts_are_drawn_with_their_shares_and_from_the_beginnings_of_lines() -> None:
    a, b = np.full(400, ord("a"), np.uint8), np.full(9000, ord("b"), np.uint8)
    b[14::15] = ord("\n")
    windows = WindowSampler([a, b], 15, 2000, [0.75, 0.25], at_lines=True)(Draws(0)).numpy()
    of_a = (windows == ord("a")).all(1)
    assert abs(of_a.mean() - 0.75) < 0.04
    assert np.isin(windows[~of_a], [ord("b"), ord("\n")]).all()
    at_line = (windows == b[:15]).all(1)
    assert (at_line | of_a)[1::2].all()
    assert at_line[::2][~of_a[::2]].mean() < 0.2
    by_length = WindowSampler([a, b], 15, 2000)(Draws(0)).numpy()
    assert abs((by_length == ord("a")).all(1).mean() - 400 / 9400) < 0.02
    long = np.arange(256, dtype=np.uint8)[11:]  # one line, of which every window is to be seen
    assert len({tuple(w) for w in WindowSampler([long], 15, 400, at_lines=True)(Draws(0)).tolist()}) > 100


def test_shares_are_for_all_sources_or_none(tmp_path: Path, data: Path) -> None:
    two = TEXT.replace("[[data]]", '[[data]]\npaths = ["{data}/a.txt"]\nshare = 0.5\n[[data]]')
    with pytest.raises(InputError, match="share"):
        run(configure(tmp_path, data, "text", "steps = 1\n", two), tmp_path / "model", say=silent)


def test_an_array_of_something_else_is_refused(data: Path) -> None:
    with pytest.raises(InputError, match=r"halves\.npy.*\[80, 8, 8\]"):
        CropSampler(ImageSource((f"{data}/halves.npy",), 4, 1))


def test_a_training_of_minutes_ends_by_the_clock(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that a step takes three seconds of: 20 steps a minute. It goes on where it stopped."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    config = configure(tmp_path, data, "image", "minutes = 2\ndecay = 1.0\n")
    rates = []
    advance = Trainer.advance

    def slowly(self: Trainer, progress: float) -> torch.Tensor:
        now[0] += 3
        found = advance(self, progress)
        rates.append(self.optimisers[0].param_groups[0]["lr"])
        return found

    monkeypatch.setattr(Trainer, "advance", slowly)
    monkeypatch.setattr(plot, "draw", lambda *given: None)
    said: list[str] = []

    def killed(line: str) -> None:
        said.append(line)
        if line.startswith("step 12 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "model", say=killed)
    assert "1 min left" in said[-1]
    now[0] += 1000
    out = run(config, tmp_path / "model", say=said.append)
    assert "resuming at step 10 after 0.5 of 2 minutes (--no-resume starts over)" in said
    assert curve(out)[-1]["step"] == 40
    assert rates == sorted(rates[:12], reverse=True) + sorted(rates[12:], reverse=True)
    assert rates[-1] == pytest.approx(rates[0] / 40)
    with pytest.raises(InputError, match="minutes"):
        run(configure(tmp_path, data, "image", "minutes = 0\nsteps = 0\n"), tmp_path / "other", say=silent)


def test_minutes_that_are_over_before_the_first_step(tmp_path: Path, data: Path) -> None:
    """No model of random weights is written."""
    with pytest.raises(InputError, match="no time is left to train"):
        run(configure(tmp_path, data, "image"), tmp_path / "model", minutes=1e-6, say=silent)
    assert not (tmp_path / "model" / models.WEIGHTS).exists()


def test_a_training_has_one_length(tmp_path: Path, data: Path) -> None:
    config = configure(tmp_path, data, "image")
    result = CliRunner().invoke(cli, ["train", str(config), "--steps", "2", "--minutes", "3"])
    assert result.exit_code == 2
    assert "--steps and --minutes" in result.output


def test_an_export_that_would_fail_at_the_end_fails_at_the_beginning(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(loop, "export", fails)
    said: list[str] = []
    with pytest.raises(OSError, match="no"):
        run(configure(tmp_path, data, "text", "steps = 2\nvalidate_every = 1\n"), tmp_path / "model", say=said.append)
    assert not any(line.startswith("step") for line in said)


def test_held_out_bits_are_drawn(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("matplotlib")
    out = run(configure(tmp_path, data, "image", "steps = 2\n"), tmp_path / "model", say=silent)
    with Image.open(out / "curve.png") as picture:
        assert picture.size == (700, 450)


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


def test_a_rounded_network_predicts_as_its_integer_twin(tmp_path: Path, data: Path) -> None:
    """Its bits are nearer to those of the file than without rounding, and it can be trained."""
    config = configure(tmp_path, data, "image", "steps = 40\nrate = 0.01\nrounded = 0.5\nema = 0.5\n")
    out = run(config, tmp_path / "model", say=silent)
    assert curve(out)[-1]["train"] < curve(out)[0]["train"] - 0.3
    image = np.asarray(Image.open(data / "0.png"))
    wanted = bfncodec.load(out).codelength(image).bits_per_dim
    network = ConvNet(make(ConvNetConfig, models.read(out).config["network"], "network"))
    network.load_state_dict(restored_state(network, load_file(out / models.WEIGHTS)))
    x = torch.from_numpy(image.copy()).permute(2, 0, 1).float()[None]
    plain = bits(network, x)
    network.rounded = True
    assert abs(bits(network, x) - wanted) < 0.2 * abs(plain - wanted) + 1e-3
    with pytest.raises(InputError, match="rounded"):
        run(configure(tmp_path, data, "text", "rounded = 0.1\n"), tmp_path / "text", say=silent)


@pytest.mark.parametrize("sizes", ["width = 16", "width = 16\nhidden = 24\nblocks = 3", "width = 24\nhidden = 24"])
def test_a_training_that_starts_from_a_model_knows_what_it_knew(tmp_path: Path, data: Path, sizes: str) -> None:
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
def test_a_text_model_grows_deeper_and_its_tables_smaller(tmp_path: Path, data: Path, bits: int) -> None:
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


def test_lanes_of_a_text_model_are_told_and_checked(tmp_path: Path, data: Path) -> None:
    config = configure(tmp_path, data, "text", text=TEXT + "[lanes]\nmost = 3\n")
    out = run(config, tmp_path / "out", steps=1, say=silent)
    assert models.read(out).config["lanes"] == {"length": 3072, "most": 3}
    with pytest.raises(InputError, match=r"\[lanes\].*longest"):
        run(configure(tmp_path, data, "text", text=TEXT + "[lanes]\nlongest = 3\n"), tmp_path / "out", say=silent)


@pytest.mark.parametrize(
    ("role", "old", "new", "named"),
    [
        ("text", 'name = "tiny"', "", "name"),
        ("text", 'role = "text"', 'role = "sound"', "role.*image, text.*sound"),
        ("archive", 'schedule = "parallel"', 'schedule = "comb"', "schedule.*parallel, ramps, wavefront.*comb"),
        ("text", "[[data]]", "[[date]]", "expected data"),
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
def test_what_is_wrong_with_a_configuration_is_named(
    tmp_path: Path, data: Path, role: str, old: str, new: str, named: str
) -> None:
    assert old in CONFIGS[role]
    config = configure(tmp_path, data, role, "steps = 1\n", CONFIGS[role].replace(old, new))
    with pytest.raises(InputError, match=named):
        run(config, tmp_path / "model", say=silent)
    assert not (tmp_path / "model" / models.WEIGHTS).exists()


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml"):
        run(tmp_path / "none.toml", say=silent)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_the_configurations_that_ship_say_what_is_known(path: Path) -> None:
    settings = read_config(path)
    kind: type[Any] = {"image": ImageSource, "text": TextSource, "archive": ItemSource}[settings.role]
    for name, tables in (("data", settings.data), ("validation", settings.validation)):
        assert [make(kind, values, name) for values in tables]


def test_every_schedule_of_a_configuration_has_a_task() -> None:
    assert set(TASKS) == {(role, schedule) for role, schedules in SCHEDULES.items() for schedule in schedules}


# --- shipped models ----------------------------------------------------------------------------


def shipped(name: str) -> Any:
    folder = ROOT / "models" / name
    present = (folder / models.WEIGHTS).is_file() and (folder / models.CONFIG).is_file()
    return pytest.mark.skipif(not present, reason=f"models/{name} is not in this checkout")


@shipped("photo")
@shipped("text")
def test_shipped_models_are_listed() -> None:
    found = {m.name: m for m in models.available()}
    assert (found["photo"].role, found["text"].role) == ("image", "text")
    assert found["photo"].id != found["text"].id
    assert models.default("image").name == "photo"
    assert models.default("text").name == "text"


@shipped("photo")
def test_the_photo_model_beats_webp() -> None:
    with Image.open(ROOT / "benchmarks/demo_files/coffee.png") as picture:
        crop = picture.convert("RGB").crop((100, 100, 196, 164))
    webp = io.BytesIO()
    crop.save(webp, "WEBP", lossless=True, method=6, quality=100)
    codec, x = bfncodec.load(ROOT / "models/photo"), np.asarray(crop)
    payload = codec.encode(x)
    np.testing.assert_array_equal(codec.decode(payload), x)
    assert len(payload) < len(webp.getvalue())


@shipped("text")
def test_the_text_model_beats_xz() -> None:
    x = (ROOT / "benchmarks/demo_files/alice.txt").read_bytes()[2000:2800]
    codec = bfncodec.load(ROOT / "models/text")
    payload = codec.encode(x)
    assert codec.decode(payload) == x
    assert len(payload) < len(lzma.compress(x, preset=9 | lzma.PRESET_EXTREME))
