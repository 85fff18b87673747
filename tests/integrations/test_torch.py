"""Data sets of PyTorch over archives and folders, in workers of its DataLoader."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, StackDataset

import bfncodec
from bfncodec import write_archive
from bfncodec.errors import InputError
from bfncodec.files.options import Options
from bfncodec.integrations.torch import ArchiveDataset, ShardDataset
from support.specimens import picture, saved

PLAIN = Options(model="none")
ROWS = picture(20, 4, 4, 3)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write_archive(tmp_path / "rows.bfn", ROWS, PLAIN)
    return tmp_path / "rows.bfn"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    for k in range(4):
        write_archive(tmp_path / "shards" / f"{k}.bfn", ROWS[5 * k : 5 * k + 5], PLAIN)
    return tmp_path / "shards"


def halved(item: Any) -> torch.Tensor:
    return torch.from_numpy(item // 2)


def numbers(items: Any) -> list[int]:
    """Which rows these are."""
    return [next(k for k, row in enumerate(ROWS) if np.array_equal(row, item)) for item in items]


def all_of(loader: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([batch.numpy() for batch in loader])


def test_items_and_batches(archive: Path) -> None:
    found = ArchiveDataset(archive)
    assert len(found) == 20
    assert np.array_equal(found[3], ROWS[3])
    assert np.array_equal(np.stack(found.__getitems__([4, 1])), ROWS[[4, 1]])
    assert np.array_equal(all_of(DataLoader(found, batch_size=6)), ROWS)
    assert np.array_equal(all_of(DataLoader(ArchiveDataset(archive, halved), batch_size=6)), ROWS // 2)
    pairs = StackDataset(image=found, label=list(range(20)))
    assert pairs.__getitems__([7])[0]["label"] == 7


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_decode_for_themselves(archive: Path, method: str) -> None:
    found = ArchiveDataset(archive, halved)
    assert np.array_equal(found[0], ROWS[0] // 2)  # open here, too
    loader = DataLoader(found, batch_size=6, num_workers=2, multiprocessing_context=method)
    assert np.array_equal(all_of(loader), ROWS // 2)


def test_a_folder_of_compressed_files(tmp_path: Path) -> None:
    for k in range(4):
        (tmp_path / f"{k}.bfn").write_bytes(bfncodec.compress(ROWS[k], "none"))
    found = ArchiveDataset(tmp_path)
    assert np.array_equal(np.stack(found.__getitems__([3, 0])), ROWS[[3, 0]])
    (tmp_path / "2.bfn").write_bytes(b"\xbf\x4e\x90 damaged")
    with pytest.raises(bfncodec.DamagedError, match=r"2\.bfn"):
        found[2]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="found none"):
        ArchiveDataset(tmp_path / "none")


def test_pictures_of_files_are_arrays(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(ROWS[1]), "PNG"))
    bfncodec.compress_file(tmp_path / "a.png", options=PLAIN)
    assert np.array_equal(ArchiveDataset(tmp_path)[0], ROWS[1])
    assert ArchiveDataset(tmp_path, arrays=False)[0] == (tmp_path / "a.png").read_bytes()


def test_shards_in_their_order_and_shuffled(shards: Path) -> None:
    assert numbers(ShardDataset(shards)) == list(range(20))
    assert numbers(ShardDataset([shards / "2.bfn"])) == list(range(10, 15))
    shuffled = ShardDataset(shards, shuffle=1, together=2)
    first = numbers(shuffled)
    assert first == numbers(shuffled)
    assert sorted(first) == list(range(20)) != first
    shuffled.set_epoch(1)
    assert sorted(numbers(shuffled)) == list(range(20)) != first
    assert numbers(shuffled) != first
    for none in ([], None):
        with pytest.raises(InputError, match="found none"):
            ShardDataset(none)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one item or more"):
        ShardDataset(shards, together=0)


@pytest.mark.slow
def test_every_item_comes_once_from_all_workers(shards: Path) -> None:
    loader = DataLoader(ShardDataset(shards, shuffle=3), batch_size=4, num_workers=2)
    assert sorted(numbers(all_of(loader))) == list(range(20))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_that_persist_are_told_of_the_epoch(shards: Path, method: str) -> None:
    found = ShardDataset(shards, shuffle=1, together=2)
    loader = DataLoader(found, batch_size=4, num_workers=2, persistent_workers=True, multiprocessing_context=method)
    orders = []
    for epoch in range(3):
        found.set_epoch(epoch)
        orders.append(numbers(all_of(loader)))
        assert sorted(orders[-1]) == list(range(20))
    assert len({tuple(order) for order in orders}) == 3


def test_what_is_no_epoch(shards: Path) -> None:
    found = ShardDataset(shards, shuffle=1)
    for epoch in ("1", 1.5, -1, None):
        with pytest.raises(InputError, match="epoch"):
            found.set_epoch(epoch)  # type: ignore[arg-type]
    found.set_epoch(7)
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other.epoch == 7
        other.set_epoch(1)
        assert (other.epoch, found.epoch) == (1, 7)


def test_data_sets_say_what_they_are(archive: Path, shards: Path) -> None:
    assert repr(ArchiveDataset(archive)) == f"ArchiveDataset(Archive({str(archive)!r}))"
    assert repr(ShardDataset(shards, shuffle=1)) == "ShardDataset(4 shards, shuffle=1)"
