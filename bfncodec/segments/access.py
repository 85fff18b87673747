"""Content of files of bytes and text by position: only the segments that are touched are decoded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from bfncodec.codecs.sources import CodecSource
from bfncodec.errors import DamagedError, FormatError, InputError
from bfncodec.forks import cached_property
from bfncodec.format.concatenation import is_joinable, split
from bfncodec.format.container import unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.frame import SEGMENTED, Frame, read_start
from bfncodec.format.limits import Limits, check_limit
from bfncodec.format.sizes import check_memory
from bfncodec.format.wire import Source
from bfncodec.runtime.progress import silent
from bfncodec.segments.decode import decode

__all__ = ["Access", "access"]


@dataclass(frozen=True)
class Access:
    """Segments of a file of bytes or text, or of several one after the other, in the order of the content."""

    frames: tuple[Frame, ...]
    codecs: CodecSource
    limits: Limits

    @cached_property
    def _places(self) -> tuple[tuple[int, int], ...]:
        """Frame, and number in it, of each segment."""
        return tuple((n, number) for n, frame in enumerate(self.frames) for number in range(frame.cut.count))

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """Bytes at which segments begin, and the size of the content."""
        extents = (extent[0] for frame in self.frames for extent in frame.cut.extents)
        return tuple(accumulate((stop - start for start, stop in extents), initial=0))

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self._places)

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self.edges[-1]

    def number_at(self, position: int) -> int:
        """Return the number of the segment in which a byte of the content lies."""
        return bisect_right(self.edges, position) - 1

    def decoded(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the content of segments, from one number up to before another, each when it is checked.

        Several may be decoded at once, as many as their model takes. Raises FormatErrors and what models raise.
        """
        while first < last:
            n, number = self._places[first]
            count = min(last - first, self.frames[n].cut.count - number)
            yield from self._of_frame(self.frames[n], range(number, number + count))
            first += count

    def _of_frame(self, frame: Frame, numbers: range) -> Iterator[bytes]:
        largest = max((frame.cut.extents[number] for number in numbers), key=lambda extent: extent[0][1] - extent[0][0])
        check_memory(frame.header, frame.cut, largest, self.limits)
        for number, content in decode(replace(frame, wanted=numbers), self.codecs, silent):
            if isinstance(content, FormatError):
                raise frame.placed(content, number)
            yield bytes(content)


def access(blob: Source, codecs: CodecSource, limits: Limits) -> Access | None:
    """Return the segments of a file, of which nothing is decoded yet; None for one that is neither bytes nor text.

    Raises FormatErrors, InputError for other content among several files.
    """
    frames = _frames(blob, codecs, limits)
    if not all(is_joinable(frame.header) for frame in frames):
        if len(frames) == 1:
            return None
        raise InputError("several files one after the other: only files of bytes and text are read so")
    found = Access(frames, codecs, limits)
    check_limit("bytes of output", found.size, limits.output, "output")
    return found


def _frames(blob: Source, codecs: CodecSource, limits: Limits) -> tuple[Frame, ...]:
    """Return the frames of all files. An index at the end that fits from the beginning on is of one file alone."""
    if read_start(blob) >> 5 == SEGMENTED:
        try:
            return (_frame(blob, limits),)
        except DamagedError:
            if len(split(blob, limits)) == 1:
                raise
    return tuple(_frame(piece, limits) for piece in split(blob, limits))


def _frame(blob: Source, limits: Limits) -> Frame:
    return unpack(blob, limits, place=lambda *_: NOWHERE)
