"""Files of any length, a piece at a time: the memory it takes does not depend on their size.

Long files are coded so where they are bytes: a picture, a file of arrays for a model of these, or a text that is cut
after lines is read whole. :mod:`bfncodec.files.transfer` does it from disk to disk, the command line from and to pipes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bfncodec.api import CodecSource
from bfncodec.errors import InputError
from bfncodec.files.options import Options
from bfncodec.files.sources import Identity
from bfncodec.format.limits import Limits
from bfncodec.format.wire import StreamReader
from bfncodec.images.files import is_picture_file
from bfncodec.runtime.progress import SILENT, Reporter
from bfncodec.segments.encode import Task
from bfncodec.segments.streaming import check_stream, decode_stream, encode_pieces, is_stream_of_bytes

__all__ = [
    "Counted",
    "Hashed",
    "checked_length",
    "compressed_chunks",
    "decompressed_chunks",
    "digest_of",
    "may_stream",
    "reading",
]

Read = Callable[[int], bytes]
"""Returns at most so many bytes, none at the end of all."""

_HEAD = 1 << 12  # bytes that tell what a file is


@dataclass
class Counted:
    """Reading of a file from its beginning on. size: bytes that have been read."""

    read: Read
    size: int = 0

    def __call__(self, count: int) -> bytes:
        found = self.read(count)
        self.size += len(found)
        return found


class Hashed:
    """Chunks that are taken once. size, digest: of those that have been."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._hash, self.size = chunks, hashlib.sha256(), 0

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


# ---- compressing ------------------------------------------------------------------------------


def may_stream(head: bytes, options: Options, codecs: CodecSource) -> bool:
    """Return whether a long file may be coded a piece at a time. head: its first bytes."""
    if options.block is not None or options.strip or options.preview or is_picture_file(head):
        return False
    return options.model in ("auto", "none") or not codecs.named(options.model).capabilities.codes_archives


def compressed_chunks(
    reader: StreamReader, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> Iterator[bytes] | None:
    """Return the bytes of the compressed file of what a reader gives, in chunks; None for what is better read whole.

    That is what is not long, or what :func:`may_stream` says no to. Nothing is taken from the reader then. Errors as
    :func:`bfncodec.compress`, some of them while the chunks are taken.
    """
    size = options.policy.stream_from
    if len(reader.peek(size)) < size or not may_stream(reader.peek(_HEAD), options, codecs):
        return None
    advance = (reporter or SILENT).advance
    task = Task(options.model, codecs, advance, options.level, options.policy)
    return encode_pieces(_pieces(reader, options.policy.text_segment), task, options.verify)


def _pieces(reader: StreamReader, size: int) -> Iterator[bytes]:
    while piece := reader.peek(size):
        yield reader.take(len(piece), "content")
        reader.forget()


# ---- decompressing ----------------------------------------------------------------------------


def decompressed_chunks(
    reader: StreamReader, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> Iterator[bytes] | None:
    """Return the content of a compressed file that a reader gives, in chunks; None for one that is better read whole.

    That is a picture, an array, a folder, or what is to be salvaged or had in part. Nothing is taken from the reader
    then. Errors as :func:`bfncodec.decompress`, some of them while the chunks are taken.
    """
    if options.part is not None or options.on_damage is not None or not is_stream_of_bytes(reader.peek(_HEAD)):
        return None
    return decode_stream(reader, codecs, (reporter or SILENT).advance, options.limits)


def checked_length(path: Path, limits: Limits | None) -> int:
    """Return the bytes of content in a compressed file of bytes, once all checksums of its coded bytes held."""
    with reading(path) as (read, _):
        return check_stream(StreamReader(read), limits or Limits())


# ---- files ------------------------------------------------------------------------------------


@contextmanager
def reading(path: Path) -> Iterator[tuple[Read, Callable[[], Identity]]]:
    """Yield what reads a file from its beginning, and what returns its identity once all was read.

    Raises InputError where it cannot be read, or changed meanwhile.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())

            def identity() -> Identity:
                after = os.fstat(file.fileno())
                known = Identity.of(after)
                if stat.S_ISREG(after.st_mode) and not known.has_content_of(Identity.of(before)):
                    raise InputError("was changed while it was read: try again when no other program writes to it")
                return known

            yield file.read, identity
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
