"""Section 5.2 of the file format: LZMA payloads."""

from __future__ import annotations

import lzma

from reader.errors import DamagedError, LimitError
from reader.wire import Bytes

RATIO = 16_384


def decode_lzma(payload: bytes) -> bytes:
    """The content of an LZMA payload of anything but a picture."""
    reader = Bytes(payload)
    size, code = reader.varint(), reader.byte()
    stream = reader.rest()
    lc, lp, pb = code % 9, code // 9 % 5, code // 45
    if lc + lp > 4 or pb > 4:
        raise DamagedError(f"LZMA parameters {code}")
    if size > RATIO * len(stream):
        raise LimitError(f"{size} bytes of {len(stream)}")
    dictionary = min(max(1 << max(size - 1, 0).bit_length(), 1 << 12), 1 << 26)
    filters = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": dictionary}]
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    try:
        content = decoder.decompress(stream, size + 1)
    except lzma.LZMAError as error:
        raise DamagedError(f"an LZMA stream: {error}") from None
    if not decoder.eof or decoder.unused_data or len(content) != size:
        raise DamagedError(f"expected an LZMA stream of {size} bytes, found {len(content)}")
    return content
