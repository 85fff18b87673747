"""Tables for people: numbers to the right, everything else to the left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells below their heads, as text.

    >>> print(table(["file", "bytes"], [["a.txt", "12"], ["long.txt", "1,200"]]))
    file      bytes
    a.txt        12
    long.txt  1,200
    """
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def bars(path: Path, title: str, unit: str, values: dict[str, float]) -> None:
    """Draw one bar per name, the best at the top, and save it (needs matplotlib)."""
    from matplotlib.figure import Figure

    names = sorted(values, key=lambda name: values[name], reverse=True)
    figure = Figure(figsize=(7, 1 + 0.4 * len(names)), layout="constrained")
    axes = figure.subplots()
    colors = ["#c2410c" if name.startswith("bfncodec") else "#94a3b8" for name in names]
    drawn = axes.barh(names, [values[name] for name in names], color=colors)
    axes.bar_label(drawn, fmt="%.3f", padding=3)
    axes.margins(x=0.12)
    axes.set(title=title, xlabel=unit)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
