"""Pictures as cameras, video and the web make them, out of a folder of photographs: to measure with.

    python -m benchmarks.varied data/photos/val data/varied --side 192

One square of each photograph in PNG, changed as `[[validation]] vary = true` changes its crops
(docs/guide/training.md). Seeded: the same photographs make the same files.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from bfncodec.training.data import ImageSource, Pictures, load_images
from bfncodec.training.draws import Draws
from bfncodec.training.varied import varied


@click.command(help=__doc__)
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--side", default=192, show_default=True, type=click.IntRange(16), help="Pixels of each picture's side.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
def main(photos: Path, folder: Path, side: int, seed: int) -> None:
    """The command line."""
    source = ImageSource((str(photos),), side, 1, vary=True)
    pictures, draws = Pictures(load_images(source)), Draws(seed)
    (large,) = (np.minimum(pictures.height, pictures.width) >= source.side).nonzero()
    if not len(large):
        raise click.UsageError(f"{photos}: no photograph of {source.side} x {source.side} pixels or more")
    made = varied(pictures.cut(large, source.side, draws).float(), draws)
    folder.mkdir(parents=True, exist_ok=True)
    for i, one in enumerate(made.byte().permute(0, 2, 3, 1).numpy()):
        Image.fromarray(one).save(folder / f"{i:03}.png")
    click.echo(f"{len(made)} pictures in {folder}")


if __name__ == "__main__":
    main()
