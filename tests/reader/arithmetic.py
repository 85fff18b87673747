"""Section 1: single precision and tables, with the standard library alone."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache

LOG2E = 1.4426950408889634
STEPS = LOG2E * 64
_CONTEXT = Context(prec=40, rounding=ROUND_HALF_EVEN)
_PI = Decimal("3.14159265358979323846264338327950288419716939937510")


def singles(values: Iterable[float]) -> list[float]:
    """Numbers rounded to single."""
    return array("f", values).tolist()


def single(value: float) -> float:
    """A number rounded to single."""
    return array("f", (value,))[0]


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def rint(value: float) -> int:
    """The nearest integer, of two the even one."""
    return round(value)


def at(table: Sequence[int], index: int) -> int:
    """An entry of a table, the nearest one where the index is beyond it."""
    return table[min(max(index, 0), len(table) - 1)]


@lru_cache(maxsize=1)
def exp2_table() -> list[int]:
    """EXP2."""
    with localcontext(_CONTEXT):
        ln2 = Decimal(2).ln()
        return [*(_whole((ln2 * (1280 - i) / 64).exp()) for i in range(1344)), 0]


@lru_cache(maxsize=1)
def logistic_table() -> list[int]:
    """LOGISTIC."""
    with localcontext(_CONTEXT):
        upper = [_whole((1 << 20) / (1 + (Decimal(-i) / 512).exp())) for i in range(7168)]
    return _mirrored([*upper, 1 << 20])


@lru_cache(maxsize=1)
def normal_table() -> list[int]:
    """NORMAL. The integral of the density by its Taylor series around the left end of each step of 1/512."""
    with localcontext(_CONTEXT):
        step, phi, upper = 1 / Decimal(512), Decimal(1) / 2, []
        for i in range(4096):
            upper.append(_whole(phi * (1 << 30)))
            z = i * step
            density = (-z * z / 2).exp() / (2 * _PI).sqrt()
            # derivatives of the density are Hermite polynomials times it: H_{k+1} = z H_k - k H_{k-1}
            before, hermite, power = Decimal(0), Decimal(1), step
            for k in range(12):
                phi += (-1) ** k * hermite * density * power
                before, hermite = hermite, z * hermite - k * before
                power *= step / (k + 2)
    return _mirrored([*upper, 1 << 30])


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))


def _mirrored(upper: list[int]) -> list[int]:
    return [upper[-1] - v for v in reversed(upper[1:])] + upper
