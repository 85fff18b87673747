"""Tiles on a cluster: what a petabyte takes in processor hours and bytes, and what a second worker brings.

    python -m benchmarks.cluster PHOTOS_FOLDER --tiles 64
    python -m benchmarks.cluster PHOTOS_FOLDER --tiles 64 --ray

Tiles of 512 x 512 are cut from photos at random places. The table is of one process with one thread each, every file
decoded and compared; with --ray the tiles are compressed as PNG files by one worker and by two.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import click
import numpy as np
from PIL import Image

import bfncodec
from benchmarks.tables import table
from bfncodec.analysis.peers import Peer, photo_peers
from bfncodec.runtime.arrays import Pixels

Encoder = Callable[[Pixels], bytes]
Decoder = Callable[[bytes], Pixels]

SIDE, PETABYTE = 512, 1e15
PEERS = ("PNG", "JPEG XL -e 7")
HEADS = ("codec", "bits a subpixel", "to", "MB/s in", "MB/s out", "core hours in", "core hours out")


def tiles_of(folder: Path, count: int) -> Iterator[Pixels]:
    """Yield tiles of photos in turn, at places that follow from the seed."""
    rng = np.random.default_rng(22)
    photos = [path for path in sorted(folder.iterdir()) if min(Image.open(path).size) >= SIDE]
    if not photos:
        raise click.ClickException(f"expected photos of {SIDE} x {SIDE} pixels and more in {folder}, found none")
    for path in islice(cycle(photos), count):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        top, left = (int(rng.integers(0, side - SIDE + 1)) for side in pixels.shape[:2])
        yield np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])


def row(name: str, encode: Encoder, decode: Decoder, tiles: Sequence[Pixels]) -> list[str]:
    """Return the figures of a codec, each tile alone, processor seconds."""
    encode(tiles[0]), decode(encode(tiles[0]))  # models are loaded, kernels compiled
    begin = time.process_time()
    blobs = [encode(tile) for tile in tiles]
    middle = time.process_time()
    back = [decode(blob) for blob in blobs]
    seconds = (middle - begin, time.process_time() - middle)
    assert all(np.array_equal(a, b) for a, b in zip(tiles, back, strict=True)), name
    plain, small = sum(tile.nbytes for tile in tiles), sum(map(len, blobs))
    rates = [plain / each for each in seconds]
    hours = [f"{PETABYTE / rate / 3600:,.0f}" for rate in rates]
    return [
        name,
        f"{8 * small / plain:.3f}",
        f"{small / plain * 1000:.0f} TB",
        *(f"{r / 1e6:.2f}" for r in rates),
        *hours,
    ]


def spread(tiles: Sequence[Pixels], level: int) -> list[list[str]]:
    """Return seconds of one and two workers, from the first file that is done to the last."""
    import ray

    from bfncodec.files.options import Options
    from bfncodec.integrations.ray import compress_files

    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows, first = [], 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tiles"
        folder.mkdir()
        for n, tile in enumerate(tiles):
            Image.fromarray(tile).save(folder / f"{n}.png")
        for workers in (1, 2):
            begin = time.perf_counter()
            done = list(compress_files([str(folder)], f"{name}/{workers}", Options(level=level), workers=workers))
            seconds = time.perf_counter() - begin
            assert {each.state for each in done} == {"done"}
            first = first or seconds
            rows.append([str(workers), f"{seconds:.1f}", f"{len(tiles) / seconds:.2f}", f"{first / seconds:.2f}"])
    ray.shutdown()
    return rows


def codecs(nbytes: int, levels: Sequence[int]) -> Iterator[tuple[str, Encoder, Decoder]]:
    """Yield the name and the two functions of each codec. nbytes: of a tile."""
    for peer in photo_peers():
        if peer.name in PEERS:
            yield peer.name, peer.encode, partial(_decoded, peer, nbytes)
    models = bfncodec.Models(threads=1)
    for level in levels:
        encode = partial(bfncodec.compress, level=level, verify=False, codecs=models)
        yield f"bfncodec -{level}", encode, partial(bfncodec.decompress, codecs=models)


def _decoded(peer: Peer[Pixels], nbytes: int, blob: bytes) -> Pixels:
    return peer.decode(blob, nbytes)


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tiles", "count", default=64, show_default=True)
@click.option("--level", "levels", type=int, multiple=True, default=(1, 5), show_default=True)
@click.option("--ray", "on_ray", is_flag=True, help="Compress by one worker and by two instead.")
def main(photos: Path, count: int, levels: Sequence[int], on_ray: bool) -> None:
    """Measure tiles of PHOTOS, a folder of files that Pillow opens."""
    tiles = list(tiles_of(photos, count))
    if on_ray:
        click.echo(table(["workers", "seconds", "tiles/s", "times one"], spread(tiles, levels[-1])))
        return
    click.echo(table(HEADS, [row(*codec, tiles) for codec in codecs(tiles[0].nbytes, levels)]))


if __name__ == "__main__":
    main()
