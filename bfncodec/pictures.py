"""Pictures: pixels with all that makes them the object they were.

A :class:`Picture` is what a file's header and segments describe; here it is made of, and turned
back into, numpy arrays and Pillow images. Picture *files* are :mod:`bfncodec.imagefiles`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from numbers import Rational
from typing import TYPE_CHECKING, Any

from bfncodec.errors import DamagedError, InputError
from bfncodec.header import Extra, Header, Kind, Mode, Origin, Tag
from bfncodec.tiles import from_image, to_image

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Pixels = np.ndarray[Any, Any]

__all__ = [
    "Picture",
    "array_of_picture",
    "filter_info",
    "image_of_picture",
    "picture_of_array",
    "picture_of_image",
]

_ARRAY_MODES = {
    ("uint8", 1): Mode.L,
    ("uint8", 2): Mode.LA,
    ("uint8", 3): Mode.RGB,
    ("uint8", 4): Mode.RGBA,
    ("uint16", 1): Mode.I16,
    ("uint16", 3): Mode.RGB16,
}


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels ``[H, W, C]`` (see :mod:`bfncodec.tiles`), their mode, origin and metadata."""

    pixels: Pixels
    mode: Mode
    origin: Origin
    extras: tuple[Extra, ...] = ()

    @property
    def header(self) -> Header:
        """What the file's header says of it."""
        return Header(Kind.IMAGE, self.origin, self.mode, extras=self.extras)

    def same(self, other: Picture) -> bool:
        """Equality of everything a file keeps."""
        import numpy as np

        return self.header == other.header and np.array_equal(self.pixels, other.pixels)


# ---- numpy arrays -----------------------------------------------------------------------------


def picture_of_array(array: Pixels) -> Picture | None:
    """An array that is a picture: ``[H, W]`` or ``[H, W, 2 to 4]``; None for any other."""
    channels = array.shape[2] if array.ndim == 3 else 1
    mode = _ARRAY_MODES.get((array.dtype.name, channels))
    if mode is None or array.ndim not in (2, 3) or not array.size or array.shape[2:] == (1,):
        return None
    return Picture(array.reshape(*array.shape[:2], channels), mode, Origin.ARRAY)


def array_of_picture(picture: Picture) -> Pixels:
    """The inverse of :func:`picture_of_array`."""
    return picture.pixels[:, :, 0] if picture.mode.channels == 1 else picture.pixels


# ---- Pillow images ----------------------------------------------------------------------------


def picture_of_image(image: Image.Image) -> Picture:
    """A Pillow image with palette, transparency and whatever of its info can be written down."""
    mode = Mode.of(image.mode)
    if mode is None:
        modes = ", ".join(mode.pil for mode in Mode)
        raise InputError(f"expected a picture of mode {modes}, found {image.mode}: convert it first")
    if not image.width * image.height:
        raise InputError(f"expected a picture with pixels, found {image.width} x {image.height}")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot read the picture: {error}") from error
    return Picture(from_image(image, mode), mode, Origin.OBJECT, tuple(_extras(image, mode)))


def image_of_picture(picture: Picture) -> Image.Image:
    """The inverse of :func:`picture_of_image`."""
    image = to_image(picture.pixels, picture.mode)
    palette = picture.header.extra(Tag.PALETTE)
    if palette is not None and picture.mode is Mode.P:
        image.putpalette(palette[1:], "RGBA" if palette[0] == 4 else "RGB")
    for extra in picture.extras:
        if extra.tag == Tag.INFO:
            image.info.update(_read_info(extra.value))
        elif extra.tag == Tag.INFO_BYTES:
            name, _, value = extra.value.partition(b"\0")
            image.info[name.decode("utf-8", "replace")] = value
    return image


def _extras(image: Image.Image, mode: Mode) -> list[Extra]:
    extras = []
    if mode is Mode.P:
        entries = image.getpalette(rawmode=None)
        channels = len(image.im.getpalettemode())
        extras.append(Extra(Tag.PALETTE, bytes([channels, *(entries or [])])))
    named = {name: value for name, value in image.info.items() if isinstance(name, str)}
    plain = {name: _plain(value) for name, value in named.items() if _plain(value) is not _OTHER}
    if plain:
        extras.append(Extra(Tag.INFO, _write_info(plain)))
    for name, value in named.items():
        if isinstance(value, bytes) and "\0" not in name:
            extras.append(Extra(Tag.INFO_BYTES, name.encode("utf-8", "replace") + b"\0" + value))
    return extras


_FALSE_OF_REGIONS = {"exif", "xmp", "XML:com.adobe.xmp", "photoshop", "Raw profile type exif", "mp", "mpoffset"}


def filter_info(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    """The extras of a Pillow image that hold for a region of it too."""
    kept = []
    for extra in extras:
        if extra.tag == Tag.INFO:
            found = _read_info(extra.value).items()
            info = {str(name): value for name, value in found if name not in _FALSE_OF_REGIONS}
            kept += [Extra(Tag.INFO, _write_info(info))] if info else []
        elif (
            extra.tag != Tag.INFO_BYTES
            or extra.value.partition(b"\0")[0].decode("utf-8", "replace") not in _FALSE_OF_REGIONS
        ):
            kept.append(extra)
    return tuple(kept)


_OTHER = object()


def _plain(value: object) -> object:
    """A number, a string, or a tuple of such, which JSON brings back; _OTHER for anything else."""
    if isinstance(value, tuple):
        items = tuple(map(_plain, value))
        return _OTHER if any(item is _OTHER or isinstance(item, tuple) for item in items) else items
    if value is None or type(value) in (bool, int, float, str):
        return value
    return float(value) if isinstance(value, Rational) and value.denominator else _OTHER  # TIFF's resolutions


def _write_info(info: dict[str, object]) -> bytes:
    return json.dumps(info, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _read_info(text: bytes) -> dict[str | tuple[int, int], Any]:
    try:
        info = json.loads(text.decode("utf-8", "surrogatepass"))
        return {name: tuple(v) if isinstance(v, list) else v for name, v in info.items()}
    except (ValueError, AttributeError) as error:
        raise DamagedError(f"the picture's info cannot be read: {error}") from error
