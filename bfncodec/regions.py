"""A region of a picture as a picture of its own: which segments it takes, and what metadata is still true of it.

Kept: palette, transparency, colour profile and the like, resolution, text. Dropped: EXIF and XMP, which tell of another
size and may hold another picture, and chunks of unknown meaning.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bfncodec.errors import InputError
from bfncodec.header import Axes, Box, Extra, Header, Kind, Mode, Origin, Tag
from bfncodec.imagefiles import FORMAT_NAMES, blank_like, filter_chunks, read_file
from bfncodec.pictures import filter_info
from bfncodec.tiles import to_image

if TYPE_CHECKING:
    from bfncodec.pictures import Picture

__all__ = ["Region", "with_true_extras"]


@dataclass(frozen=True)
class Region:
    """Columns from x, rows from y on, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def box(self) -> Box:
        """Rows and columns."""
        return (self.y, self.y + self.height), (self.x, self.x + self.width)

    def touches(self, box: Box) -> bool:
        """Whether a segment of that place has some of it; none of what is no picture has."""
        return len(box) == 2 and all(a < d and c < b for (a, b), (c, d) in zip(self.box, box, strict=True))

    def check(self, header: Header, axes: Axes) -> None:
        """Raise InputError unless it is some of a picture, and within it."""
        if header.kind is not Kind.IMAGE:
            raise InputError("expected a picture to take a region of, found none: leave the region out")
        (height, _), (width, _) = axes
        if not (0 <= self.x < self.x + self.width <= width and 0 <= self.y < self.y + self.height <= height):
            raise InputError(
                f"expected a region within {width} x {height} pixels, "
                f"found {self.width} x {self.height} at {self.x}, {self.y}"
            )


def with_true_extras(part: Picture, whole: tuple[int, int]) -> Picture:
    """A picture cut out of another, of height and width ``whole``, whose extras it still has, with its own."""
    if part.pixels.shape[:2] == whole:
        return part
    if part.origin is Origin.OBJECT:
        extras = filter_info(part.extras)
    elif part.origin in (Origin.PNG, Origin.WEBP):
        extras = filter_chunks(part)
    elif part.header.extra(Tag.LAYOUT) is not None:
        extras = _of_file_like(part, whole)
    else:
        extras = part.extras  # TIFF's tags, which say nothing of its size
    return replace(part, extras=extras)


def _of_file_like(part: Picture, whole: tuple[int, int]) -> tuple[Extra, ...]:
    """Those of a file that Pillow writes with the palette and the plain metadata it finds in the other."""
    image, like = to_image(part.pixels, part.mode), blank_like(part, whole)
    if part.mode is Mode.P:
        image.putpalette(like.getpalette() or [])
    plain = {name: like.info[name] for name in ("dpi", "icc_profile") if name in like.info}
    out = io.BytesIO()
    image.save(out, FORMAT_NAMES[part.origin], **plain)
    made = read_file(out.getvalue())
    return made.extras if made is not None and made.mode is part.mode else ()
