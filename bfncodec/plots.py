"""Pictures of measurements; matplotlib is an extra and imported only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bfncodec.errors import InputError, OutputError
from bfncodec.measurement import Measurement

__all__ = ["plot_steps", "require_matplotlib"]


def require_matplotlib() -> None:
    """Raise InputError, naming the pip command, where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError("a plot needs matplotlib: pip install 'bfncodec[plot]'") from error


def plot_steps(measured: Sequence[tuple[str, Measurement]], target: Path) -> None:
    """Bits of every step of each named measurement that has any, to an image file. OutputError where that fails."""
    require_matplotlib()
    from matplotlib.figure import Figure  # no pyplot: no window, no global state

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, found in measured:
        if found.ideal is not None:
            axes.plot(range(1, len(found.ideal.kl) + 1), found.ideal.kl, linewidth=0.8, label=name)
    axes.set(xlabel="step i", ylabel="KL(p_S || p_R) in bits", title="Bits by step")
    if axes.lines:
        axes.legend()
    try:
        figure.savefig(target)
    except (OSError, ValueError) as error:
        raise OutputError(f"{target} cannot be written: {error}") from error
