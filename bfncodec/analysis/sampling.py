"""Samples of a model: what its decoder makes of random bits.

A coder that wastes nothing turns every sequence of bits into some data, and likely data take fewer bits; so random bits
decode to data as the model believes they are. It is the whole game: p_R draws the samples, Bayes' rule updates theta,
and p_O draws the data at the end. The bits come from a stack, for the erasure sender too, see
:class:`bfncodec.coding.ans.RandomStack`.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

from bfncodec.errors import InputError
from bfncodec.runtime.arrays import Pixels

if TYPE_CHECKING:
    import numpy as np

    from bfncodec.codecs.protocol import Codec

__all__ = ["as_file", "grid", "sample"]

_IMAGE_SIDES = (64, 64)
_TEXT_BYTES = 512


def sample(codec: Codec[Any], count: int, size: tuple[int, ...] | None = None, seed: int | None = None) -> list[Any]:
    """Draw `count` items: images uint8 [H, W, 3] (or [H, W, 1]) or texts as bytes.

    size: (height, width) of images, (bytes,) of texts; models of items of one shape know their own. seed: the same
    seed and model give the same items on every machine; None draws a new one.

    Item k is the same whatever the count, but for models of items of one shape, which draw 64 at a time.

    Raises InputError for a size the model cannot have, a count below 1 or a negative seed.

    >>> import bfncodec
    >>> [len(text) for text in sample(bfncodec.load("text"), 2, (40,), seed=1)]
    [40, 40]
    """
    import numpy as np

    if count < 1 or (seed is not None and seed < 0):
        raise InputError(f"expected 1 item or more and a seed from 0, found {count} and {seed}")
    source = np.random.SeedSequence(seed)
    able = codec.capabilities
    if able.codes_archives:
        return _sample_items(codec, count, size, source)
    sides = size or (_IMAGE_SIDES if able.codes_pictures else (_TEXT_BYTES,))
    if len(sides) != (2 if able.codes_pictures else 1) or min(sides) < 1:
        raise InputError(
            f"expected {'HEIGHTxWIDTH' if able.codes_pictures else 'a number of bytes'} as the size, "
            f"found {'x'.join(map(str, sides))}"
        )
    return codec.draw(count, sides, source)


def _sample_items(
    codec: Codec[Any], count: int, size: tuple[int, ...] | None, source: np.random.SeedSequence
) -> list[Any]:
    """Return items of an archive: uint8 of their shape, or bytes if they are letters."""
    import numpy as np

    shape = codec.capabilities.item_shape
    if size is not None and tuple(size) != shape[: len(size)]:
        raise InputError(
            f"model {codec.info.name} makes items of shape {list(shape)}, found {list(size)}: leave the size out"
        )
    items = codec.draw(count, (), source)
    return items if len(shape) == 1 else [np.frombuffer(item, np.uint8).reshape(shape) for item in items]


def grid(images: list[Pixels], gap: int = 2) -> Pixels:
    """Images of one size side by side, white between them: uint8 [H', W', C]."""
    import numpy as np

    columns = ceil(sqrt(len(images)))
    rows = ceil(len(images) / columns)
    height, width, channels = images[0].shape
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for k, image in enumerate(images):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        whole[top : top + height, left : left + width] = image
    return whole


def as_file(items: list[Any]) -> bytes:
    """Images as a PNG file of their grid, texts with a line between them."""
    if isinstance(items[0], bytes):
        return b"".join(item + b"\n" for item in items)
    import io

    from PIL import Image

    whole = grid(items)
    out = io.BytesIO()
    Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).save(out, "PNG")
    return out.getvalue()
