"""Long files, read and written a piece at a time."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bfncodec
from bfncodec.errors import DamagedError, InputError, LimitError, OutputError
from bfncodec.files import streaming
from bfncodec.files.appending import append_file
from bfncodec.files.options import Options
from bfncodec.files.preview import store_preview
from bfncodec.files.streaming import compressed_chunks, decompressed_chunks
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.format.limits import Limits
from bfncodec.format.wire import StreamReader
from bfncodec.segments.policy import Policy
from support.doubles import FakeModels, noise

POLICY = Policy(text_segment=1000, plain_segment=1000, stream_from=3000)
PLAIN = Options(model="none", policy=POLICY)
LONG = b"a line of words, and another line\n" * 150


def segments(path: Path) -> int:
    return sum(bfncodec.describe(path.read_bytes()).methods.values())


def test_long_files_come_back(tmp_path: Path) -> None:
    source, back = tmp_path / "x", tmp_path / "y"
    source.write_bytes(LONG)
    done = compress_file(source, options=PLAIN)
    assert (done.plain_bytes, done.compressed_bytes) == (len(LONG), (tmp_path / "x.bfn").stat().st_size)
    assert segments(tmp_path / "x.bfn") == 6
    again = decompress_file(tmp_path / "x.bfn", back, PLAIN)
    assert (again.plain_bytes, again.identical) == (len(LONG), True)
    assert back.read_bytes() == LONG
    assert back.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_sources_are_removed_when_all_is_well(tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(LONG)
    options = Options(model="none", policy=POLICY, remove=True)
    compress_file(source, options=options)
    assert not source.exists()
    decompress_file(tmp_path / "x.bfn", options=options)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert source.read_bytes() == LONG


def test_long_files_take_memory_for_a_piece_alone(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(LONG * 4)
    compress_file(tmp_path / "x", options=PLAIN)
    little = Limits(memory=60_000)
    decompress_file(tmp_path / "x.bfn", tmp_path / "y", Options(policy=POLICY, limits=little))
    assert (tmp_path / "y").read_bytes() == LONG * 4
    with pytest.raises(LimitError, match="asks for 104208 bytes of memory"):
        decompress_file(tmp_path / "x.bfn", tmp_path / "z", Options(limits=little))


def test_a_disk_that_changes_bytes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "x"
    source.write_bytes(LONG)
    compress_file(source, options=PLAIN)
    monkeypatch.setattr(os, "fsync", lambda number: os.pwrite(number, b"?", 40) if os.fstat(number).st_size > 99 else 0)
    with pytest.raises((DamagedError, OutputError)):
        compress_file(source, tmp_path / "z.bfn", Options(model="none", policy=POLICY, remove=True))
    with pytest.raises(OutputError, match="reads back"):
        decompress_file(tmp_path / "x.bfn", tmp_path / "z", Options(policy=POLICY, remove=True))
    assert {path.name for path in tmp_path.iterdir()} == {"x", "x.bfn"}


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(LONG)

    class Changing(FakeModels):
        def default(self, role: str, level: int = 5) -> Any:
            with source.open("ab") as file:
                file.write(b"more")
            return super().default(role, level)

    with pytest.raises(InputError, match="was changed while it was read"):
        compress_file(source, options=Options(policy=POLICY), codecs=Changing())
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_damage_leaves_no_target(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(LONG)
    compress_file(tmp_path / "x", options=PLAIN)
    blob = bytearray((tmp_path / "x.bfn").read_bytes())
    blob[len(blob) // 2] ^= 4
    (tmp_path / "d.bfn").write_bytes(blob)
    with pytest.raises(DamagedError, match="checksum"):
        decompress_file(tmp_path / "d.bfn", tmp_path / "d", PLAIN)
    assert not (tmp_path / "d").exists()
    told: list[Any] = []
    options = Options(policy=POLICY, on_damage=told.append)
    decompress_file(tmp_path / "d.bfn", tmp_path / "d", options)
    assert len(told) == 1
    assert len((tmp_path / "d").read_bytes()) == len(LONG)


@pytest.mark.parametrize("cut", ["lines", "picture", "archive"])
def test_what_is_read_whole(tmp_path: Path, cut: str) -> None:
    """Lines and pictures know of all their content; items may not be cut anywhere."""
    data, options = LONG, PLAIN
    if cut == "lines":
        options = Options(model="none", policy=POLICY, block=64)
    elif cut == "picture":
        out = io.BytesIO()
        Image.fromarray(noise(1, 60, 60, 3)).save(out, "PPM")
        data = out.getvalue()
    reader = StreamReader(io.BytesIO(data).read)
    if cut == "archive":
        from support.doubles import FakeModelsAndArchive

        options = Options(model="archive", policy=POLICY)
        assert compressed_chunks(reader, options, FakeModelsAndArchive()) is None
    else:
        assert compressed_chunks(reader, options, FakeModels()) is None
    assert reader.rest() == data


def test_a_reader_that_was_not_taken_from_is_whole(tmp_path: Path) -> None:
    picture = bfncodec.compress(noise(1, 60, 60, 3), "none")
    reader = StreamReader(io.BytesIO(picture).read)
    assert decompressed_chunks(reader, PLAIN, FakeModels()) is None
    assert reader.rest() == picture


def test_arrays_grow_on_disk(tmp_path: Path) -> None:
    items, target = noise(7, 50, 4, 4, 3), tmp_path / "items.bfn"
    target.write_bytes(bfncodec.compress(items, "none"))
    np.save(tmp_path / "more.npy", items[:9])
    before = target.stat().st_size
    os.utime(target, (1e9, 1e9))
    assert append_file(target, tmp_path / "more.npy", PLAIN) == target.stat().st_size - before
    np.testing.assert_array_equal(bfncodec.decompress(target.read_bytes()), np.concatenate([items, items[:9]]))
    assert target.stat().st_mtime > 1.1e9
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(bfncodec.BfncodecError, match=r"expected a \.npy file"):
        append_file(target, tmp_path / "bad.npy", PLAIN)
    assert {path.name for path in tmp_path.iterdir()} == {"items.bfn", "more.npy", "bad.npy"}


def test_length_of_a_long_file_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(LONG)
    compress_file(tmp_path / "x", options=PLAIN)
    assert streaming.checked_length(tmp_path / "x.bfn", None) == len(LONG)


@pytest.mark.parametrize("policy", [Policy(), Policy(plain_tile=20, plain_pixels=400)], ids=["compact", "segmented"])
def test_a_preview_is_put_in_and_taken_out(tmp_path: Path, policy: Policy) -> None:
    target, pixels = tmp_path / "x.bfn", noise(1, 50, 40, 3)
    before = bfncodec.compress(pixels, "none", policy=policy)
    target.write_bytes(before)
    assert store_preview(target) == len(target.read_bytes()) - len(before) > 0
    assert bfncodec.describe(target.read_bytes()).preview_bytes > 0
    assert bfncodec.preview(target.read_bytes()).size == (40, 50)
    np.testing.assert_array_equal(bfncodec.decompress(target.read_bytes()), pixels)
    store_preview(target, keep=False)
    assert target.read_bytes() == before
    target.write_bytes(bfncodec.compress(b"bytes", "none"))
    with pytest.raises(InputError, match="only pictures"):
        store_preview(target)
