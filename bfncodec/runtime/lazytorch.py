"""torch, which is imported when something needs it: where compiled kernels work on the CPU nothing does."""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["import_torch", "imported_torch"]

SPIN = "GOMP_SPINCOUNT"


def imported_torch() -> Any:
    """Return torch if this process has imported it, otherwise None."""
    if sys.modules.get("torch") is None:
        return None
    import torch  # waits while another thread imports it

    return torch


def import_torch() -> Any:
    """Return torch, imported so that its threads do not spin long while they wait.

    They starve each other where processors are shared (ten times slower, measured); threads that sleep at once make
    short steps slow. GNU OpenMP reads the variable when torch is first imported, and never again.
    """
    if "torch" in sys.modules or SPIN in os.environ:
        import torch

        return torch
    os.environ[SPIN] = "20000"
    try:
        import torch
    finally:
        del os.environ[SPIN]
    return torch
