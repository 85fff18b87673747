"""Rows of PNG: pixels as packed bytes, filtered and back (PNG, third edition, sections 7.2 and 9).

Every row of a PNG file begins with the number of its filter, and its bytes are differences to what that filter predicts
from the bytes to the left, above, and above to the left. Rows here are uint8 ``[H, B]``, filters uint8 ``[H]``, and
``step`` is the number of bytes from one pixel to the next, at least 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bfncodec.runtime.arrays import Bytes, Ints, Pixels

__all__ = ["FILTERS", "bands", "costs", "filtered", "least", "pack_rows", "unfiltered", "unpack_rows"]

FILTERS = 5
"""Number of filters: none, left, above, their average, Paeth's."""
_AVERAGE, _PAETH = 3, 4
_BAND = 1 << 17  # bytes that are filtered at once: what they take on the way stays in the cache


# ---- filters ----------------------------------------------------------------------------------


def filtered(rows: Bytes, filters: Bytes, step: int, above: Bytes | None = None) -> Bytes:
    """Return the differences, uint8 ``[H, B]``, that filters make of rows. ValueError for unknown filters.

    above: the row above the first, None for zeros.
    """
    out = np.empty_like(rows)
    for band, over in _with_above(rows, above):
        left, corner = _shifted(rows[band], step), _shifted(over, step)
        for number in np.unique(filters[band]):
            chosen = filters[band] == number
            part = (rows[band][chosen], left[chosen], over[chosen], corner[chosen])
            out[band][chosen] = part[0] - _predicted(int(number), *part[1:])
    return out


def costs(rows: Bytes, step: int, above: Bytes | None = None) -> Ints:
    """Return the sums of magnitudes of the differences that every filter makes of rows, int64 ``[FILTERS, H]``.

    Differences count as signed bytes. above: the row above the first, None for zeros.
    """
    out = np.empty((FILTERS, len(rows)), np.int64)
    for band, over in _with_above(rows, above):
        around = (_shifted(rows[band], step), over, _shifted(over, step))
        for number in range(FILTERS):
            made = rows[band] - _predicted(number, *around)
            out[number, band] = np.minimum(made, -made).sum(1, dtype=np.int64)
    return out


def least(costs: Ints, order: Sequence[int]) -> Bytes:
    """Return for each row the filter of least cost of those in an order, the first of equal ones."""
    numbers = np.array(order, np.uint8)
    chosen: Bytes = numbers[costs[numbers].argmin(0)]
    return chosen


def unfiltered(differences: Bytes, filters: Bytes, step: int) -> Bytes:
    """Return the rows of which :func:`filtered` made these differences, one slanted line of pixels after the other.

    ValueError for unknown filters, or rows that are not of whole pixels.
    """
    height, size = differences.shape
    if height and filters.max() >= FILTERS:
        raise ValueError(f"filter {filters.max()} is not known")
    if size % step:
        raise ValueError(f"rows of {size} bytes are no pixels of {step}")
    width, row = size // step, size // step + 1
    known = np.zeros(((height + 1) * row, step), np.uint8)
    given = np.zeros_like(known)
    given.reshape(height + 1, row, step)[1:, 1:] = differences.reshape(height, width, step)
    for line in range(height + width - 1):
        first, last = max(0, line - width + 1), min(line, height - 1)
        start, stride = row + 1 + line + first * width, row - 1  # every pixel of the line is so many further
        places = slice(start, start + (last - first) * stride + 1, stride) if stride else slice(start, start + 1)
        around = (known[places.start - back : places.stop - back : places.step] for back in (1, row, row + 1))
        known[places] = given[places] + _chosen(filters[first : last + 1], *around)
    return known.reshape(height + 1, row, step)[1:, 1:].reshape(height, size)


def _chosen(filters: Bytes, left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    """Return the prediction of each row's own filter of its pixel, uint8 ``[H, step]``."""
    out = np.zeros_like(left)
    for number in np.unique(filters):
        chosen = filters == number
        out[chosen] = _predicted(int(number), left[chosen], above[chosen], corner[chosen])
    return out


def _predicted(number: int, left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    """Return a filter's prediction of bytes, uint8, given those around them. ValueError for an unknown filter."""
    if number < _AVERAGE:
        return (np.zeros_like(left), left, above)[number]
    if number == _AVERAGE:
        return (left & above) + ((left ^ above) >> 1)  # half the sum, rounded down
    if number != _PAETH:
        raise ValueError(f"filter {number} is not known")
    a, b, c = (plane.astype(np.int16) for plane in (left, above, corner))
    apart = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where(
        (apart[0] <= apart[1]) & (apart[0] <= apart[2]), left, np.where(apart[1] <= apart[2], above, corner)
    )


def bands(rows: Bytes) -> Iterator[slice]:
    """Yield slices of consecutive rows, each of them few enough to be filtered at once."""
    count = max(1, _BAND // max(1, rows.shape[1]))
    for top in range(0, len(rows), count):
        yield slice(top, min(top + count, len(rows)))


def _with_above(rows: Bytes, above: Bytes | None) -> Iterator[tuple[slice, Bytes]]:
    """Yield bands of rows, and the row above each of a band's; above: that of the first, None for zeros."""
    for band in bands(rows):
        first = rows[band.start - 1] if band.start else np.zeros_like(rows[0]) if above is None else above
        yield band, np.concatenate([first[None], rows[band.start : band.stop - 1]])


def _shifted(rows: Bytes, step: int) -> Bytes:
    """Return the bytes one pixel to the left, zeros beyond the edge."""
    out = np.zeros_like(rows)
    out[:, step:] = rows[:, :-step]
    return out


# ---- samples ----------------------------------------------------------------------------------


def pack_rows(pixels: Pixels, depth: int) -> Bytes:
    """Return pixels ``[H, W, C]`` as rows of bytes, uint8 ``[H, B]``.

    depth: bits of a sample, 1, 2, 4, 8 or 16, of which the highest is first.
    """
    height = len(pixels)
    if depth == 16:
        return np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(height, -1)
    flat: Bytes = np.ascontiguousarray(pixels, np.uint8).reshape(height, -1)
    if depth == 8:
        return flat
    each = 8 // depth
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % each))).reshape(height, -1, each)
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    packed: Bytes = np.bitwise_or.reduce((flat & ((1 << depth) - 1)) << shifts, axis=2)
    return packed.astype(np.uint8)


def unpack_rows(rows: Bytes, depth: int, width: int, channels: int) -> Pixels:
    """Return the pixels ``[H, W, C]`` of which :func:`pack_rows` made rows."""
    height = len(rows)
    out: Pixels = np.ascontiguousarray(rows)
    if depth == 16:
        out = out.view(">u2").astype(np.uint16)
    elif depth < 8:
        shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
        out = (out[:, :, None] >> shifts & ((1 << depth) - 1)).reshape(height, -1)[:, : width * channels]
    return np.ascontiguousarray(out).reshape(height, width, channels)
