"""The estimate of the least bytes without a model: the same with kernels and without, and not above what is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bfncodec.format.kinds import Method, Mode
from bfncodec.images import vp8l
from bfncodec.images.classical import encode_tile
from bfncodec.images.residuals import MOST_PIXELS, entropy, entropy_by_kernel, least_bytes
from bfncodec.images.vp8l import FAST, SLOWEST
from support.doubles import noise
from support.places import DEMO_FILES

Picture = np.ndarray[Any, Any]


def photo(height: int = 20, width: int = 20) -> Picture:
    """Return a piece of a photograph."""
    with Image.open(DEMO_FILES / "coffee.png") as image:
        return np.asarray(image.convert("RGB"))[100 : 100 + height, 200 : 200 + width]


def slope() -> Picture:
    y, x = np.mgrid[:32, :32]
    return (np.stack([3 * y + x, 2 * x + y, 4 * x], axis=2) + noise(4, 32, 32, 3) // 64).astype(np.uint8)


def tinted() -> Picture:
    """Return a piece of a photograph whose red and blue are shares of its green, almost."""
    grey = photo()[:, :, 1:2] * np.array([0.7, 1, 0.45])
    return (grey + noise(8, *photo().shape) // 48).astype(np.uint8)


def specks() -> Picture:
    """Return noise, half of which is cut off."""
    return (np.random.default_rng(9).normal(2, 14, (32, 32, 3)).clip(0, 255)).astype(np.uint8)


def two_kinds() -> Picture:
    return np.concatenate([photo(12, 24), noise(3, 12, 24, 3)])


def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that each search is put on."""
    found: list[tuple[int, int]] = []
    stream = vp8l._stream
    monkeypatch.setattr(vp8l, "_stream", lambda image, search: found.append(search) or stream(image, search))
    return found


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    made = noise(draw(st.integers(0, 99)), height, width, 3) // draw(st.sampled_from([1, 3, 16, 64, 255]))
    if draw(st.booleans()):
        made = np.cumsum(made, axis=draw(st.integers(0, 1)), dtype=np.uint8)
    return made[:: draw(st.sampled_from([-1, 1]))]


@given(pictures())
def test_a_kernel_finds_the_same_entropy(pixels: Picture) -> None:
    pytest.importorskip("numba")
    if min(pixels.shape[:2]) > 1:
        assert entropy_by_kernel(pixels) == entropy(pixels)


def reference(pixels: Picture) -> float:
    """Return the bits of what the best of five predictors leaves, pixel by pixel, by floats."""
    now, (height, width) = pixels.astype(int), pixels.shape[:2]
    guesses: list[Callable[[Any, Any, Any], Any]] = [
        lambda west, north, corner: west,
        lambda west, north, corner: 0 * west,
        lambda west, north, corner: north,
        lambda west, north, corner: (west + north) // 2,
        lambda west, north, corner: np.clip(west + north - corner, 0, 255),
    ]
    found, shares = [], {}
    for guess in guesses:
        left = np.array(
            [
                now[y, x] - guess(now[y, x - 1], now[y - 1, x], now[y - 1, x - 1])
                for y in range(1, height)
                for x in range(1, width)
            ]
        )
        signed = (left + 128) % 256 - 128
        green, total = signed[:, 1], bits(left[:, 1])
        for channel in (0, 2):
            fit = 8 * (signed[:, channel] @ green) / (green @ green)
            share = shares.setdefault(channel, np.clip(np.floor(fit + 0.5), -16, 16).astype(int))
            plane = left[:, channel]
            total += min(bits(plane), bits(plane - left[:, 1]), bits(plane - np.floor_divide(share * green, 8)))
        found.append(total)
    return min(found) * height * width / ((height - 1) * (width - 1))


def bits(left: Picture) -> float:
    counts = np.unique(left % 256, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


@pytest.mark.parametrize(
    "pixels",
    [photo(20, 13), slope()[:9], noise(5, 8, 8, 3) // 2, tinted()[:16]],
    ids=["photo", "slope", "noise", "tinted"],
)
def test_it_is_the_entropy_of_the_best_predictor(pixels: Picture) -> None:
    assert entropy(pixels) / 65536 == pytest.approx(reference(pixels), rel=1e-4)


@pytest.mark.parametrize(
    "pixels",
    [
        photo(),
        noise(1, 32, 32, 3) // 16,
        noise(2, 24, 16, 3) // 2,
        slope(),
        two_kinds(),
        tinted(),
        specks(),
        np.tile(noise(6, 16, 32, 3), (2, 1, 1)),
    ],
    ids=["photo", "sixteen_levels", "noise", "slope", "two_kinds", "tinted", "specks", "twice"],
)
def test_it_is_not_above_what_is_made(pixels: Picture) -> None:
    method, payload = encode_tile(pixels, Mode.RGB, None, SLOWEST)
    assert method in (Method.PICTURE, Method.LZMA)
    assert least_bytes(pixels) <= len(payload)


@pytest.mark.parametrize("pixels", [noise(1, 32, 32, 3) // 16, two_kinds(), np.tile(noise(6, 16, 32, 3), (2, 1, 1))])
def test_what_wins_by_a_byte_is_found(pixels: Picture) -> None:
    found = encode_tile(pixels, Mode.RGB, None, SLOWEST)
    assert encode_tile(pixels, Mode.RGB, len(found[1]) + 1, FAST) == found


def test_what_cannot_win_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, found = photo(), searches(monkeypatch)
    smallest = len(encode_tile(pixels, Mode.RGB, None, SLOWEST)[1])
    found.clear()
    assert encode_tile(pixels, Mode.RGB, smallest // 2, FAST)[0] is Method.STORED
    assert found == []
    encode_tile(pixels // 16 * 16, Mode.RGB, 60, FAST)
    assert found, "few colours are tried"


@pytest.mark.parametrize(
    "pixels",
    [
        noise(7, 1, 200, 3),
        noise(7, 200, 1, 3),
        noise(7, MOST_PIXELS // 64 + 1, 64, 3),
        np.tile(noise(7, 8, 8, 3), (4, 4, 1)),
        slope() // 8,
    ],
    ids=["row", "column", "large", "repeated", "smooth"],
)
def test_nothing_is_said_of_some(pixels: Picture) -> None:
    assert least_bytes(pixels) == 0
    assert least_bytes(noise(7, 16, 16, 3)) > 0
