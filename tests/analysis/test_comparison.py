"""Ours and the peers on one file: what is counted came back, and who fails is left out."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

import bfncodec
from bfncodec.analysis import comparison, peers
from bfncodec.analysis.comparison import Comparison, Score, compare, name_of, totals
from bfncodec.analysis.peers import Peer, absent, byte_peers, graphic_peers, wide_peers
from bfncodec.errors import OutputError
from bfncodec.files.options import Options
from support.doubles import FakeModels, noise

NOISE = noise(3, 900).tobytes()
OURS = Options(verify=False)


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def small(name: str) -> bool:
    """Leave out what takes long to start."""
    return not name.startswith(("zpaq", "PPMd"))


def test_bytes_go_through_ours_and_the_peers_of_bytes() -> None:
    found = compare("x", NOISE, [OURS], FakeModels(), small)
    assert (found.kind, found.file_bytes, found.dims, found.raw_bytes) == ("files", 900, 900, 900)
    assert set(found.scores) == {peer.name for peer in byte_peers() if small(peer.name)} | {"bfncodec -5"}
    assert found.scores["bfncodec -5"].bytes == len(bfncodec.compress(NOISE, codecs=FakeModels())) < 900
    assert min(score.bytes for name, score in found.scores.items() if name != "bfncodec -5") > 900
    assert not found.failures


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1", "LA"])
def test_pictures_go_through_ours_and_the_peers_of_pictures(mode: str) -> None:
    file = io.BytesIO()
    Image.fromarray(noise(4, 20, 20, 3)).convert(mode).save(file, "PNG")
    found = compare("x.png", file.getvalue(), [OURS], FakeModels(), lambda name: "-e 9" not in name)
    assert found.kind == "pictures"
    assert found.dims == 400 * {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode, 1)
    names = {peer.name for peer in graphic_peers(efforts=(7,))}
    assert set(found.scores) == names | {"bfncodec -5"}
    assert not found.failures


def test_pictures_of_16_bits_keep_them() -> None:
    pixels = noise(4, 20, 20).astype(np.uint16) * 257
    found = compare("x.png", png(pixels), [OURS], FakeModels())
    assert (found.kind, found.dims, found.raw_bytes) == ("pictures of 16 bits", 400, 800)
    assert set(found.scores) == {peer.name for peer in wide_peers()} | {"bfncodec -5"}


def test_a_peer_that_loses_something_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    loses = Peer("loses", lambda data: data[1:], lambda blob, size: blob)
    raises = Peer("raises", lambda data: data, lambda blob, size: bytes([size]))
    monkeypatch.setattr(comparison, "byte_peers", lambda zpaq: [loses, raises])
    found = compare("x", NOISE, [], FakeModels())
    assert not found.scores
    assert found.failures["loses"] == "ValueError: what came back is not the same"
    assert found.failures["raises"].startswith("ValueError: bytes must be in range")


def test_ours_that_loses_something_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made = comparison.decode_data
    monkeypatch.setattr(comparison, "decode_data", lambda *given: (b"other", made(*given)[1]))
    with pytest.raises(OutputError, match="same content"):
        compare("x", NOISE, [OURS], FakeModels(), lambda name: name.startswith("bfncodec"))


def test_several_levels_have_a_row_each() -> None:
    ways = [Options(level=level, verify=False) for level in (1, 9)] + [Options("text", level=3, verify=False)]
    found = compare("x", NOISE, ways, FakeModels(), lambda name: name.startswith("bfncodec"))
    assert list(found.scores) == list(map(name_of, ways)) == ["bfncodec -1", "bfncodec -9", "bfncodec -3 -m text"]


def test_totals_are_of_codecs_that_had_every_file() -> None:
    one = Comparison("a", "files", 10, 10, 10, {"x": Score(5, 1.0, 2.0), "y": Score(4, 1.0, 1.0)}, {})
    two = Comparison("b", "files", 30, 30, 30, {"x": Score(6, 0.5, 0.5)}, {"y": "failed"})
    picture = Comparison("c", "pictures", 7, 12, 12, {"PNG": Score(7, 0.1, 0.1)}, {})
    files, pictures = totals([one, picture, two])
    assert files.scores == {"x": Score(11, 1.5, 2.5)}
    assert (files.files, files.file_bytes, files.dims, files.unit) == (2, 40, 40, "bits/byte")
    assert (pictures.unit, pictures.scores) == ("bits/subpixel", picture.scores)


def test_absent_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setattr(peers, "has_zpaq", lambda: False)
    lines = absent()
    assert any("zstd, brotli" in line and "pip install 'bfncodec[bench]'" in line for line in lines)
    assert any("apt install zpaq" in line for line in lines)
    assert "zstd -22" not in [peer.name for peer in byte_peers()]
