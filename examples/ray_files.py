"""Ray: a column of pictures compressed into a Parquet file and read back, and the files of a folder by two workers."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import ray
from ray.data import ActorPoolStrategy

from bfncodec.integrations.ray import Compress, Decompress, compress_files, decompress_files

ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    tiles = np.random.default_rng(3).integers(100, 110, (16, 32, 32, 3), dtype=np.uint8)
    column = {"column": "tile"}
    dataset = ray.data.from_numpy(tiles).rename_columns({"data": "tile"})
    small = dataset.map_batches(Compress, fn_constructor_kwargs=column, compute=ActorPoolStrategy(size=1))
    small.write_parquet(str(folder / "tiles"))  # a column of bytes

    back = ray.data.read_parquet(str(folder / "tiles")).map_batches(
        Decompress, fn_constructor_kwargs=column, compute=ActorPoolStrategy(size=1)
    )
    found = sorted(np.asarray(row["tile"]).tobytes() for row in back.iter_rows())
    assert found == sorted(tile.tobytes() for tile in tiles)

    (folder / "texts").mkdir()
    for n in range(10):
        (folder / "texts" / f"{n}.txt").write_text(f"Number {n} of ten short texts. " * 20)
    done = list(compress_files([str(folder / "texts")], str(folder / "small"), workers=2))
    print(f"{len(done)} files: {sum(d.source_bytes for d in done)} bytes to {sum(d.target_bytes for d in done)}")
    again = list(compress_files([str(folder / "texts")], str(folder / "small"), workers=2))
    assert {each.state for each in again} == {"kept"}  # a call that is made again goes on where it stopped
    list(decompress_files([str(folder / "small")], str(folder / "back"), workers=2))
    for n in range(10):
        assert (folder / "back" / f"{n}.txt").read_bytes() == (folder / "texts" / f"{n}.txt").read_bytes()
