"""Files and folders whose items go into an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from bfncodec.errors import InputError
from bfncodec.files.itemsources import source_bytes


def test_bytes_of_files_and_folders_are_counted(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for place, size in (("alone", 5), ("folder/a", 7), ("folder/inner/b", 11)):
        (tmp_path / place).write_bytes(bytes(size))
    assert source_bytes([tmp_path / "alone", tmp_path / "folder"]) == 23


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone cannot be read"):
        source_bytes([tmp_path / "gone"])
