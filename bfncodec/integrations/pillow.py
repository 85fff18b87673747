"""Pillow: pictures in .bfn files, opened and saved as those of every other format.

Importing this module is all that is needed: ``Image.open("x.bfn")``, ``image.save("x.bfn", level=9)``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from typing import IO, Any

from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from bfncodec.api import compress
from bfncodec.errors import BfncodecError, DamagedError, InputError
from bfncodec.files.sources import Slices
from bfncodec.format.container import unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.frame import MAGIC, SUFFIX, Frame
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import NO_LIMITS, Limits
from bfncodec.images.files import FORMAT_NAMES, write_file
from bfncodec.images.metadata import image_without_pixels
from bfncodec.images.picture import Picture, image_of_picture
from bfncodec.images.preview import find
from bfncodec.images.samples import open_stream, to_image
from bfncodec.integrations.chunks import models
from bfncodec.runtime.streams import write_all
from bfncodec.segments.assemble import decode_content
from bfncodec.segments.opening import open_file

__all__ = ["BfnImageFile"]

_LIMITS = replace(Limits(), pixels=NO_LIMITS.pixels)  # Pillow has a limit of its own, which it asks for itself
_SETTINGS = ("model", "level", "preview", "strip", "verify", "device", "threads", "codecs", "policy")
_INFO = ("comment", "dpi", "exif", "icc_profile", "transparency", "xmp")
"""Arguments of ``save`` that many formats have, and that are kept as the image's info."""
_LIKE_PREVIEWS = ("RGB", "RGBA", "L", "LA")


class BfnImageFile(ImageFile.ImageFile):
    """A picture in a .bfn file, of which the head and the index are read first, and the rest when it is loaded.

    Of a picture that was a file, info and mode are those that Pillow finds in that file.
    """

    format = "BFN"
    format_description = "bfncodec: lossless, with Bayesian Flow Networks"
    _frame: Frame | None = None  # of what is still to be decoded
    _draft: Image.Image | None = None  # small picture to be shown instead

    def _open(self) -> None:
        with _raising(SyntaxError):
            frame = unpack(Slices(_file(self.fp)), _LIMITS, place=lambda *_: NOWHERE)
            if frame.header.kind is not Kind.IMAGE:
                raise InputError("expected a picture, found another content: decompress it")
            like = image_without_pixels(frame.header, frame.cut.sides)
        height, width = frame.cut.sides
        self._size, self._mode, self._frame = (width, height), like.mode, frame
        self.info, self.palette = dict(like.info), like.palette

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Show the small picture in the file instead, if there is one of at least that size and this mode.

        It is lossy, as previews are.
        """
        if self._frame is None or size is None or self.mode not in _LIKE_PREVIEWS:
            return None
        try:
            found = find(self._frame.header)
        except DamagedError:
            return None
        if found is None or found.width < min(size[0], self.width) or found.height < min(size[1], self.height):
            return None
        self._draft = found.convert(self.mode)
        self._size = found.size
        return self.mode, (0, 0, found.width, found.height)

    def thumbnail(
        self,
        size: tuple[float, float],
        resample: Image.Resampling = Image.Resampling.BICUBIC,
        reducing_gap: float | None = 2.0,
    ) -> None:
        """Make the picture smaller, out of the small one in the file if that has enough pixels.

        Enough is ``reducing_gap`` times the sides that it gets; None is for the picture itself, decoded.
        """
        if reducing_gap is not None:
            scale = reducing_gap * min(size[0] / self.width, size[1] / self.height)
            self.draft(None, (ceil(self.width * scale), ceil(self.height * scale)))
        super().thumbnail(size, resample, reducing_gap)

    def load(self) -> Any:
        """Decode the picture. OSError for a file that is damaged, or needs a model that is not here."""
        if self._frame is not None:
            image = self._draft or self._decoded(self._frame)
            self.im, self._mode, self._size, self.palette = image.im, image.mode, image.size, image.palette
            self.info = {**image.info, **self.info}
            self._frame, self._draft, self.readonly = None, None, 0
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Check all of the coded bytes, for which no model is needed. OSError where they are damaged."""
        if self._frame is not None:
            with _raising(OSError):
                _file(self.fp)
                replace(self._frame, wanted=range(self._frame.cut.count)).verify()
        super().verify()

    def _decoded(self, frame: Frame) -> Image.Image:
        with _raising(OSError):
            picture = decode_content(open_file(Slices(_file(self.fp)), _LIMITS), models())
            assert isinstance(picture, Picture)
            image = _image_of(picture)
            image.load()
        return image


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _file(file: IO[bytes] | None) -> Any:
    if file is None or file.closed:
        raise InputError("the file was closed before the picture was loaded: open it again")
    return file


def _image_of(picture: Picture) -> Image.Image:
    """Return what Pillow makes of a picture: of its file, if it was one."""
    if picture.origin.is_array:
        return to_image(picture.pixels, picture.mode)
    if picture.origin in FORMAT_NAMES:
        size = picture.pixels.shape[1::-1]
        return open_stream(write_file(picture), FORMAT_NAMES[picture.origin], f"of {size}", lambda found: found == size)
    return image_of_picture(picture)


@contextmanager
def _raising(kind: type[Exception]) -> Iterator[None]:
    """Turn an error of this library into one of a type that Pillow, and who uses it, expects."""
    try:
        yield
    except BfncodecError as error:
        raise kind(str(error)) from error


# ---- saving -----------------------------------------------------------------------------------


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Save an image with palette, transparency and info. OSError for one that cannot be kept as it is.

    Arguments of ``save``: those of :func:`bfncodec.compress`, and comment, dpi, exif, icc_profile, transparency, xmp,
    and the texts of pnginfo. As in Pillow's own formats, others are left to formats that know them.
    """
    given = image.encoderinfo
    settings = {"codecs": models()} | {name: given[name] for name in _SETTINGS if name in given}
    info: dict[Any, Any] = {name: given[name] for name in _INFO if given.get(name) is not None}
    if isinstance(info.get("exif"), Image.Exif):
        info["exif"] = info["exif"].tobytes()
    info |= _texts(given.get("pnginfo"))
    if info or getattr(image, "n_frames", 1) > 1:
        image = image.copy()  # of several frames the one that is shown, as every format of a single one does
        image.info.update(info)
    with _raising(OSError):
        write_all(file, compress(image, **settings))


def _texts(pnginfo: PngInfo | None) -> dict[Any, Any]:
    """Return the texts that are to be saved with a PNG file, as the info that Pillow makes of them.

    Raises OSError for chunks of one's own, which no info holds.
    """
    if pnginfo is None:
        return {}
    made = io.BytesIO()
    Image.new("L", (1, 1)).save(made, "PNG", pnginfo=pnginfo)
    with Image.open(made, formats=["PNG"]) as image:
        image.load()
        if image.private_chunks:  # type: ignore[attr-defined]
            raise OSError("expected texts as pnginfo, found chunks of another kind: save a PNG file and compress that")
        return dict(image.info)


def _save_all(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Save an image of one frame; OSError for more."""
    count = getattr(image, "n_frames", 1) + len(list(image.encoderinfo.get("append_images", ())))
    if count > 1:
        raise OSError(
            f"a .bfn file holds one picture, found {count}: save each as a file of its own, or compress the file of all"
        )
    _save(image, file, filename)


Image.register_open(BfnImageFile.format, BfnImageFile, _accept)
Image.register_save(BfnImageFile.format, _save)
Image.register_save_all(BfnImageFile.format, _save_all)
Image.register_extension(BfnImageFile.format, SUFFIX)
Image.register_mime(BfnImageFile.format, "image/x-bfn")
