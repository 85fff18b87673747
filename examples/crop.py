"""A region of a picture, without decoding the rest; and its thumbnail, without a network."""

import time

import numpy as np
from PIL import Image

import bfncodec

SIZE = HEIGHT, WIDTH = 160, 520
rng = np.random.default_rng(5)


def clouds() -> np.ndarray:
    """Noise with the spectrum of photographs, float64 [HEIGHT, WIDTH, 1]."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    frequency[0, 0] = 1
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=SIZE)) / frequency**1.6, SIZE)
    return (noise / noise.std())[..., None]


light = 128 + 45 * clouds() + 12 * np.concatenate([clouds() for _ in "RGB"], axis=-1)
picture = Image.fromarray(light.clip(0, 255).astype(np.uint8))

blob = bfncodec.compress(picture, model="photo-fast", preview=True)
found = bfncodec.describe(blob)
print(f"{picture.width} x {picture.height} pixels: {len(blob):,} bytes, segments {found.methods}")

began = time.monotonic()
detail = bfncodec.decompress(blob, crop=(440, 100, 60, 40))  # x, y, width, height
print(f"a region of {detail.width} x {detail.height} pixels, by what it needs, in {time.monotonic() - began:.2f} s")
assert np.array_equal(np.asarray(detail), np.asarray(picture)[100:140, 440:500])

thumbnail = bfncodec.preview(blob)
print(f"a thumbnail of {thumbnail.width} x {thumbnail.height} pixels, {found.preview_bytes:,} bytes of the file")
