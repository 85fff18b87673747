"""Enumerations of the format: kinds of content, methods, and what pictures and arrays are made of.

docs/format.md, sections 1 and 3, gives their numbers, which never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from bfncodec.forks import cached_property

__all__ = [
    "ARRAY_TYPES",
    "MAX_DIMENSIONS",
    "PLANES",
    "PNG",
    "VP8L",
    "Kind",
    "Method",
    "Mode",
    "Origin",
]


class Kind(IntEnum):
    """Kind of content: what was given and comes back."""

    BYTES = 0
    STR = 1
    IMAGE = 2
    ARRAY = 3


class Method(IntEnum):
    """Coding of a segment.

    PICTURE is a VP8L or PNG stream or 16-bit planes, which differ in their first byte; in an array it is planes of the
    elements' bytes.
    """

    STORED = 0
    LZMA = 1
    PICTURE = 2
    MODEL = 3


VP8L, PNG, PLANES = 0x2F, 0x89, 0x16
"""First bytes of the streams of Method.PICTURE."""


class Origin(IntEnum):
    """Source of a picture, and so what it becomes again."""

    OBJECT = 0
    ARRAY = 1
    PNG = 2
    WEBP = 3
    BMP = 4
    PPM = 5
    TIFF = 6
    BIG_ENDIAN_ARRAY = 7

    @cached_property
    def modes(self) -> frozenset[Mode]:
        """Modes of pictures of that source."""
        files = {
            Origin.WEBP: {Mode.RGB, Mode.RGBA},
            Origin.BMP: {Mode.RGB, Mode.RGBA, Mode.L, Mode.P, Mode.BILEVEL},
            Origin.PPM: {Mode.RGB, Mode.L, Mode.BILEVEL, Mode.I16, Mode.RGB16},
        }
        wide = {mode for mode in Mode if mode.is_wide}
        objects = {
            Origin.OBJECT: {*Mode} - wide | {Mode.I16},
            Origin.ARRAY: {*Mode} - {Mode.P, Mode.BILEVEL},
            Origin.BIG_ENDIAN_ARRAY: wide,
        }
        return frozenset((objects | files).get(self, {*Mode}))

    @property
    def is_file(self) -> bool:
        """The picture was a file."""
        return Origin.PNG <= self <= Origin.TIFF

    @property
    def is_array(self) -> bool:
        """The picture was an array."""
        return self in (Origin.ARRAY, Origin.BIG_ENDIAN_ARRAY)


class Mode(IntEnum):
    """Mode of a picture, the meaning of its samples: Pillow's, and 16-bit colour and opacity, which Pillow lacks."""

    RGB = 0
    RGBA = 1
    L = 2
    LA = 3
    P = 4
    BILEVEL = 5
    I16 = 6
    RGB16 = 7
    RGBA16 = 8
    LA16 = 9

    @cached_property
    def pil(self) -> str:
        """Name that Pillow uses, or would use."""
        wide = {Mode.I16: "I;16", Mode.RGB16: "RGB;16", Mode.RGBA16: "RGBA;16", Mode.LA16: "LA;16"}
        return (wide | {Mode.BILEVEL: "1"}).get(self, self.name)

    @cached_property
    def channels(self) -> int:
        """Samples of a pixel."""
        colours = {Mode.RGB: 3, Mode.RGB16: 3, Mode.RGBA: 4, Mode.RGBA16: 4, Mode.LA: 2, Mode.LA16: 2}
        return colours.get(self, 1)

    @cached_property
    def is_wide(self) -> bool:
        """Samples have 16 bits."""
        return self in (Mode.I16, Mode.RGB16, Mode.RGBA16, Mode.LA16)

    @cached_property
    def has_alpha(self) -> bool:
        """The last channel is opacity."""
        return self in (Mode.RGBA, Mode.LA, Mode.RGBA16, Mode.LA16)

    @classmethod
    def of(cls, pil: str) -> Mode | None:
        """Return the mode of a Pillow name, None if there is none."""
        return next((mode for mode in cls if mode.pil == pil), None)


MAX_DIMENSIONS = 15
_SIZES = {"b": (1,), "u": (1, 2, 4, 8), "i": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}  # of elements, in bytes


def _array_types() -> Iterator[tuple[str, int]]:
    """Yield every type of array elements with its byte: kind, binary logarithm of the size, order in the top bit."""
    for number, (kind, sizes) in enumerate(_SIZES.items()):
        for size in sizes:
            yield f"{kind}{size}", number << 4 | size.bit_length() - 1
            if size > 1:
                yield f">{kind}{size}", 0x80 | number << 4 | size.bit_length() - 1


ARRAY_TYPES = dict(_array_types())
"""Byte of each type of array elements, by its name in NumPy without the sign of little-endian ones: ``u1``, ``>f8``."""
