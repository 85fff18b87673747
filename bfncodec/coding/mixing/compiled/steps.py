"""Kernels of whole steps: of those whose symbols are known, and of those whose bits are read from a code."""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.bitcoder import NARROW, TOTAL, WORD_BITS, CodeState
from bfncodec.coding.mixing.compiled.contexts import add_up, find_contexts
from bfncodec.coding.mixing.compiled.learning import update
from bfncodec.coding.mixing.compiled.prediction import go_down, predict
from bfncodec.coding.mixing.compiled.workspace import Lookups, Words64, Workspace
from bfncodec.coding.mixing.state import BITS, SYMBOLS, MixerState
from bfncodec.coding.rangecoder import PRECISION
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Bytes, Ints, Ints32, Words
from bfncodec.runtime.jit import compiled

U24, ONE = np.uint64(PRECISION), np.uint64(1)
U_WORD, U_NARROW = np.uint64(WORD_BITS), np.uint64(NARROW)  # of a code


@compiled
def encode(
    state: MixerState,
    lookups: Lookups,
    work: Workspace,
    weight: Ints32,
    streams: Ints,
    symbols: Ints,
    edges: Ints,
    ones: Ints,
) -> None:
    """Take whole steps whose symbols are known, as one call: each call unpacks all arrays of its tuples."""
    for step in range(len(edges) - 1):
        first, last = edges[step], edges[step + 1]
        own = weight[first:last]
        open_step(state, lookups, work, own, streams[first:last])
        for k in range(BITS):
            predict(state, lookups, work, own, streams[first:last], k)
            for j in range(last - first):
                ones[BITS * first + k * (last - first) + j] = work.probability[k, j] << (PRECISION - LOGISTIC_BITS)
                go_down(work, j, (symbols[first + j] >> (BITS - 1 - k)) & 1)
        update(state, lookups, work, streams[first:last], symbols[first:last])


@compiled
def decode(
    state: MixerState,
    lookups: Lookups,
    work: Workspace,
    weight: Ints32,
    streams: Ints,
    code: CodeState,
    symbols: Ints,
) -> bool:
    """Take a whole step whose bits are read from a code. Returns whether an encoder may have written them."""
    find_contexts(state, lookups, work, streams)
    right = read_step(state, lookups, work, weight, streams, code, symbols)
    if right:
        update(state, lookups, work, streams, symbols)
    return bool(right)


@compiled
def begin(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints, known: Ints) -> None:
    """Do what a step can without the network: first learn the symbols of the step before, if they are known, [1]."""
    if known[0]:
        update(state, lookups, work, streams, symbols)
    known[0] = 1
    find_contexts(state, lookups, work, streams)


@compiled
def end(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, symbols: Ints) -> None:
    """Learn the symbols of the last step. Nothing is looked for: that would move matches once more."""
    update(state, lookups, work, streams, symbols)


@compiled
def read_step(
    state: MixerState,
    lookups: Lookups,
    work: Workspace,
    weight: Ints32,
    streams: Ints,
    code: CodeState,
    symbols: Ints,
) -> bool:
    """Read a step whose contexts are found. Returns whether an encoder may have written what it read."""
    add_up(work, weight, len(streams))
    for k in range(BITS):
        predict(state, lookups, work, weight, streams, k)
        for j in range(len(streams)):
            bit = _read_bit(code.words, code.state, work.probability[k, j] << (PRECISION - LOGISTIC_BITS))
            if bit < 0:
                return False
            go_down(work, j, bit)
    for j in range(len(streams)):
        symbols[j] = work.node[j] - SYMBOLS
    return True


@compiled
def keep(found: Ints, symbols: Bytes, step: int) -> None:
    """Write the symbols of a step, [n], to those of all steps, [n, steps]."""
    for j in range(len(found)):
        symbols[j, step] = found[j]


@compiled
def _read_bit(words: Words, state: Words64, ones: Any) -> Any:
    """Return the next bit of a code, as `BitDecoder.decode_rows` of `bits.bit_frequencies` does; -1 for what no
    encoder writes. ones: frequency of a 1
    """
    lower, zeros = state[0], np.uint64(TOTAL - ones)
    scale = state[1] >> U24
    point = state[2] - lower
    if point >= scale << U24:
        return -1
    bit = 1 if point >= scale * (zeros + ONE) else 0
    if bit:
        lower += scale * (zeros + ONE)
    width = scale * ((np.uint64(ones) if bit else zeros) + ONE)
    if not width >> U_NARROW:
        at = np.int64(state[3])
        lower, width = lower << U_WORD, width << U_WORD
        state[2] = (state[2] << U_WORD) | np.uint64(words[at] if at < len(words) else 0)
        state[3] += ONE
    state[0], state[1] = lower, width
    return bit


@compiled
def open_step(state: MixerState, lookups: Lookups, work: Workspace, weight: Ints32, streams: Ints) -> None:
    """Do all that comes before the first bit of a step."""
    add_up(work, weight, len(streams))
    find_contexts(state, lookups, work, streams)
