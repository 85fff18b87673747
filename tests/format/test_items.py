"""Rows of items: what is written is read, and what nothing writes is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bfncodec
from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.compact import LONGEST_COMPACT, pack_compact
from bfncodec.format.header import Header
from bfncodec.format.items import Row, model_of, write_row
from bfncodec.format.kinds import Kind
from bfncodec.format.wire import varint
from bfncodec.segments.policy import Policy
from support.doubles import noise
from support.frames import MODEL, modelled, stored
from support.specimens import CODECS, specimens

SMALL = [bfncodec.compress(item, "none") for item in (b"", b"abc", "Ende", np.arange(3), noise(1, 2, 3, 3))]
FILES = [*SMALL, bfncodec.compress(b"abcabcde", "none", policy=Policy(plain_segment=4))]
KINDS = [blob for name, blob in specimens().items() if name not in ("joined", "folder", "many_items")]


def last_file(content: bytes) -> bytes:
    row = Row.read(content)
    return row.file(row.count - 1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(FILES), min_size=1, max_size=9), st.booleans())
def test_files_come_back_as_they_were(files: list[bytes], named: bool) -> None:
    names = [f"ä/{number}" for number in range(len(files))]
    row = Row.read(write_row(files, names if named else None))
    assert [row.file(number) for number in range(row.count)] == files
    assert row.names == (tuple(names) if named else None)


def test_files_of_every_kind_come_back() -> None:
    row = Row.read(write_row(KINDS))
    assert [row.file(number) for number in range(row.count)] == KINDS


def test_long_files_come_back_and_name_their_model() -> None:
    plain = pack_compact(Header(Kind.BYTES), stored(bytes(LONGEST_COMPACT + 1)))
    coded = pack_compact(Header(Kind.STR), modelled(1 << 18, bytes(LONGEST_COMPACT)))
    files = [plain, plain, SMALL[0], coded]
    row = Row.read(write_row(files))
    assert [row.file(number) for number in range(row.count)] == files
    assert [model_of(file) for file in files] == [b"", b"", b"", MODEL]


def test_an_item_takes_four_bytes_more_than_its_payload() -> None:
    """Its size and half a checksum, where the one before was alike."""
    item = noise(1, 32, 32, 3)
    file, (payload,) = bfncodec.compress(item, "photo", codecs=CODECS), CODECS.named("photo").encode_batch([item])
    assert model_of(file) == CODECS.named("photo").info.id
    assert len(write_row([file] * 9)) - len(write_row([file] * 8)) == len(payload) + len(varint(2 * len(payload))) + 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0\1\2\x88",  # no head
        b"\0\1\5\x88\0",  # cut off
        b"\0\2" + varint(7) + varint(0) + b"\x88\0\0",  # more than is there
        b"\0\1" + varint(3) + b"\x88",  # no checksum
        b"\2\1\2\2a" + varint(7) + b"\x88\0\0",  # a name by method 2
        b"\2\1\2\0a" + varint(7) + b"\x88\0\0",  # a name without its end
        b"\2\1\3\0\xff\0" + varint(7) + b"\x88\0\0",  # a name that is not UTF-8
        b"\2\1\5\0a\0b\0" + varint(7) + b"\x88\0\0",  # two names
    ],
)
def test_rows_that_nothing_writes_are_damage(content: bytes) -> None:
    with pytest.raises(DamagedError):
        last_file(content)


@pytest.mark.parametrize("content", [b"\4\1", b"\x80\1", b"\0\1" + varint(7) + b"\xe0\0\0"])
def test_rows_of_another_form_are_newer(content: bytes) -> None:
    with pytest.raises(NewerVersionError):
        last_file(content)
