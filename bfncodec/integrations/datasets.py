"""Hugging Face datasets: a feature whose values are compressed files in Arrow, and objects to whoever reads them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import pyarrow
from datasets.features.features import register_feature
from PIL import Image

from bfncodec.api import compress, compress_many, decompress, decompress_many
from bfncodec.errors import InputError
from bfncodec.format.limits import OF_WRITERS
from bfncodec.integrations.chunks import models
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_flags, check_model
from bfncodec.runtime.arrays import Array
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
        check_flags(decode=self.decode)
        self.model = str(self.model)  # a path, too: tables keep settings as JSON

    def __call__(self) -> Any:
        """Return the type in Arrow, as datasets asks every feature."""
        return self.pa_type

    def encode_example(self, value: Any) -> bytes:
        """Return a compressed file. Raises InputError, and a FormatError for bytes that are none, or a damaged one."""
        if not isinstance(value, bytes):
            return compress(_image_of(value), self.model, level=self.level, codecs=models())
        open_file(value, OF_WRITERS)  # raises where it could not be decoded
        return value

    def cast_storage(self, storage: Any) -> Any:
        """Return a column of Arrow as datasets is to keep it: values that a ``map`` returned, or another feature's.

        Texts, arrays and images are compressed; what is binary is taken for compressed files. Raises InputError for a
        column of others.
        """
        types = pyarrow.types
        if any(known(storage.type) for known in (types.is_binary, types.is_large_binary, types.is_null)):
            return storage.cast(self.pa_type)
        return pyarrow.array(self.encode(_values_of(storage)), self.pa_type)

    def decode_example(self, value: bytes, token_per_repo_id: Any = None) -> Any:
        """Return the object. Raises FormatErrors."""
        return decompress(value, codecs=models())

    def encode(self, values: Sequence[Any]) -> list[bytes | None]:
        """Return the compressed file of each, coded together: for ``Dataset.map(…, batched=True)``. Errors as there.

        None, for a value that is missing, stays None.
        """
        return _each(partial(compress_many, model=self.model, level=self.level, codecs=models()), values)

    @staticmethod
    def decoded(batch: dict[str, Any], *columns: str) -> dict[str, Any]:
        """Return a batch with the objects of some columns of compressed files, decoded together: for
        ``Dataset.with_transform``. Raises FormatErrors.
        """
        return batch | {name: _each(partial(decompress_many, codecs=models()), batch[name]) for name in columns}


def _each(work: Callable[[list[Any]], list[Any]], values: Sequence[Any]) -> list[Any]:
    """Return what work makes of all values that are there, in their places."""
    made = iter(work([value for value in values if value is not None]))
    return [None if value is None else next(made) for value in values]


def _image_of(value: Any) -> Any:
    """Return the image of what datasets makes of Pillow images before features see them: a file's bytes, or its path.

    Other values stay as they are. Raises InputError for a file that is no picture.
    """
    if not isinstance(value, Mapping) or set(value) != {"bytes", "path"}:
        return value
    source = value["path"] if value["bytes"] is None else io.BytesIO(value["bytes"])
    try:
        with Image.open(source) as image:
            image.load()
            return image
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"expected an image, found a file that cannot be read as one: {error}") from error


def _values_of(storage: Any) -> list[Any]:
    """Return the values of a column as objects: texts, images, arrays of lists of numbers.

    Raises InputError for a column of others.
    """
    kind = storage.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        return list(storage.to_pylist())
    if pyarrow.types.is_struct(kind) and {part.name for part in kind} == {"bytes", "path"}:
        return [None if value is None else _image_of(value) for value in storage.to_pylist()]
    while _is_list(kind):
        kind = kind.value_type
    if not _is_list(storage.type) or not _is_number(kind):
        raise InputError(
            f"expected a column of texts, images, arrays of numbers or compressed files, found {storage.type}: "
            "compress its values with bfncodec.compress"
        )
    return [_array_of(value.values) if value.is_valid else None for value in storage]


def _is_list(kind: Any) -> bool:
    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    types = pyarrow.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _array_of(values: Any) -> Array:
    """Return lists in lists of numbers as an array. InputError for what is none, or one of which no shape is left."""
    shape = [len(values)]
    while _is_list(values.type):
        lengths = set(values.value_lengths().to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise InputError("expected an array, found lists of several lengths, or none: compress its values first")
        shape += lengths
        values = values.flatten()
    if values.null_count or not len(values):
        raise InputError("expected an array of numbers, found one without, or that lacks some: compress it first")
    array: Array = values.to_numpy(zero_copy_only=False).reshape(shape)
    return array


with warnings.catch_warnings(action="ignore"):  # that this may change in datasets, of which tests tell
    register_feature(Compressed, "Compressed")
