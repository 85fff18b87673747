"""Permission for tile registers."""

from __future__ import annotations

import sys

import pytest

from bfncodec.runtime.tiles import may_use_tiles


def test_other_systems_have_no_permission_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert not may_use_tiles()
