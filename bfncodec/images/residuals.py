"""Residuals of simple predictors of small RGB pictures: an estimate of the bytes below which no classical coder gets.

VP8L predicts pixels, may subtract shares of green from red and blue, and codes what is left by Huffman codes ("WebP
Lossless Bitstream Specification", RFC 9649, section 4). Where most pixels have a colour of their own, palettes and
repeats are of little use to it, so it takes about the entropy of these residuals, whatever it searches. LZMA, which
predicts nothing, seldom takes less. Finding that entropy takes a tenth of the time of a quick search. All of it is
integers, so that what is decided by it is the same on every machine, with or without compiled kernels.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np

from bfncodec.networks.acceleration import CONVNET, SWITCH, Kernels, kernels_pay
from bfncodec.runtime.arrays import Array, Bytes, Ints, Ints32, Pixels
from bfncodec.runtime.jit import compiled, inlined

__all__ = ["MOST_PIXELS", "least_bytes"]

MOST_PIXELS = 1 << 14
_FRACTION = 16  # bits of a number of bits behind its point
_LEAST = 2  # bits a subpixel of the entropy below which nothing is said
_SHARE = (9, 10)
"""Share of the entropy that VP8L's slowest search takes at least. Of 769 pieces of photographs, graphics, slopes and
noise three took less, 0.86 at least, and LZMA took 0.95 at least. Where VP8L beat a model, that took more than 0.93."""
_GUESSES, _PLANES = 5, 7  # predictors; green, and red and blue: as they are, without green, without a share of it
_EIGHTHS, _MOST_GREEN = 8, 16  # in which that share is measured, and how many of them it is at most


def least_bytes(pixels: Pixels) -> int:
    """Return the bytes that VP8L's slowest search, or LZMA, makes at least of a picture, uint8 ``[H, W, 3]``, as an
    estimate.

    It is 0 where little can be said: few colours, little entropy, one row or column, more than MOST_PIXELS pixels.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < 2 or height * width > MOST_PIXELS:
        return 0
    bits = entropy_by_kernel(pixels) if _has_kernels(os.environ.get(SWITCH)) else entropy(pixels)
    share, whole = _SHARE
    return share * bits // (8 * whole << _FRACTION) if bits >= _LEAST * pixels.size << _FRACTION else 0


@lru_cache(maxsize=4)
def _has_kernels(_: str | None) -> bool:
    """Return whether the kernel is used, as those of models are; it takes a second to compile beside half a minute."""
    own = Kernels(__name__, "_entropy")
    return kernels_pay(0.0, CONVNET) and (own.compiled() or own.work())


@lru_cache(maxsize=1)
def _logarithms() -> Ints:
    """Return ``n log2 n`` of the numbers n up to MOST_PIXELS, with 16 bits behind the point: by squaring, bit by bit,
    in integers.
    """
    numbers = np.arange(MOST_PIXELS + 1, dtype=np.int64)
    whole = np.frexp(np.maximum(numbers, 1))[1].astype(np.int64) - 1
    found, power = whole, np.maximum(numbers, 1) << (30 - whole)  # of 1 to 2, times 2^30
    for _ in range(_FRACTION):
        power = power * power >> 30
        bit = power >> 31
        found, power = 2 * found + bit, power >> bit
    return numbers * found


# ---- in NumPy -----------------------------------------------------------------------------------


def entropy(pixels: Pixels) -> int:
    """Return the bits, with 16 behind the point, of the residuals of the best predictor; 0 where colours are few.

    pixels: uint8 ``[H, W, 3]``. Pixels of the first row and column count as those of the others do in the mean.
    """
    wide = pixels.astype(np.int32)
    colours = np.sort((wide[:, :, 0] << 16 | wide[:, :, 1] << 8 | wide[:, :, 2]).ravel())
    if 2 * np.count_nonzero(np.diff(colours, prepend=-1)) <= colours.size:
        return 0
    logarithms, left = _logarithms(), _residuals(wide)
    counts = np.stack([np.bincount(plane, minlength=256) for plane in left])
    saved = logarithms[counts].reshape(_GUESSES, _PLANES, 256).sum(2)
    planes = logarithms[left.shape[1]] - saved
    best = (planes[:, 0] + planes[:, 1:4].min(1) + planes[:, 4:].min(1)).min()
    return int(best) * int(colours.size) // int(left.shape[1])


def _residuals(pixels: Ints32) -> Bytes:
    """Return what each predictor leaves of each plane, modulo 256, ``[guesses * planes, pixels]``."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    west, north, corner = planes[:, 1:, :-1], planes[:, :-1, 1:], planes[:, :-1, :-1]
    both = west + north
    guesses = np.stack([np.zeros_like(west), west, north, both >> 1, (both - corner).clip(0, 255)])
    left = (planes[:, 1:, 1:] - guesses).astype(np.uint8).reshape(_GUESSES, 3, -1)
    red, green, blue = left[:, 0], left[:, 1], left[:, 2]
    signed = left.view(np.int8).astype(np.int32)
    found = [green]
    for channel, plane in ((0, red), (2, blue)):
        share = _share_of_green(signed[1, channel], signed[1, 1])
        found += [plane, plane - green, plane - (share * signed[:, 1] >> 3).astype(np.uint8)]
    return np.stack(found, axis=1).reshape(_GUESSES * _PLANES, -1)


def _share_of_green(plane: Ints32, green: Ints32) -> int:
    """Return the eighths of green that are subtracted from what is left of red or blue: least squares, rounded."""
    product, square = int((plane * green).sum()), int((green * green).sum())
    share = (2 * _EIGHTHS * product + square) // (2 * square) if square else 0
    return min(max(share, -_MOST_GREEN), _MOST_GREEN)


# ---- compiled -----------------------------------------------------------------------------------


def entropy_by_kernel(pixels: Pixels) -> int:
    """Return what :func:`entropy` does, compiled."""
    seen = np.zeros(2 << int(pixels.shape[0] * pixels.shape[1]).bit_length(), np.int32)
    counts = np.zeros((_GUESSES, _PLANES, 256), np.int32)
    return int(_entropy(np.array(pixels, order="C"), _logarithms(), counts, seen))


@compiled
def _entropy(pixels: Pixels, logarithms: Ints, counts: Array, seen: Ints32) -> Any:
    """Return what :func:`entropy` does. counts and seen: zeros, the second a power of two of them."""
    whole, inner = pixels.shape[0] * pixels.shape[1], (pixels.shape[0] - 1) * (pixels.shape[1] - 1)
    if 2 * _colours(pixels, seen) <= whole:
        return 0
    _count(pixels, counts)
    best = np.int64(1) << 62
    for k in range(_GUESSES):
        bits = _bits(counts[k, 0], logarithms, inner)
        for p in range(1, _PLANES, 3):
            one, two = _bits(counts[k, p], logarithms, inner), _bits(counts[k, p + 1], logarithms, inner)
            bits += min(one, two, _bits(counts[k, p + 2], logarithms, inner))
        best = min(best, bits)
    return best * whole // inner


@compiled
def _colours(pixels: Pixels, seen: Ints32) -> int:
    """Return the number of colours. seen: places for each of them, found from a hash of it on."""
    found = 0
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            colour = np.int64(pixels[y, x, 0]) << 16 | np.int64(pixels[y, x, 1]) << 8 | np.int64(pixels[y, x, 2])
            place = (colour * 0x9E3779B1 >> 15) & (len(seen) - 1)
            while seen[place] != 0 and seen[place] != colour + 1:
                place = (place + 1) & (len(seen) - 1)
            if seen[place] == 0:
                seen[place] = colour + 1
                found += 1
    return found


@compiled
def _count(pixels: Pixels, counts: Array) -> None:
    """Count the residuals of each predictor and plane."""
    of_red, of_blue = _fit(pixels, 0), _fit(pixels, 2)
    for y in range(1, pixels.shape[0]):
        for x in range(1, pixels.shape[1]):
            for k in range(_GUESSES):
                red, green, blue = _left(pixels, y, x, 0, k), _left(pixels, y, x, 1, k), _left(pixels, y, x, 2, k)
                signed = _signed(green)
                counts[k, 0, np.uint8(green)] += 1
                counts[k, 1, np.uint8(red)] += 1
                counts[k, 2, np.uint8(red - green)] += 1
                counts[k, 3, np.uint8(red - (of_red * signed >> 3))] += 1
                counts[k, 4, np.uint8(blue)] += 1
                counts[k, 5, np.uint8(blue - green)] += 1
                counts[k, 6, np.uint8(blue - (of_blue * signed >> 3))] += 1


@compiled
def _fit(pixels: Pixels, channel: int) -> Any:
    """Return what :func:`_share_of_green` does of what the pixel to the west leaves."""
    product, square = np.int64(0), np.int64(0)
    for y in range(1, pixels.shape[0]):
        for x in range(1, pixels.shape[1]):
            green = _signed(_left(pixels, y, x, 1, 1))
            product += _signed(_left(pixels, y, x, channel, 1)) * green
            square += green * green
    if square == 0:
        return np.int64(0)
    return min(max((2 * _EIGHTHS * product + square) // (2 * square), -_MOST_GREEN), _MOST_GREEN)


@inlined
def _signed(residual: Any) -> Any:
    """Return a residual modulo 256, -128 to 127."""
    return ((residual + 128) & 255) - 128


@inlined
def _left(pixels: Pixels, y: int, x: int, channel: int, guess: int) -> Any:
    """Return what a predictor leaves of a sample."""
    west, north = np.int64(pixels[y, x - 1, channel]), np.int64(pixels[y - 1, x, channel])
    if guess == 0:
        expected: Any = np.int64(0)
    elif guess == 1:
        expected = west
    elif guess == 2:
        expected = north
    elif guess == 3:
        expected = (west + north) >> 1
    else:
        expected = min(max(west + north - np.int64(pixels[y - 1, x - 1, channel]), 0), 255)
    return np.int64(pixels[y, x, channel]) - expected


@compiled
def _bits(counts: Ints32, logarithms: Ints, total: int) -> Any:
    """Return the entropy of residuals that were counted, all together."""
    saved = np.int64(0)
    for value in range(256):
        saved += logarithms[counts[value]]
    return logarithms[total] - saved
