"""Integer tables of exp2 and of the logistic distribution.

Exponentials differ in the last bit between machines, so the exact path reads them from tables. The tables are
computed once in a process with :mod:`decimal`, whose exp is correctly rounded by definition, and one IEEE operation an
entry: every machine gets the same integers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache

import numpy as np

from bfncodec.runtime.arrays import Floats, Ints32

_CONTEXT = Context(prec=30, rounding=ROUND_HALF_EVEN)
_LN2 = _CONTEXT.ln(Decimal(2))

LOG2_E = 1.4426950408889634
EXP2_STEPS = 64  # table steps per factor of two
EXP2_BITS = 20  # 2^0 is this power of two
LOGISTIC_STEPS = 512  # table steps per unit of the logistic's argument
LOGISTIC_BITS = 20  # probability 1 is this power of two
LOGISTIC_LIMIT = 14  # the distribution is cut at plus and minus this many scales
LOGISTIC_VARIANCE = 3.289868133696453  # of scale 1, pi^2 / 3
NORMAL_STEPS = 512  # table steps per standard deviation
NORMAL_BITS = 30  # probability 1 is this power of two
NORMAL_LIMIT = 8  # the distribution is cut at plus and minus this many standard deviations
_PI = Decimal("3.14159265358979323846264338327950288")


@lru_cache(maxsize=1)
def exp2_table() -> Ints32:
    """2^(EXP2_BITS - i / EXP2_STEPS) rounded, i = 0 … 21 EXP2_STEPS; the last entries are 0."""
    octave, most = _exponentials(_LN2, EXP2_STEPS, EXP2_STEPS), EXP2_BITS + 1  # from which on powers round to 0
    values = np.rint(np.ldexp(octave, EXP2_BITS - np.arange(most + 1)[:, None]).ravel()[: most * EXP2_STEPS + 1])
    values[-1] = 0
    return values.astype(np.int32)


@lru_cache(maxsize=1)
def logistic_table() -> Ints32:
    """2^LOGISTIC_BITS / (1 + exp(-z)) rounded, for z = (i - LIMIT STEPS) / STEPS, i = 0 … 2 LIMIT STEPS; 0 and 2^BITS
    at the ends.

    exp(-z) is a running product, 2^-39 of it off after all steps and entries less than 2^-20; none is within 2^-16 of
    a tie.
    """
    factors = np.full(LOGISTIC_LIMIT * LOGISTIC_STEPS + 1, _exponentials(Decimal(1), LOGISTIC_STEPS, 2)[1])
    factors[0] = 1
    power = np.multiply.accumulate(factors)  # exp(-z) for z = i / STEPS
    upper = np.rint(2.0**LOGISTIC_BITS / (1 + power)).astype(np.int32)
    upper[-1] = 1 << LOGISTIC_BITS
    return np.concatenate([(1 << LOGISTIC_BITS) - upper[:0:-1], upper])


def _exponentials(scale: Decimal, steps: int, count: int) -> Floats:
    """exp(-scale i / steps), i = 0 … count - 1, float64, each correctly rounded."""
    with localcontext(_CONTEXT):
        return np.array([float((-scale * i / steps).exp()) for i in range(count)])


def logarithm_table(bits: int, unit: int) -> Ints32:
    """ln(1 + (i + 1/2) / 2^bits) in units of 2^-unit, rounded, i = 0 … 2^bits - 1.

    It is a running sum of ln((n + 1) / (n - 1)) = 2 (1/n + 1/3n^3 + …). 2^10 entries in units of 2^-16 are less than
    2^-20 off; none is within 2^-11 of a tie.
    """
    count = 1 << bits
    z = 1 / (2.0 * (count + np.arange(count)))  # 1/n of the step to each entry
    z[0] = 1 / (4.0 * count + 1)  # half a step
    logarithms = np.add.accumulate(2 * (z + z * z * z / 3))
    return np.rint(logarithms * float(1 << unit)).astype(np.int32)


@lru_cache(maxsize=1)
def normal_table() -> Ints32:
    """2^NORMAL_BITS times the normal distribution function at z = (i - LIMIT STEPS) / STEPS, rounded, i = 0 … 2 LIMIT
    STEPS.

    Simpson's rule over steps this small is wrong by less than 1e-13; 0 and 2^BITS at the ends.
    """
    half = NORMAL_LIMIT * NORMAL_STEPS
    density = _normal_density(2 * half)  # at half steps, not normalised
    upper, total = [], Decimal(1) / 2
    with localcontext(_CONTEXT):
        scale = 1 / (6 * NORMAL_STEPS * (2 * _PI).sqrt())
        for i in range(half + 1):
            upper.append(int((total * (1 << NORMAL_BITS)).to_integral_value(ROUND_HALF_EVEN)))
            if i < half:
                total += scale * (density[2 * i] + 4 * density[2 * i + 1] + density[2 * i + 2])
    upper[-1] = 1 << NORMAL_BITS
    lower = [(1 << NORMAL_BITS) - v for v in reversed(upper[1:])]
    return np.array(lower + upper, dtype=np.int32)


def _normal_density(count: int) -> list[Decimal]:
    """exp(-z^2 / 2) at z = i / (2 STEPS), i = 0 … count, by the ratios of neighbours."""
    step = _CONTEXT.divide(Decimal(1), Decimal(2 * NORMAL_STEPS))
    # of the first two; each next one is smaller by `change`
    ratio = _CONTEXT.exp(_CONTEXT.divide(_CONTEXT.multiply(step, step), Decimal(-2)))
    change = _CONTEXT.multiply(ratio, ratio)
    values = [Decimal(1)]
    for _ in range(count):
        values.append(_CONTEXT.multiply(values[-1], ratio))
        ratio = _CONTEXT.multiply(ratio, change)
    return values
