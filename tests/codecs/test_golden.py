"""Payloads of tiny models, one of every kind of codec, are decoded for ever."""

from __future__ import annotations

import json

import pytest

import bfncodec
from bfncodec.networks import acceleration
from support.cases import CASES, digest
from support.places import GOLDEN

TINY = GOLDEN / "tiny"
INDEX: dict[str, str] = json.loads((TINY / "index.json").read_text())


@pytest.mark.parametrize("name", list(INDEX))
def test_golden_payloads_of_tiny_models_decode_for_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(acceleration.SWITCH, "never")
    codec = bfncodec.load(TINY / name, threads=1)
    assert digest(codec.decode((TINY / name / "payload").read_bytes())) == INDEX[name]


@pytest.mark.parametrize("name", list(INDEX))
def test_golden_payloads_of_tiny_models_are_written_again_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder may become better one day, and then this is to be weakened on purpose: bytes do not change unseen."""
    monkeypatch.setenv(acceleration.SWITCH, "never")
    codec, payload = bfncodec.load(TINY / name, threads=1), (TINY / name / "payload").read_bytes()
    assert codec.encode(codec.decode(payload)) == payload


def test_every_golden_case_has_a_payload() -> None:
    """Where this fails: python tests/golden/make_tiny.py."""
    assert {name.replace(" ", "-") for name, case in CASES.items() if case.golden} <= set(INDEX)
