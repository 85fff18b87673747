from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.codecs.protocol import Capabilities
from bfncodec.errors import DamagedError, FormatError, InputError, ModelNotFoundError
from bfncodec.format.kinds import Method
from bfncodec.format.limits import Limits
from bfncodec.segments.policy import Policy
from support.doubles import FakeCodec, FakeModels, noise
from support.frames import segments_of
from support.strategies import MODES, arrays, contents, images, texts


def back(data: Any, **options: Any) -> Any:
    options.setdefault("model", "none")
    codecs = options.pop("codecs", None)
    return bfncodec.decompress(bfncodec.compress(data, codecs=codecs, **options), codecs=codecs)


def equal(one: Any, other: Any) -> bool:
    """Equality in everything that must come back, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and one.dtype.str == other.dtype.str and one.tobytes() == other.tobytes()
    if isinstance(one, Image.Image):
        return one == other and one.getpalette(rawmode=None) == other.getpalette(rawmode=None)
    return bool(one == other)


# ---- round trips --------------------------------------------------------------------------------


@given(contents)
def test_bytes_and_text_come_back(data: bytes | str) -> None:
    assert equal(back(data), data)


@given(contents)
def test_bytes_and_text_come_back_through_a_model(data: bytes | str) -> None:
    assert equal(back(data, model="auto", codecs=FakeModels()), data)


CHANNELS = st.sampled_from([(3,), (1,), (1, 3)])


@given(arrays(), CHANNELS)
def test_arrays_come_back(array: np.ndarray[Any, Any], channels: tuple[int, ...]) -> None:
    assert equal(back(array), array)
    assert equal(back(array, model="auto", codecs=FakeModels(channels)), array)


@pytest.mark.slow
@settings(max_examples=120)
@given(images())
def test_images_come_back(image: Image.Image) -> None:
    assert equal(back(image), image)


@pytest.mark.slow
@given(images(), CHANNELS, st.integers(1, 9))
def test_images_come_back_through_a_model(image: Image.Image, channels: tuple[int, ...], level: int) -> None:
    assert equal(back(image, model="auto", codecs=FakeModels(channels), level=level), image)


def test_arrays_that_are_views_come_back() -> None:
    array = noise(3, 40, 30, 3)
    for view in (array[::2, ::-1], array.transpose(1, 0, 2), array[:, :, ::-1], array[:, :, 0].T):
        assert equal(back(view), view)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_cut_into_tiles(mode: str) -> None:
    image = Image.frombytes("RGBA", (37, 50), noise(1, 37 * 50 * 4).tobytes())
    image = image.convert("L") if mode == "I;16" else image.convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200)
    blob = bfncodec.compress(image, model="none", policy=Policy(plain_tile=16))
    assert len(segments_of(blob)) == 3 * 4
    assert equal(bfncodec.decompress(blob), image)


def test_bytes_are_cut_into_segments() -> None:
    data = noise(1, 150).tobytes() + bytes(151)
    blob = bfncodec.compress(data, model="none", policy=Policy(plain_segment=100))
    methods = [part.method for part in segments_of(blob)]
    assert methods == [Method.STORED, Method.STORED, Method.LZMA, Method.LZMA]
    assert bfncodec.decompress(blob) == data


# ---- models -------------------------------------------------------------------------------------


def test_the_model_is_used_where_it_wins() -> None:
    models = FakeModels()
    for data in (noise(3, 30, 30, 3), noise(3, 900).tobytes()):
        blob = bfncodec.compress(data, codecs=models)
        assert len(blob) < 60
        assert bfncodec.describe(blob).methods == {"model": 1}
        assert equal(bfncodec.decompress(blob, codecs=models), data)


def test_the_smaller_is_kept_where_the_model_loses() -> None:
    models = FakeModels()
    assert bfncodec.describe(bfncodec.compress(bytes(900), codecs=models)).methods == {"lzma": 1}
    flat = np.zeros((30, 30, 3), np.uint8)
    assert bfncodec.describe(bfncodec.compress(flat, "photo", codecs=models)).methods == {"picture": 1}


def test_tiles_are_chosen_one_by_one() -> None:
    array = np.zeros((40, 60, 3), np.uint8)
    array[:20, :20], array[20:, 40:], array[20:, :20], array[:20, 20:40] = (noise(s, 20, 20, 3) for s in (1, 2, 3, 4))
    models = FakeModels()
    blob = bfncodec.compress(array, "photo", codecs=models, policy=Policy(model_tile=20))
    assert bfncodec.describe(blob).methods == {"model": 4, "picture": 2}
    assert equal(bfncodec.decompress(blob, codecs=models), array)


@pytest.mark.slow
def test_codecs_are_given_a_bounded_number_of_pixels() -> None:
    models = FakeModels()
    models.codecs["image"].capabilities = Capabilities(channels=(3,), batch=1000)
    bfncodec.compress(noise(30, 100, 60, 3), "photo", codecs=models, policy=Policy(model_tile=20))
    assert models.codecs["image"].batches == [800] * 7 + [400]


def test_opacity_goes_beside_the_model() -> None:
    models = FakeModels()
    array = np.concatenate([noise(3, 30, 30, 3), np.full((30, 30, 1), 7, np.uint8)], axis=2)
    blob = bfncodec.compress(array, codecs=models)
    assert bfncodec.describe(blob).methods == {"model": 1}
    assert len(blob) < 100
    assert equal(bfncodec.decompress(blob, codecs=models), array)


def grey_tiles(side: int = 30) -> Iterator[tuple[str, np.ndarray[Any, Any], int]]:
    """Name, tile and the bytes it takes at most where a model codes the noise in it, with grey."""
    colour = next(x for seed in range(10) if not (x := noise(seed, side, side, 3)).min())  # 16-bit tiles begin at 0
    grey = next(x for seed in range(10) if not (x := noise(seed, side, side, 1)).min())
    opacity = noise(9, side, side, 1)
    wide = grey.astype(np.uint16) << 3 | noise(20, side, side, 1) % 8 * (grey > 0)
    yield "L", grey[:, :, 0], 40
    yield "LA", np.dstack([grey, opacity]), 70
    yield "RGB", np.dstack([grey] * 3), 40
    yield "RGBA", np.dstack([colour, opacity]), 90
    yield "RGBA", np.dstack([grey, grey, grey, opacity]), 70
    yield "I;16", wide[:, :, 0], 500
    yield "I;16", grey[:, :, 0] * np.uint16(100) + np.uint16(77), 60
    yield "RGB;16", colour.astype(np.uint16) * 3, 80


@pytest.mark.parametrize(("mode", "tile", "size"), list(grey_tiles()))
def test_models_of_grey_serve_all_modes(mode: str, tile: np.ndarray[Any, Any], size: int) -> None:
    models = FakeModels((1, 3))
    blob = bfncodec.compress(tile, codecs=models)
    described = bfncodec.describe(blob)
    assert (described.mode, described.methods) == (mode, {"model": 1})
    assert len(blob) < size
    assert equal(bfncodec.decompress(blob, codecs=models), tile)
    with pytest.raises(DamagedError):  # the same model without grey
        bfncodec.decompress(blob, codecs=FakeModels((3,) if mode != "RGB;16" else (1,)))


@pytest.mark.parametrize(("mode", "tile", "size"), list(grey_tiles()))
def test_measure_and_progress_count_all_of_a_tile_once(mode: str, tile: np.ndarray[Any, Any], size: int) -> None:
    models, done = FakeModels((1, 3)), []
    found = bfncodec.measure(tile, codecs=models)
    assert found.ideal is not None
    assert found.model_bits == found.ideal.bits
    assert found.model_bits + found.plain_bits + found.frame_bits == 8 * found.container_bytes
    assert 0 < found.frame_bits <= 8 * 18
    blob = bfncodec.compress(tile, progress=done.append, codecs=models)
    assert sum(done) == tile.size
    done.clear()
    bfncodec.decompress(blob, progress=done.append, codecs=models)
    assert sum(done) == tile.size


def test_what_no_model_codes_is_not_asked_for() -> None:
    for mode in ("P", "1"):
        image = Image.fromarray(noise(3, 30, 30)).convert(mode)
        assert "model" not in bfncodec.describe(bfncodec.compress(image, codecs=FakeModels((1, 3)))).methods


def test_the_level_finds_the_model_and_its_effort() -> None:
    models = FakeModels()
    for level in range(1, 10):
        bfncodec.compress(noise(3, 30, 30, 3), level=level, codecs=models)
        assert models.level == level
        assert models.codecs["image"].thorough == (level >= 8)
    for level in (0, 10, 5.0, True):
        with pytest.raises(InputError, match="a level from 1"):
            bfncodec.compress(b"text", level=level, codecs=models)  # type: ignore[arg-type]


def test_codecs_without_more_effort_are_not_asked_for_it() -> None:
    models = FakeModels()
    models.codecs["image"].capabilities = Capabilities(channels=(3,))
    array = noise(3, 30, 30, 3)
    blob = bfncodec.compress(array, level=9, codecs=models)
    assert models.codecs["image"].batches
    assert not models.codecs["image"].thorough
    assert equal(bfncodec.decompress(blob, codecs=models), array)


def test_codecs_are_given_the_arrays_of_numbers_that_they_declare() -> None:
    models = FakeModels()
    models.codecs["text"].capabilities = Capabilities(item_shape=(2,), dtypes=("i2",))
    array = noise(3, 4000).view(np.int16).reshape(40, 50)
    blob = bfncodec.compress(array, "text", codecs=models)
    assert segments_of(blob)[0].method is Method.MODEL
    assert equal(bfncodec.decompress(blob, codecs=models), array)
    for other in (array.astype(">i2"), array.view(np.uint16).ravel(), array.astype(np.float32)):
        with pytest.raises(InputError, match=r"codes bytes, found an array of .*: no model serves it"):
            bfncodec.compress(other, "text", codecs=models)


def test_numbers_that_a_codec_does_not_shorten_take_what_they_take_without() -> None:
    models = FakeModels()
    models.codecs["text"].capabilities = Capabilities(item_shape=(2,), dtypes=("i2",))
    slope = (np.arange(5000) * 3).astype(np.int16)
    done: list[int] = []
    blob = bfncodec.compress(slope, "text", codecs=models, progress=done.append)
    assert blob == bfncodec.compress(slope, "none")
    assert sum(done) == slope.nbytes


def test_random_content_costs_no_model_time() -> None:
    class NoModels(FakeModels):
        def default(self, role: str, level: int = 5) -> FakeCodec:
            raise AssertionError("loaded")

    for data in (noise(77, 10_000).tobytes(), b"", b"tiny"):
        assert len(bfncodec.compress(data, codecs=NoModels())) == len(data) + 7


def test_a_sample_decides_about_longer_content() -> None:
    letters = (noise(5, 30_000) % 7).tobytes()
    models = FakeModels()
    bfncodec.compress(letters[:14_000], codecs=models)
    assert models.codecs["text"].batches != []
    models = FakeModels()
    bfncodec.compress(letters, codecs=models)
    bfncodec.compress(np.zeros((600, 600, 3), np.uint8), codecs=models)
    assert models.codecs["text"].batches == models.codecs["image"].batches == []


def test_a_named_model_must_code_that_kind_of_data() -> None:
    with pytest.raises(InputError, match="photo codes a picture, found bytes or text"):
        bfncodec.compress(b"text", "photo", codecs=FakeModels())
    with pytest.raises(InputError, match="text codes bytes or text, found a picture"):
        bfncodec.compress(noise(1, 4, 4, 3), "text", codecs=FakeModels())


def test_models_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bfncodec.models.search_path", lambda: [tmp_path])
    with pytest.raises(ModelNotFoundError):
        bfncodec.compress(b"text", "no-such")
    assert bfncodec.decompress(bfncodec.compress(b"text" * 40)) == b"text" * 40  # auto does without
    blob = bfncodec.compress(noise(3, 900).tobytes(), codecs=FakeModels())
    with pytest.raises(ModelNotFoundError):
        bfncodec.decompress(blob)


def test_progress_counts_everything_once() -> None:
    done: list[int] = []
    models, array = FakeModels(), noise(3, 30, 40, 3)
    blob = bfncodec.compress(array, progress=done.append, codecs=models)
    assert sum(done) == array.size
    done.clear()
    bfncodec.decompress(blob, progress=done.append, codecs=models)
    assert sum(done) == array.size


# ---- sizes --------------------------------------------------------------------------------------


@given(st.builds(noise, st.integers(20, 30), st.integers(0, 3000)))
def test_bytes_grow_by_the_frame_at_most(data: np.ndarray[Any, Any]) -> None:
    assert len(bfncodec.compress(data.tobytes(), model="none")) <= data.size + 7


@pytest.mark.slow
@settings(max_examples=40)
@given(st.builds(noise, st.integers(20, 30), st.integers(1, 40), st.integers(1, 40), st.integers(2, 4)))
def test_pictures_grow_by_the_frame_at_most(array: np.ndarray[Any, Any]) -> None:
    assert len(bfncodec.compress(array, model="none")) <= array.size + 10


# ---- what cannot be compressed ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["CMYK", "F", "I", "YCbCr", "HSV"])
def test_other_modes_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match=mode):
        bfncodec.compress(Image.new(mode, (2, 2)))


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(InputError, match="0 x 5"):
        bfncodec.compress(Image.new("RGB", (0, 5)))


# ---- damage -------------------------------------------------------------------------------------


def small_frames() -> Iterator[tuple[str, bytes]]:
    models = FakeModels()
    gradient = np.arange(300, dtype=np.uint8).reshape(10, 10, 3) // 8
    palette = Image.frombytes("P", (5, 5), bytes(range(25)))
    palette.putpalette(noise(1, 75).tobytes())
    palette.info["transparency"] = 3
    yield "stored", bfncodec.compress(b"abc", "none")
    yield "lzma", bfncodec.compress(b"to be or not to be " * 20, "none")
    yield "text", bfncodec.compress("ü" * 40, "none")
    yield "array", bfncodec.compress(np.zeros((2, 3, 4, 5), np.uint16), "none")
    yield "numbers", bfncodec.compress(np.linspace(0, 1, 40), "none")
    yield "differences", bfncodec.compress(np.arange(0, 9000, 9, ">i4").reshape(20, 50), "none")
    yield "bits", bfncodec.compress(noise(1, 200) < 128, "none")
    yield "bytearray", bfncodec.compress(bytearray(b"abc"), "none")
    yield "big-endian", bfncodec.compress(np.arange(20, dtype=">u2").reshape(4, 5) * 300, "none")
    yield "webp", bfncodec.compress(gradient, "none")
    yield "grey16", bfncodec.compress(np.arange(200, dtype=np.uint16).reshape(10, 20) * 300, "none")
    yield "palette", bfncodec.compress(palette, "none")
    yield "model", bfncodec.compress(noise(3, 60).tobytes(), codecs=models)
    yield "opacity", bfncodec.compress(np.dstack([noise(3, 20, 20, 3), np.ones((20, 20, 1), np.uint8)]), codecs=models)
    grey = FakeModels((1, 3))
    for name, tile, _ in grey_tiles(11):
        blob = bfncodec.compress(tile, codecs=grey)
        assert "model" in bfncodec.describe(blob).methods
        yield f"model, {name}", blob
    slope = np.add.outer(np.arange(8) * 900, np.arange(7) * 700).astype(np.uint16)
    yield "planes", bfncodec.compress(slope + noise(1, 8, 7), "none")
    yield "preview", bfncodec.compress(gradient, "none", preview=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "blob"), list(small_frames()), ids=[name for name, _ in small_frames()])
def test_every_flipped_bit_and_every_cut_is_an_error(name: str, blob: bytes) -> None:
    """A FormatError (or, for the bytes that name the model, a model that is not there), never another object."""
    codecs = FakeModels((1, 3))
    bfncodec.decompress(blob, codecs=codecs)
    damaged = [blob[:length] for length in range(len(blob))] + [blob + b"\0"]
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for number, bad in enumerate(damaged):
        expected = (FormatError, ModelNotFoundError) if number > len(blob) else FormatError
        with pytest.raises(expected):
            bfncodec.decompress(bad, codecs=codecs)


@pytest.fixture
def segmented() -> bytes:
    return bfncodec.compress(noise(1, 300).tobytes(), "none", policy=Policy(plain_segment=100))


def test_a_damaged_segment_is_named(segmented: bytes) -> None:
    bad = segmented.replace(noise(1, 300).tobytes()[150:160], bytes(10))
    with pytest.raises(DamagedError, match="segment 2 of 3: checksum mismatch"):
        bfncodec.decompress(bad)


def test_a_damaged_segment_loses_only_itself(segmented: bytes) -> None:
    data, lost = noise(1, 300).tobytes(), []
    bad = segmented.replace(data[150:160], bytes(10))
    assert bfncodec.decompress(bad, on_damage=lost.append) == data[:100] + bytes(100) + data[200:]
    assert [(damage.segment, damage.count, damage.extent) for damage in lost] == [(1, 3, ((100, 200),))]
    assert "checksum" in lost[0].reason


def test_a_damaged_tile_loses_only_itself() -> None:
    models, lost, array = FakeModels(), [], noise(30, 40, 40, 3)
    array[:20, 20:] = noise(1, 20, 20, 3)
    array[20:, 20:] = noise(2, 20, 20, 3)
    blob = bytearray(bfncodec.compress(array, "photo", codecs=models, policy=Policy(model_tile=20)))
    blob[blob.index(b"\x14\x14\x02") + 2] = 0  # the flag of a payload: the codec finds sizes that cannot be
    found = bfncodec.decompress(bytes(blob), on_damage=lost.append, codecs=models)
    array[:20, 20:] = 0
    assert equal(found, array)
    assert [damage.extent for damage in lost] == [((0, 20), (20, 40))]


def test_limits_can_be_set() -> None:
    blob = bfncodec.compress(np.zeros((100, 100), np.uint8), "none")
    with pytest.raises(DamagedError, match="limits"):
        bfncodec.decompress(blob, limits=Limits(pixels=9999))
    assert bfncodec.decompress(blob, limits=bfncodec.NO_LIMITS).shape == (100, 100)


# ---- measuring ----------------------------------------------------------------------------------


def test_measure_adds_up() -> None:
    models, data = FakeModels(), noise(3, 900).tobytes()
    found = bfncodec.measure(data, codecs=models)
    blob = bfncodec.compress(data, codecs=models)
    assert found.container_bytes == len(blob)
    assert found.ideal is not None
    assert found.ideal.reconstruction == 2.0
    assert found.model_bits == 8 * (len(blob) - 11) == found.ideal.bits + found.difference
    assert found.frame_bits == 8 * 11
    assert found.plain_bits == found.initial_bits == 0
    assert found.bits_per_dim == 8 * len(blob) / 900


def test_measure_counts_what_no_model_coded() -> None:
    found = bfncodec.measure(np.zeros((9, 9, 3), np.uint8), codecs=FakeModels())
    assert found.ideal is None
    assert found.model_bits == 0
    assert found.plain_bits + found.frame_bits == 8 * found.container_bytes
    assert found.dims == 243


# ---- the package --------------------------------------------------------------------------------


@given(texts)
def test_text_of_any_characters_comes_back(text: str) -> None:
    assert back(text) == text
