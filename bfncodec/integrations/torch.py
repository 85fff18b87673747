"""PyTorch: data sets over archives and folders of compressed files, for its ``DataLoader``.

A batch is read and decoded together, in the process of its worker, which opens files and loads models for itself,
whether it was forked or spawned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from bfncodec.errors import InputError
from bfncodec.files.archive import Archive
from bfncodec.files.fileobjects import FolderOfFiles
from bfncodec.files.places import folder_at
from bfncodec.format.frame import SUFFIX
from bfncodec.runtime.arguments import path_of, whole_number

__all__ = ["ArchiveDataset", "ShardDataset"]

_Transform = Callable[[Any], Any]


def _same(item: Any) -> Any:
    return item


class ArchiveDataset(Dataset[Any]):
    """Items by their number: those of an archive, or the compressed files in a folder, sorted by their paths.

    Parameters
    ----------
    source
        A file that :func:`bfncodec.write_archive` made, or a folder of .bfn files, each of which holds one object.
    transform
        Called with each item, in the process that decodes it.
    arrays, threads, options
        As for :class:`bfncodec.Archive`. One thread, as workers are many; None for all.

    Raises
    ------
    InputError
        A source that is neither, and what :class:`bfncodec.Archive` raises, when an item is asked for.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        transform: _Transform | None = None,
        *,
        arrays: bool = True,
        threads: int | None = 1,
        **options: Any,
    ) -> None:
        path = path_of(source)
        kind = FolderOfFiles if folder_at(path) else Archive
        self.items: Archive | FolderOfFiles = kind(path, arrays=arrays, threads=threads, **options)
        self.transform = transform or _same

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items!r})"

    def __getitem__(self, number: int) -> Any:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Any]:
        """Return a batch, decoded together, as ``DataLoader`` asks for it."""
        return [self.transform(item) for item in self.items.read(numbers)]


class ShardDataset(IterableDataset[Any]):
    """Items of several archives, one after the other: each worker of each process has shards of its own.

    Parameters
    ----------
    shards
        Paths of archives, at least one for each worker, or a folder that has them.
    transform, arrays, threads, options
        As for :class:`ArchiveDataset`.
    shuffle
        A seed: shards are read in another order in each epoch, and items in another within ``together`` of them. Call
        ``set_epoch`` before each. None for the order in which they are.
    together
        Items that are read and decoded at once.

    Processes of ``torch.distributed``, where it is initialised, share the shards between them.
    """

    def __init__(
        self,
        shards: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
        transform: _Transform | None = None,
        *,
        shuffle: int | None = None,
        together: int = 256,
        arrays: bool = True,
        threads: int | None = 1,
        **options: Any,
    ) -> None:
        if isinstance(shards, (str, os.PathLike)):
            folder = path_of(shards)
            shards = sorted(folder.glob(f"*{SUFFIX}")) if folder_at(folder) else [folder]
        self.shards = [path_of(shard) for shard in shards or ()]
        if not self.shards:
            raise InputError("expected archives, found none")
        self.transform, self.shuffle = transform or _same, shuffle
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # workers that persist see what is set later
        self.together = whole_number(together, "together")
        if self.together < 1:
            raise InputError(f"expected one item or more to be read together, found {together}")
        self._options = {"arrays": arrays, "threads": threads, **options}

    @property
    def epoch(self) -> int:
        """Number of the epoch, which tells the order where items are shuffled."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes, before it is begun; workers that persist are told, too.

        Raises InputError for what is no number of an epoch.
        """
        number = whole_number(epoch, "epoch")
        if not 0 <= number < 1 << 63:
            raise InputError(f"expected an epoch from 0 on, found {epoch}")
        self._epoch.fill_(number)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.shards)} shards, shuffle={self.shuffle!r})"

    def __iter__(self) -> Iterator[Any]:
        order, (rank, count) = list(range(len(self.shards))), _place()
        random = None if self.shuffle is None else Random(f"{self.shuffle} {self.epoch}")
        if random is not None:
            random.shuffle(order)
        for number in islice(order, rank, None, count):
            with Archive(self.shards[number], **self._options) as archive:
                yield from self._items(archive, random)

    def _items(self, archive: Archive, random: Random | None) -> Iterator[Any]:
        starts = list(range(0, len(archive), self.together))
        if random is not None:
            random.shuffle(starts)
        for start in starts:
            items = archive[start : start + self.together]
            if random is not None:
                random.shuffle(items)
            yield from map(self.transform, items)


def _place() -> tuple[int, int]:
    """Return the number of this worker among those of all processes, and how many they are."""
    import torch.distributed as distributed

    worker = get_worker_info()
    number, workers = (worker.id, worker.num_workers) if worker is not None else (0, 1)
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() * workers + number, distributed.get_world_size() * workers
    return number, workers
