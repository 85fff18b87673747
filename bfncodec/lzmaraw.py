"""Raw LZMA with its size in front: the fallback for bytes, and for large metadata.

Layout: varint content size; one byte ``(pb * 5 + lp) * 9 + lc`` as in .lzma files; an LZMA1
stream with end marker, to the end. The dictionary is the content rounded up to a power of two,
at least 4 KiB and at most 64 MiB, so it need not be written.
"""

from __future__ import annotations

from typing import Any

from bfncodec.errors import DamagedError
from bfncodec.wire import Reader, varint

__all__ = ["MAX_RATIO", "pack", "unpack"]

MAX_RATIO = 16_384  # content bytes per stream byte; LZMA itself ends at about 7,000
_SMALL = 1 << 16  # below this, trying every variant costs nothing worth mentioning
_VARIANTS = ((3, 0, 2), (0, 0, 0), (3, 1, 1))  # lc, lp, pb: general, short text, 16-bit samples


def pack(data: bytes) -> bytes:
    """``data`` as the smallest LZMA variant."""
    import lzma

    variants = _VARIANTS if len(data) <= _SMALL else _VARIANTS[:1]
    streams = (
        bytes([(pb * 5 + lp) * 9 + lc]) + lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(len(data), lc, lp, pb))
        for lc, lp, pb in variants
    )
    return varint(len(data)) + min(streams, key=len)


def unpack(blob: bytes, limit: int | None = None) -> bytes:
    """What :func:`pack` was given. ``limit``: the largest content size to accept, in bytes.

    Raises :class:`DamagedError` when the stream is cut off, changed, or larger than it may be.
    """
    import lzma

    reader = Reader(blob)
    size = reader.varint("an LZMA content size")
    props = reader.byte("LZMA properties")
    stream = reader.rest()
    bound = min(MAX_RATIO * len(stream), size if limit is None else limit)
    if size > bound:
        raise DamagedError(f"an LZMA stream declares {size} bytes where at most {bound} can be")
    lc, lp, pb = props % 9, props // 9 % 5, props // 45
    if lc + lp > 4 or pb > 4:
        raise DamagedError(f"LZMA properties {props} do not exist")
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(size, lc, lp, pb))
    try:
        data = decoder.decompress(stream, max_length=size + 1)
        if len(data) == size and not decoder.eof:  # the end marker is still to be read
            data += decoder.decompress(b"", max_length=1)
    except (lzma.LZMAError, EOFError) as error:
        raise DamagedError(f"an LZMA stream is damaged: {error}") from error
    if len(data) != size or not decoder.eof or decoder.unused_data:
        raise DamagedError(f"an LZMA stream does not end after the {size} bytes it declares")
    return data


def _filters(size: int, lc: int, lp: int, pb: int) -> list[dict[str, Any]]:
    import lzma

    dictionary = min(1 << 26, max(1 << 12, 1 << max(size - 1, 1).bit_length()))
    preset = 9 | lzma.PRESET_EXTREME
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
