"""Compress a picture and a text, and get equal objects back."""

import numpy as np

import bfncodec

TEXT = "Lossless means that every byte comes back. " * 8


def gradient(height: int, width: int) -> np.ndarray:
    """A smooth picture with a little noise, uint8 [height, width, 3]."""
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack([rows + columns, 2 * rows, 128 + columns - rows], axis=-1)
    return (smooth + np.random.default_rng(1).integers(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


picture = gradient(32, 48)
for name, data, size in (("picture", picture, picture.nbytes), ("text", TEXT, len(TEXT.encode()))):
    blob = bfncodec.compress(data, level=1)  # from 1, fast, to 9, small
    back = bfncodec.decompress(blob)
    assert type(back) is type(data)
    assert np.array_equal(back, data)
    print(f"{name}: {size:,} bytes became {len(blob):,}, and came back equal")
