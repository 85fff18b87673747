"""The pixels that steps of the wavefront reveal, and the cells that the latest lines of images are kept in.

A network works on some lines of the wavefront at a time: one when decoding, many when encoding. What it still needs of
earlier lines, pixel values and the features of every layer, is kept in *cells*: one for each row of each image and each
of the last lines, which wrap around. A pixel's neighbours lie at fixed distances from its cell, so images of any sizes
go side by side, and memory does not grow with their width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.flow.schedules.reveal import Wavefront
from bfncodec.networks.convnet.config import BLOCK_TAPS, INPUT_TAPS, OUTSIDE, REACH, ConvNetConfig
from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.arrays import Bytes, Ints

MOST_CELLS = 1 << 17  # cells of the lines a network sees at once, where that is more than one line
WORD = 4  # bytes of a pixel in its cell, so that it is read as one number: R, G, B and one without meaning
INPUT_LINES = 4 * REACH  # lines before and behind those at hand that `INPUT_TAPS` read and `reveal` writes
BLOCK_LINES = 3  # that `BLOCK_TAPS` look back, for a dilation of 1
_NEAR = np.arange(1, REACH + 1)


@dataclass(frozen=True)
class StepPixels:
    """The pixels that some steps reveal: step by step, in a step image by image, by increasing row. n of them.

    Attributes
    ----------
    counts
        Number of pixels, int64 [steps, images].
    line
        The step that reveals each pixel, int64 [n].
    place
        Number among the pixels of all images: image after image, row by row. int64 [n]
    ends
        True where a pixel is the first, the last of its row, bool [2, n].
    flags
        Distances to the borders (see `convnet.model.edge_flags`) times 127, int8 [n, 9].
    value_cell, cell
        Cells that keep the pixel's values, its features, int64 [n] each.
    beside
        Cells right of the images that convolutions read at these steps, and that are to hold zeros. int64 [steps, m]
    near
        Cells of the features that convolutions read, for every dilation, int64 [n, 5] each.
    """

    counts: Ints
    line: Ints
    place: Ints
    ends: NDArray[np.bool_]
    flags: NDArray[np.int8]
    value_cell: Ints
    cell: Ints
    beside: Ints
    near: tuple[Ints, ...]

    def line_by_line(self) -> Iterator[StepPixels]:
        """The pixels of each step on their own, for steps that have any."""
        start = 0
        for i, end in enumerate(self.counts.sum(1).cumsum().tolist()):
            if start < end:
                at = slice(start, end)
                yield StepPixels(
                    self.counts[i : i + 1],
                    self.line[at],
                    self.place[at],
                    self.ends[:, at],
                    self.flags[at],
                    self.value_cell[at],
                    self.cell[at],
                    self.beside[i : i + 1],
                    tuple(near[at] for near in self.near),
                )
            start = end


@dataclass(frozen=True)
class Lines:
    """The wavefronts of several images that go side by side: line i holds what step i reveals of each.

    width: of each image, int64 [images]; start: pixels of the images before, [images]; first: the row of the first
    pixel of each line, int64 [lines, images], and the height behind an image's last line; counts: the number of its
    pixels, [lines, images].
    """

    width: Ints
    start: Ints
    first: Ints
    counts: Ints

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]]) -> Lines:
        """The lines of images of these (height, width)."""
        schedules = {size: Wavefront(*size) for size in dict.fromkeys(sizes)}
        length = max(schedule.n_steps for schedule in schedules.values())
        first = np.tile(np.array([height for height, _ in schedules], np.int64), (length, 1))
        counts = np.zeros_like(first)
        for k, schedule in enumerate(schedules.values()):
            first[: schedule.n_steps, k], counts[: schedule.n_steps, k] = schedule.first_row, schedule.counts
        number = {size: k for k, size in enumerate(schedules)}
        column = [number[size] for size in sizes]
        area = np.array([height * width for height, width in sizes], np.int64)
        width = np.array([width for _, width in sizes], np.int64)
        return cls(width, np.cumsum(area) - area, first[:, column], counts[:, column])

    def ranges(self, block: int, most: int, within: tuple[int, int]) -> list[tuple[int, int]]:
        """Ranges [first, last) of lines that hold about `block` pixels, of at most `most` lines or one; within some."""
        ends = [0, *np.cumsum(self.counts.sum(1)).tolist()]
        found, (first, stop) = [], within
        for line in range(first + 1, stop + 1):
            if line == stop or line - first >= most or ends[line + 1] - ends[first] > block:
                if ends[line] > ends[first]:  # in an image one pixel wide every other line is empty
                    found.append((first, line))
                first = line
        return found


def memory(config: ConvNetConfig) -> int:
    """Return how many lines before its own p_O of a pixel depends on: those whose values the first layer reads, and in
    every block those whose features the convolution does.
    """
    return INPUT_LINES + BLOCK_LINES * sum(config.dilation(i) for i in range(config.blocks))


def parts_of(config: ConvNetConfig, within: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Return the lines to work on for those that are wanted, [first, last), None for all: first what these need."""
    return [] if within is None else [(max(0, within[0] - memory(config)), within[0]), within]


class Front:
    """The cells that the latest lines of images are kept in.

    A line has a cell for every row of every image, and the lines lie behind each other, the latest over the oldest::

        line (step)   cells of image 0        cells of image 1
                      ·  r0  r1  r2  ·        ·  r0  r1  ·       . . . . line i - 2
                      ·  r0  r1  r2  ·        ·  r0  r1  ·       . . . . line i - 1
                      ·  r0  r1  r2  ·        ·  r0  r1  ·       . . . . line i

    Pixel (r, c) is on line c + 2 r, see :class:`bfncodec.flow.Wavefront`. So the pixel to its left is in the
    cell above it in this table, the one above it one cell to the left and two lines up: each neighbour at a distance
    that is the same for all pixels of all images. Cells that are no row of an image (·) and those of pixels outside
    hold what convolutions are to read there.

    sizes: (height, width) of each image; block: pixels to be had at once; single: whether one line at a time is worked
    on, so that only those before need cells; dilations: of the convolutions; keep: the cells of all lines; parts:
    ranges of lines that are worked on, between which blocks end, none for all.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool,
        dilations: Sequence[int],
        keep: bool = False,
        parts: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.lines, self.reach = Lines.of(sizes), max((REACH, *dilations))
        # Above each image there are rows that hold nothing; below it one that nobody reads, where `reveal` may write.
        height = np.array([height for height, _ in sizes], np.int64)
        ends = np.cumsum(height + self.reach + 1)
        self.rows, self.top = int(ends[-1]), ends - height - 1
        every = len(self.lines.counts)
        most = MOST_CELLS // self.rows
        self.blocks = [found for part in parts or [(0, every)] for found in self.lines.ranges(block, most, part)]
        together = every if keep else 1 if single else max(last - first for first, last in self.blocks)
        self.value_cells = (together + INPUT_LINES) * self.rows
        self.cells = (together + BLOCK_LINES * max(dilations, default=0)) * self.rows
        self.taps = [self.distances(BLOCK_TAPS, d) for d in dilations]

    def pixels(self, first: int, last: int) -> StepPixels:
        """The pixels of lines [first, last)."""
        counts, above = self.lines.counts[first:last], self.lines.first[first:last]
        lines = np.arange(first, last)[:, None]
        many = counts.reshape(-1)
        piece = np.repeat(np.arange(many.size), many)  # line and image of each pixel

        def own(of_piece: Ints) -> Ints:
            found: Ints = np.broadcast_to(of_piece, counts.shape).reshape(-1)[piece]
            return found

        row = np.arange(piece.size) + (above.reshape(-1) + many - many.cumsum())[piece]
        line, width = own(lines), own(self.lines.width)
        column = line - Wavefront.lag(1, 0) * row
        right = width - 1 - column
        flags = (np.stack([row, column, right], 1)[:, :, None] < _NEAR).reshape(-1, 3 * REACH)
        cell = own(lines * self.rows % self.cells + self.top) + row
        return StepPixels(
            counts,
            line,
            place=own(self.lines.start) + row * width + column,
            ends=np.stack([column == 0, right == 0]),
            flags=flags.astype(np.int8) * np.int8(LARGEST),
            value_cell=own(lines * self.rows % self.value_cells + self.top) + row,
            cell=cell,
            beside=self.beside(lines, above),
            near=tuple(self._around(cell[:, None] + taps) for taps in self.taps),
        )

    def beside(self, lines: Ints, above: Ints) -> Ints:
        """Return `StepPixels.beside` of some lines, [lines, 1]. above: `Lines.first` of them, [lines, images]"""
        first = lines * self.rows % self.cells + self.top + above
        found: Ints = (first[..., None] - np.arange(1, (self.reach + 1) // 2 + 1)).reshape(len(lines), -1)
        return found

    def _around(self, cell: Ints) -> Ints:
        """Return cells, of which those before the first are counted from the last: what % takes longer for."""
        cell += self.cells * (cell < 0)
        return cell

    def distances(self, taps: Sequence[tuple[int, int]], dilation: int = 1) -> Ints:
        """Distances from a pixel's cell to those of its neighbours at (row, column) offsets, int64 [taps]; behind the
        last cell comes the first.
        """
        return np.array([(Wavefront.lag(row, column) * self.rows + row) * dilation for row, column in taps])


class RevealedPixels:
    """The values of some images that are revealed so far, in cells.

    sizes, block, single, dilations, keep, parts: see `Front`, of which `kind` is the class.
    """

    kind: type[Front] = Front

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool,
        dilations: Sequence[int] = (),
        keep: bool = False,
        parts: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.single, self.front = single, self.kind(sizes, block, single, dilations, keep, parts)
        self.values = np.full((self.front.value_cells, WORD), OUTSIDE, np.uint8).view(np.int32)[:, 0]
        self.inputs = self.front.distances(INPUT_TAPS)[:, None]

    def blocks(self) -> Iterator[StepPixels]:
        """All pixels, as many at a time as `start` was asked for, for `predict` and `reveal`."""
        for first, last in self.front.blocks:
            pixels = self.front.pixels(first, last)
            yield from pixels.line_by_line() if self.single else (pixels,)

    def reveal(self, pixels: StepPixels, values: Bytes) -> None:
        """Observe pixels: the receiver's update. values: uint8 [n, 3] RGB, or [n, 1] grey, which is three equal
        channels.

        With the pixels at their ends rows get their surroundings, see `convnet.model.pad_known`.
        """
        words = np.full((len(values), WORD), OUTSIDE, np.uint8)
        words[:, :3] = values
        word, rows = words.view(np.int32), self.front.rows
        self.values[pixels.value_cell] = word[:, 0]
        left_of_next, right = np.array([1 - rows, 1, 1 + rows]), np.array([rows, 2 * rows, 3 * rows])
        for ends, cells in zip(pixels.ends, (left_of_next, right), strict=True):
            end = ends.nonzero()[0]
            self.values[(pixels.value_cell[end, None] + cells) % self.front.value_cells] = word[end]
