"""Devices by name, and why one cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import bfncodec
from bfncodec.errors import InputError
from bfncodec.runtime.devices import device_named
from support.models import export_text


def test_devices_that_are_not_there(tmp_path: Path) -> None:
    model = export_text(tmp_path)
    for device in ("nonsense", "cuda:99"):
        with pytest.raises(InputError, match=r"expected cpu, cuda|device cuda:99"):
            bfncodec.load(model, device=device)


@pytest.mark.parametrize(
    ("built", "count", "name", "message"),
    [
        (False, 0, "cuda", "was built without CUDA: use cpu"),
        (True, 0, "cuda", "finds no CUDA device on this machine: use cpu"),
        (True, 1, "cuda:1", "one of the 1 CUDA devices of this machine, cuda:0 alone"),
        (True, 3, "cuda:3", "one of the 3 CUDA devices of this machine, cuda:0 to cuda:2"),
        (True, 3, "cuda:2", r"cannot be used \(busy\): use cpu"),
        (True, 3, "meta", "expected cpu, cuda or cuda:NUMBER as device, found 'meta'"),
        (True, 3, "cuda:-1", "expected cpu, cuda or cuda:NUMBER"),
    ],
)
def test_why_a_device_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, built: bool, count: int, name: str, message: str
) -> None:
    def busy(*args: Any, **given: Any) -> None:
        raise RuntimeError("busy\nand more")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "empty", busy)
    assert device_named("cpu") == device_named(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(InputError, match=message):
        device_named(name)
