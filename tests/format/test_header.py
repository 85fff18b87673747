"""Fields of the kind, and in which files an extra may stand."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Cut, Grid, Pieces
from bfncodec.format.extras import Extra, Tag, write_extras
from bfncodec.format.frame import Coded
from bfncodec.format.header import Header, check_extras, read_head, write_head
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Method, Mode, Origin
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Reader, varint

FILE_ORIGINS = [origin for origin in Origin if origin.is_file]


def source_of(origin: Origin, size: int) -> tuple[Extra, ...]:
    return (Extra(Tag.SOURCE, bytes(range(size))),) if origin.is_file else ()


def in_form(header: Header, segmented: bool) -> Header:
    """A header as a file of that form has it: with the whole checksum of a picture file, or its lowest byte."""
    size = 4 if header.promised and segmented else 1
    cut = (replace(each, value=each.value[:size]) if each.tag == Tag.SOURCE else each for each in header.extras)
    return replace(header, extras=tuple(cut)) if header.is_file_of_pixels else header


pictures = st.builds(
    lambda look, same: Header(Kind.IMAGE, *look, extras=source_of(look[0], 4), promised=same and look[0].is_file),
    st.sampled_from([(origin, mode) for origin in Origin for mode in sorted(origin.modes)]),
    st.booleans(),
)
arrays = st.builds(
    lambda dtype, shape: Header(Kind.ARRAY, dtype=dtype, shape=shape),
    st.sampled_from(sorted(ARRAY_TYPES)),
    st.tuples(st.integers(0, 300))
    | st.lists(st.integers(0, 2), max_size=15).filter(lambda s: prod(s) < 999).map(tuple),
)
headers = st.one_of(st.sampled_from([Header(Kind.BYTES), Header(Kind.STR)]), pictures, arrays)
extras = st.lists(st.builds(Extra, st.sampled_from(Tag).map(int), st.binary(max_size=300)), max_size=3).map(tuple)


def is_allowed(header: Header, found: tuple[Extra, ...], segmented: bool) -> bool:
    try:
        check_extras(header, found, segmented)
    except DamagedError:
        return False
    return True


def in_segments(header: Header) -> tuple[Cut, list[Coded]]:
    """Two segments that may hold such content."""
    if header.kind is Kind.IMAGE:
        return Grid(2, 2, 1, 1), [Coded(Method.STORED, b"\1\1xxxx", 0)] * 2
    half = max(1, prod(header.shape[1:])) * header.item_bytes if header.kind is Kind.ARRAY else 3
    return Pieces((half, half)), [Coded(Method.STORED, bytes(half), 0)] * 2


@given(headers, extras)
def test_headers_come_back_in_the_compact_form(header: Header, found: tuple[Extra, ...]) -> None:
    header = replace(header, extras=header.extras + (found if is_allowed(header, found, False) else ()))
    cut: Cut = Grid(1, 1, 1, 1)
    payload = varint(1) + varint(1) + b"xxxx"
    if header.kind is not Kind.IMAGE:
        payload = bytes(prod(header.shape) * header.item_bytes)
        cut = Pieces((len(payload),))
    frame = unpack(pack(header, cut, [Coded(Method.STORED, payload, 0)]))
    assert (frame.header, frame.cut) == (in_form(header, False), cut)
    assert frame.header.agrees(header)
    assert frame.segment(0).payload == payload


@given(headers, extras)
def test_headers_come_back_in_the_segmented_form(header: Header, found: tuple[Extra, ...]) -> None:
    """Extras that a reader may skip are behind the others then, in the index."""
    found = found if is_allowed(header, found, True) else ()
    header = replace(header, extras=header.extras + found)
    cut, coded = in_segments(header)
    if header.kind is Kind.ARRAY:
        if not prod(header.shape[1:]) or not header.shape:
            return
        header = replace(header, shape=(2, *header.shape[1:]))
    again, header = unpack(pack(header, cut, coded)).header, in_form(header, True)
    assert replace(again, extras=()) == replace(header, extras=())
    assert sorted(again.extras, key=lambda extra: (extra.tag, extra.value)) == sorted(
        header.extras, key=lambda extra: (extra.tag, extra.value)
    )


# ---- fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "written"),
    [
        (Header(Kind.BYTES), b""),
        (Header(Kind.IMAGE, Origin.OBJECT, Mode.LA), b"\x03"),
        (Header(Kind.IMAGE, Origin.BIG_ENDIAN_ARRAY, Mode.RGB16), b"\x77"),
        (Header(Kind.IMAGE, Origin.TIFF, Mode.I16, extras=source_of(Origin.TIFF, 1)), b"\x66\x00"),
        (Header(Kind.IMAGE, Origin.PNG, Mode.P, extras=source_of(Origin.PNG, 1), promised=True), b"\xa4\x00"),
        (Header(Kind.ARRAY, dtype="u1", shape=(300, 2)), b"\x02\xac\x02\x02"),
        (Header(Kind.ARRAY, dtype="u2", shape=()), b"\x10"),
        (Header(Kind.ARRAY, dtype="b1", shape=(5,)), b"\xf1\x00\x05"),
        (Header(Kind.ARRAY, dtype=">u2", shape=(5,)), b"\xf1\x91\x05"),
        (Header(Kind.ARRAY, dtype="i1", shape=(5,)), b"\xf1\x20\x05"),
        (Header(Kind.ARRAY, dtype=">f8", shape=(0, 9)), b"\xf2\xb3\x00\x09"),
        (Header(Kind.ARRAY, dtype="c16", shape=(1,)), b"\xf1\x44\x01"),
        (Header(Kind.BYTES, extras=(Extra(Tag.WRAPPER, b"\2"),)), b"\x03\x04\x01\x02"),
    ],
)
def test_fields_as_the_page_gives_them(header: Header, written: bytes) -> None:
    assert write_head(header, segmented=False) == written
    extras = bool(header.in_block)
    assert read_head(Reader(written), header.kind, extras, False, Limits()) == header


def test_a_segmented_picture_file_has_the_whole_checksum_of_what_it_was() -> None:
    header = Header(Kind.IMAGE, Origin.PNG, Mode.P, extras=source_of(Origin.PNG, 4), promised=True)
    assert write_head(header, segmented=True) == b"\xa4\x00\x01\x02\x03"
    assert read_head(Reader(b"\xa4\x00\x01\x02\x03"), Kind.IMAGE, False, True, Limits()) == header
    other = replace(header, promised=False)
    assert write_head(other, segmented=True) == b"\x24\x00"
    assert not read_head(Reader(b"\x24\x00"), Kind.IMAGE, False, True, Limits()).is_identical
    assert not header.without(Tag.SOURCE).is_identical


def test_headers_agree_whatever_form_they_were_in() -> None:
    header = Header(Kind.IMAGE, Origin.PNG, extras=(*source_of(Origin.PNG, 4), Extra(Tag.CHUNKS, b"x")), promised=True)
    turned = replace(in_form(header, False), extras=in_form(header, False).extras[::-1])
    assert header.agrees(turned)
    assert turned.agrees(header)
    assert not header.agrees(replace(turned, promised=False))
    assert not header.agrees(turned.without(Tag.SOURCE))
    assert not header.agrees(replace(turned, extras=(Extra(Tag.SOURCE, b"\1"), Extra(Tag.CHUNKS, b"x"))))


def test_a_segmented_array_has_no_first_side() -> None:
    header = Header(Kind.ARRAY, dtype="f4", shape=(300, 2, 7))
    assert write_head(header, segmented=True) == b"\xf3\x32\x02\x07"
    found = read_head(Reader(b"\xf3\x32\x02\x07"), Kind.ARRAY, False, True, Limits())
    assert found == replace(header, shape=(0, 2, 7))
    with pytest.raises(DamagedError, match="no dimensions"):
        read_head(Reader(b"\x10"), Kind.ARRAY, False, True, Limits())


@pytest.mark.parametrize("byte", [*range(0x0A, 0x10), 0x1F, 0x2A, 0x7F])
def test_modes_to_come_are_newer(byte: int) -> None:
    with pytest.raises(NewerVersionError, match=f"{byte:#04x}"):
        read_head(Reader(bytes([byte]) + bytes(9)), Kind.IMAGE, False, False, Limits())


@pytest.mark.parametrize("byte", [0x80, 0x92, 0xF6])
def test_only_a_file_comes_back_byte_for_byte(byte: int) -> None:
    with pytest.raises(DamagedError, match="no file that comes back"):
        read_head(Reader(bytes([byte]) + bytes(9)), Kind.IMAGE, False, False, Limits())


@pytest.mark.parametrize(
    "data",
    [b"\x21", b"\xe1", b"\xf1\x01", b"\xf1\x11", b"\xf1\x10", b"\xf1\x35", b"\xf1\x80", b"\xf1\x50", b"\xf1\x42"],
)
def test_types_to_come_are_newer(data: bytes) -> None:
    """uint8 and little-endian uint16 are never written with a byte of their own."""
    with pytest.raises(NewerVersionError, match="array type"):
        read_head(Reader(data + b"\x05"), Kind.ARRAY, False, False, Limits())


@pytest.mark.parametrize("origin", FILE_ORIGINS)
@pytest.mark.parametrize("flag", [0, 0x80])
@pytest.mark.parametrize("segmented", [False, True])
def test_the_checksum_of_the_file_must_be_there(origin: Origin, flag: int, segmented: bool) -> None:
    data = bytes([origin << 4 | flag]) + bytes(3 if flag and segmented else 0)
    with pytest.raises(DamagedError, match="cut off"):
        read_head(Reader(data), Kind.IMAGE, False, segmented, Limits())


# ---- where extras stand -------------------------------------------------------------------------


def places() -> list[tuple[str, Header, bool]]:
    """A file of every sort that the table of the page tells apart."""
    found = [
        ("text", Header(Kind.STR), False),
        ("bytes", Header(Kind.BYTES), False),
        ("array", Header(Kind.ARRAY), False),
    ]
    found += [(f"segmented {name}", header, True) for name, header, _ in found]
    for origin in Origin:
        for mode in (Mode.RGB, Mode.P, Mode.I16):
            header = Header(Kind.IMAGE, origin, mode, extras=source_of(origin, 1))
            found += [(f"{origin.name} {mode.name} {form}", header, form) for form in (False, True)]
    return found


def stands(tag: Tag, header: Header, segmented: bool) -> bool:
    """The second column of the table at the end of section 4, row by row, as it reads there."""
    picture, origin, palette = header.kind is Kind.IMAGE, header.origin, header.mode is Mode.P
    return {
        0x01: picture and origin == 0,
        0x02: picture and origin == 0,
        0x03: picture,
        0x04: header.kind is Kind.BYTES,
        0x05: header.kind is Kind.BYTES,
        0x06: picture and origin == 0,
        0x07: header.kind in (Kind.BYTES, Kind.STR) and segmented,
        0x08: True,
        0x09: header.kind is Kind.BYTES and segmented,
        0x80: picture and origin == 0 and palette,
        0x81: picture and origin in (2, 3),
        0x82: picture and origin in (4, 5),
        0x83: picture and origin == 6,
        0x85: header.kind is Kind.BYTES,
        0x87: picture and origin in (0, 2) and palette,
        0x88: header.kind is Kind.BYTES,
        0x89: picture and origin == 2,
        0x8A: header.kind is Kind.BYTES and segmented,
    }[tag]


NEEDS = {Tag.SOURCE: (Tag.FILES,), Tag.COUNTS: (Tag.ITEMS,)}


@pytest.mark.parametrize("tag", Tag)
def test_an_extra_stands_only_where_the_page_says(tag: Tag) -> None:
    needed = tuple(Extra(each, b"") for each in NEEDS.get(tag, ()))
    for name, header, segmented in places():
        allowed = is_allowed(header, (Extra(tag, b"x"), *needed), segmented)
        assert allowed is stands(tag, header, segmented), name


TOGETHER = {(0x07, 0x85), (0x07, 0x88), (0x85, 0x88), (0x80, 0x87)}
TOGETHER |= {(0x04, 0x8A), (0x07, 0x8A), (0x85, 0x8A), (0x88, 0x8A)}


@pytest.mark.parametrize("tag", Tag)
def test_extras_exclude_each_other_as_the_page_says(tag: Tag) -> None:
    for other in Tag:
        pair = {need for each in (tag, other) for need in NEEDS.get(each, ())}
        tags = {tag, other, *pair}
        for name, header, segmented in places():
            if not all(stands(each, header, segmented) for each in map(Tag, tags)):
                continue
            found = (Extra(tag, b"x"), Extra(other, b"y"), *(Extra(each, b"z") for each in pair - {tag, other}))
            twice = tag is other is not Tag.INFO_BYTES
            apart = any({one, two} <= tags for one, two in TOGETHER)
            assert is_allowed(header, found, segmented) is not (twice or apart), (name, other)


def test_the_checksum_of_a_folder_needs_a_folder() -> None:
    with pytest.raises(DamagedError, match="0x05 cannot stand without 0x85"):
        check_extras(Header(Kind.BYTES), (Extra(Tag.SOURCE, b"crc!"),), False)


def test_the_checksum_of_a_file_is_no_extra() -> None:
    for block in ((Extra(Tag.SOURCE, b"\1"),), (Extra(Tag.SOURCE, b"\1\2\3\4"),)):
        data = bytes([Origin.PNG << 4]) + b"\1" + write_extras(block)
        with pytest.raises(DamagedError, match="0x05 cannot stand"):
            read_head(Reader(data), Kind.IMAGE, True, False, Limits())


@pytest.mark.parametrize("look", [(Origin.WEBP, Mode.L), (Origin.OBJECT, Mode.RGB16), (Origin.ARRAY, Mode.P)])
def test_a_mode_that_an_origin_has_not_is_newer(look: tuple[Origin, Mode]) -> None:
    blob = pack(
        Header(Kind.IMAGE, *look, extras=source_of(look[0], 1)), Grid(1, 1, 1, 1), [Coded(Method.STORED, b"", 0)]
    )
    with pytest.raises(NewerVersionError, match=f"{look[0].name} of mode"):
        unpack(blob)
