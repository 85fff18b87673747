"""Many small files in few calls of a model: what each of them becomes alone."""

from __future__ import annotations

import io
import time
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from PIL import Image

from bfncodec.errors import OutputError
from bfncodec.files.atomic import WRITERS
from bfncodec.files.options import Options
from bfncodec.files.together import compress_together, decompress_together, placed_together
from bfncodec.files.transfer import compress_file
from bfncodec.format.limits import Limits
from support.commands import names, run
from support.doubles import FakeModels, noise

TEXTS = {f"{seed}.txt": noise(seed, 900).tobytes() for seed in range(4)}


def png(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise(seed, 20, 30, 3)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (TEXTS | {"a.png": png(1), "b.png": png(2), "empty": b""}).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def places(folder: Path, suffix: str) -> list[tuple[Path, Path]]:
    return [(path, path.with_name(path.name + suffix)) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("verify", [True, False])
def test_files_become_what_each_becomes_alone(folder: Path, verify: bool) -> None:
    models, given, options = FakeModels(), places(folder, ".bfn"), Options(verify=verify)
    made = compress_together(given, options, models)
    assert set(made) == {source for source, _ in given}
    assert [path for path in folder.iterdir() if path.suffix == ".bfn"] == []  # before each is put in its place
    assert sum(map(len, TEXTS.values())) in models.codecs["text"].batches
    for source, target in given:
        alone = compress_file(source, folder / "alone", options, FakeModels())
        assert made[source]() == alone
        assert target.read_bytes() == (folder / "alone").read_bytes()
        (folder / "alone").unlink()


def test_files_come_back_by_one_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for write in compress_together(places(folder, ".bfn"), Options(remove=True), FakeModels()).values():
        write()
    models, calls = FakeModels(), list[int]()
    decode = models.codecs["text"].decode_batch
    count = lambda payloads, *rest, **named: calls.append(len(payloads)) or decode(payloads, *rest, **named)  # noqa: E731
    monkeypatch.setattr(models.codecs["text"], "decode_batch", count)
    given = [(path, path.with_suffix("")) for path in sorted(folder.iterdir())]
    made = decompress_together(given, Options(remove=True), models)
    assert calls == [len(TEXTS)]
    for write in made.values():
        assert write().identical
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_left_to_be_worked_on_alone(folder: Path) -> None:
    (folder / "large").write_bytes(bytes(70_000))
    (folder / "0.txt.bfn").write_bytes(b"in the way")
    (folder / "folder").mkdir()
    given = places(folder, ".bfn")
    made = compress_together(given, Options(), FakeModels())
    left = {source.name for source, _ in given} - {source.name for source in made}
    assert left == {"large", "0.txt", "folder"}
    assert not compress_together(given, Options(model="text"), FakeModels())
    broken, target = folder / "0.txt.bfn", folder / "back"
    assert not decompress_together([(broken, target)], Options(), FakeModels())


def test_all_are_left_where_they_are_more_than_may_be(folder: Path) -> None:
    given = places(folder, ".bfn")
    for write in compress_together(given, Options(), FakeModels()).values():
        write()
    coded = [(target, folder / f"back {target.stem}") for source, target in given if source.suffix == ".txt"]
    assert not decompress_together(coded, Options(limits=Limits(output=4 * 900 - 1)), FakeModels())
    assert len(decompress_together(coded, Options(limits=Limits(output=4 * 900)), FakeModels())) == 4


def test_one_that_is_damaged_is_told_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    run("compress", "-q", "-m", "none", "--rm", "-r", str(tmp_path))
    damaged = tmp_path / "b.bfn"
    damaged.write_bytes(damaged.read_bytes()[:-3] + b"xyz")
    said = run("decompress", "-q", "-r", str(tmp_path), code=1).stderr
    assert said.count("\n") == 1
    assert "b.bfn: " in said
    assert names(tmp_path) == {"a", "a.bfn", "b.bfn", "c", "c.bfn"}


def test_results_are_put_in_their_places_side_by_side() -> None:
    """Each waits for the other; what one raises comes where its result is asked for."""
    meeting, said = Barrier(2, timeout=60), list[str]()

    def place(name: str) -> Any:
        meeting.wait()
        if name == "b":
            raise OutputError("no room")
        said.append(name)

    with placed_together({Path(name): partial(place, name) for name in "ab"}) as placed:
        placed[Path("a")]()
        with pytest.raises(OutputError, match="no room"):
            placed[Path("b")]()
    assert said == ["a"]


def test_what_is_not_put_in_its_place_before_an_interrupt_never_is() -> None:
    begun, held = list[int](), Barrier(WRITERS + 1, timeout=60)

    def hold(number: int) -> Any:
        begun.append(number)
        held.wait()

    def let_go(last: Any) -> None:
        while not last.done():  # as it is once it has been left out
            time.sleep(0.001)
        held.wait()

    def interrupted() -> None:
        with placed_together({Path(f"{k}"): partial(hold, k) for k in range(64)}) as placed:
            Thread(target=let_go, args=[placed[Path("63")].__self__]).start()  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(begun) == list(range(WRITERS))
