"""Archives of items on the command line: made, listed, and read in part."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.options import limits_of
from bfncodec.cli.streams import STDIN, is_stdout, write_stdout
from bfncodec.cli.terminal import share
from bfncodec.errors import InputError, OutputError
from bfncodec.files.archive import Archive
from bfncodec.files.archiving import write_archive
from bfncodec.files.atomic import check_outside, check_target, make_folder, place_folder, write_like
from bfncodec.files.collisions import Step, clashes
from bfncodec.files.itemsources import items_of, source_bytes
from bfncodec.files.names import compressed_name
from bfncodec.files.options import Options
from bfncodec.files.places import folder_at
from bfncodec.format.limits import Limits
from bfncodec.segments.description import Description

__all__ = ["compress_items", "decompress_items", "described_items"]


def compress_items(files: Sequence[Path], given: Mapping[str, Any]) -> int:
    """Make an archive of files and folders; returns the exit code. Raises UsageError for options that cannot be."""
    refused = {"to_stdout": "-c", "remove": "--rm", "lines": "--lines", "preview": "--preview", "strip": "--strip"}
    refused |= {"workers": "--ray"}
    for name, option in refused.items():
        if given[name]:
            raise click.UsageError(f"--items goes without {option}")
    if not files or STDIN in files:
        raise click.UsageError("--items needs files or folders by their names")
    output = given["output"]
    if output is None and len(files) > 1:
        raise click.UsageError("--items makes one file of several: name it with -o")
    target = compressed_name(files[0]) if output is None else output.path
    if output is not None and (output.holds_files or is_stdout(output.path)):
        raise click.UsageError(f"-o {output.path}: --items makes one file: name it")
    call, codecs = Call(given["quiet"], given["verbose"]), models_of(given)
    options = Options(
        model=given["model"], exact=given["exact"], force=given["force"], verify=given["verify"], level=given["level"]
    )
    with call.each(str(target)):
        for path in files:
            check_target(target, path, given["force"])
            if folder_at(path):
                check_outside(target, path)
        before = source_bytes(files)  # none of which may be left when the archive is written
        count = write_archive(target, items_of(files, call.skip), options, codecs, call.bar(str(target)))
        call.say(f"{shown(str(target))} : {count} item{'s' * (count != 1)}, {share(before, target.stat().st_size)}")
    return call.code


def described_items(path: Path, limits: Limits) -> Iterator[tuple[str, Description]]:
    """Yield the names, or numbers, of the items of an archive, with what each is. Raises as Archive does."""
    with Archive(path, limits=limits) as archive:
        names = archive.keys() if archive.is_named else map(str, range(len(archive)))
        yield from ((name, archive.describe(number)) for number, name in enumerate(names))


def decompress_items(files: Sequence[Path], given: Mapping[str, Any]) -> int:
    """Decompress some items of an archive; returns the exit code. Raises UsageError for options that cannot be."""
    refused = {"remove": "--rm", "salvage": "--salvage", "crop": "--crop", "line": "--line", "workers": "--ray"}
    for name, option in refused.items():
        if given[name]:
            raise click.UsageError(f"--only goes without {option}")
    if len(files) != 1 or files[0] == STDIN or given["recursive"]:
        raise click.UsageError("--only takes one archive by its name")
    output, call = given["output"], Call(given["quiet"], given["verbose"])
    if output is None and not given["to_stdout"]:
        raise click.UsageError("--only needs a name for what comes out: use -o or -c")
    codecs = models_of(given)
    with call.each(str(files[0])), Archive(files[0], limits=limits_of(given), codecs=codecs) as archive:
        numbers = [number for which in given["only"] for number in _numbers(archive, which)]
        made = dict(archive.files(dict.fromkeys(numbers)))
        if output is None or is_stdout(output.path):
            for data in made.values():
                write_stdout(data)
        elif len(made) == 1 and not output.holds_files:
            check_target(output.path, files[0], given["force"])
            write_like(output.path, next(iter(made.values())), files[0], force=given["force"])
        elif folder_at(output.path):
            _place_in(output.path, made, files[0], given["force"])
        else:
            place_folder(output.path, made, like=files[0].stat())
        call.say(f"{shown(str(files[0]))} : {len(made)} of {len(archive)} items")
    return call.code


def _place_in(folder: Path, made: Mapping[str, bytes], source: Path, force: bool) -> None:
    """Put files into a folder beside what is in it already. Raises OutputError, before anything is written, where that
    cannot be.

    source: the archive they are from, which is never replaced. A link in the folder is not followed out of it.
    """
    for name in made:
        target = folder / name
        check_target(target, source, force)
        if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(folder)):
            raise OutputError(f"{target} would be outside of {folder}: name another folder")
    if clashes([Step(source, folder / name) for name in made]):
        raise OutputError(f"items would have one name in {folder}: take them one at a time")
    for name, data in made.items():
        make_folder((folder / name).parent)
        write_like(folder / name, data, source, force=force)


def _numbers(archive: Archive, which: str) -> Sequence[int]:
    """Return the numbers of the items that a name, a number or two numbers stand for. Raises InputError."""
    found = re.fullmatch(r"(\d*)(:?)(\d*)", which)
    try:
        if archive.is_named and which in archive:
            return [archive.number(which)]
        if found is not None and found[2]:
            if wanted := range(len(archive))[int(found[1] or 0) : int(found[3] or len(archive))]:
                return wanted
        elif found is not None and which:
            return [range(len(archive))[int(which)]]
    except IndexError:
        pass
    raise InputError(f"expected an item of {len(archive)}, found no {which!a}: bfncodec list --items tells them")
