"""Bits against the peers, on a folder of photos, an array of small images, or a text.

    python -m benchmarks.peers photos FOLDER
    python -m benchmarks.peers images CIFAR10_TEST.npy --limit 1000
    python -m benchmarks.peers text FILE --piece 100000
    python -m benchmarks.peers text FILE --piece 500 --sample 1000

Each item is a file of its own: its real bytes are counted, headers included, and every one is
decoded and compared. Times are those of the calls alone, in one process, imports excluded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import click
import numpy as np

from benchmarks.codecs import Codec, Pixels, photo_codecs, text_codecs
from benchmarks.tables import bars, table

T = TypeVar("T", Pixels, bytes)


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
    rates, raw, packed, encode_s, decode_s = [], 0, 0, 0.0, 0.0
    for number, item in enumerate(items):
        size = item.nbytes if isinstance(item, np.ndarray) else len(item)
        start = time.perf_counter()
        blob = codec.encode(item)
        middle = time.perf_counter()
        back = codec.decode(blob, size)
        end = time.perf_counter()
        if not np.array_equal(back, item):
            raise AssertionError(f"{codec.name}: item {number} came back different")
        rates.append(8 * len(blob) / size)
        raw, packed = raw + size, packed + len(blob)
        encode_s, decode_s = encode_s + middle - start, decode_s + end - middle
        if sys.stderr.isatty():
            click.echo(f"\r{codec.name}: {number + 1}/{len(items)} ", err=True, nl=False)
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    mean = float(np.mean(rates))
    return Row(codec.name, len(items), raw, packed, mean, 8 * packed / raw, encode_s, decode_s)


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
@click.option("--sample", type=int, help="At most so many pieces, evenly spaced.")
def text(
    file: Path,
    piece: int,
    sample: int | None,
    only: tuple[str, ...],
    model: str,
    no_ours: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """FILE in pieces, each a file of its own; a last one shorter than half a piece is left out."""
    data = file.read_bytes()
    starts = [s for s in range(0, len(data), piece) if s == 0 or len(data) - s >= piece / 2]
    items = [data[starts[i] : starts[i] + piece] for i in spread(len(starts), sample)]
    title = f"{file.name} in pieces of {piece:,} bytes"
    codecs = text_codecs(None if no_ours else model)
    run(title, "bits/byte", codecs, items, only, as_json, plot)


if __name__ == "__main__":
    main()
