"""Bits against the peers, on a folder of photos or other files, an array of small images, or a text.

    python -m benchmarks.peers photos FOLDER
    python -m benchmarks.peers images CIFAR10_TEST.npy --limit 1000
    python -m benchmarks.peers text FILE --piece 100000
    python -m benchmarks.peers text FILE --piece 500 --limit 1000
    python -m benchmarks.peers files HELD_OUT --trained-on FOLDER -m MODEL

Each item is a file of its own: its real bytes are counted, headers included, and every one is
decoded and compared. Times are those of the calls alone, in one process, imports excluded; small
items share the calls of our network, which makes the same bytes in less time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import click
import numpy as np

from benchmarks.codecs import Codec, Pixels, photo_codecs, text_codecs
from benchmarks.tables import bars, table

T = TypeVar("T", Pixels, bytes)
BATCH = 1 << 18  # bytes of items that a codec is told of at once


@dataclass(frozen=True)
class Row:
    """What one codec makes of all items."""

    codec: str
    items: int
    raw: int  # bytes
    packed: int  # bytes
    mean_bits: float  # mean over items of bits per byte (text) or per subpixel (images)
    total_bits: float  # the same, all items together
    encode_s: float
    decode_s: float


def measure(codec: Codec[T], items: Sequence[T]) -> Row:
    """Encode, decode and compare every item."""
    rates, raw, packed, encode_s, decode_s, done = [], 0, 0, 0.0, 0.0, 0
    for batch in batches(items):
        start = time.perf_counter()
        codec.foresee(batch)
        blobs = [codec.encode(item) for item in batch]
        middle = time.perf_counter()
        codec.foresee_coded(blobs)
        backs = [codec.decode(blob, size_of(item)) for blob, item in zip(blobs, batch, strict=True)]
        end = time.perf_counter()
        for item, blob, back in zip(batch, blobs, backs, strict=True):
            if not np.array_equal(back, item):
                raise AssertionError(f"{codec.name}: item {done} came back different")
            rates.append(8 * len(blob) / size_of(item))
            raw, packed, done = raw + size_of(item), packed + len(blob), done + 1
        encode_s, decode_s = encode_s + middle - start, decode_s + end - middle
        progress(f"{codec.name}: {done}/{len(items)} ")
    progress("")
    mean = float(np.mean(rates))
    return Row(codec.name, len(items), raw, packed, mean, 8 * packed / raw, encode_s, decode_s)


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


def size_of(item: Pixels | bytes) -> int:
    return item.nbytes if isinstance(item, np.ndarray) else len(item)


def progress(line: str) -> None:
    """Show how far it is on one line of a terminal; nothing where there is none."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{line}", err=True, nl=False)


def report(title: str, unit: str, rows: Iterable[Row], as_json: bool, plot: Path | None) -> None:
    rows = list(rows)
    if as_json:
        click.echo(json.dumps({"title": title, "unit": unit, "rows": [asdict(r) for r in rows]}))
    else:
        heads = ["codec", "bytes", unit, "all together", "encode KB/s", "decode KB/s"]
        cells = [
            [
                row.codec,
                f"{row.packed:,}",
                f"{row.mean_bits:.4f}",
                f"{row.total_bits:.4f}",
                f"{row.raw / row.encode_s / 1e3:,.0f}",
                f"{row.raw / row.decode_s / 1e3:,.0f}",
            ]
            for row in rows
        ]
        click.echo(f"{title}: {rows[0].items} items, {rows[0].raw:,} bytes raw\n")
        click.echo(table(heads, cells))
    if plot is not None:
        bars(plot, title, unit, {row.codec: row.mean_bits for row in rows})


def run(
    title: str,
    unit: str,
    codecs: Sequence[Codec[T]],
    items: Sequence[T],
    only: tuple[str, ...],
    as_json: bool,
    plot: Path | None,
) -> None:
    chosen = [c for c in codecs if not only or any(o.lower() in c.name.lower() for o in only)]
    if not chosen or not items:
        raise click.UsageError("nothing to measure: no such codec, or no items")
    report(title, unit, [measure(codec, items) for codec in chosen], as_json, plot)


def spread(count: int, wanted: int | None) -> list[int]:
    """At most `wanted` of 0 ... count - 1, evenly spaced."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [i * count // wanted for i in range(wanted)]


def options(command: click.Command) -> click.Command:
    """Add the options that all commands have."""
    for option in [
        click.Option(["--plot"], type=click.Path(path_type=Path), help="Draw the bits to a file."),
        click.Option(["--json", "as_json"], is_flag=True, help="For programs."),
        click.Option(["--no-ours"], is_flag=True, help="Peers only."),
        click.Option(["-m", "--model"], default="auto", show_default=True, help="Ours: the model."),
        click.Option(["--only"], multiple=True, help="Codecs whose name has this in it."),
    ]:
        command.params.append(option)
    return command


@click.group(help=(__doc__ or "").split("\n\n", 1)[0])
def main() -> None:
    pass


@options
@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--limit", type=int, help="At most so many files, evenly spaced.")
def photos(
    folder: Path,
    limit: int | None,
    only: tuple[str, ...],
    model: str,
    no_ours: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Every image of FOLDER (PNG, WebP, BMP, TIFF, PPM) as a file of its own."""
    from PIL import Image

    kinds = {".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in kinds)
    paths = [paths[i] for i in spread(len(paths), limit)]
    items = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    codecs = photo_codecs(None if no_ours else model)
    run(f"photos in {folder.name}", "bits/subpixel", codecs, items, only, as_json, plot)


@options
@main.command()
@click.argument("array", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--limit", type=int, default=1000, show_default=True, help="The first so many.")
def images(
    array: Path,
    limit: int,
    only: tuple[str, ...],
    model: str,
    no_ours: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Every image of ARRAY (.npy, uint8 [N, H, W, 3]) as a file of its own."""
    items = list(np.load(array, mmap_mode="r")[:limit])
    codecs = photo_codecs(None if no_ours else model)
    run(f"first {len(items)} of {array.name}", "bits/dim", codecs, items, only, as_json, plot)


@options
@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--piece", type=int, default=100_000, show_default=True, help="Bytes of a piece.")
@click.option("--limit", type=int, help="At most so many pieces, evenly spaced.")
def text(
    file: Path,
    piece: int,
    limit: int | None,
    only: tuple[str, ...],
    model: str,
    no_ours: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """FILE in pieces, each a file of its own; a last one shorter than half a piece is left out."""
    data = file.read_bytes()
    starts = [s for s in range(0, len(data), piece) if s == 0 or len(data) - s >= piece / 2]
    items = [data[starts[i] : starts[i] + piece] for i in spread(len(starts), limit)]
    title = f"{file.name} in pieces of {piece:,} bytes"
    codecs = text_codecs(None if no_ours else model)
    run(title, "bits/byte", codecs, items, only, as_json, plot)


@options
@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--limit", type=int, help="At most so many files, evenly spaced.")
@click.option(
    "--trained-on",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Files of the same kind: zstd is measured with a dictionary of them too.",
)
def files(
    folder: Path,
    limit: int | None,
    trained_on: Path | None,
    only: tuple[str, ...],
    model: str,
    no_ours: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Every file of FOLDER that is not empty, as the bytes it is."""
    contents = contents_of(folder)
    items = [contents[i] for i in spread(len(contents), limit)]
    samples = contents_of(trained_on) if trained_on else []
    codecs = text_codecs(None if no_ours else model, samples)
    run(f"files in {folder.name}", "bits/byte", codecs, items, only, as_json, plot)


def contents_of(folder: Path) -> list[bytes]:
    """Every file of a folder, empty ones left out, by name."""
    return [data for path in sorted(folder.iterdir()) if path.is_file() and (data := path.read_bytes())]


if __name__ == "__main__":
    main()
