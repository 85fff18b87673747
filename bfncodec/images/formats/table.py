"""All formats of picture files by the origin of their pictures.

Importing this module imports NumPy and Pillow; :mod:`bfncodec.images.files` does so when a picture file comes up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bfncodec.format.kinds import Origin
from bfncodec.images.formats import raw, webp
from bfncodec.images.formats.png import file as png
from bfncodec.images.formats.spans import Parsed
from bfncodec.images.formats.tiff import file as tiff
from bfncodec.images.picture import Picture

__all__ = ["FORMATS", "FileFormat"]


@dataclass(frozen=True)
class FileFormat:
    """Functions of a format.

    parse: takes a file apart; raises anything for one that is better kept as bytes. write: its inverse, makes the file
    of a picture; raises anything for metadata that cannot be. restored: adds to the picture of a file what makes it
    byte for byte, where that can be left out.
    """

    parse: Callable[[bytes], Parsed]
    write: Callable[[Picture], bytes]
    restored: Callable[[Parsed], Parsed] = lambda found: found


FORMATS = {
    Origin.PNG: FileFormat(png.parse, png.write, png.restored),
    Origin.WEBP: FileFormat(webp.parse, webp.write),
    Origin.BMP: FileFormat(raw.parse_bmp, raw.write),
    Origin.PPM: FileFormat(raw.parse_ppm, raw.write),
    Origin.TIFF: FileFormat(tiff.parse, tiff.write),
}
