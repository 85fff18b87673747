"""Rules for what exact networks may ask of torch: the list of operators, a guard that holds a program to it, and
another machine.

`Guard` watches every tensor operation in a block, on any machine, and names those that are not on the list or break
their condition, with the line of bfncodec that asked for them. `Elsewhere` makes every operation that two machines may
round differently round differently. Neither needs a GPU. As both watch the calling thread, codecs are to be loaded with
threads=1, and compiled kernels switched off.

    PYTHONPATH=tests python -m support.exactness

prints the table in docs/exactness.md.
"""

from __future__ import annotations

import linecache
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from support.places import ROOT

PACKAGE = ROOT / "bfncodec"
LIMIT = {torch.float32: 1 << 24, torch.float64: 1 << 53}  # integers up to here are exact
TYPES = {*LIMIT, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool}
ROUNDED = ("exp", "log", "log2", "log10", "log1p", "expm1", "exp2", "power", "sin", "cos", "tan", "tanh", "cbrt")


@dataclass(frozen=True)
class Call:
    """One operation: its operator without the marks of variants, what it was given and what came out."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors that went in, in lists of one too."""
        return [x for x in _flat([*self.args, *self.kwargs.values()]) if isinstance(x, Tensor)]

    @property
    def floats(self) -> bool:
        """Return whether floats come out."""
        return any(isinstance(x, Tensor) and x.is_floating_point() for x in _flat([self.result]))


Condition = Callable[[Call], str | None]
"""What is wrong with a call, None if nothing is."""


@dataclass(frozen=True)
class Operators:
    """Operators that are exact for one reason, under one condition."""

    names: str
    reason: str
    condition: str
    fault: Condition


# ---- conditions ---------------------------------------------------------------------------------


def nothing(call: Call) -> str | None:
    """No condition."""
    return None


def in_range(call: Call) -> str | None:
    """Floats that become integers fit them."""
    kind = call.result.dtype
    for x in call.tensors:
        if x.is_floating_point() and not kind.is_floating_point and kind != torch.bool and x.numel():
            bounds = torch.iinfo(kind)
            if not bool(((x >= bounds.min) & (x <= bounds.max)).all()):
                return f"floats beyond {kind}"
    return None


def distinct(call: Call) -> str | None:
    """No place is written twice, nothing is added up in place."""
    accumulates = call.name == "index_put" and len(call.args) > 3 and call.args[3]
    index = [x for x in call.tensors[1:] if x.dtype == torch.int64 and x.dim() == 1]
    twice = call.name == "index_copy" and len(index[0].unique()) < len(index[0])
    return "sums in place" if accumulates else "a place written twice" if twice else None


def plain_numbers(call: Call) -> str | None:
    """Numbers that live on the CPU are exactly representable; what is added is not multiplied first."""
    alpha = call.kwargs.get("alpha", 1)
    if abs(alpha) != 1:
        return f"alpha={alpha}, which is fused with the sum"
    kind = next((x.dtype for x in call.tensors if x.dim() and x.is_floating_point()), None)
    numbers = [float(x) for x in _flat([*call.args, *call.kwargs.values()]) if _is_number(x)]
    if kind and any(float(torch.tensor(x, dtype=kind)) != x for x in numbers):
        return f"{numbers[0]!r}, which {kind} does not hold"
    return None


def divided_by_tensors(call: Call) -> str | None:
    """No division by a number on the CPU, unless it is a power of two; no integers among floats."""
    by = call.args[1]
    if call.kwargs.get("rounding_mode"):
        return "a rounded quotient of floats" if call.floats else None
    if _is_number(by) and math.frexp(abs(float(by)))[0] != 0.5:
        return f"division by the number {float(by):g}, which is on the CPU"
    return plain_numbers(call)


def of_float64(call: Call) -> str | None:
    """Roots are those of numbers that float32 holds, taken as float64."""
    (x,) = call.tensors
    if x.dtype != torch.float64:
        return f"a square root of {x.dtype}"
    return None


def integers_only(call: Call) -> str | None:
    """No float among operands."""
    return "floats" if any(x.is_floating_point() for x in call.tensors) else None


def whole_sums(call: Call) -> str | None:
    """Floats in sums are integers, and no sum of their sizes reaches what floats hold."""
    x = call.tensors[0]
    if not x.is_floating_point():
        return None
    size = x.double().abs().sum(call.args[1], keepdim=True) if len(call.args) > 1 and call.args[1] else x.abs().sum()
    return _whole(x) or _small(size, x.dtype)


def whole_products(call: Call) -> str | None:
    """Matrices of floats hold integers, no sum of sizes of products reaches 2^24, and torch is undisturbed."""
    a, b = call.tensors[:2]
    if not a.is_floating_point():
        return None if call.name == "_int_mm" else "a product of integers other than _int_mm"
    if torch.get_float32_matmul_precision() != "highest" or torch.is_autocast_enabled("cpu"):
        return "a product of floats outside `undisturbed`"
    return _whole(a) or _whole(b) or _small(a.double().abs() @ b.double().abs(), a.dtype)


def whole_bags(call: Call) -> str | None:
    """Rows that are added up hold integers, and no sum of their sizes reaches 2^24."""
    table, index = call.tensors[:2]
    return _whole(table) or _small(table.double().abs().amax() * index.shape[-1], table.dtype)


def _whole(x: Tensor) -> str | None:
    return None if bool((x == x.round()).all()) else "a sum of floats that are no integers"


def _small(size: Tensor, kind: torch.dtype) -> str | None:
    largest = float(size.max()) if size.numel() else 0.0
    return None if largest <= LIMIT[kind] else f"sums up to {largest:g}, beyond the integers of {kind}"


def _is_number(x: Any) -> bool:
    """Return whether a value lives on the CPU wherever the tensors are."""
    return (isinstance(x, (int, float)) and not isinstance(x, bool)) or (isinstance(x, Tensor) and not x.dim())


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


# ---- the list -----------------------------------------------------------------------------------

ALLOWED = (
    Operators(
        "_local_scalar_dense _reshape_alias _unsafe_view alias as_strided cat chunk clone constant_pad_nd contiguous "
        "detach embedding expand index index_fill index_select lift_fresh masked_fill narrow new_zeros permute repeat "
        "repeat_interleave replication_pad2d reshape resolve_conj resolve_neg select set slice split squeeze stack t "
        "transpose unbind unfold unsafe_view unsqueeze view where",
        "copies values and computes none",
        "-",
        nothing,
    ),
    Operators(
        "index_copy index_put",
        "copies values and computes none",
        "every place is written once: the order of writes is open",
        distinct,
    ),
    Operators(
        "arange empty full new_empty new_full ones scalar_tensor zero zeros zeros_like fill",
        "makes values",
        "-",
        nothing,
    ),
    Operators(
        "copy _to_copy to",
        "one conversion, rounded to nearest even, or towards zero to integers",
        "floats that become integers fit them: beyond, processors differ",
        in_range,
    ),
    Operators(
        "__and__ __or__ __xor__ abs all amax amin any bitwise_and bitwise_not bitwise_or bitwise_xor eq equal floor ge "
        "gt isfinite isinf isnan le logical_and logical_not logical_or lt ne neg relu round sign trunc",
        "picks, compares, or rounds to integers: no rounding of floats",
        "-",
        nothing,
    ),
    Operators(
        "max min",
        "picks",
        "where several are the largest it does not matter which is found: that is open (`Elsewhere` finds the last)",
        nothing,
    ),
    Operators(
        "add clamp clamp_max clamp_min mul rsub sub",
        "one correctly rounded IEEE operation for each element",
        "no alpha but 1 and -1, which would be fused; Python's numbers are such as the type of the tensor holds",
        plain_numbers,
    ),
    Operators(
        "div reciprocal",
        "one correctly rounded IEEE operation for each element",
        "the divisor is a tensor with dimensions, or a power of two: CUDA multiplies by the rounded reciprocal of what "
        "lives on the CPU",
        lambda call: divided_by_tensors(call) if call.name == "div" else None,
    ),
    Operators(
        "sqrt",
        "a root of float64 rounded to float32 is the correctly rounded root of a float32",
        "float64 only: libraries do not round roots of float32 correctly",
        of_float64,
    ),
    Operators(
        "bitwise_left_shift bitwise_right_shift cumsum floor_divide remainder __lshift__ __rshift__",
        "arithmetic of integers",
        "integers only",
        integers_only,
    ),
    Operators(
        "sum",
        "sums of integers do not depend on their order",
        "floats are integers, and their sizes sum to at most 2^24 (float64: 2^53)",
        whole_sums,
    ),
    Operators(
        "bmm matmul mm _int_mm",
        "sums of products of integers do not depend on their order",
        "int8 by `_int_mm`; floats are integers, the sizes of their products sum to at most 2^24, and torch is "
        "`undisturbed`: no TF32, bfloat16 or autocast",
        whole_products,
    ),
    Operators(
        "_embedding_bag _embedding_bag_forward_only embedding_bag",
        "sums of integers do not depend on their order",
        "rows are integers whose sizes sum to at most 2^24",
        whole_bags,
    ),
)
_BY_NAME = {name: operators for operators in ALLOWED for name in operators.names.split()}


def table() -> str:
    """The list as Markdown."""
    rows = ["| operators | why they are exact | on condition that |", "| --- | --- | --- |"]
    for entry in ALLOWED:
        names = ", ".join(f"`{name}`" for name in sorted(entry.names.split()))
        rows.append(f"| {names} | {entry.reason} | {entry.condition} |")
    return "\n".join(rows)


# ---- the guard ----------------------------------------------------------------------------------


@dataclass(eq=False)
class Guard(TorchDispatchMode):
    """A block whose tensor operations are all on the list; `faults` says which were not, by line of the program.

    Products of floats are made less precise in it, as a program around may have them: codecs must not mind.
    """

    inside: Path = PACKAGE
    faults: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __enter__(self) -> Guard:
        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        return cast("Guard", super().__enter__())

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.set_float32_matmul_precision(self._before)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Judge before the operation, which may write over what it was given, and again by what came out."""
        name, kwargs = operator(func), kwargs or {}
        self.seen.add(name)
        fault = _unlisted(name) or _BY_NAME[name].fault(Call(name, args, kwargs, _shape_of_result(func, args, kwargs)))
        result = func(*args, **kwargs)
        known = TYPES | {torch.float16} if _keeps_values(name) else TYPES  # as they are stored, till they are widened
        other = {str(x.dtype) for x in _flat([*args, result]) if isinstance(x, Tensor)} - {str(t) for t in known}
        if fault or other:
            self.faults.setdefault(caller(self.inside), f"{func}: {fault or f'tensors of {other}'}")
        return result

    def check(self) -> None:
        """Raise AssertionError with every fault."""
        assert not self.faults, "\n".join(f"{where}\n    {fault}" for where, fault in self.faults.items())


def operator(func: Any) -> str:
    """The name of an operator, without its overload and the mark of working in place."""
    name = func._schema.name.removeprefix("aten::")
    return name if name.startswith("__") else re.sub(r"(?<=.)_$", "", name)


def _keeps_values(name: str) -> bool:
    """Return whether an operator copies values, or converts them one by one."""
    return name in _BY_NAME and (_BY_NAME[name].reason.startswith("copies") or "_to_copy" in _BY_NAME[name].names)


def _unlisted(name: str) -> str | None:
    return None if name in _BY_NAME else "not on the list of exact operators"


def _shape_of_result(func: Any, args: Any, kwargs: Any) -> Any:
    """A stand-in for the result: an empty tensor of its type."""
    name = operator(func)
    if name in ("to", "_to_copy"):
        kind = kwargs.get("dtype") or next((x for x in args[1:] if isinstance(x, torch.dtype)), args[0].dtype)
        return torch.empty(0, dtype=kind)
    return next((x for x in _flat([*args]) if isinstance(x, Tensor)), None)


def caller(inside: Path) -> str:
    """The line of the program that asked for the operation that is being carried out."""
    frame = sys._getframe(2)
    while frame.f_back and not frame.f_code.co_filename.startswith(str(inside)):
        frame = frame.f_back
    path, line = frame.f_code.co_filename, frame.f_lineno
    return f"{path}:{line} in {frame.f_code.co_name}: {linecache.getline(path, line).strip()}"


@contextmanager
def no_inexact_numpy() -> Iterator[None]:
    """A block in which NumPy's functions that machines round differently raise AssertionError.

    The rest of the path is NumPy's: always on the CPU, one IEEE operation an element, or integers.
    """
    kept = {name: getattr(np, name) for name in ROUNDED}

    def refuse(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError(f"np.{name}, which machines round differently, at {caller(PACKAGE)}")

        return call

    try:
        for name in kept:
            setattr(np, name, refuse(name))
        yield
    finally:
        for name, function in kept.items():
            setattr(np, name, function)


# ---- another machine ----------------------------------------------------------------------------


@dataclass(eq=False)
class Elsewhere(TorchDispatchMode):
    """Another machine: whatever two machines may round differently, or leave open, is different in this block.

    times: how much larger the differences are than on a real machine, so that few data suffice to show them.

    Division by a number is a product with its rounded reciprocal; sums and products of matrices add up in another
    order; square roots of float32 and every operator that is not on the list are one unit off; what is added is
    multiplied without being rounded; of equal largest values the last is found; floats beyond an integer's range
    become its ends.
    """

    times: float = 1.0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Implements `_other`."""
        name, kwargs = operator(func), kwargs or {}
        result = _other(func, name, args, kwargs)
        if result is None:
            return func(*args, **kwargs)
        if isinstance(result, Tensor) and result.is_floating_point() and self.times != 1:
            here = func(*[a.clone() if isinstance(a, Tensor) else a for a in args], **_copied(kwargs))
            result = here + self.times * (result - here)
        if func._schema.name.endswith("_") and not name.startswith("_"):
            return args[0].copy_(result)
        return kwargs["out"].copy_(result) if "out" in kwargs else result


def _other(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """Return what another machine makes of it; None if the same."""
    x = args[0] if args and isinstance(args[0], Tensor) else None
    if name not in _BY_NAME:
        out = func(*[a.clone() if isinstance(a, Tensor) else a for a in args], **_copied(kwargs))
        return _beside(out) if isinstance(out, Tensor) else None
    if x is None:
        return None
    if name in ("to", "_to_copy", "copy"):
        return _saturated(func, args, kwargs)
    if name in ("max", "min") and len(args) > 1 and isinstance(args[1], int):
        return _last_of_equal(func, args, kwargs)
    if not x.is_floating_point():
        return None
    if name == "div" and _is_number(args[1]):
        return x * (torch.ones(1, dtype=x.dtype) / torch.tensor([float(args[1])], dtype=x.dtype))
    if name in ("mul", "add", "sub", "rsub") and (_is_number(args[1]) or abs(kwargs.get("alpha", 1)) != 1):
        return _unrounded(name, args, kwargs)
    if name == "sum":
        return _sum_in_pairs(x, args, kwargs)
    if name in ("bmm", "matmul", "mm"):
        half = x.shape[-1] // 2
        a, b = x.flip(-1), args[1].flip(-2)
        return a[..., :half] @ b[..., :half, :] + a[..., half:] @ b[..., half:, :]
    if name == "sqrt" and x.dtype == torch.float32:
        return _beside(x.sqrt())
    return None


def _copied(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: x.clone() if isinstance(x, Tensor) else x for name, x in kwargs.items()}


def _beside(x: Tensor) -> Tensor:
    return torch.nextafter(x, torch.full_like(x, torch.inf)) if x.dtype in LIMIT else x


def _saturated(func: Any, args: Any, kwargs: Any) -> Any:
    name = operator(func)
    source, kind = (args[1], args[0].dtype) if name == "copy" else (args[0], func(*args, **kwargs).dtype)
    if not isinstance(source, Tensor) or not source.is_floating_point() or kind.is_floating_point:
        return None
    if kind == torch.bool:
        return None
    bounds = torch.iinfo(kind)
    return source.double().nan_to_num(0.0).clamp(bounds.min, bounds.max).to(kind).expand(args[0].shape).clone()


def _last_of_equal(func: Any, args: Any, kwargs: Any) -> Any:
    x, dim = args[0], args[1]
    value, where = func(x.flip(dim), *args[1:], **kwargs)
    return value, x.shape[dim] - 1 - where


def _unrounded(name: str, args: Any, kwargs: Any) -> Tensor:
    """With numbers as Python has them, and products that are not rounded before they are added."""
    a, b = (x.double() if isinstance(x, Tensor) else float(x) for x in args[:2])
    alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
    found = {"mul": lambda: a * b, "add": lambda: a + alpha * b, "sub": lambda: a - alpha * b, "rsub": lambda: b - a}
    kind = args[0].dtype
    return cast("Tensor", found[name]()).to(kind)


def _sum_in_pairs(x: Tensor, args: Any, kwargs: Any) -> Tensor:
    dims = args[1] if len(args) > 1 and args[1] else list(range(x.dim()))
    keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    for dim in dims:
        while x.shape[dim] > 1:
            half = x.shape[dim] // 2
            odd = x.narrow(dim, 2 * half, x.shape[dim] - 2 * half)
            x = torch.cat([x.narrow(dim, 0, half) + x.narrow(dim, half, half), odd], dim)
    return x if keep else x.squeeze([d % x.dim() for d in dims])


if __name__ == "__main__":
    print(table())
