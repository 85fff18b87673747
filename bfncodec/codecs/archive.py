"""Many items of one shape through the Gaussian senders: one chain of bits-back coding.

The first items are coded without the model. Their bytes are the bits that the chain begins by borrowing from, and
what is left on the stack when everything else has been popped: nothing is sent that would not have to be sent anyway.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.codecs import chain
from bfncodec.codecs.base import ModelCodec, named
from bfncodec.codecs.chain import GROUP, Chain, Sizes
from bfncodec.codecs.itemvalues import Bytes, ItemValues
from bfncodec.codecs.protocol import Account, Capabilities
from bfncodec.codecs.receivers.kinds import parallel_receiver, sums_of
from bfncodec.codecs.receivers.parallel import Grid, ParallelReceiver
from bfncodec.codecs.receivers.realised import realised_path
from bfncodec.codecs.receivers.sequence import SequenceReceiver
from bfncodec.codecs.receivers.wavefront import WavefrontReceiver
from bfncodec.coding.ans import AnsStack, EmptyStackError, RandomStack
from bfncodec.coding.bitsback import Floats, Ints, draw_items, pop_items, push_items
from bfncodec.errors import DamagedError, SalvageableError, Salvaged
from bfncodec.flow.report import CodeLength
from bfncodec.format import lzmaraw
from bfncodec.models import ModelInfo
from bfncodec.networks.parallel.exact import ExactDenoiser, stored_shapes
from bfncodec.networks.parallel.model import DenoiserConfig
from bfncodec.networks.sequence import exact as exact_sequence
from bfncodec.networks.sequence.exact import ExactSequence
from bfncodec.networks.sequence.model import SequenceConfig
from bfncodec.networks.stored import check_shapes
from bfncodec.networks.wavefront.exact import ExactWavefront
from bfncodec.networks.wavefront.model import WavefrontConfig
from bfncodec.runtime.progress import Progress

GROUPS = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)  # few sizes make few runs
DRAWS = 4  # of noise, for an estimate of L^n
PLAYED = 16  # items whose bits are told from those of others, to know how far draws differ
SALVAGE = "--salvage (on_damage in Python) gives"
END = b"\x01"  # after the borrowed bytes, before the zeros that fill up a word


class _Furthest:
    """Progress of work that may have to begin again: a call reports what lies beyond all that was reported before."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done, self._reported = progress, 0, 0

    def begun(self) -> Progress:
        """Begin (again)."""
        self._done = 0
        return self

    def __call__(self, more: int) -> None:
        self._done += more
        if self._done > self._reported:
            self._progress(self._done - self._reported)
            self._reported = self._done


class ArchiveCodec(ModelCodec[bytes]):
    """Items of a fixed shape as bytes, one after the other: images [H, W, C] row by row, binary images of two byte
    values, or text of small letters and spaces.

    Payload: see :mod:`bfncodec.codecs.chain`. The head is what does not fill an item and as many items as it takes to
    begin with; it comes first in the data and last off the stack. Groups are popped last to first, and the last pushed
    holds the first items after the head.

    `decode` of a damaged payload raises SalvageableError where something can be had of it.
    """

    sizes = Sizes()

    def __init__(self, info: ModelInfo, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.info, self.device = info, device
        self.schedule = named(SCHEDULES, info.config["schedule"], "schedule")
        self.network = self.schedule.network(dict(info.config["network"]), tensors, device)
        self.config = self.network.config
        self.item = prod(self.config.shape)
        self.item_values = ItemValues(self.config.kind, self.config.classes, self.item)
        self.receiver: Any = self.schedule.receiver(self.network, info.config, int(info.config["steps"]))
        self.capabilities = Capabilities(item_shape=tuple(self.config.shape))
        self.sums = sums_of(self.config)

    def with_steps(self, steps: int) -> ArchiveCodec:
        """The codec with another number of steps, for measuring: files are always coded with the model's own number.

        Raises ValueError for a number the model has no grid for.
        """
        known = list(self.info.config.get("grids", [str(self.info.config["steps"])]))
        if str(steps) not in known:
            raise ValueError(f"model {self.info.name} has grids of {', '.join(known)} steps, found {steps}")
        other = copy(self)
        other.receiver = self.schedule.receiver(self.network, self.info.config, steps)
        return other

    def encode_items(self, xs: Sequence[bytes], progress: Progress, thorough: bool) -> list[bytes]:
        return [self._encode(x, progress) for x in xs]

    def decode_items(self, payloads: Sequence[bytes], progress: Progress) -> list[bytes]:
        return [self._decode(payload, progress) for payload in payloads]

    def refusal(self, x: bytes) -> str:
        """Why no chain of items can be made of the data: other values, or too few items to begin one with."""
        data = np.frombuffer(x, np.uint8)
        items, shape = len(data) // self.item, " x ".join(map(str, self.config.shape))
        if refusal := self.item_values.refusal(data):
            return refusal
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
        estimate of one draw, see `account` for better ones. The head is left out.
        """
        self.check(x)
        data = np.frombuffer(x, np.uint8)
        white = self.item_values.white(data)
        head, _ = self._head(x, len(data) // self.item if white is not None else 0, 1)
        return self.ideal(self.item_values.of_bytes(data[head:], white or 0))

    def ideal(self, values: Ints, seed: int = 0, draws: int = 1) -> CodeLength:
        """L^n of whole items given as values [N], the mean of so many draws of noise; two or more tell its error."""
        games = self._played(values, draws, seed)
        bits = np.array([[part.bits for part in draw] for draw in games])
        error = math.sqrt(float(bits.var(0, ddof=1).sum()) / draws) if draws > 1 else 0.0
        whole = CodeLength.joined(part for draw in games for part in draw)
        return CodeLength(whole.kl / draws, whole.reconstruction / draws, len(values), error)

    def games(self, values: Ints, draws: int, seed: int = 0) -> Floats:
        """Bits of L^n of some items at a time, played several times: [draws, parts]."""
        return np.array([[part.bits for part in draw] for draw in self._played(values, draws, seed)])

    def account(self, x: bytes, payload: bytes, draws: int = DRAWS) -> Account:
        """Return what the payload of x is made of. L^n is played so many times, and x is encoded once more."""
        watched = copy(self)
        watched.receiver = path = realised_path(self.receiver)
        groups = len(self.groups(watched.encode(x)))
        return Account(
            self.ideal(self.chained(x, payload), draws=draws),
            sum(path.bits[len(path.bits) - groups :]),
            self.initial_bits(x, payload),
            8 * self.protection(payload),
        )

    def initial_bits(self, x: bytes, payload: bytes) -> int:
        """Bits of the head of a payload of x, which the chain begins by borrowing from."""
        return 8 * len(lzmaraw.pack(x[: self.head_size(payload)]))

    def chained(self, x: bytes, payload: bytes) -> Ints:
        """The items that the model coded, as the flow's data, int64 [N]."""
        coded = self._chain(payload)
        return self.item_values.of_bytes(np.frombuffer(x, np.uint8)[coded.head :], coded.white or 0)

    def values(self, data: Bytes) -> Ints:
        """Data of the flow, int64 [N], for the bytes of whole items, uint8 [N]."""
        return self.item_values.of_bytes(data, self.item_values.white(data) or 0)

    def _played(self, values: Ints, draws: int, seed: int) -> list[list[CodeLength]]:
        rng, size = np.random.default_rng(seed), PLAYED * self.item
        parts = [values[k : k + size] for k in range(0, len(values), size)]
        return [[self.receiver.play(part, rng, realised=True) for part in parts] for _ in range(draws)]

    def head_size(self, payload: bytes) -> int:
        """Bytes of the data that are in a payload's head."""
        return self._chain(payload).head

    def groups(self, payload: bytes) -> tuple[int, ...]:
        """Items of each group of a payload, in the order they were pushed."""
        return self._chain(payload).groups

    def protection(self, payload: bytes) -> int:
        """Bytes of a payload that repair damage and tell where it is."""
        return chain.added(payload, self.item, self._binary)

    def verifies(self, payload: bytes) -> bool:
        """Return whether a payload holds checksums of all that it decodes to, and they are sound."""
        return bool(self._chain(payload).checks)

    def _chain(self, payload: bytes) -> Chain:
        return chain.read(payload, self.item, self._binary).chains[0]

    @property
    def _binary(self) -> bool:
        return bool(self.config.kind == "binary")

    def draw(self, count: int, size: tuple[int, ...], seed: np.random.SeedSequence) -> list[bytes]:
        """Return samples of the model, the bytes of one item each; `GROUP` of them are drawn at a time."""
        parts, sizes = [], [min(GROUP, count - first) for first in range(0, count, GROUP)]
        for items, own in zip(sizes, seed.spawn(len(sizes)), strict=True):
            values = draw_items(RandomStack(own), items * self.sums, self.receiver)
            parts.append(self.item_values.to_bytes(values, 255).tobytes())
        data = b"".join(parts)
        return [data[start : start + self.item] for start in range(0, len(data), self.item)]

    # ---- encoder and decoder --------------------------------------------------------------------

    def _encode(self, x: bytes, progress: Progress) -> bytes:
        data = np.frombuffer(x, np.uint8)
        white = self.item_values.white(data)
        items = len(data) // self.item if white is not None else 0
        borrowed, report = 1, _Furthest(progress)
        while True:
            head, seed = self._head(x, items, borrowed)
            try:
                stack = AnsStack(_fill(seed), borrowed=True)
                groups = self._push(stack, data[head:], white or 0, report.begun())
            except EmptyStackError:
                borrowed = (items - (len(data) - head) // self.item) * 3 // 2 + 1
                continue
            except DamagedError:  # data so far from what the model thinks that no sum can say it
                borrowed = items
                continue
            report(head)
            kind = (white or 0) if self._binary else None
            made = Chain(len(x), head, kind, tuple(groups), stack.written())
            return chain.write(chain.checked(made, x, self.item, self.sizes))

    def _decode(self, payload: bytes, progress: Progress) -> bytes:
        found = chain.read(payload, self.item, self._binary)
        first = found.chains[0]
        if found.whole and found.damaged:
            raise SalvageableError(
                f"{found.damaged} damaged bytes, which can be repaired: "
                f"{SALVAGE} all {first.size // self.item} items back",
                lambda: self._pop(first, progress),
            )
        best = min((self._pop(possible, progress) for possible in found.chains), key=lambda popped: popped.gone)
        if found.whole and not best.lost:
            return best.content
        raise self._damaged("more damaged bytes than can be repaired", best)

    def _damaged(self, reason: str, popped: Salvaged) -> DamagedError:
        """An error that says how many items can be had."""
        size = len(popped.content)
        items, lost = size // self.item, _items_in(popped.lost, size % self.item, self.item)
        if items == lost:
            return DamagedError(f"{reason}, and no items before them: the payload is damaged")
        return SalvageableError(f"{reason}: {SALVAGE} {items - lost} of {items} items back", lambda: popped)

    def _pop(self, coded: Chain, progress: Progress) -> Salvaged:
        """The content, as far as it matches its checksums. Raises DamagedError where there are none, and what is popped
        cannot be.
        """
        receiver = self.receiver
        result = np.zeros(coded.size, np.uint8)
        right, checks = coded.head, iter(coded.checks)  # bytes behind the head that are right
        try:
            stack = AnsStack(coded.words)
            for part in coded.parts():
                at = right
                for count in part:
                    values = pop_items(stack, count * self.sums, receiver)
                    result[at : at + count * self.item] = self.item_values.to_bytes(values, coded.white or 0)
                    at += count * self.item
                    progress(count * self.item)
                _check(result[right:at], checks)
                right = at
            result[: coded.head] = _unpacked(stack, coded.head)
            _check(result[: coded.head], checks)
        except DamagedError:
            if not coded.checks:
                raise
            result[: coded.head] = 0
            result[right:] = 0
            lost = ((0, coded.head), (right, coded.size))
            return Salvaged(result.tobytes(), tuple(span for span in lost if span[0] < span[1]))
        progress(coded.head)
        return Salvaged(result.tobytes(), ())

    def _head(self, x: bytes, items: int, borrowed: int) -> tuple[int, bytes]:
        """(size of the head, its coded bytes): enough to begin with one item, and at least `borrowed` items."""
        need = self.receiver.flow.initial_bits(self.sums)
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
        need = self.receiver.flow.initial_bits(self.sums)
        while left:
            room = max(1, int(stack.bits / need))
            count = next(size for size in GROUPS if size <= room)
            count = left if left <= min(room, GROUP) else count
            part = data[(left - count) * self.item : left * self.item]
            push_items(stack, self.item_values.of_bytes(part, white), count * self.sums, self.receiver)
            groups.append(count)
            left -= count
            progress(count * self.item)
        return groups


@dataclass(frozen=True)
class SchedulePlayers:
    """The network and the receiver that play a schedule.

    Parameters
    ----------
    network
        Makes the network, in integers, from the table `network` of config.json, the stored tensors and a device. Its
        `config` says `kind`, `classes` and `shape` of the items. Raises ValueError, TypeError or KeyError for what does
        not fit.
    receiver
        Makes a :class:`bfncodec.coding.bitsback.Receiver` from the network, config.json and a number of steps. It also
        has `play`, for L^n, and what :mod:`bfncodec.codecs.receivers.realised` asks for.
    """

    network: Callable[[dict[str, Any], dict[str, Tensor], torch.device], Any]
    receiver: Callable[[Any, Mapping[str, Any], int], Any]


def _parallel_network(values: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> ExactDenoiser:
    config = DenoiserConfig.from_dict(values)
    check_shapes(tensors, stored_shapes(config))
    return ExactDenoiser(config, tensors, device)


def _parallel_receiver(network: ExactDenoiser, config: Mapping[str, Any], steps: int) -> ParallelReceiver:
    return parallel_receiver(network, Grid.read(config["grids"][str(steps)]))


def _staggered_network(values: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> ExactSequence:
    config = SequenceConfig.from_dict(values)
    check_shapes(tensors, exact_sequence.stored_shapes(config))
    return ExactSequence(config, tensors, device)


def _wavefront_network(values: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> ExactWavefront:
    return ExactWavefront(WavefrontConfig.from_dict(values), tensors, device)


SCHEDULES: Mapping[str, SchedulePlayers] = {
    "parallel": SchedulePlayers(_parallel_network, _parallel_receiver),
    "staggered": SchedulePlayers(_staggered_network, lambda network, config, steps: SequenceReceiver(network)),
    "wavefront": SchedulePlayers(_wavefront_network, lambda network, config, steps: WavefrontReceiver(network)),
}
"""Networks and receivers by the name of the schedule in config.json."""


def _check(found: Bytes, checks: Iterator[int]) -> None:
    """Raise DamagedError if bytes do not match the next checksum, where there is one."""
    expected = next(checks, None)
    if expected is not None and zlib.crc32(found.tobytes()) != expected:
        raise DamagedError("items do not match their checksum: the payload is damaged")


def _unpacked(stack: AnsStack, size: int) -> Bytes:
    """The head, when everything else has been popped."""
    head = lzmaraw.unpack(_unfill(stack.returned()), limit=max(size, 1))
    if len(head) != size:
        raise DamagedError(f"expected {size} bytes before the first item, found {len(head)}: the payload is damaged")
    return np.frombuffer(head, np.uint8)


def _items_in(spans: Sequence[tuple[int, int]], first: int, item: int) -> int:
    """Number of items that have bytes in spans which begin or end with items; the first item begins at byte `first`."""
    return sum((stop - first) // item - max(start - first, 0) // item for start, stop in spans)


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
