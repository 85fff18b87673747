"""LZMA payloads: a size, properties, a stream that ends by itself."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.errors import DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.wire import varint


@given(st.binary(max_size=300), st.integers(0, 3))
def test_lzma_comes_back(data: bytes, repeat: int) -> None:
    assert lzmaraw.unpack(lzmaraw.pack(data * 10**repeat)) == data * 10**repeat


@pytest.mark.parametrize("preset", [0, 1, 2])
def test_quick_presets_make_streams_for_every_reader(preset: int) -> None:
    data = b"".join(b"%d " % (k * k % 977) for k in range(9000))
    packed = lzmaraw.pack(data, preset)
    assert lzmaraw.unpack(packed) == data
    assert len(lzmaraw.pack(data)) < len(packed) < len(data)


def test_lzma_refuses_what_declares_too_much() -> None:
    packed = lzmaraw.pack(bytes(1000))
    with pytest.raises(DamagedError, match="1000"):
        lzmaraw.unpack(packed, limit=999)
    with pytest.raises(DamagedError, match="declares"):
        lzmaraw.unpack(varint(1 << 60) + packed[2:])


@pytest.mark.parametrize("props", [225, 255, 44])
def test_lzma_refuses_properties_that_do_not_exist(props: int) -> None:
    with pytest.raises(DamagedError):
        lzmaraw.unpack(b"\x01" + bytes([props]) + b"abcdefgh")


def test_a_size_to_be_undercut_changes_no_stream_that_comes_near_it() -> None:
    data = b"".join(b"%d " % (k * k % 977) for k in range(300))
    smallest = lzmaraw.pack(data)
    assert lzmaraw.pack(data, beat=len(smallest)) == smallest
    assert len(smallest) < len(lzmaraw.pack(data, beat=len(smallest) // 4))


def test_deflate_says_whether_a_size_is_out_of_reach() -> None:
    data = b"".join(b"%d " % (k * k % 977) for k in range(300))
    smallest = len(lzmaraw.pack(data))
    assert not lzmaraw.is_hopeless(data, smallest)
    assert lzmaraw.is_hopeless(data, smallest // 3)


def test_of_long_data_that_are_compressed_already_a_sample_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    compress = lzmaraw.zlib.compress
    monkeypatch.setattr(lzmaraw.zlib, "compress", lambda data, level: looked.append(len(data)) or compress(data, level))
    data = random.Random(1).randbytes(1_200_000)
    assert lzmaraw.is_hopeless(data, len(data) // 2)
    assert not lzmaraw.is_hopeless(data, len(data))
    assert looked == [1 << 17, 1 << 17]
    repeated = data[:10_000] * 110  # of which every sample holds several
    assert not lzmaraw.is_hopeless(repeated, 20_000)
    assert len(repeated) in looked
