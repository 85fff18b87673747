"""``bfncodec sample``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from bfncodec.analysis.sampling import as_file, draws_pictures, sample
from bfncodec.cli import options as opt
from bfncodec.cli.machine import models_of
from bfncodec.cli.streams import is_stdout, write_stdout
from bfncodec.files.atomic import check_target, place


@click.command("sample")
@click.argument("model")
@click.option("-n", "--count", default=16, show_default=True, type=click.IntRange(1, 4096), help="How many.")
@click.option("--size", default=None, help="Of images HEIGHTxWIDTH, of texts bytes.  [default: 64x64, 512]")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same samples.")
@click.option("-o", "--output", type=opt.FileType(), help="PNG file of images, text file; - is standard output.")
@opt.together(opt.force, opt.running)
def command(model: str, count: int, size: str | None, seed: int | None, **given: Any) -> int:
    """Draw images or texts from MODEL: what it decodes random bits to."""
    codec, output = models_of(given).named(model), given["output"]
    if output is None and draws_pictures(codec):
        output = Path(f"{Path(model).name}.png")
    to_stdout = output is None or is_stdout(output)
    if not to_stdout:
        check_target(output, Path(os.devnull), given["force"])
    made = as_file(sample(codec, count, _sides(size), seed))
    if to_stdout:
        write_stdout(made)
    else:
        place(output, made, force=given["force"])
    return 0


def _sides(size: str | None) -> tuple[int, ...] | None:
    if size is None:
        return None
    try:
        return tuple(int(side) for side in size.lower().split("x"))
    except ValueError as error:
        raise click.BadParameter(f"expected HEIGHTxWIDTH or a number of bytes, found {size}") from error
