"""The segmented form of a file: its bytes as docs/format.md, section 2, gives them, its chain, its index."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bfncodec
from bfncodec.errors import DamagedError, FormatError, LimitError, NewerVersionError
from bfncodec.format import lzmaraw
from bfncodec.format.checks import crc16, crc32
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Grid, Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.frame import Coded, Frame, Segment
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method, Mode, Origin
from bfncodec.format.limits import Limits
from bfncodec.format.segmented.head import read_head_of
from bfncodec.format.segmented.stream import read_segments, segmented_end
from bfncodec.format.segmented.writer import SegmentWriter
from bfncodec.format.wire import StreamReader, varint
from support.forge import Piece, put_together, take_apart
from support.frames import MODEL, OTHER_MODEL, dripping, modelled, segments_of, stored
from support.specimens import specimens

BYTES = Header(Kind.BYTES)
Parts = list[tuple[Coded, int]]
"""Segments, and the lengths of their contents."""


def written(header: Header, parts: Parts, grid: Grid | None = None, extras: tuple[Extra, ...] = ()) -> bytes:
    """A segmented file, whatever its number of segments."""
    out = io.BytesIO()
    writer = SegmentWriter(out.write, header, grid)
    for coded, length in parts:
        writer.add(coded, length)
    writer.finish(extras)
    return out.getvalue()


def halves() -> Parts:
    """A stored, an LZMA and a model segment."""
    lzma = Coded(Method.LZMA, lzmaraw.pack(b"second"), crc32(b"second"))
    return [(stored(b"first"), 5), (lzma, 6), (modelled(7), 7)]


def plain(count: int, seed: int = 0) -> Parts:
    """Segments that are stored, of different lengths."""
    rng = Random(seed)
    parts = [rng.randbytes(rng.randrange(1, 20)) for _ in range(count)]
    return [(stored(part), len(part)) for part in parts]


def content_of(parts: Parts) -> bytes:
    return b"".join(coded.payload for coded, _ in parts)


def edges_of(blob: bytes) -> list[int]:
    """Where segments begin, and the index."""
    entries = unpack(blob).entries
    return [*(entry.begin for entry in entries), entries[-1].stop + 8]


# ---- bytes --------------------------------------------------------------------------------------


def little(number: int) -> bytes:
    return number.to_bytes(4, "little")


def test_every_byte_of_a_file() -> None:
    extras = (Extra(Tag.WRAPPER, b"\1"), Extra(Tag.MOVED, b"\1\0\2"))
    blob = written(Header(Kind.BYTES, extras=extras), [(stored(b"ab"), 2), (modelled(7), 7), (modelled(9), 9)])
    start, rest = b"\xbf\x4e" + bytes([0b101_0000_1]), b"\x05\x88\x03\1\0\2"
    head = start + crc16(start, rest).to_bytes(2, "little") + rest
    first = b"\x00\x02ab" + little(crc32(b"ab"))
    first += little(crc32(head + little(crc32(b"ab")) + b"\x00\x02ab"))
    second = b"\x23" + MODEL + b"\x05\x07body" + little(77)
    second += little(crc32(first[-4:] + little(77) + second[:-4]))
    third = b"\x03\x05\x09body" + little(77)  # the same model is not named again
    third += little(crc32(second[-4:] + little(77) + third[:-4]))
    index = bytes([0b11_00010_1]) + b"\x00\x01" + b"\x23" + MODEL + b"\x02" + b"\x02\x05\x05" + b"\x02\x07\x09"
    index += b"\x03\x04\x01\x01"
    end = little(crc32(third[-4:] + index)) + bytes([len(index)]) + b"\x4e\xbf"
    assert blob == head + first + second + third + index + end


def test_every_byte_of_a_picture() -> None:
    header = Header(Kind.IMAGE, Origin.BMP, Mode.L, extras=(Extra(Tag.SOURCE, b"\x55"), Extra(Tag.PREVIEW, b"x")))
    tiles = [(stored(b"\1\2ab", b"ab"), 0), (stored(b"\1\2cd", b"cd"), 0)]
    blob = written(header, tiles, Grid(2, 2, 2, 1))
    start, rest = b"\xbf\x4e" + bytes([0b101_0010_0]), b"\x42\x55\x02\x02\x02\x01"
    head = start + crc16(start, rest).to_bytes(2, "little") + rest
    assert blob.startswith(head + b"\x00\x04\1\2ab" + little(crc32(b"ab")))
    index = bytes([0b11_00001_1]) + b"\x00\x02" + b"\x04\x04" + b"\x03\x03\x01x"
    assert blob.endswith(index + blob[-7:-3] + bytes([len(index)]) + b"\x4e\xbf")
    assert np.array_equal(read_whole(blob)[0], [[97, 98], [99, 100]])


def read_whole(blob: bytes) -> list[Any]:
    """The samples of a picture of grey, from its stored segments."""
    frame = unpack(blob)
    found = np.zeros(frame.cut.sides, np.uint8)
    for segment in segments_of(blob):
        (top, bottom), (left, right) = segment.extent
        found[top:bottom, left:right] = np.frombuffer(segment.payload[2:], np.uint8).reshape(bottom - top, -1)
    return [found]


def test_a_long_index_says_its_size_backwards() -> None:
    parts = plain(300)
    blob = written(BYTES, parts)
    start = edges_of(blob)[-1]
    size = varint(len(blob) - start - 4 - 2 - 2)
    assert len(size) == 2
    assert blob[-4:] == size[::-1] + b"\x4e\xbf"
    assert bfncodec.decompress(blob) == content_of(parts)


@pytest.mark.parametrize("count", [1, 2, 30, 31, 32, 33, 70, 200])
def test_any_number_of_runs(count: int) -> None:
    """31 fit the first byte of the index; more follow it."""
    parts: Parts = []
    for number in range(count):
        data = bytes([number]) * 50
        parts.append((Coded(Method.LZMA, lzmaraw.pack(data), crc32(data)), 50) if number % 2 else (stored(data), 50))
    blob = written(BYTES, parts)
    first = blob[edges_of(blob)[-1]]
    assert first >> 1 & 31 == (count if count <= 31 else 0)
    if count > 31:
        assert blob[edges_of(blob)[-1] + 1 :].startswith(varint(count) + b"\x00\x01\x01\x01")
    assert bfncodec.decompress(blob) == b"".join(bytes([number]) * 50 for number in range(count))


NAMED: list[tuple[list[bytes], list[bool]]] = [
    ([MODEL, MODEL, b"", MODEL], [True, False, False, False]),
    ([MODEL, OTHER_MODEL, MODEL], [True, True, True]),
    ([b"", MODEL, b"", OTHER_MODEL, b"", OTHER_MODEL, MODEL], [False, True, False, True, False, False, True]),
]


@pytest.mark.parametrize(("models", "named"), NAMED)
def test_a_model_is_named_where_it_is_another_than_the_last(models: list[bytes], named: list[bool]) -> None:
    parts = [(modelled(9, b"body", model), 9) if model else (stored(b"x"), 1) for model in models]
    blob = written(BYTES, parts)
    frame = unpack(blob)
    assert [entry.model for entry in frame.entries] == models
    assert [blob[entry.begin] & 0x20 > 0 for entry in frame.entries] == named
    assert [segment.model for segment in read_through(blob)] == models
    file = take_apart(blob)
    assert [piece.model for piece in file.segments] == models


def test_a_model_that_is_named_without_need_or_not_at_all_is_damage() -> None:
    two = written(BYTES, [(modelled(9), 9), (modelled(8), 8)])
    file = take_apart(two)
    file.segments[1].odd = 0x20  # says that a model follows, which its size and payload are taken for
    first = put_together(take_apart(written(BYTES, [(stored(b"ab"), 2)])))
    unnamed = take_apart(first)
    unnamed.segments = [Piece(3, b"\2ab", length=2)]
    stray = take_apart(first)
    stray.segments = [Piece(0, b"ab", model=MODEL, length=2)]
    for bad in (file, unnamed, stray):
        for read in (unpack, read_through):
            with pytest.raises(DamagedError):
                read(put_together(bad))


# ---- through a pipe -----------------------------------------------------------------------------


def read_through(blob: bytes, sizes: Callable[[], int] = lambda: 1 << 20) -> list[Segment]:
    """All segments of a file, as a pipe gives it."""
    reader = StreamReader(dripping(blob, sizes))
    flags = reader.take(3, "the beginning")[2]
    return list(read_segments(reader, read_head_of(reader, flags, Limits()), Limits()))


SEGMENTED = [name for name in specimens() if name.startswith("many_")]


@pytest.mark.parametrize("name", [*SEGMENTED, "lines"])
def test_a_pipe_gives_what_the_index_does(name: str) -> None:
    blob = specimens()[name]
    for most in (2, 8, 30, 100, 999):
        assert read_through(blob, partial(Random(most).randint, 1, most)) == segments_of(blob)


def test_a_pipe_is_not_read_beyond_the_end() -> None:
    blob = written(BYTES, plain(5))
    read = dripping(blob + b"what follows", lambda: 7)
    reader = StreamReader(read)
    head = read_head_of(reader, reader.take(3, "the beginning")[2], Limits())
    list(read_segments(reader, head, Limits()))
    assert reader.offset == len(blob)
    assert reader.take(12, "what follows") == b"what follows"


def test_segments_come_before_what_is_behind_them_was_read() -> None:
    blob = written(BYTES, plain(9))
    edges = edges_of(blob)
    reader = StreamReader(dripping(blob, lambda: 1 << 20))
    head = read_head_of(reader, reader.take(3, "the beginning")[2], Limits())
    for number, _ in enumerate(read_segments(reader, head, Limits())):
        assert reader.offset == edges[number + 1]


def test_damage_is_found_in_a_pipe() -> None:
    """A segment whose coded bytes are damaged is told of; all else ends in an error."""
    blob = written(BYTES, plain(4))
    for place in range(len(blob)):
        for bit in (0, 3, 6):
            bad = blob[:place] + bytes([blob[place] ^ 1 << bit]) + blob[place + 1 :]
            try:
                assert not all(segment.sound for segment in read_through(bad))
            except FormatError:
                continue
    for size in range(len(blob)):
        with pytest.raises(FormatError):
            read_through(blob[:size])


def test_an_index_that_does_not_fit_is_found_in_a_pipe() -> None:
    file = take_apart(written(BYTES, plain(4)))
    file.segments[1].length += 1
    with pytest.raises(DamagedError, match="index does not fit the segments"):
        read_through(put_together(file))
    file.spoil = lambda index: index[:3] + b"\3" + index[4:]
    with pytest.raises(DamagedError):
        read_through(put_together(file))


def test_errors_in_a_pipe_say_in_which_segment() -> None:
    file = take_apart(written(BYTES, plain(4)))
    file.segments[2].method = 7
    with pytest.raises(NewerVersionError, match=r"segment 3: a segment of type 0x07"):
        read_through(put_together(file))


# ---- appending ----------------------------------------------------------------------------------


def appended(blob: bytes, parts: Parts, later: tuple[Extra, ...] = ()) -> bytes:
    """A file with more segments, written behind the last in the place of its index."""
    frame, start = unpack(blob), edges_of(blob)[-1]
    out = io.BytesIO()
    writer = SegmentWriter.after(out.write, frame, blob[start - 4 : start], later)
    for coded, length in parts:
        writer.add(coded, length)
    writer.finish()
    assert writer.count == len(frame.entries) + len(parts)
    return blob[:start] + out.getvalue()


@settings(max_examples=40)
@given(st.lists(st.sampled_from([b"", MODEL, OTHER_MODEL]), min_size=1, max_size=40), st.data())
def test_what_is_appended_is_as_if_written_at_once(models: list[bytes], data: st.DataObject) -> None:
    parts = [
        (modelled(9 + n, b"body", model), 9 + n) if model else (stored(bytes(n + 1)), n + 1)
        for n, model in enumerate(models)
    ]
    extras = (Extra(Tag.WRAPPER, b"\1"),)
    first = data.draw(st.integers(1, len(parts)))
    header = Header(Kind.BYTES, extras=extras)
    before, whole = written(header, parts[:first]), written(header, parts)
    found = appended(before, parts[first:], extras)
    assert found == whole
    start = edges_of(before)[-1]
    assert whole[:start] == before[:start]
    again = appended(appended(before, parts[first : first + 1], extras), parts[first + 1 :], extras)
    assert again == whole


def test_skippable_extras_are_changed_by_the_index_alone() -> None:
    table = Extra(Tag.LINES, b"\1\1")
    before = written(BYTES, [(stored(b"a\n"), 2), (stored(b"b\n"), 2)])
    with pytest.raises(bfncodec.InputError):
        bfncodec.decompress(before, line=2)
    after = appended(before, [], (table,))
    start = edges_of(before)[-1]
    assert after[:start] == before[:start]
    assert bfncodec.decompress(after, line=2) == b"b\n"
    assert appended(after, []) == before


def test_an_array_grows() -> None:
    rows = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
    parts = [(stored(rows[n : n + 5].tobytes()), 5 * 24) for n in (0, 5)]
    header = Header(Kind.ARRAY, dtype="f4", shape=(10, 2, 3))
    blob = written(header, parts[:1])
    assert np.array_equal(bfncodec.decompress(blob), rows[:5])
    assert np.array_equal(bfncodec.decompress(appended(blob, parts[1:])), rows)


# ---- the chain ----------------------------------------------------------------------------------


def moved(blob: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The file with these parts of it in another order, between its head and its index."""
    edges = edges_of(blob)
    return blob[: edges[0]] + b"".join(blob[slice(*span)] for span in spans) + blob[edges[-1] :]


def spans_of(blob: bytes) -> list[tuple[int, int]]:
    edges = edges_of(blob)
    return list(pairwise(edges))


def test_segments_cannot_change_places() -> None:
    parts = [(stored(data), 4) for data in (b"same", b"same", b"more", b"less")]
    blob = written(BYTES, parts)
    spans = spans_of(blob)
    for one in range(4):
        for other in range(one):
            order = list(spans)
            order[one], order[other] = order[other], order[one]
            with pytest.raises(DamagedError, match=r"segment \d of 4: checksum mismatch of the coded|index"):
                unpack(moved(blob, order)).verify()


def test_segments_cannot_come_from_another_file() -> None:
    """Not even where heads, sizes and places are the same, and both files are sound."""
    one, other = (
        written(BYTES, [(stored(data), 4) for data in parts])
        for parts in (
            (b"abcd", b"efgh", b"ijkl"),
            (b"ABCD", b"EFGH", b"IJKL"),
        )
    )
    for start, stop in spans_of(one):
        mixed = one[:start] + other[start:stop] + one[stop:]
        with pytest.raises(DamagedError, match=r"checksum mismatch of the coded bytes|index"):
            unpack(mixed).verify()
        with pytest.raises(DamagedError):
            read_all(mixed)
    start = edges_of(one)[-1]
    for mixed in (one[:start] + other[start:], other[:start] + one[start:]):
        with pytest.raises(DamagedError, match="index checksum"):
            unpack(mixed)


def read_all(blob: bytes) -> None:
    """Raise a DamagedError for a segment that is damaged, as it comes through a pipe."""
    for segment in read_through(blob):
        if not segment.sound:
            raise DamagedError("not sound")


def test_a_segment_cannot_have_another_head() -> None:
    text, data = (written(Header(kind), plain(3)) for kind in (Kind.STR, Kind.BYTES))
    edges = edges_of(text)
    with pytest.raises(DamagedError, match="segment 1 of 3"):
        unpack(data[: edges[0]] + text[edges[0] :]).verify()


# ---- salvage ------------------------------------------------------------------------------------


def salvaged(blob: bytes) -> tuple[Any, list[bfncodec.Damage]]:
    lost: list[bfncodec.Damage] = []
    return bfncodec.decompress(blob, on_damage=lost.append), lost


def flipped(blob: bytes, place: int) -> bytes:
    return blob[:place] + bytes([blob[place] ^ 0x10]) + blob[place + 1 :]


@pytest.fixture
def parts() -> Parts:
    return plain(5, 7)


@pytest.fixture
def blob(parts: Parts) -> bytes:
    return written(BYTES, parts)


@pytest.mark.parametrize("more", [b"x", bytes(512)])
def test_what_stands_behind_a_file_is_told_from_a_cut(more: bytes) -> None:
    blob = bfncodec.compress(b"a line\n" * 99, "none", lines=True, block=100)
    with pytest.raises(DamagedError, match=f"the end at byte {len(blob)}, found {len(more)} bytes behind it"):
        unpack(blob + more)
    with pytest.raises(DamagedError, match="cut off"):
        unpack(blob[:-1])


def test_salvage_needs_no_index(parts: Parts, blob: bytes) -> None:
    start = edges_of(blob)[-1]
    for place in range(start, len(blob)):
        with pytest.raises(DamagedError):
            bfncodec.decompress(flipped(blob, place))
        found, lost = salvaged(flipped(blob, place))
        assert found == content_of(parts)
        assert [damage.segment for damage in lost] == [len(parts)]  # its metadata may be lost, so it is told of
    for size in range(start, len(blob)):
        found, lost = salvaged(blob[:size])
        assert found == content_of(parts)
        assert [(damage.segment, damage.unknown) for damage in lost] == [(len(parts), size == start)]


def test_salvage_of_a_cut_file_keeps_what_is_whole(parts: Parts, blob: bytes) -> None:
    edges = edges_of(blob)
    for size in range(edges[1], edges[-1]):
        count = sum(edge <= size for edge in edges) - 1
        kept = content_of(parts[:count])
        found, (damage,) = salvaged(blob[:size])
        assert found == kept
        assert (damage.segment, damage.extent, damage.unknown) == (count, ((len(kept), len(kept)),), True)
    for size in range(edges[1]):
        with pytest.raises(FormatError):
            salvaged(blob[:size])


@pytest.mark.parametrize("number", range(5))
def test_a_damaged_segment_loses_no_other(parts: Parts, blob: bytes, number: int) -> None:
    entry = unpack(blob).entries[number]
    found, (damage,) = salvaged(flipped(blob, entry.start))
    start = sum(length for _, length in parts[:number])
    stop = start + parts[number][1]
    whole = content_of(parts)
    assert found == whole[:start] + bytes(stop - start) + whole[stop:]
    assert (damage.segment, damage.count, damage.extent) == (number, 5, ((start, stop),))


@pytest.mark.parametrize("number", range(5))
def test_a_damaged_checksum_loses_nothing(parts: Parts, blob: bytes, number: int) -> None:
    """Nor does the next segment, or the index, which is chained to it; both are told of."""
    entry = unpack(blob).entries[number]
    bad = flipped(blob, entry.stop + 7)
    with pytest.raises(DamagedError, match=f"segment {number + 1} of 5|index"):
        bfncodec.decompress(bad)
    found, lost = salvaged(bad)
    assert found == content_of(parts)
    assert all(damage.repaired for damage in lost)
    assert [damage.segment for damage in lost] == [number, number + 1]
    found, (damage,) = salvaged(flipped(blob, entry.stop + 3))  # that of its content
    assert damage.segment == number
    assert not damage.repaired


@pytest.mark.parametrize("number", range(5))
def test_the_index_knows_what_the_head_of_a_segment_has_lost(parts: Parts, blob: bytes, number: int) -> None:
    entry = unpack(blob).entries[number]
    bad = flipped(blob, entry.start - 1)  # the size of its payload
    with pytest.raises(DamagedError, match=f"segment {number + 1} of 5: checksum mismatch of the coded bytes"):
        bfncodec.decompress(bad)
    found, (damage,) = salvaged(bad)
    assert found == content_of(parts)
    assert (damage.segment, damage.repaired) == (number, True)
    if not number:
        return
    found, lost = salvaged(bad[:-1])  # without it, segments end there, or where they are taken to
    assert found[: sum(length for _, length in parts[:number])] == content_of(parts[:number])
    assert lost


def test_tiles_that_are_missing_are_known() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(4, 3)
    tiles = [
        (stored(varint(2) + varint(3) + picture[n : n + 2].tobytes(), picture[n : n + 2].tobytes()), 0) for n in (0, 2)
    ]
    blob = written(Header(Kind.IMAGE, Origin.ARRAY, Mode.L), tiles, Grid(4, 2, 3, 1))
    assert np.array_equal(bfncodec.decompress(blob), picture)
    found, (damage, index) = salvaged(blob[: unpack(blob).entries[1].stop])
    assert np.array_equal(found, np.where(np.arange(4)[:, None] < 2, picture, 0))
    assert (index.segment, index.unknown) == (2, False)
    assert (damage.segment, damage.count, damage.extent, damage.unknown) == (1, 2, ((2, 4), (0, 3)), False)


def test_an_array_that_was_cut_has_whole_rows() -> None:
    rows = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
    parts = [(stored(rows.tobytes()[start : start + 100]), 100) for start in (0, 100)] + [
        (stored(rows.tobytes()[200:]), 40)
    ]
    blob = written(Header(Kind.ARRAY, dtype="f4", shape=(10, 2, 3)), parts)
    assert np.array_equal(bfncodec.decompress(blob), rows)
    found, lost = salvaged(blob[: edges_of(blob)[2]])
    assert found.shape == (9, 2, 3)
    assert found.tobytes() == rows.tobytes()[:200] + bytes(16)
    assert lost


# ---- what is newer, and what cannot be ------------------------------------------------------------


@pytest.mark.parametrize("kind", range(4, 16))
def test_kinds_to_come_are_newer(kind: int) -> None:
    file = take_apart(written(BYTES, plain(2)))
    file.kind = kind
    with pytest.raises(NewerVersionError, match=f"content of kind {kind}"):
        unpack(put_together(file))


@pytest.mark.parametrize(("odd", "message"), [(0x04, "0x04"), (0x40, "0x40"), (0x80, "0x80"), (0x10, "goes on from")])
@pytest.mark.parametrize("number", [0, 2])
def test_methods_and_segments_to_come_are_newer(odd: int, message: str, number: int) -> None:
    file = take_apart(written(BYTES, plain(3)))
    file.segments[number].odd = odd
    for read in (unpack, read_through):
        with pytest.raises(NewerVersionError, match=message):
            read(put_together(file))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda index: index + b"\0",
        lambda index: index[:-1],
        lambda index: index[:1],
        lambda index: b"\xc0" + varint(0) + index[1:],  # no runs
        lambda index: index[:2] + b"\0" + index[3:],  # a run of nothing
        lambda index: index[:2] + varint(1 << 40) + index[3:],
        lambda index: index[:2] + b"\4" + index[3:],
        lambda index: index[:3] + varint(1 << 62) + index[4:],
        lambda index: b"\x42" + index[1:],
    ],
)
def test_an_index_that_cannot_be_is_damage(spoil: Callable[[bytes], bytes]) -> None:
    parts = plain(3)
    file = take_apart(written(BYTES, parts))
    file.spoil = spoil
    bad = put_together(file)
    with pytest.raises(DamagedError):
        unpack(bad).verify()
    assert salvaged(bad)[0] == content_of(parts)


def test_an_index_that_tells_another_method_is_damage() -> None:
    file = take_apart(written(BYTES, plain(3)))
    file.spoil = lambda index: index[:1] + b"\1" + index[2:]
    with pytest.raises(DamagedError, match=r"its payload declares|segment 1 of 3"):
        unpack(put_together(file)).verify()


def test_a_payload_has_a_longest() -> None:
    blob = written(BYTES, plain(2))
    start = edges_of(blob)[0]
    huge = blob[: start + 1] + varint((1 << 28) + 1) + blob[start + 2 :]
    with pytest.raises(DamagedError, match="longer than any can be"):
        read_through(huge)


@pytest.mark.parametrize("salvage", [False, True])
def test_tables_of_segments_are_bounded(salvage: bool) -> None:
    blob = written(BYTES, plain(2000))
    bad = blob if not salvage else blob[:-1]
    with pytest.raises(LimitError, match="bytes of memory"):
        unpack(bad, Limits(memory=1 << 20), salvage)
    reader = StreamReader(dripping(blob, lambda: 1 << 20))
    head = read_head_of(reader, reader.take(3, "the beginning")[2], Limits())
    with pytest.raises(LimitError, match="bytes of memory"):
        list(read_segments(reader, head, Limits(memory=1 << 20)))


def test_the_end_is_found_from_the_beginning() -> None:
    for name in (*SEGMENTED, "lines"):
        blob = specimens()[name]
        assert segmented_end(blob + b"anything", Limits()) == len(blob)
        for size in range(0, len(blob), 7):
            with pytest.raises(FormatError):
                segmented_end(blob[:size], Limits())


def test_a_frame_of_no_index_is_not_complete() -> None:
    blob = written(BYTES, halves())
    frames: list[Frame] = [unpack(blob[:size], salvage=True) for size in (edges_of(blob)[-1], edges_of(blob)[-2] + 3)]
    assert [frame.complete for frame in frames] == [False, False]
    assert [frame.cut for frame in frames] == [Pieces((5, 6, 7)), Pieces((5, 6))]
    assert unpack(blob[:-1], salvage=True).complete


def test_pack_writes_what_the_writer_does() -> None:
    parts = halves()
    lengths = tuple(length for _, length in parts)
    assert pack(BYTES, Pieces(lengths), [coded for coded, _ in parts]) == written(BYTES, parts)
