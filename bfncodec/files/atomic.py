"""Targets: files and folders put where they belong, whole or not at all.

A result is written beside its target under a hidden name, forced to disk, looked at there, and only then given the
target's name; the folder's entry is forced to disk, too. Whatever goes wrong before, a signal included, leaves the
target as it was. Only a process that is killed, or a machine that stops, leaves the hidden file behind:
``.<12 letters>.bfn.part`` (and, of a folder that was being replaced or removed, ``.<12 letters>.bfn.old``).
What is neither file nor folder is written to as it is: a device, a pipe, an open file of this process.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bfncodec.errors import OutputError
from bfncodec.files.places import anything_at, folder_at, folders_in, link_at, make_all, others_in, remove_all
from bfncodec.format.frame import SUFFIX
from bfncodec.runtime.streams import flush, write_all

__all__ = [
    "LEFTOVER",
    "WRITERS",
    "check_folder",
    "check_outside",
    "check_target",
    "check_written",
    "descriptor",
    "is_leftover",
    "is_stream",
    "leftover_name",
    "make_folder",
    "other_on_disk",
    "place",
    "place_folder",
    "placing",
    "write_like",
]

LEFTOVER = "was left behind by a process that was killed"
"""Text that is said of a file with such a name."""
WRITERS = 16
"""Files forced to disk at once, which takes a twentieth of the time of one after the other."""
_LINKS = 40  # that are followed, as on Linux
_LEFTOVER = re.compile(rf"\.[0-9a-f]{{12}}{re.escape(SUFFIX)}\.(part|old)")
_DESCRIPTORS = re.compile(r"/proc/(\d+)(/task/\d+)?/fd|/dev/fd")


# ---- what is there ------------------------------------------------------------------------------


def check_target(target: Path, source: Path, force: bool, folder: bool = False) -> None:
    """Raise OutputError, before any work, for a target that is the source, a folder, there already, or has no place.

    force: what is there may be replaced, except the source and folders. folder: a folder is to be written.
    """
    if folder:
        check_folder(target, force)
        check_outside(source, target)
        return
    with _writing(target):
        if is_stream(target):
            return
        if not os.path.lexists(target):
            if anything_at(source):  # else that is what is said
                _check_place(target)
            return
        if _same_file(source, target):
            raise OutputError(f"{target} is the source itself: name another target")
        if folder_at(target):
            raise OutputError(f"{target} is a folder: name a file in it")
        if not force:
            raise _exists(target)


def check_folder(target: Path, force: bool) -> None:
    """Raise OutputError for the target of a folder that is there already, is no place for one, or is in use.

    force: what is there may be replaced, but never the working folder.
    """
    if is_stream(target):
        raise OutputError(f"{target} cannot hold a folder: name another target")
    if os.path.lexists(target) and not force:
        raise _exists(target)
    if folder_at(target) and Path.cwd().is_relative_to(target.resolve()):
        raise OutputError(f"{target} is the folder you are in: name another target")


def check_outside(path: Path, folder: Path) -> None:
    """Raise OutputError for a target inside its source folder, or the reverse."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{path} is in the folder {folder}: name a target elsewhere")


def _check_place(target: Path) -> None:
    """Raise OSError, or OutputError, where no file of this name can be made."""
    real = Path(os.path.realpath(target))
    real.parent.stat()
    with suppress(FileNotFoundError):
        real.lstat()  # which knows whether the name is too long
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{target} cannot be written: its folder may not be written to")


def _same_file(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target)
    except OSError:
        return False


def _exists(target: Path) -> OutputError:
    return OutputError(f"{target} exists already", python="force=True replaces it", command="use -f to replace it")


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turn what goes wrong on the disk into an OutputError that names the target as the caller does."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from error


def leftover_name(path: Path, kind: str) -> Path:
    """Return a hidden name beside a path. kind: ``part`` for what is not there yet, ``old`` for what is about to go."""
    return path.with_name(f".{os.urandom(6).hex()}{SUFFIX}.{kind}")


def is_leftover(name: str) -> bool:
    """Return whether a file of this name was left behind by a process that was killed."""
    return _LEFTOVER.fullmatch(name) is not None


def is_stream(path: Path) -> bool:
    """Return whether a path is written to as it is, never replaced: a device, a pipe, an open file of this process."""
    if descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def descriptor(path: Path) -> int | None:
    """Return the number of the open file of this process that a path stands for, as /dev/stdout and /dev/fd/3 do.

    Such a path may lead to a file that a shell has opened for this process: to replace it would take it away from all
    others who write there. None for every other path. Raises OutputError for the open files of other processes.
    """
    for _ in range(_LINKS):
        found = _DESCRIPTORS.fullmatch(os.path.realpath(path.parent)) if path.name.isdecimal() else None
        if found is not None:
            if found[1] not in (None, str(os.getpid())):
                raise OutputError(f"{path} is a file that another process has open: name the file itself")
            return int(path.name)
        if not link_at(path):
            return None
        path = path.parent / path.readlink()
    return None


# ---- files --------------------------------------------------------------------------------------


def place(
    target: Path,
    data: bytes | Iterable[bytes],
    *,
    force: bool = False,
    like: os.stat_result | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Put a file where it belongs, whole or not at all. Raises OutputError where that fails.

    data: the bytes, or chunks of them. force: replace a file that is there. like: the file whose permissions and
    modification time it gets. check: called, before the target exists, with the file as it is on the disk; raises where
    what it reads back is not good.
    """
    with _writing(target):
        if is_stream(target):
            _write_stream(target, data)
            return
        with _beside(target, force, check) as beside:
            _write_synced(beside, data, like)


@contextmanager
def placing(target: Path, *, force: bool = False, like: os.stat_result | None = None) -> Iterator[BinaryIO]:
    """Yield a file that appears as the target, whole, if the block ends without an error, and else never.

    force: replace a file that is there. like: the file whose permissions it gets. Raises OutputError where that fails;
    what is neither file nor folder is written to as it is.
    """
    with _writing(target):
        if is_stream(target):
            with _open_stream(target) as file:
                yield file
            return
        with _beside(target, force) as beside, _synced(beside, 0o666 if like is None else 0o600) as file:
            yield file
            if like is not None:
                beside.chmod(_mode_like(like, beside))


@contextmanager
def _beside(target: Path, force: bool, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield the hidden path of a file that the block writes, and then gets the target's name."""
    real = Path(os.path.realpath(target))
    beside = leftover_name(real, "part")
    try:
        yield beside
        if check is not None:
            check(beside)
        _give_name(beside, real, target, force)
        _sync_folder(real.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_like(
    target: Path,
    data: bytes | Iterable[bytes],
    like: Path,
    force: bool = False,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Put a file where it belongs as :func:`place` does, with the permissions and time of the file it was made from."""
    try:
        found = like.stat()
    except OSError:
        found = None
    place(target, data, force=force, like=found, check=check)


def check_written(made: bytes, written: Path) -> None:
    """Raise OutputError where the disk gives back something else than what was written."""
    if written.read_bytes() != made:
        raise other_on_disk()


def other_on_disk() -> OutputError:
    """Return the error of a disk that gives back something else than what was written."""
    return OutputError("what was written reads back as something else: the disk may be failing")


def _give_name(beside: Path, real: Path, target: Path, force: bool) -> None:
    """Let a file appear as the target; without force never in the place of one that came there meanwhile."""
    if not force:
        try:
            os.link(beside, real)
            return
        except FileExistsError:
            raise _exists(target) from None
        except OSError as error:  # a file system without hard links
            if os.path.lexists(real):
                raise _exists(target) from error
    beside.replace(real)


def _write_synced(path: Path, data: bytes | Iterable[bytes], like: os.stat_result | None) -> None:
    regular = like is not None and stat.S_ISREG(like.st_mode)
    mode = 0o600 if regular else 0o666 & ~_shut(like)  # nobody reads meanwhile what only its owner may
    with _synced(path, mode) as file:
        for chunk in _chunks_of(data):
            file.write(chunk)
        file.flush()
        if like is not None and regular:
            path.chmod(_mode_like(like, path))
            os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))
        else:
            _share(path, like)


def _shut(like: os.stat_result | None) -> int:
    """Return the permissions that what is made of a folder, or of a file of files, has not when it is made: those of
    all but its owner where others may not read that.
    """
    kept = like is not None and (stat.S_ISREG(like.st_mode) or stat.S_ISDIR(like.st_mode))
    return 0o077 if like is not None and kept and not like.st_mode & 0o004 else 0


def _share(made: Path, like: os.stat_result | None) -> None:
    """Let the group read what was made of what it may read, if it is the same one."""
    if like is not None and _shut(like) and _mode_like(like, made) & 0o040:
        made.chmod(stat.S_IMODE(made.stat().st_mode) | (0o050 if folder_at(made) else 0o040))


def _mode_like(like: os.stat_result, made: Path) -> int:
    """Return the permissions of a file for one that was made of it, which nobody may read who could not read that.

    A file whose owner lends its rights to whoever runs it does not lend those of the new owner, and those of its group
    are not for another one.
    """
    mode = like.st_mode & 0o777
    return mode if made.stat().st_gid == like.st_gid else mode & (0o707 | (mode & 0o007) << 3)


@contextmanager
def _synced(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Yield a new file that is forced to disk when it is written."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_stream(path: Path, data: bytes | Iterable[bytes]) -> None:
    with _open_stream(path) as file:
        for chunk in _chunks_of(data):
            write_all(file, chunk)
        flush(file)


def _open_stream(path: Path) -> BinaryIO:
    number = descriptor(path)
    return path.open("wb") if number is None else os.fdopen(os.dup(number), "wb")


def _chunks_of(data: bytes | Iterable[bytes]) -> Iterable[bytes]:
    return [data] if isinstance(data, bytes) else data


# ---- folders ------------------------------------------------------------------------------------


def make_folder(folder: Path) -> None:
    """Create a folder and those above it that are missing, to last. Raises OutputError where that fails."""
    made = [path for path in (folder, *folder.parents) if not folder_at(path)]
    try:
        make_all(folder)
        for path in made:
            _sync_folder(path.parent)
    except OSError as error:
        what = "is there and no folder" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise OutputError(f"folder {folder} cannot be made: {what}") from error


def place_folder(
    target: Path,
    files: Mapping[str, bytes],
    *,
    force: bool = False,
    check: bool = False,
    like: os.stat_result | None = None,
) -> None:
    """Put a folder with these files where it belongs, whole or not at all. Raises OutputError where that fails.

    files: bytes by relative path. force: replace what is there: a file, or a folder all files of which are replaced by
    others. check: read every file back first. like: file that it was made of, and into which nobody may look who could
    not read that.
    """
    check_folder(target, force)
    with _writing(target):
        real = Path(os.path.realpath(target))
        _check_replaced(real, files, target)
        beside = leftover_name(real, "part")
        try:
            beside.mkdir(mode=0o777 & ~_shut(like))
            _share(beside, like)
            _write_folder(beside, files)
            if check:
                for name, data in files.items():
                    check_written(data, beside / name)
            check_folder(target, force)
            _exchange(beside, real, lambda old: _check_replaced(old, files, target))
        finally:
            with suppress(OSError):
                remove_all(beside)


def _check_replaced(old: Path, files: Mapping[str, bytes], target: Path) -> None:
    """Raise OutputError for a folder in which there are others than the files that are to take its place."""
    if not folder_at(old):
        return
    for folder in folders_in(old):
        for path in (other.relative_to(old).as_posix() for other in others_in(*folder)):
            if path not in files:
                raise OutputError(
                    f"{target} holds {path!a}, which would be lost with the folder: move it, or name another target"
                )


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by relative path, and the names of all of them, to the disk."""
    folders = {folder} | {(folder / name).parent for name in files}
    for parent in folders:
        make_all(parent)
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(lambda name: _write_synced(folder / name, files[name], None), files):
            pass  # a failure is raised here
    for top, _, _ in folders_in(folder):
        _sync_folder(Path(top))


def _exchange(new: Path, target: Path, check: Callable[[Path], None]) -> None:
    """Give a folder the target's name, to last; what had that name is removed, or has it again if that fails.

    check: called with what had the name, when it is without; raises where it may not be removed.
    """
    old, swapped = new.with_suffix(".old"), False
    try:
        if os.path.lexists(target):
            swapped = _swapped(new, target)
            if not swapped:
                target.rename(old)
            check(new if swapped else old)
        if not swapped:
            new.rename(target)
        _sync_folder(target.parent)
    except BaseException:
        if swapped:
            _swapped(new, target)
        elif os.path.lexists(old):
            if os.path.lexists(target):
                target.rename(new)
            old.rename(target)
        raise
    gone = new if swapped else old
    try:
        if gone.is_dir():
            remove_all(gone)
        elif os.path.lexists(gone):
            gone.unlink()
    except OSError as error:
        raise OutputError(f"{target} is written, but what it replaced is still there as {gone}: remove it") from error


def _swapped(one: Path, other: Path) -> bool:
    """Let two names change places in one step, so that none of them is ever without what it stands for.

    Returns False where the system, or its file system, cannot: only Linux is asked, and Python has no name for it.
    """
    import ctypes

    function = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    return function is not None and function(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR}


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk. Some systems cannot, and do not need it; a failing disk is an error."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
