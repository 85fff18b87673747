"""Blocks of extras: tags, sizes and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.errors import DamagedError, LimitError, NewerVersionError
from bfncodec.format import lzmaraw
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Pieces
from bfncodec.format.extras import Extra, Tag, read_extras, write_extras
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.wire import Reader, varint
from support.doubles import noise
from support.forge import put_together, take_apart
from support.frames import stored

some = st.lists(st.builds(Extra, st.sampled_from(Tag).map(int), st.binary(max_size=300)), max_size=4).map(tuple)


@given(some, st.booleans())
def test_extras_come_back(extras: tuple[Extra, ...], squeeze: bool) -> None:
    data = write_extras(extras, squeeze)
    reader = Reader(data + b"tail")
    assert read_extras(reader, 1 << 20) == extras
    assert reader.rest() == b"tail"


def test_every_byte_of_a_block() -> None:
    assert write_extras(()) == b"\0"
    assert write_extras((Extra(Tag.WRAPPER, b"\1"), Extra(Tag.CHUNKS, b"abc"))) == b"\x08\x04\x01\x01\x81\x03abc"
    squeezed = lzmaraw.pack(bytes(64))
    assert write_extras((Extra(Tag.INFO, bytes(64)),))[1:] == b"\x41" + varint(len(squeezed)) + squeezed
    assert write_extras((Extra(Tag.INFO, bytes(63)),))[1:3] == b"\x01\x3f"
    assert write_extras((Extra(Tag.INFO, bytes(64)),), squeeze=False)[1:3] == b"\x01\x40"
    assert write_extras((Extra(Tag.INFO, noise(0, 64).tobytes()),))[1:3] == b"\x01\x40"  # no smaller as LZMA


@pytest.mark.parametrize("tag", [0x0A, 0x10, 0x3F])
def test_an_unknown_extra_may_be_skipped(tag: int) -> None:
    block = bytes([tag]) + b"\x01x"
    assert read_extras(Reader(varint(len(block)) + block)) == ()
    blob = with_extras([(tag, b"x"), (tag, b"y"), (Tag.WRAPPER, b"\1")])
    assert unpack(blob).header.extras == (Extra(Tag.WRAPPER, b"\1"),)


@pytest.mark.parametrize("tag", [0x84, 0x86, 0x8F, 0xBF])
def test_one_that_must_be_understood_is_newer(tag: int) -> None:
    with pytest.raises(NewerVersionError, match=f"{tag:#04x} after byte 7 must be understood"):
        unpack(with_extras([(tag, b"x")]))


@pytest.mark.parametrize("tag", [0x4A, 0xCF])
def test_unknown_ones_that_are_squeezed_are_known_by_their_tag(tag: int) -> None:
    if tag & 0x80:
        with pytest.raises(NewerVersionError, match="0x8f"):
            unpack(with_extras([(tag, b"x")]))
    else:
        assert unpack(with_extras([(tag, b"x")])).header.extras == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\x04\x01",  # shorter than it says
        b"\x03\x04\x02\x01",  # a value longer than the block
        b"\x01\x04",
        b"\x80",
        b"\x03\x44\x01x",  # no LZMA payload
    ],
)
def test_blocks_that_are_cut_off_are_damage(data: bytes) -> None:
    with pytest.raises(DamagedError):
        read_extras(Reader(data), 1 << 20)


def test_what_unpacks_to_more_than_memory_is_refused() -> None:
    data = write_extras((Extra(Tag.INFO, bytes(1 << 16)),) * 3)
    read_extras(Reader(data), 6 << 16)
    with pytest.raises(LimitError, match="metadata"):
        read_extras(Reader(data), (6 << 16) - 1)
    with pytest.raises(DamagedError, match="within another cannot be squeezed"):
        read_extras(Reader(data))


def with_extras(extras: list[tuple[int, bytes]], segmented: bool = False, later: bool = False) -> bytes:
    """A file of bytes with extras in its head, or in its index."""
    parts = [stored(b"ab"), stored(b"c")] if segmented else [stored(b"abc")]
    file = take_apart(pack(Header(Kind.BYTES), Pieces(tuple(len(part.payload) for part in parts)), parts))
    if later:
        file.later = extras
    else:
        file.marked, file.extras = True, extras
    return put_together(file)


@pytest.mark.parametrize(("segmented", "later"), [(False, False), (True, False), (True, True)])
def test_no_extra_is_there_twice(segmented: bool, later: bool) -> None:
    unpack(with_extras([(Tag.WRAPPER, b"\1")], segmented, later))
    with pytest.raises(DamagedError, match="0x04 is there twice"):
        unpack(with_extras([(Tag.WRAPPER, b"\1"), (Tag.WRAPPER, b"\1")], segmented, later))


def test_nor_in_the_head_and_in_the_index() -> None:
    file = take_apart(with_extras([(Tag.WRAPPER, b"\1")], segmented=True))
    file.later = [(Tag.LINES, b"\1\1")]
    assert [extra.tag for extra in unpack(put_together(file)).header.extras] == [Tag.WRAPPER, Tag.LINES]
    file.later = [(Tag.WRAPPER, b"\1")]
    with pytest.raises(DamagedError, match="0x04 is there twice"):
        unpack(put_together(file))


def test_what_must_be_understood_is_not_in_the_index() -> None:
    for tag in (Tag.MOVED, Tag.FILES, 0x8F):
        with pytest.raises(DamagedError, match="cannot be in the index"):
            unpack(with_extras([(tag, b"x")], segmented=True, later=True))


@pytest.mark.parametrize(("segmented", "later"), [(False, False), (True, False), (True, True)])
def test_an_extra_that_cannot_stand_in_a_file_is_damage(segmented: bool, later: bool) -> None:
    with pytest.raises(DamagedError, match=r"0x03 cannot stand in a .* file of kind bytes"):
        unpack(with_extras([(Tag.PREVIEW, b"x")], segmented, later))


def test_large_metadata_is_squeezed() -> None:
    header = Header(Kind.IMAGE, extras=(Extra(1, b"{" + b" " * 5000 + b"}"), Extra(2, noise(0, 500).tobytes())))
    blob = pack(header, Pieces(()), [stored(b"\1\1abc", b"abc")])
    assert len(blob) < 600
    assert unpack(blob).header == header


def test_what_is_not_known_and_may_be_skipped_is_not_unpacked() -> None:
    assert not unpack(with_extras([(0x3F | 0x40, b"no LZMA")], segmented=False, later=False)).header.extras
    with pytest.raises(NewerVersionError, match="0xbf"):
        unpack(with_extras([(0xBF | 0x40, b"no LZMA")], segmented=False, later=False))


@pytest.mark.parametrize("segmented", [False, True])
def test_a_damaged_head_is_damaged_and_not_newer(segmented: bool) -> None:
    blob = bytearray(with_extras([(0x8F, b"x")], segmented, later=False))
    with pytest.raises(NewerVersionError):
        unpack(bytes(blob))
    blob[3] ^= 1
    with pytest.raises(DamagedError):
        unpack(bytes(blob))
