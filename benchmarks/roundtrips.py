"""How picture files come back, and whether anything of them is lost.

    python -m benchmarks.roundtrips FOLDERS --every 8

Each file is compressed without a model and decompressed. It must come back byte for byte, or as a file in which Pillow
finds the same mode, size, pixels and info; nor may it take more than its bytes do by themselves.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from PIL import Image

import bfncodec
from bfncodec.api import Models
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options

SUFFIXES = {".png", ".apng", ".webp", ".bmp", ".ppm", ".pgm", ".pbm", ".tif", ".tiff"}
OUTCOMES = ("identical", "same picture", "as bytes", "lost", "larger")


def pictures(folders: tuple[Path, ...]) -> Iterator[Path]:
    """The picture files in folders, links left out."""
    for folder in folders:
        yield from (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.is_symlink())


def outcome(data: bytes, options: Options) -> str:
    """Outcome for a file: how it comes back."""
    models = Models()
    blob, _ = encode_data(data, options, models)
    made = bfncodec.decompress(blob, codecs=models)
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
def main(folders: tuple[Path, ...], every: int, level: int) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for path in list(pictures(folders))[::every]:
        kind = outcome(path.read_bytes(), Options("none", level=level))
        counts[path.suffix.lower(), kind] += 1
        if kind in ("lost", "larger"):
            click.echo(f"{path}: {kind}")
    click.echo(" | ".join(["kind", "files", *OUTCOMES]))
    for suffix in sorted({suffix for suffix, _ in counts}):
        found = [counts[suffix, kind] for kind in OUTCOMES]
        click.echo(" | ".join([suffix[1:], str(sum(found)), *map(str, found)]))


if __name__ == "__main__":
    main()
