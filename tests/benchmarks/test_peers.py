"""The measurements themselves: files that are counted are the files that would be written."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from benchmarks import graphics
from benchmarks.codecs import (
    PPMD_PRIMED,
    ZSTD_TRAINED,
    Ahead,
    Codec,
    Ours,
    graphics_codecs,
    photo_codecs,
    text_codecs,
    trained,
)
from benchmarks.measuring import BATCH, Row, batches, measure
from benchmarks.peers import against, array_images, main, spread, sums_of_green
from benchmarks.processes import alone, own_peak
from benchmarks.tables import sizes_plot
from benchmarks.texts import PIECES, content, cut, how_many, samples, sizes_report
from bfncodec.analysis.peers import PPMD, Graphic, graphic_of, has_zpaq, same, seen
from bfncodec.codecs.sources import codecs_beside
from support.doubles import FakeCodec, noise

TEXT = (b"Batches make the same bytes as one at a time. " * 10)[:400]


class Fakes:
    """The one model there is, a text model of the tests."""

    def __init__(self) -> None:
        self.codec = FakeCodec("text")

    def default(self, role: str, *level: int) -> FakeCodec:
        return self.codec

    def named(self, name: str) -> FakeCodec:
        return self.codec

    def identified(self, identity: bytes) -> FakeCodec:
        assert identity == self.codec.info.id
        return self.codec


@pytest.fixture
def ahead() -> Ahead:
    """Ahead with a fake model that wins on noise."""
    source = Ahead(short=1000)
    source._models = Fakes()  # type: ignore[assignment]
    return source


def test_short_items_are_encoded_as_one_batch(ahead: Ahead) -> None:
    items = [noise(seed, 500 + seed).tobytes() for seed in range(4)]
    ahead.foresee([*items, noise(5, 1500).tobytes()])
    blobs = [bfncodec.compress(item, codecs=ahead) for item in items]
    assert ahead._models.codec.batches == [sum(map(len, items))]  # type: ignore[attr-defined]
    assert blobs == [bfncodec.compress(item, codecs=Fakes()) for item in items]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_picture_is_tried_with_the_models_that_compress_tries() -> None:
    source, models = Ahead(short=1000), bfncodec.Models()
    tried = [
        [codec.info.name for codec in codecs_beside(known, known.default("image"))]  # type: ignore[arg-type]
        for known in (source, models)
    ]
    assert tried[0] == tried[1] != []


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
    ours = text_codecs(Ours())[-1]
    ours.foresee(items)
    blobs = [ours.encode(item) for item in items]
    assert blobs == [bfncodec.compress(item) for item in items]
    ours.foresee_coded(blobs)
    assert [ours.decode(blob, 0) for blob in blobs] == items


@pytest.mark.slow
@pytest.mark.parametrize("way", [Ours(), Ours(level=9), Ours("photo")])
def test_small_images_make_the_files_that_compress_makes(way: Ours) -> None:
    ramp = np.add.outer(np.arange(12), np.arange(16))[..., None] * [1, 2, 3]
    items = [ramp.astype(np.uint8), (ramp + 9).astype(np.uint8), ramp[:5].astype(np.uint8)]
    items.append(np.repeat(noise(1, 6, 7, 1), 3, axis=2))  # grey
    ours = photo_codecs(way)[-1]
    ours.foresee(items)
    blobs = [ours.encode(item) for item in items]
    assert blobs == [bfncodec.compress(Image.fromarray(item), **way.options) for item in items]
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


def named(name: str, **options: Any) -> Codec[bytes]:
    return next(codec for codec in text_codecs(**options) if codec.name == name)


@pytest.mark.parametrize(("name", "plain"), [(ZSTD_TRAINED, "zstd -22"), (PPMD_PRIMED, PPMD)])
def test_a_dictionary_makes_texts_like_it_smaller(name: str, plain: str) -> None:
    pytest.importorskip("zstandard")
    pytest.importorskip("pyppmd")
    dictionary = trained([b"%d: %s" % (n, TEXT[n % 50 :]) for n in range(300)])
    codec = named(name, dictionary=dictionary)
    assert codec.decode(codec.encode(TEXT), len(TEXT)) == TEXT
    assert len(codec.encode(TEXT)) < len(named(plain).encode(TEXT))
    assert trained([]) == b""


@pytest.mark.slow
@given(st.lists(st.sampled_from([b"", b"a", b"\x00", b"\xff", TEXT[:90], bytes(range(256))]), max_size=6))
@settings(max_examples=20, deadline=None)
def test_bytes_come_back_from_every_peer(parts: list[bytes]) -> None:
    data = b"".join(parts) or b"a"
    for codec in text_codecs(dictionary=TEXT):  # of zstd it is bytes to point at
        assert codec.decode(codec.encode(data), len(data)) == data, codec.name


def test_ppmd_loses_no_byte_of_a_large_file() -> None:
    """Its encoder does of this one, told of all at once: where a surprise is several bytes and its buffer is full."""
    pytest.importorskip("pyppmd")
    text = np.resize(np.frombuffer(TEXT, np.uint8), 200_000)
    data = np.where(noise(1, text.size) < 16, noise(101, text.size), text).tobytes()
    codec = named(PPMD)
    assert codec.decode(codec.encode(data), len(data)) == data


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_photos_come_back_from_every_peer(height: int, width: int, seed: int) -> None:
    pixels = noise(seed, height, width, 3) // (1 + seed % 60)
    for codec in photo_codecs():
        assert np.array_equal(codec.decode(codec.encode(pixels), pixels.nbytes), pixels), codec.name


def graphic(mode: str, seed: int = 1) -> Image.Image:
    """9 x 7 pixels of few colours; of mode P some are transparent."""
    pixels = noise(seed, 7, 9, 4) // 80 * 80
    image = Image.fromarray(pixels)  # RGBA
    if mode != "P":
        return image.convert(mode)
    image = image.convert("RGB").quantize(20)
    image.info["transparency"] = bytes(range(0, 200, 10))
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_graphics_of_every_mode_come_back_from_every_codec(mode: str, tmp_path: Path) -> None:
    graphic(mode).save(tmp_path / "a.png", dpi=(72, 72))
    found = graphic_of((tmp_path / "a.png").read_bytes())
    assert found is not None
    assert found.image.mode == mode
    assert "dpi" not in found.image.info
    for codec in graphics_codecs(Ours("none")):
        blob = codec.encode(found)
        assert same(found, codec.decode(blob, found.nbytes)), codec.name
    assert codec.name == "bfncodec -m none --strip"
    assert sum(codec.methods(blob).values()) == 1


def test_graphics_of_sixteen_bits_are_passed_over(tmp_path: Path) -> None:
    Image.fromarray(noise(1, 4, 4).astype(np.uint16)).save(tmp_path / "deep.png")
    assert graphic_of((tmp_path / "deep.png").read_bytes()) is None
    result = CliRunner().invoke(main, ["graphics", str(tmp_path)])
    assert result.exit_code == 2
    assert "no pictures of eight bits" in result.output


@given(st.integers(0, 6), st.integers(0, 8), st.integers(0, 3))
def test_any_changed_sample_counts_as_different(row: int, column: int, channel: int) -> None:
    """That of an invisible pixel, too."""
    image = graphic("RGBA")
    pixels = np.array(image)
    pixels[row, column, channel] ^= 1
    assert same(Graphic(b"", image), Graphic(b"", image.copy()))
    assert not same(Graphic(b"", image), Graphic(b"", Image.fromarray(pixels)))


def test_what_a_palette_hides_is_seen() -> None:
    image = graphic("P")
    other = image.copy()
    other.info["transparency"] = bytes(20)
    assert seen(image)[..., 3].any()
    assert not same(Graphic(b"", image), Graphic(b"", other))


def test_larger_files_are_counted_and_the_worst_is_named() -> None:
    def row(name: str, *sizes: int) -> Row:
        return Row(name, len(sizes), 1, sum(sizes), 1.0, 1.0, 1.0, 1.0, sizes)

    line = against(row("ours", 101, 119, 1028, 90), row("theirs", 100, 100, 1000, 400), ["a", "b", "c", "d"])
    assert line.startswith("83.6% of theirs; 2 of 4 files more than 1% larger, 0 by more than the frame")
    assert line.endswith("worst b: 119 against 100 bytes")
    assert "1 by more than the frame" in against(row("ours", 120), row("theirs", 100), ["a"])


def test_sums_of_boxes_are_grey_pictures_of_more_bits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (plain,) = sums_of_green([tmp_path / "a.png"], 1)
    assert np.array_equal(plain, pixels[:, :, 1])
    (sums,) = sums_of_green([tmp_path / "a.png"], 4)
    assert sums.shape == (5, 8)
    assert sums.dtype == np.uint16
    assert sums[1, 2] == pixels[4:8, 8:12, 1].sum(dtype=int)
    result = CliRunner().invoke(main, ["grey", str(tmp_path), "--box", "4", "--only", "PNG"])
    assert result.exit_code == 0, result.output
    assert "bits/sample" in result.output


def test_mosaic_joins_rows_and_drops_what_does_not_fill_one(tmp_path: Path) -> None:
    tiles = noise(3, 9, 4, 5, 3)
    np.save(tmp_path / "a.npy", tiles)
    (joined,) = array_images(tmp_path / "a.npy", 8, 3)
    assert joined.shape == (8, 15, 3)
    for number in range(6):
        top, left = 4 * (number // 3), 5 * (number % 3)
        assert np.array_equal(joined[top : top + 4, left : left + 5], tiles[number])


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (Ours(), "bfncodec"),
        (Ours(level=9), "bfncodec -9"),
        (Ours("photo"), "bfncodec -m photo"),
        (Ours("photo", 1), "bfncodec -1 -m photo"),
    ],
)
def test_ways_to_use_ours_have_names_of_their_own(way: Ours, name: str) -> None:
    assert way.name == photo_codecs(way)[-1].name == text_codecs(way)[-1].name == name
    assert [codec.name for codec in graphics_codecs(way)[-2:]] == [name, f"{name} --strip"]


@pytest.mark.slow
def test_a_process_alone_has_its_own_memory() -> None:
    size = 150_000_000
    here = b"1" * size
    assert alone(own_peak) < len(here) < alone(peak_with, size)
    assert alone(os.getpid) != os.getpid()


def peak_with(size: int) -> int:
    data = b"1" * size
    return own_peak() if data else 0


def test_zpaq_comes_back_or_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if has_zpaq():
        codec = named("zpaq -m5", zpaq=True)
        assert codec.decode(codec.encode(TEXT), len(TEXT)) == TEXT
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.txt").write_bytes(TEXT)
    result = CliRunner().invoke(main, ["text", str(tmp_path / "a.txt"), "--zpaq", "--no-ours", "--only", "xz"])
    assert "zpaq is left out" in result.stderr
    assert result.exit_code == 0


def test_a_codec_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    result = CliRunner().invoke(main, ["text", str(tmp_path / "a.txt"), "--only", "arj"])
    assert result.exit_code == 2
    assert "--only takes parts of gzip -9" in result.output


def test_too_few_files_for_a_dictionary_are_a_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("zstandard")
    (tmp_path / "a.txt").write_bytes(TEXT)
    result = CliRunner().invoke(main, ["files", str(tmp_path), "--trained-on", str(tmp_path)])
    assert result.exit_code == 2
    assert "no dictionary of 1 samples" in result.output


def test_no_picture_files_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    for command in ("photos", "graphics"):
        result = CliRunner().invoke(main, [command, str(tmp_path)])
        assert result.exit_code == 2
        assert "no picture files" in result.output


@pytest.mark.slow
def test_report_says_how_segments_are_coded_and_how_files_compare(tmp_path: Path) -> None:
    graphic("RGB").save(tmp_path / "a.png")
    graphic("P").save(tmp_path / "b.png")
    arguments = ["graphics", str(tmp_path), "-m", "none", "--only", "bfncodec", "--only", "webp"]
    text = CliRunner().invoke(main, arguments, catch_exceptions=False).output
    assert "bfncodec -m none: segments by method:" in text
    assert "of 2 files more than 1% larger" in text


@pytest.mark.slow
def test_files_of_a_folder_and_pieces_of_a_text(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.txt").write_bytes(TEXT[: 50 * n])  # the first one is empty
    row = _row("files", str(tmp_path))
    assert (row["items"], row["raw"]) == (4, 500)
    row = _row("text", str(tmp_path / "4.txt"), "--piece", "10", "--limit", "7")
    assert (row["items"], row["raw"]) == (7, 70)


@pytest.mark.slow
@given(st.text(min_size=20, max_size=300), st.integers(1, 20), st.integers(1, 400))
@settings(max_examples=200)
def test_pieces_have_their_size_and_begin_with_a_character(text: str, size: int, budget: int) -> None:
    data = text.encode()
    count = how_many(len(data), size, budget)
    found = cut(data, size, count)
    assert 1 <= len(found) == count <= PIECES
    assert {len(piece) for piece in found} == {size}
    assert count == 1 or count * size <= min(budget, len(data))
    places = [data.index(piece) for piece in found]
    assert max(places) + size <= len(data)
    for piece in found:
        assert piece[0] & 0xC0 != 0x80
        assert piece in data


def test_pieces_come_from_everywhere() -> None:
    data = bytes(range(100))
    assert cut(data, 10, 1) == [data[45:55]]
    assert cut(data, 10, 3) == [data[11:21], data[44:54], data[77:87]]
    assert cut(bytes([0x80] * 9), 3, 3) == [bytes([0x80] * 3)] * 3  # no UTF-8
    assert [how_many(*asked) for asked in ((10**6, 10, 10**6), (100, 30, 1000), (100, 30, 65), (100, 100, 1))] == [
        PIECES,
        3,
        2,
        1,
    ]


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(TEXT))
    assert content(tmp_path / "a.txt.xz") == content(tmp_path / "a.txt") == TEXT


def test_a_dictionary_is_trained_on_all_of_a_text() -> None:
    assert samples(TEXT, 100) == [TEXT[i : i + 100] for i in range(0, 400, 100)]
    assert samples(TEXT, 1000) == [TEXT]


def test_sizes_are_compared_with_the_smallest_peer_that_knows_nothing() -> None:
    def row(name: str, *sizes: int) -> Row:
        return Row(name, len(sizes), 1000, sum(sizes), 1.0, 8 * sum(sizes) / 1000, 0.5, 0.25, sizes, peak=3_000_000)

    small = [row(PPMD, 300, 100), row("zstd -22", 390), row(PPMD_PRIMED, 250), row("bfncodec -m none", 100)]
    large = [row(PPMD, 200), row("zstd -22", 160), row("bfncodec -m none", 120)]
    text = sizes_report("a.txt", {500: small, 1000: large}, [Ours("none")])
    lines = [line.split() for line in text.splitlines()]
    assert ["smallest", "peer", "without", "a", "dictionary", "zstd", "-22", "zstd", "-22"] in lines
    assert ["bfncodec", "-m", "none", "/", "that", "one", "25.6%", "75.0%"] in lines
    assert ["bfncodec", "-m", "none", "/", *PPMD.split(), "25.0%", "60.0%"] in lines
    assert ["bfncodec", "-m", "none", "/", *PPMD_PRIMED.split(), "40.0%"] in lines
    assert ["bfncodec", "-m", "none", "0.800", "0.960", "2.0", "4.0", "3"] in lines
    assert [*PPMD_PRIMED.split(), "2.000"] in lines
    assert "zpaq" not in text


@pytest.mark.slow
def test_sizes_of_a_file_are_measured_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("zstandard")
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "b.txt").write_bytes(b"".join(b"%d: %s" % (n, TEXT[n % 50 :]) for n in range(300)))
    arguments = ["sizes", str(tmp_path / "a.txt"), "--primed-with", str(tmp_path / "b.txt"), "--plot"]
    arguments += [str(tmp_path / "a.png"), "-m", "none", "--size", "50", "--size", "0.2KB", "--size", "1KB"]
    assert "expected bytes such as 300, 10KB or 1MB, found 0.2KB" in CliRunner().invoke(main, arguments).output
    arguments[-3] = "200"
    result = CliRunner().invoke(main, [*arguments, "--only", "zstd", "--only", "none"], catch_exceptions=False)
    assert "pieces of 1,000 bytes are left out: a.txt has 400" in result.stderr
    assert f"bfncodec -m none / {ZSTD_TRAINED}" in result.stdout
    assert ["(pieces)", "8", "2"] in [line.split() for line in result.stdout.splitlines()]
    with Image.open(tmp_path / "a.png") as image:
        assert min(image.size) > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "1MB"], "a.txt has 400 bytes: ask for a --size that is not larger"),
        (["--size", "50", "--only", "arj"], "--only takes parts of gzip -9"),
        (["--size", "50", "--primed-with", "a.txt"], "is the file that is measured"),
        (["--size", "0"], "expected bytes such as 300"),
    ],
)
def test_sizes_that_cannot_be_are_clear_errors(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    there = [str(tmp_path / word) if word == "a.txt" else word for word in ["a.txt", *arguments]]
    result = CliRunner().invoke(main, ["sizes", *there])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_plot_of_bits_against_size_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = {f"peer {n}": [(100, 8.0 - n / 3), (1000, 4.0)] for n in range(12)} | {"bfncodec -5": [(100, 2.0)]}
    sizes_plot(tmp_path / "a.png", "texts", "bits/byte", lines)
    with Image.open(tmp_path / "a.png") as image:
        assert min(image.size) > 100


def _row(*arguments: str) -> dict[str, float]:
    result = CliRunner().invoke(main, [*arguments, "--no-ours", "--only", "xz", "--json"], catch_exceptions=False)
    (row,) = json.loads(result.stdout)["rows"]
    return dict(row)


def test_packages_are_unpacked_into_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As dpkg does, which makes a folder but not those above it; what is cut short begins anew."""
    broken = [True]

    def fake(command: list[Any], check: bool, cwd: Path = tmp_path) -> None:
        if command[0] == "apt-get":
            (cwd / "gimp-help-en_1_all.deb").touch()
            return
        Path(command[-1]).mkdir(exist_ok=True)
        if broken.pop():
            raise subprocess.CalledProcessError(2, command)
        Image.new("RGB", (2, 2)).save(command[-1] / "a.png")

    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(subprocess.CalledProcessError):
        graphics.unpack("gimp-help-en", tmp_path)
    broken.append(False)
    assert [path.name for path in graphics.unpack("gimp-help-en", tmp_path)] == ["a.png"]
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["gimp-help-en"]
