"""Files on disk as items of an archive: arrays and tables by their rows, folders by their files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfncodec.errors import InputError, reading
from bfncodec.files.archiving import FileItem
from bfncodec.files.places import folder_at
from bfncodec.files.sources import Identity, walk

if TYPE_CHECKING:
    import zipfile

__all__ = ["check_alone", "items_of", "source_bytes"]

_BATCH = 1024  # rows of a table that are read at once


def items_of(paths: Sequence[Path], on_skip: Callable[[str, str], None] | None = None) -> Any:
    """Return the items in files and folders, as :func:`bfncodec.write_archive` takes them.

    One .npy file gives the rows of its array, without names. Beside that

    - a folder gives its files, and those of the folders in it, by their relative paths;
    - a .npz file the rows of its arrays, and a .parquet file the values of its columns, which are text, bytes or
      numbers: ARRAY/NUMBER, COLUMN/NUMBER;
    - any other file itself, by its name.

    Where there are several sources their names without suffix come first. on_skip: called with the path of what is
    neither file nor folder, and with what it is; without it that is an error. Raises InputError.
    """
    if len(paths) == 1 and _suffix(paths[0]) == ".npy":
        return _array(paths[0])
    several = len(paths) > 1
    return (pair for path in paths for pair in _named(path, several, on_skip))


def source_bytes(paths: Sequence[Path]) -> int:
    """Return the bytes of files on the disk, and of those in folders that are items. Raises InputError."""
    files = chain.from_iterable(walk(path, lambda *_: None) if folder_at(path) else [path] for path in paths)
    return sum(map(_size, files))


def _size(file: Path) -> int:
    """Return the bytes of a file. Raises InputError for one that is gone."""
    try:
        return file.stat().st_size
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}; compress what is there now") from error


def _suffix(path: Path) -> str:
    return "" if folder_at(path) else path.suffix.lower()


def _named(path: Path, several: bool, on_skip: Callable[[str, str], None] | None) -> Iterator[tuple[str, Any]]:
    """Yield name and item of everything in a source."""
    before = f"{path.stem}/" if several else ""
    if folder_at(path):
        for file in walk(path, on_skip):
            yield (f"{path.name}/" if several else "") + file.relative_to(path).as_posix(), FileItem(file)
    elif _suffix(path) == ".npy":
        yield from _rows(before, _array(path))
    elif _suffix(path) == ".npz":
        import numpy as np

        with reading(f"expected a .npz file, {path}"):
            arrays = np.load(path, allow_pickle=False)
        with arrays:
            for name in arrays.files:
                yield from _rows(f"{before}{name}/", _member(arrays.zip, name, path))
    elif _suffix(path) == ".parquet":
        yield from _columns(before, path)
    else:
        yield path.name, FileItem(path)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    """Return an array of a .npz file. Raises InputError for any other file in it, and for bytes behind the array."""
    import numpy as np

    npy = np.lib.format
    with (
        reading(f"expected arrays of numbers, {path}"),
        archive.open(name if name in archive.namelist() else f"{name}.npy") as file,
    ):
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise InputError(f"expected arrays of numbers in {path}, found another file, {name!a}: unpack it")
        file.seek(0)
        array = npy.read_array(file, allow_pickle=False)
        check_alone(len(file.read()), f"{path}, {name!a}")
    return array


def check_alone(behind: int, what: str) -> None:
    """Raise InputError for a .npy file with bytes behind its array, such as a second one: NumPy reads past none."""
    if behind:
        raise InputError(
            f"expected one array, found {behind} bytes behind it in {what}: they would be lost",
            python="compress_file takes the file as it is",
            command="compress it without --items, which takes the file as it is",
        )


def _array(path: Path) -> Any:
    """Return the array in a .npy file, whose rows are read when they are asked for, if they are one after the other."""
    import numpy as np

    with reading(f"expected a .npy file, {path}"):
        known = Identity.of(path.stat())
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        check_alone(known.size - mapped.offset - mapped.nbytes, str(path))
        array = _Rows(path, known, mapped.offset, mapped.dtype, mapped.shape)
        if not mapped.flags.c_contiguous:
            return np.load(path, allow_pickle=False)
    if not array.ndim:
        raise InputError(f"expected an array with rows, found a number in {path}: compress it as it is")
    return array


@dataclass(frozen=True)
class _Rows:
    """Rows of the array in a .npy file.

    No memory map has them: where another process makes the file shorter, the system ends whoever reads there.

    known: the file as it was when its head was read. start: byte of the first row.
    """

    path: Path
    known: Identity
    start: int
    dtype: Any
    shape: tuple[int, ...]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: int | slice) -> Any:
        """Return a row, or several. Raises InputError where the file cannot be read, or was changed."""
        import numpy as np

        rows = range(len(self))[which]
        if isinstance(rows, int):
            return self[rows : rows + 1].reshape(self.shape[1:])
        size = self.dtype.itemsize * prod(self.shape[1:])
        data = self._read(self.start + size * rows.start, size * len(rows))
        return np.ndarray((len(rows), *self.shape[1:]), self.dtype, data)

    def _read(self, start: int, size: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                data, now = file.read(size), Identity.of(os.fstat(file.fileno()))
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if not now.has_content_of(self.known):
            raise InputError(f"{self.path} was changed while it was read: try again when no other program writes to it")
        return data


def _rows(before: str, array: Any) -> Iterator[tuple[str, Any]]:
    """Yield the rows of an array, or itself where it has none."""
    import numpy as np

    if not array.ndim or not len(array):
        yield before.removesuffix("/"), np.array(array[:] if array.ndim else array)
        return
    digits = len(str(len(array) - 1))
    for number in range(len(array)):
        yield f"{before}{number:0{digits}}", np.array(array[number : number + 1]).reshape(array.shape[1:])


def _columns(before: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the values of a table, a column after the other. Raises InputError for what is no item."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow: pip install 'bfncodec[arrow]'") from error
    with reading(f"expected a .parquet file, {path}"):
        table = parquet.ParquetFile(path)
    with table:
        if not table.metadata.num_rows:
            raise InputError(f"expected a table with rows, found none in {path}: compress it as it is")
        digits, names = len(str(table.metadata.num_rows - 1)), table.schema_arrow.names
        if len(set(names)) < len(names):
            raise InputError(f"expected each name of a column once, found one again in {path}: rename one")
        for column in names:
            for number, value in enumerate(_values(table, column)):
                yield f"{before}{column}/{number:0{digits}}", value


def _values(table: Any, column: str) -> Iterator[Any]:
    """Yield the values of a column: numbers with its element type."""
    for batch in table.iter_batches(_BATCH, columns=[column]):
        values = batch.column(column)
        if values.null_count:
            raise InputError(f"expected a value in every row of column {column}, found none in {values.null_count}")
        values = values.dictionary_decode() if hasattr(values, "dictionary_decode") else values
        if _is_of_numbers(values.type):
            array = values.to_numpy(zero_copy_only=False)
            yield from (array[number : number + 1].reshape(()) for number in range(len(array)))
        else:
            yield from (_value(value, column) for value in values.to_pylist())


def _is_of_numbers(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _value(value: Any, column: str) -> str | bytes:
    if isinstance(value, dict) and value.keys() == {"bytes", "path"}:  # a picture of Hugging Face
        value = value["bytes"]
    if not isinstance(value, (str, bytes)):
        raise InputError(f"expected text, bytes or numbers in column {column}, found {type(value).__name__}")
    return value
