"""Chunks of arrays as objects that the library compresses, and back: what stores of every kind have in common.

A chunk is one compressed object. Chunks of uint8 and uint16 of two dimensions and more are pictures: ``(…, H, W)``
grey, ``(…, H, W, C)`` with up to four channels. The pictures of all leading dimensions are stacked, one below the
other, as one picture; so any region of it can be had alone. Others are arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any

import numpy as np

from bfncodec.api import Crop, Models, compress_many, decompress_many, describe
from bfncodec.errors import DamagedError
from bfncodec.format.limits import Limits
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_flags, check_model
from bfncodec.runtime.arrays import Array
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

__all__ = ["Coder", "Stack", "decode_chunks", "models"]

_PICTURES = ("u1", "u2")
_LEAST = 32  # rows of a picture from which on it is a segment of its own, which takes some bytes


@cache
def models() -> Models:
    """Return the models of this process, which all stores share."""
    return Models()


@dataclass(frozen=True)
class Coder:
    """Settings of a store: arguments of :func:`bfncodec.compress`, checked. Raises InputError for what they cannot be.

    Chunks say themselves how they are to be decoded, so any of these can decode any chunk.
    """

    model: str = "auto"
    level: int = DEFAULT_LEVEL
    verify: bool = True

    def __post_init__(self) -> None:
        check_model(self.model)
        check_level(self.level)
        check_flags(verify=self.verify)
        object.__setattr__(self, "model", str(self.model))  # a path, too: settings stand in metadata as JSON
        object.__setattr__(self, "verify", bool(self.verify))

    def encode_chunks(self, chunks: Sequence[Any]) -> list[bytes]:
        """Return the file of each chunk: bytes, or an array in C order."""
        stacks = [Stack.of(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in chunks]
        if not self._codes_pictures():
            stacks = [None] * len(chunks)
        given = [x.reshape(stack.picture) if stack else x for x, stack in zip(chunks, stacks, strict=True)]
        policy = next((stack.policy for stack in stacks if stack), DEFAULT_POLICY)  # chunks of a store have one shape
        return compress_many(given, self.model, level=self.level, verify=self.verify, codecs=models(), policy=policy)

    def _codes_pictures(self) -> bool:
        return self.model in ("auto", "none") or models().named(self.model).capabilities.codes_pictures


@dataclass(frozen=True)
class Stack:
    """A chunk as a picture.

    shape: of the chunk. count: of the pictures of height and width that are stacked in it. channels: of them, 0 where
    the chunk has no such dimension.
    """

    shape: tuple[int, ...]
    count: int
    height: int
    width: int
    channels: int

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stack | None:
        """Return a chunk as a picture, None for one that is none."""
        if dtype.str[1:] not in _PICTURES or len(shape) < 2 or not prod(shape):
            return None
        channels = shape[-1] if len(shape) > 2 and shape[-1] <= 4 else 0
        *leading, height, width = shape[:-1] if channels else shape
        found = cls(shape, prod(leading), height, width, channels)
        return found if found.count * height * width <= Limits.pixels else None

    @property
    def picture(self) -> tuple[int, ...]:
        """Shape of the picture, as arrays of pictures have it: none with a last dimension of one."""
        sides = self.count * self.height, self.width
        return (*sides, self.channels) if self.channels > 1 else sides

    @property
    def policy(self) -> Policy:
        """Policy that makes each picture a segment of its own, if it is square or upright, and neither small nor large.

        Then there is less to decode for one of them, and more to decode side by side for all.
        """
        whole = self.count > 1 and max(_LEAST, self.width) <= self.height <= DEFAULT_POLICY.model_tile
        return replace(DEFAULT_POLICY, model_tile=self.height) if whole else DEFAULT_POLICY

    def crop(self, selection: tuple[Any, ...]) -> Crop | None:
        """Return the region of the picture that holds a selection of the chunk; None for all of it, or for nothing.

        selection: for each dimension, or the first ones, a slice, a number or an array of numbers.
        """
        if any(chosen is Ellipsis for chosen in selection):
            return None
        rest = (slice(None),) * (len(self.shape) - len(selection))
        bounds = [_bounds(chosen, side) for chosen, side in zip((*selection, *rest), self.shape, strict=True)]
        if not all(low < high for low, high in bounds):
            return None
        *leading, (top, bottom), (left, right) = bounds[:-1] if self.channels else bounds
        sides = self.shape[: len(leading)]
        first = int(np.ravel_multi_index([low for low, _ in leading], sides)) if leading else 0
        last = int(np.ravel_multi_index([high - 1 for _, high in leading], sides)) if leading else 0
        if first != last:
            top, bottom = 0, self.height
        y = first * self.height + top
        region = left, y, right - left, last * self.height + bottom - y
        return None if region == (0, 0, self.width, self.count * self.height) else region

    def region(self, crop: Crop) -> tuple[int, ...]:
        """Return the shape of a region of the picture."""
        return (crop[3], crop[2], *self.picture[2:])

    def placed(self, region: Array, crop: Crop) -> Array:
        """Return a chunk that is filled where a region of the picture lies, and holds anything elsewhere."""
        chunk = np.empty(self.picture, region.dtype)  # pages that nothing is written to take no memory
        x, y, width, height = crop
        chunk[y : y + height, x : x + width] = region
        return chunk.reshape(self.shape)


def _bounds(chosen: Any, side: int) -> tuple[int, int]:
    """Return the range of the places along a side that a slice, a number or an array of numbers takes."""
    if isinstance(chosen, slice):
        along = range(side)[chosen]
        return (min(along[0], along[-1]), max(along[0], along[-1]) + 1) if along else (0, 0)
    places = np.arange(side)[chosen]
    return (int(places.min()), int(places.max()) + 1) if places.size else (0, 0)


# ---- decoding ---------------------------------------------------------------------------------


def decode_chunks(
    blobs: Sequence[bytes],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[np.dtype[Any]],
    selections: Sequence[tuple[Any, ...]] | None = None,
) -> list[Array]:
    """Return the array of each chunk, or what a selection takes of it; of pictures only regions are decoded.

    Raises a FormatError, also for a chunk of another shape or type.
    """
    wanted: Sequence[tuple[Any, ...]] = [()] * len(blobs) if selections is None else selections
    stacks = list(map(Stack.of, shapes, dtypes))
    crops = list(map(_crop, blobs, stacks, wanted))
    made = decompress_many(blobs, crops=crops, codecs=models())
    chunks = []
    for array, stack, crop, shape, dtype in zip(made, stacks, crops, shapes, dtypes, strict=True):
        if stack is not None and crop is not None:
            chunks.append(stack.placed(_checked(array, stack.region(crop), dtype, stack.region(crop)), crop))
        else:
            chunks.append(_checked(array, shape, dtype, stack.picture if stack else shape).reshape(shape))
    return [np.asarray(chunk[chosen]) for chunk, chosen in zip(chunks, wanted, strict=True)]


def _crop(blob: bytes, stack: Stack | None, selection: tuple[Any, ...]) -> Crop | None:
    """Return the region that is decoded of a file: None for all, as of one that holds no picture, but an archive."""
    crop = stack.crop(selection) if stack else None
    if stack is None or crop is None:
        return None
    found = describe(blob)
    return crop if found.mode and found.sides == stack.picture[:2] else None


def _checked(made: Any, shape: tuple[int, ...], dtype: np.dtype[Any], picture: tuple[int, ...]) -> Array:
    """Return what was decoded for a chunk. Raises DamagedError for what is no array of its type and shape, or of that
    which it has as a picture.
    """
    same = isinstance(made, np.ndarray) and made.dtype.newbyteorder("=") == dtype.newbyteorder("=")
    shapes = (shape, picture, shape or (1,))  # an array without dimensions is coded as one of one
    if not same or made.shape not in shapes:
        found = f"{made.dtype} {list(made.shape)}" if isinstance(made, np.ndarray) else type(made).__name__
        raise DamagedError(
            f"expected a chunk of {dtype} {list(shape)}, found {found}: it was written for another array"
        )
    array: Array = made.astype(dtype, copy=False)
    return array
