"""Which model serves when none is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bfncodec import models
from bfncodec.cli.main import cli
from bfncodec.errors import InputError, ModelError, ModelNotFoundError

TINY = Path(__file__).parent / "golden" / "tiny"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(models, "search_path", lambda: [tmp_path / "first", tmp_path / "second"])
    return tmp_path


def put(
    folder: Path, name: str, levels: Any = None, role: str = "image", where: str = "first", beside: Any = None
) -> None:
    path = folder / where / name
    path.mkdir(parents=True)
    stated = {key: value for key, value in (("levels", levels), ("beside", beside)) if value is not None}
    (path / models.CONFIG).write_text(json.dumps({"name": name, "role": role, "network": {}} | stated))
    (path / models.WEIGHTS).write_bytes(name.encode())


def served(role: str = "image") -> list[str]:
    return [models.default(role, level).name for level in range(1, 10)]


def test_a_model_that_states_no_levels_serves_what_no_other_does(folder: Path) -> None:
    put(folder, "photo")
    put(folder, "other")
    assert served() == ["photo"] * 9
    put(folder, "photo-fast", [1, 3])
    assert served() == ["photo-fast"] * 3 + ["photo"] * 6
    put(folder, "text", [1, 9], role="text")
    assert served() == ["photo-fast"] * 3 + ["photo"] * 6


def test_without_such_a_model_the_nearest_serves(folder: Path) -> None:
    put(folder, "small", [7, 7])
    put(folder, "fast", [1, 2])
    assert served() == ["fast"] * 4 + ["small"] * 5
    put(folder, "photo", [8, 9])
    assert served() == ["fast"] * 4 + ["small"] * 3 + ["photo"] * 2


def test_of_several_the_first_on_the_search_path_serves(folder: Path) -> None:
    put(folder, "z", [1, 5])
    put(folder, "a", [4, 9], where="second")
    assert served() == ["z"] * 5 + ["a"] * 4


def test_where_nothing_serves(folder: Path) -> None:
    put(folder, "photo", role="text")
    with pytest.raises(ModelNotFoundError, match="model photo is not on this machine; found none"):
        models.default("image")


@pytest.mark.parametrize("level", [0, 10, "5", 2.0, True])
def test_what_is_no_level(folder: Path, level: Any) -> None:
    put(folder, "photo")
    with pytest.raises(InputError, match="expected a level from 1"):
        models.default("image", level)


@pytest.mark.parametrize("levels", [5, [5], [0, 3], [4, 3], [1, 10], ["1", "3"], [1, 2, 3], [True, 3]])
def test_levels_that_cannot_be(folder: Path, levels: Any) -> None:
    put(folder, "photo", levels)
    with pytest.raises(ModelError, match="expected levels"):
        models.read(folder / "first" / "photo")
    assert models.available() == []


def test_models_are_listed_with_the_levels_they_serve(folder: Path) -> None:
    put(folder, "photo")
    put(folder, "photo-fast", [2, 3])
    put(folder, "digits", role="archive")
    lines = CliRunner().invoke(cli, ["models"]).stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["digits", "archive", "-"],
        ["photo", "image", "1,4-9"],
        ["photo-fast", "image", "2-3"],
    ]
    found = json.loads(CliRunner().invoke(cli, ["models", "--json"]).stdout)
    assert [model["levels"] for model in found] == [[], [1, 4, 5, 6, 7, 8, 9], [2, 3]]


def test_a_model_may_be_tried_beside_another(folder: Path) -> None:
    put(folder, "photo", [4, 6])
    put(folder, "photo-fast", [1, 3])
    put(folder, "photo-max", [7, 9])
    put(folder, "photo-other", beside="photo")
    put(folder, "words", role="text", beside="photo")
    assert [info.name for info in models.beside(models.default("image"))] == ["photo-other"]
    assert models.beside(models.default("image", 1)) == []
    assert served() == ["photo-fast"] * 3 + ["photo"] * 3 + ["photo-max"] * 3
    levels = {path.name: found for path, found in models.served_levels().items()}
    assert levels["photo-other"] == levels["photo"] == [4, 5, 6]
    put(folder, "broken", beside=["photo"])
    with pytest.raises(ModelError, match="expected beside to be the name of a model"):
        models.read(folder / "first" / "broken")


def test_a_model_may_have_the_weights_of_the_one_beside_it(folder: Path) -> None:
    put(folder, "photo")
    other = borrow(folder, "photo")
    assert other.weights.read_bytes() == b"photo"
    assert other.id != models.find("photo").id
    assert models.find(other.id) == other
    before = other.sha256
    (folder / "first/photo" / models.WEIGHTS).write_bytes(b"others")
    assert models.find("other").sha256 != before


@pytest.mark.parametrize("name", ["", ".", "..", "../photo", "photo/", "/photo", "a\0b", "\ud800", 3, ["photo"]])
def test_weights_that_are_not_those_of_a_neighbour(folder: Path, name: Any) -> None:
    put(folder, "photo")
    with pytest.raises(ModelError, match="the model beside this one"):
        borrow(folder, name)
    with pytest.raises(ModelError, match=r"photo2/model\.safetensors is missing"):
        borrow(folder, "photo2")
    assert [info.name for info in models.available()] == ["photo"]


def borrow(folder: Path, name: Any) -> models.ModelInfo:
    """A model beside the others that has its weights from `name`."""
    path = folder / "first" / "other"
    path.mkdir(exist_ok=True)
    config = {"name": "other", "role": "archive", "network": {}, "weights": name}
    (path / models.CONFIG).write_text(json.dumps(config))
    return models.read(path)


def test_only_models_that_state_the_hash_of_a_file_are_hashed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not even these where there is one, which is hashed when it is loaded."""
    found, hashed = {}, list[str]()
    for name, where in (("first", "first"), ("second", "first"), ("second", "second"), ("third", "first")):
        put(folder, name, where=where)
        info = models.read(folder / where / name)
        found[name] = info.id
        (info.path / models.STATED).write_text(info.sha256)
    hash_of = models._hash_of
    monkeypatch.setattr(models, "_hash_of", lambda info: hashed.append(info.name) or hash_of(info))
    assert [info.name for info in models.matching(found["first"])] == ["first"]
    assert not hashed
    assert [info.path for info in models.matching(found["second"])] == [folder / "first/second"]
    assert set(hashed) == {"second"}


def test_models_that_are_known_are_not_read_again(folder: Path) -> None:
    put(folder, "first")
    info = models.find("first")
    assert info.sha256
    (info.path / models.WEIGHTS).write_bytes(b"of another")
    assert models.matching(info.id, [info]) == [info]
    with pytest.raises(ModelNotFoundError):
        models.matching(info.id)


def test_a_model_that_states_another_hash_is_found_and_refused(folder: Path) -> None:
    put(folder, "first")
    info = models.find("first")
    (info.path / models.STATED).write_text("0" * 64)
    [again] = models.matching(info.id)
    with pytest.raises(ModelError, match="damaged or were changed"):
        again.check()


def test_a_model_that_was_changed_says_so_where_its_hash_is_looked_for(folder: Path) -> None:
    put(folder, "first")
    info = models.find("first")
    (info.path / models.STATED).write_text(info.sha256)
    (info.path / models.WEIGHTS).write_bytes(b"of another")
    [again] = models.matching(info.id)
    with pytest.raises(ModelError, match="damaged or were changed"):
        again.check()


def test_phrases_count_for_the_identity_of_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "phrased"
    shutil.copytree(TINY / "phrased-text", folder)
    config = json.loads((folder / models.CONFIG).read_text())
    config["mixing"]["phrases"] = "phrased"
    (folder / models.CONFIG).write_text(json.dumps(config))
    info = models.read(folder)
    before = info.sha256
    assert info.files[-1] == info.phrases == folder / models.PHRASES
    raw = bytearray((folder / models.PHRASES).read_bytes())
    raw[-1] ^= 1
    (folder / models.PHRASES).write_bytes(raw)
    assert models.read(folder).sha256 != before
    (folder / models.PHRASES).unlink()
    with pytest.raises(ModelError, match=r"phrases\.safetensors is missing"):
        models.read(folder)


@pytest.mark.parametrize("named", ["", "..", "a/b", 3, ["text"]])
def test_phrases_are_of_a_model_beside(tmp_path: Path, named: object) -> None:
    folder = tmp_path / "phrased"
    shutil.copytree(TINY / "phrased-text", folder)
    config = json.loads((folder / models.CONFIG).read_text())
    config["mixing"]["phrases"] = named
    (folder / models.CONFIG).write_text(json.dumps(config))
    with pytest.raises(ModelError, match="expected phrases to be the name of the model beside"):
        models.read(folder)


def with_dictionary(folder: Path, data: bytes | None = b"to be or not to be", stated: Any = True) -> Path:
    """A directory beside the model `text` that has its weights and phrases, and a dictionary."""
    base = folder / "text"
    if not base.exists():
        shutil.copytree(TINY / "phrased-text", base)
    config = json.loads((base / models.CONFIG).read_text())
    path = folder / "rows"
    path.mkdir()
    mixing = config["mixing"] | {"phrases": "text"} | ({} if stated is None else {"dictionary": stated})
    (path / models.CONFIG).write_text(json.dumps(config | {"name": "rows", "weights": "text", "mixing": mixing}))
    if data is not None:
        (path / models.DICTIONARY).write_bytes(data)
    return path


def test_a_dictionary_counts_for_the_identity_of_a_model(tmp_path: Path) -> None:
    path, base = with_dictionary(tmp_path), tmp_path / "text"
    info = models.read(path)
    assert info.dictionary == path / models.DICTIONARY
    assert info.read_dictionary() == b"to be or not to be"
    assert [file.resolve() for file in info.files] == [
        path / models.CONFIG,
        base / models.WEIGHTS,
        base / models.PHRASES,
        path / models.DICTIONARY,
    ]
    parts = b"".join(file.read_bytes() for file in info.files)
    assert info.sha256 == hashlib.sha256(parts).hexdigest()
    (path / models.DICTIONARY).write_bytes(b"to be or not to bE")
    assert models.read(path).sha256 != info.sha256


def test_where_a_dictionary_came_without_its_model_that_is_said(folder: Path) -> None:
    """By name, by identity, and by the first digits of its hash."""
    path = with_dictionary(folder / "first")
    wanted = models.read(path).sha256
    (path / models.STATED).write_text(wanted + "\n")
    shutil.rmtree(folder / "first/text")
    for asked in ("rows", bytes.fromhex(wanted)[:4], bytes.fromhex(wanted), wanted[:8], wanted.upper()):
        with pytest.raises(ModelNotFoundError, match=r"text/model\.safetensors is missing; copy that model, too"):
            models.find(asked)
    for asked in ("cows", b"\0\1\2\3", "r", ""):
        with pytest.raises(ModelNotFoundError, match="is not on this machine; found none"):
            models.find(asked)
    [(where, _)] = models.broken()
    assert where == path


@pytest.mark.parametrize("stated", [None, False])
def test_a_dictionary_that_is_not_stated_is_none(tmp_path: Path, stated: Any) -> None:
    path = with_dictionary(tmp_path, stated=stated)
    assert models.read(path).dictionary is None
    assert models.read(path).read_dictionary() == b""
    assert path / models.DICTIONARY not in models.read(path).files


@pytest.mark.parametrize("stated", ["true", 1, "", "rows", ["rows"], {}])
def test_what_is_stated_of_a_dictionary_is_true_or_false(tmp_path: Path, stated: Any) -> None:
    path = with_dictionary(tmp_path, stated=stated)
    with pytest.raises(ModelError, match="expected dictionary to be true"):
        models.read(path)


@pytest.mark.parametrize("size", [0, 1, models.LARGEST_DICTIONARY, models.LARGEST_DICTIONARY + 1])
def test_a_dictionary_has_at_least_a_byte_and_at_most_256_kib(tmp_path: Path, size: int) -> None:
    path = with_dictionary(tmp_path, bytes(size))
    if 1 <= size <= models.LARGEST_DICTIONARY:
        assert len(models.read(path).read_dictionary()) == size
    else:
        with pytest.raises(ModelError, match=f"of 1 to 262,144 bytes, found {size:,}; make the dictionary again"):
            models.read(path)


def test_a_dictionary_that_changes_behind_a_reader_is_looked_at_again(tmp_path: Path) -> None:
    info = models.read(with_dictionary(tmp_path))
    (info.path / models.DICTIONARY).write_bytes(b"")
    with pytest.raises(ModelError, match="found 0"):
        info.read_dictionary()
    (info.path / models.DICTIONARY).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        info.read_dictionary()


def test_a_model_without_its_dictionary_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"dictionary\.bin is missing"):
        models.read(with_dictionary(tmp_path, None))


def test_what_a_model_shares_lies_beside_it_or_on_the_search_path(folder: Path, tmp_path: Path) -> None:
    path = with_dictionary(tmp_path / "made")
    first = models.read(path)
    assert first.weights == tmp_path / "made/text" / models.WEIGHTS
    wanted = first.sha256
    (folder / "second").mkdir()
    (tmp_path / "made/text").rename(folder / "second/text")
    found = models.read(path)
    assert found.weights == folder / "second/text" / models.WEIGHTS
    assert found.phrases == folder / "second/text" / models.PHRASES
    assert found.sha256 == wanted
    shutil.rmtree(folder / "second/text")
    with pytest.raises(ModelError, match=r"made/text/model\.safetensors is missing"):
        models.read(path)


def test_of_models_of_one_name_the_first_is_shared(folder: Path, tmp_path: Path) -> None:
    path = with_dictionary(tmp_path / "made")
    for where in ("first", "second"):
        shutil.copytree(tmp_path / "made/text", folder / where / "text")
    assert models.read(path).weights == tmp_path / "made/text" / models.WEIGHTS
    shutil.rmtree(tmp_path / "made/text")
    assert models.read(path).weights == folder / "first/text" / models.WEIGHTS


@pytest.mark.parametrize("kept", ["second/text", "first/text-0123abcd"])
def test_of_models_of_one_name_that_is_shared_which_gives_the_hash_that_is_stated(
    folder: Path, tmp_path: Path, kept: str
) -> None:
    """The one beside was trained anew, say, and what files need is kept beside it, or lies elsewhere."""
    path = with_dictionary(folder / "first")
    wanted = models.read(path).sha256
    (path / models.STATED).write_text(wanted + "\n")
    shutil.copytree(folder / "first/text", folder / kept)
    (folder / "first/text" / models.WEIGHTS).write_bytes(b"another")
    found = models.read(path)
    assert found.sha256 == wanted
    found.check()
    assert found.weights == folder / kept / models.WEIGHTS
    shutil.rmtree(folder / kept)
    with pytest.raises(ModelError, match=r"or .*first/text/model\.safetensors and .*, which it shares, of another"):
        models.read(path).check()


def test_a_model_is_read_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = models.read(with_dictionary(tmp_path)).sha256
    monkeypatch.chdir(tmp_path / "rows")
    assert models.read(".").sha256 == wanted
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/linked").symlink_to(tmp_path / "rows")
    assert models.read(tmp_path / "elsewhere/linked").sha256 == wanted
