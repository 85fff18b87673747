"""Chunks of a PNG file, and its head (PNG, third edition, sections 5 and 11)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bfncodec.format.kinds import Mode
from bfncodec.format.wire import Reader
from bfncodec.images.formats.chunks import Chunk
from bfncodec.images.formats.spans import Role, Span, UnfitError, check_size

__all__ = ["MAGIC", "Head", "png_file", "read_chunks", "spans_of"]

MAGIC = b"\x89PNG\r\n\x1a\n"
_MODES = {
    (8, 2): Mode.RGB,
    (8, 6): Mode.RGBA,
    (8, 0): Mode.L,
    (8, 4): Mode.LA,
    **{(depth, 3): Mode.P for depth in (1, 2, 4, 8)},
    (1, 0): Mode.BILEVEL,
    (16, 0): Mode.I16,
    (16, 2): Mode.RGB16,
    (16, 6): Mode.RGBA16,
    (16, 4): Mode.LA16,
}
"""Mode that holds all of a bit depth and colour type."""

_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_WHOLE = ((0, 0, 1, 1),)
"""Passes: first row and column, and steps of rows and columns (section 8)."""

Pass = tuple[slice, slice]
"""Rows and columns of the pixels in a pass."""


@dataclass(frozen=True)
class Head:
    """The head of a file, its IHDR chunk. depth: bits of a sample. colour: PNG's colour type."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool = False

    @classmethod
    def of(cls, mode: Mode, depth: int, height: int, width: int, interlaced: bool) -> Head:
        """Return the head of a picture. depth: 0 for that of all pictures of the mode but those with a palette."""
        depth, colour = [pair for pair, held in _MODES.items() if held is mode and depth in (0, pair[0])][-1]
        return cls(width, height, depth, colour, interlaced)

    def write(self) -> bytes:
        """Return the content of the chunk."""
        sides = self.width.to_bytes(4, "big") + self.height.to_bytes(4, "big")
        return sides + bytes([self.depth, self.colour, 0, 0, self.interlaced])

    @classmethod
    def read(cls, body: bytes) -> Head:
        """Read the content of a chunk. UnfitError for an unknown one, or one of too many pixels."""
        if len(body) != 13 or body[10:12] != b"\0\0" or body[12] > 1:
            raise UnfitError("an IHDR chunk that is not known")
        width, height = (int.from_bytes(body[at : at + 4], "big") for at in (0, 4))
        check_size(width, height)
        return cls(width, height, body[8], body[9], body[12] == 1)

    @property
    def mode(self) -> Mode:
        """The mode of the picture's pixels. UnfitError for a depth and colour type that do not go together."""
        mode = _MODES.get((self.depth, self.colour))
        if mode is None:
            raise UnfitError(f"colour type {self.colour} of {self.depth} bits")
        return mode

    @property
    def step(self) -> int:
        """Bytes from a pixel to the next, at least 1."""
        return max(1, self.depth * self.mode.channels // 8)

    @property
    def passes(self) -> list[Pass]:
        """Every pass that has pixels: one, or up to seven of an interlaced picture."""
        passes = _ADAM7 if self.interlaced else _WHOLE
        fit = [(y, x, dy, dx) for y, x, dy, dx in passes if y < self.height and x < self.width]
        return [(slice(y, self.height, dy), slice(x, self.width, dx)) for y, x, dy, dx in fit]

    def sides(self, part: Pass) -> tuple[int, int]:
        """Return how many rows and columns a pass has."""
        rows, columns = part
        return len(range(*rows.indices(self.height))), len(range(*columns.indices(self.width)))

    def row_bytes(self, columns: int) -> int:
        """Return the bytes of a row, without that of its filter."""
        return (columns * self.depth * self.mode.channels + 7) // 8


def png_file(chunks: Iterable[Chunk]) -> bytes:
    """Return a file of these chunks."""
    return MAGIC + b"".join(map(_write_chunk, chunks))


def read_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield every chunk of a file. UnfitError for a wrong checksum, DamagedError for bytes that are no chunk."""
    reader = Reader(data, len(MAGIC))
    while reader.offset < len(data):
        start = reader.offset
        size = int.from_bytes(reader.take(4, "a chunk's size"), "big")
        chunk = reader.take(4, "a chunk's name"), reader.take(size, "a chunk")
        reader.take(4, "a checksum")
        if data[start : reader.offset] != _write_chunk(chunk):
            raise UnfitError("a chunk is damaged")
        yield chunk


def spans_of(chunks: Iterable[Chunk]) -> Iterator[Span]:
    """Yield all bytes of a file of these chunks, with their roles."""
    yield Role.KEPT, MAGIC
    for name, body in chunks:
        whole = _write_chunk((name, body))
        if name == b"IDAT":
            yield Role.DERIVED, whole[:8]
            yield Role.PIXELS, body
            yield Role.DERIVED, whole[-4:]
        else:
            yield Role.KEPT, whole


def _write_chunk(chunk: Chunk) -> bytes:
    name, body = chunk
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
