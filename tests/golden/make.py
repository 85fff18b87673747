"""How the golden files were made. They are written once and then only ever decoded: never run this over old ones."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import bfncodec
from bfncodec.api import Models
from bfncodec.content.arrays import arrays_of
from bfncodec.images.files import read_file
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.policy import Policy

HERE = Path(__file__).parent
ALL_ROADS = "Alle Wege führen nach Rom, alle Wege führen weiter. \ud800" * 9
sys.path.insert(0, str(HERE.parent))


def picture(height: int, width: int, channels: int) -> np.ndarray[Any, Any]:
    """A little landscape of slopes and circles, the same everywhere."""
    rows, columns, channel = np.indices((height, width, channels))
    circle = (rows - height // 2) ** 2 + (columns - width // 3) ** 2 < height * width // 9
    return (rows * 5 + columns * 3 * (channel + 1) + 90 * circle).astype(np.uint8)


def objects() -> Iterator[tuple[str, Any]]:
    """Name and object of each golden file of version 1."""
    yield "stored_bytes", bytes(range(9))
    yield "empty_bytes", b""
    yield "empty_text", ""
    yield "lzma_text", ALL_ROADS
    yield "short_text", "Ende"
    yield "array_u8_4d", np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    yield "array_u16", np.arange(3000, dtype=np.uint16)
    yield "array_rgb", picture(24, 31, 3)
    yield "array_grey16", picture(20, 20, 1)[:, :, 0].astype(np.uint16) * 201
    slope = np.add.outer(np.arange(40) * 173, np.arange(50) * 211)
    yield "planes_grey16", (slope + picture(40, 50, 1)[:, :, 0] % 7).astype(np.uint16)
    yield "planes_rgb16", picture(24, 31, 3).astype(np.uint16) * 3 + 77
    yield "planes_gaps", np.rint(picture(60, 70, 1)[:, :, 0] * 250.3).astype(np.uint16)
    yield "image_rgba", Image.fromarray(picture(24, 31, 4))
    yield "image_la", Image.frombytes("LA", (24, 31), picture(31, 24, 2).tobytes())
    yield "image_1", Image.fromarray(picture(24, 31, 1)[:, :, 0]).convert("1")
    paletted = Image.frombytes("P", (30, 20), (picture(20, 30, 1) % 16).tobytes())
    paletted.putpalette(picture(16, 1, 4).tobytes(), "RGBA")
    paletted.info |= {"transparency": 3, "dpi": (72.0, 72.0), "icc_profile": bytes(range(200))}
    yield "image_p", paletted
    rising = Image.frombytes("P", (30, 20), (picture(20, 30, 1) // 4).tobytes())
    rising.putpalette(bytes(value for k in range(64) for value in (3 * k, 4 * k, 255 - k, min(5 * k, 255))), "RGBA")
    rising.info["transparency"] = bytes(min(5 * k, 255) for k in range(64))
    yield "image_p_coded", rising


def png_of_colours() -> bytes:
    """A PNG file with a palette in no order, and an entry that has an opacity."""
    out = io.BytesIO()
    image = Image.frombytes("P", (30, 20), (picture(20, 30, 1) % 16).tobytes())
    image.putpalette(bytes(k * k * 37 % 251 for k in range(48)))
    image.save(out, "PNG", transparency=bytes([0, 255, 77]))
    return out.getvalue()


def arrays() -> bytes:
    """An .npz file of numbers and two arrays of little pictures."""
    out = io.BytesIO()
    np.savez(out, numbers=np.arange(9), some=picture(8, 4, 3).reshape(2, 4, 4, 3), more=picture(4, 4, 3)[None])
    return out.getvalue()


def png() -> bytes:
    """A PNG file with metadata of several kinds."""
    out, info = io.BytesIO(), PngInfo()
    info.add_text("Title", "golden")
    Image.fromarray(picture(24, 31, 3)).save(out, "PNG", pnginfo=info, dpi=(300, 300))
    return out.getvalue()


def main() -> None:
    """Write those that are not there yet."""
    from test_api import digest

    index = []
    for name, value in objects():
        keep(name, bfncodec.compress(value, "none"))
        index.append(
            {"file": f"{name}.bfn", "type": type(bfncodec.decompress(read(name))).__name__, "sha256": digest(value)}
        )
    content = read_file(png())
    assert content is not None
    keep("file_png", encode_frame(content, "none", Models()))
    index.append({"file": "file_png.bfn", "type": "bytes", "sha256": digest(png())})
    content = read_file(png_of_colours())
    assert content is not None
    keep("file_png_coded", encode_frame(content, "none", Models()))
    index.append({"file": "file_png_coded.bfn", "type": "bytes", "sha256": digest(png_of_colours())})
    keep("preview_rgb", bfncodec.compress(picture(60, 80, 3), "none", preview=True))
    index.append({"file": "preview_rgb.bfn", "type": "ndarray", "sha256": digest(picture(60, 80, 3))})
    keep("arrays_npz", encode_frame(arrays_of(arrays(), (4, 4, 3)), "none", Models()))
    index.append({"file": "arrays_npz.bfn", "type": "bytes", "sha256": digest(arrays())})
    policy = Policy(plain_segment=40, plain_tile=16)
    keep("segmented_bytes", bfncodec.compress(bytes(range(100)) + bytes(100), "none", policy=policy))
    index.append({"file": "segmented_bytes.bfn", "type": "bytes", "sha256": digest(bytes(range(100)) + bytes(100))})
    keep("segmented_rgb", bfncodec.compress(picture(40, 50, 3), "none", policy=policy))
    index.append({"file": "segmented_rgb.bfn", "type": "ndarray", "sha256": digest(picture(40, 50, 3))})
    numbers = b"".join(b"line %d\n" % k**3 for k in range(40))
    keep("lines_bytes", bfncodec.compress(numbers, "none", lines=True, block=64))
    index.append({"file": "lines_bytes.bfn", "type": "bytes", "sha256": digest(numbers)})
    keep("joined_text", b"".join(read(name) for name in ("empty_text", "lzma_text", "short_text")))
    index.append({"file": "joined_text.bfn", "type": "str", "sha256": digest(ALL_ROADS + "Ende")})
    keep("joined_bytes", b"".join(read(name) for name in ("stored_bytes", "lines_bytes", "lzma_text", "stored_bytes")))
    everything = bytes(range(9)) + numbers + ALL_ROADS.encode("utf-8", "surrogatepass") + bytes(range(9))
    index.append({"file": "joined_bytes.bfn", "type": "bytes", "sha256": digest(everything)})
    (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    future = bytearray(read("array_rgb"))
    keep("newer_version", bytes(future[:2]) + bytes([future[2] ^ 0xC0]) + bytes(future[3:]))
    keep("newer_mode", bytes(future[:7]) + b"\x1f" + bytes(future[8:]))
    keep(
        "newer_extra",
        bytes(future[:2]) + bytes([future[2] | 1]) + bytes(future[3:8]) + b"\x03\x8f\x01x" + bytes(future[8:]),
    )


def keep(name: str, blob: bytes) -> None:
    """Write a file that is not there."""
    path = HERE / f"{name}.bfn"
    if not path.exists():
        path.write_bytes(blob)


def read(name: str) -> bytes:
    """A golden file."""
    return (HERE / f"{name}.bfn").read_bytes()


if __name__ == "__main__":
    main()
