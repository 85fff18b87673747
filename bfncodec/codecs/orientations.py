"""Orientations of pictures: a thorough encoder tries some and keeps the one that takes the fewest bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bfncodec.format.imagehead import ImageHead
from bfncodec.runtime.progress import Progress

Image = NDArray[np.uint8]  # [H, W, C], C = 3 for RGB, 1 for grey
# Orientations that a thorough encoder tries: mirrored both ways; rows and columns exchanged, too, in small images only,
# because that hardly ever wins.
TRIED, TRIED_OF_SMALL = (0, 1, 2, 3), (4, 5, 6, 7)


def turn(x: Image, orientation: int) -> Image:
    """A view of an image in one of its orientations (see `ImageHead`). [H, W, C]"""
    x = x.swapaxes(0, 1) if orientation & 4 else x
    x = x[::-1] if orientation & 2 else x
    return x[:, ::-1] if orientation & 1 else x


def turn_back(x: Image, orientation: int) -> Image:
    """The inverse of `turn`, contiguous."""
    x = x[:, ::-1] if orientation & 1 else x
    x = x[::-1] if orientation & 2 else x
    return np.ascontiguousarray(x.swapaxes(0, 1) if orientation & 4 else x)


def turned_shape(head: ImageHead) -> tuple[int, int, int]:
    """Return (height, width, channels) of an image as it is coded."""
    height, width = (head.width, head.height) if head.orientation & 4 else (head.height, head.width)
    return height, width, head.channels


class Shared:
    """Progress of work that is done `times` over: tells of a pixel when its share of all calls is done."""

    def __init__(self, progress: Progress, times: int) -> None:
        self.progress, self.times, self.left = progress, times, 0

    def __call__(self, done: int) -> None:
        whole, self.left = divmod(self.left + done, self.times)
        self.progress(whole)
