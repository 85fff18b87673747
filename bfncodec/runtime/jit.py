"""Just-in-time compilation of kernels by Numba, which the extra ``fast`` installs.

A kernel computes what NumPy or torch compute without it, to the bit. Integers are integers, and floats are added,
multiplied, divided, rounded and taken the root of one IEEE operation at a time: Numba reorders and fuses none of them
unless asked to (``fastmath``), which nothing here does.

Modules that use these decorators need Numba to be imported. :mod:`bfncodec.networks.acceleration` decides when they
are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any]) -> Any:
    """Return the function as a kernel: compiled on its first call, kept on disk, run without Python's global lock.

    Division by zero follows NumPy (no exception). Raises ImportError without Numba.
    """
    import numba

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # there is no writable folder to keep it in
        return numba.njit(nogil=True, error_model="numpy")(function)


def is_kept(kernel: Any) -> bool:
    """Return whether code of a kernel is kept on disk that this process may load: of the same source and Numba, and for
    this kind of processor.
    """
    try:
        index = kernel._cache._cache_file._load_index()
        machine = kernel.targetctx.codegen().magic_tuple()
        return any(key[1] == machine for key in index)
    except AttributeError:  # another Numba has it elsewhere, or there is no writable folder
        return False


def inlined(function: Callable[..., Any]) -> Any:
    """Return the function as a part of kernels: its code stands in them wherever they call it, so that a call costs
    nothing. Raises ImportError without Numba.
    """
    import numba

    return numba.njit(inline="always", error_model="numpy")(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Return the function as a writer of LLVM instructions for kernels to call, see `numba.extending.intrinsic`.

    Raises ImportError without Numba.
    """
    import numba.extending

    return numba.extending.intrinsic(function)
