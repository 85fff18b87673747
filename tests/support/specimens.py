"""A small file of every kind, for tests of what damage and malice do to them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import bfncodec
from bfncodec.content.arrays import arrays_of
from bfncodec.content.items import Whole
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.segments.archiving import ItemWriter
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.policy import DEFAULT_POLICY, Policy
from support.doubles import FakeModelsAndArchive, noise

CODECS = FakeModelsAndArchive((1, 3))
TEXT = b"to be or not to be, that is the question\n" * 3
LINES = b"".join(b"line %d\n" % n for n in range(12))


def picture(height: int, width: int, *channels: int) -> np.ndarray[Any, Any]:
    """A slope that no coder finds trivial."""
    grid = np.indices((height, width, *channels))
    return (grid[0] * 37 + grid[1] * 11 + sum(grid) ** 2).astype(np.uint8)


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


Maker = Callable[..., bytes]
"""Compresses something, with a policy if one is given."""

TINY = Policy(plain_segment=40, plain_tile=6, model_tile=6, text_segment=64, archive_segment=96)


def of(data: Any, model: str = "none", **options: Any) -> Maker:
    """Return a maker of a compressed object."""
    return lambda policy=DEFAULT_POLICY: bfncodec.compress(data, model, codecs=CODECS, policy=policy, **options)


def of_file(data: bytes) -> Maker:
    """Return a maker of a compressed file."""
    return lambda: encode_data(data, Options("none", verify=False), CODECS)[0]


def in_segments(make: Maker) -> Maker:
    """Return a maker whose segments are tiny."""
    return lambda: make(TINY)


def paletted() -> Image.Image:
    """A picture with a palette of few colours and some opacity."""
    image = Image.frombytes("P", (9, 7), (picture(7, 9) % 12).tobytes())
    image.putpalette(bytes(k * k * 37 % 251 for k in range(36)))
    image.info["transparency"] = bytes([0, 255, 77])
    return image


def with_info() -> Image.Image:
    """A picture with metadata of several kinds."""
    image = Image.fromarray(picture(6, 5, 3))
    image.info |= {"dpi": (72.0, 71.5), "Title": "small", "icc_profile": b"a colour profile " * 6}
    return image


def wide() -> np.ndarray[Any, Any]:
    """16-bit samples whose high bits are the noise that the model knows."""
    high, low = noise(1, 9, 8, 3), noise(95, 9, 8, 3)
    low[high == 0] = 0  # then the numbers that are cut into bytes are the samples themselves
    return high.astype(np.uint16) * 256 + low


def png() -> bytes:
    """A PNG file with chunks before and after its pixels."""
    info = PngInfo()
    info.add_text("Title", "small " * 12)
    return saved(Image.fromarray(picture(6, 5, 3)), "PNG", pnginfo=info, dpi=(72, 72))


def folder() -> dict[str, bytes]:
    """Files, some of which are pictures of the archive's shape."""
    items = [Image.fromarray(item) for item in noise(2, 3, 4, 4, 3)]
    return {
        "a/one.png": saved(items[0], "PNG", dpi=(72, 72)),
        "a/two.bmp": saved(items[1], "BMP"),
        "three.webp": saved(items[2], "WEBP", lossless=True, exact=True),
        "notes.txt": TEXT[:40],
        "empty": b"",
    }


def npz() -> bytes:
    """A file of arrays, some of which hold items of the archive's shape."""
    out = io.BytesIO()
    np.savez(out, numbers=np.arange(9), some=noise(4, 2, 4, 4, 3), more=noise(5, 1, 4, 4, 3))
    return out.getvalue()


def items(*found: Any, names: Sequence[str] = (), whole: Whole = Whole.EACH, segment: int = 1 << 17) -> bytes:
    """An archive of items."""
    out = io.BytesIO()
    writer = ItemWriter(out.write, whole, CODECS, Policy(items_segment=segment))
    for number, item in enumerate(found):
        file = of_file(item)() if isinstance(item, bytes) else of(item)()
        writer.add(file, names[number] if names else None)
    writer.finish()
    return out.getvalue()


def stack() -> bytes:
    """An archive of rows, of which some are a stack."""
    out, rows = io.BytesIO(), picture(5, 2, 3, 4)
    writer = ItemWriter(out.write, Whole.ROWS, CODECS)
    writer.add_stack(of(rows[:3])(), 3, set())
    writer.add(of(rows[3])())
    writer.add(of(rows[4])())
    writer.finish()
    return out.getvalue()


NAMED = {
    "a/one.png": png(),
    "a/two": TEXT,
    "a/three.npy": picture(6, 5),
    "four": "Wege",
    "five": np.arange(9),
}

MAKERS: dict[str, Callable[[], bytes]] = {
    "empty": of(b""),
    "stored": of(noise(90, 40).tobytes()),
    "lzma": of(TEXT),
    "text": of("Alle Wege führen nach Rom. \ud800" * 4),
    "text_model": of(noise(3, 600).tobytes(), "text"),
    "array_4d": of(picture(2, 3, 4, 5)),
    "array_u16": of(np.arange(70, dtype=np.uint16)),
    "array_empty": of(np.zeros((3, 0, 2), np.uint8)),
    "array_f8": of(np.sin(np.arange(40.0))),
    "array_i4": of(np.cumsum(picture(8, 9).ravel().astype(">i4")).astype(">i4")),
    "array_bool": of(picture(5, 4, 3) > 90),
    "bytearray": of(bytearray(TEXT)),
    "joined": lambda: b"".join(MAKERS[name]() for name in ("lzma", "many_bytes", "stored")),
    "rgb": of(picture(6, 5, 3)),
    "rgba": of(picture(6, 5, 4)),
    "grey": of(picture(6, 5)),
    "grey_alpha": of(picture(6, 5, 2)),
    "wide_grey": of(picture(9, 8).astype(np.uint16) * 201),
    "wide_gaps": of(np.rint(picture(18, 20) * 250.3).astype(np.uint16)),
    "wide_rgb": of(picture(6, 5, 3).astype(np.uint16) * 3 + 77),
    "bilevel": of(Image.fromarray(picture(9, 11)).convert("1")),
    "palette": of(paletted()),
    "info": of(with_info()),
    "preview": of(picture(7, 8, 3) // 64 * 64, preview=True),
    "rgb_model": of(noise(1, 12, 11, 3), "photo"),
    "grey_model": of(noise(1, 12, 11), "photo"),
    "rgba_model": of(np.concatenate([noise(1, 12, 11, 3), picture(12, 11, 1)], 2), "photo"),
    "wide_model": of(wide(), "photo"),
    "png": of_file(png()),
    "png_palette": of_file(saved(paletted(), "PNG", bits=4)),
    "webp": of_file(saved(Image.fromarray(picture(6, 5, 4)), "WEBP", lossless=True, exact=True, icc_profile=b"i" * 50)),
    "bmp": of_file(saved(Image.fromarray(picture(6, 5, 3)), "BMP")),
    "ppm": of_file(b"P6 # a comment\n5 6 255\n" + picture(6, 5, 3).tobytes()),
    "tiff": of_file(saved(Image.fromarray(picture(6, 5, 3)), "TIFF", dpi=(72, 72))),
    "tiff_lzw": of_file(saved(Image.fromarray(picture(6, 5, 3)), "TIFF", compression="tiff_lzw")),
    "folder": of(folder(), "archive"),
    "npz": lambda: encode_frame(arrays_of(npz(), (4, 4, 3)), "archive", CODECS),
    "lines": of(LINES, lines=True, block=24),
    "lines_text": of(LINES.decode(), lines=True, block=24),
    "many_bytes": in_segments(of(TEXT + noise(91, 50).tobytes())),
    "many_text": in_segments(of("Alle Wege führen nach Rom. \ud800" * 9)),
    "many_lines": in_segments(of(LINES * 2, lines=True, block=24)),
    "many_array": in_segments(of(picture(5, 3, 4, 5))),
    "many_numbers": in_segments(of(np.sin(np.arange(40.0)).reshape(20, 2))),
    "many_wide": in_segments(of(picture(7, 8).astype(np.uint16) * 201)),
    "many_rgb": in_segments(of(picture(7, 8, 3))),
    "many_png": lambda: encode_data(
        saved(Image.fromarray(picture(7, 8, 3)), "PNG", dpi=(72, 72)),
        Options("none", verify=False, policy=TINY),
        CODECS,
    )[0],
    "many_models": in_segments(of(np.concatenate([noise(n, 6, 6, 3) for n in range(3)]), "photo")),
    "items": lambda: items(*NAMED.values(), names=list(NAMED)),
    "items_rows": lambda: items(*picture(20, 6, 5, 3), whole=Whole.ROWS, segment=300),
    "items_stack": stack,
    "items_model": lambda: items(noise(3, 600).tobytes().decode("latin-1"), *picture(3, 4, 4), b"", segment=90),
    "many_items": in_segments(of(folder(), "archive")),
}


@lru_cache(maxsize=1)
def specimens() -> dict[str, bytes]:
    """The file of each kind by its name."""
    return {name: make() for name, make in MAKERS.items()}


if __name__ == "__main__":
    print(json.dumps({name: len(blob) for name, blob in specimens().items()}))
