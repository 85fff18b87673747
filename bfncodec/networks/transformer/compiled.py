"""Compiled kernels of the transformer :mod:`bfncodec.networks.transformer.exact`, for windows of one tooth.

Some rows, which are slots of some windows, go through all layers together, so that their vectors stay in the caches of
the processor; those that follow each other in one window attend together, so that its keys and values are read once for
several rows. The KV cache is laid out for :mod:`bfncodec.networks.kernels`: keys as the panels of a matrix whose
columns are slots, values as rows of which some lie beside each other. All functions equal those of `exact` that they
are named after, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding import tables
from bfncodec.networks.exponentials import Exponentials, exponentials
from bfncodec.networks.kernels import (
    COLUMNS,
    DEPTH,
    LEAST_ROWS,
    TILE,
    TILE_ROWS,
    ProductKernel,
    ask,
    fastest,
    insert,
    key_scores,
    rotate,
    scores_in_tiles,
    side_by_side,
    soft_weights,
    sums_in_tiles,
    weighted_sums,
    write_scaled,
)
from bfncodec.networks.products import (
    MOST,
    Linear,
    add_rms_norm,
    beside_each_other,
    finish_rows,
    linear_of,
    multiply,
    quantise_rms_norm,
    quantise_rows,
    rms_norm_rows,
    rms_unit,
    square_norm,
    weights_of_logits,
)
from bfncodec.networks.transformer.config import HASH_MULTIPLIER
from bfncodec.networks.transformer.weights import BlockWeights, TransformerWeights
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints, Ints32
from bfncodec.runtime.jit import Prepared, compiled, flat, inlined
from bfncodec.runtime.lines import aligned

SOON = 16  # lines of keys that are asked for at a time: more would have to wait for these
RUN = 24  # rows of one window that attend together: more would read more of what the others see
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
    exp2: Exponentials


class Weights(NamedTuple):
    """`TransformerWeights`, packed."""

    embedding: Embedding
    layers: tuple[Layer, ...]
    head: Linear
    near: Floats32  # rotations by position, see `model.rotations` [2, positions of a window, hd / 2]
    far: Floats32  # [2, windows, hd / 2]
    exp2: Exponentials


class KVCache(NamedTuple):
    """Keys and values of the latest S slots of each window, the latest over the oldest, in blocks of COLUMNS slots.

    C is hd rounded up to COLUMNS; keys have the kernel's dtype, and values of some slots lie beside each other, see
    `ProductKernel`. There are as many slots as rows that attend together see.
    """

    keys: Array  # [B, H, S / COLUMNS, hd / group, COLUMNS, group]
    key_groups: Array  # each group as one number [B, H, S / COLUMNS, hd / group, COLUMNS]
    key_scale: Floats32  # [B, H, S]
    values: NDArray[np.int8]  # [B, H, S / beside, C, beside]
    value_groups: Array  # what lies beside each other as one number [B, H, S / beside, C]
    slots: int  # that are in use
    span: int  # that one row attends to, its own included


class Workspace(NamedTuple):
    """Buffers for the N rows that the kernel has together, and for the attention of n of them."""

    window: Ints  # of each row [N]
    step: Ints  # [N]
    x: Floats32  # [N, d]
    q: Array  # [N, d], as the kernel has it
    unit: Floats32  # [N]
    sums: Ints32  # [N, the most columns]
    y: Floats32  # [N, the most columns]
    hidden: Array  # [N, inner], as the kernel has it
    cos: Floats32  # rotations of each row [N, hd / 2]
    sin: Floats32
    key: Array  # as the kernel has it, [hd]
    key_groups: Array  # each group as one number [hd / group]
    turned: Floats32  # [hd]
    query: Array  # [n, hd]
    query_unit: Floats32  # [n]
    start: Ints32  # of the sums of scores [n, COLUMNS]
    score: Ints32  # [n, S]
    parts: Array  # attention weights, as the kernel has them
    whole: Ints32  # slot of each row that has all the weight, -1 if none has [n]
    halves: Ints32  # what high and low bytes of weights add up to [n, 2, C]
    total: Ints32  # [n, C]
    in_tiles: bool  # whether some rows attend in tile registers


class CompiledTransformer:
    """Weights packed for a kernel, None for the fastest of this processor."""

    def __init__(self, weights: TransformerWeights, kernel: ProductKernel | None = None) -> None:
        self.config = weights.config
        self.kernel = kernel or fastest()
        stored = [linear for block in weights.blocks for linear in (block.qkv, block.out, block.up, block.down)]
        linears = iter(beside_each_other([linear_of(linear, self.kernel) for linear in (*stored, weights.head)]))
        self.weights = Weights(
            _embedding(weights),
            tuple(_layer(block, linears) for block in weights.blocks),
            next(linears),
            weights.near,
            weights.far,
            exponentials(tables.exp2_table()),
        )
        self.flat_weights = flat(self.weights)

    @property
    def work(self) -> int:
        """Multiplications of a symbol whose context is full."""
        linears = [linear for layer in self.weights.layers for linear in (layer.qkv, layer.out, layer.up, layer.down)]
        products = sum(linear.panels.size for linear in (*linears, self.weights.head))
        return products + 2 * self.config.width * sum(self.config.spans(1))

    def start(self, windows: int, teeth: int, steps: int, block: int = 1) -> CompiledTransformerState:
        """Implements `ExactTransformer.start` for one tooth; a call of `predict` may be of any number of steps."""
        return CompiledTransformerState(self, windows, steps, min(block, self.run))

    @property
    def run(self) -> int:
        """Rows of one window that attend together, at most."""
        return TILE if self.kernel.in_tiles(self.config.head_width) else RUN


def _embedding(weights: TransformerWeights) -> Embedding:
    ngrams = weights.config.ngrams
    table = weights.embed if weights.ngrams is None else weights.ngrams
    orders, bits = (np.array([pair[k] for pair in ngrams], np.int64) for k in range(2))
    first = np.cumsum(1 << bits) - (1 << bits)
    stored = table.stored.view(np.int8)
    rows, scale = weights.embed.rows, weights.embed.scale
    return Embedding(rows, scale, stored, table.levels, table.coarse, table.scale, orders, bits, first)


def _layer(block: BlockWeights, linears: Iterator[Linear]) -> Layer:
    qkv, out, up, down = (next(linears) for _ in range(4))
    return Layer(qkv, out, up, down, block.key_scale, block.value_steps, block.value, exponentials(block.exp2))


class CompiledTransformerState:
    """The inference state of some windows, as `exact.TransformerState` has it, for kernels.

    run: rows of one window that attend together, at most.
    """

    def __init__(self, compiled: CompiledTransformer, windows: int, steps: int, run: int) -> None:
        self.compiled, config = compiled, compiled.config
        self.windows, self.steps, self.run = windows, steps, run
        self.reach = max([1, *(n for n, _ in config.ngrams)])
        self.symbols = np.full((windows, self.reach + steps), config.symbols, np.int16)
        self.caches = _caches(config, windows, steps, run, compiled.kernel)
        self.work = _workspace(compiled, max(cache.key_scale.shape[2] for cache in self.caches))
        self.flat_caches, self.flat_work, self.flat_symbols = flat(self.caches), flat(self.work), flat(self.symbols)
        self.flat_reach, self.flat_run = flat(self.reach), flat(run)

    def reveal(self, first: int, symbols: Bytes) -> None:
        """Implements `exact.TransformerState.reveal`."""
        self.symbols[:, self.reach + first : self.reach + first + symbols.shape[2]] = symbols[:, 0]

    def predict(self, first: int, last: int) -> Ints32:
        """Implements `exact.TransformerState.predict`."""
        own, count = self.compiled, last - first
        found = np.empty((self.windows * count, own.config.symbols), np.int32)
        rows = (self.flat_reach, first, count, self.flat_run)
        _forward(own.flat_weights, self.flat_caches, self.flat_symbols, *rows, self.flat_work, found)
        return found.reshape(self.windows, count, -1)

    def prepare(self, symbols: Bytes, found: Ints32) -> list[Prepared]:
        """Return the calls that reveal the step before one, if there is one, and predict it. Its number differs.

        symbols: of all steps, uint8 [windows, steps]; found: p_O, int32 [windows, symbols]. Both are read and written
        at each call.
        """
        own, rows = self.compiled, (self.flat_reach, 0, 1, self.flat_run)
        return [
            _reveal.prepare(symbols, self.flat_symbols, self.flat_reach, 0, turn=3),
            _forward.prepare(
                own.flat_weights, self.flat_caches, self.flat_symbols, *rows, self.flat_work, found, turn=4
            ),
        ]


def _caches(config: Any, windows: int, steps: int, run: int, kernel: ProductKernel) -> tuple[KVCache, ...]:
    """Return the caches of all layers. run: rows that attend together"""
    slots = [min(steps, span + run - 1) for span in config.spans(1)]
    heads, width, values = config.heads, config.head_width, kernel.beside
    kinds: list[tuple[tuple[int, ...], Any]] = []
    step = DEPTH // COLUMNS if kernel.in_tiles(width) else 1
    for blocks in (-(-count // (COLUMNS * step)) * step for count in slots):
        kinds += [
            ((windows, heads, blocks, -(-width // kernel.group), COLUMNS, kernel.group), kernel.keys),
            ((windows, heads, blocks * COLUMNS), np.float32),
            ((windows, heads, blocks * COLUMNS // values, _filled(width), values), np.int8),
        ]
    found, caches = iter(side_by_side(kinds)), []
    for count, span in zip(slots, config.spans(1), strict=True):
        keys, scale, beside = (next(found) for _ in range(3))
        keys[:] = kernel.offset
        caches.append(KVCache(keys, _groups(keys), scale, beside, _groups(beside), count, span))
    return tuple(caches)


def _groups(x: Array) -> Array:
    """Return the last axis of bytes as one integer each."""
    return x.view(f"i{x.shape[-1]}")[..., 0]


def _filled(width: int) -> int:
    return -(-width // COLUMNS) * COLUMNS


def _workspace(compiled: CompiledTransformer, slots: int) -> Workspace:
    config, layer, kernel = compiled.config, compiled.weights.layers[0], compiled.kernel
    linears = (layer.qkv, layer.out, layer.up, layer.down, compiled.weights.head)
    columns, together = COLUMNS * max(len(linear.panels) for linear in linears), kernel.together
    rows = TILE if kernel.in_tiles(config.head_width) else TILE_ROWS
    parts = kernel.parts(rows, slots)
    key = np.full((-(-config.head_width // kernel.group), kernel.group), kernel.offset, kernel.keys)
    return Workspace(
        window=np.zeros(together, np.int64),
        step=np.zeros(together, np.int64),
        x=np.zeros((together, config.width), np.float32),
        q=kernel.buffer(together, config.width),
        unit=np.zeros(together, np.float32),
        sums=aligned((together, columns), np.int32),
        y=np.zeros((together, columns), np.float32),
        hidden=kernel.buffer(together, config.width * config.expansion),
        cos=np.zeros((together, config.head_width // 2), np.float32),
        sin=np.zeros((together, config.head_width // 2), np.float32),
        key=key.reshape(-1)[: config.head_width],
        key_groups=_groups(key),
        turned=np.zeros(config.head_width, np.float32),
        query=np.zeros((rows, -(-config.head_width // kernel.group) * kernel.group), kernel.query),
        query_unit=np.zeros(rows, np.float32),
        start=np.zeros((rows, COLUMNS), np.int32),
        score=aligned((rows, parts.shape[2]), np.int32),
        parts=parts,
        whole=np.zeros(rows, np.int32),
        halves=aligned((rows, 2, _filled(config.head_width)), np.int32),
        total=aligned((rows, _filled(config.head_width)), np.int32),
        in_tiles=kernel.in_tiles(config.head_width),
    )


@compiled
def _reveal(symbols: Bytes, known: Array, reach: int, step: int) -> None:
    """`TransformerState.reveal` of the step before one. symbols: [windows, steps]; known: [windows, reach + steps]"""
    if step > 0:
        for n in range(len(known)):
            known[n, reach + step - 1] = symbols[n, step - 1]


@compiled
def _forward(
    weights: Weights,
    caches: Any,
    symbols: Array,
    reach: int,
    first: int,
    count: int,
    run: int,
    work: Workspace,
    found: Ints32,
) -> None:
    """`TransformerState.predict`: all steps of a window, then those of the next, some rows together.

    caches: a `KVCache` for every layer; symbols: int16 [windows, reach + steps]; run: rows of a window that attend
    together at most; found: int32 [windows count, symbols]
    """
    together = len(work.unit)
    for start in range(0, len(found), together):
        rows = min(together, len(found) - start)
        window, step = work.window[:rows], work.step[:rows]
        for n in range(rows):
            window[n], step[n] = (start + n) // count, first + (start + n) % count
        _embed(weights.embedding, symbols, reach, window, step, work)
        _rotations(weights.near, weights.far, step, work)
        rms_norm_rows(work.x, work.q, work.unit, rows)
        for i in range(len(caches)):
            _advance(weights.layers[i], caches[i], window, step, run, work)
        _predict(weights.head, weights.exp2, work, found[start : start + together])


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
def _rotations(near: Floats32, far: Floats32, step: Ints, work: Workspace) -> None:
    """Rotations by the positions of all rows, as `model.rotations` has them."""
    for n in range(len(step)):
        here, there = step[n] % near.shape[1], step[n] // near.shape[1]
        for i in range(near.shape[2]):
            c, s, cf, sf = near[0, here, i], near[1, here, i], far[0, there, i], far[1, there, i]
            work.cos[n, i], work.sin[n, i] = c * cf - s * sf, s * cf + c * sf


@compiled
def _advance(layer: Layer, cache: KVCache, window: Ints, step: Ints, run: int, work: Workspace) -> None:
    """One layer: x of some rows becomes x + attention(x), then x + down(relu(up(x))^2). q, unit: x, normed."""
    rows, width = len(step), work.x.shape[1]
    multiply(work.q, layer.qkv, work.sums, rows)
    finish_rows(work.sums, work.unit, layer.qkv, work.y, rows)
    n = 0
    while n < rows:
        last = n + 1
        while last < rows and last - n < run and window[last] == window[n]:
            last += 1
        _attend(layer, cache, window[n], step[n], n, last, work)
        n = last
    quantise_rows(work.y, work.q, work.unit, rows, width)
    multiply(work.q, layer.out, work.sums, rows)
    add_rms_norm(work.sums, work.unit, layer.out, work.x, work.q, work.unit, rows)
    multiply(work.q, layer.up, work.sums, rows)
    square_norm(work.sums, work.unit, layer.up, work.y, work.hidden, work.unit, rows)
    multiply(work.hidden, layer.down, work.sums, rows)
    add_rms_norm(work.sums, work.unit, layer.down, work.x, work.q, work.unit, rows)


@compiled
def _attend(layer: Layer, cache: KVCache, window: Any, step: Any, first: Any, last: Any, work: Workspace) -> None:
    """`TransformerState._attend` of the rows [first, last), steps of one window from `step` on, which join the cache.

    work.y: their queries, keys and values; the queries become the result.
    """
    blocks = -(-min(step + last - first, cache.slots) // COLUMNS)
    for h in range(cache.keys.shape[1]):
        ask(cache.keys[window, h], 0, SOON)
        for n in range(first, last):
            _remember(layer, cache, window, step + n - first, h, n, work)
        ask(cache.keys[window, h], SOON, SOON)
        for n in range(first, last, len(work.query)):
            end = min(n + len(work.query), last)
            if work.in_tiles and end - n >= LEAST_ROWS:
                _attend_in_tiles(layer, cache, window, step + n - first, h, n, end, blocks, work)
            else:
                _attend_some(layer, cache, window, step + n - first, h, n, end, blocks, work)


@inlined
def _attend_some(
    layer: Layer, cache: KVCache, window: Any, step: Any, h: Any, first: Any, last: Any, blocks: Any, work: Workspace
) -> None:
    """One head of some rows, whose keys and values are in the cache. blocks: of the cache, to be read"""
    rows, values = last - first, cache.values[window, h]
    _turn_queries(h, first, rows, work)
    key_scores(work.query, rows, cache.keys[window, h], blocks, work.start, work.score)
    for n in range(rows):
        seen = ((step + n) % cache.slots, cache.slots, min(step + n + 1, cache.span))
        unit, scale = work.query_unit[n], cache.key_scale[window, h]
        work.whole[n] = soft_weights(work.score, n, blocks, scale, unit, seen, layer.exp2, work.parts, values)
    weighted_sums(work.parts, work.whole, values, rows, blocks * COLUMNS, work.total)
    _write_result(layer, h, first, rows, work)


@inlined
def _attend_in_tiles(
    layer: Layer, cache: KVCache, window: Any, step: Any, h: Any, first: Any, last: Any, blocks: Any, work: Workspace
) -> None:
    """`_attend_some` in tile registers. What they read of the cache stays near: nothing is asked for before."""
    rows, values = last - first, cache.values[window, h]
    _turn_queries(h, first, rows, work)
    scores_in_tiles(work.query, rows, cache.keys[window, h], blocks, work.start, work.score)
    for n in range(rows):
        seen = ((step + n) % cache.slots, cache.slots, min(step + n + 1, cache.span))
        unit, scale = work.query_unit[n], cache.key_scale[window, h]
        work.whole[n] = soft_weights(work.score, n, blocks, scale, unit, seen, layer.exp2, work.parts, None)
    sums_in_tiles(work.parts, work.whole, values, rows, blocks * COLUMNS, work.halves, work.total)
    _write_result(layer, h, first, rows, work)


@inlined
def _turn_queries(h: Any, first: Any, rows: Any, work: Workspace) -> None:
    """Rotate and norm the queries of one head and some rows."""
    width = len(work.key)
    for n in range(rows):
        query, cos, sin = work.y[first + n, h * width : (h + 1) * width], work.cos[first + n], work.sin[first + n]
        work.query_unit[n] = _rotate_and_norm(query, cos, sin, work.turned, work.query[n, :width])


@inlined
def _write_result(layer: Layer, h: Any, first: Any, rows: Any, work: Workspace) -> None:
    """Write the sums of values of one head and some rows over their queries."""
    width = len(work.key)
    for n in range(rows):
        result = work.y[first + n, h * width : (h + 1) * width]
        write_scaled(work.total, n, layer.value[h], result)
        for i in range(width // COLUMNS * COLUMNS, width):
            result[i] = np.float32(work.total[n, i]) * layer.value[h]


@inlined
def _remember(layer: Layer, cache: KVCache, window: Any, step: Any, h: Any, n: Any, work: Workspace) -> None:
    """Store key and value of a row in the cache of one head."""
    heads, width, place = cache.keys.shape[1], len(work.key), step % cache.slots
    k, v = (heads + h) * width, (2 * heads + h) * width
    unit = _rotate_and_norm(work.y[n, k : k + width], work.cos[n], work.sin[n], work.turned, work.key)
    cache.key_scale[window, h, place] = unit * layer.key_scale[h]
    block, column = cache.key_groups[window, h, place // COLUMNS], place % COLUMNS
    for i in range(len(work.key_groups)):
        block[i, column] = work.key_groups[i]
    beside, steps, value = cache.values.shape[4], layer.value_steps[h], work.y[n, v : v + width]
    row, own = cache.value_groups[window, h, place // beside], place % beside
    insert(value, steps, row, own)
    others = ~(0xFF << 8 * own)
    for i in range(width // COLUMNS * COLUMNS, width):
        number = np.int32(min(max(np.rint(value[i] * steps), -MOST), MOST))
        row[i] = (row[i] & others) | ((number & 0xFF) << 8 * own)


@inlined
def _rotate_and_norm(x: Floats32, cos: Floats32, sin: Floats32, turned: Floats32, q: Array) -> Any:
    """`exact._turn` of one row and head, [hd], and its norm in integers. Returns the value of one unit."""
    if len(cos) % COLUMNS == 0:
        unit = rms_unit(rotate(x, cos, sin, turned, q), len(q))
    else:
        _turn(x, cos, sin, turned)
        unit = quantise_rms_norm(turned, q)
    return unit


@inlined
def _turn(x: Floats32, cos: Floats32, sin: Floats32, out: Floats32) -> None:
    """`exact._turn` of one row and head, [hd]: rotation by position."""
    half = len(x) // 2
    for i in range(half):
        a, b = x[i], x[half + i]
        out[i] = a * cos[i] + b * -sin[i]
        out[half + i] = b * cos[i] + a * sin[i]


@compiled
def _predict(head: Linear, exp2: Exponentials, work: Workspace, weights: Ints32) -> None:
    """Weights of p_O, [rows, symbols], of the rows' x, of which q and unit are normed."""
    rows = len(weights)
    multiply(work.q, head, work.sums, rows)
    finish_rows(work.sums, work.unit, head, work.y, rows)
    weights_of_logits(work.y, STEPS, exp2, weights, rows)
