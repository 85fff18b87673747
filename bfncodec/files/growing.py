"""Compressed files that are given another end, or another head, in their old place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from bfncodec.errors import InputError, OutputError
from bfncodec.files.atomic import write_like
from bfncodec.files.sources import Identity, opened
from bfncodec.format.container import unpack
from bfncodec.format.limits import OF_WRITERS

__all__ = ["check_coded_on_disk", "check_left_alone", "identity_of", "put_back"]


def identity_of(path: Path) -> Identity:
    """Return the identity of a file that is about to be read and written anew. Raises InputError."""
    try:
        return Identity.of(path.stat())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def put_back(target: Path, known: Identity, chunks: Iterable[bytes], check: Callable[[Path], None]) -> None:
    """Put what a file has become in its place. Raises OutputError where that fails, or the file is another by now.

    known: the file as it was before it was read. check: called with the new file before it has the name.
    """

    def check_both(written: Path) -> None:
        check(written)
        check_left_alone(target, known)

    write_like(target, chunks, target, force=True, check=check_both)
    target.touch()  # its content is another, which backups must see


def check_left_alone(path: Path, known: Identity) -> None:
    """Raise OutputError for a file that is not as it was: another process has put its own in the place."""
    with suppress(OSError):
        if Identity.of(path.stat()) == known:
            return
    raise OutputError(f"{path} was changed since it was opened, and is left as it is: try again")


def check_coded_on_disk(written: Path) -> None:
    """Raise a FormatError unless all checksums of the coded bytes of a file hold."""
    with opened(written) as blob:
        unpack(blob, OF_WRITERS).verify()
