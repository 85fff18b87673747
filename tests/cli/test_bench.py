"""``bfncodec bench``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import bfncodec
from support.commands import TEXT, names, run
from support.doubles import FakeModels, FakeModelsAndArchive, noise

SOME = ("--only", "bfncodec", "--only", "png", "--only", "gzip")  # fast ones


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModels]:
    found = FakeModels()
    monkeypatch.setattr("bfncodec.api.Models", lambda device, threads: found)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "noise.bin").write_bytes(noise(3, 900).tobytes())
    Image.fromarray(noise(4, 30, 20, 3)).save(tmp_path / "photo.png")
    return tmp_path


def test_files_of_a_kind_have_a_table(folder: Path) -> None:
    lines = run("bench", *SOME, "--level", "1", "--level", "5", "a.txt", "noise.bin", "photo.png").stdout.splitlines()
    size = len(TEXT) + 900
    assert lines[0] == f"files (2): {size:,} bytes as found, {size:,} bytes"
    assert [line.split("  ")[0] for line in lines] == [
        *(lines[0], "codec", "gzip -9", "bfncodec -1", "bfncodec -5", ""),
        *(lines[6], "codec", "PNG", "bfncodec -1", "bfncodec -5"),
    ]
    assert lines[6].startswith("pictures (1): ")
    assert lines[6].endswith(" bytes as found, 1,800 subpixels")
    assert "ratio" not in run("bench", "--only", "bfncodec", "--ratios", "noise.bin").stdout


def test_ours_is_divided_by_each_of_the_others(folder: Path) -> None:
    options = ("--only", "bfncodec", "--only", "gzip", "--only", "bzip2", "--ratios", "--level", "1", "--level", "5")
    lines = run("bench", *options, "noise.bin").stdout.splitlines()
    table = lines[lines.index("") + 1 :]
    assert [line.split("  ")[0] for line in table] == [
        "ratio",
        *(f"bfncodec -{level} / {other}" for level in (1, 5) for other in ("bzip2 -9", "gzip -9")),
    ]
    sizes = {line.split("  ")[0]: int(line.split("  ", 1)[1].split()[0].replace(",", "")) for line in lines[2:6]}
    for line in table[1:]:
        ours, other = line.split("  ")[0].split(" / ")
        ratio, *times = map(float, line.split("  ", 1)[1].replace(",", "").split())
        assert ratio == pytest.approx(sizes[ours] / sizes[other], abs=0.001)
        assert min(times) >= 0


def test_programs_have_every_file(folder: Path) -> None:
    (found,) = json.loads(run("bench", *SOME, "--json", "noise.bin").stdout)
    assert found["scores"]["bfncodec -5"]["bytes"] == len(
        bfncodec.compress(noise(3, 900).tobytes(), codecs=FakeModels())
    )
    assert found["scores"]["gzip -9"]["bytes"] > 900
    assert (found["name"], found["kind"], found["dims"], found["failures"]) == ("noise.bin", "files", 900, {})
    assert names(folder) == {"a.txt", "noise.bin", "photo.png"}


def test_a_file_that_is_missing_is_a_failure(folder: Path) -> None:
    result = run("bench", *SOME, "missing", "noise.bin", code=1)
    assert "missing: " in result.stderr
    assert "gzip -9" in result.stdout


@pytest.mark.slow
def test_a_plot_is_made_and_replaces_no_source(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    run("bench", *SOME, "--plot", "x.png", "noise.bin", "photo.png")
    with Image.open(folder / "x.png") as image:
        assert min(image.size) > 100
    before = (folder / "photo.png").read_bytes()
    run("bench", *SOME, "-f", "--plot", "photo.png", "photo.png", code=1)
    assert (folder / "photo.png").read_bytes() == before


def test_a_page_is_made_and_replaces_no_source(folder: Path) -> None:
    pytest.importorskip("jinja2")
    run("measure", "-m", "none", "--html", "x.html", "noise.bin")
    page = (folder / "x.html").read_text()
    assert "noise.bin" in page
    assert "gzip -9" in page
    run("measure", "-m", "none", "--html", "x.html", "noise.bin", code=1)
    run("measure", "-m", "none", "-f", "--html", "a.txt", "a.txt", code=1)
    assert (folder / "a.txt").read_bytes() == TEXT


def test_a_folder_has_a_page_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an archive no bits belong to one place, and other codecs take no folders."""
    pytest.importorskip("jinja2")
    monkeypatch.setattr("bfncodec.api.Models", lambda device, threads: FakeModelsAndArchive())
    (folder / "tiny").mkdir()
    for number in range(3):
        Image.fromarray(noise(number, 4, 4, 3)).save(folder / "tiny" / f"{number}.png")
    run("measure", "-m", "archive", "--html", "x.html", "tiny")
    page = (folder / "x.html").read_text()
    assert "Bits along the file" in page
    assert "Against other codecs" not in page
