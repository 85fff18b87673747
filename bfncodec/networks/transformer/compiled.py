"""Compiled kernels of the transformer :mod:`bfncodec.networks.transformer.exact`, for windows of one tooth.

Some rows, which are slots of some windows, go through all layers together, so that their vectors stay in the caches of
the processor. The KV cache is laid out for :mod:`bfncodec.networks.kernels`: keys as the panels of a matrix whose
columns are slots, values as rows of which some lie beside each other. All functions equal those of `exact` that they
are named after, to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.networks.kernels import COLUMNS, ProductKernel, fastest, key_scores, store, weighted_sum
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
from bfncodec.networks.transformer.config import HASH_MULTIPLIER
from bfncodec.networks.transformer.weights import WEIGHT_TOTAL, BlockWeights, TransformerWeights
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import compiled, flat

TOGETHER = 24  # rows that go through the network at once
TOTAL = np.float32(WEIGHT_TOTAL)
NONE = np.float32(0)
STEPS = np.float32(tables.LOG2_E * tables.EXP2_STEPS)


class Embedding(NamedTuple):
    """The tables of `TransformerWeights`."""

    rows: NDArray[np.int8]
    scale: Floats32
    tables: NDArray[np.int8]  # [rows of all tables, width / orders], or half as many bytes of two numbers of 4 bits
    levels: NDArray[np.int8]  # that these stand for [16]
    coarse: bool  # whether tables are of 4 bits
    table_scale: Floats32
    orders: Ints  # symbols that are hashed
    bits: Ints  # log2 of the rows of each table
    first: Ints  # row with which each begins


class Layer(NamedTuple):
    """`BlockWeights`, packed."""

    qkv: Linear
    out: Linear
    up: Linear
    down: Linear
    key_scale: Floats32  # [H]
    value_steps: Floats32  # [H]
    value: Floats32  # [H]
    exp2: Ints32


class Weights(NamedTuple):
    """`TransformerWeights`, packed."""

    embedding: Embedding
    layers: tuple[Layer, ...]
    head: Linear
    near: Floats32  # rotations by position, see `model.rotations` [2, positions of a window, hd / 2]
    far: Floats32  # [2, windows, hd / 2]
    exp2: Ints32


class KVCache(NamedTuple):
    """Keys and values of the latest S slots of each window, the latest over the oldest, in blocks of COLUMNS slots.

    C is hd rounded up to COLUMNS; keys have the kernel's dtype, and values of some slots lie beside each other, see
    `ProductKernel`.
    """

    keys: Array  # [B, H, S / COLUMNS, hd / group, COLUMNS, group]
    key_scale: Floats32  # [B, H, S]
    values: NDArray[np.int8]  # [B, H, S / group, C, group]
    slots: int  # that are attended to


class Workspace(NamedTuple):
    """Buffers for N = TOGETHER rows and for the attention of one."""

    window: Ints  # of each row [N]
    step: Ints  # [N]
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
    weight: Floats32  # of attention, integers [S]
    parts: Bytes  # high and low bytes of the weights [2, S]
    total: Ints32  # [C]


class CompiledTransformer:
    """Weights packed for a kernel, None for the fastest of this processor."""

    def __init__(self, weights: TransformerWeights, kernel: ProductKernel | None = None) -> None:
        self.config = weights.config
        self.kernel = kernel or fastest()
        self.weights = Weights(
            _embedding(weights),
            tuple(_layer(block, self.kernel) for block in weights.blocks),
            linear_of(weights.head, self.kernel),
            weights.near,
            weights.far,
            tables.exp2_table(),
        )
        self.flat_weights = flat(self.weights)

    def start(self, windows: int, teeth: int, steps: int, block: int = 1) -> CompiledTransformerState:
        """Implements `ExactTransformer.start` for one tooth; a call of `predict` may be of any number of steps."""
        return CompiledTransformerState(self, windows, steps)


def _embedding(weights: TransformerWeights) -> Embedding:
    ngrams = weights.config.ngrams
    table = weights.embed if weights.ngrams is None else weights.ngrams
    orders, bits = (np.array([pair[k] for pair in ngrams], np.int64) for k in range(2))
    first = np.cumsum(1 << bits) - (1 << bits)
    stored = table.stored.view(np.int8)
    rows, scale = weights.embed.rows, weights.embed.scale
    return Embedding(rows, scale, stored, table.levels, table.coarse, table.scale, orders, bits, first)


def _layer(block: BlockWeights, kernel: ProductKernel) -> Layer:
    return Layer(
        linear_of(block.qkv, kernel),
        linear_of(block.out, kernel),
        linear_of(block.up, kernel),
        linear_of(block.down, kernel),
        block.key_scale,
        block.value_steps,
        block.value,
        block.exp2,
    )


class CompiledTransformerState:
    """The inference state of some windows, as `exact.TransformerState` has it, for kernels."""

    def __init__(self, compiled: CompiledTransformer, windows: int, steps: int) -> None:
        self.compiled, config = compiled, compiled.config
        self.windows, self.steps = windows, steps
        self.reach = max([1, *(n for n, _ in config.ngrams)])
        self.symbols = np.full((windows, self.reach + steps), config.symbols, np.int16)
        self.caches = tuple(_cache(config, windows, min(steps, span), compiled.kernel) for span in config.spans(1))
        self.work = _workspace(compiled, max(cache.key_scale.shape[2] for cache in self.caches))
        self.flat_caches, self.flat_work, self.flat_symbols = flat(self.caches), flat(self.work), flat(self.symbols)

    def reveal(self, first: int, symbols: Bytes) -> None:
        """Implements `exact.TransformerState.reveal`."""
        self.symbols[:, self.reach + first : self.reach + first + symbols.shape[2]] = symbols[:, 0]

    def predict(self, first: int, last: int) -> Ints32:
        """Implements `exact.TransformerState.predict`."""
        own, count = self.compiled, last - first
        found = np.empty((self.windows * count, own.config.symbols), np.int32)
        _forward(own.flat_weights, self.flat_caches, self.flat_symbols, self.reach, first, count, self.flat_work, found)
        return found.reshape(self.windows, count, -1)


def _cache(config: Any, windows: int, slots: int, kernel: ProductKernel) -> KVCache:
    heads, width, blocks = config.heads, config.head_width, -(-slots // COLUMNS)
    groups, values = -(-width // kernel.group), kernel.beside
    return KVCache(
        np.full((windows, heads, blocks, groups, COLUMNS, kernel.group), kernel.offset, kernel.keys),
        np.zeros((windows, heads, blocks * COLUMNS), np.float32),
        np.zeros((windows, heads, blocks * COLUMNS // values, _filled(width), values), np.int8),
        slots,
    )


def _filled(width: int) -> int:
    return -(-width // COLUMNS) * COLUMNS


def _workspace(compiled: CompiledTransformer, slots: int) -> Workspace:
    config, layer, kernel = compiled.config, compiled.weights.layers[0], compiled.kernel
    linears = (layer.qkv, layer.out, layer.up, layer.down, compiled.weights.head)
    columns = COLUMNS * max(len(linear.panels) for linear in linears)
    return Workspace(
        window=np.zeros(TOGETHER, np.int64),
        step=np.zeros(TOGETHER, np.int64),
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
def _forward(
    weights: Weights, caches: Any, symbols: Array, reach: int, first: int, count: int, work: Workspace, found: Ints32
) -> None:
    """`TransformerState.predict`: all steps of a window, then those of the next, some rows together.

    caches: a `KVCache` for every layer; symbols: int16 [windows, reach + steps]; found: int32 [windows count, symbols]
    """
    for start in range(0, len(found), TOGETHER):
        rows = min(TOGETHER, len(found) - start)
        window, step = work.window[:rows], work.step[:rows]
        for n in range(rows):
            window[n], step[n] = (start + n) // count, first + (start + n) % count
        _embed(weights.embedding, symbols, reach, window, step, work)
        for i in range(len(caches)):
            _advance(weights.layers[i], caches[i], weights.near, weights.far, window, step, work)
        _predict(weights.head, weights.exp2, work, found[start : start + TOGETHER])


@compiled
def _embed(embedding: Embedding, symbols: Array, reach: int, window: Ints, step: Ints, work: Workspace) -> None:
    """`TransformerState._embed`, to x. window, step: of each row"""
    part = embedding.tables.shape[1] * (2 if embedding.coarse else 1)
    for n in range(len(step)):
        x, end = work.x[n], step[n] + reach
        row = np.int64(symbols[window[n], end - 1])
        for i in range(len(x)):
            x[i] = np.float32(embedding.rows[row, i]) * embedding.scale[row]
        for o in range(len(embedding.orders)):
            h = np.int64(0)
            for k in range(end - embedding.orders[o], end):
                h = ((h + symbols[window[n], k] + 1) * HASH_MULTIPLIER) & 0xFFFFFFFF
                h ^= h >> 15
            row = ((h * HASH_MULTIPLIER & 0xFFFFFFFF) >> (32 - embedding.bits[o])) + embedding.first[o]
            numbers, scale, target = embedding.tables[row], embedding.table_scale[row], x[o * part : (o + 1) * part]
            if embedding.coarse:
                for i in range(len(numbers)):
                    target[2 * i] += np.float32(embedding.levels[numbers[i] & 15]) * scale
                    target[2 * i + 1] += np.float32(embedding.levels[(numbers[i] >> 4) & 15]) * scale
            else:
                for i in range(part):
                    target[i] += np.float32(numbers[i]) * scale


@compiled
def _advance(
    layer: Layer, cache: KVCache, near: Floats32, far: Floats32, window: Ints, step: Ints, work: Workspace
) -> None:
    """One layer: x of some rows becomes x + attention(x), then x + down(relu(up(x))^2)."""
    rows = len(step)
    for n in range(rows):
        work.unit[n] = quantise_rms_norm(work.x[n], work.q[n])
    multiply(work.q, layer.qkv, work.sums, rows)
    width = work.x.shape[1]
    for n in range(rows):
        y = work.y[n, : 3 * width]
        finish(work.sums[n], work.unit[n], layer.qkv, y)
        _attend(layer, cache, near, far, window[n], step[n], y, work)
        work.unit[n] = quantise(y[:width], work.q[n])
    multiply(work.q, layer.out, work.sums, rows)
    for n in range(rows):
        _add(work.sums[n], work.unit[n], layer.out, work.y[n], work.x[n])
        work.unit[n] = quantise_rms_norm(work.x[n], work.q[n])
    multiply(work.q, layer.up, work.sums, rows)
    for n in range(rows):
        y = work.y[n, : len(layer.up.scale)]
        finish(work.sums[n], work.unit[n], layer.up, y)
        for i in range(len(y)):
            z = max(y[i], NONE)
            y[i] = z * z
        work.unit[n] = quantise(y, work.hidden[n])
    multiply(work.hidden, layer.down, work.sums, rows)
    for n in range(rows):
        _add(work.sums[n], work.unit[n], layer.down, work.y[n], work.x[n])


@compiled
def _add(sums: Ints32, unit: Any, linear: Linear, y: Floats32, x: Floats32) -> None:
    """Finish a row of sums to y and add it to x."""
    finish(sums, unit, linear, y)
    for i in range(len(x)):
        x[i] += y[i]


@compiled
def _attend(
    layer: Layer, cache: KVCache, near: Floats32, far: Floats32, window: Any, step: Any, qkv: Floats32, work: Workspace
) -> None:
    """`TransformerState._attend` of one row, which joins the cache. qkv: [3 d], whose first d become the result."""
    heads, width = cache.keys.shape[1], len(work.key)
    place, slots = step % cache.slots, min(step + 1, cache.slots)
    for h in range(heads):
        first, second, third = h * width, (heads + h) * width, (2 * heads + h) * width
        q, k, v = qkv[first : first + width], qkv[second : second + width], qkv[third : third + width]
        _turn(q, near, far, step, work.turned)
        query_unit = quantise_rms_norm(work.turned, work.query[0, :width])
        _turn(k, near, far, step, work.turned)
        cache.key_scale[window, h, place] = quantise_rms_norm(work.turned, work.key) * layer.key_scale[h]
        keys, values = cache.keys[window, h], cache.values[window, h]
        _remember(work.key, v, layer.value_steps[h], place, keys, values)
        key_scores(work.query, keys, -(-slots // COLUMNS), work.score)
        _softmax(work.score[0, :slots], cache.key_scale[window, h], query_unit, layer.exp2, work.weight[:slots])
        weighted_sum(keys, work.weight, values, slots, work.parts, work.total)
        for i in range(width):
            q[i] = np.float32(work.total[i]) * layer.value[h]


@compiled
def _remember(key: Array, value: Floats32, steps: Any, place: Any, keys: Array, values: Array) -> None:
    """Store key and value of a slot in the cache of one head. key: int8 [hd]; value: [hd]; steps: integers for 1"""
    group, beside = keys.shape[3], values.shape[2]
    block, column = keys[place // COLUMNS], place % COLUMNS
    row, part = values[place // beside], place % beside
    for i in range(len(key)):
        store(key[i], block[i // group, column], i % group)
        row[i, part] = np.int8(min(max(np.rint(value[i] * steps), -MOST), MOST))


@compiled
def _turn(x: Floats32, near: Floats32, far: Floats32, step: Any, out: Floats32) -> None:
    """`exact._turn` of one row and head, [hd]: rotation by position."""
    half = len(x) // 2
    here, there = step % near.shape[1], step // near.shape[1]
    for i in range(half):
        c, s, cf, sf = near[0, here, i], near[1, here, i], far[0, there, i], far[1, there, i]
        cos, sin = c * cf - s * sf, s * cf + c * sf
        a, b = x[i], x[half + i]
        out[i] = a * cos + b * -sin
        out[half + i] = b * cos + a * sin


@compiled
def _softmax(score: Ints32, key_scale: Floats32, unit: Any, exp2: Ints32, weight: Floats32) -> None:
    """`exact._softmax` of one row, [slots], to weight. score: is overwritten; unit: that of the query"""
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
def _predict(head: Linear, exp2: Ints32, work: Workspace, weights: Ints32) -> None:
    """Weights of p_O, [rows, symbols], of the rows' x."""
    rows, symbols = weights.shape
    for n in range(rows):
        work.unit[n] = quantise_rms_norm(work.x[n], work.q[n])
    multiply(work.q, head, work.sums, rows)
    limit = np.float32(len(exp2) - 1)
    for n in range(rows):
        logits = work.y[n, :symbols]
        finish(work.sums[n], work.unit[n], head, logits)
        most = most_of(logits)
        for i in range(symbols):
            weights[n, i] = np.int32(max(min(np.rint((most - logits[i]) * STEPS), limit), NONE))
        for i in range(symbols):
            weights[n, i] = exp2[weights[n, i]]
