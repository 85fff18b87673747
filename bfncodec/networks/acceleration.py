"""The decision between compiled kernels and plain NumPy and torch, which compute the same integers.

Kernels need Numba (the extra ``fast``). A process takes a second to load them, and the first one on a machine half a
minute to compile them and keep them on disk, so short work is done without. The environment variable
``BFNCODEC_JIT`` decides instead: ``always`` or ``never``; any other value, or none, leaves it to :func:`kernels_pay`.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import lru_cache
from pathlib import Path

SWITCH = "BFNCODEC_JIT"  # environment variable: "always", "never", or empty for `kernels_pay` to decide
# Seconds that work takes without kernels and from which on these pay: loaded before, compiled before, not compiled yet.
LOADED_SECONDS, LOADING_SECONDS, COMPILING_SECONDS = 0.05, 2.0, 20.0


class Kernels:
    """The compiled kernels as they are here and now."""

    def work(self) -> bool:
        """Return whether Numba is installed and supports the NumPy that is."""
        return _numba_works()

    def loaded(self) -> bool:
        """Return whether this process has loaded the kernels."""
        return f"{__package__}.kernels" in sys.modules

    def compiled(self) -> bool:
        """Return whether compiled kernels are kept on this machine's disk."""
        from bfncodec.networks.kernels import multiply_packed  # needs Numba

        folder = multiply_packed.stats.cache_path
        return folder is not None and any(Path(folder).glob(f"*{multiply_packed.__name__}*.nbi"))


HERE = Kernels()


def kernels_pay(seconds: float, kernels: Kernels = HERE) -> bool:
    """Return whether work that takes about `seconds` without compiled kernels is to be done with them."""
    switch = os.environ.get(SWITCH)
    least = LOADED_SECONDS if kernels.loaded() else LOADING_SECONDS
    if switch == "never" or (switch != "always" and seconds <= least) or not kernels.work():
        return False
    if kernels.compiled():
        return True
    worth = switch == "always" or seconds > COMPILING_SECONDS
    if worth:
        _announce()
    return worth


@lru_cache(maxsize=1)
def _announce() -> None:
    logging.getLogger(__name__).info("compiling kernels, which takes half a minute, once on this machine ...")


@lru_cache(maxsize=1)
def _numba_works() -> bool:
    """Return what :meth:`Kernels.work` does: Numba is looked for once."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True
