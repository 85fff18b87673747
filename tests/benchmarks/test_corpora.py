"""What text models are trained on: files of packages, by kind, the held-out ones apart."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

from benchmarks.corpora import HELD_OUT, Source, files_of_archive, gather, texts_of


def packed(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_archives_in_archives_are_opened() -> None:
    inner = packed({"a.java": b"class A {}"})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in {"usr/src.zip": inner, "usr/broken.zip": b"PK", "usr/b.txt": b"b"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    found = {Path(name).name: data for name, data in files_of_archive("x.tar", out.getvalue())}
    assert found == {"a.java": b"class A {}", "broken.zip": b"PK", "b.txt": b"b"}


def test_a_source_gives_each_text_once_up_to_its_quota(tmp_path: Path) -> None:
    for name, text in {"a.py": b"same", "b.py": b"same", "c.py": b"other", "d.py": b"nul\0", "e.txt": b"text"}.items():
        (tmp_path / name).write_bytes(text)
    source = Source(f"here:{tmp_path}", (".py",), 100)
    assert sorted(text for _, text in texts_of(source, tmp_path)) == [b"other", b"same"]
    short = Source(f"here:{tmp_path}", (".py",), 6)
    assert sum(len(text) for _, text in texts_of(short, tmp_path)) == 6


def test_held_out_files_are_not_trained_on(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    texts = [f"text {i}".encode() for i in range(60)]
    for i, text in enumerate(texts):
        (files / f"{i}.log").write_bytes(text)
    gather("logs", [Source(f"here:{files}", (".log",), 10_000)], tmp_path / "out")
    parts = {}
    for part in ("train", "val"):
        joined = lzma.decompress((tmp_path / "out" / "logs" / f"{part}.txt.xz").read_bytes())
        parts[part] = set(joined.split(b"\n"))
    assert parts["train"] | parts["val"] == set(texts)
    assert parts["val"] == {text for text in texts if hashlib.md5(text).hexdigest().startswith(HELD_OUT)}
    assert parts["val"]
    assert not parts["val"] & parts["train"]


def test_what_is_only_measured_with_is_all_held_out(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(20):
        (files / f"{i}.html").write_bytes(b"page %d" % i)
    gather("manuals", [Source(f"here:{files}", (".html",), 10_000)], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "manuals").iterdir()] == ["val.txt.xz"]
    found = lzma.decompress((tmp_path / "out" / "manuals" / "val.txt.xz").read_bytes())
    assert sorted(found.split(b"\n")) == sorted(path.read_bytes() for path in files.iterdir())
