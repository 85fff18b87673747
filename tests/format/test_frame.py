"""Beginnings of both forms of a file, and what is verified before anything is decoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bfncodec.errors import DamagedError, FormatError, NewerVersionError, NotOursError
from bfncodec.format.checks import crc32
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Cut, Grid, Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.frame import Coded, Segment, read_start, wanted_of
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method, Mode, Origin
from bfncodec.format.wire import varint
from support.frames import flips, modelled, segments_of, stored


def tile(height: int, width: int) -> Coded:
    samples = np.arange(3 * height * width, dtype=np.uint8).tobytes()
    return stored(varint(height) + varint(width) + samples, samples)


PNG = Header(Kind.IMAGE, Origin.PNG, Mode.RGB, extras=(Extra(Tag.SOURCE, b"crc!"), Extra(Tag.CHUNKS, b"tEXt\2ab")))
PNG = replace(PNG, promised=True)
OBJECT = Header(Kind.IMAGE, extras=(Extra(Tag.INFO, b"{}"),))
FILES: dict[str, tuple[Header, Cut, list[Coded]]] = {
    "bytes": (Header(Kind.BYTES), Pieces((18,)), [stored(bytes(range(18)))]),
    "text by a model": (Header(Kind.STR), Pieces((18,)), [modelled(18)]),
    "bytes with extras": (Header(Kind.BYTES, extras=(Extra(Tag.WRAPPER, b"\1"),)), Pieces((4,)), [stored(b"abcd")]),
    "picture": (OBJECT, Grid(2, 1, 3, 1), [tile(2, 3)]),
    "picture file": (PNG, Grid(2, 1, 3, 1), [tile(2, 3)]),
    "array": (Header(Kind.ARRAY, dtype=">i2", shape=(2, 3)), Pieces((12,)), [stored(bytes(range(12)))]),
    "segments of bytes": (Header(Kind.BYTES), Pieces((3, 18, 2)), [stored(b"abc"), modelled(18), stored(b"de")]),
    "segments of text": (Header(Kind.STR), Pieces((18, 9)), [modelled(18), modelled(9)]),
    "lines": (Header(Kind.STR, extras=(Extra(Tag.LINES, b"\1\1"),)), Pieces((2, 2)), [stored(b"a\n"), stored(b"b\n")]),
    "tiles": (OBJECT, Grid(4, 2, 3, 1), [tile(2, 3), tile(2, 3)]),
    "tiles of a file": (PNG, Grid(2, 1, 6, 2), [tile(2, 3), tile(2, 3)]),
    "segments of an array": (
        Header(Kind.ARRAY, dtype="f8", shape=(2, 3)),
        Pieces((24, 24)),
        [stored(bytes(24)), stored(bytes(range(24)))],
    ),
}


@pytest.fixture(params=FILES.values(), ids=FILES.keys())
def blob(request: pytest.FixtureRequest) -> bytes:
    return pack(*request.param)


# ---- how a file begins --------------------------------------------------------------------------


@pytest.mark.parametrize("blob", [b"", b"PK\x03\x04", b"\x89PNG\r\n", b"\xbfX", b"N\xbf"])
def test_foreign_files_are_not_ours(blob: bytes) -> None:
    for read in (read_start, unpack):
        with pytest.raises(NotOursError, match="expected a bfncodec file"):
            read(blob)


@pytest.mark.parametrize("blob", [b"\xbf", b"\xbf\x4e"])
def test_a_beginning_that_is_cut_off_is_damage(blob: bytes) -> None:
    with pytest.raises(DamagedError, match="cut off"):
        read_start(blob)


@pytest.mark.parametrize("layout", range(4))
def test_files_of_no_release_are_said_to_be_from_before(layout: int, blob: bytes) -> None:
    with pytest.raises(DamagedError, match=rf"layout {layout} at byte 2 .* a version before 0\.2"):
        unpack(blob[:2] + bytes([layout << 5 | blob[2] & 31]) + blob[3:])


def test_the_layout_to_come_is_newer(blob: bytes) -> None:
    with pytest.raises(NewerVersionError, match="layout 7 where this release reads 4 to 6: update"):
        unpack(blob[:2] + bytes([7 << 5 | blob[2] & 31]) + blob[3:])


# ---- what is verified ---------------------------------------------------------------------------


def test_every_kind_comes_back(request: pytest.FixtureRequest, blob: bytes) -> None:
    header, cut, coded = FILES[request.node.callspec.id]
    frame = unpack(blob)
    frame.verify()
    assert frame.cut == cut
    assert frame.header.agrees(header)
    assert frame.complete
    for segment, one, extent in zip(segments_of(blob), coded, cut.extents, strict=True):
        found = (segment.method, segment.payload, segment.model, segment.extent, segment.check)
        assert found == (one.method, one.payload, one.model, extent, one.crc & (1 << segment.bits) - 1)
        assert segment.bits == (16 if len(coded) == 1 else 32)


def test_every_flipped_bit_and_every_cut_is_found_before_anything_is_decoded(blob: bytes) -> None:
    """Nobody is asked to decode a payload here."""
    for bad in (*flips(blob), *(blob[:size] for size in range(len(blob))), blob + b"\0", blob + b"\xbf\x4e"):
        with pytest.raises(FormatError):
            unpack(bad).verify()


def test_damage_in_coded_bytes_is_said_to_be_there() -> None:
    for name, payload, where in (("bytes", bytes(range(18)), ""), ("segments of bytes", b"abc", "segment 1 of 3: ")):
        blob = pack(*FILES[name])
        bad = blob.replace(payload, payload[:-1] + b"!")
        with pytest.raises(DamagedError, match=f"^{where}checksum mismatch of the coded bytes"):
            unpack(bad).verify()
        with pytest.raises(DamagedError, match="checksum mismatch of the coded bytes"):
            unpack(bad).segment(0)
        assert not unpack(bad).segment(0, salvage=True).sound


def test_what_was_not_found_is_damage() -> None:
    blob = pack(*FILES["tiles"])
    frame = unpack(blob[: len(blob) * 5 // 8], salvage=True)
    assert (len(frame.entries), frame.cut.count) == (1, 2)
    frame.segment(0)
    with pytest.raises(DamagedError, match="segment 2 of 2: not found"):
        frame.verify()


@pytest.mark.parametrize(("bits", "digits"), [(16, 4), (32, 8)])
def test_a_content_is_checked(bits: int, digits: int) -> None:
    crc = crc32(b"abcd") & (1 << bits) - 1
    segment = Segment(Method.STORED, b"abcd", b"", ((0, 4),), crc, bits)
    segment.verify(b"abcd")
    with pytest.raises(DamagedError, match=f"mismatch: expected [0-9a-f]{{{digits}}}, found [0-9a-f]{{{digits}}}$"):
        segment.verify(b"abce")


def test_parts_lie_in_some_segments() -> None:
    assert list(wanted_of(Pieces((3, 4, 5)), None)) == [0, 1, 2]
    assert wanted_of(Pieces((3, 4, 5)), ((3, 8),)) == [1, 2]
    assert wanted_of(Grid(4, 2, 4, 2), ((2, 4), (0, 2))) == [2]
    assert wanted_of(Pieces((3, 4, 5)), ()) == []


def test_only_what_is_wanted_is_verified() -> None:
    header, cut, coded = FILES["segments of bytes"]
    blob = pack(header, cut, coded)
    bad = blob.replace(b"abc", b"abd")
    unpack(bad, place=lambda header, cut: ((3, 23),)).verify()
    with pytest.raises(DamagedError, match="segment 1 of 3"):
        unpack(bad, place=lambda header, cut: ((0, 1),)).verify()


def test_modes_of_a_picture_file_of_no_extras() -> None:
    header = Header(Kind.IMAGE, Origin.BMP, Mode.L, extras=(Extra(Tag.SOURCE, b"\x55"),))
    blob = pack(header, Grid(1, 1, 1, 1), [stored(b"\1\1x", b"x")])
    assert blob[2] & 1 == 0
    assert unpack(blob).header == header
