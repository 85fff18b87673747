"""Tiles: the parts into which a picture is cut, and progress that is counted in their subpixels."""

from __future__ import annotations

from math import prod

from bfncodec.format.cuts import Extent, Grid
from bfncodec.runtime.arrays import Pixels
from bfncodec.runtime.progress import Progress
from bfncodec.segments.plan import parts_of

__all__ = ["area", "crop", "grid", "sides_of", "spread"]


def grid(pixels: Pixels, rows: int, columns: int) -> Grid:
    """Return the cut of a picture into tiles of at most that many rows and columns."""
    height, width = pixels.shape[:2]
    return Grid(height, parts_of(height, rows), width, parts_of(width, columns))


def crop(pixels: Pixels, extent: Extent) -> Pixels:
    """Return a view of a part of a picture, ``[h, w, C]`` of ``[H, W, C]``."""
    (top, bottom), (left, right) = extent
    return pixels[top:bottom, left:right]


def sides_of(extent: Extent) -> tuple[int, ...]:
    """Return the lengths of an extent: (bytes,), or (height, width)."""
    return tuple(stop - start for start, stop in extent)


def area(extent: Extent) -> int:
    """Return the number of bytes, or of pixels, in an extent."""
    return prod(sides_of(extent))


def spread(progress: Progress, work: int, total: int) -> Progress:
    """Return a callback for the pixels that a model does, which reports them as subpixels of the tiles they are for.

    work: pixels that the model does in all. total: subpixels of the tiles.
    """
    done = 0

    def advance(pixels: int) -> None:
        nonlocal done
        progress(total * (done + pixels) // work - total * done // work)
        done += pixels

    return advance
