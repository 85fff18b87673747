"""Raw LZMA with its size in front: the fallback for bytes, and for large metadata.

Layout: varint content size; one byte ``(pb * 5 + lp) * 9 + lc`` as in .lzma files; an LZMA1
stream with end marker, to the end. The dictionary is the content rounded up to a power of two,
at least 4 KiB and at most 64 MiB, so it need not be written.
"""

from __future__ import annotations

import zlib
from typing import Any

from bfncodec.errors import DamagedError
from bfncodec.format.wire import Reader, Source, varint

__all__ = ["MAX_RATIO", "SLOWEST", "is_hopeless", "pack", "unpack", "unpack_first"]

MAX_RATIO = 16_384  # content bytes per stream byte; LZMA itself ends at about 7,000
SLOWEST = 9 | 1 << 31
"""Preset of the smallest streams: the highest, and the flag of its slow variant."""
_PIECE = 1 << 16  # bytes of a stream that are read at once
_SMALL = 1 << 16  # below this, trying every variant costs nothing worth mentioning
_VARIANTS = ((3, 0, 2), (0, 0, 0), (3, 1, 1))  # lc, lp, pb: general, short text, 16-bit samples
_SLACK = 1.5  # times the smallest stream that the general one may be; of 2,500 pieces of pictures it was 1.21 at most
_LONG, _SAMPLE, _NOTHING = 1 << 20, 1 << 16, 0.98
"""Bytes of a piece of which only the first so many, twice deflate's window, are looked at first, and the share of them
from which on deflate makes nothing of them: most files of pictures are compressed already."""
_DEFLATE_SLACK = ((0.1, 3.0), (0.7, 2.0), (float("inf"), 1.5))
"""Times the smallest stream that deflate's may be, by the bytes for each of the content up to which that holds: of
3,300 pieces of photos, screenshots, icons and sprites it was 2.44, 1.90 and 1.32 at most."""


def pack(data: bytes, preset: int = SLOWEST, beat: int | None = None) -> bytes:
    """Return data as the smallest of a few LZMA streams.

    preset: of the coder, 0 (quick) to 9, or SLOWEST. beat: a size in bytes to be undercut, None for any; no time is
    spent on further streams once the first says that they cannot.
    """
    general, *others = _VARIANTS if len(data) <= _SMALL else _VARIANTS[:1]
    streams = [_stream(data, general, preset)]
    if beat is None or len(streams[0]) <= _SLACK * beat:
        streams += [_stream(data, variant, preset) for variant in others]
    return varint(len(data)) + min(streams, key=len)


def is_hopeless(data: bytes, beat: int) -> bool:
    """Return whether deflate, in a seventh of the time, says that no stream has fewer than so many bytes.

    data: samples of a picture, of 8 bits, or a file of one.
    """
    rate = 1.0 if _is_compressed(data) else len(zlib.compress(data, 9)) / len(data)
    return rate * len(data) > beat * next(slack for most, slack in _DEFLATE_SLACK if rate <= most)


def _is_compressed(data: bytes) -> bool:
    """Return whether deflate makes nothing of samples of long data."""
    some = b"".join(data[at : at + _SAMPLE] for at in range(0, len(data), _LONG))
    return len(data) > _LONG and len(zlib.compress(some, 1)) > _NOTHING * len(some)


def _stream(data: bytes, variant: tuple[int, int, int], preset: int) -> bytes:
    """Return the properties of a variant, lc, lp and pb, as one byte, and data as its stream."""
    import lzma

    lc, lp, pb = variant
    filters = _filters(len(data), lc, lp, pb, preset)
    return bytes([(pb * 5 + lp) * 9 + lc]) + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


def unpack(blob: bytes, limit: int | None = None) -> bytes:
    """Return what :func:`pack` was given. ``limit``: the largest content size to accept, in bytes.

    Raises :class:`DamagedError` when the stream is cut off, changed, or larger than it may be.
    """
    data, used = unpack_first(blob, limit)
    if used != len(blob):
        raise DamagedError(f"an LZMA stream does not end after the {len(data)} bytes it declares")
    return data


def unpack_first(blob: Source, limit: int | None = None) -> tuple[bytes, int]:
    """Return the content of a stream at the beginning of something, and the bytes that the stream takes.

    Errors as for :func:`unpack`.
    """
    import lzma

    reader = Reader(blob)
    size = reader.varint("an LZMA content size")
    props = reader.byte("LZMA properties")
    bound = min(MAX_RATIO * (len(blob) - reader.offset), size if limit is None else limit)
    if size > bound:
        raise DamagedError(f"an LZMA stream declares {size} bytes where at most {bound} can be")
    lc, lp, pb = props % 9, props // 9 % 5, props // 45
    if lc + lp > 4 or pb > 4:
        raise DamagedError(f"LZMA properties {props} do not exist")
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(size, lc, lp, pb))
    data, at = bytearray(), reader.offset
    try:
        while not decoder.eof and len(data) <= size:
            piece = blob[at : at + _PIECE] if decoder.needs_input else b""
            if decoder.needs_input and not piece:
                break
            at += len(piece)
            data += decoder.decompress(piece, max_length=size + 1 - len(data))
    except (lzma.LZMAError, EOFError) as error:
        raise DamagedError(f"an LZMA stream is damaged: {error}") from error
    if len(data) != size or not decoder.eof:
        raise DamagedError(f"an LZMA stream does not end after the {size} bytes it declares")
    return bytes(data), at - len(decoder.unused_data)


def _filters(size: int, lc: int, lp: int, pb: int, preset: int = SLOWEST) -> list[dict[str, Any]]:
    import lzma

    dictionary = min(1 << 26, max(1 << 12, 1 << max(size - 1, 1).bit_length()))
    return [
        {
            "id": lzma.FILTER_LZMA1,
            "preset": preset,
            "dict_size": dictionary,
            "lc": lc,
            "lp": lp,
            "pb": pb,
        }
    ]
