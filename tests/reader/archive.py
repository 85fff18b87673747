"""Sections 7.1, 7.2 and 7.4: archives."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

from reader.ans import Stack
from reader.errors import DamagedPayloadError, ModelUnreadableError
from reader.lattice import Lattice
from reader.model import Model
from reader.parallel import Denoiser, ParallelReceiver
from reader.staggered import SequenceNetwork, StaggeredReceiver
from reader.wavefront import TileNetworks, WavefrontReceiver
from reader.wire import Bytes

LETTERS = b" abcdefghijklmnopqrstuvwxyz"


class Receiver(Protocol):
    """A model's word on sums and values. Its methods are for one group of items."""

    lattice: Lattice

    def step(self, stack: Stack, i: int, before: Sequence[int]) -> list[int]:
        """Pop the sums after a step; all of them, given all before."""
        ...

    def values(self, stack: Stack, last: Sequence[int]) -> list[int]:
        """Pop the values, given the sums after the last step."""
        ...

    def targets(self, values: Sequence[int]) -> list[float]:
        """Targets of all sums."""
        ...


def decode_archive(folder: Path, payload: bytes) -> bytes:
    """The bytes of a payload of a model of archives."""
    model = Model(folder)
    if model.config["schedule"] not in SCHEDULES:
        raise ModelUnreadableError("another schedule")
    make, receiver = SCHEDULES[model.config["schedule"]]
    network = make(model)
    kind, item = network.kind, prod(network.shape)
    chain = Chain.read(payload, item, kind == "binary")
    try:
        return _content(chain, kind, lambda stack, items: pop_group(stack, receiver(model, network, items), items))
    except (ArithmeticError, ValueError) as error:  # sums so large that numbers are not finite
        raise DamagedPayloadError("sums that no writer writes") from error


def _content(chain: Chain, kind: str, pop: Callable[[Stack, int], list[int]]) -> bytes:
    """The content of a chain. pop: gives the values of the next group of so many items."""
    stack, content, checks = Stack(chain.words), [], iter(chain.checks)
    for groups in chain.parts():
        found = b"".join(_bytes(pop(stack, items), kind, chain.one) for items in groups)
        _check(found, next(checks))
        content.append(found)
    head = _head(stack.borrowed(), chain.head)
    _check(head, next(checks))
    return b"".join([head, *content])


def pop_group(stack: Stack, receiver: Receiver, items: int) -> list[int]:
    """The values of a group of items."""
    lattice = receiver.lattice
    before = [0] * (lattice.sums * items)
    for i in range(lattice.steps):
        after = receiver.step(stack, i, before)
        for group in reversed(lattice.groups(i)):
            if group.phase:
                places = lattice.places(group, items)
                ratio, bridge = lattice.bridge(group.phase)
                bridge.push(stack, [before[p] for p in places], [after[p] * ratio for p in places])
        before = after
    values = receiver.values(stack, before)
    factor, end = lattice.end()
    end.push(stack, before, [target * factor for target in receiver.targets(values)])
    return values


SCHEDULES: dict[str, tuple[Callable[[Model], Any], Callable[[Model, Any, int], Receiver]]] = {
    "parallel": (Denoiser, ParallelReceiver),
    "staggered": (SequenceNetwork, StaggeredReceiver),
    "wavefront": (TileNetworks, WavefrontReceiver),
}
"""Networks, and receivers of groups of items, by schedule."""


@dataclass(frozen=True)
class Chain:
    """A block that was read. one: the byte of a binary 1; words: the stack, the top last."""

    size: int
    head: int
    one: int
    groups: list[int]
    every: int
    checks: list[int]
    words: list[int]

    @classmethod
    def read(cls, payload: bytes, item: int, binary: bool) -> Chain:
        reader = Bytes(_block(payload))
        size, head = reader.varint(), reader.varint()
        one = reader.byte() if binary else 1
        groups: list[int] = []
        for _ in range(reader.varint()):
            items, many = reader.varint(), reader.varint()
            if not 1 <= items <= 64 or not 1 <= many <= min(size // item, 1 << 20) - len(groups):
                raise DamagedPayloadError(f"{many} groups of {items} items")
            groups += [items] * many
        if size >= 1 << 40 or head + sum(groups) * item != size:
            raise DamagedPayloadError(f"a head of {head} bytes and {sum(groups)} items in {size} bytes")
        every = reader.varint()
        if not 1 <= every <= 1 << 20:
            raise DamagedPayloadError(f"a checksum for {every} groups")
        checks = [reader.uint32() for _ in range(-(-len(groups) // every) + 1)]
        rest = reader.rest()
        if len(rest) % 4 or head > 16384 * len(rest):
            raise DamagedPayloadError(f"a stack of {len(rest)} bytes")
        words = [int.from_bytes(rest[k : k + 4], "little") for k in range(0, len(rest), 4)]
        return cls(size, head, one, groups, every, checks, words[::-1])

    def parts(self) -> Iterator[list[int]]:
        """Groups in the order of popping, those together that have one checksum."""
        popped = self.groups[::-1]
        for first in range(0, len(popped), self.every):
            yield popped[first : first + self.every]


def _block(payload: bytes) -> bytes:
    columns = -(-(len(payload) - 4) // 255)
    size = len(payload) - 4 - 2 * columns
    if size < 1 or columns != -(-size // 253):
        raise DamagedPayloadError(f"a payload of {len(payload)} bytes")
    block, sums = payload[:size], payload[size:-4]
    p, q = bytearray(columns), bytearray(columns)
    for row in range((size - 1) // columns, -1, -1):
        for k, byte in enumerate(block[row * columns : (row + 1) * columns]):
            p[k] ^= byte
        q = bytearray(b << 1 ^ (0x11D if b & 128 else 0) for b in q)
        for k, byte in enumerate(block[row * columns : (row + 1) * columns]):
            q[k] ^= byte
    if p + q != sums or zlib.crc32(block) != int.from_bytes(payload[-4:], "little"):
        raise DamagedPayloadError("parity or checksum of a block")
    return block


def _head(words: Sequence[int], size: int) -> bytes:
    data = b"".join(word.to_bytes(4, "little") for word in words).rstrip(b"\0")
    if not data.endswith(b"\1"):
        raise DamagedPayloadError("a head without its end")
    reader = Bytes(data[:-1])
    declared, properties = reader.varint(), reader.byte()
    stream = reader.rest()
    lc, lp, pb = properties % 9, properties // 9 % 5, properties // 45
    if declared != size or lc + lp > 4 or pb > 4:
        raise DamagedPayloadError(f"a head of {declared} bytes instead of {size}")
    dictionary = min(1 << 26, max(1 << 12, 1 << max(size - 1, 1).bit_length()))
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    try:
        found = decoder.decompress(stream, max_length=size + 1)
        if not decoder.eof:
            found += decoder.decompress(b"", max_length=1)
    except (lzma.LZMAError, EOFError) as error:
        raise DamagedPayloadError("a head that LZMA does not read") from error
    if len(found) != size or not decoder.eof or decoder.unused_data:
        raise DamagedPayloadError("a head that does not end where it says")
    return found


def _bytes(values: Sequence[int], kind: str, one: int) -> bytes:
    if kind == "binary":
        return bytes(value * one for value in values)
    return bytes(LETTERS[value] for value in values) if kind == "discrete" else bytes(values)


def _check(found: bytes, expected: int) -> None:
    if zlib.crc32(found) != expected:
        raise DamagedPayloadError("content that does not fit its checksum")
