"""Files of lines: cut after lines, and any line found by its number."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.cli.main import cli
from bfncodec.errors import DamagedError, FormatError, InputError
from bfncodec.files.options import Options
from bfncodec.files.transfer import compress_file, decompress_file
from bfncodec.format.container import pack
from bfncodec.format.cuts import Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.lineindex import LINE_BLOCK, Lines, split_lines
from bfncodec.format.wire import varint
from bfncodec.segments.policy import Policy
from support.doubles import FakeModels, noise
from support.frames import segments_of, stored
from support.strategies import texts
from support.tiny import export_archive

THREE = Pieces((6, 6, 6))
contents = st.lists(st.sampled_from([b"\n", b"\r", b"a", b"some words ", b"\0", b"\xff"]), max_size=60).map(b"".join)
blocks = st.sampled_from([1, 2, 5, 20, 64, 1000])


def lined(data: bytes) -> list[bytes]:
    """Its lines, in the slow and certain way."""
    lines = [b""]
    for byte in data:
        lines[-1] += bytes([byte])
        if byte == 10:
            lines.append(b"")
    return lines if lines[-1] else lines[:-1]


def messages(count: int) -> bytes:
    """Lines of 60 bytes that no coder makes smaller."""
    return b"".join(noise(i, 59).tobytes().replace(b"\n", b"x") + b"\n" for i in range(count))


# ---- blocks -------------------------------------------------------------------------------------


@given(contents, blocks)
def test_blocks_are_whole_lines_and_no_larger_than_they_must_be(data: bytes, least: int) -> None:
    lines = Lines.of(data, least)
    pieces = [data[a:b] for a, b in pairwise(lines.pieces(len(data)).edges)]
    assert b"".join(pieces) == data
    assert [len(lined(piece)) for piece in pieces] == list(lines.counts)
    assert split_lines(data) == lined(data)
    for piece in pieces[:-1]:
        assert piece.endswith(b"\n")
        assert len(piece) >= least
        assert len(b"".join(lined(piece)[:-1])) < least
    assert sum(len(line) for line in lined(pieces[-1])[:-1]) < least
    assert len(lines.counts) == len(pieces)


@given(contents.filter(len), blocks)
def test_the_table_comes_back(data: bytes, least: int) -> None:
    lines = Lines.of(data, least)
    assert Lines.read(lines.write(), lines.pieces(len(data))) == lines
    assert lines.write() == b"".join(map(varint, lines.counts))


@given(contents.filter(len), blocks)
def test_a_line_is_in_its_block(data: bytes, least: int) -> None:
    lines = Lines.of(data, least)
    starts = list(accumulate(map(len, lined(data)), initial=0))
    edges = lines.pieces(len(data)).edges
    for line in range(1, lines.total + 1):
        block = lines.block_of(line)
        assert edges[block] <= starts[line - 1] < starts[line] <= edges[block + 1]


@pytest.mark.parametrize(
    "table",
    [
        b"",
        bytes([1, 1]),  # a number too few
        bytes([1, 1, 1, 1]),
        bytes([1, 0, 1]),  # a block without a line
        bytes([1, 1, 0x80]),  # cut off
        bytes([1, 1, 0x81, 0]),  # no shortest form
    ],
)
def test_impossible_tables_are_damage(table: bytes) -> None:
    blob = in_three(table)
    assert bfncodec.decompress(blob) == b"abcde\n" * 3  # nobody asked for lines
    for read in (bfncodec.describe, lambda b: bfncodec.decompress(b, line=1, on_damage=print)):
        with pytest.raises(DamagedError):
            read(blob)


def test_only_what_may_be_cut_after_lines_has_a_table() -> None:
    table = Extra(Tag.LINES, bytes([1, 1, 1]))
    array = pack(Header(Kind.ARRAY, shape=(18,), extras=(table,)), THREE, [stored(b"abcde\n")] * 3)
    moved = pack(Header(Kind.BYTES, extras=(table, Extra(Tag.MOVED, b"\1\0\1"))), THREE, [stored(b"abcde\n")] * 3)
    compact = pack(Header(Kind.BYTES, extras=(table,)), Pieces((6,)), [stored(b"abcde\n")])
    for blob, message in ((array, "cannot stand in"), (moved, "cannot stand together"), (compact, "cannot stand in")):
        for read in (bfncodec.decompress, bfncodec.describe):
            with pytest.raises(DamagedError, match=message):
                read(blob)


def test_a_block_must_have_its_number_of_lines() -> None:
    blob = in_three(bytes([1, 2, 1]))
    assert bfncodec.decompress(blob) == b"abcde\n" * 3
    assert bfncodec.decompress(blob, line=1) == b"abcde\n"
    with pytest.raises(DamagedError, match="expected 2 lines in block 2, found 1"):
        bfncodec.decompress(blob, line=3)


def in_three(table: bytes) -> bytes:
    """A file of three lines in as many segments."""
    header = Header(Kind.BYTES, extras=(Extra(Tag.LINES, table),))
    return pack(header, THREE, [stored(b"abcde\n")] * 3)


# ---- objects ------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=100)
@given(st.data(), contents, blocks, st.sampled_from(["none", "text"]))
def test_lines_of_bytes(data: st.DataObject, content: bytes, block: int, model: str) -> None:
    models = FakeModels()
    blob = bfncodec.compress(content, model, lines=True, block=block, codecs=models)
    assert bfncodec.decompress(blob, codecs=models) == content
    lines = lined(content)
    if lines:
        first = data.draw(st.integers(1, len(lines)))
        last = data.draw(st.integers(first, len(lines)))
        assert bfncodec.decompress(blob, line=(first, last), codecs=models) == b"".join(lines[first - 1 : last])
        assert bfncodec.decompress(blob, line=first, codecs=models) == lines[first - 1]
    for first, last in ((0, 1), (1, 0), (1, len(lines) + 1), (len(lines) + 1, len(lines) + 1), (-1, -1)):
        with pytest.raises(InputError, match=f"expected lines within the {len(lines)} there are"):
            bfncodec.decompress(blob, line=(first, last), codecs=models)


@given(texts, st.sampled_from([1, 7]))
def test_lines_of_text(text: str, block: int) -> None:
    text = text.replace("a", "\n") + "\nÄ\u2028\n\udc80"
    blob = bfncodec.compress(text, "none", lines=True, block=block)
    assert bfncodec.decompress(blob) == text
    for number, line in enumerate(text.split("\n"), 1):
        assert bfncodec.decompress(blob, line=number).removesuffix("\n") == line


@given(contents)
def test_one_block_is_an_ordinary_file(data: bytes) -> None:
    assert bfncodec.compress(data, "none", lines=True) == bfncodec.compress(data, "none")


@settings(max_examples=30)
@given(st.integers(0, 100), st.sampled_from([1, 100, 1000]))
def test_blocks_grow_by_a_frame_each_at_most(count: int, block: int) -> None:
    data = messages(count)
    blob = bfncodec.compress(data, lines=True, block=block, codecs=FakeModels())
    assert len(blob) <= len(data) + 40 + 20 * len(Lines.of(data, block).starts)


def test_the_model_codes_blocks_where_it_wins() -> None:
    size = next(size for size in range(500, 3000) if noise(3, size)[-1] == 10)
    data, models = noise(3, size).tobytes() + b"x" * 4000 + b"\n", FakeModels()
    blob = bfncodec.compress(data, "text", lines=True, block=size, verify=False, codecs=models)
    assert bfncodec.describe(blob).methods == {"lzma": 1, "model": 1}
    assert len(blob) < 200
    assert bfncodec.decompress(blob, line=data.count(b"\n"), codecs=models) == b"x" * 4000 + b"\n"
    assert models.codecs["text"].decoded == 0
    assert bfncodec.decompress(blob, codecs=models) == data


def test_what_lines_a_file_has_is_told() -> None:
    found = bfncodec.describe(bfncodec.compress(messages(100), "none", lines=True, block=600))
    assert (found.lines, found.methods) == (100, {"stored": 10})
    assert bfncodec.describe(bfncodec.compress(messages(100), "none")).lines == 0


def test_only_the_blocks_of_the_lines_are_decoded() -> None:
    blob, done = bfncodec.compress(messages(100), "none", lines=True, block=600), []
    for line, count in ((1, 1), (10, 1), ((10, 11), 2), ((35, 61), 4), ((1, 100), 10)):
        done.clear()
        bfncodec.decompress(blob, line=line, progress=done.append)
        assert sum(done) == 600 * count


def test_of_a_file_only_what_is_needed_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(messages(5000))
    compress_file(tmp_path / "x", None, Options("none", block=LINE_BLOCK), FakeModels())
    result = decompress_file(tmp_path / "x.bfn", tmp_path / "y", Options(line=(2500, 2501)), FakeModels())
    assert (tmp_path / "y").read_bytes() == b"".join(lined(messages(2501))[-2:])
    assert result.coding.methods == {"stored": 1}
    assert 2 * LINE_BLOCK < result.read_bytes < 2.3 * LINE_BLOCK  # to verify, before anything is decoded, and to decode
    assert result.compressed_bytes > 300_000


# ---- damage -------------------------------------------------------------------------------------


def test_a_damaged_block_loses_only_its_own_lines() -> None:
    data = messages(50)
    blob = bfncodec.compress(data, "none", lines=True, block=600)
    bad = blob.replace(data[700:710], bytes(10))
    assert bfncodec.decompress(bad, line=10) == data[540:600]
    assert bfncodec.decompress(bad, line=(21, 50)) == data[1200:]
    with pytest.raises(DamagedError, match="segment 2 of 5: checksum"):
        bfncodec.decompress(bad, line=(10, 11))
    lost: list[bfncodec.Damage] = []
    assert (
        bfncodec.decompress(bad, line=(10, 21), on_damage=lost.append) == data[540:600] + bytes(600) + data[1200:1260]
    )
    assert bfncodec.decompress(bad, on_damage=lost.append) == data[:600] + bytes(600) + data[1200:]
    assert [damage.segment for damage in lost] == [1, 1]
    cut = blob[: blob.index(data[2500:2510])]
    assert bfncodec.decompress(cut, on_damage=lost.append) == data[:2400]
    assert lost[2].unknown
    with pytest.raises(InputError, match="take all"):  # the table of lines is in the index, which is cut off
        bfncodec.decompress(cut, line=40, on_damage=lost.append)
    assert len(lost) == 3


def test_no_flipped_bit_and_no_cut_gives_a_wrong_line() -> None:
    data = b"one\ntwo\n\nfour, which is longer\nfive\n"
    blob = bfncodec.compress(data, "none", lines=True, block=5)
    assert len(segments_of(blob)) == 3
    variants = [blob[:n] for n in range(len(blob))]
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        variants.append(bytes(flipped))
    for bad in variants:
        with pytest.raises(FormatError):
            bfncodec.decompress(bad)
        try:
            found = bfncodec.decompress(bad, line=(4, 4))
        except FormatError:
            continue
        assert found == b"four, which is longer\n"


# ---- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [noise(1, 9, 9), noise(1, 9), Image.new("L", (3, 3)), noise(1, 9).astype("u2")])
def test_other_objects_have_no_lines(content: Any) -> None:
    with pytest.raises(InputError, match="expected bytes or text to cut after lines"):
        bfncodec.compress(content, "none", lines=True)
    blob = bfncodec.compress(content, "none")
    with pytest.raises(InputError, match="expected bytes or text to take lines of"):
        bfncodec.decompress(blob, line=1)


def test_files_without_lines() -> None:
    blob = bfncodec.compress(messages(5), "none", policy=Policy(plain_segment=100))
    with pytest.raises(InputError, match="expected a file compressed with --lines"):
        bfncodec.decompress(blob, line=1)


@pytest.mark.parametrize("line", ["x", (1,), (1, 2, 3), ("a", 2), 1.5, ()])
def test_what_is_no_line(line: Any) -> None:
    with pytest.raises(InputError, match="expected a line, or the first and the last"):
        bfncodec.decompress(bfncodec.compress(b"a\nb\n", "none", lines=True), line=line)


def test_lines_and_regions_exclude_each_other() -> None:
    with pytest.raises(InputError, match="found both"):
        bfncodec.decompress(bfncodec.compress(b"a\n", "none"), line=1, crop=(0, 0, 1, 1))


@pytest.mark.parametrize("block", [0, -1, Policy().text_segment + 1])
def test_blocks_have_a_size(block: int) -> None:
    with pytest.raises(InputError, match="expected blocks of lines of 1 to"):
        bfncodec.compress(b"a\n", "none", lines=True, block=block)


def test_lines_have_a_longest() -> None:
    policy = Policy(text_segment=100)
    bfncodec.compress(b"a\n" * 5 + bytes(100) + b"\n", "none", lines=True, block=10, policy=policy)
    with pytest.raises(InputError, match="expected lines of at most 100 bytes"):
        bfncodec.compress(b"a\n" * 5 + bytes(120) + b"\n", "none", lines=True, block=10, policy=policy)


def test_models_of_items_code_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_archive(tmp_path / "models" / "tiny-letters", "letters")
    monkeypatch.setenv("BFNCODEC_MODELS", str(tmp_path / "models"))
    with pytest.raises(InputError, match="not lines"):
        bfncodec.compress(b"abc\n", "tiny-letters", lines=True)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        compress_file(tmp_path / "folder", None, Options("tiny-letters", block=9))


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bfncodec.api.Models", lambda device, threads: FakeModels())
    (tmp_path / "x.txt").write_bytes(messages(50))
    Image.new("RGB", (30, 30)).save(tmp_path / "x.png")
    return tmp_path


def run(*args: str, code: int = 0, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(cli, list(args), input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_command(folder: Path) -> None:
    data = messages(50)
    assert "50 lines" in run("compress", "-v", "--lines", "--block", "600", "x.txt").stderr
    assert run("decompress", "--line", "7", "x.txt.bfn").stdout_bytes == data[360:420]
    assert run("decompress", "x.txt.bfn", "--line", "7-50").stdout_bytes == data[360:]
    assert run("decompress", "--line", "7", stdin=Path("x.txt.bfn").read_bytes()).stdout_bytes == data[360:420]
    said = run("decompress", "--line", "10-11", "x.txt.bfn", "-o", "some.txt").stderr
    assert "decoded 2 segments, read" in said
    assert Path("some.txt").read_bytes() == data[540:660]
    assert "50 lines in 5 blocks" in run("list", "x.txt.bfn").stdout
    assert json.loads(run("list", "--json", "x.txt.bfn").stdout)[0]["lines"] == 50
    run("decompress", "-f", "x.txt.bfn")
    assert Path("x.txt").read_bytes() == data


def test_what_the_command_refuses(folder: Path) -> None:
    run("compress", "--lines", "x.txt")
    assert "within the 50 there are" in run("decompress", "--line", "51", "x.txt.bfn", code=1).stderr
    assert "found a picture" in run("compress", "--lines", "x.png", code=1).stderr
    assert not Path("x.png.bfn").exists()
    run("compress", "--lines", "--bytes", "x.png")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["compress", "--block", "600", "x.txt"], "add --lines"),
        (["compress", "--lines", "--block", "0", "x.txt"], "0"),
        (["decompress", "x.bfn", "--line", "x"], "expected N|FIRST-LAST"),
        (["decompress", "x.bfn", "--line", "1-2-3"], "expected N|FIRST-LAST"),
        (["decompress", "x.bfn", "--line", "-3"], "expected N|FIRST-LAST"),
        (["decompress", "x.bfn", "--line", "1", "--crop", "1,2,3,4"], "leave one out"),
        (["decompress", "x.bfn", "y.bfn", "--line", "1"], "one file"),
        (["decompress", "x.bfn", "--line", "1", "--rm"], "leave out --rm"),
    ],
)
def test_wrong_usage(folder: Path, args: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    assert message in str(result.exception)
