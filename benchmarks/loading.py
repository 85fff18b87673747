"""Pictures for training: from an archive by a DataLoader, beside PNG files and a .npy file.

    python -m benchmarks.loading DATA.npy                 # the first 1,000 of uint8 [N, H, W, 3]
    python -m benchmarks.loading DATA.npy --items 10000

Told are what an archive takes over the payloads in it, how long it is written, how long one item takes in a process
that has read others, what appending 100 items costs and changes; then items a second of an epoch of the DataLoader with
two workers, which are started for it, and the bytes that an epoch reads but the first, in which an archive is checked.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import bfncodec
from benchmarks.tables import table
from bfncodec.files.options import Options
from bfncodec.integrations.torch import ArchiveDataset

_COMPACT = 12  # bytes of a compact file of an array of RGB before its payload
_BATCH = 128
_MORE = 100  # items that are added


class FilesDataset(Dataset[Any]):
    """PNG files as arrays."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Any:
        with Image.open(self.paths[number]) as image:
            return np.array(image)


class ArrayDataset(Dataset[Any]):
    """Rows of a .npy file that is mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return len(np.load(self.path, mmap_mode="r"))

    def __getitems__(self, numbers: list[int]) -> list[Any]:
        rows = np.load(self.path, mmap_mode="r")
        return [np.array(rows[number]) for number in numbers]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def archive_of(array: Any, folder: Path, options: Options) -> Path:
    """Write an archive, and print what it takes."""
    path = folder / "items.bfn"
    seconds, _ = timed(lambda: bfncodec.write_archive(path, array, options))
    with bfncodec.Archive(path) as archive:
        payload = sum(archive.describe(k).file_bytes - _COMPACT for k in range(len(archive)))
        size, number = path.stat().st_size, 7777 % len(array)
        over = 100 * (size / payload - 1)
        print(f"archive: {len(array)} items, {size:,} bytes, {over:.2f}% over their payloads, {seconds:.1f} s to write")
        archive.read([0, 1])
        one = min(timed(lambda: archive[number])[0] for _ in range(3))
        print(f"item {number}: {1000 * one:.0f} ms in a warm process")
    return path


def append_to(path: Path, more: Any, options: Options) -> None:
    """Add items to a copy of an archive, and print what that changes."""
    before = path.read_bytes()
    other = path.with_name("more.bfn")
    other.write_bytes(before)
    with bfncodec.Archive(path) as archive:
        end = archive.coded_end
    seconds, _ = timed(lambda: bfncodec.append_items(other, more, options))
    same = other.read_bytes()[:end] == before[:end]
    kept = "as they were" if same else "CHANGED"
    print(f"{len(more)} added: {seconds:.1f} s, {end:,} of {len(before):,} bytes {kept}, the rest is the index")


def epoch(data: Dataset[Any], workers: int) -> float:
    """Return the seconds of an epoch, in random order, after one that warmed the disk's cache."""
    loader = DataLoader(data, batch_size=_BATCH, shuffle=True, num_workers=workers)
    return min(timed(lambda: [None for _ in loader])[0] for _ in range(2))


def read_in_an_epoch(data: ArchiveDataset) -> int:
    """Return the bytes that this process reads in a second epoch."""
    found = [0, 0]
    for k in range(2):
        for _ in DataLoader(data, batch_size=_BATCH, shuffle=True):
            pass
        assert isinstance(data.items, bfncodec.Archive)
        found[k] = data.items.read_bytes
    return found[1] - found[0]


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--items", default=1000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--model", default="auto", show_default=True)
def main(data: Path, items: int, workers: int, model: str) -> None:
    array, options = np.load(data, mmap_mode="r")[:items], Options(model=model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = archive_of(array, folder, options)
        append_to(path, array[:_MORE], options)
        np.save(folder / "items.npy", array)
        files = [folder / f"{k:06}.png" for k in range(len(array))]
        for file, row in zip(files, array, strict=True):
            Image.fromarray(row).save(file)
        archive, of_files = ArchiveDataset(path), sum(file.stat().st_size for file in files)
        sets: dict[str, tuple[Dataset[Any], int, int]] = {
            "archive": (archive, path.stat().st_size, read_in_an_epoch(archive)),
            "PNG files": (FilesDataset(files), of_files, of_files),
            ".npy file": (ArrayDataset(folder / "items.npy"), (folder / "items.npy").stat().st_size, array.nbytes),
        }
        rows = [
            [kind, f"{len(array) / epoch(found, workers):,.0f}", f"{size:,}", f"{read:,}"]
            for kind, (found, size, read) in sets.items()
        ]
        print(table(["source", "items a second", "bytes on disk", "bytes read an epoch"], rows))


if __name__ == "__main__":
    main()
