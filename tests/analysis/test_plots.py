"""Plots of where the bits go."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from bfncodec.analysis.measurement import measure
from bfncodec.analysis.plots import MOST_NAMES, plot_steps, require_matplotlib
from bfncodec.errors import InputError
from support.doubles import FakeModels, noise


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
