"""Hypothesis strategies of what can be compressed."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from bfncodec.format.kinds import ARRAY_TYPES
from support.doubles import noise

MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")

sides = st.integers(1, 24)


@st.composite
def samples(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """uint8: one value, few values, a slope, or noise."""
    size = int(np.prod(shape))
    seed = draw(st.integers(0, 20))
    kind = draw(st.sampled_from(["flat", "few", "slope", "noise"]))
    if kind == "flat":
        return np.full(shape, draw(st.integers(0, 255)), np.uint8)
    if kind == "few":
        return (noise(seed, *shape) % 3 * 100).astype(np.uint8)
    if kind == "slope":
        return (np.arange(size) % 251).astype(np.uint8).reshape(shape)
    return noise(seed, *shape)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """uint8 and uint16 of 0 to 4 dimensions, empty ones and pictures among them."""
    pictures = st.tuples(sides, sides, st.sampled_from([1, 2, 3, 4]))
    shape = draw(st.lists(st.integers(0, 9), max_size=4).map(tuple) | pictures | st.tuples(sides, sides))
    low = np.asarray(draw(samples(shape)))  # operations on arrays without dimensions give scalars
    if draw(st.booleans()):
        return low
    wide = low.astype(np.uint32) * 257 + 3 & 0xFFFF
    return np.asarray(wide).astype(draw(st.sampled_from(["<u2", ">u2"])))


@st.composite
def number_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of every type of number, of any bits, few values or a slope, of 0 to 4 dimensions, empty ones too."""
    dtype = np.dtype(draw(st.sampled_from(sorted(ARRAY_TYPES))))
    shape = draw(st.lists(st.integers(0, 9), max_size=4).map(tuple) | st.tuples(st.integers(0, 3000)))
    size = int(np.prod(shape))
    if draw(st.booleans()):
        return noise(draw(st.integers(0, 20)), size * dtype.itemsize).view(dtype).reshape(shape)
    step = draw(st.sampled_from([0, 1, 7, -3]))
    return np.asarray((np.arange(size) * step).astype(dtype).reshape(shape))


@st.composite
def images(draw: st.DrawFn) -> Image.Image:
    """Pillow images of all modes served, some with palette, transparency and info."""
    mode, width, height = draw(st.sampled_from(MODES)), draw(sides), draw(sides)
    channels = {"RGB": 3, "RGBA": 4, "LA": 2, "I;16": 2}.get(mode, 1)
    if mode == "1":
        image = Image.frombytes("L", (width, height), draw(samples((height, width))).tobytes()).convert("1")
    else:
        image = Image.frombytes(mode, (width, height), draw(samples((height, width, channels))).tobytes())
    if mode == "P":
        count, rawmode = draw(st.integers(0, 256)), draw(st.sampled_from(["RGB", "RGBA"]))
        image.putpalette(noise(5, count * len(rawmode)).tobytes(), rawmode)
        if draw(st.booleans()):
            image.info["transparency"] = draw(st.integers(0, 255) | st.binary(min_size=1, max_size=9))
    if draw(st.booleans()):
        image.info |= {"dpi": (72.0, 71.5), "icc_profile": draw(st.binary(max_size=200)), "Title": draw(st.text())}
    return image


texts = st.text(st.characters(codec=None))
noises = st.builds(lambda seed, size: noise(seed, size).tobytes(), st.integers(0, 12), st.integers(0, 4000))
contents = st.one_of(st.binary(max_size=2000), texts, noises)
