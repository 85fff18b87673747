"""Trainings from a configuration file to a model that codes: they learn, resume, end by the clock, and export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

import bfncodec
from bfncodec import models
from bfncodec.cli.main import cli
from bfncodec.errors import InputError
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.training import loop, plot
from bfncodec.training.config import make
from bfncodec.training.export import restored_state
from bfncodec.training.loop import run
from bfncodec.training.trainer import Trainer
from support.trainings import bits, configure, curve, halves, silent

pytestmark = pytest.mark.slow  # models at work: together they take minutes


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


def test_no_resume_starts_over(tmp_path: Path, data: Path) -> None:
    config = configure(tmp_path, data, "text", "steps = 2\n")
    run(config, tmp_path / "model", say=silent)
    said: list[str] = []
    run(config, tmp_path / "model", resume=False, say=said.append)
    assert not any("resuming" in line for line in said)


def test_steps_on_the_command_line_win(tmp_path: Path, data: Path) -> None:
    out = run(configure(tmp_path, data, "text", "steps = 50\n"), tmp_path / "model", steps=1, say=silent)
    assert [r["step"] for r in curve(out)] == [1]


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


def test_a_training_without_time_for_a_step_writes_no_model(tmp_path: Path, data: Path) -> None:
    """No model of random weights is written."""
    with pytest.raises(InputError, match="no time is left to train"):
        run(configure(tmp_path, data, "image"), tmp_path / "model", minutes=1e-6, say=silent)
    assert not (tmp_path / "model" / models.WEIGHTS).exists()


def test_steps_and_minutes_exclude_each_other(tmp_path: Path, data: Path) -> None:
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


def test_the_curve_of_held_out_bits_is_drawn(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("matplotlib")
    out = run(configure(tmp_path, data, "image", "steps = 2\n"), tmp_path / "model", say=silent)
    with Image.open(out / "curve.png") as picture:
        assert picture.size == (700, 450)


def test_a_rounded_network_predicts_as_its_integer_implementation(tmp_path: Path, data: Path) -> None:
    """Its bits are nearer to those of the file than without rounding, and it can be trained. Of a picture without a
    pixel of more than 20 bits: those that are all but impossible differ for other reasons.
    """
    config = configure(tmp_path, data, "image", "steps = 40\nrate = 0.01\nrounded = 0.5\nema = 0.5\n")
    out = run(config, tmp_path / "model", say=silent)
    assert curve(out)[-1]["train"] < curve(out)[0]["train"] - 0.3
    image = np.asarray(Image.open(data / "1.png"))
    wanted = bfncodec.load(out).codelength(image).bits_per_dim
    network = ConvNet(make(ConvNetConfig, models.read(out).config["network"], "network"))
    network.load_state_dict(restored_state(network, load_file(out / models.WEIGHTS)))
    x = torch.from_numpy(image.copy()).permute(2, 0, 1).float()[None]
    plain = bits(network, x)
    network.rounded = True
    with torch.no_grad():
        assert network(x).max() < 20
    assert abs(bits(network, x) - wanted) < 0.2 * abs(plain - wanted) + 1e-3
    with pytest.raises(InputError, match="rounded"):
        run(configure(tmp_path, data, "text", "rounded = 0.1\n"), tmp_path / "text", say=silent)
