"""The measurements themselves: files that are counted are the files that would be written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from doubles import FakeCodec, noise
from PIL import Image

import bfncodec
from benchmarks.codecs import Ahead, Codec, photo_codecs, text_codecs
from benchmarks.peers import BATCH, batches, main, measure, spread

TEXT = (b"Batches make the same bytes as one at a time. " * 10)[:400]


class Fakes:
    """The one model there is, a text model of the tests."""

    def __init__(self) -> None:
        self.codec = FakeCodec("text")

    def default(self, role: str) -> FakeCodec:
        return self.codec

    def named(self, name: str) -> FakeCodec:
        return self.codec

    def identified(self, identity: bytes) -> FakeCodec:
        assert identity == self.codec.info.id
        return self.codec


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """Ahead with a fake model that wins on noise."""
    monkeypatch.setattr(FakeCodec.encode_batch, "__defaults__", (lambda done: None,))
    monkeypatch.setattr(FakeCodec.decode_batch, "__defaults__", (lambda done: None,))
    source = Ahead("auto", "text", short=1000)
    source._models = Fakes()  # type: ignore[assignment]
    return source


def test_short_items_are_encoded_as_one_batch(ahead: Ahead) -> None:
    items = [noise(seed, 500 + seed).tobytes() for seed in range(4)]
    ahead.foresee([*items, noise(5, 1500).tobytes()])
    blobs = [bfncodec.compress(item, codecs=ahead) for item in items]
    assert ahead._models.codec.batches == [sum(map(len, items))]  # type: ignore[attr-defined]
    assert blobs == [bfncodec.compress(item, codecs=Fakes()) for item in items]  # type: ignore[arg-type]


def test_what_was_not_foreseen_is_coded_all_the_same(ahead: Ahead) -> None:
    short, long = noise(1, 900).tobytes(), noise(2, 1500).tobytes()
    ahead.foresee([short, long])
    ahead.foresee_coded([])
    for item in (short, long, noise(3, 700).tobytes(), b"", b"plain"):
        assert bfncodec.decompress(bfncodec.compress(item, codecs=ahead), codecs=ahead) == item


def test_damage_is_found_in_files_decoded_ahead(ahead: Ahead) -> None:
    item = noise(1, 900).tobytes()
    blob = bytearray(bfncodec.compress(item, codecs=ahead))
    blob[-6] ^= 3  # another seed: a payload that decodes to something else
    ahead.foresee_coded([bytes(blob)])
    with pytest.raises(bfncodec.DamagedError, match="checksum"):
        bfncodec.decompress(bytes(blob), codecs=ahead)


@pytest.mark.slow
def test_short_texts_make_the_files_that_compress_makes() -> None:
    items = [TEXT[:60], TEXT[7:90], TEXT[:1], b"", bytes(range(40))]
    ours = text_codecs()[-1]
    ours.foresee(items)
    blobs = [ours.encode(item) for item in items]
    assert blobs == [bfncodec.compress(item) for item in items]
    ours.foresee_coded(blobs)
    assert [ours.decode(blob, 0) for blob in blobs] == items


@pytest.mark.slow
def test_small_images_make_the_files_that_compress_makes() -> None:
    ramp = np.add.outer(np.arange(12), np.arange(16))[..., None] * [1, 2, 3]
    items = [ramp.astype(np.uint8), (ramp + 9).astype(np.uint8), ramp[:5].astype(np.uint8)]
    ours = photo_codecs()[-1]
    ours.foresee(items)
    blobs = [ours.encode(item) for item in items]
    assert blobs == [bfncodec.compress(Image.fromarray(item)) for item in items]
    ours.foresee_coded(blobs)
    assert all(np.array_equal(ours.decode(blob, 0), item) for blob, item in zip(blobs, items, strict=True))


def test_every_byte_is_counted_and_every_item_told_of() -> None:
    told: list[Sequence[bytes]] = []
    stored = Codec[bytes]("stored", lambda x: b"##" + x, lambda blob, size: blob[2:], told.append, told.append)
    row = measure(stored, [b"a", b"bcd"])
    assert (row.items, row.raw, row.packed) == (2, 4, 8)
    assert row.mean_bits == pytest.approx((24 + 8 * 5 / 3) / 2)
    assert row.total_bits == 16
    assert told == [[b"a", b"bcd"], [b"##a", b"##bcd"]]


def test_what_comes_back_different_is_no_result() -> None:
    with pytest.raises(AssertionError, match="lossy: item 1"):
        measure(Codec[bytes]("lossy", lambda x: x, lambda blob, size: b"a"), [b"a", b"b"])


def test_batches_keep_the_order_and_the_limit() -> None:
    items = [bytes(size) for size in (1, BATCH - 1, 1, BATCH + 1, 2, 3)]
    assert [[len(item) for item in batch] for batch in batches(items)] == [[1, BATCH - 1], [1], [BATCH + 1], [2, 3]]


def test_pieces_are_spread_evenly() -> None:
    assert spread(10, 3) == [0, 3, 6]
    assert spread(3, 10) == spread(3, None) == [0, 1, 2]


def test_dictionary_of_zstd_comes_back() -> None:
    pytest.importorskip("zstandard")
    samples = [b"%d: %s" % (n, TEXT[n % 50 :]) for n in range(300)]
    codec = next(c for c in text_codecs(None, samples) if c.name == "zstd -22, dictionary")
    plain = next(c for c in text_codecs(None) if c.name == "zstd -22")
    assert codec.decode(codec.encode(TEXT), len(TEXT)) == TEXT
    assert len(codec.encode(TEXT)) < len(plain.encode(TEXT))


def test_files_of_a_folder_and_pieces_of_a_text(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.txt").write_bytes(TEXT[: 50 * n])  # the first one is empty
    row = _row("files", str(tmp_path))
    assert (row["items"], row["raw"]) == (4, 500)
    row = _row("text", str(tmp_path / "4.txt"), "--piece", "10", "--limit", "7")
    assert (row["items"], row["raw"]) == (7, 70)


def _row(*arguments: str) -> dict[str, float]:
    result = CliRunner().invoke(main, [*arguments, "--no-ours", "--only", "xz", "--json"], catch_exceptions=False)
    (row,) = json.loads(result.output)["rows"]
    return dict(row)
