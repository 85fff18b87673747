"""Files and folders whose items go into an archive."""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from bfncodec import append_file, compress, write_archive
from bfncodec.errors import InputError
from bfncodec.files.itemsources import items_of, source_bytes
from bfncodec.files.options import Options

PLAIN = Options(model="none")


def test_bytes_of_files_and_folders_are_counted(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for place, size in (("alone", 5), ("folder/a", 7), ("folder/inner/b", 11)):
        (tmp_path / place).write_bytes(bytes(size))
    assert source_bytes([tmp_path / "alone", tmp_path / "folder"]) == 23


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone cannot be read"):
        source_bytes([tmp_path / "gone"])


@pytest.mark.parametrize("shape", [(5, 4), (5, 0), (5,), (5, 2, 3)])
def test_rows_are_read_when_they_are_asked_for(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape), dtype=">i4").reshape(shape)
    np.save(tmp_path / "x.npy", array)
    found = items_of([tmp_path / "x.npy"])
    assert (len(found), found.ndim, found.shape, found.dtype) == (5, array.ndim, array.shape, array.dtype)
    for which in (0, 4, -1, slice(1, 3), slice(None, 1)):
        assert np.array_equal(found[which], array[which])
        assert found[which].dtype == array.dtype
    with pytest.raises(IndexError):
        found[5]


def test_columns_one_after_the_other_are_rows_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(np.arange(12).reshape(4, 3)))
    assert np.array_equal(items_of([tmp_path / "x.npy"])[1], [3, 4, 5])


@pytest.mark.parametrize("layout", ["C", "F"])
def test_bytes_behind_an_array_are_not_lost(tmp_path: Path, layout: Literal["C", "F"]) -> None:
    one = io.BytesIO()
    np.save(one, np.ones((3, 2), order=layout))
    (tmp_path / "two.npy").write_bytes(one.getvalue() * 2)
    with zipfile.ZipFile(tmp_path / "two.npz", "w") as file:
        file.writestr("a.npy", one.getvalue() + b"?")
    for name in ("two.npy", "two.npz"):
        with pytest.raises(InputError, match="bytes behind it in"):
            list(items_of([tmp_path / name]))
    (tmp_path / "one.npy").write_bytes(one.getvalue())
    for made in (write_archive(tmp_path / "x.bfn", np.ones((3, 2)), PLAIN), 0):
        if not made:
            (tmp_path / "x.bfn").write_bytes(compress(np.ones((3, 2)), "none"))
        before = (tmp_path / "x.bfn").read_bytes()
        with pytest.raises(InputError, match="bytes behind it in"):
            append_file(tmp_path / "x.bfn", tmp_path / "two.npy", PLAIN)
        assert (tmp_path / "x.bfn").read_bytes() == before
        append_file(tmp_path / "x.bfn", tmp_path / "one.npy", PLAIN)


@pytest.mark.parametrize("size", [0, 99, 1 << 12])
def test_rows_of_a_file_that_is_changed_meanwhile_are_an_error(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "x.npy", np.ones((1 << 10, 8)))
    rows = items_of([tmp_path / "x.npy", tmp_path])
    next(rows)
    os.truncate(tmp_path / "x.npy", size)
    with pytest.raises(InputError, match="was changed while it was read"):
        next(rows)
