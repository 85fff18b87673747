"""A compiled kernel of the places of pixels: `Front.pixels`, which takes longer than a network where images are small.

All numbers equal those of :mod:`bfncodec.networks.convnet.front`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bfncodec.flow.schedules.reveal import Wavefront
from bfncodec.networks.convnet.config import REACH
from bfncodec.networks.convnet.front import Front, StepPixels
from bfncodec.networks.stored import LARGEST
from bfncodec.runtime.arrays import Array, Ints
from bfncodec.runtime.jit import compiled

LAG = Wavefront.lag(1, 0)
NEAR, NONE = np.int8(LARGEST), np.int8(0)


class Fields(NamedTuple):
    """Numbers that places are told from: those of a `Front`, and of each image."""

    rows: int
    value_cells: int
    cells: int
    width: Ints  # [images]
    start: Ints  # [images]
    top: Ints  # [images]


class Places(NamedTuple):
    """The fields of `StepPixels` of these names."""

    line: Ints
    place: Ints
    ends: Array
    flags: Array
    value_cell: Ints
    cell: Ints


class CompiledFront(Front):
    """A front that finds places by a kernel, but for `StepPixels.near`, which kernels find themselves."""

    def pixels(self, first: int, last: int) -> StepPixels:
        """Implements `Front.pixels`."""
        lines = self.lines
        counts, above = (np.ascontiguousarray(part[first:last]) for part in (lines.counts, lines.first))
        count = int(counts.sum())
        fields = Fields(self.rows, self.value_cells, self.cells, lines.width, lines.start, self.top)
        line, place, value_cell, cell = (np.empty(count, np.int64) for _ in range(4))
        ends, flags = np.empty((2, count), np.bool_), np.empty((count, 3 * REACH), np.int8)
        _find_places(fields, first, counts, above, Places(line, place, ends, flags, value_cell, cell))
        beside = self.beside(np.arange(first, last)[:, None], above)
        return StepPixels(counts, line, place, ends, flags, value_cell, cell, beside, ())


@compiled
def _find_places(fields: Fields, first: int, counts: Ints, above: Ints, found: Places) -> None:
    """Find the places of all pixels of lines from `first` on. counts, above: as `Lines` has them, [lines, images]"""
    n = np.int64(0)
    for t in range(len(counts)):
        line = first + t
        value_top, top = line * fields.rows % fields.value_cells, line * fields.rows % fields.cells
        for i in range(counts.shape[1]):
            for row in range(above[t, i], above[t, i] + counts[t, i]):
                column, width = line - LAG * row, fields.width[i]
                right = width - 1 - column
                found.line[n], found.place[n] = line, fields.start[i] + row * width + column
                found.ends[0, n], found.ends[1, n] = column == 0, right == 0
                for d in range(REACH):
                    found.flags[n, d] = NEAR if row <= d else NONE
                    found.flags[n, REACH + d] = NEAR if column <= d else NONE
                    found.flags[n, 2 * REACH + d] = NEAR if right <= d else NONE
                found.value_cell[n], found.cell[n] = value_top + fields.top[i] + row, top + fields.top[i] + row
                n += 1
