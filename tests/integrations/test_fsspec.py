"""Compressed files through fsspec, and through what reads by it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bfncodec
from bfncodec.errors import DamagedError, InputError
from bfncodec.segments.policy import Policy

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
from bfncodec.integrations.fsspec import BfnFileSystem, register  # noqa: E402

RECORDS = [{"number": n, "word": "été " * (n % 5)} for n in range(2000)]
LINES = "".join(f"{json.dumps(record)}\n" for record in RECORDS)
CUT = Policy(text_segment=10_000, plain_segment=10_000)


@pytest.fixture(autouse=True)
def _without_models() -> Iterator[None]:
    register(model="none", policy=CUT)
    yield
    register()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "x.jsonl.bfn"
    with fsspec.open(str(target), "wt", compression="infer", encoding="utf-8") as file:
        file.write(LINES)
    return target


def test_the_suffix_tells(path: Path) -> None:
    assert bfncodec.decompress(path.read_bytes()) == LINES.encode()
    assert sum(bfncodec.describe(path.read_bytes()).methods.values()) > 5
    for compression in ("infer", "bfn"):
        with fsspec.open(str(path), "rt", compression=compression, encoding="utf-8") as file:
            assert list(file) == LINES.splitlines(keepends=True)
    with fsspec.open(str(path)) as file:
        assert file.read() == path.read_bytes()


def test_files_of_any_file_system() -> None:
    memory = fsspec.filesystem("memory")
    with memory.open("/x.bfn", "wb", compression="bfn") as file:
        file.write(LINES.encode())
    with memory.open("/x.bfn", "rb", compression="infer") as file:
        file.seek(-20, io.SEEK_END)
        assert file.read() == LINES.encode()[-20:]


def test_a_url_without_a_compression(path: Path) -> None:
    url = f"bfn://x.jsonl::{path}"
    with fsspec.open(url, "rt", encoding="utf-8") as file:
        assert file.read() == LINES
    fs, name = fsspec.url_to_fs(url)
    assert isinstance(fs, BfnFileSystem)
    assert fs.info(name) == {"name": "x.jsonl", "size": len(LINES.encode()), "type": "file"}
    assert fs.ls("") == [fs.info(name)]
    assert fs.cat(name) == LINES.encode()
    assert fs.glob("*.jsonl") == ["x.jsonl"]
    with pytest.raises(FileNotFoundError):
        fs.open("other")
    with pytest.raises(InputError, match="expected mode rb, found wb: write with"):
        fs.open(name, "wb")


def test_damage_and_other_files_are_errors_of_ours(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(blob)
    with fsspec.open(str(path), compression="infer") as file, pytest.raises(DamagedError, match="checksum"):
        file.read()


def frames(pandas: Any, path: Path) -> Iterator[Any]:
    """The file as pandas reads it, each of the ways that the guide names."""
    with fsspec.open(str(path), "rt", compression="infer", encoding="utf-8") as file:
        yield pandas.concat(pandas.read_json(file, lines=True, chunksize=300))
    with bfncodec.open(path) as file:
        yield pandas.concat(pandas.read_json(file, lines=True, chunksize=300))
    yield pandas.concat(pandas.read_json(f"bfn://x.jsonl::{path}", lines=True, chunksize=300))
    fsspec.filesystem("memory").put(str(path), "/x.jsonl.bfn")
    options = {"compression": "infer"}
    yield pandas.read_json("memory://x.jsonl.bfn", lines=True, storage_options=options)


def test_pandas_reads_json_lines(path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for frame in frames(pandas, path):
        assert frame.to_dict("records") == RECORDS


def test_pandas_writes_and_reads_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(RECORDS)
    with bfncodec.open(tmp_path / "x.csv.bfn", "wb", model="none") as file:
        frame.to_csv(file, index=False)
    for source in (f"bfn://x.csv::{tmp_path / 'x.csv.bfn'}", bfncodec.open(tmp_path / "x.csv.bfn")):
        parts = pandas.read_csv(source, chunksize=500, keep_default_na=False)
        assert pandas.concat(parts).to_dict("records") == RECORDS


def test_pyarrow_reads_json_lines_and_csv(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import csv
    from pyarrow import json as arrow_json

    with fsspec.open(str(path), compression="infer") as file:
        assert arrow_json.read_json(file).to_pylist() == RECORDS
    with bfncodec.open(tmp_path / "x.csv.bfn", "wt", model="none", encoding="utf-8") as file:
        file.write("number,word\n" + "".join(f"{n},w{n % 7}\n" for n in range(3000)))
    with bfncodec.open(tmp_path / "x.csv.bfn") as file:
        rows = [row for batch in csv.open_csv(file, csv.ReadOptions(block_size=4096)) for row in batch.to_pylist()]
    assert rows == [{"number": n, "word": f"w{n % 7}"} for n in range(3000)]


def test_datasets_streams_json_lines(path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    found = datasets.load_dataset("json", data_files=f"bfn://x.jsonl::{path}", split="train", streaming=True)
    assert list(found) == RECORDS


@pytest.mark.parametrize("settings", [{"foo": 1}, {"level": 0}, {"model": None}, {"policy": 1}], ids=str)
def test_settings_that_cannot_be_are_told_when_they_are_registered(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        register(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "rt"},
        {"file": "x"},
        {"encoding": "utf-8"},
        {"threads": "2"},
        {"device": 5},
        {"codecs": 5},
        {"verify": "no"},
    ],
    ids=str,
)
def test_settings_that_no_file_could_be_written_with(settings: dict[str, Any], path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        register(**settings)
    with fsspec.open(str(path), compression="infer") as file:
        assert file.read(1)


def test_files_are_written_on_the_device_that_was_said(tmp_path: Path) -> None:
    try:
        register(model="none", threads=1)
        with fsspec.open(str(tmp_path / "x.bfn"), "wb", compression="infer") as file:
            file.write(b"content")
    finally:
        register()
    assert bfncodec.open(tmp_path / "x.bfn").read() == b"content"
