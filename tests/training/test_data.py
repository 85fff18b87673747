"""Training data: what is drawn, how often, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bfncodec import models
from bfncodec.errors import InputError
from bfncodec.training.data import CropSampler, ImageSource, WindowSampler
from bfncodec.training.draws import Draws
from bfncodec.training.items import warped
from bfncodec.training.loop import run
from support.trainings import IMAGE, TEXT, configure, curve, silent


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


def test_arrays_that_are_no_images_are_refused(data: Path) -> None:
    with pytest.raises(InputError, match=r"halves\.npy.*\[80, 8, 8\]"):
        CropSampler(ImageSource((f"{data}/halves.npy",), 4, 1))


@pytest.mark.slow
def test_a_varied_source_is_seeded_and_validated_apart(tmp_path: Path, data: Path) -> None:
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
