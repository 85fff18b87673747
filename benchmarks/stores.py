"""Zarr stores of tiles: bytes and throughput, ours beside Zarr's own codecs and PNG, many chunks at once or one by one.

    python -m benchmarks.stores --tiles TILES.npy --photos FOLDER
    python -m benchmarks.stores --tiles TILES.npy --count 1000 --photos FOLDER --large 64 --model photo-fast --level 1

TILES.npy: uint8 [N, H, W, 3], a chunk each. Of the photos tiles of 512 x 512 are cut at random places. Stores are in
memory, so that no disk is measured.

A machine is faster at one moment than at another. So all ways take turns, some thousand tiles at a time: each writes
them, reads them back in their order, then as many at random places among those written so far. What is done one by one
is done for an even sample of them. Rates are medians of all rounds, and so are ratios, each of one round.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click
import numpy as np
import zarr
from numpy.typing import NDArray
from PIL import Image
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

import bfncodec
from benchmarks.tables import table
from bfncodec.integrations.zarr import BfnArrayCodec

Tiles = NDArray[np.uint8]
Ints = NDArray[np.int64]
SIDE, REGION, ROUND = 512, 300, 2048
HEADS = ("store", "bytes a tile", "bits a subpixel", "write, tiles/s", "read, tiles/s", "at random, tiles/s")


@dataclass(frozen=True)
class Way:
    """A name for how a store is coded, options of zarr.create_array, how many chunks are coded at once, and the size
    of the even sample of tiles that is enough to measure it.
    """

    name: str
    options: dict[str, Any]
    batch: int = 512
    few: int | None = None

    def rates(self, tiles: Tiles) -> Iterator[Rates]:
        """Yield what is measured in each round, in a store of all tiles."""
        store = MemoryStore()
        with zarr.config.set({"codec_pipeline.batch_size": self.batch}):
            chunk = (1, *tiles.shape[1:])
            array = zarr.create_array(store, shape=tiles.shape, chunks=chunk, dtype=tiles.dtype, **self.options)
        rng, written = np.random.default_rng(0), np.zeros(0, np.int64)
        for part in rounds(len(tiles)):
            places = part[:: max(1, len(tiles) // self.few)] if self.few else part
            written = np.concatenate([written, places])
            rates = self._round(array, places, rng.permutation(written)[: len(places)], tiles)
            size = sum(len(value) for key, value in store._store_dict.items() if not key.endswith("zarr.json"))
            yield Rates(rates, size)

    def _round(self, array: Any, places: Ints, anywhere: Ints, tiles: Tiles) -> tuple[float, ...]:
        seconds = (
            spent(lambda: self._write(array, places, tiles)),
            spent(lambda: self._read(array, places, tiles)),
            spent(lambda: self._read(array, anywhere, tiles)),
        )
        return tuple(len(places) / each for each in seconds)

    def _write(self, array: Any, places: Ints, tiles: Tiles) -> None:
        if self.batch > 1:
            array[places[0] : places[-1] + 1] = tiles[places[0] : places[-1] + 1]
            return
        for place in places:
            array[int(place)] = tiles[place]

    def _read(self, array: Any, places: Ints, tiles: Tiles) -> None:
        together = self.batch > 1
        found = array.oindex[places] if together else np.stack([array[int(place)] for place in places])
        assert np.array_equal(found, tiles[places])


class Rates(NamedTuple):
    """Tiles a second, written, read and read at random, and the bytes of all tiles written so far."""

    rates: tuple[float, ...]
    size: int


def rounds(count: int) -> list[Ints]:
    """Return the numbers of so many tiles, those of each round."""
    return [np.arange(first, min(first + ROUND, count)) for first in range(0, count, ROUND)]


def spent(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def sizes(size: int, tiles: Tiles) -> list[str]:
    return [f"{size / len(tiles):,.0f}", f"{8 * size / tiles.size:.3f}"]


def png_size(tile: Tiles) -> int:
    file = io.BytesIO()
    Image.fromarray(tile).save(file, "PNG", optimize=True)
    return len(file.getvalue())


def compare(title: str, tiles: Tiles, codec: BfnArrayCodec, few: int) -> None:
    """Print a table of all ways, and how much more is coded at once than one by one. few: tiles coded one by one."""
    ours = {"serializer": codec, "compressors": None}
    list(Way("loads and compiles what there is", ours).rates(tiles[:1]))
    ways = [
        Way("bfncodec, 512 at once", ours),
        Way("bfncodec, one by one", ours, 1, few),
        Way("Zarr's default (Zstandard)", {"compressors": ZstdCodec()}),
        Way("Blosc (Zstandard 9, shuffled)", {"compressors": BloscCodec(cname="zstd", clevel=9, shuffle="shuffle")}),
    ]
    found = list(zip(*[way.rates(tiles) for way in ways], strict=True))  # by rounds
    rows = [row(way, list(own), tiles) for way, own in zip(ways, zip(*found, strict=True), strict=True)]
    png = sum(map(png_size, tiles))
    click.echo(f"{title}\n\n{table(HEADS, [*rows, ['PNG, optimised', *sizes(png, tiles), '', '', '']])}\n")
    ratios = np.array([np.divide(together.rates, alone.rates) for together, alone, *_ in found])
    for what, own in zip(("written", "read", "at random"), ratios.T, strict=True):
        click.echo(
            f"{what}: at once {np.median(own):.1f} times as fast as one by one ({own.min():.1f} to {own.max():.1f})"
        )
    click.echo()


def row(way: Way, found: Sequence[Rates], tiles: Tiles) -> list[str]:
    """Return a row of the table. found: in all rounds"""
    packed = sizes(found[-1].size, tiles) if way.few is None else ["", ""]
    return [way.name, *packed, *(f"{median(own):,.2f}" for own in zip(*(each.rates for each in found), strict=True))]


def cut(folder: Path, count: int) -> Tiles:
    """Return tiles from random places of the photos that have room for one, from each photo in its turn."""
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    photos = [photo for photo in photos if min(photo.shape[:2]) >= SIDE]
    rng, tiles = np.random.default_rng(0), []
    for _, photo in zip(range(count), cycle(photos), strict=False):
        top, left = (int(rng.integers(side - SIDE + 1)) for side in photo.shape[:2])
        tiles.append(photo[top : top + SIDE, left : left + SIDE])
    return np.stack(tiles)


def region(tiles: Tiles, codec: BfnArrayCodec) -> None:
    """Print what a region takes against the whole, in a chunk of 16 tiles."""
    chunk = np.concatenate([np.concatenate(tiles[n : n + 4], axis=1) for n in range(0, 16, 4)])
    store = MemoryStore()
    array = zarr.create_array(store, data=chunk, chunks=chunk.shape, serializer=codec, compressors=None)
    here = slice(len(chunk) // 2, len(chunk) // 2 + REGION)
    part, whole = spent(lambda: array[here, here]), spent(lambda: array[:])
    assert np.array_equal(array[here, here], chunk[here, here])
    counts: list[int] = []
    crop = (here.start, here.start, REGION, REGION)
    bfncodec.decompress(store._store_dict["c/0/0/0"].to_bytes(), crop=crop, progress=counts.append)
    click.echo(
        f"{REGION} x {REGION} of a chunk of {len(chunk)} x {len(chunk)}: {sum(counts) / chunk.size:.1%} of the "
        f"subpixels are decoded, in {part / whole:.1%} of the time of the whole"
    )


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.option("--tiles", type=click.Path(exists=True, path_type=Path), help="uint8 [N, H, W, 3], as .npy.")
@click.option("--count", type=click.IntRange(1), help="Tiles of these, from the first; all unless given.")
@click.option("--photos", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of photos.")
@click.option("--large", default=64, show_default=True, help="Tiles of 512 x 512 that are cut of them.")
@click.option("--model", default="photo-fast", show_default=True)
@click.option("--level", default=1, show_default=True)
@click.option("--few", default=32, show_default=True, help="Tiles that are coded one by one.")
@click.option("--verify/--no-verify", default=True, help="Decode what was written before it is stored.")
def main(
    tiles: Path | None,
    count: int | None,
    photos: Path | None,
    large: int,
    model: str,
    level: int,
    few: int,
    verify: bool,
) -> None:
    codec = BfnArrayCodec(model, level, verify)
    if tiles is not None:
        data = np.load(tiles)[:count]
        compare(f"{len(data)} tiles of {data.shape[2]} x {data.shape[1]}", data, codec, few)
    if photos is not None:
        data = cut(photos, large)
        compare(f"{len(data)} tiles of {SIDE} x {SIDE}", data, codec, max(1, few // 16))
        region(data, codec)


if __name__ == "__main__":
    main()
