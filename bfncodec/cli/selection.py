"""The files that a call is about: those that were named, and those in folders."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bfncodec.cli.call import Call
from bfncodec.cli.streams import STDIN
from bfncodec.files.atomic import LEFTOVER, is_leftover
from bfncodec.files.names import has_suffix, others_by_name, own_name
from bfncodec.files.places import anything_at, folder_at, folders_in

__all__ = ["expand", "is_plain"]


def expand(
    paths: Sequence[Path], recursive: bool, wanted: Callable[[Path], bool], call: Call, folders: bool = False
) -> Iterator[tuple[Path, Path]]:
    """Yield every file with its place below an output folder.

    recursive: take the wanted files in folders, too; without it a folder is an error. folders: a folder that is not
    searched is taken as a file is.
    """
    for path in paths:
        if path == STDIN or not folder_at(path):
            yield path, Path(path.name)
        elif folders and not recursive:
            yield path, Path(own_name(path).name)
        elif not recursive:
            call.fail(str(path), "is a folder: use -r to take the files in it")
        else:
            for inside in _files_in(path, wanted, call):
                found = inside.absolute() if inside == STDIN else inside  # a file of that name in the folder .
                yield found, inside.relative_to(path)


def is_plain(path: Path) -> bool:
    """Return whether a file is not named as compressed files are."""
    return not has_suffix(path)


def _files_in(folder: Path, wanted: Callable[[Path], bool], call: Call) -> list[Path]:
    """Return the wanted files in a folder and the folders in it, sorted.

    What is passed over is named, and no failure; links, which may lead out of the folder and back into it, are not
    followed. A folder that cannot be read is a failure.
    """

    def fail(error: OSError) -> None:
        call.fail(str(error.filename), f"cannot be read: {error.strerror or error}")

    found: list[Path] = []
    others: list[Path] = []
    for top, inner, names in folders_in(folder, fail):
        inner.sort()
        if not inner and not names:
            call.pass_over(top, "is an empty folder")
        for path in (Path(top, name) for name in sorted([*inner, *names])):
            try:
                mode = path.lstat().st_mode
            except OSError as error:
                fail(error)
                continue
            if stat.S_ISLNK(mode):
                call.pass_over(
                    str(path), "is a symbolic link" if anything_at(path) else "is a symbolic link to nothing"
                )
            elif stat.S_ISDIR(mode):
                continue
            elif not stat.S_ISREG(mode):
                call.pass_over(str(path), "is neither a file nor a folder")
            elif is_leftover(path.name):
                call.pass_over(str(path), LEFTOVER)
            else:
                (found if wanted(path) else others).append(path)
    if others:
        call.pass_over(str(folder), others_by_name(others))
    return sorted(found)
