"""The integer implementation of :class:`bfncodec.networks.sequence.model.SequenceDenoiser`: the same numbers on every
machine.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.networks.exact import ExactLinear, Quantiser
from bfncodec.networks.parallel.exact import softmax_weights
from bfncodec.networks.parallel.model import FEATURE_SCALE, STATE_UNITS
from bfncodec.networks.sequence.model import (
    SentSymbols,
    SequenceConfig,
    known_symbols,
    near_features,
    ngram_rows,
    window_rows,
)
from bfncodec.networks.stored import LARGEST, Shapes, linear_shapes


def stored_shapes(config: SequenceConfig) -> Shapes:
    """Names and shapes of the tensors a model of this shape is made of."""
    known = len(config.offsets) * (config.classes + 2)
    shapes: Shapes = {"window.q": (known, config.width), "window.s": (config.width,)}
    for i, (*_, bits) in enumerate(config.ngrams):
        shapes |= {f"ngram.{i}.q": (1 << bits, config.ngram_width), f"ngram.{i}.s": (config.ngram_width,)}
    grams = len(config.ngrams) * config.ngram_width
    shapes |= linear_shapes("mix", config.width, grams, bias=False, fine=True)
    shapes |= linear_shapes("near", config.width, len(config.near) * 2 * config.classes, bias=False, fine=True)
    for i in range(config.blocks):
        shapes |= linear_shapes(f"blocks.{i}.up", config.hidden, config.width, bias=False)
        shapes |= linear_shapes(f"blocks.{i}.out", config.width, config.hidden)
    shapes |= linear_shapes("head", config.classes, config.width, fine=True)
    phase = (config.phases, config.blocks * 2 * config.hidden)
    return shapes | {"place": (config.period, config.width), "phase": phase}


class ExactSequence:
    """The network's integers on a device."""

    def __init__(self, config: SequenceConfig, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.config, self.device, self.quantise = config, device, Quantiser.on(device)
        unit, count = 1 / LARGEST, range(len(config.ngrams))
        self.window = tensors["window.q"].float().to(device)
        self.window_unit = tensors["window.s"].to(device)
        self.ngrams = [tensors[f"ngram.{i}.q"].to(device) for i in count]
        self.ngram_unit = torch.cat([tensors[f"ngram.{i}.s"] for i in count]).to(device)
        self.mix = ExactLinear.load(tensors, "mix", device)
        self.near = ExactLinear.load(tensors, "near", device, 1 / FEATURE_SCALE)
        self.place = tensors["place"].to(device)
        self.phase = tensors["phase"].view(config.phases, config.blocks, 2, config.hidden).to(device)
        self.ups = [ExactLinear.load(tensors, f"blocks.{i}.up", device, unit) for i in range(config.blocks)]
        self.outs = [ExactLinear.load(tensors, f"blocks.{i}.out", device) for i in range(config.blocks)]
        self.head = ExactLinear.load(tensors, "head", device, unit)
        self.exp2 = torch.from_numpy(tables.exp2_table()).to(device)

    def __call__(self, s: Tensor, i: int) -> Tensor:
        """Logits of p_O but for the sums, of the symbols that step i sends, phase after phase and in each item after
        item. s: sums of samples, float32 [B, L, K] -> float32 [A, K]
        """
        config = self.config
        theta, sent = self.theta(s), symbols_of_step(config, len(s), i, self.device)
        known = known_symbols(theta, config)
        # A sum of less than 2^24 / 127 integers of 8 bits is exact in float32, in whichever order it is made.
        h = F.embedding_bag(window_rows(known, sent, config), self.window, mode="sum").mul_(self.window_unit)
        rows = ngram_rows(known, sent, config)
        grams = torch.cat([table.index_select(0, row) for table, row in zip(self.ngrams, rows, strict=True)], 1)
        h.add_(self.mix(*self.quantise.rows(grams.float().mul_(self.ngram_unit))))
        h.add_(self.near(near_features(theta, s, self._units(i).expand(len(s), -1, -1), sent, config).to(torch.int8)))
        h.add_(self.place.index_select(0, sent.position % config.period))
        settings = self.phase.index_select(0, sent.phase)
        for block, (up, out) in enumerate(zip(self.ups, self.outs, strict=True)):
            z = up(self.quantise.max_norm(h))
            z.mul_(settings[:, block, 0] + 1).add_(settings[:, block, 1]).clamp_min_(0)
            h.add_(out(*self.quantise.rows(z)))
        return self.head(self.quantise.max_norm(h))

    def theta(self, s: Tensor) -> Tensor:
        """softmax(s) over the last dimension by table."""
        weight = softmax_weights(s, self.exp2)
        total = weight.sum(-1, keepdim=True)  # int64: exact
        return weight.float() / total.float()

    def _units(self, i: int) -> Tensor:
        """Scales of the features of each symbol's sums before step i, [L, 1]. Products, quotients and roots of floats
        are correctly rounded.
        """
        units = [STATE_UNITS / math.sqrt(1 + beta * self.config.classes) for beta in self.config.betas]
        phase = self.config.schedule.phase(i)
        return torch.tensor(units, dtype=torch.float32)[torch.from_numpy(phase)].unsqueeze(-1).to(self.device)


@lru_cache(maxsize=256)
def symbols_of_step(config: SequenceConfig, batch: int, i: int, device: torch.device) -> SentSymbols:
    """The symbols that step i sends, phase after phase and in each item after item."""
    schedule, phase = config.schedule, config.schedule.phase(i)
    active = schedule.active(i)
    parts = [active[phase[active] == own] for own in range(config.phases)]
    item = np.concatenate([np.repeat(np.arange(batch), len(part)) for part in parts])
    position = np.concatenate([np.tile(part, batch) for part in parts])
    return SentSymbols(*(torch.from_numpy(a).to(device) for a in (item, position, phase[position])))
