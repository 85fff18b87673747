"""Sources: the bytes of files and folders on disk, and removal of a file only while it is the one that was read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NoReturn

from bfncodec.errors import InputError, OutputError
from bfncodec.files.atomic import leftover_name
from bfncodec.files.places import file_at, folders_in, others_in
from bfncodec.format.wire import Source

__all__ = [
    "Identity",
    "Slices",
    "check_unchanged",
    "opened",
    "read",
    "read_folder",
    "read_known",
    "remove",
    "remove_folder",
    "walk",
]


@dataclass(frozen=True)
class Identity:
    """Fingerprint of a file in one state: a change of content changes one of its numbers."""

    device: int
    inode: int
    size: int
    modified: int  # nanoseconds
    changed: int  # of content, name or permissions: no program can set this one back

    @classmethod
    def of(cls, found: os.stat_result) -> Identity:
        """Return the identity of a file from what the system says of it."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def has_content_of(self, other: Identity) -> bool:
        """Return whether nothing was written between two states; names and permissions may have changed."""
        return self == replace(other, changed=self.changed)


def read(path: Path) -> bytes:
    """Return the bytes of a file. Raises InputError where they cannot be read, or change meanwhile."""
    return read_known(path)[0]


def read_known(path: Path) -> tuple[bytes, Identity]:
    """Return the bytes of a file and its identity. Errors as :func:`read`."""
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    known = Identity.of(after)
    if stat.S_ISREG(after.st_mode) and not known.has_content_of(Identity.of(before)):
        raise InputError("was changed while it was read: try again when no other program writes to it")
    return data, known


def read_folder(
    folder: Path, on_skip: Callable[[str, str], None] | None = None, known: dict[str, Identity] | None = None
) -> dict[str, bytes]:
    """Return the bytes of every file in a folder and the folders in it, by its relative path with slashes.

    on_skip: called with the path of what is neither file nor folder (a symbolic link, a pipe), and with what it is;
    without it that is an error. known: receives the identity of each file as it was read.

    Raises InputError if something cannot be read or kept, and for a folder without files.
    """
    found = {}
    for path in walk(folder, on_skip):
        name = path.relative_to(folder).as_posix()
        try:
            found[name], identity = read_known(path)
        except InputError as error:
            raise InputError(f"{name} {error}") from error
        if known is not None:
            known[name] = identity
    if not found:
        raise InputError("expected a folder with files, found none in it")
    return found


def walk(folder: Path, on_skip: Callable[[str, str], None] | None = None) -> Iterator[Path]:
    """Yield the files in a folder and the folders in it, sorted. Arguments and errors as for :func:`read_folder`."""
    skip = on_skip or _refuse

    def fail(error: OSError) -> NoReturn:
        raise InputError(f"cannot be read: {error.filename}: {error.strerror or error}") from error

    for top, inner, names in folders_in(folder, fail):
        inner.sort()  # the order in which they are entered
        for path in (Path(top, name) for name in sorted([*inner, *names])):
            try:
                mode = path.lstat().st_mode
            except OSError as error:
                fail(error)
            if stat.S_ISLNK(mode):
                skip(str(path), "is a symbolic link")
            elif stat.S_ISREG(mode):
                yield path
            elif not stat.S_ISDIR(mode):
                skip(str(path), "is neither a file nor a folder")


def _refuse(path: str, what: str) -> None:
    raise InputError(f"{path} {what}, which is not kept: remove it first")


class Slices:
    """Bytes of an open file that are read lazily, slice by slice. read_bytes: how many have been."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read_bytes = file, 0

    def __len__(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def __getitem__(self, span: slice, /) -> bytes:
        start, stop, _ = span.indices(len(self))
        self.file.seek(start)
        data = self.file.read(max(stop - start, 0))
        self.read_bytes += len(data)
        return data


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Yield the bytes of a file, to be read lazily; those of a pipe are read at once. Errors as :func:`read`."""
    if not file_at(path):
        yield read(path)
        return
    try:
        with path.open("rb") as file:
            yield Slices(file)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error


def check_unchanged(path: Path, known: Identity) -> None:
    """Raise OutputError unless a path still leads to the file that was read, as it was."""
    if Identity.of(path.stat()) != known:
        raise OutputError("the result is written, but the source was changed since it was read: it is kept")


def remove(path: Path, known: Identity) -> None:
    """Remove a source that is still the file that was read.

    Raises OutputError where it is not, cannot be removed, or is a pipe or device, which never held what came out of it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OutputError("the result is written, but the source is a pipe or device: it is kept")
        check_unchanged(path, known)
        path.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"the result is written, but the source cannot be removed: {reason}") from error


def remove_folder(folder: Path, known: Mapping[str, Identity], skipped: Sequence[str]) -> None:
    """Remove a folder of the files that were compressed.

    It loses its name first, so that a process that is killed meanwhile never leaves a part of it, which would replace
    the whole when it is compressed once more.

    known: identity of each file by relative path. skipped: paths of what was left out. Raises OutputError, and keeps
    the folder, where something was left out, a file changed or others came.
    """
    if skipped:
        raise OutputError("compressed, but not removed, as something in it was left out")
    try:
        if folder.is_symlink():  # as with files: the name goes, not what it leads to
            folder.unlink()
            return
        real = folder.resolve()
        hidden = real.rename(leftover_name(real, "old"))
        try:
            for name, identity in known.items():
                check_unchanged(hidden / name, identity)
            folders = list(folders_in(hidden))
            found = [path for folder in folders for path in others_in(*folder)]
            if len(found) > len(known):
                raise OutputError("compressed, but not removed, as something has come into it since")
        except BaseException:
            hidden.rename(real)
            raise
        for path in found:  # and no other, which would have come since
            path.unlink()
        for top, _, _ in reversed(folders):
            Path(top).rmdir()
    except OSError as error:
        raise OutputError(f"compressed, but the source cannot be removed: {error.strerror or error}") from error
