"""An archive of items: written, added to, and read item by item, by number and by name."""

import tempfile
from pathlib import Path

import numpy as np

import bfncodec
from bfncodec.files.options import Options

rng, (rows, columns) = np.random.default_rng(3), np.mgrid[:32, :32]
waves = [128 + 90 * np.sin(rows / rng.uniform(3, 9)) * np.cos(columns / rng.uniform(3, 9)) for _ in range(24)]
tiles = rng.normal(np.stack(waves)[..., None].repeat(3, axis=3), 2).clip(0, 255).astype(np.uint8)
options = Options(model="photo-fast", level=1)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "tiles.bfn")
    bfncodec.write_archive(path, tiles, options)
    bfncodec.append_items(path, tiles[:3], options)
    with bfncodec.Archive(path) as archive:
        assert np.array_equal(archive[7], tiles[7])
        assert np.array_equal(np.stack(archive[20:]), np.concatenate([tiles[20:], tiles[:3]]))
        payload = sum(archive.describe(k).file_bytes - 12 for k in range(len(archive)))
        print(f"{len(archive)} tiles: {path.stat().st_size:,} bytes, {payload:,} of them payload")

    notes = Path(folder, "notes.bfn")
    bfncodec.write_archive(
        notes, {"a/text": "to be", "a/bytes": b"or not", "numbers": np.arange(3)}, Options(model="none")
    )
    with bfncodec.Archive(notes) as archive:
        print(list(archive.keys()), archive["a/text"], archive["numbers"])
