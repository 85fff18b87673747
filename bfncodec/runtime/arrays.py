"""Names for the types of arrays, by what the arrays hold.

Type checkers read the definitions; at run time each name is ``Any``. So importing this module does not import NumPy,
and neither does a module that only names arrays in its annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Array", "Bytes", "Floats", "Floats32", "Ints", "Ints32", "Pixels", "Words"]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    """Numbers of any type and shape."""
    Pixels = NDArray[Any]
    """A picture or a part of one: uint8 or uint16 ``[H, W, C]``."""
    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint32]
    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Floats = NDArray[np.float64]
    Floats32 = NDArray[np.float32]
else:
    Array = Pixels = Bytes = Words = Ints = Ints32 = Floats = Floats32 = Any
