"""``bfncodec decompress``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bfncodec.api import Models
from bfncodec.cli import options as opt
from bfncodec.cli.batch import Direction, transform
from bfncodec.cli.spreading import spread
from bfncodec.cli.streams import STDIN, no_place, read_input
from bfncodec.cli.terminal import Bar
from bfncodec.files.data import decode_data, decode_part, holds_folder
from bfncodec.files.names import decompressed_name, has_suffix
from bfncodec.files.options import Made, Options
from bfncodec.files.streaming import decompressed_chunks
from bfncodec.files.together import decompress_together
from bfncodec.files.transfer import decompress_file


@click.command("decompress")
@opt.files
@opt.together(opt.writing, opt.recursive, opt.limits, opt.max_output)
@click.option("--crop", type=opt.RegionType(), help="Of a picture only this region, in pixels; needs -o or -c.")
@click.option("--line", type=opt.LinesType(), help="Of a file compressed with --lines only these, to standard output.")
@click.option("--only", multiple=True, metavar="NAME|N|N:M", help="Of an archive only these items; may be repeated.")
@click.option("--salvage", is_flag=True, help="Keep what a damaged file still holds; the rest becomes zeros.")
@opt.together(opt.running, opt.workers, opt.quiet, opt.verbose)
def command(files: tuple[Path, ...], **given: Any) -> int:
    """Decompress FILES, each FILE.bfn to FILE, or to a folder where it was one; - or nothing is standard input."""
    if given["salvage"] and given["remove"]:
        raise click.UsageError("--salvage keeps the source: leave out --rm")
    if given["salvage"] and given["workers"]:
        raise click.UsageError("--salvage says what is lost of each file, which --ray cannot: leave one out")
    if given["only"]:
        from bfncodec.cli.items import decompress_items

        return decompress_items(files, given)
    if given["crop"] or given["line"]:
        _check_part(files, given)

    def data(source: Path | bytes, options: Options, codecs: Models, bar: Bar) -> Made:
        if options.part is not None and isinstance(source, Path):
            return decode_part(source, options, codecs, bar)
        blob = source if isinstance(source, bytes) else read_input(source)
        if (given["output"] is None or given["output"].path == STDIN) and holds_folder(blob, options.limits):
            raise no_place()
        return decode_data(blob, options, codecs, bar)[0]

    direction = Direction(
        decompressed_name,
        decompress_file,
        data,
        decompressed_chunks,
        has_suffix,
        compresses=False,
        folders=False,
        together=decompress_together,
    )
    options = Options(
        force=given["force"],
        remove=given["remove"],
        limits=opt.limits_of(given),
        crop=given["crop"],
        line=given["line"],
    )
    if given["workers"]:
        return spread(files, given, options, compresses=False)
    to_stdout = given["to_stdout"] or (given["line"] is not None and given["output"] is None)
    return transform(files, given | {"to_stdout": to_stdout}, direction, options)


def _check_part(files: tuple[Path, ...], given: dict[str, Any]) -> None:
    """Raise UsageError for options that would take a part for the whole."""
    name = "--crop" if given["crop"] else "--line"
    if given["crop"] and given["line"]:
        raise click.UsageError("--crop is of pictures, --line of text: leave one out")
    if len(files) > 1 or given["recursive"]:
        raise click.UsageError(f"{name} takes one file")
    if given["remove"]:
        raise click.UsageError(f"{name} keeps the source: leave out --rm")
    if given["crop"] and files and given["output"] is None and not given["to_stdout"]:
        raise click.UsageError("--crop needs a name for the region: use -o or -c")
