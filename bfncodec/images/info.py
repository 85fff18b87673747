"""Info of Pillow images: what a JSON object holds as it is, bytes, and everything else as a tree.

A value comes back equal and of its type, or is refused: nothing is left out. Writers stand above their readers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from bfncodec.errors import DamagedError, InputError, reading
from bfncodec.format.extras import Extra, Tag

__all__ = ["filter_info", "read_info", "write_info"]

_FALSE_OF_REGIONS = {"exif", "xmp", "XML:com.adobe.xmp", "photoshop", "Raw profile type exif", "mp", "mpoffset"}
_GROUPS: dict[str, Any] = {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset}
_DEEPEST = 40  # groups within groups
_LONGEST = 1 << 13  # bits of a whole number


def write_info(info: Mapping[Any, Any]) -> tuple[Extra, ...]:
    """Return the extras that hold an image's info. InputError for a value that would not come back."""
    plain, rest, extras = {}, [], []
    for name, value in info.items():
        if type(name) is str and _is_plain(value):
            plain[name] = value
        elif type(name) is str and type(value) is bytes and "\0" not in name and name.isprintable():
            extras.append(Extra(Tag.INFO_BYTES, name.encode() + b"\0" + value))
        else:
            rest.append([_node(name, name, 0), _node(value, name, 0)])
    first = (Extra(Tag.INFO, _to_json(plain)),) if plain else ()
    return (*first, *extras, *((Extra(Tag.INFO_TREE, _to_json(rest)),) if rest else ()))


def read_info(extras: tuple[Extra, ...]) -> dict[Any, Any]:
    """Return the info that :func:`write_info` was given. DamagedError for extras that it does not make."""
    info: dict[Any, Any] = {}
    with reading("the picture's info cannot be read"):
        for extra in extras:
            if extra.tag == Tag.INFO:
                found = _from_json(extra.value).items()
                info |= {name: tuple(value) if isinstance(value, list) else value for name, value in found}
            elif extra.tag == Tag.INFO_BYTES:
                name, zero, value = extra.value.partition(b"\0")
                if not zero:
                    raise DamagedError("info that is bytes has no name")
                info[name.decode()] = value
            elif extra.tag == Tag.INFO_TREE:
                info |= {_value(name): _value(value) for name, value in _from_json(extra.value)}
    return info


def filter_info(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    """Return the extras of a Pillow image that hold for a region of it too. DamagedError for info that cannot be."""
    kept = tuple(extra for extra in extras if extra.tag not in (Tag.INFO, Tag.INFO_BYTES, Tag.INFO_TREE))
    with reading("the picture's info cannot be that of a region"):
        info = {name: value for name, value in read_info(extras).items() if name not in _FALSE_OF_REGIONS}
        return (*kept, *write_info(info))


def _is_plain(value: Any) -> bool:
    """Return whether JSON brings a value back: None, numbers, strings, and a tuple of such.

    A tuple becomes a list, which :func:`read_info` makes a tuple again.
    """
    if type(value) is tuple:
        return all(type(item) is not tuple and _is_plain(item) for item in value)
    return value is None or type(value) in (bool, float, str) or _is_whole(value)


def _is_whole(value: object) -> bool:
    return type(value) is int and value.bit_length() <= _LONGEST


# ---- trees ------------------------------------------------------------------------------------


def _node(value: Any, name: Any, depth: int) -> Any:
    """Return a value as JSON: one that is no number or string is a list, of which the first element names its type.

    name: the name in the info, for the error. depth: of groups around the value. InputError for any other type.
    """
    if value is None or type(value) in (bool, float, str) or _is_whole(value):
        return value
    if depth < _DEEPEST:
        for type_name, group in _GROUPS.items():
            if type(value) is group:
                return [type_name, *(_node(item, name, depth + 1) for item in value)]
        if type(value) is dict:
            return ["dict", *([_node(part, name, depth + 1) for part in item] for item in value.items())]
    if type(value) is bytes:
        return ["bytes", base64.b64encode(value).decode()]
    if (numbers := _numbers(value)) is not None:
        return numbers
    if (parts := _text(value)) is not None:
        return ["iTXt", *(_node(part, name, depth + 1) for part in parts)]
    found = f"{type(value).__module__}.{type(value).__qualname__}"
    raise InputError(
        f"expected info of numbers, text, bytes and groups of them, found {found} "
        f"as info[{name!r}], which is not kept: delete it, or pass the bytes of the picture's file"
    )


def _value(node: Any) -> Any:
    """Return the value of which :func:`_node` made JSON. ValueError and others for JSON that it does not make."""
    if not isinstance(node, list):
        return node
    type_name, *parts = node
    if type_name in _GROUPS:
        return _GROUPS[type_name](map(_value, parts))
    if type_name == "dict":
        return {_value(key): _value(value) for key, value in parts}
    if type_name == "bytes":
        return base64.b64decode(parts[0], validate=True)
    if type_name == "Fraction":
        return Fraction(*parts)
    if type_name == "IFDRational":
        from PIL.TiffImagePlugin import IFDRational

        return IFDRational(*parts)
    if type_name == "iTXt":
        from PIL.PngImagePlugin import iTXt

        return iTXt(*map(_value, parts))
    raise ValueError(f"a value of type {type_name!r}")


def _numbers(value: Any) -> list[Any] | None:
    """Return a ratio of whole numbers, as TIFF's resolutions are, as JSON; None for any other value."""
    if type(value) is Fraction and _is_whole(value.numerator) and _is_whole(value.denominator):
        return ["Fraction", value.numerator, value.denominator]
    from PIL.TiffImagePlugin import IFDRational

    if type(value) is IFDRational and _is_whole(value.numerator) and _is_whole(value.denominator):
        return ["IFDRational", value.numerator, value.denominator]
    return None


def _text(value: Any) -> tuple[Any, ...] | None:
    """Return text, language and keyword of Pillow's text of a PNG file, a subclass of str; None for any other value."""
    from PIL.PngImagePlugin import iTXt

    if type(value) is not iTXt:
        return None
    return str(value), getattr(value, "lang", None), getattr(value, "tkey", None)


def _to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _from_json(text: bytes) -> Any:
    return json.loads(text.decode("utf-8", "surrogatepass"))
