"""``bfncodec test``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bfncodec.api import Models
from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.selection import expand
from bfncodec.cli.streams import STDIN, open_input, read_input
from bfncodec.cli.terminal import Bar
from bfncodec.files.data import check_coded, decode_data
from bfncodec.files.names import has_suffix
from bfncodec.files.options import Options, size_of
from bfncodec.files.places import file_at
from bfncodec.files.streaming import decompressed_chunks
from bfncodec.files.transfer import is_long
from bfncodec.format.wire import StreamReader


@click.command("test")
@opt.some_files
@click.option("--fast", is_flag=True, help="Check what is coded by its checksums alone: no model is needed.")
@opt.together(opt.recursive, opt.limits, opt.running, opt.quiet)
def command(files: tuple[Path, ...], **given: Any) -> int:
    """Decode compressed FILES completely and say whether they are sound; nothing is written.

    With --fast they are not decoded: damage is found all the same, only a model that decodes wrongly here is not.
    """
    call, codecs, options = Call(given["quiet"]), models_of(given), Options(limits=opt.limits_of(given))
    for path, _ in expand(files, given["recursive"], has_suffix, call):
        with call.each(str(path)):
            if given["fast"]:
                size = check_coded(path if path != STDIN else read_input(path), options.limits)
                call.say(f"{shown(str(path))} : checksums of {size} bytes hold, not decoded")
                continue
            call.say(f"{shown(str(path))} : sound, {_decoded(path, options, codecs, call.bar(str(path)))}")
    return call.code


def _decoded(path: Path, options: Options, codecs: Models, bar: Bar) -> str:
    """Return what a file was decoded to; a long one a piece at a time."""
    if path != STDIN and file_at(path) and is_long(path, options):
        with open_input(path) as read:
            chunks = decompressed_chunks(StreamReader(read), options, codecs, bar)
            if chunks is not None:
                return f"{sum(map(len, chunks))} bytes"
    made, _ = decode_data(read_input(path), options, codecs, bar)
    count = f"{len(made)} files, " if isinstance(made, dict) else ""
    return f"{count}{size_of(made)} bytes"
