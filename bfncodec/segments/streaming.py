"""Bytes of any length to a file and back, a piece at a time: the memory it takes does not depend on how many they are.

:func:`encode_pieces` is the encoder, :func:`decode_stream` its decoder, which takes every file of bytes or text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bfncodec.codecs.sources import CodecSource
from bfncodec.content.types import Content, Plain, same_content
from bfncodec.errors import BfncodecError, DamagedError, FormatError, InputError, NotOursError, OutputError
from bfncodec.format.concatenation import Ends, is_joinable, is_long_joinable
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Pieces
from bfncodec.format.frame import SEGMENTED, Entry, Frame, Segment, read_start
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import OF_WRITERS, Limits, check_limit
from bfncodec.format.lineindex import Lines, LineTable
from bfncodec.format.modelnames import ModelName, write_names
from bfncodec.format.segmented.head import Head, read_head_of
from bfncodec.format.segmented.stream import read_segments
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.format.wire import Reader, StreamReader
from bfncodec.runtime.progress import Progress, silent
from bfncodec.segments.assemble import decode_frame
from bfncodec.segments.decode import decode
from bfncodec.segments.encode import Task, names_of
from bfncodec.segments.plan import Plan

__all__ = ["PieceWriter", "check_plan", "check_stream", "decode_stream", "encode_pieces", "is_stream_of_bytes"]

_WINDOW = 1 << 18  # bytes: more than a short compact file of bytes has, or the head of a segmented one


# ---- encoding ---------------------------------------------------------------------------------


def encode_pieces(pieces: Iterable[bytes], task: Task, verify: bool = True) -> Iterator[bytes]:
    """Yield the bytes of the file of pieces that follow each other, in the segmented form.

    verify: decode each and compare it before it is yielded.

    Raises InputError for a named model that cannot code a piece, OutputError for what does not verify.
    """
    out = list[bytes]()
    writer = PieceWriter(SegmentWriter(out.append, Header(Kind.BYTES)), task, verify)
    for piece in pieces:
        writer.add(Plain(piece))
        yield b"".join(out)
        out.clear()
    writer.finish()
    yield b"".join(out)


class PieceWriter:
    """Codes pieces of content that follow each other, and writes them as the next segments of a file.

    writer: of the segments. verify: decode each piece and compare it before it is written. names: of models that the
    file has already. table: of its lines, if they are found by their numbers.
    """

    def __init__(
        self,
        writer: SegmentWriter,
        task: Task,
        verify: bool,
        names: Sequence[ModelName] = (),
        table: LineTable | None = None,
    ) -> None:
        self._writer, self._task, self._verify, self._names = writer, task, verify, list(names)
        self._models, self._table = set[bytes](), table

    @property
    def ends_lines(self) -> bool:
        """Flag: a piece should end with a line, as its lines are counted."""
        return self._table is not None

    def add(self, piece: Content) -> None:
        """Write a piece. Errors as for :func:`encode_pieces`."""
        plan = self._task.plan(piece, self._lines_of(piece))
        self._count(piece, plan)
        if self._verify:
            check_plan(piece.header, plan, piece, self._task.codecs)
        for coded, extent in zip(plan.coded, plan.cut.extents, strict=True):
            self._writer.add(coded, extent[0][1] - extent[0][0])
        self._models |= {coded.model for coded in plan.coded if coded.model}

    def _lines_of(self, piece: Content) -> Lines | None:
        """Return the blocks that a piece is cut into, if it is cut after lines."""
        if self._table is None or self._table.block is None:
            return None
        return self._task.blocks_of_lines(piece, min(self._table.block, self._task.policy.text_segment))

    def _count(self, piece: Content, plan: Plan) -> None:
        """Count the lines of a piece. Raises InputError for a line that goes on from one to the next, and is sought."""
        if self._table is None or not isinstance(piece, Plain):
            return
        if not self._table.add(piece.data, plan.cut):
            if self._table.block is not None:
                raise InputError("expected lines that are found by their numbers, found one that is too long")
            self._table = None

    def finish(self) -> None:
        """Write the index."""
        lines = self._table.extras() if self._table is not None else []
        new = names_of(self._models, self._task.codecs)
        names = [*self._names, *(name for name in new if name not in self._names)]
        self._writer.finish([*lines, *([write_names(names)] if names else [])])


def check_plan(header: Header, plan: Plan, content: Content, codecs: CodecSource) -> None:
    """Raise OutputError unless coded segments decode to the content that they were made of."""
    try:
        found = decode_frame(pack(header, plan.cut, plan.coded), codecs, limits=OF_WRITERS)
    except BfncodecError as error:
        raise OutputError(f"what was made does not decode ({error}): keep the data, and please report this") from error
    if not same_content(found, content):
        raise OutputError("what was made does not decode to what was given: keep the data, and please report this")


# ---- decoding ---------------------------------------------------------------------------------


def is_stream_of_bytes(window: bytes) -> bool:
    """Return whether a file that begins like this is a long one of bytes or text, and neither a folder nor of arrays.

    window: the first bytes, some kilobytes, which is more than the head of a file of mere bytes has.
    """
    try:
        flags = read_start(window)
        if flags >> 5 == SEGMENTED:
            return is_joinable(read_head_of(Reader(window, 3), flags, Limits()).header)
    except FormatError:
        return False
    return is_long_joinable(window)


def check_stream(reader: StreamReader, limits: Limits) -> int:
    """Return the bytes of a file of bytes or text, once every checksum of its coded bytes held.

    Raises a FormatError where one does not; no model is needed.
    """
    return sum(segment.extent[0][1] - segment.extent[0][0] for _, segment in _segments(reader, limits))


def decode_stream(
    reader: StreamReader, codecs: CodecSource, progress: Progress | None = None, limits: Limits | None = None
) -> Iterator[bytes]:
    """Yield the content of a file of bytes or text, or of several one after the other, each segment when it is checked.

    Raises FormatErrors, when what was right so far has been yielded, and what the models raise; InputError for other
    content behind the first file.
    """
    limits, total = limits or Limits(), 0
    for header, segment in _segments(reader, limits):
        content = _decoded(header, segment, codecs, progress or silent)
        total += len(content)
        check_limit("bytes of output", total, limits.output, "output", "a larger --max-output")
        yield content


def _segments(reader: StreamReader, limits: Limits) -> Iterator[tuple[Header, Segment]]:
    """Yield all segments of all files, each with its file's header. Raises DamagedError for one that is not sound."""
    number, ends = 0, Ends(limits, _WINDOW)
    while start := reader.peek(3):
        number += 1
        begin = reader.offset
        if read_start(start) >> 5 == SEGMENTED:
            reader.forget()
            flags = reader.take(3, "a head")[2]
            head = read_head_of(reader, flags, limits, begin)
            _check_joinable(head.header, number, begin)
            found = _segmented(reader, head, limits)
        else:
            found = _compact(reader, ends.first(reader.ahead), number, limits)
        for place, (header, segment) in enumerate(found):
            if not segment.sound:
                raise DamagedError(f"segment {place + 1}: checksum mismatch of the coded bytes")
            yield header, segment
    if not number:
        raise NotOursError("expected a bfncodec file, found an empty one")


def _segmented(reader: StreamReader, head: Head, limits: Limits) -> Iterator[tuple[Header, Segment]]:
    return ((head.header, segment) for segment in read_segments(reader, head, limits))


def _compact(reader: StreamReader, end: int | None, number: int, limits: Limits) -> Iterator[tuple[Header, Segment]]:
    """Yield the segment of a compact file. end: where it ends, if that is not the end of all."""
    blob = reader.rest() if end is None else reader.take(end, "a file")
    reader.forget()
    frame = unpack(blob, limits)
    _check_joinable(frame.header, number, reader.offset - len(blob))
    yield frame.header, frame.segment(0, salvage=True)


def _check_joinable(header: Header, number: int, place: int) -> None:
    if not is_joinable(header):
        where = f"found another, from byte {place} on" if number > 1 else "found another"
        raise InputError(f"expected a file of bytes or text, {where}: only these are read a piece at a time")


def _decoded(header: Header, segment: Segment, codecs: CodecSource, progress: Progress) -> bytes:
    length = segment.extent[0][1] - segment.extent[0][0]
    entry = Entry(segment.method, segment.model, b"", 0, 0, 0)
    frame = Frame(header, Pieces((length,)), (entry,), (0,), lambda _: segment)
    ((_, content),) = decode(frame, codecs, progress)
    if isinstance(content, Exception):
        raise content
    return bytes(content)
