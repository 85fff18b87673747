"""Content added to the end of a file of bytes, text or an array: nothing of it is coded or written anew but the index.

:func:`appended` is the encoder; what it makes is a file like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bfncodec.codecs.sources import CodecSource
from bfncodec.content.types import Content, Plain
from bfncodec.errors import FormatError, InputError
from bfncodec.format.checks import crc32
from bfncodec.format.concatenation import is_joinable, split
from bfncodec.format.container import copied, unpack
from bfncodec.format.cuts import Cut, Pieces
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Coded, Frame
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import OF_WRITERS
from bfncodec.format.lineindex import LINE_BLOCK, LineTable, lines_of
from bfncodec.format.modelnames import read_names
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.format.wire import Source
from bfncodec.runtime.progress import silent
from bfncodec.segments.decode import decode
from bfncodec.segments.encode import Task
from bfncodec.segments.streaming import PieceWriter

__all__ = ["Kept", "appended", "check_appendable", "kept_of"]

_SHORT = 1 << 16  # bytes of a compact file whose lines may be sought, and of a block of lines that is coded anew
_LOG = logging.getLogger("bfncodec")


def appended(blob: Source, more: Content, task: Task, verify: bool = True) -> Iterator[bytes]:
    """Yield the bytes of a file with more content at its end, in chunks; those before its index are as they were.

    more: bytes, text, or an array of the same element type and the same sides but the first. verify: decode what is
    added, and compare it.

    Raises InputError for content that cannot be added, FormatErrors for a file that is damaged, and what the models
    raise.
    """
    kept, out = kept_of(check_appendable(blob, more), task.codecs), list[bytes]()
    yield from copied(blob, kept.end)
    writer = kept.writer(blob, out.append, task, verify)
    writer.add(replace(more, data=kept.carried + more.data) if isinstance(more, Plain) else more)
    writer.finish()
    yield b"".join(out)


@dataclass(frozen=True)
class Kept:
    """The part of a file that stays when content is added: all but its index, and of a compact file all but its frame.

    Attributes
    ----------
    frame
        The file.
    count
        Segments that stay.
    carried
        Content of those that do not: of the last block of lines, if its last line goes on in what is added.
    content
        Content of the only segment of a compact file that stays.
    table
        Lines of the segments that stay, if lines of the file are found by their numbers.
    """

    frame: Frame
    count: int
    carried: bytes = b""
    content: bytes | None = None
    table: LineTable | None = None

    @property
    def end(self) -> int:
        """Byte up to which the file stays as it is: none of a compact one, whose segment is written anew."""
        return self.frame.entries[self.count - 1].end if self.count and self.content is None else 0

    def writer(self, blob: Source, write: Callable[[bytes], object], task: Task, verify: bool = True) -> PieceWriter:
        """Return what writes all behind :attr:`end`; the carried content is the beginning of what is to be added."""
        header, names = self.frame.header.without(Tag.MODELS, Tag.LINES), read_names(self.frame.header)
        if self.end:
            frame = replace(
                self.frame, entries=self.frame.entries[: self.count], cut=_first(self.frame.cut, self.count)
            )
            writer = SegmentWriter.after(write, frame, blob[self.end - 4 : self.end], header.split()[1])
        else:
            writer = SegmentWriter(write, header)
        if self.content is not None:
            segment = self.frame.segment(0)
            coded = Coded(segment.method, segment.payload, crc32(self.content), segment.model)
            writer.add(coded, len(self.content))
        return PieceWriter(writer, task, verify, names, self.table)


def kept_of(frame: Frame, codecs: CodecSource) -> Kept:
    """Return what stays of a file when content is added to it.

    Lines that are found by their numbers still are, unless what is added begins within a long one. Raises FormatErrors.
    """
    lines = lines_of(frame.header, frame.cut)
    if not frame.entries[0].head:
        return _kept_of_compact(frame, codecs)
    if lines is None or not isinstance(frame.cut, Pieces):
        return Kept(frame, len(frame.entries))
    lengths, content = frame.cut.lengths, _last(frame, codecs)
    block = max(lengths) if lengths[0] >= LINE_BLOCK else None  # else it may have been made of pieces
    if content.endswith(b"\n"):
        return Kept(frame, len(frame.entries), table=LineTable(lines.counts, block))
    if len(content) > _SHORT:
        _LOG.info("the last line has no end, so that lines are no longer found by their numbers")
        return Kept(frame, len(frame.entries))
    return Kept(frame, len(frame.entries) - 1, content, table=LineTable(lines.counts[:-1], block))


def _kept_of_compact(frame: Frame, codecs: CodecSource) -> Kept:
    """Return what stays of a compact file, which is decoded for its full checksum, as it does not hold all of it.

    Lines of a short one, which may have been made to find them, still are found; it is coded anew with what is added
    where its last line has no end.
    """
    content = _last(frame, codecs)
    table = LineTable([], None) if is_joinable(frame.header) else None
    if not content:  # an empty segment may only be alone
        return Kept(frame, 0, table=table)
    if table is None or len(content) > _SHORT:
        return Kept(frame, 1, content=content)
    if not content.endswith(b"\n"):
        return Kept(frame, 0, content, table=table)
    table.add(content, frame.cut)
    return Kept(frame, 1, content=content, table=table)


def _first(cut: Cut, count: int) -> Cut:
    return Pieces(cut.lengths[:count]) if isinstance(cut, Pieces) else cut


def _last(frame: Frame, codecs: CodecSource) -> bytes:
    """Return the content of the last segment of a file. Raises FormatErrors."""
    ((_, content),) = decode(replace(frame, wanted=(frame.cut.count - 1,)), codecs, silent)
    if isinstance(content, FormatError):
        raise content
    return bytes(content)


def check_appendable(blob: Source, more: Content) -> Frame:
    """Return the frame of a file that content can be added to. Raises InputError where it cannot, FormatErrors."""
    if len(split(blob)) > 1:
        raise InputError("expected one compressed file to add to, found several one after the other: decompress them")
    frame = unpack(blob, OF_WRITERS)
    header, wanted = frame.header, more.header
    if not isinstance(more, Plain) or header.kind is Kind.IMAGE or wanted.kind is Kind.IMAGE:
        raise InputError(
            "expected bytes, text or an array to add to its like, found a picture: give it a file of its own"
        )
    if header.kind is not wanted.kind or (header.kind is Kind.BYTES and not is_joinable(header)):
        raise InputError(
            f"expected more {header.kind.name.lower()} to add, found {wanted.kind.name.lower()}, or a file of files"
        )
    if header.kind is Kind.ARRAY:
        _check_shapes(header.dtype, header.shape, wanted.dtype, wanted.shape)
    if not more.data:
        raise InputError("found nothing to add")
    return frame


def _check_shapes(dtype: str, shape: tuple[int, ...], other: str, more: tuple[int, ...]) -> None:
    if dtype != other or not shape or shape[1:] != more[1:] or len(shape) != len(more):
        raise InputError(
            f"expected elements {dtype} of shape (any, {str(shape[1:])[1:]}, found {other} of shape {more}"
        )
