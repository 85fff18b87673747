"""Pictures: pixels with all that makes them the object they were.

A :class:`Picture` is what a file's header and segments describe; here it is made of, and turned
back into, numpy arrays and Pillow images. Picture *files* are :mod:`bfncodec.imagefiles`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Rational
from typing import TYPE_CHECKING, Any

from bfncodec.errors import DamagedError, InputError, reading
from bfncodec.header import Extra, Header, Kind, Mode, Origin, Tag, write_extras
from bfncodec.palettes import Palette
from bfncodec.tiles import estimate_tile, from_image, to_image

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Pixels = np.ndarray[Any, Any]

__all__ = [
    "Picture",
    "array_of_picture",
    "bare_image",
    "filter_info",
    "image_of_picture",
    "picture_of_array",
    "picture_of_image",
    "with_palette",
]

_RGBA = 4  # channels of a palette's entries
_MOST = 256  # entries
_FOUR, _AS_BYTES, _AS_NUMBER = 1, 2, 4
"""Form of a palette, a sum: its entries are of four channels; info has the opacity, too, as bytes or as the number of
the last entry that has one, the only one not opaque."""

_ARRAY_MODES = {
    ("u1", 1): Mode.L,
    ("u1", 2): Mode.LA,
    ("u1", 3): Mode.RGB,
    ("u1", 4): Mode.RGBA,
    ("u2", 1): Mode.I16,
    ("u2", 2): Mode.LA16,
    ("u2", 3): Mode.RGB16,
    ("u2", 4): Mode.RGBA16,
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

    @cached_property
    def palette(self) -> Palette | None:
        """The coded palette, None where there is none. DamagedError for one that cannot be."""
        value = self.header.extra(Tag.COLOURS) if self.mode is Mode.P else None
        return None if value is None else Palette.read(value)

    def same(self, other: Picture) -> bool:
        """Equality of everything a file keeps."""
        import numpy as np

        return self.header == other.header and np.array_equal(self.pixels, other.pixels)


# ---- numpy arrays -----------------------------------------------------------------------------


def picture_of_array(array: Pixels) -> Picture | None:
    """An array that is a picture: ``[H, W]`` or ``[H, W, 2 to 4]``; None for any other."""
    channels = array.shape[2] if array.ndim == 3 else 1
    mode = _ARRAY_MODES.get((array.dtype.str[1:], channels))
    if mode is None or array.ndim not in (2, 3) or not array.size or array.shape[2:] == (1,):
        return None
    origin = Origin.BIG_ENDIAN_ARRAY if array.dtype.str.startswith(">") else Origin.ARRAY
    pixels = array.reshape(*array.shape[:2], channels)
    return Picture(pixels.astype("<u2", copy=False) if mode.is_wide else pixels, mode, origin)


def array_of_picture(picture: Picture) -> Pixels:
    """The inverse of :func:`picture_of_array`."""
    pixels = picture.pixels[:, :, 0] if picture.mode.channels == 1 else picture.pixels
    if picture.origin is not Origin.BIG_ENDIAN_ARRAY:
        return pixels
    if not picture.mode.is_wide:
        raise DamagedError(
            f"an array of bytes cannot be big-endian: a picture of mode {picture.mode.pil} cannot be one"
        )
    return pixels.astype(">u2")


# ---- palettes ---------------------------------------------------------------------------------

_SAMPLE = 1 << 18  # pixels from which it is told how to number them


def with_palette(plain: Picture, palette: Palette, rest: tuple[Extra, ...]) -> Picture:
    """A picture with its palette as it is or coded, in place of all extras but ``rest``, whichever takes less."""
    if not palette.can_be_coded:
        return plain
    chained, pixels = palette.along_chain(plain.pixels)
    if _estimate(pixels) < _estimate(plain.pixels):
        palette = chained
    else:
        pixels = plain.pixels
    coded = replace(plain, pixels=pixels, extras=(Extra(Tag.COLOURS, palette.write()), *rest))
    return min(coded, plain, key=lambda picture: len(write_extras(picture.extras)))


def bare_image(picture: Picture) -> Image.Image:
    """The pixels as a Pillow image, with the numbers that its palette's entries have, but without that."""
    palette = picture.palette
    return to_image(palette.own_numbers(picture.pixels) if palette else picture.pixels, picture.mode)


def _estimate(pixels: Pixels) -> int:
    """About the bytes that they take; of large pictures, that rows in the middle do."""
    height, width = pixels.shape[:2]
    rows = min(height, max(1, _SAMPLE // width))
    top = (height - rows) // 2
    return estimate_tile(pixels[top : top + rows], Mode.P)


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
    picture = Picture(from_image(image, mode), mode, Origin.OBJECT)
    info = {name: value for name, value in image.info.items() if isinstance(name, str)}
    if mode is Mode.P:
        return _with_palette_of(image, picture, info)
    return replace(picture, extras=_extras(info))


def _with_palette_of(image: Image.Image, picture: Picture, info: dict[str, Any]) -> Picture:
    channels, entries = len(image.im.getpalettemode()), bytes(image.getpalette(rawmode=None) or [])
    plain = replace(picture, extras=(Extra(Tag.PALETTE, bytes([channels]) + entries), *_extras(info)))
    palette = _palette_of(channels, entries, info.get("transparency"))
    rest = {name: value for name, value in info.items() if name != "transparency" or _told(palette) is None}
    return with_palette(plain, palette, _extras(rest))


def _palette_of(channels: int, entries: bytes, told: object) -> Palette:
    """The palette of an image whose info tells that transparency, and in it what of that it can hold."""
    four, colours, opacity = 0, entries, b""
    if channels == _RGBA:
        four, opacity = _FOUR, entries[_RGBA - 1 :: _RGBA]
        colours = bytes(number for place, number in enumerate(entries) if place % _RGBA < _RGBA - 1)
    one = b"\xff" * told + b"\0" if type(told) is int and 0 <= told < _MOST else b""
    for form, value in ((_AS_BYTES, told if isinstance(told, bytes) else b""), (_AS_NUMBER, one)):
        if value and (not four or opacity == value.ljust(len(opacity), b"\xff")):
            return Palette(colours, value, four + form)
    return Palette(colours, opacity.rstrip(b"\xff"), four)


def _told(palette: Palette) -> bytes | int | None:
    """The transparency in an image's info, None where the palette does not hold it."""
    if palette.form & _AS_NUMBER:
        return len(palette.opacity) - 1
    return palette.opacity if palette.form & _AS_BYTES else None


def image_of_picture(picture: Picture) -> Image.Image:
    """The inverse of :func:`picture_of_image`. DamagedError for a palette or info that cannot be."""
    image, value = bare_image(picture), picture.header.extra(Tag.PALETTE)
    with reading("the picture's palette cannot be read"):
        if picture.palette is not None:
            _put_palette(image, picture.palette)
        elif value is not None and picture.mode is Mode.P:
            image.putpalette(value[1:], "RGBA" if value[0] == _RGBA else "RGB")
    for extra in picture.extras:
        if extra.tag == Tag.INFO:
            image.info.update(_read_info(extra.value))
        elif extra.tag == Tag.INFO_BYTES:
            name, _, value = extra.value.partition(b"\0")
            image.info[name.decode("utf-8", "replace")] = value
    return image


def _put_palette(image: Image.Image, palette: Palette) -> None:
    if palette.form & _FOUR:
        image.putpalette(bytes(number for a, *colour in palette.entries for number in (*colour, a)), "RGBA")
    else:
        image.putpalette(palette.colours)
    if (told := _told(palette)) is not None:
        image.info["transparency"] = told


def _extras(info: dict[str, Any]) -> tuple[Extra, ...]:
    extras = []
    plain = {name: _plain(value) for name, value in info.items() if _plain(value) is not _OTHER}
    if plain:
        extras.append(Extra(Tag.INFO, _write_info(plain)))
    for name, value in info.items():
        if isinstance(value, bytes) and "\0" not in name:
            extras.append(Extra(Tag.INFO_BYTES, name.encode("utf-8", "replace") + b"\0" + value))
    return tuple(extras)


_FALSE_OF_REGIONS = {"exif", "xmp", "XML:com.adobe.xmp", "photoshop", "Raw profile type exif", "mp", "mpoffset"}


def filter_info(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    """The extras of a Pillow image that hold for a region of it too."""
    kept = []
    for extra in extras:
        if extra.tag == Tag.INFO:
            found = _read_info(extra.value).items()
            info = {str(name): value for name, value in found if name not in _FALSE_OF_REGIONS}
            with reading("the picture's info cannot be that of a region"):
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
    with reading("the picture's info cannot be read"):
        info = json.loads(text.decode("utf-8", "surrogatepass"))
        return {name: tuple(v) if isinstance(v, list) else v for name, v in info.items()}
