"""Data for archive codecs, and what damage may do to their payloads."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.codecs.itemvalues import LETTERS
from bfncodec.errors import BfncodecError
from support.tiny import CONFIGS

ITEM = {kind: math.prod(config.shape) for kind, config in CONFIGS.items()}


def archive(kind: str, size: int, seed: int = 0, like: str = "own") -> bytes:
    """Bytes of a kind of data; `like` names another than its own."""
    rng = np.random.default_rng(seed)
    if like == "own":
        like = {"levels": "slopes", "grey": "slopes", "binary": "two", "letters": "small", "staggered": "small"}[kind]
    if like == "slopes":
        return (np.cumsum(rng.integers(-9, 10, size)) % 256).astype(np.uint8).tobytes()
    if like == "noise":
        return rng.integers(0, 256, size, dtype=np.uint8).tobytes()
    values = {
        "small": LETTERS,
        "capitals": b"aA bB",
        "two": b"\0\xff",
        "pair": b"\0\1",
        "one": b"\7",
        "zeros": b"\0",
        "three": b"\0\1\2",
        "no zero": b"\1\2",
    }[like]
    return np.frombuffer(values, np.uint8)[rng.integers(0, len(values), size)].tobytes()


@cache
def noisy(kind: str, items: int) -> bytes:
    """Data that LZMA cannot shorten by much, so that the head is short and the chain long."""
    like = {"levels": "noise", "grey": "noise", "binary": "two", "letters": "small", "staggered": "small"}[kind]
    return archive(kind, items * ITEM[kind], 99, like)


def decode_damaged(codec: ArchiveCodec, payload: bytes, size: int) -> bool:
    """Return whether the damage was noticed: bytes of the right size are left to the checksum above."""
    try:
        found = codec.decode(payload)
    except BfncodecError as error:
        assert str(error)  # noqa: PT017
        return True
    assert len(found) == size
    return False
