"""Hugging Face's datasets: columns of compressed objects, by rows, by batches, and in Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

datasets = pytest.importorskip("datasets", reason="datasets is not installed")

import bfncodec  # noqa: E402
from bfncodec.errors import FormatError, InputError, NotOursError  # noqa: E402
from bfncodec.integrations.datasets import Compressed  # noqa: E402
from support.specimens import picture, saved  # noqa: E402

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


@pytest.mark.parametrize("batched", [False, True])
def test_arrays_that_a_map_returns_are_compressed(rows: datasets.Dataset, batched: bool) -> None:
    def turned(row: dict[str, Any]) -> dict[str, Any]:
        found = row["image"]
        return {"image": [255 - image for image in found] if batched else 255 - found}

    made = rows.map(turned, batched=batched, features=FEATURES)
    assert np.array_equal(made[3]["image"], 255 - PICTURES[3])
    assert made[3]["image"].dtype == np.uint8
    stored = made.cast_column("image", Compressed(decode=False))
    assert stored[3]["image"] == bfncodec.compress(255 - PICTURES[3], "none")


def test_images_come_back(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(saved(Image.fromarray(PICTURES[1]), "PNG"))
    given = [Image.fromarray(PICTURES[0]), Image.fromarray(PICTURES[2][:, :, 0]), Image.open(tmp_path / "x.png")]
    features = datasets.Features({"image": Compressed("none")})
    data = datasets.Dataset.from_dict({"image": given}, features=features)
    of_images = datasets.Dataset.from_dict({"image": given}, features=datasets.Features({"image": datasets.Image()}))
    for found in (data, of_images.cast_column("image", Compressed("none"))):
        for image, made in zip(given, found[:]["image"], strict=True):
            assert type(made) is Image.Image
            assert (made.mode, made.tobytes()) == (image.mode, image.tobytes())
    with pytest.raises(InputError, match="cannot be read"):
        Compressed("none").encode_example({"bytes": b"no picture", "path": None})


def test_columns_of_others_are_compressed_or_refused() -> None:
    for values in ([np.arange(6, dtype="f4").reshape(2, 3), None], [np.array([[True], [False]])], [np.ones(3, "f2")]):
        data = datasets.Dataset.from_dict({"x": values}).cast_column("x", Compressed("none"))
        for given, made in zip(values, data[:]["x"], strict=True):
            assert (given is None) is (made is None)
            assert given is None or (given.dtype, given.tolist()) == (made.dtype, made.tolist())
    texts = datasets.Dataset.from_dict({"x": ["to be", None]}).cast_column("x", Compressed("none"))
    assert texts[:]["x"] == ["to be", None]
    for values in ([[[1, 2], [3]]], [[]], [[1, None]], [{"a": 1}], [3.5], [[["a"]]]):
        with pytest.raises(InputError, match="compress"):
            datasets.Dataset.from_dict({"x": values}).cast_column("x", Compressed("none"))


def test_values_that_are_missing_stay_so_in_batches() -> None:
    coded = Compressed("none").encode(["to be", None])
    assert coded == [bfncodec.compress("to be", "none"), None]
    assert Compressed.decoded({"x": coded, "y": [1, 2]}, "x") == {"x": ["to be", None], "y": [1, 2]}


def test_settings_are_kept_as_json(tmp_path: Path) -> None:
    features = datasets.Features({"text": Compressed(Path("none"))})  # type: ignore[arg-type]
    data = datasets.Dataset.from_dict({"text": ["to be"]}, features=features)
    data.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="True or False as decode"):
        Compressed(decode="no")  # type: ignore[arg-type]
