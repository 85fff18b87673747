"""Compressed files as files of Python, as :func:`gzip.open` has them: :func:`open`."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict, Unpack, overload

from bfncodec.codecs.sources import CodecSource, Models
from bfncodec.errors import InputError
from bfncodec.files.filereader import open_reader
from bfncodec.files.filewriter import FileWriter, TextWriter, open_writer
from bfncodec.format.limits import Limits
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_codecs, check_flags, check_model, check_policy, check_type, path_of
from bfncodec.runtime.progress import silent
from bfncodec.segments.encode import Task
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

__all__ = ["open"]

_OpenFile = BinaryIO | io.BufferedIOBase | io.RawIOBase
_BINARY = Literal["r", "rb", "w", "wb", "a", "ab", "x", "xb"]
_TEXT = Literal["rt", "wt", "at", "xt"]
_MODES = [letter + kind for letter in "rwax" for kind in ("", "b", "t")]


class _Arguments(TypedDict, total=False):
    encoding: str | None
    errors: str | None
    newline: str | None
    model: str
    level: int
    verify: bool
    device: str
    threads: int | None
    limits: Limits | None
    codecs: CodecSource | None
    policy: Policy


@overload
def open(  # noqa: A001
    file: str | os.PathLike[str] | _OpenFile, mode: _BINARY = "rb", **arguments: Unpack[_Arguments]
) -> io.BufferedIOBase: ...
@overload
def open(  # noqa: A001
    file: str | os.PathLike[str] | _OpenFile, mode: _TEXT, **arguments: Unpack[_Arguments]
) -> io.TextIOWrapper: ...
@overload
def open(  # noqa: A001
    file: str | os.PathLike[str] | _OpenFile, mode: str, **arguments: Unpack[_Arguments]
) -> io.BufferedIOBase | io.TextIOWrapper: ...
def open(  # noqa: A001 - as in gzip, bz2 and lzma
    file: str | os.PathLike[str] | _OpenFile,
    mode: str = "rb",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    model: str = "auto",
    level: int = DEFAULT_LEVEL,
    verify: bool = True,
    device: str = "cpu",
    threads: int | None = None,
    limits: Limits | None = None,
    codecs: CodecSource | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> io.BufferedIOBase | io.TextIOWrapper:
    r"""Open a compressed file as a file of its content, to be read or written a segment at a time.

    The memory it takes does not depend on the size of the file, but where a picture or arrays are read, which are
    decoded whole, to the bytes of the file that they were.

    Parameters
    ----------
    file
        A path, or an open binary file, which is read or written from where it stands, and not closed.
    mode
        "rb", "wb", "ab" (adds segments), "xb" (never replaces a file) of bytes; "rt", "wt", "at", "xt" of text; without
        a second letter of bytes.

        Files that are read have every method of :class:`io.BufferedReader`. Each segment is checked before a byte of it
        is given. After ``seek`` only the segment there is decoded, where the compressed file can be read anywhere.

        Files that are written have ``write`` and ``tell``. A path leads to the compressed file, whole, when it is
        closed, and to what was there before until then. After an error in the block of ``with``, or in ``write``,
        nothing is changed; nor is it where the file is not closed at all. An open file that was given has no valid end
        then. ``flush`` does nothing, as segments are coded when they are full. What fits one segment becomes the same
        file as from :func:`compress`; an open file that is added to has another compressed file behind it, and both are
        read as one.
    encoding, errors, newline
        As for :func:`open`, of text.
    model, level, verify, device, threads, codecs, policy
        As for :func:`compress`. A segment has ``policy.text_segment`` bytes, which is also what is held in memory.
    limits
        As for :func:`decompress`; of memory for each segment.

    Raises
    ------
    InputError
        A mode, or another argument, that cannot be; a file that cannot be read, that holds a folder, or that cannot be
        added to.
    OutputError
        The file cannot be written, or exists for "x". Also when it is closed.
    FormatError, ModelNotFoundError, ModelError
        As for :func:`decompress`, while the file is opened or read.

    >>> import io
    >>> kept = io.BytesIO()
    >>> with open(kept, "wt", model="none") as file:
    ...     print("to be", "or not to be", sep="\n", file=file)
    >>> kept.seek(0)
    0
    >>> [line for line in open(kept, "rt")]
    ['to be\n', 'or not to be\n']
    """
    _check_mode(mode, encoding, errors, newline)
    check_codecs(codecs)
    check_type(limits, Limits, "limits")
    source = codecs or Models(device, threads)
    given = _given(file, mode)
    if mode[0] == "r":
        reader = open_reader(given, source, limits or Limits())
        return _as_text(reader, encoding, errors, newline) if mode[1:] == "t" else reader
    check_model(model)
    check_level(level)
    check_policy(policy, Policy)
    check_flags(verify=verify)
    task = Task(model, source, silent, level, policy)
    task.choice("text")  # a model that cannot be is told of before anything is written
    writer = open_writer(given, mode[0], task, verify)
    return _as_text(writer, encoding, errors, newline) if mode[1:] == "t" else writer


def _check_mode(mode: object, encoding: object, errors: object, newline: object) -> None:
    if mode not in _MODES:
        raise InputError(f"expected a mode, one of {', '.join(_MODES)}, found {mode!r}")
    given = {"encoding": encoding, "errors": errors, "newline": newline}
    for name, value in given.items():
        if value is not None and not str(mode).endswith("t"):
            raise InputError(f"{name} is for text, found mode {mode!r}: pass {str(mode)[0]}t")


def _given(file: object, mode: str) -> Path | Any:
    """Return a path, or an open file of bytes that has the method that is needed. Raises InputError for others."""
    if callable(getattr(file, "read" if mode[0] == "r" else "write", None)):
        if isinstance(file, io.TextIOBase) or (mode[0] == "r" and _reads_text(file)):
            raise InputError(f"expected a file of bytes, found one of text: open it with mode {mode[0]}b")
        if getattr(file, "closed", False) is True:
            raise InputError("expected an open file, found one that is closed: open it again")
        # Others, which have the method, may have left out the one that says so: io's own classes say no by themselves.
        if isinstance(file, (io.FileIO, io.BufferedIOBase)) and not (
            file.readable() if mode[0] == "r" else file.writable()
        ):
            wanted, found = ("read", "written") if mode[0] == "r" else ("written", "read")
            raise InputError(f"expected a file that can be {wanted}, found one that can only be {found}: open it anew")
        return file
    return path_of(file, "a path or an open binary file")


def _reads_text(file: Any) -> bool:
    """Return whether a file of another class than Python's own gives text, as those of tempfile and codecs may."""
    return isinstance(getattr(file, "encoding", None), str) and isinstance(file.read(0), str)


def _as_text(
    binary: io.BufferedReader | FileWriter,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> io.TextIOWrapper:
    encoding = io.text_encoding(encoding)
    try:
        if isinstance(binary, FileWriter):
            return TextWriter(binary, encoding, errors, newline)
        return io.TextIOWrapper(binary, encoding, errors, newline)
    except (LookupError, TypeError, ValueError) as error:
        binary.discard() if isinstance(binary, FileWriter) else binary.close()
        raise InputError(f"encoding, errors or newline cannot be: {error}") from error
