"""Variable-length integers, and what reads them: from bytes, from a part of them, from a pipe."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.errors import DamagedError, InputError
from bfncodec.format.wire import MAX_VARINT, Part, Reader, StreamReader, last_varint, varint
from support.frames import dripping


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


@given(st.integers(0, MAX_VARINT), st.binary(max_size=20))
def test_a_number_is_read_from_the_end(value: int, before: bytes) -> None:
    data = varint(value)
    assert last_varint(before + data[::-1]) == (value, len(data))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x00\x80", b"\xff" * 12])
def test_bad_numbers_at_the_end_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        last_varint(data)


@given(st.binary(max_size=30), st.integers(0, 30), st.integers(0, 30), st.slices(40))
def test_a_part_is_a_source(data: bytes, start: int, stop: int, span: slice) -> None:
    start, stop = sorted((min(start, len(data)), min(stop, len(data))))
    part, span = Part(data, start, stop), slice(span.start, span.stop)
    assert len(part) == stop - start
    assert part[span] == data[start:stop][span]


@given(st.binary(min_size=1, max_size=200), st.integers(0, 99))
def test_a_pipe_is_read_like_bytes(data: bytes, seed: int) -> None:
    rng = Random(seed)
    pipe, reader = StreamReader(dripping(data, lambda: rng.randrange(1, 9))), Reader(data)
    since = 0
    while reader.offset < len(data):
        size = rng.randrange(min(40, len(data) - reader.offset) + 1)
        assert pipe.take(size, "it") == reader.take(size, "it")
        assert pipe.offset == reader.offset
        assert pipe.since(since) == reader.since(since)
        if rng.random() < 0.3:
            pipe.forget()
            since = pipe.offset
    for at_its_end in (pipe, reader):
        with pytest.raises(DamagedError, match=f"cut off: expected 2 bytes of it at byte {len(data)}, found 0"):
            at_its_end.take(2, "it")


def test_a_stream_that_has_nothing_yet_is_not_at_its_end() -> None:
    for read in (lambda reader: reader.peek(20), lambda reader: reader.rest()):
        given = iter([b"some", None, b"more", b""])
        with pytest.raises(InputError, match="nothing yet"):
            read(StreamReader(lambda _, given=given: next(given)))
