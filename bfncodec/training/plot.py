"""A picture of the held-out bits of a training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def draw(curve: Path, picture: Path, title: str, names: Sequence[str]) -> None:
    """Draw the file `curve` (curve.jsonl) as the PNG file `picture`: one line for each held-out set, of these names.

    Raises ImportError without matplotlib.
    """
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in curve.read_text().splitlines()]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["train"] for row in rows], color="0.8", label="training data")
    for i, name in enumerate(names):
        axes.plot(steps, [row["validation"][i] for row in rows], label=f"{name}: {rows[-1]['validation'][i]:.4f}")
    late = [value for row in rows[len(rows) // 4 :] for value in (row["train"], *row["validation"])]
    axes.set_ylim(min(late) * 0.98, max(late) * 1.02)  # the first steps would hide the others
    axes.set(title=title, xlabel="step", ylabel="bits per byte or subpixel")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=100)
