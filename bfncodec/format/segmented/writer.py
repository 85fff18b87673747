"""The writer of a segmented file, which goes on as segments come."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bfncodec.format.cuts import Grid, Pieces
from bfncodec.format.extras import Extra
from bfncodec.format.frame import Coded, Frame
from bfncodec.format.header import Header
from bfncodec.format.segmented.head import write_start
from bfncodec.format.segmented.index import Row, write_index
from bfncodec.format.segmented.segment import next_link, write_segment_head


class SegmentWriter:
    """Writer of the segments of a file as they come, then of the index.

    write: takes bytes that follow each other. header: its extras that a reader may skip go into the index. grid: of a
    picture.
    """

    def __init__(self, write: Callable[[bytes], object], header: Header, grid: Grid | None = None) -> None:
        header, self._later = header.split()
        self._write, self._rows, self._model = write, list[Row](), b""
        self._sized = grid is None
        self._link = write_start(header, grid)
        write(self._link)

    @classmethod
    def after(
        cls, write: Callable[[bytes], object], frame: Frame, link: bytes, later: Iterable[Extra]
    ) -> SegmentWriter:
        """Return a writer of what follows the last segment of a file.

        link: the last four bytes of that segment. later: extras for the index.
        """
        writer = cls.__new__(cls)
        writer._write, writer._link, writer._later = write, link, tuple(later)
        writer._sized = isinstance(frame.cut, Pieces)
        lengths = frame.cut.lengths if isinstance(frame.cut, Pieces) else [0] * len(frame.entries)
        writer._rows = [
            Row(entry.method, entry.model, entry.stop - entry.start, length)
            for entry, length in zip(frame.entries, lengths, strict=True)
        ]
        writer._model = next((row.model for row in reversed(writer._rows) if row.model), b"")
        return writer

    @property
    def count(self) -> int:
        """Number of segments so far."""
        return len(self._rows)

    @property
    def models(self) -> set[bytes]:
        """Identities of the models of the segments so far."""
        return {row.model for row in self._rows if row.model}

    def add(self, coded: Coded, length: int = 0) -> None:
        """Write a segment. length: bytes of its content, 0 of a tile."""
        self._rows.append(Row(coded.method, coded.model, len(coded.payload), length))
        head = write_segment_head(coded.method, coded.model, len(coded.payload), self._model)
        self._model = coded.model or self._model
        content = coded.crc.to_bytes(4, "little")
        link = next_link(self._link, head, coded.payload, content)
        for part in (head, coded.payload, content, link):
            self._write(part)
        self._link = link

    def finish(self, extras: Iterable[Extra] = ()) -> None:
        """Write the index. extras: further ones that a reader may skip."""
        self._write(write_index(self._rows, [*self._later, *extras], self._sized, self._link))
