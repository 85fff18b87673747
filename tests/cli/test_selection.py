"""The files that a call is about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bfncodec.cli.call import Call
from bfncodec.cli.selection import expand, is_plain
from bfncodec.cli.streams import STDIN
from bfncodec.files.names import has_suffix


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("d/b.txt", "d/a.txt", "d/a.txt.bfn", "d/in/c.txt", "x.bfn"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def places(*paths: Path, call: Call, recursive: bool = False, folders: bool = False) -> list[tuple[str, str]]:
    return [
        (path.as_posix(), place.as_posix()) for path, place in expand(paths, recursive, is_plain, call, folders=folders)
    ]


@pytest.mark.usefixtures("folder")
def test_files_are_taken_as_they_are_named() -> None:
    call = Call()
    assert places(Path("x.bfn"), STDIN, Path("d/missing"), call=call) == [
        ("x.bfn", "x.bfn"),
        ("-", "-"),
        ("d/missing", "missing"),
    ]
    assert call.code == 0


@pytest.mark.usefixtures("folder")
def test_of_folders_the_wanted_files_are_taken() -> None:
    call = Call()
    expected = [("d/a.txt", "a.txt"), ("d/b.txt", "b.txt"), ("d/in/c.txt", "in/c.txt")]
    assert places(Path("d"), call=call, recursive=True) == expected
    assert places(Path("d"), call=call, recursive=True, folders=True) == expected
    assert places(Path("d"), call=call, folders=True) == [("d", "d")]
    assert call.code == 0


@pytest.mark.usefixtures("folder")
def test_a_folder_is_refused_and_the_rest_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    call = Call()
    assert places(Path("d"), Path("x.bfn"), call=call) == [("x.bfn", "x.bfn")]
    assert call.code == 1
    assert capsys.readouterr().err == "bfncodec: d: is a folder: use -r to take the files in it\n"


@pytest.mark.usefixtures("folder")
def test_a_path_that_cannot_be_looked_at_is_left_to_who_reads_it() -> None:
    call, long = Call(), "x" * 300
    assert places(Path(long), Path("x.bfn"), call=call, recursive=True) == [(long, long), ("x.bfn", "x.bfn")]


def test_a_file_named_as_standard_input_is_found_in_a_folder(folder: Path) -> None:
    (folder / "d" / "-").write_bytes(b"")
    os.chdir(folder / "d")
    assert places(Path(), call=Call(), recursive=True)[0] == ((folder / "d" / "-").as_posix(), "-")


def test_what_is_passed_over_is_no_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "d" / "empty").mkdir()
    (folder / "d" / "link").symlink_to(folder / "x.bfn")
    call = Call()
    assert len(places(Path("d"), call=call, recursive=True)) == 3
    assert call.code == 0
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [
        "d : 1 file that ends in .bfn already: passed over",
        "d/empty : is an empty folder: passed over",
        "d/link : is a symbolic link: passed over",
    ]


@pytest.mark.usefixtures("folder")
def test_files_of_other_names_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list(expand([Path("d")], True, has_suffix, Call()))) == 1
    assert capsys.readouterr().err == "d : 3 files that do not end in .bfn: passed over\n"
    assert list(expand([Path("d")], True, has_suffix, Call(quiet=True)))
    assert capsys.readouterr().err == ""
