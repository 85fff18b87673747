"""Parameters of the coder with which zlib made a stream, found by trying (RFC 1950 and 1951)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

__all__ = ["LARGEST_BLOCK", "SMALLEST_BLOCK", "Deflate", "level_told"]

_HEAD, _CHECKSUM = 2, 4  # bytes before and after what is deflated
_METHOD = 8  # Deflate, in the low bits of the first byte of the head
SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 8, (1 << 16) - 1  # bytes that are stored, but for the last
_LEAST_WINDOW, _WINDOW = 9, 15  # bits
_LOOKAHEAD = 262  # bytes by which matches reach less far than the window
_DYNAMIC = 2  # type of a block with codes of its own
_HIGHEST = 3  # level in the head: of 7 to 9
_LEVELS = 10
_PIECE = 1 << 15  # bytes after which a candidate is compared with the stream
_TRIES, _ENCODINGS = 1 << 19, 5  # the search feeds at most so many bytes, and so many times the content

_FILTERED, _DEFAULT = zlib.Z_FILTERED, zlib.Z_DEFAULT_STRATEGY
_BY_LEVEL: tuple[tuple[tuple[int, int], ...], ...] = (
    ((1, zlib.Z_RLE), (1, _FILTERED), (1, _DEFAULT), (1, zlib.Z_HUFFMAN_ONLY)),
    tuple(product((5, 4, 3, 2), (_FILTERED, _DEFAULT))),
    ((6, _FILTERED), (6, _DEFAULT)),
    ((9, _FILTERED), (9, _DEFAULT), (7, _FILTERED), (7, _DEFAULT), (8, _FILTERED), (8, _DEFAULT)),
)
"""Level and strategy of zlib by the level in the head of a stream, the usual ones first."""
_MEMORIES = (8, 9, 7, 6, 5, 4, 3, 2, 1)
_FIRST = ((9, _FILTERED, 8), (9, _DEFAULT, 8), (7, _FILTERED, 9), (7, _FILTERED, 8))
"""Level, strategy and memory that are tried early where the head tells of that level: ImageMagick's is the third."""


class _Storer:
    """A coder, as those of zlib, that stores its content in blocks of one size, but for the last (RFC 1951, 3.2.4)."""

    def __init__(self, block: int) -> None:
        self._block, self._left = block, b""

    def compress(self, part: bytes) -> bytes:
        """Return all blocks that are full and not the last."""
        content = self._left + part
        stop = max(len(content) - 1, 0) // self._block * self._block
        self._left = content[stop:]
        return b"".join(_stored(content[at : at + self._block], last=False) for at in range(0, stop, self._block))

    def flush(self) -> bytes:
        """Return the last block."""
        return _stored(self._left, last=True)


def _stored(content: bytes, last: bool) -> bytes:
    size = len(content)
    return bytes([last]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + content


def level_told(stream: bytes) -> int:
    """Return the level of zlib that the head of a stream most likely stands for."""
    return _BY_LEVEL[stream[1] >> 6][0][0]


@dataclass(frozen=True)
class Deflate:
    """Parameters of zlib's coder, and the head of the stream, which need not agree with them.

    level: 0 to 9. strategy: zlib's, 0 default, 1 filtered, 2 Huffman codes alone, 3 runs, 4 fixed codes. memory: zlib's
    memLevel, 1 to 9. window: bits, 9 to 15. told_window: bits less 8 in the head, CINFO. told_level: FLEVEL there.
    block: of level 0, bytes in every stored block but the last. zlib is not asked for these, as where it cuts depends
    on how it is fed.
    """

    level: int
    strategy: int = _DEFAULT
    memory: int = 9
    window: int = _WINDOW
    told_window: int = _WINDOW - 8
    told_level: int = 2
    block: int = LARGEST_BLOCK

    def encode(self, parts: Iterable[bytes]) -> bytes:
        """Return the zlib stream of a content in parts."""
        coder = self._coder() if self.level else _Storer(self.block)
        checksum, out = 1, [self._head()]
        for part in parts:
            checksum = zlib.adler32(part, checksum)
            out.append(coder.compress(part))
        return b"".join([*out, coder.flush(), checksum.to_bytes(_CHECKSUM, "big")])

    @classmethod
    def of_level(cls, level: int, strategy: int) -> Deflate:
        """Return what zlib does at a level, with all its memory; the head is as zlib writes it."""
        return cls(level, strategy, told_level=min(level // 2, 1) + (level > 5) + (level > 6))

    @classmethod
    def find(cls, content: bytes, stream: bytes, like: Deflate) -> Deflate | None:
        """Return the parameters that make a zlib stream of its content; None where none are found soon.

        like: parameters of which strategy and memory are tried first.
        """
        if not stream[_HEAD] >> 1 & 3 and (stored := cls._of_stored(content, stream, like)) is not None:
            return stored
        left = _TRIES + _ENCODINGS * len(content)
        for candidate in _candidates(len(content), stream, like):
            if candidate._head() != stream[:_HEAD]:
                return None
            agrees, fed = candidate._try(content, stream)
            left -= fed
            if agrees or left < 0:
                return candidate if agrees else None
        return None

    @classmethod
    def _of_stored(cls, content: bytes, stream: bytes, like: Deflate) -> Deflate | None:
        """Return the parameters of a stream of stored blocks of one size, None for any other.

        Those of any level of `like`, whose coder stores what it cannot make smaller, are found before.
        """
        for level in range(_LEVELS - 1, 0, -1):
            alike = cls.of_level(level, like.strategy)
            if alike._head() == stream[:_HEAD] and alike._try(content, stream)[0]:
                return alike
        last = stream[_HEAD] & 1
        size = LARGEST_BLOCK if last else int.from_bytes(stream[_HEAD + 1 : _HEAD + 3], "little")
        found = cls(0, told_window=stream[0] >> 4, told_level=stream[1] >> 6, block=size)
        return found if size >= SMALLEST_BLOCK and found.encode([content]) == stream else None

    def _head(self) -> bytes:
        first, second = self.told_window << 4 | _METHOD, self.told_level << 6
        return bytes([first, second + -(first << 8 | second) % 31])

    def _coder(self) -> zlib._Compress:
        return zlib.compressobj(self.level, zlib.DEFLATED, -self.window, self.memory, self.strategy)

    def _try(self, content: bytes, stream: bytes) -> tuple[bool, int]:
        """Return whether the stream comes out, and after how many bytes of its content that was known."""
        coder, at = self._coder(), _HEAD
        for start in range(0, len(content), _PIECE):
            made = coder.compress(content[start : start + _PIECE])
            if not stream.startswith(made, at):
                return False, start + _PIECE
            at += len(made)
        return stream[at:-_CHECKSUM] == coder.flush(), len(content)


def _candidates(size: int, stream: bytes, like: Deflate) -> Iterator[Deflate]:
    """Yield parameters in the order in which they are likely, given the head of a stream and its first block.

    size: bytes of the content.
    """
    window, level, kinds = stream[0] >> 4, stream[1] >> 6, list(_BY_LEVEL[stream[1] >> 6])
    if not level and stream[_HEAD] >> 1 & 3 < _DYNAMIC:
        kinds += [(number, zlib.Z_FIXED) for number in (6, 9, 1, 2, 3, 4, 5, 7, 8)]
    first = [(number, like.strategy, like.memory) for number, _ in kinds]
    usual = _FIRST if level == _HIGHEST else ()
    tries = dict.fromkeys([*first, *usual, *((*kind, memory) for memory in _MEMORIES for kind in kinds)])
    for (number, strategy, memory), bits in product(tries, _windows(window + 8, size)):
        yield Deflate(number, strategy, memory, bits, window, level)


def _windows(told: int, size: int) -> list[int]:
    """Return the windows that a coder may have had that tells of one, of those that hold all of a content only one.

    libpng tells of the least window that holds a picture of at most 16 KiB, and may code with the next larger one.
    """
    bits = [max(told, _LEAST_WINDOW)]
    for other in (bits[0] + 1, _WINDOW):
        if bits[-1] < other <= _WINDOW and (1 << bits[-1]) < size + _LOOKAHEAD:
            bits.append(other)
    return bits
