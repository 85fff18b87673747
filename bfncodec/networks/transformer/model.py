"""Step-causal transformer for the comb schedule: the trainable network.

Slot (tooth j, index i) holds the symbols of tooth j *before* index i and predicts symbol (j, i). It attends to every
slot whose index is at most i, in all teeth: exactly what the receiver knows at step i. With one tooth this is an
ordinary left-to-right transformer. The integer implementation that files are coded with is in
:mod:`bfncodec.networks.transformer.exact`.

The blocks are those of Vaswani et al. 2017 with rotary positions (Su et al. 2021), squared rectifiers (So et al. 2021)
and normalised queries and keys. Every normalisation divides by the root mean square (RMSNorm, Zhang and Sennrich 2019)
and every product is a plain matrix product, so that the integer implementation has the same structure: rows quantise to
int8 with a scale of their own, and the scale of a normalised row is known from its integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.networks.storage import Export, TrainableNetwork, folded
from bfncodec.networks.transformer.config import COARSE, FAR, HASH_MULTIPLIER, TransformerConfig


def ngram_hash(history: Tensor, order: int, bits: int | Tensor) -> Tensor:
    """Rows of the n-gram tables: hash of the last `order` symbols, in int64 arithmetic modulo 2^32. Where the first of
    them are -1, it is that of those behind.

    history: int64 [..., R], oldest first, R >= order; symbols, or the start symbol where there is none yet.
    Returns int64 [...] in [0, 2^bits).
    """
    h = torch.zeros_like(history[..., 0])
    for k in range(history.shape[-1] - order, history.shape[-1]):
        h = ((h + history[..., k] + 1) * HASH_MULTIPLIER) & 0xFFFFFFFF
        h = h ^ (h >> 15)
    return (h * HASH_MULTIPLIER & 0xFFFFFFFF) >> (32 - bits)


def rope_tables(config: TransformerConfig) -> tuple[Tensor, Tensor]:
    """cos and sin of position times frequency in units of 2^-14, int16 [2, positions, head_width/2]: of the positions
    of a window, and of the first positions of FAR windows.

    Stored with the weights rather than computed on load: cosines differ in the last bit between machines.
    """
    half = config.head_width // 2
    frequency = config.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)

    def table(positions: Tensor) -> Tensor:
        angle = positions.double()[:, None] * frequency
        return torch.stack([angle.cos(), angle.sin()]).mul(1 << 14).round().to(torch.int16)

    return table(torch.arange(config.window)), table(torch.arange(FAR) * config.window)


def rotations(near: Tensor, far: Tensor, position: Tensor) -> Tensor:
    """cos and sin of any positions below FAR windows, [2, n, hd/2], from the two tables as floats: the angle of a
    position is that of its window and that in its window.
    """
    window = near.shape[1]
    (c, s), (cf, sf) = near[:, position % window], far[:, position // window]
    return torch.stack([c * cf - s * sf, s * cf + c * sf])


def rms_norm(x: Tensor) -> Tensor:
    """x over the root of the mean of its squares, along the last dimension."""
    return F.rms_norm(x, (x.shape[-1],))


@dataclass(frozen=True)
class Slots:
    """The layout of a window. rope: cos and sin of every slot's position, [2, L, hd/2]; teeth: of its schedule."""

    rope: Tensor
    teeth: int


class TransformerBlock(nn.Module):
    """Attention and a layer of squared rectifiers, each added to what came in."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.up = nn.Linear(d, config.expansion * d, bias=False)
        self.down = nn.Linear(config.expansion * d, d, bias=False)
        # logit scale of each head
        self.gain = nn.Parameter(torch.full((config.heads,), math.sqrt(config.head_width) * 1.2))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, slots: Slots, span: int) -> Tensor:
        """Return x after the block, [B, L, d]. x: slots in step-major order; span: steps that a slot attends to."""
        batch, length, d = x.shape
        qkv = self.qkv(rms_norm(x)).view(batch, length, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [B, H, L, d/H]
        q, k = rms_norm(rotate(q, slots.rope)), rms_norm(rotate(k, slots.rope))
        q = q * (self.gain / (d // self.heads)).to(q.dtype).view(1, -1, 1, 1)
        y = attend(q, k, v, slots.teeth, span)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, d))
        result: Tensor = x + self.down(F.relu(self.up(rms_norm(x))).square())
        return result

    def largest_values(self, x: Tensor) -> Tensor:
        """Largest attention value of each head on this input. [B, L, d] -> [H]"""
        v: Tensor = self.qkv(rms_norm(x)).chunk(3, -1)[2]
        return v.abs().amax((0, 1)).view(self.heads, -1).amax(1)


def rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Each pair (first half, second half) of the last dimension turned by its angle, of which rope has cos and sin."""
    (a, b), (cos, sin) = x.chunk(2, -1), rope
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def attend(q: Tensor, k: Tensor, v: Tensor, teeth: int, span: int) -> Tensor:
    """Attention of slots in step-major order to those of the last `span` steps. [B, H, L, hd] -> [B, H, L, hd]"""
    length = q.shape[2]
    if teeth == 1 and length <= span:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
    if teeth == 1 and length % span == 0:
        return attend_by_spans(q, k, v, span)
    mask = step_mask(length, teeth, span, q.device)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)


def attend_by_spans(q: Tensor, k: Tensor, v: Tensor, span: int) -> Tensor:
    """`attend` of one tooth over a multiple of `span` slots: a span looks at itself and the one before and no further,
    so that the cost grows with the length, not with its square.
    """
    batch, heads, length, width = q.shape
    q, k, v = (x.reshape(batch * heads, length // span, span, width) for x in (q, k, v))
    k, v = (torch.cat([F.pad(x, (0, 0, 0, 0, 1, 0))[:, :-1], x], 2) for x in (k, v))
    mask = step_mask(2 * span, 1, span, q.device)[span:].repeat(length // span, 1, 1)
    mask[0, :, :span] = False  # nothing comes before the first
    # In plain words it is three times faster here than torch's fused attention under a mask.
    y = (q @ k.transpose(2, 3)).masked_fill(~mask, -torch.inf).softmax(-1).to(v.dtype) @ v
    return y.reshape(batch, heads, length, width)


class Transformer(TrainableNetwork):
    """The transformer: logits of every symbol of a window, for any comb schedule, in one forward pass."""

    rope: Tensor
    far: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        part = config.width // max(1, len(config.ngrams))
        self.embed = nn.Embedding(config.symbols + 1, config.width)
        self.ngram = nn.ModuleList(nn.Embedding(1 << bits, part) for _, bits in config.ngrams)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.symbols)
        nn.init.normal_(self.embed.weight, std=1.0)
        for table in self.ngram:
            nn.init.normal_(table.weight, std=0.5)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        near, far = rope_tables(config)
        self.register_buffer("rope", near, persistent=False)
        self.register_buffer("far", far, persistent=False)

    @property
    def export_as(self) -> Export:
        """Tables of n-grams have 4 bits if the configuration asks for it."""
        return Export(coarse=("ngram.",) if self.config.ngram_bits == COARSE else ())

    def fitted(self, name: str, stored: Tensor) -> Tensor:
        """Fold tables of n-grams that have more rows than this network's."""
        return folded(stored, len(self.get_parameter(name))) if name.startswith("ngram.") else stored

    @torch.no_grad()
    def stored_tables(self, batches: Iterable[tuple[Tensor, int]]) -> dict[str, Tensor]:
        """Tensors that the integer implementation needs besides the weights: the tables of rotations, and how large the
        attention values of each layer and head get on some data, float32 [layers, H].
        """
        caps = torch.full((self.config.layers, self.config.heads), 1e-3)
        for x, teeth in batches:
            z, slots = self._start(x.to(self.head.weight.device), teeth)
            for i, (block, span) in enumerate(zip(self.blocks, self.config.spans(teeth), strict=True)):
                caps[i] = torch.maximum(caps[i], block.largest_values(z).cpu())  # type: ignore[operator]
                z = block(z, slots, span)
        return {"rope": self.rope.cpu(), "far": self.far.cpu(), "value_cap": caps}

    def forward(self, x: Tensor, teeth: int) -> Tensor:
        """Return logits [B, L, symbols] in step-major order (rank = index * teeth + tooth), which is the order of
        :class:`bfncodec.flow.schedules.reveal.Comb`.

        x: int64 [B, L] symbols in text order, L a multiple of `teeth`.
        """
        z, slots = self._start(x, teeth)
        for block, span in zip(self.blocks, self.config.spans(teeth), strict=True):
            z = block(z, slots, span)
        logits: Tensor = self.head(rms_norm(z))
        return logits

    def _start(self, x: Tensor, teeth: int) -> tuple[Tensor, Slots]:
        """Embedded slots [B, L, d] in step-major order, and how they are laid out."""
        batch, length = x.shape
        inputs = self.inputs(x.view(batch, teeth, length // teeth))  # [B, m, S, d]
        z = inputs.transpose(1, 2).reshape(batch, length, -1)
        position = torch.arange(length, device=x.device).view(teeth, -1).t().reshape(-1)
        rope = rotations(self.rope.float() / (1 << 14), self.far.float() / (1 << 14), position).to(z.dtype)
        return z, Slots(rope, teeth)

    def inputs(self, x: Tensor) -> Tensor:
        """Embedding of what each slot's tooth has revealed before it. x: int64 [B, m, S] -> [B, m, S, d]."""
        reach = max([1, *(n for n, _ in self.config.ngrams)])
        padded = F.pad(x, (reach, 0), value=self.config.symbols)
        history = torch.stack([padded[..., k : k + x.shape[-1]] for k in range(reach)], -1)  # [B, m, S, reach]
        z: Tensor = self.embed(history[..., -1])
        parts = [t(ngram_hash(history, n, b)) for t, (n, b) in zip(self.ngram, self.config.ngrams, strict=True)]
        return z + torch.cat(parts, -1) if parts else z


def step_mask(length: int, teeth: int, span: int, device: torch.device) -> Tensor:
    """Mask [L, L], true where slot a (row) may read slot b (column): step(a) - span < step(b) <= step(a).

    Slots are in step-major order.
    """
    step = torch.arange(length, device=device) // teeth
    back = step[:, None] - step[None, :]
    return (back >= 0) & (back < span)
