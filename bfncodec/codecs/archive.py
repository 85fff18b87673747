"""Many items of one shape through the Gaussian senders: one chain of bits-back coding.

The first items are coded without the model. Their bytes are the bits that the chain begins by borrowing from, and
what is left on the stack when everything else has been popped: nothing is sent that would not have to be sent anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec import lzmaraw
from bfncodec.codecs.base import Codec, Progress, check_size, silent
from bfncodec.codecs.gaussian import GaussianReceiver, Grid, receiver, sums_of
from bfncodec.codecs.ramps import RampReceiver
from bfncodec.codecs.wavefronts import LineReceiver
from bfncodec.coding.ans import AnsStack, EmptyStackError, RandomStack
from bfncodec.coding.bitsback import Ints, draw_items, pop_items, push_items
from bfncodec.errors import DamagedError
from bfncodec.flow.report import CodeLength
from bfncodec.models import ModelInfo
from bfncodec.networks import exact_sequence
from bfncodec.networks.denoiser import DenoiserConfig
from bfncodec.networks.exact_denoiser import ExactDenoiser, stored_shapes
from bfncodec.networks.exact_sequence import ExactSequence
from bfncodec.networks.exact_tiles import ExactTiles
from bfncodec.networks.sequence import SequenceConfig
from bfncodec.networks.stored import check_shapes
from bfncodec.networks.tiles import TiledConfig
from bfncodec.wire import Reader, varint

GROUP = 64  # items that are coded side by side at most
GROUPS = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)  # few sizes make few runs
LETTERS = b" abcdefghijklmnopqrstuvwxyz"
MOST_GROUPS = 1 << 20  # of a chain
NARROW = (0, 1)  # a run that says which windows the sender draws from
END = b"\x01"  # after the borrowed bytes, before the zeros that fill up a word
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Chain:
    """A payload, parsed. head: bytes coded without the model; white: the byte of binary data's 1; words: the stack."""

    size: int
    head: int
    white: int
    groups: tuple[int, ...]  # items of each, in the order they were pushed
    narrow: bool  # whether the sender draws from narrow windows (`Game.narrow`)
    words: NDArray[np.uint32]


class ArchiveCodec(Codec[bytes]):
    """Items of a fixed shape as bytes, one after the other: images [H, W, C] row by row, binary images of two byte
    values, or text of small letters and spaces.

    Payload: varint size; varint size of the head; for binary data the byte that stands for 1; varint number of runs of
    groups of one size, then varint size and varint groups of each run; the stack, in 32-bit words, little-endian. The
    head is what does not fill an item and as many items as it takes to begin with; it comes first in the data and last
    off the stack. Groups are popped last to first, and the last pushed holds the first items after the head.

    A first run of one group of size 0 says that the sender draws from narrow windows. Files without it are read, but no
    longer written.
    """

    def __init__(self, info: ModelInfo, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.info, self.device = info, device
        self.network = _network(info, tensors, device)
        self.config = self.network.config
        if self.config.kind == "discrete" and self.config.classes != len(LETTERS):
            raise ValueError(f"expected {len(LETTERS)} classes of letters, found {self.config.classes}")
        self.receiver = self._receiver(int(info.config["steps"]))
        self.item = prod(self.config.shape)
        self.sums = sums_of(self.config)

    def with_steps(self, steps: int) -> ArchiveCodec:
        """The same codec with another number of steps, for measuring: only the model's own number is in files.

        Raises ValueError for a number the model has no grid for.
        """
        known = [str(self.info.config["steps"])] if self._has_ramps else list(self.info.config["grids"])
        if str(steps) not in known:
            raise ValueError(f"model {self.info.name} has grids of {', '.join(known)} steps, found {steps}")
        other = copy(self)
        other.receiver = self._receiver(steps)
        return other

    @property
    def _has_ramps(self) -> bool:
        return isinstance(self.network, ExactSequence | ExactTiles)

    def _receiver(self, steps: int) -> GaussianReceiver | RampReceiver | LineReceiver:
        if isinstance(self.network, ExactSequence):
            return RampReceiver(self.network)
        if isinstance(self.network, ExactTiles):
            return LineReceiver(self.network)
        return receiver(self.network, Grid.read(self.info.config["grids"][str(steps)]))

    def _receiver_of(self, chain: Chain) -> GaussianReceiver | RampReceiver | LineReceiver:
        if chain.narrow:
            return self.receiver
        old = copy(self.receiver)
        old.game = replace(old.game, narrow=False)
        return old

    def encode_batch(self, xs: Sequence[bytes], progress: Progress = silent) -> list[bytes]:
        return [self._encode(x, progress) for x in xs]

    def decode_batch(self, payloads: Sequence[bytes], progress: Progress = silent) -> list[bytes]:
        return [self._decode(payload, progress) for payload in payloads]

    def refusal(self, x: bytes) -> str:
        """Why no chain of items can be made of the data: other values, or too few items to begin one with."""
        data = np.frombuffer(x, np.uint8)
        items, shape = len(data) // self.item, " x ".join(map(str, self.config.shape))
        if self._white(data) is None:
            if self.config.kind == "binary":
                return f"codes items of two values, 0 and one other, found {len(np.unique(data))} values"
            found = int(np.flatnonzero(~np.isin(data, np.frombuffer(LETTERS, np.uint8)))[0])
            return f"codes small letters and spaces only, found {x[found : found + 1]!r} at byte {found}"
        if not items:
            return f"codes items of {shape}, {self.item} bytes each, found {len(data)} bytes"
        head, _ = self._head(x, items, 1)
        if head == len(data):
            return (
                f"begins a chain with items that are coded without it, found {items} of {shape}, too few: give it "
                "more at once"
            )
        return ""

    def codelength(self, x: bytes) -> CodeLength:
        """L^n of the items that a chain would hold, played with fresh noise and without the coder: a Monte-Carlo
        estimate. The head is left out; what it costs is `seed_bits`.
        """
        data = np.frombuffer(x, np.uint8)
        white = self._white(data)
        head, _ = self._head(x, len(data) // self.item if white is not None else 0, 1)
        return self.ideal(self._to_values(data[head:], white or 0))

    def ideal(self, values: Ints, seed: int = 0) -> CodeLength:
        """L^n of whole items given as values [N]."""
        rng = np.random.default_rng(seed)
        size = GROUP * self.item
        parts = [self.receiver.play(values[k : k + size], rng) for k in range(0, len(values), size)]
        return CodeLength.joined(parts)

    def seed_bits(self, x: bytes) -> int:
        """Bits of the head, which the chain begins by borrowing from."""
        data = np.frombuffer(x, np.uint8)
        return 8 * len(self._head(x, len(data) // self.item if self._white(data) is not None else 0, 1)[1])

    def values(self, data: Bytes) -> Ints:
        """Whole items as the flow's data, int64 [N]. data: uint8 [N]"""
        return self._to_values(data, self._white(data) or 0)

    def head_size(self, payload: bytes) -> int:
        """Bytes of the data that are in a payload's head."""
        return self._parse(payload).head

    def groups(self, payload: bytes) -> tuple[int, ...]:
        """Items of each group of a payload, in the order they were pushed."""
        return self._parse(payload).groups

    def draw(self, count: int, seed: np.random.SeedSequence) -> bytes:
        """Samples of the model: so many items, one after the other."""
        parts, sizes = [], [min(GROUP, count - first) for first in range(0, count, GROUP)]
        for items, own in zip(sizes, seed.spawn(len(sizes)), strict=True):
            values = draw_items(RandomStack(own), items * self.sums, self.receiver.game, self.receiver.begin())
            parts.append(self._to_bytes(values, 255).tobytes())
        return b"".join(parts)

    # ---- encoder and decoder --------------------------------------------------------------------

    def _encode(self, x: bytes, progress: Progress) -> bytes:
        data = np.frombuffer(x, np.uint8)
        white = self._white(data)
        items = len(data) // self.item if white is not None else 0
        borrowed = 1
        while True:
            head, seed = self._head(x, items, borrowed)
            try:
                stack = AnsStack(_fill(seed), borrowed=True)
                groups = self._push(stack, data[head:], white or 0, progress)
            except EmptyStackError:
                borrowed = (items - (len(data) - head) // self.item) * 3 // 2 + 1
                continue
            except DamagedError:  # data so far from what the model thinks that no sum can say it
                borrowed = items
                continue
            runs = [NARROW, *((size, len(list(same))) for size, same in groupby(groups))]
            sizes = varint(len(runs)) + b"".join(varint(size) + varint(repeats) for size, repeats in runs)
            kind = bytes([white or 0]) if self.config.kind == "binary" else b""
            return varint(len(x)) + varint(head) + kind + sizes + stack.written().astype("<u4").tobytes()

    def _decode(self, payload: bytes, progress: Progress) -> bytes:
        chain = self._parse(payload)
        receiver = self._receiver_of(chain)
        result = np.empty(chain.size, np.uint8)
        stack = AnsStack(chain.words)
        at = chain.head
        for count in reversed(chain.groups):
            values = pop_items(stack, count * self.sums, receiver.game, receiver.begin())
            result[at : at + count * self.item] = self._to_bytes(values, chain.white)
            at += count * self.item
            progress(count * self.item)
        head = lzmaraw.unpack(_unfill(stack.returned()), limit=max(chain.head, 1))
        if len(head) != chain.head:
            raise DamagedError(
                f"expected {chain.head} bytes before the first item, found {len(head)}: the payload is damaged"
            )
        result[: chain.head] = np.frombuffer(head, np.uint8)
        progress(chain.head)
        return result.tobytes()

    def _head(self, x: bytes, items: int, borrowed: int) -> tuple[int, bytes]:
        """(size of the head, its coded bytes): enough to begin with one item, and at least `borrowed` items."""
        need = self.receiver.game.need(self.sums)
        while True:
            head = len(x) - max(0, items - borrowed) * self.item
            seed = lzmaraw.pack(x[:head])
            if borrowed >= items or 8 * len(seed) >= need:
                return head, seed
            borrowed = max(borrowed + 1, int(borrowed * min(4.0, need / (8 * len(seed)))))

    def _push(self, stack: AnsStack, data: Bytes, white: int, progress: Progress) -> list[int]:
        """Items from the last to the first, in groups as large as there are bits to borrow; returns the groups."""
        groups = []
        left = len(data) // self.item
        need = self.receiver.game.need(self.sums)
        while left:
            room = max(1, int(stack.bits / need))
            count = next(size for size in GROUPS if size <= room)
            count = left if left <= min(room, GROUP) else count
            part = data[(left - count) * self.item : left * self.item]
            push_items(
                stack, self._to_values(part, white), count * self.sums, self.receiver.game, self.receiver.begin()
            )
            groups.append(count)
            left -= count
            progress(count * self.item)
        return groups

    def _parse(self, payload: bytes) -> Chain:
        reader = Reader(payload)
        size, head = reader.varint("archive size"), reader.varint("size of the head")
        check_size(size, "bytes")
        white = reader.byte("value of a binary one") if self.config.kind == "binary" else 0
        groups, narrow = self._groups(reader, size // self.item)
        if head > size:
            raise DamagedError(f"expected at most {size} bytes in the head, found {head}: the payload is damaged")
        rest = reader.rest()
        if head + sum(groups) * self.item != size or any(not 1 <= g <= GROUP for g in groups) or len(rest) % 4:
            raise DamagedError(
                f"expected groups of 1 to {GROUP} items that make {size} bytes, and whole words, found others: "
                "the payload is damaged"
            )
        if head > lzmaraw.MAX_RATIO * len(rest):
            raise DamagedError(
                f"expected fewer than {head} bytes in the head of {len(rest)} coded bytes: the payload is damaged"
            )
        return Chain(size, head, white, groups, narrow, np.frombuffer(rest, "<u4").astype(np.uint32))

    def _groups(self, reader: Reader, items: int) -> tuple[tuple[int, ...], bool]:
        """(items of each group, whether windows are narrow). Raises DamagedError for more groups than items."""
        groups: list[int] = []
        narrow = False
        for run in range(reader.varint("number of runs of groups")):
            size, repeats = reader.varint("items of a group"), reader.varint("groups of this size")
            if run == 0 and (size, repeats) == NARROW:
                narrow = True
                continue
            if not 1 <= size <= GROUP or not 1 <= repeats <= min(items, MOST_GROUPS) - len(groups):
                raise DamagedError(
                    f"expected 1 to {GROUP} items in a group and at most {items} groups, found {repeats} of {size}: "
                    "the payload is damaged"
                )
            groups += [size] * repeats
        return tuple(groups), narrow

    # ---- bytes and values -----------------------------------------------------------------------

    def _white(self, data: Bytes) -> int | None:
        """The byte of a 1 in binary data, 0 for other kinds, None where the data are not of the model's kind."""
        if self.config.kind == "binary":
            found = np.flatnonzero(np.bincount(data[len(data) % self.item :], minlength=256)[1:]) + 1
            return int(found[0]) if len(found) == 1 else None
        if self.config.kind == "discretised" and data.max(initial=0) >= self.config.classes:
            return None
        if self.config.kind == "discrete" and not np.isin(data, np.frombuffer(LETTERS, np.uint8)).all():
            return None
        return 0

    def _to_values(self, data: Bytes, white: int) -> Ints:
        if self.config.kind == "binary":
            ones: NDArray[np.bool_] = data == white
            return ones.astype(np.int64)
        return _number_of_letter()[data] if self.config.kind == "discrete" else data.astype(np.int64)

    def _to_bytes(self, values: Ints, white: int) -> Bytes:
        if self.config.kind == "binary":
            return (values * white).astype(np.uint8)
        return np.frombuffer(LETTERS, np.uint8)[values] if self.config.kind == "discrete" else values.astype(np.uint8)


def _network(
    info: ModelInfo, tensors: dict[str, Tensor], device: torch.device
) -> ExactDenoiser | ExactSequence | ExactTiles:
    """The network of a model: of one that sends symbol after symbol if its config has a ramp, pixels if a tile."""
    values = dict(info.config["network"])
    if "tile" in values:
        return ExactTiles(TiledConfig.from_dict(values), tensors, device)
    if "ramp" in values:
        sequence = SequenceConfig.from_dict(values)
        check_shapes(tensors, exact_sequence.stored_shapes(sequence))
        return ExactSequence(sequence, tensors, device)
    config = DenoiserConfig.from_dict(values)
    check_shapes(tensors, stored_shapes(config))
    return ExactDenoiser(config, tensors, device)


def _number_of_letter() -> Ints:
    table = np.zeros(256, np.int64)
    table[np.frombuffer(LETTERS, np.uint8)] = np.arange(len(LETTERS))
    return table


def _fill(seed: bytes) -> NDArray[np.uint32]:
    """Bytes as whole words."""
    ended = seed + END
    return np.frombuffer(ended + bytes(-len(ended) % 4), "<u4").astype(np.uint32)


def _unfill(words: NDArray[np.uint32]) -> bytes:
    """Inverse of `_fill`."""
    found = words.astype("<u4").tobytes().rstrip(b"\0")
    if not found.endswith(END):
        raise DamagedError("expected the end of the head under the last item, found other bits: the payload is damaged")
    return found[:-1]
