"""Pictures for training from an archive: batches of a DataLoader, and shards that its workers share."""

import tempfile
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, StackDataset

import bfncodec
from bfncodec.files.options import Options
from bfncodec.integrations.torch import ArchiveDataset, ShardDataset

rng, (rows, columns) = np.random.default_rng(3), np.mgrid[:16, :16]
waves = [128 + 90 * np.sin(rows / rng.uniform(3, 9)) * np.cos(columns / rng.uniform(3, 9)) for _ in range(24)]
tiles = rng.normal(np.stack(waves)[..., None].repeat(3, axis=3), 2).clip(0, 255).astype(np.uint8)
labels = rng.integers(0, 10, len(tiles))
options = Options(model="photo-fast", level=1)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    bfncodec.write_archive(folder / "tiles.bfn", tiles, options)
    data = StackDataset(image=ArchiveDataset(folder / "tiles.bfn"), label=labels.tolist())
    for batch in DataLoader(data, batch_size=8, shuffle=True):  # num_workers=2 as well
        print(batch["image"].shape, batch["image"].dtype, batch["label"].tolist())

    for k in range(3):
        bfncodec.write_archive(folder / f"shard-{k}.bfn", tiles[8 * k : 8 * k + 8], options)
    shards = ShardDataset(sorted(folder.glob("shard-*.bfn")), shuffle=1)
    shards.set_epoch(5)
    print(sum(len(batch) for batch in DataLoader(shards, batch_size=8)), "items of", len(shards.shards), "shards")
