"""Pixels of a TIFF file to the bytes of its strips or tiles and back: how they are cut, and how samples lie in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from bfncodec.format.kinds import Mode
from bfncodec.images.formats.png.rows import pack_rows, unpack_rows
from bfncodec.images.formats.spans import UnfitError, check_size
from bfncodec.images.formats.tiff import strips
from bfncodec.images.formats.tiff import tags as names
from bfncodec.images.formats.tiff.tags import Tags
from bfncodec.runtime.arrays import Pixels

__all__ = ["Layout"]

_MODES = {
    (1, (1,), 0): Mode.BILEVEL,
    (1, (1,), 1): Mode.BILEVEL,
    (1, (8,), 0): Mode.L,
    (1, (8,), 1): Mode.L,
    (1, (8,), 3): Mode.P,
    (1, (16,), 0): Mode.I16,
    (1, (16,), 1): Mode.I16,
    (2, (8, 8), 1): Mode.LA,
    (2, (16, 16), 1): Mode.LA16,
    (3, (8, 8, 8), 2): Mode.RGB,
    (3, (16, 16, 16), 2): Mode.RGB16,
    (4, (8, 8, 8, 8), 2): Mode.RGBA,
    (4, (16, 16, 16, 16), 2): Mode.RGBA16,
}
"""Samples of a pixel, their bits, and the photometric interpretation (0 white is 0, 1 black is 0, 2 RGB, 3 palette)."""


@dataclass(frozen=True)
class Layout:
    """A way in which pixels are cut and coded.

    order: of the bytes of a sample, "<" or ">". tile: rows and columns of a strip or tile. tiled: tiles, not strips.
    compression: see :mod:`.strips`. predictor: samples are differences. reverse: bits of a byte are in reverse order.
    invert: white is 0.
    """

    order: str
    mode: Mode
    height: int
    width: int
    tile: tuple[int, int]
    tiled: bool
    compression: int
    predictor: bool
    reverse: bool
    invert: bool

    @classmethod
    def of(cls, tags: Tags) -> Layout:
        """Return the layout of a page. UnfitError for one that is not known here."""
        width, height, channels = tags.number(names.WIDTH), tags.number(names.LENGTH), tags.number(names.SAMPLES, 1)
        check_size(width, height)
        photometric, bits = tags.number(names.PHOTOMETRIC), tags.numbers(names.BITS, 1)
        mode = _MODES.get((channels, bits, photometric))
        extra, compression = tags.numbers(names.EXTRA_SAMPLES), tags.number(names.COMPRESSION, 1)
        predictor, fill = tags.number(names.PREDICTOR, 1), tags.number(names.FILL_ORDER, 1)
        if mode is None or len(extra) != mode.has_alpha or set(tags.numbers(names.SAMPLE_FORMAT, 1)) != {1}:
            raise UnfitError("samples of an unknown type")
        if compression not in (strips.RAW, strips.LZW, strips.PACKBITS, *strips.DEFLATE):
            raise UnfitError(f"compression {compression}")
        usable = compression not in (strips.RAW, strips.PACKBITS) and mode is not Mode.BILEVEL
        known = fill in (1, 2) and (predictor == 1 or (predictor == 2 and usable))
        if tags.number(names.PLANAR, 1) != 1 or not known:
            raise UnfitError("planes, or an unknown predictor or order of bits")
        if mode is Mode.P and len(tags.numbers(names.COLOUR_MAP)) != 3 * 256:
            raise UnfitError("no palette")
        tile, tiled = _tile_of(tags, height, width)
        return cls(
            *(tags.order, mode, height, width, tile, tiled),
            compression=compression,
            predictor=predictor == 2,
            reverse=fill == 2,
            invert=photometric == 0,
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile[0]), -(-self.width // self.tile[1])

    @property
    def depth(self) -> int:
        """Bits of a sample."""
        return 1 if self.mode is Mode.BILEVEL else 16 if self.mode.is_wide else 8

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a tile."""
        return (self.tile[1] * self.depth * self.mode.channels + 7) // 8

    @property
    def has_zlib(self) -> bool:
        """Return whether strips depend on another library."""
        return self.compression in strips.DEFLATE

    @property
    def places(self) -> Iterator[tuple[slice, slice, int, int]]:
        """Rows and columns of the picture in each tile, and how many the tile has; strips end with the picture."""
        rows, columns = self.tile
        for top in range(0, self.height, rows):
            height = rows if self.tiled else min(rows, self.height - top)
            for left in range(0, self.width, columns):
                yield slice(top, min(top + rows, self.height)), slice(left, left + columns), height, columns

    # ---- strips to bytes: strip by strip, rows of samples to what the file holds ----

    def encode(self, rows: bytes, level: int, quick: bool) -> bytes:
        """Return a strip of these rows. level: zlib's. quick: as libtiff makes it, where it is large."""
        strip = strips.encode(rows, self.row_bytes, self.compression, level, quick)
        return strips.reversed_bits(strip) if self.reverse else strip

    def decode(self, coded: Sequence[bytes]) -> list[bytes]:
        """Return the rows of each strip. UnfitError for strips of another size, or damaged ones."""
        sizes = [height * self.row_bytes for _, _, height, _ in self.places]
        given = map(strips.reversed_bits, coded) if self.reverse else coded
        coding = self.row_bytes, self.compression
        return [strips.decode(strip, *coding, size) for strip, size in zip(given, sizes, strict=True)]

    # ---- pixels to strips ----

    def pack(self, pixels: Pixels, edge: bool) -> Iterator[bytes]:
        """Yield the rows of each strip of pixels ``[H, W, C]``.

        edge: beyond the picture, tiles have its last row and column again; else zeros.
        """
        for down, across, height, width in self.places:
            tile = pixels[down, across]
            beyond = ((0, height - tile.shape[0]), (0, width - tile.shape[1]), (0, 0))
            yield self._pack(np.pad(tile, beyond, "edge" if edge else "constant"))

    def unpack(self, rows: Sequence[bytes]) -> Pixels:
        """Return the pixels ``[H, W, C]`` of the rows of all strips; what tiles have beyond the picture is dropped."""
        pixels = np.zeros((self.height, self.width, self.mode.channels), "u2" if self.mode.is_wide else "u1")
        for given, (down, across, height, width) in zip(rows, self.places, strict=True):
            place = pixels[down, across]
            place[:] = self._unpack(given, height, width)[: place.shape[0], : place.shape[1]]
        return pixels

    def _pack(self, tile: Pixels) -> bytes:
        tile = self._inverted(tile)
        tile = strips.predict(tile) if self.predictor else tile
        if self.mode.is_wide:
            return np.ascontiguousarray(tile, self.order + "u2").tobytes()
        return pack_rows(tile, self.depth).tobytes()

    def _unpack(self, rows: bytes, height: int, width: int) -> Pixels:
        tile: Pixels
        if self.mode.is_wide:
            tile = np.frombuffer(rows, self.order + "u2").astype(np.uint16).reshape(height, width, -1)
        else:
            packed = np.frombuffer(rows, np.uint8).reshape(height, -1)
            tile = unpack_rows(packed, self.depth, width, self.mode.channels)
        return self._inverted(strips.integrate(tile) if self.predictor else tile)

    def _inverted(self, tile: Pixels) -> Pixels:
        if not self.invert:
            return tile
        return 1 - tile if self.mode is Mode.BILEVEL else ~tile


def _tile_of(tags: Tags, height: int, width: int) -> tuple[tuple[int, int], bool]:
    """Return rows and columns of a strip or tile, and whether it is a tile. UnfitError for one far too large."""
    tiled = tags.find(names.TILE_OFFSETS) is not None
    if tiled:
        tile = tags.number(names.TILE_LENGTH), tags.number(names.TILE_WIDTH)
    else:
        tile = min(tags.number(names.ROWS_PER_STRIP, height), height), width
    if min(tile) < 1 or prod(tile) > 4 * width * height + (1 << 20):
        raise UnfitError(f"tiles of {tile[1]} x {tile[0]}")
    return tile, tiled
