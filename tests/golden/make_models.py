"""Writes the golden files of the shipped models. Ran once for each; files that exist are kept, for they must decode
for ever.

    python tests/golden/make_models.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import bfncodec

HERE = Path(__file__).parent
DEMO = HERE.parents[1] / "benchmarks" / "demo_files"


def originals() -> dict[str, object]:
    """What the golden files hold: a piece of the demonstration's photo, and of its text."""
    pixels = np.asarray(Image.open(DEMO / "coffee.png").convert("RGB"))[120:168, 260:324]
    text = (DEMO / "alice.txt").read_bytes()
    return {
        "model_photo": pixels,
        "model_text": text[2000:3000],
        "model_text_short": text[3000:3200],
        "model_text_long": text[:6000],
    }


if __name__ == "__main__":
    for name, content in originals().items():
        path = HERE / f"{name}.bfn"
        if not path.exists():
            path.write_bytes(bfncodec.compress(content))
