"""Plots of where the bits go."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from bfncodec.analysis.measurement import measure
from bfncodec.analysis.plots import MOST_NAMES, Trade, plot_steps, plot_trade, require_matplotlib
from bfncodec.errors import InputError
from support.doubles import FakeModels, noise


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, MOST_NAMES + 1])
def test_measurements_become_a_picture(count: int) -> None:
    """Without any that a model coded, too, and with more than a legend has room for."""
    pytest.importorskip("matplotlib")
    found, other = measure(noise(3, 900).tobytes(), codecs=FakeModels()), measure(b"a" * 99, codecs=FakeModels())
    made = plot_steps([("other", other), *[("noise", found)] * count], "png")
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (1200, 900)
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 2
    with pytest.raises(InputError, match="'nonsense'"):
        plot_steps([], "nonsense")


def test_a_plot_needs_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (require_matplotlib, lambda: plot_steps([], tmp_path / "x.png")):
        with pytest.raises(InputError, match=r"pip install 'bfncodec\[plot\]'"):
            call()
    assert not (tmp_path / "x.png").exists()


@pytest.mark.slow
def test_bits_against_time_become_a_picture() -> None:
    pytest.importorskip("matplotlib")
    trade = Trade("photos", "bits/subpixel", {"PNG": (4.7, 1.0, 0.01), "bfncodec -5": (3.0, 4.0, 8.0)})
    sizes = []
    for trades in ([trade], [trade, trade]):
        with Image.open(io.BytesIO(plot_trade(trades, "png"))) as image:
            sizes.append(image.height)
    assert sizes[1] == 2 * sizes[0]
