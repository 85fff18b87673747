"""The two checksums of the format."""

from __future__ import annotations

import zlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bfncodec.format.checks import crc16, crc32


def long_division(data: bytes) -> int:
    """CRC-16 as docs/format.md says it: bit by bit."""
    found = 0xFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            top = found >> 15 ^ byte >> bit & 1
            found = found << 1 & 0xFFFF ^ 0x1021 * top
    return found


def test_the_digits_have_the_known_checksum() -> None:
    assert crc16(b"123456789") == 0x29B1
    assert crc32(b"123456789") == 0xCBF43926
    assert crc16() == 0xFFFF


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_parts_are_as_good_as_the_whole(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert crc16(*parts) == long_division(whole)
    assert crc32(*parts) == zlib.crc32(whole)
    if parts:
        assert crc16(*parts[1:], start=crc16(parts[0])) == crc16(whole)
        assert crc32(*parts[1:], start=crc32(parts[0])) == crc32(whole)


def test_sixteen_bits_find_every_burst_of_sixteen() -> None:
    rng = Random(1)
    data = rng.randbytes(40)
    whole, right = int.from_bytes(data, "big"), crc16(data)
    for place in range(8 * len(data) - 16):
        for burst in (1, 0x8001, *(rng.randrange(1, 1 << 16) for _ in range(20))):
            changed = (whole ^ burst << place).to_bytes(len(data), "big")
            assert crc16(changed) != right
