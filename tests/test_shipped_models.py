"""The models in models/: what they wrote once is decoded for ever, and they beat the classical coders on real files."""

from __future__ import annotations

import hashlib
import io
import lzma
import sys

import numpy as np
import pytest
from PIL import Image

import bfncodec
from benchmarks import samples
from bfncodec import models
from bfncodec.errors import SalvageableError
from support.places import GOLDEN, ROOT

sys.path.insert(0, str(GOLDEN))

from make_models import DEMO, archives, originals

pytestmark = pytest.mark.slow  # models at work: together they take minutes

NAMES = list(originals())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_golden_files_of_models_decode_for_ever(name: str, threads: int) -> None:
    found = bfncodec.decompress((GOLDEN / f"{name}.bfn").read_bytes(), threads=threads)
    assert np.array_equal(found, originals()[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_every_damage_to_a_file_of_a_model_is_noticed(name: str) -> None:
    blob = (GOLDEN / f"{name}.bfn").read_bytes()
    source = bfncodec.Models()
    # One bit of each field and one of the payload; every bit of every field is flipped in the tests with small models.
    for bit in (3, 17, 30, 70, 8 * len(blob) - 20):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((bfncodec.FormatError, bfncodec.ModelNotFoundError)):
            bfncodec.decompress(bytes(damaged), codecs=source)
    for length in (0, 1, 2, 5, 9, 11, len(blob) - 1):
        with pytest.raises(bfncodec.FormatError):
            bfncodec.decompress(blob[:length], codecs=source)


@pytest.mark.parametrize("name", list(archives()))
def test_golden_chains_decode_for_ever(name: str) -> None:
    codec = bfncodec.load(name, threads=1)
    payload = (GOLDEN / f"{name}.payload").read_bytes()
    assert codec.head_size(payload) < len(archives()[name])  # the model coded some of it
    assert codec.verifies(payload)
    assert codec.decode(payload) == archives()[name]


@pytest.mark.parametrize("name", ["mnist-gaussian", "cifar10-wavefront"])
def test_damaged_golden_chains_are_repaired(name: str) -> None:
    codec, payload = bfncodec.load(name, threads=1), (GOLDEN / f"{name}.payload").read_bytes()
    at = len(payload) // 2
    with pytest.raises(SalvageableError) as error:
        codec.decode(payload[:at] + bytes([payload[at] ^ 16]) + payload[at + 1 :])
    assert error.value.salvage().content == archives()[name]


def test_all_models_together_weigh_at_most_60_megabytes() -> None:
    """In the repository, and in the wheel, which packs them as they are."""
    files = [path for path in (ROOT / "models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 60_000_000


def test_a_model_in_another_ones_weights_stores_none_of_its_own() -> None:
    folder = ROOT / "models"
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*/*.safetensors")]
    assert len(set(contents)) == len(contents)
    assert bfncodec.load("cifar10-wavefront").info.weights == folder / "cifar10" / "model.safetensors"


@pytest.mark.cuda
@pytest.mark.parametrize("name", NAMES)
def test_golden_files_decode_on_cuda(name: str) -> None:
    found = bfncodec.decompress((GOLDEN / f"{name}.bfn").read_bytes(), device="cuda")
    assert np.array_equal(found, originals()[name])  # type: ignore[arg-type]


@pytest.mark.cuda
@pytest.mark.parametrize("name", list(archives()))
def test_golden_chains_decode_on_cuda_and_are_written_alike(name: str) -> None:
    codec, data = bfncodec.load(name, device="cuda"), archives()[name]
    assert codec.decode((GOLDEN / f"{name}.payload").read_bytes()) == data
    assert codec.encode(data) == bfncodec.load(name).encode(data)


@pytest.mark.cuda
@pytest.mark.parametrize("name", samples.names())
def test_every_model_writes_on_cuda_what_it_writes_on_the_cpu(name: str) -> None:
    assert samples.coded(bfncodec.load(name, device="cuda")) == samples.coded(bfncodec.load(name))


def test_frames_are_as_small_as_promised() -> None:
    photo, text = (bfncodec.load(name) for name in ("photo", "text"))
    contents = originals()
    body = len(photo.encode(contents["model_photo"])) - 2  # one byte each for height and width
    assert (GOLDEN / "model_photo.bfn").stat().st_size <= body + 18
    body = len(text.encode(contents["model_text"])) - 2  # two bytes for the length
    assert (GOLDEN / "model_text.bfn").stat().st_size <= body + 14


def test_a_short_text_needs_less_than_half_of_xz() -> None:
    text = (DEMO / "alice.txt").read_bytes()[10000:10500]
    blob = bfncodec.compress(text)
    assert bfncodec.decompress(blob) == text
    assert 2 * len(blob) < len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))


def test_shipped_models_are_listed() -> None:
    found = {m.name: m for m in models.available()}
    assert (found["photo"].role, found["text"].role) == ("image", "text")
    assert found["photo"].id != found["text"].id
    assert models.default("image").name == "photo"
    assert models.default("text").name == "text"


def test_the_photo_model_beats_webp() -> None:
    with Image.open(ROOT / "benchmarks/demo_files/coffee.png") as picture:
        crop = picture.convert("RGB").crop((100, 100, 196, 164))
    webp = io.BytesIO()
    crop.save(webp, "WEBP", lossless=True, method=6, quality=100)
    codec, x = bfncodec.load(ROOT / "models/photo"), np.asarray(crop)
    payload = codec.encode(x)
    np.testing.assert_array_equal(codec.decode(payload), x)
    assert len(payload) < len(webp.getvalue())


def test_the_text_model_beats_xz() -> None:
    x = (ROOT / "benchmarks/demo_files/alice.txt").read_bytes()[2000:2800]
    codec = bfncodec.load(ROOT / "models/text")
    payload = codec.encode(x)
    assert codec.decode(payload) == x
    assert len(payload) < len(lzma.compress(x, preset=9 | lzma.PRESET_EXTREME))
