"""Entry points: what an installed package tells other libraries."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint

import pytest

from support.places import ROOT

GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
POINTS = [EntryPoint(name, value, group) for group, points in GROUPS.items() for name, value in points.items()]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_each_leads_to_what_has_its_name(point: EntryPoint) -> None:
    pytest.importorskip(point.group.split(".")[0], reason=f"{point.group.split('.')[0]} is not installed")
    found = point.load()
    assert point.name in {getattr(found, name, None) for name in ("name", "codec_id", "protocol")}
