"""Compiled kernels of norms, quantisers and scales, which lie between integer products.

They equal :mod:`bfncodec.networks.exact`, operation by operation; products themselves are in
:mod:`bfncodec.networks.kernels`. Largest values are found among the bits of floats, which have the order of
the floats where these are not negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.networks.exponentials import Exponentials
from bfncodec.networks.kernels import COLUMNS, ProductKernel, multiply_packed, side_by_side, signed, store
from bfncodec.networks.stored import LARGEST, LEAST_SQUARE, TINY, LinearWeights
from bfncodec.runtime.arrays import Array, Floats32, Ints32
from bfncodec.runtime.jit import compiled, inlined, written

MOST = np.float32(LARGEST)
FINE = np.float32(2 * LARGEST)
LEAST = np.float32(TINY)
LEAST_MEAN = np.float32(LEAST_SQUARE)
ONE, NONE = np.float32(1), np.float32(0)
LOWEST = np.int32(-(1 << 31))


class Linear(NamedTuple):
    """`LinearWeights`, packed. fine: the columns of its second matrix follow those of the first."""

    panels: NDArray[np.int8]  # see `ProductKernel.pack`
    start: Ints32
    scale: Floats32  # [out]
    bias: Floats32  # [out]
    fine: bool


def linear_of(linear: LinearWeights, kernel: ProductKernel) -> Linear:
    """The matrix packed for a kernel. Zeros stand for no bias: adding them changes no value, but for a zero's sign."""
    bias = np.zeros_like(linear.scale) if linear.bias is None else linear.bias
    return Linear(*kernel.pack(linear.weight), linear.scale, bias, linear.weight.shape[1] > len(linear.scale))


def beside_each_other(linears: Sequence[Linear]) -> list[Linear]:
    """Return matrices whose panels lie behind each other, see `side_by_side`."""
    found = side_by_side([(linear.panels.shape, np.int8) for linear in linears])
    for linear, panels in zip(linears, found, strict=True):
        panels[...] = linear.panels
    return [linear._replace(panels=panels) for linear, panels in zip(linears, found, strict=True)]


larger = written("bfncodec.networks.instructions.numbers", "larger")
higher = written("bfncodec.networks.instructions.numbers", "higher")
as_float = written("bfncodec.networks.instructions.numbers", "as_float")
of_rank = written("bfncodec.networks.instructions.numbers", "of_rank")
add_square = written("bfncodec.networks.instructions.numbers", "add_square")
prepare = written("bfncodec.networks.instructions.tiles", "prepare")
release = written("bfncodec.networks.instructions.tiles", "release")
multiply_ready = written("bfncodec.networks.instructions.tiles", "multiply_ready")
_write = written("bfncodec.networks.instructions.rows", "write")
_write_column = written("bfncodec.networks.instructions.rows", "write_column")
_write_rectified = written("bfncodec.networks.instructions.rows", "write_rectified")
_write_square = written("bfncodec.networks.instructions.rows", "write_square")
_write_sum = written("bfncodec.networks.instructions.rows", "write_sum")
_largest = written("bfncodec.networks.instructions.rows", "largest")
_largest_positive = written("bfncodec.networks.instructions.rows", "largest_positive")
_quantise = written("bfncodec.networks.instructions.rows", "quantise")
_quantise_positive = written("bfncodec.networks.instructions.rows", "quantise_positive")
_highest = written("bfncodec.networks.instructions.softmax", "highest")
_powers = written("bfncodec.networks.instructions.softmax", "powers")
_add_scaled = written("bfncodec.networks.instructions.rows", "add_scaled")


# ---- what networks are made of ------------------------------------------------------------------


@compiled
def multiply(a: Array, linear: Linear, out: Ints32, rows: int) -> None:
    """Multiply the first rows of `a` by the matrix. In NumPy: ``out[:rows] = (a[:rows] - offset) @ weight``.

    a: [N, K] in the kernel's dtype; out: int32 [N, P COLUMNS].
    """
    multiply_packed(a, linear.panels, linear.start, out, rows)


@compiled
def most_of(x: Floats32) -> Any:
    """Return the largest number of a row, float32 [C]. In NumPy: ``x.max()``."""
    most = LOWEST
    for i in range(len(x)):
        most = higher(most, x[i])
    return of_rank(most)


@compiled
def finish(sums: Ints32, unit: Any, linear: Linear, y: Floats32) -> None:
    """Scale a row of sums and add the bias, as `ExactLinear` does. In NumPy, without the second matrix: ``y[:] =
    sums[:out] * unit * scale + bias``.

    sums: int32 [P COLUMNS]; unit: value of one unit of the row; y: float32 [out].
    """
    outputs = len(linear.scale)
    if linear.fine:
        for i in range(outputs):
            total = np.float32(sums[outputs + i]) / FINE + np.float32(sums[i])
            y[i] = total * unit * linear.scale[i] + linear.bias[i]
    else:
        for i in range(outputs):
            y[i] = np.float32(sums[i]) * unit * linear.scale[i] + linear.bias[i]


@compiled
def largest(x: Floats32) -> Any:
    """Return the largest magnitude of a row, float32 [C], as `exact.largest`: ``max(abs(x).max(), TINY)``."""
    most = np.int32(0)
    for i in range(len(x)):
        most = larger(most, x[i])
    return max(as_float(most), LEAST)


@compiled
def quantise(x: Floats32, q: Array) -> Any:
    """Quantise a row, as `exact.Quantiser.rows`: ``q[:] = rint(x * (127 / m))``, m the largest magnitude.

    x: float32 [C]; q: [C] in a kernel's dtype. Returns the value of one unit, m / 127.
    """
    m = largest(x)
    factor = MOST / m
    for i in range(len(x)):
        store(np.rint(x[i] * factor), q, i)
    return m / MOST


@compiled
def quantise_rms_norm(x: Floats32, q: Array) -> Any:
    """Quantise a row divided by its root mean square, as `exact.RmsNorm`: ``quantise(x, q)``.

    x: float32 [C]; q: [C] in a kernel's dtype. Returns the value of one unit, ``1 / sqrt(mean(q * q))``.
    """
    quantise(x, q)
    total = np.int32(0)
    for i in range(len(x)):
        total = add_square(total, signed(q[i]))
    return rms_unit(total, len(x))


@inlined
def rms_unit(total: Any, count: int) -> Any:
    """Return the value of one unit of a row divided by its root mean square: ``1 / sqrt(total / count)``.

    total: sum of the squares of its integers, int32
    """
    mean = max(np.float32(total) / np.float32(count), LEAST_MEAN)
    return ONE / np.sqrt(mean)


# ---- several rows at once -----------------------------------------------------------------------
#
# Of short rows a call for each would take as long as the rows themselves. Numbers that fill registers are worked on in
# blocks, see :mod:`bfncodec.networks.instructions.rows`, and those that remain one by one.


@inlined
def _finished(sums: Ints32, n: int, i: int, unit: Any, linear: Linear) -> Any:
    """`finish` of one number."""
    if linear.fine:
        total = np.float32(sums[n, len(linear.scale) + i]) / FINE + np.float32(sums[n, i])
    else:
        total = np.float32(sums[n, i])
    return total * unit * linear.scale[i] + linear.bias[i]


@inlined
def _whole(count: int) -> int:
    """Return how many of so many numbers fill registers."""
    return count // COLUMNS * COLUMNS


@inlined
def _quantised(y: Floats32, n: int, bits: Any, q: Array, count: int) -> Any:
    """`quantise` of the first numbers of a row whose largest magnitude has these bits."""
    m = max(as_float(bits), LEAST)
    factor = MOST / m
    _quantise(y, n, 0, factor, q, count)
    for i in range(_whole(count), count):
        store(np.rint(y[n, i] * factor), q[n], i)
    return m / MOST


@compiled
def _normed(x: Floats32, n: int, bits: Any, q: Array) -> Any:
    """`quantise_rms_norm` of a row whose largest magnitude has these bits."""
    factor, count = MOST / max(as_float(bits), LEAST), x.shape[1]
    total = _quantise(x, n, 0, factor, q, count)
    for i in range(_whole(count), count):
        store(np.rint(x[n, i] * factor), q[n], i)
        total = add_square(total, signed(q[n, i]))
    return rms_unit(total, count)


@inlined
def _most(x: Floats32, n: int, count: int) -> Any:
    """Return the bits of the largest magnitude of the first numbers of a row."""
    most = _largest(x, n, 0, count)
    for i in range(_whole(count), count):
        most = larger(most, x[n, i])
    return most


@compiled
def quantise_rows(x: Floats32, q: Array, units: Floats32, rows: int, count: int) -> None:
    """`quantise` of the first numbers of the first rows: ``units[n] = quantise(x[n, :count], q[n])``."""
    for n in range(rows):
        units[n] = _quantised(x, n, _most(x, n, count), q, count)


@compiled
def rms_norm_rows(x: Floats32, q: Array, units: Floats32, rows: int) -> None:
    """`quantise_rms_norm` of the first rows: ``units[n] = quantise_rms_norm(x[n], q[n])``."""
    for n in range(rows):
        units[n] = _normed(x, n, _most(x, n, x.shape[1]), q)


@inlined
def quantise_positive(x: Floats32, n: int, first: int, q: Array, count: int) -> Any:
    """`quantise` of some numbers of a row from a place on, with 0 for what is negative: ``quantise(maximum(x[n, first :
    first + count], 0), q[n])``.
    """
    most = _largest_positive(x, n, first, count)
    for i in range(_whole(count), count):
        most = larger(most, max(x[n, first + i], NONE))
    m = max(as_float(most), LEAST)
    factor = MOST / m
    _quantise_positive(x, n, first, factor, q, count)
    for i in range(_whole(count), count):
        store(np.rint(max(x[n, first + i], NONE) * factor), q[n], i)
    return m / MOST


@compiled
def finish_rows(sums: Ints32, unit: Floats32, linear: Linear, y: Floats32, rows: int) -> None:
    """`finish` of the first rows: ``y[n] = sums[n, :out] * unit[n] * scale + bias``. y: float32 [N, out or more]"""
    for n in range(rows):
        _write(sums, n, unit[n], linear, y)
        for i in range(_whole(len(linear.scale)), len(linear.scale)):
            y[n, i] = _finished(sums, n, i, unit[n], linear)


@compiled
def finish_columns(sums: Ints32, unit: Floats32, linear: Linear, y: Floats32, rows: int) -> None:
    """`finish_rows`, whose results lie in columns: ``y[:, n] = sums[n, :out] * unit[n] * scale + bias``.

    sums: int32 [N, P COLUMNS]; unit: float32 [N]; y: float32 [out or more, N and as many more as fill registers], of
    which what lies behind the last row may be overwritten
    """
    whole = _whole(min(rows + COLUMNS - 1, len(sums)))
    for i in range(len(linear.scale)):
        for n in range(0, whole, COLUMNS):
            _write_column(sums, n, i, unit, linear, y)
        for n in range(whole, rows):
            y[i, n] = _finished(sums, n, i, unit[n], linear)


@compiled
def finish_norm(
    sums: Ints32, unit: Floats32, linear: Linear, y: Floats32, q: Array, units: Floats32, rows: int
) -> None:
    """`finish`, then `quantise` of the first rows: ``y[n] = finished; units[n] = quantise(y[n], q[n])``."""
    for n in range(rows):
        most = _write(sums, n, unit[n], linear, y)
        for i in range(_whole(len(linear.scale)), len(linear.scale)):
            y[n, i] = _finished(sums, n, i, unit[n], linear)
            most = larger(most, y[n, i])
        units[n] = _quantised(y, n, most, q, len(linear.scale))


@compiled
def rectify_norm(
    sums: Ints32, unit: Floats32, linear: Linear, y: Floats32, q: Array, units: Floats32, rows: int
) -> None:
    """`finish_norm`, rectified before it is quantised: ``y[n] = max(finished, 0)``."""
    for n in range(rows):
        most = _write_rectified(sums, n, unit[n], linear, y)
        for i in range(_whole(len(linear.scale)), len(linear.scale)):
            y[n, i] = max(_finished(sums, n, i, unit[n], linear), NONE)
            most = larger(most, y[n, i])
        units[n] = _quantised(y, n, most, q, len(linear.scale))


@compiled
def square_norm(
    sums: Ints32, unit: Floats32, linear: Linear, y: Floats32, q: Array, units: Floats32, rows: int
) -> None:
    """`rectify_norm`, squared before it is quantised: ``y[n] = max(finished, 0) ** 2``."""
    for n in range(rows):
        most = _write_square(sums, n, unit[n], linear, y)
        for i in range(_whole(len(linear.scale)), len(linear.scale)):
            z = max(_finished(sums, n, i, unit[n], linear), NONE)
            y[n, i] = z * z
            most = larger(most, y[n, i])
        units[n] = _quantised(y, n, most, q, len(linear.scale))


@compiled
def add_norm(sums: Ints32, unit: Floats32, linear: Linear, y: Floats32, q: Array, units: Floats32, rows: int) -> None:
    """The same, added to what is there: ``y[n] += finished``."""
    for n in range(rows):
        most = _write_sum(sums, n, unit[n], linear, y)
        for i in range(_whole(len(linear.scale)), len(linear.scale)):
            y[n, i] += _finished(sums, n, i, unit[n], linear)
            most = larger(most, y[n, i])
        units[n] = _quantised(y, n, most, q, len(linear.scale))


@compiled
def add_rms_norm(
    sums: Ints32, unit: Floats32, linear: Linear, x: Floats32, q: Array, units: Floats32, rows: int
) -> None:
    """`add_norm` with the other norm: ``x[n] += finished; units[n] = quantise_rms_norm(x[n], q[n])``.

    x: float32 [N, out]
    """
    for n in range(rows):
        most = _write_sum(sums, n, unit[n], linear, x)
        for i in range(_whole(len(linear.scale)), len(linear.scale)):
            x[n, i] += _finished(sums, n, i, unit[n], linear)
            most = larger(most, x[n, i])
        units[n] = _normed(x, n, most, q)


@compiled
def weights_of_logits(y: Floats32, unit: Any, exp2: Exponentials, weights: Ints32, rows: int) -> None:
    """Make integers in proportion to the exponentials of the logits of the first rows: ``weights[n] = table[minimum(
    rint((y[n].max() - y[n]) * unit), len(table) - 1)]``.

    y: float32 [N, symbols or more]; unit: places of the table for a logit of 1; weights: int32 [N, symbols]
    """
    symbols, limit = weights.shape[1], np.float32(len(exp2.table) - 1)
    for n in range(rows):
        most = _highest(y, n, symbols)
        for i in range(_whole(symbols), symbols):
            most = max(most, y[n, i])
        _powers(y, n, symbols, most, unit, exp2.table, exp2.octave, weights)
        for i in range(_whole(symbols), symbols):
            weights[n, i] = exp2.table[np.int64(max(min(np.rint((most - y[n, i]) * unit), limit), NONE))]


@inlined
def add_scaled(y: Floats32, n: int, first: int, factor: Any, x: Floats32) -> None:
    """Add to numbers of a row: ``y[n, first : first + len(x)] += factor * x``. y: float32 [N, C]; x: float32 [C']"""
    _add_scaled(y, n, first, factor, x)
    for i in range(_whole(len(x)), len(x)):
        y[n, first + i] += factor * x[i]
