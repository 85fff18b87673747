"""The compact form of a file: its bytes as docs/format.md, section 1, gives them, and how few they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

import bfncodec
from bfncodec.errors import DamagedError, NotOursError
from bfncodec.format.checks import crc16, crc32
from bfncodec.format.compact import BLOCKS, LONGEST_LONG, pack_compact, payload_sizes, read_compact
from bfncodec.format.compact import LONGEST_COMPACT as BLOCK
from bfncodec.format.container import unpack
from bfncodec.format.cuts import Grid, Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.frame import Coded
from bfncodec.format.header import Header
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.kinds import Kind, Method, Mode, Origin
from bfncodec.format.wire import varint
from support.doubles import noise
from support.frames import MODEL, modelled, stored


def test_the_example_of_the_page() -> None:
    blob = bytes.fromhex("bf 4e 88 c4 7a 4d aa 45 6e 64 65")
    assert pack_compact(Header(Kind.STR), stored(b"Ende")) == blob
    assert bfncodec.decompress(blob) == "Ende"
    assert bfncodec.decompress(blob * 2) == "EndeEnde"


def test_every_byte_of_a_file_with_all_there_can_be() -> None:
    header = Header(Kind.IMAGE, Origin.PNG, Mode.L, extras=(Extra(Tag.SOURCE, b"\1"), Extra(Tag.CHUNKS, b"x")))
    header = replace(header, promised=True)
    payload = ImageHead(32, 32, 1).write() + b"body"
    blob = pack_compact(header, Coded(Method.MODEL, payload, 0x89ABCDEF, MODEL))
    rest = b"\xef\xcd" + MODEL + b"\xa2" + b"\1" + b"\x03\x81\x01x" + payload
    start = b"\xbf\x4e" + bytes([0b100_10_11_1])
    assert blob == start + crc16(start, rest).to_bytes(2, "little") + rest
    head = read_compact(blob)
    assert (head.header, head.method, head.model) == (header, Method.MODEL, MODEL)
    assert (head.content, head.payload_start) == (0xCDEF, len(blob) - len(payload))
    assert head.coded == crc16(start, rest)
    assert unpack(blob).cut == Grid(32, 1, 32, 1)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("method", Method)
def test_flags_are_layout_kind_method_and_extras(kind: Kind, method: Method) -> None:
    blob = pack_compact(Header(kind), Coded(method, b"x", 0, MODEL if method is Method.MODEL else b""))
    assert blob[2] == 4 << 5 | kind << 3 | method << 1


def test_the_frame_around_a_text_is_eleven_bytes() -> None:
    blob = pack_compact(Header(Kind.STR), modelled(18))
    assert len(blob) == 2 + 1 + 2 + 2 + 4 + len(varint(18)) + len(b"body")
    assert blob[7:11] == MODEL
    assert unpack(blob).cut == Pieces((18,))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 65_535, (1 << 21) - 1])
def test_overhead_of_text_is_at_most_fourteen_bytes(size: int) -> None:
    assert len(pack_compact(Header(Kind.BYTES), modelled(size, b""))) <= 14


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (ImageHead(32, 32), 14),
        (ImageHead(512, 512), 16),
        (ImageHead(512, 512, 1), 14),  # grey or turned says powers of two in its flags
        (ImageHead(512, 512, 3, 5), 14),
        (ImageHead(300, 500), 16),
        (ImageHead(300, 500, 1, 5), 18),
        (ImageHead(16_383, 16_383, 1), 18),
    ],
)
def test_overhead_of_a_picture_is_at_most_eighteen_bytes(head: ImageHead, size: int) -> None:
    assert len(pack_compact(Header(Kind.IMAGE), Coded(Method.MODEL, head.write(), 0, MODEL))) == size


@pytest.mark.parametrize("promised", [False, True])
def test_a_picture_file_takes_a_byte_of_the_checksum_of_what_it_becomes(promised: bool) -> None:
    payload = varint(1) + varint(1) + b"abc"
    bare = pack_compact(Header(Kind.IMAGE), stored(payload, b"abc"))
    header = Header(Kind.IMAGE, Origin.PNG, extras=(Extra(Tag.SOURCE, b"\1\2\3\4"),), promised=promised)
    blob = pack_compact(header, stored(payload, b"abc"))
    assert len(blob) == len(bare) + 1
    assert blob[7:9] == bytes([Origin.PNG << 4 | 0x80 * promised, 1])
    found = unpack(blob).header
    assert (found.extra(Tag.SOURCE), found.is_identical) == (b"\1", promised)


def test_either_checksum_finds_what_the_other_cannot() -> None:
    blob = bytearray(pack_compact(Header(Kind.BYTES), stored(b"abcd")))
    with pytest.raises(DamagedError, match="coded bytes"):
        bfncodec.decompress(bytes(blob[:-1]) + b"e")
    blob[5:7] = (crc32(b"abce") & 0xFFFF).to_bytes(2, "little")  # the content that another decoder makes
    blob[3:5] = crc16(bytes(blob[:3]), bytes(blob[5:])).to_bytes(2, "little")
    with pytest.raises(DamagedError, match=r"^checksum mismatch: expected"):
        bfncodec.decompress(bytes(blob))


def test_salvage_gives_what_decodes_right_under_a_wrong_checksum_of_the_coded_bytes() -> None:
    blob = bytearray(pack_compact(Header(Kind.BYTES), stored(b"abcd")))
    blob[3] ^= 1
    with pytest.raises(DamagedError, match="coded bytes"):
        bfncodec.decompress(bytes(blob))
    assert bfncodec.decompress(bytes(blob), on_damage=lambda damage: None) == b"abcd"
    blob[-1] ^= 1
    with pytest.raises(DamagedError, match="checksum mismatch: expected"):
        bfncodec.decompress(bytes(blob), on_damage=lambda damage: None)


# ---- long files ---------------------------------------------------------------------------------


def resealed(blob: bytes, place: int, value: int) -> bytes:
    """The file with another byte, and the checksum of coded bytes that it should have then."""
    start, rest = bytearray(blob[:3]), bytearray(blob[5:])
    (start if place < 3 else rest)[place if place < 3 else place - 5] = value
    return bytes(start) + crc16(bytes(start), bytes(rest)).to_bytes(2, "little") + bytes(rest)


@pytest.mark.parametrize(("size", "blocks"), [(1, 0), (2, 1), (BLOCK + 1, 1), (BLOCK + 2, 2), (255 * BLOCK + 1, 255)])
def test_a_long_text_says_how_many_blocks_it_begins(size: int, blocks: int) -> None:
    size += BLOCK - 1
    blob = pack_compact(Header(Kind.STR), stored(bytes(size)))
    assert len(blob) == 7 + bool(blocks) + size
    assert blob[2] == (0b110_01_00_0 if blocks else 0b100_01_00_0)
    assert blob[BLOCKS] == blocks
    assert size in payload_sizes(blocks)
    assert read_compact(blob).payload_start == len(blob) - size


def test_the_frame_around_a_long_text_is_a_byte_more() -> None:
    blob = pack_compact(Header(Kind.STR), modelled(1 << 20, bytes(BLOCK)))
    assert len(blob) == 2 + 1 + 2 + 2 + 1 + 4 + len(varint(1 << 20)) + BLOCK
    assert (blob[BLOCKS], blob[8:12]) == (1, MODEL)
    assert unpack(blob).cut == Pieces((1 << 20,))


def test_sizes_follow_each_other() -> None:
    for blocks in range(255):
        assert payload_sizes(blocks).stop == payload_sizes(blocks + 1).start
    assert (payload_sizes(0).start, payload_sizes(255)[-1]) == (0, LONGEST_LONG)


def test_a_payload_of_another_size_than_it_says_is_damage() -> None:
    short, long = (pack_compact(Header(Kind.BYTES), stored(bytes(size))) for size in (9, BLOCK + 9))
    assert bfncodec.decompress(long) == bytes(BLOCK + 9)
    forged = [resealed(long, BLOCKS, blocks) for blocks in (0, 2, 3, 255)]
    forged += [resealed(long, 2, 0b100_00_00_0), resealed(short, 2, 0b110_00_00_0)]
    for blob in forged:
        with pytest.raises(DamagedError):
            bfncodec.decompress(blob)


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.ARRAY])
def test_only_bytes_and_text_are_long(kind: Kind) -> None:
    blob = pack_compact(Header(Kind.BYTES), stored(bytes(BLOCK + 9)))
    with pytest.raises(DamagedError, match="of bytes or text"):
        unpack(resealed(blob, 2, 0b110_00_00_0 | kind << 3))


def test_a_long_file_cut_off_or_longer_is_damage() -> None:
    blob = pack_compact(Header(Kind.BYTES), stored(noise(3, BLOCK + 700).tobytes()))
    places = {*range(24), *range(BLOCK, BLOCK + 24), *range(len(blob) - 24, len(blob)), *range(0, len(blob), 997)}
    for size in sorted(places):
        with pytest.raises((DamagedError, NotOursError)):
            bfncodec.decompress(blob[:size])
    for tail in (b"\0", b"x", b"\xbf\x4e", blob[:9], bytes(BLOCK)):
        with pytest.raises(DamagedError):
            bfncodec.decompress(blob + tail)


@pytest.mark.parametrize("mode", [Mode.P, Mode.BILEVEL])
def test_models_code_no_numbers_of_colours(mode: Mode) -> None:
    payload = ImageHead(1, 1, 1).write()
    with pytest.raises(DamagedError, match="modes P and 1"):
        unpack(pack_compact(Header(Kind.IMAGE, Origin.OBJECT, mode), Coded(Method.MODEL, payload, 0, MODEL)))
