"""Dictionaries of samples: what is taken, what is refused, and that nothing is lost where one replaces a model."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bfncodec
from bfncodec import models
from bfncodec.errors import InputError, ModelError, ModelNotFoundError, OutputError
from bfncodec.files import dictionaries

TINY = Path(__file__).parents[1] / "golden" / "tiny"
ROWS = [f'{{"id": {n}, "user": "u{n * 7919 % 1000}"}}\n'.encode() for n in range(1000)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models, with a text model `base` that has phrases, in which the test stands."""
    shutil.copytree(TINY / "phrased-text", tmp_path / "base")
    described = tmp_path / "base" / models.CONFIG
    config = json.loads(described.read_text())
    config["mixing"]["phrases"] = "base"
    described.write_text(
        json.dumps(config | {"name": "base", "levels": [1, 3], "beside": "text", "teeth_by_length": [[0, 1]]})
    )
    (tmp_path / "base" / models.STATED).unlink(missing_ok=True)
    monkeypatch.setattr(models, "search_path", lambda: [tmp_path])
    monkeypatch.setattr(dictionaries, "search_path", lambda: [tmp_path])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dictionary_is_a_model_in_the_weights_and_phrases_of_another(folder: Path) -> None:
    made = bfncodec.make_dictionary(ROWS, "rows", "base", 5000)
    assert made.path == Path("rows")
    assert made.sha256 == models.find("rows").sha256
    made.check()
    base = models.find("base")
    assert made.id != base.id
    assert {path.name for path in (folder / "rows").iterdir()} == {
        models.CONFIG,
        models.DICTIONARY,
        models.STATED,
        "README.md",
    }
    assert made.weights.samefile(base.weights)
    assert made.phrases is not None
    assert base.phrases is not None
    assert made.phrases.samefile(base.phrases)
    assert made.levels is made.beside is None
    assert made.config["mixing"] == base.config["mixing"] | {"from_length": 1, "dictionary": True}
    for key in ("role", "network", "streams", "teeth_by_length"):
        assert made.config[key] == base.config[key]
    card = (folder / "rows/README.md").read_text()
    assert base.sha256 in card
    assert f"{len(made.read_dictionary()):,} bytes" in card


# ---- samples ----------------------------------------------------------------------------------------


def made_of(samples: Any, size: int = 1000) -> bytes:
    return bfncodec.make_dictionary(samples, "rows", "base", size, force=True).read_dictionary()


def test_samples_that_fit_are_all_taken(folder: Path) -> None:
    assert made_of([b"to be\n", "or not to be", b"", b"to be\n", bytearray(b"that is"), "ü"]) == (
        b"to be\nor not to be\nthat is\n\xc3\xbc"
    )
    assert made_of([b"to be"], 5) == b"to be"
    assert made_of([b"to be\n"], 5) == b"to be"
    assert made_of(iter(ROWS), 200_000) == b"".join(ROWS)


@pytest.mark.parametrize("size", [1000, 4096, 20_000])
def test_of_more_whole_ones_are_taken_in_their_order_and_evenly_spread(folder: Path, size: int) -> None:
    data = made_of(ROWS, size)
    assert size - 40 <= len(data) <= size
    found = [ROWS.index(line + b"\n") if line + b"\n" in ROWS else -1 for line in data.splitlines()]
    assert found.count(-1) <= 1  # what was left for the last one taken
    taken = [n for n in found if n >= 0]
    assert taken == sorted(set(taken))
    share = len(ROWS) / len(taken)
    gaps = [b - a for a, b in zip([-1, *taken], [*taken, len(ROWS)], strict=True)]
    assert max(gaps) <= 4 * share
    for part in range(4):
        inside = [n for n in taken if part * 250 <= n < part * 250 + 250]
        assert abs(len(inside) - len(taken) / 4) <= len(taken) / 8 + 1


def test_long_samples_leave_room_for_others(folder: Path) -> None:
    data = made_of([b"a" * 10_000, *ROWS, b"b" * 10_000], 8000)
    assert data.count(b"a" * 1000) <= 1
    assert data.count(b"a") + data.count(b"b") < 2200
    assert data.count(b'"id"') > 150


def test_few_long_samples_fill_it(folder: Path) -> None:
    assert made_of([b"a" * 10_000]) == b"a" * 1000
    data = made_of([b"a" * 10_000, b"b" * 10_000])
    assert len(data) == 1000
    assert set(data) == {*b"ab\n"}


def test_of_very_many_samples_few_are_held_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = dictionaries._OVERHEAD * 200

    def many() -> Iterator[bytes]:
        for n in range(40_000):
            yield b"%05d-" % n * 3

    monkeypatch.setattr(dictionaries, "_LEAST_POOL", held)
    pool, found = dictionaries._pool(many(), 300)
    assert found == 40_000
    assert 50 <= len(pool) <= 250
    numbers = [int(sample[:5]) for sample in pool]
    assert numbers == sorted(numbers)
    gaps = [b - a for a, b in zip([0, *numbers], [*numbers, 40_000], strict=True)]
    assert max(gaps) <= 4 * 40_000 / len(pool)


@pytest.mark.parametrize("samples", [[], [b""], iter(()), ["", b""]])
def test_no_samples(folder: Path, samples: Any) -> None:
    with pytest.raises(InputError, match="expected samples, texts like those to come, found none"):
        bfncodec.make_dictionary(samples, "rows", "base")
    assert not (folder / "rows").exists()


@pytest.mark.parametrize("samples", [b"to be", "to be", 3, None, [3], [None], [[b"to be"]]])
def test_what_are_no_samples(folder: Path, samples: Any) -> None:
    with pytest.raises(InputError, match=r"expected (several samples|samples of bytes or str), found"):
        bfncodec.make_dictionary(samples, "rows", "base")
    assert not (folder / "rows").exists()


# ---- what is asked for ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1, models.LARGEST_DICTIONARY + 1, 2.0, True, "110KB"])
def test_sizes_that_cannot_be(folder: Path, size: Any) -> None:
    with pytest.raises(InputError, match=r"expected a (size of 1 to|whole number)"):
        bfncodec.make_dictionary(ROWS, "rows", "base", size)


def test_models_that_can_have_none(folder: Path) -> None:
    shutil.copytree(TINY / "picture", folder / "image")
    shutil.copytree(TINY / "mixed-text", folder / "unmixed")
    described = folder / "unmixed" / models.CONFIG
    described.write_text(json.dumps({**json.loads(described.read_text()), "mixing": None}))
    made = bfncodec.make_dictionary(ROWS, "rows", "base")
    for model in ("image/", "unmixed/"):
        with pytest.raises(InputError, match="expected a text model that learns from its texts"):
            bfncodec.make_dictionary(ROWS, "other", f"./{model}")
    described.write_text(json.dumps({**json.loads(described.read_text()), "mixing": {}, "teeth_by_length": [[0, 2]]}))
    with pytest.raises(InputError, match="expected a text model of one tooth"):
        bfncodec.make_dictionary(ROWS, "other", "./unmixed")
    for again in ("rows", folder / "rows", made):
        with pytest.raises(InputError, match="expected a model without a dictionary, rows has one"):
            bfncodec.make_dictionary(ROWS, "other", again)
    with pytest.raises(ModelNotFoundError):
        bfncodec.make_dictionary(ROWS, "other", "nothing")
    with pytest.raises(InputError, match="expected the name of a model"):
        bfncodec.make_dictionary(ROWS, "other", 3)  # type: ignore[arg-type]
    assert not (folder / "other").exists()


def test_a_damaged_model_gets_none(folder: Path) -> None:
    (folder / "base" / models.STATED).write_text("0" * 64 + "\n")
    with pytest.raises(ModelError, match="damaged or were changed"):
        bfncodec.make_dictionary(ROWS, "rows", "base")
    assert not (folder / "rows").exists()


@pytest.mark.parametrize("name", ["base", "elsewhere/base", "text", "photo", "none", "auto", "two\nlines", "/"])
def test_names_that_a_dictionary_cannot_have(folder: Path, name: str) -> None:
    before = files(folder)
    with pytest.raises(InputError, match=r"expected a folder (with a name of its own|whose name can be)"):
        bfncodec.make_dictionary(ROWS, name, "base", force=True)
    assert files(folder) == before


def test_a_model_lies_where_the_dictionary_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "apart").mkdir()
    monkeypatch.setattr(models, "search_path", lambda: [folder / "none"])
    with pytest.raises(InputError, match=r"expected the model base beside .* make the dictionary beside it"):
        bfncodec.make_dictionary(ROWS, "apart/rows", "./base")
    assert not (folder / "apart/rows").exists()
    bfncodec.make_dictionary(ROWS, "rows", "./base").check()
    monkeypatch.setattr(models, "search_path", lambda: [folder])
    bfncodec.make_dictionary(ROWS, "apart/rows", "./base").check()


def test_a_model_in_the_folder_where_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "base")
    made = bfncodec.make_dictionary(ROWS, "../rows", Path())
    made.check()
    assert made.name == "rows"
    assert made.config["weights"] == made.config["mixing"]["phrases"] == "base"


# ---- what is there ----------------------------------------------------------------------------------


def test_nothing_is_replaced_unasked(folder: Path) -> None:
    bfncodec.make_dictionary(ROWS, "rows", "base")
    (folder / "empty").mkdir()
    (folder / "file").write_bytes(b"precious")
    before = files(folder)
    for name in ("rows", "empty"):
        with pytest.raises(OutputError, match="exists already: force=True replaces it"):
            bfncodec.make_dictionary(ROWS[1:], name, "base")
    for force in (False, True):
        with pytest.raises(OutputError, match="is there and no folder"):
            bfncodec.make_dictionary(ROWS, "file", "base", force=force)
    assert files(folder) == before
    bfncodec.make_dictionary(ROWS, "empty", "base", force=True).check()


def test_a_dictionary_that_files_may_need_is_kept(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = bfncodec.make_dictionary(ROWS, "rows", "base")
    (folder / "rows/notes.txt").write_bytes(b"precious")
    before = files(folder / "rows")
    with caplog.at_level(logging.INFO, "bfncodec"):
        bfncodec.make_dictionary(ROWS, "rows", "base", force=True)
        assert "is kept" not in caplog.text
        second = bfncodec.make_dictionary(ROWS[1:], "rows", "base", force=True)
    kept = folder / f"rows-{first.sha256[:8]}"
    assert f"is kept as {kept}" in caplog.text
    assert files(kept).items() <= before.items()
    models.read(kept).check()
    assert models.matching(first.id)[0].path == kept
    second.check()
    assert models.find("rows").sha256 in (first.sha256, second.sha256)
    assert (folder / "rows/notes.txt").read_bytes() == b"precious"


def test_a_trained_model_that_files_may_need_is_kept(folder: Path) -> None:
    shutil.copytree(TINY / "mixed-text", folder / "trained", ignore=shutil.ignore_patterns("payload"))
    wanted, before = models.read(folder / "trained").sha256, files(folder / "trained")
    bfncodec.make_dictionary(ROWS, "trained", "base", force=True).check()
    kept = models.read(folder / f"trained-{wanted[:8]}")
    assert kept.sha256 == wanted
    assert before.items() <= files(kept.path).items()


@pytest.mark.parametrize("name", [models.CONFIG, "README.md"])
def test_what_is_no_model_is_not_replaced(folder: Path, name: str) -> None:
    (folder / "project").mkdir()
    (folder / "project" / name).write_text("{}")
    before = files(folder)
    with pytest.raises(OutputError, match=r"holds (README\.md and )?no model"):
        bfncodec.make_dictionary(ROWS, "project", "base", force=True)
    assert files(folder) == before


def test_a_dictionary_is_written_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(folder)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("bfncodec.files.atomic._write_synced", fail)
        with pytest.raises(OutputError, match="No space left"):
            bfncodec.make_dictionary(ROWS, "deep/rows", "base")
    assert files(folder) == before
    assert bfncodec.make_dictionary(ROWS, "deep/rows", "base").path == Path("deep/rows")
