"""Arrays that begin with a line of the processor's cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bfncodec.runtime.arrays import Array

LINE = 64  # bytes of a line of the cache


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros that begin with a line of the processor's cache, as no register of them then lies in two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    found: Array = room[first : first + size].view(dtype).reshape(shape)
    return found
