"""The weights of the transformer as NumPy arrays, from which both integer implementations are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bfncodec.coding import tables
from bfncodec.networks.stored import (
    LARGEST,
    WEIGHT_TOTAL,
    LinearWeights,
    Shapes,
    TableWeights,
    Tensors,
    check_shapes,
    coarse_shapes,
    floats,
    linear_shapes,
)
from bfncodec.networks.transformer.config import COARSE, FAR, TransformerConfig
from bfncodec.runtime.arrays import Floats32, Ints32

SUM_BITS = 24  # sums of exponentials stay below 2^24, where float32 adds integers exactly
ROPE_UNITS = 1 << 14  # of stored cosines and sines


def stored_shapes(config: TransformerConfig) -> Shapes:
    """Names and shapes of the tensors a model of this shape is made of."""
    d, inner = config.width, config.expansion * config.width
    shapes = linear_shapes("embed", config.symbols + 1, d, bias=False) | linear_shapes("head", config.symbols, d)
    for i, (_, bits) in enumerate(config.ngrams):
        name, rows, columns = f"ngram.{i}", 1 << bits, d // len(config.ngrams)
        coarse = config.ngram_bits == COARSE
        shapes |= coarse_shapes(name, rows, columns) if coarse else linear_shapes(name, rows, columns, bias=False)
    for i in range(config.layers):
        for part, outputs, inputs in (("qkv", 3 * d, d), ("out", d, d), ("up", inner, d), ("down", d, inner)):
            shapes |= linear_shapes(f"blocks.{i}.{part}", outputs, inputs, bias=False)
        shapes[f"blocks.{i}.gain"] = (config.heads,)
    half = config.head_width // 2
    tables = {"rope": (2, config.window, half), "far": (2, FAR, half), "value_cap": (config.layers, config.heads)}
    return shapes | tables


@dataclass(frozen=True)
class BlockWeights:
    """Weights of one layer."""

    qkv: LinearWeights
    out: LinearWeights
    up: LinearWeights
    down: LinearWeights
    key_scale: Floats32  # [H], steps of the table of exponentials for one unit of each head's logits
    value_steps: Floats32  # [H], integers for a value of 1
    value: Floats32  # [H], what one unit of weight times value is worth
    exp2: Ints32  # the table of exponentials for attention


@dataclass(frozen=True)
class TransformerWeights:
    """All that is stored of a transformer. ngrams: the tables of all orders behind each other, None if there are none;
    near, far: rotations by position (`model.rotations`), float32 [2, positions, hd / 2].
    """

    config: TransformerConfig
    embed: TableWeights
    ngrams: TableWeights | None
    blocks: tuple[BlockWeights, ...]
    head: LinearWeights
    near: Floats32
    far: Floats32

    @classmethod
    def of(cls, config: TransformerConfig, tensors: Tensors) -> TransformerWeights:
        """Return what the stored tensors hold. Raises ValueError where they do not fit the configuration."""
        check_shapes(tensors, stored_shapes(config))
        ngrams = [f"ngram.{i}" for i in range(len(config.ngrams))]
        near, far = (tensors[name].astype(np.float32) / np.float32(ROPE_UNITS) for name in ("rope", "far"))
        return cls(
            config,
            TableWeights.of(tensors, ["embed"]),
            TableWeights.of(tensors, ngrams) if ngrams else None,
            tuple(_block(config, tensors, i) for i in range(config.layers)),
            LinearWeights.of(tensors, "head"),
            near,
            far,
        )


def _block(config: TransformerConfig, tensors: Tensors, i: int) -> BlockWeights:
    name = f"blocks.{i}"
    qkv, out, up, down = (LinearWeights.of(tensors, f"{name}.{part}") for part in ("qkv", "out", "up", "down"))
    gain, cap = floats(tensors, f"{name}.gain"), floats(tensors, "value_cap")[i]
    key_scale = gain * np.float32(tables.LOG2_E * tables.EXP2_STEPS / config.head_width)
    value = cap / np.float32(LARGEST * WEIGHT_TOTAL)
    steps = np.float32(1) / cap * np.float32(LARGEST)  # two roundings: this is how torch divides a number by a tensor
    # As many bits as sums over the slots that are attended to may have; what is masked weighs 0.
    drop = max(0, tables.EXP2_BITS - SUM_BITS + (config.spans(1)[i] - 1).bit_length())
    exp2 = (tables.exp2_table() + (1 << drop >> 1)) >> drop
    return BlockWeights(qkv, out, up, down, key_scale, steps, value, exp2)
