"""Integer tables of exp2 and of the logistic distribution.

Exponentials differ in the last bit between machines, so the exact path reads them from tables. The tables are computed once in a
process with :mod:`decimal`, whose exp is correctly rounded by definition: every machine gets the same integers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_CONTEXT = Context(prec=30, rounding=ROUND_HALF_EVEN)
_LN2 = _CONTEXT.ln(Decimal(2))

EXP2_STEPS = 64  # table steps per factor of two
EXP2_BITS = 20  # 2^0 is this power of two
LOGISTIC_STEPS = 512  # table steps per unit of the logistic's argument
LOGISTIC_BITS = 20  # probability 1 is this power of two
LOGISTIC_LIMIT = 14  # the distribution is cut at plus and minus this many scales


@lru_cache(maxsize=1)
def exp2_table() -> NDArray[np.int32]:
    """2^(EXP2_BITS - i / EXP2_STEPS) rounded, i = 0 … 21 EXP2_STEPS; the last entries are 0."""
    values = []
    for i in range(21 * EXP2_STEPS + 1):
        power = _CONTEXT.exp(_CONTEXT.multiply(_LN2, Decimal(EXP2_BITS * EXP2_STEPS - i) / EXP2_STEPS))
        values.append(int(power.to_integral_value(ROUND_HALF_EVEN)))
    values[-1] = 0
    return np.array(values, dtype=np.int32)


@lru_cache(maxsize=1)
def logistic_table() -> NDArray[np.int32]:
    """2^LOGISTIC_BITS / (1 + exp(-z)) rounded, for z = (i - LIMIT STEPS) / STEPS, i = 0 … 2 LIMIT STEPS; 0 and 2^BITS at the ends."""
    half = LOGISTIC_LIMIT * LOGISTIC_STEPS
    ratio = _CONTEXT.exp(Decimal(-1) / LOGISTIC_STEPS)
    upper, power = [], Decimal(1)
    for _ in range(half + 1):  # z = i / STEPS; 30 digits leave the running product far below one unit of error
        upper.append(int(_CONTEXT.divide(Decimal(1 << LOGISTIC_BITS), 1 + power).to_integral_value(ROUND_HALF_EVEN)))
        power = _CONTEXT.multiply(power, ratio)
    upper[-1] = 1 << LOGISTIC_BITS
    lower = [(1 << LOGISTIC_BITS) - v for v in reversed(upper[1:])]
    return np.array(lower + upper, dtype=np.int32)
