"""Hugging Face datasets: a feature whose values are compressed files in Arrow, and objects to whoever reads them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow
from datasets.features.features import register_feature

from bfncodec.api import compress, compress_many, decompress, decompress_many
from bfncodec.format.limits import OF_WRITERS
from bfncodec.integrations.chunks import models
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_model
from bfncodec.segments.opening import open_file

__all__ = ["Compressed"]


@dataclass
class Compressed:
    """A feature of arrays, pictures and texts, ``Features({"image": Compressed()})``: compressed when a row is written,
    decompressed when one is read, one by one. :meth:`encode` and :meth:`decoded` are for columns of many.

    model, level: as for :func:`bfncodec.compress`; Arrow tables keep them. decode: whether rows have the objects, or
    the compressed files they are stored as. Bytes that are given are such files; bytes to be compressed go through
    :func:`bfncodec.compress` first. Raises InputError for what an argument cannot be.
    """

    model: str = "auto"
    level: int = DEFAULT_LEVEL
    decode: bool = True
    dtype: ClassVar[str] = "binary"
    pa_type: ClassVar[Any] = pyarrow.binary()
    _type: str = field(default="Compressed", init=False, repr=False)

    def __post_init__(self) -> None:
        check_model(self.model)
        check_level(self.level)

    def __call__(self) -> Any:
        """Return the type in Arrow, as datasets asks every feature."""
        return self.pa_type

    def encode_example(self, value: Any) -> bytes:
        """Return a compressed file. Raises InputError, and a FormatError for bytes that are none, or a damaged one."""
        if not isinstance(value, bytes):
            return compress(value, self.model, level=self.level, codecs=models())
        open_file(value, OF_WRITERS)  # raises where it could not be decoded
        return value

    def decode_example(self, value: bytes, token_per_repo_id: Any = None) -> Any:
        """Return the object. Raises FormatErrors."""
        return decompress(value, codecs=models())

    def encode(self, values: Sequence[Any]) -> list[bytes]:
        """Return the compressed file of each, coded together: for ``Dataset.map(…, batched=True)``. Errors as there."""
        return compress_many(values, self.model, level=self.level, codecs=models())

    @staticmethod
    def decoded(batch: dict[str, Any], *columns: str) -> dict[str, Any]:
        """Return a batch with the objects of some columns of compressed files, decoded together: for
        ``Dataset.with_transform``. Raises FormatErrors.
        """
        return batch | {name: decompress_many(batch[name], codecs=models()) for name in columns}


with warnings.catch_warnings(action="ignore"):  # that this may change in datasets, of which tests tell
    register_feature(Compressed, "Compressed")
