"""Objects to contents and back, and the comparison of what comes back with what was given.

Only what comes back equal and of the same type is taken; for everything else an error says what to pass instead.
"""

from __future__ import annotations

import logging
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfncodec.content.arrays import Arrays
from bfncodec.content.folder import Folder, checksum, make_files
from bfncodec.content.items import Items
from bfncodec.content.types import Content, Plain, Wrapper
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.extras import Tag
from bfncodec.format.kinds import ARRAY_TYPES, MAX_DIMENSIONS, Kind, Origin
from bfncodec.format.limits import Limits
from bfncodec.images.files import same_file, write_file
from bfncodec.images.picture import Picture, array_of_picture, image_of_picture, picture_of_array, picture_of_image
from bfncodec.runtime.arrays import Array

if TYPE_CHECKING:
    from PIL import Image


__all__ = ["array_or_object", "check_rows", "content_of", "content_of_array", "object_of", "same_object"]

_LOG = logging.getLogger("bfncodec")
_EXPECTED = "expected bytes, str, an array of numbers or a Pillow image"
_NOT_KEPT = "would come back as its base type"


# ---- from objects -----------------------------------------------------------------------------


def content_of(data: Any) -> Content:
    """Return the content of bytes, bytearray, a memoryview of bytes, str, an array of numbers or a Pillow image.

    Raises InputError, which says what to pass instead, for anything that would not come back equal and of its type.
    """
    if type(data) is bytes:
        return Plain(data)
    if type(data) is bytearray:
        return Plain(bytes(data), wrapper=Wrapper.BYTEARRAY)
    if type(data) is memoryview:
        return Plain(_bytes_of_view(data), wrapper=Wrapper.MEMORYVIEW)
    if type(data) is str:
        return Plain(data.encode("utf-8", "surrogatepass"), Kind.STR)
    numpy, pillow = sys.modules.get("numpy"), sys.modules.get("PIL.Image")  # there, if data is of them
    if numpy is not None and type(data) is numpy.ndarray:
        return _content_of_array(data)
    if pillow is not None and isinstance(data, pillow.Image):
        if data.width * data.height > Limits.pixels:
            raise InputError(f"expected at most {Limits.pixels} pixels, found {data.width} x {data.height}: cut it")
        return picture_of_image(data)
    raise InputError(f"{_EXPECTED}, found {_name_of(data)}: {_advice(data)}")


def check_rows(items: Any) -> None:
    """Raise InputError for what has rows and would lose something, or the order of these, were they taken as items.

    Arrays on the disk are taken, those of other libraries too, as long as their rows are arrays of NumPy's types.
    """
    import numpy as np

    if type(items) in (np.ndarray, np.memmap):
        return
    of_numpy = isinstance(getattr(items, "dtype", None), np.dtype)
    if isinstance(items, np.ndarray) or hasattr(items, "to_numpy") or not of_numpy:
        raise InputError(f"expected an array with rows, or items, found {_name_of(items)}: {_advice(items)}")


def _bytes_of_view(view: memoryview) -> bytes:
    try:
        is_plain = view.format == "B" and view.ndim == 1
        shown = f"format {view.format!r} and {view.ndim} dimensions"
        data = view.tobytes()
    except ValueError as error:  # a view that was released
        raise InputError(f"expected a memoryview of bytes, found one that cannot be read: {error}") from error
    if not is_plain:
        raise InputError(
            f"expected a memoryview of bytes in one dimension, found {shown}: "
            "pass view.tobytes() or numpy.asarray(view)"
        )
    return data


def _content_of_array(array: Array) -> Content:
    picture = picture_of_array(array)
    small = picture is not None and picture.pixels.shape[0] * picture.pixels.shape[1] <= Limits.pixels
    return picture if picture is not None and small else content_of_array(array)


def content_of_array(array: Array) -> Plain:
    """Return the content of an array as such, also of one that would be taken for a picture. Raises InputError."""
    name = _type_name(array)
    if name is None:
        raise InputError(f"expected an array of numbers, found dtype {array.dtype}: {_advice_on_type(array)}")
    if array.ndim > MAX_DIMENSIONS:
        raise InputError(
            f"expected an array of at most {MAX_DIMENSIONS} dimensions, found {array.ndim}: reshape it, "
            "and keep its shape beside it"
        )
    return Plain(array.tobytes(), Kind.ARRAY, name, tuple(map(int, array.shape)))


def _type_name(array: Array) -> str | None:
    """Return the element type as headers name it, None for one that they lack."""
    import numpy as np

    name = array.dtype.str.lstrip("<|")
    if name not in ARRAY_TYPES or array.dtype.metadata is not None:
        return None
    return name if np.dtype(array.dtype.str) == array.dtype else None


# ---- what to pass instead ---------------------------------------------------------------------


def _name_of(data: object) -> str:
    """Return the type of an object as its users write it."""
    kind = type(data)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _advice(data: object) -> str:
    """Return advice on what to pass instead of an object that is not taken."""
    if isinstance(data, str):
        return f"it {_NOT_KEPT}; pass str(data), or data.value of an enum"
    if isinstance(data, (bytes, bytearray)):
        return f"it {_NOT_KEPT}; pass bytes(data)"
    if isinstance(data, Path):
        return "pass data.read_bytes(), or call bfncodec.compress_file(data)"
    if _is_a(data, "torch", "Tensor"):
        return "pass tensor.numpy(), or tensor.detach().cpu().numpy()"
    if _is_a(data, "numpy", "ndarray"):
        return _advice_on_subclass(data)
    if _is_a(data, "numpy", "generic"):
        return "pass numpy.asarray(data), an array without dimensions"
    if isinstance(data, Mapping):
        return "files by their path are taken with a model of pictures of one shape: name one"
    if _is_a(data, "mmap", "mmap"):
        return "pass data[:]"
    if _is_a(data, "array", "array"):
        return "pass numpy.asarray(data), or data.tobytes()"
    if callable(getattr(data, "read", None)):
        return "pass data.read()"
    if hasattr(data, "to_numpy"):
        return "pass data.to_numpy()"
    if hasattr(data, "__array__") or hasattr(data, "__array_interface__") or isinstance(data, (list, tuple)):
        return "pass numpy.asarray(data)"
    return "turn it into bytes first"


def _is_a(data: object, module: str, name: str) -> bool:
    """Return whether it is an instance of a class of a module that need not have been imported."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(data, found)


def _advice_on_subclass(array: Any) -> str:
    import numpy as np

    if isinstance(array, np.ma.MaskedArray):
        return "pass numpy.asarray(data.data) and numpy.ma.getmaskarray(data), each alone"
    return f"it {_NOT_KEPT}; pass numpy.asarray(data)"


def _advice_on_type(array: Array) -> str:
    dtype = array.dtype
    if dtype.metadata is not None:
        return "its metadata would be lost; pass array.view(array.dtype.str)"
    if dtype.names is not None:
        return "pass each of its fields, array[name]"
    if dtype.hasobject:
        return "pass arrays of numbers, or bytes"
    if dtype.kind in "mM":
        return f"pass array.view('{dtype.str[0]}i8'), and keep the unit beside it"
    if dtype.kind in "fc":
        return f"pass array.astype('{'float64' if dtype.kind == 'f' else 'complex128'}') if that is enough"
    return "pass array.tobytes(), and keep dtype and shape beside it"


# ---- back to objects --------------------------------------------------------------------------


def object_of(content: Content) -> Any:
    """Return the object of a content; the bytes of a picture that was a file, and of each file of a folder.

    Of an archive those of all items: by their names, or in a list.

    Logs a file that was to come back byte for byte and does not.
    """
    if isinstance(content, Folder):
        return _told(content, make_files(content))
    if isinstance(content, Items):
        made = [object_of(item) for item in content.contents]
        return made if content.names is None else dict(zip(content.names, made, strict=True))
    if isinstance(content, Arrays):
        return content.file
    if isinstance(content, Plain):
        return _object_of_plain(content)
    if content.origin.is_array:
        return array_of_picture(content)
    if content.origin is Origin.OBJECT:
        return image_of_picture(content)
    return _told(content, write_file(content))


def array_or_object(content: Content, arrays: bool) -> Any:
    """Return the object of a content. arrays: of any picture its pixels, uint8 or uint16 [H, W] or [H, W, C]."""
    if arrays and isinstance(content, Picture):
        return content.pixels[:, :, 0] if content.pixels.shape[2] == 1 else content.pixels
    return object_of(content)


def _told(content: Content, made: Any) -> Any:
    if not _keeps_promise(content, made):
        _LOG.warning(
            "the picture is right, but its file is not byte for byte the one that was compressed: a library here packs "
            "pixels otherwise (zlib, or libwebp of WebP files); keep the compressed file and decompress it where they "
            "are of the versions that compressed it"
        )
    return made


def is_identical(content: Content, made: Any) -> bool:
    """Return whether a file, or the files by path, made of a content are what was compressed, byte for byte."""
    if isinstance(content, Items):
        parts = made.values() if isinstance(made, dict) else made
        return all(is_identical(item, part) for item, part in zip(content.contents, parts, strict=True))
    is_file = isinstance(content, Folder) or content.header.is_file_of_pixels
    return not is_file or (content.header.is_identical and _keeps_promise(content, made))


def _keeps_promise(content: Content, made: Any) -> bool:
    """Return whether a file, or the files by path, made of a content are what the compressed file says they become."""
    promised = content.header.extra(Tag.SOURCE)
    if promised is None:
        return True
    found = checksum(made) if isinstance(content, Folder) else zlib.crc32(made).to_bytes(4, "little")
    return found.startswith(promised)


def _object_of_plain(content: Plain) -> Any:
    if content.kind is Kind.BYTES:
        return {Wrapper.BYTEARRAY: bytearray, Wrapper.MEMORYVIEW: memoryview}.get(content.wrapper, bytes)(content.data)
    if content.kind is Kind.STR:
        try:
            return content.data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise DamagedError(f"expected UTF-8 text, found {error.reason} at byte {error.start}") from error
    import numpy as np

    order = "" if content.dtype.startswith(">") else "<"
    return np.frombuffer(content.data, order + content.dtype).reshape(content.shape).copy()


# ---- comparison -------------------------------------------------------------------------------


def same_object(given: Any, made: Any) -> bool:
    """Return whether what came back is equal to what was given, to the bit, and of its type.

    A Pillow image that was opened from a file comes back as a plain ``PIL.Image.Image``: compared are mode, pixels,
    palette and info. Of files by path picture files may be packed otherwise: pixels and all beside them are compared.
    """
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(given, pillow.Image):
        return type(made) is pillow.Image and _same_image(given, made)
    if isinstance(given, Mapping):
        return isinstance(made, dict) and set(given) == set(made) and all(_same_file(given[k], made[k]) for k in made)
    if type(given) is not type(made):
        return False
    if _is_a(given, "numpy", "ndarray"):
        shape = given.dtype.str, given.shape
        return shape == (made.dtype.str, made.shape) and given.tobytes() == made.tobytes()
    return bool(given == made)


def _same_image(given: Image.Image, made: Image.Image) -> bool:
    if (given.mode, given.size) != (made.mode, made.size) or given.tobytes() != made.tobytes():
        return False
    if given.mode == "P" and given.getpalette(rawmode=None) != made.getpalette(rawmode=None):
        return False
    return set(given.info) == set(made.info) and all(
        _same_value(given.info[name], made.info[name]) for name in made.info
    )


def _same_value(given: object, made: object) -> bool:
    return bool(given == made) or repr(given) == repr(made)  # NaN does not equal itself


def _same_file(given: bytes, made: bytes) -> bool:
    return same_file(bytes(given), made)
