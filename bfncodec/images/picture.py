"""Pictures: pixels with all that makes them the object they were.

A :class:`Picture` is what a file's header and segments describe; here it is made of, and turned
back into, numpy arrays and Pillow images. Picture *files* are :mod:`bfncodec.images.files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bfncodec.errors import DamagedError, InputError, reading
from bfncodec.forks import cached_property
from bfncodec.format.extras import Extra, Tag, write_extras
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Mode, Origin
from bfncodec.images.classical import estimate_tile
from bfncodec.images.info import read_info, write_info
from bfncodec.images.palette import Palette
from bfncodec.images.samples import from_image, to_image
from bfncodec.runtime.arrays import Pixels

if TYPE_CHECKING:
    from PIL import Image


__all__ = [
    "Picture",
    "array_of_picture",
    "bare_image",
    "check_frames",
    "image_of_picture",
    "picture_of_array",
    "picture_of_image",
    "with_palette",
]

_RGBA = 4  # channels of a palette's entries
_MOST = 256  # entries
_FOUR, _AS_BYTES, _AS_NUMBER = 1, 2, 4
"""Form of an image's palette, a sum of flags: its entries are of four channels; the image's info has the opacity, too,
as bytes, or as the number of the last entry that has one, the only one not opaque."""

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
    """A picture with all that makes it the object or the file that it was.

    pixels: ``[H, W, C]``, uint8 or, of wide modes, uint16 (:mod:`bfncodec.images.samples`). origin: the object or
    format of a file. extras: its metadata. promised: as headers have it.
    """

    pixels: Pixels
    mode: Mode
    origin: Origin
    extras: tuple[Extra, ...] = ()
    promised: bool = False

    @property
    def header(self) -> Header:
        """Header of a compressed file of the picture."""
        return Header(Kind.IMAGE, self.origin, self.mode, extras=self.extras, promised=self.promised)

    @cached_property
    def palette(self) -> Palette | None:
        """The coded palette, None where there is none. DamagedError for a palette that cannot be."""
        value = self.header.extra(Tag.COLOURS) if self.mode is Mode.P else None
        return None if value is None else Palette.read(value)

    def same(self, other: Picture) -> bool:
        """Return whether everything that a file keeps is equal, as headers agree (:meth:`.Header.agrees`)."""
        import numpy as np

        return self.header.agrees(other.header) and np.array_equal(self.pixels, other.pixels)


# ---- numpy arrays -----------------------------------------------------------------------------


def picture_of_array(array: Pixels) -> Picture | None:
    """Return an array ``[H, W]`` or ``[H, W, 2 to 4]`` of uint8 or uint16 as a picture, None for any other array."""
    channels = array.shape[2] if array.ndim == 3 else 1
    mode = _ARRAY_MODES.get((array.dtype.str[1:], channels))
    if mode is None or array.ndim not in (2, 3) or not array.size or array.shape[2:] == (1,):
        return None
    origin = Origin.BIG_ENDIAN_ARRAY if array.dtype.str.startswith(">") else Origin.ARRAY
    pixels = array.reshape(*array.shape[:2], channels)
    return Picture(pixels.astype("<u2", copy=False) if mode.is_wide else pixels, mode, origin)


def array_of_picture(picture: Picture) -> Pixels:
    """Return the array that :func:`picture_of_array` was given. DamagedError for one that cannot be big-endian."""
    pixels = picture.pixels[:, :, 0] if picture.mode.channels == 1 else picture.pixels
    if picture.origin is not Origin.BIG_ENDIAN_ARRAY:
        return pixels
    if not picture.mode.is_wide:
        raise DamagedError(
            f"an array of bytes cannot be big-endian: a picture of mode {picture.mode.pil} cannot be one"
        )
    return pixels.astype(">u2")


# ---- palettes ---------------------------------------------------------------------------------

_SAMPLE = 1 << 18  # pixels that decide which numbers take less, the palette's own or those along its chain


def with_palette(plain: Picture, palette: Palette, rest: tuple[Extra, ...]) -> Picture:
    """Return a picture with its palette coded, or as it is, whichever takes less.

    plain: the picture with its palette as it is. rest: its extras beside a coded palette.
    """
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
    """Return the pixels as a Pillow image without its palette, of which they have the own numbers."""
    palette = picture.palette
    return to_image(palette.own_numbers(picture.pixels) if palette else picture.pixels, picture.mode)


def _estimate(pixels: Pixels) -> int:
    """Estimate the bytes that numbers of colours take, of a large picture those in the rows in the middle."""
    height, width = pixels.shape[:2]
    rows = min(height, max(1, _SAMPLE // width))
    top = (height - rows) // 2
    return estimate_tile(pixels[top : top + rows], Mode.P)


# ---- Pillow images ----------------------------------------------------------------------------


def picture_of_image(image: Image.Image) -> Picture:
    """Return a Pillow image as a picture, with palette, transparency and info.

    InputError for an image that would not come back as it is, or cannot be read.
    """
    mode = Mode.of(image.mode)
    if mode is None:
        modes = ", ".join(mode.pil for mode in Mode)
        raise InputError(f"expected a picture of mode {modes}, found {image.mode}: convert it first")
    if not image.width * image.height:
        raise InputError(f"expected a picture with pixels, found {image.width} x {image.height}")
    check_frames(image)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot read the picture: {error}") from error
    picture = Picture(from_image(image, mode), mode, Origin.OBJECT)
    if mode is Mode.P:
        return _with_palette_of(image, picture, image.info)
    return replace(picture, extras=write_info(image.info))


def image_of_picture(picture: Picture) -> Image.Image:
    """Return the image that :func:`picture_of_image` was given. DamagedError for a palette or info that cannot be."""
    image, value = bare_image(picture), picture.header.extra(Tag.PALETTE)
    with reading("the picture's palette cannot be read"):
        if picture.palette is not None:
            _put_palette(image, picture.palette)
        elif value is not None and picture.mode is Mode.P:
            if value[0] not in (3, _RGBA):
                raise DamagedError(f"a palette of {value[0]} channels")
            image.putpalette(value[1:], "RGBA" if value[0] == _RGBA else "RGB")
    image.info.update(read_info(picture.extras))
    return image


def check_frames(image: Image.Image) -> None:
    """Raise InputError for an image of several frames: only the one that is shown would come back."""
    try:
        frames = max(getattr(image, "n_frames", 1), len(image.info.get("sizes", ())))
    except (OSError, SyntaxError, ValueError, EOFError, TypeError) as error:
        raise InputError(f"cannot read the picture: {error}") from error
    if frames > 1:
        raise InputError(
            f"expected one picture, found {frames} in an object of {image.format}: pass the bytes of its file to keep "
            "all of them, or image.copy() to keep the one that is shown"
        )


def _with_palette_of(image: Image.Image, picture: Picture, info: Mapping[Any, Any]) -> Picture:
    channels, entries = len(image.im.getpalettemode()), bytes(image.getpalette(rawmode=None) or [])
    plain = replace(picture, extras=(Extra(Tag.PALETTE, bytes([channels]) + entries), *write_info(info)))
    palette = _palette_of(channels, entries, info.get("transparency"))
    rest = {name: value for name, value in info.items() if name != "transparency" or _transparency_of(palette) is None}
    return with_palette(plain, palette, write_info(rest))


def _palette_of(channels: int, entries: bytes, transparency: object) -> Palette:
    """Return the palette of an image, with the transparency of its info, as far as a palette can hold it.

    channels: of an entry, 3 or 4. transparency: as Pillow has it, bytes or a number, or anything else.
    """
    four, colours, opacity = 0, entries, b""
    if channels == _RGBA:
        four, opacity = _FOUR, entries[_RGBA - 1 :: _RGBA]
        colours = bytes(number for place, number in enumerate(entries) if place % _RGBA < _RGBA - 1)
    one = b"\xff" * transparency + b"\0" if type(transparency) is int and 0 <= transparency < _MOST else b""
    for form, value in ((_AS_BYTES, transparency if isinstance(transparency, bytes) else b""), (_AS_NUMBER, one)):
        if value and (not four or opacity == value.ljust(len(opacity), b"\xff")):
            return Palette(colours, value, four + form)
    return Palette(colours, opacity.rstrip(b"\xff"), four)


def _transparency_of(palette: Palette) -> bytes | int | None:
    """Return the transparency as the info of an image has it, None where the palette does not hold it."""
    if palette.form & _AS_NUMBER:
        return len(palette.opacity) - 1
    return palette.opacity if palette.form & _AS_BYTES else None


def _put_palette(image: Image.Image, palette: Palette) -> None:
    if palette.form & _FOUR:
        image.putpalette(bytes(number for a, *colour in palette.entries for number in (*colour, a)), "RGBA")
    else:
        image.putpalette(palette.colours)
    if (transparency := _transparency_of(palette)) is not None:
        image.info["transparency"] = transparency
