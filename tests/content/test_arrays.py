"""Files of arrays through tiny archive models with random weights."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import bfncodec
from bfncodec.cli.main import cli
from bfncodec.content.arrays import Arrays, arrays_of, read_places, write_places
from bfncodec.errors import DamagedError, FormatError, InputError
from bfncodec.files.options import Options
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.format.compact import pack_compact
from bfncodec.format.container import unpack
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.wire import varint
from bfncodec.segments.encode import encode_frame
from support.frames import segments_of, stored
from support.tiny import MODELS_WIN, archive_codec, export_archive

RGB = "tiny-levels"
SHAPE = (4, 4, 3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_archive(folder / "levels", "levels")
    return folder


@pytest.fixture(autouse=True)
def _here(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFNCODEC_MODELS", str(models))
    monkeypatch.chdir(tmp_path)


def items(models: Path, count: int) -> np.ndarray[Any, Any]:
    """Return what the model believes in: [count, 4, 4, 3]."""
    codec = archive_codec(models / "levels", "levels")
    return np.frombuffer(b"".join(codec.draw(count, (), np.random.SeedSequence(5))), np.uint8).reshape(count, *SHAPE)


def saved(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, result.output
    return result


@pytest.mark.slow
def test_an_npz_file_comes_back_byte_for_byte(models: Path, tmp_path: Path) -> None:
    train, test = items(models, 60), items(models, 20)
    labels = np.arange(60) % 10
    data = saved(labels=labels, train=train, names=np.array(["a", "bc"]), test=test, one=train[0])
    (tmp_path / "set.npz").write_bytes(data)
    compress_file("set.npz", None, Options(RGB, policy=MODELS_WIN))
    blob = (tmp_path / "set.npz.bfn").read_bytes()
    frame = unpack(blob)
    assert [entry.method for entry in frame.entries] == [Method.LZMA, Method.MODEL]
    assert len(read_places(frame.header, len(data))) == 2
    decompress_file("set.npz.bfn", "back.npz")
    assert (tmp_path / "back.npz").read_bytes() == data == bfncodec.decompress(blob)
    assert run("test", "set.npz.bfn").exit_code == 0
    assert "set.npz.bfn" in run("list", "set.npz.bfn").output


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.zeros((9, 4, 4), np.uint8)},
        {"a": np.zeros((9, 4, 4, 3), np.int16)},
        {"a": np.zeros((9, 4, 4, 3), np.uint8, order="F")},
        {"a": np.zeros((0, 4, 4, 3), np.uint8)},
    ],
)
def test_arrays_of_something_else_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    (tmp_path / "x.npz").write_bytes(saved(**arrays))
    assert (
        "no array of bytes whose items have the shape 4 x 4 x 3" in run("compress", "-m", RGB, "x.npz", code=1).stderr
    )
    assert not (tmp_path / "x.npz.bfn").exists()
    run("compress", "-m", "none", "x.npz")


def test_compressed_and_broken_ones_are_refused(models: Path) -> None:
    out = io.BytesIO()
    np.savez_compressed(out, a=items(models, 30))
    with pytest.raises(InputError, match=r"numpy\.savez writes such files"):
        arrays_of(out.getvalue(), SHAPE)
    data = saved(a=items(models, 30))
    for size in (0, 40, len(data) // 2, len(data) - 1):
        with pytest.raises(InputError):
            arrays_of(data[:size], SHAPE)


def test_a_zip_file_of_a_newer_version_is_refused(models: Path) -> None:
    data = bytearray(saved(a=items(models, 30)))
    data[data.index(b"PK\x01\x02") + 6] = 99  # of the first entry of the directory: the version it needs
    with pytest.raises(InputError, match=r"version 9\.9"):
        arrays_of(bytes(data), SHAPE)


def test_arrays_that_overlap_are_refused(models: Path) -> None:
    """A zip file may name one member twice."""
    out = io.BytesIO(saved(a=items(models, 30)))
    with zipfile.ZipFile(out, "a") as file:
        file.filelist.append(file.filelist[0])
        file._didModify = True
    with pytest.raises(InputError, match="overlap"):
        arrays_of(out.getvalue(), SHAPE)


@settings(max_examples=60)
@given(st.data())
def test_any_flipped_bit_of_a_zip_file_is_an_error_or_comes_back(data: st.DataObject) -> None:
    blob = bytearray(saved(a=np.arange(960, dtype=np.uint8).reshape(20, *SHAPE), b=np.arange(5)))
    at = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[at // 8] ^= 1 << at % 8
    try:
        found = arrays_of(bytes(blob), SHAPE)
    except InputError:
        return
    assert found.file == bytes(blob)


@given(st.binary(max_size=60), st.data())
def test_what_was_moved_goes_back(file: bytes, data: st.DataObject) -> None:
    edges = sorted(data.draw(st.lists(st.integers(0, len(file)), max_size=8, unique=True)))
    places = tuple((a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=False))
    moved = b"".join(file[start : start + size] for start, size in places)
    kept = bytearray(file)
    for start, size in reversed(places):
        del kept[start : start + size]
    content = Arrays(bytes(kept) + moved, places=places)
    assert content.file == file
    assert content.first == len(kept)
    if places:
        assert read_places(content.header, len(file)) == places


@pytest.mark.parametrize(
    "numbers",
    [(0,), (1,), (1, 5), (1, 0, 0), (1, 0, 11), (1, 9, 2), (2, 0, 4, 3, 4), (1, 0, 4, 7), (1 << 40, 0, 4)],
)
def test_places_that_cannot_be_are_damage(numbers: tuple[int, ...]) -> None:
    extra = Extra(Tag.MOVED, b"".join(map(varint, numbers)))
    for kind in (Kind.BYTES, Kind.STR):
        blob = pack_compact(Header(kind, extras=(extra,)), stored(bytes(10)))
        with pytest.raises(FormatError):
            bfncodec.decompress(blob)


def test_only_bytes_have_places() -> None:
    extra = write_places(((0, 4),))
    with pytest.raises(DamagedError, match="kind str"):
        read_places(Header(Kind.STR, extras=(extra,)), 10)


def test_damage_is_zeros_in_their_places(models: Path) -> None:
    data = saved(a=items(models, 60), labels=np.arange(50))
    blob = bytearray(encode_frame(arrays_of(data, SHAPE), RGB, bfncodec.Models(), policy=MODELS_WIN))
    part = segments_of(bytes(blob))[-1]
    at = bytes(blob).index(part.payload) + 8
    for place in range(at, at + len(part.payload) // 2):  # more than can be repaired
        blob[place] ^= 0x5A
    with pytest.raises(FormatError):
        bfncodec.decompress(bytes(blob))
    lost = []
    found = bfncodec.decompress(bytes(blob), on_damage=lost.append)
    assert len(lost) == 1
    ((start, size),) = arrays_of(data, SHAPE).places
    assert found == data[:start] + bytes(size) + data[start + size :]
