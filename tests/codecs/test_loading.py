"""Models on disk: how they are found, and what is said of those that are broken."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bfncodec
from bfncodec import models
from bfncodec.codecs.image import ImageCodec
from bfncodec.codecs.table import CODECS
from bfncodec.coding.mixing.state import VERSION
from bfncodec.errors import ModelError, ModelNotFoundError
from bfncodec.training.tasks.table import TASKS
from support.cases import export_corrected
from support.models import (
    IMAGE,
    MIXING,
    TEXT,
    export_text,
)


@pytest.fixture
def only(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A search path that holds copies of the two tiny models alone; they state no hash, since tests change them."""
    shutil.copytree(folder, tmp_path / "m", ignore=shutil.ignore_patterns(models.STATED))
    monkeypatch.setattr(models, "search_path", lambda: [tmp_path / "m"])
    return tmp_path / "m"


def test_models_are_found_by_name_identity_and_directory(only: Path) -> None:
    expected = models.read(only / "tiny-text")
    digest = hashlib.sha256(
        (only / "tiny-text/config.json").read_bytes() + (only / "tiny-text/model.safetensors").read_bytes()
    )
    assert expected.sha256 == digest.hexdigest()
    assert expected.id == digest.digest()[:4]
    asked: list[Any] = [
        "tiny-text",
        expected.id,
        digest.digest(),
        expected.id.hex(),
        expected.sha256,
        expected.sha256.upper(),
        only / "tiny-text",
        str(only / "tiny-text"),
    ]
    for name in asked:
        assert models.find(name).path == only / "tiny-text"
    assert [m.name for m in models.available()] == ["tiny-image", "tiny-text"]
    assert isinstance(bfncodec.load(models.find("tiny-image")), ImageCodec)


@pytest.mark.parametrize("name", ["tiny", "", "00000000", b"\0\0\0\0", b""])
def test_a_model_that_is_not_there(only: Path, name: str | bytes) -> None:
    with pytest.raises(ModelNotFoundError, match=r"not on this machine; found tiny-image \("):
        models.find(name)


def test_a_short_prefix_of_an_identity_is_no_name(only: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        models.find(models.read(only / "tiny-text").id.hex()[:7])


def test_the_first_folder_wins_a_name_and_the_second_keeps_its_identity(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    export_text(tmp_path / "newer", seed=1)
    old, new = models.read(folder / "tiny-text"), models.read(tmp_path / "newer")
    monkeypatch.setenv("BFNCODEC_MODELS", f"{tmp_path}:{folder}")
    assert models.search_path()[:2] == [tmp_path, folder]
    assert models.find("tiny-text").path == new.path
    assert models.find(old.id).path == old.path
    assert [m.path for m in models.available() if m.name == "tiny-text"] == [new.path]


@pytest.mark.parametrize("part", ["config.json", "model.safetensors"])
def test_a_flipped_byte_is_another_model(only: Path, part: str) -> None:
    before = models.read(only / "tiny-image")
    before.sha256  # noqa: B018  computed once, while the files are still the old ones
    path = only / "tiny-image" / part
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1 if part == "model.safetensors" else ord("\n") ^ ord(" ")
    path.write_bytes(raw)
    assert models.read(only / "tiny-image").id != before.id
    with pytest.raises(ModelNotFoundError):
        models.find(before.id)


def broken_models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of good models, each with one thing wrong that reading shows."""

    def copy(what: str) -> Path:
        return Path(shutil.copytree(folder / "tiny-text", folder.parent / "broken" / what.replace(" ", "-")))

    for part in ("config.json", "model.safetensors"):
        target = copy(f"no {part}")
        (target / part).unlink()
        yield part, target
    for what, text in (
        ("not json", "{"),
        ("not utf-8", "\udcff"),
        ("a list", "[]"),
        ("no role", '{"name": "a", "network": {}}'),
        ("wrong role", '{"name": "a", "role": "unheard of", "network": {}}'),
        ("no name", '{"role": "text", "network": {}}'),
    ):
        target = copy(what)
        (target / "config.json").write_bytes(text.encode(errors="surrogateescape"))
        yield "config.json", target


def test_broken_models_are_named(only: Path) -> None:
    for part, path in broken_models(only):
        for read in (models.read, models.find, bfncodec.load):
            with pytest.raises(ModelError, match=f"{part}.*export the model again"):
                read(path)


@pytest.mark.parametrize("name", ["tiny-image", "tiny-text"])
@pytest.mark.parametrize(
    "change", [{"width": 64}, {"unknown": 1}, {"blocks": 3, "layers": 3}, {"mixtures": 5, "heads": 4}]
)
def test_weights_that_do_not_fit_the_configuration(only: Path, name: str, change: dict[str, int]) -> None:
    path = only / name / "config.json"
    config = json.loads(path.read_text())
    known = {f.name for f in dataclasses.fields(IMAGE if name == "tiny-image" else TEXT)} | {"unknown"}
    config["network"] |= {k: v for k, v in change.items() if k in known}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit"):
        bfncodec.load(path.parent)


@pytest.mark.parametrize("name", ["tiny-image", "tiny-text"])
def test_broken_weights(only: Path, name: str) -> None:
    path = only / name / "model.safetensors"
    for content in (path.read_bytes()[:-10], b"", b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=name):
            bfncodec.load(path.parent)


def test_every_role_has_a_codec_and_every_training_a_role() -> None:
    assert set(CODECS) == set(models.ROLES)
    assert {role for role, _ in TASKS} <= set(models.ROLES)


@pytest.mark.parametrize("version", [None, 1, VERSION + 1, "2", True])
def test_texts_that_another_mixer_writes_are_refused(tmp_path: Path, version: object) -> None:
    """Models of releases before had no version."""
    mixing = {key: value for key, value in (MIXING | {"version": version}).items() if value is not None}
    path = export_text(tmp_path / "tiny-mixed", mixing=mixing)
    with pytest.raises(ModelError, match=f"expected version {VERSION} of the mixer .*, found .*; install that release"):
        bfncodec.load(path)


@pytest.mark.parametrize(
    "change", [{"version": VERSION}, {"corrections": None}, {"corrections": {}}, {"phrases": None}]
)
def test_corrections_are_of_their_version_and_of_phrases(tmp_path: Path, change: dict[str, object]) -> None:
    """A reader of the version before would not correct, and decode something else."""
    path = export_corrected(tmp_path / "tiny-corrected") / "config.json"
    bfncodec.load(path.parent)
    config = json.loads(path.read_text())
    config["mixing"] |= change
    path.write_text(json.dumps(config))
    (path.parent / models.STATED).unlink()
    with pytest.raises(
        ModelError, match=r"expected version . of the mixer|expected corrections of phrases and matches"
    ):
        bfncodec.load(path.parent)


@pytest.mark.parametrize(
    ("name", "table", "key"),
    [
        ("tiny-image", None, "schedule"),
        ("tiny-text", None, "schedule"),
        ("tiny-image", "network", "architecture"),
        ("tiny-text", "network", "architecture"),
    ],
)
def test_schedules_and_architectures_of_others_are_refused(only: Path, name: str, table: str | None, key: str) -> None:
    path = only / name / "config.json"
    config = json.loads(path.read_text())
    (config[table] if table else config)[key] = "sideways"
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"do not fit.*expected the {key} .*, found 'sideways'"):
        bfncodec.load(path.parent)
