"""Loops compiled by Numba, where it is installed: the same integers as NumPy and torch make, sooner.

Nothing needs them. They take a second to load, and half a minute the first time on a machine, when they are compiled
and kept on disk, so short work is done without them.

Why they are exact: integers are integers, and floats are added, multiplied, divided, rounded and taken the root of one
IEEE operation at a time: Numba reorders and fuses none of them unless asked to (``fastmath``), which nobody does.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

SWITCH = "BFNCODEC_LOOPS"  # this variable set to "never" or "always" decides instead of `pays`
WARM, LOADING, COMPILING = 0.05, 2.0, 20.0  # seconds of work without loops that are worth a call, and these


def pays(seconds: float) -> bool:
    """Whether work that takes about so long without loops is worth loading them here, or compiling them first."""
    switch, least = os.environ.get(SWITCH), WARM if _loaded() else LOADING
    if switch == "never" or (switch != "always" and seconds <= least) or not _works():
        return False
    if _kept():
        return True
    worth = switch == "always" or seconds > COMPILING
    if worth:
        _announce()
    return worth


@lru_cache(maxsize=1)
def _announce() -> None:
    logging.getLogger(__name__).info("compiling loops, which takes half a minute, once on this machine ...")


@lru_cache(maxsize=1)
def _works() -> bool:
    """Return whether Numba is installed, and goes with the NumPy that is."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def _loaded() -> bool:
    """Return whether this process has used loops before."""
    return "bfncodec.networks.kernels" in sys.modules


def _kept() -> bool:
    """Return whether loops were compiled on this machine before."""
    from bfncodec.networks.kernels import multiply_packed

    folder = multiply_packed.stats.cache_path
    return folder is not None and any(Path(folder).glob(f"*{multiply_packed.__name__}*.nbi"))


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled when it is first called; it runs without Python's lock."""
    import numba

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to keep it in can be written
        return numba.njit(nogil=True, error_model="numpy")(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """A function that writes the instructions of another, see `numba.extending.intrinsic`."""
    import numba.extending

    return numba.extending.intrinsic(function)
