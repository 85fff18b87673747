"""Hugging Face's datasets: columns of compressed objects, by rows, by batches, and in Parquet files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

datasets = pytest.importorskip("datasets", reason="datasets is not installed")

import bfncodec  # noqa: E402
from bfncodec.errors import FormatError, InputError, NotOursError  # noqa: E402
from bfncodec.integrations.datasets import Compressed  # noqa: E402
from support.specimens import picture  # noqa: E402

PICTURES = [picture(5, 4, 3) + k for k in range(6)]
FEATURES = datasets.Features({"image": Compressed("none"), "label": datasets.Value("int64")})


@pytest.fixture
def rows(tmp_path: Path) -> datasets.Dataset:
    """Rows that are kept in a Parquet file, and read again."""
    data = datasets.Dataset.from_dict({"image": PICTURES, "label": list(range(6))}, features=FEATURES)
    data.to_parquet(tmp_path / "x.parquet")
    return datasets.load_dataset("parquet", data_files=str(tmp_path / "x.parquet"), cache_dir=str(tmp_path))["train"]


def test_rows_come_back(rows: datasets.Dataset) -> None:
    assert rows.features == FEATURES
    assert np.array_equal(rows[3]["image"], PICTURES[3])
    assert np.array_equal(rows[1:4]["image"], PICTURES[1:4])


def test_columns_are_coded_together(rows: datasets.Dataset) -> None:
    stored = rows.cast_column("image", Compressed(decode=False))
    assert stored[2]["image"] == bfncodec.compress(PICTURES[2], "none")
    seen = stored.with_transform(lambda batch: Compressed.decoded(batch, "image"))
    assert np.array_equal(seen[1:4]["image"], PICTURES[1:4])
    again = rows.map(lambda batch: {"image": FEATURES["image"].encode(batch["image"])}, batched=True, features=FEATURES)
    assert again.cast_column("image", Compressed(decode=False))[:] == stored[:]


def test_texts_and_nothing() -> None:
    features = datasets.Features({"text": Compressed("none")})
    assert datasets.Dataset.from_dict({"text": ["to be", None]}, features=features)[:] == {"text": ["to be", None]}


def test_what_cannot_be() -> None:
    with pytest.raises(InputError, match="expected a level"):
        Compressed(level=10)
    with pytest.raises(NotOursError):
        Compressed().encode_example(b"no compressed file")


def test_a_damaged_file_is_no_value() -> None:
    for damaged in (bfncodec.compress(b"bytes " * 9, "none")[:-1], bfncodec.compress(PICTURES[0], "none")[:-2]):
        with pytest.raises(FormatError):
            Compressed().encode_example(damaged)
