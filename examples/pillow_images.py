"""Pillow opens and saves .bfn files like those of any other format."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import bfncodec
import bfncodec.integrations.pillow  # all that is needed

rows, columns = np.mgrid[:240, :360]
image = Image.fromarray(np.stack([rows, columns // 2, 255 - rows], axis=-1).astype(np.uint8))

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "x.bfn")
    image.save(path, level=1, model="none", preview=True, dpi=(300, 300))
    with Image.open(path) as found:  # nothing is decoded yet
        print(f"{found.format} {found.mode} {found.size} {found.info}, {path.stat().st_size} bytes")
        assert np.array_equal(found, image)
    with Image.open(path) as found:
        found.thumbnail((120, 120))  # from the preview in the file
        print(f"thumbnail: {found.size}")

    # A picture file is what Pillow makes of that file.
    image.save(Path(folder, "y.png"))
    bfncodec.compress_file(Path(folder, "y.png"))
    with Image.open(Path(folder, "y.png.bfn")) as found:
        assert np.array_equal(found, image)
        print(f"y.png.bfn: {found.mode} {found.size}")
