"""Compiled kernels equal their NumPy and torch equivalents to the bit, whatever the shapes and values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.doubles import noise
from support.mixing import one_hot, reader, rows, state, texts, uniform
from support.pairs import CPU, conv_pair, pixels, symbols, text_pair, text_weights
from support.places import DEMO_FILES

pytest.importorskip("numba")

import bfncodec
from bfncodec.codecs.base import Architecture, Implementations
from bfncodec.codecs.image import ImageCodec
from bfncodec.coding import tables
from bfncodec.coding.bitcoder import BitDecoder, BitEncoder
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.compiled.mixer import CompiledMixer
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.state import CONTEXTS, MACHINE_CONTEXTS, MOST_COUNT, TAG, WAYS, Contexts
from bfncodec.coding.rangecoder import Codes, RangeDecoder
from bfncodec.errors import DamagedError
from bfncodec.networks import acceleration, exact
from bfncodec.networks import kernels as kernels_module
from bfncodec.networks.convnet.compiled import CompiledConvNet
from bfncodec.networks.convnet.config import CODING_ORDER
from bfncodec.networks.exponentials import FRACTION, exponentials
from bfncodec.networks.kernels import (
    BYTES,
    COLUMNS,
    SIMD_LANES,
    SWITCH,
    TILES,
    WORDS,
    ProductKernel,
    available,
    copy_row,
    fastest,
    key_scores,
    multiply_packed,
    rotate,
    scores_in_tiles,
    side_by_side,
    soft_weights,
    sums_in_tiles,
    weighted_sums,
)
from bfncodec.networks.products import (
    add_norm,
    add_rms_norm,
    add_scaled,
    finish,
    finish_columns,
    finish_norm,
    finish_rows,
    linear_of,
    most_of,
    multiply,
    quantise,
    quantise_positive,
    quantise_rms_norm,
    quantise_rows,
    rectify_norm,
    rms_norm_rows,
    square_norm,
    weights_of_logits,
)
from bfncodec.networks.stored import LinearWeights
from bfncodec.networks.transformer.compiled import CompiledTransformer
from bfncodec.runtime.arrays import Array
from bfncodec.runtime.jit import compiled
from bfncodec.runtime.lines import LINE

pytestmark = pytest.mark.slow  # models at work: together they take minutes

Floats = NDArray[np.float32]


# --- products and what goes between them --------------------------------------------------------


KERNELS = available()
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def stored(kernel: ProductKernel, x: NDArray[np.int8]) -> NDArray[Any]:
    """Numbers as a kernel has them, with what the last group lacks."""
    found = kernel.buffer(*x.shape)
    found[:, : x.shape[1]] = x.astype(np.int16) + kernel.offset
    return found


def test_a_processor_with_products_of_bytes_uses_them() -> None:
    assert (BYTES in KERNELS) == (SIMD_LANES > 0)
    assert fastest() is KERNELS[0]


def test_tile_registers_are_used_where_there_are_some_unless_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "never")
    assert available() == tuple(kernel for kernel in KERNELS if kernel is not TILES)
    monkeypatch.setenv(SWITCH, "")
    assert available() == KERNELS
    monkeypatch.setattr(kernels_module, "may_use_tiles", lambda: False)
    assert TILES not in available()


def test_arrays_side_by_side_are_zeros_that_begin_with_lines_of_the_cache_and_share_none() -> None:
    kinds: list[tuple[tuple[int, ...], Any]] = [((3, 5), np.int8), ((0, 2), np.int8), ((2, 2, 2), np.float32)]
    found = side_by_side(kinds)
    assert [(each.shape, each.dtype) for each in found] == [(shape, np.dtype(dtype)) for shape, dtype in kinds]
    assert all(each.ctypes.data % LINE == 0 for each in found)
    for k, each in enumerate(found):
        assert not each.any()
        each[...] = k + 1
    assert [each.flat[0] for each in found if each.size] == [1, 3]


@each_kernel
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(1, 70), st.integers(1, 140), st.integers(1, 90))
@example(0, 1, 1, 1)
@example(1, 13, 1040, 17)
@example(2, 34, 64, 48)  # one tile and two, pairs of panels and one, and rows that are no tile
def test_products_are_exact(kernel: ProductKernel, seed: int, rows: int, inner: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (inner, columns)).astype(np.int8)
    panels, start = kernel.pack(weight)
    a = rng.integers(-127, 128, (rows, inner)).astype(np.int8)
    out = np.full((rows + 1, COLUMNS * len(panels)), 7, np.int32)
    multiply_packed(stored(kernel, a), panels, start, out, rows)
    np.testing.assert_array_equal(out[:rows, :columns], a.astype(np.int64) @ weight)
    assert not out[:rows, columns:].any()
    assert (out[rows:] == 7).all()


@each_kernel
@pytest.mark.parametrize("sign", [-127, 127])
def test_the_largest_sums_do_not_wrap(kernel: ProductKernel, sign: int) -> None:
    inner = 1 << 16
    panels, start = kernel.pack(np.full((inner, 3), -127, np.int8))
    out = np.zeros((7, COLUMNS), np.int32)
    multiply_packed(stored(kernel, np.full((7, inner), sign, np.int8)), panels, start, out, 7)
    assert (out[:, :3] == -127 * sign * inner).all()


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=70))
@example([0.0] * 9)
@example([-0.0, 0.0])
@example([1e-30, -1e-30])
@example([0.5, 1.5, 2.5, 127.0, -126.5])  # ties of rounding
def test_rows_are_quantised_as_they_are_without_kernels(values: list[float]) -> None:
    x = np.array(values, np.float32)
    assert most_of(x) == x.max()
    rows, unit = exact.Quantiser.on(CPU).rows(torch.from_numpy(x[None]))
    normed, size = exact.RmsNorm.of(len(x), CPU)(torch.from_numpy(x[None]))
    for dtype, offset in ((np.int16, 0), (np.int8, 0), (np.uint8, 128)):
        q = np.zeros(len(x), dtype)
        assert quantise(x, q) == unit.item()
        np.testing.assert_array_equal(q.astype(int) - offset, rows[0].numpy())
        assert quantise_rms_norm(x, q) == size.item()
        np.testing.assert_array_equal(q.astype(int) - offset, normed[0].numpy())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.booleans(), st.integers(1, 40))
def test_sums_are_finished_as_they_are_without_kernels(seed: int, fine: bool, bias: bool, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    tensors: dict[str, Array] = {"w.q": rng.integers(-127, 128, (outputs, 24)).astype(np.int8)}
    tensors["w.s"] = rng.random(outputs, np.float32)
    if fine:
        tensors["w.r"] = rng.integers(-127, 128, (outputs, 24)).astype(np.int8)
    if bias:
        tensors["w.b"] = rng.standard_normal(outputs, np.float32)
    weights = LinearWeights.of(tensors, "w")
    linear = exact.ExactLinear.of(weights, CPU)
    x, unit = rng.integers(-127, 128, (5, 24)).astype(np.int8), rng.random((5, 1), np.float32)
    for kernel in KERNELS:
        own = linear_of(weights, kernel)
        sums, y = np.zeros((5, COLUMNS * len(own.panels)), np.int32), np.zeros((5, outputs), np.float32)
        multiply(stored(kernel, x), own, sums, 5)
        for n in range(5):
            finish(sums[n], unit[n, 0], own, y[n])
        np.testing.assert_array_equal(y, linear(torch.from_numpy(x), torch.from_numpy(unit)).numpy())


@each_kernel
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.integers(1, 20), st.integers(1, 40))
@example(0, True, 16, 40)
@example(0, False, 3, 32)
def test_columns_are_finished_as_rows_are(
    kernel: ProductKernel, seed: int, fine: bool, outputs: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (8, outputs * (2 if fine else 1))).astype(np.int8)
    scale, bias, unit = (rng.random(size, np.float32) for size in (outputs, outputs, 40))
    linear = linear_of(LinearWeights(weight, scale, bias), kernel)
    sums = rng.integers(-(1 << 20), 1 << 20, (40, len(linear.start))).astype(np.int32)
    by_rows, columns = np.zeros((rows, outputs), np.float32), np.zeros((outputs + 1, 48), np.float32)
    for n in range(rows):
        finish(sums[n], unit[n], linear, by_rows[n])
    finish_columns(sums, unit, linear, columns, rows)
    np.testing.assert_array_equal(columns[:outputs, :rows].T, by_rows)
    assert not columns[outputs:].any()


@compiled
def copied(source: Any, target: Any, place: Any, count: Any) -> None:
    for n in range(len(source)):
        copy_row(source, n, target, n, place, count)


@each_kernel
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(0, 5), st.integers(0, 5))
@example(0, 16, 0, 0)
@example(0, 37, 3, 2)
def test_rows_are_copied_as_each_array_has_them(
    kernel: ProductKernel, seed: int, count: int, place: int, more: int
) -> None:
    x = np.random.default_rng(seed).integers(-127, 128, (3, count + more)).astype(np.int8)
    left = np.full((4, place + count + more), 9, kernel.dtype)
    copied(x, left, place, count)
    np.testing.assert_array_equal(left[:3, place : place + count].astype(int) - kernel.offset, x[:, :count])
    back = np.zeros((3, count + more), np.int8)
    copied(np.ascontiguousarray(left[:3, place:]), back, 0, count)
    np.testing.assert_array_equal(back[:, :count], x[:, :count])
    for rest in (left[3], left[:3, :place], left[:3, place + count :]):
        assert (rest == 9).all()
    assert not back[:, count:].any()


@each_kernel
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.integers(1, 40), st.integers(1, 5))
@example(0, True, 33, 5)
def test_rows_are_finished_together_as_one_by_one(
    kernel: ProductKernel, seed: int, fine: bool, outputs: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.integers(-127, 128, (8, outputs)).astype(np.int8) for _ in range(2 if fine else 1)]
    scale, bias, unit = (
        rng.random(outputs, np.float32),
        rng.standard_normal(outputs, np.float32),
        rng.random(5, np.float32),
    )
    linear = linear_of(LinearWeights(np.concatenate(parts, 1), scale, bias), kernel)
    sums = rng.integers(-(1 << 20), 1 << 20, (5, len(linear.start))).astype(np.int32)
    before = rng.standard_normal((5, outputs + 3), np.float32)
    changes: dict[Any, Callable[[Any, Any], Any]] = {
        finish_norm: lambda y, old: y,
        rectify_norm: lambda y, old: np.maximum(y, np.float32(0)),
        square_norm: lambda y, old: np.maximum(y, np.float32(0)) ** 2,
        add_norm: lambda y, old: old + y,
        add_rms_norm: lambda y, old: old + y,
    }
    finished = np.zeros((5, outputs), np.float32)
    for n in range(rows):
        finish(sums[n], unit[n], linear, finished[n])
    y = before.copy()
    finish_rows(sums, unit, linear, y, rows)
    np.testing.assert_array_equal(y[:rows, :outputs], finished[:rows])
    np.testing.assert_array_equal(y[rows:], before[rows:])
    for kernel_of_rows, change in changes.items():
        y, q, units = before.copy(), np.full((5, outputs + 3), 9, kernel.dtype), np.zeros(5, np.float32)
        quantiser = quantise
        if kernel_of_rows is add_rms_norm:
            y, quantiser = before[:, :outputs].copy(), quantise_rms_norm
        kernel_of_rows(sums, unit, linear, y, q, units, rows)
        for n in range(rows):
            wanted, row = change(finished[n], before[n, :outputs]), np.zeros(outputs, kernel.dtype)
            assert units[n] == quantiser(wanted, row)
            np.testing.assert_array_equal(y[n, :outputs], wanted)
            np.testing.assert_array_equal(q[n, :outputs], row)
        assert (q[:, outputs:] == 9).all()
        assert (q[rows:] == 9).all()


@each_kernel
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(0, 3), st.sampled_from([0.0, 1e-9, 1.0]))
@example(0, 37, 3, 1.0)
def test_rows_are_quantised_together_as_one_by_one(
    kernel: ProductKernel, seed: int, count: int, more: int, size: float
) -> None:
    x = (np.random.default_rng(seed).standard_normal((4, count + more)) * size).astype(np.float32)
    q, units, row = np.full((4, count + more), 9, kernel.dtype), np.zeros(4, np.float32), np.zeros(count, kernel.dtype)
    quantise_rows(x, q, units, 3, count)
    for n in range(3):
        assert units[n] == quantise(x[n, :count], row)
        np.testing.assert_array_equal(q[n, :count], row)
    assert (q[:, count:] == 9).all()
    x = np.ascontiguousarray(x[:, :count])
    rms_norm_rows(x, q, units, 3)
    for n in range(3):
        assert units[n] == quantise_rms_norm(x[n], row)
        np.testing.assert_array_equal(q[n, :count], row)
    assert (q[:, count:] == 9).all()
    assert (q[3] == 9).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(0, 2), st.sampled_from([0.0, 1.0, 9.0]))
@example(0, 37, 2, 9.0)
def test_weights_of_logits_are_exact(seed: int, symbols: int, more: int, size: float) -> None:
    rng, table, unit = np.random.default_rng(seed), tables.exp2_table(), np.float32(92.3)
    y = (rng.standard_normal((3, symbols + more)) * size).astype(np.float32)
    found, logits = np.full((3, symbols), 9, np.int32), y[:2, :symbols]
    weights_of_logits(y, unit, exponentials(table), found, 2)
    place = np.rint((logits.max(1, keepdims=True) - logits) * unit)
    np.testing.assert_array_equal(found[:2], table[np.minimum(place, len(table) - 1).astype(np.int64)])
    assert (found[2] == 9).all()


@pytest.mark.parametrize("dropped", range(tables.EXP2_BITS + 1))
def test_an_octave_is_the_whole_table_of_exponentials(dropped: int) -> None:
    table = (tables.exp2_table() + (1 << dropped >> 1)) >> dropped
    found, place = exponentials(table), np.arange(len(table))
    octave, half = found.octave[:-1].astype(np.int64), found.octave[-1]
    number = octave[place % tables.EXP2_STEPS] >> place // tables.EXP2_STEPS
    np.testing.assert_array_equal(number + half >> FRACTION, found.table)
    np.testing.assert_array_equal(found.table, table)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(0, 40), st.integers(0, 5))
@example(0, 16, 0)
@example(0, 37, 3)
def test_numbers_are_added_to_a_row_from_a_place_on(seed: int, count: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = rng.standard_normal((3, first + count + 2), np.float32), rng.standard_normal(count, np.float32)
    wanted, factor = y.copy(), np.float32(rng.standard_normal())
    wanted[1, first : first + count] += factor * x
    add_scaled(y, 1, first, factor, x)
    np.testing.assert_array_equal(y, wanted)


@each_kernel
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(0, 5), st.sampled_from([-9.0, 0.0, 9.0]))
@example(0, 16, 0, -9.0)  # none is positive
@example(0, 37, 3, 0.0)
def test_what_is_negative_is_quantised_as_0(
    kernel: ProductKernel, seed: int, count: int, first: int, mean: float
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, first + count + 2), np.float32) + np.float32(mean)
    x[:, first + count :], x[:, :first] = 99, 99
    q, wanted = np.full((3, count + 2), 9, kernel.dtype), np.full((3, count + 2), 9, kernel.dtype)
    unit = quantise(np.maximum(x[1, first : first + count], np.float32(0)), wanted[1, :count])
    assert quantise_positive(x, 1, first, q, count) == unit
    np.testing.assert_array_equal(q, wanted)


@compiled
def sums_of_values(parts: Any, whole: Any, values: Any, rows: Any, count: Any, out: Any) -> None:
    weighted_sums(parts, whole, values, rows, count, out)


@compiled
def weights_of_scores(
    score: Any, row: Any, blocks: Any, scale: Any, unit: Any, seen: Any, exp2: Any, parts: Any, ahead: Any
) -> Any:
    return np.int64(soft_weights(score, row, blocks, scale, unit, seen, exp2, parts, ahead))


@compiled
def weights_of_near_scores(
    score: Any, row: Any, blocks: Any, scale: Any, unit: Any, seen: Any, exp2: Any, parts: Any
) -> Any:
    return np.int64(soft_weights(score, row, blocks, scale, unit, seen, exp2, parts, None))


def beside(x: NDArray[Any], group: int) -> NDArray[Any]:
    """[S, C] as [S / group, C, group]."""
    return np.ascontiguousarray(x.reshape(-1, group, x.shape[1]).transpose(0, 2, 1))


def stored_weights(kernel: ProductKernel, weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights as a kernel has them, and the slot of each row that has 2^16, else -1; for words the first and the last
    one that has 2^15 or more.
    """
    parts, found = kernel.parts(*weight.shape), np.full(len(weight), -1, np.int32)
    if kernel.weights is np.int16:
        parts[:, 0, : weight.shape[1]] = weight & 0xFFFF
        for row, numbers in enumerate(weight):
            much = np.flatnonzero(numbers >= 1 << 15)
            found[row] = much[0] | much[-1] << 16 if len(much) else -1
        return parts, found
    for row, slot in np.argwhere(weight == 1 << 16):
        found[row] = slot
    for part, numbers in enumerate((np.minimum(weight, 0xFFFF) >> 8, np.minimum(weight, 0xFFFF) & 255)):
        parts[:, part, : weight.shape[1]] = numbers
    return parts, found


@each_kernel
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 12), st.integers(1, 7), st.booleans())
@example(0, 4, 12, 7, True)
def test_sums_of_values_are_exact(
    kernel: ProductKernel, seed: int, blocks: int, groups: int, rows: int, alone: bool
) -> None:
    rng, columns, count = np.random.default_rng(seed), COLUMNS * blocks, 4 * groups
    weight = np.full((rows + 1, 48), 7, np.int64)  # what is behind the first is not to count
    weight[:, :count] = rng.multinomial(1 << 16, np.ones(count) / count, rows + 1)
    if alone:  # 2^16 is more than two bytes hold
        weight[0, :count] = 0
        weight[0, rng.integers(count)] = 1 << 16
        weight[1, :count], halves = 0, rng.choice(count, 2, replace=False)
        weight[1, halves] = 1 << 15  # and this is more than words hold
    values = rng.integers(-127, 128, (48, columns)).astype(np.int8)
    out = np.full((rows + 1, columns), 7, np.int32)
    parts, whole = stored_weights(kernel, weight)
    sums_of_values(parts, whole, beside(values, kernel.beside), rows, count, out)
    np.testing.assert_array_equal(out[:rows], weight[:rows, :count] @ values[:count].astype(np.int64))
    assert (out[rows:] == 7).all()


@each_kernel
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 999), st.integers(1, 5), st.integers(1, 80), st.integers(0, 200), st.sampled_from([0.0, 0.01, 3.0])
)
@example(0, 2, 20, 25, 0.01)
@example(1, 1, 1, 0, 3.0)
@example(2, 1, 40, 1, 0.0)  # two have the half each
def test_weights_of_scores_are_exact(
    kernel: ProductKernel, seed: int, more: int, slots: int, step: int, size: float
) -> None:
    """Check a row whose own step has any place in the cache, and which attends to as many slots or fewer."""
    rng, blocks = np.random.default_rng(seed), -(-slots // COLUMNS)
    place, many = step % slots, min(step + 1, max(1, slots - more))
    parts = kernel.parts(3, COLUMNS * blocks)
    score = rng.integers(-500_000, 500_001, (3, parts.shape[2])).astype(np.int32)
    scale = (rng.random(COLUMNS * blocks, np.float32) * np.float32(size)).astype(np.float32)
    unit, exp2 = np.float32(rng.random()), (tables.exp2_table() + 8) >> 4
    s = np.arange(COLUMNS * blocks)
    logit = score[1, : len(s)].astype(np.float32) * scale
    logit = np.where(((place - s) % slots < many) & (s < slots), logit, -np.inf).astype(np.float32)
    power = exp2[np.clip((logit.max() - logit) * unit, 0, len(exp2) - 1).astype(np.int32)]
    wanted = np.rint(power * (np.float32(1 << 16) / np.float32(power.sum()))).astype(np.int64)
    expected, whole = stored_weights(kernel, wanted[None])
    ahead = np.zeros((1, COLUMNS, kernel.beside), np.int8)  # less than is asked for
    row = (scale, unit, (place, slots, many), exponentials(exp2), parts)
    for soft, more_of_row in ((weights_of_scores, (*row, ahead)), (weights_of_near_scores, row)):
        parts[:] = 9
        assert soft(score.copy(), 1, blocks, *more_of_row) == whole[0]
        np.testing.assert_array_equal(parts[1, :, : len(s)], expected[0, :, : len(s)])
        assert (parts[::2] == 9).all()
        if SIMD_LANES == COLUMNS and kernel is not WORDS:  # what may be multiplied, too
            assert not parts[1, :, len(s) :].any()


@compiled
def rotated(x: Any, cos: Any, sin: Any, turned: Any, q: Any) -> Any:
    return np.int64(rotate(x, cos, sin, turned, q))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 4), st.sampled_from([0.0, 1e-9, 1.0, 1e9]))
def test_vectors_are_rotated_and_quantised_exactly(seed: int, blocks: int, size: float) -> None:
    rng, half = np.random.default_rng(seed), COLUMNS * blocks
    x = (rng.standard_normal(2 * half) * size).astype(np.float32)
    cos, sin = (rng.uniform(-1, 1, half).astype(np.float32) for _ in range(2))
    a, b = x[:half], x[half:]
    wanted = np.concatenate([a * cos + b * -sin, b * cos + a * sin])
    for dtype, offset in ((np.int16, 0), (np.int8, 0), (np.uint8, 128)):
        turned, q, row = np.zeros(2 * half, np.float32), np.zeros(2 * half, dtype), np.zeros(2 * half, dtype)
        total = rotated(x, cos, sin, turned, q)
        np.testing.assert_array_equal(turned, wanted)
        quantise(wanted, row)
        np.testing.assert_array_equal(q, row)
        assert total == ((q.astype(int) - offset) ** 2).sum()


@compiled
def scores_of_keys(query: Any, rows: Any, keys: Any, blocks: Any, start: Any, out: Any) -> None:
    key_scores(query, rows, keys, blocks, start, out)


@each_kernel
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 20), st.integers(1, 8))
def test_products_with_keys_are_exact(kernel: ProductKernel, seed: int, blocks: int, groups: int, rows: int) -> None:
    rng, width, slots = np.random.default_rng(seed), kernel.group * groups, COLUMNS * blocks
    query, keys = (rng.integers(-127, 128, (n, width)).astype(np.int8) for n in (rows + 1, slots))
    packed = (keys.astype(np.int16) + kernel.offset).astype(kernel.keys).reshape(blocks, COLUMNS, groups, kernel.group)
    out = np.full((rows + 1, slots), 7, np.int32)
    packed = np.ascontiguousarray(packed.transpose(0, 2, 1, 3))
    scores_of_keys(query.astype(kernel.query), rows, packed, blocks, np.zeros((rows + 1, 2), np.int32), out)
    np.testing.assert_array_equal(out[:rows], query[:rows].astype(np.int32) @ keys.astype(np.int32).T)
    assert (out[rows:] == 7).all()


@compiled
def attended_in_tiles(query: Any, keys: Any, start: Any, score: Any, weights: Any, values: Any, sums: Any) -> None:
    parts, whole, halves, total = weights[0], weights[1], sums[0], sums[1]
    scores_in_tiles(query, len(query), keys, len(keys), start, score)
    sums_in_tiles(parts, whole, values, len(query), COLUMNS * len(keys), halves, total)


@pytest.mark.skipif(TILES not in KERNELS, reason="no tile registers")
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(5, 16), st.integers(1, 16), st.integers(1, 2))
@example(0, 3, 8, 16, 1)
def test_attention_in_tiles_is_exact(seed: int, fours: int, groups: int, rows: int, pairs: int) -> None:
    rng, width, slots, columns = np.random.default_rng(seed), 4 * groups, 64 * fours, 32 * pairs
    query, keys = (rng.integers(-127, 128, (n, width)).astype(np.int8) for n in (rows, slots))
    packed = (keys.astype(np.int16) + TILES.offset).astype(np.uint8).reshape(4 * fours, COLUMNS, groups, 4)
    weight = rng.multinomial(1 << 16, np.ones(slots) / slots, rows)
    weight[0] = (1 << 16) * (np.arange(slots) == seed % slots)  # 2^16 is more than two bytes hold
    values = rng.integers(-127, 128, (slots, columns)).astype(np.int8)
    start, score = np.zeros((rows, COLUMNS), np.int32), np.zeros((rows, slots), np.int32)
    halves, total = np.zeros((rows, 2, columns), np.int32), np.zeros((rows, columns), np.int32)
    packed = np.ascontiguousarray(packed.transpose(0, 2, 1, 3))
    sums = (halves, total)
    attended_in_tiles(query, packed, start, score, stored_weights(TILES, weight), beside(values, 4), sums)
    np.testing.assert_array_equal(score, query.astype(np.int32) @ keys.astype(np.int32).T)
    np.testing.assert_array_equal(total, weight @ values.astype(np.int64))


def test_nothing_is_fused() -> None:
    """A product that is added to is rounded first: fused, the sum would not be zero."""
    x = np.float32(1 + 2**-12)
    linear = LinearWeights(np.ones((8, 1), np.int8), np.array([x]), np.array([-(x * x)]))
    y = np.zeros(1, np.float32)
    finish(np.array([1], np.int32), x, linear_of(linear, WORDS), y)
    assert y[0] == 0


# --- contexts ------------------------------------------------------------------------------------

RECORDS = b"".join(b"record %d of many, all alike\n" % (n * n) for n in range(40))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(text=texts(5), weights=st.lists(rows, min_size=3, max_size=3))
@example(text=[b"ab", b"cd"] * 50, weights=[one_hot(255)[0]] * 3)
@example(text=[b"aaa"] * 700, weights=[uniform(1)[0]] * 3)  # counts and trials reach their limits
@example(text=[bytes([c, c]) for c in b'k="v wo"\nk2 = 3:ab Ab\n' * 9], weights=[uniform(1)[0]] * 3)  # lines, fields
@example(text=[bytes([c, d]) for c, d in zip(RECORDS, RECORDS[50:], strict=False)], weights=[uniform(1)[0]] * 3)
def test_contexts_learn_the_same(text: list[bytes], weights: list[Any]) -> None:
    columns = np.array([list(column) for column in text], np.int64).reshape(len(text), -1)
    count = columns.shape[1]
    first, second = ContextMixer(columns.size, count), CompiledMixer(columns.size, count)
    encoder, sent = BitEncoder(), []
    for i, column in enumerate(columns):
        streams = np.arange(count)[i % 3 == 2 and count > 1 :]  # a lane may end
        weight = np.tile(weights[i % 3], (len(streams), 1)).astype(np.int32)
        sent.append((weight, streams, column[streams]))
        ones = first.encode(*sent[-1])
        np.testing.assert_array_equal(second.encode(*sent[-1]), ones)
        part = bit_intervals(ones.ravel(), bits_of(column[streams]).ravel())
        encoder.append(part)
    assert state(second) == state(first)
    together, edges = CompiledMixer(columns.size, count), np.cumsum([0, *(len(lanes) for _, lanes, _ in sent)])
    together.encode_steps(*map(np.concatenate, zip(*sent, strict=True)), edges)
    assert state(together) == state(first)
    code = encoder.finish()
    for whole in (False, True):  # bit by bit, and a step at a time
        decoder, third = BitDecoder(code), CompiledMixer(columns.size, count)
        for weight, lanes, column in sent:
            step = third.decode_from(weight, lanes, decoder) if whole else third.decode(weight, lanes, reader(decoder))
            np.testing.assert_array_equal(step, column)
        assert state(third) == state(first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "contexts", [Contexts((2,), (), (8,)), Contexts((2,), (2,), (), ()), CONTEXTS, MACHINE_CONTEXTS]
)
def test_full_counts_of_any_contexts_learn_the_same(contexts: Contexts) -> None:
    """Counts and maps are halved, and sets of weights learn from more decisions than count."""
    count, rng = 12, np.random.default_rng(0)
    first, second = ContextMixer(4000, count, contexts), CompiledMixer(4000, count, contexts)
    weight, streams, most = uniform(count), np.arange(count), 0
    for _ in range(300):
        column = np.where(rng.random(count) < 0.01, rng.integers(0, 256, count), 97)
        np.testing.assert_array_equal(second.encode(weight, streams, column), first.encode(weight, streams, column))
        most = max(most, first.state.table[:, TAG + WAYS :].max())
    assert most == MOST_COUNT
    assert state(second) == state(first)


@pytest.mark.slow
@pytest.mark.parametrize(("least", "size"), [((20, 8), 900), ((9,), 900), ((20, 8), 300)])
def test_matches_learn_the_same(least: tuple[int, ...], size: int) -> None:
    """Also where a text is longer than was said, so that its end is not kept, and where a lane ends."""
    contexts = Contexts((2,), (), (), least)
    first, second = ContextMixer(size, 3, contexts), CompiledMixer(size, 3, contexts)
    columns, longest = np.frombuffer(RECORDS[:891], np.uint8).astype(np.int64).reshape(3, -1).T, 0
    for i, column in enumerate(columns):
        streams = np.arange(2 if i > 250 else 3)
        found = (mixer.encode(uniform(len(streams)), streams, column[streams]) for mixer in (first, second))
        np.testing.assert_array_equal(*found)
        longest = max(longest, first.state.matches.length.max())
    assert state(second) == state(first)
    assert longest >= least[0]


@settings(max_examples=50, deadline=None)
@given(code=st.binary(max_size=40), count=st.integers(1, 3), weights=rows)
@example(code=b"\xff" * 40, count=1, weights=uniform(1)[0])
def test_any_code_decodes_the_same(code: bytes, count: int, weights: Any) -> None:
    """Also what no encoder writes, which is found at the same step."""
    weight, streams = np.tile(weights, (count, 1)).astype(np.int32), np.arange(count)

    def decoded(kind: type[ContextMixer]) -> list[Any]:
        mixer, source = kind(100, count), BitDecoder(code)
        found: list[Any] = []
        for _ in range(30):
            try:
                found.append(mixer.decode_from(weight, streams, source).tolist())
            except DamagedError as error:
                return [*found, str(error)]
        return found

    assert decoded(CompiledMixer) == decoded(ContextMixer)


# --- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 64])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"context": (8, 32)},
        {"context": (1, 17)},
        {"ngram_bits": 4},
        {"ngrams": (), "width": 20, "heads": 5},
        {"heads": 1, "width": 48, "window": 16, "context": 0, "ngrams": ((1, 4), (2, 5), (3, 6))},
        {"layers": 1, "expansion": 1, "width": 64, "heads": 1},
        {"layers": 1, "expansion": 1, "width": 56, "heads": 2},
    ],
)
@each_kernel
def test_transformers_predict_the_same(shape: dict[str, Any], block: int, kernel: ProductKernel) -> None:
    _, network = text_pair(**shape)
    x = symbols(0, 5, 64)
    wanted = text_weights(network, x, 1, 64)
    other: Any = CompiledTransformer(network.weights, kernel)
    assert torch.equal(text_weights(other, x, 1, block), wanted)


def described(network: Any, images: Sequence[NDArray[np.uint8]], single: bool) -> NDArray[np.int64]:
    """Everything a coder needs of the pixels of some images, in their order."""
    run = network.start([x.shape[:2] for x in images], 64, single)
    values = np.concatenate([x.reshape(-1, 3) for x in images])
    found = np.zeros((len(values), 3, 41), np.int64)
    for part in run.blocks():
        known = values[part.place]
        if not single:
            run.reveal(part, known)
        prediction = run.predict(part)
        for k, c in enumerate(CODING_ORDER):
            value = known[:, c].astype(np.int32)
            channel = prediction.channel(k)
            intervals = [row for i in channel.intervals(value) for row in (i.below, i.frequency, i.symbol)]
            edges = np.tile(np.array([0, 100, 256], np.int32), (len(value), 1))
            rows = [*intervals, *channel.high().T, *channel.low(value >> 4).T, *channel.below(edges).T]
            found[part.place, k] = np.stack(rows, 1)
            prediction.condition(k, value)
        if single:
            run.reveal(part, known)
    return found


def intervals(network: Any, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Return the intervals of all nibbles of the pixels of some images, found by blocks, [n, 6, 3]."""
    run = network.start([x.shape[:2] for x in images], 64)
    values = np.concatenate([x.reshape(-1, 3) for x in images])
    found = np.zeros((len(values), 6, 3), np.int64)
    for part in run.blocks():
        run.reveal(part, values[part.place])
        symbol, below, frequency = run.intervals(part, values[part.place])
        found[part.place] = np.stack([below.T, frequency.T, symbol.T], 2)
    return found


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"width": 10, "hidden": 12, "mixtures": 1},
        {"dilations": (1, 3), "blocks": 3},
        {"bits": 16, "width": 24},
        {"head": 40.0},  # far means and scales
    ],
)
@each_kernel
def test_convnets_predict_the_same(shape: dict[str, Any], single: bool, kernel: ProductKernel) -> None:
    _, network = conv_pair(**shape)
    images = [pixels(1, 1, 11, 8)[0], pixels(2, 1, 6, 15)[0], pixels(3, 1, 1, 1)[0], pixels(4, 1, 9, 1)[0]]
    images.append(noise(5, 7, 30, 3))
    wanted, twin = described(network, images, single), CompiledConvNet(network.weights, kernel)
    np.testing.assert_array_equal(described(twin, images, single), wanted)
    if not single:
        np.testing.assert_array_equal(intervals(twin, images), wanted[:, :, :6].reshape(-1, 6, 3))


def read_in_turns(run: Any, sources: Sequence[RangeDecoder], values: NDArray[np.uint8]) -> Iterator[int]:
    """Return what `read` reads, by the coder itself."""
    for part in run.blocks():
        prediction, counts = run.predict(part), part.counts[0]
        line, ends = np.zeros((sum(counts), values.shape[1]), np.uint8), np.cumsum(counts).tolist()
        for k, c in enumerate(CODING_ORDER[: values.shape[1]] if values.shape[1] == 3 else (0,)):
            mixture, high, low = prediction.channel(k), np.zeros(len(line), np.int32), np.zeros(len(line), np.int32)
            for frequencies, found in ((mixture.high, high), (lambda m=mixture, h=high: m.low(h), low)):
                for source, count, end in zip(sources, counts, ends, strict=True):
                    found[end - count : end] = source.decode_rows(frequencies()[end - count : end])
            line[:, c] = 16 * high + low
            prediction.condition(k, line[:, c])
        run.reveal(part, line)
        values[part.place] = line
        yield len(line)


SIZES = [(30, 4), (20, 35), (1, 1), (3, 9), (9, 3), (1, 20), (7, 7)]


@settings(max_examples=30, deadline=None)
@given(
    codes=st.lists(st.binary(max_size=60), min_size=1, max_size=7),
    grey=st.booleans(),
    mixtures=st.integers(1, 3),
    threads=st.integers(1, 3),
)
@example(codes=[b"\xff" * 60, b""], grey=False, mixtures=2, threads=2)
@example(codes=[b""], grey=True, mixtures=1, threads=1)
@example(codes=[b"", b"\1" * 60, b"\2" * 60], grey=False, mixtures=1, threads=3)
@example(codes=[b"\3" * 60, b"", b"\x80", *(bytes(range(k, 60)) for k in range(4))], grey=False, mixtures=2, threads=2)
def test_pixels_read_from_any_codes_are_the_same(codes: list[bytes], grey: bool, mixtures: int, threads: int) -> None:
    """Also what no encoder writes, which is found in the same block; in as many threads as there are to be; of few
    pictures one after the other, of `FEW` and more side by side.
    """
    _, network = conv_pair(width=8, hidden=8, blocks=1, mixtures=mixtures, head=4.0)
    twin, sizes = CompiledConvNet(network.weights), SIZES[: len(codes)]

    def values(whole: bool) -> Any:
        sources = [RangeDecoder(code) for code in codes]
        found = np.zeros((sum(height * width for height, width in sizes), 1 if grey else 3), np.uint8)
        run = twin.start(sizes, 64, True)
        try:
            counts = list(run.read(Codes.of(sources), found, threads) if whole else read_in_turns(run, sources, found))
        except DamagedError as error:
            return str(error)
        assert sum(counts) == len(found)
        return found.tolist()

    assert values(whole=True) == values(whole=False)


# --- codecs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["text-fast", "text", "text-max", "photo-fast", "photo", "cifar10"])
def test_payloads_are_the_same_with_kernels_and_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DEMO_FILES / "alice.txt").read_bytes()
    x: Any = [text[:700], text[900:1010], b"", b"x"]
    codec: Any = bfncodec.load(name)
    if isinstance(codec, ImageCodec):
        x = [noise(0, 5, 4, 3), pixels(0, 1, 33, 20)[0], pixels(1, 1, 8, 9)[0][:, :, :1]]
        x = [image for image in x if image.shape[2] in codec.channels]
    payloads = {}
    for switch in ("always", "never"):
        monkeypatch.setenv(acceleration.SWITCH, switch)
        payloads[switch] = codec.encode_batch(x)
    assert payloads["always"] == payloads["never"]
    monkeypatch.setenv(acceleration.SWITCH, "always")
    for found, wanted in zip(codec.decode_batch(payloads["never"]), x, strict=True):
        assert np.array_equal(found, wanted)


class Stated(acceleration.Kernels):
    """Kernels of which everything is stated."""

    def __init__(self, work: bool = True, compiled: bool = False) -> None:
        super().__init__("", "")
        self.__dict__["states"] = work, compiled

    def work(self) -> bool:
        return bool(self.__dict__["states"][0])

    def compiled(self) -> bool:
        return bool(self.__dict__["states"][1])


def test_short_work_does_not_wait_for_kernels_to_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(acceleration.SWITCH, raising=False)
    seconds = 0, acceleration.COMPILING_SECONDS + 1
    for kernels, expected in (
        (Stated(), [False, True]),
        (Stated(compiled=True), [True, True]),
        (Stated(work=False, compiled=True), [True, True]),  # kept code runs without Numba
        (Stated(work=False), [False, False]),
    ):
        assert [acceleration.kernels_pay(s, kernels) for s in seconds] == expected


def test_short_work_that_comes_again_and_again_is_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(acceleration.SWITCH, raising=False)
    architecture = Architecture[None, str](lambda *_: None, lambda *_: "exact", lambda _: "compiled", Stated())
    network = Implementations(architecture, {}, {}, "cpu")
    found = [network.fastest(acceleration.COMPILING_SECONDS / 2) for _ in range(4)]
    assert found == ["exact", "exact", "compiled", "compiled"]


def test_the_switch_decides_about_kernels_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(acceleration.SWITCH, "never")
    assert not acceleration.kernels_pay(1e9, Stated(compiled=True))
    monkeypatch.setenv(acceleration.SWITCH, "always")
    assert acceleration.kernels_pay(0, Stated())
    assert not acceleration.kernels_pay(1e9, Stated(work=False))


def test_a_numba_that_does_not_load_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    acceleration._numba_works.cache_clear()
    try:
        assert not acceleration._numba_works()
    finally:
        acceleration._numba_works.cache_clear()
