"""Heaps of the C library, of which GNU's gives each thread one of its own, up to eight for each processor.

What a heap keeps of work that has come to an end is no room for the next work, where that is done by a new thread with
another heap. See https://man7.org/linux/man-pages/man3/mallopt.3.html.
"""

from __future__ import annotations

import ctypes
import sys

ARENA_MAX = -8  # number of the parameter


def limit_heaps(count: int) -> bool:
    """Have the threads of this process share so many heaps from now on. Returns whether they do, which only GNU's
    library can be told.
    """
    function = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return function is not None and bool(function(ARENA_MAX, count))
