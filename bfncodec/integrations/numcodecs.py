"""numcodecs: a codec of any buffer, for Zarr's format 2, HDF5 and whatever else takes the codecs of numcodecs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_contiguous_ndarray, ndarray_copy
from numcodecs.registry import register_codec

from bfncodec.api import decompress
from bfncodec.errors import InputError
from bfncodec.format.kinds import ARRAY_TYPES, MAX_DIMENSIONS
from bfncodec.integrations.chunks import Coder, models
from bfncodec.models import DEFAULT_LEVEL
from bfncodec.runtime.arrays import Array

__all__ = ["Bfncodec"]


class Bfncodec(Codec):
    """A numcodecs codec: buffers in, files of bfncodec out.

    Arrays of uint8 and uint16 of two dimensions and more are pictures, other numbers arrays, anything else bytes. As
    with every codec of numcodecs, bytes in the order of memory come back, not the array.

    model, level, verify: as for :func:`bfncodec.compress`. Raises InputError for what they cannot be.

    >>> codec = Bfncodec(model="none")
    >>> codec.decode(codec.encode(b"to be or not to be"))
    b'to be or not to be'
    """

    codec_id = "bfncodec"

    def __init__(self, model: str = "auto", level: int = DEFAULT_LEVEL, verify: bool = True) -> None:
        self._coder = Coder(model, level, verify)
        self.model, self.level, self.verify = self._coder.model, level, self._coder.verify

    def encode(self, buf: Any) -> bytes:
        """Return a compressed buffer. Raises InputError where a model that was named cannot code it.

        What is no contiguous buffer, or one of objects, is a TypeError or ValueError of numcodecs. Masked arrays, whose
        masks would be lost, are an InputError.
        """
        if isinstance(buf, np.ma.MaskedArray):
            raise InputError("expected a buffer, found a masked array: pass its data, and its mask, each alone")
        return self._coder.encode_chunks([_object_of(ensure_contiguous_ndarray(buf, flatten=False))])[0]

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the bytes of a buffer that was compressed, or ``out`` filled with them. Raises a FormatError."""
        made = decompress(ensure_bytes(buf), codecs=models())
        return ndarray_copy(made.tobytes() if isinstance(made, np.ndarray) else made, out)


def _object_of(array: Array) -> Any:
    """Return an array, whichever order its memory has, as an object that keeps its bytes in that order."""
    array = array if array.flags.c_contiguous else array.T
    numbers = array.dtype.str.lstrip("<>|") in ARRAY_TYPES and array.ndim <= MAX_DIMENSIONS
    if not numbers or (array.dtype.itemsize == 1 and array.ndim < 2):
        return array.tobytes()
    return array.view(array.dtype.str)  # which has no metadata


register_codec(Bfncodec)
