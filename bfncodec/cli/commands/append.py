"""``bfncodec append``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.streams import STDIN
from bfncodec.cli.terminal import human_bytes
from bfncodec.files.appending import append_file
from bfncodec.files.options import Options


@click.command("append")
@click.argument("target", type=opt.PathType())
@opt.some_files
@opt.together(opt.model, opt.levels)
@click.option("--verify/--no-verify", default=True, help="Decode what is added before it counts.  [default: on]")
@opt.together(opt.running, opt.quiet)
def command(target: Path, files: tuple[Path, ...], **given: Any) -> int:
    """Add the content of FILES to the end of TARGET, a compressed file of bytes or of an array.

    Bytes are added as they are; to an archive as an item by their name, or those in a folder. To an array, and
    to an archive of rows, .npy files are added that have the same element type, and the same sides but the first.
    Nothing that is there is coded anew, but a last line of --lines that goes on; whatever is added is cut off from it,
    so add much at a time.
    """
    if STDIN in (target, *files):
        raise click.UsageError("append takes files by their names: write standard input to one, or name /dev/stdin")
    call, codecs = Call(given["quiet"]), models_of(given)
    options = Options(model=given["model"], level=given["level"], verify=given["verify"])
    for path in files:
        with call.each(str(path)):
            grown = append_file(target, path, options, codecs, call.bar(str(path)))
            call.say(f"{shown(str(path))} : added to {shown(str(target))}, which grew by {human_bytes(grown)}")
    return call.code
