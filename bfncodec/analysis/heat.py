"""Bits by place: what each pixel of a picture, or each byte, takes in a file."""

from __future__ import annotations

import numpy as np

from bfncodec.analysis.measurement import coded_items
from bfncodec.api import CodecSource
from bfncodec.content.types import Content
from bfncodec.format.container import unpack
from bfncodec.format.frame import Segment
from bfncodec.format.kinds import Method
from bfncodec.format.limits import OF_WRITERS
from bfncodec.images.picture import Picture
from bfncodec.runtime.arrays import Floats

__all__ = ["heat"]


def heat(content: Content, blob: bytes, codecs: CodecSource) -> Floats:
    """Return the bits of each place, float64 [H, W] of a picture's pixels, [N] of any other content's bytes.

    -log2 p_O where a model with an erasure sender coded it. Whatever else is in a segment's payload is spread evenly
    over its places.

    content, blob: a content and the file that was made of it.
    """
    frame = unpack(blob, OF_WRITERS)
    bits = np.zeros(content.pixels.shape[:2] if isinstance(content, Picture) else len(content.data))
    for segment in (frame.segment(number) for number in frame.wanted):
        place = tuple(slice(*sides) for sides in segment.extent)
        bits[place] = _of_segment(content, segment, codecs, bits[place].shape)
    return bits


def _of_segment(content: Content, segment: Segment, codecs: CodecSource, shape: tuple[int, ...]) -> Floats:
    bits, rest = np.zeros(shape), 8 * len(segment.payload)
    if segment.method is Method.MODEL:
        codec = codecs.identified(segment.model)
        for item, payload in coded_items(content, segment, codec):
            if (found := codec.surprise(item)) is not None:
                bits += found
                rest -= 8 * len(payload)
    return bits + rest / max(bits.size, 1)
