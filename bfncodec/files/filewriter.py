"""The writing end of :func:`bfncodec.open`: content that is coded a segment at a time while it is written."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from bfncodec.api import compress
from bfncodec.content.types import Plain
from bfncodec.errors import OutputError
from bfncodec.files.atomic import is_stream, placing
from bfncodec.files.growing import check_left_alone
from bfncodec.files.places import file_at, folder_at
from bfncodec.files.sources import Identity, opened
from bfncodec.format.container import copied
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.runtime.streams import write_all
from bfncodec.segments.appending import check_appendable, kept_of
from bfncodec.segments.encode import Task
from bfncodec.segments.streaming import PieceWriter

__all__ = ["FileWriter", "TextWriter", "open_writer"]


def open_writer(file: Path | BinaryIO, letter: str, task: Task, verify: bool) -> FileWriter:
    """Return a file that what is written to it is compressed into.

    file: a path, at which the compressed file appears, whole, when the returned one is closed; an open file is written
    to, and not closed. letter: "w", "a" or "x", as for :func:`open`.

    Raises OutputError where it cannot be written, and for "a" InputError for a file that cannot be added to.
    """
    if not isinstance(file, Path):
        return FileWriter(file, getattr(file, "name", ""), task, verify)
    if letter == "x" and os.path.lexists(file):
        raise OutputError(f"{file} exists already: mode w replaces it, mode a adds to it")
    if folder_at(file):
        raise OutputError(f"{file} is a folder: name a file in it")
    found = file.stat() if file_at(file) and not is_stream(file) else None
    stack = ExitStack()
    out = stack.enter_context(placing(file, force=letter != "x", like=found))
    made = FileWriter(out, str(file), task, verify, stack)
    if letter == "a" and found and found.st_size:
        try:
            made.continue_from(file)
        except BaseException:
            made.discard()
            raise
    return made


class FileWriter(io.BufferedIOBase):
    """A compressed file that is written. It is whole when it is closed; :meth:`discard` closes it without its end.

    So does an error in the block of its ``with``, one while it is written, and leaving it without closing it.

    out: takes the bytes of the compressed file. stack: what is left when the file is closed, or discarded.
    """

    def __init__(self, out: BinaryIO, name: Any, task: Task, verify: bool, stack: ExitStack | None = None) -> None:
        self.name, self.mode, self.tells = name, "wb", False
        self._out, self._task, self._verify = _Out(out, name), task, verify
        self._stack = stack or ExitStack()
        self._pending, self._size = bytearray(), 0
        self._writer: PieceWriter | None = None
        self._grown: tuple[Path, Identity] | None = None

    def continue_from(self, path: Path) -> None:
        """Begin with what a compressed file holds. Raises InputError for one that cannot be added to, FormatErrors."""
        self._grown = path, Identity.of(path.stat())
        with opened(path) as blob:
            kept = kept_of(check_appendable(blob, Plain(b"\n")), self._task.codecs)
            for chunk in copied(blob, kept.end):
                self._out.write(chunk)
            self._writer = kept.writer(blob, self._out.write, self._task, self._verify)
        self._pending, self._size = bytearray(kept.carried), kept.frame.cut.sides[0]

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """Return whether :meth:`tell` is to be asked, which is all that a layer of text asks for."""
        return self.tells

    def tell(self) -> int:
        """Return the bytes of content that were written, with those that were there before."""
        self._check_open()
        return self._size

    def write(self, data: Any, /) -> int:
        """Take bytes of content, and write a segment whenever there are enough. Errors as for :func:`compress`."""
        self._check_open()
        view, most = memoryview(data), self._task.policy.text_segment
        view = view.cast("B") if view.nbytes else memoryview(b"")  # one with a side of 0 cannot be cast
        try:
            for start in range(0, len(view), most):
                self._pending += view[start : start + most]
                if len(self._pending) > most:  # what may be all that there is waits for the end
                    end = self._end(most)
                    self._code(bytes(self._pending[:end]))
                    del self._pending[:end]
        except BaseException:
            self.discard()
            raise
        self._size += len(view)
        return len(view)

    def close(self) -> None:
        """Write what is left and the end. Errors as for :meth:`write`; then there is no file."""
        if self.closed:
            return
        try:
            self._finish()
        except BaseException:
            self.discard()
            raise
        super().close()
        self._stack.close()

    def discard(self) -> None:
        """Close the file without its end; where it was given by its path, what stood there before is left."""
        if self.closed:
            return
        super().close()
        self._stack.__exit__(_Discarded, _Discarded(), None)

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None:
            self.discard()
        super().__exit__(kind, *rest)

    def __del__(self) -> None:
        if not self.closed:
            self.discard()
            warnings.warn(f"{self.name} was not closed, and is not written", ResourceWarning, stacklevel=2)

    def _end(self, most: int) -> int:
        """Return where the next segment ends: where a line does, if those are counted."""
        ended = self._writer is not None and self._writer.ends_lines
        return (self._pending.rfind(b"\n", 0, most) + 1 if ended else 0) or most

    def _code(self, piece: bytes) -> None:
        if self._writer is None:
            self._writer = PieceWriter(SegmentWriter(self._out.write, Header(Kind.BYTES)), self._task, self._verify)
        self._writer.add(Plain(piece))

    def _finish(self) -> None:
        task, rest = self._task, bytes(self._pending)
        if self._writer is None:
            made = compress(
                rest, task.model, level=task.level, verify=self._verify, codecs=task.codecs, policy=task.policy
            )
            self._out.write(made)
            return
        if rest:
            self._writer.add(Plain(rest))
        self._writer.finish()
        if self._grown is not None:
            check_left_alone(*self._grown)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


class _Out:
    """Place for the bytes of a compressed file. Raises OutputError where it cannot."""

    def __init__(self, file: BinaryIO, name: Any) -> None:
        self._file, self._name = file, name

    def write(self, data: bytes) -> None:
        try:
            write_all(self._file, data)
        except OSError as error:
            raise OutputError(f"{self._name} cannot be written: {error.strerror or error}") from error


class TextWriter(io.TextIOWrapper):
    """Text that is written to a :class:`FileWriter`, and discarded as that is."""

    def __init__(self, buffer: FileWriter, encoding: str | None, errors: str | None, newline: str | None) -> None:
        buffer.tells = True  # else no byte-order mark is written, as this might not be the beginning
        try:
            super().__init__(buffer, encoding, errors, newline)
        finally:
            buffer.tells = False

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None and isinstance(self.buffer, FileWriter):
            self.buffer.discard()
        super().__exit__(kind, *rest)

    def __del__(self) -> None:
        """Leave it to the file beneath, which is not closed."""


class _Discarded(Exception):  # noqa: N818 - it tells that all goes well, and is never seen
    """Reason for leaving the files of a writer that was discarded."""
