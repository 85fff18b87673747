"""``bfncodec dictionary``."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.selection import expand, is_plain
from bfncodec.cli.signals import SIGNALS
from bfncodec.cli.streams import STDIN, is_stdout, open_input
from bfncodec.errors import InputError
from bfncodec.files.dictionaries import DICTIONARY_SIZE, make_dictionary
from bfncodec.models import LARGEST_DICTIONARY, ModelInfo, is_found, published, user_folder

_CHUNK = 1 << 20


@click.command("dictionary")
@click.argument("samples", nargs=-1, required=True, type=opt.PathType())
@click.option(
    "-o", "--output", required=True, type=opt.PathType(), help="Folder of the dictionary, whose name it gets."
)
@click.option("-m", "--model", default="text", show_default=True, help="Text model that it is made for.")
@click.option(
    "--size",
    type=opt.SizeType(),
    default=f"{DICTIONARY_SIZE >> 10}KB",
    show_default=True,
    help=f"Bytes that it has at most, up to {LARGEST_DICTIONARY >> 10}KB.",
)
@click.option("--lines", is_flag=True, help="Take each line of the files as a sample.")
@opt.recursive
@click.option("-f", "--force", is_flag=True, help="Replace a model; one that files may need is kept beside it.")
@opt.quiet
def command(samples: tuple[Path, ...], output: Path, **given: Any) -> int:
    """Make a dictionary of SAMPLES, files like those to come, for messages, rows and other short texts.

    Each file is a sample, or with --lines each line; - is standard input. Of more than fit whole ones are taken, evenly
    spread over all. A dictionary is a model: compress -m DIR codes texts as if they came behind the samples, and
    decompress needs DIR, too.
    """
    if is_stdout(output):
        raise click.UsageError(f"-o {output}: a dictionary is a folder: name it")
    call = Call(given["quiet"])
    files = [path for path, _ in expand(samples, given["recursive"], is_plain, call)]
    if call.failed:
        return call.code
    texts = _samples(files, given["lines"])
    with call.listening(call.say):
        made = make_dictionary(texts, output, given["model"], given["size"], given["force"], _private(files))
    if len(files) == 1 and not given["lines"]:
        call.say("one file is one sample: with --lines each line of it is one")
    for line in _uses(made, output):
        call.say(line)
    return call.code


def _uses(made: ModelInfo, output: Path) -> Iterator[str]:
    """Yield lines that say how a dictionary is used."""
    base = made.weights.parent.name
    shipped = base in [model.name for model in published()]
    needed = f"the folder {made.name}" if shipped else f"the folders {made.name} and {base}"
    place = made.path.resolve().parent
    named = str(place / made.name)
    if output.name not in ("", ".."):
        named = os.path.join(output.parent, output.name)  # noqa: PTH118 - keeps ./, which tells a path from a name
    if is_found(made):
        named = made.name
    yield f"dictionary {made.name} ({made.id.hex()}) : bfncodec compress -m {named} FILE"
    if is_found(made):
        yield f"whoever decompresses needs {needed}, too, from {place}"
    else:
        yield f"decompressing needs {needed} in {user_folder()}, or BFNCODEC_MODELS={place}"


def _samples(files: Sequence[Path], lines: bool) -> Iterator[bytes]:
    """Yield the samples in files, long ones not to their end. Raises InputError for what cannot be read."""
    for path in files:
        SIGNALS.check()
        try:
            with open_input(path) as read:
                yield from _lines(read) if lines else iter([_head(read)])
        except InputError as error:
            raise error.within("standard input" if path == STDIN else str(path)) from error


def _head(read: Callable[[int], bytes]) -> bytes:
    """Return as much of a file as a dictionary can hold."""
    found = bytearray()
    while len(found) < LARGEST_DICTIONARY and (chunk := read(LARGEST_DICTIONARY - len(found))):
        found += chunk
    return bytes(found)


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, of long ones as much as a dictionary can hold."""
    begun = bytearray()
    while chunk := read(_CHUNK):
        SIGNALS.check()
        first, *others = chunk.split(b"\n")
        begun += first[: LARGEST_DICTIONARY - len(begun)]
        for line in others:
            yield bytes(begun) + b"\n"
            begun[:] = line[:LARGEST_DICTIONARY]
    if begun:
        yield bytes(begun)


def _private(files: Sequence[Path]) -> os.stat_result | None:
    """Return what the system says of a file that not everybody may read, None if there is none."""
    for path in files:
        with suppress(OSError):
            found = path.stat()
            if stat.S_ISREG(found.st_mode) and not found.st_mode & 0o004:
                return found
    return None
