"""The container: which form a file takes, and that whatever bytes are no file is said in an orderly way."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.errors import FormatError
from bfncodec.format.compact import LONGEST_COMPACT, LONGEST_LONG
from bfncodec.format.container import pack, unpack
from bfncodec.format.cuts import Grid, Pieces
from bfncodec.format.frame import COMPACT, LONG, SEGMENTED
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.wire import varint
from support.frames import segments_of, stored

ZEROS = bytes(LONGEST_LONG + 1)
MANY = ZEROS[: LONGEST_COMPACT + 1]


@pytest.mark.parametrize("kind", [Kind.BYTES, Kind.STR])
def test_one_segment_is_compact_up_to_a_length(kind: Kind) -> None:
    sizes = {0: COMPACT, LONGEST_COMPACT: COMPACT, LONGEST_COMPACT + 1: LONG, LONGEST_LONG: LONG}
    for size, layout in (sizes | {LONGEST_LONG + 1: SEGMENTED}).items():
        blob = pack(Header(kind), Pieces((size,)), [stored(ZEROS[:size])])
        assert blob[2] >> 5 == layout
        assert layout == SEGMENTED or len(blob) == size + 7 + (layout == LONG)
        assert segments_of(blob)[0].payload == ZEROS[:size]


def test_one_segment_of_what_is_not_put_in_a_row_is_always_compact() -> None:
    assert pack(Header(Kind.ARRAY, shape=(len(MANY),)), Pieces((len(MANY),)), [stored(MANY)])[2] >> 5 == COMPACT
    samples = varint(1) + varint(len(MANY) // 3) + MANY
    assert pack(Header(Kind.IMAGE), Grid(1, 1, len(MANY) // 3, 1), [stored(samples)])[2] >> 5 == COMPACT


def test_more_segments_are_segmented() -> None:
    assert pack(Header(Kind.BYTES), Pieces((1, 1)), [stored(b"a"), stored(b"b")])[2] >> 5 == SEGMENTED


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_in_an_orderly_way(data: bytes) -> None:
    for flags in (
        b"",
        b"\x82",
        b"\x90",
        b"\x93",
        b"\x98",
        b"\xc0\0\0\0\0\1",
        b"\xa0",
        b"\xa1",
        b"\xa2",
        b"\xa4",
        b"\xa5",
        b"\xa6",
    ):
        for salvage in (False, True):
            with suppress(FormatError):
                unpack(b"\xbf\x4e" + flags + data, Limits(), salvage)
