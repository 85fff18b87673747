"""Training of a text model: the erasure sender under comb schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.coding.mixing.state import VERSION
from bfncodec.errors import InputError
from bfncodec.networks.storage import TrainableNetwork
from bfncodec.networks.transformer.config import COARSE, FINE, TransformerConfig
from bfncodec.networks.transformer.model import Transformer
from bfncodec.training.config import Settings, Table, TrainConfig, make
from bfncodec.training.data import TextSource, WindowSampler, load_text
from bfncodec.training.draws import Draws
from bfncodec.training.tasks.base import Task, described_erasure, held_out_names

TEETH_BY_LENGTH = ((0, 1),)
"""(length in bytes, teeth): texts from that length on are coded with so many teeth, of those that a model was trained
for. Files of many streams keep a machine busy without more teeth, and each tooth costs some bits at its beginning
(docs/guide/training.md).
"""
MIXING = {"from_length": 384, "version": VERSION}
"""Texts of `from_length` bytes and more are coded with adaptive contexts besides the network, by this mixer."""
VALIDATION_BATCH = 32  # windows
TABLE_BATCHES = 8  # on which the range of attention values is measured

TextBatch = tuple[Tensor, int]
"""Windows, int64 [B, L], and the teeth of the comb schedule that they are coded with."""


class TextTask(Task[TextBatch]):
    """Random windows of texts, each step under a comb schedule drawn at random from [train] teeth."""

    network: Transformer

    def __init__(self, settings: Settings, device: torch.device) -> None:
        config, train = make(TransformerConfig, settings.network, "network"), settings.train
        check(config, train)
        self.teeth = train.teeth
        self.sampler = window_sampler(settings.data, config.window, train.batch, device)
        self.validation = []
        for table in settings.validation:
            source = make(TextSource, table, "validation")
            windows = WindowSampler([load_text(source.paths)], config.window, VALIDATION_BATCH)(Draws(1))
            self.validation += [(windows, m) for m in train.teeth]
        self.names = [
            f"{name}{f', {m} teeth' if len(train.teeth) > 1 else ''}"
            for name in held_out_names(settings)
            for m in train.teeth
        ]
        self.network = Transformer(config)
        teeth = sorted(set(train.teeth))
        self.config = described_erasure(
            settings,
            teeth=teeth,
            teeth_by_length=[(size, m) for size, m in TEETH_BY_LENGTH if m in teeth] or [(0, teeth[0])],
            streams=asdict(settings.streams),
            mixing=MIXING,
            network=config.to_dict(),
        )

    def sample(self, draws: Draws) -> list[TextBatch]:
        """Draw windows and their teeth."""
        return [(self.sampler(draws), int(draws.host.choice(self.teeth)))]

    def loss(self, network: nn.Module, batch: TextBatch) -> Tensor:
        """Return the mean of -log2 p_O over bytes. The network's logits are in step-major order."""
        x, teeth = batch
        target = x.view(len(x), teeth, -1).transpose(1, 2).flatten()
        return F.cross_entropy(network(x, teeth).flatten(0, 1).float(), target) / math.log(2)

    def tables(self, network: TrainableNetwork) -> Mapping[str, Tensor]:
        """Return the tables of rotations, and how large attention values get."""
        assert isinstance(network, Transformer)
        draws = Draws(2)
        return network.stored_tables((self.sampler(draws), 1) for _ in range(TABLE_BATCHES))


def window_sampler(tables: Sequence[Table], window: int, batch: int, device: torch.device) -> WindowSampler:
    """Make the sampler of [[data]]. Raises InputError where some sources have a share and others none."""
    sources = [make(TextSource, table, "data") for table in tables]
    if len({bool(source.share) for source in sources}) > 1:
        raise InputError("[data] of the training configuration: expected a share of every source, or of none")
    texts = [load_text(source.paths) for source in sources]
    shares = [source.share or len(text) * source.repeat for source, text in zip(sources, texts, strict=True)]
    return WindowSampler(texts, window, batch, shares, at_lines=True, device=device)


def check(config: TransformerConfig, train: TrainConfig) -> None:
    """Refuse shapes that would fail in the middle of a training. Raises InputError."""
    tables = max(1, len(config.ngrams)) * (2 if config.ngram_bits == COARSE else 1)
    parts = math.lcm(2 * config.heads, tables)
    contexts = config.context if isinstance(config.context, tuple) else (config.context,) * config.layers
    problems = {
        f"window = {config.window}: expected 16 or more": config.window < 16,
        f"ngram_bits = {config.ngram_bits!r}: expected {COARSE} or {FINE}": config.ngram_bits not in (COARSE, FINE),
        (
            f"width = {config.width}: expected a multiple of {parts} (twice the heads, and the number of ngrams, or "
            "twice it for 4 bits)"
        ): config.width % parts != 0,
        f"context = {config.context!r}: expected a number of bytes, or one for each of {config.layers} layers": (
            len(contexts) != config.layers or any(not isinstance(context, int) or context < 0 for context in contexts)
        ),
        f"teeth = {list(train.teeth)}: expected divisors of window = {config.window}": any(
            m < 1 or config.window % m for m in train.teeth
        ),
    }
    if found := [text for text, wrong in problems.items() if wrong]:
        raise InputError(f"training configuration: {found[0]}")
