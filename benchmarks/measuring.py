"""A measurement of one codec on many items: every one encoded, decoded and compared, in a process of its own."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic

import click
import numpy as np

from benchmarks.codecs import Codec, Ours, T
from benchmarks.processes import own_peak
from bfncodec.analysis.peers import same, size_of

BATCH = 1 << 18  # bytes of items that a codec is told of at once


@dataclass(frozen=True)
class Row:
    """Sizes and speeds of one codec on all items."""

    codec: str
    items: int
    raw: int  # bytes
    packed: int  # bytes
    mean_bits: float  # mean over items of bits per byte (text) or per sample (images)
    total_bits: float  # the same, all items together
    encode_s: float
    decode_s: float
    sizes: tuple[int, ...]  # bytes of each file
    methods: Mapping[str, int] = field(default_factory=dict)  # ours: segments by how they are coded
    peak: int = 0  # bytes of memory


@dataclass(frozen=True)
class Workload(Generic[T]):
    """Items and codecs, said in a way that another process can load them, too (they pickle)."""

    title: str
    unit: str
    items: Callable[[], Sequence[T]]
    codecs: Callable[..., list[Codec[T]]]  # of ways to use ours
    names: tuple[str, ...] = ()  # of the items, where they are to be told apart


def measured(workload: Workload[T], ours: Sequence[Ours], name: str) -> Row:
    """Be a process that measures one codec of a workload."""
    codec = next(codec for codec in workload.codecs(*ours) if codec.name == name)
    return replace(measure(codec, workload.items()), peak=own_peak())


def measure(codec: Codec[T], items: Sequence[T]) -> Row:
    """Encode, decode and compare every item."""
    raw: list[int] = []
    sizes: list[int] = []
    methods: Counter[str] = Counter()
    encode_s = decode_s = 0.0
    for batch in batches(items):
        start = time.perf_counter()
        codec.foresee(batch)
        blobs = [codec.encode(item) for item in batch]
        middle = time.perf_counter()
        codec.foresee_coded(blobs)
        backs = [codec.decode(blob, size_of(item)) for blob, item in zip(blobs, batch, strict=True)]
        encode_s, decode_s = encode_s + middle - start, decode_s + time.perf_counter() - middle
        for item, blob, back in zip(batch, blobs, backs, strict=True):
            if not same(item, back):
                raise AssertionError(f"{codec.name}: item {len(sizes)} came back different")
            methods.update(codec.methods(blob))
            raw.append(size_of(item))
            sizes.append(len(blob))
        progress(f"{codec.name}: {len(sizes)}/{len(items)} ")
    progress("")
    dims = [dims_of(item) for item in items]
    mean = float(np.mean([8 * packed / count for packed, count in zip(sizes, dims, strict=True)]))
    total = 8 * sum(sizes) / sum(dims)
    return Row(
        codec.name, len(items), sum(raw), sum(sizes), mean, total, encode_s, decode_s, tuple(sizes), dict(methods)
    )


def batches(items: Sequence[T]) -> Iterator[list[T]]:
    """Consecutive items of BATCH bytes together, or a single one that is larger."""
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and total + size_of(item) > BATCH:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size_of(item)
    yield batch


def dims_of(item: Any) -> int:
    """Return what bits are counted for: bytes, or samples, which may have two."""
    return int(item.size) if isinstance(item, np.ndarray) else size_of(item)


def progress(line: str) -> None:
    """Show how far it is on one line of a terminal; nothing where there is none."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{line}", err=True, nl=False)
