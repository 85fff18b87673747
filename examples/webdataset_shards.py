"""Samples of webdataset with compressed fields: a picture and a text beside a class, written and read."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import webdataset

from bfncodec.integrations.webdataset import decoder, encoder

warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves files open
rng, (rows, columns) = np.random.default_rng(3), np.mgrid[:16, :16]

with tempfile.TemporaryDirectory() as folder:
    path = str(Path(folder, "shard.tar"))
    with webdataset.TarWriter(path, encoder=encoder("none")) as sink:
        for k in range(6):
            wave = 128 + 90 * np.sin(rows / rng.uniform(3, 9)) * np.cos(columns / rng.uniform(3, 9))
            tile = wave[..., None].repeat(3, axis=2).astype(np.uint8)
            sink.write({"__key__": f"{k:06}", "tile.bfn": tile, "text.bfn": f"wave {k}", "cls": k % 3})

    data = webdataset.WebDataset(path, shardshuffle=False).decode(decoder()).to_tuple("tile.bfn", "text.bfn", "cls")
    for tile, text, kind in data:
        print(tile.shape, tile.dtype, text, kind)
