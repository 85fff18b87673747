"""``bfncodec compress``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bfncodec.api import Models
from bfncodec.cli import options as opt
from bfncodec.cli.batch import Direction, transform
from bfncodec.cli.selection import is_plain
from bfncodec.cli.spreading import spread
from bfncodec.cli.streams import read_source
from bfncodec.cli.terminal import Bar
from bfncodec.files.data import encode_source, taken
from bfncodec.files.names import compressed_name
from bfncodec.files.options import Options
from bfncodec.files.streaming import compressed_chunks
from bfncodec.files.together import compress_together
from bfncodec.files.transfer import compress_file
from bfncodec.files.verify import verify
from bfncodec.format.lineindex import LINE_BLOCK


@click.command("compress")
@opt.files
@opt.together(opt.writing, opt.recursive, opt.model, opt.levels, opt.exact)
@click.option(
    "--preview/--no-preview",
    default=None,
    help="Put a small picture into the file.  [default: where it is large]",
)
@click.option("--lines", is_flag=True, help="Cut after lines, so that decompress --line finds each by its number.")
@click.option(
    "--block",
    type=click.IntRange(1),
    help=f"With --lines: bytes that are coded together at least.  [default: {LINE_BLOCK}]",
)
@click.option(
    "--items", is_flag=True, help="Make one archive of all FILES, of which every item can be had alone; see the guide."
)
@click.option("--strip", is_flag=True, help="Of PNG and WebP files keep pixels alone: no metadata, the least palette.")
@click.option("--verify/--no-verify", default=True, help="Decode what was written before it counts.  [default: on]")
@opt.together(opt.running, opt.workers, opt.quiet, opt.verbose)
def command(files: tuple[Path, ...], **given: Any) -> int:
    """Compress FILES, each to FILE.bfn; - or nothing is standard input.

    PNG, lossless WebP, BMP, TIFF and PPM files come back with the same pixels and metadata in the same format,
    everything else byte for byte. Which it is of a file is said: identical file, or same picture, file bytes differ.

    A model named with -m is refused where it cannot code the data. Where it can, it codes all of them, and only the
    parts that take less without it are kept so: a line says if that is everything.

    -1 … -9 choose among the models that serve a kind of data and how long is searched: bfncodec models lists them.

    With --items all become the items of one archive: the files of folders, the rows of .npy and .npz files, the values
    of .parquet files. Each is coded alone, and read alone: list --items, decompress --only.

    A folder becomes one FOLDER.bfn where -m names a model of many pictures of one shape. All files in it are kept;
    names of empty folders, times and permissions are not.
    """
    if given["block"] and not given["lines"]:
        raise click.UsageError("--block is the size of blocks of lines: add --lines")
    if given["strip"] and given["exact"]:
        raise click.UsageError("--strip leaves bytes out, --exact keeps them all: leave one out")
    if given["items"]:
        from bfncodec.cli.items import compress_items

        return compress_items(files, given)
    direction = Direction(
        compressed_name,
        compress_file,
        _to_bytes,
        compressed_chunks,
        is_plain,
        compresses=True,
        folders=True,
        together=compress_together,
    )
    options = Options(
        model=given["model"],
        exact=given["exact"],
        force=given["force"],
        remove=given["remove"],
        verify=given["verify"],
        level=given["level"],
        preview=given["preview"],
        block=(given["block"] or LINE_BLOCK) if given["lines"] else None,
        strip=given["strip"],
    )
    if given["workers"]:
        return spread(files, given, options, compresses=True)
    return transform(files, given, direction, options)


def _to_bytes(given: Path | bytes, options: Options, codecs: Models, bar: Bar) -> bytes:
    """Return the compressed file of a file, a folder or standard input, verified where that is wanted."""
    source = read_source(given)
    blob, content = encode_source(source, options, codecs, bar)
    if options.verify:
        verify(blob, content, codecs, bar, taken(source, options) if isinstance(source, bytes) else None)
    return blob
