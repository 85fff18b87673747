"""``bfncodec preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.streams import is_stdout, write_stdout
from bfncodec.files.names import preview_name
from bfncodec.files.options import Options
from bfncodec.files.preview import preview_data, preview_file, store_preview


@click.command("preview")
@click.argument("file", type=opt.PathType())
@click.option("-o", "--output", type=opt.FileType(), help="File, - for standard output.  [default: NAME.preview.png]")
@click.option(
    "--store/--drop", default=None, help="Put it into FILE itself, or take it out; the picture stays as it is."
)
@opt.force
@opt.together(opt.limits, opt.running, opt.quiet, opt.verbose)
def command(file: Path, **given: Any) -> int:
    """Write a small picture of a compressed one: PNG, or what the name after -o ends in.

    Large pictures have one in their file, others where --preview was given; of the rest the picture is decoded.
    """
    call, output = Call(given["quiet"], given["verbose"]), given["output"]
    options = Options(force=given["force"], limits=opt.limits_of(given))
    if given["store"] is not None:
        if output is not None:
            raise click.UsageError("--store and --drop change FILE itself: leave out -o")
        with call.each(str(file)):
            grown = store_preview(file, options, models_of(given), keep=given["store"])
            call.say(f"{shown(str(file))} : {grown:+d} bytes")
        return call.code
    with call.each(str(file)):
        if output is not None and is_stdout(output):
            made, stored = preview_data(file, "", options, models_of(given))
            write_stdout(made)
        else:
            output = output or preview_name(file)
            stored = preview_file(file, output, options, models_of(given))
        if call.verbose:
            call.say(
                f"{shown(str(file))} : "
                + ("the preview in the file" if stored else "holds none: decoded and scaled down")
            )
    return call.code
