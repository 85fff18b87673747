"""What an image codec does beyond RGB in its natural orientation: grey images, turned images, dilated networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bfncodec
from bfncodec.codecs.image import TRIED, TRIED_OF_SMALL, ImageCodec, Sizes, _groups, turn, turn_back
from bfncodec.codecs.threads import in_threads
from bfncodec.errors import DamagedError, InputError, ModelError
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.wire import Reader, varint
from bfncodec.networks.convnet.model import ConvNet, ConvNetConfig
from bfncodec.training.export import export
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


def test_grey_and_colour_of_many_sizes_in_one_batch(both: ImageCodec) -> None:
    shapes = [(5, 7, 1), (5, 7, 3), (7, 5, 1), (5, 7, 1), (1, 1, 3), (7, 5, 3)]
    xs = [noise(i, *shape) for i, shape in enumerate(shapes)]
    for thorough in (False, True):
        payloads = both.encode_batch(xs, thorough=thorough)
        assert payloads == [both.encode_batch([x], thorough=thorough)[0] for x in xs]
        for x, back in zip(xs, both.decode_batch(payloads), strict=True):
            np.testing.assert_array_equal(back, x)


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


def test_large_images_are_tried_in_fewer_orientations(both: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.add.outer(np.arange(24) ** 2, np.arange(31) * 3)[..., None] + np.arange(3)
    xs = [np.ascontiguousarray(turn(ramp.astype(np.uint8), o)[:k]) for o in range(8) for k in (9, 24)]
    of_all = both.encode_batch(xs, thorough=True)
    monkeypatch.setattr(ImageCodec, "sizes", Sizes(small=300))
    some = both.encode_batch(xs, thorough=True)
    assert some == [both.encode_batch([x], thorough=True)[0] for x in xs]
    assert of_all != some
    for x, payload in zip(xs, some, strict=True):
        np.testing.assert_array_equal(both.decode(payload), x)
        if x.shape[0] * x.shape[1] > 300:
            assert ImageHead.read(Reader(payload)).orientation in TRIED


@settings(max_examples=200)
@given(
    st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.sampled_from([1, 3]), st.integers(0, 7), st.binary(max_size=3)
)
def test_heads_round_trip(height: int, width: int, channels: int, orientation: int, body: bytes) -> None:
    head = ImageHead(height, width, channels, orientation)
    reader = Reader(head.write() + body)
    assert ImageHead.read(reader) == head
    assert reader.rest() == body


def test_an_upright_colour_image_has_no_flags() -> None:
    assert ImageHead(300, 5).write() == varint(300) + varint(5)
    assert ImageHead(32, 32).write() == b"\x20\x20"


def test_tiles_say_their_size_in_their_flags() -> None:
    assert ImageHead(32, 32, 3, 2).write() == b"\0\x32"
    assert ImageHead(512, 512, 1).write() == b"\0\x78"
    assert ImageHead(32, 64, 3, 2).write() == b"\0\2\x20\x40"
    assert ImageHead(20, 20, 3, 2).write() == b"\0\2\x14\x14"
    assert ImageHead.read(Reader(b"\0\x02\x20\x20")) == ImageHead(32, 32, 3, 2)  # as earlier writers had it


@settings(max_examples=200)
@given(st.binary(max_size=8))
@example(b"\0\0\1\1")
@example(b"\0\1\1\1")
@example(b"\0\x10\1\1")
@example(b"\0\x81")
@example(b"\0\x82\1\1")
@example(b"\0\1\0\1")
@example(b"\1\0")
def test_what_reads_as_a_head_is_one(data: bytes) -> None:
    """Only what the writer writes is accepted, or an earlier one, who wrote all sizes."""
    reader = Reader(data)
    try:
        head = ImageHead.read(reader)
    except DamagedError:
        return
    assert data[: reader.offset] in (head.write(), data[:2] + varint(head.height) + varint(head.width))


def test_models_say_which_images_they_know(colour: ImageCodec, both: ImageCodec, tmp_path: Path) -> None:
    assert (colour.channels, both.channels) == ((3,), (1, 3))
    grey = noise(0, 4, 5, 1)
    with pytest.raises(InputError, match=r"expected an RGB image, uint8 \[height, width, 3\], found uint8 \[4, 5, 1\]"):
        colour.encode(grey)
    with pytest.raises(InputError, match=r"expected a grey image.* or an RGB image.*found"):
        both.encode(noise(0, 4, 5, 2))
    with pytest.raises(DamagedError, match="found 1"):
        colour.decode(both.encode(grey))
    for wrong in ([], [2], [3, 4], 3, "both", [[1]]):
        with pytest.raises(ModelError, match="do not fit"):
            codec(tmp_path / "wrong", wrong)


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


def test_one_thread_and_two_give_the_same_bytes(both: ImageCodec) -> None:
    xs = [noise(i, 33, 40, 3) >> 3 for i in range(4)]
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(both.encode_batch(xs))
            for x, back in zip(xs, both.decode_batch(found[0]), strict=True):
                np.testing.assert_array_equal(back, x)
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 3])), max_size=30),
    st.integers(1, 4),
)
def test_groups_share_the_work(shapes: list[tuple[int, int, int]], threads: int) -> None:
    groups = _groups(shapes, threads, Sizes.batch)
    assert sorted(i for group in groups for i in group) == list(range(len(shapes)))
    for group in groups:
        assert len({shapes[i][2] for i in group}) == 1
        lines = [width + 2 * (height - 1) for height, width in (shapes[i][:2] for i in group)]
        assert max(lines) <= 2 * min(lines)


def test_images_of_one_size_are_shared_out_evenly() -> None:
    for count, threads in ((4, 2), (7, 2), (9, 4), (1, 4)):
        sizes = sorted(len(group) for group in _groups([(300, 200, 3)] * count, threads, Sizes.batch))
        assert len(sizes) == min(count, threads)
        assert sizes[-1] - sizes[0] <= 1
    assert len(_groups([(512, 512, 3)] * 48, 1, 1 << 22)) == 48 * 512 * 512 >> 22


@pytest.mark.parametrize("bad", [0, 1])
def test_one_failure_among_threads_ends_all(bad: int) -> None:
    """The error comes out, the other threads stop at their next report, and torch has its threads again."""
    before, reports, waiting = torch.get_num_threads(), [], Event()

    def work(group: int, report: Callable[[int], None]) -> int:
        if group == bad:
            raise DamagedError("the bad group")
        for _ in range(1000):
            report(1)
            reports.append(group)
            waiting.wait(0.01)
        return group

    with pytest.raises(DamagedError, match="the bad group"):
        in_threads(work, [0, 1], lambda done: None, 2)
    assert len(reports) < 1000
    assert torch.get_num_threads() == before


def test_threads_give_results_in_order_and_report_everything() -> None:
    done: list[int] = []

    def work(group: int, report: Callable[[int], None]) -> tuple[int, int]:
        for _ in range(group):
            report(2)
        return group, torch.get_num_threads()

    assert in_threads(work, [3, 1, 2], done.append, 2) == [(3, 1), (1, 1), (2, 1)]
    assert sum(done) == 12
    assert in_threads(work, [], done.append, 2) == []
