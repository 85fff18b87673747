"""A look at paths that never fails: nothing is there where the system refuses to say.

The methods of :class:`pathlib.Path` raise for a folder that may not be searched, or for a name that is too long, before
Python 3.14. What is wrong is said where such a path is read or written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["anything_at", "file_at", "folder_at", "folders_in", "link_at", "make_all", "others_in", "remove_all"]


def anything_at(path: Path) -> bool:
    """Return whether a path leads anywhere."""
    return _mode(path) != 0


def file_at(path: Path) -> bool:
    """Return whether a path leads to a file."""
    return stat.S_ISREG(_mode(path))


def folder_at(path: Path) -> bool:
    """Return whether a path leads to a folder."""
    return stat.S_ISDIR(_mode(path))


def link_at(path: Path) -> bool:
    """Return whether a symbolic link is at a path."""
    return stat.S_ISLNK(_mode(path, follow=False))


def folders_in(
    folder: Path, onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield a folder and those in it, each before those in it, as :func:`os.walk` does: path, names of folders, others.

    Names of folders may be sorted by whoever asks; links to folders are among them, and not followed. However deep
    folders lie, Python's stack does not grow, as that of os.walk does before 3.12. onerror: called where one cannot be
    read.
    """
    stack = [os.fspath(folder)]
    while stack:
        top = stack.pop()
        inner, names = list[str](), list[str]()
        try:
            with os.scandir(top) as found:
                for entry in found:
                    (inner if _leads_to_folder(entry) else names).append(entry.name)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            continue
        yield top, inner, names
        stack += [str(path) for path in (Path(top, name) for name in reversed(inner)) if not link_at(path)]


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def remove_all(folder: Path) -> None:
    """Remove a folder and all that is in it, however deep it lies. Raises OSError."""
    found = list(folders_in(folder))
    for each in found:
        for path in others_in(*each):
            path.unlink()
    for top, _, _ in reversed(found):
        Path(top).rmdir()


def others_in(top: str, inner: Sequence[str], names: Sequence[str]) -> list[Path]:
    """Return the paths of all that is in a folder and is none, given as :func:`folders_in` yields it."""
    links = (path for path in (Path(top, name) for name in inner) if link_at(path))
    return [*links, *(Path(top, name) for name in names)]


def make_all(folder: Path) -> None:
    """Make a folder and those above it that are missing, however many. Raises OSError."""
    missing = []
    for path in (folder, *folder.parents):
        if folder_at(path):
            break
        missing.append(path)
    for path in reversed(missing):
        path.mkdir(exist_ok=True)


def _mode(path: Path, follow: bool = True) -> int:
    try:
        return path.stat(follow_symlinks=follow).st_mode
    except OSError:
        return 0
