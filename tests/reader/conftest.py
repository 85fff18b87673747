"""Codecs to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import bfncodec
from bfncodec.networks import acceleration
from support.places import GOLDEN

TINY = GOLDEN / "tiny"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Load a codec without compiled kernels, which take long to compile."""
    monkeypatch.setenv(acceleration.SWITCH, "never")
    return lambda folder: bfncodec.load(folder, threads=1)
