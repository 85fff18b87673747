"""Round trips of picture files: each comes back, and nothing of it is lost, or the report says what.

    python -m benchmarks.roundtrips FOLDERS --every 8

Each file is compressed without a model and decompressed. It must come back byte for byte, or as a file in which Pillow
finds the same mode, size, pixels and info; nor may it take more than its bytes do by themselves. Then: bytes of the
files and of the compressed ones, how many of these say how PNG files were packed, seconds
of the processor to compress them.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from PIL import Image

import bfncodec
from bfncodec.api import Models
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.format.extras import Tag

SUFFIXES = {".png", ".apng", ".webp", ".bmp", ".ppm", ".pgm", ".pbm", ".tif", ".tiff"}
SIZES = ("bytes", "compressed", "packing")
OUTCOMES = ("identical", "same picture", "as bytes", "lost", "larger")


def pictures(folders: tuple[Path, ...]) -> Iterator[Path]:
    """The picture files in folders, links left out."""
    for folder in folders:
        yield from (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.is_symlink())


def compressed(data: bytes, options: Options) -> tuple[bytes, int]:
    """Return a compressed file, and the bytes in it that say how a PNG file was packed."""
    blob, content = encode_data(data, options, Models())
    packing = content.header.extra(Tag.DEFLATED)
    return blob, 0 if packing is None or content.header.is_optimized else 2 + len(packing)


def outcome(data: bytes, blob: bytes) -> str:
    """Outcome for a file: how it comes back."""
    made = bfncodec.decompress(blob)
    if len(blob) > len(bfncodec.compress(data, "none")):
        return "larger"
    if bfncodec.describe(blob).content == "bytes":
        return "as bytes" if made == data else "lost"
    if made == data:
        return "identical"
    return "same picture" if shown(made) == shown(data) else "lost"


def shown(data: bytes) -> tuple[object, ...]:
    """Return what Pillow finds in a file, but for how its pixels are packed."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        info = {name: value for name, value in image.info.items() if name != "interlace"}
        return image.format, image.mode, image.size, image.tobytes(), sorted(map(repr, info.items()))


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--every", default=1, show_default=True, help="Take one file of so many.")
@click.option("--level", default=1, show_default=True, help="As for bfncodec compress.")
@click.option("--by-folder", is_flag=True, help="Count for each folder apart.")
def main(folders: tuple[Path, ...], every: int, level: int, by_folder: bool) -> None:
    click.echo(" | ".join(["kind", "files", *OUTCOMES, "bytes", "compressed", "packing", "seconds"]))
    for group in [(folder,) for folder in folders] if by_folder else [folders]:
        counts: dict[str, Counter[str]] = {}
        for path in list(pictures(group))[::every]:
            count(path, Options("none", level=level), counts.setdefault(path.suffix.lower()[1:], Counter()))
        for suffix, found in sorted(counts.items()):
            name = f"{group[0].name}, {suffix}" if by_folder else suffix
            numbers = [sum(found[kind] for kind in OUTCOMES), *(found[kind] for kind in (*OUTCOMES, *SIZES))]
            click.echo(" | ".join([name, *map(str, numbers), str(round(found["ns"] / 1e9, 1))]))


def count(path: Path, options: Options, counts: Counter[str]) -> None:
    """Count a file."""
    data, start = path.read_bytes(), time.process_time_ns()
    blob, packing = compressed(data, options)
    counts["ns"] += time.process_time_ns() - start
    kind = outcome(data, blob)
    counts[kind] += 1
    for name, size in zip(SIZES, (len(data), len(blob), packing), strict=True):
        counts[name] += size
    if kind in ("lost", "larger"):
        click.echo(f"{path}: {kind}")


if __name__ == "__main__":
    main()
