"""The integer implementation of the `Transformer`: keys and values are cached, any number of steps run at a time.

Windows are coded side by side. Encoding advances many steps in one call, decoding one step; both run the same code, and
because nothing in it depends on how rows are grouped (see :mod:`bfncodec.networks.exact`) both see the same
distributions. On a GPU a decoder's step is recorded and replayed (:mod:`bfncodec.networks.replay`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.networks.exact import ExactLinear, Quantiser, RmsNorm, constant, tensor_of
from bfncodec.networks.replay import Record, Step, recorded
from bfncodec.networks.stored import LARGEST, WEIGHT_TOTAL, TableWeights
from bfncodec.networks.transformer.config import TransformerConfig
from bfncodec.networks.transformer.frequencies import symbol_intervals
from bfncodec.networks.transformer.model import ngram_hash, rotations
from bfncodec.networks.transformer.weights import BlockWeights, TransformerWeights
from bfncodec.runtime.arrays import Bytes, Ints32

REPLAYED = 32  # steps that pay for recording one


@dataclass(frozen=True)
class ExactTable:
    """`TableWeights` on a device. scale: float32 [rows, 1]"""

    rows: Tensor
    scale: Tensor

    @classmethod
    def of(cls, stored: TableWeights, device: torch.device) -> ExactTable:
        """Return the tables on a device."""
        return cls(tensor_of(stored.rows, device), tensor_of(stored.scale[:, None], device))

    def __call__(self, index: Tensor) -> Tensor:
        """Return rows of the table. index: int64 [N] -> float32 [N, d]"""
        return self.rows.index_select(0, index).float().mul_(self.scale.index_select(0, index))


@dataclass(frozen=True)
class ExactNgrams:
    """The n-gram tables, one behind the other: rows of all orders are looked up at once."""

    table: ExactTable
    unseen: Tensor  # which symbols of a history each order does not see, bool [orders, R]
    bits: Tensor  # log2 of each table's rows, int64 [orders]
    first: Tensor  # row of each table, int64 [orders]

    @classmethod
    def of(cls, config: TransformerConfig, stored: TableWeights, device: torch.device) -> ExactNgrams:
        """Return the tables of a configuration that has some."""
        orders, bits = (torch.tensor(values, device=device) for values in zip(*config.ngrams, strict=True))
        reach, rows = int(orders.max()), 1 << bits
        unseen = torch.arange(reach, device=device) < reach - orders[:, None]
        return cls(ExactTable.of(stored, device), unseen, bits, rows.cumsum(0) - rows)

    def __call__(self, history: Tensor) -> Tensor:
        """Return the sum of what the bytes before add. history: int64 [N, R], oldest first -> float32 [N, d]"""
        known = history[:, None].masked_fill(self.unseen, -1)  # `where` would copy the number to a GPU
        row = ngram_hash(known, known.shape[2], self.bits).add_(self.first)
        return self.table(row.reshape(-1)).view(len(history), -1)


@dataclass(frozen=True)
class ExactBlock:
    """`BlockWeights` on a device."""

    qkv: ExactLinear
    out: ExactLinear
    up: ExactLinear
    down: ExactLinear
    key_scale: Tensor  # float32 [H, 1, 1]
    value_steps: Tensor  # float32 [H, 1]
    value: Tensor  # float32 [H, 1, 1]
    exp2: Tensor  # float32

    @classmethod
    def of(cls, stored: BlockWeights, device: torch.device) -> ExactBlock:
        """Return the layer on a device."""
        qkv, out, up, down = (ExactLinear.of(part, device) for part in (stored.qkv, stored.out, stored.up, stored.down))
        key_scale, value = (tensor_of(x[:, None, None], device) for x in (stored.key_scale, stored.value))
        steps = tensor_of(stored.value_steps[:, None], device)
        return cls(qkv, out, up, down, key_scale, steps, value, tensor_of(stored.exp2, device).float())


class ExactTransformer:
    """The network's integers on a device; `start` gives an inference state.

    record: what single steps are replayed with, None for calling their operations each time.
    """

    def __init__(self, weights: TransformerWeights, device: torch.device, record: Record | None = None) -> None:
        self.weights, self.config, self.device = weights, weights.config, device
        self.record = recorded if record is None and device.type == "cuda" else record
        self.quantise, config = Quantiser.on(device), weights.config
        self.norm, self.head_norm = (RmsNorm.of(width, device) for width in (config.width, config.head_width))
        # Steps of the table of exponentials for a logit of 1.
        self.steps = constant(tables.LOG2_E * tables.EXP2_STEPS, device)
        self.embed = ExactTable.of(weights.embed, device)
        self.ngrams = None if weights.ngrams is None else ExactNgrams.of(config, weights.ngrams, device)
        self.exp2 = tensor_of(tables.exp2_table(), device)
        self.blocks = [ExactBlock.of(block, device) for block in weights.blocks]
        self.head = ExactLinear.of(weights.head, device)
        self.near, self.far = tensor_of(weights.near, device), tensor_of(weights.far, device)

    def start(self, windows: int, teeth: int, steps: int, block: int = 1) -> TransformerState:
        """Return the state before the first step of windows of `teeth` teeth of `steps` symbols each.

        block: steps that one call of `predict` is of at most.
        """
        return TransformerState(self, windows, teeth, steps, block)


@dataclass(frozen=True)
class CacheSpan:
    """The KV cache of a layer, in steps. span: steps that a slot attends to, its own included; steps: that are kept."""

    span: int
    steps: int


@dataclass(frozen=True)
class AttentionView:
    """The KV cache as the n slots of some steps see it.

    place: where their own keys and values go; slots: how many of the cache are in use; mask: True where a slot may not
    attend, bool [n, slots], None for nowhere.
    """

    place: slice | Tensor
    slots: int
    mask: Tensor | None


class TransformerState:
    """The inference state of some windows: the symbols revealed so far, and the KV cache of every layer, which is as
    long as a slot attends back.
    """

    def __init__(self, network: ExactTransformer, windows: int, teeth: int, steps: int, block: int) -> None:
        config, device = network.config, network.device
        self.network, self.windows, self.teeth, self.steps = network, windows, teeth, steps
        self.spans = [CacheSpan(span, min(steps, span + block - 1)) for span in config.spans(teeth)]
        self.reach = max([1, *(n for n, _ in config.ngrams)])
        # Symbols of each tooth after `reach` start symbols.
        self.symbols = torch.full(
            (windows, teeth, self.reach + steps), config.symbols, dtype=torch.int16, device=device
        )
        heads, width, slots = config.heads, config.head_width, [teeth * span.steps for span in self.spans]
        self.keys = [torch.zeros(windows, heads, count, width, device=device) for count in slots]
        self.key_scale = [torch.zeros(windows, heads, 1, count, device=device) for count in slots]
        self.values = [torch.zeros(windows, heads, count, width, device=device) for count in slots]
        self.replays = network.record is not None and block == 1 and steps >= REPLAYED
        self._now = torch.zeros(1, dtype=torch.int64, device=device)
        self._replay: Step | None = None

    def reveal(self, first: int, symbols: Bytes) -> None:
        """Observe the symbols of steps first … first + k - 1: the receiver's update. uint8 [B, m, k]"""
        known = torch.from_numpy(np.ascontiguousarray(symbols)).to(self.network.device)
        self.symbols[:, :, self.reach + first : self.reach + first + symbols.shape[2]] = known

    @torch.inference_mode()
    def predict(self, first: int, last: int) -> Ints32:
        """Weights of p_O for the symbols of steps [first, last), int32 [B, (last - first) m, symbols] in step-major
        order.

        Needs every symbol of steps before last - 1 revealed, and is to be called for all steps in order.
        """
        weights = self._replayed(first) if self.replays and last - first == 1 else self._weights(first, last)
        found: Ints32 = weights.view(self.windows, (last - first) * self.teeth, -1).cpu().numpy()
        return found

    @torch.inference_mode()
    def intervals(self, first: int, last: int) -> Ints32:
        """Return the coder's intervals of the symbols of steps [first, last), which are revealed: `softmax_intervals`
        of `predict`, below and frequency, int32 [2, B, (last - first) m].
        """
        known = self.symbols[:, :, self.reach + first : self.reach + last].transpose(1, 2).reshape(-1)
        found: Ints32 = symbol_intervals(self._weights(first, last), known.long()).cpu().numpy()
        return found.reshape(2, self.windows, -1)

    def _weights(self, first: int, last: int) -> Tensor:
        """Return `predict` on the device, int32 [B n, symbols]."""
        position = torch.arange(first, last, device=self.network.device)
        views = {span: self._view(span, first, last) for span in set(self.spans)}
        return self._forward(self._history(first, last), position, views)

    def _history(self, first: int, last: int) -> Tensor:
        """Symbols before each slot of steps [first, last), int16 [B, k, m, reach]."""
        seen = self.symbols[:, :, first : last - 1 + self.reach].unfold(2, self.reach, 1)
        return seen.transpose(1, 2)

    def _replayed(self, i: int) -> Tensor:
        """Return `_weights` of one step, whose operations are the same at all steps."""
        self._now.fill_(i)
        if self._replay is None:
            assert self.network.record is not None
            self._replay = self.network.record(self._any_step)
        return self._replay()

    def _any_step(self) -> Tensor:
        """Return `_weights` of the step `_now`: slots of the cache that are not in use yet are masked."""
        device, now = self.network.device, self._now
        history = self.symbols.index_select(2, now + torch.arange(self.reach, device=device))
        views = {}
        for span in set(self.spans):
            slot = torch.arange(span.steps * self.teeth, device=device) // self.teeth
            held = now - (now - slot) % span.steps
            place = now % span.steps * self.teeth + torch.arange(self.teeth, device=device)
            mask = (held < 0) | (now - held >= span.span)
            views[span] = AttentionView(place, len(slot), mask)
        return self._forward(history, now, views)

    def _forward(self, history: Tensor, position: Tensor, views: dict[CacheSpan, AttentionView]) -> Tensor:
        """Return weights of p_O, int32 [B n, symbols]. history: the symbols before each slot, int16 [B, ..., reach] in
        step-major order; position: of the steps, int64 [k].
        """
        network = self.network
        x, rope = self._embed(history), self._rope(position)
        for i, block in enumerate(network.blocks):
            y = self._attend(i, block.qkv(*network.norm(x)), rope, views[self.spans[i]])
            x += block.out(*network.quantise.rows(y))
            hidden = block.up(*network.norm(x)).clamp_min_(0)
            x += block.down(*network.quantise.positive(hidden.mul_(hidden)))
        logits = network.head(*network.norm(x))
        steps = ((logits.amax(1, keepdim=True) - logits) * network.steps).round_()
        return network.exp2[steps.clamp_max_(len(network.exp2) - 1).long()]

    def _embed(self, history: Tensor) -> Tensor:
        """Embed the symbols that each slot's tooth has revealed before it. float32 [B n, d], slots step-major."""
        network = self.network
        history = history.reshape(-1, self.reach).long()
        x = network.embed(history[:, -1])
        return x if network.ngrams is None else x.add_(network.ngrams(history))

    def _rope(self, steps: Tensor) -> Tensor:
        """Rotations of the slots of steps [k], [2, n, 1, 1, hd]."""
        position = steps[:, None] + torch.arange(self.teeth, device=steps.device) * self.steps
        turn = rotations(self.network.near, self.network.far, position.reshape(-1))
        cos, sin = turn[:, :, None, None]  # [n, 1, 1, hd/2]
        return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])

    def _view(self, span: CacheSpan, first: int, last: int) -> AttentionView:
        """Return the cache as the slots of steps [first, last) see it."""
        device, teeth = self.network.device, self.teeth
        begin, end = first % span.steps * teeth, (first % span.steps + last - first) * teeth
        place: slice | Tensor = slice(begin, end)
        if end > span.steps * teeth:
            place = torch.arange(begin, end, device=device) % (span.steps * teeth)
        kept = min(last, span.steps)
        if last - first == 1 and kept <= span.span:
            return AttentionView(place, kept * teeth, None)
        # The step that each slot of the cache holds: the latest one, below `last`, that belongs there.
        slot = torch.arange(kept * teeth, device=device) // teeth
        held = last - 1 - (last - 1 - slot) % span.steps
        back = torch.arange(first, last, device=device).repeat_interleave(teeth)[:, None] - held[None]
        return AttentionView(place, kept * teeth, (back < 0) | (back >= span.span))

    def _attend(self, i: int, qkv: Tensor, rope: Tensor, view: AttentionView) -> Tensor:
        """Attention of layer i; new keys and values join the cache. qkv: float32 [B n, 3 d] -> float32 [B n, d]"""
        config, block = self.network.config, self.network.blocks[i]
        qkv = qkv.view(self.windows, -1, 3, config.heads, config.head_width)
        qk, scale = self.network.head_norm.integers(_turn(qkv[:, :, :2], rope))
        (q, k), (q_scale, k_scale) = (x.transpose(1, 3).unbind(2) for x in (qk, scale))  # [B, H, n, hd], [B, H, n, 1]
        v = (qkv[:, :, 2] * block.value_steps).round_().clamp_(-LARGEST, LARGEST)
        self.keys[i][:, :, view.place] = k
        self.values[i][:, :, view.place] = v.transpose(1, 2)
        self.key_scale[i][:, :, 0, view.place] = (k_scale * block.key_scale)[..., 0]
        # int8 times int8 in float32: sums below 2^24, exact.
        score = q @ self.keys[i][:, :, : view.slots].transpose(2, 3)
        score.mul_(self.key_scale[i][:, :, :, : view.slots])
        if view.mask is not None:
            score.masked_fill_(view.mask, -torch.inf)
        y = (_softmax(score, q_scale, block.exp2) @ self.values[i][:, :, : view.slots]).mul_(block.value)
        return y.transpose(1, 2).reshape(-1, config.width)


def _softmax(score: Tensor, q_scale: Tensor, exp2: Tensor) -> Tensor:
    """Integer weights that sum to about 2^16. score: float32 [B, H, n, slots]; q_scale: float32 [B, H, n, 1]"""
    steps = torch.sub(score.amax(-1, keepdim=True), score, out=score).mul_(q_scale).clamp_max_(len(exp2) - 1)
    e = exp2.index_select(0, steps.int().view(-1)).view(steps.shape)
    return e.mul_(WEIGHT_TOTAL / e.sum(-1, keepdim=True)).round_()


def _turn(x: Tensor, rope: Tensor) -> Tensor:
    """Rotate by position. [B, n, 2, H, hd]"""
    a, b = x.chunk(2, -1)
    return (x * rope[0]).add_(torch.cat([b, a], -1).mul_(rope[1]))
