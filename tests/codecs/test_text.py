"""Both codecs on tiny networks with random weights: every round trip exact, every payload as long as its ideal bits.

The weights come from integers, so that the networks, and with them the payloads, are the same on every machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bfncodec
from bfncodec import models
from bfncodec.codecs.image import ImageCodec
from bfncodec.codecs.image import Sizes as ImageSizes
from bfncodec.codecs.streams import Sizes, _spans
from bfncodec.codecs.text import TextCodec
from bfncodec.codecs.threads import Team
from bfncodec.coding.mixing.contexts import ContextMixer
from bfncodec.errors import BfncodecError, DamagedError, InputError, ModelError, ModelNotFoundError
from bfncodec.flow import Comb, Wavefront
from bfncodec.format.wire import varint
from bfncodec.networks.transformer.model import FAR
from bfncodec.runtime.devices import device_named
from support.doubles import noise
from support.models import (
    CONTEXT,
    IMAGE,
    LEAST_MIXED,
    LENGTH,
    MOST,
    TEETH,
    TEXT,
    WINDOW,
    export_image,
    export_text,
)
from support.strategies import samples

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_image(folder / "tiny-image")
    export_text(folder / "tiny-text")
    return folder


@pytest.fixture(scope="module")
def image_codec(folder: Path) -> ImageCodec:
    codec = bfncodec.load(folder / "tiny-image")
    assert isinstance(codec, ImageCodec)
    return codec


@pytest.fixture(scope="module")
def text_codec(folder: Path) -> TextCodec:
    codec = bfncodec.load(folder / "tiny-text")
    assert isinstance(codec, TextCodec)
    return codec


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model with contexts; the network's weights are those of tiny-text."""
    out = tmp_path_factory.mktemp("mixed") / "tiny-mixed"
    return export_text(out, name=out.name, contexts={"least": LEAST_MIXED})


@pytest.fixture(scope="module")
def mixed_codec(mixed_folder: Path) -> TextCodec:
    codec = bfncodec.load(mixed_folder)
    assert isinstance(codec, TextCodec)
    return codec


@st.composite
def pictures(draw: st.DrawFn) -> Image:
    height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    return draw(samples((height, width, 3)))


lengths = st.one_of(st.integers(0, 4), st.integers(0, 200), st.sampled_from([31, 32, 33, 39, 40, 41, 64, 65, 149, 150]))
contents = st.one_of(st.binary(max_size=60), lengths.flatmap(lambda n: samples((n,)).map(lambda a: a.tobytes())))


def excess(payload: bytes, bits: float) -> float:
    """By how much a payload is longer than its ideal bits, in units of what is allowed: 0.02% and 64 bits."""
    return (8 * len(payload) - bits) / (0.0002 * bits + 64)


# --- images ------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(x=pictures())
@example(x=np.zeros((1, 1, 3), np.uint8))
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
    assert (report.kl >= 0).all()
    assert report.reconstruction == 0
    assert excess(payload, report.bits) <= 1  # shorter by luck: zeros at the end of a payload are left out


def test_an_image_is_as_long_as_its_ideal_bits(image_codec: ImageCodec) -> None:
    """Long enough that 64 bits do not hide a coder that wastes 0.1%."""
    x = noise(7, 100, 150, 3)
    bits = image_codec.codelength(x).bits
    assert bits > 300_000
    assert abs(excess(image_codec.encode(x), bits)) <= 1


def test_the_bits_of_an_image_stand_at_the_steps_that_spend_them(image_codec: ImageCodec) -> None:
    """Changing the last step's pixel changes only the last step's bits."""
    x = noise(3, 6, 9, 3)
    y = x.copy()
    y[-1, -1] ^= 255
    a, b = image_codec.codelength(x).kl, image_codec.codelength(y).kl
    np.testing.assert_array_equal(a[:-1], b[:-1])
    assert a[-1] != b[-1]


def test_images_of_different_sizes_in_one_batch(image_codec: ImageCodec) -> None:
    sizes = [(5, 7), (1, 1), (7, 5), (5, 7), (5, 7), (9, 2), (1, 1)]
    xs = [noise(i, *size, 3) for i, size in enumerate(sizes)]
    payloads = image_codec.encode_batch(xs)
    assert payloads == [image_codec.encode(x) for x in xs]
    for x, back in zip(xs, image_codec.decode_batch(payloads), strict=True):
        np.testing.assert_array_equal(back, x)
    assert image_codec.encode_batch([]) == []
    assert image_codec.decode_batch([]) == []


def test_many_blocks_and_groups_give_the_same_bytes(image_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many pixels the network sees at once, and how many images, is nobody's business but memory's."""
    xs = [noise(i, 20, 11, 3) for i in range(3)]
    payloads = image_codec.encode_batch(xs)
    monkeypatch.setattr(ImageCodec, "sizes", ImageSizes(batch=500, block=17))
    assert image_codec.encode_batch(xs) == payloads
    for x, back in zip(xs, image_codec.decode_batch(payloads), strict=True):
        np.testing.assert_array_equal(back, x)


def test_views_of_images_round_trip(image_codec: ImageCodec) -> None:
    x = noise(5, 12, 16, 3)[::-2, 1::3]
    np.testing.assert_array_equal(image_codec.decode(image_codec.encode(x)), x)


@pytest.mark.parametrize(
    "x", [noise(0, 4, 4), noise(0, 4, 4, 4), noise(0, 0, 4, 3), noise(0, 4, 4, 3).astype(np.uint16), b"abc", None]
)
def test_what_is_no_image_is_refused(image_codec: ImageCodec, x: Any) -> None:
    with pytest.raises(InputError, match=r"expected an RGB image.*found"):
        image_codec.encode(x)


# --- text --------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(x=contents)
@example(x=b"")
@example(x=noise(1, 200).tobytes())
def test_texts_round_trip(text_codec: TextCodec, x: bytes) -> None:
    payload = text_codec.encode(x)
    assert text_codec.decode(payload) == x
    report = text_codec.codelength(x)
    assert report.dims == len(x)
    assert len(report.kl) == text_steps(len(x))
    assert (report.kl >= 0).all()
    assert report.reconstruction == 0
    assert excess(payload, report.bits) <= 1  # shorter by luck: zeros at the end of a payload are left out


def text_steps(length: int) -> int:
    """Steps of the longest lane."""
    lanes = min(-(-length // LENGTH), MOST)
    teeth = [m for least, m in TEETH if least <= length][-1]
    return Comb(-(-length // lanes), teeth).n_steps if length else 0


def test_a_long_text_is_as_long_as_its_ideal_bits(text_codec: TextCodec) -> None:
    x = noise(2, 2200).tobytes()
    payload = text_codec.encode(x)
    bits = text_codec.codelength(x).bits
    assert bits > 16_000
    assert abs(excess(payload, bits)) <= 1
    assert text_codec.decode(payload) == x


def test_empty_text_is_one_byte(text_codec: TextCodec) -> None:
    assert text_codec.encode(b"") == varint(0)


def test_texts_of_different_lengths_in_one_batch(text_codec: TextCodec) -> None:
    """Neighbours in a batch have other lengths and other numbers of teeth."""
    sizes = [33, 0, 200, 1, 45, 150, 41, 100, 380, 32, 151, 2100]
    xs = [noise(i, n).tobytes() for i, n in enumerate(sizes)]
    payloads = text_codec.encode_batch(xs)
    alone = [text_codec.encode(x) for x in xs]
    assert [n for n, a, b in zip(sizes, payloads, alone, strict=True) if a != b] == []
    assert text_codec.decode_batch(payloads) == xs


def test_texts_of_one_batch_decode_alone(text_codec: TextCodec) -> None:
    xs = [noise(i, n).tobytes() for i, n in enumerate([50, 64, 90, 41, 77])]  # two teeth of different lengths
    assert [text_codec.decode(p) for p in text_codec.encode_batch(xs)] == xs


def test_batching_gives_the_same_bytes(text_codec: TextCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    xs = [noise(i, 380).tobytes() for i in range(3)]
    payloads = text_codec.encode_batch(xs)
    monkeypatch.setattr(text_codec, "sizes", Sizes(batch=7, encode_streams=4, block=50))
    assert text_codec.encode_batch(xs) == payloads
    assert text_codec.decode_batch(payloads) == xs


# --- text that learns from itself --------------------------------------------------------------

# From nothing to as many lanes as there may be, with one, two and four teeth.
mixed_lengths = st.one_of(st.integers(0, 40), st.integers(0, 4 * LENGTH), st.integers(0, 13 * LENGTH))


@st.composite
def mixed_contents(draw: st.DrawFn) -> bytes:
    """Noise, or a short string again and again with some bytes of it changed."""
    size, seed = draw(mixed_lengths), draw(st.integers(0, 99))
    period = draw(st.none() | st.integers(1, 40))
    if period is None:
        return noise(seed, size).tobytes()
    text = np.resize(noise(seed, period), size)
    if size:
        for place, value in draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 255)), max_size=3)):
            text[place] = value
    return text.tobytes()


@settings(max_examples=15)
@given(x=mixed_contents())
@example(x=b"")
@example(x=b"\0" * 300)
@example(x=noise(1, LEAST_MIXED - 1).tobytes())
@example(x=noise(1, LEAST_MIXED).tobytes())
@example(x=noise(1, MOST * LENGTH).tobytes())
@example(x=noise(1, MOST * LENGTH + 1).tobytes())
def test_texts_that_learn_round_trip(mixed_codec: TextCodec, x: bytes) -> None:
    payload = mixed_codec.encode(x)
    assert mixed_codec.decode(payload) == x


@settings(max_examples=5)
@given(xs=st.lists(mixed_contents(), min_size=2, max_size=3))
@example(xs=[noise(k, n).tobytes() for k, n in enumerate([20, 16, 15, 0, 31, 39, 20])])  # one tooth, unequal lengths
@example(xs=[noise(k, n).tobytes() for k, n in enumerate([402, 440])])  # the same of many lanes
@example(xs=[noise(7, 64).tobytes()] * 2 + [noise(7, 63).tobytes()])  # what one says helps none of the others
def test_texts_that_learn_side_by_side(mixed_codec: TextCodec, xs: list[bytes]) -> None:
    payloads = mixed_codec.encode_batch(xs)
    assert payloads == [mixed_codec.encode(x) for x in xs]
    assert mixed_codec.decode_batch(payloads) == xs


@pytest.mark.parametrize("x", [noise(3, 600).tobytes(), noise(4, 70).tobytes() * 9, b"", noise(5, 15).tobytes()])
def test_a_text_that_learns_is_as_long_as_its_ideal_bits(mixed_codec: TextCodec, x: bytes) -> None:
    payload, report = mixed_codec.encode(x), mixed_codec.codelength(x)
    assert report.dims == len(x)
    assert len(report.kl) == text_steps(len(x))
    assert (report.kl >= 0).all()
    assert excess(payload, report.bits) <= 1
    assert len(x) < 99 or abs(excess(payload, report.bits)) <= 1


def test_texts_learn_from_themselves(mixed_codec: TextCodec, text_codec: TextCodec) -> None:
    again, once = noise(4, 50).tobytes() * 24, noise(5, 600).tobytes()
    assert len(mixed_codec.encode(again)) < 0.5 * len(text_codec.encode(again))
    assert len(mixed_codec.encode(once)) < 1.005 * len(text_codec.encode(once))
    short = noise(6, LEAST_MIXED - 1).tobytes()
    assert mixed_codec.encode(short) == text_codec.encode(short)  # too short to learn


def test_contexts_do_not_depend_on_how_lanes_are_run(
    mixed_folder: Path, mixed_codec: TextCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    xs = [(noise(i, 54) % 7).tobytes() * 3 for i in range(3)]  # four teeth
    before, payloads = torch.get_num_threads(), mixed_codec.encode_batch(xs)
    try:
        for threads, least in ((1, 32), (2, 1), (3, 4)):
            codec = bfncodec.load(mixed_folder, threads=threads)
            codec.sizes = Sizes(encode_least=least, decode_least=least)
            assert torch.get_num_threads() == before
            assert codec.encode_batch(xs) == payloads
            assert codec.decode_batch(payloads) == xs
            assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(mixed_codec, "sizes", Sizes(batch=3, encode_streams=2, block=50))
    assert mixed_codec.encode_batch(xs) == payloads
    assert mixed_codec.decode_batch(payloads) == xs


def test_the_contexts_of_a_lane_are_its_own_past(mixed_codec: TextCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise(2, 13 * WINDOW + 5)  # one tooth
    made: list[ContextMixer] = []
    pasts: list[Any] = []

    class Watched(ContextMixer):
        def __init__(self, size: int, lanes: int) -> None:
            super().__init__(size, lanes)
            made.append(self)

        def encode(self, weight: Any, lanes: Any, symbols: Any) -> Any:
            pasts.extend(self.state.history[lanes].tolist())
            return super().encode(weight, lanes, symbols)

    monkeypatch.setattr("bfncodec.codecs.text.ContextMixer", Watched)
    mixed_codec.encode(x.tobytes())
    assert len(made) == 1
    assert made[0].state.bits == (16 * len(x) - 1).bit_length()
    starts = [len(x) * lane // MOST for lane in range(MOST)]  # where each lane begins; it ends where the next begins
    expected = []
    for start, end in zip(starts, [*starts[1:], len(x)], strict=True):
        lane = [256] * 24 + x[start:end].tolist()
        expected += [lane[i : i + 24] for i in range(end - start)]
    assert sorted(pasts) == sorted(expected)


@given(count=st.integers(1, 600), parts=st.integers(1, 40), threads=st.integers(1, 9))
def test_spans_cover_the_lanes(count: int, parts: int, threads: int) -> None:
    parts, threads = min(parts, count), min(threads, count)
    spans = _spans(count, parts, threads)
    assert [k for span in spans for k in range(span.start, span.stop)] == list(range(count))
    sizes = [span.stop - span.start for span in spans]
    assert 0 < min(sizes) <= max(sizes) <= min(min(sizes) + 1, -(-count // parts))
    assert len(spans) % threads == 0 or len(spans) == count


@pytest.mark.parametrize("threads", [1, 3])
def test_a_team_keeps_order_and_gives_the_threads_back(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with Team(threads) as team:
            assert team.each(lambda k: (k, torch.get_num_threads()), range(7)) == [(k, 1) for k in range(7)]
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), Team(threads) as team:
            team.each(lambda k: 1 // (3 - k), range(7))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@settings(max_examples=50)
@given(size=st.integers(0, 20 * WINDOW) | st.integers(0, 30_000) | st.integers(MOST * FAR * WINDOW - 9, 1 << 24))
@example(size=LEAST_MIXED - 1)
@example(size=LEAST_MIXED)
def test_lanes_cover_the_text(mixed_codec: TextCodec, size: int) -> None:
    found = [batch.parts for batch in mixed_codec._batches([0, size])]
    assert len(found) == (size > 0)
    for (part,) in found:
        edges, lengths = part.schedule.edges, np.diff(part.schedule.edges)
        assert (edges[0], edges[-1]) == (0, size)
        assert 0 < lengths.min() <= lengths.max() <= lengths.min() + 1
        assert lengths.max() <= FAR * WINDOW  # positions reach that far
        assert len(lengths) == max(min(-(-size // LENGTH), MOST), -(-size // (FAR * WINDOW)))
        assert lengths.max() <= LENGTH or len(lengths) >= MOST
        assert (part.item, part.mixed) == (1, size >= LEAST_MIXED)


def test_a_symbol_attends_to_its_context_only(text_codec: TextCodec) -> None:
    """Two layers look 2 (CONTEXT - 1) slots back, hashed n-grams a few more: what came before changes nothing."""
    x, reach = noise(1, LENGTH), 2 * (CONTEXT - 1) + 3
    y = x.copy()
    y[: LENGTH - 1 - reach] ^= 5
    with_x, with_y = (text_codec.network.start(1, 1, LENGTH, LENGTH) for _ in range(2))
    for run, text in ((with_x, x), (with_y, y)):
        run.reveal(0, torch.from_numpy(text.astype(np.int64))[None, None])
    weights = [run.predict(0, LENGTH) for run in (with_x, with_y)]
    assert torch.equal(weights[0][:, -1], weights[1][:, -1])
    assert not torch.equal(weights[0][:, -1 - reach], weights[1][:, -1 - reach])


def test_damaged_texts_that_learn(mixed_codec: TextCodec) -> None:
    """Bits of the body may be anything; the length, which is the first byte here, says how much comes out."""
    x = noise(8, 20).tobytes() * 3
    payload = mixed_codec.encode(x)
    damaged = [payload[:cut] for cut in range(0, len(payload), 10)]
    damaged += [flip(payload, bit) for bit in (*range(0, 7, 2), *range(8, 8 * len(payload), 61))]
    for bad in damaged:
        try:
            found = mixed_codec.decode(bad)
        except BfncodecError:
            continue
        assert len(found) == bad[0]


def flip(payload: bytes, bit: int) -> bytes:
    changed = bytearray(payload)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=10)
@given(size=st.integers(0, 100), body=st.binary(max_size=60))
def test_garbage_texts_that_learn(mixed_codec: TextCodec, size: int, body: bytes) -> None:
    try:
        found = mixed_codec.decode(varint(size) + body)
    except DamagedError:
        return
    assert len(found) == size


# --- both --------------------------------------------------------------------------------------


def test_progress_counts_every_symbol(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    image, text = noise(0, 9, 13, 3), noise(0, 170).tobytes()
    for codec, x, count in ((image_codec, image, 9 * 13), (text_codec, text, 170)):
        for work, item in ((codec.encode, x), (codec.decode, codec.encode(x))):
            done: list[int] = []
            work(item, done.append)
            assert sum(done) == count


def test_threads_change_nothing(folder: Path, image_codec: ImageCodec, text_codec: TextCodec) -> None:
    image, text = noise(0, 30, 40, 3), noise(0, 300).tobytes()
    before = torch.get_num_threads()
    try:
        payloads = []
        for threads in (1, 2):
            payloads.append(
                [bfncodec.load(folder / "tiny-image", threads=threads).encode(image), text_codec.encode(text)]
            )
            assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)
    assert payloads[0] == payloads[1]


def test_payloads_never_change(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    """The bytes are the format: who changes them breaks every file ever written."""
    image = image_codec.encode(noise(11, 17, 13, 3) // 3)
    text = text_codec.encode(b"It was the best of times, it was the worst of times, it was the age of wisdom. " * 3)
    assert hashlib.sha256(image).hexdigest() == GOLDEN_IMAGE
    assert hashlib.sha256(text).hexdigest() == GOLDEN_TEXT


GOLDEN_IMAGE = "3d76458562e10269cfa2bc28368702c65e39edcce46f29cd11f79decacf22c82"
GOLDEN_TEXT = "f2fc00c80b29f4c8d99bbfba23cc2f8a57142aad49df44031d761ae74441de3e"


@settings(max_examples=30)
@given(sides=st.tuples(st.integers(1, 6), st.integers(0, 6)), body=st.binary(max_size=60))
def test_garbage_images(image_codec: ImageCodec, sides: tuple[int, int], body: bytes) -> None:
    try:
        found = image_codec.decode(varint(sides[0]) + varint(sides[1]) + body)
    except DamagedError:
        return
    assert found.shape == (*sides, 3)


@settings(max_examples=30)
@given(size=st.integers(0, 100), body=st.binary(max_size=60))
def test_garbage_texts(text_codec: TextCodec, size: int, body: bytes) -> None:
    try:
        found = text_codec.decode(varint(size) + body)
    except DamagedError:
        return
    assert len(found) == size


def test_truncated_payloads(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    x, y = noise(0, 4, 5, 3), noise(0, 40).tobytes()
    image, text = image_codec.encode(x), text_codec.encode(y)
    for codec, payload, whole in ((image_codec, image, x.tobytes()), (text_codec, text, y)):
        for cut in range(0, len(payload), 5):
            try:
                found = codec.decode(payload[:cut])
            except DamagedError:
                continue
            assert bytes(found) != whole


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


@pytest.mark.parametrize("payload", [b"", b"\x80", b"\x80\x00", varint(1 << 40), b"\xff" * 12])
def test_impossible_text_sizes(text_codec: TextCodec, payload: bytes) -> None:
    with pytest.raises(DamagedError, match=r"expected|cut off"):
        text_codec.decode(payload)


@pytest.mark.cuda
def test_cuda_and_cpu_write_the_same_payloads(folder: Path, image_codec: ImageCodec, text_codec: TextCodec) -> None:
    image, text = noise(0, 30, 40, 3), noise(0, 300).tobytes()
    for codec, x in ((image_codec, image), (text_codec, text)):
        other = bfncodec.load(folder / codec.info.name, device="cuda")
        payload = codec.encode(x)
        assert other.encode(x) == payload
        np.testing.assert_array_equal(np.asarray(other.decode(payload)), np.asarray(x))
        np.testing.assert_array_equal(np.asarray(codec.decode(other.encode(x))), np.asarray(x))


# --- models on disk ----------------------------------------------------------------------------


# ---- checksums and wrong types ------------------------------------------------------------------


def items(image_codec: ImageCodec, text_codec: TextCodec) -> Iterator[tuple[Any, Any]]:
    yield text_codec, b"to be or not to be"
    yield image_codec, noise(1, 5, 4, 3)


def test_payloads_with_a_checksum_decode(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    for codec, x in items(image_codec, text_codec):
        plain, sealed = codec.encode(x), codec.encode(x, checksum=True)
        assert sealed[:-4] == plain
        assert len(sealed) == len(plain) + 4
        assert np.array_equal(codec.decode(sealed, checksum=True), x)
        assert codec.encode_batch([x, x], checksum=True) == [sealed] * 2
        assert all(np.array_equal(found, x) for found in codec.decode_batch([sealed] * 2, checksum=True))


def test_a_checksum_finds_every_flipped_bit_and_every_cut(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    """Before anything is decoded: a size that was changed must not begin hours of work."""
    for codec, x in items(image_codec, text_codec):
        sealed = codec.encode(x, checksum=True)
        bad = [sealed[:length] for length in range(len(sealed))] + [sealed + b"\0", codec.encode(x)]
        bad += [(int.from_bytes(sealed, "big") ^ 1 << k).to_bytes(len(sealed), "big") for k in range(8 * len(sealed))]
        for payload in bad:
            with pytest.raises(DamagedError, match="checksum mismatch"):
                codec.decode(payload, checksum=True)
        with pytest.raises(DamagedError, match="checksum mismatch"):
            codec.decode_batch([sealed, sealed[:-1]], checksum=True)


def test_a_checksum_names_its_model(text_codec: TextCodec, mixed_codec: TextCodec) -> None:
    """Without one, the payload of another model decodes to another text."""
    text = b"to be or not to be, that is the question" * 3
    assert text_codec.decode(mixed_codec.encode(text)) != text
    with pytest.raises(DamagedError, match="another model than tiny-text"):
        text_codec.decode(mixed_codec.encode(text, checksum=True), checksum=True)


def test_what_is_no_item_is_refused(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    calls = [
        lambda: text_codec.encode("text"),  # type: ignore[arg-type]
        lambda: text_codec.encode(None),  # type: ignore[arg-type]
        lambda: text_codec.encode(5),  # type: ignore[arg-type]
        lambda: text_codec.encode(noise(1, 4, 4, 3)),  # type: ignore[arg-type]
        lambda: text_codec.codelength("text"),  # type: ignore[arg-type]
        lambda: text_codec.encode_batch(b"text"),  # type: ignore[arg-type]
        lambda: text_codec.encode_batch("text"),
        lambda: text_codec.encode_batch(None),  # type: ignore[arg-type]
        lambda: text_codec.encode_batch([b"a", "b"]),  # type: ignore[list-item]
        lambda: text_codec.encode(b"text", 5),  # type: ignore[arg-type]
        lambda: text_codec.decode(None),  # type: ignore[arg-type]
        lambda: text_codec.decode("text"),  # type: ignore[arg-type]
        lambda: text_codec.decode_batch(b"payload"),  # type: ignore[arg-type]
        lambda: text_codec.decode_batch([b"a", 5]),  # type: ignore[list-item]
        lambda: image_codec.encode(b"text"),  # type: ignore[arg-type]
        lambda: image_codec.encode(None),  # type: ignore[arg-type]
        lambda: image_codec.encode(noise(1, 4, 4)),
        lambda: image_codec.encode_batch(noise(1, 4, 4, 3)),  # type: ignore[arg-type]
        lambda: image_codec.encode(np.ma.masked_array(noise(1, 4, 4, 3))),
        lambda: image_codec.codelength("x"),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(InputError, match="found"):
            call()
    with pytest.raises(InputError, match=r"pass text.encode\(\)"):
        text_codec.encode("text")  # type: ignore[arg-type]


@pytest.fixture
def only(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A search path that holds copies of the two tiny models and nothing else."""
    shutil.copytree(folder, tmp_path / "m")
    monkeypatch.setattr(models, "search_path", lambda: [tmp_path / "m"])
    return tmp_path / "m"


def test_models_are_found_by_name_identity_and_directory(only: Path) -> None:
    expected = models.read(only / "tiny-text")
    digest = hashlib.sha256(
        (only / "tiny-text/config.json").read_bytes() + (only / "tiny-text/model.safetensors").read_bytes()
    )
    assert expected.sha256 == digest.hexdigest()
    assert expected.id == digest.digest()[:4]
    asked: list[Any] = [
        "tiny-text",
        expected.id,
        digest.digest(),
        expected.id.hex(),
        expected.sha256,
        expected.sha256.upper(),
        only / "tiny-text",
        str(only / "tiny-text"),
    ]
    for name in asked:
        assert models.find(name).path == only / "tiny-text"
    assert [m.name for m in models.available()] == ["tiny-image", "tiny-text"]
    assert isinstance(bfncodec.load(models.find("tiny-image")), ImageCodec)


@pytest.mark.parametrize("name", ["tiny", "", "00000000", b"\0\0\0\0", b""])
def test_a_model_that_is_not_there(only: Path, name: str | bytes) -> None:
    with pytest.raises(ModelNotFoundError, match=r"not on this machine; found tiny-image \("):
        models.find(name)


def test_a_short_prefix_of_an_identity_is_no_name(only: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        models.find(models.read(only / "tiny-text").id.hex()[:7])


def test_the_first_folder_wins_a_name_and_the_second_keeps_its_identity(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    export_text(tmp_path / "newer", seed=1)
    old, new = models.read(folder / "tiny-text"), models.read(tmp_path / "newer")
    monkeypatch.setenv("BFNCODEC_MODELS", f"{tmp_path}:{folder}")
    assert models.search_path()[:2] == [tmp_path, folder]
    assert models.find("tiny-text").path == new.path
    assert models.find(old.id).path == old.path
    assert [m.path for m in models.available() if m.name == "tiny-text"] == [new.path]


@pytest.mark.parametrize("part", ["config.json", "model.safetensors"])
def test_a_flipped_byte_is_another_model(only: Path, part: str) -> None:
    before = models.read(only / "tiny-image")
    before.sha256  # noqa: B018  computed once, while the files are still the old ones
    path = only / "tiny-image" / part
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1 if part == "model.safetensors" else ord("\n") ^ ord(" ")
    path.write_bytes(raw)
    assert models.read(only / "tiny-image").id != before.id
    with pytest.raises(ModelNotFoundError):
        models.find(before.id)


def broken_models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of good models, each with one thing wrong that reading shows."""

    def copy(what: str) -> Path:
        return Path(shutil.copytree(folder / "tiny-text", folder.parent / "broken" / what.replace(" ", "-")))

    for part in ("config.json", "model.safetensors"):
        target = copy(f"no {part}")
        (target / part).unlink()
        yield part, target
    for what, text in (
        ("not json", "{"),
        ("not utf-8", "\udcff"),
        ("a list", "[]"),
        ("no role", '{"name": "a", "network": {}}'),
        ("wrong role", '{"name": "a", "role": "sound", "network": {}}'),
        ("no name", '{"role": "text", "network": {}}'),
    ):
        target = copy(what)
        (target / "config.json").write_bytes(text.encode(errors="surrogateescape"))
        yield "config.json", target


def test_broken_models_are_named(only: Path) -> None:
    for part, path in broken_models(only):
        for read in (models.read, models.find, bfncodec.load):
            with pytest.raises(ModelError, match=f"{part}.*export the model again"):
                read(path)


@pytest.mark.parametrize("name", ["tiny-image", "tiny-text"])
@pytest.mark.parametrize(
    "change", [{"width": 64}, {"unknown": 1}, {"blocks": 3, "layers": 3}, {"mixtures": 5, "heads": 4}]
)
def test_weights_that_do_not_fit_the_configuration(only: Path, name: str, change: dict[str, int]) -> None:
    path = only / name / "config.json"
    config = json.loads(path.read_text())
    known = {f.name for f in dataclasses.fields(IMAGE if name == "tiny-image" else TEXT)} | {"unknown"}
    config["network"] |= {k: v for k, v in change.items() if k in known}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit"):
        bfncodec.load(path.parent)


@pytest.mark.parametrize("name", ["tiny-image", "tiny-text"])
def test_broken_weights(only: Path, name: str) -> None:
    path = only / name / "model.safetensors"
    for content in (path.read_bytes()[:-10], b"", b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=name):
            bfncodec.load(path.parent)


def test_devices_that_are_not_there(folder: Path) -> None:
    for device in ("nonsense", "cuda:99"):
        with pytest.raises(InputError, match=r"expected cpu, cuda|device cuda:99"):
            bfncodec.load(folder / "tiny-text", device=device)


@pytest.mark.parametrize(
    ("built", "count", "name", "message"),
    [
        (False, 0, "cuda", "was built without CUDA: use cpu"),
        (True, 0, "cuda", "finds no CUDA device on this machine: use cpu"),
        (True, 1, "cuda:1", "one of the 1 CUDA devices of this machine, cuda:0 alone"),
        (True, 3, "cuda:3", "one of the 3 CUDA devices of this machine, cuda:0 to cuda:2"),
        (True, 3, "cuda:2", r"cannot be used \(busy\): use cpu"),
        (True, 3, "meta", "expected cpu, cuda or cuda:NUMBER as device, found 'meta'"),
        (True, 3, "cuda:-1", "expected cpu, cuda or cuda:NUMBER"),
    ],
)
def test_why_a_device_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, built: bool, count: int, name: str, message: str
) -> None:
    def busy(*args: Any, **given: Any) -> None:
        raise RuntimeError("busy\nand more")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "empty", busy)
    assert device_named("cpu") == device_named(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(InputError, match=message):
        device_named(name)
