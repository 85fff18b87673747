"""Compiled kernels that read lines of pixels from range codes, many lines in a call.

All values are those of `CompiledPrediction.channel`, `high` and `low` of its mixture, `RangeDecoder.decode_rows`,
`condition` and `RevealedPixels.reveal`, called by turns. A nibble is found among the edges of its distribution: of one
code among all sixteen at once, those of high nibbles found beforehand, by whichever thread describes the pixel, so that
the coder waits for little but its own divisions. Codes of many images are read side by side, sixteen in the lanes of a
register, by bisection, so that four of sixteen edges are computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bfncodec.coding.cdf import NIBBLE
from bfncodec.coding.rangecoder import PRECISION, Codes
from bfncodec.networks.convnet.distributions import (
    CONDITIONS,
    Components,
    Head,
    HeadWork,
    Tables,
    Trunk,
    coarse,
    components_of,
    describe,
    difference,
    enter,
)
from bfncodec.networks.convnet.front import WORD, StepPixels
from bfncodec.networks.convnet.layers import Cells, Positions, Weights, Workspace, clear, pass_through
from bfncodec.networks.convnet.sharing import (
    CHANNEL,
    EACH,
    LINE,
    begin,
    dismiss,
    dismissed,
    finish,
    is_done,
    publish,
    take,
    wait,
)
from bfncodec.networks.kernels import COLUMNS
from bfncodec.networks.products import prepare, release
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import compiled, inlined, written
from bfncodec.runtime.lines import aligned

U24, U32 = np.uint64(PRECISION), np.uint64(32)
# Images that are read side by side: the fewest for which that is faster, the most, and the most pixels of a line of
# each, which stay in the caches.
FEW, MOST_LANES, MOST_PIXELS = 6, 64, 256

fill = written("bfncodec.networks.convnet.instructions", "fill")
read_high = written("bfncodec.networks.convnet.instructions", "read_high")
read_low = written("bfncodec.networks.convnet.instructions", "read_low")
high_edges = written("bfncodec.networks.convnet.instructions", "high_edges")
low_edges = written("bfncodec.networks.convnet.instructions", "low_edges")
high_nibble = written("bfncodec.networks.convnet.instructions", "high_nibble")
low_nibble = written("bfncodec.networks.convnet.instructions", "low_nibble")


class Line(NamedTuple):
    """Room for a line of at most n pixels, of C channels."""

    trunk: Trunk
    errors: Floats32  # differences of channels that others are conditioned on, [CONDITIONS, n]
    found: Components  # of the channel that is read
    edges: Ints32  # of the high nibbles, then of the low ones, see `instructions.high_edges`, [n, NIBBLE]
    values: Bytes  # [n, C]


class Lanes(NamedTuple):
    """Room for a channel of a line of L images that are read side by side, at most S pixels of each."""

    state: Array  # lower and width of the interval, and the point in it, of each code, uint64 [3, L]
    counts: Ints32  # pixels of each image, [L]
    weight: Ints32  # `Components` of the pixels, [S, K, L]
    mean: Floats32
    inverse: Floats32
    symbol: Ints32  # what was read, [S, L]
    below: Ints32  # the distribution at the edges of the high nibbles that were read, [2, S, L]
    first: Ints32  # the first pixel of each image in the line, [L]


class Lines(NamedTuple):
    """The pixels of some lines, see `StepPixels`."""

    edges: Ints  # first pixel of each line, and the number of all, [lines + 1]
    counts: Ints  # [lines, images]
    place: Ints  # [n]
    ends: Array  # bool [2, n]
    beside: Ints  # [lines, m]
    pixels: Positions

    @classmethod
    def of(cls, pixels: StepPixels, positions: Positions) -> Lines:
        """Return the pixels of some steps line by line. positions: of the same"""
        edges = np.append(0, pixels.counts.sum(1).cumsum())
        counts = np.ascontiguousarray(pixels.counts)  # of small and of large pictures: they have the same kernel
        return cls(edges, counts, pixels.place, pixels.ends, pixels.beside, positions)


class Reading(NamedTuple):
    """All that pixels are read with, whatever lines."""

    weights: Weights
    heads: tuple[Head, ...]
    cells: Cells
    known: Bytes  # values in the cells, [cells, WORD]
    rows: int  # cells of a line
    order: Ints  # the channel that is coded k-th, [C]
    line: Line
    lanes: Lanes
    work: Workspace
    room: HeadWork


def line_of(count: int, width: int, mixtures: int, channels: int) -> Line:
    """Return room for lines of at most so many pixels of a network of some width."""
    trunk = Trunk(np.empty((count, WORD), np.int16), np.empty((count, 3 * width), np.float32))
    errors = np.zeros((CONDITIONS, count), np.float32)
    edges = aligned((count, NIBBLE), np.int32)
    return Line(trunk, errors, components_of(count, mixtures), edges, np.zeros((count, channels), np.uint8))


def lanes_of(images: int, most: int, mixtures: int) -> Lanes:
    """Return room for images of which a line has so many pixels at most; none where side by side is no faster."""
    count = min(-(-images // COLUMNS) * COLUMNS, MOST_LANES) if images >= FEW and most <= MOST_PIXELS else 0
    weight, symbol = aligned((most, mixtures, count), np.int32), aligned((most, count), np.int32)
    mean, inverse = (aligned(weight.shape, np.float32) for _ in range(2))
    state, below = aligned((3, count), np.uint64), aligned((2, *symbol.shape), np.int32)
    return Lanes(state, np.zeros(count, np.int32), weight, mean, inverse, symbol, below, np.zeros(count, np.int32))


@compiled
def read_lines(reading: Reading, lines: Lines, codes: Codes, values: Bytes, board: Ints, leads: bool) -> bool:
    """Read some lines, or help the thread that does until it has read them. Returns whether an encoder may have written
    the codes.

    values: of all pixels, at their places, uint8 [all, C], are filled; board: see `sharing`; leads: whether this is the
    thread that reads nibbles, whose `Reading` others share but for `work` and `room`.
    """
    prepare(reading.weights.input.panels)
    fine: bool = _lead(reading, lines, codes, values, board) if leads else _take_part(reading, lines, board, True)
    release(reading.weights.input.panels)
    return fine


@compiled
def _lead(reading: Reading, lines: Lines, codes: Codes, values: Bytes, board: Ints) -> bool:
    """Read some lines, while others may take part. Returns whether an encoder may have written the codes."""
    fine, each = True, np.int64(0)
    line, heads, order, together = reading.line, reading.heads, reading.order, len(reading.work.unit)
    for t in range(len(lines.counts)):
        clear(reading.cells, lines.beside[t])
        count = lines.edges[t + 1] - lines.edges[t]
        for k in range(len(order) + 1):  # while a channel is read, the next one is described
            more = k < len(order)
            if more:
                each = begin(board, t, k, count, together)
            if k == 0:
                publish(board, -(-count // each))
            elif fine:
                own = line.values[:, order[k - 1]]
                fine = _read_channel(reading, heads[k - 1].tables, codes, lines.counts[t], own, each, board, more)
            if more and fine:
                _take_part(reading, lines, board, False)
        if not fine:
            break
        _reveal(reading, lines, t, values)
    dismiss(board)
    return fine


@compiled
def _take_part(reading: Reading, lines: Lines, board: Ints, helps: bool) -> bool:
    """Do parts of jobs: of one, which is published as a whole, until it is done, or, who helps, of all to come. Returns
    True.
    """
    together, looks = len(reading.work.unit), np.int64(0)
    while not (dismissed(board) if helps else is_done(board)):
        part = take(board)
        if part < 0:
            looks = wait(looks)
            continue
        t, each = board[LINE], board[EACH]
        end = min((part + 1) * each, lines.edges[t + 1] - lines.edges[t])
        for start in range(part * each, end, together):
            rows = min(together, end - start)
            _predict(reading, lines.pixels, lines.edges[t], start, rows, board[CHANNEL])
        finish(board)
        looks = np.int64(0)
    return True


@compiled
def _predict(reading: Reading, pixels: Positions, first: int, start: int, rows: int, k: int) -> None:
    """Find what the k-th channel is like of some pixels, from `start` on in a line that begins at `first`."""
    line, heads, end = reading.line, reading.heads, start + rows
    trunk = Trunk(line.trunk.base[start:end], line.trunk.hidden[start:end])
    width = trunk.hidden.shape[1] // len(heads)
    if k == 0:
        pass_through(reading.weights, reading.cells, pixels, first + start, reading.work, trunk, rows)
    else:
        before, error = reading.order[k - 1], line.errors[k - 1, start:end]
        difference(line.values[start:end, before], trunk.base[:, before], error)
        enter(heads[k - 1].entering, error, trunk.hidden, k * width)
    base = trunk.base[:, reading.order[k]]
    describe(heads[k], trunk.hidden, k, base, line.errors, reading.room, line.found, start)
    if len(reading.lanes.counts) == 0:
        for n in range(start, end):
            high_edges(line.found, n, heads[k].tables.logistic, line.edges)


@compiled
def _read_channel(
    reading: Reading, tables: Tables, codes: Codes, counts: Ints, values: Bytes, each: int, board: Ints, more: bool
) -> bool:
    """Read a channel of a line, image after image or many side by side: of each first the high nibbles, then the low
    ones, with which parts of so many pixels are known, and published if there are more channels.
    """
    line, lanes, images = reading.line, reading.lanes, len(counts)
    end, whole, i = np.int64(0), np.int64(0), np.int64(0)
    for k in range(images):
        whole += counts[k]
    while i < images:
        start, many = end, np.int64(1)
        if len(lanes.counts) > 0:
            many = min(np.int64(len(lanes.counts)), images - i)
            if not _read_side_by_side(line.found, lanes, tables, codes, i, counts[i : i + many], values[start:], start):
                return False
        for k in range(i, i + many):
            end += counts[k]
        if len(lanes.counts) == 0 and not _read_high(line, codes, i, values, start, end):
            return False
        while start < end:
            stop = min(end, (start // each + 1) * each)
            if len(lanes.counts) == 0 and not _read_low(line, tables, codes, i, values, start, stop):
                return False
            if more and (stop % each == 0 or stop == whole):
                publish(board, 1)
            start = stop
        i += many
    return True


@compiled
def _read_side_by_side(
    parts: Components, lanes: Lanes, tables: Tables, codes: Codes, i: int, counts: Ints, values: Bytes, start: int
) -> bool:
    """Read a channel of a line of some images, from the i-th on, one pixel of each at a time, to `values`. Returns
    whether an encoder may have written it. start: the first pixel of the first one in the line.
    """
    most = _begin_lanes(parts, lanes, codes, i, counts, start)
    for step in range(2):
        for s in range(most):
            for j in range(0, len(counts), COLUMNS):
                told = read_high(lanes, s, j, tables.logistic) if step == 0 else read_low(lanes, s, j, tables.logistic)
                if told >> COLUMNS:
                    return False
                if told:
                    _refill(lanes, codes, i, j, told)
    n = np.int64(0)
    for j in range(len(counts)):
        for s in range(counts[j]):
            values[n] = lanes.symbol[s, j]
            n += 1
        for k in range(len(lanes.state)):
            codes.state[i + j, k] = lanes.state[k, j]
    return True


@compiled
def _begin_lanes(parts: Components, lanes: Lanes, codes: Codes, i: int, counts: Ints, start: int) -> Any:
    """Fill lanes with what pixels are read with. Returns the most pixels of an image."""
    n, most = start, np.int64(0)
    for j in range(len(lanes.counts)):
        used = j < len(counts)
        lanes.counts[j] = counts[j] if used else 0
        for k in range(len(lanes.state)):
            lanes.state[k, j] = codes.state[i + j, k] if used else np.uint64(k % 2)
        lanes.first[j] = n
        n += lanes.counts[j]
        most = max(most, np.int64(lanes.counts[j]))
    for s in range(most):
        for j in range(0, len(counts), COLUMNS):
            fill(lanes, parts, s, j)
    return most


@compiled
def _refill(lanes: Lanes, codes: Codes, i: int, first: int, which: int) -> None:
    """Take a word more of each code whose interval has become narrow, as bits say of lanes from `first` on."""
    for k in range(COLUMNS):
        if which >> k & 1:
            j = first + k
            at = np.int64(codes.state[i + j, 3])
            word = np.uint64(codes.words[at] if at < codes.ends[i + j] else 0)
            lanes.state[0, j] <<= U32
            lanes.state[1, j] <<= U32
            lanes.state[2, j] = (lanes.state[2, j] << U32) | word
            codes.state[i + j, 3] = np.uint64(at + 1)


@compiled
def _reveal(reading: Reading, lines: Lines, t: int, values: Bytes) -> None:
    """`RevealedPixels.reveal` of a line, and its values at their places."""
    known, rows, read = reading.known, reading.rows, reading.line.values
    first, count, channels = lines.edges[t], lines.edges[t + 1] - lines.edges[t], read.shape[1]
    for n in range(count):
        cell, place = lines.pixels.value_cell[first + n], lines.place[first + n]
        for c in range(WORD - 1):
            known[cell, c] = read[n, min(c, channels - 1)]
        for c in range(channels):
            values[place, c] = read[n, c]
    for side in range(2):
        for n in range(count):
            if lines.ends[side, first + n]:
                cell = lines.pixels.value_cell[first + n]
                for i in range(3):
                    distance = 1 + (i - 1) * rows if side == 0 else (i + 1) * rows
                    beside = (cell + distance) % len(known)
                    for c in range(WORD):
                        known[beside, c] = known[cell, c]


@compiled
def _read_high(line: Line, codes: Codes, i: int, values: Bytes, start: int, end: int) -> bool:
    """Read the high nibbles of the pixels [start, end), under `cdf.high_frequencies`, from the i-th code. Returns
    whether an encoder may have written them.
    """
    state, edges = codes.state[i], line.edges
    lower, width, point, at = state[0], state[1], state[2], np.int64(state[3])
    for n in range(start, end):
        scale = width >> U24
        read = (point - lower) // scale
        if read >> U24:
            return False
        high = high_nibble(edges, n, read)
        values[n] = high
        before = coarse(edges[n, max(high - 1, 0)]) + high if high > 0 else 0
        lower, width = lower + scale * np.uint64(before), scale * np.uint64(coarse(edges[n, high]) + high + 1 - before)
        if not width >> U32:
            lower, width, point, at = lower << U32, width << U32, _more(codes, i, point, at), at + 1
    state[0], state[1], state[2], state[3] = lower, width, point, np.uint64(at)
    return True


@compiled
def _read_low(line: Line, tables: Tables, codes: Codes, i: int, values: Bytes, start: int, end: int) -> bool:
    """Read the low nibbles behind the high ones, under `cdf.low_frequencies`, which makes values of these. Returns
    whether an encoder may have written them.
    """
    state, edges = codes.state[i], line.edges
    lower, width, point, at = state[0], state[1], state[2], np.int64(state[3])
    for n in range(start, end):
        high: Any = np.int64(values[n])
        none = np.int64(edges[n, max(high - 1, 0)]) if high > 0 else 0
        low_edges(line.found, n, tables.logistic, edges, NIBBLE * high, none, edges[n, high] - none)
        scale = width >> U24
        read = (point - lower) // scale
        if read >> U24:
            return False
        low = low_nibble(edges, n, read)
        values[n] = NIBBLE * high + low
        before = np.int64(edges[n, max(low - 1, 0)]) if low > 0 else 0
        lower, width = lower + scale * np.uint64(before), scale * np.uint64(edges[n, low] - before)
        if not width >> U32:
            lower, width, point, at = lower << U32, width << U32, _more(codes, i, point, at), at + 1
    state[0], state[1], state[2], state[3] = lower, width, point, np.uint64(at)
    return True


@inlined
def _more(codes: Codes, i: int, point: Any, at: Any) -> Any:
    """Return the point with another word of the i-th code."""
    return (point << U32) | np.uint64(codes.words[at] if at < codes.ends[i] else 0)
