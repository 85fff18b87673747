"""A Zarr store of tiles and one of texts: written and read many chunks at once, a tile and a region alone."""

import numpy as np
import zarr

from bfncodec.integrations.zarr import BfnArrayCodec, BfnBytesCodec

rng = np.random.default_rng(3)
steps = rng.normal(size=(16, 32, 32, 3)).cumsum(axis=1).cumsum(axis=2)
tiles = (128 + 4 * steps / steps.std() * 8).clip(0, 255).astype(np.uint8)
words = np.array(["See you at the station at six.", "Bring the umbrella.", "Running late, start without me."])

with zarr.config.set({"codec_pipeline.batch_size": 512}):  # chunks that are coded together; one unless this says more
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store,
        shape=tiles.shape,
        chunks=(1, 32, 32, 3),
        dtype=tiles.dtype,
        serializer=BfnArrayCodec(model="photo-fast", level=1),
        compressors=None,
    )
    array[:] = tiles

    found = zarr.open_array(store, mode="r")  # the codec is found by the name that the store has
    assert np.array_equal(found[:], tiles)
    assert np.array_equal(found.oindex[[11, 2]], tiles[[11, 2]])
    assert np.array_equal(found[5, 8:16, 8:16], tiles[5, 8:16, 8:16])
    print(f"{len(tiles)} tiles of {tiles[0].nbytes} bytes: {found.nbytes_stored() / len(tiles):,.0f} bytes each")

    texts = zarr.create_array({}, shape=words.shape, chunks=(2,), dtype=str, compressors=BfnBytesCodec("text-fast", 1))
    texts[:] = words
    assert list(texts[:]) == list(words)
    print(f"{len(words)} texts: {texts.nbytes_stored()} bytes with the metadata")
