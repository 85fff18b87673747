"""Integer building blocks: the same bits on every machine, device, thread count and batch size.

Why each operation here is exact (the rule of the whole path):

- Matrix products multiply int8 by int8 and add in int32, or in float32 where every partial sum is an integer below
  2^24: integer sums do not depend on their order. Which of the two is a question of speed alone: processors without
  dot products of bytes are thirty times faster with floats.
- Everything between products is one correctly rounded IEEE operation per tensor operation (+ - * / round, floor, clamp,
  comparison, conversion), elementwise, so it does not depend on vector width, threads or device. Nothing is fused.
- Nothing is divided by a number that lives on the CPU, a Python number or a tensor without dimensions, unless it is a
  power of two: CUDA multiplies by its rounded reciprocal instead. Constants are tensors on the device of what they meet
  (:func:`constant`), and other numbers are such as float32 holds exactly.
- Square roots are those of float64, rounded to float32 (:func:`rounded_root`): libraries do not round theirs of float32
  as they should.
- Reductions are maxima, or sums of integers that stay exact in their type.
- exp2 and the logistic function are integer tables (:mod:`bfncodec.coding.tables`).

docs/exactness.md lists every tensor operation of the path with its reason; tests/test_exactness.py checks the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from bfncodec.forks import cached_property
from bfncodec.networks.stored import LARGEST, LEAST_SQUARE, TINY, LinearWeights
from bfncodec.runtime.arrays import Array

EXACT_FLOAT = 1 << 24  # float32 holds every integer up to here
PIECE = EXACT_FLOAT // LARGEST**2  # products of int8 whose sum stays below it


def tensor_of(array: Array, device: torch.device) -> Tensor:
    """An array of numbers on a device; on the CPU it is the same memory."""
    return torch.from_numpy(array).to(device)


def constant(value: float, device: torch.device) -> Tensor:
    """A number as float32 [1] on a device. It has a dimension so that it cannot meet tensors of another device."""
    return torch.tensor([value], dtype=torch.float32, device=device)


@dataclass(frozen=True)
class ExactLinear:
    """`LinearWeights` on a device, and what they do. fine: the 254 units of the first matrix, float32 [1]."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None
    fine: Tensor

    @classmethod
    def of(cls, stored: LinearWeights, device: torch.device) -> ExactLinear:
        """Return the layer on a device."""
        bias = None if stored.bias is None else tensor_of(stored.bias, device)
        fine = constant(2.0 * LARGEST, device)
        weight = tensor_of(stored.weight, device)
        # On CUDA column by column, as `int_matmul` wants it there.
        weight = weight.t().contiguous().t() if device.type == "cuda" else weight.contiguous()
        return cls(weight, tensor_of(stored.scale, device), bias, fine)

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor], name: str, device: torch.device, unit: float = 1.0) -> ExactLinear:
        """Return the layer of stored tensors, see `LinearWeights.of`; unit: value of one unit of the int8 input."""
        parts = {key: tensors[key].numpy() for key in (f"{name}.{part}" for part in "qrsb") if key in tensors}
        return cls.of(LinearWeights.of(parts, name, unit), device)

    def __call__(self, x: Tensor, row_scale: Tensor | None = None) -> Tensor:
        """Return x W^T + b, float32 [N, out]. x: int8 [N, in]; row_scale: a unit of each row, float32 [N, 1]."""
        y = self._product(x)
        outputs = self.scale.shape[0]
        if y.shape[1] > outputs:
            y = y[:, outputs:].div(self.fine).add_(y[:, :outputs])
        if row_scale is not None:
            y.mul_(row_scale)
        y.mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)

    def _product(self, x: Tensor) -> Tensor:
        """x W^T, integers rounded to float32 once."""
        if x.device.type == "cuda" or (x.device.type == "cpu" and bytes_are_faster()):
            return int_matmul(x, self.weight).float()
        return float_matmul(x, self._pieces)

    @cached_property
    def _pieces(self) -> tuple[Tensor, ...]:
        return float_pieces(self.weight)


def pad_to(x: Tensor, multiple: int, dim: int) -> Tensor:
    """Zeros appended to a dimension until its size is a multiple."""
    missing = -x.shape[dim] % multiple
    if not missing:
        return x
    shape = list(x.shape)
    shape[dim] = missing
    return torch.cat([x, x.new_zeros(shape)], dim)


def int_matmul(a: Tensor, b: Tensor) -> Tensor:
    """int8 [N, K] times int8 [K', M] with K' >= K (zero rows below) -> int32 [N, M], exact."""
    if a.shape[1] < b.shape[0]:
        a = pad_to(a, b.shape[0], 1)
    if a.device.type == "cuda":
        return _int_matmul_cuda(a, b)
    return torch._int_mm(a, b)


def _int_matmul_cuda(a: Tensor, b: Tensor) -> Tensor:
    """cuBLAS wants more than 16 rows, sizes that are multiples of 8, and the second matrix column by column: of one
    that is laid out row by row, it refused products of 40 and 200 rows, but not of 32 and 192 (an H200).
    """
    rows, columns = a.shape[0], b.shape[1]
    a = torch.cat([a, a.new_zeros(max(0, 32 - rows), a.shape[1])]) if rows < 32 else pad_to(a, 8, 0)
    by_columns = pad_to(b.t(), 8, 0).contiguous().t()  # `ExactLinear.of` lays weights out so, and this copies nothing
    return torch._int_mm(a, by_columns)[:rows, :columns]


def float_pieces(b: Tensor) -> tuple[Tensor, ...]:
    """int8 [K, M] as float32, cut where sums of products with int8 would reach 2^24."""
    return tuple(b[k : k + PIECE].float() for k in range(0, len(b), PIECE))


def float_matmul(a: Tensor, pieces: tuple[Tensor, ...]) -> Tensor:
    """int8 [N, K] times the pieces of int8 [K', M] with K' >= K -> float32 [N, M]: the same integers, rounded once."""
    x = a.float()
    if len(pieces) == 1:
        return x @ pieces[0][: x.shape[1]]
    total = torch.zeros(len(x), pieces[0].shape[1], dtype=torch.int32, device=x.device)
    for k, piece in enumerate(pieces):
        part = x[:, k * PIECE : (k + 1) * PIECE]
        total += (part @ piece[: part.shape[1]]).to(torch.int32)
    return total.float()


@lru_cache(maxsize=1)
def bytes_are_faster() -> bool:
    """Return whether this processor multiplies int8 faster than float32, and exactly."""
    return has_avx512() and _int_mm_is_exact()


def has_avx512() -> bool:
    """Return whether torch uses AVX-512 here. With AVX2 alone its products of int8 and of bfloat16 are plain loops,
    thirty times slower than those of float32.
    """
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


@lru_cache(maxsize=1)
def _int_mm_is_exact() -> bool:
    """Processors without int8 dot products may add pairs with saturation to 16 bits; ask for the worst case and see."""
    a = torch.full((64, 320), LARGEST, dtype=torch.int8)
    a[1::2] = -LARGEST
    b = torch.full((320, 64), LARGEST, dtype=torch.int8)
    b[:, 1::3] = -LARGEST
    try:
        found = torch._int_mm(a, b)
    except (RuntimeError, AttributeError):
        return False
    return bool(torch.equal(found.double(), a.double() @ b.double()))


def largest(x: Tensor) -> Tensor:
    """max|x| of each row, at least TINY. [N, C] -> [N, 1]"""
    return x.abs().amax(-1, keepdim=True).clamp_min_(TINY)


@dataclass(frozen=True)
class Quantiser:
    """Rows of float32 [N, C] as int8 [N, C] in units of their own.

    most: LARGEST on the device of the rows, float32 [1].
    """

    most: Tensor

    @classmethod
    def on(cls, device: torch.device) -> Quantiser:
        """The quantiser of tensors on a device."""
        return cls(constant(LARGEST, device))

    def rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(int8 [N, C], value of one unit of each row, float32 [N, 1]): x is about their product."""
        return self._in_units(x, largest(x))

    def positive(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`rows` of what is not negative."""
        return self._in_units(x, x.amax(-1, keepdim=True).clamp_min_(TINY))

    def max_norm(self, x: Tensor) -> Tensor:
        """x / max|x| of each row in units of 1/127, int8 [N, C]: the integer implementation of
        `convnet.model.max_norm`.
        """
        return self.integers(x, largest(x)).to(torch.int8)

    def integers(self, x: Tensor, m: Tensor) -> Tensor:
        """x in units of m / 127, rounded, float32 [..., C]. m: float32 [..., 1]"""
        return (x * (self.most / m)).round_()

    def _in_units(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        return self.integers(x, m).to(torch.int8), m.div_(self.most)


def rounded_root(x: Tensor) -> Tensor:
    """The correctly rounded square root of float32, which `torch.sqrt` is not: on x86 it is one unit off for one number
    in six. Exact, because the root of a float32 lies further from the middle between two others, 2^-51 of it or more,
    than any library's root of a float64 is off.
    """
    return x.double().sqrt_().float()


@dataclass(frozen=True)
class RmsNorm:
    """x / rms(x) of each row of `width` numbers (RMSNorm without gains, Zhang and Sennrich 2019). Rows of zeros stay
    zeros.

    The root mean square is taken of the row's integers: their squares sum to less than 2^24 in up to 1040 columns.
    width: on the device of the rows, float32 [1].
    """

    quantiser: Quantiser
    width: Tensor

    @classmethod
    def of(cls, width: int, device: torch.device) -> RmsNorm:
        """The norm of rows of so many numbers on a device."""
        return cls(Quantiser.on(device), constant(width, device))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(int8 [N, width], value of one unit of each row, float32 [N, 1]), for a matrix product."""
        q, unit = self.integers(x)
        return q.to(torch.int8), unit

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(integers as float32 [..., width], value of one unit of each row, float32 [..., 1])."""
        q = self.quantiser.integers(x, largest(x))
        mean = (q * q).sum(-1, keepdim=True).div_(self.width).clamp_min_(LEAST_SQUARE)
        return q, rounded_root(mean).reciprocal_()
