"""A look at paths that never fails: nothing is there where the system refuses to say.

The methods of :class:`pathlib.Path` raise for a folder that may not be searched, or for a name that is too long, before
Python 3.14. What is wrong is said where such a path is read or written.
"""

from __future__ import annotations

import stat
from pathlib import Path

__all__ = ["anything_at", "file_at", "folder_at", "link_at"]


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


def _mode(path: Path, follow: bool = True) -> int:
    try:
        return path.stat(follow_symlinks=follow).st_mode
    except OSError:
        return 0
