"""Files one after the other decode to their contents one after the other."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.errors import BfncodecError, DamagedError, InputError, NewerVersionError
from bfncodec.format import compact
from bfncodec.format.checks import CRC16_START, crc16, crc16_of, crc32
from bfncodec.format.compact import LONGEST_COMPACT, pack_compact
from bfncodec.format.concatenation import Ends, split
from bfncodec.format.container import pack
from bfncodec.format.cuts import Pieces
from bfncodec.format.frame import COMPACT, LONG, MAGIC
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Source, StreamReader
from bfncodec.segments.streaming import check_stream, decode_stream, is_stream_of_bytes
from support.commands import TEXT, run
from support.doubles import FakeModels, noise
from support.frames import dripping, stored

NOISE = noise(7, 1900).tobytes()  # what a model codes, and nothing else can
MANY = noise(11, 2 * LONGEST_COMPACT).tobytes()  # stored

KINDS = ["LZMA", "model", "stored", "long"]  # how these are kept

compress = partial(bfncodec.compress, codecs=FakeModels())
decompress = partial(bfncodec.decompress, codecs=FakeModels())


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bfncodec.api.Models", lambda device, threads: FakeModels())


def pieces(row: bytes) -> list[bytes]:
    """The files in a row."""
    return [piece[0 : len(piece)] for piece in split(row)]


def contents() -> st.SearchStrategy[bytes]:
    """Bytes for every method, also such as look like files of ours."""
    own = [compress(data) for data in (b"", TEXT, NOISE, MANY[:99])]
    parts = st.one_of(
        st.binary(max_size=40), st.sampled_from([MAGIC, b"\xbf\x4e\x80", b"\xbf\x4e\xa0", *own, TEXT, bytes(99)])
    )
    return st.one_of(
        st.lists(parts, max_size=6).map(b"".join),
        st.integers(0, 9).map(lambda seed: noise(seed, 700).tobytes()),
        st.sampled_from([b"", MANY, NOISE, TEXT * 99]),
    )


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(contents(), min_size=1, max_size=6), st.booleans())
def test_contents_come_back_one_after_the_other(parts: list[bytes], lines: bool) -> None:
    blobs = [compress(part, lines=lines, block=64) for part in parts]
    assert pieces(b"".join(blobs)) == blobs
    assert decompress(b"".join(blobs)) == b"".join(parts)


@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=5))
def test_text_stays_text(parts: list[str]) -> None:
    assert decompress(b"".join(map(compress, parts))) == "".join(parts)


def test_text_and_bytes_are_bytes() -> None:
    assert decompress(compress("grün") + compress(b"\xff")) == "grün".encode() + b"\xff"


@pytest.mark.parametrize("data", [TEXT * 900, MANY], ids=["LZMA", "stored"])
def test_what_is_long_says_where_it_ends(data: bytes) -> None:
    blob = compress(data)
    assert blob[2] >> 5 == (COMPACT if len(blob) <= LONGEST_COMPACT else LONG)
    assert len(blob) <= len(data) + 8
    assert decompress(blob + compress(TEXT) + blob) == data + TEXT + data


def test_a_short_text_has_no_more_frame_than_before() -> None:
    for size in (0, 9, LONGEST_COMPACT):
        assert len(compress(MANY[:size])) == size + 7


@pytest.mark.parametrize("size", [LONGEST_COMPACT - 1, LONGEST_COMPACT, LONGEST_COMPACT + 1])
def test_around_the_longest_compact_form(size: int) -> None:
    parts = [MANY[:size], b"between", MANY[:size]]
    assert decompress(b"".join(map(compress, parts))) == b"".join(parts)


def test_a_long_file_ends_in_its_last_block() -> None:
    """Files in its first block are its content, whatever their checksums; in its last one they are looked at."""
    inner = compress(TEXT)
    for data in (inner + bytes(LONGEST_COMPACT), bytes(LONGEST_COMPACT) + inner * 3, inner * (LONGEST_COMPACT // 60)):
        blob = pack_compact(Header(Kind.BYTES), stored(data))
        assert blob[2] >> 5 == LONG
        assert pieces(inner + blob + blob + inner) == [inner, blob, blob, inner]
        assert decompress(inner + blob + inner) == TEXT + data + TEXT


def test_a_long_file_comes_through_a_pipe_beside_others() -> None:
    parts = [MANY[:70_000], TEXT, MANY, b"", MANY[:66_000]]
    blob = b"".join(map(compress, parts))
    assert is_stream_of_bytes(blob[:4096])
    for sizes in (lambda: 1 << 20, lambda: 4099):
        reader = StreamReader(dripping(blob, sizes))
        assert list(decode_stream(reader, FakeModels())) == parts
    short = StreamReader(dripping(compress(TEXT) + blob, lambda: 4099))
    assert b"".join(decode_stream(short, FakeModels())) == TEXT + b"".join(parts)
    assert check_stream(StreamReader(dripping(blob, lambda: 4099)), Limits()) == sum(map(len, parts))


@pytest.mark.parametrize("content", [TEXT, NOISE, MANY[:500], MANY[:70_000]], ids=KINDS)
def test_what_holds_files_is_not_taken_apart(content: bytes) -> None:
    """A file that was compressed twice, or an archive of compressed files."""
    inner = compress(content)
    for data in (inner, inner + b"tail", inner * 3, b"head" + inner, MAGIC + inner, b"\xbf" + inner):
        blob = compress(data)
        assert split(blob) == [blob]
        assert decompress(blob) == data
        assert decompress(blob + inner) == data + content


@pytest.mark.slow
@pytest.mark.parametrize("first", [TEXT, NOISE, MANY[:99], MANY[:70_000]], ids=KINDS)
def test_damage_is_found_wherever_it_is(first: bytes) -> None:
    """Every bit of the places where something is decided, and some of the others."""
    parts = [first, TEXT]
    blobs = [compress(part) for part in parts]
    whole = b"".join(blobs)
    assert decompress(whole) == b"".join(parts)
    border = len(blobs[0])
    places = {*range(24), *range(border - 24, len(whole)), *range(0, len(whole), 4001)} & set(range(len(whole)))
    for place in sorted(places):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            with pytest.raises(BfncodecError):
                decompress(bytes(damaged))


def test_cut_off_anywhere_but_between_files() -> None:
    parts = [TEXT, noise(4, 700).tobytes(), MANY[:99]]
    blobs = [compress(part) for part in parts]
    whole = b"".join(blobs)
    ends = {sum(map(len, blobs[:count])): b"".join(parts[:count]) for count in (1, 2, 3)}
    for size in range(len(whole) + 1):
        if size in ends:
            assert decompress(whole[:size]) == ends[size]
        else:
            with pytest.raises(BfncodecError):
                decompress(whole[:size])


@pytest.mark.parametrize("tail", [b"x", b"\xbf", b"\xbf\x4e", b"garbage" * 9, bytes(99)])
@pytest.mark.parametrize("content", [TEXT, MANY[:99], MANY[:70_000], NOISE])
def test_what_is_no_file_is_damage(content: bytes, tail: bytes) -> None:
    for blob in (compress(content), compress(TEXT) + compress(content)):
        with pytest.raises(DamagedError):
            decompress(blob + tail)


@pytest.mark.parametrize("first", [TEXT, NOISE, MANY[:99], MANY[:70_000]], ids=KINDS)
def test_a_newer_file_behind_others_is_said_to_be_newer(first: bytes) -> None:
    newer = compress(TEXT)
    for flags in (0xE0, 0xFF, 0xA8):  # a layout to come, and a kind to come
        with pytest.raises(NewerVersionError):
            decompress(compress(first) + newer[:2] + bytes([flags]) + newer[3:])
    with pytest.raises(DamagedError):  # what comes before it is damaged
        decompress(compress(first)[:-1] + b"?" + newer[:2] + b"\xe0" + newer[3:])


def test_a_file_that_holds_a_newer_one_is_itself() -> None:
    """Its checksum holds to its end, wherever else it holds."""
    start, body = MAGIC + bytes([COMPACT << 5]), crc32(b"content").to_bytes(4, "little")[:2] + b"content"
    check = crc16(start, body)
    for number in range(1 << 16):
        tail = MAGIC + b"\xe0" + number.to_bytes(2, "big")
        if crc16(start, body + tail) == check:
            break
    blob = start + check.to_bytes(2, "little") + body + tail
    assert pieces(blob) == [blob]
    assert pieces(blob + b"x") == [blob[: -len(tail)], tail + b"x"]


def test_salvage_keeps_the_other_files() -> None:
    rows = b"".join(noise(12 + number, 64).tobytes().replace(b"\n", b"x") + b"\n" for number in range(4))
    blob = compress(rows, "none", lines=True, block=65)
    place = blob.index(rows[140:190])
    lost: list[Any] = []
    whole = compress(TEXT) + blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :] + compress(TEXT)
    assert decompress(whole, on_damage=lost.append) == TEXT + rows[:130] + bytes(65) + rows[195:] + TEXT
    assert len(lost) == 1


@pytest.mark.parametrize("second", [TEXT, b"1\n" * 999])
def test_a_part_is_had_of_one_file_alone(second: bytes) -> None:
    rows = b"".join(b"row %d\n" % number**3 for number in range(99))
    blob = compress(rows, lines=True, block=64)
    assert decompress(blob, line=9) == b"row 512\n"
    with pytest.raises(InputError, match="one after the other: a part can be had of one"):
        decompress(blob + compress(second, lines=second != TEXT), line=9)


# ---- what does not stand beside others ----------------------------------------------------------


def pictures() -> list[bytes]:
    photo = Image.fromarray(noise(5, 9, 9, 3))
    flat = Image.new("RGB", (40, 30), "red")
    return [compress(x) for x in (photo, flat, np.asarray(photo), np.arange(70, dtype=np.uint16), flat.convert("P"))]


@pytest.mark.parametrize("number", range(5))
def test_pictures_and_arrays_do_not_stand_beside_others(number: int) -> None:
    picture = pictures()[number]
    decompress(picture)
    for whole in (picture + compress(TEXT), compress(TEXT) + picture, compress(MANY) + picture, picture * 2):
        with pytest.raises(BfncodecError) as caught:
            decompress(whole)
        assert "one after the other" in str(caught.value)
        assert isinstance(caught.value, InputError)


def test_pixels_that_hold_files_are_a_picture() -> None:
    for data in (compress(TEXT), compress(MANY[:50])):
        for array in (np.frombuffer(data, np.uint8), np.frombuffer(data, np.uint8)[None]):
            assert np.array_equal(decompress(compress(array)), array)


# ---- what can be made to look for -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", [0, 1, 3], ids=["stored", "LZMA", "model"])
def test_the_search_is_bounded(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that go through checksums, for a file that begins anew in every place, as it were."""
    done = [0]

    def counted(*parts: bytes, start: int = CRC16_START) -> int:
        done[0] += sum(map(len, parts))
        return crc16(*parts, start=start)

    monkeypatch.setattr(compact, "crc16", counted)
    identity = FakeModels().codecs["text"].info.id if method == 3 else b""
    head = MAGIC + bytes([COMPACT << 5 | method << 1]) + b"crcs" + identity
    for filler in (
        MAGIC + b"\x80",
        MAGIC + b"\x80crcs",
        MAGIC + b"\x82crcs\xff\xff\xff\x1f\x5d\0",
        MAGIC + b"\xa0crcs",
    ):
        for size in (1 << 16, 1 << 20):
            done[0] = 0
            row = head + filler * (size // len(filler))
            assert b"".join(pieces(row)) == row
            assert done[0] < 16 * 2 * 16 * LONGEST_COMPACT


def closed(start: bytes, wanted: int) -> bytes:
    """The two bytes behind which a checksum that began with `start` is what is wanted."""
    return next(pair for n in range(1 << 16) if crc16(start, pair := n.to_bytes(2, "big")) == wanted)


def test_long_files_are_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of files whose CRC-16 holds wherever a long one could begin, which is none."""
    looked = [0]

    def counted(source: Source, start: int, stop: int, crc: int) -> int:
        looked[0] += stop - start > LONGEST_COMPACT // 2
        return crc16_of(source, start, stop, crc)

    monkeypatch.setattr(compact, "crc16_of", counted)
    start, body = MAGIC + bytes([COMPACT << 5]), b"\0\0content"
    check, false = crc16(start, body), MAGIC + bytes([LONG << 5]) + b"crcs\1"
    file = start + check.to_bytes(2, "little") + body + (false + closed(start + body + false, check)) * 5
    row = file * 30 + bytes(2 * LONGEST_COMPACT)
    assert pieces(row)[:-1] == [file] * 29
    assert looked[0] == 16
    assert pieces(file * 30 + compress(MANY[:70_000]))[-1] == file + compress(MANY[:70_000])


@pytest.mark.parametrize(("zeros", "last"), [(0, "00bb5d"), (70_000, "011412")], ids=["short", "long"])
def test_what_would_be_taken_apart_says_where_it_ends(zeros: int, last: str) -> None:
    """Content that was made so that the checksum of the file around it holds where a file in it begins."""
    inner = pack_compact(Header(Kind.BYTES), stored(b"hello"))
    data = bytes(zeros) + inner + MAGIC + bytes.fromhex(last)
    assert len(split(pack_compact(Header(Kind.BYTES), stored(data)))) == 2
    blob = pack(Header(Kind.BYTES), Pieces((len(data),)), [stored(data)])
    assert split(blob) == [blob]
    assert decompress(blob) == data
    assert decompress(blob + inner) == data + b"hello"


def test_short_files_are_not_looked_for_for_ever() -> None:
    """A row of files that each hold five beginnings of others, which are none; a megabyte of it took many minutes."""
    start, body = MAGIC + bytes([COMPACT << 5]), b"\0\0content"
    check, false = crc16(start, body), MAGIC + bytes([COMPACT << 5]) + b"crcs"
    file = start + check.to_bytes(2, "little") + body + (false + closed(start + body + false, check)) * 5
    row, ends = file * 8, Ends(Limits(), vain={COMPACT: 20, LONG: 0})

    def end(number: int) -> int | None:
        return ends.first(lambda count: row[number * len(file) :][:count])

    assert [end(number) for number in range(4)] == [len(file)] * 3 + [None]
    assert pieces(row) == [file] * 8


@pytest.mark.parametrize(("places", "found"), [(12, 2), (30, 1)])
def test_a_checksum_that_holds_everywhere_is_not_tried_for_ever(places: int, found: int) -> None:
    """A file that was made so that its CRC-16 holds at each place at which it has the magic number."""
    start, body = MAGIC + bytes([COMPACT << 5]), b"\0\0content"
    check = crc16(start, body)
    after = crc16(MAGIC, start=check)
    back = next(pair for n in range(1 << 16) if crc16(pair := n.to_bytes(2, "big"), start=after) == check)
    row = start + check.to_bytes(2, "little") + body + (MAGIC + back) * places + compress(TEXT)
    assert len(split(row)) == found


@pytest.mark.slow
def test_many_small_files_are_read() -> None:
    parts = [b"row %d" % number for number in range(3000)]
    files = [pack_compact(Header(Kind.BYTES), stored(part)) for part in parts]
    assert pieces(b"".join(files)) == files
    assert decompress(b"".join(files)) == b"".join(parts)


# ---- the command line -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "b.bin").write_bytes(NOISE)
    (tmp_path / "c").write_bytes(b"")
    Image.fromarray(noise(4, 30, 20, 3)).save(tmp_path / "photo.png")
    return tmp_path


ALL = TEXT + NOISE + b"" + TEXT


def test_several_files_to_standard_output(folder: Path) -> None:
    blob = run("compress", "-c", "a.txt", "b.bin", "c", "a.txt").stdout_bytes
    assert run("decompress", stdin=blob).stdout_bytes == ALL
    (folder / "all.bfn").write_bytes(blob)
    run("decompress", "--rm", "all.bfn")
    assert (folder / "all").read_bytes() == ALL
    (folder / "all.bfn").write_bytes(blob)
    assert f"sound, {len(ALL)} bytes" in run("test", "all.bfn").stderr
    (described,) = json.loads(run("list", "--json", "all.bfn").stdout)
    assert described["files"] == 4
    assert described["content_bytes"] == len(ALL)
    assert described["methods"] == {"lzma": 2, "model": 1, "stored": 1}
    assert "4 files one after the other" in run("list", "all.bfn").stdout


def test_files_that_were_put_together(folder: Path) -> None:
    run("compress", "a.txt", "b.bin", "c")
    blob = b"".join(Path(f"{name}.bfn").read_bytes() for name in ("a.txt", "b.bin", "c", "a.txt"))
    assert run("decompress", stdin=blob).stdout_bytes == ALL


def test_a_picture_among_several_is_refused(folder: Path) -> None:
    result = run("compress", "-c", "a.txt", "photo.png", "b.bin", code=1)
    assert run("decompress", stdin=result.stdout_bytes).stdout_bytes == TEXT + NOISE
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("bfncodec:")]
    assert error.startswith("bfncodec: photo.png: is kept as a picture")
    assert "--bytes --lines" in error
    whole = run("compress", "--bytes", "--lines", "-c", "a.txt", "photo.png").stdout_bytes
    assert run("decompress", stdin=whole).stdout_bytes == TEXT + (folder / "photo.png").read_bytes()
    picture = run("compress", "-c", "photo.png").stdout_bytes
    assert "one after the other" in run("decompress", "-o", "x", stdin=picture * 2, code=1).stderr
    assert not (folder / "x").exists()
