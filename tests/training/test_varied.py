"""Pictures as cameras make them: the same for a seed, in range, half of them as they were, and each way as it says."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from benchmarks.varied import main
from bfncodec.training import varied
from bfncodec.training.draws import Draws
from bfncodec.training.varied import MARGIN


def crops(count: int, side: int, seed: int = 0) -> Tensor:
    """Smooth pictures with a little texture, float [count, 3, side, side] of integers."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)
    return (smooth + 4 * torch.randn(smooth.shape, generator=generator)).round().clamp(0, 255)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 9), side=st.integers(1, 40), seed=st.integers(0, 99))
def test_varied_crops_are_pictures_and_follow_from_the_seed(count: int, side: int, seed: int) -> None:
    x = crops(count, side + MARGIN, seed)
    before = x.clone()
    first, second = (varied.varied(x, Draws(seed, 1)) for _ in range(2))
    assert first.shape == (count, 3, side, side)
    assert torch.equal(first, first.round().clamp(0, 255))
    assert torch.equal(first, second)
    assert torch.equal(x, before)


def test_about_half_of_the_crops_stay_as_they_are() -> None:
    x = crops(300, 8 + MARGIN)
    windows = x.byte().unfold(2, 8, 1).unfold(3, 8, 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    kept = set(map(bytes, windows.flatten(1).numpy()))
    share = np.mean([bytes(one) in kept for one in varied.varied(x, Draws(0)).byte().flatten(1).numpy()])
    assert 0.36 < share < 0.52  # half, less those that were JPEG afterwards


class Noiseless(Draws):
    """Draws without noise."""

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape)


class Answers(Draws):
    """Draws whose uniform numbers are given."""

    def __init__(self, *answers: float) -> None:
        super().__init__(0)
        self.answers = iter(answers)

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.full(shape, next(self.answers))


def test_noiseless_mosaics_of_flat_pictures_are_flat() -> None:
    flat = torch.tensor([200.0, 90.0, 30.0]).view(1, 3, 1, 1).expand(6, 3, 24, 24)
    assert (varied.camera(flat, Noiseless(0)) - flat)[:, :, 2:-2, 2:-2].abs().max() < 1e-3
    grey = torch.full((6, 3, 24, 24), 77.0)
    assert (varied.camera(grey, Noiseless(0)) - grey).abs().max() < 1e-3


def test_half_the_chroma_keeps_the_luma_of_even_colour() -> None:
    x = crops(3, 24)
    found = varied.half_chroma(x, Draws(0))
    grey = x[:, :1].expand(-1, 3, -1, -1)
    assert (varied.half_chroma(grey, Draws(0)) - grey).abs().max() < 1e-3
    assert (found - x).abs().mean() < 8


@pytest.mark.parametrize("sides", [(32, 48), (21, 37)])
def test_jpeg_is_as_pillow_makes_it(sides: tuple[int, int]) -> None:
    """The mean error of each quality is that of libjpeg with whole chroma, and the errors themselves are alike."""
    x = crops(1, 64)[:, :, : sides[0], : sides[1]]
    for quality in (55, 75, 95):
        level = (quality - varied.JPEG_QUALITY[0]) / (varied.JPEG_QUALITY[1] - varied.JPEG_QUALITY[0])
        found = varied.as_jpeg(x, Answers(level, 1.0))  # quality; no halves
        file = io.BytesIO()
        Image.fromarray(x[0].permute(1, 2, 0).byte().numpy()).save(file, "JPEG", quality=quality, subsampling=0)
        theirs = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)[None].float()
        assert (found - theirs).abs().mean() < 0.5 * (theirs - x).abs().mean() + 0.5


def test_a_folder_of_varied_pictures_is_made(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i, one in enumerate(crops(3, 50).byte().permute(0, 2, 3, 1).numpy()):
        Image.fromarray(one[: 50 - 30 * (i == 2)]).save(photos / f"{i}.png")
    result = CliRunner().invoke(main, [str(photos), str(tmp_path / "made"), "--side", "32"])
    assert result.exit_code == 0, result.output
    assert "2 pictures" in result.output  # the third is too small
    with Image.open(tmp_path / "made" / "000.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (32, 32))
    assert CliRunner().invoke(main, [str(photos), str(tmp_path / "none"), "--side", "99"]).exit_code == 2
