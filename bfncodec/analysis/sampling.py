"""Samples of a model: what its decoder makes of random bits.

A coder that wastes nothing turns every sequence of bits into some data, and likely data take fewer bits; so random bits
decode to data as the model believes they are. Decoding is the whole process of the paper: p_R draws the samples, Bayes'
rule updates theta, and p_O draws the data at the end. For either sender the bits come from a stack, see
:class:`bfncodec.coding.ans.RandomStack`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np

from bfncodec.codecs.protocol import Codec
from bfncodec.errors import InputError
from bfncodec.runtime.arrays import Pixels

__all__ = ["Sample", "as_file", "draws_pictures", "grid", "sample"]

_PICTURE_SIDES = (64, 64)
_TEXT_BYTES = 512

Sample = Pixels | bytes
"""A picture, uint8 ``[H, W, C]``, or a text."""


def sample(codec: Codec[Any], count: int, size: tuple[int, ...] | None = None, seed: int | None = None) -> list[Sample]:
    """Return items that a model draws: pictures, uint8 ``[H, W, 3]`` or ``[H, W, 1]``, or texts as bytes.

    size: (height, width) of pictures, (bytes,) of texts; models of items of one shape know their own. seed: the same
    seed and model give the same items on every machine; None draws a new one. Item k does not depend on the count,
    except for models of items of one shape, which draw 64 at a time.

    Raises InputError for a size that the model cannot have, a count below 1 or a negative seed.

    >>> import bfncodec
    >>> [len(text) for text in sample(bfncodec.load("text"), 2, (40,), seed=1)]
    [40, 40]
    """
    if count < 1 or (seed is not None and seed < 0):
        raise InputError(f"expected 1 item or more and a seed from 0, found {count} and {seed}")
    source = np.random.SeedSequence(seed)
    able = codec.capabilities
    if able.codes_archives:
        return _sample_items(codec, count, size, source)
    sides = size or (_PICTURE_SIDES if able.codes_pictures else (_TEXT_BYTES,))
    if len(sides) != (2 if able.codes_pictures else 1) or min(sides) < 1:
        raise InputError(
            f"expected {'HEIGHTxWIDTH' if able.codes_pictures else 'a number of bytes'} as the size, "
            f"found {'x'.join(map(str, sides))}"
        )
    return codec.draw(count, sides, source)


def _sample_items(
    codec: Codec[Any], count: int, size: tuple[int, ...] | None, source: np.random.SeedSequence
) -> list[Sample]:
    """Return items of an archive: uint8 of their shape, or bytes if they are letters."""
    shape = codec.capabilities.item_shape
    if size is not None and tuple(size) != shape[: len(size)]:
        raise InputError(
            f"model {codec.info.name} makes items of shape {list(shape)}, found {list(size)}: leave the size out"
        )
    items = codec.draw(count, (), source)
    return items if len(shape) == 1 else [np.frombuffer(item, np.uint8).reshape(shape) for item in items]


def draws_pictures(codec: Codec[Any]) -> bool:
    """Return whether :func:`sample` draws pictures from a model, else texts."""
    return codec.capabilities.codes_pictures or len(codec.capabilities.item_shape) > 1


def grid(images: Sequence[Pixels], gap: int = 2) -> Pixels:
    """Return pictures of one size, each uint8 ``[H, W, C]``, side by side as one.

    gap: white pixels between them.
    """
    columns = ceil(sqrt(len(images)))
    rows = ceil(len(images) / columns)
    height, width, channels = images[0].shape
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for k, image in enumerate(images):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        whole[top : top + height, left : left + width] = image
    return whole


def as_file(items: Sequence[Sample]) -> bytes:
    """Return pictures as a PNG file of their grid, or texts with a line end after each."""
    texts = [item for item in items if isinstance(item, bytes)]
    if texts:
        return b"".join(text + b"\n" for text in texts)
    from PIL import Image

    whole = grid([item for item in items if not isinstance(item, bytes)])
    out = io.BytesIO()
    Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).save(out, "PNG")
    return out.getvalue()
