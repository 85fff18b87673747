"""Samples: random bits never fail to decode, to what the model believes, and the same seed gives the same items."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bfncodec
from bfncodec import models
from bfncodec.analysis.sampling import as_file, sample
from bfncodec.coding.ans import RandomStack
from bfncodec.coding.rangecoder import total
from bfncodec.errors import InputError
from support.models import MIXING, export_image, export_text
from support.tiny import KINDS, archive_codec, export_archive

pytestmark = pytest.mark.slow  # models at work: together they take minutes

SHIPPED = [model.name for model in models.available()]
# SHA-256 of items of tiny models whose weights come from integers, on any machine.
DIGESTS = {
    "tiny-image": "ea39bff929541bf8",
    "tiny-text": "8752feca9f468769",
    "tiny-levels": "8311371fc00587ef",
    "tiny-letters": "37cb9f13a55c6218",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_image(folder / "tiny-image")
    export_text(folder / "tiny-text")
    export_text(folder / "tiny-mixed", mixing=MIXING)
    for kind in KINDS:
        export_archive(folder / f"tiny-{kind}", kind)
    return folder


def equal(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# --- random bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 16, 256])
def test_random_bits_give_symbols_as_often_as_their_frequencies_say(classes: int) -> None:
    weight = np.arange(1, classes + 1) ** 2.0
    frequencies = np.floor(weight / weight.sum() * total(classes))
    frequencies[-1] += total(classes) - frequencies.sum()
    count = 200_000
    drawn = RandomStack(np.random.SeedSequence(1)).decode_rows(
        np.broadcast_to(frequencies.astype(np.float32), (count, classes))
    )
    expected = frequencies / total(classes) * count
    chi2 = float(((np.bincount(drawn, minlength=classes) - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
    assert abs(chi2 - (classes - 1)) < 5 * np.sqrt(2 * classes)


def test_random_bits_never_end() -> None:
    """The rarest symbols take 24 bits each, and a range decoder fails once in ten thousand symbols."""
    stack = RandomStack(np.random.SeedSequence(3))
    flat = np.full((1000, 256), total(256) // 256, np.float32)
    flat[:, 0] += total(256) - flat.sum(1)
    seen = np.concatenate([stack.decode_rows(flat[:n]) for n in (0, 1, 1000, 3, 1000) * 100])
    assert len(seen) == 200_400
    assert len(np.unique(seen)) == 256


def test_random_bits_are_the_same_everywhere() -> None:
    """NumPy promises the streams of its bit generators: these words came from one machine."""
    words = RandomStack(np.random.SeedSequence(5)).written()
    assert words[:2].tolist() == [2881021352, 3457461230]


# --- items -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-image", "tiny-text", "tiny-mixed", *(f"tiny-{kind}" for kind in KINDS)])
def test_twenty_seeds_and_no_failure(folder: Path, name: str) -> None:
    codec = bfncodec.load(folder / name, threads=1)
    size = {"tiny-image": (12, 12), "tiny-text": (90,), "tiny-mixed": (90,)}.get(name)
    found = [sample(codec, 1, size, seed) for seed in range(20)]
    assert len({np.asarray(items[0]).tobytes() for items in found}) > 1


@pytest.mark.parametrize("name", list(DIGESTS))
def test_the_same_seed_gives_the_same_items_on_every_machine(folder: Path, name: str) -> None:
    size = {"tiny-image": (9, 13), "tiny-text": (200,)}.get(name)
    items = sample(bfncodec.load(folder / name, threads=1), 3, size, 7)
    assert hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in items)).hexdigest()[:16] == DIGESTS[name]


@pytest.mark.parametrize(("name", "size"), [("tiny-image", (9, 13)), ("tiny-text", (170,))])
def test_items_do_not_depend_on_how_many_are_drawn(folder: Path, name: str, size: tuple[int, ...]) -> None:
    codec = bfncodec.load(folder / name, threads=1)
    five = sample(codec, 5, size, 2)
    assert equal(five[:2], sample(codec, 2, size, 2))
    assert not equal(five[:1], five[1:2])


@pytest.mark.parametrize("name", ["tiny-image", "tiny-text", "tiny-letters", "tiny-levels"])
def test_impossible_samples_are_refused(folder: Path, name: str) -> None:
    codec = bfncodec.load(folder / name, threads=1)
    for count, size, seed in [(0, None, 1), (1, (0,), 1), (1, (4, 4, 4, 4), 1), (1, None, -1), (1, (3, 0), 1)]:
        with pytest.raises(InputError):
            sample(codec, count, size, seed)


def test_files_of_samples(folder: Path) -> None:
    texts = sample(bfncodec.load(folder / "tiny-text", threads=1), 2, (20,), 1)
    assert as_file(texts) == texts[0] + b"\n" + texts[1] + b"\n"
    pictures = sample(archive_codec(folder / "tiny-binary", "binary"), 5, None, 1)
    assert as_file(pictures).startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_have_samples(name: str) -> None:
    """Of the default size. With a range decoder's bits one picture in two failed, or more."""
    codec = bfncodec.load(name, threads=1)
    for seed in range(2):
        (item,) = sample(codec, 1, None, seed)
        if codec.info.role == "text":
            assert len(item) == 512
        elif codec.info.role == "image":
            assert item.shape == (64, 64, max(codec.channels))
