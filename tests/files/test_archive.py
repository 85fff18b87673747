"""Archives of items: what is written is read, item by item, whole, and after more was added."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import bfncodec
from bfncodec import Archive, append_items, write_archive
from bfncodec.cli.main import cli
from bfncodec.cli.terminal import share
from bfncodec.content.objects import same_object
from bfncodec.errors import DamagedError, InputError, LimitError, OutputError, SalvageableError, Salvaged
from bfncodec.files.archiving import FileItem
from bfncodec.files.options import Options
from bfncodec.segments.policy import Policy
from support.commands import names
from support.doubles import noise
from support.specimens import CODECS, picture, png, saved

PLAIN = Options(model="none", policy=Policy(items_segment=200))
ROWS = picture(60, 6, 5, 3)
NAMED = {"a/b": b"bytes", "a/c": "text", "numbers": np.arange(9), "picture": Image.fromarray(picture(6, 5, 3))}


@cache
def archive_of_rows() -> bytes:
    """The bytes of an archive, made once."""
    with TemporaryDirectory() as folder:
        assert write_archive(Path(folder, "rows.bfn"), ROWS, PLAIN) == 60
        return Path(folder, "rows.bfn").read_bytes()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    (tmp_path / "rows.bfn").write_bytes(archive_of_rows())
    return tmp_path / "rows.bfn"


@pytest.fixture
def named(tmp_path: Path) -> Path:
    assert write_archive(tmp_path / "named.bfn", NAMED, PLAIN) == 4
    return tmp_path / "named.bfn"


def run(*args: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(map(str, args)))
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


# ---- reading ----------------------------------------------------------------------------------


def test_rows_by_number(rows: Path) -> None:
    archive = Archive(rows)
    assert len(archive) == 60
    assert np.array_equal(archive[7], ROWS[7])
    assert np.array_equal(archive[-1], ROWS[-1])
    assert np.array_equal(np.stack(archive[3:50:9]), ROWS[3:50:9])
    assert np.array_equal(np.stack(archive.read([9, 2, 9])), ROWS[[9, 2, 9]])
    assert np.array_equal(np.stack(list(archive)), ROWS)
    assert np.array_equal(bfncodec.decompress(rows.read_bytes()), ROWS)
    assert archive.is_array
    assert not list(archive.keys())
    for wrong in (60, -61):
        with pytest.raises(IndexError):
            archive[wrong]
    with pytest.raises(KeyError):
        archive["a"]


def test_items_by_name(named: Path) -> None:
    archive = Archive(named)
    assert list(archive.keys()) == list(NAMED)
    assert all(same_object(NAMED[name], archive[name]) for name in NAMED)
    assert all(same_object(item, made) for item, made in zip(NAMED.values(), archive, strict=True))
    found = bfncodec.decompress(named.read_bytes())
    assert all(same_object(NAMED[name], found[name]) for name in NAMED)
    assert "a/b" in archive
    assert "a" not in archive
    assert [archive.describe(k).content for k in range(4)] == ["bytes", "text", "array", "image"]
    assert bfncodec.describe(named.read_bytes()).sides == (4,)


def test_only_the_segment_of_an_item_is_read_and_then_only_the_item(rows: Path) -> None:
    archive = Archive(rows)
    archive[0]
    before = archive.read_bytes
    archive[30]
    once = archive.read_bytes - before
    assert 0 < once < len(rows.read_bytes()) // 4
    archive[30]
    assert archive.read_bytes - before - once <= archive.describe(30).file_bytes


def test_pictures_as_arrays(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(png())
    (tmp_path / "grey.png").write_bytes(saved(Image.fromarray(picture(6, 5)), "PNG"))
    write_archive(tmp_path / "a.bfn", [FileItem(tmp_path / "one.png"), FileItem(tmp_path / "grey.png")], PLAIN)
    assert Archive(tmp_path / "a.bfn")[0] == png()
    assert np.array_equal(Archive(tmp_path / "a.bfn", arrays=True)[0], picture(6, 5, 3))
    assert np.array_equal(Archive(tmp_path / "a.bfn", arrays=True)[1], picture(6, 5))


def test_items_are_the_files_that_compress_makes(tmp_path: Path) -> None:
    items = [noise(1, 12, 11, 3), noise(1, 12, 11), np.arange(5)]
    write_archive(tmp_path / "a.bfn", items, Options(), CODECS)
    archive = Archive(tmp_path / "a.bfn", codecs=CODECS)
    assert all(map(same_object, items, archive))
    assert bfncodec.describe((tmp_path / "a.bfn").read_bytes()).content == "items"
    assert [archive.describe(k).file_bytes for k in range(3)] == [
        len(bfncodec.compress(item, codecs=CODECS)) for item in items
    ]
    assert archive.describe(0).methods == {"model": 1}


def test_a_model_of_many_items_codes_rows_by_chains(tmp_path: Path) -> None:
    items = noise(2, 40, 4, 4, 3)
    options = Options(model="archive", policy=Policy(archive_segment=480))
    assert write_archive(tmp_path / "a.bfn", items, options, CODECS) == 40
    archive = Archive(tmp_path / "a.bfn", codecs=CODECS)
    assert len(archive) == 40
    assert bfncodec.describe((tmp_path / "a.bfn").read_bytes()).methods == {"stored": 4}
    assert np.array_equal(np.stack(archive[5:25]), items[5:25])
    assert np.array_equal(bfncodec.decompress((tmp_path / "a.bfn").read_bytes(), codecs=CODECS), items)
    with pytest.raises(InputError, match="give it an array"):
        write_archive(tmp_path / "b.bfn", list(items), options, CODECS)


# ---- processes --------------------------------------------------------------------------------


def _send(archive: Archive, queue: Any) -> None:
    queue.put(np.stack(archive[10:12]))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_open_archive_serves_other_processes(rows: Path, method: str) -> None:
    archive = Archive(rows)
    assert np.array_equal(archive[0], ROWS[0])
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_send, args=(archive, queue))
    process.start()
    assert np.array_equal(queue.get(timeout=120), ROWS[10:12])
    process.join()
    assert np.array_equal(archive[59], ROWS[59])


def test_an_archive_is_closed_when_no_thread_reads_it(rows: Path) -> None:
    archive, failed = Archive(rows), list[BaseException]()

    def read() -> None:
        try:
            for number in range(60):
                assert np.array_equal(archive[number], ROWS[number])
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        archive.close()
    archive.close()  # what was opened since the last time
    assert not failed
    open_files = Path("/proc/self/fd")
    if open_files.exists():
        assert rows.resolve() not in {path.resolve() for path in open_files.iterdir()}


def test_an_archive_can_be_sent_and_opened_again(rows: Path) -> None:
    with Archive(rows) as archive:
        assert np.array_equal(archive[1], pickle.loads(pickle.dumps(archive))[1])
    assert np.array_equal(archive[1], ROWS[1])


# ---- adding -----------------------------------------------------------------------------------


def test_what_is_there_stays_as_it_is(rows: Path) -> None:
    before, end = rows.read_bytes(), Archive(rows).coded_end
    more = picture(9, 6, 5, 3)
    assert append_items(rows, more, PLAIN) == 9
    assert rows.read_bytes()[:end] == before[:end]
    assert np.array_equal(np.stack(list(Archive(rows))), np.concatenate([ROWS, more]))


def test_what_another_process_adds_meanwhile_is_not_lost(named: Path) -> None:
    def more() -> Iterator[tuple[str, bytes]]:
        yield "first", b"1"
        append_items(named, [("second", b"2")], PLAIN)

    with pytest.raises(OutputError, match="was changed since"):
        append_items(named, more(), PLAIN)
    assert Archive(named)["second"] == b"2"
    assert "first" not in Archive(named)


def test_items_are_added_to_their_like(rows: Path, named: Path) -> None:
    append_items(named, [("more/d", b"d")], PLAIN)
    assert Archive(named)["more/d"] == b"d"
    for wrong in ([b"no name"], {"a/b": b"again"}, {"a/b/c": b"in a file"}, {"../up": b""}, ROWS, [], [("a", 1, 2)]):
        before = named.read_bytes()
        with pytest.raises(InputError):
            append_items(named, wrong, PLAIN)
        assert named.read_bytes() == before
    for other in (ROWS.astype(">u2"), ROWS[:, :3], [ROWS[0]]):
        with pytest.raises(InputError):
            append_items(rows, other, PLAIN)


# ---- writing ----------------------------------------------------------------------------------


def test_items_may_come_one_after_the_other(tmp_path: Path) -> None:
    def found() -> Iterator[tuple[str, Any]]:
        yield from ((f"{number}", b"%d" % number) for number in range(300))

    write_archive(tmp_path / "a.bfn", found(), PLAIN)
    assert Archive(tmp_path / "a.bfn")["277"] == b"277"


@pytest.mark.parametrize(
    "items",
    [
        [],
        b"bytes",
        "text",
        7,
        np.array(7),
        [("a", b""), b""],
        [("a", b""), ("a", b"")],
        {"/a": b""},
        {"": b""},
        [{}],
        {1: b""},
    ],
)
def test_items_that_cannot_be_are_refused(tmp_path: Path, items: Any) -> None:
    with pytest.raises(InputError):
        write_archive(tmp_path / "a.bfn", items, PLAIN)
    assert not list(tmp_path.iterdir())


class Series:
    """A column with rows that its labels find, as those of pandas have."""

    def __init__(self, rows: np.ndarray[Any, Any]) -> None:
        self.dtype, self.shape, self.ndim, self._rows = rows.dtype, rows.shape, rows.ndim, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, label: int) -> Any:
        return self._rows[-label]

    def to_numpy(self) -> np.ndarray[Any, Any]:
        return self._rows


class Table:
    """A table that yields the names of its columns, as data frames do."""

    def __iter__(self) -> Iterator[str]:
        yield "column"

    to_numpy = None


class Dataset:
    """An array of another library, on the disk, whose size is its shape alone, as that of zarr's."""

    def __init__(self, rows: np.ndarray[Any, Any]) -> None:
        self.dtype, self.shape, self.ndim, self._rows = rows.dtype, rows.shape, rows.ndim, rows

    def __getitem__(self, which: Any) -> Any:
        return self._rows[which]


@pytest.mark.parametrize(
    ("items", "advice"),
    [
        (np.ma.masked_array(ROWS, ROWS > 9), "numpy.ma.getmaskarray"),
        (ROWS.view(np.recarray), "numpy.asarray"),
        (torch.arange(9), "tensor.numpy"),
        (Series(np.arange(9)), "to_numpy"),
        (Table(), "to_numpy"),
    ],
    ids=["masked", "subclass", "tensor", "labels", "table"],
)
def test_arrays_of_which_something_would_be_lost_are_refused(tmp_path: Path, items: Any, advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        write_archive(tmp_path / "a.bfn", items, PLAIN)
    assert not list(tmp_path.iterdir())


def test_arrays_on_the_disk_are_taken(tmp_path: Path) -> None:
    rows = ROWS[:9]
    np.save(tmp_path / "x.npy", rows)
    for items in (np.load(tmp_path / "x.npy", mmap_mode="r"), Dataset(rows)):
        write_archive(tmp_path / "a.bfn", items, replace(PLAIN, force=True))
        assert np.array_equal(bfncodec.decompress((tmp_path / "a.bfn").read_bytes()), rows)


@pytest.mark.parametrize("kind", [">i4", ">c16", "<f2", "?"])
def test_rows_that_are_numbers_keep_their_byte_order(tmp_path: Path, kind: str) -> None:
    rows, target = np.arange(6).astype(kind), tmp_path / "a.bfn"
    write_archive(target, rows, PLAIN)
    append_items(target, rows, PLAIN)
    assert same_object(bfncodec.decompress(target.read_bytes()), np.concatenate([rows, rows]).astype(kind))
    assert same_object(Archive(target)[2], rows[2:3].reshape(()))


def test_damage_can_be_sent_to_another_process() -> None:
    error = SalvageableError("damaged, and some is left", lambda: Salvaged(b"", ()))
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (DamagedError, str(error))


@pytest.mark.parametrize("name", ["\udcff", "a/../b", "/a", "kept/"])
def test_a_name_that_cannot_be_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="rename") as caught:
        write_archive(tmp_path / "a.bfn", {"kept": b"", name: b""}, PLAIN)
    assert ascii(name) in str(caught.value)


def test_what_is_there_is_not_replaced_unasked(rows: Path) -> None:
    with pytest.raises(OutputError, match="exists already"):
        write_archive(rows, ROWS, PLAIN)


# ---- damage -----------------------------------------------------------------------------------


def test_damage_of_a_segment_costs_its_items_alone(rows: Path) -> None:
    blob, place = bytearray(rows.read_bytes()), Archive(rows)._now().frame.entries[0].stop - 1
    blob[place] ^= 1
    rows.write_bytes(blob)
    archive = Archive(rows)
    assert np.array_equal(archive[59], ROWS[59])
    with pytest.raises(DamagedError, match="segment 1 of"):
        archive[0]
    with pytest.raises(DamagedError):
        archive.verify()
    with pytest.raises(DamagedError):
        bfncodec.decompress(bytes(blob))
    damages: list[bfncodec.Damage] = []
    found = bfncodec.decompress(bytes(blob), on_damage=damages.append)
    assert len(damages) == 1
    assert np.array_equal(found, ROWS[-len(found) :])
    assert 0 < len(found) < 60


def test_a_damaged_name_is_no_other_name(named: Path) -> None:
    blob = named.read_bytes()
    named.write_bytes(blob.replace(b"a/b\0", b"a/x\0", 1))
    for name in ("a/b", "a/x", "a/c", "none"):
        with pytest.raises(DamagedError):
            Archive(named)[name]
    named.write_bytes(blob)
    with pytest.raises(KeyError):
        Archive(named)["none"]


def test_items_do_not_take_more_memory_than_they_may(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.bfn", [bytes(1 << 16)] * 9, Options(model="none"))
    blob = (tmp_path / "a.bfn").read_bytes()
    with pytest.raises(LimitError):
        bfncodec.decompress(blob, limits=bfncodec.Limits(memory=1 << 20))
    assert len(bfncodec.decompress(blob)) == 9


def test_another_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.bfn").write_bytes(bfncodec.compress(b"bytes", "none"))
    with pytest.raises(InputError, match="no items"):
        len(Archive(tmp_path / "a.bfn"))
    with pytest.raises(InputError, match="cannot be read"):
        Archive(tmp_path / "none.bfn")


# ---- on the command line ----------------------------------------------------------------------


def test_a_folder_there_and_back(tmp_path: Path) -> None:
    files = {"a/one.png": png(), "b.txt": b"text\n" * 9, "empty": b""}
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    archive, out = tmp_path / "in.bfn", tmp_path / "out"
    said = run("compress", "--items", "-m", "none", tmp_path / "in")
    assert f": 3 items, {share(sum(map(len, files.values())), archive.stat().st_size)}\n" in said
    assert {line.split()[0] for line in run("list", "--items", archive).splitlines()[1:]} == set(files)
    run("test", archive)
    run("test", "--fast", archive)
    run("decompress", archive, "-o", out)
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    run("decompress", archive, "--only", "b.txt", "-o", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == files["b.txt"]
    assert run("decompress", archive, "--only", "b.txt", "-c").startswith("text\n")
    for none in ("no", "3:2", "3", ""):
        run("decompress", archive, "--only", none, "-o", tmp_path / "none", code=1)
    assert not (tmp_path / "none").exists()
    (tmp_path / "more").write_bytes(b"more")
    run("append", "-m", "none", archive, tmp_path / "more")
    assert Archive(archive)["more"] == b"more"


def test_items_whose_files_would_have_one_name(tmp_path: Path) -> None:
    given = {"a": ROWS[0], "a.npy": b"bytes", "b": ROWS[1], "b.npy/0": b"below", "c": ROWS[2]}
    write_archive(tmp_path / "x.bfn", given, PLAIN)
    for options in ([], ["--only", ":"]):
        out = tmp_path / f"out{len(options)}"
        run("decompress", tmp_path / "x.bfn", *options, "-o", out)
        assert names(out) == {"a", "a.npy", "b", "b.npy/0", "c.npy"}
        assert np.array_equal(np.load(out / "a"), ROWS[0])
        assert (out / "a.npy").read_bytes() == b"bytes"


def test_an_array_there_and_back(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ROWS)
    run("compress", "--items", "-m", "none", tmp_path / "x.npy")
    run("decompress", tmp_path / "x.npy.bfn", "-o", tmp_path / "y.npy")
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    run("decompress", tmp_path / "x.npy.bfn", "--only", "3:5", "-o", tmp_path / "some")
    assert np.array_equal(np.load(tmp_path / "some" / "4.npy"), ROWS[4])
    run("append", "-m", "none", tmp_path / "x.npy.bfn", tmp_path / "x.npy")
    assert len(Archive(tmp_path / "x.npy.bfn")) == 120


def test_an_archive_takes_the_place_of_no_source(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"a")
    for args in (["in", "-o", "in/x.bfn"], ["-f", "in/a", "-o", "in/a"], ["-f", "in", "in/a", "-o", "in/a"]):
        options = [str(tmp_path / arg) if arg.startswith("in") else arg for arg in args]
        run("compress", "--items", "-m", "none", *options, code=1)
    run("compress", "--items", "-m", "none", tmp_path / "in", "-o", "-", code=2)
    assert names(tmp_path) == {"in/a"}
    assert (tmp_path / "in" / "a").read_bytes() == b"a"


def test_items_go_into_a_folder_beside_what_is_in_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "d").mkdir(parents=True)
    archive = out / "x.bfn"
    write_archive(archive, {"a": b"a", "b": b"b", "d/c": b"c"}, PLAIN)
    (out / "b").write_bytes(b"kept")
    run("decompress", archive, "--only", "0:3", "-o", f"{out}/", code=1)
    assert names(out) == {"x.bfn", "b"}
    assert (out / "b").read_bytes() == b"kept"
    run("decompress", archive, "--only", "0:3", "-f", "-o", f"{out}/")
    assert {name: (out / name).read_bytes() for name in names(out) - {"x.bfn"}} == {"a": b"a", "b": b"b", "d/c": b"c"}
    run("decompress", archive, "--only", "a", "-f", "-o", archive, code=1)
    assert len(Archive(archive)) == 3


def test_items_do_not_follow_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "elsewhere")
    write_archive(tmp_path / "x.bfn", {"d/c": b"c"}, PLAIN)
    run("decompress", tmp_path / "x.bfn", "--only", "0", "-f", "-o", tmp_path / "out", code=1)
    assert names(tmp_path) == {"x.bfn"}


def test_arrays_and_tables_by_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", pictures=ROWS[:12], label=np.arange(12))
    run("compress", "--items", "-m", "none", tmp_path / "x.npz", "-o", tmp_path / "a.bfn")
    archive = Archive(tmp_path / "a.bfn")
    assert np.array_equal(archive["pictures/07"], ROWS[7])
    assert archive["label/11"] == 11


def test_a_table_of_arrow(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": png(), "path": None}] * 3
    table = pyarrow.table({"image": images, "text": ["a", "b", "c"], "label": [1, 2, 3]})
    parquet.write_table(table, tmp_path / "x.parquet")
    run("compress", "--items", "-m", "none", tmp_path / "x.parquet", "-o", tmp_path / "a.bfn")
    archive = Archive(tmp_path / "a.bfn")
    assert archive["image/1"] == png()
    assert archive["text/2"] == "c"
    assert archive["label/0"] == 1


def test_numbers_of_a_table_keep_their_type_and_bits(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    signalling = np.array([0x7F800001, 0x80000000], "u4").view("f4")
    columns = {"half": signalling.astype("f2"), "single": signalling, "small": np.array([1, 2], "i1")}
    columns |= {"large": np.array([2**64 - 1, 0], "u8"), "flag": np.array([True, False]), "a.b": np.arange(2)}
    often = pyarrow.array([7, 7]).dictionary_encode()
    parquet.write_table(pyarrow.table(columns | {"a": np.arange(2, 4), "often": often}), tmp_path / "x.parquet")
    run("compress", "--items", "-m", "none", tmp_path / "x.parquet", "-o", tmp_path / "a.bfn")
    archive = Archive(tmp_path / "a.bfn")
    columns |= {"a": np.arange(2, 4), "often": np.array([7, 7])}
    for name, values in columns.items():
        assert all(same_object(archive[f"{name}/{number}"], np.array(values[number])) for number in range(2)), name


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [{"bytes": b"x", "path": "x.png", "label": 5}]},
        {"image": [{"bytes": b"x", "label": 5}]},
        {"number": [1.5, None]},
        {"text": ["a", None]},
        {"none": np.arange(0)},
    ],
)
def test_tables_of_which_something_would_be_lost_are_refused(columns: dict[str, Any], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    (tmp_path / "y").write_bytes(b"y")
    run("compress", "--items", "-m", "none", tmp_path / "x.parquet", tmp_path / "y", "-o", tmp_path / "a.bfn", code=1)
    assert names(tmp_path) == {"x.parquet", "y"}


def test_arrays_without_rows_are_items(tmp_path: Path) -> None:
    empty = np.zeros((0, 5), ">f4")
    np.savez(tmp_path / "x.npz", empty=empty, number=np.array(3))
    np.save(tmp_path / "y.npy", empty)
    run("compress", "--items", "-m", "none", tmp_path / "x.npz", tmp_path / "y.npy", "-o", tmp_path / "a.bfn")
    archive = Archive(tmp_path / "a.bfn")
    assert list(archive.keys()) == ["x/empty", "x/number", "y"]
    assert same_object(archive["x/empty"], empty)
    assert same_object(archive["y"], empty)


def test_a_zip_of_arrays_and_others_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(2))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as file:
        file.writestr("readme.txt", b"of these")
    assert "readme.txt" in run("compress", "--items", "-m", "none", tmp_path / "x.npz", code=1)


@pytest.mark.parametrize(
    "args",
    [
        ["compress", "--items"],
        ["compress", "--items", "-c", "x"],
        ["compress", "--items", "x", "y"],
        ["compress", "--items", "--lines", "x"],
        ["decompress", "--only", "1", "x"],
        ["decompress", "--only", "1", "--ray", "2", "x", "-o", "y"],
        ["decompress", "--salvage", "--ray", "2", "x", "-o", "y"],
        ["compress", "--items", "--ray", "2", "x", "-o", "y"],
        ["decompress", "--only", "1", "--rm", "x", "-o", "y"],
    ],
)
def test_options_that_contradict_each_other(args: list[str]) -> None:
    run(*args, code=2)
