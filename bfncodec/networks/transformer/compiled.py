"""The loops of :mod:`bfncodec.networks.transformer.exact`, for windows of one tooth.

Some rows, slots of some windows, go through the network together, so that what they make stays in the processor's
caches. Keys are kept as the panels of a matrix whose columns are the slots of a ring, values as rows of which some lie
beside each other: see :mod:`bfncodec.networks.kernels`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.coding import tables
from bfncodec.networks.kernels import COLUMNS, Kernel, fastest, key_scores, store, weighted_sum
from bfncodec.networks.products import (
    MOST,
    Linear,
    finish,
    linear_of,
    most_of,
    multiply,
    quantise,
    quantise_rms_norm,
)
from bfncodec.networks.transformer.exact import WEIGHT_TOTAL, ExactBlock, ExactTransformer
from bfncodec.networks.transformer.model import HASH_MULTIPLIER
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import compiled

TOGETHER = 24  # rows that go through the network at once
TOTAL = np.float32(WEIGHT_TOTAL)
NONE = np.float32(0)
STEPS = np.float32(tables.LOG2_E * tables.EXP2_STEPS)


class Embedding(NamedTuple):
    """The symbol before and the n-gram tables, one behind the other."""

    rows: NDArray[np.int8]
    scale: Floats32
    tables: NDArray[np.int8]  # [rows of all tables, width / orders]
    table_scale: Floats32
    orders: Ints
    bits: Ints
    first: Ints


class Layer(NamedTuple):
    """An `ExactBlock`."""

    qkv: Linear
    out: Linear
    up: Linear
    down: Linear
    key_scale: Floats32  # [H]
    value_steps: Floats32  # [H]
    value: Floats32  # [H]
    exp2: Ints32


class Weights(NamedTuple):
    """An `ExactTransformer`."""

    embedding: Embedding
    layers: tuple[Layer, ...]
    head: Linear
    near: Floats32  # rotations, see `transformer.rotations`
    far: Floats32
    exp2: Ints32


class Ring(NamedTuple):
    """Keys and values of the latest slots of each window, S of them, in blocks of COLUMNS. Keys are int8, or uint8 and
    128 more; C is hd and what fills its last COLUMNS; values of some slots lie beside each other.
    """

    keys: Array  # [B, H, S / COLUMNS, hd / group, COLUMNS, group]
    key_scale: Floats32  # [B, H, S]
    values: NDArray[np.int8]  # [B, H, S / group, C, group]
    slots: int  # that are looked at


class Room(NamedTuple):
    """Where rows are worked on."""

    x: Floats32  # [N, d]
    q: Array  # [N, d], as the kernel has it
    unit: Floats32  # [N]
    sums: Ints32  # [N, the most columns]
    y: Floats32  # [N, the most columns]
    hidden: Array  # [N, inner], as the kernel has it
    query: Array  # [1, hd]
    key: NDArray[np.int8]  # [hd]
    turned: Floats32  # [hd]
    score: Ints32  # [1, S]
    weight: Floats32  # [S]
    parts: Bytes  # [2, S], the weights' bytes
    total: Ints32  # [C]


class CompiledTransformer:
    """Weights packed for loops; `start` begins a pass."""

    def __init__(self, network: ExactTransformer, kernel: Kernel | None = None) -> None:
        """kernel: None for the fastest of this processor."""
        self.network = network
        self.kernel = kernel or fastest()
        self.weights = Weights(
            _embedding(network),
            tuple(_layer(block, self.kernel) for block in network.blocks),
            linear_of(network.head, self.kernel),
            network.near.numpy(),
            network.far.numpy(),
            network.exp2.numpy(),
        )

    def start(self, windows: int, teeth: int, steps: int, block: int = 1) -> CompiledTransformerState:
        """Implements `ExactTransformer.start`; teeth must be 1, and any number of steps goes in one call."""
        return CompiledTransformerState(self, windows, steps)


def _embedding(network: ExactTransformer) -> Embedding:
    config, embed, ngrams = network.config, network.embed, network.ngrams
    table = embed if ngrams is None else ngrams.table
    orders, bits = (np.array([pair[k] for pair in config.ngrams], np.int64) for k in range(2))
    return Embedding(
        embed.rows.numpy(),
        embed.scale.view(-1).numpy(),
        table.rows.numpy(),
        table.scale.view(-1).numpy(),
        orders,
        bits,
        np.cumsum(1 << bits) - (1 << bits),
    )


def _layer(block: ExactBlock, kernel: Kernel) -> Layer:
    return Layer(
        linear_of(block.qkv, kernel),
        linear_of(block.out, kernel),
        linear_of(block.up, kernel),
        linear_of(block.down, kernel),
        block.key_scale.reshape(-1).numpy(),
        block.value_steps.reshape(-1).numpy(),
        block.value.reshape(-1).numpy(),
        block.exp2.numpy().astype(np.int32),
    )


class CompiledTransformerState:
    """The same as `exact_transformer.TransformerState`."""

    def __init__(self, compiled: CompiledTransformer, windows: int, steps: int) -> None:
        self.compiled, config = compiled, compiled.network.config
        self.windows, self.steps = windows, steps
        self.reach = max([1, *(n for n, _ in config.ngrams)])
        self.symbols = np.full((windows, self.reach + steps), config.symbols, np.int16)
        self.rings = tuple(_ring(config, windows, min(steps, span), compiled.kernel) for span in config.spans(1))
        self.room = _room(compiled, max(ring.key_scale.shape[2] for ring in self.rings))

    def reveal(self, first: int, symbols: Tensor) -> None:
        """Implements `exact_transformer.TransformerState.reveal`."""
        self.symbols[:, self.reach + first : self.reach + first + symbols.shape[2]] = symbols[:, 0].numpy()

    def predict(self, first: int, last: int) -> Tensor:
        """Implements `exact_transformer.TransformerState.predict`."""
        own, count = self.compiled, last - first
        found = np.empty((self.windows * count, own.network.config.symbols), np.int32)
        _forward(own.weights, self.rings, self.symbols, self.reach, first, count, self.room, found)
        return torch.from_numpy(found).view(self.windows, count, -1)


def _ring(config: Any, windows: int, slots: int, kernel: Kernel) -> Ring:
    heads, width, blocks = config.heads, config.head_width, -(-slots // COLUMNS)
    groups, values = -(-width // kernel.group), kernel.beside
    return Ring(
        np.full((windows, heads, blocks, groups, COLUMNS, kernel.group), kernel.offset, kernel.keys),
        np.zeros((windows, heads, blocks * COLUMNS), np.float32),
        np.zeros((windows, heads, blocks * COLUMNS // values, _filled(width), values), np.int8),
        slots,
    )


def _filled(width: int) -> int:
    return -(-width // COLUMNS) * COLUMNS


def _room(compiled: CompiledTransformer, slots: int) -> Room:
    config, layer, kernel = compiled.network.config, compiled.weights.layers[0], compiled.kernel
    linears = (layer.qkv, layer.out, layer.up, layer.down, compiled.weights.head)
    columns = COLUMNS * max(len(linear.panels) for linear in linears)
    return Room(
        x=np.zeros((TOGETHER, config.width), np.float32),
        q=kernel.buffer(TOGETHER, config.width),
        unit=np.zeros(TOGETHER, np.float32),
        sums=np.zeros((TOGETHER, columns), np.int32),
        y=np.zeros((TOGETHER, columns), np.float32),
        hidden=kernel.buffer(TOGETHER, config.width * config.expansion),
        query=np.zeros((1, -(-config.head_width // kernel.group) * kernel.group), kernel.query),
        key=np.zeros(config.head_width, np.int8),
        turned=np.zeros(config.head_width, np.float32),
        score=np.zeros((1, slots), np.int32),
        weight=np.zeros(slots, np.float32),
        parts=np.zeros((2, slots), np.uint8),
        total=np.zeros(_filled(config.head_width), np.int32),
    )


@compiled
def _forward(weights: Any, rings: Any, symbols: Any, reach: Any, first: Any, count: Any, room: Any, found: Any) -> None:
    """`TransformerState.predict`: all steps of a window, then those of the next, some rows together."""
    for start in range(0, len(found), TOGETHER):
        row = np.arange(start, min(start + TOGETHER, len(found)))
        window, step = row // count, first + row % count
        _embed(weights.embedding, symbols, reach, window, step, room)
        for i in range(len(rings)):
            _advance(weights.layers[i], rings[i], weights.near, weights.far, window, step, room)
        _predict(weights.head, weights.exp2, room, found[start : start + TOGETHER])


@compiled
def _embed(embedding: Any, symbols: Any, reach: Any, window: Any, step: Any, room: Any) -> None:
    """x of some rows: what each has before it."""
    part = embedding.tables.shape[1]
    for n in range(len(step)):
        x, end = room.x[n], step[n] + reach
        row = np.int64(symbols[window[n], end - 1])
        for i in range(len(x)):
            x[i] = np.float32(embedding.rows[row, i]) * embedding.scale[row]
        for o in range(len(embedding.orders)):
            h = np.int64(0)
            for k in range(end - embedding.orders[o], end):
                h = ((h + symbols[window[n], k] + 1) * HASH_MULTIPLIER) & 0xFFFFFFFF
                h ^= h >> 15
            row = ((h * HASH_MULTIPLIER & 0xFFFFFFFF) >> (32 - embedding.bits[o])) + embedding.first[o]
            for i in range(part):
                x[o * part + i] += np.float32(embedding.tables[row, i]) * embedding.table_scale[row]


@compiled
def _advance(layer: Any, ring: Any, near: Any, far: Any, window: Any, step: Any, room: Any) -> None:
    """x of some rows through one layer."""
    rows = len(step)
    for n in range(rows):
        room.unit[n] = quantise_rms_norm(room.x[n], room.q[n])
    multiply(room.q, layer.qkv, room.sums, rows)
    width = room.x.shape[1]
    for n in range(rows):
        y = room.y[n, : 3 * width]
        finish(room.sums[n], room.unit[n], layer.qkv, y)
        _attend(layer, ring, near, far, window[n], step[n], y, room)
        room.unit[n] = quantise(y[:width], room.q[n])
    multiply(room.q, layer.out, room.sums, rows)
    for n in range(rows):
        _add(room.sums[n], room.unit[n], layer.out, room.y[n], room.x[n])
        room.unit[n] = quantise_rms_norm(room.x[n], room.q[n])
    multiply(room.q, layer.up, room.sums, rows)
    for n in range(rows):
        y = room.y[n, : len(layer.up.scale)]
        finish(room.sums[n], room.unit[n], layer.up, y)
        for i in range(len(y)):
            z = max(y[i], NONE)
            y[i] = z * z
        room.unit[n] = quantise(y, room.hidden[n])
    multiply(room.hidden, layer.down, room.sums, rows)
    for n in range(rows):
        _add(room.sums[n], room.unit[n], layer.down, room.y[n], room.x[n])


@compiled
def _add(sums: Any, unit: Any, linear: Any, y: Any, x: Any) -> None:
    finish(sums, unit, linear, y)
    for i in range(len(x)):
        x[i] += y[i]


@compiled
def _attend(layer: Any, ring: Any, near: Any, far: Any, window: Any, step: Any, qkv: Any, room: Any) -> None:
    """Attention of one row, which joins the ring. qkv: float32 [3 d], whose first d are overwritten."""
    heads, width = ring.keys.shape[1], len(room.key)
    place, slots = step % ring.slots, min(step + 1, ring.slots)
    for h in range(heads):
        first, second, third = h * width, (heads + h) * width, (2 * heads + h) * width
        q, k, v = qkv[first : first + width], qkv[second : second + width], qkv[third : third + width]
        _turn(q, near, far, step, room.turned)
        query_unit = quantise_rms_norm(room.turned, room.query[0, :width])
        _turn(k, near, far, step, room.turned)
        ring.key_scale[window, h, place] = quantise_rms_norm(room.turned, room.key) * layer.key_scale[h]
        keys, values = ring.keys[window, h], ring.values[window, h]
        _remember(room.key, v, layer.value_steps[h], place, keys, values)
        key_scores(room.query, keys, -(-slots // COLUMNS), room.score)
        _softmax(room.score[0, :slots], ring.key_scale[window, h], query_unit, layer.exp2, room.weight[:slots])
        weighted_sum(keys, room.weight, values, slots, room.parts, room.total)
        for i in range(width):
            q[i] = np.float32(room.total[i]) * layer.value[h]


@compiled
def _remember(key: Any, value: Any, steps: Any, place: Any, keys: Any, values: Any) -> None:
    """Key and value of a slot join the ring of one head. key: int8 [hd]; value: float32 [hd]."""
    group, beside = keys.shape[3], values.shape[2]
    block, column = keys[place // COLUMNS], place % COLUMNS
    row, part = values[place // beside], place % beside
    for i in range(len(key)):
        store(key[i], block[i // group, column], i % group)
        row[i, part] = np.int8(min(max(np.rint(value[i] * steps), -MOST), MOST))


@compiled
def _turn(x: Any, near: Any, far: Any, step: Any, out: Any) -> None:
    """Rotate by position."""
    half = len(x) // 2
    here, there = step % near.shape[1], step // near.shape[1]
    for i in range(half):
        c, s, cf, sf = near[0, here, i], near[1, here, i], far[0, there, i], far[1, there, i]
        cos, sin = c * cf - s * sf, s * cf + c * sf
        a, b = x[i], x[half + i]
        out[i] = a * cos + b * -sin
        out[half + i] = b * cos + a * sin


@compiled
def _softmax(score: Any, key_scale: Any, unit: Any, exp2: Any, weight: Any) -> None:
    """`exact_transformer._softmax` of one row."""
    for s in range(len(score)):
        weight[s] = np.float32(score[s]) * key_scale[s]
    most, limit, total = most_of(weight), np.float32(len(exp2) - 1), np.int64(0)
    for s in range(len(score)):
        score[s] = np.int32(max(min((most - weight[s]) * unit, limit), NONE))
    for s in range(len(score)):
        e = exp2[score[s]]
        weight[s] = np.float32(e)
        total += e
    factor = TOTAL / np.float32(total)
    for s in range(len(score)):
        weight[s] = np.rint(weight[s] * factor)


@compiled
def _predict(head: Any, exp2: Any, room: Any, weights: Any) -> None:
    """Weights of p_O, int32 [n, symbols], of the rows' x."""
    rows, symbols = weights.shape
    for n in range(rows):
        room.unit[n] = quantise_rms_norm(room.x[n], room.q[n])
    multiply(room.q, head, room.sums, rows)
    limit = np.float32(len(exp2) - 1)
    for n in range(rows):
        logits = room.y[n, :symbols]
        finish(room.sums[n], room.unit[n], head, logits)
        most = most_of(logits)
        for i in range(symbols):
            weights[n, i] = np.int32(max(min(np.rint((most - logits[i]) * STEPS), limit), NONE))
        for i in range(symbols):
            weights[n, i] = exp2[weights[n, i]]
