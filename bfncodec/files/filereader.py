"""The reading end of :func:`bfncodec.open`: what a compressed file holds, decoded as it is read."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from bfncodec.codecs.sources import CodecSource
from bfncodec.errors import InputError
from bfncodec.files.data import decode_data
from bfncodec.files.options import Options
from bfncodec.files.sources import Slices
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Part, StreamReader
from bfncodec.segments.access import Access, access
from bfncodec.segments.streaming import decode_stream

__all__ = ["open_reader"]

_BUFFER = 1 << 17  # bytes that are taken at once of what is decoded
_KEPT = 2  # decoded segments


def open_reader(file: Path | BinaryIO, codecs: CodecSource, limits: Limits) -> io.BufferedReader:
    """Return a file of the content of a compressed one, which is read from where it stands.

    file: closed with what is returned if it was given by its path. Raises InputError where it cannot be read, or holds
    a folder, FormatErrors.
    """
    if not isinstance(file, Path):
        return io.BufferedReader(_raw(file, None, codecs, limits), _BUFFER)
    try:
        opened = file.open("rb")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    try:
        return io.BufferedReader(_raw(opened, file, codecs, limits), _BUFFER)
    except BaseException:
        opened.close()
        raise


def _raw(file: BinaryIO, path: Path | None, codecs: CodecSource, limits: Limits) -> io.RawIOBase:
    name = getattr(file, "name", "") if path is None else str(path)
    start, owned = _place_in(file), None if path is None else file
    if start is None:
        return _Stream(decode_stream(StreamReader(file.read), codecs, limits=limits), name, owned)
    slices = Slices(file)
    blob = Part(slices, start, len(slices))
    found = access(blob, codecs, limits)
    if found is not None:
        return _Segments(found, name, owned)
    made, _ = decode_data(blob[0 : len(blob)], Options(limits=limits), codecs)
    if not isinstance(made, bytes):
        raise InputError("expected the compressed file of a file, found that of a folder: decompress it")
    return _Whole(made, name, owned)


def _place_in(file: BinaryIO) -> int | None:
    """Return the byte that an open file stands at, None if it can only be read from there on."""
    with suppress(OSError, ValueError, AttributeError):  # some say that they can, and cannot
        if file.seekable():
            place = file.tell()
            file.seek(0, os.SEEK_END)
            file.seek(place)
            return place
    return None


class _Decoded(io.RawIOBase):
    """Content that is decoded as it is read.

    name: of the compressed file. owned: file that is closed with this one.
    """

    def __init__(self, name: Any, owned: BinaryIO | None) -> None:
        self.name, self.mode, self._owned = name, "rb", owned
        self._position = 0

    @abstractmethod
    def _rest(self) -> memoryview:
        """Return some of the content from the position on, nothing only at its end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._check_open()
        rest, view = self._rest(), memoryview(buffer)
        view = view.cast("B") if view.nbytes else memoryview(bytearray())  # one with a side of 0 cannot be cast
        size = min(len(rest), len(view))
        view[:size] = rest[:size]
        self._position += size
        return size

    def readall(self) -> bytes:
        self._check_open()
        found = []
        while rest := self._rest():
            found.append(bytes(rest))
            self._position += len(rest)
        return b"".join(found)

    def tell(self) -> int:
        self._check_open()
        return self._position

    def close(self) -> None:
        if not self.closed and self._owned is not None:
            self._owned.close()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


class _Seekable(_Decoded):
    """Content whose size is known, any byte of which can be read."""

    @property
    @abstractmethod
    def _size(self) -> int:
        """Bytes of all content."""

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._check_open()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"expected a whence of 0, 1 or 2, found {whence}")
        place = offset + (0, self._position, self._size)[whence]
        if place < 0:
            raise ValueError(f"expected a place in the file, found {place}")
        self._position = place
        return place


class _Whole(_Seekable):
    """Content of which all is decoded: a picture file, or one of arrays."""

    def __init__(self, content: bytes, name: Any, owned: BinaryIO | None) -> None:
        super().__init__(name, owned)
        self._content = memoryview(content)

    @property
    def _size(self) -> int:
        return len(self._content)

    def _rest(self) -> memoryview:
        return self._content[self._position :]


class _Segments(_Seekable):
    """Content by position. What was decoded last is kept, and segments in their order are decoded several at once."""

    def __init__(self, segments: Access, name: Any, owned: BinaryIO | None) -> None:
        super().__init__(name, owned)
        self._segments = segments
        self._kept = dict[int, bytes]()
        self._run: Iterator[bytes] = iter(())
        self._due = -1  # number of the segment that the run yields next

    @property
    def _size(self) -> int:
        return self._segments.size

    def _rest(self) -> memoryview:
        if self._position >= self._size:
            return memoryview(b"")
        number = self._segments.number_at(self._position)
        return memoryview(self._segment(number))[self._position - self._segments.edges[number] :]

    def _segment(self, number: int) -> bytes:
        """Return the content of a segment: one alone after a seek, and those behind it as the model likes them."""
        if number not in self._kept:
            if len(self._kept) == _KEPT:  # dropped first: there are never more in memory
                del self._kept[next(iter(self._kept))]
            if number != self._due:
                self._run = iter(())
            content = next(self._run, None)
            if content is None:
                last = self._segments.count if number == self._due else number + 1
                self._run = self._segments.decoded(number, last)
                content = next(self._run)
            self._kept[number], self._due = content, number + 1
        return self._kept[number]


class _Stream(_Decoded):
    """Content that comes in chunks, of which the next is decoded when it is needed."""

    def __init__(self, chunks: Iterator[bytes], name: Any, owned: BinaryIO | None) -> None:
        super().__init__(name, owned)
        self._chunks, self._chunk = chunks, memoryview(b"")
        self._end = 0  # of the chunk

    def _rest(self) -> memoryview:
        while self._position == self._end:
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._chunk = memoryview(chunk)
            self._end += len(chunk)
        return self._chunk[self._position - self._end :]
