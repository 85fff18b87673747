"""Data for tiny trainings."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.trainings import write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data that are learnt in a few steps."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder
