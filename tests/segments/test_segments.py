"""Data that say little cost little: when a model is asked, when it is not, and what becomes of one that was named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bfncodec
from bfncodec.errors import InputError
from bfncodec.flow.report import CodeLength
from bfncodec.format.kinds import Mode
from bfncodec.format.limits import Limits, least_payload, plausible
from bfncodec.format.lineindex import Lines
from bfncodec.images import classical, vp8l
from bfncodec.runtime.progress import silent
from bfncodec.segments.bytes import encode_bytes
from bfncodec.segments.plan import Choice
from bfncodec.segments.policy import BytesTrial, PictureTrial, Policy
from support.doubles import FakeCodec, FakeInfo, FakeModels, noise

WORDS = b"to be or not to be, that is the question " * 100


class NoModels(FakeModels):
    """Models that are not to be loaded."""

    def default(self, role: str, level: int = 5) -> FakeCodec:
        raise AssertionError("a model was loaded")


class Exact(FakeCodec):
    """A model that says of everything that it takes so many bits a symbol."""

    def __init__(self, role: str, rate: float) -> None:
        super().__init__(role)
        self.rate, self.asked = rate, b""

    def codelength(self, x: Any) -> CodeLength:
        self.asked = x
        size = len(x) if isinstance(x, bytes) else x.size
        return CodeLength(np.array([self.rate * size]), 0.0, size)


def models_with(codec: FakeCodec) -> FakeModels:
    models = FakeModels((1, 3))
    models.codecs[codec.info.role] = codec
    return models


# ---- not asked ----------------------------------------------------------------------------------


def specks(size: int, every: int) -> bytes:
    """Zeros with a random byte here and there."""
    data, rng = np.zeros(size, np.uint8), np.random.default_rng(1)
    places = rng.integers(0, size, size // every)
    data[places] = rng.integers(1, 256, len(places))
    return data.tobytes()


SILENT = {
    "a speck here and there": specks(100_000, 2000),
    "zeros": bytes(50_000),
    "a block again and again": noise(20, 300).tobytes() * 500,
    "one letter": "a" * 70_000,
    "one colour": np.full((600, 600, 3), 77, np.uint8),
    "one grey": np.full((300, 200), 7, np.uint8),
    "one grey of 16 bits": np.full((300, 400), 700, np.uint16),
    "one colour and opacity": np.full((300, 300, 4), 9, np.uint8),
    "one colour as an image": Image.new("RGB", (700, 600), "red"),
    "stripes": np.tile(np.repeat(np.array([0, 255], np.uint8), 8), (300, 30)),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", SILENT.values(), ids=SILENT.keys())
def test_a_model_that_cannot_repay_is_not_loaded(data: Any) -> None:
    blob = bfncodec.compress(data, codecs=NoModels())
    assert blob == bfncodec.compress(data, "none")


def test_lengths_that_no_reader_takes() -> None:
    for symbols in (0, 1, 4095, 4096, 4097, 5000, 1 << 20, 12_345_678):
        least = least_payload(symbols)
        assert plausible(symbols, least, Limits())
        assert least == 0 or not plausible(symbols, least - 1, Limits())


def test_only_tiles_that_say_something_are_handed_to_the_model() -> None:
    models, array = FakeModels(), np.zeros((300, 300, 3), np.uint8)
    array[100:200, 200:] = noise(3, 100, 100, 3)
    done: list[int] = []
    blob = bfncodec.compress(array, progress=done.append, codecs=models, policy=Policy(model_tile=100))
    assert models.codecs["image"].batches == [100 * 100]
    assert sum(done) == array.size
    assert bfncodec.describe(blob).methods == {"model": 1, "picture": 8}


@pytest.mark.slow
def test_readers_take_what_writers_make_of_16_bits() -> None:
    """A sample of 16 bits counts as two bytes, for both."""

    class Tiny(FakeCodec):
        def _encode(self, x: Any, progress: Callable[[int], None]) -> bytes:
            return super()._encode(x, progress)[:8]

    for side in (60, 80):
        grey = next(x for seed in range(10) if not (x := noise(seed, side, side)).min())
        blob = bfncodec.compress(grey.astype(np.uint16) * 100, codecs=models_with(Tiny("image", (1, 3))))
        assert bfncodec.describe(blob).methods == {"model" if side == 60 else "picture": 1}


def test_a_hole_does_not_speak_for_sparse_data() -> None:
    """Pieces at a third and two thirds of these are zeros, of which any model expects next to nothing."""
    sparse = bytearray(600_000)
    sparse[280_000:300_000] = noise(50, 20_000).tobytes()
    codec = Exact("text", 8.1)
    bfncodec.compress(bytes(sparse), codecs=models_with(codec))
    assert len(set(codec.asked)) > 100
    assert codec.batches == []
    sparse[280_000:300_000] = (noise(50, 20_000) % 26 + 97).tobytes()
    codec = Exact("text", 0.1)
    bfncodec.compress(bytes(sparse), codecs=models_with(codec))
    assert codec.batches


@pytest.mark.slow
def test_long_content_that_says_little_is_looked_at_closely() -> None:
    """Of 65,536 bytes of these LZMA makes 0.21 bits a byte, of the whole less."""
    data = specks(1_100_000, 100)
    for rate, used in ((0.23, False), (0.15, True)):
        codec = Exact("text", rate)
        bfncodec.compress(data, codecs=models_with(codec), verify=False)
        assert len(codec.asked) == 65_536
        assert bool(codec.batches) == used


def test_noise_is_not_for_models() -> None:
    """Where a model expects as many bits as there are, it is not asked, though another method is no better."""
    array = noise(30, 60, 50, 3)
    for most, used in ((7.9, False), (8.1, True)):
        codec = Exact("image", 8.02)
        policy = Policy(picture_trial=PictureTrial(unsampled=2999, piece=20, noise=most))
        blob = bfncodec.compress(array, level=1, codecs=models_with(codec), policy=policy)
        assert codec.asked.shape == (20, 20, 3)
        assert bool(codec.batches) == used
        assert len(blob) <= array.size + 40


class Beside(FakeModels):
    """Two models of pictures, of which the second takes half of the bits of dark pictures, as it says."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Exact("image", 4.0), Dark("image", 4.0)
        self.codecs["image"] = self.first
        self.second.info = FakeInfo("photo-dark", "image")

    def beside(self, codec: FakeCodec) -> list[FakeCodec]:
        return [self.second] if codec.info is self.first.info else []


class Dark(Exact):
    """A model of dark pictures."""

    def codelength(self, x: Any) -> CodeLength:
        factor = 0.5 if np.mean(x) < 128 else 1.5
        return replace(super().codelength(x), kl=np.array([self.rate * x.size * factor]))


@pytest.mark.parametrize("side", [pytest.param(128, marks=pytest.mark.slow), 600])
def test_pieces_say_which_of_several_models_codes_a_picture(side: int) -> None:
    for level, dark in ((60, True), (200, False)):
        picture = noise(31, side, side, 3) // 8 + np.uint8(level)
        models = Beside()
        bfncodec.compress(picture, codecs=models, level=1, verify=False)
        assert (bool(models.second.batches), bool(models.first.batches)) == (dark, not dark)
        assert models.first.asked.shape == ((9, 9, 3) if side == 128 else (80, 80, 3))


@pytest.mark.slow
def test_small_pictures_and_named_models_leave_no_choice() -> None:
    for side, model in ((127, "auto"), (128, "photo")):
        models = Beside()
        bfncodec.compress(noise(31, side, side, 3) // 8, model, codecs=models, level=1, verify=False)
        assert models.first.batches
        assert not models.second.batches


@pytest.mark.slow
def test_many_pictures_have_the_choice_that_each_alone_has() -> None:
    pictures = [noise(31, side, 128, 3) // 8 + np.uint8(level) for side, level in ((128, 60), (127, 60), (128, 200))]
    together = bfncodec.compress_many(pictures, codecs=Beside(), verify=False)
    assert together == [bfncodec.compress(x, codecs=Beside(), verify=False) for x in pictures]


@pytest.mark.parametrize(("slack", "used"), [(0.9, False), (1.3, True)])
def test_a_sample_says_whether_a_text_model_is_used(slack: float, used: bool) -> None:
    """LZMA makes of 400 random letters some 5 to 6 bits each; the model says 6."""
    data = (noise(50, 500) % 26 + 97).tobytes()
    codec = Exact("text", 6.0)
    policy = Policy(bytes_trial=BytesTrial(sample=200, slack=slack))
    bfncodec.compress(data, codecs=models_with(codec), policy=policy)
    assert len(codec.asked) == 200
    assert bool(codec.batches) == used


@pytest.mark.parametrize(("data", "model"), [(WORDS, "text"), (np.zeros((30, 30, 3), np.uint8), "photo")])
def test_a_model_with_credit_wins(data: Any, model: str) -> None:
    models = FakeModels()
    for credit, method in ((0, {"lzma", "picture"}), (1 << 20, {"model"})):
        blob = bfncodec.compress(data, model, codecs=models, policy=Policy(model_credit=credit))
        assert bfncodec.describe(blob).methods.keys() <= method
        assert np.array_equal(bfncodec.decompress(blob, codecs=models), data)


@pytest.mark.slow
def test_noise_is_not_searched_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[tuple[int, int]] = []
    stream = vp8l._stream
    monkeypatch.setattr(vp8l, "_stream", lambda image, search: searches.append(search) or stream(image, search))
    array = noise(30, 200, 200, 3)
    classical.encode_tile(array, Mode.RGB, search=vp8l.SLOWEST)
    assert searches == [vp8l.FAST]
    classical.encode_tile(np.tile(array[:100], (2, 1, 1)), Mode.RGB, search=vp8l.SLOWEST)
    assert searches[1:] == [vp8l.SLOWEST]


def test_a_tile_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And before the model is asked only some of its rows."""
    looks: list[tuple[int, int]] = []
    stream = vp8l._stream

    def seen(image: Image.Image, search: tuple[int, int]) -> bytes:
        looks.append(image.size) if search == (1, 20) else None
        return stream(image, search)

    monkeypatch.setattr(vp8l, "_stream", seen)
    codec = Exact("image", 4.0)
    bfncodec.compress(noise(31, 200, 150, 3) // 8, level=1, codecs=models_with(codec), verify=False)
    assert codec.batches
    assert looks == [(150, 32), (150, 200)]
    looks.clear()
    bfncodec.compress(noise(31, 60, 50, 3) // 8, level=1, codecs=models_with(codec), verify=False)
    assert looks == [(50, 60)], "of a small one an estimate says that a model may win"


# ---- named --------------------------------------------------------------------------------------


def test_a_named_model_that_does_not_pay_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    for data, model in ((bytes(900), "text"), (np.zeros((30, 30, 3), np.uint8), "photo"), (b"", "text")):
        caplog.clear()
        with caplog.at_level(logging.INFO, "bfncodec"):
            blob = bfncodec.compress(data, model, codecs=FakeModels())
        assert not bfncodec.describe(blob).models
        assert f"model {model} was not used" in caplog.text
        caplog.clear()
        bfncodec.compress(data, codecs=FakeModels())
        assert not caplog.text


def test_a_named_model_is_refused_for_data_that_it_does_not_code() -> None:
    models = FakeModels()
    palette = Image.new("P", (9, 9))
    for data, model, message in (
        (palette, "photo", "codes no pictures of mode P"),
        (palette.convert("1"), "photo", "codes no pictures of mode 1"),
        (np.zeros((9, 9), np.uint16), "text", "codes bytes or text, found a picture"),
        (np.zeros(9), "text", "found an array of f8"),
        (np.zeros((3, 3, 3, 3), ">i2"), "text", "found an array of >i2"),
        (np.zeros(9), "photo", "codes a picture, found"),
        ("text", "photo", "codes a picture, found bytes or text"),
    ):
        with pytest.raises(InputError, match=message):
            bfncodec.compress(data, model, codecs=models)


def test_refusals_are_said_with_what_to_do() -> None:
    class Picky(FakeCodec):
        def refusal(self, x: Any) -> str:
            return "codes capitals" if x != x.upper() else ""

    models = models_with(Picky("text"))
    with pytest.raises(InputError, match="model text codes capitals: name another, or auto"):
        bfncodec.compress(WORDS, "text", codecs=models)
    bfncodec.compress(WORDS.upper(), "text", codecs=models)
    assert bfncodec.compress(WORDS, codecs=models)  # auto does without asking


@pytest.mark.parametrize("least", [1, 400])
def test_lines_alone_ask_a_model_as_the_whole_does(least: int) -> None:
    """LZMA says of lines one by one that they are random, or nearly."""
    lines = b"".join(b"%d wrens sat on %d wires, %d sang\n" % (k, k * 7 % 89, k * 31 % 61) for k in range(90))
    random = noise(5, len(lines)).tobytes()
    for data, asked in ((lines, True), (random, False)):
        found: list[str] = []
        choice = Choice(lambda found=found: found.append("asked"))  # type: ignore[misc]
        encode_bytes(data, choice, silent, Lines.of(data, least))
        assert bool(found) is asked


# ---- quick levels -------------------------------------------------------------------------------

LOG = b"".join(
    b"%d web%02d GET /items/%d 200 %d\n" % (k, k * k % 40, k * k % 977, k * 7919 % 10007) for k in range(900)
)
NUMBERS = np.array([k * k % 9973 for k in range(9000)], np.int32)


@pytest.mark.parametrize("content", [LOG, NUMBERS], ids=["bytes", "array"])
def test_quick_levels_take_a_quick_lzma_for_what_is_long(content: Any) -> None:
    quick = Policy(quick_from=1 << 12)
    made = {level: bfncodec.compress(content, "none", level=level, policy=quick) for level in (1, 2, 3, 4, 5)}
    for blob in made.values():
        assert np.array_equal(bfncodec.decompress(blob), content)
    assert made[4] == made[5]
    assert len(made[5]) < min(len(made[1]), len(made[2]), len(made[3]))
    assert len(made[1]) > len(made[3])


@pytest.mark.parametrize("content", [LOG, NUMBERS], ids=["bytes", "array"])
def test_what_is_short_is_the_same_at_every_level(content: Any) -> None:
    assert bfncodec.compress(content, "none", level=1) == bfncodec.compress(content, "none", level=9)
