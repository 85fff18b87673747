"""Tables for people: numbers to the right, everything else to the left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, filterfalse
from pathlib import Path

PEERS = ("#94a3b8", "#475569", "#ec4899", "#2563eb", "#16a34a", "#9333ea", "#111827")  # colours of lines
OURS = ("#c2410c", "#f59e0b", "#7f1d1d")


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
    drawn = axes.barh(names, [values[name] for name in names], color=[_color(name) for name in names])
    axes.bar_label(drawn, fmt="%.3f", padding=3)
    axes.margins(x=0.12)
    axes.set(title=title, xlabel=unit)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def sizes_plot(path: Path, title: str, unit: str, lines: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Draw bits against file size, a line for each name, ours thick, and save it (needs matplotlib).

    lines: for each name sizes in bytes and bits, smallest size first. "NAME, variant" has the colour of NAME, dashed.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    bases = dict.fromkeys(name.split(",")[0] for name in lines)
    colors = dict(zip(filterfalse(is_ours, bases), cycle(PEERS))) | dict(zip(filter(is_ours, bases), cycle(OURS)))
    for name, line in lines.items():
        base, dash = name.split(",")[0], "--" if "," in name else "-"
        width = 4 if is_ours(name) else 1.5
        axes.plot(*zip(*line, strict=True), dash, color=colors[base], lw=width, marker="o", ms=4, label=name)
    axes.set(title=title, xscale="log", yscale="log", xlabel="bytes of a file", ylabel=unit)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_locator(FixedLocator([0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12]))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=150)


def is_ours(name: str) -> bool:
    return name.startswith("bfncodec")


def _color(name: str) -> str:
    return OURS[0] if is_ours(name) else "#64748b"
