"""Denoiser of sequences whose symbols are sent one after the other: the trainable network.

Under a staggered schedule (:class:`bfncodec.flow.Staggered`) most symbols around one that is being sent are
either known or not begun; a few are in between. So the network reads three things: the symbols that theta is sure of,
by tables (one of every offset, and n-grams); theta and the sums of the symbols next to it; and where in its period and
in its steps the symbol is. It is asked only for symbols that are being sent. The integer implementation that files are
coded with is in :mod:`bfncodec.networks.sequence.exact`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.flow.schedules.gradual import Staggered
from bfncodec.networks.convnet.model import max_norm
from bfncodec.networks.parallel.model import FEATURE_SCALE, LARGEST, integer
from bfncodec.networks.storage import Export, TrainableNetwork, folded
from bfncodec.networks.transformer.model import ngram_hash

SURE = 65  # units of theta, of 127, from which on a symbol counts as known: more than half, so that there is but one


@dataclass(frozen=True)
class SequenceConfig:
    """Shape of the network and its schedule; stored in a model's config.json.

    shape: of one item, [L]. classes: K. betas: accuracy spent on a symbol before its first step, 0, and after each of
    them. period: symbols from one that begins at step 0 to the next. before, after: symbols on either side that are
    read where known. ngrams: (symbols before, symbols behind, log2 of the rows) of each table.
    """

    kind: str = "discrete"
    shape: tuple[int, ...] = (256,)
    classes: int = 27
    betas: tuple[float, ...] = (0.0, 2.0)
    period: int = 32
    before: int = 24
    after: int = 12
    ngrams: tuple[tuple[int, int, int], ...] = ((3, 0, 15), (4, 0, 17), (5, 0, 17), (6, 0, 17))
    ngram_width: int = 24
    width: int = 224
    hidden: int = 640
    blocks: int = 3

    @property
    def schedule(self) -> Staggered:
        """Schedule by which symbols are sent."""
        return Staggered(self.shape[0], self.period, self.betas)

    @property
    def parameters(self) -> int:
        """Numbers that describe p_O of one symbol."""
        return self.classes

    @property
    def phases(self) -> int:
        """Steps in which a symbol is sent, w."""
        return len(self.betas) - 1

    @property
    def unknown(self) -> int:
        """The symbol that stands for one that theta is not sure of; the next one stands for what is outside."""
        return self.classes

    @property
    def margin(self) -> int:
        """Symbols on either side of an item that offsets may point to."""
        reach = [self.before, self.after, self.phases - 1, *(n for pair in self.ngrams for n in pair[:2])]
        return max(reach)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Positions of the symbols that are read if known, relative to the one that is being sent."""
        return tuple(o for o in range(-self.before, self.after + 1) if o)

    @property
    def near(self) -> tuple[int, ...]:
        """Positions, relative to the symbol that is being sent, of those whose theta and sums are read: they can be
        half known.
        """
        return tuple(range(1 - self.phases, self.phases))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SequenceConfig:
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        given["ngrams"] = tuple((int(a), int(b), int(c)) for a, b, c in given["ngrams"])
        return cls(**given)


@dataclass(frozen=True)
class SentSymbols:
    """Symbols whose p_O is wanted, [A] each: their item, their position in it, and the number of their steps that are
    behind them.
    """

    item: Tensor
    position: Tensor
    phase: Tensor

    def at(self, length: int) -> Tensor:
        """Rows among all symbols of all items of a length."""
        return self.item * length + self.position


def known_symbols(theta: Tensor, config: SequenceConfig) -> Tensor:
    """The symbols theta is sure of, between margins of what is outside. [B, L, K] -> int64 [B, L + 2 margin]"""
    largest, which = theta.max(-1)
    known = torch.where(integer(largest * LARGEST) >= SURE, which, config.unknown)
    return F.pad(known, (config.margin, config.margin), value=config.unknown + 1)


def window_rows(known: Tensor, sent: SentSymbols, config: SequenceConfig) -> Tensor:
    """Rows of the table of known symbols, one for each offset: int64 [A, offsets]"""
    first = torch.arange(len(config.offsets), device=known.device) * (config.classes + 2)
    return around(known, sent, config.offsets, config) + first


def ngram_rows(known: Tensor, sent: SentSymbols, config: SequenceConfig) -> list[Tensor]:
    """Row of each n-gram table: int64 [A] each"""
    rows = []
    for before, after, bits in config.ngrams:
        symbols = around(known, sent, (*range(-before, 0), *range(1, after + 1)), config)
        rows.append(ngram_hash(symbols, before + after, bits))
    return rows


def around(known: Tensor, sent: SentSymbols, offsets: tuple[int, ...], config: SequenceConfig) -> Tensor:
    """Known symbols at some offsets, [A, offsets]. known: see `known_symbols`"""
    row = sent.at(known.shape[1]) + config.margin
    index = row[:, None] + torch.tensor(offsets, device=known.device)
    return known.flatten().index_select(0, index.flatten()).view(index.shape)


def near_features(theta: Tensor, s: Tensor, unit: Tensor, sent: SentSymbols, config: SequenceConfig) -> Tensor:
    """Theta and sums of a symbol and of those next to it as integers, zeros outside: [A, near 2 K]

    theta, s: [B, L, K]; unit: STATE_UNITS over sqrt(1 + beta K) of each symbol, [B, L, 1]
    """
    length = s.shape[1]
    offsets = torch.tensor(config.near, device=s.device)
    position = sent.position[:, None] + offsets
    inside = (position >= 0) & (position < length)
    at = (sent.at(length)[:, None] + offsets * inside).flatten()
    rows = [x.flatten(0, 1).index_select(0, at) for x in (theta, s, unit)]
    features = integer(torch.cat([rows[0] * LARGEST, rows[1] * rows[2]], -1))
    return features.mul_(inside.view(-1, 1)).view(len(position), -1)


class SequenceBlock(nn.Module):
    """A matrix, the gain and bias of the symbol's phase, a rectifier and a matrix, added to what came in."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.out = nn.Linear(config.hidden, config.width)
        nn.init.normal_(self.up.weight, std=3 / config.width**0.5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """Return h and what the block adds. h: [A, width]; gain, bias: [A, hidden]"""
        result: Tensor = h + self.out(F.relu(self.up(max_norm(h)) * (1 + gain) + bias))
        return result


class SequenceDenoiser(TrainableNetwork):
    """Logits of p_O, to which the sums are added, for every symbol that is being sent."""

    export_as = Export(fine=("near", "mix", "head"), by_column=("window", "ngram"))

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.window = nn.Embedding(len(config.offsets) * (config.classes + 2), config.width)
        self.ngram = nn.ModuleList(nn.Embedding(1 << bits, config.ngram_width) for *_, bits in config.ngrams)
        self.mix = nn.Linear(len(config.ngrams) * config.ngram_width, config.width, bias=False)
        self.near = nn.Linear(len(config.near) * 2 * config.classes, config.width, bias=False)
        self.place = nn.Parameter(torch.zeros(config.period, config.width))
        self.blocks = nn.ModuleList(SequenceBlock(config) for _ in range(config.blocks))
        self.phase = nn.Parameter(torch.zeros(config.phases, config.blocks * 2 * config.hidden))
        self.head = nn.Linear(config.width, config.classes)
        nn.init.normal_(self.window.weight, std=0.1)
        for table in self.ngram.parameters():
            nn.init.normal_(table, std=0.05)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def fitted(self, name: str, stored: Tensor) -> Tensor:
        """Adapt a tensor of a network under another schedule: places of the teeth that are shorter, one phase for all,
        nothing of what a symbol shows of itself (before its first step, that is nothing), fewer rows of n-grams.
        """
        if name == "place":
            return stored[: len(self.place)]
        if name == "phase" and len(stored) == 1:
            return stored.expand(len(self.phase), -1)
        if name == "near.weight" and stored.shape[1] != self.near.in_features:
            return torch.zeros_like(self.near.weight)
        return folded(stored, len(self.get_parameter(name))) if name.startswith("ngram.") else stored

    def forward(self, theta: Tensor, s: Tensor, unit: Tensor, sent: SentSymbols) -> Tensor:
        """Return the logits of p_O, float [A, K]. theta, s, unit: see `near_features`."""
        config, known = self.config, known_symbols(theta, self.config)
        h = F.embedding_bag(window_rows(known, sent, config), self.window.weight, mode="sum")
        rows = ngram_rows(known, sent, config)
        h = h + self.mix(torch.cat([table(row) for table, row in zip(self.ngram, rows, strict=True)], -1))
        h = h + self.near(near_features(theta, s, unit, sent, config) / FEATURE_SCALE)
        h = h + F.embedding(sent.position % config.period, self.place)
        settings = F.embedding(sent.phase, self.phase).view(len(h), config.blocks, 2, config.hidden).unbind(1)
        for block, setting in zip(self.blocks, settings, strict=True):
            h = block(h, *setting.unbind(1))
        logits: Tensor = self.head(max_norm(h))
        return logits
