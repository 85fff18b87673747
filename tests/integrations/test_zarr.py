"""Codecs of Zarr's format 3 in stores, as Zarr's own guide makes, writes and reads them."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr", minversion="3.0", reason="zarr 3 is not installed")

from zarr.core.array_spec import ArrayConfig, ArraySpec  # noqa: E402
from zarr.core.buffer import default_buffer_prototype  # noqa: E402

import bfncodec  # noqa: E402
from bfncodec.errors import DamagedError, InputError  # noqa: E402
from bfncodec.integrations import chunks  # noqa: E402
from bfncodec.integrations.zarr import BfnArrayCodec, BfnBytesCodec  # noqa: E402
from support.doubles import FakeModels, noise  # noqa: E402

NONE = BfnArrayCodec("none")
RNG = np.random.default_rng(2)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    """Models that count what they are given, instead of those on this machine."""
    found = FakeModels()
    monkeypatch.setattr(chunks, "models", lambda: found)
    return found


def stored(
    data: np.ndarray[Any, Any], chunk: tuple[int, ...], codec: BfnArrayCodec = NONE, **options: Any
) -> zarr.Array:
    """Return an array in memory that was written and opened anew."""
    store = zarr.storage.MemoryStore()
    shape = {"shape": data.shape, "chunks": chunk, "dtype": data.dtype}
    zarr.create_array(store, serializer=codec, compressors=None, **shape, **options)[...] = data
    return zarr.open_array(store)


DATA = RNG.integers(0, 9, (5, 20, 30, 3), dtype="u1")
CASES = [
    (DATA, (1, 20, 30, 3)),
    (DATA, (2, 16, 16, 3)),
    (DATA[..., 0].astype("u2") * 500, (2, 20, 30)),
    (DATA[..., :1], (2, 20, 30, 1)),
    (DATA[0, 0], (7, 3)),
    (DATA[0, 0, :, 0], (7,)),
    (RNG.normal(size=(20, 7)), (8, 7)),
    (RNG.normal(size=(20, 7)).astype(">f4"), (8, 7)),
    (RNG.integers(-9, 9, (20, 7)), (8, 7)),
    (DATA[0, 0] > 4, (30, 3)),
    (np.array(7, "u1"), ()),
    (np.asfortranarray(DATA), (2, 20, 30, 3)),
]


@pytest.mark.parametrize(("data", "chunk"), CASES, ids=lambda x: str(getattr(x, "dtype", x)))
@pytest.mark.parametrize("batch", [1, 100])
def test_arrays_come_back(data: np.ndarray[Any, Any], chunk: tuple[int, ...], batch: int) -> None:
    with zarr.config.set({"codec_pipeline.batch_size": batch}):
        array = stored(data, chunk)
        assert array[...].tobytes() == np.ascontiguousarray(data).astype(array.dtype).tobytes()
        assert array.metadata.codecs == (NONE,)


SELECTIONS: list[tuple[str, Any]] = [
    ("basic", (3, slice(5, 9), slice(None, None, 4))),
    ("basic", (slice(1, 4), ..., 2)),
    ("basic", 2),
    ("oindex", ([4, 0, 3], slice(2, 9))),
    ("oindex", (np.array([True, False, True, False, True]), 3, [1, 29])),
    ("vindex", ([0, 4], [19, 2], [3, 3], [0, 2])),
    ("mask", DATA == 3),
]


@pytest.mark.parametrize(("way", "chosen"), SELECTIONS)
@pytest.mark.parametrize("chunk", [(1, 20, 30, 3), (2, 16, 16, 3)])
@pytest.mark.parametrize("batch", [1, 100])
def test_selections(way: str, chosen: Any, chunk: tuple[int, ...], batch: int) -> None:
    with zarr.config.set({"codec_pipeline.batch_size": batch}):
        array = stored(DATA, chunk)
        plain = zarr.create_array(zarr.storage.MemoryStore(), data=DATA, chunks=chunk)
        found, wanted = (
            each[chosen]
            if way == "basic"
            else each.get_mask_selection(chosen)
            if way == "mask"
            else getattr(each, way)[chosen]
            for each in (array, plain)
        )
        assert np.array_equal(found, wanted)


def test_chunks_are_written_in_part_and_left_out() -> None:
    array = stored(np.zeros_like(DATA), (2, 20, 30, 3))
    assert array.nchunks_initialized == 0
    array[1, 3:5] = DATA[1, 3:5]
    assert array.nchunks_initialized == 1
    assert np.array_equal(array[1, 3:5], DATA[1, 3:5])
    assert not array[1, 6:].any()
    assert not array[3].any()


def test_shards() -> None:
    array = stored(DATA, (1, 10, 30, 3), shards=(5, 20, 30, 3))
    assert np.array_equal(array[3, 2:15], DATA[3, 2:15])
    assert np.array_equal(array[:], DATA)


def test_chunks_are_coded_together(fakes: FakeModels) -> None:
    data = np.stack([noise(seed, 32, 32, 3) for seed in range(6)])
    with zarr.config.set({"codec_pipeline.batch_size": 100}):
        array = stored(data, (1, 32, 32, 3), BfnArrayCodec())
        assert fakes.codecs["image"].batches == [6 * 32 * 32]
        assert array.nbytes_stored() < data.nbytes / 20
        fakes.codecs["image"].decoded = 0
        assert np.array_equal(array[1:4], data[1:4])
        assert fakes.codecs["image"].decoded == 3


@pytest.mark.slow
def test_a_region_decodes_its_segments_alone(fakes: FakeModels) -> None:
    tiles = [[noise(3 * row + column, 512, 512, 3) for column in range(3)] for row in range(3)]
    data = np.concatenate([np.concatenate(row, axis=1) for row in tiles])
    array = stored(data, data.shape, BfnArrayCodec("photo", verify=False))
    assert np.array_equal(array[400:700, 100:400], data[400:700, 100:400])
    assert fakes.codecs["image"].decoded == 2  # of 9 segments


def test_one_of_the_pictures_of_a_chunk_is_decoded_alone(fakes: FakeModels) -> None:
    data = np.stack([noise(seed, 32, 32, 3) for seed in range(6)])
    array = stored(data, data.shape, BfnArrayCodec("photo", verify=False))
    assert np.array_equal(array[4, 5:9], data[4, 5:9])
    assert fakes.codecs["image"].decoded == 1
    assert np.array_equal(array[1:4], data[1:4])
    assert fakes.codecs["image"].decoded == 1 + 3


def test_texts(tmp_path: Path) -> None:
    words = np.array(["to be", "or not", "to be", "", "that is"])
    codec = BfnBytesCodec("none")
    array = zarr.create_array(tmp_path / "a.zarr", shape=words.shape, chunks=(2,), dtype=str, compressors=[codec])
    array[:] = words
    again = zarr.open_array(tmp_path / "a.zarr")
    assert list(again[:]) == list(words)
    assert again.metadata.codecs[-1] == codec


@pytest.mark.parametrize("codec", [BfnArrayCodec("photo", 3, False), BfnBytesCodec("none")])
def test_metadata(codec: BfnArrayCodec | BfnBytesCodec) -> None:
    found = codec.to_dict()
    settings = {"model": codec.model, "level": codec.level, "verify": codec.verify}
    assert found == {"name": codec.name, "configuration": settings}
    assert type(codec).from_dict(found) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec
    assert not codec.is_fixed_size
    with pytest.raises(NotImplementedError):
        codec.compute_encoded_size(1, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected model, level and verify"):
        type(codec).from_dict({"name": codec.name, "configuration": {"quality": 9}})


def test_single_chunks_without_a_loop() -> None:
    """As the synchronous pipelines of later versions of Zarr call codecs."""
    array = stored(DATA, DATA.shape)
    prototype = default_buffer_prototype()
    chunk = ArraySpec(DATA.shape, array.metadata.data_type, 0, ArrayConfig("C", False), prototype)
    data = prototype.nd_buffer.from_numpy_array(DATA)
    blob = NONE._encode_sync(data, chunk)
    assert blob is not None
    assert asyncio.run(NONE._encode_single(data, chunk)) == blob
    assert np.array_equal(NONE._decode_sync(blob, chunk).as_numpy_array(), DATA)
    assert np.array_equal(asyncio.run(NONE._decode_single(blob, chunk)).as_numpy_array(), DATA)
    packer = BfnBytesCodec("none")
    packed = packer._encode_sync(blob, chunk)
    assert packed is not None
    assert packer._decode_sync(packed, chunk) == blob
    assert asyncio.run(packer._decode_single(packed, chunk)) == blob


def test_what_cannot_be_stored() -> None:
    with pytest.raises(InputError, match="expected an array of numbers"):
        stored(np.zeros(3, "M8[s]"), (3,))
    with pytest.raises(InputError, match="codes a picture"):
        stored(np.zeros((4, 4)) + 1, (4, 4), BfnArrayCodec("photo"))


def test_damaged_chunks(tmp_path: Path) -> None:
    shape = {"shape": (4, 4), "chunks": (4, 4), "dtype": "u1"}
    array = zarr.create_array(tmp_path / "a.zarr", serializer=NONE, compressors=None, **shape)
    array[:] = DATA[0, :4, :4, 0]
    chunk = tmp_path / "a.zarr" / "c" / "0" / "0"
    good = chunk.read_bytes()
    assert np.array_equal(bfncodec.decompress(good), array[:])  # a chunk is a file of ours
    chunk.write_bytes(good[:-1])
    with pytest.raises(DamagedError, match="object 1 of 1"):
        array[:]
    chunk.write_bytes(bfncodec.compress(np.zeros((5, 5), "u1"), "none"))
    with pytest.raises(DamagedError, match="expected a chunk of uint8"):
        array[:]
