"""All that a codec promises, checked for some items: what the tests of every codec begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import pytest

from bfncodec.codecs.protocol import Codec
from bfncodec.errors import DamagedError

FEW = 12  # places of a payload that are damaged where trying all would take long


def check_codec(
    codec: Codec[Any], items: Sequence[Any], *, thorough: bool = False, share: float = 0.0002, bits: float = 64
) -> None:
    """Assert what a codec promises for these items, a few of different sizes, of which the first is small.

    Their payloads decode, one by one and in any batch, which changes no byte; nor does the number of threads. They are
    as long as their ideal bits (`check_length`), progress counts every symbol. A cut payload of the first is an error
    or another item, and with a checksum every damage to it is an error.

    thorough: encode that way. share, bits: what payloads may be longer than their ideal bits.
    """
    encode = partial(codec.encode_batch, thorough=thorough)
    payloads = [encode([x])[0] for x in items]
    for x, payload in zip(items, payloads, strict=True):
        check_progress(codec, x, payload)
        if not thorough:
            check_length(codec, x, payload, share, bits)
    check_truncated(codec, items[0], payloads[0])
    check_checksum(codec, items[0], payloads[0] if not thorough else codec.encode(items[0]))
    check_batches(codec, items, payloads, thorough)
    check_threads(codec, items, payloads, thorough)


def same(a: Any, b: Any) -> bool:
    """Return whether two items are equal, of one type and shape."""
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    return isinstance(a, bytes) and a == bytes(b)


def check_batches(codec: Codec[Any], items: Sequence[Any], payloads: list[bytes], thorough: bool = False) -> None:
    """All in one batch or backwards in pairs: neither payloads nor items change."""
    encode = partial(codec.encode_batch, thorough=thorough)
    assert encode([]) == codec.decode_batch([]) == []
    for batch in batches(len(items)):
        xs, expected = [items[i] for i in batch], [payloads[i] for i in batch]
        assert [i for i, a, b in zip(batch, encode(xs), expected, strict=True) if a != b] == []
        assert all(map(same, codec.decode_batch(expected), xs))


def batches(count: int) -> Iterator[list[int]]:
    yield list(range(count))
    yield from ([i, i - 1] for i in range(count - 1, 0, -2))


def check_threads(codec: Codec[Any], items: Sequence[Any], payloads: list[bytes], thorough: bool = False) -> None:
    """One thread writes what two do, and reads it; torch keeps the program's number."""
    import torch

    before = torch.get_num_threads()
    for threads in (1, 2):
        other: Any = copy(codec)
        other.threads = threads
        assert other.encode_batch(items, thorough=thorough) == payloads
        assert all(map(same, other.decode_batch(payloads), items))
        assert torch.get_num_threads() == before


def check_length(
    codec: Codec[Any], x: Any, payload: bytes, share: float = 0.0002, bits: float = 64, *, lucky: bool = False
) -> None:
    """A payload has its ideal bits, L^n, and hardly more; where the sender has noise, those of the noise it drew.

    lucky: it may be much shorter, as zeros at its end are left out, and there may be nothing but zeros.
    """
    account = codec.account(x, payload, 1)
    assert (account.ideal.kl >= 0).all()
    ideal = account.path + account.initial + account.protection
    excess = 8 * len(payload) - ideal
    assert excess <= share * ideal + bits
    assert lucky or excess >= -64


def check_progress(codec: Codec[Any], x: Any, payload: bytes) -> None:
    """The item comes back, and every pixel or byte is counted once, in both directions."""
    count = x.shape[0] * x.shape[1] if isinstance(x, np.ndarray) else len(x)
    done: list[int] = []
    codec.encode(x, done.append)
    assert sum(done) == count
    done.clear()
    assert same(codec.decode(payload, done.append), x)
    assert sum(done) == count


def check_truncated(codec: Codec[Any], x: Any, payload: bytes) -> None:
    """Check that a payload that is cut off is damage or decodes to another item, without any other error."""
    for cut in places(len(payload)):
        try:
            found = codec.decode(payload[:cut])
        except DamagedError as error:
            assert str(error)  # noqa: PT017
            continue
        assert not same(found, x), cut


def check_checksum(codec: Codec[Any], x: Any, plain: bytes) -> None:
    """Four bytes more tell every damage, before anything is decoded."""
    sealed = codec.encode(x, checksum=True)
    assert sealed[:-4] == plain
    assert len(sealed) == len(plain) + 4
    assert codec.encode_batch([x, x], checksum=True) == [sealed] * 2
    assert all(same(found, x) for found in codec.decode_batch([sealed] * 2, checksum=True))
    bad = [sealed[:cut] for cut in places(len(sealed), 600)] + [sealed + b"\0", plain]
    number = int.from_bytes(sealed, "big")
    bad += [(number ^ 1 << bit).to_bytes(len(sealed), "big") for bit in places(8 * len(sealed), 600)]
    for payload in bad:
        with pytest.raises(DamagedError, match="checksum mismatch"):
            codec.decode(payload, checksum=True)
    with pytest.raises(DamagedError, match="checksum mismatch"):
        codec.decode_batch([sealed, sealed[:-1]], checksum=True)


def places(size: int, most: int = FEW) -> Sequence[int]:
    """Return all places of so many, or some that are spread over them, the first and the last among them."""
    return range(size) if size <= most else sorted({i * (size - 1) // (most - 1) for i in range(most)})
