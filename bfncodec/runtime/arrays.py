"""Names for the types of arrays, by what the arrays hold.

Type checkers read the definitions; at run time each name is ``Any``. So importing this module does not import NumPy,
and neither does a module that only names arrays in its annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Array", "Bytes", "Floats", "Floats32", "Ints", "Ints32", "Pixels", "Words"]

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    """Numbers of any type and shape."""
    Pixels = np.ndarray[Any, Any]
    """A picture or a part of one: uint8 or uint16 ``[H, W, C]``."""
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Words = np.ndarray[Any, np.dtype[np.uint32]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Ints32 = np.ndarray[Any, np.dtype[np.int32]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Floats32 = np.ndarray[Any, np.dtype[np.float32]]
else:
    Array = Pixels = Bytes = Words = Ints = Ints32 = Floats = Floats32 = Any
