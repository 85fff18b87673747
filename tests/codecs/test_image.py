"""What an image codec does beyond RGB in its natural orientation: grey images, turned images, dilated networks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bfncodec
from bfncodec.codecs.grouping import Sizes, grouped
from bfncodec.codecs.image import ImageCodec
from bfncodec.codecs.orientations import TRIED, TRIED_OF_SMALL, turn, turn_back
from bfncodec.errors import DamagedError, InputError, ModelError
from bfncodec.flow import Wavefront
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.wire import Reader, varint
from bfncodec.networks.acceleration import SWITCH
from bfncodec.networks.convnet.config import ConvNetConfig
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.training.export import export
from support.check import check_codec, check_length
from support.doubles import noise
from support.pairs import randomise
from support.strategies import samples

Image = NDArray[np.uint8]


def codec(folder: Path, channels: object, dilations: tuple[int, ...] = (1, 3), bits: int = 8) -> ImageCodec:
    shape = ConvNetConfig(width=16, hidden=24, blocks=2, mixtures=2, dilations=dilations, bits=bits)
    network = ConvNet(shape)
    randomise(network, 0, head=0.3)
    export(network, {"name": "tiny", "role": "image", "channels": channels, "network": shape.to_dict()}, folder)
    found = bfncodec.load(folder)
    assert isinstance(found, ImageCodec)
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> ImageCodec:
    return codec(tmp_path_factory.mktemp("both"), [1, 3])


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> ImageCodec:
    return codec(tmp_path_factory.mktemp("colour"), [3], bits=16)


@st.composite
def pictures(draw: st.DrawFn) -> Image:
    height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    return draw(samples((height, width, draw(st.sampled_from([1, 3])))))


SHAPES = [
    (5, 4, 3),
    (5, 7, 1),
    (5, 7, 3),
    (7, 5, 1),
    (5, 7, 1),
    (1, 1, 3),
    (7, 5, 3),
    (9, 2, 3),
    (1, 1, 3),
    (33, 40, 3),
]


@pytest.mark.slow
def test_pictures_of_many_sizes(image_codec: ImageCodec) -> None:
    check_codec(image_codec, [noise(i, *shape) for i, shape in enumerate(SHAPES) if shape[2] == 3])


@pytest.mark.slow
@pytest.mark.parametrize("thorough", [False, True])
def test_grey_and_coloured_pictures_of_many_sizes(both: ImageCodec, thorough: bool) -> None:
    check_codec(both, [noise(i, *shape) >> 1 for i, shape in enumerate(SHAPES)], thorough=thorough)


@pytest.mark.slow
@settings(max_examples=25)
@given(x=pictures(), thorough=st.booleans())
@example(x=np.zeros((1, 1, 1), np.uint8), thorough=True)
@example(x=noise(1, 1, 40, 1), thorough=False)
@example(x=noise(1, 40, 1, 1), thorough=True)
def test_grey_and_colour_round_trip(both: ImageCodec, x: Image, thorough: bool) -> None:
    (payload,) = both.encode_batch([x], thorough=thorough)
    back = both.decode(payload)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, x)
    reader = Reader(payload)
    head = ImageHead.read(reader)
    assert (head.height, head.width, head.channels) == x.shape
    if not thorough:
        report = both.codelength(x)
        assert report.dims == x.size
        assert 8 * len(reader.rest()) <= 1.0002 * report.bits + 64


def test_a_grey_image_costs_less_than_in_colour(both: ImageCodec) -> None:
    grey = noise(2, 30, 30, 1) >> 4
    assert len(both.encode(grey)) < 0.8 * len(both.encode(np.repeat(grey, 3, 2)))


@given(x=pictures(), orientation=st.integers(0, 7))
def test_turning_back_undoes_turning(x: Image, orientation: int) -> None:
    np.testing.assert_array_equal(turn_back(turn(x, orientation), orientation), x)


def test_the_eight_orientations_differ() -> None:
    x = noise(3, 5, 5, 3)
    assert len({turn(x, orientation).tobytes() for orientation in range(8)}) == 8


@settings(max_examples=8)
@given(x=pictures(), orientation=st.integers(0, 7))
def test_every_orientation_decodes(both: ImageCodec, x: Image, orientation: int) -> None:
    """Also those this encoder does not try."""
    upright = both.encode(np.ascontiguousarray(turn(x, orientation)))
    reader = Reader(upright)
    ImageHead.read(reader)
    payload = ImageHead(x.shape[0], x.shape[1], x.shape[2], orientation).write() + reader.rest()
    np.testing.assert_array_equal(both.decode(payload), x)


@pytest.mark.slow
def test_thorough_payloads_are_the_shortest_of_those_tried(both: ImageCodec) -> None:
    ramp = np.add.outer(np.arange(24) ** 2, np.arange(31) * 3)[..., None] + np.arange(3)
    xs = [np.ascontiguousarray(turn(ramp.astype(np.uint8), o)) for o in (*TRIED, *TRIED_OF_SMALL)]
    done: list[int] = []
    payloads = both.encode_batch(xs, done.append, thorough=True)
    assert sum(done) == sum(x.shape[0] * x.shape[1] for x in xs)
    plain = [len(both.encode(x)) for x in xs]
    best = min(plain)
    assert max(plain) > best + 2  # the orientation matters here
    assert all(len(p) <= best + 2 for p in payloads)


@pytest.mark.slow
def test_large_images_are_tried_in_fewer_orientations(both: ImageCodec) -> None:
    ramp = np.add.outer(np.arange(24) ** 2, np.arange(31) * 3)[..., None] + np.arange(3)
    xs = [np.ascontiguousarray(turn(ramp.astype(np.uint8), o)[:k]) for o in range(8) for k in (9, 24)]
    of_all = both.encode_batch(xs, thorough=True)
    codec = both.with_sizes(Sizes(small=300))
    some = codec.encode_batch(xs, thorough=True)
    assert some == [codec.encode_batch([x], thorough=True)[0] for x in xs]
    assert of_all != some
    for x, payload in zip(xs, some, strict=True):
        np.testing.assert_array_equal(both.decode(payload), x)
        if x.shape[0] * x.shape[1] > 300:
            assert ImageHead.read(Reader(payload)).orientation in TRIED


def test_models_say_which_images_they_know(colour: ImageCodec, both: ImageCodec, tmp_path: Path) -> None:
    assert (colour.channels, both.channels) == ((3,), (1, 3))
    grey = noise(0, 4, 5, 1)
    with pytest.raises(InputError, match=r"found uint8 \[4, 5, 3\] MaskedArray$"):
        colour.encode(np.ma.masked_array(noise(1, 4, 5, 3)))
    with pytest.raises(InputError, match=r"expected an RGB image, uint8 \[height, width, 3\], found uint8 \[4, 5, 1\]"):
        colour.encode(grey)
    with pytest.raises(InputError, match=r"expected a grey image.* or an RGB image.*found"):
        both.encode(noise(0, 4, 5, 2))
    with pytest.raises(DamagedError, match="found 1"):
        colour.decode(both.encode(grey))
    for wrong in ([], [2], [3, 4], 3, "both", [[1]]):
        with pytest.raises(ModelError, match="do not fit"):
            codec(tmp_path / "wrong", wrong)


@pytest.mark.slow
def test_flipped_and_cut_grey_payloads_are_damage_or_another_image(both: ImageCodec) -> None:
    """Never another kind of error, never another shape than the head says."""
    x = noise(4, 9, 8, 1)
    payload = both.encode_batch([x], thorough=True)[0]
    rng = np.random.default_rng(0)
    for _ in range(60):
        wrong = bytearray(payload[: rng.integers(len(payload) + 1)] if rng.random() < 0.3 else payload)
        if wrong:
            wrong[rng.integers(min(len(wrong), 6))] ^= 1 << rng.integers(8)
        try:
            head = ImageHead.read(Reader(bytes(wrong)))
            if head.height * head.width > 1000:
                continue
            found = both.decode(bytes(wrong))
        except DamagedError:
            continue
        assert found.shape == (head.height, head.width, head.channels)


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 3])), max_size=30),
    st.integers(1, 4),
)
def test_groups_share_the_work(shapes: list[tuple[int, int, int]], threads: int) -> None:
    groups = grouped(shapes, threads, Sizes.batch)
    assert sorted(i for group in groups for i in group) == list(range(len(shapes)))
    for group in groups:
        assert len({shapes[i][2] for i in group}) == 1
        lines = [width + 2 * (height - 1) for height, width in (shapes[i][:2] for i in group)]
        assert max(lines) <= 2 * min(lines)


def test_images_of_one_size_are_shared_out_evenly() -> None:
    for count, threads in ((4, 2), (7, 2), (9, 4), (1, 4)):
        sizes = sorted(len(group) for group in grouped([(300, 200, 3)] * count, threads, Sizes.batch))
        assert len(sizes) == min(count, threads)
        assert sizes[-1] - sizes[0] <= 1
    assert len(grouped([(512, 512, 3)] * 48, 1, 1 << 22)) == 48 * 512 * 512 >> 22


@st.composite
def coloured(draw: st.DrawFn) -> Image:
    height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    return draw(samples((height, width, 3)))


@pytest.mark.slow
@settings(max_examples=25)
@given(x=coloured())
@example(x=np.zeros((1, 1, 3), np.uint8))
@example(x=np.zeros((1, 3, 3), np.uint8))
@example(x=noise(1, 1, 40, 3))
@example(x=noise(1, 40, 1, 3))
def test_images_round_trip(image_codec: ImageCodec, x: Image) -> None:
    payload = image_codec.encode(x)
    back = image_codec.decode(payload)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, x)
    report = image_codec.codelength(x)
    assert report.dims == x.size
    assert len(report.kl) == Wavefront(*x.shape[:2]).n_steps
    assert report.reconstruction == 0
    check_length(image_codec, x, payload, lucky=not x.any())  # zeros may have a code of zeros


@pytest.mark.slow
def test_an_image_is_as_long_as_its_ideal_bits(image_codec: ImageCodec) -> None:
    """Long enough that 64 bits do not hide a coder that wastes 0.1%."""
    x = noise(7, 100, 150, 3)
    assert image_codec.codelength(x).bits > 300_000
    check_length(image_codec, x, image_codec.encode(x))


def test_the_bits_of_an_image_stand_at_the_steps_that_spend_them(image_codec: ImageCodec) -> None:
    """Changing the last step's pixel changes only the last step's bits."""
    x = noise(3, 6, 9, 3)
    y = x.copy()
    y[-1, -1] ^= 255
    a, b = image_codec.codelength(x).kl, image_codec.codelength(y).kl
    np.testing.assert_array_equal(a[:-1], b[:-1])
    assert a[-1] != b[-1]


@pytest.mark.parametrize(("dilations", "shape"), [((1,), (20, 80, 3)), ((1, 3), (45, 11, 1)), ((2,), (33, 34, 3))])
def test_threads_that_share_the_lines_of_an_image_give_the_same_bytes(
    tmp_path: Path, dilations: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    found, x, done = codec(tmp_path, [1, 3], dilations), noise(5, *shape), list[int]()
    found.threads = 1
    payload = found.encode(x)
    found.threads = 2
    small = found.with_sizes(Sizes(block=40, each=1, share=1, memories=1))
    assert len(small._shares([x], small.network.exact, 2)) > 2
    assert small.encode_batch([x], progress=done.append) == [payload]
    assert sum(done) == shape[0] * shape[1]
    np.testing.assert_array_equal(found.decode(payload), x)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_that_share_the_lines_of_a_decoded_image_find_the_same(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are more of them than processors; and none of them is left."""
    pytest.importorskip("numba")
    monkeypatch.setenv(SWITCH, "always")
    found, x, done = codec(tmp_path, [1, 3], (1, 2)), noise(5, 20, 80, 3), list[int]()
    payload, before = found.encode(x), threading.active_count()
    found.threads = threads
    small = found.with_sizes(Sizes(block=50, each=1, shared=1, readers=threads))
    for image in small.decode_batch([payload], done.append):
        np.testing.assert_array_equal(image, x)
    assert sum(done) == 20 * 80
    assert threading.active_count() == before


def test_many_blocks_and_groups_give_the_same_bytes(image_codec: ImageCodec) -> None:
    """How many pixels the network sees at once, and how many images, is nobody's business but memory's."""
    xs = [noise(i, 20, 11, 3) for i in range(3)]
    payloads = image_codec.encode_batch(xs)
    codec = image_codec.with_sizes(Sizes(batch=500, block=17, each=1))
    assert codec.encode_batch(xs) == payloads
    for x, back in zip(xs, codec.decode_batch(payloads), strict=True):
        np.testing.assert_array_equal(back, x)


def test_views_of_images_round_trip(image_codec: ImageCodec) -> None:
    x = noise(5, 12, 16, 3)[::-2, 1::3]
    np.testing.assert_array_equal(image_codec.decode(image_codec.encode(x)), x)


def test_rows_of_a_mapped_file_are_images(image_codec: ImageCodec, tmp_path: Path) -> None:
    images = noise(3, 2, 4, 5, 3)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert image_codec.encode_batch(list(mapped)) == image_codec.encode_batch(list(images))


@pytest.mark.parametrize(
    "x", [noise(0, 4, 4), noise(0, 4, 4, 4), noise(0, 0, 4, 3), noise(0, 4, 4, 3).astype(np.uint16), b"abc", None]
)
def test_what_is_no_image_is_refused(image_codec: ImageCodec, x: Any) -> None:
    with pytest.raises(InputError, match=r"expected an RGB image.*found"):
        image_codec.encode(x)


@settings(max_examples=30)
@given(sides=st.tuples(st.integers(1, 6), st.integers(0, 6)), body=st.binary(max_size=60))
def test_garbage_images(image_codec: ImageCodec, sides: tuple[int, int], body: bytes) -> None:
    try:
        found = image_codec.decode(varint(sides[0]) + varint(sides[1]) + body)
    except DamagedError:
        return
    assert found.shape == (*sides, 3)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        varint(3),
        varint(0) + varint(4),
        varint(4) + varint(0),
        varint(1 << 21) + varint(1 << 20),
        b"\xff" * 12,
    ],
)
def test_impossible_image_sizes(image_codec: ImageCodec, payload: bytes) -> None:
    with pytest.raises(DamagedError, match=r"expected|cut off"):
        image_codec.decode(payload)


def test_surprise_is_the_ideal_by_place(both: ImageCodec) -> None:
    for shape in ((5, 7, 3), (7, 5, 1), (1, 1, 3)):
        x = noise(1, *shape)
        found, schedule = both.surprise(x), Wavefront(*shape[:2])
        assert found.shape == shape[:2]
        by_step = np.bincount(schedule.step_of, found.ravel(), schedule.n_steps)
        np.testing.assert_allclose(by_step, both.codelength(x).kl, rtol=1e-9)


def test_surprise_of_the_last_pixel_is_its_own(both: ImageCodec) -> None:
    x = noise(1, 5, 7, 3)
    before = both.surprise(x)
    x[4, 6] ^= 1
    assert np.argwhere(both.surprise(x) != before).tolist() == [[4, 6]]
