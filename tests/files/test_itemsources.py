"""Files and folders whose items go into an archive."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from bfncodec.errors import InputError
from bfncodec.files.itemsources import items_of, source_bytes


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


@pytest.mark.parametrize("size", [0, 99, 1 << 12])
def test_rows_of_a_file_that_is_changed_meanwhile_are_an_error(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "x.npy", np.ones((1 << 10, 8)))
    rows = items_of([tmp_path / "x.npy", tmp_path])
    next(rows)
    os.truncate(tmp_path / "x.npy", size)
    with pytest.raises(InputError, match="was changed while it was read"):
        next(rows)
