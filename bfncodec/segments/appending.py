"""Content added to the end of a file of bytes, text or an array: nothing of it is coded or written anew but the index.

:func:`appended` is the encoder; what it makes is a file like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bfncodec.codecs.sources import CodecSource
from bfncodec.content.types import Content, Plain
from bfncodec.errors import FormatError, InputError
from bfncodec.format.checks import crc32
from bfncodec.format.concatenation import is_joinable, split
from bfncodec.format.container import copied, unpack
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Coded, Frame
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import OF_WRITERS
from bfncodec.format.lineindex import lines_of
from bfncodec.format.modelnames import read_names
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.format.wire import Source
from bfncodec.runtime.progress import silent
from bfncodec.segments.decode import decode
from bfncodec.segments.encode import Task
from bfncodec.segments.streaming import PieceWriter

__all__ = ["appended", "check_appendable", "coded_end", "writer_after"]


def appended(blob: Source, more: Content, task: Task, verify: bool = True) -> Iterator[bytes]:
    """Yield the bytes of a file with more content at its end, in chunks; those before its index are as they were.

    more: bytes, text, or an array of the same element type and the same sides but the first. verify: decode what is
    added, and compare it.

    Raises InputError for content that cannot be added, FormatErrors for a file that is damaged, and what the models
    raise.
    """
    frame, out = check_appendable(blob, more), list[bytes]()
    yield from copied(blob, coded_end(frame))
    writer = writer_after(blob, frame, out.append, task, verify)
    writer.add(more)
    writer.finish()
    yield b"".join(out)


def coded_end(frame: Frame) -> int:
    """Return the byte up to which a file stays as it is when content is added: all but its index, if it has one."""
    return frame.entries[-1].end if frame.entries[0].head else 0


def writer_after(
    blob: Source, frame: Frame, write: Callable[[bytes], object], task: Task, verify: bool = True
) -> PieceWriter:
    """Return what writes all that stands behind :func:`coded_end` when content is added to a file.

    Of a compact file that is its segment, too, as the first of the segmented form, if there is anything in it.
    """
    names = read_names(frame.header)
    if end := coded_end(frame):
        later = frame.header.without(Tag.MODELS).split()[1]
        return PieceWriter(SegmentWriter.after(write, frame, blob[end - 4 : end], later), task, verify, names)
    writer = SegmentWriter(write, frame.header.without(Tag.MODELS))
    if frame.cut.sides[0]:  # an empty segment may only be alone
        writer.add(_whole(frame, task.codecs), frame.cut.sides[0])
    return PieceWriter(writer, task, verify, names)


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
    if lines_of(header, frame.cut) is not None:
        raise InputError("the file is cut after lines, and its table is not added to: compress it anew")
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


def _whole(frame: Frame, codecs: CodecSource) -> Coded:
    """Return the only segment of a compact file, decoded for its full checksum."""
    ((_, content),) = decode(frame, codecs, silent)
    if isinstance(content, FormatError):
        raise content
    segment = frame.segment(0)
    return Coded(segment.method, segment.payload, crc32(content), segment.model)
