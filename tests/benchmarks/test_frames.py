"""Parts of a file's frame are told apart."""

from __future__ import annotations

from collections import Counter

import pytest
from click.testing import CliRunner

from benchmarks.frames import PARTS, frame_bytes, main
from support.goldens import read
from support.places import GOLDEN
from support.specimens import specimens


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("stored", {"start": 3, "checks": 4}),
        ("text_model", {"start": 3, "checks": 4, "models": 4}),
        ("bytearray", {"start": 3, "checks": 4, "extras": 4}),
        ("array_f8", {"start": 3, "checks": 4, "fields": 3}),
        ("bmp", {"start": 3, "checks": 4, "fields": 2}),
    ],
)
def test_parts_of_a_compact_file(name: str, parts: dict[str, int]) -> None:
    found = frame_bytes(specimens()[name])
    assert found.total() == len(specimens()[name])
    assert {part: found[part] for part in PARTS if found[part]} == parts


def test_parts_of_a_segmented_file() -> None:
    found = frame_bytes(specimens()["many_models"])  # 3 tiles, one model
    assert found["fields"] == 1 + 4  # and the sides
    assert (found["checks"], found["models"], found["segments"]) == (2 + 3 * 8 + 4, 4, 3 * 2)
    assert found["index"] == 1 + (1 + 4 + 1) + 3 + 1 + 2  # a run, three sizes, its own and the end mark


def test_rows_are_taken_apart() -> None:
    names = ("stored_bytes", "lines_bytes", "lzma_text", "stored_bytes")
    found = sum((frame_bytes(read(f"{name}.bfn")) for name in names), Counter[str]())
    assert frame_bytes(read("joined_bytes.bfn")) == found


def test_the_command() -> None:
    result = CliRunner().invoke(main, [str(GOLDEN / f"{name}.bfn") for name in ("short_text", "stored_bytes")])
    assert result.exit_code == 0
    assert "2 files, 7.00 bytes of frame each, at most 7" in result.output
