"""The payload of an archive: what stands around a stack, and the bytes that repair it and tell where it is damaged.

A stack is read from the last word that was written to the first, so that one wrong word spoils all items that are
popped after it. Three things limit that. Parity bytes (:mod:`bfncodec.coding.parity`) repair a damaged byte, or some
kilobytes in a row. Where there is more damage than that, checksums of the items say how far what was popped is right.
And the words stand in the order in which they are popped, so that a payload that was cut off keeps its first items.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.base import check_size
from bfncodec.coding import parity
from bfncodec.errors import DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.wire import Reader, varint

GROUP = 64  # items that are coded side by side at most
MOST_GROUPS = 1 << 20  # of a chain
Words = NDArray[np.uint32]


@dataclass(frozen=True)
class Sizes:
    """Sizes that an encoder is free to choose. check: bytes of stack for each checksum of items, at least."""

    check: int = 2560


@dataclass(frozen=True)
class Chain:
    """An archive, coded.

    size: bytes of the content. head: how many of them, the first, are coded without the model. white: the byte of
    binary data's 1, None for other data. groups: items of each group, in the order in which they were pushed. words:
    the stack, the last to be popped first. checks: CRC-32 of the content of every `every` groups in the order of
    popping, and of the head.
    """

    size: int
    head: int
    white: int | None
    groups: tuple[int, ...]
    words: Words
    every: int = 1
    checks: tuple[int, ...] = ()

    def parts(self) -> Iterator[tuple[int, ...]]:
        """Groups as they are popped, those together that have one checksum."""
        popped = self.groups[::-1]
        for first in range(0, len(popped), self.every):
            yield popped[first : first + self.every]


@dataclass(frozen=True)
class Found:
    """A payload that was read. chains: what it may hold, the first one unless that is wrong; whole: whether the first
    is known to be right; damaged: bytes that were changed, at least.
    """

    chains: tuple[Chain, ...]
    whole: bool
    damaged: int


def checked(chain: Chain, content: bytes, item: int, sizes: Sizes) -> Chain:
    """Return the chain with checksums of its content. item: bytes of one."""
    most = max(1, 4 * len(chain.words) // sizes.check)
    bare = replace(chain, every=max(1, -(-len(chain.groups) // most)))
    checks, at = [], chain.head
    for part in bare.parts():
        end = at + sum(part) * item
        checks.append(zlib.crc32(content[at:end]))
        at = end
    checks.append(zlib.crc32(content[: chain.head]))
    return replace(bare, checks=tuple(checks))


def write(chain: Chain) -> bytes:
    """The payload of a chain that was `checked`."""
    runs = [(size, len(list(same))) for size, same in groupby(chain.groups)]
    numbers = [len(runs), *(number for run in runs for number in run), chain.every]
    white = b"" if chain.white is None else bytes([chain.white])
    checks = b"".join(check.to_bytes(4, "little") for check in chain.checks)
    words = chain.words[::-1].astype("<u4").tobytes()
    return parity.protect(
        varint(chain.size) + varint(chain.head) + white + b"".join(map(varint, numbers)) + checks + words
    )


def read(payload: bytes, item: int, binary: bool) -> Found:
    """The inverse of `write`. item: bytes of one; binary: whether data are.

    Raises DamagedError where nothing can be made of it.
    """
    found = parity.read(payload)
    if found is not None and found.sound:
        return Found((_chain(found.block, item, binary),), True, found.damaged)
    return Found(_possible([found.block, found.found] if found else [payload], item, binary), False, 1)


def added(payload: bytes, item: int, binary: bool) -> int:
    """Bytes of a payload that repair damage and tell where it is."""
    found = parity.read(payload)
    if found is None or not found.sound:
        return 0
    return len(payload) - len(found.block) + 4 * len(_chain(found.block, item, binary).checks)


def _possible(blocks: Sequence[bytes], item: int, binary: bool) -> tuple[Chain, ...]:
    """The chains of damaged blocks. Raises the last DamagedError if there is none."""
    chains, last = [], DamagedError("the payload is damaged")
    for block in blocks:
        try:
            chains.append(_chain(block, item, binary, cut=True))
        except DamagedError as error:
            last = error
    if not chains:
        raise last
    return tuple(chains)


def _chain(block: bytes, item: int, binary: bool, cut: bool = False) -> Chain:
    """Return the chain that a block holds. cut: whether the words may have been cut off."""
    reader = Reader(block)
    size = reader.varint("archive size")
    check_size(size, "bytes")
    head = reader.varint("size of the head")
    white = reader.byte("value of a binary one") if binary else None
    groups = _groups(reader, size // item)
    if head + sum(groups) * item != size:
        raise DamagedError(
            f"expected a head and items that make {size} bytes, found {head} and {sum(groups)} items: "
            "the payload is damaged"
        )
    every, checks = _checks(reader, len(groups))
    rest = reader.rest()
    rest = rest[: len(rest) // 4 * 4] if cut else rest
    if len(rest) % 4:
        raise DamagedError(f"expected whole words, found {len(rest)} bytes: the payload is damaged")
    if head > lzmaraw.MAX_RATIO * len(rest):
        raise DamagedError(
            f"expected fewer than {head} bytes in the head of {len(rest)} coded bytes: the payload is damaged"
        )
    words = np.frombuffer(rest, "<u4").astype(np.uint32)
    return Chain(size, head, white, groups, words[::-1], every, checks)


def _groups(reader: Reader, items: int) -> tuple[int, ...]:
    """Items of each group. Raises DamagedError for more groups than items."""
    groups: list[int] = []
    for _ in range(reader.varint("number of runs of groups")):
        size, repeats = reader.varint("items of a group"), reader.varint("groups of this size")
        if not 1 <= size <= GROUP or not 1 <= repeats <= min(items, MOST_GROUPS) - len(groups):
            raise DamagedError(
                f"expected 1 to {GROUP} items in a group and at most {items} groups, found {repeats} of {size}: "
                "the payload is damaged"
            )
        groups += [size] * repeats
    return tuple(groups)


def _checks(reader: Reader, groups: int) -> tuple[int, tuple[int, ...]]:
    """(groups that have one checksum, the checksums)"""
    every = reader.varint("groups of a checksum")
    if not 1 <= every <= MOST_GROUPS:
        raise DamagedError(f"expected a checksum for every 1 to {MOST_GROUPS} groups, found {every}")
    return every, tuple(reader.uint32("a checksum of items") for _ in range(-(-groups // every) + 1))
