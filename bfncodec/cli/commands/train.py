"""``bfncodec train``."""

from __future__ import annotations

from pathlib import Path

import click

from bfncodec.cli import options as opt
from bfncodec.cli.messages import report


@click.command("train")
@click.argument("config", type=opt.PathType())
@click.option("-o", "--out", type=opt.PathType(), help="Folder of the model.  [default: its name]")
@click.option("--resume/--no-resume", default=True, help="Go on where an earlier run stopped.  [default: on]")
@click.option("--steps", type=click.IntRange(1), help="Train for so many steps instead of the configured number.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Train for so many minutes instead.")
@click.option("--device", default="cpu", show_default=True, help="Where to train: cpu, cuda, cuda:1.")
def command(config: Path, out: Path | None, resume: bool, steps: int | None, minutes: float | None, device: str) -> int:
    """Train a model as the TOML file CONFIG says, on photos or text of your own.

    Several GPUs: torchrun -m bfncodec train CONFIG --device cuda
    """
    from bfncodec.training import loop  # loads torch, for which --help and completion should not wait

    if steps and minutes:
        raise click.UsageError("--steps and --minutes: one of them says how long to train")
    loop.run(config, out=out, resume=resume, device=device, steps=steps, minutes=minutes, say=report)
    return 0
