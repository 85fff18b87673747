"""The decision between compiled kernels and plain NumPy and torch, which compute the same integers.

Kernels need Numba (the extra ``fast``). The first process on a machine takes half a minute to compile them and keep
them on disk, so short work is done without until there has been much of it. Later processes load them in a few
milliseconds, without Numba. The environment variable ``BFNCODEC_JIT`` decides instead: ``always`` or ``never``; any
other value, or none, leaves it to :func:`kernels_pay`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from bfncodec.runtime.jit import is_kept

SWITCH = "BFNCODEC_JIT"  # environment variable: "always", "never", or empty for `kernels_pay` to decide
COMPILING_SECONDS = 20.0  # that work takes without kernels and from which on these pay if they have to be compiled


@dataclass(frozen=True)
class Kernels:
    """The compiled kernels of a network as they are here and now. entry: the one that calls the others."""

    module: str
    entry: str

    def work(self) -> bool:
        """Return whether Numba is installed, supports the NumPy that is, and is not told to compile nothing."""
        return _numba_works()

    def compiled(self) -> bool:
        """Return whether their code is kept on this machine's disk."""
        try:
            return is_kept(getattr(import_module(self.module), self.entry))
        except ImportError:  # not even its LLVM is here
            return False

    def place(self) -> Path | None:
        """Return the folder for the code of the entry, None where it is not. Raises ImportError without Numba."""
        place: Path | None = getattr(import_module(self.module), self.entry).place
        return place


TRANSFORMER = Kernels("bfncodec.networks.transformer.compiled", "_forward")
MIXING = Kernels("bfncodec.coding.mixing.compiled.steps", "encode")
CORRECTIONS = Kernels("bfncodec.coding.mixing.compiled.corrections", "correct")
CONVNET = Kernels("bfncodec.networks.convnet.writing", "find_intervals")
CONVNET_STEPS = Kernels("bfncodec.networks.convnet.layers", "advance")


def kernels_pay(seconds: float, kernels: Kernels) -> bool:
    """Return whether work that takes about `seconds` without compiled kernels is to be done with them."""
    switch = os.environ.get(SWITCH)
    if switch == "never":
        return False
    if kernels.compiled():
        return True
    if not kernels.work():
        return False
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
        import numba
    except ImportError:
        return False
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]  # set as it is imported
