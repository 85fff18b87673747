"""The models of this machine, where and how the options say that they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bfncodec import api

__all__ = ["models_of"]


def models_of(given: Mapping[str, Any]) -> api.Models:
    """Return the models of this machine on the device, and with the threads, that the options name."""
    return api.Models(given["device"], given["threads"])
