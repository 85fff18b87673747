"""Devices by name: the CPU or a CUDA device, or what to do where that one cannot be had."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bfncodec.errors import InputError
from bfncodec.runtime.lazytorch import import_torch

if TYPE_CHECKING:
    import torch

__all__ = ["check_device", "device_named"]


def device_named(name: str | torch.device) -> torch.device:
    """The torch device of a name. InputError as of `check_device`."""
    device: torch.device = import_torch().device(check_device(name))
    return device


def check_device(name: str | torch.device) -> str:
    """Return a device's name: cpu, cuda, or cuda:1 and so on. InputError that says why where it cannot be used. The CPU
    can be without torch.
    """
    found = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", str(name))
    if found is None:
        raise InputError(f"expected cpu, cuda or cuda:NUMBER as device, found {str(name)!r}")
    if str(name) == "cpu":
        return "cpu"
    torch = import_torch()
    if not torch.backends.cuda.is_built():
        raise InputError(
            f"device {name}: the installed torch {torch.__version__} was built without CUDA: use cpu, or install torch "
            "with it"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise InputError(f"device {name}: torch finds no CUDA device on this machine: use cpu")
    if int(found[1] or 0) >= count:
        last = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0 alone"
        raise InputError(f"device {name}: expected one of the {count} CUDA devices of this machine, {last}")
    try:
        torch.empty(0, device=str(name))
    except RuntimeError as error:  # in use by another process alone, or with a driver that does not fit
        raise InputError(f"device {name} cannot be used ({str(error).splitlines()[0]}): use cpu") from error
    return str(name)
