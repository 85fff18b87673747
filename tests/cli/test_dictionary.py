"""``bfncodec dictionary``: which samples it takes, what it says, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import bfncodec
from bfncodec import models
from bfncodec.errors import BfncodecError
from support.commands import names, run
from support.models import MIXING, export_text

ROWS = [f'{{"id": {n}, "user": "u{n * 7919 % 1000}"}}\n'.encode() for n in range(300)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows in files, in which the command runs, and the tiny text model `base` where models are."""
    export_text(tmp_path / "models/base", name="base", mixing=MIXING, teeth_by_length=((0, 1),))
    monkeypatch.setenv("BFNCODEC_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("rows.jsonl").write_bytes(b"".join(ROWS))
    Path("files/deep").mkdir(parents=True)
    for n, row in enumerate(ROWS[:20]):
        Path("files/deep" if n % 2 else "files", f"{n:02}.json").write_bytes(row)
    return tmp_path / "here"


def text_of(path: str) -> bytes:
    info = models.read(path)
    info.check()
    return info.read_dictionary()


def refusal(*args: str) -> str:
    error = run("dictionary", *args, code=1).exception
    assert isinstance(error, BfncodecError)
    return error.for_command()


def test_each_line_is_a_sample(folder: Path) -> None:
    said = run("dictionary", "rows.jsonl", "-o", "rows", "-m", "base", "--lines", "--size", "2K")
    data = text_of("rows")
    assert 2000 < len(data) <= 2048
    assert data.count(b"\n") > 60
    assert data.splitlines()[-2] not in ROWS[100:110]
    assert said.stdout == ""
    first, second, third = said.stderr.splitlines()
    assert first == f"rows: {data.count(bytes([10])) + 1} of 300 samples, {len(data):,} bytes"
    assert second == f"dictionary rows ({models.read('rows').id.hex()}) : bfncodec compress -m ./rows FILE"
    assert third == (
        f"decompressing needs the folders rows and base in {models.user_folder()}, or BFNCODEC_MODELS={folder}"
    )


def test_each_file_is_a_sample(folder: Path) -> None:
    assert "use -r" in run("dictionary", "files", "-o", "rows", "-m", "base", code=1).stderr
    assert not Path("rows").exists()
    run("dictionary", "-r", "files", "-o", "rows", "-m", "base", "-q")
    assert sorted(text_of("rows").splitlines(keepends=True)) == sorted(ROWS[:20])
    said = run("dictionary", "rows.jsonl", "-o", "whole", "-m", "base")
    assert "with --lines each line of it is one" in said.stderr
    assert text_of("whole") == b"".join(ROWS)


def test_standard_input_and_lines_without_an_end(folder: Path) -> None:
    said = run("dictionary", "-", "-o", "rows", "-m", "base", "--lines", stdin=b"to be\n\nor not\r\nto be")
    assert text_of("rows") == b"to be\n\nor not\r\nto be"
    assert "4 of 4 samples" in said.stderr


def test_one_that_lies_where_models_are_looked_for_is_named(folder: Path) -> None:
    said = run("dictionary", "rows.jsonl", "-o", "../models/rows", "-m", "base", "--lines")
    assert "bfncodec compress -m rows FILE" in said.stderr
    assert f"needs the folders rows and base, too, from {folder.parent / 'models'}" in said.stderr
    assert "rows" in [info.name for info in bfncodec.available()]


def test_what_is_refused(folder: Path) -> None:
    run("dictionary", "rows.jsonl", "-o", "rows", "-m", "base", "-q")
    before = names(folder)
    for args, message in (
        (("rows.jsonl", "-o", "rows"), "rows exists already: use -f to replace it"),
        (("missing", "-o", "other"), "missing: cannot be read"),
        (("rows.jsonl", "missing", "-o", "other"), "missing: cannot be read"),
        (("rows.jsonl", "-o", "other", "--size", "257K"), "expected a size of 1 to 262,144 bytes"),
        (("rows.jsonl", "-o", "photo"), "photo, which is that of another model"),
    ):
        assert message in refusal("-m", "base", *args)
    assert "rows has one" in refusal("rows.jsonl", "-o", "other", "-m", "./rows")
    run("dictionary", "rows.jsonl", "-o", "-", code=2)
    run("dictionary", "rows.jsonl", code=2)
    run("dictionary", "-o", "other", code=2)
    assert names(folder) == before


def test_one_that_files_need_is_kept(folder: Path) -> None:
    run("dictionary", "rows.jsonl", "-o", "rows", "-m", "base", "-q")
    first = models.read("rows").sha256
    assert "kept" not in run("dictionary", "rows.jsonl", "-o", "rows", "-m", "base", "-f").stderr
    said = run("dictionary", "rows.jsonl", "-o", "rows", "-m", "base", "-f", "--lines", "--size", "1K")
    assert (
        f"the model that was in rows is kept as {folder}/rows-{first[:8]}: files that it coded need it" in said.stderr
    )
    assert models.read(f"rows-{first[:8]}").sha256 == first


def test_nobody_reads_in_it_what_only_its_owner_may(folder: Path) -> None:
    Path("rows.jsonl").chmod(0o600)
    run("dictionary", "-r", "files", "rows.jsonl", "-o", "rows", "-m", "base", "-q")
    assert not Path("rows").stat().st_mode & 0o007
    run("dictionary", "-r", "files", "-o", "open", "-m", "base", "-q")
    assert Path("open").stat().st_mode & 0o004


# ---- texts coded with one -----------------------------------------------------------------------


@pytest.fixture
def made(folder: Path) -> models.ModelInfo:
    """A dictionary of a few rows where models are looked for, and files of other rows."""
    run("dictionary", "rows.jsonl", "-o", "../models/rows", "-m", "base", "--lines", "--size", "600", "-q")
    for n in range(3):
        Path(f"new{n}.json").write_bytes(b"".join(ROWS[100 + 5 * n :][: 1 + 2 * n]))
    Path("empty.json").write_bytes(b"")
    found = models.find("rows")
    found.check()  # its hash as it is now
    return found


NEW = ["new0.json", "new1.json", "new2.json", "empty.json"]


@pytest.mark.slow
def test_texts_take_less_and_come_back(folder: Path, made: models.ModelInfo) -> None:
    before = {name: Path(name).read_bytes() for name in NEW}
    run("compress", "-m", "rows", "-o", "packed/", *NEW)
    run("compress", "-m", "base", "-o", "plain/", *NEW)
    assert bfncodec.describe(Path("packed/new2.json.bfn").read_bytes()).models == (made.id.hex(),)
    sizes = {where: sum(path.stat().st_size for path in Path(where).iterdir()) for where in ("packed", "plain")}
    assert sizes["packed"] < 0.8 * sizes["plain"]
    run("decompress", "-o", "restored/", *(f"packed/{name}.bfn" for name in NEW))
    assert {name: Path("restored", name).read_bytes() for name in NEW} == before


@pytest.mark.slow
def test_lines_are_found_by_their_numbers(folder: Path, made: models.ModelInfo) -> None:
    Path("rows.jsonl").write_bytes(b"".join(ROWS[:60]))
    run("compress", "-m", "rows", "--lines", "--block", "300", "rows.jsonl")
    assert run("decompress", "-c", "--line", "31-32", "rows.jsonl.bfn").stdout_bytes == b"".join(ROWS[30:32])
    run("decompress", "-o", "again.jsonl", "rows.jsonl.bfn")
    assert Path("again.jsonl").read_bytes() == b"".join(ROWS[:60])
    Path("more.jsonl").write_bytes(b"".join(ROWS[60:70]))
    run("append", "-m", "rows", "rows.jsonl.bfn", "more.jsonl")
    assert run("decompress", "-c", "--line", "60-61", "rows.jsonl.bfn").stdout_bytes == b"".join(ROWS[59:61])


@pytest.mark.slow
def test_rows_are_coded_each_alone(made: models.ModelInfo) -> None:
    rows = [*ROWS[200:210], b"", ROWS[0], bytes(range(256)), "ü".encode()]
    codec = bfncodec.load("rows")
    payloads = codec.encode_batch(rows)
    assert payloads == [codec.encode(row) for row in rows]
    assert bfncodec.load("rows").decode_batch(payloads[::-1]) == rows[::-1]
    plain = bfncodec.load("base").encode_batch(rows[:10])
    assert sum(map(len, payloads[:10])) < 0.6 * sum(map(len, plain))


@pytest.mark.slow
def test_files_decode_when_dictionary_and_model_were_replaced(folder: Path, made: models.ModelInfo) -> None:
    """And are refused where they are gone, with what is missing."""
    run("compress", "-m", "rows", "new2.json")
    wanted = Path("new2.json").read_bytes()
    run("dictionary", "rows.jsonl", "-o", "../models/rows", "-m", "base", "-f", "--size", "700", "-q")
    export_text(folder.parent / "models/base", seed=5, name="base", mixing=MIXING, teeth_by_length=((0, 1),))
    assert run("decompress", "-c", "new2.json.bfn").stdout_bytes == wanted
    [kept] = Path("../models").glob("base-*")
    kept.rename(folder.parent / "moved")
    refused = run("decompress", "-c", "new2.json.bfn", code=1)
    assert "which it shares, of another model" in refused.stderr
    (folder.parent / "moved").rename(kept)
    Path(f"../models/rows-{made.sha256[:8]}").rename(folder.parent / "moved")
    refused = run("decompress", "-c", "new2.json.bfn", code=1)
    assert made.sha256[:8] in refused.stderr
    assert "is not on this machine" in refused.stderr
    assert not refused.stdout_bytes
