"""The head of a picture's payload: its sides, channels and orientation."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bfncodec.errors import DamagedError
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.wire import Reader, varint


@settings(max_examples=200)
@given(
    st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.sampled_from([1, 3]), st.integers(0, 7), st.binary(max_size=3)
)
def test_heads_round_trip(height: int, width: int, channels: int, orientation: int, body: bytes) -> None:
    head = ImageHead(height, width, channels, orientation)
    reader = Reader(head.write() + body)
    assert ImageHead.read(reader) == head
    assert reader.rest() == body


def test_an_upright_colour_image_has_no_flags() -> None:
    assert ImageHead(300, 5).write() == varint(300) + varint(5)
    assert ImageHead(32, 32).write() == b"\x20\x20"


def test_tiles_say_their_size_in_their_flags() -> None:
    assert ImageHead(32, 32, 3, 2).write() == b"\0\x32"
    assert ImageHead(512, 512, 1).write() == b"\0\x78"
    assert ImageHead(32, 64, 3, 2).write() == b"\0\2\x20\x40"
    assert ImageHead(20, 20, 3, 2).write() == b"\0\2\x14\x14"
    assert ImageHead.read(Reader(b"\0\x02\x20\x20")) == ImageHead(32, 32, 3, 2)  # as earlier writers had it


@settings(max_examples=200)
@given(st.binary(max_size=8))
@example(b"\0\0\1\1")
@example(b"\0\1\1\1")
@example(b"\0\x10\1\1")
@example(b"\0\x81")
@example(b"\0\x82\1\1")
@example(b"\0\1\0\1")
@example(b"\1\0")
def test_what_reads_as_a_head_is_one(data: bytes) -> None:
    """Only what the writer writes is accepted, or an earlier one, who wrote all sizes."""
    reader = Reader(data)
    try:
        head = ImageHead.read(reader)
    except DamagedError:
        return
    assert data[: reader.offset] in (head.write(), data[:2] + varint(head.height) + varint(head.width))
