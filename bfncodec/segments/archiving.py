"""Items to the segments of an archive, and to those of one that is added to.

:class:`ItemWriter` is the encoder; :func:`bfncodec.segments.assemble.decode_items` its decoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from bfncodec.codecs.sources import CodecSource
from bfncodec.content.items import Whole
from bfncodec.errors import InputError
from bfncodec.format import lzmaraw
from bfncodec.format.checks import crc32
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.frame import Coded, Frame
from bfncodec.format.header import Header
from bfncodec.format.items import MOST_BYTES, counts_of, model_of, write_counts, write_row
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.modelnames import ModelName, read_names, write_names
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.format.wire import Source
from bfncodec.segments.encode import names_of
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

__all__ = ["ItemWriter"]

_MOST_ITEMS = 4096  # in a segment: as many sizes are read to find one
_EVEN = 200  # one in so many pairs of bytes is of equal ones, at most, in what is coded; 256 in random bytes


class ItemWriter:
    """Writer of compressed files as the items of an archive, in segments as they fill, then its index.

    write: takes bytes that follow each other. whole: what the items are together. codecs: for the names of models.
    """

    def __init__(
        self, write: Callable[[bytes], object], whole: Whole, codecs: CodecSource, policy: Policy = DEFAULT_POLICY
    ) -> None:
        value = bytes([whole]) if whole else b""
        self._begin(SegmentWriter(write, Header(Kind.BYTES, extras=(Extra(Tag.ITEMS, value),))), codecs, policy)

    @classmethod
    def after(
        cls,
        write: Callable[[bytes], object],
        blob: Source,
        frame: Frame,
        codecs: CodecSource,
        policy: Policy = DEFAULT_POLICY,
    ) -> ItemWriter:
        """Return a writer of what follows the last segment of an archive."""
        writer, end = cls.__new__(cls), frame.entries[-1].end
        later = frame.header.without(Tag.MODELS, Tag.COUNTS).split()[1]
        writer._begin(SegmentWriter.after(write, frame, blob[end - 4 : end], later), codecs, policy)
        writer._counts = list(counts_of(frame.header, frame.cut) or ())
        writer._known = list(read_names(frame.header))
        return writer

    def _begin(self, writer: SegmentWriter, codecs: CodecSource, policy: Policy) -> None:
        self._writer, self.codecs, self._policy = writer, codecs, policy
        self._counts, self._known, self._models = list[int](), list[ModelName](), set[bytes]()
        self._files, self._names, self._size = list[bytes](), list[str](), 0

    def add(self, file: bytes, name: str | None = None) -> None:
        """Add an item. name: of all items or of none. Raises InputError for one that is too large."""
        if len(file) > MOST_BYTES:
            raise InputError(f"expected an item of at most {MOST_BYTES} bytes, found {len(file)}: compress it alone")
        if self._size + len(file) > self._policy.items_segment:
            self._flush()
        self._files.append(file)
        self._names += [] if name is None else [name]
        self._size += len(file)
        self._models.add(model_of(file))
        if len(self._files) == _MOST_ITEMS:
            self._flush()

    def add_stack(self, file: bytes, count: int, models: set[bytes]) -> None:
        """Add the rows of a compressed array as items of a segment of their own. models: that code it."""
        self._flush()
        self._models |= models
        self._write(write_row([file], stack=count), count)

    def finish(self) -> None:
        """Write the index. Raises InputError where there are no items."""
        self._flush()
        if not self._counts:
            raise InputError("expected items, found none")
        new = names_of(self._models - {b""}, self.codecs)
        names = [*self._known, *(name for name in new if name not in self._known)]
        self._writer.finish([write_counts(self._counts), *([write_names(names)] if names else [])])

    def _flush(self) -> None:
        if self._files:
            self._write(write_row(self._files, self._names or None), len(self._files))
        self._files, self._names, self._size = [], [], 0

    def _write(self, row: bytes, count: int) -> None:
        self._writer.add(_coded(row), len(row))
        self._counts.append(count)


def _coded(row: bytes) -> Coded:
    """Return a row stored, or as LZMA where that is smaller; what is coded already is not tried."""
    equal = sum(number * number for number in Counter(row).values())
    squeezed = lzmaraw.pack(row) if _EVEN * equal > len(row) ** 2 else row
    smaller = len(squeezed) < len(row)
    return Coded(Method.LZMA if smaller else Method.STORED, squeezed if smaller else row, crc32(row))
