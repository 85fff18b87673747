"""Folders and what is in them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bfncodec
from bfncodec.errors import OutputError
from bfncodec.files.itemsources import items_of
from bfncodec.files.options import Options
from bfncodec.files.places import folders_in, make_all, remove_all
from bfncodec.files.sources import Identity, remove_folder
from support.commands import names, run

DEPTH = 400
DEEP = "/".join("d" * DEPTH)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file that lies deeper in it than functions may call each other."""
    folder = tmp_path / "in"
    make_all(folder / DEEP)
    (folder / DEEP / "leaf").write_bytes(b"leaf\n")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + DEPTH - 50)
    yield folder
    sys.setrecursionlimit(before)


def test_an_archive_of_what_lies_deep(deep: Path) -> None:
    archive, out = deep.with_name("x.bfn"), deep.with_name("out")
    assert bfncodec.write_archive(archive, items_of([deep]), Options(model="none")) == 1
    for _ in range(2):
        bfncodec.decompress_file(archive, out, Options(force=True))
        assert {Path(top, name).read_bytes() for top, _, found in folders_in(out) for name in found} == {b"leaf\n"}
    remove_all(out)
    assert not out.exists()


def test_what_lies_deep_is_found(deep: Path) -> None:
    run("compress", "-q", "-m", "none", "-r", str(deep))
    assert (deep / DEEP / "leaf.bfn").is_file()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").touch()
    (tmp_path / "in").mkdir()
    links = {"folder": "../elsewhere", "file": "../elsewhere/a", "nothing": "gone", "round": "round"}
    for name, where in links.items():
        (tmp_path / "in" / name).symlink_to(where)
    ((top, inner, others),) = folders_in(tmp_path / "in")
    assert (Path(top), inner, sorted(others)) == (tmp_path / "in", ["folder"], ["file", "nothing", "round"])
    remove_all(tmp_path / "in")
    assert names(tmp_path) == {"elsewhere/a"}


def test_a_link_that_came_into_a_folder_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    known = {"a": Identity.of((folder / "a").stat())}
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="something has come into it"):
        remove_folder(folder, known, [])
    assert (folder / "a").read_bytes() == b"a"
