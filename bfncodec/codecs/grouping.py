"""Pictures that are coded side by side: which, and how many of their pixels at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bfncodec.flow.schedules.reveal import Wavefront


@dataclass(frozen=True)
class Sizes:
    """Numbers of pixels that are coded at once.

    batch: images coded side by side hold about so many together. block: pixels that are worked on in one call, but
    `each` of every image, if that is more: an image takes part in fewer calls then. kernels: so many times `block` are
    worked on in a call of kernels, which take few at a time. line: pixels of a line of all images; in shorter ones
    threads would wait more than they share. readers, shared: threads that read the lines of one group at most, and the
    pixels of a line that each of them has at least. share: pixels of the lines that a thread encodes at once, whose
    intervals are kept until their turn; memories: such lines are at least so many times as many as those before them
    that are worked on again. Nothing that is written depends on these. small: images of at most so many pixels are
    tried in all orientations.
    """

    batch: int = 1 << 22
    block: int = 1 << 12
    each: int = 128
    kernels: int = 4
    line: int = 768
    readers: int = 4
    shared: int = 24
    share: int = 3 << 17
    memories: int = 4
    small: int = 1 << 12


ON_A_GPU = Sizes(batch=1 << 24, block=1 << 17)
"""On a GPU whatever starts should be large: it all happens at once."""


def grouped(shapes: Sequence[tuple[int, ...]], threads: int, batch: int) -> list[list[int]]:
    """Indices of images with one number of channels: groups of about `batch` pixels, and one for each thread at least,
    if there are so many. Images in a group have about as many lines, as lines are shorter where some have ended.
    """
    lines = list(map(lines_of, shapes))
    order = sorted(range(len(shapes)), key=lambda i: (shapes[i][2], lines[i]))
    costs = [max(height * width, 64 * (height + 5)) for height, width, _ in shapes]  # cells of tiny images take more
    total, before = sum(costs), 0
    count = threads * -(-total // (threads * batch))
    found: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i in order:
        share = (2 * before + costs[i]) * count // (2 * total)
        found[shapes[i][2], lines[i].bit_length(), share].append(i)
        before += costs[i]
    return list(found.values())


def lines_of(shape: tuple[int, ...]) -> int:
    """Steps of the schedule of an image, [H, W, C]."""
    return Wavefront(*shape[:2]).n_steps
