"""Sizes that a file declares, refused before anything is allocated where they cannot be or are too large."""

from __future__ import annotations

import pytest

from bfncodec.errors import DamagedError
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Grid, Pieces
from bfncodec.format.frame import SEGMENTED, Coded
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method, Mode
from bfncodec.format.limits import NO_LIMITS
from bfncodec.format.sizes import content_bytes
from bfncodec.format.wire import varint
from support.forge import File, put_together, take_apart
from support.frames import MODEL, stored


@pytest.mark.parametrize(
    ("mode", "size"),
    [(Mode.RGB, 90), (Mode.RGBA, 120), (Mode.L, 30), (Mode.LA, 60), (Mode.P, 30), (Mode.BILEVEL, 6), (Mode.I16, 60)],
)
def test_content_bytes_of_pictures(mode: Mode, size: int) -> None:
    assert content_bytes(Header(Kind.IMAGE, mode=mode), (3, 10)) == size


def tiles(*sides: int) -> bytes:
    """A picture of that height, rows, width and columns, and of no tiles."""
    return put_together(File(SEGMENTED, Kind.IMAGE, sides=list(sides)))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (pack(Header(Kind.IMAGE), Pieces(()), [stored(b"\0\1")]), "0 pixels"),
        (pack(Header(Kind.IMAGE), Pieces(()), [Coded(Method.PICTURE, b"GIF89a", 0)]), "VP8L or PNG"),
        (pack(Header(Kind.BYTES), Pieces(()), [Coded(Method.PICTURE, b"\x05abc", 0)]), "cannot be bytes"),
        (pack(Header(Kind.ARRAY, shape=(2, 3)), Pieces(()), [stored(b"12345")]), "array of 6 bytes"),
        (pack(Header(Kind.BYTES), Pieces((2, 0)), [stored(b"ab"), stored(b"")]), "2 segments do not fit"),
        (pack(Header(Kind.IMAGE), Grid(2, 3, 5, 1), [stored(b"\1\5")] * 3), "3 segments do not fit"),
        (tiles(2, 0, 5, 1), "0 segments do not fit"),
        (pack(Header(Kind.ARRAY, shape=(1, 4)), Pieces((5, 2)), [stored(b"abcde"), stored(b"fg")]), "7 bytes cannot"),
        (pack(Header(Kind.ARRAY, shape=(1, 0)), Pieces((1, 1)), [stored(b"a")] * 2), "2 bytes cannot"),
    ],
)
def test_impossible_files_are_damaged(blob: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        unpack(blob)


@pytest.mark.parametrize("lengths", [(2, 2), (3, 2), (1 << 40, 1)])
def test_a_payload_agrees_with_the_index(lengths: tuple[int, int]) -> None:
    frame = unpack(pack(Header(Kind.BYTES), Pieces(lengths), [stored(b"abc"), stored(b"d")]), NO_LIMITS)
    with pytest.raises(DamagedError, match=r"segment \d of 2: its payload declares the size"):
        frame.verify()


def test_a_small_file_cannot_ask_for_hours_of_work() -> None:
    blob = pack(Header(Kind.BYTES), Pieces(()), [Coded(Method.MODEL, varint(1 << 24) + b"tiny", 0, MODEL)])
    with pytest.raises(DamagedError, match=r"16777216 in 8 bytes.*limits"):
        unpack(blob)
    unpack(blob, NO_LIMITS)


def test_a_small_file_cannot_ask_for_all_memory() -> None:
    payload = varint(100_000) + varint(100_000)
    blob = pack(Header(Kind.IMAGE), Pieces(()), [Coded(Method.LZMA, payload, 0)])
    with pytest.raises(DamagedError, match=r"100000 x 100000\).*limits"):
        unpack(blob)
    with pytest.raises(DamagedError, match="larger than any can be"):
        unpack(blob, NO_LIMITS)
    huge = pack(Header(Kind.BYTES), Pieces((1 << 40, 1 << 40)), [stored(b"ab")] * 2)
    for salvage in (False, True):
        if salvage:  # the index is as its writer wrote it
            huge = put_together(take_apart(huge))
        with pytest.raises(DamagedError, match="bytes of memory"):
            unpack(huge, salvage=salvage)


def test_a_small_file_has_no_more_segments_than_fit_it() -> None:
    for salvage in (False, True):
        with pytest.raises(DamagedError, match="cannot hold 16777216 segments"):
            unpack(tiles(*[1 << 12] * 4), salvage=salvage)
