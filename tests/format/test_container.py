from __future__ import annotations

import zlib
from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.errors import DamagedError, FormatError, NewerVersionError, NotOursError
from bfncodec.format import lzmaraw
from bfncodec.format.axes import extents
from bfncodec.format.container import Coded, pack, unpack
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Method, Mode, Origin
from bfncodec.format.limits import NO_LIMITS, Limits
from bfncodec.format.sizes import content_bytes
from bfncodec.format.wire import MAX_VARINT, Reader, varint
from support.doubles import noise

MODEL = b"\x01\x02\x03\x04"
TEXT = b"to be or not to be"


def stored(data: bytes) -> Coded:
    return Coded(Method.STORED, data, zlib.crc32(data))


def modelled(data: bytes, body: bytes) -> Coded:
    return Coded(Method.MODEL, varint(len(data)) + body, zlib.crc32(data), MODEL)


def halves() -> bytes:
    """A segmented file of a stored, an LZMA and a model segment."""
    first, second, third = TEXT[:6], TEXT[6:12], TEXT[12:]
    coded = [
        stored(first),
        Coded(Method.LZMA, lzmaraw.pack(second), zlib.crc32(second)),
        modelled(third, b"body"),
    ]
    return pack(Header(Kind.BYTES), ((18, 3),), coded)


def sealed(blob: bytes, content: bytes) -> bytes:
    """A compact file with its checksum made right again."""
    crc = zlib.crc32(blob[:3] + blob[7:], zlib.crc32(content))
    return blob[:3] + crc.to_bytes(4, "little") + blob[7:]


# ---- varints and readers ------------------------------------------------------------------------


@given(st.integers(0, MAX_VARINT))
def test_varints_come_back_in_their_shortest_form(value: int) -> None:
    data = varint(value)
    reader = Reader(data + b"x")
    assert reader.varint("it") == value
    assert reader.offset == len(data) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x01"])
def test_bad_varints_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        Reader(data).varint("it")


def test_a_varint_has_a_range() -> None:
    with pytest.raises(ValueError, match="varint"):
        varint(-1)
    with pytest.raises(ValueError, match="varint"):
        varint(MAX_VARINT + 1)


# ---- LZMA ---------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.integers(0, 3))
def test_lzma_comes_back(data: bytes, repeat: int) -> None:
    assert lzmaraw.unpack(lzmaraw.pack(data * 10**repeat)) == data * 10**repeat


def test_lzma_refuses_what_declares_too_much() -> None:
    packed = lzmaraw.pack(bytes(1000))
    with pytest.raises(DamagedError, match="1000"):
        lzmaraw.unpack(packed, limit=999)
    with pytest.raises(DamagedError, match="declares"):
        lzmaraw.unpack(varint(1 << 60) + packed[2:])


@pytest.mark.parametrize("props", [225, 255, 44])
def test_lzma_refuses_properties_that_do_not_exist(props: int) -> None:
    with pytest.raises(DamagedError):
        lzmaraw.unpack(b"\x01" + bytes([props]) + b"abcdefgh")


# ---- sizes --------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda a: a[1] <= a[0]), min_size=1, max_size=2)
)
def test_boxes_cover_everything_once(axes: list[tuple[int, int]]) -> None:
    found = list(extents(tuple(axes)))
    assert len(found) == prod(parts for _, parts in axes)
    cells = [
        (row, column)
        for extent in found
        for row in range(*extent[0])
        for column in (range(*extent[1]) if len(extent) > 1 else range(1))
    ]
    lengths = [length for length, _ in axes]
    assert len(cells) == len(set(cells)) == prod(lengths)


@pytest.mark.parametrize(
    ("mode", "size"),
    [(Mode.RGB, 90), (Mode.RGBA, 120), (Mode.L, 30), (Mode.LA, 60), (Mode.P, 30), (Mode.BILEVEL, 6), (Mode.I16, 60)],
)
def test_content_bytes_of_pictures(mode: Mode, size: int) -> None:
    assert content_bytes(Header(Kind.IMAGE, mode=mode), (3, 10)) == size


# ---- compact files ------------------------------------------------------------------------------


def test_the_frame_around_a_text_is_eleven_bytes() -> None:
    blob = pack(Header(Kind.STR), ((18, 1),), [modelled(TEXT, b"body")])
    assert len(blob) == 2 + 1 + 4 + 4 + len(varint(18)) + len(b"body")
    assert blob[:2] == b"\xbf\x4e"
    assert blob[7:11] == MODEL


@pytest.mark.parametrize("size", [0, 1, 127, 128, 65_535])
def test_overhead_of_text_is_at_most_fourteen_bytes(size: int) -> None:
    blob = pack(Header(Kind.BYTES), ((size, 1),), [modelled(bytes(size), b"body")])
    assert len(blob) - 4 <= 14


def test_overhead_of_a_picture_is_at_most_eighteen_bytes() -> None:
    coded = Coded(Method.MODEL, varint(512) + varint(512) + b"body", 0, MODEL)
    blob = pack(Header(Kind.IMAGE, Origin.PNG), ((512, 1), (512, 1)), [coded])
    assert len(blob) - 4 == 16


headers = st.one_of(
    st.sampled_from([Header(Kind.BYTES), Header(Kind.STR)]),
    st.builds(lambda origin, mode: Header(Kind.IMAGE, origin, mode), st.sampled_from(Origin), st.sampled_from(Mode)),
    st.builds(
        lambda dtype, shape: Header(Kind.ARRAY, dtype=dtype, shape=shape),
        st.sampled_from(sorted(ARRAY_TYPES)),
        st.tuples(st.integers(0, 300))
        | st.lists(st.integers(0, 2), max_size=15).filter(lambda s: prod(s) < 999).map(tuple),
    ),
)
extras = st.lists(
    st.builds(Extra, st.sampled_from(sorted(set(Tag) - {Tag.ITEMS, Tag.LINES})).map(int), st.binary(max_size=300)),
    max_size=3,
).map(tuple)


@given(headers, extras)
def test_headers_come_back(header: Header, found: tuple[Extra, ...]) -> None:
    header = replace(header, extras=found)
    axes, payload = ((1, 1), (1, 1)), varint(1) + varint(1) + b"xxxx"
    if header.kind is not Kind.IMAGE:
        payload = bytes(prod(header.shape) * header.item_bytes)
        axes = ((len(payload), 1),)
    frame = unpack(pack(header, axes, [Coded(Method.STORED, payload, 0)]))
    assert frame.header == header
    assert frame.axes == axes
    assert frame.segments[0] is not None
    assert frame.segments[0].payload == payload


def test_a_content_is_checked() -> None:
    segment = unpack(pack(Header(Kind.BYTES), ((18, 1),), [modelled(TEXT, b"body")])).segments[0]
    assert segment is not None
    segment.check(TEXT)
    with pytest.raises(DamagedError, match=r"checksum mismatch: expected [0-9a-f]{8}, found [0-9a-f]{8}"):
        segment.check(TEXT[:-1])


def survives(blob: bytes, contents: list[bytes]) -> bool:
    """Return whether a file is taken for sound, given a perfect decoder of what its payloads were."""
    try:
        frame = unpack(blob)
        for segment, content in zip(frame.segments, contents, strict=True):
            assert segment is not None
            segment.check(segment.payload if segment.method is Method.STORED else content)
    except FormatError:
        return False
    return True


@pytest.mark.parametrize(
    ("blob", "contents"),
    [
        (pack(Header(Kind.BYTES), ((18, 1),), [stored(TEXT)]), [TEXT]),
        (pack(Header(Kind.STR, extras=(Extra(1, b"{}"),)), ((18, 1),), [modelled(TEXT, b"body")]), [TEXT]),
        (halves(), [TEXT[:6], TEXT[6:12], TEXT[12:]]),
    ],
)
def test_no_flipped_bit_and_no_cut_goes_unnoticed(blob: bytes, contents: list[bytes]) -> None:
    """Not even where the flip leaves the decoded content as it was."""
    assert survives(blob, contents)
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not survives(bytes(flipped), contents), bit
    for length in range(len(blob)):
        assert not survives(blob[:length], contents), length
    assert not survives(blob + b"\0", contents)


# ---- segmented files ----------------------------------------------------------------------------


def test_a_segmented_file_comes_back() -> None:
    frame = unpack(halves())
    assert frame.axes == ((18, 3),)
    assert [part.method for part in frame.segments if part] == [Method.STORED, Method.LZMA, Method.MODEL]
    assert [part.model for part in frame.segments if part] == [b"", b"", MODEL]
    assert [part.extent for part in frame.segments if part] == [((0, 6),), ((6, 12),), ((12, 18),)]


def test_segments_cannot_change_places() -> None:
    coded = [stored(b"same"), stored(b"same")]
    blob = pack(Header(Kind.BYTES), ((8, 2),), coded)
    first, second = unpack(blob).segments
    assert first is not None
    assert second is not None
    assert first.crc != second.crc
    with pytest.raises(DamagedError):
        replace(second, crc=first.crc).check(b"same")


def test_salvage_without_the_index_keeps_what_comes_before_the_cut() -> None:
    blob = halves()
    for length in range(len(blob) - 1, 0, -1):
        try:
            frame = unpack(blob[:length], salvage=True)
        except FormatError:
            break
        kept = [part is not None for part in frame.segments]
        assert kept == sorted(kept, reverse=True)  # a beginning
        for part, content in zip(frame.segments, (TEXT[:6], TEXT[6:12], TEXT[12:]), strict=True):
            if part is not None:
                part.check(content)
    assert length < 40  # only without the head nothing is left


def test_salvage_takes_from_the_index_what_the_head_of_a_segment_has_lost() -> None:
    blob = bytearray(halves())
    start = blob.index(lzmaraw.pack(TEXT[6:12]))
    blob[start - 5] ^= 0x40  # the length of the second
    for part, content in zip(
        unpack(bytes(blob), salvage=True).segments, (TEXT[:6], TEXT[6:12], TEXT[12:]), strict=True
    ):
        assert part is not None
        part.check(content)
    with pytest.raises(DamagedError, match="segment 2 of 3"):
        unpack(bytes(blob))


# ---- not ours, newer, impossible ----------------------------------------------------------------


@pytest.mark.parametrize("blob", [b"", b"PK\x03\x04", b"\x89PNG\r\n", b"\xbfX", b"N\xbf"])
def test_foreign_files_are_not_ours(blob: bytes) -> None:
    with pytest.raises(NotOursError, match="expected a bfncodec file"):
        unpack(blob)


def bad(change: int, value: int, blob: bytes | None = None) -> bytes:
    """A picture's file with one byte replaced and the checksum made right again."""
    header = Header(Kind.IMAGE, Origin.PNG, Mode.RGB, extras=(Extra(1, b"{}"),))
    made = bytearray(blob or pack(header, ((1, 1), (1, 1)), [stored(b"\1\1abc")]))
    made[change] = value
    return sealed(bytes(made), b"abc")


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (bad(2, 0b10_10_00_01), "version 2"),
        (bad(2, 0b11_10_00_01), "version 3"),
        (bad(7, 0x80), "0x80"),  # an origin to come
        (bad(7, 0x2F), "0x2f"),  # a mode to come
        (bad(9, 0x90), "0x90"),  # an extra that must be understood
    ],
)
def test_what_a_newer_release_wrote_is_said_to_be_so(blob: bytes, message: str) -> None:
    with pytest.raises(NewerVersionError, match=message):
        unpack(blob)


def test_an_unknown_extra_may_be_ignored() -> None:
    frame = unpack(bad(9, 0x10))
    assert frame.header.extras == ()


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\xbf", "cut off"),
        (b"\xbf\x4e", "cut off"),
        (bad(2, 0b00_10_00_01), "version 0"),
        (pack(Header(Kind.IMAGE), (), [stored(b"\0\1")]), "0 pixels"),
        (pack(Header(Kind.IMAGE), (), [Coded(Method.PICTURE, b"GIF89a", 0)]), "VP8L or PNG"),
        (pack(Header(Kind.BYTES), (), [Coded(Method.PICTURE, b"\x05abc", 0)]), "cannot be bytes"),
        (pack(Header(Kind.ARRAY, shape=(2, 3)), (), [stored(b"12345")]), "array of 6 bytes"),
        (pack(Header(Kind.BYTES), ((2, 3),), [stored(b"")] * 3), "3 segments"),
        (pack(Header(Kind.BYTES), ((4, 2),), [stored(b"abc"), stored(b"d")]), "segment 1 of 2.*size"),
    ],
)
def test_impossible_files_are_damaged(blob: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        unpack(blob)


def test_a_small_file_cannot_ask_for_hours_of_work() -> None:
    blob = pack(Header(Kind.BYTES), (), [Coded(Method.MODEL, varint(1 << 24) + b"tiny", 0, MODEL)])
    with pytest.raises(DamagedError, match=r"16777216 in 8 bytes.*limits"):
        unpack(blob)
    unpack(blob, NO_LIMITS)


def test_a_small_file_cannot_ask_for_all_memory() -> None:
    payload = varint(100_000) + varint(100_000)
    blob = pack(Header(Kind.IMAGE), (), [Coded(Method.LZMA, payload, 0)])
    with pytest.raises(DamagedError, match=r"100000 x 100000\).*limits"):
        unpack(blob)
    with pytest.raises(DamagedError, match="larger than any can be"):
        unpack(blob, NO_LIMITS)
    huge = pack(Header(Kind.BYTES), ((1 << 40, 1 << 39),), [stored(b"ab")] * 2)
    for salvage in (False, True):
        with pytest.raises(DamagedError, match="cannot hold"):
            unpack(huge, salvage=salvage)


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_in_an_orderly_way(data: bytes) -> None:
    for start in (b"\xbf\x4e", b"\xbf\x4e\x42", b"\xbf\x4e\x63", b"\xbf\x4e\x61"):
        for salvage in (False, True):
            try:
                unpack(start + data, Limits(), salvage)
            except FormatError:
                continue


def test_large_metadata_is_squeezed() -> None:
    header = Header(Kind.BYTES, extras=(Extra(1, b"{" + b" " * 5000 + b"}"), Extra(2, noise(0, 500).tobytes())))
    blob = pack(header, (), [stored(b"")])
    assert len(blob) < 600
    assert unpack(blob).header == header
