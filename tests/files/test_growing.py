"""Compressed files that are written anew in their place, and changed by others meanwhile."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

import bfncodec
from bfncodec import write_archive
from bfncodec.errors import InputError, OutputError
from bfncodec.files.appending import append_file
from bfncodec.files.growing import check_coded_on_disk, identity_of, put_back
from bfncodec.files.options import Options

PLAIN = Options(model="none")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "x.bfn"
    path.write_bytes(bfncodec.compress(b"one ", "none"))
    return path


def test_what_is_written_anew_takes_its_place(target: Path) -> None:
    os.utime(target, (1e9, 1e9))
    put_back(target, identity_of(target), [bfncodec.compress(b"two", "none")], check_coded_on_disk)
    assert bfncodec.decompress(target.read_bytes()) == b"two"
    assert target.stat().st_mtime > 1.1e9


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_changed_meanwhile_is_left_as_it_is(target: Path, gone: bool) -> None:
    known = identity_of(target)
    target.unlink()
    if not gone:
        target.write_bytes(b"other")
    with pytest.raises(OutputError, match="was changed since"):
        put_back(target, known, [bfncodec.compress(b"two", "none")], check_coded_on_disk)
    assert [path.read_bytes() for path in target.parent.iterdir()] == [b"other"] * (not gone)


def test_what_is_damaged_on_the_disk_takes_no_place(target: Path) -> None:
    before = target.read_bytes()
    with pytest.raises(bfncodec.FormatError):
        put_back(target, identity_of(target), [before[:-1]], check_coded_on_disk)
    assert target.read_bytes() == before


def test_no_identity_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        identity_of(tmp_path / "none")


@pytest.mark.parametrize("name", ["missing.bfn", "folder", "more"])
def test_what_is_wrong_with_the_target_is_said_of_it(target: Path, name: str) -> None:
    target.with_name("folder").mkdir()
    target.with_name("more").write_bytes(b"two ")
    with pytest.raises(bfncodec.BfncodecError, match=name):
        append_file(target.with_name(name), target, PLAIN)


def test_a_text_stays_one(target: Path) -> None:
    target.write_bytes(bfncodec.compress("one ", "none"))
    for more, is_text in [(b"\xff", False), ("ü".encode()[:1], False), ("ü".encode(), True)]:
        target.with_name("more").write_bytes(more)
        if is_text:
            append_file(target, target.with_name("more"), PLAIN)
        else:
            with pytest.raises(InputError, match="UTF-8"):
                append_file(target, target.with_name("more"), PLAIN)
    assert bfncodec.decompress(target.read_bytes()) == "one ü"


def test_an_array_is_not_hidden_behind_bytes(target: Path) -> None:
    more = target.with_name("more.npy")
    np.save(more, np.arange(5))
    with pytest.raises(InputError, match=r"a \.npy file") as caught:
        append_file(target, more, PLAIN)
    assert "--items" in caught.value.for_command()
    write_archive(target.with_name("rows.bfn"), np.arange(5), PLAIN)
    append_file(target.with_name("rows.bfn"), more, PLAIN)
    assert bfncodec.decompress(target.with_name("rows.bfn").read_bytes()).tolist() == [*range(5)] * 2


def test_of_two_that_append_at_once_one_is_told(target: Path) -> None:
    pipe, more = target.with_name("pipe"), target.with_name("more")
    more.write_bytes(b"two ")
    os.mkfifo(pipe)

    def other() -> None:
        with pipe.open("wb") as file:  # opens when the source of the first is read
            append_file(target, more, PLAIN)
            file.write(b"three ")

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(OutputError, match="was changed since"):
        append_file(target, pipe, PLAIN)
    thread.join()
    assert bfncodec.decompress(target.read_bytes()) == b"one two "
