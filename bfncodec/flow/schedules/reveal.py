"""Schedules of one complete step a dimension: lines of pictures, and streams of texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.flow.schedules.base import RevealSchedule
from bfncodec.forks import cached_property


@dataclass(frozen=True)
class Wavefront(RevealSchedule):
    """Pixels of an image, revealed along slanted lines: pixel (r, c) at step c + 2 r.

    Dimension d is pixel (d // width, d % width). There are width + 2 (height - 1) steps of at most
    min(height, (width + 1) // 2) pixels. Before its step a pixel sees every (r', c') with
    c' + 2 r' < c + 2 r: to its left, one row up as far as one column ahead, two rows up as far as
    three ahead. That is a raster-scan context, at a few thousand steps instead of one per pixel.

    Where the image is one column wide every second step is empty; an empty step costs nothing.

    >>> Wavefront(height=3, width=4).step_of.reshape(3, 4)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5],
           [4, 5, 6, 7]])
    >>> Wavefront(height=3, width=4).revealed(2)
    array([2, 4])
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"wavefront: expected at least 1x1 pixels, found {self.height}x{self.width}")

    @property
    def n_steps(self) -> int:
        return self.width + 2 * (self.height - 1)

    @property
    def dims(self) -> int:
        return self.height * self.width

    @cached_property
    def step_of(self) -> NDArray[np.int64]:
        rows = np.arange(self.height, dtype=np.int64)[:, None]
        columns = np.arange(self.width, dtype=np.int64)[None, :]
        return (columns + 2 * rows).reshape(-1)

    @cached_property
    def first_row(self) -> NDArray[np.int64]:
        """The row of the first pixel that each step reveals, int64 [n_steps]; a step reveals one pixel in each of some
        consecutive rows.
        """
        return np.clip((np.arange(self.n_steps, dtype=np.int64) - self.width + 2) // 2, 0, self.height)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Pixels that each step reveals, int64 [n_steps]."""
        last = np.minimum(np.arange(self.n_steps, dtype=np.int64) // 2, self.height - 1)
        return np.maximum(last + 1 - self.first_row, 0)

    @staticmethod
    def lag(row: int, column: int) -> int:
        """Return how many steps after a pixel its neighbour at a (row, column) offset is revealed; negative: before.

        >>> Wavefront.lag(-1, 1)
        -1
        """
        return column + 2 * row


@dataclass(frozen=True)
class Comb(RevealSchedule):
    """Symbols of a sequence, cut into streams of nearly equal length, each cut into teeth; all advance side by side.

    Stream k begins at symbol length k // streams and knows nothing of the others. Its teeth are S symbols long, and see
    what the others have revealed; the last one may be shorter, or missing where the stream is. Step i reveals the
    symbols of index i of all teeth of all streams, so there are S steps: those of the longest stream. A single tooth of
    a single stream is left-to-right autoregression; many streams of one tooth each are as many autoregressions side by
    side, which is what text files are.

    The place of a symbol is a *slot* (stream, tooth, index).

    >>> comb = Comb(length=7, teeth=3)
    >>> comb.n_steps, [comb.revealed(i).tolist() for i in range(comb.n_steps)]
    (3, [[0, 3, 6], [1, 4], [2, 5]])
    >>> Comb(length=7, streams=2).cut(bytes([1, 2, 3, 4, 5, 6, 7])).tolist()
    [[[1, 2, 3, 0]], [[4, 5, 6, 7]]]
    """

    length: int
    teeth: int = 1
    streams: int = 1

    def __post_init__(self) -> None:
        if self.length < 0 or self.teeth < 1 or self.streams < 1:
            raise ValueError(
                f"comb: expected length >= 0, teeth >= 1 and streams >= 1, "
                f"found {self.length}, {self.teeth} and {self.streams}"
            )

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """The first symbol of each stream, and the length, int64 [streams + 1]."""
        return np.array([self.length * k // self.streams for k in range(self.streams + 1)], np.int64)

    @cached_property
    def tooth_length(self) -> int:
        """Symbols of a full tooth, S."""
        return -(-int(np.diff(self.edges).max()) // self.teeth)

    @property
    def n_steps(self) -> int:
        return self.tooth_length

    @property
    def dims(self) -> int:
        return self.length

    @cached_property
    def step_of(self) -> NDArray[np.int64]:
        offset = np.arange(self.length, dtype=np.int64) - np.repeat(self.edges[:-1], np.diff(self.edges))
        return offset % max(self.tooth_length, 1)

    @cached_property
    def tooth_of(self) -> NDArray[np.int64]:
        """The tooth of each symbol in its stream, int64 [length]."""
        offset = np.arange(self.length, dtype=np.int64) - np.repeat(self.edges[:-1], np.diff(self.edges))
        return offset // max(self.tooth_length, 1)

    def exists(self, steps: int) -> NDArray[np.bool_]:
        """Slots of the first `steps` steps that hold a symbol, bool [streams, teeth, steps]."""
        place = np.arange(self.teeth)[:, None] * self.n_steps + np.arange(steps)
        inside = (place < np.diff(self.edges)[:, None, None]) & (np.arange(steps) < self.n_steps)
        return np.asarray(inside)

    def cut(self, symbols: bytes, steps: int = 0) -> NDArray[np.uint8]:
        """The symbols by slots, uint8 [streams, teeth, S or `steps`]; zeros where there is none."""
        found = np.zeros((self.streams, self.teeth, max(steps, self.n_steps)), np.uint8)
        for stream, start, end in zip(found, self.edges, self.edges[1:], strict=False):
            padded = np.zeros(self.teeth * self.n_steps, np.uint8)
            padded[: end - start] = np.frombuffer(symbols, np.uint8, end - start, start)
            stream[:, : self.n_steps] = padded.reshape(self.teeth, self.n_steps)
        return found

    def join(self, slots: NDArray[np.uint8]) -> bytes:
        """Inverse of `cut`. slots: uint8 [streams, teeth, S or more]"""
        parts = slots[:, :, : self.n_steps].reshape(len(slots), -1)
        return b"".join(part[:count].tobytes() for part, count in zip(parts, np.diff(self.edges), strict=True))
