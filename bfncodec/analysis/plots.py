"""Plots of measurements; matplotlib is an extra, imported only when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bfncodec.analysis.measurement import Measurement
from bfncodec.errors import InputError
from bfncodec.flow.report import CodeLength
from bfncodec.runtime.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Trade", "plot_kind", "plot_steps", "plot_trade", "require_matplotlib"]

MOST_NAMES = 10  # files a legend has room for, and colours there are
OURS, PEER = "#c2410c", "#64748b"  # colours of codecs


@dataclass(frozen=True)
class Trade:
    """Bits against time of some codecs, for a plot.

    Parameters
    ----------
    title, unit
        What was coded, and what bits are counted for.
    points
        For each codec its bits, and the seconds that a megabyte takes to encode and to decode.
    """

    title: str
    unit: str
    points: Mapping[str, tuple[float, float, float]]


def plot_kind(target: Path) -> str:
    """Return the kind of picture that a file of this name is: what the name ends in, PNG without an end."""
    return target.suffix[1:].lower() or "png"


def require_matplotlib(kind: str = "png") -> None:
    """Raise InputError where matplotlib is not installed, naming the pip command, or writes no pictures of a kind."""
    try:
        import matplotlib  # noqa: F401
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise InputError("a plot needs matplotlib: pip install 'bfncodec[plot]'") from error
    known = FigureCanvasBase.get_supported_filetypes()
    if kind not in known:
        raise InputError(
            f"expected a kind of picture to draw the plot as, one of {', '.join(sorted(known))}, found {kind!r}"
        )


def plot_steps(measured: Sequence[tuple[str, Measurement]], kind: str) -> bytes:
    """Draw the bits of each step of every measurement that has any, and their sum so far beside the size of the file.

    measured: (name of a file, its measurement). kind: of the image file, whose bytes are returned: "png", "svg", "pdf",
    or what else matplotlib writes. Raises InputError where matplotlib is missing, or does not write that kind.
    """
    require_matplotlib(kind)
    from matplotlib.figure import Figure  # no pyplot: no window, no global state

    figure = Figure(figsize=(8, 6), layout="constrained")
    steps, sums = figure.subplots(2, sharex=True, height_ratios=[3, 2])
    drawn = [(name, found, found.ideal) for name, found in measured if found.ideal is not None]
    for number, (name, found, ideal) in enumerate(drawn):
        label = f"{Path(name).name}: ideal {ideal.bits / 8:,.0f} bytes, file {found.container_bytes:,} bytes"
        color = f"C{number % MOST_NAMES}"
        _draw_steps(steps, ideal.kl, color)
        _draw_sums(sums, ideal, found.container_bytes, label, color)
    steps.set(title="Where the bits of $L^n$ go", ylabel="KL($p_S$ || $p_R$), bits per step", ylim=(0, None))
    sums.set(xlabel="step i of the schedule", ylabel="sum so far, bytes\n(dashed: the file)", ylim=(0, None))
    for axes in (steps, sums):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter("{x:,.10g}")
    if not drawn:
        steps.text(0.5, 0.5, "no model coded any of it", transform=steps.transAxes, ha="center")
    elif len(drawn) <= MOST_NAMES:
        figure.legend(loc="outside lower center")
    return _saved(figure, kind)


def plot_trade(trades: Sequence[Trade], kind: str) -> bytes:
    """Draw bits against the time that coding takes, a row of axes for each trade. Arguments as :func:`plot_steps`."""
    require_matplotlib(kind)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5 * len(trades)), layout="constrained")
    for row, trade in zip(figure.subplots(len(trades), 2, sharey="row", squeeze=False), trades, strict=True):
        for axes, verb, which in zip(row, ("encoding", "decoding"), (1, 2), strict=True):
            _draw_trade(axes, trade.points, which)
            axes.set(xscale="log", xlabel=f"{verb}: seconds a megabyte", ylabel=trade.unit)
        row[0].set_title(trade.title, loc="left")
    return _saved(figure, kind)


def _draw_trade(axes: Axes, points: Mapping[str, tuple[float, float, float]], which: int) -> None:
    """Draw a dot with its name for each codec."""
    for rank, (name, point) in enumerate(sorted(points.items(), key=lambda item: item[1][0])):
        color, shift = OURS if name.startswith("bfncodec") else PEER, (5, -10 if rank % 2 else 4)
        axes.plot(point[which], point[0], "o", color=color)
        axes.annotate(name, (point[which], point[0]), shift, textcoords="offset points", fontsize=8, color=color)
    axes.margins(x=0.25)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _saved(figure: Figure, kind: str) -> bytes:
    """Return a figure as an image file."""
    out = io.BytesIO()
    figure.savefig(out, dpi=150, format=kind)
    return out.getvalue()


def _draw_steps(axes: Axes, kl: Floats, color: str) -> None:
    """Draw every step faintly, their running mean on top: single steps of a text are mostly noise."""
    step, mean = np.arange(1, len(kl) + 1), np.ones(max(1, len(kl) // 50))
    axes.plot(step, kl, linewidth=0.6, alpha=0.4, color=color)
    smooth = np.convolve(kl, mean, "same") / np.convolve(np.ones(len(kl)), mean, "same")  # fewer at both ends
    axes.plot(step, smooth, linewidth=1.6, color=color)


def _draw_sums(axes: Axes, ideal: CodeLength, file_bytes: int, label: str, color: str) -> None:
    """Draw the sum of the steps so far, the reconstruction after the last one, and the size of the file."""
    step = np.minimum(np.arange(1, len(ideal.kl) + 2), len(ideal.kl))
    axes.plot(step, np.cumsum([*ideal.kl, ideal.reconstruction]) / 8, linewidth=1.6, color=color, label=label)
    axes.axhline(file_bytes, linewidth=0.8, linestyle="--", color=color)
