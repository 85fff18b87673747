"""Bits, time and memory against the peers, on photos, graphics, arrays of small images, texts and other files.

    python -m benchmarks.peers photos FOLDER --level 1 --level 5 --level 9 --plot photos.png
    python -m benchmarks.peers images CIFAR10_TEST.npy --limit 1000
    python -m benchmarks.peers images CIFAR10_TEST.npy --limit 1024 --mosaic 32
    python -m benchmarks.peers grey FOLDER --box 4
    python -m benchmarks.peers graphics ICONS SCREENSHOTS --limit 60
    python -m benchmarks.peers text FILE --piece 100000 --zpaq
    python -m benchmarks.peers text FILE --piece 500 --limit 1000
    python -m benchmarks.peers sizes FILE --primed-with OTHER --zpaq --level 1 --level 5 --plot sizes.png
    python -m benchmarks.peers files HELD_OUT --trained-on FOLDER -m MODEL

Each item is a file of its own: its real bytes are counted, headers included, and every one is
decoded and compared. --limit makes a quick run of any of them, --json keeps every file's bytes.

Every codec is measured in a process of its own. Its time is that of the calls alone, imports
excluded; small items share the calls of our network, which makes the same bytes in less time. Its
peak memory is that of the whole process: Python, all items, and whatever the codec loads. Peers
run on one thread, ours on as many as OMP_NUM_THREADS allows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.codecs import (
    Codec,
    Ours,
    Pixels,
    T,
    graphics_codecs,
    grey_codecs,
    photo_codecs,
    text_codecs,
    trained,
)
from benchmarks.measuring import Row, Workload, measured
from benchmarks.processes import alone
from benchmarks.tables import sizes_plot, table
from benchmarks.texts import (
    DICTIONARY_MOST,
    SIZES,
    ZPAQ_LEAST,
    Amount,
    content,
    curves,
    how_many,
    of_size,
    samples,
    sizes_report,
)
from bfncodec.analysis.peers import WEBP, Graphic, graphic_of, has_zpaq
from bfncodec.analysis.plots import Trade, plot_trade

FRAME = 18  # bytes of frame that an image may take
PICTURES = {".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}


# --- reports -----------------------------------------------------------------------------------


def report(workload: Workload[T], rows: Sequence[Row]) -> str:
    """Everything measured, for people."""
    heads = ["codec", "bytes", workload.unit, "all together", "encode KB/s", "decode KB/s", "peak MB"]
    cells = [
        [
            row.codec,
            f"{row.packed:,}",
            f"{row.mean_bits:.4f}",
            f"{row.total_bits:.4f}",
            f"{row.raw / row.encode_s / 1e3:,.0f}",
            f"{row.raw / row.decode_s / 1e3:,.0f}",
            f"{row.peak / 1e6:,.0f}",
        ]
        for row in rows
    ]
    title = f"{workload.title}: {rows[0].items} items, {rows[0].raw:,} bytes raw\n"
    return "\n".join([title, table(heads, cells), *remarks(rows, workload.names)])


def remarks(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    """Remarks on how ours coded its segments, and file by file how it compares with WebP, where files have names."""
    theirs = next((row for row in rows if row.codec == WEBP), None)
    for row in rows:
        if row.methods:
            ways = ", ".join(f"{count} {method}" for method, count in sorted(row.methods.items()))
            yield f"{row.codec}: segments by method: {ways}"
        if row.methods and theirs and names:
            yield f"{row.codec}: {against(row, theirs, names)}"


def against(ours: Row, theirs: Row, names: Sequence[str]) -> str:
    """Number of files that are larger than theirs, and the worst."""
    pairs = list(zip(ours.sizes, theirs.sizes, strict=True))
    over = sum(a > 1.01 * b for a, b in pairs)
    beyond = sum(a > 1.01 * b + FRAME for a, b in pairs)
    worst = max(range(len(pairs)), key=lambda i: pairs[i][0] / pairs[i][1])
    return (
        f"{ours.packed / theirs.packed:.1%} of {theirs.codec}; {over} of {len(pairs)} files more than 1% larger, "
        f"{beyond} by more than the frame, too; worst {names[worst]}: {pairs[worst][0]} against {pairs[worst][1]} bytes"
    )


def for_programs(workload: Workload[T], rows: Iterable[Row]) -> dict[str, Any]:
    """Everything measured, for JSON."""
    return {
        "title": workload.title,
        "unit": workload.unit,
        "names": workload.names,
        "rows": [asdict(row) for row in rows],
    }


# --- the command line --------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """The options that all commands have."""

    only: tuple[str, ...]
    model: str
    levels: tuple[int, ...]
    no_ours: bool
    json: bool
    plot: Path | None

    @property
    def ours(self) -> tuple[Ours, ...]:
        """The ways to use ours, one for each level."""
        return () if self.no_ours else tuple(Ours(self.model, level) for level in self.levels or (None,))


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all commands have; the command gets them as one argument, asked."""

    @wraps(command)
    def wrapped(
        only: tuple[str, ...],
        model: str,
        levels: tuple[int, ...],
        no_ours: bool,
        as_json: bool,
        plot: Path | None,
        **others: Any,
    ) -> None:
        command(**others, asked=Asked(only, model, levels, no_ours, as_json, plot))

    for option in [
        click.option("--plot", type=click.Path(path_type=Path), help="Draw bits against time (sizes: size) to a file."),
        click.option("--json", "as_json", is_flag=True, help="For programs."),
        click.option("--no-ours", is_flag=True, help="Peers only."),
        click.option("--level", "levels", type=click.IntRange(1, 9), multiple=True, help="Ours: a level; may repeat."),
        click.option("-m", "--model", default="auto", show_default=True, help="Ours: the model."),
        click.option("--only", multiple=True, help="Codecs whose name has this in it; may repeat."),
    ]:
        wrapped = option(wrapped)
    return wrapped


def run(workload: Workload[T], asked: Asked) -> None:
    """Measure the codecs asked for, print the table, draw the plot."""
    rows = measure_all(workload, asked)
    if not rows:
        raise no_codec(workload, asked)
    click.echo(json.dumps(for_programs(workload, rows)) if asked.json else report(workload, rows))
    if asked.plot is not None:
        points = {
            row.codec: (row.mean_bits, row.encode_s / row.raw * 1e6, row.decode_s / row.raw * 1e6) for row in rows
        }
        kind = asked.plot.suffix[1:] or "png"
        asked.plot.write_bytes(plot_trade([Trade(workload.title, workload.unit, points)], kind))


def measure_all(workload: Workload[T], asked: Asked) -> list[Row]:
    """Measure the codecs asked for, each in a process of its own."""
    rows = []
    for name in names_of(workload, asked):
        if asked.only and not any(part.lower() in name.lower() for part in asked.only):
            continue
        rows.append(alone(measured, workload, asked.ours, name))
        click.echo(f"{name}: {rows[-1].mean_bits:.4f} {workload.unit}", err=True)  # of a long run that is cut off
    return rows


def names_of(workload: Workload[T], asked: Asked) -> list[str]:
    return [codec.name for codec in workload.codecs(*asked.ours)]


def no_codec(workload: Workload[T], asked: Asked) -> click.UsageError:
    """Return what to say where none of the codecs was asked for."""
    return click.UsageError(f"no codec of that name: --only takes parts of {', '.join(names_of(workload, asked))}")


def spread(count: int, wanted: int | None) -> list[int]:
    """At most `wanted` of 0 ... count - 1, evenly spaced."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [i * count // wanted for i in range(wanted)]


def pictures_in(folder: Path, limit: int | None) -> tuple[Path, ...]:
    """Picture files of a folder (PNG, WebP, BMP, TIFF, PPM), at most so many, evenly spaced."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if not paths:
        raise click.UsageError(f"no picture files in {folder}: name a folder of {', '.join(sorted(PICTURES))}")
    return tuple(paths[i] for i in spread(len(paths), limit))


def contents_of(folder: Path) -> list[bytes]:
    """Every file of a folder, empty ones left out, by name."""
    return [data for path in sorted(folder.iterdir()) if path.is_file() and (data := path.read_bytes())]


FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
some = click.option("--limit", type=click.IntRange(1), help="At most so many items, evenly spaced.")


@click.group(help=(__doc__ or "").split("\n\n", 1)[0])
def main() -> None:
    pass


@main.command()
@options
@click.argument("folder", type=FOLDER)
@some
def photos(folder: Path, limit: int | None, asked: Asked) -> None:
    """Every picture of FOLDER (PNG, WebP, BMP, TIFF, PPM) as an RGB file of its own."""
    items = partial(rgb_pictures, pictures_in(folder, limit))
    run(Workload(f"photos in {folder.name}", "bits/subpixel", items, photo_codecs), asked)


@main.command()
@options
@click.argument("folder", type=FOLDER)
@some
@click.option("--box", type=click.IntRange(1, 16), default=2, show_default=True, help="Pixels a side of a sum.")
def grey(folder: Path, limit: int | None, box: int, asked: Asked) -> None:
    """Grey pictures made of those in FOLDER: sums of the green samples of boxes of pixels.

    Sums of 2 x 2 have 10 bits, of 4 x 4 12 and of 16 x 16 all 16, down to the lowest real; --box 1 is the channel.
    """
    title = f"sums of {box} x {box} green samples in {folder.name}" if box > 1 else f"green samples in {folder.name}"
    items = partial(sums_of_green, pictures_in(folder, limit), box)
    run(Workload(title, "bits/sample", items, grey_codecs), asked)


def sums_of_green(paths: Sequence[Path], box: int) -> list[Pixels]:
    """Green channels, uint8 [H, W], or their sums, uint16 [H // box, W // box] for boxes of more than a pixel."""
    greens = [pixels[:, :, 1] for pixels in rgb_pictures(paths)]
    return [np.ascontiguousarray(green) if box == 1 else box_sums(green, box) for green in greens]


def box_sums(samples: Pixels, box: int) -> Pixels:
    """Return what does not fill a box at the right and at the bottom is left out."""
    height, width = (side // box for side in samples.shape)
    boxes = samples[: height * box, : width * box].reshape(height, box, width, box)
    sums: Pixels = boxes.sum((1, 3), dtype=np.uint16)
    return sums


def rgb_pictures(paths: Sequence[Path]) -> list[Pixels]:
    from PIL import Image

    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


@main.command()
@options
@click.argument("array", type=FILE)
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="The first so many.")
@click.option("--mosaic", type=click.IntRange(1), help="Join them to one large picture, so many in a row.")
def images(array: Path, limit: int, mosaic: int | None, asked: Asked) -> None:
    """Every image of ARRAY (.npy, uint8 [N, H, W, 3]) as a file of its own."""
    title = f"first {limit} of {array.name}" + (f", {mosaic} in a row of one picture" if mosaic else "")
    run(Workload(title, "bits/dim", partial(array_images, array, limit, mosaic), photo_codecs), asked)


def array_images(array: Path, limit: int, mosaic: int | None) -> list[Pixels]:
    """The first images of an array, or one picture of all that fill whole rows."""
    items = list(np.load(array, mmap_mode="r")[:limit])
    if mosaic is None:
        return items
    rows = [np.concatenate(items[i : i + mosaic], axis=1) for i in range(0, len(items) - mosaic + 1, mosaic)]
    return [np.concatenate(rows)]


@main.command()
@options
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@some
def graphics(folders: tuple[Path, ...], limit: int | None, asked: Asked) -> None:
    """Every picture of each FOLDER in its own mode: RGB, RGBA, L, LA, P, 1. Metadata is left out.

    WebP and JPEG XL are given the colours of a palette. Samples of more than eight bits are passed over.
    """
    for folder in folders:
        paths = [path for path in pictures_in(folder, limit) if graphic_of(path.read_bytes())]
        if not paths:
            raise click.UsageError(f"no pictures of eight bits a sample in {folder}: name another folder")
        names = tuple(path.name for path in paths)
        items = partial(read_graphics, paths)
        run(Workload(f"graphics in {folder.name}", "bits/sample", items, graphics_codecs, names), asked)


def read_graphics(paths: Sequence[Path]) -> list[Graphic]:
    return [graphic for path in paths if (graphic := graphic_of(path.read_bytes()))]


@main.command()
@options
@click.argument("file", type=FILE)
@click.option("--piece", type=click.IntRange(1), default=100_000, show_default=True, help="Bytes of a piece.")
@some
@click.option("--zpaq", is_flag=True, help="Run the program zpaq, too (half a second for each piece).")
def text(file: Path, piece: int, limit: int | None, zpaq: bool, asked: Asked) -> None:
    """FILE in pieces, each a file of its own; a last one shorter than half a piece is left out."""
    title = f"{file.name} in pieces of {piece:,} bytes"
    run(Workload(title, "bits/byte", partial(pieces_of, file, piece, limit), peers_of_text(b"", zpaq)), asked)


def pieces_of(file: Path, piece: int, limit: int | None) -> list[bytes]:
    data = file.read_bytes()
    starts = [s for s in range(0, len(data), piece) if s == 0 or len(data) - s >= piece / 2]
    return [data[starts[i] : starts[i] + piece] for i in spread(len(starts), limit)]


def peers_of_text(dictionary: bytes, zpaq: bool) -> Callable[..., list[Codec[bytes]]]:
    """The codecs of bytes."""
    return partial(text_codecs, dictionary=dictionary, zpaq=zpaq and with_zpaq())


def with_zpaq() -> bool:
    """Return whether zpaq, which was asked for, is there; says so where it is not."""
    if not has_zpaq():
        click.echo("zpaq is left out: it is not installed (Debian: apt install zpaq)", err=True)
    return has_zpaq()


@main.command()
@options
@click.argument("file", type=FILE)
@click.option("--size", "sizes", type=Amount(), multiple=True, default=SIZES, help="Of a piece; may repeat.")
@click.option("--budget", type=Amount(), default="1MB", show_default=True, help="All pieces of a size, at most.")
@click.option("--primed-with", type=FILE, help="Other text of the same kind: for dictionaries of zstd and PPMd.")
@click.option("--zpaq", is_flag=True, help=f"Run the program zpaq, too, on pieces of {ZPAQ_LEAST:,} bytes and more.")
def sizes(file: Path, sizes: tuple[int, ...], budget: int, primed_with: Path | None, zpaq: bool, asked: Asked) -> None:
    """Bits per byte against file size: pieces of FILE, each a file of its own, evenly spaced, for each --size.

    Of each size there are so many that all together keep below the budget, but one at least and 200 at most. Sizes
    larger than FILE are left out; for the largest, join files: cat HELD_OUT/*.txt > joined.txt. Files that end in .xz
    are unpacked first.

    Pieces of 2,000 bytes and less are coded with a dictionary, too, of 110 KB that zstd trains on pieces of that size
    of the other file: zstd's own, and what PPMd has seen before. Neither it nor our models are counted as part of a
    file. Files of zstd name their dictionary in four bytes, ours their model; PPMd's have no header at all.
    """
    if primed_with is not None and primed_with.samefile(file):
        raise click.UsageError(f"--primed-with {primed_with} is the file that is measured: name another one")
    length, there = len(content(file)), zpaq and with_zpaq()
    other = content(primed_with) if primed_with else b""
    found: dict[int, list[Row]] = {}
    records = []
    for size in fitting(sizes, length, file.name):
        dictionary = trained(samples(other, size)) if other and size <= DICTIONARY_MOST else b""
        workload = of_size(file, size, how_many(length, size, budget), dictionary, there)
        click.echo(workload.title, err=True)
        if rows := measure_all(workload, asked):
            found[size] = rows
            records.append(for_programs(workload, rows))
    if not found:
        raise no_codec(workload, asked)
    click.echo(json.dumps(records) if asked.json else sizes_report(file.name, found, asked.ours))
    if asked.plot is not None:
        sizes_plot(asked.plot, file.name, "bits/byte", curves(found))


def fitting(sizes: Iterable[int], length: int, name: str) -> list[int]:
    """Return the sizes that a file has; says which it has not. Raises UsageError where none is left."""
    wanted = sorted(set(sizes))
    for size in wanted:
        if size > length:
            click.echo(f"pieces of {size:,} bytes are left out: {name} has {length:,}", err=True)
    if wanted[0] > length:
        raise click.UsageError(f"{name} has {length:,} bytes: ask for a --size that is not larger")
    return [size for size in wanted if size <= length]


@main.command()
@options
@click.argument("folder", type=FOLDER)
@some
@click.option(
    "--trained-on", type=FOLDER, help="Files of the same kind: zstd and PPMd are measured with a dictionary, too."
)
@click.option("--zpaq", is_flag=True, help="Run the program zpaq, too (half a second for each file).")
def files(folder: Path, limit: int | None, trained_on: Path | None, zpaq: bool, asked: Asked) -> None:
    """Every file of FOLDER that is not empty, as the bytes it is."""
    dictionary = trained(contents_of(trained_on) if trained_on else [])
    items = partial(some_contents, folder, limit)
    run(Workload(f"files in {folder.name}", "bits/byte", items, peers_of_text(dictionary, zpaq)), asked)


def some_contents(folder: Path, limit: int | None) -> list[bytes]:
    contents = contents_of(folder)
    return [contents[i] for i in spread(len(contents), limit)]


if __name__ == "__main__":
    main()
