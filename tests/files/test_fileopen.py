"""Compressed files as files of Python, beside those of gzip."""

from __future__ import annotations

import gzip
import io
import os
import random
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bfncodec
from bfncodec.errors import DamagedError, InputError, LimitError, ModelNotFoundError, NotOursError, OutputError
from bfncodec.format.limits import Limits
from bfncodec.segments.policy import Policy
from support.doubles import FakeModels, noise

POLICY = Policy(text_segment=1000, plain_segment=1000)
LINES = "".join(f"line {number} of some\r\n" * (number % 3) + "écrit\n" for number in range(300)) + "no end"
DATA = LINES.encode()


def made(data: bytes = DATA, policy: Policy = POLICY, **arguments: Any) -> bytes:
    out = io.BytesIO()
    with bfncodec.open(out, "wb", model="none", policy=policy, **arguments) as file:
        for start in range(0, len(data), 77):
            file.write(data[start : start + 77])
    return out.getvalue()


def piped(blob: bytes) -> io.BufferedIOBase:
    """A source that gives its bytes a few at a time, and cannot go back."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation("seek")

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 13))

    return Pipe(blob)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_fail(file: Any, content: bytes | str) -> None:
    with file:
        file.write(content)
        file.flush()
        raise ZeroDivisionError


# ---- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [io.BytesIO, piped])
def test_content_comes_back(source: Callable[[bytes], Any]) -> None:
    assert sum(bfncodec.describe(made()).methods.values()) == -(-len(DATA) // 1000)
    with bfncodec.open(source(made())) as file:
        assert file.read() == DATA
        assert file.read() == b""
    with bfncodec.open(source(made())) as file:
        assert (file.read(10), file.peek()[:5], file.read1(7), file.tell()) == (DATA[:10], DATA[10:15], DATA[10:17], 17)
        assert file.readline() == DATA[17:].splitlines(keepends=True)[0]
    assert bfncodec.decompress(made()) == DATA


@pytest.mark.parametrize("newline", [None, "", "\n", "\r\n"])
def test_lines_are_those_of_gzip(newline: str | None, tmp_path: Path) -> None:
    (tmp_path / "x.bfn").write_bytes(made())
    (tmp_path / "x.gz").write_bytes(gzip.compress(DATA))
    with bfncodec.open(tmp_path / "x.bfn") as ours, gzip.open(tmp_path / "x.gz") as theirs:
        assert list(ours) == list(theirs)
    text = {"encoding": "utf-8", "newline": newline}
    with (
        bfncodec.open(str(tmp_path / "x.bfn"), "rt", **text) as ours,
        gzip.open(tmp_path / "x.gz", "rt", **text) as theirs,
    ):
        assert list(ours) == list(theirs)


@pytest.mark.parametrize("seed", range(5))
def test_any_walk_through_a_file_is_that_through_its_content(seed: int) -> None:
    draw = random.Random(seed)
    ours, theirs = bfncodec.open(io.BytesIO(made())), io.BytesIO(DATA)
    for _ in range(300):
        place, size = draw.randrange(len(DATA) + 50), draw.choice([0, 1, 50, 999, 5000])
        match draw.randrange(5):
            case 0:
                assert ours.seek(place) == place
                theirs.seek(place)
            case 1:
                step = draw.randint(-ours.tell(), 500)
                ours.seek(step, os.SEEK_CUR)
                theirs.seek(step, os.SEEK_CUR)
            case 2:
                assert ours.readline() == theirs.readline()
            case 3:
                buffers = bytearray(size), bytearray(size)
                assert ours.readinto(buffers[0]) == theirs.readinto(buffers[1])
                assert buffers[0] == buffers[1]
            case _:
                assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()
    assert ours.seek(-3, os.SEEK_END) == len(DATA) - 3
    assert ours.read() == b"end"


def test_only_segments_that_are_touched_are_decoded() -> None:
    models = FakeModels()
    pieces = [noise(seed, 700).tobytes() for seed in range(9)]
    policy = Policy(text_segment=700, plain_segment=700)
    blob = made(b"".join(pieces), policy)
    out = io.BytesIO()
    with bfncodec.open(out, "wb", codecs=models, policy=policy, verify=False) as file:
        file.write(b"".join(pieces))
    assert bfncodec.describe(out.getvalue()).methods == {"model": 9}
    assert len(out.getvalue()) < len(blob)
    out.seek(0)
    file = bfncodec.open(out, codecs=models)
    assert models.codecs["text"].decoded == 0
    file.seek(4 * 700 + 5)
    assert file.read(600) == pieces[4][5:605]
    assert models.codecs["text"].decoded == 1
    file.seek(5 * 700 - 1)
    assert file.read(2) == pieces[4][-1:] + pieces[5][:1]
    file.seek(4 * 700)
    assert file.read(700) == pieces[4]
    file.seek(0)
    assert file.read() == b"".join(pieces)


def test_files_one_after_the_other_are_one() -> None:
    small = bfncodec.compress("small", "none")
    for parts in ([small, small], [made(), small, made()], [small, made()]):
        whole = b"".join(bfncodec.decompress(part if part != small else bfncodec.compress(b"small")) for part in parts)
        assert bfncodec.open(io.BytesIO(b"".join(parts))).read() == whole
        assert bfncodec.open(piped(b"".join(parts))).read() == whole
        file = bfncodec.open(io.BytesIO(b"".join(parts)))
        file.seek(len(whole) - 7)
        assert file.read(3) == whole[-7:-4]
    picture = bfncodec.compress(noise(1, 5, 6, 3), "none")
    with pytest.raises(InputError, match="only files of bytes and text"):
        bfncodec.open(io.BytesIO(made() + picture))


def test_files_are_read_from_where_they_stand_and_left_open() -> None:
    outer = io.BytesIO(b"before" + made())
    outer.seek(6)
    with bfncodec.open(outer) as file:
        assert file.read(5) == DATA[:5]
    assert not outer.closed


def test_text_objects_are_bytes_of_their_text() -> None:
    blob = bfncodec.compress("été " * 9, "none")
    with bfncodec.open(io.BytesIO(blob), "rt", encoding="utf-8") as file:
        assert file.read() == "été " * 9


def test_files_of_pictures_and_arrays_are_read_as_the_files_they_were(tmp_path: Path) -> None:
    Image.fromarray(noise(1, 9, 9, 3)).save(tmp_path / "x.png")
    np.save(tmp_path / "y.npy", np.arange(999.0))
    for path in (tmp_path / "x.png", tmp_path / "y.npy"):
        bfncodec.compress_file(path, tmp_path / "z.bfn", bfncodec.files.options.Options(model="none", force=True))
        with bfncodec.open(tmp_path / "z.bfn") as file:
            file.seek(-5, os.SEEK_END)
            assert file.read() == path.read_bytes()[-5:]
            file.seek(0)
            assert file.read() == path.read_bytes()


def test_damage_is_an_error_before_any_byte_of_its_segment() -> None:
    blob = bytearray(made())
    blob[len(blob) // 2] ^= 1
    for source in (io.BytesIO(blob), piped(bytes(blob))):
        found = list[bytes]()
        chunks = iter(partial(bfncodec.open(source).read1, 100), b"")
        with pytest.raises(DamagedError, match=r"segment \d+.*: checksum mismatch"):
            found.extend(chunks)
        given = b"".join(found)
        assert DATA.startswith(given)
        assert given
        assert len(given) % 1000 == 0
    with pytest.raises(DamagedError, match="cut off"):
        bfncodec.open(io.BytesIO(made()[:-1]))
    with pytest.raises(NotOursError):
        bfncodec.open(io.BytesIO(b"other"))
    with pytest.raises(NotOursError, match="empty"):
        bfncodec.open(piped(b"")).read()


def test_a_folder_is_no_file() -> None:
    from support.doubles import FakeModelsAndArchive

    out, models = io.BytesIO(), FakeModelsAndArchive()
    Image.fromarray(noise(1, 4, 4, 3)).save(out, "PNG")
    blob = bfncodec.compress({"a.png": out.getvalue(), "b.png": out.getvalue()}, "archive", codecs=models)
    with pytest.raises(InputError, match="that of a folder"):
        bfncodec.open(io.BytesIO(blob), codecs=models)


def test_limits_hold() -> None:
    with pytest.raises(LimitError, match="bytes of output"):
        bfncodec.open(io.BytesIO(made()), limits=replace(Limits(), output=len(DATA) - 1))
    count = -(-len(DATA) // 1000)
    with bfncodec.open(io.BytesIO(made()), limits=replace(Limits(), memory=count * 2048 + 3000)) as file:
        assert file.read() == DATA
    with pytest.raises(LimitError, match="memory"):
        bfncodec.open(io.BytesIO(made()), limits=replace(Limits(), memory=count * 2048 + 2000)).read()


# ---- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_what_fits_a_segment_is_the_file_of_compress(size: int) -> None:
    data = noise(1, 500).tobytes()[:size] + DATA[: max(size - 500, 0)]
    assert made(data) == bfncodec.compress(data, "none", policy=POLICY)


def test_archives_are_written_into_files(tmp_path: Path) -> None:
    """Python's zipfile goes back where it can, and does without where it cannot."""
    with bfncodec.open(tmp_path / "x.bfn", "wb", model="none") as file:
        np.savez(file, a=np.arange(3), b=noise(1, 4))
    with bfncodec.open(tmp_path / "x.bfn") as file, np.load(file) as found:
        np.testing.assert_array_equal(found["b"], noise(1, 4))


def test_buffers_without_bytes_are_written_and_filled() -> None:
    kept, empty = io.BytesIO(), np.empty((0, 3), np.float32)
    with bfncodec.open(kept, "wb", model="none") as file:
        assert file.write(empty) == 0
        assert file.write(np.arange(3)) == 24
    kept.seek(0)
    with bfncodec.open(kept) as found:
        assert found.readinto(empty) == 0
        assert found.raw.readinto(empty) == 0
        assert found.read() == np.arange(3).tobytes()


def test_text_is_written_as_to_any_file(tmp_path: Path) -> None:
    """The mark of byte order, too, at the beginning alone."""
    text: dict[str, Any] = {"encoding": "utf-16", "newline": "\r\n"}
    for mode in ("wt", "at"):
        ours, theirs = (
            bfncodec.open(tmp_path / "x.bfn", mode, model="none", **text),
            (tmp_path / "x").open(mode, **text),
        )
        for file in (ours, theirs):
            with file:
                print("été", "two", sep="\n", file=file)
                file.writelines(["three\n", "four"])
    with bfncodec.open(tmp_path / "x.bfn") as file:
        assert file.read() == (tmp_path / "x").read_bytes()


def test_a_path_leads_to_the_file_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.bfn"
    path.write_bytes(b"old")
    path.chmod(0o640)
    file = bfncodec.open(path, "wb", model="none", policy=POLICY)
    assert file.write(memoryview(np.frombuffer(DATA[:2000], "u2"))) == 2000
    assert file.write(b"") == 0
    assert (file.tell(), file.name, path.read_bytes()) == (2000, str(path), b"old")
    file.close()
    file.close()
    assert bfncodec.decompress(path.read_bytes()) == DATA[:2000]
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["x.bfn"]
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")


@pytest.mark.parametrize("mode", ["wb", "wt", "ab", "at"])
def test_an_error_in_the_block_changes_nothing(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bfn"
    path.write_bytes(old := made())
    file = bfncodec.open(path, mode, model="none", policy=POLICY)
    with pytest.raises(ZeroDivisionError):
        write_and_fail(file, LINES if mode[1] == "t" else DATA)
    assert path.read_bytes() == old
    assert names(tmp_path) == ["x.bfn"]


@pytest.mark.parametrize("mode", ["wb", "wt"])
def test_a_file_that_is_not_closed_is_not_written(mode: str, tmp_path: Path) -> None:
    file = bfncodec.open(tmp_path / "x.bfn", mode, model="none", policy=POLICY)
    file.write(LINES if mode[1] == "t" else DATA)
    with pytest.warns(ResourceWarning, match="not closed"):
        del file
    assert names(tmp_path) == []


def test_half_a_file_in_an_open_one_does_not_pass_for_one() -> None:
    out = io.BytesIO()
    with pytest.raises(ZeroDivisionError):
        write_and_fail(bfncodec.open(out, "wb", model="none", policy=POLICY), DATA)
    assert out.getvalue()
    with pytest.raises(DamagedError, match="cut off"):
        bfncodec.decompress(out.getvalue())


def test_a_stream_that_takes_a_part_at_a_time_gets_all() -> None:
    class Raw(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            taken.append(bytes(data[:100]))
            return len(taken[-1])

    taken: list[bytes] = []
    with bfncodec.open(Raw(), "wb", model="none") as file:
        file.write(noise(3, 5000).tobytes())
    assert bfncodec.decompress(b"".join(taken)) == noise(3, 5000).tobytes()


def test_an_error_while_writing_ends_it(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    file = bfncodec.open(Full(), "wb", model="none", policy=POLICY)
    with pytest.raises(OutputError, match="No space left"):
        file.write(DATA)
    assert file.closed
    with pytest.raises(OutputError, match="No space left"), bfncodec.open(Full(), "wt", model="none") as text:
        text.write("text")

    class Wrong(FakeModels):
        def identified(self, identity: bytes) -> Any:
            raise DamagedError("no")

    with (
        pytest.raises(OutputError, match="please report"),
        bfncodec.open(tmp_path / "x.bfn", "wb", codecs=Wrong(), policy=POLICY) as file,
    ):
        file.write(noise(1, 1000).tobytes())
    assert names(tmp_path) == []


def test_new_files_replace_none(tmp_path: Path) -> None:
    path = tmp_path / "x.bfn"
    with bfncodec.open(path, "xt", model="none") as file:
        file.write("first")
    with pytest.raises(OutputError, match="exists already: mode w replaces it"):
        bfncodec.open(path, "xb")
    assert bfncodec.decompress(path.read_bytes()) == b"first"
    late = bfncodec.open(tmp_path / "y.bfn", "xb", model="none")
    (tmp_path / "y.bfn").write_bytes(b"another's")
    with pytest.raises(OutputError, match="exists already"):
        late.close()
    assert (tmp_path / "y.bfn").read_bytes() == b"another's"
    assert names(tmp_path) == ["x.bfn", "y.bfn"]


@pytest.mark.parametrize("first", [b"", b"short", DATA], ids=["empty", "compact", "segmented"])
def test_files_grow(first: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.bfn"
    arguments: dict[str, Any] = {"model": "none", "policy": POLICY}
    for part in (first, DATA[:10], DATA):
        with bfncodec.open(path, "ab", **arguments) as file:
            before = file.tell()
            file.write(part)
            assert file.tell() == before + len(part)
    assert bfncodec.open(path).read() == first + DATA[:10] + DATA
    assert bfncodec.decompress(path.read_bytes()) == first + DATA[:10] + DATA
    assert bfncodec.describe(path.read_bytes()).files == 1
    old = path.read_bytes()
    with bfncodec.open(path, "ab", **arguments):
        pass
    assert path.read_bytes() == old
    out = io.BytesIO(made())
    out.seek(0, os.SEEK_END)
    with bfncodec.open(out, "ab", **arguments) as file:
        file.write(b"more")
    assert bfncodec.decompress(out.getvalue()) == DATA + b"more"


def test_what_cannot_grow(tmp_path: Path) -> None:
    path = tmp_path / "x.bfn"
    for other in (noise(1, 5, 6, 3), "text", np.arange(9.0)):
        path.write_bytes(old := bfncodec.compress(other, "none"))
        with pytest.raises(InputError, match="to add"):
            bfncodec.open(path, "ab")
        assert (path.read_bytes(), names(tmp_path)) == (old, ["x.bfn"])
    path.write_bytes(made())
    one, other = (bfncodec.open(path, "ab", model="none") for _ in range(2))
    one.write(b"one")
    one.close()
    other.write(b"other")
    with pytest.raises(OutputError, match="was changed since"):
        other.close()
    assert bfncodec.open(path).read() == DATA + b"one"
    assert names(tmp_path) == ["x.bfn"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["wb", "rb"])
def test_memory_does_not_grow_with_the_file(mode: str) -> None:
    def peak(count: int) -> int:
        class Nothing(io.RawIOBase):
            def write(self, data: Any, /) -> int:
                return len(data)

        line, policy = b"a line of words\n" * 256, Policy(text_segment=1 << 16, plain_segment=1 << 16)
        blob = made(line * count, policy)
        tracemalloc.start()
        if mode == "wb":
            with bfncodec.open(Nothing(), "wb", model="none", policy=policy) as file:  # type: ignore[call-overload]
                for _ in range(count):
                    file.write(line)
        else:
            with bfncodec.open(io.BytesIO(blob)) as file:
                assert sum(map(len, file)) == len(line) * count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(640) < peak(64) + (1 << 18)  # 2.5 MB and a quarter of one


# ---- arguments --------------------------------------------------------------------------------


def test_arguments_that_cannot_be(tmp_path: Path) -> None:
    path: Any = tmp_path / "x.bfn"
    for mode in ("", "rw", "r+", "U", "tr", None, 3):
        with pytest.raises(InputError, match="expected a mode, one of r, rb, rt, w"):
            bfncodec.open(path, mode)
    with pytest.raises(InputError, match="encoding is for text, found mode 'wb': pass wt"):
        bfncodec.open(path, "wb", encoding="utf-8")
    for wrong in ({"encoding": "nonsense"}, {"newline": "x"}, {"errors": 3}):
        with pytest.raises(InputError, match="encoding, errors or newline"):
            bfncodec.open(path, "wt", **wrong)
    with pytest.raises(InputError, match="level"):
        bfncodec.open(path, "wb", level=0)
    with pytest.raises(ModelNotFoundError):
        bfncodec.open(path, "wb", model="no-such-model")
    with pytest.raises(InputError, match="model photo codes"):
        bfncodec.open(path, "wb", model="photo", codecs=FakeModels())
    with pytest.raises(InputError, match="cannot be read: No such file"):
        bfncodec.open(path)
    with pytest.raises(InputError, match="expected a path or an open binary file"):
        bfncodec.open(3)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="policy"):
        bfncodec.open(path, "wb", policy=None)
    closed = io.BytesIO()
    closed.close()
    for mode in ("rb", "wb"):
        with pytest.raises(InputError, match="found one of text"):
            bfncodec.open(io.StringIO(), mode)  # type: ignore[call-overload]
        with pytest.raises(InputError, match="found one that is closed"):
            bfncodec.open(closed, mode)
    with pytest.raises(OutputError, match="is a folder"):
        bfncodec.open(tmp_path, "wb")
    with pytest.raises(OutputError, match="cannot be written"):
        bfncodec.open(tmp_path / "no" / "x.bfn", "wb")
    assert names(tmp_path) == []


def test_what_a_direction_lacks() -> None:
    reader, writer = bfncodec.open(io.BytesIO(made())), bfncodec.open(io.BytesIO(), "wb")
    assert (reader.readable(), reader.writable(), reader.seekable(), reader.mode) == (True, False, True, "rb")
    assert (writer.readable(), writer.writable(), writer.seekable(), writer.mode) == (False, True, False, "wb")
    for call in (lambda: reader.write(b"x"), writer.read, lambda: writer.seek(0), writer.fileno, reader.fileno):
        with pytest.raises(io.UnsupportedOperation):
            call()
    with pytest.raises(io.UnsupportedOperation):
        bfncodec.open(piped(made())).seek(1)
    with pytest.raises(ValueError, match="expected a place in the file"):
        reader.seek(-len(DATA) - 1, os.SEEK_END)
    writer.close()


def test_files_that_cannot_do_what_is_asked(tmp_path: Path) -> None:
    (tmp_path / "x.bfn").write_bytes(made())
    with (tmp_path / "x.bfn").open("ab") as file, pytest.raises(InputError, match="can be read, found one that can"):
        bfncodec.open(file)
    with (tmp_path / "x.bfn").open("rb") as file, pytest.raises(InputError, match="can be written, found one that can"):
        bfncodec.open(file, "wb")


def test_files_of_text_that_are_wrapped(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as file:
        with pytest.raises(InputError, match="found one of text"), bfncodec.open(file, "wb", model="none") as out:  # type: ignore[arg-type]
            out.write(DATA)
        file.write("text")
        file.seek(0)
        with pytest.raises(InputError, match="found one of text"):
            bfncodec.open(file).read()  # type: ignore[arg-type]


def test_what_a_file_does_not_take_is_not_lost_in_silence() -> None:
    class Partial:
        def write(self, data: bytes) -> int:
            return len(data) - 1

    with pytest.raises(OutputError, match="Partial took"), bfncodec.open(Partial(), "wb", model="none") as file:  # type: ignore[call-overload]
        file.write(DATA)


def test_paths_that_are_none() -> None:
    class Odd:
        def __fspath__(self) -> int:
            return 5

    for call in (bfncodec.open, bfncodec.compress_file, bfncodec.decompress_file, bfncodec.Archive):
        with pytest.raises(InputError, match="str or Path"):
            call(Odd())  # type: ignore[operator]
