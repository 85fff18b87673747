"""Models that files name: by four bytes, by their whole hash, and those that are not there."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bfncodec
from bfncodec import models
from bfncodec.codecs import sources
from bfncodec.codecs.loading import load
from bfncodec.codecs.sources import CodecSource
from bfncodec.errors import DamagedError, ModelError, ModelNotFoundError
from bfncodec.format.container import unpack
from bfncodec.format.modelnames import read_names
from bfncodec.segments.policy import Policy
from support.doubles import FakeCodec, FakeModels, noise

TINY = Path(__file__).parents[1] / "golden" / "tiny"
NOISE = noise(3, 2000).tobytes()


class Twins(FakeModels):
    """Two models with the same four bytes: the first decodes to something else."""

    def __init__(self, *codecs: FakeCodec) -> None:
        super().__init__()
        self.found = codecs

    def matching(self, identity: bytes) -> list[FakeCodec]:
        return list(self.found)


class Other(FakeCodec):
    def _decode(self, payload: bytes, progress: object) -> bytes:
        return bytes(len(NOISE))


class Broken(FakeCodec):
    def _decode(self, payload: bytes, progress: object) -> bytes:
        raise DamagedError("not mine")


@pytest.mark.parametrize("wrong", [Other, Broken])
def test_each_model_of_the_same_four_bytes_is_tried(wrong: type[FakeCodec]) -> None:
    right: CodecSource = FakeModels()
    blob = bfncodec.compress(NOISE, codecs=right)
    assert bfncodec.describe(blob).methods == {"model": 1}
    for codecs in ([wrong("text"), FakeCodec("text")], [FakeCodec("text"), wrong("text")]):
        assert bfncodec.decompress(blob, codecs=Twins(*codecs)) == NOISE
    with pytest.raises(DamagedError):
        bfncodec.decompress(blob, codecs=Twins(wrong("text"), wrong("text")))


def test_files_carry_name_and_hash_of_models_that_are_not_published() -> None:
    codecs = FakeModels()
    blob = bfncodec.compress(NOISE, codecs=codecs, policy=Policy(named_from=10))
    (name,) = read_names(unpack(blob).header)
    assert (name.name, name.sha256.hex()) == ("text", codecs.codecs["text"].info.sha256)
    assert not read_names(unpack(bfncodec.compress(NOISE, codecs=codecs)).header)  # it would take too much of so little

    class Nobody(FakeModels):
        def identified(self, identity: bytes) -> FakeCodec:
            raise ModelNotFoundError("not here")

    with pytest.raises(ModelNotFoundError, match=f"needs model text of SHA-256 {name.sha256.hex()}"):
        bfncodec.decompress(blob, codecs=Nobody())


def test_a_published_model_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = models.published()[0]
    monkeypatch.setattr(models, "search_path", list)
    with pytest.raises(ModelNotFoundError, match=f"{known.name} .SHA-256 {known.sha256}, .*package"):
        models.matching(bytes.fromhex(known.sha256)[:4])


def test_a_changed_model_is_not_used(tmp_path: Path) -> None:
    """It would code files that nobody else can decode."""
    folder = tmp_path / "tiny"
    shutil.copytree(TINY / "text-of-200", folder)
    info = models.read(folder)
    (folder / models.STATED).write_text(info.sha256 + "\n")
    assert load(folder).info.sha256 == info.sha256
    config = folder / models.CONFIG
    config.write_bytes(config.read_bytes() + b"\n")
    with pytest.raises(ModelError, match=f"expected a model of SHA-256 {info.sha256}, found"):
        load(folder)


def test_the_registry_tells_of_the_models_that_ship() -> None:
    """Whoever changes a model changes the registry, too: `python tests/golden/make_registry.py`."""
    shipped = [models.read(path.parent) for path in (Path(models.__file__).parents[1] / "models").glob("*/config.json")]
    assert {(info.name, info.sha256) for info in shipped} == {(one.name, one.sha256) for one in models.published()}
    for info in shipped:
        info.check()
        assert (info.path / models.STATED).exists()
    for one in models.published():
        info = next(info for info in shipped if info.name == one.name)
        assert one.size == sum(path.stat().st_size for path in info.files)


def test_a_model_that_was_named_by_its_directory_decodes_what_it_coded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the same call, so that it verifies; and it is said that a later one needs to find the model."""
    folder = tmp_path / "mine" / "text"
    shutil.copytree(TINY / "mixed-text", folder)
    identity, codecs = models.read(folder).id, bfncodec.Models()
    with pytest.raises(ModelNotFoundError, match="is not on this machine"):
        codecs.identified(identity)
    with caplog.at_level("INFO", "bfncodec"):
        codec = codecs.named(str(folder))
    assert codecs.identified(identity) is codec
    assert f"BFNCODEC_MODELS={folder.parent}" in caplog.text

    monkeypatch.setenv("BFNCODEC_MODELS", str(folder.parent))
    caplog.clear()
    with caplog.at_level("INFO", "bfncodec"):
        bfncodec.Models().named(str(folder))
    assert not caplog.text


def test_a_model_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As small objects take no longer to be coded than to look through all models again."""
    folder = tmp_path / "text"
    shutil.copytree(TINY / "mixed-text", folder)
    monkeypatch.setattr(models, "search_path", lambda: [tmp_path])
    config = folder / models.CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"name": "text"}))
    codecs = bfncodec.Models()
    codec = codecs.named("text")
    assert codecs.default("text") is codec
    shutil.rmtree(folder)
    assert codecs.named("text") is codec
    assert codecs.default("text") is codec
    assert codecs.default("image") is None


def test_a_model_that_could_not_be_loaded_is_looked_for_again(tmp_path: Path) -> None:
    """As it is in a service that runs while its models are replaced."""
    folder = tmp_path / "text"
    shutil.copytree(TINY / "text-of-200", folder)
    identity = models.read(folder).id
    (folder / models.STATED).write_text(models.read(folder).sha256 + "\n")
    config, codecs = (folder / models.CONFIG).read_bytes(), bfncodec.Models()
    (folder / models.CONFIG).write_bytes(config + b"\n")
    with pytest.raises(ModelError, match="were changed"):
        codecs.named(str(folder))
    (folder / models.CONFIG).write_bytes(config)
    assert codecs.named(str(folder)).info.id == identity
    assert codecs.identified(identity) is codecs.named(str(folder))


def test_a_model_that_threads_ask_for_at_once_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def slow(info: models.ModelInfo, **options: object) -> object:
        loads.append(info.name)
        time.sleep(0.05)
        return load(info)

    monkeypatch.setattr(sources, "load", slow)
    kept = bfncodec.Models()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kept.named(str(TINY / "binary")), range(8)))
    assert len(loads) == 1 == len(set(map(id, found)))
    sent = pickle.loads(pickle.dumps(kept))
    assert sent.named(str(TINY / "binary")) is not found[0]
    assert repr(sent) == "Models('cpu', threads=None)"
