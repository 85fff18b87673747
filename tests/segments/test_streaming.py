"""Bytes of any length, a piece at a time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest

import bfncodec
from bfncodec.errors import DamagedError, InputError, LimitError, NotOursError
from bfncodec.format.limits import Limits
from bfncodec.format.wire import StreamReader
from bfncodec.segments.encode import Task
from bfncodec.segments.policy import DEFAULT_POLICY
from bfncodec.segments.streaming import check_stream, decode_stream, encode_pieces, is_stream_of_bytes
from support.doubles import FakeModels, noise

TEXT = b"a line of words, and another line\n" * 40
PIECES = [TEXT, noise(3, 900).tobytes(), b"x", noise(20, 700).tobytes()]


def task(model: str = "auto") -> Task:
    return Task(model, FakeModels(), lambda done: None, 5, DEFAULT_POLICY)


def made(pieces: list[bytes] = PIECES, model: str = "auto") -> bytes:
    return b"".join(encode_pieces(pieces, task(model)))


def trickling(blob: bytes, sizes: int = 7) -> Callable[[int], bytes]:
    """A pipe that gives a few bytes at a time."""
    file = io.BytesIO(blob)
    return lambda count: file.read(min(count, sizes))


def decoded(blob: bytes, limits: Limits | None = None) -> list[bytes]:
    return list(decode_stream(StreamReader(trickling(blob)), FakeModels(), limits=limits))


def test_pieces_come_back_one_by_one() -> None:
    assert decoded(made()) == PIECES
    assert bfncodec.decompress(made(), codecs=FakeModels()) == b"".join(PIECES)
    assert bfncodec.describe(made()).methods == {"lzma": 1, "model": 1, "stored": 2}


def test_a_piece_is_given_before_the_next_is_read() -> None:
    read = 0

    def pieces() -> object:
        nonlocal read
        for piece in PIECES:
            read += 1
            yield piece

    chunks = encode_pieces(pieces(), task("none"))  # type: ignore[arg-type]
    next(chunks)
    assert read == 1
    file = io.BytesIO(made(model="none"))
    contents = decode_stream(StreamReader(lambda count: file.read(min(count, 16))), FakeModels())
    assert next(contents) == PIECES[0]


def test_files_one_after_the_other_are_one_stream() -> None:
    small, long = bfncodec.compress(b"small", "none"), made()
    joined = [small, long, small, small, long]
    assert b"".join(decoded(b"".join(joined))) == b"".join(
        bfncodec.decompress(one, codecs=FakeModels()) for one in joined
    )


def test_any_damage_of_a_stream_is_found() -> None:
    """Right pieces before it are given; nothing else ever is."""
    blob = made([TEXT[:70], b"abc", TEXT[:40]], "none")
    for place in range(len(blob)):
        for bit in (0, 7):
            damaged = bytearray(blob)
            damaged[place] ^= 1 << bit
            given: list[bytes] = []
            with pytest.raises(bfncodec.FormatError):
                given.extend(decode_stream(StreamReader(io.BytesIO(damaged).read), FakeModels()))
            with pytest.raises(bfncodec.FormatError):
                check_stream(StreamReader(io.BytesIO(damaged).read), Limits())
    for length in range(1, len(blob)):
        with pytest.raises(bfncodec.FormatError):
            decoded(blob[:length])


def test_what_is_behind_a_stream_is_no_part_of_it() -> None:
    with pytest.raises(NotOursError):
        decoded(made() + b"junk")
    picture = bfncodec.compress(noise(1, 5, 6, 3), "none")
    with pytest.raises(InputError, match="found another, from byte"):
        decoded(made() + picture)
    with pytest.raises(NotOursError, match="empty"):
        decoded(b"")


def test_output_has_a_limit() -> None:
    with pytest.raises(LimitError, match="bytes of output"):
        decoded(made(), replace(Limits(), output=len(TEXT) + 10))
    assert check_stream(StreamReader(trickling(made())), Limits()) == sum(map(len, PIECES))


def test_a_limit_of_symbols_holds_for_each_piece() -> None:
    with pytest.raises(LimitError, match="symbols"):
        decoded(made([noise(3, 9000).tobytes()], "text"), replace(Limits(), symbols_per_byte=1))


@pytest.mark.parametrize("other", [noise(1, 5, 6, 3), "text", b"short"])
def test_only_long_files_of_bytes_are_streams(other: object) -> None:
    assert not is_stream_of_bytes(bfncodec.compress(other, "none")[:4096])
    assert is_stream_of_bytes(made()[:4096])
    assert not is_stream_of_bytes(b"")
    assert not is_stream_of_bytes(b"other bytes")


def test_a_piece_that_does_not_decode_is_an_error_of_ours() -> None:
    class Wrong(FakeModels):
        def identified(self, identity: bytes) -> object:  # type: ignore[override]
            raise DamagedError("no")

    wrong = Task("auto", Wrong(), lambda done: None, 5, DEFAULT_POLICY)
    with pytest.raises(bfncodec.OutputError, match="please report this"):
        list(encode_pieces(PIECES, wrong))
