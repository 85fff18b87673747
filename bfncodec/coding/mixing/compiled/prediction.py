"""Kernels of :mod:`bfncodec.coding.mixing.prediction`: network, contexts and matches are asked for one bit of every
stream, their logits mixed and refined; then the bit is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bfncodec.coding.mixing.compiled.workspace import Lookups, Workspace
from bfncodec.coding.mixing.matches import ERRORS, LEVELS, SURE
from bfncodec.coding.mixing.places import PLACE_SETS
from bfncodec.coding.mixing.state import (
    BITS,
    CELL_BITS,
    CELLS,
    CONSTANT,
    FRACTION_BITS,
    LIMIT,
    LOG_2,
    LOG_UNIT,
    PAIR_BITS,
    SHORT_HASH,
    STATES,
    SYMBOLS,
    WEIGHT_BITS,
    MixerState,
)
from bfncodec.runtime.arrays import Ints, Ints32
from bfncodec.runtime.jit import compiled, inlined, written

_find_states = written("bfncodec.coding.mixing.compiled.instructions.prediction", "find_states")
_sum_of = written("bfncodec.coding.mixing.compiled.instructions.contexts", "sum_of")
_weigh = written("bfncodec.coding.mixing.compiled.instructions.prediction", "weigh")

FRACTIONS = (1 << FRACTION_BITS) - 1


@compiled
def predict(state: MixerState, lookups: Lookups, work: Workspace, weight: Ints32, streams: Ints, k: int) -> None:
    """Predict the k-th bit of every stream: stage by stage, so that no stage waits for memory that
    the one before has just written.
    """
    _ask_network(lookups, work, weight, k)
    _ask_contexts(state, lookups, work, len(streams), k)
    _mix(state, lookups, work, streams, k)
    _refine(state, lookups, work, len(streams), k)


@compiled
def _ask_network(lookups: Lookups, work: Workspace, weight: Ints32, k: int) -> None:
    """Set the logits of the network, see `prediction.ask_network`."""
    half = 1 << (BITS - 1 - k)
    for j in range(len(weight)):
        work.upper[j] = _sum_of(weight, j, 2 * half * work.node[j] - SYMBOLS + half, half)
    for j in range(len(weight)):
        work.inputs[k * len(weight) + j, 0] = log_odds(lookups.logarithm, work.upper[j], work.whole[j] - work.upper[j])


@inlined
def log_odds(logarithms: Ints, ones: Any, zeros: Any) -> Any:
    """`state.log_odds`"""
    difference = _logarithm(logarithms, 2 * ones + 1) - _logarithm(logarithms, 2 * zeros + 1)
    return min(max((difference + LOG_UNIT // 2) // LOG_UNIT, -LIMIT), LIMIT)


@inlined
def _logarithm(logarithms: Ints, x: Any) -> Any:
    """`state.logarithm`"""
    digits = np.float64(x).view(np.int64)
    return ((digits >> 52) - 1023) * LOG_2 + logarithms[(digits >> (52 - FRACTION_BITS)) & FRACTIONS]


@compiled
def _ask_contexts(state: MixerState, lookups: Lookups, work: Workspace, streams: int, k: int) -> None:
    """Set the logits of the experts and the constant, and find the longest known contexts of bytes."""
    known, experts = len(state.orders), len(state.salt) + len(work.expected)
    for j in range(streams):
        work.longest[k, j] = _find_states(
            work.symbols, j, work.counts, j, work.state, k * streams + j, known, BITS - k, work.node[j]
        )
    _ask_expected(state, work, streams, k)
    for j in range(streams):
        for o in range(experts):
            work.inputs[k * streams + j, 1 + o] = state.predictions[work.state[k * streams + j, o]]
        work.inputs[k * streams + j, experts + 1] = CONSTANT


@compiled
def _ask_expected(state: MixerState, work: Workspace, streams: int, k: int) -> None:
    """Set the states of what expects a byte, behind those of contexts, and the weight sets of
    `prediction.foreseen_sets`.
    """
    count, kinds = len(state.salt), len(work.expected)
    sets, matched = 1 + 2 * LEVELS * kinds, 2 * LEVELS * len(state.matches.least)
    for j in range(streams):
        chosen = 0
        for kind in range(kinds - 1, -1, -1):
            byte, form, left = work.expected[kind, j], work.form[kind, j], BITS - k
            here = np.int64((byte + SYMBOLS) >> left == work.node[j])  # whether it has the known bits: without a branch
            says = (1 + ((byte >> (left - 1)) & 1)) * here
            work.state[k * streams + j, count + kind] = (count + kind) * STATES + 2 * (form * BITS + k) * here + says
            chosen = chosen * (1 - here) + 2 * (LEVELS * kind + form // ERRORS) * here + says
        first = work.numeral[j]
        sure = 0 < chosen <= matched and ((chosen - 1) >> 1) % LEVELS >= SURE
        if first >= 0 and not sure:
            chosen = sets + first + _next_bit(work.digit[j], BITS - k, work.node[j]) * BITS + k
        work.match[k, j] = chosen


@compiled
def _mix(state: MixerState, lookups: Lookups, work: Workspace, streams: Ints, k: int) -> None:
    """Set the probabilities of the mixture."""
    known = len(state.orders)
    matches = known + 1 + 2 * SYMBOLS + PLACE_SETS + (1 << PAIR_BITS)
    for j in range(len(streams)):
        bias = (((work.two[j] * SYMBOLS + work.node[j]) * SHORT_HASH) & 0xFFFFFFFF) * len(state.bias_two) >> 32
        work.bias[k, j] = bias
        work.sum[j] = state.bias_one[(work.two[j] % SYMBOLS) * SYMBOLS + work.node[j]] + state.bias_two[bias]
    for j in range(len(streams)):
        node, longest = work.node[j], work.longest[k, j]
        place = work.places[j] + _next_bit(work.counterpart[j], BITS - k, node) * BITS + k
        match, row = matches + work.match[k, j], k * len(streams) + j
        x = work.sum[j] + _weigh(
            lookups.weights, longest, known + 1 + node, place, match, work.base, j, work.inputs, row
        )
        x = min(max(x >> WEIGHT_BITS, -LIMIT), LIMIT)
        work.nodes[k, j], work.set[k, j], work.match[k, j], work.sum[j] = node, place, match, x
        work.mixed[k, j] = lookups.logistic[x + LIMIT]


@compiled
def _refine(state: MixerState, lookups: Lookups, work: Workspace, streams: int, k: int) -> None:
    """Refine the probabilities of the mixture, as `prediction.refine` does."""
    finals = (len(state.salt) + len(work.expected)) * STATES
    for j in range(streams):
        x = work.sum[j]
        cell = min((x + LIMIT) >> CELL_BITS, CELLS - 2)
        part = x + LIMIT - (cell << CELL_BITS)
        low = finals + (work.longest[k, j] * SYMBOLS + work.node[j]) * CELLS + cell
        said = (state.predictions[low] * ((1 << CELL_BITS) - part) + state.predictions[low + 1] * part) >> CELL_BITS
        work.final[k, j] = low + (1 if part > 1 << (CELL_BITS - 1) else 0)
        work.probability[k, j] = lookups.logistic[((5 * x + 3 * said) >> 3) + LIMIT]


@inlined
def _next_bit(symbol: Any, left: int, node: Any) -> Any:
    """Return 1 and the bit of a symbol behind a node, 0 if the symbol has other bits before it."""
    if (symbol + SYMBOLS) >> left == node:
        return 1 + ((symbol >> (left - 1)) & 1)
    return np.int64(0)


@compiled
def condition(work: Workspace, bits: Ints) -> None:
    """Go on with the next bits of all streams known."""
    for j in range(len(bits)):
        go_down(work, j, bits[j])


@inlined
def go_down(work: Workspace, j: int, bit: Any) -> None:
    """Go on behind the next bit of a stream."""
    work.node[j] = 2 * work.node[j] + bit
    work.whole[j] = work.upper[j] if bit else work.whole[j] - work.upper[j]
